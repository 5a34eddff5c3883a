/* The evaluator: three-valued logic, laziness, forms, positions; against row-by-row evaluation. */
#include "tests/unit/bx.h"

static struct exec_ctx exec;

static struct vec eval_ok(struct bx *x, const struct vbatch *in)
{
	struct err e = {0};
	struct vec v;
	int rc = bx_eval(&exec, x, in, &bx_arena, &v, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return v;
}

static const struct vbatch one_row = {.n = 1};

START_TEST(logic_is_three_valued)
{
	/* The table of the reference: A, B, A AND B, A OR B; -1 is NULL. */
	static const int table[][4] = {
		{-1, -1, -1, -1}, {0, -1, 0, -1}, {-1, 0, 0, -1}, {1, -1, -1, 1}, {-1, 1, -1, 1},
		{0, 0, 0, 0},     {1, 0, 0, 1},   {0, 1, 0, 1},   {1, 1, 1, 1},
	};
	uint32_t n = ARRAY_LEN(table);
	struct vec cols[2];
	for (int c = 0; c < 2; c++) {
		ck_assert_int_eq(vec_alloc(&cols[c], &type_boolean, n, &bx_arena, NULL), 0);
		ck_assert_int_eq(vec_alloc_valid(&cols[c], n, &bx_arena, NULL), 0);
		for (uint32_t i = 0; i < n; i++) {
			cols[c].b8[i] = table[i][c] == 1;
			cols[c].valid[i] = table[i][c] >= 0;
		}
	}
	struct vbatch in = {n, 2, cols};
	struct bx *a = bx_column(0, &type_boolean), *b = bx_column(1, &type_boolean);
	for (int op = 0; op < 2; op++) {
		enum bx_kind kind = op ? BX_OR : BX_AND;
		struct vec v = eval_ok(bx_make(kind, &type_boolean, BX_ARGS(a, b)), &in);
		uint32_t sel[VEC_ROWS];
		int64_t k = bx_select(&exec, bx_make(kind, &type_boolean, BX_ARGS(a, b)), &in, &bx_arena,
				      sel, NULL);
		uint32_t at = 0;
		for (uint32_t i = 0; i < n; i++) {
			int want = table[i][2 + op];
			int got = vec_is_null(&v, i) ? -1 : v.b8[i];
			ck_assert_msg(got == want, "row %u of %s: %d, not %d", i, op ? "OR" : "AND", got, want);
			if (want == 1)
				ck_assert_uint_eq(sel[at++], i);
			/* The same with one side constant. */
			struct bx *c = table[i][1] < 0 ? bx_null(&type_boolean) : bx_bool(table[i][1]);
			struct vec w = eval_ok(bx_make(kind, &type_boolean, BX_ARGS(c, a)), &in);
			got = vec_is_null(&w, i) ? -1 : vec_base(&w)->b8[vec_index(&w, i)];
			ck_assert_int_eq(got, want);
		}
		ck_assert_int_eq(k, at);
	}
}
END_TEST

static struct bx *divide(struct bx *a, struct bx *b)
{
	return bx_call("/", BX_ARGS(a, b));
}

START_TEST(branches_not_taken_do_not_fail)
{
	struct vec cols[] = {BX_INTS(2, 0, NIL, 5, 0)};
	struct vbatch in = {5, 1, cols};
	struct bx *x = bx_column(0, &type_bigint);
	struct bx *is_set = bx_call("<>", BX_ARGS(x, bx_int(0)));

	struct bx *c = bx_make(BX_CASE, &type_bigint, BX_ARGS(is_set, divide(bx_int(10), x), bx_int(-1)));
	struct vec v = eval_ok(c, &in);
	ck_assert_str_eq(bx_show(&v, 5), "5 -1 -1 2 -1");

	struct bx *big = bx_call(">", BX_ARGS(divide(bx_int(10), x), bx_int(2)));
	v = eval_ok(bx_make(BX_AND, &type_boolean, BX_ARGS(is_set, big)), &in);
	ck_assert_str_eq(bx_show(&v, 5), "true false - false false");

	v = eval_ok(bx_make(BX_COALESCE, &type_bigint, BX_ARGS(x, divide(bx_int(7), bx_int(7)))), &in);
	ck_assert_str_eq(bx_show(&v, 5), "2 0 1 5 0");

	/* Without a NULL the second argument is not looked at. */
	struct vec full[] = {BX_INTS(3, 4)};
	struct vbatch in2 = {2, 1, full};
	v = eval_ok(bx_make(BX_COALESCE, &type_bigint, BX_ARGS(x, divide(bx_int(1), bx_int(0)))), &in2);
	ck_assert_str_eq(bx_show(&v, 2), "3 4");

	/* No branch at all: NULL. */
	v = eval_ok(bx_make(BX_CASE, &type_bigint, BX_ARGS(bx_bool(false), x)), &in);
	ck_assert_str_eq(bx_show(&v, 5), "- - - - -");
}
END_TEST

START_TEST(try_makes_only_failing_rows_null)
{
	int64_t vals[VEC_ROWS];
	struct bx *x = bx_column(0, &type_bigint);

	for (int i = 0; i < VEC_ROWS; i++)
		vals[i] = i % 700 == 3 ? 0 : i + 1;
	struct vec col = bx_ints(VEC_ROWS, vals);
	struct vbatch in = {VEC_ROWS, 1, &col};
	struct vec v = eval_ok(bx_make(BX_TRY, &type_bigint, BX_ARGS(divide(bx_int(100), x))), &in);
	for (uint32_t i = 0; i < VEC_ROWS; i++) {
		ck_assert_int_eq(vec_is_null(&v, i), vals[i] == 0);
		if (vals[i])
			ck_assert_int_eq(v.i64[i], 100 / vals[i]);
	}
	/* Within a failing expression the position is still told after a TRY has swallowed one. */
	struct err e = {0};
	struct bx *t = bx_make(BX_TRY, &type_bigint, BX_ARGS(divide(bx_int(1), bx_int(0))));
	struct bx *bad = divide(bx_int(1), bx_int(0));
	bad->pos = (struct pos){3, 9};
	struct bx *both = bx_make(BX_COALESCE, &type_bigint, BX_ARGS(t, bad));
	ck_assert_int_lt(bx_eval(&exec, both, &one_row, &bx_arena, &v, &e), 0);
	ck_assert_msg(str_starts(str_from(e.text), "line 3:9: "), "%s", e.text);
	ck_assert_ptr_null(strstr(e.text + 5, "line "));
}
END_TEST

START_TEST(in_follows_the_null_rules)
{
	struct vec cols[] = {BX_INTS(1, 2, NIL, 9)};
	struct vbatch in = {4, 1, cols};
	struct bx *x = bx_column(0, &type_bigint), *null = bx_null(&type_bigint);

	struct vec v = eval_ok(bx_make(BX_IN, &type_boolean, BX_ARGS(x, bx_int(1), bx_int(9))), &in);
	ck_assert_str_eq(bx_show(&v, 4), "true false - true");
	v = eval_ok(bx_make(BX_IN, &type_boolean, BX_ARGS(x, bx_int(1), null)), &in);
	ck_assert_str_eq(bx_show(&v, 4), "true - - -");
	/* Elements that are no constants. */
	struct bx *twice = bx_call("*", BX_ARGS(x, bx_int(1)));
	v = eval_ok(bx_make(BX_IN, &type_boolean, BX_ARGS(x, bx_int(5), twice)), &in);
	ck_assert_str_eq(bx_show(&v, 4), "true true - true");
	v = eval_ok(bx_make(BX_IN, &type_boolean, BX_ARGS(x, null, bx_call("+", BX_ARGS(x, bx_int(1))))), &in);
	ck_assert_str_eq(bx_show(&v, 4), "- - - -");
	/* Many: the hash set. */
	struct bx *args[101] = {x};
	for (int i = 1; i <= 100; i++)
		args[i] = bx_int(i * 3);
	struct bx *many = bx_make(BX_IN, &type_boolean, 101, args);
	ck_assert_int_eq(bx_prepare(&bx_arena, many, NULL), 0);
	v = eval_ok(many, &in);
	ck_assert_str_eq(bx_show(&v, 4), "false false - true");
}
END_TEST

START_TEST(dictionaries_stay_dictionaries)
{
	struct vec words = BX_TEXTS("alpha", "beta", NULL);
	uint32_t codes[] = {0, 1, 1, 2, 0, 0, 1, 0};
	struct vec cols[] = {bx_dict(&words, 3, 8, codes)};
	struct vbatch in = {8, 1, cols};
	struct bx *x = bx_column(0, &type_varchar);

	struct vec v = eval_ok(bx_call("=", BX_ARGS(x, bx_text("alpha"))), &in);
	ck_assert_int_eq(v.form, VEC_DICT);
	ck_assert_str_eq(bx_show(&v, 8), "true false false - true true false true");
	v = eval_ok(bx_make(BX_IN, &type_boolean, BX_ARGS(x, bx_text("beta"))), &in);
	ck_assert_int_eq(v.form, VEC_DICT);
	ck_assert_str_eq(bx_show(&v, 8), "false true true - false false true false");

	/* An entry that no row uses may be no number. */
	struct vec mixed = BX_TEXTS("17", "many", "4");
	uint32_t some[] = {0, 2, 2, 0};
	struct vec cols2[] = {bx_dict(&mixed, 3, 4, some)};
	struct vbatch in2 = {4, 1, cols2};
	v = eval_ok(bx_make(BX_CAST, &type_bigint, BX_ARGS(x)), &in2);
	ck_assert_str_eq(bx_show(&v, 4), "17 4 4 17");

	/* All constant: one evaluation. */
	v = eval_ok(bx_call("+", BX_ARGS(bx_int(2), bx_int(3))), &in);
	ck_assert_int_eq(v.form, VEC_CONST);
	ck_assert_int_eq(v.i64[0], 5);
}
END_TEST

START_TEST(constructors_and_fields)
{
	struct vec cols[] = {BX_INTS(1, NIL, 3)};
	struct vbatch in = {3, 1, cols};
	struct bx *x = bx_column(0, &type_bigint);
	struct type_field f[] = {{STR_LIT("a"), &type_bigint}, {STR_LIT("b"), &type_varchar}};
	const struct type *row = type_row(&bx_arena, f, 2), *arr = type_array(&bx_arena, &type_bigint);

	struct bx *r = bx_make(BX_ROW, row, BX_ARGS(x, bx_text("z")));
	struct vec v = eval_ok(r, &in);
	ck_assert_str_eq(bx_show(&v, 3), "(a=1, b=z) (a=null, b=z) (a=3, b=z)");
	struct bx *field = bx_make(BX_FIELD, &type_bigint, BX_ARGS(r));
	v = eval_ok(field, &in);
	ck_assert_str_eq(bx_show(&v, 3), "1 - 3");
	v = eval_ok(bx_make(BX_ARRAY, arr, BX_ARGS(x, bx_int(7))), &in);
	ck_assert_str_eq(bx_show(&v, 3), "[1, 7] [null, 7] [3, 7]");
	/* A field of a row that is NULL. */
	struct bx *maybe = bx_make(BX_CASE, row, BX_ARGS(bx_call("=", BX_ARGS(x, bx_int(3))), r));
	v = eval_ok(bx_make(BX_FIELD, &type_bigint, BX_ARGS(maybe)), &in);
	ck_assert_str_eq(bx_show(&v, 3), "- - 3");
}
END_TEST

/* Random trees over random batches: all rows at once must be what each row gives alone. */
static struct bx *random_bool(struct unit_rng *r, int depth);
static struct bx *random_int(struct unit_rng *r, int depth);

/* The lambdas around the place at hand: how many parameters each has, the innermost last. */
static uint32_t lambda_params[16], lambda_n;

static struct bx *random_lambda(struct unit_rng *r, uint32_t params, bool is_bool, int depth)
{
	struct type *t = arena_new(&bx_arena, struct type);
	struct bx *l, *body;

