/*
 * batch_codec: rows as the payload of a WAL_ROWS record, and back. The bytes are described in
 * docs/format-wal.md.
 *
 * The aim is a log a tenth of the text at the speed of a few passes over the columns: integers are
 * base + narrow offsets (frame of reference), of values or of deltas, whichever is narrower, with
 * the greatest common divisor taken out of times (else a 10 s interval needs 8 bytes in
 * nanoseconds). Doubles that are short decimals become integers, where dividing gives back every
 * bit. Only values that are there are stored. No bit packing: bytes can be moved without shifts,
 * and the log lives for minutes.
 */
#include "engine/batch.h"
#include "engine/series.h"

#include <stdlib.h>

#define FORMAT_VERSION 1

enum { FLAG_VERSIONS = 1 };
enum { INTS_WIDTH = 7, INTS_DELTA = 8, INTS_SCALED = 16, INTS_ALL = 31 };
enum { COLUMN_TYPE = 0x0F, COLUMN_HOLES = 0x80 };
enum { DOUBLES_RAW = 0, DOUBLES_CONST = 1, DOUBLES_DECIMAL = 2, DOUBLES_END = 18 };
enum { STRINGS_EACH = 0, STRINGS_CONST = 1 };

static const uint8_t width_bytes[] = {0, 1, 2, 4, 8};

/* 10^0 .. 10^15 are exact, and so is any integer below 2^53: their quotient is rounded once. */
static const double powers10[DOUBLES_END - DOUBLES_DECIMAL] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE16(v) __builtin_bswap16(v)
#define LE32(v) __builtin_bswap32(v)
#define LE64(v) __builtin_bswap64(v)
#else
#define LE16(v) (v)
#define LE32(v) (v)
#define LE64(v) (v)
#endif

/* ---- narrow offsets ------------------------------------------------------------------------- */

static unsigned width_code(uint64_t max)
{
	return max == 0            ? 0
	       : max <= UINT8_MAX  ? 1
	       : max <= UINT16_MAX ? 2
	       : max <= UINT32_MAX ? 3
				   : 4;
}

/* Loops over one width each; `value` is an expression of i. memcpy: the target is not aligned. */
#define STORE_ALL(to, n, code, value)                                  \
	do {                                                           \
		switch (code) {                                        \
		case 1:                                                \
			for (uint32_t i = 0; i < (n); i++)             \
				(to)[i] = (uint8_t)(value);            \
			break;                                         \
		case 2:                                                \
			for (uint32_t i = 0; i < (n); i++) {           \
				uint16_t x_ = LE16((uint16_t)(value)); \
				memcpy((to) + 2 * (size_t)i, &x_, 2);  \
			}                                              \
			break;                                         \
		case 3:                                                \
			for (uint32_t i = 0; i < (n); i++) {           \
				uint32_t x_ = LE32((uint32_t)(value)); \
				memcpy((to) + 4 * (size_t)i, &x_, 4);  \
			}                                              \
			break;                                         \
		case 4:                                                \
			for (uint32_t i = 0; i < (n); i++) {           \
				uint64_t x_ = LE64((uint64_t)(value)); \
				memcpy((to) + 8 * (size_t)i, &x_, 8);  \
			}                                              \
			break;                                         \
		}                                                      \
	} while (0)

/* The reverse: `use` is a statement over i and the offset `o`. */
#define LOAD_ALL(from, n, code, use)                                    \
	do {                                                            \
		switch (code) {                                         \
		case 0:                                                 \
			for (uint32_t i = 0; i < (n); i++) {            \
				const uint64_t o = 0;                   \
				use;                                    \
			}                                               \
			break;                                          \
		case 1:                                                 \
			for (uint32_t i = 0; i < (n); i++) {            \
				const uint64_t o = (from)[i];           \
				use;                                    \
			}                                               \
			break;                                          \
		case 2:                                                 \
			for (uint32_t i = 0; i < (n); i++) {            \
				uint16_t x_;                            \
				memcpy(&x_, (from) + 2 * (size_t)i, 2); \
				const uint64_t o = LE16(x_);            \
				use;                                    \
			}                                               \
			break;                                          \
		case 3:                                                 \
			for (uint32_t i = 0; i < (n); i++) {            \
				uint32_t x_;                            \
				memcpy(&x_, (from) + 4 * (size_t)i, 4); \
				const uint64_t o = LE32(x_);            \
				use;                                    \
			}                                               \
			break;                                          \
		case 4:                                                 \
			for (uint32_t i = 0; i < (n); i++) {            \
				uint64_t x_;                            \
				memcpy(&x_, (from) + 8 * (size_t)i, 8); \
				const uint64_t o = LE64(x_);            \
				use;                                    \
			}                                               \
			break;                                          \
		}                                                       \
	} while (0)

