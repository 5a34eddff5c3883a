/*
 * tile_write: what the files of the tile writer share.
 *
 *	tile_writer.c  rows in, paging, row groups, the life of the file
 *	tile_chunk.c   one column of one row group: which encoding, its pages
 *	tile_public.c  page index and footer, for other readers
 *
 * Rows gather in columns (struct wfield) until pages of a whole row group are cut; then each column
 * becomes a chunk, and rows that no page has yet move to the front. Dimensions are not rows but
 * segments: a series' stretch of rows with one dictionary code for each dimension.
 */
#ifndef TIDE_TILE_WRITE_H
#define TIDE_TILE_WRITE_H

#include <zstd.h>

#include "engine/tile_dict.h"
#include "engine/tile_index.h"

#define TILE_GROUP_BYTES ((size_t)128 << 20)
#define TILE_BOUND_LEN   64 /* bytes of a string's bound */

/* Bounds of a page for other readers. */
struct wbounds {
	bool has; /* lo and hi are set; false: all NULL, or not to be had */
	bool lo_exact, hi_exact;
	uint32_t nulls;
	union {
		int64_t i64;
		double f64;
	} lo, hi;
	struct str slo, shi; /* from w->keep */
};

/* A column that the file has, or may come to have. */
struct wcolumn {
	struct tile_column id;
	enum pq_type type;
	bool optional;
	bool on;              /* it has chunks from group `since` on */
	bool wanted;          /* a ts_ column: some value needs it */
	uint32_t since;
	struct tile_page_ref *pages; /* w->page_cap */
	struct wbounds *bounds;      /* w->page_cap */
	struct tile_chunk *chunks;   /* w->group_cap */
};

/* Values of a measure column in the open row group. */
struct wfield {
	bool used;      /* false: all NULL so far, whatever the buffers hold */
	void *data;     /* w->row_cap values, or NULL: never used */
	uint8_t *valid; /* w->row_cap; with data */
	struct tile_page_stats *stats; /* w->page_cap */
	uint32_t column; /* in w->columns */
	uint32_t nanos;  /* its ts_nanos_ column in w->columns, or UINT32_MAX */
};

struct wsegment {
	uint32_t row; /* where it begins in the group; it ends where the next one begins */
	uint32_t series;
};

struct tile_writer {
	const struct io *io;
	int dirfd, fd;
	char *path;
	const struct tile_spec *spec;

	/* the file so far */
	uint64_t flushed; /* bytes written; what follows is in `out` */
	struct buf out;
	uint64_t rows, value_count;
	uint32_t page_count, page_cap;
	uint32_t group_count, group_cap;
	uint32_t series_count, series_cap;
	uint64_t *page_row; /* page_cap + 1 */
	int64_t *page_t_min, *page_t_max;
	uint32_t *group_page; /* group_cap + 1 */
	struct tile_series *series;
	struct wcolumn *columns;
	uint32_t column_count;
	uint32_t time_nanos, version_column; /* in columns; all from time_nanos on are extras */
	uint32_t *extras;   /* columns that were needed, in the order in which they were */
	uint32_t extra_count;
	struct arena keep; /* bounds; lives as long as the writer */

	/* the open row group */
	uint32_t n, row_cap;
	uint32_t cut;       /* first row without a page */
	uint32_t group0;    /* first page of the group */
	int64_t *time;
	int64_t *version;   /* NULL: all the usual one so far */
	bool version_used;  /* some version of this group is not that */
	struct wfield *fields;
	size_t row_bytes;   /* of one row in the arrays above */
	struct wsegment *segments;
	uint32_t segment_count, segment_cap;
	uint32_t *codes;    /* [segment * (dim_count + 1) + dim]; the last one is measure_name */
	struct tile_dict *dicts; /* dim_count + 1 */
	struct arena strings;    /* of dicts and fields */

	/* the series that rows come for */
	bool has_series;    /* tile_writer_series was called */
	bool has_rows;      /* and rows followed */
	bool is_big;        /* its pages are its own */
	uint32_t series_row; /* its first row in the group (where !is_big) */
	uint32_t next_id;
	struct str next_measure;
	const struct str *next_dims;
	struct buf key_bytes; /* the identity of the series before, for the check of their order */
	struct str *key;      /* dim_count + 1 */

	/* scratch */
	ZSTD_CCtx *zstd;
	struct buf raw, best, packed;
	void *values; /* TILE_PAGE_ROWS_MAX of any type, valid ones together */
	int64_t *micros, *nanos;
	struct tile_dict field_dict;
	uint32_t *field_codes; /* row_cap */
};

/* Write the chunk of a column for the group of pages [page0, page1), rows [0, ...) of the buffers.
 * late: the buffers are gone; the column is a ts_ one and gets its constant. */
int tile_chunk_write(struct tile_writer *w, struct wcolumn *c, uint32_t group, bool late,
		     struct err *e) must_check;

/* Where the next byte goes. */
static inline uint64_t tile_writer_pos(const struct tile_writer *w)
{
	return w->flushed + w->out.len;
}

/* Give `out` to the disk when it is large (or `all` of it). */
int tile_writer_flush(struct tile_writer *w, bool all, struct err *e) must_check;
/* The version of rows that say nothing about it. */
static inline int64_t tile_usual_version(const struct tile_writer *w)
{
	return w->spec->rows_patch ? 0 : 1;
}

int tile_writer_nomem(const struct tile_writer *w, struct err *e);

/* Append page index, private index and footer for what `ix` says. */
int tile_public_write(struct tile_writer *w, struct tile_index *ix, struct arena *a,
		      struct err *e) must_check;

/* The same numbers for verify: what the bounds of a page or chunk look like in Parquet. */
bool tile_bound_cut(struct str s, bool is_max, struct arena *a, struct str *ret, bool *ret_exact);

#endif
