#include "query/digest.h"

static uint32_t left32(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static uint32_t right32(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be32(const uint8_t *p)
{
	return __builtin_bswap32(le32(p));
}

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/*
 * All three digests take blocks of 64 bytes; the last ones hold a bit of one, zeros, and the length
 * in bits, little- or big-endian.
 */
typedef void block_fn(uint32_t *h, const uint8_t *block);

static void all_blocks(struct str s, block_fn *fn, uint32_t *h, bool big_endian)
{
	uint8_t tail[128] = {0};
	uint64_t bits = (uint64_t)s.len * 8;
	size_t whole = s.len & ~(size_t)63, rest = s.len - whole, n = rest < 56 ? 64 : 128;

	for (size_t i = 0; i < whole; i += 64)
		fn(h, (const uint8_t *)s.ptr + i);
	if (rest)
		memcpy(tail, s.ptr + whole, rest);
	tail[rest] = 0x80;
	for (int i = 0; i < 8; i++)
		tail[n - 8 + (size_t)i] = (uint8_t)(bits >> (big_endian ? 56 - 8 * i : 8 * i));
	for (size_t i = 0; i < n; i += 64)
		fn(h, tail + i);
}

/* ---- MD5 ---------------------------------------------------------------------------------------- */

static void md5_block(uint32_t *h, const uint8_t *block)
{
	static const uint8_t shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
	static const uint32_t k[64] = { /* floor(2^32 * |sin(i + 1)|) */
		0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
		0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
		0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
		0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
		0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
		0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
		0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
		0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
	};
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3];

	for (uint32_t i = 0; i < 64; i++) {
		uint32_t f, at, next;

		switch (i / 16) {
		case 0:
			f = (b & c) | (~b & d);
			at = i;
			break;
		case 1:
			f = (d & b) | (~d & c);
			at = 5 * i + 1;
			break;
		case 2:
			f = b ^ c ^ d;
			at = 3 * i + 5;
			break;
		default:
			f = c ^ (b | ~d);
			at = 7 * i;
			break;
		}
		next = b + left32(a + f + k[i] + le32(block + at % 16 * 4), shifts[i / 16][i % 4]);
		a = d;
		d = c;
		c = b;
		b = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
}

size_t digest_md5(struct str s, uint8_t *ret)
{
	uint32_t h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

	all_blocks(s, md5_block, h, false);
	for (int i = 0; i < 4; i++)
		put_be32(ret + 4 * i, __builtin_bswap32(h[i]));
	return 16;
}

/* ---- SHA-1 -------------------------------------------------------------------------------------- */

static void sha1_block(uint32_t *h, const uint8_t *block)
{
	static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (int i = 0; i < 16; i++)
		w[i] = be32(block + 4 * i);
	for (int i = 16; i < 80; i++)
		w[i] = left32(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f = i < 20 ? (b & c) | (~b & d) : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
		uint32_t next = left32(a, 5) + f + e + k[i / 20] + w[i];

		e = d;
		d = c;
		c = left32(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

size_t digest_sha1(struct str s, uint8_t *ret)
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

	all_blocks(s, sha1_block, h, true);
	for (int i = 0; i < 5; i++)
		put_be32(ret + 4 * i, h[i]);
	return 20;
}

/* ---- SHA-256 ------------------------------------------------------------------------------------ */

static void sha256_block(uint32_t *h, const uint8_t *block)
{
	static const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	};
	uint32_t w[64], v[8];

	memcpy(v, h, sizeof(v));
	for (int i = 0; i < 16; i++)
		w[i] = be32(block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t x = w[i - 15], y = w[i - 2];

		w[i] = w[i - 16] + (right32(x, 7) ^ right32(x, 18) ^ x >> 3) + w[i - 7] +
		       (right32(y, 17) ^ right32(y, 19) ^ y >> 10);
	}
	for (int i = 0; i < 64; i++) {
		uint32_t s1 = right32(v[4], 6) ^ right32(v[4], 11) ^ right32(v[4], 25);
		uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
		uint32_t s0 = right32(v[0], 2) ^ right32(v[0], 13) ^ right32(v[0], 22);
		uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		h[i] += v[i];
}

size_t digest_sha256(struct str s, uint8_t *ret)
{
	uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	all_blocks(s, sha256_block, h, true);
	for (int i = 0; i < 8; i++)
		put_be32(ret + 4 * i, h[i]);
	return 32;
}

/* ---- XXH64 -------------------------------------------------------------------------------------- */

#define P1 UINT64_C(0x9e3779b185ebca87)
#define P2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P3 UINT64_C(0x165667b19e3779f9)
#define P4 UINT64_C(0x85ebca77c2b2ae63)
#define P5 UINT64_C(0x27d4eb2f165667c5)

static uint64_t left64(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static uint64_t le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static uint64_t xxh_round(uint64_t acc, uint64_t word)
{
	return left64(acc + word * P2, 31) * P1;
}

static uint64_t xxh_merge(uint64_t h, uint64_t acc)
{
	return (h ^ xxh_round(0, acc)) * P1 + P4;
}

uint64_t digest_xxh64(struct str s, uint64_t seed)
{
	const uint8_t *p = (const uint8_t *)s.ptr;
	size_t n = s.len;
	uint64_t h = seed + P5;

	if (n >= 32) {
		uint64_t v[4] = {seed + P1 + P2, seed + P2, seed, seed - P1};

		for (; n >= 32; n -= 32, p += 32) {
			for (int i = 0; i < 4; i++)
				v[i] = xxh_round(v[i], le64(p + 8 * i));
		}
		h = left64(v[0], 1) + left64(v[1], 7) + left64(v[2], 12) + left64(v[3], 18);
		for (int i = 0; i < 4; i++)
			h = xxh_merge(h, v[i]);
	}
	h += s.len;
	for (; n >= 8; n -= 8, p += 8)
		h = left64(h ^ xxh_round(0, le64(p)), 27) * P1 + P4;
	for (; n >= 4; n -= 4, p += 4)
		h = left64(h ^ le32(p) * P1, 23) * P2 + P3;
	for (; n; n--, p++)
		h = left64(h ^ *p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}
