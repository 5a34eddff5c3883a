/*
 * groups: key tuples to dense numbers, in order of first appearance. GROUP BY, and the sets behind
 * DISTINCT aggregates. NULL equals NULL, NaN equals NaN, 0.0 equals -0.0.
 */
#ifndef TIDE_GROUPS_H
#define TIDE_GROUPS_H

#include "query/row_store.h"

struct groups {
	struct row_store keys; /* row g: the key of group g, as it first appeared */
	struct grow slots, hashes, dict_hashes;
	uint32_t mask;         /* slots - 1 */
	bool is_exact;         /* one integer key: its hash is reversible, so equal hash = equal key */
	uint32_t null_group;   /* is_exact: group of NULL, or UINT32_MAX */
};

int groups_init(struct groups *g, const struct exec_ctx *exec, const struct type *const *types,
		uint32_t key_count, struct err *e) must_check;
void groups_release(struct groups *g); /* zeroed is fine */

static inline uint32_t groups_count(const struct groups *g)
{
	return g->keys.n;
}

/* ret[k] = group of the key in row rows[k] of the vectors; new keys get the next number. */
int groups_find(struct groups *g, const struct vec *keys, const uint32_t *rows, uint32_t n,
		uint32_t *ret, struct err *e) must_check;

/* Likewise, but new keys are not added: ret[k] = GROUP_NONE. */
#define GROUP_NONE UINT32_MAX
int groups_look(struct groups *g, const struct vec *keys, const uint32_t *rows, uint32_t n, uint32_t *ret,
		struct err *e) must_check;

/* First rows of the runs of equal consecutive keys among n > 0 rows (starts: room for n); how many. */
uint32_t groups_runs(const struct vec *keys, uint32_t key_count, uint32_t n, uint32_t *starts);

#endif
