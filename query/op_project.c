/*
 * op_project: an expression a column. Columns that are passed on are not copied.
 */
#include "query/op.h"

static int project_next(struct op *o, struct vbatch *ret, struct err *e)
{
	const struct plan *p = o->plan;
	struct vbatch in;

	int rc = op_next(o->children[0], &in, e);
	if (rc <= 0)
		return rc;
	struct vec *cols = arena_array(&o->batch, struct vec, p->col_count + 1);
	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++) {
		rc = bx_eval(&o->x->ctx, p->exprs[i], &in, &o->batch, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	*ret = (struct vbatch){in.n, p->col_count, cols};
	return 1;
}

const struct op_class op_project_class = {
	.name = "project",
	.size = sizeof(struct op),
	.next = project_next,
};
