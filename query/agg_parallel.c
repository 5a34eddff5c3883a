#include "query/agg_parallel.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/scan.h"
#include "query/pool.h"

#define PARTS_MAX   64
#define AHEAD_PARTS 4 /* for each thread */

struct agg_worker {
	struct exec x;
	struct arena arena;
};

struct run {
	struct op *agg;
	struct agg_table *into;
	struct agg_parallel *p;
	struct exec_part *parts;
	uint32_t part_n;
	_Atomic uint32_t worker_at;

	pthread_mutex_t mu;
	pthread_cond_t merged;
	/* Guarded by mu. */
	uint32_t next;        /* part to be taken */
	uint32_t merge_at;    /* part to be merged */
	bool is_merging;
	struct agg_table *tables; /* by part */
	bool *is_ready;
	uint32_t failed;      /* the first part that failed; part_n: none */
	int rc;
	struct err err;
};

/* ---- is it worth it? --------------------------------------------------------------------------- */

static bool is_divisible(const struct plan *agg)
{
	for (uint32_t i = 0; i < agg->agg_count; i++) {
		const struct plan_agg *a = &agg->aggs[i];

		if (a->distinct || a->key_count || !a->func->agg->is_divisible || !a->func->agg->merge)
			return false;
	}
	return true;
}

static bool any_volatile(const struct bx *x, void *ctx)
{
	return x->kind == BX_CALL && (x->func->flags & FN_VOLATILE);
}

static bool is_volatile(struct bx *const *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (v[i] && bx_any(v[i], any_volatile, NULL))
			return true;
	}
	return false;
}

/* The scan at the end of a line of filters and projections; NULL: there is none. */
static struct op *scan_below(struct op *agg)
{
	const struct plan *p = agg->plan;
	struct op *o = agg;

	if (is_volatile(p->groups, p->group_count))
		return NULL;
	for (uint32_t i = 0; i < p->agg_count; i++) {
		if (is_volatile(p->aggs[i].args, p->aggs[i].argc) || is_volatile(&p->aggs[i].filter, 1))
			return NULL;
	}
	do {
		o = o->children[0];
		p = o->plan;
		if (p->kind == PLAN_FILTER ? is_volatile(&p->where, 1) :
		    p->kind == PLAN_PROJECT && is_volatile(p->exprs, p->col_count))
			return NULL;
	} while (p->kind == PLAN_FILTER || p->kind == PLAN_PROJECT);
	return p->kind == PLAN_SCAN ? o : NULL;
}

/* ---- the parts ----------------------------------------------------------------------------------- */

/* What went wrong in part i, unless an earlier one went wrong. Caller holds mu. */
static void fail(struct run *r, uint32_t i, int rc, const struct err *e)
{
	if (i >= r->failed)
		return;
	r->failed = i;
	r->rc = rc;
	r->err = *e;
}

/* The next part for this thread; -1: no more. */
static int64_t take_part(struct run *r)
{
	uint32_t ahead = AHEAD_PARTS * r->p->worker_n;
	int64_t i = -1;

	pthread_mutex_lock(&r->mu);
	while (r->next < r->part_n && r->next < r->failed && r->next >= r->merge_at + ahead)
		pthread_cond_wait(&r->merged, &r->mu);
	if (r->next < r->part_n && r->next < r->failed)
		i = r->next++;
	pthread_mutex_unlock(&r->mu);
	return i;
}

static int run_part(struct run *r, struct agg_worker *w, uint32_t i, struct agg_table *t, struct err *e)
{
	struct op *child = NULL;
	struct arena batch;
	struct vbatch in;

	w->x.part = &r->parts[i];
	arena_init(&batch, w->x.ctx.budget);
	int rc = agg_table_open(t, &w->x, r->agg->plan, &batch, e);
	if (rc >= 0)
		rc = op_open_child(r->agg, &w->x, 0, &child, e);
	while (rc >= 0 && (rc = op_next(child, &in, e)) > 0) {
		arena_reset(&batch);
		rc = agg_table_add(t, &in, e);
	}
	op_close(child);
	arena_release(&batch);
	t->batch = NULL;
	return rc;
}

