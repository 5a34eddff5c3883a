/*
 * err, str, buf and cur, arena, hash, crc, civil.
 */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <pthread.h>

/* --- MIN and MAX --- */

/* Each call another number, as of something that another thread changes. */
static uint64_t looked_at[8], looks;

static uint64_t look(void)
{
	return looked_at[looks++];
}

START_TEST(min_and_max_look_once)
{
	looked_at[0] = 5, looked_at[1] = UINT64_MAX, looked_at[2] = 7;
	looks = 0;
	ck_assert_uint_eq(MIN((uint64_t)10, look() - 1), 4);
	ck_assert_uint_eq(looks, 1);
	looks = 0;
	ck_assert_uint_eq(MAX(look(), 3), 5);
	ck_assert_uint_eq(looks, 1);
	looks = 0;
	ck_assert_uint_eq(MAX(look(), MIN(look(), look())), 7);
	ck_assert_uint_eq(looks, 3);
	/* The type is that of a ?: b, as in C. */
	ck_assert_uint_eq(sizeof(MIN((uint8_t)1, (uint8_t)2)), sizeof(int));
	ck_assert_uint_eq(sizeof(MAX(1, INT64_C(2))), 8);
	ck_assert(MIN(1, 2.5) < 1.5 && MAX(1, 2.5) > 2.25);
	ck_assert(MIN(UINT64_MAX, 8) == 8);
}
END_TEST

/* --- err --- */

START_TEST(err_keeps_the_last_sentence)
{
	struct err e = {0};

	ck_assert_str_eq(err_text(&e, -ENOENT), strerror(ENOENT));
	ck_assert_str_eq(err_text(NULL, -ENOENT), strerror(ENOENT));
	ck_assert_int_eq(err_set(&e, -EINVAL, "line %d: %s", 7, "no value"), -EINVAL);
	ck_assert_str_eq(err_text(&e, -EIO), "line 7: no value");
	ck_assert_int_eq(e.code, -EINVAL);
	ck_assert_int_eq(err_prefix(&e, -EINVAL, "table %s", "t"), -EINVAL);
	ck_assert_str_eq(e.text, "table t: line 7: no value");
	err_clear(&e);
	ck_assert_int_eq(e.code, 0);
	ck_assert_int_eq(err_prefix(&e, -EIO, "tile x"), -EIO);
	ck_assert(str_starts(str_from(e.text), "tile x: "));
	ck_assert(str_ends(str_from(e.text), strerror(EIO)));
	ck_assert_int_eq(err_set(NULL, -EIO, "%d", 1), -EIO);
	ck_assert_int_eq(err_prefix(NULL, -EIO, "%d", 1), -EIO);
	err_clear(NULL);
}
END_TEST

START_TEST(err_is_cut_between_characters)
{
	char t[3000];

	for (size_t shift = 0; shift < 4; shift++) {
		struct err e;
		memset(t, 'a', shift);
		for (size_t i = shift; i + 4 < sizeof t; i += 4)
			memcpy(t + i, "\xf0\x9f\x98\x80", 5);
		err_set(&e, -EINVAL, "%s", t);
		ck_assert(utf8_valid(str_from(e.text)));
		ck_assert_int_gt(strlen(e.text), sizeof e.text - 9);
		err_prefix(&e, -EINVAL, "x");
		ck_assert(utf8_valid(str_from(e.text)));
	}
}
END_TEST

/* --- str --- */

START_TEST(str_compares)
{
	struct str none = {NULL, 0};

	ck_assert(str_eq(none, STR_LIT("")));
	ck_assert(str_is(none, ""));
	ck_assert(!str_is(none, "a"));
	ck_assert(str_starts(none, ""));
	ck_assert(str_ends(none, ""));
	ck_assert(str_is(STR_LIT("ab"), "ab") && !str_is(STR_LIT("ab"), "abc"));
	ck_assert(str_starts(STR_LIT("abc"), "ab") && !str_starts(STR_LIT("a"), "ab"));
	ck_assert(str_ends(STR_LIT("abc"), "bc") && !str_ends(STR_LIT("c"), "bc"));
	ck_assert(str_ieq(STR_LIT("AbZz09_"), STR_LIT("aBzZ09_")));
	ck_assert(!str_ieq(STR_LIT("@"), STR_LIT("`")) && !str_ieq(STR_LIT("["), STR_LIT("{")));
	ck_assert(!str_ieq(STR_LIT("\xc3\x84"), STR_LIT("\xc3\xa4"))); /* ASCII only */
	ck_assert_int_eq(str_cmp(none, none), 0);
	ck_assert_int_lt(str_cmp(STR_LIT("a"), STR_LIT("ab")), 0);
	ck_assert_int_gt(str_cmp(STR_LIT("b"), STR_LIT("ab")), 0);
	ck_assert_int_gt(str_cmp(STR_LIT("\xff"), STR_LIT("a")), 0); /* unsigned bytes */
	ck_assert(str_is(str_trim(STR_LIT(" \t\r\n a b \n")), "a b"));
	ck_assert_int_eq(str_trim(STR_LIT(" \n")).len, 0);
	ck_assert_int_eq(str_trim(none).len, 0);
}
END_TEST

