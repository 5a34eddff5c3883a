/*
 * func_op: arithmetic, comparisons, LIKE and the few functions that compare values of any type.
 */
#include "query/func_impl.h"
#include "query/like.h"

#include <math.h>

#define GROUP "Comparison"

/* ---- arithmetic --------------------------------------------------------------------------------- */

static int overflow(struct err *e, const char *type, int64_t x, const char *op, int64_t y)
{
	return err_set(e, -EINVAL, "%s overflow: %lld %s %lld", type, (long long)x, op, (long long)y);
}

static int div_failed(struct err *e, const char *type, int64_t x, const char *op, int64_t y)
{
	return y ? overflow(e, type, x, op, y) : err_set(e, -EINVAL, "division by zero");
}

static inline bool div_fails(int64_t x, int64_t y, int64_t *r)
{
	bool bad = y == 0 || (y == -1 && x == INT64_MIN);

	*r = bad ? 0 : x / y;
	return bad;
}

static inline bool mod_fails(int64_t x, int64_t y, int64_t *r)
{
	*r = y == 0 || y == -1 ? 0 : x % y;
	return y == 0;
}

static inline bool neg_fails(int64_t x, int64_t *r)
{
	return __builtin_sub_overflow(INT64_C(0), x, r);
}

#define ADD64(x, y, r) __builtin_add_overflow(x, y, r)
#define SUB64(x, y, r) __builtin_sub_overflow(x, y, r)
#define MUL64(x, y, r) __builtin_mul_overflow(x, y, r)

/* An integer lives in an int64: the same, and the result must fit 32 bits. */
#define NARROW(fn, wide)                                                                           \
	static inline bool fn(int64_t x, int64_t y, int64_t *r)                                    \
	{                                                                                          \
		bool bad = wide(x, y, r);                                                          \
		return bad | (*r != (int32_t)*r);                                                  \
	}
NARROW(add32_fails, ADD64)
NARROW(sub32_fails, SUB64)
NARROW(mul32_fails, MUL64)
NARROW(div32_fails, div_fails)

static inline bool neg32_fails(int64_t x, int64_t *r)
{
	return sub32_fails(0, x, r);
}

#define REPORT_ADD(x, y) overflow(e, "bigint", x, "+", y)
#define REPORT_SUB(x, y) overflow(e, "bigint", x, "-", y)
#define REPORT_MUL(x, y) overflow(e, "bigint", x, "*", y)
#define REPORT_DIV(x, y) div_failed(e, "bigint", x, "/", y)
#define REPORT_MOD(x, y) div_failed(e, "bigint", x, "%", y)
#define REPORT_ADD32(x, y) overflow(e, "integer", x, "+", y)
#define REPORT_SUB32(x, y) overflow(e, "integer", x, "-", y)
#define REPORT_MUL32(x, y) overflow(e, "integer", x, "*", y)
#define REPORT_DIV32(x, y) div_failed(e, "integer", x, "/", y)
#define REPORT_NEG(x)   err_set(e, -EINVAL, "bigint overflow: -(%lld)", (long long)(x))
#define REPORT_NEG32(x) err_set(e, -EINVAL, "integer overflow: -(%lld)", (long long)(x))

FN_CHECKED(add_i64, ADD64, REPORT_ADD)
FN_CHECKED(sub_i64, SUB64, REPORT_SUB)
FN_CHECKED(mul_i64, MUL64, REPORT_MUL)
FN_CHECKED(div_i64, div_fails, REPORT_DIV)
FN_CHECKED(mod_i64, mod_fails, REPORT_MOD)
FN_CHECKED(add_i32, add32_fails, REPORT_ADD32)
FN_CHECKED(sub_i32, sub32_fails, REPORT_SUB32)
FN_CHECKED(mul_i32, mul32_fails, REPORT_MUL32)
FN_CHECKED(div_i32, div32_fails, REPORT_DIV32)
FN_CHECKED_UNARY(neg_i64, neg_fails, REPORT_NEG)
FN_CHECKED_UNARY(neg_i32, neg32_fails, REPORT_NEG32)

