#include "query/func_list.h"

/* ---- picking elements of one argument ----------------------------------------------------------- */

int picks_init(struct picks *p, struct fn_call *c, struct err *e)
{
	*p = (struct picks){.c = c, .cap = 64};
	p->sel = arena_array(c->arena, uint32_t, p->cap);
	if (!p->sel)
		return func_no_memory(e);
	return vec_alloc(&p->out, c->ret_type, c->n, c->arena, e);
}

int pick(struct picks *p, uint32_t at, struct err *e)
{
	if (p->n == p->cap) {
		uint32_t *sel = p->cap < UINT32_MAX / 2 ? arena_array(p->c->arena, uint32_t, p->cap * 2) : NULL;

		if (!sel)
			return func_no_memory(e);
		memcpy(sel, p->sel, p->n * sizeof(*sel));
		p->sel = sel;
		p->cap *= 2;
	}
	p->sel[p->n++] = at;
	return 0;
}

void picks_row(struct picks *p, uint32_t i)
{
	p->out.list[i] = (struct vec_list){p->first, p->n - p->first};
	p->first = p->n;
}

int picks_finish(struct picks *p, const struct vec *child, struct vec *ret, struct err *e)
{
	int rc = vec_gather(child, p->sel, p->n, p->c->arena, &p->out.child[0], e);

	if (rc >= 0)
		rc = vec_flatten(&p->out.child[0], p->n, p->c->arena, &p->out.child[0], e);
	if (rc < 0)
		return rc;
	p->out.child_n = p->n;
	*ret = p->out;
	return 0;
}

/* ---- elements in chunks -------------------------------------------------------------------------- */

uint32_t elems_of(const struct elems *s, uint32_t i)
{
	uint32_t n = 0;

	if (!row_ok(s->c, i))
		return 0;
	for (uint32_t k = 0; k < s->lists; k++)
		n = MAX(n, arg_list(s->c, k, i).len);
	return n;
}

int elems_init(struct elems *s, struct fn_call *c, uint32_t lists, struct err *e)
{
	uint32_t room;

	*s = (struct elems){.c = c, .lists = lists};
	for (uint32_t i = 0; i < c->n; i++)
		s->total += elems_of(s, i);
	room = (uint32_t)MIN(s->total, (uint64_t)ELEMS_MAX);
	arena_init(&s->scratch, c->exec ? c->exec->budget : NULL);
	s->arena = s->total > ELEMS_MAX ? &s->scratch : c->arena;
	s->rows = arena_array(c->arena, uint32_t, MAX(room, 1) * (1 + (size_t)lists));
	if (!s->rows)
		return func_no_memory(e);
	for (uint32_t k = 0; k < lists; k++)
		s->place[k] = s->rows + (1 + k) * (size_t)room;
	return 0;
}

int gather_places(const struct vec *v, const uint32_t *places, uint32_t n, struct arena *a, struct vec *ret,
		  struct err *e)
{
	uint32_t *sel, none = 0;
	uint8_t *valid;
	int rc;

	for (uint32_t i = 0; i < n; i++)
		none += places[i] == ELEM_NONE;
	if (!none) {
		rc = vec_gather(v, places, n, a, ret, e);
		return rc < 0 ? rc : vec_flatten(ret, n, a, ret, e);
	}
	if (none == n) {
		rc = vec_const_null(ret, v->type, a, e);
		return rc < 0 ? rc : vec_flatten(ret, n, a, ret, e);
	}
	sel = arena_array(a, uint32_t, n);
	valid = arena_alloc(a, n);
	if (!sel || !valid)
		return func_no_memory(e);
	for (uint32_t i = 0; i < n; i++)
		sel[i] = places[i] == ELEM_NONE ? 0 : places[i];
	rc = vec_gather(v, sel, n, a, ret, e);
	if (rc >= 0)
		rc = vec_flatten(ret, n, a, ret, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		valid[i] = places[i] != ELEM_NONE && (!ret->valid || ret->valid[i]);
	ret->valid = valid;
	return 0;
}

/* Elements that lie one behind the other are lent as they are. */
static int load(struct elems *s, uint32_t k, struct err *e)
{
	const struct vec *child = s->c->args[k].child;
	const uint32_t *place = s->place[k];

	for (uint32_t i = 0; i < s->n; i++) {
		if (place[i] == ELEM_NONE || place[i] != place[0] + i)
			return gather_places(child, place, s->n, s->arena, &s->v[k], e);
	}
	return vec_slice(child, place[0], s->arena, &s->v[k], e);
}

int elems_next(struct elems *s, struct err *e)
{
	int rc = func_cancelled(s->c, e);

	s->n = 0;
	if (s->arena == &s->scratch)
		arena_reset(&s->scratch);
	while (s->row < s->c->n && s->n < ELEMS_MAX) {
		uint32_t len = elems_of(s, s->row), take = MIN(len - s->at, ELEMS_MAX - s->n);

		for (uint32_t k = 0; k < s->lists; k++) {
			struct vec_list l = arg_list(s->c, k, s->row);

			for (uint32_t j = 0; j < take; j++)
				s->place[k][s->n + j] = s->at + j < l.len ? l.off + s->at + j : ELEM_NONE;
		}
		for (uint32_t j = 0; j < take; j++)
			s->rows[s->n + j] = s->row;
		s->n += take;
		s->at += take;
		if (s->at == len) {
			s->at = 0;
			s->row++;
		}
	}
	for (uint32_t k = 0; s->n && rc >= 0 && k < s->lists; k++)
		rc = load(s, k, e);
	return rc < 0 ? rc : s->n > 0;
}

void elems_release(struct elems *s)
{
	arena_release(&s->scratch);
}
