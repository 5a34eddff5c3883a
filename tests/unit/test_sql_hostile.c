/*
 * Statements nobody means well with: long, wide, deep, doubling, cut, broken. Each must end soon, with
 * rows or with a sentence that says where.
 */
#include "tests/unit/unit.h"

#include "tests/fuzz/sql_random.h"

static struct random_db db;

static void setup(void)
{
	random_open(&db, 401, 3);
}

static void teardown(void)
{
	random_close(&db);
}

/* Runs it; the sentence of the failure, "" without one. Fails the test where it takes too long. */
static const char *run(struct str sql, size_t memory_bytes, struct buf *out)
{
	static struct err e;
	struct random_run how = {.memory_bytes = memory_bytes, .cancel_after = -1};
	int64_t begin = clock_mono_ns();
	struct buf own;

	if (!out)
		buf_init(&own, 1 << 28);
	e.text[0] = '\0';
	int rc = random_execute(&db, sql, &how, out ? out : &own, &e);
	if (!out)
		buf_release(&own);
	ck_assert_msg(clock_mono_ns() - begin < 20 * NS_PER_S, "%.200s: took too long", sql.ptr);
	if (rc < 0)
		random_check_error((struct str){sql.ptr, MIN(sql.len, (size_t)300)}, rc, &e);
	return rc < 0 ? e.text : "";
}

static void repeat(struct buf *b, const char *text, uint32_t n)
{
	while (n--)
		buf_adds(b, text);
}

/* a * n, middle, b * n. */
static const char *nest(const char *head, const char *a, const char *middle, const char *b, const char *tail,
			uint32_t n)
{
	struct buf sql;

	buf_init(&sql, 1 << 26);
	buf_adds(&sql, head);
	repeat(&sql, a, n);
	buf_adds(&sql, middle);
	repeat(&sql, b, n);
	buf_adds(&sql, tail);
	const char *text = run(buf_str(&sql), 0, NULL);
	buf_release(&sql);
	return text;
}

