/*
 * op_join_half: SEMI, ANTI and MARK joins, whose rows are those of the left side alone.
 *
 * For a batch of left rows it is worked out what each of them is: TRUE (a right row matches), NULL (none
 * does, but for one it is not known) or FALSE. Without a condition that is one look-up. With one, rows
 * that are not decided are asked again and again with more of their candidates: a few first, as most rows
 * find a match soon if they have one.
 *
 * x IN (...) is TRUE by a look-up by all keys. Where it is not, candidates by the other keys may make it
 * NULL: if x equals itself only those whose value does not, else all of them.
 */
#include "query/op_join.h"

#define FIRST_STEP 8

/* What is to be asked of rows of the batch: their candidates in one index. */
struct hunt {
	struct join_op *j;
	struct join_index *index;
	uint32_t *rows, row_n; /* of the batch, ascending; shrinks */
	uint32_t *key;         /* by row of the batch */
	uint32_t *at;          /* by row: candidates asked so far */
	uint8_t *state;        /* by row: enum tristate; the answer */
	bool is_unknown;       /* candidates cannot make it TRUE, but NULL */
};

/* Is the comparison of x IN (...) not known? */
static bool compares_unknown(const struct join_op *j, uint32_t row, uint32_t id)
{
	const struct row_store *s = &j->table.rows;
	uint32_t k = j->base.plan->join_key_count - 1, col = s->col_count - 1;

	return vec_equal3(&j->keys.v[k], row, row_store_vec(s, id, col), row_store_at(id)) < 0;
}

/* Pairs of undecided rows, up to `step` candidates each; those with none left leave the hunt. */
static uint32_t beat(struct hunt *h, uint32_t *from, uint32_t step, uint32_t *streamed, uint32_t *held)
{
	uint32_t n = 0;

	for (; *from < h->row_n && n < VEC_ROWS; ++*from) {
		uint32_t row = h->rows[*from], count, k;
		const uint32_t *ids = join_index_rows(h->index, h->key[row], &count);
		k = MIN(MIN(step, count - h->at[row]), VEC_ROWS - n);
		for (uint32_t i = 0; i < k; i++) {
			uint32_t id = ids[h->at[row] + i];
			if (h->is_unknown && !compares_unknown(h->j, row, id))
				continue;
			streamed[n] = row;
			held[n++] = id;
		}
		h->at[row] += k;
	}
	return n;
}

static int answer(struct hunt *h, const uint32_t *streamed, const uint32_t *held, uint32_t n, struct err *e)
{
	struct vec v;

	if (!h->j->base.plan->where) {
		for (uint32_t i = 0; i < n; i++)
			h->state[streamed[i]] = h->is_unknown ? TRI_NULL : TRI_TRUE;
		return 0;
	}
	int64_t rc = n ? join_judge(h->j, streamed, held, n, NULL, &v, e) : 0;
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		enum tristate is = vec_tristate(&v, i);
		uint8_t *state = &h->state[streamed[i]];
		if (is == TRI_TRUE && !h->is_unknown)
			*state = TRI_TRUE;
		else if (is != TRI_FALSE && *state == TRI_FALSE)
			*state = TRI_NULL;
	}
	return (int)MIN(rc, (int64_t)0);
}

static bool is_open(const struct hunt *h, uint32_t row)
{
	uint32_t count;

	if (h->state[row] == TRI_TRUE || (h->is_unknown && h->state[row] == TRI_NULL))
		return false;
	join_index_rows(h->index, h->key[row], &count);
	return h->at[row] < count;
}

static int hunt(struct hunt *h, struct err *e)
{
	struct op *o = &h->j->base;
	uint32_t *streamed = arena_array(&h->j->probe, uint32_t, VEC_ROWS);
	uint32_t *held = arena_array(&h->j->probe, uint32_t, VEC_ROWS);

	if (!streamed || !held)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t step = FIRST_STEP; h->row_n; step = MIN(step * 2, (uint32_t)VEC_ROWS)) {
		for (uint32_t from = 0; from < h->row_n;) {
			int rc = exec_cancelled(o->x, e);
			if (rc < 0)
				return rc;
			arena_reset(&o->batch);
			uint32_t n = beat(h, &from, step, streamed, held);
			rc = answer(h, streamed, held, n, e);
			if (rc < 0)
				return rc;
		}
		uint32_t n = 0;
		for (uint32_t i = 0; i < h->row_n; i++) {
			if (is_open(h, h->rows[i]))
				h->rows[n++] = h->rows[i];
		}
		h->row_n = n;
	}
	return 0;
}

static int hunt_init(struct hunt *h, struct join_op *j, struct join_index *index, uint32_t *key, uint8_t *state,
		     struct err *e)
{
	struct arena *a = &j->probe;

	*h = (struct hunt){.j = j, .index = index, .key = key, .state = state};
	h->rows = arena_array(a, uint32_t, j->in.n);
	h->at = arena_zarray(a, uint32_t, j->in.n);
	return h->rows && h->at ? 0 : exec_nomem(&j->base.x->ctx, e);
}

/* ---- x IN (...) ----------------------------------------------------------------------------------------- */

