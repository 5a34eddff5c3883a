/*
 * pushdown: conditions to where they spare work.
 *
 * Walking down, a list of conditions (conjuncts over the columns of the node at hand) is carried along.
 * A FILTER adds its own; what can pass a node is rewritten over its child's columns, what cannot becomes
 * a FILTER above it. At a scan
 *
 *	time <op> constant                     narrows [t_lo, t_hi], exactly, and is gone
 *	over dimensions and measure_name only  goes to series_where and is gone
 *	bin(time, i) <op> constant             narrows [t_lo, t_hi] and stays, as a bin is wider than that
 *
 * Nothing that could fail moves below something that could have spared it: conditions with calls other
 * than comparisons stay in their order, in the filter right above the scan.
 */
#include "query/bind.h"

static int push(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret);

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

/* conds as a FILTER over p. */
static int filter_over(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx *where;

	if (!conds->n) {
		*ret = p;
		return 0;
	}
	where = conds->n == 1 ? conds->v[0] : bx_logic(b, BX_AND, conds->v, conds->n, conds->v[0]->pos);
	if (!where)
		return bind_nomem(b);
	*ret = plan_filter(b, p, where);
	return *ret ? 0 : failed(b);
}

/* ---- the scan's time range ---------------------------------------------------------------------- */

enum cmp { CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_EQ, CMP_NONE };

static enum cmp cmp_of(const struct bx *x, bool mirrored)
{
	static const char *const names[] = {"<", "<=", ">", ">=", "="};
	static const enum cmp mirror[] = {CMP_GT, CMP_GE, CMP_LT, CMP_LE, CMP_EQ};

	for (int i = CMP_LT; x->kind == BX_CALL && x->argc == 2 && i <= CMP_EQ; i++) {
		if (!strcmp(x->func->name, names[i]))
			return mirrored ? mirror[i] : (enum cmp)i;
	}
	return CMP_NONE;
}

static bool is_time(const struct plan *scan, const struct bx *x)
{
	return x->kind == BX_COLUMN && scan->scan_cols[x->index].kind == SCAN_TIME;
}

static bool is_bin(const struct plan *scan, const struct bx *x)
{
	return x->kind == BX_CALL && !strcmp(x->func->name, "bin") && x->argc == 2 && is_time(scan, x->args[0]) &&
	       x->args[1]->kind == BX_CONST && x->args[1]->type->kind == TY_INTERVAL_DS && !bx_is_null(x->args[1]);
}

static void no_rows(struct plan *scan)
{
	scan->t_lo = 0;
	scan->t_hi = -1;
}

/* time op v. Beyond the ends of int64 there is nothing: `time > max` leaves no rows. */
static void narrow(struct plan *scan, enum cmp op, int64_t v)
{
	if ((op == CMP_LT && v == INT64_MIN) || (op == CMP_GT && v == INT64_MAX)) {
		no_rows(scan);
		return;
	}
	if (op == CMP_LT || op == CMP_LE || op == CMP_EQ)
		scan->t_hi = MIN(scan->t_hi, op == CMP_LT ? v - 1 : v);
	if (op == CMP_GT || op == CMP_GE || op == CMP_EQ)
		scan->t_lo = MAX(scan->t_lo, op == CMP_GT ? v + 1 : v);
	if (scan->t_lo > scan->t_hi)
		no_rows(scan);
}

/* bin(time, width) op v: time lies in [bin, bin + width), so these bounds hold; not more than that. */
static void narrow_by_bin(struct plan *scan, enum cmp op, int64_t v, int64_t width)
{
	int64_t end;

	if (width <= 0)
		return;
	if (op == CMP_GT || op == CMP_GE || op == CMP_EQ)
		narrow(scan, CMP_GE, v);
	if ((op == CMP_LT || op == CMP_LE || op == CMP_EQ) && !__builtin_add_overflow(v, width, &end))
		narrow(scan, CMP_LT, end);
}

/* 1: the condition is in [t_lo, t_hi] now. */
static int take_time(struct plan *scan, const struct bx *x)
{
	for (int mirrored = 0; mirrored < 2; mirrored++) {
		enum cmp op = cmp_of(x, mirrored);
		const struct bx *of, *v;

		if (op == CMP_NONE)
			return 0;
		of = x->args[mirrored];
		v = x->args[!mirrored];
		if (v->kind != BX_CONST || v->type->kind != TY_TIMESTAMP)
			continue;
		if (is_time(scan, of)) {
			if (bx_is_null(v))
				no_rows(scan); /* never TRUE */
			else
				narrow(scan, op, bx_i64(v));
			return 1;
		}
		if (is_bin(scan, of) && !bx_is_null(v))
			narrow_by_bin(scan, op, bx_i64(v), bx_i64(of->args[1]));
	}
	return 0;
}

/* ---- the scan's series -------------------------------------------------------------------------------- */

/* Something that cannot be answered from a series' dimensions, or could fail. */
static bool not_of_series(const struct bx *x, void *ctx)
{
	static const char *const calls[] = {"=", "<>", "<", "<=", ">", ">=", "like", "not", "is null",
					    "is distinct from"};
	const struct plan *scan = ctx;

	switch (x->kind) {
	case BX_CONST:
	case BX_AND:
	case BX_OR:
	case BX_IN:
		return false;
	case BX_COLUMN:
		return scan->scan_cols[x->index].kind != SCAN_DIMENSION &&
		       scan->scan_cols[x->index].kind != SCAN_MEASURE_NAME;
	case BX_CALL:
		for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
			if (!strcmp(x->func->name, calls[i]))
				return false;
		}
		return true;
	default:
		return true;
	}
}

