#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/ast.h"

static struct arena arena;

static void setup(void)
{
	arena_init(&arena, NULL);
}

static void teardown(void)
{
	arena_release(&arena);
}

static int parse(const char *text, struct ast_stmt ***ret, uint32_t *n, struct err *e)
{
	err_clear(e);
	return sql_parse(&arena, str_from(text), ret, n, e);
}

static struct ast_stmt *parse_ok(const char *text)
{
	struct ast_stmt **v;
	uint32_t n;
	struct err e;
	int rc = parse(text, &v, &n, &e);

	ck_assert_msg(rc == 0, "%s\n  -> %s", text, err_text(&e, rc));
	ck_assert_msg(n == 1, "%s: %u statements", text, n);
	return v[0];
}

/* ---- what is accepted --------------------------------------------------------------------------- */

static const char *const accepted[] = {
	"SELECT 1",
	"select 1;",
	" ; ; SELECT 1 ; ;",
	"SELECT *, a, t.*, d.t.*, d.t.a AS b, a c, \"x\"\"y\" FROM d.t",
	"SELECT ALL a FROM t",
	"SELECT all FROM t",
	"SELECT all, any, some, \"all\" FROM t",
	"SELECT DISTINCT a FROM t WHERE a > 1 AND NOT b OR c IS NOT NULL",
	"SELECT time, value, date, hour, minute, day, if, row, rows, range, over, partition, limit, show, "
	"interval, filter, try, position, second FROM t",
	"SELECT a time, b value, c date, d hour, e minute, f filter, g row, h rows, i range, j over FROM t",
	"SELECT time FROM t limit WHERE limit.time > 1 LIMIT 5",
	"SELECT 1 limit, 2 offset, 3 fetch, 4 window FROM t",
	"SELECT limit * limit FROM t ORDER BY limit LIMIT 5",
	"SELECT * FROM t LIMIT ALL",
	"SELECT * LIMIT 5",
	"SELECT 1 OFFSET 2 ROWS LIMIT 3",
	"SELECT 1 LIMIT 3 OFFSET 2",
	"SELECT a FROM t ORDER BY a OFFSET 2 FETCH FIRST 5 ROWS WITH TIES",
	"SELECT a FROM t FETCH NEXT ROW ONLY",
	"SELECT a FROM t FETCH FIRST (1 + 2) ROWS ONLY",
	"SELECT measure_value::double, b.measure_value::bigint FROM d.t b",
	"SELECT 15m, 72.5h, 1year, 50ns, 1y, 12month, 1e5, 1.5, .5, 5., 10_000, 0xFF, 0b101, 0o17, 1.5e-3",
	"SELECT -9223372036854775808, 9223372036854775807",
	"SELECT INTERVAL '2' DAY, INTERVAL -'2' DAY, INTERVAL '2 03:04:05' DAY TO SECOND, interval '-2' week",
	"SELECT interval - 1, interval FROM t",
	"SELECT DOUBLE '0.0', BIGINT '0', DATE '2022-05-21', TIME '17:02', TIMESTAMP '2022-06-17', boolean 'true'",
	"SELECT 'it''s', U&'d\\0061t\\+000061', U&'d!0061' UESCAPE '!'",
	"SELECT a -- comment\n FROM /* more\n */ t",
	"SELECT x[1], x[1].y, (r).f, f(x).y[2] FROM t",
	"SELECT a NOT IN (1, 2), a IN (SELECT 1), a IN (VALUES 1, 2), a NOT LIKE 'x' ESCAPE '!', "
	"a NOT BETWEEN 1 AND 2 AND b FROM t",
	"SELECT NOT a NOT IN (1) AND NOT EXISTS (SELECT 1) FROM t",
	"SELECT a IS DISTINCT FROM b, a IS NOT DISTINCT FROM NULL FROM t",
	"SELECT 17 < ALL (VALUES 19, 20, 15), 11.7 = ANY (SELECT 1), 50 >= SOME (VALUES 53)",
	"SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, CASE WHEN a THEN 1 WHEN b THEN 2 END FROM t",
	"SELECT CAST(a AS VARCHAR(10)), TRY_CAST(a AS double), CAST(ROW(0, 0) AS ROW(a BIGINT, \"b\" BIGINT))",
	"SELECT CAST(a AS array(row(double, x varchar))), CAST(a AS interval day to second), "
	"CAST(a AS ARRAY[double]) FROM t",
	"SELECT ARRAY[1, 2], ARRAY[], ROW(1, 'x'), (1, 'x'), ((1, 2))",
	"SELECT EXTRACT(YEAR FROM time), POSITION('n' IN 'banana'), position(a || 'x' IN b), position FROM t",
	"SELECT substring(a FROM 2 FOR 3), substring(a FROM 2), NORMALIZE(a, NFC), normalize(a) FROM t",
	"SELECT count(*), count(DISTINCT a), sum(a) FILTER (WHERE a > 1), array_agg(a ORDER BY b DESC), "
	"count(ALL a), listagg(a, ',') WITHIN GROUP (ORDER BY a) FROM t",
	"SELECT count(*) filter, count(*) over FROM t",
	"SELECT row_number() OVER (), lag(x, 1) IGNORE NULLS OVER (PARTITION BY a ORDER BY b), "
	"sum(x) OVER (PARTITION BY a, c ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t",
	"SELECT sum(x) OVER (ORDER BY time RANGE BETWEEN 5m PRECEDING AND 1 FOLLOWING) FROM t",
	"SELECT sum(x) OVER (ORDER BY a GROUPS 3 PRECEDING), sum(y) OVER w FROM t "
	"WINDOW w AS (PARTITION BY rows ORDER BY range), v AS (w ROWS 5 PRECEDING)",
	"SELECT sum(a) OVER (PARTITION BY rows, range ORDER BY rows ROWS 1 + 1 PRECEDING) FROM t",
	"SELECT filter(ts, x -> x.value > 1), reduce(a, 0, (s, x) -> s + x, s -> s), f(() -> 1) FROM t",
	"SELECT a FROM t GROUP BY a, 2, (b, c), ()",
	"SELECT a FROM t GROUP BY GROUPING SETS ((a, b), a, ()), ROLLUP(a, (b, c)), CUBE(a, b) HAVING grouping(a) = 1",
	"SELECT a FROM t GROUP BY ALL a, b",
	"SELECT a FROM t GROUP BY DISTINCT ROLLUP(a)",
	"SELECT all FROM t GROUP BY all",
	"SELECT * FROM a, b JOIN c ON a.x = c.x LEFT OUTER JOIN d USING (x, y) CROSS JOIN e",
	"SELECT * FROM a JOIN b JOIN c ON b.x = c.x ON a.x = b.x",
	"SELECT * FROM (a RIGHT JOIN b ON true) FULL JOIN (SELECT 1) ON true",
	"SELECT * FROM t CROSS JOIN UNNEST(a, b) WITH ORDINALITY AS u(x, y, n)",
	"SELECT * FROM t LEFT JOIN UNNEST(a) u ON true, LATERAL (SELECT t.a) l, lateral",
	"SELECT * FROM (VALUES (('a', 1)), (('b', 2))) AS t(c1, c2)",
	"SELECT * FROM (SELECT 1)",
	"SELECT * FROM ((SELECT 1))",
	"SELECT * FROM ((SELECT 1) UNION (SELECT 2)) x",
	"SELECT * FROM ((SELECT 1) a JOIN (SELECT 2) b ON true)",
	"SELECT ((SELECT 1)), ((SELECT 1) + 1), (SELECT 1) + 1, ((SELECT 1), 2)",
	"((SELECT 1) UNION ALL SELECT 2 ORDER BY 1 LIMIT 1) UNION SELECT 3 INTERSECT SELECT 4 EXCEPT ALL VALUES 5",
	"VALUES 1, 2, 3 ORDER BY 1",
	"WITH a AS (SELECT 1), b (x, y) AS (VALUES (1, 2)) SELECT * FROM a, b ORDER BY 1 NULLS FIRST, 2 DESC NULLS LAST",
	"WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT * FROM r",
	"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a)",
	"SELECT time FROM t WHERE time BETWEEN @scheduled_runtime - 10m AND @scheduled_runtime + 1m",
	"SELECT \"time\" FROM \"metrics\".\"raw-metrics\"",
	"SELECT current_date, current_timestamp, now()",
	"SELECT if(a, b), if(a, b, c), nullif(a, b), try(1/0), \"if\"(a, b) FROM t",
	"EXPLAIN SELECT 1",
	"EXPLAIN ANALYZE SELECT 1",
	"SHOW DATABASES LIKE 'a%'",
	"SHOW TABLES FROM iot LIKE 'x'",
	"SHOW TABLES",
	"SHOW MEASURES FROM iot.weather",
	"SHOW FUNCTIONS LIKE 'b%'",
	"DESCRIBE iot.weather",
	"DESC weather",
	"CREATE DATABASE IF NOT EXISTS iot",
	"CREATE TABLE iot.weather",
	"DROP TABLE IF EXISTS iot.weather",
	"DROP DATABASE iot",
	"DELETE FROM iot.weather WHERE time < ago(1d)",
	"INSERT INTO iot.a (x, y) SELECT 1, 2",
	"INSERT INTO iot.a VALUES (1, 2)",
	"INSERT INTO iot.a (SELECT 1)",
	"UNLOAD (SELECT 1) TO 's3://b/c' WITH (format = 'CSV', partitioned_by = ARRAY['a'])",
	"SELECT température FROM t",
	"SELECT a AS \"limit\" FROM t",
	"SELECT 1 + -1 - - 1 * +2 || 'x' < 3",
	"SELECT date '2022-05-21' + interval '2' day, date + 1d FROM t",
};

