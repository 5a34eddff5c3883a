/*
 * Tiles against a model: random series, types, NULLs, sizes and versions are written, read back
 * page by page and compared with what went in; then damaged in every way that a test can afford.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>

#include "engine/tile_read.h"
#include "tests/unit/unit.h"

/* ---- random ---------------------------------------------------------------------------------- */

static struct unit_rng rng;

static uint64_t rnd(void)
{
	return unit_rand(&rng);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

static bool chance(uint32_t percent)
{
	return below(100) < percent;
}

/* ---- the model ------------------------------------------------------------------------------- */

#define FIELDS_MAX 8
#define DIMS_MAX   3

struct mseries {
	uint32_t id, rows;
	struct str dims[DIMS_MAX], measure;
	uint64_t row0;
};

struct model {
	struct arena a;
	struct tile_spec spec;
	struct tile_field fields[FIELDS_MAX];
	struct str dims[DIMS_MAX];
	struct mseries *series;
	uint32_t series_count;
	uint64_t rows, values;
	int64_t *time, *version;
	struct col cols[FIELDS_MAX];
	bool versions;
};

static struct str letters(struct arena *a, uint32_t max)
{
	char text[256];
	uint32_t n = below(max + 1);

	for (uint32_t i = 0; i < n; i++)
		text[i] = (char)('a' + below(26));
	return arena_str(a, (struct str){text, n});
}

enum shape { SHAPE_CONST, SHAPE_WALK, SHAPE_FEW, SHAPE_WILD, SHAPES };

static void fill_field(struct model *m, uint32_t f)
{
	struct col *c = &m->cols[f];
	enum coltype type = m->fields[f].type;
	enum shape shape = (enum shape)below(SHAPES);
	uint32_t nulls = chance(40) ? 0 : chance(10) ? 100 : below(100), stretch = 0;
	int64_t walk = 50;
	bool is_null = false;

	c->type = type;
	c->data = arena_zalloc(&m->a, (size_t)m->rows * coltype_size(type) + 1);
	c->valid = arena_zalloc(&m->a, (size_t)m->rows + 1);
	for (uint64_t i = 0; i < m->rows; i++) {
		if (!stretch--) {
			stretch = below(20000);
			is_null = chance(nulls);
		}
		/* Stretches of NULLs, and single ones. */
		if (nulls == 100 || is_null || chance(nulls / 4)) {
			if (type == COL_VARCHAR)
				c->str[i] = STR_LIT("");
			continue;
		}
		c->valid[i] = 1;
		m->values++;
		walk += (int64_t)below(3) - 1;
		int64_t v = shape == SHAPE_CONST  ? 7
			    : shape == SHAPE_WALK ? walk
			    : shape == SHAPE_FEW  ? (int64_t)below(5) * 1000003
			    : chance(3)		  ? (chance(50) ? INT64_MAX : INT64_MIN)
						  : (int64_t)rnd() >> below(64);
		switch (type) {
		case COL_BIGINT:
			c->i64[i] = v;
			break;
		case COL_TIMESTAMP:
			c->i64[i] = shape == SHAPE_WILD ? v : v * 1000000;
			break;
		case COL_DOUBLE:
			c->f64[i] = shape == SHAPE_WILD && chance(2)
					    ? (const double[]){NAN, -0.0, INFINITY, -INFINITY}[below(4)]
				    : shape == SHAPE_WILD ? (double)v * 1.1
							  : (double)v / 100;
			break;
		case COL_BOOLEAN:
			c->b8[i] = v & 1;
			break;
		case COL_VARCHAR:
			c->str[i] = shape == SHAPE_CONST ? STR_LIT("on")
				    : shape == SHAPE_FEW ? (struct str){"abcdefgh", (size_t)v % 7}
							 : letters(&m->a, shape == SHAPE_WILD ? 120
											      : 6);
			break;
		}
	}
}

static int series_cmp(const void *pa, const void *pb)
{
	const struct mseries *a = pa, *b = pb;

	for (uint32_t d = 0; d < DIMS_MAX; d++) {
		if (!a->dims[d].ptr != !b->dims[d].ptr)
			return a->dims[d].ptr ? 1 : -1;
		int c = a->dims[d].ptr ? str_cmp(a->dims[d], b->dims[d]) : 0;
		if (c)
			return c;
	}
	return str_cmp(a->measure, b->measure);
}

static uint32_t some_rows(uint32_t scale)
{
	static const uint32_t edges[] = {1,    2,    127,  128,   129,	 2047,	2048,  2049, 4095,
					 4096, 4097, 6143, 6144,  8191,	 8192,	8193,  8194, 10240,
					 12287, 12288, 12289, 16384};

	if (scale > 1 && chance(20))
		return edges[below(ARRAY_LEN(edges))];
	return chance(70) ? 1 + below(30) : 1 + below(300 * scale);
}

static void make_series(struct model *m, uint32_t count, uint32_t scale)
{
	m->series = arena_zarray(&m->a, struct mseries, count);
	for (uint32_t i = 0; i < count; i++) {
		struct mseries *s = &m->series[i];
		for (uint32_t d = 0; d < m->spec.dim_count; d++)
			if (!chance(20))
				s->dims[d] = letters(&m->a, chance(2) ? 200 : 2);
		s->measure = letters(&m->a, 2);
		s->id = 1000 * i + below(1000);
		s->rows = some_rows(scale);
	}
	qsort(m->series, count, sizeof *m->series, series_cmp);
	for (uint32_t i = 0; i < count; i++) {
		struct mseries *s = &m->series[i];
		if (m->series_count &&
		    series_cmp(&m->series[m->series_count - 1], s) == 0)
			continue;
		s->row0 = m->rows;
		m->rows += s->rows;
		m->series[m->series_count++] = *s;
	}
}

static void make_times(struct model *m)
{
	uint32_t kind = below(4); /* regular seconds, irregular ms, ns late in the file, ns */

	m->time = arena_array(&m->a, int64_t, m->rows + 1);
	m->version = arena_array(&m->a, int64_t, m->rows + 1);
	for (uint32_t s = 0; s < m->series_count; s++) {
		int64_t t = (int64_t)(rnd() >> 20) * (chance(10) ? -1 : 1) / 1000000 * 1000000;
		for (uint32_t i = 0; i < m->series[s].rows; i++) {
			uint64_t row = m->series[s].row0 + i;
			bool ns = kind == 3 || (kind == 2 && row > m->rows / 4 * 3);
			t += kind == 0 ? NS_PER_S : (int64_t)(1 + below(5000)) * NS_PER_MS;
			t += ns ? below(1000) : 0;
			m->time[row] = t;
			bool late = row > m->rows / 2;
			m->version[row] = m->versions && late ? (int64_t)rnd() >> 40 : 1;
		}
	}
}

static void model_init(struct model *m, uint32_t series, uint32_t scale, enum tile_codec codec)
{
	static const char *const names[DIMS_MAX] = {"az", "host", "region"};

	memset(m, 0, sizeof *m);
	arena_init(&m->a, NULL);
	m->versions = chance(30);
	m->spec = (struct tile_spec){
		.seq_lo = 5, .seq_hi = 5 + below(100), .generation = rnd(), .codec = codec};
	for (int i = 0; i < 16; i++)
		m->spec.table_uuid[i] = (uint8_t)rnd();
	m->spec.dim_count = below(DIMS_MAX + 1);
	for (uint32_t i = 0; i < m->spec.dim_count; i++)
		m->dims[i] = str_from(names[i]);
	m->spec.field_count = below(FIELDS_MAX + 1);
	for (uint32_t i = 0; i < m->spec.field_count; i++) {
		m->fields[i].name = (struct str){arena_printf(&m->a, "f%u", i), 2};
		m->fields[i].col_id = 100 + i * 3;
		m->fields[i].type = (enum coltype)(COL_BIGINT + below(5));
	}
	m->spec.fields = m->fields;
	m->spec.dims = m->dims;
	make_series(m, series, scale);
	make_times(m);
	for (uint32_t i = 0; i < m->spec.field_count; i++)
		fill_field(m, i);
}

/* ---- writing it ------------------------------------------------------------------------------ */

static char dir[64];
static int dirfd = -1;

static void setup(void)
{
	rng = unit_rng();
	dirfd = unit_dir(dir);
}

static void teardown(void)
{
	unit_dir_remove(dirfd, dir);
}

static int write_rows(struct tile_writer *w, struct model *m, const struct mseries *s,
		      struct err *e)
{
	for (uint32_t from = 0; from < s->rows;) {
		uint32_t some = 1 + below(9000), n = MIN(s->rows - from, some);
		struct col cols[FIELDS_MAX];
		uint64_t row = s->row0 + from;
		for (uint32_t f = 0; f < m->spec.field_count; f++) {
			cols[f] = m->cols[f];
			cols[f].data = (char *)cols[f].data + row * coltype_size(cols[f].type);
			cols[f].valid += row;
			/* The two other ways to say it. */
			if (!memchr(cols[f].valid, 1, n) && chance(50))
				cols[f].data = NULL;
			else if (!memchr(cols[f].valid, 0, n) && chance(50))
				cols[f].valid = NULL;
		}
		bool ones = true;
		for (uint32_t i = 0; i < n; i++)
			ones &= m->version[row + i] == 1;
		int rc = tile_writer_rows(w, n, m->time + row, cols,
					  ones && chance(50) ? NULL : m->version + row, e);
		if (rc < 0)
			return rc;
		from += n;
	}
	return 0;
}

static int write_model(struct model *m, const struct io *io, const char *name,
		       struct tile_summary *ret, struct err *e)
{
	struct tile_writer *w;

	unlinkat(dirfd, name, 0);
	int rc = tile_writer_create(io, dirfd, name, &m->spec, &w, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < m->series_count && rc >= 0; i++) {
		const struct mseries *s = &m->series[i];
		/* Announced series without rows leave no trace. */
		if (chance(5))
			rc = tile_writer_series(w, 9999999, STR_LIT("nothing"), s->dims, e);
		if (rc >= 0)
			rc = tile_writer_series(w, s->id, s->measure, s->dims, e);
		if (rc >= 0)
			rc = write_rows(w, m, s, e);
	}
	if (rc < 0) {
		tile_writer_abort(w);
		return rc;
	}
	return tile_writer_finish(w, ret, e);
}

/* ---- reading it ------------------------------------------------------------------------------ */

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return err_set(e, -EPROTO, __VA_ARGS__);                                   \
	} while (0)

