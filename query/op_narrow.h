/*
 * op_narrow: what a join knows of the rows it wants, told to the operators below before they begin.
 *
 * A narrowing names values that an expression over the operator's columns must have. Rows for which it has
 * others do not matter: they may be left out, come, or come with other columns' values wrong (a group that
 * lost some of its rows), as whoever narrowed drops them. It goes down to scans, which then read fewer series
 * and a shorter time range; what stands in its way ends it, and nothing is lost.
 */
#ifndef TIDE_OP_NARROW_H
#define TIDE_OP_NARROW_H

#include "query/row_store.h"

struct narrowing {
	/* Integers, times: within [lo, hi]; lo > hi: nothing matters. */
	bool is_range;
	int64_t lo, hi;
	/* Texts: the values of a column of these rows. */
	const struct row_store *values;
	uint32_t col;
};

/* x: over o's columns, of which the first is number `first`. o may be NULL: it is done already. */
int op_narrow(struct op *o, const struct bx *x, uint32_t first, const struct narrowing *n, struct err *e) must_check;

/* A scan that has not begun: its column (op_scan_series.c). */
int op_scan_narrow(struct op *scan, uint32_t col, const struct narrowing *n, struct err *e) must_check;

#endif
