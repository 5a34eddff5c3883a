/*
 * op_analyze: EXPLAIN ANALYZE. Runs its child to the end without looking at its rows, then gives the plan as
 * text, a line a row, with what was counted on the way.
 *
 * That there is something to count into (op.stats) is what makes operators count; others never look at a clock.
 */
#include "query/op.h"

struct analyze_op {
	struct op base;
	struct op_stats stats; /* of the child */
	bool is_done;
	struct str *lines;
	uint32_t line_n, at;
};

static int stats_alloc(struct arena *a, const struct plan *p, struct op_stats *to)
{
	int rc = 0;

	to->children = arena_zarray(a, struct op_stats, p->child_count + 1);
	if (!to->children)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++)
		rc = stats_alloc(a, p->children[i], &to->children[i]);
	return rc;
}

static int analyze_open(struct op *o, struct err *e)
{
	struct analyze_op *n = (struct analyze_op *)o;

	if (stats_alloc(o->x->arena, o->plan->children[0], &n->stats) < 0)
		return exec_nomem(&o->x->ctx, e);
	o->stats = arena_new(o->x->arena, struct op_stats);
	if (!o->stats)
		return exec_nomem(&o->x->ctx, e);
	o->stats->children = &n->stats;
	return op_open_child(o, o->x, 0, &o->children[0], e);
}

/* The text's lines, copied; each ends in a newline. */
static int split(struct analyze_op *n, struct str text, struct err *e)
{
	struct arena *a = n->base.x->arena;
	uint32_t lines = 0;

	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	text = arena_str(a, text);
	n->lines = arena_array(a, struct str, lines + 1);
	if (!text.ptr || !n->lines)
		return exec_nomem(&n->base.x->ctx, e);
	for (size_t from = 0, i = 0; i < text.len; i++) {
		if (text.ptr[i] != '\n')
			continue;
		n->lines[n->line_n++] = (struct str){text.ptr + from, i - from};
		from = i + 1;
	}
	return 0;
}

static int run(struct analyze_op *n, struct err *e)
{
	struct op *o = &n->base;
	struct vbatch unused;
	struct buf text;
	int rc;

	while ((rc = op_next(o->children[0], &unused, e)) > 0)
		;
	if (rc < 0)
		return rc;
	/* Scans say what they read when they are closed. */
	op_close(o->children[0]);
	o->children[0] = NULL;
	size_t peak = atomic_load_explicit(&o->x->ctx.budget->peak, memory_order_relaxed);
	buf_init(&text, PLAN_TEXT_MAX);
	plan_format_stats(o->plan->children[0], &n->stats, peak, &text);
	rc = text.rc < 0 ? err_set(e, -E2BIG, "the plan's text is longer than %d bytes", PLAN_TEXT_MAX)
			 : split(n, (struct str){text.data, text.len}, e);
	buf_release(&text);
	return rc;
}

static int analyze_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct analyze_op *n = (struct analyze_op *)o;
	int rc = 0;

	if (!n->is_done) {
		rc = run(n, e);
		n->is_done = rc >= 0;
	}
	uint32_t count = MIN(n->line_n - n->at, (uint32_t)VEC_ROWS);
	if (rc < 0 || !count)
		return rc;
	struct vec *col = arena_new(&o->batch, struct vec);
	if (!col)
		return exec_nomem(&o->x->ctx, e);
	*col = (struct vec){.type = o->plan->cols[0].type, .str = n->lines + n->at};
	n->at += count;
	*ret = (struct vbatch){count, 1, col};
	return 1;
}

const struct op_class op_analyze_class = {
	.name = "analyze",
	.size = sizeof(struct analyze_op),
	.open = analyze_open,
	.next = analyze_next,
	.opens_children = true,
};
