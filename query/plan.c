/*
 * plan: building and comparing plans and bound expressions.
 *
 * Bound expressions are shared freely (ORDER BY points to the select list's), so nothing here changes
 * one: a rewrite copies the path to what it replaces and shares the rest.
 */
#include "query/bind.h"

#include <stdio.h>

struct bx *bx_new(struct bind *b, enum bx_kind kind, const struct type *t, struct pos at, uint32_t argc)
{
	struct bx *x = arena_new(b->arena, struct bx);

	if (!x)
		return NULL;
	x->kind = kind;
	x->type = t;
	x->pos = at;
	x->argc = argc;
	if (argc) {
		x->args = arena_zarray(b->arena, struct bx *, argc);
		if (!x->args)
			return NULL;
	}
	return x;
}

struct bx *bx_column(struct bind *b, uint32_t index, const struct type *t, struct pos at)
{
	struct bx *x = bx_new(b, BX_COLUMN, t, at, 0);

	if (x)
		x->index = index;
	return x;
}

/* ---- constants -------------------------------------------------------------------------------- */

bool bx_is_null(const struct bx *x)
{
	return x->kind == BX_CONST && vec_is_null(&x->value, 0);
}

static bool is_bool_const(const struct bx *x, bool v)
{
	return x->kind == BX_CONST && x->type->kind == TY_BOOLEAN && !bx_is_null(x) && x->value.b8[0] == v;
}

bool bx_is_true(const struct bx *x)
{
	return is_bool_const(x, true);
}

bool bx_is_false(const struct bx *x)
{
	return is_bool_const(x, false);
}

int64_t bx_i64(const struct bx *x)
{
	return x->value.i64[0];
}

/* AND, OR without what decides nothing; one argument stands for itself. */
struct bx *bx_logic(struct bind *b, enum bx_kind kind, struct bx **args, uint32_t n, struct pos at)
{
	bool is_and = kind == BX_AND;
	struct bx *x = bx_new(b, kind, &type_boolean, at, n);
	uint32_t k = 0;

	if (!x)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (is_and ? bx_is_false(args[i]) : bx_is_true(args[i]))
			return args[i];
		if (is_and ? bx_is_true(args[i]) : bx_is_false(args[i]))
			continue;
		x->args[k++] = args[i];
	}
	x->argc = k;
	if (k == 0)
		return args[0];
	return k == 1 ? x->args[0] : bx_fold(b, x);
}

static bool is_lambda(const struct bx *x, void *ctx)
{
	(void)ctx;
	return x->kind == BX_LAMBDA;
}

/*
 * A lambda that may be worked out while binding: it looks at nothing else, and it is no loop of loops, which can be
 * the work of a lifetime.
 */
static bool is_foldable_lambda(const struct bx *x)
{
	return x->kind == BX_LAMBDA && x->is_closed && !bx_any(x->args[0], is_lambda, NULL);
}

/* May this node be worked out now, given constant arguments? */
static bool is_foldable(const struct bx *x)
{
	if (x->kind == BX_CONST || x->kind == BX_COLUMN || x->kind == BX_PARAM || x->kind == BX_LAMBDA ||
	    x->kind == BX_OUTER || x->kind == BX_SUBQUERY)
		return false;
	if (x->kind == BX_CALL && (x->func->flags & FN_VOLATILE))
		return false;
	for (uint32_t i = 0; i < x->argc; i++) {
		const struct bx *arg = x->args[i];

		if (arg->kind != BX_CONST && !is_foldable_lambda(arg))
			return false;
	}
	return true;
}

/*
 * An error while folding is nobody's error yet: 1/0 may stand in a branch that is never taken. The
 * expression is left as it is and says so when it is evaluated.
 */
struct bx *bx_fold(struct bind *b, struct bx *x)
{
	const struct vbatch one = {.n = 1};
	struct arena_mark mark;
	struct bx *k;

	if (!is_foldable(x))
		return x;
	k = bx_new(b, BX_CONST, x->type, x->pos, 0);
	if (!k)
		return NULL;
	mark = arena_mark(b->arena);
	if (bx_eval(b->exec, x, &one, b->arena, &k->value, NULL) < 0 ||
	    vec_flatten(&k->value, 1, b->arena, &k->value, NULL) < 0) {
		arena_rewind(b->arena, mark);
		return x;
	}
	k->value.form = VEC_CONST;
	return k;
}

/* ---- comparison ---------------------------------------------------------------------------------- */

