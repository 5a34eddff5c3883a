/*
 * catalog: what a database knows about itself, in SQLite (WAL mode, synchronous=FULL).
 *
 * One file a database, <cell>/catalog.sqlite; the data directory has one too, for the root's
 * attributes. Never on the ingest path: rows and definitions are in the WAL, and what stands here is
 * a checkpoint with its log sequence number. Every call is one transaction unless it is between
 * catalog_begin() and catalog_commit(). Any thread; calls serialise on the catalogue's mutex, which
 * begin..commit holds.
 */
#ifndef TIDE_CATALOG_H
#define TIDE_CATALOG_H

#include "engine/column.h"

#define CATALOG_FORMAT 1

struct catalog;

/*
 * Creates the schema where the file is new. A newer format or another program's database:
 * -EMEDIUMTYPE; a damaged file: -EBADMSG (all of it is checked). read_only: nothing is created or changed (-ENOENT where
 * there is none; writing calls answer -EROFS), and another process may have it open for writing.
 */
int catalog_open(const char *path, bool read_only, struct catalog **ret, struct err *e) must_check;
void catalog_close(struct catalog *c);

int catalog_begin(struct catalog *c, struct err *e) must_check;
/*
 * Rolled back when it fails. But after -EIO it may be on the disk all the same, for whoever opens the
 * catalogue next: what it names (a new file) must stay, and is swept at open if it does not. It is
 * certain again once another transaction has succeeded, for that takes its place; one is tried at once.
 */
int catalog_commit(struct catalog *c, struct err *e) must_check;
bool catalog_in_doubt(struct catalog *c); /* a failed transaction may be found by who opens it next */
void catalog_abort(struct catalog *c);

/* Integers by name (last_lsn, clock, ...). get: dflt where absent. */
int catalog_get_int(struct catalog *c, const char *key, int64_t dflt, int64_t *ret, struct err *e) must_check;
int catalog_set_int(struct catalog *c, const char *key, int64_t v, struct err *e) must_check;

/*
 * What it says of one table (id 0: of the database itself), as text from which another catalogue can be
 * made; see catalog_copy.c. print appends; -ENOENT: there is no such table. read adds to c what a text says,
 * all or nothing; -EBADMSG where it is damaged or does not fit. *ret_left_out: deletions that the text lacks,
 * because they were too large.
 */
int catalog_copy_print(struct catalog *c, uint32_t table_id, struct buf *out, struct err *e) must_check;
int catalog_copy_read(struct catalog *c, struct str text, uint32_t *ret_left_out, struct err *e) must_check;

/*
 * fn is called after each commit for each table that it changed (0: what is no table's), before the call
 * that committed returns. It holds the catalogue's lock, and may read and print.
 */
typedef void catalog_changed_fn(void *ctx, uint32_t table_id);
void catalog_on_change(struct catalog *c, catalog_changed_fn *fn, void *ctx);

struct catalog_table {
	uint32_t id; /* never reused */
	char name[256];
	uint8_t uuid[16];
	uint64_t flushed_lsn;      /* rows up to here are in runs and tiles */
	int64_t expired_before_ns; /* monotone; rows older than this are hidden for ever */
	int64_t created_ns;
	uint32_t saved_columns, saved_series; /* definitions that the series file holds at least */
};

/* ret->id, uuid, created_ns are filled in. -EEXIST: there is one of that name. */
int catalog_table_create(struct catalog *c, const char *name, struct catalog_table *ret, struct err *e) must_check;
/* Removes the table, its settings, its files and its attributes. */
int catalog_table_drop(struct catalog *c, uint32_t id, struct err *e) must_check;
int catalog_table_update(struct catalog *c, const struct catalog_table *t, struct err *e) must_check; /* lsn, expiry */
int catalog_table_id_max(struct catalog *c, uint32_t *ret, struct err *e) must_check; /* ever given out */
int catalog_tables(struct catalog *c, int (*fn)(void *ctx, const struct catalog_table *t), void *ctx,
		   struct err *e) must_check;

/* Settings: text by name per table ("retention/memory" -> "6h"). */
int catalog_setting_set(struct catalog *c, uint32_t table_id, const char *name, const char *value,
			struct err *e) must_check;
int catalog_settings(struct catalog *c, uint32_t table_id,
		     int (*fn)(void *ctx, const char *name, const char *value), void *ctx,
		     struct err *e) must_check;

enum catalog_file_kind {
	CATALOG_RUN = 1,
	CATALOG_TILE = 2,
};

struct catalog_file {
	uint64_t id; /* never reused */
	uint32_t table_id;
	enum catalog_file_kind kind;
	char path[256]; /* below the table's directory */
	uint64_t seq_lo, seq_hi;
	int64_t t_min_ns, t_max_ns;
	uint64_t rows, bytes, values;
	int32_t date; /* days since 1970; tiles only */
	uint32_t part;
	uint32_t parts; /* of that date; 0: not known which part it is, the date is to be written anew */
	uint64_t generation;
	int64_t created_ns; /* what getattr shows as mtime, stable */
	uint64_t erased_seq; /* deletions up to this one were applied when it was written, or concern none of it */
};

int catalog_file_add(struct catalog *c, struct catalog_file *f, struct err *e) must_check; /* sets f->id */
int catalog_file_remove(struct catalog *c, uint64_t file_id, struct err *e) must_check;
int catalog_files(struct catalog *c, uint32_t table_id,
		  int (*fn)(void *ctx, const struct catalog_file *f), void *ctx, struct err *e) must_check;

/*
 * Rows of a run that migration has moved to tiles: of `date`, those before upto_ns. Setting it again
 * raises it. Removed with the file.
 */
int catalog_moved_set(struct catalog *c, uint64_t file_id, int32_t date, int64_t upto_ns, struct err *e) must_check;
int catalog_moved(struct catalog *c, uint64_t file_id,
		  int (*fn)(void *ctx, int32_t date, int64_t upto_ns), void *ctx, struct err *e) must_check;

/* Raise a file's erased_seq. */
int catalog_file_erased(struct catalog *c, uint64_t file_id, uint64_t seq, struct err *e) must_check;

/* Tombstones (tombs.h): kept as they are given, by order of seq; ranges are lent for the call. */
int catalog_tomb_add(struct catalog *c, uint32_t table_id, uint64_t seq, struct str ranges, uint64_t *ret_id,
		     struct err *e) must_check;
int catalog_tomb_remove(struct catalog *c, uint64_t id, struct err *e) must_check;
int catalog_tombs(struct catalog *c, uint32_t table_id,
		  int (*fn)(void *ctx, uint64_t id, uint64_t seq, struct str ranges), void *ctx,
		  struct err *e) must_check;

/*
 * Owner and mode of a node that differ from its default; path is below the catalogue's directory
 * node: "" itself, "t" a table, "t/ingest" a file. mode has permission bits only; UINT32_MAX in a
 * field = not set. get: -ENOENT where nothing is stored. Removing a table removes its nodes'.
 */
struct catalog_attr {
	uint32_t mode, uid, gid;
};
int catalog_attr_set(struct catalog *c, const char *path, const struct catalog_attr *a, struct err *e) must_check;
int catalog_attrs(struct catalog *c, int (*fn)(void *ctx, const char *path, const struct catalog_attr *a),
		  void *ctx, struct err *e) must_check;
int catalog_attr_drop(struct catalog *c, const char *path, struct err *e) must_check; /* it and all below it */

#endif
