/*
 * Statements, and the same worked out on the twin. Results are compared as CSV, field by field.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/query.h"

/* ---- conditions -------------------------------------------------------------------------------------- */

enum kind {
	C_SINCE, C_BEFORE, C_BETWEEN, C_DIM, C_DIM_NOT, C_DIM_NULL, C_DIM_IS, C_MEASURE,
	C_EQ, C_LE, C_GT, C_NULL, C_NOT_NULL, KINDS
};

static int64_t some_moment(const struct twin *tw)
{
	if (tw->n && !chance(8))
		return tw->keys[rnd(tw->n)].time + (chance(4) ? (int64_t)rnd(3) - 1 : 0);
	return w.now - (int64_t)rnd(100000) * NS_PER_S;
}

static uint32_t some_col(const struct twin *tw)
{
	for (;;) {
		uint32_t c = (uint32_t)rnd(COLS_MAX);
		if (tw->has_cols >> c & 1)
			return c;
	}
}

void random_predicate(struct m_table *mt, struct predicate *p, uint32_t most)
{
	const struct twin *tw = &mt->twin;

	p->n = (uint32_t)rnd(MIN(most, 4u) + 1);
	for (uint32_t i = 0; i < p->n; i++) {
		struct condition *c = &p->v[i];
		*c = (struct condition){.kind = (uint32_t)rnd(KINDS)};
		if (c->kind <= C_BETWEEN) {
			c->value = some_moment(tw);
			c->value2 = c->value + (int64_t)rnd(chance(2) ? 600 : 86400) * NS_PER_S;
		} else if (c->kind <= C_DIM_IS) {
			c->col = (uint32_t)rnd(DIMS);
			c->value = 1 + (int64_t)rnd(dim_count(c->col) - 1);
		} else if (c->kind == C_MEASURE) {
			c->value = (int64_t)rnd(MEASURES);
		} else {
			c->col = some_col(tw);
			c->value = random_value(&tw->cols[c->col]);
			if (tw->n && chance(2)) {
				const struct m_row *r = &tw->rows[rnd(tw->n)];
				if (r->valid >> c->col & 1)
					c->value = r->value[c->col];
			}
			/* Booleans have no order here. */
			if (tw->cols[c->col].type == COL_BOOLEAN && c->kind != C_NULL && c->kind != C_NOT_NULL)
				c->kind = C_EQ;
		}
	}
}

static int compare(const struct m_col *mc, int64_t a, int64_t b)
{
	char x[32], y[32];

	if (mc->type == COL_VARCHAR)
		return str_cmp(text_of(a, x), text_of(b, y));
	return (a > b) - (a < b); /* a DOUBLE is an eighth of it */
}

static bool one_holds(const struct twin *tw, const struct condition *c, uint32_t i)
{
	const struct m_key *k = &tw->keys[i];
	const struct m_row *r = &tw->rows[i];
	const struct m_series *s = &tw->series[k->series];
	bool has = r->valid >> c->col & 1;

	switch ((enum kind)c->kind) {
	case C_SINCE:
		return k->time >= c->value;
	case C_BEFORE:
		return k->time < c->value;
	case C_BETWEEN:
		return k->time >= c->value && k->time <= c->value2;
	case C_DIM:
		return s->dim[c->col] == c->value;
	case C_DIM_NOT:
		return s->dim[c->col] && s->dim[c->col] != c->value;
	case C_DIM_NULL:
		return !s->dim[c->col];
	case C_DIM_IS:
		return s->dim[c->col];
	case C_MEASURE:
		return s->measure == c->value;
	case C_EQ:
		return has && r->value[c->col] == c->value;
	case C_LE:
		return has && compare(&tw->cols[c->col], r->value[c->col], c->value) <= 0;
	case C_GT:
		return has && compare(&tw->cols[c->col], r->value[c->col], c->value) > 0;
	case C_NULL:
		return !has;
	case C_NOT_NULL:
		return has;
	case KINDS:
		break;
	}
	return false;
}

