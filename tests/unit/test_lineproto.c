/* lineproto: what a line means, what is refused and where, and where lines end. */
#include "engine/lineproto.h"
#include "tests/unit/unit.h"

/* ---- one line --------------------------------------------------------------------------------- */

/* "measure|tag=value|...|field:type=value|...|@time" */
static void show(const struct point *pt, struct buf *out)
{
	char num[F64_TEXT_MAX];

	buf_add_str(out, pt->measure);
	for (uint32_t i = 0; i < pt->tag_count; i++)
		buf_addf(out, "|%.*s=%.*s", STR_FMT(pt->tags[i].key), STR_FMT(pt->tags[i].value));
	for (uint32_t i = 0; i < pt->field_count; i++) {
		const struct point_field *f = &pt->fields[i];
		buf_addf(out, "|%.*s:%s=", STR_FMT(f->key), coltype_name(f->type));
		switch (f->type) {
		case COL_BIGINT:
			buf_addf(out, "%lld", (long long)f->i64);
			break;
		case COL_DOUBLE:
			buf_add(out, num, f64_format(num, f->f64));
			break;
		case COL_BOOLEAN:
			buf_adds(out, f->b8 ? "true" : "false");
			break;
		default:
			buf_add_str(out, f->str);
		}
	}
	if (pt->has_time)
		buf_addf(out, "|@%lld", (long long)pt->time);
}

static const struct {
	const char *line;
	const char *want;
} good[] = {
	{"m f=1", "m|f:double=1.0"},
	{"weather,station=7 temp=21.4", "weather|station=7|temp:double=21.4"},
	{"m,b=2,a=1 f=1 7", "m|b=2|a=1|f:double=1.0|@7"},
	{"m f=1i,g=2u,h=-3i", "m|f:bigint=1|g:bigint=2|h:bigint=-3"},
	{"m f=9223372036854775807i,g=-9223372036854775808i",
	 "m|f:bigint=9223372036854775807|g:bigint=-9223372036854775808"},
	{"m f=9223372036854775807u", "m|f:bigint=9223372036854775807"},
	{"m a=.5,b=5.,c=-1e3,d=1E-2,e=+4", "m|a:double=0.5|b:double=5.0|c:double=-1000.0|"
					   "d:double=0.01|e:double=4.0"},
	{"m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE",
	 "m|a:boolean=true|b:boolean=true|c:boolean=true|d:boolean=true|e:boolean=true|"
	 "f:boolean=false|g:boolean=false|h:boolean=false|i:boolean=false|j:boolean=false"},
	{"m s=\"hello\"", "m|s:varchar=hello"},
	{"m s=\"\"", "m|s:varchar="},
	{"m s=\"a \\\"b\\\" \\\\ \\n c,d=e\",t=1", "m|s:varchar=a \"b\" \\ \\n c,d=e|t:double=1.0"},
	{"m s=\"two\nlines\" 5", "m|s:varchar=two\nlines|@5"},
	{"my\\ m\\,x f=1", "my m,x|f:double=1.0"},
	{"m\\=x=y f=1", "m\\=x=y|f:double=1.0"},
	{"m,t\\ a\\,g\\=s=v\\ a\\,l\\=u f\\ i\\,e\\=l=1", "m|t a,g=s=v a,l=u|f i,e=l:double=1.0"},
	{"m,t=a\\b\\\\c f=1", "m|t=a\\b\\\\c|f:double=1.0"},
	{"m,t=a\\\\ b f=1", "m|t=a\\ b|f:double=1.0"},
	{"m,t=\"q f=1", "m|t=\"q|f:double=1.0"},
	{"m,t=a\tb f=1", "m|t=a\tb|f:double=1.0"},
	{"  \t m f=1", "m|f:double=1.0"},
	{"m,a=b   f=1   12  ", "m|a=b|f:double=1.0|@12"},
	{"m f=1\r", "m|f:double=1.0"},
	{"m f=1 7\r", "m|f:double=1.0|@7"},
	{"m f=1 -5", "m|f:double=1.0|@-5"},
	{"m,ort=K\xC3\xB6ln f=1", "m|ort=K\xC3\xB6ln|f:double=1.0"},
	{"m f\"g=1", "m|f\"g:double=1.0"},
	{"", NULL},
	{"   \t ", NULL},
	{"\r", NULL},
	{"# a comment f=1", NULL},
	{"  # a comment \xFF", NULL},
};

