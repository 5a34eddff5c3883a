/*
 * test_agg: aggregates. The documented examples as data, each evaluated in one piece, in many pieces,
 * by scatter and by merging two states; then random rows against naive models.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/func.h"
#include "tests/unit/unit.h"

static struct arena arena;
static struct exec_ctx exec;

enum mode { WHOLE, PIECES, MERGED, SCATTERED, MODES };

static void text_of(const struct vec *v, char *to, size_t size)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	if (vec_is_null(v, 0))
		buf_adds(&b, "null");
	else
		vec_format(v, 0, &b);
	ck_assert_uint_lt(b.len, size);
	memcpy(to, b.data ? b.data : "", b.len);
	to[b.len] = 0;
	buf_release(&b);
}

/* Evaluate name(args) over n rows. 1: done; 0: the mode does not apply; <0 with e. */
static int run(const char *name, struct vec *given, uint32_t argc, uint32_t n, enum mode mode, uint64_t seed,
	       struct vec *ret, struct err *e)
{
	const struct type *types[5] = {NULL};
	struct vec args[5];
	struct func_match m;
	struct agg_call c = {.exec = &exec, .arena = &arena, .argc = argc, .args = args};
	struct vec_builder out;
	char *s, *s2;
	uint32_t *group;
	int rc;

	for (uint32_t k = 0; k < argc; k++)
		types[k] = given[k].type;
	rc = func_resolve(&arena, str_from(name), types, NULL, argc, &m, e);
	for (uint32_t k = 0; rc >= 0 && k < argc; k++)
		rc = cast_vec(&arena, &given[k], n, m.arg_types[k], false, &args[k], e);
	if (rc < 0)
		return rc;
	ck_assert(m.func->agg != NULL);
	c.arg_types = m.arg_types;
	c.ret_type = m.ret;
	s = arena_zalloc(&arena, m.func->agg->state_size);
	s2 = arena_zalloc(&arena, m.func->agg->state_size);
	switch (mode) {
	case WHOLE:
		rc = m.func->agg->add(&c, s, 0, n, e);
		break;
	case PIECES:
		for (uint32_t at = 0; rc >= 0 && at < n;) {
			uint32_t piece = 1 + (uint32_t)(unit_random(&seed) % 7), k = MIN(n - at, piece);

			rc = m.func->agg->add(&c, s, at, at + k, e);
			at += k;
		}
		break;
	case MERGED:
		rc = m.func->agg->add(&c, s, 0, n / 3, e);
		if (rc >= 0)
			rc = m.func->agg->add(&c, s2, n / 3, n, e);
		if (rc >= 0)
			rc = m.func->agg->merge(&c, s, s2, e);
		break;
	default:
		if (!m.func->agg->scatter)
			return 0;
		group = arena_zarray(&arena, uint32_t, MAX(n, 1));
		rc = m.func->agg->scatter(&c, s, m.func->agg->state_size, group, n, e);
	}
	if (rc >= 0)
		rc = vb_init(&out, m.ret, 1, &arena, e);
	if (rc >= 0)
		rc = m.func->agg->finish(&c, s, &out, e);
	if (rc < 0)
		return rc;
	ck_assert_uint_eq(out.n, 1);
	vb_finish(&out, ret);
	return 1;
}

/* ---- the documented examples -------------------------------------------------------------------- */

/* A column as "type a b c"; a leading "=" makes it constant; "~" in a value stands for a blank. */
static void make_col(const char *spec, uint32_t *n, struct vec *ret)
{
	static const struct type *const types[] = {&type_integer, &type_bigint, &type_double, &type_varchar,
						   &type_boolean, &type_timestamp};
	char copy[256], *word, *save;
	const struct type *t = &type_unknown;
	bool is_const = *spec == '=', is_array;
	struct vec_builder b, e_b;
	struct err e = {0};
	uint32_t rows = 0;

	snprintf(copy, sizeof(copy), "%s", spec + is_const);
	word = strtok_r(copy, " ", &save);
	is_array = word[0] == '[';
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcmp(word + is_array, type_name(&arena, types[i])))
			t = types[i];
	ck_assert_int_ge(vb_init(&b, t, 4, &arena, &e), 0);
	for (; (word = strtok_r(NULL, " ", &save)); rows++) {
		struct vec text = {.type = &type_varchar, .form = VEC_CONST}, v;
		struct str s = str_from(word);

		if (!strcmp(word, "null")) {
			ck_assert_int_ge(vb_add_null(&b, &e), 0);
			continue;
		}
		text.str = &s;
		ck_assert_msg(cast_vec(&arena, &text, 1, t, false, &v, &e) >= 0, "%s", e.text);
		ck_assert_int_ge(vb_add(&b, &v, 0, &e), 0);
	}
	vb_finish(&b, ret);
	if (is_array) {
		ck_assert_int_ge(vb_init(&e_b, type_array(&arena, t), 1, &arena, &e), 0);
		for (uint32_t i = 0; i < rows; i++)
			ck_assert_int_ge(vb_add(vb_elem(&e_b), ret, i, &e), 0);
		ck_assert_int_ge(vb_add_list(&e_b, rows, &e), 0);
		vb_finish(&e_b, ret);
		is_const = true;
	}
	if (is_const)
		ret->form = VEC_CONST;
	else
		*n = rows;
}

