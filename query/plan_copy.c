/*
 * Plans as values: what expressions one holds, whether two are the same, a copy of one.
 *
 * Pushdown and prune change plans where they stand, so a plan that stands in two places must be two plans.
 * Bound expressions are never changed, and are shared.
 */
#include "query/bind.h"

/* ---- expressions of a plan ------------------------------------------------------------------------ */

int agg_each_expr(struct plan_agg *a, int (*fn)(struct bx **x, void *ctx), void *ctx)
{
	int rc = 0;

	for (uint32_t k = 0; k < a->argc && !rc; k++)
		rc = fn(&a->args[k], ctx);
	for (uint32_t k = 0; k < a->key_count && !rc; k++)
		rc = fn(&a->order[k], ctx);
	return rc || !a->filter ? rc : fn(&a->filter, ctx);
}

int plan_each_expr(struct plan *p, int (*fn)(struct bx **x, void *ctx), void *ctx)
{
	int rc = p->series_where ? fn(&p->series_where, ctx) : 0;

	if (!rc && p->where)
		rc = fn(&p->where, ctx);
	for (uint32_t i = 0; p->exprs && i < p->col_count && !rc; i++)
		rc = fn(&p->exprs[i], ctx);
	for (uint32_t i = 0; i < p->group_count && !rc; i++)
		rc = fn(&p->groups[i], ctx);
	for (uint32_t i = 0; i < p->agg_count && !rc; i++)
		rc = agg_each_expr(&p->aggs[i], fn, ctx);
	for (uint32_t i = 0; i < p->list_count && !rc; i++)
		rc = fn(&p->lists[i], ctx);
	for (uint32_t i = 0; i < p->window_count && !rc; i++) {
		struct plan_window *w = &p->windows[i];

		rc = agg_each_expr(&w->call, fn, ctx);
		if (!rc && w->start.offset)
			rc = fn(&w->start.offset, ctx);
		if (!rc && w->end.offset)
			rc = fn(&w->end.offset, ctx);
	}
	for (uint32_t i = 0; i < p->join_key_count && !rc; i++) {
		rc = fn(&p->join_keys[i].left, ctx);
		if (!rc)
			rc = fn(&p->join_keys[i].right, ctx);
	}
	return rc;
}

struct search {
	bool (*fn)(const struct bx *x, void *ctx);
	void *ctx;
};

static int search_expr(struct bx **x, void *ctx)
{
	const struct search *s = ctx;

	return bx_any(*x, s->fn, s->ctx);
}

bool plan_any_here(const struct plan *p, bool (*fn)(const struct bx *x, void *ctx), void *ctx)
{
	struct search s = {fn, ctx};

	return plan_each_expr((struct plan *)p, search_expr, &s) > 0; /* search_expr() changes nothing */
}

bool plan_any(const struct plan *p, bool (*fn)(const struct bx *x, void *ctx), void *ctx)
{
	if (plan_any_here(p, fn, ctx))
		return true;
	for (uint32_t i = 0; i < p->child_count; i++) {
		if (plan_any(p->children[i], fn, ctx))
			return true;
	}
	return false;
}

static bool is_volatile(const struct bx *x, void *ctx)
{
	(void)ctx;
	return x->kind == BX_CALL && (x->func->flags & FN_VOLATILE);
}

bool plan_is_volatile(const struct plan *p)
{
	return plan_any(p, is_volatile, NULL);
}

bool bx_is_outer(const struct bx *x, void *ctx)
{
	(void)ctx;
	return x->kind == BX_OUTER;
}

bool plan_has_outer(const struct plan *p)
{
	return plan_any(p, bx_is_outer, NULL);
}

/* ---- copies ----------------------------------------------------------------------------------------- */

/* n elements of `size`; NULL stays NULL. */
static void *dup(struct bind *b, const void *from, size_t n, size_t size, bool *ok)
{
	void *to;

	if (!from)
		return NULL;
	to = arena_alloc(b->arena, (n + 1) * size);
	if (to)
		memcpy(to, from, n * size);
	else
		*ok = false;
	return to;
}

bool agg_copy(struct bind *b, struct plan_agg *a)
{
	bool ok = true;

	a->args = dup(b, a->args, a->argc, sizeof(*a->args), &ok);
	a->order = dup(b, a->order, a->key_count, sizeof(*a->order), &ok);
	a->keys = dup(b, a->keys, a->key_count, sizeof(*a->keys), &ok);
	return ok || bind_nomem(b) >= 0;
}

struct plan *plan_copy(struct bind *b, const struct plan *p)
{
	struct plan *to = plan_new(b, p->kind, p->col_count);
	struct plan_col *cols;
	bool ok = true;

