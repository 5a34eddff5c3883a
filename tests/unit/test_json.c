#include "engine/json.h"
#include "tests/unit/unit.h"

/* ---- what is read, as a text: kinds and values in the order of the pulls ----------------------- */

static int render(struct json *j, const struct json_value *v, struct buf *out);

static int render_inside(struct json *j, bool is_object, struct buf *out)
{
	struct json_value v;
	bool first = true;
	int rc;

	buf_addc(out, is_object ? '{' : '[');
	for (;;) {
		rc = is_object ? json_member(j, &v) : json_element(j);
		if (rc <= 0)
			break;
		if (!first)
			buf_addc(out, ',');
		first = false;
		if (is_object) {
			buf_addf(out, "<%.*s>", STR_FMT(v.text));
		}
		rc = json_value(j, &v);
		if (rc == 0)
			rc = render(j, &v, out);
		if (rc < 0)
			return rc;
	}
	buf_addc(out, is_object ? '}' : ']');
	return rc;
}

static int render(struct json *j, const struct json_value *v, struct buf *out)
{
	switch (v->kind) {
	case JSON_NULL:
		buf_adds(out, "null");
		return 0;
	case JSON_BOOLEAN:
		buf_adds(out, v->boolean ? "true" : "false");
		return 0;
	case JSON_NUMBER:
		buf_addf(out, "%s%.*s", v->is_integer ? "i" : "f", STR_FMT(v->text));
		return 0;
	case JSON_STRING:
		buf_addc(out, '<');
		buf_add_str(out, v->text);
		buf_addc(out, '>');
		return 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
		return render_inside(j, v->kind == JSON_OBJECT, out);
	}
	return -EINVAL;
}

static int read_all(struct json *j, struct str text, struct buf *out, struct err *e)
{
	struct json_value v;
	int rc = json_start(j, text, e);

	buf_clear(out);
	if (rc == 0)
		rc = json_value(j, &v);
	if (rc == 0)
		rc = render(j, &v, out);
	return rc == 0 ? json_finish(j) : rc;
}

/* A copy without anything behind it, so that AddressSanitizer sees a byte too much. */
static char *exact(struct str s)
{
	char *p = malloc(MAX(s.len, 1u));

	if (s.len)
		memcpy(p, s.ptr, s.len);
	return p;
}

/* ---- examples ---------------------------------------------------------------------------------- */

static const struct {
	const char *text, *want;
} good[] = {
	{"null", "null"},
	{" \t\r\n true ", "true"},
	{"false", "false"},
	{"0", "i0"},
	{"-0", "i-0"},
	{"123456789012345678901234567890", "i123456789012345678901234567890"},
	{"-1.50", "f-1.50"},
	{"1e5", "f1e5"},
	{"1E+5", "f1E+5"},
	{"1.0e-7", "f1.0e-7"},
	{"\"\"", "<>"},
	{"\"plain text, longer than a word\"", "<plain text, longer than a word>"},
	{"\"K\xC3\xB6ln \x7F\"", "<K\xC3\xB6ln \x7F>"},
	{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "<\"\\/\b\f\n\r\t>"},
	{"\"\\u0041\\u00e9\\u20AC\\uD83D\\ude00\"", "<A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80>"},
	{"\"x\\ny\"", "<x\ny>"},
	{"{}", "{}"},
	{"[]", "[]"},
	{"{ \"a\" : 1 , \"b\" : [ true , null , { } ] }", "{<a>i1,<b>[true,null,{}]}"},
	{"{\"\":0}", "{<>i0}"},
	{"{\"a\":{\"a\":{\"a\":1}}}", "{<a>{<a>{<a>i1}}}"},
	{"[{\"a\":1},{\"a\":2}]", "[{<a>i1},{<a>i2}]"},
	{"{\"a\\u0062\":1,\"a\":2}", "{<ab>i1,<a>i2}"},
};

