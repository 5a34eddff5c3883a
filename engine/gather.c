#include "engine/gather.h"

#include <stdio.h>
#include <stdlib.h>

#define PART_ROWS (4u << 20) /* rows of a date above which it is split into parts */

bool gather_has_run(const struct gather *g, struct file *f)
{
	const struct days *days;

	if (f->meta.kind != CATALOG_RUN || f->meta.t_min_ns > g->hi || f->meta.t_max_ns < g->lo ||
	    file_moved_upto(f, g->date) > g->hi)
		return false;
	/* One that cannot be read is concerned: it may hold older rows than those that would move. */
	return file_days(f, g->table, &days, NULL) < 0 || days_find(days, g->date);
}

/* Has the tile rows of that series between lo and hi (by the series' range)? */
static bool tile_has(struct tile *tile, uint32_t series_id, int64_t lo, int64_t hi)
{
	int64_t at = lo > hi ? -1 : tile_find_series(tile, series_id);

	return at >= 0 && tile_series(tile)[at].t_min <= hi && tile_series(tile)[at].t_max >= lo;
}

static int meets_run(const struct gather *g, struct file *f, struct tile *tile, struct err *e)
{
	struct tile *run;
	int rc = file_tile(f, g->table, &run, e);

	if (rc < 0)
		return rc;
	const struct tile_series *rs = tile_series(run);
	int64_t lo = MAX(g->lo, file_moved_upto(f, g->date));
	for (uint32_t k = 0; k < tile_info(run)->series_count; k++)
		if (tile_has(tile, rs[k].series_id, MAX(rs[k].t_min, lo), MIN(rs[k].t_max, g->hi)))
			return 1;
	return 0;
}

static int meets_block(const struct gather *g, const struct block_view *v, struct tile *tile, struct err *e)
{
	const struct block_index *ix;
	bool given;
	int rc;

	if (v->t_min > g->hi || v->t_max < g->lo)
		return 0;
	rc = block_index_get(v, NULL, 0, &ix, &given);
	if (rc < 0)
		return err_set(e, rc, "out of memory for reading table '%s'", table_name(g->table));
	for (uint32_t k = 0; k < ix->group_count && !rc; k++) {
		const struct block_group *b = &ix->groups[k];
		rc = tile_has(tile, b->series_id, MAX(b->t_min, g->lo), MIN(b->t_max, g->hi));
	}
	if (given)
		block_index_destroy((struct block_index *)ix);
	return rc;
}

int gather_meets_tile(const struct gather *g, struct tile *tile, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < g->set->n && !rc; i++)
		if (gather_has_run(g, g->set->v[i]))
			rc = meets_run(g, g->set->v[i], tile, e);
	for (uint32_t i = 0; i < g->view_n && !rc; i++)
		rc = meets_block(g, &g->views[i], tile, e);
	return rc;
}

/* Are some of the times within those of the tile's series at index i? */
static bool hides_series(const struct tile_series *ts, const struct interval *v, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++)
		if (v[k].lo <= ts->t_max && v[k].hi >= ts->t_min)
			return true;
	return false;
}

/*
 * Does the tombstone hide rows of the tile? By times of series: yes too often, never no. Of tombstone and
 * tile, what names fewer series is gone through.
 */
static bool hides_rows(const struct tomb *tomb, struct tile *tile)
{
	const struct tile_series *ts = tile_series(tile);
	uint32_t have = tile_info(tile)->series_count, n;
	const struct interval *v;
	uint64_t named = 0;

	for (uint32_t i = 0; i < tomb->group_count && named <= have / 16; i++)
		named += (uint64_t)tomb->groups[i].series_hi - tomb->groups[i].series_lo + 1;
	for (uint32_t i = 0; i < have && named > have / 16; i++)
		if (tomb_find(tomb, ts[i].series_id, &v, &n) && hides_series(&ts[i], v, n))
			return true;
	for (uint32_t i = 0; i < tomb->group_count && named <= have / 16; i++) {
		const struct tomb_group *g = &tomb->groups[i];
		for (uint64_t id = g->series_lo; id <= g->series_hi; id++) {
			int64_t at = tile_find_series(tile, (uint32_t)id);
			if (at >= 0 && hides_series(&ts[at], tomb->times + g->first, g->count))
				return true;
		}
	}
	return false;
}

int gather_is_erased(struct table *t, const struct tomb_set *tombs, struct file *f, struct err *e)
{
	uint64_t known = MAX(f->meta.seq_hi, f->meta.erased_seq);
	struct tile *tile;

	for (uint32_t i = tomb_set_from(tombs, known); tombs && i < tombs->n; i++) {
		const struct tomb *tomb = tombs->v[i];
		if (tomb->t_min > f->meta.t_max_ns || tomb->t_max < f->meta.t_min_ns)
			continue;
		int rc = file_tile(f, t, &tile, e);
		if (rc < 0)
			return rc;
		if (hides_rows(tomb, tile))
			return 1;
	}
	return 0;
}

static uint64_t part_rows(const struct table *t)
{
	uint64_t most = t->db->en->opt.part_rows;

	return most ? most : PART_ROWS;
}

uint32_t gather_split(const struct table *t, uint64_t rows)
{
	uint32_t parts = 1;

	while (parts < SERIES_PARTS_MAX && rows / parts > part_rows(t))
		parts *= 2;
	return parts;
}

/* How the tiles of a date say that it is split; 0: there are none, or some that do not know. */
static uint32_t parts_now(const struct file_set *set, int32_t date, bool *ret_mixed)
{
	uint32_t parts = 0;
	bool any = false;

	*ret_mixed = false;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		if (m->kind != CATALOG_TILE || m->date != date)
			continue;
		*ret_mixed |= !m->parts || (any && m->parts != parts);
		parts = MAX(parts, m->parts);
		any = true;
	}
	return parts;
}

uint32_t gather_parts(const struct table *t, const struct file_set *set, int32_t date, uint64_t rows)
{
	bool is_mixed;
	uint32_t parts = parts_now(set, date, &is_mixed);

	return parts ? parts : gather_split(t, rows);
}

bool gather_is_mixed(const struct file_set *set, int32_t date)
{
	bool is_mixed;

	(void)!parts_now(set, date, &is_mixed);
	return is_mixed;
}

bool gather_must_split(const struct table *t, const struct file_set *set, int32_t date, uint64_t rows)
{
	bool is_mixed;
	uint32_t parts = parts_now(set, date, &is_mixed);

	return is_mixed || (parts && parts < SERIES_PARTS_MAX && rows / parts / GATHER_OUTGROWN >= part_rows(t));
}

int gather_part_series(const struct gather *g, uint32_t part, uint64_t **ret, uint32_t *ret_n)
{
	uint32_t n = series_count(g->table->series);
	uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);
	struct series_parts *where = g->where ? series_parts_get(g->where) : table_parts(g->table);
	int rc = bits ? series_parts_select(where, part, g->parts, n, bits) : -ENOMEM;

	series_parts_put(where);
	if (rc < 0) {
		free(bits);
		return rc;
	}
	*ret = bits;
	*ret_n = n;
	return 0;
}

void gather_part_dir(char to[PART_DIR_MAX], int32_t date, uint32_t part)
{
	char text[16];

	date_format_days(text, date);
	snprintf(to, PART_DIR_MAX, DIR_TILES "/ts_date=%.10s/ts_part=%02u", text, part);
}