FN_BINARY(add_f64, double, f64, double, f64, double, f64, x + y)
FN_BINARY(sub_f64, double, f64, double, f64, double, f64, x - y)
FN_BINARY(mul_f64, double, f64, double, f64, double, f64, x *y)
FN_BINARY(div_f64, double, f64, double, f64, double, f64, x / y)
FN_BINARY(mod_f64, double, f64, double, f64, double, f64, fmod(x, y))
FN_UNARY(neg_f64, double, f64, double, f64, -x)

/* ---- comparisons -------------------------------------------------------------------------------- */

static int equal_any(struct fn_call *c, struct vec *ret, bool negate, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		int eq = row_ok(c, i) ? vec_equal3(&c->args[0], i, &c->args[1], i) : 0;
		int rc = eq < 0 ? ret_set_null(c, ret, i, e) : 0;

		if (rc < 0)
			return rc;
		ret->b8[i] = (eq > 0) != negate;
	}
	return 0;
}

/*        name  operator  of texts                                        */
#define COMPARISONS(X)                                                     \
	X(eq, ==, str_eq(x, y))                                            \
	X(ne, !=, !str_eq(x, y))                                           \
	X(lt, <, str_cmp(x, y) < 0)                                        \
	X(le, <=, str_cmp(x, y) <= 0)                                      \
	X(gt, >, str_cmp(x, y) > 0)                                        \
	X(ge, >=, str_cmp(x, y) >= 0)

