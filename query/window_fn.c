/*
 * window_fn: the functions of windows alone. A value follows from the row's place among its peers and in
 * its partition, or is another row's value.
 */
#include "query/window.h"
#include "query/func_impl.h"

#define GROUP "Window"

int window_fail(const struct plan_window *f, int rc, struct err *e)
{
	if (rc == -ENOMEM || rc == -ECANCELED || !f->call.pos.line)
		return rc;
	return err_prefix(e, rc, "line %u:%u", f->call.pos.line, f->call.pos.col);
}

/* ---- ranks ---------------------------------------------------------------------------------------- */

static int64_t number_of(const struct window_part *p, uint32_t r)
{
	return (int64_t)(p->before + (r - p->at) + 1);
}

static int64_t rank_of(const struct window_call *c, uint32_t r)
{
	return number_of(c->part, c->w->peer_at[c->w->peer_of[r]]);
}

static int row_number_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			   struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = vb_add_i64(out, number_of(c->part, r), e);
	return rc;
}

static int rank_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out, struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = vb_add_i64(out, rank_of(c, r), e);
	return rc;
}

static int dense_rank_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			   struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = vb_add_i64(out,
				(int64_t)(c->part->peers_before +
					  (c->w->peer_of[r] - c->part->peers_at) + 1),
				e);
	return rc;
}

static int percent_rank_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			     struct err *e)
{
	uint32_t n = c->part->end - c->part->at;
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = vb_add_f64(out, n > 1 ? (double)(rank_of(c, r) - 1) / (n - 1) : 0.0, e);
	return rc;
}

static int cume_dist_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			  struct err *e)
{
	const struct window_part *p = c->part;
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++) {
		uint32_t last = c->w->peer_at[c->w->peer_of[r] + 1];

		rc = vb_add_f64(out, (double)(last - p->at) / (p->end - p->at), e);
	}
	return rc;
}

/* The first `large` buckets have one row more than the others. */
static int64_t bucket_of(uint32_t place, uint32_t n, int64_t buckets)
{
	int64_t size = n / buckets, large = n % buckets;

	if (place < large * (size + 1))
		return place / (size + 1) + 1;
	return large + (place - large * (size + 1)) / size + 1;
}

static int ntile_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out, struct err *e)
{
	const struct window_part *p = c->part;
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++) {
		uint32_t at;
		const struct vec *v = window_arg(c->w, c->plan->call.args[0], r, &at);

		if (vec_is_null(v, at))
			rc = vb_add_null(out, e);
		else if (v->i64[at] < 1)
			return err_set(e, -EINVAL, "ntile: the number of buckets must be at least 1, not %lld",
				       (long long)v->i64[at]);
		else
			rc = vb_add_i64(out, bucket_of(r - p->at, p->end - p->at, v->i64[at]), e);
	}
	return rc;
}

/* ---- values of other rows ----------------------------------------------------------------------------- */

#define NOWHERE UINT32_MAX

/* The nth row that counts among [from, to), from 0; backwards from the end. */
static uint32_t nth_of(const struct window_call *c, struct window_range f, uint64_t nth, bool backwards)
{
	const struct window_picks *k = c->picks;
	uint32_t from = f.from, to = f.to;

	if (from >= to)
		return NOWHERE;
	if (k) {
		from = k->rank[from];
		to = k->rank[to];
	}
	if (nth >= to - from)
		return NOWHERE;
	from = backwards ? to - 1 - (uint32_t)nth : from + (uint32_t)nth;
	return k ? k->rows[from] : from;
}

static int add_value(const struct window_call *c, uint32_t row, struct vec_builder *out, struct err *e)
{
	uint32_t at;
	const struct vec *v;

	if (row == NOWHERE)
		return vb_add_null(out, e);
	v = window_arg(c->w, c->plan->call.args[0], row, &at);
	return vb_add(out, v, at, e);
}

static int first_value_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			    struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = add_value(c, nth_of(c, c->frames[r - from], 0, false), out, e);
	return rc;
}

static int last_value_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			   struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++)
		rc = add_value(c, nth_of(c, c->frames[r - from], 0, true), out, e);
	return rc;
}

static int nth_value_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out,
			  struct err *e)
{
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++) {
		uint32_t at;
		const struct vec *v = window_arg(c->w, c->plan->call.args[1], r, &at);

		if (vec_is_null(v, at)) {
			rc = vb_add_null(out, e);
			continue;
		}
		if (v->i64[at] < 1)
			return err_set(e, -EINVAL, "nth_value: rows are counted from 1, not %lld",
				       (long long)v->i64[at]);
		rc = add_value(c, nth_of(c, c->frames[r - from], (uint64_t)v->i64[at] - 1, false), out, e);
	}
	return rc;
}

/* The row `offset` behind (or before) r in its partition. */
static int shifted(const struct window_call *c, uint32_t r, bool back, uint32_t *ret, struct err *e)
{
	const struct plan_agg *a = &c->plan->call;
	uint32_t at;
	int64_t offset = 1;

	*ret = NOWHERE;
	if (a->argc > 1) {
		const struct vec *v = window_arg(c->w, a->args[1], r, &at);

		if (vec_is_null(v, at))
			return 0;
		offset = v->i64[at];
	}
	if (offset < 0)
		return err_set(e, -EINVAL, "%s: the offset must not be negative, but is %lld", a->func->name,
			       (long long)offset);
	if (!offset)
		*ret = r;
	else if (back)
		*ret = nth_of(c, (struct window_range){c->part->at, r}, (uint64_t)offset - 1, true);
	else
		*ret = nth_of(c, (struct window_range){r + 1, c->part->end}, (uint64_t)offset - 1, false);
	return 0;
}

