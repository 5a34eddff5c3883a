/*
 * page: every value of decoded pages against what tile_read_*() says of them, in the widths that
 * page.h names; the cache with its limit, its forgetting and its threads; pages that are damaged.
 */
#include <pthread.h>

#include "engine/page.h"
#include "tests/unit/tile_model.h"

#define PLENTY ((size_t)1 << 30) /* of cache: every page is kept */

/* ---- a page against the file ----------------------------------------------------------------------- */

/* What tile_read_*() says of the page. */
static int read_reference(struct tile *t, uint32_t field, uint32_t number, struct arena *a, struct col *ret, struct err *e)
{
	if (field < PAGE_VERSION)
		return tile_read_field(t, field, number, a, ret, e);
	*ret = (struct col){.type = field == PAGE_TIME ? COL_TIMESTAMP : COL_BIGINT};
	ret->i64 = arena_array(a, int64_t, TILE_PAGE_ROWS_MAX);
	return field == PAGE_TIME ? tile_read_time(t, number, ret->i64, e) : tile_read_version(t, number, ret->i64, e);
}

static uint32_t rows_of(const struct tile *t, uint32_t number)
{
	return (uint32_t)(tile_page_row(t, number + 1) - tile_page_row(t, number));
}

static bool holds_numbers(enum coltype type)
{
	return type == COL_BIGINT || type == COL_TIMESTAMP;
}

static bool same_values(enum coltype type, const void *a, const void *b, uint32_t n)
{
	const struct str *x = a, *y = b;

	if (type != COL_VARCHAR)
		return memcmp(a, b, n * coltype_size(type)) == 0;
	for (uint32_t i = 0; i < n; i++)
		if (!str_eq(x[i], y[i]))
			return false;
	return true;
}

/* Base, step and data as the header explains them. */
static int64_t decoded(const struct page *p, uint32_t row)
{
	uint64_t u = 0;

	if (p->width == 0)
		u = row;
	else
		memcpy(&u, (const char *)p->data + (size_t)row * p->width, p->width);
	return (int64_t)((uint64_t)p->base + (uint64_t)p->step * u);
}

static uint8_t width_for(uint64_t range)
{
	return range <= UINT8_MAX ? 1 : range <= UINT16_MAX ? 2 : range <= UINT32_MAX ? 4 : 8;
}

/* No wider than the range of the values asks for. */
static uint8_t widest(const int64_t *v, uint32_t n)
{
	int64_t lo = INT64_MAX, hi = INT64_MIN;
	bool is_regular = true;

	for (uint32_t i = 0; i < n; i++) {
		lo = v[i] < lo ? v[i] : lo;
		hi = v[i] > hi ? v[i] : hi;
		is_regular &= i < 2 || (uint64_t)v[i] - (uint64_t)v[i - 1] == (uint64_t)v[1] - (uint64_t)v[0];
	}
	return is_regular ? 0 : width_for((uint64_t)hi - (uint64_t)lo);
}

static void check_numbers(const struct page *p, const int64_t *want, bool is_small)
{
	int64_t least = INT64_MAX;
	size_t bytes = sizeof *p + (size_t)p->rows * p->width + (p->valid ? p->rows : 0);

	for (uint32_t i = 0; i < p->rows; i++) {
		unit_assert(&rng, page_i64(p, i) == want[i], "row %u: %" PRId64 ", not %" PRId64, i, page_i64(p, i), want[i]);
		unit_assert(&rng, decoded(p, i) == want[i], "row %u: base, step and width %u say %" PRId64 ", not %" PRId64, i,
			    p->width, decoded(p, i), want[i]);
		least = MIN(least, want[i]);
	}
	unit_assert(&rng, p->bytes >= bytes, "%zu bytes, %zu are needed", p->bytes, bytes);
	if (!is_small) {
		unit_assert(&rng, p->width == 8, "width %u, though read once", p->width);
		return;
	}
	unit_assert(&rng, p->width <= widest(want, p->rows), "width %u, but %u do", p->width, widest(want, p->rows));
	if (p->width == 8)
		unit_assert(&rng, p->base == 0 && p->step == 1, "base and step beside values");
	else if (p->width)
		unit_assert(&rng, p->base == least, "base %" PRId64 ", the least is %" PRId64, p->base, least);
}

/* Rows [from, from + n), and not a byte more. */
static void check_copy(const struct page *p, const struct col *want, uint32_t from, uint32_t n)
{
	static _Thread_local struct str room[TILE_PAGE_ROWS_MAX + 2];
	size_t size = coltype_size(p->type);
	char *to = (char *)room + 16;

	memset(room, 0xA5, 16 + n * size + 16);
	page_copy(p, from, n, to);
	unit_assert(&rng, same_values(p->type, to, (const char *)want->data + from * size, n), "copy of %u rows from %u on: width %u",
		    n, from, p->width);
	for (int i = 0; i < 16; i++)
		unit_assert(&rng, (uint8_t)to[-1 - i] == 0xA5 && (uint8_t)to[n * size + (size_t)i] == 0xA5,
			    "copy of %u rows from %u on writes beside", n, from);
}

