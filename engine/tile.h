/*
 * tile: one immutable file of sorted rows, in Parquet (docs/format-tile.md).
 *
 * A run (what sealing writes, internal) and a tile (what is published under magnetic/) are the same
 * kind of file; only the codec differs. Rows are sorted by series (dimensions by column-name bytes
 * with NULL first, then measure_name) and, inside a series, strictly ascending by time: a file never
 * holds one identity twice. Series are known by the table's dense ids, which the private index maps
 * to row ranges; dimension and measure_name columns are written for other readers and are not
 * decoded on the query path.
 */
#ifndef TIDE_TILE_H
#define TIDE_TILE_H

#include "engine/column.h"
#include "engine/io.h"

#define TILE_PAGE_ROWS_MAX  16384
#define TILE_PAGE_SHARED    8192   /* pages of several series have at most so many */
#define TILE_GROUP_ROWS     131072 /* a row group is closed at the first page boundary past this, unless told otherwise */
#define TILE_SERIES_OWN_PAGE 2048  /* a series with that many rows starts a page of its own */
#define TILE_FORMAT_VERSION 1

enum tile_codec {
	TILE_CODEC_NONE, /* runs: cheap to write, cheap to read */
	TILE_CODEC_ZSTD, /* tiles */
};

struct tile_field {
	struct str name;
	uint32_t col_id; /* the table's column id; stored in the private index */
	enum coltype type;
};

struct tile_spec {
	uint8_t table_uuid[16];
	uint64_t seq_lo, seq_hi; /* acknowledged batches covered */
	uint64_t generation;
	enum tile_codec codec;
	const struct tile_field *fields; /* measure columns, in table order; the whole schema */
	uint32_t field_count;
	const struct str *dims; /* dimension column names, sorted by bytes */
	uint32_t dim_count;
	bool rows_patch; /* rows without a version patch (0): runs. Else their version is 1: tiles */
	bool is_compact; /* also encodings that few readers know: ALP */
	uint32_t group_rows; /* instead of TILE_GROUP_ROWS; 0: that. The writer holds as many */
	bool all_multi; /* reserved for single-measure rows; false writes nothing about it */
};

/* ---- writing: one thread ---------------------------------------------------------------- */

struct tile_writer;

/* Creates `path` below dirfd (O_EXCL). All memory of spec is borrowed until finish or abort. */
int tile_writer_create(const struct io *io, int dirfd, const char *path,
		       const struct tile_spec *spec, struct tile_writer **ret, struct err *e) must_check;

/*
 * Begin the next series. Series come in file order (the writer does not sort; it asserts in debug
 * builds). dims: spec->dim_count values, ptr == NULL where the series lacks that dimension.
 * Strings are borrowed until the next call of tile_writer_series, finish or abort.
 */
int tile_writer_series(struct tile_writer *w, uint32_t series_id, struct str measure_name,
		       const struct str *dims, struct err *e) must_check;

/*
 * Rows of the current series, time strictly ascending also across calls. cols: spec->field_count of
 * them (cols[i].data == NULL: all NULL). version: NULL (all the usual one), or 64-bit versions.
 */
int tile_writer_rows(struct tile_writer *w, uint32_t n, const int64_t *time_ns,
		     const struct col *cols, const int64_t *version, struct err *e) must_check;

struct tile_summary {
	uint64_t rows;
	uint32_t series_count;
	int64_t t_min, t_max;
	uint64_t file_bytes;
	uint64_t value_count; /* non-NULL field values */
};

/* Writes what is left, the index and the footer, fsyncs, closes and frees. The caller renames. */
int tile_writer_finish(struct tile_writer *w, struct tile_summary *ret, struct err *e) must_check;

/* Closes, unlinks and frees. NULL is fine. */
void tile_writer_abort(struct tile_writer *w);

/* ---- reading: any thread ------------------------------------------------------------------ */

struct tile;

/* One series in one file. */
struct tile_series {
	uint32_t series_id;
	uint32_t rows;
	uint64_t row0; /* global row number of its first row */
	int64_t t_min, t_max;
};

/* Statistics of one field in one page (valid values only). */
struct tile_page_stats {
	uint32_t nulls;
	uint32_t rows;
	bool has_minmax;
	union {
		int64_t i64;
		double f64;
	} min, max, first, last;
	__extension__ __int128 sum_i;
	double sum_f;
};

