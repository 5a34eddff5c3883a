/*
 * Tiles against a model: random series, types, NULLs, sizes and versions are written, read back
 * page by page and compared with what went in; then damaged in every way that a test can afford.
 */
#include <pthread.h>

#include "tests/unit/tile_model.h"

static void round_trip(uint32_t series, uint32_t scale, enum tile_codec codec)
{
	struct tile_summary sum;
	struct model m;
	struct tile *t;
	struct err e = {0};

	model_init(&m, series, scale, codec);
	int rc = write_model(&m, io_posix(), "t", &sum, &e);
	unit_assert(&rng, rc >= 0, "write: %s", e.text);
	ck_assert_uint_eq(sum.rows, m.rows);
	ck_assert_uint_eq(sum.value_count, m.values);
	ck_assert_uint_eq(sum.series_count, m.series_count);
	rc = compare(&m, io_posix(), "t", &e);
	unit_assert(&rng, rc >= 0, "compare: %s", e.text);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t, &e), 0);
	ck_assert_uint_eq(tile_info(t)->file_bytes, sum.file_bytes);
	ck_assert_int_eq(tile_info(t)->t_min, sum.t_min);
	ck_assert_int_eq(tile_info(t)->t_max, sum.t_max);
	rc = tile_verify(t, &e);
	unit_assert(&rng, rc >= 0, "verify: %s", e.text);
	tile_put(t);
	ck_assert_int_eq(unlinkat(dfd, "t", 0), 0);
	arena_release(&m.a);
}

START_TEST(many_small_files)
{
	for (int i = 0; i < 60; i++)
		round_trip(below(6), 1, chance(70) ? TILE_CODEC_ZSTD : TILE_CODEC_NONE);
}
END_TEST

START_TEST(pages_and_borders)
{
	for (int i = 0; i < 12; i++)
		round_trip(1 + below(60), 20, chance(70) ? TILE_CODEC_ZSTD : TILE_CODEC_NONE);
}
END_TEST

START_TEST(row_groups)
{
	round_trip(150, 30, TILE_CODEC_ZSTD);
	round_trip(20, 300, TILE_CODEC_NONE);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */

static size_t read_file(const char *name, uint8_t **ret)
{
	struct stat st;
	int fd = openat(dfd, name, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size + 1);
	ck_assert_int_eq(pread(fd, *ret, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void write_file(const char *name, const uint8_t *p, size_t n)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, p, n, 0), (ssize_t)n);
	close(fd);
}

static int open_and_verify(const char *name, struct err *e)
{
	struct tile *t;
	int rc = tile_open(io_posix(), dfd, name, &t, e);

	if (rc < 0)
		return rc;
	rc = tile_verify(t, e);
	tile_put(t);
	return rc;
}

/*
 * Each byte of a small tile in turn: whatever is read is right or -EBADMSG, and verify finds every
 * single one.
 */
static void flip_bytes(enum tile_codec codec)
{
	struct model m;
	struct err e = {0};
	uint8_t *p;

	model_init(&m, 1 + below(4), 1, codec);
	while (!m.spec.field_count) {
		arena_release(&m.a);
		model_init(&m, 1 + below(4), 1, codec);
	}
	unit_assert(&rng, write_model(&m, io_posix(), "t", NULL, &e) >= 0, "write: %s", e.text);
	size_t n = read_file("t", &p);
	int fd = openat(dfd, "t", O_WRONLY);
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = p[i] ^ (uint8_t)(1 << below(8));
		ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)i), 1);
		int rc = compare(&m, io_posix(), "t", &e);
		unit_assert(&rng, rc == 0 || rc == -EBADMSG, "byte %zu of %zu: compare %d %s", i, n,
			    rc, e.text);
		rc = open_and_verify("t", &e);
		unit_assert(&rng, rc == -EBADMSG, "byte %zu of %zu: verify %d", i, n, rc);
		ck_assert_ptr_nonnull(strstr(e.text, "t"));
		ck_assert_int_eq(pwrite(fd, &p[i], 1, (off_t)i), 1);
	}
	ck_assert_int_eq(open_and_verify("t", &e), 0);
	/* Cut anywhere, or with something behind it. */
	for (size_t k = 0; k < n; k += 1 + below(20)) {
		write_file("cut", p, k);
		ck_assert_int_eq(open_and_verify("cut", &e), -EBADMSG);
	}
	p[n] = '1';
	write_file("long", p, n + 1);
	ck_assert_int_eq(open_and_verify("long", &e), -EBADMSG);
	close(fd);
	free(p);
	arena_release(&m.a);
}

