/*
 * The twin of io_posix() for tests: every call is first shown to a list of rules.
 *
 * Which file a call means: rules match by path, calls on a descriptor have none, so openat()
 * notes one per descriptor: that of the directory it was given, if that was opened here as well,
 * and its own. A file renamed later keeps the path it was opened by.
 *
 *	fd    path                      rule: pwritev, "wal/"
 *	 7 -> "db/wal/00000001"   <---  strikes
 *	 8 -> "db/tiles/x.parquet"
 *
 * Every rule that fits a call counts it, also when another one struck first; of those that strike,
 * all delays are served and then the oldest other rule decides. Locking: one mutex guards rules and
 * paths and is never held across a system call or a sleep.
 */
#include "engine/io.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct rule {
	struct rule *next;
	struct io_rule r; /* its op and path are copies */
	int seen;         /* calls that fitted */
};

struct fault_io {
	struct io io; /* io.ctx is this struct */
	pthread_mutex_t mu;
	struct rule *rules; /* guarded by mu; oldest first */
	char **paths;       /* guarded by mu; by descriptor, NULL: not opened here */
	int path_count;     /* guarded by mu */
	int hits;           /* guarded by mu */
};

/* What a call has to do about the rules. */
struct verdict {
	bool strikes;
	enum io_fault_kind kind; /* never IO_DELAY */
	int rc;                  /* negative errno of IO_FAIL and IO_TEAR */
	int64_t arg;
};

static const char *const ops[] = {
	"openat", "close", "pread",    "pwritev",  "ftruncate", "fdatasync",
	"fsync",  "fstat", "renameat", "unlinkat", "mkdirat",   "linkat",
};

/* Dropping needs a call whose success says nothing more than "done". */
static bool kind_fits(enum io_fault_kind kind, const char *op)
{
	switch (kind) {
	case IO_TEAR:
		return strcmp(op, "pwritev") == 0;
	case IO_FLIP:
		return strcmp(op, "pread") == 0;
	case IO_DROP:
		return strcmp(op, "openat") && strcmp(op, "close") && strcmp(op, "pread") &&
		       strcmp(op, "fstat");
	case IO_FAIL:
	case IO_DELAY:
		return true;
	}
	return false;
}

static struct fault_io *self(const struct io *io)
{
	return io->ctx;
}

static const char *fd_path(const struct fault_io *f, int fd)
{
	return fd >= 0 && fd < f->path_count && f->paths[fd] ? f->paths[fd] : "";
}

/* The path of `name` below dirfd, as far as it is known. Caller holds mu. */
static void join(const struct fault_io *f, char to[PATH_MAX], int dirfd, const char *name)
{
	const char *dir = name[0] == '/' ? "" : fd_path(f, dirfd);

	snprintf(to, PATH_MAX, "%s%s%s", dir, *dir ? "/" : "", name);
}

static void nap(int64_t ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};
	int saved = errno;

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* Caller holds mu. b may be NULL: the call has one path. */
static bool rule_strikes(struct rule *u, const char *op, const char *a, const char *b)
{
	const struct io_rule *r = &u->r;

	if (strcmp(r->op, op) != 0)
		return false;
	if (!strstr(a, r->path) && !(b && strstr(b, r->path)))
		return false;
	u->seen++;
	return u->seen >= r->first && (r->count < 0 || u->seen - r->first < r->count);
}

/* Caller holds mu; gives it up, to sleep. */
static struct verdict judge_unlock(struct fault_io *f, const char *op, const char *a, const char *b)
{
	struct verdict v = {0};
	int64_t delay_ms = 0;

	for (struct rule *u = f->rules; u; u = u->next) {
		if (!rule_strikes(u, op, a, b))
			continue;
		if (u->r.kind == IO_DELAY) {
			f->hits++;
			delay_ms += u->r.arg;
		} else if (!v.strikes) {
			f->hits++;
			v = (struct verdict){true, u->r.kind, -u->r.error, u->r.arg};
		}
	}
	pthread_mutex_unlock(&f->mu);
	if (delay_ms > 0)
		nap(delay_ms);
	return v;
}

static struct verdict judge_fd(struct fault_io *f, const char *op, int fd)
{
	pthread_mutex_lock(&f->mu);
	/* The path may go once mu does, but judging is over by then. */
	return judge_unlock(f, op, fd_path(f, fd), NULL);
}