struct tile_info {
	uint8_t table_uuid[16];
	uint64_t seq_lo, seq_hi, generation;
	enum tile_codec codec;
	uint64_t rows;
	uint32_t series_count;
	uint32_t page_count;
	uint32_t field_count;
	const struct tile_field *fields; /* names lent by the tile */
	uint32_t dim_count;
	const struct str *dims;
	int64_t t_min, t_max;
	uint64_t file_bytes;
	bool has_version; /* some row's version is not the usual one: 1, in runs 0 */
};

/*
 * Opens and checks footer and index (checksums, bounds, order). Reference count 1.
 * -EBADMSG: not a whole tidefs tile; the sentence names the file, the offset and what is wrong.
 */
int tile_open(const struct io *io, int dirfd, const char *path, struct tile **ret,
	      struct err *e) must_check;
/*
 * The same of an open descriptor, which is lent until the tile is closed; name: for messages. -EINVAL: a
 * Parquet file, but none of tidefs.
 */
int tile_open_fd(const struct io *io, int fd, const char *name, struct tile **ret, struct err *e) must_check;
struct tile *tile_get(struct tile *t);
void tile_put(struct tile *t); /* NULL is fine; the last one closes */
uint64_t tile_number(const struct tile *t); /* which no other one has in this process, also later */
/* Call fn when it is closed. All who ask for it ask for the same. */
void tile_at_close(struct tile *t, void (*fn)(void *ctx, uint64_t number), void *ctx);

/* Lent: for copying the file as it is, also when its name is gone. */
int tile_fd(const struct tile *t);

const struct tile_info *tile_info(const struct tile *t);
const struct tile_series *tile_series(const struct tile *t); /* series_count of them, file order */
int64_t tile_find_series(const struct tile *t, uint32_t series_id); /* its index, or -1; O(log n) */
int64_t tile_find_field(const struct tile *t, uint32_t col_id);     /* its index, or -1 */

/* Pages are cut at the same rows in every column: page p holds rows [page_row(p), page_row(p+1)). */
uint64_t tile_page_row(const struct tile *t, uint32_t page); /* page == page_count: all rows */
uint32_t tile_page_of_row(const struct tile *t, uint64_t row);
/* Time range of the page's rows (of all its series). */
void tile_page_times(const struct tile *t, uint32_t page, int64_t *ret_min, int64_t *ret_max);
const struct tile_page_stats *tile_page_stats(const struct tile *t, uint32_t field, uint32_t page);

/*
 * Decode one page. time: `to` has room for the page's rows. Field: data, valid and strings come
 * from the arena; a column that is NULL throughout gives data zeroed and valid all 0.
 * -EBADMSG with file and offset when a checksum or the structure is wrong; never a wrong number.
 */
int tile_read_time(struct tile *t, uint32_t page, int64_t *to, struct err *e) must_check;
int tile_read_field(struct tile *t, uint32_t field, uint32_t page, struct arena *a, struct col *ret,
		    struct err *e) must_check;
/* Of a tile that has versions (tile_info); otherwise what they usually are is the caller's to know. */
int tile_read_version(struct tile *t, uint32_t page, int64_t *to, struct err *e) must_check;

/* What these read of the file; dictionaries, which are kept, do not count. */
uint64_t tile_time_bytes(const struct tile *t, uint32_t page);
uint64_t tile_field_bytes(const struct tile *t, uint32_t field, uint32_t page);
uint64_t tile_version_bytes(const struct tile *t, uint32_t page);

/* About how many bytes of text a row of the page has: a guess by the page's size and its dictionary's. */
uint64_t tile_field_text(const struct tile *t, uint32_t field, uint32_t page);

/*
 * A dimension (or, with dim == dim_count, measure_name) of the rows of a page, as tile_read_field(). Who
 * queries has no use for it; who takes over a file of another table has.
 */
int tile_read_dim(struct tile *t, uint32_t dim, uint32_t page, struct arena *a, struct col *ret,
		  struct err *e) must_check;

/* Read and check everything: every byte's checksum, order, statistics, dimension columns. */
int tile_verify(struct tile *t, struct err *e) must_check;

#endif
