/*
 * func_gapfill: regular series out of irregular ones (extensions of tidefs).
 *
 *	gapfill(s, i)            numbers: on the lines between the points, as double; else as gapfill_locf
 *	gapfill_locf(s, i)       the last value so far
 *	gapfill_fill(s, i, v)    v, which may be NULL, where there is no point
 *
 * The result has a point at every multiple of i, counted from 1970 as bin() does, that is neither before the first
 * point nor behind the last. So a series of bins keeps its bins and gets those that are missing, nothing is
 * extrapolated, and a series with no multiple between its ends becomes an empty one. Points whose value is NULL are
 * passed over. Of points of one time the last counts; on lines they are an error, as everywhere.
 */
#include "query/func_series.h"

#define GROUP "Time series"

#define POINTS_MAX (UINT32_C(1) << 20) /* of one series */

enum fill { LINEAR, LOCF, FILL };

/* The multiples of `step` in [from, to]: the first, and how many. */
static int multiples(int64_t from, int64_t to, int64_t step, int64_t *ret_first, uint32_t *ret_n, struct err *e)
{
	i128 first = (i128)from + (step - 1);
	i128 rest = first % step, n;

	first -= rest < 0 ? rest + step : rest;
	n = first > to ? 0 : ((i128)to - first) / step + 1;
	if (n > POINTS_MAX)
		return err_set(e, -EINVAL, "gapfill: an interval that small makes more than %u points of a series",
			       POINTS_MAX);
	*ret_first = (int64_t)first;
	*ret_n = (uint32_t)n;
	return 0;
}

/* The value at t, k being the last point at or before it. */
static int add_value(struct fn_call *c, enum fill how, const struct points *p, uint32_t k, int64_t t, uint32_t row,
		     struct vec_builder *to, struct err *e)
{
	double part;

	if (how == LOCF || (how == FILL && p->t[k] == t))
		return vb_add(to, &c->args[0].child->child[1], p->at[k], e);
	if (how == FILL)
		return vb_add(to, &c->args[2], row, e);
	if (p->t[k] == t)
		return vb_add_f64(to, p->v[k], e);
	part = time_apart(p->t[k], t) / time_apart(p->t[k], p->t[k + 1]);
	return vb_add_f64(to, p->v[k] + (p->v[k + 1] - p->v[k]) * part, e);
}

static int gapfill_row(struct fn_call *c, enum fill how, uint32_t i, struct vec_builder *b, struct err *e)
{
	int64_t step = arg_i64(c, 1, i), t = 0;
	uint32_t n = 0, k = 0;
	struct points p;
	int rc;

	if (step <= 0)
		return err_set(e, -EINVAL, "the interval of gapfill must be positive");
	rc = points_load(c, 0, i, &p, e);
	if (rc >= 0 && how == LINEAR)
		rc = points_distinct(&p, e);
	if (rc >= 0 && p.n)
		rc = multiples(p.t[0], p.t[p.n - 1], step, &t, &n, e);
	for (uint32_t j = 0; rc >= 0 && j < n; j++) {
		int64_t at = (int64_t)(t + (i128)step * j);

		while (k + 1 < p.n && p.t[k + 1] <= at)
			k++;
		rc = j % 4096 ? 0 : func_cancelled(c, e);
		if (rc >= 0)
			rc = vb_add_i64(vb_field(vb_elem(b), 0), at, e);
		if (rc >= 0)
			rc = add_value(c, how, &p, k, at, i, vb_field(vb_elem(b), 1), e);
		if (rc >= 0)
			rc = vb_add_row(vb_elem(b), e);
	}
	return rc < 0 ? rc : vb_add_list(b, n, e);
}

static int gapfill(struct fn_call *c, struct vec *ret, enum fill how, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		if (vec_is_null(&c->args[0], i) || vec_is_null(&c->args[1], i))
			rc = vb_add_null(&b, e);
		else
			rc = gapfill_row(c, how, i, &b, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

#define GAPFILL(fn, how)                                                                           \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		return gapfill(c, ret, how, e);                                                    \
	}
GAPFILL(gapfill_linear, LINEAR)
GAPFILL(gapfill_locf, LOCF)
GAPFILL(gapfill_fill, FILL)

const struct func func_rows_gapfill[] = {
	OF_NUMBERS("gapfill", ", interval", "timeseries(double)", gapfill_linear,
		   "a value at every multiple of the interval from the first point to the last, on the lines between them"),
	SCALAR("gapfill", "timeseries(T), interval", "timeseries(T)", gapfill_locf,
	       "the last value so far at every multiple of the interval from the first point to the last"),
	SCALAR("gapfill_locf", "timeseries(T), interval", "timeseries(T)", gapfill_locf,
	       "the last value so far at every multiple of the interval from the first point to the last"),
	SCALAR_F("gapfill_fill", "timeseries(T), interval, T", "timeseries(T)", gapfill_fill, FN_NULLS,
		 "the value at every multiple of the interval from the first point to the last, else a constant or NULL"),
	FUNC_END,
};
