/*
 * Expressions. Operators are functions of the registry; forms that decide what is evaluated (AND,
 * CASE, COALESCE, IF, TRY) have nodes of their own. What is constant is folded on the way up.
 */
#include "query/bind.h"

#include <stdio.h>

/* ---- constants -------------------------------------------------------------------------------- */

static struct bx *const_new(struct bind *b, const struct type *t, struct pos at)
{
	struct bx *x = bx_new(b, BX_CONST, t, at, 0);

	if (!x || vec_alloc(&x->value, t, 1, b->arena, NULL) < 0)
		return NULL;
	x->value.form = VEC_CONST;
	return x;
}

int bind_const_i64(struct bind *b, const struct type *t, int64_t v, struct pos at, struct bx **ret)
{
	struct bx *x = const_new(b, t, at);

	if (!x)
		return bind_nomem(b);
	x->value.i64[0] = v;
	*ret = x;
	return 0;
}

int bind_const_bool(struct bind *b, bool v, struct pos at, struct bx **ret)
{
	struct bx *x = const_new(b, &type_boolean, at);

	if (!x)
		return bind_nomem(b);
	x->value.b8[0] = v;
	*ret = x;
	return 0;
}

int bind_const_str(struct bind *b, struct str v, struct pos at, struct bx **ret)
{
	struct bx *x = const_new(b, &type_varchar, at);

	if (!x)
		return bind_nomem(b);
	x->value.str[0] = v.ptr ? v : STR_LIT("");
	*ret = x;
	return 0;
}

int bind_const_null(struct bind *b, const struct type *t, struct pos at, struct bx **ret)
{
	struct bx *x = bx_new(b, BX_CONST, t, at, 0);

	if (!x || vec_const_null(&x->value, t, b->arena, NULL) < 0)
		return bind_nomem(b);
	*ret = x;
	return 0;
}

static int const_double(struct bind *b, double v, struct pos at, struct bx **ret)
{
	struct bx *x = const_new(b, &type_double, at);

	if (!x)
		return bind_nomem(b);
	x->value.f64[0] = v;
	*ret = x;
	return 0;
}

/* ---- types -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const struct type *type;
} type_names[] = {
	{"boolean", &type_boolean}, {"integer", &type_integer}, {"int", &type_integer},
	{"bigint", &type_bigint}, {"double", &type_double}, {"varchar", &type_varchar},
	{"date", &type_date}, {"time", &type_time}, {"timestamp", &type_timestamp},
	{"interval day to second", &type_interval_ds}, {"interval year to month", &type_interval_ym},
};

static int row_type(struct bind *b, const struct ast_type *t, const struct type **ret)
{
	struct type_field *fields = arena_zarray(b->arena, struct type_field, t->arg_n + 1);
	int rc = 0;

	if (!fields)
		return bind_nomem(b);
	for (uint32_t i = 0; i < t->arg_n && rc >= 0; i++) {
		fields[i].name = t->arg_names[i].text;
		rc = bind_type(b, t->args[i], &fields[i].type);
	}
	if (rc < 0)
		return rc;
	*ret = type_row(b->arena, fields, t->arg_n);
	return *ret ? 0 : bind_nomem(b);
}

static int no_type(struct bind *b, const struct ast_type *t)
{
	struct str names[ARRAY_LEN(type_names)];
	int near;

	if (str_ieq(t->name, STR_LIT("decimal")) || str_ieq(t->name, STR_LIT("numeric")) ||
	    str_ieq(t->name, STR_LIT("real")) || str_ieq(t->name, STR_LIT("float")))
		return bind_fail(b, t->pos, "type '%.*s' does not exist; numbers with a fraction are double",
				 STR_FMT(t->name));
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
		names[i] = str_from(type_names[i].name);
	near = str_nearest(t->name, names, ARRAY_LEN(type_names));
	if (near >= 0)
		return bind_fail(b, t->pos, "type '%.*s' does not exist (did you mean %s?)", STR_FMT(t->name),
				 names[near].ptr);
	return bind_fail(b, t->pos, "type '%.*s' does not exist; there are boolean, integer, bigint, double, "
				    "varchar, date, time, timestamp, interval ..., array(...), row(...)",
			 STR_FMT(t->name));
}

int bind_type(struct bind *b, const struct ast_type *t, const struct type **ret)
{
	const struct type *elem;
	int rc;

	if (str_ieq(t->name, STR_LIT("array")) && t->arg_n == 1) {
		rc = bind_type(b, t->args[0], &elem);
		if (rc < 0)
			return rc;
		*ret = type_array(b->arena, elem);
		return *ret ? 0 : bind_nomem(b);
	}
	if (str_ieq(t->name, STR_LIT("row")) && t->arg_n)
		return row_type(b, t, ret);
	if (t->arg_n)
		return no_type(b, t);
	if (t->has_length && !t->has_scale && str_ieq(t->name, STR_LIT("varchar"))) {
		if (t->length < 1 || t->length > INT32_MAX)
			return bind_fail(b, t->pos, "the length of varchar(n) is at least 1");
		*ret = type_varchar_n(b->arena, (int32_t)t->length);
		return *ret ? 0 : bind_nomem(b);
	}
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (!str_ieq(t->name, str_from(type_names[i].name)))
			continue;
		if (t->has_scale)
			return bind_fail(b, t->pos, "%s takes no two numbers", type_names[i].name);
		if (t->has_length && type_names[i].type->kind != TY_TIMESTAMP &&
		    type_names[i].type->kind != TY_TIME)
			return bind_fail(b, t->pos, "%s takes no length", type_names[i].name);
		*ret = type_names[i].type;
		return 0;
	}
	return no_type(b, t);
}

/* ---- casts -------------------------------------------------------------------------------------- */

