/*
 * migrate: rows older than the memory retention leave the runs and become tiles.
 *
 * The unit is a date. For a date that is due, all runs' rows of it that are old enough go into one
 * new tile per part, together with those tiles of the part that hold some of the same identities or
 * are small (choose_tiles()). So a part never holds one identity twice, and its number of tiles
 * grows with the logarithm of its rows. The runs keep the rest of their rows: "moved" says which of a
 * date they no longer show; a run with nothing left to show is dropped.
 *
 * Because every migration of a date takes all runs there are, tiles are always older than what runs
 * still show of that date: the order in which scans lay rows over each other.
 *
 * A date with few due rows beside much that is stored waits, until the due rows are a tenth of it or
 * MIGRATE_WAIT_NS has passed: rewriting costs what is stored, and late rows trickle.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/scan.h"

#define PART_ROWS  (4u << 20) /* rows of a date above which it is split into parts */
#define PARTS_MAX  64

/* ---- what runs hold of each date ------------------------------------------------------------------------ */

struct date_rows {
	int32_t date;
	uint64_t due;    /* rows in runs, not moved, old enough: an estimate */
	uint64_t stored; /* rows in tiles */
};

struct date_list {
	struct date_rows *v; /* by date */
	uint32_t n, cap;
};

static struct date_rows *date_at(struct date_list *l, int32_t date)
{
	uint32_t at = 0;

	while (at < l->n && l->v[at].date < date)
		at++;
	if (at < l->n && l->v[at].date == date)
		return &l->v[at];
	if (l->n == l->cap) {
		uint32_t cap = MAX(l->cap * 2, 16u);
		struct date_rows *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	memmove(&l->v[at + 1], &l->v[at], (l->n - at) * sizeof *l->v);
	l->n++;
	l->v[at] = (struct date_rows){.date = date};
	return &l->v[at];
}

static int64_t day_start(int32_t date)
{
	return date * NS_PER_DAY;
}

static int64_t day_end(int32_t date) /* its last nanosecond */
{
	return date >= INT64_MAX / NS_PER_DAY ? INT64_MAX : (date + 1) * NS_PER_DAY - 1;
}

static int64_t moved_upto(const struct file *f, int32_t date)
{
	for (uint32_t i = 0; i < f->moved_count; i++)
		if (f->moved[i].date == date)
			return f->moved[i].upto_ns;
	return INT64_MIN;
}

/* Rows of a series that spread over a range are taken as spread evenly: good enough to decide by. */
static int add_due(struct date_list *l, const struct file *f, const struct tile_series *s, int64_t cut)
{
	int32_t d0 = day_of_ns(s->t_min), d1 = day_of_ns(MIN(s->t_max, cut - 1));

	for (int32_t d = d0; d <= d1; d++) {
		int64_t lo = MAX(MAX(s->t_min, day_start(d)), moved_upto(f, d));
		int64_t hi = MIN(MIN(s->t_max, day_end(d)), cut - 1);
		if (lo > hi)
			continue;
		double share = s->t_max > s->t_min ? ((double)(hi - lo) + 1) / ((double)(s->t_max - s->t_min) + 1) : 1;
		struct date_rows *r = date_at(l, d);
		if (!r)
			return -ENOMEM;
		/* At least one: a date with a due row must not be taken for empty. */
		r->due += MAX((uint64_t)(share * s->rows), 1u);
	}
	return 0;
}

static int survey(struct table *t, const struct file_set *set, int64_t cut, struct date_list *l, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < set->n && rc >= 0; i++) {
		struct file *f = set->v[i];
		struct tile *tile;
		if (f->meta.kind == CATALOG_TILE || f->meta.t_min_ns >= cut)
			continue;
		rc = file_tile(f, t, &tile, e);
		if (rc < 0)
			break;
		const struct tile_series *s = tile_series(tile);
		for (uint32_t k = 0; k < tile_info(tile)->series_count && rc >= 0; k++)
			if (s[k].t_min < cut)
				rc = add_due(l, f, &s[k], cut);
	}
	for (uint32_t i = 0; i < set->n && rc >= 0; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		if (m->kind != CATALOG_TILE)
			continue;
		for (uint32_t k = 0; k < l->n; k++)
			if (l->v[k].date == m->date)
				l->v[k].stored += m->rows;
	}
	return rc;
}

