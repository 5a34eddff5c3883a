/*
 * results: see results.h for what they are; here is how they run.
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
#include "fs/results.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/spool.h"

#define WINDOW_BYTES    (4 << 20)  /* a stream runs this far ahead of its reader */
#define BEHIND_BYTES    (1 << 20)  /* and can be read again this far back */
#define IN_MEMORY_BYTES (4 << 20)  /* a kept result beyond it goes to the spool */
#define STEP_BYTES_MAX  (256 << 20)
#define SLICE_INLINE_NS (5 * NS_PER_MS)
#define SLICE_WORKER_NS (50 * NS_PER_MS)
#define NO_READER_NS    (5 * NS_PER_S)
#define SHARED_TTL_NS   (60 * NS_PER_S)
#define SHARED_MAX      64
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
	int64_t interrupted_ns; /* monotonic: the reader was interrupted and has not come back; 0: no */

	struct spool spool;    /* used by whoever pumps until done, constant after */
	size_t in_memory;

	/* Guarded by results->mu. */
	struct result *all_prev, *all_next;
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
};

/* ---- life ---------------------------------------------------------------------------------------- */

int results_create(struct fs *fs, struct results **ret)
{
	struct results *rs = calloc(1, sizeof *rs);

	if (!rs)
		return -ENOMEM;
	rs->fs = fs;
	pthread_mutex_init(&rs->mu, NULL);
	pthread_cond_init(&rs->work, NULL);
	/* Some threads stay free for everything else, INTERRUPT above all. */
	rs->inlined_max = fs->opt->threads > 8 ? (int)fs->opt->threads / 2 : 1;
	*ret = rs;
	return 0;
}

static void cancel(struct result *r);

static struct result *result_alloc(struct fs *fs, bool keep)
{
	struct results *rs = fs->results;
	struct result *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->fs = fs;
	r->keep = keep;
	atomic_init(&r->refs, 1);
	pthread_mutex_init(&r->mu, NULL);
	r->idle_ns = clock_mono_ns();
	r->born_ns = clock_now_ns();
	spool_init(&r->spool);
	pthread_mutex_lock(&rs->mu);
	r->all_next = rs->all;
	if (rs->all)
		rs->all->all_prev = r;
	rs->all = r;
	pthread_mutex_unlock(&rs->mu);
	return r;
}

struct result *result_get(struct result *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

static void drop_chunks(struct result *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		r->in_memory -= r->chunks[i].len;
		free(r->chunks[i].data);
	}
	r->chunk_n -= n;
	memmove(r->chunks, r->chunks + n, r->chunk_n * sizeof *r->chunks);
}

static void result_free(struct result *r)
{
	query_text_destroy(r->qt);
	drop_chunks(r, r->chunk_n);
	free(r->chunks);
	spool_release(&r->spool);
	caller_release(&r->who);
	db_put(r->db);
	free(r->text);
	pthread_mutex_destroy(&r->mu);
	free(r);
}

void result_put(struct result *r)
{
	struct results *rs;

	if (!r)
		return;
	rs = r->fs->results;
	/* The ticker walks the list under rs->mu and takes references there: zero must be seen there. */
	pthread_mutex_lock(&rs->mu);
	if (atomic_fetch_sub(&r->refs, 1) != 1) {
		pthread_mutex_unlock(&rs->mu);
		return;
	}
	if (r->all_prev)
		r->all_prev->all_next = r->all_next;
	else
		rs->all = r->all_next;
	if (r->all_next)
		r->all_next->all_prev = r->all_prev;
	pthread_mutex_unlock(&rs->mu);
	result_free(r);
}

/* ---- preparing ---------------------------------------------------------------------------------- */

static bool allowed(void *ctx, struct db *db, struct table *t, bool write)
{
	struct result *r = ctx;

	return sql_allowed(r->fs, &r->who, db, t, write);
}

/* The sentence as bytes: what a read returns before the errno. */
static void fail(struct result *r, int rc, const char *sentence)
{
	size_t len = strlen(sentence);
	char *p = malloc(len + 1);

	r->done = true;
	r->rc = rc;
	if (!p || (!r->chunk_cap && !(r->chunks = malloc(sizeof *r->chunks)))) {
		free(p);
		return; /* then the errno alone */
	}
	r->chunk_cap = MAX(r->chunk_cap, 1);
	memcpy(p, sentence, len);
	p[len] = '\n';
	r->chunks[0] = (struct chunk){0, len + 1, p};
	r->chunk_n = 1;
	r->in_memory += len + 1;
	r->produced = (int64_t)len + 1;
}

