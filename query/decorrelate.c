/*
 * decorrelate: a subquery evaluated for all its parameters at once (T. Neumann, A. Kemper: Unnesting
 * Arbitrary Queries).
 *
 * D is the set of the parameters that there are: the distinct args of the plan around. The subquery becomes a
 * plan that gives its rows for each d of D, with d beside them; the query around is then joined with it
 * on its args. D meets a part of the plan that knows nothing of outside as a cross product, and from there
 * up every node deals with each d on its own:
 *
 *	FILTER, PROJECT, SORT  as before, with d's columns for what they had from outside
 *	AGG                    d's columns are groups, too; one that has a row for no rows has one for each d
 *	LIMIT, WINDOW          partitioned by d
 *	UNION, UNNEST          each child
 *	JOIN                   on both sides: on equal d; conditions as before
 *
 * The plan around is evaluated twice then, once for D: where equalities suffice (pull.c), it is not.
 *
 * The plan that came in is not changed, but for parts without parameters that stand in the new one.
 */
#include "query/bind.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

/* ---- parameters ----------------------------------------------------------------------------------- */

struct unnest {
	struct bind *b;
	struct plan *d;        /* copied at each use */
	struct bx_list params; /* d's columns, over BX_OUTER */
	uint32_t *at;          /* parameter i is column at[i] of d */
	struct pos pos;
};

/* x over other columns: those below `split` stay, others go `by` further; parameters are d's, at `d_from`. */
struct place {
	struct bx_swap s;
	const struct unnest *u;
	uint32_t split, by, d_from;
};

static struct bx *place_one(struct bx_swap *s, struct bx *x)
{
	const struct place *p = (const struct place *)s;
	struct bx *to;

	if (x->kind == BX_OUTER)
		to = bx_column(s->b, p->d_from + p->u->at[x->index], x->type, x->pos);
	else if (x->kind == BX_COLUMN && x->index >= p->split && p->by)
		to = bx_column(s->b, x->index + p->by, x->type, x->pos);
	else
		return NULL;
	if (!to)
		s->rc = bind_nomem(s->b);
	return to;
}

static int place(const struct unnest *u, struct bx **x, uint32_t split, uint32_t by, uint32_t d_from)
{
	struct place p = {.s = {.fn = place_one, .b = u->b}, .u = u, .split = split, .by = by, .d_from = d_from};

	if (!*x)
		return 0;
	*x = bx_swap(&p.s, *x);
	return *x ? 0 : failed(u->b);
}

/* x over a child whose own columns stay, with d's behind them. */
static int place_behind(const struct unnest *u, struct bx **x, uint32_t n)
{
	return place(u, x, UINT32_MAX, 0, n);
}

struct behind {
	const struct unnest *u;
	uint32_t n;
};

static int place_arg(struct bx **x, void *ctx)
{
	const struct behind *w = ctx;

	return place_behind(w->u, x, w->n);
}

static int depend(const struct unnest *u, struct plan *p, struct plan **ret);

static int cross_d(const struct unnest *u, struct plan *p, struct plan **ret)
{
	struct plan *d = plan_copy(u->b, u->d);

	*ret = d ? plan_join(u->b, PJ_INNER, p, d, u->pos) : NULL;
	return *ret ? 0 : failed(u->b);
}

/* A PROJECT that puts child's columns in order: own[i] for i < n, then d's k from d_from. */
static int reorder(const struct unnest *u, struct plan *child, const struct plan *like, const uint32_t *own,
		   uint32_t d_from, struct plan **ret)
{
	uint32_t n = like->col_count, k = u->d->col_count;
	struct plan *p = plan_project(u->b, child, n + k);

	if (!p)
		return failed(u->b);
	for (uint32_t i = 0; i < n + k; i++) {
		uint32_t at = i < n ? own[i] : d_from + i - n;

		p->exprs[i] = bx_column(u->b, at, child->cols[at].type, u->pos);
		if (!p->exprs[i])
			return bind_nomem(u->b);
		p->cols[i] = i < n ? like->cols[i] : u->d->cols[i - n];
	}
	*ret = p;
	return 0;
}

/* ---- nodes ------------------------------------------------------------------------------------------ */

