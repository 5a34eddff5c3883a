/*
 * Numbers to text and back, against the C library and against the definition.
 *
 * TIDE_NUM_LOOPS sets how many random numbers each test throws (default 50,000).
 */
#include "engine/base/digits.h"
#include "engine/base/pow10.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

static long loops(void)
{
	const char *z = getenv("TIDE_NUM_LOOPS");
	return z && *z ? atol(z) : 50000;
}

static double from_bits(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

static uint64_t to_bits(double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}

/* --- integers --- */

static void check_i64(int64_t v)
{
	char want[32], got[I64_TEXT_MAX + 1];
	int64_t back;

	snprintf(want, sizeof want, "%" PRId64, v);
	got[I64_TEXT_MAX] = '#';
	size_t n = i64_format(got, v);
	ck_assert_msg(n == strlen(want) && memcmp(got, want, n) == 0, "%s", want);
	ck_assert_int_eq(got[I64_TEXT_MAX], '#');
	ck_assert_int_eq(i64_parse((struct str){got, n}, &back), 0);
	ck_assert_msg(back == v, "%s came back as %" PRId64, want, back);
}

static void check_u64(uint64_t v)
{
	char want[32], got[I64_TEXT_MAX];
	uint64_t back;

	snprintf(want, sizeof want, "%" PRIu64, v);
	size_t n = u64_format(got, v);
	ck_assert_msg(n == strlen(want) && memcmp(got, want, n) == 0, "%s", want);
	ck_assert_int_eq(u64_parse((struct str){got, n}, &back), 0);
	ck_assert_msg(back == v, "%s came back as %" PRIu64, want, back);
}

START_TEST(integers_round_trip)
{
	struct unit_rng r = unit_rng();

	for (uint64_t p = 1, i = 0; i < 20; i++, p *= 10)
		for (uint64_t v = p - 2; v != p + 3; v++) {
			check_u64(v);
			check_i64((int64_t)v);
			check_i64((int64_t)(0 - v));
		}
	for (int i = 0; i < 64; i++) {
		check_u64((UINT64_C(1) << i) - 1);
		check_u64(UINT64_C(1) << i);
	}
	check_u64(UINT64_MAX);
	check_i64(INT64_MIN);
	check_i64(INT64_MAX);
	for (long i = loops(); i > 0; i--) {
		uint64_t v = unit_rand_log(&r);
		check_u64(v);
		check_i64((int64_t)v);
		check_i64((int64_t)(0 - v));
	}
}
END_TEST

static const struct {
	const char *text;
	int rc_i, rc_u;
	int64_t i;
	uint64_t u;
} int_rows[] = {
	{"0", 0, 0, 0, 0},
	{"-0", 0, 0, 0, 0},
	{"+0", 0, 0, 0, 0},
	{"+7", 0, 0, 7, 7},
	{"-7", 0, -ERANGE, -7, 0},
	{"007", 0, 0, 7, 7},
	{"00000000000000000000000000000000000000000012", 0, 0, 12, 12},
	{"9223372036854775807", 0, 0, INT64_MAX, INT64_MAX},
	{"9223372036854775808", -ERANGE, 0, 0, UINT64_C(1) << 63},
	{"-9223372036854775808", 0, -ERANGE, INT64_MIN, 0},
	{"-9223372036854775809", -ERANGE, -ERANGE, 0, 0},
	{"18446744073709551615", -ERANGE, 0, 0, UINT64_MAX},
	{"18446744073709551616", -ERANGE, -ERANGE, 0, 0},
	{"36893488147419103232", -ERANGE, -ERANGE, 0, 0}, /* 2^65: wraps to 0 */
	{"99999999999999999999999999999999999999999999", -ERANGE, -ERANGE, 0, 0},
	{"99999999999999999999999999999999999999999x", -EINVAL, -EINVAL, 0, 0},
	{"", -EINVAL, -EINVAL, 0, 0},
	{"-", -EINVAL, -EINVAL, 0, 0},
	{"+", -EINVAL, -EINVAL, 0, 0},
	{"--1", -EINVAL, -EINVAL, 0, 0},
	{"+-1", -EINVAL, -EINVAL, 0, 0},
	{" 1", -EINVAL, -EINVAL, 0, 0},
	{"1 ", -EINVAL, -EINVAL, 0, 0},
	{"1.0", -EINVAL, -EINVAL, 0, 0},
	{"1e3", -EINVAL, -EINVAL, 0, 0},
	{"0x10", -EINVAL, -EINVAL, 0, 0},
	{"1,000", -EINVAL, -EINVAL, 0, 0},
};

START_TEST(integers_by_table)
{
	const char *z = int_rows[_i].text;
	int64_t i = -99;
	uint64_t u = 99;

	ck_assert_msg(i64_parse(str_from(z), &i) == int_rows[_i].rc_i, "i64 \"%s\"", z);
	ck_assert_msg(u64_parse(str_from(z), &u) == int_rows[_i].rc_u, "u64 \"%s\"", z);
	ck_assert_msg(i == (int_rows[_i].rc_i ? -99 : int_rows[_i].i), "i64 \"%s\"", z);
	ck_assert_msg(u == (int_rows[_i].rc_u ? 99 : int_rows[_i].u), "u64 \"%s\"", z);
}
END_TEST

/* Every byte that is no digit, at every place of every length. */
START_TEST(integers_refuse_other_bytes)
{
	char t[24];
	int64_t i;

	for (size_t n = 1; n <= 18; n++)
		for (size_t at = 0; at < n; at++)
			for (int c = 0; c < 256; c++) {
				memset(t, '1', n);
				t[at] = (char)c;
				bool fine = (c >= '0' && c <= '9') ||
					    (at == 0 && n > 1 && (c == '-' || c == '+'));
				ck_assert_msg((i64_parse((struct str){t, n}, &i) == 0) == fine,
					      "byte %d at %zu of %zu", c, at, n);
			}
}
END_TEST

/* --- the table of powers --- */

#define LIMBS 40

struct big {
	uint32_t limb[LIMBS]; /* least significant first */
};

static void big_mul(struct big *b, uint32_t by)
{
	uint64_t carry = 0;

	for (int i = 0; i < LIMBS; i++) {
		carry += (uint64_t)b->limb[i] * by;
		b->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	ck_assert(carry == 0);
}

static int big_bits(const struct big *b)
{
	for (int i = LIMBS; i-- > 0;)
		if (b->limb[i])
			return i * 32 + 32 - __builtin_clz(b->limb[i]);
	return 0;
}

static int big_bit(const struct big *b, int i)
{
	return i >= 0 ? b->limb[i / 32] >> (i % 32) & 1 : 0;
}

static int big_cmp(const struct big *a, const struct big *b)
{
	for (int i = LIMBS; i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

/* 2^bits - a */
static struct big big_from_power_minus(int bits, const struct big *a)
{
	struct big b = {0};
	int64_t borrow = 0;

	b.limb[bits / 32] = UINT32_C(1) << (bits % 32);
	for (int i = 0; i < LIMBS; i++) {
		borrow += (int64_t)b.limb[i] - a->limb[i];
		b.limb[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	ck_assert(borrow == 0);
	return b;
}

/* (hi:lo) * a */
static struct big big_times_row(const struct big *a, const struct pow10 *g)
{
	uint32_t part[4] = {(uint32_t)g->lo, (uint32_t)(g->lo >> 32), (uint32_t)g->hi,
			    (uint32_t)(g->hi >> 32)};
	struct big sum = {0};

	for (int k = 0; k < 4; k++) {
		uint64_t carry = 0;
		for (int i = 0; i + k < LIMBS; i++) {
			carry += (uint64_t)a->limb[i] * part[k] + sum.limb[i + k];
			sum.limb[i + k] = (uint32_t)carry;
			carry >>= 32;
		}
		ck_assert(carry == 0);
	}
	return sum;
}

/* The top 128 bits of 5^n. */
static void check_positive(int n, const struct big *five)
{
	const struct pow10 *g = pow10_get(n);
	struct pow10 want = {0, 0};
	int bits = big_bits(five);

	for (int i = 0; i < 64; i++) {
		want.hi = want.hi << 1 | (uint64_t)big_bit(five, bits - 1 - i);
		want.lo = want.lo << 1 | (uint64_t)big_bit(five, bits - 65 - i);
	}
	ck_assert_msg(g->hi == want.hi && g->lo == want.lo, "10^%d", n);
	ck_assert_int_eq(pow10_log2(n), bits - 1 + n);
	ck_assert_msg((bits <= 128) == (n <= POW10_EXACT_MAX), "10^%d", n);
}

/* g = floor(2^b / 5^n), that is 0 <= 2^b - g * 5^n < 5^n for some b. */
static void check_negative(int n, const struct big *five)
{
	const struct pow10 *g = pow10_get(-n);
	struct big product = big_times_row(five, g);
	struct big rest = big_from_power_minus(big_bits(&product), &product);

	ck_assert_msg(g->hi >> 63, "10^-%d", n);
	ck_assert_msg(big_cmp(&rest, five) < 0, "10^-%d", n);
	ck_assert_int_eq(pow10_log2(-n), -big_bits(five) - n);
}

START_TEST(powers_of_ten_are_right)
{
	struct big five = {{1}}; /* 5^n */

	for (int n = 0; n <= -POW10_MIN; n++, big_mul(&five, 5)) {
		if (n <= POW10_MAX)
			check_positive(n, &five);
		if (n > 0)
			check_negative(n, &five);
	}
}
END_TEST

/* --- doubles to text --- */

static const struct {
	double v;
	const char *text;
} java_rows[] = {
	{0.0, "0.0"},
	{-0.0, "-0.0"},
	{1.0, "1.0"},
	{-1.0, "-1.0"},
	{21.4, "21.4"},
	{0.1, "0.1"},
	{0.1 + 0.2, "0.30000000000000004"},
	{100.0, "100.0"},
	{123456.789, "123456.789"},
	{1234567.0, "1234567.0"},
	{1234567.5, "1234567.5"},
	{9999999.0, "9999999.0"},
	{9999999.999999998, "9999999.999999998"},
	{1e7, "1.0E7"},
	{12345678.0, "1.2345678E7"},
	{0.001, "0.001"},
	{0.0012345, "0.0012345"},
	{0.01, "0.01"},
	{0.00099, "9.9E-4"},
	{1e10, "1.0E10"},
	{1e-5, "1.0E-5"},
	{1e21, "1.0E21"},
	{1e22, "1.0E22"},
	{1e23, "1.0E23"},
	{2e23, "2.0E23"},
	{1.0e100, "1.0E100"},
	{9007199254740991.0, "9.007199254740991E15"},
	{9007199254740992.0, "9.007199254740992E15"},
	{9007199254740994.0, "9.007199254740994E15"},
	{9223372036854775807.0, "9.223372036854776E18"},
	{5e-324, "4.9E-324"},
	{1e-323, "9.9E-324"},
	{1.5e-323, "1.5E-323"},
	{2e-323, "2.0E-323"},
	{2.2250738585072014e-308, "2.2250738585072014E-308"},
	{-2.2250738585072011e-308, "-2.225073858507201E-308"},
	{-2.2250738585072014e-308, "-2.2250738585072014E-308"}, /* the longest */
	{DBL_MAX, "1.7976931348623157E308"},
	{-DBL_MAX, "-1.7976931348623157E308"},
	{5.684341886080802e-14, "5.684341886080802E-14"}, /* 2^-44, a closer lower neighbour */
	{(double)INFINITY, "Infinity"},
	{-(double)INFINITY, "-Infinity"},
	{(double)NAN, "NaN"},
	{-(double)NAN, "NaN"},
};

START_TEST(doubles_have_javas_form)
{
	char got[F64_TEXT_MAX + 1];

	got[F64_TEXT_MAX] = '#';
	size_t n = f64_format(got, java_rows[_i].v);
	ck_assert_int_eq(got[F64_TEXT_MAX], '#');
	got[n] = '\0';
	ck_assert_str_eq(got, java_rows[_i].text);
}
END_TEST

/* The digits of a formatted number, without point, exponent and outer zeros. */
static int digits_of(const char *text, size_t n, char *to)
{
	int count = 0;

	for (size_t i = 0; i < n && text[i] != 'E'; i++)
		if (digit_is(text[i]) && (count || text[i] != '0'))
			to[count++] = text[i];
	while (count > 1 && to[count - 1] == '0')
		count--;
	to[count] = '\0';
	return count;
}

/* v rounded to n digits by the C library, then `step` units in the last place: its value. */
static double rounded(double v, int n, int step, char *digits)
{
	char t[64], all[64];
	int k = 0;

	snprintf(t, sizeof t, "%.*e", n - 1, v);
	char *e = strchr(t, 'e');
	for (char *p = t; p < e; p++)
		if (*p != '.')
			all[k++] = *p;
	all[k] = '\0';
	int len = snprintf(all, sizeof all, "%llu",
			   strtoull(all, NULL, 10) + (unsigned long long)(long long)step);
	digits_of(all, (size_t)len, digits);
	snprintf(all + len, sizeof all - (size_t)len, "e%d", atoi(e + 1) - (n - 1));
	return strtod(all, NULL);
}

/*
 * The text must read back; no text with fewer digits (but two) may; and of its length it must be
 * the closest. The C library's %.{n}e is the closest of n digits. Where the lower neighbour is
 * closer (mantissa zero) the closest may lie outside the interval while the next one is inside.
 */
static void check_shortest(struct unit_rng *r, double v)
{
	char text[F64_TEXT_MAX + 1], digits[32], want[32];
	size_t len = f64_format(text, v);

	text[len] = '\0';
	unit_assert(r, to_bits(strtod(text, NULL)) == to_bits(v), "%s for %.17g", text, v);
	v = fabs(v);
	int n = MAX(digits_of(text, len, digits), 2);
	bool lopsided = (to_bits(v) & ((UINT64_C(1) << 52) - 1)) == 0;

	if (n > 2)
		for (int step = -(int)lopsided; step <= lopsided; step++)
			unit_assert(r, rounded(v, n - 1, step, want) != v, "%s, but %s is enough",
				    text, want);
	if (rounded(v, n, 0, want) != v) {
		unit_assert(r, lopsided, "%s for %.17g", text, v);
		if (rounded(v, n, 1, want) != v)
			rounded(v, n, -1, want);
	}
	unit_assert(r, strcmp(digits, want) == 0, "%s, but %s is closer", text, want);

	double back;
	unit_assert(r, f64_parse((struct str){text, len}, &back) == 0, "%s", text);
	unit_assert(r, fabs(back) == v, "%s", text);
}

/* v and its neighbours */
static void check_around(struct unit_rng *r, double v)
{
	for (int step = -3; step <= 3; step++) {
		int64_t bits = (int64_t)to_bits(v) + step;
		if (bits > 0 && isfinite(from_bits((uint64_t)bits)))
			check_shortest(r, from_bits((uint64_t)bits));
	}
}

START_TEST(doubles_are_shortest_and_closest)
{
	struct unit_rng r = unit_rng();

	for (int e = -1074; e <= 1023; e++)
		check_around(&r, ldexp(1, e));
	for (int e = -323; e <= 308; e++) {
		char t[16];
		snprintf(t, sizeof t, "1e%d", e);
		check_around(&r, strtod(t, NULL));
	}
	for (uint64_t b = 1; b < 300; b++)
		check_shortest(&r, from_bits(b));
	for (long i = loops(); i > 0;) {
		/* Any bits; decimals as sensors send them; integers; few bits; half integers. */
		double v[] = {
			from_bits(unit_rand(&r)),
			(double)(int64_t)unit_below(&r, 10000000) / 1000.0,
			(double)unit_rand_log(&r),
			ldexp((double)(unit_rand_log(&r) >> 40), (int)unit_below(&r, 2000) - 1000),
			(double)(unit_rand_log(&r) >> 10) + 0.5,
		};
		for (size_t k = 0; k < ARRAY_LEN(v); k++)
			if (isfinite(v[k]) && v[k] != 0) {
				check_shortest(&r, v[k]);
				i--;
			}
	}
}
END_TEST

/* --- text to doubles --- */

/* Half way between DBL_MAX and 2^1024, less its last digit, which is 2. */
#define MAX_MIDDLE                                                                         \
	"17976931348623158079372897140530341507993413271003782693617377898044496829276475" \
	"09466490179775872070963302864166928879109465555478519404026306574886715058206819" \
	"08902000708383676273854845817711531764475730270069855571366959622842914819860834" \
	"93647529271907416844436551070434271155969950809304288017790417449779"

static const struct {
	const char *text;
	int rc;
} f64_rows[] = {
	{"0", 0},
	{"-0", 0},
	{"0.0", 0},
	{".5", 0},
	{"5.", 0},
	{"+5.", 0},
	{"-.5e1", 0},
	{"1e5", 0},
	{"1E5", 0},
	{"1e+5", 0},
	{"1e-5", 0},
	{"1e0005", 0},
	{"0e999999999999999999999", 0},
	{"1e308", 0},
	{"1.7976931348623157e308", 0},
	{"1.7976931348623158e308", 0},
	{"1.7976931348623159e308", -ERANGE},
	{MAX_MIDDLE "1", 0},
	{MAX_MIDDLE "2", -ERANGE},
	{"1e309", -ERANGE},
	{"-1e309", -ERANGE},
	{"1e99999999999999999999999", -ERANGE},
	{"1e-99999999999999999999999", 0},
	{"5e-324", 0},
	{"2.4703282292062327e-324", 0},
	{"2.4703282292062328e-324", 0},
	{"2.2250738585072011e-308", 0},
	{"2.2250738585072012e-308", 0},
	{"2.2250738585072014e-308", 0},
	{"9007199254740993", 0},
	{"9007199254740993.00000000000000000000000000000000000001", 0},
	{"9007199254740992.99999999999999999999999999999999999999", 0},
	{"9007199254740995", 0},
	{"1e23", 0},
	{"8.5e22", 0},
	{"6.0221407600000000000000000000000e23", 0},
	{"00000000000000000000000000000000000000000001.5", 0},
	{"0.00000000000000000000000000000000000000000015", 0},
	{"0.000000000000000000000000000000000000000000000", 0},
	{"1000000000000000000000000000000000000000000000e-45", 0},
	{"0.30000000000000001665334536937734810635447502136230468", 0},
	{"0.30000000000000001665334536937734810635447502136230469", 0},
	{"", -EINVAL},
	{".", -EINVAL},
	{"-", -EINVAL},
	{"+", -EINVAL},
	{"-.", -EINVAL},
	{"e5", -EINVAL},
	{".e5", -EINVAL},
	{"1e", -EINVAL},
	{"1e+", -EINVAL},
	{"1e-", -EINVAL},
	{"1e5.", -EINVAL},
	{"1e5x", -EINVAL},
	{"1.2.3", -EINVAL},
	{"--1", -EINVAL},
	{" 1", -EINVAL},
	{"1 ", -EINVAL},
	{"0x1p3", -EINVAL},
	{"nan", -EINVAL},
	{"NaN", -EINVAL},
	{"inf", -EINVAL},
	{"Infinity", -EINVAL},
	{"1,5", -EINVAL},
	{"1f", -EINVAL},
	{"1e5e5", -EINVAL},
	{"12345678x", -EINVAL},
	{"1.12345678x", -EINVAL},
	{"1_000", -EINVAL},
};

static void check_parse(struct unit_rng *r, const char *text, size_t len)
{
	double want = strtod(text, NULL), got = -99;
	int rc = f64_parse((struct str){text, len}, &got);

	if (isinf(want))
		unit_assert(r, rc == -ERANGE && got == -99, "%s: %d", text, rc);
	else
		unit_assert(r, rc == 0 && to_bits(got) == to_bits(want), "%s: %d, %.17g not %.17g",
			    text, rc, got, want);
}

START_TEST(texts_by_table)
{
	const char *z = f64_rows[_i].text;
	struct unit_rng r = {0};
	double got = -99;
	int rc = f64_parse(str_from(z), &got);

	ck_assert_msg(rc == f64_rows[_i].rc, "\"%s\": %d", z, rc);
	if (rc == -EINVAL)
		ck_assert(got == -99);
	else
		check_parse(&r, z, strlen(z));
}
END_TEST

#define TEXT_MAX 1600

/* A random text of the grammar: any number of digits, point anywhere, exponent or none. */
static size_t random_text(struct unit_rng *r, char *to, int digits_max)
{
	char *p = to;
	int n = 1 + (int)unit_below(r, (uint64_t)digits_max);
	int point = (int)unit_below(r, (uint64_t)n * 2);

	if (unit_below(r, 4) == 0)
		*p++ = "+-"[unit_below(r, 2)];
	for (int i = 0; i < n; i++) {
		if (i == point)
			*p++ = '.';
		*p++ = (char)('0' + (unit_below(r, 8) ? unit_below(r, 10) : 0));
	}
	if (unit_below(r, 2))
		p += sprintf(p, "%c%d", "eE"[unit_below(r, 2)],
			     (int)unit_below(r, 700) - 360 - MIN(point, n));
	*p = '\0';
	return (size_t)(p - to);
}

START_TEST(random_texts_parse_as_strtod)
{
	struct unit_rng r = unit_rng();
	char t[TEXT_MAX];

	for (long i = loops(); i > 0; i--) {
		double v = from_bits(unit_rand(&r));
		if (isfinite(v))
			check_parse(&r, t, (size_t)sprintf(t, "%.*g", 15 + (int)(i % 6), v));
		check_parse(&r, t,
			    (size_t)sprintf(t, "%" PRIu64 "e%d", unit_rand_log(&r),
					    (int)unit_below(&r, 700) - 360));
		check_parse(&r, t, random_text(&r, t, 20));
		if (i % 8 == 0)
			check_parse(&r, t, random_text(&r, t, i % 64 ? 60 : 1200));
	}
}
END_TEST

/* Two neighbours between which to stand: anywhere, among denormals, where the middle is short. */
static uint64_t half_way_bits(struct unit_rng *r, long i)
{
	switch (i % 3) {
	case 0:
		return unit_rand(r) >> 1;
	case 1:
		return unit_rand_log(r) >> 12;
	default:
		return to_bits((double)(UINT64_C(1) << 53) + (double)unit_rand_log(r));
	}
}

/*
 * Exactly half way between two doubles, written out in full, and a hair beside it: the one case
 * where 19 digits never decide. A long double of 64 bits holds the middle exactly.
 */
START_TEST(half_way_texts_parse_as_strtod)
{
#if LDBL_MANT_DIG >= 64
	struct unit_rng r = unit_rng();
	char t[TEXT_MAX], tail[16];

	for (long i = loops() / 8; i > 0; i--) {
		uint64_t bits = half_way_bits(&r, i);
		double a = from_bits(bits), b = from_bits(bits + 1);
		if (!isfinite(a) || !isfinite(b))
			continue;
		sprintf(t, "%.800Le", ((long double)a + (long double)b) / 2);
		char *e = strchr(t, 'e');
		strcpy(tail, e);
		/* Without the zeros behind, or with some of them. */
		while (e[-1] == '0' && unit_below(&r, 50))
			e--;
		strcpy(e, tail);
		check_parse(&r, t, strlen(t));
		strcpy(e, "0000001");
		strcat(t, tail);
		check_parse(&r, t, strlen(t));
		while (e[-1] == '0' || e[-1] == '.')
			e--;
		e[-1]--;
		strcpy(e, strchr(t, '.') < e ? "9" : ".9");
		strcat(t, tail);
		check_parse(&r, t, strlen(t));
	}
#endif
}
END_TEST

/* A megabyte of digits is no trouble. */
START_TEST(long_texts_parse)
{
	size_t n = 1 << 20;
	char *t = malloc(n + 32);
	double v;

	memset(t, '0', n);
	t[0] = '1';
	memcpy(t + n, "e-1048575", 9);
	ck_assert_int_eq(f64_parse((struct str){t, n + 9}, &v), 0);
	ck_assert(v == 1.0);
	memset(t, '0', n);
	t[1] = '.';
	memcpy(t + n, "7e1048575", 9); /* n - 2 zeros after the point, then the 7 */
	ck_assert_int_eq(f64_parse((struct str){t, n + 9}, &v), 0);
	ck_assert(v == 7.0);
	/* 2^53 + 1 is half way; a 1 a megabyte later decides. */
	memset(t, '0', n);
	memcpy(t, "9007199254740993.", 17);
	t[n - 1] = '1';
	ck_assert_int_eq(f64_parse((struct str){t, n}, &v), 0);
	ck_assert(v == 9007199254740994.0);
	t[n - 1] = '0';
	ck_assert_int_eq(f64_parse((struct str){t, n}, &v), 0);
	ck_assert(v == 9007199254740992.0);
	free(t);
}
END_TEST

/* Any byte in any place: never read beyond the end, and the same verdict as the C library. */
START_TEST(texts_refuse_other_bytes)
{
	static const char good[] = "-1234567890.123456789e-12";
	size_t n = sizeof good - 1;
	struct unit_rng r = {0};

	for (size_t cut = 1; cut <= n; cut++)
		for (size_t at = 0; at < cut; at++)
			for (int c = 0; c < 256; c++) {
				char *t = malloc(cut); /* to the byte: asan sees one too far */
				char z[32], *end;
				double v;
				memcpy(t, good, cut);
				t[at] = (char)c;
				memcpy(z, t, cut);
				z[cut] = '\0';
				strtod(z, &end);
				bool fine = end == z + cut && strspn(z, "0123456789+-.eE") == cut;
				int rc = f64_parse((struct str){t, cut}, &v);
				ck_assert_msg((rc != -EINVAL) == fine, "\"%s\": %d", z, rc);
				if (fine)
					check_parse(&r, z, cut);
				free(t);
			}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("num");
	TCase *tc = tcase_create("num");

	tcase_set_timeout(tc, 3600);
	tcase_add_test(tc, integers_round_trip);
	tcase_add_loop_test(tc, integers_by_table, 0, ARRAY_LEN(int_rows));
	tcase_add_test(tc, integers_refuse_other_bytes);
	tcase_add_test(tc, powers_of_ten_are_right);
	tcase_add_loop_test(tc, doubles_have_javas_form, 0, ARRAY_LEN(java_rows));
	tcase_add_test(tc, doubles_are_shortest_and_closest);
	tcase_add_loop_test(tc, texts_by_table, 0, ARRAY_LEN(f64_rows));
	tcase_add_test(tc, random_texts_parse_as_strtod);
	tcase_add_test(tc, half_way_texts_parse_as_strtod);
	tcase_add_test(tc, long_texts_parse);
	tcase_add_test(tc, texts_refuse_other_bytes);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
