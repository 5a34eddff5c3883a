/*
 * LIMIT and OFFSET by partition: the first rows of each, by number.
 */
#include "query/bind.h"

static int failed(struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : bind_nomem(b);
}

/* The rank beside the row number: rows that are equal share it. */
static struct plan *add_rank(struct bind *b, struct plan *numbered)
{
	struct plan_window *w = arena_zarray(b->arena, struct plan_window, 1);
	struct plan_key *keys = arena_array(b->arena, struct plan_key, numbered->key_count + 1);
	struct func_match m;

	if (func_resolve(b->arena, STR_LIT("rank"), NULL, NULL, 0, &m, b->e) < 0)
		return NULL;
	if (!w || !keys) {
		bind_nomem(b);
		return NULL;
	}
	if (numbered->key_count)
		memcpy(keys, numbered->keys, sizeof(*keys) * numbered->key_count);
	w->call.func = m.func;
	w->call.type = m.ret;
	w->unit = FRAME_ROWS;
	w->start.kind = BOUND_UNBOUNDED_PRECEDING;
	w->end.kind = BOUND_CURRENT;
	return plan_window(b, numbered, keys, numbered->key_count, numbered->partition_count, w, 1);
}

static int compare(struct bind *b, uint32_t col, const char *op, int64_t to, struct pos at, struct bx_list *l)
{
	struct bx *two[2] = {bx_column(b, col, &type_bigint, at), NULL}, *cmp;
	int rc = two[0] ? bind_const_i64(b, &type_bigint, to, at, &two[1]) : bind_nomem(b);

	if (rc >= 0)
		rc = bind_func(b, at, op, two, NULL, 2, &cmp);
	return rc < 0 ? rc : bx_push(b, l, cmp);
}

int plan_top(struct bind *b, struct plan *child, const uint32_t *partition, uint32_t partition_n,
	     const struct plan_key *keys, const struct plan *like, struct pos at, struct plan **ret)
{
	uint32_t n = child->col_count, last = n;
	struct bx_list both = {0};
	struct plan *p = plan_row_number(b, child, partition, partition_n, keys, like->key_count);
	uint64_t end;
	struct bx *where;
	int rc = 0;

	if (p && like->with_ties) {
		p = add_rank(b, p);
		last = n + 1;
	}
	if (!p)
		return failed(b);
	if (like->offset)
		rc = compare(b, n, ">", (int64_t)MIN(like->offset, (uint64_t)INT64_MAX), at, &both);
	if (rc >= 0 && like->limit != UINT64_MAX && !__builtin_add_overflow(like->limit, like->offset, &end) &&
	    end <= INT64_MAX)
		rc = compare(b, last, "<=", (int64_t)end, at, &both);
	if (rc < 0)
		return rc;
	if (both.n) {
		where = both.n == 1 ? both.v[0] : bx_logic(b, BX_AND, both.v, both.n, at);
		p = where ? plan_filter(b, p, where) : NULL;
	}
	*ret = p ? plan_head(b, p, n) : NULL;
	return *ret ? 0 : failed(b);
}