/* ---- integers ---------------------------------------------------------------------------------
 */

struct range {
	int64_t min, max;   /* of the values */
	int64_t dmin, dmax; /* of the deltas, modulo 2^64 */
};

static struct range find_range(const int64_t *v, uint32_t n)
{
	struct range r = {v[0], v[0], INT64_MAX, INT64_MIN};

	for (uint32_t i = 1; i < n; i++) {
		int64_t d = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);
		r.min = MIN(r.min, v[i]);
		r.max = MAX(r.max, v[i]);
		r.dmin = MIN(r.dmin, d);
		r.dmax = MAX(r.dmax, d);
	}
	if (n == 1)
		r.dmin = r.dmax = 0;
	return r;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t t = a % b;
		a = b;
		b = t;
	}
	return a;
}

/* Greatest common divisor of all differences; 1 when they are without one. */
static uint64_t find_scale(const int64_t *v, uint32_t n)
{
	uint64_t g = 0;

	for (uint32_t i = 1; i < n; i++) {
		uint64_t d = (uint64_t)v[i] - (uint64_t)v[i - 1];
		if (v[i] < v[i - 1])
			d = -d;
		if (d == 0 || d == g) /* most rows of a regular series: no division */
			continue;
		g = gcd(g, d);
		if (g == 1)
			return 1;
	}
	return g ? g : 1;
}

static uint64_t span(int64_t min, int64_t max)
{
	return (uint64_t)max - (uint64_t)min;
}

/*
 * Offsets that are exact multiples of the scale. Where both are below 2^53 the division of doubles
 * is exact, and several times faster than that of 64-bit integers.
 */
static void store_scaled(uint8_t *to, const int64_t *v, uint32_t n, unsigned code, int64_t base,
			 uint64_t scale, uint64_t range)
{
	if (range < UINT64_C(1) << 53) {
		double s = (double)scale;
		STORE_ALL(to, n, code,
			  (int64_t)((double)(int64_t)((uint64_t)v[i] - (uint64_t)base) / s));
	} else {
		STORE_ALL(to, n, code, ((uint64_t)v[i] - (uint64_t)base) / scale);
	}
}

static void store_deltas(uint8_t *to, const int64_t *v, uint32_t n, unsigned code, int64_t dmin,
			 uint64_t scale)
{
	if (scale == 1)
		STORE_ALL(to, n, code, (uint64_t)v[i + 1] - (uint64_t)v[i] - (uint64_t)dmin);
	else
		STORE_ALL(to, n, code,
			  ((uint64_t)v[i + 1] - (uint64_t)v[i] - (uint64_t)dmin) / scale);
}

/* n > 0. is_time: try to take out a common divisor. */
static void put_ints(struct buf *out, const int64_t *v, uint32_t n, bool is_time)
{
	struct range r = find_range(v, n);
	uint64_t scale = 1;
	unsigned code = width_code(span(r.min, r.max));
	unsigned dcode = width_code(span(r.dmin, r.dmax));

	/* Past 2^63 the deltas have wrapped and are no multiples of anything. */
	if (is_time && code > 1 && dcode && span(r.min, r.max) <= INT64_MAX)
		scale = find_scale(v, n);
	if (scale > 1) {
		code = width_code(span(r.min, r.max) / scale);
		dcode = width_code(span(r.dmin, r.dmax) / scale);
	}
	bool delta = dcode < code;
	bool scaled = scale > 1;
	if (delta)
		code = dcode;

	buf_put_u8(out, (uint8_t)(code | (delta ? INTS_DELTA : 0) | (scaled ? INTS_SCALED : 0)));
	buf_put_zigzag(out, delta ? v[0] : r.min);
	if (scaled)
		buf_put_varint(out, scale);
	if (delta)
		buf_put_zigzag(out, r.dmin / (int64_t)scale); /* scale <= INT64_MAX, and exact */

	uint32_t count = delta ? n - 1 : n;
	size_t bytes = (size_t)count * width_bytes[code];
	uint8_t *to = (uint8_t *)buf_reserve(out, bytes);
	if (!to || !bytes)
		return;
	if (delta)
		store_deltas(to, v, count, code, r.dmin, scale);
	else if (scaled)
		store_scaled(to, v, count, code, r.min, scale, span(r.min, r.max));
	else
		STORE_ALL(to, count, code, (uint64_t)v[i] - (uint64_t)r.min);
	out->len += bytes;
}