static const struct {
	const char *head, *a, *middle, *b, *tail;
} nests[] = {
	{"SELECT ", "(", "1", ")", ""},
	{"SELECT ", "NOT ", "true", "", ""},
	{"SELECT ", "- ", "1", "", ""},
	{"SELECT ", "abs(", "1", ")", ""},
	{"SELECT ", "coalesce(NULL, ", "1", ")", ""},
	{"SELECT ", "if(true, ", "1", ")", ""},
	{"SELECT ", "try(", "1", ")", ""},
	{"SELECT ", "CAST(", "1", " AS bigint)", ""},
	{"SELECT ", "ARRAY[", "1", "]", ""},
	{"SELECT ", "ROW(1, ", "1", ")", ""},
	{"SELECT ", "CASE WHEN true THEN ", "1", " END", ""},
	{"SELECT ", "CASE WHEN ", "true", " THEN true END", ""},
	{"SELECT ", "1 + (", "1", ")", ""},
	{"SELECT ", "true IN (", "true", ")", ""},
	{"SELECT ", "1 + ", "1", "", ""},
	{"SELECT ", "'a' || ", "'b'", "", ""},
	{"SELECT ", "true AND ", "true", "", ""},
	{"SELECT ", "false OR ", "true", "", ""},
	{"SELECT count(*) FROM r.tiles WHERE ", "host = 'a' OR ", "true", "", ""},
	{"SELECT count(*) FROM r.tiles WHERE ", "host <> 'a' AND ", "true", "", ""},
	{"SELECT count(*) FROM r.tiles WHERE ", "(time > ago(1d) OR ", "true", ")", ""},
	{"SELECT count(*) FROM r.tiles WHERE ", "NOT (host = 'a' AND ", "true", ")", ""},
	{"SELECT ", "1 = ", "1", "", ""},
	{"SELECT x FROM (SELECT 1 AS x) WHERE x BETWEEN ", "", "1 AND 2", " AND x BETWEEN 1 AND 2", ""},
	{"SELECT ARRAY[1]", "[1]", "", "", ""},
	{"SELECT 1", " IS NULL", "", "", ""},
	{"", "SELECT * FROM (", "SELECT 1 AS x", ")", ""},
	{"SELECT ", "(SELECT ", "1", ")", ""},
	{"", "SELECT 1 UNION ALL ", "SELECT 1", "", ""},
	{"", "(", "SELECT 1", ")", ""},
	{"SELECT CAST(NULL AS ", "array(", "bigint", ")", ")"},
	{"SELECT CAST(NULL AS ", "row(a ", "bigint", ")", ")"},
	{"SELECT * FROM ", "(", "r.tiles", ")", ""},
	{"SELECT 1 FROM (VALUES ", "(", "1", ")", ")"},
	{"", "WITH a AS (", "SELECT 1 AS x", ") SELECT * FROM a", ""},
	{"SELECT count(*) FROM r.tiles GROUP BY ", "1 + (", "n", ")", ""},
	{"SELECT count(*) FROM (VALUES 1) AS t(x)", ", UNNEST(ARRAY[x]) AS u", "", "", ""},
	{"SELECT count(*) FROM ", "UNNEST(ARRAY[1]), ", "UNNEST(ARRAY[1])", "", ""},
	{"", "WITH RECURSIVE a (x) AS (", "SELECT 2", ") SELECT x FROM a", ""},
	{"WITH RECURSIVE a (x) AS (SELECT 1 UNION ALL SELECT x FROM ", "(SELECT x FROM ", "a", ")",
	 " WHERE false) SELECT x FROM a"},
	{"SELECT count(*) FROM r.tiles GROUP BY n", ", ROLLUP (n)", "", "", ""},
	{"SELECT count(*) FROM r.tiles GROUP BY n", ", CUBE (n)", "", "", ""},
	{"SELECT count(*) FROM r.tiles GROUP BY GROUPING SETS (", "(n, b), ", "()", "", ")"},
	{"EXPLAIN ANALYZE ", "SELECT count(*) FROM (", "SELECT 1 AS x", ")", ""},
	{"SELECT sum(", "1 + (", "n", ")", ") FROM r.memory"},
	{"SELECT 1 /*", "/*", "", "", "*/"},
	{"SELECT 1 ORDER BY ", "(", "1", ")", ""},
	{"SELECT ", "transform(ARRAY[1], x -> ", "1", ")", ""},
	{"SELECT ", "reduce(ARRAY[1], 0, (s, x) -> s + ", "x", ", s -> s)", ""},
	{"SELECT ", "reduce(ARRAY[n], n, (s, x) -> s - ", "x", ", s -> s)", " FROM r.memory LIMIT 3"},
	{"SELECT ", "any_match(ARRAY[n], x -> n > 0 OR ", "x > 1", ")", " FROM r.tiles LIMIT 3"},
	{"SELECT filter(ARRAY[1], ", "x -> ", "true", "", ")"},
	{"EXPLAIN ", "(", "SELECT 1", ")", ""},
	{"", "EXPLAIN ", "SELECT 1", "", ""},
};

START_TEST(deep)
{
	static const uint32_t depths[] = {10, 400, 999, 1000, 1001, 5000, 100000};

	for (size_t d = 0; d < ARRAY_LEN(depths); d++) {
		const char *why = nest(nests[_i].head, nests[_i].a, nests[_i].middle, nests[_i].b, nests[_i].tail,
				       depths[d]);
		ck_assert_msg(depths[d] > 10 || !*why || strstr(why, "not supported") || nests[_i].tail[0] ||
			      strstr(why, "operator") || strstr(why, "EXPLAIN") || strstr(why, "condition"),
			      "%s%s...: %s", nests[_i].head, nests[_i].a, why);
		if (getenv("SQL_HOSTILE_SHOW"))
			printf("%6u %s%s%s: %.160s\n", depths[d], nests[_i].head, nests[_i].a, nests[_i].middle, why);
	}
}
END_TEST

