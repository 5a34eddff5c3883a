/*
 * func_series: time series: building them, interpolation, derivative, integral, correlation.
 *
 * A series is a list of rows (time, value), ascending in time. Where a function divides by the
 * distance of two points, equal times are an error. Values are read as doubles, whatever number they are;
 * points whose value is NULL (interpolation can make such) are passed over.
 */
#include "query/agg_impl.h"
#include "query/func_series.h"

#include <math.h>
#include <stdlib.h>

#define GROUP "Time series"

static int same_times(struct err *e)
{
	return err_set(e, -EINVAL, "two points of the time series have the same time");
}

int points_load(struct fn_call *c, uint32_t arg, uint32_t i, struct points *p, struct err *e)
{
	struct vec_list l = arg_list(c, arg, i);
	const struct vec *time = &c->args[arg].child->child[0], *value = &c->args[arg].child->child[1];
	enum type_layout layout = type_layout(value->type);
	uint32_t room = MAX(l.len, 1);

	*p = (struct points){0, arena_array(c->arena, int64_t, room), arena_array(c->arena, double, room),
			     arena_array(c->arena, uint32_t, room)};
	if (!p->t || !p->v || !p->at)
		return func_no_memory(e);
	for (uint32_t k = l.off; k < l.off + l.len; k++) {
		uint32_t j = vec_index(value, k);

		if (vec_is_null(value, k) || vec_is_null(time, k))
			continue;
		p->t[p->n] = vec_base(time)->i64[vec_index(time, k)];
		p->v[p->n] = layout == LAYOUT_F64 ? vec_base(value)->f64[j]
			     : layout == LAYOUT_I64 ? (double)vec_base(value)->i64[j] : 0;
		p->at[p->n++] = k;
	}
	return 0;
}

double time_apart(int64_t from, int64_t to)
{
	return (double)((i128)to - from);
}

int points_distinct(const struct points *p, struct err *e)
{
	for (uint32_t k = 1; k < p->n; k++)
		if (p->t[k] == p->t[k - 1])
			return same_times(e);
	return 0;
}

int add_point(struct vec_builder *b, int64_t t, double v, struct err *e)
{
	int rc = vb_add_i64(vb_field(vb_elem(b), 0), t, e);

	if (rc >= 0)
		rc = vb_add_f64(vb_field(vb_elem(b), 1), v, e);
	return rc < 0 ? rc : vb_add_row(vb_elem(b), e);
}

/* ---- interpolation ------------------------------------------------------------------------------ */

enum fill { LINEAR, SPLINE, LOCF, FILL };

/* Second derivatives at the points of the natural cubic spline (zero at both ends), per ns^2. */
static int spline_prepare(struct arena *a, const struct points *p, double **ret, struct err *e)
{
	double *m = arena_zarray(a, double, MAX(p->n, 1)), *u = arena_zarray(a, double, MAX(p->n, 1));

	if (!m || !u)
		return func_no_memory(e);
	for (uint32_t k = 1; k + 1 < p->n; k++) {
		double h0 = time_apart(p->t[k - 1], p->t[k]), h1 = time_apart(p->t[k], p->t[k + 1]);
		double s = h0 / (h0 + h1), q = s * m[k - 1] + 2;

		m[k] = (s - 1) / q;
		u[k] = (p->v[k + 1] - p->v[k]) / h1 - (p->v[k] - p->v[k - 1]) / h0;
		u[k] = (6 * u[k] / (h0 + h1) - s * u[k - 1]) / q;
	}
	if (p->n)
		m[p->n - 1] = 0;
	for (uint32_t k = p->n < 2 ? 0 : p->n - 1; k-- > 0;)
		m[k] = k ? m[k] * m[k + 1] + u[k] : 0;
	*ret = m;
	return 0;
}