static int cast_to(struct bind *b, struct bx *x, const struct type *to, bool is_try, struct bx **ret)
{
	struct bx *c = bx_new(b, BX_CAST, to, x->pos, 1);

	if (!c)
		return bind_nomem(b);
	c->args[0] = x;
	c->is_try = is_try;
	*ret = bx_fold(b, c);
	return *ret ? 0 : bind_nomem(b);
}

/* A text that stands for a value of `to` must be one, wherever it stands. */
static int check_literal(struct bind *b, const struct bx *cast)
{
	const struct vbatch one = {.n = 1};
	struct vec v;
	int rc;

	if (cast->kind == BX_CONST)
		return 0;
	rc = bx_eval(b->exec, cast, &one, b->arena, &v, b->e);
	return rc < 0 ? rc : 0;
}

int bind_coerce(struct bind *b, struct bx *x, const struct type *to, bool literal, struct bx **ret)
{
	int rc;

	if (type_equal(x->type, to) && (to->kind != TY_ROW || x->type == to)) {
		*ret = x;
		return 0;
	}
	if (bx_is_null(x) && x->type->kind == TY_UNKNOWN)
		return bind_const_null(b, to, x->pos, ret);
	rc = cast_to(b, x, to, false, ret);
	return rc < 0 || !literal ? rc : check_literal(b, *ret);
}

static bool is_weak(const struct bx *x, bool literal)
{
	return literal || x->type->kind == TY_UNKNOWN;
}

/* Literals and NULLs have a say only where nothing else has one. x[0], x[step], ... count. */
int bind_common(struct bind *b, struct pos at, const char *what, struct bx **x, const bool *literal,
		uint32_t n, uint32_t step, const struct type **ret)
{
	const struct type *t = NULL, *c;

	for (uint32_t i = 0; i < n; i += step) {
		if (is_weak(x[i], literal[i]))
			continue;
		c = t ? type_common(b->arena, t, x[i]->type) : x[i]->type;
		if (!c)
			return bind_fail(b, x[i]->pos, "%s: %s and %s have no common type; cast one of them", what,
					 type_name(b->arena, t), type_name(b->arena, x[i]->type));
		t = c;
	}
	for (uint32_t i = 0; i < n; i += step) {
		if (!is_weak(x[i], literal[i]) || (t && type_coercion(x[i]->type, t, literal[i]) >= 0))
			continue;
		c = t ? type_common(b->arena, t, x[i]->type) : x[i]->type;
		if (!c)
			return bind_fail(b, x[i]->pos, "%s: %s and %s have no common type; cast one of them", what,
					 type_name(b->arena, t), type_name(b->arena, x[i]->type));
		t = c;
	}
	for (uint32_t i = 0; i < n; i += step) {
		int rc = bind_coerce(b, x[i], t, literal[i], &x[i]);

		if (rc < 0)
			return rc;
	}
	*ret = t;
	return 0;
}

