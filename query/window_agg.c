/*
 * window_agg: aggregates over frames.
 *
 * One state is moved from frame to frame, in the way that costs least:
 *
 *	same frame            nothing: neighbours share the value
 *	longer at its end     the new rows are added; so a running aggregate adds each row once
 *	moved a little        rows are added and taken out again, where that is exact (func.unmerge:
 *	                      counts, sums of whole numbers)
 *	short                 all rows are added to a new state
 *	else                  the frame is put together from a tree of states, made when it is first needed
 *
 *	tree, level 1   [        4 blocks       ][ ...          the frame's edges are added row by row,
 *	      level 0   [32 rows][32 rows] ...                  what lies between is merged, in order
 *
 * So a frame costs some dozen additions and a few merges for each fourfold of its length, and its rows are
 * always added in their order: arbitrary() gives the first, ties are broken as in a plain aggregate.
 */
#include "query/window.h"

#define BLOCK  32 /* rows; VEC_ROWS is a multiple */
#define FAN    4
#define SHORT  (2 * BLOCK)
#define LEVELS 16 /* 32 * 4^15 rows are 2^35 */

struct level {
	char *states;
	uint32_t n;
};

struct window_agg {
	const struct window_rows *w;
	const struct plan_window *plan;
	const struct agg_def *def;
	struct agg_call call;
	struct vec *args;
	uint32_t chunk; /* whose vectors the args are; UINT32_MAX: none */
	size_t stride;

	char *state, *part;       /* part: what comes and goes */
	struct arena memory;      /* what the state points to */
	struct window_range has;  /* the rows in it */
	bool is_live;             /* it has any meaning */
	bool is_carried;          /* it has rows that are held no more, too */
	uint64_t added;           /* rows that a state grew by, in this stretch */

	struct arena tree_memory;
	struct level levels[LEVELS];
	uint32_t level_n; /* 0: no tree yet */
};

int window_agg_create(const struct window_rows *w, const struct plan_window *p, struct window_agg **ret,
		      struct err *e)
{
	struct arena *a = w->x->arena;
	struct window_agg *o = arena_new(a, struct window_agg);

	if (!o)
		return exec_nomem(&w->x->ctx, e);
	o->w = w;
	o->plan = p;
	o->def = p->call.func->agg;
	o->stride = (MAX(o->def->state_size, (size_t)1) + 15) & ~(size_t)15;
	o->args = arena_zarray(a, struct vec, p->call.argc + 1);
	o->state = arena_zalloc(a, o->stride);
	o->part = arena_zalloc(a, o->stride);
	if (!o->args || !o->state || !o->part)
		return exec_nomem(&w->x->ctx, e);
	arena_init(&o->memory, w->x->ctx.budget);
	arena_init(&o->tree_memory, w->x->ctx.budget);
	o->chunk = UINT32_MAX;
	o->call = (struct agg_call){
		.exec = &w->x->ctx,
		.arena = &o->memory,
		.argc = p->call.argc,
		.args = o->args,
		.arg_types = p->call.arg_types,
		.ret_type = p->call.type,
		.const_args = p->call.const_args,
	};
	*ret = o;
	return 0;
}

void window_agg_release(struct window_agg *a)
{
	if (!a)
		return;
	arena_release(&a->memory);
	arena_release(&a->tree_memory);
}

static void tree_clear(struct window_agg *a)
{
	if (a->level_n)
		arena_reset(&a->tree_memory);
	a->level_n = 0;
}

void window_agg_stretch(struct window_agg *a)
{
	const struct window_part *first = &a->w->parts[0];

	/* A partition that goes on: its last row's frame was all of it so far. */
	a->is_live = a->is_live && first->before && a->plan->start.kind == BOUND_UNBOUNDED_PRECEDING;
	a->is_carried = a->is_live;
	a->has = (struct window_range){first->at, first->at};
	a->chunk = UINT32_MAX;
	a->added = 0;
	tree_clear(a);
}

/* ---- rows into states ----------------------------------------------------------------------------- */

