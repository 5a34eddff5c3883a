/*
 * query: the front door. SQL text in, rows or bytes out.
 */
#ifndef TIDE_QUERY_H
#define TIDE_QUERY_H

#include "engine/engine.h"
#include "query/ast.h"
#include "query/vec.h"

struct pool;

/* What somebody may be allowed to do. */
enum query_right {
	RIGHT_READ,   /* see a table's rows; table NULL: see that the database has tables */
	RIGHT_INSERT, /* add rows to a table */
	RIGHT_DELETE, /* take rows out of it */
	RIGHT_MANAGE, /* drop a table; table NULL: make tables in a database, drop it; db NULL: make databases */
};

/* Who asks, and with what limits. Copied by query_prepare(), except what the pointers lead to. */
struct query_env {
	struct engine *engine;
	const char *default_db; /* a bare table name resolves here; NULL: none */
	int64_t now_ns;         /* 0: the clock's */
	size_t memory_bytes;    /* 0: 256 MiB; beyond it the statement fails with -ENOMEM */
	bool (*allowed)(void *ctx, struct db *db, struct table *table, enum query_right right); /* NULL: all */
	void *allowed_ctx;
	const char *unload_dir;        /* UNLOAD may write below it, by means of unload_io; NULL: nowhere */
	const struct io *unload_io;
	struct pool *pool;      /* threads that help (pool.h); NULL: a statement has the one that steps it */
	/* So many rows are worth a part for a thread, and the first stretch of ORDER BY time; 0: 64 Ki. Tests say less. */
	uint64_t part_rows, slice_rows;
	const _Atomic bool *cancelled; /* set by another thread: the statement ends with -ECANCELED */
};

enum query_format {
	QF_CSV,
	QF_TSV,
	QF_JSON,  /* one array of objects */
	QF_JSONL, /* an object a line */
	QF_TXT,   /* aligned table for people */
	QF_PARQUET,
	QUERY_FORMATS
};
extern const char *const query_format_names[QUERY_FORMATS]; /* "csv", ... as file extensions */

struct query;

/*
 * Parse and bind one statement. Nothing is read from tables yet. Everything wrong with the text
 * itself comes up here. A changing statement is refused (query_run() is for those).
 *   -EINVAL "line 1:8: ..."; -EACCES; an unknown table is -EINVAL too
 *   -E2BIG  too long, too deep, or a plan of too many nodes
 */
int query_prepare(const struct query_env *env, struct str text, struct query **ret, struct err *e) must_check;

struct query_col {
	struct str name;
	const struct type *type;
};
uint32_t query_columns(const struct query *q, const struct query_col **ret);
bool query_is_volatile(const struct query *q); /* now(), random() */
/* Changes when a table it names changes: results may be shared while it stays the same. */
uint64_t query_data_version(const struct query *q);

/* 1: *ret is the next batch (lent until the next call); 0: no more; <0: error. One thread at a time. */
int query_next(struct query *q, const struct vbatch **ret, struct err *e) must_check;
void query_destroy(struct query *q); /* NULL is fine */

struct query_progress {
	uint64_t rows_read, rows_out, bytes_read, bytes_out;
};
void query_progress(const struct query *q, struct query_progress *ret); /* any thread */

/*
 * The result as bytes of one format: 1: appended something to out (roughly 64 KiB a call, the header
 * with the first); 0: all is out; <0: failed. Text formats end a failure after rows went out by a
 * line "error: ..." which is appended together with the negative return.
 * TXT needs widths: it holds up to 1 MiB back to align, then goes on with those widths.
 */
struct query_text;
int query_text_create(struct query *q, enum query_format f, struct query_text **ret,
		      struct err *e) must_check; /* q taken, also on failure */
int query_text_next(struct query_text *t, struct buf *out, struct err *e) must_check;
void query_text_destroy(struct query_text *t); /* with its query; NULL is fine */

/*
 * Run a changing statement once, to its end: CREATE, DROP, DELETE, INSERT, UNLOAD. It happens as a whole or,
 * with an error, not at all (but see docs/sql.md for a large INSERT on a full disk).
 *
 * *ret_rows: rows deleted, inserted or unloaded; -1 where the statement is not about rows.
 * ret_reply (NULL: nobody asks): where it is about rows, a statement is appended that gives what it has
 * to tell as a row, for any format.
 *
 *	-EINVAL "line 1:8: ..." what is wrong; also where the statement gives rows (use query_prepare)
 *	-EACCES, -EROFS, -ENOSPC, -ENOMEM, -ECANCELED and others, each with a sentence
 */
int query_run(const struct query_env *env, struct str text, int64_t *ret_rows, struct buf *ret_reply,
	      struct err *e) must_check;

#endif
