/*
 * power_io: files in memory on a disk with a volatile cache, which may lose power and whose syncs may fail.
 *
 *	now    what was written: what reads give, and what kill -9 leaves
 *	disk   what survives a power cut
 *	dirty  blocks of which now is newer than the disk, and the system knows it
 *
 * A sync that succeeds brings dirty blocks to the disk. One that fails brings some of them, and the
 * system forgets of all of them that they are dirty: the next sync says success and writes nothing, as
 * Linux does. A power cut leaves the disk, with any of the dirty blocks, and any of the changes to
 * names that no sync of the directory has made safe.
 *
 * Only what lies directly in one directory; each file has an empty one of its name there, to be listed.
 * One thread.
 */
#ifndef TIDE_POWER_IO_H
#define TIDE_POWER_IO_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io.h"
#include "tests/unit/unit.h"

#define POWER_FILES 64
#define POWER_BYTES (1 << 16) /* of a file at most */
#define POWER_BLOCK 512       /* a sector, which is written as a whole; smaller than a page, so worse than one */
#define POWER_FD    (1 << 20)

struct power_file {
	char name[96];
	bool exists, on_disk; /* the name */
	bool is_listed;
	uint8_t now[POWER_BYTES], disk[POWER_BYTES];
	int64_t now_len, disk_len;
	bool dirty[POWER_BYTES / POWER_BLOCK], len_dirty;
};

struct power_io {
	struct io io;
	int dirfd;
	uint64_t rng;
	int n;
	struct power_file *files;
	int syncs;              /* calls of fdatasync and fsync so far */
	int fail_from, fail_to; /* those from..to-1 fail with EIO */
	int full_from, full_to; /* calls that need room, counted in `grows`, fail with ENOSPC */
	int grows, failed;
};

static inline struct power_io *power_self(const struct io *io)
{
	return io->ctx;
}

static inline struct power_file *power_of(const struct io *io, int fd)
{
	return fd >= POWER_FD ? &power_self(io)->files[fd - POWER_FD] : NULL;
}

static inline bool power_dice(struct power_io *p)
{
	return unit_random(&p->rng) & 1;
}

static inline void power_list(struct power_io *p, struct power_file *f)
{
	if (f->is_listed == f->exists)
		return;
	f->is_listed = f->exists;
	int fd = f->exists ? openat(p->dirfd, f->name, O_CREAT | O_WRONLY | O_EXCL, 0600) : unlinkat(p->dirfd, f->name, 0);
	if (fd < 0)
		abort();
	if (f->exists)
		close(fd);
}

static inline bool power_is_full(struct power_io *p)
{
	int at = p->grows++;
	bool is = at >= p->full_from && at < p->full_to;
	p->failed += is;
	return is;
}

static inline bool power_sync_fails(struct power_io *p)
{
	int at = p->syncs++;
	bool is = at >= p->fail_from && at < p->fail_to;
	p->failed += is;
	return is;
}

static inline int power_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	struct power_io *p = power_self(io);
	struct power_file *f = p->files;

	if (!strstr(path, ".wal"))
		return io_posix()->openat(io_posix(), dirfd, path, flags, mode);
	while (f < p->files + p->n && strcmp(f->name, path) != 0)
		f++;
	bool is_new = f == p->files + p->n || !f->exists;
	if (is_new && !(flags & O_CREAT))
		return -ENOENT;
	if (!is_new && (flags & O_EXCL))
		return -EEXIST;
	if (is_new && power_is_full(p))
		return -ENOSPC;
	if (f == p->files + p->n && p->n++ == POWER_FILES)
		abort();
	if (is_new) { /* also in place of one that was removed */
		bool is_listed = f->name[0] && f->is_listed, on_disk = f->name[0] && f->on_disk;
		memset(f, 0, sizeof *f);
		snprintf(f->name, sizeof f->name, "%s", path);
		f->is_listed = is_listed;
		f->on_disk = on_disk;
	}
	f->exists = true;
	power_list(p, f);
	return POWER_FD + (int)(f - p->files);
}

static inline int power_close(const struct io *io, int fd)
{
	return power_of(io, fd) ? 0 : io_posix()->close(io_posix(), fd);
}

static inline int64_t power_pread(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	struct power_file *f = power_of(io, fd);

	if (!f)
		return io_posix()->pread(io_posix(), fd, to, n, off);
	int64_t k = MAX(MIN((int64_t)n, f->now_len - off), 0);
	memcpy(to, f->now + off, (size_t)k);
	return k;
}

