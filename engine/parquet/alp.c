/*
 * ALP (adaptive lossless floating point): doubles that are decimals, as whole numbers.
 *
 *	u8 mode (0), u8 integer encoding (0), u8 log2 of a vector's values, u32 values
 *	u32 for each vector: where it begins, counted from the first of these
 *	vectors: u8 e, u8 f, u16 exceptions, i64 frame, u8 width
 *	         (whole number - frame) in `width` bits each, least significant bit first
 *	         u16 position of each exception, then their 8 bytes each
 *
 * A value is its whole number * 10^f * 10^-e, two multiplications in doubles; what these do not give
 * back to the bit (NaN, -0.0, 1/3) is an exception. Both constants are rounded, and so is either
 * product: which of the pairs with the same e - f gives most values back is found out by trying.
 *
 * We choose a pair for each 1,024 values and one size of vectors for the page: the slower the values
 * wander, the more of them may share a frame. A value far from its neighbours, a sensor's 0 or 9999
 * for "none", is made an exception where that takes fewer bits than widening those around it.
 */
#include <assert.h>

#include "engine/base/kernels.h"
#include "engine/parquet/parquet.h"

#define E_MAX       18
#define HEAD        7
#define VECTOR_HEAD 13
#define LOG_MIN     3 /* what the format allows */
#define LOG_MAX     15

/* What we write: vectors of 32 to 1,024 values. */
#define BLOCK_LOG  10
#define BLOCK      (1 << BLOCK_LOG)
#define UNIT_LOG   5
#define UNIT       (1 << UNIT_LOG)
#define BLOCKS_MAX (PQ_ALP_MAX / BLOCK)

#define CUT        128 /* values that an outlier is held against */

#define EXCEPTION_BITS 80 /* a position and 8 bytes */
#define HEAD_BITS      (9 * 8) /* of 17 bytes for a vector's offset and head; zstd finds them alike */

#define SAMPLE   96 /* values of a page that all pairs are tried on */
#define STRETCH  8  /* of them side by side */
#define PRESETS  5  /* pairs tried on each block */

