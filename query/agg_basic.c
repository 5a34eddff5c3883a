/*
 * agg_basic: count, sum, avg, the boolean and bitwise aggregates, arbitrary, array_agg.
 *
 * Sums of whole numbers are exact in 128 bits and checked at the end, so an order of rows that would
 * overflow on the way does not matter. Sums of doubles carry what each addition rounded away
 * (Neumaier, with Knuth's branch-free error term), so that the order of rows, batches and threads
 * shows in the last digit only where the sum itself is ill-conditioned.
 */
#include "query/agg_impl.h"

#include <math.h>

#include "engine/base/kernels.h"

#define GROUP "Aggregate"

/* ---- count -------------------------------------------------------------------------------------- */

static int count_all_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	*(int64_t *)state += to - from;
	return 0;
}

static int count_all_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
			     struct err *e)
{
	for (uint32_t i = 0; i < n; i++)
		++*(int64_t *)(states + group[i] * stride);
	return 0;
}

static int count_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	int64_t n = 0;

	if (!v->valid || v->form == VEC_CONST) {
		n = agg_ok(v, 0) ? to - from : 0;
	} else {
		for (uint32_t i = from; i < to; i++)
			n += v->valid[i];
	}
	*(int64_t *)state += n;
	return 0;
}

static int count_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
			 struct err *e)
{
	const struct vec *v = &c->args[0];

	for (uint32_t i = 0; i < n; i++)
		*(int64_t *)(states + group[i] * stride) += agg_ok(v, i);
	return 0;
}

static int count_if_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	int64_t n = 0;

	if (agg_is_plain(v)) {
		for (uint32_t i = from; i < to; i++)
			n += v->b8[i];
	} else {
		for (uint32_t i = from; i < to; i++)
			n += agg_ok(v, i) && v->b8[agg_at(v, i)];
	}
	*(int64_t *)state += n;
	return 0;
}

static int count_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	*(int64_t *)into += *(const int64_t *)from;
	return 0;
}

static void count_unmerge(void *from, const void *part)
{
	*(int64_t *)from -= *(const int64_t *)part;
}

static int count_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return vb_add_i64(out, *(int64_t *)state, e);
}

static const struct agg_def count_all_def = {sizeof(int64_t), count_all_add, count_all_scatter, count_merge,
					     count_finish, true};
static const struct agg_def count_def = {sizeof(int64_t), count_add, count_scatter, count_merge, count_finish, true};
static const struct agg_def count_if_def = {sizeof(int64_t), count_if_add, NULL, count_merge, count_finish, true};

/* ---- sums of whole numbers ---------------------------------------------------------------------- */

struct sum_i64 {
	struct wide sum;
	int64_t n;
};

static int sum_i64_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct sum_i64 *s = state;
	i128 sum = 0;

	if (agg_is_plain(v)) {
		int64_t hi;
		uint64_t lo;

		kernels()->sum_i64(v->i64 + from, to - from, &hi, &lo);
		sum = (i128)hi * (INT64_C(1) << 32) + lo;
		s->n += to - from;
	} else {
		for (uint32_t i = from; i < to; i++)
			if (agg_ok(v, i)) {
				sum += v->i64[agg_at(v, i)];
				s->n++;
			}
	}
	wide_add(&s->sum, sum);
	return 0;
}

static int sum_i64_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
			   struct err *e)
{
	const struct vec *v = &c->args[0];

	for (uint32_t i = 0; i < n; i++) {
		struct sum_i64 *s = (struct sum_i64 *)(states + group[i] * stride);

		if (!agg_ok(v, i))
			continue;
		wide_add(&s->sum, v->i64[agg_at(v, i)]);
		s->n++;
	}
	return 0;
}

static int sum_i64_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct sum_i64 *a = into;
	const struct sum_i64 *b = from;

	wide_add(&a->sum, wide_get(&b->sum));
	a->n += b->n;
	return 0;
}

static void sum_i64_unmerge(void *from, const void *part)
{
	struct sum_i64 *a = from;
	const struct sum_i64 *b = part;

	wide_add(&a->sum, -wide_get(&b->sum));
	a->n -= b->n;
}

