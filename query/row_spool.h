/*
 * row_spool: rows that are kept in order until all of them are known, and then read once: in memory
 * while they are few, else in an unnamed file (spill.h).
 */
#ifndef TIDE_ROW_SPOOL_H
#define TIDE_ROW_SPOOL_H

#include "query/row_store.h"
#include "query/spill.h"

struct row_spool {
	const struct exec_ctx *exec;
	const struct type *const *types;
	uint32_t col_count;
	size_t memory_max; /* bytes; beyond, rows go to the file */
	uint64_t n;        /* rows */
	struct row_store store;
	struct spill *spill; /* NULL: all rows are in the store */
	uint32_t at;         /* chunk of the store that comes next */
	bool is_reading;
};

/* types: col_count of them, borrowed for its life. */
int row_spool_init(struct row_spool *s, const struct exec_ctx *exec, const struct type *const *types,
		   uint32_t col_count, struct err *e) must_check;
void row_spool_release(struct row_spool *s); /* zeroed is fine */

/* The columns' first n <= VEC_ROWS rows, in any form. `a`: for the moment. */
int row_spool_add(struct row_spool *s, const struct vec *cols, uint32_t n, struct arena *a,
		  struct err *e) must_check;

/*
 * The next rows, as FLAT columns in `a` or lent by the spool until its end: how many; 0: no more. Once
 * it was called nothing may be added.
 */
int64_t row_spool_next(struct row_spool *s, struct arena *a, struct vec *cols, struct err *e);

#endif
