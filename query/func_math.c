/* func_math: mathematical functions. */
#include "query/func_impl.h"

#include <math.h>

#define GROUP "Mathematical"

/* ---- of a double -------------------------------------------------------------------------------- */

static double sign_of(double x)
{
	return isnan(x) ? x : (double)((x > 0) - (x < 0));
}

/* The C library's is off by a last digit even for cubes; a Newton step mends that. */
static double cube_root(double x)
{
	double r = cbrt(x);
	double better = r - (r * r * r - x) / (3 * r * r);

	return isfinite(better) ? better : r;
}

/*   SQL name   C expression                 help */
#define DOUBLE_FUNCTIONS(X)                                                               \
	X(cbrt, cube_root(x), "cube root")                                                     \
	X(ceil, ceil(x), "up to a whole number")                                          \
	X(degrees, x / M_PI * 180.0, "radians to degrees")                                \
	X(exp, exp(x), "e to the power of x")                                             \
	X(floor, floor(x), "down to a whole number")                                      \
	X(ln, log(x), "natural logarithm; -Infinity of 0, NaN below")                                                \
	X(log2, log2(x), "logarithm to base 2; -Infinity of 0, NaN below")                                           \
	X(log10, log10(x), "logarithm to base 10; -Infinity of 0, NaN below")                                        \
	X(radians, x / 180.0 * M_PI, "degrees to radians")                                \
	X(sqrt, sqrt(x), "square root; NaN of a negative number")                                                   \
	X(truncate, trunc(x), "without the fraction")                                     \
	X(acos, acos(x), "arc cosine, in radians; NaN outside -1 to 1")                                        \
	X(asin, asin(x), "arc sine, in radians; NaN outside -1 to 1")                                          \
	X(atan, atan(x), "arc tangent, in radians")                                       \
	X(cos, cos(x), "cosine of radians")                                               \
	X(cosh, cosh(x), "hyperbolic cosine")                                             \
	X(sin, sin(x), "sine of radians")                                                 \
	X(sinh, sinh(x), "hyperbolic sine")                                               \
	X(tan, tan(x), "tangent of radians")                                              \
	X(tanh, tanh(x), "hyperbolic tangent")

#define DEFINE(name, expr, help) FN_UNARY(name##_f64, double, f64, double, f64, expr)
DOUBLE_FUNCTIONS(DEFINE)

FN_UNARY(abs_f64, double, f64, double, f64, fabs(x))
FN_UNARY(round_f64, double, f64, double, f64, round(x))
FN_UNARY(sign_f64, double, f64, double, f64, sign_of(x))
FN_UNARY(is_finite, double, f64, uint8_t, b8, isfinite(x) != 0)
FN_UNARY(is_infinite, double, f64, uint8_t, b8, isinf(x) != 0)
FN_UNARY(is_nan, double, f64, uint8_t, b8, isnan(x) != 0)
FN_BINARY(power_f64, double, f64, double, f64, double, f64, pow(x, y))
FN_BINARY(atan2_f64, double, f64, double, f64, double, f64, atan2(x, y))
FN_BINARY(mod_f64, double, f64, double, f64, double, f64, fmod(x, y))

#define CONSTANT(fn, value)                                                                        \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		for (uint32_t i = 0; i < c->n; i++)                                                \
			ret->f64[i] = (value);                                                     \
		return 0;                                                                          \
	}
CONSTANT(pi_f64, M_PI)
CONSTANT(e_f64, M_E)
CONSTANT(nan_f64, (double)NAN)
CONSTANT(infinity_f64, (double)INFINITY)

/* Where x * 10^d is beyond this, x has no digits behind the d-th, and the product would only lose some. */
#define DIGITS_END 0x1p53

