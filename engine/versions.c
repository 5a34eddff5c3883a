/*
 * versions: rows that bring a version are measured against what is stored before they are taken.
 *
 * All of it is decided here, under the append lock, for every tier: a row that is taken replaces its
 * predecessor whole, one that is refused is never stored, and whoever wrote it learns at once. So what
 * lies in blocks, runs and tiles is in order of arrival, and merging never has to refuse anything.
 *
 * Most rows are new: their time is past the last one of their series, which `last_times` knows. The
 * others are looked up, in file order, in one scan that reads the pages they fall into.
 */
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/scan.h"

/* ---- the last time of each series --------------------------------------------------------------------- */

/* At least the time of the latest row; what is deleted or expired meanwhile may be counted. */
struct last_times {
	uint32_t n, cap;
	int64_t *ns; /* by series id; INT64_MIN: no row */
};

void last_times_destroy(struct last_times *l)
{
	if (!l)
		return;
	free(l->ns);
	free(l);
}

void last_times_forget(struct table *t)
{
	last_times_destroy(t->last);
	t->last = NULL;
}

static int last_reserve(struct last_times *l, uint32_t n)
{
	if (n > l->cap) {
		uint32_t cap = MAX(n, MAX(l->cap * 2, 64u));
		int64_t *p = realloc(l->ns, cap * sizeof *p);
		if (!p)
			return -ENOMEM;
		l->ns = p;
		l->cap = cap;
	}
	for (; l->n < n; l->n++)
		l->ns[l->n] = INT64_MIN;
	return 0;
}

static int last_of_files(struct table *t, struct last_times *l, struct err *e)
{
	struct file_set *set = table_pin_files(t);
	int rc = 0;

	for (uint32_t i = 0; i < set->n && rc >= 0; i++) {
		struct tile *tile;
		rc = file_tile(set->v[i], t, &tile, e);
		for (uint32_t k = 0; rc >= 0 && k < tile_info(tile)->series_count; k++) {
			const struct tile_series *s = &tile_series(tile)[k];
			l->ns[s->series_id] = MAX(l->ns[s->series_id], s->t_max);
		}
	}
	file_set_put(set);
	return rc;
}

/* Built at the first row with a version: tables without any pay nothing. */
static int last_times_build(struct table *t, struct err *e)
{
	struct last_times *l = calloc(1, sizeof *l);
	int rc = l ? last_reserve(l, series_count(t->series)) : -ENOMEM;

	if (rc < 0)
		err_set(e, rc, "out of memory");
	else
		rc = last_of_files(t, l, e);
	for (const struct block *b = rc >= 0 ? t->mem.first : NULL; b; b = b->next)
		for (uint32_t i = 0; i < b->n; i++)
			l->ns[b->series[i]] = MAX(l->ns[b->series[i]], b->time_ns[i]);
	if (rc < 0)
		last_times_destroy(l);
	else
		t->last = l;
	return rc;
}

void last_times_note(struct table *t, const struct batch *b)
{
	struct last_times *l = t->last;

	if (!l)
		return;
	/* Out of memory: forgotten as a whole, and built again when it is needed. */
	if (last_reserve(l, series_count(t->series)) < 0) {
		last_times_forget(t);
		return;
	}
	for (uint32_t i = 0; i < b->n; i++)
		l->ns[b->series[i]] = MAX(l->ns[b->series[i]], b->time_ns[i]);
}

/* ---- resolving a batch ----------------------------------------------------------------------------------- */

struct row_ref {
	uint32_t rank, row;
	int64_t t;
};

/* What is stored of one identity at the moment. */
struct stored {
	bool exists;
	int64_t version;
	const struct scan_batch *disk; /* values in the scan's row 0; NULL: in batch row `row` */
	uint32_t row;
};

