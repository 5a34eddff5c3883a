/*
 * Subqueries against what they mean: the subquery is run anew for each row of the query around, with that row's
 * values in the place of its columns. `SUBQUERY_SEED=n` replays, `SUBQUERY_COUNT=n` asks for more.
 *
 * Statements are made of text. A column of the outermost query is written $a, $b or $c, and becomes t.a or
 * the row's value; columns of queries in between stay, so that a query that is nested three deep is checked
 * against one of two, which other statements check.
 */
#include "tests/unit/unit.h"

#include "query/query.h"

#define ROWS 5

struct gen {
	uint64_t rng;
	struct buf out;
	int level;       /* of the query being written: 0 is that around everything */
	bool with_limit; /* LIMIT in correlated queries */
};

static uint32_t pick(struct gen *g, uint32_t n)
{
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return (uint32_t)((g->rng * 0x2545F4914F6CDD1Du) >> 33) % n;
}

static void put(struct gen *g, const char *text)
{
	buf_adds(&g->out, text);
}

/* ---- values ---------------------------------------------------------------------------------------- */

static const char *const bigints[] = {"NULL", "0", "1", "2", "3", "1", "2"};
static const char *const doubles[] = {"NULL", "0.0", "1.0", "2.5", "nan()", "1.0", "-0.0"};

static void put_cell(struct gen *g, int col)
{
	buf_addf(&g->out, col == 2 ? "CAST(%s AS double)" : "CAST(%s AS bigint)",
		 col == 2 ? doubles[pick(g, ARRAY_LEN(doubles))] : bigints[pick(g, ARRAY_LEN(bigints))]);
}

static void put_rows(struct gen *g, uint32_t rows)
{
	put(g, "(VALUES ");
	for (uint32_t i = 0; i < rows; i++) {
		put(g, i ? ", (" : "(");
		for (int c = 0; c < 3; c++) {
			put(g, c ? ", " : "");
			put_cell(g, c);
		}
		put(g, ")");
	}
	put(g, ")");
}

/* ---- statements -------------------------------------------------------------------------------------- */

static void gen_cond(struct gen *g, int depth);
static void gen_query(struct gen *g, int depth, bool one_row);

/* A column of the query being written or of one around it: of its own twice as often. */
static void put_column(struct gen *g, int col)
{
	int level = g->level - (int)pick(g, 3);

	if (level < 0)
		level = pick(g, 2) ? 0 : g->level;
	if (level == 0)
		buf_addf(&g->out, "$%c", 'a' + col);
	else
		buf_addf(&g->out, "u%d.%c", level, 'a' + col);
}

static void gen_value(struct gen *g, int depth)
{
	switch (pick(g, depth > 0 ? 12 : 8)) {
	case 0:
		put(g, bigints[1 + pick(g, ARRAY_LEN(bigints) - 1)]);
		break;
	case 1:
		put_column(g, 2);
		break;
	case 2:
		put(g, "(");
		put_column(g, 0);
		put(g, " + ");
		put_column(g, 1);
		put(g, ")");
		break;
	case 3:
		put(g, "coalesce(");
		put_column(g, 0);
		put(g, ", 2)");
		break;
	case 4: /* what tells 0.0 from -0.0 */
		if (pick(g, 2)) {
			put(g, "(1e0 / ");
			put_column(g, 2);
			put(g, ")");
			break;
		}
		put_column(g, 0);
		break;
	case 8:
	case 9:
		put(g, "(");
		gen_query(g, depth - 1, true);
		put(g, ")");
		break;
	case 10:
		put(g, "CASE WHEN ");
		gen_cond(g, depth - 1);
		put(g, " THEN ");
		gen_value(g, depth - 1);
		put(g, " END");
		break;
	default:
		put_column(g, (int)pick(g, 2));
		break;
	}
}