static struct verdict judge_path(struct fault_io *f, const char *op, int dirfd, const char *path)
{
	char full[PATH_MAX];

	pthread_mutex_lock(&f->mu);
	join(f, full, dirfd, path);
	return judge_unlock(f, op, full, NULL);
}

static struct verdict judge_paths(struct fault_io *f, const char *op, int from_dir,
				  const char *from, int to_dir, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];

	pthread_mutex_lock(&f->mu);
	join(f, a, from_dir, from);
	join(f, b, to_dir, to);
	return judge_unlock(f, op, a, b);
}

/* Calls that return 0: failed, dropped, or carried out by the caller (false). */
static bool decided(const struct verdict *v, int *ret_rc)
{
	if (!v->strikes)
		return false;
	*ret_rc = v->kind == IO_DROP ? 0 : v->rc;
	return true;
}

static void path_remember(struct fault_io *f, int fd, int dirfd, const char *name)
{
	char full[PATH_MAX];

	pthread_mutex_lock(&f->mu);
	if (fd >= f->path_count) {
		int n = MAX(fd + 1, f->path_count * 2);
		char **p = realloc(f->paths, sizeof *p * (size_t)n);
		if (!p)
			abort(); /* a test without memory proves nothing */
		memset(p + f->path_count, 0, sizeof *p * (size_t)(n - f->path_count));
		f->paths = p;
		f->path_count = n;
	}
	join(f, full, dirfd, name);
	free(f->paths[fd]);
	f->paths[fd] = strdup(full);
	pthread_mutex_unlock(&f->mu);
}

static void path_forget(struct fault_io *f, int fd)
{
	pthread_mutex_lock(&f->mu);
	if (fd >= 0 && fd < f->path_count) {
		free(f->paths[fd]);
		f->paths[fd] = NULL;
	}
	pthread_mutex_unlock(&f->mu);
}

static int fault_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	struct verdict v = judge_path(self(io), "openat", dirfd, path);

	if (v.strikes)
		return v.rc;
	int fd = io_posix()->openat(io_posix(), dirfd, path, flags, mode);
	if (fd >= 0)
		path_remember(self(io), fd, dirfd, path);
	return fd;
}

/* A failing close has closed all the same, as on Linux. */
static int fault_close(const struct io *io, int fd)
{
	struct verdict v = judge_fd(self(io), "close", fd);

	/* First: once it is closed another thread may be given the number. */
	path_forget(self(io), fd);
	int rc = io_posix()->close(io_posix(), fd);
	return v.strikes ? v.rc : rc;
}

static int64_t fault_pread(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	struct verdict v = judge_fd(self(io), "pread", fd);

	if (v.strikes && v.kind == IO_FAIL)
		return v.rc;
	int64_t got = io_posix()->pread(io_posix(), fd, to, n, off);
	if (v.strikes && v.kind == IO_FLIP && v.arg >= 0 && v.arg < got)
		((uint8_t *)to)[v.arg] ^= (uint8_t)(1 << (v.arg & 7));
	return got;
}

static void fault_prefetch(const struct io *io, int fd, int64_t off, int64_t n)
{
}

/* Write the first `bytes` of what was asked for. */
static int64_t write_part(int fd, const struct iovec *iov, int n, int64_t off, int64_t bytes)
{
	int64_t done = 0;

	for (int i = 0; i < n && done < bytes; i++) {
		size_t piece = MIN(iov[i].iov_len, (size_t)(bytes - done));
		int64_t r = io_pwrite(io_posix(), fd, iov[i].iov_base, piece, off + done);
		if (r < 0)
			return r;
		done += r;
	}
	return done;
}

static int64_t fault_pwritev(const struct io *io, int fd, const struct iovec *iov, int n,
			     int64_t off)
{
	struct verdict v = judge_fd(self(io), "pwritev", fd);
	int64_t total = 0;

	if (!v.strikes)
		return io_posix()->pwritev(io_posix(), fd, iov, n, off);
	if (v.kind == IO_TEAR) {
		int64_t r = write_part(fd, iov, n, off, v.arg);
		return r < 0 ? r : v.rc;
	}
	if (v.kind == IO_FAIL)
		return v.rc;
	for (int i = 0; i < n; i++)
		total += (int64_t)iov[i].iov_len;
	return total;
}

static int fault_ftruncate(const struct io *io, int fd, int64_t size)
{
	struct verdict v = judge_fd(self(io), "ftruncate", fd);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->ftruncate(io_posix(), fd, size);
}