struct resolving {
	struct table *table;
	struct table_batch *tb;
	struct series_order *order; /* NULL where nothing is looked up: by series id will do */
	struct row_ref *rows; /* in file order, then time, then arrival */
	uint8_t *keep;        /* by row of the batch */
	uint32_t *fields, field_n; /* columns of the scan */
	int64_t *slot;        /* by field: where the batch has it, or -1 */
	struct scan *scan;    /* NULL: every row is new */
	uint32_t conflict_cap;
};

static int by_place(const void *x, const void *y)
{
	const struct row_ref *a = x, *b = y;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->t != b->t)
		return a->t < b->t ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static bool same_value(const struct col *a, uint32_t i, const struct col *b, uint32_t k)
{
	bool has_a = a && (!a->valid || a->valid[i]), has_b = b && (!b->valid || b->valid[k]);

	if (!has_a || !has_b)
		return has_a == has_b;
	switch (a->type) {
	case COL_VARCHAR:
		return str_eq(a->str[i], b->str[k]);
	case COL_BOOLEAN:
		return a->b8[i] == b->b8[k];
	default:
		return a->i64[i] == b->i64[k]; /* of doubles, the bits */
	}
}

static bool same_values(const struct resolving *r, const struct stored *st, uint32_t row)
{
	const struct batch *b = r->tb->batch;

	for (uint32_t f = 0; f < r->field_n; f++) {
		const struct col *mine = r->slot[f] < 0 ? NULL : &b->cols[r->slot[f]].col;
		const struct col *theirs = st->disk ? &st->disk->cols[f] : mine;
		if (!same_value(mine, row, theirs, st->disk ? 0 : st->row))
			return false;
	}
	return true;
}

static int refuse(struct resolving *r, uint32_t row, int64_t existing, bool is_same)
{
	struct table_batch *tb = r->tb;

	if (tb->conflict_n == r->conflict_cap) {
		uint32_t cap = MAX(r->conflict_cap * 2, 16u);
		void *p = realloc(tb->conflicts, cap * sizeof *tb->conflicts);
		if (!p)
			return -ENOMEM;
		tb->conflicts = p;
		r->conflict_cap = cap;
	}
	tb->conflicts[tb->conflict_n++] = (struct version_conflict){row, existing, is_same};
	r->keep[row] = 0;
	return 0;
}

/* The rules, for one row against what is stored; what is stored may be the row then. */
static int measure(struct resolving *r, struct stored *st, uint32_t row)
{
	int64_t v = r->tb->batch->version[row];
	bool same = st->exists && same_values(r, st, row);

	if (st->exists && v < st->version)
		return refuse(r, row, st->version, false);
	if (st->exists && v == st->version) {
		r->keep[row] = 0;
		return same ? 0 : refuse(r, row, st->version, true);
	}
	*st = (struct stored){.exists = true, .version = v, .row = row};
	return 0;
}

/* All rows of one identity, in order of arrival. */
static int resolve_identity(struct resolving *r, const struct row_ref *v, uint32_t n, struct err *e)
{
	uint32_t id = r->tb->batch->series[v->row];
	struct stored st = {0};
	struct scan_batch found;
	int rc = 0;

	if (r->scan && v->t <= r->table->last->ns[id])
		rc = scan_find(r->scan, id, v->t, &found, e);
	if (rc > 0)
		st = (struct stored){.exists = true, .version = found.version[0] ? found.version[0] : 1,
				     .disk = &found};
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = measure(r, &st, v[i].row);
	return rc;
}