/* n > 0 integers into v; c->bad where they are not well formed. */
static void get_ints(struct cur *c, int64_t *v, uint32_t n)
{
	unsigned head = cur_u8(c);
	unsigned code = head & INTS_WIDTH;
	uint64_t base = (uint64_t)cur_zigzag(c);
	uint64_t scale = head & INTS_SCALED ? cur_varint(c) : 1;
	bool delta = head & INTS_DELTA;
	uint64_t dmin = delta ? (uint64_t)cur_zigzag(c) : 0;

	if (head & ~(unsigned)INTS_ALL || code >= ARRAY_LEN(width_bytes) || scale == 0)
		c->bad = true;
	uint32_t count = delta ? n - 1 : n;
	const uint8_t *p = c->bad ? NULL : cur_bytes(c, (size_t)count * width_bytes[code]);
	if (!p)
		return;
	if (delta) {
		uint64_t x = base;
		v[0] = (int64_t)x;
		dmin *= scale;
		LOAD_ALL(p, count, code, x += dmin + scale * o; v[i + 1] = (int64_t)x);
	} else if (scale != 1) {
		LOAD_ALL(p, count, code, v[i] = (int64_t)(base + scale * o));
	} else {
		LOAD_ALL(p, count, code, v[i] = (int64_t)(base + o));
	}
}

/* ---- doubles ------------------------------------------------------------------------------------
 */

static uint64_t f64_bits(double v)
{
	uint64_t u;
	memcpy(&u, &v, 8);
	return u;
}

/*
 * v * 10^e as integers into `to`; false as soon as a value is not exactly integer / 10^e (then it
 * is no short decimal, or NaN, an infinity, -0). Blocks, so that the test does not stop
 * vectorising.
 */
static bool to_decimal(const double *v, uint32_t n, unsigned e, int64_t *to)
{
	const double p = powers10[e];
	const double limit = 0x1p51;
	const double magic = 0x1.8p52; /* adding it leaves the nearest integer in the low bits */

	for (uint32_t at = 0; at < n; at += 64) {
		uint32_t end = MIN(n, at + 64);
		uint64_t wrong = 0;
		for (uint32_t i = at; i < end; i++) {
			double x = v[i] * p;
			int64_t k = (int64_t)(f64_bits(x + magic) - f64_bits(magic));
			/* A value out of range (or NaN) makes a k that must not count. */
			wrong |= !(x < limit && x > -limit);
			wrong |= f64_bits((double)k / p) ^ f64_bits(v[i]);
			to[i] = k;
		}
		if (wrong)
			return false;
	}
	return true;
}

/* The least exponent that fits a sample, -1 where none does. */
static int guess_exponent(const double *v, uint32_t n)
{
	uint32_t step = n > 16 ? n / 16 : 1;
	unsigned e = 0;
	int64_t k;

	for (uint32_t i = 0; i < n; i += step)
		while (!to_decimal(&v[i], 1, e, &k))
			if (++e == ARRAY_LEN(powers10))
				return -1;
	return (int)e;
}

static bool all_same(const double *v, uint32_t n)
{
	uint64_t first = f64_bits(v[0]);

	for (uint32_t i = 1; i < n; i++)
		if (f64_bits(v[i]) != first)
			return false;
	return true;
}

static void put_double(struct buf *out, double v)
{
	buf_put_u64(out, f64_bits(v));
}

static void put_doubles(struct buf *out, const double *v, uint32_t n, int64_t *scratch)
{
	int e = guess_exponent(v, n);

	/* A later value may need one digit more than the sample showed: one more try each. */
	while (e >= 0 && !to_decimal(v, n, (unsigned)e, scratch))
		e = e + 1 < (int)ARRAY_LEN(powers10) && e < 6 ? e + 1 : -1;
	if (e >= 0) {
		size_t before = out->len;
		buf_put_u8(out, (uint8_t)(DOUBLES_DECIMAL + e));
		put_ints(out, scratch, n, false);
		if (out->rc || out->len - before <= 8 * (size_t)n)
			return;
		out->len = before;
	}
	if (n > 1 && all_same(v, n)) {
		buf_put_u8(out, DOUBLES_CONST);
		put_double(out, v[0]);
		return;
	}
	buf_put_u8(out, DOUBLES_RAW);
	uint8_t *to = (uint8_t *)buf_reserve(out, 8 * (size_t)n);
	if (!to)
		return;
	STORE_ALL(to, n, 4, f64_bits(v[i]));
	out->len += 8 * (size_t)n;
}

