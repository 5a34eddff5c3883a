/*
 * tile_read: what the files of the tile reader share.
 *
 *	tile_reader.c  open, look up, decode a page
 *	tile_page.c    bytes of a page: load, check, unpack, dictionaries
 *	tile_verify.c  everything against everything
 */
#ifndef TIDE_TILE_READ_H
#define TIDE_TILE_READ_H

#include <stdatomic.h>

#include "engine/tile_index.h"

/* A decoded dictionary page: one allocation, lent by the tile until it is closed. */
struct tile_dictionary {
	uint32_t n;
	size_t byte_count;
	const char *bytes; /* of the strings */
	union {
		const uint64_t *bits;
		const struct str *strings;
	};
};

struct tile_id {
	uint32_t id, i;
};

/* How a column is being read: hints, which several threads may mix up. */
struct tile_reading {
	_Atomic uint32_t last;  /* page */
	_Atomic uint32_t ahead; /* the first page that the kernel was not told of */
};

struct tile {
	atomic_int refs;
	uint64_t number;
	void (*_Atomic at_close)(void *ctx, uint64_t number); /* or NULL */
	void *_Atomic at_close_ctx;
	const struct io *io;
	int fd;
	bool is_fd_lent;
	char *path;
	struct arena arena; /* constant after open */
	struct tile_index ix;
	struct tile_id *by_id;  /* series ids, sorted, and their indices */
	/* Columns that may be absent: 0, which is never one of them. */
	uint32_t time_nanos, version;
	uint32_t *field_nanos; /* per field */
	uint64_t footer_off;
	uint64_t index_off, index_len;
	size_t crc_at; /* of the footer's checksum, in the footer */
	struct tile_reading *reading; /* per column */
	_Atomic(struct tile_dictionary *) *dicts; /* [column * group_count + group]; NULL: not yet */
};

static inline uint32_t tile_column_time(const struct tile *t)
{
	return t->ix.info.dim_count + 1;
}

static inline uint32_t tile_column_field(const struct tile *t, uint32_t field)
{
	return t->ix.info.dim_count + 2 + field;
}

/*
 * Memory to decode one page with. Kept for reuse in a list of the process, for a decompression
 * context alone is larger than most pages. scratch_get() gives one (NULL: no memory).
 */
struct tile_scratch {
	struct tile_scratch *next;
	struct ZSTD_DCtx_s *zstd;
	uint8_t *stored, *raw; /* with PQ_SLACK behind */
	size_t stored_cap, raw_cap;
	uint32_t codes[TILE_PAGE_ROWS_MAX];
	int64_t values[TILE_PAGE_ROWS_MAX];
	uint8_t levels[TILE_PAGE_ROWS_MAX];
};

struct tile_scratch *tile_scratch_get(void);
void tile_scratch_put(struct tile_scratch *s);

/* The page as it lies in the file, header included, checksum verified; in s->stored. */
int tile_page_load(struct tile *t, const struct tile_page_ref *p, struct tile_scratch *s,
		   struct err *e) must_check;

/* What a page holds, unpacked but not interpreted: TIMESTAMPs in microseconds. */
struct tile_values {
	uint32_t rows;
	uint32_t n;          /* valid ones */
	const uint8_t *valid; /* NULL: all; in the scratch */
};

/*
 * Decode a page of a column. to: room for its rows; the valid values come first, side by side
 * (int64_t for INT64 and INT32, else what struct col has). Strings come from the arena, which
 * others do not need.
 */
int tile_page_decode(struct tile *t, uint32_t column, uint32_t page, struct tile_scratch *s,
		     struct arena *a, void *to, struct tile_values *ret, struct err *e) must_check;

/* The same as a struct col, NULL rows zeroed; all memory from the arena. */
int tile_page_column(struct tile *t, uint32_t column, uint32_t page, enum coltype type,
		     struct arena *a, struct col *ret, struct err *e) must_check;

int tile_dictionary_get(struct tile *t, uint32_t column, uint32_t group, struct tile_scratch *s,
			const struct tile_dictionary **ret, struct err *e) must_check;

enum pq_type tile_column_type(const struct tile *t, uint32_t column, bool *ret_optional);

#endif