bool bx_any(const struct bx *x, bool (*fn)(const struct bx *x, void *ctx), void *ctx)
{
	if (fn(x, ctx))
		return true;
	for (uint32_t i = 0; i < x->argc; i++) {
		if (bx_any(x->args[i], fn, ctx))
			return true;
	}
	return false;
}

static bool is_volatile(const struct bx *x, void *ctx)
{
	return x->kind == BX_CALL && (x->func->flags & FN_VOLATILE);
}

bool bx_is_volatile(const struct bx *x)
{
	return bx_any(x, is_volatile, NULL);
}

/* Two subqueries: the same question over plans of the same shape. */
static bool sub_same(const struct bx_sub *a, const struct bx_sub *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->kind != b->kind || a->param_count != b->param_count || !a->op != !b->op)
		return false;
	return (!a->op || !strcmp(a->op, b->op)) && !plan_is_volatile(a->plan) && plan_same(a->plan, b->plan);
}

/* The same value for every row? Two calls of random() are not, one is. */
bool bx_same(const struct bx *a, const struct bx *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind || a->argc != b->argc || a->index != b->index || a->func != b->func ||
	    a->depth != b->depth || a->is_try != b->is_try || a->param_count != b->param_count || !sub_same(a->sub, b->sub) ||
	    !type_equal(a->type, b->type) || is_volatile(a, NULL))
		return false;
	if (a->type->kind == TY_VARCHAR && a->type->length != b->type->length)
		return false;
	if (a->kind == BX_CONST) {
		bool null = bx_is_null(a);

		return null || bx_is_null(b) ? null && bx_is_null(b) : vec_same(&a->value, 0, &b->value, 0);
	}
	for (uint32_t i = 0; i < a->argc; i++) {
		if (!bx_same(a->args[i], b->args[i]))
			return false;
	}
	return true;
}

/* ---- rewriting -------------------------------------------------------------------------------------- */

struct bx *bx_swap(struct bx_swap *s, struct bx *x)
{
	struct bx *to = s->fn(s, x), **args = NULL;

	if (to || s->rc < 0)
		return to;
	for (uint32_t i = 0; i < x->argc; i++) {
		struct bx *arg = bx_swap(s, x->args[i]);

		if (!arg)
			return NULL;
		if (arg == x->args[i])
			continue;
		if (!args) {
			args = arena_array(s->b->arena, struct bx *, x->argc);
			if (args)
				memcpy(args, x->args, sizeof(*args) * x->argc);
		}
		if (!args) {
			s->rc = bind_nomem(s->b);
			return NULL;
		}
		args[i] = arg;
	}
	if (!args)
		return x;
	to = bx_new(s->b, x->kind, x->type, x->pos, 0);
	if (!to) {
		s->rc = bind_nomem(s->b);
		return NULL;
	}
	*to = *x;
	to->args = args;
	return to;
}

struct by_column {
	struct bx_swap s;
	struct bx *const *exprs;
	const uint32_t *map;
};

static struct bx *swap_column(struct bx_swap *s, struct bx *x)
{
	const struct by_column *c = (const struct by_column *)s;
	struct bx *to;

	if (x->kind != BX_COLUMN)
		return NULL;
	if (c->exprs)
		return c->exprs[x->index];
	if (c->map[x->index] == x->index)
		return x;
	to = bx_column(s->b, c->map[x->index], x->type, x->pos);
	if (!to)
		s->rc = bind_nomem(s->b);
	return to;
}

struct bx *bx_substitute(struct bind *b, struct bx *x, struct bx *const *exprs)
{
	struct by_column c = {.s = {.fn = swap_column, .b = b}, .exprs = exprs};

	return bx_swap(&c.s, x);
}

struct bx *bx_remap(struct bind *b, struct bx *x, const uint32_t *map)
{
	struct by_column c = {.s = {.fn = swap_column, .b = b}, .map = map};

	return bx_swap(&c.s, x);
}

void *bind_grow(struct bind *b, const void *v, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? *cap * 2 : 8;
	void *to = arena_alloc(b->arena, more * size);

	if (to && n)
		memcpy(to, v, n * size);
	if (to)
		*cap = more;
	return to;
}

int bx_push(struct bind *b, struct bx_list *l, struct bx *x)
{
	if (l->n == l->cap) {
		void *v = bind_grow(b, l->v, l->n, &l->cap, sizeof(*l->v));

		if (!v)
			return bind_nomem(b);
		l->v = v;
	}
	l->v[l->n++] = x;
	return 0;
}

