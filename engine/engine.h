/*
 * engine: the front door. Databases, tables, rows in, rows out; nothing here knows FUSE or SQL.
 *
 *	struct engine   one DATA_DIR, locked by one process
 *	struct db       one database = one cell: directory, catalogue, WAL, failures of its own
 *	struct table    series, memtable, runs, tiles, settings
 *
 * Handles are reference counted: *_get() and the finders give one, *_put() gives it back (NULL is
 * fine). A handle outlives a drop: calls on what was dropped answer -ESTALE.
 *
 * Errors: negative errno and a sentence. -EBADMSG stored bytes are damaged (file and offset named);
 * -EROFS the cell refuses writes (e says why); -ENOSPC nothing of it was stored.
 *
 * Threads: any, unless said otherwise.
 */
#ifndef TIDE_ENGINE_H
#define TIDE_ENGINE_H

#include "engine/batch.h"
#include "engine/column.h"
#include "engine/io.h"
#include "engine/part_key.h"
#include "engine/series.h"

struct engine;
struct db;
struct table;

#define NAME_LEN_MAX 255

/* ---- the data directory --------------------------------------------------------------------- */

struct engine_options {
	const struct io *io;       /* NULL: io_posix() */
	size_t memory_bytes;       /* for memtables; 0: a quarter of RAM, at most 512 MiB */
	size_t cache_bytes;        /* for decoded pages of tiles; 0: half of memory_bytes */
	int64_t sync_interval_ns;  /* 0: 1 s; <0: never in the background (tests) */
	uint64_t part_rows;        /* of a date, above which it is split into parts; 0: 4 Mi (tests set it) */
	uint64_t segment_bytes;    /* of the log, past which a new one is begun; 0: 64 MiB (tests set it) */
	uint64_t boot;             /* which boot of the machine this is; 0: ask the kernel (tests set it) */
	bool no_background;        /* tests drive engine_maintain() themselves */
	bool read_only;            /* `tidefs sql`: no background work, rows are not accepted */
	/*
	 * Called about once a second, in the thread of engine_open(), for each database whose log is being
	 * replayed; or NULL.
	 */
	void (*recovering)(void *ctx, const char *db, uint64_t done_bytes, uint64_t total_bytes);
	void *recovering_ctx;
	/* Names that databases and tables may not have (control files); NULL-terminated, or NULL. */
	const char *const *reserved_names;
};

/*
 * Opens DATA_DIR, made where it does not exist. Refuses, with a sentence: a directory that holds
 * something else (-ENOTEMPTY), a newer format (-EMEDIUMTYPE), one that another process has open
 * (-EBUSY). Databases that fail to open are listed as failed, and the rest works.
 */
int engine_open(const char *data_dir, const struct engine_options *opt, struct engine **ret,
		struct err *e) must_check;
void engine_close(struct engine *en); /* finishes background work, syncs; handles must be gone */

/* One round of background work in the caller's thread: seal, migrate, expire, merge, trim. */
int engine_maintain(struct engine *en, struct err *e) must_check;

/* Owner and mode of nodes at the root and (for db paths "name/...") below; see catalog.h. */
struct node_attr {
	uint32_t mode, uid, gid; /* UINT32_MAX: not set */
};
bool engine_attr(struct engine *en, struct db *db, const char *path, struct node_attr *ret);
int engine_attr_set(struct engine *en, struct db *db, const char *path, const struct node_attr *a,
		    struct err *e) must_check; /* db NULL: the root's */

/* ---- databases -------------------------------------------------------------------------------- */