static double get_double(struct cur *c)
{
	uint64_t u = cur_u64(c);
	double v;
	memcpy(&v, &u, 8);
	return v;
}

static void get_doubles(struct cur *c, struct col *col, uint32_t n)
{
	unsigned form = cur_u8(c);
	double *v = col->f64;

	if (form == DOUBLES_RAW) {
		const uint8_t *p = cur_bytes(c, 8 * (size_t)n);
		if (p)
			LOAD_ALL(p, n, 4, memcpy(&v[i], &o, 8));
	} else if (form == DOUBLES_CONST) {
		double k = get_double(c);
		for (uint32_t i = 0; i < n; i++)
			v[i] = k;
	} else if (form < DOUBLES_END) {
		double p = powers10[form - DOUBLES_DECIMAL];
		get_ints(c, col->i64, n);
		for (uint32_t i = 0; i < n && !c->bad; i++)
			v[i] = (double)col->i64[i] / p;
	} else {
		c->bad = true;
	}
}

/* ---- bits: booleans and validity
 * ------------------------------------------------------------------ */

/* One byte a value (0 or 1) to one bit, and back. */
static void put_bits(struct buf *out, const uint8_t *v, uint32_t n)
{
	size_t bytes = ((size_t)n + 7) / 8;
	uint8_t *to = (uint8_t *)buf_reserve(out, bytes);
	if (!to)
		return;
	memset(to, 0, bytes);
	for (uint32_t i = 0; i < n; i++)
		to[i >> 3] |= (uint8_t)((v[i] & 1) << (i & 7));
	out->len += bytes;
}

static void get_bits(struct cur *c, uint8_t *v, uint32_t n)
{
	const uint8_t *p = cur_bytes(c, ((size_t)n + 7) / 8);
	if (!p)
		return;
	for (uint32_t i = 0; i < n; i++)
		v[i] = p[i >> 3] >> (i & 7) & 1;
	if (n & 7 && p[n >> 3] >> (n & 7))
		c->bad = true;
}

/* ---- varchars
 * --------------------------------------------------------------------------------------- */

static void put_strings(struct buf *out, const struct str *v, uint32_t n, int64_t *scratch)
{
	bool same = true;
	size_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		same = same && str_eq(v[i], v[0]);
		bytes += v[i].len;
		scratch[i] = (int64_t)v[i].len;
	}
	if (same) {
		buf_put_u8(out, STRINGS_CONST);
		buf_put_str(out, v[0]);
		return;
	}
	buf_put_u8(out, STRINGS_EACH);
	put_ints(out, scratch, n, false);
	char *to = buf_reserve(out, bytes);
	if (!to)
		return;
	for (uint32_t i = 0; i < n; i++) {
		if (v[i].len)
			memcpy(to, v[i].ptr, v[i].len);
		to += v[i].len;
	}
	out->len += bytes;
}

static void get_strings(struct cur *c, struct str *v, uint32_t n, int64_t *scratch)
{
	unsigned form = cur_u8(c);

	if (form == STRINGS_CONST) {
		struct str s = cur_str(c);
		for (uint32_t i = 0; i < n; i++)
			v[i] = s;
		return;
	}
	if (form != STRINGS_EACH) {
		c->bad = true;
		return;
	}
	get_ints(c, scratch, n);
	for (uint32_t i = 0; i < n && !c->bad; i++) {
		if (scratch[i] < 0 || (uint64_t)scratch[i] > cur_left(c)) {
			c->bad = true;
			return;
		}
		size_t len = (size_t)scratch[i];
		v[i] = (struct str){cur_bytes(c, len), len};
	}
}

/* ---- columns
 * ------------------------------------------------------------------------------------------ */

