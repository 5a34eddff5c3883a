/*
 * pull: a correlated subquery on its own, where its conditions allow it.
 *
 *	(SELECT max(v) FROM t2 WHERE t2.h = t1.h)
 *
 * asks the same of t2 for each h: it is the aggregates of t2 by h, joined with t1 on h. What is said of
 * the query around it is pulled up through the plan, towards the JOIN that will replace the subquery:
 * equalities become keys (and groups of the aggregates they pass), other conditions stay conditions, and what is
 * computed from columns around it is computed above. Where something cannot pass, the answer is 0, and
 * decorrelate.c evaluates the subquery for all parameters that there are.
 *
 * Nothing is evaluated for rows that no row around asks for, if that could fail: such expressions do not
 * stay below where something was pulled up past them.
 *
 * The plan that came in is not changed: new nodes stand over parts of it that know nothing of outside.
 */
#include "query/pushdown.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

static bool is_column(const struct bx *x, void *ctx)
{
	(void)ctx;
	return x->kind == BX_COLUMN;
}

static bool has_outer(const struct bx *x)
{
	return bx_any(x, bx_is_outer, NULL);
}

static bool has_column(const struct bx *x)
{
	return bx_any(x, is_column, NULL);
}

/* ---- small parts ---------------------------------------------------------------------------------- */

static bool is_restricted(const struct pulled *q)
{
	return q->keys.n || q->rest.n;
}

static int identity(struct bind *b, struct plan *p, struct pulled *q)
{
	*q = (struct pulled){.plan = p};
	q->cols = arena_array(b->arena, struct bx *, p->col_count + 1);
	if (!q->cols)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++) {
		q->cols[i] = bx_column(b, i, p->cols[i].type, (struct pos){0});
		if (!q->cols[i])
			return bind_nomem(b);
	}
	return 1;
}

/* x as a column of q's plan; 0: it is none and cannot be made one. */
static int as_column(struct bind *b, struct pulled *q, struct bx *x, uint32_t *ret)
{
	if (x->kind == BX_COLUMN) {
		*ret = x->index;
		return 1;
	}
	if (has_outer(x) || q->always || (bx_can_fail(x) && is_restricted(q)))
		return 0;
	*ret = q->plan->col_count;
	q->plan = plan_extend(b, q->plan, &x, 1, STR_LIT("value"));
	return q->plan ? 1 : failed(b);
}

/* One conjunct over q's columns: where does it go? `below` collects what the plan itself can check. */
static int sort_conjunct(struct bind *b, struct pulled *q, struct bx *x, struct bx_list *below)
{
	bool fails = bx_can_fail(x);

	if (!has_outer(x)) {
		if (bx_is_volatile(x) || !fails || !is_restricted(q))
			return bx_push(b, below, x);
		return bx_push(b, &q->rest, x);
	}
	if (x->kind == BX_CALL && !strcmp(x->func->name, "=") && x->argc == 2 && !(fails && is_restricted(q)) &&
	    !bx_is_volatile(x)) {
		for (int i = 0; i < 2; i++) {
			struct bx *out = x->args[i], *in = x->args[!i];
			int rc;

			if (!has_outer(out) || has_column(out) || has_outer(in) || !has_column(in))
				continue;
			rc = bx_push(b, &q->outer_keys, out);
			return rc < 0 ? rc : bx_push(b, &q->keys, in);
		}
	}
	return bx_push(b, &q->rest, x);
}

static int filter_below(struct bind *b, struct pulled *q, const struct bx_list *below)
{
	struct bx *where;

	if (!below->n)
		return 1;
	where = below->n == 1 ? below->v[0] : bx_logic(b, BX_AND, below->v, below->n, below->v[0]->pos);
	if (!where)
		return bind_nomem(b);
	q->plan = plan_filter(b, q->plan, where);
	return q->plan ? 1 : failed(b);
}

