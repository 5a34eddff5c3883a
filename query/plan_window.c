/*
 * plan_window: WINDOW nodes, which want their rows sorted. One that stands on another whose keys begin with
 * its own finds them so.
 */
#include "query/bind.h"

static bool is_sorted(const struct plan *p, const struct plan_key *keys, uint32_t key_n)
{
	if (p->kind != PLAN_WINDOW || p->key_count < key_n)
		return false;
	for (uint32_t i = 0; i < key_n; i++) {
		const struct plan_key *a = &p->keys[i], *b = &keys[i];

		if (a->col != b->col || a->desc != b->desc || a->nulls_first != b->nulls_first)
			return false;
	}
	return true;
}

struct plan *plan_window(struct bind *b, struct plan *child, struct plan_key *keys, uint32_t key_n,
			 uint32_t partition_n, struct plan_window *windows, uint32_t window_n)
{
	struct plan *p;
	uint32_t below = child->col_count;

	if (key_n && is_sorted(child, keys, key_n)) {
		child->is_order_used = true;
	} else if (key_n) {
		child = plan_over(b, PLAN_SORT, child);
		if (!child)
			return NULL;
		child->keys = arena_array(b->arena, struct plan_key, key_n);
		if (!child->keys) {
			bind_nomem(b);
			return NULL;
		}
		memcpy(child->keys, keys, sizeof(*keys) * key_n);
		child->key_count = key_n;
	}
	p = plan_new(b, PLAN_WINDOW, below + window_n);
	if (!p)
		return NULL;
	p->children = arena_array(b->arena, struct plan *, 1);
	if (!p->children) {
		bind_nomem(b);
		return NULL;
	}
	p->children[0] = child;
	p->child_count = 1;
	p->keys = keys;
	p->key_count = key_n;
	p->partition_count = partition_n;
	p->windows = windows;
	p->window_count = window_n;
	memcpy(p->cols, child->cols, sizeof(*p->cols) * below);
	for (uint32_t i = 0; i < window_n; i++)
		p->cols[below + i] = (struct plan_col){str_from(windows[i].call.func->name), windows[i].call.type};
	return p;
}

struct plan *plan_row_number(struct bind *b, struct plan *child, const uint32_t *partition, uint32_t partition_n,
			     const struct plan_key *order, uint32_t order_n)
{
	struct plan_window *w = arena_zarray(b->arena, struct plan_window, 1);
	struct plan_key *keys = arena_zarray(b->arena, struct plan_key, partition_n + order_n + 1);
	struct func_match m;
	int rc = func_resolve(b->arena, STR_LIT("row_number"), NULL, NULL, 0, &m, b->e);

	if (rc < 0)
		return NULL;
	if (!w || !keys) {
		bind_nomem(b);
		return NULL;
	}
	for (uint32_t i = 0; i < partition_n; i++)
		keys[i].col = partition[i];
	if (order_n)
		memcpy(keys + partition_n, order, sizeof(*order) * order_n);
	w->call.func = m.func;
	w->call.type = m.ret;
	w->unit = FRAME_ROWS;
	w->start.kind = BOUND_UNBOUNDED_PRECEDING;
	w->end.kind = BOUND_CURRENT;
	return plan_window(b, child, keys, partition_n + order_n, partition_n, w, 1);
}
