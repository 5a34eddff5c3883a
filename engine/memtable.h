/*
 * memtable: the rows of one table that are in the log but in no file yet.
 *
 * Rows lie in blocks of column arrays in order of arrival. Blocks come in growing sizes (16 to
 * 65,536 rows), so that a table with three rows costs little and nothing ever moves: a column's
 * arrays are allocated at the block's capacity when its first value arrives, rows are published by
 * raising the row count, and readers see a prefix without a lock. A full block is frozen; its index
 * by (series, time) is then built once and shared by all readers.
 *
 * Threads: the writer holds the table's append lock; counts and column lists are published under the
 * table's `mu`, which readers take for the moment of the snapshot (memtable_view()).
 */
#ifndef TIDE_MEMTABLE_H
#define TIDE_MEMTABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/batch.h"

#define BLOCK_ROWS_MIN 16 /* there may be ten thousand tables with a row each */
#define BLOCK_ROWS_MAX 65536
#define BLOCK_BYTES_MAX ((size_t)16 << 20) /* of column arrays: a wide table's blocks have fewer rows */

struct block_col {
	uint32_t col_id;
	/* Rows [0, filled) were written, those behind it have no value (yet); of these, the first that got none. */
	_Atomic uint32_t filled, first_null;
	struct col col; /* capacity rows; valid is never NULL */
};

/* Rows sorted by (series, time, arrival): order[] holds row numbers, one group per series. */
struct block_group {
	uint32_t series_id;
	uint32_t start, count; /* in order[] */
	bool has_duplicates;   /* two rows of one time */
	int64_t t_min, t_max;
};

struct block_index {
	uint32_t *order;
	struct block_group *groups; /* by series id */
	uint32_t group_count;
	uint32_t row_count;
};

struct block {
	_Atomic uint32_t refs;
	uint32_t cap;
	uint32_t *series;
	int64_t *time_ns;

	/* written by the appender, read by it or under mu */
	uint32_t n;
	int64_t *version; /* NULL: no row has one; 0: the row patches, else it replaces (batch.h) */
	struct block_col *cols;
	uint32_t col_count, col_cap;
	void *old_cols; /* column lists that a view may still hold, chained */
	uint64_t seq_lo, seq_hi;
	int64_t t_min, t_max;
	size_t bytes; /* of memory */
	bool is_frozen;
	struct block *next; /* newer */

	struct arena strings; /* appender only; what was published stays */

	pthread_mutex_t index_mu;
	struct block_index *index; /* guarded by index_mu; frozen blocks only */
};

/* Is there a NULL among the first `rows` rows, which are published? */
static inline bool block_col_has_null(const struct block_col *col, uint32_t rows)
{
	struct block_col *c = (struct block_col *)col; /* C17's atomic loads want a non-const object */

	return atomic_load_explicit(&c->filled, memory_order_acquire) < rows ||
	       atomic_load_explicit(&c->first_null, memory_order_relaxed) < rows;
}

/* A block as of some moment. */
struct block_view {
	struct block *block; /* referenced */
	const struct block_col *cols;
	uint32_t col_count;
	uint32_t n;
	const int64_t *version; /* as in the block */
	bool is_frozen; /* n is final */
	uint64_t seq_lo, seq_hi;
	int64_t t_min, t_max;
};

struct memtable {
	struct block *first, *last; /* oldest and newest; last is the active one unless frozen */
	uint64_t rows;
	size_t bytes;
	uint32_t blocks;
};

void memtable_init(struct memtable *m);
void memtable_release(struct memtable *m);

/*
 * Make room for a batch: afterwards memtable_append() of it cannot fail. May freeze the active block
 * and begin another. -ENOMEM. Caller holds the append lock; mu is taken inside.
 */
int memtable_reserve(struct memtable *m, pthread_mutex_t *mu, const struct batch *b,
		     struct err *e) must_check;

/*
 * Copy the rows in and publish them. seq_lo..seq_hi: the log records they (and their definitions)
 * stand in. Caller holds the append lock.
 */
void memtable_append(struct memtable *m, pthread_mutex_t *mu, const struct batch *b, uint64_t seq_lo,
		     uint64_t seq_hi);

/* Freeze the active block, if it has rows. Caller holds the append lock. */
void memtable_freeze(struct memtable *m, pthread_mutex_t *mu);

/*
 * Forget blocks without rows: room that was made for a batch which then could not be logged. Returns
 * the bytes freed. Caller holds append lock and mu.
 */
size_t memtable_drop_empty(struct memtable *m);

/* Views of all blocks with rows, oldest first; caller holds mu. *ret: given (block_view_release each, free). */
int memtable_view(const struct memtable *m, struct block_view **ret, uint32_t *ret_n) must_check;
struct block_view block_view_get(const struct block_view *v); /* one more of it */
void block_view_release(struct block_view *v);

/* Drop the blocks up to and including `upto` (frozen, now in a run). Caller holds append lock and mu. */
void memtable_drop_through(struct memtable *m, const struct block *upto);

/*
 * The index over a view. A frozen block's is built once and lent for the block's life
 * (*ret_given false); otherwise, or when `wanted` cuts it down, one is built for the caller and given
 * (block_index_destroy()). wanted: bit set of series ids (NULL: all), `bits` long.
 */
int block_index_get(const struct block_view *v, const uint64_t *wanted, uint32_t bits,
		    const struct block_index **ret, bool *ret_given) must_check;
void block_index_destroy(struct block_index *ix);
const struct block_group *block_index_find(const struct block_index *ix, uint32_t series_id);

#endif
