/*
 * func_list: what functions of arrays and time series share: results whose elements are picked from an
 * argument, and elements of many rows handed out in chunks, for lambdas.
 */
#ifndef TIDE_FUNC_LIST_H
#define TIDE_FUNC_LIST_H

#include "query/func_impl.h"

/* ---- picking elements of one argument ----------------------------------------------------------- */

struct picks {
	struct fn_call *c;
	struct vec out;  /* the lists */
	uint32_t *sel;   /* places in the argument's child */
	uint32_t n, cap, first; /* first: where the row at hand begins */
};

int picks_init(struct picks *p, struct fn_call *c, struct err *e) must_check;
int pick(struct picks *p, uint32_t at, struct err *e) must_check;
void picks_row(struct picks *p, uint32_t i); /* what was picked since the last one is row i's */
int picks_finish(struct picks *p, const struct vec *child, struct vec *ret, struct err *e) must_check;

/* ---- elements in chunks -------------------------------------------------------------------------- */

#define ELEMS_MAX VEC_ROWS
#define ELEM_NONE UINT32_MAX /* a place behind the end of a shorter list: NULL */

/*
 * The elements of all rows that are not NULL, one row after the other, at most ELEMS_MAX at a time. With
 * two lists the elements come in pairs, the shorter list padded with NULLs.
 */
struct elems {
	struct fn_call *c;
	uint32_t lists;            /* arguments [0, lists) */
	struct arena *arena;       /* where .v lives and the lambda's body works: a chunk's lifetime... */
	struct arena scratch;      /* ...or, where all fits in one chunk, the call's */
	uint64_t total;            /* elements of all rows */
	uint32_t row, at;          /* the next one */
	uint32_t n;                /* the chunk at hand */
	uint32_t *rows, *place[2]; /* of which row; where in the argument's child */
	struct vec v[2];
};

/* The elements of row i. */
uint32_t elems_of(const struct elems *s, uint32_t i);

int elems_init(struct elems *s, struct fn_call *c, uint32_t lists, struct err *e) must_check;
/* 1: a chunk; 0: no more. Looks whether the statement was cancelled. */
int elems_next(struct elems *s, struct err *e) must_check;
void elems_release(struct elems *s);

/* Values places[0..n) of v, FLAT; ELEM_NONE gives NULL. */
int gather_places(const struct vec *v, const uint32_t *places, uint32_t n, struct arena *a, struct vec *ret,
		  struct err *e) must_check;

#endif