START_TEST(reads_good_texts)
{
	struct json j;
	struct buf out;
	struct err e;

	json_init(&j);
	buf_init(&out, 1 << 20);
	struct str text = str_from(good[_i].text);
	text.ptr = exact(text);
	int rc = read_all(&j, text, &out, &e);
	ck_assert_msg(rc == 0, "%s: %s", good[_i].text, err_text(&e, rc));
	ck_assert_msg(str_is(buf_str(&out), good[_i].want), "%s: %.*s", good[_i].text,
		      STR_FMT(buf_str(&out)));
	free((void *)text.ptr);
	buf_release(&out);
	json_release(&j);
}
END_TEST

static const struct {
	const char *text;
	size_t at;
	const char *why; /* part of the sentence */
} bad[] = {
	{"", 0, "ends before its value"},
	{"  ", 2, "ends before its value"},
	{"{", 1, "ends inside an object"},
	{"[", 1, "ends inside an array"},
	{"[1", 2, "',' or ']'"},
	{"[1,", 3, "a value is missing"},
	{"[1,]", 3, "']', where a value"},
	{"[,1]", 1, "',', where a value"},
	{"{,}", 1, "a member's name in quotes, or '}'"},
	{"{\"a\":1,}", 7, "'}', where a member's name in quotes should be"},
	{"{a:1}", 1, "'a', where a member's name"},
	{"{'a':1}", 1, "''', where"},
	{"{\"a\" 1}", 5, "where ':' should be"},
	{"{\"a\":}", 5, "'}', where a value"},
	{"{\"a\":1 \"b\":2}", 7, "',' or '}'"},
	{"{1:2}", 1, "where a member's name"},
	{"]", 0, "']', where a value"},
	{"[1}", 2, "',' or ']'"},
	{"{\"a\":1]", 6, "',' or '}'"},
	{"1 2", 2, "text behind the value"},
	{"{} {}", 3, "text behind the value"},
	{"01", 0, "begins with a zero"},
	{"-", 0, "without digits"},
	{"-a", 0, "without digits"},
	{"+1", 0, "'+', where a value"},
	{".5", 0, "'.', where a value"},
	{"5.", 0, "ends with its '.'"},
	{"1e", 0, "ends in its exponent"},
	{"1e+", 0, "ends in its exponent"},
	{"0x10", 1, "text behind"},
	{"NaN", 0, "NaN is no JSON; leave the member out"},
	{"[-Infinity]", 1, "without digits"},
	{"Infinity", 0, "no JSON"},
	{"True", 0, "'True' is no JSON"},
	{"nulls", 0, "'nulls' is no JSON"},
	{"{\"a\":hello}", 5, "'hello' is no JSON: a text needs double quotes"},
	{"\"abc", 0, "a string is not closed"},
	{"\"abc\\", 4, "a backslash begins one of"},
	{"\"abc\\\"", 0, "a string is not closed"},
	{"\"a\\x41\"", 2, "a backslash begins one of"},
	{"\"a\\u12\"", 2, "four hexadecimal digits"},
	{"\"a\\u12g4\"", 2, "four hexadecimal digits"},
	{"\"\\u0000\"", 1, "cannot be stored"},
	{"\"\\ud800\"", 1, "half of a surrogate pair"},
	{"\"\\udc00\"", 1, "half of a surrogate pair"},
	{"\"\\ud800\\u0041\"", 1, "half of a surrogate pair"},
	{"\"\\ud800x\"", 1, "half of a surrogate pair"},
	{"\"a\nb\"", 2, "byte 0x0a in a string: write it as \\u000a"},
	{"\"0123456789\tb\"", 11, "byte 0x09 in a string"},
	{"\"\\n\x01\"", 3, "byte 0x01 in a string"},
	{"\"\xC3\"", 1, "byte 0xc3 is no UTF-8"},
	{"\"\xED\xA0\x80\"", 1, "no UTF-8"},
	{"\xEF\xBB\xBF{}", 0, "where a value"},
	{"[1,\x01]", 3, "byte 0x01, where a value"},
	{"{\"a\":1,\"b\":2,\"a\":3}", 13, "member 'a' is given twice"},
	{"{\"a\":1,\"\\u0061\":3}", 7, "member 'a' is given twice"},
	{"[{\"x\":{\"a\":1,\"a\":2}}]", 13, "member 'a' is given twice"},
	{"/* c */ 1", 0, "'/', where a value"},
	{"[\xE2\x82\xAC]", 1, "'\xE2\x82\xAC', where a value"},
};