START_TEST(every_flipped_byte_is_found)
{
	flip_bytes(TILE_CODEC_ZSTD);
	flip_bytes(TILE_CODEC_NONE);
}
END_TEST

/* Pages damaged with a checksum to match, as by hand: right, wrong, but never out of bounds. */
static void forge_pages(enum tile_codec codec)
{
	struct model m;
	struct err e = {0};
	struct tile *t;
	uint8_t *p;

	model_init(&m, 1 + below(10), 3, codec);
	unit_assert(&rng, write_model(&m, io_posix(), "t", NULL, &e) >= 0, "write: %s", e.text);
	size_t n = read_file("t", &p);
	int fd = openat(dfd, "t", O_WRONLY);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t, &e), 0);
	size_t pages = (size_t)t->ix.column_count * t->ix.info.page_count;
	for (int round = 0; round < 300 && pages; round++) {
		struct tile_page_ref *ref = &t->ix.pages[below((uint32_t)pages)];
		uint32_t len = ref->size - ref->head, crc = ref->crc, raw = ref->raw;
		uint8_t *page = malloc(ref->size);
		memcpy(page, p + ref->off, ref->size);
		for (uint32_t k = 1 + below(4); k--;)
			page[ref->head + below(chance(50) ? MIN(len, 24u) : len)] =
				chance(30) ? 0xFF : (uint8_t)rnd();
		ck_assert_int_eq(pwrite(fd, page, ref->size, (off_t)ref->off), ref->size);
		ref->crc = crc32c(0, page, ref->size);
		if (chance(10) && codec == TILE_CODEC_ZSTD)
			ref->raw = below(100000);
		int rc = tile_verify(t, &e);
		ck_assert(rc == 0 || rc == -EBADMSG);
		struct arena a;
		struct col col;
		static int64_t time[TILE_PAGE_ROWS_MAX];
		arena_init(&a, NULL);
		for (uint32_t q = 0; q < t->ix.info.page_count; q++) {
			rc = tile_read_time(t, q, time, &e);
			ck_assert(rc == 0 || rc == -EBADMSG);
			rc = tile_read_version(t, q, time, &e);
			ck_assert(rc == 0 || rc == -EBADMSG);
			for (uint32_t f = 0; f < t->ix.info.field_count; f++) {
				rc = tile_read_field(t, f, q, &a, &col, &e);
				ck_assert(rc == 0 || rc == -EBADMSG);
			}
		}
		arena_release(&a);
		ck_assert_int_eq(pwrite(fd, p + ref->off, ref->size, (off_t)ref->off), ref->size);
		ref->crc = crc;
		ref->raw = raw;
		free(page);
	}
	tile_put(t);
	close(fd);
	free(p);
	ck_assert_int_eq(n > 0, 1);
	arena_release(&m.a);
}

START_TEST(forged_pages_do_no_harm)
{
	for (int i = 0; i < 4; i++)
		forge_pages(i & 1 ? TILE_CODEC_ZSTD : TILE_CODEC_NONE);
}
END_TEST

