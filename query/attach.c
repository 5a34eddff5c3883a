/*
 * attach: a subquery in an expression becomes a JOIN below it.
 *
 *	scalar         SINGLE: its column, NULL without a row. What has exactly one row just stands beside
 *	EXISTS         MARK
 *	x IN           MARK; x is its last key, so that NULLs on either side are seen
 *	x op ANY       MARK on x op y, three-valued; but < and its kind ask the largest or smallest (quantified.c)
 *	x op ALL       NOT (NOT (x op y) is true of ANY); not the opposite operator, which NaN knows nothing of
 *
 * All joins of one clause stand on each other, the subqueries' parameters are columns of the base at
 * the bottom. They are worked out for every row of it, also where CASE or AND would not have asked: only what
 * could fail on the left of IN is asked for where it is needed.
 */
#include "query/pushdown.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

static bool is_subquery(const struct bx *x, void *ctx)
{
	(void)ctx;
	return x->kind == BX_SUBQUERY;
}

bool bx_has_subquery(const struct bx *x)
{
	return bx_any(x, is_subquery, NULL);
}

/* ---- what is known of a plan ----------------------------------------------------------------------- */

static bool is_one_row(const struct plan *p)
{
	switch (p->kind) {
	case PLAN_VALUES:
		return p->row_count == 1;
	case PLAN_AGG:
		return p->is_global;
	case PLAN_PROJECT:
		return is_one_row(p->children[0]);
	case PLAN_SORT:
	case PLAN_LIMIT:
		return !p->offset && p->limit && is_one_row(p->children[0]);
	default:
		return false;
	}
}

/* What decides whether there is a row, without what only decides which. 1: there is always one, 0: never. */
static int needed_for_exists(struct plan *p, struct plan **ret)
{
	for (;;) {
		switch (p->kind) {
		case PLAN_SORT:
		case PLAN_LIMIT:
			if (!p->limit)
				return 0;
			if (p->offset)
				goto out;
			break;
		case PLAN_AGG:
			if (p->is_global)
				return 1;
			if (p->set_count) /* the set without groups has a row for no rows */
				goto out;
			break;
		case PLAN_PROJECT:
			break;
		case PLAN_VALUES:
			if (p->row_count)
				return 1;
			goto out;
		default:
			goto out;
		}
		p = p->children[0];
	}
out:
	*ret = p;
	return -1;
}

/* ---- joins --------------------------------------------------------------------------------------------- */

struct joining {
	struct attach *a;
	const struct bx *x; /* the subquery */
	struct bx *const *with;
	uint32_t with_n;
	uint32_t from;      /* the first column of the right side */
	struct pulled q;
	struct plan *join;
};

static struct bx *over_join(struct joining *j, struct bx *x)
{
	return pulled_expr(j->a->b, x, j->x->args, j->from);
}

/* Counts for nothing where it is NULL: a row of the subquery is there or it is not. */
static struct bx *is_true(struct bind *b, struct bx *x)
{
	struct bx *k = bx_new(b, BX_COALESCE, &type_boolean, x->pos, 2);

	if (!k || bind_const_bool(b, false, x->pos, &k->args[1]) < 0)
		return NULL;
	k->args[0] = x;
	return k;
}

/* There is room for one key more. */
int pulled_join(struct bind *b, enum plan_join kind, struct plan *left, const struct pulled *q,
		struct bx *const *args, struct bx *last, struct pos at, struct plan **ret)
{
	uint32_t n = q->keys.n, from = left->col_count;
	struct plan *p = plan_join(b, kind, left, q->plan, at);
	struct bx_list all = {0};
	int rc = 0;