#define DEFINE(name, op, text)                                                                     \
	FN_BINARY(name##_i64, int64_t, i64, int64_t, i64, uint8_t, b8, x op y)                     \
	FN_BINARY(name##_f64, double, f64, double, f64, uint8_t, b8, x op y)                       \
	FN_BINARY(name##_b8, uint8_t, b8, uint8_t, b8, uint8_t, b8, x op y)                        \
	FN_BINARY(name##_str, struct str, str, struct str, str, uint8_t, b8, text)                 \
	static int name##_any(struct fn_call *c, struct vec *ret, struct err *e)                   \
	{                                                                                          \
		for (uint32_t i = 0; i < c->n; i++)                                                \
			ret->b8[i] = row_ok(c, i) && vec_cmp(&c->args[0], i, &c->args[1], i) op 0; \
		return 0;                                                                          \
	}
COMPARISONS(DEFINE)

enum { CMP_eq, CMP_ne, CMP_lt, CMP_le, CMP_gt, CMP_ge };
#define ROW(name, op, text)                                                                        \
	[CMP_##name] = {[LAYOUT_I64] = name##_i64, [LAYOUT_F64] = name##_f64,                      \
			[LAYOUT_BOOL] = name##_b8, [LAYOUT_STR] = name##_str,                      \
			[LAYOUT_LIST] = name##_any, [LAYOUT_ROW] = name##_any},
static scalar_fn *const compare_table[][LAYOUT_ROW + 1] = {COMPARISONS(ROW)};

#define ENTRY(name, op, text)                                                                      \
	static int compare_##name(struct fn_call *c, struct vec *ret, struct err *e)               \
	{                                                                                          \
		enum type_layout l = type_layout(c->args[0].type);                                 \
		if (l >= LAYOUT_LIST && CMP_##name <= CMP_ne)                                      \
			return equal_any(c, ret, CMP_##name == CMP_ne, e);                         \
		return compare_table[CMP_##name][l](c, ret, e);                                    \
	}
COMPARISONS(ENTRY)

static int is_distinct(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		ret->b8[i] = !vec_same(&c->args[0], i, &c->args[1], i);
	return 0;
}

static int is_null(struct fn_call *c, struct vec *ret, struct err *e)
{
	const uint8_t *valid = c->args[0].valid;

	for (uint32_t i = 0; i < c->n; i++)
		ret->b8[i] = valid && !valid[i];
	return 0;
}

FN_UNARY(not, uint8_t, b8, uint8_t, b8, !x)

/* ---- like --------------------------------------------------------------------------------------- */

static int like_prepare(struct arena *a, const struct vec *const *const_args, uint32_t argc, void **ret,
			struct err *e)
{
	struct str escape = {NULL, 0};
	const struct like *l;
	int rc;

	*ret = NULL;
	for (uint32_t k = 1; k < argc; k++)
		if (!const_args[k] || vec_is_null(const_args[k], 0))
			return 0; /* compiled row by row, or NULL throughout */
	if (argc > 2)
		escape = const_args[2]->str[0];
	rc = like_compile(a, const_args[1]->str[0], escape, &l, e);
	if (rc >= 0)
		*ret = (void *)l;
	return rc;
}

static int like(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct like *l = c->prepared;
	struct str last_pattern = {NULL, 0}, last_escape = {NULL, 0};

	for (uint32_t i = 0; i < c->n; i++) {
		if (!row_ok(c, i))
			continue;
		if (!c->prepared) {
			struct str pattern = arg_str(c, 1, i);
			struct str escape = c->argc > 2 ? arg_str(c, 2, i) : (struct str){NULL, 0};

			/* Patterns that come from a column tend to come in runs. */
			if (!l || !str_eq(pattern, last_pattern) || !str_eq(escape, last_escape)) {
				int rc = like_compile(c->arena, pattern, escape, &l, e);

				if (rc < 0)
					return rc;
				last_pattern = pattern;
				last_escape = escape;
			}
		}
		ret->b8[i] = like_match(l, arg_str(c, 0, i));
	}
	return 0;
}

/* ---- greatest, least, nullif, typeof ------------------------------------------------------------ */

/* ret row i = args[pick[i]] row i. */
static int pick_rows(struct fn_call *c, const uint32_t *pick, struct vec *ret, struct err *e)
{
	enum type_layout l = type_layout(c->ret_type);
	struct vec_builder b;
	size_t size = layout_size(l);
	int rc;

	if (l != LAYOUT_LIST && l != LAYOUT_ROW) {
		for (uint32_t i = 0; i < c->n; i++)
			memcpy((char *)ret->data + i * size,
			       (const char *)c->args[pick[i]].data + arg_at(c, pick[i], i) * size, size);
		return 0;
	}
	rc = vb_init(&b, c->ret_type, c->n, c->arena, e);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++)
		rc = row_ok(c, i) ? vb_add(&b, &c->args[pick[i]], i, e) : vb_add_null(&b, e);
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

/* sign 1: the greatest; -1: the least. NaN is the greatest number, as in ORDER BY. */
static int extreme(struct fn_call *c, struct vec *ret, int sign, struct err *e)
{
	uint32_t *pick = arena_zarray(c->arena, uint32_t, MAX(c->n, 1));

	if (!pick)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++)
		for (uint32_t k = 1; k < c->argc && row_ok(c, i); k++)
			if (vec_cmp(&c->args[k], i, &c->args[pick[i]], i) * sign > 0)
				pick[i] = k;
	return pick_rows(c, pick, ret, e);
}

static int greatest(struct fn_call *c, struct vec *ret, struct err *e)
{
	return extreme(c, ret, 1, e);
}

static int least(struct fn_call *c, struct vec *ret, struct err *e)
{
	return extreme(c, ret, -1, e);
}

static int nullif(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = vec_flatten(&c->args[0], c->n, c->arena, ret, e);

	if (rc >= 0)
		rc = vec_alloc_valid(ret, c->n, c->arena, e);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++)
		ret->valid[i] = !vec_is_null(&c->args[0], i) && vec_equal3(&c->args[0], i, &c->args[1], i) != 1;
	return rc;
}

static int type_of(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct str name = str_from(type_name(c->arena, c->args[0].type));

	for (uint32_t i = 0; i < c->n; i++)
		ret->str[i] = name;
	return 0;
}

#define COMPARE(op, k, h) OPERATOR(op, "T, T", "boolean", k, h)

const struct func func_rows_op[] = {
	OPERATOR("+", "integer, integer", "integer", add_i32, "sum; overflow is an error"),
	OPERATOR("+", "bigint, bigint", "bigint", add_i64, "sum; overflow is an error"),
	OPERATOR("+", "double, double", "double", add_f64, "sum"),
	OPERATOR("-", "integer, integer", "integer", sub_i32, "difference; overflow is an error"),
	OPERATOR("-", "bigint, bigint", "bigint", sub_i64, "difference; overflow is an error"),
	OPERATOR("-", "double, double", "double", sub_f64, "difference"),
	OPERATOR("*", "integer, integer", "integer", mul_i32, "product; overflow is an error"),
	OPERATOR("*", "bigint, bigint", "bigint", mul_i64, "product; overflow is an error"),
	OPERATOR("*", "double, double", "double", mul_f64, "product"),
	OPERATOR("/", "integer, integer", "integer", div_i32, "quotient, toward zero"),
	OPERATOR("/", "bigint, bigint", "bigint", div_i64, "quotient, toward zero"),
	OPERATOR("/", "double, double", "double", div_f64, "quotient"),
	OPERATOR("%", "integer, integer", "integer", mod_i64,
		 "remainder, with the sign of the first; of whole numbers by 0 an error"),
	OPERATOR("%", "bigint, bigint", "bigint", mod_i64,
		 "remainder, with the sign of the first; of whole numbers by 0 an error"),
	OPERATOR("%", "double, double", "double", mod_f64,
		 "remainder, with the sign of the first; of whole numbers by 0 an error"),
	OPERATOR("neg", "integer", "integer", neg_i32, "negated"),
	OPERATOR("neg", "bigint", "bigint", neg_i64, "negated"),
	OPERATOR("neg", "double", "double", neg_f64, "negated"),
	COMPARE("=", compare_eq, "equal"),
	COMPARE("<>", compare_ne, "not equal"),
	COMPARE("<", compare_lt, "less"),
	COMPARE("<=", compare_le, "less or equal"),
	COMPARE(">", compare_gt, "greater"),
	COMPARE(">=", compare_ge, "greater or equal"),
	OPERATOR("not", "boolean", "boolean", not, "negated"),
	{.name = "is distinct from", .params = "T, T", .ret = "boolean", .scalar = is_distinct,
	 .flags = FN_HIDDEN | FN_NULLS, .group = "Operators", .help = "different, NULL being a value"},
	{.name = "is null", .params = "T", .ret = "boolean", .scalar = is_null, .flags = FN_HIDDEN | FN_NULLS,
	 .group = "Operators", .help = "is the value NULL?"},
	{.name = "like", .params = "varchar, varchar", .ret = "boolean", .scalar = like,
	 .prepare = like_prepare, .flags = FN_HIDDEN, .group = "Operators",
	 .help = "matches the pattern: % any run, _ one character"},
	{.name = "like", .params = "varchar, varchar, varchar", .ret = "boolean", .scalar = like,
	 .prepare = like_prepare, .flags = FN_HIDDEN, .group = "Operators",
	 .help = "the same, with an escape character"},
	SCALAR("greatest", "T...", "T", greatest, "the largest argument; NULL where one is NULL"),
	SCALAR("least", "T...", "T", least, "the smallest argument; NULL where one is NULL"),
	{.name = "coalesce", .params = "T...", .ret = "T", .flags = FN_NULLS, .group = "Conditional",
	 .help = "the first argument that is not NULL"},
	{.name = "if", .params = "boolean, T", .ret = "T", .flags = FN_NULLS, .group = "Conditional",
	 .help = "the value where the condition is TRUE, else NULL"},
	{.name = "if", .params = "boolean, T, T", .ret = "T", .flags = FN_NULLS, .group = "Conditional",
	 .help = "the first value where the condition is TRUE, else the second"},
	{.name = "try", .params = "T", .ret = "T", .flags = FN_NULLS, .group = "Conditional",
	 .help = "the expression, or NULL where it fails: division by zero, a cast, overflow, a bad argument"},
	{.name = "nullif", .params = "T, T", .ret = "T", .scalar = nullif, .flags = FN_NULLS,
	 .group = "Conditional", .help = "NULL where both are equal, else the first"},
	{.name = "typeof", .params = "T", .ret = "varchar", .scalar = type_of, .flags = FN_NULLS,
	 .group = "Conversion", .help = "the name of the expression's type"},
	FUNC_END,
};
