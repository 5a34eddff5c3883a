/*
 * parquet_out: rows of a result as a Parquet file, nested types included.
 *
 *	boolean, double, varchar    BOOLEAN, DOUBLE, BYTE_ARRAY (UTF8)
 *	integer, bigint, date       INT32, INT64, INT32 (DATE)
 *	timestamp                   INT96: nanoseconds of the day and the Julian day; or INT64 (TIMESTAMP)
 *	intervals, time             BYTE_ARRAY (UTF8): their text
 *	array(T)                    LIST of T
 *	row(...)                    a group; a field without a name is field0, field1, ...
 *	timeseries(T)               LIST of a group of time and value
 *
 * All of them may be NULL. An output name that was there before gets _2, _3, ...
 *
 * Bytes go to a sink, in order: a file needs no seeking. Rows are held, encoded and compressed, until
 * they make a row group. Several files may be under way (one a partition of UNLOAD): what they hold is
 * asked for with parquet_out_held(), and parquet_out_end_group() makes one let go of it.
 */
#ifndef TIDE_PARQUET_OUT_H
#define TIDE_PARQUET_OUT_H

#include "engine/parquet/parquet.h"
#include "query/query.h"

/* Where the bytes go. */
struct out_sink {
	int (*write)(void *ctx, const void *p, size_t n, struct err *e);
	void *ctx;
};

/* Turns pages into their stored form; shared by files of one thread. */
struct page_coder;
int page_coder_create(enum pq_codec codec, struct budget *b, struct page_coder **ret, struct err *e) must_check;
void page_coder_destroy(struct page_coder *c); /* NULL is fine */

struct parquet_out;

struct parquet_spec {
	const struct query_col *cols;
	uint32_t col_count;
	/*
	 * Timestamps as INT64 nanoseconds, which DuckDB and Arrow read whole and Spark not at all; else INT96,
	 * which all read, DuckDB to the microsecond.
	 */
	bool has_nanos;
	uint64_t group_bytes; /* of a row group in the file, about */
	struct page_coder *coder;
	struct budget *budget;
	struct out_sink sink;
};

/* What the spec points to is borrowed for its life. -EINVAL: a type that a file cannot have. */
int parquet_out_create(const struct parquet_spec *s, struct parquet_out **ret, struct err *e) must_check;
void parquet_out_destroy(struct parquet_out *p); /* NULL is fine */

/* Columns of the batch behind the file's are left out. */
int parquet_out_rows(struct parquet_out *p, const struct vbatch *b, struct err *e) must_check;
size_t parquet_out_held(const struct parquet_out *p);     /* bytes of memory */
uint64_t parquet_out_bytes(const struct parquet_out *p);  /* of the file, with what is still held */
int parquet_out_end_group(struct parquet_out *p, struct err *e) must_check;
int parquet_out_finish(struct parquet_out *p, struct err *e) must_check; /* the footer; then destroy */

#endif