	if (!p)
		return failed(b);
	p->join_keys = arena_zarray(b->arena, struct plan_join_key, n + 1);
	if (!p->join_keys)
		return bind_nomem(b);
	for (uint32_t i = 0; i < n; i++) {
		p->join_keys[i].left = pulled_expr(b, q->outer_keys.v[i], args, from);
		p->join_keys[i].right = q->keys.v[i];
		p->join_keys[i].null_safe = q->null_safe;
		if (!p->join_keys[i].left)
			return failed(b);
	}
	p->join_key_count = n;
	for (uint32_t i = 0; i < q->rest.n && rc >= 0; i++) {
		struct bx *x = pulled_expr(b, q->rest.v[i], args, from);

		if (x && kind == PJ_MARK)
			x = is_true(b, x);
		rc = x ? bx_push(b, &all, x) : failed(b);
	}
	if (last && rc >= 0)
		rc = bx_push(b, &all, last);
	if (all.n && rc >= 0) {
		p->where = all.n == 1 ? all.v[0] : bx_logic(b, BX_AND, all.v, all.n, at);
		if (!p->where)
			rc = bind_nomem(b);
	}
	*ret = p;
	return rc;
}

static int join_new(struct joining *j, enum plan_join kind, struct bx *last)
{
	return pulled_join(j->a->b, kind, j->a->plan, &j->q, j->x->args, last, j->x->pos, &j->join);
}

int pulled_mark(struct bind *b, struct pulled *q, struct pos at)
{
	struct bx *yes;
	int rc = bind_const_bool(b, true, at, &yes);

	if (rc < 0)
		return rc;
	q->plan = plan_extend(b, q->plan, &yes, 1, STR_LIT("there"));
	return q->plan ? 0 : failed(b);
}

int bx_where_there(struct bind *b, uint32_t at, struct bx *x, struct bx **ret)
{
	struct bx *k = bx_new(b, BX_CASE, x->type, x->pos, 3);
	int rc = k ? bind_const_null(b, x->type, x->pos, &k->args[2]) : bind_nomem(b);

	if (rc < 0)
		return rc;
	k->args[0] = bx_column(b, at, &type_boolean, x->pos);
	k->args[1] = x;
	*ret = k;
	return k->args[0] ? 0 : bind_nomem(b);
}

/* The JOIN's last column, which is the mark. */
static int mark_of(struct joining *j, struct bx **ret)
{
	j->a->plan = j->join;
	*ret = bx_column(j->a->b, j->from, &type_boolean, j->x->pos);
	return *ret ? 0 : bind_nomem(j->a->b);
}

static int decorrelated(struct joining *j, struct plan *p)
{
	return decorrelate(j->a->b, p, j->a->base, j->x->args, j->x->sub->param_count, j->x->pos, &j->q);
}

/* ---- EXISTS ---------------------------------------------------------------------------------------------- */

static int attach_exists(struct joining *j, struct plan *p, struct bx **ret)
{
	int known = needed_for_exists(p, &p), rc;

	if (known < 0) {
		rc = decorrelated(j, p);
		if (rc < 0)
			return rc;
		known = j->q.always ? 1 : -1;
	}
	if (known >= 0)
		return bind_const_bool(j->a->b, known, j->x->pos, ret);
	rc = join_new(j, PJ_MARK, NULL);
	return rc < 0 ? rc : mark_of(j, ret);
}

/* ---- values ------------------------------------------------------------------------------------------------ */

/* Is there exactly one row for each? Then it just stands beside, and its columns are as good as any. */
static int attach_row(struct joining *j, bool *ret_is_one)
{
	bool alone = !j->q.keys.n && !j->q.rest.n && is_one_row(j->q.plan);
	int rc;

	*ret_is_one = j->q.always || alone;
	if (!*ret_is_one)
		return 0;
	rc = join_new(j, j->q.always ? PJ_LEFT : PJ_INNER, NULL);
	if (rc >= 0)
		j->a->plan = j->join;
	return rc;
}

static int attach_scalar(struct joining *j, struct plan *p, struct bx **ret)
{
	struct bind *b = j->a->b;
	bool is_one, is_plain;
	struct bx *value;
	int rc = decorrelated(j, p);

	if (rc >= 0)
		rc = attach_row(j, &is_one);
	if (rc < 0)
		return rc;
	is_plain = j->q.cols[0]->kind == BX_COLUMN;
	if (!is_one && !is_plain) {
		rc = pulled_mark(b, &j->q, j->x->pos);
		if (rc < 0)
			return rc;
	}
	if (!is_one) {
		rc = join_new(j, PJ_SINGLE, NULL);
		if (rc < 0)
			return rc;
		j->a->plan = j->join;
	}
	value = over_join(j, j->q.cols[0]);
	if (!value)
		return failed(b);
	*ret = value;
	if (is_one || is_plain)
		return 0;
	return bx_where_there(b, j->from + j->q.plan->col_count - 1, value, ret);
}

