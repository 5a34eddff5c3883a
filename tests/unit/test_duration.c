#include "tests/unit/unit.h"

#include <inttypes.h>

static const struct {
	const char *text;
	int rc;
	bool is_months;
	int64_t value;
	const char *says; /* part of the sentence, where it fails */
} rows[] = {
	{"90s", 0, false, 90 * NS_PER_S, NULL},
	{"12h", 0, false, 12 * 3600 * NS_PER_S, NULL},
	{"7d", 0, false, 7 * NS_PER_DAY, NULL},
	{"73000d", 0, false, 73000 * NS_PER_DAY, NULL},
	{"42.8ms", 0, false, 42800000, NULL},
	{"72.5h", 0, false, 261000 * NS_PER_S, NULL},
	{"1 day", 0, false, NS_PER_DAY, NULL},
	{"0s", 0, false, 0, NULL},
	{"0.0s", 0, false, 0, NULL},
	{"007m", 0, false, 420 * NS_PER_S, NULL},
	{"1nanosecond", 0, false, 1, NULL},
	{"1microsecond", 0, false, 1000, NULL},
	{"1millisecond", 0, false, 1000000, NULL},
	{"1second", 0, false, NS_PER_S, NULL},
	{"1minute", 0, false, 60 * NS_PER_S, NULL},
	{"1hour", 0, false, 3600 * NS_PER_S, NULL},
	{"3ns", 0, false, 3, NULL},
	{"3us", 0, false, 3000, NULL},
	{"1y", 0, true, 12, NULL},
	{"1year", 0, true, 12, NULL},
	{"8month", 0, true, 8, NULL},
	{"1.5y", 0, true, 18, NULL},
	{"0.25year", 0, true, 3, NULL},
	{"2.000month", 0, true, 2, NULL},
	/* cut below the nanosecond, exactly: no rounding through a double */
	{"0.9999999999s", 0, false, 999999999, NULL},
	{"1.9ns", 0, false, 1, NULL},
	{"0.000000000999999999999999999999999999999999999s", 0, false, 0, NULL},
	{"0.1d", 0, false, NS_PER_DAY / 10, NULL},
	{"0.3333333333333333333333333333333333333333h", 0, false, 1199999999999, NULL},
	/* 1/86400 of a day and a hair, which needs twenty digits to tell */
	{"0.000011574074074074074074074074074d", 0, false, 999999999, NULL},
	{"0.000011574074074074074074074074075d", 0, false, 1000000000, NULL},
	{"9223372036854775807ns", 0, false, INT64_MAX, NULL},
	{"9223372036.854775807s", 0, false, INT64_MAX, NULL},
	{"9223372036.8547758079999s", 0, false, INT64_MAX, NULL},
	{"9223372036854775808ns", -ERANGE, false, 0, "292 years"},
	{"9223372036.854775808s", -ERANGE, false, 0, "292 years"},
	{"200000d", -ERANGE, false, 0, "292 years"},
	{"99999999999999999999999999d", -ERANGE, false, 0, "292 years"},
	{"768614336404564651y", -ERANGE, true, 0, "months"},
	{"768614336404564650y", 0, true, INT64_C(9223372036854775800), NULL},
	{"0.1y", -EINVAL, true, 0, "whole number of months"},
	{"1.5month", -EINVAL, true, 0, "whole number of months"},
	{"0.0000000000000000000000000001y", -EINVAL, true, 0, "whole number of months"},
	{"", -EINVAL, false, 0, "begin with a digit"},
	{"d", -EINVAL, false, 0, "begin with a digit"},
	{"-1d", -EINVAL, false, 0, "begin with a digit"},
	{"+1d", -EINVAL, false, 0, "begin with a digit"},
	{" 1d", -EINVAL, false, 0, "begin with a digit"},
	{".5d", -EINVAL, false, 0, "begin with a digit"},
	{"5.d", -EINVAL, false, 0, "follow the point"},
	{"5.", -EINVAL, false, 0, "follow the point"},
	{"5", -EINVAL, false, 0, "unit is missing"},
	{"5 ", -EINVAL, false, 0, "unit is missing"},
	{"5  d", -EINVAL, false, 0, "no such unit"},
	{"5d ", -EINVAL, false, 0, "no such unit"},
	{"5days", -EINVAL, false, 0, "no such unit"},
	{"5D", -EINVAL, false, 0, "no such unit"},
	{"5w", -EINVAL, false, 0, "no such unit"},
	{"5quarter", -EINVAL, false, 0, "no such unit"},
	{"1.2.3s", -EINVAL, false, 0, "no such unit"},
	{"1e3s", -EINVAL, false, 0, "no such unit"},
	{"1h30m", -EINVAL, false, 0, "no such unit"},
};

