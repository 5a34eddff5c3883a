#include "query/vec.h"

#include <math.h>

size_t layout_size(enum type_layout l)
{
	static const size_t sizes[] = {
		[LAYOUT_I64] = sizeof(int64_t),          [LAYOUT_F64] = sizeof(double),
		[LAYOUT_BOOL] = sizeof(uint8_t),         [LAYOUT_STR] = sizeof(struct str),
		[LAYOUT_LIST] = sizeof(struct vec_list), [LAYOUT_ROW] = 0,
	};

	return sizes[l];
}

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
}

int vec_alloc(struct vec *v, const struct type *t, uint32_t n, struct arena *a, struct err *e)
{
	enum type_layout l = type_layout(t);
	struct vec r = {.type = t, .form = VEC_FLAT};
	uint32_t children = l == LAYOUT_ROW ? t->field_count : l == LAYOUT_LIST ? 1 : 0;

	if (l != LAYOUT_ROW) {
		r.data = arena_alloc(a, MAX(n, 1) * layout_size(l));
		if (!r.data)
			return no_memory(e);
	}
	/* Pointers of rows that turn out NULL must not be garbage; numbers may be. */
	if (l == LAYOUT_STR || l == LAYOUT_LIST)
		memset(r.data, 0, n * layout_size(l));
	if (children) {
		r.child = arena_zarray(a, struct vec, children);
		if (!r.child)
			return no_memory(e);
	}
	for (uint32_t i = 0; i < children; i++) {
		int rc = l == LAYOUT_ROW ? vec_alloc(&r.child[i], t->fields[i].type, n, a, e)
					 : vec_alloc(&r.child[i], type_list_elem(t), 0, a, e);
		if (rc < 0)
			return rc;
	}
	*v = r;
	return 0;
}

int vec_alloc_valid(struct vec *v, uint32_t n, struct arena *a, struct err *e)
{
	uint8_t *valid = arena_alloc(a, MAX(n, 1));

	if (!valid)
		return no_memory(e);
	memset(valid, 1, n);
	v->valid = valid;
	return 0;
}

int vec_const_null(struct vec *v, const struct type *t, struct arena *a, struct err *e)
{
	struct vec r;
	int rc = vec_alloc(&r, t, 1, a, e);

	if (rc < 0)
		return rc;
	if (r.data)
		memset(r.data, 0, layout_size(type_layout(t)));
	rc = vec_alloc_valid(&r, 1, a, e);
	if (rc < 0)
		return rc;
	r.valid[0] = 0;
	if (type_layout(t) == LAYOUT_ROW)
		for (uint32_t i = 0; i < t->field_count; i++) {
			rc = vec_const_null(&r.child[i], t->fields[i].type, a, e);
			if (rc < 0)
				return rc;
		}
	r.form = VEC_CONST;
	*v = r;
	return 0;
}

/* ---- changing the form -------------------------------------------------------------------------- */

/*
 * to[i] = base[idx[i]] for each layout; idx NULL: base[0] for all. The switch stands outside the loop,
 * so each case is a plain gather.
 */
#define GATHER(T, field)                                                                           \
	do {                                                                                       \
		T *restrict to = r->field;                                                         \
		const T *restrict from = base->field;                                              \
		if (idx)                                                                           \
			for (uint32_t i = 0; i < n; i++)                                           \
				to[i] = from[idx[i]];                                              \
		else                                                                               \
			for (uint32_t i = 0; i < n; i++)                                           \
				to[i] = from[0];                                                   \
	} while (0)

static int gather(const struct vec *base, const uint32_t *idx, uint32_t n, struct arena *a, struct vec *ret,
		  struct err *e)
{
	enum type_layout l = type_layout(base->type);
	struct vec out = {.type = base->type, .form = VEC_FLAT}, *r = &out;
	int rc = 0;

