/*
 * op_join: rows of two sides that belong together.
 *
 * One side is held (join_table.h): all of its rows are read first. The other one streams by, a batch at a
 * time: its keys are looked up together, then each row's matches are put beside it until there are enough
 * pairs for a batch. The condition that is left is answered for whole batches of pairs, of which only the
 * columns that it looks at were gathered. Without keys every held row is a match: nested loops.
 *
 * A streamed row without a match makes one pair with no row, where the join keeps it; held rows without a
 * match come in the end. So rows come in the order of the streamed side, and for each in that of the held one.
 *
 * Pairs keep the forms of vectors alive: a batch of one streamed row has its columns CONST, neighbouring
 * held rows are lent, texts of few held rows are a dictionary.
 */
#include "query/op_join.h"

static bool is_half(enum plan_join k)
{
	return k == PJ_SEMI || k == PJ_ANTI || k == PJ_MARK;
}

/* A streamed row without a match. */
bool join_keeps_streamed(const struct join_op *j)
{
	enum plan_join k = j->base.plan->join;

	return k == PJ_FULL || (j->is_left ? k == PJ_RIGHT : k == PJ_LEFT || k == PJ_SINGLE);
}

static bool keeps_held(const struct join_op *j)
{
	enum plan_join k = j->base.plan->join;

	return k == PJ_FULL || (j->is_left ? k == PJ_LEFT : k == PJ_RIGHT);
}

static bool look(const struct bx *x, void *ctx)
{
	bool *looked = ctx;

	if (x->kind == BX_COLUMN)
		looked[x->index] = true;
	return false;
}

static int join_open(struct op *o, struct err *e)
{
	struct join_op *j = (struct join_op *)o;
	const struct plan *p = o->plan;

	j->is_left = p->build_left;
	arena_init(&j->probe, o->x->ctx.budget);
	j->looked = arena_zarray(o->x->arena, bool, p->children[0]->col_count + p->children[1]->col_count + 1);
	if (!j->looked)
		return exec_nomem(&o->x->ctx, e);
	if (p->where)
		bx_any(p->where, look, j->looked);
	return join_table_init(&j->table, o->x, p, j->is_left, false, e);
}

static void join_close(struct op *o)
{
	struct join_op *j = (struct join_op *)o;

	join_table_release(&j->table);
	join_parts_release(j);
	row_spool_release(&j->ahead);
	join_index_release(&j->ahead_keys);
	arena_release(&j->probe);
}

/* ---- the left side first -------------------------------------------------------------------------------- */

#define AHEAD_KEYS_MAX (UINT32_C(1) << 20)

static int ahead_init(struct join_op *j, struct err *e)
{
	const struct plan *p = j->base.plan, *left = p->children[0];
	struct exec *x = j->base.x;
	const struct type **types = arena_array(x->arena, const struct type *, left->col_count + p->join_key_count + 1);

	if (!types)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < left->col_count; i++)
		types[i] = left->cols[i].type;
	for (uint32_t i = 0; i < p->join_key_count; i++)
		types[left->col_count + i] = p->join_keys[i].left->type;
	int rc = row_spool_init(&j->ahead, &x->ctx, types, left->col_count, e);
	return rc < 0 ? rc : join_index_init(&j->ahead_keys, &x->ctx, types + left->col_count,
					       join_sure_keys(p), true, e);
}

/*
 * All left rows are laid aside, and their keys tell the right side what matters. More keys than a scan would
 * gain from end that.
 */
static int read_ahead(struct join_op *j, struct err *e)
{
	struct op *o = &j->base, **left = &o->children[0];
	uint32_t key_n = join_sure_keys(o->plan);
	bool tells = key_n > 0;
	struct vbatch in;
	int rc = ahead_init(j, e);

	while (rc >= 0 && (rc = op_next(*left, &in, e)) > 0) {
		struct join_keys k;
		arena_reset(&o->batch);
		rc = row_spool_add(&j->ahead, in.cols, in.n, &o->batch, e);
		tells = tells && groups_count(&j->ahead_keys.groups) <= AHEAD_KEYS_MAX;
		if (rc >= 0 && tells)
			rc = join_keys_of(o->x, o->plan, true, key_n, &in, &o->batch, &k, e);
		if (rc >= 0 && tells)
			rc = join_index_add(&j->ahead_keys, k.v, k.usable, k.usable_n, 0, e);
	}
	arena_reset(&o->batch);
	if (rc >= 0 && tells)
		rc = join_narrow_right(j, &j->ahead_keys.groups.keys, e);
	if (rc < 0)
		return rc;
	join_index_release(&j->ahead_keys);
	op_close(*left);
	*left = NULL;
	return 0;
}

/* ---- the held side ------------------------------------------------------------------------------------- */

