/*
 * cast: CAST, TRY_CAST and the implicit coercions, which are the same conversions.
 *
 * A conversion takes a FLAT vector. A row that cannot be converted ends a CAST with a sentence and
 * becomes NULL under TRY_CAST; an array or row of which a part cannot be converted is NULL as a whole.
 */
#include "query/func_impl.h"
#include "query/func_time.h"

#include <math.h>

struct cast {
	const struct vec *v; /* FLAT */
	uint32_t n;
	struct arena *arena;
	bool is_try;
	struct vec *ret; /* allocated FLAT, its type the target; valid is v's until a row fails */
	struct err *e;
};

typedef int cast_fn(struct cast *c);

static int no_memory(struct err *e)
{
	return func_no_memory(e);
}

static bool is_row(const struct cast *c, uint32_t i)
{
	return !c->v->valid || c->v->valid[i];
}

/* Row i is NULL from here on. */
static int set_null(struct cast *c, uint32_t i)
{
	if (!c->ret->valid || c->ret->valid == c->v->valid) {
		int rc = vec_alloc_valid(c->ret, c->n, c->arena, c->e);

		if (rc < 0)
			return rc;
		if (c->v->valid)
			memcpy(c->ret->valid, c->v->valid, c->n);
	}
	c->ret->valid[i] = 0;
	return 0;
}

#define SHOWN_MAX 80 /* bytes of the value in a message */

/* Row i cannot be converted; out_of_range where it is only too large. */
static int failed(struct cast *c, uint32_t i, bool out_of_range)
{
	const char *quote = c->v->type->kind == TY_VARCHAR ? "'" : "";
	struct str s;
	struct buf b;
	int rc;

	if (c->is_try)
		return set_null(c, i);
	buf_init(&b, 1 << 20);
	vec_format(c->v, i, &b);
	s = buf_str(&b);
	if (s.len > SHOWN_MAX)
		s.len = utf8_valid_len((struct str){s.ptr, SHOWN_MAX});
	rc = err_set(c->e, -EINVAL, "cannot cast %s%.*s%s%s to %s%s", quote, STR_FMT(s),
		     s.len < b.len ? "..." : "", quote, type_name(c->arena, c->ret->type),
		     out_of_range ? ": out of range" : "");
	buf_release(&b);
	return rc;
}

/* A conversion from an expression that sets r[i] from x and cannot fail. */
#define CAST_ALL(fn, TA, fa, TR, fr, EXPR)                                                         \
	static int fn(struct cast *c)                                                              \
	{                                                                                          \
		const TA *restrict a = c->v->fa;                                                   \
		TR *restrict r = c->ret->fr;                                                       \
		for (uint32_t i = 0; i < c->n; i++) {                                              \
			TA x = a[i];                                                               \
			r[i] = (EXPR);                                                             \
		}                                                                                  \
		return 0;                                                                          \
	}

/* One from a function: 0, -EINVAL, or -ERANGE. */
#define CAST_SOME(fn, TA, fa, fr, CONVERT)                                                         \
	static int fn(struct cast *c)                                                              \
	{                                                                                          \
		for (uint32_t i = 0; i < c->n; i++) {                                              \
			int rc = is_row(c, i) ? CONVERT(c->v->fa[i], &c->ret->fr[i]) : 0;          \
			if (unlikely(rc < 0)) {                                                    \
				rc = failed(c, i, rc == -ERANGE);                                  \
				if (rc < 0)                                                        \
					return rc;                                                 \
			}                                                                          \
		}                                                                                  \
		return 0;                                                                          \
	}

CAST_ALL(i64_to_i64, int64_t, i64, int64_t, i64, x)
CAST_ALL(i64_to_f64, int64_t, i64, double, f64, (double)x)
CAST_ALL(i64_to_bool, int64_t, i64, uint8_t, b8, x != 0)
CAST_ALL(f64_to_bool, double, f64, uint8_t, b8, x != 0)
CAST_ALL(bool_to_i64, uint8_t, b8, int64_t, i64, x)
CAST_ALL(bool_to_f64, uint8_t, b8, double, f64, x)
CAST_ALL(timestamp_to_date, int64_t, i64, int64_t, i64, floor_div(x, NS_PER_DAY))
CAST_ALL(timestamp_to_time, int64_t, i64, int64_t, i64, ns_of_day(x))

