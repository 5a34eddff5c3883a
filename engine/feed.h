/*
 * feed: points of one input file -> batches -> db_append(). What every text format of ingest shares.
 *
 *	feed_begin()            one write(2), or one part of an import, begins
 *	feed_point() ...        each record; -EINVAL refuses just that one, and nothing came of it
 *	feed_flush()            stores what was collected; or feed_abort(), and it is as if it never was
 *
 * A record is checked wholly - names, types, time - before the first column, series or table is made
 * for it. Rows wait in one batch per table; when a batch is full all of them are stored, so a write
 * of more rows than that is stored in several steps. When a later step fails the earlier ones stay:
 * whoever sends the write again overwrites them with the same values.
 *
 * Records without a time get the time of arrival, distinct for all such records of the process and
 * increasing by 1 ns; a write that is repeated after a failure gets the same ones (feed_begin).
 *
 * Records with a version follow the version rules; a batch never mixes them with others, so what was
 * collected is stored when the kind changes. Whether such a record is stored is known at the flush only:
 * one that lost is reported to `lost`, with the origin it was given by whoever brought it.
 *
 * VARCHAR values are not copied (but for those in a point's scratch): the input
 * must stay where it is until the next flush or abort. One thread at a time.
 */
#ifndef TIDE_FEED_H
#define TIDE_FEED_H

#include "engine/engine.h"
#include "engine/idx.h"
#include "engine/point.h"

#define FEED_TARGETS_MAX 1024             /* tables that one feed keeps batches for */
#define FEED_CELLS_MAX   (2 << 20)        /* rows x columns of a batch: about 18 MiB */

#define FEED_NO_SLOT UINT32_MAX

/* Where a record came from. */
struct feed_origin {
	uint64_t line;    /* its number */
	struct str text;  /* borrowed like values: until the flush */
	int64_t record;   /* index in the line's request, or -1 */
	int64_t version;
};

/* A measure column of a target that some record named. */
struct feed_col {
	struct str key; /* lent by the series set */
	uint32_t col_id;
	enum colkind kind;
	enum coltype type;
	uint32_t slot; /* in the batch, or FEED_NO_SLOT */
};

/* A table that records went to. */
struct feed_target {
	struct table *table; /* a reference */
	struct series_set *series;
	struct batch batch;
	struct table_window window; /* as of `write_no` */
	struct part_key *key;       /* of that window's version; a reference */
	uint64_t write_no;          /* of the feed, when the window was asked for */
	struct feed_col *cols;
	uint32_t col_count;
	uint32_t col_cap;
	struct idx by_key;
	uint32_t *dim_guess; /* column of the i-th tag of the record before */
	uint32_t dim_cap;
	uint32_t *field_guess; /* index in cols of the i-th field of the record before */
	uint32_t field_cap;
	struct feed_origin *origins; /* of the batch's rows; only where they have versions */
	uint32_t origin_cap;
	uint32_t measure_ok; /* a series whose measure name was found good, or SERIES_NONE */
};

struct feed {
	struct db *db;       /* a reference */
	struct table *table; /* a reference; NULL: the record names the table */
	struct feed_target **targets;
	uint32_t target_count;
	uint32_t target_cap;
	struct idx by_name;
	uint32_t generation; /* grows when targets go away or ask for more: forget what was learnt of them */
	uint64_t write_no;
	int64_t now_ns; /* one clock reading a write */
	bool stored;    /* something was stored since feed_begin() */
	bool (*may_write)(void *ctx, struct table *t); /* NULL: every table */
	void *may_ctx;
	/* A record with a version was not stored. Called while flushing. NULL: nobody asks. */
	void (*lost)(void *ctx, struct table *t, const struct feed_origin *o,
		     const struct version_conflict *c);
	void *lost_ctx;
	struct feed_origin origin; /* of the record that comes next; set by whoever sends versions */

	int64_t arrival_base; /* 0: none reserved yet */
	uint32_t arrival_count;
	uint32_t arrival_max;      /* records that the reservation has room for */
	uint32_t arrival_next_max; /* and that the next one shall have: those of the write */

	/* scratch, per record; arrays of scratch_cap */
	uint32_t scratch_cap;
	uint32_t spec_count;
	struct column_spec *specs;
	uint32_t *spec_ids;
	uint32_t *spec_of;      /* spec -> tag, or field + POINT_PARTS_MAX */
	struct dim_value *dims; /* of the tags */
	uint32_t *cols;         /* field -> index in the target's cols */
};

/* Takes references of its own on db and table. */
void feed_init(struct feed *f, struct db *db, struct table *table);
void feed_release(struct feed *f);

/*
 * A write of at most `records` records begins. again: it is the failed one before, once more. May
 * drop targets of tables that are gone.
 */
void feed_begin(struct feed *f, uint32_t records, bool again);

/* What came of a record, for templates. */
struct feed_row {
	struct feed_target *target;
	uint32_t series;
};

/*
 * Add a record. 0: done. -EINVAL: refused, with a sentence and the offset in its line; all other
 * errors concern the whole write (-ENOMEM, -ESTALE, and those of db_append()).
 */
int feed_point(struct feed *f, const struct point *pt, struct feed_row *ret, size_t *ret_at,
	       struct err *e) must_check;

/* Room for one more row in t's batch; stores everything when it is full. */
int feed_room(struct feed *f, struct feed_target *t, struct err *e) must_check;

/* The next time of arrival. */
int64_t feed_arrival(struct feed *f);

/* Store all rows collected. Failed: nothing was forgotten, abort or try again. */
int feed_flush(struct feed *f, struct err *e) must_check;

/* Forget the rows collected. */
void feed_abort(struct feed *f);

/* Forget the tables, too (one of them was dropped). */
void feed_forget(struct feed *f);

/* The table of that name (at table level: the feed's), as a reference; or NULL. For saying what went wrong. */
struct table *feed_table(struct feed *f, struct str name);

/*
 * The target of that table, with the window of now; *ret = NULL where the table does not exist yet. For
 * parsers that need to know columns or precision before they can tell what a record says. -EINVAL: the
 * writer may not write there; other errors concern the whole write. Good until the next feed call.
 */
int feed_find(struct feed *f, struct str name, struct feed_target **ret, struct err *e) must_check;

#endif
