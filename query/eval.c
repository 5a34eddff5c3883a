/*
 * eval: bound expressions over batches.
 *
 * An expression is evaluated a whole batch at a time, children first, each giving a vector. Three
 * things make that more than a loop:
 *
 *   Forms stay alive. A call whose arguments are all CONST runs once; one with a single DICT argument
 *   runs over the dictionary (host = 'x' over 3 hosts and not 2,048 rows) and hands the codes on
 *   (func_call() does both).
 *
 *   Lazy branches. AND, OR, CASE, COALESCE evaluate a branch on just those rows that need it,
 *   because an error in a branch not taken must not surface: IF(n <> 0, 10 / n, 0). Such a
 *   selection of rows is a `struct eval` of its own; a column is gathered when it is first asked for.
 *
 *   Lambdas (eval_lambda.c). A body is evaluated over flattened elements; row i belongs to row sel[i] of
 *   the batch, so that outer columns and outer parameters are reached by the same gathering.
 *
 * Memory: everything lives in the caller's arena, for a batch. Errors get "line L:C: " of the
 * innermost expression that failed.
 */
#include "query/eval.h"

int exec_nomem(const struct exec_ctx *exec, struct err *e)
{
	size_t limit = exec && exec->budget ? exec->budget->limit : 0;

	if (!limit || limit == SIZE_MAX)
		return err_set(e, -ENOMEM, "out of memory");
	return err_set(e, -ENOMEM,
		       "the statement needs more than its %zu MiB of memory: narrow the time range, "
		       "take fewer groups or columns, or add a LIMIT",
		       MAX(limit >> 20, (size_t)1));
}

int eval_locate(struct eval *ev, const struct bx *x, int rc, struct err *e)
{
	if (*ev->located || !x->pos.line || rc == -ENOMEM || rc == -ECANCELED)
		return rc;
	*ev->located = true;
	return err_prefix(e, rc, "line %u:%u", x->pos.line, x->pos.col);
}

/* ---- columns and parameters, through the levels ------------------------------------------------- */

struct eval eval_sub(struct eval *ev, const uint32_t *sel, uint32_t n)
{
	return (struct eval){
		.exec = ev->exec,
		.arena = ev->arena,
		.n = n,
		.parent = ev,
		.sel = sel,
		.located = ev->located,
	};
}

static uint32_t column_count(const struct eval *ev)
{
	while (ev->parent)
		ev = ev->parent;
	return ev->in->col_count;
}

static int column(struct eval *ev, uint32_t i, struct vec *ret, struct err *e)
{
	struct vec from;

	if (!ev->parent) {
		*ret = ev->in->cols[i];
		return 0;
	}
	if (!ev->cache) {
		ev->cache = arena_zarray(ev->arena, struct vec, column_count(ev));
		if (!ev->cache)
			return exec_nomem(ev->exec, e);
	}
	if (!ev->cache[i].type) {
		int rc = column(ev->parent, i, &from, e);
		if (rc < 0)
			return rc;
		rc = vec_gather(&from, ev->sel, ev->n, ev->arena, &ev->cache[i], e);
		if (rc < 0)
			return rc;
	}
	*ret = ev->cache[i];
	return 0;
}

static int param(struct eval *ev, uint32_t depth, uint32_t i, struct vec *ret, struct err *e)
{
	struct vec from;

	if (ev->params) {
		if (depth == 0) {
			*ret = ev->params[i];
			return 0;
		}
		depth--;
	}
	int rc = param(ev->parent, depth, i, &from, e);
	return rc < 0 ? rc : vec_gather(&from, ev->sel, ev->n, ev->arena, ret, e);
}

/* ---- calls ---------------------------------------------------------------------------------------- */

/* The kernel's constant work where nobody did it once for the query (constant folding). */
static int prepare_here(struct eval *ev, const struct bx *x, void **ret, struct err *e)
{
	const struct vec **consts = arena_zarray(ev->arena, const struct vec *, x->argc + 1);

	if (!consts)
		return exec_nomem(ev->exec, e);
	for (uint32_t i = 0; i < x->argc; i++)
		consts[i] = x->args[i]->kind == BX_CONST ? &x->args[i]->value : NULL;
	return x->func->prepare(ev->arena, consts, x->argc, ret, e);
}

