/*
 * page: one page of one column of a tile, decoded and kept small, and the cache of such pages.
 *
 * Whole numbers and times are base + step * u, u stored in 0, 1, 2, 4 or 8 bytes:
 *
 *	width 0   u is the row's number: a regular series of times, or one value throughout (step 0)
 *	1, 2, 4   unsigned, base the smallest value; step is what divides all distances, or 1 where these
 *	          fit in 2 bytes as they are
 *	8         the value itself (base 0, step 1)
 *
 * Doubles (8 bytes), booleans (1) and strings (struct str, bytes in the page) are as in struct col.
 *
 * The cache belongs to an engine and holds pages up to a limit, those that were not asked for lately
 * are dropped first. It is in parts with a lock each, 16 of them; a page that takes more than a quarter
 * of a part's limit is not kept. A page is constant; it lives until the last
 * reference is put, in the cache or not. Any thread.
 */
#ifndef TIDE_PAGE_H
#define TIDE_PAGE_H

#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/tile.h"

#define PAGE_TIME    UINT32_MAX       /* as a field's number: the rows' times */
#define PAGE_VERSION (UINT32_MAX - 1) /* of a tile that has versions */

struct page {
	uint32_t rows;
	enum coltype type;
	uint8_t width; /* of whole numbers and times */
	int64_t base, step;
	const void *data;
	const uint8_t *valid; /* by row; NULL: all are */
	size_t bytes;         /* all that it takes */
	/* Of page.c alone. */
	_Atomic uint32_t refs;
	struct arena strings;
	uint64_t tile; /* tile_number() */
	uint32_t field, number;
	_Atomic bool is_touched;      /* since the cache looked last */
	struct page *next, *younger; /* in its bucket; in the queue */
};

struct page_cache;

int page_cache_create(size_t limit_bytes, struct page_cache **ret) must_check; /* -ENOMEM */
void page_cache_destroy(struct page_cache *c); /* after the tiles; NULL is fine */
void page_cache_forget(struct page_cache *c, uint64_t tile); /* its pages; done by itself when it is closed */

void page_cache_stats(struct page_cache *c, struct cache_stats *ret);

/*
 * Page `number` of the field, from the cache or from the file. c NULL, or !keeps: a page read from the
 * file is not kept, and not made small, for it is used once. scratch: reset on the way. *ret_was_there:
 * nothing was read. -EBADMSG as tile_read_field(), -ENOMEM.
 */
int page_get(struct page_cache *c, bool keeps, struct tile *t, uint32_t field, uint32_t number,
	     struct arena *scratch, const struct page **ret, bool *ret_was_there, struct err *e) must_check;
void page_put(const struct page *p); /* NULL is fine */

/* The value of a row, of whole numbers and times. */
static inline int64_t page_i64(const struct page *p, uint32_t row)
{
	uint64_t u;

	switch (p->width) {
	case 0: u = row; break;
	case 1: u = ((const uint8_t *)p->data)[row]; break;
	case 2: u = ((const uint16_t *)p->data)[row]; break;
	case 4: u = ((const uint32_t *)p->data)[row]; break;
	default: return ((const int64_t *)p->data)[row];
	}
	return (int64_t)((uint64_t)p->base + (uint64_t)p->step * u);
}

/* Rows [from, from + n) as struct col has them. Strings are lent by the page. */
void page_copy(const struct page *p, uint32_t from, uint32_t n, void *to);

/* Rows from + rows[0], from + rows[1], ... likewise. from may be negative, the sum is a row of the page. */
void page_gather(const struct page *p, int64_t from, const uint32_t *rows, uint32_t n, void *to);

/* How many of the rows [from, from + n), whose times ascend, are <= upto. */
uint32_t page_count_upto(const struct page *p, uint32_t from, uint32_t n, int64_t upto);

#endif
