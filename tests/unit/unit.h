/*
 * unit: what unit tests need beside check: directories that go with the test, dice that can be
 * replayed, and a main().
 *
 *	START_TEST(finds_what_was_put)
 *	{
 *		struct unit_rng r = unit_rng();
 *		char path[64];
 *		int dirfd = unit_dir(path);
 *		...
 *		unit_assert(&r, got == want, "row %d: %d", i, got);
 *	}
 *	END_TEST
 *
 *	int main(void)
 *	{
 *		const TTest *tests[] = {finds_what_was_put, forgets_what_was_taken};
 *		return unit_main("wal", 60, tests, ARRAY_LEN(tests));
 *	}
 *
 * Environment: TIDE_SEED=n repeats what a failure printed; TIDE_TEST_KEEP=1 leaves the directories
 * behind; TMPDIR says where they are made.
 */
#ifndef TIDE_UNIT_H
#define TIDE_UNIT_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/base.h"

/* --- dice --- */

/*
 * The seed of this run: printed, or taken from TIDE_SEED. Call it in main() first, so that the
 * forked tests share one; unit_run() has done so, silently, as unit_assert() prints it.
 */
static inline uint64_t unit_seed(void)
{
	static uint64_t seed;
	const char *v = getenv("TIDE_SEED");

	if (!seed) {
		seed = v ? strtoull(v, NULL, 0)
			 : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
		if (!v)
			fprintf(stderr, "TIDE_SEED=%llu\n", (unsigned long long)seed);
	}
	return seed;
}

/* splitmix64. */
static inline uint64_t unit_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The same with the seed kept beside it, for unit_assert(). */
struct unit_rng {
	uint64_t seed;
	uint64_t state;
};

static inline struct unit_rng unit_rng(void)
{
	return (struct unit_rng){unit_seed(), unit_seed()};
}

static inline uint64_t unit_rand(struct unit_rng *r)
{
	return unit_random(&r->state);
}

/* 0 .. n-1 */
static inline uint64_t unit_below(struct unit_rng *r, uint64_t n)
{
	return unit_rand(r) % n;
}

/* All magnitudes alike: a random number of random bits. Finds edges that plain dice never hit. */
static inline uint64_t unit_rand_log(struct unit_rng *r)
{
	uint64_t v = unit_rand(r);
	return v >> unit_below(r, 64);
}

/* ck_assert_msg() that also says how to replay: unit_assert(&rng, condition, "format", ...). */
#define unit_assert(rng, cond, ...)                                                        \
	do {                                                                               \
		if (!(cond))                                                               \
			unit_failed_(__FILE__, __LINE__, #cond, (rng)->seed, __VA_ARGS__); \
	} while (0)

__attribute__((unused)) static printf_like(5, 6) void unit_failed_(const char *file, int line,
								   const char *cond, uint64_t seed,
								   const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ck_abort_msg("%s:%d: %s: %s; replay with TIDE_SEED=%llu", file, line, cond, text,
		     (unsigned long long)seed);
}

/* --- directories --- */

static inline int unit_unlink_(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

/*
 * A new empty directory; its path goes to `path` (64 bytes), the result is a descriptor. Below
 * unit_run() it goes with the program, so a test that fails leaves nothing behind either.
 */
static inline int unit_dir(char path[64])
{
	const char *base = getenv("TIDE_UNIT_DIR"), *tmp = getenv("TMPDIR");

	if (base)
		snprintf(path, 64, "%.50s/XXXXXX", base);
	else
		snprintf(path, 64, "%.40s/tidefs-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		abort();
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

/* Remove it with all it holds, and close the descriptor. */
static inline void unit_dir_remove(int fd, const char *path)
{
	close(fd);
	nftw(path, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
}

/*
 * Directories in memory, where that has room: for tests of bytes and of what is made of them, not of disks,
 * whose syncs would be most of their time. At the begin of main().
 */
static __attribute__((unused)) void unit_in_memory(void)
{
	struct statvfs st;

	if (statvfs("/dev/shm", &st) == 0 && st.f_bavail * st.f_frsize > (512u << 20) && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
}

/* --- running --- */

/* Run all of the suite (taken); what main() returns. */
static inline int unit_run(Suite *s)
{
	char base[51], seed[32];
	const char *tmp = getenv("TMPDIR"), *keep = getenv("TIDE_TEST_KEEP");

	snprintf(base, sizeof base, "%.30s/tidefs-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(base) || setenv("TIDE_UNIT_DIR", base, 1) < 0) {
		perror(base);
		return 1;
	}
	snprintf(seed, sizeof seed, "%llu",
		 (unsigned long long)clock_mono_ns() + (unsigned long long)getpid());
	setenv("TIDE_SEED", seed, 0);

	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	if (!keep || !*keep)
		nftw(base, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
	return failed ? 1 : 0;
}

/* One suite with one case of `n` tests, each of which may take `timeout_s`. */
static inline int unit_main(const char *name, double timeout_s, const TTest *const *tests, size_t n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, timeout_s);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}

#endif
