/* batch: rows in memory, and their encoding in the log. TIDE_SEED=n repeats a random case. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/batch.h"
#include "engine/series.h"
#include "tests/unit/unit.h"

/* ---- making rows -------------------------------------------------------------------------------
 */

/* Values as real columns have them; each is a case that the encoder treats apart. */
enum shape { SMALL, CONSTANT, COUNTER, WIDE, REGULAR, DECIMAL, ROUGH, ODD, SHAPES };

static int64_t random_int(uint64_t *rng, enum shape shape, uint32_t row)
{
	uint64_t r = unit_random(rng);

	switch (shape) {
	case SMALL:
		return (int64_t)(r % 101) - 20;
	case CONSTANT:
		return -77;
	case COUNTER:
		return INT64_C(1) << 40 | (int64_t)(row * 1000u + r % 1000);
	case REGULAR:
		return INT64_C(1400000000) * NS_PER_S + (int64_t)row * 10 * NS_PER_S;
	case DECIMAL:
		return INT64_C(1400000000) * NS_PER_S + (int64_t)(r % 100000) * NS_PER_MS;
	case ROUGH:
		return (int64_t)(r >> (r & 63));
	case ODD:
		return r & 1 ? INT64_MIN : INT64_MAX;
	default:
		return (int64_t)r;
	}
}

static double random_double(uint64_t *rng, enum shape shape)
{
	static const double odd[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, 5e-324, 1e308, 0x1p53};
	static const double pow10[] = {1, 10, 100, 1000, 1e6, 1e9};
	uint64_t r = unit_random(rng);

	switch (shape) {
	case SMALL:
		return (double)(r % 1000);
	case CONSTANT:
		return 1.0 / 3;
	case COUNTER:
		return (double)(int64_t)(r % 2000001 - 1000000) / pow10[r >> 32 & 1 ? 2 : 1];
	case REGULAR:
		return (double)(int64_t)(r % 100000) / pow10[(r >> 32) % ARRAY_LEN(pow10)];
	case DECIMAL:
		return (double)(int64_t)(r >> 20) / 1e4;
	case ODD:
		return odd[r % ARRAY_LEN(odd)];
	default: {
		double v;
		memcpy(&v, &r, 8);
		return v;
	}
	}
}

static struct str random_str(uint64_t *rng, enum shape shape, struct arena *a)
{
	char text[400];
	size_t n = shape == SMALL ? 3 : shape == ODD ? 0 : unit_random(rng) % 20;

	if (shape == CONSTANT)
		return STR_LIT("running");
	if (shape == WIDE && unit_random(rng) % 16 == 0)
		n = unit_random(rng) % sizeof text;
	for (size_t i = 0; i < n; i++)
		text[i] = (char)unit_random(rng);
	return arena_str(a, (struct str){text, n});
}

static void set_value(struct batch *b, int slot, enum shape shape, uint64_t *rng)
{
	struct batch_col *bc = &b->cols[slot];
	uint32_t i = b->n;

	switch (bc->col.type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		bc->col.i64[i] = random_int(rng, shape, i);
		break;
	case COL_DOUBLE:
		bc->col.f64[i] = random_double(rng, shape);
		break;
	case COL_BOOLEAN:
		bc->col.b8[i] = unit_random(rng) & 1;
		break;
	case COL_VARCHAR:
		bc->col.str[i] = random_str(rng, shape, &b->strings);
		break;
	}
	bc->col.valid[i] = 1;
	bc->has_values = true;
}

struct plan_col {
	uint32_t id;
	enum coltype type;
	enum shape shape;
	unsigned density; /* of 16 */
};

static void fill(struct batch *b, uint64_t *rng, uint32_t rows)
{
	struct plan_col cols[12];
	uint32_t n = (uint32_t)(unit_random(rng) % ARRAY_LEN(cols));
	enum shape times = unit_random(rng) % SHAPES, series = unit_random(rng) % 3;

	for (uint32_t i = 0; i < n; i++) {
		cols[i].id = i * 341;
		cols[i].type = COL_BIGINT + unit_random(rng) % 5;
		cols[i].shape = unit_random(rng) % SHAPES;
		cols[i].density = unit_random(rng) % 3 ? 16 : unit_random(rng) % 17;
	}
	b->has_version = unit_random(rng) % 4 == 0;
	while (b->n < rows) {
		ck_assert_int_eq(batch_reserve(b), 0);
		b->series[b->n] =
			series == 0
				? b->n % 4000
				: (uint32_t)(unit_random(rng) % (series == 1 ? 100 : SERIES_MAX));
		b->time_ns[b->n] = random_int(rng, times, b->n);
		b->version[b->n] = random_int(rng, SMALL, 0);
		for (uint32_t i = 0; i < n; i++) {
			if (unit_random(rng) % 16 >= cols[i].density)
				continue;
			int slot = batch_col(b, cols[i].id, cols[i].type);
			ck_assert_int_ge(slot, 0);
			set_value(b, slot, cols[i].shape, rng);
		}
		if (unit_random(rng) % 50 == 0) {
			batch_drop_row(b);
			for (uint32_t i = 0; i < b->col_count; i++)
				ck_assert_int_eq(b->cols[i].col.valid[b->n], 0);
		} else {
			b->n++;
		}
	}
}

