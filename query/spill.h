/*
 * spill: sorted runs of rows in a temporary file without a name, and their merge.
 *
 *	create, (begin_run, write...)..., merge, next..., destroy
 *
 * The file lies in $TMPDIR, or /var/tmp; it vanishes with its descriptor. Layout: spill.c.
 */
#ifndef TIDE_SPILL_H
#define TIDE_SPILL_H

#include "query/sort.h"

struct spill;

int spill_create(const struct exec_ctx *exec, const struct type *const *types, uint32_t col_count,
		 struct spill **ret, struct err *e) must_check; /* types: borrowed for its life */
void spill_destroy(struct spill *s); /* NULL is fine */

/* Batches of one run, in order. n <= VEC_ROWS. -ENOSPC, -EIO with a sentence. */
int spill_begin_run(struct spill *s, struct err *e) must_check;
int spill_write(struct spill *s, const struct vec *cols, uint32_t n, struct err *e) must_check;

/* Open all runs; equal rows come out run by run. */
int spill_merge(struct spill *s, const struct sorter *order, struct err *e) must_check;

/* The next rows, at most `want` <= VEC_ROWS, as FLAT columns in `a`: how many; 0: no more. */
int64_t spill_next(struct spill *s, uint32_t want, struct arena *a, struct vec *cols, struct err *e);
bool spill_is_done(const struct spill *s);

#endif