/* One code point, as UTF-8 would write it in n bytes, valid or not. */
static void encode(uint32_t c, int n, char *to)
{
	static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

	for (int i = n - 1; i > 0; i--, c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3F));
	to[0] = (char)(lead[n] | c);
}

START_TEST(utf8_of_all_code_points)
{
	static const uint32_t limit[] = {0, 0x80, 0x800, 0x10000, 0x200000};

	for (int n = 1; n <= 4; n++)
		for (uint32_t c = 0; c < limit[n]; c += n == 4 && c > 0x20000 ? 37 : 1) {
			/* After 0..8 letters, so that the fast path ends anywhere. */
			char t[16];
			size_t pad = c % 9;
			memset(t, 'x', sizeof t);
			encode(c, n, t + pad);
			bool valid =
				c >= limit[n - 1] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
			size_t len = pad + (size_t)n;
			ck_assert_msg(utf8_valid_len((struct str){t, len}) == (valid ? len : pad),
				      "U+%X in %d bytes", c, n);
			if (valid && n > 1)
				ck_assert_int_eq(utf8_valid_len((struct str){t, len - 1}), pad);
		}
	for (int c = 0x80; c < 0x100; c++) {
		char t = (char)c;
		ck_assert(!utf8_valid((struct str){&t, 1}));
	}
	ck_assert(utf8_valid((struct str){NULL, 0}));
}
END_TEST

START_TEST(nearest_names)
{
	static const struct str names[] = {
		{"average", 7}, {"avg", 3}, {"count", 5},
		{"max", 3},     {"min", 3}, {"temperature", 11},
	};
	int n = ARRAY_LEN(names);

	ck_assert_int_eq(str_nearest(STR_LIT("cuont"), names, n), 2);
	ck_assert_int_eq(str_nearest(STR_LIT("AVGE"), names, n), 1);
	ck_assert_int_eq(str_nearest(STR_LIT("temprature"), names, n), 5);
	ck_assert_int_eq(str_nearest(STR_LIT("mix"), names, n), 3);
	ck_assert_int_eq(str_nearest(STR_LIT("zzz"), names, n), -1);
	ck_assert_int_eq(str_nearest(STR_LIT("humidity"), names, n), -1);
	ck_assert_int_eq(str_nearest(STR_LIT("x"), names, 0), -1);
	ck_assert_int_eq(str_nearest(STR_LIT("x"), &STR_LIT("n"), 1), -1);
	ck_assert_int_eq(str_nearest(STR_LIT("xy"), &STR_LIT("x"), 1), 0);
	char t[200];
	memset(t, 'a', sizeof t);
	ck_assert_int_eq(str_nearest((struct str){t, sizeof t}, names, n), -1);
	ck_assert_int_eq(str_nearest((struct str){t, 64}, &(struct str){t, 64}, 1), 0);
}
END_TEST

/* --- buf and cur --- */

START_TEST(buf_grows_to_its_maximum)
{
	struct buf b;

	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		buf_addc(&b, (char)i);
	ck_assert_int_eq(b.rc, 0);
	buf_addc(&b, 'x');
	ck_assert_int_eq(b.rc, -ENOMEM);
	ck_assert_int_eq(b.len, 1000);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(b.data[i], (char)i);
	/* It sticks until cleared. */
	buf_drop_front(&b, 500);
	ck_assert_int_eq(b.data[0], (char)500);
	ck_assert_ptr_null(buf_reserve(&b, 1));
	buf_clear(&b);
	buf_addf(&b, "%s-%d", "a", 5);
	buf_adds(&b, "+");
	buf_add_str(&b, (struct str){NULL, 0});
	buf_add(&b, NULL, 0);
	ck_assert(str_is(buf_str(&b), "a-5+"));
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	buf_release(&b);
	ck_assert_int_eq(b.max, 1000);
}
END_TEST

