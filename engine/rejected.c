/*
 * rejected: refused lines, one JSON object a line, in a file beside the data of their table, or in the
 * cell where no table is named.
 *
 * Bounded: past REJECTED_BYTES_MAX the older half goes, at a line's border. Not synced: it is a
 * report, and the sender was told by errno.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

#define REJECTED_BYTES_MAX (4 << 20)

void rejected_init(struct rejected_log *r, struct db *db, const char *path)
{
	*r = (struct rejected_log){.db = db, .fd = -1};
	snprintf(r->path, sizeof r->path, "%s", path);
	pthread_mutex_init(&r->mu, NULL);
}

void rejected_release(struct rejected_log *r)
{
	if (r->fd >= 0)
		r->db->en->io->close(r->db->en->io, r->fd);
	pthread_mutex_destroy(&r->mu);
}

struct rejected_log *table_rejected(struct table *t)
{
	return &t->rejected;
}

struct rejected_log *db_rejected(struct db *db)
{
	return &db->rejected;
}

/* Caller holds mu. */
static int open_file(struct rejected_log *r)
{
	const struct io *io = r->db->en->io;
	struct stat st;

	if (r->fd >= 0)
		return 0;
	if (r->db->dirfd < 0)
		return -ENOENT; /* of a database that could not be opened */
	int flags = r->db->en->opt.read_only ? O_RDONLY : O_RDWR | O_CREAT;
	int fd = io->openat(io, r->db->dirfd, r->path, flags, 0600);
	if (fd < 0)
		return fd;
	int rc = io->fstat(io, fd, &st);
	if (rc < 0) {
		io->close(io, fd);
		return rc;
	}
	r->fd = fd;
	r->size = st.st_size;
	return 0;
}

/* Keep the newer half. Caller holds mu. */
static int halve(struct rejected_log *r)
{
	const struct io *io = r->db->en->io;
	size_t keep = REJECTED_BYTES_MAX / 2;
	char *p = malloc(keep);
	int rc = -ENOMEM;

	if (!p)
		return rc;
	rc = io_pread_exact(io, r->fd, p, keep, r->size - (int64_t)keep);
	if (rc >= 0) {
		char *nl = memchr(p, '\n', keep);
		size_t skip = nl ? (size_t)(nl + 1 - p) : keep;
		int64_t n = io_pwrite(io, r->fd, p + skip, keep - skip, 0);
		rc = n < 0 ? (int)n : io->ftruncate(io, r->fd, (int64_t)(keep - skip));
		if (rc >= 0)
			r->size = (int64_t)(keep - skip);
	}
	free(p);
	return rc;
}

static int failed(const struct rejected_log *r, const char *what, int rc, struct err *e)
{
	return err_set(e, rc, "cannot %s '%s/%s': %s", what, r->db->name, r->path, strerror(-rc));
}

int rejected_add(struct rejected_log *r, struct str json_line, struct err *e)
{
	const struct io *io = r->db->en->io;

	atomic_fetch_add(&r->lines, 1);
	pthread_mutex_lock(&r->mu);
	int rc = open_file(r);
	if (rc >= 0 && r->size + (int64_t)json_line.len > REJECTED_BYTES_MAX && r->size > REJECTED_BYTES_MAX / 2)
		rc = halve(r);
	if (rc >= 0) {
		struct iovec iov[2] = {{(void *)json_line.ptr, json_line.len}, {(void *)"\n", 1}};
		int n = json_line.len && json_line.ptr[json_line.len - 1] == '\n' ? 1 : 2;
		int64_t wrote = io->pwritev(io, r->fd, iov, n, r->size);
		if (wrote < 0) {
			rc = (int)wrote;
			(void)!io->ftruncate(io, r->fd, r->size);
		} else {
			r->size += wrote;
		}
	}
	pthread_mutex_unlock(&r->mu);
	return rc < 0 ? failed(r, "write to", rc, e) : 0;
}

int64_t rejected_size(struct rejected_log *r)
{
	pthread_mutex_lock(&r->mu);
	int64_t n = open_file(r) < 0 ? 0 : r->size;
	pthread_mutex_unlock(&r->mu);
	return n;
}

int64_t rejected_read(struct rejected_log *r, void *to, size_t n, int64_t off, struct err *e)
{
	pthread_mutex_lock(&r->mu);
	int64_t rc = open_file(r);
	if (rc >= 0)
		rc = off >= r->size ? 0
				    : r->db->en->io->pread(r->db->en->io, r->fd, to,
							   MIN(n, (size_t)(r->size - off)), off);
	pthread_mutex_unlock(&r->mu);
	if (rc == -ENOENT)
		return 0; /* opened for reading only, and there is none yet */
	return rc < 0 ? failed(r, "read", (int)rc, e) : rc;
}

int rejected_clear(struct rejected_log *r, struct err *e)
{
	pthread_mutex_lock(&r->mu);
	int rc = open_file(r);
	if (rc >= 0)
		rc = r->db->en->io->ftruncate(r->db->en->io, r->fd, 0);
	if (rc >= 0)
		r->size = 0;
	pthread_mutex_unlock(&r->mu);
	return rc < 0 ? failed(r, "clear", rc, e) : 0;
}
