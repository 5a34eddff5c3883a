/*
 * io: every call that reaches a disk, as one small table of functions.
 *
 * The engine never calls open, pread, write, fsync or rename itself: it goes through the `struct io`
 * it was given, so a test can fail, tear, delay or drop each call (io_fault_create()). All calls
 * return >= 0 or a negative errno; none touches errno. Descriptors are ordinary ones. Any thread.
 */
#ifndef TIDE_IO_H
#define TIDE_IO_H

#include <sys/stat.h>
#include <sys/uio.h>

#include "engine/base/base.h"

struct io {
	int (*openat)(const struct io *io, int dirfd, const char *path, int flags, mode_t mode);
	int (*close)(const struct io *io, int fd);
	/* Whole transfers: a short pread means end of file; pwritev writes all or fails (what was
	 * written before the failure stays: the caller truncates). */
	int64_t (*pread)(const struct io *io, int fd, void *to, size_t n, int64_t off);
	/* These bytes will be wanted soon: a hint that costs nothing where it is not taken, and cannot fail. */
	void (*prefetch)(const struct io *io, int fd, int64_t off, int64_t n);
	int64_t (*pwritev)(const struct io *io, int fd, const struct iovec *iov, int n, int64_t off);
	int (*ftruncate)(const struct io *io, int fd, int64_t size);
	int (*fdatasync)(const struct io *io, int fd);
	int (*fsync)(const struct io *io, int fd); /* files and directories */
	int (*fstat)(const struct io *io, int fd, struct stat *ret);
	int (*renameat)(const struct io *io, int from_dir, const char *from, int to_dir, const char *to);
	int (*unlinkat)(const struct io *io, int dirfd, const char *path, int flags);
	int (*mkdirat)(const struct io *io, int dirfd, const char *path, mode_t mode);
	int (*linkat)(const struct io *io, int from_dir, const char *from, int to_dir, const char *to);
	void *ctx;
};

const struct io *io_posix(void);

/* One buffer instead of an iovec. */
int64_t io_pwrite(const struct io *io, int fd, const void *p, size_t n, int64_t off);

/* Exactly n bytes at off, or -EBADMSG where the file ends sooner. */
int io_pread_exact(const struct io *io, int fd, void *to, size_t n, int64_t off);

/* mkdir -p below dirfd; existing directories are fine. New ones have their parent synced. */
int io_mkdirs(const struct io *io, int dirfd, const char *path);

/* fsync the directory that holds `path` (below dirfd). */
int io_sync_parent(const struct io *io, int dirfd, const char *path);

/*
 * A twin for tests: calls go to posix, unless a rule says otherwise. A rule names the operation
 * ("pwritev", "fdatasync", ...), a substring of the file's path ("" = any), which matching call it
 * begins with (1 = the next), how many it hits (-1 = all) and what happens then.
 */
enum io_fault_kind {
	IO_FAIL,  /* return -error; nothing was done */
	IO_TEAR,  /* pwritev: write the first `arg` bytes, then fail with -error */
	IO_DELAY, /* sleep `arg` milliseconds, then do it */
	IO_DROP,  /* say success, do nothing (a lying disk) */
	IO_FLIP,  /* pread: flip one bit of the byte at `arg` of the buffer */
};

struct io_rule {
	const char *op;
	const char *path;
	int first;
	int count;
	enum io_fault_kind kind;
	int error; /* positive errno */
	int64_t arg;
};

struct io *io_fault_create(void); /* given; io_fault_destroy() */
void io_fault_destroy(struct io *io);
void io_fault_add(struct io *io, const struct io_rule *rule); /* copied */
void io_fault_clear(struct io *io);
int io_fault_hits(const struct io *io); /* how often any rule struck */

#endif
