/*
 * func_array: what the files of arrays share: results whose elements all come from one argument. The
 * kernel only names their places, and they are gathered once.
 */
#ifndef TIDE_FUNC_ARRAY_H
#define TIDE_FUNC_ARRAY_H

#include "query/func_list.h"

#define ELEMENTS_MAX 10000 /* of sequence() and repeat() */

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
