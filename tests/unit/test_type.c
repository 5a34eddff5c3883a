/*
 * test_type: type names, coercion, the cast matrix, and the registry's own consistency.
 */
#include <check.h>

#include "query/func.h"
#include "query/text.h"

static struct arena arena;

static void check_name(const struct type *t, const char *want)
{
	ck_assert_str_eq(type_name(&arena, t), want);
}

START_TEST(names)
{
	const struct type_field fields[] = {{STR_LIT("x"), &type_double}, {{NULL, 0}, &type_varchar}};

	check_name(&type_bigint, "bigint");
	check_name(&type_interval_ds, "interval day to second");
	check_name(&type_interval_ym, "interval year to month");
	check_name(type_varchar_n(&arena, 3), "varchar(3)");
	check_name(type_array(&arena, &type_double), "array(double)");
	check_name(type_row(&arena, fields, 2), "row(x double, varchar)");
	check_name(type_timeseries(&arena, &type_bigint), "timeseries(bigint)");
	check_name(type_timeseries(&arena, &type_bigint)->list_row, "row(time timestamp, value bigint)");
}
END_TEST

START_TEST(coercion)
{
	const struct type *ints = type_array(&arena, &type_integer), *doubles = type_array(&arena, &type_double);
	const struct type_field f1[] = {{STR_LIT("x"), &type_integer}}, f2[] = {{STR_LIT("y"), &type_double}};
	const struct type *r1 = type_row(&arena, f1, 1), *r2 = type_row(&arena, f2, 1);

	ck_assert_int_eq(type_coercion(&type_bigint, &type_bigint, false), 0);
	ck_assert_int_gt(type_coercion(&type_integer, &type_double, false),
			 type_coercion(&type_integer, &type_bigint, false));
	ck_assert_int_eq(type_coercion(&type_double, &type_bigint, false), -1);
	ck_assert_int_eq(type_coercion(&type_varchar, &type_timestamp, false), -1);
	ck_assert_int_gt(type_coercion(&type_varchar, &type_timestamp, true), 0);
	ck_assert_int_eq(type_coercion(&type_varchar, &type_bigint, true), -1);
	ck_assert_int_eq(type_coercion(&type_boolean, &type_bigint, false), -1);
	ck_assert_int_gt(type_coercion(&type_unknown, ints, false), 0);
	ck_assert_int_gt(type_coercion(ints, doubles, false), 0);
	ck_assert_int_eq(type_coercion(doubles, ints, false), -1);
	ck_assert_int_gt(type_coercion(r1, r2, false), 0);
	check_name(type_common(&arena, &type_integer, &type_bigint), "bigint");
	check_name(type_common(&arena, &type_timestamp, &type_date), "timestamp");
	check_name(type_common(&arena, ints, doubles), "array(double)");
	check_name(type_common(&arena, r1, r2), "row(double)");
	check_name(type_common(&arena, type_varchar_n(&arena, 3), type_varchar_n(&arena, 4)), "varchar");
	check_name(type_common(&arena, &type_unknown, &type_date), "date");
	ck_assert_ptr_null(type_common(&arena, &type_varchar, &type_bigint));
	ck_assert(type_equal(type_varchar_n(&arena, 3), &type_varchar));
	ck_assert(!type_equal(ints, doubles));
}
END_TEST

/* ---- casts: from text to the first type, then to the second ---------------------------------------- */