static int build(struct join_op *j, struct err *e)
{
	struct op *o = &j->base, **held = &o->children[!j->is_left];
	struct vbatch in;
	int rc;

	while ((rc = op_next(*held, &in, e)) > 0) {
		arena_reset(&o->batch);
		rc = j->parts ? join_parts_hold(j, &in, e) : join_table_add(&j->table, &in, &o->batch, e);
		if (rc >= 0 && !j->parts && join_parts_wanted(j))
			rc = join_parts_begin(j, e);
		if (rc < 0)
			return rc;
	}
	if (rc >= 0 && !j->parts)
		rc = join_table_finish(&j->table, e);
	/* Its groups and pages are not needed any more, and the other side draws on the same budget. */
	op_close(*held);
	*held = NULL;
	arena_reset(&o->batch);
	return rc;
}

/* Does nothing come of a streamed row without a match? */
static bool drops_streamed(const struct join_op *j)
{
	enum plan_join k = j->base.plan->join;

	return !join_keeps_streamed(j) && k != PJ_ANTI && k != PJ_MARK;
}

bool join_is_over(const struct join_op *j)
{
	return !j->table.match.key_n && drops_streamed(j);
}

/* ---- the streamed side ----------------------------------------------------------------------------------- */

int join_read_streamed(struct join_op *j, struct err *e)
{
	struct op *o = &j->base;
	uint32_t col_n = o->plan->children[0]->col_count;

	if (!o->plan->left_first)
		return op_next(o->children[j->is_left], &j->in, e);
	int rc = exec_cancelled(o->x, e);
	j->in = (struct vbatch){0, col_n, arena_array(&j->probe, struct vec, col_n + 1)};
	if (rc >= 0 && !j->in.cols)
		rc = exec_nomem(&o->x->ctx, e);
	int64_t n = rc < 0 ? rc : row_spool_next(&j->ahead, &j->probe, j->in.cols, e);
	j->in.n = n < 0 ? 0 : (uint32_t)n;
	return n < 0 ? (int)n : n > 0;
}

int join_pull(struct join_op *j, struct err *e)
{
	struct op *o = &j->base;
	uint32_t *found;

	j->has_in = false;
	j->row = j->at = j->found = 0;
	if (j->is_done)
		return 0;
	arena_reset(&j->probe);
	int rc = join_parts_ready(j) ? join_parts_next(j, e) : join_read_streamed(j, e);
	if (rc <= 0) {
		j->is_done = true;
		return rc;
	}
	rc = join_table_keys(&j->table, !j->is_left, &j->in, &j->probe, &j->keys, e);
	if (rc < 0)
		return rc;
	j->key = arena_array(&j->probe, uint32_t, j->in.n);
	found = arena_array(&j->probe, uint32_t, j->in.n);
	if (!j->key || !found)
		return exec_nomem(&o->x->ctx, e);
	j->has_in = true;
	if (j->keys.usable_n == j->in.n) {
		rc = join_index_find(&j->table.match, j->keys.v, j->keys.usable, j->in.n, j->key, e);
		return rc < 0 ? rc : 1;
	}
	rc = join_index_find(&j->table.match, j->keys.v, j->keys.usable, j->keys.usable_n, found, e);
	for (uint32_t i = 0; i < j->in.n; i++)
		j->key[i] = GROUP_NONE;
	for (uint32_t i = 0; i < j->keys.usable_n && rc >= 0; i++)
		j->key[j->keys.usable[i]] = found[i];
	return rc < 0 ? rc : 1;
}

/* ---- pairs ------------------------------------------------------------------------------------------------- */

struct pairs {
	uint32_t n;
	uint32_t *streamed, *held; /* rows; held may be JOIN_NO_ROW */
};

/* The streamed column's rows: itself, a constant, or gathered. */
static int streamed_column(struct join_op *j, const struct vec *v, const uint32_t *rows, uint32_t n,
			   struct vec *ret, struct err *e)
{
	struct arena *a = &j->base.batch;
	bool same = true, all = n == j->in.n;

	for (uint32_t i = 0; i < n && (same || all); i++) {
		same = same && rows[i] == rows[0];
		all = all && rows[i] == i;
	}
	if (all || v->form == VEC_CONST) {
		*ret = *v;
		return 0;
	}
	if (!same || n == 1)
		return vec_gather(v, rows, n, a, ret, e);
	int rc = vec_gather(v, rows, 1, a, ret, e);
	if (rc >= 0)
		rc = vec_flatten(ret, 1, a, ret, e);
	ret->form = VEC_CONST;
	return rc;
}

/* Column c of both sides' columns, for the pairs. */
static int pair_column(struct join_op *j, uint32_t c, const uint32_t *streamed, const uint32_t *held, uint32_t n,
		       struct vec *ret, struct err *e)
{
	uint32_t left_n = j->base.plan->children[0]->col_count;
	bool is_left = c < left_n;
	uint32_t at = is_left ? c : c - left_n;

