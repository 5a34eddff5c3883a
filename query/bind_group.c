/*
 * GROUP BY: its elements as grouping sets, and grouping(), which tells them apart.
 *
 *	a, (b, c)                      one set
 *	GROUPING SETS ((a, b), c, ())  as written
 *	ROLLUP (a, b)                  (a, b), (a), ()
 *	CUBE (a, b)                    (a, b), (a), (b), ()
 *
 * Several elements combine, each set of one with each set of the next; DISTINCT leaves out sets that were
 * there before.
 */
#include "query/bind.h"

#define SETS_MAX 2048
#define GROUPING_ARGS_MAX 62 /* a bit each, in a bigint */

/* Sets of group expressions, by number. */
struct numbers {
	uint32_t *v;
	uint32_t n;
};
struct set_list {
	struct numbers *v;
	uint32_t n;
};

struct grouper {
	struct bind *b;
	int (*add)(void *ctx, const struct ast_expr *x, uint32_t *ret);
	void *ctx;
	uint32_t expr_n; /* numbers given */
};

static int too_many(struct bind *b, struct pos at)
{
	return bind_fail(b, at, "these are more than %d grouping sets; each row counts once in each of them", SETS_MAX);
}

static int add_exprs(struct grouper *g, struct ast_expr *const *v, uint32_t n, struct numbers *ret)
{
	int rc = 0;

	*ret = (struct numbers){arena_array(g->b->arena, uint32_t, n + 1), n};
	if (!ret->v)
		return bind_nomem(g->b);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = g->add(g->ctx, v[i], &ret->v[i]);
		if (rc >= 0)
			g->expr_n = MAX(g->expr_n, ret->v[i] + 1);
	}
	return rc;
}

/* Those parts of an element that `wanted` says, as one set. */
static int join_parts(struct bind *b, const struct numbers *parts, uint32_t n,
		      bool (*wanted)(uint32_t part, uint32_t n, uint32_t set), uint32_t set, struct numbers *ret)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += wanted(i, n, set) ? parts[i].n : 0;
	*ret = (struct numbers){arena_array(b->arena, uint32_t, total + 1), 0};
	if (!ret->v)
		return bind_nomem(b);
	for (uint32_t i = 0; i < n; i++) {
		if (!wanted(i, n, set))
			continue;
		memcpy(ret->v + ret->n, parts[i].v, sizeof(*ret->v) * parts[i].n);
		ret->n += parts[i].n;
	}
	return 0;
}

static bool in_rollup(uint32_t part, uint32_t n, uint32_t set)
{
	return part < n - set;
}

/* The sets' numbers count down in binary, the first part being the highest bit. */
static bool in_cube(uint32_t part, uint32_t n, uint32_t set)
{
	return !(set >> (n - 1 - part) & 1);
}

static bool in_sets(uint32_t part, uint32_t n, uint32_t set)
{
	return part == set;
}

static int element_sets(struct grouper *g, const struct ast_group *x, struct set_list *ret)
{
	struct bind *b = g->b;
	bool (*wanted)(uint32_t, uint32_t, uint32_t) = x->kind == GROUP_ROLLUP ? in_rollup
						       : x->kind == GROUP_CUBE ? in_cube
									       : in_sets;
	uint32_t n = x->kind == GROUP_EXPR ? 1 : x->set_n;
	struct numbers *parts = arena_zarray(b->arena, struct numbers, n + 1);
	int rc = 0;

	if (x->kind == GROUP_CUBE && n >= 31)
		return too_many(b, x->pos);
	ret->n = x->kind == GROUP_ROLLUP ? n + 1 : x->kind == GROUP_CUBE ? UINT32_C(1) << n : n;
	if (ret->n > SETS_MAX)
		return too_many(b, x->pos);
	ret->v = arena_zarray(b->arena, struct numbers, ret->n + 1);
	if (!parts || !ret->v)
		return bind_nomem(b);
	if (x->kind == GROUP_EXPR && x->expr->kind == EX_ROW) /* (a, b); () has none */
		rc = add_exprs(g, x->expr->list.v, x->expr->list.n, &parts[0]);
	else if (x->kind == GROUP_EXPR)
		rc = add_exprs(g, &x->expr, 1, &parts[0]);
	for (uint32_t i = 0; i < x->set_n && rc >= 0; i++)
		rc = add_exprs(g, x->sets[i].v, x->sets[i].n, &parts[i]);
	for (uint32_t i = 0; i < ret->n && rc >= 0; i++)
		rc = join_parts(b, parts, n, wanted, i, &ret->v[i]);
	return rc;
}

