/*
 * The Parquet encodings and metadata: random round trips, shapes of other writers, and input that
 * lies. Hostile input is a heap copy with exactly PQ_SLACK bytes behind it, so that a sanitizer sees
 * what reads further.
 */
#include "tests/unit/slack.h"

static uint64_t below(struct unit_rng *r, uint64_t n)
{
	return unit_below(r, n);
}

static uint32_t some_count(struct unit_rng *r)
{
	static const uint32_t edges[] = {0, 1, 2, 7, 8, 9, 31, 32, 33, 127, 128, 129, 130, 8191, 8192};

	return below(r, 2) ? edges[below(r, ARRAY_LEN(edges))] : (uint32_t)below(r, 3000);
}

/* Values whose differences need about `bits` bits. */
static void fill(struct unit_rng *r, int64_t *v, uint32_t n, unsigned bits)
{
	uint64_t mask = bits ? UINT64_MAX >> (64 - bits) : 0, x = unit_rand_log(r);
	bool sums = below(r, 2);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t d = unit_rand(r) & mask;
		x = sums ? x + d : d;
		v[i] = (int64_t)x;
	}
}

/* A few bytes changed, sometimes cut. */
static struct str spoil(struct unit_rng *r, struct str s)
{
	struct str c = heap_copy(s);
	char *p = (char *)(uintptr_t)c.ptr;

	for (uint64_t k = 1 + below(r, 3); k-- && c.len;)
		p[below(r, below(r, 2) ? c.len : MIN(c.len, 12))] =
			below(r, 3) ? (char)unit_rand(r) : (char)0xFF;
	if (c.len && below(r, 4) == 0) {
		size_t n = below(r, c.len);
		struct str cut = heap_copy((struct str){p, n});
		free(p);
		return cut;
	}
	return c;
}

START_TEST(delta_round_trips)
{
	struct unit_rng r = unit_rng();
	int64_t *v = malloc(8192 * sizeof *v), *got = malloc(8192 * sizeof *got);
	struct buf b;
	size_t used;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 3000; i++) {
		uint32_t n = some_count(&r);
		unsigned bits = (unsigned)(i % 65), step = below(&r, 2) ? 1 : 4;
		fill(&r, v, n, bits);
		buf_clear(&b);
		pq_delta_encode(&b, v, n, step);
		struct str in = heap_copy(buf_str(&b));
		int rc = pq_delta_decode(in, got, n, &used);
		unit_assert(&r, rc == 0 && used == in.len && !memcmp(v, got, n * sizeof *v),
			    "n %u bits %u step %u: %d", n, bits, step, rc);
		unit_assert(&r, pq_delta_decode(in, got, n + 1, &used) == -EBADMSG, "one more");
		free((void *)(uintptr_t)in.ptr);
	}
	buf_release(&b);
	free(v);
	free(got);
}
END_TEST

/* Blocks of other sizes, as other writers make them: 256 values in 2 miniblocks, widths uneven. */
START_TEST(delta_of_other_writers)
{
	struct buf b;
	int64_t got[300];
	size_t used;

	buf_init(&b, 1 << 16);
	buf_put_varint(&b, 256);
	buf_put_varint(&b, 2);
	buf_put_varint(&b, 200);
	buf_put_zigzag(&b, 10);
	buf_put_zigzag(&b, -1); /* smallest difference */
	buf_put_u8(&b, 2);	/* 128 values of 2 bits: 0 1 2 3 0 1 2 3 ... */
	buf_put_u8(&b, 0);	/* the others are all the smallest */
	for (int i = 0; i < 32; i++)
		buf_put_u8(&b, 0xE4);
	struct str in = heap_copy(buf_str(&b));
	ck_assert_int_eq(pq_delta_decode(in, got, 200, &used), 0);
	ck_assert_uint_eq(used, in.len);
	int64_t x = 10;
	for (int i = 1; i < 200; i++) {
		x += i <= 128 ? (i - 1) % 4 - 1 : -1;
		ck_assert_int_eq(got[i], x);
	}
	free((void *)(uintptr_t)in.ptr);
	buf_release(&b);
}
END_TEST

