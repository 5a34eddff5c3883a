/*
 * Scans compared with the twin: each row that comes is looked up, then the number of rows that had to
 * come is compared with those that did. So nothing is sorted.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/scan.h"

struct looking {
	struct m_table *mt;
	const struct twin *tw;
	const struct look *l;
	uint32_t cols[COLS_MAX], which[COLS_MAX], col_n;
	uint32_t last_series; /* of the twin; NONE before the first row */
	int64_t last_time;
	uint64_t count, maybe;
	bool has_versions;
	char *why;
	size_t why_size;
};

#define DIFFERS(g, ...) (snprintf((g)->why, (g)->why_size, __VA_ARGS__), false)

static const char *story(const struct looking *g, uint32_t i, char buf[96])
{
	if (i == NONE)
		snprintf(buf, 96, "was never written");
	else
		snprintf(buf, 96, "%s in operation %llu", g->tw->keys[i].is_alive ? "was written" : "went",
			 (unsigned long long)g->tw->rows[i].op);
	return buf;
}

static bool row_is_right(struct looking *g, const struct scan_batch *sb, uint32_t at, uint32_t s)
{
	int64_t time = sb->time_ns[at];
	uint32_t i = twin_find(g->tw, s, time);
	char buf[96], v1[64], v2[64];

	if (time < g->l->lo || time > g->l->hi || (g->l->wanted && !g->l->wanted[s]))
		return DIFFERS(g, "%s: series %u time %lld was not asked for", g->mt->name, s, (long long)time);
	if (g->last_series == s && time <= g->last_time)
		return DIFFERS(g, "%s: series %u time %lld comes after %lld", g->mt->name, s, (long long)time,
			       (long long)g->last_time);
	if (i == NONE || !g->tw->keys[i].is_alive)
		return DIFFERS(g, "%s: series %u time %lld is there, and %s", g->mt->name, s, (long long)time,
			       story(g, i, buf));
	struct m_row *r = &g->tw->rows[i];
	r->seen = w.looks;
	int64_t version = g->has_versions && sb->version[at] ? sb->version[at] : 1;
	if (g->has_versions && version != r->version)
		return DIFFERS(g, "%s: series %u time %lld has version %lld, should be %lld; it %s", g->mt->name, s,
			       (long long)time, (long long)version, (long long)r->version, story(g, i, buf));
	for (uint32_t k = 0; k < g->col_n; k++) {
		const struct m_col *mc = &g->tw->cols[g->which[k]];
		bool valid = !sb->cols[k].valid || sb->cols[k].valid[at];
		bool want = r->valid >> g->which[k] & 1;
		if (valid == want && (!valid || same_value(mc, &sb->cols[k], at, r->value[g->which[k]])))
			continue;
		const struct col *c = &sb->cols[k];
		if (!valid)
			snprintf(v1, sizeof v1, "NULL");
		else if (mc->type == COL_VARCHAR)
			snprintf(v1, sizeof v1, "'%.*s' (%zu bytes)", (int)MIN(c->str[at].len, (size_t)30),
				 c->str[at].ptr, c->str[at].len);
		else if (mc->type == COL_DOUBLE)
			snprintf(v1, sizeof v1, "%.17g", c->f64[at]);
		else
			snprintf(v1, sizeof v1, "%lld", mc->type == COL_BOOLEAN ? (long long)c->b8[at] : (long long)c->i64[at]);
		return DIFFERS(g, "%s: series %u time %lld %s is %s, should be %s; it %s", g->mt->name, s, (long long)time,
			       mc->name, v1, want ? show_value(mc, r->value[g->which[k]], v2) : "NULL", story(g, i, buf));
	}
	g->last_time = time;
	g->last_series = s;
	g->count++;
	g->maybe += time < g->l->maybe_before;
	return true;
}

