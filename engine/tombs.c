#include "engine/tombs.h"

#include <stdlib.h>

/* ---- intervals ----------------------------------------------------------------------------------- */

static int by_lo(const void *x, const void *y)
{
	const struct interval *a = x, *b = y;
	return (a->lo > b->lo) - (a->lo < b->lo);
}

uint32_t intervals_join(struct interval *v, uint32_t n)
{
	bool sorted = true;
	uint32_t k = 0;

	for (uint32_t i = 1; i < n && sorted; i++)
		sorted = v[i - 1].lo <= v[i].lo;
	if (!sorted)
		qsort(v, n, sizeof *v, by_lo);
	for (uint32_t i = 0; i < n; i++) {
		if (k && (v[k - 1].hi == INT64_MAX || v[i].lo <= v[k - 1].hi + 1))
			v[k - 1].hi = MAX(v[k - 1].hi, v[i].hi);
		else
			v[k++] = v[i];
	}
	return k;
}

/* ---- making one ------------------------------------------------------------------------------------ */

static int by_series(const void *x, const void *y)
{
	const struct tomb_range *a = x, *b = y;

	if (a->series_lo != b->series_lo)
		return a->series_lo < b->series_lo ? -1 : 1;
	if (a->series_hi != b->series_hi)
		return a->series_hi < b->series_hi ? -1 : 1;
	return (a->t_lo > b->t_lo) - (a->t_lo < b->t_lo);
}

struct making {
	struct tomb *t;
	uint32_t group_cap, time_cap;
};

static int add_group(struct making *m, uint32_t lo, uint32_t hi)
{
	struct tomb *t = m->t;

	if (t->group_count == TOMB_RANGES_MAX)
		return -E2BIG;
	if (t->group_count == m->group_cap) {
		uint32_t cap = MAX(m->group_cap * 2, 4u);
		struct tomb_group *p = realloc(t->groups, cap * sizeof *p);
		if (!p)
			return -ENOMEM;
		t->groups = p;
		m->group_cap = cap;
	}
	t->groups[t->group_count++] = (struct tomb_group){lo, hi, t->time_count, 0};
	return 0;
}

static int add_time(struct making *m, int64_t lo, int64_t hi)
{
	struct tomb *t = m->t;

	if (t->time_count == TOMB_RANGES_MAX)
		return -E2BIG;
	if (t->time_count == m->time_cap) {
		uint32_t cap = MAX(m->time_cap * 2, 4u);
		struct interval *p = realloc(t->times, cap * sizeof *p);
		if (!p)
			return -ENOMEM;
		t->times = p;
		m->time_cap = cap;
	}
	t->times[t->time_count++] = (struct interval){lo, hi};
	t->groups[t->group_count - 1].count++;
	return 0;
}

static bool same_times(const struct tomb *t, const struct tomb_group *a, const struct tomb_group *b)
{
	return a->count == b->count &&
	       memcmp(t->times + a->first, t->times + b->first, a->count * sizeof *t->times) == 0;
}

/* The last group is whole: join its times, and the group itself to a neighbour with the same ones. */
static void close_group(struct tomb *t)
{
	struct tomb_group *g = &t->groups[t->group_count - 1];

	g->count = intervals_join(t->times + g->first, g->count);
	t->time_count = g->first + g->count;
	struct tomb_group *before = t->group_count > 1 ? g - 1 : NULL;
	if (before && before->series_hi + 1 == g->series_lo && same_times(t, before, g)) {
		before->series_hi = g->series_hi;
		t->time_count = g->first;
		t->group_count--;
	}
}

/*
 * Ranges by series_lo. Where they are of equal or disjoint series, which is how statements make them,
 * each set of equals is a group. Where they overlap in part, groups are cut at every border: `open`
 * holds those that reach into the series at hand.
 */
static int sweep(struct making *m, const struct tomb_range *r, uint32_t n)
{
	uint32_t *open = malloc((n + 1) * sizeof *open), open_n = 0, next = 0;
	int rc = open ? 0 : -ENOMEM;
	uint64_t at = 0;

	while (rc >= 0 && (next < n || open_n)) {
		if (!open_n)
			at = r[next].series_lo;
		while (next < n && r[next].series_lo <= at)
			open[open_n++] = next++;
		uint64_t end = next < n ? (uint64_t)r[next].series_lo - 1 : UINT32_MAX;
		for (uint32_t i = 0; i < open_n; i++)
			end = MIN(end, r[open[i]].series_hi);
		rc = add_group(m, (uint32_t)at, (uint32_t)end);
		for (uint32_t i = 0; i < open_n && rc >= 0; i++)
			rc = add_time(m, r[open[i]].t_lo, r[open[i]].t_hi);
		if (rc < 0)
			break;
		close_group(m->t);
		uint32_t k = 0;
		for (uint32_t i = 0; i < open_n; i++)
			if (r[open[i]].series_hi > end)
				open[k++] = open[i];
		open_n = k;
		at = end + 1;
	}
	free(open);
	return rc;
}

static void set_bounds(struct tomb *t)
{
	t->t_min = INT64_MAX;
	t->t_max = INT64_MIN;
	for (uint32_t i = 0; i < t->time_count; i++) {
		t->t_min = MIN(t->t_min, t->times[i].lo);
		t->t_max = MAX(t->t_max, t->times[i].hi);
	}
}

static struct tomb *tomb_new(uint64_t seq)
{
	struct tomb *t = calloc(1, sizeof *t);

	if (t) {
		atomic_init(&t->refs, 1);
		t->seq = seq;
	}
	return t;
}