enum { U8, U32, U64, VARINT, ZIGZAG, STR, KINDS };

START_TEST(binary_alphabet_round_trips)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 300; round++) {
		struct {
			int kind;
			uint64_t v;
		} items[100];
		static const char text[300] = "some text";
		int n = 1 + (int)unit_below(&r, 100);
		struct buf b;
		buf_init(&b, 1 << 20);
		for (int i = 0; i < n; i++) {
			uint64_t v = items[i].v = unit_rand_log(&r);
			switch (items[i].kind = (int)unit_below(&r, KINDS)) {
			case U8:
				buf_put_u8(&b, (uint8_t)v);
				break;
			case U32:
				buf_put_u32(&b, (uint32_t)v);
				break;
			case U64:
				buf_put_u64(&b, v);
				break;
			case VARINT:
				buf_put_varint(&b, v);
				break;
			case ZIGZAG:
				buf_put_zigzag(&b, (int64_t)v);
				break;
			case STR:
				buf_put_str(&b, (struct str){text, v % 300});
				break;
			}
		}
		ck_assert_int_eq(b.rc, 0);
		/* All of it in a block of just this size; then every shorter one must end badly. */
		for (size_t cut = 0; cut <= b.len;
		     cut += cut + 1 < b.len ? 1 + unit_below(&r, 20) : 1) {
			size_t len = b.len - cut;
			uint8_t *copy = malloc(len + !len);
			memcpy(copy, b.data, len);
			struct cur c = cur_over(copy, len);
			bool good = true;
			for (int i = 0; i < n; i++) {
				uint64_t v = items[i].v;
				switch (items[i].kind) {
				case U8:
					good &= cur_u8(&c) == (uint8_t)v;
					break;
				case U32:
					good &= cur_u32(&c) == (uint32_t)v;
					break;
				case U64:
					good &= cur_u64(&c) == v;
					break;
				case VARINT:
					good &= cur_varint(&c) == v;
					break;
				case ZIGZAG:
					good &= cur_zigzag(&c) == (int64_t)v;
					break;
				case STR:
					good &= str_eq(cur_str(&c), (struct str){text, v % 300});
					break;
				}
			}
			unit_assert(&r, c.bad == (cut > 0), "cut %zu of %zu", cut, b.len);
			if (!cut)
				unit_assert(&r, good && cur_left(&c) == 0, "round %d", round);
			free(copy);
		}
		buf_release(&b);
	}
}
END_TEST

START_TEST(binary_alphabet_as_bytes)
{
	static const uint8_t want[] =
		{
			7,    0x44, 0x33, 0x22, 0x11, 8,    7,    6,    5,    4,
			3,    2,    1, /* fixed */
			0x7F, 0x80, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
			0xFF, 0xFF, 0x01, 0,    1,    2,    2,    'h',  'i',
		};
	static const uint8_t too_long[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
					   0xFF, 0xFF, 0xFF, 0xFF, 0x02};
	struct buf b;

	buf_init(&b, 1000);
	buf_put_u8(&b, 7);
	buf_put_u32(&b, 0x11223344);
	buf_put_u64(&b, UINT64_C(0x0102030405060708));
	buf_put_varint(&b, 127);
	buf_put_varint(&b, 128);
	buf_put_varint(&b, UINT64_MAX);
	buf_put_zigzag(&b, 0);
	buf_put_zigzag(&b, -1);
	buf_put_zigzag(&b, 1);
	buf_put_str(&b, STR_LIT("hi"));
	ck_assert_int_eq(b.len, sizeof want);
	ck_assert(memcmp(b.data, want, sizeof want) == 0);
	struct cur c = cur_over(too_long, sizeof too_long);
	ck_assert(cur_varint(&c) == 0 && c.bad);
	c = cur_over(want, sizeof want);
	ck_assert_ptr_null(cur_bytes(&c, SIZE_MAX));
	ck_assert(c.bad);
	ck_assert_ptr_null(cur_bytes(&c, 0)); /* once bad, always bad */
	buf_release(&b);
}
END_TEST

/* --- arena --- */