static int eval_call(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct vec *args = arena_zarray(ev->arena, struct vec, x->argc + 1);
	struct lambda **lambdas = NULL;
	bool closed = true;
	int rc = 0;

	if (!args)
		return exec_nomem(ev->exec, e);
	for (uint32_t i = 0; i < x->argc; i++) {
		if (x->args[i]->kind != BX_LAMBDA) {
			rc = eval_expr(ev, x->args[i], &args[i], e);
			if (rc < 0)
				return rc;
			continue;
		}
		if (!lambdas)
			lambdas = arena_zarray(ev->arena, struct lambda *, x->argc);
		struct lambda *l = arena_new(ev->arena, struct lambda);
		if (!lambdas || !l)
			return exec_nomem(ev->exec, e);
		*l = (struct lambda){x->args[i], ev};
		lambdas[i] = l;
		closed = closed && x->args[i]->is_closed;
	}
	struct fn_call c = {
		.exec = ev->exec,
		.arena = ev->arena,
		.n = ev->n,
		.argc = x->argc,
		.args = args,
		.ret_type = x->type,
		.prepared = x->prepared,
		.lambdas = lambdas,
		.lambda_eval = lambda_eval,
		.lambdas_closed = closed,
	};
	if (!c.prepared && x->func->prepare)
		rc = prepare_here(ev, x, &c.prepared, e);
	if (rc >= 0)
		rc = func_call(x->func, &c, ret, e);
	return rc < 0 ? eval_locate(ev, x, rc, e) : 0;
}

static void as_dict(struct vec *ret, const struct vec *like, struct vec *values)
{
	*ret = (struct vec){
		.type = values->type,
		.form = VEC_DICT,
		.codes = like->codes,
		.dict = values,
		.dict_n = like->dict_n,
	};
}

static int eval_cast(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct vec v;
	int rc = eval_expr(ev, x->args[0], &v, e);
	if (rc < 0)
		return rc;
	if (v.form == VEC_DICT) {
		struct err unused = {0};
		struct vec *values = arena_new(ev->arena, struct vec);
		if (!values)
			return exec_nomem(ev->exec, e);
		if (v.dict_n < ev->n && cast_vec(ev->arena, v.dict, v.dict_n, x->type, x->is_try,
						 values, &unused) >= 0 &&
		    values->form == VEC_FLAT) {
			as_dict(ret, &v, values);
			return 0;
		}
		rc = vec_flatten(&v, ev->n, ev->arena, &v, e);
		if (rc < 0)
			return rc;
	}
	rc = cast_vec(ev->arena, &v, ev->n, x->type, x->is_try, ret, e);
	return rc < 0 ? eval_locate(ev, x, rc, e) : 0;
}

/* ---- AND, OR ----------------------------------------------------------------------------------- */

int eval_over(struct eval *ev, const struct bx *x, const uint32_t *sel, uint32_t n, struct vec *ret,
	      struct err *e)
{
	if (!sel || n == ev->n) /* selections are ascending, so all of them is just that */
		return eval_expr(ev, x, ret, e);
	struct eval *sub = arena_new(ev->arena, struct eval);
	if (!sub)
		return exec_nomem(ev->exec, e);
	*sub = eval_sub(ev, sel, n);
	return eval_expr(sub, x, ret, e);
}

static int const_bool(struct eval *ev, const struct bx *x, enum tristate t, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, x->type, 1, ev->arena, e);
	if (rc >= 0 && t == TRI_NULL)
		rc = vec_alloc_valid(ret, 1, ev->arena, e);
	if (rc < 0)
		return rc;
	ret->b8[0] = t == TRI_TRUE;
	if (t == TRI_NULL)
		ret->valid[0] = 0;
	ret->form = VEC_CONST;
	return 0;
}

/*
 * State by row: `decided` is final (FALSE for AND, TRUE for OR), NULL sticks until a later argument
 * decides, the rest goes on. Rows that are not decided are the selection for the next argument.
 */