/* ---- functions ------------------------------------------------------------------------------------ */

int bind_func(struct bind *b, struct pos at, const char *name, struct bx **args, const bool *literal,
	      uint32_t n, struct bx **ret)
{
	const struct type **types = arena_array(b->arena, const struct type *, n + 1);
	struct func_match m;
	struct bx *x;
	int rc;

	if (!types)
		return bind_nomem(b);
	for (uint32_t i = 0; i < n; i++)
		types[i] = args[i]->type;
	rc = func_resolve(b->arena, str_from(name), types, literal, n, &m, b->e);
	if (rc < 0)
		return err_prefix(b->e, rc == -ENOMEM ? rc : -EINVAL, "line %u:%u", at.line, at.col);
	x = bx_new(b, BX_CALL, m.ret, at, n);
	if (!x)
		return bind_nomem(b);
	x->func = m.func;
	for (uint32_t i = 0; i < n; i++) {
		rc = bind_coerce(b, args[i], m.arg_types[i], literal && literal[i], &x->args[i]);
		if (rc < 0)
			return rc;
		if ((m.func->flags & FN_CONST_ARGS) && i && x->args[i]->kind != BX_CONST)
			return bind_fail(b, x->args[i]->pos, "argument %u of %s() must be a constant", i + 1, name);
	}
	if (m.func->flags & (FN_NOW | FN_VOLATILE))
		b->is_volatile = true;
	*ret = bx_fold(b, x);
	return *ret ? 0 : bind_nomem(b);
}

int bind_exprs(struct bind_ctx *c, const struct expr_list *l, struct bx ***ret, bool **ret_literal)
{
	struct bx **v = arena_zarray(c->b->arena, struct bx *, l->n + 1);
	bool *literal = arena_zarray(c->b->arena, bool, l->n + 1);
	int rc = 0;

	if (!v || !literal)
		return bind_nomem(c->b);
	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		literal[i] = l->v[i]->kind == EX_STRING;
		rc = bind_expr(c, l->v[i], &v[i]);
	}
	*ret = v;
	*ret_literal = literal;
	return rc;
}

/* Up to three operands under an operator of the registry. */
static int bind_op(struct bind_ctx *c, struct pos at, const char *name, const struct ast_expr *const *x,
		   uint32_t n, struct bx **ret)
{
	struct bx *args[3];
	bool literal[3];
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		literal[i] = x[i]->kind == EX_STRING;
		rc = bind_expr(c, x[i], &args[i]);
	}
	return rc < 0 ? rc : bind_func(c->b, at, name, args, literal, n, ret);
}

static int negate(struct bind *b, bool negated, struct pos at, struct bx *x, struct bx **ret)
{
	if (negated)
		return bind_func(b, at, "not", &x, NULL, 1, ret);
	*ret = x;
	return 0;
}

int bind_condition(struct bind_ctx *c, const struct ast_expr *x, const char *what, struct bx **ret)
{
	int rc = bind_expr(c, x, ret);

	if (rc < 0)
		return rc;
	if ((*ret)->type->kind == TY_UNKNOWN)
		return bind_const_null(c->b, &type_boolean, x->pos, ret);
	if ((*ret)->type->kind != TY_BOOLEAN)
		return bind_fail(c->b, x->pos, "%s must be a condition, but this is of type %s", what,
				 type_name(c->b->arena, (*ret)->type));
	return 0;
}