/* ---- comparisons ------------------------------------------------------------------------------------------- */

/* with op columns, all of them; over the JOIN. */
static int compare(struct joining *j, const char *op, struct bx **ret)
{
	struct bind *b = j->a->b;
	struct bx_list all = {0};
	int rc = 0;

	for (uint32_t i = 0; i < j->with_n && rc >= 0; i++) {
		struct bx *two[] = {j->with[i], over_join(j, j->q.cols[i])}, *cmp;

		rc = two[1] ? bind_func(b, j->x->pos, op, two, NULL, 2, &cmp) : failed(b);
		if (rc >= 0)
			rc = bx_push(b, &all, cmp);
	}
	if (rc < 0)
		return rc;
	*ret = all.n == 1 ? all.v[0] : bx_logic(b, BX_AND, all.v, all.n, j->x->pos);
	return *ret ? 0 : bind_nomem(b);
}

static bool is_outer_free(const struct bx *x)
{
	return !bx_any(x, bx_is_outer, NULL);
}

static bool fails_late(const struct bx *x, bool lazy)
{
	return lazy && bx_can_fail(x) && !bx_is_volatile(x);
}

/* x, but `asked` is evaluated first: CASE WHEN asked IS NULL THEN x ELSE x END. */
static int after(struct bind *b, struct bx *asked, struct bx *x, struct bx **ret)
{
	struct bx *k = bx_new(b, BX_CASE, x->type, x->pos, 3);
	int rc = k ? bind_func(b, x->pos, "is null", &asked, NULL, 1, &k->args[0]) : bind_nomem(b);

	if (rc < 0)
		return rc;
	k->args[1] = k->args[2] = x;
	*ret = k;
	return 0;
}

static bool are_outer_free(struct bx *const *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!is_outer_free(x[i]))
			return false;
	}
	return true;
}

/* What IN compares: the value, or a row of several. */
static struct bx *one_value(const struct joining *j, struct bx *const *x)
{
	struct arena *a = j->a->b->arena;
	struct type_field *fields = arena_zarray(a, struct type_field, j->with_n);
	const struct type *t = NULL;
	struct bx *row;

	if (j->with_n == 1)
		return x[0];
	for (uint32_t i = 0; fields && i < j->with_n; i++)
		fields[i].type = j->with[i]->type; /* both sides are of one type */
	t = fields ? type_row(a, fields, j->with_n) : NULL;
	row = t ? bx_new(j->a->b, BX_ROW, t, j->x->pos, j->with_n) : NULL;
	if (row)
		memcpy(row->args, x, sizeof(*x) * j->with_n);
	return row;
}

/* Values that are compared for equality: a key, so that nobody looks at all pairs. */
static int attach_in_key(struct joining *j, bool lazy, struct bx **ret)
{
	struct bind *b = j->a->b;
	struct plan_join_key *key;
	struct bx *value = one_value(j, j->with), *left = value, *right = one_value(j, j->q.cols);
	int rc = join_new(j, PJ_MARK, NULL);

	if (rc < 0)
		return rc;
	if (!value || !right)
		return bind_nomem(b);
	if (fails_late(value, lazy)) {
		left = bx_new(b, BX_TRY, value->type, value->pos, 1);
		if (!left)
			return bind_nomem(b);
		left->args[0] = value;
	}
	key = &j->join->join_keys[j->join->join_key_count++];
	*key = (struct plan_join_key){.left = left, .right = right, .is_in = true};
	rc = mark_of(j, ret);
	return rc < 0 || !fails_late(value, lazy) ? rc : after(b, value, *ret, ret);
}