static int eval_logic(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	const enum tristate decided = x->kind == BX_AND ? TRI_FALSE : TRI_TRUE;
	const enum tristate neutral = x->kind == BX_AND ? TRI_TRUE : TRI_FALSE;
	uint32_t n = ev->n, open_n = n, i = 0;
	enum tristate all = neutral; /* of the constant arguments so far */
	struct vec v;
	int rc;

	for (; i < x->argc; i++) { /* leading constants decide for all rows or for none */
		rc = eval_expr(ev, x->args[i], &v, e);
		if (rc < 0)
			return rc;
		if (v.form != VEC_CONST)
			break;
		enum tristate t = vec_tristate(&v, 0);
		if (t == decided)
			return const_bool(ev, x, decided, ret, e);
		if (t == TRI_NULL)
			all = TRI_NULL;
	}
	if (i == x->argc)
		return const_bool(ev, x, all, ret, e);

	uint8_t *state = arena_alloc(ev->arena, n);
	uint32_t *open = arena_array(ev->arena, uint32_t, n);
	uint32_t *sel = NULL;
	if (!state || !open)
		return exec_nomem(ev->exec, e);
	memset(state, all, n);
	for (;;) {
		uint32_t left = 0;
		for (uint32_t k = 0; k < open_n; k++) {
			uint32_t row = sel ? sel[k] : k;
			enum tristate t = vec_tristate(&v, k);
			if (t == decided) {
				state[row] = decided;
				continue;
			}
			if (t == TRI_NULL)
				state[row] = TRI_NULL;
			open[left++] = row;
		}
		if (++i == x->argc || !left)
			break;
		open_n = left;
		sel = open;
		/* The gathered columns do not point into sel, so it can be compacted in place. */
		rc = eval_over(ev, x->args[i], sel, open_n, &v, e);
		if (rc < 0)
			return rc;
	}
	rc = vec_alloc(ret, x->type, n, ev->arena, e);
	if (rc < 0)
		return rc;
	uint8_t nulls = 0;
	for (uint32_t k = 0; k < n; k++) {
		ret->b8[k] = state[k] == TRI_TRUE;
		nulls |= state[k] == TRI_NULL;
	}
	if (!nulls)
		return 0;
	rc = vec_alloc_valid(ret, n, ev->arena, e);
	if (rc < 0)
		return rc;
	for (uint32_t k = 0; k < n; k++)
		ret->valid[k] = state[k] != TRI_NULL;
	return 0;
}

/* ---- constructors -------------------------------------------------------------------------------- */

static int eval_field(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct vec v;
	int rc = eval_expr(ev, x->args[0], &v, e);
	if (rc >= 0 && v.form == VEC_DICT)
		rc = vec_flatten(&v, ev->n, ev->arena, &v, e);
	if (rc < 0)
		return rc;
	if (!v.child) { /* all rows are NULL */
		return vec_const_null(ret, x->type, ev->arena, e);
	}
	uint32_t n = v.form == VEC_CONST ? 1 : ev->n;
	*ret = v.child[x->index];
	if (ret->form != VEC_FLAT && v.form == VEC_FLAT && v.valid) {
		rc = vec_flatten(ret, n, ev->arena, ret, e);
		if (rc < 0)
			return rc;
	}
	if (v.valid) { /* a field of a NULL row is NULL */
		const uint8_t *own = ret->valid;
		rc = vec_alloc_valid(ret, n, ev->arena, e);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < n; i++)
			ret->valid[i] = v.valid[i] && (!own || own[i]);
	}
	if (v.form == VEC_CONST)
		ret->form = VEC_CONST;
	return 0;
}

/* The arguments of ROW and ARRAY as FLAT vectors of n rows; *ret_n = 1 where all are constant. */
static int eval_args_flat(struct eval *ev, const struct bx *x, struct vec **ret, uint32_t *ret_n,
			  struct err *e)
{
	struct vec *args = arena_zarray(ev->arena, struct vec, x->argc + 1);
	bool all_const = true;

	if (!args)
		return exec_nomem(ev->exec, e);
	for (uint32_t i = 0; i < x->argc; i++) {
		int rc = eval_expr(ev, x->args[i], &args[i], e);
		if (rc < 0)
			return rc;
		all_const = all_const && args[i].form == VEC_CONST;
	}
	*ret_n = all_const ? 1 : ev->n;
	for (uint32_t i = 0; i < x->argc; i++) {
		int rc = vec_flatten(&args[i], *ret_n, ev->arena, &args[i], e);
		if (rc < 0)
			return rc;
	}
	*ret = args;
	return all_const;
}

static int eval_row(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct vec *args;
	uint32_t n;
	int is_const = eval_args_flat(ev, x, &args, &n, e);
	if (is_const < 0)
		return is_const;
	*ret = (struct vec){
		.type = x->type,
		.form = is_const ? VEC_CONST : VEC_FLAT,
		.child = args,
	};
	return 0;
}

static int eval_array(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct vec *args;
	struct vec_builder b;
	uint32_t n;
	int is_const = eval_args_flat(ev, x, &args, &n, e);
	if (is_const < 0)
		return is_const;
	int rc = vb_init(&b, x->type, n, ev->arena, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		for (uint32_t k = 0; k < x->argc && rc >= 0; k++)
			rc = vb_add(vb_elem(&b), &args[k], i, e);
		if (rc >= 0)
			rc = vb_add_list(&b, x->argc, e);
	}
	if (rc < 0)
		return rc;
	vb_finish(&b, ret);
	if (is_const)
		ret->form = VEC_CONST;
	return 0;
}

/* ---- dispatch -------------------------------------------------------------------------------------- */

