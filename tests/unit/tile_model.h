/*
 * tile_model: tiles against a model. Random series, types, NULLs, sizes and versions, or what a test asks
 * for; written as a tile, and read back page by page and compared with what went in.
 */
#ifndef TIDE_TILE_MODEL_H
#define TIDE_TILE_MODEL_H

#include <inttypes.h>
#include <math.h>

#include "engine/tile_read.h"
#include "tests/unit/unit.h"

/* ---- random ---------------------------------------------------------------------------------- */

static __attribute__((unused)) struct unit_rng rng;

static __attribute__((unused)) uint64_t rnd(void)
{
	return unit_rand(&rng);
}

static __attribute__((unused)) uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

static __attribute__((unused)) bool chance(uint32_t percent)
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

static __attribute__((unused)) struct str letters(struct arena *a, uint32_t max)
{
	char text[256];
	uint32_t n = below(max + 1);

	for (uint32_t i = 0; i < n; i++)
		text[i] = (char)('a' + below(26));
	return arena_str(a, (struct str){text, n});
}

enum times { TIMES_REGULAR, TIMES_MS, TIMES_NS_LATE, TIMES_NS, TIMES_KINDS };

enum shape { SHAPE_CONST, SHAPE_WALK, SHAPE_FEW, SHAPE_WILD, SHAPE_SMOOTH, SHAPES };

static __attribute__((unused)) void fill_field(struct model *m, uint32_t f, enum shape shape,
						uint32_t nulls)
{
	struct col *c = &m->cols[f];
	enum coltype type = m->fields[f].type;
	uint32_t stretch = 0;
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
			    : shape == SHAPE_WALK || shape == SHAPE_SMOOTH ? walk
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
				    : shape == SHAPE_SMOOTH ? 20 + sin((double)i / 5000) + below(1000) * 1e-7
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

static __attribute__((unused)) int model_series_cmp(const void *pa, const void *pb)
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

static __attribute__((unused)) uint32_t some_rows(uint32_t scale)
{
	static const uint32_t edges[] = {1,    2,    127,  128,   129,	 2047,	2048,  2049, 4095,
					 4096, 4097, 6143, 6144,  8191,	 8192,	8193,  8194, 10240, 12287, 12288, 16384, 24575, 24576,
					 12287, 12288, 12289, 16384};

	if (scale > 1 && chance(20))
		return edges[below(ARRAY_LEN(edges))];
	return chance(70) ? 1 + below(30) : 1 + below(300 * scale);
}

static __attribute__((unused)) void make_series(struct model *m, uint32_t count, uint32_t scale)
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
	qsort(m->series, count, sizeof *m->series, model_series_cmp);
	for (uint32_t i = 0; i < count; i++) {
		struct mseries *s = &m->series[i];
		if (m->series_count &&
		    model_series_cmp(&m->series[m->series_count - 1], s) == 0)
			continue;
		s->row0 = m->rows;
		m->rows += s->rows;
		m->series[m->series_count++] = *s;
	}
}

static __attribute__((unused)) void make_times(struct model *m, enum times kind)
{

	m->time = arena_array(&m->a, int64_t, m->rows + 1);
	m->version = arena_array(&m->a, int64_t, m->rows + 1);
	for (uint32_t s = 0; s < m->series_count; s++) {
		int64_t t = (int64_t)(rnd() >> 20) * (chance(10) ? -1 : 1) / 1000000 * 1000000;
		for (uint32_t i = 0; i < m->series[s].rows; i++) {
			uint64_t row = m->series[s].row0 + i;
			bool ns = kind == TIMES_NS || (kind == TIMES_NS_LATE && row > m->rows / 4 * 3);
			t += kind == TIMES_REGULAR ? NS_PER_S : (int64_t)(1 + below(5000)) * NS_PER_MS;
			t += ns ? below(1000) : 0;
			m->time[row] = t;
			bool late = row > m->rows / 2;
			m->version[row] = m->versions && late ? (int64_t)rnd() >> 40 : 1;
		}
	}
}

/*
 * What a test asks for. fields: for each a type (i bigint, d double, b boolean, s varchar, t timestamp), a
 * shape (c constant, w walk, f few values, x wild, s smooth) and its NULLs (0 none, n some, N only).
 */
