/*
 * func_sort: array_sort with a lambda that compares.
 *
 * A merge sort of all rows' arrays at once: runs of one width are merged to runs of twice the width, and all
 * those merges go forward together, a comparison each at a step. So the lambda is asked about as many pairs at a
 * time as there are merges under way. It is stable, and whatever the lambda says, every element comes out once.
 */
#include "query/func_list.h"

#define GROUP "Lambda"

/* Two runs [a, a_end) and [b, b_end) of `from`, on their way to [out, ...) of `to`. */
struct merge {
	uint32_t a, a_end, b, b_end, out, row;
};

struct sorting {
	struct fn_call *c;
	struct elems s;
	uint32_t *from, *to; /* places of the elements of all rows */
	struct merge *merges;
	uint32_t n;
	uint32_t *pair[2], *rows; /* what is asked */
	struct arena step;
};

static int compare(struct sorting *s, uint32_t n, struct vec *ret, struct err *e)
{
	const struct vec *child = s->c->args[0].child;
	struct vec params[2];
	int rc = 0;

	arena_reset(&s->step);
	for (uint32_t k = 0; rc >= 0 && k < 2; k++)
		rc = gather_places(child, s->pair[k], n, &s->step, &params[k], e);
	if (rc >= 0)
		rc = s->c->lambda_eval(s->c->lambdas[1], LAMBDA_BODY, params, s->rows, n, &s->step, ret, e);
	for (uint32_t i = 0; rc >= 0 && i < n; i++) {
		if (ret->valid && !ret->valid[i])
			return err_set(e, -EINVAL, "the lambda of array_sort() gave NULL; it must give a number below, at or "
						   "above 0");
	}
	return rc;
}

/* One comparison for up to ELEMS_MAX merges from `at` on, and what follows from it. */
static int advance(struct sorting *s, uint32_t at, uint32_t n, struct err *e)
{
	struct vec v;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		const struct merge *m = &s->merges[at + i];

		s->pair[0][i] = s->from[m->a];
		s->pair[1][i] = s->from[m->b];
		s->rows[i] = m->row;
	}
	rc = compare(s, n, &v, e);
	for (uint32_t i = 0; rc >= 0 && i < n; i++) {
		struct merge *m = &s->merges[at + i];

		s->to[m->out++] = s->from[v.i64[i] > 0 ? m->b++ : m->a++];
	}
	return rc;
}

/* What is left of one run when the other is used up. Is the merge done? */
static bool drain(struct sorting *s, struct merge *m)
{
	if (m->a < m->a_end && m->b < m->b_end)
		return false;
	while (m->a < m->a_end)
		s->to[m->out++] = s->from[m->a++];
	while (m->b < m->b_end)
		s->to[m->out++] = s->from[m->b++];
	return true;
}

static int merge_all(struct sorting *s, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && s->n) {
		uint32_t left = 0;

		rc = func_cancelled(s->c, e);
		for (uint32_t at = 0; rc >= 0 && at < s->n; at += ELEMS_MAX)
			rc = advance(s, at, MIN(s->n - at, (uint32_t)ELEMS_MAX), e);
		for (uint32_t i = 0; rc >= 0 && i < s->n; i++) {
			if (!drain(s, &s->merges[i]))
				s->merges[left++] = s->merges[i];
		}
		s->n = left;
	}
	return rc;
}

/* The merges of runs of that width, over all rows; false: every array is one run. */
static bool start_merges(struct sorting *s, uint32_t width)
{
	uint32_t base = 0;
	bool any = false;

	s->n = 0;
	for (uint32_t i = 0; i < s->c->n; i++) {
		uint32_t len = elems_of(&s->s, i);

		for (uint64_t at = 0; at < len; at += 2 * (uint64_t)width) {
			uint64_t mid = MIN(at + width, (uint64_t)len), end = MIN(mid + width, (uint64_t)len);
			struct merge m = {base + (uint32_t)at, base + (uint32_t)mid, base + (uint32_t)mid,
					  base + (uint32_t)end, base + (uint32_t)at, i};

			any |= m.b < m.b_end;
			if (!drain(s, &m))
				s->merges[s->n++] = m;
		}
		base += len;
	}
	return any;
}

static int sort_lists(struct sorting *s, struct err *e)
{
	for (uint32_t width = 1; start_merges(s, width); width *= 2) {
		uint32_t *swap = s->from;
		int rc = merge_all(s, e);

		if (rc < 0)
			return rc;
		s->from = s->to;
		s->to = swap;
	}
	return 0;
}

static int sorting_init(struct sorting *s, struct err *e)
{
	struct arena *a = s->c->arena;
	uint32_t n = (uint32_t)MAX(s->s.total, (uint64_t)1), at = 0;

	if (s->s.total > UINT32_MAX / 4)
		return func_no_memory(e);
	s->from = arena_array(a, uint32_t, n);
	s->to = arena_array(a, uint32_t, n);
	s->merges = arena_array(a, struct merge, n / 2 + 1);
	s->rows = arena_array(a, uint32_t, 3 * ELEMS_MAX);
	if (!s->from || !s->to || !s->merges || !s->rows)
		return func_no_memory(e);
	s->pair[0] = s->rows + ELEMS_MAX;
	s->pair[1] = s->pair[0] + ELEMS_MAX;
	for (uint32_t i = 0; i < s->c->n; i++) {
		uint32_t len = elems_of(&s->s, i), off = len ? arg_list(s->c, 0, i).off : 0;

		for (uint32_t k = 0; k < len; k++)
			s->from[at++] = off + k;
	}
	return 0;
}

static int array_sort_by(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct sorting s = {.c = c};
	struct vec out;
	uint32_t at = 0;
	int rc = elems_init(&s.s, c, 1, e);

	if (rc < 0)
		return rc;
	arena_init(&s.step, c->exec ? c->exec->budget : NULL);
	rc = sorting_init(&s, e);
	if (rc >= 0)
		rc = sort_lists(&s, e);
	if (rc >= 0)
		rc = vec_alloc(&out, c->ret_type, c->n, c->arena, e);
	if (rc >= 0)
		rc = gather_places(c->args[0].child, s.from, (uint32_t)s.s.total, c->arena, &out.child[0], e);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		out.list[i] = (struct vec_list){at, elems_of(&s.s, i)};
		at += out.list[i].len;
	}
	if (rc >= 0) {
		out.child_n = at;
		*ret = out;
	}
	arena_release(&s.step);
	elems_release(&s.s);
	return rc;
}

const struct func func_rows_sort[] = {
	SCALAR("array_sort", "array(T), lambda(T, T) -> bigint", "array(T)", array_sort_by,
	       "in the order of a lambda, which is below 0 where the first of two elements comes first; stable"),
	FUNC_END,
};
