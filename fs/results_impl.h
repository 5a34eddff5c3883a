/*
 * results_impl: what results.c (life, sharing, cancelling), statement.c (preparing) and
 * results_run.c (running, answering) know of each other. Nobody else includes it.
 *
 *	           read, nobody pumping                 time slice over
 *	  parked ------------------------> pumping ----------------------> queued
 *	    ^                                 |  ^                            |
 *	    |  done, or reader far behind     |  +---- a worker takes it -----+
 *	    +---------------------------------+
 *
 * r->pumping is true in the states pumping and queued: whoever set it owns r->qt until it is cleared.
 * r->mu is never held while a statement runs, nor while libfuse may call us back: libfuse holds the
 * request's own lock around an interrupt function, which takes r->mu, so disarm() comes before it.
 */
#ifndef TIDE_FS_RESULTS_IMPL_H
#define TIDE_FS_RESULTS_IMPL_H

#include "fs/results.h"
#include "fs/spool.h"

#define WORKERS_MAX     16

struct chunk {
	int64_t off;
	size_t len;
	char *data;
};

struct waiter {
	struct result *r;   /* referenced */
	fuse_req_t req;
	struct node *node;  /* referenced: a GETATTR; NULL: a READ */
	size_t n;
	int64_t off;
	bool queued;        /* guarded by r->mu, as all below */
	bool interrupted;
	struct waiter *next;
};

struct result {
	/* Constant once prepared. */
	struct fs *fs;
	struct caller who;
	struct db *db;
	char *text;
	size_t text_len;
	enum query_format format;
	bool keep;
	bool is_volatile;
	uint64_t version;
	int64_t born_ns;

	_Atomic int refs;
	_Atomic bool cancelled;

	pthread_mutex_t mu;
	/* Guarded by mu. */
	struct query_text *qt; /* used by whoever pumps */
	bool pumping, done;
	int rc;
	struct chunk *chunks;
	uint32_t chunk_n, chunk_cap;
	int64_t produced;      /* bytes so far */
	int64_t read_to;       /* the furthest byte that was read */
	struct waiter *waiters;
	int handles;
	int64_t idle_ns;       /* monotonic: since when nobody waits and no handle is open */
	struct writer *writer; /* a changing statement's; guarded by results->mu */
	int64_t interrupted_ns; /* monotonic: the reader was interrupted and has not come back; 0: no */

	struct spool spool;    /* used by whoever pumps until done, constant after */
	size_t in_memory;

	/* Guarded by results->mu. */
	struct result *all_prev, *all_next;
	bool is_listed;
	struct result *queue_next;
	bool shared;
	int64_t shared_used_ns;
};

struct results {
	struct fs *fs;
	pthread_mutex_t mu;
	pthread_cond_t work;
	struct result *all;
	struct result *queue_head, *queue_tail;
	pthread_t workers[WORKERS_MAX];
	int worker_n, idle_n;
	bool stop;
	_Atomic int inlined;
	int inlined_max;
	struct pool *pool; /* constant; NULL: there is no memory for threads that help */
};

struct result *result_alloc(struct fs *fs, bool keep); /* one reference; NULL: out of memory */
/* It is all there: from now on the ticker sees it. Not before, however long preparing takes. */
void result_list(struct result *r);
/* Ends it, with this sentence as its bytes and rc behind them. The caller holds mu, or is alone. */
void result_fail(struct result *r, int rc, const char *sentence);
void result_drop_chunks(struct result *r, uint32_t n); /* the first n; the caller holds mu, or is alone */
/* Once a second; results->mu is held, so that the writer stays. */
void writer_tick(struct writer *w);
/* Run it on this thread for a while. r->pumping is set, and the caller's. */
void result_pump(struct result *r, int64_t slice_ns);

#endif
