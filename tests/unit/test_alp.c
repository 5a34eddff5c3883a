/*
 * ALP against its specification: a decoder and an example of its own by hand, round trips of what
 * sensors send and of what they do not, how small it gets, and input that lies.
 */
#include <math.h>

#include "tests/unit/slack.h"

#define N_MAX PQ_ALP_MAX

static uint32_t some_count(struct unit_rng *r)
{
	static const uint32_t edges[] = {0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 95, 96, 97, 1023, 1024, 1025, 8192, N_MAX};

	return unit_below(r, 2) ? edges[unit_below(r, ARRAY_LEN(edges))] : (uint32_t)unit_below(r, 3000);
}

/* ---- what goes in ------------------------------------------------------------------------------ */

enum shape { WALK, CONSTANT, DIGITS, DROPOUTS, WHOLE, LARGE, BITS, THIRDS, MIXED, SPECIAL, SHAPES };

static double special(struct unit_rng *r)
{
	static const double v[] = {0.0,	    -0.0,   NAN,	INFINITY, -INFINITY, 0x1p-1074, 0x1p-1022, 0x1.fffffffffffffp1023,
				   0x1p51, -0x1p51, 0x1p51 - 1, 0x1p52,	  0x1p53,    1e18,	1e-18,	   9007199254740993.0};

	return v[unit_below(r, ARRAY_LEN(v))];
}

static double any_bits(struct unit_rng *r)
{
	uint64_t bits = unit_rand(r);
	double v;

	memcpy(&v, &bits, 8);
	return v;
}

static double decimal(int64_t whole, unsigned digits)
{
	char text[64];

	snprintf(text, sizeof text, "%llde-%u", (long long)whole, digits);
	return strtod(text, NULL);
}

static void fill(struct unit_rng *r, double *v, uint32_t n, enum shape shape)
{
	unsigned digits = (unsigned)unit_below(r, 6);
	int64_t x = (int64_t)unit_below(r, 100000) - 50000;

	for (uint32_t i = 0; i < n; i++) {
		x += (int64_t)unit_below(r, 201) - 100;
		switch (shape) {
		case WALK: v[i] = decimal(x, digits); break;
		case CONSTANT: v[i] = decimal(1234567, digits); break;
		case DIGITS: v[i] = decimal((int64_t)unit_below(r, 100000), (unsigned)unit_below(r, 5)); break;
		case DROPOUTS: v[i] = unit_below(r, 60) ? decimal(200000 + x % 50, 2) : unit_below(r, 2) ? 0.0 : 99999.0; break;
		case WHOLE: v[i] = (double)(int64_t)(unit_rand_log(r) >> 11); break;
		case LARGE: v[i] = (double)x * 1e15; break;
		case BITS: v[i] = any_bits(r); break;
		case THIRDS: v[i] = (double)x / 3; break;
		case MIXED: v[i] = unit_below(r, 20) ? decimal(x, digits) : unit_below(r, 2) ? any_bits(r) : special(r); break;
		case SPECIAL: v[i] = special(r); break;
		case SHAPES: break;
		}
	}
}

/* ---- a decoder by the specification ------------------------------------------------------------- */