/* a AND b AND c: its left spine is a loop, so that 10,000 of them are no deep recursion. */
static int bind_logic(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *at = x;
	uint32_t n = 2, i;
	struct bx **args;
	int rc = 0;

	while (at->a->kind == x->kind) {
		at = at->a;
		n++;
	}
	args = arena_zarray(c->b->arena, struct bx *, n);
	if (!args)
		return bind_nomem(c->b);
	at = x;
	for (i = n - 1; i > 0; i--, at = at->a)
		args[i] = (struct bx *)(uintptr_t)at->b; /* to be bound below, left to right */
	args[0] = (struct bx *)(uintptr_t)at;
	for (i = 0; i < n && rc >= 0; i++)
		rc = bind_condition(c, (const struct ast_expr *)(const void *)args[i],
				    x->kind == EX_AND ? "an operand of AND" : "an operand of OR", &args[i]);
	if (rc < 0)
		return rc;
	*ret = bx_logic(c->b, x->kind == EX_AND ? BX_AND : BX_OR, args, n, x->pos);
	return *ret ? 0 : bind_nomem(c->b);
}

static int once(struct bind *b, const struct bx *x, const char *what)
{
	if (!bx_is_volatile(x))
		return 0;
	return bind_fail(b, x->pos, "%s looks at its operand more than once, so it cannot be random; "
				    "take it from a subquery: FROM (SELECT random() AS r ...)", what);
}

/* x >= low AND x <= high */
static int bind_between(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *const parts[] = {x->a, x->b, x->c};
	struct bx *v[3], *both[2], *args[2];
	bool literal[3], two[2];
	int rc = 0;

	for (int i = 0; i < 3 && rc >= 0; i++) {
		literal[i] = parts[i]->kind == EX_STRING;
		rc = bind_expr(c, parts[i], &v[i]);
	}
	if (rc >= 0)
		rc = once(c->b, v[0], "BETWEEN");
	for (int i = 0; i < 2 && rc >= 0; i++) {
		args[0] = v[0];
		args[1] = v[i + 1];
		two[0] = literal[0];
		two[1] = literal[i + 1];
		rc = bind_func(c->b, x->pos, i ? "<=" : ">=", args, two, 2, &both[i]);
	}
	if (rc < 0)
		return rc;
	*ret = bx_logic(c->b, BX_AND, both, 2, x->pos);
	if (!*ret)
		return bind_nomem(c->b);
	return negate(c->b, x->negated, x->pos, *ret, ret);
}

static int bind_in(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	struct bx *in = bx_new(c->b, BX_IN, &type_boolean, x->pos, x->list.n + 1), **list;
	bool *literal = arena_zarray(c->b->arena, bool, x->list.n + 1), *of;
	const struct type *t;
	int rc;

	if (!in || !literal)
		return bind_nomem(c->b);
	literal[0] = x->a->kind == EX_STRING;
	rc = bind_expr(c, x->a, &in->args[0]);
	if (rc >= 0)
		rc = bind_exprs(c, &x->list, &list, &of);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < x->list.n; i++) {
		in->args[i + 1] = list[i];
		literal[i + 1] = of[i];
	}
	rc = bind_common(c->b, x->pos, "IN", in->args, literal, in->argc, 1, &t);
	if (rc < 0)
		return rc;
	in = bx_fold(c->b, in);
	return in ? negate(c->b, x->negated, x->pos, in, ret) : bind_nomem(c->b);
}

/* Branches with constant conditions go away; without any left, the ELSE stands for itself. */
static struct bx *case_simplify(struct bind *b, struct bx *x)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i + 1 < x->argc; i += 2) {
		if (bx_is_false(x->args[i]) || bx_is_null(x->args[i]))
			continue;
		if (bx_is_true(x->args[i])) {
			x->args[k++] = x->args[i + 1];
			x->argc = k;
			return k == 1 ? x->args[0] : bx_fold(b, x);
		}
		x->args[k++] = x->args[i];
		x->args[k++] = x->args[i + 1];
	}
	x->args[k++] = x->args[x->argc - 1];
	x->argc = k;
	return k == 1 ? x->args[0] : bx_fold(b, x);
}