static void env_of(struct result *r, struct query_env *env)
{
	*env = (struct query_env){
		.engine = r->fs->engine,
		.default_db = r->db ? db_name(r->db) : NULL,
		.memory_bytes = r->fs->opt->query_memory,
		.allowed = allowed,
		.allowed_ctx = r,
		.cancelled = &r->cancelled,
	};
}

int result_prepare(struct fs *fs, const struct result_spec *spec, struct result **ret)
{
	struct result *r = result_alloc(fs, spec->keep);
	struct query_env env;
	struct query *q = NULL;
	struct err e = {0};
	int rc;

	if (!r)
		return -ENOMEM;
	rc = caller_copy(&r->who, spec->who);
	r->text = malloc(spec->text.len + 1);
	if (rc < 0 || !r->text) {
		result_put(r);
		return -ENOMEM;
	}
	memcpy(r->text, spec->text.ptr, spec->text.len);
	r->text_len = spec->text.len;
	r->format = spec->format;
	r->db = spec->db ? db_get(spec->db) : NULL;
	env_of(r, &env);
	rc = query_prepare(&env, (struct str){r->text, r->text_len}, &q, &e);
	if (rc >= 0) {
		r->is_volatile = query_is_volatile(q);
		r->version = query_data_version(q);
		rc = query_text_create(q, r->format, &r->qt, &e);
	}
	if (rc < 0)
		fail(r, rc, err_text(&e, rc));
	*ret = r;
	return 0;
}

int result_failed(struct fs *fs, bool keep, int rc, const char *sentence, struct result **ret)
{
	struct result *r = result_alloc(fs, keep);

	if (!r)
		return -ENOMEM;
	fail(r, rc, sentence);
	*ret = r;
	return 0;
}

int result_of_text(struct fs *fs, struct str text, struct result **ret)
{
	struct result *r = result_alloc(fs, false);
	char *copy = r ? malloc(text.len + 1) : NULL;

	if (!copy) {
		result_put(r);
		return -ENOMEM;
	}
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	fail(r, 0, copy); /* a failure of nothing: text, then end of file */
	free(copy);
	*ret = r;
	return 0;
}

/* A result as nothing but a holder of rights, for the calls below. */
static int with_env(struct fs *fs, const struct caller *who, struct db *db, struct result **ret)
{
	struct result *r = result_alloc(fs, false);

	if (!r || caller_copy(&r->who, who) < 0) {
		result_put(r);
		return -ENOMEM;
	}
	r->db = db ? db_get(db) : NULL;
	*ret = r;
	return 0;
}

int statement_run(struct fs *fs, const struct caller *who, struct db *db, struct str text, struct err *e)
{
	struct query_env env;
	struct result *r;
	int rc = with_env(fs, who, db, &r);

	if (rc < 0)
		return rc;
	env_of(r, &env);
	rc = query_run(&env, text, e);
	result_put(r);
	return rc;
}

int statement_check(struct fs *fs, const struct caller *who, struct db *db, struct str text, struct err *e)
{
	struct query_env env;
	struct query *q = NULL;
	struct result *r;
	int rc = with_env(fs, who, db, &r);

	if (rc < 0)
		return rc;
	env_of(r, &env);
	rc = query_prepare(&env, text, &q, e);
	query_destroy(q);
	result_put(r);
	return rc;
}

/* ---- answering readers ---------------------------------------------------------------------------- */

/* Caller holds mu. */
static bool servable(const struct result *r, const struct waiter *w)
{
	if (r->done)
		return true;
	return !r->keep && !w->node && w->off < r->produced;
}