static int depend_filter(const struct unnest *u, struct plan *p, struct plan **ret)
{
	struct bx *where = p->where;
	struct plan *child;
	int rc = depend(u, p->children[0], &child);

	if (rc >= 0)
		rc = place_behind(u, &where, p->col_count);
	if (rc < 0)
		return rc;
	*ret = plan_filter(u->b, child, where);
	return *ret ? 0 : failed(u->b);
}

static int depend_project(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t n = p->col_count, k = u->d->col_count, below = p->children[0]->col_count;
	struct plan *child, *to;
	int rc = depend(u, p->children[0], &child);

	if (rc < 0)
		return rc;
	to = plan_project(u->b, child, n + k);
	if (!to)
		return failed(u->b);
	for (uint32_t i = 0; i < n + k && rc >= 0; i++) {
		to->cols[i] = i < n ? p->cols[i] : u->d->cols[i - n];
		to->exprs[i] = i < n ? p->exprs[i] : bx_column(u->b, below + i - n, to->cols[i].type, u->pos);
		if (!to->exprs[i])
			return bind_nomem(u->b);
		if (i < n)
			rc = place_behind(u, &to->exprs[i], below);
	}
	*ret = to;
	return rc;
}

/* D with the aggregates of each d: those of no rows where d has none. */
static int for_each_d(const struct unnest *u, const struct plan *p, struct plan *agg, struct plan **ret)
{
	uint32_t k = u->d->col_count, n = p->col_count;
	struct plan *d = plan_copy(u->b, u->d), *join, *to;
	int rc = 0;

	if (!d)
		return failed(u->b);
	join = plan_join(u->b, PJ_LEFT, d, agg, u->pos);
	to = join ? plan_project(u->b, join, n + k) : NULL;
	if (!to)
		return failed(u->b);
	join->join_keys = arena_zarray(u->b->arena, struct plan_join_key, k + 1);
	if (!join->join_keys)
		return bind_nomem(u->b);
	join->join_key_count = k;
	for (uint32_t i = 0; i < k; i++) {
		struct plan_join_key *key = &join->join_keys[i];

		key->left = key->right = bx_column(u->b, i, d->cols[i].type, u->pos);
		key->null_safe = true;
		to->exprs[n + i] = key->left;
		to->cols[n + i] = d->cols[i];
		if (!key->left)
			return bind_nomem(u->b);
	}
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		to->exprs[i] = bx_column(u->b, 2 * k + i, p->cols[i].type, p->aggs[i].pos);
		to->cols[i] = p->cols[i];
		rc = to->exprs[i] ? agg_or_empty(u->b, &p->aggs[i], &to->exprs[i]) : bind_nomem(u->b);
	}
	*ret = to;
	return rc;
}

/* Grouping sets: d's columns are in all of them. A set () would have to give a row for each d. */
static int sets_by_d(const struct unnest *u, const struct plan *p, struct plan *agg)
{
	uint32_t k = u->d->col_count, n = p->group_count - 1;
	bool *sets = arena_array(u->b->arena, bool, (size_t)p->set_count * (n + k) + 1);

	if (!sets)
		return bind_nomem(u->b);
	for (uint32_t i = 0; i < p->set_count; i++) {
		const bool *from = p->sets + (size_t)i * n;
		bool *to = sets + (size_t)i * (n + k);

		if (!memchr(from, true, n))
			return bind_fail(u->b, u->pos, "a subquery that uses columns of the query around it cannot have () "
						       "among its grouping sets");
		memset(to, true, k);
		memcpy(to + k, from, n);
	}
	agg->sets = sets;
	agg->set_count = p->set_count;
	return 0;
}