/* args: cond, value, ..., else (always there). */
static int finish_case(struct bind *b, struct bx *x, bool *literal, const char *what, struct bx **ret)
{
	struct bx **values = arena_array(b->arena, struct bx *, x->argc);
	bool *lit = arena_array(b->arena, bool, x->argc);
	uint32_t n = 0;
	int rc;

	if (!values || !lit)
		return bind_nomem(b);
	for (uint32_t i = 0; i < x->argc; i++) {
		if (i % 2 == 0 && i != x->argc - 1)
			continue;
		values[n] = x->args[i];
		lit[n++] = literal[i];
	}
	rc = bind_common(b, x->pos, what, values, lit, n, 1, &x->type);
	if (rc < 0)
		return rc;
	n = 0;
	for (uint32_t i = 0; i < x->argc; i++) {
		if (i % 2 == 1 || i == x->argc - 1)
			x->args[i] = values[n++];
	}
	*ret = case_simplify(b, x);
	return *ret ? 0 : bind_nomem(b);
}

static int bind_case(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	uint32_t n = x->list.n + 1;
	struct bx *k = bx_new(c->b, BX_CASE, NULL, x->pos, n), *of = NULL;
	bool *literal = arena_zarray(c->b->arena, bool, n);
	int rc = 0;

	if (!k || !literal)
		return bind_nomem(c->b);
	if (x->a)
		rc = bind_expr(c, x->a, &of);
	if (rc >= 0 && of)
		rc = once(c->b, of, "CASE");
	for (uint32_t i = 0; i < x->list.n && rc >= 0; i++) {
		const struct ast_expr *part = x->list.v[i];

		literal[i] = part->kind == EX_STRING;
		if (i % 2 == 0 && !of) {
			rc = bind_condition(c, part, "WHEN", &k->args[i]);
			continue;
		}
		rc = bind_expr(c, part, &k->args[i]);
		if (rc >= 0 && i % 2 == 0) { /* CASE a WHEN b: a = b */
			struct bx *two[] = {of, k->args[i]};
			bool lit[] = {x->a->kind == EX_STRING, literal[i]};

			rc = bind_func(c->b, part->pos, "=", two, lit, 2, &k->args[i]);
		}
	}
	if (rc >= 0 && x->b) {
		literal[n - 1] = x->b->kind == EX_STRING;
		rc = bind_expr(c, x->b, &k->args[n - 1]);
	} else if (rc >= 0) {
		rc = bind_const_null(c->b, &type_unknown, x->pos, &k->args[n - 1]);
	}
	return rc < 0 ? rc : finish_case(c->b, k, literal, "CASE", ret);
}

/* if(c, a[, b]), coalesce(...), try(x): forms with the syntax of calls. 1: it was one. */
int bind_form(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_call *call = x->call;
	struct str name = call->name.text;
	bool is_if = str_ieq(name, STR_LIT("if")), is_try = str_ieq(name, STR_LIT("try"));
	struct bx *k, **args;
	bool *literal;
	uint32_t n = call->args.n;
	int rc;

	if (!is_if && !is_try && !str_ieq(name, STR_LIT("coalesce")))
		return 0;
	if (is_if ? n < 2 || n > 3 : is_try ? n != 1 : n < 1)
		return bind_fail(c->b, x->pos, "%s",
				 is_if ? "if() takes a condition, a value and perhaps another value" :
				 is_try ? "try() takes one expression" : "coalesce() takes at least one value");
	rc = bind_exprs(c, &call->args, &args, &literal);
	if (rc < 0)
		return rc;
	k = bx_new(c->b, is_if ? BX_CASE : is_try ? BX_TRY : BX_COALESCE, NULL, x->pos, is_if ? 3 : n);
	if (!k)
		return bind_nomem(c->b);
	memcpy(k->args, args, sizeof(*args) * n);
	if (is_if) {
		bool lit[3] = {literal[0], literal[1], n > 2 && literal[2]};

		if (args[0]->type->kind == TY_UNKNOWN)
			rc = bind_const_null(c->b, &type_boolean, args[0]->pos, &k->args[0]);
		else if (args[0]->type->kind != TY_BOOLEAN)
			rc = bind_fail(c->b, args[0]->pos, "the first argument of if() must be a condition");
		if (rc >= 0 && n == 2)
			rc = bind_const_null(c->b, &type_unknown, x->pos, &k->args[2]);
		if (rc >= 0)
			rc = finish_case(c->b, k, lit, "if()", ret);
		return rc < 0 ? rc : 1;
	}
	if (is_try)
		k->type = args[0]->type;
	else
		rc = bind_common(c->b, x->pos, "coalesce()", k->args, literal, n, 1, &k->type);
	if (rc < 0)
		return rc;
	*ret = bx_fold(c->b, k);
	return *ret ? 1 : bind_nomem(c->b);
}

