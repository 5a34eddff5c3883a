/*
 * agg_parallel: GROUP BY over a table by several threads.
 *
 *	AGG -> (FILTER | PROJECT)... -> SCAN
 *
 * The series that the scan wants are cut, in the order in which it would read them, into parts. Each thread takes
 * the next part, runs operators of its own over it into a table of its own, and the tables are merged in the
 * order of the parts. So groups appear in the order in which one thread would have met them, an error is that
 * of the first row that fails, and only aggregates take part to which it makes no difference how their rows were
 * divided (agg_def.is_divisible).
 *
 * A thread goes at most a few parts ahead of those that are merged, so that tables do not pile up.
 */
#ifndef TIDE_AGG_PARALLEL_H
#define TIDE_AGG_PARALLEL_H

#include "query/agg_table.h"

struct agg_worker;

/* What the states of the merged table may point to. Zeroed is empty. */
struct agg_parallel {
	struct agg_worker *workers;
	uint32_t worker_n;
};

/* 1: all rows of agg's child are in `into`; 0: not worth it, nothing was done. */
int agg_parallel_run(struct agg_parallel *p, struct op *agg, struct agg_table *into, struct err *e) must_check;
void agg_parallel_release(struct agg_parallel *p);

#endif
