/*
 * csv_out: rows as the CSV files of UNLOAD have them, which are not those of `query.csv`.
 *
 *	Time,stream   "Time,stream"      a delimiter or a line break: in quotes
 *	Time"stream   Time\"stream       quotes and the escape character itself are escaped
 *	Time\stream   Time\\stream
 *	array, row, timeseries           their JSON, in quotes: "[{\"time\":\"...Z\",\"value\":1.0}]"
 *	NULL          (nothing)
 *	empty text    ""
 */
#ifndef TIDE_CSV_OUT_H
#define TIDE_CSV_OUT_H

#include "query/format.h"
#include "query/unload.h"

struct csv_col {
	struct str name;
	const struct type *type;
	cell_fn *cell;
	bool is_bare; /* its values hold nothing special */
};

struct csv_out {
	char delimiter, escape;
	uint8_t special[256];
	struct csv_col *cols; /* the caller's arena */
	uint32_t col_n;
	struct cell_memo memo;
	struct buf text;
};

int csv_out_init(struct csv_out *c, const struct unload_spec *s, const struct plan_col *cols, uint32_t col_n,
		 struct arena *a, struct err *e) must_check;
void csv_out_release(struct csv_out *c);

/* Failures stick in out. */
void csv_out_header(struct csv_out *c, struct buf *out);
void csv_out_rows(struct csv_out *c, const struct vbatch *b, struct buf *out);

#endif
