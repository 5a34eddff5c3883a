/*
 * Window functions of one SELECT.
 *
 *	... -> AGG -> FILTER (HAVING) -> PROJECT -> (SORT -> WINDOW)... -> PROJECT (the list)
 *
 * A call leaves a mark, a column numbered from WINDOW_MARK on, and is collected with the window it is over.
 * Both are bound over the columns of FROM and aggregates' marks, so with groups they are rewritten like the
 * list. At the end one PROJECT works out all keys, arguments, conditions and offsets that are no plain
 * columns; then calls over the same PARTITION BY and ORDER BY share a WINDOW node, and the others are
 * stacked upon it, those with the most keys at the bottom: what they sort may do for the others.
 */
#include "query/bind.h"

/* A window as written: in OVER (...) or in the WINDOW clause. */
struct window_spec {
	struct pos pos;
	struct bx_list partition, order;
	struct plan_key *keys; /* directions of order; .col is not known yet */
	bool has_frame;
	enum frame_kind unit;
	struct plan_bound start, end;
};

struct named_window {
	const struct named_window *next; /* declared before */
	const struct ident *name;
	struct window_spec *spec;
};

struct windowed {
	struct plan_window w; /* its frame is the spec's */
	struct window_spec *spec;
	bool is_placed;
	uint32_t col; /* of the plan, once placed */
};

/* ---- sentences ------------------------------------------------------------------------------------- */

static int misplaced(struct bind_ctx *c, struct pos at, const char *name)
{
	struct bind *b = c->b;

	if (c->in_window)
		return bind_fail(b, at, "the window function %s() stands inside another one; take one of them in a "
					"subquery", name);
	if (c->in_agg)
		return bind_fail(b, at, "the window function %s() stands inside an aggregate; take it in a subquery",
				 name);
	return bind_fail(b, at, "the window function %s() cannot stand in %s, but only in the select list and ORDER "
				"BY; take it in a subquery: SELECT ... FROM (SELECT ..., %s(...) OVER (...) AS w "
				"FROM ...)", name, c->clause, name);
}

static const char *const frame_names[] = {
	[FRAME_NONE] = "", [FRAME_ROWS] = "ROWS", [FRAME_RANGE] = "RANGE", [FRAME_GROUPS] = "GROUPS",
};

/* ---- frames ------------------------------------------------------------------------------------------ */

static int check_bounds(struct bind *b, const struct ast_window *w)
{
	if (w->start == BOUND_UNBOUNDED_FOLLOWING)
		return bind_fail(b, w->pos, "a frame cannot start at UNBOUNDED FOLLOWING");
	if (w->end == BOUND_UNBOUNDED_PRECEDING)
		return bind_fail(b, w->pos, "a frame cannot end at UNBOUNDED PRECEDING");
	if (w->start == BOUND_CURRENT && w->end == BOUND_PRECEDING)
		return bind_fail(b, w->pos, "a frame that starts at CURRENT ROW cannot end at one PRECEDING");
	if (w->start == BOUND_FOLLOWING && w->end == BOUND_PRECEDING)
		return bind_fail(b, w->pos, "a frame that starts FOLLOWING cannot end PRECEDING");
	if (w->start == BOUND_FOLLOWING && w->end == BOUND_CURRENT)
		return bind_fail(b, w->pos, "a frame that starts FOLLOWING cannot end at CURRENT ROW; write BETWEEN "
					    "... AND ... FOLLOWING");
	return 0;
}

static bool is_whole(const struct type *t)
{
	return t->kind == TY_INTEGER || t->kind == TY_BIGINT;
}

/* May RANGE add this to such a key? */
static bool is_distance(const struct type *key, const struct type *by)
{
	bool ds = by->kind == TY_INTERVAL_DS, ym = by->kind == TY_INTERVAL_YM;

	switch (key->kind) {
	case TY_INTEGER:
	case TY_BIGINT:
	case TY_DOUBLE:
		return type_is_number(by);
	case TY_DATE:
	case TY_TIMESTAMP:
		return ds || ym;
	case TY_TIME:
	case TY_INTERVAL_DS:
		return ds;
	case TY_INTERVAL_YM:
		return ym;
	default:
		return false;
	}
}