int engine_db_create(struct engine *en, struct str name, struct db **ret, struct err *e) must_check;
/* -ENOTEMPTY while it has tables or snapshots. */
int engine_db_drop(struct engine *en, struct str name, struct err *e) must_check;
struct db *engine_db(struct engine *en, struct str name); /* or NULL */
/* All databases by name, one reference each: given; free the array after putting each. */
int engine_dbs(struct engine *en, struct db ***ret, uint32_t *ret_n) must_check;
struct db *db_get(struct db *db);
void db_put(struct db *db);
const char *db_name(const struct db *db);
int64_t db_created_ns(const struct db *db);
bool db_dropped(const struct db *db);
const char *db_failure(const struct db *db); /* why it could not be opened, lent; NULL: it was */
/* For statfs: a descriptor on its directory, which may be on a disk of its own; lent. <0: it has none. */
int db_dirfd(const struct db *db);

struct db_status {
	bool failed;    /* could not be opened: nothing works but status */
	bool read_only; /* reads go on, writes are refused */
	bool stalled;   /* its disk does not answer; the figures are of some time ago */
	char reason[512];
	uint32_t tables;
	uint64_t wal_bytes;
	uint32_t wal_segments;
	uint64_t last_lsn, durable_lsn;
	uint64_t memtable_bytes;
	uint64_t batches, rows_in, rows_rejected; /* since start */
	int64_t failing_since_ns; /* writes or maintenance fail (reason) since then; 0: they do not */
	/* What opening it took: rows that were in the log alone, bytes of log read, time. */
	uint64_t recovered_rows, recovered_bytes, recovery_cut_bytes;
	int64_t recovery_ns;
	char clock_note[400]; /* expiry paused, and how to confirm; "" normally */
};
void db_status(struct db *db, struct db_status *ret);

/* ---- tables ----------------------------------------------------------------------------------- */

/* Why a database or table name is not allowed (-EINVAL, -ENAMETOOLONG), or 0. */
int engine_check_name(const struct engine *en, struct str name, struct err *e);

int db_table_create(struct db *db, struct str name, struct table **ret, struct err *e) must_check;
/* Drops the table and all its rows. only_if_empty: -ENOTEMPTY while it has rows (rmdir). */
int db_table_drop(struct db *db, struct str name, bool only_if_empty, struct err *e) must_check;
struct table *db_table(struct db *db, struct str name); /* or NULL */
int db_tables(struct db *db, struct table ***ret, uint32_t *ret_n) must_check; /* as engine_dbs() */
struct table *table_get(struct table *t);
void table_put(struct table *t);
const char *table_name(const struct table *t);
struct db *table_db(const struct table *t); /* lent */
int64_t table_created_ns(const struct table *t);
bool table_dropped(const struct table *t);
bool table_is_sync(struct table *t); /* durability = sync: each write waits for the disk */
struct series_set *table_series(const struct table *t); /* lent, lives as long as the table */

/* Grows with every change a query could see (rows, schema, settings, expiry); for sharing results. */
uint64_t table_data_version(const struct table *t);

/* ---- settings --------------------------------------------------------------------------------- */

enum setting {
	SET_RETENTION_MEMORY,
	SET_RETENTION_MAGNETIC,
	SET_DURABILITY,   /* buffered | sync */
	SET_PRECISION,    /* ns | us | ms | s: unit of line protocol's timestamps */
	SET_FUTURE_LIMIT, /* duration */
	SET_LATE_DATA,    /* magnetic | reject */
	SET_ENCODING,     /* open | compact */
	SET_PARTITION_KEY, /* see part_key.h */
	SETTINGS
};

struct setting_def {
	const char *name;    /* as a path below the table: "retention/memory", "settings/precision" */
	const char *dflt;
	const char *allowed; /* for messages: "a duration such as 90s, 12h, 7d or 10y, from 1s to 200y" */
	const char *help;
};
extern const struct setting_def setting_defs[SETTINGS];

/* Room for any setting's text, NUL included. */
#define SETTING_TEXT_MAX PART_KEY_TEXT_MAX

/* Text as shown (canonical, no newline). */
void table_setting(struct table *t, enum setting s, char to[SETTING_TEXT_MAX]);
/*
 * Check and store a value (blanks and a newline around it are ignored). -EINVAL keeps the old one
 * and says what is allowed. Takes effect at once, the background work included. A partition key's
 * names and order only change while the table has no tiles; waits for a migration under way.
 */
