/*
 * test_func: every scalar function through the registry, as data: a name, arguments, a result.
 *
 * An argument is written as "type text" and cast from that text ("bigint 7", "timestamp 2022-06-17
 * 10:15"); 'abc' is a varchar literal (which may be coerced), "null" a bare NULL, "[type a|b|c]" an array of a
 * type, "{type a|b|c}" a time series with a point every 5 s; an interval is a duration ("5m", "12month"). A result that begins with "!" is an error that
 * contains the rest; NULL is "null". Each case runs three times: with constants, with flat vectors
 * and with dictionaries, and must give the same.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/func.h"

struct fcase {
	const char *name;
	const char *args[5];
	const char *expect;
};

#define NOW INT64_C(1655487883771000678) /* 2022-06-17 17:44:43.771000678 */

static struct arena arena;
static uint64_t random_state[2] = {1, 2};
static struct exec_ctx exec = {.now_ns = NOW, .random_state = random_state};

static const struct {
	const char *name;
	const struct type *type;
} names[] = {
	{"integer", &type_integer}, {"bigint", &type_bigint}, {"double", &type_double},
	{"varchar", &type_varchar}, {"boolean", &type_boolean}, {"date", &type_date},
	{"timestamp", &type_timestamp}, {"time", &type_time},
};

static void make_text(struct vec *v, struct str s, const struct type *t)
{
	struct err e = {0};

	ck_assert_int_ge(vec_alloc(v, t, 1, &arena, &e), 0);
	v->str[0] = s;
	v->form = VEC_CONST;
}

/* "type text" -> a CONST vector. */
static void make_typed(const char *spec, struct vec *ret)
{
	struct err e = {0};
	struct vec text;
	struct duration d;
	size_t n = strcspn(spec, " ");

	if (!strncmp(spec, "null", 4)) {
		const struct type *t = &type_unknown;

		for (size_t i = 0; spec[4] && i < ARRAY_LEN(names); i++)
			if (!strcmp(spec + 5, names[i].name))
				t = names[i].type;
		ck_assert_int_ge(vec_const_null(ret, t, &arena, &e), 0);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i].name) == n && !strncmp(spec, names[i].name, n)) {
			make_text(&text, str_from(spec + n + (spec[n] != 0)), &type_varchar);
			ck_assert_msg(cast_vec(&arena, &text, 1, names[i].type, false, ret, &e) >= 0, "%s: %s",
				      spec, e.text);
			return;
		}
	bool minus = *spec == '-';
	ck_assert_msg(duration_parse(str_from(spec + minus), &d, &e) >= 0, "%s: %s", spec, e.text);
	ck_assert_int_ge(vec_alloc(ret, d.is_months ? &type_interval_ym : &type_interval_ds, 1, &arena, &e), 0);
	ret->i64[0] = d.is_months ? d.months : d.ns;
	if (minus)
		ret->i64[0] = -ret->i64[0];
	ret->form = VEC_CONST;
}

/* The values of seconds 0, 5, 10, ...; "-" leaves a second out. */
static void make_series(const char *p, const struct type *t, struct vec *ret)
{
	struct vec_builder b;
	struct err e = {0};
	uint32_t n = 0;
	int64_t time = 0;

	ck_assert_int_ge(vb_init(&b, type_timeseries(&arena, t), 1, &arena, &e), 0);
	for (; *p && *p != '}'; time += 5 * NS_PER_S) {
		char spec[64];
		struct vec one;
		size_t k = strcspn(++p, "|}");

		if (*p != '-' || k > 1) {
			snprintf(spec, sizeof(spec), "%s %.*s", type_name(&arena, t), (int)k, p);
			make_typed(spec, &one);
			ck_assert_int_ge(vb_add_i64(vb_field(vb_elem(&b), 0), time, &e), 0);
			ck_assert_int_ge(vb_add(vb_field(vb_elem(&b), 1), &one, 0, &e), 0);
			ck_assert_int_ge(vb_add_row(vb_elem(&b), &e), 0);
			n++;
		}
		p += k;
	}
	ck_assert_int_ge(vb_add_list(&b, n, &e), 0);
	vb_finish(&b, ret);
	ret->form = VEC_CONST;
}

static void make_array(const char *spec, struct vec *ret)
{
	char type[32], elem[128];
	struct vec_builder b;
	struct err e = {0};
	uint32_t n = 0;
	const struct type *t = NULL;
	const char *p = spec + 1;
	size_t k = strcspn(p, " ]}");

	memcpy(type, p, k);
	type[k] = 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(type, names[i].name))
			t = names[i].type;
	ck_assert_msg(t != NULL, "%s", spec);
	if (*spec == '{') {
		make_series(p + k, t, ret);
		return;
	}
	ck_assert_int_ge(vb_init(&b, type_array(&arena, t), 1, &arena, &e), 0);
	p += k + (p[k] == ' ');
	while (*p && *p != ']') {
		struct vec one;

		k = strcspn(p, "|]");
		if (k == 4 && !strncmp(p, "null", 4)) {
			ck_assert_int_ge(vb_add_null(vb_elem(&b), &e), 0);
		} else {
			snprintf(elem, sizeof(elem), "%s %.*s", type, (int)k, p);
			make_typed(elem, &one);
			ck_assert_int_ge(vb_add(vb_elem(&b), &one, 0, &e), 0);
		}
		n++;
		p += k + (p[k] == '|');
	}
	ck_assert_int_ge(vb_add_list(&b, n, &e), 0);
	vb_finish(&b, ret);
	ret->form = VEC_CONST;
}