/* Each set of l with each of r, in place of l. */
static int combine(struct bind *b, struct pos at, struct set_list *l, const struct set_list *r)
{
	uint64_t n = (uint64_t)l->n * r->n;
	struct set_list to = {.n = (uint32_t)n};

	if (n > SETS_MAX)
		return too_many(b, at);
	to.v = arena_zarray(b->arena, struct numbers, n + 1);
	if (!to.v)
		return bind_nomem(b);
	for (uint32_t i = 0; i < to.n; i++) {
		const struct numbers *x = &l->v[i / r->n], *y = &r->v[i % r->n];
		struct numbers *z = &to.v[i];

		*z = (struct numbers){arena_array(b->arena, uint32_t, x->n + y->n + 1), x->n + y->n};
		if (!z->v)
			return bind_nomem(b);
		memcpy(z->v, x->v, sizeof(*z->v) * x->n);
		memcpy(z->v + x->n, y->v, sizeof(*z->v) * y->n);
	}
	*l = to;
	return 0;
}

/* The sets as rows of flags; distinct: without those that were there before. */
static int flags_of(struct bind *b, const struct set_list *l, uint32_t expr_n, bool distinct, struct group_sets *ret)
{
	*ret = (struct group_sets){arena_zarray(b->arena, bool, (size_t)l->n * expr_n + 1), 0, expr_n};
	if (!ret->has)
		return bind_nomem(b);
	for (uint32_t i = 0; i < l->n; i++) {
		bool *row = ret->has + (size_t)ret->n * expr_n;
		bool is_new = true;

		memset(row, false, expr_n);
		for (uint32_t k = 0; k < l->v[i].n; k++)
			row[l->v[i].v[k]] = true;
		for (uint32_t k = 0; distinct && k < ret->n && is_new; k++)
			is_new = memcmp(row, ret->has + (size_t)k * expr_n, expr_n) != 0;
		ret->n += is_new;
	}
	return 0;
}

int bind_group_sets(struct bind *b, const struct ast_select *s,
		    int (*add)(void *ctx, const struct ast_expr *x, uint32_t *ret), void *ctx,
		    struct group_sets *ret)
{
	struct grouper g = {.b = b, .add = add, .ctx = ctx};
	struct numbers none = {NULL, 0};
	struct set_list all = {&none, 1};
	int rc = 0;

	none.v = arena_array(b->arena, uint32_t, 1);
	if (!none.v)
		return bind_nomem(b);
	for (uint32_t i = 0; i < s->groups.n && rc >= 0; i++) {
		struct set_list own = {0};

		rc = element_sets(&g, &s->groups.v[i], &own);
		if (rc >= 0)
			rc = combine(b, s->groups.v[i].pos, &all, &own);
	}
	return rc < 0 ? rc : flags_of(b, &all, g.expr_n, s->group_distinct, ret);
}

/* ---- grouping() ------------------------------------------------------------------------------------- */

static bool same_grouping(const struct grouping *a, struct bx *const *args, uint32_t argc)
{
	if (a->argc != argc)
		return false;
	for (uint32_t i = 0; i < argc; i++) {
		if (!bx_same(a->args[i], args[i]))
			return false;
	}
	return true;
}

