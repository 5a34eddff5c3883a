#include "query/row_store.h"

#include <stdlib.h>

static bool is_nested(const struct type *t)
{
	enum type_layout l = type_layout(t);
	return l == LAYOUT_LIST || l == LAYOUT_ROW;
}

int row_store_init(struct row_store *s, const struct exec_ctx *exec, const struct type *const *types,
		   uint32_t col_count, struct err *e)
{
	*s = (struct row_store){.exec = exec, .col_count = col_count};
	s->arena = malloc(sizeof *s->arena);
	if (!s->arena)
		return exec_nomem(exec, e);
	arena_init(s->arena, exec->budget);
	if (grow_to(&s->type_array, exec->budget, sizeof *types * (col_count + 1)) < 0)
		return exec_nomem(exec, e);
	s->types = s->type_array.data;
	for (uint32_t i = 0; i < col_count; i++)
		s->types[i] = types[i];
	return 0;
}

void row_store_release(struct row_store *s)
{
	if (!s->exec)
		return;
	if (s->arena)
		arena_release(s->arena);
	free(s->arena);
	grow_release(&s->chunk_array, s->exec->budget);
	grow_release(&s->type_array, s->exec->budget);
	*s = (struct row_store){0};
}

void row_store_clear(struct row_store *s)
{
	arena_reset(s->arena);
	s->n = s->chunk_n = 0;
}

static int chunk_add(struct row_store *s, struct err *e)
{
	struct row_chunk *c = arena_new(s->arena, struct row_chunk);
	int rc = 0;

	if (!c || grow_to(&s->chunk_array, s->exec->budget, sizeof c * (s->chunk_n + 1)) < 0)
		return exec_nomem(s->exec, e);
	c->cols = arena_zarray(s->arena, struct vec, s->col_count + 1);
	c->nested = arena_zarray(s->arena, struct vec_builder, s->col_count + 1);
	if (!c->cols || !c->nested)
		return exec_nomem(s->exec, e);
	for (uint32_t i = 0; i < s->col_count && rc >= 0; i++) {
		if (is_nested(s->types[i]))
			rc = vb_init(&c->nested[i], s->types[i], 64, s->arena, e);
		else
			rc = vec_alloc(&c->cols[i], s->types[i], VEC_ROWS, s->arena, e);
	}
	if (rc < 0)
		return rc;
	s->chunks = s->chunk_array.data;
	s->chunks[s->chunk_n++] = c;
	return 0;
}

/* Texts: bytes are copied, once for neighbours that share them (constants, runs of a dictionary). */
static int put_strings(struct row_store *s, struct vec *to, uint32_t at, const struct vec *from,
		       const uint32_t *sel, uint32_t n, struct err *e)
{
	const struct vec *b = vec_base(from);
	struct str src = {0}, copy = {0};
	size_t bytes = 0;

	for (int pass = 0; pass < 2; pass++) {
		char *p = pass ? arena_alloc(s->arena, bytes + 1) : NULL;
		if (pass && !p)
			return exec_nomem(s->exec, e);
		src = (struct str){0};
		for (uint32_t i = 0; i < n; i++) {
			uint32_t k = vec_index(from, sel ? sel[i] : i);
			if (b->valid && !b->valid[k]) {
				if (pass)
					to->str[at + i] = (struct str){"", 0};
				continue;
			}
			struct str v = b->str[k];
			bool again = src.ptr && v.ptr == src.ptr && v.len == src.len;
			if (!again) {
				src = v;
				bytes += pass ? 0 : v.len;
				if (pass) {
					copy = (struct str){p, v.len};
					if (v.len)
						memcpy(p, v.ptr, v.len);
					p += v.len;
				}
			}
			if (pass)
				to->str[at + i] = copy;
		}
	}
	return 0;
}

static int put_valid(struct row_store *s, struct vec *to, uint32_t at, const struct vec *from,
		     const uint32_t *sel, uint32_t n, struct err *e)
{
	if (!vec_base(from)->valid && !to->valid)
		return 0;
	if (!to->valid) {
		int rc = vec_alloc_valid(to, VEC_ROWS, s->arena, e);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < n; i++)
		to->valid[at + i] = !vec_is_null(from, sel ? sel[i] : i);
	return 0;
}