/* ret_literal: is it a varchar literal? */
static void make_arg(const char *spec, struct vec *ret, bool *ret_literal)
{
	*ret_literal = *spec == '\'';
	if (*spec == '\'') {
		struct str s = {spec + 1, strlen(spec) - 2};

		make_text(ret, s, type_varchar_n(&arena, (int32_t)s.len));
	} else if (*spec == '[' || *spec == '{') {
		make_array(spec, ret);
	} else {
		make_typed(spec, ret);
	}
}

enum form { AS_CONST, AS_FLAT, AS_DICT, FORMS };
static const char *const form_names[] = {"const", "flat", "dict"};

static void to_form(struct vec *v, enum form form, uint32_t n)
{
	struct err e = {0};
	struct vec *dict;
	uint32_t *codes;

	if (form == AS_CONST)
		return;
	if (form == AS_FLAT) {
		ck_assert_int_ge(vec_flatten(v, n, &arena, v, &e), 0);
		return;
	}
	dict = arena_new(&arena, struct vec);
	codes = arena_zarray(&arena, uint32_t, n);
	ck_assert_int_ge(vec_flatten(v, 1, &arena, dict, &e), 0);
	*v = (struct vec){.type = v->type, .form = VEC_DICT, .codes = codes, .dict = dict, .dict_n = 1};
}

/* The result's text, "null", or "!" and the error. first: only this argument takes the form. */
static void run(const struct fcase *t, enum form form, bool first_only, uint32_t n, struct buf *out)
{
	struct vec args[5], ret;
	const struct type *types[5];
	const struct vec *consts[5];
	bool literal[5];
	struct func_match m;
	struct err e = {0};
	struct fn_call c = {.exec = &exec, .arena = &arena, .n = n, .args = args};
	int rc;

	while (c.argc < 5 && t->args[c.argc]) {
		make_arg(t->args[c.argc], &args[c.argc], &literal[c.argc]);
		types[c.argc] = args[c.argc].type;
		c.argc++;
	}
	rc = func_resolve(&arena, str_from(t->name), types, literal, c.argc, &m, &e);
	for (uint32_t k = 0; rc >= 0 && k < c.argc; k++) {
		rc = cast_vec(&arena, &args[k], 1, m.arg_types[k], false, &args[k], &e);
		if (rc >= 0 && (!first_only || k == 0))
			to_form(&args[k], form, n);
		consts[k] = args[k].form == VEC_CONST ? &args[k] : NULL;
	}
	if (rc >= 0 && m.func->prepare)
		rc = m.func->prepare(&arena, consts, c.argc, &c.prepared, &e);
	if (rc >= 0) {
		ck_assert_msg(m.func->scalar != NULL, "%s has no kernel", t->name);
		c.ret_type = m.ret;
		rc = func_call(m.func, &c, &ret, &e);
	}
	buf_clear(out);
	if (rc < 0) {
		ck_assert_msg(e.text[0] != 0, "%s: an error without a sentence", t->name);
		buf_addf(out, "!%s", e.text);
		return;
	}
	ck_assert(type_equal(ret.type, m.ret));
	for (uint32_t i = 1; i < n && !(m.func->flags & FN_VOLATILE); i++)
		ck_assert_msg(vec_same(&ret, 0, &ret, i), "%s: rows differ", t->name);
	if (vec_is_null(&ret, 0))
		buf_adds(out, "null");
	else
		vec_format(&ret, 0, out);
}

static void check_case(const struct fcase *t)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	for (int form = 0; form < FORMS; form++)
		for (int first = 0; first < 2; first++) {
			struct str s;
			bool ok;

			run(t, (enum form)form, first, 3, &out);
			s = buf_str(&out);
			buf_addc(&out, 0);
			ok = *t->expect == '!' ? *out.data == '!' && strstr(out.data, t->expect + 1)
					       : str_is((struct str){out.data, s.len}, t->expect);
			ck_assert_msg(ok, "%s(%s, %s, %s) %s: '%s', not '%s'", t->name,
				      t->args[0] ? t->args[0] : "", t->args[1] ? t->args[1] : "",
				      t->args[2] ? t->args[2] : "", form_names[form], out.data, t->expect);
		}
	buf_release(&out);
}

#include "tests/unit/func_cases.h"

#define CASES_TEST(test, table)                                                                    \
	START_TEST(test)                                                                           \
	{                                                                                          \
		check_case(&table[_i]);                                                            \
	}                                                                                          \
	END_TEST

CASES_TEST(operators, op_cases)
CASES_TEST(dates, date_cases)
CASES_TEST(formats, format_cases)
CASES_TEST(math, math_cases)
CASES_TEST(arrays, array_cases)
CASES_TEST(series, series_cases)
CASES_TEST(strings, string_cases)

static void setup(void)
{
	arena_init(&arena, NULL);
}

static void teardown(void)
{
	arena_release(&arena);
}

#define ADD_CASES(test, table) tcase_add_loop_test(tc, test, 0, ARRAY_LEN(table))

int main(void)
{
	Suite *s = suite_create("func");
	TCase *tc = tcase_create("func");
	SRunner *sr = srunner_create(s);
	int bad;

	tcase_add_checked_fixture(tc, setup, teardown);
	ADD_CASES(operators, op_cases);
	ADD_CASES(dates, date_cases);
	ADD_CASES(formats, format_cases);
	ADD_CASES(math, math_cases);
	ADD_CASES(arrays, array_cases);
	ADD_CASES(series, series_cases);
	ADD_CASES(strings, string_cases);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad != 0;
}