/* What one expression or query can say in n lines and would be 2^n when written out. */
START_TEST(doubling)
{
	struct buf sql;

	buf_init(&sql, 1 << 22);
	buf_adds(&sql, "WITH a0 AS (SELECT 1 AS x)");
	for (int i = 1; i < 60; i++)
		buf_addf(&sql, ", a%d AS (SELECT * FROM a%d UNION ALL SELECT * FROM a%d)", i, i - 1, i - 1);
	buf_adds(&sql, " SELECT count(*) FROM a59");
	const char *why = run(buf_str(&sql), 0, NULL);
	ck_assert_msg(*why, "2^59 rows were counted");

	buf_clear(&sql);
	buf_adds(&sql, "WITH a0 AS (SELECT 1 AS x)");
	for (int i = 1; i < 60; i++)
		buf_addf(&sql, ", a%d AS (SELECT x + x AS x FROM a%d)", i, i - 1);
	buf_adds(&sql, " SELECT x FROM a30");
	why = run(buf_str(&sql), 0, NULL);
	ck_assert_str_eq(why, "");

	buf_clear(&sql);
	for (int i = 0; i < 60; i++)
		buf_adds(&sql, "SELECT x || x AS x FROM (");
	buf_adds(&sql, "SELECT host AS x FROM r.tiles LIMIT 1");
	repeat(&sql, ")", 60);
	why = run(buf_str(&sql), 8 << 20, NULL);
	ck_assert_msg(*why, "2^60 bytes of text");

	buf_clear(&sql);
	for (int i = 0; i < 60; i++)
		buf_adds(&sql, "SELECT ARRAY[x, x] AS x FROM (");
	buf_adds(&sql, "SELECT n AS x FROM r.tiles");
	repeat(&sql, ")", 60);
	why = run(buf_str(&sql), 8 << 20, NULL);
	ck_assert_msg(*why, "2^60 elements");

	/* Conditions that would grow when pushed down. */
	buf_clear(&sql);
	for (int i = 0; i < 40; i++)
		buf_adds(&sql, "SELECT x AND x AS x FROM (");
	buf_adds(&sql, "SELECT b AS x FROM r.tiles");
	repeat(&sql, ") WHERE x", 40);
	why = run(buf_str(&sql), 0, NULL);
	ck_assert_str_eq(why, "");
	buf_release(&sql);
}
END_TEST

START_TEST(wide)
{
	struct buf sql, out;

	buf_init(&sql, 1 << 26);
	buf_init(&out, 1 << 28);
	buf_adds(&sql, "SELECT count(*) FROM r.tiles WHERE n IN (-100");
	for (int i = 0; i < 10000; i++)
		buf_addf(&sql, ", %d", i);
	buf_adds(&sql, ")");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");

	buf_clear(&sql);
	buf_adds(&sql, "SELECT count(*) FROM r.tiles WHERE host IN ('h1'");
	for (int i = 0; i < 10000; i++)
		buf_addf(&sql, ", 'x%d'", i);
	buf_adds(&sql, ") AND host NOT IN ('h2'");
	for (int i = 0; i < 10000; i++)
		buf_addf(&sql, ", 'y%d'", i);
	buf_adds(&sql, ")");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");

	buf_clear(&sql);
	buf_adds(&sql, "SELECT n");
	for (int i = 0; i < 1000; i++)
		buf_addf(&sql, ", n + %d AS c%d", i, i);
	buf_adds(&sql, " FROM r.tiles ORDER BY 1, 2, 1000");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");

	buf_clear(&sql);
	buf_adds(&sql, "SELECT host");
	for (int i = 0; i < 1000; i++)
		buf_addf(&sql, ", sum(n + %d)", i);
	buf_adds(&sql, " FROM r.tiles GROUP BY host");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");

	buf_clear(&sql);
	buf_adds(&sql, "SELECT count(*) FROM r.tiles GROUP BY host");
	for (int i = 0; i < 1000; i++)
		buf_addf(&sql, ", n + %d", i);
	run(buf_str(&sql), 0, &out);

	buf_clear(&sql);
	buf_adds(&sql, "VALUES 0");
	for (int i = 0; i < 20000; i++)
		buf_addf(&sql, ", %d", i);
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");

	buf_clear(&sql);
	buf_adds(&sql, "SELECT CASE n");
	for (int i = 0; i < 10000; i++)
		buf_addf(&sql, " WHEN %d THEN %d", i, i);
	buf_adds(&sql, " END FROM r.tiles");
	run(buf_str(&sql), 0, &out);

	buf_clear(&sql);
	buf_adds(&sql, "SELECT 1 FROM (SELECT 1 AS x) WHERE x = 1");
	for (int i = 0; i < 20000; i++)
		buf_addf(&sql, " AND x < %d", i + 2);
	run(buf_str(&sql), 0, &out);

	/* A text of 256 KiB, a name of 256 KiB, a comment of 256 KiB. */
	buf_clear(&sql);
	buf_adds(&sql, "SELECT '");
	repeat(&sql, "0123456789abcdef", 16383);
	buf_adds(&sql, "'");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");
	buf_clear(&sql);
	buf_adds(&sql, "SELECT \"");
	repeat(&sql, "0123456789abcdef", 16383);
	buf_adds(&sql, "\" FROM r.tiles");
	ck_assert_str_ne(run(buf_str(&sql), 0, &out), "");
	buf_clear(&sql);
	buf_adds(&sql, "SELECT 1 AS \"");
	repeat(&sql, "0123456789abcdef", 16383);
	buf_adds(&sql, "\"");
	run(buf_str(&sql), 0, &out);
	buf_clear(&sql);
	buf_adds(&sql, "SELECT /*");
	repeat(&sql, "0123456789abcdef", 16383);
	buf_adds(&sql, "*/ 1");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");
	buf_clear(&sql);
	buf_adds(&sql, "SELECT ");
	repeat(&sql, "9", 262144);
	ck_assert_str_ne(run(buf_str(&sql), 0, &out), "");
	buf_clear(&sql);
	buf_adds(&sql, "SELECT ");
	repeat(&sql, "x", 262144);
	ck_assert_str_ne(run(buf_str(&sql), 0, &out), "");
	buf_clear(&sql);
	buf_adds(&sql, "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' LIKE '");
	repeat(&sql, "%a", 2000);
	buf_adds(&sql, "b'");
	ck_assert_str_eq(run(buf_str(&sql), 0, &out), "");
	buf_release(&sql);
	buf_release(&out);
}
END_TEST

