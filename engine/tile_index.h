/*
 * tile_index: the private index of a tile, in memory and as bytes (docs/format-tile.md).
 *
 * Internal to the tile files: the writer fills one and encodes it, the reader decodes one, verify
 * holds it against everything else. Also here is what writer and verify must compute alike: the
 * statistics of a page, the list of columns, and the line in the footer.
 */
#ifndef TIDE_TILE_INDEX_H
#define TIDE_TILE_INDEX_H

#include "engine/parquet/parquet.h"
#include "engine/tile.h"

#define TILE_KEY       "tidefs.tile"
#define TILE_PAGE_BIG  8192                    /* what pages of a series of its own aim at */
#define TILE_SPLIT_MIN (3 * TILE_PAGE_BIG)     /* rows waiting before one is cut off the front */
#define TILE_COLS_MAX  (1u << 20)              /* more is damage */
#define TILE_INDEX_RAW_MAX (UINT64_C(1) << 30) /* bytes of an index before compression */

/*
 * The Parquet columns of a tile: roles in this order, then by i; but those from TILE_TIME_NANOS on,
 * the extras, exist only where they are needed, and come in the order in which the need arose.
 * The numbers are stored.
 */
enum tile_role {
	TILE_DIM = 0, /* i: dimension */
	TILE_MEASURE_NAME = 1,
	TILE_TIME = 2,  /* microseconds */
	TILE_FIELD = 3, /* i: measure column */
	TILE_TIME_NANOS = 4,
	TILE_VERSION = 5,
	TILE_FIELD_NANOS = 6, /* i: measure column, a TIMESTAMP */
};

struct tile_column {
	enum tile_role role;
	uint32_t i;
};

/* A page in the file. */
struct tile_page_ref {
	uint64_t off;
	uint32_t size; /* header included */
	uint32_t raw;  /* content before compression */
	uint32_t crc;  /* crc32c of all of it */
	uint8_t head;  /* size of its header */
};

struct tile_chunk {
	uint64_t off, len;
	enum pq_encoding encoding;
	uint32_t dict_count; /* 0: no dictionary */
	struct tile_page_ref dict;
};

struct tile_index {
	struct tile_info info; /* file_bytes is the reader's to fill in */
	const struct tile_column *extras;
	uint32_t extra_count;
	uint32_t group_count;
	uint32_t *group_page; /* first page of each group; group_count + 1 */
	uint64_t *page_row;   /* first row of each page; page_count + 1 */
	int64_t *page_t_min, *page_t_max;
	struct tile_series *series;
	struct tile_column *columns;
	uint32_t column_count;
	struct tile_chunk *chunks;     /* [column * group_count + group] */
	struct tile_page_ref *pages;   /* [column * page_count + page] */
	struct tile_page_stats *stats; /* [field * page_count + page] */
	uint64_t public_off, public_len; /* the page index */
	uint32_t public_crc;
};

/* Sets columns and column_count from info and extras. -ENOMEM. */
int tile_index_columns(struct tile_index *ix, struct arena *a) must_check;

/* Name, type and so on of a column; a name that must be composed comes from the arena. */
int tile_index_describe(const struct tile_index *ix, const struct tile_column *c, struct arena *a,
			struct pq_column *ret) must_check;

void tile_index_encode(const struct tile_index *ix, struct buf *out);

/*
 * All arrays from the arena; names point into `raw`. Checks everything that can be checked without
 * the pages: counts, order, that pages and chunks lie within [4, data_end).
 */
int tile_index_decode(struct str raw, uint64_t data_end, struct arena *a, struct tile_index *ret,
		      struct err *e) must_check;

/* The group of a page. */
uint32_t tile_index_group(const struct tile_index *ix, uint32_t page);

/* The line in the footer. */
struct tile_line {
	uint64_t index_off, index_len, index_raw;
	uint32_t index_crc;
	uint32_t footer_crc;
	uint8_t table_uuid[16];
	uint64_t seq_lo, seq_hi, generation;
};

#define TILE_LINE_MAX 320

/* Returns the length (no NUL); *ret_crc_at: where the 8 digits of the footer's checksum begin. */
size_t tile_line_format(char to[TILE_LINE_MAX], const struct tile_line *l, size_t *ret_crc_at);
/* -EBADMSG: not exactly what tile_line_format() writes. -ENOTSUP: another format version. */
int tile_line_parse(struct str s, struct tile_line *ret, size_t *ret_crc_at) must_check;

/* crc32c of the footer with the 8 digits at `at` taken as zeros. */
uint32_t tile_footer_crc(const void *footer, size_t n, size_t at);

/* Statistics of a page: `data` holds its `n` valid values, `rows` - n are NULL. */
void tile_stats_compute(enum coltype type, const void *data, uint32_t n, uint32_t rows,
			struct tile_page_stats *ret);
bool tile_stats_equal(enum coltype type, const struct tile_page_stats *a,
		      const struct tile_page_stats *b);

#endif
