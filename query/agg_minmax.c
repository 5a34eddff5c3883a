/*
 * agg_minmax: min, max, min_by, max_by, and their forms that give the n first.
 *
 * The n-forms keep a heap of n places whose root is the worst kept, so a row costs one comparison
 * unless it gets in. Where values tie, the row that came first wins.
 */
#include "query/agg_impl.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/kernels.h"

#define GROUP "Aggregate"

/* ---- cell --------------------------------------------------------------------------------------- */

static int cell_set_any(struct cell *c, struct arena *a, const struct vec *from, uint32_t i, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, from->type, 1, a, e);

	if (rc >= 0)
		rc = vb_add(&b, from, i, e);
	if (rc >= 0 && !c->any) {
		c->any = arena_new(a, struct vec);
		rc = c->any ? 0 : func_no_memory(e);
	}
	if (rc >= 0)
		vb_finish(&b, c->any);
	return rc;
}

int cell_set(struct cell *c, struct arena *a, const struct vec *from, uint32_t i, struct err *e)
{
	enum type_layout l = type_layout(from->type);
	int rc = 0;

	if (l == LAYOUT_LIST || l == LAYOUT_ROW)
		rc = cell_set_any(c, a, from, i, e);
	if (rc < 0)
		return rc;
	c->has = true;
	c->valid = !vec_is_null(from, i);
	i = vec_index(from, i);
	from = vec_base(from);
	if (!c->valid)
		return 0;
	switch (l) {
	case LAYOUT_I64:
		c->i64 = from->i64[i];
		break;
	case LAYOUT_F64:
		c->f64 = from->f64[i];
		break;
	case LAYOUT_BOOL:
		c->b8 = from->b8[i];
		break;
	case LAYOUT_STR:
		if (from->str[i].len > c->cap) {
			size_t cap = from->str[i].len + from->str[i].len / 2 + 16;

			c->text = cap < UINT32_MAX ? arena_alloc(a, cap) : NULL;
			if (!c->text)
				return func_no_memory(e);
			c->cap = (uint32_t)cap;
		}
		if (from->str[i].len)
			memcpy(c->text, from->str[i].ptr, from->str[i].len);
		c->str = (struct str){c->text ? c->text : "", from->str[i].len};
		break;
	default:
		break;
	}
	return 0;
}

void cell_view(struct cell *c, const struct type *t, struct vec *ret)
{
	enum type_layout l = type_layout(t);

	if (l == LAYOUT_LIST || l == LAYOUT_ROW)
		*ret = *c->any;
	else
		*ret = (struct vec){.type = t, .form = VEC_FLAT, .valid = &c->valid, .data = &c->i64};
}

int cell_output(struct cell *c, const struct type *t, struct vec_builder *out, struct err *e)
{
	struct vec v;

	if (!c->has || !c->valid)
		return vb_add_null(out, e);
	cell_view(c, t, &v);
	return vb_add(out, &v, 0, e);
}

/* ---- the best row of a batch -------------------------------------------------------------------- */

/* sign 1: larger is better. Is row i of v better than row j of w? */
static bool better(const struct vec *v, uint32_t i, const struct vec *w, uint32_t j, int sign)
{
	return vec_cmp(v, i, w, j) * sign > 0;
}

#define NONE UINT32_MAX

/* The first best among rows [from, to) that are not NULL, or NONE. */
static uint32_t best_row(const struct vec *v, uint32_t from, uint32_t to, int sign)
{
	uint32_t best = NONE;

	if (v->form == VEC_CONST)
		return from < to && agg_ok(v, 0) ? from : NONE;
	if (agg_is_plain(v) && from < to && type_layout(v->type) == LAYOUT_I64) {
		const struct kernels *k = kernels();
		int64_t x = sign > 0 ? k->max_i64(v->i64 + from, to - from) : k->min_i64(v->i64 + from, to - from);

		/* The value first, then its place: both loops are simple. */
		for (best = from; v->i64[best] != x; best++)
			;
		return best;
	}
	if (type_layout(v->type) == LAYOUT_F64) {
		for (uint32_t i = from; i < to; i++) {
			if (!agg_ok(v, i))
				continue;
			if (best == NONE || (sign > 0 ? f64_less(v->f64[best], v->f64[i])
						      : f64_less(v->f64[i], v->f64[best])))
				best = i;
		}
		return best;
	}
	for (uint32_t i = from; i < to; i++)
		if (agg_ok(v, i) && (best == NONE || better(v, i, v, best, sign)))
			best = i;
	return best;
}

