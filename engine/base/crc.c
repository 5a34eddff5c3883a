#include "engine/base/base.h"

#include <pthread.h>

/*
 * Slicing by eight: eight tables, eight bytes a step. On x86-64 with SSE4.2 crc32c uses the
 * instruction, chosen once at run time.
 */
struct tables {
	uint32_t t[8][256];
};

static struct tables castagnoli, gzip;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_sse42;

static void fill(struct tables *tb, uint32_t poly)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? (c >> 1) ^ poly : c >> 1;
		tb->t[0][i] = c;
	}
	for (int s = 1; s < 8; s++)
		for (uint32_t i = 0; i < 256; i++)
			tb->t[s][i] = (tb->t[s - 1][i] >> 8) ^ tb->t[0][tb->t[s - 1][i] & 0xFF];
}

static void setup(void)
{
	fill(&castagnoli, 0x82F63B78);
	fill(&gzip, 0xEDB88320);
#ifdef __x86_64__
	__builtin_cpu_init();
	has_sse42 = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t sliced(const struct tables *tb, uint32_t c, const uint8_t *p, size_t n)
{
	while (n >= 8) {
		uint32_t lo, hi;
		memcpy(&lo, p, 4);
		memcpy(&hi, p + 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		lo = __builtin_bswap32(lo);
		hi = __builtin_bswap32(hi);
#endif
		lo ^= c;
		c = tb->t[7][lo & 0xFF] ^ tb->t[6][(lo >> 8) & 0xFF] ^ tb->t[5][(lo >> 16) & 0xFF] ^
		    tb->t[4][lo >> 24] ^ tb->t[3][hi & 0xFF] ^ tb->t[2][(hi >> 8) & 0xFF] ^
		    tb->t[1][(hi >> 16) & 0xFF] ^ tb->t[0][hi >> 24];
		p += 8;
		n -= 8;
	}
	while (n--)
		c = (c >> 8) ^ tb->t[0][(c ^ *p++) & 0xFF];
	return c;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n)
{
	uint64_t c64 = c;

	while (n >= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		c64 = __builtin_ia32_crc32di(c64, w);
		p += 8;
		n -= 8;
	}
	c = (uint32_t)c64;
	while (n--)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, setup);
#ifdef __x86_64__
	if (has_sse42)
		return ~hardware(~crc, p, n);
#endif
	return ~sliced(&castagnoli, ~crc, p, n);
}

uint32_t crc32_gzip(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, setup);
	return ~sliced(&gzip, ~crc, p, n);
}