static int sum_i64_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_i64 *s = state;
	i128 sum = wide_get(&s->sum);

	if (!s->n)
		return vb_add_null(out, e);
	if (sum < INT64_MIN || sum > INT64_MAX)
		return err_set(e, -EINVAL, c->ret_type->kind == TY_BIGINT
				       ? "bigint overflow: sum() of %lld rows" : "interval out of range: sum() of "
				       "%lld rows", (long long)s->n);
	return vb_add_i64(out, (int64_t)sum, e);
}

static int avg_i64_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_i64 *s = state;

	return s->n ? vb_add_f64(out, (double)wide_get(&s->sum) / (double)s->n, e) : vb_add_null(out, e);
}

static int avg_interval_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_i64 *s = state;
	i128 sum = wide_get(&s->sum), half = s->n / 2;

	if (!s->n)
		return vb_add_null(out, e);
	return vb_add_i64(out, (int64_t)((sum + (sum < 0 ? -half : half)) / s->n), e);
}

static const struct agg_def sum_i64_def = {sizeof(struct sum_i64), sum_i64_add, sum_i64_scatter, sum_i64_merge,
					   sum_i64_finish, true};
static const struct agg_def avg_i64_def = {sizeof(struct sum_i64), sum_i64_add, sum_i64_scatter, sum_i64_merge,
					   avg_i64_finish, true};
static const struct agg_def avg_interval_def = {sizeof(struct sum_i64), sum_i64_add, sum_i64_scatter,
						sum_i64_merge, avg_interval_finish, true};

/* ---- sums of doubles ---------------------------------------------------------------------------- */

struct sum_f64 {
	double sum, rest; /* the sum is sum + rest, but for infinities and NaN, which show in sum */
	int64_t n;
};

/* s += x; what that rounds away goes to r. Exact, whatever is larger. */
static inline void two_sum(double *s, double *r, double x)
{
	double t = *s + x, back = t - *s;

	*r += (*s - (t - back)) + (x - back);
	*s = t;
}

/* Four sums at once: a single one would wait for each addition to end. */
static void sum_plain_f64(struct sum_f64 *st, const double *restrict v, uint32_t n)
{
	double s[4] = {0}, r[4] = {0};
	uint32_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (int k = 0; k < 4; k++)
			two_sum(&s[k], &r[k], v[i + k]);
	for (; i < n; i++)
		two_sum(&st->sum, &st->rest, v[i]);
	for (int k = 0; k < 4; k++) {
		two_sum(&st->sum, &st->rest, s[k]);
		st->rest += r[k];
	}
	st->n += n;
}

static int sum_f64_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct sum_f64 *s = state;

	if (agg_is_plain(v)) {
		sum_plain_f64(s, v->f64 + from, to - from);
		return 0;
	}
	for (uint32_t i = from; i < to; i++)
		if (agg_ok(v, i)) {
			two_sum(&s->sum, &s->rest, v->f64[agg_at(v, i)]);
			s->n++;
		}
	return 0;
}

static int sum_f64_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
			   struct err *e)
{
	const struct vec *v = &c->args[0];

	for (uint32_t i = 0; i < n; i++) {
		struct sum_f64 *s = (struct sum_f64 *)(states + group[i] * stride);

		if (!agg_ok(v, i))
			continue;
		two_sum(&s->sum, &s->rest, v->f64[agg_at(v, i)]);
		s->n++;
	}
	return 0;
}

static int sum_f64_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct sum_f64 *a = into;
	const struct sum_f64 *b = from;

	two_sum(&a->sum, &a->rest, b->sum);
	a->rest += b->rest;
	a->n += b->n;
	return 0;
}

static double sum_f64_value(const struct sum_f64 *s)
{
	return isfinite(s->sum) ? s->sum + s->rest : s->sum;
}

static int sum_f64_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_f64 *s = state;

	return s->n ? vb_add_f64(out, sum_f64_value(s), e) : vb_add_null(out, e);
}

static int avg_f64_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_f64 *s = state;

	return s->n ? vb_add_f64(out, sum_f64_value(s) / (double)s->n, e) : vb_add_null(out, e);
}