static int range_offset(struct bind *b, const struct window_spec *s, const struct bx *x)
{
	const struct type *key;

	if (s->order.n != 1)
		return bind_fail(b, x->pos, "RANGE with an offset needs an ORDER BY of one expression, to which it is "
					    "added; there are %u", s->order.n);
	key = s->order.v[0]->type;
	if (is_distance(key, x->type))
		return 0;
	if (is_distance(key, &type_bigint) || is_distance(key, &type_interval_ds) ||
	    is_distance(key, &type_interval_ym))
		return bind_fail(b, x->pos, "RANGE cannot add %s to an ORDER BY of type %s; it takes %s",
				 type_name(b->arena, x->type), type_name(b->arena, key),
				 type_is_number(key) ? "a number" : "an interval, such as 1h or INTERVAL '1' DAY");
	return bind_fail(b, x->pos, "RANGE with an offset needs an ORDER BY of a number, a time or an interval, not of "
				    "type %s", type_name(b->arena, key));
}

static int bind_bound(struct bind_ctx *c, const struct window_spec *s, enum bound_kind kind, const struct ast_expr *x,
		      struct plan_bound *ret)
{
	int rc;

	ret->kind = kind;
	if (!x)
		return 0;
	rc = bind_expr(c, x, &ret->offset);
	if (rc < 0)
		return rc;
	if (ret->offset->type->kind == TY_UNKNOWN)
		return bind_fail(c->b, x->pos, "the offset of a frame must not be NULL");
	if (s->unit == FRAME_RANGE)
		return range_offset(c->b, s, ret->offset);
	if (!is_whole(ret->offset->type))
		return bind_fail(c->b, x->pos, "%s counts in whole numbers, but this offset is of type %s",
				 frame_names[s->unit], type_name(c->b->arena, ret->offset->type));
	return bind_coerce(c->b, ret->offset, &type_bigint, false, &ret->offset);
}

static int bind_frame(struct bind_ctx *c, const struct ast_window *w, struct window_spec *s)
{
	int rc;

	s->unit = FRAME_RANGE;
	s->start.kind = BOUND_UNBOUNDED_PRECEDING;
	s->end.kind = BOUND_CURRENT;
	if (w->frame == FRAME_NONE)
		return 0;
	s->has_frame = true;
	s->unit = w->frame;
	rc = check_bounds(c->b, w);
	if (rc < 0)
		return rc;
	if (w->frame == FRAME_GROUPS && !s->order.n)
		return bind_fail(c->b, w->pos, "GROUPS needs an ORDER BY that says what groups are");
	rc = bind_bound(c, s, w->start, w->start_expr, &s->start);
	return rc < 0 ? rc : bind_bound(c, s, w->end, w->end_expr, &s->end);
}

/* ---- windows -------------------------------------------------------------------------------------------- */

static const struct named_window *find_named(const struct windows *l, const struct ident *name)
{
	for (const struct named_window *n = l->named; n; n = n->next) {
		if (str_eq(n->name->text, name->text) || (!name->quoted && !n->name->quoted &&
							   str_ieq(n->name->text, name->text)))
			return n;
	}
	return NULL;
}

/* The window that w names; what w adds to it must not be there already. */
static int base_of(struct bind_ctx *c, const struct ast_window *w, const struct window_spec **ret)
{
	const struct named_window *n = find_named(c->windows, &w->name);
	struct bind *b = c->b;

	if (!n)
		return bind_fail(b, w->name.pos, "there is no window '%.*s'; a WINDOW clause names them, those that are "
						 "used by others first", STR_FMT(w->name.text));
	*ret = n->spec;
	if (w->partition.n)
		return bind_fail(b, w->partition.v[0]->pos, "PARTITION BY cannot be added to window '%.*s', only an "
							    "ORDER BY and a frame", STR_FMT(w->name.text));
	if (w->order.n && n->spec->order.n)
		return bind_fail(b, w->order.v[0].pos, "window '%.*s' has an ORDER BY already", STR_FMT(w->name.text));
	if (n->spec->has_frame)
		return bind_fail(b, w->name.pos, "window '%.*s' has a frame, so nothing can be added to it; write OVER "
						 "%.*s", STR_FMT(w->name.text), STR_FMT(w->name.text));
	return 0;
}

