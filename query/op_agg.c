/*
 * op_agg: GROUP BY. The child's rows go into a table of groups (agg_table.h), which is handed out when all of
 * them are there. Where that pays, several threads take parts of the child's rows (agg_parallel.h).
 */
#include "query/agg_parallel.h"
#include "query/agg_table.h"

struct agg_op {
	struct op base;
	struct agg_table table;
	struct agg_parallel parallel;
	bool is_built;
	uint32_t out; /* groups handed out */
};

static int agg_open(struct op *op, struct err *e)
{
	struct agg_op *o = (struct agg_op *)op;

	return agg_table_open(&o->table, op->x, op->plan, &op->batch, e);
}

static int build(struct agg_op *o, struct err *e)
{
	struct vbatch in;
	int rc = agg_parallel_run(&o->parallel, &o->base, &o->table, e);

	if (rc < 0)
		return rc;
	while (!rc && (rc = op_next(o->base.children[0], &in, e)) > 0) {
		arena_reset(&o->base.batch);
		rc = agg_table_add(&o->table, &in, e);
	}
	return rc < 0 ? rc : agg_table_end(&o->table, e);
}

static int agg_next(struct op *op, struct vbatch *ret, struct err *e)
{
	struct agg_op *o = (struct agg_op *)op;
	int rc;

	if (!o->is_built) {
		rc = build(o, e);
		if (rc < 0)
			return rc;
		o->is_built = true;
		arena_reset(&op->batch);
	}
	rc = agg_table_take(&o->table, o->out, &op->batch, ret, e);
	if (rc > 0)
		o->out += ret->n;
	return rc;
}

static void agg_close(struct op *op)
{
	struct agg_op *o = (struct agg_op *)op;

	agg_table_release(&o->table);
	agg_parallel_release(&o->parallel);
}

const struct op_class op_agg_class = {
	.name = "aggregate",
	.size = sizeof(struct agg_op),
	.open = agg_open,
	.next = agg_next,
	.close = agg_close,
};
