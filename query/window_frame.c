/*
 * window_frame: which rows a row's frame has.
 *
 * ROWS counts rows and GROUPS counts groups of peers; both are arithmetic. RANGE without offsets looks at
 * peers. RANGE with an offset looks for the first key that is not before (or that is behind) a bound:
 *
 *	key:     1  2  2  5  7  9  9  NULL        the frame of 7, RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING:
 *	                  [  ^  )                 bounds 5 and 8
 *
 * As bounds move with the rows, the search begins where the one before ended, in steps that double. Bounds
 * of whole numbers and times are 128 bits wide, so that none overflows. A row whose key is NULL has its
 * peers for a frame, and no other row's offset reaches a NULL.
 */
#include "query/window.h"
#include "query/func_time.h"

#include <math.h>

enum window_reach window_frame_reach(const struct plan_window *f)
{
	bool starts = f->start.kind == BOUND_UNBOUNDED_PRECEDING || f->start.kind == BOUND_CURRENT;

	if (!starts || f->end.kind != BOUND_CURRENT)
		return REACH_ALL;
	return f->unit == FRAME_ROWS ? REACH_ROW : REACH_PEERS;
}

static const char *side(bool is_end)
{
	return is_end ? "end" : "start";
}

static int bad_offset(const struct bx *x, bool is_end, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "line %u:%u: the offset of the frame's %s %s", x->pos.line, x->pos.col,
		       side(is_end), what);
}

/* The bound's offset in row r, a whole number. */
static int count_offset(const struct window_rows *w, const struct bx *x, uint32_t r, bool is_end, uint64_t *ret,
			struct err *e)
{
	uint32_t at;
	const struct vec *v = window_arg(w, x, r, &at);

	if (vec_is_null(v, at))
		return bad_offset(x, is_end, "must not be NULL", e);
	if (v->i64[at] < 0)
		return bad_offset(x, is_end, "must not be negative", e);
	*ret = (uint64_t)v->i64[at];
	return 0;
}

static bool has_offset(const struct plan_bound *b)
{
	return b->kind == BOUND_PRECEDING || b->kind == BOUND_FOLLOWING;
}

/*
 * The place of a bound among places [lo, hi), seen from place p: the first place of the frame or, for an
 * end, the one behind its last.
 */
static uint32_t count_bound(enum bound_kind kind, uint64_t offset, uint32_t p, uint32_t lo,
			    uint32_t hi, bool is_end)
{
	switch (kind) {
	case BOUND_UNBOUNDED_PRECEDING:
		return lo;
	case BOUND_PRECEDING:
		return offset > p - lo ? lo : p - (uint32_t)offset + is_end;
	case BOUND_CURRENT:
		return p + is_end;
	case BOUND_FOLLOWING:
		return offset >= hi - p ? hi : p + (uint32_t)offset + is_end;
	case BOUND_UNBOUNDED_FOLLOWING:
		break;
	}
	return hi;
}

/* ---- ROWS, GROUPS, and RANGE of peers --------------------------------------------------------------- */

static int bound_by_count(const struct window_rows *w, const struct window_part *part, const struct plan_window *f,
			  const struct plan_bound *b, bool is_end, uint32_t r, uint32_t *ret, struct err *e)
{
	uint64_t offset = 0;
	int rc = has_offset(b) ? count_offset(w, b->offset, r, is_end, &offset, e) : 0;

	if (rc < 0)
		return rc;
	if (f->unit == FRAME_ROWS)
		*ret = count_bound(b->kind, offset, r, part->at, part->end, is_end);
	else if (b->kind == BOUND_UNBOUNDED_PRECEDING)
		*ret = part->at;
	else if (b->kind == BOUND_UNBOUNDED_FOLLOWING)
		*ret = part->end;
	else
		*ret = w->peer_at[count_bound(b->kind, offset, w->peer_of[r], part->peers_at,
					      part->peers_end, is_end)];
	return 0;
}

/* ---- RANGE by value ----------------------------------------------------------------------------------- */

/* A key, or a bound between keys. */
struct point {
	i128 i;
	double f;
};

struct ranger {
	const struct window_rows *w;
	const struct plan_key *key;
	const struct type *type;
	bool is_double;  /* points are compared by f */
	bool is_days;    /* the key is a date, and the offset in nanoseconds */
	uint32_t lo, hi; /* the part's rows whose key is not NULL */
};

#define BEYOND ((i128)1 << 100) /* farther than any key */

static int f64_order(double a, double b)
{
	if (isnan(a) || isnan(b))
		return !!isnan(a) - !!isnan(b);
	return (a > b) - (a < b);
}

static double f64_of(const struct vec *v, uint32_t at)
{
	return type_layout(v->type) == LAYOUT_F64 ? v->f64[at] : (double)v->i64[at];
}

static struct point point_of(const struct ranger *g, uint32_t r)
{
	const struct vec *v = row_store_vec(&g->w->store, r, g->key->col);
	uint32_t at = row_store_at(r);

	if (g->is_double)
		return (struct point){.f = f64_of(v, at)};
	return (struct point){.i = g->is_days ? (i128)v->i64[at] * NS_PER_DAY : v->i64[at]};
}

static bool is_null_key(const struct ranger *g, uint32_t r)
{
	return vec_is_null(row_store_vec(&g->w->store, r, g->key->col), row_store_at(r));
}

/* x moved by the offset of row r. */
static int move(const struct ranger *g, struct point *x, const struct bx *offset, uint32_t r, bool up, bool is_end,
		struct err *e)
{
	uint32_t at;
	const struct vec *v = window_arg(g->w, offset, r, &at);
	int64_t to;

