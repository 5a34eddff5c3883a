/*
 * agg_distinct: approx_distinct, by HyperLogLog.
 *
 * Up to 256 distinct values are counted exactly, as a set of their 64-bit hashes (two values share one
 * with a probability below 2^-48). Beyond, m = 2^p registers of a byte remember the longest run of
 * zeros seen in their share of the hashes; the standard error is 1.04 / sqrt(m), 2.3 % for m = 2048.
 * Memory is m bytes, 64 KiB for the finest error, and 8 KiB for the set before. The estimate is Ertl's
 * ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no correction
 * tables and no thresholds.
 */
#include "query/agg_impl.h"

#include <math.h>

#define GROUP "Aggregate"

#define EXACT_MAX   256
#define SLOTS_MIN   16
#define P_DEFAULT   11
#define ERROR_MIN   0.0040625
#define ERROR_MAX   0.26

struct sketch {
	uint64_t *set; /* open addressing; 0: free. NULL once there are registers */
	uint32_t slots, used;
	uint8_t *registers;
	uint32_t p; /* 0: not known yet */
};

static uint64_t hash_row(const struct vec *v, uint32_t i)
{
	uint64_t h = hash_u64(vec_hash(v, i, 0));

	return h ? h : 1;
}

static void registers_add(struct sketch *s, uint64_t h)
{
	uint64_t rest = h << s->p;
	uint8_t rank = rest ? (uint8_t)(__builtin_clzll(rest) + 1) : (uint8_t)(64 - s->p + 1);
	uint8_t *r = &s->registers[h >> (64 - s->p)];

	*r = MAX(*r, rank);
}

/* The free slot or the hash's own. */
static uint64_t *slot_of(uint64_t *set, uint32_t slots, uint64_t h)
{
	uint32_t at = (uint32_t)h & (slots - 1);

	while (set[at] && set[at] != h)
		at = (at + 1) & (slots - 1);
	return &set[at];
}

static int to_registers(struct agg_call *c, struct sketch *s, struct err *e)
{
	s->registers = arena_zalloc(c->arena, (size_t)1 << s->p);
	if (!s->registers)
		return func_no_memory(e);
	for (uint32_t i = 0; i < s->slots; i++)
		if (s->set[i])
			registers_add(s, s->set[i]);
	s->set = NULL;
	return 0;
}

static int set_grow(struct agg_call *c, struct sketch *s, struct err *e)
{
	uint32_t slots = s->slots ? s->slots * 2 : SLOTS_MIN;
	uint64_t *set = arena_zarray(c->arena, uint64_t, slots);

	if (!set)
		return func_no_memory(e);
	for (uint32_t i = 0; i < s->slots; i++)
		if (s->set[i])
			*slot_of(set, slots, s->set[i]) = s->set[i];
	s->set = set;
	s->slots = slots;
	return 0;
}

static int sketch_add(struct agg_call *c, struct sketch *s, uint64_t h, struct err *e)
{
	uint64_t *slot;
	int rc;

	if (!s->registers) {
		if (s->used * 2 >= s->slots && s->slots < EXACT_MAX * 2) {
			rc = set_grow(c, s, e);
			if (rc < 0)
				return rc;
		}
		slot = slot_of(s->set, s->slots, h);
		if (*slot)
			return 0;
		if (s->used < EXACT_MAX) {
			*slot = h;
			s->used++;
			return 0;
		}
		rc = to_registers(c, s, e);
		if (rc < 0)
			return rc;
	}
	registers_add(s, h);
	return 0;
}

/* p from the second argument, on the first row. */
static int sketch_init(struct agg_call *c, struct sketch *s, uint32_t row, struct err *e)
{
	double want;

	if (s->p)
		return 0;
	s->p = P_DEFAULT;
	if (c->argc < 2)
		return 0;
	want = agg_ok(&c->args[1], row) ? c->args[1].f64[agg_at(&c->args[1], row)] : (double)NAN;
	if (!(want >= ERROR_MIN && want <= ERROR_MAX)) {
		s->p = 0;
		return err_set(e, -EINVAL, "approx_distinct: the standard error must be between %g and %g",
			       ERROR_MIN, ERROR_MAX);
	}
	/* Fewer registers are worse than the formula, and further off at times. */
	for (s->p = 5; s->p < 16 && 1.04 / sqrt((double)(1u << s->p)) > want; s->p++)
		;
	return 0;
}

static int distinct_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct sketch *s = state;
	int rc = from < to ? sketch_init(c, s, from, e) : 0;

	if (v->form == VEC_CONST)
		to = MIN(to, from + 1);
	for (uint32_t i = from; rc >= 0 && i < to; i++)
		if (agg_ok(v, i))
			rc = sketch_add(c, s, hash_row(v, i), e);
	return rc;
}

static int distinct_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct sketch *a = into;
	const struct sketch *b = from;
	int rc = 0;

	if (!b->p)
		return 0;
	a->p = b->p;
	if (b->registers && !a->registers)
		rc = to_registers(c, a, e);
	if (rc >= 0 && b->registers)
		for (size_t i = 0; i < (size_t)1 << a->p; i++)
			a->registers[i] = MAX(a->registers[i], b->registers[i]);
	for (uint32_t i = 0; rc >= 0 && b->set && i < b->slots; i++)
		if (b->set[i])
			rc = sketch_add(c, a, b->set[i], e);
	return rc;
}

static double sigma(double x)
{
	double y = 1, z = x, last;

	if (x == 1)
		return (double)INFINITY;
	do {
		x *= x;
		last = z;
		z += x * y;
		y += y;
	} while (z != last);
	return z;
}

static double tau(double x)
{
	double y = 1, z = 1 - x, last;

	if (x == 0 || x == 1)
		return 0;
	do {
		x = sqrt(x);
		last = z;
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z != last);
	return z / 3;
}

static int64_t estimate(const struct sketch *s)
{
	uint32_t q = 64 - s->p, count[66] = {0};
	double m = (double)((size_t)1 << s->p), z;

	for (size_t i = 0; i < (size_t)1 << s->p; i++)
		count[s->registers[i]]++;
	z = m * tau(1 - count[q + 1] / m);
	for (uint32_t k = q; k >= 1; k--)
		z = 0.5 * (z + count[k]);
	z += m * sigma(count[0] / m);
	return (int64_t)llround(m * m / (2 * M_LN2 * z));
}

static int distinct_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct sketch *s = state;

	return vb_add_i64(out, s->registers ? estimate(s) : s->used, e);
}

static const struct agg_def distinct_def = {sizeof(struct sketch), distinct_add, NULL, distinct_merge,
					    distinct_finish, true};

const struct func func_rows_agg_distinct[] = {
	AGGREGATE("approx_distinct", "T", "bigint", &distinct_def,
		  "how many different values there are; exact up to 256, then an estimate with a standard error of 2.3 %; 0: none"),
	AGGREGATE("approx_distinct", "T, double", "bigint", &distinct_def,
		  "the same with a standard error of at most e (0.0040625 to 0.26) beyond 256 values"),
	FUNC_END,
};
