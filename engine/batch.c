/*
 * batch: the memory of rows in columns (see batch.h); the encoding is in batch_codec.c.
 *
 * Invariant, between calls: in every column, rows n .. cap-1 are NULL and their values are zero. So
 * a row that lacks a column costs nothing, and clear wipes only what was used. A row half filled at
 * index n is the one exception, and batch_drop_row() and batch_clear() restore it.
 */
#include "engine/batch.h"

#include <stdlib.h>

#define ROWS_FIRST 64

void batch_init(struct batch *b)
{
	*b = (struct batch){0};
	arena_init(&b->strings, NULL);
}

void batch_release(struct batch *b)
{
	for (uint32_t i = 0; i < b->col_count; i++) {
		free(b->cols[i].col.data);
		free(b->cols[i].col.valid);
	}
	free(b->cols);
	free(b->series);
	free(b->time_ns);
	free(b->version);
	arena_release(&b->strings);
	batch_init(b);
}

void batch_clear(struct batch *b)
{
	uint32_t used = MIN(b->n + 1, b->cap); /* with a row that was begun and not counted */

	for (uint32_t i = 0; i < b->col_count; i++) {
		struct batch_col *bc = &b->cols[i];
		if (!bc->has_values)
			continue;
		memset(bc->col.data, 0, used * coltype_size(bc->col.type));
		memset(bc->col.valid, 0, used);
		bc->has_values = false;
	}
	b->n = 0;
	b->has_version = false;
	arena_reset(&b->strings);
}

/* Grow an array from `from` to `to` elements, the new ones zero. */
static int grow(void **p, size_t size, uint32_t from, uint32_t to)
{
	char *q = realloc(*p, size * to);
	if (!q)
		return -ENOMEM;
	memset(q + size * from, 0, size * (to - from));
	*p = q;
	return 0;
}

int batch_reserve_rows(struct batch *b, uint32_t rows)
{
	if (likely(rows <= b->cap))
		return 0;
	if (rows > BATCH_ROWS_MAX)
		return -ENOBUFS;
	uint32_t cap = MAX(b->cap, ROWS_FIRST);
	while (cap < rows)
		cap *= 2;
	cap = MIN(cap, BATCH_ROWS_MAX);

	void *series = b->series, *time = b->time_ns, *version = b->version;
	int rc = grow(&series, sizeof *b->series, b->cap, cap);
	b->series = series;
	if (rc == 0)
		rc = grow(&time, sizeof *b->time_ns, b->cap, cap);
	b->time_ns = time;
	if (rc == 0)
		rc = grow(&version, sizeof *b->version, b->cap, cap);
	b->version = version;
	for (uint32_t i = 0; rc == 0 && i < b->col_count; i++) {
		struct col *c = &b->cols[i].col;
		void *valid = c->valid;
		rc = grow(&c->data, coltype_size(c->type), b->cap, cap);
		if (rc == 0)
			rc = grow(&valid, 1, b->cap, cap);
		c->valid = valid;
	}
	if (rc == 0)
		b->cap = cap; /* on failure the old capacity still holds for every array */
	return rc;
}

int batch_reserve(struct batch *b)
{
	return batch_reserve_rows(b, b->n + 1);
}

void batch_drop_row(struct batch *b)
{
	if (b->n >= b->cap)
		return;
	for (uint32_t i = 0; i < b->col_count; i++) {
		struct col *c = &b->cols[i].col;
		size_t size = coltype_size(c->type);
		if (!c->valid[b->n])
			continue;
		c->valid[b->n] = 0;
		memset((char *)c->data + size * b->n, 0, size);
	}
}

void batch_keep_rows(struct batch *b, const uint8_t *keep)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++)
		if (keep[i]) {
			b->series[n] = b->series[i];
			b->time_ns[n] = b->time_ns[i];
			if (b->has_version)
				b->version[n] = b->version[i];
			n++;
		}
	for (uint32_t c = 0; c < b->col_count; c++) {
		struct batch_col *bc = &b->cols[c];
		size_t size = coltype_size(bc->col.type);
		char *data = bc->col.data;
		if (!bc->has_values)
			continue;
		n = 0;
		bc->has_values = false;
		for (uint32_t i = 0; i < b->n; i++)
			if (keep[i]) {
				if (n != i)
					memcpy(data + n * size, data + i * size, size);
				bc->has_values |= bc->col.valid[i] != 0;
				bc->col.valid[n++] = bc->col.valid[i];
			}
		/* Rows to come find their places empty. */
		memset(bc->col.valid + n, 0, b->n - n);
		memset(data + n * size, 0, (b->n - n) * size);
	}
	n = 0;
	for (uint32_t i = 0; i < b->n; i++)
		n += keep[i] != 0;
	b->n = n;
}

/* The slot of col_id, or -ENOENT. Columns are asked for in about the same order each time. */
static int find_col(struct batch *b, uint32_t col_id)
{
	uint32_t at = b->col_hint < b->col_count ? b->col_hint : 0;

	for (uint32_t i = 0; i < b->col_count; i++) {
		if (b->cols[at].col_id == col_id) {
			b->col_hint = at + 1;
			return (int)at;
		}
		if (++at == b->col_count)
			at = 0;
	}
	return -ENOENT;
}

static int retype(struct batch *b, struct batch_col *bc, enum coltype type)
{
	if (bc->has_values)
		return -EINVAL;
	void *data = calloc(MAX(b->cap, 1), coltype_size(type));
	if (!data)
		return -ENOMEM;
	free(bc->col.data);
	bc->col.data = data;
	bc->col.type = type;
	return 0;
}

int batch_col(struct batch *b, uint32_t col_id, enum coltype type)
{
	int at = find_col(b, col_id);

	if (likely(at >= 0)) {
		struct batch_col *bc = &b->cols[at];
		int rc = bc->col.type == type ? 0 : retype(b, bc, type);
		return rc < 0 ? rc : at;
	}
	if (b->col_count == b->col_cap) {
		uint32_t cap = b->col_cap ? b->col_cap * 2 : 16;
		struct batch_col *p = realloc(b->cols, cap * sizeof *p);
		if (!p)
			return -ENOMEM;
		b->cols = p;
		b->col_cap = cap;
	}
	struct batch_col bc = {.col_id = col_id, .col.type = type};
	bc.col.data = calloc(MAX(b->cap, 1), coltype_size(type));
	bc.col.valid = calloc(MAX(b->cap, 1), 1);
	if (!bc.col.data || !bc.col.valid) {
		free(bc.col.data);
		free(bc.col.valid);
		return -ENOMEM;
	}
	b->cols[b->col_count] = bc;
	b->col_hint = b->col_count + 1;
	return (int)b->col_count++;
}