START_TEST(arena_keeps_blocks_apart)
{
	struct unit_rng r = unit_rng();
	struct budget budget;
	struct arena a;

	budget_init(&budget, 64 << 20);
	arena_init(&a, &budget);
	for (int round = 0; round < 20; round++) {
		struct {
			uint8_t *p;
			size_t n;
		} blocks[300];
		struct arena_mark mark = {0};
		for (int i = 0; i < 300; i++) {
			if (i == 150)
				mark = arena_mark(&a);
			size_t n = unit_rand_log(&r) >> 46; /* up to 256 KiB */
			uint8_t *p = arena_alloc(&a, n);
			unit_assert(&r, p && (uintptr_t)p % 16 == 0, "%zu bytes", n);
			memset(p, i, n);
			blocks[i].p = p;
			blocks[i].n = n;
		}
		for (int i = 0; i < 300; i++)
			for (size_t k = 0; k < blocks[i].n; k++)
				unit_assert(&r, blocks[i].p[k] == (uint8_t)i, "block %d", i);
		arena_rewind(&a, mark);
		uint8_t *z = arena_zalloc(&a, 5000);
		for (int k = 0; k < 5000; k++)
			ck_assert(!z[k]);
		for (int i = 0; i < 150; i++)
			for (size_t k = 0; k < blocks[i].n; k++)
				unit_assert(&r, blocks[i].p[k] == (uint8_t)i, "block %d", i);
		ck_assert(atomic_load(&budget.used) == a.bytes);
		arena_reset(&a);
	}
	ck_assert(a.bytes <= (1 << 20) + 64);
	arena_release(&a);
	ck_assert(atomic_load(&budget.used) == 0 && a.bytes == 0);
	ck_assert(atomic_load(&budget.peak) > 0);
}
END_TEST

START_TEST(arena_stays_in_its_budget)
{
	struct budget budget;
	struct arena a, b;

	budget_init(&budget, 100000);
	arena_init(&a, &budget);
	arena_init(&b, &budget);
	ck_assert_ptr_null(arena_alloc(&a, 100001));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
	ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 5));
	ck_assert_ptr_nonnull(arena_alloc(&a, 60000));
	ck_assert_ptr_null(arena_alloc(&b, 60000)); /* shared */
	ck_assert_ptr_null(arena_str(&b, (struct str){"", 60000}).ptr);
	arena_release(&a);
	ck_assert_ptr_nonnull(arena_alloc(&b, 60000));
	struct str s = arena_str(&b, STR_LIT("abc"));
	ck_assert(str_is(s, "abc") && s.ptr[3] == '\0');
	ck_assert_str_eq(arena_printf(&b, "%d:%s", 5, "x"), "5:x");
	s = arena_str(&b, (struct str){NULL, 0});
	ck_assert(s.ptr && s.len == 0 && *s.ptr == '\0');
	arena_release(&b);
	ck_assert(atomic_load(&budget.used) == 0);
}
END_TEST

static struct budget shared;

static void *take_and_give(void *arg)
{
	for (int i = 0; i < 20000; i++)
		if (budget_take(&shared, 3))
			budget_give(&shared, 3);
	return NULL;
}

START_TEST(budgets_are_shared_by_threads)
{
	pthread_t t[4];

	budget_init(&shared, 10);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, take_and_give, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert(atomic_load(&shared.used) == 0);
	ck_assert(atomic_load(&shared.peak) <= 10);
}
END_TEST

