/*
 * test_func_names: every documented function is there, every function has a case in tests/sql/, and
 * docs/functions.md is what the registry says.
 */
#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/func.h"
#include "query/func_docs.h"
#include "query/query.h"
#include "tests/unit/unit.h"

/* ---- the documented names ---------------------------------------------------------------------------- */

/* Functions of the registry, by the groups of the language reference. */
static const char *const names[] = {
	/* time series */
	"create_time_series", "interpolate_linear", "interpolate_spline_cubic", "interpolate_locf", "interpolate_fill",
	"derivative_linear", "non_negative_derivative_linear", "integral_trapezoidal", "correlate_pearson",
	"correlate_spearman",
	/* comparison, conditional, conversion */
	"greatest", "least", "coalesce", "if", "nullif", "try", "typeof",
	/* mathematical */
	"abs", "cbrt", "ceiling", "ceil", "degrees", "e", "exp", "floor", "from_base", "ln", "log2", "log10", "mod", "pi",
	"pow", "power", "radians", "rand", "random", "round", "sign", "sqrt", "to_base", "truncate", "acos", "asin", "atan",
	"atan2", "cos", "cosh", "sin", "tan", "tanh", "infinity", "is_finite", "is_infinite", "is_nan", "nan",
	/* string */
	"chr", "codepoint", "concat", "hamming_distance", "length", "levenshtein_distance", "lower", "lpad", "ltrim",
	"replace", "reverse", "rpad", "rtrim", "split", "split_part", "strpos", "strrpos", "position", "substr", "trim",
	"upper",
	/* array */
	"array_distinct", "array_intersect", "array_union", "array_except", "array_join", "array_max", "array_min",
	"array_position", "array_remove", "array_sort", "arrays_overlap", "cardinality", "element_at", "repeat", "sequence",
	"shuffle", "slice", "zip",
	/* bitwise, regular expression */
	"bit_count", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "regexp_extract_all", "regexp_extract",
	"regexp_like", "regexp_replace", "regexp_split",
	/* date and time */
	"current_date", "current_time", "current_timestamp", "now", "current_timezone", "date", "last_day_of_month",
	"from_iso8601_timestamp", "from_iso8601_date", "to_iso8601", "from_milliseconds", "from_nanoseconds",
	"from_unixtime", "localtime", "localtimestamp", "to_milliseconds", "to_nanoseconds", "to_unixtime", "date_trunc",
	"date_add", "date_diff", "parse_duration", "bin", "ago", "date_format", "date_parse", "format_datetime",
	"parse_datetime", "day", "day_of_month", "day_of_week", "day_of_year", "dow", "doy", "hour", "millisecond",
	"minute", "month", "nanosecond", "quarter", "second", "week", "week_of_year", "year", "year_of_week", "yow",
	/* aggregate */
	"arbitrary", "array_agg", "avg", "bool_and", "every", "bool_or", "count", "count_if", "geometric_mean", "max_by",
	"min_by", "max", "min", "sum", "bitwise_and_agg", "bitwise_or_agg", "approx_distinct", "approx_percentile", "corr",
	"covar_pop", "covar_samp", "regr_intercept", "regr_slope", "skewness", "stddev_pop", "stddev_samp", "stddev",
	"var_pop", "var_samp", "variance",
};

START_TEST(documented_names)
{
	char upper[64];
	size_t n = strlen(names[_i]);

	ck_assert_msg(func_exists(str_from(names[_i])), "%s() is not in the registry", names[_i]);
	for (size_t k = 0; k <= n; k++)
		upper[k] = (char)toupper((unsigned char)names[_i][k]);
	ck_assert_msg(func_exists(str_from(upper)), "%s() is not found in upper case", names[_i]);
}
END_TEST

/* ---- documented forms that are no functions of the registry ------------------------------------------- */

static const char *const forms[] = {
	"SELECT CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", "SELECT CASE WHEN true THEN 1 ELSE 2 END",
	"SELECT cast('1' AS bigint), try_cast('x' AS bigint)", "SELECT extract(YEAR FROM '2019-10-12 23:10:34.000000000')",
	"SELECT position('n' IN 'banana')", "SELECT 1 + 2 - 3 * 4 / 5 % 6, -(7), 'a' || 'b'",
	"SELECT ARRAY[1, 2][1], ARRAY[1] || ARRAY[2], ARRAY[1] || 2", "SELECT 15m, 1d, 12month, INTERVAL '2' DAY",
	"SELECT current_date, current_time, current_timestamp, localtime, localtimestamp", "SELECT now(), current_timezone()",
	"SELECT 2 BETWEEN 1 AND 3, NULL IS NULL, 1 IS NOT NULL, 1 <> 2, 1 != 2", "SELECT 'abc' LIKE 'a%', 1 IN (1, 2)",
	"SELECT array_agg(DISTINCT x ORDER BY x DESC) FILTER (WHERE x > 0) FROM (VALUES 1, 2) AS t(x)",
	/* of other parts of the language; at worst refused by what they are, and never unknown */
	"SELECT 17 < ALL (VALUES 19, 20, 15)", "SELECT 11.7 = ANY (VALUES 12.0, 13.5, 11.7)",
	"SELECT 50 >= SOME (VALUES 53, 77, 27)", "SELECT x FROM UNNEST(ARRAY[1, 2]) AS u(x)",
	"SELECT filter(create_time_series(t, v), p -> p.value > 1) FROM (VALUES (now(), 1.5)) AS s(t, v)",
	"SELECT reduce(create_time_series(t, v), 0.0, (s, p) -> s + p.value, s -> s) FROM (VALUES (now(), 1.5)) AS s(t, v)",
	"SELECT regexp_replace('example', '(\\w)', x -> upper(x[1]))",
	"SELECT cume_dist() OVER (ORDER BY x), dense_rank() OVER (ORDER BY x), ntile(2) OVER (ORDER BY x), percent_rank() "
	"OVER (ORDER BY x), rank() OVER (ORDER BY x), row_number() OVER (ORDER BY x) FROM (VALUES 1, 2) AS t(x)",
	"SELECT first_value(x) OVER (ORDER BY x), last_value(x) OVER (ORDER BY x), nth_value(x, 2) OVER (ORDER BY x), "
	"lead(x) OVER (ORDER BY x), lag(x, 1, 0) OVER (ORDER BY x), sum(x) OVER (ORDER BY x) FROM (VALUES 1, 2) AS t(x)",
};