/* The last point at or before t, or -1. */
static int64_t point_before(const struct points *p, int64_t t)
{
	uint32_t lo = 0, hi = p->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (p->t[mid] <= t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (int64_t)lo - 1;
}

/* The value at t between points k and k + 1. */
static double between(const struct points *p, const double *m, uint32_t k, int64_t t)
{
	double h = time_apart(p->t[k], p->t[k + 1]), b = time_apart(p->t[k], t) / h, a = 1 - b;
	double linear = p->v[k] + (p->v[k + 1] - p->v[k]) * b;

	return m ? linear + ((a * a * a - a) * m[k] + (b * b * b - b) * m[k + 1]) * h * h / 6 : linear;
}

/* Append the value at t. */
static int add_at(struct fn_call *c, enum fill how, const struct points *p, const double *m, int64_t t,
		  uint32_t row, struct vec_builder *to, struct err *e)
{
	int64_t k = point_before(p, t);
	bool exact = k >= 0 && p->t[k] == t;

	if (how == LOCF)
		return k < 0 ? vb_add_null(to, e) : vb_add(to, &c->args[0].child->child[1], p->at[k], e);
	if (exact)
		return vb_add_f64(to, p->v[k], e);
	if (how == FILL)
		return vb_add_f64(to, arg_f64(c, 2, row), e);
	if (k < 0 || k + 1 >= p->n)
		return vb_add_null(to, e); /* no extrapolation */
	return vb_add_f64(to, between(p, m, (uint32_t)k, t), e);
}

static int cmp_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* One point for each instant asked for, in order of time. */
static int add_series(struct fn_call *c, enum fill how, const struct points *p, const double *m, uint32_t row,
		      struct vec_builder *b, struct err *e)
{
	struct vec_list l = arg_list(c, 1, row);
	const struct vec *stamps = c->args[1].child;
	int64_t *t = arena_array(c->arena, int64_t, MAX(l.len, 1));
	uint32_t n = 0;
	int rc = 0;

	if (!t)
		return func_no_memory(e);
	for (uint32_t k = l.off; k < l.off + l.len; k++)
		if (!vec_is_null(stamps, k))
			t[n++] = vec_base(stamps)->i64[vec_index(stamps, k)];
	qsort(t, n, sizeof(*t), cmp_i64);
	for (uint32_t k = 0; rc >= 0 && k < n; k++) {
		rc = vb_add_i64(vb_field(vb_elem(b), 0), t[k], e);
		if (rc >= 0)
			rc = add_at(c, how, p, m, t[k], row, vb_field(vb_elem(b), 1), e);
		if (rc >= 0)
			rc = vb_add_row(vb_elem(b), e);
	}
	return rc < 0 ? rc : vb_add_list(b, n, e);
}

static int interpolate(struct fn_call *c, struct vec *ret, enum fill how, struct err *e)
{
	bool is_series = c->ret_type->kind == TY_TIMESERIES;
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;
		double *m = NULL;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0 && how <= SPLINE)
			rc = points_distinct(&p, e);
		if (rc >= 0 && how == SPLINE)
			rc = spline_prepare(c->arena, &p, &m, e);
		if (rc >= 0)
			rc = is_series ? add_series(c, how, &p, m, i, &b, e)
				       : add_at(c, how, &p, m, arg_i64(c, 1, i), i, &b, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

#define INTERPOLATE(fn, how)                                                                       \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		return interpolate(c, ret, how, e);                                                \
	}
INTERPOLATE(interpolate_linear, LINEAR)
INTERPOLATE(interpolate_spline, SPLINE)
INTERPOLATE(interpolate_locf, LOCF)
INTERPOLATE(interpolate_fill, FILL)

/* ---- derivative, integral ----------------------------------------------------------------------- */

static int derivative(struct fn_call *c, struct vec *ret, bool non_negative, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;
		uint32_t n = 0;
		int64_t unit;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		unit = arg_i64(c, 1, i);
		if (unit <= 0)
			return err_set(e, -EINVAL, "the interval of a derivative must be positive");
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0)
			rc = points_distinct(&p, e);
		for (uint32_t k = 1; rc >= 0 && k < p.n; k++) {
			double d = (p.v[k] - p.v[k - 1]) / (time_apart(p.t[k - 1], p.t[k]) / (double)unit);

			if (non_negative && d < 0)
				continue;
			rc = add_point(&b, p.t[k], d, e);
			n++;
		}
		if (rc >= 0)
			rc = vb_add_list(&b, n, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int derivative_linear(struct fn_call *c, struct vec *ret, struct err *e)
{
	return derivative(c, ret, false, e);
}

static int derivative_non_negative(struct fn_call *c, struct vec *ret, struct err *e)
{
	return derivative(c, ret, true, e);
}

static int integral_trapezoidal(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		int64_t unit;
		struct points p;
		double sum = 0;

		if (!row_ok(c, i))
			continue;
		unit = c->argc > 1 ? arg_i64(c, 1, i) : NS_PER_S;
		if (unit <= 0)
			return err_set(e, -EINVAL, "the interval of an integral must be positive");
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0 && !p.n)
			rc = ret_set_null(c, ret, i, e);
		for (uint32_t k = 1; rc >= 0 && k < p.n; k++)
			sum += time_apart(p.t[k - 1], p.t[k]) / (double)unit * (p.v[k] + p.v[k - 1]) / 2;
		ret->f64[i] = sum;
	}
	return rc;
}

/* ---- correlation -------------------------------------------------------------------------------- */