/* ---- min, max ----------------------------------------------------------------------------------- */

static int extreme_take(struct agg_call *c, struct cell *s, const struct vec *v, uint32_t i, int sign,
			struct err *e)
{
	struct vec have;

	if (s->has) {
		cell_view(s, v->type, &have);
		if (!better(v, i, &have, 0, sign))
			return 0;
	}
	return cell_set(s, c->arena, v, i, e);
}

/* Four extremes at once; NaN fails every comparison and is looked for beside. */
#define PLAIN_F64(fn, op)                                                                          \
	static double fn(const double *restrict v, uint32_t n, double start, bool *ret_nan)        \
	{                                                                                          \
		double m[4] = {start, start, start, start};                                        \
		unsigned nan[4] = {0};                                                             \
		uint32_t i = 0;                                                                    \
		for (; i + 4 <= n; i += 4)                                                         \
			for (int k = 0; k < 4; k++) {                                              \
				m[k] = v[i + k] op m[k] ? v[i + k] : m[k];                         \
				nan[k] |= v[i + k] != v[i + k];                                    \
			}                                                                          \
		for (; i < n; i++) {                                                               \
			m[0] = v[i] op m[0] ? v[i] : m[0];                                         \
			nan[0] |= v[i] != v[i];                                                    \
		}                                                                                  \
		for (int k = 1; k < 4; k++)                                                        \
			m[0] = m[k] op m[0] ? m[k] : m[0];                                         \
		*ret_nan = nan[0] | nan[1] | nan[2] | nan[3];                                      \
		return m[0];                                                                       \
	}
PLAIN_F64(plain_max, >)
PLAIN_F64(plain_min, <)

static int extreme_add(struct agg_call *c, struct cell *s, uint32_t from, uint32_t to, int sign, struct err *e)
{
	const struct vec *v = &c->args[0];
	uint32_t best;

	if (agg_is_plain(v) && to - from >= 8 && type_layout(v->type) == LAYOUT_F64) {
		bool nan;
		double x = sign > 0 ? plain_max(v->f64 + from, to - from, -(double)INFINITY, &nan)
				    : plain_min(v->f64 + from, to - from, (double)INFINITY, &nan);

		if (!nan) {
			const struct vec one = {.type = v->type, .form = VEC_FLAT, .f64 = &x};

			return extreme_take(c, s, &one, 0, sign, e);
		}
	}
	best = best_row(v, from, to, sign);
	return best == NONE ? 0 : extreme_take(c, s, v, best, sign, e);
}

/* Scattered groups: numbers without detours, the rest by way of extreme_take(). */
#define SCATTER_LOOP(field, BETTER)                                                                \
	for (uint32_t i = 0; i < n; i++) {                                                         \
		struct cell *s = (struct cell *)(states + group[i] * stride);                      \
		if (!agg_ok(v, i))                                                                 \
			continue;                                                                  \
		if (!s->has || (BETTER)) {                                                         \
			s->field = v->field[agg_at(v, i)];                                         \
			s->has = true;                                                             \
			s->valid = 1;                                                              \
		}                                                                                  \
	}