static uint64_t number(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* The powers as the specification has them: literals of decimals. */
static double power(unsigned n, bool is_negative)
{
	char text[16];

	snprintf(text, sizeof text, is_negative ? "1e-%u" : "1e%u", n);
	return strtod(text, NULL);
}

/* Bit by bit, nothing checked: of what the encoder made. Returns the bytes it took. */
static size_t decode_plainly(const uint8_t *in, double *to, uint32_t n)
{
	ck_assert_uint_eq(in[0], 0);
	ck_assert_uint_eq(in[1], 0);
	uint32_t size = 1u << in[2], vectors = (n + size - 1) / size;
	ck_assert_uint_eq(number(in + 3, 4), n);
	const uint8_t *base = in + 7, *p = base + 4 * (size_t)vectors;
	for (uint32_t k = 0; k < vectors; k++) {
		uint32_t count = MIN(n - k * size, size);
		ck_assert_uint_eq(number(base + 4 * (size_t)k, 4), (uint64_t)(p - base));
		unsigned e = p[0], f = p[1], exceptions = (unsigned)number(p + 2, 2), width = p[12];
		ck_assert_uint_le(e, 18);
		ck_assert_uint_le(f, e);
		uint64_t frame = number(p + 4, 8);
		const uint8_t *bits = p + 13, *at = bits + ((size_t)count * width + 7) / 8;
		for (uint32_t i = 0; i < count; i++) {
			uint64_t d = 0;
			for (unsigned b = 0; b < width; b++) {
				size_t bit = (size_t)i * width + b;
				d |= (uint64_t)(bits[bit / 8] >> bit % 8 & 1) << b;
			}
			volatile double x = (double)(int64_t)(frame + d);
			x = x * power(f, false);
			to[k * size + i] = x * power(e, true);
		}
		const uint8_t *values = at + 2 * (size_t)exceptions;
		for (unsigned i = 0; i < exceptions; i++)
			memcpy(&to[k * size + number(at + 2 * (size_t)i, 2)], values + 8 * (size_t)i, 8);
		p = values + 8 * (size_t)exceptions;
	}
	return (size_t)(p - in);
}

/* ---- cases --------------------------------------------------------------------------------------- */

START_TEST(round_trips)
{
	struct unit_rng r = unit_rng();
	double *v = malloc(N_MAX * sizeof *v), *got = malloc(N_MAX * sizeof *got + 8);
	struct buf b;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 300; i++) {
		uint32_t n = some_count(&r);
		fill(&r, v, n, (enum shape)_i);
		buf_clear(&b);
		pq_alp_encode(&b, v, n);
		ck_assert_int_eq(b.rc, 0);
		struct str in = heap_copy(buf_str(&b));
		int rc = pq_alp_decode(in, got, n);
		unit_assert(&r, rc == 0 && !memcmp(v, got, n * sizeof *v), "shape %d n %u: %d", _i, n, rc);
		unit_assert(&r, pq_alp_decode(in, got, n + 1) == -EBADMSG, "one more");
		if (i < 20) {
			size_t used = decode_plainly((const uint8_t *)in.ptr, got, n);
			unit_assert(&r, used == in.len && !memcmp(v, got, n * sizeof *v), "by the book: shape %d n %u", _i, n);
		}
		free((void *)(uintptr_t)in.ptr);
	}
	buf_release(&b);
	free(v);
	free(got);
}
END_TEST

/* The specification's example: 1500.0, NaN, 2500.0, 333.5 by (4, 3), 15 bits from 3335 on. */
START_TEST(example)
{
	static const uint8_t page[] = {0, 0, 3, 4, 0, 0, 0, 4, 0, 0, 0,
				       4, 3, 1, 0, 0x07, 0x0D, 0, 0, 0, 0, 0, 0, 15,
				       0x91, 0xAD, 0xC8, 0x56, 0x28, 0x15, 0, 0,
				       1, 0, 0x21, 0x43, 0, 0, 0, 0, 0xF8, 0x7F};
	double got[4];
	uint64_t nan;

	struct str in = heap_copy((struct str){(const char *)page, sizeof page});
	ck_assert_int_eq(pq_alp_decode(in, got, 4), 0);
	ck_assert_double_eq(got[0], 1500.0);
	ck_assert_double_eq(got[2], 2500.0);
	ck_assert_double_eq(got[3], 333.5);
	memcpy(&nan, &got[1], 8);
	ck_assert_uint_eq(nan, UINT64_C(0x7FF8000000004321)); /* its payload too */
	free((void *)(uintptr_t)in.ptr);
}
END_TEST

