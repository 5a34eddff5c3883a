/*
 * tile_dict: distinct values numbered in order of appearance, for dictionary pages.
 */
#ifndef TIDE_TILE_DICT_H
#define TIDE_TILE_DICT_H

#include "engine/base/base.h"

#define TILE_DICT_NONE UINT32_MAX

struct tile_dict {
	bool of_strings;
	uint32_t n;
	uint32_t cap;
	union {
		void *entries;
		uint64_t *bits; /* integers, and doubles by their bits */
		struct str *strings;
	};
	uint32_t *slots; /* entry + 1, or 0 */
	uint32_t slot_count; /* a power of two, more than twice n */
	size_t bytes;        /* of the entries in PLAIN encoding */
};

void tile_dict_init(struct tile_dict *d, bool of_strings);
void tile_dict_release(struct tile_dict *d);
void tile_dict_clear(struct tile_dict *d);

/* The number of a value, which is added where new. TILE_DICT_NONE: no memory. */
uint32_t tile_dict_bits(struct tile_dict *d, uint64_t v);
/* A new string is copied to `a`, or borrowed where that is NULL. */
uint32_t tile_dict_string(struct tile_dict *d, struct str v, struct arena *a);

#endif
