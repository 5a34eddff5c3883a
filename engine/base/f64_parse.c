/*
 * Decimal text to the nearest double, in three steps, each for what the one before cannot do.
 *
 *   1. Clinger: up to 53 bits of digits times or over a power of ten up to 10^22. Both are exact
 *      doubles, so the one operation rounds once, correctly. Nearly every measured value ends here.
 *   2. Eisel-Lemire (D. Lemire, "Number parsing at a gigabyte per second", 2021; that no fallback
 *      is needed for up to 19 digits: N. Mushtak, D. Lemire, "Fast number parsing without
 *      fallback", 2022): the digits times a 128-bit power of ten; 64 bits of it are kept, of which
 *      the topmost 54 decide the rounding.
 *   3. More than 19 digits: the first 19 bound the number between w and w + 1. When both round
 *      alike, that is it. Otherwise (about once in a thousand such texts) the C library compares
 *      exactly; it is given at most EXACT_DIGITS digits, enough for any double, and a copy in
 *      the stack with the "C" locale, whatever setlocale() says.
 */
#include "engine/base/base.h"
#include "engine/base/digits.h"
#include "engine/base/pow10.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define DIGITS_MAX 19 /* what a uint64_t always holds */

/*
 * The middle between two doubles has at most 767 significant digits. Whatever follows those can
 * only say "a little more", which a single digit 1 says as well.
 */
#define EXACT_DIGITS 780

#define EXP_MAX  INT64_C(1000000000000000) /* far beyond any double, far from overflow */
#define SIGN_BIT (UINT64_C(1) << 63)
#define INF_BITS UINT64_C(0x7FF0000000000000)

/* A text taken apart: w * 10^exp10, or a little more when is_cut. */
struct decimal {
	uint64_t w;
	int64_t exp10;
	bool is_negative;
	bool is_cut;
	/* The digits with at most one point among them, without leading zeros: for the exact way.
	 */
	const char *digits, *digits_end;
};

