#include "query/join_table.h"

/* ---- keys ----------------------------------------------------------------------------------------- */

/* Of rows sel[0..n) those whose value equals itself: not NULL, no NaN, and none of these inside. */
static uint32_t sieve(const struct vec *v, uint32_t *sel, uint32_t n)
{
	const struct vec *b = vec_base(v);
	enum type_layout l = type_layout(v->type);
	uint32_t k = 0;

	if (!b->valid && l != LAYOUT_F64 && l < LAYOUT_LIST)
		return n;
	if (v->form == VEC_CONST)
		return vec_equal3(v, 0, v, 0) == 1 ? n : 0;
	if (l == LAYOUT_F64 || l >= LAYOUT_LIST) {
		for (uint32_t i = 0; i < n; i++) {
			if (vec_equal3(v, sel[i], v, sel[i]) == 1)
				sel[k++] = sel[i];
		}
		return k;
	}
	for (uint32_t i = 0; i < n; i++) {
		sel[k] = sel[i];
		k += b->valid[vec_index(v, sel[i])] != 0;
	}
	return k;
}

int join_keys_of(const struct exec *x, const struct plan *p, bool is_left, uint32_t count, const struct vbatch *in,
		 struct arena *a, struct join_keys *ret, struct err *e)
{
	*ret = (struct join_keys){.plan = p, .is_left = is_left, .usable_n = in->n};
	ret->v = arena_zarray(a, struct vec, count + 1);
	ret->usable = arena_array(a, uint32_t, in->n + 1);
	if (!ret->v || !ret->usable)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < in->n; i++)
		ret->usable[i] = i;
	for (uint32_t i = 0; i < count; i++) {
		const struct plan_join_key *k = &p->join_keys[i];
		int rc = bx_eval(&x->ctx, is_left ? k->left : k->right, in, a, &ret->v[i], e);
		if (rc < 0)
			return rc;
		if (!k->null_safe)
			ret->usable_n = sieve(&ret->v[i], ret->usable, ret->usable_n);
	}
	return 0;
}

uint32_t join_sure_keys(const struct plan *p)
{
	uint32_t n = p->join_key_count;

	while (n && p->join_keys[n - 1].is_lazy)
		n--;
	return n;
}

/* ---- the table ------------------------------------------------------------------------------------- */

static bool is_half(enum plan_join k)
{
	return k == PJ_SEMI || k == PJ_ANTI || k == PJ_MARK;
}

int join_table_init(struct join_table *t, const struct exec *x, const struct plan *p, bool is_left, bool has_number,
		    struct err *e)
{
	const struct plan *side = p->children[!is_left];
	uint32_t keys = p->join_key_count;
	const struct type **types = arena_array(x->arena, const struct type *, side->col_count + keys + 2);

	if (!types)
		return exec_nomem(&x->ctx, e);
	*t = (struct join_table){.x = x, .plan = p, .is_left = is_left};
	t->has_is_in = keys && p->join_keys[keys - 1].is_in;
	t->has_rows = !is_half(p->join) || p->where || t->has_is_in;
	t->all_rows = t->has_is_in || p->join == PJ_FULL || p->join == (is_left ? PJ_LEFT : PJ_RIGHT);
	for (uint32_t i = 0; i < side->col_count; i++)
		types[i] = side->cols[i].type;
	if (t->has_is_in || has_number)
		types[side->col_count] = has_number ? &type_bigint : p->join_keys[keys - 1].right->type;
	int rc = row_store_init(&t->rows, &x->ctx, types, side->col_count + (t->has_is_in || has_number), e);
	const struct type **key_types = types + side->col_count + 1;
	for (uint32_t i = 0; i < keys; i++)
		key_types[i] = p->join_keys[i].left->type;
	t->key_n = keys;
	t->key_types = key_types;
	if (rc >= 0)
		rc = join_index_init(&t->match, &x->ctx, key_types, keys, !t->has_rows, e);
	if (rc >= 0 && t->has_is_in)
		rc = join_index_init(&t->all, &x->ctx, key_types, keys - 1, false, e);
	if (rc >= 0 && t->has_is_in)
		rc = join_index_init(&t->unknown, &x->ctx, key_types, keys - 1, false, e);
	return rc;
}