	lambda_params[lambda_n++] = params;
	body = is_bool ? random_bool(r, depth) : random_int(r, depth);
	lambda_n--;
	*t = (struct type){.kind = TY_LAMBDA, .length = -1, .elem = body->type, .field_count = params};
	l = bx_make(BX_LAMBDA, t, BX_ARGS(body));
	l->param_count = params;
	return l;
}

static struct bx *identity(void)
{
	struct bx *p = bx_make(BX_PARAM, &type_bigint, 0, NULL), *l;
	struct type *t = arena_new(&bx_arena, struct type);

	*t = (struct type){.kind = TY_LAMBDA, .length = -1, .elem = &type_bigint, .field_count = 1};
	l = bx_make(BX_LAMBDA, t, BX_ARGS(p));
	l->param_count = 1;
	return l;
}

/* Folds, whose bodies are cut into parts, and elements by their number. */
static struct bx *random_list_value(struct unit_rng *r, struct bx *a, struct bx *b, int depth)
{
	const struct type *list = type_array(&bx_arena, &type_bigint);
	struct bx *c = random_int(r, depth - 1);
	struct bx *l = bx_make(BX_ARRAY, list, BX_ARGS(a, b, c));

	if (unit_below(r, 2)) { /* of different lengths */
		struct bx *shorter = bx_make(BX_ARRAY, list, BX_ARGS(a));

		l = bx_make(BX_CASE, list, BX_ARGS(random_bool(r, depth - 1), shorter, l));
	}
	if (unit_below(r, 2))
		return bx_call("reduce", BX_ARGS(l, random_int(r, 0), random_lambda(r, 2, false, depth - 1), identity()));
	if (unit_below(r, 2))
		l = bx_call("transform", BX_ARGS(l, random_lambda(r, 1, false, depth - 1)));
	return bx_call("cardinality", BX_ARGS(bx_call("filter", BX_ARGS(l, random_lambda(r, 1, true, depth - 1)))));
}

static struct bx *random_param(struct unit_rng *r)
{
	struct bx *p = bx_make(BX_PARAM, &type_bigint, 0, NULL);

