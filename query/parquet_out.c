/*
 * parquet_out: the life of a file: row groups, footer.
 */
#include "query/parquet_out.h"

#include <stdlib.h>

#include "query/parquet_impl.h"

#define GROUP_ROWS (1u << 20)
#define GROUP_RAW  ((uint64_t)256 << 20) /* before compression: what a reader has to hold */

int parquet_out_create(const struct parquet_spec *spec, struct parquet_out **ret, struct err *e)
{
	struct parquet_out *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	p->spec = *spec;
	p->memo.day_ns = INT64_MIN;
	arena_init(&p->arena, spec->budget);
	buf_init(&p->text, 1 << 20);
	int rc = schema_make(p, e);
	if (rc < 0) {
		parquet_out_destroy(p);
		return rc;
	}
	*ret = p;
	return 0;
}

void parquet_out_destroy(struct parquet_out *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->leaf_n; i++)
		leaf_release(&p->leaves[i]);
	budget_give(p->spec.budget, p->counted);
	arena_release(&p->arena);
	buf_release(&p->text);
	free(p->groups);
	free(p);
}

static int put(struct parquet_out *p, const void *at, size_t n, struct err *e)
{
	int rc = n ? p->spec.sink.write(p->spec.sink.ctx, at, n, e) : 0;

	p->written += n;
	return rc;
}

static int begin(struct parquet_out *p, struct err *e)
{
	if (p->has_begun)
		return 0;
	p->has_begun = true;
	return put(p, "PAR1", 4, e);
}

/* Buffers have grown or were let go: the budget hears of it afterwards, a batch late at most. */
static int count(struct parquet_out *p, struct err *e)
{
	size_t held = 0;

	for (uint32_t i = 0; i < p->leaf_n; i++)
		held += leaf_held(&p->leaves[i]);
	if (held > p->counted && !budget_take(p->spec.budget, held - p->counted))
		return err_set(e, -ENOMEM, "out of memory");
	if (held < p->counted)
		budget_give(p->spec.budget, p->counted - held);
	p->counted = held;
	return 0;
}

size_t parquet_out_held(const struct parquet_out *p)
{
	return p->counted;
}

static uint64_t pending(const struct parquet_out *p, uint64_t *ret_raw)
{
	uint64_t stored = 0, raw = 0;

	for (uint32_t i = 0; i < p->leaf_n; i++) {
		const struct leaf *l = &p->leaves[i];
		stored += l->pages.len + l->dict.bytes;
		raw += l->raw_bytes + l->values.len;
	}
	*ret_raw = raw;
	return stored;
}

uint64_t parquet_out_bytes(const struct parquet_out *p)
{
	uint64_t raw;

	return p->written + pending(p, &raw);
}

int parquet_out_rows(struct parquet_out *p, const struct vbatch *b, struct err *e)
{
	uint64_t raw;
	int rc = begin(p, e);

	for (uint32_t c = 0; c < p->shape_n && rc >= 0; c++)
		rc = rows_add(p, c, &b->cols[c], b->n, e);
	if (rc < 0)
		return rc;
	p->group_rows += b->n;
	rc = count(p, e);
	if (rc == -ENOMEM) /* a smaller row group, then */
		return parquet_out_end_group(p, e);
	if (rc >= 0 && (p->group_rows >= GROUP_ROWS || pending(p, &raw) >= p->spec.group_bytes || raw >= GROUP_RAW))
		rc = parquet_out_end_group(p, e);
	return rc;
}

/* ---- row groups ------------------------------------------------------------------------------- */

static int write_chunk(struct parquet_out *p, struct leaf *l, struct pq_chunk *c, struct err *e)
{
	struct buf dict;
	int rc;

	buf_init(&dict, (size_t)1 << 30);
	rc = leaf_end_chunk(l, p->spec.coder, &dict, e);
	*c = (struct pq_chunk){
		.type = l->pq,
		.encodings = l->encodings,
		.path = l->path,
		.path_n = l->path_n,
		.codec = page_coder_codec(p->spec.coder),
		.num_values = (int64_t)l->entries,
		.raw_bytes = (int64_t)l->raw_bytes,
		.stored_bytes = (int64_t)(l->pages.len + dict.len),
		.dict_page_off = dict.len ? (int64_t)p->written : 0,
		.data_page_off = (int64_t)(p->written + dict.len),
		.bounds = {.has_nulls = !l->rep_max, .nulls = (int64_t)l->nulls},
	};
	if (rc >= 0)
		rc = put(p, dict.data, dict.len, e);
	if (rc >= 0)
		rc = put(p, l->pages.data, l->pages.len, e);
	buf_release(&dict);
	leaf_begin_chunk(l);
	return rc;
}

static struct pq_group *new_group(struct parquet_out *p)
{
	struct pq_group *g = arena_new(&p->arena, struct pq_group);

	if (p->group_n == p->group_cap) {
		uint32_t cap = p->group_cap ? p->group_cap * 2 : 16;
		struct pq_group **v = realloc(p->groups, cap * sizeof *v);
		if (!v)
			return NULL;
		p->groups = v;
		p->group_cap = cap;
	}
	if (g)
		g->chunks = arena_zarray(&p->arena, struct pq_chunk, p->leaf_n);
	return g && g->chunks ? g : NULL;
}

int parquet_out_end_group(struct parquet_out *p, struct err *e)
{
	struct pq_group *g;
	int rc = 0;

	if (!p->group_rows)
		return 0;
	g = new_group(p);
	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	*g = (struct pq_group){
		.chunks = g->chunks, .chunk_count = p->leaf_n, .rows = (int64_t)p->group_rows,
		.file_off = (int64_t)p->written};
	for (uint32_t i = 0; i < p->leaf_n && rc >= 0; i++) {
		rc = write_chunk(p, &p->leaves[i], &g->chunks[i], e);
		g->raw_bytes += g->chunks[i].raw_bytes;
		g->stored_bytes += g->chunks[i].stored_bytes;
	}
	if (rc < 0)
		return rc;
	p->groups[p->group_n++] = g;
	p->rows += p->group_rows;
	p->group_rows = 0;
	return count(p, e);
}

/* ---- the footer ------------------------------------------------------------------------------- */

int parquet_out_finish(struct parquet_out *p, struct err *e)
{
	struct buf out;
	int rc = begin(p, e);

	if (rc >= 0)
		rc = parquet_out_end_group(p, e);
	struct pq_group *groups = calloc(p->group_n + 1, sizeof *groups);
	if (!groups)
		rc = err_set(e, -ENOMEM, "out of memory");
	if (rc < 0) {
		free(groups);
		return rc;
	}
	for (uint32_t i = 0; i < p->group_n; i++)
		groups[i] = *p->groups[i];
	struct pq_file f = {
		.version = 1,
		.columns = p->columns,
		.column_count = p->column_n,
		.rows = (int64_t)p->rows,
		.groups = groups,
		.group_count = p->group_n,
		.created_by = STR_LIT("tidefs version " TIDE_VERSION " (build result)"),
	};
	buf_init(&out, (size_t)1 << 30);
	pq_file_encode(&out, &f);
	size_t len = out.len;
	buf_put_u32(&out, (uint32_t)len);
	buf_adds(&out, "PAR1");
	rc = out.rc ? err_set(e, -ENOMEM, "out of memory") : put(p, out.data, out.len, e);
	buf_release(&out);
	free(groups);
	return rc;
}