/* An expression to sort by. */
static int bind_key(struct bind_ctx *c, const struct ast_expr *x, const char *what, struct bx_list *to)
{
	struct bx *v;
	int rc = bind_expr(c, x, &v);

	if (rc < 0)
		return rc;
	if (v->type->kind == TY_LAMBDA || v->type->kind == TY_TIMESERIES)
		return bind_fail(c->b, x->pos, "%s cannot compare values of type %s", what,
				 type_name(c->b->arena, v->type));
	return bx_push(c->b, to, v);
}

static int bind_spec(struct bind_ctx *c, const struct ast_window *w, struct window_spec **ret)
{
	struct window_spec *s = arena_new(c->b->arena, struct window_spec);
	const struct window_spec *base = NULL;
	int rc = 0;

	if (!s)
		return bind_nomem(c->b);
	if (w->name.text.ptr)
		rc = base_of(c, w, &base);
	if (rc < 0)
		return rc;
	s->pos = w->pos;
	if (base) {
		s->partition = base->partition;
		s->order = base->order;
		s->keys = base->keys;
	}
	for (uint32_t i = 0; i < w->partition.n && rc >= 0; i++)
		rc = bind_key(c, w->partition.v[i], "PARTITION BY", &s->partition);
	if (rc >= 0 && w->order.n) {
		s->keys = arena_zarray(c->b->arena, struct plan_key, w->order.n);
		if (!s->keys)
			return bind_nomem(c->b);
	}
	for (uint32_t i = 0; i < w->order.n && rc >= 0; i++) {
		s->keys[i].desc = w->order.v[i].desc;
		s->keys[i].nulls_first = w->order.v[i].nulls == 1;
		rc = bind_key(c, w->order.v[i].expr, "ORDER BY", &s->order);
	}
	if (rc >= 0)
		rc = bind_frame(c, w, s);
	*ret = s;
	return rc;
}

/* What stands inside OVER (...) or a window function's parentheses. */
static struct bind_ctx inside(const struct bind_ctx *c)
{
	struct bind_ctx in = *c;

	in.in_window = true;
	in.outputs = NULL; /* ORDER BY: columns below, as inside aggregates */
	in.output_n = 0;
	return in;
}

/* OVER w is that window; OVER (w) and OVER (w ...) are new ones made of it. */
static bool is_name_alone(const struct ast_window *w)
{
	return w->name.text.ptr && w->pos.line == w->name.pos.line && w->pos.col == w->name.pos.col;
}

static int bind_over(struct bind_ctx *c, const struct ast_window *w, struct window_spec **ret)
{
	struct bind_ctx in = inside(c);
	const struct named_window *n;

	if (!is_name_alone(w))
		return bind_spec(&in, w, ret);
	n = find_named(c->windows, &w->name);
	if (!n)
		return bind_fail(c->b, w->name.pos, "there is no window '%.*s'; a WINDOW clause at the end of the SELECT "
						    "names them", STR_FMT(w->name.text));
	*ret = n->spec;
	return 0;
}

