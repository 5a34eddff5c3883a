/*
 * internal: what the engine's own files share about databases and tables. Nobody else includes this.
 *
 * Locks, taken in this order (docs/locking.md):
 *
 *	engine.mu       the list of databases
 *	db.trim_mu      one trim of the log at a time
 *	db.create_mu    one table is made at a time
 *	db.mu           the list of tables, state flags
 *	table.maint_mu  one seal, migration or merge of a table at a time
 *	table.append_mu one append at a time: log, then memtable, in the same order
 *	table.mu        what readers snapshot: memtable counts, the list of files, settings
 *
 * A snapshot is made under db.make_mu, which comes before db.mu; its list, db.snap_mu, after db.mu. For
 * its moment all append_mu of a database are held together, by table id, as an append does.
 *
 * The WAL, the catalogue, the series set and blocks have locks of their own, taken last.
 */
#ifndef TIDE_ENGINE_INTERNAL_H
#define TIDE_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/catalog.h"
#include "engine/engine.h"
#include "engine/memtable.h"
#include "engine/series_parts.h"
#include "engine/tile.h"
#include "engine/tombs.h"
#include "engine/wal.h"

#define DIR_TABLES  "tables"
#define DIR_WAL     "wal"
#define DIR_RUNS    "runs"
#define DIR_TILES   "magnetic"
#define DIR_INCOMING "incoming" /* bytes to be restored, for the moment in which they have a name */
#define FILE_SERIES "series"
#define FILE_COPY   "catalog.json" /* see db_copy.c */
#define FILE_TABLE_COPY "table.json"
#define COPY_PATH   64

/* ---- files: runs and tiles -------------------------------------------------------------------------- */

/* The rows of `date` before upto_ns have been moved from this run to tiles. */
struct moved {
	int32_t date;
	int64_t upto_ns;
};

/* The dates on which a run has rows (days.c). Immutable. */
struct day {
	int32_t date;
	uint64_t rows;
	int64_t t_min, t_max;
};

struct days {
	_Atomic uint32_t refs;
	uint32_t n;
	struct day v[]; /* by date */
};

/*
 * One run or tile. Immutable but for `tile`, which is opened at first use. What migration moves out
 * of a run is seen by making a new `struct file` over the same tile.
 */
struct file {
	_Atomic uint32_t refs;
	struct catalog_file meta;
	struct moved *moved; /* sorted by date */
	uint32_t moved_count;
	pthread_mutex_t open_mu;
	struct tile *tile; /* guarded by open_mu; set once */
	struct days *days; /* guarded by open_mu; set once, runs only */
};

/* stats.c: a reader got rc; where that says that a file is damaged or gone, status shows it as long as the file stays. */
void table_note_damage(struct table *t, int rc, const struct err *e);

struct file *file_get(struct file *f);
void file_put(struct file *f);
/* The opened tile, lent while the file is referenced. */
int file_tile(struct file *f, struct table *t, struct tile **ret, struct err *e) must_check;

/* Before which time the run no longer shows rows of that date: INT64_MIN where it shows all. */
int64_t file_moved_upto(const struct file *f, int32_t date);
/* Index in f->moved of the first entry of that date or a later one; moved_count: none. */
uint32_t file_moved_from(const struct file *f, int32_t date);

/* days.c: lent while the file is referenced. */
int file_days(struct file *f, struct table *t, const struct days **ret, struct err *e) must_check;
const struct day *days_find(const struct days *d, int32_t date); /* or NULL */
void days_put(struct days *d);

/* Dates gathered row by row, or many at once. v: by date, given (free()). */
struct day_count {
	struct day *v;
	uint32_t n, cap, last;
};
int day_count_add(struct day_count *c, int32_t date, uint64_t rows, int64_t t_min, int64_t t_max) must_check;

/* The files of a table at some moment: tiles first (oldest rows), then runs by sequence. */
struct file_set {
	_Atomic uint32_t refs;
	uint32_t n;
	struct file *v[];
};

struct file_set *file_set_get(struct file_set *s);
void file_set_put(struct file_set *s);

/* ---- refused lines ------------------------------------------------------------------------------------------ */

