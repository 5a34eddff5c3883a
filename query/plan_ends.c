/*
 * plan_ends: which scans need the first or the last rows of each series alone.
 *
 * What is asked for most often of a time series is its last row, and there are several ways to say it:
 *
 *	AGG by hostname: max(time), max_by(usage, time)       one row of each series decides: its last
 *	AGG by hostname                                       (DISTINCT) any one
 *	FILTER (row_number <= 3)                              its last three: of a partition's rows that are
 *	  WINDOW by hostname order time DESC: row_number()    ahead of another, those of its own series suffice
 *
 * Groups and partitions must be whole series: expressions over dimensions and measure_name. Within a series no two rows
 * have the same time. What a scan gives beyond what is asked of it changes nothing, so it need not be exact.
 */
#include "query/bind.h"

#define ROWS_MAX (UINT64_C(1) << 20) /* of a series; beyond that, all may as well come */

struct ends {
	uint64_t first, last;
};

/* ---- columns ------------------------------------------------------------------------------------------ */

static bool is_cut(const struct plan *p)
{
	return p->limit != UINT64_MAX || p->offset;
}

/*
 * The rows below p, each of which makes one of p's whatever the others are, or NULL. What a WINDOW adds to a row depends
 * on the others.
 */
static const struct plan *rows_below(const struct plan *p)
{
	return p->kind == PLAN_PROJECT || (p->kind == PLAN_SORT && !is_cut(p)) ? p->children[0] : NULL;
}

/* What column i of p is made of below p. */
static const struct bx *made_of(const struct plan *p, uint32_t i, struct bx *column)
{
	if (p->kind == PLAN_PROJECT)
		return p->exprs[i];
	*column = (struct bx){.kind = BX_COLUMN, .index = i, .type = p->cols[i].type};
	return column;
}

static bool is_time(const struct plan *p, const struct bx *x)
{
	struct bx column;

	for (; x->kind == BX_COLUMN; p = rows_below(p)) {
		if (p->kind == PLAN_SCAN)
			return p->scan_cols[x->index].kind == SCAN_TIME;
		if (!rows_below(p))
			return false;
		x = made_of(p, x->index, &column);
	}
	return false;
}

static bool is_constant(const struct plan *p, const struct bx *x);

static bool is_constant_column(const struct plan *p, uint32_t i)
{
	struct bx column;

	if (p->kind == PLAN_SCAN)
		return p->scan_cols[i].kind == SCAN_DIMENSION || p->scan_cols[i].kind == SCAN_MEASURE_NAME;
	if (!rows_below(p))
		return false;
	return is_constant(rows_below(p), made_of(p, i, &column));
}

static bool varies(const struct bx *x, void *ctx)
{
	return x->kind == BX_OUTER || x->kind == BX_SUBQUERY ||
	       (x->kind == BX_COLUMN && !is_constant_column(ctx, x->index));
}

/* Is x, over p's columns, the same in all rows of a series? */
static bool is_constant(const struct plan *p, const struct bx *x)
{
	return !bx_is_volatile(x) && !bx_any(x, varies, (void *)p);
}

/* ---- what needs which rows ------------------------------------------------------------------------------- */

static bool is_named(const struct plan_agg *a, const char *name)
{
	return !strcmp(a->func->name, name);
}

/* min, max, min_by and max_by have a form with a count at the end. */
static bool count_of(const struct plan_agg *a, uint32_t argc, uint64_t *ret)
{
	*ret = 1;
	if (a->argc == argc)
		return true;
	const struct bx *n = a->argc == argc + 1 ? a->args[argc] : NULL;
	if (!n || n->kind != BX_CONST || n->type->kind != TY_BIGINT || bx_is_null(n) || n->value.i64[0] < 1)
		return false;
	*ret = (uint64_t)n->value.i64[0];
	return true;
}

