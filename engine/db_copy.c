/*
 * db_copy: the copies of the catalogue beside what they speak of (catalog_copy.c), kept up.
 *
 *	<cell>/catalog.json             the database itself; also of the root, in DATA_DIR
 *	<cell>/tables/<id>/table.json   a table
 *
 * Each is written anew after each commit that changes what it says, under another name and then renamed. It is
 * not synced: it serves when the catalogue is damaged, and not beside that also cut off by a power cut. A
 * failure (a full disk) leaves an older copy, and is nobody's trouble.
 */
#include "engine/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES_MAX ((size_t)64 << 20)

void copy_path(char to[COPY_PATH], uint32_t table_id)
{
	if (table_id)
		snprintf(to, COPY_PATH, DIR_TABLES "/%u/" FILE_TABLE_COPY, table_id);
	else
		snprintf(to, COPY_PATH, FILE_COPY);
}

int check_catalog_there(int dirfd, const char *path, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, "catalog.sqlite", &st, 0) == 0 ? st.st_size > 0 : errno != ENOENT)
		return 0;
	if (faccessat(dirfd, FILE_COPY, F_OK, 0) < 0)
		return -ENOENT;
	return err_set(e, -EBADMSG,
		       "the catalogue '%scatalog.sqlite' is missing or empty; `tidefs fsck DATA_DIR --repair` can make it anew",
		       path);
}

static int write_copy(const struct io *io, int dirfd, const char *path, const struct buf *text)
{
	char tmp[COPY_PATH + 8];

	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	int fd = io->openat(io, dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd;
	int64_t rc = io_pwrite(io, fd, text->data, text->len, 0);
	io->close(io, fd);
	if (rc >= 0)
		rc = io->renameat(io, dirfd, tmp, dirfd, path);
	if (rc < 0)
		(void)io->unlinkat(io, dirfd, tmp, 0);
	return (int)MIN(rc, 0);
}

static void changed(void *ctx, uint32_t table_id)
{
	struct db *db = ctx;
	const struct io *io = db->en->io;
	char path[COPY_PATH];
	struct buf text;

	copy_path(path, table_id);
	buf_init(&text, COPY_BYTES_MAX);
	int rc = catalog_copy_print(db->cat, table_id, &text, NULL);
	if (rc >= 0)
		(void)!write_copy(io, db->dirfd, path, &text);
	else if (rc == -ENOENT) /* it was dropped: nothing must bring it back */
		(void)io->unlinkat(io, db->dirfd, path, 0);
	buf_release(&text);
}

static void write_missing(struct db *db, uint32_t table_id)
{
	char path[COPY_PATH];

	copy_path(path, table_id);
	if (faccessat(db->dirfd, path, F_OK, 0) < 0)
		changed(db, table_id);
}

void copies_begin(struct db *db)
{
	write_missing(db, 0);
	for (struct table *t = db->tables; t; t = t->next)
		write_missing(db, t->meta.id);
	catalog_on_change(db->cat, changed, db);
}