/* Half away from zero at d digits after the point (before it where d < 0). */
static double round_to(double x, int64_t d)
{
	double factor;

	if (!isfinite(x) || d > 330)
		return x;
	if (d < -330)
		return copysign(0.0, x);
	factor = pow(10.0, (double)(d < 0 ? -d : d));
	if (d < 0)
		return isinf(factor) ? copysign(0.0, x) : round(x / factor) * factor;
	return fabs(x * factor) < DIGITS_END ? round(x * factor) / factor : x;
}

/* Digits behind the d-th dropped. What x * 10^d rounded down by a last bit is set right again. */
static double truncate_to(double x, int64_t d)
{
	double factor, r, next;

	if (!isfinite(x) || d > 330)
		return x;
	if (d < -330)
		return copysign(0.0, x);
	factor = pow(10.0, (double)(d < 0 ? -d : d));
	if (d >= 0 && fabs(x * factor) >= DIGITS_END)
		return x;
	if (isinf(factor))
		return d < 0 ? copysign(0.0, x) : x;
	r = trunc(d < 0 ? x / factor : x * factor);
	next = r + copysign(1.0, x);
	r = d < 0 ? r * factor : r / factor;
	next = d < 0 ? next * factor : next / factor;
	if (fabs(next) <= fabs(x))
		return next;
	return isfinite(r) && fabs(r) <= fabs(x) ? r : x;
}

/* The quotient of two logarithms is off by a last bit even for powers of ten. */
static double log_of(double base, double x)
{
	return base == 2 ? log2(x) : base == 10 ? log10(x) : log(x) / log(base);
}

FN_BINARY(truncate_to_f64, double, f64, int64_t, i64, double, f64, truncate_to(x, y))
FN_BINARY(log_f64, double, f64, double, f64, double, f64, log_of(x, y))
FN_BINARY(round_to_f64, double, f64, int64_t, i64, double, f64, round_to(x, y))

/* ---- of whole numbers --------------------------------------------------------------------------- */

FN_UNARY(same_i64, int64_t, i64, int64_t, i64, x)
FN_UNARY(sign_i64, int64_t, i64, int64_t, i64, (x > 0) - (x < 0))

static inline bool abs64_fails(int64_t x, int64_t *r)
{
	*r = x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
	return x == INT64_MIN;
}
static inline bool abs32_fails(int64_t x, int64_t *r)
{
	bool bad = abs64_fails(x, r);

	return bad | (*r > INT32_MAX);
}
#define BAD_ABS64(x) err_set(e, -EINVAL, "bigint overflow: abs(%lld)", (long long)(x))
#define BAD_ABS32(x) err_set(e, -EINVAL, "integer overflow: abs(%lld)", (long long)(x))
FN_CHECKED_UNARY(abs_i64, abs64_fails, BAD_ABS64)
FN_CHECKED_UNARY(abs_i32, abs32_fails, BAD_ABS32)

static bool mod_fails(int64_t x, int64_t y, int64_t *r)
{
	*r = y == 0 || y == -1 ? 0 : x % y;
	return y == 0;
}
#define BAD_MOD(x, y) err_set(e, -EINVAL, "division by zero")
FN_CHECKED(mod_i64, mod_fails, BAD_MOD)

static bool round_to_fails(int64_t x, int64_t d, int64_t *r)
{
	int64_t factor = 1, rest;

	*r = x;
	if (d >= 0)
		return false;
	*r = 0;
	if (d < -19)
		return false;
	if (d == -19) /* 10^19 is beyond int64; nothing reaches half of it but the last few */
		return x >= INT64_C(5000000000000000000) || x <= -INT64_C(5000000000000000000);
	for (; d < 0; d++)
		factor *= 10;
	rest = x % factor;
	*r = x - rest;
	if (rest >= factor - factor / 2)
		return __builtin_add_overflow(*r, factor, r);
	if (rest <= -(factor - factor / 2))
		return __builtin_sub_overflow(*r, factor, r);
	return false;
}
static bool round_to32_fails(int64_t x, int64_t d, int64_t *r)
{
	bool bad = round_to_fails(x, d, r);

	return bad | (*r != (int32_t)*r);
}
#define BAD_ROUND64(x, y) err_set(e, -EINVAL, "bigint overflow: round(%lld, %lld)", (long long)(x), (long long)(y))
#define BAD_ROUND32(x, y) err_set(e, -EINVAL, "integer overflow: round(%lld, %lld)", (long long)(x), (long long)(y))
FN_CHECKED(round_to_i64, round_to_fails, BAD_ROUND64)
FN_CHECKED(round_to_i32, round_to32_fails, BAD_ROUND32)

