/*
 * join_index: key tuples to the rows that have them, for a join's held side.
 *
 *	init, add..., finish, find...
 *
 * Keys are groups (groups.h): what goes in has been sieved by join_keys_usable(), so that "the same" in
 * their sense is equality. Behind them the numbers of each key's rows, ascending, side by side. Without
 * key columns all rows belong to one key.
 */
#ifndef TIDE_JOIN_INDEX_H
#define TIDE_JOIN_INDEX_H

#include "query/groups.h"

struct join_index {
	const struct exec_ctx *exec;
	struct groups groups;
	uint32_t key_count;
	bool keys_only;      /* whether a key is there is all that is asked */
	uint32_t n;          /* rows */
	uint32_t key_n;      /* different keys; after finish */
	struct grow ids;     /* the rows' numbers; after finish by key */
	struct grow key_of;  /* by row, until finish */
	struct grow starts;  /* by key, and an end; none where each key has one row */
	struct grow found;   /* of a dictionary being looked up */
	bool is_unique;
};

int join_index_init(struct join_index *ix, const struct exec_ctx *exec, const struct type *const *types,
		    uint32_t key_count, bool keys_only, struct err *e) must_check;
void join_index_release(struct join_index *ix); /* zeroed is fine */

/* Rows sel[0..n) of the key columns; row sel[k] is number first + sel[k]. */
int join_index_add(struct join_index *ix, const struct vec *keys, const uint32_t *sel, uint32_t n, uint32_t first,
		   struct err *e) must_check;
int join_index_finish(struct join_index *ix, struct err *e) must_check;

/* ret[k] = key in row sel[k] of the columns, or GROUP_NONE. */
int join_index_find(struct join_index *ix, const struct vec *keys, const uint32_t *sel, uint32_t n, uint32_t *ret,
		    struct err *e) must_check;

/* The numbers of the key's rows. */
static inline const uint32_t *join_index_rows(const struct join_index *ix, uint32_t key, uint32_t *ret_n)
{
	const uint32_t *ids = ix->ids.data, *starts = ix->starts.data;

	if (ix->is_unique) {
		*ret_n = 1;
		return ids + key;
	}
	*ret_n = starts[key + 1] - starts[key];
	return ids + starts[key];
}

#endif