/* An AGG by d, too. Columns: d's, the groups, the aggregates. */
static int agg_by_d(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t k = u->d->col_count, n = p->col_count, below = p->children[0]->col_count;
	struct bind *b = u->b;
	struct plan *agg = plan_new(b, PLAN_AGG, n + k);
	struct behind w = {u, below};
	int rc;

	if (!agg)
		return failed(b);
	agg->children = arena_array(b->arena, struct plan *, 1);
	agg->groups = arena_array(b->arena, struct bx *, p->group_count + k);
	agg->aggs = arena_array(b->arena, struct plan_agg, p->agg_count + 1);
	if (!agg->children || !agg->groups || !agg->aggs)
		return bind_nomem(b);
	rc = depend(u, p->children[0], &agg->children[0]);
	agg->child_count = 1;
	agg->group_count = p->group_count + k;
	agg->agg_count = p->agg_count;
	memcpy(agg->cols, u->d->cols, sizeof(*agg->cols) * k);
	memcpy(agg->cols + k, p->cols, sizeof(*agg->cols) * n);
	if (p->agg_count)
		memcpy(agg->aggs, p->aggs, sizeof(*agg->aggs) * p->agg_count);
	for (uint32_t i = 0; i < agg->group_count && rc >= 0; i++) {
		agg->groups[i] = i < k ? bx_column(b, below + i, u->d->cols[i].type, u->pos) : p->groups[i - k];
		rc = agg->groups[i] ? place_behind(u, &agg->groups[i], below) : bind_nomem(b);
	}
	for (uint32_t i = 0; i < agg->agg_count && rc >= 0; i++)
		rc = agg_copy(b, &agg->aggs[i]) ? agg_each_expr(&agg->aggs[i], place_arg, &w) : failed(b);
	if (rc >= 0 && p->set_count)
		rc = sets_by_d(u, p, agg);
	*ret = agg;
	return rc;
}

static int depend_agg(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t *own = arena_array(u->b->arena, uint32_t, p->col_count + 1);
	struct plan *agg;
	int rc;

	if (!own)
		return bind_nomem(u->b);
	rc = agg_by_d(u, p, &agg);
	if (rc < 0)
		return rc;
	if (p->is_global)
		return for_each_d(u, p, agg, ret);
	for (uint32_t i = 0; i < p->col_count; i++)
		own[i] = u->d->col_count + i;
	return reorder(u, agg, p, own, 0, ret);
}

static int depend_union(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t n = p->col_count, k = u->d->col_count;
	struct plan *to = plan_new(u->b, PLAN_UNION, n + k);
	int rc = 0;

	if (!to)
		return failed(u->b);
	to->children = arena_array(u->b->arena, struct plan *, p->child_count);
	if (!to->children)
		return bind_nomem(u->b);
	to->child_count = p->child_count;
	memcpy(to->cols, p->cols, sizeof(*to->cols) * n);
	memcpy(to->cols + n, u->d->cols, sizeof(*to->cols) * k);
	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++)
		rc = depend(u, p->children[i], &to->children[i]);
	*ret = to;
	return rc;
}

/* The columns of d in a plan that has n columns in front of them. */
static uint32_t *d_columns(const struct unnest *u, uint32_t n)
{
	uint32_t *cols = arena_array(u->b->arena, uint32_t, u->d->col_count + 1);

	for (uint32_t i = 0; cols && i < u->d->col_count; i++)
		cols[i] = n + i;
	return cols;
}

static int first_of_each(const struct unnest *u, const struct plan *p, struct plan *child, struct plan **ret)
{
	uint32_t *part = d_columns(u, p->col_count);

	if (!part)
		return bind_nomem(u->b);
	return plan_top(u->b, child, part, u->d->col_count, p->keys, p, u->pos, ret);
}

static int depend_sort(const struct unnest *u, struct plan *p, struct plan **ret)
{
	struct plan *child, *to;
	int rc;

	rc = depend(u, p->children[0], &child);
	if (rc < 0)
		return rc;
	if (p->limit != UINT64_MAX || p->offset)
		return first_of_each(u, p, child, ret);
	to = plan_over(u->b, PLAN_SORT, child);
	if (!to)
		return failed(u->b);
	to->keys = p->keys;
	to->key_count = p->key_count;
	*ret = to;
	return 0;
}

static int depend_unnest(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t n = p->col_count, k = u->d->col_count, below = p->children[0]->col_count;
	struct plan *to = plan_new(u->b, PLAN_UNNEST, n + k);
	int rc = 0;

	if (!to)
		return failed(u->b);
	to->children = arena_array(u->b->arena, struct plan *, 1);
	to->lists = arena_array(u->b->arena, struct bx *, p->list_count + 1);
	to->items = arena_zarray(u->b->arena, struct plan_item, n + k);
	if (!to->children || !to->lists || !to->items)
		return bind_nomem(u->b);
	rc = depend(u, p->children[0], &to->children[0]);
	to->child_count = 1;
	to->list_count = p->list_count;
	to->keep_empty = p->keep_empty;
	for (uint32_t i = 0; i < p->list_count && rc >= 0; i++) {
		to->lists[i] = p->lists[i];
		rc = place_behind(u, &to->lists[i], below);
	}
	for (uint32_t i = 0; i < n + k; i++) {
		to->items[i] = i < n ? p->items[i] : (struct plan_item){.kind = ITEM_CHILD, .index = below + i - n};
		to->cols[i] = i < n ? p->cols[i] : u->d->cols[i - n];
	}
	*ret = to;
	return rc;
}