/* ---- one date ---------------------------------------------------------------------------------------------- */

struct job {
	struct table *t;
	struct file_set *set;
	int32_t date;
	int64_t lo, hi; /* times taken, inclusive */
	uint32_t parts;
	uint64_t due; /* estimate */
	uint32_t *fields, field_n;

	struct file **add;     /* new tiles, then runs as they are afterwards */
	uint32_t add_n, new_tiles;
	uint64_t *drop;        /* ids */
	uint32_t drop_n;
	struct file **gone;    /* files to unlink after the commit */
	uint32_t gone_n;
};

static bool run_concerned(const struct job *j, const struct file *f)
{
	return f->meta.kind == CATALOG_RUN && f->meta.t_min_ns <= j->hi && f->meta.t_max_ns >= j->lo &&
	       moved_upto(f, j->date) <= j->hi;
}

/*
 * The part of a series: its dimensions hashed. Written into directory names, so the hash is a fixed
 * one (CRC-32C over name, 0, value, 0 of each dimension by name) and not the one for memory.
 */
static uint32_t part_of_series(const struct series_set *set, uint32_t id, uint32_t parts)
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

static int part_bits(const struct job *j, uint32_t part, uint64_t **ret, uint32_t *ret_n)
{
	uint32_t n = series_count(j->t->series);
	uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);

	if (!bits)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (part_of_series(j->t->series, i, j->parts) == part)
			bits[i / 64] |= UINT64_C(1) << (i % 64);
	*ret = bits;
	*ret_n = n;
	return 0;
}

/* May the tile hold an identity that a run brings? By series and time ranges: yes too often, never no. */
static int tile_meets_runs(const struct job *j, struct tile *tile, struct err *e)
{
	const struct tile_series *ts = tile_series(tile);

	for (uint32_t i = 0; i < j->set->n; i++) {
		struct file *f = j->set->v[i];
		struct tile *run;
		if (!run_concerned(j, f))
			continue;
		int rc = file_tile(f, j->t, &run, e);
		if (rc < 0)
			return rc;
		const struct tile_series *rs = tile_series(run);
		int64_t lo = MAX(j->lo, moved_upto(f, j->date));
		for (uint32_t k = 0; k < tile_info(run)->series_count; k++) {
			if (rs[k].t_max < lo || rs[k].t_min > j->hi)
				continue;
			int64_t at = tile_find_series(tile, rs[k].series_id);
			if (at >= 0 && ts[at].t_min <= MIN(rs[k].t_max, j->hi) &&
			    ts[at].t_max >= MAX(rs[k].t_min, lo))
				return 1;
		}
	}
	return 0;
}

static int by_rows(const void *x, const void *y)
{
	uint64_t a = (*(struct file *const *)x)->meta.rows, b = (*(struct file *const *)y)->meta.rows;
	return (a > b) - (a < b);
}

/*
 * Which tiles of the part are written anew together with what comes in: those that may hold an
 * identity of it, those that are small beside it, and whole groups of a size once there are
 * GROUP_TILES of them. So a part holds O(log rows) tiles and a row is rewritten O(log rows) times.
 * v has the part's tiles and is cut down to the chosen ones.
 */
#define SMALL_RATIO 10
#define GROUP_RATIO 4
#define GROUP_TILES 4

