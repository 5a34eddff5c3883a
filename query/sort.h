/*
 * sort: the order of rows in a row_store by ORDER BY's keys; private to op_sort*.c.
 */
#ifndef TIDE_SORT_H
#define TIDE_SORT_H

#include "query/row_store.h"

/*
 * A row to be sorted. Most comparisons end at rank (NULLs) or prefix (the first key's leading 64
 * bits, made so that unsigned order is its order); the others look at the row.
 */
struct sort_item {
	uint64_t prefix;
	uint32_t row;
	uint32_t rank; /* 0 NULL in front, 1 value, 2 NULL behind */
};

struct sorter {
	const struct exec *x;
	const struct plan_key *keys;
	uint32_t key_count;
	bool is_decisive; /* equal prefixes mean equal first keys */
	struct grow items, temp;
};

void sorter_init(struct sorter *s, const struct exec *x, const struct plan *p);
/* By keys over columns of these types. */
void sorter_init_keys(struct sorter *s, const struct exec *x, const struct plan_key *keys, uint32_t n,
		      const struct type *const *types);
void sorter_release(struct sorter *s);

/* All rows of the store in order; rows with equal keys in the store's order. Lent until the next call. */
int sorter_run(struct sorter *s, const struct row_store *rows, const struct sort_item **ret,
	       struct err *e) must_check;

/* Bytes that sorting n rows will take besides the rows. */
static inline size_t sorter_bytes(uint32_t n)
{
	return 2 * sizeof(struct sort_item) * (size_t)n;
}

/* rank and prefix of row i of the first key's vector. */
struct sort_item sort_item_of(const struct plan_key *k, const struct vec *v, uint32_t i, uint32_t row);

/* <0, 0, >0: row i of columns a against row j of columns b, by one key, by all keys. */
int sort_cmp_key(const struct plan_key *k, const struct vec *a, uint32_t i, const struct vec *b, uint32_t j);
int sort_cmp_rows(const struct sorter *s, const struct vec *a, uint32_t i, const struct vec *b, uint32_t j);

#endif