#define A "integer 1 2 3 4"
#define B "integer 1 2 3 4 8"
#define Q "varchar a b c d"

static const struct acase {
	const char *name, *args[5], *expect;
} cases[] = {
	{"arbitrary", {A}, "1"},
	{"arbitrary", {"varchar null x y"}, "x"},
	{"array_agg", {A}, "[1, 2, 3, 4]"},
	{"array_agg", {"integer 1 null"}, "[1, null]"},
	{"array_agg", {"integer"}, "null"},
	{"avg", {A}, "2.5"},
	{"avg", {"double 1 2.5 null"}, "1.75"},
	{"avg", {"bigint 9223372036854775807 9223372036854775807"}, "9.223372036854776E18"},
	{"bool_and", {"boolean true true false true"}, "false"},
	{"every", {"boolean true null"}, "true"},
	{"bool_or", {"boolean true true false true"}, "true"},
	{"bool_or", {"boolean null"}, "null"},
	{"count", {"boolean true true false true"}, "4"},
	{"count", {"boolean true null"}, "1"},
	{"count", {"integer"}, "0"},
	{"count_if", {"boolean true true false true"}, "3"},
	{"count_if", {"boolean null"}, "0"},
	{"geometric_mean", {A}, "2.213363839400643"},
	{"max_by", {Q, A}, "d"},
	{"max_by", {Q, "integer 5 null 1 2"}, "a"},
	{"max_by", {"varchar a null", "integer 1 2"}, "null"},
	{"max_by", {Q, A, "=integer 2"}, "[d, c]"},
	{"first", {"varchar null b c d", "timestamp 2022-01-01 2022-01-04 2022-01-02 2022-01-02"}, "c"},
	{"last", {"varchar null b c d", "timestamp 2022-01-09 2022-01-04 2022-01-04 2022-01-02"}, "b"},
	{"last", {"integer 1 2 3", "timestamp 2022-01-01 null 2021-01-01"}, "1"},
	{"first", {"integer null null", "timestamp 2022-01-01 2022-01-02"}, "null"},
	{"last", {"integer null", "timestamp null"}, "null"},
	{"min_by", {Q, A}, "a"},
	{"min_by", {Q, A, "=integer 2"}, "[a, b]"},
	{"min_by", {Q, "integer 1 1 1 1", "=integer 3"}, "[a, b, c]"},
	{"max", {A}, "4"},
	{"min", {A}, "1"},
	{"max", {"double 1 NaN 2"}, "NaN"},
	{"min", {"double NaN 1 2"}, "1.0"},
	{"min", {"double NaN NaN"}, "NaN"},
	{"max", {"double 1 2 3 4 5 6 7 8 NaN 2"}, "NaN"},
	{"min", {"double NaN 1 2 3 4 5 6 7 8 9 -3"}, "-3.0"},
	{"max", {"double 1 2 3 4 5 6 7 8 9 -3"}, "9.0"},
	{"max", {"varchar b abc c null"}, "c"},
	{"min", {"varchar b abc c null"}, "abc"},
	{"max", {"boolean false true"}, "true"},
	{"max", {"timestamp 2022-01-01 2023-01-01"}, "2023-01-01 00:00:00.000000000"},
	{"max", {"integer null"}, "null"},
	{"max", {A, "=integer 2"}, "[4, 3]"},
	{"min", {A, "=integer 2"}, "[1, 2]"},
	{"min", {"varchar d c b a e f", "=integer 3"}, "[a, b, c]"},
	{"min", {A, "=integer 0"}, "!must be between 1 and 10000"},
	{"sum", {A}, "10"},
	{"sum", {"double 0.1 0.2 0.3"}, "0.6"},
	{"sum", {"double 1e308 1e308"}, "Infinity"},
	{"sum", {"double Infinity -Infinity"}, "NaN"},
	{"sum", {"integer"}, "null"},
	{"sum", {"bigint 9223372036854775807 1 -1"}, "9223372036854775807"},
	{"sum", {"bigint 9223372036854775807 1"}, "!bigint overflow"},
	{"sum", {"varchar a"}, "!function sum(varchar) does not exist; there are sum(bigint), sum(double)"},
	{"bitwise_and_agg", {"integer 1 -3"}, "1"},
	{"bitwise_or_agg", {"integer 1 -3"}, "-3"},
	{"approx_distinct", {B}, "5"},
	{"approx_distinct", {B, "=double 0.2"}, "5"},
	{"approx_distinct", {"integer null"}, "0"},
	{"approx_distinct", {B, "=double 0.3"}, "!standard error must be between 0.0040625 and 0.26"},
	{"approx_percentile", {A, "=double 0.4"}, "2"},
	{"approx_percentile", {A, "=double 1"}, "4"},
	{"approx_percentile", {A, "=double 0"}, "1"},
	{"approx_percentile", {A, "[double 0.1 0.8 0.8"}, "[1, 4, 4]"},
	{"approx_percentile", {A, "=integer 1", "=double 0.1"}, "1"},
	{"approx_percentile", {A, "=integer 1", "[double 0.1 0.8 0.8"}, "[1, 4, 4]"},
	{"approx_percentile", {A, "=integer 1", "=double 0.1", "=double 0.5"}, "1"},
	{"approx_percentile", {"integer 1 2", "integer 9 1", "=double 0.89"}, "1"},
	{"approx_percentile", {"integer 1 2", "integer 9 1", "=double 0.9"}, "2"},
	{"approx_percentile", {"integer 1 2", "integer 9 0", "=double 0.9"}, "!weight must be at least 1"},
	{"approx_percentile", {"double -1.5 2.5 NaN", "=double 0"}, "-1.5"},
	{"approx_percentile", {"double -1.5 2.5 NaN", "=double 1"}, "NaN"},
	{"approx_percentile", {"timestamp 2022-01-01 2023-01-01", "=double 0.5"}, "2023-01-01 00:00:00.000000000"},
	{"approx_percentile", {A, "=double 1.5"}, "!between 0 and 1"},
	{"approx_percentile", {A, "=integer 1", "=double 0.5", "=double 0.00001"}, "!accuracy must be at least 4.6e-05"},
	{"approx_percentile", {A, "=integer 1", "=double 0.5", "=double 1"}, "!accuracy must be at least"},
	{"approx_percentile", {"integer null", "=double 0.5"}, "null"},
	{"create_time_series", {"timestamp 2022-01-02 2022-01-01", "integer 2 1"},
	 "[(time=2022-01-01 00:00:00.000000000, value=1), (time=2022-01-02 00:00:00.000000000, value=2)]"},
	{"create_time_series", {"timestamp 2022-01-02", "integer null"}, "!value must not be NULL"},
	{"corr", {A, A}, "1.0"},
	{"corr", {"integer 1 1", "integer 1 2"}, "null"},
	{"covar_pop", {A, A}, "1.25"},
	{"covar_samp", {A, A}, "1.6666666666666667"},
	{"covar_samp", {"integer 1", "integer 1"}, "null"},
	{"regr_intercept", {A, A}, "0.0"},
	{"regr_slope", {A, A}, "1.0"},
	{"regr_slope", {"integer 1 3 5", "integer 1 2 3"}, "2.0"},
	{"regr_intercept", {"integer 1 3 5", "integer 1 2 3"}, "-1.0"},
	{"skewness", {B}, "0.8978957037987335"},
	{"skewness", {"integer 1 2"}, "null"},
	{"stddev_pop", {B}, "2.4166091947189146"},
	{"stddev_samp", {B}, "2.701851217221259"},
	{"stddev", {B}, "2.701851217221259"},
	{"stddev", {"integer 1"}, "null"},
	{"var_pop", {B}, "5.840000000000001"},
	{"var_pop", {"integer 1"}, "0.0"},
	{"var_samp", {B}, "7.300000000000001"},
	{"variance", {B}, "7.300000000000001"},
};