static const char *const whole[] = {
	"WITH a(x, y) AS (VALUES (1, 'b'), (2, NULL)) SELECT x + 1 AS z, CASE y WHEN 'b' THEN 15m ELSE INTERVAL '1' "
	"DAY END, count(*) FILTER (WHERE x > 0) FROM a WHERE NOT (y LIKE 'b#%' ESCAPE '#') OR x IN (1, 2) GROUP BY 1, y, "
	"x HAVING max(x) IS NOT NULL ORDER BY 1 DESC NULLS FIRST, y OFFSET 0 ROWS FETCH FIRST 3 ROWS WITH TIES;",
	"SELECT \"host\", bin(time, 1h) AS b, U&'\\00e9' || 'it''s', ARRAY[1, 2][1], (1, 'x'), extract(HOUR FROM time), "
	"position('a' IN host), TRY_CAST('1' AS bigint), -1.5e3, 0xff /* c */ -- d\n FROM r.tiles AS t WHERE time "
	"BETWEEN TIMESTAMP '2024-03-01' AND now() AND u IS DISTINCT FROM 1 LIMIT 2",
	"EXPLAIN SELECT count(DISTINCT n) FROM (SELECT * FROM r.memory UNION ALL SELECT * FROM r.tiles) WHERE host='h1'",
	"SHOW MEASURES FROM r.tiles LIKE 'm%'",
	("SELECT reduce(s, 0, (a, x) -> a + x, a -> a), sum(n) OVER (PARTITION BY host ORDER BY time ROWS BETWEEN 1 PRECEDING "
	 "AND CURRENT ROW) FROM r.tiles a JOIN r.memory b USING (host) CROSS JOIN UNNEST(s) WITH ORDINALITY AS t(a, b)"),
};

/* Every prefix, every prefix with a byte more, every single byte changed. */
START_TEST(cut_and_broken)
{
	static const char extra[] = {'\0', '\xff', '\xc3', '\'', '"', '(', ')', ',', ';', '@', ':', '\\', '\n', '\x80'};
	char text[1024];
	size_t len = strlen(whole[_i]);

	ck_assert_uint_lt(len, sizeof text - 1);
	for (size_t n = 0; n <= len; n++) {
		memcpy(text, whole[_i], len);
		run((struct str){text, n}, 0, NULL);
		for (size_t k = 0; k < sizeof extra; k++) {
			text[n] = extra[k];
			run((struct str){text, n + 1}, 0, NULL);
			if (n < len)
				run((struct str){text, len}, 0, NULL);
		}
	}
}
END_TEST

