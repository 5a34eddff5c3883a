/* Operators over plans made by hand; sorts and groups against plain models. */
#include "tests/unit/bx.h"
#include "query/groups.h"

#include <math.h>

struct run {
	struct budget budget;
	struct arena arena;
	struct exec x;
	struct op *root;
	_Atomic bool cancelled;
};

static void run_open(struct run *r, const struct plan *p, size_t memory)
{
	struct err e = {0};

	*r = (struct run){0};
	budget_init(&r->budget, memory);
	arena_init(&r->arena, &r->budget);
	r->x.arena = &r->arena;
	r->x.ctx.budget = &r->budget;
	r->x.ctx.cancelled = &r->cancelled;
	int rc = op_open(&r->x, p, &r->root, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
}

static void run_close(struct run *r)
{
	op_close(r->root);
	arena_release(&r->arena);
	ck_assert_uint_eq(atomic_load(&r->budget.used), 0); /* everything was given back */
}

/* All rows: "1 a|2 b": columns by blanks, rows by bars. The text is in bx_arena. */
static const char *rows_of(const struct plan *p, size_t memory)
{
	struct run r;
	struct vbatch b;
	struct buf out;
	struct err e = {0};
	int rc;

	run_open(&r, p, memory);
	buf_init(&out, 1 << 28);
	while ((rc = op_next(r.root, &b, &e)) > 0) {
		ck_assert_uint_gt(b.n, 0);
		ck_assert_uint_le(b.n, VEC_ROWS);
		ck_assert_uint_eq(b.col_count, p->col_count);
		for (uint32_t i = 0; i < b.n; i++) {
			if (out.len)
				buf_addc(&out, '|');
			for (uint32_t c = 0; c < b.col_count; c++) {
				if (c)
					buf_addc(&out, ' ');
				if (vec_is_null(&b.cols[c], i))
					buf_addc(&out, '-');
				else
					vec_format(&b.cols[c], i, &out);
			}
		}
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	char *z = (char *)arena_str(&bx_arena, buf_str(&out)).ptr;
	buf_release(&out);
	run_close(&r);
	return z;
}

#define MEMORY ((size_t)64 << 20)

/* ---- small operators ----------------------------------------------------------------------------- */

static struct plan *numbers(uint32_t n)
{
	int64_t *v = arena_array(&bx_arena, int64_t, n);
	for (uint32_t i = 0; i < n; i++)
		v[i] = i;
	struct vec col = bx_ints(n, v);
	return bx_values(n, 1, &col);
}

START_TEST(filter_project_limit_union)
{
	struct bx *x = bx_column(0, &type_bigint);
	struct plan *f = bx_over(PLAN_FILTER, numbers(10000));
	f->where = bx_call("=", BX_ARGS(bx_call("%", BX_ARGS(x, bx_int(2500))), bx_int(7)));
	ck_assert_str_eq(rows_of(f, MEMORY), "7|2507|5007|7507");

	const struct type *types[] = {&type_bigint, &type_boolean};
	struct plan *p = bx_plan(PLAN_PROJECT, f, 2, types);
	struct bx *exprs[] = {bx_call("+", BX_ARGS(x, bx_int(1))), bx_call("<", BX_ARGS(x, bx_int(3000)))};
	p->exprs = exprs;
	ck_assert_str_eq(rows_of(p, MEMORY), "8 true|2508 true|5008 false|7508 false");

	struct plan *l = bx_over(PLAN_LIMIT, numbers(5000));
	l->offset = 4094;
	l->limit = 4;
	ck_assert_str_eq(rows_of(l, MEMORY), "4094|4095|4096|4097");
	l->limit = 0;
	ck_assert_str_eq(rows_of(l, MEMORY), "");
	l->limit = UINT64_MAX;
	l->offset = 4998;
	ck_assert_str_eq(rows_of(l, MEMORY), "4998|4999");

	struct plan *u = bx_over(PLAN_UNION, numbers(2));
	u->children = (struct plan *[]){numbers(2), numbers(0), numbers(1)};
	u->child_count = 3;
	ck_assert_str_eq(rows_of(u, MEMORY), "0|1|0");
}
END_TEST

START_TEST(cancelling_ends_a_query)
{
	struct plan *s = bx_over(PLAN_SORT, numbers(10000));
	struct plan_key key = {.desc = true};
	struct run r;
	struct vbatch b;
	struct err e = {0};

	s->keys = &key;
	s->key_count = 1;
	run_open(&r, s, MEMORY);
	atomic_store(&r.cancelled, true);
	ck_assert_int_eq(op_next(r.root, &b, &e), -ECANCELED);
	ck_assert_str_eq(e.text, "query cancelled");
	run_close(&r);
}
END_TEST

/* ---- groups ---------------------------------------------------------------------------------------- */

static struct plan_agg agg_of(const char *name, uint32_t argc, struct bx **args)
{
	struct func_match m = bx_resolve(name, argc, args);
	struct plan_agg a = {.func = m.func, .argc = argc, .type = m.ret, .pos = {2, 4}};
	a.args = arena_array(&bx_arena, struct bx *, argc + 1);
	for (uint32_t i = 0; i < argc; i++)
		a.args[i] = args[i];
	a.arg_types = m.arg_types;
	a.const_args = arena_zalloc(&bx_arena, sizeof(void *) * (argc + 1));
	return a;
}

static struct plan *group(struct plan *child, uint32_t group_n, struct bx **groups, uint32_t agg_n,
			  struct plan_agg *aggs)
{
	const struct type *types[8];
	for (uint32_t i = 0; i < group_n; i++)
		types[i] = groups[i]->type;
	for (uint32_t i = 0; i < agg_n; i++)
		types[group_n + i] = aggs[i].type;
	struct plan *p = bx_plan(PLAN_AGG, child, group_n + agg_n, types);
	p->groups = groups;
	p->group_count = group_n;
	p->aggs = aggs;
	p->agg_count = agg_n;
	p->is_global = !group_n;
	return p;
}

START_TEST(groups_come_in_order_of_appearance)
{
	struct vec cols[] = {BX_TEXTS("b", "b", NULL, "a", "b", NULL), BX_INTS(1, NIL, 3, 4, 1, 6)};
	struct bx *k = bx_column(0, &type_varchar), *v = bx_column(1, &type_bigint);
	struct plan_agg aggs[] = {agg_of("count", 0, NULL), agg_of("count", BX_ARGS(v)),
				  agg_of("sum", BX_ARGS(v)), agg_of("count", BX_ARGS(v))};
	aggs[3].distinct = true;
	struct plan *p = group(bx_values(6, 2, cols), 1, (struct bx *[]){k}, 4, aggs);
	ck_assert_str_eq(rows_of(p, MEMORY), "b 3 2 2 1|- 2 2 9 2|a 1 1 4 1");
	aggs[0].filter = bx_call(">", BX_ARGS(v, bx_int(1)));
	aggs[3].filter = aggs[0].filter;
	ck_assert_str_eq(rows_of(p, MEMORY), "b 0 2 2 0|- 2 2 9 2|a 1 1 4 1");

	p = group(bx_values(6, 2, cols), 0, NULL, 4, aggs);
	ck_assert_str_eq(rows_of(p, MEMORY), "3 5 15 3");
	p = group(bx_values(0, 2, cols), 0, NULL, 4, aggs);
	ck_assert_str_eq(rows_of(p, MEMORY), "0 0 - 0");
	p = group(bx_values(0, 2, cols), 1, (struct bx *[]){k}, 4, aggs);
	ck_assert_str_eq(rows_of(p, MEMORY), "");
	p = group(bx_values(6, 2, cols), 2, (struct bx *[]){k, v}, 0, NULL);
	ck_assert_str_eq(rows_of(p, MEMORY), "b 1|b -|- 3|a 4|- 6");
}
END_TEST

START_TEST(many_groups_match_a_model)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 12; round++) {
		uint32_t n = (uint32_t)unit_below(&r, 30000), keys = 1 + (uint32_t)unit_below(&r, 3000);
		uint32_t run = 1 + (uint32_t)unit_below(&r, 6);
		int64_t *k = arena_array(&bx_arena, int64_t, n + 1), *v = arena_array(&bx_arena, int64_t, n + 1);
		int64_t *sum = arena_zarray(&bx_arena, int64_t, keys + 1), *count = arena_zarray(&bx_arena, int64_t, keys + 1);
		for (uint32_t i = 0; i < n; i++) {
			k[i] = i % run && i ? k[i - 1] : (int64_t)unit_below(&r, keys);
			v[i] = (int64_t)unit_below(&r, 1000) - 500;
			sum[k[i]] += v[i];
			count[k[i]]++;
		}
		struct vec cols[] = {bx_ints(n, k), bx_ints(n, v)};
		for (uint32_t i = 0; i < n; i++) { /* key 0 is NULL */
			cols[0].valid[i] = k[i] != 0;
		}
		struct bx *kx = bx_column(0, &type_bigint), *vx = bx_column(1, &type_bigint);
		struct bx *text = bx_make(BX_CAST, &type_varchar, BX_ARGS(kx));
		bool by_text = unit_below(&r, 2);
		struct plan_agg aggs[] = {agg_of("count", 0, NULL), agg_of("sum", BX_ARGS(vx))};
		struct plan *p = group(bx_values(n, 2, cols), 1, (struct bx *[]){by_text ? text : kx}, 2, aggs);
		struct buf want;
		buf_init(&want, 1 << 26);
		for (uint32_t i = 0; i < n; i++) {
			if (!count[k[i]])
				continue; /* told already */
			if (want.len)
				buf_addc(&want, '|');
			if (k[i])
				buf_addf(&want, "%lld", (long long)k[i]);
			else
				buf_addc(&want, '-');
			buf_addf(&want, " %lld %lld", (long long)count[k[i]], (long long)sum[k[i]]);
			count[k[i]] = 0;
		}
		buf_addc(&want, '\0');
		unit_assert(&r, !strcmp(rows_of(p, MEMORY), want.data), "round %d", round);
		buf_release(&want);
	}
}
END_TEST

