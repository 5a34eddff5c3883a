/*
 * op_scan_series: which series a scan looks at.
 *
 * series_where looks at dimensions and measure_name only, which are the same for all rows of a series.
 * Its terms (of an AND) each take series out of a bit set, the cheap ones first:
 *
 *	column = 'x', IN ('x', ...)   the values' codes in the dictionary, and the series that have these by the
 *	                              column's chains (series.h); of measure_name by comparing all
 *	one column, anything          evaluated over the dictionary's values, if these are fewer than the
 *	                              series that are left; then codes are compared
 *	several columns               evaluated over the series that are left, in batches that look like
 *	                              batches of rows
 *
 * So the cost is that of the dictionary's values and a few instructions a series, a bit each where chains
 * are used; rows do not count.
 */
#include "query/op_scan.h"

#include <stdlib.h>

static inline bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void bit_clear(uint64_t *bits, uint32_t i)
{
	bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static bool is_text_const(const struct bx *x)
{
	return x->kind == BX_CONST && type_layout(x->value.type) == LAYOUT_STR;
}

/*
 * `column = 'x'` (either side) or `column IN ('x', ...)`, constants only: the column's dimension and
 * the constants. An element that is NULL makes nothing TRUE, so it may be left out.
 */
static bool is_code_test(const struct scan_op *s, const struct bx *x, uint32_t *ret_col_id,
			 struct bx *const **ret_consts, uint32_t *ret_n)
{
	const struct bx *col = NULL;

	if (x->kind == BX_IN) {
		col = x->args[0];
		*ret_consts = x->args + 1;
		*ret_n = x->argc - 1;
	} else if (x->kind == BX_CALL && x->argc == 2 && !strcmp(x->func->name, "=")) {
		bool swapped = x->args[0]->kind == BX_CONST;
		col = x->args[swapped];
		*ret_consts = &x->args[!swapped];
		*ret_n = 1;
	}
	if (!col || col->kind != BX_COLUMN)
		return false;
	for (uint32_t i = 0; i < *ret_n; i++) {
		if (!is_text_const((*ret_consts)[i]))
			return false;
	}
	const struct plan_scan_col *c = &s->base.plan->scan_cols[col->index];
	if (c->kind != SCAN_DIMENSION && c->kind != SCAN_MEASURE_NAME)
		return false;
	*ret_col_id = c->kind == SCAN_DIMENSION ? c->col_id : SERIES_MEASURE;
	return true;
}

static int by_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Of the series that are still in, those with one of these codes stay. */
static int keep_codes(struct scan_op *s, uint32_t col_id, uint32_t *codes, uint32_t code_n, uint32_t series_n,
		      struct err *e)
{
	uint64_t *bits = s->bits.data;
	uint32_t words = series_n / 64 + 1;

	qsort(codes, code_n, sizeof *codes, by_u32);
	/* Measure names are few, and so their chains would be long. */
	if (col_id == SERIES_MEASURE) {
		for (uint32_t i = 0; i < series_n; i++) {
			if (!bit_get(bits, i))
				continue;
			uint32_t code = scan_dim_code(s, i, col_id);
			if (!bsearch(&code, codes, code_n, sizeof code, by_u32))
				bit_clear(bits, i);
		}
		return 0;
	}
	const struct series_chain *chain;
	uint64_t *kept = arena_zarray(&s->base.batch, uint64_t, words);
	if (!kept || series_chain(s->series, col_id, series_n, &chain) < 0)
		return exec_nomem(&s->base.x->ctx, e);
	for (uint32_t i = 0; i < code_n; i++) {
		if (i && codes[i] == codes[i - 1])
			continue; /* a list may name a value again and again */
		uint32_t id = series_chain_last(chain, codes[i]);
		for (; id != SERIES_NONE; id = series_chain_before(chain, id))
			if (id < series_n && bit_get(bits, id))
				bit_set(kept, id);
	}
	memcpy(bits, kept, words * sizeof *bits);
	return 0;
}

static int narrow_by_codes(struct scan_op *s, uint32_t col_id, struct bx *const *consts, uint32_t n,
			   uint32_t series_n, struct err *e)
{
	uint32_t *codes = arena_array(&s->base.batch, uint32_t, n + 1), code_n = 0;

	if (!codes)
		return exec_nomem(&s->base.x->ctx, e);
	for (uint32_t i = 0; i < n; i++) {
		const struct vec *v = &consts[i]->value;
		int64_t code = vec_is_null(v, 0) ? -1 : series_dict_find(s->series, col_id, v->str[0]);
		if (code >= 0)
			codes[code_n++] = (uint32_t)code;
	}
	return keep_codes(s, col_id, codes, code_n, series_n, e);
}

/* The columns that x looks at, and how many. */
struct looked_at {
	bool *cols;
	uint32_t n, last;
};

static bool look_at(const struct bx *x, void *ctx)
{
	struct looked_at *l = ctx;

	if (x->kind == BX_COLUMN && !l->cols[x->index]) {
		l->cols[x->index] = true;
		l->n++;
		l->last = x->index;
	}
	return false;
}

/* Codes for which x is TRUE, as bits; the one behind them stands for "has no such dimension". */
static int judge_codes(struct scan_op *s, const struct bx *x, uint32_t col, uint32_t col_id, uint32_t code_n,
		       uint64_t *keep, struct err *e)
{
	struct op *o = &s->base;
	struct arena_mark mark = arena_mark(&o->batch);

	for (uint32_t from = 0; from <= code_n; from += VEC_ROWS) {
		uint32_t n = MIN(code_n + 1 - from, (uint32_t)VEC_ROWS);
		arena_rewind(&o->batch, mark);
		struct vec *cols = arena_zarray(&o->batch, struct vec, o->plan->col_count + 1);
		uint32_t *sel = arena_array(&o->batch, uint32_t, n);
		if (!cols || !sel)
			return exec_nomem(&o->x->ctx, e);
		int rc = exec_cancelled(o->x, e);
		if (rc >= 0)
			rc = vec_alloc(&cols[col], o->plan->cols[col].type, n, &o->batch, e);
		if (rc >= 0)
			rc = vec_alloc_valid(&cols[col], n, &o->batch, e);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < n; i++) {
			bool absent = from + i == code_n;
			cols[col].valid[i] = !absent;
			cols[col].str[i] = absent ? (struct str){"", 0} : series_dict_value(s->series, col_id, from + i);
		}
		struct vbatch in = {n, o->plan->col_count, cols};
		int64_t kept = bx_select(&o->x->ctx, x, &in, &o->batch, sel, e);
		if (kept < 0)
			return (int)kept;
		for (uint32_t i = 0; i < kept; i++)
			bit_set(keep, from + sel[i]);
	}
	arena_rewind(&o->batch, mark);
	return 0;
}