bool holds(const struct m_table *mt, const struct predicate *p, uint32_t i)
{
	for (uint32_t k = 0; k < p->n; k++)
		if (!one_holds(&mt->twin, &p->v[k], i))
			return false;
	return true;
}

static void add_quoted(struct buf *out, struct str s, char quote)
{
	buf_addc(out, quote);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == quote)
			buf_addc(out, quote);
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, quote);
}

static void add_name(struct buf *out, const char *name)
{
	add_quoted(out, str_from(name), '"');
}

static void add_literal(struct buf *out, const struct m_col *mc, int64_t v)
{
	char text[32];

	switch (mc->type) {
	case COL_DOUBLE:
		buf_addf(out, "%.17gE0", (double)v / 8);
		break;
	case COL_BOOLEAN:
		buf_adds(out, v ? "true" : "false");
		break;
	case COL_VARCHAR:
		add_quoted(out, text_of(v, text), '\'');
		break;
	case COL_TIMESTAMP:
		buf_addf(out, "from_nanoseconds(%lld)", (long long)v);
		break;
	default:
		if (v == INT64_MIN)
			buf_adds(out, "(-9223372036854775807 - 1)");
		else
			buf_addf(out, "%lld", (long long)v);
	}
}

static void add_condition(const struct twin *tw, const struct condition *c, struct buf *out)
{
	static const char *const ops[] = {[C_EQ] = " = ", [C_LE] = " <= ", [C_GT] = " > "};

	switch ((enum kind)c->kind) {
	case C_SINCE:
		buf_addf(out, "time >= from_nanoseconds(%lld)", (long long)c->value);
		return;
	case C_BEFORE:
		buf_addf(out, "from_nanoseconds(%lld) > time", (long long)c->value);
		return;
	case C_BETWEEN:
		buf_addf(out, "time BETWEEN from_nanoseconds(%lld) AND from_nanoseconds(%lld)", (long long)c->value,
			 (long long)c->value2);
		return;
	case C_DIM:
	case C_DIM_NOT:
		add_name(out, dim_names[c->col]);
		buf_adds(out, c->kind == C_DIM ? " = " : " <> ");
		add_quoted(out, str_from(dim_value(c->col, (uint32_t)c->value)), '\'');
		return;
	case C_DIM_NULL:
	case C_DIM_IS:
		add_name(out, dim_names[c->col]);
		buf_adds(out, c->kind == C_DIM_NULL ? " IS NULL" : " IS NOT NULL");
		return;
	case C_MEASURE:
		buf_adds(out, "measure_name = ");
		add_quoted(out, str_from(measure_names[c->value]), '\'');
		return;
	case C_NULL:
	case C_NOT_NULL:
		add_name(out, tw->cols[c->col].name);
		buf_adds(out, c->kind == C_NULL ? " IS NULL" : " IS NOT NULL");
		return;
	default:
		add_name(out, tw->cols[c->col].name);
		buf_adds(out, ops[c->kind]);
		add_literal(out, &tw->cols[c->col], c->value);
	}
}

void predicate_text(const struct m_table *mt, const struct predicate *p, struct buf *out)
{
	for (uint32_t i = 0; i < p->n; i++) {
		buf_adds(out, i ? " AND " : " WHERE ");
		add_condition(&mt->twin, &p->v[i], out);
	}
}

/* A dimension is a column only once a series has it. */
static bool dims_exist(const struct m_table *mt, const struct predicate *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (p->v[i].kind >= C_DIM && p->v[i].kind <= C_DIM_IS &&
		    series_find_column(table_series(mt->t), str_from(dim_names[p->v[i].col])) < 0)
			return false;
	return true;
}

/* ---- what came out --------------------------------------------------------------------------------------- */

struct answer {
	struct m_table *mt;
	struct buf csv;
	const char *p, *end;
	const char *sql;
};

