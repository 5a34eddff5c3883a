/*
 * Lambdas: x -> x.value > 40, as arguments of calls.
 *
 * The types of a lambda's parameters come from the call's other arguments, so such a call is resolved
 * twice: first with nothing known of its lambdas, which gives the parameters' types; then, their bodies
 * bound, with the types of the bodies. A body may use its parameters, those of the lambdas around it, and
 * the columns of the row; what makes rows of rows (aggregates, window functions, queries) may not stand in it.
 */
#include "query/bind.h"

/* ---- names ------------------------------------------------------------------------------------------ */

int bind_param(struct bind_ctx *c, const struct ident_list *n, struct bx **ret)
{
	const struct ident_list rest = {.v = n->v + 1, .n = n->n - 1};
	uint32_t depth = 0;

	for (const struct lambda_scope *s = c->lambda; s; s = s->outer, depth++) {
		int best = 0, found = -1, rc;
		struct bx *x;

		for (uint32_t i = 0; i < s->names->n; i++) {
			int fit = name_fits(&n->v[0], s->names->v[i].text);

			if (fit > best) {
				best = fit;
				found = (int)i;
			}
		}
		if (found < 0)
			continue;
		x = bx_new(c->b, BX_PARAM, s->types[found].type, n->v[0].pos, 0);
		if (!x)
			return bind_nomem(c->b);
		x->index = (uint32_t)found;
		x->depth = depth;
		x->name = s->names->v[found].text;
		rc = bind_fields(c->b, x, &rest, ret);
		return rc < 0 ? rc : 1;
	}
	return 0;
}

int bind_in_lambda(struct bind_ctx *c, const struct ast_expr *x)
{
	switch (x->kind) {
	case EX_IN_QUERY:
	case EX_EXISTS:
	case EX_SUBQUERY:
	case EX_QUANTIFIED:
		return bind_fail(c->b, x->pos, "a query cannot stand in a lambda; take its value from a subquery in FROM");
	case EX_CALL:
		if (x->call->over)
			return bind_fail(c->b, x->pos, "the window function %.*s() cannot stand in a lambda; take it from a "
						       "subquery in FROM", STR_FMT(x->call->name.text));
		if (func_is_aggregate(x->call->name.text))
			return bind_fail(c->b, x->pos, "the aggregate %.*s() cannot stand in a lambda, which sees one element "
						       "at a time; reduce() folds elements",
					 STR_FMT(x->call->name.text));
		return 0;
	default:
		return 0;
	}
}

/* ---- bodies ----------------------------------------------------------------------------------------- */

/* Does x, inside `level` lambdas, give the same for the same parameters of these, whatever the row? */
static bool is_closed(const struct bx *x, uint32_t level)
{
	/* A column of the query around a subquery becomes a column when the subquery becomes a join. */
	if (x->kind == BX_COLUMN || x->kind == BX_OUTER || (x->kind == BX_PARAM && x->depth >= level))
		return false;
	if (x->kind == BX_CALL && (x->func->flags & FN_VOLATILE))
		return false;
	for (uint32_t i = 0; i < x->argc; i++) {
		if (!is_closed(x->args[i], level + (x->kind == BX_LAMBDA)))
			return false;
	}
	return true;
}

/* Is the body what the function wants it to be? Makes it so where a conversion is implied. */
static int fit_body(struct bind_ctx *c, const struct ast_expr *x, const char *name, const struct type *want,
		    struct bx **body)
{
	bool literal = x->a->kind == EX_STRING, exact = want->length == LAMBDA_EXACT;
	const struct type *of = (*body)->type, *to = want->elem;
	struct bind *b = c->b;

