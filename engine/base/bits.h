/* bits: sets of small numbers, 64 to a word. What stands in the last word behind the set's end means nothing. */
#ifndef TIDE_BITS_H
#define TIDE_BITS_H

#include <stdbool.h>
#include <stdint.h>

/* Is i one of the set of numbers below n? Above, nothing is. */
static inline bool bit_test(const uint64_t *bits, uint32_t n, uint32_t i)
{
	return i < n && (bits[i / 64] >> (i % 64) & 1);
}

/* How many of the numbers below n. */
static inline uint32_t bits_count(const uint64_t *bits, uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n / 64; i++)
		count += (uint32_t)__builtin_popcountll(bits[i]);
	return count + (n % 64 ? (uint32_t)__builtin_popcountll(bits[n / 64] << (64 - n % 64)) : 0);
}

#endif