static void ask(struct m_table *mt, const char *sql, struct answer *a)
{
	struct query_env env = {.engine = w.en, .default_db = "d"};
	struct query_text *qt;
	struct query *q;
	struct err e = {0};
	int rc;

	a->mt = mt;
	a->sql = sql;
	buf_init(&a->csv, (size_t)256 << 20);
	if ((rc = query_prepare(&env, str_from(sql), &q, &e)) < 0 || (rc = query_text_create(q, QF_CSV, &qt, &e)) < 0)
		fail("%s: %s", sql, err_text(&e, rc));
	while ((rc = query_text_next(qt, &a->csv, &e)) > 0)
		;
	if (rc < 0)
		fail("%s: %s", sql, err_text(&e, rc));
	query_text_destroy(qt);
	a->p = a->csv.data;
	a->end = a->csv.data + a->csv.len;
	while (a->p < a->end && *a->p++ != '\n') /* the header */
		;
}

/* The next field, unquoted in place; NULL is what has neither characters nor quotes. */
static struct str next_field(struct answer *a, bool *ret_null)
{
	char *to = (char *)a->p, *from = to;
	struct str s = {to, 0};

	if (a->p >= a->end)
		fail("%s: the result ends too soon", a->sql);
	*ret_null = *a->p == ',' || *a->p == '\n';
	if (*from == '"') {
		for (from++; from < a->end; from++) {
			if (*from == '"' && from[1] != '"')
				break;
			from += *from == '"';
			*to++ = *from;
		}
		from++;
	} else {
		while (from < a->end && *from != ',' && *from != '\n')
			*to++ = *from++;
	}
	s.len = (size_t)(to - s.ptr);
	a->p = from + 1;
	return s;
}

static void no_more(struct answer *a)
{
	if (a->p < a->end)
		fail("%s: more rows come than there are: %.60s", a->sql, a->p);
	buf_release(&a->csv);
}

static void expect_text(struct answer *a, bool has, struct str want, const char *what)
{
	bool is_null;
	struct str got = next_field(a, &is_null);

	if (is_null == !has && (!has || str_eq(got, want)))
		return;
	look_all(a->mt); /* is it the rows, or what was made of them? */
	fail("%s: %s is %.*s, should be %.*s", a->sql, what, is_null ? 4 : (int)MIN(got.len, (size_t)60),
		     is_null ? "NULL" : got.ptr, has ? (int)MIN(want.len, (size_t)60) : 4, has ? want.ptr : "NULL");
}

static void expect_int(struct answer *a, bool has, int64_t want, const char *what)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)want);
	expect_text(a, has, str_from(text), what);
}

static void expect_value(struct answer *a, const struct m_col *mc, bool has, int64_t v, const char *what)
{
	char text[64];
	bool is_null;

	if (mc->type == COL_DOUBLE) {
		struct str got = next_field(a, &is_null);
		snprintf(text, sizeof text, "%.*s", (int)MIN(got.len, sizeof text - 1), got.ptr);
		if (is_null != !has || (has && strtod(text, NULL) != (double)v / 8))
			fail("%s: %s is %s, should be %.17g%s", a->sql, what, is_null ? "NULL" : text, (double)v / 8,
			     has ? "" : " (NULL)");
	} else if (mc->type == COL_VARCHAR) {
		expect_text(a, has, text_of(v, text), what);
	} else if (mc->type == COL_BOOLEAN) {
		expect_text(a, has, str_from(v ? "true" : "false"), what);
	} else {
		expect_int(a, has, v, what);
	}
}

/* ---- groups ------------------------------------------------------------------------------------------------- */

enum agg { A_COUNT, A_SUM, A_MIN, A_MAX };
enum grouping { G_NONE, G_HOST, G_HOUR, G_MEASURE, GROUPINGS };

#define AGGS 5

struct agg_of {
	enum agg agg;
	uint32_t col;
};

struct group {
	int64_t key;
	uint64_t rows;
	uint64_t n[AGGS];
	int64_t value[AGGS];
};