/* ---- nodes ------------------------------------------------------------------------------------------ */

/* A condition on a row that is always there: may that row pass where nothing matched? 0: yes, or who knows. */
static int fails_over_nulls(struct bind *b, const struct pulled *q, struct bx *where)
{
	struct vbatch one = {.n = 1, .col_count = q->plan->col_count};
	struct vec v;

	if (has_outer(where) || bx_is_volatile(where))
		return 0;
	one.cols = arena_zarray(b->arena, struct vec, one.col_count + 1);
	if (!one.cols)
		return bind_nomem(b);
	for (uint32_t i = 0; i < one.col_count; i++) {
		if (vec_const_null(&one.cols[i], q->plan->cols[i].type, b->arena, NULL) < 0)
			return bind_nomem(b);
	}
	if (bx_eval(b->exec, where, &one, b->arena, &v, NULL) < 0)
		return 0;
	return vec_is_null(&v, 0) || !vec_base(&v)->b8[vec_index(&v, 0)];
}

static int pull_filter(struct bind *b, struct plan *p, struct pulled *q)
{
	struct bx_list own = {0}, below = {0};
	int rc = pull_outer(b, p->children[0], q);

	if (rc <= 0)
		return rc;
	if (q->always) {
		struct bx *where = bx_substitute(b, p->where, q->cols);

		rc = where ? fails_over_nulls(b, q, where) : failed(b);
		if (rc <= 0)
			return rc;
		q->always = false;
	}
	rc = bx_conjuncts(b, p->where, &own);
	for (uint32_t i = 0; i < own.n && rc >= 0; i++) {
		struct bx *x = bx_substitute(b, own.v[i], q->cols);

		rc = x ? sort_conjunct(b, q, x, &below) : failed(b);
	}
	return rc < 0 ? rc : filter_below(b, q, &below);
}

static int pull_project(struct bind *b, struct plan *p, struct pulled *q)
{
	struct bx **cols = arena_array(b->arena, struct bx *, p->col_count + 1);
	struct bx_list made = {0};
	uint32_t n;
	int rc = pull_outer(b, p->children[0], q);

	if (rc <= 0)
		return rc;
	if (!cols)
		return bind_nomem(b);
	n = q->plan->col_count;
	for (uint32_t i = 0; i < p->col_count; i++) {
		struct bx *x = bx_substitute(b, p->exprs[i], q->cols);
		bool vol;

		if (!x)
			return failed(b);
		cols[i] = x;
		vol = bx_is_volatile(x);
		if (vol && (has_outer(x) || q->always))
			return 0;
		if (!vol && (x->kind == BX_COLUMN || x->kind == BX_CONST || has_outer(x) || q->always || bx_can_fail(x)))
			continue;
		cols[i] = bx_column(b, n + made.n, x->type, x->pos);
		rc = cols[i] ? bx_push(b, &made, x) : bind_nomem(b);
		if (rc < 0)
			return rc;
	}
	q->cols = cols;
	if (made.n)
		q->plan = plan_extend(b, q->plan, made.v, made.n, STR_LIT("value"));
	return q->plan ? 1 : failed(b);
}

/* An aggregate's expression over q's plan. 0: it cannot be evaluated there. */
struct below {
	struct bind *b;
	const struct pulled *q;
	int rc;
};

static int below_agg(struct bind *b, const struct pulled *q, struct bx **x)
{
	*x = bx_substitute(b, *x, q->cols);
	if (!*x)
		return failed(b);
	return !has_outer(*x) && !(q->keys.n && bx_can_fail(*x));
}

static int below_one(struct bx **x, void *ctx)
{
	struct below *w = ctx;

	w->rc = below_agg(w->b, w->q, x);
	return w->rc <= 0;
}

