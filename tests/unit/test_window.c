/*
 * Window functions against a model that takes the definitions by their word: for each row it asks every
 * row of the partition whether it is in the frame, and what is left goes into a plain aggregate at once.
 */
#include "tests/unit/bx.h"
#include "query/window.h"

#include <math.h>

enum { C_PART, C_KEY, C_INT, C_DBL, C_STR, C_COUNT, C_PASS, C_BY, COLS };

struct data {
	uint32_t n;
	struct vec cols[COLS];
	struct plan_key keys[2];
	uint32_t partition_n, key_n;
	uint32_t *order;  /* the rows as they are sorted */
	uint32_t *part;   /* by place: first place of the partition; */
	uint32_t *end;    /* the one behind its last */
	uint32_t *group;  /* and number of the peer group */
};

/* ---- random rows ------------------------------------------------------------------------------- */

static int64_t small_int(struct unit_rng *r, uint32_t range, uint32_t nulls)
{
	return nulls && !unit_below(r, nulls) ? NIL : (int64_t)unit_below(r, range) - range / 2;
}

static struct vec doubles(uint32_t n, const struct vec *from, double scale, bool odd, struct unit_rng *r)
{
	static const double specials[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.0};
	struct vec v;

	ck_assert_int_eq(vec_alloc(&v, &type_double, n, &bx_arena, NULL), 0);
	v.valid = from->valid;
	for (uint32_t i = 0; i < n; i++)
		v.f64[i] = odd && !unit_below(r, 20) ? specials[unit_below(r, 4)] : (double)from->i64[i] * scale;
	return v;
}

static struct vec texts(uint32_t n, const struct vec *from)
{
	struct vec v;

	ck_assert_int_eq(vec_alloc(&v, &type_varchar, n, &bx_arena, NULL), 0);
	v.valid = from->valid;
	for (uint32_t i = 0; i < n; i++)
		v.str[i] = str_from(arena_printf(&bx_arena, "s%lld", (long long)from->i64[i]));
	return v;
}

static struct vec bools(uint32_t n, const struct vec *from)
{
	struct vec v;

	ck_assert_int_eq(vec_alloc(&v, &type_boolean, n, &bx_arena, NULL), 0);
	v.valid = from->valid;
	for (uint32_t i = 0; i < n; i++)
		v.b8[i] = from->i64[i] > 0;
	return v;
}

static struct vec ints(struct unit_rng *r, uint32_t n, uint32_t range, uint32_t nulls, int64_t base)
{
	int64_t *v = arena_array(&bx_arena, int64_t, n + 1);

	for (uint32_t i = 0; i < n; i++) {
		v[i] = small_int(r, range, nulls);
		v[i] += v[i] == NIL ? 0 : base;
	}
	return bx_ints(n, v);
}

static const struct vec *key_of(const struct data *d)
{
	return &d->cols[C_KEY];
}

static int cmp_key(const struct data *d, uint32_t k, uint32_t a, uint32_t b)
{
	const struct plan_key *key = &d->keys[k];
	const struct vec *v = &d->cols[key->col];
	bool an = vec_is_null(v, a), bn = vec_is_null(v, b);

	if (an || bn)
		return (an - bn) * (key->nulls_first ? -1 : 1);
	return vec_cmp(v, a, v, b) * (key->desc ? -1 : 1);
}

static int cmp_rows(const struct data *d, uint32_t keys, uint32_t a, uint32_t b)
{
	int c = 0;

	for (uint32_t k = 0; k < keys && !c; k++)
		c = cmp_key(d, k, a, b);
	return c;
}

static const struct data *sorting;

static int by_keys(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = cmp_rows(sorting, sorting->key_n, x, y);

	return c ? c : (x > y) - (x < y);
}