static int compare_field(struct model *m, struct tile *t, uint32_t f, uint32_t page, struct err *e)
{
	uint64_t row = tile_page_row(t, page), end = tile_page_row(t, page + 1);
	const struct tile_page_stats *st = tile_page_stats(t, f, page);
	const struct col *want = &m->cols[f];
	struct arena a;
	struct col got;
	uint32_t nulls = 0;
	double sum = 0;
	__extension__ __int128 sum_i = 0;

	arena_init(&a, NULL);
	int rc = tile_read_field(t, f, page, &a, &got, e);
	if (rc < 0)
		goto done;
	rc = -EPROTO;
	for (uint64_t i = row; i < end; i++) {
		uint64_t k = i - row;
		bool valid = !got.valid || got.valid[k], same;
		nulls += !valid;
		if (valid != want->valid[i]) {
			err_set(e, rc, "field %u row %" PRIu64 ": validity", f, i);
			goto done;
		}
		/* Rows that are NULL have a defined value: 0, or an empty string. */
		switch (want->type) {
		case COL_VARCHAR:
			same = got.str[k].ptr && str_eq(got.str[k], want->str[i]);
			break;
		case COL_BOOLEAN:
			same = got.b8[k] == want->b8[i];
			sum_i += want->b8[i];
			break;
		default:
			same = got.i64[k] == want->i64[i];
			if (want->type == COL_DOUBLE)
				sum += want->f64[i];
			else
				sum_i += want->i64[i];
			if (valid && st->has_minmax && want->type == COL_DOUBLE)
				same &= st->min.f64 <= want->f64[i] && st->max.f64 >= want->f64[i];
			else if (valid && st->has_minmax)
				same &= st->min.i64 <= want->i64[i] && st->max.i64 >= want->i64[i];
		}
		if (!same) {
			err_set(e, rc, "field %u row %" PRIu64 ": value", f, i);
			goto done;
		}
	}
	bool near = want->type != COL_DOUBLE || sum == st->sum_f ||
		    (isnan(sum) && isnan(st->sum_f)) || !isfinite(sum) ||
		    fabs(sum - st->sum_f) <= 1e-6 * (fabs(sum) + 1e300);
	if (st->nulls != nulls || st->rows != end - row || st->sum_i != sum_i || !near)
		err_set(e, rc, "field %u page %u: statistics", f, page);
	else
		rc = 0;
done:
	arena_release(&a);
	return rc;
}