static int extreme_scatter(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
			   int sign, struct err *e)
{
	const struct vec *v = &c->args[0];
	enum type_layout l = type_layout(v->type);
	int rc = 0;

	if (l == LAYOUT_I64 && sign > 0)
		SCATTER_LOOP(i64, v->i64[agg_at(v, i)] > s->i64)
	else if (l == LAYOUT_I64)
		SCATTER_LOOP(i64, v->i64[agg_at(v, i)] < s->i64)
	else if (l == LAYOUT_F64 && sign > 0)
		SCATTER_LOOP(f64, f64_less(s->f64, v->f64[agg_at(v, i)]))
	else if (l == LAYOUT_F64)
		SCATTER_LOOP(f64, f64_less(v->f64[agg_at(v, i)], s->f64))
	else
		for (uint32_t i = 0; i < n && rc >= 0; i++)
			if (agg_ok(v, i))
				rc = extreme_take(c, (struct cell *)(states + group[i] * stride), v, i, sign, e);
	return rc;
}

static int extreme_merge(struct agg_call *c, struct cell *into, const struct cell *from, int sign,
			 struct err *e)
{
	struct cell b = *from;
	struct vec v;

	if (!b.has)
		return 0;
	cell_view(&b, c->ret_type, &v);
	return extreme_take(c, into, &v, 0, sign, e);
}

static int extreme_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return cell_output(state, c->ret_type, out, e);
}

/* ---- min_by, max_by ----------------------------------------------------------------------------- */

struct by {
	struct cell key, value;
};

static int by_take(struct agg_call *c, struct by *s, const struct vec *value, const struct vec *key, uint32_t i,
		   int sign, struct err *e)
{
	struct vec have;
	int rc;

	if (s->key.has) {
		cell_view(&s->key, key->type, &have);
		if (!better(key, i, &have, 0, sign))
			return 0;
	}
	rc = cell_set(&s->key, c->arena, key, i, e);
	return rc < 0 ? rc : cell_set(&s->value, c->arena, value, i, e);
}

static int by_add(struct agg_call *c, struct by *s, uint32_t from, uint32_t to, int sign, struct err *e)
{
	uint32_t best = best_row(&c->args[1], from, to, sign);

	return best == NONE ? 0 : by_take(c, s, &c->args[0], &c->args[1], best, sign, e);
}

static int by_merge(struct agg_call *c, struct by *into, const struct by *from, int sign, struct err *e)
{
	struct by b = *from;
	struct vec key, value;

	if (!b.key.has)
		return 0;
	cell_view(&b.key, c->arg_types[1], &key);
	cell_view(&b.value, c->arg_types[0], &value);
	return by_take(c, into, &value, &key, 0, sign, e);
}

static int by_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct by *s = state;

	return s->key.has ? cell_output(&s->value, c->ret_type, out, e) : vb_add_null(out, e);
}

/* ---- the n first -------------------------------------------------------------------------------- */

#define TOP_MAX 10000

struct place {
	struct cell key, value; /* value: the _by forms only */
	uint64_t seq;           /* order of arrival, for ties */
};

struct top {
	struct place *heap; /* [0] is the worst kept */
	uint32_t n, cap;
	uint32_t want; /* 0: not known yet */
	uint64_t seq;
};

/* Does place a stand behind place b in the result? */
static bool is_worse(struct place *a, struct place *b, const struct type *key_type, int sign)
{
	struct vec va, vb;
	int c;

	cell_view(&a->key, key_type, &va);
	cell_view(&b->key, key_type, &vb);
	c = vec_cmp(&va, 0, &vb, 0) * sign;
	return c ? c < 0 : a->seq > b->seq;
}

static void swap_places(struct top *s, uint32_t i, uint32_t k)
{
	struct place swap = s->heap[i];

	s->heap[i] = s->heap[k];
	s->heap[k] = swap;
}

static void sift_down(struct top *s, const struct type *t, int sign)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t kid = 2 * at + 1;

		if (kid >= s->n)
			return;
		if (kid + 1 < s->n && is_worse(&s->heap[kid + 1], &s->heap[kid], t, sign))
			kid++;
		if (!is_worse(&s->heap[kid], &s->heap[at], t, sign))
			return;
		swap_places(s, kid, at);
		at = kid;
	}
}