int bind_named_windows(struct bind_ctx *c, const struct window_list *l)
{
	struct bind_ctx in = inside(c);

	for (uint32_t i = 0; i < l->n; i++) {
		const struct ast_named_window *w = &l->v[i];
		struct named_window *n = arena_new(c->b->arena, struct named_window);
		int rc;

		if (!n)
			return bind_nomem(c->b);
		if (find_named(c->windows, &w->name))
			return bind_fail(c->b, w->name.pos, "WINDOW names '%.*s' twice", STR_FMT(w->name.text));
		rc = bind_spec(&in, w->window, &n->spec);
		if (rc < 0)
			return rc;
		n->name = &w->name;
		n->next = c->windows->named;
		c->windows->named = n;
	}
	return 0;
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

static int check_call(struct bind_ctx *c, const struct ast_expr *x, const char *name, bool is_agg)
{
	const struct ast_call *call = x->call;
	struct bind *b = c->b;

	if (!is_agg && !func_is_window(call->name.text)) {
		if (func_exists(call->name.text))
			return bind_fail(b, call->over->pos, "%s() is neither an aggregate nor a window function: OVER does "
							     "not apply to it", name);
		return 0; /* func_resolve() says that there is none, and what is near */
	}
	if (!c->windows || c->in_window || c->in_agg)
		return misplaced(c, x->pos, name);
	if (call->star && strcmp(name, "count") != 0)
		return bind_fail(b, x->pos, "only count takes '*'");
	if (call->distinct)
		return bind_fail(b, x->pos, "DISTINCT is not supported in a window function; take the distinct rows in a "
					    "subquery");
	if (call->order.n)
		return bind_fail(b, call->order.v[0].pos, "ORDER BY inside the parentheses does not go with OVER; the "
							  "window's ORDER BY says in which order rows come");
	if (call->filter && !is_agg)
		return bind_fail(b, call->filter->pos, "FILTER applies to aggregates, and %s() is none", name);
	return 0;
}

static int check_match(struct bind_ctx *c, const struct ast_expr *x, const struct plan_agg *a,
		       const struct window_spec *s)
{
	if (x->call->nulls && !(a->func->flags & FN_SKIPS_NULLS))
		return bind_fail(c->b, x->pos, "%s NULLS applies to lead, lag, first_value, last_value and nth_value, not "
					       "to %s()", x->call->nulls == 1 ? "IGNORE" : "RESPECT", a->func->name);
	if ((a->func->flags & FN_ORDERED) && !s->order.n)
		return bind_fail(c->b, x->call->over->pos, "%s() needs an ORDER BY in its window: OVER (ORDER BY ...)",
				 a->func->name);
	return 0;
}

static bool same_offset(const struct plan_bound *a, const struct plan_bound *b)
{
	return a->kind == b->kind && (a->offset ? b->offset && bx_same(a->offset, b->offset) : !b->offset);
}

static bool same_list(const struct bx_list *a, const struct bx_list *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (!bx_same(a->v[i], b->v[i]))
			return false;
	}
	return true;
}

/* The same rows in the same order? */
static bool same_order(const struct window_spec *a, const struct window_spec *b)
{
	if (!same_list(&a->partition, &b->partition) || !same_list(&a->order, &b->order))
		return false;
	for (uint32_t i = 0; i < a->order.n; i++) {
		if (a->keys[i].desc != b->keys[i].desc || a->keys[i].nulls_first != b->keys[i].nulls_first)
			return false;
	}
	return true;
}

static bool same_call(const struct windowed *a, const struct windowed *b)
{
	return bind_same_agg(&a->w.call, &b->w.call) && a->w.ignore_nulls == b->w.ignore_nulls &&
	       a->w.unit == b->w.unit && same_offset(&a->w.start, &b->w.start) &&
	       same_offset(&a->w.end, &b->w.end) && same_order(a->spec, b->spec);
}

static int calls_add(struct bind *b, struct windows *l, const struct windowed *w, uint32_t *ret)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (same_call(&l->v[i], w)) {
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
	l->v[l->n] = *w;
	*ret = l->n++;
	return 0;
}

/* An argument is worked out on the rows that the filter lets pass, and only there may it fail. */
static int guard_args(struct bind *b, struct plan_agg *a)
{
	for (uint32_t i = 0; i < a->argc; i++) {
		struct bx *x;
		int rc;

		if (a->args[i]->kind == BX_CONST || a->args[i]->kind == BX_COLUMN)
			continue;
		x = bx_new(b, BX_CASE, a->args[i]->type, a->args[i]->pos, 3);
		if (!x)
			return bind_nomem(b);
		x->args[0] = a->filter;
		x->args[1] = a->args[i];
		rc = bind_const_null(b, x->type, x->pos, &x->args[2]);
		if (rc < 0)
			return rc;
		a->args[i] = x;
	}
	return 0;
}

