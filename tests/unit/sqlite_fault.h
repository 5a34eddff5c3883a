/*
 * sqlite_fault: SQLite's file calls made to fail, without another library in between. sqlite_fault_install()
 * makes a VFS the default one that is the system's, but for writes, syncs and cuts of files that are called
 * catalog.sqlite*: the ones with the numbers fail_from .. fail_to - 1 fail.
 */
#ifndef TIDE_SQLITE_FAULT_H
#define TIDE_SQLITE_FAULT_H

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum sqlite_fault_kind {
	FAULT_EIO,       /* nothing was done */
	FAULT_EIO_DONE,  /* it was done, and said to have failed: a sync whose bytes are on the disk */
	FAULT_FULL,      /* SQLITE_FULL; of syncs: SQLITE_IOERR_FSYNC */
	FAULT_KINDS,
};

static struct {
	sqlite3_vfs vfs;
	sqlite3_vfs *real;
	/* Files with locks and files without have different tables of functions. */
	struct {
		const sqlite3_io_methods *real;
		sqlite3_io_methods ours;
	} methods[8];
	int calls, fail_from, fail_to, struck;
	enum sqlite_fault_kind kind;
} sqlite_fault = {.fail_from = -1, .fail_to = -1};

static bool sqlite_fault_strikes(void)
{
	int at = sqlite_fault.calls++;
	bool is = at >= sqlite_fault.fail_from && at < sqlite_fault.fail_to;

	sqlite_fault.struck += is;
	return is;
}

static const sqlite3_io_methods *sqlite_fault_real(const sqlite3_file *f)
{
	int i = 0;

	while (f->pMethods != &sqlite_fault.methods[i].ours)
		i++;
	return sqlite_fault.methods[i].real;
}

static int sqlite_fault_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 off)
{
	if (!sqlite_fault_strikes())
		return sqlite_fault_real(f)->xWrite(f, p, n, off);
	if (sqlite_fault.kind == FAULT_FULL)
		return SQLITE_FULL;
	if (sqlite_fault.kind == FAULT_EIO_DONE)
		(void)sqlite_fault_real(f)->xWrite(f, p, n, off);
	return SQLITE_IOERR_WRITE;
}

/* Nothing here is about power cuts: not syncing saves time. */
static int sqlite_fault_sync(sqlite3_file *f, int flags)
{
	(void)f, (void)flags;
	return sqlite_fault_strikes() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int sqlite_fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	if (!sqlite_fault_strikes())
		return sqlite_fault_real(f)->xTruncate(f, size);
	return SQLITE_IOERR_TRUNCATE;
}

static int sqlite_fault_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
	(void)vfs;
	int rc = sqlite_fault.real->xOpen(sqlite_fault.real, name, f, flags, out);

	if (rc != SQLITE_OK || !name || !strstr(name, "catalog.sqlite"))
		return rc;
	int i = 0;
	while (sqlite_fault.methods[i].real && sqlite_fault.methods[i].real != f->pMethods)
		if (++i == 8)
			abort();
	sqlite3_io_methods *ours = &sqlite_fault.methods[i].ours;
	sqlite_fault.methods[i].real = f->pMethods;
	*ours = *f->pMethods;
	ours->xWrite = sqlite_fault_write;
	ours->xSync = sqlite_fault_sync;
	ours->xTruncate = sqlite_fault_truncate;
	f->pMethods = ours;
	return rc;
}

static void sqlite_fault_install(void)
{
	sqlite_fault.real = sqlite3_vfs_find(NULL);
	sqlite_fault.vfs = *sqlite_fault.real;
	sqlite_fault.vfs.zName = "tide-fault";
	sqlite_fault.vfs.pNext = NULL;
	sqlite_fault.vfs.xOpen = sqlite_fault_open;
	if (sqlite3_vfs_register(&sqlite_fault.vfs, 1) != SQLITE_OK)
		abort();
}

/* From the n-th call on (0: the next), `count` of them; counting begins now. */
static void sqlite_fault_set(int n, int count, enum sqlite_fault_kind kind)
{
	sqlite_fault.calls = sqlite_fault.struck = 0;
	sqlite_fault.fail_from = n;
	sqlite_fault.fail_to = n + count;
	sqlite_fault.kind = kind;
}

static void sqlite_fault_clear(void)
{
	sqlite_fault.fail_from = sqlite_fault.fail_to = -1;
}

#endif
