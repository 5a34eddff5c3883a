/*
 * results: life, cancelling and sharing. How they run: results_impl.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/results_impl.h"
#include "query/pool.h"

#define NO_READER_NS    (5 * NS_PER_S)
#define SHARED_TTL_NS   (60 * NS_PER_S)
#define SHARED_MAX      64

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
	rs->pool = pool_create(fs->opt->query_threads ? fs->opt->query_threads : pool_cores());
	*ret = rs;
	return 0;
}

struct result *result_alloc(struct fs *fs, bool keep)
{
	struct result *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->fs = fs;
	r->keep = keep;
	atomic_init(&r->refs, 1);
	pthread_mutex_init(&r->mu, NULL);
	r->born_ns = clock_now_ns();
	spool_init(&r->spool);
	return r;
}

void result_list(struct result *r)
{
	struct results *rs = r->fs->results;

	pthread_mutex_lock(&rs->mu);
	r->idle_ns = clock_mono_ns();
	r->is_listed = true;
	r->all_next = rs->all;
	if (rs->all)
		rs->all->all_prev = r;
	rs->all = r;
	pthread_mutex_unlock(&rs->mu);
}

struct result *result_get(struct result *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void result_drop_chunks(struct result *r, uint32_t n)
{
	if (n == 0)
		return;
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
	result_drop_chunks(r, r->chunk_n);
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
	else if (r->is_listed)
		rs->all = r->all_next;
	if (r->all_next)
		r->all_next->all_prev = r->all_prev;
	pthread_mutex_unlock(&rs->mu);
	result_free(r);
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

/* Caller holds mu. True: it was parked and is ours now, to be ended by a last step without mu. */
static bool cancel_locked(struct result *r)
{
	atomic_store(&r->cancelled, true);
	if (r->done || r->pumping)
		return false; /* over, or whoever runs it will see */
	return r->pumping = true;
}

static void cancel(struct result *r)
{
	bool start;

	pthread_mutex_lock(&r->mu);
	start = cancel_locked(r);
	pthread_mutex_unlock(&r->mu);
	if (start)
		result_pump(r, 0);
}

/* Caller holds mu. */
static bool is_lost(const struct result *r)
{
	return r->done ? r->rc == -ECANCELED : atomic_load(&r->cancelled);
}

bool result_open(struct result *r)
{
	bool lost;

	pthread_mutex_lock(&r->mu);
	lost = is_lost(r);
	if (!lost)
		r->handles++;
	pthread_mutex_unlock(&r->mu);
	return !lost;
}

bool result_is_lost(struct result *r)
{
	bool lost;

	pthread_mutex_lock(&r->mu);
	lost = is_lost(r);
	pthread_mutex_unlock(&r->mu);
	return lost;
}

void result_close(struct result *r)
{
	bool start = false;

	/* Who is the last one, and that nobody can open it any more, is decided in one moment. */
	pthread_mutex_lock(&r->mu);
	if (--r->handles == 0 && !r->waiters && !r->done)
		start = cancel_locked(r);
	r->idle_ns = clock_mono_ns();
	pthread_mutex_unlock(&r->mu);
	if (start)
		result_pump(r, 0);
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

		if (r->writer)
			writer_tick(r->writer);
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
	pool_destroy(rs->pool);
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