/* ---- comparing
 * -------------------------------------------------------------------------------------- */

static const struct batch_col *find(const struct batch *b, uint32_t id)
{
	for (uint32_t i = 0; i < b->col_count; i++)
		if (b->cols[i].col_id == id)
			return &b->cols[i];
	return NULL;
}

static void same_value(const struct col *a, uint32_t i, const struct col *b, uint32_t j)
{
	ck_assert_int_eq(a->type, b->type);
	ck_assert_int_eq(a->valid[i], b->valid[j]);
	if (a->type == COL_VARCHAR)
		ck_assert(str_eq(a->str[i], b->str[j]));
	else
		ck_assert_mem_eq((char *)a->data + i * coltype_size(a->type),
				 (char *)b->data + j * coltype_size(b->type),
				 coltype_size(a->type));
}

static void same(const struct batch *want, uint32_t from, uint32_t to, const struct batch *got)
{
	ck_assert_uint_eq(got->n, to - from);
	ck_assert_int_eq(got->has_version, want->has_version);
	ck_assert_mem_eq(got->series, want->series + from, got->n * sizeof *got->series);
	ck_assert_mem_eq(got->time_ns, want->time_ns + from, got->n * sizeof *got->time_ns);
	if (want->has_version)
		ck_assert_mem_eq(got->version, want->version + from, got->n * sizeof *got->version);
	for (uint32_t c = 0; c < want->col_count; c++) {
		const struct batch_col *w = &want->cols[c], *g = find(got, w->col_id);
		uint32_t values = 0;
		for (uint32_t i = from; w->has_values && i < to; i++)
			values += w->col.valid[i];
		ck_assert_int_eq(g && g->has_values, values > 0);
		for (uint32_t i = from; values && i < to; i++)
			same_value(&w->col, i, &g->col, i - from);
	}
	for (uint32_t c = 0; c < got->col_count; c++)
		ck_assert(!got->cols[c].has_values || find(want, got->cols[c].col_id));
}

/* ---- tests
 * -------------------------------------------------------------------------------------------- */

START_TEST(round_trip)
{
	uint64_t rng = unit_seed() + (uint64_t)_i;
	struct batch b, back;
	struct buf out;

	batch_init(&b);
	batch_init(&back);
	buf_init(&out, 64 << 20);
	for (int round = 0; round < 40;
	     round++) { /* one pair of batches throughout: reuse is tested too */
		uint32_t rows = 1 + (uint32_t)(unit_random(&rng) % (round % 8 == 7 ? 3000 : 100));
		batch_clear(&b);
		fill(&b, &rng, rows);
		uint32_t from = (uint32_t)(unit_random(&rng) % rows);
		uint32_t to = from + 1 + (uint32_t)(unit_random(&rng) % (rows - from));
		if (round % 2)
			from = 0, to = rows;
		buf_clear(&out);
		buf_adds(&out, "x"); /* encode appends; and nothing is aligned */
		ck_assert_int_eq(batch_encode(&b, from, to, &out), 0);
		struct str payload = {out.data + 1, out.len - 1};
		struct err e = {0};
		ck_assert_msg(batch_decode(&back, payload, &e) == 0, "%s", e.text);
		same(&b, from, to, &back);
	}
	batch_release(&b);
	batch_release(&back);
	buf_release(&out);
}
END_TEST

/* Whatever the bytes, decoding ends with a valid batch or -EBADMSG and a sentence (asan watches).
 */
START_TEST(hostile_bytes)
{
	uint64_t rng = unit_seed() + 1000 + (uint64_t)_i;
	struct batch b, back;
	struct buf out;

	batch_init(&b);
	batch_init(&back);
	buf_init(&out, 64 << 20);
	fill(&b, &rng, 1 + (uint32_t)(unit_random(&rng) % 60));
	ck_assert_int_eq(batch_encode(&b, 0, b.n, &out), 0);
	for (size_t cut = 0; cut < out.len; cut++) {
		char *copy = malloc(cut + 1); /* exact, so that asan sees a byte read too far */
		memcpy(copy, out.data, cut);
		ck_assert_int_eq(batch_decode(&back, (struct str){copy, cut}, NULL), -EBADMSG);
		free(copy);
	}
	for (int i = 0; i < 2000; i++) {
		char *copy = malloc(out.len);
		memcpy(copy, out.data, out.len);
		for (uint64_t k = 1 + unit_random(&rng) % 3; k; k--) {
			uint64_t r = unit_random(&rng);
			size_t at = r & 1 ? r / 2 % out.len : r / 2 % MIN(out.len, 40);
			copy[at] = (char)(r & 2 ? copy[at] ^ (1 << (r >> 60 & 7))
						: (int)(r >> 48 & 0xFF));
		}
		struct err e = {0};
		int rc = batch_decode(&back, (struct str){copy, out.len}, &e);
		ck_assert(rc == 0 || (rc == -EBADMSG && e.text[0]));
		if (rc < 0)
			ck_assert_uint_eq(back.n, 0);
		for (uint32_t c = 0; c < back.col_count; c++) {
			const struct batch_col *bc = &back.cols[c];
			for (uint32_t r = 0; bc->has_values && r < back.n; r++) {
				ck_assert(bc->col.valid[r] <= 1);
				if (bc->col.type == COL_VARCHAR && bc->col.str[r].len)
					ck_assert(bc->col.str[r].ptr >= copy &&
						  bc->col.str[r].ptr + bc->col.str[r].len <=
							  copy + out.len);
			}
		}
		free(copy);
	}
	batch_release(&b);
	batch_release(&back);
	buf_release(&out);
}
END_TEST

