/*
 * func_lambda: functions that ask a lambda about each element of an array or a time series: filter,
 * transform, any_match and its kin, zip_with. (reduce: func_reduce.c; array_sort: func_sort.c.)
 *
 * The elements of all rows are one long vector, which the lambda's body is evaluated over in chunks of
 * a batch's size: as fast as any expression over rows, and with the memory of one chunk at a time.
 */
#include "query/func_list.h"

#define GROUP "Lambda"

/* ---- filter ----------------------------------------------------------------------------------------- */

static int filter_chunk(struct fn_call *c, struct elems *s, struct picks *p, uint32_t *row, struct err *e)
{
	struct vec v;
	int rc = c->lambda_eval(c->lambdas[1], LAMBDA_BODY, s->v, s->rows, s->n, s->arena, &v, e);

	for (uint32_t i = 0; rc >= 0 && i < s->n; i++) {
		while (*row < s->rows[i])
			picks_row(p, (*row)++);
		if (v.b8[i] && (!v.valid || v.valid[i]))
			rc = pick(p, s->place[0][i], e);
	}
	return rc;
}

static int filter(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct elems s;
	struct picks p;
	uint32_t row = 0;
	int rc = picks_init(&p, c, e), more;

	if (rc >= 0)
		rc = elems_init(&s, c, 1, e);
	if (rc < 0)
		return rc;
	while (rc >= 0 && (more = elems_next(&s, e)) != 0)
		rc = more < 0 ? more : filter_chunk(c, &s, &p, &row, e);
	elems_release(&s);
	for (; rc >= 0 && row < c->n; row++)
		picks_row(&p, row);
	return rc < 0 ? rc : picks_finish(&p, c->args[0].child, ret, e);
}

/* ---- transform, zip_with ---------------------------------------------------------------------------- */

/* Lists as long as the arguments', one behind the other; the elements are to come. */
static int alloc_lists(struct fn_call *c, const struct elems *s, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, c->ret_type, c->n, c->arena, e);
	uint32_t at = 0;

	if (s->total > UINT32_MAX)
		return func_no_memory(e);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		uint32_t len = elems_of(s, i);

		ret->list[i] = (struct vec_list){at, len};
		at += len;
	}
	ret->child_n = at;
	return rc;
}

/* The lambda's values for all elements, and the times of these (t not NULL). */
static int map_elements(struct fn_call *c, struct elems *s, struct lambda *l, struct vec *values, struct vec *t,
			struct err *e)
{
	const struct type *type = c->ret_type->elem;
	struct vec_builder b, times;
	int rc = 0, more;

	if (s->total <= ELEMS_MAX) {
		more = elems_next(s, e);
		if (more <= 0)
			return more < 0 ? more : vec_alloc(values, type, 0, c->arena, e);
		if (t)
			*t = s->v[0].child[0];
		return c->lambda_eval(l, LAMBDA_BODY, s->v, s->rows, s->n, c->arena, values, e);
	}
	rc = vb_init(&b, type, (uint32_t)s->total, c->arena, e);
	if (rc >= 0 && t)
		rc = vb_init(&times, &type_timestamp, (uint32_t)s->total, c->arena, e);
	while (rc >= 0 && (more = elems_next(s, e)) != 0) {
		struct vec v;

		rc = more < 0 ? more
			      : c->lambda_eval(l, LAMBDA_BODY, s->v, s->rows, s->n, s->arena, &v, e);
		if (rc >= 0)
			rc = vb_add_many(&b, &v, s->n, e);
		if (rc >= 0 && t)
			rc = vb_add_many(&times, &s->v[0].child[0], s->n, e);
	}
	if (rc < 0)
		return rc;
	vb_finish(&b, values);
	if (t)
		vb_finish(&times, t);
	return 0;
}

static int map_lists(struct fn_call *c, uint32_t lists, struct vec *ret, struct err *e)
{
	bool is_series = c->ret_type->kind == TY_TIMESERIES;
	struct vec *point = NULL, out;
	struct elems s;
	int rc = elems_init(&s, c, lists, e);

	if (rc < 0)
		return rc;
	rc = alloc_lists(c, &s, &out, e);
	if (rc >= 0 && is_series) {
		point = arena_zarray(c->arena, struct vec, 2);
		if (!point)
			rc = func_no_memory(e);
	}
	if (rc >= 0)
		rc = map_elements(c, &s, c->lambdas[lists], is_series ? &point[1] : &out.child[0],
				  is_series && s.total ? &point[0] : NULL, e);
	elems_release(&s);
	if (rc >= 0 && is_series && !s.total)
		rc = vec_alloc(&point[0], &type_timestamp, 0, c->arena, e);
	if (rc < 0)
		return rc;
	if (is_series)
		out.child[0] = (struct vec){.type = c->ret_type->list_row, .form = VEC_FLAT, .child = point};
	*ret = out;
	return 0;
}