	if (l == LAYOUT_ROW) {
		out.child = arena_zarray(a, struct vec, MAX(base->type->field_count, 1));
		if (!out.child)
			return no_memory(e);
		for (uint32_t f = 0; f < base->type->field_count && rc >= 0; f++) {
			const struct vec *c = &base->child[f];

			if (idx || c->form == VEC_CONST) {
				rc = vec_gather(c, idx, n, a, &out.child[f], e);
			} else {
				/* Row 0 for all: the field's value there becomes a constant. */
				uint32_t zero = 0;
				struct vec one;

				rc = vec_gather(c, &zero, 1, a, &one, e);
				if (rc >= 0)
					rc = vec_flatten(&one, 1, a, &one, e);
				one.form = VEC_CONST;
				out.child[f] = one;
			}
		}
	} else {
		out.data = arena_alloc(a, MAX(n, 1) * layout_size(l));
		if (!out.data)
			return no_memory(e);
		out.child = base->child;
		out.child_n = base->child_n;
	}
	if (rc < 0)
		return rc;
	switch (l) {
	case LAYOUT_I64:
		GATHER(int64_t, i64);
		break;
	case LAYOUT_F64:
		GATHER(double, f64);
		break;
	case LAYOUT_BOOL:
		GATHER(uint8_t, b8);
		break;
	case LAYOUT_STR:
		GATHER(struct str, str);
		break;
	case LAYOUT_LIST:
		GATHER(struct vec_list, list);
		break;
	case LAYOUT_ROW:
		break;
	}
	if (base->valid) {
		out.valid = arena_alloc(a, MAX(n, 1));
		if (!out.valid)
			return no_memory(e);
		GATHER(uint8_t, valid);
	}
	*ret = out;
	return 0;
}

int vec_flatten(const struct vec *v, uint32_t n, struct arena *a, struct vec *ret, struct err *e)
{
	if (v->form == VEC_FLAT) {
		*ret = *v;
		return 0;
	}
	return v->form == VEC_CONST ? gather(v, NULL, n, a, ret, e) : gather(v->dict, v->codes, n, a, ret, e);
}

int vec_gather(const struct vec *v, const uint32_t *sel, uint32_t n, struct arena *a, struct vec *ret,
	       struct err *e)
{
	uint32_t *codes;

	switch (v->form) {
	case VEC_CONST:
		*ret = *v;
		return 0;
	case VEC_DICT:
		codes = arena_array(a, uint32_t, MAX(n, 1));
		if (!codes)
			return no_memory(e);
		for (uint32_t i = 0; i < n; i++)
			codes[i] = v->codes[sel[i]];
		*ret = *v;
		ret->codes = codes;
		return 0;
	default:
		return gather(v, sel, n, a, ret, e);
	}
}

/* ---- parts ---------------------------------------------------------------------------------------------- */

