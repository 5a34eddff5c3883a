#include "engine/series_set.h"

#include <stdlib.h>

/* ---- segs ------------------------------------------------------------------------------------- */

int segs_reserve(struct segs *a, uint32_t more)
{
	uint64_t x = (uint64_t)segs_count(a) + (1u << SEG_FIRST_BITS);
	uint64_t last = x + more - 1;

	if (!more)
		return 0;
	if (last - (1u << SEG_FIRST_BITS) > SERIES_MAX)
		return -E2BIG;
	int from = 63 - __builtin_clzll(x) - SEG_FIRST_BITS;
	int to = 63 - __builtin_clzll(last) - SEG_FIRST_BITS;
	for (int k = from; k <= to; k++) {
		if (a->seg[k])
			continue;
		/* Cleared memory: the system hands large segments out page by page as they fill. */
		size_t n = (size_t)1 << (SEG_FIRST_BITS + k);
		a->seg[k] = calloc(n, a->elem_bytes);
		if (!a->seg[k])
			return -ENOMEM;
		a->bytes += n * a->elem_bytes;
	}
	return 0;
}

void segs_publish(struct segs *a)
{
	uint32_t n = atomic_load_explicit(&a->count, memory_order_relaxed);
	atomic_store_explicit(&a->count, n + 1, memory_order_release);
}

void segs_release(struct segs *a)
{
	for (int k = 0; k < SEG_COUNT; k++) {
		free(a->seg[k]);
		a->seg[k] = NULL;
	}
	atomic_store(&a->count, 0);
	a->bytes = 0;
}

/* ---- pool ------------------------------------------------------------------------------------- */

#define POOL_BLOCK_MIN 1024
#define POOL_BLOCK_MAX (1 << 20)

struct pool_block {
	struct pool_block *next;
	size_t bytes;
	char data[];
};

int pool_reserve(struct pool *p, size_t n)
{
	if (n <= p->left)
		return 0;
	/* Blocks double, so that a small table stays small and a large one calls malloc seldom. */
	size_t cap = p->blocks ? MIN(p->blocks->bytes * 2, (size_t)POOL_BLOCK_MAX) : POOL_BLOCK_MIN;
	cap = MAX(cap, n);
	struct pool_block *b = malloc(sizeof *b + cap);
	if (!b)
		return -ENOMEM;
	b->bytes = cap;
	b->next = p->blocks;
	p->blocks = b;
	p->at = b->data;
	p->left = cap;
	p->bytes += sizeof *b + cap;
	return 0;
}

void *pool_take(struct pool *p, size_t n)
{
	void *at = p->at;

	p->at += n;
	p->left -= n;
	return at;
}

void pool_release(struct pool *p)
{
	while (p->blocks) {
		struct pool_block *b = p->blocks;
		p->blocks = b->next;
		free(b);
	}
	*p = (struct pool){0};
}

/* ---- names ------------------------------------------------------------------------------------ */

void names_init(struct names *d)
{
	*d = (struct names){.names.elem_bytes = sizeof(struct name)};
}

struct names *names_create(void)
{
	struct names *d = malloc(sizeof *d);

	if (d)
		names_init(d);
	return d;
}

void names_release(struct names *d)
{
	segs_release(&d->names);
	idx_release(&d->index);
}

int64_t names_find(const struct names *d, struct str s, uint32_t hash)
{
	uint32_t i, id;

	IDX_EACH(&d->index, hash, i, id)
		if (str_eq(names_at(d, id), s))
			return id;
	return -1;
}

int names_reserve(struct names *d)
{
	int rc = segs_reserve(&d->names, 1);

	return rc < 0 ? rc : idx_reserve(&d->index, 1);
}

uint32_t names_append(struct names *d, struct pool *text, struct str s, uint32_t hash)
{
	uint32_t code = segs_count(&d->names);
	struct name *n = segs_at(&d->names, code);
	char *to = pool_take(text, s.len);

	if (s.len)
		memcpy(to, s.ptr, s.len);
	*n = (struct name){to, (uint32_t)s.len, hash};
	segs_publish(&d->names);
	return code;
}

uint32_t names_add(struct names *d, struct pool *text, struct str s, uint32_t hash)
{
	idx_put(&d->index, hash, segs_count(&d->names));
	return names_append(d, text, s, hash);
}

int names_index(struct names *d)
{
	uint32_t n = segs_count(&d->names), from = d->index.used;
	int rc = idx_reserve(&d->index, n - from);

	for (uint32_t i = from; rc == 0 && i < n; i++) {
		const struct name *x = segs_at(&d->names, i);
		if (n - i > INDEX_AHEAD)
			idx_prefetch(&d->index, ((const struct name *)segs_at(&d->names, i + INDEX_AHEAD))->hash);
		if (names_find(d, (struct str){x->ptr, x->len}, x->hash) >= 0)
			return -EBADMSG;
		idx_put(&d->index, x->hash, i);
	}
	return rc;
}