/* Rows that are not TRUE and of this kind: may candidates of the index make them NULL? */
static int hunt_unknown(struct join_op *j, struct join_index *index, bool self_equal, uint8_t *state, struct err *e)
{
	uint32_t count = j->base.plan->join_key_count - 1, n = 0;
	const struct vec *x = &j->keys.v[count];
	struct arena *a = &j->probe;
	struct join_keys others;
	struct hunt h;

	if (!index->key_n)
		return 0;
	uint32_t *key = arena_array(a, uint32_t, j->in.n), *found = arena_array(a, uint32_t, j->in.n);
	int rc = join_keys_of(j->base.x, j->base.plan, !j->is_left, count, &j->in, a, &others, e);
	if (rc < 0)
		return rc;
	if (!key || !found)
		return exec_nomem(&j->base.x->ctx, e);
	for (uint32_t i = 0; i < others.usable_n; i++) {
		uint32_t row = others.usable[i];
		if (state[row] == TRI_FALSE && (vec_equal3(x, row, x, row) >= 0) == self_equal)
			others.usable[n++] = row;
	}
	rc = hunt_init(&h, j, index, key, state, e);
	if (rc >= 0)
		rc = join_index_find(index, others.v, others.usable, n, found, e);
	if (rc < 0)
		return rc;
	h.is_unknown = true;
	for (uint32_t i = 0; i < n; i++) {
		key[others.usable[i]] = found[i];
		if (found[i] != GROUP_NONE)
			h.rows[h.row_n++] = others.usable[i];
	}
	return hunt(&h, e);
}

/* ---- a batch ---------------------------------------------------------------------------------------------- */

static int decide(struct join_op *j, uint8_t *state, struct err *e)
{
	struct hunt h;
	int rc = 0;

	memset(state, TRI_FALSE, j->in.n);
	if (!j->base.plan->where) {
		for (uint32_t i = 0; i < j->in.n; i++)
			state[i] = j->key[i] == GROUP_NONE ? TRI_FALSE : TRI_TRUE;
	} else {
		rc = hunt_init(&h, j, &j->table.match, j->key, state, e);
		for (uint32_t i = 0; i < j->in.n && rc >= 0; i++) {
			if (j->key[i] != GROUP_NONE)
				h.rows[h.row_n++] = i;
		}
		if (rc >= 0)
			rc = hunt(&h, e);
	}
	if (rc >= 0 && j->table.has_is_in)
		rc = hunt_unknown(j, &j->table.unknown, true, state, e);
	if (rc >= 0 && j->table.has_is_in)
		rc = hunt_unknown(j, &j->table.all, false, state, e);
	return rc;
}

static int mark_column(struct join_op *j, const uint8_t *state, struct vec *ret, struct err *e)
{
	struct op *o = &j->base;
	uint32_t n = j->in.n;
	bool unknown = false;
	int rc = vec_alloc(ret, &type_boolean, n, &o->batch, e);

	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		ret->b8[i] = state[i] == TRI_TRUE;
		unknown = unknown || state[i] == TRI_NULL;
	}
	if (rc >= 0 && unknown)
		rc = vec_alloc_valid(ret, n, &o->batch, e);
	for (uint32_t i = 0; i < n && rc >= 0 && unknown; i++)
		ret->valid[i] = state[i] != TRI_NULL;
	return rc;
}

/* The batch at hand by its rows' states. 0: no row of it comes. */
static int give(struct join_op *j, const uint8_t *state, struct vbatch *ret, struct err *e)
{
	struct op *o = &j->base;
	enum plan_join kind = o->plan->join;
	uint32_t n = 0, *sel = arena_array(&o->batch, uint32_t, j->in.n), col_n = o->plan->col_count;
	int rc = 0;

	*ret = (struct vbatch){j->in.n, col_n, arena_array(&o->batch, struct vec, col_n + 1)};
	if (!ret->cols || !sel)
		return exec_nomem(&o->x->ctx, e);
	if (j->in.col_count)
		memcpy(ret->cols, j->in.cols, sizeof(struct vec) * j->in.col_count);
	if (kind == PJ_MARK)
		rc = mark_column(j, state, &ret->cols[col_n - 1], e);
	for (uint32_t i = 0; i < j->in.n; i++) {
		sel[n] = i;
		n += kind == PJ_MARK || (state[i] == TRI_TRUE) == (kind == PJ_SEMI);
	}
	ret->n = n;
	for (uint32_t c = 0; c < col_n && n && n < j->in.n && rc >= 0; c++)
		rc = vec_gather(&j->in.cols[c], sel, n, &o->batch, &ret->cols[c], e);
	if (rc >= 0 && n && j->parts)
		rc = join_parts_number(j, sel, n, &ret->cols[col_n], e);
	return rc < 0 ? rc : n > 0;
}

int join_half_next(struct join_op *j, struct vbatch *ret, struct err *e)
{
	int rc;

	while ((rc = join_pull(j, e)) > 0) {
		uint8_t state[VEC_ROWS];
		rc = decide(j, state, e);
		if (rc < 0)
			return rc;
		arena_reset(&j->base.batch);
		rc = give(j, state, ret, e);
		if (rc)
			return rc;
	}
	return rc;
}