/* Caller holds mu; the bytes [off, off + n) that are there, or the end, or the errno. */
static void serve(struct result *r, fuse_req_t req, size_t n, int64_t off)
{
	struct iovec iov[64];
	int iov_n = 0;
	int64_t end = MIN(off + (int64_t)n, r->produced), at = off;

	if (off >= r->produced) {
		if (r->rc < 0)
			reply_err(req, r->rc);
		else
			fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (spool_used(&r->spool)) {
		spool_reply(&r->spool, req, (size_t)(end - off), off);
		return;
	}
	if (r->chunk_n == 0 || off < r->chunks[0].off) {
		reply_err(req, -ESPIPE); /* a stream's beginning is gone */
		return;
	}
	for (uint32_t i = 0; i < r->chunk_n && iov_n < (int)ARRAY_LEN(iov) && at < end; i++) {
		struct chunk *c = &r->chunks[i];
		if (c->off + (int64_t)c->len <= at)
			continue;
		iov[iov_n].iov_base = c->data + (at - c->off);
		iov[iov_n].iov_len = (size_t)(MIN(end, c->off + (int64_t)c->len) - at);
		at += (int64_t)iov[iov_n++].iov_len;
	}
	fuse_reply_iov(req, iov, iov_n);
	r->read_to = MAX(r->read_to, at);
	if (!r->keep && r->rc >= 0) {
		uint32_t gone = 0;
		while (gone < r->chunk_n && r->chunks[gone].off + (int64_t)r->chunks[gone].len +
							    BEHIND_BYTES < r->read_to)
			gone++;
		if (gone)
			drop_chunks(r, gone);
	}
}

/* No interrupt function runs for this request once this returns. Never called with r->mu held. */
static void disarm(struct waiter *w)
{
	fuse_req_interrupt_func(w->req, NULL, NULL);
}

static void waiter_free(struct waiter *w)
{
	if (w->node)
		node_put(w->r->fs, w->node);
	result_put(w->r);
	free(w);
}

/* The waiter is ours: unlinked, or never linked. */
static void answer(struct waiter *w)
{
	struct result *r = w->r;

	disarm(w);
	if (w->node) {
		reply_attr(r->fs, w->req, w->node);
	} else {
		pthread_mutex_lock(&r->mu);
		serve(r, w->req, w->n, w->off);
		pthread_mutex_unlock(&r->mu);
	}
	waiter_free(w);
}

/* Caller holds mu; unlinks those who can be answered. */
static struct waiter *take_ready(struct result *r)
{
	struct waiter **p = &r->waiters, *ready = NULL, *w;

	while ((w = *p)) {
		if (!servable(r, w)) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->queued = false;
		w->next = ready;
		ready = w;
	}
	if (ready && !r->waiters)
		r->idle_ns = clock_mono_ns();
	return ready;
}

static void answer_all(struct waiter *w)
{
	while (w) {
		struct waiter *next = w->next;
		answer(w);
		w = next;
	}
}

/* INTERRUPT: libfuse holds the request's lock. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct waiter *w = data;
	struct result *r = w->r;
	bool ours;

	pthread_mutex_lock(&r->mu);
	ours = w->queued;
	w->interrupted = true;
	if (ours) {
		struct waiter **p = &r->waiters;
		while (*p != w)
			p = &(*p)->next;
		*p = w->next;
		w->queued = false;
		r->idle_ns = r->interrupted_ns = clock_mono_ns();
	}
	pthread_mutex_unlock(&r->mu);
	if (ours) { /* else somebody is about to answer, after disarm() waited for us */
		reply_err(req, -EINTR);
		waiter_free(w);
	}
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void *worker_main(void *arg);

/* r->pumping is set and ours to give away. */
static void enqueue(struct result *r)
{
	struct results *rs = r->fs->results;

	result_get(r);
	pthread_mutex_lock(&rs->mu);
	r->queue_next = NULL;
	if (rs->queue_tail)
		rs->queue_tail->queue_next = r;
	else
		rs->queue_head = r;
	rs->queue_tail = r;
	if (rs->idle_n == 0 && rs->worker_n < WORKERS_MAX && !rs->stop &&
	    pthread_create(&rs->workers[rs->worker_n], NULL, worker_main, rs) == 0)
		rs->worker_n++;
	pthread_cond_signal(&rs->work);
	pthread_mutex_unlock(&rs->mu);
}