static void sort_data(struct data *d)
{
	uint32_t n = d->n, g = 0;

	d->order = arena_array(&bx_arena, uint32_t, n + 1);
	d->part = arena_array(&bx_arena, uint32_t, n + 1);
	d->end = arena_array(&bx_arena, uint32_t, n + 1);
	d->group = arena_array(&bx_arena, uint32_t, n + 1);
	for (uint32_t i = 0; i < n; i++)
		d->order[i] = i;
	sorting = d;
	qsort(d->order, n, sizeof(*d->order), by_keys);
	for (uint32_t i = 0; i < n; i++) {
		bool same = i && !cmp_rows(d, d->partition_n, d->order[i - 1], d->order[i]);

		d->part[i] = same ? d->part[i - 1] : i;
		g = !same ? 0 : cmp_rows(d, d->key_n, d->order[i - 1], d->order[i]) ? g + 1 : g;
		d->group[i] = g;
	}
	for (uint32_t i = n; i-- > 0;)
		d->end[i] = i + 1 < n && d->part[i + 1] == d->part[i] ? d->end[i + 1] : i + 1;
}

/* key: 0 bigint, 1 double, 2 timestamp */
static struct data make_data(struct unit_rng *r, uint32_t n, int key)
{
	struct data d = {.n = n};
	uint32_t parts = 1 + (uint32_t)unit_below(r, unit_below(r, 2) ? 5 : n + 1);
	uint32_t keys = 1 + (uint32_t)unit_below(r, unit_below(r, 2) ? 10 : 2 * n + 2);
	uint32_t counts;
	struct vec raw = ints(r, n, keys, unit_below(r, 2) ? 6 : 0, 0);

	d.cols[C_PART] = ints(r, n, parts, 4, 0);
	d.cols[C_KEY] = key == 1 ? doubles(n, &raw, 0.5, true, r) : raw;
	if (key == 2)
		d.cols[C_KEY].type = &type_timestamp;
	d.cols[C_INT] = ints(r, n, 50, 5, 0);
	raw = ints(r, n, 1000, 5, 0);
	d.cols[C_DBL] = doubles(n, &raw, 0.1, false, r);
	raw = ints(r, n, 30, 5, 0);
	d.cols[C_STR] = texts(n, &raw);
	counts = unit_below(r, 2) ? 6 : 2 * n + 2;
	d.cols[C_COUNT] = ints(r, n, counts, 0, counts / 2);
	raw = ints(r, n, 8, 5, 0);
	d.cols[C_PASS] = bools(n, &raw);
	raw = ints(r, n, 8, 0, 4);
	d.cols[C_BY] = key == 1 ? doubles(n, &raw, 0.5, false, r) : raw;
	if (key == 2)
		d.cols[C_BY].type = &type_interval_ds;
	d.partition_n = (uint32_t)unit_below(r, 2);
	d.key_n = d.partition_n + 1;
	d.keys[0].col = C_PART;
	d.keys[d.partition_n] = (struct plan_key){C_KEY, unit_below(r, 2), unit_below(r, 2)};
	sort_data(&d);
	return d;
}

/* ---- random frames ------------------------------------------------------------------------------- */

static struct plan_bound random_bound(struct unit_rng *r, const struct data *d, enum frame_kind unit, bool is_end)
{
	static const enum bound_kind kinds[] = {
		BOUND_UNBOUNDED_PRECEDING, BOUND_PRECEDING, BOUND_PRECEDING,          BOUND_CURRENT,
		BOUND_FOLLOWING,           BOUND_FOLLOWING, BOUND_UNBOUNDED_FOLLOWING};
	struct plan_bound b = {.kind = kinds[unit_below(r, 6) + is_end]};
	uint32_t col = unit == FRAME_RANGE ? C_BY : C_COUNT;

	if (b.kind != BOUND_PRECEDING && b.kind != BOUND_FOLLOWING)
		return b;
	if (unit_below(r, 3) == 0) {
		b.offset = bx_column(col, d->cols[col].type);
	} else { /* what some row has */
		b.offset = bx_const(d->cols[col].type);
		if (d->cols[col].type->kind == TY_DOUBLE)
			b.offset->value.f64[0] = d->cols[col].f64[unit_below(r, d->n)];
		else
			b.offset->value.i64[0] = d->cols[col].i64[unit_below(r, d->n)];
	}
	return b;
}

static int rank_of(enum bound_kind k)
{
	return k == BOUND_UNBOUNDED_PRECEDING ? 0 : k == BOUND_PRECEDING ? 1 : k == BOUND_CURRENT ? 2 :
	       k == BOUND_FOLLOWING ? 3 : 4;
}

