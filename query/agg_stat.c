/*
 * agg_stat: variance and its kin, skewness, covariance, correlation, linear regression.
 *
 * One pass, without the cancellation of sums of squares: Welford's update for a row, Chan's formula for
 * merging two states.
 */
#include "query/agg_impl.h"

#include <math.h>

#define GROUP "Aggregate"

/* ---- one variable ------------------------------------------------------------------------------- */

struct moments {
	double n, mean, m2, m3; /* m2, m3: sums of powers of the distance from the mean */
};

static int moments_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct moments m = *(struct moments *)state;

	for (uint32_t i = from; i < to; i++) {
		double x, delta, step, dm2;

		if (!agg_ok(v, i))
			continue;
		x = v->f64[agg_at(v, i)];
		m.n++;
		delta = x - m.mean;
		step = delta / m.n;
		m.mean += step;
		dm2 = delta * (x - m.mean);
		m.m3 += dm2 * step * (m.n - 2) - 3 * step * m.m2;
		m.m2 += dm2;
	}
	*(struct moments *)state = m;
	return 0;
}

static int moments_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct moments *a = into, r;
	const struct moments *b = from;
	double delta = b->mean - a->mean;

	if (!b->n)
		return 0;
	if (!a->n) {
		*a = *b;
		return 0;
	}
	r.n = a->n + b->n;
	r.mean = a->mean + delta * (b->n / r.n);
	r.m2 = a->m2 + b->m2 + delta * delta * a->n * b->n / r.n;
	r.m3 = a->m3 + b->m3 + delta * delta * delta * a->n * b->n * (a->n - b->n) / (r.n * r.n) +
	       3 * delta * (a->n * b->m2 - b->n * a->m2) / r.n;
	*a = r;
	return 0;
}

/* A value from n rows on, else NULL. */
#define FINISH(name, T, n_min, EXPR)                                                               \
	static int name##_finish(struct agg_call *c, void *state, struct vec_builder *out,         \
				 struct err *e)                                                    \
	{                                                                                          \
		const T *m = state;                                                                \
		return m->n < (n_min) ? vb_add_null(out, e) : vb_add_f64(out, (EXPR), e);          \
	}
#define MOMENTS(name, n_min, EXPR)                                                                 \
	FINISH(name, struct moments, n_min, EXPR)                                                  \
	static const struct agg_def name##_def = {sizeof(struct moments), moments_add, NULL,       \
						  moments_merge, name##_finish, false};
MOMENTS(var_pop, 1, m->m2 / m->n)
MOMENTS(var_samp, 2, m->m2 / (m->n - 1))
MOMENTS(stddev_pop, 1, sqrt(m->m2 / m->n))
MOMENTS(stddev_samp, 2, sqrt(m->m2 / (m->n - 1)))
MOMENTS(skewness, 3, sqrt(m->n) * m->m3 / pow(m->m2, 1.5))

/* ---- two variables ------------------------------------------------------------------------------ */

struct pair {
	double n, mean_x, mean_y, m2_x, m2_y, c2; /* c2: sum of the products of both distances */
};

/* The first argument is y, the dependent one. */
static int pair_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *vy = &c->args[0], *vx = &c->args[1];
	struct pair p = *(struct pair *)state;

	for (uint32_t i = from; i < to; i++) {
		double x, y, dx, dy;

		if (!agg_ok(vx, i) || !agg_ok(vy, i))
			continue;
		x = vx->f64[agg_at(vx, i)];
		y = vy->f64[agg_at(vy, i)];
		p.n++;
		dx = x - p.mean_x;
		dy = y - p.mean_y;
		p.mean_x += dx / p.n;
		p.mean_y += dy / p.n;
		p.c2 += dx * (y - p.mean_y);
		p.m2_x += dx * (x - p.mean_x);
		p.m2_y += dy * (y - p.mean_y);
	}
	*(struct pair *)state = p;
	return 0;
}

static int pair_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct pair *a = into, r;
	const struct pair *b = from;
	double dx = b->mean_x - a->mean_x, dy = b->mean_y - a->mean_y, w;

	if (!b->n)
		return 0;
	if (!a->n) {
		*a = *b;
		return 0;
	}
	r.n = a->n + b->n;
	w = a->n * b->n / r.n;
	r.mean_x = a->mean_x + dx * (b->n / r.n);
	r.mean_y = a->mean_y + dy * (b->n / r.n);
	r.c2 = a->c2 + b->c2 + dx * dy * w;
	r.m2_x = a->m2_x + b->m2_x + dx * dx * w;
	r.m2_y = a->m2_y + b->m2_y + dy * dy * w;
	*a = r;
	return 0;
}

#define PAIR_DEF(name)                                                                             \
	static const struct agg_def name##_def = {sizeof(struct pair), pair_add, NULL, pair_merge, \
						  name##_finish, false};
#define PAIR(name, n_min, EXPR)                                                                    \
	FINISH(name, struct pair, n_min, EXPR)                                                     \
	PAIR_DEF(name)
/* Where the formula divides by a spread of zero there is no answer. */
#define PAIR_FINITE(name, EXPR)                                                                    \
	static int name##_finish(struct agg_call *c, void *state, struct vec_builder *out,         \
				 struct err *e)                                                    \
	{                                                                                          \
		const struct pair *m = state;                                                      \
		double v = m->n ? (EXPR) : (double)NAN;                                            \
		return isfinite(v) ? vb_add_f64(out, v, e) : vb_add_null(out, e);                  \
	}                                                                                          \
	PAIR_DEF(name)

/* sqrt(a * b): one rounding less than two roots, where the product is in range. */
static double spread(double a, double b)
{
	double product = a * b;

	return isnormal(product) ? sqrt(product) : sqrt(a) * sqrt(b);
}

PAIR(covar_pop, 1, m->c2 / m->n)
PAIR(covar_samp, 2, m->c2 / (m->n - 1))
PAIR_FINITE(corr, m->c2 / spread(m->m2_x, m->m2_y))
PAIR_FINITE(regr_slope, m->c2 / m->m2_x)
PAIR_FINITE(regr_intercept, m->mean_y - m->c2 / m->m2_x * m->mean_x)

#define ONE(name, def, help) AGGREGATE(name, "double", "double", &def##_def, help)
#define TWO(name, help)      AGGREGATE(#name, "double, double", "double", &name##_def, help)

const struct func func_rows_agg_stat[] = {
	ONE("var_pop", var_pop, "population variance"),
	ONE("var_samp", var_samp, "sample variance; NULL for fewer than two values"),
	ONE("variance", var_samp, "sample variance; NULL for fewer than two values"),
	ONE("stddev_pop", stddev_pop, "population standard deviation"),
	ONE("stddev_samp", stddev_samp, "sample standard deviation; NULL for fewer than two values"),
	ONE("stddev", stddev_samp, "sample standard deviation; NULL for fewer than two values"),
	ONE("skewness", skewness, "skewness; NULL for fewer than three values"),
	TWO(covar_pop, "population covariance"),
	TWO(covar_samp, "sample covariance; NULL for fewer than two pairs"),
	TWO(corr, "correlation (Pearson); NULL where one side does not vary"),
	TWO(regr_slope, "slope of the line y over x; NULL where x does not vary"),
	TWO(regr_intercept, "where the line y over x meets the y axis"),
	FUNC_END,
};