int tomb_create(uint64_t seq, struct tomb_range *ranges, uint32_t n, struct tomb **ret)
{
	struct making m = {.t = tomb_new(seq)};

	if (!m.t)
		return -ENOMEM;
	qsort(ranges, n, sizeof *ranges, by_series);
	int rc = sweep(&m, ranges, n);
	if (rc < 0) {
		tomb_put(m.t);
		return rc;
	}
	set_bounds(m.t);
	*ret = m.t;
	return 0;
}

struct tomb *tomb_get(struct tomb *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void tomb_put(struct tomb *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	free(t->groups);
	free(t->times);
	free(t);
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

int tomb_encode(const struct tomb *t, struct buf *out)
{
	uint64_t end = 0;

	buf_put_varint(out, t->group_count);
	for (uint32_t i = 0; i < t->group_count; i++) {
		const struct tomb_group *g = &t->groups[i];
		buf_put_varint(out, g->series_lo - end);
		buf_put_varint(out, g->series_hi - g->series_lo);
		buf_put_varint(out, g->count);
		end = g->series_hi;
		for (uint32_t k = 0; k < g->count; k++) {
			const struct interval *v = &t->times[g->first + k];
			if (k == 0)
				buf_put_zigzag(out, v->lo);
			else
				buf_put_varint(out, (uint64_t)v->lo - (uint64_t)v[-1].hi);
			buf_put_varint(out, (uint64_t)v->hi - (uint64_t)v->lo);
		}
	}
	return out->rc;
}

static int decode_times(struct making *m, struct cur *c, uint64_t n)
{
	int64_t hi = 0;

	for (uint64_t k = 0; k < n && !c->bad; k++) {
		uint64_t step = k ? cur_varint(c) : 0;
		int64_t lo = k ? (int64_t)((uint64_t)hi + step) : cur_zigzag(c);
		/* Not adjacent, and not past the end of time. */
		if (k && (lo <= hi || lo == hi + 1))
			return -EBADMSG;
		uint64_t span = cur_varint(c);
		hi = (int64_t)((uint64_t)lo + span);
		if (hi < lo || span > (uint64_t)INT64_MAX - (uint64_t)lo)
			return -EBADMSG;
		int rc = c->bad ? -EBADMSG : add_time(m, lo, hi);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int decode(struct making *m, struct cur *c)
{
	uint64_t groups = cur_varint(c), end = 0;
	int rc = 0;

	for (uint64_t i = 0; i < groups && rc >= 0; i++) {
		uint64_t skip = cur_varint(c), span = cur_varint(c), n = cur_varint(c);
		if (c->bad || skip > UINT32_MAX - end || (i && !skip) || span > UINT32_MAX - (end + skip) || !n)
			return -EBADMSG;
		uint64_t lo = end + skip;
		end = lo + span;
		rc = add_group(m, (uint32_t)lo, (uint32_t)end);
		if (rc >= 0)
			rc = decode_times(m, c, n);
	}
	return rc < 0 ? rc : c->bad || cur_left(c) ? -EBADMSG : 0;
}

int tomb_decode(uint64_t id, uint64_t seq, struct str bytes, struct tomb **ret)
{
	struct making m = {.t = tomb_new(seq)};
	struct cur c = cur_over(bytes.ptr, bytes.len);

	if (!m.t)
		return -ENOMEM;
	m.t->id = id;
	int rc = decode(&m, &c);
	if (rc < 0) {
		tomb_put(m.t);
		return rc == -E2BIG ? -EBADMSG : rc;
	}
	set_bounds(m.t);
	*ret = m.t;
	return 0;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

bool tomb_find(const struct tomb *t, uint32_t series_id, const struct interval **ret, uint32_t *ret_n)
{
	uint32_t lo = 0, hi = t->group_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->groups[mid].series_hi < series_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == t->group_count || t->groups[lo].series_lo > series_id)
		return false;
	*ret = t->times + t->groups[lo].first;
	*ret_n = t->groups[lo].count;
	return true;
}

/* ---- sets -------------------------------------------------------------------------------------------------- */

struct tomb_set *tomb_set_get(struct tomb_set *s)
{
	if (s)
		atomic_fetch_add(&s->refs, 1);
	return s;
}

void tomb_set_put(struct tomb_set *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		tomb_put(s->v[i]);
	free(s);
}

static bool is_named(uint64_t id, const uint64_t *ids, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

int tomb_set_make(const struct tomb_set *s, struct tomb *t, const uint64_t *drop_ids, uint32_t drop_n,
		  struct tomb_set **ret)
{
	uint32_t have = s ? s->n : 0;
	struct tomb_set *next = malloc(sizeof *next + (have + 1) * sizeof next->v[0]);

	if (!next) {
		tomb_put(t);
		return -ENOMEM;
	}
	atomic_init(&next->refs, 1);
	next->n = 0;
	for (uint32_t i = 0; i < have; i++)
		if (!is_named(s->v[i]->id, drop_ids, drop_n))
			next->v[next->n++] = tomb_get(s->v[i]);
	if (t) {
		uint32_t at = next->n++;
		for (; at > 0 && next->v[at - 1]->seq > t->seq; at--)
			next->v[at] = next->v[at - 1];
		next->v[at] = t;
	}
	*ret = next;
	return 0;
}

uint32_t tomb_set_from(const struct tomb_set *s, uint64_t seq)
{
	uint32_t lo = 0, hi = s ? s->n : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (s->v[mid]->seq <= seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
