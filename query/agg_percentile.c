/*
 * agg_percentile: approx_percentile, by a sketch of compactors (KLL with levels of equal size).
 *
 *	level 0   items of weight 1     at most k of them
 *	level 1   items of weight 2
 *	level h   items of weight 2^h
 *
 * A level that is full is sorted, and every other item goes up with twice the weight, the odd or the
 * even ones as a coin says. So up to k values (k = 2048, more where a finer accuracy is asked for) the
 * answer is exact: the smallest value whose cumulative weight exceeds p times the total. Beyond, a
 * compaction of level h moves a rank by at most 2^h: the rank is never off by more than
 * log2(n / k) / k of n. The standard deviation is below 0.7 / k, so that it is in fact not off by more than
 * ERROR_K / k (0.15 % for k = 2048). Memory is k words a level, k * (log2(n / k) + 4) in all: 32 KiB for
 * 2,048 values, 200 KiB for a million.
 *
 * The coin is a fixed sequence, so the same rows give the same answer. Values are int64 keys in the
 * order of the type; a double's bits become one by turning negative ones round.
 */
#include "query/agg_impl.h"
#include "query/op.h"

#include <math.h>
#include <stdlib.h>

#define GROUP "Aggregate"

#define K_DEFAULT 2048
#define K_MAX     65536
#define ERROR_K   3 /* times 1 / k: four standard deviations */
#define ACCURACY_MIN ((double)ERROR_K / K_MAX)
#define LEVELS    48 /* 2^48 * k: more than can be counted */

struct level {
	int64_t *items;
	uint32_t n, cap;
};

struct quantiles {
	struct level *levels; /* LEVELS of them, NULL: nothing yet */
	double *p;            /* what is asked for */
	uint32_t p_count;
	uint32_t k;
	int64_t *spare; /* for sorting: k words */
	int64_t total;  /* weight of all */
	int64_t min, max;
	uint64_t coin;
};

/* ---- keys --------------------------------------------------------------------------------------- */

static int64_t key_of(const struct vec *v, uint32_t i)
{
	int64_t bits;
	double d;

	if (type_layout(v->type) == LAYOUT_I64)
		return v->i64[i];
	d = v->f64[i];
	if (d != d)
		d = (double)NAN; /* the positive one: largest */
	memcpy(&bits, &d, sizeof(bits));
	return bits < 0 ? bits ^ INT64_MAX : bits;
}

static int add_key(struct vec_builder *out, int64_t key, struct err *e)
{
	double d;

	if (type_layout(out->type) == LAYOUT_I64)
		return vb_add_i64(out, key, e);
	if (key < 0)
		key ^= INT64_MAX;
	memcpy(&d, &key, sizeof(d));
	return vb_add_f64(out, d, e);
}

/* ---- the sketch --------------------------------------------------------------------------------- */