static void random_frame(struct unit_rng *r, const struct data *d, struct plan_window *w)
{
	static const enum frame_kind units[] = {FRAME_ROWS, FRAME_RANGE, FRAME_GROUPS};

	w->unit = units[unit_below(r, 3)];
	if (unit_below(r, 4) == 0) { /* a running one */
		w->start.kind = BOUND_UNBOUNDED_PRECEDING;
		w->end.kind = BOUND_CURRENT;
		return;
	}
	do {
		w->start = random_bound(r, d, w->unit, false);
		w->end = random_bound(r, d, w->unit, true);
	} while (rank_of(w->start.kind) > rank_of(w->end.kind));
}

/* ---- the model ---------------------------------------------------------------------------------------- */

static const struct vec *value_of(const struct data *d, const struct bx *x, uint32_t row, uint32_t *at)
{
	*at = x->kind == BX_CONST ? 0 : row;
	return x->kind == BX_CONST ? &x->value : &d->cols[x->index];
}

/* Key of b against key of a moved by the offset of a, in the order of the sort. */
static int cmp_moved(const struct data *d, const struct plan_bound *b, uint32_t row_a, uint32_t row_b)
{
	const struct plan_key *k = &d->keys[d->partition_n];
	const struct vec *v = key_of(d), *by;
	bool up = (b->kind == BOUND_FOLLOWING) != k->desc;
	uint32_t at;
	int c;

	by = value_of(d, b->offset, row_a, &at);
	if (v->type->kind == TY_DOUBLE) {
		double x = v->f64[row_a] + (up ? by->f64[at] : -by->f64[at]), y = v->f64[row_b];

		c = isnan(x) || isnan(y) ? !!isnan(y) - !!isnan(x) : (y > x) - (y < x);
	} else {
		int64_t x = v->i64[row_a] + (up ? by->i64[at] : -by->i64[at]), y = v->i64[row_b];

		c = (y > x) - (y < x);
	}
	return k->desc ? -c : c;
}

/* <0, 0, >0: place j lies before the bound of place i's frame, at it, behind it. */
static int against(const struct data *d, const struct plan_window *w, const struct plan_bound *b,
		   uint32_t i, uint32_t j)
{
	int64_t at_i = w->unit == FRAME_ROWS ? i : d->group[i], at_j = w->unit == FRAME_ROWS ? j : d->group[j];
	int64_t offset = 0;
	uint32_t k;

	switch (b->kind) {
	case BOUND_UNBOUNDED_PRECEDING:
		return 1;
	case BOUND_UNBOUNDED_FOLLOWING:
		return -1;
	case BOUND_CURRENT:
		break;
	default:
		if (w->unit == FRAME_RANGE) {
			bool i_null = vec_is_null(key_of(d), d->order[i]),
			     j_null = vec_is_null(key_of(d), d->order[j]);

			if (!i_null && !j_null)
				return cmp_moved(d, b, d->order[i], d->order[j]);
			break; /* NULLs lie at one end, whatever the offset */
		}
		offset = value_of(d, b->offset, d->order[i], &k)->i64[k];
		offset = b->kind == BOUND_PRECEDING ? -offset : offset;
	}
	return (at_j > at_i + offset) - (at_j < at_i + offset);
}

/* Rows of place i's frame, in order. */
static uint32_t frame_rows(const struct data *d, const struct plan_window *w, uint32_t i, uint32_t *rows)
{
	uint32_t n = 0;

	for (uint32_t j = d->part[i]; j < d->end[i]; j++) {
		if (against(d, w, &w->start, i, j) >= 0 && against(d, w, &w->end, i, j) <= 0)
			rows[n++] = d->order[j];
	}
	return n;
}

static void out_value(const struct vec *v, uint32_t i, struct buf *out)
{
	if (vec_is_null(v, i))
		buf_addc(out, '-');
	else
		vec_format(v, i, out);
}

static void out_row(const struct data *d, const struct bx *x, uint32_t row, struct buf *out)
{
	out_value(&d->cols[x->index], row, out);
}