static int choose_tiles(const struct job *j, struct file **v, uint32_t *n, struct err *e)
{
	uint64_t sum = j->due / j->parts + 1;
	uint32_t small = 0, k = 0;

	qsort(v, *n, sizeof *v, by_rows);
	while (small < *n) {
		uint32_t end = small;
		if (v[small]->meta.rows <= SMALL_RATIO * sum) {
			sum += v[small++]->meta.rows;
			continue;
		}
		while (end < *n && v[end]->meta.rows <= GROUP_RATIO * v[small]->meta.rows)
			end++;
		if (end - small < GROUP_TILES)
			break;
		while (small < end)
			sum += v[small++]->meta.rows;
	}
	for (uint32_t i = 0; i < *n; i++) {
		struct tile *tile;
		int rc = file_tile(v[i], j->t, &tile, e);
		if (rc >= 0)
			rc = i < small ? 1 : tile_meets_runs(j, tile, e);
		if (rc < 0)
			return rc;
		if (rc > 0)
			v[k++] = v[i];
	}
	*n = k;
	return 0;
}

static int migrate_part(struct job *j, uint32_t part, struct err *e)
{
	struct table *t = j->t;
	struct file **in = malloc((j->set->n + 1) * sizeof *in);
	struct scan *scan = NULL;
	struct tile *tile = NULL;
	uint64_t *bits = NULL;
	uint32_t bit_n = 0, n = 0, tiles_in;
	char dir[64], date[16];
	int rc = in ? 0 : -ENOMEM;

	struct rewrite r = {.table = t, .kind = CATALOG_TILE, .dir = dir};
	r.meta.seq_lo = UINT64_MAX;
	for (uint32_t i = 0; i < j->set->n && rc >= 0; i++) {
		const struct catalog_file *m = &j->set->v[i]->meta;
		if (m->kind == CATALOG_TILE && m->date == j->date && m->part == part)
			in[n++] = j->set->v[i];
	}
	if (rc >= 0)
		rc = choose_tiles(j, in, &n, e);
	if (rc >= 0 && j->parts > 1)
		rc = part_bits(j, part, &bits, &bit_n);
	if (rc < 0)
		goto out;
	tiles_in = n;
	for (uint32_t i = 0; i < j->set->n; i++)
		if (run_concerned(j, j->set->v[i]))
			in[n++] = j->set->v[i];
	for (uint32_t i = 0; i < n; i++) {
		file_get(in[i]); /* the scan's */
		r.meta.seq_lo = MIN(r.meta.seq_lo, in[i]->meta.seq_lo);
		r.meta.seq_hi = MAX(r.meta.seq_hi, in[i]->meta.seq_hi);
	}
	/* A retention raised since can have left tile rows past today's cut: all of a tile's rows are
	 * taken, and of the runs' only those that are due. */
	struct scan_spec spec = {.t_lo = j->lo, .t_hi = day_end(j->date), .cols = j->fields,
				 .col_count = j->field_n, .series = bits, .series_count = bit_n,
				 .times_wanted = true};
	rc = scan_open_sources(t, &spec, in, n, NULL, 0, NULL, &scan, e);
	if (rc < 0)
		goto out;
	scan_limit_runs(scan, j->hi);
	date_format_days(date, j->date);
	snprintf(dir, sizeof dir, DIR_TILES "/ts_date=%.10s/ts_part=%02u", date, part);
	r.meta.date = j->date;
	r.meta.part = part;
	r.meta.parts = j->parts;
	r.meta.generation = t->generation++;
	rc = rewrite_file(&r, scan, j->fields, j->field_n, &tile, e);
	if (rc < 0)
		goto out;
	/* The scan has put its references; the set still holds them. */
	for (uint32_t i = 0; i < tiles_in; i++) {
		j->drop[j->drop_n++] = in[i]->meta.id;
		j->gone[j->gone_n++] = in[i];
	}
	if (tile) {
		struct file *f = file_create(&r.meta, tile);
		if (!f) {
			tile_put(tile);
			rc = -ENOMEM;
			goto out;
		}
		j->add[j->add_n++] = f;
		j->new_tiles++;
	}
out:
	scan_close(scan);
	free(bits);
	free(in);
	return rc == -ENOMEM ? err_set(e, rc, "out of memory for migrating table '%s'", table_name(t)) : rc;
}