	if (vec_is_null(v, at))
		return bad_offset(offset, is_end, "must not be NULL", e);
	if (g->is_double) {
		double by = f64_of(v, at);

		if (!(by >= 0))
			return bad_offset(offset, is_end,
					  isnan(by) ? "must not be NaN" : "must not be negative",
					  e);
		if (isinf(by) && !isnan(x->f)) /* not Infinity - Infinity */
			x->f = up ? (double)INFINITY : -(double)INFINITY;
		else
			x->f += up ? by : -by;
		return 0;
	}
	if (v->i64[at] < 0)
		return bad_offset(offset, is_end, "must not be negative", e);
	if (v->type->kind != TY_INTERVAL_YM || g->type->kind == TY_INTERVAL_YM) {
		x->i += up ? v->i64[at] : -(i128)v->i64[at];
		return 0;
	}
	if (g->type->kind == TY_DATE ? date_add_months((int64_t)x->i, up ? v->i64[at] : -v->i64[at], &to) < 0
				     : timestamp_add_months((int64_t)x->i, up ? v->i64[at] : -v->i64[at], &to) < 0)
		x->i = up ? BEYOND : -BEYOND;
	else
		x->i = to;
	return 0;
}

/* Does row r come before the bound; or at it, where the bound is an end? */
static bool is_before(const struct ranger *g, uint32_t r, const struct point *bound, bool is_end)
{
	struct point x = point_of(g, r);
	int c = g->is_double ? f64_order(x.f, bound->f) : (x.i > bound->i) - (x.i < bound->i);

	if (g->key->desc)
		c = -c;
	return is_end ? c <= 0 : c < 0;
}

/* The first row of [lo, hi) that is not before the bound; near `hint`, as a rule. */
static uint32_t seek(const struct ranger *g, const struct point *bound, bool is_end, uint32_t hint)
{
	uint32_t lo = g->lo, hi = g->hi, step = 1;

	hint = MIN(MAX(hint, lo), hi);
	if (hint < hi && is_before(g, hint, bound, is_end)) {
		lo = hint + 1;
		while (step < hi - lo && is_before(g, lo + step, bound, is_end)) {
			lo += step + 1;
			step *= 2;
		}
		hi = step < hi - lo ? lo + step : hi;
	} else {
		hi = hint;
		while (step < hi - lo && !is_before(g, hi - step, bound, is_end)) {
			hi -= step;
			step *= 2;
		}
		lo = step < hi - lo ? hi - step : lo;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (is_before(g, mid, bound, is_end))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct ranger ranger_of(const struct window_rows *w, const struct window_part *part,
			       const struct plan_bound *b)
{
	const struct plan_key *k = &w->plan->keys[w->plan->partition_count];
	const struct type *t = w->plan->children[0]->cols[k->col].type, *by = b->offset->type;
	struct ranger g = {
		.w = w,
		.key = k,
		.type = t,
		.is_double = t->kind == TY_DOUBLE || by->kind == TY_DOUBLE,
		.is_days = t->kind == TY_DATE && by->kind == TY_INTERVAL_DS,
		.lo = part->at,
		.hi = part->end,
	};

	if (is_null_key(&g, part->at)) /* NULLs are the first peers, or the last */
		g.lo = w->peer_at[part->peers_at + 1];
	else if (is_null_key(&g, part->end - 1))
		g.hi = w->peer_at[part->peers_end - 1];
	return g;
}

static int bound_by_value(const struct ranger *g, const struct plan_bound *b, bool is_end,
			  uint32_t r, uint32_t hint, uint32_t *ret, struct err *e)
{
	const struct window_rows *w = g->w;
	struct point x = {0};
	bool up = (b->kind == BOUND_FOLLOWING) != g->key->desc;
	int rc;

	if (is_null_key(g, r)) {
		uint32_t at;

		/* Its peers; but a wrong offset is wrong for every row. */
		rc = move(g, &x, b->offset, r, up, is_end, e);
		at = w->peer_at[w->peer_of[r] + is_end];
		*ret = at;
		return rc;
	}
	x = point_of(g, r);
	rc = move(g, &x, b->offset, r, up, is_end, e);
	if (rc >= 0)
		*ret = seek(g, &x, is_end, hint);
	return rc;
}

/* ---- both bounds ------------------------------------------------------------------------------------------ */

static int bounds(const struct window_rows *w, const struct window_part *part,
		  const struct plan_window *f, bool is_end, uint32_t from, uint32_t to,
		  struct window_range *ret, struct err *e)
{
	const struct plan_bound *b = is_end ? &f->end : &f->start;
	bool by_value = f->unit == FRAME_RANGE && has_offset(b);
	struct ranger g = {0};
	uint32_t at = from;
	int rc = 0;

	if (by_value)
		g = ranger_of(w, part, b);
	for (uint32_t r = from; r < to && rc >= 0; r++) {
		rc = by_value ? bound_by_value(&g, b, is_end, r, at, &at, e)
			      : bound_by_count(w, part, f, b, is_end, r, &at, e);
		if (is_end)
			ret[r - from].to = at;
		else
			ret[r - from].from = at;
	}
	return rc;
}

int window_frames(const struct window_rows *w, const struct window_part *part,
		  const struct plan_window *f, uint32_t from, uint32_t to, struct window_range *ret,
		  struct err *e)
{
	int rc = bounds(w, part, f, false, from, to, ret, e);

	return rc < 0 ? rc : bounds(w, part, f, true, from, to, ret, e);
}
