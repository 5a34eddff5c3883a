#include "query/agg_order.h"

#include "query/sort.h"

/* Is argument i kept with the rows? */
static bool is_kept(const struct plan_agg *p, uint32_t i)
{
	return !p->const_args || !p->const_args[i];
}

int agg_order_open(struct agg_order *o, struct exec *x, const struct plan_agg *p, struct err *e)
{
	const struct type **types = arena_array(x->arena, const struct type *, 1 + p->key_count + p->argc);
	uint32_t n = 0;

	*o = (struct agg_order){.x = x, .plan = p};
	if (!types)
		return exec_nomem(&x->ctx, e);
	types[n++] = &type_bigint;
	for (uint32_t i = 0; i < p->key_count; i++)
		types[n++] = p->order[i]->type;
	for (uint32_t i = 0; i < p->argc; i++) {
		if (is_kept(p, i))
			types[n++] = p->args[i]->type;
	}
	return row_store_init(&o->rows, &x->ctx, types, n, e);
}

void agg_order_release(struct agg_order *o)
{
	if (o->x)
		row_store_release(&o->rows);
	*o = (struct agg_order){0};
}

int agg_order_add(struct agg_order *o, const uint32_t *group, const struct vec *keys, const struct vec *args,
		  uint32_t n, struct arena *tmp, struct err *e)
{
	const struct plan_agg *p = o->plan;
	struct vec *cols = arena_array(tmp, struct vec, o->rows.col_count);
	uint32_t k = 1;

	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	int rc = vec_alloc(&cols[0], &type_bigint, n, tmp, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		cols[0].i64[i] = group[i];
	for (uint32_t i = 0; i < p->key_count; i++)
		cols[k++] = keys[i];
	for (uint32_t i = 0; i < p->argc; i++) {
		if (is_kept(p, i))
			cols[k++] = args[i];
	}
	return row_store_add(&o->rows, cols, NULL, n, e);
}

/* Rows of a batch in order go to their groups, a run of one group at once. */
static int give(struct agg_order *o, struct agg_call *call, const struct vec *cols, uint32_t n, char *states,
		size_t stride, struct arena *tmp, struct err *e)
{
	const struct plan_agg *p = o->plan;
	struct vec *args = arena_array(tmp, struct vec, p->argc + 1);
	uint32_t k = 1 + p->key_count;
	int rc = 0;

	if (!args)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->argc; i++)
		args[i] = is_kept(p, i) ? cols[k++] : *p->const_args[i];
	call->args = args;
	for (uint32_t from = 0, to; from < n && rc >= 0; from = to) {
		int64_t group = cols[0].i64[from];
		for (to = from + 1; to < n && cols[0].i64[to] == group; to++)
			;
		rc = p->func->agg->add(call, states + stride * (size_t)group, from, to, e);
	}
	return rc;
}

/* The group first, unless there is one only: then the first key's prefix decides most comparisons. */
static const struct plan_key *sort_keys(const struct agg_order *o, bool by_group, uint32_t *ret_n, struct err *e)
{
	const struct plan_agg *p = o->plan;
	struct plan_key *keys = arena_zarray(o->x->arena, struct plan_key, p->key_count + 1);
	uint32_t n = 0;

	if (!keys) {
		(void)exec_nomem(&o->x->ctx, e);
		return NULL;
	}
	if (by_group)
		keys[n++].col = 0;
	for (uint32_t i = 0; i < p->key_count; i++, n++) {
		keys[n] = p->keys[i];
		keys[n].col = 1 + i;
	}
	*ret_n = n;
	return keys;
}

static bool has_groups(const struct row_store *rows)
{
	int64_t first = rows->n ? row_store_vec(rows, 0, 0)->i64[0] : 0;

	for (uint32_t i = 1; i < rows->n; i++) {
		if (row_store_vec(rows, i, 0)->i64[row_store_at(i)] != first)
			return true;
	}
	return false;
}

int agg_order_run(struct agg_order *o, struct agg_call *call, char *states, size_t stride, struct arena *tmp,
		  struct err *e)
{
	struct exec *x = o->x;
	const struct sort_item *order;
	struct sorter s;
	uint32_t key_n = 0;

	const struct plan_key *keys = sort_keys(o, has_groups(&o->rows), &key_n, e);
	if (!keys)
		return -ENOMEM;
	sorter_init_keys(&s, x, keys, key_n, o->rows.types);
	int rc = sorter_run(&s, &o->rows, &order, e);
	for (uint32_t from = 0; from < o->rows.n && rc >= 0; from += VEC_ROWS) {
		uint32_t n = MIN(o->rows.n - from, (uint32_t)VEC_ROWS);
		arena_reset(tmp);
		uint32_t *ids = arena_array(tmp, uint32_t, n);
		struct vec *cols = arena_array(tmp, struct vec, o->rows.col_count);
		if (!ids || !cols) {
			rc = exec_nomem(&x->ctx, e);
			break;
		}
		for (uint32_t i = 0; i < n; i++)
			ids[i] = order[from + i].row;
		rc = row_store_gather(&o->rows, ids, n, tmp, cols, e);
		if (rc >= 0)
			rc = give(o, call, cols, n, states, stride, tmp, e);
		if (rc >= 0)
			rc = exec_cancelled(x, e);
	}
	sorter_release(&s);
	return rc;
}