static int fault_fdatasync(const struct io *io, int fd)
{
	struct verdict v = judge_fd(self(io), "fdatasync", fd);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->fdatasync(io_posix(), fd);
}

static int fault_fsync(const struct io *io, int fd)
{
	struct verdict v = judge_fd(self(io), "fsync", fd);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->fsync(io_posix(), fd);
}

static int fault_fstat(const struct io *io, int fd, struct stat *ret)
{
	struct verdict v = judge_fd(self(io), "fstat", fd);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->fstat(io_posix(), fd, ret);
}

static int fault_renameat(const struct io *io, int from_dir, const char *from, int to_dir,
			  const char *to)
{
	struct verdict v = judge_paths(self(io), "renameat", from_dir, from, to_dir, to);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->renameat(io_posix(), from_dir, from, to_dir, to);
}

static int fault_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	struct verdict v = judge_path(self(io), "unlinkat", dirfd, path);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->unlinkat(io_posix(), dirfd, path, flags);
}

static int fault_mkdirat(const struct io *io, int dirfd, const char *path, mode_t mode)
{
	struct verdict v = judge_path(self(io), "mkdirat", dirfd, path);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->mkdirat(io_posix(), dirfd, path, mode);
}

static int fault_linkat(const struct io *io, int from_dir, const char *from, int to_dir,
			const char *to)
{
	struct verdict v = judge_paths(self(io), "linkat", from_dir, from, to_dir, to);
	int rc;

	return decided(&v, &rc) ? rc : io_posix()->linkat(io_posix(), from_dir, from, to_dir, to);
}

struct io *io_fault_create(void)
{
	struct fault_io *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	pthread_mutex_init(&f->mu, NULL);
	f->io = (struct io){
		.openat = fault_openat,
		.close = fault_close,
		.pread = fault_pread,
		.prefetch = fault_prefetch,
		.pwritev = fault_pwritev,
		.ftruncate = fault_ftruncate,
		.fdatasync = fault_fdatasync,
		.fsync = fault_fsync,
		.fstat = fault_fstat,
		.renameat = fault_renameat,
		.unlinkat = fault_unlinkat,
		.mkdirat = fault_mkdirat,
		.linkat = fault_linkat,
		.ctx = f,
	};
	return &f->io;
}

void io_fault_destroy(struct io *io)
{
	if (!io)
		return;
	struct fault_io *f = self(io);
	io_fault_clear(io);
	for (int i = 0; i < f->path_count; i++)
		free(f->paths[i]);
	free(f->paths);
	pthread_mutex_destroy(&f->mu);
	free(f);
}

/* A misspelt rule would let a test pass that tests nothing. */
static bool rule_valid(const struct io_rule *r)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		known |= strcmp(r->op, ops[i]) == 0;
	bool fails = r->kind == IO_FAIL || r->kind == IO_TEAR;
	return known && kind_fits(r->kind, r->op) && r->first >= 1 && r->count >= -1 &&
	       (!fails || r->error > 0) && r->arg >= 0;
}

void io_fault_add(struct io *io, const struct io_rule *rule)
{
	struct fault_io *f = self(io);
	struct rule *u = calloc(1, sizeof *u);

	if (!u || !rule_valid(rule)) {
		fprintf(stderr, "io_fault_add: rule for '%s' makes no sense\n", rule->op);
		abort();
	}
	u->r = *rule;
	u->r.op = strdup(rule->op);
	u->r.path = strdup(rule->path ? rule->path : "");
	if (!u->r.op || !u->r.path)
		abort();
	pthread_mutex_lock(&f->mu);
	struct rule **at = &f->rules;
	while (*at)
		at = &(*at)->next;
	*at = u;
	pthread_mutex_unlock(&f->mu);
}

void io_fault_clear(struct io *io)
{
	struct fault_io *f = self(io);

	pthread_mutex_lock(&f->mu);
	while (f->rules) {
		struct rule *u = f->rules;
		f->rules = u->next;
		free((char *)(uintptr_t)u->r.op);
		free((char *)(uintptr_t)u->r.path);
		free(u);
	}
	pthread_mutex_unlock(&f->mu);
}

int io_fault_hits(const struct io *io)
{
	struct fault_io *f = self(io);

	pthread_mutex_lock(&f->mu);
	int hits = f->hits;
	pthread_mutex_unlock(&f->mu);
	return hits;
}