struct groups {
	struct group *v;
	uint32_t n, cap;
	enum grouping by;
	struct agg_of aggs[AGGS];
	uint32_t agg_n;
};

#define HOUR_NS (3600 * NS_PER_S)

static int64_t group_key(const struct groups *g, const struct twin *tw, uint32_t i)
{
	const struct m_series *s = &tw->series[tw->keys[i].series];

	switch (g->by) {
	case G_HOST:
		return s->dim[0];
	case G_MEASURE:
		return s->measure;
	case G_HOUR:
		return tw->keys[i].time / HOUR_NS * HOUR_NS;
	default:
		return 0;
	}
}

static struct group *group_at(struct groups *g, int64_t key)
{
	for (uint32_t i = g->n; i-- > 0;) /* rows of an hour lie near each other */
		if (g->v[i].key == key)
			return &g->v[i];
	if (g->n == g->cap) {
		g->cap = MAX(g->cap * 2, 64u);
		g->v = realloc(g->v, g->cap * sizeof *g->v);
		if (!g->v)
			abort();
	}
	g->v[g->n] = (struct group){.key = key};
	return &g->v[g->n++];
}

static void add_to_group(struct groups *g, const struct twin *tw, uint32_t i)
{
	struct group *at = group_at(g, group_key(g, tw, i));

	at->rows++;
	for (uint32_t k = 0; k < g->agg_n; k++) {
		uint32_t c = g->aggs[k].col;
		if (!(tw->rows[i].valid >> c & 1))
			continue;
		int64_t v = tw->rows[i].value[c];
		bool is_first = at->n[k]++ == 0;
		if (g->aggs[k].agg == A_SUM)
			at->value[k] += v;
		else if (is_first || (g->aggs[k].agg == A_MIN && compare(&tw->cols[c], v, at->value[k]) < 0) ||
			 (g->aggs[k].agg == A_MAX && compare(&tw->cols[c], v, at->value[k]) > 0))
			at->value[k] = v;
	}
}

static int by_key(const void *x, const void *y, void *ctx)
{
	const struct group *a = x, *b = y;
	const struct groups *g = ctx;

	if (g->by == G_MEASURE)
		return strcmp(measure_names[a->key], measure_names[b->key]);
	if (g->by == G_HOUR)
		return (a->key > b->key) - (a->key < b->key);
	if (!a->key || !b->key) /* NULL comes last */
		return (a->key == 0) - (b->key == 0);
	return strcmp(dim_value(0, (uint32_t)a->key), dim_value(0, (uint32_t)b->key));
}

static void add_agg(struct buf *sql, const struct m_col *mc, enum agg agg)
{
	static const char *const names[] = {"count", "sum", "min", "max"};
	bool is_time = mc->type == COL_TIMESTAMP && agg != A_COUNT;

	buf_addf(sql, ", %s%s(", is_time ? "to_nanoseconds(" : "", names[agg]);
	add_name(sql, mc->name);
	buf_adds(sql, is_time ? "))" : ")");
}

static void choose_aggs(struct groups *g, const struct twin *tw, struct buf *sql)
{
	g->agg_n = (uint32_t)rnd(AGGS + 1);
	for (uint32_t k = 0; k < g->agg_n; k++) {
		struct agg_of *a = &g->aggs[k];
		a->col = some_col(tw);
		const struct m_col *mc = &tw->cols[a->col];
		a->agg = (enum agg)rnd(4);
		if (a->agg == A_SUM && (mc->is_wide || (mc->type != COL_BIGINT && mc->type != COL_DOUBLE)))
			a->agg = A_COUNT;
		if (mc->type == COL_BOOLEAN)
			a->agg = A_COUNT;
		add_agg(sql, mc, a->agg);
	}
}