int bind_grouping(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	struct bind *b = c->b;
	const struct ast_call *call = x->call;
	struct bind_ctx inner = *c;
	struct aggs *l = c->aggs;
	struct bx **args;
	bool *literal;
	uint32_t at = 0;
	int rc;

	if (!l || c->in_agg)
		return bind_fail(b, x->pos, "grouping() cannot stand in %s", l ? "an aggregate" : c->clause);
	if (call->distinct || call->filter || call->star)
		return bind_fail(b, x->pos, "grouping() takes expressions of GROUP BY and nothing else");
	if (call->args.n > GROUPING_ARGS_MAX)
		return bind_fail(b, x->pos, "grouping() takes at most %d expressions, a bit for each", GROUPING_ARGS_MAX);
	inner.outputs = NULL; /* a name means the column, as it does in GROUP BY */
	inner.output_n = 0;
	rc = bind_exprs(&inner, &call->args, &args, &literal);
	if (rc < 0)
		return rc;
	while (at < l->grouping_n && !same_grouping(&l->groupings[at], args, call->args.n))
		at++;
	if (at == l->grouping_cap) {
		uint32_t cap = at ? at * 2 : 4;
		struct grouping *v = arena_array(b->arena, struct grouping, cap);

		if (!v)
			return bind_nomem(b);
		if (at)
			memcpy(v, l->groupings, sizeof(*v) * at);
		l->groupings = v;
		l->grouping_cap = cap;
	}
	if (at == l->grouping_n)
		l->groupings[l->grouping_n++] = (struct grouping){args, call->args.n, x->pos};
	*ret = bx_column(b, GROUPING_MARK + at, &type_bigint, x->pos);
	return *ret ? 0 : bind_nomem(b);
}

static int64_t mask_of(const uint32_t *numbers, uint32_t n, const bool *has)
{
	int64_t mask = 0;

	for (uint32_t i = 0; i < n; i++)
		mask = mask << 1 | !has[numbers[i]];
	return mask;
}

/* Masks in an array, by the set's number. */
int bind_grouping_mask(struct bind *b, const struct grouping *g, const struct bx_list *groups,
		       const struct group_sets *sets, uint32_t set_col, struct bx **ret)
{
	const struct type *t = type_array(b->arena, &type_bigint);
	uint32_t *numbers = arena_array(b->arena, uint32_t, g->argc + 1);
	struct bx *args[2] = {NULL, NULL};
	struct vec_builder vb;
	int rc;

	if (!numbers || !t)
		return bind_nomem(b);
	for (uint32_t i = 0; i < g->argc; i++) {
		uint32_t k = 0;

		while (k < sets->expr_n && !bx_same(groups->v[k], g->args[i]))
			k++;
		if (k == sets->expr_n)
			return bind_fail(b, g->args[i]->pos, "an argument of grouping() must be an expression of GROUP BY");
		numbers[i] = k;
	}
	if (sets->n == 1)
		return bind_const_i64(b, &type_bigint, 0, g->pos, ret);
	args[0] = bx_new(b, BX_CONST, t, g->pos, 0);
	args[1] = bx_column(b, set_col, &type_bigint, g->pos);
	if (!args[0] || !args[1])
		return bind_nomem(b);
	rc = vb_init(&vb, t, 1, b->arena, b->e);
	for (uint32_t i = 0; i < sets->n && rc >= 0; i++)
		rc = vb_add_i64(vb_elem(&vb), mask_of(numbers, g->argc, sets->has + (size_t)i * sets->expr_n), b->e);
	if (rc >= 0)
		rc = vb_add_list(&vb, sets->n, b->e);
	if (rc < 0)
		return rc;
	vb_finish(&vb, &args[0]->value);
	args[0]->value.form = VEC_CONST;
	return bind_func(b, g->pos, "[]", args, NULL, 2, ret);
}