static void gen_cond(struct gen *g, int depth)
{
	static const char *const ops[] = {" = ", " = ", " = ", " < ", " >= ", " <> "};
	static const char *const quantors[] = {"ANY", "ALL", "SOME"};

	switch (pick(g, depth > 0 ? 12 : 7)) {
	case 4:
		put(g, "(");
		gen_cond(g, depth - 1);
		put(g, pick(g, 3) ? " AND " : " OR ");
		gen_cond(g, depth - 1);
		put(g, ")");
		break;
	case 5:
		gen_value(g, depth - 1);
		put(g, pick(g, 2) ? " IS NULL" : " IS NOT NULL");
		break;
	case 6:
		put(g, "NOT (");
		gen_cond(g, depth - 1);
		put(g, ")");
		break;
	case 7:
	case 8:
		put(g, pick(g, 2) ? "EXISTS (" : "NOT EXISTS (");
		gen_query(g, depth - 1, false);
		put(g, ")");
		break;
	case 9:
	case 10:
		gen_value(g, depth - 1);
		put(g, pick(g, 2) ? " IN (" : " NOT IN (");
		gen_query(g, depth - 1, false);
		put(g, ")");
		break;
	case 11:
		gen_value(g, depth - 1);
		put(g, ops[pick(g, ARRAY_LEN(ops))]);
		put(g, quantors[pick(g, 3)]);
		put(g, " (");
		gen_query(g, depth - 1, false);
		put(g, ")");
		break;
	default:
		gen_value(g, depth - 1);
		put(g, ops[pick(g, ARRAY_LEN(ops))]);
		gen_value(g, depth - 1);
		break;
	}
}

static void gen_aggregate(struct gen *g, int depth)
{
	static const char *const names[] = {"max", "min", "sum", "count", "count", "avg"};

	if (pick(g, 4) == 0) {
		put(g, pick(g, 2) ? "count(*)" : "(count(*) + 1)");
		return;
	}
	buf_addf(&g->out, "%s(%s", names[pick(g, ARRAY_LEN(names))], pick(g, 4) ? "" : "DISTINCT ");
	/* A column of its own must be among its arguments. */
	buf_addf(&g->out, "u%d.%c", g->level, "abc"[pick(g, 2)]);
	if (pick(g, 3) == 0) {
		put(g, " + ");
		gen_value(g, depth - 1);
	}
	put(g, ")");
	if (pick(g, 6) == 0) {
		put(g, " FILTER (WHERE ");
		gen_cond(g, depth - 1);
		put(g, ")");
	}
}

/* The relation u<level>, with columns a, b, c. */
static void gen_from(struct gen *g, int depth)
{
	static const char *const joins[] = {"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"};
	int level = g->level;

	switch (pick(g, depth > 0 ? 8 : 4)) {
	case 4: /* a query, itself correlated perhaps */
		put(g, "(SELECT ");
		gen_value(g, 0);
		buf_addf(&g->out, " AS a, u%d.b, u%d.c FROM ", level, level);
		gen_from(g, depth - 1);
		put(g, " WHERE ");
		gen_cond(g, depth - 1);
		buf_addf(&g->out, ") AS u%d", level);
		break;
	case 5:
		buf_addf(&g->out, "(SELECT u%d.a, x.b, x.c FROM ", level);
		gen_from(g, depth - 1);
		buf_addf(&g->out, " %s ", joins[pick(g, 4)]);
		put_rows(g, 1 + pick(g, 4));
		buf_addf(&g->out, " AS x(a, b, c) ON x.a = u%d.a", level);
		if (pick(g, 2)) {
			put(g, " AND x.b ");
			put(g, pick(g, 2) ? "= " : "<= ");
			put_column(g, 1);
		}
		buf_addf(&g->out, ") AS u%d", level);
		break;
	case 6:
		buf_addf(&g->out, "(SELECT u%d.a, u%d.b, u%d.c FROM ", level, level, level);
		gen_from(g, depth - 1);
		buf_addf(&g->out, " WHERE u%d.a = ", level);
		put_column(g, 0);
		put(g, pick(g, 2) ? " UNION ALL " : " UNION ");
		put(g, "SELECT a, b, c FROM ");
		put_rows(g, 1 + pick(g, 3));
		buf_addf(&g->out, " AS y(a, b, c)) AS u%d", level);
		break;
	case 7:
		put(g, "(SELECT o.a, l.b, o.c FROM ");
		put_rows(g, 1 + pick(g, 3));
		buf_addf(&g->out, " AS o(a, b, c) %s JOIN LATERAL (SELECT max(u%d.b) AS b FROM ",
			 pick(g, 2) ? "LEFT" : "INNER", level);
		gen_from(g, depth - 1);
		buf_addf(&g->out, " WHERE u%d.a = o.a AND ", level);
		gen_cond(g, 0);
		buf_addf(&g->out, "%s) AS l ON %s) AS u%d", pick(g, 2) ? "" : " GROUP BY 1 = 1",
			 pick(g, 2) ? "true" : "l.b > 0", level);
		break;
	default:
		if (pick(g, 8) == 0) { /* no rows */
			put(g, "(SELECT * FROM ");
			put_rows(g, 1);
			buf_addf(&g->out, " AS z(a, b, c) WHERE z.a = 7) AS u%d", level);
			break;
		}
		put_rows(g, 1 + pick(g, ROWS));
		buf_addf(&g->out, " AS u%d(a, b, c)", level);
		break;
	}
}

