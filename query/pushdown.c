/*
 * pushdown: conditions to where they spare work.
 *
 * Walking down, a list of conditions (conjuncts over the columns of the node at hand) is carried along.
 * A FILTER adds its own; what can pass a node is rewritten over its child's columns, what cannot becomes
 * a FILTER above it. At a scan
 *
 *	time <op> constant                     narrows [t_lo, t_hi], exactly, and is gone
 *	over dimensions and measure_name only  goes to series_where and is gone
 *	likewise, but it could fail            stays; series_where gets it with "or it failed" (bx_hint())
 *	bin(time, i) <op> constant             narrows [t_lo, t_hi] and stays, as a bin is wider than that
 *
 * Nothing that could fail moves below something that could have spared it: conditions with calls that
 * are not known to work on all values stay in their order, in the filter right above the scan.
 */
#include "query/pushdown.h"

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

int filter_over(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
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

/* What a condition needs: the worst of what its parts need. */
enum needs {
	NEEDS_SERIES, /* dimensions and measure_name, by calls that never fail */
	NEEDS_CARE,   /* these too, but it could fail for some of their values */
	NEEDS_ROWS,
};

/* Calls that work on all values of their types. */
static bool is_total(const struct bx *x)
{
	static const char *const calls[] = {
		"=", "<>", "<", "<=", ">", ">=", "not", "is null", "is distinct from", "||", "concat", "greatest", "least",
		"length", "lower", "upper", "ltrim", "rtrim", "trim", "reverse", "substr",
	};

	/* The third is the escape character: a pattern may misuse it. */
	if (!strcmp(x->func->name, "like"))
		return x->argc == 2 || (x->args[1]->kind == BX_CONST && x->args[2]->kind == BX_CONST);
	if (!strcmp(x->func->name, "strpos") || !strcmp(x->func->name, "strrpos"))
		return x->argc == 2; /* the third must be positive */
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (!strcmp(x->func->name, calls[i]))
			return true;
	}
	return false;
}

static enum needs needs_of(const struct plan *scan, const struct bx *x, bool *ret_dimension)
{
	enum needs worst = NEEDS_SERIES;
	enum scan_col_kind k;

	switch (x->kind) {
	case BX_CONST:
	case BX_AND:
	case BX_OR:
	case BX_IN:
	case BX_CASE:
	case BX_COALESCE:
	case BX_TRY:
		break;
	case BX_COLUMN:
		k = scan->scan_cols[x->index].kind;
		if (k != SCAN_DIMENSION && k != SCAN_MEASURE_NAME)
			return NEEDS_ROWS;
		*ret_dimension = true;
		break;
	case BX_CALL:
		worst = is_total(x) ? NEEDS_SERIES : NEEDS_CARE;
		break;
	case BX_CAST:
		worst = x->is_try ? NEEDS_SERIES : NEEDS_CARE;
		break;
	default:
		worst = NEEDS_CARE;
		break;
	}
	for (uint32_t i = 0; i < x->argc; i++) {
		enum needs n = needs_of(scan, x->args[i], ret_dimension);

		worst = MAX(worst, n);
	}
	return x->kind == BX_TRY && worst == NEEDS_CARE ? NEEDS_SERIES : worst;
}

/* Arithmetic that does not fail: of doubles, and of the times there are with spans that are constants. */
static bool is_safe_arithmetic(const struct bx *x)
{
	static const char *const names[] = {"+", "-", "*", "/", "neg", "round", "floor", "ceil", "abs", "bin", "date_trunc"};
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(names) && !known; i++)
		known = !strcmp(x->func->name, names[i]);
	if (!known)
		return false;
	if (x->type->kind == TY_DOUBLE)
		return x->argc == 1 || x->args[1]->type->kind == TY_DOUBLE;
	if (x->type->kind != TY_TIMESTAMP || x->argc != 2)
		return false;
	for (uint32_t i = 0; i < 2; i++) {
		const struct bx *span = x->args[i];

		if (span->kind != BX_CONST || bx_is_null(span))
			continue;
		if (span->type->kind == TY_INTERVAL_DS)
			return strcmp(x->func->name, "bin") != 0 || bx_i64(span) > 0;
		if (span->type->kind == TY_VARCHAR)
			return !strcmp(x->func->name, "date_trunc");
	}
	return false;
}

static bool node_can_fail(const struct bx *x)
{
	switch (x->kind) {
	case BX_CALL:
		return !is_total(x) && !is_safe_arithmetic(x);
	case BX_CAST:
		return !x->is_try && type_coercion(x->args[0]->type, x->type, false) < 0;
	case BX_CONST:
	case BX_COLUMN:
	case BX_AND:
	case BX_OR:
	case BX_CASE:
	case BX_COALESCE:
	case BX_TRY:
	case BX_IN:
	case BX_ROW:
	case BX_FIELD:
	case BX_ARRAY:
	case BX_OUTER:
		return false;
	default:
		return true;
	}
}

bool bx_can_fail(const struct bx *x)
{
	if (x->kind == BX_TRY)
		return false;
	if (node_can_fail(x))
		return true;
	for (uint32_t i = 0; i < x->argc; i++) {
		if (bx_can_fail(x->args[i]))
			return true;
	}
	return false;
}

bool bx_can_only_overflow(const struct bx *x)
{
	static const char *const names[] = {"+", "-", "*", "neg", "abs"};
	bool known = !node_can_fail(x);

	if (x->kind == BX_TRY)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names) && !known && x->kind == BX_CALL; i++)
		known = !strcmp(x->func->name, names[i]) && (x->type->kind == TY_INTEGER || x->type->kind == TY_BIGINT);
	for (uint32_t i = 0; i < x->argc && known; i++)
		known = bx_can_only_overflow(x->args[i]);
	return known;
}