/* ---- literals -------------------------------------------------------------------------------------- */

static int bind_typed(struct bind *b, const struct ast_expr *x, struct bx **ret)
{
	const struct type *t;
	struct bx *text = NULL;
	int rc = bind_type(b, x->cast_type, &t);

	if (rc >= 0)
		rc = bind_const_str(b, x->text, x->pos, &text);
	if (rc >= 0)
		rc = cast_to(b, text, t, false, ret);
	return rc < 0 ? rc : check_literal(b, *ret);
}

static int bind_duration(struct bind *b, const struct ast_expr *x, struct bx **ret)
{
	struct duration d;
	int rc = duration_parse(x->text, &d, b->e);

	if (rc < 0)
		return err_prefix(b->e, -EINVAL, "line %u:%u", x->pos.line, x->pos.col);
	return bind_const_i64(b, d.is_months ? &type_interval_ym : &type_interval_ds,
			      d.is_months ? d.months : d.ns, x->pos, ret);
}

/*
 * INTERVAL 'text' unit [TO unit]. The text's fields are numbers in the order of the units, from the
 * first one named to the last: '2 03:04:05' DAY TO SECOND, '1-3' YEAR TO MONTH, '90' MINUTE.
 */
static const struct interval_unit {
	const char *name;
	bool is_months;
	int64_t size; /* ns or months */
	int rank;     /* within its kind; WEEK stands alone */
	char before;  /* what separates it from the one before */
} interval_units[] = {
	{"year", true, 12, 1, 0}, {"month", true, 1, 2, '-'}, {"week", false, 7 * NS_PER_DAY, 0, 0},
	{"day", false, NS_PER_DAY, 1, 0}, {"hour", false, 3600 * NS_PER_S, 2, ' '},
	{"minute", false, 60 * NS_PER_S, 3, ':'}, {"second", false, NS_PER_S, 4, ':'},
};

static const struct interval_unit *interval_unit(struct str s)
{
	for (size_t i = 0; i < ARRAY_LEN(interval_units); i++) {
		if (str_ieq(s, str_from(interval_units[i].name)))
			return &interval_units[i];
	}
	return NULL;
}

static bool add_scaled(int64_t *sum, int64_t v, int64_t size)
{
	return !__builtin_mul_overflow(v, size, &v) && !__builtin_add_overflow(*sum, v, sum);
}

/* digits at s; a fraction only for seconds. */
static bool interval_number(struct str *s, const struct interval_unit *u, int64_t *sum)
{
	int64_t v = 0, scale = NS_PER_S / 10;
	size_t n = 0;

	for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s->ptr[n] - '0', &v))
			return false;
	}
	if (!n || !add_scaled(sum, v, u->size))
		return false;
	if (n < s->len && s->ptr[n] == '.' && u->size == NS_PER_S && !u->is_months) {
		size_t from = ++n;

		for (; n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++, scale /= 10) {
			if (!add_scaled(sum, s->ptr[n] - '0', scale))
				return false;
		}
		if (n == from)
			return false;
	}
	s->ptr += n;
	s->len -= n;
	return true;
}

static bool interval_parse(struct str s, const struct interval_unit *from, const struct interval_unit *to,
			   bool minus, int64_t *ret)
{
	const struct interval_unit *u = from;
	int64_t sum = 0;

	s = str_trim(s);
	if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
		minus ^= s.ptr[0] == '-';
		s.ptr++;
		s.len--;
	}
	for (;; u++) {
		if (!interval_number(&s, u, &sum))
			return false;
		if (u == to)
			break;
		if (!s.len || s.ptr[0] != u[1].before)
			return false;
		s.ptr++;
		s.len--;
	}
	*ret = minus ? -sum : sum;
	return s.len == 0;
}