int bind_window(struct bind_ctx *c, const struct ast_expr *x, const char *name, struct bx **ret)
{
	const struct ast_call *call = x->call;
	bool is_agg = func_is_aggregate(call->name.text);
	struct windowed w = {.w.call.pos = x->pos, .w.ignore_nulls = call->nulls == 1};
	struct bind_ctx in = inside(c);
	uint32_t at = 0;
	int rc = check_call(c, x, name, is_agg);

	if (rc >= 0)
		rc = bind_agg_args(&in, call, name, &w.w.call);
	if (rc >= 0 && call->filter)
		rc = bind_condition(&in, call->filter, "FILTER (WHERE ...)", &w.w.call.filter);
	if (rc >= 0 && w.w.call.filter && bx_is_true(w.w.call.filter))
		w.w.call.filter = NULL;
	if (rc >= 0 && w.w.call.filter)
		rc = guard_args(c->b, &w.w.call);
	if (rc >= 0)
		rc = bind_over(c, call->over, &w.spec);
	if (rc >= 0)
		rc = check_match(c, x, &w.w.call, w.spec);
	if (rc < 0)
		return rc;
	w.w.unit = w.spec->unit;
	w.w.start = w.spec->start;
	w.w.end = w.spec->end;
	rc = calls_add(c->b, c->windows, &w, &at);
	if (rc < 0)
		return rc;
	*ret = bx_column(c->b, WINDOW_MARK + at, w.w.call.type, x->pos);
	return *ret ? 0 : bind_nomem(c->b);
}

/* ---- over groups ---------------------------------------------------------------------------------------- */

static int each(struct bx **v, uint32_t n, int (*fn)(void *ctx, struct bx **x), void *ctx)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		if (v[i])
			rc = fn(ctx, &v[i]);
	}
	return rc;
}

/* A list of its own, as windows made of others share theirs. */
static int each_in(struct bind *b, struct bx_list *l, int (*fn)(void *ctx, struct bx **x), void *ctx)
{
	struct bx **v = arena_array(b->arena, struct bx *, l->n + 1);

	if (!v)
		return bind_nomem(b);
	if (l->n)
		memcpy(v, l->v, sizeof(*v) * l->n);
	l->v = v;
	l->cap = l->n;
	return each(v, l->n, fn, ctx);
}

int windows_rewrite(struct bind *b, struct windows *l, int (*fn)(void *ctx, struct bx **x), void *ctx)
{
	int rc = 0;

	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		struct windowed *w = &l->v[i];
		struct window_spec *s = arena_new(b->arena, struct window_spec);

		if (!s)
			return bind_nomem(b);
		*s = *w->spec;
		w->spec = s;
		rc = each(w->w.call.args, w->w.call.argc, fn, ctx);
		if (rc >= 0)
			rc = each(&w->w.call.filter, 1, fn, ctx);
		if (rc >= 0)
			rc = each(&w->w.start.offset, 1, fn, ctx);
		if (rc >= 0)
			rc = each(&w->w.end.offset, 1, fn, ctx);
		if (rc >= 0)
			rc = each_in(b, &s->partition, fn, ctx);
		if (rc >= 0)
			rc = each_in(b, &s->order, fn, ctx);
	}
	return rc;
}

/* ---- the nodes ------------------------------------------------------------------------------------------ */

/* The PROJECT below the windows: the columns there are, then what has to be worked out. */
struct feed {
	struct bind *b;
	const struct plan *child;
	struct bx_list extra;
};

/* x as a column of the PROJECT; a constant stays one, but for a key. */
static int to_column(struct feed *f, struct bx **x)
{
	uint32_t i = 0;
	int rc = 0;

	if ((*x)->kind == BX_COLUMN)
		return 0;
	while (i < f->extra.n && !bx_same(f->extra.v[i], *x))
		i++;
	if (i == f->extra.n)
		rc = bx_push(f->b, &f->extra, *x);
	if (rc < 0)
		return rc;
	*x = bx_column(f->b, f->child->col_count + i, (*x)->type, (*x)->pos);
	return *x ? 0 : bind_nomem(f->b);
}

static int feed_value(void *ctx, struct bx **x)
{
	return (*x)->kind == BX_CONST ? 0 : to_column(ctx, x);
}

static int feed_keys(struct feed *f, struct window_spec *s)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->partition.n && rc >= 0; i++)
		rc = to_column(f, &s->partition.v[i]);
	for (uint32_t i = 0; i < s->order.n && rc >= 0; i++)
		rc = to_column(f, &s->order.v[i]);
	return rc;
}