/*
 * TRUE where x is TRUE or fails: coalesce(try(coalesce(x, false)), true). A series for which it is not
 * TRUE has no row to give; one for which it fails is asked again by the filter above, row by row, and
 * only if it has rows there.
 */
int bx_hint(struct bind *b, struct bx *x, struct bx **ret)
{
	struct bx *inner = bx_new(b, BX_COALESCE, &type_boolean, x->pos, 2);
	struct bx *try = bx_new(b, BX_TRY, &type_boolean, x->pos, 1);
	struct bx *outer = bx_new(b, BX_COALESCE, &type_boolean, x->pos, 2);
	int rc;

	if (!inner || !try || !outer)
		return bind_nomem(b);
	inner->args[0] = x;
	try->args[0] = inner;
	outer->args[0] = try;
	rc = bind_const_bool(b, false, x->pos, &inner->args[1]);
	if (rc >= 0)
		rc = bind_const_bool(b, true, x->pos, &outer->args[1]);
	*ret = outer;
	return rc;
}

static int push_condition(struct bind *b, const struct plan *scan, struct bx *x, struct bx_list *series,
			  struct bx_list *rest)
{
	bool dimension = false;
	enum needs n = needs_of(scan, x, &dimension);
	struct bx *hint = NULL;
	int rc;

	if (n == NEEDS_SERIES)
		return bx_push(b, series, x);
	rc = bx_push(b, rest, x);
	if (rc < 0 || n == NEEDS_ROWS || !dimension)
		return rc;
	rc = bx_hint(b, x, &hint);
	return rc < 0 ? rc : bx_push(b, series, hint);
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
			rc = push_condition(b, p, x, &series, &rest);
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

/* A grouping set that lacks the group has NULL there, whatever its rows have. */
static bool is_no_plain_group(const struct bx *x, void *ctx)
{
	const struct plan *p = ctx;

	if (x->kind != BX_COLUMN)
		return false;
	if (x->index >= p->group_count || p->groups[x->index]->kind != BX_COLUMN)
		return true;
	for (uint32_t s = 0; s < p->set_count; s++) {
		if (!p->sets[s * (p->group_count - 1) + x->index])
			return true;
	}
	return false;
}

static bool has_empty_set(const struct plan *p)
{
	for (uint32_t s = 0; s < p->set_count; s++) {
		if (!memchr(p->sets + s * (p->group_count - 1), true, p->group_count - 1))
			return true;
	}
	return p->is_global;
}

/* A condition on a group that is a plain column holds for all its rows or for none. */
static int push_agg(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list below = {0}, above = {0};
	bool is_global = has_empty_set(p);
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++) {
		struct bx *x = conds->v[i];

		if (is_global || bx_any(x, is_no_plain_group, p)) {
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

static bool is_no_partition(const struct bx *x, void *ctx)
{
	const struct plan *p = ctx;
	uint32_t k = 0;

	if (x->kind != BX_COLUMN)
		return false;
	while (k < p->partition_count && p->keys[k].col != x->index)
		k++;
	return k == p->partition_count;
}

/* A condition on what the rows are parted by holds for all rows of a partition or for none. */
static int push_window(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list below = {0}, above = {0};
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++)
		rc = bx_push(b, bx_any(conds->v[i], is_no_partition, p) ? &above : &below, conds->v[i]);
	if (rc >= 0)
		rc = push(b, p->children[0], &below, &p->children[0]);
	return rc < 0 ? rc : filter_over(b, p, &above, ret);
}

static bool is_unnested(const struct bx *x, void *ctx)
{
	const struct plan *p = ctx;

	return x->kind == BX_COLUMN && p->items[x->index].kind != ITEM_CHILD;
}

/*
 * A condition on the child's columns holds for all rows that come of a row or for none. One that could fail
 * must not meet a row of which none comes.
 */
static int push_unnest(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct bx_list below = {0}, above = {0};
	uint32_t *map = arena_zarray(b->arena, uint32_t, p->col_count + 1);
	int rc = 0;

	if (!map)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++)
		map[i] = p->items[i].index;
	for (uint32_t i = 0; i < conds->n && rc >= 0; i++) {
		struct bx *x = conds->v[i];

		if (bx_any(x, is_unnested, p) || bx_is_volatile(x) || (!p->keep_empty && bx_can_fail(x))) {
			rc = bx_push(b, &above, x);
			continue;
		}
		x = bx_remap(b, x, map);
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
	rc = push(b, p->children[0], &(struct bx_list){0}, ret);
	return rc < 0 ? rc : filter_over(b, *ret, &own, ret);
}

int push(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret)
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
	case PLAN_WINDOW:
		return push_window(b, p, conds, ret);
	case PLAN_UNION:
		return push_union(b, p, conds, ret);
	case PLAN_UNNEST:
		return push_unnest(b, p, conds, ret);
	case PLAN_JOIN:
		return push_join(b, p, conds, ret);
	case PLAN_RECURSIVE: /* a row that is left out may be the one that others come of */
	case PLAN_WORKING:
	case PLAN_VALUES:
	case PLAN_LIMIT:
	case PLAN_DELETE:
	case PLAN_INSERT:
	case PLAN_UNLOAD:
	case PLAN_ANALYZE:
		break;
	}
	return push_none(b, p, conds, ret);
}

int plan_pushdown(struct bind *b, struct plan *p, struct plan **ret)
{
	struct bx_list none = {0};

	return push(b, p, &none, ret);
}