START_TEST(hybrid_round_trips)
{
	struct unit_rng r = unit_rng();
	uint32_t *v = malloc(8192 * 4), *got = malloc(8192 * 4);
	struct buf b;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 3000; i++) {
		uint32_t n = some_count(&r), most = (uint32_t)unit_rand_log(&r) | 1;
		unsigned width = most < UINT32_MAX ? pq_width_of(most) : 32;
		struct pq_hybrid h;
		for (uint32_t k = 0; k < n;) {
			uint32_t run = below(&r, 2) ? 1 : 1 + (uint32_t)below(&r, 40);
			uint32_t x = (uint32_t)below(&r, most);
			for (; run-- && k < n; k++)
				v[k] = x;
		}
		buf_clear(&b);
		pq_hybrid_init(&h, &b, width);
		pq_hybrid_values(&h, v, n);
		pq_hybrid_finish(&h);
		struct str in = heap_copy(buf_str(&b));
		int rc = pq_hybrid_decode(in, width, got, n);
		unit_assert(&r, rc == 0 && !memcmp(v, got, n * 4), "n %u width %u: %d", n, width, rc);
		free((void *)(uintptr_t)in.ptr);
	}
	ck_assert_uint_eq(pq_width_of(1), 1);
	ck_assert_uint_eq(pq_width_of(2), 1);
	ck_assert_uint_eq(pq_width_of(3), 2);
	ck_assert_uint_eq(pq_width_of(256), 8);
	ck_assert_uint_eq(pq_width_of(257), 9);
	buf_release(&b);
	free(v);
	free(got);
}
END_TEST

START_TEST(levels_round_trip)
{
	struct unit_rng r = unit_rng();
	uint8_t *v = malloc(8192), *got = malloc(8192);
	struct buf b;
	uint32_t ones;
	size_t used;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 2000; i++) {
		uint32_t n = some_count(&r), want = 0, often = 1 + (uint32_t)below(&r, 50);
		uint8_t x = 1;
		for (uint32_t k = 0; k < n; k++) {
			x = below(&r, often) ? x : !x;
			v[k] = x;
			want += x;
		}
		buf_clear(&b);
		buf_adds(&b, "before");
		pq_levels_encode(&b, want == n && below(&r, 2) ? NULL : v, n);
		buf_adds(&b, "behind");
		struct str in = {b.data + 6, b.len - 6};
		int rc = pq_levels_decode(in, got, n, &ones, &used);
		unit_assert(&r, rc == 0 && ones == want && used == in.len - 6 && !memcmp(v, got, n),
			    "n %u: %d", n, rc);
	}
	buf_release(&b);
	free(v);
	free(got);
}
END_TEST

START_TEST(strings_and_numbers_round_trip)
{
	struct unit_rng r = unit_rng();
	struct str *v = malloc(8192 * sizeof *v), *got = malloc(8192 * sizeof *got);
	int64_t *n64 = malloc(8192 * 8), *got64 = malloc(8192 * 8);
	uint8_t *b8 = malloc(8192), *got8 = malloc(8192);
	char text[256];
	struct buf b;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)i;
	buf_init(&b, 1 << 26);
	for (int i = 0; i < 1000; i++) {
		uint32_t n = some_count(&r);
		uint64_t most = 1 + below(&r, 100);
		for (uint32_t k = 0; k < n; k++) {
			v[k] = (struct str){text + below(&r, 128), below(&r, most)};
			b8[k] = (uint8_t)below(&r, 2);
		}
		fill(&r, n64, n, 64);
		for (int form = 0; form < 2; form++) {
			buf_clear(&b);
			if (form)
				pq_delta_length_encode(&b, v, n);
			else
				pq_plain_encode_strings(&b, v, n);
			struct str in = heap_copy(buf_str(&b));
			int rc = form ? pq_delta_length_decode(in, got, got64, n)
				      : pq_plain_decode_strings(in, got, n);
			unit_assert(&r, rc == 0, "form %d n %u: %d", form, n, rc);
			for (uint32_t k = 0; k < n; k++)
				unit_assert(&r, str_eq(v[k], got[k]), "form %d string %u", form, k);
			free((void *)(uintptr_t)in.ptr);
		}
		buf_clear(&b);
		pq_split_encode(&b, n64, n);
		unit_assert(&r, pq_split_decode(buf_str(&b), got64, n) == 0 &&
					!memcmp(n64, got64, n * 8ul),
			    "split %u", n);
		unit_assert(&r, pq_split_decode(buf_str(&b), got64, n + 1) == -EBADMSG, "one more");
		buf_clear(&b);
		pq_plain_encode_bools(&b, b8, n);
		unit_assert(&r, pq_plain_decode_bools(buf_str(&b), got8, n) == 0 &&
					!memcmp(b8, got8, n),
			    "bools %u", n);
	}
	buf_release(&b);
	free(v);
	free(got);
	free(n64);
	free(got64);
	free(b8);
	free(got8);
}
END_TEST