static void use_chunk(struct window_agg *a, uint32_t chunk)
{
	if (a->chunk == chunk)
		return;
	a->chunk = chunk;
	for (uint32_t i = 0; i < a->call.argc; i++) {
		const struct bx *x = a->plan->call.args[i];

		a->args[i] = x->kind == BX_CONST ? x->value : a->w->store.chunks[chunk]->cols[x->index];
	}
}

static bool passes(const struct window_agg *a, uint32_t r)
{
	uint32_t at;
	const struct vec *v = window_arg(a->w, a->plan->call.filter, r, &at);

	return vec_tristate(v, at) == TRI_TRUE;
}

/* Rows [from, to) of one chunk. */
static int add_filtered(struct window_agg *a, void *state, uint32_t from, uint32_t to, struct err *e)
{
	int rc = 0;

	while (from < to && rc >= 0) {
		uint32_t end;

		while (from < to && !passes(a, from))
			from++;
		for (end = from; end < to && passes(a, end);)
			end++;
		if (from < end)
			rc = a->def->add(&a->call, state, row_store_at(from), row_store_at(end - 1) + 1, e);
		from = end;
	}
	return rc;
}

static int add_rows(struct window_agg *a, void *state, uint32_t from, uint32_t to, struct err *e)
{
	int rc = 0;

	while (from < to && rc >= 0) {
		uint32_t end = MIN(to, (from / VEC_ROWS + 1) * VEC_ROWS);

		use_chunk(a, from / VEC_ROWS);
		if (a->plan->call.filter)
			rc = add_filtered(a, state, from, end, e);
		else
			rc = a->def->add(&a->call, state, row_store_at(from), row_store_at(end - 1) + 1, e);
		from = end;
	}
	return rc;
}

static int take_rows(struct window_agg *a, uint32_t from, uint32_t to, struct err *e)
{
	int rc;

	if (from >= to)
		return 0;
	memset(a->part, 0, a->stride);
	rc = add_rows(a, a->part, from, to, e);
	if (rc >= 0)
		a->plan->call.func->unmerge(a->state, a->part);
	return rc;
}

static void state_clear(struct window_agg *a)
{
	memset(a->state, 0, a->stride);
	arena_reset(&a->memory);
	a->is_live = a->is_carried = false;
}

/* ---- the tree --------------------------------------------------------------------------------------- */

static int make_blocks(struct window_agg *a, struct level *l, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < l->n && rc >= 0; i++) {
		rc = add_rows(a, l->states + a->stride * i, i * BLOCK, (i + 1) * BLOCK, e);
		if (rc >= 0)
			rc = exec_cancelled(a->w->x, e);
	}
	return rc;
}

static int make_level(struct window_agg *a, struct level *l, const struct level *below, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < l->n * FAN && rc >= 0; i++) {
		rc = a->def->merge(&a->call, l->states + a->stride * (i / FAN), below->states + a->stride * i, e);
		if (rc >= 0)
			rc = exec_cancelled(a->w->x, e);
	}
	return rc;
}

static int tree_make(struct window_agg *a, struct err *e)
{
	uint32_t n = a->w->store.n / BLOCK;
	int rc = 0;

	a->call.arena = &a->tree_memory;
	for (uint32_t k = 0; n && k < LEVELS && rc >= 0; k++, n /= FAN) {
		struct level *l = &a->levels[k];

		l->n = n;
		l->states = arena_zalloc(&a->tree_memory, a->stride * n);
		if (!l->states)
			rc = exec_nomem(&a->w->x->ctx, e);
		else
			rc = k ? make_level(a, l, l - 1, e) : make_blocks(a, l, e);
		a->level_n = k + 1;
	}
	a->call.arena = &a->memory;
	return rc;
}

static int merge_nodes(struct window_agg *a, uint32_t level, uint32_t from, uint32_t to, struct err *e)
{
	int rc = 0;

	for (uint32_t i = from; i < to && rc >= 0; i++)
		rc = a->def->merge(&a->call, a->state, a->levels[level].states + a->stride * i, e);
	return rc;
}

