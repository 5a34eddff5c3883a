/*
 * eval_in: x IN (a, b, ...).
 *
 * TRUE where x equals an element, else NULL where x or any element is NULL, else FALSE. Constants go
 * into one hash set a query (linear probing, at most half full); elements that are expressions are
 * compared row by row. NaN equals nothing.
 */
#include "query/eval.h"

struct in_set {
	struct vec values; /* FLAT, no NULLs, no NaN */
	uint32_t n, mask;
	uint32_t *slots;   /* index + 1 into values; 0: free */
	bool has_null;
	bool all_const;    /* false: nothing was built */
};

static bool is_nan(const struct vec *v, uint32_t i)
{
	if (type_layout(v->type) != LAYOUT_F64)
		return false;
	double d = vec_base(v)->f64[vec_index(v, i)];
	return d != d;
}

int in_set_build(struct arena *a, const struct bx *x, void **ret, struct err *e)
{
	struct in_set *s = arena_new(a, struct in_set);
	struct vec_builder b;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 1; i < x->argc; i++) {
		if (x->args[i]->kind != BX_CONST) {
			*ret = s;
			return 0;
		}
	}
	s->all_const = true;
	int rc = vb_init(&b, x->args[0]->type, x->argc, a, e);
	for (uint32_t i = 1; i < x->argc && rc >= 0; i++) {
		const struct vec *v = &x->args[i]->value;
		if (v->type->kind == TY_UNKNOWN || vec_is_null(v, 0)) {
			s->has_null = true;
			continue;
		}
		if (!is_nan(v, 0))
			rc = vb_add(&b, v, 0, e);
	}
	if (rc < 0)
		return rc;
	vb_finish(&b, &s->values);
	s->n = b.n;
	s->mask = 15;
	while (s->mask < 2 * s->n)
		s->mask = s->mask * 2 + 1;
	s->slots = arena_zarray(a, uint32_t, s->mask + 1);
	if (!s->slots)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at = (uint32_t)vec_hash(&s->values, i, 0) & s->mask;
		while (s->slots[at])
			at = (at + 1) & s->mask;
		s->slots[at] = i + 1;
	}
	*ret = s;
	return 0;
}

static bool in_set_has(const struct in_set *s, const struct vec *v, uint32_t i)
{
	uint32_t at = (uint32_t)vec_hash(v, i, 0) & s->mask;

	for (; s->slots[at]; at = (at + 1) & s->mask) {
		if (vec_same(v, i, &s->values, s->slots[at] - 1))
			return !is_nan(v, i);
	}
	return false;
}

#define IN_LINEAR_MAX 8

/* found[i] for n rows of a vector that is not CONST or DICT. */
static void find_flat(const struct in_set *s, const struct vec *v, uint32_t n, uint8_t *found)
{
	if (type_layout(v->type) == LAYOUT_I64 && s->n <= IN_LINEAR_MAX) {
		memset(found, 0, n);
		for (uint32_t k = 0; k < s->n; k++) {
			int64_t want = s->values.i64[k];
			for (uint32_t i = 0; i < n; i++)
				found[i] |= v->i64[i] == want;
		}
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		found[i] = !vec_is_null(v, i) && in_set_has(s, v, i);
}

static int in_flat(struct eval *ev, const struct bx *x, const struct in_set *s, const struct vec *v,
		   uint32_t n, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, x->type, n, ev->arena, e);
	if (rc < 0)
		return rc;
	find_flat(s, v, n, ret->b8);
	if (!v->valid && !s->has_null)
		return 0;
	rc = vec_alloc_valid(ret, n, ev->arena, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		ret->b8[i] = ret->b8[i] && (!v->valid || v->valid[i]);
		ret->valid[i] = ret->b8[i] || ((!v->valid || v->valid[i]) && !s->has_null);
	}
	return 0;
}

static int in_constants(struct eval *ev, const struct bx *x, const struct in_set *s, const struct vec *v,
			struct vec *ret, struct err *e)
{
	int rc;

	if (v->form == VEC_DICT && v->dict_n < ev->n) {
		struct vec *d = arena_new(ev->arena, struct vec);
		if (!d)
			return exec_nomem(ev->exec, e);
		rc = in_flat(ev, x, s, v->dict, v->dict_n, d, e);
		*ret = (struct vec){
			.type = x->type,
			.form = VEC_DICT,
			.codes = v->codes,
			.dict = d,
			.dict_n = v->dict_n,
		};
		return rc;
	}
	if (v->form == VEC_CONST) {
		rc = in_flat(ev, x, s, v, 1, ret, e);
		if (rc >= 0)
			ret->form = VEC_CONST;
		return rc;
	}
	struct vec flat;
	rc = vec_flatten(v, ev->n, ev->arena, &flat, e);
	return rc < 0 ? rc : in_flat(ev, x, s, &flat, ev->n, ret, e);
}

/* Elements that are expressions: evaluated one after the other on the rows not yet found. */
static int in_expressions(struct eval *ev, const struct bx *x, const struct vec *v, struct vec *ret,
			  struct err *e)
{
	uint32_t n = ev->n, left = n;
	struct vec el;

	int rc = vec_alloc(ret, x->type, n, ev->arena, e);
	if (rc >= 0)
		rc = vec_alloc_valid(ret, n, ev->arena, e);
	uint32_t *sel = arena_array(ev->arena, uint32_t, n);
	if (rc < 0 || !sel)
		return rc < 0 ? rc : exec_nomem(ev->exec, e);
	memset(ret->b8, 0, n);
	for (uint32_t i = 0; i < n; i++)
		sel[i] = i;
	for (uint32_t k = 1; k < x->argc && left; k++) {
		rc = eval_over(ev, x->args[k], sel, left, &el, e);
		if (rc < 0)
			return rc;
		uint32_t open = 0;
		for (uint32_t i = 0; i < left; i++) {
			uint32_t row = sel[i];
			if (vec_is_null(v, row) || el.type->kind == TY_UNKNOWN || vec_is_null(&el, i)) {
				ret->valid[row] = 0;
				sel[open++] = row;
			} else if (vec_same(v, row, &el, i) && !is_nan(v, row)) {
				ret->b8[row] = 1;
				ret->valid[row] = 1;
			} else {
				sel[open++] = row;
			}
		}
		left = open;
	}
	return 0;
}

int eval_in(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	void *set = x->prepared;
	struct vec v;

	int rc = eval_expr(ev, x->args[0], &v, e);
	if (rc < 0)
		return rc;
	if (v.type->kind == TY_UNKNOWN)
		return vec_const_null(ret, x->type, ev->arena, e);
	if (!set) {
		rc = in_set_build(ev->arena, x, &set, e);
		if (rc < 0)
			return rc;
	}
	const struct in_set *s = set;
	return s->all_const ? in_constants(ev, x, s, &v, ret, e) : in_expressions(ev, x, &v, ret, e);
}