static int add_chunk(struct result *r, struct buf *out)
{
	if (r->chunk_n == r->chunk_cap) {
		uint32_t cap = r->chunk_cap ? r->chunk_cap * 2 : 8;
		struct chunk *v = realloc(r->chunks, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		r->chunks = v;
		r->chunk_cap = cap;
	}
	r->chunks[r->chunk_n++] = (struct chunk){r->produced, out->len, out->data};
	r->in_memory += out->len;
	r->produced += (int64_t)out->len;
	buf_init(out, STEP_BYTES_MAX); /* the bytes are the chunk's now */
	return 0;
}

/* Only the pumping thread touches what a kept result has so far, so no lock is held for the disk. */
static int to_spool(struct result *r, struct buf *out, struct err *e)
{
	int rc = 0;

	if (!spool_used(&r->spool))
		rc = spool_open(&r->spool, r->fs->opt, r->who.uid, e);
	for (uint32_t i = 0; rc >= 0 && i < r->chunk_n; i++)
		rc = spool_append(&r->spool, r->chunks[i].data, r->chunks[i].len, e);
	if (rc >= 0)
		rc = spool_append(&r->spool, out->data, out->len, e);
	return rc;
}

/* What one step gave: bytes, the end, or a failure. Takes mu. */
static void absorb(struct result *r, int rc, struct buf *out, struct err *e)
{
	bool spooled = false;

	if (rc >= 0 && r->keep && out->len &&
	    (spool_used(&r->spool) || r->in_memory + out->len > IN_MEMORY_BYTES)) {
		int put = to_spool(r, out, e);
		if (put < 0)
			rc = put;
		spooled = true;
	}
	pthread_mutex_lock(&r->mu);
	if (rc < 0 && (r->keep || (r->produced == 0 && out->len == 0))) {
		/* Nobody has seen anything yet: the sentence is all there is. */
		drop_chunks(r, r->chunk_n);
		spool_release(&r->spool);
		fail(r, rc, err_text(e, rc));
	} else {
		if (spooled) {
			drop_chunks(r, r->chunk_n);
			r->produced += (int64_t)out->len;
		} else if (out->len && add_chunk(r, out) < 0) {
			rc = -ENOMEM;
		}
		r->rc = MIN(rc, 0);
		r->done = rc <= 0;
	}
	pthread_mutex_unlock(&r->mu);
}

/* r->pumping is set, and ours. */
static void pump(struct result *r, int64_t slice_ns)
{
	int64_t until = clock_mono_ns() + slice_ns;
	bool again = true;

	while (again) {
		struct waiter *ready;
		struct query_text *dead = NULL;
		struct err e = {0};
		struct buf out;
		bool requeue = false;
		int rc;

		buf_init(&out, STEP_BYTES_MAX);
		if (atomic_load(&r->cancelled))
			rc = err_set(&e, -ECANCELED, "the statement was cancelled");
		else
			rc = query_text_next(r->qt, &out, &e);
		absorb(r, rc, &out, &e);
		buf_release(&out);

		pthread_mutex_lock(&r->mu);
		if (r->done) {
			dead = r->qt;
			r->qt = NULL;
			r->pumping = again = false;
		} else if (!r->keep && r->produced - r->read_to >= WINDOW_BYTES &&
			   !atomic_load(&r->cancelled)) {
			r->pumping = again = false; /* parked until the reader is nearer */
		} else if (clock_mono_ns() >= until) {
			requeue = true;
			again = false;
		}
		ready = take_ready(r);
		pthread_mutex_unlock(&r->mu);
		query_text_destroy(dead);
		answer_all(ready);
		if (requeue)
			enqueue(r);
	}
}

static void *worker_main(void *arg)
{
	struct results *rs = arg;

	pthread_mutex_lock(&rs->mu);
	for (;;) {
		struct result *r;

		while (!rs->queue_head && !rs->stop) {
			rs->idle_n++;
			pthread_cond_wait(&rs->work, &rs->mu);
			rs->idle_n--;
		}
		r = rs->queue_head;
		if (!r)
			break; /* stopping, and nothing is left */
		rs->queue_head = r->queue_next;
		if (!rs->queue_head)
			rs->queue_tail = NULL;
		pthread_mutex_unlock(&rs->mu);
		pump(r, SLICE_WORKER_NS);
		result_put(r);
		pthread_mutex_lock(&rs->mu);
	}
	pthread_mutex_unlock(&rs->mu);
	return NULL;
}

/* r->pumping was just set by us: on this thread for a moment, if enough others are free. */
static void run_here_or_there(struct result *r)
{
	struct results *rs = r->fs->results;

	if (atomic_fetch_add(&rs->inlined, 1) < rs->inlined_max)
		pump(r, SLICE_INLINE_NS);
	else
		enqueue(r);
	atomic_fetch_sub(&rs->inlined, 1);
}

static void wait_for(struct result *r, fuse_req_t req, struct node *node, size_t n, int64_t off)
{
	struct waiter *w = calloc(1, sizeof *w);
	bool start = false, ready, interrupted;

	if (!w) {
		reply_err(req, -ENOMEM);
		return;
	}
	w->r = result_get(r);
	w->req = req;
	w->node = node ? node_get(r->fs, node) : NULL;
	w->n = n;
	w->off = off;
	fuse_req_interrupt_func(req, on_interrupt, w);

	pthread_mutex_lock(&r->mu);
	r->interrupted_ns = 0;
	ready = servable(r, w);
	interrupted = w->interrupted;
	if (!ready && !interrupted) {
		w->queued = true;
		w->next = r->waiters;
		r->waiters = w;
		start = !r->pumping;
		r->pumping = true;
	}
	result_get(r); /* w may be answered and gone before we start */
	pthread_mutex_unlock(&r->mu);
	if (ready) {
		answer(w);
	} else if (interrupted) {
		disarm(w);
		reply_err(req, -EINTR);
		waiter_free(w);
	} else if (start) {
		run_here_or_there(r);
	}
	result_put(r);
}

void result_read(struct result *r, fuse_req_t req, size_t n, int64_t off)
{
	struct waiter probe = {.off = off};
	bool now, resume = false;

	result_get(r); /* the reply may be the last thing its holder waited for */
	pthread_mutex_lock(&r->mu);
	r->interrupted_ns = 0;
	r->read_to = MAX(r->read_to, MIN(off, r->produced));
	now = servable(r, &probe);
	if (now) {
		serve(r, req, n, off);
		/* The reader comes nearer: go on before it has to wait. */
		if (!r->done && !r->pumping && r->produced - r->read_to < WINDOW_BYTES / 2)
			resume = r->pumping = true;
	}
	pthread_mutex_unlock(&r->mu);
	if (resume)
		enqueue(r);
	if (!now)
		wait_for(r, req, NULL, n, off);
	result_put(r);
}

void result_stat(struct result *r, fuse_req_t req, struct node *n)
{
	wait_for(r, req, n, 0, 0);
}

/* ---- what it is ---------------------------------------------------------------------------------------- */

int result_rc(struct result *r)
{
	int rc;

	pthread_mutex_lock(&r->mu);
	rc = r->rc;
	pthread_mutex_unlock(&r->mu);
	return rc;
}

bool result_is_volatile(const struct result *r)
{
	return r->is_volatile;
}

uint64_t result_version(const struct result *r)
{
	return r->version;
}

int64_t result_born_ns(const struct result *r)
{
	return r->born_ns;
}

const struct caller *result_who(const struct result *r)
{
	return &r->who;
}

bool result_done(struct result *r, int64_t *ret_size)
{
	bool done;

	pthread_mutex_lock(&r->mu);
	done = r->done;
	*ret_size = r->done && r->rc >= 0 ? r->produced : 0;
	pthread_mutex_unlock(&r->mu);
	return done;
}

/* ---- cancelling ---------------------------------------------------------------------------------------- */

static void cancel(struct result *r)
{
	bool start = false;

	atomic_store(&r->cancelled, true);
	pthread_mutex_lock(&r->mu);
	if (!r->done && !r->pumping)
		start = r->pumping = true;
	pthread_mutex_unlock(&r->mu);
	if (start)
		pump(r, 0); /* parked: nothing runs, this only ends it */
}

void result_open(struct result *r)
{
	pthread_mutex_lock(&r->mu);
	r->handles++;
	pthread_mutex_unlock(&r->mu);
}

void result_close(struct result *r)
{
	bool last;

	pthread_mutex_lock(&r->mu);
	last = --r->handles == 0 && !r->waiters && !r->done;
	r->idle_ns = clock_mono_ns();
	pthread_mutex_unlock(&r->mu);
	if (last)
		cancel(r);
}

/* Once a second: what nobody waits for ends, and what nobody asked for lately is shared no more. */
void results_tick(struct results *rs, int64_t now)
{
	struct result *v[64];
	bool unshare[64];
	int n = 0;

	pthread_mutex_lock(&rs->mu);
	for (struct result *r = rs->all; r && n < (int)ARRAY_LEN(v); r = r->all_next) {
		bool old = r->shared && now - r->shared_used_ns > SHARED_TTL_NS;
		bool lone;

		pthread_mutex_lock(&r->mu);
		lone = !r->done && !r->waiters &&
		       ((r->handles == 0 && now - r->idle_ns > NO_READER_NS) ||
			(r->interrupted_ns && now - r->interrupted_ns > NO_READER_NS));
		pthread_mutex_unlock(&r->mu);
		if (!old && !(lone && !atomic_load(&r->cancelled)))
			continue;
		if (atomic_load(&r->refs) == 0)
			continue; /* on its way out */
		unshare[n] = old;
		if (old)
			r->shared = false;
		v[n++] = result_get(r);
	}
	pthread_mutex_unlock(&rs->mu);
	for (int i = 0; i < n; i++) {
		if (unshare[i])
			result_put(v[i]); /* the list's */
		else
			cancel(v[i]);
		result_put(v[i]);
	}
}

void results_cancel_all(struct results *rs)
{
	struct result *r;

	for (;;) {
		pthread_mutex_lock(&rs->mu);
		for (r = rs->all; r; r = r->all_next)
			if (!atomic_load(&r->cancelled) && atomic_load(&r->refs) > 0)
				break;
		if (r)
			result_get(r);
		pthread_mutex_unlock(&rs->mu);
		if (!r)
			return;
		cancel(r);
		result_put(r);
	}
}

void results_stop(struct results *rs)
{
	struct result *r;

	pthread_mutex_lock(&rs->mu);
	rs->stop = true;
	pthread_cond_broadcast(&rs->work);
	pthread_mutex_unlock(&rs->mu);
	results_cancel_all(rs);
	for (int i = 0; i < rs->worker_n; i++)
		pthread_join(rs->workers[i], NULL);
	rs->worker_n = 0;
	for (;;) { /* nobody finds them any more */
		pthread_mutex_lock(&rs->mu);
		for (r = rs->all; r && !r->shared; r = r->all_next)
			;
		if (r)
			r->shared = false;
		pthread_mutex_unlock(&rs->mu);
		if (!r)
			break;
		result_put(r);
	}
}

void results_destroy(struct results *rs)
{
	if (!rs)
		return;
	pthread_cond_destroy(&rs->work);
	pthread_mutex_destroy(&rs->mu);
	free(rs);
}

/* ---- sharing ---------------------------------------------------------------------------------------------- */

static bool same_question(struct result *r, const struct result_spec *s, uint64_t version)
{
	return r->version == version && r->format == s->format && r->db == s->db &&
	       r->text_len == s->text.len && memcmp(r->text, s->text.ptr, s->text.len) == 0 &&
	       caller_same(&r->who, s->who) && !atomic_load(&r->cancelled);
}

struct result *results_find(struct results *rs, const struct result_spec *s, uint64_t version)
{
	struct result *r;

	pthread_mutex_lock(&rs->mu);
	for (r = rs->all; r; r = r->all_next)
		if (r->shared && same_question(r, s, version))
			break;
	if (r) {
		r->shared_used_ns = clock_mono_ns();
		result_get(r);
	}
	pthread_mutex_unlock(&rs->mu);
	return r;
}

void results_share(struct results *rs, struct result *r)
{
	struct result *oldest = NULL;
	int n = 0;

	pthread_mutex_lock(&rs->mu);
	for (struct result *o = rs->all; o; o = o->all_next) {
		if (!o->shared)
			continue;
		n++;
		if (!oldest || o->shared_used_ns < oldest->shared_used_ns)
			oldest = o;
	}
	if (n < SHARED_MAX)
		oldest = NULL;
	if (oldest)
		oldest->shared = false;
	if (!r->shared) {
		r->shared = true;
		r->shared_used_ns = clock_mono_ns();
		result_get(r);
	}
	pthread_mutex_unlock(&rs->mu);
	result_put(oldest);
}