static int64_t truncate_whole(int64_t x, int64_t d)
{
	int64_t factor = 1;

	for (; d < 0 && factor; d++)
		factor = d < -18 ? 0 : factor * 10;
	return factor ? x - x % factor : 0;
}
FN_BINARY(truncate_to_i64, int64_t, i64, int64_t, i64, int64_t, i64, truncate_whole(x, y))

/* ---- buckets ------------------------------------------------------------------------------------ */

static int bad_buckets(struct err *e, const char *why)
{
	return err_set(e, -EINVAL, "width_bucket: %s", why);
}

/* width_bucket(x, from, to, n): 1 to n, 0 in front of the first, n + 1 behind the last. */
static int width_bucket(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		double x = arg_f64(c, 0, i), from = arg_f64(c, 1, i), to = arg_f64(c, 2, i);
		double lo = MIN(from, to), hi = MAX(from, to);
		int64_t n = arg_i64(c, 3, i), at;

		if (!row_ok(c, i))
			continue;
		if (n < 1 || n > INT32_MAX)
			return bad_buckets(e, "the number of buckets must be between 1 and 2147483647");
		if (isnan(x) || !isfinite(from) || !isfinite(to) || from == to)
			return bad_buckets(e, "the bounds must be finite and differ, and the value a number");
		at = x < lo ? 0 : x >= hi ? n + 1 : MIN((int64_t)((double)n * ((x - lo) / (hi - lo))) + 1, n);
		ret->i64[i] = from > to ? n + 1 - at : at;
	}
	return 0;
}

/* width_bucket(x, bounds): how many bounds are at most x. */
static int width_bucket_array(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *child = c->args[1].child;

	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l;

		if (!row_ok(c, i))
			continue;
		l = arg_list(c, 1, i);
		if (isnan(arg_f64(c, 0, i)))
			return bad_buckets(e, "the value must be a number");
		ret->i64[i] = 0;
		for (uint32_t k = l.off; k < l.off + l.len; k++) {
			if (vec_is_null(child, k) || isnan(child->f64[k]) ||
			    (k > l.off && !(child->f64[k] > child->f64[k - 1])))
				return bad_buckets(e, "the bounds must be numbers in ascending order");
			ret->i64[i] += child->f64[k] <= arg_f64(c, 0, i);
		}
	}
	return 0;
}

/* ---- other bases -------------------------------------------------------------------------------- */

static int bad_radix(struct err *e, int64_t radix)
{
	return err_set(e, -EINVAL, "radix must be between 2 and 36, not %lld", (long long)radix);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 36;
}

static int parse_base(struct str s, int64_t radix, int64_t *ret)
{
	bool minus = s.len && s.ptr[0] == '-';
	i128 v = 0;

	if (s.len == minus)
		return -EINVAL;
	for (size_t i = minus; i < s.len; i++) {
		int d = digit_of(s.ptr[i]);

		if (d >= radix)
			return -EINVAL;
		v = v * radix + d;
		if (v > (i128)INT64_MAX + minus)
			return -ERANGE;
	}
	*ret = (int64_t)(minus ? -v : v);
	return 0;
}

