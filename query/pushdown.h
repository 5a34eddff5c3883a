/*
 * pushdown: what its files share: pushdown.c (the walk down to scans), push_join.c (joins),
 * join_order.c (which relations are joined first).
 */
#ifndef TIDE_PUSHDOWN_H
#define TIDE_PUSHDOWN_H

#include "query/bind.h"

/* p with the conditions, which are over its columns, as far down as they may go. */
int push(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret);

/* conds as a FILTER over p. */
int filter_over(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret);

/* Could it fail for some values of its columns? Overflows of times far beyond the ones that are stored do not count. */
bool bx_can_fail(const struct bx *x);
bool bx_can_only_overflow(const struct bx *x); /* if it fails, by + - * of whole numbers */

/* TRUE where x is TRUE or fails: what may be asked early, x being asked again. */
int bx_hint(struct bind *b, struct bx *x, struct bx **ret);

int push_join(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret);

/* Which sides' columns x looks at: bits. */
#define SIDE_LEFT 1u
#define SIDE_RIGHT 2u
unsigned bx_sides(const struct bx *x, uint32_t left_n);

/*
 * A tree of INNER joins in another order where that gives joins keys that would have none: *p and the
 * conditions over it are rewritten. The columns come out as before.
 */
int join_order(struct bind *b, struct plan **p, struct bx_list *conds, uint32_t **ret_back) must_check;

/* How large a plan's result looks; by its shape alone. */
uint32_t plan_weight(const struct plan *p);

#endif