	p->depth = (uint32_t)unit_below(r, lambda_n);
	p->index = (uint32_t)unit_below(r, lambda_params[lambda_n - 1 - p->depth]);
	return p;
}

static struct bx *random_int(struct unit_rng *r, int depth)
{
	if (depth <= 0 && lambda_n && unit_below(r, 2))
		return random_param(r);
	if (depth <= 0)
		return unit_below(r, 3) ? bx_column((uint32_t)unit_below(r, 3), &type_bigint)
					: bx_int((int64_t)unit_below(r, 7) - 3);
	struct bx *a = random_int(r, depth - 1), *b = random_int(r, depth - 1);
	switch (unit_below(r, 8)) {
	case 0:
		return bx_call("+", BX_ARGS(a, b));
	case 6:
	case 7:
		return random_list_value(r, a, b, depth);
	case 1:
		return bx_make(BX_TRY, &type_bigint, BX_ARGS(bx_call("/", BX_ARGS(a, b))));
	case 2:
		return bx_make(BX_COALESCE, &type_bigint, BX_ARGS(a, b));
	case 3:
		return bx_make(BX_CASE, &type_bigint, BX_ARGS(random_bool(r, depth - 1), a,
							      random_bool(r, depth - 1), b));
	case 4:
		return bx_make(BX_CASE, &type_bigint, BX_ARGS(random_bool(r, depth - 1), a, b));
	default:
		return bx_call("-", BX_ARGS(a, b));
	}
}

static struct bx *random_bool(struct unit_rng *r, int depth)
{
	struct bx *a = random_int(r, depth - 1), *b = random_int(r, depth - 1);