static int from_base(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = arg_str(c, 0, i);
		int64_t radix = arg_i64(c, 1, i);
		int rc;

		if (!row_ok(c, i))
			continue;
		if (radix < 2 || radix > 36)
			return bad_radix(e, radix);
		rc = parse_base(s, radix, &ret->i64[i]);
		if (rc < 0)
			return err_set(e, -EINVAL, "from_base: '%.*s' is not a number of base %lld%s", STR_FMT(s),
				       (long long)radix, rc == -ERANGE ? " that fits bigint" : "");
	}
	return 0;
}

static int to_base(struct fn_call *c, struct vec *ret, struct err *e)
{
	enum { TEXT_MAX = 65 };
	char *p = arena_alloc(c->arena, (size_t)MAX(c->n, 1) * TEXT_MAX);

	if (!p)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++, p += TEXT_MAX) {
		int64_t x, radix;
		uint64_t u;
		size_t at = TEXT_MAX;

		if (!row_ok(c, i))
			continue;
		x = arg_i64(c, 0, i);
		radix = arg_i64(c, 1, i);
		if (radix < 2 || radix > 36)
			return bad_radix(e, radix);
		u = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
		do {
			p[--at] = "0123456789abcdefghijklmnopqrstuvwxyz"[u % (uint64_t)radix];
			u /= (uint64_t)radix;
		} while (u);
		if (x < 0)
			p[--at] = '-';
		ret->str[i] = (struct str){p + at, TEXT_MAX - at};
	}
	return 0;
}

/* ---- random ------------------------------------------------------------------------------------- */

/* xoroshiro128+; the state is the statement's, so that runs can be repeated with a seed. */
static uint64_t next_random(uint64_t *s)
{
	uint64_t a = s[0], b = s[1], r = a + b;

	b ^= a;
	s[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	s[1] = b << 37 | b >> 27;
	return r;
}

static int random_f64(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		ret->f64[i] = (double)(next_random(c->exec->random_state) >> 11) * 0x1p-53;
	return 0;
}

static int random_below(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t n = arg_i64(c, 0, i);

		if (!row_ok(c, i))
			continue;
		if (n <= 0)
			return err_set(e, -EINVAL, "random: the bound must be positive, not %lld", (long long)n);
		/* The high half of a product: the bias is below n / 2^64. */
		ret->i64[i] = (int64_t)((i128)(next_random(c->exec->random_state) >> 1) * n >> 63);
	}
	return 0;
}

/* random(m, n): m <= r < n. */
static int random_between(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t m = arg_i64(c, 0, i), n = arg_i64(c, 1, i);
		uint64_t range = (uint64_t)n - (uint64_t)m;

		if (!row_ok(c, i))
			continue;
		if (m >= n)
			return err_set(e, -EINVAL, "random: the first bound must be below the second, not %lld and %lld",
				       (long long)m, (long long)n);
		range = (uint64_t)(__extension__(unsigned __int128)next_random(c->exec->random_state) * range >> 64);
		ret->i64[i] = (int64_t)((uint64_t)m + range);
	}
	return 0;
}

#define DOUBLE_ROW(name, expr, help) SCALAR(#name, "double", "double", name##_f64, help),
#define SAME3(name, k32, k64, kd, h)                    \
	SCALAR(name, "integer", "integer", k32, h),     \
	SCALAR(name, "bigint", "bigint", k64, h),       \
	SCALAR(name, "double", "double", kd, h)