static int bind_interval(struct bind *b, const struct ast_expr *x, struct bx **ret)
{
	const struct interval_unit *from = interval_unit(x->interval.from), *to = from;
	int64_t v;

	if (x->interval.to.ptr)
		to = interval_unit(x->interval.to);
	if (!from || !to)
		return bind_fail(b, x->pos, "the units of an interval are year, month, week, day, hour, minute, "
					    "second");
	if (from->is_months != to->is_months || (from != to && (!from->rank || from->rank > to->rank)))
		return bind_fail(b, x->pos, "an interval goes from %s to no %s", from->name, to->name);
	if (!interval_parse(x->interval.text, from, to, x->interval.minus, &v))
		return bind_fail(b, x->pos, "'%.*s' is no interval %s%s%s", STR_FMT(x->interval.text), from->name,
				 from == to ? "" : " to ", from == to ? "" : to->name);
	return bind_const_i64(b, from->is_months ? &type_interval_ym : &type_interval_ds, v, x->pos, ret);
}

static int bind_integer(struct bind *b, const struct ast_expr *x, struct bx **ret)
{
	bool is_int = x->integer >= INT32_MIN && x->integer <= INT32_MAX;

	if (x->boolean)
		return bind_fail(b, x->pos, "9223372036854775808 does not fit a bigint");
	return bind_const_i64(b, is_int ? &type_integer : &type_bigint, x->integer, x->pos, ret);
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

static int bind_list(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	bool is_row = x->kind == EX_ROW;
	struct bx *k = bx_new(c->b, is_row ? BX_ROW : BX_ARRAY, NULL, x->pos, 0);
	const struct type *elem = &type_unknown;
	struct type_field *fields = arena_zarray(c->b->arena, struct type_field, x->list.n + 1);
	bool *literal;
	int rc;

	if (!k || !fields)
		return bind_nomem(c->b);
	rc = bind_exprs(c, &x->list, &k->args, &literal);
	k->argc = x->list.n;
	if (rc >= 0 && !is_row && k->argc)
		rc = bind_common(c->b, x->pos, "ARRAY", k->args, literal, k->argc, 1, &elem);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < k->argc; i++)
		fields[i].type = k->args[i]->type;
	k->type = is_row ? type_row(c->b->arena, fields, k->argc) : type_array(c->b->arena, elem);
	if (!k->type)
		return bind_nomem(c->b);
	*ret = bx_fold(c->b, k);
	return *ret ? 0 : bind_nomem(c->b);
}

static int bind_cast(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct type *t;
	struct bx *v;
	int rc = bind_type(c->b, x->cast_type, &t);

	if (rc >= 0)
		rc = bind_expr(c, x->a, &v);
	if (rc < 0)
		return rc;
	if (!cast_exists(v->type, t))
		return bind_fail(c->b, x->pos, "type %s cannot be cast to %s", type_name(c->b->arena, v->type),
				 type_name(c->b->arena, t));
	if (bx_is_null(v) && v->type->kind == TY_UNKNOWN)
		return bind_const_null(c->b, t, x->pos, ret);
	return cast_to(c->b, v, t, x->is_try, ret);
}

/* EXTRACT(field FROM x) is the function of that name. */
static int bind_extract(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	static const char *const fields[] = {
		"year", "quarter", "month", "week", "day", "day_of_month", "day_of_week", "dow", "day_of_year",
		"doy", "year_of_week", "yow", "hour", "minute", "second",
	};
	const struct ast_expr *const of = x->a;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (str_ieq(x->text, str_from(fields[i])))
			return bind_op(c, x->pos, fields[i], &of, 1, ret);
	}
	return bind_fail(c->b, x->pos, "EXTRACT knows no field '%.*s'; there are YEAR, QUARTER, MONTH, WEEK, DAY, "
				       "DAY_OF_MONTH, DAY_OF_WEEK, DOW, DAY_OF_YEAR, DOY, YEAR_OF_WEEK, YOW, HOUR, "
				       "MINUTE, SECOND", STR_FMT(x->text));
}

static int bind_field(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	struct bx *of;
	int rc = bind_expr(c, x->a, &of);

	return rc < 0 ? rc : bind_fields(c->b, of, &x->names, ret);
}

