/*
 * Random statements over random rows: the same answer from memory, runs and tiles, with conditions
 * pushed into the scan and without. `SQL_RANDOM_SEED=n` replays, `SQL_RANDOM_COUNT=n` asks for more.
 */
#include "tests/unit/unit.h"

#include "tests/fuzz/sql_random.h"

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_many(uint32_t rows, uint64_t count)
{
	uint64_t seed = env_number("SQL_RANDOM_SEED", (uint64_t)clock_now_ns() / 1000 % 1000000007);
	struct random_db db = {0};

	count = env_number("SQL_RANDOM_COUNT", count);
	random_open(&db, rows, seed % 97);
	for (uint64_t i = env_number("SQL_RANDOM_FROM", 0); i < count; i++) {
		uint64_t bytes = (seed + i) * 0x9e3779b97f4a7c15u;
		snprintf(random_where, sizeof random_where, "SQL_RANDOM_SEED=%llu, statement %llu",
			 (unsigned long long)seed, (unsigned long long)i);
		random_statement(&db, (const uint8_t *)&bytes, sizeof bytes, bytes ^ 0x5bd1e995, 5);
	}
	random_summary("done");
	/* A generator whose statements mostly fail would find nothing. */
	ck_assert_uint_gt(random_count.compared, count / 3);
	random_close(&db);
}

/* Joins of joins end here. */
START_TEST(hundred_rows)
{
	run_many(101, 700);
}
END_TEST

START_TEST(few_rows)
{
	run_many(401, 500);
}
END_TEST

/* More than a batch of the executor and than a page of a tile. */
START_TEST(many_rows)
{
	run_many(20011, 40);
}
END_TEST

/* The first rows of a whole sort are what a LIMIT keeps; with arrays and rows among what it moves. */
START_TEST(limit_is_a_beginning)
{
	static const char *const all = "SELECT u, ARRAY[n, 1] AS a, ROW(host, ARRAY[s, region]) AS r, time FROM r.tiles "
				       "ORDER BY u DESC, time";
	static const int limits[] = {1, 50, 1000, 5000};
	struct random_run how = {.memory_bytes = 64 << 20, .cancel_after = -1};
	struct random_db db = {0};
	struct buf whole, part;
	struct err e = {0};
	char sql[400];

	random_open(&db, 20011, 1);
	buf_init(&whole, 1 << 28);
	buf_init(&part, 1 << 28);
	ck_assert_msg(random_execute(&db, (struct str){all, strlen(all)}, &how, &whole, &e) >= 0, "%s", e.text);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int n = snprintf(sql, sizeof sql, "%s LIMIT %d", all, limits[i]), lines = 0;
		int rc = random_execute(&db, (struct str){sql, (size_t)n}, &how, &part, &e);
		ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
		for (size_t k = 0; k < part.len; k++)
			lines += part.data[k] == '\n';
		ck_assert_int_eq(lines, limits[i] + 1);
		ck_assert_uint_lt(part.len, whole.len);
		ck_assert_msg(!memcmp(part.data, whole.data, part.len), "%s: other rows", sql);
	}
	buf_release(&whole);
	buf_release(&part);
	random_close(&db);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sql_random");
	const TTest *const tests[] = {hundred_rows, few_rows, many_rows, limit_is_a_beginning};
	static const char *const names[] = {"hundred", "few", "many", "limit"};

	for (size_t i = 0; i < ARRAY_LEN(tests); i++) { /* a case each, for CK_RUN_CASE */
		TCase *tc = tcase_create(names[i]);
		tcase_set_timeout(tc, 3600);
		tcase_add_test(tc, tests[i]);
		suite_add_tcase(s, tc);
	}
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
