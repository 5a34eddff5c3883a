/*
 * op: the operators' common shape. A tree of operators stands beside the read-only plan and holds
 * all state of one execution.
 *
 * Pull model: op_next() on the root asks its children. A batch belongs to the operator that gave it
 * and lasts until the next call of that operator; so each operator has an arena for the batch at
 * hand, which op_next() resets, and takes what must last longer from the query's arena or a heap of
 * its own that is drawn on the budget.
 *
 * Cancelling: op_next() looks once a batch; loops inside an operator that run longer than a batch
 * (sorting, merging, handing groups out) call exec_cancelled() themselves.
 */
#ifndef TIDE_OP_H
#define TIDE_OP_H

#include "engine/scan.h"
#include "query/plan.h"
#include "query/eval.h"

/*
 * A table that a statement reads: all scans of it see the same moment, that in which the first one began.
 * Pinned from there until the last one has begun, or is closed.
 */
struct exec_table {
	struct exec_table *next;
	const struct table *table;
	uint32_t scans, waiting; /* of the plan; of these, that have not begun */
	struct scan_pin *pin;
};

/* A part of a scan's rows: series that stand beside each other in file order, or times. */
struct exec_part {
	int64_t t_lo, t_hi;
	const uint64_t *series; /* bit set; NULL: all */
	uint32_t series_n;      /* bits in it */
	const struct scan_pin *pin;
};

struct pool;

/* One execution of one plan; one thread at a time. */
struct exec {
	struct exec_ctx ctx;
	struct arena *arena; /* the query's */
	_Atomic uint64_t rows_read, bytes_read; /* progress; read from any thread */
	/* Of this table only what was stored up to upto_seq is seen; NULL: all of every table. */
	const struct table *moment_of;
	uint64_t upto_seq;
	struct exec_table *tables;
	const struct working *working; /* of the recursive queries that are at work here */
	struct pool *pool; /* threads that may help; NULL: none */
	uint64_t part_rows; /* worth a part */
	uint64_t slice_rows; /* ORDER BY time begins with so many */
	/* Of a helper: the execution that it helps, and the part that is its scan's to read. */
	struct exec *leader;
	const struct exec_part *part;
};

/* The rows that a recursion's WORKING gives in this round: [from, to) of the store. */
struct row_store;
struct working {
	const struct working *next;
	uint32_t recursion;
	const struct row_store *rows;
	uint32_t from, to;
};

struct op;

/* What EXPLAIN ANALYZE counts of an operator, over all its executions where there are several (rounds). */
struct op_stats {
	uint64_t batches, rows; /* given */
	int64_t ns;             /* taken, with the operators below */
	struct scan_stats scan; /* SCAN */
	uint64_t series, series_wanted;
	struct op_stats *children; /* as many as the plan's node has */
};

/* As lines of EXPLAIN ANALYZE (explain_stats.c): of a node of the plan; of all of it, at its end. */
void op_stats_format(const struct op_stats *s, const struct plan *p, int indent, struct buf *out);
void op_stats_totals(const struct op_stats *s, const struct plan *p, size_t peak, struct buf *out);

struct op_class {
	const char *name;
	size_t size; /* of the operator's struct, which begins with struct op */
	/* After the children are open. Nothing is read from tables yet. */
	int (*open)(struct op *o, struct err *e);
	/* 1: *ret is the next batch, never empty; 0: no more. */
	int (*next)(struct op *o, struct vbatch *ret, struct err *e);
	void (*close)(struct op *o); /* also after a failed open; may be NULL */
	bool opens_children; /* it does so itself, by op_open_child() */
};

struct op {
	const struct op_class *cls;
	const struct plan *plan;
	struct exec *x;
	struct op **children;
	uint32_t child_count;
	struct arena batch; /* what the batch at hand consists of */
	struct op_stats *stats; /* NULL: nothing is counted */
};

/* Operators for the plan and all below it. On failure nothing is left open. */
int op_open(struct exec *x, const struct plan *p, struct op **ret, struct err *e) must_check;
/* Child i of an operator that is open, whose expressions so are prepared; x: the operator's, or one like it. */
int op_open_child(struct op *o, struct exec *x, uint32_t i, struct op **ret, struct err *e) must_check;
int op_next(struct op *o, struct vbatch *ret, struct err *e) must_check;
void op_close(struct op *o); /* NULL is fine */

/* -ECANCELED with its sentence once the statement was cancelled, else 0. */
int exec_cancelled(const struct exec *x, struct err *e) must_check;

extern const struct op_class op_scan_class, op_values_class, op_filter_class, op_project_class,
	op_agg_class, op_unnest_class, op_recursive_class, op_working_class, op_sort_class, op_limit_class,
	op_union_class, op_delete_class, op_insert_class, op_join_class, op_window_class, op_unload_class,
	op_analyze_class;

/* A batch of one row: what DELETE and INSERT give. */
int op_count_row(struct op *o, int64_t rows, struct vbatch *ret, struct err *e) must_check;

/* What is scanned later, perhaps several times, sees the moment of all others: kept until it is left. */
int op_moment_join(struct exec *x, const struct table *t, struct exec_table **ret, struct err *e) must_check;
void op_moment_leave(struct exec_table *t); /* NULL is fine */

/*
 * Cut a scan that has not begun into at most parts_max parts of part_rows rows or more, as far as can be told from
 * the numbers of rows in blocks and files. *ret: in the query's arena; *ret_n < 2: not worth it.
 */
int op_scan_parts(struct op *scan, uint64_t part_rows, uint32_t parts_max, struct exec_part **ret, uint32_t *ret_n,
		  struct err *e) must_check;

/*
 * The whole of what a scan that has not begun would read, as a part: at one moment, which is kept until that scan is
 * closed. 1: there may be rows; 0: there are none.
 */
int op_scan_whole(struct op *scan, struct exec_part *ret, struct err *e) must_check;

/*
 * For a FILTER over a scan that has not begun: of the scan's columns only those that `where` looks at come with its
 * batches; those in sel[0..n) that pass are taken with all columns. The batch lasts as one of the scan's.
 */
int op_scan_defer(struct op *scan, const struct bx *where, struct err *e) must_check;
int op_scan_take(struct op *scan, const struct vbatch *in, const uint32_t *sel, uint32_t n, struct vbatch *ret,
		 struct err *e) must_check;

/* A stretch of the part's times: see scan_stretch(). */
int op_scan_stretch(const struct op *scan, const struct exec_part *part, uint64_t rows, bool is_newest,
		    int64_t *ret_lo, int64_t *ret_hi);

/* The series that a scan which has begun looks at: a bit set of *ret_n bits, lent; NULL: all. */
const uint64_t *op_scan_series(const struct op *scan, uint32_t *ret_n);

/* ---- memory that grows -------------------------------------------------------------------------- */

/* An array that doubles, on the heap, drawn on a budget. Zero-initialised is empty. */
struct grow {
	void *data;
	size_t bytes; /* held */
};

/* At least `bytes`; new memory is zeroed. -ENOMEM: over the budget, nothing changed. */
int grow_to(struct grow *g, struct budget *b, size_t bytes) must_check;
void grow_release(struct grow *g, struct budget *b);

#endif