static int bind_distinct_from(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *const two[] = {x->a, x->b};
	int rc = bind_op(c, x->pos, "is distinct from", two, 2, ret);

	return rc < 0 ? rc : negate(c->b, x->negated, x->pos, *ret, ret);
}

static int bind_null_test(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *const one[] = {x->a};
	int rc = bind_op(c, x->pos, "is null", one, 1, ret);

	return rc < 0 ? rc : negate(c->b, x->negated, x->pos, *ret, ret);
}

static int bind_like(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *const three[] = {x->a, x->b, x->c};
	int rc = bind_op(c, x->pos, "like", three, x->c ? 3 : 2, ret);

	return rc < 0 ? rc : negate(c->b, x->negated, x->pos, *ret, ret);
}

/* +x is x, of what could be negated. */
static int bind_plus(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	struct bx *negated;
	int rc = bind_expr(c, x->a, ret);

	return rc < 0 ? rc : bind_func(c->b, x->pos, "neg", ret, NULL, 1, &negated);
}

int bind_expr(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ast_expr *const two[] = {x->a, x->b};
	struct bind *b = c->b;

	if (c->lambda && bind_in_lambda(c, x) < 0)
		return -EINVAL;
	switch (x->kind) {
	case EX_NULL:
		return bind_const_null(b, &type_unknown, x->pos, ret);
	case EX_BOOL:
		return bind_const_bool(b, x->boolean, x->pos, ret);
	case EX_INT:
		return bind_integer(b, x, ret);
	case EX_DOUBLE:
		return const_double(b, x->number, x->pos, ret);
	case EX_STRING:
		return bind_const_str(b, x->text, x->pos, ret);
	case EX_TYPED:
		return bind_typed(b, x, ret);
	case EX_INTERVAL:
		return bind_interval(b, x, ret);
	case EX_DURATION:
		return bind_duration(b, x, ret);
	case EX_COLUMN:
		return bind_column(c, x, ret);
	case EX_STAR:
		return bind_fail(b, x->pos, "'*' stands for columns in a select list only, and for rows in count(*)");
	case EX_PARAM:
		return bind_fail(b, x->pos, "the parameter @%.*s has no value here; @scheduled_runtime has one in "
					    "scheduled queries", STR_FMT(x->text));
	case EX_NEG:
		return bind_op(c, x->pos, "neg", two, 1, ret);
	case EX_POS:
		return bind_plus(c, x, ret);
	case EX_NOT: {
		int rc = bind_condition(c, x->a, "the operand of NOT", ret);

		return rc < 0 ? rc : negate(b, true, x->pos, *ret, ret);
	}
	case EX_AND:
	case EX_OR:
		return bind_logic(c, x, ret);
	case EX_BINARY:
		return bind_op(c, x->pos, x->op, two, 2, ret);
	case EX_IS_NULL:
		return bind_null_test(c, x, ret);
	case EX_IS_DISTINCT:
		return bind_distinct_from(c, x, ret);
	case EX_BETWEEN:
		return bind_between(c, x, ret);
	case EX_IN_LIST:
		return bind_in(c, x, ret);
	case EX_LIKE:
		return bind_like(c, x, ret);
	case EX_IN_QUERY:
	case EX_EXISTS:
	case EX_SUBQUERY:
	case EX_QUANTIFIED:
		return bind_subquery(c, x, ret);
	case EX_CASE:
		return bind_case(c, x, ret);
	case EX_CAST:
		return bind_cast(c, x, ret);
	case EX_CALL:
		return bind_call(c, x, ret);
	case EX_LAMBDA:
		return bind_fail(b, x->pos, "a lambda can only be an argument of a function that takes one, such as "
					    "filter() or reduce()");
	case EX_ARRAY:
	case EX_ROW:
		return bind_list(c, x, ret);
	case EX_SUBSCRIPT:
		return bind_op(c, x->pos, "[]", two, 2, ret);
	case EX_FIELD:
		return bind_field(c, x, ret);
	case EX_EXTRACT:
		return bind_extract(c, x, ret);
	}
	return bind_fail(b, x->pos, "this expression is not known");
}