START_TEST(refuses_bad_texts)
{
	struct json j;
	struct buf out;
	struct err e = {0};

	json_init(&j);
	buf_init(&out, 1 << 20);
	struct str text = str_from(bad[_i].text);
	text.ptr = exact(text);
	int rc = read_all(&j, text, &out, &e);
	ck_assert_msg(rc == -EINVAL, "%s: %d %.*s", bad[_i].text, rc, STR_FMT(buf_str(&out)));
	ck_assert_msg(strstr(e.text, bad[_i].why), "%s: %s", bad[_i].text, e.text);
	ck_assert_msg(j.at == bad[_i].at, "%s: at %zu: %s", bad[_i].text, j.at, e.text);
	free((void *)text.ptr);
	buf_release(&out);
	json_release(&j);
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------------- */

START_TEST(depth_is_bounded)
{
	char text[4096];
	struct json j;
	struct buf out;
	struct err e;

	json_init(&j);
	buf_init(&out, 1 << 20);
	for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		int rc = read_all(&j, (struct str){text, 2 * (size_t)depth}, &out, &e);
		ck_assert_int_eq(rc, depth <= JSON_DEPTH_MAX ? 0 : -EINVAL);
		if (rc < 0)
			ck_assert_uint_eq(j.at, JSON_DEPTH_MAX);
	}
	/* A megabyte of brackets ends as early. */
	char *many = malloc(1 << 20);
	memset(many, '[', 1 << 20);
	ck_assert_int_eq(read_all(&j, (struct str){many, 1 << 20}, &out, &e), -EINVAL);
	ck_assert_uint_eq(j.at, JSON_DEPTH_MAX);
	free(many);
	buf_release(&out);
	json_release(&j);
}
END_TEST

START_TEST(twins_among_many_members_are_found)
{
	struct json j;
	struct buf text, out;
	struct err e;

	json_init(&j);
	buf_init(&text, 1 << 24);
	buf_init(&out, 1 << 24);
	for (int n = 2; n < 3000; n = n * 3 / 2) {
		for (int twin = -1; twin < n; twin += MAX(1, n / 7)) {
			size_t at = 0;
			buf_clear(&text);
			buf_adds(&text, "{\"in\":{\"m0\":1},");
			for (int i = 0; i < n; i++)
				buf_addf(&text, "\"m%d\":%d,", i, i);
			at = text.len;
			buf_addf(&text, "\"m%d\":0}", twin < 0 ? n : twin);
			int rc = read_all(&j, buf_str(&text), &out, &e);
			ck_assert_int_eq(rc, twin < 0 ? 0 : -EINVAL);
			if (rc < 0)
				ck_assert_uint_eq(j.at, at);
		}
	}
	buf_release(&text);
	buf_release(&out);
	json_release(&j);
}
END_TEST