START_TEST(test_accepted)
{
	parse_ok(accepted[_i]);
}
END_TEST

/* A statement's text may arrive anyhow: no prefix of what is right may be refused. */
START_TEST(test_prefixes_may_go_on)
{
	struct str text = str_from(accepted[_i]);
	struct err e;

	for (size_t n = 0; n <= text.len; n++) {
		size_t end = 0;
		int rc = sql_split((struct str){text.ptr, n}, &end, &e);

		ck_assert_msg(rc == 0, "%.*s|%s\n  -> %s", (int)n, text.ptr, text.ptr + n, err_text(&e, rc));
	}
}
END_TEST

/* ---- what is refused, and how it is said ------------------------------------------------------------ */

static const struct {
	const char *text, *say;
} refused[] = {
	{"SELECT * FORM t", "line 1:10: unexpected 'FORM'; expected"},
	{"SELECT * FORM t", "(did you mean FROM?)"},
	{"SELECT a FORM t", "line 1:15: unexpected 't'"},
	{"SELECT a FORM t", "(is 'FORM' at 1:10 meant to be FROM?)"},
	{"SELEC a FROM t", "line 1:1: unexpected 'SELEC'; expected"},
	{"SELEC a FROM t", "did you mean SELECT?"},
	{"SELECT a FROM t WHRE a = 1", "is 'WHRE' at 1:17 meant to be WHERE?"},
	{"SELECT", "line 1:7: the statement ends too early; expected an expression"},
	{"SELECT 1 +", "the statement ends too early"},
	{"SELECT (1 + (2", "line 1:13: this '(' is not closed when the statement ends at 1:15"},
	{"SELECT x[1", "line 1:9: this '[' is not closed"},
	{"SELECT 'abc", "line 1:8: this string is not closed"},
	{"SELECT \"abc", "line 1:8: this name is not closed"},
	{"SELECT 1 /* abc", "line 1:10: this comment is not closed"},
	{"SELECT a::bigint FROM t", "line 1:9: '::' is no operator here; write CAST(value AS type)"},
	{"SELECT measure_value::timestamp", "line 1:8: after 'measure_value::' comes double"},
	{"SELECT 15q", "line 1:8: '15q' is neither a number nor a duration"},
	{"SELECT 1.2.3", "'1.2.3' is neither"},
	{"SELECT x'65'", "there are no binary literals"},
	{"SELECT 9223372036854775809", "does not fit a bigint"},
	{"SELECT 1e999", "does not fit a double"},
	{"SELECT a FROM t NATURAL JOIN u USING (a)", "NATURAL JOIN is not supported"},
	{"SELECT \xE2\x80\x9C" "a\xE2\x80\x9D", "line 1:8: this is a typographic quote"},
	{"SELECT 'a\xC3\xA9' + ~1", "line 1:15: unexpected character '~'"},
	{"SELECT `a`", "names are quoted by double quotes"},
	{"SELECT a FROM table", "reserved word; as a name it needs double quotes"},
	{"SELECT 1,\n  FROM t", "line 2:3: unexpected 'FROM'"},
	{"SELECT f(1 FROM 2)", "only substring"},
	{"SELECT (1 + 2) -> 3", "in front of '->' stand parameter names"},
	{"SELECT U&'\\00'", "in U&'...' an escape is"},
	{"SELECT \xff", "line 1:8: byte 0xFF is no UTF-8"},
	{"EXPLAIN EXPLAIN SELECT 1", "EXPLAIN stands once"},
	{"SELECT 1; SELECT )", "line 1:18: unexpected ')'"},
	{"SELECT 1 2", "line 1:10: unexpected '2'"},
	{"SELECT \"\" FROM t", "a name must not be empty"},
};