/* Values of the rows that have one, moved together; NULL data of `col` stays as it is. */
static const void *gather(const struct col *col, uint32_t from, uint32_t n, void *to)
{
	const uint8_t *valid = col->valid + from;
	uint32_t k = 0;

	/* Written unconditionally and counted by validity: no branch to mispredict. `to` has n + 1.
	 */
	switch (col->type) {
	case COL_BOOLEAN:
		for (uint32_t i = 0; i < n; i++) {
			((uint8_t *)to)[k] = col->b8[from + i];
			k += valid[i];
		}
		break;
	case COL_VARCHAR:
		for (uint32_t i = 0; i < n; i++) {
			((struct str *)to)[k] = col->str[from + i];
			k += valid[i];
		}
		break;
	case COL_DOUBLE:
		for (uint32_t i = 0; i < n; i++) {
			((double *)to)[k] = col->f64[from + i];
			k += valid[i];
		}
		break;
	case COL_BIGINT:
	case COL_TIMESTAMP:
		for (uint32_t i = 0; i < n; i++) {
			((int64_t *)to)[k] = col->i64[from + i];
			k += valid[i];
		}
		break;
	}
	return to;
}

/* The reverse, in place: k values at the front go to the rows that have one, the others are zero.
 */
static void spread(struct col *col, uint32_t n, uint32_t k)
{
#define SPREAD(a, zero)                \
	for (uint32_t i = n; i-- > 0;) \
	(a)[i] = col->valid[i] ? (a)[--k] : (zero)

	switch (col->type) {
	case COL_BOOLEAN:
		SPREAD(col->b8, 0);
		break;
	case COL_VARCHAR:
		SPREAD(col->str, ((struct str){NULL, 0}));
		break;
	case COL_DOUBLE:
		SPREAD(col->f64, 0.0);
		break;
	case COL_BIGINT:
	case COL_TIMESTAMP:
		SPREAD(col->i64, 0);
		break;
	}
#undef SPREAD
}

static uint32_t count_valid(const uint8_t *valid, uint32_t n)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++)
		k += valid[i];
	return k;
}

struct scratch {
	int64_t *ints; /* n */
	void *values;  /* n + 1 of the widest type */
};

static void put_column(struct buf *out, const struct batch_col *bc, uint32_t from, uint32_t n,
		       uint32_t k, const struct scratch *s)
{
	const struct col *col = &bc->col;
	const void *v = (const char *)col->data + coltype_size(col->type) * from;

	buf_put_varint(out, bc->col_id);
	buf_put_u8(out, (uint8_t)(col->type | (k < n ? COLUMN_HOLES : 0)));
	if (k < n) {
		put_bits(out, col->valid + from, n);
		v = gather(col, from, n, s->values);
	}
	switch (col->type) {
	case COL_BIGINT:
		put_ints(out, v, k, false);
		break;
	case COL_TIMESTAMP:
		put_ints(out, v, k, true);
		break;
	case COL_DOUBLE:
		put_doubles(out, v, k, s->ints);
		break;
	case COL_BOOLEAN:
		put_bits(out, v, k);
		break;
	case COL_VARCHAR:
		put_strings(out, v, k, s->ints);
		break;
	}
}

int batch_encode(const struct batch *b, uint32_t from, uint32_t to, struct buf *out)
{
	uint32_t n = to - from;
	uint32_t columns = 0;

	if (from >= to || to > b->n)
		return -EINVAL;
	uint32_t *present = malloc(sizeof *present * MAX(b->col_count, 1));
	struct scratch s = {malloc(8 * (size_t)n), malloc(sizeof(struct str) * ((size_t)n + 1))};
	int rc = -ENOMEM;
	if (!present || !s.ints || !s.values)
		goto done;

	for (uint32_t i = 0; i < b->col_count; i++) {
		const struct batch_col *bc = &b->cols[i];
		present[i] = bc->has_values ? count_valid(bc->col.valid + from, n) : 0;
		columns += present[i] > 0;
	}
	buf_put_u8(out, FORMAT_VERSION);
	buf_put_u8(out, b->has_version ? FLAG_VERSIONS : 0);
	buf_put_varint(out, n);
	buf_put_varint(out, columns);
	for (uint32_t i = 0; i < n; i++)
		s.ints[i] = b->series[from + i];
	put_ints(out, s.ints, n, false);
	put_ints(out, b->time_ns + from, n, true);
	if (b->has_version)
		put_ints(out, b->version + from, n, false);
	for (uint32_t i = 0; i < b->col_count; i++)
		if (present[i])
			put_column(out, &b->cols[i], from, n, present[i], &s);
	rc = out->rc;
done:
	free(present);
	free(s.ints);
	free(s.values);
	return rc;
}

/* ---- decoding
 * --------------------------------------------------------------------------------------------- */

static int bad(struct err *e, const struct cur *c, struct str payload, const char *what)
{
	return err_set(e, -EBADMSG, "rows in the log: byte %zu of %zu: %s",
		       payload.len - cur_left(c), payload.len, what);
}

