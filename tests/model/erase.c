/*
 * Deletes, as ranges: of series, of times, of single rows that a condition holds for.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

struct range {
	uint32_t lo, hi; /* engine's series ids */
	int64_t t_lo, t_hi;
};

struct plan {
	struct range *v;
	uint32_t n, cap;
};

static void add_range(struct plan *p, struct range r)
{
	if (p->n == p->cap) {
		p->cap = MAX(p->cap * 2, 64u);
		p->v = realloc(p->v, p->cap * sizeof *p->v);
		if (!p->v)
			abort();
	}
	p->v[p->n++] = r;
}

/* Boxes of any size that may overlap and hold nothing. */
static void plan_boxes(struct m_table *mt, struct plan *p)
{
	const struct twin *tw = &mt->twin;
	uint32_t n = 1 + (uint32_t)rnd(chance(10) ? 200 : 4), ids = series_count(table_series(mt->t));

	for (uint32_t i = 0; i < n && tw->n; i++) {
		const struct m_key *k = &tw->keys[rnd(tw->n)];
		uint32_t id = mt->ids[k->series], wide = (uint32_t)rnd(chance(3) ? ids : 3);
		int64_t reach = chance(60) ? 2 * NS_PER_DAY : chance(2) ? 600 * NS_PER_S : 1;
		struct range r = {id - MIN(id, wide), id + (chance(2) ? wide : 0), k->time - (int64_t)rnd((uint64_t)reach),
				  k->time + (int64_t)rnd((uint64_t)reach)};
		if (chance(100))
			r.t_lo = INT64_MIN;
		if (chance(100) && n < 5) /* a series altogether */
			r = (struct range){id, id, INT64_MIN, INT64_MAX};
		add_range(p, r);
	}
}

/* The rows that a condition holds for, one by one or in stretches, as a statement would add them. */
static void plan_rows(struct m_table *mt, struct plan *p)
{
	const struct twin *tw = &mt->twin;
	struct predicate pr;

	random_predicate(mt, &pr, 3);
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].is_alive && holds(mt, &pr, i)) {
			uint32_t id = mt->ids[tw->keys[i].series];
			add_range(p, (struct range){id, id, tw->keys[i].time, tw->keys[i].time});
		}
}

static uint32_t erase(struct m_table *mt, const struct plan *p)
{
	struct twin *tw = &mt->twin;
	uint32_t before = tw->alive;

	if (p->n > 300) { /* single rows */
		for (uint32_t k = 0; k < p->n; k++) {
			uint32_t i = twin_find(tw, mt->twin_of[p->v[k].lo], p->v[k].t_lo);
			if (i != NONE)
				twin_erase(tw, i, w.op);
		}
		return before - tw->alive;
	}
	for (uint32_t i = 0; i < tw->n; i++) {
		uint32_t id = mt->ids[tw->keys[i].series];
		for (uint32_t k = 0; k < p->n && tw->keys[i].is_alive; k++)
			if (id >= p->v[k].lo && id <= p->v[k].hi && tw->keys[i].time >= p->v[k].t_lo &&
			    tw->keys[i].time <= p->v[k].t_hi)
				twin_erase(tw, i, w.op);
	}
	return before - tw->alive;
}

/* Rows that come between begin and commit: what was there then is still seen, and they outlive it. */
static void write_meanwhile(struct m_table *mt, struct deletion *d, struct append *a)
{
	struct look then = {.lo = INT64_MIN, .hi = INT64_MAX, .cols = UINT32_MAX, .upto_seq = deletion_seq(d)};
	struct twin before = {0};
	char why[512];

	twin_copy(&before, &mt->twin);
	append_writes(a, 1);
	if (!w.is_in_doubt && !look_same(mt, &before, &then, why, sizeof why))
		fail("as of the delete's beginning: %s", why);
	if (!w.is_in_doubt)
		look_all(mt);
	twin_release(&mt->twin);
	mt->twin = before;
}

void op_delete(void)
{
	static struct m_write writes[ROWS_MOST];
	struct m_table *mt = some_table();
	struct plan p = {0};
	struct deletion *d;
	struct err e = {0};
	struct append a = {mt, writes, 0, false};
	bool is_meant = !chance(10), meanwhile = chance(5) && w.disk.left < 0; /* one thing at a time may be in doubt */

	if (chance(3))
		plan_rows(mt, &p);
	else
		plan_boxes(mt, &p);
	if (!went_well(table_delete_begin(mt->t, &d, &e), &e, "table_delete_begin")) {
		free(p.v);
		return;
	}
	for (uint32_t i = 0; i < p.n; i++)
		must(deletion_add(d, p.v[i].lo, p.v[i].hi, p.v[i].t_lo, p.v[i].t_hi, &e), &e, "deletion_add");
	if (meanwhile) {
		a.n = make_writes(mt, writes, 300, false);
		if (a.n)
			write_meanwhile(mt, d, &a);
	}
	bool was_in_doubt = w.is_in_doubt;
	if (is_meant && !was_in_doubt)
		(void)went_well(deletion_commit(d, &e), &e, "deletion_commit");
	else
		deletion_abort(d);
	uint32_t gone = is_meant && !was_in_doubt ? erase(mt, &p) : 0;
	/* The delete comes before the rows that were written during it. */
	for (uint32_t i = 0; i < a.n; i++)
		twin_patch(&mt->twin, &a.v[i], w.op);
	trace("%s: %u ranges, %u rows%s%s", mt->name, p.n, gone, is_meant ? "" : ", given up",
	      a.n ? ", and rows meanwhile" : "");
	free(p.v);
}
