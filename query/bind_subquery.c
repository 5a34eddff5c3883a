/*
 * Subqueries in expressions: (SELECT ...), EXISTS, IN, ANY, ALL.
 *
 * Each becomes a BX_SUBQUERY. What it takes from the query around it are its first arguments; what it is
 * compared with comes behind them. attach.c makes a JOIN of it when a plan is put below the expression.
 */
#include "query/bind.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

static int one_column(struct bind *b, const struct ast_expr *x, const struct plan *p, const char *what)
{
	if (p->col_count == 1)
		return 0;
	return bind_fail(b, x->query->pos, "%s takes a query of one column, but this one has %u", what, p->col_count);
}

/* The node; `with`: what the rows are compared with. */
static int sub_new(struct bind *b, const struct ast_expr *x, enum sub_kind kind, struct plan *p,
		   const struct outer *o, struct bx *const *with, uint32_t with_n, struct bx **ret)
{
	const struct type *t = kind == SUB_SCALAR ? p->cols[0].type : &type_boolean;
	struct bx *k = bx_new(b, BX_SUBQUERY, t, x->pos, o->params.n + with_n);
	struct bx_sub *sub = arena_new(b->arena, struct bx_sub);

	if (!k || !sub)
		return bind_nomem(b);
	sub->kind = kind;
	sub->plan = p;
	sub->param_count = o->params.n;
	k->sub = sub;
	for (uint32_t i = 0; i < k->argc; i++)
		k->args[i] = i < o->params.n ? o->params.v[i] : with[i - o->params.n];
	*ret = k;
	return 0;
}

/* left[i] op column i, coerced: left in place, the plan's columns by a PROJECT. */
static int compare_types(struct bind *b, const struct ast_expr *x, const char *op, struct bx **left,
			 const bool *literal, uint32_t n, struct plan **p)
{
	struct plan *to = plan_project(b, *p, n);
	bool same = true;

	if (!to)
		return failed(b);
	for (uint32_t i = 0; i < n; i++) {
		struct bx *col = bx_column(b, i, (*p)->cols[i].type, x->query->pos), *two[] = {left[i], col}, *cmp;
		const bool lit[] = {literal[i], false};
		int rc;

		if (!col)
			return bind_nomem(b);
		rc = bind_func(b, x->pos, op, two, lit, 2, &cmp);
		if (rc < 0)
			return rc;
		left[i] = cmp->args[0];
		to->exprs[i] = cmp->args[1];
		to->cols[i] = (struct plan_col){(*p)->cols[i].name, cmp->args[1]->type};
		same = same && to->exprs[i] == col;
	}
	if (!same)
		*p = to;
	return 0;
}

/* x op ANY (query): `=` is IN, and `<> ALL` is NOT IN. (a, b) IN (query of two columns) compares both. */
static int bind_compared(struct bind_ctx *c, const struct ast_expr *x, const char *op, bool is_all,
			 const char *what, struct bx **ret)
{
	bool is_in = !strcmp(op, is_all ? "<>" : "=");
	struct outer o = {.scope = c->scope};
	struct ast_expr *const *items = (struct ast_expr *const *)&x->a;
	struct bind *b = c->b;
	struct bx **left;
	bool *literal;
	struct plan *p;
	uint32_t n = 1;
	int rc = bind_query(b, x->query, &o, &p);

	if (rc < 0)
		return rc;
	if (is_in && x->a->kind == EX_ROW && x->a->list.n == p->col_count) {
		items = x->a->list.v;
		n = p->col_count;
	} else if (is_in && x->a->kind == EX_ROW && (p->col_count != 1 || p->cols[0].type->kind != TY_ROW)) {
		rc = bind_fail(b, x->query->pos, "%s compares %u values, but this query has %u column%s", what,
			       x->a->list.n, p->col_count, p->col_count == 1 ? "" : "s");
	} else {
		rc = one_column(b, x, p, what);
	}
	if (rc < 0)
		return rc;
	left = arena_array(b->arena, struct bx *, n);
	literal = arena_array(b->arena, bool, n);
	if (!left || !literal)
		return bind_nomem(b);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		literal[i] = items[i]->kind == EX_STRING;
		rc = bind_expr(c, items[i], &left[i]);
	}
	if (rc >= 0)
		rc = compare_types(b, x, is_in ? "=" : op, left, literal, n, &p);
	if (rc >= 0)
		rc = sub_new(b, x, is_in ? SUB_IN : is_all ? SUB_ALL : SUB_ANY, p, &o, left, n, ret);
	if (rc < 0)
		return rc;
	(*ret)->sub->op = is_in ? NULL : op;
	return is_in && is_all ? bind_func(b, x->pos, "not", ret, NULL, 1, ret) : 0;
}

static int bind_plain(struct bind_ctx *c, const struct ast_expr *x, enum sub_kind kind, struct bx **ret)
{
	struct outer o = {.scope = c->scope};
	struct plan *p;
	int rc = bind_query(c->b, x->query, &o, &p);

	if (rc >= 0 && kind == SUB_SCALAR)
		rc = one_column(c->b, x, p, "a subquery in an expression");
	return rc < 0 ? rc : sub_new(c->b, x, kind, p, &o, NULL, 0, ret);
}

int bind_subquery(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	int rc;

	switch (x->kind) {
	case EX_EXISTS:
		return bind_plain(c, x, SUB_EXISTS, ret);
	case EX_IN_QUERY:
		rc = bind_compared(c, x, "=", false, "IN", ret);
		return rc < 0 || !x->negated ? rc : bind_func(c->b, x->pos, "not", ret, NULL, 1, ret);
	case EX_QUANTIFIED:
		return bind_compared(c, x, x->op, x->is_all, x->is_all ? "ALL" : "ANY", ret);
	default:
		return bind_plain(c, x, SUB_SCALAR, ret);
	}
}