/* geometric_mean: a plain sum of logarithms, which gives the documented digits. */
static int geomean_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct sum_f64 *s = state;

	for (uint32_t i = from; i < to; i++)
		if (agg_ok(v, i)) {
			s->sum += log(v->f64[agg_at(v, i)]);
			s->n++;
		}
	return 0;
}

static int geomean_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct sum_f64 *s = state;

	return s->n ? vb_add_f64(out, exp(sum_f64_value(s) / (double)s->n), e) : vb_add_null(out, e);
}

static const struct agg_def sum_f64_def = {sizeof(struct sum_f64), sum_f64_add, sum_f64_scatter, sum_f64_merge,
					   sum_f64_finish, true};
static const struct agg_def avg_f64_def = {sizeof(struct sum_f64), sum_f64_add, sum_f64_scatter, sum_f64_merge,
					   avg_f64_finish, true};
static const struct agg_def geomean_def = {sizeof(struct sum_f64), geomean_add, NULL, sum_f64_merge,
					   geomean_finish, false};

/* ---- booleans and bits: has, and the value so far ------------------------------------------------ */

struct fold {
	int64_t value;
	int64_t has;
};

#define FOLD(name, field, op, output)                                                              \
	static int name##_add(struct agg_call *c, void *state, uint32_t from, uint32_t to,         \
			      struct err *e)                                                       \
	{                                                                                          \
		const struct vec *v = &c->args[0];                                                 \
		struct fold *s = state;                                                            \
		for (uint32_t i = from; i < to; i++) {                                             \
			int64_t x;                                                                 \
			if (!agg_ok(v, i))                                                         \
				continue;                                                          \
			x = v->field[agg_at(v, i)];                                                \
			s->value = s->has ? (s->value op x) : x;                                   \
			s->has = 1;                                                                \
		}                                                                                  \
		return 0;                                                                          \
	}                                                                                          \
	static int name##_merge(struct agg_call *c, void *into, const void *from, struct err *e)   \
	{                                                                                          \
		struct fold *a = into;                                                             \
		const struct fold *b = from;                                                       \
		if (b->has)                                                                        \
			a->value = a->has ? (a->value op b->value) : b->value;                     \
		a->has |= b->has;                                                                  \
		return 0;                                                                          \
	}                                                                                          \
	static int name##_finish(struct agg_call *c, void *state, struct vec_builder *out,         \
				 struct err *e)                                                    \
	{                                                                                          \
		struct fold *s = state;                                                            \
		return s->has ? output(out, s->value, e) : vb_add_null(out, e);                    \
	}                                                                                          \
	static const struct agg_def name##_def = {sizeof(struct fold), name##_add, NULL,           \
						  name##_merge, name##_finish, true};
FOLD(bool_and, b8, &, vb_add_bool)
FOLD(bool_or, b8, |, vb_add_bool)
FOLD(bitwise_and, i64, &, vb_add_i64)
FOLD(bitwise_or, i64, |, vb_add_i64)
FOLD(bitwise_xor, i64, ^, vb_add_i64)

/* ---- arbitrary, array_agg ----------------------------------------------------------------------- */

static int arbitrary_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	struct cell *s = state;

	for (uint32_t i = from; !s->has && i < to; i++)
		if (agg_ok(&c->args[0], i))
			return cell_set(s, c->arena, &c->args[0], i, e);
	return 0;
}

static int arbitrary_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct cell *a = into, b = *(const struct cell *)from;
	struct vec v;

	if (a->has || !b.has)
		return 0;
	cell_view(&b, c->ret_type, &v);
	return cell_set(a, c->arena, &v, 0, e);
}

static int arbitrary_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return cell_output(state, c->ret_type, out, e);
}

static const struct agg_def arbitrary_def = {sizeof(struct cell), arbitrary_add, NULL, arbitrary_merge,
					     arbitrary_finish, true};

struct collected {
	struct vec_builder *b; /* NULL: nothing yet */
};

