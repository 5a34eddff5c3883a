/*
 * func_impl: what the files of functions share. A file defines kernels and one table of rows, which
 * ends in FUNC_END and is named in func.c's list.
 *
 * Kernels get FLAT or CONST arguments (func_call() saw to that), and at least one FLAT one unless
 * the function is volatile. Hot kernels have a loop for each combination (FN_BINARY); others read
 * through arg_*() and skip NULL rows with row_ok().
 */
#ifndef TIDE_FUNC_IMPL_H
#define TIDE_FUNC_IMPL_H

#include "query/func.h"

#define FUNC_END {.name = NULL}

extern const struct func func_rows_op[], func_rows_math[], func_rows_string[], func_rows_time[],
	func_rows_interval[], func_rows_extract[], func_rows_format[], func_rows_bit[], func_rows_array[],
	func_rows_lambda[], func_rows_reduce[], func_rows_sort[], func_rows_gapfill[], func_rows_smooth[],
	func_rows_counter[], func_rows_agg_first[],
	func_rows_series[], func_rows_regexp[], func_rows_text[], func_rows_printf[], func_rows_hash[],
	func_rows_url[], func_rows_json[], func_rows_array_parts[], func_rows_array_number[], func_rows_map[],
	func_rows_agg_list[], func_rows_agg_histogram[], func_rows_agg_numeric_histogram[], func_rows_agg_checksum[],
	func_rows_agg_basic[], func_rows_agg_minmax[], func_rows_agg_stat[], func_rows_agg_distinct[],
	func_rows_agg_percentile[], func_rows_window[];

/* A row of a table: an operator, a scalar function, an aggregate. */
#define OPERATOR(n, p, r, k, h) \
	{.name = n, .params = p, .ret = r, .scalar = k, .flags = FN_HIDDEN, .group = "Operators", .help = h}
#define SCALAR(n, p, r, k, h) {.name = n, .params = p, .ret = r, .scalar = k, .group = GROUP, .help = h}
#define SCALAR_F(n, p, r, k, f, h) \
	{.name = n, .params = p, .ret = r, .scalar = k, .flags = f, .group = GROUP, .help = h}
#define AGGREGATE(n, p, r, d, h) {.name = n, .params = p, .ret = r, .agg = d, .group = GROUP, .help = h}
#define AGGREGATE_U(n, p, r, d, u, h) \
	{.name = n, .params = p, .ret = r, .agg = d, .unmerge = u, .group = GROUP, .help = h}

/* ---- reading arguments -------------------------------------------------------------------------- */

static inline bool row_ok(const struct fn_call *c, uint32_t i)
{
	return !c->valid || c->valid[i];
}
static inline uint32_t arg_at(const struct fn_call *c, uint32_t k, uint32_t i)
{
	return c->args[k].form == VEC_CONST ? 0 : i;
}
static inline int64_t arg_i64(const struct fn_call *c, uint32_t k, uint32_t i)
{
	return c->args[k].i64[arg_at(c, k, i)];
}
static inline double arg_f64(const struct fn_call *c, uint32_t k, uint32_t i)
{
	return c->args[k].f64[arg_at(c, k, i)];
}
static inline struct str arg_str(const struct fn_call *c, uint32_t k, uint32_t i)
{
	return c->args[k].str[arg_at(c, k, i)];
}
static inline struct vec_list arg_list(const struct fn_call *c, uint32_t k, uint32_t i)
{
	return c->args[k].list[arg_at(c, k, i)];
}

/* Make row i of a result NULL; its first use copies the rows that are NULL anyway. */
int ret_set_null(struct fn_call *c, struct vec *ret, uint32_t i, struct err *e) must_check;

int func_no_memory(struct err *e); /* -ENOMEM and a sentence */

/* -ECANCELED once nobody wants the answer any more; for kernels of which a row may take long. */
int func_cancelled(const struct fn_call *c, struct err *e) must_check;

/* ---- kernels from expressions -------------------------------------------------------------------- */

/* r = EXPR(x) */
#define FN_UNARY(fn, TA, fa, TR, fr, EXPR)                                                         \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		const TA *restrict a = c->args[0].fa;                                              \
		TR *restrict r = ret->fr;                                                          \
		for (uint32_t i = 0; i < c->n; i++) {                                              \
			TA x = a[i];                                                               \
			r[i] = (EXPR);                                                             \
		}                                                                                  \
		return 0;                                                                          \
	}

/* BODY with x and y set, for every row, in a loop of its own for each form of the arguments. */
#define BINARY_LOOPS(TA, TB, BODY)                                                                 \
	if (c->args[0].form == VEC_FLAT && c->args[1].form == VEC_FLAT)                            \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			TA x = a[i];                                                               \
			TB y = b[i];                                                               \
			BODY;                                                                      \
		}                                                                                  \
	else if (c->args[1].form == VEC_CONST) {                                                   \
		TB y = b[0];                                                                       \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			TA x = a[i];                                                               \
			BODY;                                                                      \
		}                                                                                  \
	} else {                                                                                   \
		TA x = a[0];                                                                       \
		for (uint32_t i = 0; i < n; i++) {                                                 \
			TB y = b[i];                                                               \
			BODY;                                                                      \
		}                                                                                  \
	}

/* r = EXPR(x, y) */
#define FN_BINARY(fn, TA, fa, TB, fb, TR, fr, EXPR)                                                \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		const TA *restrict a = c->args[0].fa;                                              \
		const TB *restrict b = c->args[1].fb;                                              \
		TR *restrict r = ret->fr;                                                          \
		uint32_t n = c->n;                                                                 \
		BINARY_LOOPS(TA, TB, r[i] = (EXPR))                                                \
		return 0;                                                                          \
	}

/*
 * r = x op y on int64 where OP(x, y, &r) says whether it failed. The failures are or-ed without a
 * branch; only when there was one the rows are looked at (a NULL row's value may well overflow), and
 * REPORT(x, y) returns the error.
 */
#define FN_CHECKED(fn, OP, REPORT)                                                                 \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		const int64_t *restrict a = c->args[0].i64;                                        \
		const int64_t *restrict b = c->args[1].i64;                                        \
		int64_t *restrict r = ret->i64;                                                    \
		uint32_t n = c->n;                                                                 \
		bool bad = false;                                                                  \
		BINARY_LOOPS(int64_t, int64_t, bad |= OP(x, y, &r[i]))                             \
		if (likely(!bad))                                                                  \
			return 0;                                                                  \
		BINARY_LOOPS(int64_t, int64_t, int64_t t;                                          \
			     if (row_ok(c, i) && OP(x, y, &t)) return REPORT(x, y))                \
		return 0;                                                                          \
	}

#define FN_CHECKED_UNARY(fn, OP, REPORT)                                                           \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		const int64_t *restrict a = c->args[0].i64;                                        \
		int64_t *restrict r = ret->i64;                                                    \
		bool bad = false;                                                                  \
		for (uint32_t i = 0; i < c->n; i++)                                                \
			bad |= OP(a[i], &r[i]);                                                    \
		for (uint32_t i = 0; bad && i < c->n; i++)                                         \
			if (row_ok(c, i) && OP(a[i], &r[i]))                                       \
				return REPORT(a[i]);                                               \
		return 0;                                                                          \
	}

#endif