START_TEST(too_many_groups_are_told)
{
	struct run r;
	struct vbatch b;
	struct err e = {0};
	struct bx *x = bx_column(0, &type_bigint);
	struct plan *p = group(numbers(200000), 1, (struct bx *[]){x}, 0, NULL);

	run_open(&r, p, 1 << 20);
	ck_assert_int_eq(op_next(r.root, &b, &e), -ENOMEM);
	ck_assert_msg(strstr(e.text, "memory") != NULL, "%s", e.text);
	run_close(&r);
}
END_TEST

/* ---- ORDER BY inside an aggregate -------------------------------------------------------------------- */

/* array_agg(column x ORDER BY column y). */
static struct plan_agg ordered(struct bx *x, struct bx **y, bool desc, bool nulls_first)
{
	struct plan_agg a = agg_of("array_agg", BX_ARGS(x));
	a.order = y;
	a.keys = arena_zalloc(&bx_arena, sizeof *a.keys);
	a.keys[0].desc = desc;
	a.keys[0].nulls_first = nulls_first;
	a.key_count = 1;
	return a;
}

struct model_ordered {
	int64_t key, seq;
	bool desc, nulls_first;
};

static int by_order(const void *a, const void *b)
{
	const struct model_ordered *x = a, *y = b;
	int c = (x->key > y->key) - (x->key < y->key);

	if ((x->key == NIL) != (y->key == NIL))
		return (x->key == NIL) == x->nulls_first ? -1 : 1;
	c = x->desc ? -c : c;
	return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

START_TEST(ordered_aggregates_match_a_model)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 30; round++) {
		uint32_t n = 1 + (uint32_t)unit_below(&r, 9000), groups = 1 + (uint32_t)unit_below(&r, round % 3 ? 40 : 1);
		bool desc = unit_below(&r, 2), first = unit_below(&r, 2);
		int64_t *g = arena_array(&bx_arena, int64_t, n), *v = arena_array(&bx_arena, int64_t, n),
			*seq = arena_array(&bx_arena, int64_t, n);
		struct model_ordered *m = arena_array(&bx_arena, struct model_ordered, n);
		for (uint32_t i = 0; i < n; i++) {
			g[i] = i < groups ? i : (int64_t)unit_below(&r, groups); /* they appear in order */
			v[i] = unit_below(&r, 20) ? (int64_t)unit_below(&r, 50) - 25 : NIL;
			seq[i] = i;
		}
		struct vec cols[] = {bx_ints(n, g), bx_ints(n, v), bx_ints(n, seq)};
		struct bx *gx = bx_column(0, &type_bigint), *vx = bx_column(1, &type_bigint);
		struct plan_agg agg = ordered(bx_column(2, &type_bigint), &vx, desc, first);
		struct plan *p = group(bx_values(n, 3, cols), 1, &gx, 1, &agg);
		struct buf want;
		buf_init(&want, 1 << 26);
		for (uint32_t k = 0; k < groups && k < n; k++) {
			uint32_t found = 0;
			for (uint32_t i = 0; i < n; i++) {
				if (g[i] == k)
					m[found++] = (struct model_ordered){v[i], i, desc, first};
			}
			qsort(m, found, sizeof *m, by_order);
			buf_addf(&want, "%s%u [", k ? "|" : "", k);
			for (uint32_t i = 0; i < found; i++)
				buf_addf(&want, "%s%lld", i ? ", " : "", (long long)m[i].seq);
			buf_addc(&want, ']');
		}
		buf_addc(&want, '\0');
		unit_assert(&r, !strcmp(rows_of(p, MEMORY), want.data), "round %d", round);
		buf_release(&want);
	}
}
END_TEST