static int push_scan(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list series = {0}, rest = {0};
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++) {
		struct bx *x = conds->v[i];

		if (bx_is_false(x) || bx_is_null(x))
			no_rows(p);
		else if (take_time(p, x))
			continue;
		else
			rc = bx_push(b, bx_any(x, not_of_series, p) ? &rest : &series, x);
	}
	if (rc >= 0 && series.n) {
		p->series_where = bx_logic(b, BX_AND, series.v, series.n, series.v[0]->pos);
		if (!p->series_where)
			rc = bind_nomem(b);
	}
	return rc < 0 ? rc : filter_over(b, p, &rest, ret);
}

/* ---- other nodes ------------------------------------------------------------------------------------------ */

struct renames {
	const struct plan *project;
};

static bool is_computed(const struct bx *x, void *ctx)
{
	const struct plan *p = ctx;

	return x->kind == BX_COLUMN && p->exprs[x->index]->kind != BX_COLUMN &&
	       p->exprs[x->index]->kind != BX_CONST;
}

/* Through columns that the PROJECT only renames; what it computes would be computed twice. */
static int push_project(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list below = {0}, above = {0};
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++) {
		struct bx *x = conds->v[i];

		if (bx_any(x, is_computed, p)) {
			rc = bx_push(b, &above, x);
			continue;
		}
		x = bx_substitute(b, x, p->exprs);
		rc = x ? bx_push(b, &below, x) : failed(b);
	}
	if (rc >= 0)
		rc = push(b, p->children[0], &below, &p->children[0]);
	return rc < 0 ? rc : filter_over(b, p, &above, ret);
}

static bool is_no_plain_group(const struct bx *x, void *ctx)
{
	const struct plan *p = ctx;

	return x->kind == BX_COLUMN && (x->index >= p->group_count || p->groups[x->index]->kind != BX_COLUMN);
}

/* A condition on a group that is a plain column holds for all its rows or for none. */
static int push_agg(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list below = {0}, above = {0};
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++) {
		struct bx *x = conds->v[i];

		if (p->is_global || bx_any(x, is_no_plain_group, p)) {
			rc = bx_push(b, &above, x);
			continue;
		}
		x = bx_substitute(b, x, p->groups);
		rc = x ? bx_push(b, &below, x) : failed(b);
	}
	if (rc >= 0)
		rc = push(b, p->children[0], &below, &p->children[0]);
	return rc < 0 ? rc : filter_over(b, p, &above, ret);
}

static int push_union(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	for (uint32_t i = 0; i < p->child_count; i++) {
		struct bx_list copy = {0};
		int rc = 0;

		for (uint32_t k = 0; k < conds->n && rc >= 0; k++)
			rc = bx_push(b, &copy, conds->v[k]);
		if (rc >= 0)
			rc = push(b, p->children[i], &copy, &p->children[i]);
		if (rc < 0)
			return rc;
	}
	*ret = p;
	return 0;
}

/* Nothing passes: the children get their own conditions only. */
static int push_none(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	for (uint32_t i = 0; i < p->child_count; i++) {
		struct bx_list none = {0};
		int rc = push(b, p->children[i], &none, &p->children[i]);

		if (rc < 0)
			return rc;
	}
	return filter_over(b, p, conds, ret);
}

/* A condition with random() in it, or one that could fail, stays where it was written. */
static bool is_movable(const struct bx *x)
{
	return !bx_is_volatile(x);
}

static int push_filter(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret)
{
	struct bx_list own = {0};
	bool movable = true;
	int rc = bx_conjuncts(b, p->where, &own);

	for (uint32_t i = 0; i < own.n; i++)
		movable = movable && is_movable(own.v[i]);
	for (uint32_t i = 0; i < conds->n && rc >= 0; i++)
		rc = bx_push(b, &own, conds->v[i]);
	if (rc < 0)
		return rc;
	if (movable)
		return push(b, p->children[0], &own, ret);
	rc = push_none(b, p->children[0], &(struct bx_list){0}, ret);
	return rc < 0 ? rc : filter_over(b, *ret, &own, ret);
}

static int push(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret)
{
	switch (p->kind) {
	case PLAN_SCAN:
		return push_scan(b, p, conds, ret);
	case PLAN_FILTER:
		return push_filter(b, p, conds, ret);
	case PLAN_PROJECT:
		return push_project(b, p, conds, ret);
	case PLAN_AGG:
		return push_agg(b, p, conds, ret);
	case PLAN_SORT:
		if (p->limit == UINT64_MAX && !p->offset) {
			*ret = p;
			return push(b, p->children[0], conds, &p->children[0]);
		}
		return push_none(b, p, conds, ret);
	case PLAN_UNION:
		return push_union(b, p, conds, ret);
	case PLAN_VALUES:
	case PLAN_LIMIT:
	case PLAN_DELETE:
	case PLAN_INSERT:
		break;
	}
	return push_none(b, p, conds, ret);
}

int plan_pushdown(struct bind *b, struct plan *p, struct plan **ret)
{
	struct bx_list none = {0};

	return push(b, p, &none, ret);
}