/* Words and signs of the language in any order. */
START_TEST(token_soup)
{
	static const char *const words[] = {
		"SELECT", "FROM", "WHERE", "GROUP", "BY", "HAVING", "ORDER", "LIMIT", "OFFSET", "WITH", "AS", "(", ")",
		",", "*", "1", "1.5", "'a'", "\"host\"", "host", "r", ".", "tiles", "=", "<", "||", "+", "-", "/", "AND",
		"OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "LIKE", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST",
		"bigint", "15m", "INTERVAL", "DAY", "TIMESTAMP", "'2024-03-01'", "count", "sum", "[", "]", "ARRAY",
		"ROW", "VALUES", "UNION", "ALL", "DISTINCT", "FILTER", "OVER", "PARTITION", "->", "x", "EXISTS", "ANY",
		"JOIN", "ON", "USING", "UNNEST", "SHOW", "TABLES", "DATABASES", "DESCRIBE", "EXPLAIN", ";", "FETCH",
		"FIRST", "ROWS", "TIES", "ONLY", "NULLS", "LAST", "measure_value::double", "ESCAPE", "EXTRACT",
		"POSITION", "TRY", "@p", "CREATE", "TABLE", "DROP", "DELETE", "INSERT", "time", "u", "n", "b", "s",
	};
	struct sqlgen g = {.rng = 88172645463325252u};
	struct buf sql;

	buf_init(&sql, 1 << 20);
	for (int i = 0; i < 30000; i++) {
		buf_clear(&sql);
		if (pick(&g, 2))
			buf_adds(&sql, "SELECT ");
		for (uint32_t n = 1 + pick(&g, 20); n--;) {
			buf_adds(&sql, ONE_OF(&g, words));
			buf_addc(&sql, ' ');
		}
		run(buf_str(&sql), 0, NULL);
	}
	buf_release(&sql);
}
END_TEST

/* A statement that needs more than it may have says so; one that can spill or stream does not need it. */
START_TEST(little_memory)
{
	static const char *const hungry[] = {
		"SELECT * FROM r.tiles ORDER BY u, n, s, host, time",
		"SELECT host, time, u, n, count(*) FROM r.tiles GROUP BY host, time, u, n",
		"SELECT DISTINCT time, u, n, s FROM r.sealed",
		"SELECT count(DISTINCT time), count(DISTINCT u) FROM r.memory",
		"SELECT array_agg(s || CAST(time AS varchar)) FROM r.tiles",
		"SELECT approx_percentile(u, 0.5), max(u, 10000) FROM r.tiles",
		"SELECT lpad('x', 100000000, 'y')",
		"SELECT repeat(lpad('x', 100000, 'y'), 10000)",
		("SELECT cardinality(ARRAY[sequence(1, 10000), sequence(1, 10000)]), array_join(sequence(1, 10000), "
		 "lpad('x', 10000, 'y')) FROM r.tiles"),
		"SELECT lpad(s, 1000000, 'y') FROM r.tiles",
		"SELECT replace(lpad('a', 100000, 'a'), 'a', lpad('b', 100000, 'b'))",
	};

	for (size_t i = 0; i < ARRAY_LEN(hungry); i++) {
		for (size_t memory = 4096; memory <= 16 << 20; memory *= 4) {
			struct str sql = {hungry[i], strlen(hungry[i])};
			const char *why = run(sql, memory, NULL);
			if (getenv("SQL_HOSTILE_SHOW"))
				printf("%9zu %.60s: %s\n", memory, hungry[i], why);
		}
	}
}
END_TEST

/* Each row is some 60 KB of text: they go out one by one, and between them it can be stopped. */
START_TEST(rows_of_megabytes)
{
	static const char text[] = "SELECT sequence(1, 9999) FROM r.memory";

	for (int f = 0; f < QF_PARQUET; f++) {
		_Atomic bool cancelled = false;
		struct query_env env = {.engine = db.engine, .memory_bytes = 64 << 20, .cancelled = &cancelled};
		struct query_text *t;
		struct query *q;
		struct err e = {0};
		struct buf out;
		int calls = 0, rc;

		buf_init(&out, 1 << 28);
		ck_assert_int_ge(query_prepare(&env, STR_LIT(text), &q, &e), 0);
		ck_assert_int_ge(query_text_create(q, (enum query_format)f, &t, &e), 0);
		while ((rc = query_text_next(t, &out, &e)) > 0) {
			ck_assert_uint_lt(out.len, 4 << 20);
			buf_clear(&out);
			if (++calls == 5)
				cancelled = true;
		}
		ck_assert_msg(rc == -ECANCELED, "%s: %d after %d calls", query_format_names[f], rc, calls);
		ck_assert_int_eq(calls, 5);
		query_text_destroy(t);
		buf_release(&out);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sql_hostile");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 600);
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, deep, 0, (int)ARRAY_LEN(nests));
	tcase_add_test(tc, doubling);
	tcase_add_test(tc, wide);
	tcase_add_loop_test(tc, cut_and_broken, 0, (int)ARRAY_LEN(whole));
	tcase_add_test(tc, token_soup);
	tcase_add_test(tc, little_memory);
	tcase_add_test(tc, rows_of_megabytes);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
