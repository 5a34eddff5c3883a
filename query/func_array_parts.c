/*
 * func_array_parts: arrays cut down, taken out of one another, and arrays of parts of an array.
 */
#include "query/func_array.h"

#define GROUP "Array"

#define COMBINED_MAX     5 /* elements of a combination */
#define COMBINATIONS_MAX 100000

/* flatten(array(array(T))): the inner arrays one behind the other; one that is NULL adds nothing. */
static int flatten(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *inner = c->args[0].child;
	struct picks p;
	int rc = picks_init(&p, c, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct vec_list l;

		if (!row_ok(c, i))
			continue;
		l = arg_list(c, 0, i);
		for (uint32_t k = l.off; k < l.off + l.len; k++) {
			if (vec_is_null(inner, k))
				continue;
			for (uint32_t m = 0; rc >= 0 && m < inner->list[k].len; m++)
				rc = pick(&p, inner->list[k].off + m, e);
		}
		picks_row(&p, i);
	}
	return rc < 0 ? rc : picks_finish(&p, inner->child, ret, e);
}

static int trim_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	int64_t n = arg_i64(p->c, 1, i);
	int rc = 0;

	if (n < 0 || n > l.len)
		return err_set(e, -EINVAL, "trim_array: the array has %u elements, %lld cannot be taken from it", l.len,
			       (long long)n);
	for (uint32_t k = 0; rc >= 0 && k < l.len - (uint32_t)n; k++)
		rc = pick(p, l.off + k, e);
	return rc;
}
PICKING(trim_array, trim_row)

/* The first or the last element; NULL of an empty array. */
static int one_end(struct fn_call *c, struct vec *ret, bool last, struct err *e)
{
	uint32_t *places = arena_array(c->arena, uint32_t, c->n + 1);

	if (!places)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = row_ok(c, i) ? arg_list(c, 0, i) : (struct vec_list){0, 0};

		places[i] = l.len ? l.off + (last ? l.len - 1 : 0) : ELEM_NONE;
	}
	return gather_places(c->args[0].child, places, c->n, c->arena, ret, e);
}

static int array_first(struct fn_call *c, struct vec *ret, struct err *e)
{
	return one_end(c, ret, false, e);
}
static int array_last(struct fn_call *c, struct vec *ret, struct err *e)
{
	return one_end(c, ret, true, e);
}

/* ---- arrays of parts ---------------------------------------------------------------------------- */

/* Picks whose rows are arrays of lists. */
struct parts {
	struct picks p;
	struct vec_list *lists;
	uint32_t n, cap, first;
};

static int parts_init(struct parts *s, struct fn_call *c, struct err *e)
{
	*s = (struct parts){.cap = 64, .lists = arena_array(c->arena, struct vec_list, 64)};
	return s->lists ? picks_init(&s->p, c, e) : func_no_memory(e);
}

/* What was picked since the last part is one. */
static int parts_add(struct parts *s, struct err *e)
{
	if (s->n == s->cap) {
		struct vec_list *wider = arena_array(s->p.c->arena, struct vec_list, (size_t)s->cap * 2);

		if (!wider)
			return func_no_memory(e);
		memcpy(wider, s->lists, s->n * sizeof(*wider));
		s->lists = wider;
		s->cap *= 2;
	}
	s->lists[s->n++] = (struct vec_list){s->p.first, s->p.n - s->p.first};
	s->p.first = s->p.n;
	return 0;
}

static void parts_row(struct parts *s, uint32_t i)
{
	s->p.out.list[i] = (struct vec_list){s->first, s->n - s->first};
	s->first = s->n;
}

static int parts_finish(struct parts *s, struct vec *ret, struct err *e)
{
	struct fn_call *c = s->p.c;
	struct vec *elems = arena_new(c->arena, struct vec);
	int rc;

	if (!elems)
		return func_no_memory(e);
	rc = vec_gather(c->args[0].child, s->p.sel, s->p.n, c->arena, elems, e);
	if (rc >= 0)
		rc = vec_flatten(elems, s->p.n, c->arena, elems, e);
	if (rc < 0)
		return rc;
	*ret = s->p.out;
	ret->child[0] = (struct vec){.type = c->ret_type->elem, .form = VEC_FLAT, .list = s->lists, .child = elems,
				     .child_n = s->p.n};
	ret->child_n = s->n;
	return 0;
}

