/*
 * agg_order: rows of an aggregate with ORDER BY inside it, kept until all of them are there.
 *
 * array_agg(x ORDER BY y) and listagg(x) WITHIN GROUP (ORDER BY y) depend on the order in which rows
 * come in. So (group, keys, arguments) of the rows that FILTER and DISTINCT let through are put aside,
 * sorted by group and keys when the input has ended, and only then given to the aggregate, a group
 * as a range. Rows with equal keys keep the order in which they came.
 *
 * Memory is that of the rows, within the statement's budget.
 */
#ifndef TIDE_AGG_ORDER_H
#define TIDE_AGG_ORDER_H

#include "query/row_store.h"

struct agg_order {
	struct exec *x; /* NULL: not open */
	const struct plan_agg *plan;
	struct row_store rows; /* the group, the keys, arguments that are no constants */
};

int agg_order_open(struct agg_order *o, struct exec *x, const struct plan_agg *p, struct err *e) must_check;
void agg_order_release(struct agg_order *o);

/* n rows; by row its group. keys and args may have any form. tmp: until the next call. */
int agg_order_add(struct agg_order *o, const uint32_t *group, const struct vec *keys, const struct vec *args,
		  uint32_t n, struct arena *tmp, struct err *e) must_check;

/* All of them into the states, group g's at states + g * stride. tmp is reset. */
int agg_order_run(struct agg_order *o, struct agg_call *call, char *states, size_t stride, struct arena *tmp,
		  struct err *e) must_check;

#endif