/* Does the run still show a row, were its rows of j->date up to j->hi gone? By ranges per series. */
static bool run_is_spent(const struct job *j, const struct file *f, struct tile *tile)
{
	const struct tile_series *s = tile_series(tile);

	for (uint32_t k = 0; k < tile_info(tile)->series_count; k++)
		for (int32_t d = day_of_ns(s[k].t_min); d <= day_of_ns(s[k].t_max); d++) {
			int64_t upto = d == j->date ? MAX(moved_upto(f, d), j->hi + 1) : moved_upto(f, d);
			if (upto <= MIN(s[k].t_max, day_end(d)))
				return false;
		}
	return true;
}

/* The same run with the date marked as moved. */
static struct file *run_after(const struct job *j, struct file *f, struct tile *tile)
{
	struct file *next = file_create(&f->meta, tile_get(tile));
	uint32_t k = 0;

	if (!next)
		return NULL;
	next->moved = malloc((f->moved_count + 1) * sizeof *next->moved);
	if (!next->moved) {
		file_put(next);
		return NULL;
	}
	bool is_in = false;
	for (uint32_t i = 0; i <= f->moved_count; i++) {
		if (!is_in && (i == f->moved_count || f->moved[i].date >= j->date)) {
			next->moved[k++] = (struct moved){j->date, j->hi + 1};
			is_in = true;
			if (i < f->moved_count && f->moved[i].date == j->date)
				continue;
		}
		if (i < f->moved_count)
			next->moved[k++] = f->moved[i];
	}
	next->moved_count = k;
	return next;
}

static int plan_runs(struct job *j, struct err *e)
{
	for (uint32_t i = 0; i < j->set->n; i++) {
		struct file *f = j->set->v[i];
		struct tile *tile;
		if (!run_concerned(j, f))
			continue;
		int rc = file_tile(f, j->t, &tile, e);
		if (rc < 0)
			return rc;
		j->drop[j->drop_n++] = f->meta.id;
		if (run_is_spent(j, f, tile)) {
			j->gone[j->gone_n++] = f;
			continue;
		}
		struct file *next = run_after(j, f, tile);
		if (!next)
			return err_set(e, -ENOMEM, "out of memory for migrating table '%s'", table_name(j->t));
		j->add[j->add_n++] = next;
	}
	return 0;
}

static int commit_job(struct job *j, struct err *e)
{
	struct catalog *cat = j->t->db->cat;
	int rc = catalog_begin(cat, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < j->new_tiles && rc >= 0; i++)
		rc = catalog_file_add(cat, &j->add[i]->meta, e);
	for (uint32_t i = j->new_tiles; i < j->add_n && rc >= 0; i++)
		rc = catalog_moved_set(cat, j->add[i]->meta.id, j->date, j->hi + 1, e);
	for (uint32_t i = 0; i < j->gone_n && rc >= 0; i++)
		rc = catalog_file_remove(cat, j->gone[i]->meta.id, e);
	if (rc < 0) {
		catalog_abort(cat);
		return rc;
	}
	FAULT("migrate.commit");
	return catalog_commit(cat, e);
}

static uint32_t parts_for(const struct file_set *set, int32_t date, uint64_t due)
{
	uint32_t parts = 0;

	for (uint32_t i = 0; i < set->n; i++)
		if (set->v[i]->meta.kind == CATALOG_TILE && set->v[i]->meta.date == date)
			parts = MAX(parts, set->v[i]->meta.parts);
	if (parts)
		return parts; /* fixed at the date's first publication */
	for (parts = 1; parts < PARTS_MAX && due / parts > PART_ROWS; parts *= 2)
		;
	return parts;
}

static int migrate_date(struct table *t, struct file_set *set, const struct date_rows *dr, int64_t cut,
			struct err *e)
{
	struct job j = {.t = t, .set = set, .date = dr->date, .due = dr->due};
	int rc;

