/*
 * Calls: scalar functions, and aggregates, which leave a mark (a column numbered from AGG_MARK on) and
 * are collected for the AGG node.
 */
#include "query/bind.h"

#include <ctype.h>
#include <stdio.h>

static int call_unsupported(struct bind *b, const struct ast_expr *x)
{
	const struct ast_call *c = x->call;

	if (c->nulls)
		return bind_fail(b, x->pos, "IGNORE NULLS and RESPECT NULLS belong to window functions");
	return 0;
}

/* The registry's name, which is lower case, for sentences; NUL-terminated. */
static const char *lower_name(struct bind *b, struct str s)
{
	char *to = arena_alloc(b->arena, s.len + 1);

	for (size_t i = 0; to && i < s.len; i++)
		to[i] = (char)tolower((unsigned char)s.ptr[i]);
	if (to)
		to[s.len] = 0;
	return to;
}

bool bind_same_agg(const struct plan_agg *a, const struct plan_agg *b)
{
	if (a->func != b->func || a->argc != b->argc || a->distinct != b->distinct || !a->filter != !b->filter ||
	    a->key_count != b->key_count)
		return false;
	if (a->filter && !bx_same(a->filter, b->filter))
		return false;
	for (uint32_t i = 0; i < a->key_count; i++) {
		if (!bx_same(a->order[i], b->order[i]) || a->keys[i].desc != b->keys[i].desc ||
		    a->keys[i].nulls_first != b->keys[i].nulls_first)
			return false;
	}
	for (uint32_t i = 0; i < a->argc; i++) {
		if (!bx_same(a->args[i], b->args[i]))
			return false;
	}
	return type_equal(a->type, b->type);
}

static int aggs_add(struct bind *b, struct aggs *l, const struct plan_agg *a, uint32_t *ret)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (bind_same_agg(&l->v[i], a)) {
			*ret = i;
			return 0;
		}
	}
	if (l->n == l->cap) {
		void *v = bind_grow(b, l->v, l->n, &l->cap, sizeof(*l->v));

		if (!v)
			return bind_nomem(b);
		l->v = v;
	}
	l->v[l->n] = *a;
	*ret = l->n++;
	return 0;
}

/* With DISTINCT the rows that are left have no value of their own but the arguments'. */
static int order_of_distinct(struct bind *b, const struct bx *key, struct bx *const *args, uint32_t argc)
{
	for (uint32_t i = 0; i < argc; i++) {
		if (bx_same(key, args[i]))
			return 0;
	}
	return bind_fail(b, key->pos, "with DISTINCT, ORDER BY inside an aggregate takes the aggregate's arguments");
}

/* f(x ORDER BY y, ...) and WITHIN GROUP. args: as written, before they are cast. */
static int agg_order(struct bind_ctx *c, const struct ast_call *call, struct bx *const *args, struct plan_agg *a)
{
	const struct order_list *l = &call->order;
	struct bind *b = c->b;
	int rc = 0;

	a->order = arena_array(b->arena, struct bx *, l->n + 1);
	a->keys = arena_zarray(b->arena, struct plan_key, l->n + 1);
	if (!a->order || !a->keys)
		return bind_nomem(b);
	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		const struct ast_order *o = &l->v[i];
		struct bx *x;

		if (o->expr->kind == EX_INT)
			return bind_fail(b, o->pos, "ORDER BY inside an aggregate takes expressions; there are no columns to "
						    "count here");
		rc = bind_expr(c, o->expr, &x);
		if (rc >= 0 && call->distinct)
			rc = order_of_distinct(b, x, args, a->argc);
		if (rc < 0 || x->kind == BX_CONST)
			continue;
		a->keys[a->key_count].desc = o->desc;
		a->keys[a->key_count].nulls_first = o->nulls == 1;
		a->order[a->key_count++] = x;
	}
	return rc;
}

int bind_agg_args(struct bind_ctx *c, const struct ast_call *call, const char *name, struct plan_agg *a)
{
	struct bind *b = c->b;
	const struct type **types, **arg_types;
	const struct vec **consts;
	struct func_match m;
	struct bx **args;
	bool *literal;
	int rc = bind_exprs(c, &call->args, &args, &literal);

	if (rc < 0)
		return rc;
	a->argc = call->args.n;
	types = arena_array(b->arena, const struct type *, a->argc + 1);
	arg_types = arena_array(b->arena, const struct type *, a->argc + 1);
	consts = arena_zarray(b->arena, const struct vec *, a->argc + 1);
	if (!types || !arg_types || !consts)
		return bind_nomem(b);
	rc = agg_order(c, call, args, a);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < a->argc; i++)
		types[i] = args[i]->type;
	rc = func_resolve(b->arena, str_from(name), types, literal, a->argc, &m, b->e);
	if (rc < 0)
		return err_prefix(b->e, rc == -ENOMEM ? rc : -EINVAL, "line %u:%u", a->pos.line, a->pos.col);
	for (uint32_t i = 0; i < a->argc; i++) {
		rc = bind_coerce(b, args[i], m.arg_types[i], literal[i], &args[i]);
		if (rc < 0)
			return rc;
		arg_types[i] = args[i]->type;
		if (args[i]->kind == BX_CONST)
			consts[i] = &args[i]->value;
		else if (i && (m.func->flags & FN_CONST_ARGS))
			return bind_fail(b, args[i]->pos, "argument %u of %s() must be a constant", i + 1, name);
	}
	a->func = m.func;
	a->args = args;
	a->arg_types = arg_types;
	a->const_args = (const struct vec *const *)consts;
	a->type = m.ret;
	return 0;
}

