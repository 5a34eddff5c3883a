#include "query/vec.h"

/*
 * Growth doubles and copies within the arena, so a vector of n values costs at most three times its
 * size. What vb_finish() gave out stays right while the builder goes on: values that are in are never
 * moved in place, and the child vectors it shares only ever grow behind what was given out.
 */

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
}

static uint32_t child_count(const struct type *t)
{
	enum type_layout l = type_layout(t);

	return l == LAYOUT_ROW ? t->field_count : l == LAYOUT_LIST ? 1 : 0;
}

static int reserve(struct vec_builder *b, uint32_t cap, struct err *e)
{
	size_t size = layout_size(type_layout(b->type));
	uint8_t *valid = arena_alloc(b->arena, cap);
	void *data = size ? arena_alloc(b->arena, cap * size) : NULL;

	if (!valid || (size && !data))
		return no_memory(e);
	if (b->n) {
		memcpy(valid, b->v.valid, b->n);
		if (size)
			memcpy(data, b->v.data, b->n * size);
	}
	b->v.valid = valid;
	b->v.data = data;
	b->cap = cap;
	return 0;
}

int vb_init(struct vec_builder *b, const struct type *t, uint32_t cap_hint, struct arena *a, struct err *e)
{
	uint32_t k = child_count(t);
	int rc;

	*b = (struct vec_builder){.type = t, .arena = a, .v = {.type = t, .form = VEC_FLAT}};
	if (k) {
		b->children = arena_zarray(a, struct vec_builder, k);
		b->v.child = arena_zarray(a, struct vec, k);
		if (!b->children || !b->v.child)
			return no_memory(e);
	}
	for (uint32_t i = 0; i < k; i++) {
		bool is_row = type_layout(t) == LAYOUT_ROW;

		rc = vb_init(&b->children[i], is_row ? t->fields[i].type : type_list_elem(t), cap_hint, a, e);
		if (rc < 0)
			return rc;
	}
	return reserve(b, MAX(cap_hint, 4), e);
}

/* Room for one more, its validity set. */
static inline int grow(struct vec_builder *b, bool valid, struct err *e)
{
	if (unlikely(b->n == b->cap)) {
		int rc = b->cap > UINT32_MAX / 2 ? no_memory(e) : reserve(b, b->cap * 2, e);

		if (rc < 0)
			return rc;
	}
	b->v.valid[b->n] = valid;
	b->has_null |= !valid;
	return 0;
}

int vb_add_null(struct vec_builder *b, struct err *e)
{
	size_t size = layout_size(type_layout(b->type));
	int rc = grow(b, false, e);

	if (rc < 0)
		return rc;
	if (size)
		memset((char *)b->v.data + b->n * size, 0, size);
	else
		for (uint32_t f = 0; f < b->type->field_count && rc >= 0; f++)
			rc = vb_add_null(&b->children[f], e);
	if (rc < 0)
		return rc;
	b->n++;
	return 0;
}

#define ADD(name, T, field, value)                                                                 \
	int vb_add_##name(struct vec_builder *b, T v, struct err *e)                               \
	{                                                                                          \
		int rc = grow(b, true, e);                                                         \
		if (rc < 0)                                                                        \
			return rc;                                                                 \
		b->v.field[b->n++] = value;                                                        \
		return 0;                                                                          \
	}
ADD(i64, int64_t, i64, v)
ADD(f64, double, f64, v)
ADD(bool, bool, b8, v)

int vb_add_str(struct vec_builder *b, struct str v, struct err *e)
{
	struct str copy = {"", 0};
	int rc = grow(b, true, e);

	if (rc < 0)
		return rc;
	if (v.len) {
		copy = arena_str(b->arena, v);
		if (!copy.ptr)
			return no_memory(e);
	}
	b->v.str[b->n++] = copy;
	return 0;
}

struct vec_builder *vb_elem(struct vec_builder *b)
{
	return &b->children[0];
}

int vb_add_list(struct vec_builder *b, uint32_t elems_just_added, struct err *e)
{
	int rc = grow(b, true, e);

	if (rc < 0)
		return rc;
	b->v.list[b->n++] = (struct vec_list){b->children[0].n - elems_just_added, elems_just_added};
	return 0;
}

int vb_add_row(struct vec_builder *b, struct err *e)
{
	int rc = grow(b, true, e);

	if (rc >= 0)
		b->n++;
	return rc;
}

static int add_row(struct vec_builder *b, const struct vec *from, uint32_t i, struct err *e)
{
	int rc = 0;

	for (uint32_t f = 0; f < b->type->field_count && rc >= 0; f++)
		rc = vb_add(&b->children[f], &from->child[f], i, e);
	return rc < 0 ? rc : vb_add_row(b, e);
}

int vb_add(struct vec_builder *b, const struct vec *from, uint32_t i, struct err *e)
{
	struct vec_list l;

	if (vec_is_null(from, i))
		return vb_add_null(b, e);
	i = vec_index(from, i);
	from = vec_base(from);
	switch (type_layout(b->type)) {
	case LAYOUT_I64:
		return vb_add_i64(b, from->i64[i], e);
	case LAYOUT_F64:
		return vb_add_f64(b, from->f64[i], e);
	case LAYOUT_BOOL:
		return vb_add_bool(b, from->b8[i], e);
	case LAYOUT_STR:
		return vb_add_str(b, from->str[i], e);
	case LAYOUT_ROW:
		return add_row(b, from, i, e);
	case LAYOUT_LIST:
		l = from->list[i];
		for (uint32_t k = 0; k < l.len; k++) {
			int rc = vb_add(&b->children[0], from->child, l.off + k, e);

			if (rc < 0)
				return rc;
		}
		return vb_add_list(b, l.len, e);
	}
	return 0;
}

/* Room for n more. */
static int make_room(struct vec_builder *b, uint32_t n, struct err *e)
{
	uint32_t cap = b->cap;

	while (cap - b->n < n) {
		if (cap > UINT32_MAX / 2)
			return no_memory(e);
		cap *= 2;
	}
	return cap == b->cap ? 0 : reserve(b, cap, e);
}

int vb_add_many(struct vec_builder *b, const struct vec *from, uint32_t n, struct err *e)
{
	enum type_layout l = type_layout(b->type);
	size_t size = layout_size(l);
	int rc = 0;

	if (from->form != VEC_FLAT || l == LAYOUT_STR || l == LAYOUT_LIST || (l == LAYOUT_ROW && from->valid)) {
		for (uint32_t i = 0; i < n && rc >= 0; i++)
			rc = vb_add(b, from, i, e);
		return rc;
	}
	rc = make_room(b, n, e);
	for (uint32_t f = 0; rc >= 0 && l == LAYOUT_ROW && f < b->type->field_count; f++)
		rc = vb_add_many(&b->children[f], &from->child[f], n, e);
	if (rc < 0)
		return rc;
	if (size && n)
		memcpy((char *)b->v.data + b->n * size, from->data, n * size);
	if (n)
		memset(b->v.valid + b->n, 1, n);
	for (uint32_t i = 0; from->valid && i < n; i++) {
		b->v.valid[b->n + i] = from->valid[i];
		b->has_null |= !from->valid[i];
	}
	b->n += n;
	return 0;
}

void vb_finish(struct vec_builder *b, struct vec *ret)
{
	uint32_t k = child_count(b->type);

	for (uint32_t i = 0; i < k; i++)
		vb_finish(&b->children[i], &b->v.child[i]);
	if (type_layout(b->type) == LAYOUT_LIST)
		b->v.child_n = b->children[0].n;
	*ret = b->v;
	if (!b->has_null)
		ret->valid = NULL;
}
