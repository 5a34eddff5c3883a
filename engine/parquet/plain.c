/*
 * PLAIN: numbers as they are, booleans as bits, strings behind their u32 lengths.
 * BYTE_STREAM_SPLIT: all first bytes of the values, then all second bytes, and so on: exponents
 * beside exponents, which is what zstd needs to find anything in doubles.
 */
#include "engine/parquet/parquet.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void pq_plain_encode_strings(struct buf *out, const struct str *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		buf_put_u32(out, (uint32_t)v[i].len);
		buf_add_str(out, v[i]);
	}
}

void pq_plain_encode_bools(struct buf *out, const uint8_t *v, uint32_t n)
{
	size_t bytes = ((size_t)n + 7) / 8;
	uint8_t *to = (uint8_t *)buf_reserve(out, bytes);

	if (!to)
		return;
	memset(to, 0, bytes);
	for (uint32_t i = 0; i < n; i++)
		to[i / 8] |= (uint8_t)((v[i] & 1) << (i % 8));
	out->len += bytes;
}

int pq_plain_decode_fixed64(struct str in, void *to, uint32_t n)
{
	if (in.len != (size_t)n * 8)
		return -EBADMSG;
	if (n)
		memcpy(to, in.ptr, in.len);
	return 0;
}

int pq_plain_decode_int32(struct str in, int64_t *to, uint32_t n)
{
	if (in.len != (size_t)n * 4)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		int32_t v;
		memcpy(&v, in.ptr + (size_t)i * 4, 4);
		to[i] = v;
	}
	return 0;
}

int pq_plain_decode_bools(struct str in, uint8_t *to, uint32_t n)
{
	if (in.len != ((size_t)n + 7) / 8)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++)
		to[i] = (uint8_t)in.ptr[i / 8] >> (i % 8) & 1;
	return 0;
}

int pq_plain_decode_strings(struct str in, struct str *to, uint32_t n)
{
	const char *p = in.ptr;
	size_t left = in.len;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t len;
		if (left < 4)
			return -EBADMSG;
		memcpy(&len, p, 4);
		left -= 4;
		p += 4;
		if (len > left)
			return -EBADMSG;
		to[i] = (struct str){p, len};
		p += len;
		left -= len;
	}
	return left ? -EBADMSG : 0;
}

void pq_split_encode(struct buf *out, const void *v, uint32_t n)
{
	const uint8_t *from = v;
	uint8_t *to = (uint8_t *)buf_reserve(out, (size_t)n * 8);

	if (!to)
		return;
	for (int b = 0; b < 8; b++, to += n)
		for (uint32_t i = 0; i < n; i++)
			to[i] = from[(size_t)i * 8 + b];
	out->len += (size_t)n * 8;
}

#ifdef __SSE2__
/* 16 values: three rounds of interleaving turn 8 streams of 16 bytes into 16 values of 8. */
static void join16(const uint8_t *from, size_t stride, uint8_t *to)
{
	__m128i s[8], pair[8], quad[8];

	for (int b = 0; b < 8; b++)
		s[b] = _mm_loadu_si128((const __m128i *)(const void *)(from + b * stride));
	for (int b = 0; b < 4; b++) {
		pair[2 * b] = _mm_unpacklo_epi8(s[2 * b], s[2 * b + 1]);
		pair[2 * b + 1] = _mm_unpackhi_epi8(s[2 * b], s[2 * b + 1]);
	}
	/* pair[0..1]: bytes 0-1 of values 0-7, 8-15; pair[2..3]: bytes 2-3; and so on. */
	for (int h = 0; h < 2; h++) {
		quad[4 * h] = _mm_unpacklo_epi16(pair[h], pair[2 + h]);
		quad[4 * h + 1] = _mm_unpackhi_epi16(pair[h], pair[2 + h]);
		quad[4 * h + 2] = _mm_unpacklo_epi16(pair[4 + h], pair[6 + h]);
		quad[4 * h + 3] = _mm_unpackhi_epi16(pair[4 + h], pair[6 + h]);
	}
	for (int h = 0; h < 2; h++) {
		__m128i *o = (__m128i *)(void *)(to + 64 * h);
		_mm_storeu_si128(o, _mm_unpacklo_epi32(quad[4 * h], quad[4 * h + 2]));
		_mm_storeu_si128(o + 1, _mm_unpackhi_epi32(quad[4 * h], quad[4 * h + 2]));
		_mm_storeu_si128(o + 2, _mm_unpacklo_epi32(quad[4 * h + 1], quad[4 * h + 3]));
		_mm_storeu_si128(o + 3, _mm_unpackhi_epi32(quad[4 * h + 1], quad[4 * h + 3]));
	}
}
#endif

int pq_split_decode(struct str in, void *to, uint32_t n)
{
	const uint8_t *from = (const uint8_t *)in.ptr;
	uint8_t *out = to;
	uint32_t i = 0;

	if (in.len != (size_t)n * 8)
		return -EBADMSG;
#ifdef __SSE2__
	for (; i + 16 <= n; i += 16)
		join16(from + i, n, out + (size_t)i * 8);
#endif
	for (; i < n; i++)
		for (int b = 0; b < 8; b++)
			out[(size_t)i * 8 + b] = from[(size_t)b * n + i];
	return 0;
}
