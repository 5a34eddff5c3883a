/*
 * pow10: the leading 128 bits of powers of ten, private to f64_parse.c and f64_format.c.
 *
 * Row q holds hi:lo, the integer part of 10^q / 2^e with e chosen so that bit 127 is set; that is
 * e = pow10_log2(q) - 127. Cut, not rounded; exact for 0 <= q <= 55, as 5^55 < 2^128 < 5^56.
 *
 * A constant table rather than one worked out at start: it costs 10 KiB of read-only pages that all
 * processes share, and spares every conversion the question whether it is there yet.
 */
#ifndef TIDE_POW10_H
#define TIDE_POW10_H

#include "engine/base/base.h"

#define POW10_MIN       (-342) /* below, 19 digits are less than half the smallest double */
#define POW10_MAX       324    /* what the smallest double is scaled by when it is printed */
#define POW10_EXACT_MAX 55

struct pow10 {
	uint64_t hi, lo;
};

extern const struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];

/* q must lie within POW10_MIN .. POW10_MAX. Lent for ever. */
static inline const struct pow10 *pow10_get(int q)
{
	return &pow10_table[q - POW10_MIN];
}

/* floor(log2(10^q)), right for |q| <= 1233 (an arithmetic shift of negatives, as gcc and clang do).
 */
static inline int pow10_log2(int q)
{
	return (q * 1741647) >> 19;
}

/* The next larger value where the row was cut: an upper bound instead of a lower one. */
static inline struct pow10 pow10_above(int q)
{
	struct pow10 g = *pow10_get(q);

	if (q < 0 || q > POW10_EXACT_MAX) {
		g.lo++;
		g.hi += g.lo == 0;
	}
	return g;
}

struct u128 {
	uint64_t hi, lo;
};

static inline struct u128 mul_64x64(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)a * b;
	return (struct u128){(uint64_t)(m >> 64), (uint64_t)m};
}

#endif