static const double up[E_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
				     1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
static const double down[E_MAX + 1] = {1e-0,  1e-1,  1e-2,  1e-3,  1e-4, 1e-5,  1e-6,  1e-7,  1e-8, 1e-9,
				       1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18};

struct pair {
	uint8_t e, f;
};

/* ---- writing -------------------------------------------------------------------------------- */

/* Values as whole numbers by one pair. */
struct block {
	const double *v;
	uint32_t n;
	struct pair pair;
	uint32_t exception_n;
	int64_t whole[BLOCK]; /* of an exception: of the value before it, or 0 */
	uint8_t is_exception[BLOCK];
};

static unsigned width_of(int64_t lo, int64_t hi)
{
	uint64_t range = (uint64_t)hi - (uint64_t)lo;

	return range ? 64 - (unsigned)__builtin_clzll(range) : 0;
}

/* Bits that a frame, the widths and the exceptions of a block take, were it one vector. */
static uint64_t block_bits(const struct block *b)
{
	int64_t lo, hi;

	kernels()->bounds(b->whole, b->n, &lo, &hi);
	return (uint64_t)b->n * width_of(lo, hi) + (uint64_t)b->exception_n * EXCEPTION_BITS;
}

/* Exceptions get the whole number of a neighbour, so that they widen nothing. */
static void by_pair(struct block *b, struct pair p)
{
	b->pair = p;
	b->exception_n = kernels()->decimals(b->whole, b->is_exception, b->v, b->n, up[p.e], down[p.f], up[p.f],
					     down[p.e]);
	if (!b->exception_n)
		return;
	int64_t near = 0;
	for (uint32_t i = 0; i < b->n; i++)
		if (!b->is_exception[i]) {
			near = b->whole[i];
			break;
		}
	for (uint32_t i = 0; i < b->n; i++) {
		near = b->is_exception[i] ? near : b->whole[i];
		b->whole[i] = near;
	}
}

/* Values from all over the page, STRETCH of them side by side. Returns how many. */
static uint32_t take_sample(const double *v, uint32_t n, double *to)
{
	uint32_t stretches = SAMPLE / STRETCH;

	if (n <= SAMPLE) {
		memcpy(to, v, n * sizeof *v);
		return n;
	}
	for (uint32_t s = 0; s < stretches; s++)
		memcpy(to + s * STRETCH, v + (uint64_t)(n - STRETCH) * s / (stretches - 1), STRETCH * sizeof *v);
	return SAMPLE;
}

/* The pairs that make a sample of the page smallest, best first. Returns how many; 0: none helps. */
static uint32_t find_presets(const double *v, uint32_t n, struct pair *to)
{
	double sample[SAMPLE], some[SAMPLE / STRETCH];
	uint64_t bits[PRESETS + 1];
	uint32_t k = take_sample(v, n, sample), some_n = 0, found = 0;
	struct pair p[PRESETS + 1];
	struct block b;

	for (uint32_t i = 0; i < k; i += STRETCH)
		some[some_n++] = sample[i];
	for (uint8_t e = 0; e <= E_MAX; e++)
		for (uint8_t f = 0; f <= e; f++) {
			/* One of each stretch first: most pairs fail on nearly all of them. */
			b.v = some;
			b.n = some_n;
			by_pair(&b, (struct pair){e, f});
			if (b.exception_n > b.n - b.n / 4)
				continue;
			b.v = sample;
			b.n = k;
			by_pair(&b, (struct pair){e, f});
			uint64_t cost = block_bits(&b);
			if (cost >= (uint64_t)k * 64)
				continue;
			uint32_t at = found;
			for (; at && cost < bits[at - 1]; at--) {
				bits[at] = bits[at - 1];
				p[at] = p[at - 1];
			}
			bits[at] = cost;
			p[at] = b.pair;
			found = MIN(found + 1, (uint32_t)PRESETS);
		}
	memcpy(to, p, found * sizeof *p);
	return found;
}

/* The preset that makes it smallest. */
static struct pair choose_pair(const double *v, uint32_t n, const struct pair *presets, uint32_t preset_n)
{
	struct block b = {.v = v, .n = n};
	uint64_t best_bits = UINT64_MAX;
	struct pair best = {0, 0};

	for (uint32_t i = 0; i < preset_n; i++) {
		by_pair(&b, presets[i]);
		uint64_t bits = block_bits(&b);
		if (bits < best_bits) {
			best_bits = bits;
			best = presets[i];
		}
		if (!b.exception_n)
			break; /* the presets are in order: the others are hardly narrower */
	}
	return best;
}

/* The k smallest of n values, ascending, and the k largest, descending; k <= n. */
static void take_ends(const int64_t *v, uint32_t n, uint32_t k, int64_t *low, int64_t *high)
{
	uint32_t have = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool is_full = have == k;
		if (is_full && v[i] >= low[k - 1] && v[i] <= high[k - 1])
			continue;
		if (!is_full || v[i] < low[k - 1]) {
			uint32_t at = is_full ? k - 1 : have;
			for (; at && v[i] < low[at - 1]; at--)
				low[at] = low[at - 1];
			low[at] = v[i];
		}
		if (!is_full || v[i] > high[k - 1]) {
			uint32_t at = is_full ? k - 1 : have;
			for (; at && v[i] > high[at - 1]; at--)
				high[at] = high[at - 1];
			high[at] = v[i];
		}
		have += !is_full;
	}
}

/*
 * Where a few of n values lie so far out that they take less as exceptions, they become some. What is
 * left lies in a window of the sorted values: with each number of values left out, at either end, the
 * width is looked at.
 */
static void cut_outliers(struct block *b, uint32_t from, uint32_t n)
{
	int64_t low[CUT / 16 + 1], high[CUT / 16 + 1], lo, hi, *whole = b->whole + from;
	uint32_t room = n / 16; /* so many may go */

	kernels()->bounds(whole, n, &lo, &hi);
	unsigned width = width_of(lo, hi);
	/* Most have none, which a look at some values shows: they are about as wide as all. */
	int64_t some_lo = whole[0], some_hi = some_lo;
	for (uint32_t i = 0; i < n; i += 8) {
		some_lo = MIN(some_lo, whole[i]);
		some_hi = MAX(some_hi, whole[i]);
	}
	if (!room || width_of(some_lo, some_hi) + 2 > width)
		return;
	take_ends(whole, n, room + 1, low, high);
	uint64_t best = (uint64_t)n * width;
	for (uint32_t out = 1; out <= room; out++)
		for (uint32_t i = 0; i <= out; i++) {
			int64_t l = low[i], h = high[out - i];
			uint64_t bits = (uint64_t)n * width_of(l, h) + (uint64_t)out * EXCEPTION_BITS;
			if (bits < best) {
				best = bits;
				lo = l;
				hi = h;
			}
		}
	int64_t near = lo;
	for (uint32_t i = 0; i < n; i++) {
		if (whole[i] < lo || whole[i] > hi) {
			b->exception_n += !b->is_exception[from + i];
			b->is_exception[from + i] = 1;
			whole[i] = near;
		}
		near = whole[i];
	}
}