/* A scan over the series and times that have to be looked up, if there are any. */
static int open_scan(struct resolving *r, struct err *e)
{
	const struct batch *b = r->tb->batch;
	struct table *t = r->table;
	uint32_t bits = series_count(t->series);
	uint64_t *wanted = NULL;
	struct scan_spec spec = {.t_lo = INT64_MAX, .t_hi = INT64_MIN, .cols = r->fields, .col_count = r->field_n,
				 .series_count = bits, .times_wanted = true, .versions_wanted = true};

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->time_ns[i] > t->last->ns[b->series[i]])
			continue;
		if (!wanted && !(wanted = calloc(bits / 64 + 1, sizeof *wanted)))
			return -ENOMEM;
		wanted[b->series[i] / 64] |= UINT64_C(1) << (b->series[i] % 64);
		spec.t_lo = MIN(spec.t_lo, b->time_ns[i]);
		spec.t_hi = MAX(spec.t_hi, b->time_ns[i]);
	}
	if (!wanted)
		return 0;
	spec.series = wanted;
	int rc = scan_open(t, &spec, NULL, &r->scan, e);
	free(wanted);
	return rc;
}

static int by_row(const void *x, const void *y)
{
	const struct version_conflict *a = x, *b = y;
	return (a->row > b->row) - (a->row < b->row);
}

/* Every measure column there is, those included that only this batch names so far. */
static int list_fields(struct resolving *r)
{
	const struct batch *b = r->tb->batch;
	const struct series_set *set = r->table->series;
	uint32_t n = series_column_count(set);

	r->fields = malloc((n + 1) * sizeof *r->fields);
	r->slot = malloc((n + 1) * sizeof *r->slot);
	if (!r->fields || !r->slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		if (series_column(set, i)->kind == COLKIND_DIMENSION)
			continue;
		int64_t slot = -1;
		for (uint32_t c = 0; c < b->col_count && slot < 0; c++)
			if (b->cols[c].col_id == i && b->cols[c].has_values)
				slot = c;
		r->slot[r->field_n] = slot;
		r->fields[r->field_n++] = i;
	}
	return 0;
}

static int resolve(struct resolving *r, struct err *e)
{
	const struct batch *b = r->tb->batch;
	int rc = list_fields(r);

	r->rows = malloc((b->n + 1) * sizeof *r->rows);
	r->keep = malloc(b->n + 1);
	if (rc >= 0 && (!r->rows || !r->keep))
		rc = -ENOMEM;
	if (rc >= 0)
		rc = open_scan(r, e);
	/* Finding the order costs as much as there are series: rows that are all new do without. */
	if (rc >= 0 && r->scan)
		rc = table_order(r->table, &r->order);
	if (rc < 0)
		return rc;
	memset(r->keep, 1, b->n);
	for (uint32_t i = 0; i < b->n; i++)
		r->rows[i] = (struct row_ref){r->order ? r->order->rank[b->series[i]] : b->series[i], i, b->time_ns[i]};
	qsort(r->rows, b->n, sizeof *r->rows, by_place);
	for (uint32_t i = 0, k; i < b->n && rc >= 0; i = k) {
		for (k = i + 1; k < b->n && r->rows[k].rank == r->rows[i].rank && r->rows[k].t == r->rows[i].t; k++)
			;
		rc = resolve_identity(r, &r->rows[i], k - i, e);
	}
	return rc;
}

int versions_resolve(struct table *t, struct table_batch *tb, struct err *e)
{
	struct resolving r = {.table = t, .tb = tb};
	int rc = 0;

	tb->conflicts = NULL;
	tb->conflict_n = 0;
	if (!t->last)
		rc = last_times_build(t, e);
	if (rc >= 0)
		rc = last_reserve(t->last, series_count(t->series));
	if (rc >= 0)
		rc = resolve(&r, e);
	if (rc >= 0) {
		if (tb->conflict_n)
			qsort(tb->conflicts, tb->conflict_n, sizeof *tb->conflicts, by_row);
		batch_keep_rows(tb->batch, r.keep);
	} else {
		free(tb->conflicts);
		tb->conflicts = NULL;
		tb->conflict_n = 0;
	}
	scan_close(r.scan);
	series_order_put(r.order);
	free(r.rows);
	free(r.keep);
	free(r.fields);
	free(r.slot);
	return rc == -ENOMEM ? err_set(e, rc, "out of memory for a batch of table '%s'", table_name(t)) : rc;
}
