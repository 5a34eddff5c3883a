/*
 * test_func_random: every function of the registry over random values, extremes and NULLs. A batch gives
 * what its rows give one by one, in any form of its arguments; a batch fails where a row does. Aggregates give
 * the same in one piece and in many.
 */
#include "query/func.h"
#include "tests/unit/unit.h"

#define ROWS     23
#define ARGS_MAX 5
#define MEMORY   ((size_t)256 << 20)

static struct budget budget;
static struct arena arena;
static uint64_t random_state[2] = {1, 2};
static struct exec_ctx exec = {.now_ns = INT64_C(1655487883771000678), .random_state = random_state};

/* ---- types of arguments ------------------------------------------------------------------------------- */

static const struct type *const scalars[] = {
	&type_integer, &type_bigint, &type_double, &type_varchar, &type_boolean, &type_date, &type_time,
	&type_timestamp, &type_interval_ds, &type_interval_ym,
};

static bool eat(const char **p, const char *word)
{
	size_t n = strlen(word);

	while (**p == ' ')
		++*p;
	if (strncmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

/* A type of a row's pattern, letters bound at random; NULL: a lambda, or a text for people. */
static const struct type *type_of(const char **p, const struct type **letters, struct unit_rng *r)
{
	static const struct {
		const char *name;
		const struct type *type;
	} names[] = {
		{"interval year to month", &type_interval_ym}, {"interval", &type_interval_ds}, {"integer", &type_integer},
		{"bigint", &type_bigint}, {"double", &type_double}, {"varchar", &type_varchar}, {"boolean", &type_boolean},
		{"date", &type_date}, {"timestamp", &type_timestamp}, {"time", &type_time},
	};
	const struct type *t;

	if (eat(p, "array(") || eat(p, "timeseries(")) {
		bool is_array = (*p)[-2] == 'y';

		t = type_of(p, letters, r);
		if (!t || !eat(p, ")"))
			return NULL;
		return is_array ? type_array(&arena, t) : type_timeseries(&arena, t);
	}
	if (eat(p, "row(")) {
		struct type_field f[2] = {{.name = {NULL, 0}}};

		f[0].type = type_of(p, letters, r);
		if (!f[0].type || !eat(p, ","))
			return NULL;
		f[1].type = type_of(p, letters, r);
		return f[1].type && eat(p, ")") ? type_row(&arena, f, 2) : NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (eat(p, names[i].name))
			return names[i].type;
	}
	while (**p == ' ')
		++*p;
	if (**p < 'A' || **p > 'Z')
		return NULL;
	if (!letters[**p - 'A'])
		letters[**p - 'A'] = unit_below(r, 4) ? scalars[unit_below(r, ARRAY_LEN(scalars))]
						      : type_array(&arena, scalars[unit_below(r, ARRAY_LEN(scalars))]);
	return letters[*(*p)++ - 'A'];
}

/* How many arguments, -1: not a pattern that can be read. */
static int types_of(const struct func *f, const struct type **ret, struct unit_rng *r)
{
	const struct type *letters[26] = {NULL};
	const char *p = f->params;
	int n = 0;

	while (*p) {
		ret[n] = type_of(&p, letters, r);
		if (!ret[n] || n == ARGS_MAX - 1)
			return -1;
		n++;
		if (eat(&p, "...")) {
			for (uint64_t more = unit_below(r, 3); more && n < ARGS_MAX; more--, n++)
				ret[n] = ret[n - 1];
			break;
		}
		if (!eat(&p, ","))
			break;
	}
	return *p ? -1 : n;
}

/* ---- values ------------------------------------------------------------------------------------------------ */

static void add_value(struct vec_builder *b, struct unit_rng *r, int depth)
{
	static const int64_t ints[] = {0, 1, 2, 3, 5, 8, 16, 63, 64, -1, -2, -7, 100, 1000, INT32_MAX, INT32_MIN};
	static const int64_t bigs[] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_C(1700000000000000000), -1, 86399999999999};
	static const double doubles[] = {0, -0.0, 1, -1, 0.5, 2.5, 1e300, -1e300, 5e-324, 0.1, 3, (double)INFINITY,
					 -(double)INFINITY, (double)NAN, 0x1p63, 10};
	static const char *const texts[] = {
		"", "a", "abc", "ABC abc", "é😀ß", "1", "-17", "1.5", "2024-01-31", "2024-02-29 23:59:59.999999999",
		"{\"a\": [1, 2.5, {\"b\": null}], \"c\": \"x\\u00e9\"}", "[1, 2", "$.a[2].b", "$", "$.a", "%d %s %5.2f %,d", "%s",
		"(a+)+$", "[a-c]+(x)?", "(b)", "$1", "https://u@h.example:80/p%20q?x=1&y=%41#f", "%41+%zz", "616263", "1.5h", "3 day",
		"%Y-%m-%d %H:%i:%s", "%W %j %x-%v", "yyyy-MM-dd HH:mm:ss.SSS z", "day", "month", "hour", "quarter", ",", " ",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
	};
	struct err e = {0};
	const struct type *t = b->type;
	int64_t v = unit_below(r, 3) ? ints[unit_below(r, ARRAY_LEN(ints))] : bigs[unit_below(r, ARRAY_LEN(bigs))];
	int rc = 0;

	if (unit_below(r, 8) == 0 && t->kind != TY_TIMESERIES) {
		ck_assert_int_ge(vb_add_null(b, &e), 0);
		return;
	}
	switch (t->kind) {
	case TY_BOOLEAN:
		rc = vb_add_bool(b, unit_below(r, 2), &e);
		break;
	case TY_INTEGER:
		rc = vb_add_i64(b, (int32_t)v, &e);
		break;
	case TY_DATE:
		rc = vb_add_i64(b, v % 100000, &e);
		break;
	case TY_TIME:
		rc = vb_add_i64(b, (v & INT64_MAX) % NS_PER_DAY, &e);
		break;
	case TY_DOUBLE:
		rc = vb_add_f64(b, doubles[unit_below(r, ARRAY_LEN(doubles))], &e);
		break;
	case TY_VARCHAR:
		rc = vb_add_str(b, str_from(texts[unit_below(r, ARRAY_LEN(texts))]), &e);
		break;
	case TY_ARRAY: {
		uint32_t n = (uint32_t)unit_below(r, depth ? 3 : 6);

		for (uint32_t i = 0; i < n; i++)
			add_value(vb_elem(b), r, depth + 1);
		rc = vb_add_list(b, n, &e);
		break;
	}
	case TY_TIMESERIES: {
		uint32_t n = (uint32_t)unit_below(r, 5);

		for (uint32_t i = 0; i < n; i++) {
			struct vec_builder *rows = vb_elem(b);

			ck_assert_int_ge(vb_add_i64(vb_field(rows, 0), (int64_t)i * NS_PER_S, &e), 0);
			if (t->elem->kind == TY_DOUBLE)
				rc = vb_add_f64(vb_field(rows, 1), (double)unit_below(r, 100), &e);
			else
				add_value(vb_field(rows, 1), r, 2);
			ck_assert_int_ge(vb_add_row(rows, &e), 0);
		}
		rc = vb_add_list(b, n, &e);
		break;
	}
	case TY_ROW:
		for (uint32_t f = 0; f < t->field_count; f++)
			add_value(vb_field(b, f), r, depth + 1);
		rc = vb_add_row(b, &e);
		break;
	default:
		rc = vb_add_i64(b, v, &e);
		break;
	}
	ck_assert_msg(rc >= 0, "%s", e.text);
}

static void fill(struct vec *v, const struct type *t, uint32_t n, struct unit_rng *r)
{
	struct vec_builder b;
	struct err e = {0};

	ck_assert_int_ge(vb_init(&b, t, n, &arena, &e), 0);
	for (uint32_t i = 0; i < n; i++)
		add_value(&b, r, 0);
	vb_finish(&b, v);
}

/* ---- scalar functions ---------------------------------------------------------------------------------------- */

struct subject {
	const struct func *f;
	struct func_match m;
	struct vec args[ARGS_MAX];
	uint32_t argc;
	void *prepared;
};

static int call(const struct subject *s, const struct vec *args, uint32_t n, struct vec *ret, struct err *e)
{
	struct fn_call c = {.exec = &exec, .arena = &arena, .n = n, .argc = s->argc, .args = args, .ret_type = s->m.ret,
			    .prepared = s->prepared};
	return func_call(s->m.func, &c, ret, e);
}

static void text_of(const struct vec *v, uint32_t i, struct buf *out)
{
	buf_clear(out);
	if (vec_is_null(v, i))
		buf_adds(out, "NULL");
	else
		vec_format(v, i, out);
}

static void check_rows(const struct subject *s, struct unit_rng *r)
{
	uint32_t all[ROWS];
	struct vec batch, one, args[ARGS_MAX];
	struct err e = {0}, e1 = {0};
	int rc = call(s, s->args, ROWS, &batch, &e), failed = 0;
	struct buf a, b;

	for (uint32_t i = 0; i < ROWS; i++)
		all[i] = i;
	buf_init(&a, 64 << 20);
	buf_init(&b, 64 << 20);
	for (uint32_t i = 0; i < ROWS; i++) {
		int rc0 = 0;
		for (uint32_t k = 0; k < s->argc && rc0 >= 0; k++)
			rc0 = vec_gather(&s->args[k], &all[i], 1, &arena, &args[k], &e1);
		if (rc0 == -ENOMEM) { /* gapfill() may have taken all there was */
			failed = 1;
			break;
		}
		ck_assert_int_ge(rc0, 0);
		int rc1 = call(s, args, 1, &one, &e1);
		failed |= rc1 < 0;
		if (rc < 0 || rc1 == -ENOMEM)
			continue;
		unit_assert(r, rc1 >= 0, "%s: row %u fails alone: %s", s->f->name, i, e1.text);
		if (s->m.func->flags & FN_VOLATILE)
			continue;
		text_of(&batch, i, &a);
		text_of(&one, 0, &b);
		unit_assert(r, str_eq(buf_str(&a), buf_str(&b)), "%s: row %u is '%.*s' in a batch and '%.*s' alone", s->f->name,
			    i, STR_FMT(buf_str(&a)), STR_FMT(buf_str(&b)));
	}
	unit_assert(r, rc >= 0 || failed || rc == -ENOMEM, "%s: a batch fails of which no row does: %s", s->f->name, e.text);
	buf_release(&a);
	buf_release(&b);
}

/* ---- aggregates ---------------------------------------------------------------------------------------------- */

static int aggregate(const struct subject *s, uint32_t piece, struct vec *ret, struct err *e)
{
	const struct agg_def *def = s->m.func->agg;
	struct agg_call c = {.exec = &exec, .arena = &arena, .argc = s->argc, .args = s->args, .arg_types = s->m.arg_types,
			     .ret_type = s->m.ret};
	char *state = arena_zalloc(&arena, MAX(def->state_size, (size_t)1));
	struct vec_builder out;
	int rc = state ? vb_init(&out, s->m.ret, 1, &arena, e) : -ENOMEM;

	for (uint32_t at = 0; at < ROWS && rc >= 0; at += piece)
		rc = def->add(&c, state, at, MIN(at + piece, (uint32_t)ROWS), e);
	if (rc >= 0)
		rc = def->finish(&c, state, &out, e);
	if (rc >= 0)
		vb_finish(&out, ret);
	return rc;
}

static void check_pieces(const struct subject *s, struct unit_rng *r)
{
	struct vec whole, pieces;
	struct err e = {0}, e1 = {0};
	int rc = aggregate(s, ROWS, &whole, &e), rc1 = aggregate(s, 1 + (uint32_t)unit_below(r, 5), &pieces, &e1);
	struct buf a, b;

	unit_assert(r, (rc < 0) == (rc1 < 0), "%s: %s, in pieces: %s", s->f->name, e.text, e1.text);
	if (rc < 0 || s->m.ret->kind == TY_DOUBLE) /* sums of doubles may differ in the last digit */
		return;
	buf_init(&a, 64 << 20);
	buf_init(&b, 64 << 20);
	text_of(&whole, 0, &a);
	text_of(&pieces, 0, &b);
	unit_assert(r, str_eq(buf_str(&a), buf_str(&b)), "%s: '%.*s', in pieces '%.*s'", s->f->name, STR_FMT(buf_str(&a)),
		    STR_FMT(buf_str(&b)));
	buf_release(&a);
	buf_release(&b);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* One overload once; false: it takes what cannot be made here. */
static bool check(const struct func *f, struct unit_rng *r)
{
	const struct type *types[ARGS_MAX];
	const struct vec *consts[ARGS_MAX] = {NULL};
	struct subject s = {.f = f};
	struct err e = {0};
	int n = types_of(f, types, r);

	if (n < 0 || (!f->scalar && !f->agg))
		return false;
	s.argc = (uint32_t)n;
	int rc = func_resolve(&arena, str_from(f->name), types, NULL, s.argc, &s.m, &e);
	if (rc < 0)
		return false;
	for (uint32_t k = 0; k < s.argc; k++) {
		bool is_const = (f->flags & FN_CONST_ARGS) ? k > 0 : unit_below(r, 4) == 0;
		struct vec v;

		fill(&v, types[k], is_const ? 1 : ROWS, r);
		if (is_const)
			v.form = VEC_CONST;
		rc = cast_vec(&arena, &v, ROWS, s.m.arg_types[k], false, &s.args[k], &e);
		if (rc < 0)
			return true; /* out of range for what it is cast to */
		if (is_const)
			consts[k] = &s.args[k];
	}
	if (s.m.func->prepare && unit_below(r, 2)) {
		rc = s.m.func->prepare(&arena, consts, s.argc, &s.prepared, &e);
		if (rc < 0)
			return true;
	}
	if (s.m.func->agg)
		check_pieces(&s, r);
	else
		check_rows(&s, r);
	return true;
}

START_TEST(all_functions)
{
	struct unit_rng r = unit_rng();
	uint32_t n, made = 0;
	const struct func *all = func_all(&n);
	int rounds = getenv("FUNC_ROUNDS") ? atoi(getenv("FUNC_ROUNDS")) : 30;

	budget_init(&budget, MEMORY);
	exec.budget = &budget;
	for (int round = 0; round < rounds; round++) {
		for (uint32_t i = 0; i < n; i++) {
			arena_init(&arena, &budget);
			made += check(&all[i], &r);
			arena_release(&arena);
		}
	}
	ck_assert_uint_gt(made, (uint32_t)rounds * n * 9 / 10);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {all_functions};

	return unit_main("func_random", 600, tests, ARRAY_LEN(tests));
}