static int narrow_by_dict(struct scan_op *s, const struct bx *x, uint32_t col, uint32_t series_n, struct err *e)
{
	struct op *o = &s->base;
	const struct plan_scan_col *c = &o->plan->scan_cols[col];
	uint32_t col_id = c->kind == SCAN_DIMENSION ? c->col_id : SERIES_MEASURE;
	uint32_t code_n = series_dict_count(s->series, col_id);
	uint64_t *bits = s->bits.data, *keep = arena_zarray(&o->batch, uint64_t, code_n / 64 + 1);

	if (!keep)
		return exec_nomem(&o->x->ctx, e);
	int rc = judge_codes(s, x, col, col_id, code_n, keep, e);
	for (uint32_t i = 0; i < series_n && rc >= 0; i++) {
		if (!bit_get(bits, i))
			continue;
		/* Series that came while we looked may have newer codes; they are behind series_n. */
		if (!bit_get(keep, MIN(scan_dim_code(s, i, col_id), code_n)))
			bit_clear(bits, i);
	}
	return rc;
}

/* Evaluate x over the series that are still in, a batch of them at a time. */
static int narrow_by_expr(struct scan_op *s, const struct bx *x, const bool *wanted, uint32_t series_n,
			  struct err *e)
{
	struct op *o = &s->base;
	struct arena_mark mark = arena_mark(&o->batch);
	uint64_t *bits = s->bits.data;
	uint32_t at = 0;

	while (at < series_n) {
		arena_rewind(&o->batch, mark);
		struct scan_run *runs = arena_array(&o->batch, struct scan_run, VEC_ROWS);
		struct vec *cols = arena_zarray(&o->batch, struct vec, o->plan->col_count + 1);
		uint32_t *sel = arena_array(&o->batch, uint32_t, VEC_ROWS);
		uint32_t n = 0;
		if (!runs || !cols || !sel)
			return exec_nomem(&o->x->ctx, e);
		for (; at < series_n && n < VEC_ROWS; at++) {
			if (bit_get(bits, at)) {
				runs[n] = (struct scan_run){at, n, 1};
				n++;
			}
		}
		if (!n)
			break;
		int rc = exec_cancelled(o->x, e);
		if (rc >= 0)
			rc = scan_dim_vecs(s, runs, n, n, wanted, cols, e);
		if (rc < 0)
			return rc;
		struct vbatch in = {n, o->plan->col_count, cols};
		int64_t kept = bx_select(&o->x->ctx, x, &in, &o->batch, sel, e);
		if (kept < 0)
			return (int)kept;
		uint32_t k = 0;
		for (uint32_t i = 0; i < n; i++) {
			if (k < kept && sel[k] == i)
				k++;
			else
				bit_clear(bits, runs[i].series_id);
		}
	}
	return 0;
}

