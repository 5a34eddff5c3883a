/*
 * tile_make KIND FILE [SERIES ROWS [none]]: write a tile of made-up rows, read it back, and say how
 * large it is and how long that took.
 *
 *	mixed   all types with NULLs, NaN, long strings; times become ns and versions appear late.
 *	        Made so that each encoding is the smallest one for some column
 *	walk    ten BIGINT columns, random walks between 0 and 100, every 10 s; ten tags
 *	money   four DOUBLE columns with two decimals, random walks
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/tile.h"

#define BATCH 4096
#define WIDE  10 /* columns and dimensions at most */

static uint64_t state = 42;

static uint32_t below(uint32_t n)
{
	state += UINT64_C(0x9E3779B97F4A7C15);
	return (uint32_t)(hash_u64(state) % n);
}

static const struct kind {
	const char *name;
	uint32_t fields, dims;
	enum coltype types[WIDE];
	bool regular;
} kinds[] = {
	{"mixed",
	 10,
	 2,
	 {COL_BIGINT, COL_DOUBLE, COL_BOOLEAN, COL_VARCHAR, COL_TIMESTAMP, COL_VARCHAR, COL_BIGINT,
	  COL_TIMESTAMP, COL_DOUBLE, COL_VARCHAR},
	 false},
	{"walk",
	 10,
	 10,
	 {COL_BIGINT, COL_BIGINT, COL_BIGINT, COL_BIGINT, COL_BIGINT, COL_BIGINT, COL_BIGINT,
	  COL_BIGINT, COL_BIGINT, COL_BIGINT},
	 true},
	{"money", 4, 1, {COL_DOUBLE, COL_DOUBLE, COL_DOUBLE, COL_DOUBLE}, true},
};

static struct arena texts; /* of one batch */

static struct str some_text(uint32_t f, uint64_t row)
{
	static const char *const few[] = {"ok", "warm", "hot \"quoted\"", "\xC3\xA9t\xC3\xA9", ""};

	if (f == 3)
		return str_from(few[below(5)]);
	if (f == 9)
		return str_from(arena_printf(&texts, "%08x%0*x", below(UINT32_MAX), (int)below(9),
					     below(9)));
	return str_from(arena_printf(&texts, "event %u of %llu %0*u", below(1000),
				     (unsigned long long)row, 1 + (int)below(90), below(9)));
}

/* Row `row` of a field; at: its place in the batch. */
static void put(const struct kind *k, struct col *c, uint32_t f, uint32_t at, uint64_t row,
		int64_t *last)
{
	static const double odd[] = {NAN, INFINITY, -INFINITY, -0.0, 1e300, 5e-324};

	c->valid[at] = k->regular || below(10) != 0;
	/* A field without any value for a while. */
	if (!k->regular && f == 6)
		c->valid[at] = row > 200000;
	switch (k->types[f]) {
	case COL_BIGINT:
		*last = k->regular ? MIN(MAX(*last + (int64_t)below(3) - 1, 0), 100)
				   : (int64_t)below(1000000) - 500000;
		c->i64[at] = k->regular || below(1000) ? *last : below(2) ? INT64_MAX : INT64_MIN;
		break;
	case COL_DOUBLE:
		if (f == 8) { /* a smooth curve with all its digits */
			c->f64[at] = 20 + sin((double)row / 5000) + below(1000) * 1e-7;
			break;
		}
		*last += (int64_t)below(201) - 100;
		c->f64[at] = k->regular || below(500) ? (double)*last / 100 : odd[below(6)];
		break;
	case COL_BOOLEAN:
		c->b8[at] = row / 5000 % 2; /* long runs */
		break;
	case COL_VARCHAR:
		c->str[at] = some_text(f, row);
		break;
	case COL_TIMESTAMP:
		*last += f == 4 ? (int64_t)below(1000) * NS_PER_MS : (int64_t)below(100000);
		c->i64[at] = *last - (f == 7 ? NS_PER_DAY : 0);
		break;
	}
}

static void die(const struct err *e)
{
	fprintf(stderr, "tile_make: %s\n", e->text);
	exit(1);
}

static double seconds(int64_t since)
{
	return (double)(clock_mono_ns() - since) / 1e9;
}

static void scan(const char *path, uint64_t rows)
{
	struct tile *t;
	struct err e = {0};
	struct arena a;
	struct col col;
	int64_t t0 = clock_mono_ns();
	int64_t *time = malloc(TILE_PAGE_ROWS_MAX * sizeof *time);

	arena_init(&a, NULL);
	if (tile_open(io_posix(), AT_FDCWD, path, &t, &e) < 0)
		die(&e);
	double opened = seconds(t0);
	t0 = clock_mono_ns();
	for (uint32_t p = 0; p < tile_info(t)->page_count; p++)
		if (tile_read_time(t, p, time, &e) < 0)
			die(&e);
	double times = seconds(t0);
	t0 = clock_mono_ns();
	for (uint32_t f = 0; f < tile_info(t)->field_count; f++) {
		for (uint32_t p = 0; p < tile_info(t)->page_count; p++) {
			arena_reset(&a);
			if (tile_read_field(t, f, p, &a, &col, &e) < 0)
				die(&e);
		}
	}
	double fields = seconds(t0);
	double values = (double)rows * tile_info(t)->field_count;
	t0 = clock_mono_ns();
	if (tile_verify(t, &e) < 0)
		die(&e);
	printf("open %.2f ms, time %.0f M rows/s, fields %.0f M values/s, verify %.2f s\n",
	       opened * 1e3, (double)rows / times / 1e6, values / fields / 1e6, seconds(t0));
	tile_put(t);
	arena_release(&a);
	free(time);
}

