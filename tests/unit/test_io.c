/*
 * The table that calls the system, and its twin that lies, tears and fails.
 */
#include "engine/io.h"
#include "tests/unit/unit.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

static const struct io *posix;
static int dir;
static char path[64];

static void setup(void)
{
	posix = io_posix();
	dir = unit_dir(path);
}

static void teardown(void)
{
	unit_dir_remove(dir, path);
}

static int create(const struct io *io, const char *name)
{
	int fd = io->openat(io, dir, name, O_RDWR | O_CREAT | O_EXCL, 0644);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* --- posix --- */

START_TEST(writes_and_reads_whole)
{
	enum { N = 3000, PIECE = 37 };
	static char data[N][PIECE], back[N * PIECE + 100];
	struct iovec iov[N];
	int fd = create(posix, "f");

	/* More pieces than one call may have (IOV_MAX), empty ones among them. */
	int64_t want = 0;
	for (int i = 0; i < N; i++) {
		memset(data[i], 'a' + i % 26, PIECE);
		iov[i] = (struct iovec){data[i], i % 5 ? PIECE : 0};
		want += (int64_t)iov[i].iov_len;
	}
	ck_assert_int_eq(posix->pwritev(posix, fd, iov, N, 11), want);
	ck_assert_int_eq(posix->pread(posix, fd, back, sizeof back, 11), want);
	char *p = back;
	for (int i = 0; i < N; i++) {
		ck_assert(memcmp(p, data[i], iov[i].iov_len) == 0);
		p += iov[i].iov_len;
	}
	ck_assert_int_eq(posix->pread(posix, fd, back, 10, 11 + want), 0);
	ck_assert_int_eq(posix->pwritev(posix, fd, iov, 0, 0), 0);
	ck_assert_int_eq(posix->pwritev(posix, fd, iov, 1, 0), 0); /* an empty one */

	ck_assert_int_eq(io_pwrite(posix, fd, "xyz", 3, 2), 3);
	ck_assert_int_eq(io_pread_exact(posix, fd, back, 3, 2), 0);
	ck_assert(memcmp(back, "xyz", 3) == 0);
	ck_assert_int_eq(io_pread_exact(posix, fd, back, 100, want), -EBADMSG);
	ck_assert_int_eq(io_pread_exact(posix, fd, back, 0, 1 << 30), 0);

	struct stat st;
	ck_assert_int_eq(posix->fstat(posix, fd, &st), 0);
	ck_assert_int_eq(st.st_size, 11 + want);
	ck_assert_int_eq(posix->ftruncate(posix, fd, 5), 0);
	ck_assert_int_eq(posix->fdatasync(posix, fd), 0);
	ck_assert_int_eq(posix->fsync(posix, fd), 0);
	ck_assert_int_eq(posix->fstat(posix, fd, &st), 0);
	ck_assert_int_eq(st.st_size, 5);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(posix->close(posix, fd), 0);
}
END_TEST

START_TEST(errors_are_negative_errnos)
{
	struct stat st;
	char c;

	errno = 0;
	ck_assert_int_eq(posix->openat(posix, dir, "none", O_RDONLY, 0), -ENOENT);
	ck_assert_int_eq(posix->pread(posix, -1, &c, 1, 0), -EBADF);
	ck_assert_int_eq(io_pwrite(posix, -1, &c, 1, 0), -EBADF);
	ck_assert_int_eq(posix->ftruncate(posix, -1, 0), -EBADF);
	ck_assert_int_eq(posix->fdatasync(posix, -1), -EBADF);
	ck_assert_int_eq(posix->fsync(posix, -1), -EBADF);
	ck_assert_int_eq(posix->fstat(posix, -1, &st), -EBADF);
	ck_assert_int_eq(posix->close(posix, -1), -EBADF);
	ck_assert_int_eq(posix->renameat(posix, dir, "none", dir, "x"), -ENOENT);
	ck_assert_int_eq(posix->unlinkat(posix, dir, "none", 0), -ENOENT);
	ck_assert_int_eq(posix->linkat(posix, dir, "none", dir, "x"), -ENOENT);
	ck_assert_int_eq(posix->mkdirat(posix, dir, ".", 0755), -EEXIST);
	ck_assert_int_eq(io_pread_exact(posix, -1, &c, 1, 0), -EBADF);
	ck_assert_int_eq(errno, 0);
}
END_TEST

START_TEST(names_can_be_changed)
{
	posix->close(posix, create(posix, "a"));
	ck_assert_int_eq(posix->linkat(posix, dir, "a", dir, "b"), 0);
	ck_assert_int_eq(posix->renameat(posix, dir, "a", dir, "c"), 0);
	ck_assert_int_eq(posix->unlinkat(posix, dir, "b", 0), 0);
	ck_assert_int_eq(faccessat(dir, "a", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(dir, "b", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(dir, "c", F_OK, 0), 0);
	ck_assert_int_eq(posix->mkdirat(posix, dir, "d", 0755), 0);
	ck_assert_int_eq(posix->unlinkat(posix, dir, "d", AT_REMOVEDIR), 0);
}
END_TEST

/*
 * A limit on the file's size makes the kernel write less than it was given, then refuse: the rest
 * of a short write is tried, and what went wrong then is told.
 */
START_TEST(a_short_write_goes_on)
{
	struct rlimit lim = {1000, 1000};
	char a[600], b[600], back[1000];
	struct iovec iov[] = {{a, sizeof a}, {b, sizeof b}};
	int fd = create(posix, "f");

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	ck_assert_int_eq(posix->pwritev(posix, fd, iov, 2, 0), -EFBIG);
	ck_assert_int_eq(posix->pread(posix, fd, back, sizeof back, 0), 1000);
	ck_assert(back[599] == 'a' && back[600] == 'b' && back[999] == 'b');
}
END_TEST

static void on_alarm(int sig)
{
}

static void *open_late(void *fifo)
{
	sigset_t all;

	sigfillset(&all); /* signals are for the reader */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	nanosleep(&(struct timespec){.tv_nsec = 50 * NS_PER_MS}, NULL);
	return (void *)(intptr_t)open(fifo, O_WRONLY | O_CLOEXEC);
}

/* Opening a fifo blocks until a writer comes; fifty signals come before. */
START_TEST(signals_do_not_show)
{
	char fifo[96];
	struct sigaction sa = {.sa_handler = on_alarm}; /* no SA_RESTART */
	struct itimerval often = {{0, 1000}, {0, 1000}}, never = {0};
	pthread_t t;
	void *writer;

	snprintf(fifo, sizeof fifo, "%s/fifo", path);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	sigaction(SIGALRM, &sa, NULL);
	pthread_create(&t, NULL, open_late, fifo);
	setitimer(ITIMER_REAL, &often, NULL);
	int fd = posix->openat(posix, dir, "fifo", O_RDONLY, 0);
	setitimer(ITIMER_REAL, &never, NULL);
	ck_assert_int_ge(fd, 0);
	pthread_join(t, &writer);
	ck_assert_int_ge((intptr_t)writer, 0);
}
END_TEST

START_TEST(makes_directories)
{
	char deep[PATH_MAX + 10];

	ck_assert_int_eq(io_mkdirs(posix, dir, "a/b/c"), 0);
	ck_assert_int_eq(io_mkdirs(posix, dir, "a/b/c"), 0);
	ck_assert_int_eq(io_mkdirs(posix, dir, "a//b/x/"), 0);
	ck_assert_int_eq(io_mkdirs(posix, dir, "."), 0);
	ck_assert_int_eq(faccessat(dir, "a/b/c", X_OK, 0), 0);
	ck_assert_int_eq(faccessat(dir, "a/b/x", X_OK, 0), 0);
	snprintf(deep, sizeof deep, "%s/abs/olute", path);
	ck_assert_int_eq(io_mkdirs(posix, AT_FDCWD, deep), 0);
	ck_assert_int_eq(faccessat(dir, "abs/olute", X_OK, 0), 0);

	posix->close(posix, create(posix, "file"));
	ck_assert_int_eq(io_mkdirs(posix, dir, "file"), -ENOTDIR);
	ck_assert_int_eq(io_mkdirs(posix, dir, "file/x"), -ENOTDIR);
	ck_assert_int_eq(io_mkdirs(posix, dir, ""), -ENOENT);
	memset(deep, 'x', sizeof deep);
	deep[PATH_MAX] = '\0';
	ck_assert_int_eq(io_mkdirs(posix, dir, deep), -ENAMETOOLONG);
	ck_assert_int_eq(io_sync_parent(posix, dir, "a/b/c"), 0);
	ck_assert_int_eq(io_sync_parent(posix, dir, "name"), 0);
	ck_assert_int_eq(io_sync_parent(posix, dir, "/"), 0);
	ck_assert_int_eq(io_sync_parent(posix, dir, "none/name"), -ENOENT);
}
END_TEST

/* --- the twin --- */

static struct io *twin(const struct io_rule *rule)
{
	struct io *io = io_fault_create();
	if (rule)
		io_fault_add(io, rule);
	return io;
}

START_TEST(twin_passes_through)
{
	struct io *io = twin(NULL);
	struct stat st;
	char back[8] = {0};

	ck_assert_int_eq(io_mkdirs(io, dir, "x/y"), 0);
	int fd = create(io, "x/y/f");
	ck_assert_int_eq(io_pwrite(io, fd, "hello", 5, 0), 5);
	ck_assert_int_eq(io->fdatasync(io, fd), 0);
	ck_assert_int_eq(io->ftruncate(io, fd, 4), 0);
	ck_assert_int_eq(io->pread(io, fd, back, 8, 0), 4);
	ck_assert_str_eq(back, "hell");
	ck_assert_int_eq(io->fstat(io, fd, &st), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(io->close(io, fd), 0);
	ck_assert_int_eq(io->linkat(io, dir, "x/y/f", dir, "g"), 0);
	ck_assert_int_eq(io->renameat(io, dir, "g", dir, "h"), 0);
	ck_assert_int_eq(io->unlinkat(io, dir, "h", 0), 0);
	ck_assert_int_eq(io_sync_parent(io, dir, "x/y"), 0);
	ck_assert_int_eq(io_fault_hits(io), 0);
	io_fault_destroy(io);
	io_fault_destroy(NULL);
}
END_TEST

/* first and count: the second and third of the calls that match by name and path. */
START_TEST(rules_count_matching_calls)
{
	struct io *io = twin(&(struct io_rule){"fdatasync", "wal/", 2, 2, IO_FAIL, EIO, 0});
	ck_assert_int_eq(io_mkdirs(io, dir, "wal"), 0);
	int d = io->openat(io, dir, "wal", O_RDONLY | O_DIRECTORY, 0);
	int wal = io->openat(io, d, "1", O_RDWR | O_CREAT, 0644); /* "wal/1", by way of d */
	int other = create(io, "other");
	static const int want[] = {0, -EIO, -EIO, 0, 0};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		ck_assert_int_eq(io->fdatasync(io, other), 0);
		ck_assert_int_eq(io->fsync(io, wal), 0);
		ck_assert_int_eq(io->fdatasync(io, wal), want[i]);
	}
	ck_assert_int_eq(io_fault_hits(io), 2);

	/* A closed descriptor's path is forgotten: its number now means another file. */
	io_fault_clear(io);
	io_fault_add(io, &(struct io_rule){"pwritev", "wal/1", 1, -1, IO_FAIL, ENOSPC, 0});
	ck_assert_int_eq(io_pwrite(io, wal, "x", 1, 0), -ENOSPC);
	ck_assert_int_eq(io->close(io, wal), 0);
	int again = create(posix, "again");
	ck_assert_int_eq(again, wal);
	ck_assert_int_eq(io_pwrite(io, again, "x", 1, 0), 1);
	io_fault_destroy(io);
}
END_TEST

static const char *const failing[] = {
	"openat", "close", "pread",    "pwritev",  "ftruncate", "fdatasync",
	"fsync",  "fstat", "renameat", "unlinkat", "mkdirat",   "linkat",
};

/* One call of the named kind, on "f" or the open `fd`. */
static int64_t call(const struct io *io, const char *op, int fd)
{
	struct stat st;
	char c;

	if (strcmp(op, "openat") == 0)
		return io->openat(io, dir, "f", O_RDONLY, 0);
	if (strcmp(op, "close") == 0)
		return io->close(io, fd);
	if (strcmp(op, "pread") == 0)
		return io->pread(io, fd, &c, 1, 0);
	if (strcmp(op, "pwritev") == 0)
		return io_pwrite(io, fd, "x", 1, 0);
	if (strcmp(op, "ftruncate") == 0)
		return io->ftruncate(io, fd, 0);
	if (strcmp(op, "fdatasync") == 0)
		return io->fdatasync(io, fd);
	if (strcmp(op, "fsync") == 0)
		return io->fsync(io, fd);
	if (strcmp(op, "fstat") == 0)
		return io->fstat(io, fd, &st);
	if (strcmp(op, "renameat") == 0)
		return io->renameat(io, dir, "f", dir, "g");
	if (strcmp(op, "unlinkat") == 0)
		return io->unlinkat(io, dir, "f", 0);
	if (strcmp(op, "mkdirat") == 0)
		return io->mkdirat(io, dir, "f.d", 0755);
	return io->linkat(io, dir, "f", dir, "g");
}

START_TEST(every_call_can_fail)
{
	const char *op = failing[_i];
	struct io *io = twin(NULL);
	int fd = create(io, "f");
	struct stat st;

	ck_assert_int_eq(io_pwrite(posix, fd, "data", 4, 0), 4);
	io_fault_add(io, &(struct io_rule){op, "f", 1, 1, IO_FAIL, EDQUOT, 0});
	ck_assert_int_eq(call(io, op, fd), -EDQUOT);
	ck_assert_int_eq(io_fault_hits(io), 1);
	/* Nothing was done. */
	ck_assert_int_eq(fstatat(dir, "f", &st, 0), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(st.st_nlink, 1);
	ck_assert_int_eq(faccessat(dir, "g", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(dir, "f.d", F_OK, 0), -1);
	/* And the next one is as usual (close: it was closed). */
	if (strcmp(op, "close") != 0)
		ck_assert_int_ge(call(io, op, fd), 0);
	io_fault_destroy(io);
}
END_TEST

START_TEST(tearing_leaves_the_beginning)
{
	struct io *io = twin(&(struct io_rule){"pwritev", "", 2, 1, IO_TEAR, EIO, 7});
	struct iovec iov[] = {{"abcd", 4}, {"", 0}, {"efgh", 4}, {"ijkl", 4}};
	char back[32];
	int fd = create(io, "f");

	ck_assert_int_eq(io->pwritev(io, fd, iov, 4, 0), 12);
	ck_assert_int_eq(io->pwritev(io, fd, iov, 4, 12), -EIO);
	ck_assert_int_eq(io->pread(io, fd, back, sizeof back, 0), 19);
	ck_assert(memcmp(back, "abcdefghijklabcdefg", 19) == 0);
	io_fault_destroy(io);
}
END_TEST

START_TEST(dropping_lies)
{
	static const char *const lying[] = {"pwritev",  "ftruncate", "fdatasync", "fsync",
					    "renameat", "unlinkat",  "mkdirat",   "linkat"};
	struct io *io = twin(NULL);
	struct stat st;
	int fd = create(io, "f");

	ck_assert_int_eq(io_pwrite(posix, fd, "data", 4, 0), 4);
	for (size_t i = 0; i < ARRAY_LEN(lying); i++) {
		io_fault_add(io, &(struct io_rule){lying[i], "f", 1, -1, IO_DROP, 0, 0});
		ck_assert_int_eq(call(io, lying[i], fd), i == 0);
	}
	ck_assert_int_eq(io_fault_hits(io), ARRAY_LEN(lying));
	ck_assert_int_eq(fstatat(dir, "f", &st, 0), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(st.st_nlink, 1);
	ck_assert_int_eq(faccessat(dir, "f.d", F_OK, 0), -1);
	io_fault_destroy(io);
}
END_TEST

START_TEST(flipping_changes_one_bit)
{
	struct io *io = twin(&(struct io_rule){"pread", "f", 2, 1, IO_FLIP, 0, 5});
	char want[16] = "0123456789abcde", back[16];
	int fd = create(io, "f"), bits = 0;

	ck_assert_int_eq(io_pwrite(io, fd, want, 16, 0), 16);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(io_pread_exact(io, fd, back, 16, 0), 0);
		bits = 0;
		for (int k = 0; k < 16; k++)
			bits += __builtin_popcount((unsigned char)(want[k] ^ back[k]));
		ck_assert_int_eq(bits, i == 1);
		ck_assert((want[5] != back[5]) == (i == 1));
	}
	io_fault_destroy(io);
}
END_TEST

START_TEST(delays_add_up_and_let_others_strike)
{
	struct io *io = twin(&(struct io_rule){"fsync", "", 1, 1, IO_DELAY, 0, 30});
	int fd = create(io, "f");
	int64_t from = clock_mono_ns();

	io_fault_add(io, &(struct io_rule){"fsync", "", 1, 1, IO_DELAY, 0, 20});
	io_fault_add(io, &(struct io_rule){"fsync", "", 1, 1, IO_FAIL, EIO, 0});
	ck_assert_int_eq(io->fsync(io, fd), -EIO);
	ck_assert_int_ge(clock_mono_ns() - from, 50 * NS_PER_MS);
	ck_assert_int_eq(io_fault_hits(io), 3);
	ck_assert_int_eq(io->fsync(io, fd), 0);
	io_fault_destroy(io);
}
END_TEST

static struct io *shared;

static void *hammer(void *arg)
{
	char name[16];
	intptr_t bad = 0;

	snprintf(name, sizeof name, "t%d", *(int *)arg);
	for (int i = 0; i < 300; i++) {
		int fd = shared->openat(shared, dir, name, O_RDWR | O_CREAT, 0644);
		bad += fd < 0;
		/* "t0" fails on each write, the others never, whatever number their fd has. */
		int64_t rc = io_pwrite(shared, fd, "x", 1, 0);
		bad += rc != (name[1] == '0' ? -ENOSPC : 1);
		bad += shared->close(shared, fd) != 0;
	}
	return (void *)bad;
}

START_TEST(threads_share_a_twin)
{
	pthread_t t[4];
	int ids[4] = {0, 1, 2, 3};

	shared = twin(&(struct io_rule){"pwritev", "t0", 1, -1, IO_FAIL, ENOSPC, 0});
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, hammer, &ids[i]);
	for (int i = 0; i < 4; i++) {
		void *bad;
		pthread_join(t[i], &bad);
		ck_assert_int_eq((intptr_t)bad, 0);
	}
	ck_assert_int_eq(io_fault_hits(shared), 300);
	io_fault_destroy(shared);
}
END_TEST

/* A rule that can never strike is a mistake in a test, and ends it. */
START_TEST(senseless_rules_abort)
{
	static const struct io_rule wrong[] = {
		{"write", "", 1, 1, IO_FAIL, EIO, 0}, {"fsync", "", 1, 1, IO_TEAR, EIO, 0},
		{"pread", "", 1, 1, IO_DROP, 0, 0},   {"pwritev", "", 1, 1, IO_FLIP, 0, 0},
		{"fsync", "", 0, 1, IO_FAIL, EIO, 0}, {"fsync", "", 1, 1, IO_FAIL, 0, 0},
	};
	if (!freopen("/dev/null", "w", stderr))
		exit(1);
	twin(&wrong[_i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("io");
	TCase *tc = tcase_create("posix"), *ft = tcase_create("twin");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, writes_and_reads_whole);
	tcase_add_test(tc, errors_are_negative_errnos);
	tcase_add_test(tc, names_can_be_changed);
	tcase_add_test(tc, a_short_write_goes_on);
	tcase_add_test(tc, signals_do_not_show);
	tcase_add_test(tc, makes_directories);
	suite_add_tcase(s, tc);

	tcase_set_timeout(ft, 30);
	tcase_add_checked_fixture(ft, setup, teardown);
	tcase_add_test(ft, twin_passes_through);
	tcase_add_test(ft, rules_count_matching_calls);
	tcase_add_loop_test(ft, every_call_can_fail, 0, ARRAY_LEN(failing));
	tcase_add_test(ft, tearing_leaves_the_beginning);
	tcase_add_test(ft, dropping_lies);
	tcase_add_test(ft, flipping_changes_one_bit);
	tcase_add_test(ft, delays_add_up_and_let_others_strike);
	tcase_add_test(ft, threads_share_a_twin);
	tcase_add_loop_test_raise_signal(ft, senseless_rules_abort, SIGABRT, 0, 6);
	suite_add_tcase(s, ft);
	return unit_run(s);
}