	if (exact && to->kind == TY_UNKNOWN && of->kind != TY_UNKNOWN)
		return bind_fail(b, x->a->pos, "the state of %s() has no type to begin with, but the lambda gives %s: write "
					       "CAST(NULL AS %s)", name, type_name(b->arena, of), type_name(b->arena, of));
	if (to->kind == TY_UNKNOWN)
		return 0; /* any type will do */
	if (exact && !type_equal(of, to) && of->kind != TY_UNKNOWN)
		return bind_fail(b, x->a->pos, "the state of %s() is of type %s, but the lambda gives %s: both must be of one "
					       "type; cast the initial state or the lambda's value",
				 name, type_name(b->arena, to), type_name(b->arena, of));
	if (type_coercion(of, to, literal) < 0)
		return bind_fail(b, x->a->pos, "the lambda of %s() must give %s, but this is of type %s", name,
				 type_name(b->arena, to), type_name(b->arena, of));
	return bind_coerce(b, *body, to, literal, body);
}

static int check_params(struct bind *b, const struct ast_expr *x, const char *name, const struct type *want)
{
	if (x->names.n != want->field_count)
		return bind_fail(b, x->pos, "the lambda has %u parameter%s, but %s() gives it %u", x->names.n,
				 x->names.n == 1 ? "" : "s", name, want->field_count);
	for (uint32_t i = 0; i < x->names.n; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (str_ieq(x->names.v[i].text, x->names.v[k].text))
				return bind_fail(b, x->names.v[i].pos, "two parameters of the lambda are named '%.*s'",
						 STR_FMT(x->names.v[i].text));
		}
	}
	return 0;
}

/* want: the lambda type of the function's parameter. */
static int bind_lambda(struct bind_ctx *c, const struct ast_expr *x, const char *name, const struct type *want,
		       struct bx **ret)
{
	const struct lambda_scope scope = {c->lambda, &x->names, want->fields};
	struct type_field *params = arena_zarray(c->b->arena, struct type_field, x->names.n + 1);
	struct type *t = arena_new(c->b->arena, struct type);
	struct bx *l = bx_new(c->b, BX_LAMBDA, t, x->pos, 1);
	struct bind_ctx inner = *c;
	int rc;

	if (!t || !l || !params)
		return bind_nomem(c->b);
	rc = check_params(c->b, x, name, want);
	inner.lambda = &scope;
	if (rc >= 0)
		rc = bind_expr(&inner, x->a, &l->args[0]);
	if (rc >= 0)
		rc = fit_body(c, x, name, want, &l->args[0]);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < x->names.n; i++)
		params[i] = (struct type_field){x->names.v[i].text, want->fields[i].type};
	*t = *want;
	t->fields = params;
	t->elem = l->args[0]->type;
	l->param_count = x->names.n;
	l->is_closed = is_closed(l->args[0], 1);
	*ret = l;
	return 0;
}

/* ---- calls ------------------------------------------------------------------------------------------ */

bool has_lambda(const struct expr_list *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i]->kind == EX_LAMBDA)
			return true;
	}
	return false;
}

int bind_lambda_call(struct bind_ctx *c, const struct ast_expr *x, const char *name, struct bx **ret)
{
	static const struct type any_lambda = {.kind = TY_LAMBDA, .length = -1};
	const struct expr_list *l = &x->call->args;
	struct bx **args = arena_zarray(c->b->arena, struct bx *, l->n);
	const struct type **types = arena_zarray(c->b->arena, const struct type *, l->n);
	bool *literal = arena_zarray(c->b->arena, bool, l->n);
	struct func_match m;
	int rc = 0;

	if (!args || !types || !literal)
		return bind_nomem(c->b);
	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		types[i] = &any_lambda;
		if (l->v[i]->kind == EX_LAMBDA)
			continue;
		literal[i] = l->v[i]->kind == EX_STRING;
		rc = bind_expr(c, l->v[i], &args[i]);
		if (rc >= 0)
			types[i] = args[i]->type;
	}
	if (rc < 0)
		return rc;
	rc = func_resolve(c->b->arena, str_from(name), types, literal, l->n, &m, c->b->e);
	if (rc < 0)
		return err_prefix(c->b->e, rc == -ENOMEM ? rc : -EINVAL, "line %u:%u", x->pos.line, x->pos.col);
	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		if (l->v[i]->kind == EX_LAMBDA)
			rc = bind_lambda(c, l->v[i], name, m.arg_types[i], &args[i]);
	}
	return rc < 0 ? rc : bind_func(c->b, x->pos, name, args, literal, l->n, ret);
}