struct maker {
	const struct kind *k;
	struct tile_spec spec;
	struct tile_field fields[WIDE];
	struct str dims[WIDE], values[WIDE];
	char names[2 * WIDE][16], texts[WIDE][32];
	struct col cols[WIDE];
	int64_t time[BATCH], version[BATCH];
	uint64_t row;
	int64_t spent; /* ns inside the writer */
};

static void maker_init(struct maker *m)
{
	m->spec = (struct tile_spec){.seq_lo = 1,
				     .seq_hi = 9,
				     .generation = 1,
				     .fields = m->fields,
				     .field_count = m->k->fields,
				     .dims = m->dims,
				     .dim_count = m->k->dims};
	for (uint32_t f = 0; f < m->k->fields; f++) {
		snprintf(m->names[f], sizeof m->names[f], "f%u", f);
		m->fields[f] = (struct tile_field){str_from(m->names[f]), f + 1, m->k->types[f]};
		m->cols[f].type = m->k->types[f];
		m->cols[f].data = malloc(BATCH * sizeof(struct str));
		m->cols[f].valid = malloc(BATCH);
	}
	for (uint32_t d = 0; d < m->k->dims; d++) {
		snprintf(m->names[WIDE + d], sizeof m->names[0], "tag%u", d);
		m->dims[d] = str_from(m->names[WIDE + d]);
	}
}

static void begin_series(struct maker *m, struct tile_writer *w, uint32_t s, struct err *e)
{
	for (uint32_t d = 0; d < m->k->dims; d++) {
		if (d)
			snprintf(m->texts[d], sizeof m->texts[d], "value_%u_%u", s % (d + 2), d);
		else
			snprintf(m->texts[d], sizeof m->texts[d], "host_%05u", s);
		m->values[d] = str_from(m->texts[d]);
	}
	if (!m->k->regular && s % 4 == 0)
		m->values[1] = (struct str){NULL, 0};
	if (tile_writer_series(w, s, STR_LIT("cpu"), m->values, e) < 0)
		die(e);
}

static void make_series(struct maker *m, struct tile_writer *w, uint32_t n, struct err *e)
{
	int64_t last[WIDE] = {0}, t = INT64_C(1451606400) * NS_PER_S;

	for (uint32_t from = 0; from < n; from += BATCH) {
		uint32_t k = MIN(n - from, (uint32_t)BATCH);
		arena_reset(&texts);
		for (uint32_t i = 0; i < k; i++, m->row++) {
			t += m->k->regular     ? 10 * NS_PER_S
			     : m->row > 150000 ? 1 + (int64_t)below(100000)
					       : (1 + (int64_t)below(1000)) * NS_PER_MS;
			m->time[i] = t;
			m->version[i] = !m->k->regular && m->row > 180000 ? below(5) : 1;
			for (uint32_t f = 0; f < m->k->fields; f++)
				put(m->k, &m->cols[f], f, i, m->row, &last[f]);
		}
		int64_t t0 = clock_mono_ns();
		if (tile_writer_rows(w, k, m->time, m->cols, m->version, e) < 0)
			die(e);
		m->spent += clock_mono_ns() - t0;
	}
}

int main(int argc, char **argv)
{
	static struct maker m;
	struct err e = {0};
	struct tile_writer *w;
	struct tile_summary sum;

	for (size_t i = 0; argc >= 3 && i < ARRAY_LEN(kinds); i++)
		if (!strcmp(argv[1], kinds[i].name))
			m.k = &kinds[i];
	if (!m.k) {
		fprintf(stderr, "usage: tile_make mixed|walk|money FILE [SERIES ROWS [none]]\n");
		return 2;
	}
	uint32_t series = argc > 3 ? (uint32_t)atoi(argv[3]) : 40;
	uint32_t rows = argc > 4 ? (uint32_t)atoi(argv[4]) : 10000;
	maker_init(&m);
	m.spec.codec = argc > 5 ? TILE_CODEC_NONE : TILE_CODEC_ZSTD;
	arena_init(&texts, NULL);
	unlink(argv[2]);
	if (tile_writer_create(io_posix(), AT_FDCWD, argv[2], &m.spec, &w, &e) < 0)
		die(&e);
	for (uint32_t s = 0; s < series; s++) {
		begin_series(&m, w, s, &e);
		/* Mixed: sizes of every kind. */
		make_series(&m, w,
			    m.k->regular || s % 3 == 0 ? rows
			    : s % 3 == 1	       ? 1 + below(50)
						       : below(3000),
			    &e);
	}
	int64_t t0 = clock_mono_ns();
	if (tile_writer_finish(w, &sum, &e) < 0)
		die(&e);
	m.spent += clock_mono_ns() - t0;
	printf("%s: %llu rows, %llu bytes, %.3f bytes/value; write %.2f M rows/s\n", m.k->name,
	       (unsigned long long)sum.rows, (unsigned long long)sum.file_bytes,
	       (double)sum.file_bytes / (double)MAX(sum.value_count, 1u),
	       (double)sum.rows / ((double)m.spent / 1e9) / 1e6);
	scan(argv[2], sum.rows);
	for (uint32_t f = 0; f < m.k->fields; f++) {
		free(m.cols[f].data);
		free(m.cols[f].valid);
	}
	arena_release(&texts);
	return 0;
}