int vec_slice(const struct vec *v, uint32_t from, struct arena *a, struct vec *ret, struct err *e)
{
	*ret = *v;
	if (v->form == VEC_CONST || !from)
		return 0;
	if (v->form == VEC_DICT) {
		ret->codes += from;
		return 0;
	}
	if (v->valid)
		ret->valid += from;
	enum type_layout l = type_layout(v->type);
	if (l != LAYOUT_ROW) {
		ret->data = (char *)v->data + from * layout_size(l);
		return 0;
	}
	ret->child = arena_array(a, struct vec, v->type->field_count + 1);
	if (!ret->child)
		return no_memory(e);
	for (uint32_t i = 0; i < v->type->field_count; i++) {
		int rc = vec_slice(&v->child[i], from, a, &ret->child[i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- comparing and hashing ---------------------------------------------------------------------- */

static int f64_cmp(double a, double b)
{
	if (unlikely(isnan(a) || isnan(b)))
		return !!isnan(a) - !!isnan(b);
	return (a > b) - (a < b);
}

/* NULL last, as inside arrays and rows. */
static int cmp_nullable(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	bool an = vec_is_null(a, i), bn = vec_is_null(b, j);

	return an || bn ? an - bn : vec_cmp(a, i, b, j);
}

static int cmp_lists(const struct vec *a, struct vec_list la, const struct vec *b, struct vec_list lb)
{
	uint32_t n = MIN(la.len, lb.len);

	for (uint32_t k = 0; k < n; k++) {
		int c = cmp_nullable(a->child, la.off + k, b->child, lb.off + k);

		if (c)
			return c;
	}
	return (la.len > lb.len) - (la.len < lb.len);
}

int vec_cmp(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	i = vec_index(a, i);
	j = vec_index(b, j);
	a = vec_base(a);
	b = vec_base(b);
	switch (type_layout(a->type)) {
	case LAYOUT_I64:
		return (a->i64[i] > b->i64[j]) - (a->i64[i] < b->i64[j]);
	case LAYOUT_F64:
		return f64_cmp(a->f64[i], b->f64[j]);
	case LAYOUT_BOOL:
		return a->b8[i] - b->b8[j];
	case LAYOUT_STR:
		return str_cmp(a->str[i], b->str[j]);
	case LAYOUT_LIST:
		return cmp_lists(a, a->list[i], b, b->list[j]);
	case LAYOUT_ROW:
		for (uint32_t f = 0; f < a->type->field_count; f++) {
			int c = cmp_nullable(&a->child[f], i, &b->child[f], j);

			if (c)
				return c;
		}
	}
	return 0;
}

bool vec_same(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	return cmp_nullable(a, i, b, j) == 0;
}

int vec_equal3(const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	bool unknown = false;
	uint32_t n;

	if (vec_is_null(a, i) || vec_is_null(b, j))
		return -1;
	i = vec_index(a, i);
	j = vec_index(b, j);
	a = vec_base(a);
	b = vec_base(b);
	switch (type_layout(a->type)) {
	case LAYOUT_F64:
		return a->f64[i] == b->f64[j]; /* NaN equals nothing */
	case LAYOUT_LIST:
		if (a->list[i].len != b->list[j].len)
			return 0;
		n = a->list[i].len;
		break;
	case LAYOUT_ROW:
		n = a->type->field_count;
		break;
	default:
		return vec_cmp(a, i, b, j) == 0;
	}
	for (uint32_t k = 0; k < n; k++) {
		bool is_row = type_layout(a->type) == LAYOUT_ROW;
		int eq = is_row ? vec_equal3(&a->child[k], i, &b->child[k], j)
				: vec_equal3(a->child, a->list[i].off + k, b->child, b->list[j].off + k);

		if (eq == 0)
			return 0;
		unknown |= eq < 0;
	}
	return unknown ? -1 : 1;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return hash_u64(h ^ v) + UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t vec_hash(const struct vec *v, uint32_t i, uint64_t seed)
{
	uint64_t bits;
	double d;

	if (vec_is_null(v, i))
		return mix(seed, UINT64_C(0x6e756c6c));
	i = vec_index(v, i);
	v = vec_base(v);
	switch (type_layout(v->type)) {
	case LAYOUT_I64:
		return mix(seed, (uint64_t)v->i64[i]);
	case LAYOUT_F64:
		d = v->f64[i];
		d = isnan(d) ? (double)NAN : d == 0 ? 0.0 : d;
		memcpy(&bits, &d, sizeof(bits));
		return mix(seed, bits);
	case LAYOUT_BOOL:
		return mix(seed, v->b8[i]);
	case LAYOUT_STR:
		return hash_bytes(v->str[i].ptr, v->str[i].len, seed);
	case LAYOUT_LIST:
		seed = mix(seed, v->list[i].len);
		for (uint32_t k = 0; k < v->list[i].len; k++)
			seed = vec_hash(v->child, v->list[i].off + k, seed);
		return seed;
	case LAYOUT_ROW:
		for (uint32_t f = 0; f < v->type->field_count; f++)
			seed = vec_hash(&v->child[f], i, seed);
		return seed;
	}
	return seed;
}
