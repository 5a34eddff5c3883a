/*
 * row_store: rows kept in memory in columns: what a sort holds, keys of groups.
 *
 *	store -> chunk 0: VEC_ROWS rows, a FLAT vector a column
 *	         chunk 1: ...
 *
 * Row r lies in chunk r / VEC_ROWS at r % VEC_ROWS. Values are copied deep into the store's own
 * arena; nothing ever moves, so vectors of chunks may be handed out as they are.
 */
#ifndef TIDE_ROW_STORE_H
#define TIDE_ROW_STORE_H

#include "query/op.h"

struct row_chunk {
	uint32_t n;
	struct vec *cols;
	struct vec_builder *nested; /* of LIST and ROW columns; by column */
};

struct row_store {
	/* Not in place: the builders of nested columns point to it, and a store may be moved. */
	struct arena *arena;
	const struct exec_ctx *exec;
	const struct type **types;
	uint32_t col_count;
	uint32_t n;
	struct row_chunk **chunks;
	uint32_t chunk_n;
	struct grow chunk_array, type_array;
};

/* types: col_count of them, copied. */
int row_store_init(struct row_store *s, const struct exec_ctx *exec, const struct type *const *types,
		   uint32_t col_count, struct err *e) must_check;
void row_store_release(struct row_store *s); /* zeroed is fine */
void row_store_clear(struct row_store *s);   /* forget the rows */

/* Append rows sel[0..n) (NULL: 0..n) of the columns. */
int row_store_add(struct row_store *s, const struct vec *cols, const uint32_t *sel, uint32_t n,
		  struct err *e) must_check;

/* Rows ids[0..n) as FLAT columns in `a`. Strings and lists stay in the store. */
int row_store_gather(const struct row_store *s, const uint32_t *ids, uint32_t n, struct arena *a,
		     struct vec *cols, struct err *e) must_check;

/* One column of them. */
int row_store_gather_column(const struct row_store *s, const uint32_t *ids, uint32_t n, uint32_t col, struct arena *a,
			    struct vec *ret, struct err *e) must_check;

/* The vector that holds row r of a column, and where in it. */
static inline const struct vec *row_store_vec(const struct row_store *s, uint32_t row, uint32_t col)
{
	return &s->chunks[row / VEC_ROWS]->cols[col];
}
static inline uint32_t row_store_at(uint32_t row)
{
	return row % VEC_ROWS;
}

#endif