/* By bytes from the lowest up; bytes that are the same in all are passed over. tmp: n words. */
static void sort_keys(int64_t *v, int64_t *tmp, uint32_t n)
{
	int64_t *from = v, *to = tmp;

	for (int shift = 0; shift < 64; shift += 8) {
		uint32_t count[256] = {0}, at = 0;
		uint64_t flip = shift == 56 ? 0x80 : 0; /* negative ones first */
		int64_t *swap;

		for (uint32_t i = 0; i < n; i++)
			count[((uint64_t)from[i] >> shift & 0xff) ^ flip]++;
		if (n && count[((uint64_t)from[0] >> shift & 0xff) ^ flip] == n)
			continue;
		for (int b = 0; b < 256; b++) {
			uint32_t c = count[b];

			count[b] = at;
			at += c;
		}
		for (uint32_t i = 0; i < n; i++)
			to[count[((uint64_t)from[i] >> shift & 0xff) ^ flip]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
}

/* Room for n items more, of which there are never more than k. */
static int level_room(struct agg_call *c, struct quantiles *q, struct level *l, uint32_t n, struct err *e)
{
	uint32_t cap = MIN(q->k, MAX(l->n + n, MAX(16, l->cap * 2)));
	int64_t *items;

	if (l->n + n <= l->cap)
		return 0;
	items = arena_array(c->arena, int64_t, cap);
	if (!items)
		return func_no_memory(e);
	if (l->n)
		memcpy(items, l->items, l->n * sizeof(*items));
	l->items = items;
	l->cap = cap;
	return 0;
}

static int level_push(struct agg_call *c, struct quantiles *q, uint32_t h, int64_t key, struct err *e);

/* Level h is full: half of it goes up. */
static int compact(struct agg_call *c, struct quantiles *q, uint32_t h, struct err *e)
{
	struct level *l = &q->levels[h];
	uint32_t odd;
	int rc = 0;

	if (!q->spare) {
		q->spare = arena_array(c->arena, int64_t, q->k);
		if (!q->spare)
			return func_no_memory(e);
	}
	/* What goes up fills the next level sooner or later: at its full size at once nothing is left behind. */
	if (h + 1 < LEVELS && !q->levels[h + 1].n) {
		rc = level_room(c, q, &q->levels[h + 1], q->k, e);
		if (rc < 0)
			return rc;
	}
	sort_keys(l->items, q->spare, l->n);
	q->coin = q->coin * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	odd = q->coin >> 63;
	for (uint32_t i = odd; i < l->n && rc >= 0; i += 2)
		rc = level_push(c, q, h + 1, l->items[i], e);
	l->n = 0;
	return rc;
}

static int level_push(struct agg_call *c, struct quantiles *q, uint32_t h, int64_t key, struct err *e)
{
	struct level *l;
	int rc = 0;

	if (h >= LEVELS)
		return err_set(e, -EINVAL, "approx_percentile: too much weight");
	l = &q->levels[h];
	if (l->n == q->k)
		rc = compact(c, q, h, e);
	if (rc >= 0)
		rc = level_room(c, q, l, 1, e);
	if (rc >= 0)
		l->items[l->n++] = key;
	return rc;
}

/* A weight is a sum of powers of two, so the value goes to the levels of its bits. */
static int quantiles_add(struct agg_call *c, struct quantiles *q, int64_t key, int64_t weight, struct err *e)
{
	int rc = 0;

	if (__builtin_add_overflow(q->total, weight, &q->total))
		return err_set(e, -EINVAL, "approx_percentile: too much weight");
	q->min = MIN(q->min, key);
	q->max = MAX(q->max, key);
	for (uint32_t h = 0; weight && rc >= 0; h++, weight >>= 1)
		if (weight & 1)
			rc = level_push(c, q, h, key, e);
	return rc;
}

/* ---- the aggregate: (x, p) (x, w, p) (x, w, p, accuracy) ------------------------------------------ */

static int bad_percentile(struct err *e)
{
	return err_set(e, -EINVAL, "approx_percentile: the percentile must be a constant between 0 and 1");
}

/* The percentile or percentiles of a row. */
static int read_p(struct agg_call *c, struct quantiles *q, uint32_t row, struct err *e)
{
	const struct vec *v = &c->args[c->argc == 2 ? 1 : 2], *base = v;
	struct vec_list l = {agg_at(v, row), 1};

	if (!agg_ok(v, row))
		return bad_percentile(e);
	if (v->type->kind == TY_ARRAY) {
		l = v->list[agg_at(v, row)];
		base = v->child;
	}
	q->p = arena_array(c->arena, double, MAX(l.len, 1));
	if (!q->p)
		return func_no_memory(e);
	q->p_count = l.len;
	for (uint32_t i = 0; i < l.len; i++) {
		q->p[i] = vec_is_null(base, l.off + i) ? (double)NAN
						       : vec_base(base)->f64[vec_index(base, l.off + i)];
		if (!(q->p[i] >= 0 && q->p[i] <= 1))
			return bad_percentile(e);
	}
	return 0;
}

static int quantiles_init(struct agg_call *c, struct quantiles *q, uint32_t row, struct err *e)
{
	int rc;

	if (q->levels)
		return 0;
	rc = read_p(c, q, row, e);
	if (rc < 0)
		return rc;
	q->k = K_DEFAULT;
	if (c->argc == 4) {
		const struct vec *v = &c->args[3];
		double accuracy = agg_ok(v, row) ? v->f64[agg_at(v, row)] : 0;

		if (!(accuracy >= ACCURACY_MIN && accuracy < 1))
			return err_set(e, -EINVAL, "approx_percentile: the accuracy must be at least %.2g and below 1",
				       ACCURACY_MIN);
		while ((double)ERROR_K / q->k > accuracy)
			q->k *= 2;
	}
	q->min = INT64_MAX;
	q->max = INT64_MIN;
	q->levels = arena_zarray(c->arena, struct level, LEVELS);
	return q->levels ? 0 : func_no_memory(e);
}

static int percentile_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0], *w = c->argc > 2 ? &c->args[1] : NULL;
	struct quantiles *q = state;
	int rc = from < to ? quantiles_init(c, q, from, e) : 0;

	for (uint32_t i = from; rc >= 0 && i < to; i++) {
		int64_t weight = 1;

		if (!agg_ok(v, i) || (w && !agg_ok(w, i)))
			continue;
		if (w)
			weight = w->i64[agg_at(w, i)];
		if (weight < 1)
			return err_set(e, -EINVAL, "approx_percentile: the weight must be at least 1, not %lld",
				       (long long)weight);
		rc = quantiles_add(c, q, key_of(v, agg_at(v, i)), weight, e);
	}
	return rc;
}