START_TEST(ordered_aggregates_end)
{
	struct run r;
	struct vbatch b;
	struct err e = {0};
	struct bx *x = bx_column(0, &type_bigint);
	struct plan_agg agg = ordered(x, &x, true, false);
	struct plan *p = group(numbers(200000), 0, NULL, 1, &agg);

	run_open(&r, p, 2 << 20);
	ck_assert_int_eq(op_next(r.root, &b, &e), -ENOMEM);
	ck_assert_msg(strstr(e.text, "memory") != NULL, "%s", e.text);
	run_close(&r);
	run_open(&r, p, MEMORY);
	atomic_store(&r.cancelled, true);
	ck_assert_int_eq(op_next(r.root, &b, &e), -ECANCELED);
	run_close(&r);
}
END_TEST

/* ---- sorting ----------------------------------------------------------------------------------------- */

struct model_row {
	int64_t a;
	const char *b;
	uint32_t seq;
};

static struct plan_key model_keys[2];
static uint32_t model_key_n;

static int model_cmp_keys(const struct model_row *x, const struct model_row *y)
{
	for (uint32_t k = 0; k < model_key_n; k++) {
		const struct plan_key *key = &model_keys[k];
		bool xn = key->col ? !x->b : x->a == NIL, yn = key->col ? !y->b : y->a == NIL;
		int c;
		if (xn || yn) {
			c = key->nulls_first ? yn - xn : xn - yn;
		} else {
			c = key->col ? strcmp(x->b, y->b) : (x->a > y->a) - (x->a < y->a);
			c = key->desc ? -c : c;
		}
		if (c)
			return c;
	}
	return 0;
}

