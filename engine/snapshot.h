/*
 * snapshot: what the files of snapshots share.
 *
 *	snapshot.c        the list of a database's snapshots; making one as a whole, dropping one
 *	snapshot_pin.c    one moment of all tables
 *	snapshot_write.c  a table's rows at that moment, as tiles
 *	snapshot_doc.c    snapshot.json, written and read (docs/format-snapshot.md)
 *	snapshot_apply.c  tables out of a snapshot.json
 */
#ifndef TIDE_SNAPSHOT_H
#define TIDE_SNAPSHOT_H

#include "engine/gather.h"

#define DIR_SNAPSHOTS "snapshots"
#define FILE_SNAPSHOT "snapshot.json"

#define SNAPSHOT_FORMAT  "tidefs snapshot"
#define SNAPSHOT_VERSION 1

/* ---- snapshot.json ------------------------------------------------------------------------------- */

struct snap_column {
	struct str name;
	enum coltype type;
	enum colkind kind;
};

struct snap_tile {
	struct str path; /* below <table>/magnetic/ */
	uint64_t rows, bytes;
};

struct snap_attr {
	struct str path; /* below the table; "" itself */
	struct node_attr attr;
};

struct snap_table {
	struct str name;
	uint8_t uuid[16]; /* all 0: not said */
	uint64_t rows;
	struct str settings[SETTINGS]; /* ptr NULL: not said */
	struct snap_column *columns; /* in the order of their ids */
	uint32_t column_n, column_cap;
	struct snap_tile *tiles; /* by path */
	uint32_t tile_n, tile_cap;
	struct snap_attr *attrs;
	uint32_t attr_n, attr_cap;
};

/* All of it lies in the arena. */
struct snap_doc {
	struct arena arena;
	struct str database;
	int64_t created_ns;
	struct snap_table *tables; /* by name */
	uint32_t table_n, table_cap;
};

void snap_doc_init(struct snap_doc *d);
void snap_doc_release(struct snap_doc *d);

/* One more element, cleared, at the end of an array of the document; NULL: out of memory. */
struct snap_table *snap_add_table(struct snap_doc *d);
struct snap_column *snap_add_column(struct snap_doc *d, struct snap_table *t);
struct snap_tile *snap_add_tile(struct snap_doc *d, struct snap_table *t);
struct snap_attr *snap_add_attr(struct snap_doc *d, struct snap_table *t);

const struct snap_table *snap_find(const struct snap_doc *d, struct str table); /* or NULL */

void snap_doc_print(const struct snap_doc *d, struct buf *out);
/* d: initialised. -EINVAL says which line and column, and what is allowed there; -ENOMEM. */
int snap_doc_parse(struct snap_doc *d, struct str text, struct err *e) must_check;
/* The file of a snapshot (a directory below dirfd). -EBADMSG where it is damaged. */
int snap_doc_load(struct snap_doc *d, const struct io *io, int dirfd, const char *dir, struct err *e) must_check;

/* ---- one moment ------------------------------------------------------------------------------------ */

struct snap_pin {
	struct table *table;        /* referenced, as all of it */
	struct file_set *set;
	struct tomb_set *tombs;
	struct series_parts *parts;
	struct block_view *views;
	uint32_t view_n;
	int64_t expired_before_ns;
	struct series_mark defs;    /* definitions that the log has */
};

/* Every table as of one moment, by id. *ret: given (snapshot_unpin()). */
int snapshot_pin(struct db *db, struct snap_pin **ret, uint32_t *ret_n, int64_t *ret_ns, struct err *e) must_check;
void snapshot_unpin_one(struct snap_pin *p); /* memory is held no longer than needed; again is fine */
void snapshot_unpin(struct snap_pin *v, uint32_t n);

/* ---- writing ------------------------------------------------------------------------------------------ */

struct snap_writer {
	struct db *db;
	const char *dir; /* of the snapshot that is being made, below the cell */
	struct snap_doc *doc;
	const atomic_bool *stop; /* or NULL */
};

/* The pinned table as <dir>/<name>/magnetic/..., and what the document says of it. */
int snapshot_write_table(struct snap_writer *w, struct snap_pin *p, struct snap_table *st, struct err *e) must_check;
int snapshot_stopped(const struct snap_writer *w, struct err *e); /* -ECANCELED, -ESTALE, or 0 */
int snapshot_make_dirs(const struct snap_writer *w, const char *path, struct err *e) must_check;

/* ---- of a database (db.c calls these) -------------------------------------------------------------------- */

int snapshots_open(struct db *db, struct err *e) must_check; /* lists them; sweeps what was not finished */
void snapshots_release(struct db *db);
bool snapshots_exist(struct db *db);   /* caller holds snap_mu */

#endif