/* Some rows, in any order, counted from any row: row `from + rows[i]`. */
static void check_gather(const struct page *p, const struct col *want, uint32_t n)
{
	static _Thread_local struct str to[TILE_PAGE_ROWS_MAX + 1];
	static _Thread_local uint32_t rows[TILE_PAGE_ROWS_MAX];
	size_t size = coltype_size(p->type);
	uint32_t first = below(p->rows), shift = below(2000);
	int64_t from = chance(50) ? first : -(int64_t)shift;

	for (uint32_t i = 0; i < n; i++)
		rows[i] = from < 0 ? shift + below(p->rows) : below(p->rows - first);
	memset(to, 0xA5, n * size + 16);
	page_gather(p, from, rows, n, to);
	for (uint32_t i = 0; i < n; i++)
		unit_assert(&rng, same_values(p->type, (char *)to + i * size, (const char *)want->data + (size_t)(from + rows[i]) * size, 1),
			    "row %" PRId64 " + %u: width %u", from, rows[i], p->width);
	for (size_t i = n * size; i < n * size + 16; i++)
		unit_assert(&rng, ((const uint8_t *)to)[i] == 0xA5, "%u rows gathered, and a byte beside them", n);
}

static void check_copies(const struct page *p, const struct col *want)
{
	check_gather(p, want, 0);
	check_gather(p, want, below(p->rows) + 1);
	check_gather(p, want, below(MIN(p->rows, 20u)) + 1);
	check_copy(p, want, 0, p->rows);
	check_copy(p, want, p->rows - 1, 1);
	check_copy(p, want, p->rows, 0);
	for (int i = 0; i < 12; i++) {
		uint32_t from = below(p->rows), n = below(p->rows - from + 1);
		check_copy(p, want, from, chance(50) ? n : MIN(n, 80u));
	}
}

static void check_count(const struct page *p, const int64_t *v, uint32_t from, uint32_t n, int64_t upto)
{
	uint32_t want = 0;

	while (want < n && v[from + want] <= upto)
		want++;
	unit_assert(&rng, page_count_upto(p, from, n, upto) == want, "rows [%u, %u + %u) up to %" PRId64 ": %u, not %u", from, from, n,
		    upto, page_count_upto(p, from, n, upto), want);
}

/* In stretches of one series, where times ascend. */
static void check_counts(const struct page *p, const int64_t *v)
{
	for (int i = 0; i < 20; i++) {
		uint32_t from = below(p->rows), n = 1;
		while (from + n < p->rows && v[from + n] > v[from + n - 1])
			n++;
		n = chance(70) ? n : below(n + 1);
		check_count(p, v, from, n, INT64_MIN);
		check_count(p, v, from, n, INT64_MAX);
		for (int k = 0; n && k < 6; k++) {
			int64_t at = v[from + (k ? below(n) : n - 1)];
			check_count(p, v, from, n, at);
			check_count(p, v, from, n, at - (at > INT64_MIN));
			check_count(p, v, from, n, at + (at < INT64_MAX));
		}
	}
}

static void check_others(const struct page *p, const void *want)
{
	size_t bytes = sizeof *p + p->rows * coltype_size(p->type) + (p->valid ? p->rows : 0), longest = 0;

	unit_assert(&rng, same_values(p->type, p->data, want, p->rows), "values");
	for (uint32_t i = 0; i < p->rows && p->type == COL_VARCHAR; i++)
		longest = MAX(longest, ((const struct str *)want)[i].len);
	unit_assert(&rng, p->bytes >= bytes + longest, "%zu bytes, %zu are needed", p->bytes, bytes + longest);
}

static void check_page(struct tile *t, uint32_t field, uint32_t number, const struct page *p, bool is_small)
{
	struct err e = {0};
	struct arena a;
	struct col want;

	arena_init(&a, NULL);
	int rc = read_reference(t, field, number, &a, &want, &e);
	unit_assert(&rng, rc >= 0, "%s", err_text(&e, rc));
	unit_assert(&rng, p->rows == rows_of(t, number) && p->type == want.type, "%u rows of type %u", p->rows, p->type);
	for (uint32_t i = 0; i < p->rows; i++)
		unit_assert(&rng, (!p->valid || p->valid[i]) == (!want.valid || want.valid[i]), "row %u: NULL", i);
	if (holds_numbers(p->type))
		check_numbers(p, want.i64, is_small);
	else
		check_others(p, want.data);
	check_copies(p, &want);
	if (field == PAGE_TIME)
		check_counts(p, want.i64);
	arena_release(&a);
}

/* ---- getting one --------------------------------------------------------------------------------------- */

static const struct page *get(struct page_cache *c, bool keeps, struct tile *t, uint32_t field, uint32_t number, bool *ret_was_there)
{
	const struct page *p = NULL;
	struct err e = {0};
	struct arena scratch;

	arena_init(&scratch, NULL);
	int rc = page_get(c, keeps, t, field, number, &scratch, &p, ret_was_there, &e);
	unit_assert(&rng, rc >= 0, "field %u page %u: %s", field, number, err_text(&e, rc));
	arena_release(&scratch); /* nothing of the page is in it */
	return p;
}