static int put_column(struct row_store *s, struct row_chunk *c, uint32_t col, const struct vec *from,
		      const uint32_t *sel, uint32_t n, struct err *e)
{
	struct vec *to = &c->cols[col];
	const struct vec *b = vec_base(from);
	uint32_t at = c->n;
	int rc = 0;

#define PUT(T, field)                                                                              \
	do {                                                                                       \
		if (from->form == VEC_FLAT && !sel)                                                \
			memcpy(to->field + at, b->field, n * sizeof(T));                           \
		else                                                                               \
			for (uint32_t i = 0; i < n; i++)                                           \
				to->field[at + i] = b->field[vec_index(from, sel ? sel[i] : i)];   \
	} while (0)
	switch (type_layout(s->types[col])) {
	case LAYOUT_I64:
		PUT(int64_t, i64);
		break;
	case LAYOUT_F64:
		PUT(double, f64);
		break;
	case LAYOUT_BOOL:
		PUT(uint8_t, b8);
		break;
	case LAYOUT_STR:
		rc = put_strings(s, to, at, from, sel, n, e);
		break;
	case LAYOUT_LIST:
	case LAYOUT_ROW:
		for (uint32_t i = 0; i < n && rc >= 0; i++)
			rc = vb_add(&c->nested[col], from, sel ? sel[i] : i, e);
		if (rc >= 0)
			vb_finish(&c->nested[col], to);
		return rc;
	}
#undef PUT
	return rc < 0 ? rc : put_valid(s, to, at, from, sel, n, e);
}

int row_store_add(struct row_store *s, const struct vec *cols, const uint32_t *sel, uint32_t n,
		  struct err *e)
{
	while (n) {
		uint32_t used = s->n % VEC_ROWS;
		if (!used) {
			if (s->n > UINT32_MAX - 2 * VEC_ROWS)
				return err_set(e, -ENOMEM, "more than 4 billion rows to be held at once");
			if (s->chunk_n == s->n / VEC_ROWS) {
				int rc = chunk_add(s, e);
				if (rc < 0)
					return rc;
			}
		}
		struct row_chunk *c = s->chunks[s->chunk_n - 1];
		uint32_t k = MIN(n, VEC_ROWS - used);
		for (uint32_t i = 0; i < s->col_count; i++) {
			int rc = put_column(s, c, i, &cols[i], sel, k, e);
			if (rc < 0)
				return rc;
		}
		c->n += k;
		s->n += k;
		n -= k;
		if (!n)
			break;
		/* The rest begins a chunk: its rows are named by a selection. */
		if (!sel) {
			uint32_t *rest = arena_array(s->arena, uint32_t, n);
			if (!rest)
				return exec_nomem(s->exec, e);
			for (uint32_t i = 0; i < n; i++)
				rest[i] = k + i;
			sel = rest;
		} else {
			sel += k;
		}
	}
	return 0;
}

static int gather_nested(const struct row_store *s, const uint32_t *ids, uint32_t n, uint32_t col,
			 struct arena *a, struct vec *ret, struct err *e)
{
	struct vec_builder b;

	int rc = vb_init(&b, s->types[col], n, a, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = vb_add(&b, row_store_vec(s, ids[i], col), row_store_at(ids[i]), e);
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int gather_column(const struct row_store *s, const uint32_t *ids, uint32_t n, uint32_t col,
			 struct arena *a, struct vec *ret, struct err *e)
{
	bool nulls = false;

	int rc = vec_alloc(ret, s->types[col], n, a, e);
	if (rc < 0)
		return rc;
#define TAKE(field)                                                                                \
	for (uint32_t i = 0; i < n; i++)                                                           \
		ret->field[i] = row_store_vec(s, ids[i], col)->field[row_store_at(ids[i])];        \
	break
	switch (type_layout(s->types[col])) {
	case LAYOUT_I64:
		TAKE(i64);
	case LAYOUT_F64:
		TAKE(f64);
	case LAYOUT_BOOL:
		TAKE(b8);
	case LAYOUT_STR:
		TAKE(str);
	case LAYOUT_LIST:
	case LAYOUT_ROW:
		break;
	}
#undef TAKE
	for (uint32_t i = 0; i < s->chunk_n; i++)
		nulls = nulls || s->chunks[i]->cols[col].valid;
	if (!nulls)
		return 0;
	rc = vec_alloc_valid(ret, n, a, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		ret->valid[i] = !vec_is_null(row_store_vec(s, ids[i], col), row_store_at(ids[i]));
	return 0;
}

int row_store_gather_column(const struct row_store *s, const uint32_t *ids, uint32_t n, uint32_t col, struct arena *a,
			    struct vec *ret, struct err *e)
{
	return is_nested(s->types[col]) ? gather_nested(s, ids, n, col, a, ret, e)
					: gather_column(s, ids, n, col, a, ret, e);
}

int row_store_gather(const struct row_store *s, const uint32_t *ids, uint32_t n, struct arena *a,
		     struct vec *cols, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->col_count && rc >= 0; i++)
		rc = row_store_gather_column(s, ids, n, i, a, &cols[i], e);
	return rc;
}