static int to_int32(int64_t x, int64_t *ret)
{
	*ret = x;
	return x == (int32_t)x ? 0 : -ERANGE;
}

static int round_to_i64(double x, int64_t *ret)
{
	double r = round(x); /* half away from zero */

	if (!(r >= -0x1p63 && r < 0x1p63)) /* NaN too */
		return -ERANGE;
	*ret = (int64_t)r;
	return 0;
}

static int round_to_int32(double x, int64_t *ret)
{
	int rc = round_to_i64(x, ret);

	return rc < 0 ? rc : to_int32(*ret, ret);
}

static int date_to_ns(int64_t days, int64_t *ret)
{
	return __builtin_mul_overflow(days, NS_PER_DAY, ret) ? -ERANGE : 0;
}

static int parse_int32(struct str s, int64_t *ret)
{
	int rc = i64_parse(s, ret);

	return rc < 0 ? rc : to_int32(*ret, ret);
}

static int parse_f64(struct str s, double *ret)
{
	s = str_trim(s);
	if (str_is(s, "NaN"))
		*ret = (double)NAN;
	else if (str_is(s, "Infinity") || str_is(s, "+Infinity"))
		*ret = (double)INFINITY;
	else if (str_is(s, "-Infinity"))
		*ret = -(double)INFINITY;
	else
		return f64_parse(s, ret);
	return 0;
}

static int parse_bool(struct str s, uint8_t *ret)
{
	static const char *const words[] = {"f", "t", "false", "true", "0", "1"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_ieq(s, str_from(words[i]))) {
			*ret = i & 1;
			return 0;
		}
	return -EINVAL;
}

CAST_SOME(bigint_to_integer, int64_t, i64, i64, to_int32)
CAST_SOME(double_to_bigint, double, f64, i64, round_to_i64)
CAST_SOME(double_to_integer, double, f64, i64, round_to_int32)
CAST_SOME(date_to_timestamp, int64_t, i64, i64, date_to_ns)
CAST_SOME(varchar_to_integer, struct str, str, i64, parse_int32)
CAST_SOME(varchar_to_bigint, struct str, str, i64, i64_parse)
CAST_SOME(varchar_to_double, struct str, str, f64, parse_f64)
CAST_SOME(varchar_to_boolean, struct str, str, b8, parse_bool)
CAST_SOME(varchar_to_date, struct str, str, i64, date_parse_days)
CAST_SOME(varchar_to_time, struct str, str, i64, time_parse)
CAST_SOME(varchar_to_timestamp, struct str, str, i64, timestamp_parse)

/* The first n code points of s (all of it where it has no more). */
static struct str cut(struct str s, int32_t n)
{
	size_t i = 0;

	for (; i < s.len; i++)
		if (((unsigned char)s.ptr[i] & 0xc0) != 0x80 && n-- == 0)
			break;
	return (struct str){s.ptr, i};
}

static int varchar_to_varchar(struct cast *c)
{
	int32_t n = c->ret->type->length;

	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = c->v->str[i];

		c->ret->str[i] = n >= 0 && is_row(c, i) ? cut(s, n) : s;
	}
	return 0;
}

/* All texts go into one run of bytes: one allocation a vector. */
static int to_varchar(struct cast *c)
{
	int32_t n = c->ret->type->length;
	struct buf b;
	char *text;

	buf_init(&b, SIZE_MAX / 2);
	for (uint32_t i = 0; i < c->n; i++) {
		size_t start = b.len;

		if (is_row(c, i))
			vec_format(c->v, i, &b);
		c->ret->str[i].len = b.len - start;
	}
	text = b.rc ? NULL : arena_alloc(c->arena, MAX(b.len, 1));
	if (text && b.len)
		memcpy(text, b.data, b.len);
	buf_release(&b);
	if (!text)
		return no_memory(c->e);
	for (uint32_t i = 0; i < c->n; i++) {
		struct str *s = &c->ret->str[i];

		s->ptr = text;
		text += s->len;
		if (n >= 0)
			*s = cut(*s, n);
	}
	return 0;
}

