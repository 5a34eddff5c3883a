/*
 * x < ANY (query), x >= ALL (query) and so on, from what is the largest or the smallest of the query's values.
 *
 *	m    the value that is hardest to beat: the largest for x < ANY and x > ALL, else the smallest
 *	n    rows; known: those that are not NULL; nan: those that are NaN, with which nothing compares
 *
 *	ANY  CASE WHEN n = 0 THEN FALSE WHEN x op m THEN TRUE WHEN x IS NULL OR known < n THEN NULL ELSE FALSE END
 *	ALL  CASE WHEN n = 0 THEN TRUE WHEN x IS NULL THEN NULL WHEN nan > 0 OR NOT x op m THEN FALSE
 *	          WHEN known < n THEN NULL ELSE TRUE END
 *
 * So each value is looked at once, and not once a row of the query around.
 */
#include "query/bind.h"

enum { COL_M, COL_N, COL_KNOWN, COL_NAN, COLS };

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

static bool is_plain(const struct type *t)
{
	switch (t->kind) {
	case TY_INTEGER: case TY_BIGINT: case TY_DOUBLE: case TY_VARCHAR: case TY_TIMESTAMP: case TY_DATE:
	case TY_TIME: case TY_INTERVAL_DS: case TY_INTERVAL_YM:
		return true;
	default:
		return false;
	}
}

static int add_agg(struct bind *b, struct plan *agg, const char *name, struct bx *arg, struct bx *filter)
{
	struct plan_agg *a = &agg->aggs[agg->agg_count];
	const struct type **types = arena_array(b->arena, const struct type *, 1);
	const struct vec **consts = arena_zarray(b->arena, const struct vec *, 1);
	struct func_match m;
	int rc;

	if (!types || !consts)
		return bind_nomem(b);
	types[0] = arg ? arg->type : NULL;
	rc = func_resolve(b->arena, str_from(name), types, NULL, arg != NULL, &m, b->e);
	if (rc < 0)
		return rc;
	*a = (struct plan_agg){.func = m.func, .argc = arg != NULL, .arg_types = types, .filter = filter, .type = m.ret};
	a->const_args = (const struct vec *const *)consts;
	a->args = arena_array(b->arena, struct bx *, 1);
	if (!a->args)
		return bind_nomem(b);
	a->args[0] = arg;
	agg->cols[agg->agg_count++] = (struct plan_col){str_from(m.func->name), m.ret};
	return 0;
}

int quantified_plan(struct bind *b, struct plan *p, const char *op, bool is_all, struct pos at, struct plan **ret)
{
	bool largest = (op[0] == '<') != is_all;
	struct bx *col, *two[2], *real, *nan;
	struct plan *agg;
	int rc;

	if ((op[0] != '<' && op[0] != '>') || op[1] == '>' || !is_plain(p->cols[0].type))
		return 0;
	agg = plan_new(b, PLAN_AGG, COLS);
	col = bx_column(b, 0, p->cols[0].type, at);
	if (!agg || !col)
		return failed(b);
	agg->children = arena_array(b->arena, struct plan *, 1);
	agg->aggs = arena_zarray(b->arena, struct plan_agg, COLS);
	if (!agg->children || !agg->aggs)
		return bind_nomem(b);
	agg->children[0] = p;
	agg->child_count = 1;
	agg->is_global = true;
	two[0] = two[1] = col;
	rc = bind_func(b, at, "=", two, NULL, 2, &real);
	if (rc >= 0)
		rc = bind_func(b, at, "<>", two, NULL, 2, &nan);
	if (rc >= 0)
		rc = add_agg(b, agg, largest ? "max" : "min", col, col->type->kind == TY_DOUBLE ? real : NULL);
	if (rc >= 0)
		rc = add_agg(b, agg, "count", NULL, NULL);
	if (rc >= 0)
		rc = add_agg(b, agg, "count", col, NULL);
	if (rc >= 0)
		rc = add_agg(b, agg, "count", NULL, nan);
	*ret = agg;
	return rc < 0 ? rc : 1;
}

/* a op b, or a op 0 where b is NULL. */
static int compare(struct bind *b, struct bx *l, const char *op, struct bx *r, struct pos at, struct bx **ret)
{
	struct bx *two[] = {l, r};
	int rc = r ? 0 : bind_const_i64(b, &type_bigint, 0, at, &two[1]);

	return rc < 0 ? rc : bind_func(b, at, op, two, NULL, 2, ret);
}

static struct bx *either(struct bind *b, struct bx *l, struct bx *r, struct pos at)
{
	struct bx *two[] = {l, r};

	return bx_logic(b, BX_OR, two, 2, at);
}

int quantified_value(struct bind *b, struct bx *x, const char *op, bool is_all, struct bx *const *cols, struct pos at,
		     struct bx **ret)
{
	struct bx *empty, *beats, *unknown, *x_null, *yes, *no, *null, *nans;
	struct bx *k = bx_new(b, BX_CASE, &type_boolean, at, is_all ? 9 : 7);
	int rc = k ? 0 : bind_nomem(b);

	if (rc >= 0)
		rc = compare(b, cols[COL_N], "=", NULL, at, &empty);
	if (rc >= 0)
		rc = compare(b, x, op, cols[COL_M], at, &beats);
	if (rc >= 0)
		rc = compare(b, cols[COL_KNOWN], "<", cols[COL_N], at, &unknown);
	if (rc >= 0)
		rc = compare(b, cols[COL_NAN], ">", NULL, at, &nans);
	if (rc >= 0)
		rc = bind_func(b, at, "is null", &x, NULL, 1, &x_null);
	if (rc >= 0)
		rc = bind_const_bool(b, true, at, &yes);
	if (rc >= 0)
		rc = bind_const_bool(b, false, at, &no);
	if (rc >= 0)
		rc = bind_const_null(b, &type_boolean, at, &null);
	if (rc >= 0 && is_all)
		rc = bind_func(b, at, "not", &beats, NULL, 1, &beats);
	if (rc < 0)
		return rc;
	if (is_all) {
		struct bx *const args[] = {empty, yes, x_null, null, either(b, nans, beats, at), no, unknown, null, yes};

		memcpy(k->args, args, sizeof(args));
	} else {
		struct bx *const args[] = {empty, no, beats, yes, either(b, x_null, unknown, at), null, no};

		memcpy(k->args, args, sizeof(args));
	}
	*ret = k;
	return k->args[4] ? 0 : bind_nomem(b);
}