static int compare_page(struct model *m, struct tile *t, uint32_t page, struct err *e)
{
	static _Thread_local int64_t time[TILE_PAGE_ROWS_MAX], version[TILE_PAGE_ROWS_MAX];
	uint64_t row = tile_page_row(t, page), n = tile_page_row(t, page + 1) - row;
	int64_t t_min, t_max;

	CHECK(n && n <= TILE_PAGE_ROWS_MAX, "page %u has %" PRIu64 " rows", page, n);
	CHECK(tile_page_of_row(t, row) == page && tile_page_of_row(t, row + n - 1) == page,
	      "page %u is not found by its rows", page);
	int rc = tile_read_time(t, page, time, e);
	if (rc >= 0)
		rc = tile_read_version(t, page, version, e);
	if (rc < 0)
		return rc;
	CHECK(memcmp(time, m->time + row, n * 8) == 0, "page %u: times", page);
	CHECK(memcmp(version, m->version + row, n * 8) == 0, "page %u: versions", page);
	tile_page_times(t, page, &t_min, &t_max);
	for (uint64_t i = 0; i < n; i++)
		CHECK(time[i] >= t_min && time[i] <= t_max, "page %u: time range", page);
	for (uint32_t f = 0; f < m->spec.field_count; f++) {
		rc = compare_field(m, t, f, page, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int compare_info(struct model *m, struct tile *t, struct err *e)
{
	const struct tile_info *in = tile_info(t);
	bool versions = false;

	for (uint64_t i = 0; i < m->rows; i++)
		versions |= m->version[i] != 1;
	CHECK(in->rows == m->rows && in->series_count == m->series_count &&
		      in->codec == m->spec.codec && in->has_version == versions &&
		      in->seq_lo == m->spec.seq_lo && in->seq_hi == m->spec.seq_hi &&
		      in->generation == m->spec.generation &&
		      memcmp(in->table_uuid, m->spec.table_uuid, 16) == 0,
	      "info");
	CHECK(in->field_count == m->spec.field_count && in->dim_count == m->spec.dim_count,
	      "columns");
	for (uint32_t f = 0; f < in->field_count; f++)
		CHECK(str_eq(in->fields[f].name, m->fields[f].name) &&
			      in->fields[f].type == m->fields[f].type &&
			      in->fields[f].col_id == m->fields[f].col_id &&
			      tile_find_field(t, m->fields[f].col_id) == f,
		      "field %u", f);
	CHECK(tile_find_field(t, 7) == -1 && tile_find_series(t, 77777777) == -1, "look-ups");
	for (uint32_t i = 0; i < m->series_count; i++) {
		const struct tile_series *s = &tile_series(t)[i];
		const struct mseries *w = &m->series[i];
		CHECK(s->series_id == w->id && s->rows == w->rows && s->row0 == w->row0 &&
			      s->t_min == m->time[w->row0] &&
			      s->t_max == m->time[w->row0 + w->rows - 1] &&
			      tile_find_series(t, w->id) == i,
		      "series %u", i);
		uint32_t p = tile_page_of_row(t, w->row0);
		if (w->rows >= TILE_SERIES_OWN_PAGE)
			CHECK(tile_page_row(t, p) == w->row0, "a big series begins inside a page");
	}
	return 0;
}

static int compare(struct model *m, const struct io *io, const char *name, struct err *e)
{
	struct tile *t;
	int rc = tile_open(io, dirfd, name, &t, e);

	if (rc < 0)
		return rc;
	rc = compare_info(m, t, e);
	for (uint32_t p = 0; p < tile_info(t)->page_count && rc >= 0; p++)
		rc = compare_page(m, t, p, e);
	tile_put(t);
	return rc;
}

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
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "t", &t, &e), 0);
	ck_assert_uint_eq(tile_info(t)->file_bytes, sum.file_bytes);
	ck_assert_int_eq(tile_info(t)->t_min, sum.t_min);
	ck_assert_int_eq(tile_info(t)->t_max, sum.t_max);
	rc = tile_verify(t, &e);
	unit_assert(&rng, rc >= 0, "verify: %s", e.text);
	tile_put(t);
	ck_assert_int_eq(unlinkat(dirfd, "t", 0), 0);
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
	int fd = openat(dirfd, name, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size + 1);
	ck_assert_int_eq(pread(fd, *ret, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void write_file(const char *name, const uint8_t *p, size_t n)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, p, n, 0), (ssize_t)n);
	close(fd);
}