static bool near(const char *a, const char *b)
{
	char *end;
	double x = strtod(a, &end), y = strtod(b, NULL);

	return *end == 0 && fabs(x - y) <= 1e-12 * MAX(fabs(x), fabs(y));
}

START_TEST(documented)
{
	const struct acase *t = &cases[_i];
	struct vec args[5], ret;
	uint32_t argc = 0, n = 0;
	char text[1400];

	for (; argc < 5 && t->args[argc]; argc++)
		make_col(t->args[argc], &n, &args[argc]);
	for (int mode = 0; mode < MODES; mode++) {
		struct err e = {0};
		int rc = run(t->name, args, argc, n, (enum mode)mode, unit_seed(), &ret, &e);

		if (rc == 0)
			continue;
		if (rc < 0)
			snprintf(text, sizeof(text), "!%s", e.text);
		else
			text_of(&ret, text, sizeof(text));
		if (*t->expect == '!' ? *text == '!' && strstr(text, t->expect + 1) != NULL
				      : !strcmp(text, t->expect) || (mode == MERGED && near(text, t->expect)))
			continue;
		ck_abort_msg("%s(%s) mode %d: '%s', not '%s'", t->name, t->args[0], mode, text, t->expect);
	}
}
END_TEST

/* ---- random rows against models ------------------------------------------------------------------ */

