/* Tokens: their kinds, texts and positions. */
#include "query/lex.h"
#include "query/sql.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	int codes[6]; /* 0 ends */
} kinds[] = {
	{"a _b c1", {TK_ID, TK_ID, TK_ID}},
	{"\"a\"\"b\" 'x''y' U&'x'", {TK_QID, TK_STRING, TK_USTRING}},
	{"1 1.5 .5 5. 1e5", {TK_INTEGER, TK_NUMBER, TK_NUMBER, TK_NUMBER, TK_NUMBER}},
	{"0xFF 0b1 0o7 1_000", {TK_INTEGER, TK_INTEGER, TK_INTEGER, TK_INTEGER}},
	{"15m 72.5h 1year 1d", {TK_DURATION, TK_DURATION, TK_DURATION, TK_DURATION}},
	{"1-2", {TK_INTEGER, TK_MINUS, TK_INTEGER}},
	{"a--b\n->", {TK_ID, TK_ARROW}},
	{"<>!=<= >=||", {TK_NE, TK_NE, TK_LE, TK_GE, TK_CONCAT}},
	{"/*/ */ / -- x", {TK_SLASH}},
	{"measure_value::double Measure_Value::BIGINT", {TK_ID, TK_ID}},
	{"@p1.a", {TK_PARAM, TK_DOT, TK_ID}},
	{"select SeLeCt time rows", {TK_SELECT, TK_SELECT, TK_ID, TK_ROWS}},
	{"x[1]", {TK_ID, TK_LB, TK_INTEGER, TK_RB}},
	{"\xEF\xBB\xBF" "a", {TK_ID}},
};

START_TEST(tells_kinds)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct arena a;
		struct lex l;
		struct token t;
		struct err e;
		int k = 0;

		arena_init(&a, NULL);
		lex_init(&l, &a, str_from(kinds[i].text), false);
		for (int rc; (rc = lex_next(&l, &t, &e)) != 0; k++) {
			ck_assert_msg(rc > 0, "%s: %s", kinds[i].text, e.text);
			ck_assert_msg(t.code == kinds[i].codes[k], "%s: token %d is %d", kinds[i].text, k, t.code);
		}
		ck_assert_msg(k == 6 || !kinds[i].codes[k], "%s: only %d tokens", kinds[i].text, k);
		arena_release(&a);
	}
}
END_TEST

START_TEST(resolves_values_and_counts_positions)
{
	struct arena a;
	struct lex l;
	struct token t;
	struct err e;

	arena_init(&a, NULL);
	lex_init(&l, &a, STR_LIT("'\xC3\xA4''b'\n\t\"c\"\"d\""), false);
	ck_assert_int_eq(lex_next(&l, &t, &e), 1);
	ck_assert(str_is(t.value, "\xC3\xA4'b"));
	ck_assert_int_eq(lex_next(&l, &t, &e), 1);
	ck_assert(str_is(t.value, "c\"d"));
	ck_assert_uint_eq(t.pos.line, 2);
	ck_assert_uint_eq(t.pos.col, 2);
	ck_assert_int_eq(lex_next(&l, &t, &e), 0);
	ck_assert_uint_eq(t.pos.col, 8);
	arena_release(&a);
}
END_TEST

/* Any bytes: an end or an error, positions never go back. */
START_TEST(survives_noise)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 20000; round++) {
		static const char alphabet[] = "ab1.'\"-/*|@:&U\\ \n\xC3\xA4()e+_x0";
		char text[24];
		struct arena a;
		struct lex l;
		struct token t;
		struct err e;
		size_t n = unit_below(&r, sizeof text), last = 0;

		for (size_t i = 0; i < n; i++)
			text[i] = unit_below(&r, 8) ? alphabet[unit_below(&r, sizeof alphabet - 1)]
						    : (char)unit_rand(&r);
		arena_init(&a, NULL);
		lex_init(&l, &a, (struct str){text, n}, unit_below(&r, 2));
		while (lex_next(&l, &t, &e) > 0) {
			unit_assert(&r, l.off > last && l.off <= n, "offset %zu after %zu", l.off, last);
			last = l.off;
		}
		arena_release(&a);
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {tells_kinds, resolves_values_and_counts_positions, survives_noise};

	return unit_main("lex", 60, tests, ARRAY_LEN(tests));
}
