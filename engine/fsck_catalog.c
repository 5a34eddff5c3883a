/*
 * fsck of a catalogue that is lost: it is made anew from its copies, one beside the files of each table and one
 * of the database itself (catalog_copy.c), under another name; then the damaged one is put aside and the new one
 * takes its place. What else is wrong (a copy one change behind, files that came since) is found by the checks
 * that follow, as with any other catalogue.
 *
 * Counters have no copy that is up to date. They are set behind everything that is seen to be in use, in
 * the catalogue, in the log and in the names of directories.
 */
#include "engine/dir.h"
#include "engine/fsck_impl.h"
#include "engine/wal_segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRESH          "catalog.sqlite.new"
#define COPY_BYTES_MAX ((int64_t)64 << 20)

struct rebuild {
	struct fsck_db *d;
	struct catalog *cat;
	uint32_t tables, lost, left_out;
	uint32_t id_max;
	uint64_t file_id_max, tomb_id_max, lsn_max;
	bool has_own; /* copy of the database itself */
	uint32_t *lost_ids;
	char why[600]; /* of what is lost */
};

/* ---- reading copies ---------------------------------------------------------------------------- */

static int read_text(struct fsck *f, int dirfd, const char *path, char **ret, size_t *ret_n)
{
	const struct io *io = f->io;
	struct stat st;
	char *p = NULL;
	int fd = io->openat(io, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	int rc = fd < 0 ? fd : io->fstat(io, fd, &st);

	if (rc >= 0 && st.st_size > COPY_BYTES_MAX)
		rc = -EFBIG;
	if (rc >= 0 && !(p = malloc((size_t)st.st_size + 1)))
		rc = -ENOMEM;
	if (rc >= 0)
		rc = io_pread_exact(io, fd, p, (size_t)st.st_size, 0);
	if (fd >= 0)
		io->close(io, fd);
	if (rc < 0) {
		free(p);
		return rc;
	}
	*ret = p;
	*ret_n = (size_t)st.st_size;
	return 0;
}

static int take_copy(struct rebuild *b, uint32_t table_id, struct err *e)
{
	char path[COPY_PATH], *text;
	uint32_t left_out = 0;
	size_t n;

	copy_path(path, table_id);
	int rc = read_text(b->d->f, b->d->dirfd, path, &text, &n);
	if (rc < 0)
		return err_set(e, rc, "%s: %s", path, strerror(-rc));
	rc = catalog_copy_read(b->cat, (struct str){text, n}, &left_out, e);
	free(text);
	b->left_out += left_out;
	return rc < 0 ? err_prefix(e, rc, "%s", path) : 0;
}

static int lose_table(struct rebuild *b, uint32_t id, const struct err *why)
{
	uint32_t *v = realloc(b->lost_ids, (b->lost + 1) * sizeof *v);
	size_t n = strlen(b->why);

	if (!v)
		return -ENOMEM;
	b->lost_ids = v;
	v[b->lost++] = id;
	if (n < sizeof b->why - 200)
		snprintf(b->why + n, sizeof b->why - n, "%s%.400s", n ? "; " : "", why->text);
	return 0;
}

static int take_tables(struct rebuild *b)
{
	DIR *dir = dir_open(b->d->dirfd, DIR_TABLES, true);
	struct dirent *entry;
	int rc = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (rc >= 0 && (entry = readdir(dir))) {
		struct err why = {0};
		char *end;
		unsigned long id = strtoul(entry->d_name, &end, 10);
		if (*end || !id || id > UINT32_MAX)
			continue;
		b->id_max = MAX(b->id_max, (uint32_t)id);
		/* A table's directories are made before its transaction: empty ones say that it did not come to that. */
		char path[COPY_PATH];
		bool has_files;
		snprintf(path, sizeof path, DIR_TABLES "/%lu", id);
		rc = fsck_holds_files(b->d->dirfd, path, &has_files);
		if (rc < 0 || !has_files)
			continue;
		rc = take_copy(b, (uint32_t)id, &why);
		if (rc >= 0)
			b->tables++;
		else if (rc != -ENOMEM)
			rc = lose_table(b, (uint32_t)id, &why);
	}
	closedir(dir);
	return rc;
}

/* ---- counters ---------------------------------------------------------------------------------- */

static int see_file(void *ctx, const struct catalog_file *f)
{
	struct rebuild *b = ctx;

	b->file_id_max = MAX(b->file_id_max, f->id);
	b->lsn_max = MAX(b->lsn_max, MAX(f->seq_hi, f->erased_seq));
	return 0;
}

static int see_tomb(void *ctx, uint64_t id, uint64_t seq, struct str ranges)
{
	struct rebuild *b = ctx;

	b->tomb_id_max = MAX(b->tomb_id_max, id);
	b->lsn_max = MAX(b->lsn_max, seq);
	return 0;
}

static int see_table(void *ctx, const struct catalog_table *t)
{
	struct rebuild *b = ctx;

	b->id_max = MAX(b->id_max, t->id);
	b->lsn_max = MAX(b->lsn_max, t->flushed_lsn);
	return 0;
}

static int see_record(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct rebuild *b = ctx;

	b->id_max = MAX(b->id_max, rec->table_id);
	return 0;
}

/* Ids in the log, also of tables that were dropped; and where it begins: up to there all is in files. */
static int see_log(struct rebuild *b)
{
	struct wal_recovery r = {0};
	struct err why = {0};
	int fd = openat(b->d->dirfd, DIR_WAL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int rc = wal_recover(b->d->f->io, fd, true, wal_boot_of_machine(), see_record, b, &r, &why);
	if (rc >= 0 && r.head)
		b->lsn_max = MAX(b->lsn_max, r.head->header.first_lsn - 1);
	while (rc >= 0 && r.head) {
		struct wal_segment *next = r.head->next;
		wal_segment_free(b->d->f->io, r.head);
		r.head = next;
	}
	close(fd);
	return rc == -ENOMEM ? rc : 0; /* fsck_log() tells of the rest */
}

static int raise(struct rebuild *b, const char *key, uint64_t to, struct err *e)
{
	int64_t was = 0;
	int rc = catalog_get_int(b->cat, key, 0, &was, e);

	return rc < 0 || was >= (int64_t)to ? rc : catalog_set_int(b->cat, key, (int64_t)to, e);
}

static int set_counters(struct rebuild *b, struct err *e)
{
	int rc = catalog_tables(b->cat, see_table, b, e);

	if (rc >= 0)
		rc = see_log(b);
	for (uint32_t id = 1; id <= b->id_max && rc >= 0; id++) {
		rc = catalog_files(b->cat, id, see_file, b, e);
		if (rc >= 0)
			rc = catalog_tombs(b->cat, id, see_tomb, b, e);
	}
	if (rc >= 0)
		rc = raise(b, "last_table_id", b->id_max, e);
	if (rc >= 0)
		rc = raise(b, "last_file_id", b->file_id_max, e);
	if (rc >= 0)
		rc = raise(b, "last_tomb_id", b->tomb_id_max, e);
	return rc < 0 ? rc : raise(b, "last_lsn", b->lsn_max, e);
}

/* ---- taking its place ------------------------------------------------------------------------------ */

static const char *const parts[] = {"", "-wal", "-shm", "-journal"};

static void remove_fresh(struct fsck *f, int dirfd)
{
	char name[64];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(name, sizeof name, FRESH "%s", parts[i]);
		(void)f->io->unlinkat(f->io, dirfd, name, 0);
	}
}

/* The file itself last: as long as it is there, the next fsck finds it and begins anew. */
static int put_aside(struct fsck *f, int dirfd)
{
	struct stat st;
	char name[64];
	int rc = 0;

	for (size_t i = ARRAY_LEN(parts); i-- > 0 && rc >= 0;) {
		snprintf(name, sizeof name, "catalog.sqlite%s", parts[i]);
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			rc = fsck_set_aside(f, dirfd, name, DIR_DAMAGED);
	}
	return rc;
}

/* Closed, it is one file: its journal went with the last connection. */
static int install(struct fsck *f, int dirfd, const struct rebuild *b)
{
	char from[64], to[64];
	int rc = put_aside(f, dirfd);

	/* A mount would sweep away what the catalogue does not know. */
	for (uint32_t i = 0; i < b->lost && rc >= 0; i++) {
		snprintf(from, sizeof from, DIR_TABLES "/%u", b->lost_ids[i]);
		snprintf(to, sizeof to, DIR_DAMAGED "/" DIR_TABLES);
		rc = fsck_set_aside(f, dirfd, from, to);
	}
	if (rc >= 0)
		rc = f->io->renameat(f->io, dirfd, FRESH, dirfd, "catalog.sqlite");
	return rc < 0 ? rc : f->io->fsync(f->io, dirfd);
}

static int sync_file(struct fsck *f, int dirfd)
{
	int fd = f->io->openat(f->io, dirfd, FRESH, O_RDWR | O_CLOEXEC, 0);
	int rc = fd < 0 ? fd : f->io->fsync(f->io, fd);

	if (fd >= 0)
		f->io->close(f->io, fd);
	return rc;
}

/* ---- all of it --------------------------------------------------------------------------------- */

static void describe(const struct rebuild *b, char *to, size_t cap)
{
	int n = snprintf(to, cap,
			 "make it anew from the copies beside the tables (" DIR_TABLES "/*/" FILE_TABLE_COPY
			 "), with %u table%s, and keep the damaged one in " DIR_DAMAGED "/",
			 b->tables, b->tables == 1 ? "" : "s");

	if (b->lost)
		n += snprintf(to + n, cap - (size_t)n,
			      "; %u table%s without a usable copy: what there is of %s goes to " DIR_DAMAGED "/" DIR_TABLES
			      "/ (%s)",
			      b->lost, b->lost == 1 ? " is" : "s are", b->lost == 1 ? "it" : "them", b->why);
	if (!b->has_own && n < (int)cap)
		n += snprintf(to + n, cap - (size_t)n,
			      "; owners and modes that were set on the database's own files are lost (no usable " FILE_COPY ")");
	if (b->left_out && n < (int)cap)
		snprintf(to + n, cap - (size_t)n,
			 "; %u deletion%s too large to be copied: rows that had been deleted may come back, delete them again",
			 b->left_out, b->left_out == 1 ? " was" : "s were");
}

/* With repair: into a file; otherwise in memory, to see what it would come to. */
static int make(struct rebuild *b, struct err *e)
{
	struct fsck_db *d = b->d;
	struct err why = {0};
	char path[4096];

	snprintf(path, sizeof path, "%s/db/%s/" FRESH, d->f->en.path, d->name);
	remove_fresh(d->f, d->dirfd);
	int rc = catalog_open(fsck_repairs(d->f) ? path : ":memory:", false, &b->cat, e);
	if (rc < 0)
		return rc;
	rc = take_tables(b);
	if (rc >= 0) {
		int own = take_copy(b, 0, &why);
		b->has_own = own >= 0;
		rc = own == -ENOMEM ? own : 0;
	}
	if (rc >= 0)
		rc = set_counters(b, e);
	catalog_close(b->cat);
	if (rc >= 0 && fsck_repairs(d->f))
		rc = sync_file(d->f, d->dirfd);
	return rc;
}

int fsck_catalog(struct fsck_db *d, int lost, const char *what, bool *ret_rebuilt, struct err *e)
{
	struct fsck_where w = {d, NULL, "catalog.sqlite", -1};
	struct rebuild b = {.d = d};
	char how[1100];

	*ret_rebuilt = false;
	int rc = make(&b, e);
	/* A database without tables is made anew from nothing; one of which nothing is known is not. */
	bool can = rc >= 0 && (b.tables || (!b.lost && b.has_own));
	if (can) {
		if (fsck_repairs(d->f))
			rc = install(d->f, d->dirfd, &b);
		*ret_rebuilt = fsck_repairs(d->f) && rc >= 0;
		describe(&b, how, sizeof how);
	} else if (rc != -ENOMEM) {
		snprintf(how, sizeof how,
			 "restore it from a backup together with the rest of this database; nothing of it is touched until "
			 "then, and its tiles can be read by other programs%s%s%s",
			 b.why[0] ? "; it cannot be made anew: " : "", b.why, rc < 0 ? err_text(e, rc) : "");
	}
	if (!*ret_rebuilt && fsck_repairs(d->f))
		remove_fresh(d->f, d->dirfd);
	free(b.lost_ids);
	if (rc == -ENOMEM)
		return err_set(e, rc, "out of memory");
	/* Of another version: its sentence says what to do. */
	fsck_found(d->f, w, FSCK_ERROR, can, rc, can || lost != -EMEDIUMTYPE ? how : NULL, "%s", what);
	return 0;
}

/* ---- the root's ---------------------------------------------------------------------------------- */

/* It is small and has no tables: what its copy says, or nothing. */
int fsck_root_catalog(struct fsck *f, const char *what, struct err *e)
{
	struct fsck_db root = {.f = f, .dirfd = f->en.dirfd};
	struct rebuild b = {.d = &root};
	struct err why = {0};
	char path[4096];
	int rc;

	snprintf(path, sizeof path, "%s/" FRESH, f->en.path);
	remove_fresh(f, f->en.dirfd);
	rc = catalog_open(fsck_repairs(f) ? path : ":memory:", false, &b.cat, e);
	if (rc < 0)
		return rc;
	int own = take_copy(&b, 0, &why);
	catalog_close(b.cat);
	if (fsck_repairs(f))
		rc = sync_file(f, f->en.dirfd);
	if (rc >= 0 && fsck_repairs(f))
		rc = install(f, f->en.dirfd, &b);
	if (rc < 0)
		remove_fresh(f, f->en.dirfd);
	fsck_found(f, (struct fsck_where){.file = "catalog.sqlite", .off = -1}, FSCK_ERROR, true, rc,
		   own >= 0 ? "make it anew from " FILE_COPY ", and keep the damaged one in " DIR_DAMAGED "/"
			    : "begin a new one, and keep the damaged one in " DIR_DAMAGED
			      "/; owners and modes that were set on the root's own files are lost",
		   "%s", what);
	return 0;
}
