/*
 * Twenty tiles, each with every byte changed and cut at every byte: whatever is read of them is right, or
 * an error that names file and offset; never a wrong value, never a crash. Read are all pages of all
 * columns: fields, times and versions as queries do, and as Parquet has them for other programs
 * (dimensions, microseconds, ts_ columns). tile_verify() finds every change, also where no reader looks.
 *
 * In a small tile everything is read for each change. In a large one, what lies in a page is looked for in
 * the pages of those rows, as others are not read differently; every 64th time in all of it. (check ends with an
 * error where a test takes more than 35 minutes.)
 * TIDE_DAMAGE=full takes every byte, and in small tiles every bit; otherwise a sample.
 */
#include <malloc.h>

#include "tests/unit/tile_model.h"
#include "tests/unit/view_io.h"

#define NAME  "victim.parquet"
#define SMALL (24 << 10) /* bytes of a tile that is read whole for each change */

static const struct {
	struct want want;
	uint64_t rows_min; /* for several row groups */
} tiles[] = {
	{{"", 0, 3, 1, TIMES_REGULAR, false, TILE_CODEC_ZSTD}, 1},
	{{"", 3, 5, 1, TIMES_NS, true, TILE_CODEC_NONE}, 1},
	{{"ic0iw0if0ix0", 1, 3, 1, TIMES_REGULAR, false, TILE_CODEC_ZSTD}, 200},
	{{"iwnixnifn", 2, 4, 1, TIMES_MS, false, TILE_CODEC_NONE}, 100},
	{{"dc0dw0df0dx0", 1, 3, 1, TIMES_REGULAR, false, TILE_CODEC_ZSTD}, 300},
	{{"dwndxn", 2, 4, 1, TIMES_MS, false, TILE_CODEC_NONE}, 100},
	{{"sc0sw0sf0sx0", 1, 3, 1, TIMES_REGULAR, false, TILE_CODEC_ZSTD}, 200},
	{{"swnsxnscn", 2, 3, 1, TIMES_MS, false, TILE_CODEC_NONE}, 100},
	{{"bw0bcnbxnbf0", 1, 4, 1, TIMES_REGULAR, false, TILE_CODEC_ZSTD}, 100},
	{{"bwnbx0", 0, 3, 1, TIMES_MS, false, TILE_CODEC_NONE}, 100},
	{{"tx0twntf0", 2, 3, 1, TIMES_NS, false, TILE_CODEC_ZSTD}, 100},
	{{"txntw0", 1, 4, 1, TIMES_REGULAR, false, TILE_CODEC_NONE}, 100},
	{{"icNdcNscNbcNtcNiw0", 3, 4, 1, TIMES_MS, false, TILE_CODEC_ZSTD}, 100},
	{{"iwndwn", 2, 5, 1, TIMES_REGULAR, true, TILE_CODEC_ZSTD}, 100},
	{{"iwndwnswn", 2, 5, 1, TIMES_NS_LATE, true, TILE_CODEC_NONE}, 100},
	{{"iwndxnsfnbxntxnif0dc0sx0", 3, 6, 1, TIMES_NS_LATE, true, TILE_CODEC_ZSTD}, 200},
	{{"iwnds0bc0", 2, 30, 30, TIMES_MS, false, TILE_CODEC_ZSTD}, 20000},
	{{"iwntw0", 1, 20, 30, TIMES_NS_LATE, false, TILE_CODEC_NONE}, 20000},
	{{"ic0bwn", 1, 40, 100, TIMES_NS_LATE, true, TILE_CODEC_ZSTD}, 140000},
	{{"ic0bwn", 1, 40, 100, TIMES_REGULAR, false, TILE_CODEC_NONE}, 140000},
};

struct victim {
	struct model m;
	uint8_t *bytes;
	int64_t size;
	struct tile *good;
	uint32_t *prints; /* [column * page_count + page]: a checksum of what a foreign reader gets */
	struct view_io vio;
	uint64_t errors, rights;
};

static bool is_full(void)
{
	const char *v = getenv("TIDE_DAMAGE");
	return v && strcmp(v, "full") == 0;
}

/* ---- as other programs read it ------------------------------------------------------------------------- */

static uint32_t print_strings(const struct col *col, uint32_t n)
{
	uint32_t crc = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t head[9] = {!col->valid || col->valid[i]};
		for (int k = 0; head[0] && k < 8; k++)
			head[1 + k] = (uint8_t)(col->str[i].len >> 8 * k);
		crc = crc32c(crc, head, sizeof head);
		if (head[0])
			crc = crc32c(crc, col->str[i].ptr, col->str[i].len);
	}
	return crc;
}