static bool got_from_cache(struct page_cache *c, struct tile *t, uint32_t field, uint32_t number)
{
	bool was_there;

	page_put(get(c, true, t, field, number, &was_there));
	return was_there;
}

static struct page_cache *cache(size_t limit)
{
	struct page_cache *c;

	ck_assert_int_eq(page_cache_create(limit, &c), 0);
	return c;
}

static struct cache_stats stats(struct page_cache *c)
{
	struct cache_stats st;

	page_cache_stats(c, &st);
	return st;
}

/* Columns of a tile: i < field_count a field, then the times, then the versions where there are any. */
static uint32_t column_n(const struct tile *t)
{
	return tile_info(t)->field_count + 1 + tile_info(t)->has_version;
}

static uint32_t column_at(const struct tile *t, uint32_t i)
{
	uint32_t n = tile_info(t)->field_count;

	return i < n ? i : i == n ? PAGE_TIME : PAGE_VERSION;
}

/* Every page from the file as it is, from the file into the cache, and from the cache. */
static void check_tile(struct page_cache *c, struct tile *t)
{
	bool was_there;

	for (uint32_t i = 0; i < column_n(t); i++)
		for (uint32_t p = 0; p < tile_info(t)->page_count; p++) {
			uint32_t field = column_at(t, i);
			const struct page *page = get(NULL, true, t, field, p, &was_there);
			ck_assert(!was_there);
			check_page(t, field, p, page, false);
			page_put(page);
			page = get(c, false, t, field, p, &was_there);
			ck_assert(!was_there);
			check_page(t, field, p, page, false);
			page_put(page);
			page = get(c, true, t, field, p, &was_there);
			ck_assert(!was_there);
			check_page(t, field, p, page, true);
			page_put(page);
			page = get(c, true, t, field, p, &was_there);
			ck_assert(was_there);
			check_page(t, field, p, page, true);
			page_put(page);
		}
}

static void open_model(struct model *m, const char *name, struct tile **ret)
{
	struct err e = {0};
	int rc = write_model(m, io_posix(), name, NULL, &e);

	unit_assert(&rng, rc >= 0, "write: %s", e.text);
	rc = tile_open(io_posix(), dfd, name, ret, &e);
	unit_assert(&rng, rc >= 0, "open: %s", e.text);
}

START_TEST(pages_are_what_the_file_says)
{
	for (int i = 0; i < 40; i++) {
		struct page_cache *c = cache(PLENTY);
		struct model m;
		struct tile *t;

		model_init(&m, 1 + below(40), chance(50) ? 1 : 20, chance(70) ? TILE_CODEC_ZSTD : TILE_CODEC_NONE);
		open_model(&m, "t", &t);
		check_tile(c, t);
		tile_put(t);
		page_cache_destroy(c);
		arena_release(&m.a);
	}
}
END_TEST

/* ---- widths ------------------------------------------------------------------------------------------------ */

#define ROWS 5000 /* in one page, of one series */

static int64_t steps(uint32_t i)
{
	return (int64_t)i * 37 - 1000;
}

static int64_t downwards(uint32_t i)
{
	return 5 - (int64_t)i * 1000003;
}

static int64_t constant(uint32_t i)
{
	(void)i;
	return INT64_MIN;
}

static int64_t bytes(uint32_t i)
{
	return -200 + (int64_t)(i * 7919 % 256);
}

static int64_t bytes_and_one(uint32_t i)
{
	return 70 + (int64_t)(i * 7919 % 257);
}

static int64_t halves(uint32_t i)
{
	return i == 17 ? -40000 : i == 18 ? -40000 + UINT16_MAX : -40000 + (int64_t)(i * 7919 % 60000);
}

static int64_t halves_and_one(uint32_t i)
{
	return i == 18 ? -40000 + UINT16_MAX + 1 : halves(i);
}

static int64_t words(uint32_t i)
{
	return i == 0 ? INT64_MAX - UINT32_MAX : i == 4999 ? INT64_MAX : INT64_MAX - (int64_t)i * 800003 - 1;
}

static int64_t words_and_one(uint32_t i)
{
	return i == 0 ? INT64_MAX - UINT32_MAX - 1 : words(i);
}

static int64_t limits(uint32_t i)
{
	return i % 3 == 0 ? INT64_MIN : i % 3 == 1 ? INT64_MAX : (int64_t)i - 2500;
}

static int64_t wrapping(uint32_t i) /* regular only modulo 2^64 */
{
	return (int64_t)((uint64_t)INT64_MAX - 2 + i);
}

static int64_t s_apart(uint32_t i) /* 1 to 3 s */
{
	return -4000 * NS_PER_S + (int64_t)(2 * i + i % 3 % 2) * NS_PER_S;
}

static int64_t s_apart_few(uint32_t i) /* the same time for long: 100 different ones */
{
	return 1700000000 * NS_PER_S + (int64_t)(i * 31 % 100) * NS_PER_S;
}

