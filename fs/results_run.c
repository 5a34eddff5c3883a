/*
 * results_run: answers readers, and runs what they wait for.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/results_impl.h"

#define WINDOW_BYTES    (4 << 20)  /* a stream runs this far ahead of its reader */
#define BEHIND_BYTES    (1 << 20)  /* and can be read again this far back */
#define IN_MEMORY_BYTES (4 << 20)  /* a kept result beyond it goes to the spool */
#define STEP_BYTES_MAX  (256 << 20)
#define SLICE_INLINE_NS (5 * NS_PER_MS)
#define SLICE_WORKER_NS (50 * NS_PER_MS)

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
			result_drop_chunks(r, gone);
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
		result_drop_chunks(r, r->chunk_n);
		spool_release(&r->spool);
		result_fail(r, rc, err_text(e, rc));
	} else {
		if (spooled) {
			result_drop_chunks(r, r->chunk_n);
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
void result_pump(struct result *r, int64_t slice_ns)
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
		result_pump(r, SLICE_WORKER_NS);
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
		result_pump(r, SLICE_INLINE_NS);
	else
		enqueue(r);
	atomic_fetch_sub(&rs->inlined, 1);
}

/* False, without a reply: a GETATTR came when nobody was to have this result any more. */
static bool wait_for(struct result *r, fuse_req_t req, struct node *node, size_t n, int64_t off)
{
	struct waiter *w = calloc(1, sizeof *w);
	bool start = false, ready, interrupted, lost;

	if (!w) {
		reply_err(req, -ENOMEM);
		return true;
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
	lost = node && !ready && atomic_load(&r->cancelled);
	if (!ready && !interrupted && !lost) {
		w->queued = true;
		w->next = r->waiters;
		r->waiters = w;
		start = !r->pumping;
		r->pumping = true;
	}
	result_get(r); /* w may be answered and gone before we start */
	pthread_mutex_unlock(&r->mu);
	if (lost) {
		disarm(w);
		lost = !w->interrupted; /* else EINTR is the answer */
		if (!lost)
			reply_err(req, -EINTR);
		waiter_free(w);
	} else if (ready) {
		answer(w);
	} else if (interrupted) {
		disarm(w);
		reply_err(req, -EINTR);
		waiter_free(w);
	} else if (start) {
		run_here_or_there(r);
	}
	result_put(r);
	return !lost;
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
		(void)wait_for(r, req, NULL, n, off);
	result_put(r);
}

bool result_stat(struct result *r, fuse_req_t req, struct node *n)
{
	return wait_for(r, req, n, 0, 0);
}