static void gen_tail(struct gen *g)
{
	if (!g->with_limit || pick(g, 3))
		return;
	put(g, " ORDER BY 1 DESC");
	switch (pick(g, 4)) {
	case 0:
		put(g, " OFFSET 1 LIMIT 2");
		break;
	case 1:
		put(g, " FETCH FIRST 1 ROW WITH TIES");
		break;
	default:
		buf_addf(&g->out, " LIMIT %u", 1 + pick(g, 2));
		break;
	}
}

/* A query of one column. */
static void gen_query(struct gen *g, int depth, bool one_row)
{
	g->level++;
	put(g, "SELECT ");
	if (one_row || pick(g, 5) == 0) {
		gen_aggregate(g, depth);
		put(g, " FROM ");
		gen_from(g, depth);
		if (pick(g, 6)) {
			put(g, " WHERE ");
			gen_cond(g, depth);
		}
		if (pick(g, 6) == 0) {
			put(g, " HAVING ");
			gen_aggregate(g, 0);
			put(g, " > 1");
		}
	} else if (pick(g, 4) == 0) {
		buf_addf(&g->out, "u%d.a FROM ", g->level);
		gen_from(g, depth);
		put(g, " WHERE ");
		gen_cond(g, depth);
		buf_addf(&g->out, " GROUP BY u%d.a HAVING count(*) >= ", g->level);
		put(g, pick(g, 2) ? "2" : "$a");
	} else {
		put(g, pick(g, 5) ? "" : "DISTINCT ");
		gen_value(g, depth);
		put(g, " FROM ");
		gen_from(g, depth);
		if (pick(g, 6)) {
			put(g, " WHERE ");
			gen_cond(g, depth);
		}
		gen_tail(g);
	}
	g->level--;
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* Lines as CSV, without the header; or -errno with its sentence. */
static int run(const char *sql, struct buf *out, struct err *e)
{
	struct query_env env = {.memory_bytes = 64 << 20};
	struct query_text *t;
	struct query *q;
	int rc = query_prepare(&env, (struct str){sql, strlen(sql)}, &q, e);

	buf_clear(out);
	if (rc >= 0)
		rc = query_text_create(q, QF_CSV, &t, e);
	if (rc < 0)
		return rc;
	while ((rc = query_text_next(t, out, e)) > 0)
		;
	query_text_destroy(t);
	if (rc < 0)
		return rc;
	char *nl = memchr(out->data, '\n', out->len);
	size_t head = (size_t)(nl - (char *)out->data) + 1;
	memmove(out->data, out->data + head, out->len - head);
	out->len -= head;
	buf_addc(out, '\0');
	out->len--;
	return 0;
}

/* The text with $a, $b, $c as columns of t, or as these values. */
static char *fill(const char *text, char cells[3][40])
{
	size_t n = strlen(text), at = 0;
	char *to = malloc(n * 40 + 1);

	ck_assert_ptr_nonnull(to);
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '$') {
			to[at++] = text[i];
			continue;
		}
		i++;
		at += (size_t)sprintf(to + at, "%s%s", cells ? "" : "t.", cells ? cells[text[i] - 'a'] : (char[2]){text[i], 0});
	}
	to[at] = '\0';
	return to;
}

struct table {
	char cells[ROWS][3][40];
	uint32_t rows;
	char values[1200];
};

