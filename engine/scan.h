/*
 * scan: all tiers of a table as one stream of rows, newest write winning field by field.
 *
 * A scan pins a version (memtable length, runs, tiles) at open: later writes, seals and merges do
 * not show. Rows come series by series in file order (series_cmp), ascending by time within a
 * series, one row per identity. Batches hold whole stretches of series as runs.
 */
#ifndef TIDE_SCAN_H
#define TIDE_SCAN_H

#include "engine/engine.h"

#define SCAN_ROWS 2048

struct scan_pin;

struct scan_spec {
	int64_t t_lo, t_hi;        /* inclusive both */
	const uint32_t *cols;      /* measure column ids wanted */
	uint32_t col_count;
	const uint64_t *series;    /* bit set of wanted series ids (bit i of word i/64), or NULL = all */
	uint32_t series_count;     /* bits in it; ids beyond are not wanted */
	const bool *late;          /* by column: not in batches, but for chosen rows by scan_fill(); NULL: none */
	bool times_wanted;         /* false: ret->time_ns may be NULL where it was not needed */
	bool versions_wanted;
	bool keeps_pages;          /* what is read is likely to be asked for again: see page.h */
	/*
	 * Where one of them is set, only rows of these times are wanted that are among the first, or the last, so many
	 * of their series. Others may come all the same. Not with scan_find().
	 */
	uint32_t first_n, last_n;
	uint64_t upto_seq;         /* rows that came later are not seen; 0: all. See table_delete_begin() */
	const struct scan_pin *pin; /* the moment that is seen; NULL: that of scan_open() */
};

struct scan_run {
	uint32_t series_id;
	uint32_t start, count; /* rows of the batch */
};

struct scan_batch {
	uint32_t n;
	const int64_t *time_ns;
	const struct col *cols; /* spec->col_count, in spec order */
	const int64_t *version; /* where wanted: 0 = all that is known of the row are patches */
	const struct scan_run *runs;
	uint32_t run_count;
};

struct scan_stats {
	uint32_t tiles, tiles_pruned; /* tiles and runs considered; left out whole, for their time or part */
	uint32_t tiles_pruned_part;   /* of those, for their part alone */
	uint32_t blocks, blocks_pruned; /* likewise blocks of memory, for their time */
	/* Of the files that were not left out whole: pages, and of which of them something was read so far. */
	uint64_t pages_read, pages_pruned;
	uint64_t rows; /* delivered */
	uint64_t bytes_read;   /* of pages, as they lie in the files */
	uint64_t bytes_cached; /* of those, what was in memory */
};

struct scan;

/*
 * What a table holds at one moment: scans that are given the same pin see the same rows, whatever is written,
 * deleted, sealed, merged or moved meanwhile. It keeps files and blocks alive, so it is put as soon as the last
 * scan is open.
 */
int scan_pin_take(struct table *t, struct scan_pin **ret, struct err *e) must_check;
void scan_pin_put(struct scan_pin *p); /* NULL is fine */

/* spec is copied. All memory comes from `budget`. */
int scan_open(struct table *t, const struct scan_spec *spec, struct budget *budget,
	      struct scan **ret, struct err *e) must_check;
/* 1: *ret is the next batch, lent until the next call; 0: no more; <0: error. */
int scan_next(struct scan *s, struct scan_batch *ret, struct err *e) must_check;
/*
 * The late columns of rows sel[0..n) of the batch at hand, sel ascending: ret[c] for each that spec.late names, lent
 * until the next call of either. What is in files is read only now, and only where it has such rows.
 */
int scan_fill(struct scan *s, const uint32_t *sel, uint32_t n, const struct col **ret, struct err *e) must_check;
/*
 * One row by its identity: 1 and the row as a batch of one, 0: there is none. Instead of scan_next();
 * series ascending in file order (table_order()), times ascending in a series, each within the spec.
 */
int scan_find(struct scan *s, uint32_t series_id, int64_t t, struct scan_batch *ret, struct err *e) must_check;
/*
 * For those who let several threads scan one table: how many rows there may be, counted by the whole block and
 * file, of which those that spec leaves out by series are a share like any other; and the series that spec wants,
 * in the order in which a scan meets them, cut into at most n parts of about as many. ret[i]: the bit set of part i,
 * of *ret_series_n bits, in `a`. Returns how many parts there are, -ENOMEM.
 */
uint64_t scan_rows_guess(struct table *t, const struct scan_spec *spec);
int scan_cut(struct table *t, const struct scan_spec *spec, uint32_t n, struct arena *a, uint64_t **ret,
	     uint32_t *ret_series_n) must_check;

/*
 * For those who want rows in order of time and cannot hold them all: the first stretch of spec's times (the last,
 * if is_newest) that may have some `rows` rows of the wanted series, going by the numbers of rows and the times of blocks
 * and files, as if rows were spread evenly in these. 1: [*ret_lo, *ret_hi]; outside of it, on that side, there is
 * no row. 0: no row at all. spec->pin says of which moment.
 */
int scan_stretch(struct table *t, const struct scan_spec *spec, uint64_t rows, bool is_newest, int64_t *ret_lo,
		 int64_t *ret_hi);

void scan_stats(const struct scan *s, struct scan_stats *ret);
void scan_close(struct scan *s); /* NULL is fine */

#endif
