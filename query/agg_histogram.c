/*
 * agg_histogram: aggregates that keep a table of the different values: histogram, map_agg,
 * multimap_agg. There is no map type: the result is an array of rows in ascending order of their first
 * field. NULLs are no keys. Memory grows with the number of different values (multimap_agg: of rows).
 */
#include "query/agg_impl.h"
#include "query/op.h"

#include <stdlib.h>

#define GROUP "Aggregate"

#define SLOTS_MIN 16
#define FREE      UINT32_MAX

/* What is counted or collected, in order of first appearance. */
struct tally {
	struct vec_builder *keys; /* NULL: nothing yet */
	struct vec_builder *values; /* map_agg: one a key; multimap_agg: one a row */
	uint32_t *slots, slot_n;  /* open addressing: numbers of keys */
	int64_t *counts;          /* by key: rows */
	uint32_t cap;             /* of counts */
	uint32_t *of, of_cap;     /* multimap_agg: by value its key */
};

static int tally_init(struct agg_call *c, struct tally *t, struct err *e)
{
	int rc;

	if (t->keys)
		return 0;
	t->keys = arena_new(c->arena, struct vec_builder);
	if (!t->keys)
		return func_no_memory(e);
	rc = vb_init(t->keys, c->arg_types[0], 8, c->arena, e);
	if (rc < 0 || c->argc < 2)
		return rc;
	t->values = arena_new(c->arena, struct vec_builder);
	return t->values ? vb_init(t->values, c->arg_types[1], 8, c->arena, e) : func_no_memory(e);
}

/* The slot that holds the key of row i of v, or the free one where it belongs. */
static uint32_t *slot_of(const struct tally *t, const struct vec *keys, const struct vec *v, uint32_t i)
{
	uint32_t at = (uint32_t)vec_hash(v, i, 0) & (t->slot_n - 1);

	while (t->slots[at] != FREE && !vec_same(keys, t->slots[at], v, i))
		at = (at + 1) & (t->slot_n - 1);
	return &t->slots[at];
}

static int tally_grow(struct agg_call *c, struct tally *t, const struct vec *keys, struct err *e)
{
	uint32_t n = t->slot_n ? t->slot_n * 2 : SLOTS_MIN;

	if (t->keys->n * 2 < t->slot_n)
		return 0;
	t->slots = n < FREE / 2 ? arena_array(c->arena, uint32_t, n) : NULL;
	if (!t->slots)
		return func_no_memory(e);
	t->slot_n = n;
	memset(t->slots, 0xff, n * sizeof(*t->slots));
	for (uint32_t k = 0; k < t->keys->n; k++)
		*slot_of(t, keys, keys, k) = k;
	return 0;
}

static int counts_grow(struct agg_call *c, struct tally *t, struct err *e)
{
	uint32_t cap = MAX(t->cap * 2, 8);
	int64_t *counts;

	if (t->keys->n < t->cap)
		return 0;
	counts = arena_array(c->arena, int64_t, cap);
	if (!counts)
		return func_no_memory(e);
	if (t->cap)
		memcpy(counts, t->counts, t->cap * sizeof(*counts));
	t->counts = counts;
	t->cap = cap;
	return 0;
}

/* The number of row i's key, which may be new. */
static int key_of(struct agg_call *c, struct tally *t, const struct vec *v, uint32_t i, uint32_t *ret, struct err *e)
{
	struct vec keys;
	uint32_t *slot;
	int rc;

	vb_finish(t->keys, &keys);
	rc = tally_grow(c, t, &keys, e);
	if (rc < 0)
		return rc;
	slot = slot_of(t, &keys, v, i);
	if (*slot == FREE) {
		rc = counts_grow(c, t, e);
		if (rc >= 0)
			rc = vb_add(t->keys, v, i, e);
		if (rc < 0)
			return rc;
		*slot = t->keys->n - 1;
		t->counts[*slot] = 0;
	}
	*ret = *slot;
	return 0;
}