/* A payload may be of another table than the one before: column ids mean something else there. */
START_TEST(reused_for_another_table)
{
	struct batch b;
	batch_init(&b);
	int slot = batch_col(&b, 3, COL_BIGINT);
	ck_assert_int_eq(slot, 0);
	ck_assert_int_eq(batch_reserve(&b), 0);
	b.cols[slot].col.i64[0] = 7;
	b.cols[slot].col.valid[0] = 1;
	b.cols[slot].has_values = true;
	b.n = 1;
	ck_assert_int_eq(batch_col(&b, 3, COL_VARCHAR), -EINVAL);
	batch_clear(&b);
	ck_assert_int_eq(batch_col(&b, 3, COL_VARCHAR), 0);
	ck_assert_int_eq(b.cols[0].col.type, COL_VARCHAR);
	ck_assert_ptr_null(b.cols[0].col.str[0].ptr);
	batch_release(&b);
}
END_TEST

START_TEST(full)
{
	struct batch b;
	batch_init(&b);
	for (; b.n < BATCH_ROWS_MAX; b.n++)
		ck_assert_int_eq(batch_reserve(&b), 0);
	ck_assert_int_eq(batch_reserve(&b), -ENOBUFS);
	struct buf out;
	buf_init(&out, 1 << 20);
	ck_assert_int_eq(batch_encode(&b, 0, b.n, &out), 0);
	ck_assert_uint_lt(out.len, 16); /* no column, constant series and time */
	ck_assert_int_eq(batch_encode(&b, 5, 5, &out), -EINVAL);
	ck_assert_int_eq(batch_encode(&b, 0, b.n + 1, &out), -EINVAL);
	buf_release(&out);
	buf_init(&out, 4);
	ck_assert_int_eq(batch_encode(&b, 0, b.n, &out), -ENOMEM);
	buf_release(&out);
	batch_release(&b);
}
END_TEST

/* The target of the format: a row of ten small integers in at most 30 bytes. */
START_TEST(tsbs_row_size)
{
	static const struct {
		uint32_t hosts, rows;
		bool decimals;
		double bytes;
	} cases[] = {
		{4000, 16000, false, 16}, {10, 5000, false, 16},   {100, 1000, false, 14},
		{10, 10, false, 30},      {4000, 16000, true, 30},
	};
	uint64_t rng = 1;
	struct batch b;
	struct buf out;

	batch_init(&b);
	buf_init(&out, 64 << 20);
	for (; b.n < cases[_i].rows; b.n++) {
		ck_assert_int_eq(batch_reserve(&b), 0);
		b.series[b.n] = b.n % cases[_i].hosts;
		b.time_ns[b.n] = (INT64_C(1451606400) + b.n / cases[_i].hosts * 10) * NS_PER_S;
		for (uint32_t c = 0; c < 10; c++) {
			int slot =
				batch_col(&b, 10 + c, cases[_i].decimals ? COL_DOUBLE : COL_BIGINT);
			uint64_t v = unit_random(&rng) % (cases[_i].decimals ? 10001 : 101);
			if (cases[_i].decimals)
				b.cols[slot].col.f64[b.n] = (double)v / 100;
			else
				b.cols[slot].col.i64[b.n] = (int64_t)v;
			b.cols[slot].col.valid[b.n] = 1;
			b.cols[slot].has_values = true;
		}
	}
	ck_assert_int_eq(batch_encode(&b, 0, b.n, &out), 0);
	double bytes = (double)out.len / b.n;
	ck_assert_msg(bytes <= cases[_i].bytes, "%.1f bytes a row", bytes);
	batch_release(&b);
	buf_release(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("batch");
	TCase *tc = tcase_create("codec");

	unit_seed(); /* once, before check forks */
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, round_trip, 0, 8);
	tcase_add_loop_test(tc, hostile_bytes, 0, 6);
	tcase_add_test(tc, reused_for_another_table);
	tcase_add_test(tc, full);
	tcase_add_loop_test(tc, tsbs_row_size, 0, 5);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