static bool batch_is_right(struct looking *g, const struct scan_batch *sb)
{
	for (uint32_t k = 0; k < sb->run_count; k++) {
		uint32_t id = sb->runs[k].series_id;
		uint32_t s = id < ARRAY_LEN(g->mt->twin_of) ? g->mt->twin_of[id] : NONE;
		if (s == NONE)
			return DIFFERS(g, "%s: series id %u is nobody's", g->mt->name, id);
		if (g->last_series != NONE && g->last_series != s &&
		    series_order_of(&g->tw->series[g->last_series], &g->tw->series[s]) >= 0)
			return DIFFERS(g, "%s: series %u comes after series %u", g->mt->name, s, g->last_series);
		for (uint32_t i = 0; i < sb->runs[k].count; i++)
			if (!row_is_right(g, sb, sb->runs[k].start + i, s))
				return false;
	}
	return true;
}

static bool is_meant(const struct looking *g, uint32_t i)
{
	const struct m_key *k = &g->tw->keys[i];
	return k->is_alive && k->time >= g->l->lo && k->time <= g->l->hi && (!g->l->wanted || g->l->wanted[k->series]);
}

#define ENDS 3

/* Of each series the times of its first, or its last, few rows, the outermost first. */
struct ends {
	int64_t time[SERIES_MOST][ENDS];
	uint32_t n[SERIES_MOST];
};

static void ends_add(struct ends *to, uint32_t s, int64_t time, uint32_t most, bool is_last)
{
	uint32_t at = to->n[s];

	if (at < most)
		to->n[s]++;
	while (at && (is_last ? time > to->time[s][at - 1] : time < to->time[s][at - 1])) {
		if (at < most)
			to->time[s][at] = to->time[s][at - 1];
		at--;
	}
	if (at < most)
		to->time[s][at] = time;
}

static bool ends_have(const struct ends *in, uint32_t s, int64_t time)
{
	for (uint32_t i = 0; i < in->n[s]; i++)
		if (in->time[s][i] == time)
			return true;
	return false;
}

/* Which rows have to come where only the ends of series are asked for. */
static void gather_ends(const struct looking *g, struct ends *first, struct ends *last)
{
	memset(first->n, 0, sizeof first->n);
	memset(last->n, 0, sizeof last->n);
	for (uint32_t i = 0; i < g->tw->n; i++) {
		const struct m_key *k = &g->tw->keys[i];
		if (!is_meant(g, i))
			continue;
		ends_add(first, k->series, k->time, g->l->first_n, false);
		ends_add(last, k->series, k->time, g->l->last_n, true);
	}
}

/* Rows that did not come: every row that came is known to be right by now. */
static bool none_is_missing(struct looking *g)
{
	uint64_t want = 0;
	uint32_t missing = NONE;
	static struct ends first, last;
	bool is_cut = g->l->first_n || g->l->last_n;
	char buf[96];

	if (is_cut)
		gather_ends(g, &first, &last);
	for (uint32_t i = 0; i < g->tw->n; i++) {
		if (!is_meant(g, i) || g->tw->keys[i].time < g->l->maybe_before)
			continue;
		uint32_t s = g->tw->keys[i].series;
		if (is_cut && !ends_have(&first, s, g->tw->keys[i].time) && !ends_have(&last, s, g->tw->keys[i].time))
			continue;
		want++;
		if (missing == NONE && g->tw->rows[i].seen != w.looks)
			missing = i;
	}
	if (missing == NONE)
		return true;
	return DIFFERS(g, "%s: %llu rows came, should be %llu; series %u time %lld is missing, which %s", g->mt->name,
		       (unsigned long long)(g->count - g->maybe), (unsigned long long)want, g->tw->keys[missing].series,
		       (long long)g->tw->keys[missing].time, story(g, missing, buf));
}

