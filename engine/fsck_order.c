/*
 * fsck of files against each other: runs follow each other by record, what was moved is possible, and
 * no identity stands in two tiles of one part of a date.
 *
 * Two tiles can only share an identity in a series that both have and where its time ranges meet, so
 * only there are times read and merged.
 */
#include "engine/fsck_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- runs -------------------------------------------------------------------------------------- */

static int by_kind_and_place(const void *x, const void *y)
{
	const struct catalog_file *a = &((const struct fsck_file *)x)->meta, *b = &((const struct fsck_file *)y)->meta;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind == CATALOG_RUN)
		return (a->seq_lo > b->seq_lo) - (a->seq_lo < b->seq_lo);
	if (a->date != b->date)
		return a->date < b->date ? -1 : 1;
	return a->part != b->part ? (a->part < b->part ? -1 : 1) : (a->t_min_ns > b->t_min_ns) - (a->t_min_ns < b->t_min_ns);
}

static void complain(struct fsck_db *d, const struct fsck_table *t, const struct catalog_file *m, const char *what)
{
	char path[FSCK_PATH];

	snprintf(path, sizeof path, "%s/%s", t->dir, m->path);
	fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, false, 0,
		   "restore the database from a backup, or copy the table's rows into a new one", "%s", what);
}

static void check_runs(struct fsck_db *d, const struct fsck_table *t)
{
	char what[256];

	for (uint32_t i = 0; i < t->file_n && t->files[i].meta.kind == CATALOG_RUN; i++) {
		const struct catalog_file *m = &t->files[i].meta, *before = i ? &t->files[i - 1].meta : NULL;
		if (m->seq_lo > m->seq_hi || m->seq_hi > t->meta.flushed_lsn) {
			snprintf(what, sizeof what, "covers records %" PRIu64 " to %" PRIu64 ", and the table's files reach %" PRIu64,
				 m->seq_lo, m->seq_hi, t->meta.flushed_lsn);
			complain(d, t, m, what);
		} else if (before && before->seq_hi >= m->seq_lo) {
			snprintf(what, sizeof what, "covers records from %" PRIu64 " on, which '%.120s' has, too", m->seq_lo,
				 before->path);
			complain(d, t, m, what);
		}
	}
}

/* ---- what was moved ------------------------------------------------------------------------------ */

struct moving {
	struct fsck_db *d;
	const struct fsck_table *t;
	const struct catalog_file *m;
};

static int check_moved(void *ctx, int32_t date, int64_t upto_ns)
{
	struct moving *mv = ctx;
	int64_t start, end;
	char what[160];

	bool in_range = !__builtin_mul_overflow((int64_t)date, NS_PER_DAY, &start);
	if (in_range && __builtin_add_overflow(start, NS_PER_DAY, &end))
		end = INT64_MAX;
	if (mv->m->kind == CATALOG_TILE)
		snprintf(what, sizeof what, "is a tile, and yet rows are said to have been moved out of it");
	else if (!in_range || start > mv->m->t_max_ns || end <= mv->m->t_min_ns)
		snprintf(what, sizeof what, "has no rows of the date (day %d) of which some are said to have been moved", date);
	else if (upto_ns <= start || upto_ns > end)
		snprintf(what, sizeof what, "rows of day %d are said to have been moved up to a time of another day", date);
	else
		return 0;
	complain(mv->d, mv->t, mv->m, what);
	return 0;
}

/* ---- tiles --------------------------------------------------------------------------------------- */

/* Times of one series: given, free(). */
static int read_times(struct tile *tile, const struct tile_series *s, int64_t **ret, struct err *e)
{
	int64_t *v = malloc((s->rows + 1u) * sizeof *v), *page = malloc(TILE_PAGE_ROWS_MAX * sizeof *page);
	uint64_t row = s->row0, end = s->row0 + s->rows;
	int rc = v && page ? 0 : err_set(e, -ENOMEM, "out of memory");

	while (rc >= 0 && row < end) {
		uint32_t p = tile_page_of_row(tile, row);
		uint64_t first = tile_page_row(tile, p), next = MIN(tile_page_row(tile, p + 1), end);
		rc = tile_read_time(tile, p, page, e);
		for (; rc >= 0 && row < next; row++)
			v[row - s->row0] = page[row - first];
	}
	free(page);
	if (rc < 0) {
		free(v);
		return rc;
	}
	*ret = v;
	return 0;
}

/* 1: they share a time, *ret_time. */
static int share_time(struct tile *a, const struct tile_series *sa, struct tile *b, const struct tile_series *sb,
		      int64_t *ret_time, struct err *e)
{
	int64_t *ta = NULL, *tb = NULL;
	int rc = read_times(a, sa, &ta, e);

	if (rc >= 0)
		rc = read_times(b, sb, &tb, e);
	for (uint32_t i = 0, k = 0; rc == 0 && i < sa->rows && k < sb->rows;) {
		if (ta[i] == tb[k]) {
			*ret_time = ta[i];
			rc = 1;
		} else if (ta[i] < tb[k]) {
			i++;
		} else {
			k++;
		}
	}
	free(ta);
	free(tb);
	return rc;
}

static int check_pair(struct fsck_db *d, const struct fsck_table *t, const struct fsck_file *a, const struct fsck_file *b,
		      struct err *e)
{
	const struct tile_series *sa = tile_series(a->tile), *sb = tile_series(b->tile);
	char what[400];

	for (uint32_t i = 0; i < tile_info(a->tile)->series_count; i++) {
		int64_t at = tile_find_series(b->tile, sa[i].series_id), time = 0;
		if (at < 0 || sa[i].t_min > sb[at].t_max || sa[i].t_max < sb[at].t_min)
			continue;
		int rc = share_time(a->tile, &sa[i], b->tile, &sb[at], &time, e);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			snprintf(what, sizeof what, "has series %u at time %" PRId64 " ns, which '%.200s' has, too",
				 sa[i].series_id, time, b->meta.path);
			complain(d, t, &a->meta, what);
			return 0;
		}
	}
	return 0;
}

static int check_tiles(struct fsck_db *d, const struct fsck_table *t, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < t->file_n && rc >= 0; i++) {
		const struct fsck_file *a = &t->files[i];
		if (a->meta.kind != CATALOG_TILE || !a->tile)
			continue;
		for (uint32_t k = i + 1; k < t->file_n && rc >= 0; k++) {
			const struct fsck_file *b = &t->files[k];
			const struct catalog_file *m = &b->meta;
			if (m->date != a->meta.date)
				break;
			/* Those of unknown parts (fsck_parts.c) are merged when their date is written anew. */
			if (b->tile && a->meta.parts && m->parts && parts_meet(a->meta.part, a->meta.parts, m->part, m->parts))
				rc = check_pair(d, t, a, b, e);
		}
	}
	return rc;
}

int fsck_order(struct fsck_db *d, struct fsck_table *t, struct err *e)
{
	int rc = 0;

	if (t->file_n)
		qsort(t->files, t->file_n, sizeof *t->files, by_kind_and_place);
	check_runs(d, t);
	for (uint32_t i = 0; i < t->file_n && rc >= 0; i++) {
		struct moving mv = {d, t, &t->files[i].meta};
		rc = catalog_moved(d->cat, mv.m->id, check_moved, &mv, e);
	}
	if (rc >= 0)
		rc = fsck_parts(d, t, e);
	if (rc >= 0)
		rc = check_tiles(d, t, e);
	/* Descriptors: the next table needs some, too. */
	for (uint32_t i = 0; i < t->file_n; i++) {
		tile_put(t->files[i].tile);
		t->files[i].tile = NULL;
	}
	return rc;
}