	if (is_left == j->is_left)
		return join_table_column(&j->table, at, held, n, &j->base.batch, ret, e);
	return streamed_column(j, &j->in.cols[at], streamed, n, ret, e);
}

int64_t join_judge(struct join_op *j, const uint32_t *streamed, const uint32_t *held, uint32_t n, uint32_t *sel,
		   struct vec *ret, struct err *e)
{
	struct op *o = &j->base;
	const struct plan *p = o->plan;
	uint32_t col_n = p->children[0]->col_count + p->children[1]->col_count;
	struct vec *cols = arena_zarray(&o->batch, struct vec, col_n + 1);

	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t c = 0; c < col_n; c++) {
		int rc = j->looked[c] ? pair_column(j, c, streamed, held, n, &cols[c], e) : 0;
		if (rc < 0)
			return rc;
	}
	struct vbatch in = {n, col_n, cols};
	if (ret)
		return bx_eval(&o->x->ctx, p->where, &in, &o->batch, ret, e);
	return bx_select(&o->x->ctx, p->where, &in, &o->batch, sel, e);
}

/* The next pairs that keys allow, in order. What is kept without a match takes a place, too. */
static void collect(struct join_op *j, struct pairs *p)
{
	bool keeps = join_keeps_streamed(j);

	p->n = 0;
	while (j->row < j->in.n && p->n < VEC_ROWS) {
		uint32_t row = j->row, count, k;
		if (j->key[row] == GROUP_NONE) {
			if (keeps) {
				p->streamed[p->n] = row;
				p->held[p->n++] = JOIN_NO_ROW;
			}
			j->row++;
			continue;
		}
		const uint32_t *ids = join_index_rows(&j->table.match, j->key[row], &count);
		k = MIN(count - j->at, VEC_ROWS - p->n);
		for (uint32_t i = 0; i < k; i++) {
			p->streamed[p->n + i] = row;
			p->held[p->n + i] = ids[j->at + i];
		}
		p->n += k;
		j->at += k;
		if (j->at == count) {
			j->row++;
			j->at = 0;
		}
	}
}

/* Pairs for which the condition is TRUE: kept[i]. */
static int judge_pairs(struct join_op *j, const struct pairs *p, uint8_t *kept, struct err *e)
{
	struct arena *a = &j->base.batch;
	uint32_t *sel = arena_array(a, uint32_t, p->n), *pair = arena_array(a, uint32_t, p->n);
	uint32_t *streamed = arena_array(a, uint32_t, p->n), *held = arena_array(a, uint32_t, p->n), n = 0;

	if (!sel || !pair || !streamed || !held)
		return exec_nomem(&j->base.x->ctx, e);
	for (uint32_t i = 0; i < p->n; i++) {
		kept[i] = 0;
		if (p->held[i] == JOIN_NO_ROW)
			continue;
		pair[n] = i;
		streamed[n] = p->streamed[i];
		held[n++] = p->held[i];
	}
	int64_t k = n ? join_judge(j, streamed, held, n, sel, NULL, e) : 0;
	for (int64_t i = 0; i < k; i++)
		kept[pair[sel[i]]] = 1;
	return (int)MIN(k, (int64_t)0);
}

static int too_many(const struct join_op *j, struct err *e)
{
	const struct pos *at = &j->base.plan->pos;

	return err_set(e, -EINVAL, "line %u:%u: the subquery gives more than one row", at->line, at->col);
}

/*
 * Of the pairs those that stand: the ones kept, and where none of a row's are, the row with nothing beside
 * it. A row whose matches go on in the next batch is counted on in j->found.
 */
static int settle(struct join_op *j, struct pairs *p, const uint8_t *kept, struct err *e)
{
	bool keeps = join_keeps_streamed(j), is_single = j->base.plan->join == PJ_SINGLE;
	uint8_t *matched = keeps_held(j) ? j->table.matched.data : NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t row = p->streamed[i];
		bool is_last = i + 1 < p->n ? p->streamed[i + 1] != row : j->row != row;
		bool stands = kept[i];
		if (stands) {
			j->found++;
			if (is_single && j->found > 1)
				return too_many(j, e);
			if (matched)
				matched[p->held[i]] = 1;
		} else if (is_last && keeps && !j->found) {
			p->held[i] = JOIN_NO_ROW;
			stands = true;
		}
		if (stands) {
			p->streamed[n] = row;
			p->held[n++] = p->held[i];
		}
		if (is_last)
			j->found = 0;
	}
	p->n = n;
	return 0;
}

