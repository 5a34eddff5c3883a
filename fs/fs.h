/*
 * fs: the mounted face. Decodes what the kernel asks, calls engine and query, replies.
 *
 *	fs       one mount: everything below hangs on it
 *	node     what a nodeid of the kernel stands for (nodes.h)
 *	vfile    a row of the table of virtual files (files.h)
 *	handle   an open file or directory
 *	caller   who asks, captured when something is opened
 *
 * Private to fs/. Functions return `int rc` like everything else; only reply_err() in ops.c turns a
 * negative errno into what the kernel wants. Locks and their order: docs/locking.md.
 */
#ifndef TIDE_FS_H
#define TIDE_FS_H

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "engine/base/base.h"
#include "engine/base/log.h"
#include "engine/engine.h"
#include "query/query.h"

struct nodes;
struct node;
struct vfile;
struct handle;
struct result;
struct slots;
struct results;
struct scratches;
struct incomings;
struct locks;
struct snapshot_jobs;
struct makers;

struct fs_options {
	const char *data_dir;   /* absolute */
	const char *mountpoint; /* absolute */
	size_t memory_bytes;    /* 0: the engine's default */
	size_t cache_bytes;     /* likewise */
	int64_t sync_interval_ns;
	const char *spool_dir;  /* NULL: DATA_DIR/spool */
	uint64_t spool_quota;   /* bytes a uid may hold in spooled results */
	const char *unload_dir; /* UNLOAD may write below it; NULL: nowhere */
	uint64_t query_memory;  /* bytes a statement may use; 0: the default */
	unsigned query_threads; /* at one statement; 0: as many as there are cores */
	unsigned threads;       /* that serve requests, at most */
	bool allow_other;
	bool foreground;
	bool debug;
};

#define FS_REFUSALS 32 /* databases whose last refusal is kept; the oldest goes */

struct fs {
	struct engine *engine;
	struct fuse_session *se;
	const struct fs_options *opt;
	struct nodes *nodes;
	struct results *results;
	struct slots *slots;
	struct scratches *scratches;
	struct incomings *incomings;
	struct locks *locks;
	struct snapshot_jobs *snapshot_jobs;
	struct makers *makers;
	uid_t uid; /* the daemon's: owner of what has no owner of its own */
	gid_t gid;
	int64_t start_ns;

	/* Runs once when the kernel's first request came: the mount is usable. */
	void (*ready)(void *ctx);
	void *ready_ctx;

	pthread_mutex_t handles_mu;
	struct handle *handles; /* guarded by handles_mu: all open ones, for the end */

	pthread_mutex_t refused_mu;
	/* Guarded by refused_mu: the last refusal of each of some databases (and of the root, ""), for `status`. */
	struct fs_refusal {
		int64_t when_ns; /* 0: none */
		char db[256];
		char text[768];
	} refused[FS_REFUSALS];

	/* The ticker: expiry and invalidation, a thread of its own (notify.c). */
	pthread_t ticker;
	pthread_mutex_t ticker_mu;
	pthread_cond_t ticker_cond;
	bool ticker_started, ticker_stop;
};

int fs_init(struct fs *fs, struct engine *en, const struct fs_options *opt, struct err *e) must_check;
void fs_release(struct fs *fs); /* after the session's loop ended; fine with a half-made one */
extern const struct fuse_lowlevel_ops fs_ops;

/* ---- who asks (attr.c) ------------------------------------------------------------------------ */

#define SID_UNKNOWN (-1)

struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;      /* 0: not visible from here (another pid namespace) */
	pid_t sid;      /* session id, or SID_UNKNOWN; set by caller_capture() */
	int group_n;    /* supplementary groups; unreadable ones count as none */
	gid_t *groups;
};

void caller_init(struct caller *c, fuse_req_t req); /* uid, gid, pid; groups are read when needed */
/* Everything, while the process is surely alive: for what outlives the request. */
void caller_capture(struct caller *c, fuse_req_t req);
int caller_copy(struct caller *to, const struct caller *from) must_check;
void caller_release(struct caller *c);
bool caller_same(const struct caller *a, const struct caller *b); /* the same rights? */
bool caller_in_group(struct caller *c, gid_t gid);
/* Has this thread a signal waiting for it that is meant to end it: HUP, INT, QUIT, TERM, KILL? */
bool caller_is_leaving(pid_t pid);

/*
 * May c do `mask` (R_OK, W_OK, X_OK or 0) with this node? Directories above are searched too, since
 * the kernel may have walked cached names for somebody else. 0, -EACCES, or -ESTALE when dropped.
 */
int node_access(struct fs *fs, struct node *n, struct caller *c, int mask);

/* Owner and permission bits in force. */
void node_owner(struct fs *fs, struct node *n, struct node_attr *ret);

