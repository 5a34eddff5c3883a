#include "engine/base/base.h"

#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t cap;  /* bytes of data */
	size_t used; /* always a multiple of 16 */
	size_t pad_;
	char data[];
};

_Static_assert(offsetof(struct arena_chunk, data) % 16 == 0, "data must start 16-aligned");

#define CHUNK_MIN 4096
#define CHUNK_MAX (1 << 20)

bool budget_take(struct budget *b, size_t n)
{
	size_t used = atomic_fetch_add(&b->used, n) + n;
	if (used > b->limit) {
		atomic_fetch_sub(&b->used, n);
		return false;
	}
	size_t peak = atomic_load(&b->peak);
	while (used > peak && !atomic_compare_exchange_weak(&b->peak, &peak, used))
		;
	return true;
}

void budget_give(struct budget *b, size_t n)
{
	atomic_fetch_sub(&b->used, n);
}

void arena_init(struct arena *a, struct budget *budget)
{
	*a = (struct arena){.budget = budget};
}

static void chunk_free(struct arena *a, struct arena_chunk *c)
{
	size_t bytes = sizeof *c + c->cap;
	a->bytes -= bytes;
	if (a->budget)
		budget_give(a->budget, bytes);
	free(c);
}

void arena_release(struct arena *a)
{
	while (a->chunk) {
		struct arena_chunk *c = a->chunk;
		a->chunk = c->next;
		chunk_free(a, c);
	}
}

void arena_reset(struct arena *a)
{
	/* Keep the newest chunk, the largest of the regular ones: the next round needs as much. */
	if (!a->chunk)
		return;
	while (a->chunk->next) {
		struct arena_chunk *c = a->chunk->next;
		a->chunk->next = c->next;
		chunk_free(a, c);
	}
	if (a->chunk->cap > CHUNK_MAX) {
		arena_release(a);
		return;
	}
	a->chunk->used = 0;
}

static void *alloc_slow(struct arena *a, size_t n)
{
	size_t cap = a->chunk ? MIN(a->chunk->cap * 2, (size_t)CHUNK_MAX) : CHUNK_MIN;
	cap = MAX(cap, n);
	/* Near the limit a smaller chunk may still fit: only what is asked for decides. */
	while (a->budget && !budget_take(a->budget, sizeof(struct arena_chunk) + cap)) {
		if (cap == n)
			return NULL;
		cap = MAX(cap / 2 & ~(size_t)15, n);
	}
	size_t bytes = sizeof(struct arena_chunk) + cap;
	struct arena_chunk *c = malloc(bytes);
	if (!c) {
		if (a->budget)
			budget_give(a->budget, bytes);
		return NULL;
	}
	c->cap = cap;
	c->used = n;
	c->next = a->chunk;
	a->chunk = c;
	a->bytes += bytes;
	return c->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	struct arena_chunk *c = a->chunk;
	if (likely(c && n <= c->cap - c->used)) {
		void *p = c->data + c->used;
		c->used += n;
		return p;
	}
	return alloc_slow(a, n);
}

void *arena_zalloc(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);
	if (p)
		memset(p, 0, n);
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);
	if (!p)
		return (struct str){NULL, 0};
	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return (struct str){p, s.len};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){a->chunk, a->chunk ? a->chunk->used : 0};
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
	while (a->chunk != m.chunk) {
		struct arena_chunk *c = a->chunk;
		a->chunk = c->next;
		chunk_free(a, c);
	}
	if (a->chunk)
		a->chunk->used = m.used;
}