static void sql_groups(struct m_table *mt, const struct predicate *p)
{
	static const char *const heads[] = {"SELECT count(*)", "SELECT host, count(*)",
					    "SELECT to_nanoseconds(bin(time, 1h)), count(*)", "SELECT measure_name, count(*)"};
	static const char *const tails[] = {"", " GROUP BY host ORDER BY host", " GROUP BY bin(time, 1h) ORDER BY 1",
					    " GROUP BY measure_name ORDER BY 1"};
	struct groups g = {.by = (enum grouping)rnd(GROUPINGS)};
	struct twin *tw = &mt->twin;
	struct answer a;
	struct buf sql;

	if (series_find_column(table_series(mt->t), STR_LIT("host")) < 0)
		g.by = G_NONE;
	buf_init(&sql, 1 << 20);
	buf_adds(&sql, heads[g.by]);
	choose_aggs(&g, tw, &sql);
	buf_addf(&sql, " FROM %s", mt->name);
	predicate_text(mt, p, &sql);
	buf_adds(&sql, tails[g.by]);
	buf_addc(&sql, '\0');
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].is_alive && holds(mt, p, i))
			add_to_group(&g, tw, i);
	if (g.by == G_NONE)
		(void)group_at(&g, 0); /* there also without rows */
	if (g.n)
		qsort_r(g.v, g.n, sizeof *g.v, by_key, &g);
	ask(mt, sql.data, &a);
	for (uint32_t i = 0; i < g.n; i++) {
		const struct group *at = &g.v[i];
		if (g.by == G_HOST)
			expect_text(&a, at->key, at->key ? str_from(dim_value(0, (uint32_t)at->key)) : STR_LIT(""), "host");
		else if (g.by == G_MEASURE)
			expect_text(&a, true, str_from(measure_names[at->key]), "measure_name");
		else if (g.by == G_HOUR)
			expect_int(&a, true, at->key, "hour");
		expect_int(&a, true, (int64_t)at->rows, "count(*)");
		for (uint32_t k = 0; k < g.agg_n; k++) {
			const struct m_col *mc = &tw->cols[g.aggs[k].col];
			if (g.aggs[k].agg == A_COUNT)
				expect_int(&a, true, (int64_t)at->n[k], mc->name);
			else
				expect_value(&a, mc, at->n[k] > 0, at->value[k], mc->name);
		}
	}
	no_more(&a);
	free(g.v);
	buf_release(&sql);
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

struct order {
	const struct twin *tw;
	bool is_desc;
};

/* time, then the dimensions in their order here with NULL first, then measure_name. */
static int by_order(const void *x, const void *y, void *ctx)
{
	const struct order *o = ctx;
	uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
	const struct m_key *a = &o->tw->keys[i], *b = &o->tw->keys[k];

	if (a->time != b->time)
		return (a->time < b->time ? -1 : 1) * (o->is_desc ? -1 : 1);
	const struct m_series *s = &o->tw->series[a->series], *t = &o->tw->series[b->series];
	for (uint32_t d = 0; d < DIMS; d++) {
		const char *v = dim_value(d, s->dim[d]), *u = dim_value(d, t->dim[d]);
		int c = v && u ? strcmp(v, u) : (v != NULL) - (u != NULL);
		if (c)
			return c;
	}
	return strcmp(measure_names[s->measure], measure_names[t->measure]);
}

static void expect_row(struct answer *a, const struct m_table *mt, uint32_t i, uint32_t cols, const bool *has_dim)
{
	const struct twin *tw = &mt->twin;
	const struct m_series *s = &tw->series[tw->keys[i].series];

	expect_int(a, true, tw->keys[i].time, "time");
	for (uint32_t d = 0; d < DIMS; d++)
		if (has_dim[d])
			expect_text(a, s->dim[d], s->dim[d] ? str_from(dim_value(d, s->dim[d])) : STR_LIT(""), dim_names[d]);
	expect_text(a, true, str_from(measure_names[s->measure]), "measure_name");
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (cols >> c & 1)
			expect_value(a, &tw->cols[c], tw->rows[i].valid >> c & 1, tw->rows[i].value[c], tw->cols[c].name);
}

