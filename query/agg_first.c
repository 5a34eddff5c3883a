/*
 * agg_first: first(x, time) and last(x, time): x of the earliest and of the latest row that has one. That is
 * min_by(x, time) and max_by(x, time), but rows without x are passed over: in a table of several measures the last row
 * of a series seldom has all of them. Of rows of one time the first that comes wins, as there.
 */
#include "query/agg_impl.h"

#define GROUP "Aggregate"

struct edge {
	int64_t t;
	struct cell value;
};

/* sign 1: later is better. */
static bool beats(const struct edge *s, int64_t t, int sign)
{
	return !s->value.has || (sign > 0 ? t > s->t : t < s->t);
}

static int edge_take(struct agg_call *c, struct edge *s, uint32_t i, int64_t t, struct err *e)
{
	s->t = t;
	return cell_set(&s->value, c->arena, &c->args[0], agg_at(&c->args[0], i), e);
}

static int edge_add(struct agg_call *c, struct edge *s, uint32_t from, uint32_t to, int sign, struct err *e)
{
	const struct vec *x = &c->args[0], *time = &c->args[1];
	uint32_t best = UINT32_MAX;

	for (uint32_t i = from; i < to; i++) {
		if (!agg_ok(x, i) || !agg_ok(time, i))
			continue;
		if (best == UINT32_MAX || (sign > 0 ? time->i64[agg_at(time, i)] > time->i64[agg_at(time, best)]
						    : time->i64[agg_at(time, i)] < time->i64[agg_at(time, best)]))
			best = i;
	}
	if (best == UINT32_MAX || !beats(s, time->i64[agg_at(time, best)], sign))
		return 0;
	return edge_take(c, s, best, time->i64[agg_at(time, best)], e);
}

static int edge_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n, int sign,
			struct err *e)
{
	const struct vec *x = &c->args[0], *time = &c->args[1];
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < n; i++) {
		struct edge *s = (struct edge *)(states + group[i] * stride);

		if (agg_ok(x, i) && agg_ok(time, i) && beats(s, time->i64[agg_at(time, i)], sign))
			rc = edge_take(c, s, i, time->i64[agg_at(time, i)], e);
	}
	return rc;
}

static int edge_merge(struct agg_call *c, struct edge *into, const struct edge *from, int sign, struct err *e)
{
	struct edge b = *from;
	struct vec v;

	if (!b.value.has || !beats(into, b.t, sign))
		return 0;
	cell_view(&b.value, c->arg_types[0], &v);
	into->t = b.t;
	return cell_set(&into->value, c->arena, &v, 0, e);
}

static int edge_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct edge *s = state;

	return cell_output(&s->value, c->ret_type, out, e);
}

#define DIRECTION(name, sign)                                                                      \
	static int name##_add(struct agg_call *c, void *s, uint32_t from, uint32_t to, struct err *e) \
	{                                                                                          \
		return edge_add(c, s, from, to, sign, e);                                          \
	}                                                                                          \
	static int name##_scatter(struct agg_call *c, char *states, size_t stride,                 \
				  const uint32_t *group, uint32_t n, struct err *e)                \
	{                                                                                          \
		return edge_scatter(c, states, stride, group, n, sign, e);                         \
	}                                                                                          \
	static int name##_merge(struct agg_call *c, void *into, const void *from, struct err *e)   \
	{                                                                                          \
		return edge_merge(c, into, from, sign, e);                                         \
	}                                                                                          \
	static const struct agg_def name##_def = {sizeof(struct edge), name##_add, name##_scatter, \
						  name##_merge, edge_finish, true};
DIRECTION(first, -1)
DIRECTION(last, 1)

const struct func func_rows_agg_first[] = {
	AGGREGATE("first", "T, timestamp", "T", &first_def, "x of the earliest row whose x is not NULL"),
	AGGREGATE("last", "T, timestamp", "T", &last_def, "x of the latest row whose x is not NULL"),
	FUNC_END,
};