	if (!to)
		return NULL;
	cols = to->cols;
	*to = *p;
	to->cols = cols;
	memcpy(cols, p->cols, sizeof(*cols) * p->col_count);
	to->scan_cols = dup(b, p->scan_cols, p->col_count, sizeof(*p->scan_cols), &ok);
	to->values = dup(b, p->values, p->col_count, sizeof(*p->values), &ok);
	to->exprs = dup(b, p->exprs, p->col_count, sizeof(*p->exprs), &ok);
	to->groups = dup(b, p->groups, p->group_count, sizeof(*p->groups), &ok);
	to->aggs = dup(b, p->aggs, p->agg_count, sizeof(*p->aggs), &ok);
	for (uint32_t i = 0; ok && i < p->agg_count; i++)
		ok = agg_copy(b, &to->aggs[i]);
	to->lists = dup(b, p->lists, p->list_count, sizeof(*p->lists), &ok);
	to->items = dup(b, p->items, p->col_count, sizeof(*p->items), &ok);
	to->windows = dup(b, p->windows, p->window_count, sizeof(*p->windows), &ok);
	for (uint32_t i = 0; ok && i < p->window_count; i++)
		ok = agg_copy(b, &to->windows[i].call);
	to->join_keys = dup(b, p->join_keys, p->join_key_count, sizeof(*p->join_keys), &ok);
	to->keys = dup(b, p->keys, p->key_count, sizeof(*p->keys), &ok);
	to->children = dup(b, p->children, p->child_count, sizeof(*p->children), &ok);
	if (!ok) {
		bind_nomem(b);
		return NULL;
	}
	for (uint32_t i = 0; i < p->child_count; i++) {
		to->children[i] = plan_copy(b, p->children[i]);
		if (!to->children[i])
			return NULL;
	}
	return to;
}

/* ---- sameness ----------------------------------------------------------------------------------------- */

static bool same_expr(const struct bx *a, const struct bx *b)
{
	return a && b ? bx_same(a, b) : a == b;
}

static bool same_exprs(struct bx *const *a, struct bx *const *b, uint32_t n)
{
	if (!a != !b)
		return false;
	for (uint32_t i = 0; a && i < n; i++) {
		if (!bx_same(a[i], b[i]))
			return false;
	}
	return true;
}

static bool same_values(const struct plan *a, const struct plan *b)
{
	for (uint32_t i = 0; a->values != b->values && i < a->col_count; i++) {
		for (uint32_t k = 0; k < a->row_count; k++) {
			if (!vec_same(&a->values[i], k, &b->values[i], k))
				return false;
		}
	}
	return true;
}

static bool same_sort(const struct plan *a, const struct plan *b)
{
	if (a->key_count != b->key_count || a->limit != b->limit || a->offset != b->offset ||
	    a->with_ties != b->with_ties)
		return false;
	for (uint32_t i = 0; i < a->key_count; i++) {
		const struct plan_key *k = &a->keys[i], *o = &b->keys[i];

		if (k->col != o->col || k->desc != o->desc || k->nulls_first != o->nulls_first)
			return false;
	}
	return true;
}

static bool same_join(const struct plan *a, const struct plan *b)
{
	if (a->join != b->join || a->join_key_count != b->join_key_count)
		return false;
	for (uint32_t i = 0; i < a->join_key_count; i++) {
		const struct plan_join_key *k = &a->join_keys[i], *o = &b->join_keys[i];

		if (k->null_safe != o->null_safe || k->is_in != o->is_in || !bx_same(k->left, o->left) ||
		    !bx_same(k->right, o->right))
			return false;
	}
	return true;
}

static bool same_scan(const struct plan *a, const struct plan *b)
{
	if (a->table != b->table || a->t_lo != b->t_lo || a->t_hi != b->t_hi || a->first_n != b->first_n ||
	    a->last_n != b->last_n)
		return false;
	for (uint32_t i = 0; a->kind == PLAN_SCAN && i < a->col_count; i++) {
		if (a->scan_cols[i].kind != b->scan_cols[i].kind || a->scan_cols[i].col_id != b->scan_cols[i].col_id)
			return false;
	}
	return same_expr(a->series_where, b->series_where);
}

static bool same_aggs(const struct plan *a, const struct plan *b)
{
	if (a->set_count || b->set_count || a->group_count != b->group_count || a->agg_count != b->agg_count || a->is_global != b->is_global ||
	    !same_exprs(a->groups, b->groups, a->group_count))
		return false;
	for (uint32_t i = 0; i < a->agg_count; i++) {
		if (!bind_same_agg(&a->aggs[i], &b->aggs[i]))
			return false;
	}
	return true;
}

/* The kinds that a query's plan before the rewrites may consist of; of others nothing is claimed. */
static bool is_comparable(enum plan_kind k)
{
	switch (k) {
	case PLAN_SCAN:
	case PLAN_VALUES:
	case PLAN_FILTER:
	case PLAN_PROJECT:
	case PLAN_AGG:
	case PLAN_SORT:
	case PLAN_LIMIT:
	case PLAN_UNION:
	case PLAN_JOIN:
		return true;
	default:
		return false;
	}
}

bool plan_same(const struct plan *a, const struct plan *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || !is_comparable(a->kind) || a->col_count != b->col_count ||
	    a->child_count != b->child_count || a->row_count != b->row_count)
		return false;
	for (uint32_t i = 0; i < a->col_count; i++) {
		if (!type_equal(a->cols[i].type, b->cols[i].type))
			return false;
	}
	if (!same_scan(a, b) || !same_values(a, b) || !same_expr(a->where, b->where) ||
	    !same_exprs(a->exprs, b->exprs, a->col_count) || !same_aggs(a, b) || !same_sort(a, b) || !same_join(a, b))
		return false;
	for (uint32_t i = 0; i < a->child_count; i++) {
		if (!plan_same(a->children[i], b->children[i]))
			return false;
	}
	return true;
}