static inline int64_t power_pwritev(const struct io *io, int fd, const struct iovec *iov, int n, int64_t off)
{
	struct power_file *f = power_of(io, fd);
	int64_t at = off;

	if (!f)
		return io_posix()->pwritev(io_posix(), fd, iov, n, off);
	if (power_is_full(power_self(io)))
		return -ENOSPC;
	for (int i = 0; i < n; i++) {
		if (at + (int64_t)iov[i].iov_len > POWER_BYTES)
			abort();
		memcpy(f->now + at, iov[i].iov_base, iov[i].iov_len);
		at += (int64_t)iov[i].iov_len;
	}
	for (int64_t b = off / POWER_BLOCK; b * POWER_BLOCK < at; b++)
		f->dirty[b] = true;
	f->len_dirty |= at > f->now_len;
	f->now_len = MAX(f->now_len, at);
	return at - off;
}

static inline int power_ftruncate(const struct io *io, int fd, int64_t size)
{
	struct power_file *f = power_of(io, fd);

	if (!f)
		return io_posix()->ftruncate(io_posix(), fd, size);
	if (size < f->now_len)
		memset(f->now + size, 0, (size_t)(f->now_len - size));
	f->now_len = size;
	f->len_dirty = true;
	return 0;
}

/* Some or all of what is dirty to the disk. */
static inline void power_write_back(struct power_io *p, struct power_file *f, bool all)
{
	bool len = f->len_dirty && (all || power_dice(p));

	for (int b = 0; b < POWER_BYTES / POWER_BLOCK; b++)
		if (f->dirty[b] && (all || power_dice(p)))
			memcpy(f->disk + b * POWER_BLOCK, f->now + b * POWER_BLOCK, POWER_BLOCK);
	if (len) {
		if (f->now_len < f->disk_len)
			memset(f->disk + f->now_len, 0, (size_t)(f->disk_len - f->now_len));
		f->disk_len = f->now_len;
	}
	/* Where a write reached the disk, and the new length did not, it is behind the end of the file. */
	memset(f->dirty, 0, sizeof f->dirty);
	f->len_dirty = false;
}

static inline int power_fdatasync(const struct io *io, int fd)
{
	struct power_io *p = power_self(io);
	struct power_file *f = power_of(io, fd);

	if (!f)
		return 0;
	bool fails = power_sync_fails(p);
	power_write_back(p, f, !fails);
	return fails ? -EIO : 0;
}

/* Of the directory; its failure leaves the names as they are, and forgets. */
static inline int power_fsync(const struct io *io, int fd)
{
	struct power_io *p = power_self(io);

	if (power_of(io, fd))
		return power_fdatasync(io, fd);
	bool fails = power_sync_fails(p);
	for (int i = 0; i < p->n; i++)
		if (!fails || power_dice(p))
			p->files[i].on_disk = p->files[i].exists;
	return fails ? -EIO : 0;
}

static inline int power_fstat(const struct io *io, int fd, struct stat *ret)
{
	struct power_file *f = power_of(io, fd);

	if (!f)
		return io_posix()->fstat(io_posix(), fd, ret);
	*ret = (struct stat){.st_mode = S_IFREG | 0600, .st_size = f->now_len, .st_nlink = 1};
	return 0;
}

static inline int power_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	struct power_io *p = power_self(io);

	(void)dirfd, (void)flags;
	for (int i = 0; i < p->n; i++) {
		if (!p->files[i].exists || strcmp(p->files[i].name, path) != 0)
			continue;
		p->files[i].exists = false;
		power_list(p, &p->files[i]);
		return 0;
	}
	return -ENOENT;
}

static inline void power_init(struct power_io *p, int dirfd, uint64_t rng)
{
	*p = (struct power_io){.io = *io_posix(), .dirfd = dirfd, .rng = rng};
	p->files = calloc(POWER_FILES, sizeof *p->files);
	if (!p->files)
		abort();
	p->io.openat = power_openat;
	p->io.close = power_close;
	p->io.pread = power_pread;
	p->io.pwritev = power_pwritev;
	p->io.ftruncate = power_ftruncate;
	p->io.fdatasync = power_fdatasync;
	p->io.fsync = power_fsync;
	p->io.fstat = power_fstat;
	p->io.unlinkat = power_unlinkat;
	p->io.ctx = p;
}

static inline void power_release(struct power_io *p)
{
	for (int i = 0; i < p->n; i++) {
		p->files[i].exists = false;
		power_list(p, &p->files[i]);
	}
	free(p->files);
}

/* The disk works again. */
static inline void power_heal(struct power_io *p)
{
	p->fail_from = p->fail_to = p->full_from = p->full_to = 0;
}

/* Nobody may have a file open. */
static inline void power_cut(struct power_io *p)
{
	for (int i = 0; i < p->n; i++) {
		struct power_file *f = &p->files[i];
		power_write_back(p, f, false);
		if (f->exists != f->on_disk)
			f->on_disk = power_dice(p);
		f->exists = f->on_disk;
		memcpy(f->now, f->disk, sizeof f->now);
		memset(f->now + f->disk_len, 0, (size_t)(POWER_BYTES - f->disk_len));
		memcpy(f->disk, f->now, sizeof f->disk);
		f->now_len = f->disk_len;
		power_list(p, f);
	}
}

#endif
