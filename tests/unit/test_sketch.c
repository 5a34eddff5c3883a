/*
 * test_sketch: how far approx_distinct and approx_percentile are off, measured against what they
 * promise, whatever the order of the rows and however they were cut and merged; and what memory they
 * take.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/func.h"
#include "tests/unit/unit.h"

#define KIB    1024
#define CHUNKS 2 /* times what is used: an arena takes memory in chunks that double */

static struct arena arena;
static struct exec_ctx exec;

/* One aggregate over n rows of a column, in `parts` states that are merged into the first. */
struct sketch {
	const char *name;
	struct vec args[4];
	uint32_t argc, n, parts;
};

static void constant(struct sketch *s, const struct type *t, double v)
{
	struct vec *to = &s->args[s->argc++];
	struct err e;

	ck_assert_int_ge(vec_alloc(to, t, 1, &arena, &e), 0);
	to->form = VEC_CONST;
	if (t->kind == TY_DOUBLE)
		to->f64[0] = v;
	else
		to->i64[0] = (int64_t)v;
}

/* The result, and the bytes that the states took. */
static int64_t result(const struct sketch *s, size_t *ret_bytes)
{
	struct agg_call c = {.exec = &exec, .argc = s->argc, .args = s->args};
	const struct type *types[4];
	char *states[8];
	struct func_match m;
	struct vec_builder out;
	struct arena own;
	struct err e = {0};
	int rc;

	for (uint32_t k = 0; k < s->argc; k++)
		types[k] = s->args[k].type;
	rc = func_resolve(&arena, str_from(s->name), types, NULL, s->argc, &m, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	arena_init(&own, NULL);
	c.arena = &own;
	c.arg_types = m.arg_types;
	c.ret_type = m.ret;
	for (uint32_t p = 0; rc >= 0 && p < s->parts; p++) {
		uint32_t from = (uint32_t)((uint64_t)s->n * p / s->parts), to = (uint32_t)((uint64_t)s->n * (p + 1) / s->parts);

		states[p] = calloc(1, m.func->agg->state_size);
		for (uint32_t at = from; rc >= 0 && at < to; at += VEC_ROWS)
			rc = m.func->agg->add(&c, states[p], at, MIN(at + VEC_ROWS, to), &e);
		if (rc >= 0 && p)
			rc = m.func->agg->merge(&c, states[0], states[p], &e);
	}
	*ret_bytes = own.bytes;
	ck_assert_int_ge(vb_init(&out, m.ret, 1, &arena, &e), 0);
	if (rc >= 0)
		rc = m.func->agg->finish(&c, states[0], &out, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	for (uint32_t p = 0; p < s->parts; p++)
		free(states[p]);
	arena_release(&own);
	return out.v.i64[0];
}

static struct sketch sketch_of(const char *name, uint32_t n, uint32_t parts)
{
	struct sketch s = {.name = name, .argc = 1, .n = n, .parts = parts};
	struct err e;

	ck_assert_int_ge(vec_alloc(&s.args[0], &type_bigint, n, &arena, &e), 0);
	return s;
}

/* ---- approx_distinct ------------------------------------------------------------------------------ */

#define TRIALS 120

static const struct {
	double e; /* 0: the default, 2.3 % */
	uint32_t count;
} distinct_cases[] = {
	{0, 257}, {0, 1000}, {0, 5000}, {0, 50000}, {0.0040625, 2000}, {0.0040625, 50000}, {0.0115, 20000},
	{0.05, 20000}, {0.26, 1000}, {0.26, 50000},
};

START_TEST(distinct_error)
{
	double e = distinct_cases[_i].e, promised = e ? e : 0.023, squares = 0;
	uint32_t count = distinct_cases[_i].count;
	uint64_t seed = unit_seed();
	size_t bytes;

	for (int t = 0; t < TRIALS; t++) {
		struct sketch s = sketch_of("approx_distinct", count, 1 + (uint32_t)t % 3);
		uint64_t salt = unit_random(&seed);
		double off;

		for (uint32_t i = 0; i < count; i++) /* neighbours, multiples, and anything */
			s.args[0].i64[i] = (int64_t)(t % 3 == 0 ? salt / 2 + i : t % 3 == 1 ? salt + UINT64_C(4096) * i
										 : unit_random(&seed));
		if (e)
			constant(&s, &type_double, e);
		off = (double)result(&s, &bytes) / count - 1;
		squares += off * off;
		ck_assert_msg(fabs(off) < 5 * promised, "%u values, e = %g: off by %g", count, promised, off);
		ck_assert_uint_le(bytes, s.parts * (8 + 64) * KIB * CHUNKS + 64 * KIB);
		arena_reset(&arena);
	}
	/* The root of the mean square of so many is the standard error to within a third of it. */
	ck_assert_msg(sqrt(squares / TRIALS) < promised * 1.33, "%u values, e = %g: standard error %g", count, promised,
		      sqrt(squares / TRIALS));
}
END_TEST

START_TEST(distinct_exact)
{
	size_t bytes;

	for (uint32_t count = 1; count <= 256; count += 5) {
		struct sketch s = sketch_of("approx_distinct", count * 3, 1 + count % 4);

		for (uint32_t i = 0; i < s.n; i++)
			s.args[0].i64[i] = (int64_t)(i % count) << 32;
		ck_assert_int_eq(result(&s, &bytes), count);
		arena_reset(&arena);
	}
}
END_TEST

/* ---- approx_percentile ---------------------------------------------------------------------------- */

enum order { UP, DOWN, RANDOM, SAW, ENDS, ORDERS };

/* The numbers 0 to n - 1, each once: a value is its own rank. */
static void fill(struct vec *v, uint32_t n, enum order order, uint64_t *seed)
{
	for (uint32_t i = 0; i < n; i++)
		v->i64[i] = order == DOWN ? n - 1 - i : order == SAW ? (int64_t)((uint64_t)i * 7919 % n) :
			    order == ENDS ? (i & 1 ? n - 1 - i / 2 : i / 2) : i;
	for (uint32_t i = n - 1; order == RANDOM && i > 0; i--) {
		uint32_t j = (uint32_t)(unit_random(seed) % (i + 1));
		int64_t swap = v->i64[i];

		v->i64[i] = v->i64[j];
		v->i64[j] = swap;
	}
}

static const struct {
	uint32_t n;
	double accuracy; /* 0: the default, 3 / 2048 */
} percentile_cases[] = {{2049, 0}, {10007, 0}, {300007, 0}, {1000003, 0}, {300007, 0.0005}, {300007, 0.0001}};

START_TEST(percentile_error)
{
	uint32_t n = percentile_cases[_i / ORDERS].n;
	double accuracy = percentile_cases[_i / ORDERS].accuracy, promised = accuracy ? accuracy : 3.0 / 2048, worst = 0;
	enum order order = (enum order)(_i % ORDERS);
	uint64_t seed = unit_seed() + (uint64_t)_i;
	struct sketch s = sketch_of("approx_percentile", n, 1);
	size_t bytes;

	fill(&s.args[0], n, order, &seed);
	for (int k = 0; k <= 12; k++) {
		double p = (double)k / 12, off, words;
		int64_t want = MIN((int64_t)floor(p * n), (int64_t)n - 1);

		s.argc = 1;
		s.parts = 1 + (uint32_t)k % 3;
		if (accuracy)
			constant(&s, &type_bigint, 1);
		constant(&s, &type_double, p);
		if (accuracy)
			constant(&s, &type_double, accuracy);
		off = fabs((double)(result(&s, &bytes) - want)) / n;
		worst = MAX(worst, off);
		/* k words a level. */
		words = (accuracy ? 1 << (int)ceil(log2(3 / accuracy)) : 2048) * (log2((double)n / 2048) + 4);
		ck_assert_msg((double)bytes <= s.parts * words * 8 * CHUNKS + 64 * KIB, "%u rows: %zu bytes, %g words", n, bytes,
			      words);
	}
	ck_assert_msg(worst <= promised, "%u rows, order %d: off by %g, promised %g", n, order, worst, promised);
}
END_TEST

/* A weight is a replication count. */
START_TEST(percentile_weights)
{
	uint64_t seed = unit_seed();
	size_t bytes;

	for (int t = 0; t < 20; t++) {
		uint32_t n = 1 + (uint32_t)(unit_random(&seed) % 600), total = 0;
		struct sketch w = sketch_of("approx_percentile", n, 1), r;
		double p = (double)(unit_random(&seed) % 1000) / 1000;
		struct err e;

		w.argc = 2;
		ck_assert_int_ge(vec_alloc(&w.args[1], &type_bigint, n, &arena, &e), 0);
		for (uint32_t i = 0; i < n; i++) {
			w.args[0].i64[i] = (int64_t)(unit_random(&seed) % 1000);
			w.args[1].i64[i] = 1 + (int64_t)(unit_random(&seed) % 3);
			total += (uint32_t)w.args[1].i64[i];
		}
		constant(&w, &type_double, p);
		r = sketch_of("approx_percentile", total, 1);
		constant(&r, &type_double, p);
		for (uint32_t i = 0, at = 0; i < n; i++) {
			for (int64_t k = 0; k < w.args[1].i64[i]; k++)
				r.args[0].i64[at++] = w.args[0].i64[i];
		}
		ck_assert_int_eq(result(&w, &bytes), result(&r, &bytes));
	}
}
END_TEST

static void setup(void)
{
	arena_init(&arena, NULL);
}

static void teardown(void)
{
	arena_release(&arena);
}

int main(void)
{
	Suite *s = suite_create("sketch");
	TCase *tc = tcase_create("sketch");
	SRunner *sr = srunner_create(s);
	int bad;

	unit_seed();
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, distinct_error, 0, ARRAY_LEN(distinct_cases));
	tcase_add_test(tc, distinct_exact);
	tcase_add_loop_test(tc, percentile_error, 0, ARRAY_LEN(percentile_cases) * ORDERS);
	tcase_add_test(tc, percentile_weights);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
