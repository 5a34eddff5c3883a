/*
 * op_recursive: rows that come of rows, round by round.
 *
 *	the first child's rows    go out, and are kept for the first round
 *	a round                   opens the second child anew; its WORKING gives what was kept; what comes goes
 *	                          out, and is kept for the next
 *	a round without rows      is the last
 *
 * UNION ALL holds the rows of two rounds, so a recursion may be long. UNION holds all rows, as keys of groups,
 * which are in order of first appearance: a round is a range of them.
 *
 * A round's operators live in an arena of their own, in an execution of their own, so rounds do not add up.
 */
#include "query/groups.h"

#define ROUNDS_MAX 100000

struct recursive_op {
	struct op base;
	struct exec round;     /* as base.x, but for the arena and what its WORKING gives */
	struct arena arena;
	struct op *step;       /* NULL: the first child is not at its end yet */
	struct working working;
	struct exec_table **moments; /* of the tables that rounds scan: all see the same */
	uint32_t moment_n;
	struct groups seen;    /* UNION */
	struct row_store rows[2]; /* UNION ALL: of the round before, of this one */
	uint32_t now;          /* of rows */
	uint32_t rounds;
	bool is_done;
};

static uint32_t count_scans(const struct plan *p)
{
	uint32_t n = p->kind == PLAN_SCAN;

	for (uint32_t i = 0; i < p->child_count; i++)
		n += count_scans(p->children[i]);
	return n;
}

static int join_moments(struct recursive_op *r, const struct plan *p, struct err *e)
{
	int rc = 0;

	if (p->kind == PLAN_SCAN) {
		rc = op_moment_join(r->base.x, p->table, &r->moments[r->moment_n], e);
		r->moment_n += rc >= 0;
	}
	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++)
		rc = join_moments(r, p->children[i], e);
	return rc;
}

static void leave_moments(struct recursive_op *r)
{
	while (r->moment_n)
		op_moment_leave(r->moments[--r->moment_n]);
}

static int recursive_open(struct op *o, struct err *e)
{
	struct recursive_op *r = (struct recursive_op *)o;
	const struct plan *p = o->plan;
	const struct type **types = arena_array(o->x->arena, const struct type *, p->col_count + 1);
	int rc;

	arena_init(&r->arena, o->x->ctx.budget);
	if (!types)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++)
		types[i] = p->cols[i].type;
	r->moments = arena_array(o->x->arena, struct exec_table *, count_scans(p->children[1]) + 1);
	if (!r->moments)
		return exec_nomem(&o->x->ctx, e);
	rc = join_moments(r, p->children[1], e);
	if (rc >= 0)
		rc = op_open_child(o, o->x, 0, &o->children[0], e);
	if (rc < 0)
		return rc;
	if (p->drops_seen)
		return groups_init(&r->seen, &o->x->ctx, types, p->col_count, e);
	rc = row_store_init(&r->rows[0], &o->x->ctx, types, p->col_count, e);
	return rc < 0 ? rc : row_store_init(&r->rows[1], &o->x->ctx, types, p->col_count, e);
}

static void count_progress(struct recursive_op *r)
{
	struct exec *x = r->base.x;

	atomic_fetch_add_explicit(&x->rows_read, atomic_exchange(&r->round.rows_read, 0), memory_order_relaxed);
	atomic_fetch_add_explicit(&x->bytes_read, atomic_exchange(&r->round.bytes_read, 0), memory_order_relaxed);
}

static void round_end(struct recursive_op *r)
{
	op_close(r->step);
	r->step = NULL;
	arena_reset(&r->arena);
}

/* The rows that were kept last become those that the next round begins with. 0: there are none. */
static int round_begin(struct recursive_op *r, struct err *e)
{
	struct op *o = &r->base;
	bool unique = o->plan->drops_seen;
	const struct row_store *rows = unique ? &r->seen.keys : &r->rows[r->now];
	uint32_t from = unique ? r->working.to : 0;

	/* What has come to its end needs no memory any more. */
	op_close(o->children[0]);
	o->children[0] = NULL;
	round_end(r);
	if (from == rows->n)
		return 0;
	if (r->rounds++ == ROUNDS_MAX)
		return err_set(e, -EINVAL, "line %u:%u: the recursion of '%.*s' has not come to an end after %d rounds",
			       o->plan->pos.line, o->plan->pos.col, STR_FMT(o->plan->recursion_name), ROUNDS_MAX);
	r->working = (struct working){o->x->working, o->plan->recursion, rows, from, rows->n};
	if (!unique) {
		r->now = !r->now;
		row_store_clear(&r->rows[r->now]);
	}
	r->round.ctx = o->x->ctx;
	r->round.arena = &r->arena;
	r->round.moment_of = o->x->moment_of;
	r->round.upto_seq = o->x->upto_seq;
	r->round.tables = o->x->tables;
	r->round.working = &r->working;
	int rc = op_open_child(o, &r->round, 1, &r->step, e);
	return rc < 0 ? rc : 1;
}

