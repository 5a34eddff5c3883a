/*
 * test_vec: random vectors of random types against themselves: whatever the form, the same values
 * come out, compare, hash and print alike.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>

#include "query/vec.h"
#include "tests/unit/unit.h"

static struct arena arena;

static const struct type *random_type(uint64_t *seed, int depth)
{
	static const struct type *const scalars[] = {&type_boolean, &type_integer, &type_bigint, &type_double,
						     &type_varchar, &type_date, &type_time, &type_timestamp,
						     &type_interval_ds, &type_interval_ym};
	uint64_t r = unit_random(seed) % (depth ? 13 : 10);
	struct type_field fields[2];

	if (r < 10)
		return scalars[r];
	if (r == 10)
		return type_array(&arena, random_type(seed, depth - 1));
	if (r == 11)
		return type_timeseries(&arena, random_type(seed, 0));
	fields[0] = (struct type_field){STR_LIT("a"), random_type(seed, depth - 1)};
	fields[1] = (struct type_field){{NULL, 0}, random_type(seed, depth - 1)};
	return type_row(&arena, fields, 2);
}

static void add_random(struct vec_builder *b, uint64_t *seed)
{
	uint64_t r = unit_random(seed);
	struct err e = {0};
	char text[20];
	int rc = 0;

	if (r % 7 == 0) {
		ck_assert_int_ge(vb_add_null(b, &e), 0);
		return;
	}
	r >>= 8;
	switch (type_layout(b->type)) {
	case LAYOUT_I64:
		rc = vb_add_i64(b, (int64_t)(r % 5), &e);
		break;
	case LAYOUT_F64:
		rc = vb_add_f64(b, r % 5 == 0 ? (double)NAN : r % 5 == 1 ? -0.0 : r % 5 == 2 ? 0.0 : 1.5, &e);
		break;
	case LAYOUT_BOOL:
		rc = vb_add_bool(b, r & 1, &e);
		break;
	case LAYOUT_STR:
		snprintf(text, sizeof(text), "%.*s", (int)(r % 4), "äbc");
		rc = vb_add_str(b, str_from(text), &e);
		break;
	case LAYOUT_LIST:
		for (uint64_t k = 0; k < r % 4; k++)
			add_random(vb_elem(b), seed);
		rc = vb_add_list(b, (uint32_t)(r % 4), &e);
		break;
	case LAYOUT_ROW:
		for (uint32_t f = 0; f < b->type->field_count; f++)
			add_random(vb_field(b, f), seed);
		rc = vb_add_row(b, &e);
	}
	ck_assert_int_ge(rc, 0);
}

static void check_text(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	struct buf x, y;

	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	vec_format(a, i, &x);
	vec_format(b, j, &y);
	ck_assert(str_eq(buf_str(&x), buf_str(&y)));
	buf_release(&x);
	buf_release(&y);
}

static void check_same(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	ck_assert(vec_is_null(a, i) == vec_is_null(b, j));
	ck_assert(vec_same(a, i, b, j));
	ck_assert_uint_eq(vec_hash(a, i, 7), vec_hash(b, j, 7));
	check_text(a, i, b, j);
}

START_TEST(forms)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	const struct type *t = random_type(&seed, 2);
	uint32_t n = 1 + (uint32_t)(unit_random(&seed) % 50), *codes = arena_array(&arena, uint32_t, n);
	struct vec_builder b, copy;
	struct vec v, early, dict, konst, out;
	struct err e = {0};

	ck_assert_int_ge(vb_init(&b, t, 1, &arena, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		if (i == n / 2)
			vb_finish(&b, &early);
		add_random(&b, &seed);
	}
	vb_finish(&b, &v);
	for (uint32_t i = 0; i < n / 2; i++)
		check_same(&early, i, &v, i); /* what was given out early stays right */

	for (uint32_t i = 0; i < n; i++)
		codes[i] = (uint32_t)(unit_random(&seed) % n);
	dict = (struct vec){.type = t, .form = VEC_DICT, .codes = codes, .dict = &v, .dict_n = n};
	ck_assert_int_ge(vec_flatten(&dict, n, &arena, &out, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		check_same(&dict, i, &v, codes[i]);
		check_same(&out, i, &v, codes[i]);
	}
	ck_assert_int_ge(vec_gather(&dict, codes, n, &arena, &out, &e), 0);
	for (uint32_t i = 0; i < n; i++)
		check_same(&out, i, &v, codes[codes[i]]);

	konst = v;
	konst.form = VEC_CONST;
	ck_assert_int_ge(vec_flatten(&konst, n, &arena, &out, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		check_same(&konst, i, &v, 0);
		check_same(&out, i, &v, 0);
	}

	ck_assert_int_ge(vb_init(&copy, t, 1, &arena, &e), 0);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_ge(vb_add(&copy, &dict, i, &e), 0);
	vb_finish(&copy, &out);
	for (uint32_t i = 0; i < n; i++)
		check_same(&out, i, &dict, i);
}
END_TEST

/* An order: antisymmetric, transitive, and equal exactly where same and hash say so. */
START_TEST(order)
{
	uint64_t seed = unit_seed() + (uint64_t)_i;
	const struct type *t = random_type(&seed, 2);
	enum { N = 20 };
	struct vec_builder b;
	struct vec v;
	struct err e = {0};

	ck_assert_int_ge(vb_init(&b, t, 1, &arena, &e), 0);
	for (int i = 0; i < N; i++)
		add_random(&b, &seed);
	vb_finish(&b, &v);
	for (uint32_t i = 0; i < N; i++)
		for (uint32_t j = 0; j < N; j++) {
			if (vec_is_null(&v, i) || vec_is_null(&v, j))
				continue;
			ck_assert_int_eq(vec_cmp(&v, i, &v, j), -vec_cmp(&v, j, &v, i));
			ck_assert(vec_same(&v, i, &v, j) == (vec_cmp(&v, i, &v, j) == 0));
			if (vec_same(&v, i, &v, j))
				ck_assert_uint_eq(vec_hash(&v, i, 0), vec_hash(&v, j, 0));
			for (uint32_t k = 0; k < N; k++)
				if (!vec_is_null(&v, k) && vec_cmp(&v, i, &v, j) <= 0 && vec_cmp(&v, j, &v, k) <= 0)
					ck_assert_int_le(vec_cmp(&v, i, &v, k), 0);
		}
}
END_TEST

START_TEST(no_memory)
{
	struct budget budget;
	struct arena small;
	struct vec v;
	struct err e = {0};

	budget_init(&budget, 100000);
	arena_init(&small, &budget);
	ck_assert_int_eq(vec_alloc(&v, &type_bigint, 1 << 20, &small, &e), -ENOMEM);
	ck_assert(strstr(e.text, "memory"));
	arena_release(&small);
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
	Suite *s = suite_create("vec");
	TCase *tc = tcase_create("vec");
	SRunner *sr = srunner_create(s);
	int bad;

	unit_seed();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, forms, 0, 200);
	tcase_add_loop_test(tc, order, 0, 100);
	tcase_add_test(tc, no_memory);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
