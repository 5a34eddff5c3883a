/*
 * op_sort: ORDER BY, with or without LIMIT.
 *
 * Rows with equal keys keep the order in which they came, so results are the same at each run.
 *
 * Top-N. With a limit no more than a few times offset + limit rows are held: when the store has
 * grown to twice that, it is sorted and cut, and from then on a row must be less than the last one
 * kept to be looked at again. (A heap would do as well, but would pay for each row that enters.)
 *
 * ORDER BY time. Over a table, a stretch of time after the other is sorted and handed out (sort_slices.h).
 *
 * Too much for the memory. When a large part of the budget is taken the rows so far are sorted and
 * written to a temporary file as a run; at the end the runs are merged (spill.h).
 */
#include "query/sort.h"
#include "query/sort_slices.h"
#include "query/spill.h"

#define TOP_MAX (1 << 20) /* limits beyond are sorted whole */

struct sort_op {
	struct op base;
	struct sorter sorter;
	struct row_store rows;
	struct spill *spill;
	struct sort_slices slices;
	uint64_t keep;           /* offset + limit, or UINT64_MAX */
	uint64_t want;           /* of them, those that were not out when this build began */
	bool is_top;
	bool has_bar;            /* rows not below row `bar` of the store are of no use */
	uint32_t bar;
	struct sort_item bar_item;
	uint32_t kept;           /* rows after the last cut */
	bool is_built;
	const struct sort_item *order;
	uint64_t out;            /* rows handed out or skipped; of them, those of this build */
	uint64_t at;
	struct row_store last;   /* WITH TIES: the last row within the limit */
};

static int sort_open(struct op *op, struct err *e)
{
	struct sort_op *o = (struct sort_op *)op;
	const struct plan *p = op->plan, *child = p->children[0];
	struct exec *x = op->x;

	const struct type **types = arena_array(x->arena, const struct type *, child->col_count + 1);
	if (!types)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < child->col_count; i++)
		types[i] = child->cols[i].type;
	sorter_init(&o->sorter, x, p);
	o->keep = p->limit > UINT64_MAX - p->offset ? UINT64_MAX : p->limit + p->offset;
	o->is_top = o->keep <= TOP_MAX && p->key_count;
	int rc = row_store_init(&o->rows, &x->ctx, types, child->col_count, e);
	return rc < 0 ? rc : row_store_init(&o->last, &x->ctx, types, child->col_count, e);
}

/* ---- top-N --------------------------------------------------------------------------------------------------- */

static int cmp_to_bar(const struct sort_op *o, const struct vec *cols, uint32_t i)
{
	const struct sorter *s = &o->sorter;
	struct sort_item it = sort_item_of(&s->keys[0], &cols[s->keys[0].col], i, 0);

	if (it.rank != o->bar_item.rank)
		return it.rank < o->bar_item.rank ? -1 : 1;
	if (it.prefix != o->bar_item.prefix)
		return it.prefix < o->bar_item.prefix ? -1 : 1;
	return sort_cmp_rows(s, cols, i, o->rows.chunks[o->bar / VEC_ROWS]->cols, row_store_at(o->bar));
}

/* Sort what there is and keep what may still come out; a row store is rebuilt in order. */
static int cut(struct sort_op *o, struct err *e)
{
	const struct exec_ctx *ctx = &o->base.x->ctx;
	const struct sort_item *order;
	struct row_store kept;

	int rc = sorter_run(&o->sorter, &o->rows, &order, e);
	if (rc < 0)
		return rc;
	uint32_t n = (uint32_t)MIN((uint64_t)o->rows.n, o->want);
	uint32_t at_bar = n - 1;
	if (o->base.plan->with_ties) {
		while (n < o->rows.n) {
			uint32_t a = order[at_bar].row, b = order[n].row;
			if (sort_cmp_rows(&o->sorter, o->rows.chunks[a / VEC_ROWS]->cols, row_store_at(a),
					  o->rows.chunks[b / VEC_ROWS]->cols, row_store_at(b)))
				break;
			n++;
		}
	}
	rc = row_store_init(&kept, ctx, o->rows.types, o->rows.col_count, e);
	for (uint32_t from = 0; from < n && rc >= 0; from += VEC_ROWS) {
		uint32_t k = MIN(n - from, (uint32_t)VEC_ROWS);
		arena_reset(&o->base.batch);
		uint32_t *ids = arena_array(&o->base.batch, uint32_t, k);
		struct vec *cols = arena_array(&o->base.batch, struct vec, o->rows.col_count + 1);
		if (!ids || !cols) {
			rc = exec_nomem(ctx, e);
			break;
		}
		for (uint32_t i = 0; i < k; i++)
			ids[i] = order[from + i].row;
		rc = row_store_gather(&o->rows, ids, k, &o->base.batch, cols, e);
		if (rc >= 0)
			rc = row_store_add(&kept, cols, NULL, k, e);
	}
	if (rc < 0) {
		row_store_release(&kept);
		return rc;
	}
	row_store_release(&o->rows);
	o->rows = kept;
	o->has_bar = o->rows.n >= o->want;
	o->bar = at_bar;
	if (o->has_bar) {
		const struct plan_key *k = &o->sorter.keys[0];
		o->bar_item = sort_item_of(k, row_store_vec(&o->rows, at_bar, k->col),
					   row_store_at(at_bar), at_bar);
	}
	return 0;
}

