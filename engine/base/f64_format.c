/*
 * A double as the shortest decimal that reads back as the same double; among several of that length
 * the closest. The algorithm is Schubfach (R. Giulietti, "The Schubfach way to render doubles",
 * 2020), which Java's own Double.toString uses since JDK 19.
 *
 * The idea: all reals that round to v = c * 2^q form an interval around v. Take the k for which
 * 10^k is the largest power of ten not longer than that interval: then at least one multiple of
 * 10^k lies inside, and at most one of 10^(k+1). So only four candidates exist:
 *
 *	        sp * 10^(k+1)                                    (sp + 1) * 10^(k+1)
 *	  ---------|-------------------[======|==v==|====]--------------|-------
 *	                                      s    s+1    * 10^k
 *
 * Try the two coarse ones first, then the two fine ones. The comparisons are made on 4 * v / 10^k
 * and the interval's ends, each a 64-bit integer whose lowest bit says "and a bit more" (rounded
 * to odd), which the paper proves sufficient with 128-bit powers of ten.
 *
 * Java always prints two digits (`5.0E-324`), so where one digit would do, the second is not
 * wasted on a zero but makes the text closer: `4.9E-324`. That is Java's rule as well, and only
 * seen in the smallest denormals.
 */
#include "engine/base/base.h"
#include "engine/base/digits.h"
#include "engine/base/pow10.h"

#define MANT_BITS 52
#define EXP_BIAS  1075 /* of an integer mantissa: 1023 + 52 */
#define EXP_NAMES 0x7FF

/* digits * 10^exp10 */
struct decimal {
	uint64_t digits;
	int exp10;
};

/* floor(g * cp / 2^128), with the lowest bit set when something was cut. */
static uint64_t round_to_odd(struct pow10 g, uint64_t cp)
{
	struct u128 x = mul_64x64(g.lo, cp);
	struct u128 y = mul_64x64(g.hi, cp);

	y.lo += x.hi;
	y.hi += y.lo < x.hi;
	return y.hi | (y.lo > 1);
}

/* The multiple of 10^(k+dk) to print for c * 2^q. is_closer: the lower neighbour is half as far. */
static struct decimal shortest(uint64_t c, int q, bool is_closer, int dk)
{
	/* floor(log10 of the interval's length): 2^q, or 3/4 of that. */
	int k = (q * 1262611 - (is_closer ? 524031 : 0)) >> 22;
	int h = q + pow10_log2(-k) + 1; /* 1..4 */
	struct pow10 g = pow10_above(-k);
	uint64_t v = round_to_odd(g, 4 * c << h);
	uint64_t odd = c & 1; /* ends that are ties belong to the interval when c is even */
	uint64_t low = round_to_odd(g, (4 * c - (is_closer ? 1 : 2)) << h) + odd;
	uint64_t high = round_to_odd(g, (4 * c + 2) << h) - odd;
	uint64_t s = v / 4;

	if (s >= 100) { /* below, the coarse ones have one digit only */
		uint64_t sp = s / 10;
		bool down = low <= 40 * sp, up = 40 * sp + 40 <= high;
		if (down != up)
			return (struct decimal){sp + up, k + 1 + dk};
	}
	bool down = low <= 4 * s, up = 4 * s + 4 <= high;
	if (down != up)
		return (struct decimal){s + up, k + dk};
	/* Both, so the closer, and of two as close the even. */
	uint64_t middle = 4 * s + 2;
	return (struct decimal){s + (v > middle || (v == middle && (s & 1))), k + dk};
}

static struct decimal to_decimal(uint64_t mant, int e)
{
	if (e == 0) {
		/* The two smallest denormals have one digit at their k: look one place further. */
		if (mant < 3)
			return shortest(10 * mant, 1 - EXP_BIAS, false, -1);
		return shortest(mant, 1 - EXP_BIAS, false, 0);
	}
	uint64_t c = mant | UINT64_C(1) << MANT_BITS;
	int q = e - EXP_BIAS;
	/* Integers below 2^53 are their own shortest form. */
	if (q <= 0 && q >= -MANT_BITS && !(c & ((UINT64_C(1) << -q) - 1)))
		return (struct decimal){c >> -q, 0};
	return shortest(c, q, mant == 0 && e > 1, 0);
}

static void strip_zeros(struct decimal *d)
{
	static const struct {
		uint64_t power;
		int zeros;
	} steps[] = {{100000000, 8}, {100000000, 8}, {10000, 4}, {100, 2}, {10, 1}};

	if (d->digits % 10)
		return;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (d->digits % steps[i].power == 0) {
			d->digits /= steps[i].power;
			d->exp10 += steps[i].zeros;
		}
	}
}

static char *zeros(char *p, int n)
{
	memset(p, '0', (size_t)n);
	return p + n;
}

/* 10^-3 <= v < 10^7: digits with a point among them. `point` counts the digits before it. */
static char *plain(char *p, uint64_t digits, int n, int point)
{
	if (point <= 0) {
		*p++ = '0';
		*p++ = '.';
		p = zeros(p, -point);
		digits_write(p, digits, n);
		return p + n;
	}
	if (point >= n) {
		digits_write(p, digits, n);
		p = zeros(p + n, point - n);
		*p++ = '.';
		*p++ = '0';
		return p;
	}
	/* Written one place to the right, then the integer part moves left and the point fits. */
	digits_write(p + 1, digits, n);
	memmove(p, p + 1, (size_t)point);
	p[point] = '.';
	return p + n + 1;
}

/* d.dddE±x */
static char *scientific(char *p, uint64_t digits, int n, int exp10)
{
	digits_write(p + 1, digits, n);
	p[0] = p[1];
	p[1] = '.';
	p += n + 1;
	if (n == 1)
		*p++ = '0';
	*p++ = 'E';
	return p + i64_format(p, exp10);
}

static char *name(char *p, const char *z)
{
	size_t n = strlen(z);
	memcpy(p, z, n);
	return p + n;
}

size_t f64_format(char *to, double v)
{
	uint64_t bits;
	char *p = to;

	memcpy(&bits, &v, sizeof bits);
	uint64_t mant = bits & ((UINT64_C(1) << MANT_BITS) - 1);
	int e = (int)(bits >> MANT_BITS & EXP_NAMES);

	if (e == EXP_NAMES && mant)
		return (size_t)(name(p, "NaN") - to);
	if (bits >> 63)
		*p++ = '-';
	if (e == EXP_NAMES)
		return (size_t)(name(p, "Infinity") - to);
	if (!mant && !e)
		return (size_t)(name(p, "0.0") - to);

	struct decimal d = to_decimal(mant, e);
	strip_zeros(&d);
	int n = digits_count(d.digits), point = n + d.exp10;
	if (point > -3 && point <= 7)
		p = plain(p, d.digits, n, point);
	else
		p = scientific(p, d.digits, n, point - 1);
	return (size_t)(p - to);
}
