/*
 * op_union: all rows of each child in turn. The binder has made their types the same.
 */
#include "query/op.h"

struct union_op {
	struct op base;
	uint32_t at;
};

static int union_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct union_op *u = (struct union_op *)o;

	for (; u->at < o->child_count; u->at++) {
		int rc = op_next(o->children[u->at], ret, e);
		if (rc != 0)
			return rc;
		/* Its groups and pages are not needed any more, and the next one draws on the same budget. */
		op_close(o->children[u->at]);
		o->children[u->at] = NULL;
	}
	return 0;
}

const struct op_class op_union_class = {
	.name = "union",
	.size = sizeof(struct union_op),
	.next = union_next,
};
