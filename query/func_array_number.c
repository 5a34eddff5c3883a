/* func_array_number: sums over arrays of numbers, and arrays as vectors. */
#include "query/func_impl.h"

#include <math.h>

#define GROUP "Array"

/* Sums of the elements that are not NULL; 0 where there are none. */
static int array_sum_i64(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *v = c->args[0].child;

	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = row_ok(c, i) ? arg_list(c, 0, i) : (struct vec_list){0, 0};
		i128 sum = 0;

		for (uint32_t k = l.off; k < l.off + l.len; k++) {
			if (!vec_is_null(v, k))
				sum += v->i64[k];
		}
		if (sum < INT64_MIN || sum > INT64_MAX)
			return err_set(e, -EINVAL, "bigint overflow: array_sum() of %u elements", l.len);
		ret->i64[i] = (int64_t)sum;
	}
	return 0;
}

static int array_sum_f64(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *v = c->args[0].child;

	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = row_ok(c, i) ? arg_list(c, 0, i) : (struct vec_list){0, 0};

		ret->f64[i] = 0;
		for (uint32_t k = l.off; k < l.off + l.len; k++) {
			if (!vec_is_null(v, k))
				ret->f64[i] += v->f64[k];
		}
	}
	return 0;
}

static int array_average(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *v = c->args[0].child;
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct vec_list l = row_ok(c, i) ? arg_list(c, 0, i) : (struct vec_list){0, 0};
		double sum = 0, n = 0;

		for (uint32_t k = l.off; k < l.off + l.len; k++) {
			if (vec_is_null(v, k))
				continue;
			sum += v->f64[k];
			n++;
		}
		ret->f64[i] = sum / n;
		if (!n && row_ok(c, i))
			rc = ret_set_null(c, ret, i, e);
	}
	return rc;
}

/* ---- vectors ------------------------------------------------------------------------------------ */

/* Sums over two arrays of one length. */
struct products {
	double xy, xx, yy, distance; /* distance: of the squares of differences */
};

/* 1; 0: an element is NULL. */
static int products(const struct fn_call *c, uint32_t i, struct products *ret, struct err *e)
{
	const struct vec *a = c->args[0].child, *b = c->args[1].child;
	struct vec_list x = arg_list(c, 0, i), y = arg_list(c, 1, i);

	*ret = (struct products){0};
	if (x.len != y.len)
		return err_set(e, -EINVAL, "the arrays must have the same length, and not %u and %u elements", x.len,
			       y.len);
	for (uint32_t k = 0; k < x.len; k++) {
		double p, q;

		if (vec_is_null(a, x.off + k) || vec_is_null(b, y.off + k))
			return 0;
		p = a->f64[x.off + k];
		q = b->f64[y.off + k];
		ret->xy += p * q;
		ret->xx += p * p;
		ret->yy += q * q;
		ret->distance += (p - q) * (p - q);
	}
	return 1;
}

/* sqrt(xx * yy): one rounding less than two roots, where the product is in range. */
static double lengths(double xx, double yy)
{
	return isnormal(xx * yy) ? sqrt(xx * yy) : sqrt(xx) * sqrt(yy);
}

/* A kernel of two arrays: EXPR of p, NULL where OK does not hold. */
#define VECTORS(kernel, OK, EXPR)                                                                  \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		for (uint32_t i = 0; i < c->n; i++) {                                              \
			struct products p;                                                         \
			int rc = row_ok(c, i) ? products(c, i, &p, e) : 1;                         \
			if (rc > 0 && row_ok(c, i) && (OK)) {                                      \
				ret->f64[i] = (EXPR);                                              \
				continue;                                                          \
			}                                                                          \
			if (rc >= 0)                                                               \
				rc = ret_set_null(c, ret, i, e);                                   \
			if (rc < 0)                                                                \
				return rc;                                                         \
		}                                                                                  \
		return 0;                                                                          \
	}
VECTORS(cosine_similarity, p.xx > 0 && p.yy > 0, p.xy / lengths(p.xx, p.yy))
VECTORS(dot_product, true, p.xy)
VECTORS(euclidean_distance, true, sqrt(p.distance))

#define TWO(name, h) SCALAR(#name, "array(double), array(double)", "double", name, h)

const struct func func_rows_array_number[] = {
	SCALAR("array_sum", "array(bigint)", "bigint", array_sum_i64,
	       "the sum of the elements that are not NULL; 0: there are none"),
	SCALAR("array_sum", "array(double)", "double", array_sum_f64,
	       "the sum of the elements that are not NULL; 0: there are none"),
	SCALAR("array_average", "array(double)", "double", array_average,
	       "the mean of the elements that are not NULL; NULL: there are none"),
	TWO(cosine_similarity, "cosine of the angle between two arrays of one length; NULL where one is all zeros"),
	TWO(dot_product, "the sum of the products of the elements of two arrays of one length"),
	TWO(euclidean_distance, "the distance between two points given by arrays of one length"),
	FUNC_END,
};
