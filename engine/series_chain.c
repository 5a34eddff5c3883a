/*
 * series_chain: which series have a value, without looking at the others.
 *
 * For each series the one before it that has the same value of the column, and for each value the last
 * series: a chain from the newest to the oldest.
 *
 *	before[id]   series before id with the same code, or SERIES_NONE
 *	last[code]   the newest series, of those that are in the chains
 *
 * A column gets its chains when somebody asks for them first (8 bytes a series at most), and series that
 * came since are added when somebody asks again. `before` of a series never changes; `last` does, so a
 * walk may begin with series that the walker has not heard of.
 */
#include "engine/series_set.h"

#include <stdlib.h>

struct series_chain {
	pthread_mutex_t mu;    /* adding */
	struct segs before;    /* uint32_t, by series */
	struct segs last;      /* _Atomic uint32_t, by code */
};

void chain_destroy(struct series_chain *c)
{
	if (!c)
		return;
	segs_release(&c->before);
	segs_release(&c->last);
	pthread_mutex_destroy(&c->mu);
	free(c);
}

size_t chain_bytes(const struct series_chain *c)
{
	if (!c)
		return 0;
	pthread_mutex_lock((pthread_mutex_t *)&c->mu);
	size_t n = sizeof *c + c->before.bytes + c->last.bytes;
	pthread_mutex_unlock((pthread_mutex_t *)&c->mu);
	return n;
}

static struct series_chain *chain_of(struct series_set *s, uint32_t col_id)
{
	struct column_slot *slot = segs_at(&s->columns, col_id);
	struct series_chain *c = atomic_load_explicit(&slot->chain, memory_order_acquire), *none = NULL;

	if (c)
		return c;
	c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	pthread_mutex_init(&c->mu, NULL);
	c->before.elem_bytes = c->last.elem_bytes = sizeof(uint32_t);
	if (!atomic_compare_exchange_strong(&slot->chain, &none, c)) {
		chain_destroy(c); /* somebody else was faster */
		c = none;
	}
	return c;
}

/* Caller holds c->mu. */
static int add_series(struct series_set *s, struct series_chain *c, uint32_t col_id, uint32_t upto)
{
	uint32_t id = segs_count(&c->before);
	int rc = upto > id ? segs_reserve(&c->before, upto - id) : 0;

	/* Codes of series below upto were all given out before it was read. */
	uint32_t codes = series_dict_count(s, col_id), code = segs_count(&c->last);
	if (rc >= 0 && codes > code)
		rc = segs_reserve(&c->last, codes - code);
	if (rc < 0)
		return rc;
	for (; code < codes; code++) {
		atomic_init((_Atomic uint32_t *)segs_at(&c->last, code), SERIES_NONE);
		segs_publish(&c->last);
	}
	for (; id < upto; id++) {
		uint32_t own = series_dim_code(s, id, col_id), *before = segs_at(&c->before, id);
		*before = SERIES_NONE;
		if (own != DIM_ABSENT) {
			_Atomic uint32_t *last = segs_at(&c->last, own);
			*before = atomic_load_explicit(last, memory_order_relaxed);
			atomic_store_explicit(last, id, memory_order_release);
		}
		/* Last: whoever sees the count finds the series in its chain. */
		segs_publish(&c->before);
	}
	return 0;
}

int series_chain(struct series_set *s, uint32_t col_id, uint32_t upto, const struct series_chain **ret)
{
	struct series_chain *c = chain_of(s, col_id);
	int rc = 0;

	if (!c)
		return -ENOMEM;
	if (segs_count(&c->before) < upto) {
		pthread_mutex_lock(&c->mu);
		rc = add_series(s, c, col_id, upto);
		pthread_mutex_unlock(&c->mu);
	}
	*ret = c;
	return rc;
}

uint32_t series_chain_last(const struct series_chain *c, uint32_t code)
{
	return code < segs_count(&c->last) ? atomic_load_explicit((_Atomic uint32_t *)segs_at(&c->last, code), memory_order_acquire)
					   : SERIES_NONE;
}

uint32_t series_chain_before(const struct series_chain *c, uint32_t id)
{
	return *(const uint32_t *)segs_at(&c->before, id);
}
