#include "engine/gather.h"

#include <stdio.h>
#include <stdlib.h>

#define PART_ROWS (4u << 20) /* rows of a date above which it is split into parts */
#define PARTS_MAX 64

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

uint32_t gather_parts(const struct table *t, const struct file_set *set, int32_t date, uint64_t rows)
{
	uint64_t most = t->db->en->opt.part_rows ? t->db->en->opt.part_rows : PART_ROWS;
	uint32_t parts = 0;

	for (uint32_t i = 0; i < set->n; i++)
		if (set->v[i]->meta.kind == CATALOG_TILE && set->v[i]->meta.date == date)
			parts = MAX(parts, set->v[i]->meta.parts);
	if (parts)
		return parts; /* fixed at the date's first publication */
	for (parts = 1; parts < PARTS_MAX && rows / parts > most; parts *= 2)
		;
	return parts;
}

/*
 * The part of a series: its dimensions hashed. Written into directory names, so the hash is a fixed
 * one (CRC-32C over name, 0, value, 0 of each dimension by name) and not the one for memory.
 */
uint32_t part_of_series(const struct series_set *set, uint32_t id, uint32_t parts)
{
	uint32_t crc = 0, n = series_column_count(set);
	struct str last = {"", 0};

	/* Dimensions in name order: few per series, so the next larger name is looked for each time. */
	for (;;) {
		const struct column *best = NULL;
		for (uint32_t c = 0; c < n; c++) {
			const struct column *col = series_column(set, c);
			if (col->kind != COLKIND_DIMENSION || series_dim_code(set, id, c) == DIM_ABSENT)
				continue;
			if (str_cmp(col->name, last) > 0 && (!best || str_cmp(col->name, best->name) < 0))
				best = col;
		}
		if (!best)
			return crc % parts;
		struct str v = series_dict_value(set, best->id, series_dim_code(set, id, best->id));
		crc = crc32c(crc, best->name.ptr, best->name.len);
		crc = crc32c(crc, "", 1);
		crc = crc32c(crc, v.ptr, v.len);
		crc = crc32c(crc, "", 1);
		last = best->name;
	}
}

int gather_part_series(const struct gather *g, uint32_t part, uint64_t **ret, uint32_t *ret_n)
{
	uint32_t n = series_count(g->table->series);
	uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (part_of_series(g->table->series, i, g->parts) == part)
			bits[i / 64] |= UINT64_C(1) << (i % 64);
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