static int below_aggs(struct bind *b, const struct pulled *q, struct plan *agg)
{
	struct below w = {b, q, 1};

	for (uint32_t i = 0; i < agg->agg_count && w.rc > 0; i++) {
		if (!agg_copy(b, &agg->aggs[i]))
			return failed(b);
		agg_each_expr(&agg->aggs[i], below_one, &w);
	}
	return w.rc;
}

/* The keys become groups of it. */
static int pull_agg(struct bind *b, struct plan *p, struct pulled *q)
{
	uint32_t groups = p->group_count, keys;
	struct plan *agg;
	int rc = pull_outer(b, p->children[0], q);

	if (rc <= 0 || q->always || q->rest.n || p->set_count)
		return MIN(rc, 0);
	keys = q->keys.n;
	agg = plan_new(b, PLAN_AGG, groups + keys + p->agg_count);
	if (!agg)
		return failed(b);
	agg->children = arena_array(b->arena, struct plan *, 1);
	agg->groups = arena_array(b->arena, struct bx *, groups + keys + 1);
	agg->aggs = arena_array(b->arena, struct plan_agg, p->agg_count + 1);
	if (!agg->children || !agg->groups || !agg->aggs)
		return bind_nomem(b);
	agg->children[0] = q->plan;
	agg->child_count = 1;
	agg->is_global = p->is_global && !keys;
	if (p->agg_count)
		memcpy(agg->aggs, p->aggs, sizeof(*agg->aggs) * p->agg_count);
	agg->agg_count = p->agg_count;
	for (uint32_t i = 0; i < groups && rc > 0; i++) {
		agg->groups[i] = p->groups[i];
		rc = below_agg(b, q, &agg->groups[i]);
	}
	if (rc > 0)
		rc = below_aggs(b, q, agg);
	if (rc <= 0)
		return rc;
	for (uint32_t i = 0; i < keys; i++) {
		agg->groups[groups + i] = q->keys.v[i];
		agg->cols[groups + i] = (struct plan_col){STR_LIT("key"), q->keys.v[i]->type};
	}
	agg->group_count = groups + keys;
	memcpy(agg->cols, p->cols, sizeof(*agg->cols) * groups);
	memcpy(agg->cols + groups + keys, p->cols + groups, sizeof(*agg->cols) * p->agg_count);
	q->plan = agg;
	q->always = p->is_global && keys;
	q->cols = arena_array(b->arena, struct bx *, p->col_count + 1);
	if (!q->cols)
		return bind_nomem(b);
	for (uint32_t i = 0; i < keys; i++) {
		q->keys.v[i] = bx_column(b, groups + i, q->keys.v[i]->type, q->keys.v[i]->pos);
		if (!q->keys.v[i])
			return bind_nomem(b);
	}
	for (uint32_t i = 0; i < p->col_count; i++) {
		q->cols[i] = bx_column(b, i < groups ? i : i + keys, p->cols[i].type, (struct pos){0});
		if (!q->cols[i])
			return bind_nomem(b);
		if (i < groups || !q->always)
			continue;
		rc = agg_or_empty(b, &p->aggs[i - groups], &q->cols[i]);
		if (rc < 0)
			return rc;
	}
	return 1;
}

/* The first rows of each key. Without keys there is only one, and the node stays. */
static int first_of_keys(struct bind *b, const struct plan *p, const struct plan_key *keys, struct pulled *q)
{
	uint32_t *part = arena_array(b->arena, uint32_t, q->keys.n + 1);
	int rc;

	if (!part)
		return bind_nomem(b);
	for (uint32_t i = 0; i < q->keys.n; i++) {
		struct bx *key = q->keys.v[i];

		rc = as_column(b, q, key, &part[i]);
		if (rc <= 0)
			return rc;
		q->keys.v[i] = bx_column(b, part[i], key->type, key->pos);
		if (!q->keys.v[i])
			return bind_nomem(b);
	}
	rc = plan_top(b, q->plan, part, q->keys.n, keys, p, q->keys.v[0]->pos, &q->plan);
	return rc < 0 ? rc : 1;
}