static double pearson(const double *x, const double *y, uint32_t n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;

	if (n < 2)
		return (double)NAN;
	for (uint32_t k = 0; k < n; k++) {
		mx += x[k];
		my += y[k];
	}
	mx /= n;
	my /= n;
	for (uint32_t k = 0; k < n; k++) {
		xx += (x[k] - mx) * (x[k] - mx);
		yy += (y[k] - my) * (y[k] - my);
		xy += (x[k] - mx) * (y[k] - my);
	}
	if (xx == 0 || yy == 0)
		return (double)NAN;
	xy /= isnormal(xx * yy) ? sqrt(xx * yy) : sqrt(xx) * sqrt(yy);
	return xy > 1 ? 1 : xy < -1 ? -1 : xy;
}

static int by_value(const void *a, const void *b, void *values)
{
	const double *v = values;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return f64_less(v[x], v[y]) ? -1 : f64_less(v[y], v[x]);
}

/* Values become their ranks; equal ones share the mean of theirs. */
static int to_ranks(struct arena *a, struct points *p, struct err *e)
{
	uint32_t *order = arena_array(a, uint32_t, MAX(p->n, 1));
	double *rank = arena_array(a, double, MAX(p->n, 1));

	if (!order || !rank)
		return func_no_memory(e);
	for (uint32_t k = 0; k < p->n; k++)
		order[k] = k;
	qsort_r(order, p->n, sizeof(*order), by_value, p->v);
	for (uint32_t k = 0, end; k < p->n; k = end) {
		for (end = k + 1; end < p->n && !by_value(&order[k], &order[end], p->v); end++)
			;
		for (uint32_t j = k; j < end; j++)
			rank[order[j]] = (k + end - 1) / 2.0;
	}
	p->v = rank;
	return 0;
}

static int correlate(struct fn_call *c, struct vec *ret, bool ranks, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct points x, y;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = points_load(c, 0, i, &x, e);
		if (rc >= 0)
			rc = points_load(c, 1, i, &y, e);
		if (rc < 0)
			return rc;
		if (x.n != y.n || memcmp(x.t, y.t, x.n * sizeof(*x.t)) != 0)
			return err_set(e, -EINVAL, "both time series must have the same timestamps");
		if (ranks && (to_ranks(c->arena, &x, e) < 0 || to_ranks(c->arena, &y, e) < 0))
			return -ENOMEM;
		ret->f64[i] = pearson(x.v, y.v, x.n);
	}
	return 0;
}

static int correlate_pearson(struct fn_call *c, struct vec *ret, struct err *e)
{
	return correlate(c, ret, false, e);
}

static int correlate_spearman(struct fn_call *c, struct vec *ret, struct err *e)
{
	return correlate(c, ret, true, e);
}

/* ---- create_time_series ------------------------------------------------------------------------- */

struct building {
	struct vec_builder *rows; /* NULL: nothing yet */
};

static int building_start(struct agg_call *c, struct building *s, struct err *e)
{
	if (s->rows)
		return 0;
	s->rows = arena_new(c->arena, struct vec_builder);
	return s->rows ? vb_init(s->rows, c->ret_type->list_row, 4, c->arena, e) : func_no_memory(e);
}

static int add_pair(struct agg_call *c, struct vec_builder *rows, uint32_t i, struct err *e)
{
	int rc;

	if (!agg_ok(&c->args[0], i) || !agg_ok(&c->args[1], i))
		return err_set(e, -EINVAL, "create_time_series: the %s must not be NULL; leave such rows out with WHERE",
			       agg_ok(&c->args[0], i) ? "value" : "time");
	rc = vb_add(vb_field(rows, 0), &c->args[0], i, e);
	if (rc >= 0)
		rc = vb_add(vb_field(rows, 1), &c->args[1], i, e);
	return rc < 0 ? rc : vb_add_row(rows, e);
}

static int series_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	struct building *s = state;
	int rc;

	if (from == to)
		return 0;
	rc = building_start(c, s, e);
	if (rc >= 0 && agg_is_plain(&c->args[0]) && agg_is_plain(&c->args[1])) {
		struct vec fields[2];
		const struct vec rows = {.type = s->rows->type, .form = VEC_FLAT, .child = fields};

		for (int k = 0; k < 2 && rc >= 0; k++)
			rc = vec_slice(&c->args[k], from, c->arena, &fields[k], e);
		return rc < 0 ? rc : vb_add_many(s->rows, &rows, to - from, e);
	}
	for (uint32_t i = from; rc >= 0 && i < to; i++)
		rc = add_pair(c, s->rows, i, e);
	return rc;
}