static void sift_up(struct top *s, const struct type *t, int sign)
{
	for (uint32_t at = s->n - 1; at > 0;) {
		uint32_t up = (at - 1) / 2;

		if (!is_worse(&s->heap[at], &s->heap[up], t, sign))
			return;
		swap_places(s, up, at);
		at = up;
	}
}

static int top_grow(struct agg_call *c, struct top *s, struct err *e)
{
	uint32_t cap = MIN(s->want, MAX(8, s->cap * 2));
	struct place *heap = arena_zarray(c->arena, struct place, cap);

	if (!heap)
		return func_no_memory(e);
	if (s->n)
		memcpy(heap, s->heap, s->n * sizeof(*heap));
	s->heap = heap;
	s->cap = cap;
	return 0;
}

/* value NULL: the key is what comes out. */
static int top_take(struct agg_call *c, struct top *s, const struct vec *value, const struct vec *key,
		    uint32_t i, uint64_t seq, int sign, struct err *e)
{
	struct place *p;
	int rc = 0;

	if (s->n == s->want) {
		struct vec worst;
		int cmp;

		cell_view(&s->heap[0].key, key->type, &worst);
		cmp = vec_cmp(key, i, &worst, 0) * sign;
		if (cmp < 0 || (cmp == 0 && seq >= s->heap[0].seq))
			return 0;
		p = &s->heap[0];
	} else {
		if (s->n == s->cap)
			rc = top_grow(c, s, e);
		if (rc < 0)
			return rc;
		p = &s->heap[s->n++];
	}
	p->seq = seq;
	rc = cell_set(&p->key, c->arena, key, i, e);
	if (rc >= 0 && value)
		rc = cell_set(&p->value, c->arena, value, i, e);
	if (rc < 0)
		return rc;
	if (p == s->heap && s->n == s->want)
		sift_down(s, key->type, sign);
	else
		sift_up(s, key->type, sign);
	return 0;
}

static int top_want(struct agg_call *c, struct top *s, uint32_t from, struct err *e)
{
	const struct vec *n = &c->args[c->argc - 1];
	int64_t want;

	if (s->want)
		return 0;
	want = agg_ok(n, from) ? n->i64[agg_at(n, from)] : 0;
	if (want < 1 || want > TOP_MAX)
		return err_set(e, -EINVAL, "the number of values to keep must be between 1 and %d", TOP_MAX);
	s->want = (uint32_t)want;
	return 0;
}

static int top_add(struct agg_call *c, struct top *s, uint32_t from, uint32_t to, int sign, struct err *e)
{
	const struct vec *key = &c->args[c->argc - 2], *value = c->argc == 3 ? &c->args[0] : NULL;
	int rc = from < to ? top_want(c, s, from, e) : 0;

	for (uint32_t i = from; rc >= 0 && i < to; i++)
		if (agg_ok(key, i))
			rc = top_take(c, s, value, key, i, s->seq++, sign, e);
	return rc;
}

static int top_merge(struct agg_call *c, struct top *into, const struct top *from, int sign, struct err *e)
{
	const struct type *key_type = c->arg_types[c->argc - 2];
	int rc = 0;

	if (!into->want)
		into->want = from->want;
	for (uint32_t i = 0; rc >= 0 && i < from->n; i++) {
		struct place p = from->heap[i];
		struct vec key, value;

		cell_view(&p.key, key_type, &key);
		if (c->argc == 3)
			cell_view(&p.value, c->arg_types[0], &value);
		rc = top_take(c, into, c->argc == 3 ? &value : NULL, &key, 0, into->seq + p.seq, sign, e);
	}
	into->seq += from->seq;
	return rc;
}

