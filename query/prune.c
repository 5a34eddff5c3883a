/*
 * prune: columns that nobody looks at go away, down to the scans.
 *
 * Top down each node learns which of its columns are needed, and gives back where they are now: map[old]
 * is the new number. Expressions above are rewritten by that map.
 */
#include "query/bind.h"

#define GONE UINT32_MAX

static int prune(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map);

static bool mark_column(const struct bx *x, void *ctx)
{
	bool *needed = ctx;

	if (x->kind == BX_COLUMN)
		needed[x->index] = true;
	return false;
}

static void mark(const struct bx *x, bool *needed)
{
	if (x)
		bx_any(x, mark_column, needed);
}

static int remap(struct bind *b, struct bx **x, const uint32_t *map)
{
	struct bx *to;

	if (!*x)
		return 0;
	to = bx_remap(b, *x, map);
	if (!to)
		return bind_nomem(b);
	*x = to;
	return 0;
}

/* Closes the gaps of `cols`; the map of who moved where. */
static uint32_t *squeeze(struct bind *b, struct plan *p, const bool *keep)
{
	uint32_t *map = arena_array(b->arena, uint32_t, p->col_count + 1), n = 0;

	for (uint32_t i = 0; map && i < p->col_count; i++) {
		map[i] = keep[i] ? n : GONE;
		if (!keep[i])
			continue;
		p->cols[n] = p->cols[i];
		if (p->kind == PLAN_SCAN)
			p->scan_cols[n] = p->scan_cols[i];
		if (p->kind == PLAN_VALUES)
			p->values[n] = p->values[i];
		if (p->kind == PLAN_PROJECT)
			p->exprs[n] = p->exprs[i];
		if (p->kind == PLAN_UNNEST)
			p->items[n] = p->items[i];
		n++;
	}
	if (map)
		p->col_count = n;
	return map;
}

static bool *flags(struct bind *b, const bool *from, uint32_t n)
{
	bool *to = arena_zarray(b->arena, bool, n + 1);

	if (to && from && n)
		memcpy(to, from, n);
	return to;
}

static int prune_scan(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	bool *keep = flags(b, needed, p->col_count);

	if (!keep)
		return bind_nomem(b);
	mark(p->series_where, keep);
	*ret_map = squeeze(b, p, keep);
	return *ret_map ? remap(b, &p->series_where, *ret_map) : bind_nomem(b);
}

static int prune_project(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *child = p->children[0];
	bool *below = flags(b, NULL, child->col_count);
	uint32_t *map, *own;
	int rc;

	if (!below)
		return bind_nomem(b);
	own = squeeze(b, p, needed);
	if (!own)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++)
		mark(p->exprs[i], below);
	rc = prune(b, child, below, &map);
	for (uint32_t i = 0; i < p->col_count && rc >= 0; i++)
		rc = remap(b, &p->exprs[i], map);
	*ret_map = own;
	return rc;
}

/* FILTER, SORT, LIMIT: the child's columns come out, those that they look at themselves too. */
static int prune_through(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *child = p->children[0];
	bool *below = flags(b, needed, p->col_count);
	uint32_t *map;
	int rc;

	if (!below)
		return bind_nomem(b);
	mark(p->where, below);
	for (uint32_t i = 0; i < p->key_count; i++)
		below[p->keys[i].col] = true;
	rc = prune(b, child, below, &map);
	if (rc >= 0)
		rc = remap(b, &p->where, map);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < p->key_count; i++)
		p->keys[i].col = map[p->keys[i].col];
	p->col_count = child->col_count;
	memcpy(p->cols, child->cols, sizeof(*p->cols) * child->col_count);
	*ret_map = map;
	return 0;
}

/* Groups decide which rows there are, so all of them stay. */
static int prune_agg(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *child = p->children[0];
	bool *below = flags(b, NULL, child->col_count);
	uint32_t *own = arena_array(b->arena, uint32_t, p->col_count + 1), *map, n = 0;
	int rc = 0;

	if (!below || !own)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->group_count; i++) {
		own[i] = i;
		mark(p->groups[i], below);
	}
	for (uint32_t i = 0; i < p->agg_count; i++) {
		uint32_t from = p->group_count + i, to = p->group_count + n;

		own[from] = needed[from] ? to : GONE;
		if (!needed[from])
			continue;
		p->aggs[n] = p->aggs[i];
		p->cols[to] = p->cols[from];
		mark(p->aggs[n].filter, below);
		for (uint32_t k = 0; k < p->aggs[n].argc; k++)
			mark(p->aggs[n].args[k], below);
		for (uint32_t k = 0; k < p->aggs[n].key_count; k++)
			mark(p->aggs[n].order[k], below);
		n++;
	}
	p->agg_count = n;
	p->col_count = p->group_count + n;
	rc = prune(b, child, below, &map);
	for (uint32_t i = 0; i < p->group_count && rc >= 0; i++)
		rc = remap(b, &p->groups[i], map);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = remap(b, &p->aggs[i].filter, map);
		for (uint32_t k = 0; k < p->aggs[i].argc && rc >= 0; k++)
			rc = remap(b, &p->aggs[i].args[k], map);
		for (uint32_t k = 0; k < p->aggs[i].key_count && rc >= 0; k++)
			rc = remap(b, &p->aggs[i].order[k], map);
	}
	*ret_map = own;
	return rc;
}

