/*
 * op_join_parts: joins whose held side is more than the memory takes.
 *
 * What was held and what is still to come goes into partitions by the hash of its keys, in files
 * (row_spool.h); then the other side likewise. Rows that match are in partitions of the same number, so these
 * are joined one after the other, each of them in memory.
 *
 * The order of rows is that of a join in memory: rows carry their number, streamed ones from 0, held ones, which
 * come out alone after all others, from HELD_FIRST. What a partition gives is in that order, so it is a run of
 * a sort (spill.h), and all of them are merged.
 *
 * A partition that is too large by itself, as with one key for half of all rows, is more than the statement may
 * take. So is x IN (...) with all that it must know of NULL, and what has no keys.
 */
#include "query/op_join.h"

#include <stdlib.h>

#define PARTS_MAX  32u
#define HELD_FIRST (INT64_C(1) << 62)
#define ROWS_MIN   (4 * VEC_ROWS) /* held; fewer are not worth files */

/* One side's rows, and their numbers behind them. */
struct part_side {
	const struct type **types;
	uint32_t col_count; /* without the number */
	uint64_t n;         /* rows that came */
	bool keeps_unusable;
	struct row_spool spools[PARTS_MAX];
};

struct join_parts {
	uint32_t n, at;
	struct part_side held, streamed;
	const struct type **out_types;
	struct spill *out;
	struct plan_key by_number;
	struct sorter order;
	bool is_merging;
};

/* ---- where rows go -------------------------------------------------------------------------------- */

static size_t row_bytes(const struct plan *p)
{
	size_t bytes = 16;

	for (uint32_t i = 0; i < p->col_count; i++)
		bytes += layout_size(type_layout(p->cols[i].type)) + 1;
	return bytes;
}

static int side_init(struct join_op *j, struct part_side *s, const struct plan *p, uint32_t parts, struct err *e)
{
	struct exec *x = j->base.x;
	int rc = 0;

	s->col_count = p->col_count;
	s->types = arena_array(x->arena, const struct type *, p->col_count + 1);
	if (!s->types)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++)
		s->types[i] = p->cols[i].type;
	s->types[p->col_count] = &type_bigint;
	for (uint32_t i = 0; i < parts && rc >= 0; i++) {
		rc = row_spool_init(&s->spools[i], &x->ctx, s->types, p->col_count + 1, e);
		s->spools[i].memory_max = x->ctx.budget->limit / 16 / parts;
	}
	return rc;
}

static int parts_init(struct join_op *j, struct err *e)
{
	const struct plan *p = j->base.plan, *held = p->children[!j->is_left], *streamed = p->children[j->is_left];
	struct exec *x = j->base.x;
	enum plan_join k = p->join;
	struct join_parts *a = arena_new(x->arena, struct join_parts);

	if (!a)
		return exec_nomem(&x->ctx, e);
	j->parts = a;
	/* Each holds a chunk of rows at least. */
	a->n = 4;
	while (a->n < PARTS_MAX &&
	       4 * a->n * VEC_ROWS * (row_bytes(held) + row_bytes(streamed)) <= x->ctx.budget->limit / 4)
		a->n *= 2;
	a->held.keeps_unusable = j->table.all_rows;
	a->streamed.keeps_unusable = join_keeps_streamed(j) || k == PJ_ANTI || k == PJ_MARK;
	a->out_types = arena_array(x->arena, const struct type *, p->col_count + 1);
	if (!a->out_types)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++)
		a->out_types[i] = p->cols[i].type;
	a->out_types[p->col_count] = &type_bigint;
	a->by_number.col = p->col_count;
	a->order = (struct sorter){.x = x, .keys = &a->by_number, .key_count = 1, .is_decisive = true};
	int rc = side_init(j, &a->held, held, a->n, e);
	if (rc >= 0)
		rc = side_init(j, &a->streamed, streamed, a->n, e);
	return rc < 0 ? rc : spill_create(&x->ctx, a->out_types, p->col_count + 1, &a->out, e);
}

void join_parts_release(struct join_op *j)
{
	struct join_parts *a = j->parts;

	for (uint32_t i = 0; a && i < a->n; i++) {
		row_spool_release(&a->held.spools[i]);
		row_spool_release(&a->streamed.spools[i]);
	}
	if (a)
		spill_destroy(a->out);
	j->parts = NULL;
}