/* The matrix. Arrays and rows, which are converted part by part, are dealt with below. */
#define KINDS (TY_LAMBDA + 1)
static cast_fn *const casts[KINDS][KINDS] = {
	[TY_BOOLEAN] = {
		[TY_INTEGER] = bool_to_i64, [TY_BIGINT] = bool_to_i64, [TY_DOUBLE] = bool_to_f64,
		[TY_VARCHAR] = to_varchar,
	},
	[TY_INTEGER] = {
		[TY_BOOLEAN] = i64_to_bool, [TY_BIGINT] = i64_to_i64, [TY_DOUBLE] = i64_to_f64,
		[TY_VARCHAR] = to_varchar,
	},
	[TY_BIGINT] = {
		[TY_BOOLEAN] = i64_to_bool, [TY_INTEGER] = bigint_to_integer, [TY_DOUBLE] = i64_to_f64,
		[TY_VARCHAR] = to_varchar,
	},
	[TY_DOUBLE] = {
		[TY_BOOLEAN] = f64_to_bool, [TY_INTEGER] = double_to_integer, [TY_BIGINT] = double_to_bigint,
		[TY_VARCHAR] = to_varchar,
	},
	[TY_VARCHAR] = {
		[TY_BOOLEAN] = varchar_to_boolean, [TY_INTEGER] = varchar_to_integer,
		[TY_BIGINT] = varchar_to_bigint, [TY_DOUBLE] = varchar_to_double,
		[TY_DATE] = varchar_to_date, [TY_TIME] = varchar_to_time,
		[TY_TIMESTAMP] = varchar_to_timestamp, [TY_VARCHAR] = varchar_to_varchar,
	},
	[TY_DATE] = {[TY_TIMESTAMP] = date_to_timestamp, [TY_VARCHAR] = to_varchar},
	[TY_TIME] = {[TY_VARCHAR] = to_varchar},
	[TY_TIMESTAMP] = {
		[TY_DATE] = timestamp_to_date, [TY_TIME] = timestamp_to_time, [TY_VARCHAR] = to_varchar,
	},
	[TY_INTERVAL_DS] = {[TY_VARCHAR] = to_varchar},
	[TY_INTERVAL_YM] = {[TY_VARCHAR] = to_varchar},
};

/* ---- arrays and rows ---------------------------------------------------------------------------- */

/* Only the elements that some row uses: others must not be able to fail. */
static int compact(struct cast *c, struct vec *ret_child, uint32_t *ret_n)
{
	const struct vec *v = c->v;
	uint64_t total = 0;
	uint32_t *sel, k = 0;
	int rc;

	for (uint32_t i = 0; i < c->n; i++)
		total += is_row(c, i) ? v->list[i].len : 0;
	sel = total < UINT32_MAX ? arena_array(c->arena, uint32_t, MAX(total, 1)) : NULL;
	if (!sel)
		return no_memory(c->e);
	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = is_row(c, i) ? v->list[i] : (struct vec_list){0, 0};

		c->ret->list[i] = (struct vec_list){k, l.len};
		for (uint32_t j = 0; j < l.len; j++)
			sel[k++] = l.off + j;
	}
	rc = vec_gather(v->child, sel, k, c->arena, ret_child, c->e);
	*ret_n = k;
	return rc;
}

static int cast_list(struct cast *c)
{
	struct vec from, *to = &c->ret->child[0];
	uint32_t total = 0;
	int rc = compact(c, &from, &total);

	if (rc >= 0)
		rc = cast_vec(c->arena, &from, total, type_list_elem(c->ret->type), c->is_try, to, c->e);
	if (rc >= 0)
		rc = vec_flatten(to, total, c->arena, to, c->e);
	if (rc < 0)
		return rc;
	c->ret->child_n = total;
	for (uint32_t i = 0; c->is_try && i < c->n; i++) {
		struct vec_list l = c->ret->list[i];

		for (uint32_t j = l.off; j < l.off + l.len; j++)
			if (vec_is_null(to, j) && !vec_is_null(&from, j)) {
				rc = set_null(c, i);
				if (rc < 0)
					return rc;
				break;
			}
	}
	return 0;
}

