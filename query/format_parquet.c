/*
 * format_parquet: a result as a Parquet file (parquet_out.h), zstd, timestamps to the nanosecond.
 *
 * Rows come out when a row group is full, so a file begins with its first bytes and ends with its
 * footer; what fails in between leaves no footer, and no reader takes the rest for a result.
 */
#include <stdlib.h>

#include "query/format.h"
#include "query/parquet_out.h"

#define GROUP_BYTES ((uint64_t)4 << 20) /* a row group is handed out at once */

struct parquet_result {
	struct page_coder *coder;
	struct parquet_out *out;
	struct buf *to; /* of the call at hand */
};

static int to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	struct parquet_result *r = ctx;

	buf_add(r->to, p, n);
	return r->to->rc ? err_set(e, -ENOMEM, "out of memory for the result") : 0;
}

static void begin(struct query_text *t, struct buf *out)
{
	struct parquet_result *r = calloc(1, sizeof *r);
	const struct query_col *cols;
	uint32_t n = query_columns(t->query, &cols);

	t->parquet = r;
	if (!r) {
		t->rc = err_set(&t->e, -ENOMEM, "out of memory");
		return;
	}
	t->rc = page_coder_create(PQ_ZSTD, query_budget(t->query), &r->coder, &t->e);
	if (t->rc >= 0)
		t->rc = parquet_out_create(&(struct parquet_spec){
			.cols = cols, .col_count = n, .has_nanos = true, .group_bytes = GROUP_BYTES, .coder = r->coder,
			.budget = query_budget(t->query), .sink = {to_buf, r}}, &r->out, &t->e);
}

static void rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	if (t->rc < 0)
		return;
	t->parquet->to = out;
	t->rc = parquet_out_rows(t->parquet->out, b, &t->e);
}

static void end(struct query_text *t, struct buf *out)
{
	if (t->rc < 0)
		return;
	t->parquet->to = out;
	t->rc = parquet_out_finish(t->parquet->out, &t->e);
}

static void release(struct query_text *t)
{
	if (!t->parquet)
		return;
	parquet_out_destroy(t->parquet->out);
	page_coder_destroy(t->parquet->coder);
	free(t->parquet);
}

const struct format format_parquet = {
	.begin = begin, .rows = rows, .end = end, .release = release, .is_binary = true};