static void sql_rows(struct m_table *mt, const struct predicate *p)
{
	struct twin *tw = &mt->twin;
	struct order o = {tw, chance(2)};
	uint32_t cols = (uint32_t)rnd(UINT32_MAX) & tw->has_cols, n = 0, limit = 1 + (uint32_t)rnd(chance(4) ? 5000 : 20);
	uint32_t *found = malloc((tw->n + 1) * sizeof *found);
	bool has_dim[DIMS];
	struct answer a;
	struct buf sql;

	buf_init(&sql, 1 << 20);
	buf_adds(&sql, "SELECT to_nanoseconds(time)");
	for (uint32_t d = 0; d < DIMS; d++) {
		has_dim[d] = series_find_column(table_series(mt->t), str_from(dim_names[d])) >= 0;
		if (has_dim[d])
			buf_addf(&sql, ", \"%s\"", dim_names[d]);
	}
	buf_adds(&sql, ", measure_name");
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		if (!(cols >> c & 1))
			continue;
		bool is_time = tw->cols[c].type == COL_TIMESTAMP;
		buf_adds(&sql, is_time ? ", to_nanoseconds(" : ", ");
		add_name(&sql, tw->cols[c].name);
		buf_adds(&sql, is_time ? ")" : "");
	}
	buf_addf(&sql, " FROM d.%s", mt->name);
	predicate_text(mt, p, &sql);
	buf_addf(&sql, " ORDER BY time%s", o.is_desc ? " DESC" : "");
	for (uint32_t d = 0; d < DIMS; d++)
		if (has_dim[d])
			buf_addf(&sql, ", \"%s\" NULLS FIRST", dim_names[d]);
	buf_addf(&sql, ", measure_name LIMIT %u", limit);
	buf_addc(&sql, '\0');
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].is_alive && holds(mt, p, i))
			found[n++] = i;
	qsort_r(found, n, sizeof *found, by_order, &o);
	ask(mt, sql.data, &a);
	for (uint32_t i = 0; i < MIN(n, limit); i++)
		expect_row(&a, mt, found[i], cols, has_dim);
	no_more(&a);
	free(found);
	buf_release(&sql);
}

void op_sql(void)
{
	struct m_table *mt = some_table();
	struct predicate p;

	do
		random_predicate(mt, &p, 4);
	while (!dims_exist(mt, &p));
	trace("%s", mt->name);
	if (chance(3))
		sql_rows(mt, &p);
	else
		sql_groups(mt, &p);
}

/* ---- statements that change something --------------------------------------------------------------------- */

static int64_t run(const char *sql)
{
	struct query_env env = {.engine = w.en, .default_db = "d"};
	struct err e = {0};
	int64_t rows = -1;
	int rc = query_run(&env, str_from(sql), &rows, NULL, &e);

	return went_well(rc, &e, sql) ? rows : -1;
}

void op_sql_delete(void)
{
	struct m_table *mt = some_table();
	struct twin *tw = &mt->twin;
	struct predicate p;
	struct buf sql;
	int64_t n = 0;

	/* Few at a time: what is to be deleted is to come from many operations. */
	do {
		random_predicate(mt, &p, 4);
		n = 0;
		for (uint32_t i = 0; i < tw->n; i++)
			n += tw->keys[i].is_alive && holds(mt, &p, i);
	} while (!dims_exist(mt, &p) || (n > tw->alive / 20 && !chance(30)));
	buf_init(&sql, 1 << 20);
	buf_addf(&sql, "DELETE FROM d.%s", mt->name);
	predicate_text(mt, &p, &sql);
	buf_addc(&sql, '\0');
	trace("%s: %lld rows: %s", mt->name, (long long)n, sql.data);
	int64_t rows = run(sql.data);
	if (rows != n && !w.is_in_doubt)
		fail("%s: %lld rows deleted, should be %lld", sql.data, (long long)rows, (long long)n);
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].is_alive && holds(mt, &p, i))
			twin_erase(tw, i, w.op);
	buf_release(&sql);
}