struct rejected_log {
	struct db *db; /* whose directory; not referenced: it is part of it, or of a table that does */
	char path[96]; /* below the cell */
	_Atomic uint64_t lines; /* since start */
	pthread_mutex_t mu;
	int fd;       /* guarded by mu; -1 until used */
	int64_t size; /* guarded by mu */
};

void rejected_init(struct rejected_log *r, struct db *db, const char *path);
void rejected_release(struct rejected_log *r);

/* ---- tables -------------------------------------------------------------------------------------------- */

#define SETTING_SHORT_MAX 64

struct settings {
	int64_t retention_memory_ns;
	int64_t retention_magnetic_ns;
	int64_t future_limit_ns;
	int64_t precision_ns;
	bool is_sync;     /* durability = sync */
	bool late_reject; /* late_data = reject */
	bool is_compact;  /* encoding = compact */
	struct part_key *key; /* a reference */
	char text[SETTINGS][SETTING_SHORT_MAX]; /* but the key's, which is long and can be made anew */
};

/* Series in file order: rank[id] of the first n series. Immutable; a new one replaces it. */
struct series_order {
	_Atomic uint32_t refs;
	uint32_t n;
	uint32_t *ids;  /* by rank */
	uint32_t *rank; /* by id */
};

/* After a failure the next try waits, longer each time: a full disk must not be filled again and again. */
struct patience {
	_Atomic int64_t until_mono_ns;
	_Atomic uint32_t failures;
};

struct table {
	_Atomic uint32_t refs;
	struct db *db; /* referenced */
	struct catalog_table meta; /* flushed_lsn, expired_before: guarded by mu */
	char dir[64]; /* "tables/7", below the cell */
	struct series_set *series;
	_Atomic bool is_dropped;
	_Atomic uint64_t data_version;
	_Atomic uint64_t rows_in;
	_Atomic int64_t last_append_mono_ns;

	pthread_mutex_t append_mu;
	struct memtable mem;        /* see memtable.h */
	uint64_t applied_lsn;       /* guarded by append_mu: last record of ours in the memtable */
	uint64_t unsaved_def_lsn;   /* guarded by append_mu: oldest definition that only the log may hold; 0 none */
	uint64_t saving_def_lsn;    /* guarded by append_mu: the same of those that are just being saved */
	struct last_times *last;    /* guarded by append_mu; NULL until versions come (versions.c) */
	struct buf def_cols, def_series, rows_buf; /* scratch of db_append(), guarded by append_mu */

	pthread_mutex_t mu;
	struct file_set *files;     /* guarded by mu; the set is immutable */
	struct tomb_set *tombs;     /* guarded by mu; changed by holders of maint_mu; NULL: none */
	struct settings settings;   /* guarded by mu */
	uint32_t key_version;       /* guarded by mu */
	struct series_parts *parts; /* guarded by mu; by settings.key. Only changes under maint_mu */
	struct series_order *order; /* guarded by mu; may lag behind the series set */

	pthread_mutex_t maint_mu;
	_Atomic bool force_migrate; /* a retention changed: move what is due without waiting */
	_Atomic int64_t due_since_mono_ns; /* 0: nothing was due */
	_Atomic int64_t tried_mono_ns;     /* the last migration that was not forced */
	_Atomic int64_t erase_since_mono_ns; /* 0: no deletion waits for files to be rewritten */
	struct patience seal_patience, migrate_patience, compact_patience;
	struct failure failure;     /* guarded by mu */
	int64_t damage_since_ns;    /* guarded by mu; a file could not be read; 0: none was found */
	char damage[256];           /* guarded by mu; names that file */
	_Atomic uint64_t sealed_rows, sealed_bytes, rewritten_rows, rewritten_bytes; /* since start */
	_Atomic uint64_t generation; /* of the next file */

	struct rejected_log rejected;

	struct table *next; /* db's list, guarded by db.mu */
};

/* ---- databases ------------------------------------------------------------------------------------------ */

/* wallclock.c: whether expiry may go by the wall clock. */
enum clock_doubt { CLOCK_BELIEVED, CLOCK_JUMPED, CLOCK_BEHIND, CLOCK_AHEAD };

struct clock_moment {
	int64_t wall_ns, boot_ns; /* boot_ns: since the boot of that id */
	uint64_t boot;            /* 0: not known */
};

