/*
 * test_regex: no pattern hangs: matches end by themselves, with an error, or when they are told to; what
 * a match needs goes with its batch. Results themselves are in tests/sql.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "query/regex.h"
#include "tests/unit/unit.h"

static struct arena arena;
static _Atomic bool cancelled;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct regex *compiled(const char *pattern)
{
	struct regex *r = NULL;
	struct err e = {0};
	int rc = regex_compile(&arena, str_from(pattern), &r, &e);

	ck_assert_msg(rc >= 0, "%s", e.text);
	return r;
}

/* n bytes: `unit` again and again, then `end`. */
static struct str long_text(const char *unit, size_t n, const char *end)
{
	size_t k = strlen(unit), m = strlen(end);
	char *p = arena_alloc(&arena, n + m);

	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i++)
		p[i] = unit[i % k];
	memcpy(p + n, end, m);
	return (struct str){p, n + m};
}

static int64_t count(const char *pattern, struct str text, struct err *e)
{
	struct regex_match *m;
	int64_t n = 0;
	int rc;

	ck_assert_int_ge(regex_match_create(&arena, compiled(pattern), &cancelled, &m), 0);
	for (size_t at = 0; (rc = regex_find(m, text, at, e)) > 0; n++)
		at = regex_next(m, text);
	return rc < 0 ? rc : n;
}

/* ---- patterns that are known to explode ------------------------------------------------------------ */

static const char *const bombs[] = {
	"^(a+)+$", "(a+)+b", "(a|aa)+$", "(a|a?)+$", "(a*)*b", "((a*)*)*b", "(.*a){15}b", "(.*)(.*)(.*)(.*)(.*)b",
	"^(([a-z])+.)+[A-Z]([a-z])+$", "(a?){30}a{30}b", "(?:a|b|ab)*c", "(a+)\\1+b", "(?=(a+))+b", "(?<=a)(a+)+b",
	"([a-zA-Z]+)*1", "(x+x+)+y", "^(?:.?){60}$b", "(?:(?:(?:a{1,30}){1,30}){1,30})b", "(?i)(A+)+B",
};

START_TEST(bombs_end)
{
	static const size_t lengths[] = {10, 30, 200, 5000, 16384};

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct str text = long_text(strchr(bombs[_i], 'x') ? "x" : "a", lengths[i], "!");
		struct err e = {0};
		double begin = seconds();
		int64_t rc = count(bombs[_i], text, &e);

		ck_assert_msg(rc >= 0 || (rc == -EINVAL && strstr(e.text, "takes more than")), "%s: %s", bombs[_i], e.text);
		ck_assert_msg(seconds() - begin < 20, "%s of %zu bytes took %g s", bombs[_i], lengths[i], seconds() - begin);
	}
}
END_TEST

/* ---- long texts ------------------------------------------------------------------------------------ */

static void *cancel_soon(void *arg)
{
	(void)arg;
	usleep(100000);
	atomic_store(&cancelled, true);
	return NULL;
}

/* Each would read some 10^12 characters. */
static const char *const endless[] = {"a*b|c", "a*[bc]", "(?:a*)*?d|c", "a{3,}?b|c", "[^x]*x", "(?i)A*[bc]"};

START_TEST(long_texts_are_cancelled)
{
	struct str text = long_text("a", 4 << 20, "!");
	struct err e = {0};
	pthread_t t;
	double begin;

	atomic_store(&cancelled, false);
	ck_assert_int_eq(pthread_create(&t, NULL, cancel_soon, NULL), 0);
	begin = seconds();
	int64_t rc = count(endless[_i], text, &e);
	double took = seconds() - begin;
	pthread_join(t, NULL);
	atomic_store(&cancelled, false);
	ck_assert_msg(rc == -ECANCELED || rc == -EINVAL || (rc >= 0 && took < 1), "%s: %lld %s", endless[_i], (long long)rc,
		      e.text);
	ck_assert_msg(took < 10, "%s: cancelled after %g s", endless[_i], took);
}
END_TEST

/* A match for each character costs what it is, and not the whole text anew. */
START_TEST(many_matches)
{
	struct str text = long_text("ab\xc3\xa9", 1 << 20, "");
	struct err e = {0};
	double begin = seconds();

	text.len -= text.len % 4;
	ck_assert_int_eq(count("", text, &e), (int64_t)text.len / 4 * 3 + 1);
	ck_assert_int_eq(count("a", text, &e), (int64_t)text.len / 4);
	ck_assert_int_eq(count("(?<=b).", text, &e), (int64_t)text.len / 4);
	ck_assert_int_eq(count("\\Gab.", text, &e), (int64_t)text.len / 4);
	ck_assert_int_eq(count("^ab", text, &e), 1);
	ck_assert_int_eq(count("z", text, &e), 0);
	ck_assert_msg(seconds() - begin < 20, "%g s", seconds() - begin);
}
END_TEST

/* Many steps, or a long text, and a match all the same. */
START_TEST(found_in_the_end)
{
	struct err e = {0};

	ck_assert_int_eq(count("(a|b|ab)*c", long_text("a", 3000, "c"), &e), 1);
	ck_assert_int_eq(count("a{5}b", long_text("a", 100000, "b"), &e), 1);
	ck_assert_int_eq(count("(?<x>a)b\\k<x>", long_text("ba", 50000, "c"), &e), 12500);
	ck_assert_int_eq(count("a", (struct str){"\xff" "a", 2}, &e), 0);
}
END_TEST

/* ---- memory ----------------------------------------------------------------------------------------- */

START_TEST(matches_leave_nothing)
{
	struct regex *r = compiled("(a|b)+(c+)+d?");
	size_t before = arena.bytes;
	struct arena batch;
	struct err e;

	arena_init(&batch, NULL);
	for (int i = 0; i < 10000; i++) {
		struct regex_match *m;

		ck_assert_int_ge(regex_match_create(&batch, r, NULL, &m), 0);
		ck_assert_int_eq(regex_find(m, STR_LIT("xxabababccccc"), 0, &e), 1);
		arena_reset(&batch);
	}
	ck_assert_uint_eq(arena.bytes, before);
	ck_assert_uint_lt(batch.bytes, 1 << 20);
	arena_release(&batch);
}
END_TEST

/* A pattern that has no room for callouts is refused where it would need them, and works elsewhere. */
START_TEST(long_patterns)
{
	size_t n = 20000;
	char *pattern = calloc(1, n + 8);
	struct err e = {0};

	for (size_t i = 0; i < n; i += 2)
		memcpy(pattern + i, "a?", 2);
	ck_assert_int_eq(count(pattern, STR_LIT("aaa"), &e), 2);
	int64_t rc = count(pattern, long_text("a", 50000, ""), &e);
	ck_assert_msg(rc > 0 || (rc == -EINVAL && strstr(e.text, "is too long")), "%lld %s", (long long)rc, e.text);
	free(pattern);
}
END_TEST

static void setup(void)
{
	arena_init(&arena, NULL);
}

static void teardown(void)
{
	arena_release(&arena);
}

int main(void)
{
	Suite *s = suite_create("regex");
	TCase *tc = tcase_create("regex");
	SRunner *sr = srunner_create(s);
	int bad;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, bombs_end, 0, ARRAY_LEN(bombs));
	tcase_add_loop_test(tc, long_texts_are_cancelled, 0, ARRAY_LEN(endless));
	tcase_add_test(tc, many_matches);
	tcase_add_test(tc, found_in_the_end);
	tcase_add_test(tc, matches_leave_nothing);
	tcase_add_test(tc, long_patterns);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