struct sources {
	bool own, outer;
};

static bool find_sources(const struct bx *x, void *ctx)
{
	struct sources *s = ctx;

	s->own = s->own || x->kind == BX_COLUMN;
	s->outer = s->outer || x->kind == BX_OUTER;
	return false;
}

/* sum(t.x) in a subquery, t being of the query around: SQL means an aggregate of that query. */
static int check_own_columns(struct bind *b, const struct plan_agg *a, const char *name)
{
	struct sources s = {false, false};

	for (uint32_t i = 0; i < a->argc; i++)
		bx_any(a->args[i], find_sources, &s);
	if (s.own || !s.outer)
		return 0;
	return bind_fail(b, a->pos, "%s() takes only columns of the query around this subquery; aggregates are of a "
				    "query's own rows", name);
}

static int bind_aggregate(struct bind_ctx *c, const struct ast_expr *x, const char *name, struct bx **ret)
{
	const struct ast_call *call = x->call;
	struct bind_ctx inner = *c;
	struct plan_agg a = {.pos = x->pos, .distinct = call->distinct};
	uint32_t at = 0;
	int rc;

	if (c->in_agg)
		return bind_fail(c->b, x->pos, "the aggregate %s() stands inside another aggregate; take one of them in "
					       "a subquery", name);
	if (!c->aggs)
		return bind_fail(c->b, x->pos, "the aggregate %s() cannot stand in %s%s", name, c->clause,
				 !strcmp(c->clause, "WHERE") ? "; conditions on groups belong to HAVING" : "");
	if (call->star && strcmp(name, "count") != 0)
		return bind_fail(c->b, x->pos, "only count takes '*'");
	inner.in_agg = true;
	if (call->distinct && !call->args.n)
		return bind_fail(c->b, x->pos, "DISTINCT needs an argument");
	rc = bind_agg_args(&inner, call, name, &a);
	if (rc >= 0)
		rc = check_own_columns(c->b, &a, name);
	if (rc >= 0 && call->filter)
		rc = bind_condition(&inner, call->filter, "FILTER (WHERE ...)", &a.filter);
	if (rc >= 0)
		rc = aggs_add(c->b, c->aggs, &a, &at);
	if (rc < 0)
		return rc;
	*ret = bx_column(c->b, AGG_MARK + at, a.type, x->pos);
	return *ret ? 0 : bind_nomem(c->b);
}

/* Names without parentheses that the registry may know under another. */
static const char *plain_name(const char *name)
{
	static const struct {
		const char *from, *to;
	} same[] = {{"current_timestamp", "now"}, {"localtimestamp", "now"}, {"localtime", "current_time"}};

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		if (!strcmp(name, same[i].from) && !func_exists(str_from(name)))
			return same[i].to;
	}
	return name;
}

int bind_call(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_call *call = x->call;
	const char *name = lower_name(c->b, call->name.text);
	struct bx **args;
	bool *literal;
	int rc;

	if (!name)
		return bind_nomem(c->b);
	if (call->over)
		return bind_window(c, x, name, ret);
	rc = call_unsupported(c->b, x);
	if (rc < 0)
		return rc;
	if (str_ieq(call->name.text, STR_LIT("grouping")))
		return bind_grouping(c, x, ret);
	if (func_is_aggregate(call->name.text))
		return bind_aggregate(c, x, name, ret);
	if (func_is_window(call->name.text))
		return bind_fail(c->b, x->pos, "%s() is a window function: it needs OVER (...) behind it", name);
	if (call->star)
		return bind_fail(c->b, x->pos, "only count takes '*'");
	if (func_exists(call->name.text) && (call->distinct || call->filter || call->order.n))
		return bind_fail(c->b, x->pos, "%s() is no aggregate: DISTINCT, FILTER and ORDER BY do not apply to it",
				 name);
	rc = bind_form(c, x, ret);
	if (rc)
		return rc < 0 ? rc : 0;
	if (call->no_parens)
		name = plain_name(name);
	if (has_lambda(&call->args))
		return bind_lambda_call(c, x, name, ret);
	rc = bind_exprs(c, &call->args, &args, &literal);
	return rc < 0 ? rc : bind_func(c->b, x->pos, name, args, literal, call->args.n, ret);
}