/* Larger than what we write: one vector of 32,768, and small ones of 8. */
START_TEST(vectors_of_other_writers)
{
	static const unsigned logs[] = {3, 15};
	double *got = malloc(40000 * sizeof *got);
	uint32_t n = 40000;
	struct buf b;

	for (size_t k = 0; k < ARRAY_LEN(logs); k++) {
		uint32_t size = 1u << logs[k], vectors = (n + size - 1) / size;
		buf_init(&b, 1 << 24);
		buf_put_u8(&b, 0);
		buf_put_u8(&b, 0);
		buf_put_u8(&b, (uint8_t)logs[k]);
		buf_put_u32(&b, n);
		for (uint32_t i = 0; i < vectors; i++)
			buf_put_u32(&b, vectors * 4 + i * (13 + size));
		for (uint32_t i = 0; i < vectors; i++) {
			uint32_t count = MIN(n - i * size, size);
			buf_put_u8(&b, 14);
			buf_put_u8(&b, 13);
			buf_put_u8(&b, 0);
			buf_put_u8(&b, 0);
			buf_put_u64(&b, i);
			buf_put_u8(&b, 8);
			for (uint32_t j = 0; j < count; j++)
				buf_put_u8(&b, (uint8_t)j);
		}
		struct str in = heap_copy(buf_str(&b));
		ck_assert_int_eq(pq_alp_decode(in, got, n), 0);
		for (uint32_t i = 0; i < n; i++)
			ck_assert_double_eq(got[i], (double)(i / size + i % size % 256) / 10);
		free((void *)(uintptr_t)in.ptr);
		buf_release(&b);
	}
	free(got);
}
END_TEST

static double bytes_a_value(const double *v, uint32_t n)
{
	struct buf b;

	buf_init(&b, 1 << 24);
	pq_alp_encode(&b, v, n);
	double bytes = (double)b.len / n;
	buf_release(&b);
	return bytes;
}

/* Two decimals that wander, and the same with a sensor that says 0 or 99999 now and then. */
START_TEST(is_small)
{
	struct unit_rng r = unit_rng();
	double *v = malloc(8192 * sizeof *v);

	fill(&r, v, 8192, WALK);
	ck_assert_double_lt(bytes_a_value(v, 8192), 1.7);
	fill(&r, v, 8192, CONSTANT);
	ck_assert_double_lt(bytes_a_value(v, 8192), 0.02);
	fill(&r, v, 8192, DROPOUTS);
	ck_assert_double_lt(bytes_a_value(v, 8192), 1.9); /* 7 bits, an exception each 60 values, heads */
	for (uint32_t i = 0; i < 12; i++) /* how a page begins says little about it */
		v[i] = (double)(3 * i + 1) / 3;
	ck_assert_double_lt(bytes_a_value(v, 8192), 1.9);
	fill(&r, v, 8192, BITS);
	ck_assert_double_lt(bytes_a_value(v, 8192), 10.6);
	free(v);
}
END_TEST

/* A few bytes changed, sometimes cut: an error or other numbers, never a step outside. */
START_TEST(hostile)
{
	struct unit_rng r = unit_rng();
	double *v = malloc(4096 * sizeof *v), *got = malloc(4096 * sizeof *got);
	struct buf b;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 4000; i++) {
		uint32_t n = (uint32_t)unit_below(&r, 4096);
		fill(&r, v, n, (enum shape)unit_below(&r, SHAPES));
		buf_clear(&b);
		pq_alp_encode(&b, v, n);
		size_t len = unit_below(&r, 4) ? b.len : unit_below(&r, b.len);
		struct str in = heap_copy((struct str){b.data, len});
		char *p = (char *)(uintptr_t)in.ptr;
		for (uint64_t k = 1 + unit_below(&r, 3); k-- && len;)
			p[unit_below(&r, unit_below(&r, 2) ? len : MIN(len, 64))] = unit_below(&r, 3) ? (char)unit_rand(&r) : (char)0xFF;
		int rc = pq_alp_decode(in, got, n);
		ck_assert(rc == 0 || rc == -EBADMSG);
		free(p);
	}
	buf_release(&b);
	free(v);
	free(got);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("alp");
	TCase *tc = tcase_create("alp");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, round_trips, 0, SHAPES);
	tcase_add_test(tc, example);
	tcase_add_test(tc, vectors_of_other_writers);
	tcase_add_test(tc, is_small);
	tcase_add_test(tc, hostile);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