static void mark_window(const struct plan_window *w, bool *needed)
{
	for (uint32_t i = 0; i < w->call.argc; i++)
		mark(w->call.args[i], needed);
	mark(w->call.filter, needed);
	mark(w->start.offset, needed);
	mark(w->end.offset, needed);
}

static int remap_window(struct bind *b, struct plan_window *w, const uint32_t *map)
{
	int rc = remap(b, &w->call.filter, map);

	for (uint32_t i = 0; i < w->call.argc && rc >= 0; i++)
		rc = remap(b, &w->call.args[i], map);
	if (rc >= 0)
		rc = remap(b, &w->start.offset, map);
	return rc < 0 ? rc : remap(b, &w->end.offset, map);
}

/* Without functions that anybody asks for there is no need for the node, nor, as a rule, for the sort below it. */
static int prune_window(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *child = p->children[0];
	uint32_t old = child->col_count, n = 0, *map, *own;
	bool *below = flags(b, needed, old);
	int rc;

	own = arena_array(b->arena, uint32_t, p->col_count + 1);
	if (!below || !own)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->window_count; i++) {
		own[old + i] = needed[old + i] ? n : GONE;
		if (!needed[old + i])
			continue;
		p->windows[n++] = p->windows[i];
		mark_window(&p->windows[n - 1], below);
	}
	p->window_count = n;
	if (!n) {
		bool sorts = child->kind == PLAN_SORT && child->limit == UINT64_MAX && !child->offset;

		*p = *(sorts && !p->is_order_used ? child->children[0] : child);
		rc = prune(b, p, below, &map);
		memcpy(own, map, sizeof(*own) * (rc < 0 ? 0 : old));
		*ret_map = own;
		return rc;
	}
	for (uint32_t i = 0; i < p->key_count; i++)
		below[p->keys[i].col] = true;
	rc = prune(b, child, below, &map);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = remap_window(b, &p->windows[i], map);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < p->key_count; i++)
		p->keys[i].col = map[p->keys[i].col];
	memcpy(own, map, sizeof(*own) * old);
	memcpy(p->cols, child->cols, sizeof(*p->cols) * child->col_count);
	for (uint32_t i = old; i < p->col_count; i++) {
		if (own[i] == GONE)
			continue;
		own[i] += child->col_count;
		p->cols[own[i]] = p->cols[i];
	}
	p->col_count = child->col_count + n;
	*ret_map = own;
	return 0;
}

/* Lists say how many rows there are, so all of them stay; what only they look at does not come out. */
static int prune_unnest(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *child = p->children[0];
	bool *below = flags(b, NULL, child->col_count);
	uint32_t *own = squeeze(b, p, needed), *map;
	int rc;

	if (!below || !own)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++) {
		if (p->items[i].kind == ITEM_CHILD)
			below[p->items[i].index] = true;
	}
	for (uint32_t i = 0; i < p->list_count; i++)
		mark(p->lists[i], below);
	rc = prune(b, child, below, &map);
	for (uint32_t i = 0; i < p->list_count && rc >= 0; i++)
		rc = remap(b, &p->lists[i], map);
	for (uint32_t i = 0; i < p->col_count && rc >= 0; i++) {
		if (p->items[i].kind == ITEM_CHILD)
			p->items[i].index = map[p->items[i].index];
	}
	*ret_map = own;
	return rc;
}

/* child as exactly the columns `want` says, in order. */
static int align(struct bind *b, struct plan *child, const uint32_t *map, const bool *want, uint32_t n,
		 const struct plan *like, struct plan **ret)
{
	uint32_t count = 0;
	bool same = true;
	struct plan *p;

	for (uint32_t i = 0; i < n; i++) {
		if (!want[i])
			continue;
		same = same && map[i] == count;
		count++;
	}
	if (same && child->col_count == count) {
		*ret = child;
		return 0;
	}
	p = plan_project(b, child, count);
	if (!p)
		return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
	count = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (!want[i])
			continue;
		p->cols[count] = like->cols[i];
		p->exprs[count] = bx_column(b, map[i], child->cols[map[i]].type, (struct pos){0});
		if (!p->exprs[count++])
			return bind_nomem(b);
	}
	*ret = p;
	return 0;
}