/* A plain aggregate over the rows. */
static void model_agg(const struct data *d, const struct plan_window *w, const uint32_t *rows,
		      uint32_t n, struct buf *out)
{
	const struct agg_def *def = w->call.func->agg;
	struct exec_ctx ctx = {0};
	struct arena a;
	uint32_t *sel = NULL, k = 0;
	struct vec args[4], v;
	struct vec_builder b;
	struct agg_call c = {.exec = &ctx,
			     .arena = &a,
			     .argc = w->call.argc,
			     .args = args,
			     .arg_types = w->call.arg_types,
			     .ret_type = w->call.type,
			     .const_args = w->call.const_args};

	arena_init(&a, NULL);
	sel = arena_array(&a, uint32_t, n + 1);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at;
		const struct vec *f = w->call.filter ? value_of(d, w->call.filter, rows[i], &at) : NULL;

		sel[k] = rows[i];
		k += !f || vec_tristate(f, at) == TRI_TRUE;
	}
	for (uint32_t i = 0; i < c.argc; i++) {
		const struct bx *x = w->call.args[i];

		if (x->kind == BX_CONST)
			args[i] = x->value;
		else
			ck_assert_int_eq(vec_gather(&d->cols[x->index], sel, k, &a, &args[i], NULL), 0);
	}
	void *state = arena_zalloc(&a, def->state_size + 16);
	ck_assert_int_eq(def->add(&c, state, 0, k, NULL), 0);
	ck_assert_int_eq(vb_init(&b, w->call.type, 1, &a, NULL), 0);
	ck_assert_int_eq(def->finish(&c, state, &b, NULL), 0);
	vb_finish(&b, &v);
	out_value(&v, 0, out);
	arena_release(&a);
}

/* first_value, last_value, nth_value of the frame; lead and lag in the partition. */
static void model_value(const struct data *d, const struct plan_window *w, uint32_t i,
			uint32_t *rows, struct buf *out)
{
	const char *name = w->call.func->name;
	const struct bx *x = w->call.args[0];
	uint32_t n = 0, k = 0, at, row = d->order[i];
	bool lead = !strcmp(name, "lead"), shift = lead || !strcmp(name, "lag");
	int64_t nth = 0;

	if (shift) {
		for (uint32_t j = lead ? i + 1 : d->part[i]; j < (lead ? d->end[i] : i); j++)
			rows[n++] = d->order[j];
	} else {
		n = frame_rows(d, w, i, rows);
	}
	for (uint32_t j = 0; j < n; j++) {
		rows[k] = rows[j];
		k += !w->ignore_nulls || !vec_is_null(&d->cols[x->index], rows[j]);
	}
	if (w->call.argc > 1) {
		const struct vec *v = value_of(d, w->call.args[1], row, &at);

		nth = vec_is_null(v, at) ? INT64_MAX : v->i64[at];
		if (shift && !nth) {
			out_row(d, x, row, out);
			return;
		}
		nth--;
	}
	if (!strcmp(name, "last_value") || !strcmp(name, "lag"))
		nth = (int64_t)k - 1 - nth;
	if (nth >= 0 && nth < k) {
		out_row(d, x, rows[nth], out);
	} else if (w->call.argc > 2) {
		const struct vec *v = value_of(d, w->call.args[2], row, &at);

		out_value(v, at, out);
	} else {
		buf_addc(out, '-');
	}
}

static void out_i64(int64_t v, struct buf *out)
{
	buf_addf(out, "%lld", (long long)v);
}

static void out_f64(double v, struct buf *out)
{
	const struct vec one = {.type = &type_double, .form = VEC_FLAT, .f64 = &v};

	vec_format(&one, 0, out);
}

static void model_rank(const struct data *d, const struct plan_window *w, uint32_t i, struct buf *out)
{
	const char *name = w->call.func->name;
	uint32_t before = 0, upto = 0, n = d->end[i] - d->part[i], at;

	for (uint32_t j = d->part[i]; j < d->end[i]; j++) {
		before += d->group[j] < d->group[i];
		upto += d->group[j] <= d->group[i];
	}
	if (!strcmp(name, "row_number"))
		out_i64(i - d->part[i] + 1, out);
	else if (!strcmp(name, "rank"))
		out_i64(before + 1, out);
	else if (!strcmp(name, "dense_rank"))
		out_i64(d->group[i] + 1, out);
	else if (!strcmp(name, "percent_rank"))
		out_f64(n == 1 ? 0.0 : (double)before / (n - 1), out);
	else if (!strcmp(name, "cume_dist"))
		out_f64((double)upto / n, out);
	else { /* ntile: deal the sizes out, and see where the row falls */
		int64_t buckets = value_of(d, w->call.args[0], d->order[i], &at)->i64[at],
			place = i - d->part[i], k = 1;

		for (; place >= n / buckets + (k <= n % buckets); k++)
			place -= n / buckets + (k <= n % buckets);
		out_i64(k, out);
	}
}