/* Everything that is ready, in order. One thread at a time merges; caller holds mu. */
static void merge_ready(struct run *r)
{
	struct err e = {0};

	if (r->is_merging)
		return;
	r->is_merging = true;
	while (r->merge_at < r->failed && r->merge_at < r->part_n && r->is_ready[r->merge_at]) {
		struct agg_table *from = &r->tables[r->merge_at];

		pthread_mutex_unlock(&r->mu);
		int rc = agg_table_merge(r->into, from, &e);
		agg_table_release(from);
		pthread_mutex_lock(&r->mu);
		if (rc < 0)
			fail(r, r->merge_at, rc, &e);
		r->merge_at++;
		pthread_cond_broadcast(&r->merged);
	}
	r->is_merging = false;
}

static void work(void *ctx)
{
	struct run *r = ctx;
	uint32_t me = atomic_fetch_add(&r->worker_at, 1);
	struct err e = {0};
	int64_t i;

	if (me >= r->p->worker_n)
		return;
	while ((i = take_part(r)) >= 0) {
		int rc = run_part(r, &r->p->workers[me], (uint32_t)i, &r->tables[i], &e);

		pthread_mutex_lock(&r->mu);
		if (rc < 0)
			fail(r, (uint32_t)i, rc, &e);
		else
			r->is_ready[i] = true;
		merge_ready(r);
		pthread_cond_broadcast(&r->merged); /* who waits looks whether anything failed */
		pthread_mutex_unlock(&r->mu);
	}
}

static int workers_create(struct agg_parallel *p, struct exec *x, uint32_t n)
{
	p->workers = calloc(n, sizeof *p->workers);
	if (!p->workers)
		return -ENOMEM;
	p->worker_n = n;
	for (uint32_t i = 0; i < n; i++) {
		struct agg_worker *w = &p->workers[i];

		arena_init(&w->arena, x->ctx.budget);
		w->x.arena = &w->arena;
		w->x.ctx = x->ctx;
		w->x.ctx.random_state = NULL; /* nothing volatile runs here */
		w->x.leader = x;
		w->x.moment_of = x->moment_of;
		w->x.upto_seq = x->upto_seq;
	}
	return 0;
}

void agg_parallel_release(struct agg_parallel *p)
{
	for (uint32_t i = 0; i < p->worker_n; i++)
		arena_release(&p->workers[i].arena);
	free(p->workers);
	*p = (struct agg_parallel){0};
}

static int run_parts(struct run *r, struct err *e)
{
	struct exec *x = r->agg->x;

	r->tables = arena_zarray(x->arena, struct agg_table, r->part_n);
	r->is_ready = arena_zarray(x->arena, bool, r->part_n);
	if (!r->tables || !r->is_ready ||
	    workers_create(r->p, x, MIN(pool_threads(x->pool), r->part_n)) < 0)
		return exec_nomem(&x->ctx, e);
	r->failed = r->part_n;
	pthread_mutex_init(&r->mu, NULL);
	pthread_cond_init(&r->merged, NULL);
	pool_run(x->pool, r->p->worker_n - 1, work, r);
	pthread_cond_destroy(&r->merged);
	pthread_mutex_destroy(&r->mu);
	for (uint32_t i = 0; i < r->part_n; i++)
		agg_table_release(&r->tables[i]);
	if (r->failed == r->part_n)
		return 1;
	if (e)
		*e = r->err;
	return r->rc;
}

int agg_parallel_run(struct agg_parallel *p, struct op *agg, struct agg_table *into, struct err *e)
{
	struct exec *x = agg->x;
	struct run r = {.agg = agg, .into = into, .p = p};
	struct op *scan;
	int rc;

	/* EXPLAIN ANALYZE counts the operators at hand, and not those of helpers. */
	if (pool_threads(x->pool) < 2 || x->part || agg->stats || !is_divisible(agg->plan))
		return 0;
	scan = scan_below(agg);
	if (!scan)
		return 0;
	rc = op_scan_parts(scan, x->part_rows, PARTS_MAX, &r.parts, &r.part_n, e);
	if (rc < 0 || r.part_n < 2)
		return rc;
	return run_parts(&r, e);
}