/* The order of all rows is an order of those of each key. */
static int pull_sort(struct bind *b, struct plan *p, struct pulled *q)
{
	struct plan_key *keys;
	struct plan *sort;
	bool cuts;
	int rc = pull_outer(b, p->children[0], q);

	if (rc <= 0)
		return rc;
	if (q->always) /* one row: it is in order, and there unless it is cut off */
		return !p->offset && p->limit;
	cuts = p->limit != UINT64_MAX || p->offset;
	if (cuts && q->rest.n)
		return 0;
	keys = arena_array(b->arena, struct plan_key, p->key_count + 1);
	if (!keys)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->key_count; i++) {
		keys[i] = p->keys[i];
		rc = as_column(b, q, q->cols[p->keys[i].col], &keys[i].col);
		if (rc <= 0)
			return rc;
	}
	if (cuts && q->keys.n)
		return first_of_keys(b, p, keys, q);
	sort = plan_over(b, p->kind, q->plan);
	if (!sort)
		return failed(b);
	sort->limit = p->limit;
	sort->offset = p->offset;
	sort->with_ties = p->with_ties;
	sort->keys = keys;
	sort->key_count = p->key_count;
	q->plan = sort;
	return 1;
}

/* ---- joins ------------------------------------------------------------------------------------------- */

/* x's columns `by` further. */
struct shift {
	struct bx_swap s;
	uint32_t by;
};

static struct bx *shift_one(struct bx_swap *s, struct bx *x)
{
	struct bx *to;

	if (x->kind != BX_COLUMN)
		return NULL;
	to = bx_column(s->b, x->index + ((const struct shift *)s)->by, x->type, x->pos);
	if (!to)
		s->rc = bind_nomem(s->b);
	return to;
}

static struct bx *shift(struct bind *b, struct bx *x, uint32_t by)
{
	struct shift s = {.s = {.fn = shift_one, .b = b}, .by = by};

	return bx_swap(&s.s, x);
}

static int shift_list(struct bind *b, struct bx_list *to, const struct bx_list *from, uint32_t by)
{
	int rc = 0;

	for (uint32_t i = 0; i < from->n && rc >= 0; i++) {
		struct bx *x = shift(b, from->v[i], by);

		rc = x ? bx_push(b, to, x) : failed(b);
	}
	return rc;
}

/* l and r side by side: l becomes both, but for the plan. r's columns are `by` further. */
static int side_by_side(struct bind *b, struct pulled *l, uint32_t l_cols, const struct pulled *r, uint32_t r_cols,
			uint32_t by)
{
	struct bx **cols = arena_array(b->arena, struct bx *, l_cols + r_cols + 1);
	int rc;

	if (!cols)
		return bind_nomem(b);
	memcpy(cols, l->cols, sizeof(*cols) * l_cols);
	for (uint32_t i = 0; i < r_cols; i++) {
		cols[l_cols + i] = shift(b, r->cols[i], by);
		if (!cols[l_cols + i])
			return failed(b);
	}
	l->cols = cols;
	rc = shift_list(b, &l->keys, &r->keys, by);
	if (rc >= 0)
		rc = shift_list(b, &l->rest, &r->rest, by);
	for (uint32_t i = 0; i < r->outer_keys.n && rc >= 0; i++)
		rc = bx_push(b, &l->outer_keys, r->outer_keys.v[i]);
	return rc < 0 ? rc : 1;
}

/* p's keys over the two sides; 0: one of them knows of outside. */
static int join_keys(struct bind *b, const struct plan *p, const struct pulled *l, const struct pulled *r,
		     struct plan *to)
{
	bool restricted = is_restricted(l) || is_restricted(r);

