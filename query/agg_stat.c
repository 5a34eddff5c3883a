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

/* ---- kurtosis: one power more, which the others need not pay for ---------------------------------- */

struct moments4 {
	struct moments m;
	double m4;
};

static int moments4_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct moments4 s = *(struct moments4 *)state;

	for (uint32_t i = from; i < to; i++) {
		double delta, step, n, dm2;

		if (!agg_ok(v, i))
			continue;
		n = ++s.m.n;
		delta = v->f64[agg_at(v, i)] - s.m.mean;
		step = delta / n;
		dm2 = delta * step * (n - 1);
		s.m4 += dm2 * step * step * (n * n - 3 * n + 3) + 6 * step * step * s.m.m2 - 4 * step * s.m.m3;
		s.m.m3 += dm2 * step * (n - 2) - 3 * step * s.m.m2;
		s.m.m2 += dm2;
		s.m.mean += step;
	}
	*(struct moments4 *)state = s;
	return 0;
}

static int moments4_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct moments4 *a = into;
	const struct moments4 *b = from;
	double na = a->m.n, nb = b->m.n, n = na + nb, d = b->m.mean - a->m.mean, m4;

	if (!nb || !na) {
		if (nb)
			*a = *b;
		return 0;
	}
	m4 = a->m4 + b->m4 + d * d * d * d * na * nb * (na * na - na * nb + nb * nb) / (n * n * n) +
	     6 * d * d * (na * na * b->m.m2 + nb * nb * a->m.m2) / (n * n) + 4 * d * (na * b->m.m3 - nb * a->m.m3) / n;
	a->m4 = m4;
	return moments_merge(c, &a->m, &b->m, e);
}

/* Excess kurtosis, unbiased; 0/0, and so NaN, where nothing varies. */
static int kurtosis_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct moments4 *s = state;
	double n = s->m.n, m2 = s->m.m2;

	if (n < 4)
		return vb_add_null(out, e);
	return vb_add_f64(out, (n - 1) * n * (n + 1) / ((n - 2) * (n - 3)) * s->m4 / (m2 * m2) -
			       3 * ((n - 1) * (n - 1)) / ((n - 2) * (n - 3)), e);
}

static const struct agg_def kurtosis_def = {sizeof(struct moments4), moments4_add, NULL, moments4_merge,
					    kurtosis_finish, false};

/* ---- entropy: of counts c, sum(c / S * log2(S / c)) = log2(S) - sum(c * log2(c)) / S --------------- */

struct entropy {
	double n, sum, weighted; /* weighted: of c * log2(c) */
};

static int entropy_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct entropy *s = state;

	for (uint32_t i = from; i < to; i++) {
		double x;

		if (!agg_ok(v, i))
			continue;
		x = v->f64[agg_at(v, i)];
		if (!(x >= 0))
			return err_set(e, -EINVAL, "entropy: a count must not be negative, but is %g", x);
		s->n++;
		s->sum += x;
		s->weighted += x > 0 ? x * log2(x) : 0;
	}
	return 0;
}

static int entropy_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct entropy *a = into;
	const struct entropy *b = from;

	a->n += b->n;
	a->sum += b->sum;
	a->weighted += b->weighted;
	return 0;
}

static int entropy_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct entropy *s = state;
	double v = s->sum > 0 ? log2(s->sum) - s->weighted / s->sum : 0;

	return s->n ? vb_add_f64(out, MAX(v, 0), e) : vb_add_null(out, e);
}

static const struct agg_def entropy_def = {sizeof(struct entropy), entropy_add, NULL, entropy_merge, entropy_finish, false};

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

PAIR(regr_avgx, 1, m->mean_x)
PAIR(regr_avgy, 1, m->mean_y)
PAIR(regr_sxx, 1, m->m2_x)
PAIR(regr_sxy, 1, m->c2)
PAIR(regr_syy, 1, m->m2_y)

/* How much of y's variance the line explains: all of it where y does not vary; NULL where x does not. */
static int regr_r2_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct pair *m = state;
	double num, den;

	if (!m->n || m->m2_x == 0)
		return vb_add_null(out, e);
	if (m->m2_y == 0)
		return vb_add_f64(out, 1, e);
	num = m->c2 * m->c2;
	den = m->m2_x * m->m2_y;
	return vb_add_f64(out, isnormal(num) && isnormal(den) ? num / den : m->c2 / m->m2_x * (m->c2 / m->m2_y), e);
}
PAIR_DEF(regr_r2)

static int regr_count_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return vb_add_i64(out, (int64_t)((const struct pair *)state)->n, e);
}
PAIR_DEF(regr_count)

#define ONE(name, def, help) AGGREGATE(name, "double", "double", &def##_def, help)
#define TWO(name, help)      AGGREGATE(#name, "double, double", "double", &name##_def, help)

const struct func func_rows_agg_stat[] = {
	ONE("var_pop", var_pop, "population variance"),
	ONE("var_samp", var_samp, "sample variance; NULL for fewer than two values"),
	ONE("variance", var_samp, "sample variance; NULL for fewer than two values"),
	ONE("stddev_pop", stddev_pop, "population standard deviation"),
	ONE("stddev_samp", stddev_samp, "sample standard deviation; NULL for fewer than two values"),
	ONE("stddev", stddev_samp, "sample standard deviation; NULL for fewer than two values"),
	ONE("skewness", skewness, "skewness of the population; NULL for fewer than three values"),
	TWO(covar_pop, "population covariance"),
	TWO(covar_samp, "sample covariance; NULL for fewer than two pairs"),
	TWO(corr, "correlation (Pearson); NULL where one side does not vary"),
	TWO(regr_slope, "slope of the line y over x; NULL where x does not vary"),
	TWO(regr_intercept, "where the line y over x meets the y axis; NULL where x does not vary"),
	ONE("kurtosis", kurtosis, "excess kurtosis, unbiased; NULL for fewer than four values, NaN where none varies"),
	ONE("entropy", entropy, "of counts: bits needed to tell which was counted; a negative one is an error"),
	TWO(regr_avgx, "mean of x over the pairs of which neither is NULL"),
	TWO(regr_avgy, "mean of y over the pairs of which neither is NULL"),
	AGGREGATE("regr_count", "double, double", "bigint", &regr_count_def,
		  "the number of pairs of which neither is NULL"),
	TWO(regr_r2, "share of the variance of y that the line y over x explains; NULL where x does not vary"),
	TWO(regr_sxx, "sum of the squared distances of x from its mean"),
	TWO(regr_sxy, "sum of the products of the distances of x and y from their means"),
	TWO(regr_syy, "sum of the squared distances of y from its mean"),
	FUNC_END,
};