static double from_bits(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

/* Digits onto *w, which may wrap round: the caller counts them. Returns where they end. */
static const char *take_digits(const char *p, const char *end, uint64_t *w)
{
	uint64_t v = *w;

	while (end - p >= 8) {
		uint64_t eight = digits_load8(p);
		if (!digits_all8(eight))
			break;
		v = v * 100000000 + digits_value8(eight);
		p += 8;
	}
	for (; p < end && digit_is(*p); p++)
		v = v * 10 + (uint64_t)(*p - '0');
	*w = v;
	return p;
}

/* [+-]digits up to the end of the text; values beyond EXP_MAX stay there. */
static int take_exponent(const char *p, const char *end, int64_t *ret)
{
	int64_t v = 0;
	bool neg = p < end && *p == '-';

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return -EINVAL;
	for (; p < end; p++) {
		if (!digit_is(*p))
			return -EINVAL;
		if (v < EXP_MAX)
			v = v * 10 + (*p - '0');
	}
	*ret = neg ? -v : v;
	return 0;
}

/*
 * More than 19 digits were read: take w again from the first 19 that matter. exp10 comes in as the
 * exponent of the last digit.
 */
static void cut_digits(struct decimal *d, const char *p, const char *end)
{
	int left = DIGITS_MAX;
	uint64_t w = 0;

	while (p < end && (*p == '0' || *p == '.'))
		p++;
	d->digits = p;
	d->digits_end = end;
	for (; p < end && left; p++) {
		if (*p == '.')
			continue;
		w = w * 10 + (uint64_t)(*p - '0');
		left--;
	}
	for (; p < end; p++) {
		if (*p == '.')
			continue;
		d->exp10++;
		d->is_cut |= *p != '0';
	}
	d->w = w;
}

static int take_apart(struct str s, struct decimal *d)
{
	const char *p = s.ptr, *end = s.ptr + s.len;

	*d = (struct decimal){0};
	if (p < end && (*p == '-' || *p == '+'))
		d->is_negative = *p++ == '-';

	const char *digits = p;
	p = take_digits(p, end, &d->w);
	ptrdiff_t count = p - digits, fraction = 0;
	if (p < end && *p == '.') {
		const char *from = ++p;
		p = take_digits(p, end, &d->w);
		fraction = p - from;
	}
	count += fraction;
	if (count == 0)
		return -EINVAL;

	const char *digits_end = p;
	int64_t e = 0;
	if (p < end) {
		if (*p != 'e' && *p != 'E')
			return -EINVAL;
		int rc = take_exponent(p + 1, end, &e);
		if (rc < 0)
			return rc;
	}
	d->exp10 = e - fraction;
	if (unlikely(count > DIGITS_MAX))
		cut_digits(d, digits, digits_end);
	return 0;
}

/*
 * Step 1. Without excess precision only (FLT_EVAL_METHOD 0), else the operation rounds twice.
 * False: does not apply.
 */
static bool clinger(const struct decimal *d, double *ret)
{
	static const double exact[] = {
		1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
	};
	if (FLT_EVAL_METHOD != 0 || d->is_cut || d->w >> DBL_MANT_DIG || d->exp10 < -22 ||
	    d->exp10 > 22)
		return false;
	double v = (double)d->w;
	v = d->exp10 < 0 ? v / exact[-d->exp10] : v * exact[d->exp10];
	*ret = d->is_negative ? -v : v;
	return true;
}

/*
 * w (its top bit set) times 10^q, the upper 128 bits, as exact as rounding needs. The paper's
 * table is rounded up from 10^-27 to 10^-1, where a tie is possible, and cut elsewhere.
 */
static struct u128 scaled(uint64_t w, int q)
{
	struct pow10 g = q < 0 && q >= -27 ? pow10_above(q) : *pow10_get(q);
	struct u128 m = mul_64x64(w, g.hi);

	/* The nine bits below the ones that decide are all set: a carry may come from further down.
	 */
	if ((m.hi & 0x1FF) == 0x1FF) {
		uint64_t carry = mul_64x64(w, g.lo).hi;
		m.lo += carry;
		m.hi += m.lo < carry;
	}
	return m;
}

/* Step 2: the bits of the double nearest to w * 10^exp10, without a sign; INF_BITS: too large. */
static uint64_t eisel_lemire(uint64_t w, int64_t exp10)
{
	if (w == 0 || exp10 < POW10_MIN)
		return 0;
	if (exp10 > DBL_MAX_10_EXP)
		return INF_BITS;

	int q = (int)exp10, lz = __builtin_clzll(w);
	struct u128 m = scaled(w << lz, q);
	int top = (int)(m.hi >> 63); /* the product has 128 or 127 bits */
	int shift = top + 64 - DBL_MANT_DIG - 2;
	uint64_t mant = m.hi >> shift;                /* 53 bits, and one more to round by */
	int e = pow10_log2(q) + 63 + top - lz + 1023; /* the double's exponent field */

	if (e <= 0) {
		/* Denormal: fewer bits of mantissa. No tie can occur this far down. */
		if (e <= -63)
			return 0;
		mant >>= 1 - e;
		/* Rounding up may give the smallest normal number: bit 52 is then the exponent 1.
		 */
		return (mant + (mant & 1)) >> 1;
	}
	/*
	 * A tie (exactly half way) must go to even, that is down when bit 1 is clear. It needs a
	 * product with nothing below the rounding bit, and so a power of five that divides w or
	 * fits in 64 bits: -4 <= q <= 23.
	 */
	if (m.lo <= 1 && q >= -4 && q <= 23 && (mant & 3) == 1 && mant << shift == m.hi)
		mant--;
	mant = (mant + (mant & 1)) >> 1;
	if (mant >> DBL_MANT_DIG) {
		mant >>= 1;
		e++;
	}
	if (e >= 0x7FF)
		return INF_BITS;
	return (uint64_t)e << 52 | (mant & ((UINT64_C(1) << 52) - 1));
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void c_locale_make(void)
{
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* Step 3. No sign; INFINITY when too large. */
static double exactly(const struct decimal *d)
{
	char text[EXACT_DIGITS + 32];
	char *to = text;
	int64_t exp10 = d->exp10 + DIGITS_MAX; /* of "0.digits" */
	bool more = false;

	*to++ = '.';
	for (const char *p = d->digits; p < d->digits_end; p++) {
		if (*p == '.')
			continue;
		if (to - text <= EXACT_DIGITS)
			*to++ = *p;
		else
			more |= *p != '0';
	}
	if (more)
		*to++ = '1';
	*to++ = 'e';
	to += i64_format(to, exp10);
	*to = '\0';

	pthread_once(&c_locale_once, c_locale_make);
	/* "C" needs no file and cannot fail in glibc or musl; elsewhere nobody called setlocale().
	 */
	return c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
}

int f64_parse(struct str s, double *ret)
{
	struct decimal d;
	int rc = take_apart(s, &d);

	if (unlikely(rc < 0))
		return rc;
	if (likely(clinger(&d, ret)))
		return 0;
	uint64_t bits = eisel_lemire(d.w, d.exp10);
	if (unlikely(d.is_cut) && bits != eisel_lemire(d.w + 1, d.exp10)) {
		double v = exactly(&d);
		memcpy(&bits, &v, sizeof bits);
	}
	if (bits == INF_BITS)
		return -ERANGE;
	*ret = from_bits(d.is_negative ? bits | SIGN_BIT : bits);
	return 0;
}
