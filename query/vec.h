/*
 * vec: a vector of values, the currency of the executor. Batches hold at most VEC_ROWS of them.
 *
 * Forms: FLAT one value a row; CONST one value for all rows (index 0); DICT row i is
 * dict[codes[i]]. A vector's memory belongs to an arena with the batch's (or the query's) lifetime;
 * vectors are never freed singly, and what a vector points to is never changed once it was handed on.
 */
#ifndef TIDE_VEC_H
#define TIDE_VEC_H

#include "query/type.h"

#define VEC_ROWS 2048

enum vec_form {
	VEC_FLAT,
	VEC_CONST,
	VEC_DICT,
};

struct vec_list { /* LAYOUT_LIST: elements [off, off+len) of child */
	uint32_t off, len;
};

struct vec {
	const struct type *type;
	enum vec_form form;
	uint8_t *valid; /* NULL: no NULLs. FLAT: by row; CONST: valid[0]; DICT: unused (dict->valid) */
	union {
		void *data;
		int64_t *i64;
		double *f64;
		uint8_t *b8;
		struct str *str;
		struct vec_list *list;
	};
	struct vec *child;      /* LIST: the elements (FLAT), one vector; ROW: field_count vectors */
	uint32_t child_n;       /* LIST: elements in child */
	const uint32_t *codes;  /* DICT */
	const struct vec *dict; /* DICT: FLAT */
	uint32_t dict_n;
};

struct vbatch {
	uint32_t n; /* rows, <= VEC_ROWS */
	uint32_t col_count;
	struct vec *cols;
};

/* Row i's index into data/valid of the vector that holds the values (itself, or its dict). */
static inline uint32_t vec_index(const struct vec *v, uint32_t i)
{
	return v->form == VEC_FLAT ? i : v->form == VEC_CONST ? 0 : v->codes[i];
}
static inline const struct vec *vec_base(const struct vec *v)
{
	return v->form == VEC_DICT ? v->dict : v;
}
static inline bool vec_is_null(const struct vec *v, uint32_t i)
{
	const struct vec *b = vec_base(v);
	return b->valid && !b->valid[vec_index(v, i)];
}

size_t layout_size(enum type_layout l); /* bytes of one value; 0 for ROW */

/* A FLAT vector with room for n values; valid NULL. -ENOMEM with a sentence. */
int vec_alloc(struct vec *v, const struct type *t, uint32_t n, struct arena *a, struct err *e) must_check;
int vec_alloc_valid(struct vec *v, uint32_t n, struct arena *a, struct err *e) must_check; /* all 1 */
int vec_const_null(struct vec *v, const struct type *t, struct arena *a, struct err *e) must_check;

/* v as FLAT (v itself where it is one already). */
int vec_flatten(const struct vec *v, uint32_t n, struct arena *a, struct vec *ret, struct err *e) must_check;

/* Rows sel[0..n) of v, in that order. CONST stays CONST, DICT stays DICT. */
int vec_gather(const struct vec *v, const uint32_t *sel, uint32_t n, struct arena *a, struct vec *ret,
	       struct err *e) must_check;

/* Rows [from, ...) of v without copying; the result shares v's memory. */
int vec_slice(const struct vec *v, uint32_t from, struct arena *a, struct vec *ret, struct err *e) must_check;

/*
 * Three-way comparison of two rows of vectors of one type, in ORDER BY's sense: NaN is the largest,
 * NULLs must have been dealt with by the caller (inside arrays and rows NULL sorts last).
 */
int vec_cmp(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j);

/* Equal in the sense of GROUP BY and DISTINCT: NULL equals NULL, NaN equals NaN, 0.0 equals -0.0. */
bool vec_same(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j);
uint64_t vec_hash(const struct vec *v, uint32_t i, uint64_t seed); /* agrees with vec_same */

/*
 * Equal in the sense of `=`: 1 or 0, NaN equals nothing; -1 where a NULL, also one inside, decides
 * that it is not known. What does not equal itself equals nothing.
 */
int vec_equal3(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j);

/* Append the text form (2.5, 2022-06-17 10:15:00.000000000, [1, 2], null inside them) of row i. */
void vec_format(const struct vec *v, uint32_t i, struct buf *out);

/*
 * vec_builder: a vector that grows by a value at a time, of any type; results of aggregates, sorts
 * and materialisation. Values are copied deep (strings too).
 */
struct vec_builder {
	const struct type *type;
	struct arena *arena;
	uint32_t n, cap;
	bool has_null;
	struct vec v;                 /* FLAT, being built */
	struct vec_builder *children; /* LIST: one; ROW: one a field */
};
int vb_init(struct vec_builder *b, const struct type *t, uint32_t cap_hint, struct arena *a, struct err *e) must_check;
int vb_add(struct vec_builder *b, const struct vec *from, uint32_t i, struct err *e) must_check;
/* Rows [0, n) of a vector. */
int vb_add_many(struct vec_builder *b, const struct vec *from, uint32_t n, struct err *e) must_check;
int vb_add_null(struct vec_builder *b, struct err *e) must_check;
int vb_add_i64(struct vec_builder *b, int64_t v, struct err *e) must_check; /* any LAYOUT_I64 */
int vb_add_f64(struct vec_builder *b, double v, struct err *e) must_check;
int vb_add_bool(struct vec_builder *b, bool v, struct err *e) must_check;
int vb_add_str(struct vec_builder *b, struct str v, struct err *e) must_check;
/* A list: add its elements to vb_elem(b), then close it with their number. */
struct vec_builder *vb_elem(struct vec_builder *b);
int vb_add_list(struct vec_builder *b, uint32_t elems_just_added, struct err *e) must_check;
/* A row: add one value to each vb_field(b, f), then close it. */
static inline struct vec_builder *vb_field(struct vec_builder *b, uint32_t f)
{
	return &b->children[f];
}
int vb_add_row(struct vec_builder *b, struct err *e) must_check;
void vb_finish(struct vec_builder *b, struct vec *ret); /* FLAT; the builder may go on being filled */

#endif