static void random_col(const struct type *t, uint32_t n, uint64_t *seed, bool nulls, struct vec *v)
{
	struct err e = {0};

	ck_assert_int_ge(vec_alloc(v, t, n, &arena, &e), 0);
	if (nulls)
		ck_assert_int_ge(vec_alloc_valid(v, n, &arena, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t r = unit_random(seed);

		if (t->kind == TY_DOUBLE)
			v->f64[i] = r % 97 == 0 ? (double)NAN : (double)(int64_t)(r >> 8) / 4096;
		else
			v->i64[i] = (int64_t)(r >> 1) * (r & 1 ? 1 : -1) >> (r >> 3 & 31);
		if (nulls)
			v->valid[i] = r >> 40 & 3 ? 1 : 0;
	}
}

START_TEST(model_int)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	uint32_t n = 1 + (uint32_t)(unit_random(&seed) % 500);
	i128 sum = 0;
	int64_t min = INT64_MAX, max = INT64_MIN, count = 0;
	struct vec v, ret;
	struct err e = {0};

	random_col(&type_bigint, n, &seed, _i & 1, &v);
	for (uint32_t i = 0; i < n; i++)
		if (!vec_is_null(&v, i)) {
			sum += v.i64[i];
			min = MIN(min, v.i64[i]);
			max = MAX(max, v.i64[i]);
			count++;
		}
	for (int mode = 0; mode < MODES; mode++) {
		ck_assert_int_eq(run("count", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		ck_assert_int_eq(ret.i64[0], count);
		if (!count)
			continue;
		ck_assert_int_eq(run("min", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		ck_assert_int_eq(ret.i64[0], min);
		ck_assert_int_eq(run("max", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		ck_assert_int_eq(ret.i64[0], max);
		if (sum >= INT64_MIN && sum <= INT64_MAX) {
			ck_assert_int_eq(run("sum", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
			ck_assert_int_eq(ret.i64[0], (int64_t)sum);
		} else {
			ck_assert_int_eq(run("sum", &v, 1, n, (enum mode)mode, seed, &ret, &e), -EINVAL);
		}
	}
}
END_TEST

/* NaN is the largest; sums match long double to the last digit, in any order. */
START_TEST(model_double)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	uint32_t n = 1 + (uint32_t)(unit_random(&seed) % 500);
	char first[64] = "", text[64];
	struct vec v, ret;
	struct err e = {0};

	random_col(&type_double, n, &seed, _i & 1, &v);
	for (int mode = 0; mode < MODES; mode++) {
		uint32_t min = UINT32_MAX, max = UINT32_MAX;

		for (uint32_t i = 0; i < n; i++)
			if (!vec_is_null(&v, i)) {
				min = min == UINT32_MAX || vec_cmp(&v, i, &v, min) < 0 ? i : min;
				max = max == UINT32_MAX || vec_cmp(&v, i, &v, max) > 0 ? i : max;
			}
		if (min == UINT32_MAX)
			return;
		ck_assert_int_eq(run("min", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		ck_assert(vec_same(&ret, 0, &v, min));
		ck_assert_int_eq(run("max", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		ck_assert(vec_same(&ret, 0, &v, max));
		for (uint32_t i = 0; i < n; i++)
			if (isnan(v.f64[i]))
				v.f64[i] = 0.1;
		ck_assert_int_eq(run("sum", &v, 1, n, (enum mode)mode, seed, &ret, &e), 1);
		text_of(&ret, text, sizeof(text));
		if (*first)
			ck_assert_str_eq(text, first);
		memcpy(first, text, sizeof(first));
	}
}
END_TEST

static int cmp_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Exact up to 2048 values by the stated rule; beyond, the rank is within the stated bound. */
START_TEST(model_percentile)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	uint32_t n = _i < 10 ? 1 + (uint32_t)(unit_random(&seed) % 2048) : 200000;
	double p = (double)(unit_random(&seed) % 1001) / 1000;
	struct vec args[2], ret;
	struct err e = {0};
	int64_t *sorted = malloc(n * sizeof(*sorted));

	random_col(&type_bigint, n, &seed, false, &args[0]);
	if (_i & 1)
		for (uint32_t i = 0; i < n; i++)
			args[0].i64[i] = i; /* in order: the common case of counters */
	ck_assert_int_ge(vec_alloc(&args[1], &type_double, 1, &arena, &e), 0);
	args[1].form = VEC_CONST;
	args[1].f64[0] = p;
	memcpy(sorted, args[0].i64, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), cmp_i64);
	for (int mode = 0; mode < SCATTERED; mode++) {
		uint32_t want = (uint32_t)MIN(floor(p * n), n - 1), lo = 0, hi = n;
		double slack = n > 2048 ? n * 0.005 : 0;

		ck_assert_int_eq(run("approx_percentile", args, 2, n, (enum mode)mode, seed, &ret, &e), 1);
		while (lo < n && sorted[lo] < ret.i64[0])
			lo++;
		for (hi = lo; hi < n && sorted[hi] == ret.i64[0]; hi++)
			;
		ck_assert_msg(hi > lo, "not a value of the input");
		ck_assert_msg(lo <= want + slack && hi > want - slack, "p %g of %u: rank %u, not %u", p, n, lo, want);
	}
	free(sorted);
}
END_TEST

/* Exact to 256, then within four standard errors. */
START_TEST(model_distinct)
{
	static const uint32_t counts[] = {1, 16, 255, 256, 257, 300, 1000, 5000, 20000, 100000};
	uint32_t d = counts[_i], n = d * 2;
	uint64_t salt = unit_seed();
	struct vec v, ret;
	struct err e = {0};

	ck_assert_int_ge(vec_alloc(&v, &type_bigint, n, &arena, &e), 0);
	for (uint32_t i = 0; i < n; i++)
		v.i64[i] = (int64_t)(salt % 1000003 + i % d * 1000);
	for (int mode = 0; mode < SCATTERED; mode++) {
		double off;

		ck_assert_int_eq(run("approx_distinct", &v, 1, n, (enum mode)mode, salt, &ret, &e), 1);
		off = fabs((double)ret.i64[0] / d - 1);
		ck_assert_msg(d <= 256 ? off == 0 : off < 4 * 0.023, "%u distinct: %lld", d, (long long)ret.i64[0]);
	}
}
END_TEST

/* The n-forms against sorting. */
START_TEST(model_top)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	uint32_t n = 1 + (uint32_t)(unit_random(&seed) % 300);
	int64_t k = 1 + (int64_t)(unit_random(&seed) % 40), *sorted = malloc(n * sizeof(*sorted));
	struct vec args[2], ret;
	struct err e = {0};

	random_col(&type_bigint, n, &seed, false, &args[0]);
	ck_assert_int_ge(vec_alloc(&args[1], &type_bigint, 1, &arena, &e), 0);
	args[1].form = VEC_CONST;
	args[1].i64[0] = k;
	memcpy(sorted, args[0].i64, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), cmp_i64);
	for (int mode = 0; mode < SCATTERED; mode++)
		for (int is_max = 0; is_max < 2; is_max++) {
			ck_assert_int_eq(run(is_max ? "max" : "min", args, 2, n, (enum mode)mode, seed, &ret, &e), 1);
			ck_assert_uint_eq(ret.list[0].len, MIN(k, n));
			for (uint32_t i = 0; i < ret.list[0].len; i++)
				ck_assert_int_eq(ret.child->i64[ret.list[0].off + i],
						 sorted[is_max ? n - 1 - i : i]);
		}
	free(sorted);
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
	Suite *s = suite_create("agg");
	TCase *tc = tcase_create("agg");
	SRunner *sr = srunner_create(s);
	int bad;

	unit_seed();
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, documented, 0, ARRAY_LEN(cases));
	tcase_add_loop_test(tc, model_int, 0, 40);
	tcase_add_loop_test(tc, model_double, 0, 40);
	tcase_add_loop_test(tc, model_percentile, 0, 14);
	tcase_add_loop_test(tc, model_distinct, 0, 10);
	tcase_add_loop_test(tc, model_top, 0, 20);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
