/* func_bit: bitwise functions on bigint, two's complement. */
#include "query/func_impl.h"

#define GROUP "Bitwise"

FN_BINARY(bitwise_and, int64_t, i64, int64_t, i64, int64_t, i64, x &y)
FN_BINARY(bitwise_or, int64_t, i64, int64_t, i64, int64_t, i64, x | y)
FN_BINARY(bitwise_xor, int64_t, i64, int64_t, i64, int64_t, i64, x ^ y)
FN_UNARY(bitwise_not, int64_t, i64, int64_t, i64, ~x)

static int bit_count(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t x, bits, mask;

		if (!row_ok(c, i))
			continue;
		x = arg_i64(c, 0, i);
		bits = arg_i64(c, 1, i);
		if (bits < 2 || bits > 64)
			return err_set(e, -EINVAL, "Bits specified in bit_count must be between 2 and 64, got %lld",
				       (long long)bits);
		mask = (int64_t)(((uint64_t)1 << (bits - 1)) - 1);
		if (x > mask || x < ~mask)
			return err_set(e, -EINVAL, "Number must be representable with the bits specified. %lld can "
				       "not be represented with %lld bits", (long long)x, (long long)bits);
		ret->i64[i] = __builtin_popcountll((uint64_t)x & (((uint64_t)mask << 1) | 1));
	}
	return 0;
}

/* x << n, or >> with zeros or the sign from the left; by 64 or more nothing (or the sign) is left. */
static int shift(struct fn_call *c, struct vec *ret, int64_t (*fn)(int64_t x, int64_t n), struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t n;

		if (!row_ok(c, i))
			continue;
		n = arg_i64(c, 1, i);
		if (n < 0)
			return err_set(e, -EINVAL, "a number of bits to shift by must not be negative, but is %lld",
				       (long long)n);
		ret->i64[i] = fn(arg_i64(c, 0, i), n);
	}
	return 0;
}

static int64_t shift_left(int64_t x, int64_t n)
{
	return n > 63 ? 0 : (int64_t)((uint64_t)x << n);
}
static int64_t shift_right(int64_t x, int64_t n)
{
	return n > 63 ? 0 : (int64_t)((uint64_t)x >> n);
}
static int64_t shift_right_arithmetic(int64_t x, int64_t n)
{
	return x >> MIN(n, 63);
}

static int bitwise_left_shift(struct fn_call *c, struct vec *ret, struct err *e)
{
	return shift(c, ret, shift_left, e);
}
static int bitwise_right_shift(struct fn_call *c, struct vec *ret, struct err *e)
{
	return shift(c, ret, shift_right, e);
}
static int bitwise_right_shift_arithmetic(struct fn_call *c, struct vec *ret, struct err *e)
{
	return shift(c, ret, shift_right_arithmetic, e);
}

const struct func func_rows_bit[] = {
	SCALAR("bit_count", "bigint, bigint", "bigint", bit_count,
	       "the ones in the number's two's complement of so many (2 to 64) bits; an error where it does not fit"),
	SCALAR("bitwise_and", "bigint, bigint", "bigint", bitwise_and, "bits set in both"),
	SCALAR("bitwise_not", "bigint", "bigint", bitwise_not, "all bits inverted"),
	SCALAR("bitwise_or", "bigint, bigint", "bigint", bitwise_or, "bits set in either"),
	SCALAR("bitwise_xor", "bigint, bigint", "bigint", bitwise_xor, "bits set in one of both"),
	SCALAR("bitwise_left_shift", "bigint, bigint", "bigint", bitwise_left_shift,
	       "the 64 bits moved to the left by n, zeros from the right"),
	SCALAR("bitwise_right_shift", "bigint, bigint", "bigint", bitwise_right_shift,
	       "the 64 bits moved to the right by n, zeros from the left"),
	SCALAR("bitwise_right_shift_arithmetic", "bigint, bigint", "bigint", bitwise_right_shift_arithmetic,
	       "the 64 bits moved to the right by n, the sign from the left"),
	FUNC_END,
};
