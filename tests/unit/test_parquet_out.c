/*
 * Results as Parquet: levels of nested values by hand, names, and random rows through pages that are
 * taken apart again. That other readers agree is tests/readers/unload.mjs's to show.
 */
#include <zlib.h>

#include "query/parquet_out.h"
#include "tests/unit/unit.h"

struct file {
	struct arena arena;
	struct budget budget;
	struct buf bytes;
	struct page_coder *coder;
	struct parquet_out *out;
	int fail_rc;
};

static int to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	struct file *f = ctx;

	if (f->fail_rc)
		return err_set(e, f->fail_rc, "the disk is full");
	buf_add(&f->bytes, p, n);
	return 0;
}

static void open_file(struct file *f, const struct query_col *cols, uint32_t n, enum pq_codec codec)
{
	struct err e = {0};

	*f = (struct file){0};
	budget_init(&f->budget, 64 << 20);
	arena_init(&f->arena, NULL);
	buf_init(&f->bytes, 256 << 20);
	ck_assert_int_ge(page_coder_create(codec, &f->budget, &f->coder, &e), 0);
	struct parquet_spec s = {
		.cols = cols, .col_count = n, .group_bytes = 32 << 20, .coder = f->coder, .budget = &f->budget,
		.sink = {to_buf, f}};
	int rc = parquet_out_create(&s, &f->out, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
}

static void close_file(struct file *f)
{
	parquet_out_destroy(f->out);
	page_coder_destroy(f->coder);
	ck_assert_uint_eq(atomic_load(&f->budget.used), 0);
	buf_release(&f->bytes);
	arena_release(&f->arena);
}

static void add(struct file *f, struct vec *cols, uint32_t col_n, uint32_t n)
{
	struct vbatch b = {n, col_n, cols};
	struct err e = {0};
	int rc = parquet_out_rows(f->out, &b, &e);

	ck_assert_msg(rc >= 0, "%s", e.text);
}

/* The page at *at, which moves behind it. */
static struct str page(struct file *f, size_t *at, struct pq_page_header *h)
{
	int n = pq_page_header_decode((struct str){f->bytes.data + *at, f->bytes.len - *at}, h);

	ck_assert_int_gt(n, 0);
	struct str stored = {f->bytes.data + *at + n, (size_t)h->stored_size};
	ck_assert_uint_eq(h->crc, crc32_gzip(0, stored.ptr, stored.len));
	*at += (size_t)n + stored.len;
	return stored;
}

static struct str unpack(struct file *f, const struct pq_page_header *h, struct str stored, enum pq_codec codec)
{
	char *raw = arena_zalloc(&f->arena, (size_t)h->raw_size + PQ_SLACK);
	z_stream z = {.next_in = (Bytef *)(uintptr_t)stored.ptr, .avail_in = (uInt)stored.len, .next_out = (Bytef *)raw,
		      .avail_out = (uInt)h->raw_size};

	if (codec == PQ_UNCOMPRESSED) {
		memcpy(raw, stored.ptr, stored.len);
		return (struct str){raw, stored.len};
	}
	ck_assert_int_eq(inflateInit2(&z, 31), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	ck_assert_uint_eq(z.total_out, (size_t)h->raw_size);
	inflateEnd(&z);
	return (struct str){raw, (size_t)h->raw_size};
}

/* Levels in front of a page's values: n of them, as digits. */
static void levels(struct str *raw, unsigned width, uint32_t n, char *to)
{
	uint32_t len, v[64];

	memcpy(&len, raw->ptr, 4);
	ck_assert_int_eq(pq_hybrid_decode((struct str){raw->ptr + 4, len}, width, v, n), 0);
	for (uint32_t i = 0; i < n; i++)
		to[i] = (char)('0' + v[i]);
	to[n] = '\0';
	raw->ptr += 4 + len;
	raw->len -= 4 + len;
}

/* ---- nested values ------------------------------------------------------------------------------------- */

START_TEST(levels_of_nested_values)
{
	struct file f;
	struct arena a;
	struct err e = {0};
	struct vec_builder b, *inner, *outer;
	struct vec v;
	struct pq_page_header h;
	struct str raw;
	char reps[64], defs[64];
	int64_t values[8];
	size_t used, at = 4;

	arena_init(&a, NULL);
	/* array(array(bigint)): [[1, 2], []], [], NULL, [NULL, [NULL, 3]] */
	const struct type *t = type_array(&a, type_array(&a, &type_bigint));
	struct query_col col = {STR_LIT("x"), t};
	ck_assert_int_ge(vb_init(&b, t, 8, &a, &e), 0);
	outer = vb_elem(&b);
	inner = vb_elem(outer);
	int rc = vb_add_i64(inner, 1, &e) | vb_add_i64(inner, 2, &e) | vb_add_list(outer, 2, &e) | vb_add_list(outer, 0, &e) |
		 vb_add_list(&b, 2, &e) | vb_add_list(&b, 0, &e) | vb_add_null(&b, &e) | vb_add_null(outer, &e) |
		 vb_add_null(inner, &e) | vb_add_i64(inner, 3, &e) | vb_add_list(outer, 2, &e) | vb_add_list(&b, 2, &e);
	ck_assert_int_ge(rc, 0);
	vb_finish(&b, &v);

	open_file(&f, &col, 1, PQ_UNCOMPRESSED);
	add(&f, &v, 1, 4);
	ck_assert_int_ge(parquet_out_finish(f.out, &e), 0);
	raw = unpack(&f, &h, page(&f, &at, &h), PQ_UNCOMPRESSED);
	ck_assert_int_eq(h.num_values, 8);
	ck_assert_int_eq(h.encoding, PQ_DELTA_BINARY_PACKED);
	levels(&raw, 2, 8, reps); /* 0..2 */
	levels(&raw, 3, 8, defs); /* 0..5 */
	ck_assert_str_eq(reps, "02100012");
	ck_assert_str_eq(defs, "55310245");
	ck_assert_int_eq(pq_delta_decode(raw, values, 3, &used), 0);
	ck_assert(values[0] == 1 && values[1] == 2 && values[2] == 3);
	close_file(&f);

	/* row(row(array(bigint), bigint)): ((NULL, 7)), (NULL), NULL, (([5], NULL)) */
	struct type_field fields[] = {{STR_LIT("l"), type_array(&a, &type_bigint)}, {STR_LIT("n"), &type_bigint}};
	struct type_field only = {STR_LIT("r"), type_row(&a, fields, 2)};
	t = type_row(&a, &only, 1);
	col = (struct query_col){STR_LIT("y"), t};
	ck_assert_int_ge(vb_init(&b, t, 8, &a, &e), 0);
	outer = vb_field(&b, 0);
	struct vec_builder *l = vb_field(outer, 0), *n = vb_field(outer, 1);
	rc = vb_add_null(l, &e) | vb_add_i64(n, 7, &e) | vb_add_row(outer, &e) | vb_add_row(&b, &e) | vb_add_null(outer, &e) |
	     vb_add_row(&b, &e) | vb_add_null(&b, &e) | vb_add_i64(vb_elem(l), 5, &e) | vb_add_list(l, 1, &e) |
	     vb_add_null(n, &e) | vb_add_row(outer, &e) | vb_add_row(&b, &e);
	ck_assert_int_ge(rc, 0);
	vb_finish(&b, &v);
	open_file(&f, &col, 1, PQ_GZIP);
	add(&f, &v, 1, 4);
	ck_assert_int_ge(parquet_out_finish(f.out, &e), 0);
	at = 4;
	struct str stored = page(&f, &at, &h);
	raw = unpack(&f, &h, stored, PQ_GZIP);
	levels(&raw, 1, 4, reps);
	levels(&raw, 3, 4, defs); /* 0..5: y, r, l, list, element */
	ck_assert_str_eq(reps, "0000");
	ck_assert_str_eq(defs, "2105");
	stored = page(&f, &at, &h);
	raw = unpack(&f, &h, stored, PQ_GZIP);
	levels(&raw, 2, 4, defs); /* no repetition */
	ck_assert_str_eq(defs, "3102");
	close_file(&f);
	arena_release(&a);
}
END_TEST

/* ---- names and types --------------------------------------------------------------------------------------- */

START_TEST(names_differ)
{
	static const char *const names[] = {"a", "a", "a_2", "", "field3", "a", "A"};
	static const char *const want[] = {"a", "a_3", "a_2", "field3_2", "field3", "a_4", "A"};
	struct query_col cols[ARRAY_LEN(names)];
	struct pq_file got;
	struct arena a;
	struct file f;
	struct err e = {0};
	uint32_t len;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		cols[i] = (struct query_col){str_from(names[i]), i % 2 ? &type_bigint : &type_varchar};
	open_file(&f, cols, ARRAY_LEN(names), PQ_UNCOMPRESSED);
	ck_assert_int_ge(parquet_out_finish(f.out, &e), 0);
	memcpy(&len, f.bytes.data + f.bytes.len - 8, 4);
	arena_init(&a, NULL);
	int rc = pq_file_decode((struct str){f.bytes.data + f.bytes.len - 8 - len, len}, &a, &got, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ck_assert_uint_eq(got.column_count, ARRAY_LEN(names));
	ck_assert_int_eq(got.rows, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_msg(str_is(got.columns[i].name, want[i]), "%zu: %.*s", i, STR_FMT(got.columns[i].name));
	arena_release(&a);
	close_file(&f);
}
END_TEST

START_TEST(too_deep_is_refused)
{
	struct arena a;
	struct err e = {0};
	struct budget budget;
	struct page_coder *coder;
	struct parquet_out *out;

	arena_init(&a, NULL);
	budget_init(&budget, 64 << 20);
	ck_assert_int_ge(page_coder_create(PQ_ZSTD, &budget, &coder, &e), 0);
	for (uint32_t depth = 1; depth < 500; depth += depth < 62 ? 1 : 100) {
		const struct type *t = &type_double;
		for (uint32_t i = 0; i < depth; i++)
			t = type_array(&a, t);
		struct query_col col = {STR_LIT("deep"), t};
		struct parquet_spec s = {
			.cols = &col, .col_count = 1, .coder = coder, .budget = &budget, .sink = {to_buf, NULL}};
		int rc = parquet_out_create(&s, &out, &e);
		ck_assert_int_eq(rc, depth < 59 ? 0 : -EINVAL);
		if (rc >= 0)
			parquet_out_destroy(out);
		else
			ck_assert_str_eq(e.text, "column 'deep' is nested too deep for a Parquet file");
	}
	page_coder_destroy(coder);
	arena_release(&a);
}
END_TEST

/* ---- many rows ----------------------------------------------------------------------------------------------- */

/* Texts and numbers through pages, dictionaries that fill, and row groups; taken apart again in order. */
START_TEST(random_rows_come_back)
{
	struct unit_rng r = unit_rng();
	struct query_col cols[] = {{STR_LIT("s"), &type_varchar}, {STR_LIT("n"), &type_bigint}};
	const uint32_t rows = 60000;
	struct str *texts = calloc(rows, sizeof *texts);
	int64_t *numbers = calloc(rows, sizeof *numbers);
	uint8_t *valid = calloc(rows, 1);
	struct file f;
	struct err e = {0};

	open_file(&f, cols, 2, PQ_GZIP);
	for (uint32_t i = 0; i < rows; i++) {
		/* Few texts at first, then more and more. */
		const char *z = arena_printf(&f.arena, "%llu", (unsigned long long)unit_below(&r, 3 + (i < 9000 ? 0 : i)));
		texts[i] = str_from(z);
		numbers[i] = (int64_t)(unit_below(&r, 2) ? unit_rand_log(&r) : -unit_rand_log(&r));
		valid[i] = unit_below(&r, 5) > 0;
	}
	for (uint32_t i = 0; i < rows;) {
		uint32_t n = 1 + (uint32_t)unit_below(&r, VEC_ROWS);
		n = MIN(n, rows - i);
		struct vec v[2] = {{.type = &type_varchar, .valid = valid + i, .str = texts + i},
				   {.type = &type_bigint, .i64 = numbers + i}};
		add(&f, v, 2, n);
		i += n;
		if (!unit_below(&r, 12))
			ck_assert_int_ge(parquet_out_end_group(f.out, &e), 0);
	}
	ck_assert_int_ge(parquet_out_finish(f.out, &e), 0);

	struct pq_file got;
	uint32_t len, at[2] = {0, 0};
	memcpy(&len, f.bytes.data + f.bytes.len - 8, 4);
	int rc = pq_file_decode((struct str){f.bytes.data + f.bytes.len - 8 - len, len}, &f.arena, &got, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ck_assert_int_eq(got.rows, rows);
	for (uint32_t g = 0; g < got.group_count; g++) {
		for (uint32_t c = 0; c < 2; c++) {
			const struct pq_chunk *k = &got.groups[g].chunks[c];
			size_t off = (size_t)(k->dict_page_off ? k->dict_page_off : k->data_page_off), from = off;
			struct str *dict = NULL;
			int64_t left = k->num_values;
			while (left) {
				struct pq_page_header h;
				struct str stored = page(&f, &off, &h), raw = unpack(&f, &h, stored, PQ_GZIP);
				uint32_t n = (uint32_t)h.num_values, ones;
				if (h.type == PQ_DICTIONARY_PAGE) {
					dict = arena_array(&f.arena, struct str, n);
					ck_assert_int_eq(pq_plain_decode_strings(raw, dict, n), 0);
					continue;
				}
				uint8_t *defs = arena_alloc(&f.arena, n + 1);
				struct str *s = arena_array(&f.arena, struct str, n + 1);
				int64_t *i64 = arena_array(&f.arena, int64_t, n + 1);
				uint32_t *codes = arena_array(&f.arena, uint32_t, n + 1), x = 0;
				size_t used;
				ck_assert_int_eq(pq_levels_decode(raw, defs, n, &ones, &used), 0);
				raw = (struct str){raw.ptr + used, raw.len - used};
				if (c) {
					ck_assert_int_eq(pq_delta_decode(raw, i64, ones, &used), 0);
				} else if (h.encoding == PQ_RLE_DICTIONARY) {
					ck_assert_int_eq(pq_hybrid_decode((struct str){raw.ptr + 1, raw.len - 1},
									  (uint8_t)raw.ptr[0], codes, ones), 0);
					for (uint32_t i = 0; i < ones; i++)
						s[i] = dict[codes[i]];
				} else {
					ck_assert_int_eq(pq_plain_decode_strings(raw, s, ones), 0);
				}
				for (uint32_t i = 0; i < n; i++, at[c]++) {
					bool there = c || valid[at[c]];
					unit_assert(&r, defs[i] == there, "row %u", at[c]);
					if (c)
						unit_assert(&r, i64[x] == numbers[at[c]], "row %u", at[c]);
					else if (there)
						unit_assert(&r, str_eq(s[x], texts[at[c]]), "row %u", at[c]);
					x += there;
				}
				left -= n;
			}
			ck_assert_int_eq((int64_t)(off - from), k->stored_bytes);
		}
	}
	ck_assert(at[0] == rows && at[1] == rows);
	close_file(&f);
	free(texts);
	free(numbers);
	free(valid);
}
END_TEST

/* What the sink says is what the caller hears, and all memory is given back. */
START_TEST(a_sink_that_fails)
{
	struct query_col col = {STR_LIT("n"), &type_double};
	double zeros[VEC_ROWS] = {0};
	struct vec v = {.type = &type_double, .f64 = zeros};
	struct vbatch b = {VEC_ROWS, 1, &v};
	struct file f;
	struct err e = {0};

	open_file(&f, &col, 1, PQ_ZSTD);
	add(&f, &v, 1, VEC_ROWS);
	ck_assert_uint_gt(parquet_out_held(f.out), VEC_ROWS * 8);
	f.fail_rc = -ENOSPC;
	ck_assert_int_ge(parquet_out_rows(f.out, &b, &e), 0);
	ck_assert_int_eq(parquet_out_end_group(f.out, &e), -ENOSPC);
	ck_assert_str_eq(e.text, "the disk is full");
	close_file(&f);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {levels_of_nested_values, names_differ, too_deep_is_refused, random_rows_come_back,
				a_sink_that_fails};

	return unit_main("parquet_out", 120, tests, ARRAY_LEN(tests));
}
