/*
 * func_array: what the files of arrays share: results whose elements all come from one argument. The
 * kernel only names their places, and they are gathered once.
 */
#ifndef TIDE_FUNC_ARRAY_H
#define TIDE_FUNC_ARRAY_H

#include "query/func_impl.h"

#define ELEMENTS_MAX 10000 /* of sequence() and repeat() */

struct picks {
	struct fn_call *c;
	struct vec out;  /* the lists */
	uint32_t *sel;   /* places in the argument's child */
	uint32_t n, cap, first; /* first: where the row at hand begins */
};

int picks_init(struct picks *p, struct fn_call *c, struct err *e) must_check;
int pick(struct picks *p, uint32_t at, struct err *e) must_check;
void picks_row(struct picks *p, uint32_t i); /* what was picked since the last row is row i */
int picks_finish(struct picks *p, const struct vec *child, struct vec *ret, struct err *e) must_check;

/* A kernel from a function of a row that picks: int fn(picks, row, list, err). */
#define PICKING(kernel, fn)                                                                        \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		struct picks p;                                                                    \
		int rc = picks_init(&p, c, e);                                                     \
		for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {                                   \
			if (!row_ok(c, i))                                                         \
				continue;                                                          \
			rc = fn(&p, i, arg_list(c, 0, i), e);                                      \
			picks_row(&p, i);                                                          \
		}                                                                                  \
		return rc < 0 ? rc : picks_finish(&p, c->args[0].child, ret, e);                   \
	}

#endif
