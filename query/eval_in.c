/*
 * eval_in: x IN (a, b, ...).
 *
 * TRUE where x equals an element, else NULL where for one it is not known, else FALSE. Constants go
 * into one hash set a query (linear probing, at most half full); elements that are expressions are
 * compared row by row. NaN equals nothing. Arrays and rows with a NULL inside equal nothing for sure:
 * they stand beside the set, and are compared one by one.
 */
#include "query/eval.h"

struct in_set {
	struct vec values; /* FLAT; each equals itself: no NULLs, no NaN, also inside */
	struct vec unsure; /* FLAT; a NULL inside */
	uint32_t n, unsure_n, mask;
	uint32_t *slots;   /* index + 1 into values; 0: free */
	bool has_null;
	bool all_const;    /* false: nothing was built */
};

/* The constants of x into both vectors. */
static int take_constants(struct in_set *s, struct arena *a, const struct bx *x, struct err *e)
{
	const struct type *t = x->args[0]->type;
	struct vec_builder sure, unsure;
	int rc = vb_init(&sure, t, x->argc, a, e);

	if (rc >= 0)
		rc = vb_init(&unsure, t, 0, a, e);
	for (uint32_t i = 1; i < x->argc && rc >= 0; i++) {
		const struct vec *v = &x->args[i]->value;
		if (v->type->kind == TY_UNKNOWN || vec_is_null(v, 0)) {
			s->has_null = true;
			continue;
		}
		int self = vec_equal3(v, 0, v, 0);
		if (self)
			rc = vb_add(self > 0 ? &sure : &unsure, v, 0, e);
	}
	if (rc < 0)
		return rc;
	vb_finish(&sure, &s->values);
	vb_finish(&unsure, &s->unsure);
	s->n = sure.n;
	s->unsure_n = unsure.n;
	return 0;
}

int in_set_build(struct arena *a, const struct bx *x, void **ret, struct err *e)
{
	struct in_set *s = arena_new(a, struct in_set);

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 1; i < x->argc; i++) {
		if (x->args[i]->kind != BX_CONST) {
			*ret = s;
			return 0;
		}
	}
	s->all_const = true;
	int rc = take_constants(s, a, x, e);
	if (rc < 0)
		return rc;
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
			return true;
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

/* An array or a row that is not in the set: could it equal an element, were the NULLs inside known? */
static bool is_unsure(const struct in_set *s, const struct vec *v, uint32_t i)
{
	bool unsure = false;

	for (uint32_t k = 0; k < s->unsure_n && !unsure; k++)
		unsure = vec_equal3(v, i, &s->unsure, k) < 0;
	if (unsure || vec_equal3(v, i, v, i) >= 0)
		return unsure;
	for (uint32_t k = 0; k < s->n && !unsure; k++)
		unsure = vec_equal3(v, i, &s->values, k) < 0;
	return unsure;
}

static int in_flat(struct eval *ev, const struct bx *x, const struct in_set *s, const struct vec *v,
		   uint32_t n, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, x->type, n, ev->arena, e);
	if (rc < 0)
		return rc;
	find_flat(s, v, n, ret->b8);
	bool nests = type_layout(v->type) >= LAYOUT_LIST;
	if (!v->valid && !s->has_null && !nests)
		return 0;
	rc = vec_alloc_valid(ret, n, ev->arena, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		bool there = !v->valid || v->valid[i];
		ret->b8[i] = ret->b8[i] && there;
		ret->valid[i] = ret->b8[i] || (there && !s->has_null && !(nests && is_unsure(s, v, i)));
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
			int eq = el.type->kind == TY_UNKNOWN ? -1 : vec_equal3(v, row, &el, i);
			if (eq > 0) {
				ret->b8[row] = 1;
				ret->valid[row] = 1;
				continue;
			}
			if (eq < 0)
				ret->valid[row] = 0;
			sel[open++] = row;
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