static int model_cmp(const void *p, const void *q)
{
	const struct model_row *x = p, *y = q;
	int c = model_cmp_keys(x, y);
	return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

static const char *model_text(const struct model_row *m, uint32_t from, uint32_t to)
{
	struct buf b;
	buf_init(&b, 1 << 28);
	for (uint32_t i = from; i < to; i++) {
		if (b.len)
			buf_addc(&b, '|');
		if (m[i].a == NIL)
			buf_addc(&b, '-');
		else
			buf_addf(&b, "%lld", (long long)m[i].a);
		buf_addf(&b, " %s %u", m[i].b ? m[i].b : "-", m[i].seq);
	}
	char *z = (char *)arena_str(&bx_arena, buf_str(&b)).ptr;
	buf_release(&b);
	return z;
}

START_TEST(sorts_match_a_model)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 120; round++) {
		uint32_t n = (uint32_t)unit_below(&r, round % 10 == 0 ? 60000 : 6000);
		uint32_t spread = 1 + (uint32_t)unit_below(&r, 1u << unit_below(&r, 13));
		struct model_row *m = arena_array(&bx_arena, struct model_row, n + 1);
		int64_t *a = arena_array(&bx_arena, int64_t, n + 1), *seq = arena_array(&bx_arena, int64_t, n + 1);
		const char **b = arena_array(&bx_arena, const char *, n + 1);
		for (uint32_t i = 0; i < n; i++) {
			a[i] = unit_below(&r, 20) ? (int64_t)unit_below(&r, spread) - spread / 2 : NIL;
			b[i] = unit_below(&r, 20) ? arena_printf(&bx_arena, "%s%u",
								 unit_below(&r, 2) ? "sensor-" : "s",
								 (unsigned)unit_below(&r, spread))
						  : NULL;
			seq[i] = i;
			m[i] = (struct model_row){a[i], b[i], i};
		}
		struct vec cols[] = {bx_ints(n, a), bx_texts(n, b), bx_ints(n, seq)};
		model_key_n = 1 + (uint32_t)unit_below(&r, 2);
		uint32_t first = (uint32_t)unit_below(&r, 2);
		for (uint32_t k = 0; k < 2; k++)
			model_keys[k] = (struct plan_key){k ? !first : first, unit_below(&r, 2), unit_below(&r, 2)};
		struct plan *s = bx_over(PLAN_SORT, bx_values(n, 3, cols));
		s->keys = model_keys;
		s->key_count = model_key_n;
		if (unit_below(&r, 2)) {
			s->limit = unit_below(&r, 1u << unit_below(&r, 13));
			s->offset = unit_below(&r, 2) ? unit_below(&r, 1u << unit_below(&r, 12)) : 0;
			s->with_ties = unit_below(&r, 2);
		}
		qsort(m, n, sizeof *m, model_cmp);
		uint32_t from = (uint32_t)MIN(s->offset, (uint64_t)n);
		uint32_t to = (uint32_t)(s->limit == UINT64_MAX ? n : MIN(s->limit + s->offset, (uint64_t)n));
		while (s->with_ties && s->limit && to > from && to < n && !model_cmp_keys(&m[to - 1], &m[to]))
			to++;
		/* Now and then with so little memory that runs must go to a file. */
		size_t memory = unit_below(&r, 2) ? MEMORY : (size_t)3 << 20;
		const char *got = rows_of(s, memory), *want = model_text(m, from, to);
		unit_assert(&r, !strcmp(got, want), "round %d: %u rows, limit %lld offset %lld ties %d", round, n,
			    (long long)s->limit, (long long)s->offset, s->with_ties);
	}
}
END_TEST

