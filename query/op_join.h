/*
 * op_join: what the join's files share: op_join.c (rows of both sides), op_join_half.c (rows of the left
 * side alone), op_join_narrow.c (what is known of streamed rows before they come), op_join_parts.c
 * (more rows than the memory takes).
 */
#ifndef TIDE_OP_JOIN_H
#define TIDE_OP_JOIN_H

#include "query/join_table.h"
#include "query/row_spool.h"

struct join_op {
	struct op base;
	bool is_built, is_done;
	bool is_left;  /* the left side is held, and the right one streamed */
	bool *looked;  /* by column of both sides: the condition looks at it */
	struct join_table table;
	/* plan.left_first: the left rows, read already, and their keys. */
	struct row_spool ahead;
	struct join_index ahead_keys;
	struct join_parts *parts; /* the held side is more than the memory takes; NULL: no */
	/* The streamed side's batch at hand. */
	bool has_in;
	struct vbatch in;
	struct arena probe; /* what was worked out of it */
	struct join_keys keys;
	uint32_t *key;     /* by row: its key's number in table.match, or GROUP_NONE */
	uint32_t row, at;  /* comes next: the row, and the match of it */
	uint32_t found;    /* matches of that row so far */
	uint32_t drained;  /* held rows looked at after the streamed ones */
};

/* 1: the next batch of the streamed side is there, and its keys are looked up; 0: there is no more. */
int join_pull(struct join_op *j, struct err *e) must_check;

/*
 * The condition over n pairs of a streamed and a held row: the pairs for which it is TRUE, as indexes into
 * sel; how many. Also as a vector, of n values, where ret is given (sel NULL).
 */
int64_t join_judge(struct join_op *j, const uint32_t *streamed, const uint32_t *held, uint32_t n, uint32_t *sel,
		   struct vec *ret, struct err *e);

/* The held side is complete, the streamed one has not begun, and rows of it without a match do not come. */
int join_narrow(struct join_op *j, struct err *e) must_check;

/* The left side has these keys: what the right side's scan need not read. */
int join_narrow_right(struct join_op *j, const struct row_store *keys, struct err *e) must_check;

/* Are streamed rows kept without a match? Can nothing come of them, whatever they are? */
bool join_keeps_streamed(const struct join_op *j);
bool join_is_over(const struct join_op *j);

/* The next batch of the streamed side alone is j->in: 1; 0: there is no more. */
int join_read_streamed(struct join_op *j, struct err *e) must_check;

/* The table is complete: the next batch of the join. */
int join_step(struct join_op *j, struct vbatch *ret, struct err *e) must_check;

/* ---- partitions (op_join_parts.c) ------------------------------------------------------------------ */

/* While rows are being held: is it time? What is held becomes partitions; more of it. */
bool join_parts_wanted(const struct join_op *j);
int join_parts_begin(struct join_op *j, struct err *e) must_check;
int join_parts_hold(struct join_op *j, const struct vbatch *in, struct err *e) must_check;
/* All is held: reads the other side, joins the partitions. Then the next batch of the result. */
int join_parts_run(struct join_op *j, struct err *e) must_check;
int join_parts_give(struct join_op *j, struct vbatch *ret, struct err *e) must_check;
void join_parts_release(struct join_op *j);

/* While partitions are being joined: streamed rows come from them, and rows have numbers. */
bool join_parts_ready(const struct join_op *j);
int join_parts_next(struct join_op *j, struct err *e) must_check;
int join_parts_number(struct join_op *j, const uint32_t *rows, uint32_t n, struct vec *ret, struct err *e) must_check;
int join_parts_held_number(struct join_op *j, const uint32_t *ids, uint32_t n, struct vec *ret, struct err *e) must_check;

/* SEMI, ANTI, MARK: the next batch. */
int join_half_next(struct join_op *j, struct vbatch *ret, struct err *e) must_check;

#endif