START_TEST(forged_indexes_do_no_harm)
{
	struct model m;
	struct err e = {0};
	struct tile *t;
	struct buf raw;
	uint32_t taken = 0;

	model_init(&m, 5, 2, TILE_CODEC_ZSTD);
	unit_assert(&rng, write_model(&m, io_posix(), "t", NULL, &e) >= 0, "write: %s", e.text);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t, &e), 0);
	buf_init(&raw, SIZE_MAX / 2);
	tile_index_encode(&t->ix, &raw);
	for (int round = 0; round < 20000; round++) {
		/* A heap copy of the exact size, so that a sanitizer sees one byte too many. */
		size_t n = chance(20) ? below((uint32_t)raw.len + 1) : raw.len;
		char *p = malloc(n + 1);
		struct tile_index ix;
		struct arena a;
		memcpy(p, raw.data, n);
		for (uint32_t k = below(4); k-- && n;)
			p[below(chance(50) ? (uint32_t)MIN(n, 80) : (uint32_t)n)] =
				chance(30) ? (char)0xFF : (char)rnd();
		arena_init(&a, NULL);
		int rc = tile_index_decode((struct str){p, n}, t->index_off, &a, &ix, &e);
		ck_assert(rc == 0 || rc == -EBADMSG);
		taken += rc == 0;
		arena_release(&a);
		free(p);
	}
	ck_assert_uint_gt(taken, 0); /* those without a change, at least */
	buf_release(&raw);
	tile_put(t);
	arena_release(&m.a);
}
END_TEST

/* ---- misuse and failing disks ---------------------------------------------------------------- */

START_TEST(order_is_enforced)
{
	const struct tile_field field = {STR_LIT("v"), 1, COL_BIGINT};
	const struct str dim = STR_LIT("d");
	struct tile_spec spec = {.fields = &field, .field_count = 1, .dims = &dim, .dim_count = 1};
	const struct str none = {NULL, 0}, empty = STR_LIT(""), b = STR_LIT("b");
	const int64_t up[] = {1, 2}, same[] = {3, 3};
	const struct col col = {.type = COL_BIGINT};
	struct tile_summary sum;
	struct tile_writer *w;
	struct tile *t;
	struct err e = {0};

	ck_assert_int_eq(tile_writer_create(io_posix(), dfd, "o", &spec, &w, &e), 0);
	ck_assert_int_eq(tile_writer_create(io_posix(), dfd, "o", &spec, &w, &e), -EEXIST);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), -EINVAL);
	ck_assert_int_eq(tile_writer_series(w, 1, STR_LIT("m"), &none, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, same, &col, NULL, &e), -EINVAL);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), -EINVAL);
	/* NULL sorts before the empty string, that before others. */
	ck_assert_int_eq(tile_writer_series(w, 2, STR_LIT("m"), &empty, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), 0);
	ck_assert_int_eq(tile_writer_series(w, 3, STR_LIT("n"), &none, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), -EINVAL);
	ck_assert_int_eq(tile_writer_series(w, 4, STR_LIT("a"), &b, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), 0);
	ck_assert_int_eq(tile_writer_series(w, 5, STR_LIT("a"), &b, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, 2, up, &col, NULL, &e), -EINVAL);
	/* What was refused has left nothing behind. */
	ck_assert_int_eq(tile_writer_finish(w, &sum, &e), 0);
	ck_assert_uint_eq(sum.rows, 6);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "o", &t, &e), 0);
	ck_assert_int_eq(tile_verify(t, &e), 0);
	ck_assert_uint_eq(tile_info(t)->series_count, 3);
	tile_put(t);
}
END_TEST