START_TEST(takes)
{
	struct point pt;
	struct buf out;
	struct err e = {0};
	size_t at = 0;

	point_init(&pt);
	buf_init(&out, 1 << 20);
	for (int twice = 0; twice < 2; twice++) {
		int rc = lp_parse(&pt, str_from(good[_i].line), &at, &e);
		ck_assert_msg(rc == (good[_i].want != NULL), "'%s': %d %s", good[_i].line, rc, e.text);
		buf_clear(&out);
		if (rc == 1)
			show(&pt, &out);
		ck_assert_msg(str_is(buf_str(&out), good[_i].want ? good[_i].want : ""),
			      "'%s': got %.*s", good[_i].line, STR_FMT(buf_str(&out)));
	}
	point_release(&pt);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *line;
	int column; /* from 1 */
	const char *reason;
} bad[] = {
	{"m", 2, "no fields"},
	{"m ", 3, "no fields"},
	{"m,t=1", 6, "no fields"},
	{",t=1 f=1", 1, "measurement is empty"},
	{"m, f=1", 3, "name is empty"},
	{"m,=1 f=1", 3, "name is empty"},
	{"m,t f=1", 4, "tag 't' has no value"},
	{"m,t= f=1", 5, "value of tag 't' is empty"},
	{"m,t=,u=1 f=1", 5, "value of tag 't' is empty"},
	{"m,t=a=b f=1", 6, "without a backslash"},
	{"m,t=1,t=2 f=1", 7, "tag 't' is given twice"},
	{"m f=1,f=2", 7, "field 'f' is given twice"},
	{"m,x=1 x=2", 7, "a tag and a field"},
	{"m,a\\ b=1,a\\ b=2 f=1", 10, "given twice"},
	{"m f", 4, "field 'f' has no value"},
	{"m f=", 5, "field 'f' has no value"},
	{"m f=,g=1", 5, "field 'f' has no value"},
	{"m f=1,", 7, "name is empty"},
	{"m f=1, g=2", 7, "name is empty"},
	{"m =1", 3, "name is empty"},
	{"m f=abc", 5, "not a number, boolean or quoted string"},
	{"m f=1.2.3", 5, "not a number"},
	{"m f=0x10", 5, "not a number"},
	{"m f=1e", 5, "not a number"},
	{"m f=NaN", 5, "NaN and infinity"},
	{"m f=-inf", 5, "NaN and infinity"},
	{"m f=1e999", 5, "too large"},
	{"m f=1.5i", 5, "not an integer"},
	{"m f=i", 5, "not an integer"},
	{"m f=-1u", 5, "not an unsigned integer"},
	{"m f=9223372036854775808i", 5, "does not fit"},
	{"m f=18446744073709551615u", 5, "does not fit"},
	{"m f=\"abc", 5, "not closed"},
	{"m f=\"abc\\\"", 5, "not closed"},
	{"m f=\"a\"b", 8, "must follow"},
	{"m f=tRUE", 5, "not a number"},
	{"m f=1 x", 7, "not a whole number"},
	{"m f=1 1.5", 7, "not a whole number"},
	{"m f=1 9223372036854775808", 7, "does not fit"},
	{"m f=1 12 13", 10, "behind the timestamp"},
	{"m,t=\xFF f=1", 5, "byte 0xFF is not valid UTF-8"},
	{"m f=\"\xC3\"", 6, "not valid UTF-8"},
	{"m f=\"\xED\xA0\x80\"", 6, "not valid UTF-8"},
};

START_TEST(refuses)
{
	struct point pt;
	struct err e = {0};
	size_t at = 999;

	point_init(&pt);
	int rc = lp_parse(&pt, str_from(bad[_i].line), &at, &e);
	ck_assert_msg(rc == -EINVAL, "'%s' was taken", bad[_i].line);
	ck_assert_msg(strstr(e.text, bad[_i].reason), "'%s': %s", bad[_i].line, e.text);
	ck_assert_msg((int)at + 1 == bad[_i].column, "'%s': column %zu: %s", bad[_i].line, at + 1,
		      e.text);
	point_release(&pt);
}
END_TEST

START_TEST(refuses_nul)
{
	struct point pt;
	struct err e = {0};
	size_t at = 0;

	point_init(&pt);
	ck_assert_int_eq(lp_parse(&pt, STR_LIT("m,t=a\0b f=1"), &at, &e), -EINVAL);
	ck_assert_uint_eq(at, 5);
	ck_assert_ptr_nonnull(strstr(e.text, "NUL"));
	point_release(&pt);
}
END_TEST