/* Heap sort in place: the worst goes to the back, again and again. */
static int top_finish(struct agg_call *c, struct top *s, int sign, struct vec_builder *out, struct err *e)
{
	const struct type *key_type = c->arg_types[c->argc - 2];
	uint32_t n = s->n;
	int rc = 0;

	if (!n)
		return vb_add_null(out, e);
	for (; s->n > 1; sift_down(s, key_type, sign))
		swap_places(s, 0, --s->n);
	s->n = n;
	for (uint32_t i = 0; i < n / 2; i++) /* with the worst in front it is a heap again */
		swap_places(s, i, n - 1 - i);
	for (uint32_t i = n; rc >= 0 && i-- > 0;)
		rc = c->argc == 3 ? cell_output(&s->heap[i].value, c->arg_types[0], vb_elem(out), e)
				  : cell_output(&s->heap[i].key, key_type, vb_elem(out), e);
	return rc < 0 ? rc : vb_add_list(out, n, e);
}

/* ---- both directions ---------------------------------------------------------------------------- */

#define DIRECTION(name, sign)                                                                      \
	static int name##_add(struct agg_call *c, void *s, uint32_t from, uint32_t to, struct err *e) \
	{                                                                                          \
		return extreme_add(c, s, from, to, sign, e);                                       \
	}                                                                                          \
	static int name##_scatter(struct agg_call *c, char *states, size_t stride,                 \
				  const uint32_t *group, uint32_t n, struct err *e)                \
	{                                                                                          \
		return extreme_scatter(c, states, stride, group, n, sign, e);                      \
	}                                                                                          \
	static int name##_merge(struct agg_call *c, void *into, const void *from, struct err *e)   \
	{                                                                                          \
		return extreme_merge(c, into, from, sign, e);                                      \
	}                                                                                          \
	static int name##_by_add(struct agg_call *c, void *s, uint32_t from, uint32_t to,          \
				 struct err *e)                                                    \
	{                                                                                          \
		return by_add(c, s, from, to, sign, e);                                            \
	}                                                                                          \
	static int name##_by_merge(struct agg_call *c, void *into, const void *from, struct err *e) \
	{                                                                                          \
		return by_merge(c, into, from, sign, e);                                           \
	}                                                                                          \
	static int name##_n_add(struct agg_call *c, void *s, uint32_t from, uint32_t to,           \
				struct err *e)                                                     \
	{                                                                                          \
		return top_add(c, s, from, to, sign, e);                                           \
	}                                                                                          \
	static int name##_n_merge(struct agg_call *c, void *into, const void *from, struct err *e) \
	{                                                                                          \
		return top_merge(c, into, from, sign, e);                                          \
	}                                                                                          \
	static int name##_n_finish(struct agg_call *c, void *s, struct vec_builder *out,           \
				   struct err *e)                                                  \
	{                                                                                          \
		return top_finish(c, s, sign, out, e);                                             \
	}                                                                                          \
	static const struct agg_def name##_def = {sizeof(struct cell), name##_add, name##_scatter, \
						  name##_merge, extreme_finish, true};                   \
	static const struct agg_def name##_by_def = {sizeof(struct by), name##_by_add, NULL,       \
						     name##_by_merge, by_finish, true};                  \
	static const struct agg_def name##_n_def = {sizeof(struct top), name##_n_add, NULL,        \
						    name##_n_merge, name##_n_finish, true};
DIRECTION(max, 1)
DIRECTION(min, -1)

const struct func func_rows_agg_minmax[] = {
	AGGREGATE("max", "T", "T", &max_def, "the largest value"),
	AGGREGATE("max", "T, bigint", "array(T)", &max_n_def, "the n largest values, descending"),
	AGGREGATE("min", "T", "T", &min_def, "the smallest value"),
	AGGREGATE("min", "T, bigint", "array(T)", &min_n_def, "the n smallest values, ascending"),
	AGGREGATE("max_by", "T, U", "T", &max_by_def, "x where y is largest"),
	AGGREGATE("max_by", "T, U, bigint", "array(T)", &max_n_def, "the n x of the largest y, by descending y"),
	AGGREGATE("min_by", "T, U", "T", &min_by_def, "x where y is smallest"),
	AGGREGATE("min_by", "T, U, bigint", "array(T)", &min_n_def, "the n x of the smallest y, by ascending y"),
	FUNC_END,
};
