/*
 * agg_impl: what the files of aggregates share.
 *
 * A state is plain memory, zeroed at first, 8-aligned; nothing is called when it dies, so what it
 * points to lives in the query's arena and is reused rather than allocated anew.
 */
#ifndef TIDE_AGG_IMPL_H
#define TIDE_AGG_IMPL_H

#include "query/func_impl.h"

static inline uint32_t agg_at(const struct vec *v, uint32_t i)
{
	return v->form == VEC_CONST ? 0 : i;
}

static inline bool agg_ok(const struct vec *v, uint32_t i)
{
	return !v->valid || v->valid[agg_at(v, i)];
}

/* No NULL in sight and one value a row: the loops that matter. */
static inline bool agg_is_plain(const struct vec *v)
{
	return v->form == VEC_FLAT && !v->valid;
}

/*
 * A 128-bit sum as two words, since states are 8-aligned. |sum| stays below 2^126 for 2^62 rows.
 */
struct wide {
	uint64_t lo;
	int64_t hi;
};
static inline i128 wide_get(const struct wide *w)
{
	return (i128)w->hi * ((i128)1 << 64) + w->lo;
}
static inline void wide_add(struct wide *w, i128 v)
{
	i128 sum = wide_get(w) + v;

	w->lo = (uint64_t)sum;
	w->hi = (int64_t)(sum >> 64);
}

/* ---- cell: one value of any type that is replaced again and again -------------------------------- */

struct cell {
	union {
		int64_t i64;
		double f64;
		uint8_t b8;
		struct str str; /* in text, which holds cap bytes */
	};
	char *text;
	uint32_t cap;
	bool has;       /* anything was set, be it NULL */
	uint8_t valid;
	struct vec *any; /* LIST, ROW: a FLAT vector of one row */
};

int cell_set(struct cell *c, struct arena *a, const struct vec *from, uint32_t i, struct err *e) must_check;

/* The cell as a FLAT vector of one row, lent until the cell changes. */
void cell_view(struct cell *c, const struct type *t, struct vec *ret);
int cell_output(struct cell *c, const struct type *t, struct vec_builder *out, struct err *e) must_check;

/* ORDER BY's order of doubles: NaN last. */
static inline bool f64_less(double a, double b)
{
	return a < b || (b != b && a == a);
}

#endif