/* d's columns part the rows, too. The node's own SORT, which lies below it, is made anew with them. */
static int depend_window(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t k = u->d->col_count, n = p->children[0]->col_count, *own;
	struct plan *below = p->children[0], *to;
	struct plan_key *keys = arena_zarray(u->b->arena, struct plan_key, k + p->key_count + 1);
	struct plan_window *windows = arena_array(u->b->arena, struct plan_window, p->window_count + 1);
	int rc;

	own = arena_array(u->b->arena, uint32_t, p->col_count + 1);
	if (!keys || !windows || !own)
		return bind_nomem(u->b);
	if (p->key_count && below->kind == PLAN_SORT)
		below = below->children[0];
	rc = depend(u, below, &below);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < k; i++)
		keys[i].col = n + i;
	if (p->key_count)
		memcpy(keys + k, p->keys, sizeof(*keys) * p->key_count);
	memcpy(windows, p->windows, sizeof(*windows) * p->window_count);
	to = plan_window(u->b, below, keys, k + p->key_count, k + p->partition_count, windows, p->window_count);
	if (!to)
		return failed(u->b);
	for (uint32_t i = 0; i < p->col_count; i++)
		own[i] = i < n ? i : i + k;
	return reorder(u, to, p, own, n, ret);
}

/* ---- joins ---------------------------------------------------------------------------------------------- */

static bool keys_have_outer(const struct plan *p, bool right)
{
	for (uint32_t i = 0; i < p->join_key_count; i++) {
		if (bx_any(right ? p->join_keys[i].right : p->join_keys[i].left, bx_is_outer, NULL))
			return true;
	}
	return false;
}

/* Which sides are evaluated for each d? Rows that may come out without a match must be. */
static void sides(const struct plan *p, bool *ret_left, bool *ret_right)
{
	bool where = p->where && bx_any(p->where, bx_is_outer, NULL);

	*ret_left = plan_has_outer(p->children[0]) || keys_have_outer(p, false);
	*ret_right = plan_has_outer(p->children[1]) || keys_have_outer(p, true);
	if (p->join == PJ_RIGHT || p->join == PJ_FULL)
		*ret_right = true;
	if (p->join == PJ_FULL || (p->join != PJ_RIGHT && p->join != PJ_INNER))
		*ret_left = true;
	if (where && !*ret_left && !*ret_right)
		*ret_left = true;
}

/* Equal d, then p's own keys. */
static int depend_keys(const struct unnest *u, const struct plan *p, uint32_t l_n, uint32_t r_n, bool both,
		       struct plan *to)
{
	uint32_t k = both ? u->d->col_count : 0;
	int rc = 0;

	to->join_keys = arena_zarray(u->b->arena, struct plan_join_key, k + p->join_key_count + 1);
	if (!to->join_keys)
		return bind_nomem(u->b);
	to->join_key_count = k + p->join_key_count;
	for (uint32_t i = 0; i < to->join_key_count && rc >= 0; i++) {
		struct plan_join_key *key = &to->join_keys[i];

		if (i < k) {
			key->left = bx_column(u->b, l_n + i, u->d->cols[i].type, u->pos);
			key->right = bx_column(u->b, r_n + i, u->d->cols[i].type, u->pos);
			key->null_safe = true;
			rc = key->left && key->right ? 0 : bind_nomem(u->b);
			continue;
		}
		*key = p->join_keys[i - k];
		rc = place_behind(u, &key->left, l_n);
		if (rc >= 0)
			rc = place_behind(u, &key->right, r_n);
	}
	return rc;
}

/* A FULL join's d: the left's where there is a left row, else the right's. */
static int either_d(const struct unnest *u, uint32_t n, uint32_t l_at, uint32_t r_at, struct plan *to)
{
	for (uint32_t i = 0; i < u->d->col_count; i++) {
		const struct type *t = u->d->cols[i].type;
		struct bx *x = bx_new(u->b, BX_COALESCE, t, u->pos, 2);

		if (!x)
			return bind_nomem(u->b);
		x->args[0] = bx_column(u->b, l_at + i, t, u->pos);
		x->args[1] = bx_column(u->b, r_at + i, t, u->pos);
		if (!x->args[0] || !x->args[1])
			return bind_nomem(u->b);
		to->exprs[n + i] = x;
	}
	return 0;
}