/* chmod, chown. */
int node_chattr(struct fs *fs, struct node *n, struct caller *c, const struct stat *st, int to_set,
		struct err *e) must_check;

/* The same questions for SQL, which names databases and tables and no nodes. */
bool feed_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t); /* lines of a database's ingest */
/* To change a table's settings and columns, as a snapshot.json that names it would. */
bool settings_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t);
bool sql_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t, enum query_right right);

/* ---- open files ---------------------------------------------------------------------------------- */

/*
 * What one kind of file does. Every member may be NULL: reads then give end of file, writes -EPERM,
 * flush and fsync succeed, truncation is ignored. Calls of one handle may come from several threads;
 * h->mu is there for those that care.
 */
struct file_ops {
	/* Access was checked. May set h->direct_io = false and h->keep_cache. */
	int (*open)(struct handle *h, struct err *e);
	void (*read)(struct handle *h, fuse_req_t req, size_t n, int64_t off); /* replies */
	int64_t (*write)(struct handle *h, const char *p, size_t n, int64_t off, struct err *e);
	/* In its place, where it may take long: who writes may be interrupted. */
	int64_t (*write_for)(struct handle *h, fuse_req_t req, const char *p, size_t n, int64_t off, struct err *e);
	int (*flush)(struct handle *h, fuse_req_t req, struct err *e); /* every close(2); does not reply */
	int (*fsync)(struct handle *h, struct err *e);
	void (*release)(struct handle *h); /* the last close */
	/* open(O_TRUNC) and truncate(2); h NULL where the kernel named none */
	int (*truncate)(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e);
	/* Size and times; the rest is filled in. May be called for any node of this kind. */
	int (*attr)(struct fs *fs, struct node *n, struct stat *st);
	/* Answers GETATTR itself, perhaps later. Returns false: the ordinary way, please. */
	bool (*getattr)(struct fs *fs, struct node *n, fuse_req_t req);
};

struct handle {
	_Atomic int refs;  /* requests under way, and one until RELEASE: that may overtake a reader's last steps */
	struct fs *fs;
	struct node *node; /* referenced */
	const struct file_ops *ops;
	struct caller who;
	bool readable, writable;
	bool sync_each;    /* O_SYNC or O_DSYNC */
	bool truncated;    /* O_TRUNC */
	bool direct_io;    /* what open(2) answers */
	bool keep_cache;
	pthread_mutex_t mu;
	void *priv;        /* of ops */
	struct handle *prev, *next; /* guarded by fs->handles_mu */
};

int handle_create(struct fs *fs, struct node *n, const struct file_ops *ops, struct handle **ret) must_check;
void handle_destroy(struct handle *h); /* without release: it never was open */
struct handle *handle_enter(const struct fuse_file_info *fi); /* one reference, for one request */
void handle_close(struct handle *h);   /* a reference less; the last one releases */

/* Has this process n open for writing? Threads are numbered as processes, of which any may have opened it. */
bool handles_write(struct fs *fs, const struct node *n, pid_t pid);

/* Text of a small file, rendered whole so that partial reads agree. Never changes once made. */
struct text {
	_Atomic int refs;
	int64_t changed_ns; /* since when it has been this text */
	size_t len;
	char data[];
};
struct text *text_create(const char *p, size_t n);
struct text *text_get(struct text *t);
void text_put(struct text *t);

/* ---- replies (ops.c) ------------------------------------------------------------------------------ */

#define TEXT_FILE_MAX (16 << 20)

void reply_err(fuse_req_t req, int rc);           /* rc <= 0 */
void reply_bytes(fuse_req_t req, const char *p, size_t len, size_t n, int64_t off);
void reply_attr(struct fs *fs, fuse_req_t req, struct node *n); /* the ordinary GETATTR answer */

/* Remember why something was refused, for `status`: a write(2) can only carry an errno. */
void fs_note_refusal(struct fs *fs, struct node *n, const struct err *e, int rc);

/* Attributes of a node, size included. -ESTALE when it was dropped. */
int node_stat(struct fs *fs, struct node *n, struct stat *st) must_check;
double node_attr_timeout(const struct node *n);

/* ---- the ticker (notify.c) -------------------------------------------------------------------------- */

int ticker_start(struct fs *fs, struct err *e) must_check;
void ticker_stop(struct fs *fs);

/* ---- kinds of files -------------------------------------------------------------------------------- */

extern const struct file_ops text_ops;     /* show.c: show, or show and store */
extern const struct file_ops rejected_ops; /* show.c */
extern const struct file_ops ingest_ops;   /* ingest_file.c */
extern const struct file_ops query_ops;    /* query_file.c */
extern const struct file_ops statement_ops; /* q_dir.c */
extern const struct file_ops tile_ops;     /* tiles_file.c */
extern const struct file_ops scratch_ops;  /* scratch.c */
extern const struct file_ops snapshot_file_ops; /* snapshots.c */

#endif
