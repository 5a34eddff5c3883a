/*
 * Joins whose right side depends on the left: LATERAL, and ON with subqueries in it.
 *
 * ON with subqueries: an INNER join's condition is a filter above it. A LEFT join's becomes one of its right
 * side, which has the left's columns as parameters then, as if LATERAL had been written.
 */
#include "query/bind.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

/* The right's columns over the new JOIN, behind the left's own: what ON and the query above know. */
static struct bx **join_columns(struct bind *b, const struct plan *join, const struct pulled *q, struct bx *const *args)
{
	uint32_t n = join->children[0]->col_count, m = join->children[1]->col_count;
	struct bx **x = arena_array(b->arena, struct bx *, n + m + 1);

	for (uint32_t i = 0; x && i < n + m; i++) {
		x[i] = i < n ? bx_column(b, i, join->cols[i].type, join->pos) : pulled_expr(b, q->cols[i - n], args, n);
		if (!x[i])
			return NULL;
	}
	return x;
}

/* Are all of them NULL where there is no match? */
static bool are_columns(const struct pulled *q, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (q->cols[i]->kind != BX_COLUMN)
			return false;
	}
	return true;
}

/* A PROJECT of the join's columns as x says. */
static int columns_of(struct bind *b, const struct plan *join, struct plan *over, struct bx *const *x,
		      struct plan **ret)
{
	struct plan *p = plan_project(b, over, join->col_count);

	if (!p)
		return failed(b);
	memcpy(p->exprs, x, sizeof(*p->exprs) * join->col_count);
	memcpy(p->cols, join->cols, sizeof(*p->cols) * join->col_count);
	*ret = p;
	return 0;
}

/* For each left row exactly one right row: ON filters these, or makes its columns NULL. */
static int join_always(struct bind *b, struct plan *join, const struct pulled *q, struct bx *const *args,
		       struct bx **x, struct bx *on, struct plan **ret)
{
	uint32_t n = join->children[0]->col_count;
	struct plan *p;
	int rc = pulled_join(b, PJ_LEFT, join->children[0], q, args, NULL, join->pos, &p);

	if (rc >= 0 && on && join->join == PJ_INNER) {
		p = plan_filter(b, p, on);
		if (!p)
			return failed(b);
	} else if (rc >= 0 && on) {
		uint32_t at = p->col_count;

		p = plan_extend(b, p, &on, 1, STR_LIT("on"));
		if (!p)
			return failed(b);
		for (uint32_t i = n; i < join->col_count && rc >= 0; i++)
			rc = bx_where_there(b, at, x[i], &x[i]);
	}
	return rc < 0 ? rc : columns_of(b, join, p, x, ret);
}

int lateral_join(struct bind *b, struct plan *join, struct bx *const *args, uint32_t arg_n, struct plan **ret)
{
	struct plan *left = join->children[0], *p;
	uint32_t n = left->col_count;
	struct bx *on = join->where, **x;
	struct pulled q;
	int rc = decorrelate(b, join->children[1], left, args, arg_n, join->pos, &q);

	if (rc < 0)
		return rc;
	x = join_columns(b, join, &q, args);
	if (x && on)
		on = bx_substitute(b, on, x);
	if (!x || (join->where && !on))
		return failed(b);
	if (q.always)
		return join_always(b, join, &q, args, x, on, ret);
	if (join->join == PJ_LEFT && !are_columns(&q, join->col_count - n)) {
		rc = pulled_mark(b, &q, join->pos);
		for (uint32_t i = n; i < join->col_count && rc >= 0; i++)
			rc = bx_where_there(b, n + q.plan->col_count - 1, x[i], &x[i]);
	}
	if (rc >= 0)
		rc = pulled_join(b, join->join, left, &q, args, on, join->pos, &p);
	return rc < 0 ? rc : columns_of(b, join, p, x, ret);
}

/* ---- ON ------------------------------------------------------------------------------------------------ */

/* A condition over left and right becomes one of the right: the left's columns are parameters. */
struct by_param {
	struct bx_swap s;
	uint32_t left_n;
	struct bx_list *params;
};

static struct bx *swap_left(struct bx_swap *s, struct bx *x)
{
	const struct by_param *p = (const struct by_param *)s;
	uint32_t k = 0;
	struct bx *to;

	if (x->kind != BX_COLUMN)
		return NULL;
	if (x->index >= p->left_n) {
		to = bx_column(s->b, x->index - p->left_n, x->type, x->pos);
	} else {
		while (k < p->params->n && !bx_same(p->params->v[k], x))
			k++;
		if (k == p->params->n)
			s->rc = bx_push(s->b, p->params, x);
		to = bx_new(s->b, BX_OUTER, x->type, x->pos, 0);
		if (to)
			to->index = k;
	}
	if (!to)
		s->rc = bind_nomem(s->b);
	return s->rc < 0 ? NULL : to;
}

/* Parameters of the query around stay what they are, under their numbers. */
static int own_params(struct bind *b, const struct outer *outer, struct bx_list *l)
{
	int rc = 0;

	for (uint32_t i = 0; outer && i < outer->params.n && rc >= 0; i++) {
		struct bx *x = bx_new(b, BX_OUTER, outer->params.v[i]->type, outer->params.v[i]->pos, 0);

		if (!x)
			return bind_nomem(b);
		x->index = i;
		rc = bx_push(b, l, x);
	}
	return rc;
}

static int on_right(struct bind *b, struct plan *join, const struct outer *outer, struct plan **ret)
{
	struct bx_list params = {0};
	struct by_param s = {.s = {.fn = swap_left, .b = b}, .left_n = join->children[0]->col_count, .params = &params};
	struct bx *where;
	int rc = own_params(b, outer, &params);

	if (rc < 0)
		return rc;
	where = bx_swap(&s.s, join->where);
	if (!where)
		return s.s.rc < 0 ? s.s.rc : failed(b);
	rc = attach_filter(b, join->children[1], where, &join->children[1]);
	join->where = NULL;
	return rc < 0 ? rc : lateral_join(b, join, params.v, params.n, ret);
}

/* RIGHT is LEFT the other way round. */
static int mirrored(struct bind *b, struct plan *join, const struct outer *outer, struct plan **ret)
{
	uint32_t n = join->children[0]->col_count, m = join->children[1]->col_count;
	struct plan *turned = plan_join(b, PJ_LEFT, join->children[1], join->children[0], join->pos), *p;
	uint32_t *map = arena_array(b->arena, uint32_t, n + m + 1);
	struct bx **x = arena_array(b->arena, struct bx *, n + m + 1);
	int rc;

	if (!turned || !map || !x)
		return failed(b);
	for (uint32_t i = 0; i < n + m; i++) {
		map[i] = i < n ? m + i : i - n;
		x[i] = bx_column(b, map[i], join->cols[i].type, join->pos);
		if (!x[i])
			return bind_nomem(b);
	}
	turned->where = bx_remap(b, join->where, map);
	if (!turned->where)
		return failed(b);
	rc = on_right(b, turned, outer, &p);
	return rc < 0 ? rc : columns_of(b, join, p, x, ret);
}

int attach_on(struct bind *b, struct plan *join, const struct outer *outer, struct plan **ret)
{
	struct bx *where = join->where;

	switch (join->join) {
	case PJ_INNER:
		join->where = NULL;
		return attach_filter(b, join, where, ret);
	case PJ_LEFT:
		return on_right(b, join, outer, ret);
	case PJ_RIGHT:
		return mirrored(b, join, outer, ret);
	default:
		return bind_fail(b, where->pos, "ON of a FULL JOIN cannot hold a subquery");
	}
}