static int open_and_verify(const char *name, struct err *e)
{
	struct tile *t;
	int rc = tile_open(io_posix(), dirfd, name, &t, e);

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
	int fd = openat(dirfd, "t", O_WRONLY);
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
	int fd = openat(dirfd, "t", O_WRONLY);
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "t", &t, &e), 0);
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
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "t", &t, &e), 0);
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

	ck_assert_int_eq(tile_writer_create(io_posix(), dirfd, "o", &spec, &w, &e), 0);
	ck_assert_int_eq(tile_writer_create(io_posix(), dirfd, "o", &spec, &w, &e), -EEXIST);
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
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "o", &t, &e), 0);
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
	ck_assert_int_eq(tile_writer_create(io_posix(), dirfd, "x", &spec, &w, &e), 0);
	ck_assert_int_eq(tile_writer_series(w, 1, STR_LIT("m"), NULL, &e), 0);
	ck_assert_int_eq(tile_writer_rows(w, ARRAY_LEN(times), times, &col, NULL, &e), 0);
	ck_assert_int_eq(tile_writer_finish(w, NULL, &e), 0);
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "x", &t, &e), 0);
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
		ck_assert_int_eq(faccessat(dirfd, "bad", F_OK, 0), -1);
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
	ck_assert_int_eq(tile_open(io_posix(), dirfd, "t", &t, &e), 0);
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
