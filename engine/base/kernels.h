/*
 * kernels: loops over arrays of numbers, in the widest instructions that the machine has.
 *
 * kernels_impl.h has each loop once, in plain C that compilers turn into vector instructions. It is
 * compiled for the machine at hand's baseline (kernels.c) and, on x86-64, for two newer levels
 * (kernels_v3.c: AVX2, kernels_v4.c: AVX-512); which of them runs is decided once, at the first use.
 * All give the same results to the bit. Any thread.
 */
#ifndef TIDE_KERNELS_H
#define TIDE_KERNELS_H

#include "engine/base/base.h"

struct kernels {
	const char *level; /* "baseline", "x86-64-v3", "x86-64-v4" */

	/* to[i] = base + step * from[i], modulo 2^64. */
	void (*widen8)(int64_t *to, const uint8_t *from, uint32_t n, int64_t base, int64_t step);
	void (*widen16)(int64_t *to, const uint16_t *from, uint32_t n, int64_t base, int64_t step);
	void (*widen32)(int64_t *to, const uint32_t *from, uint32_t n, int64_t base, int64_t step);
	void (*ramp)(int64_t *to, uint32_t n, int64_t first, int64_t step); /* first + step * i */

	/* to[i] = from[i] - base, which fits. */
	void (*narrow8)(uint8_t *to, const int64_t *from, uint32_t n, int64_t base);
	void (*narrow16)(uint16_t *to, const int64_t *from, uint32_t n, int64_t base);
	void (*narrow32)(uint32_t *to, const int64_t *from, uint32_t n, int64_t base);

	/* How many of the first values lie in [lo, lo + width). */
	uint32_t (*within)(const int64_t *v, uint32_t n, int64_t lo, uint64_t width);
	void (*fill)(int64_t *to, uint32_t n, int64_t value);
	/* differs[i] |= v[i] != v[i - 1], for i from 1 on. */
	void (*changes)(const int64_t *v, uint32_t n, uint8_t *differs);

	/*
	 * whole[i]: v[i] * a * b, rounded. It is below 2^51 and whole[i] * c * d gives v[i] back to the
	 * bit, or differs[i] is set to 1 (else 0). Returns how many differ.
	 */
	uint32_t (*decimals)(int64_t *whole, uint8_t *differs, const double *v, uint32_t n, double a, double b,
			     double c, double d);
	void (*scale)(double *to, const int64_t *whole, uint32_t n, double c, double d); /* whole[i] * c * d */

	/* n > 0 for the next three. */
	void (*bounds)(const int64_t *v, uint32_t n, int64_t *ret_min, int64_t *ret_max);
	int64_t (*min_i64)(const int64_t *v, uint32_t n);
	int64_t (*max_i64)(const int64_t *v, uint32_t n);
	/* The sum is *ret_hi * 2^32 + *ret_lo. */
	void (*sum_i64)(const int64_t *v, uint32_t n, int64_t *ret_hi, uint64_t *ret_lo);
};

const struct kernels *kernels(void);

#endif