	to->join_keys = arena_array(b->arena, struct plan_join_key, p->join_key_count + 1);
	if (!to->join_keys)
		return bind_nomem(b);
	to->join_key_count = p->join_key_count;
	for (uint32_t i = 0; i < p->join_key_count; i++) {
		struct plan_join_key *k = &to->join_keys[i];

		*k = p->join_keys[i];
		k->left = bx_substitute(b, k->left, l->cols);
		k->right = bx_substitute(b, k->right, r->cols);
		if (!k->left || !k->right)
			return failed(b);
		if (has_outer(k->left) || has_outer(k->right))
			return 0;
		if (restricted && (bx_can_fail(k->left) || bx_can_fail(k->right)))
			return 0;
	}
	return 1;
}

/* The condition's conjuncts: an INNER join's are as good as a filter's above it. */
static int join_where(struct bind *b, const struct plan *p, struct pulled *q, struct bx *const *cols)
{
	struct bx_list own = {0}, here = {0};
	int rc = p->where ? bx_conjuncts(b, p->where, &own) : 0;

	for (uint32_t i = 0; i < own.n && rc >= 0; i++) {
		struct bx *x = bx_substitute(b, own.v[i], cols);

		if (!x)
			return failed(b);
		if (p->join != PJ_INNER && (has_outer(x) || (is_restricted(q) && bx_can_fail(x))))
			return 0;
		rc = p->join == PJ_INNER ? sort_conjunct(b, q, x, &here) : bx_push(b, &here, x);
	}
	if (rc >= 0 && here.n) {
		q->plan->where = here.n == 1 ? here.v[0] : bx_logic(b, BX_AND, here.v, here.n, p->pos);
		if (!q->plan->where)
			return bind_nomem(b);
	}
	return rc < 0 ? rc : 1;
}

static int pull_join(struct bind *b, struct plan *p, struct pulled *q)
{
	uint32_t l_cols = p->children[0]->col_count, r_cols = p->children[1]->col_count, by;
	struct pulled r, both;
	int rc = pull_outer(b, p->children[0], q);

	if (p->join == PJ_RIGHT || p->join == PJ_FULL)
		return 0;
	if (rc > 0 && p->join == PJ_SINGLE && is_restricted(q)) /* it would complain of rows that nobody asks for */
		return 0;
	if (rc > 0)
		rc = pull_outer(b, p->children[1], &r);
	if (rc <= 0 || q->always || r.always || (p->join != PJ_INNER && is_restricted(&r)))
		return MIN(rc, 0);
	for (uint32_t i = 0; p->join != PJ_INNER && i < r_cols; i++) {
		if (r.cols[i]->kind != BX_COLUMN) /* where there is no match it is NULL, whatever it is made of */
			return 0;
	}
	by = q->plan->col_count;
	both = *q;
	rc = side_by_side(b, &both, l_cols, &r, r_cols, by);
	if (rc > 0) {
		both.plan = plan_join(b, p->join, q->plan, r.plan, p->pos);
		rc = both.plan ? join_keys(b, p, q, &r, both.plan) : failed(b);
	}
	if (rc > 0)
		rc = join_where(b, p, &both, both.cols);
	if (rc <= 0)
		return rc;
	if (p->join == PJ_MARK) {
		both.cols[l_cols] = bx_column(b, by, &type_boolean, p->pos);
		if (!both.cols[l_cols])
			return bind_nomem(b);
	}
	*q = both;
	return 1;
}

int pull_outer(struct bind *b, struct plan *p, struct pulled *ret)
{
	if (!plan_has_outer(p))
		return identity(b, p, ret);
	switch (p->kind) {
	case PLAN_FILTER:
		return pull_filter(b, p, ret);
	case PLAN_PROJECT:
		return pull_project(b, p, ret);
	case PLAN_AGG:
		return pull_agg(b, p, ret);
	case PLAN_SORT:
	case PLAN_LIMIT:
		return pull_sort(b, p, ret);
	case PLAN_JOIN:
		return pull_join(b, p, ret);
	default:
		return 0;
	}
}
