/*
 * gzip: zlib's deflate with gzip's header and trailer, and memory that is counted.
 */
#include "query/gzip.h"

#include <stdlib.h>
#include <zlib.h>

/* A third of the time of 6, zlib's default, for 5 % more bytes (2 M rows of numbers: 3.5 s and 10.2 s). */
#define LEVEL       4
#define WINDOW_BITS (15 + 16) /* 16: gzip's wrapping */
#define ROOM        ((size_t)32 << 10)

struct gzip {
	z_stream z;
	struct budget *budget;
};

/* Its size goes in front, aligned as malloc aligns. */
#define HEAD 16

static void *take(void *ctx, uInt n, uInt size)
{
	struct gzip *g = ctx;
	size_t bytes = (size_t)n * size + HEAD;
	char *p;

	if (!budget_take(g->budget, bytes))
		return NULL;
	p = malloc(bytes);
	if (!p) {
		budget_give(g->budget, bytes);
		return NULL;
	}
	memcpy(p, &bytes, sizeof bytes);
	return p + HEAD;
}

static void give(void *ctx, void *at)
{
	struct gzip *g = ctx;
	char *p = (char *)at - HEAD;
	size_t bytes;

	memcpy(&bytes, p, sizeof bytes);
	budget_give(g->budget, bytes);
	free(p);
}

int gzip_create(struct budget *b, struct gzip **ret, struct err *e)
{
	struct gzip *g = calloc(1, sizeof *g);

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->budget = b;
	g->z = (z_stream){.zalloc = take, .zfree = give, .opaque = g};
	if (deflateInit2(&g->z, LEVEL, Z_DEFLATED, WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = g;
	return 0;
}

void gzip_destroy(struct gzip *g)
{
	if (!g)
		return;
	deflateEnd(&g->z);
	free(g);
}

static void run(struct gzip *g, int flush, struct buf *out)
{
	int rc;

	do {
		char *to = buf_reserve(out, ROOM);
		if (!to)
			return;
		g->z.next_out = (Bytef *)to;
		g->z.avail_out = ROOM;
		rc = deflate(&g->z, flush);
		out->len += ROOM - g->z.avail_out;
	} while (g->z.avail_in || (flush == Z_FINISH && rc == Z_OK));
}

void gzip_add(struct gzip *g, struct str in, struct buf *out)
{
	while (in.len && !out->rc) {
		size_t n = MIN(in.len, (size_t)1 << 30); /* avail_in has 32 bits */

		g->z.next_in = (Bytef *)(uintptr_t)in.ptr;
		g->z.avail_in = (uInt)n;
		run(g, Z_NO_FLUSH, out);
		in.ptr += n;
		in.len -= n;
	}
}

void gzip_finish(struct gzip *g, struct buf *out)
{
	g->z.next_in = NULL;
	g->z.avail_in = 0;
	run(g, Z_FINISH, out);
	deflateReset(&g->z);
}
