/* The text formats over rows made by hand: what a query would hand them. */
#include "tests/unit/bx.h"
#include "query/format.h"

#include <math.h>

static struct text_col cols[8];

/* The formats' functions over one batch, without a query behind them. */
static const char *text_of(const struct format *f, uint32_t n, uint32_t col_n, const struct vec *v,
			   const char *const *names)
{
	struct query_text t = {.format = f, .cols = cols, .col_count = col_n, .memo.day_ns = INT64_MIN};
	struct vbatch b = {n, col_n, (struct vec *)v};
	struct buf out;

	buf_init(&t.scratch, 1 << 20);
	buf_init(&t.keys, 1 << 20);
	buf_init(&t.held, 1 << 24);
	buf_init(&t.held_lens, 1 << 24);
	buf_init(&out, 1 << 26);
	for (uint32_t c = 0; c < col_n; c++)
		cols[c] = (struct text_col){.name = str_from(names[c]), .type = v[c].type,
					    .cell = cell_of(v[c].type), .is_text = cell_is_text(v[c].type)};
	f->begin(&t, &out);
	if (n)
		f->rows(&t, &b, 0, b.n, &out);
	t.rows = n;
	f->end(&t, &out);
	char *z = (char *)arena_str(&bx_arena, buf_str(&out)).ptr;
	buf_release(&t.scratch);
	buf_release(&t.keys);
	buf_release(&t.held);
	buf_release(&t.held_lens);
	buf_release(&out);
	return z;
}

static struct vec doubles(uint32_t n, const double *d)
{
	struct vec v;
	ck_assert_int_eq(vec_alloc(&v, &type_double, n, &bx_arena, NULL), 0);
	memcpy(v.f64, d, n * sizeof *d);
	return v;
}

START_TEST(special_characters)
{
	struct vec v[] = {BX_TEXTS("plain", "a,b", "say \"x\"", "line\nbreak", "", NULL, "back\\slash\t\x01")};
	const char *name[] = {"n,\"q\""};

	ck_assert_str_eq(text_of(&format_csv, 7, 1, v, name),
			 "\"n,\"\"q\"\"\"\nplain\n\"a,b\"\n\"say \"\"x\"\"\"\n\"line\nbreak\"\n\"\"\n\n"
			 "back\\slash\t\x01\n");
	ck_assert_str_eq(text_of(&format_tsv, 7, 1, v, name),
			 "n,\"q\"\nplain\na,b\nsay \"x\"\nline\\nbreak\n\n\\N\nback\\\\slash\\t\x01\n");
	ck_assert_str_eq(text_of(&format_jsonl, 7, 1, v, name),
			 "{\"n,\\\"q\\\"\":\"plain\"}\n{\"n,\\\"q\\\"\":\"a,b\"}\n"
			 "{\"n,\\\"q\\\"\":\"say \\\"x\\\"\"}\n{\"n,\\\"q\\\"\":\"line\\nbreak\"}\n"
			 "{\"n,\\\"q\\\"\":\"\"}\n{\"n,\\\"q\\\"\":null}\n"
			 "{\"n,\\\"q\\\"\":\"back\\\\slash\\t\\u0001\"}\n");
	ck_assert_str_eq(text_of(&format_txt, 7, 1, v, name),
			 "n,\"q\"\n----------------\nplain\na,b\nsay \"x\"\nline\\nbreak\n\nNULL\n"
			 "back\\slash\\t\\x01\n");
}
END_TEST

START_TEST(numbers_and_alignment)
{
	double d[] = {1.5, NAN, -INFINITY};
	struct vec v[] = {BX_TEXTS("ü", "abc", NULL), BX_INTS(-5, NIL, 12345678901), doubles(3, d)};
	const char *names[] = {"k", "n", "d"};

	ck_assert_str_eq(text_of(&format_txt, 3, 3, v, names),
			 "k               n          d\n"
			 "----  -----------  ---------\n"
			 "ü              -5        1.5\n"
			 "abc          NULL        NaN\n"
			 "NULL  12345678901  -Infinity\n");
	ck_assert_str_eq(text_of(&format_csv, 3, 3, v, names),
			 "k,n,d\nü,-5,1.5\nabc,,NaN\n,12345678901,-Infinity\n");
	ck_assert_str_eq(text_of(&format_json, 3, 3, v, names),
			 "[\n{\"k\":\"ü\",\"n\":-5,\"d\":1.5},\n{\"k\":\"abc\",\"n\":null,\"d\":\"NaN\"},\n"
			 "{\"k\":null,\"n\":12345678901,\"d\":\"-Infinity\"}\n]\n");
	ck_assert_str_eq(text_of(&format_json, 0, 3, v, names), "[]\n");
	ck_assert_str_eq(text_of(&format_txt, 0, 3, v, names), "k  n  d\n-  -  -\n");
}
END_TEST