static int transform(struct fn_call *c, struct vec *ret, struct err *e)
{
	return map_lists(c, 1, ret, e);
}

static int zip_with(struct fn_call *c, struct vec *ret, struct err *e)
{
	return map_lists(c, 2, ret, e);
}

/* ---- any_match, all_match, none_match --------------------------------------------------------------- */

/*
 * A row is decided by the first element whose answer is `decides`; without one it is NULL where an
 * element's answer was. As with AND and OR, elements behind the deciding one cannot fail.
 */
struct match {
	uint8_t *decided, *unknown; /* by row */
	bool decides;
};

static void match_answer(struct match *m, uint32_t row, const struct vec *v, uint32_t i)
{
	if (v->valid && !v->valid[i])
		m->unknown[row] = 1;
	else if ((v->b8[i] != 0) == m->decides)
		m->decided[row] = 1;
}

/* The chunk failed: perhaps at an element that nobody would have asked about. */
static int match_singly(struct fn_call *c, struct elems *s, struct match *m, struct err *e)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct vec one, v;
		int rc;

		if (m->decided[s->rows[i]])
			continue;
		rc = gather_places(c->args[0].child, &s->place[0][i], 1, s->arena, &one, e);
		if (rc >= 0)
			rc = c->lambda_eval(c->lambdas[1], LAMBDA_BODY, &one, &s->rows[i], 1, s->arena, &v, e);
		if (rc < 0)
			return rc;
		match_answer(m, s->rows[i], &v, 0);
	}
	return 0;
}

static int match_chunk(struct fn_call *c, struct elems *s, struct match *m, struct err *e)
{
	struct err failed = {0};
	struct vec v;
	int rc = c->lambda_eval(c->lambdas[1], LAMBDA_BODY, s->v, s->rows, s->n, s->arena, &v, &failed);

	if (rc == -ENOMEM || rc == -ECANCELED)
		return err_set(e, rc, "%s", err_text(&failed, rc));
	if (rc < 0)
		return match_singly(c, s, m, e);
	for (uint32_t i = 0; i < s->n; i++)
		match_answer(m, s->rows[i], &v, i);
	return 0;
}

static int match(struct fn_call *c, bool decides, bool decided_is, struct vec *ret, struct err *e)
{
	struct match m = {arena_zalloc(c->arena, MAX(c->n, 1)), arena_zalloc(c->arena, MAX(c->n, 1)), decides};
	struct elems s;
	int rc = m.decided && m.unknown ? elems_init(&s, c, 1, e) : func_no_memory(e), more;

	if (rc < 0)
		return rc;
	while (rc >= 0 && (more = elems_next(&s, e)) != 0)
		rc = more < 0 ? more : match_chunk(c, &s, &m, e);
	elems_release(&s);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		ret->b8[i] = m.decided[i] ? decided_is : !decided_is;
		if (m.unknown[i] && !m.decided[i])
			rc = ret_set_null(c, ret, i, e);
	}
	return rc;
}

static int any_match(struct fn_call *c, struct vec *ret, struct err *e)
{
	return match(c, true, true, ret, e);
}

static int all_match(struct fn_call *c, struct vec *ret, struct err *e)
{
	return match(c, false, false, ret, e);
}

static int none_match(struct fn_call *c, struct vec *ret, struct err *e)
{
	return match(c, true, false, ret, e);
}

#define TS    "timeseries(T)"
#define POINT "row(timestamp, T)"
#define MATCH(name, k, help)                                                                               \
	SCALAR(name, "array(T), lambda(T) -> boolean", "boolean", k, help),                                \
	SCALAR(name, TS ", lambda(" POINT ") -> boolean", "boolean", k, help)

const struct func func_rows_lambda[] = {
	SCALAR("filter", "array(T), lambda(T) -> boolean", "array(T)", filter, "the elements for which it is TRUE"),
	SCALAR("filter", TS ", lambda(" POINT ") -> boolean", TS, filter,
	       "the points x (x.time, x.value) for which it is TRUE"),
	SCALAR("transform", "array(T), lambda(T)", "array(U)", transform, "what the lambda makes of each element"),
	SCALAR("transform", TS ", lambda(" POINT ")", "timeseries(U)", transform,
	       "what the lambda makes of each point x (x.time, x.value), at the same times"),
	SCALAR("zip_with", "array(T), array(U), lambda(T, U)", "array(V)", zip_with,
	       "what the lambda makes of the first, second, ... elements; the shorter array is padded with NULL"),
	MATCH("any_match", any_match, "is it TRUE for an element?"),
	MATCH("all_match", all_match, "is it TRUE for all elements?"),
	MATCH("none_match", none_match, "is it TRUE for no element?"),
	FUNC_END,
};