bool look_same(struct m_table *mt, const struct twin *tw, const struct look *l, char *why, size_t why_size)
{
	struct looking g = {.mt = mt, .tw = tw, .l = l, .last_series = NONE, .why = why, .why_size = why_size};
	uint64_t bits[4096 / 64] = {0};
	struct budget budget;
	struct scan_batch sb;
	struct scan *scan;
	struct err e = {0};
	bool is_right = true;

	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (l->cols & tw->has_cols & mt->twin.has_cols & (UINT32_C(1) << c)) {
			g.which[g.col_n] = c;
			g.cols[g.col_n++] = mt->col_ids[c];
		}
	for (uint32_t s = 0; s < tw->series_n && l->wanted; s++)
		if (l->wanted[s])
			bits[mt->ids[s] / 64] |= UINT64_C(1) << (mt->ids[s] % 64);
	struct scan_spec spec = {.t_lo = l->lo, .t_hi = l->hi, .cols = g.cols, .col_count = g.col_n,
				 .series = l->wanted ? bits : NULL, .series_count = series_count(table_series(mt->t)),
				 .times_wanted = true, .versions_wanted = chance(2), .upto_seq = l->upto_seq,
				 .first_n = l->first_n, .last_n = l->last_n, .keeps_pages = chance(2)};
	g.has_versions = spec.versions_wanted;
	w.looks++;
	budget_init(&budget, (size_t)1 << 30);
	must(scan_open(mt->t, &spec, &budget, &scan, &e), &e, "scan_open");
	int rc = 0;
	while (is_right && (rc = scan_next(scan, &sb, &e)) > 0)
		is_right = batch_is_right(&g, &sb);
	must(MIN(rc, 0), &e, "scan_next");
	scan_close(scan);
	if (atomic_load(&budget.used))
		fail("%s: the scan keeps %zu bytes", mt->name, (size_t)atomic_load(&budget.used));
	w.rows_seen += g.count;
	return is_right && none_is_missing(&g);
}

static void look(struct m_table *mt, const struct look *l)
{
	char why[512];

	if (!look_same(mt, &mt->twin, l, why, sizeof why))
		fail("%s", why);
}

void look_all(struct m_table *mt)
{
	struct look l = {.lo = INT64_MIN, .hi = INT64_MAX, .cols = UINT32_MAX};

	look(mt, &l);
}

void look_everything(void)
{
	for (uint32_t i = 0; i < TABLES; i++)
		look_all(&w.tables[i]);
}

/* How many rows, without asking for times. */
static void look_count(struct m_table *mt, int64_t lo, int64_t hi)
{
	struct scan_spec spec = {.t_lo = lo, .t_hi = hi};
	uint64_t got = 0, want = 0;
	struct scan_batch sb;
	struct scan *scan;
	struct err e = {0};
	int rc;

	must(scan_open(mt->t, &spec, NULL, &scan, &e), &e, "scan_open");
	while ((rc = scan_next(scan, &sb, &e)) > 0)
		got += sb.n;
	must(rc, &e, "scan_next");
	scan_close(scan);
	for (uint32_t i = 0; i < mt->twin.n; i++)
		want += mt->twin.keys[i].is_alive && mt->twin.keys[i].time >= lo && mt->twin.keys[i].time <= hi;
	if (got != want)
		fail("%s: %llu rows from %lld to %lld, should be %llu", mt->name, (unsigned long long)got, (long long)lo,
		     (long long)hi, (unsigned long long)want);
}

/* A few series and a short time, around a row that there is. */
void op_look(void)
{
	struct m_table *mt = some_table();
	const struct twin *tw = &mt->twin;
	bool wanted[SERIES_MOST] = {false};
	struct look l = {.cols = (uint32_t)rnd(UINT32_MAX), .wanted = wanted};

	if (!tw->n)
		return;
	const struct m_key *k = &tw->keys[rnd(tw->n)];
	int64_t span = (int64_t)rnd(chance(10) ? 86400 : chance(2) ? 300 : 1) * NS_PER_S;
	l.lo = k->time - (span ? (int64_t)rnd((uint64_t)span) : 0);
	l.hi = l.lo + span;
	wanted[k->series] = true;
	if (span && chance(3))
		for (uint32_t s = 0; s < tw->series_n; s++)
			wanted[s] |= chance(6);
	if (chance(10))
		l.wanted = NULL;
	if (chance(3))
		l.first_n = (uint32_t)rnd(ENDS + 1);
	if (chance(3))
		l.last_n = (uint32_t)rnd(ENDS + 1);
	if (chance(30))
		look_count(mt, l.lo, l.hi);
	else
		look(mt, &l);
}

void op_look_all(void)
{
	struct m_table *mt = some_table();
	uint64_t version = table_data_version(mt->t);

	look_all(mt);
	if (table_data_version(mt->t) != version)
		fail("%s: looking changed the version of the data", mt->name);
}
