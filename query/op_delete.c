/*
 * op_delete: DELETE, done when its only row is asked for.
 *
 * table_delete_begin() fixes the moment: the child reads the table as of then, ranges apply to what
 * was there then, and rows that come meanwhile are neither seen nor erased. Until deletion_commit()
 * nothing has happened, so whatever fails or is cancelled on the way leaves the table as it was.
 *
 * By series and time (the child is a SCAN without columns): its series, in stretches of consecutive
 * numbers, times its time range. Its rows are counted and not looked at.
 *
 * Row by row (a PROJECT of series, time and a condition): rows come series by series, by time. Rows
 * that go and follow each other make one range; one that stays ends it. Nothing that can be seen lies
 * between two neighbours, so a range erases exactly them. A series all of whose rows go (in the scan's
 * time range) needs no times of its own, and becomes part of a stretch as above: `DELETE ... WHERE
 * substr(host, 1, 3) = 'tmp'` over a million series is a few ranges and not a million.
 */
#include "query/op.h"

#define RANGE_BYTES 48 /* as it is collected, and once more in order */

struct delete_op {
	struct op base;
	bool is_done;
	struct deletion *deletion;
	int64_t rows;
	size_t range_bytes; /* drawn on the budget for the ranges, which the engine keeps */
	/* The series at hand. */
	int64_t series; /* -1: none yet */
	bool is_whole;  /* no row of it stays so far */
	bool in_range;
	int64_t lo, hi;
	/* Series that go as a whole: a bit set. */
	struct grow whole;
	uint32_t whole_n; /* bits in it */
};

static int located(const struct delete_op *d, int rc, struct err *e)
{
	const struct pos *p = &d->base.plan->pos;

	return rc < 0 ? err_prefix(e, rc, "line %u:%u", p->line, p->col) : rc;
}

static const struct plan *scan_of(const struct plan *p)
{
	while (p->kind != PLAN_SCAN)
		p = p->children[0];
	return p;
}

static bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static int add(struct delete_op *d, uint32_t lo, uint32_t hi, int64_t t_lo, int64_t t_hi, struct err *e)
{
	if (!budget_take(d->base.x->ctx.budget, RANGE_BYTES))
		return exec_nomem(&d->base.x->ctx, e);
	d->range_bytes += RANGE_BYTES;
	return located(d, deletion_add(d->deletion, lo, hi, t_lo, t_hi, e), e);
}

/* The scan's time range for each series of the set. */
static int add_stretches(struct delete_op *d, const uint64_t *bits, uint32_t n, struct err *e)
{
	const struct plan *scan = scan_of(d->base.plan);
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0;) {
		uint32_t from;
		if (i % 64 == 0 && !bits[i / 64]) {
			i += 64;
			continue;
		}
		if (!bit_get(bits, i)) {
			i++;
			continue;
		}
		for (from = i; i < n && bit_get(bits, i); i++)
			;
		rc = add(d, from, i - 1, scan->t_lo, scan->t_hi, e);
	}
	return rc;
}

/* ---- by series and time --------------------------------------------------------------------------------- */

static int by_series(struct delete_op *d, struct err *e)
{
	struct op *child = d->base.children[0];
	const struct plan *scan = child->plan;
	struct vbatch b;
	uint32_t n;
	int rc;

	while ((rc = op_next(child, &b, e)) > 0)
		d->rows += b.n;
	if (rc < 0 || !d->rows)
		return rc;
	const uint64_t *bits = op_scan_series(child, &n);
	return bits ? add_stretches(d, bits, n, e) : add(d, 0, SERIES_MAX, scan->t_lo, scan->t_hi, e);
}

/* ---- row by row ------------------------------------------------------------------------------------------- */

static int end_range(struct delete_op *d, struct err *e)
{
	if (!d->in_range)
		return 0;
	d->in_range = false;
	return add(d, (uint32_t)d->series, (uint32_t)d->series, d->lo, d->hi, e);
}

static int end_series(struct delete_op *d, struct err *e)
{
	uint32_t id = (uint32_t)d->series;

	if (!d->in_range || !d->is_whole)
		return end_range(d, e);
	if (grow_to(&d->whole, d->base.x->ctx.budget, (id / 64 + 1) * sizeof(uint64_t)) < 0)
		return exec_nomem(&d->base.x->ctx, e);
	((uint64_t *)d->whole.data)[id / 64] |= UINT64_C(1) << (id % 64);
	d->whole_n = MAX(d->whole_n, id + 1);
	d->in_range = false;
	return 0;
}

static int take_rows(struct delete_op *d, const struct vbatch *b, struct err *e)
{
	const struct vec *series = &b->cols[0], *time = &b->cols[1], *goes = &b->cols[2];
	int rc = 0;

	for (uint32_t i = 0; i < b->n && rc >= 0; i++) {
		int64_t id = series->i64[vec_index(series, i)], t = time->i64[vec_index(time, i)];
		if (id != d->series) {
			rc = end_series(d, e);
			d->series = id;
			d->is_whole = true;
		}
		if (rc >= 0 && vec_tristate(goes, i) != TRI_TRUE) {
			d->is_whole = false;
			rc = end_range(d, e);
		} else if (rc >= 0) {
			if (!d->in_range)
				d->lo = t;
			d->in_range = true;
			d->hi = t;
			d->rows++;
		}
	}
	return rc;
}

static int by_row(struct delete_op *d, struct err *e)
{
	struct vbatch b;
	int rc;

	d->series = -1;
	while ((rc = op_next(d->base.children[0], &b, e)) > 0) {
		rc = take_rows(d, &b, e);
		if (rc < 0)
			break;
	}
	if (rc >= 0)
		rc = end_series(d, e);
	return rc < 0 ? rc : add_stretches(d, d->whole.data, d->whole_n, e);
}

/* ---- all of it ---------------------------------------------------------------------------------------------- */

static int delete_rows(struct delete_op *d, struct err *e)
{
	struct exec *x = d->base.x;
	const struct plan *p = d->base.plan;

	int rc = located(d, table_delete_begin(p->table, &d->deletion, e), e);
	if (rc < 0)
		return rc;
	x->moment_of = p->table;
	x->upto_seq = deletion_seq(d->deletion);
	if (x->upto_seq) /* else nothing was ever written */
		rc = p->children[0]->kind == PLAN_SCAN ? by_series(d, e) : by_row(d, e);
	if (rc >= 0)
		rc = exec_cancelled(x, e);
	if (rc < 0 || !d->rows)
		return rc;
	rc = located(d, deletion_commit(d->deletion, e), e);
	d->deletion = NULL;
	return rc;
}

static int delete_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct delete_op *d = (struct delete_op *)o;

	if (d->is_done)
		return 0;
	d->is_done = true;
	int rc = delete_rows(d, e);
	if (rc < 0)
		return rc;
	return op_count_row(o, d->rows, ret, e);
}

/* The child's scan goes first: it is a reader of what the deletion holds still. */
static void delete_close(struct op *o)
{
	struct delete_op *d = (struct delete_op *)o;

	while (o->child_count)
		op_close(o->children[--o->child_count]);
	deletion_abort(d->deletion);
	budget_give(o->x->ctx.budget, d->range_bytes);
	grow_release(&d->whole, o->x->ctx.budget);
}

const struct op_class op_delete_class = {
	.name = "delete",
	.size = sizeof(struct delete_op),
	.next = delete_next,
	.close = delete_close,
};