/* A checksum of a page's values as Parquet has them. */
static int print_page(struct tile *t, uint32_t column, uint32_t page, uint32_t *ret, struct err *e)
{
	static int64_t data[TILE_PAGE_ROWS_MAX * 2];
	uint32_t rows = (uint32_t)(tile_page_row(t, page + 1) - tile_page_row(t, page));
	bool optional;
	enum pq_type type = tile_column_type(t, column, &optional);
	struct tile_scratch *s = tile_scratch_get();
	struct tile_values v;
	struct arena a;
	struct col col;
	int rc;

	ck_assert_ptr_nonnull(s);
	arena_init(&a, NULL);
	if (type == PQ_BYTE_ARRAY) {
		rc = tile_page_column(t, column, page, COL_VARCHAR, &a, &col, e);
		if (rc >= 0)
			*ret = print_strings(&col, rows);
	} else {
		rc = tile_page_decode(t, column, page, s, &a, data, &v, e);
		if (rc >= 0) {
			*ret = crc32c(v.n, data, (size_t)v.n * (type == PQ_BOOLEAN ? 1 : 8));
			*ret = v.valid ? crc32c(*ret, v.valid, v.rows) : *ret;
		}
	}
	arena_release(&a);
	tile_scratch_put(s);
	return rc;
}

static int compare_public(struct victim *v, struct tile *t, uint32_t page, struct err *e)
{
	uint32_t pages = tile_info(v->good)->page_count, print;
	int rc = 0;

	for (uint32_t c = 0; c < t->ix.column_count && rc >= 0; c++) {
		rc = print_page(t, c, page, &print, e);
		if (rc >= 0 && print != v->prints[c * pages + page])
			rc = err_set(e, -EPROTO, "column %u page %u differs as Parquet", c, page);
	}
	return rc;
}

/* ---- reading all of it --------------------------------------------------------------------------------- */

/* only: of these pages, or UINT32_MAX for all. */
static int read_all(struct victim *v, uint32_t only, struct err *e)
{
	struct tile *t;
	int rc = tile_open(&v->vio.io, dfd, NAME, &t, e);

	if (rc < 0)
		return rc;
	rc = compare_info(&v->m, t, e);
	for (uint32_t p = 0; p < tile_info(t)->page_count && rc >= 0; p++) {
		if (only != UINT32_MAX && p != only)
			continue;
		rc = compare_page(&v->m, t, p, e);
		if (rc >= 0)
			rc = compare_public(v, t, p, e);
	}
	tile_put(t);
	return rc;
}

static int verify_all(struct victim *v, struct err *e)
{
	struct tile *t;
	int rc = tile_open(&v->vio.io, dfd, NAME, &t, e);

	if (rc < 0)
		return rc;
	rc = tile_verify(t, e);
	tile_put(t);
	return rc;
}

/* The rows whose pages hold this byte; UINT32_MAX: all of them, or none. */
static uint32_t page_of_byte(const struct victim *v, uint64_t at)
{
	const struct tile_index *ix = &v->good->ix;

	for (uint32_t c = 0; c < ix->column_count; c++)
		for (uint32_t p = 0; p < ix->info.page_count; p++) {
			const struct tile_page_ref *r = &ix->pages[(size_t)c * ix->info.page_count + p];
			if (at >= r->off && at < r->off + r->size)
				return p;
		}
	return UINT32_MAX;
}

static void look(struct victim *v, int64_t at, uint32_t only, bool verify, const char *what)
{
	struct err e = {0};
	int rc = read_all(v, only, &e);

	unit_assert(&rng, rc == 0 || rc == -EBADMSG, "%s at byte %lld of %lld: %d %s", what, (long long)at, (long long)v->size,
		    rc, e.text);
	if (rc == -EBADMSG) {
		v->errors++;
		unit_assert(&rng, strstr(e.text, NAME) && strstr(e.text, " offset "), "%s at byte %lld: names no file and offset: %s",
			    what, (long long)at, e.text);
	} else {
		v->rights++;
	}
	if (!verify)
		return;
	rc = verify_all(v, &e);
	unit_assert(&rng, rc == -EBADMSG && strstr(e.text, NAME), "%s at byte %lld of %lld is not found: %d %s", what,
		    (long long)at, (long long)v->size, rc, e.text);
}

/* ---- twenty tiles -------------------------------------------------------------------------------------- */

