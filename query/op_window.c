/*
 * op_window: window functions. The story of stretches, parts and peers is at the top of window.h.
 *
 * The child's rows come sorted by the node's keys, so a partition is a run of them. A stretch ends where
 * a partition does (or a group of peers, or just a batch: see window_reach) and at least a batch is
 * full; the rest of the child's batch waits for the next stretch. Batches are slices of the store's chunks,
 * with the functions' values beside them.
 */
#include "query/groups.h"
#include "query/window.h"

struct fn {
	const struct plan_window *plan;
	const struct window_def *def; /* NULL: an aggregate */
	struct window_agg *agg;
	struct window_picks picks;
	uint32_t frame_of;            /* the first function with the same frame */
};

struct window_op {
	struct op base;
	struct window_rows rows;
	struct fn *fns;
	enum window_reach reach;
	uint32_t cut_keys;   /* stretches end where one of the first so many keys changes */
	struct vec *cut_cols; /* room for them */

	struct vbatch in;    /* the child's batch at hand */
	uint32_t in_at;      /* its first row that is in no stretch yet */
	uint32_t *cuts;      /* where the first cut_keys keys change in it */
	uint32_t cut_n;
	bool is_done;        /* the child has no more */
	uint32_t out;        /* rows of the stretch handed out */
	uint32_t batch_rows; /* at a time; a divisor of VEC_ROWS */
};

/* ---- opening -------------------------------------------------------------------------------------- */

static bool same_bound(const struct plan_bound *a, const struct plan_bound *b)
{
	if (a->kind != b->kind || !a->offset != !b->offset)
		return false;
	if (!a->offset || a->offset == b->offset)
		return true;
	return a->offset->kind == BX_COLUMN && b->offset->kind == BX_COLUMN &&
	       a->offset->index == b->offset->index;
}

static uint32_t frame_of(const struct plan *p, uint32_t i)
{
	const struct plan_window *a = &p->windows[i];
	uint32_t k = 0;

	while (k < i && (p->windows[k].unit != a->unit || !same_bound(&p->windows[k].start, &a->start) ||
			 !same_bound(&p->windows[k].end, &a->end)))
		k++;
	return k;
}

static bool has_frame(const struct fn *f)
{
	return !f->def || f->def->has_frame;
}

/*
 * Arrays of the rows of a frame are as many as rows, and as long as the frame: fewer at a time, then. What
 * is the same for many rows is there once.
 */
static bool is_long(const struct plan_window *w)
{
	return w->call.func->agg && type_layout(w->call.type) == LAYOUT_LIST;
}

static int fn_open(struct window_op *o, uint32_t i, struct err *e)
{
	struct fn *f = &o->fns[i];

	f->plan = &o->base.plan->windows[i];
	f->def = f->plan->call.func->window;
	f->frame_of = frame_of(o->base.plan, i);
	if (is_long(f->plan))
		o->batch_rows = VEC_ROWS / 32;
	o->reach = MAX(o->reach, f->def ? f->def->reach : window_frame_reach(f->plan));
	return f->def ? 0 : window_agg_create(&o->rows, f->plan, &f->agg, e);
}

static int window_open(struct op *op, struct err *e)
{
	struct window_op *o = (struct window_op *)op;
	const struct plan *p = op->plan, *child = p->children[0];
	struct exec *x = op->x;
	int rc = 0;

	const struct type **types = arena_array(x->arena, const struct type *, child->col_count + 1);
	o->fns = arena_zarray(x->arena, struct fn, p->window_count + 1);
	o->cuts = arena_array(x->arena, uint32_t, VEC_ROWS);
	o->cut_cols = arena_zarray(x->arena, struct vec, p->key_count + 1);
	if (!types || !o->fns || !o->cuts || !o->cut_cols)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < child->col_count; i++)
		types[i] = child->cols[i].type;
	o->batch_rows = VEC_ROWS;
	o->rows.x = x;
	o->rows.plan = p;
	for (uint32_t i = 0; i < p->window_count && rc >= 0; i++)
		rc = fn_open(o, i, e);
	o->cut_keys = o->reach == REACH_ALL ? p->partition_count : p->key_count;
	return rc < 0 ? rc : row_store_init(&o->rows.store, &x->ctx, types, child->col_count, e);
}

/* ---- a stretch of rows ------------------------------------------------------------------------------ */