START_TEST(skip_passes_over_whole_values)
{
	static const char text[] = "{\"a\":[1,{\"b\":[[],{}]},\"]\"],\"c\":{\"x\":\"}\"},\"d\":7}";
	struct json_value name, v;
	struct json j;
	int n = 0, rc;

	json_init(&j);
	ck_assert_int_eq(json_start(&j, str_from(text), NULL), 0);
	ck_assert_int_eq(json_value(&j, &v), 0);
	while ((rc = json_member(&j, &name)) > 0) {
		ck_assert_int_eq(json_value(&j, &v), 0);
		ck_assert_int_eq(json_skip(&j, &v), 0);
		ck_assert(str_is(name.text, n == 0 ? "a" : n == 1 ? "c" : "d"));
		n++;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(n, 3);
	ck_assert(str_is(v.text, "7"));
	ck_assert_int_eq(json_finish(&j), 0);

	/* What is wrong inside of what is skipped is said, too. */
	ck_assert_int_eq(json_start(&j, str_from("[[1,{\"a\":1,\"a\":2}]]"), NULL), 0);
	ck_assert_int_eq(json_value(&j, &v), 0);
	ck_assert_int_eq(json_skip(&j, &v), -EINVAL);
	ck_assert_uint_eq(j.at, 11);
	json_release(&j);
}
END_TEST

START_TEST(lines_and_columns_for_people)
{
	static const char text[] = "{\n  \"a\": 1,\n\n  x\n}";
	struct json j;
	struct buf out;
	struct err e;
	size_t line, column;

	json_init(&j);
	buf_init(&out, 1 << 20);
	ck_assert_int_eq(read_all(&j, str_from(text), &out, &e), -EINVAL);
	json_where(str_from(text), j.at, &line, &column);
	ck_assert_uint_eq(line, 4);
	ck_assert_uint_eq(column, 3);
	json_where(str_from(text), 0, &line, &column);
	ck_assert(line == 1 && column == 1);
	json_where(str_from(text), 1000, &line, &column);
	ck_assert_uint_eq(line, 5);
	buf_release(&out);
	json_release(&j);
}
END_TEST

/* ---- random trees ------------------------------------------------------------------------------- */

struct gen {
	struct unit_rng *r;
	struct buf text; /* the JSON */
	struct buf want; /* what render() says about it */
	int budget;
};

static void gen_blanks(struct gen *g)
{
	static const char blanks[] = " \t\r\n";

	while (unit_below(g->r, 6) == 0)
		buf_addc(&g->text, blanks[unit_below(g->r, 4)]);
}

static void add_char(struct buf *b, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(b, (char)c);
	} else if (c < 0x800) {
		buf_addf(b, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		buf_addf(b, "%c%c%c", 0xE0 | c >> 12, 0x80 | (c >> 6 & 0x3F), 0x80 | (c & 0x3F));
	} else {
		buf_addf(b, "%c%c%c%c", 0xF0 | c >> 18, 0x80 | (c >> 12 & 0x3F), 0x80 | (c >> 6 & 0x3F),
			 0x80 | (c & 0x3F));
	}
}

static void gen_string(struct gen *g, const char *prefix)
{
	uint64_t n = unit_below(g->r, 4) ? unit_below(g->r, 12) : unit_below(g->r, 60);

	buf_addf(&g->text, "\"%s", prefix);
	buf_addf(&g->want, "<%s", prefix);
	for (uint64_t i = 0; i < n; i++) {
		uint32_t c = (uint32_t)(unit_below(g->r, 3) ? unit_below(g->r, 127) + 1
							     : unit_below(g->r, 0x10FFFF) + 1);
		if (c >= 0xD800 && c < 0xE000)
			c = 'x';
		add_char(&g->want, c);
		bool must = c < 0x20 || c == '"' || c == '\\';
		if (!must && unit_below(g->r, 8)) {
			add_char(&g->text, c);
		} else if ((c == '"' || c == '\\') && unit_below(g->r, 2)) {
			buf_addf(&g->text, "\\%c", c);
		} else if (c == '\n' && unit_below(g->r, 2)) {
			buf_adds(&g->text, "\\n");
		} else if (c < 0x10000) {
			buf_addf(&g->text, unit_below(g->r, 2) ? "\\u%04x" : "\\u%04X", c);
		} else {
			buf_addf(&g->text, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
				 0xDC00 + ((c - 0x10000) & 0x3FF));
		}
	}
	buf_addc(&g->text, '"');
	buf_addc(&g->want, '>');
}

static void gen_number(struct gen *g)
{
	char t[64];
	size_t n;
	bool is_integer = unit_below(g->r, 2);

	if (is_integer)
		n = i64_format(t, (int64_t)unit_rand_log(g->r) * (unit_below(g->r, 2) ? 1 : -1));
	else
		n = (size_t)snprintf(t, sizeof t, "%.*e", (int)unit_below(g->r, 17),
				     (double)unit_rand_log(g->r) / 1000.0);
	buf_add(&g->text, t, n);
	buf_addf(&g->want, "%s%.*s", is_integer ? "i" : "f", (int)n, t);
}

static void gen_value(struct gen *g, int depth)
{
	static const char *const words[] = {"null", "true", "false"};
	uint64_t what = unit_below(g->r, depth > 0 && g->budget > 0 ? 8 : 5);
	char prefix[32];

	g->budget--;
	gen_blanks(g);
	if (what == 0) {
		const char *w = words[unit_below(g->r, 3)];
		buf_adds(&g->text, w);
		buf_adds(&g->want, w);
	} else if (what < 3) {
		gen_number(g);
	} else if (what < 5) {
		gen_string(g, "");
	} else {
		bool is_object = what < 7;
		uint64_t n = unit_below(g->r, 5);
		if (unit_below(g->r, 30) == 0)
			n = 40;
		buf_addc(&g->text, is_object ? '{' : '[');
		buf_addc(&g->want, is_object ? '{' : '[');
		for (uint64_t i = 0; i < n; i++) {
			if (i) {
				buf_addc(&g->text, ',');
				buf_addc(&g->want, ',');
			}
			gen_blanks(g);
			if (is_object) {
				snprintf(prefix, sizeof prefix, "%llu:", (unsigned long long)i);
				gen_string(g, prefix);
				gen_blanks(g);
				buf_addc(&g->text, ':');
			}
			gen_value(g, depth - 1);
			gen_blanks(g);
		}
		buf_addc(&g->text, is_object ? '}' : ']');
		buf_addc(&g->want, is_object ? '}' : ']');
	}
	gen_blanks(g);
}

START_TEST(random_trees_come_back)
{
	struct unit_rng r = unit_rng();
	struct gen g = {.r = &r};
	struct json j;
	struct buf out;
	struct err e;

	json_init(&j);
	buf_init(&g.text, 1 << 24);
	buf_init(&g.want, 1 << 24);
	buf_init(&out, 1 << 24);
	for (int round = 0; round < 4000; round++) {
		buf_clear(&g.text);
		buf_clear(&g.want);
		g.budget = 200;
		gen_value(&g, (int)unit_below(&r, 9));
		struct str text = buf_str(&g.text);
		text.ptr = exact(text);
		int rc = read_all(&j, text, &out, &e);
		unit_assert(&r, rc == 0, "round %d: at %zu: %s: %.*s", round, j.at, err_text(&e, rc),
			    (int)MIN(text.len, 1000u), text.ptr);
		unit_assert(&r, str_eq(buf_str(&out), buf_str(&g.want)), "round %d: %.*s", round,
			    (int)MIN(text.len, 1000u), text.ptr);

		/* A part of it, or a byte that differs: an answer with a place in it, whatever it is. */
		for (int k = 0; k < 8 && text.len; k++) {
			char *at = (char *)text.ptr + unit_below(&r, text.len), old = *at;
			struct str part = {text.ptr, (size_t)(at - text.ptr)};
			if (k & 1)
				part.len = text.len, *at = (char)unit_below(&r, 256);
			rc = read_all(&j, part, &out, &e);
			unit_assert(&r, rc == 0 || (rc == -EINVAL && j.at <= part.len),
				    "round %d: %d at %zu of %zu", round, rc, j.at, part.len);
			*at = old;
		}
		free((void *)text.ptr);
	}
	buf_release(&g.text);
	buf_release(&g.want);
	buf_release(&out);
	json_release(&j);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("json");
	TCase *tc = tcase_create("json");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, reads_good_texts, 0, ARRAY_LEN(good));
	tcase_add_loop_test(tc, refuses_bad_texts, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, depth_is_bounded);
	tcase_add_test(tc, twins_among_many_members_are_found);
	tcase_add_test(tc, skip_passes_over_whole_values);
	tcase_add_test(tc, lines_and_columns_for_people);
	tcase_add_test(tc, random_trees_come_back);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
