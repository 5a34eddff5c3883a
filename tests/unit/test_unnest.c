/*
 * UNNEST of random lists against a model: lists of all lengths, NULL ones and NULL elements, zipped, numbered,
 * dropped or kept where they are empty.
 */
#include "tests/unit/unit.h"

#include "query/query.h"

#define NIL INT64_MIN

struct list {
	bool is_null;
	uint32_t n;
	int64_t first; /* a sequence from there... */
	int64_t few[8]; /* ...or, where first is NIL, these */
};

struct row {
	struct list a, b;
};

static int64_t element(const struct list *l, uint32_t i)
{
	return l->is_null || i >= l->n ? NIL : l->first != NIL ? l->first + i : l->few[i];
}

static struct list make_list(struct unit_rng *r, bool may_be_long)
{
	struct list l = {.is_null = unit_below(r, 8) == 0, .first = NIL};

	if (may_be_long && unit_below(r, 4) == 0) {
		l.first = (int64_t)unit_below(r, 1000) - 500;
		l.n = 1 + (uint32_t)unit_below(r, 6000);
	} else {
		l.n = (uint32_t)unit_below(r, 5);
		for (uint32_t i = 0; i < l.n; i++)
			l.few[i] = unit_below(r, 6) ? (int64_t)unit_below(r, 100) : NIL;
	}
	if (l.is_null)
		l.n = 0;
	return l;
}

static void put_list(const struct list *l, struct buf *out)
{
	if (l->is_null) {
		buf_adds(out, "NULL");
	} else if (l->first != NIL) {
		buf_addf(out, "sequence(%lld, %lld)", (long long)l->first, (long long)(l->first + l->n - 1));
	} else {
		buf_adds(out, "CAST(ARRAY[");
		for (uint32_t i = 0; i < l->n; i++)
			buf_addf(out, l->few[i] == NIL ? "%sNULL" : "%s%lld", i ? ", " : "", (long long)l->few[i]);
		buf_adds(out, "] AS array(bigint))");
	}
}

static void put_cell(int64_t v, struct buf *out)
{
	if (v == NIL)
		buf_adds(out, "\t\\N");
	else
		buf_addf(out, "\t%lld", (long long)v);
}

static void model(const struct row *rows, uint32_t n, bool keep, struct buf *out)
{
	buf_adds(out, "k\tn\tx\ty\ti\n");
	for (uint32_t k = 0; k < n; k++) {
		uint32_t len = MAX(rows[k].a.n, rows[k].b.n);
		for (uint32_t i = 0; i < MAX(len, (uint32_t)keep); i++) {
			buf_addf(out, "k%u\t%u", k % 3, k);
			put_cell(element(&rows[k].a, i), out);
			put_cell(element(&rows[k].b, i), out);
			put_cell(i < len ? (int64_t)i + 1 : NIL, out);
			buf_addc(out, '\n');
		}
	}
}

static void statement(const struct row *rows, uint32_t n, bool keep, struct buf *out)
{
	buf_adds(out, "SELECT k, n, x, y, i FROM (VALUES ");
	for (uint32_t k = 0; k < n; k++) {
		buf_addf(out, "%s('k%u', %u, ", k ? ", " : "", k % 3, k);
		put_list(&rows[k].a, out);
		buf_adds(out, ", ");
		put_list(&rows[k].b, out);
		buf_addc(out, ')');
	}
	/* A last row gives the lists their type, should all others be NULL. */
	buf_addf(out, ", ('', -1, ARRAY[BIGINT '0'], ARRAY[BIGINT '0'])) AS t(k, n, a, b) %s JOIN UNNEST(a, b) WITH "
		      "ORDINALITY AS u(x, y, i)%s WHERE n >= 0", keep ? "LEFT" : "CROSS", keep ? " ON true" : "");
}

static void check(struct unit_rng *r, uint32_t n, bool may_be_long)
{
	struct query_env env = {.engine = NULL};
	struct row *rows = calloc(n, sizeof *rows);
	bool keep = unit_below(r, 2);
	struct buf sql, want, got;
	struct query_text *text;
	struct err e = {0};
	struct query *q;

	buf_init(&sql, 1 << 20);
	buf_init(&want, 1 << 28);
	buf_init(&got, 1 << 28);
	for (uint32_t k = 0; k < n; k++)
		rows[k] = (struct row){make_list(r, may_be_long), make_list(r, may_be_long)};
	statement(rows, n, keep, &sql);
	model(rows, n, keep, &want);
	int rc = query_prepare(&env, buf_str(&sql), &q, &e);
	unit_assert(r, rc >= 0, "%s: %.300s", e.text, sql.data);
	ck_assert_int_ge(query_text_create(q, QF_TSV, &text, &e), 0);
	while ((rc = query_text_next(text, &got, &e)) > 0)
		;
	unit_assert(r, rc == 0, "%s: %.300s", e.text, sql.data);
	query_text_destroy(text);
	size_t at = 0;
	while (at < want.len && at < got.len && want.data[at] == got.data[at])
		at++;
	unit_assert(r, at == want.len && at == got.len, "%u rows: differs from byte %zu: %.60s", n, at, got.data + at);
	buf_release(&sql);
	buf_release(&want);
	buf_release(&got);
	free(rows);
}

START_TEST(few_rows)
{
	struct unit_rng r = unit_rng();

	for (int i = 0; i < 300; i++)
		check(&r, 1 + (uint32_t)unit_below(&r, 12), i % 4 == 0);
}
END_TEST

/* More than a batch of them, most with no element or few. */
START_TEST(many_rows)
{
	struct unit_rng r = unit_rng();

	for (int i = 0; i < 4; i++)
		check(&r, 2040 + (uint32_t)unit_below(&r, 20), false);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {few_rows, many_rows};
	return unit_main("unnest", 120, tests, ARRAY_LEN(tests));
}
