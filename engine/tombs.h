/*
 * tombs: what DELETE statements erased and files still hold.
 *
 * A tombstone is one statement: ranges (series, times) and its place in the order of changes, `seq`,
 * the number of its mark in the log. It hides its ranges in every source whose rows all came before
 * it: blocks and files whose seq_hi, and whose erased_seq (what was applied when the file was
 * written), are smaller. Rows that came later are not concerned, whatever their times.
 *
 *	ranges     groups of neighbouring series ids, disjoint and ascending; each with times that are
 *	           disjoint, ascending and not adjacent
 *
 * A tombstone lives in the catalogue, from the statement's commit until no source needs it any more.
 * Tombstones and sets of them are immutable.
 */
#ifndef TIDE_TOMBS_H
#define TIDE_TOMBS_H

#include <stdatomic.h>

#include "engine/base/base.h"

#define TOMB_RANGES_MAX (UINT32_C(4) << 20) /* of one tombstone */

struct interval {
	int64_t lo, hi; /* inclusive */
};

struct tomb_group {
	uint32_t series_lo, series_hi; /* inclusive */
	uint32_t first, count;         /* in times */
};

struct tomb {
	_Atomic uint32_t refs;
	uint64_t id; /* in the catalogue */
	uint64_t seq;
	int64_t t_min, t_max;
	uint32_t group_count, time_count;
	struct tomb_group *groups;
	struct interval *times;
};

struct tomb_set {
	_Atomic uint32_t refs;
	uint32_t n;
	struct tomb *v[]; /* by seq */
};

/* ---- making one ---------------------------------------------------------------------------------- */

struct tomb_range {
	uint32_t series_lo, series_hi;
	int64_t t_lo, t_hi;
};

/* Ranges in any order, also overlapping; they are sorted in place. -ENOMEM, -E2BIG. */
int tomb_create(uint64_t seq, struct tomb_range *ranges, uint32_t n, struct tomb **ret) must_check;

/*
 * The ranges as bytes: varint group count; for each group: varint series_lo - (end of the one before),
 * varint series_hi - series_lo, varint time count; for each time: zigzag lo (the first) or varint
 * lo - hi of the one before, varint hi - lo. Differences are taken modulo 2^64.
 */
int tomb_encode(const struct tomb *t, struct buf *out) must_check;
/* -EBADMSG: malformed, out of order, or not the whole. */
int tomb_decode(uint64_t id, uint64_t seq, struct str bytes, struct tomb **ret) must_check;

struct tomb *tomb_get(struct tomb *t);
void tomb_put(struct tomb *t); /* NULL is fine */

/* The times of a series; false: none. Lent. */
bool tomb_find(const struct tomb *t, uint32_t series_id, const struct interval **ret, uint32_t *ret_n);

/* ---- sets ------------------------------------------------------------------------------------------ */

/* NULL is the empty set, here and below. */
struct tomb_set *tomb_set_get(struct tomb_set *s);
void tomb_set_put(struct tomb_set *s);
/* A set with t (its reference is taken) and without those whose ids are named. */
int tomb_set_make(const struct tomb_set *s, struct tomb *t, const uint64_t *drop_ids, uint32_t drop_n,
		  struct tomb_set **ret) must_check;
static inline uint64_t tomb_set_newest(const struct tomb_set *s)
{
	return s && s->n ? s->v[s->n - 1]->seq : 0;
}

/* The first of the set that concerns a source of rows up to seq: index in v, or n. */
uint32_t tomb_set_from(const struct tomb_set *s, uint64_t seq);

/* Sort by lo and join what overlaps or touches; returns how many are left. */
uint32_t intervals_join(struct interval *v, uint32_t n);

#endif