static int emit(struct join_op *j, const struct pairs *p, struct vbatch *ret, struct err *e)
{
	struct op *o = &j->base;
	uint32_t col_n = o->plan->col_count;

	*ret = (struct vbatch){p->n, col_n, arena_zarray(&o->batch, struct vec, col_n + 1)};
	if (!ret->cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t c = 0; c < col_n; c++) {
		int rc = pair_column(j, c, p->streamed, p->held, p->n, &ret->cols[c], e);
		if (rc < 0)
			return rc;
	}
	int rc = j->parts ? join_parts_number(j, p->streamed, p->n, &ret->cols[col_n], e) : 0;
	return rc < 0 ? rc : 1;
}

/* Held rows that nobody matched. */
static int drain(struct join_op *j, struct vbatch *ret, struct err *e)
{
	struct op *o = &j->base;
	const struct plan *p = o->plan;
	uint32_t left_n = p->children[0]->col_count, n = 0;
	const uint8_t *matched = j->table.matched.data;
	uint32_t *ids = arena_array(&o->batch, uint32_t, VEC_ROWS);

	*ret = (struct vbatch){0, p->col_count, arena_zarray(&o->batch, struct vec, p->col_count + 1)};
	if (!ids || !ret->cols)
		return exec_nomem(&o->x->ctx, e);
	for (; j->drained < j->table.rows.n && n < VEC_ROWS; j->drained++) {
		if (!matched[j->drained])
			ids[n++] = j->drained;
	}
	if (!n)
		return 0;
	ret->n = n;
	for (uint32_t c = 0; c < p->col_count; c++) {
		bool is_held = (c < left_n) == j->is_left;
		int rc = is_held ? join_table_column(&j->table, c < left_n ? c : c - left_n, ids, n, &o->batch,
						     &ret->cols[c], e)
				 : vec_const_null(&ret->cols[c], p->cols[c].type, &o->batch, e);
		if (rc < 0)
			return rc;
	}
	int rc = j->parts ? join_parts_held_number(j, ids, n, &ret->cols[p->col_count], e) : 0;
	return rc < 0 ? rc : 1;
}

/* Pairs of the batch at hand: 1 there is one, 0 it is used up. */
static int next_pairs(struct join_op *j, struct vbatch *ret, struct err *e)
{
	struct op *o = &j->base;
	enum plan_join kind = o->plan->join;

	while (j->row < j->in.n) {
		struct pairs p = {0};
		int rc = exec_cancelled(o->x, e);

		if (rc < 0)
			return rc;
		arena_reset(&o->batch);
		p.streamed = arena_array(&o->batch, uint32_t, VEC_ROWS);
		p.held = arena_array(&o->batch, uint32_t, VEC_ROWS);
		uint8_t *kept = arena_alloc(&o->batch, VEC_ROWS);
		if (!p.streamed || !p.held || !kept)
			return exec_nomem(&o->x->ctx, e);
		collect(j, &p);
		if (!p.n)
			continue;
		if (o->plan->where) {
			rc = judge_pairs(j, &p, kept, e);
			if (rc < 0)
				return rc;
		} else {
			for (uint32_t i = 0; i < p.n; i++)
				kept[i] = p.held[i] != JOIN_NO_ROW;
		}
		if (o->plan->where || kind == PJ_SINGLE || keeps_held(j)) {
			rc = settle(j, &p, kept, e);
			if (rc < 0)
				return rc;
		}
		if (p.n)
			return emit(j, &p, ret, e);
	}
	return 0;
}

int join_step(struct join_op *j, struct vbatch *ret, struct err *e)
{
	if (is_half(j->base.plan->join))
		return join_half_next(j, ret, e);
	for (;;) {
		int rc = j->has_in ? next_pairs(j, ret, e) : 0;
		if (rc)
			return rc;
		rc = join_pull(j, e);
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		arena_reset(&j->base.batch);
		return keeps_held(j) ? drain(j, ret, e) : 0;
	}
}

/* Everything that comes before the first row. */
static int begin(struct join_op *j, struct err *e)
{
	bool left_first = j->base.plan->left_first;
	int rc = left_first ? read_ahead(j, e) : 0;

	if (rc >= 0 && (!left_first || j->ahead.n))
		rc = build(j, e);
	if (rc >= 0 && j->parts)
		return join_parts_run(j, e);
	if (rc < 0)
		return rc;
	j->is_done = join_is_over(j);
	return j->is_done || !drops_streamed(j) ? 0 : join_narrow(j, e);
}

static int join_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct join_op *j = (struct join_op *)o;
	int rc = 0;

	if (!j->is_built) {
		j->is_built = true;
		rc = begin(j, e);
		if (rc < 0)
			return rc;
	}
	return j->parts ? join_parts_give(j, ret, e) : join_step(j, ret, e);
}

const struct op_class op_join_class = {
	.name = "join",
	.size = sizeof(struct join_op),
	.open = join_open,
	.next = join_next,
	.close = join_close,
};