START_TEST(spoiled_values_do_no_harm)
{
	struct unit_rng r = unit_rng();
	static int64_t n64[8192], got64[8192];
	static uint32_t codes[8192];
	static uint8_t bytes[8192];
	static struct str strings[8192];
	struct buf b;
	uint32_t ones;
	size_t used;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)below(&r, 400);
		int rc = 0, form = (int)below(&r, 5);
		struct pq_hybrid h;
		fill(&r, n64, n, (unsigned)below(&r, 65));
		for (uint32_t k = 0; k < n; k++) {
			codes[k] = (uint32_t)n64[k] & 0x3FF;
			bytes[k] = n64[k] & 1;
			strings[k] = (struct str){"abcdefghijklmnop", (size_t)n64[k] & 15};
		}
		buf_clear(&b);
		switch (form) {
		case 0:
			pq_delta_encode(&b, n64, n, 1);
			break;
		case 1:
			pq_hybrid_init(&h, &b, 10);
			pq_hybrid_values(&h, codes, n);
			pq_hybrid_finish(&h);
			break;
		case 2:
			pq_levels_encode(&b, bytes, n);
			break;
		case 3:
			pq_plain_encode_strings(&b, strings, n);
			break;
		case 4:
			pq_delta_length_encode(&b, strings, n);
			break;
		}
		struct str in = spoil(&r, buf_str(&b));
		switch (form) {
		case 0:
			rc = pq_delta_decode(in, got64, n, &used);
			break;
		case 1:
			rc = pq_hybrid_decode(in, (unsigned)below(&r, 40), codes, n);
			break;
		case 2:
			rc = pq_levels_decode(in, bytes, n, &ones, &used);
			unit_assert(&r, rc < 0 || (ones <= n && used <= in.len), "levels");
			break;
		case 3:
			rc = pq_plain_decode_strings(in, strings, n);
			break;
		case 4:
			rc = pq_delta_length_decode(in, strings, got64, n);
			break;
		}
		unit_assert(&r, rc == 0 || rc == -EBADMSG, "form %d: %d", form, rc);
		for (uint32_t k = 0; k < n && rc == 0 && form >= 3; k++)
			unit_assert(&r,
				    strings[k].ptr >= in.ptr &&
					    strings[k].ptr + strings[k].len <= in.ptr + in.len,
				    "a string leaves its page");
		free((void *)(uintptr_t)in.ptr);
	}
	buf_release(&b);
}
END_TEST

/* ---- metadata -------------------------------------------------------------------------------- */

static struct pq_file sample(struct arena *a, uint32_t columns, uint32_t groups)
{
	struct pq_file f = {.version = 2, .rows = 1000, .column_count = columns,
			    .group_count = groups, .created_by = STR_LIT("somebody")};

	f.columns = arena_zarray(a, struct pq_column, columns + 1);
	f.groups = arena_zarray(a, struct pq_group, groups + 1);
	f.kvs = arena_zarray(a, struct pq_key_value, 1);
	f.kv_count = 1;
	f.kvs[0] = (struct pq_key_value){STR_LIT("key"), STR_LIT("value")};
	for (uint32_t c = 0; c < columns; c++)
		f.columns[c] = (struct pq_column){
			.name = str_from(arena_printf(a, "column %u", c)),
			.type = c % 2 ? PQ_INT64 : PQ_BYTE_ARRAY,
			.repetition = c % 3 ? PQ_OPTIONAL : PQ_REQUIRED,
			.logical = c % 2 ? PQ_LOGICAL_TIMESTAMP_MICROS : PQ_LOGICAL_STRING};
	for (uint32_t g = 0; g < groups; g++) {
		struct pq_group *pg = &f.groups[g];
		pg->chunk_count = columns;
		pg->chunks = arena_zarray(a, struct pq_chunk, columns + 1);
		pg->rows = 500;
		pg->stored_bytes = INT64_MAX;
		pg->sorting_count = 1;
		pg->sorting = arena_zarray(a, struct pq_sorting, 1);
		pg->sorting[0] = (struct pq_sorting){3, false, true};
		for (uint32_t c = 0; c < columns; c++)
			pg->chunks[c] = (struct pq_chunk){
				.type = f.columns[c].type, .encodings = 1u << PQ_PLAIN | 1u << PQ_RLE,
				.name = f.columns[c].name, .codec = PQ_ZSTD, .num_values = 500,
				.data_page_off = 4, .dict_page_off = c, .offset_index_off = 77,
				.offset_index_len = 5,
				.bounds = {.has_minmax = c % 2, .has_nulls = true, .nulls = c,
					   .min_exact = true, .min = STR_LIT("a"), .max = STR_LIT("z")}};
	}
	return f;
}

