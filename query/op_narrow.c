#include "query/op_narrow.h"

static int narrow_column(struct op *o, uint32_t col, const struct narrowing *n, struct err *e);

/* x is y + shift, or up to `width` below it: what y must be in. False: no int64 is that far away. */
static bool shift_range(struct narrowing *n, int64_t shift, int64_t width)
{
	/* Open ends stay open. */
	if (n->lo != INT64_MIN && __builtin_sub_overflow(n->lo, shift, &n->lo))
		return false;
	if (n->hi == INT64_MAX)
		return true;
	return !__builtin_sub_overflow(n->hi, shift, &n->hi) && !__builtin_add_overflow(n->hi, width, &n->hi);
}

static bool is_span(const struct bx *x)
{
	return x->kind == BX_CONST && x->type->kind == TY_INTERVAL_DS && !vec_is_null(&x->value, 0);
}

/* bin(y, span), y + span, y - span: the range of y. */
static const struct bx *see_through(const struct bx *x, struct narrowing *n)
{
	const char *name = x->func->name;
	int64_t span;

	if (x->argc != 2 || !is_span(x->args[1]) || x->type->kind != TY_TIMESTAMP || !n->is_range)
		return NULL;
	span = x->args[1]->value.i64[0];
	if (!strcmp(name, "bin"))
		return span > 0 && shift_range(n, 0, span - 1) ? x->args[0] : NULL;
	if (!strcmp(name, "+"))
		return shift_range(n, span, 0) ? x->args[0] : NULL;
	if (!strcmp(name, "-"))
		return span != INT64_MIN && shift_range(n, -span, 0) ? x->args[0] : NULL;
	return NULL;
}

int op_narrow(struct op *o, const struct bx *x, uint32_t first, const struct narrowing *n, struct err *e)
{
	struct narrowing own = *n;

	while (o && x) {
		if (x->kind == BX_COLUMN)
			return narrow_column(o, x->index - first, &own, e);
		x = x->kind == BX_CALL ? see_through(x, &own) : NULL;
	}
	return 0;
}

static int narrow_join(struct op *o, uint32_t col, const struct narrowing *n, struct err *e)
{
	const struct plan *p = o->plan;
	uint32_t left_n = p->children[0]->col_count;
	bool is_left = col < left_n;
	int rc = 0;

	if (!is_left && (p->join == PJ_MARK || p->join == PJ_SINGLE))
		return 0;
	/* A row that loses its match has NULL there, if it comes at all; so it does not matter either. */
	rc = o->children[!is_left] ? narrow_column(o->children[!is_left], is_left ? col : col - left_n, n, e) : 0;
	for (uint32_t i = 0; i < p->join_key_count && rc >= 0; i++) {
		const struct plan_join_key *k = &p->join_keys[i];
		const struct bx *own = is_left ? k->left : k->right;
		if (p->join != PJ_INNER || own->kind != BX_COLUMN || own->index != (is_left ? col : col - left_n))
			continue;
		rc = op_narrow(o->children[is_left], is_left ? k->right : k->left, 0, n, e);
	}
	return rc;
}

static int narrow_column(struct op *o, uint32_t col, const struct narrowing *n, struct err *e)
{
	const struct plan *p = o->plan;
	int rc = 0;

	switch (p->kind) {
	case PLAN_SCAN:
		return op_scan_narrow(o, col, n, e);
	case PLAN_FILTER:
		return o->children[0] ? narrow_column(o->children[0], col, n, e) : 0;
	case PLAN_SORT: /* a limit counts all rows */
		return o->children[0] && p->limit == UINT64_MAX && !p->offset ? narrow_column(o->children[0], col, n, e)
									       : 0;
	case PLAN_PROJECT:
		return op_narrow(o->children[0], p->exprs[col], 0, n, e);
	case PLAN_AGG: /* all rows of a group that matters have its key */
		return col < p->group_count ? op_narrow(o->children[0], p->groups[col], 0, n, e) : 0;
	case PLAN_UNION:
		for (uint32_t i = 0; i < o->child_count && rc >= 0; i++)
			rc = o->children[i] ? narrow_column(o->children[i], col, n, e) : 0;
		return rc;
	case PLAN_JOIN:
		return narrow_join(o, col, n, e);
	default:
		return 0;
	}
}