/* n rows with the key of row `at`; their value is row i's. */
static int tally_add(struct agg_call *c, struct tally *t, const struct vec *key, uint32_t at, const struct vec *value,
		     uint32_t i, int64_t n, bool every_value, struct err *e)
{
	uint32_t k;
	int rc;

	if (vec_is_null(key, at))
		return 0;
	rc = key_of(c, t, key, at, &k, e);
	if (rc < 0)
		return rc;
	if (value && every_value) {
		if (t->values->n == t->of_cap) {
			uint32_t cap = MAX(t->of_cap * 2, 8), *of = arena_array(c->arena, uint32_t, cap);

			if (!of)
				return func_no_memory(e);
			if (t->of_cap)
				memcpy(of, t->of, t->of_cap * sizeof(*of));
			t->of = of;
			t->of_cap = cap;
		}
		t->of[t->values->n] = k;
	}
	if (value && (every_value || !t->counts[k]))
		rc = vb_add(t->values, value, i, e);
	t->counts[k] += n;
	return rc;
}

/* ---- the result ------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b, void *keys)
{
	return vec_cmp(keys, *(const uint32_t *)a, keys, *(const uint32_t *)b);
}

/* Working memory of finish(), which may be called for a state again and again. */
struct scratch {
	struct grow memory;
	uint32_t *order;       /* keys in ascending order */
	uint32_t *start, *at;  /* multimap_agg: the values of key k are at[start[k] .. start[k + 1]) */
};

static int scratch_init(struct agg_call *c, const struct tally *t, bool every_value, struct scratch *s, struct err *e)
{
	size_t n = t->keys->n, words = n + (every_value ? 2 * n + 3 + t->values->n : 0);

	*s = (struct scratch){0};
	if (grow_to(&s->memory, c->exec ? c->exec->budget : NULL, words * sizeof(uint32_t)) < 0)
		return func_no_memory(e);
	s->order = s->memory.data;
	if (every_value) {
		s->start = s->order + n;
		s->at = s->start + 2 * n + 3;
	}
	return 0;
}

/* Values by key, each key's in their order. */
static void sort_values(const struct tally *t, struct scratch *s)
{
	uint32_t *next = s->start + t->keys->n + 1;

	for (uint32_t k = 0; k < t->keys->n; k++)
		next[k + 1] = s->start[k + 1] = s->start[k] + (uint32_t)t->counts[k];
	for (uint32_t i = 0; i < t->values->n; i++)
		s->at[next[t->of[i]]++] = i;
}

static int add_second(const struct tally *t, const struct scratch *multi, const struct vec *values, uint32_t k,
		      struct vec_builder *to, struct err *e)
{
	int rc = 0;

	if (!t->values)
		return vb_add_i64(to, t->counts[k], e);
	if (!multi->start)
		return vb_add(to, values, k, e);
	for (uint32_t i = multi->start[k]; rc >= 0 && i < multi->start[k + 1]; i++)
		rc = vb_add(vb_elem(to), values, multi->at[i], e);
	return rc < 0 ? rc : vb_add_list(to, multi->start[k + 1] - multi->start[k], e);
}

static int finish(struct agg_call *c, const struct tally *t, bool every_value, struct vec_builder *out, struct err *e)
{
	struct vec_builder *rows = vb_elem(out);
	struct vec keys, values = {0};
	struct scratch s;
	int rc;

	if (!t->keys || !t->keys->n)
		return vb_add_null(out, e);
	rc = scratch_init(c, t, every_value, &s, e);
	if (rc < 0)
		return rc;
	vb_finish(t->keys, &keys);
	if (t->values)
		vb_finish(t->values, &values);
	if (every_value)
		sort_values(t, &s);
	for (uint32_t k = 0; k < t->keys->n; k++)
		s.order[k] = k;
	qsort_r(s.order, t->keys->n, sizeof(*s.order), by_key, &keys);
	for (uint32_t i = 0; rc >= 0 && i < t->keys->n; i++) {
		rc = vb_add(vb_field(rows, 0), &keys, s.order[i], e);
		if (rc >= 0)
			rc = add_second(t, &s, &values, s.order[i], vb_field(rows, 1), e);
		if (rc >= 0)
			rc = vb_add_row(rows, e);
	}
	grow_release(&s.memory, c->exec ? c->exec->budget : NULL);
	return rc < 0 ? rc : vb_add_list(out, t->keys->n, e);
}