static int64_t us_apart(uint32_t i) /* some 100 s in whole microseconds */
{
	return 1700000000 * NS_PER_S + (int64_t)(i * 20000 + i * 7919 % 9973) * NS_PER_US;
}

static int64_t us_and_rest(uint32_t i) /* within 4.29 s, with nanoseconds */
{
	return 1700000000 * NS_PER_S + (int64_t)(i * 800000) + (int64_t)(i * 7919 % 9973);
}

static int64_t ns_far(uint32_t i) /* some 100 s with nanoseconds */
{
	return 1700000000 * NS_PER_S + (int64_t)i * 20000000 + (int64_t)(i * 7919 % 9973);
}

static int64_t s_regular(uint32_t i)
{
	return 1700000000 * NS_PER_S + (int64_t)i * 10 * NS_PER_S;
}

static int64_t s_regular_and_rest(uint32_t i)
{
	return -5 + (int64_t)i * (NS_PER_S + 1);
}

static const struct width_case {
	const char *name;
	int64_t (*value)(uint32_t i);
	uint8_t width;
	bool as_bigint;
	bool as_time; /* also as the rows' times, where they ascend */
	int64_t step; /* 0: whatever it is */
} width_cases[] = {
	{"steps", steps, 0, true, true, 37},
	{"downwards", downwards, 0, true, false, -1000003},
	{"constant", constant, 0, true, false, 0},
	{"bytes", bytes, 1, true, false, 1},
	{"bytes and one", bytes_and_one, 2, true, false, 1},
	{"halves", halves, 2, true, false, 1},
	{"halves and one", halves_and_one, 4, true, false, 1},
	{"words", words, 4, true, false, 1},
	{"words and one", words_and_one, 8, true, false, 1},
	{"limits", limits, 8, true, false, 1},
	{"wrapping", wrapping, 0, true, false, 1},
	{"seconds", s_apart, 2, false, true, NS_PER_S},
	{"few seconds", s_apart_few, 1, false, false, NS_PER_S},
	{"microseconds", us_apart, 4, false, true, NS_PER_US},
	{"microseconds and a rest", us_and_rest, 4, false, true, 1},
	{"nanoseconds", ns_far, 8, false, true, 1},
	{"regular", s_regular, 0, false, true, 10 * NS_PER_S},
	{"regular and a rest", s_regular_and_rest, 0, false, true, NS_PER_S + 1},
};

static void write_case(const struct width_case *w, struct tile **ret)
{
	static int64_t times[ROWS], values[ROWS];
	const struct tile_field fields[2] = {{STR_LIT("i"), 1, COL_BIGINT}, {STR_LIT("t"), 2, COL_TIMESTAMP}};
	struct tile_spec spec = {.fields = fields, .field_count = 2, .codec = chance(50) ? TILE_CODEC_ZSTD : TILE_CODEC_NONE};
	struct col cols[2] = {{.type = COL_BIGINT, .i64 = values}, {.type = COL_TIMESTAMP, .i64 = values}};
	struct tile_writer *writer;
	struct err e = {0};

	for (uint32_t i = 0; i < ROWS; i++) {
		values[i] = w->value(i);
		times[i] = w->as_time ? values[i] : (int64_t)i;
	}
	unlinkat(dfd, "w", 0);
	ck_assert_int_eq(tile_writer_create(io_posix(), dfd, "w", &spec, &writer, &e), 0);
	ck_assert_int_eq(tile_writer_series(writer, 1, STR_LIT("m"), NULL, &e), 0);
	int rc = tile_writer_rows(writer, ROWS, times, cols, NULL, &e);
	ck_assert_msg(rc == 0, "%s: %s", w->name, e.text);
	ck_assert_int_eq(tile_writer_finish(writer, NULL, &e), 0);
	rc = tile_open(io_posix(), dfd, "w", ret, &e);
	ck_assert_msg(rc == 0, "%s: %s", w->name, e.text);
	ck_assert_uint_eq(tile_info(*ret)->page_count, 1);
}

static void check_width(struct page_cache *c, struct tile *t, uint32_t field, const struct width_case *w)
{
	bool was_there;
	const struct page *p = get(c, true, t, field, 0, &was_there);

	ck_assert_msg(p->width == w->width, "%s: width %u, not %u", w->name, p->width, w->width);
	ck_assert_msg(!w->step || p->step == w->step, "%s: step %lld, not %lld", w->name, (long long)p->step, (long long)w->step);
	ck_assert_msg(p->bytes < sizeof *p + 64 + (size_t)ROWS * w->width, "%s: %zu bytes", w->name, p->bytes);
	page_put(p);
}

START_TEST(widths)
{
	const struct width_case *w = &width_cases[_i];
	struct page_cache *c = cache(PLENTY);
	struct tile *t;

	write_case(w, &t);
	check_tile(c, t);
	if (w->as_bigint)
		check_width(c, t, 0, w);
	else
		check_width(c, t, 1, w);
	if (w->as_time)
		check_width(c, t, PAGE_TIME, w);
	tile_put(t);
	page_cache_destroy(c);
}
END_TEST