static void victim_init(struct victim *v, int which)
{
	struct err e = {0};
	struct tile_summary sum;

	*v = (struct victim){0};
	/* Dice make sizes: until it has its rows, and small ones are small. */
	for (;;) {
		model_init_as(&v->m, &tiles[which].want);
		if (v->m.rows >= tiles[which].rows_min && v->m.rows < tiles[which].rows_min + tiles[which].rows_min / 4 + 400)
			break;
		arena_release(&v->m.a);
	}
	unit_assert(&rng, write_model(&v->m, io_posix(), NAME, &sum, &e) >= 0, "write: %s", e.text);
	v->size = (int64_t)sum.file_bytes;
	v->bytes = malloc((size_t)v->size + 1);
	int fd = openat(dfd, NAME, O_RDONLY);
	ck_assert(fd >= 0 && read(fd, v->bytes, (size_t)v->size) == v->size);
	close(fd);
	ck_assert_int_eq(tile_open(io_posix(), dfd, NAME, &v->good, &e), 0);
	ck_assert_int_eq(tile_verify(v->good, &e), 0);
	uint32_t pages = tile_info(v->good)->page_count;
	v->prints = calloc((size_t)v->good->ix.column_count * pages, sizeof *v->prints);
	for (uint32_t c = 0; c < v->good->ix.column_count; c++)
		for (uint32_t p = 0; p < pages; p++)
			ck_assert_int_eq(print_page(v->good, c, p, &v->prints[c * pages + p], &e), 0);
	ck_assert_int_eq(unlinkat(dfd, NAME, 0), 0);
	view_io_init(&v->vio, dfd);
	view_io_add(&v->vio, NAME, v->bytes, v->size);
	view_io_set(&v->vio, 0, v->size, -1, 0);
	unit_assert(&rng, read_all(v, UINT32_MAX, &e) == 0 && verify_all(v, &e) == 0, "undamaged: %s", e.text);
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

static void victim_release(struct victim *v)
{
	view_io_release(&v->vio);
	tile_put(v->good);
	free(v->bytes);
	free(v->prints);
	arena_release(&v->m.a);
}

START_TEST(every_byte)
{
	static struct victim v;
	int64_t t0 = clock_mono_ns();
	uint64_t n = 0, changed = 0;

	victim_init(&v, _i);
	bool small = v.size <= SMALL;
	int64_t budget = small ? 2000 : 600, step = is_full() ? 1 : MAX(v.size / budget, 1);
	for (int64_t at = 0; at < v.size; at += is_full() ? 1 : 1 + below((uint32_t)(2 * step)), changed++) {
		uint32_t page = small || n % 64 == 0 ? UINT32_MAX : page_of_byte(&v, (uint64_t)at);
		for (int bit = 0; bit < (is_full() && small ? 9 : 1); bit++, n++) {
			uint8_t bits = bit ? (uint8_t)(1 << (bit - 1)) : (uint8_t)(1 + below(255));
			view_io_set(&v.vio, 0, v.size, at, bits);
			look(&v, at, page, small ? bit == 0 : n % 64 == 0, "change");
		}
	}
	uint64_t cuts = 0;
	/* A cut makes the end wrong, wherever it is: not all of a large one. */
	uint32_t skip = !is_full() ? (uint32_t)(4 * step) : small ? 1 : (uint32_t)(v.size / 2000 + 1);
	for (int64_t at = v.size; at-- > 0; at -= below(skip), cuts++) {
		view_io_set(&v.vio, 0, at, -1, 0);
		look(&v, at, UINT32_MAX, true, "cut");
	}
	ck_assert_uint_gt(v.errors, 0);
	printf("tile %2d: %6lld bytes, %7" PRIu64 " rows, %u groups: %" PRIu64 " changes of %" PRIu64 " bytes, %" PRIu64
	       " cuts; %" PRIu64 " errors, %" PRIu64 " right; %.1f s\n",
	       _i + 1, (long long)v.size, v.m.rows, v.good->ix.group_count, n, changed, cuts, v.errors, v.rights,
	       (double)(clock_mono_ns() - t0) / 1e9);
	fflush(stdout);
	victim_release(&v);
}
END_TEST

/* Or the list above says less than it seems to. */
START_TEST(all_encodings_are_tried)
{
	static struct victim v;
	uint32_t encodings[2] = {0};
	bool groups = false, late = false;

	const uint32_t zstd = 1u << PQ_PLAIN | 1u << PQ_RLE | 1u << PQ_DELTA_BINARY_PACKED | 1u << PQ_DELTA_LENGTH_BYTE_ARRAY |
			      1u << PQ_RLE_DICTIONARY | 1u << PQ_BYTE_STREAM_SPLIT | 1u << PQ_ALP,
		       none = 1u << PQ_PLAIN | 1u << PQ_DELTA_BINARY_PACKED | 1u << PQ_RLE_DICTIONARY;
	/* The smallest one wins, which now and then is another one. */
	for (size_t i = 0; i < 5 * ARRAY_LEN(tiles) && (i < ARRAY_LEN(tiles) || (encodings[1] & zstd) != zstd); i++) {
		victim_init(&v, (int)(i % ARRAY_LEN(tiles)));
		const struct tile_index *ix = &v.good->ix;
		for (size_t c = 0; c < (size_t)ix->column_count * ix->group_count; c++)
			encodings[tiles[i % ARRAY_LEN(tiles)].want.codec == TILE_CODEC_ZSTD] |= 1u << ix->chunks[c].encoding;
		groups |= ix->group_count > 1;
		late |= ix->extra_count > 0 && ix->group_count > 1;
		victim_release(&v);
	}
	unit_assert(&rng, (encodings[1] & zstd) == zstd && (encodings[0] & none) == none, "tiles %x runs %x", encodings[1],
		    encodings[0]);
	ck_assert(groups && late);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tile_flips");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 7200);
	tcase_add_test(tc, all_encodings_are_tried);
	tcase_add_loop_test(tc, every_byte, 0, (int)ARRAY_LEN(tiles));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