const struct func func_rows_math[] = {
	SAME3("abs", abs_i32, abs_i64, abs_f64, "absolute value; overflow of the smallest whole number is an error"),
	SCALAR("ceil", "integer", "integer", same_i64, "the number itself"),
	SCALAR("ceil", "bigint", "bigint", same_i64, "the number itself"),
	SAME3("ceiling", same_i64, same_i64, ceil_f64, "up to a whole number"),
	SCALAR("floor", "integer", "integer", same_i64, "the number itself"),
	SCALAR("floor", "bigint", "bigint", same_i64, "the number itself"),
	DOUBLE_FUNCTIONS(DOUBLE_ROW)
	SAME3("sign", sign_i64, sign_i64, sign_f64, "-1, 0 or 1"),
	SAME3("round", same_i64, same_i64, round_f64, "to a whole number, half away from zero"),
	SCALAR("round", "integer, bigint", "integer", round_to_i32,
	       "to so many digits behind the point, half away from zero; d may be negative"),
	SCALAR("round", "bigint, bigint", "bigint", round_to_i64,
	       "to so many digits behind the point, half away from zero; d may be negative"),
	SCALAR("round", "double, bigint", "double", round_to_f64,
	       "to so many digits behind the point, half away from zero; d may be negative"),
	SCALAR("mod", "integer, integer", "integer", mod_i64,
	       "remainder, with the sign of the first; of whole numbers by 0 an error"),
	SCALAR("mod", "bigint, bigint", "bigint", mod_i64,
	       "remainder, with the sign of the first; of whole numbers by 0 an error"),
	SCALAR("mod", "double, double", "double", mod_f64,
	       "remainder, with the sign of the first; of whole numbers by 0 an error"),
	SCALAR("pow", "double, double", "double", power_f64, "x to the power of p"),
	SCALAR("power", "double, double", "double", power_f64, "x to the power of p"),
	SCALAR("atan2", "double, double", "double", atan2_f64, "arc tangent of y / x, in radians"),
	SCALAR("pi", "", "double", pi_f64, "3.141592653589793"),
	SCALAR("e", "", "double", e_f64, "2.718281828459045"),
	SCALAR("nan", "", "double", nan_f64, "not a number"),
	SCALAR("infinity", "", "double", infinity_f64, "positive infinity"),
	SCALAR("is_finite", "double", "boolean", is_finite, "whether it is neither NaN nor infinite"),
	SCALAR("is_infinite", "double", "boolean", is_infinite, "whether it is infinite"),
	SCALAR("is_nan", "double", "boolean", is_nan, "whether it is NaN"),
	SCALAR("from_base", "varchar, bigint", "bigint", from_base,
	       "the number that a text means in a base of 2 to 36"),
	SCALAR("to_base", "bigint, bigint", "varchar", to_base,
	       "the number in a base of 2 to 36, in lower-case digits"),
	SCALAR_F("rand", "", "double", random_f64, FN_VOLATILE, "a random number in [0, 1)"),
	SCALAR_F("random", "", "double", random_f64, FN_VOLATILE, "a random number in [0, 1)"),
	SCALAR_F("random", "integer", "integer", random_below, FN_VOLATILE, "a random whole number in [0, n)"),
	SCALAR_F("random", "bigint", "bigint", random_below, FN_VOLATILE, "a random whole number in [0, n)"),
	SCALAR_F("random", "integer, integer", "integer", random_between, FN_VOLATILE,
		 "a random whole number in [m, n)"),
	SCALAR_F("random", "bigint, bigint", "bigint", random_between, FN_VOLATILE,
		 "a random whole number in [m, n)"),
	SCALAR("log", "double, double", "double", log_f64,
	       "log(b, x): logarithm of x to base b; -Infinity of 0, NaN below"),
	SCALAR("truncate", "integer, bigint", "integer", truncate_to_i64,
	       "without the digits behind the d-th; d may be negative"),
	SCALAR("truncate", "bigint, bigint", "bigint", truncate_to_i64,
	       "without the digits behind the d-th; d may be negative"),
	SCALAR("truncate", "double, bigint", "double", truncate_to_f64,
	       "without the digits behind the d-th; d may be negative"),
	SCALAR("width_bucket", "double, double, double, bigint", "bigint", width_bucket,
	       "(x, from, to, n): which of n equal parts x lies in; 0 or n + 1 outside"),
	SCALAR("width_bucket", "double, array(double)", "bigint", width_bucket_array,
	       "how many of the ascending bounds are at most x"),
	FUNC_END,
};