static int add_top(struct sort_op *o, const struct vbatch *in, struct err *e)
{
	uint32_t *sel = NULL, n = in->n;

	if (o->has_bar) {
		sel = arena_array(&o->base.batch, uint32_t, in->n);
		if (!sel)
			return exec_nomem(&o->base.x->ctx, e);
		n = 0;
		/* A row equal to the bar came later than it: of use only where ties count. */
		int useful = o->base.plan->with_ties ? 1 : 0;
		for (uint32_t i = 0; i < in->n; i++) {
			sel[n] = i;
			n += cmp_to_bar(o, in->cols, i) < useful;
		}
	}
	int rc = row_store_add(&o->rows, in->cols, sel, n, e);
	/* Ties may be more than the limit: cut again when the store has doubled. */
	if (rc < 0 || o->rows.n < 2 * MAX(o->want, (uint64_t)o->kept) + VEC_ROWS)
		return rc;
	rc = cut(o, e);
	o->kept = o->rows.n;
	return rc;
}

/* ---- all rows ------------------------------------------------------------------------------------------------- */

/* What is held, sorted, as a run of the spill file; the store is empty afterwards. */
static int spill_rows(struct sort_op *o, struct err *e)
{
	const struct sort_item *order;
	int rc = 0;

	if (!o->spill)
		rc = spill_create(&o->base.x->ctx, o->rows.types, o->rows.col_count, &o->spill, e);
	if (rc >= 0)
		rc = sorter_run(&o->sorter, &o->rows, &order, e);
	if (rc >= 0)
		rc = spill_begin_run(o->spill, e);
	for (uint32_t from = 0; rc >= 0 && from < o->rows.n; from += VEC_ROWS) {
		uint32_t k = MIN(o->rows.n - from, (uint32_t)VEC_ROWS);
		arena_reset(&o->base.batch);
		uint32_t *ids = arena_array(&o->base.batch, uint32_t, k);
		struct vec *cols = arena_array(&o->base.batch, struct vec, o->rows.col_count + 1);
		if (!ids || !cols)
			return exec_nomem(&o->base.x->ctx, e);
		for (uint32_t i = 0; i < k; i++)
			ids[i] = order[from + i].row;
		rc = row_store_gather(&o->rows, ids, k, &o->base.batch, cols, e);
		if (rc >= 0)
			rc = spill_write(o->spill, cols, k, e);
		if (rc >= 0)
			rc = exec_cancelled(o->base.x, e);
	}
	row_store_clear(&o->rows);
	sorter_release(&o->sorter);
	return rc;
}

#define SPILL_ROWS_MIN (4 * VEC_ROWS) /* fewer would make runs without end */

static bool is_memory_short(const struct sort_op *o)
{
	const struct budget *b = o->base.x->ctx.budget;

	if (!b || o->rows.n < SPILL_ROWS_MIN)
		return false;
	size_t used = atomic_load_explicit(&((struct budget *)b)->used, memory_order_relaxed);
	return used + sorter_bytes(o->rows.n) > b->limit / 8 * 5;
}