struct wallclock {
	struct clock_moment believed; /* the last time that it was */
	bool has_believed, is_this_boot;
	bool was_set_forward; /* since then, under our eyes */
	enum clock_doubt doubt;
	int64_t off_ns, seen_ns; /* of the last look */
	int64_t stored_mono_ns;  /* 0: not by this process */
	bool is_unstored;        /* do not wait for the minute */
	uint32_t confirmations;
};

struct db {
	_Atomic uint32_t refs;
	struct engine *en;
	char name[NAME_LEN_MAX + 1];
	int dirfd; /* of the cell */
	int64_t created_ns;
	struct catalog *cat;
	struct wal *wal;
	_Atomic bool is_dropped;
	_Atomic uint64_t batches;
	struct rejected_log rejected; /* lines that name no table */

	pthread_mutex_t trim_mu; /* what is trimmed and what the catalogue knows of it go together */
	pthread_mutex_t create_mu;
	pthread_mutex_t mu;
	struct table *tables;
	bool is_failed; /* constant after open, as reason */
	char reason[512];

	pthread_t thread; /* background work of this cell */
	bool has_thread; /* guarded by wake_mu */
	pthread_mutex_t wake_mu;
	pthread_cond_t wake, round_done;
	struct wal_progress progress; /* of opening */
	uint64_t recovered_rows;      /* constant after open, as recovery_ns */
	int64_t recovery_ns;
	bool is_stopping, is_woken; /* guarded by wake_mu, as all up to the clock */
	uint64_t rounds;            /* of maintenance */
	char last_failure[512];     /* of maintenance */
	int last_failure_rc;
	int64_t failing_since_ns;   /* 0: the last round was good */
	char seal_failure[512];     /* of sealing in the last round: no memory comes free */
	int seal_failure_rc;

	_Atomic size_t memtable_bytes;       /* of its tables */
	_Atomic bool cannot_seal;            /* as of the last round */
	_Atomic int64_t round_since_mono_ns; /* the round of maintenance under way; 0: none */
	_Atomic int64_t forced_mono_ns, forced_took_ns; /* the last forced migration: its end, how long it took */

	struct wallclock clock; /* guarded by wake_mu */

	pthread_mutex_t make_mu;  /* one snapshot is made at a time */
	pthread_mutex_t snap_mu;
	struct snapshot *snapshots; /* guarded by snap_mu: by name */

	pthread_mutex_t attr_mu;
	struct attr_entry *attrs; /* guarded by attr_mu */
	uint32_t attr_count, attr_cap;

	struct db *next; /* engine's list, guarded by engine.mu */
};

struct attr_entry {
	char *path;
	struct node_attr attr;
};

struct engine {
	const struct io *io;
	struct engine_options opt;
	int dirfd;
	int lock_fd;
	char *path;
	uint64_t boot; /* which boot of the machine this is; 0: not known */
	_Atomic size_t memtable_bytes; /* of all tables */
	_Atomic size_t freed_bytes;    /* that left it since memory_trim() did something */
	size_t memtable_limit;
	struct page_cache *pages; /* of tiles and runs that were read */

	struct db root; /* only its catalogue and attributes are used: the root's */

	pthread_mutex_t mu;
	struct db *dbs;
};

/* engine.c: whose directory is it (made where opt.read_only allows), and nobody else has it open. */
int engine_check_format(struct engine *en, struct err *e) must_check;
int engine_lock(struct engine *en, struct err *e) must_check;

int name_check(struct str name, struct err *e); /* as engine_check_name(), but for reserved names */

/* db_copy.c: from here on (the root too, without tables) copies of the catalogue are kept. Opened for writing. */
void copies_begin(struct db *db);
/*
 * 0: there is a catalogue. -ENOENT: there is none, and nothing else says that there was. -EBADMSG: it is lost; path is for
 * the sentence, and ends in '/' unless empty.
 */
int check_catalog_there(int dirfd, const char *path, struct err *e) must_check;
void copy_path(char to[COPY_PATH], uint32_t table_id); /* below the cell; 0: of the database itself */

/* memory.c */
void memory_add(struct db *db, size_t bytes); /* rows came into memory, or left it */
void memory_sub(struct db *db, size_t bytes);
void memory_trim(struct engine *en); /* after work that freed memory: gives it back to the system, where it is much */
/* What is used of which limit, as far as it concerns this database. Takes en->mu where much is used. */
void memory_view(struct db *db, size_t *ret_used, size_t *ret_limit);
bool memory_is_full(struct db *db);

