#include "engine/tile_dict.h"

#include <stdlib.h>

#define SLOTS_MIN 256

void tile_dict_init(struct tile_dict *d, bool of_strings)
{
	*d = (struct tile_dict){.of_strings = of_strings};
}

void tile_dict_release(struct tile_dict *d)
{
	free(d->entries);
	free(d->slots);
	*d = (struct tile_dict){.of_strings = d->of_strings};
}

void tile_dict_clear(struct tile_dict *d)
{
	if (d->slots)
		memset(d->slots, 0, d->slot_count * sizeof *d->slots);
	d->n = 0;
	d->bytes = 0;
}

static uint64_t hash_entry(const struct tile_dict *d, uint32_t i)
{
	return d->of_strings ? hash_str(d->strings[i]) : hash_u64(d->bits[i]);
}

/* Room for one more entry, and slots at most half full. */
static bool grow(struct tile_dict *d)
{
	if (d->n == d->cap) {
		uint32_t cap = d->cap ? d->cap * 2 : SLOTS_MIN / 2;
		/* Of the larger kind: one table may serve columns of both kinds in turn. */
		void *p = realloc(d->entries, cap * sizeof(struct str));
		if (!p)
			return false;
		d->entries = p;
		d->cap = cap;
	}
	if (2 * (d->n + 1) <= d->slot_count)
		return true;
	uint32_t count = d->slot_count ? d->slot_count * 2 : SLOTS_MIN;
	uint32_t *slots = calloc(count, sizeof *slots);
	if (!slots)
		return false;
	for (uint32_t i = 0; i < d->n; i++) {
		uint32_t at = (uint32_t)hash_entry(d, i) & (count - 1);
		while (slots[at])
			at = (at + 1) & (count - 1);
		slots[at] = i + 1;
	}
	free(d->slots);
	d->slots = slots;
	d->slot_count = count;
	return true;
}

uint32_t tile_dict_bits(struct tile_dict *d, uint64_t v)
{
	if (!grow(d))
		return TILE_DICT_NONE;
	uint32_t at = (uint32_t)hash_u64(v) & (d->slot_count - 1);
	for (; d->slots[at]; at = (at + 1) & (d->slot_count - 1))
		if (d->bits[d->slots[at] - 1] == v)
			return d->slots[at] - 1;
	d->slots[at] = d->n + 1;
	d->bits[d->n] = v;
	d->bytes += 8;
	return d->n++;
}

uint32_t tile_dict_string(struct tile_dict *d, struct str v, struct arena *a)
{
	if (!grow(d))
		return TILE_DICT_NONE;
	uint32_t at = (uint32_t)hash_str(v) & (d->slot_count - 1);
	for (; d->slots[at]; at = (at + 1) & (d->slot_count - 1))
		if (str_eq(d->strings[d->slots[at] - 1], v))
			return d->slots[at] - 1;
	if (a) {
		v = arena_str(a, v);
		if (!v.ptr)
			return TILE_DICT_NONE;
	}
	d->slots[at] = d->n + 1;
	d->strings[d->n] = v;
	d->bytes += 4 + v.len;
	return d->n++;
}