static int collect_start(struct agg_call *c, struct collected *s, struct err *e)
{
	if (s->b)
		return 0;
	s->b = arena_new(c->arena, struct vec_builder);
	return s->b ? vb_init(s->b, c->ret_type->elem, 4, c->arena, e) : func_no_memory(e);
}

static int array_agg_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	struct collected *s = state;
	int rc = from < to ? collect_start(c, s, e) : 0;

	for (uint32_t i = from; rc >= 0 && i < to; i++)
		rc = vb_add(s->b, &c->args[0], i, e);
	return rc;
}

static int array_agg_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct collected *a = into;
	const struct collected *b = from;
	struct vec v;
	int rc;

	if (!b->b)
		return 0;
	rc = collect_start(c, a, e);
	vb_finish(b->b, &v);
	for (uint32_t i = 0; rc >= 0 && i < b->b->n; i++)
		rc = vb_add(a->b, &v, i, e);
	return rc;
}

static int array_agg_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct collected *s = state;
	struct vec v;
	int rc = 0;

	if (!s->b)
		return vb_add_null(out, e);
	vb_finish(s->b, &v);
	for (uint32_t i = 0; rc >= 0 && i < s->b->n; i++)
		rc = vb_add(vb_elem(out), &v, i, e);
	return rc < 0 ? rc : vb_add_list(out, s->b->n, e);
}

static const struct agg_def array_agg_def = {sizeof(struct collected), array_agg_add, NULL, array_agg_merge,
					     array_agg_finish, true};

#define YM "interval year to month"

const struct func func_rows_agg_basic[] = {
	AGGREGATE_U("count", "", "bigint", &count_all_def, count_unmerge, "count(*): the number of rows"),
	AGGREGATE_U("count", "T", "bigint", &count_def, count_unmerge, "the number of values that are not NULL"),
	AGGREGATE_U("count_if", "boolean", "bigint", &count_if_def, count_unmerge, "the number of TRUE values"),
	AGGREGATE_U("sum", "bigint", "bigint", &sum_i64_def, sum_i64_unmerge, "the sum; overflow is an error"),
	AGGREGATE("sum", "double", "double", &sum_f64_def, "the sum"),
	AGGREGATE_U("sum", "interval", "interval", &sum_i64_def, sum_i64_unmerge, "the sum"),
	AGGREGATE_U("sum", YM, YM, &sum_i64_def, sum_i64_unmerge, "the sum"),
	AGGREGATE_U("avg", "bigint", "double", &avg_i64_def, sum_i64_unmerge, "the mean"),
	AGGREGATE("avg", "double", "double", &avg_f64_def, "the mean"),
	AGGREGATE_U("avg", "interval", "interval", &avg_interval_def, sum_i64_unmerge, "the mean"),
	AGGREGATE_U("avg", YM, YM, &avg_interval_def, sum_i64_unmerge, "the mean"),
	AGGREGATE("geometric_mean", "double", "double", &geomean_def,
		  "the n-th root of the product of n values; NaN where one is negative"),
	AGGREGATE("bool_and", "boolean", "boolean", &bool_and_def, "whether all are TRUE; NULLs are left out"),
	AGGREGATE("every", "boolean", "boolean", &bool_and_def, "whether all are TRUE; NULLs are left out"),
	AGGREGATE("bool_or", "boolean", "boolean", &bool_or_def, "whether any is TRUE; NULLs are left out"),
	AGGREGATE("bitwise_and_agg", "bigint", "bigint", &bitwise_and_def,
		  "the bits that are set in all values"),
	AGGREGATE("bitwise_or_agg", "bigint", "bigint", &bitwise_or_def, "the bits that are set in any value"),
	AGGREGATE("bitwise_xor_agg", "bigint", "bigint", &bitwise_xor_def,
		  "the bits that are set in an odd number of values"),
	AGGREGATE("any_value", "T", "T", &arbitrary_def, "the first value that is not NULL"),
	AGGREGATE("arbitrary", "T", "T", &arbitrary_def, "the first value that is not NULL"),
	AGGREGATE("array_agg", "T", "array(T)", &array_agg_def, "all values, NULL too, in order of input"),
	FUNC_END,
};
