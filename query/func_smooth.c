/*
 * func_smooth: means over time series (extensions of tidefs): moving and exponentially weighted ones, which give a
 * series of the same times, and the time-weighted one, which gives a number. Points whose value is NULL are passed over.
 */
#include "query/func_series.h"

#include <math.h>

#define GROUP "Time series"

/* A kernel from a function of a series: int fn(call, row, points, values to fill, err). */
static int smooth(struct fn_call *c, struct vec *ret,
		  int (*fn)(struct fn_call *c, uint32_t i, const struct points *p, double *to, struct err *e),
		  struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;
		double *to;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		rc = points_load(c, 0, i, &p, e);
		if (rc < 0)
			return rc;
		to = arena_array(c->arena, double, MAX(p.n, 1));
		rc = to ? fn(c, i, &p, to, e) : func_no_memory(e);
		for (uint32_t k = 0; rc >= 0 && k < p.n; k++)
			rc = add_point(&b, p.t[k], to[k], e);
		if (rc >= 0)
			rc = vb_add_list(&b, p.n, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

#define SMOOTH(kernel, fn)                                                                         \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		return smooth(c, ret, fn, e);                                                      \
	}

/* ---- ewma ------------------------------------------------------------------------------------------- */

static int ewma_alpha_row(struct fn_call *c, uint32_t i, const struct points *p, double *to, struct err *e)
{
	double alpha = arg_f64(c, 1, i);

	if (!(alpha > 0 && alpha <= 1))
		return err_set(e, -EINVAL, "ewma: the weight of a new value must be above 0 and at most 1, not %g", alpha);
	for (uint32_t k = 0; k < p->n; k++)
		to[k] = k ? alpha * p->v[k] + (1 - alpha) * to[k - 1] : p->v[k];
	return 0;
}
SMOOTH(ewma_alpha, ewma_alpha_row)

/* What was before counts half after each half-life, however many points there are in it. */
static int ewma_half_life_row(struct fn_call *c, uint32_t i, const struct points *p, double *to, struct err *e)
{
	int64_t half_life = arg_i64(c, 1, i);

	if (half_life <= 0)
		return err_set(e, -EINVAL, "ewma: the half-life must be positive");
	for (uint32_t k = 0; k < p->n; k++) {
		double old = k ? exp2(-time_apart(p->t[k - 1], p->t[k]) / (double)half_life) : 0;

		to[k] = old > 0 ? (1 - old) * p->v[k] + old * to[k - 1] : p->v[k];
	}
	return 0;
}
SMOOTH(ewma_half_life, ewma_half_life_row)

/* ---- moving_avg ------------------------------------------------------------------------------------- */

/*
 * Sums of windows [from, to) whose ends only go forward. Nothing is ever subtracted, which would leave traces of what
 * has gone (a huge value's rounding, a NaN): a window is the sum of a tail of [start, mid), which tails hold, and of
 * the values since.
 */
struct window {
	const double *v;
	double *tails;  /* by place: the sum of [place, mid) */
	uint32_t from, mid, to;
	double since;   /* [mid, to) */
};

static void window_push(struct window *w)
{
	w->since += w->v[w->to++];
}

static void window_drop(struct window *w, uint32_t from)
{
	w->from = from;
	if (from < w->mid)
		return;
	w->since = 0;
	for (uint32_t k = w->to; k-- > from;)
		w->tails[k] = w->v[k] + (k + 1 < w->to ? w->tails[k + 1] : 0);
	w->mid = w->to;
}

static double window_mean(const struct window *w)
{
	return ((w->from < w->mid ? w->tails[w->from] : 0) + w->since) / (w->to - w->from);
}

static int window_init(struct window *w, struct fn_call *c, const struct points *p, struct err *e)
{
	*w = (struct window){.v = p->v, .tails = arena_array(c->arena, double, MAX(p->n, 1))};
	return w->tails ? 0 : func_no_memory(e);
}

static int moving_points_row(struct fn_call *c, uint32_t i, const struct points *p, double *to, struct err *e)
{
	int64_t n = arg_i64(c, 1, i);
	struct window w;
	int rc = window_init(&w, c, p, e);

	if (n < 1)
		return err_set(e, -EINVAL, "moving_avg: the number of points must be at least 1");
	for (uint32_t k = 0; rc >= 0 && k < p->n; k++) {
		window_push(&w);
		if (k >= n)
			window_drop(&w, k + 1 - (uint32_t)n);
		to[k] = window_mean(&w);
	}
	return rc;
}
SMOOTH(moving_points, moving_points_row)

/* Points of one time are all in each other's windows. */
static int moving_time_row(struct fn_call *c, uint32_t i, const struct points *p, double *to, struct err *e)
{
	int64_t span = arg_i64(c, 1, i);
	struct window w;
	int rc = window_init(&w, c, p, e);

	if (span <= 0)
		return err_set(e, -EINVAL, "moving_avg: the interval must be positive");
	for (uint32_t k = 0; rc >= 0 && k < p->n; k++) {
		uint32_t from = w.from;

		while (w.to < p->n && p->t[w.to] <= p->t[k])
			window_push(&w);
		while ((i128)p->t[k] - p->t[from] >= span)
			from++;
		if (from > w.from)
			window_drop(&w, from);
		to[k] = window_mean(&w);
	}
	return rc;
}
SMOOTH(moving_time, moving_time_row)

/* ---- time_weighted_avg ------------------------------------------------------------------------------ */

/* A value holds until the next point's time; the last one gives the end. */
static double time_weighted(const struct points *p)
{
	double total = time_apart(p->t[0], p->t[p->n - 1]), sum = 0;

	if (total == 0)
		return p->v[p->n - 1];
	for (uint32_t k = 0; k + 1 < p->n; k++) {
		double held = time_apart(p->t[k], p->t[k + 1]);

		if (held > 0)
			sum += p->v[k] * (held / total);
	}
	return sum;
}

static int time_weighted_avg(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;

		if (!row_ok(c, i))
			continue;
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0 && p.n)
			ret->f64[i] = time_weighted(&p);
		else if (rc >= 0)
			rc = ret_set_null(c, ret, i, e);
	}
	return rc;
}

static int cardinality(struct fn_call *c, struct vec *ret, struct err *e)
{
	(void)e;
	for (uint32_t i = 0; i < c->n; i++)
		ret->i64[i] = row_ok(c, i) ? arg_list(c, 0, i).len : 0;
	return 0;
}

const struct func func_rows_smooth[] = {
	OF_NUMBERS("ewma", ", double", "timeseries(double)", ewma_alpha,
		   "exponentially weighted mean: alpha times the value and 1 - alpha times the mean before"),
	OF_NUMBERS("ewma", ", interval", "timeseries(double)", ewma_half_life,
		   "exponentially weighted mean in which the past counts half after each half-life"),
	OF_NUMBERS("moving_avg", ", bigint", "timeseries(double)", moving_points,
		   "mean of each point and those before it, n in all; fewer at the beginning"),
	OF_NUMBERS("moving_avg", ", interval", "timeseries(double)", moving_time,
		   "mean of the points in (time - interval, time]"),
	OF_NUMBERS("time_weighted_avg", "", "double", time_weighted_avg,
		   "mean in which a value counts for as long as it holds, which is until the next point"),
	SCALAR("cardinality", "timeseries(T)", "bigint", cardinality, "the number of points"),
	FUNC_END,
};