START_TEST(nested_values_survive_a_spill)
{
	const struct type *arr = type_array(&bx_arena, &type_varchar);
	struct type_field f[] = {{STR_LIT("a"), &type_bigint}, {STR_LIT("b"), arr}};
	const struct type *row = type_row(&bx_arena, f, 2);
	struct plan *child = numbers(30000);
	struct bx *x = bx_column(0, &type_bigint);
	struct bx *list = bx_make(BX_ARRAY, arr, BX_ARGS(bx_make(BX_CAST, &type_varchar, BX_ARGS(x)), bx_text("t")));
	struct bx *cond = bx_call("=", BX_ARGS(bx_call("%", BX_ARGS(x, bx_int(3))), bx_int(0)));
	struct bx *r = bx_make(BX_CASE, row, BX_ARGS(cond, bx_make(BX_ROW, row, BX_ARGS(x, list))));
	const struct type *types[] = {&type_bigint, row};
	struct plan *p = bx_plan(PLAN_PROJECT, child, 2, types);
	p->exprs = (struct bx *[]){bx_call("neg", BX_ARGS(x)), r};
	struct plan *s = bx_over(PLAN_SORT, p);
	struct plan_key key = {.col = 0};
	s->keys = &key;
	s->key_count = 1;
	const char *small = rows_of(s, (size_t)6 << 20), *large = rows_of(s, MEMORY);
	ck_assert(!strcmp(small, large));
	ck_assert(str_starts(str_from(small), "-29999 -|-29998 -|-29997 (a=29997, b=[29997, t])|"));
}
END_TEST

