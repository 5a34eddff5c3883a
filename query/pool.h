/*
 * pool: threads that help statements. A job is a function that each of some threads runs once, side by side:
 * the caller itself, and as many of the pool's threads as are idle. The function divides the work up (by taking
 * numbers from a shared counter), so that a job is done also when nobody helps.
 *
 * One pool serves all statements of a process.
 */
#ifndef TIDE_POOL_H
#define TIDE_POOL_H

#include "engine/base/base.h"

struct pool;

/* threads: how many work at a job, its caller included; 1: nobody helps. NULL: no memory. */
struct pool *pool_create(uint32_t threads);
void pool_destroy(struct pool *p); /* no job is running; NULL is fine */
uint32_t pool_cores(void); /* that this process may use; at least 1 */
uint32_t pool_threads(const struct pool *p); /* NULL: 1 */

/*
 * Run fn(ctx) in the calling thread and in up to helpers others at a time. Returns when all of them have
 * returned. Helpers that come when fn has returned in the caller are not let in.
 */
void pool_run(struct pool *p, uint32_t helpers, void (*fn)(void *ctx), void *ctx);

#endif
