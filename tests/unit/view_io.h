/*
 * view_io: files that are views of bytes in memory, to damage one a million times without writing it.
 *
 * A view shows the first `len` bytes of its base, with one byte changed on the way to the reader, and
 * behind them whatever was written since. Setting it again costs nothing. Everything that is no view
 * (directories above all, whose listing does not go through struct io) is an ordinary file; each view
 * has an empty one of its name, so that it is listed. Syncing does nothing. One thread.
 *
 *	base    |====================^=========|         one byte flipped in what is read
 *	view    |====================x=====|+++|         cut, and appended to
 */
#ifndef TIDE_VIEW_IO_H
#define TIDE_VIEW_IO_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io.h"

#define VIEWS_MAX 64
#define VIEW_FD   (1 << 20) /* descriptors of views begin here: above all real ones */

struct view {
	char name[96]; /* in its directory */
	const uint8_t *base;
	int64_t len; /* of the base, as far as it shows */
	int64_t flip_at;
	uint8_t flip;
	uint8_t *tail; /* from len on */
	int64_t tail_len, tail_cap;
	bool exists, is_listed, was_changed;
};

struct view_io {
	struct io io;
	int dirfd; /* where the views are listed */
	int n, base_n; /* those from base_n on were made by the program under test */
	struct view v[VIEWS_MAX];
};

static inline struct view_io *view_self(const struct io *io)
{
	return io->ctx;
}

static inline struct view *view_of(const struct io *io, int fd)
{
	return fd >= VIEW_FD ? &view_self(io)->v[fd - VIEW_FD] : NULL;
}

/* A program that lists what is not there, or misses what is, is tested on something else. */
static inline void view_list(struct view_io *vio, struct view *v, bool is_there)
{
	if (v->is_listed == is_there)
		return;
	v->is_listed = is_there;
	int fd = is_there ? openat(vio->dirfd, v->name, O_CREAT | O_WRONLY | O_EXCL, 0600)
			  : unlinkat(vio->dirfd, v->name, 0);
	if (fd < 0)
		abort();
	if (is_there)
		close(fd);
}

static inline int view_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	struct view_io *vio = view_self(io);
	const char *name = strrchr(path, '/');
	struct view *v = vio->v;

	name = name ? name + 1 : path;
	while (v < vio->v + vio->n && strcmp(v->name, name) != 0)
		v++;
	if (v == vio->v + vio->n) {
		if (!(flags & O_CREAT))
			return io_posix()->openat(io_posix(), dirfd, path, flags, mode);
		if (vio->n == VIEWS_MAX)
			abort();
		*v = (struct view){.flip_at = -1};
		snprintf(v->name, sizeof v->name, "%s", name);
		vio->n++;
	}
	if (v->exists && (flags & O_EXCL))
		return -EEXIST;
	if (!v->exists && !(flags & O_CREAT))
		return -ENOENT;
	if (!v->exists) {
		v->len = v->tail_len = 0;
		v->flip_at = -1;
		v->was_changed = true;
	}
	v->exists = true;
	view_list(vio, v, true);
	return VIEW_FD + (int)(v - vio->v);
}

static inline int view_close(const struct io *io, int fd)
{
	return view_of(io, fd) ? 0 : io_posix()->close(io_posix(), fd);
}

static inline int64_t view_pread(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	struct view *v = view_of(io, fd);
	uint8_t *p = to;

	if (!v)
		return io_posix()->pread(io_posix(), fd, to, n, off);
	int64_t end = MIN(off + (int64_t)n, v->len + v->tail_len), at = off;
	if (at < MIN(end, v->len)) {
		int64_t k = MIN(end, v->len) - at;
		memcpy(p, v->base + at, (size_t)k);
		if (v->flip_at >= at && v->flip_at < at + k)
			p[v->flip_at - at] ^= v->flip;
		at += k;
	}
	if (at < end) {
		memcpy(p + (at - off), v->tail + (at - v->len), (size_t)(end - at));
		at = end;
	}
	return at - off;
}

