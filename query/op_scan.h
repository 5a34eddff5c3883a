/*
 * op_scan: what the scan's two files share: op_scan.c (rows) and op_scan_series.c (which series).
 */
#ifndef TIDE_OP_SCAN_H
#define TIDE_OP_SCAN_H

#include "engine/scan.h"
#include "query/op_narrow.h"

struct scan_dim {
	uint32_t col;    /* of the plan */
	uint32_t col_id; /* or SERIES_MEASURE */
	/* Code -> code in the batch at hand; an entry is good when its stamp is the batch's. */
	struct grow local, stamp;
	uint32_t code_n; /* entries there is room for */
};

/* Values of a dimension that matter to whoever reads (op_narrow.h). */
struct scan_allow {
	struct scan_allow *next;
	uint32_t col_id; /* or SERIES_MEASURE */
	uint32_t code_n;
	uint64_t *codes; /* bits */
};

struct scan_op {
	struct op base;
	bool is_started, is_done;
	struct exec_table *moment; /* until it has begun */
	int64_t t_lo, t_hi; /* the plan's, or narrower */
	struct scan_allow *allow;
	bool is_chosen; /* bits are what series_where leaves */
	struct series_set *series;
	struct scan *scan;
	struct grow bits;
	uint32_t series_n; /* bits in it */
	uint32_t *field_ids; /* columns the engine delivers... */
	uint32_t *field_col; /* ...and where they go */
	uint32_t field_n;
	struct scan_dim *dims;
	uint32_t dim_n;
	uint32_t stamp;
	uint64_t bytes_seen; /* of scan_stats, already counted */
	/* For the FILTER above: by the plan's columns, those that come with op_scan_take() alone; NULL: none. */
	bool *is_late, *is_early;
	bool *late_fields; /* the same by field */
	const struct scan_run *runs; /* of the batch at hand */
	uint32_t run_n;
};

static inline uint32_t scan_dim_code(const struct scan_op *s, uint32_t series_id, uint32_t col_id)
{
	return col_id == SERIES_MEASURE ? series_measure_code(s->series, series_id)
					: series_dim_code(s->series, series_id, col_id);
}

/* Dimensions as columns (wanted: by the plan's columns; NULL: all) of n rows that lie in runs. */
int scan_dim_vecs(struct scan_op *s, const struct scan_run *runs, uint32_t run_n, uint32_t n, const bool *wanted,
		  struct vec *cols, struct err *e) must_check;

/* The plan's series_where and s->allow, of the first series_n series, as s->bits. */
int scan_choose_series(struct scan_op *s, uint32_t series_n, struct err *e) must_check;

#endif
