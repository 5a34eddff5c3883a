/*
 * scan_impl: what the files of a scan share: scan_open.c sets one up, scan_cursor.c walks the rows of
 * one series in one source, scan.c merges them into batches.
 */
#ifndef TIDE_SCAN_IMPL_H
#define TIDE_SCAN_IMPL_H

#include "engine/internal.h"
#include "engine/page.h"
#include "engine/scan.h"

#define SCAN_STRING_BYTES ((size_t)8 << 20) /* copied for a batch: past it the batch is handed out */

struct source {
	struct file *file; /* a tile or run; else `view` is a block */
	struct tile *tile;
	const struct tile_info *info;
	int64_t t_hi; /* rows of this source after it are not taken */
	const struct interval *hidden; /* in all series: what was moved out of a run */
	uint32_t hidden_count;
	uint32_t tombs_from; /* the first of the scan's tombstones that concerns the source */
	uint32_t next_series; /* merge pointer into tile_series() */
	int64_t *field;       /* by spec column: index in the tile, or -1 */

	uint32_t page; /* at hand; UINT32_MAX none */
	uint64_t page_row, page_end;
	bool is_read; /* something of it was */
	/* Of the page at hand; NULL: not asked for yet. */
	const struct page *time, *version;
	const struct page **cols; /* by spec column */
	struct late_page *late;   /* by spec column, where some are late: the last page that was read */
	uint32_t late_counted;    /* the last page that a late column made count */
	int64_t usual_version; /* of rows in a file without versions: 0 in runs, 1 in tiles */

	struct block_view view;
	const struct block_index *index;
	bool is_index_given;
	const struct block_col **block_cols; /* by spec column, or NULL */
};

struct late_page {
	const struct page *page; /* or NULL */
	uint32_t number;
};

/* Rows [at, at + k) of a batch, whose late columns are still in their page. */
struct piece {
	struct source *src;
	uint32_t page, from; /* the first one's row in the page */
	uint32_t at, k;
	bool is_read; /* something of the page was */
};

/* One source's rows of the current series: [pos, end) are tile rows, or places in the block's order. */
struct cursor {
	struct source *src;
	uint64_t pos, end;
	int64_t t; /* time at pos */
	bool has_duplicates;
	const struct interval *hidden; /* times of rows not shown, ascending, disjoint */
	uint32_t hidden_count, hidden_at; /* those before hidden_at end before t */
	bool is_timeless; /* alone and wholly wanted: times need not be looked at */
};

struct scan {
	struct table *table;
	struct scan_spec spec;
	struct arena arena;
	struct arena strings; /* of the batch at hand */
	struct arena hiding;  /* of the series at hand: intervals */
	struct arena scratch; /* of a page that is being read */
	struct tomb_set *tombs;
	struct series_order *order;
	struct source *sources;
	uint32_t source_count;

	uint32_t *ids; /* series with rows, in file order */
	uint32_t id_count, id_at;
	bool has_series; /* cursors are of ids[id_at] */
	struct cursor *cursors;
	uint32_t cursor_count;

	uint32_t n; /* rows in the batch */
	int64_t *time;
	int64_t *version;   /* where wanted */
	struct col *cols;   /* capacity SCAN_ROWS; valid always there */
	struct col *out;    /* as handed out: valid NULL where no NULL */
	bool *has_null;
	struct scan_run *runs;
	uint32_t run_count;
	struct piece *pieces; /* where columns are late */
	uint32_t piece_count;
	size_t late_text;     /* about the bytes of text that the batch's late columns have */
	struct col *filled;   /* what scan_fill() gave last, by spec column */
	struct scan_stats stats; /* pages_pruned is worked out when it is asked for */
	uint64_t pages;          /* of the sources */
};

struct scan_pin {
	struct file_set *files;
	struct tomb_set *tombs;
	struct block_view *views;
	uint32_t view_n;
	int64_t expired_before_ns;
};

static inline bool overlaps(const struct scan *s, int64_t t_min, int64_t t_max)
{
	return t_min <= s->spec.t_hi && t_max >= s->spec.t_lo;
}

static inline bool is_wanted(const struct scan *s, uint32_t id)
{
	return !s->spec.series || bit_test(s->spec.series, s->spec.series_count, id);
}

/* ---- scan_cursor.c ---------------------------------------------------------------------------------- */

/* Make the page that holds `row` the one at hand; its columns are fetched when asked for. */
void source_enter(struct scan *s, struct source *src, uint64_t row);
void source_leave(struct scan *s, struct source *src); /* no page is at hand */
void source_leave_late(struct scan *s, struct source *src); /* nor one of late columns */
void source_close(struct scan *s, struct source *src); /* nor any at all */
int source_time(struct scan *s, struct source *src, uint64_t row, struct err *e) must_check; /* enters, too */

/* The versions of the page at hand; NULL: all are src->usual_version. */
int source_version(struct scan *s, struct source *src, const struct page **ret, struct err *e) must_check;

/* A late column of any page of the source; NULL where the file lacks the column. */
int source_late(struct scan *s, const struct piece *p, uint32_t c, const struct page **ret, struct err *e) must_check;

/* Column c of the page at hand; NULL where the file lacks the column. */
int source_col(struct scan *s, struct source *src, uint32_t c, const struct page **ret, struct err *e) must_check;

/* How many of the rows [pos, end) of a block, whose times ascend, are <= upto. */
uint64_t count_upto_block(const struct source *src, uint64_t pos, uint64_t end, int64_t upto);

int cursor_load(struct scan *s, struct cursor *c, struct err *e) must_check; /* c->t of c->pos */

/* Which of c's hidden intervals, from number `from` on, is the first that ends at or after t; hidden_count: none. */
uint32_t cursor_hidden(const struct cursor *c, uint32_t from, int64_t t);

/* Past hidden rows: afterwards the cursor is at its end (pos == end) or at a row that may be shown. */
int cursor_settle(struct scan *s, struct cursor *c, struct err *e) must_check;

/* Move forward to the first visible row at or after t. */
int cursor_seek(struct scan *s, struct cursor *c, int64_t t, struct err *e) must_check;

/* The last time up to which rows may be copied without looking at hidden ranges. */
int64_t cursor_visible_upto(struct cursor *c);

/* scan.c: strings of a page must outlive it. */
int scan_copy_strings(struct scan *s, struct str *to, const uint8_t *valid, uint32_t n, struct err *e) must_check;

/* scan_ends.c: of the series just entered, hide what is neither among its first rows nor its last. */
int series_ends(struct scan *s, struct err *e) must_check;

/* Cursors of every source that has rows of the series. */
int series_enter(struct scan *s, uint32_t id, struct err *e) must_check;

#endif
