/*
 * digits: decimal digits eight at a time, for num.c, f64.c and the fast path of ingest.
 *
 * A word holds eight characters, the first in its lowest byte. Tests and conversions are done on
 * all eight at once inside the register: three multiplications instead of eight.
 */
#ifndef TIDE_DIGITS_H
#define TIDE_DIGITS_H

#include "engine/base/base.h"

static inline uint64_t digits_load8(const char *p)
{
	uint64_t w;
	memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	w = __builtin_bswap64(w);
#endif
	return w;
}

/* '0'..'9' is 0x30..0x39: the high nibble is 3, and stays 3 when 6 is added. */
static inline bool digits_all8(uint64_t w)
{
	const uint64_t high = UINT64_C(0xF0F0F0F0F0F0F0F0);
	return ((w & high) | (((w + UINT64_C(0x0606060606060606)) & high) >> 4)) ==
	       UINT64_C(0x3333333333333333);
}

/* The value of eight digits: pairs, then fours, then the whole. */
static inline uint32_t digits_value8(uint64_t w)
{
	const uint64_t mask = UINT64_C(0x000000FF000000FF);
	w -= UINT64_C(0x3030303030303030);
	w = w * 10 + (w >> 8);
	uint64_t even = (w & mask) * UINT64_C(0x000F424000000064); /* 100 + (1000000 << 32) */
	uint64_t odd = ((w >> 16) & mask) * UINT64_C(0x0000271000000001); /* 1 + (10000 << 32) */
	return (uint32_t)((even + odd) >> 32);
}

static inline bool digit_is(char c)
{
	return (unsigned char)(c - '0') < 10;
}

/* How many decimal digits v has; 1 for 0. */
static inline int digits_count(uint64_t v)
{
	static const uint64_t pow10[] = {
		UINT64_C(0),
		UINT64_C(10),
		UINT64_C(100),
		UINT64_C(1000),
		UINT64_C(10000),
		UINT64_C(100000),
		UINT64_C(1000000),
		UINT64_C(10000000),
		UINT64_C(100000000),
		UINT64_C(1000000000),
		UINT64_C(10000000000),
		UINT64_C(100000000000),
		UINT64_C(1000000000000),
		UINT64_C(10000000000000),
		UINT64_C(100000000000000),
		UINT64_C(1000000000000000),
		UINT64_C(10000000000000000),
		UINT64_C(100000000000000000),
		UINT64_C(1000000000000000000),
		UINT64_C(10000000000000000000),
	};
	/* bits * log10(2), rounded down: right or one too few, which the table tells. */
	int guess = (64 - __builtin_clzll(v | 1)) * 1233 >> 12;
	return guess + (guess < 20 && v >= pow10[guess]);
}

/* Write v as exactly n digits, where n = digits_count(v) or more (zeros in front). */
void digits_write(char *to, uint64_t v, int n);

#endif
