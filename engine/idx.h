/*
 * idx: a hash index in memory, hash -> ids. Open addressing; the keys themselves stay with the owner.
 *
 * A slot carries 32 bits of the hash, so growing reads no keys and a probe rarely meets a wrong one.
 * Zeroed memory is an empty index. One thread at a time, or any number that only look.
 */
#ifndef TIDE_IDX_H
#define TIDE_IDX_H

#include "engine/base/base.h"

struct idx {
	uint64_t *slots; /* hash << 32 | id + 1; 0 = free */
	uint32_t mask;
	uint32_t used;
};

/* Room for `more` further ids: -ENOMEM, -E2BIG. */
int idx_reserve(struct idx *x, uint32_t more) must_check;
/* After idx_reserve(). id < UINT32_MAX. */
void idx_put(struct idx *x, uint32_t hash, uint32_t id);
/* What asks for that hash soon finds it in the cache: indexes of millions of ids are mostly not. */
static inline void idx_prefetch(const struct idx *x, uint32_t hash)
{
	if (x->slots)
		__builtin_prefetch(&x->slots[hash & x->mask]);
}
void idx_clear(struct idx *x); /* keeps the memory */
void idx_release(struct idx *x);
size_t idx_bytes(const struct idx *x);

/*
 * Walk the ids whose hash matches: `i` is a uint32_t cursor, `id` receives each candidate.
 *	IDX_EACH(x, hash, i, id)
 *		if (same_key(id)) ...
 */
#define IDX_EACH(x, hash, i, id)                                                                   \
	for ((i) = (hash) & (x)->mask; (x)->slots && (x)->slots[i]; (i) = ((i) + 1) & (x)->mask)   \
		if ((uint32_t)((x)->slots[i] >> 32) == (hash) &&                                   \
		    (((id) = (uint32_t)(x)->slots[i] - 1), true))

#endif