/* Are the first n keys of row i of the columns those of row r of the store? */
static bool same_keys(const struct window_rows *w, uint32_t n, uint32_t r, const struct vec *cols, uint32_t i)
{
	for (uint32_t k = 0; k < n; k++) {
		uint32_t col = w->plan->keys[k].col;

		if (!vec_same(row_store_vec(&w->store, r, col), row_store_at(r), &cols[col], i))
			return false;
	}
	return true;
}

/* Do the first n keys of a batch's row i differ from those of the row before? */
static bool is_change(const struct window_op *o, uint32_t n, uint32_t i)
{
	for (uint32_t k = 0; k < n; k++) {
		if (!vec_same(&o->cut_cols[k], i - 1, &o->cut_cols[k], i))
			return true;
	}
	return false;
}

/*
 * Rows of a batch at which one of the first n keys differs from the row before; row 0 counts. groups_runs()
 * is quick, but may part rows that are equal: NULLs above different values, NaNs of different bits.
 */
static uint32_t key_runs(const struct window_op *o, const struct vec *cols, uint32_t n,
			 uint32_t rows, uint32_t *starts)
{
	uint32_t run_n, kept = 1;

	for (uint32_t k = 0; k < n; k++)
		o->cut_cols[k] = cols[o->base.plan->keys[k].col];
	run_n = groups_runs(o->cut_cols, n, rows, starts);
	for (uint32_t i = 1; i < run_n; i++) {
		if (is_change(o, n, starts[i]))
			starts[kept++] = starts[i];
	}
	return kept;
}

/* The child's next batch, if the one at hand is used up. 1, or 0: there is none. */
static int fetch(struct window_op *o, struct err *e)
{
	int rc;

	if (o->in_at < o->in.n)
		return 1;
	if (o->is_done)
		return 0;
	rc = op_next(o->base.children[0], &o->in, e);
	if (rc <= 0) {
		o->in = (struct vbatch){0};
		o->in_at = 0;
		o->is_done = rc == 0;
		return rc;
	}
	o->in_at = 0;
	o->cut_n = key_runs(o, o->in.cols, o->cut_keys, o->in.n, o->cuts);
	return 1;
}

/* How many of the waiting rows go into the stretch; *ret_ends: it ends with them. */
static uint32_t rows_to_take(const struct window_op *o, bool *ret_ends)
{
	const struct row_store *s = &o->rows.store;

	*ret_ends = o->reach == REACH_ROW;
	if (o->reach == REACH_ROW)
		return o->in.n - o->in_at;
	for (uint32_t i = 0; i < o->cut_n; i++) {
		uint32_t at = o->cuts[i];

		if (at < o->in_at || s->n + (at - o->in_at) < VEC_ROWS)
			continue;
		/* A batch's first row may well go on what the batch before ended with. */
		if (at == o->in_at && !at && same_keys(&o->rows, o->cut_keys, s->n - 1, o->in.cols, 0))
			continue;
		*ret_ends = true;
		return at - o->in_at;
	}
	return o->in.n - o->in_at;
}

static int take(struct window_op *o, uint32_t n, struct err *e)
{
	uint32_t *sel = NULL;

	if (o->in_at || n < o->in.n) {
		sel = arena_array(&o->base.batch, uint32_t, n + 1);
		if (!sel)
			return exec_nomem(&o->base.x->ctx, e);
		for (uint32_t i = 0; i < n; i++)
			sel[i] = o->in_at + i;
	}
	o->in_at += n;
	return row_store_add(&o->rows.store, o->in.cols, sel, n, e);
}

static int push_part(struct window_rows *w, uint32_t at, struct err *e)
{
	if (grow_to(&w->part_array, w->x->ctx.budget, sizeof(*w->parts) * ((size_t)w->part_n + 1)) < 0)
		return exec_nomem(&w->x->ctx, e);
	w->parts = w->part_array.data;
	w->parts[w->part_n++] = (struct window_part){.at = at};
	return 0;
}

/* Parts of the stretch; the first may go on with one that began earlier. */
static int find_parts(struct window_op *o, struct err *e)
{
	struct window_rows *w = &o->rows;
	uint32_t n = o->base.plan->partition_count;
	uint32_t *starts = arena_array(&o->base.batch, uint32_t, VEC_ROWS);
	int rc = 0;

	if (!starts)
		return exec_nomem(&w->x->ctx, e);
	w->part_n = 0;
	for (uint32_t c = 0; c < w->store.chunk_n && rc >= 0; c++) {
		const struct row_chunk *k = w->store.chunks[c];
		uint32_t run_n = key_runs(o, k->cols, n, k->n, starts), at = c * VEC_ROWS;

		for (uint32_t i = c && same_keys(w, n, at - 1, k->cols, 0); i < run_n && rc >= 0; i++)
			rc = push_part(w, at + starts[i], e);
	}
	for (uint32_t i = 0; i < w->part_n; i++)
		w->parts[i].end = i + 1 < w->part_n ? w->parts[i + 1].at : w->store.n;
	return rc;
}

