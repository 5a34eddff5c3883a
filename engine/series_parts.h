/*
 * series_parts: which part of a date each series belongs to.
 *
 * A date has a number of parts, at most SERIES_PARTS_MAX, and a series belongs to part
 * hash(series) % parts, where the hash is
 *
 *	CRC-32C over  name 0 value 0  of each dimension of the partition key that the series has
 *
 * in the key's order (all dimensions: in order of their names' bytes); by measure name, of
 * "measure_name" 0 name 0. Directory names carry it (ts_part=NN, docs/format-tile.md), so it is fixed
 * and of no seed. A series has all its dimensions from birth, so its hash never changes.
 *
 * Hashes are kept, 4 bytes a series, from the first call that wants many of them: a migration asks
 * for each part of a date anew. Any thread.
 */
#ifndef TIDE_SERIES_PARTS_H
#define TIDE_SERIES_PARTS_H

#include "engine/part_key.h"
#include "engine/series.h"

#define SERIES_PARTS_MAX 64

struct series_parts;

/* The set must outlive it; the key is referenced. */
int series_parts_create(const struct series_set *set, struct part_key *key, struct series_parts **ret) must_check;
struct series_parts *series_parts_get(struct series_parts *p);
void series_parts_put(struct series_parts *p); /* NULL is fine */

uint32_t series_parts_hash(const struct series_parts *p, uint32_t id);

/* Set the bits of those of the first n series that belong to the part; bits: n / 64 + 1 words, zeroed. */
int series_parts_select(struct series_parts *p, uint32_t part, uint32_t parts, uint32_t n, uint64_t *bits) must_check;

/*
 * To which of `parts` (at most SERIES_PARTS_MAX) do the series belong whose bits are set? *ret: bit i
 * for part i.
 */
int series_parts_of(struct series_parts *p, const uint64_t *bits, uint32_t n, uint32_t parts, uint64_t *ret) must_check;

size_t series_parts_bytes(const struct series_parts *p);

/* May some hash belong to part a of as as well as to part b of bs? 0 parts: unknown, it may be any. */
bool parts_meet(uint32_t a, uint32_t as, uint32_t b, uint32_t bs);

#endif