/* The block as it is written: values from v on by the pair. */
static void make_block(struct block *b, const double *v, uint32_t n, struct pair pair)
{
	b->v = v;
	b->n = n;
	by_pair(b, pair);
	for (uint32_t from = 0; from < n; from += CUT)
		cut_outliers(b, from, MIN(n - from, (uint32_t)CUT));
}

/* Bits of the page with vectors of each size, to_bits[log - UNIT_LOG]. */
static void size_bits(const struct block *b, uint64_t *to_bits)
{
	int64_t lo[BLOCK / UNIT], hi[BLOCK / UNIT];
	uint32_t units = (b->n + UNIT - 1) / UNIT;

	for (uint32_t u = 0; u < units; u++)
		kernels()->bounds(b->whole + u * UNIT, MIN(b->n - u * UNIT, (uint32_t)UNIT), &lo[u], &hi[u]);
	for (unsigned log = UNIT_LOG; log <= BLOCK_LOG; log++) {
		for (uint32_t u = 0; u < units; u++) {
			uint32_t from = u << log, n = MIN(b->n - from, (uint32_t)1 << log);
			to_bits[log - UNIT_LOG] += HEAD_BITS + (uint64_t)n * width_of(lo[u], hi[u]);
		}
		for (uint32_t u = 0; u < units / 2; u++) {
			lo[u] = MIN(lo[2 * u], lo[2 * u + 1]);
			hi[u] = MAX(hi[2 * u], hi[2 * u + 1]);
		}
		if (units % 2) {
			lo[units / 2] = lo[units - 1];
			hi[units / 2] = hi[units - 1];
		}
		units = (units + 1) / 2;
	}
}

static uint8_t *pack(uint8_t *to, const int64_t *v, uint32_t n, int64_t frame, unsigned width)
{
	uint64_t acc = 0;
	unsigned fill = 0;

	if (!width)
		return to;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t d = (uint64_t)v[i] - (uint64_t)frame;
		acc |= d << fill;
		fill += width;
		if (fill >= 64) {
			memcpy(to, &acc, 8);
			to += 8;
			fill -= 64;
			acc = fill ? d >> (width - fill) : 0;
		}
	}
	memcpy(to, &acc, (fill + 7) / 8);
	return to + (fill + 7) / 8;
}

static void put_vector(struct buf *out, const struct block *b, uint32_t from, uint32_t n)
{
	int64_t lo, hi;
	uint16_t exceptions = 0;

	kernels()->bounds(b->whole + from, n, &lo, &hi);
	unsigned width = width_of(lo, hi);
	uint8_t *to = (uint8_t *)buf_reserve(out, VECTOR_HEAD + (size_t)n * (8 + 10) + 8);
	if (!to)
		return;
	uint8_t *head = to;
	head[0] = b->pair.e;
	head[1] = b->pair.f;
	memcpy(head + 4, &lo, 8);
	head[12] = (uint8_t)width;
	to = pack(head + VECTOR_HEAD, b->whole + from, n, lo, width);
	for (uint32_t i = 0; b->exception_n && i < n; i++)
		if (b->is_exception[from + i]) {
			uint16_t at = (uint16_t)i;
			memcpy(to, &at, 2);
			to += 2;
			exceptions++;
		}
	for (uint32_t i = 0; exceptions && i < n; i++)
		if (b->is_exception[from + i]) {
			memcpy(to, &b->v[from + i], 8);
			to += 8;
		}
	memcpy(head + 2, &exceptions, 2);
	out->len += (size_t)(to - head);
}