/* Rows of a table into another or into itself, later by a shift. */
struct insertion {
	struct m_table *from, *to;
	uint32_t cols;
	int64_t shift;
	struct predicate p;
	struct m_write *v;
	uint32_t n;
	bool is_refused;
};

#define INSERT_MOST 2000

/* false: there is no room for their series, or they are too many. */
static bool choose_rows(struct insertion *in)
{
	const struct twin *tw = &in->from->twin;
	int64_t lo = twin_lo(&in->to->twin, w.now), hi = twin_hi(&in->to->twin, w.now);

	for (uint32_t i = 0; i < tw->n; i++) {
		if (!tw->keys[i].is_alive || !holds(in->from, &in->p, i))
			continue;
		if (in->n == INSERT_MOST)
			return false;
		struct m_write *wr = &in->v[in->n++];
		*wr = (struct m_write){.time = tw->keys[i].time + in->shift, .valid = tw->rows[i].valid & in->cols};
		memcpy(wr->value, tw->rows[i].value, sizeof wr->value);
		in->is_refused |= !wr->valid || wr->time < lo || wr->time >= hi;
		wr->series = add_series(in->to, &tw->series[tw->keys[i].series]);
		if (wr->series == NONE)
			return false;
	}
	return true;
}

static void insert_text(const struct insertion *in, struct buf *sql)
{
	const struct twin *tw = &in->from->twin;
	struct buf cols;

	buf_init(&cols, 1 << 16);
	for (uint32_t d = 0; d < DIMS; d++)
		if (series_find_column(table_series(in->from->t), str_from(dim_names[d])) >= 0)
			buf_addf(&cols, ", \"%s\"", dim_names[d]);
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (in->cols >> c & 1) {
			buf_adds(&cols, ", ");
			add_name(&cols, tw->cols[c].name);
		}
	buf_addf(sql, "INSERT INTO d.%s (time, measure_name%.*s) SELECT time", in->to->name, (int)cols.len, cols.data);
	if (in->shift)
		buf_addf(sql, " + %llds", (long long)(in->shift / NS_PER_S));
	buf_addf(sql, ", measure_name%.*s FROM %s", (int)cols.len, cols.data, in->from->name);
	predicate_text(in->from, &in->p, sql);
	buf_addc(sql, '\0');
	buf_release(&cols);
}

void op_sql_insert(void)
{
	static struct m_write writes[INSERT_MOST];
	struct insertion in = {.from = some_table(), .to = some_table(), .v = writes};
	struct query_env env = {.engine = w.en, .default_db = "d"};
	struct err e = {0};
	struct buf sql;
	int64_t rows = -1;

	in.shift = chance(2) ? 0 : (int64_t)rnd(300) * NS_PER_S;
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (in.from->twin.has_cols >> c & 1 && !chance(3) && in.from->twin.cols[c].type == in.to->twin.cols[c].type)
			in.cols |= UINT32_C(1) << c;
	in.cols |= 1;
	do
		random_predicate(in.from, &in.p, 4);
	while (!dims_exist(in.from, &in.p));
	if (!choose_rows(&in))
		return;
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (in.cols >> c & 1)
			add_col(in.to, c);
	buf_init(&sql, 1 << 20);
	insert_text(&in, &sql);
	trace("%u rows%s: %s", in.n, in.is_refused ? ", some of them not allowed" : "", sql.data);
	int rc = query_run(&env, str_from(sql.data), &rows, NULL, &e);
	if (in.is_refused && rc != -EINVAL && !w.disk.is_dead)
		fail("%s: rows that are not allowed, and the answer is %d: %s", sql.data, rc, err_text(&e, rc));
	if (!in.is_refused && went_well(rc, &e, sql.data) && rows != in.n)
		fail("%s: %lld rows inserted, should be %u", sql.data, (long long)rows, in.n);
	for (uint32_t i = 0; i < in.n && !in.is_refused; i++)
		twin_patch(&in.to->twin, &in.v[i], w.op);
	buf_release(&sql);
}