int bx_conjuncts(struct bind *b, struct bx *x, struct bx_list *l)
{
	int rc = 0;

	if (x->kind != BX_AND)
		return bx_is_true(x) ? 0 : bx_push(b, l, x);
	for (uint32_t i = 0; i < x->argc && rc >= 0; i++)
		rc = bx_conjuncts(b, x->args[i], l);
	return rc;
}

/* ---- plans -------------------------------------------------------------------------------------------- */

struct plan *plan_new(struct bind *b, enum plan_kind kind, uint32_t col_count)
{
	struct plan *p;

	if (++b->nodes > BIND_NODES_MAX) {
		err_set(b->e, -E2BIG, "the statement's plan has more than %d nodes; WITH queries count at each use",
			BIND_NODES_MAX);
		return NULL;
	}
	p = arena_new(b->arena, struct plan);
	if (p)
		p->cols = arena_zarray(b->arena, struct plan_col, col_count + 1);
	if (!p || !p->cols) {
		bind_nomem(b);
		return NULL;
	}
	p->kind = kind;
	p->col_count = col_count;
	p->limit = UINT64_MAX;
	p->t_lo = INT64_MIN;
	p->t_hi = INT64_MAX;
	return p;
}

static bool set_child(struct bind *b, struct plan *p, struct plan *child)
{
	p->children = arena_array(b->arena, struct plan *, 1);
	if (!p->children) {
		bind_nomem(b);
		return false;
	}
	p->children[0] = child;
	p->child_count = 1;
	return true;
}

struct plan *plan_over(struct bind *b, enum plan_kind kind, struct plan *child)
{
	struct plan *p = plan_new(b, kind, child->col_count);

	if (!p || !set_child(b, p, child))
		return NULL;
	memcpy(p->cols, child->cols, sizeof(*p->cols) * child->col_count);
	return p;
}

struct plan *plan_filter(struct bind *b, struct plan *child, struct bx *where)
{
	struct plan *p;

	if (bx_is_true(where))
		return child;
	p = plan_over(b, PLAN_FILTER, child);
	if (p)
		p->where = where;
	return p;
}

struct plan *plan_project(struct bind *b, struct plan *child, uint32_t col_count)
{
	struct plan *p = plan_new(b, PLAN_PROJECT, col_count);

	if (!p || !set_child(b, p, child))
		return NULL;
	p->exprs = arena_zarray(b->arena, struct bx *, col_count + 1);
	if (!p->exprs) {
		bind_nomem(b);
		return NULL;
	}
	return p;
}

struct plan *plan_head(struct bind *b, struct plan *child, uint32_t n)
{
	struct plan *p;

	if (child->col_count == n)
		return child;
	p = plan_project(b, child, n);
	for (uint32_t i = 0; p && i < n; i++) {
		p->cols[i] = child->cols[i];
		p->exprs[i] = bx_column(b, i, child->cols[i].type, (struct pos){0});
		if (!p->exprs[i]) {
			bind_nomem(b);
			return NULL;
		}
	}
	return p;
}

struct plan *plan_extend(struct bind *b, struct plan *child, struct bx *const *more, uint32_t n, struct str name)
{
	struct plan *p = plan_project(b, child, child->col_count + n);

	for (uint32_t i = 0; p && i < p->col_count; i++) {
		bool own = i < child->col_count;

		p->exprs[i] = own ? bx_column(b, i, child->cols[i].type, (struct pos){0}) : more[i - child->col_count];
		if (!p->exprs[i]) {
			bind_nomem(b);
			return NULL;
		}
		p->cols[i] = own ? child->cols[i] : (struct plan_col){name, p->exprs[i]->type};
	}
	return p;
}

struct plan *plan_distinct(struct bind *b, struct plan *child)
{
	struct plan *p = plan_over(b, PLAN_AGG, child);

	if (!p)
		return NULL;
	p->group_count = child->col_count;
	p->groups = arena_array(b->arena, struct bx *, child->col_count + 1);
	for (uint32_t i = 0; p->groups && i < child->col_count; i++) {
		p->groups[i] = bx_column(b, i, child->cols[i].type, (struct pos){0});
		if (!p->groups[i])
			p->groups = NULL;
	}
	if (!p->groups) {
		bind_nomem(b);
		return NULL;
	}
	return p;
}
