/*
 * eval: private to the evaluator's files (eval*.c). The story is at the top of eval.c.
 */
#ifndef TIDE_EVAL_H
#define TIDE_EVAL_H

#include "query/plan.h"

/*
 * The rows an expression is evaluated over. The root stands on a batch; every other level is a
 * selection of its parent's rows (a branch of CASE, the right side of AND) or, with params, the body
 * of a lambda whose row i belongs to the parent's row sel[i].
 */
struct eval {
	const struct exec_ctx *exec;
	struct arena *arena;
	uint32_t n;
	const struct vbatch *in;   /* the root's */
	struct eval *parent;       /* NULL: this is the root */
	const uint32_t *sel;
	struct vec *cache;         /* columns gathered so far; .type NULL: not yet */
	const struct vec *params;  /* NULL: not a lambda's body */
	uint32_t param_count;
	bool *located;             /* shared by all levels: the sentence in e has its position */
};

int eval_expr(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e) must_check;

/* The rows sel[0..n) of ev. sel must live as long as *ret. */
struct eval eval_sub(struct eval *ev, const uint32_t *sel, uint32_t n);

/* x over the rows sel[0..n) of ev; sel NULL: all of them. */
int eval_over(struct eval *ev, const struct bx *x, const uint32_t *sel, uint32_t n, struct vec *ret,
	      struct err *e) must_check;

/* Put x's position in front of the sentence, once; returns rc. */
int eval_locate(struct eval *ev, const struct bx *x, int rc, struct err *e);

/* -ENOMEM and what to do about it. */
int exec_nomem(const struct exec_ctx *exec, struct err *e);

/*
 * Results of branches, put together: value idx[i] (NULL: i) of v belongs to row rows[i] (NULL: i).
 * Rows that no piece covers are NULL.
 */
struct eval_piece {
	struct eval_piece *next;
	struct vec v;
	const uint32_t *idx, *rows;
	uint32_t n;
};
int eval_merge(struct eval *ev, const struct type *t, const struct eval_piece *pieces, struct vec *ret,
	       struct err *e) must_check;

int eval_case(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e) must_check;
int eval_coalesce(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e) must_check;
int eval_try(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e) must_check;
int eval_in(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e) must_check;

/*
 * Work that is done once a query: kernels' prepare(), hash sets of IN. Called on every expression
 * of a plan before it runs; what was not prepared is worked out at each evaluation instead.
 */
int bx_prepare(struct arena *a, struct bx *x, struct err *e) must_check;
int in_set_build(struct arena *a, const struct bx *x, void **ret, struct err *e) must_check;

/* A lambda in one evaluation of its call: ev has the call's rows. */
struct lambda {
	const struct bx *x;
	struct eval *ev;
};
int lambda_eval(const struct lambda *l, int part, const struct vec *params, const uint32_t *rows, uint32_t k,
		struct arena *a, struct vec *ret, struct err *e) must_check;

/* Once a query: the parts of a fold's body that do not look at its state. x: the call. */
int fold_split(struct arena *a, struct bx *x, struct err *e) must_check;

/* TRUE, FALSE or NULL of row i of a boolean vector. */
enum tristate { TRI_FALSE, TRI_TRUE, TRI_NULL };
static inline enum tristate vec_tristate(const struct vec *v, uint32_t i)
{
	const struct vec *b = vec_base(v);
	uint32_t k = vec_index(v, i);
	return b->valid && !b->valid[k] ? TRI_NULL : b->b8[k] ? TRI_TRUE : TRI_FALSE;
}

#endif