int table_set(struct table *t, enum setting s, struct str value, struct err *e) must_check;

/* ---- rows in ------------------------------------------------------------------------------------ */

/* What time window a row must be in now, and how its timestamp is scaled. */
struct table_window {
	int64_t lo_ns; /* rows before this are refused: older than both retentions, or late_data=reject */
	int64_t hi_ns; /* rows at or past this are refused: future_limit */
	int64_t precision_ns;
	bool lo_is_memory; /* lo is the memory store's edge (late_data = reject) */
	uint32_t key_version; /* changes with the partition key */
};
void table_window(struct table *t, struct table_window *ret);
/* What records must have and dates are split by; a reference. */
struct part_key *table_part_key(struct table *t);

/*
 * Store rows: definitions that are new go to the log in front of them; all of it or nothing. On
 * return they are visible and survive kill -9; with durability = sync, power loss too. Blocks while
 * memory is short. Batches may be of several tables of the same database.
 */
struct version_conflict {
	uint32_t row;     /* of the batch as it was given */
	int64_t existing; /* version that is stored */
	bool is_same;     /* the versions are equal and the values are not; else the stored one is higher */
};

struct table_batch {
	struct table *table;
	/* Borrowed. With has_version, rows that lost against what is stored are taken out of it. */
	struct batch *batch;
	struct version_conflict *conflicts; /* out, given (free()): rows refused, ascending; NULL on failure */
	uint32_t conflict_n;                /* out */
};
int db_append(struct db *db, struct table_batch *batches, uint32_t n, struct err *e) must_check;

/*
 * Rows of a batch with has_version follow the version rules: one that finds its identity stored with
 * a higher version, or with the same version and other values, is refused (conflicts); with a higher
 * version it replaces the whole row; with the same version and values it changes nothing. Rows of
 * other batches patch what is stored field by field and keep its version (a new row's is 1).
 */

/* fsync(2): everything acknowledged so far survives power loss. */
int db_sync(struct db *db, struct err *e) must_check;

/* ---- rows out of existence ---------------------------------------------------------------------- */

/*
 * One DELETE. begin marks a moment: what is stored then can be looked at with scan_open() and
 * scan_spec.upto_seq = deletion_seq(), and is what the ranges apply to; rows that come later are
 * neither seen nor erased. commit makes it so, durably and visibly at once, or nothing happened. The
 * table is not maintained between begin and commit (or abort), so writers may come to wait for memory.
 *
 * Ranges may come in any order and overlap. Series and times are inclusive. -E2BIG: more ranges than
 * can be kept; erase less at a time. One thread at a time per deletion.
 */
struct deletion;
int table_delete_begin(struct table *t, struct deletion **ret, struct err *e) must_check;
uint64_t deletion_seq(const struct deletion *d);
int deletion_add(struct deletion *d, uint32_t series_lo, uint32_t series_hi, int64_t t_lo, int64_t t_hi,
		 struct err *e) must_check;
int deletion_commit(struct deletion *d, struct err *e) must_check; /* d is gone, also when it failed */
void deletion_abort(struct deletion *d);                           /* NULL is fine */

/* ---- refused lines ------------------------------------------------------------------------------- */

/*
 * Refused lines (JSON lines, bounded; the oldest go first): of each table, and of a database those
 * that name no table it has. The log is lent, for the life of the handle it came from.
 */
struct rejected_log;
struct rejected_log *table_rejected(struct table *t);
struct rejected_log *db_rejected(struct db *db);
int rejected_add(struct rejected_log *r, struct str json_line, struct err *e) must_check; /* counts it, too */
int64_t rejected_size(struct rejected_log *r);
int64_t rejected_read(struct rejected_log *r, void *to, size_t n, int64_t off, struct err *e);
int rejected_clear(struct rejected_log *r, struct err *e) must_check;

/* ---- maintenance by hand (tests, shutdown) -------------------------------------------------------- */

