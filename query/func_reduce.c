/*
 * func_reduce: reduce(list, initial state, (state, x) -> state, state -> result).
 *
 * All rows of the batch go forward together, an element a step, so that a step is one evaluation over as
 * many rows as still have elements. The rows stand in descending order of length: those are the first m.
 *
 *	step 0   a0 b0 c0 d0     rows by length; m = 4
 *	step 1   a1 b1 c1        d is done
 *	step 2   a2              b and c are done
 *
 * A stretch of steps in which m does not change is prepared at once: the elements are gathered, and what
 * of the body does not look at the state (lambda_parts()) is evaluated over all of them; a step then takes
 * its slice. A state lives in one of two arenas in turn, so that a fold over a million points needs the memory
 * of two states.
 */
#include "query/func_list.h"

#include <stdlib.h>

#define GROUP "Lambda"

#define STRETCH VEC_ROWS /* elements of all rows in one stretch */
#define PARTS   16

struct fold {
	struct fn_call *c;
	const struct lambda *body;
	uint32_t n;             /* rows that have a list */
	uint32_t *row;          /* by descending length */
	uint32_t m;             /* the first m still have elements */
	struct vec state;       /* FLAT, of the first m */
	struct arena states[2]; /* .state lives in the first; they change places */
	struct arena stretch, step;
	struct vec_builder done; /* states of the others */
	uint32_t *done_at;       /* where in it, by row */
};

static uint32_t len_of(const struct fold *f, uint32_t j)
{
	return arg_list(f->c, 0, f->row[j]).len;
}

struct by_len {
	uint32_t len, row;
};

static int longer_first(const void *a, const void *b)
{
	const struct by_len *x = a, *y = b;

	return x->len != y->len ? (x->len < y->len) - (x->len > y->len) : (x->row > y->row) - (x->row < y->row);
}

static int order_rows(struct fold *f, struct err *e)
{
	struct fn_call *c = f->c;
	struct by_len *rows = arena_array(c->arena, struct by_len, MAX(c->n, 1));

	f->row = arena_array(c->arena, uint32_t, MAX(c->n, 1));
	f->done_at = arena_zarray(c->arena, uint32_t, MAX(c->n, 1));
	if (!rows || !f->row || !f->done_at)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++) {
		if (!vec_is_null(&c->args[0], i))
			rows[f->n++] = (struct by_len){arg_list(c, 0, i).len, i};
	}
	qsort(rows, f->n, sizeof(*rows), longer_first);
	for (uint32_t j = 0; j < f->n; j++)
		f->row[j] = rows[j].row;
	f->m = f->n;
	return 0;
}

/* A copy of the states in the other arena, which then is the one. */
static int keep_states(struct fold *f, const struct vec *v, struct err *e)
{
	struct arena swap = f->states[1];
	struct vec_builder b;
	int rc;

	f->states[1] = f->states[0];
	f->states[0] = swap;
	arena_reset(&f->states[0]);
	rc = vb_init(&b, v->type, f->m, &f->states[0], e);
	if (rc >= 0)
		rc = vb_add_many(&b, v, f->m, e);
	if (rc >= 0)
		vb_finish(&b, &f->state);
	return rc;
}

/* Rows without a k-th element are done. */
static int retire(struct fold *f, uint32_t k, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && f->m && len_of(f, f->m - 1) <= k) {
		f->m--;
		f->done_at[f->row[f->m]] = f->done.n;
		rc = vb_add(&f->done, &f->state, f->m, e);
	}
	return rc;
}

/* ---- a stretch -------------------------------------------------------------------------------------- */

struct stretch {
	uint32_t steps, parts;
	bool element;             /* does a step need the elements? */
	struct vec v[1 + PARTS];  /* the elements and the parts, step by step */
	uint32_t *rows;
};

static int load_stretch(struct fold *f, uint32_t k, struct stretch *s, struct err *e)
{
	uint32_t n = f->m * s->steps, at = 0;
	uint32_t *places;
	struct vec params[2];
	int rc;

	arena_reset(&f->stretch);
	places = arena_array(&f->stretch, uint32_t, n);
	s->rows = arena_array(&f->stretch, uint32_t, n);
	if (!places || !s->rows)
		return func_no_memory(e);
	for (uint32_t i = 0; i < s->steps; i++) {
		for (uint32_t j = 0; j < f->m; j++, at++) {
			s->rows[at] = f->row[j];
			places[at] = arg_list(f->c, 0, f->row[j]).off + k + i;
		}
	}
	rc = gather_places(f->c->args[0].child, places, n, &f->stretch, &s->v[0], e);
	params[0] = f->state; /* no part looks at it */
	params[1] = s->v[0];
	for (uint32_t p = 0; rc >= 0 && p < s->parts; p++)
		rc = f->c->lambda_eval(f->body, (int)p, params, s->rows, n, &f->stretch, &s->v[1 + p], e);
	return rc;
}