START_TEST(test_refused)
{
	struct ast_stmt **v;
	uint32_t n;
	struct err e;
	int rc = parse(refused[_i].text, &v, &n, &e);

	ck_assert_msg(rc == -EINVAL, "%s: %d", refused[_i].text, rc);
	ck_assert_msg(strstr(e.text, refused[_i].say) != NULL, "%s\n  -> %s\n  lacks %s", refused[_i].text,
		      e.text, refused[_i].say);
}
END_TEST

/* ---- shape ---------------------------------------------------------------------------------------- */

static void show(const struct ast_expr *x, struct buf *b)
{
	switch (x->kind) {
	case EX_INT:
		buf_addf(b, "%lld", (long long)x->integer);
		break;
	case EX_COLUMN:
		for (uint32_t i = 0; i < x->names.n; i++)
			buf_addf(b, "%s%.*s", i ? "." : "", STR_FMT(x->names.v[i].text));
		break;
	case EX_STRING:
		buf_addf(b, "'%.*s'", STR_FMT(x->text));
		break;
	default: {
		static const char *const kinds[] = {[EX_NEG] = "neg", [EX_NOT] = "not", [EX_AND] = "and",
			[EX_OR] = "or", [EX_BETWEEN] = "between", [EX_IN_LIST] = "in", [EX_LIKE] = "like",
			[EX_SUBSCRIPT] = "[]", [EX_FIELD] = "field", [EX_LAMBDA] = "lambda", [EX_IS_NULL] = "null?",
			[EX_CALL] = "call", [EX_ROW] = "row", [EX_SUBQUERY] = "query", [EX_IN_QUERY] = "in-query"};
		buf_addf(b, "(%s%s", x->negated ? "!" : "",
			 x->kind == EX_BINARY ? x->op : (size_t)x->kind < ARRAY_LEN(kinds) && kinds[x->kind] ? kinds[x->kind] : "?");
		const struct ast_expr *parts[3] = {x->a, x->b, x->c};
		for (int i = 0; i < 3; i++) {
			if (parts[i]) {
				buf_addc(b, ' ');
				show(parts[i], b);
			}
		}
		for (uint32_t i = 0; i < x->list.n; i++) {
			buf_addc(b, ' ');
			show(x->list.v[i], b);
		}
		buf_addc(b, ')');
	}
	}
}