/* ---- histogram(x), map_agg(k, v), multimap_agg(k, v) ------------------------------------------------ */

static int add(struct agg_call *c, struct tally *t, uint32_t from, uint32_t to, bool every_value, struct err *e)
{
	const struct vec *value = c->argc > 1 ? &c->args[1] : NULL;
	int rc = from < to ? tally_init(c, t, e) : 0;

	for (uint32_t i = from; rc >= 0 && i < to; i++)
		rc = tally_add(c, t, &c->args[0], i, value, i, 1, every_value, e);
	return rc;
}

static int merge(struct agg_call *c, struct tally *a, const struct tally *b, bool every_value, struct err *e)
{
	struct vec keys, values;
	int rc = b->keys ? tally_init(c, a, e) : 0;

	if (rc < 0 || !b->keys)
		return rc;
	vb_finish(b->keys, &keys);
	if (b->values)
		vb_finish(b->values, &values);
	if (every_value) {
		for (uint32_t i = 0; rc >= 0 && i < b->values->n; i++)
			rc = tally_add(c, a, &keys, b->of[i], &values, i, 1, true, e);
		return rc;
	}
	for (uint32_t k = 0; rc >= 0 && k < b->keys->n; k++)
		rc = tally_add(c, a, &keys, k, b->values ? &values : NULL, k, b->counts[k], false, e);
	return rc;
}

static int one_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	return add(c, state, from, to, false, e);
}
static int one_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	return merge(c, into, from, false, e);
}
static int one_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return finish(c, state, false, out, e);
}
static int every_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	return add(c, state, from, to, true, e);
}
static int every_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	return merge(c, into, from, true, e);
}
static int every_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	return finish(c, state, true, out, e);
}

static const struct agg_def one_def = {sizeof(struct tally), one_add, NULL, one_merge, one_finish, true};
static const struct agg_def every_def = {sizeof(struct tally), every_add, NULL, every_merge, every_finish, true};

/* array(row(first, second)): patterns cannot spell rows. */
static int rows_match(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
		      struct type_field first, struct type_field second, struct func_match *ret)
{
	const struct type **types = arena_array(a, const struct type *, argc);
	struct type_field fields[] = {first, second};
	const struct type *row = first.type && second.type ? type_row(a, fields, 2) : NULL;

	if (!types || !row)
		return -ENOMEM;
	for (uint32_t i = 0; i < argc; i++)
		types[i] = args[i];
	*ret = (struct func_match){f, types, type_array(a, row)};
	return ret->ret ? 0 : -ENOMEM;
}

static int histogram_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
			     struct func_match *ret, struct err *e)
{
	if (argc != 1)
		return -1;
	return rows_match(a, f, args, argc, (struct type_field){STR_LIT("value"), args[0]},
			  (struct type_field){STR_LIT("count"), &type_bigint}, ret);
}

static int map_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
		       struct func_match *ret, struct err *e)
{
	bool every_value = f->agg == &every_def;

	if (argc != 2)
		return -1;
	return rows_match(a, f, args, argc, (struct type_field){STR_LIT("key"), args[0]},
			  (struct type_field){STR_LIT("value"), every_value ? type_array(a, args[1]) : args[1]}, ret);
}

#define ROWS(n, p, r, d, res, h) \
	{.name = n, .params = p, .ret = r, .agg = d, .resolve = res, .group = GROUP, .help = h}

const struct func func_rows_agg_histogram[] = {
	ROWS("histogram", "T", "array(row(value T, count bigint))", &one_def, histogram_resolve,
	     "the different values in ascending order, and how often each is there; NULLs are not counted"),
	ROWS("map_agg", "K, V", "array(row(key K, value V))", &one_def, map_resolve,
	     "each key in ascending order with the first value that came with it; rows with a NULL for key are left out"),
	ROWS("multimap_agg", "K, V", "array(row(key K, value array(V)))", &every_def, map_resolve,
	     "each key in ascending order with all values that came with it; rows with a NULL for key are left out"),
	FUNC_END,
};