START_TEST(bounds_the_parts)
{
	struct point pt;
	struct buf line;
	struct err e = {0};
	size_t at = 0;

	point_init(&pt);
	buf_init(&line, 1 << 20);
	for (int over = 0; over < 2; over++) {
		buf_clear(&line);
		buf_adds(&line, "m ");
		for (int i = 0; i < POINT_PARTS_MAX + over; i++)
			buf_addf(&line, "%sf%d=1", i ? "," : "", i);
		ck_assert_int_eq(lp_parse(&pt, buf_str(&line), &at, &e), over ? -EINVAL : 1);
	}
	ck_assert_ptr_nonnull(strstr(e.text, "more than 4096 fields"));
	/* Twins among many take the sorted way. */
	buf_clear(&line);
	buf_adds(&line, "m,f77=1 ");
	for (int i = 0; i < 1000; i++)
		buf_addf(&line, "%sf%d=1", i ? "," : "", i);
	ck_assert_int_eq(lp_parse(&pt, buf_str(&line), &at, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "'f77' is a tag and a field"));
	point_release(&pt);
	buf_release(&line);
}
END_TEST

/* ---- where lines end -------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int end;
} ends[] = {
	{"m f=1\nx", 5},
	{"\nx", 0},
	{"# \"c\nx", 4},
	{"m f=\"a\nb\"\nx", 9},
	{"m f=\"a\\\"\nb\"\nx", 11},
	{"m f=\"a\\\\\"\nb\"\nx", 9},
	{"m,t=\"a\nb\"\nx", 6},      /* a quote in a tag opens nothing */
	{"m\"x\nb\"\nx", 3},          /* nor in the measurement */
	{"m f=1 \"a\nb\"\nx", 8},     /* nor behind the fields */
	{"m f\"=1\nb\"\nx", 6},       /* nor in a field's name */
	{"m f\\=\"=1\nb\"\nx", 8},    /* nor behind an escaped '=' */
	{"m,a=b\\ c=\"d\ne\"\nx", 11}, /* an escaped blank does not begin the fields */
	{"m   f=\"a\nb\"\nx", 11},
	{"m f=1,g=\"a\nb\"\nx", 13},
	{"m f=\"a\"b=\"\n\"\nx", 12},
	{"m\\\nx", 2}, /* a backslash does not escape a newline */
};

START_TEST(finds_ends)
{
	size_t n = strlen(ends[_i].text);

	/* In one piece and cut at each place. */
	for (size_t cut = 0; cut <= n; cut++) {
		struct lp_scan s = {LP_START};
		size_t at = lp_scan_line(&s, ends[_i].text, cut);
		if (at == cut)
			at += lp_scan_line(&s, ends[_i].text + cut, n - cut);
		ck_assert_msg((int)at == ends[_i].end, "'%s' cut at %zu: %zu", ends[_i].text, cut, at);
	}
}
END_TEST

static bool has_newline_in_names(const struct point *pt)
{
	bool has = memchr(pt->identity.ptr, '\n', pt->identity.len);

	for (uint32_t i = 0; i < pt->field_count; i++)
		has |= memchr(pt->fields[i].key.ptr, '\n', pt->fields[i].key.len) != NULL;
	return has;
}

/*
 * Random text made of what matters. Of each prefix that the scanner leaves inside one line: when the
 * parser takes it, the scanner is not inside a string there, and no newline is outside of one.
 */
START_TEST(scanner_and_parser_agree)
{
	static const char *const bits[] = {"m", ",", "=", " ",	"\\", "\"", "\n", "t=v", " f=1", "f=\"",
					   "#", "i", "1", "\r", "\t", "x",  " 5", "\\\"", "\\ "};
	struct unit_rng r = unit_rng();
	struct point pt;
	struct err e;

	point_init(&pt);
	uint64_t taken = 0;
	for (int round = 0; round < 200000; round++) {
		char text[128];
		size_t n = 0, at;
		int k = (int)unit_below(&r, 14) + 1;
		if (unit_below(&r, 2))
			n = (size_t)sprintf(text, "m,t=v f=1,g=");
		while (k--)
			n += (size_t)sprintf(text + n, "%s", bits[unit_below(&r, ARRAY_LEN(bits))]);
		struct lp_scan s = {LP_START};
		size_t end = lp_scan_line(&s, text, n);
		for (size_t to = 0; to <= end; to++) {
			struct lp_scan half = {LP_START};
			lp_scan_line(&half, text, to);
			if (lp_parse(&pt, (struct str){text, to}, &at, &e) != 1)
				continue;
			taken++;
			unit_assert(&r, !lp_scan_in_string(&half), "'%.*s'", (int)to, text);
			unit_assert(&r, !has_newline_in_names(&pt), "'%.*s'", (int)to, text);
		}
	}
	ck_assert_uint_gt(taken, 10000);
	point_release(&pt);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lineproto");
	TCase *tc = tcase_create("lineproto");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, takes, 0, ARRAY_LEN(good));
	tcase_add_loop_test(tc, refuses, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, refuses_nul);
	tcase_add_test(tc, bounds_the_parts);
	tcase_add_loop_test(tc, finds_ends, 0, ARRAY_LEN(ends));
	tcase_add_test(tc, scanner_and_parser_agree);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
