/*
 * func_counter: series that count (extensions of tidefs): requests served, bytes sent. A counter never falls but when
 * it starts anew, from 0; so where a value is below the one before, all of it has been added since.
 */
#include "query/func_series.h"

#define GROUP "Time series"

static int check_counter(const char *name, const struct points *p, struct err *e)
{
	for (uint32_t k = 0; k < p->n; k++)
		if (p->v[k] < 0)
			return err_set(e, -EINVAL, "%s: a counter is never negative, but the series has %g", name,
				       p->v[k]);
	return 0;
}

/* What was added between two points. */
static inline double added(double before, double now)
{
	return now < before ? now : now - before;
}

static int rate(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;
		double unit;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		unit = (double)arg_i64(c, 1, i);
		if (unit <= 0)
			return err_set(e, -EINVAL, "the interval of rate must be positive");
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0)
			rc = points_distinct(&p, e);
		if (rc >= 0)
			rc = check_counter("rate", &p, e);
		for (uint32_t k = 1; rc >= 0 && k < p.n; k++)
			rc = add_point(&b, p.t[k],
				       added(p.v[k - 1], p.v[k]) / (time_apart(p.t[k - 1], p.t[k]) / unit), e);
		if (rc >= 0)
			rc = vb_add_list(&b, p.n ? p.n - 1 : 0, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int increase_f64(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct points p;
		double sum = 0;

		if (!row_ok(c, i))
			continue;
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0)
			rc = check_counter("increase", &p, e);
		if (rc >= 0 && !p.n)
			rc = ret_set_null(c, ret, i, e);
		for (uint32_t k = 1; rc >= 0 && k < p.n; k++)
			sum += added(p.v[k - 1], p.v[k]);
		ret->f64[i] = sum;
	}
	return rc;
}

/* Whole numbers stay exact. */
static int increase_i64(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		const struct vec *value = &c->args[0].child->child[1];
		int64_t sum = 0, before = 0;
		struct points p;

		if (!row_ok(c, i))
			continue;
		rc = points_load(c, 0, i, &p, e);
		if (rc >= 0)
			rc = check_counter("increase", &p, e);
		if (rc >= 0 && !p.n)
			rc = ret_set_null(c, ret, i, e);
		for (uint32_t k = 0; rc >= 0 && k < p.n; k++) {
			int64_t now = vec_base(value)->i64[vec_index(value, p.at[k])];

			if (k && __builtin_add_overflow(sum, now < before ? now : now - before, &sum))
				return err_set(e, -EINVAL, "bigint overflow in increase()");
			before = now;
		}
		ret->i64[i] = sum;
	}
	return rc;
}

#define INCREASE "what a counter grew by from the first point to the last; where it falls it began anew at 0"

const struct func func_rows_counter[] = {
	OF_NUMBERS("rate", ", interval", "timeseries(double)", rate,
		   "what a counter grew by from point to point, per interval; where it falls it began anew at 0"),
	SCALAR("increase", "timeseries(double)", "double", increase_f64, INCREASE),
	SCALAR("increase", "timeseries(bigint)", "bigint", increase_i64, INCREASE),
	SCALAR("increase", "timeseries(integer)", "bigint", increase_i64, INCREASE),
	FUNC_END,
};