/* Of the batch those rows that were not there before, as the batch that goes out. 0: none. */
static int keep_new(struct recursive_op *r, struct vbatch *b, struct err *e)
{
	struct op *o = &r->base;
	uint32_t *rows = arena_array(&o->batch, uint32_t, b->n);
	uint32_t *found = arena_array(&o->batch, uint32_t, b->n);
	struct vec *cols = arena_array(&o->batch, struct vec, b->col_count + 1);
	uint32_t next = groups_count(&r->seen), n = 0;

	if (!rows || !found || !cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < b->n; i++)
		rows[i] = i;
	int rc = groups_find(&r->seen, b->cols, rows, b->n, found, e);
	if (rc < 0)
		return rc;
	/* Numbers are given in order, so the next one that was free marks a first appearance. */
	for (uint32_t i = 0; i < b->n; i++) {
		if (found[i] == next) {
			rows[n++] = i;
			next++;
		}
	}
	for (uint32_t i = 0; i < b->col_count && n; i++) {
		rc = vec_gather(&b->cols[i], rows, n, &o->batch, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	*b = (struct vbatch){n, b->col_count, cols};
	return n > 0;
}

static int recursive_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct recursive_op *r = (struct recursive_op *)o;
	int rc;

	while (!r->is_done) {
		rc = op_next(r->step ? r->step : o->children[0], ret, e);
		count_progress(r);
		if (rc < 0)
			return rc;
		if (!rc) {
			rc = round_begin(r, e);
			if (rc < 0)
				return rc;
			r->is_done = !rc;
			if (r->is_done)
				leave_moments(r);
			continue;
		}
		arena_reset(&o->batch);
		if (o->plan->drops_seen) {
			rc = keep_new(r, ret, e);
			if (!rc)
				continue;
			return rc;
		}
		rc = row_store_add(&r->rows[r->now], ret->cols, NULL, ret->n, e);
		return rc < 0 ? rc : 1;
	}
	return 0;
}

static void recursive_close(struct op *o)
{
	struct recursive_op *r = (struct recursive_op *)o;

	op_close(r->step);
	leave_moments(r);
	groups_release(&r->seen);
	row_store_release(&r->rows[0]);
	row_store_release(&r->rows[1]);
	arena_release(&r->arena);
}

const struct op_class op_recursive_class = {
	.name = "recursive",
	.size = sizeof(struct recursive_op),
	.open = recursive_open,
	.next = recursive_next,
	.close = recursive_close,
	.opens_children = true,
};

/* ---- the rows of the round before ----------------------------------------------------------------- */

struct working_op {
	struct op base;
	const struct working *of;
	uint32_t at;
};

static int working_open(struct op *o, struct err *e)
{
	struct working_op *w = (struct working_op *)o;

	w->of = o->x->working;
	while (w->of && w->of->recursion != o->plan->recursion)
		w->of = w->of->next;
	if (!w->of)
		return err_set(e, -EINVAL, "the plan has a WORKING outside its RECURSIVE");
	w->at = w->of->from;
	return 0;
}

static int working_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct working_op *w = (struct working_op *)o;
	const struct plan *p = o->plan;
	uint32_t in_chunk = row_store_at(w->at);
	uint32_t n = MIN(w->of->to - w->at, VEC_ROWS - in_chunk);

	if (!n)
		return 0;
	struct vec *cols = arena_array(&o->batch, struct vec, p->col_count + 1);
	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++) {
		int rc = vec_slice(row_store_vec(w->of->rows, w->at, i), in_chunk, &o->batch, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	w->at += n;
	*ret = (struct vbatch){n, p->col_count, cols};
	return 1;
}

const struct op_class op_working_class = {
	.name = "working",
	.size = sizeof(struct working_op),
	.open = working_open,
	.next = working_next,
};