START_TEST(extreme_times)
{
	const struct tile_field field = {STR_LIT("at"), 1, COL_TIMESTAMP};
	struct tile_spec spec = {.fields = &field, .field_count = 1, .codec = TILE_CODEC_ZSTD};
	int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1001, -1000, -999, -1, 0, 1, 999, 1000,
			   INT64_MAX - 1, INT64_MAX}, got[TILE_PAGE_ROWS_MAX];
	struct col col = {.type = COL_TIMESTAMP, .i64 = times}, out;
	struct tile_writer *w;
	struct tile *t;
	struct arena a;
	struct err e = {0};

	arena_init(&a, NULL);
	ck_assert_int_eq(tile_writer_create(io_posix(), dfd, "x", &spec, &w, &e), 0);
	ck_assert_int_eq(tile_writer_series(w, 1, STR_LIT("m"), NULL, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, ARRAY_LEN(times), times, &col, NULL, &e), 0);
	ck_assert_int_eq(tile_writer_finish(w, NULL, &e), 0);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "x", &t, &e), 0);
	ck_assert_msg(tile_verify(t, &e) == 0, "%s", e.text);
	ck_assert_int_eq(tile_read_time(t, 0, got, &e), 0);
	ck_assert_mem_eq(got, times, sizeof times);
	ck_assert_int_eq(tile_read_field(t, 0, 0, &a, &out, &e), 0);
	ck_assert_mem_eq(out.i64, times, sizeof times);
	tile_put(t);
	arena_release(&a);
}
END_TEST

START_TEST(failing_disks)
{
	static const char *const ops[] = {"openat", "pwritev", "fsync", "close"};
	struct model m;
	struct err e = {0};

	model_init(&m, 10, 20, TILE_CODEC_NONE);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		struct io *io = io_fault_create();
		struct io_rule rule = {.op = ops[i], .path = "", .first = 1, .count = 1,
				       .kind = IO_FAIL, .error = ENOSPC};
		io_fault_add(io, &rule);
		int rc = write_model(&m, io, "bad", NULL, &e);
		unit_assert(&rng, rc == -ENOSPC, "%s: %d %s", ops[i], rc, e.text);
		ck_assert_int_eq(faccessat(dfd, "bad", F_OK, 0), -1);
		io_fault_destroy(io);
	}
	unit_assert(&rng, write_model(&m, io_posix(), "t", NULL, &e) >= 0, "write: %s", e.text);
	struct io *io = io_fault_create();
	struct io_rule fail = {.op = "pread", .path = "", .first = 1 + (int)below(20), .count = 1,
			       .kind = IO_FAIL, .error = EIO};
	io_fault_add(io, &fail);
	ck_assert_int_eq(compare(&m, io, "t", &e), io_fault_hits(io) ? -EIO : 0);
	io_fault_clear(io);
	struct io_rule flip = {.op = "pread", .path = "", .first = 3 + (int)below(10), .count = 1,
			       .kind = IO_FLIP, .arg = 40};
	io_fault_add(io, &flip);
	int rc = compare(&m, io, "t", &e);
	unit_assert(&rng, rc == 0 || rc == -EBADMSG, "flip: %d %s", rc, e.text);
	io_fault_destroy(io);
	arena_release(&m.a);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	struct model *m;
	struct tile *t;
	struct err e;
	int rc;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;

	for (uint32_t p = 0; p < tile_info(r->t)->page_count && r->rc >= 0; p++)
		r->rc = compare_page(r->m, r->t, p, &r->e);
	tile_put(r->t);
	return NULL;
}

START_TEST(many_readers)
{
	struct reader readers[4] = {{.rc = 0}};
	struct model m;
	struct err e = {0};
	struct tile *t;

	model_init(&m, 40, 20, TILE_CODEC_ZSTD);
	unit_assert(&rng, write_model(&m, io_posix(), "t", NULL, &e) >= 0, "write: %s", e.text);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		readers[i].m = &m;
		readers[i].t = tile_get(t);
		ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	tile_put(t);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		unit_assert(&rng, readers[i].rc >= 0, "%s", readers[i].e.text);
	}
	arena_release(&m.a);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		many_small_files,	   pages_and_borders,	     row_groups,
		every_flipped_byte_is_found, forged_pages_do_no_harm, forged_indexes_do_no_harm,
		order_is_enforced,	   extreme_times,	     failing_disks,
		many_readers,
	};
	Suite *s = suite_create("tile");
	TCase *tc = tcase_create("tile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