START_TEST(footer_round_trips)
{
	struct arena a;
	struct buf b;
	struct pq_file got;
	struct str value;
	struct err e = {0};

	arena_init(&a, NULL);
	buf_init(&b, 1 << 24);
	for (uint32_t columns = 0; columns < 40; columns += 13) {
		struct pq_file f = sample(&a, columns, 3);
		buf_clear(&b);
		pq_file_encode(&b, &f);
		ck_assert_msg(pq_file_decode(buf_str(&b), &a, &got, &e) == 0, "%s", e.text);
		ck_assert_uint_eq(got.column_count, columns);
		ck_assert_uint_eq(got.group_count, 3);
		ck_assert_int_eq(got.rows, 1000);
		ck_assert(str_is(got.created_by, "somebody"));
		ck_assert_int_eq(pq_file_find_key(buf_str(&b), STR_LIT("key"), &value), 0);
		ck_assert(str_is(value, "value"));
		ck_assert_int_eq(pq_file_find_key(buf_str(&b), STR_LIT("kex"), &value), -ENOENT);
		ck_assert_int_eq(got.groups[2].stored_bytes, INT64_MAX);
		ck_assert(got.groups[1].sorting[0].nulls_first && !got.groups[1].sorting[0].descending);
		for (uint32_t c = 0; c < columns; c++) {
			const struct pq_chunk *x = &f.groups[2].chunks[c], *y = &got.groups[2].chunks[c];
			ck_assert(str_eq(f.columns[c].name, got.columns[c].name));
			ck_assert_int_eq(f.columns[c].type, got.columns[c].type);
			ck_assert_int_eq(f.columns[c].repetition, got.columns[c].repetition);
			ck_assert_int_eq(f.columns[c].logical, got.columns[c].logical);
			ck_assert(str_eq(x->name, y->name) && x->encodings == y->encodings &&
				  x->codec == y->codec && x->dict_page_off == y->dict_page_off &&
				  x->bounds.has_minmax == y->bounds.has_minmax &&
				  x->bounds.nulls == y->bounds.nulls &&
				  x->offset_index_len == y->offset_index_len);
		}
	}
	arena_release(&a);
	buf_release(&b);
}
END_TEST

START_TEST(spoiled_metadata_does_no_harm)
{
	struct unit_rng r = unit_rng();
	struct pq_page_header ph = {.type = PQ_DATA_PAGE, .raw_size = 5, .stored_size = 9,
				    .has_crc = true, .crc = 0xFFFFFFFF, .num_values = 3,
				    .encoding = 8, .def_encoding = 3, .rep_encoding = 3}, ph2;
	struct pq_page_location l[20] = {{4, 5, 0}}, *l2;
	struct pq_bounds bounds[20] = {{.has_minmax = true, .min = STR_LIT("a"), .max = STR_LIT("b")}};
	struct pq_column_index ci = {20, PQ_ASCENDING, bounds}, ci2;
	struct arena a;
	struct buf b[4];
	uint32_t n;

	arena_init(&a, NULL);
	for (int i = 0; i < 4; i++)
		buf_init(&b[i], 1 << 24);
	struct pq_file f = sample(&a, 6, 2), f2;
	pq_file_encode(&b[0], &f);
	pq_page_header_encode(&b[1], &ph);
	pq_column_index_encode(&b[2], &ci);
	pq_offset_index_encode(&b[3], l, 20);
	/* As they are. */
	ck_assert_int_eq(pq_page_header_decode(buf_str(&b[1]), &ph2), (int)b[1].len);
	ck_assert(ph2.crc == ph.crc && ph2.encoding == 8 && ph2.num_values == 3);
	ck_assert_int_eq(pq_column_index_decode(buf_str(&b[2]), &a, &ci2), 0);
	ck_assert(ci2.n == 20 && ci2.pages[0].has_minmax && !ci2.pages[1].has_minmax);
	ck_assert_int_eq(pq_offset_index_decode(buf_str(&b[3]), &a, &l2, &n), 0);
	ck_assert(n == 20 && l2[0].size == 5);
	for (int i = 0; i < 40000; i++) {
		int which = i % 4, rc;
		struct str in = spoil(&r, buf_str(&b[which]));
		arena_reset(&a);
		rc = which == 0	  ? pq_file_decode(in, &a, &f2, NULL)
		     : which == 1 ? pq_page_header_decode(in, &ph2)
		     : which == 2 ? pq_column_index_decode(in, &a, &ci2)
				  : pq_offset_index_decode(in, &a, &l2, &n);
		unit_assert(&r, rc >= 0 || rc == -EBADMSG || rc == -ENOTSUP, "%d: %d", which, rc);
		free((void *)(uintptr_t)in.ptr);
	}
	/* Nested without end: refused, not followed. */
	char deep[100000];
	memset(deep, 0x1C, sizeof deep);
	ck_assert_int_eq(pq_page_header_decode((struct str){deep, sizeof deep}, &ph2), -EBADMSG);
	arena_release(&a);
	for (int i = 0; i < 4; i++)
		buf_release(&b[i]);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {delta_round_trips,
				delta_of_other_writers,
				hybrid_round_trips,
				levels_round_trip,
				strings_and_numbers_round_trip,
				spoiled_values_do_no_harm,
				footer_round_trips,
				spoiled_metadata_does_no_harm};

	return unit_main("parquet", 120, tests, ARRAY_LEN(tests));
}
