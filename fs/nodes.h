/*
 * nodes: what the kernel's nodeids stand for.
 *
 * A nodeid is the address of a struct node; the kernel holds it from the reply that mentioned it
 * until FORGET brought its lookup count back to zero, and then never names it again.
 *
 * Two kinds of identity:
 *   interned  directories, tiles, scratch and incoming files: the same thing has the same nodeid while known
 *   fresh     control files: a LOOKUP gets a nodeid that nobody uses (one constant st_ino). The kernel
 *             serialises writers of one inode; eight sensors appending to one `ingest` would take
 *             turns, and none of them needs to. And a result or a rendered text can then belong to
 *             the nodeid, which is all that fstat(2) tells us.
 *
 * What opens the same control file again and again would have the kernel throw a name away and ask
 * twice each time, were the nodeid another one. So the last node of each such file rests when all is
 * closed, and the next LOOKUP gets it, as good as new. The name of `ingest` is even believed for a second,
 * and its node shared meanwhile, where taking turns is short: may_share() in ops.c.
 */
#ifndef TIDE_FS_NODES_H
#define TIDE_FS_NODES_H

#include "fs/fs.h"

/* Which directory: the first column of the table of files. */
enum level {
	LEVEL_ROOT,
	LEVEL_DB,
	LEVEL_TABLE,
	LEVEL_RETENTION,
	LEVEL_SETTINGS,
	LEVEL_MAGNETIC,
	LEVEL_DATE,
	LEVEL_PART,
	LEVEL_Q,
	LEVEL_SNAPSHOTS,    /* <database>/snapshots/ */
	LEVEL_SNAPSHOT,     /* one of them */
	LEVEL_SNAPSHOT_DIR, /* any directory in it */
	LEVELS,
	LEVEL_NONE = LEVELS, /* no directory */
};

enum node_kind {
	NODE_DIR,       /* level says which */
	NODE_FILE,      /* row says which */
	NODE_TILE,      /* name is its path below magnetic/ */
	NODE_STATEMENT, /* below q/; name is the file name as it came */
	NODE_SCRATCH,
	NODE_SNAPSHOT_FILE, /* name is its path below the snapshot */
	NODE_INCOMING,  /* a file that is being copied into magnetic/ */
};

struct node {
	/* Constant. */
	enum node_kind kind;
	enum level level;        /* of the directory itself; for others of the directory it lies in */
	const struct vfile *row; /* its row, or NULL (databases, tables, tiles, ...) */
	struct node *parent;     /* referenced; NULL for the root */
	struct db *db;           /* referenced, or NULL */
	struct table *table;     /* referenced, or NULL */
	uint64_t ino;            /* st_ino: the same for every node of the same thing */
	uint64_t id;             /* tiles: tile_entry.id */
	uint64_t bytes;          /* tiles and files of snapshots, as mtime_ns */
	int64_t mtime_ns;
	struct scratch *scratch; /* referenced, or NULL */
	struct snapshot *snapshot; /* referenced, or NULL: it and all in it */
	struct incoming *incoming; /* referenced, or NULL */

	/* Guarded by the table of nodes. */
	int refs;         /* holders in here, and one for the kernel while lookups > 0 */
	uint64_t lookups; /* how often the kernel was told of it */
	bool interned;
	uint64_t hash;
	struct node *hash_next;
	struct node *all_prev, *all_next;

	int handles;        /* open files */
	int64_t claimed_ns; /* monotonic: a LOOKUP got it, and an open(2) may follow; 0: no */
	int64_t synced_ns;  /* directories, monotonic: when a file was opened with O_SYNC, or fsync(2) called, last; 0: never */

	_Atomic int writers;     /* handles open for writing */
	_Atomic bool opened;     /* statements: some open(2) took the result */

	/* Guarded by mu. */
	pthread_mutex_t mu;
	struct text *shown;      /* last rendered text: what fstat(2) told */
	bool shown_taken;        /* an open(2) serves it already: the next one renders anew */
	struct result *result;   /* statements and query files */
	int64_t result_base;     /* query files: file offset of its first byte */
	struct caller who;       /* statements: constant; whose rights the result has */
	int64_t born_ns;         /* statements: monotonic */

	char name[]; /* its name in the parent; tiles and dates: the path below magnetic/; in snapshots: below it */
};

int nodes_create(struct fs *fs, struct nodes **ret) must_check;
void nodes_destroy(struct fs *fs); /* frees all, whatever the kernel still holds */

struct node *nodes_root(struct nodes *ns); /* lent */
struct node *nodes_from_ino(struct fs *fs, fuse_ino_t ino); /* lent for the request */
fuse_ino_t node_to_ino(const struct node *n);

struct node_spec {
	enum node_kind kind;
	enum level level;
	const struct vfile *row;
	struct db *db;       /* borrowed; referenced by the node */
	struct table *table;
	const char *name;
	uint64_t id;         /* part of the identity */
	struct scratch *scratch;
	struct snapshot *snapshot;
	struct incoming *incoming;
};

/* A node of its own; one reference, the caller's. NULL: out of memory. */
struct node *node_create(struct fs *fs, struct node *parent, const struct node_spec *spec);
/*
 * One of a control file that nobody has open, and nobody else gets for now: the one that rests, as good
 * as new, or a new one. One reference, the caller's. NULL: out of memory.
 */
struct node *node_claim(struct fs *fs, struct node *parent, const struct node_spec *spec);
/* A reference for an open file; node_closed() gives it back. */
struct node *node_opened(struct fs *fs, struct node *n);
void node_closed(struct fs *fs, struct node *n);
/* Somebody waits for the disk after writing to this file; did anybody to one of its directory, lately? */
void node_note_sync(struct fs *fs, struct node *n);
bool node_is_synced(struct fs *fs, const struct node *n);
/* The one of that identity, found or made; one reference more, the caller's. */
struct node *node_intern(struct fs *fs, struct node *parent, const struct node_spec *spec);
struct node *node_get(struct fs *fs, struct node *n);
void node_put(struct fs *fs, struct node *n); /* NULL is fine */

/* Statements: interned by name and uid until opened. Find: one reference, or NULL. */
struct node *node_find_statement(struct fs *fs, struct node *parent, const char *name, uid_t uid);
void node_unintern(struct fs *fs, struct node *n);
void node_publish_statement(struct fs *fs, struct node *n);

/* The kernel is told of it (before the reply) and forgets (after). */
void node_lookup_add(struct fs *fs, struct node *n);
void node_forget(struct fs *fs, struct node *n, uint64_t count);

/* -ESTALE when its database or table was dropped, else 0. */
int node_check(const struct node *n);
bool node_is_dir(const struct node *n);

/* Every tile the kernel knows, one reference each; free the array after putting each. */
int nodes_tiles(struct fs *fs, struct node ***ret, uint32_t *ret_n) must_check;

/* "iot/weather/ingest", for messages; cut to fit. */
void node_path(const struct node *n, char *to, size_t cap);

#endif