static int find_peers(struct window_op *o, struct err *e)
{
	struct window_rows *w = &o->rows;
	const struct exec_ctx *ctx = &w->x->ctx;
	uint32_t n = o->base.plan->key_count, g = 0, part = 0;
	uint32_t *starts = arena_array(&o->base.batch, uint32_t, VEC_ROWS);

	if (!starts || grow_to(&w->peer_of_array, ctx->budget, sizeof(uint32_t) * (size_t)w->store.n) < 0 ||
	    grow_to(&w->peer_at_array, ctx->budget, sizeof(uint32_t) * ((size_t)w->store.n + 1)) < 0)
		return exec_nomem(ctx, e);
	w->peer_of = w->peer_of_array.data;
	w->peer_at = w->peer_at_array.data;
	for (uint32_t c = 0; c < w->store.chunk_n; c++) {
		const struct row_chunk *k = w->store.chunks[c];
		uint32_t run_n = key_runs(o, k->cols, n, k->n, starts), at = c * VEC_ROWS, i = 0;

		if (c && same_keys(w, n, at - 1, k->cols, 0))
			i = 1;
		for (uint32_t r = 0; r < k->n; r++) {
			if (i < run_n && starts[i] == r) {
				w->peer_at[g++] = at + r;
				i++;
			}
			w->peer_of[at + r] = g - 1;
		}
	}
	w->peer_at[g] = w->store.n;
	for (; part < w->part_n; part++) {
		struct window_part *p = &w->parts[part];

		p->peers_at = w->peer_of[p->at];
		p->peers_end = w->peer_of[p->end - 1] + 1;
	}
	return 0;
}

static int rows_ready(struct window_op *o, const struct window_part *gone, struct err *e)
{
	struct window_rows *w = &o->rows;
	int rc = find_parts(o, e);

	if (rc >= 0 && gone) {
		w->parts[0].before = gone->before + (gone->end - gone->at);
		w->parts[0].peers_before = gone->peers_before + (gone->peers_end - gone->peers_at);
	}
	if (rc >= 0 && o->reach > REACH_ROW)
		rc = find_peers(o, e);
	for (uint32_t i = 0; i < o->base.plan->window_count && rc >= 0; i++) {
		struct fn *f = &o->fns[i];

		f->picks.is_made = false;
		if (f->agg)
			window_agg_stretch(f->agg);
		else if (f->plan->ignore_nulls)
			rc = window_picks_make(&f->picks, w, f->plan->call.args[0], e);
	}
	return rc;
}

/* 1: the next stretch is in the store; 0: there is none. */
static int next_stretch(struct window_op *o, struct err *e)
{
	struct window_rows *w = &o->rows;
	struct window_part gone = {0};
	bool goes_on = false, ends = false;
	int rc = fetch(o, e);

	if (rc <= 0)
		return rc;
	if (w->store.n) {
		gone = w->parts[w->part_n - 1];
		goes_on = same_keys(w, o->base.plan->partition_count, w->store.n - 1, o->in.cols, o->in_at);
	}
	row_store_clear(&w->store);
	o->out = 0;
	while (!ends && (rc = fetch(o, e)) > 0) {
		uint32_t n = rows_to_take(o, &ends);

		arena_reset(&o->base.batch);
		rc = take(o, n, e);
		if (rc < 0)
			return rc;
	}
	if (rc >= 0)
		rc = rows_ready(o, goes_on ? &gone : NULL, e);
	return rc < 0 ? rc : 1;
}

/* ---- a batch out --------------------------------------------------------------------------------------- */

/* The batch's rows, and the parts that they belong to. */
struct slice {
	uint32_t from, to;
	uint32_t part; /* the first of them */
};

static int slice_frames(struct window_op *o, const struct slice *s, const struct plan_window *f,
			struct window_range **ret, struct err *e)
{
	const struct window_rows *w = &o->rows;
	int rc = 0;

	*ret = arena_array(&o->base.batch, struct window_range, s->to - s->from);
	if (!*ret)
		return exec_nomem(&w->x->ctx, e);
	for (uint32_t i = s->part; i < w->part_n && w->parts[i].at < s->to && rc >= 0; i++) {
		uint32_t from = MAX(w->parts[i].at, s->from), to = MIN(w->parts[i].end, s->to);

		rc = window_frames(w, &w->parts[i], f, from, to, *ret + (from - s->from), e);
	}
	return rc;
}