START_TEST(every_type_with_and_without_null)
{
	static const char *const fields[] = {"ic0iw0ixnicNdx0dxnbwnscn", "sx0sxnsfNbw0bwNtx0twntcN", "dsNdcntxnifnif0bx0sc0sf0"};
	struct page_cache *c = cache(PLENTY);
	struct model m;
	struct tile *t;

	for (int i = 0; i < 2 * (int)ARRAY_LEN(fields); i++) {
		struct want w = {.fields = fields[i / 2], .dims = 1, .series = 6, .scale = 30, .times = (enum times)below(TIMES_KINDS),
				 .versions = i % 2, .codec = chance(50) ? TILE_CODEC_ZSTD : TILE_CODEC_NONE};
		model_init_as(&m, &w);
		open_model(&m, "t", &t);
		check_tile(c, t);
		tile_put(t);
		arena_release(&m.a);
	}
	ck_assert_uint_eq(stats(c).pages, 0);
	page_cache_destroy(c);
}
END_TEST

/* ---- the cache ------------------------------------------------------------------------------------------------ */

/* A hundred pages or more, of all types: some MiB. */
static void open_many(struct model *m, const char *name, struct tile **ret)
{
	struct want w = {.fields = "ixndx0bwnscnsxntw0", .series = 40, .scale = 60, .times = TIMES_NS, .versions = true, .codec = TILE_CODEC_ZSTD};

	model_init_as(m, &w);
	while (m->rows < 60000) {
		arena_release(&m->a);
		model_init_as(m, &w);
	}
	open_model(m, name, ret);
}

static const struct page *get_any(struct page_cache *c, bool keeps, struct tile *t, uint32_t *ret_field, uint32_t *ret_number)
{
	bool was_there;

	*ret_field = column_at(t, below(column_n(t)));
	*ret_number = below(tile_info(t)->page_count);
	return get(c, keeps, t, *ret_field, *ret_number, &was_there);
}

START_TEST(the_second_time_it_is_there)
{
	struct page_cache *c = cache(PLENTY);
	struct model m;
	struct tile *t;
	bool was_there;
	size_t sum = 0;

	open_many(&m, "t", &t);
	ck_assert_uint_gt(stats(c).limit_bytes, PLENTY - 100);
	ck_assert_uint_le(stats(c).limit_bytes, PLENTY);
	uint32_t n = column_n(t), pages = tile_info(t)->page_count;
	for (uint32_t i = 0; i < n * pages; i++) {
		const struct page *p = get(c, true, t, column_at(t, i / pages), i % pages, &was_there);
		ck_assert(!was_there);
		sum += p->bytes;
		page_put(p);
	}
	struct cache_stats st = stats(c);
	ck_assert(st.pages == n * pages && st.bytes == sum && st.hits == 0 && st.misses == n * pages);
	for (uint32_t i = 0; i < n * pages; i++) {
		const struct page *p = get(c, i % 2, t, column_at(t, i / pages), i % pages, &was_there);
		ck_assert(was_there);
		page_put(p);
	}
	st = stats(c);
	ck_assert(st.pages == n * pages && st.bytes == sum && st.hits == n * pages && st.misses == n * pages);
	page_cache_forget(c, tile_number(t));
	ck_assert(stats(c).pages == 0 && stats(c).bytes == 0);
	ck_assert(!got_from_cache(c, t, 0, 0));
	ck_assert(got_from_cache(c, t, 0, 0));
	page_put(NULL);
	tile_put(t);
	page_cache_destroy(c);
	page_cache_destroy(NULL);
	arena_release(&m.a);
}
END_TEST

/* The same file several times: far more than there is room for, in pages of which many can be kept. */
#define COPIES 8

static void open_copies(struct model *m, struct tile *ret[COPIES])
{
	struct err e = {0};

	open_many(m, "t", &ret[0]);
	for (int k = 1; k < COPIES; k++)
		ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &ret[k], &e), 0);
}

