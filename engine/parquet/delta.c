/*
 * DELTA_BINARY_PACKED:
 *
 *	varint block size, varint miniblocks a block, varint values, zigzag first value
 *	blocks: zigzag smallest difference, u8 width of each miniblock, the miniblocks
 *
 * A miniblock holds (difference - smallest) in `width` bits each, least significant bit first;
 * differences are modulo 2^64. We write blocks of 128 values in 4 miniblocks, what everybody writes,
 * and read any legal shape.
 *
 * This decoder is the scan path. There is one unpacking function for each width, so that shifts and
 * masks are constants, and each adds up as it unpacks.
 */
#include "engine/parquet/parquet.h"

#define BLOCK     128
#define MINIS     4
#define MINI      (BLOCK / MINIS)

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* 32 values of `width` bits: 4 * width bytes. */
static uint8_t *pack_mini(uint8_t *to, const uint64_t *v, unsigned width)
{
	uint64_t acc = 0;
	unsigned fill = 0;

	for (int i = 0; i < MINI; i++) {
		acc |= v[i] << fill;
		fill += width;
		if (fill >= 64) {
			memcpy(to, &acc, 8);
			to += 8;
			fill -= 64;
			acc = fill ? v[i] >> (width - fill) : 0;
		}
	}
	/* 32 * width bits are a multiple of 32. */
	memcpy(to, &acc, fill / 8);
	return to + fill / 8;
}