static const struct ccase {
	const struct type *from;
	const char *text;
	const struct type *to;
	const char *expect; /* "!": an error that contains the rest, and NULL from try_cast */
} casts[] = {
	{&type_boolean, "true", &type_integer, "1"},
	{&type_boolean, "true", &type_double, "1.0"},
	{&type_boolean, "false", &type_varchar, "false"},
	{&type_bigint, "2147483648", &type_integer, "!cannot cast 2147483648 to integer: out of range"},
	{&type_bigint, "9007199254740993", &type_double, "9.007199254740992E15"},
	{&type_double, "1.5", &type_bigint, "2"},
	{&type_double, "-1.5", &type_bigint, "-2"},
	{&type_double, "0.49999999999999994", &type_bigint, "0"},
	{&type_double, "NaN", &type_bigint, "!cannot cast NaN to bigint"},
	{&type_double, "9.3e18", &type_bigint, "!out of range"},
	{&type_double, "3e9", &type_integer, "!out of range"},
	{&type_double, "0", &type_boolean, "false"},
	{&type_integer, "7", &type_boolean, "true"},
	{&type_double, "1e10", &type_varchar, "1.0E10"},
	{&type_varchar, "abc", &type_bigint, "!cannot cast 'abc' to bigint"},
	{&type_varchar, " 1", &type_bigint, "!cannot cast"},
	{&type_varchar, "1.5", &type_bigint, "!cannot cast"},
	{&type_varchar, "+5", &type_integer, "5"},
	{&type_varchar, "9223372036854775808", &type_bigint, "!out of range"},
	{&type_varchar, " 1.5 ", &type_double, "1.5"},
	{&type_varchar, "-Infinity", &type_double, "-Infinity"},
	{&type_varchar, "", &type_double, "!cannot cast '' to double"},
	{&type_varchar, "T", &type_boolean, "true"},
	{&type_varchar, "0", &type_boolean, "false"},
	{&type_varchar, "yes", &type_boolean, "!cannot cast"},
	{&type_varchar, "2022-02-29", &type_date, "!cannot cast '2022-02-29' to date"},
	{&type_varchar, "2022-02-28", &type_date, "2022-02-28"},
	{&type_varchar, "10:11", &type_time, "10:11:00.000000000"},
	{&type_varchar, "10:11:12.5", &type_time, "10:11:12.500000000"},
	{&type_varchar, "24:00", &type_time, "!cannot cast"},
	{&type_varchar, "2022-06-17 01:00", &type_timestamp, "2022-06-17 01:00:00.000000000"},
	{&type_varchar, "2022-06-17", &type_timestamp, "2022-06-17 00:00:00.000000000"},
	{&type_varchar, "2022-06-17 17:44:43.771000678", &type_timestamp, "2022-06-17 17:44:43.771000678"},
	{&type_varchar, "2022-06-17T01:00", &type_timestamp, "!cannot cast"},
	{&type_varchar, "2022-06-17 01:00:00.1234567890", &type_timestamp, "!cannot cast"},
	{&type_varchar, "2263-01-01", &type_timestamp, "!out of range"},
	{&type_varchar, "1677-09-21 00:12:44", &type_timestamp, "1677-09-21 00:12:44.000000000"},
	{&type_varchar, "2262-04-11 23:47:16.854775807", &type_timestamp, "2262-04-11 23:47:16.854775807"},
	{&type_varchar, "2262-04-11 23:47:16.854775808", &type_timestamp, "!out of range"},
	{&type_date, "2022-06-17", &type_timestamp, "2022-06-17 00:00:00.000000000"},
	{&type_date, "9999-01-01", &type_timestamp, "!out of range"},
	{&type_timestamp, "1969-12-31 23:00", &type_date, "1969-12-31"},
	{&type_timestamp, "1969-12-31 23:00", &type_time, "23:00:00.000000000"},
	{&type_timestamp, "2022-06-17", &type_bigint, "!cannot cast timestamp to bigint"},
	{&type_varchar, "1d", &type_interval_ds, "!cannot cast varchar"},
};

static int cast_text(const struct ccase *t, bool is_try, struct vec *ret, struct err *e)
{
	struct str s = str_from(t->text);
	struct vec text = {.type = &type_varchar, .form = VEC_CONST, .str = &s}, from;

	ck_assert_int_ge(cast_vec(&arena, &text, 1, t->from, false, &from, e), 0);
	ck_assert_int_ge(vec_flatten(&from, 2, &arena, &from, e), 0);
	return cast_vec(&arena, &from, 2, t->to, is_try, ret, e);
}

START_TEST(cast_matrix)
{
	const struct ccase *t = &casts[_i];
	struct err e = {0};
	struct vec v;
	struct buf b;
	int rc = cast_text(t, false, &v, &e);

	if (*t->expect == '!') {
		ck_assert_msg(rc == -EINVAL && strstr(e.text, t->expect + 1), "'%s' gives '%s'", t->text, e.text);
		if (cast_exists(t->from, t->to)) {
			ck_assert_int_ge(cast_text(t, true, &v, &e), 0);
			ck_assert(vec_is_null(&v, 1));
		}
		return;
	}
	ck_assert_msg(rc >= 0, "%s", e.text);
	buf_init(&b, 1000);
	vec_format(&v, 1, &b);
	buf_addc(&b, 0);
	ck_assert_str_eq(b.data, t->expect);
	buf_release(&b);
}
END_TEST

