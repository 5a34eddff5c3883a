#include "engine/base/base.h"

/* Multiply-and-fold over 16 bytes a step, as the well-known mum/wy family of hashes does. */

static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static uint64_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xe7037ed1a0b428db)
#define K2 UINT64_C(0x8ebc6af09c88c6e3)

uint64_t hash_bytes(const void *data, size_t n, uint64_t seed)
{
	const uint8_t *p = data;
	uint64_t h = seed ^ K0, a, b;
	size_t left = n;

	while (left > 16) {
		h = fold(load64(p) ^ K1, load64(p + 8) ^ h);
		p += 16;
		left -= 16;
	}
	if (left >= 8) {
		a = load64(p);
		b = load64(p + left - 8);
	} else if (left >= 4) {
		a = load32(p);
		b = load32(p + left - 4);
	} else if (left > 0) {
		a = (uint64_t)p[0] << 16 | (uint64_t)p[left >> 1] << 8 | p[left - 1];
		b = 0;
	} else {
		a = b = 0;
	}
	return fold(K2 ^ n, fold(a ^ K1, b ^ h));
}