static int depend_join(const struct unnest *u, struct plan *p, struct plan **ret)
{
	uint32_t l_n = p->children[0]->col_count, r_n = p->children[1]->col_count;
	uint32_t own_n = p->col_count, l_all, *own = arena_array(u->b->arena, uint32_t, own_n + 1);
	bool in_left, in_right;
	struct plan *l = p->children[0], *r = p->children[1], *to;
	struct bx *where = p->where;
	int rc = 0;

	if (!own)
		return bind_nomem(u->b);
	sides(p, &in_left, &in_right);
	if (in_left)
		rc = depend(u, l, &l);
	if (in_right && rc >= 0)
		rc = depend(u, r, &r);
	if (rc < 0)
		return rc;
	l_all = l->col_count;
	to = plan_join(u->b, p->join, l, r, p->pos);
	if (!to)
		return failed(u->b);
	rc = depend_keys(u, p, l_n, r_n, in_left && in_right, to);
	if (rc >= 0)
		rc = place(u, &where, l_n, l_all - l_n, in_left ? l_n : l_all + r_n);
	if (rc < 0)
		return rc;
	to->where = where;
	for (uint32_t i = 0; i < own_n; i++)
		own[i] = i < l_n ? i : i + l_all - l_n;
	rc = reorder(u, to, p, own, in_left && p->join != PJ_RIGHT ? l_n : l_all + r_n, ret);
	if (rc >= 0 && p->join == PJ_FULL)
		rc = either_d(u, own_n, l_n, l_all + r_n, *ret);
	return rc;
}

static int depend(const struct unnest *u, struct plan *p, struct plan **ret)
{
	if (!plan_has_outer(p))
		return cross_d(u, p, ret);
	switch (p->kind) {
	case PLAN_FILTER:
		return depend_filter(u, p, ret);
	case PLAN_PROJECT:
		return depend_project(u, p, ret);
	case PLAN_AGG:
		return depend_agg(u, p, ret);
	case PLAN_SORT:
	case PLAN_LIMIT:
		return depend_sort(u, p, ret);
	case PLAN_UNION:
		return depend_union(u, p, ret);
	case PLAN_UNNEST:
		return depend_unnest(u, p, ret);
	case PLAN_WINDOW:
		return depend_window(u, p, ret);
	case PLAN_JOIN:
		return depend_join(u, p, ret);
	case PLAN_RECURSIVE:
		return bind_fail(u->b, u->pos, "WITH RECURSIVE cannot use columns of the query around it");
	case PLAN_SCAN:
	case PLAN_VALUES:
	case PLAN_WORKING:
	case PLAN_DELETE:
	case PLAN_INSERT:
	case PLAN_UNLOAD:
	case PLAN_ANALYZE:
		break;
	}
	return bind_fail(u->b, u->pos, "this subquery cannot use columns of the query around it");
}

/* ---- all of it ---------------------------------------------------------------------------------------------- */

static bool mark_used(const struct bx *x, void *ctx)
{
	bool *used = ctx;

	if (x->kind == BX_OUTER)
		used[x->index] = true;
	return false;
}

/* 1 / x < 0: 0.0 and -0.0 are equal, but not the same. */
static int sign_of(struct bind *b, struct bx *x, struct bx **ret)
{
	struct bx *two[2], *zero = bx_new(b, BX_CONST, &type_double, x->pos, 0), *one;

	one = bx_new(b, BX_CONST, &type_double, x->pos, 0);
	if (!zero || !one || vec_alloc(&zero->value, &type_double, 1, b->arena, NULL) < 0 ||
	    vec_alloc(&one->value, &type_double, 1, b->arena, NULL) < 0)
		return bind_nomem(b);
	zero->value.form = one->value.form = VEC_CONST;
	zero->value.f64[0] = 0;
	one->value.f64[0] = 1;
	two[0] = one;
	two[1] = x;
	int rc = bind_func(b, x->pos, "/", two, NULL, 2, &two[0]);

	two[1] = zero;
	return rc < 0 ? rc : bind_func(b, x->pos, "<", two, NULL, 2, ret);
}