static const struct {
	const char *text, *shape;
} shapes[] = {
	{"a + b * c - d", "(- (+ a (* b c)) d)"},
	{"a || b + c", "(|| a (+ b c))"},
	{"a = b || c", "(= a (|| b c))"},
	{"not a = b and c or d", "(or (and (not (= a b)) c) d)"},
	{"a between b and c and d", "(and (between a b c) d)"},
	{"a not between b and c or d", "(or (!between a b c) d)"},
	{"a between b + 1 and c * 2 = d", "(= (between a (+ b 1) (* c 2)) d)"},
	{"-a * b", "(* (neg a) b)"},
	{"-a[1]", "(neg ([] a 1))"},
	{"a.b.c[1].d", "(field ([] a.b.c 1))"},
	{"(a).b", "(field a)"},
	{"a and b not like c", "(and a (!like b c))"},
	{"a + 1 in (1, 2)", "(in (+ a 1) 1 2)"},
	{"x -> x and y", "(lambda (and x y))"},
	{"a is null = b", "(= (null? a) b)"},
	{"a in ((select 1))", "(in-query a)"},
	{"((1, 2))", "(row 1 2)"},
	{"U&'d\\0061t\\+000061\\\\'", "'data\\'"},
	{"'it''s'", "'it's'"},
	{"-9223372036854775808", "-9223372036854775808"},
	{"0xFF + 1_000", "(+ 255 1000)"},
	{"position(a in b)", "(call)"},
};