/* Only behind the base: nothing that is tested with views writes over what it wrote. */
static inline int64_t view_pwritev(const struct io *io, int fd, const struct iovec *iov, int n, int64_t off)
{
	struct view *v = view_of(io, fd);
	int64_t done = 0;

	if (!v)
		return io_posix()->pwritev(io_posix(), fd, iov, n, off);
	for (int i = 0; i < n; i++)
		done += (int64_t)iov[i].iov_len;
	if (off < v->len || off > v->len + v->tail_len)
		abort();
	int64_t need = off - v->len + done;
	if (need > v->tail_cap) {
		v->tail_cap = MAX(need, 2 * v->tail_cap);
		v->tail = realloc(v->tail, (size_t)v->tail_cap);
		if (!v->tail)
			abort();
	}
	for (int i = 0; i < n; off += (int64_t)iov[i++].iov_len)
		memcpy(v->tail + (off - v->len), iov[i].iov_base, iov[i].iov_len);
	v->tail_len = MAX(v->tail_len, need);
	v->was_changed = true;
	return done;
}

static inline int view_ftruncate(const struct io *io, int fd, int64_t size)
{
	struct view *v = view_of(io, fd);

	if (!v)
		return io_posix()->ftruncate(io_posix(), fd, size);
	if (size > v->len + v->tail_len)
		abort();
	v->tail_len = MAX(size - v->len, 0);
	v->len = MIN(v->len, size);
	v->was_changed = true;
	return 0;
}

static inline int view_sync(const struct io *io, int fd)
{
	(void)io, (void)fd;
	return 0;
}

static inline int view_fstat(const struct io *io, int fd, struct stat *ret)
{
	struct view *v = view_of(io, fd);

	if (!v)
		return io_posix()->fstat(io_posix(), fd, ret);
	*ret = (struct stat){.st_mode = S_IFREG | 0600, .st_size = v->len + v->tail_len, .st_nlink = 1};
	return 0;
}

static inline int view_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	struct view_io *vio = view_self(io);

	for (int i = 0; i < vio->n; i++) {
		struct view *v = &vio->v[i];
		if (!v->exists || strcmp(v->name, path) != 0)
			continue;
		v->exists = false;
		v->was_changed = true;
		view_list(vio, v, false);
		return 0;
	}
	return io_posix()->unlinkat(io_posix(), dirfd, path, flags);
}

/* dirfd: the directory that the views are in; stays the caller's. */
static inline void view_io_init(struct view_io *vio, int dirfd)
{
	*vio = (struct view_io){.io = *io_posix(), .dirfd = dirfd};
	vio->io.openat = view_openat;
	vio->io.close = view_close;
	vio->io.pread = view_pread;
	vio->io.pwritev = view_pwritev;
	vio->io.ftruncate = view_ftruncate;
	vio->io.fdatasync = view_sync;
	vio->io.fsync = view_sync;
	vio->io.fstat = view_fstat;
	vio->io.unlinkat = view_unlinkat;
	vio->io.ctx = vio;
}

/* A view of n bytes, borrowed as long as vio lives. Before anything is opened. */
static inline void view_io_add(struct view_io *vio, const char *name, const void *base, int64_t n)
{
	if (vio->n == VIEWS_MAX)
		abort();
	struct view *v = &vio->v[vio->n++];
	*v = (struct view){.base = base, .len = n, .flip_at = -1};
	snprintf(v->name, sizeof v->name, "%s", name);
	vio->base_n = vio->n;
}

/* Forget what was done to view i, and show this: the first len bytes (<0: no file), one byte flipped (-1: none). */
static inline void view_io_set(struct view_io *vio, int i, int64_t len, int64_t flip_at, uint8_t flip)
{
	struct view *v = &vio->v[i];

	v->len = MAX(len, 0);
	v->tail_len = 0;
	v->flip_at = flip_at;
	v->flip = flip;
	v->exists = len >= 0;
	v->was_changed = false;
	view_list(vio, v, v->exists);
}

/* Files that the program under test made. */
static inline void view_io_drop_made(struct view_io *vio)
{
	for (; vio->n > vio->base_n; vio->n--) {
		view_list(vio, &vio->v[vio->n - 1], false);
		free(vio->v[vio->n - 1].tail);
	}
}

/* Was anything written, cut, made or removed since the views were set? */
static inline bool view_io_changed(const struct view_io *vio)
{
	bool is = vio->n > vio->base_n;

	for (int i = 0; i < vio->n; i++)
		is |= vio->v[i].was_changed;
	return is;
}

static inline void view_io_release(struct view_io *vio)
{
	view_io_drop_made(vio);
	for (int i = 0; i < vio->n; i++) {
		view_list(vio, &vio->v[i], false);
		free(vio->v[i].tail);
	}
}

#endif