START_TEST(parses_by_table)
{
	struct duration d = {.ns = -1, .months = -1};
	struct err e = {0};
	const char *z = rows[_i].text;
	int rc = duration_parse(str_from(z), &d, &e);

	ck_assert_msg(rc == rows[_i].rc, "\"%s\": %d %s", z, rc, e.text);
	if (rc < 0) {
		ck_assert_msg(strstr(e.text, rows[_i].says), "\"%s\": %s", z, e.text);
		ck_assert_int_eq(e.code, rc);
		ck_assert(d.ns == -1 && d.months == -1);
		ck_assert_int_eq(duration_parse(str_from(z), &d, NULL), rc);
		return;
	}
	ck_assert_msg(d.is_months == rows[_i].is_months, "\"%s\"", z);
	ck_assert_msg((d.is_months ? d.months : d.ns) == rows[_i].value,
		      "\"%s\": %" PRId64 " ns, %" PRId64 " months", z, d.ns, d.months);
	ck_assert((d.is_months ? d.ns : d.months) == 0);
}
END_TEST

/* A megabyte of it, and not NUL-terminated. The sentence shows only the beginning. */
START_TEST(long_texts_do_no_harm)
{
	size_t n = 1 << 20;
	char *t = malloc(n);
	struct duration d;
	struct err e;

	memset(t, '9', n);
	ck_assert_int_eq(duration_parse((struct str){t, n}, &d, &e), -EINVAL);
	ck_assert_int_lt(strlen(e.text), 200);
	t[n - 1] = 'd';
	ck_assert_int_eq(duration_parse((struct str){t, n}, &d, &e), -ERANGE);
	memcpy(t, "1.", 2);
	ck_assert_int_eq(duration_parse((struct str){t, n}, &d, &e), 0);
	ck_assert(d.ns == 2 * NS_PER_DAY - 1);
	free(t);
}
END_TEST

START_TEST(knows_units)
{
	static const char *const yes[] = {
		"ns", "nanosecond", "us", "microsecond", "ms",    "millisecond",
		"s",  "second",     "m",  "minute",      "h",     "hour",
		"d",  "day",        "y",  "year",        "month",
	};
	static const char *const no[] = {"",  "w", "week", "quarter", "days",
					 "D", "M", "mo",   "sec",     "n"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		ck_assert_msg(duration_is_unit(str_from(yes[i])), "%s", yes[i]);
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		ck_assert_msg(!duration_is_unit(str_from(no[i])), "%s", no[i]);
}
END_TEST

static const struct {
	int64_t ns;
	const char *text;
} format_rows[] = {
	{0, "0s"},
	{1, "1ns"},
	{1000, "1us"},
	{42800000, "42800us"},
	{90 * NS_PER_S, "90s"},
	{120 * NS_PER_S, "2m"},
	{21600 * NS_PER_S, "6h"},
	{73000 * NS_PER_DAY, "73000d"},
	{-90 * NS_PER_S, "-90s"},
	{INT64_MAX, "9223372036854775807ns"},
	{INT64_MIN, "-9223372036854775808ns"},
};

START_TEST(formats_by_table)
{
	char t[25] = {0};
	size_t n = duration_format(t, format_rows[_i].ns);

	ck_assert_int_le(n, 24);
	ck_assert_str_eq(t, format_rows[_i].text);
}
END_TEST

START_TEST(formatted_parses_back)
{
	static const int64_t sizes[] = {1,        NS_PER_US,     NS_PER_MS,
					NS_PER_S, 60 * NS_PER_S, NS_PER_DAY};
	struct unit_rng r = unit_rng();

	for (int i = 0; i < 20000; i++) {
		int64_t size = sizes[unit_below(&r, ARRAY_LEN(sizes))];
		int64_t ns = (int64_t)(unit_rand_log(&r) >> 1) / size * size;
		char t[24];
		struct duration d;
		size_t n = duration_format(t, ns);
		unit_assert(&r, duration_parse((struct str){t, n}, &d, NULL) == 0, "%" PRId64, ns);
		unit_assert(&r, !d.is_months && d.ns == ns, "%" PRId64 " as %" PRId64, ns, d.ns);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("duration");
	TCase *tc = tcase_create("duration");

	tcase_add_loop_test(tc, parses_by_table, 0, ARRAY_LEN(rows));
	tcase_add_test(tc, long_texts_do_no_harm);
	tcase_add_test(tc, knows_units);
	tcase_add_loop_test(tc, formats_by_table, 0, ARRAY_LEN(format_rows));
	tcase_add_test(tc, formatted_parses_back);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
