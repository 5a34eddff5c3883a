/*
 * join_table: the held side of a join: its rows, and its keys in an index. Private to op_join*.c.
 */
#ifndef TIDE_JOIN_TABLE_H
#define TIDE_JOIN_TABLE_H

#include "query/join_index.h"

#define JOIN_NO_ROW UINT32_MAX

/* The keys of one side of a join, over a batch of it. */
struct join_keys {
	const struct plan *plan;
	bool is_left;
	struct vec *v;
	/* Rows whose keys could equal something; by key: NULL and NaN do not. */
	uint32_t *usable;
	uint32_t usable_n;
};

/* In `a`. count: how many of the plan's keys. */
int join_keys_of(const struct exec *x, const struct plan *p, bool is_left, uint32_t count, const struct vbatch *in,
		 struct arena *a, struct join_keys *ret, struct err *e) must_check;

/* Keys that cannot fail. */
uint32_t join_sure_keys(const struct plan *p);

struct join_table {
	const struct exec *x;
	const struct plan *plan; /* the JOIN */
	bool is_left;            /* which side is held */
	uint32_t key_n;          /* keys in use: the plan's; once a lazy one failed, those in front of them */
	const struct type **key_types;
	bool is_complete;
	bool has_rows;           /* false: only keys are, as nobody looks at the rows */
	bool all_rows;           /* rows whose keys equal nothing are held, too */
	struct row_store rows;   /* the side's columns; MARK with is_in: then what is compared; or a number */
	uint64_t row_n;          /* that came, held or not */
	struct join_index match; /* by the keys in use */
	/* MARK with is_in, by the other keys: all rows; rows for which the comparison may be unknown. */
	struct join_index all, unknown;
	bool has_is_in;
	struct grow matched; /* a byte a row: somebody matched it */
};

/* has_number: rows come with one column more, a bigint. */
int join_table_init(struct join_table *t, const struct exec *x, const struct plan *p, bool is_left, bool has_number,
		    struct err *e) must_check;
void join_table_release(struct join_table *t); /* zeroed is fine */

int join_table_add(struct join_table *t, const struct vbatch *in, struct arena *a, struct err *e) must_check;
int join_table_finish(struct join_table *t, struct err *e) must_check;

/*
 * The keys in use of a batch of either side. Where one fails that is lazy, the table does without such from
 * now on: rows are then found by the others, and the condition fails for those that it is asked of.
 */
int join_table_keys(struct join_table *t, bool is_left, const struct vbatch *in, struct arena *a,
		    struct join_keys *ret, struct err *e) must_check;

/*
 * Rows ids[0..n) of column col, in `a`; JOIN_NO_ROW gives NULL. Neighbours and single rows are lent without
 * a copy, and texts of a small table as a dictionary.
 */
int join_table_column(const struct join_table *t, uint32_t col, const uint32_t *ids, uint32_t n, struct arena *a,
		      struct vec *ret, struct err *e) must_check;

#endif
