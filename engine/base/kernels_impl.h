/*
 * kernels_impl: the loops themselves. Whoever includes this says with KERNEL what a function is
 * compiled for, and with KERNELS and KERNELS_LEVEL how the table of them is called.
 *
 * Loops are written for the compiler: no branch that depends on a value, one array in, one out,
 * several independent sums where one would wait for itself.
 */
#include "engine/base/kernels.h"

extern const struct kernels KERNELS;

#define WIDEN(name, T)                                                                             \
	KERNEL static void name(int64_t *restrict to, const T *restrict from, uint32_t n,          \
				int64_t base, int64_t step)                                        \
	{                                                                                          \
		if (step == 1) {                                                                   \
			for (uint32_t i = 0; i < n; i++)                                           \
				to[i] = (int64_t)((uint64_t)base + from[i]);                       \
			return;                                                                    \
		}                                                                                  \
		for (uint32_t i = 0; i < n; i++)                                                   \
			to[i] = (int64_t)((uint64_t)base + (uint64_t)step * from[i]);              \
	}
WIDEN(widen8, uint8_t)
WIDEN(widen16, uint16_t)
WIDEN(widen32, uint32_t)

/* One sum, which compilers take apart themselves: of several, kept in an array, gcc 12 makes wrong code at -O3. */
KERNEL static void ramp(int64_t *restrict to, uint32_t n, int64_t first, int64_t step)
{
	uint64_t v = (uint64_t)first;

	for (uint32_t i = 0; i < n; i++, v += (uint64_t)step)
		to[i] = (int64_t)v;
}

#define NARROW(name, T)                                                                            \
	KERNEL static void name(T *restrict to, const int64_t *restrict from, uint32_t n,          \
				int64_t base)                                                      \
	{                                                                                          \
		for (uint32_t i = 0; i < n; i++)                                                   \
			to[i] = (T)((uint64_t)from[i] - (uint64_t)base);                           \
	}
NARROW(narrow8, uint8_t)
NARROW(narrow16, uint16_t)
NARROW(narrow32, uint32_t)

KERNEL static uint32_t within(const int64_t *restrict v, uint32_t n, int64_t lo, uint64_t width)
{
	uint32_t i = 0;

	for (; i + 32 <= n; i += 32) {
		uint64_t out = 0;
		for (uint32_t k = 0; k < 32; k++)
			out |= (uint64_t)v[i + k] - (uint64_t)lo >= width;
		if (out)
			break;
	}
	while (i < n && (uint64_t)v[i] - (uint64_t)lo < width)
		i++;
	return i;
}

KERNEL static void fill(int64_t *restrict to, uint32_t n, int64_t value)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = value;
}

KERNEL static void changes(const int64_t *restrict v, uint32_t n, uint8_t *restrict differs)
{
	for (uint32_t i = 1; i < n; i++)
		differs[i] |= v[i] != v[i - 1];
}

/*
 * Rounding is adding 1.5 * 2^52, after which a unit of the last place is 1: the whole number is the
 * distance of the bits, and one that is out of range, NaN too, shows in it.
 */
KERNEL static uint32_t decimals(int64_t *restrict whole, uint8_t *restrict differs, const double *restrict v,
				uint32_t n, double a, double b, double c, double d)
{
	union bits {
		double f;
		int64_t i;
	} magic = {.f = 0x1.8p52};
	uint32_t out = 0;

	for (uint32_t i = 0; i < n; i++) {
		union bits was = {.f = v[i]}, x = {.f = was.f * a * b + magic.f}, back = {.f = (x.f - magic.f) * c * d};
		int64_t w = (int64_t)((uint64_t)x.i - (uint64_t)magic.i);
		uint8_t is_off = (uint8_t)((back.i != was.i) | ((uint64_t)w + (UINT64_C(1) << 51) >= UINT64_C(1) << 52));
		whole[i] = w;
		differs[i] = is_off;
		out += is_off;
	}
	return out;
}

KERNEL static void scale(double *restrict to, const int64_t *restrict whole, uint32_t n, double c, double d)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = (double)whole[i] * c * d;
}

KERNEL static void bounds(const int64_t *restrict v, uint32_t n, int64_t *ret_min, int64_t *ret_max)
{
	int64_t lo = v[0], hi = v[0];

	for (uint32_t i = 0; i < n; i++) {
		lo = v[i] < lo ? v[i] : lo;
		hi = v[i] > hi ? v[i] : hi;
	}
	*ret_min = lo;
	*ret_max = hi;
}

KERNEL static int64_t min_i64(const int64_t *restrict v, uint32_t n)
{
	int64_t x = v[0];

	for (uint32_t i = 0; i < n; i++)
		x = v[i] < x ? v[i] : x;
	return x;
}

KERNEL static int64_t max_i64(const int64_t *restrict v, uint32_t n)
{
	int64_t x = v[0];

	for (uint32_t i = 0; i < n; i++)
		x = v[i] > x ? v[i] : x;
	return x;
}

/*
 * Halves are summed apart, 64-bit lanes hold 2^32 of either. The upper half is made positive by
 * turning its sign bit, for a logical shift exists in every instruction set.
 */
KERNEL static void sum_i64(const int64_t *restrict v, uint32_t n, int64_t *ret_hi, uint64_t *ret_lo)
{
	uint64_t lo = 0, hi = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t x = (uint64_t)v[i] ^ (UINT64_C(1) << 63);
		lo += x & UINT32_MAX;
		hi += x >> 32;
	}
	*ret_hi = (int64_t)(hi - ((uint64_t)n << 31));
	*ret_lo = lo;
}

const struct kernels KERNELS = {
	.level = KERNELS_LEVEL,
	.widen8 = widen8,
	.widen16 = widen16,
	.widen32 = widen32,
	.ramp = ramp,
	.narrow8 = narrow8,
	.narrow16 = narrow16,
	.narrow32 = narrow32,
	.within = within,
	.fill = fill,
	.changes = changes,
	.decimals = decimals,
	.scale = scale,
	.bounds = bounds,
	.min_i64 = min_i64,
	.max_i64 = max_i64,
	.sum_i64 = sum_i64,
};
