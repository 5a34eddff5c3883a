/*
 * agg_numeric_histogram: at most b buckets (centre, weight) that stand for a column of numbers, by the
 * streaming histogram of Ben-Haim and Tom-Tov ("A streaming parallel decision tree algorithm", 2010).
 *
 * A value is a bucket of its own at first. Where there are more than b, the two whose centres lie nearest to
 * each other become one at their weighted mean; the first two of several pairs. So up to b different values
 * the result is exact, and beyond it depends on the order of rows. Memory is b buckets and as many waiting
 * values as pay for the merging of them all.
 */
#include "query/agg_impl.h"

#include <math.h>
#include <stdlib.h>

#define GROUP "Aggregate"

#define BUCKETS_MAX 10000
#define WAITING     256

struct bucket {
	double centre, weight;
};

struct buckets {
	struct bucket *v; /* NULL: nothing yet */
	uint32_t n;       /* buckets in order, then values that wait */
	uint32_t max;
};

static int by_centre(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->centre, y = ((const struct bucket *)b)->centre;

	return (x > y) - (x < y);
}

static void join(struct bucket *a, const struct bucket *b)
{
	double weight = a->weight + b->weight;

	a->centre = a->centre == b->centre ? a->centre : a->centre + (b->centre - a->centre) * (b->weight / weight);
	a->weight = weight;
}

/* Those that wait become buckets, then neighbours are joined until there are no more than max. */
static void compact(struct buckets *h)
{
	uint32_t n = 0;

	qsort(h->v, h->n, sizeof(*h->v), by_centre);
	for (uint32_t i = 0; i < h->n; i++) {
		if (n && h->v[n - 1].centre == h->v[i].centre)
			join(&h->v[n - 1], &h->v[i]);
		else
			h->v[n++] = h->v[i];
	}
	while (n > h->max) {
		double nearest = (double)INFINITY;
		uint32_t at = 0;

		for (uint32_t i = 0; i + 1 < n; i++) {
			double gap = h->v[i + 1].centre - h->v[i].centre;

			if (gap < nearest) {
				nearest = gap;
				at = i;
			}
		}
		join(&h->v[at], &h->v[at + 1]);
		memmove(&h->v[at + 1], &h->v[at + 2], (n - at - 2) * sizeof(*h->v));
		n--;
	}
	h->n = n;
}

static void bucket_add(struct buckets *h, struct bucket b)
{
	if (h->n == h->max + WAITING)
		compact(h);
	h->v[h->n++] = b;
}

static int buckets_init(struct agg_call *c, struct buckets *h, int64_t max, struct err *e)
{
	if (h->v)
		return 0;
	if (max < 2 || max > BUCKETS_MAX)
		return err_set(e, -EINVAL, "numeric_histogram: the number of buckets must be between 2 and %d",
			       BUCKETS_MAX);
	h->max = (uint32_t)max;
	h->v = arena_array(c->arena, struct bucket, h->max + WAITING);
	return h->v ? 0 : func_no_memory(e);
}

static int histogram_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *b = &c->args[0], *v = &c->args[1], *w = c->argc > 2 ? &c->args[2] : NULL;
	struct buckets *h = state;

	for (uint32_t i = from; i < to; i++) {
		struct bucket one = {.weight = 1};
		int rc;

		if (!agg_ok(b, i) || !agg_ok(v, i) || (w && !agg_ok(w, i)))
			continue;
		rc = buckets_init(c, h, b->i64[agg_at(b, i)], e);
		if (rc < 0)
			return rc;
		one.centre = v->f64[agg_at(v, i)];
		if (w)
			one.weight = w->f64[agg_at(w, i)];
		if (!isfinite(one.centre) || !isfinite(one.weight) || one.weight <= 0)
			return err_set(e, -EINVAL, "numeric_histogram: values must be finite, and weights positive");
		bucket_add(h, one);
	}
	return 0;
}

static int histogram_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct buckets *a = into;
	const struct buckets *b = from;
	int rc = b->v ? buckets_init(c, a, b->max, e) : 0;

	for (uint32_t i = 0; rc >= 0 && i < b->n; i++)
		bucket_add(a, b->v[i]);
	return rc;
}

static int histogram_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	struct vec_builder *rows = vb_elem(out);
	struct buckets *h = state;
	int rc = 0;

	if (!h->v)
		return vb_add_null(out, e);
	compact(h);
	for (uint32_t i = 0; rc >= 0 && i < h->n; i++) {
		rc = vb_add_f64(vb_field(rows, 0), h->v[i].centre, e);
		if (rc >= 0)
			rc = vb_add_f64(vb_field(rows, 1), h->v[i].weight, e);
		if (rc >= 0)
			rc = vb_add_row(rows, e);
	}
	return rc < 0 ? rc : vb_add_list(out, h->n, e);
}

static const struct agg_def histogram_def = {sizeof(struct buckets), histogram_add, NULL, histogram_merge,
					     histogram_finish, false};

/* (buckets, value [, weight]) */
static int histogram_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
			     struct func_match *ret, struct err *e)
{
	const struct type **types = arena_array(a, const struct type *, 3);
	struct type_field fields[] = {{STR_LIT("key"), &type_double}, {STR_LIT("value"), &type_double}};
	const struct type *row = type_row(a, fields, 2), *rows = row ? type_array(a, row) : NULL;
	int cost = 0;

	if (!types || !rows)
		return -ENOMEM;
	if (argc < 2 || argc > 3)
		return -1;
	for (uint32_t i = 0; i < argc; i++) {
		int c;

		types[i] = i ? &type_double : &type_bigint;
		c = type_coercion(args[i], types[i], false);
		if (c < 0)
			return -1;
		cost += c;
	}
	*ret = (struct func_match){f, types, rows};
	return cost;
}

const struct func func_rows_agg_numeric_histogram[] = {
	{.name = "numeric_histogram", .params = "bigint, double [, double]", .ret = "array(row(key double, value double))",
	 .agg = &histogram_def,
	 .resolve = histogram_resolve, .group = GROUP,
	 .help = "(b, x, weight): x as at most b (2 to 10,000) centres and their weights; exact up to b different values, "
		 "beyond it the nearest are joined"},
	FUNC_END,
};