static int cast_field(struct cast *c, uint32_t f)
{
	struct vec from, *to = &c->ret->child[f];
	int rc = vec_flatten(&c->v->child[f], c->n, c->arena, &from, c->e);

	if (rc < 0)
		return rc;
	if (c->v->valid) { /* what a NULL row holds in its fields must not fail */
		const uint8_t *own = from.valid;

		rc = vec_alloc_valid(&from, c->n, c->arena, c->e);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < c->n; i++)
			from.valid[i] = c->v->valid[i] && (!own || own[i]);
	}
	rc = cast_vec(c->arena, &from, c->n, c->ret->type->fields[f].type, c->is_try, to, c->e);
	for (uint32_t i = 0; rc >= 0 && c->is_try && i < c->n; i++)
		if (vec_is_null(to, i) && !vec_is_null(&from, i))
			rc = set_null(c, i);
	return rc;
}

static int cast_row(struct cast *c)
{
	int rc = 0;

	for (uint32_t f = 0; f < c->ret->type->field_count && rc >= 0; f++)
		rc = cast_field(c, f);
	return rc;
}

/* ---- the front ---------------------------------------------------------------------------------- */

bool cast_exists(const struct type *from, const struct type *to)
{
	if (type_equal(from, to) || from->kind == TY_UNKNOWN)
		return true;
	if (from->kind == TY_ARRAY && to->kind == TY_ARRAY)
		return cast_exists(from->elem, to->elem);
	if (from->kind == TY_ROW && to->kind == TY_ROW) {
		if (from->field_count != to->field_count)
			return false;
		for (uint32_t f = 0; f < from->field_count; f++)
			if (!cast_exists(from->fields[f].type, to->fields[f].type))
				return false;
		return true;
	}
	return casts[from->kind][to->kind] != NULL;
}

/* Does the same bytes under another type do? Lengths of varchar, and names of fields. */
static bool is_relabel(const struct type *from, const struct type *to)
{
	if (from->kind != to->kind || from->kind == TY_ARRAY || from->kind == TY_ROW)
		return false;
	if (from->kind == TY_VARCHAR)
		return to->length < 0 || (from->length >= 0 && from->length <= to->length);
	return type_equal(from, to);
}

static int cast_flat(struct cast *c)
{
	const struct type *from = c->v->type, *to = c->ret->type;

	if (from->kind == TY_ARRAY)
		return cast_list(c);
	if (from->kind == TY_ROW)
		return cast_row(c);
	return casts[from->kind][to->kind](c);
}

static int cast_rows(struct arena *a, const struct vec *v, uint32_t n, const struct type *to, bool is_try,
		     struct vec *ret, struct err *e)
{
	struct vec out;
	struct cast c = {v, n, a, is_try, &out, e};
	int rc = vec_alloc(&out, to, n, a, e);

	if (rc < 0)
		return rc;
	out.valid = v->valid;
	rc = cast_flat(&c);
	if (rc >= 0)
		*ret = out;
	return rc;
}

int cast_vec(struct arena *a, const struct vec *v, uint32_t n, const struct type *to, bool try_cast,
	     struct vec *ret, struct err *e)
{
	struct vec flat, *dict;
	int rc;

	if (v->type == to) {
		*ret = *v;
		return 0;
	}
	if (v->type->kind == TY_UNKNOWN)
		return vec_const_null(ret, to, a, e);
	if (!cast_exists(v->type, to))
		return err_set(e, -EINVAL, "cannot cast %s to %s", type_name(a, v->type), type_name(a, to));
	if (is_relabel(v->type, to)) {
		*ret = *v;
		ret->type = to;
		return 0;
	}
	if (v->form == VEC_CONST) {
		flat = *v;
		flat.form = VEC_FLAT;
		rc = cast_rows(a, &flat, n ? 1 : 0, to, try_cast, ret, e);
		if (rc >= 0)
			ret->form = n ? VEC_CONST : VEC_FLAT;
		return rc;
	}
	if (v->form == VEC_DICT && v->dict_n <= n) {
		dict = arena_new(a, struct vec);
		if (!dict)
			return no_memory(e);
		rc = cast_rows(a, v->dict, v->dict_n, to, try_cast, dict, e);
		if (rc >= 0) {
			*ret = (struct vec){.type = to, .form = VEC_DICT, .codes = v->codes, .dict = dict,
					    .dict_n = v->dict_n};
			return 0;
		}
		/* An entry that no row uses may have failed: the rows decide. */
	}
	rc = vec_flatten(v, n, a, &flat, e);
	return rc < 0 ? rc : cast_rows(a, &flat, n, to, try_cast, ret, e);
}
