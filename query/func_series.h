/*
 * func_series: what the files of time-series functions share: a series' points, and building one.
 */
#ifndef TIDE_FUNC_SERIES_H
#define TIDE_FUNC_SERIES_H

#include "query/func_list.h"

/* The points of one row that have a value; values as doubles, whatever number they are. */
struct points {
	uint32_t n;
	int64_t *t;
	double *v;
	uint32_t *at; /* their places in the child */
};

int points_load(struct fn_call *c, uint32_t arg, uint32_t i, struct points *p, struct err *e) must_check;
int points_distinct(const struct points *p, struct err *e) must_check; /* -EINVAL: two have the same time */
double time_apart(int64_t from, int64_t to);                           /* ns, of any two instants */

/* Add a point to the timeseries(double) that is being built; vb_add_list() closes it. */
int add_point(struct vec_builder *b, int64_t t, double v, struct err *e) must_check;

/* A row for each kind of number. */
#define OF_NUMBERS(name, rest, ret, k, help)                                                               \
	SCALAR(name, "timeseries(double)" rest, ret, k, help),                                             \
	SCALAR(name, "timeseries(bigint)" rest, ret, k, help),                                             \
	SCALAR(name, "timeseries(integer)" rest, ret, k, help)

#endif
