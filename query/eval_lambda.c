/*
 * eval_lambda: bodies of lambdas over their parameters.
 *
 * A fold (reduce) goes through its elements one after the other, since each state is made of the one
 * before. What its body works out of the element alone need not: fold_split() cuts such parts out once
 * a query, the function evaluates them over many elements at once, and what is left to do step by step
 * is the rest.
 *
 *	(acc, x) -> acc + x.value * x.value      part 0: x.value * x.value      rest: acc + $part0
 *
 * Only parts that are evaluated at every step are cut out: not those within branches of CASE, within
 * AND, OR, TRY and their kind, unless all of it is a part.
 */
#include "query/eval.h"

#define PARTS_MAX 8

struct fold {
	const struct bx *parts[PARTS_MAX];
	uint32_t n;
	const struct bx *rest;
	bool element; /* does the rest look at the element? */
};

int lambda_eval(const struct lambda *l, int part, const struct vec *params, const uint32_t *rows, uint32_t k,
		struct arena *a, struct vec *ret, struct err *e)
{
	const struct fold *f = l->x->prepared;
	const struct bx *x = l->x->args[0];
	struct eval body = eval_sub(l->ev, rows, k);
	struct vec v;

	if (part != LAMBDA_BODY)
		x = part == LAMBDA_REST ? f->rest : f->parts[part];
	body.arena = a;
	body.params = params;
	body.param_count = l->x->param_count;
	*body.located = false; /* functions may come again after a failure, with fewer rows */
	int rc = eval_expr(&body, x, &v, e);
	return rc < 0 ? rc : vec_flatten(&v, k, a, ret, e);
}

uint32_t lambda_parts(const struct lambda *l, bool *ret_element)
{
	const struct fold *f = l->x->prepared;

	*ret_element = !f || f->element;
	return f ? f->n : 0;
}

/* ---- splitting -------------------------------------------------------------------------------------- */

struct split {
	struct arena *arena;
	struct fold *fold;
	uint32_t params; /* of the lambda; parts are numbered behind them */
	bool nomem;
};

static bool looks_at(const struct bx *x, uint32_t param, uint32_t depth)
{
	if (x->kind == BX_PARAM && x->index == param && x->depth == depth)
		return true;
	for (uint32_t i = 0; i < x->argc; i++) {
		if (looks_at(x->args[i], param, depth + (x->kind == BX_LAMBDA)))
			return true;
	}
	return false;
}

/* Are all its arguments evaluated whenever it is? */
static bool is_strict(const struct bx *x)
{
	for (uint32_t i = 0; i < x->argc; i++) {
		if (x->args[i]->kind == BX_LAMBDA)
			return false;
	}
	return x->kind == BX_CALL || x->kind == BX_CAST || x->kind == BX_ROW || x->kind == BX_ARRAY ||
	       x->kind == BX_FIELD;
}

static struct bx *copy_of(struct split *s, const struct bx *x, uint32_t argc)
{
	struct bx *to = arena_new(s->arena, struct bx);

	if (to) {
		*to = *x;
		to->args = arena_zarray(s->arena, struct bx *, argc + 1);
		to->argc = argc;
	}
	if (to && to->args)
		return to;
	s->nomem = true;
	return NULL;
}

static struct bx *take_part(struct split *s, struct bx *x)
{
	struct bx *p = copy_of(s, x, 0);

	if (!p)
		return NULL;
	p->kind = BX_PARAM;
	p->index = s->params + s->fold->n;
	p->depth = 0;
	p->prepared = NULL;
	s->fold->parts[s->fold->n++] = x;
	return p;
}

static struct bx *split(struct split *s, struct bx *x)
{
	struct bx *to;

	if (x->kind == BX_CONST || x->kind == BX_PARAM || s->fold->n == PARTS_MAX)
		return x;
	if (!looks_at(x, 0, 0))
		return take_part(s, x);
	if (!is_strict(x))
		return x;
	to = copy_of(s, x, x->argc);
	for (uint32_t i = 0; to && i < x->argc; i++) {
		to->args[i] = split(s, x->args[i]);
		if (!to->args[i])
			return NULL;
	}
	return to;
}

int fold_split(struct arena *a, struct bx *x, struct err *e)
{
	for (uint32_t i = 0; i < x->argc; i++) {
		struct bx *l = x->args[i];
		struct split s = {.arena = a, .params = l->param_count};

		if (l->kind != BX_LAMBDA || l->param_count != 2 || l->prepared)
			continue;
		s.fold = arena_new(a, struct fold);
		if (s.fold)
			s.fold->rest = split(&s, l->args[0]);
		if (!s.fold || !s.fold->rest)
			return err_set(e, -ENOMEM, "out of memory");
		s.fold->element = looks_at(s.fold->rest, 1, 0);
		l->prepared = s.fold;
	}
	return 0;
}
