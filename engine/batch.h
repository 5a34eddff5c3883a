/*
 * batch: rows of one table on their way in, in columns, in order of arrival.
 *
 * The parser fills a batch, the WAL stores its encoding, the memtable copies its columns. A batch
 * is reused: clear keeps the memory, so nothing is allocated per row once it has grown.
 */
#ifndef TIDE_BATCH_H
#define TIDE_BATCH_H

#include "engine/column.h"

#define BATCH_ROWS_MAX 16384

struct batch_col {
	uint32_t col_id;
	struct col col;  /* capacity = batch->cap rows; valid is never NULL here */
	bool has_values; /* some row since clear has a value */
};

struct batch {
	uint32_t n;   /* rows */
	uint32_t cap; /* rows there is room for */
	uint32_t *series;
	int64_t *time_ns;
	int64_t *version;       /* only meaningful when has_version: 1 and more */
	bool has_version;       /* rows follow the version rules; a batch never mixes both kinds */
	struct batch_col *cols; /* in order of first use since init; survive clear */
	uint32_t col_count;
	uint32_t col_cap;
	uint32_t col_hint;    /* where batch_col() looks first */
	struct arena strings; /* VARCHAR bytes; reset by clear */
};

void batch_init(struct batch *b);
void batch_release(struct batch *b);
void batch_clear(struct batch *b);

/* Room for one more row (grows up to BATCH_ROWS_MAX). -ENOBUFS: full, hand it over first. */
int batch_reserve(struct batch *b) must_check;

/* Room for `rows` rows in all. -ENOBUFS: more than BATCH_ROWS_MAX. */
int batch_reserve_rows(struct batch *b, uint32_t rows) must_check;

/*
 * To add a row: batch_reserve(), fill series, time_ns and (with has_version) version at index n,
 * and for each value data, valid = 1 at index n and has_values = true; then n++. Missing values
 * need nothing. Whoever gives up a row half-way calls this instead of n++: its values are
 * forgotten.
 */
void batch_drop_row(struct batch *b);

/* Keep the rows whose keep[] is not 0, in their order. */
void batch_keep_rows(struct batch *b, const uint8_t *keep);

/*
 * The slot of a column (an index of cols), added where new (NULL for earlier rows). A column that
 * has no value since clear may change its type. <0: -ENOMEM; -EINVAL: has values of another type.
 * Adding may move cols.
 */
int batch_col(struct batch *b, uint32_t col_id, enum coltype type) must_check;

/*
 * Encode rows [from, to) as the payload of a WAL_ROWS record, appended to `out`; columns without
 * any value in them are left out. Layout in docs/format-wal.md: integers and times as base + narrow
 * offsets, series likewise, validity only where some value is missing.
 */
int batch_encode(const struct batch *b, uint32_t from, uint32_t to, struct buf *out) must_check;

/*
 * The other way; b is cleared first, and its columns that the payload lacks have has_values false.
 * VARCHAR values point into the payload (lent). More rows than
 * BATCH_ROWS_MAX, unknown types, overlong widths, bytes left over: -EBADMSG.
 */
int batch_decode(struct batch *b, struct str payload, struct err *e) must_check;

#endif