static int percentile_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct quantiles *a = into;
	const struct quantiles *b = from;
	int rc = 0;

	if (!b->levels)
		return 0;
	if (!a->levels) {
		a->levels = arena_zarray(c->arena, struct level, LEVELS);
		if (!a->levels)
			return func_no_memory(e);
		a->p = b->p;
		a->p_count = b->p_count;
		a->k = b->k;
		a->min = INT64_MAX;
		a->max = INT64_MIN;
	}
	if (__builtin_add_overflow(a->total, b->total, &a->total))
		return err_set(e, -EINVAL, "approx_percentile: too much weight");
	a->min = MIN(a->min, b->min);
	a->max = MAX(a->max, b->max);
	for (uint32_t h = 0; h < LEVELS; h++)
		for (uint32_t i = 0; rc >= 0 && i < b->levels[h].n; i++)
			rc = level_push(c, a, h, b->levels[h].items[i], e);
	return rc;
}

struct weighted {
	int64_t key, weight;
};

static int by_key(const void *a, const void *b)
{
	int64_t x = ((const struct weighted *)a)->key, y = ((const struct weighted *)b)->key;

	return (x > y) - (x < y);
}

/* The smallest key whose cumulative weight exceeds p * total. */
static int64_t quantile(const struct quantiles *q, const struct weighted *w, uint32_t n, double p)
{
	double goal = p * (double)q->total;
	int64_t sum = 0;

	if (p == 0)
		return q->min;
	for (uint32_t i = 0; i < n; i++) {
		sum += w[i].weight;
		if ((double)sum > goal)
			return w[i].key;
	}
	return q->max;
}

static int percentile_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct quantiles *q = state;
	bool is_array = c->ret_type->kind == TY_ARRAY;
	struct vec_builder *to = is_array ? vb_elem(out) : out;
	struct budget *budget = c->exec ? c->exec->budget : NULL;
	struct grow scratch = {0};
	struct weighted *w;
	uint32_t n = 0;
	int rc = 0;

	if (!q->total)
		return vb_add_null(out, e);
	for (uint32_t h = 0; h < LEVELS; h++)
		n += q->levels[h].n;
	if (grow_to(&scratch, budget, n * sizeof(*w)) < 0)
		return func_no_memory(e);
	w = scratch.data;
	n = 0;
	for (uint32_t h = 0; h < LEVELS; h++)
		for (uint32_t i = 0; i < q->levels[h].n; i++)
			w[n++] = (struct weighted){q->levels[h].items[i], INT64_C(1) << h};
	qsort(w, n, sizeof(*w), by_key);
	for (uint32_t i = 0; rc >= 0 && i < q->p_count; i++)
		rc = add_key(to, quantile(q, w, n, q->p[i]), e);
	grow_release(&scratch, budget);
	return rc < 0 || !is_array ? rc : vb_add_list(out, q->p_count, e);
}

static const struct agg_def percentile_def = {sizeof(struct quantiles), percentile_add, NULL, percentile_merge,
					      percentile_finish, false};

/* p: the fraction of values that lie below. */
#define HELP "the smallest value that more than the fraction p (0 to 1) of all do not exceed; "
#define EXACT "exact up to 2,048 values, beyond it within 0.15 % of the rank"
#define WEIGHTED "(x, weight, p): a value counts as often as its weight (1 or more) says; "
#define ACCURATE                                                                                   \
	"(x, weight, p, accuracy): the same within this fraction (from 0.000046) of the rank"
#define ONE(T, rest, help) AGGREGATE("approx_percentile", T rest, T, &percentile_def, help)
#define ARRAY(T, rest, help)                                                                       \
	AGGREGATE("approx_percentile", T rest, "array(" T ")", &percentile_def, help)
#define FORMS(T)                                                                                   \
	ONE(T, ", double", HELP EXACT), ARRAY(T, ", array(double)", HELP EXACT),                   \
	ONE(T, ", bigint, double", WEIGHTED EXACT),                                                \
	ARRAY(T, ", bigint, array(double)", WEIGHTED EXACT),                                       \
	ONE(T, ", bigint, double, double", ACCURATE),                                              \
	ARRAY(T, ", bigint, array(double), double", ACCURATE)

const struct func func_rows_agg_percentile[] = {
	FORMS("bigint"),
	FORMS("double"),
	FORMS("timestamp"),
	FORMS("date"),
	FORMS("interval"),
	FUNC_END,
};