static int take_step(struct fold *f, const struct stretch *s, uint32_t i, struct err *e)
{
	struct vec params[2 + PARTS], v;
	int rc = 0;

	arena_reset(&f->step);
	params[0] = f->state;
	params[1] = s->v[0];
	for (uint32_t p = s->element ? 0 : 1; rc >= 0 && p < 1 + s->parts; p++)
		rc = vec_slice(&s->v[p], i * f->m, &f->step, &params[1 + p], e);
	if (rc >= 0)
		rc = f->c->lambda_eval(f->body, s->parts ? LAMBDA_REST : LAMBDA_BODY, params, s->rows + i * f->m,
				       f->m, &f->step, &v, e);
	return rc < 0 ? rc : keep_states(f, &v, e);
}

static int fold_rows(struct fold *f, struct err *e)
{
	struct stretch s = {0};
	uint32_t k = 0;
	int rc = 0;

	s.parts = lambda_parts(f->body, &s.element);
	while (rc >= 0 && (rc = retire(f, k, e)) >= 0 && f->m) {
		s.steps = MIN(MAX(STRETCH / f->m, 1u), len_of(f, f->m - 1) - k);
		rc = func_cancelled(f->c, e);
		if (rc >= 0)
			rc = load_stretch(f, k, &s, e);
		for (uint32_t i = 0; rc >= 0 && i < s.steps; i++)
			rc = take_step(f, &s, i, e);
		k += s.steps;
	}
	return rc;
}

/* ---- the call --------------------------------------------------------------------------------------- */

/* What the last lambda makes of the states, back at the rows' places. */
static int output(struct fold *f, struct vec *ret, struct err *e)
{
	struct fn_call *c = f->c;
	uint32_t *rows = arena_array(c->arena, uint32_t, MAX(f->n, 1));
	uint32_t *places = arena_array(c->arena, uint32_t, MAX(c->n, 1));
	struct vec states, v;
	int rc;

	if (!rows || !places)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++)
		places[i] = ELEM_NONE;
	for (uint32_t j = 0; j < f->n; j++) {
		rows[f->done_at[f->row[j]]] = f->row[j];
		places[f->row[j]] = f->done_at[f->row[j]];
	}
	vb_finish(&f->done, &states);
	rc = c->lambda_eval(c->lambdas[3], LAMBDA_BODY, &states, rows, f->n, c->arena, &v, e);
	return rc < 0 ? rc : gather_places(&v, places, c->n, c->arena, ret, e);
}

static int reduce(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct budget *budget = c->exec ? c->exec->budget : NULL;
	struct fold f = {.c = c, .body = c->lambdas[2]};
	struct vec start;
	int rc = order_rows(&f, e);

	for (int i = 0; i < 2; i++)
		arena_init(&f.states[i], budget);
	arena_init(&f.stretch, budget);
	arena_init(&f.step, budget);
	if (rc >= 0)
		rc = gather_places(&c->args[1], f.row, f.n, c->arena, &start, e);
	if (rc >= 0)
		rc = vb_init(&f.done, start.type, f.n, c->arena, e);
	if (rc >= 0)
		rc = keep_states(&f, &start, e);
	if (rc >= 0)
		rc = fold_rows(&f, e);
	if (rc >= 0)
		rc = output(&f, ret, e);
	for (int i = 0; i < 2; i++)
		arena_release(&f.states[i]);
	arena_release(&f.stretch);
	arena_release(&f.step);
	return rc;
}

#define REDUCE(list, elem, h)                                                                              \
	SCALAR_F("reduce", list ", U, lambda(U, " elem ") -> U, lambda(U)", "V", reduce, FN_NULLS | FN_FOLD, h)

const struct func func_rows_reduce[] = {
	REDUCE("array(T)", "T", "a state made of each element in turn, and what the last lambda makes of it"),
	REDUCE("timeseries(T)", "row(timestamp, T)",
	       "the same over points x (x.time, x.value); the lambda must give exactly the state's type"),
	FUNC_END,
};