static int build(struct sort_op *o, struct err *e)
{
	struct vbatch in;
	int rc;

	struct op *child = o->slices.sort ? o->slices.child : o->base.children[0];
	o->want = o->keep == UINT64_MAX ? UINT64_MAX : o->keep - o->out;
	while ((rc = op_next(child, &in, e)) > 0) {
		arena_reset(&o->base.batch);
		if (o->is_top) {
			rc = add_top(o, &in, e);
		} else {
			rc = row_store_add(&o->rows, in.cols, NULL, in.n, e);
			if (rc >= 0 && is_memory_short(o))
				rc = spill_rows(o, e);
		}
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (!o->spill)
		return sorter_run(&o->sorter, &o->rows, &o->order, e);
	if (o->rows.n)
		rc = spill_rows(o, e);
	return rc < 0 ? rc : spill_merge(o->spill, &o->sorter, e);
}

/* ---- out -------------------------------------------------------------------------------------------------------- */

/* The next rows in order, at most `want`; the next batch's first row is not among them. */
static int take(struct sort_op *o, uint32_t want, struct vbatch *ret, struct err *e)
{
	struct arena *a = &o->base.batch;
	int rc;

	struct vec *cols = arena_zarray(a, struct vec, o->rows.col_count + 1);
	if (!cols)
		return exec_nomem(&o->base.x->ctx, e);
	if (o->spill) {
		int64_t n = spill_next(o->spill, want, a, cols, e);
		if (n <= 0)
			return (int)n;
		*ret = (struct vbatch){(uint32_t)n, o->rows.col_count, cols};
		o->out += (uint64_t)n;
		return 1;
	}
	uint32_t n = (uint32_t)MIN((uint64_t)want, o->rows.n - o->at);
	if (!n)
		return 0;
	uint32_t *ids = arena_array(a, uint32_t, n);
	if (!ids)
		return exec_nomem(&o->base.x->ctx, e);
	for (uint32_t i = 0; i < n; i++)
		ids[i] = o->order[o->at + i].row;
	rc = row_store_gather(&o->rows, ids, n, a, cols, e);
	if (rc < 0)
		return rc;
	*ret = (struct vbatch){n, o->rows.col_count, cols};
	o->out += n;
	o->at += n;
	return 1;
}

/* Rows behind the limit that equal its last one. */
static int take_ties(struct sort_op *o, struct vbatch *ret, struct err *e)
{
	if (!o->last.n)
		return 0;
	int rc = take(o, VEC_ROWS, ret, e);
	if (rc <= 0)
		return rc;
	uint32_t n = 0;
	while (n < ret->n && !sort_cmp_rows(&o->sorter, ret->cols, n, o->last.chunks[0]->cols, 0))
		n++;
	if (n < ret->n)
		row_store_clear(&o->last); /* the ties end here */
	ret->n = n;
	return n > 0;
}

/* The rows of the next stretch in place of those at hand, all of which are out. 1: there is one, maybe empty. */
static int next_slice(struct sort_op *o, struct err *e)
{
	sorter_release(&o->sorter);
	row_store_clear(&o->rows);
	spill_destroy(o->spill);
	o->spill = NULL;
	o->has_bar = false;
	o->kept = 0;
	o->at = 0;
	int rc = sort_slices_next(&o->slices, e);
	if (rc > 0) {
		rc = build(o, e);
		rc = rc < 0 ? rc : 1;
	}
	return rc;
}

/* take(), also from the stretches that follow. */
static int take_on(struct sort_op *o, uint32_t want, struct vbatch *ret, struct err *e)
{
	int rc = take(o, want, ret, e);

	while (rc == 0 && o->slices.sort) {
		rc = next_slice(o, e);
		if (rc <= 0)
			return rc;
		arena_reset(&o->base.batch);
		rc = take(o, want, ret, e);
		if (rc == 0)
			rc = exec_cancelled(o->base.x, e);
	}
	return rc;
}

static int sort_begin(struct sort_op *o, struct err *e)
{
	int rc = o->base.plan->key_count ? sort_slices_open(&o->slices, &o->base, o->keep, e) : 0;

	if (rc > 0)
		rc = next_slice(o, e);
	else if (rc == 0)
		rc = build(o, e);
	o->is_built = rc >= 0;
	arena_reset(&o->base.batch);
	return rc;
}

static int sort_next(struct op *op, struct vbatch *ret, struct err *e)
{
	struct sort_op *o = (struct sort_op *)op;
	const struct plan *p = op->plan;
	int rc = 0;

	if (!p->limit)
		return 0;
	if (!o->is_built)
		rc = sort_begin(o, e);
	if (rc < 0)
		return rc;
	while (o->out < p->offset) {
		rc = take_on(o, (uint32_t)MIN(p->offset - o->out, (uint64_t)VEC_ROWS), ret, e);
		if (rc > 0)
			rc = exec_cancelled(op->x, e);
		else if (rc == 0)
			return 0;
		if (rc < 0)
			return rc;
		arena_reset(&op->batch);
	}
	if (o->out >= o->keep)
		return take_ties(o, ret, e);
	rc = take_on(o, (uint32_t)MIN(o->keep - o->out, (uint64_t)VEC_ROWS), ret, e);
	if (rc <= 0 || !p->with_ties || o->out < o->keep)
		return rc;
	uint32_t last = ret->n - 1;
	rc = row_store_add(&o->last, ret->cols, &last, 1, e);
	return rc < 0 ? rc : 1;
}

static void sort_close(struct op *op)
{
	struct sort_op *o = (struct sort_op *)op;

	sorter_release(&o->sorter);
	row_store_release(&o->rows);
	row_store_release(&o->last);
	spill_destroy(o->spill);
	sort_slices_release(&o->slices);
}

const struct op_class op_sort_class = {
	.name = "sort",
	.size = sizeof(struct sort_op),
	.open = sort_open,
	.next = sort_next,
	.close = sort_close,
};