static void model_row(const struct data *d, const struct plan_window *w, uint32_t i, uint32_t *rows,
		      struct buf *out)
{
	if (w->call.func->agg)
		model_agg(d, w, rows, frame_rows(d, w, i, rows), out);
	else if (w->call.argc && strcmp(w->call.func->name, "ntile") != 0)
		model_value(d, w, i, rows, out);
	else
		model_rank(d, w, i, out);
}

/* ---- the functions ------------------------------------------------------------------------------------- */

static struct plan_window window_of(const char *name, uint32_t argc, struct bx **args)
{
	struct func_match m = bx_resolve(name, argc, args);
	struct plan_window w = {.call = {.func = m.func, .argc = argc, .type = m.ret, .pos = {3, 9}}};
	const struct vec **consts = arena_zalloc(&bx_arena, sizeof(void *) * (argc + 1));

	w.call.args = arena_array(&bx_arena, struct bx *, argc + 1);
	for (uint32_t i = 0; i < argc; i++) {
		w.call.args[i] = args[i];
		consts[i] = args[i]->kind == BX_CONST ? &args[i]->value : NULL;
		ck_assert(type_equal(args[i]->type, m.arg_types[i]));
	}
	w.call.arg_types = m.arg_types;
	w.call.const_args = (const struct vec *const *)consts;
	return w;
}

static struct bx *bx_f64(double v)
{
	struct bx *x = bx_const(&type_double);

	x->value.f64[0] = v;
	return x;
}

static struct plan_window random_function(struct unit_rng *r, const struct data *d)
{
	static const char *const plain[] = {"row_number", "rank", "dense_rank", "percent_rank", "cume_dist"};
	static const char *const values[] = {"first_value", "last_value", "nth_value", "lead", "lag"};
	static const char *const ints_of[] = {
		"sum", "avg", "count", "bitwise_and_agg", "bitwise_or_agg", "approx_distinct"};
	static const char *const doubles_of[] = {"sum", "avg", "min", "max", "variance", "stddev_pop", "skewness"};
	static const char *const texts_of[] = {"min", "max", "arbitrary", "count", "array_agg"};
	struct bx *x = bx_column(C_INT, &type_bigint), *f = bx_column(C_DBL, &type_double);
	struct bx *s = bx_column(C_STR, &type_varchar), *n = bx_column(C_COUNT, &type_bigint);
	struct bx *nth = unit_below(r, 2) ? n : bx_int(1 + (int64_t)unit_below(r, 4));
	struct bx *of = unit_below(r, 2) ? x : s;
	struct plan_window w;
	uint32_t k;

	switch (unit_below(r, 12)) {
	case 0:
		return window_of(plain[unit_below(r, 5)], 0, NULL);
	case 1: /* buckets are at least one */
		return window_of("ntile", BX_ARGS(bx_int(1 + (int64_t)unit_below(r, 9))));
	case 2:
	case 3:
		k = (uint32_t)unit_below(r, 5);
		if (k < 2)
			w = window_of(values[k], BX_ARGS(of));
		else if (k == 2)
			w = window_of(values[k], BX_ARGS(of, bx_int(1 + (int64_t)unit_below(r, 9))));
		else if (unit_below(r, 2))
			w = window_of(values[k], BX_ARGS(of, nth));
		else
			w = window_of(values[k], BX_ARGS(x, nth, n));
		w.ignore_nulls = unit_below(r, 2);
		return w;
	case 4:
	case 5:
		w = window_of(ints_of[unit_below(r, ARRAY_LEN(ints_of))], BX_ARGS(x));
		break;
	case 6:
	case 7:
		w = window_of(doubles_of[unit_below(r, ARRAY_LEN(doubles_of))], BX_ARGS(f));
		break;
	case 8:
		w = window_of(texts_of[unit_below(r, ARRAY_LEN(texts_of))], BX_ARGS(s));
		break;
	case 9:
		w = window_of("count", 0, NULL);
		break;
	case 10:
		w = unit_below(r, 2) ? window_of("max_by", BX_ARGS(s, x))
				     : window_of("min", BX_ARGS(x, bx_int(3)));
		break;
	default:
		w = unit_below(r, 2) ? window_of("approx_percentile", BX_ARGS(x, bx_f64(0.5)))
				     : window_of("corr", BX_ARGS(f, f));
	}
	if (unit_below(r, 3) == 0)
		w.call.filter = bx_column(C_PASS, &type_boolean);
	return w;
}

