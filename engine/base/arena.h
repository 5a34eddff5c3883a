/*
 * arena: memory by lifetime. Allocations are never freed singly; reset or release frees them all.
 *
 *	arena -> chunk -> chunk -> chunk      each chunk: [header | used ... | free ...]
 *
 * Every arena draws on a budget (several may share one), so a runaway query gets -ENOMEM and a
 * sentence while the daemon lives on. One thread at a time per arena; budgets are shared freely.
 */
#ifndef TIDE_ARENA_H
#define TIDE_ARENA_H

#include <stdatomic.h>

#include "engine/base/base.h"

struct budget {
	_Atomic size_t used;
	size_t limit; /* bytes; constant while in use */
	_Atomic size_t peak;
};

static inline void budget_init(struct budget *b, size_t limit)
{
	atomic_init(&b->used, 0);
	atomic_init(&b->peak, 0);
	b->limit = limit;
}

bool budget_take(struct budget *b, size_t n); /* false: over the limit, nothing taken */
void budget_give(struct budget *b, size_t n);

struct arena_chunk;

struct arena {
	struct arena_chunk *chunk; /* newest first */
	struct budget *budget;     /* may be NULL: unlimited */
	size_t bytes;              /* held from the system */
};

struct arena_mark {
	struct arena_chunk *chunk;
	size_t used;
};

void arena_init(struct arena *a, struct budget *budget);
void arena_release(struct arena *a);
void arena_reset(struct arena *a); /* keeps one chunk for the next round */

/* n bytes, 16-aligned, not cleared; NULL when the budget or the system has no more. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);

/* A copy of s with a NUL behind it (not counted); ptr is NULL on failure. */
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) printf_like(2, 3);

struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m); /* frees what came after the mark */

#define arena_new(a, type)      ((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (size_t)(n)))
#define arena_zarray(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))

#endif