static void encode_block(struct buf *out, const int64_t *prev, uint32_t n, unsigned step)
{
	uint64_t diff[BLOCK];
	int64_t min = INT64_MAX;
	uint8_t *to = (uint8_t *)buf_reserve(out, 10 + MINIS + BLOCK * 8);

	if (!to)
		return;
	for (uint32_t i = 0; i < n; i++) {
		diff[i] = (uint64_t)prev[i + 1] - (uint64_t)prev[i];
		min = MIN(min, (int64_t)diff[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		diff[i] -= (uint64_t)min;
	for (uint32_t i = n; i < BLOCK; i++)
		diff[i] = 0;

	buf_put_zigzag(out, min);
	to = (uint8_t *)out->data + out->len;
	uint8_t *widths = to;
	to += MINIS;
	for (int m = 0; m < MINIS; m++) {
		uint64_t all = 0;
		for (int i = 0; i < MINI; i++)
			all |= diff[m * MINI + i];
		unsigned width = all ? 64 - (unsigned)__builtin_clzll(all) : 0;
		width = (width + step - 1) / step * step;
		widths[m] = (uint8_t)width;
		/* Miniblocks that no value reaches have no body, and width 0 makes it so. */
		if (width)
			to = pack_mini(to, diff + m * MINI, width);
	}
	out->len = (size_t)(to - (uint8_t *)out->data);
}

void pq_delta_encode(struct buf *out, const int64_t *v, uint32_t n, unsigned width_step)
{
	buf_put_varint(out, BLOCK);
	buf_put_varint(out, MINIS);
	buf_put_varint(out, n);
	buf_put_zigzag(out, n ? v[0] : 0);
	for (uint32_t i = 0; i + 1 < n; i += BLOCK)
		encode_block(out, v + i, MIN(n - 1 - i, (uint32_t)BLOCK), width_step);
}

void pq_delta_length_encode(struct buf *out, const struct str *v, uint32_t n)
{
	int64_t lengths[BLOCK * 8 + 1];

	/* The lengths are one delta run, so its header goes first and blocks follow piecewise. */
	buf_put_varint(out, BLOCK);
	buf_put_varint(out, MINIS);
	buf_put_varint(out, n);
	buf_put_zigzag(out, n ? (int64_t)v[0].len : 0);
	for (uint32_t i = 0; i + 1 < n; i += BLOCK * 8) {
		uint32_t k = MIN(n - 1 - i, (uint32_t)BLOCK * 8);
		for (uint32_t j = 0; j <= k; j++)
			lengths[j] = (int64_t)v[i + j].len;
		for (uint32_t j = 0; j < k; j += BLOCK)
			encode_block(out, lengths + j, MIN(k - j, (uint32_t)BLOCK), 1);
	}
	for (uint32_t i = 0; i < n; i++)
		buf_add_str(out, v[i]);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Adds up 32 differences of one width from p; returns the last value. */
typedef uint64_t mini_fn(const uint8_t *p, uint64_t min, uint64_t acc, uint64_t *to);

#define STEP(w, i)                                                                                 \
	{                                                                                          \
		enum { bit = (i) * (w), off = bit / 8, shift = bit % 8 };                          \
		uint64_t d = load64(p + off) >> shift;                                             \
		if (shift + (w) > 64)                                                              \
			d |= (uint64_t)p[off + 8] << ((64 - shift) & 63);                          \
		to[i] = acc += min + (d & mask);                                                   \
	}
#define STEP4(w, i)  STEP(w, i) STEP(w, i + 1) STEP(w, i + 2) STEP(w, i + 3)
#define STEP16(w, i) STEP4(w, i) STEP4(w, i + 4) STEP4(w, i + 8) STEP4(w, i + 12)

#define DEFINE(w)                                                                                  \
	static uint64_t mini_##w(const uint8_t *p, uint64_t min, uint64_t acc, uint64_t *to)       \
	{                                                                                          \
		const uint64_t mask = UINT64_MAX >> (64 - (w));                                    \
		STEP16(w, 0) STEP16(w, 16)                                                         \
		return acc;                                                                        \
	}

#define WIDTHS(X)                                                                                  \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)     \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)  \
	X(32) X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46)  \
	X(47) X(48) X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56) X(57) X(58) X(59) X(60) X(61)  \
	X(62) X(63) X(64)
WIDTHS(DEFINE)

static uint64_t mini_0(const uint8_t *p, uint64_t min, uint64_t acc, uint64_t *to)
{
	for (int i = 0; i < MINI; i++)
		to[i] = acc += min;
	return acc;
}

#define ROW(w) [w] = mini_##w,
static mini_fn *const minis[65] = {[0] = mini_0, WIDTHS(ROW)};

int pq_delta_decode(struct str in, int64_t *to, uint32_t n, size_t *ret_used)
{
	struct cur c = cur_over(in.ptr, in.len);
	uint64_t block = cur_varint(&c), mini_count = cur_varint(&c), total = cur_varint(&c);
	uint64_t acc = (uint64_t)cur_zigzag(&c);
	uint64_t *out = (uint64_t *)to;
	uint32_t done = 1;

	/* A multiple of 128 in miniblocks of a multiple of 32; the upper limit is ours. */
	if (c.bad || total != n || !block || block % 128 || block > 1 << 20 || !mini_count ||
	    block % mini_count || block / mini_count % 32)
		return -EBADMSG;
	uint32_t per = (uint32_t)(block / mini_count);
	if (n)
		out[0] = acc;
	while (done < n) {
		uint64_t min = (uint64_t)cur_zigzag(&c);
		const uint8_t *widths = cur_bytes(&c, (size_t)mini_count);
		if (!widths)
			return -EBADMSG;
		for (uint32_t m = 0; m < mini_count && done < n; m++) {
			unsigned width = widths[m];
			if (width > 64)
				return -EBADMSG;
			const uint8_t *p = cur_bytes(&c, (size_t)per / 8 * width);
			if (!p)
				return -EBADMSG;
			for (uint32_t k = 0; k < per && done < n; k += MINI, p += 4 * width) {
				uint64_t tail[MINI];
				if (n - done >= MINI) {
					acc = minis[width](p, min, acc, out + done);
					done += MINI;
					continue;
				}
				minis[width](p, min, acc, tail);
				memcpy(out + done, tail, (n - done) * sizeof *tail);
				done = n;
			}
		}
	}
	*ret_used = (size_t)(c.p - (const uint8_t *)in.ptr);
	return 0;
}

int pq_delta_length_decode(struct str in, struct str *to, int64_t *lengths, uint32_t n)
{
	size_t used;
	int rc = pq_delta_decode(in, lengths, n, &used);

	if (rc < 0)
		return rc;
	size_t left = in.len - used;
	const char *p = in.ptr + used;
	for (uint32_t i = 0; i < n; i++) {
		if (lengths[i] < 0 || (uint64_t)lengths[i] > left)
			return -EBADMSG;
		to[i] = (struct str){p, (size_t)lengths[i]};
		p += lengths[i];
		left -= (size_t)lengths[i];
	}
	return left ? -EBADMSG : 0;
}
