/*
 * op_limit: OFFSET and LIMIT. The child is not asked for more than needed. (WITH TIES has an order,
 * so it is the sort that does it: op_sort.c.)
 */
#include "query/op.h"

struct limit_op {
	struct op base;
	uint64_t skip, left;
};

static int limit_open(struct op *o, struct err *e)
{
	struct limit_op *l = (struct limit_op *)o;

	l->skip = o->plan->offset;
	l->left = o->plan->limit;
	return 0;
}

static int limit_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct limit_op *l = (struct limit_op *)o;
	struct vbatch in;
	int rc;

	if (!l->left)
		return 0;
	while ((rc = op_next(o->children[0], &in, e)) > 0) {
		if (l->skip >= in.n) {
			l->skip -= in.n;
			continue;
		}
		uint32_t from = (uint32_t)l->skip;
		uint32_t n = (uint32_t)MIN((uint64_t)(in.n - from), l->left);
		l->skip = 0;
		if (l->left != UINT64_MAX)
			l->left -= n;
		*ret = (struct vbatch){n, in.col_count, in.cols};
		if (!from)
			return 1;
		ret->cols = arena_array(&o->batch, struct vec, in.col_count + 1);
		if (!ret->cols)
			return exec_nomem(&o->x->ctx, e);
		for (uint32_t i = 0; i < in.col_count; i++) {
			rc = vec_slice(&in.cols[i], from, &o->batch, &ret->cols[i], e);
			if (rc < 0)
				return rc;
		}
		return 1;
	}
	return rc;
}

const struct op_class op_limit_class = {
	.name = "limit",
	.size = sizeof(struct limit_op),
	.open = limit_open,
	.next = limit_next,
};
