/*
 * statement: text to a result that can run, or to one that says why not.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/caller_io.h"
#include "fs/results_impl.h"

static bool allowed(void *ctx, struct db *db, struct table *t, enum query_right right)
{
	struct result *r = ctx;

	return sql_allowed(r->fs, &r->who, db, t, right);
}

/* The sentence as bytes: what a read returns before the errno. */
void result_fail(struct result *r, int rc, const char *sentence)
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
		.pool = r->fs->results->pool,
		.allowed = allowed,
		.allowed_ctx = r,
		.unload_dir = r->fs->opt->unload_dir,
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
	if (spec->text.len)
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
		result_fail(r, rc, err_text(&e, rc));
	result_list(r);
	*ret = r;
	return 0;
}

int result_failed(struct fs *fs, bool keep, int rc, const char *sentence, struct result **ret)
{
	struct result *r = result_alloc(fs, keep);

	if (!r)
		return -ENOMEM;
	result_fail(r, rc, sentence);
	result_list(r);
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
	if (text.len)
		memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (text.len)
		result_fail(r, 0, copy); /* a failure of nothing: text, then end of file */
	else
		r->done = true;
	free(copy);
	result_list(r);
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

/* ---- writers ---------------------------------------------------------------------------------------- */

/* Caller holds w->mu. */
static void look_at_writer(struct writer *w)
{
	w->is_leaving = w->is_leaving || caller_is_leaving(w->pid);
	if (w->is_leaving && w->r)
		atomic_store(&w->r->cancelled, true);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct writer *w = data;

	pthread_mutex_lock(&w->mu);
	w->interrupted = true;
	look_at_writer(w);
	pthread_mutex_unlock(&w->mu);
}

void writer_begin(struct writer *w, fuse_req_t req)
{
	*w = (struct writer){.req = req, .pid = fuse_req_ctx(req)->pid};
	pthread_mutex_init(&w->mu, NULL);
	fuse_req_interrupt_func(req, on_interrupt, w);
}

void writer_end(struct writer *w)
{
	fuse_req_interrupt_func(w->req, NULL, NULL); /* waits for on_interrupt() */
	pthread_mutex_destroy(&w->mu);
}

/* The kernel tells of the first signal only: once there was one, the ticker asks for others. */
void writer_tick(struct writer *w)
{
	pthread_mutex_lock(&w->mu);
	if (w->interrupted)
		look_at_writer(w);
	pthread_mutex_unlock(&w->mu);
}

/* From now on (r NULL: no more) this is what an interrupt cancels. */
static void writer_runs(struct writer *w, struct fs *fs, struct result *of, struct result *r)
{
	pthread_mutex_lock(&fs->results->mu);
	of->writer = r ? w : NULL;
	pthread_mutex_unlock(&fs->results->mu);
	pthread_mutex_lock(&w->mu);
	w->r = r;
	if (w->interrupted)
		look_at_writer(w);
	pthread_mutex_unlock(&w->mu);
}

int statement_run(struct fs *fs, const struct caller *who, struct writer *w, struct db *db, struct str text,
		  int64_t *ret_rows, struct buf *ret_reply, struct err *e)
{
	struct query_env env;
	struct caller_io io;
	struct result *r;
	int rc = with_env(fs, who, db, &r);

	if (rc < 0)
		return rc;
	env_of(r, &env);
	caller_io_init(&io, fs, &r->who);
	env.unload_io = &io.io;
	(void)result_open(r); /* nobody reads it, but it is no statement without a reader */
	result_list(r);
	writer_runs(w, fs, r, r);
	rc = query_run(&env, text, ret_rows, ret_reply, e);
	writer_runs(w, fs, r, NULL);
	if (rc == -ECANCELED && w->is_leaving)
		rc = err_set(e, -EINTR, "interrupted; nothing was done");
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