START_TEST(a_limit_is_kept)
{
	static const size_t limits_of[] = {3 << 20, 1 << 20, 300000, 5000, 1000, 1, 0};
	struct page_cache *c = cache(limits_of[_i]);
	struct tile *t[COPIES];
	struct model m;

	open_copies(&m, t);
	ck_assert_uint_le(stats(c).limit_bytes, limits_of[_i]);
	for (int i = 0; i < 6000; i++) {
		uint32_t field, number;
		int k = (int)below(COPIES);
		const struct page *p = get_any(c, true, t[k], &field, &number);
		struct cache_stats st = stats(c);
		unit_assert(&rng, st.bytes <= limits_of[_i], "%zu bytes, %zu are allowed", st.bytes, limits_of[_i]);
		unit_assert(&rng, !st.pages == !st.bytes, "%zu bytes of %d pages", st.bytes, (int)st.pages);
		if (i % 10 == 0)
			check_page(t[k], field, number, p, true);
		page_put(p);
	}
	/* It is of use, where there is room for a page at all. */
	if (limits_of[_i] >= 1 << 20)
		ck_assert(stats(c).hits > 0 && stats(c).bytes > limits_of[_i] / 2);
	if (limits_of[_i] <= sizeof(struct page))
		ck_assert_uint_eq(stats(c).hits, 0);
	for (int k = 0; k < COPIES; k++)
		tile_put(t[k]);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

/* What is asked for again and again stays, while others come and go. */
START_TEST(what_is_asked_for_stays)
{
	struct page_cache *c = cache((size_t)3 << 20);
	struct tile *t[COPIES];
	struct model m;
	uint64_t asked = 1;
	bool was_there;

	open_copies(&m, t);
	ck_assert(!got_from_cache(c, t[0], 2, 0));
	for (int k = 1; k < COPIES; k++)
		for (uint32_t i = 0; i < column_n(t[k]); i++)
			for (uint32_t number = 0; number < tile_info(t[k])->page_count; number++, asked++) {
				page_put(get(c, true, t[k], column_at(t[k], i), number, &was_there));
				unit_assert(&rng, got_from_cache(c, t[0], 2, 0), "dropped after page %u of column %u of tile %d", number, i, k);
			}
	/* Others did go. */
	unit_assert(&rng, stats(c).pages > 1 && stats(c).pages < asked, "%d of %d pages", (int)stats(c).pages, (int)asked);
	for (int k = 0; k < COPIES; k++)
		tile_put(t[k]);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

/* Neither what takes its place, nor the end of its tile, nor that of the cache. */
START_TEST(a_page_outlives_all)
{
	struct page_cache *c = cache((size_t)1 << 20);
	struct model m;
	struct tile *t, *again;
	struct err e = {0};
	bool was_there;

	open_many(&m, "t", &t);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &again, &e), 0);
	uint32_t n = column_n(t);
	const struct page **held = calloc(n, sizeof(*held));
	for (uint32_t i = 0; i < n; i++)
		held[i] = get(c, true, t, column_at(t, i), 1, &was_there);
	for (int i = 0; i < 3000; i++) {
		uint32_t field, number;
		page_put(get_any(c, true, t, &field, &number));
	}
	for (uint32_t i = 0; i < n; i++)
		check_page(again, column_at(t, i), 1, held[i], true);
	page_put(held[0]);
	held[0] = get(c, true, t, column_at(t, 0), 1, &was_there);
	tile_put(t);
	ck_assert(stats(c).pages == 0 && stats(c).bytes == 0);
	for (uint32_t i = 0; i < n; i++)
		check_page(again, column_at(again, i), 1, held[i], true);
	page_cache_destroy(c);
	for (uint32_t i = 0; i < n; i++) {
		check_page(again, column_at(again, i), 1, held[i], true);
		page_put(held[i]);
	}
	free(held);
	tile_put(again);
	arena_release(&m.a);
}
END_TEST

/* The last reference, and of that tile alone; one and the same file opened twice is two tiles. */
START_TEST(a_tile_takes_its_pages_along)
{
	struct page_cache *c = cache(PLENTY);
	struct model m;
	struct tile *t[3];
	struct err e = {0};
	bool was_there;

	open_many(&m, "t", &t[0]);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t[1], &e), 0);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t[2], &e), 0);
	uint32_t pages = tile_info(t[0])->page_count;
	for (int k = 0; k < 3; k++)
		for (uint32_t p = 0; p < pages; p++) {
			page_put(get(c, true, t[k], PAGE_TIME, p, &was_there));
			ck_assert(!was_there);
			page_put(get(c, true, t[k], 3, p, &was_there));
			ck_assert(!was_there);
		}
	ck_assert_uint_eq(stats(c).pages, 6 * pages);
	tile_get(t[1]);
	tile_put(t[1]);
	ck_assert_uint_eq(stats(c).pages, 6 * pages);
	tile_put(t[1]);
	ck_assert_uint_eq(stats(c).pages, 4 * pages);
	for (uint32_t p = 0; p < pages; p++)
		ck_assert(got_from_cache(c, t[0], PAGE_TIME, p) && got_from_cache(c, t[2], 3, p));
	tile_put(t[2]);
	ck_assert_uint_eq(stats(c).pages, 2 * pages);
	ck_assert_int_eq(tile_open(io_posix(), dfd, "t", &t[1], &e), 0);
	ck_assert(!got_from_cache(c, t[1], PAGE_TIME, 0));
	tile_put(t[1]);
	tile_put(t[0]);
	ck_assert(stats(c).pages == 0 && stats(c).bytes == 0);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

START_TEST(what_is_read_once_is_not_kept)
{
	struct page_cache *c = cache(PLENTY);
	struct model m;
	struct tile *t;
	bool was_there;

	open_many(&m, "t", &t);
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < column_n(t); i++) {
			page_put(get(c, false, t, column_at(t, i), 0, &was_there));
			ck_assert(!was_there);
		}
	ck_assert(stats(c).pages == 0 && stats(c).bytes == 0 && stats(c).hits == 0);
	/* What somebody else had kept is taken all the same. */
	ck_assert(!got_from_cache(c, t, PAGE_TIME, 0));
	page_put(get(c, false, t, PAGE_TIME, 0, &was_there));
	ck_assert(was_there);
	ck_assert_uint_eq(stats(c).pages, 1);
	tile_put(t);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

