/*
 * parquet_impl: what parquet_out.c (files and row groups), parquet_schema.c (types to columns),
 * parquet_rows.c (values to leaves) and parquet_leaf.c (leaves to pages) share. Nobody else includes it.
 */
#ifndef TIDE_PARQUET_IMPL_H
#define TIDE_PARQUET_IMPL_H

#include "engine/tile_dict.h"
#include "query/format.h"
#include "query/parquet_out.h"

#define LEVEL_MAX 120 /* definition levels: some 60 arrays in arrays */

/* A column of the file that holds values, and its part of the row group that is being made. */
struct leaf {
	struct str *path;
	uint32_t path_n;
	const struct type *type;
	enum pq_type pq;
	uint8_t def_max, rep_max;
	cell_fn *cell; /* values that are stored as their text */

	/* The page at hand. */
	uint32_t n;          /* levels: values and NULLs */
	uint32_t value_n;
	struct buf defs, reps; /* a byte a level; reps only where rep_max */
	struct buf values;   /* as wide as they are stored; codes, u32, of a dictionary; a byte a boolean */

	/* Distinct texts of the row group; once there are too many, pages hold the texts themselves. */
	bool has_dict;
	struct tile_dict dict;
	struct arena dict_texts;
	struct str last;     /* the text added last, and its code: neighbours are often the same one */
	uint32_t last_code;

	/* Finished pages. */
	struct buf pages;
	uint64_t entries;    /* levels in them */
	uint64_t raw_bytes;  /* of them with their headers */
	uint64_t nulls;
	uint32_t encodings;
};

/* A node of a type's tree: which leaves are below it, and the levels there. */
struct shape {
	const struct type *type;
	uint8_t def;  /* of a NULL here; one more: a value */
	uint8_t rep;  /* LIST: of a further element */
	uint32_t first_leaf, leaf_n;
	struct shape *children; /* LIST: one; ROW: one a field */
};

struct parquet_out {
	struct parquet_spec spec;
	struct arena arena;  /* schema, and the footer's account of finished groups */
	size_t counted;      /* of `budget`: what the leaves hold */
	struct pq_column *columns;
	uint32_t column_n, column_cap;
	struct shape *shapes; /* one an output column */
	uint32_t shape_n;
	struct leaf *leaves;
	uint32_t leaf_n, leaf_cap;
	struct cell_memo memo;
	struct buf text;     /* of the value at hand */
	struct pq_group **groups; /* heap */
	uint32_t group_n, group_cap;
	uint64_t group_rows, rows;
	uint64_t written;    /* bytes */
	bool has_begun;
};

/* parquet_schema.c: columns, shapes and leaves of the types. */
int schema_make(struct parquet_out *p, struct err *e) must_check;

/* parquet_rows.c */
int rows_add(struct parquet_out *p, uint32_t col, const struct vec *v, uint32_t n, struct err *e) must_check;

/* parquet_leaf.c */
void leaf_init(struct leaf *l, const struct type *t, bool has_nanos, struct budget *b);
void leaf_release(struct leaf *l);
size_t leaf_held(const struct leaf *l);
static inline bool leaf_page_is_full(const struct leaf *l)
{
	return l->n >= 20000 || l->values.len >= (size_t)1 << 20;
}
int leaf_end_page(struct leaf *l, struct page_coder *c, struct err *e) must_check; /* an empty one is none */
/* The page at hand and the dictionary; *ret_dict (cleared) gets the dictionary's page. */
int leaf_end_chunk(struct leaf *l, struct page_coder *c, struct buf *ret_dict, struct err *e) must_check;
void leaf_begin_chunk(struct leaf *l);
int leaf_add_text(struct leaf *l, struct str s, struct err *e) must_check;

/* raw as it will lie in the file, lent until the next call. */
int page_coder_pack(struct page_coder *c, struct str raw, struct str *ret, struct err *e) must_check;
struct buf *page_coder_raw(struct page_coder *c); /* room to make a page in, empty */
enum pq_codec page_coder_codec(const struct page_coder *c);

#endif