void join_table_release(struct join_table *t)
{
	if (!t->x)
		return;
	row_store_release(&t->rows);
	join_index_release(&t->match);
	join_index_release(&t->all);
	join_index_release(&t->unknown);
	grow_release(&t->matched, t->x->ctx.budget);
	*t = (struct join_table){0};
}

/* The index anew, by the keys that cannot fail; the rows stay what they are. */
static int do_without_lazy(struct join_table *t, struct err *e)
{
	const struct row_store *s = &t->rows;
	struct arena a;

	t->key_n = join_sure_keys(t->plan);
	join_index_release(&t->match);
	int rc = join_index_init(&t->match, &t->x->ctx, t->key_types, t->key_n, !t->has_rows, e);
	arena_init(&a, t->x->ctx.budget);
	for (uint32_t c = 0; c < s->chunk_n && rc >= 0; c++) {
		struct vbatch in = {s->chunks[c]->n, s->col_count, s->chunks[c]->cols};
		struct join_keys k;
		arena_reset(&a);
		rc = exec_cancelled(t->x, e);
		if (rc >= 0)
			rc = join_keys_of(t->x, t->plan, t->is_left, t->key_n, &in, &a, &k, e);
		if (rc >= 0)
			rc = join_index_add(&t->match, k.v, k.usable, k.usable_n, c * VEC_ROWS, e);
	}
	arena_release(&a);
	return rc < 0 || !t->is_complete ? rc : join_index_finish(&t->match, e);
}

int join_table_keys(struct join_table *t, bool is_left, const struct vbatch *in, struct arena *a,
		    struct join_keys *ret, struct err *e)
{
	struct err own;
	int rc;

	if (t->key_n == join_sure_keys(t->plan))
		return join_keys_of(t->x, t->plan, is_left, t->key_n, in, a, ret, e);
	err_clear(&own);
	rc = join_keys_of(t->x, t->plan, is_left, t->key_n, in, a, ret, &own);
	if (rc >= 0)
		return rc;
	if (rc == -ENOMEM || rc == -ECANCELED) {
		if (e)
			*e = own;
		return rc;
	}
	rc = do_without_lazy(t, e);
	return rc < 0 ? rc : join_keys_of(t->x, t->plan, is_left, t->key_n, in, a, ret, e);
}

/* For x IN (...): rows by the other keys. */
static int add_unknown(struct join_table *t, const struct join_keys *k, const struct vbatch *in, uint32_t first,
		       struct arena *a, struct err *e)
{
	uint32_t count = t->plan->join_key_count - 1, unknown_n = 0;
	const struct vec *x = &k->v[count];
	uint32_t *unknown = arena_array(a, uint32_t, in->n + 1);
	struct join_keys others;

	if (!unknown)
		return exec_nomem(&t->x->ctx, e);
	int rc = join_keys_of(t->x, t->plan, t->is_left, count, in, a, &others, e);
	for (uint32_t i = 0; rc >= 0 && i < others.usable_n; i++) {
		uint32_t row = others.usable[i];
		if (vec_equal3(x, row, x, row) < 0)
			unknown[unknown_n++] = row;
	}
	if (rc >= 0)
		rc = join_index_add(&t->all, others.v, others.usable, others.usable_n, first, e);
	return rc < 0 ? rc : join_index_add(&t->unknown, others.v, unknown, unknown_n, first, e);
}

int join_table_add(struct join_table *t, const struct vbatch *in, struct arena *a, struct err *e)
{
	uint32_t keys, first = t->rows.n;
	struct join_keys k;
	int rc = join_table_keys(t, t->is_left, in, a, &k, e);

	if (rc < 0)
		return rc;
	keys = t->key_n;
	t->row_n += in->n;
	if (t->has_is_in) {
		struct vec *cols = arena_array(a, struct vec, in->col_count + 1);
		if (!cols)
			return exec_nomem(&t->x->ctx, e);
		if (in->col_count)
			memcpy(cols, in->cols, sizeof *cols * in->col_count);
		cols[in->col_count] = k.v[keys - 1];
		rc = row_store_add(&t->rows, cols, NULL, in->n, e);
		if (rc >= 0)
			rc = add_unknown(t, &k, in, first, a, e);
		return rc < 0 ? rc : join_index_add(&t->match, k.v, k.usable, k.usable_n, first, e);
	}
	if (!t->has_rows || t->all_rows || k.usable_n == in->n) {
		if (t->has_rows)
			rc = row_store_add(&t->rows, in->cols, NULL, in->n, e);
		return rc < 0 ? rc : join_index_add(&t->match, k.v, k.usable, k.usable_n, first, e);
	}
	/* Only usable rows are held: they are numbered without the others. */
	rc = row_store_add(&t->rows, in->cols, k.usable, k.usable_n, e);
	for (uint32_t i = 0; i < keys && rc >= 0; i++)
		rc = vec_gather(&k.v[i], k.usable, k.usable_n, a, &k.v[i], e);
	for (uint32_t i = 0; i < k.usable_n; i++)
		k.usable[i] = i;
	return rc < 0 ? rc : join_index_add(&t->match, k.v, k.usable, k.usable_n, first, e);
}