/* ---- threads ---------------------------------------------------------------------------------------------------- */

#define THREADS 4
#define TILES   3
#define HELD    8
#define TURNS   1500

struct crowd {
	struct page_cache *c;
	struct tile *tiles[TILES];
	size_t limit;
};

struct visitor {
	pthread_t thread;
	struct crowd *crowd;
	uint64_t dice;
	const char *wrong; /* or NULL */
};

/* First, middle and last row. */
static const char *look(struct tile *t, uint32_t field, uint32_t number, const struct page *p)
{
	uint32_t at[3] = {0, p->rows / 2, p->rows - 1};
	const char *wrong = NULL;
	struct err e = {0};
	struct arena a;
	struct col want;
	union {
		int64_t i64;
		struct str str;
		uint8_t b8;
	} v;

	arena_init(&a, NULL);
	if (read_reference(t, field, number, &a, &want, &e) < 0)
		wrong = "cannot be read";
	for (int i = 0; i < 3 && !wrong; i++) {
		memset(&v, 0, sizeof(v));
		page_copy(p, at[i], 1, &v);
		if (!same_values(want.type, &v, (const char *)want.data + at[i] * coltype_size(want.type), 1))
			wrong = "a value is wrong";
		if (holds_numbers(want.type) && page_i64(p, at[i]) != want.i64[at[i]])
			wrong = "a number is wrong";
	}
	arena_release(&a);
	return wrong;
}

struct held {
	const struct page *p;
	struct tile *t;
	uint32_t field, number;
};

static void let_go(struct held *h, struct visitor *v)
{
	if (h->p) {
		const char *wrong = unit_random(&v->dice) % 8 ? NULL : look(h->t, h->field, h->number, h->p);
		v->wrong = v->wrong ? v->wrong : wrong;
		page_put(h->p);
		tile_put(h->t);
	}
	*h = (struct held){0};
}

static void *visit(void *arg)
{
	struct visitor *v = arg;
	struct crowd *crowd = v->crowd;
	struct held held[HELD] = {{0}};
	struct cache_stats st;
	struct err e = {0};
	struct arena scratch;
	bool was_there;

	arena_init(&scratch, NULL);
	for (int i = 0; i < TURNS && !v->wrong; i++) {
		struct held *h = &held[unit_random(&v->dice) % HELD];
		let_go(h, v);
		/* Those of all, or one of its own, which closes while others look for pages. */
		if (unit_random(&v->dice) % 16)
			h->t = tile_get(crowd->tiles[unit_random(&v->dice) % TILES]);
		else if (tile_open(io_posix(), dfd, "t1", &h->t, &e) < 0)
			v->wrong = "cannot be opened";
		if (v->wrong)
			break;
		/* Few pages, for many to meet. */
		h->field = column_at(h->t, (uint32_t)(unit_random(&v->dice) % column_n(h->t)));
		h->number = (uint32_t)(unit_random(&v->dice) % MIN(tile_info(h->t)->page_count, 6u));
		if (page_get(crowd->c, unit_random(&v->dice) % 8, h->t, h->field, h->number, &scratch, &h->p, &was_there, &e) < 0) {
			h->p = NULL;
			tile_put(h->t);
			v->wrong = "no page";
		}
		page_cache_stats(crowd->c, &st);
		if (st.bytes > crowd->limit)
			v->wrong = "over the limit";
		if (unit_random(&v->dice) % 64 == 0)
			page_cache_forget(crowd->c, tile_number(crowd->tiles[0]));
	}
	for (int i = 0; i < HELD; i++)
		let_go(&held[i], v);
	arena_release(&scratch);
	return NULL;
}