static void make_table(struct gen *g, struct table *t)
{
	size_t at = 0;

	t->rows = 1 + pick(g, ROWS);
	at += (size_t)sprintf(t->values, "(VALUES ");
	for (uint32_t i = 0; i < t->rows; i++) {
		for (int c = 0; c < 3; c++) {
			buf_clear(&g->out);
			put_cell(g, c);
			snprintf(t->cells[i][c], sizeof t->cells[i][c], "%.*s", STR_FMT(buf_str(&g->out)));
		}
		at += (size_t)sprintf(t->values + at, "%s(%u, %s, %s, %s)", i ? ", " : "", i, t->cells[i][0], t->cells[i][1],
				      t->cells[i][2]);
	}
	sprintf(t->values + at, ") AS t(id, a, b, c)");
	buf_clear(&g->out);
}

static const char *seed_text;
static unsigned long compared, refused, differ_in_errors;

static void differ(const char *sql, const char *one, const char *got, const char *expected)
{
	ck_abort_msg("SUBQUERY_SEED=%s\n  %s\nrow by row:\n  %s\ngave:\n%s\nrow by row:\n%s", seed_text, sql, one, got, expected);
}

/* What may be said of such a statement. */
static void check_error(const char *sql, const struct err *e)
{
	bool known = strstr(e->text, "more than one row") || strstr(e->text, "LIMIT and OFFSET in a subquery") ||
		     strstr(e->text, "ON of a FULL JOIN");

	ck_assert_msg(known && !strncmp(e->text, "line ", 5), "SUBQUERY_SEED=%s\n  %s\n%s", seed_text, sql, e->text);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(struct buf *b)
{
	char *lines[4096], *copy = strdup((char *)b->data);
	size_t n = 0;

	for (char *p = copy, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
		*nl = '\0';
		ck_assert_uint_lt(n, ARRAY_LEN(lines));
		lines[n++] = p;
	}
	if (n)
		qsort(lines, n, sizeof *lines, line_cmp);
	buf_clear(b);
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s\n", lines[i]);
	buf_addc(b, '\0');
	b->len--;
	free(copy);
}

/* `whole` is asked at once, `one` for each row with its values filled in: the same lines. */
static void compare(const struct table *t, const char *whole, const char *one)
{
	struct buf got, expected, line;
	struct err e = {0};
	char *sql = fill(whole, NULL), *last = NULL;
	int rc, rc2 = 0;

	buf_init(&got, 1 << 24);
	buf_init(&expected, 1 << 24);
	buf_init(&line, 1 << 24);
	buf_addc(&expected, '\0');
	expected.len--;
	if (getenv("SUBQUERY_SHOW"))
		fprintf(stderr, "%s\n", sql);
	rc = run(sql, &got, &e);
	if (rc < 0)
		check_error(sql, &e);
	for (uint32_t i = 0; i < t->rows && rc >= 0 && rc2 >= 0; i++) {
		char cells[3][40], id[12];
		struct buf text;

		memcpy(cells, t->cells[i], sizeof cells);
		free(last);
		char *with_id = fill(one, cells);
		buf_init(&text, 1 << 24);
		sprintf(id, "%u", i);
		for (const char *c = with_id; *c; c++) {
			if (*c == '#')
				buf_adds(&text, id);
			else
				buf_addc(&text, *c);
		}
		buf_addc(&text, '\0');
		free(with_id);
		last = strdup((char *)text.data);
		buf_release(&text);
		rc2 = run(last, &line, &e);
		if (rc2 < 0)
			check_error(last, &e);
		else
			buf_adds(&expected, (char *)line.data);
	}
	if (rc >= 0 && rc2 >= 0) {
		buf_addc(&expected, '\0');
		expected.len--;
		sort_lines(&got);
		sort_lines(&expected);
		if (strcmp((char *)got.data, (char *)expected.data) != 0)
			differ(sql, last, (char *)got.data, (char *)expected.data);
		compared++;
	} else {
		refused += rc < 0;
		differ_in_errors += rc >= 0;
	}
	free(sql);
	free(last);
	buf_release(&got);
	buf_release(&expected);
	buf_release(&line);
}

static void one_statement(struct gen *g)
{
	char *whole = NULL, *one = NULL, *part, *having;
	struct table t;
	int depth = 1 + (int)pick(g, 3);

	make_table(g, &t);
	switch (pick(g, 6)) {
	case 0:
		gen_value(g, depth);
		put(g, ", ");
		gen_value(g, depth);
		part = strndup((char *)g->out.data, g->out.len);
		ck_assert_int_gt(asprintf(&whole, "SELECT t.id, %s FROM %s", part, t.values), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT #, %s", part), 0);
		break;
	case 1:
		gen_cond(g, depth);
		put(g, pick(g, 2) ? " AND " : " OR ");
		gen_cond(g, depth);
		part = strndup((char *)g->out.data, g->out.len);
		ck_assert_int_gt(asprintf(&whole, "SELECT t.id FROM %s WHERE %s", t.values, part), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT # WHERE %s", part), 0);
		break;
	case 2:
		gen_value(g, depth);
		put(g, "|");
		gen_cond(g, depth);
		part = strndup((char *)g->out.data, g->out.len);
		having = strchr(part, '|');
		*having++ = '\0';
		ck_assert_int_gt(asprintf(&whole, "SELECT max(t.id), %s FROM %s GROUP BY t.id, t.a, t.b, t.c HAVING %s", part,
					  t.values, having), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT #, %s WHERE %s", part, having), 0);
		break;
	case 3: {
		static const char *const kinds[] = {"LEFT", "INNER"};
		const char *kind = kinds[pick(g, 2)];

		put_rows(g, 1 + pick(g, ROWS));
		g->level = 1;
		put(g, " AS u1(a, b, c) ON ");
		gen_cond(g, depth);
		put(g, pick(g, 2) ? " AND " : " OR ");
		gen_cond(g, depth);
		g->level = 0;
		part = strndup((char *)g->out.data, g->out.len);
		ck_assert_int_gt(asprintf(&whole, "SELECT t.id, u1.a, u1.c FROM %s %s JOIN %s", t.values, kind, part), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT o.id, u1.a, u1.c FROM (VALUES #) AS o(id) %s JOIN %s", kind, part), 0);
		break;
	}
	case 4:
		gen_query(g, depth, pick(g, 2));
		part = strndup((char *)g->out.data, g->out.len);
		ck_assert_int_gt(asprintf(&whole, "SELECT t.id, l.x FROM %s, LATERAL (%s) AS l(x)", t.values, part), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT #, l.x FROM (%s) AS l(x)", part), 0);
		break;
	default:
		gen_query(g, depth, pick(g, 2));
		part = strndup((char *)g->out.data, g->out.len);
		ck_assert_int_gt(asprintf(&whole, "SELECT t.id, l.x FROM %s LEFT JOIN LATERAL (%s) AS l(x) ON l.x > 1 OR "
						  "$a IS NULL", t.values, part), 0);
		ck_assert_int_gt(asprintf(&one, "SELECT o.id, l.x FROM (VALUES #) AS o(id) LEFT JOIN (%s) AS l(x) ON l.x > 1 "
						"OR $a IS NULL", part), 0);
		break;
	}
	compare(&t, whole, one);
	free(part);
	free(whole);
	free(one);
}

static void many(uint64_t count, bool with_limit)
{
	const char *env = getenv("SUBQUERY_SEED"), *n = getenv("SUBQUERY_COUNT");
	uint64_t seed = env ? strtoull(env, NULL, 10) : (uint64_t)clock_now_ns() / 1000;
	struct gen g = {.with_limit = with_limit};
	char text[24];

	compared = refused = differ_in_errors = 0;
	buf_init(&g.out, 1 << 24);
	count = n ? strtoull(n, NULL, 10) : count;
	for (uint64_t i = 0; i < (env && !n ? 1 : count); i++) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)(seed + i));
		seed_text = text;
		g.rng = hash_u64(seed + i) | 1;
		g.level = 0;
		buf_clear(&g.out);
		if (getenv("SUBQUERY_SHOW"))
			fprintf(stderr, "-- %s\n", text);
		one_statement(&g);
	}
	buf_release(&g.out);
	if (!env)
		ck_assert_uint_gt(compared, count / 2);
	if (getenv("SUBQUERY_SHOW"))
		fprintf(stderr, "%lu compared, %lu refused, %lu failed by row\n", compared, refused, differ_in_errors);
}

START_TEST(as_row_by_row)
{
	many(1500, false);
}
END_TEST

START_TEST(with_limits)
{
	many(700, true);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {as_row_by_row, with_limits};
	return unit_main("subquery", 600, tests, ARRAY_LEN(tests));
}