static int shift_eval(struct window_call *c, uint32_t from, uint32_t to, bool back, struct vec_builder *out,
		      struct err *e)
{
	const struct plan_agg *a = &c->plan->call;
	int rc = 0;

	for (uint32_t r = from; r < to && rc >= 0; r++) {
		uint32_t row, at;

		rc = shifted(c, r, back, &row, e);
		if (rc < 0)
			return rc;
		if (row == NOWHERE && a->argc > 2) {
			const struct vec *v = window_arg(c->w, a->args[2], r, &at);

			rc = vb_add(out, v, at, e);
		} else {
			rc = add_value(c, row, out, e);
		}
	}
	return rc;
}

static int lead_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out, struct err *e)
{
	return shift_eval(c, from, to, false, out, e);
}

static int lag_eval(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out, struct err *e)
{
	return shift_eval(c, from, to, true, out, e);
}

/* ---- IGNORE NULLS ------------------------------------------------------------------------------------------ */

int window_picks_make(struct window_picks *p, const struct window_rows *w, const struct bx *x, struct err *e)
{
	const struct exec_ctx *ctx = &w->x->ctx;
	uint32_t n = w->store.n, k = 0;

	if (grow_to(&p->rank_array, ctx->budget, sizeof(uint32_t) * ((size_t)n + 1)) < 0 ||
	    grow_to(&p->row_array, ctx->budget, sizeof(uint32_t) * ((size_t)n + 1)) < 0)
		return exec_nomem(ctx, e);
	p->rank = p->rank_array.data;
	p->rows = p->row_array.data;
	for (uint32_t r = 0; r < n; r++) {
		uint32_t at;
		const struct vec *v = window_arg(w, x, r, &at);

		p->rank[r] = k;
		p->rows[k] = r;
		k += !vec_is_null(v, at);
	}
	p->rank[n] = k;
	p->is_made = true;
	return 0;
}

void window_picks_release(struct window_picks *p, struct budget *b)
{
	grow_release(&p->rank_array, b);
	grow_release(&p->row_array, b);
}

/* ---- the rows of the registry ------------------------------------------------------------------------------- */

#define DEF(name, needs, frame)                                                                    \
	static const struct window_def name##_def = {name##_eval, needs, frame};
DEF(row_number, REACH_ROW, false)
DEF(rank, REACH_PEERS, false)
DEF(dense_rank, REACH_PEERS, false)
DEF(percent_rank, REACH_ALL, false)
DEF(cume_dist, REACH_ALL, false)
DEF(ntile, REACH_ALL, false)
DEF(first_value, REACH_ALL, true)
DEF(last_value, REACH_ALL, true)
DEF(nth_value, REACH_ALL, true)
DEF(lead, REACH_ALL, false)
DEF(lag, REACH_ALL, false)

#define WINDOW(n, p, r, d, f, h)                                                                   \
	{.name = n, .params = p, .ret = r, .window = d, .flags = f, .group = GROUP, .help = h}
#define SHIFT (FN_ORDERED | FN_SKIPS_NULLS)

const struct func func_rows_window[] = {
	WINDOW("row_number", "", "bigint", &row_number_def, 0,
	       "1, 2, 3, ... in the order of the window"),
	WINDOW("rank", "", "bigint", &rank_def, 0,
	       "1 and the number of rows before the row's peers"),
	WINDOW("dense_rank", "", "bigint", &dense_rank_def, 0, "rank without gaps"),
	WINDOW("percent_rank", "", "double", &percent_rank_def, 0,
	       "(rank - 1) / (rows of the partition - 1)"),
	WINDOW("cume_dist", "", "double", &cume_dist_def, 0,
	       "the fraction of rows that come before or are peers"),
	WINDOW("ntile", "bigint", "bigint", &ntile_def, 0,
	       "the bucket, from 1, of n that are as equal as can be"),
	WINDOW("first_value", "T", "T", &first_value_def, FN_SKIPS_NULLS,
	       "x in the first row of the frame"),
	WINDOW("last_value", "T", "T", &last_value_def, FN_SKIPS_NULLS,
	       "x in the last row of the frame"),
	WINDOW("nth_value", "T, bigint", "T", &nth_value_def, FN_SKIPS_NULLS,
	       "x in the n-th row of the frame, from 1"),
	WINDOW("lead", "T", "T", &lead_def, SHIFT, "x in the next row of the partition"),
	WINDOW("lead", "T, bigint", "T", &lead_def, SHIFT, "x in the n-th row after this one"),
	WINDOW("lead", "T, bigint, T", "T", &lead_def, SHIFT,
	       "the same, or a default where there is no such row"),
	WINDOW("lag", "T", "T", &lag_def, SHIFT, "x in the row before"),
	WINDOW("lag", "T, bigint", "T", &lag_def, SHIFT, "x in the n-th row before this one"),
	WINDOW("lag", "T, bigint, T", "T", &lag_def, SHIFT,
	       "the same, or a default where there is no such row"),
	FUNC_END,
};