/* false: it needs more than rows at the ends. */
static bool agg_needs(const struct plan *below, const struct plan_agg *a, struct ends *needs)
{
	static const struct {
		const char *name;
		uint32_t argc; /* the last of them is the time */
		bool is_last;
	} of_time[] = {{"min", 1, false}, {"max", 1, true}, {"min_by", 2, false}, {"max_by", 2, true}};
	static const char *const any_row[] = {"min", "max", "arbitrary", "any_value"};
	uint64_t n;

	if (a->distinct || a->key_count || !a->argc || (a->filter && !is_constant(below, a->filter)))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(of_time); i++) {
		uint64_t *to = of_time[i].is_last ? &needs->last : &needs->first;
		if (!is_named(a, of_time[i].name) || a->argc < of_time[i].argc ||
		    !is_time(below, a->args[of_time[i].argc - 1]) || !count_of(a, of_time[i].argc, &n))
			continue;
		*to = MAX(*to, n);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(any_row); i++)
		if (is_named(a, any_row[i]) && a->argc == 1 && is_constant(below, a->args[0]))
			return true;
	return false;
}

static bool group_needs(const struct plan *p, struct ends *needs)
{
	const struct plan *below = p->children[0];

	for (uint32_t i = 0; i < p->group_count; i++)
		if (!is_constant(below, p->groups[i]))
			return false;
	for (uint32_t i = 0; i < p->agg_count; i++)
		if (!agg_needs(below, &p->aggs[i], needs))
			return false;
	if (!needs->first && !needs->last)
		needs->last = 1;
	return true;
}

/* `column op constant`: how large may the column be? 0: it says nothing of that. */
static uint64_t bound_of(const struct bx *x, uint32_t column)
{
	static const struct {
		const char *name, *mirrored;
		int64_t less;
	} ops[] = {{"=", "=", 0}, {"<=", ">=", 0}, {"<", ">", 1}};

	if (x->kind != BX_CALL || x->argc != 2)
		return 0;
	for (int at = 0; at < 2; at++) {
		const struct bx *of = x->args[at], *v = x->args[!at];
		if (of->kind != BX_COLUMN || of->index != column || v->kind != BX_CONST || v->type->kind != TY_BIGINT ||
		    bx_is_null(v))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(ops); i++)
			if (!strcmp(x->func->name, at ? ops[i].mirrored : ops[i].name) && v->value.i64[0] > ops[i].less)
				return (uint64_t)(v->value.i64[0] - ops[i].less);
	}
	return 0;
}

static bool is_rank(const struct plan_window *w)
{
	return is_named(&w->call, "row_number") || is_named(&w->call, "rank") || is_named(&w->call, "dense_rank");
}

/* FILTER over WINDOW. */
static int rank_needs(struct bind *b, const struct plan *filter, struct ends *needs)
{
	const struct plan *p = filter->children[0], *below = p->children[0];
	struct bx_list conds = {0};
	uint64_t most = UINT64_MAX;
	struct bx by = {.kind = BX_COLUMN};

	if (p->key_count == p->partition_count)
		return 0;
	by.index = p->keys[p->partition_count].col;
	for (uint32_t i = 0; i < p->partition_count; i++)
		if (!is_constant_column(below, p->keys[i].col))
			return 0;
	for (uint32_t i = 0; i < p->window_count; i++)
		if (!is_rank(&p->windows[i]))
			return 0;
	if (!is_time(below, &by))
		return 0;
	int rc = bx_conjuncts(b, filter->where, &conds);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < conds.n; i++)
		for (uint32_t w = 0; w < p->window_count; w++) {
			uint64_t n = bound_of(conds.v[i], below->col_count + w);
			most = n ? MIN(most, n) : most;
		}
	if (most == UINT64_MAX)
		return 0;
	*(p->keys[p->partition_count].desc ? &needs->last : &needs->first) = most;
	return 1;
}

/* ---- the walk --------------------------------------------------------------------------------------------- */

static void narrow(struct plan *p, const struct ends *needs)
{
	while (rows_below(p))
		p = p->children[0];
	if (p->kind != PLAN_SCAN || needs->first > ROWS_MAX || needs->last > ROWS_MAX)
		return;
	p->first_n = (uint32_t)needs->first;
	p->last_n = (uint32_t)needs->last;
}

int plan_ends(struct bind *b, struct plan *p)
{
	struct ends needs = {0};
	int rc = 0;

	if (p->kind == PLAN_AGG && group_needs(p, &needs))
		narrow(p->children[0], &needs);
	if (p->kind == PLAN_FILTER && p->children[0]->kind == PLAN_WINDOW) {
		rc = rank_needs(b, p, &needs);
		if (rc > 0)
			narrow(p->children[0]->children[0], &needs);
	}
	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++)
		rc = plan_ends(b, p->children[i]);
	return MIN(rc, 0);
}