/* <, <=, >, >= by the largest or smallest value. 0: it takes all of them. */
static int attach_extreme(struct joining *j, struct plan *p, struct bx **ret)
{
	const struct bx_sub *sub = j->x->sub;
	bool is_all = sub->kind == SUB_ALL, is_one;
	struct bind *b = j->a->b;
	struct bx *cols[4];
	struct plan *row;
	int rc = 0;

	if (sub->op && !is_one_row(p) && !bx_is_volatile(j->with[0]))
		rc = quantified_plan(b, p, sub->op, is_all, j->x->pos, &row);
	if (rc > 0)
		rc = pull_outer(b, row, &j->q);
	if (rc <= 0)
		return rc;
	rc = attach_row(j, &is_one);
	for (uint32_t i = 0; i < 4 && rc >= 0; i++) {
		cols[i] = over_join(j, j->q.cols[i]);
		rc = cols[i] ? 0 : failed(b);
	}
	if (rc >= 0)
		rc = quantified_value(b, j->with[0], sub->op, is_all, cols, j->x->pos, ret);
	return rc < 0 ? rc : 1;
}

static int attach_compared(struct joining *j, struct plan *p, bool lazy, struct bx **ret)
{
	const struct bx_sub *sub = j->x->sub;
	const char *op = sub->kind == SUB_IN ? "=" : sub->op;
	struct bind *b = j->a->b;
	struct bx *cmp;
	bool is_one;
	int rc = attach_extreme(j, p, ret);

	if (rc)
		return MIN(rc, 0);
	rc = decorrelated(j, p);
	if (rc >= 0)
		rc = attach_row(j, &is_one);
	if (rc < 0)
		return rc;
	if (is_one)
		return compare(j, op, ret);
	if (sub->kind == SUB_IN && are_outer_free(j->q.cols, j->with_n))
		return attach_in_key(j, lazy, ret);
	rc = compare(j, op, &cmp);
	if (rc >= 0 && sub->kind == SUB_ALL)
		rc = bind_func(b, j->x->pos, "not", &cmp, NULL, 1, &cmp);
	if (rc >= 0)
		rc = join_new(j, PJ_MARK, cmp);
	if (rc >= 0)
		rc = mark_of(j, ret);
	if (rc >= 0 && sub->kind == SUB_ALL)
		rc = bind_func(b, j->x->pos, "not", ret, NULL, 1, ret);
	return rc;
}

/* ---- searching ----------------------------------------------------------------------------------------------- */

struct swap {
	struct bx_swap s;
	struct attach *a;
	bool lazy; /* it stands where it may not be evaluated */
};

static int attach_one(struct attach *a, const struct bx *x, bool lazy, struct bx **ret)
{
	struct bx_sub *sub = x->sub;
	struct joining j = {
		.a = a, .x = x, .with = x->args + sub->param_count, .with_n = x->argc - sub->param_count,
		.from = a->plan->col_count,
	};
	struct plan *p = sub->plan;

	if (sub->is_attached) { /* elsewhere: ORDER BY has the select list's expressions */
		p = plan_copy(a->b, p);
		if (!p)
			return failed(a->b);
	}
	sub->is_attached = true;
	switch (sub->kind) {
	case SUB_SCALAR:
		return attach_scalar(&j, p, ret);
	case SUB_EXISTS:
		return attach_exists(&j, p, ret);
	default:
		return attach_compared(&j, p, lazy, ret);
	}
}

static int remember(struct attach *a, const struct bx_sub *sub, struct bx *x, struct bx *to)
{
	if (a->n == a->cap) {
		uint32_t cap = a->cap ? a->cap * 2 : 8;
		struct attached *v = arena_array(a->b->arena, struct attached, cap);

		if (!v)
			return bind_nomem(a->b);
		if (a->n)
			memcpy(v, a->done, sizeof(*v) * a->n);
		a->done = v;
		a->cap = cap;
	}
	a->done[a->n++] = (struct attached){sub, x, to};
	return 0;
}

static struct bx *swap_args(struct swap *s, struct bx *x, bool lazy);

static struct bx *swap_subquery(struct swap *s, struct bx *x)
{
	struct attach *a = s->a;
	struct bx *to = NULL;
	int rc;