int eval_expr(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	if (unlikely(ev->n == 0))
		return vec_const_null(ret, x->type, ev->arena, e);
	switch (x->kind) {
	case BX_CONST:
		*ret = x->value;
		return 0;
	case BX_COLUMN:
		return column(ev, x->index, ret, e);
	case BX_PARAM:
		return param(ev, x->depth, x->index, ret, e);
	case BX_CALL:
		return eval_call(ev, x, ret, e);
	case BX_CAST:
		return eval_cast(ev, x, ret, e);
	case BX_AND:
	case BX_OR:
		return eval_logic(ev, x, ret, e);
	case BX_CASE:
		return eval_case(ev, x, ret, e);
	case BX_COALESCE:
		return eval_coalesce(ev, x, ret, e);
	case BX_TRY:
		return eval_try(ev, x, ret, e);
	case BX_IN:
		return eval_in(ev, x, ret, e);
	case BX_ROW:
		return eval_row(ev, x, ret, e);
	case BX_ARRAY:
		return eval_array(ev, x, ret, e);
	case BX_FIELD:
		return eval_field(ev, x, ret, e);
	case BX_LAMBDA:
		break; /* only ever an argument of a call, which takes care of it */
	case BX_OUTER:
	case BX_SUBQUERY:
		return eval_locate(ev, x, err_set(e, -EINVAL, "a subquery cannot stand here"), e);
	}
	return eval_locate(ev, x, err_set(e, -EINVAL, "a lambda stands where a value is expected"), e);
}

int bx_eval(const struct exec_ctx *exec, const struct bx *x, const struct vbatch *in, struct arena *arena,
	    struct vec *ret, struct err *e)
{
	bool located = false;
	struct eval ev = {.exec = exec, .arena = arena, .n = in->n, .in = in, .located = &located};

	return eval_expr(&ev, x, ret, e);
}

/* Keep of sel[0..n) (NULL: 0..n) those whose value is TRUE; `to` may be sel itself. */
static uint32_t keep_true(const struct vec *v, const uint32_t *sel, uint32_t n, uint32_t *to)
{
	uint32_t k = 0;

	if (v->form == VEC_CONST) {
		if (vec_tristate(v, 0) != TRI_TRUE)
			return 0;
		for (; k < n; k++)
			to[k] = sel ? sel[k] : k;
		return n;
	}
	if (v->form == VEC_FLAT && !v->valid && !sel) {
		for (uint32_t i = 0; i < n; i++) { /* no branch: selectivity is anybody's guess */
			to[k] = i;
			k += v->b8[i] != 0;
		}
		return k;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = sel ? sel[i] : i;
		to[k] = row;
		k += vec_tristate(v, i) == TRI_TRUE;
	}
	return k;
}

/*
 * In a WHERE a NULL is as good as FALSE, so the arguments of a top-level AND narrow the selection
 * one after the other.
 */
int64_t bx_select(const struct exec_ctx *exec, const struct bx *x, const struct vbatch *in,
		  struct arena *arena, uint32_t *sel, struct err *e)
{
	bool located = false;
	struct eval ev = {.exec = exec, .arena = arena, .n = in->n, .in = in, .located = &located};
	struct bx *const *terms = x->kind == BX_AND ? x->args : (struct bx *[]){(struct bx *)x};
	uint32_t term_n = x->kind == BX_AND ? x->argc : 1, n = in->n;
	struct vec v;

	for (uint32_t i = 0; i < term_n && n; i++) {
		int rc = eval_over(&ev, terms[i], i ? sel : NULL, n, &v, e);
		if (rc < 0)
			return rc;
		n = keep_true(&v, i ? sel : NULL, n, sel);
	}
	return n;
}

/* ---- once a query ---------------------------------------------------------------------------------- */

int bx_prepare(struct arena *a, struct bx *x, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < x->argc && rc >= 0; i++)
		rc = bx_prepare(a, x->args[i], e);
	if (rc >= 0 && x->kind == BX_CALL && (x->func->flags & FN_FOLD))
		rc = fold_split(a, x, e);
	if (rc < 0 || x->prepared)
		return rc;
	if (x->kind == BX_IN)
		return in_set_build(a, x, &x->prepared, e);
	if (x->kind != BX_CALL || !x->func->prepare)
		return 0;
	const struct vec **consts = arena_zarray(a, const struct vec *, x->argc + 1);
	if (!consts)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < x->argc; i++)
		consts[i] = x->args[i]->kind == BX_CONST ? &x->args[i]->value : NULL;
	/* A bad pattern in a branch that is never taken is no error: evaluation will say so. */
	struct err unused = {0};
	rc = x->func->prepare(a, consts, x->argc, &x->prepared, &unused);
	return rc == -ENOMEM ? err_set(e, rc, "%s", err_text(&unused, rc)) : 0;
}