/* ---- the comparison --------------------------------------------------------------------------------------- */

#define FNS 5

static struct plan *plan_of(const struct data *d, uint32_t fn_n, struct plan_window *fns)
{
	struct plan *sort = bx_over(PLAN_SORT, bx_values(d->n, COLS, d->cols)), *p;
	const struct type *types[COLS + FNS];

	sort->keys = (struct plan_key *)d->keys;
	sort->key_count = d->key_n;
	for (uint32_t i = 0; i < COLS; i++)
		types[i] = d->cols[i].type;
	for (uint32_t i = 0; i < fn_n; i++)
		types[COLS + i] = fns[i].call.type;
	p = bx_plan(PLAN_WINDOW, sort, COLS + fn_n, types);
	p->keys = (struct plan_key *)d->keys;
	p->key_count = d->key_n;
	p->partition_count = d->partition_n;
	p->windows = fns;
	p->window_count = fn_n;
	return p;
}

/* Moments are merged in another order than they are added in. */
static bool alike(const struct plan_window *w, const char *a, const char *b)
{
	static const char *const rough[] = {"variance", "stddev_pop", "skewness", "corr"};
	bool is_rough = false;
	double x, y;

	if (!strcmp(a, b))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rough); i++)
		is_rough = is_rough || !strcmp(w->call.func->name, rough[i]);
	x = strtod(a, NULL);
	y = strtod(b, NULL);
	return is_rough && strcmp(a, "-") != 0 && strcmp(b, "-") != 0 &&
	       fabs(x - y) <= 1e-7 * (fabs(x) + fabs(y)) + 1e-9;
}

static void check_row(struct unit_rng *r, const struct data *d, const struct plan_window *fns, uint32_t fn_n,
		      const struct vbatch *b, uint32_t i, uint32_t place, uint32_t *rows)
{
	struct buf want, got;

	for (uint32_t k = 0; k < fn_n; k++) {
		const struct plan_window *w = &fns[k];

		buf_init(&want, 1 << 22);
		buf_init(&got, 1 << 22);
		model_row(d, w, place, rows, &want);
		out_value(&b->cols[COLS + k], i, &got);
		buf_addc(&want, 0);
		buf_addc(&got, 0);
		unit_assert(r, alike(w, got.data, want.data),
			    "row %u of %u: %s over unit %d, bounds %d %d: %s instead of %s", place,
			    d->n, w->call.func->name, w->unit, w->start.kind, w->end.kind, got.data,
			    want.data);
		buf_release(&want);
		buf_release(&got);
	}
}