/* A limit's sort holds a few times as many rows, whatever comes; rows that tie with its last one besides. */
START_TEST(a_limit_keeps_few_rows)
{
	uint32_t n = 300000;
	int64_t *v = arena_array(&bx_arena, int64_t, n);
	struct plan_key key = {.desc = true};
	struct run r;
	struct vbatch b;
	struct err e = {0};

	for (uint32_t i = 0; i < n; i++) /* each in turn is larger than all before, so it gets in */
		v[i] = i / 4;
	struct vec col = bx_ints(n, v);
	struct plan *s = bx_over(PLAN_SORT, bx_values(n, 1, &col));
	s->keys = &key;
	s->key_count = 1;
	s->limit = 5;
	s->offset = 1;
	s->with_ties = true;
	run_open(&r, s, MEMORY);
	ck_assert_int_eq(op_next(r.root, &b, &e), 1);
	ck_assert_uint_eq(b.n, 5);
	ck_assert_int_eq(b.cols[0].i64[0], 74999);
	ck_assert_int_eq(b.cols[0].i64[4], 74998);
	ck_assert_int_eq(op_next(r.root, &b, &e), 1);
	ck_assert_uint_eq(b.n, 2); /* the other two of 74998 */
	ck_assert_int_eq(b.cols[0].i64[1], 74998);
	ck_assert_int_eq(op_next(r.root, &b, &e), 0);
	ck_assert_uint_lt(atomic_load(&r.budget.peak), (size_t)1 << 20);
	run_close(&r);
}
END_TEST

START_TEST(doubles_sort_nan_last)
{
	struct vec v;
	double d[] = {2.5, NAN, -0.0, -INFINITY, 0.0, INFINITY, -1e300};
	ck_assert_int_eq(vec_alloc(&v, &type_double, 7, &bx_arena, NULL), 0);
	memcpy(v.f64, d, sizeof d);
	struct plan *s = bx_over(PLAN_SORT, bx_values(7, 1, &v));
	struct plan_key key = {.desc = false};
	s->keys = &key;
	s->key_count = 1;
	ck_assert_str_eq(rows_of(s, MEMORY), "-Infinity|-1.0E300|-0.0|0.0|2.5|Infinity|NaN");
	key.desc = true;
	ck_assert_str_eq(rows_of(s, MEMORY), "NaN|Infinity|2.5|-0.0|0.0|-1.0E300|-Infinity");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		filter_project_limit_union,
		cancelling_ends_a_query,
		groups_come_in_order_of_appearance,
		many_groups_match_a_model,
		too_many_groups_are_told,
		ordered_aggregates_match_a_model,
		ordered_aggregates_end,
		sorts_match_a_model,
		nested_values_survive_a_spill,
		a_limit_keeps_few_rows,
		doubles_sort_nan_last,
	};
	return unit_main("exec", 120, tests, ARRAY_LEN(tests));
}