static int series_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct building *a = into;
	const struct building *b = from;
	struct vec v;
	int rc;

	if (!b->rows)
		return 0;
	rc = building_start(c, a, e);
	vb_finish(b->rows, &v);
	for (uint32_t i = 0; rc >= 0 && i < b->rows->n; i++)
		rc = vb_add(a->rows, &v, i, e);
	return rc;
}

/* By time; rows of one time stay in order of input. */
static int by_time(const void *a, const void *b, void *times)
{
	const int64_t *t = times;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return t[x] != t[y] ? (t[x] > t[y]) - (t[x] < t[y]) : (x > y) - (x < y);
}

static int series_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct building *s = state;
	uint32_t *order, n = s->rows ? s->rows->n : 0;
	struct vec v;
	bool sorted = true;
	int rc = 0;

	if (!n)
		return vb_add_null(out, e);
	vb_finish(s->rows, &v);
	for (uint32_t i = 1; i < n; i++)
		sorted &= v.child[0].i64[i - 1] <= v.child[0].i64[i];
	if (sorted) {
		rc = vb_add_many(vb_elem(out), &v, n, e);
		return rc < 0 ? rc : vb_add_list(out, n, e);
	}
	order = malloc(n * sizeof(*order));
	if (!order)
		return func_no_memory(e);
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), by_time, v.child[0].i64);
	for (uint32_t i = 0; rc >= 0 && i < n; i++)
		rc = vb_add(vb_elem(out), &v, order[i], e);
	free(order);
	return rc < 0 ? rc : vb_add_list(out, n, e);
}

static const struct agg_def series_def = {sizeof(struct building), series_add, NULL, series_merge, series_finish, false};

/* Series of whole numbers and of doubles. */
#define INTERPOLATION(name, k, help)                                                                       \
	SCALAR(name, "timeseries(double), array(timestamp)", "timeseries(double)", k, help),               \
	SCALAR(name, "timeseries(bigint), array(timestamp)", "timeseries(double)", k, help),               \
	SCALAR(name, "timeseries(integer), array(timestamp)", "timeseries(double)", k, help),              \
	SCALAR(name, "timeseries(double), timestamp", "double", k, help),                                  \
	SCALAR(name, "timeseries(bigint), timestamp", "double", k, help),                                  \
	SCALAR(name, "timeseries(integer), timestamp", "double", k, help)
#define CORRELATION_OF(name, x, k, help)                                                                   \
	SCALAR(name, "timeseries(" x "), timeseries(double)", "double", k, help),                          \
	SCALAR(name, "timeseries(" x "), timeseries(bigint)", "double", k, help),                          \
	SCALAR(name, "timeseries(" x "), timeseries(integer)", "double", k, help)
#define CORRELATION(name, k, help)                                                                         \
	CORRELATION_OF(name, "double", k, help), CORRELATION_OF(name, "bigint", k, help),                  \
	CORRELATION_OF(name, "integer", k, help)

const struct func func_rows_series[] = {
	AGGREGATE("create_time_series", "timestamp, T", "timeseries(T)", &series_def,
		  "the values of a group by time; no NULLs"),
	INTERPOLATION("interpolate_linear", interpolate_linear, "values on the lines between the points"),
	INTERPOLATION("interpolate_spline_cubic", interpolate_spline, "values on the natural cubic spline"),
	SCALAR("interpolate_locf", "timeseries(T), array(timestamp)", "timeseries(T)", interpolate_locf,
	       "the last value before each instant"),
	SCALAR("interpolate_locf", "timeseries(T), timestamp", "T", interpolate_locf,
	       "the last value before the instant"),
	OF_NUMBERS("interpolate_fill", ", array(timestamp), double", "timeseries(double)", interpolate_fill,
		   "sampled values, else a constant"),
	OF_NUMBERS("interpolate_fill", ", timestamp, double", "double", interpolate_fill,
		   "the sampled value, else a constant"),
	OF_NUMBERS("derivative_linear", ", interval", "timeseries(double)", derivative_linear,
		   "the change from point to point per interval"),
	OF_NUMBERS("non_negative_derivative_linear", ", interval", "timeseries(double)", derivative_non_negative,
		   "the same without the points where it is negative"),
	OF_NUMBERS("integral_trapezoidal", "", "double", integral_trapezoidal, "the area, in seconds"),
	OF_NUMBERS("integral_trapezoidal", ", interval", "double", integral_trapezoidal,
		   "the area, in intervals"),
	CORRELATION("correlate_pearson", correlate_pearson, "correlation of two series with the same times"),
	CORRELATION("correlate_spearman", correlate_spearman, "rank correlation of two series"),
	FUNC_END,
};