/* Memory rows to a run. */
int table_seal(struct table *t, struct err *e) must_check;
/* Runs older than the window to tiles, merge small tiles, drop expired files; until nothing is due. */
int table_maintain(struct table *t, struct err *e) must_check;

/* ---- what there is ---------------------------------------------------------------------------------- */

/*
 * Reads no rows. Rows that were deleted count until no file holds them. What a run still shows of the one date that was moved in part is an estimate (its
 * rows spread evenly over that date); all else is exact, until the next change.
 */
struct tier_stats {
	uint64_t rows; /* stored and not moved on; duplicates across files count until they are merged */
	uint64_t bytes;
	uint64_t values; /* not NULL; 0 for the memtable, where they are not counted */
	uint32_t files;
	int64_t t_min_ns, t_max_ns; /* t_min > t_max: empty */
};

/* What fails in the background, and is tried again. */
struct failure {
	int64_t since_ns; /* 0: nothing fails now */
	int64_t last_ns;  /* of the last failure; 0: none since start */
	uint64_t count;   /* since start */
	char text[256];   /* of the last failure */
};

struct table_stats {
	struct tier_stats memtable, runs, tiles;
	uint32_t series, columns;
	uint32_t tile_dates, tile_parts; /* dates with tiles; parts of all of them */
	uint64_t series_bytes;
	uint64_t rows_in, lines_rejected; /* since start */
	uint64_t pending_rows;      /* due to move to tiles */
	uint64_t pending_late_rows; /* of these: late for dates that have tiles, to be merged with them */
	uint32_t pending_dates;     /* on so many dates; rows in memory not counted */
	uint32_t pending_deletes;       /* DELETE statements whose rows some file holds still */
	uint32_t pending_delete_files;  /* files that may hold such rows */
	int64_t expired_before_ns;
	uint64_t memtable_bytes;
	/* Written since start: rows for the first time, as runs; and again, as tiles and by merges. */
	uint64_t sealed_rows, sealed_bytes, rewritten_rows, rewritten_bytes;
	struct failure failure; /* of maintenance */
};
void table_stats(struct table *t, struct table_stats *ret);
bool table_has_rows(struct table *t);

/* Sums over all tables. */
struct db_stats {
	uint64_t rows, bytes; /* bytes: of files and memtables */
	uint64_t memory_rows, tile_rows;
	uint64_t series;
	uint32_t files;
	uint64_t pending_rows;
	uint32_t failing_tables;
};
void db_stats(struct db *db, struct db_stats *ret);

/* What limits memtables, and what they hold now, of all databases. */
void engine_memory(struct engine *en, size_t *ret_bytes, size_t *ret_limit);

/* Decoded pages that are kept (page.h). */
struct cache_stats {
	uint64_t limit_bytes, bytes, pages;
	uint64_t hits, misses; /* since start */
};
void engine_cache(struct engine *en, struct cache_stats *ret);

/* ---- tiles as files --------------------------------------------------------------------------------- */

/* One published tile; path is below magnetic/: "ts_date=2014-02-14/ts_part=00/<name>.parquet". */
struct tile_entry {
	uint64_t id; /* stable: inode number material */
	char path[256];
	uint64_t bytes;
	int64_t mtime_ns;
};
int table_tiles(struct table *t, struct tile_entry **ret, uint32_t *ret_n) must_check; /* by path; free() */
/* An O_RDONLY descriptor, given; the file may be dropped meanwhile and stays readable. */
int table_tile_fd(struct table *t, const char *path, int *ret_fd, struct err *e) must_check;
/* Delete that file's rows. */
int table_tile_remove(struct table *t, const char *path, struct err *e) must_check;