START_TEST(test_shape)
{
	char text[256];
	struct buf b;
	const struct ast_stmt *s;

	snprintf(text, sizeof(text), "SELECT %s FROM t", shapes[_i].text);
	s = parse_ok(text);
	buf_init(&b, 4096);
	const struct ast_expr *x = s->query->body->select->items.v[0].expr;
	show(x, &b);
	buf_addc(&b, 0);
	ck_assert_str_eq(b.data, shapes[_i].shape);
	/* the expression's own text is known */
	ck_assert_msg(str_is(x->source, shapes[_i].text), "source %.*s", STR_FMT(x->source));
	buf_release(&b);
}
END_TEST

START_TEST(test_statements)
{
	struct ast_stmt **v;
	uint32_t n;
	struct err e;

	ck_assert_int_eq(parse(";; SELECT 1 ; \n DROP TABLE d.t -- x\n;", &v, &n, &e), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert(str_is(v[0]->source, "SELECT 1"));
	ck_assert(str_is(v[1]->source, "DROP TABLE d.t"));
	ck_assert(!stmt_changes(v[0]) && stmt_changes(v[1]));
	ck_assert_int_eq(parse(" -- nothing\n", &v, &n, &e), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(test_positions)
{
	const struct ast_stmt *s = parse_ok("SELECT\n  'ä', b\n\t+ c FROM t");
	const struct ast_expr *x = s->query->body->select->items.v[1].expr;

	ck_assert_uint_eq(x->pos.line, 3);
	ck_assert_uint_eq(x->pos.col, 2);
	ck_assert_uint_eq(x->a->pos.line, 2);
	ck_assert_uint_eq(x->a->pos.col, 8);
}
END_TEST

/* ---- pieces ----------------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int rc;
	size_t end;
} pieces[] = {
	{"", 0, 0},
	{"SELECT 1", 0, 0},
	{"SELECT 1;", 0, 9},
	{"SELECT 1; SELECT 2;", 0, 9},
	{"  ;", 0, 3},
	{"SELECT ';' -- ;\n", 0, 0},
	{"SELECT ';' -- ;\n;", 0, 17},
	{"SELECT /* ; */ \";\" FROM t;", 0, 26},
	{"SELECT * FORM", 0, 0},        /* FORM may become FORMS... still a wrong word, but it may grow */
	{"SELECT * FORM ", -EINVAL, 0}, /* now it cannot */
	{"SELECT a limit ", 0, 0},
	{"SELECT )", -EINVAL, 0},
	{"SELECT 1 +;", -EINVAL, 0},
	{"SELECT (1;", -EINVAL, 0},
	{"SELECT 'abc", 0, 0},
	{"SELECT `", -EINVAL, 0},
	{"SELECT a:", 0, 0},
	{"SELECT a::b", -EINVAL, 0},
	{"SELECT measure_value::doub", 0, 0},
	{"SELECT measure_value::doub ", -EINVAL, 0},
	{"SELECT 1e", 0, 0},
	{"SELECT 1e+", 0, 0},
	{"SELECT 15minu", 0, 0},
	{"SELECT 15minu ", -EINVAL, 0},
	{"SELECT U&", 0, 0},
	{"SELECT \xC3", 0, 0},
	{"SELECT \xFF ....", -EINVAL, 0},
	{"\n\n", 0, 0},
};

START_TEST(test_split)
{
	size_t end = 0;
	struct err e;
	int rc;

	err_clear(&e);
	rc = sql_split(str_from(pieces[_i].text), &end, &e);
	ck_assert_msg(rc == pieces[_i].rc, "%s: %d %s", pieces[_i].text, rc, err_text(&e, rc));
	if (!rc)
		ck_assert_uint_eq(end, pieces[_i].end);
}
END_TEST

/* ---- hostile text ------------------------------------------------------------------------------------- */

static int parse_repeated(const char *head, const char *part, int n, const char *middle, const char *back,
			  const char *tail)
{
	struct buf b;
	struct ast_stmt **v;
	uint32_t k;
	struct err e;
	int rc;

	buf_init(&b, 8 << 20);
	buf_adds(&b, head);
	for (int i = 0; i < n; i++)
		buf_adds(&b, part);
	buf_adds(&b, middle);
	for (int i = 0; i < n; i++)
		buf_adds(&b, back);
	buf_adds(&b, tail);
	err_clear(&e);
	rc = sql_parse(&arena, buf_str(&b), &v, &k, &e);
	if (rc == -E2BIG)
		ck_assert_msg(strstr(e.text, "nested deeper") || strstr(e.text, "bytes long"), "%s", e.text);
	buf_release(&b);
	return rc;
}

START_TEST(test_depth)
{
	ck_assert_int_eq(parse_repeated("SELECT ", "(", 900, "1", ")", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT ", "(", 100000, "1", ")", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT ", "NOT ", 900, "a", "", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT ", "NOT ", 60000, "a", "", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT ", "- ", 100000, "a", "", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT ", "abs(", 900, "a", ")", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT ", "abs(", 50000, "a", ")", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT * FROM ", "(SELECT * FROM ", 100, "t", ")", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT * FROM ", "(SELECT * FROM ", 10000, "t", ")", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT 1", " + 1", 900, "", "", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT 1", " + 1", 50000, "", "", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT CAST(a AS ", "array(", 50000, "bigint", ")", ")"), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT ", "x -> ", 50000, "1", "", ""), -E2BIG);
	ck_assert_int_eq(parse_repeated("SELECT ", "CASE WHEN ", 9000, "1", "", ""), -EINVAL);
	/* chains of AND and long lists are flat */
	ck_assert_int_eq(parse_repeated("SELECT a", " AND a", 40000, "", "", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT a IN (1", ", 1", 60000, "", "", ")"), 0);
	ck_assert_int_eq(parse_repeated("SELECT a", ", a", 60000, "", "", ""), 0);
	ck_assert_int_eq(parse_repeated("SELECT a", ", a", 100000, "", "", ""), -E2BIG);
}
END_TEST

START_TEST(test_memory_limit)
{
	struct budget budget;
	struct arena a;
	struct err e;

	for (size_t limit = 0; limit < 200000; limit += 4096) {
		struct ast_stmt **v;
		uint32_t n;

		budget_init(&budget, limit);
		arena_init(&a, &budget);
		int rc = sql_parse(&a, STR_LIT("SELECT a, 1.5, U&'\\0061', x[1].y, CAST(a AS ROW(a bigint, b array(double))), "
					       "sum(a) OVER (PARTITION BY b) FROM (VALUES 1, 2) t JOIN u ON t.x = u.x "
					       "WHERE a IN (1,2,3,4,5) GROUP BY ROLLUP(a, b) ORDER BY 1 LIMIT 5; SELECT 2"),
				   &v, &n, &e);
		ck_assert(rc == 0 || rc == -ENOMEM);
		arena_release(&a);
	}
}
END_TEST

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

/* Random tokens: never a crash; sql_split never refuses a prefix of what sql_parse takes. */
START_TEST(test_soup)
{
	static const char *const soup[] = {
		"SELECT", "FROM", "t", "a", ",", "(", ")", "1", "'x'", "WHERE", "AND", "OR", "NOT", "IN", "LIKE",
		"BETWEEN", "*", "+", "-", "->", "[", "]", ".", "GROUP", "BY", "ORDER", "LIMIT", "UNION", "ALL", "CASE",
		"WHEN", "THEN", "END", "OVER", "ROWS", "VALUES", "WITH", "AS", "JOIN", "ON", "UNNEST", "NULLS", "FIRST",
		"INTERVAL", "DAY", "15m", "DATE", "CAST", "bigint", "ROW", "ARRAY", "@p", "=", "IS", "NULL", "DISTINCT",
		"position", "filter", "EXISTS", "measure_value::double", "\"q\"", "-- c\n", "/* c */", ";", "SHOW", "TABLES",
		"window", "offset", "fetch", "lateral", "GROUPING", "SETS", "(SELECT 1)", "/", "%", "||", "U&'\\0061'",
	};
	const char *from = getenv("SEED");

	seed = from ? strtoull(from, NULL, 10) : 20240611u + (unsigned)_i;
	uint64_t start = seed;
	for (int round = 0; round < 3000; round++) {
		struct buf b;
		struct ast_stmt **v;
		uint32_t n;
		struct err e;

		buf_init(&b, 65536);
		for (uint32_t i = 0, k = 1 + rnd(24); i < k; i++)
			buf_addf(&b, "%s%s", i || rnd(3) ? " " : "SELECT ", soup[rnd(ARRAY_LEN(soup))]);
		struct arena_mark m = arena_mark(&arena);
		int rc = sql_parse(&arena, buf_str(&b), &v, &n, &e);
		ck_assert_msg(rc == 0 || rc == -EINVAL, "SEED=%llu: %d", (unsigned long long)start, rc);
		if (!rc) {
			for (size_t cut = 0; cut < b.len; cut++) {
				size_t end = 0;
				int src = sql_split((struct str){b.data, cut}, &end, &e);
				ck_assert_msg(src == 0, "SEED=%llu: %.*s| of %.*s: %s", (unsigned long long)start,
					      (int)cut, b.data, (int)b.len, b.data, e.text);
			}
		}
		arena_rewind(&arena, m);
		buf_release(&b);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("parse");
	TCase *t = tcase_create("parse");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_accepted, 0, (int)ARRAY_LEN(accepted));
	tcase_add_loop_test(t, test_prefixes_may_go_on, 0, (int)ARRAY_LEN(accepted));
	tcase_add_loop_test(t, test_refused, 0, (int)ARRAY_LEN(refused));
	tcase_add_loop_test(t, test_shape, 0, (int)ARRAY_LEN(shapes));
	tcase_add_loop_test(t, test_split, 0, (int)ARRAY_LEN(pieces));
	tcase_add_loop_test(t, test_soup, 0, 4);
	tcase_add_test(t, test_statements);
	tcase_add_test(t, test_positions);
	tcase_add_test(t, test_depth);
	tcase_add_test(t, test_memory_limit);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