/* The parameters that the plan really uses: columns of D. */
static int used_params(struct unnest *u, const struct plan *p, struct bx *const *args, uint32_t param_count)
{
	bool *used = arena_zarray(u->b->arena, bool, param_count + 1);
	int rc = 0;

	u->at = arena_zarray(u->b->arena, uint32_t, param_count + 1);
	if (!used || !u->at)
		return bind_nomem(u->b);
	plan_any(p, mark_used, used);
	for (uint32_t i = 0; i < param_count && rc >= 0; i++) {
		struct bx *x = bx_new(u->b, BX_OUTER, args[i]->type, u->pos, 0);

		if (!x)
			return bind_nomem(u->b);
		if (!used[i])
			continue;
		x->index = i;
		u->at[i] = u->params.n;
		rc = bx_push(u->b, &u->params, x);
	}
	for (uint32_t i = 0, n = u->params.n; i < n && rc >= 0; i++) {
		struct bx *sign;

		if (u->params.v[i]->type->kind != TY_DOUBLE)
			continue;
		rc = sign_of(u->b, u->params.v[i], &sign);
		if (rc >= 0)
			rc = bx_push(u->b, &u->params, sign);
	}
	return rc;
}

struct reach {
	const struct plan *p;
	bool further; /* than the left side, or the plain columns */
};

static bool see_reach(const struct bx *x, void *ctx)
{
	struct reach *r = ctx;

	if (x->kind == BX_COLUMN && r->p->kind == PLAN_JOIN)
		r->further = r->further || x->index >= r->p->children[0]->col_count;
	else if (x->kind == BX_COLUMN)
		r->further = r->further || r->p->exprs[x->index]->kind != BX_COLUMN;
	return r->further;
}

/* Do its rows have the values of its (left) child's, all of these, and no others? */
static bool repeats_child(const struct plan *p, struct bx *const *args, uint32_t n)
{
	struct reach r = {.p = p};

	if (p->kind != PLAN_PROJECT &&
	    (p->kind != PLAN_JOIN || (p->join != PJ_LEFT && p->join != PJ_SINGLE && p->join != PJ_MARK)))
		return false;
	for (uint32_t i = 0; i < n && !r.further; i++)
		bx_any(args[i], see_reach, &r);
	return !r.further;
}

/*
 * The part of the plan around where the parameters come from. With several LATERALs each would else copy what
 * those in front of it made of the plan, and that doubles.
 */
static int narrow_base(struct bind *b, const struct plan **base, struct bx *const **args, uint32_t n)
{
	struct bx **own;

	while (repeats_child(*base, *args, n)) {
		if ((*base)->kind == PLAN_PROJECT) {
			own = arena_array(b->arena, struct bx *, n + 1);
			for (uint32_t i = 0; own && i < n; i++) {
				own[i] = bx_substitute(b, (*args)[i], (*base)->exprs);
				if (!own[i])
					return failed(b);
			}
			if (!own)
				return bind_nomem(b);
			*args = own;
		}
		*base = (*base)->children[0];
	}
	return 0;
}

static int make_d(struct unnest *u, const struct plan *p, const struct plan *base, struct bx *const *args,
		  uint32_t param_count)
{
	struct plan *copy = plan_copy(u->b, base), *d;
	int rc = copy ? used_params(u, p, args, param_count) : failed(u->b);

	if (rc < 0)
		return rc;
	d = plan_project(u->b, copy, u->params.n);
	if (!d)
		return failed(u->b);
	for (uint32_t i = 0; i < u->params.n; i++) {
		d->exprs[i] = pulled_expr(u->b, u->params.v[i], args, 0);
		d->cols[i] = (struct plan_col){STR_LIT("param"), u->params.v[i]->type};
		if (!d->exprs[i])
			return failed(u->b);
	}
	u->d = plan_distinct(u->b, d);
	return u->d ? 0 : failed(u->b);
}

/* Is it a row of aggregates, and what is computed from them? */
static bool is_aggregates(const struct plan *p)
{
	if (p->kind == PLAN_AGG)
		return p->is_global;
	for (uint32_t i = 0; p->kind == PLAN_PROJECT && i < p->col_count; i++) {
		if (bx_is_volatile(p->exprs[i]))
			return false;
	}
	return p->kind == PLAN_PROJECT && is_aggregates(p->children[0]);
}