static int prune_union(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	int rc = 0;

	for (uint32_t i = 0; i < p->child_count && rc >= 0; i++) {
		uint32_t *map;

		rc = prune(b, p->children[i], needed, &map);
		if (rc >= 0)
			rc = align(b, p->children[i], map, needed, p->col_count, p, &p->children[i]);
	}
	if (rc < 0)
		return rc;
	*ret_map = squeeze(b, p, needed);
	return *ret_map ? 0 : bind_nomem(b);
}

/* Rows go round with all their columns: what nobody looks at above may be what the next round needs. */
static int prune_none(struct bind *b, struct plan *p, uint32_t **ret_map)
{
	bool *all = flags(b, NULL, p->col_count);

	if (!all)
		return bind_nomem(b);
	memset(all, true, p->col_count);
	return prune_union(b, p, all, ret_map);
}

/* Both sides: what is needed above, and what keys and the condition look at. */
static int prune_join(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	struct plan *l = p->children[0], *r = p->children[1];
	uint32_t left_n = l->col_count, right_n = r->col_count, *map[2], *both, n = p->col_count;
	bool *below = flags(b, NULL, left_n + right_n);
	bool is_half = p->join == PJ_SEMI || p->join == PJ_ANTI || p->join == PJ_MARK;
	int rc;

	both = arena_array(b->arena, uint32_t, left_n + right_n + 1);
	*ret_map = arena_array(b->arena, uint32_t, n + 1);
	if (!below || !both || !*ret_map)
		return bind_nomem(b);
	for (uint32_t i = 0; i < (is_half ? left_n : n); i++)
		below[i] = needed[i];
	mark(p->where, below);
	for (uint32_t i = 0; i < p->join_key_count; i++) {
		mark(p->join_keys[i].left, below);
		mark(p->join_keys[i].right, below + left_n);
	}
	rc = prune(b, l, below, &map[0]);
	if (rc >= 0)
		rc = prune(b, r, below + left_n, &map[1]);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < left_n + right_n; i++)
		both[i] = i < left_n ? map[0][i] : map[1][i - left_n] == GONE ? GONE : l->col_count + map[1][i - left_n];
	for (uint32_t i = 0; i < n; i++)
		(*ret_map)[i] = i < left_n || !is_half ? both[i] : l->col_count;
	rc = remap(b, &p->where, both);
	for (uint32_t i = 0; i < p->join_key_count && rc >= 0; i++) {
		rc = remap(b, &p->join_keys[i].left, map[0]);
		if (rc >= 0)
			rc = remap(b, &p->join_keys[i].right, map[1]);
	}
	if (rc < 0)
		return rc;
	struct plan_col mark_col = p->cols[n ? n - 1 : 0];
	p->cols = arena_array(b->arena, struct plan_col, l->col_count + r->col_count + 2);
	if (!p->cols)
		return bind_nomem(b);
	memcpy(p->cols, l->cols, sizeof(*p->cols) * l->col_count);
	if (!is_half)
		memcpy(p->cols + l->col_count, r->cols, sizeof(*p->cols) * r->col_count);
	if (p->join == PJ_MARK)
		p->cols[l->col_count] = mark_col;
	p->col_count = l->col_count + (is_half ? p->join == PJ_MARK : r->col_count);
	return 0;
}

static int prune(struct bind *b, struct plan *p, const bool *needed, uint32_t **ret_map)
{
	switch (p->kind) {
	case PLAN_SCAN:
		return prune_scan(b, p, needed, ret_map);
	case PLAN_PROJECT:
		return prune_project(b, p, needed, ret_map);
	case PLAN_FILTER:
	case PLAN_SORT:
	case PLAN_LIMIT:
		return prune_through(b, p, needed, ret_map);
	case PLAN_AGG:
		return prune_agg(b, p, needed, ret_map);
	case PLAN_WINDOW:
		return prune_window(b, p, needed, ret_map);
	case PLAN_UNION:
		return prune_union(b, p, needed, ret_map);
	case PLAN_UNNEST:
		return prune_unnest(b, p, needed, ret_map);
	case PLAN_RECURSIVE:
	case PLAN_WORKING:
		return prune_none(b, p, ret_map);
	case PLAN_JOIN:
		return prune_join(b, p, needed, ret_map);
	case PLAN_VALUES:
	case PLAN_DELETE: /* above everything that is pruned */
	case PLAN_INSERT:
	case PLAN_UNLOAD:
	case PLAN_ANALYZE:
		break;
	}
	*ret_map = squeeze(b, p, needed);
	return *ret_map ? 0 : bind_nomem(b);
}

int plan_prune(struct bind *b, struct plan *p, struct plan **ret)
{
	uint32_t n = p->col_count, *map;
	struct plan *like = plan_new(b, p->kind, n);
	bool *all = flags(b, NULL, n);
	int rc;

	if (!like || !all)
		return bind_nomem(b);
	memcpy(like->cols, p->cols, sizeof(*p->cols) * n);
	memset(all, true, n);
	rc = prune(b, p, all, &map);
	return rc < 0 ? rc : align(b, p, map, all, n, like, ret);
}