/* An aggregate's values, each once, as a column. */
static int spread(struct window_op *o, struct vec_builder *b, const uint32_t *codes, uint32_t n, struct vec *ret,
		  struct err *e)
{
	struct vec v;

	vb_finish(b, &v);
	if (b->n == n) {
		*ret = v;
		return 0;
	}
	if (b->n == 1) {
		v.form = VEC_CONST;
		*ret = v;
		return 0;
	}
	return vec_gather(&v, codes, n, &o->base.batch, ret, e);
}

static int fn_eval(struct window_op *o, struct fn *f, const struct slice *s, const struct window_range *frames,
		   struct vec *ret, struct err *e)
{
	const struct window_rows *w = &o->rows;
	uint32_t n = s->to - s->from;
	uint32_t *codes = f->agg ? arena_array(&o->base.batch, uint32_t, n) : NULL;
	struct vec_builder b;
	int rc = vb_init(&b, f->plan->call.type, f->agg ? 64 : n, &o->base.batch, e);

	if (rc < 0 || (f->agg && !codes))
		return exec_nomem(&w->x->ctx, e);
	for (uint32_t i = s->part; i < w->part_n && w->parts[i].at < s->to && rc >= 0; i++) {
		const struct window_part *p = &w->parts[i];
		uint32_t from = MAX(p->at, s->from), to = MIN(p->end, s->to), at = from - s->from;
		struct window_call c = {
			.w = w,
			.part = p,
			.plan = f->plan,
			.frames = frames ? frames + at : NULL,
			.picks = f->plan->ignore_nulls ? &f->picks : NULL,
		};

		rc = f->agg ? window_agg_eval(f->agg, p, frames + at, from, to, &o->base.batch, &b, codes + at, e)
			    : f->def->eval(&c, from, to, &b, e);
	}
	if (rc < 0)
		return window_fail(f->plan, rc, e);
	if (f->agg)
		return spread(o, &b, codes, n, ret, e);
	vb_finish(&b, ret);
	return 0;
}

static int window_next(struct op *op, struct vbatch *ret, struct err *e)
{
	struct window_op *o = (struct window_op *)op;
	const struct plan *p = op->plan;
	struct window_rows *w = &o->rows;
	uint32_t below = p->children[0]->col_count;

	if (o->out == w->store.n) {
		int rc = next_stretch(o, e);
		if (rc <= 0)
			return rc;
		arena_reset(&op->batch);
	}
	const struct row_chunk *chunk = w->store.chunks[o->out / VEC_ROWS];
	uint32_t at = row_store_at(o->out), n = MIN(chunk->n - at, o->batch_rows);
	struct slice s = {.from = o->out, .to = o->out + n};
	while (w->parts[s.part].end <= s.from)
		s.part++;
	struct vec *cols = arena_zarray(&op->batch, struct vec, p->col_count + 1);
	struct window_range **frames = arena_zarray(&op->batch, struct window_range *, p->window_count + 1);
	if (!cols || !frames)
		return exec_nomem(&op->x->ctx, e);
	for (uint32_t i = 0; i < below; i++) {
		int rc = vec_slice(&chunk->cols[i], at, &op->batch, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < p->window_count; i++) {
		struct fn *f = &o->fns[i];
		struct window_range **own = &frames[f->frame_of];
		int rc = 0;

		if (has_frame(f) && !*own)
			rc = slice_frames(o, &s, f->plan, own, e);
		if (rc >= 0)
			rc = fn_eval(o, f, &s, *own, &cols[below + i], e);
		if (rc < 0)
			return rc;
	}
	o->out = s.to;
	*ret = (struct vbatch){n, p->col_count, cols};
	return 1;
}

static void window_close(struct op *op)
{
	struct window_op *o = (struct window_op *)op;
	struct window_rows *w = &o->rows;
	struct budget *b = op->x->ctx.budget;

	row_store_release(&w->store);
	grow_release(&w->part_array, b);
	grow_release(&w->peer_of_array, b);
	grow_release(&w->peer_at_array, b);
	for (uint32_t i = 0; o->fns && i < op->plan->window_count; i++) {
		window_agg_release(o->fns[i].agg);
		window_picks_release(&o->fns[i].picks, b);
	}
}

const struct op_class op_window_class = {
	.name = "window",
	.size = sizeof(struct window_op),
	.open = window_open,
	.next = window_next,
	.close = window_close,
};
