/*
 * sort_slices: ORDER BY time over a table, a stretch of time after the other.
 *
 *	SORT time, ... -> (FILTER | PROJECT)... -> SCAN
 *	SORT minute, ... limit n -> (FILTER | PROJECT)... -> AGG by bin(time, 1m) AS minute, ... -> (FILTER | PROJECT)... -> SCAN
 *
 * Rows come from a scan series by series, so ORDER BY time has to see all of them before it knows the first. But
 * it can be asked to sort the rows of some hours, hand them out, and go on with the next: the first row is there
 * soon, memory is that of a stretch, and LIMIT reads no more than it needs. The child's operators are opened anew
 * for each stretch, over one moment of the table. How long a stretch is follows from the number of rows that
 * memory has room for; one that turns out to have more goes to files, as any sort does. Where the rows are groups of
 * minutes, a stretch has whole minutes, and the last five of them are there without looking at the rest.
 *
 * A page of a file that holds several stretches is decoded once for each. So where many are needed for a file's
 * rows, as where statements have little memory, this costs several times the reading, which is little beside
 * sorting and printing.
 */
#ifndef TIDE_SORT_SLICES_H
#define TIDE_SORT_SLICES_H

#include "query/op.h"

struct sort_slices {
	struct op *sort;  /* NULL: not in use */
	struct op *scan;  /* below it; never begins */
	struct exec x;    /* of the stretch at hand */
	struct arena arena;
	struct exec_part rest, part;
	struct op *child; /* of the stretch at hand */
	bool is_newest;   /* ORDER BY time DESC */
	int64_t width;    /* of the groups' times, from 1970 on; 1: none */
	uint64_t rows, rows_max; /* of a stretch */
};

/*
 * Is this a way for that sort? keep: how many rows will be asked for, UINT64_MAX: all. 1: yes; 0: no: all of the
 * child's rows are to be sorted at once.
 */
int sort_slices_open(struct sort_slices *s, struct op *sort, uint64_t keep, struct err *e) must_check;
void sort_slices_release(struct sort_slices *s); /* zeroed is fine */

/* 1: s->child gives the rows of the next stretch, which may be none; 0: no more. */
int sort_slices_next(struct sort_slices *s, struct err *e) must_check;

#endif
