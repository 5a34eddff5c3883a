/*
 * pool: a list of jobs that want help. Idle threads sleep until there is one; a job leaves the list when it has
 * as many helpers as it wanted, or when its caller is done.
 */
#include "query/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct job {
	struct job *next;
	void (*fn)(void *ctx);
	void *ctx;
	uint32_t wanted;  /* helpers it would still take; guarded by mu, as is all of it */
	uint32_t running; /* helpers inside fn */
};

struct pool {
	pthread_mutex_t mu;
	pthread_cond_t work; /* there is a job, or the end has come */
	pthread_cond_t left; /* a helper has left a job */
	struct job *jobs;
	bool is_ending;
	uint32_t thread_n;
	pthread_t threads[];
};

/* Caller holds mu. */
static void job_unlist(struct pool *p, const struct job *j)
{
	struct job **at = &p->jobs;

	while (*at && *at != j)
		at = &(*at)->next;
	if (*at)
		*at = j->next;
}

static void *helper_main(void *arg)
{
	struct pool *p = arg;

	pthread_mutex_lock(&p->mu);
	for (;;) {
		struct job *j = p->jobs;

		if (p->is_ending)
			break;
		if (!j) {
			pthread_cond_wait(&p->work, &p->mu);
			continue;
		}
		if (--j->wanted == 0)
			job_unlist(p, j);
		j->running++;
		pthread_mutex_unlock(&p->mu);
		j->fn(j->ctx);
		pthread_mutex_lock(&p->mu);
		if (--j->running == 0)
			pthread_cond_broadcast(&p->left);
	}
	pthread_mutex_unlock(&p->mu);
	return NULL;
}

struct pool *pool_create(uint32_t threads)
{
	uint32_t n = threads > 1 ? threads - 1 : 0;
	struct pool *p = calloc(1, sizeof *p + n * sizeof p->threads[0]);

	if (!p)
		return NULL;
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->left, NULL);
	/* Fewer than wanted are no failure: statements take longer. */
	while (p->thread_n < n && pthread_create(&p->threads[p->thread_n], NULL, helper_main, p) == 0)
		p->thread_n++;
	return p;
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mu);
	p->is_ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->mu);
	for (uint32_t i = 0; i < p->thread_n; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->left);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->mu);
	free(p);
}

uint32_t pool_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? MAX((uint32_t)CPU_COUNT(&set), 1u) : 1;
}

uint32_t pool_threads(const struct pool *p)
{
	return p ? p->thread_n + 1 : 1;
}

void pool_run(struct pool *p, uint32_t helpers, void (*fn)(void *ctx), void *ctx)
{
	struct job j = {.fn = fn, .ctx = ctx, .wanted = p ? MIN(helpers, p->thread_n) : 0};

	if (!j.wanted) {
		fn(ctx);
		return;
	}
	pthread_mutex_lock(&p->mu);
	struct job **at = &p->jobs;
	while (*at) /* who came first is helped first */
		at = &(*at)->next;
	*at = &j;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->mu);
	fn(ctx);
	pthread_mutex_lock(&p->mu);
	job_unlist(p, &j);
	while (j.running)
		pthread_cond_wait(&p->left, &p->mu);
	pthread_mutex_unlock(&p->mu);
}