/* --- hash --- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

START_TEST(hashes_differ)
{
	enum { N = 200 * 8 * 8 };
	static uint64_t h[N + 300];
	uint8_t *t = calloc(1, 200);
	int n = 0;

	/* Every length, and every single bit of some: no two alike, at 64 bits. */
	for (size_t len = 0; len < 200; len++) {
		uint8_t *exact = calloc(1, len + !len); /* asan sees a byte too far */
		h[n++] = hash_bytes(exact, len, 0);
		for (size_t bit = 0; bit < len * 8 && len % 25 == 7; bit++) {
			exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
			h[n++] = hash_bytes(exact, len, 0);
			exact[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		free(exact);
	}
	for (uint64_t seed = 1; seed < 100; seed++)
		h[n++] = hash_bytes(t, 20, seed);
	ck_assert_int_le(n, N + 300);
	qsort(h, (size_t)n, sizeof *h, by_value);
	for (int i = 1; i < n; i++)
		ck_assert(h[i] != h[i - 1]);
	ck_assert(hash_str(STR_LIT("abc")) == hash_bytes("abc", 3, 0));
	ck_assert(hash_str((struct str){NULL, 0}) == hash_str(STR_LIT("")));
	free(t);
}
END_TEST

/* Low bits index tables: sequential keys must spread over them. */
START_TEST(hashes_spread)
{
	int bucket[256] = {0}, bucket_u64[256] = {0};

	for (uint64_t i = 0; i < 25600; i++) {
		char t[32];
		int n = snprintf(t, sizeof t, "host_%" PRIu64, i);
		bucket[hash_bytes(t, (size_t)n, 0) & 255]++;
		bucket_u64[hash_u64(i) & 255]++;
	}
	for (int i = 0; i < 256; i++) {
		ck_assert_msg(bucket[i] > 40 && bucket[i] < 180, "%d: %d", i, bucket[i]);
		ck_assert_msg(bucket_u64[i] > 40 && bucket_u64[i] < 180, "%d: %d", i,
			      bucket_u64[i]);
	}
}
END_TEST

/* --- crc --- */

START_TEST(crc_known_vectors)
{
	uint8_t zeros[32] = {0}, ones[32], up[32], down[32];

	memset(ones, 0xFF, 32);
	for (int i = 0; i < 32; i++) {
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xE3069283);
	/* RFC 3720, B.4 */
	ck_assert_uint_eq(crc32c(0, zeros, 32), 0x8A9136AA);
	ck_assert_uint_eq(crc32c(0, ones, 32), 0x62A8AB43);
	ck_assert_uint_eq(crc32c(0, up, 32), 0x46DD794E);
	ck_assert_uint_eq(crc32c(0, down, 32), 0x113FDB5C);
	ck_assert_uint_eq(crc32_gzip(0, "123456789", 9), 0xCBF43926);
	ck_assert_uint_eq(crc32_gzip(0, "a", 1), 0xE8B7BE43);
	ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
	ck_assert_uint_eq(crc32_gzip(0, NULL, 0), 0);
	ck_assert_uint_eq(crc32c(0x12345678, NULL, 0), 0x12345678);
}
END_TEST

/* The definition, a bit at a time. */
static uint32_t crc_slowly(uint32_t poly, const uint8_t *p, size_t n)
{
	uint32_t c = ~UINT32_C(0);

	while (n--) {
		c ^= *p++;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? (c >> 1) ^ poly : c >> 1;
	}
	return ~c;
}

START_TEST(crc_in_pieces_and_at_any_alignment)
{
	struct unit_rng r = unit_rng();
	uint8_t t[600];

	for (int i = 0; i < 2000; i++) {
		size_t from = unit_below(&r, 16), n = unit_below(&r, 500);
		size_t cut = unit_below(&r, n + 1);
		for (size_t k = 0; k < sizeof t; k++)
			t[k] = (uint8_t)unit_rand(&r);
		const uint8_t *p = t + from;
		uint32_t c = crc_slowly(0x82F63B78, p, n), g = crc_slowly(0xEDB88320, p, n);
		unit_assert(&r, crc32c(0, p, n) == c, "%zu bytes", n);
		unit_assert(&r, crc32_gzip(0, p, n) == g, "%zu bytes", n);
		unit_assert(&r, crc32c(crc32c(0, p, cut), p + cut, n - cut) == c, "at %zu", cut);
		unit_assert(&r, crc32_gzip(crc32_gzip(0, p, cut), p + cut, n - cut) == g, "at %zu",
			    cut);
	}
}
END_TEST

/* --- civil --- */

START_TEST(days_walk_through_the_calendar)
{
	/* Day by day through 1200 years: each is the one after the last. */
	int64_t y = 1500;
	int m = 1, d = 1;

	for (int64_t day = civil_to_days(1500, 1, 1); y < 2700; day++) {
		int64_t gy;
		int gm, gd;
		civil_from_days(day, &gy, &gm, &gd);
		ck_assert_msg(gy == y && gm == m && gd == d, "%" PRId64 "-%d-%d", gy, gm, gd);
		if (d == 1)
			ck_assert_int_eq(civil_to_days(y, m, d), day);
		if (++d > civil_days_in_month(y, m)) {
			d = 1;
			if (++m > 12) {
				m = 1;
				y++;
			}
		}
	}
	ck_assert_int_eq(civil_to_days(1970, 1, 1), 0);
	ck_assert_int_eq(civil_to_days(2000, 3, 1), 11017);
	ck_assert_int_eq(civil_to_days(-4712, 1, 1) < 0, 1);
	ck_assert_int_eq(civil_days_in_month(1900, 2), 28);
	ck_assert_int_eq(civil_days_in_month(2000, 2), 29);
	ck_assert_int_eq(civil_days_in_month(2024, 2), 29);
}
END_TEST

START_TEST(instants_agree_with_libc)
{
	struct unit_rng r = unit_rng();

	for (int i = 0; i < 20000; i++) {
		int64_t ns = (int64_t)(i % 2 ? unit_rand(&r) : unit_rand_log(&r)), back;
		if (i < 4)
			ns = (const int64_t[]){INT64_MIN, INT64_MAX, 0, -1}[i];
		time_t sec = floor_div(ns, NS_PER_S);
		struct tm tm;
		char want[100], text[40] = {0};
		gmtime_r(&sec, &tm);
		snprintf(want, sizeof want, "%04d-%02d-%02d %02d:%02d:%02d.%09d", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			 (int)((uint64_t)ns - (uint64_t)sec * NS_PER_S));
		unit_assert(&r, timestamp_format(text, ns) == TIMESTAMP_TEXT_LEN, "%" PRId64, ns);
		unit_assert(&r, strcmp(text, want) == 0, "%s, not %s", text, want);
		struct civil c = civil_from_ns(ns);
		unit_assert(&r, c.year == tm.tm_year + 1900 && c.month == tm.tm_mon + 1, "%s",
			    want);
		unit_assert(&r, c.hour == tm.tm_hour && c.second == tm.tm_sec, "%s", want);
		unit_assert(&r, civil_to_ns(&c, &back) == 0 && back == ns, "%s", want);
		unit_assert(&r, day_of_ns(ns) == floor_div(sec, 86400), "%s", want);
	}
}
END_TEST

START_TEST(instants_have_limits)
{
	struct civil last = civil_from_ns(INT64_MAX), first = civil_from_ns(INT64_MIN);
	int64_t ns = 5;

	ck_assert_int_eq(last.year, 2262);
	ck_assert_int_eq(first.year, 1677);
	last.nanos++;
	first.nanos--;
	ck_assert_int_eq(civil_to_ns(&last, &ns), -ERANGE);
	ck_assert_int_eq(civil_to_ns(&first, &ns), -ERANGE);
	ck_assert_int_eq(civil_to_ns(&(struct civil){.year = 9999, .month = 12, .day = 31}, &ns),
			 -ERANGE);
	ck_assert_int_eq(ns, 5);
	ck_assert_int_eq(floor_div(-1, 10), -1);
	ck_assert_int_eq(floor_div(-10, 10), -1);
	ck_assert_int_eq(floor_div(9, 10), 0);
	char t[40] = {0};
	ck_assert_int_eq(date_format_days(t, civil_to_days(2022, 6, 17)), 10);
	ck_assert_str_eq(t, "2022-06-17");
	memset(t, 0, sizeof t);
	ck_assert_int_eq(date_format_days(t, civil_to_days(12345, 6, 7)), 11);
	ck_assert_str_eq(t, "12345-06-07");
}
END_TEST

START_TEST(the_clock_can_be_pinned)
{
	int64_t mono = clock_mono_ns();

	clock_pin(12345);
	ck_assert_int_eq(clock_now_ns(), 12345);
	ck_assert_int_ge(clock_mono_ns(), mono);
	clock_pin(0);
	ck_assert_int_gt(clock_now_ns(), INT64_C(1700000000) * NS_PER_S);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		min_and_max_look_once,
		err_keeps_the_last_sentence,
		err_is_cut_between_characters,
		str_compares,
		utf8_of_all_code_points,
		nearest_names,
		buf_grows_to_its_maximum,
		binary_alphabet_round_trips,
		binary_alphabet_as_bytes,
		arena_keeps_blocks_apart,
		arena_stays_in_its_budget,
		budgets_are_shared_by_threads,
		hashes_differ,
		hashes_spread,
		crc_known_vectors,
		crc_in_pieces_and_at_any_alignment,
		days_walk_through_the_calendar,
		instants_agree_with_libc,
		instants_have_limits,
		the_clock_can_be_pinned,
	};
	return unit_main("base", 120, tests, ARRAY_LEN(tests));
}