/* Nodes [from, to) of a level into the state, by way of the level above where that covers them. */
static int tree_merge(struct window_agg *a, uint32_t level, uint32_t from, uint32_t to, struct err *e)
{
	uint32_t up_from = (from + FAN - 1) / FAN, up_to = to / FAN;
	int rc;

	if (level + 1 == a->level_n || up_from >= up_to)
		return merge_nodes(a, level, from, to, e);
	rc = merge_nodes(a, level, from, up_from * FAN, e);
	if (rc >= 0)
		rc = tree_merge(a, level + 1, up_from, up_to, e);
	return rc < 0 ? rc : merge_nodes(a, level, up_to * FAN, to, e);
}

static int from_tree(struct window_agg *a, struct window_range f, struct err *e)
{
	uint32_t lo = (f.from + BLOCK - 1) / BLOCK, hi = f.to / BLOCK;
	int rc = a->level_n ? 0 : tree_make(a, e);

	if (rc >= 0)
		rc = add_rows(a, a->state, f.from, lo * BLOCK, e);
	if (rc >= 0)
		rc = tree_merge(a, 0, lo, hi, e);
	return rc < 0 ? rc : add_rows(a, a->state, hi * BLOCK, f.to, e);
}

/* ---- from frame to frame -------------------------------------------------------------------------------- */

static uint32_t distance(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

/* Frames that jump to and fro would add the same rows again and again. */
static bool may_grow(struct window_agg *a, uint32_t by)
{
	if (by > SHORT && a->added > (uint64_t)2 * a->w->store.n)
		return false;
	a->added += by;
	return true;
}

static int slide(struct window_agg *a, struct window_range f, struct err *e)
{
	int rc = 0;

	/* New rows first: the old ones are then all in the state. */
	if (f.from < a->has.from)
		rc = add_rows(a, a->state, f.from, a->has.from, e);
	if (rc >= 0 && f.to > a->has.to)
		rc = add_rows(a, a->state, a->has.to, f.to, e);
	if (rc >= 0)
		rc = take_rows(a, a->has.from, f.from, e);
	return rc < 0 ? rc : take_rows(a, f.to, a->has.to, e);
}

/* The state becomes that of the rows of f, which is not empty. */
static int move_to(struct window_agg *a, struct window_range f, struct err *e)
{
	int rc;

	if (a->is_live && f.from == a->has.from && f.to >= a->has.to && may_grow(a, f.to - a->has.to)) {
		rc = add_rows(a, a->state, a->has.to, f.to, e);
	} else if (a->is_live && !a->is_carried && a->plan->call.func->unmerge &&
		   distance(f.from, a->has.from) + (uint64_t)distance(f.to, a->has.to) <= SHORT) {
		rc = slide(a, f, e);
	} else {
		state_clear(a);
		rc = f.to - f.from <= SHORT ? add_rows(a, a->state, f.from, f.to, e) : from_tree(a, f, e);
	}
	a->is_live = rc >= 0;
	a->has = f;
	return rc;
}

static int add_value(struct window_agg *a, struct window_range f, struct arena *batch, struct vec_builder *out,
		     struct err *e)
{
	char *state = a->state;
	int rc = 0;

	if (f.from < f.to) {
		rc = move_to(a, f, e);
	} else {
		state = a->part;
		memset(state, 0, a->stride);
	}
	if (rc < 0)
		return rc;
	a->call.arena = batch;
	rc = a->def->finish(&a->call, state, out, e);
	a->call.arena = &a->memory;
	return rc;
}

int window_agg_eval(struct window_agg *a, const struct window_part *part, const struct window_range *frames,
		    uint32_t from, uint32_t to, struct arena *batch, struct vec_builder *out, uint32_t *codes,
		    struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < to - from && rc >= 0; i++) {
		const struct window_range f = frames[i];

		if (i && f.from == frames[i - 1].from && f.to == frames[i - 1].to) {
			codes[i] = codes[i - 1];
			continue;
		}
		codes[i] = out->n;
		rc = add_value(a, f, batch, out, e);
		if (rc >= 0 && i % 64 == 0)
			rc = exec_cancelled(a->w->x, e);
	}
	return rc;
}