struct want {
	const char *fields;
	uint32_t dims, series, scale; /* scale 1: up to some hundred rows a series */
	enum times times;
	bool versions;
	enum tile_codec codec;
};

static __attribute__((unused)) void model_init_as(struct model *m, const struct want *w)
{
	static const char *const names[DIMS_MAX] = {"az", "host", "region"};
	static const char types[] = " idbst", shapes[] = "cwfxs";

	memset(m, 0, sizeof *m);
	arena_init(&m->a, NULL);
	m->versions = w->versions;
	m->spec = (struct tile_spec){
		.seq_lo = 5, .seq_hi = 5 + below(100), .generation = rnd(), .codec = w->codec, .is_compact = chance(50)};
	for (int i = 0; i < 16; i++)
		m->spec.table_uuid[i] = (uint8_t)rnd();
	m->spec.dim_count = w->dims;
	for (uint32_t i = 0; i < m->spec.dim_count; i++)
		m->dims[i] = str_from(names[i]);
	m->spec.field_count = (uint32_t)strlen(w->fields) / 3;
	for (uint32_t i = 0; i < m->spec.field_count; i++) {
		m->fields[i].name = (struct str){arena_printf(&m->a, "f%u", i), 2};
		m->fields[i].col_id = 100 + i * 3;
		m->fields[i].type = (enum coltype)(strchr(types, w->fields[3 * i]) - types);
	}
	m->spec.fields = m->fields;
	m->spec.dims = m->dims;
	make_series(m, w->series, w->scale);
	make_times(m, w->times);
	for (uint32_t i = 0; i < m->spec.field_count; i++) {
		char nulls = w->fields[3 * i + 2];
		fill_field(m, i, (enum shape)(strchr(shapes, w->fields[3 * i + 1]) - shapes),
			   nulls == 'N'	  ? 100
			   : nulls == 'n' ? 1 + below(99)
					  : 0);
	}
}

/* Of all that can be asked for, anything. */
static __attribute__((unused)) void model_init(struct model *m, uint32_t series, uint32_t scale,
					       enum tile_codec codec)
{
	char fields[3 * FIELDS_MAX + 1] = "";
	struct want w = {.fields = fields, .dims = below(DIMS_MAX + 1), .series = series, .scale = scale,
			 .times = (enum times)below(TIMES_KINDS), .versions = chance(30), .codec = codec};

	for (uint32_t i = 0, n = below(FIELDS_MAX + 1); i < n; i++) {
		fields[3 * i] = "idbst"[below(5)];
		fields[3 * i + 1] = "cwfxs"[below(SHAPES)];
		fields[3 * i + 2] = chance(40) ? '0' : chance(10) ? 'N' : 'n';
	}
	model_init_as(m, &w);
}

/* ---- writing it ------------------------------------------------------------------------------ */

static __attribute__((unused)) char dir[64];
static __attribute__((unused)) int dfd = -1;

static __attribute__((unused)) void setup(void)
{
	rng = unit_rng();
	dfd = unit_dir(dir);
}

static __attribute__((unused)) void teardown(void)
{
	unit_dir_remove(dfd, dir);
}

static __attribute__((unused)) int write_rows(struct tile_writer *w, struct model *m, const struct mseries *s,
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

static __attribute__((unused)) int write_model(struct model *m, const struct io *io, const char *name,
		       struct tile_summary *ret, struct err *e)
{
	struct tile_writer *w;

	unlinkat(dfd, name, 0);
	int rc = tile_writer_create(io, dfd, name, &m->spec, &w, e);
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

static __attribute__((unused)) int compare_field(struct model *m, struct tile *t, uint32_t f, uint32_t page, struct err *e)
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

static __attribute__((unused)) int compare_page(struct model *m, struct tile *t, uint32_t page, struct err *e)
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

static __attribute__((unused)) int compare_info(struct model *m, struct tile *t, struct err *e)
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

static __attribute__((unused)) int compare(struct model *m, const struct io *io, const char *name, struct err *e)
{
	struct tile *t;
	int rc = tile_open(io, dfd, name, &t, e);

	if (rc < 0)
		return rc;
	rc = compare_info(m, t, e);
	for (uint32_t p = 0; p < tile_info(t)->page_count && rc >= 0; p++)
		rc = compare_page(m, t, p, e);
	tile_put(t);
	return rc;
}

#endif