START_TEST(threads)
{
	static const size_t limits_of[] = {(size_t)2 << 20, (size_t)64 << 20, 0};
	struct crowd crowd = {.limit = limits_of[_i]};
	struct visitor v[THREADS];
	struct model m[TILES];
	char name[16];

	crowd.c = cache(crowd.limit);
	for (int i = 0; i < TILES; i++) {
		snprintf(name, sizeof name, "t%d", i);
		open_many(&m[i], name, &crowd.tiles[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		v[i] = (struct visitor){.crowd = &crowd, .dice = rnd()};
		ck_assert_int_eq(pthread_create(&v[i].thread, NULL, visit, &v[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(v[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		unit_assert(&rng, !v[i].wrong, "thread %d: %s", i, v[i].wrong);
	struct cache_stats st = stats(crowd.c);
	ck_assert_uint_eq(st.hits + st.misses, THREADS * TURNS);
	ck_assert(crowd.limit ? st.hits > 0 : st.hits == 0);
	for (int i = 0; i < TILES; i++) {
		tile_put(crowd.tiles[i]);
		arena_release(&m[i].a);
	}
	ck_assert(stats(crowd.c).pages == 0 && stats(crowd.c).bytes == 0);
	page_cache_destroy(crowd.c);
}
END_TEST

/* ---- damage ------------------------------------------------------------------------------------------------------ */

static void flip(int fd, uint64_t at)
{
	uint8_t byte;

	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= (uint8_t)(1 << below(8));
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static int try_page(struct page_cache *c, struct tile *t, uint32_t field, uint32_t number, struct budget *budget, struct err *e)
{
	const struct page *p = NULL;
	struct arena scratch;
	bool was_there = true;

	*e = (struct err){0};
	arena_init(&scratch, budget);
	int rc = page_get(c, true, t, field, number, &scratch, &p, &was_there, e);
	ck_assert(rc >= 0 || (!p && !was_there));
	page_put(p);
	arena_release(&scratch);
	return rc;
}

/* Each page in turn with a byte that is wrong: nothing is kept of it, others are what they are. */
START_TEST(damaged_pages_are_not_kept)
{
	struct page_cache *c = cache(PLENTY);
	struct model m;
	struct tile *t;
	struct err e;

	open_many(&m, "t", &t);
	int fd = openat(dfd, "t", O_RDWR);
	ck_assert_int_ge(fd, 0);
	for (uint32_t i = 0; i < column_n(t); i++)
		for (uint32_t number = 0; number < tile_info(t)->page_count; number += 1 + below(4)) {
			uint32_t field = column_at(t, i), other = number ? number - 1 : number + 1;
			uint32_t column = field == PAGE_TIME ? tile_column_time(t) : field == PAGE_VERSION ? t->version : tile_column_field(t, field);
			const struct tile_page_ref *ref = &t->ix.pages[(size_t)column * tile_info(t)->page_count + number];
			uint64_t at = ref->off + below(ref->size);
			uint8_t byte;
			page_cache_forget(c, tile_number(t));
			ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
			flip(fd, at);
			for (int k = 0; k < 2; k++) {
				int rc = try_page(c, t, field, number, NULL, &e);
				unit_assert(&rng, rc == -EBADMSG, "column %u page %u: %d %s", i, number, rc, e.text);
				unit_assert(&rng, strstr(e.text, "offset"), "%s", e.text);
				ck_assert_uint_eq(stats(c).pages, 0);
			}
			ck_assert_int_eq(try_page(c, t, field, other, NULL, &e), 0);
			ck_assert_uint_eq(stats(c).pages, 1);
			ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
			ck_assert(!got_from_cache(c, t, field, number));
			ck_assert(got_from_cache(c, t, field, number));
			/* Once it is in memory, the file may say what it likes. */
			flip(fd, at);
			ck_assert(got_from_cache(c, t, field, number));
			ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
		}
	close(fd);
	tile_put(t);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

START_TEST(failing_disks_and_little_memory)
{
	struct page_cache *c = cache(PLENTY);
	struct io *io = io_fault_create();
	struct io_rule rule = {.op = "pread", .path = "", .first = 1, .count = -1, .kind = IO_FAIL, .error = EIO};
	struct budget budget;
	struct model m;
	struct tile *t, *faulty;
	struct err e = {0};

	open_many(&m, "t", &t);
	ck_assert_int_eq(tile_open(io, dfd, "t", &faulty, &e), 0);
	budget_init(&budget, 40); /* not a row */
	for (uint32_t i = 0; i < column_n(t); i++) {
		uint32_t field = column_at(t, i);
		bool is_text = i < tile_info(t)->field_count && tile_info(t)->fields[i].type == COL_VARCHAR;
		io_fault_add(io, &rule);
		ck_assert_int_eq(try_page(c, faulty, field, 0, NULL, &e), -EIO);
		io_fault_clear(io);
		ck_assert_uint_eq(stats(c).pages, 0);
		/* Strings are decoded in memory of the page. */
		if (!is_text) {
			ck_assert_int_eq(try_page(c, t, field, 0, &budget, &e), -ENOMEM);
			ck_assert_uint_gt(strlen(e.text), 0);
		}
		ck_assert_uint_eq(atomic_load(&budget.used), 0);
		ck_assert_uint_eq(stats(c).pages, 0);
		ck_assert_int_eq(try_page(c, faulty, field, 0, NULL, &e), 0);
		ck_assert_uint_eq(stats(c).pages, 1);
		page_cache_forget(c, tile_number(faulty));
	}
	tile_put(faulty);
	tile_put(t);
	io_fault_destroy(io);
	page_cache_destroy(c);
	arena_release(&m.a);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		pages_are_what_the_file_says, every_type_with_and_without_null, the_second_time_it_is_there,
		what_is_asked_for_stays,      a_page_outlives_all,		a_tile_takes_its_pages_along,
		what_is_read_once_is_not_kept, damaged_pages_are_not_kept,	failing_disks_and_little_memory,
	};
	unit_in_memory();
	Suite *s = suite_create("page");
	TCase *tc = tcase_create("page");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(tc, a_limit_is_kept, 0, 7);
	tcase_add_loop_test(tc, widths, 0, (int)ARRAY_LEN(width_cases));
	tcase_add_loop_test(tc, threads, 0, 3);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