	j.lo = day_start(dr->date);
	j.hi = MIN(day_end(dr->date), cut - 1);
	j.parts = parts_for(set, dr->date, dr->due);
	j.add = calloc(set->n + j.parts + 1, sizeof *j.add);
	j.drop = calloc(set->n + 1, sizeof *j.drop);
	j.gone = calloc(set->n + 1, sizeof *j.gone);
	rc = j.add && j.drop && j.gone ? table_field_ids(t, &j.fields, &j.field_n) : -ENOMEM;
	if (rc < 0)
		err_set(e, rc, "out of memory for migrating table '%s'", table_name(t));
	for (uint32_t p = 0; p < j.parts && rc >= 0; p++)
		rc = migrate_part(&j, p, e);
	if (rc >= 0)
		rc = plan_runs(&j, e);
	if (rc >= 0)
		rc = commit_job(&j, e);
	if (rc >= 0) {
		FAULT("migrate.swap");
		pthread_mutex_lock(&t->mu);
		rc = file_set_swap(t, j.add, j.add_n, j.drop, j.drop_n);
		pthread_mutex_unlock(&t->mu);
		if (rc < 0)
			err_set(e, rc, "out of memory for migrating table '%s'", table_name(t));
		else
			for (uint32_t i = 0; i < j.gone_n; i++)
				file_unlink(t, j.gone[i]);
	} else {
		for (uint32_t i = 0; i < j.new_tiles; i++)
			file_unlink(t, j.add[i]);
	}
	if (rc < 0)
		for (uint32_t i = 0; i < j.add_n; i++)
			file_put(j.add[i]);
	free(j.add);
	free(j.drop);
	free(j.gone);
	free(j.fields);
	return rc;
}

/* ---- a table --------------------------------------------------------------------------------------------------- */

static int64_t memory_edge(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	int64_t cut = settings_memory_edge(&t->settings, clock_now_ns());
	pthread_mutex_unlock(&t->mu);
	return cut;
}

int table_migrate(struct table *t, bool force, bool *ret_worked, struct err *e)
{
	struct date_list l = {0};
	int64_t cut = memory_edge(t);

	*ret_worked = false;
	pthread_mutex_lock(&t->maint_mu);
	struct file_set *set = table_pin_files(t);
	int rc = table_dropped(t) ? 0 : survey(t, set, cut, &l, e);
	for (uint32_t i = 0; i < l.n && rc >= 0; i++) {
		if (!force && l.v[i].due * 10 < l.v[i].stored)
			continue;
		rc = migrate_date(t, set, &l.v[i], cut, e);
		if (rc < 0)
			break;
		*ret_worked = true;
		file_set_put(set);
		set = table_pin_files(t);
	}
	file_set_put(set);
	pthread_mutex_unlock(&t->maint_mu);
	free(l.v);
	return rc;
}

uint64_t table_due_rows(struct table *t, uint64_t *ret_memtable_due)
{
	struct date_list l = {0};
	struct block_view *views = NULL;
	uint32_t view_n = 0;
	uint64_t due = 0, mem = 0;
	int64_t cut = memory_edge(t);
	struct file_set *set = table_pin_files(t);

	if (survey(t, set, cut, &l, NULL) >= 0)
		for (uint32_t i = 0; i < l.n; i++)
			due += l.v[i].due;
	free(l.v);
	file_set_put(set);
	pthread_mutex_lock(&t->mu);
	if (memtable_view(&t->mem, &views, &view_n) < 0)
		view_n = 0;
	pthread_mutex_unlock(&t->mu);
	for (uint32_t i = 0; i < view_n; i++) {
		if (views[i].t_max < cut)
			mem += views[i].n;
		else if (views[i].t_min < cut)
			for (uint32_t k = 0; k < views[i].n; k++)
				mem += views[i].block->time_ns[k] < cut;
		block_view_release(&views[i]);
	}
	free(views);
	*ret_memtable_due = mem;
	return due;
}
