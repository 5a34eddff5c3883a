/*
 * results: statements that run, and the bytes they produced.
 *
 * A result is made of a prepared statement and read at any offset. Two kinds:
 *	stream  (query files)  rows go out as they come; what was read long ago is dropped, and the
 *	        statement pauses while its reader is behind
 *	kept    (q/)           produced to the end before anything is told, so that its size is true
 *
 * Nobody owns a running statement: the thread that finds nobody pumping pumps. That is the FUSE
 * thread of the first reader for a time slice (a small query costs no hand-over), and a worker
 * thread after it. A reader that has to wait leaves its request behind, not a thread; INTERRUPT
 * answers it EINTR at once, and the statement goes on for the reader's next try.
 */
#ifndef TIDE_FS_RESULTS_H
#define TIDE_FS_RESULTS_H

#include "fs/nodes.h"

int results_create(struct fs *fs, struct results **ret) must_check;
void results_cancel_all(struct results *rs); /* before the session's threads are joined */
void results_stop(struct results *rs);    /* cancels all, answers all who wait, joins the workers */
void results_destroy(struct results *rs); /* NULL is fine; all results must be put */
void results_tick(struct results *rs, int64_t mono_ns);

struct result_spec {
	const struct caller *who;  /* copied */
	struct db *db;             /* default database, or NULL; referenced while it runs */
	struct str text;
	enum query_format format;
	bool keep;
};

/*
 * Prepares a statement. What is wrong with it (or with the right to run it) makes a failed result:
 * its bytes are the sentence, and reading past them gives the errno. Nothing runs before somebody
 * reads. <0 only for want of memory. One reference.
 */
int result_prepare(struct fs *fs, const struct result_spec *spec, struct result **ret) must_check;
/* A result that has failed already. */
int result_failed(struct fs *fs, bool keep, int rc, const char *sentence, struct result **ret) must_check;
/* A result that is this text. */
int result_of_text(struct fs *fs, struct str text, struct result **ret) must_check;

struct result *result_get(struct result *r);
void result_put(struct result *r); /* NULL is fine; the last one cancels what still runs */

int result_rc(struct result *r);           /* <0: failed so far */
bool result_is_volatile(const struct result *r);
uint64_t result_version(const struct result *r); /* of the data, when it was prepared */
int64_t result_born_ns(const struct result *r); /* wall time of its making */
const struct caller *result_who(const struct result *r);
bool result_done(struct result *r, int64_t *ret_size); /* size 0 when failed */

/*
 * A result may be shared, and its last reader may go (which cancels it) while the next one comes:
 * that one is told, and makes a new result.
 */
bool result_open(struct result *r);    /* a handle more; false: it was cancelled */
bool result_is_lost(struct result *r); /* cancelled before it was done */
void result_close(struct result *r);   /* a handle less; the last one cancels */

void result_read(struct result *r, fuse_req_t req, size_t n, int64_t off); /* replies, now or later */
/* GETATTR of n waits for the end. Replies, now or later; false: it was cancelled, no reply. */
bool result_stat(struct result *r, fuse_req_t req, struct node *n);

/* ---- sharing of kept results -------------------------------------------------------------------- */

/* One of the same rights, database, text, format and version of the data; one reference, or NULL. */
struct result *results_find(struct results *rs, const struct result_spec *spec, uint64_t version);
void results_share(struct results *rs, struct result *r); /* from now on it can be found */

/*
 * Whose write(2) runs changing statements. An interrupt by a signal that is meant to end the writer
 * (^C, kill) cancels the one at hand; others (timers, children) do not. No lock of ours may be held
 * around begin and end.
 */
struct writer {
	fuse_req_t req;
	pid_t pid;
	pthread_mutex_t mu;
	struct result *r;    /* guarded by mu, as all below: the statement that runs */
	bool interrupted;
	bool is_leaving;
};
void writer_begin(struct writer *w, fuse_req_t req);
void writer_end(struct writer *w);

/*
 * A changing statement, once. Errors, *ret_rows and ret_reply as query_run(); -EINTR: the writer was interrupted,
 * and nothing happened.
 */
int statement_run(struct fs *fs, const struct caller *who, struct writer *w, struct db *db, struct str text,
		  int64_t *ret_rows, struct buf *ret_reply, struct err *e) must_check;
/* Would it run? Everything that is wrong with the text itself, and with the rights. */
int statement_check(struct fs *fs, const struct caller *who, struct db *db, struct str text,
		    struct err *e) must_check;

#endif