/* varchar(n) cuts code points; an array with one bad element is NULL as a whole under TRY. */
START_TEST(cast_nested)
{
	struct str s[] = {STR_LIT("äöü"), STR_LIT("1"), STR_LIT("x"), STR_LIT("2")};
	struct vec text = {.type = &type_varchar, .form = VEC_FLAT, .str = s}, v;
	struct vec_list lists[] = {{1, 1}, {1, 3}, {3, 1}};
	struct vec list = {.type = type_array(&arena, &type_varchar), .form = VEC_FLAT, .list = lists,
			   .child = &text, .child_n = 4};
	const struct type *ints = type_array(&arena, &type_bigint);
	struct err e = {0};

	ck_assert_int_ge(cast_vec(&arena, &text, 4, type_varchar_n(&arena, 2), false, &v, &e), 0);
	ck_assert(str_is(v.str[0], "äö"));
	ck_assert_int_eq(cast_vec(&arena, &list, 3, ints, false, &v, &e), -EINVAL);
	ck_assert_int_ge(cast_vec(&arena, &list, 3, ints, true, &v, &e), 0);
	ck_assert(!vec_is_null(&v, 0) && vec_is_null(&v, 1) && !vec_is_null(&v, 2));
	ck_assert_int_eq(v.child->i64[v.list[2].off], 2);
	lists[1] = lists[0]; /* the bad element is there, but no row uses it */
	ck_assert_int_ge(cast_vec(&arena, &list, 3, ints, false, &v, &e), 0);
}
END_TEST

START_TEST(intervals)
{
	char to[INTERVAL_TEXT_MAX + 1] = "";

	to[interval_ds_format(to, INT64_MIN)] = 0;
	ck_assert_str_eq(to, "-106751 23:47:16.854775808");
	to[interval_ds_format(to, -3600 * NS_PER_S)] = 0;
	ck_assert_str_eq(to, "-0 01:00:00.000000000");
	to[interval_ym_format(to, -14)] = 0;
	ck_assert_str_eq(to, "-1-2");
	to[interval_ym_format(to, 8)] = 0;
	ck_assert_str_eq(to, "0-8");
}
END_TEST

/* ---- the registry ---------------------------------------------------------------------------------- */

START_TEST(registry)
{
	uint32_t n;
	const struct func *all = func_all(&n);
	const struct type *unknowns[8];

	for (int i = 0; i < 8; i++)
		unknowns[i] = &type_unknown;
	for (uint32_t i = 0; i < n; i++) {
		struct func_match m;
		struct err e = {0};
		uint32_t argc = all[i].params && *all[i].params ? 1 : 0;
		int depth = 0;

		ck_assert(!i || strcmp(all[i - 1].name, all[i].name) <= 0);
		ck_assert_msg(all[i].help && *all[i].help && all[i].group, "%s has no help", all[i].name);
		ck_assert(!(all[i].scalar && all[i].agg));
		ck_assert(all[i].params || all[i].resolve);
		if (all[i].resolve || strstr(all[i].params, "lambda"))
			continue;
		for (const char *p = all[i].params; *p; p++) {
			depth += (*p == '(') - (*p == ')');
			argc += *p == ',' && !depth;
		}
		/* Every pattern parses: NULLs suit any overload of this many. */
		ck_assert_msg(func_resolve(&arena, str_from(all[i].name), unknowns, NULL, argc, &m, &e) >= 0,
			      "%s(%s): %s", all[i].name, all[i].params, e.text);
	}
	ck_assert(func_is_aggregate(STR_LIT("SUM")) && !func_is_aggregate(STR_LIT("abs")));
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
	Suite *s = suite_create("type");
	TCase *tc = tcase_create("type");
	SRunner *sr = srunner_create(s);
	int bad;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, names);
	tcase_add_test(tc, coercion);
	tcase_add_loop_test(tc, cast_matrix, 0, ARRAY_LEN(casts));
	tcase_add_test(tc, cast_nested);
	tcase_add_test(tc, intervals);
	tcase_add_test(tc, registry);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
