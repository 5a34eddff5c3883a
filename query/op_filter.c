/*
 * op_filter: the rows for which the condition is TRUE.
 */
#include "query/op.h"

static int filter_open(struct op *o, struct err *e)
{
	struct op *child = o->children[0];

	return child->plan->kind == PLAN_SCAN ? op_scan_defer(child, o->plan->where, e) : 0;
}

/* The rows sel[0..n) of the child's batch. */
static int take(struct op *o, const struct vbatch *in, const uint32_t *sel, uint32_t n, struct vbatch *ret, struct err *e)
{
	if (o->children[0]->plan->kind == PLAN_SCAN)
		return op_scan_take(o->children[0], in, sel, n, ret, e);
	*ret = *in;
	if (n == in->n)
		return 1;
	ret->n = n;
	ret->cols = arena_array(&o->batch, struct vec, in->col_count + 1);
	if (!ret->cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < in->col_count; i++) {
		int rc = vec_gather(&in->cols[i], sel, n, &o->batch, &ret->cols[i], e);
		if (rc < 0)
			return rc;
	}
	return 1;
}

static int filter_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct vbatch in;
	int rc;

	while ((rc = op_next(o->children[0], &in, e)) > 0) {
		arena_reset(&o->batch); /* of a batch that had no such row */
		uint32_t *sel = arena_array(&o->batch, uint32_t, in.n);
		if (!sel)
			return exec_nomem(&o->x->ctx, e);
		int64_t n = bx_select(&o->x->ctx, o->plan->where, &in, &o->batch, sel, e);
		if (n < 0)
			return (int)n;
		if (!n)
			continue;
		return take(o, &in, sel, (uint32_t)n, ret, e);
	}
	return rc;
}

const struct op_class op_filter_class = {
	.name = "filter",
	.size = sizeof(struct op),
	.open = filter_open,
	.next = filter_next,
};