/* part[i] of each row; UINT32_MAX: nobody wants it. */
static int choose_parts(struct join_op *j, const struct part_side *s, bool is_left, const struct vbatch *in,
			uint32_t *part, struct err *e)
{
	const struct plan *p = j->base.plan;
	struct join_keys k;
	/* All keys, where none is sure: then one that fails ends the statement. */
	uint32_t sure = join_sure_keys(p), key_n = sure ? sure : p->join_key_count;
	int rc = join_keys_of(j->base.x, p, is_left, key_n, in, &j->base.batch, &k, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < in->n; i++)
		part[i] = s->keeps_unusable ? 0 : UINT32_MAX;
	for (uint32_t i = 0; i < k.usable_n; i++) {
		uint32_t row = k.usable[i];
		uint64_t h = UINT64_C(0x7061727473);
		for (uint32_t c = 0; c < key_n; c++)
			h = vec_hash(&k.v[c], row, h);
		/* Other bits than an index of groups looks at. */
		part[row] = (uint32_t)(hash_u64(h) >> 32) & (j->parts->n - 1);
	}
	return 0;
}

/* A batch's rows to their partitions, with their numbers. */
static int scatter(struct join_op *j, struct part_side *s, bool is_left, const struct vbatch *in, struct err *e)
{
	struct arena *a = &j->base.batch;
	uint32_t *part = arena_array(a, uint32_t, in->n), *sel = arena_array(a, uint32_t, in->n);
	struct vec *from = arena_array(a, struct vec, s->col_count + 1);
	struct vec *cols = arena_array(a, struct vec, s->col_count + 1);

	if (!part || !sel || !from || !cols)
		return exec_nomem(&j->base.x->ctx, e);
	int rc = choose_parts(j, s, is_left, in, part, e);
	if (rc >= 0)
		rc = vec_alloc(&from[s->col_count], &type_bigint, in->n, a, e);
	if (rc < 0)
		return rc;
	if (s->col_count)
		memcpy(from, in->cols, sizeof *from * s->col_count);
	for (uint32_t i = 0; i < in->n; i++)
		from[s->col_count].i64[i] = (int64_t)s->n++;
	for (uint32_t k = 0; k < j->parts->n; k++) {
		uint32_t n = 0;
		for (uint32_t i = 0; i < in->n; i++) {
			sel[n] = i;
			n += part[i] == k;
		}
		for (uint32_t c = 0; n && c <= s->col_count && rc >= 0; c++)
			rc = vec_gather(&from[c], sel, n, a, &cols[c], e);
		if (n && rc >= 0)
			rc = row_spool_add(&s->spools[k], cols, n, a, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

bool join_parts_wanted(const struct join_op *j)
{
	const struct budget *b = j->base.x->ctx.budget;

	if (!b || j->table.has_is_in || !j->table.has_rows || !j->table.key_n || j->table.rows.n < ROWS_MIN)
		return false;
	return atomic_load_explicit(&((struct budget *)b)->used, memory_order_relaxed) > b->limit / 8 * 3;
}

int join_parts_hold(struct join_op *j, const struct vbatch *in, struct err *e)
{
	return scatter(j, &j->parts->held, j->is_left, in, e);
}

int join_parts_begin(struct join_op *j, struct err *e)
{
	struct row_store *rows = &j->table.rows;
	int rc = parts_init(j, e);

	for (uint32_t i = 0; i < rows->chunk_n && rc >= 0; i++) {
		struct vbatch in = {rows->chunks[i]->n, j->parts->held.col_count, rows->chunks[i]->cols};
		arena_reset(&j->base.batch);
		rc = exec_cancelled(j->base.x, e);
		if (rc >= 0)
			rc = join_parts_hold(j, &in, e);
	}
	join_table_release(&j->table);
	return rc;
}

/* ---- a partition ------------------------------------------------------------------------------------- */

int join_parts_next(struct join_op *j, struct err *e)
{
	struct part_side *s = &j->parts->streamed;
	struct vec *cols = arena_array(&j->probe, struct vec, s->col_count + 1);
	int rc = exec_cancelled(j->base.x, e);

	if (rc < 0)
		return rc;
	if (!cols)
		return exec_nomem(&j->base.x->ctx, e);
	int64_t n = row_spool_next(&s->spools[j->parts->at], &j->probe, cols, e);
	if (n <= 0)
		return (int)n;
	j->in = (struct vbatch){(uint32_t)n, s->col_count, cols};
	return 1;
}

int join_parts_number(struct join_op *j, const uint32_t *rows, uint32_t n, struct vec *ret, struct err *e)
{
	return vec_gather(&j->in.cols[j->in.col_count], rows, n, &j->base.batch, ret, e);
}

int join_parts_held_number(struct join_op *j, const uint32_t *ids, uint32_t n, struct vec *ret, struct err *e)
{
	struct vec own;
	int rc = row_store_gather_column(&j->table.rows, ids, n, j->parts->held.col_count, &j->base.batch, &own, e);

	if (rc >= 0)
		rc = vec_alloc(ret, &type_bigint, n, &j->base.batch, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		ret->i64[i] = HELD_FIRST + own.i64[i];
	return rc;
}

static int load_held(struct join_op *j, struct err *e)
{
	struct part_side *s = &j->parts->held;
	struct arena *a = &j->base.batch;
	int64_t n = 0;
	int rc = join_table_init(&j->table, j->base.x, j->base.plan, j->is_left, true, e);

	while (rc >= 0) {
		arena_reset(a);
		struct vec *cols = arena_array(a, struct vec, s->col_count + 1);
		if (!cols)
			return exec_nomem(&j->base.x->ctx, e);
		n = row_spool_next(&s->spools[j->parts->at], a, cols, e);
		if (n <= 0)
			break;
		struct vbatch in = {(uint32_t)n, s->col_count + 1, cols};
		rc = exec_cancelled(j->base.x, e);
		if (rc >= 0)
			rc = join_table_add(&j->table, &in, a, e);
	}
	if (rc < 0 || n < 0)
		return rc < 0 ? rc : (int)n;
	row_spool_release(&s->spools[j->parts->at]);
	return join_table_finish(&j->table, e);
}

static int join_part(struct join_op *j, struct err *e)
{
	struct join_parts *a = j->parts;
	uint32_t col_n = j->base.plan->col_count;
	struct vbatch b;
	int rc = load_held(j, e);

	if (rc >= 0)
		rc = spill_begin_run(a->out, e);
	j->has_in = false;
	j->drained = 0;
	j->is_done = rc >= 0 && join_is_over(j);
	while (rc >= 0 && (rc = join_step(j, &b, e)) > 0) {
		for (uint32_t c = 0; c <= col_n && rc >= 0; c++)
			rc = vec_flatten(&b.cols[c], b.n, &j->base.batch, &b.cols[c], e);
		if (rc >= 0)
			rc = spill_write(a->out, b.cols, b.n, e);
	}
	row_spool_release(&a->streamed.spools[a->at]);
	join_table_release(&j->table);
	return rc;
}

int join_parts_run(struct join_op *j, struct err *e)
{
	struct join_parts *a = j->parts;
	int rc;

	while ((rc = join_read_streamed(j, e)) > 0) {
		arena_reset(&j->base.batch);
		rc = scatter(j, &a->streamed, !j->is_left, &j->in, e);
		if (rc < 0)
			return rc;
		arena_reset(&j->probe);
	}
	a->is_merging = true; /* from here on rows come from partitions */
	for (; a->at < a->n && rc >= 0; a->at++)
		rc = join_part(j, e);
	return rc < 0 ? rc : spill_merge(a->out, &a->order, e);
}

bool join_parts_ready(const struct join_op *j)
{
	return j->parts && j->parts->is_merging;
}

int join_parts_give(struct join_op *j, struct vbatch *ret, struct err *e)
{
	struct join_parts *a = j->parts;
	struct arena *m = &j->base.batch;
	uint32_t col_n = j->base.plan->col_count;
	struct vec *cols = arena_array(m, struct vec, col_n + 1);

	if (!cols)
		return exec_nomem(&j->base.x->ctx, e);
	if (spill_is_done(a->out))
		return 0;
	int64_t n = spill_next(a->out, VEC_ROWS, m, cols, e);
	*ret = (struct vbatch){n > 0 ? (uint32_t)n : 0, col_n, cols};
	return n < 0 ? (int)n : n > 0;
}
