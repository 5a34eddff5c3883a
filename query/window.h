/*
 * window: window functions over rows that come sorted; private to op_window.c and window_*.c.
 *
 * op_window.c holds a stretch of rows in a row_store: as many whole partitions as fill a batch, or, where
 * all functions are content with it, less than a partition (see window_reach). It hands them out batch by
 * batch; for each batch and each partition in it, every function gives its values of a range of rows.
 *
 *	rows    |......|...|........................|...|     parts: [at, end) of the store
 *	peers   |.|..|.|...|....|.|.................|.|.|     rows with equal order keys
 *
 * Rows are known by their number in the store throughout. A frame is a range [from, to) of it, empty where
 * from >= to. What lies before a part that began in an earlier stretch is a number (part.before); a frame
 * that begins there begins at part.at, and only a running aggregate, which has seen those rows, may have one.
 */
#ifndef TIDE_WINDOW_H
#define TIDE_WINDOW_H

#include "query/func.h"
#include "query/row_store.h"

struct window_part {
	uint32_t at, end;
	uint32_t peers_at;     /* number of the first peer group */
	uint32_t peers_end;
	uint64_t before;       /* rows of the partition that are held no more */
	uint64_t peers_before; /* peer groups, likewise */
};

struct window_rows {
	const struct exec *x;
	const struct plan *plan;
	struct row_store store;
	struct window_part *parts;
	uint32_t part_n;
	uint32_t *peer_of; /* by row: its peer group's number */
	uint32_t *peer_at; /* by group: its first row; one more: the end */
	struct grow part_array, peer_of_array, peer_at_array;
};

/* How much of its partition must be at hand before a row's value can be told. */
enum window_reach {
	REACH_ROW,   /* what came before, in some state */
	REACH_PEERS, /* that, and the row's peers */
	REACH_ALL,
};

/* ---- frames (window_frame.c) -------------------------------------------------------------------- */

struct window_range {
	uint32_t from, to;
};

/* The frames of rows [from, to) of a part, into ret. Positions of errors are those of the offsets. */
int window_frames(const struct window_rows *w, const struct window_part *part, const struct plan_window *f,
		  uint32_t from, uint32_t to, struct window_range *ret, struct err *e) must_check;
enum window_reach window_frame_reach(const struct plan_window *f);

/* ---- functions (window_fn.c) ----------------------------------------------------------------------- */

/*
 * Rows of the stretch that count under IGNORE NULLS: rows[rank[r]] is the first such row from r on.
 * rank has an entry a row and one more, the end's, which is how many there are.
 */
struct window_picks {
	uint32_t *rank, *rows;
	struct grow rank_array, row_array;
	bool is_made;
};

struct window_call {
	const struct window_rows *w;
	const struct window_part *part;
	const struct plan_window *plan;
	const struct window_range *frames; /* of the rows asked for; NULL unless the function looks at them */
	const struct window_picks *picks;  /* NULL: every row counts */
};

struct window_def {
	/* Adds the values of rows [from, to). */
	int (*eval)(struct window_call *c, uint32_t from, uint32_t to, struct vec_builder *out, struct err *e);
	enum window_reach reach;
	bool has_frame; /* looks at the frame; others ignore it */
};

int window_picks_make(struct window_picks *p, const struct window_rows *w, const struct bx *x,
		      struct err *e) must_check;
void window_picks_release(struct window_picks *p, struct budget *b);

/* ---- aggregates (window_agg.c) ----------------------------------------------------------------------- */

struct window_agg;

int window_agg_create(const struct window_rows *w, const struct plan_window *p, struct window_agg **ret,
		      struct err *e) must_check; /* in the query's arena */
void window_agg_release(struct window_agg *a); /* NULL is fine */

/* A new stretch is in the store. */
void window_agg_stretch(struct window_agg *a);

/*
 * Adds the values of rows [from, to) of a part to out, but one for all neighbours with the same frame:
 * codes[i] is the number in out of row from + i's.
 */
int window_agg_eval(struct window_agg *a, const struct window_part *part, const struct window_range *frames,
		    uint32_t from, uint32_t to, struct arena *batch, struct vec_builder *out, uint32_t *codes,
		    struct err *e) must_check;

/* ---- small things -------------------------------------------------------------------------------------- */

/* Argument or offset x (a column or a constant) in row r: the vector, and where in it. */
static inline const struct vec *window_arg(const struct window_rows *w, const struct bx *x, uint32_t r,
					   uint32_t *ret_at)
{
	if (x->kind == BX_CONST) {
		*ret_at = 0;
		return &x->value;
	}
	*ret_at = row_store_at(r);
	return row_store_vec(&w->store, r, x->index);
}

int window_fail(const struct plan_window *f, int rc, struct err *e); /* puts the call's position in front */

#endif
