/*
 * hash: one 64-bit hash for tables in memory. Never stored on disk: it may change any day.
 */
#ifndef TIDE_HASH_H
#define TIDE_HASH_H

#include "engine/base/base.h"

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

static inline uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

static inline uint64_t hash_str(struct str s)
{
	return hash_bytes(s.ptr, s.len, 0);
}

#endif