	for (uint32_t i = 0; i < a->n; i++) {
		if (a->done[i].sub == x->sub && bx_same(a->done[i].x, x))
			return a->done[i].to;
	}
	/* What it is compared with may hold subqueries itself. */
	struct bx *inner = swap_args(s, x, s->lazy);

	if (!inner)
		return NULL;
	rc = attach_one(a, inner, s->lazy, &to);
	if (rc >= 0)
		rc = remember(a, x->sub, x, to);
	if (rc < 0) {
		s->s.rc = rc;
		return NULL;
	}
	return to;
}

static struct bx *swap_one(struct bx_swap *sw, struct bx *x)
{
	struct swap *s = (struct swap *)sw;

	switch (x->kind) {
	case BX_SUBQUERY:
		return swap_subquery(s, x);
	case BX_AND:
	case BX_OR:
	case BX_CASE:
	case BX_COALESCE:
	case BX_TRY:
		return swap_args(s, x, true);
	default:
		return NULL;
	}
}

/* x with its arguments swapped. */
static struct bx *swap_args(struct swap *s, struct bx *x, bool lazy)
{
	struct bx *to = bx_new(s->s.b, x->kind, x->type, x->pos, 0);
	bool was = s->lazy;

	if (!bx_has_subquery(x))
		return x;
	if (to) {
		*to = *x;
		to->args = arena_array(s->s.b->arena, struct bx *, x->argc + 1);
	}
	if (!to || !to->args) {
		s->s.rc = bind_nomem(s->s.b);
		return NULL;
	}
	s->lazy = lazy;
	for (uint32_t i = 0; i < x->argc; i++) {
		to->args[i] = bx_swap(&s->s, x->args[i]);
		if (!to->args[i])
			return NULL;
	}
	s->lazy = was;
	return to;
}

static int attach_where(struct attach *a, struct bx **x, bool lazy)
{
	struct swap s = {.s = {.fn = swap_one, .b = a->b}, .a = a, .lazy = lazy};
	struct bx *to;

	if (!*x || !bx_has_subquery(*x))
		return 0;
	to = bx_swap(&s.s, *x);
	if (!to)
		return s.s.rc < 0 ? s.s.rc : failed(a->b);
	*x = to;
	return 0;
}

int attach_expr(struct attach *a, struct bx **x)
{
	return attach_where(a, x, false);
}

int attach_order(struct bind *b, struct bx *where, struct bx_list *early, struct bx_list *late)
{
	struct bx_list all = {0};
	int rc = bx_conjuncts(b, where, &all);

	for (uint32_t i = 0; i < all.n && rc >= 0; i++) {
		struct bx *x = all.v[i];
		bool is_early = !bx_has_subquery(x) && (!late->n || !(bx_can_fail(x) || bx_is_volatile(x)));

		rc = bx_push(b, is_early ? early : late, x);
	}
	return rc;
}

/*
 * What can be decided before a subquery is decided before: the conjuncts in front of the first one, and those
 * behind it that cannot fail. So fewer rows are joined, and what is guarded by a condition stays so.
 */
int attach_filter(struct bind *b, struct plan *p, struct bx *where, struct plan **ret)
{
	struct bx_list before = {0}, after = {0};
	uint32_t n = p->col_count;
	struct attach a = {.b = b};
	struct bx *x;
	int rc = attach_order(b, where, &before, &after);

	if (rc >= 0 && before.n) {
		x = before.n == 1 ? before.v[0] : bx_logic(b, BX_AND, before.v, before.n, where->pos);
		p = x ? plan_filter(b, p, x) : NULL;
		if (!p)
			return failed(b);
	}
	a.base = a.plan = p;
	for (uint32_t i = 0; i < after.n && rc >= 0; i++)
		rc = attach_where(&a, &after.v[i], i > 0);
	if (rc >= 0 && after.n) {
		x = after.n == 1 ? after.v[0] : bx_logic(b, BX_AND, after.v, after.n, where->pos);
		a.plan = x ? plan_filter(b, a.plan, x) : NULL;
		if (!a.plan)
			return failed(b);
	}
	if (rc < 0)
		return rc;
	*ret = plan_head(b, a.plan, n);
	return *ret ? 0 : failed(b);
}