START_TEST(names_are_made_unique_in_json)
{
	struct vec v[] = {BX_INTS(1), BX_INTS(2), BX_INTS(3), BX_INTS(4), BX_INTS(5)};
	const char *names[] = {"a", "a", "a_2", "a", "b"};

	ck_assert_str_eq(text_of(&format_jsonl, 1, 5, v, names),
			 "{\"a\":1,\"a_3\":2,\"a_2\":3,\"a_4\":4,\"b\":5}\n");
	ck_assert_str_eq(text_of(&format_csv, 1, 5, v, names), "a,a,a_2,a,b\n1,2,3,4,5\n");
}
END_TEST

START_TEST(timestamps_agree_with_the_plain_formatter)
{
	struct unit_rng r = unit_rng();
	const char *names[] = {"t"};

	for (int round = 0; round < 200; round++) {
		enum { N = 50 };
		int64_t ns[N], base = (int64_t)unit_rand(&r);
		struct buf want;
		buf_init(&want, 1 << 20);
		buf_adds(&want, "t\n");
		for (int i = 0; i < N; i++) {
			char text[64];
			uint64_t step = unit_below(&r, 3 * (uint64_t)NS_PER_DAY);
			ns[i] = unit_below(&r, 10) ? (int64_t)((uint64_t)base + step) : (int64_t)unit_rand(&r);
			if (unit_below(&r, 40) == 0)
				ns[i] = unit_below(&r, 2) ? INT64_MAX : INT64_MIN + 1;
			buf_add(&want, text, timestamp_format(text, ns[i]));
			buf_addc(&want, '\n');
		}
		buf_addc(&want, '\0');
		struct vec v = bx_ints(N, ns);
		v.type = &type_timestamp;
		v.valid = NULL;
		unit_assert(&r, !strcmp(text_of(&format_csv, N, 1, &v, names), want.data), "round %d", round);
		buf_release(&want);
	}
}
END_TEST

START_TEST(forms_print_alike)
{
	struct vec words = BX_TEXTS("x", NULL, "z");
	uint32_t codes[] = {2, 1, 0, 2};
	struct vec one = BX_INTS(7);
	one.form = VEC_CONST;
	struct vec v[] = {bx_dict(&words, 3, 4, codes), one};
	const char *names[] = {"w", "c"};

	ck_assert_str_eq(text_of(&format_csv, 4, 2, v, names), "w,c\nz,7\n,7\nx,7\nz,7\n");
	ck_assert_str_eq(text_of(&format_tsv, 4, 2, v, names), "w\tc\nz\t7\n\\N\t7\nx\t7\nz\t7\n");
}
END_TEST

START_TEST(held_rows_are_let_go_at_a_megabyte)
{
	char *long_text = arena_alloc(&bx_arena, 3000);
	uint32_t codes[VEC_ROWS];
	memset(long_text, 'x', 2999);
	long_text[2999] = '\0';
	for (uint32_t i = 0; i < VEC_ROWS; i++)
		codes[i] = i == VEC_ROWS - 1;
	struct vec words = BX_TEXTS(long_text, "end");
	struct vec v[] = {bx_dict(&words, 2, VEC_ROWS, codes), BX_INTS(1)};
	v[1].form = VEC_CONST;
	const char *names[] = {"w", "c"};
	const char *z = text_of(&format_txt, VEC_ROWS, 2, v, names);
	uint32_t lines = 0;
	for (const char *p = z; *p; lines++) {
		const char *nl = strchr(p, '\n');
		ck_assert_ptr_nonnull(nl);
		ck_assert_int_eq(nl - p, 2999 + 3);
		p = nl + 1;
	}
	ck_assert_uint_eq(lines, VEC_ROWS + 2);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		special_characters,
		numbers_and_alignment,
		names_are_made_unique_in_json,
		timestamps_agree_with_the_plain_formatter,
		forms_print_alike,
		held_rows_are_let_go_at_a_megabyte,
	};
	return unit_main("format", 60, tests, ARRAY_LEN(tests));
}