/* db.c */
struct db *db_create(struct engine *en, const char *name); /* not opened yet; NULL without memory */
/* Open all of it, once. One that failed is marked so, with the reason, and is closed like any other. */
int db_load(struct db *db, bool is_new, struct err *e); /* is_new: its directory was made just now */
void db_forget(struct engine *en, const char *name);    /* it was dropped */
void db_close(struct db *db);      /* stops the thread, closes tables, log and catalogue */
void db_wake(struct db *db);       /* have the background thread look now */
void db_remove_dir(struct engine *en, const char *name);
int db_check_alive(struct db *db, struct err *e);
int db_trim_log(struct db *db, struct err *e);
uint64_t db_log_pin(struct table *const *tables, uint32_t n); /* the oldest table_log_pin() */
int attrs_load(struct db *db, struct err *e);
void attrs_drop(struct db *db, const char *path);
void attrs_release(struct db *db);

/* wallclock.c; none is called with wake_mu held */
int wallclock_load(struct db *db, struct err *e);
void db_note_clock(struct db *db); /* look at the clock; stores what is believed, about once a minute */
bool db_clock_doubtful(struct db *db);
void db_confirm_clock(struct db *db); /* somebody who sees the time says it is right */
void db_close_clock(struct db *db);   /* look and store, for the next start */
void db_clock_note(struct db *db, char *to, size_t cap); /* "", or why expiry is paused */

/* table.c */
int table_open(struct db *db, const struct catalog_table *meta, struct table **ret, struct err *e);
void table_close(struct table *t); /* what db_close does to the last reference */
int table_replay(struct table *t, const struct wal_record *rec, struct err *e);
int table_check_alive(struct table *t, struct err *e);
void table_note_change(struct table *t);
int table_order(struct table *t, struct series_order **ret); /* covers every series that exists now */
void series_order_put(struct series_order *o);
struct series_parts *table_parts(struct table *t); /* a reference */
size_t table_memtable_bytes(struct table *t);
uint32_t table_memtable_blocks(struct table *t);
uint64_t table_log_pin(struct table *t); /* oldest log record that only the log holds; UINT64_MAX: none */

/* files.c */
struct file *file_create(const struct catalog_file *meta, struct tile *tile); /* tile: referenced, or NULL */
struct file *file_copy(struct file *f); /* another of the same content, to be changed before it is shown */
/*
 * The table's set as it will be. Made before the catalogue commits, as it may fail, and installed
 * after that, which cannot. Takes the references in add, unless it fails. Caller holds maint_mu from
 * here to the installing (or file_set_put()).
 */
int file_set_make(struct table *t, struct file **add, uint32_t add_n, const uint64_t *drop_ids,
		  uint32_t drop_n, struct file_set **ret, struct err *e) must_check;
void file_set_install(struct table *t, struct file_set *s); /* taken; t->mu is taken inside */
int table_load_files(struct table *t, struct err *e);
void file_unlink(struct table *t, struct file *f);
struct file_set *table_pin_files(struct table *t);

/* scan.c: a scan over chosen sources, oldest rows first; takes the references, also when it fails. */
struct scan;
struct scan_spec;
int scan_open_sources(struct table *t, const struct scan_spec *spec, struct file **files, uint32_t file_n,
		      struct block_view *views, uint32_t view_n, struct tomb_set *tombs, struct budget *budget,
		      struct scan **ret, struct err *e); /* tombs: borrowed, NULL: none */
/* Before the first scan_next(): of runs, only rows up to t_hi; of tiles, all the spec says. */
void scan_limit_runs(struct scan *s, int64_t t_hi);

/* delete.c */
int table_load_tombs(struct table *t, struct err *e);
struct tomb_set *table_pin_tombs(struct table *t);
/*
 * A number in the order of the table's changes, behind all rows there are: no block holds rows from
 * both sides of it. Caller holds maint_mu and append_mu.
 */
int table_mark_locked(struct table *t, enum wal_mark what, uint64_t *ret_seq, struct err *e) must_check;

/*
 * versions.c: take the rows out of the batch that the version rules refuse, and those that change
 * nothing. Caller holds append_mu. Afterwards last_times_note() for every batch that was appended.
 */
