/*
 * agg_table: groups of an AGG node and the states of their aggregates. Groups are numbered in order of first
 * appearance: the same rows give the same text.
 *
 *	open, add..., [merge...,] end, take..., release
 *
 * Parts of the input may be taken into tables of their own, by several threads, and merged in the order in which
 * the parts follow each other: then groups have the numbers that they would have had in one table.
 */
#ifndef TIDE_AGG_TABLE_H
#define TIDE_AGG_TABLE_H

#include "query/groups.h"

struct agg;

struct agg_table {
	struct exec *x; /* NULL: not open */
	const struct plan *plan;
	struct arena *batch; /* scratch; whoever adds resets it between batches */
	struct groups groups;
	struct agg *aggs;
};

/* x and batch: borrowed until release. Release also after a failed open; zeroed is fine. */
int agg_table_open(struct agg_table *t, struct exec *x, const struct plan *p, struct arena *batch,
		   struct err *e) must_check;
void agg_table_release(struct agg_table *t);

int agg_table_add(struct agg_table *t, const struct vbatch *in, struct err *e) must_check;

/*
 * All groups of `from`, whose rows came after those of t. t's states may point to memory of from->x's arena
 * afterwards. Not with DISTINCT or ORDER BY in an aggregate.
 */
int agg_table_merge(struct agg_table *t, const struct agg_table *from, struct err *e) must_check;

/* No more rows. Without GROUP BY there is one group, also of nothing. */
int agg_table_end(struct agg_table *t, struct err *e) must_check;

/* 1: groups [from, from + ret->n) as rows, in `to`, at most VEC_ROWS; from: a multiple of that. 0: no more. */
int agg_table_take(struct agg_table *t, uint32_t from, struct arena *to, struct vbatch *ret,
		   struct err *e) must_check;

#endif