/*
 * Bring back a tile: a file of tidefs' own, of this table or another, this version or an older one.
 * begin gives a descriptor (O_RDWR, lent until close) of an unnamed file in the cell to put the bytes
 * into. commit checks all of it and stores its rows as written now: they replace what is there under the
 * same identity. Rows older than the retention are left out. Its name and place mean nothing, its
 * columns are found by name, its series by their dimensions. Nothing is stored when it fails:
 *
 *	-EBADMSG  not a whole tile, or damaged: where
 *	-EINVAL   a Parquet file, but not a tile of tidefs; columns that do not fit this table; rows too far
 *		  in the future; all rows older than the retention
 *	-ENOSPC, -EIO, -ESTALE, -EROFS, -ENOMEM
 *
 * A commit that failed may be tried again, and one that did not, too: the same rows are then written
 * again. The bytes must not change meanwhile. name: for messages.
 */
struct restore;
int table_restore_begin(struct table *t, struct restore **ret, int *ret_fd, struct err *e) must_check;
int table_restore_commit(struct restore *r, const char *name, struct err *e) must_check;
void table_restore_close(struct restore *r); /* NULL is fine */

/* ---- snapshots ------------------------------------------------------------------------------------- */

/*
 * A read-only copy of a database as of one moment, below <cell>/snapshots/<name>/:
 *
 *	snapshot.json                       tables, columns, settings, when
 *	<table>/magnetic/ts_date=.../...    tiles: linked where they hold what the table shows, written
 *	                                    where memory, runs or deletions say otherwise
 *
 * Names follow the rules of databases, and may be those of control files. It appears as a whole or not at all.
 */
/*
 * May take long: as long as copying what is not in tiles yet. Writers go on. stop (or NULL): set it from
 * another thread, and the call ends soon with -ECANCELED. -EEXIST, -ENOSPC: nothing of it is there.
 */
int db_snapshot_create(struct db *db, struct str name, const _Atomic bool *stop, struct err *e) must_check;
int db_snapshot_drop(struct db *db, struct str name, struct err *e) must_check; /* -ENOENT */
struct snapshot_entry {
	char name[NAME_LEN_MAX + 1];
	int64_t created_ns;
};
int db_snapshots(struct db *db, struct snapshot_entry **ret, uint32_t *ret_n) must_check; /* by name; free() */
/* O_RDONLY | O_DIRECTORY on the snapshot's directory; given. Nothing below it ever changes. */
int db_snapshot_dirfd(struct db *db, struct str name, int *ret_fd, struct err *e) must_check;

/* One of them, held: a reference, or NULL. It outlives a drop, but not the handle of the database. */
struct snapshot;
struct snapshot *db_snapshot(struct db *db, struct str name);
struct snapshot *snapshot_get(struct snapshot *s);
void snapshot_put(struct snapshot *s);
int64_t snapshot_created_ns(const struct snapshot *s);
int snapshot_dirfd(struct snapshot *s); /* as above, but lent; or <0 */
bool snapshot_dropped(const struct snapshot *s);
/* The name of the i-th table; false past the last. Lent while the snapshot is held. */
bool snapshot_table(struct snapshot *s, uint32_t i, struct str *ret);
/*
 * Owner and mode of a table in it ("" itself, or a path below): those that the table has now, or had
 * when it was copied if it has been dropped since. false: none of its own.
 */
bool snapshot_attr(struct snapshot *s, struct db *db, struct str table, const char *below, struct node_attr *ret);
/*
 * Make the tables that a snapshot.json names, with their columns and settings, in this database.
 * Tables that exist keep their rows and get what they lack. -EINVAL with the place where text or
 * contents do not fit, -EACCES: then nothing was changed. After another error some tables may have
 * been made, and the call can be repeated.
 */
struct snapshot_hooks {
	bool (*may_change)(void *ctx, struct table *t); /* asked of each table that exists; NULL: all */
	void (*made)(void *ctx, struct table *t);       /* told of each that did not; or NULL */
	void *ctx;
};
int db_snapshot_apply(struct db *db, struct str json, const struct snapshot_hooks *hooks, struct err *e) must_check;

/* For statfs: a descriptor on the data directory, lent. */
int engine_dirfd(const struct engine *en);

#endif
