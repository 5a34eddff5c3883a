#include "engine/idx.h"

#include <stdlib.h>

static void idx_insert(uint64_t *slots, uint32_t mask, uint64_t slot)
{
	uint32_t i = (uint32_t)(slot >> 32) & mask;

	while (slots[i])
		i = (i + 1) & mask;
	slots[i] = slot;
}

int idx_reserve(struct idx *x, uint32_t more)
{
	uint64_t cap = x->slots ? (uint64_t)x->mask + 1 : 0;
	uint64_t need = (uint64_t)x->used + more;

	/* At most three quarters full; the slots carry their hashes, so growing reads no keys. */
	if (need * 4 <= cap * 3)
		return 0;
	cap = cap ? cap : 16;
	while (need * 4 > cap * 3)
		cap *= 2;
	if (cap > UINT64_C(1) << 32)
		return -E2BIG;
	uint64_t *slots = calloc(cap, sizeof *slots);
	if (!slots)
		return -ENOMEM;
	for (uint64_t i = 0; x->slots && i <= x->mask; i++)
		if (x->slots[i])
			idx_insert(slots, (uint32_t)(cap - 1), x->slots[i]);
	free(x->slots);
	x->slots = slots;
	x->mask = (uint32_t)(cap - 1);
	return 0;
}

void idx_put(struct idx *x, uint32_t hash, uint32_t id)
{
	idx_insert(x->slots, x->mask, (uint64_t)hash << 32 | (id + 1));
	x->used++;
}

void idx_release(struct idx *x)
{
	free(x->slots);
	*x = (struct idx){0};
}

size_t idx_bytes(const struct idx *x)
{
	return x->slots ? ((size_t)x->mask + 1) * sizeof *x->slots : 0;
}

void idx_clear(struct idx *x)
{
	if (x->slots)
		memset(x->slots, 0, idx_bytes(x));
	x->used = 0;
}
