#include "engine/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/*
 * The table that calls the system.
 *
 * A signal must not look like a disk error, so calls that may be repeated are repeated on EINTR.
 * rename, unlink, mkdir and link are not: on a network filesystem the interrupted call may have
 * been carried out, and a repetition would then report ENOENT or EEXIST for what succeeded. close
 * is not either: Linux has freed the descriptor by then, and another thread may own the number.
 */
/* The result of a system call, or its negative errno; errno itself is put back. */
#define ONCE(expr)                            \
	__extension__({                       \
		int saved_ = errno;           \
		__typeof__(expr) r_ = (expr); \
		if (r_ < 0) {                 \
			r_ = -errno;          \
			errno = saved_;       \
		}                             \
		r_;                           \
	})

#define RETRY(expr)                      \
	__extension__({                  \
		__typeof__(expr) t_;     \
		do                       \
			t_ = ONCE(expr); \
		while (t_ == -EINTR);    \
		t_;                      \
	})

static int posix_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	return RETRY(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

static int posix_close(const struct io *io, int fd)
{
	int rc = ONCE(close(fd));
	return rc == -EINTR ? 0 : rc;
}

static int64_t posix_pread(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = RETRY(pread(fd, (char *)to + done, n - done, off + (int64_t)done));
		if (r < 0)
			return r;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (int64_t)done;
}

static void posix_prefetch(const struct io *io, int fd, int64_t off, int64_t n)
{
	(void)posix_fadvise(fd, off, n, POSIX_FADV_WILLNEED);
}

#define IOV_BATCH 128 /* what one call is given: well below IOV_MAX, and small on the stack */

/* Skip `n` written bytes; v and count then describe what is left. */
static void iov_advance(struct iovec **v, int *count, size_t n)
{
	while (*count > 0 && n >= (*v)->iov_len) {
		n -= (*v)->iov_len;
		(*v)++;
		(*count)--;
	}
	if (*count > 0) {
		(*v)->iov_base = (char *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
}

static int64_t write_batch(int fd, struct iovec *v, int count, int64_t off)
{
	int64_t done = 0;

	iov_advance(&v, &count, 0); /* empty pieces would make a write of 0 bytes look stuck */
	while (count > 0) {
		ssize_t r = RETRY(pwritev(fd, v, count, off + done));
		if (r < 0)
			return r;
		if (r == 0)
			return -EIO;
		done += r;
		iov_advance(&v, &count, (size_t)r);
	}
	return done;
}

static int64_t posix_pwritev(const struct io *io, int fd, const struct iovec *iov, int n,
			     int64_t off)
{
	struct iovec v[IOV_BATCH];
	int64_t done = 0;

	for (int i = 0; i < n; i += IOV_BATCH) {
		int count = MIN(n - i, IOV_BATCH);
		memcpy(v, iov + i, sizeof *v * (size_t)count);
		int64_t r = write_batch(fd, v, count, off + done);
		if (r < 0)
			return r;
		done += r;
	}
	return done;
}

static int posix_ftruncate(const struct io *io, int fd, int64_t size)
{
	return RETRY(ftruncate(fd, size));
}

static int posix_fdatasync(const struct io *io, int fd)
{
	return RETRY(fdatasync(fd));
}

static int posix_fsync(const struct io *io, int fd)
{
	return RETRY(fsync(fd));
}

static int posix_fstat(const struct io *io, int fd, struct stat *ret)
{
	struct stat st;
	int rc = RETRY(fstat(fd, &st));

	if (rc == 0)
		*ret = st;
	return rc;
}

static int posix_renameat(const struct io *io, int from_dir, const char *from, int to_dir,
			  const char *to)
{
	return ONCE(renameat(from_dir, from, to_dir, to));
}

static int posix_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	return ONCE(unlinkat(dirfd, path, flags));
}

static int posix_mkdirat(const struct io *io, int dirfd, const char *path, mode_t mode)
{
	return ONCE(mkdirat(dirfd, path, mode));
}

static int posix_linkat(const struct io *io, int from_dir, const char *from, int to_dir,
			const char *to)
{
	return ONCE(linkat(from_dir, from, to_dir, to, 0));
}

const struct io *io_posix(void)
{
	static const struct io table = {
		.openat = posix_openat,
		.close = posix_close,
		.pread = posix_pread,
		.prefetch = posix_prefetch,
		.pwritev = posix_pwritev,
		.ftruncate = posix_ftruncate,
		.fdatasync = posix_fdatasync,
		.fsync = posix_fsync,
		.fstat = posix_fstat,
		.renameat = posix_renameat,
		.unlinkat = posix_unlinkat,
		.mkdirat = posix_mkdirat,
		.linkat = posix_linkat,
	};
	return &table;
}

int64_t io_pwrite(const struct io *io, int fd, const void *p, size_t n, int64_t off)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	return io->pwritev(io, fd, &v, 1, off);
}

int io_pread_exact(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	int64_t r = io->pread(io, fd, to, n, off);

	if (r < 0)
		return (int)r;
	return (size_t)r == n ? 0 : -EBADMSG;
}

/* The directory that holds `path`: "." for a bare name, "/" for "/name". */
static int parent_of(char *to, size_t cap, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n >= cap)
		return -ENAMETOOLONG;
	if (n == 0)
		path = ".", n = 1;
	memcpy(to, path, n);
	to[n] = '\0';
	return 0;
}

int io_sync_parent(const struct io *io, int dirfd, const char *path)
{
	char dir[PATH_MAX];
	int rc = parent_of(dir, sizeof dir, path);

	if (rc < 0)
		return rc;
	int fd = io->openat(io, dirfd, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	rc = io->fsync(io, fd);
	int rc_close = io->close(io, fd);
	return rc < 0 ? rc : rc_close;
}

/* One level. What exists must be a directory. */
static int make_one(const struct io *io, int dirfd, const char *path)
{
	int rc = io->mkdirat(io, dirfd, path, 0777);

	if (rc == 0)
		return io_sync_parent(io, dirfd, path);
	if (rc != -EEXIST)
		return rc;
	/* O_PATH: directories on the way need not be readable, as in "/home/someone/data". */
	int fd = io->openat(io, dirfd, path, O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? fd : io->close(io, fd);
}

int io_mkdirs(const struct io *io, int dirfd, const char *path)
{
	char t[PATH_MAX];
	size_t n = strlen(path);

	if (n == 0)
		return -ENOENT;
	if (n >= sizeof t)
		return -ENAMETOOLONG;
	memcpy(t, path, n + 1);
	for (size_t i = 1; i < n; i++) {
		if (t[i] != '/' || t[i - 1] == '/')
			continue;
		t[i] = '\0';
		int rc = make_one(io, dirfd, t);
		if (rc < 0)
			return rc;
		t[i] = '/';
	}
	return make_one(io, dirfd, t);
}