START_TEST(documented_forms)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct query_env env = {.now_ns = INT64_C(1718625600000000000)};
	struct err e = {0};
	struct query *q;
	char dir[64];
	int fd = unit_dir(dir), rc;

	ck_assert_int_eq(engine_open(dir, &opt, &env.engine, &e), 0);
	rc = query_prepare(&env, str_from(forms[_i]), &q, &e);
	ck_assert_msg(rc >= 0 || strstr(e.text, "is not supported yet"), "%s: %s", forms[_i], err_text(&e, rc));
	if (rc >= 0)
		query_destroy(q);
	engine_close(env.engine);
	unit_dir_remove(fd, dir);
}
END_TEST

/* ---- every function has a case ------------------------------------------------------------------------- */

static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "r");
	char chunk[65536];

	ck_assert_msg(f != NULL, "%s: not there; tests run in the directory of the project", path);
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(out, chunk, n);
	fclose(f);
}

static void read_cases(struct buf *out)
{
	DIR *d = opendir("tests/sql");
	char path[512];

	ck_assert_msg(d != NULL, "tests/sql: not there; tests run in the directory of the project");
	for (struct dirent *de; (de = readdir(d));) {
		if (!strstr(de->d_name, ".slt"))
			continue;
		snprintf(path, sizeof(path), "tests/sql/%s", de->d_name);
		read_file(path, out);
	}
	closedir(d);
	for (size_t i = 0; i < out->len; i++)
		out->data[i] = (char)tolower((unsigned char)out->data[i]);
	buf_addc(out, 0);
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The word, and behind it a parenthesis, or anything where it is called without. */
static bool is_called(const char *text, const char *name)
{
	bool bare = !strncmp(name, "current_", 8) || !strncmp(name, "localtime", 9);
	size_t n = strlen(name);

	for (const char *p = text; (p = strstr(p, name)); p += n) {
		if ((p > text && is_word(p[-1])) || is_word(p[n]))
			continue;
		if (p[n] == '(' || bare)
			return true;
	}
	return false;
}

START_TEST(functions_have_cases)
{
	uint32_t n;
	const struct func *all = func_all(&n);
	struct buf cases, missing;

	buf_init(&cases, 64 << 20);
	buf_init(&missing, 1 << 20);
	read_cases(&cases);
	for (uint32_t i = 0; i < n; i++) {
		if (!(all[i].flags & FN_HIDDEN) && (!i || strcmp(all[i].name, all[i - 1].name)) &&
		    !is_called(cases.data, all[i].name))
			buf_addf(&missing, " %s", all[i].name);
	}
	buf_addc(&missing, 0);
	ck_assert_msg(missing.len == 1, "no case in tests/sql/ calls:%s", missing.data);
	buf_release(&missing);
	buf_release(&cases);
}
END_TEST

/* ---- docs/functions.md ------------------------------------------------------------------------------------ */

START_TEST(docs_are_current)
{
	struct buf want, got;

	buf_init(&want, 16 << 20);
	buf_init(&got, 16 << 20);
	ck_assert_int_eq(func_print_docs(&want), 0);
	read_file("docs/functions.md", &got);
	ck_assert_msg(str_eq(buf_str(&want), buf_str(&got)), "docs/functions.md is not what the registry says: make docs");
	buf_release(&want);
	buf_release(&got);
}
END_TEST

/* One line each, with a group, and not the same for two overloads of different meaning. */
START_TEST(help_lines)
{
	uint32_t n;
	const struct func *all = func_all(&n);

	for (uint32_t i = 0; i < n; i++) {
		const struct func *f = &all[i];

		ck_assert_msg(f->group && f->help && *f->help, "%s has no help", f->name);
		ck_assert_msg(!strchr(f->help, '\n') && strlen(f->help) <= 160, "%s: the help is no short line", f->name);
		ck_assert_msg(f->params && f->ret, "%s has no signature", f->name);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("func_names");
	TCase *tc = tcase_create("func_names");
	SRunner *sr = srunner_create(s);
	int bad;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, documented_names, 0, ARRAY_LEN(names));
	tcase_add_loop_test(tc, documented_forms, 0, ARRAY_LEN(forms));
	tcase_add_test(tc, functions_have_cases);
	tcase_add_test(tc, docs_are_current);
	tcase_add_test(tc, help_lines);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