static struct plan *feed_plan(struct feed *f, struct plan *child)
{
	uint32_t n = child->col_count;
	struct plan *p;

	if (!f->extra.n)
		return child;
	p = plan_project(f->b, child, n + f->extra.n);
	for (uint32_t i = 0; p && i < n + f->extra.n; i++) {
		p->exprs[i] = i < n ? bx_column(f->b, i, child->cols[i].type, (struct pos){0}) : f->extra.v[i - n];
		if (!p->exprs[i]) {
			bind_nomem(f->b);
			return NULL;
		}
		p->cols[i] = i < n ? child->cols[i] : (struct plan_col){STR_LIT("expr"), p->exprs[i]->type};
	}
	return p;
}

/* The calls over the same rows in the same order as call `first`, as one node. */
static struct plan *place(struct bind *b, struct windows *l, uint32_t first, struct plan *child)
{
	const struct window_spec *s = l->v[first].spec;
	struct plan_window *w = arena_zarray(b->arena, struct plan_window, l->n);
	struct plan_key *keys = arena_zarray(b->arena, struct plan_key, s->partition.n + s->order.n + 1);
	uint32_t n = 0, k = s->partition.n;

	if (!w || !keys) {
		bind_nomem(b);
		return NULL;
	}
	for (uint32_t i = 0; i < s->partition.n; i++)
		keys[i].col = s->partition.v[i]->index;
	for (uint32_t i = 0; i < s->order.n; i++) {
		keys[k + i] = s->keys[i];
		keys[k + i].col = s->order.v[i]->index;
	}
	for (uint32_t i = first; i < l->n; i++) {
		struct windowed *c = &l->v[i];

		if (c->is_placed || !same_order(c->spec, s))
			continue;
		c->is_placed = true;
		c->col = child->col_count + n;
		w[n++] = c->w;
	}
	return plan_window(b, child, keys, k + s->order.n, k, w, n);
}

/* The first of the calls without a place that have the most keys; l->n: all have one. */
static uint32_t most_keys(const struct windows *l)
{
	uint32_t best = l->n, most = 0;

	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t n = l->v[i].spec->partition.n + l->v[i].spec->order.n + 1;

		if (l->v[i].is_placed || n <= most)
			continue;
		best = i;
		most = n;
	}
	return best;
}

struct by_mark {
	struct bx_swap s;
	const struct windows *l;
};

static struct bx *swap_mark(struct bx_swap *sw, struct bx *x)
{
	const struct by_mark *m = (const struct by_mark *)sw;
	struct bx *to;

	if (x->kind != BX_COLUMN || x->index < WINDOW_MARK)
		return NULL;
	to = bx_column(sw->b, m->l->v[x->index - WINDOW_MARK].col, x->type, x->pos);
	if (!to)
		sw->rc = bind_nomem(sw->b);
	return to;
}

int windows_resolve(struct bind *b, const struct windows *l, struct bx **x)
{
	struct by_mark m = {.s = {.fn = swap_mark, .b = b}, .l = l};
	struct bx *to = bx_swap(&m.s, *x);

	if (!to)
		return m.s.rc < 0 ? m.s.rc : -ENOMEM;
	*x = to;
	return 0;
}

int windows_plan(struct bind *b, struct windows *l, struct plan *child, struct plan **ret)
{
	struct feed f = {.b = b, .child = child};
	struct plan *p;
	int rc = 0;

	/* Keys first; as columns, also constant ones. */
	for (uint32_t i = 0; i < l->n && rc >= 0; i++)
		rc = feed_keys(&f, l->v[i].spec);
	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		struct plan_window *w = &l->v[i].w;

		rc = each(w->call.args, w->call.argc, feed_value, &f);
		if (rc >= 0)
			rc = each(&w->call.filter, 1, feed_value, &f);
		if (rc >= 0)
			rc = each(&w->start.offset, 1, feed_value, &f);
		if (rc >= 0)
			rc = each(&w->end.offset, 1, feed_value, &f);
	}
	if (rc < 0)
		return rc;
	p = feed_plan(&f, child);
	for (uint32_t i = most_keys(l); p && i < l->n; i = most_keys(l))
		p = place(b, l, i, p);
	if (!p)
		return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
	*ret = p;
	return 0;
}