void pq_alp_encode(struct buf *out, const double *v, uint32_t n)
{
	struct pair presets[PRESETS], pairs[BLOCKS_MAX];
	uint64_t bits[BLOCK_LOG - UNIT_LOG + 1] = {0};
	uint32_t preset_n = n ? find_presets(v, n, presets) : 0, blocks = (n + BLOCK - 1) / BLOCK;
	unsigned log = BLOCK_LOG;
	struct block b;

	assert(blocks <= BLOCKS_MAX);
	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t k = MIN(n - i * BLOCK, (uint32_t)BLOCK);
		pairs[i] = choose_pair(v + i * BLOCK, k, presets, preset_n);
		make_block(&b, v + i * BLOCK, k, pairs[i]);
		size_bits(&b, bits);
	}
	for (unsigned i = UNIT_LOG; i < BLOCK_LOG; i++)
		if (bits[i - UNIT_LOG] < bits[log - UNIT_LOG])
			log = i;
	uint32_t vectors = (n + (1u << log) - 1) >> log;
	buf_put_u8(out, 0);
	buf_put_u8(out, 0);
	buf_put_u8(out, (uint8_t)log);
	buf_put_u32(out, n);
	size_t table = out->len, at = table;
	for (uint32_t i = 0; i < vectors; i++)
		buf_put_u32(out, 0);
	for (uint32_t i = 0; i < blocks; i++) {
		make_block(&b, v + i * BLOCK, MIN(n - i * BLOCK, (uint32_t)BLOCK), pairs[i]);
		for (uint32_t from = 0; from < b.n && !out->rc; from += 1u << log, at += 4) {
			uint32_t off = (uint32_t)(out->len - table);
			memcpy(out->data + at, &off, 4);
			put_vector(out, &b, from, MIN(b.n - from, 1u << log));
		}
	}
}

/* ---- reading -------------------------------------------------------------------------------- */

/* n values of `width` bits behind `skip` bits from p. */
static void unpack(const uint8_t *p, uint64_t skip, unsigned width, uint64_t frame, int64_t *to, uint32_t n)
{
	uint64_t mask = width ? UINT64_MAX >> (64 - width) : 0;

	if (width <= 56) {
		for (uint32_t i = 0; i < n; i++, skip += width) {
			uint64_t w;
			memcpy(&w, p + skip / 8, 8);
			to[i] = (int64_t)(frame + (w >> skip % 8 & mask));
		}
		return;
	}
	for (uint32_t i = 0; i < n; i++, skip += width) {
		uint64_t w, at = skip % 8;
		memcpy(&w, p + skip / 8, 8);
		w >>= at;
		if (at + width > 64)
			w |= (uint64_t)p[skip / 8 + 8] << (64 - at);
		to[i] = (int64_t)(frame + (w & mask));
	}
}

static int decode_vector(struct cur *c, double *to, uint32_t n)
{
	int64_t whole[256];
	unsigned e = cur_u8(c), f = cur_u8(c), exceptions = cur_u8(c);

	exceptions |= (unsigned)cur_u8(c) << 8;
	uint64_t frame = cur_u64(c);
	unsigned width = cur_u8(c);
	if (c->bad || e > E_MAX || f > e || width > 64 || exceptions > n)
		return -EBADMSG;
	const uint8_t *packed = cur_bytes(c, ((size_t)n * width + 7) / 8);
	const uint8_t *positions = cur_bytes(c, 2 * (size_t)exceptions);
	const uint8_t *values = cur_bytes(c, 8 * (size_t)exceptions);
	if (c->bad)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i += ARRAY_LEN(whole)) {
		uint32_t k = MIN(n - i, (uint32_t)ARRAY_LEN(whole));
		unpack(packed, (uint64_t)i * width, width, frame, whole, k);
		kernels()->scale(to + i, whole, k, up[f], down[e]);
	}
	for (unsigned i = 0; i < exceptions; i++) {
		unsigned at = positions[2 * i] | (unsigned)positions[2 * i + 1] << 8;
		if (at >= n)
			return -EBADMSG;
		memcpy(to + at, values + 8 * (size_t)i, 8);
	}
	return 0;
}

int pq_alp_decode(struct str in, double *to, uint32_t n)
{
	struct cur c = cur_over(in.ptr, in.len);
	unsigned mode = cur_u8(&c), integers = cur_u8(&c), log = cur_u8(&c);
	uint32_t total = cur_u32(&c);

	if (c.bad || mode || integers || log < LOG_MIN || log > LOG_MAX || total != n)
		return -EBADMSG;
	uint32_t size = 1u << log, vectors = n / size + (n % size != 0);
	const uint8_t *base = c.p, *offsets = cur_bytes(&c, 4 * (size_t)vectors);
	if (c.bad)
		return -EBADMSG;
	for (uint32_t i = 0; i < vectors; i++) {
		uint32_t off;
		memcpy(&off, offsets + 4 * (size_t)i, 4);
		if (off != (size_t)(c.p - base))
			return -EBADMSG;
		int rc = decode_vector(&c, to + (size_t)i * size, MIN(n - i * size, size));
		if (rc < 0)
			return rc;
	}
	return c.p == (const uint8_t *)in.ptr + in.len ? 0 : -EBADMSG;
}