/* These: for a d without rows there is none here, and the JOIN's NULLs become the aggregates of nothing. */
static int aggregates_by_d(const struct unnest *u, struct plan *p, struct pulled *ret)
{
	struct bx **cols = arena_array(u->b->arena, struct bx *, p->col_count + 1);
	int rc;

	if (!cols)
		return bind_nomem(u->b);
	rc = p->kind == PLAN_AGG ? agg_by_d(u, p, &ret->plan) : aggregates_by_d(u, p->children[0], ret);
	for (uint32_t i = 0; i < p->col_count && rc >= 0; i++) {
		if (p->kind == PLAN_AGG) {
			cols[i] = bx_column(u->b, u->d->col_count + i, p->cols[i].type, p->aggs[i].pos);
			rc = cols[i] ? agg_or_empty(u->b, &p->aggs[i], &cols[i]) : bind_nomem(u->b);
		} else {
			cols[i] = bx_substitute(u->b, p->exprs[i], ret->cols);
			rc = cols[i] ? 0 : failed(u->b);
		}
	}
	ret->cols = cols;
	ret->always = true;
	return rc;
}

static int rows_by_d(const struct unnest *u, struct plan *p, struct pulled *ret)
{
	int rc = depend(u, p, &ret->plan);

	ret->cols = arena_array(u->b->arena, struct bx *, p->col_count + 1);
	if (!ret->cols)
		return bind_nomem(u->b);
	for (uint32_t i = 0; i < p->col_count && rc >= 0; i++) {
		ret->cols[i] = bx_column(u->b, i, p->cols[i].type, u->pos);
		rc = ret->cols[i] ? 0 : bind_nomem(u->b);
	}
	return rc;
}

/* The plan for each d as what pull_outer() gives: keys are d's columns. */
static int by_d(const struct unnest *u, struct plan *p, struct pulled *ret)
{
	bool in_front = is_aggregates(p);
	int rc;

	*ret = (struct pulled){.null_safe = true, .outer_keys = u->params};
	rc = in_front ? aggregates_by_d(u, p, ret) : rows_by_d(u, p, ret);
	for (uint32_t i = 0; i < u->params.n && rc >= 0; i++) {
		struct bx *key = bx_column(u->b, in_front ? i : p->col_count + i, u->d->cols[i].type, u->pos);

		rc = key ? bx_push(u->b, &ret->keys, key) : bind_nomem(u->b);
	}
	return rc;
}

static bool has_working(const struct plan *p)
{
	bool has = p->kind == PLAN_WORKING;

	for (uint32_t i = 0; i < p->child_count && !has; i++)
		has = has_working(p->children[i]);
	return has;
}

int decorrelate(struct bind *b, struct plan *p, const struct plan *base, struct bx *const *args,
		uint32_t param_count, struct pos at, struct pulled *ret)
{
	struct unnest u = {.b = b, .pos = at};
	int rc = pull_outer(b, p, ret);

	if (rc)
		return MIN(rc, 0);
	rc = narrow_base(b, &base, &args, param_count);
	if (rc < 0)
		return rc;
	if (has_working(base))
		return bind_fail(b, at, "this subquery would need the rows of a round of WITH RECURSIVE a second time; tie it to "
					"them by equalities alone");
	if (plan_is_volatile(base))
		return bind_fail(b, at, "this subquery would need the rows of the query around it a second time, but they "
					"are made with random()");
	rc = make_d(&u, p, base, args, param_count);
	return rc < 0 ? rc : by_d(&u, p, ret);
}

struct pulled_swap {
	struct bx_swap s;
	struct bx *const *args;
	uint32_t from;
};

static struct bx *pulled_one(struct bx_swap *s, struct bx *x)
{
	const struct pulled_swap *p = (const struct pulled_swap *)s;
	struct bx *to;

	if (x->kind == BX_OUTER)
		return p->args[x->index];
	if (x->kind != BX_COLUMN)
		return NULL;
	to = bx_column(s->b, x->index + p->from, x->type, x->pos);
	if (!to)
		s->rc = bind_nomem(s->b);
	return to;
}

struct bx *pulled_expr(struct bind *b, struct bx *x, struct bx *const *args, uint32_t from)
{
	struct pulled_swap p = {.s = {.fn = pulled_one, .b = b}, .args = args, .from = from};

	return bx_swap(&p.s, x);
}