	if (depth <= 0 || unit_below(r, 3) == 0)
		return unit_below(r, 2) ? bx_call("<", BX_ARGS(a, b))
					: bx_make(BX_IN, &type_boolean, BX_ARGS(a, bx_int(1), bx_int(2), b));
	struct bx *x = random_bool(r, depth - 1), *y = random_bool(r, depth - 1);
	return bx_make(unit_below(r, 2) ? BX_AND : BX_OR, &type_boolean, BX_ARGS(x, y));
}

START_TEST(batches_agree_with_single_rows)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 300; round++) {
		enum { N = 37 };
		struct vec cols[3];
		for (int c = 0; c < 3; c++) {
			int64_t v[N];
			uint32_t codes[N];
			for (int i = 0; i < N; i++) {
				v[i] = unit_below(&r, 5) ? (int64_t)unit_below(&r, 9) - 4 : NIL;
				codes[i] = (uint32_t)unit_below(&r, 5);
			}
			cols[c] = bx_ints(N, v);
			if (unit_below(&r, 3) == 0)
				cols[c] = bx_dict(&cols[c], 5, N, codes);
			else if (unit_below(&r, 4) == 0)
				cols[c].form = VEC_CONST;
		}
		struct vbatch in = {N, 3, cols};
		struct bx *x = random_bool(&r, 4);
		struct vec all = eval_ok(x, &in), prepared;
		ck_assert_int_eq(bx_prepare(&bx_arena, x, NULL), 0);
		prepared = eval_ok(x, &in);
		for (uint32_t i = 0; i < N; i++)
			unit_assert(&r, vec_tristate(&prepared, i) == vec_tristate(&all, i), "round %d row %u, prepared",
				    round, i);
		for (uint32_t i = 0; i < N; i++) {
			struct vec alone[3], v;
			for (int c = 0; c < 3; c++) {
				ck_assert_int_eq(vec_gather(&cols[c], &i, 1, &bx_arena, &alone[c], NULL), 0);
				ck_assert_int_eq(vec_flatten(&alone[c], 1, &bx_arena, &alone[c], NULL), 0);
			}
			struct vbatch single = {1, 3, alone};
			v = eval_ok(x, &single);
			unit_assert(&r, vec_tristate(&v, 0) == vec_tristate(&all, i), "round %d row %u", round,
				    i);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		logic_is_three_valued,
		branches_not_taken_do_not_fail,
		try_makes_only_failing_rows_null,
		in_follows_the_null_rules,
		dictionaries_stay_dictionaries,
		constructors_and_fields,
		batches_agree_with_single_rows,
	};
	return unit_main("eval", 60, tests, ARRAY_LEN(tests));
}