struct last_times;
int versions_resolve(struct table *t, struct table_batch *tb, struct err *e) must_check;
void last_times_note(struct table *t, const struct batch *b);
void last_times_forget(struct table *t); /* rows came by another way; caller holds append_mu */
void last_times_destroy(struct last_times *l);

/* rewrite.c: one new file, of what a scan yields or row by row. It counts once the catalogue names it. */
struct rewrite {
	struct table *table;
	bool is_first; /* the rows are in no file yet: for statistics */
	enum catalog_file_kind kind;
	struct catalog_file meta; /* in: generation, date, part(s), and by the end seq; out: all but id */
	const char *dir;          /* below the table's, made where missing */
	const char *base;         /* instead of the table's directory, below the cell; NULL: that */
	const atomic_bool *stop;  /* set: give up with -ECANCELED; or NULL */
	struct writing *w;        /* between begin and finish or abort */
};
/* scan: with times and versions wanted. */
int rewrite_file(struct rewrite *r, struct scan *scan, const uint32_t *field_ids, uint32_t field_n,
		 struct tile **ret_tile, struct err *e); /* *ret_tile NULL: no rows, no file */

/* The same by hand: begin; rows, series by series in file order, as tile_writer_rows(); finish or abort. */
int rewrite_begin(struct rewrite *r, const uint32_t *field_ids, uint32_t field_n, struct err *e) must_check;
int rewrite_rows(struct rewrite *r, uint32_t series_id, uint32_t n, const int64_t *time_ns, const struct col *cols,
		 const int64_t *version, struct err *e) must_check;
int rewrite_finish(struct rewrite *r, struct tile **ret_tile, struct err *e) must_check; /* over, also when it fails */
void rewrite_abort(struct rewrite *r); /* also before begin and after finish */

/* settings.c */
int settings_init(struct settings *s) must_check; /* all at their defaults; -ENOMEM */
void settings_release(struct settings *s);
int settings_apply(struct settings *s, enum setting which, struct str value, struct err *e);
/* What the catalogue has of a table; s: initialised. -EBADMSG: its partition key is none. */
int settings_load(struct settings *s, struct catalog *cat, uint32_t table_id, struct err *e) must_check;
int table_load_settings(struct table *t, struct err *e);
/*
 * As table_set(), of a table that is being restored and whose rows may have come first: its partition key
 * can change while no date is split into parts. check: would it be taken, as things are now?
 */
int table_set_restored(struct table *t, enum setting which, struct str value, struct err *e) must_check;
int table_check_restored(struct table *t, enum setting which, struct str value, struct err *e) must_check;
int64_t settings_memory_edge(const struct settings *s, int64_t now_ns); /* rows before it belong to tiles */
int64_t settings_expiry_edge(const struct settings *s, int64_t now_ns); /* rows before it are expired */

/* gather.c */

/* seal.c */
/*
 * Seal, and make `restored` count in the same transaction: a run that is written but for its end. It gets
 * a number of the log of its own: newer than all rows there are, older than all that come after. It is
 * finished by this, also when it fails. Caller holds maint_mu.
 */
int table_seal_with(struct table *t, struct rewrite *restored, struct err *e) must_check;
int table_field_ids(struct table *t, uint32_t **ret, uint32_t *ret_n); /* measure columns; free() */

/* fold.c */
int table_fold_tombs(struct table *t, struct err *e); /* many deletions as few */

/* compact.c */
uint64_t table_erase_bytes(struct table *t);              /* of files that deletions may concern */
int table_reclaim(struct table *t, struct err *e);        /* rewrite them, and forget the deletions */
int table_merge_runs(struct table *t, struct err *e);     /* until no runs are many and alike */

/* migrate.c, maintain.c */
int table_migrate(struct table *t, bool force, bool *ret_worked, struct err *e);
/* Rows old enough for tiles, in runs and memtable. Reads at most the dates of runs that are new to it. */
struct due {
	uint64_t rows;      /* in runs: an estimate */
	uint64_t late_rows; /* of these, on dates that have tiles */
	uint32_t dates;
	uint64_t mem_rows;  /* in the memtable */
};
void table_due(struct table *t, struct due *ret);
int db_maintain(struct db *db, struct err *e);
void *db_maintain_thread(void *arg);

#endif