/* All rows come, sorted; of these every `each`-th is compared. */
static void compare(struct unit_rng *r, const struct data *d, struct plan_window *fns,
		    uint32_t fn_n, uint32_t each)
{
	const struct plan *p = plan_of(d, fn_n, fns);
	uint32_t *rows = arena_array(&bx_arena, uint32_t, d->n + 1), place = 0;
	struct budget budget;
	struct arena arena;
	struct exec x = {0};
	struct op *root;
	struct vbatch b;
	struct err e = {0};
	int rc;

	budget_init(&budget, (size_t)256 << 20);
	arena_init(&arena, &budget);
	x.arena = &arena;
	x.ctx.budget = &budget;
	ck_assert_int_eq(op_open(&x, p, &root, &e), 0);
	while ((rc = op_next(root, &b, &e)) > 0) {
		ck_assert_uint_eq(b.col_count, COLS + fn_n);
		ck_assert_uint_gt(b.n, 0);
		for (uint32_t i = 0; i < b.n; i++, place++) {
			unit_assert(r,
				    vec_same(&b.cols[C_INT], i, &d->cols[C_INT], d->order[place]),
				    "row %u", place);
			if (place % each == 0 || place + 1 == d->n)
				check_row(r, d, fns, fn_n, &b, i, place, rows);
		}
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_uint_eq(place, d->n);
	op_close(root);
	arena_release(&arena);
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
}

static void random_round(struct unit_rng *r, uint32_t n, uint32_t each)
{
	struct data d = make_data(r, n, (int)unit_below(r, 3));
	uint32_t fn_n = 1 + (uint32_t)unit_below(r, FNS);
	struct plan_window fns[FNS];

	for (uint32_t i = 0; i < fn_n; i++) {
		fns[i] = random_function(r, &d);
		random_frame(r, &d, &fns[i]);
		if (i && unit_below(r, 2)) {
			fns[i].unit = fns[i - 1].unit;
			fns[i].start = fns[i - 1].start;
			fns[i].end = fns[i - 1].end;
		}
	}
	compare(r, &d, fns, fn_n, each);
	arena_reset(&bx_arena);
}

START_TEST(few_rows_match_a_model)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 1500; round++)
		random_round(&r, 1 + (uint32_t)unit_below(&r, 40), 1);
}
END_TEST

START_TEST(many_rows_match_a_model)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 60; round++)
		random_round(&r, 2000 + (uint32_t)unit_below(&r, 6000), 97);
}
END_TEST

/* Ranks and running aggregates need no whole partition in memory. */
START_TEST(partitions_larger_than_memory)
{
	uint32_t n = 400000, seen = 0;
	int64_t *v = arena_array(&bx_arena, int64_t, n), sum = 0;
	struct bx *x = bx_column(0, &type_bigint);
	struct plan_window fns[3];
	struct plan *p, *values;
	struct budget budget;
	struct arena arena;
	struct exec ex = {0};
	struct op *root;
	struct vbatch b;
	struct err e = {0};
	int rc;

	for (uint32_t i = 0; i < n; i++)
		v[i] = i / 3;
	struct vec col = bx_ints(n, v);
	values = bx_values(n, 1, &col);
	fns[0] = window_of("row_number", 0, NULL);
	fns[1] = window_of("rank", 0, NULL);
	fns[2] = window_of("sum", BX_ARGS(x));
	fns[2].unit = FRAME_ROWS;
	const struct type *types[] = {&type_bigint, &type_bigint, &type_bigint, &type_bigint};
	p = bx_plan(PLAN_WINDOW, values, 4, types);
	struct plan_key key = {.col = 0};
	p->keys = &key;
	p->key_count = 1;
	p->windows = fns;
	p->window_count = 3;
	for (int i = 0; i < 3; i++) {
		fns[i].start.kind = BOUND_UNBOUNDED_PRECEDING;
		fns[i].end.kind = BOUND_CURRENT;
	}
	budget_init(&budget, (size_t)1 << 20);
	arena_init(&arena, &budget);
	ex.arena = &arena;
	ex.ctx.budget = &budget;
	ck_assert_int_eq(op_open(&ex, p, &root, &e), 0);
	while ((rc = op_next(root, &b, &e)) > 0) {
		for (uint32_t i = 0; i < b.n; i++, seen++) {
			sum += v[seen];
			ck_assert_int_eq(b.cols[1].i64[i], seen + 1);
			ck_assert_int_eq(b.cols[2].i64[i], seen / 3 * 3 + 1);
			ck_assert_int_eq(b.cols[3].i64[i], sum);
		}
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_uint_eq(seen, n);
	op_close(root);

	fns[0] = window_of("cume_dist", 0, NULL); /* this one does */
	p->cols[1].type = &type_double;
	ck_assert_int_eq(op_open(&ex, p, &root, &e), 0);
	ck_assert_int_eq(op_next(root, &b, &e), -ENOMEM);
	ck_assert_msg(strstr(e.text, "memory") != NULL, "%s", e.text);
	op_close(root);
	arena_release(&arena);
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		few_rows_match_a_model,
		many_rows_match_a_model,
		partitions_larger_than_memory,
	};
	return unit_main("window", 300, tests, ARRAY_LEN(tests));
}