int join_table_finish(struct join_table *t, struct err *e)
{
	int rc = join_index_finish(&t->match, e);

	t->is_complete = true;
	if (rc >= 0 && t->has_is_in)
		rc = join_index_finish(&t->all, e);
	if (rc >= 0 && t->has_is_in)
		rc = join_index_finish(&t->unknown, e);
	if (rc >= 0 && t->all_rows && grow_to(&t->matched, t->x->ctx.budget, t->rows.n) < 0)
		rc = exec_nomem(&t->x->ctx, e);
	return rc;
}

/* ---- rows by number ---------------------------------------------------------------------------------- */

/* From ids to a column that is lent: one row, or neighbours in a chunk. */
static int lend(const struct row_store *s, uint32_t col, const uint32_t *ids, uint32_t n, struct arena *a,
		struct vec *ret, struct err *e)
{
	bool same = true, next = true;

	for (uint32_t i = 1; i < n && (same || next); i++) {
		same = same && ids[i] == ids[0];
		next = next && ids[i] == ids[0] + i;
	}
	if (!same && (!next || row_store_at(ids[0]) + n > VEC_ROWS))
		return 0;
	int rc = vec_slice(row_store_vec(s, ids[0], col), row_store_at(ids[0]), a, ret, e);
	if (rc >= 0 && same && n > 1) {
		uint32_t zero = 0;
		rc = vec_gather(ret, &zero, 1, a, ret, e);
		ret->form = VEC_CONST;
	}
	return rc < 0 ? rc : 1;
}

/* With JOIN_NO_ROW among the ids. */
static int with_nulls(const struct row_store *s, uint32_t col, const uint32_t *ids, uint32_t n, struct arena *a,
		      struct vec *ret, struct err *e)
{
	uint32_t *at = arena_array(a, uint32_t, n + 1), none = 0;
	struct vec all;

	if (!at)
		return exec_nomem(s->exec, e);
	for (uint32_t i = 0; i < n; i++) {
		none += ids[i] == JOIN_NO_ROW;
		at[i] = ids[i] == JOIN_NO_ROW ? 0 : ids[i];
	}
	if (none == n)
		return vec_const_null(ret, s->types[col], a, e);
	int rc = row_store_gather_column(s, at, n, col, a, &all, e);
	if (rc >= 0 && !all.valid)
		rc = vec_alloc_valid(&all, n, a, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		if (ids[i] == JOIN_NO_ROW)
			all.valid[i] = 0;
	}
	*ret = all;
	return rc;
}

int join_table_column(const struct join_table *t, uint32_t col, const uint32_t *ids, uint32_t n, struct arena *a,
		      struct vec *ret, struct err *e)
{
	const struct row_store *s = &t->rows;

	for (uint32_t i = 0; i < n; i++) {
		if (ids[i] == JOIN_NO_ROW)
			return with_nulls(s, col, ids, n, a, ret, e);
	}
	int rc = lend(s, col, ids, n, a, ret, e);
	if (rc)
		return MIN(rc, 0);
	if (s->chunk_n == 1 && s->n <= MAX(n, 64u) && type_layout(s->types[col]) == LAYOUT_STR) {
		*ret = (struct vec){.type = s->types[col], .form = VEC_DICT, .codes = ids,
				    .dict = &s->chunks[0]->cols[col], .dict_n = s->n};
		return 0;
	}
	return row_store_gather_column(s, ids, n, col, a, ret, e);
}
