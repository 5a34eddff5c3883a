/*
 * op_values: rows that the plan itself holds, a slice at a time.
 */
#include "query/op.h"

struct values_op {
	struct op base;
	uint32_t at;
};

static int values_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct values_op *v = (struct values_op *)o;
	const struct plan *p = o->plan;
	uint32_t n = MIN(p->row_count - v->at, (uint32_t)VEC_ROWS);

	if (!n)
		return 0;
	struct vec *cols = arena_array(&o->batch, struct vec, p->col_count + 1);
	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++) {
		int rc = vec_slice(&p->values[i], v->at, &o->batch, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	v->at += n;
	*ret = (struct vbatch){n, p->col_count, cols};
	return 1;
}

const struct op_class op_values_class = {
	.name = "values",
	.size = sizeof(struct values_op),
	.next = values_next,
};