/* One column into b; n rows. */
static int get_column(struct batch *b, struct cur *c, struct str payload, int64_t *scratch,
		      struct err *e)
{
	uint32_t n = b->n;
	uint64_t col_id = cur_varint(c);
	unsigned head = cur_u8(c);
	unsigned type = head & COLUMN_TYPE;

	if (c->bad || col_id >= COLUMNS_MAX)
		return bad(e, c, payload, "no column id");
	if (!coltype_known(type) || head & ~(unsigned)(COLUMN_TYPE | COLUMN_HOLES))
		return bad(e, c, payload, "unknown column type");
	int at = batch_col(b, (uint32_t)col_id, (enum coltype)type);
	if (at == -EINVAL)
		return bad(e, c, payload, "a column stands twice");
	if (at < 0)
		return err_set(e, at, "rows in the log: out of memory for a column");
	struct batch_col *bc = &b->cols[at];
	struct col *col = &bc->col;
	if (bc->has_values)
		return bad(e, c, payload, "a column stands twice");
	bc->has_values = true; /* from here on clear has something to wipe */

	uint32_t k = n;
	if (head & COLUMN_HOLES) {
		get_bits(c, col->valid, n);
		k = c->bad ? 0 : count_valid(col->valid, n);
		if (k == 0 || k == n)
			return bad(e, c, payload, "a column's validity is wrong");
	} else {
		memset(col->valid, 1, n);
	}
	switch (col->type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		get_ints(c, col->i64, k);
		break;
	case COL_DOUBLE:
		get_doubles(c, col, k);
		break;
	case COL_BOOLEAN:
		get_bits(c, col->b8, k);
		break;
	case COL_VARCHAR:
		get_strings(c, col->str, k, scratch);
		break;
	}
	if (c->bad)
		return bad(e, c, payload, "a column's values are cut short or malformed");
	if (k < n)
		spread(col, n, k);
	return 0;
}

static int get_rows(struct batch *b, struct cur *c, struct str payload, int64_t *scratch,
		    unsigned flags, struct err *e)
{
	get_ints(c, scratch, b->n);
	if (c->bad)
		return bad(e, c, payload, "series ids are cut short or malformed");
	for (uint32_t i = 0; i < b->n; i++) {
		if (scratch[i] < 0 || scratch[i] >= SERIES_NONE)
			return bad(e, c, payload, "a series id is out of range");
		b->series[i] = (uint32_t)scratch[i];
	}
	get_ints(c, b->time_ns, b->n);
	if (c->bad)
		return bad(e, c, payload, "times are cut short or malformed");
	if (flags & FLAG_VERSIONS)
		get_ints(c, b->version, b->n);
	if (c->bad)
		return bad(e, c, payload, "versions are cut short or malformed");
	b->has_version = flags & FLAG_VERSIONS;
	return 0;
}

static int decode(struct batch *b, struct cur *c, struct str payload, struct err *e)
{
	unsigned version = cur_u8(c);
	unsigned flags = cur_u8(c);
	uint64_t rows = cur_varint(c);
	uint64_t columns = cur_varint(c);

	if (c->bad || version != FORMAT_VERSION || flags & ~(unsigned)FLAG_VERSIONS)
		return bad(e, c, payload, "unknown version or flags");
	if (rows == 0 || rows > BATCH_ROWS_MAX)
		return bad(e, c, payload, "the number of rows is out of range");
	if (columns > COLUMNS_MAX)
		return bad(e, c, payload, "too many columns");
	int rc = batch_reserve_rows(b, (uint32_t)rows);
	/* Strings are lent from the payload, so their arena is free for scratch. */
	int64_t *scratch = arena_array(&b->strings, int64_t, rows);
	if (rc < 0 || !scratch)
		return err_set(e, -ENOMEM, "rows in the log: out of memory");
	b->n = (uint32_t)rows;
	rc = get_rows(b, c, payload, scratch, flags, e);
	for (uint64_t i = 0; rc == 0 && i < columns; i++)
		rc = get_column(b, c, payload, scratch, e);
	if (rc == 0 && cur_left(c))
		rc = bad(e, c, payload, "bytes left over");
	return rc;
}

int batch_decode(struct batch *b, struct str payload, struct err *e)
{
	struct cur c = cur_over(payload.ptr, payload.len);

	batch_clear(b);
	int rc = decode(b, &c, payload, e);
	if (rc < 0)
		batch_clear(b);
	return rc;
}