static int narrow(struct scan_op *s, const struct bx *x, uint32_t series_n, struct err *e)
{
	struct op *o = &s->base;
	struct looked_at l = {.cols = arena_zarray(&o->batch, bool, o->plan->col_count + 1)};

	if (!l.cols)
		return exec_nomem(&o->x->ctx, e);
	bx_any(x, look_at, &l);
	if (l.n == 1) {
		const struct plan_scan_col *c = &o->plan->scan_cols[l.last];
		uint32_t col_id = c->kind == SCAN_DIMENSION ? c->col_id : SERIES_MEASURE;
		if (series_dict_count(s->series, col_id) <= bits_count(s->bits.data, series_n))
			return narrow_by_dict(s, x, l.last, series_n, e);
	}
	return narrow_by_expr(s, x, l.cols, series_n, e);
}

/* What is written first is asked first, but for conditions over codes: they leave fewer series to the others. */
static int narrow_by_plan(struct scan_op *s, uint32_t series_n, struct err *e)
{
	const struct bx *w = s->base.plan->series_where;
	struct bx *const *terms = w->kind == BX_AND ? w->args : (struct bx *[]){(struct bx *)w};
	uint32_t term_n = w->kind == BX_AND ? w->argc : 1;
	struct bx *const *consts;
	uint32_t col_id, n;

	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < term_n; i++) {
			bool by_code = is_code_test(s, terms[i], &col_id, &consts, &n);
			if (by_code != (pass == 0))
				continue;
			arena_reset(&s->base.batch);
			int rc = by_code ? narrow_by_codes(s, col_id, consts, n, series_n, e)
					 : narrow(s, terms[i], series_n, e);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* Few codes of many: as a list. Else, series by series. */
static int narrow_by_allowed(struct scan_op *s, const struct scan_allow *a, uint32_t series_n, struct err *e)
{
	uint32_t n = bits_count(a->codes, a->code_n), k = 0;

	arena_reset(&s->base.batch);
	if (n > series_n / 16) {
		for (uint32_t i = 0; i < series_n; i++) {
			uint32_t code = scan_dim_code(s, i, a->col_id);
			if (code >= a->code_n || !bit_get(a->codes, code))
				bit_clear(s->bits.data, i);
		}
		return 0;
	}
	uint32_t *codes = arena_array(&s->base.batch, uint32_t, n + 1);
	if (!codes)
		return exec_nomem(&s->base.x->ctx, e);
	for (uint32_t i = 0; i < a->code_n; i++)
		if (bit_get(a->codes, i))
			codes[k++] = i;
	return keep_codes(s, a->col_id, codes, k, series_n, e);
}

int scan_choose_series(struct scan_op *s, uint32_t series_n, struct err *e)
{
	int rc = grow_to(&s->bits, s->base.x->ctx.budget, (series_n / 64 + 1) * sizeof(uint64_t));

	if (rc < 0)
		return exec_nomem(&s->base.x->ctx, e);
	memset(s->bits.data, 0xff, s->bits.bytes);
	for (const struct scan_allow *a = s->allow; a && rc >= 0; a = a->next)
		rc = narrow_by_allowed(s, a, series_n, e);
	return rc >= 0 && s->base.plan->series_where ? narrow_by_plan(s, series_n, e) : rc;
}

/* ---- what matters to whoever reads ------------------------------------------------------------------- */

int op_scan_narrow(struct op *o, uint32_t col, const struct narrowing *n, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	const struct plan_scan_col *c = &o->plan->scan_cols[col];
	bool is_measure = c->kind == SCAN_MEASURE_NAME;

	if (s->is_started)
		return 0;
	if (c->kind == SCAN_TIME && n->is_range) {
		s->t_lo = MAX(s->t_lo, n->lo);
		s->t_hi = MIN(s->t_hi, n->hi);
		return 0;
	}
	if ((c->kind != SCAN_DIMENSION && !is_measure) || !n->values)
		return 0;
	struct scan_allow *a = arena_new(o->x->arena, struct scan_allow);
	if (!a)
		return exec_nomem(&o->x->ctx, e);
	a->col_id = is_measure ? SERIES_MEASURE : c->col_id;
	/* Series with codes that come later have rows that nobody looked for yet. */
	a->code_n = series_dict_count(s->series, a->col_id);
	a->codes = arena_zarray(o->x->arena, uint64_t, a->code_n / 64 + 1);
	if (!a->codes)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < n->values->n; i++) {
		const struct vec *v = row_store_vec(n->values, i, n->col);
		uint32_t at = row_store_at(i);
		/* Keys of several columns have the same value again and again. */
		if (at && !v->valid && str_eq(v->str[at], v->str[at - 1]))
			continue;
		int64_t code = vec_is_null(v, at) ? -1 : series_dict_find(s->series, a->col_id, v->str[at]);
		if (code >= 0 && code < a->code_n)
			bit_set(a->codes, (uint32_t)code);
	}
	a->next = s->allow;
	s->allow = a;
	return 0;
}
