/*
 * op: opening, stepping and closing operators; what all of them share.
 */
#include "query/op.h"

#include <stdlib.h>

static const struct op_class *const classes[] = {
	[PLAN_SCAN] = &op_scan_class,       [PLAN_VALUES] = &op_values_class,
	[PLAN_FILTER] = &op_filter_class,   [PLAN_PROJECT] = &op_project_class,
	[PLAN_AGG] = &op_agg_class,         [PLAN_SORT] = &op_sort_class,
	[PLAN_UNNEST] = &op_unnest_class,
	[PLAN_ANALYZE] = &op_analyze_class,
	[PLAN_RECURSIVE] = &op_recursive_class, [PLAN_WORKING] = &op_working_class,
	[PLAN_LIMIT] = &op_limit_class,     [PLAN_UNION] = &op_union_class,
	[PLAN_DELETE] = &op_delete_class,   [PLAN_INSERT] = &op_insert_class,
	[PLAN_JOIN] = &op_join_class,
	[PLAN_WINDOW] = &op_window_class,
	[PLAN_UNLOAD] = &op_unload_class,
};

int exec_cancelled(const struct exec *x, struct err *e)
{
	if (!x->ctx.cancelled || !atomic_load_explicit(x->ctx.cancelled, memory_order_relaxed))
		return 0;
	return err_set(e, -ECANCELED, "query cancelled");
}

static int prepare_list(struct arena *a, struct bx **v, uint32_t n, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = bx_prepare(a, v[i], e);
	return rc;
}

static int prepare_plan(struct arena *a, const struct plan *p, struct err *e)
{
	int rc = 0;

	if (p->series_where)
		rc = bx_prepare(a, p->series_where, e);
	if (rc >= 0 && p->where)
		rc = bx_prepare(a, p->where, e);
	if (rc >= 0 && p->exprs)
		rc = prepare_list(a, p->exprs, p->col_count, e);
	if (rc >= 0)
		rc = prepare_list(a, p->groups, p->group_count, e);
	if (rc >= 0)
		rc = prepare_list(a, p->lists, p->list_count, e);
	for (uint32_t i = 0; i < p->join_key_count && rc >= 0; i++) {
		rc = bx_prepare(a, p->join_keys[i].left, e);
		if (rc >= 0)
			rc = bx_prepare(a, p->join_keys[i].right, e);
	}
	for (uint32_t i = 0; i < p->agg_count && rc >= 0; i++) {
		rc = prepare_list(a, p->aggs[i].args, p->aggs[i].argc, e);
		if (rc >= 0 && p->aggs[i].filter)
			rc = bx_prepare(a, p->aggs[i].filter, e);
		if (rc >= 0)
			rc = prepare_list(a, p->aggs[i].order, p->aggs[i].key_count, e);
	}
	return rc;
}

static int prepare_tree(struct arena *a, const struct plan *p, struct err *e)
{
	int rc = prepare_plan(a, p, e);

	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++)
		rc = prepare_tree(a, p->children[i], e);
	return rc;
}

static int open_tree(struct exec *x, const struct plan *p, struct op_stats *stats, struct op **ret, struct err *e)
{
	const struct op_class *cls = classes[p->kind];
	int rc = 0;

	struct op *o = arena_zalloc(x->arena, cls->size);
	if (!o)
		return exec_nomem(&x->ctx, e);
	o->cls = cls;
	o->plan = p;
	o->x = x;
	o->stats = stats;
	arena_init(&o->batch, x->ctx.budget);
	o->children = arena_zarray(x->arena, struct op *, p->child_count + 1);
	if (!o->children)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < p->child_count; i++) {
		rc = cls->opens_children ? 0 : op_open_child(o, x, i, &o->children[i], e);
		if (rc < 0)
			goto fail;
		o->child_count++;
	}
	if (cls->open)
		rc = cls->open(o, e);
	if (rc < 0)
		goto fail;
	*ret = o;
	return 0;
fail:
	op_close(o);
	return rc;
}

int op_open(struct exec *x, const struct plan *p, struct op **ret, struct err *e)
{
	int rc = prepare_tree(x->arena, p, e);

	return rc < 0 ? rc : open_tree(x, p, NULL, ret, e);
}

int op_open_child(struct op *o, struct exec *x, uint32_t i, struct op **ret, struct err *e)
{
	return open_tree(x, o->plan->children[i], o->stats ? &o->stats->children[i] : NULL, ret, e);
}

static int next_counted(struct op *o, struct vbatch *ret, struct err *e)
{
	int64_t start = clock_mono_ns();
	int rc = o->cls->next(o, ret, e);

	o->stats->ns += clock_mono_ns() - start;
	if (rc > 0) {
		o->stats->batches++;
		o->stats->rows += ret->n;
	}
	return rc;
}

int op_next(struct op *o, struct vbatch *ret, struct err *e)
{
	int rc = exec_cancelled(o->x, e);
	if (rc < 0)
		return rc;
	arena_reset(&o->batch);
	return unlikely(o->stats) ? next_counted(o, ret, e) : o->cls->next(o, ret, e);
}

void op_close(struct op *o)
{
	if (!o)
		return;
	if (o->cls->close)
		o->cls->close(o);
	for (uint32_t i = 0; i < o->child_count; i++)
		op_close(o->children[i]);
	arena_release(&o->batch);
}

int op_count_row(struct op *o, int64_t rows, struct vbatch *ret, struct err *e)
{
	struct vec *col = arena_zarray(&o->batch, struct vec, 1);

	if (!col)
		return exec_nomem(&o->x->ctx, e);
	int rc = vec_alloc(col, o->plan->cols[0].type, 1, &o->batch, e);
	if (rc < 0)
		return rc;
	col->i64[0] = rows;
	*ret = (struct vbatch){1, 1, col};
	return 1;
}

int grow_to(struct grow *g, struct budget *b, size_t bytes)
{
	if (bytes <= g->bytes)
		return 0;
	size_t want = MAX(MAX(g->bytes * 2, bytes), (size_t)256);
	/* Near the limit a smaller step may still do. */
	if (b && !budget_take(b, want - g->bytes)) {
		want = bytes;
		if (!budget_take(b, want - g->bytes))
			return -ENOMEM;
	}
	void *p = realloc(g->data, want);
	if (!p) {
		if (b)
			budget_give(b, want - g->bytes);
		return -ENOMEM;
	}
	memset((char *)p + g->bytes, 0, want - g->bytes);
	g->data = p;
	g->bytes = want;
	return 0;
}

void grow_release(struct grow *g, struct budget *b)
{
	if (b)
		budget_give(b, g->bytes);
	free(g->data);
	*g = (struct grow){0};
}
