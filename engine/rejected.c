/*
 * rejected: the refused lines of a table, one JSON object a line, in a file beside its data.
 *
 * Bounded: past REJECTED_BYTES_MAX the older half goes, at a line's border. Not synced: it is a
 * report, and the sender was told by errno.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

#define REJECTED_BYTES_MAX (4 << 20)

/* Caller holds rejected_mu. */
static int rejected_open(struct table *t)
{
	const struct io *io = t->db->en->io;
	char path[128];
	struct stat st;

	if (t->rejected_fd >= 0)
		return 0;
	snprintf(path, sizeof path, "%s/rejected", t->dir);
	int flags = t->db->en->opt.read_only ? O_RDONLY : O_RDWR | O_CREAT;
	int fd = io->openat(io, t->db->dirfd, path, flags, 0600);
	if (fd < 0)
		return fd;
	int rc = io->fstat(io, fd, &st);
	if (rc < 0) {
		io->close(io, fd);
		return rc;
	}
	t->rejected_fd = fd;
	t->rejected_size = st.st_size;
	return 0;
}

/* Keep the newer half. Caller holds rejected_mu. */
static int rejected_halve(struct table *t)
{
	const struct io *io = t->db->en->io;
	size_t keep = REJECTED_BYTES_MAX / 2;
	char *p = malloc(keep);
	int rc = -ENOMEM;

	if (!p)
		return rc;
	rc = io_pread_exact(io, t->rejected_fd, p, keep, t->rejected_size - (int64_t)keep);
	if (rc >= 0) {
		char *nl = memchr(p, '\n', keep);
		size_t skip = nl ? (size_t)(nl + 1 - p) : keep;
		int64_t n = io_pwrite(io, t->rejected_fd, p + skip, keep - skip, 0);
		rc = n < 0 ? (int)n : io->ftruncate(io, t->rejected_fd, (int64_t)(keep - skip));
		if (rc >= 0)
			t->rejected_size = (int64_t)(keep - skip);
	}
	free(p);
	return rc;
}

int table_rejected_add(struct table *t, struct str json_line, struct err *e)
{
	pthread_mutex_lock(&t->rejected_mu);
	int rc = rejected_open(t);
	if (rc >= 0 && t->rejected_size + (int64_t)json_line.len > REJECTED_BYTES_MAX &&
	    t->rejected_size > REJECTED_BYTES_MAX / 2)
		rc = rejected_halve(t);
	if (rc >= 0) {
		struct iovec iov[2] = {{(void *)json_line.ptr, json_line.len}, {(void *)"\n", 1}};
		int n = json_line.len && json_line.ptr[json_line.len - 1] == '\n' ? 1 : 2;
		int64_t wrote = t->db->en->io->pwritev(t->db->en->io, t->rejected_fd, iov, n, t->rejected_size);
		if (wrote < 0) {
			rc = (int)wrote;
			(void)!t->db->en->io->ftruncate(t->db->en->io, t->rejected_fd, t->rejected_size);
		} else {
			t->rejected_size += wrote;
		}
	}
	pthread_mutex_unlock(&t->rejected_mu);
	return rc < 0 ? err_set(e, rc, "cannot write to '%s/rejected': %s", table_name(t), strerror(-rc)) : 0;
}

int64_t table_rejected_size(struct table *t)
{
	pthread_mutex_lock(&t->rejected_mu);
	int64_t n = rejected_open(t) < 0 ? 0 : t->rejected_size;
	pthread_mutex_unlock(&t->rejected_mu);
	return n;
}

int64_t table_rejected_read(struct table *t, void *to, size_t n, int64_t off, struct err *e)
{
	pthread_mutex_lock(&t->rejected_mu);
	int64_t rc = rejected_open(t);
	if (rc >= 0)
		rc = off >= t->rejected_size
			     ? 0
			     : t->db->en->io->pread(t->db->en->io, t->rejected_fd, to,
						    MIN(n, (size_t)(t->rejected_size - off)), off);
	pthread_mutex_unlock(&t->rejected_mu);
	return rc < 0 ? err_set(e, (int)rc, "cannot read '%s/rejected': %s", table_name(t), strerror((int)-rc)) : rc;
}

int table_rejected_clear(struct table *t, struct err *e)
{
	pthread_mutex_lock(&t->rejected_mu);
	int rc = rejected_open(t);
	if (rc >= 0)
		rc = t->db->en->io->ftruncate(t->db->en->io, t->rejected_fd, 0);
	if (rc >= 0)
		t->rejected_size = 0;
	pthread_mutex_unlock(&t->rejected_mu);
	return rc < 0 ? err_set(e, rc, "cannot clear '%s/rejected': %s", table_name(t), strerror(-rc)) : 0;
}