/* A kernel from a function of a row that adds parts. */
#define PARTING(kernel, fn)                                                                        \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		struct parts s;                                                                    \
		int rc = parts_init(&s, c, e);                                                     \
		for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {                                   \
			if (!row_ok(c, i))                                                         \
				continue;                                                          \
			rc = fn(&s, arg_list(c, 0, i), arg_i64(c, 1, i), e);                       \
			if (rc >= 0)                                                               \
				rc = func_cancelled(c, e);                                         \
			parts_row(&s, i);                                                          \
		}                                                                                  \
		return rc < 0 ? rc : parts_finish(&s, ret, e);                                     \
	}

/* Runs of n neighbours; the whole array where it has fewer. */
static int ngrams_row(struct parts *s, struct vec_list l, int64_t n, struct err *e)
{
	int rc = 0;

	if (n < 1)
		return err_set(e, -EINVAL, "ngrams: n must be positive, not %lld", (long long)n);
	n = MIN(n, (int64_t)l.len);
	for (uint32_t k = 0; rc >= 0 && k + (uint32_t)n <= l.len; k++) {
		for (uint32_t m = 0; rc >= 0 && m < (uint32_t)n; m++)
			rc = pick(&s->p, l.off + k + m, e);
		if (rc >= 0)
			rc = parts_add(s, e);
		if (!n)
			break; /* an empty array has one, the empty one */
	}
	return rc;
}
PARTING(ngrams, ngrams_row)

/* n over k; more than COMBINATIONS_MAX is only known to be more. */
static int64_t binomial(int64_t n, int64_t k)
{
	int64_t r = 1;

	for (int64_t i = 0; i < k && r <= COMBINATIONS_MAX; i++)
		r = r * (n - i) / (i + 1); /* n - i is below 2^32, r below 2^17 */
	return r;
}

/* Each choice of n elements, in the array's order; later ones change fastest. */
static int combinations_row(struct parts *s, struct vec_list l, int64_t n, struct err *e)
{
	uint32_t at[COMBINED_MAX];
	int rc = 0;

	if (n < 0 || n > COMBINED_MAX)
		return err_set(e, -EINVAL, "combinations: of 0 to %d elements, not %lld", COMBINED_MAX, (long long)n);
	if (n > l.len)
		return 0;
	if (binomial(l.len, n) > COMBINATIONS_MAX)
		return err_set(e, -EINVAL, "combinations: more than %d of them", COMBINATIONS_MAX);
	for (uint32_t k = 0; k < n; k++)
		at[k] = k;
	for (;;) {
		int64_t k = n - 1;

		for (int64_t m = 0; rc >= 0 && m < n; m++)
			rc = pick(&s->p, l.off + at[m], e);
		if (rc >= 0)
			rc = parts_add(s, e);
		while (k >= 0 && at[k] == l.len - (uint32_t)(n - k))
			k--;
		if (rc < 0 || k < 0)
			return rc;
		at[k]++;
		for (int64_t m = k + 1; m < n; m++)
			at[m] = at[m - 1] + 1;
	}
}
PARTING(combinations, combinations_row)

const struct func func_rows_array_parts[] = {
	SCALAR("flatten", "array(array(T))", "array(T)", flatten,
	       "the inner arrays one after the other; NULL ones add nothing"),
	SCALAR("trim_array", "array(T), bigint", "array(T)", trim_array,
	       "without so many elements at the end; more than there are is an error"),
	SCALAR("array_first", "array(T)", "T", array_first, "the first element; NULL of an empty array"),
	SCALAR("array_last", "array(T)", "T", array_last, "the last element; NULL of an empty array"),
	SCALAR("ngrams", "array(T), bigint", "array(array(T))", ngrams,
	       "all runs of n neighbours; the whole array where it has fewer"),
	SCALAR("combinations", "array(T), bigint", "array(array(T))", combinations,
	       "all choices of n (0 to 5) elements, at most 100,000, in order"),
	FUNC_END,
};
