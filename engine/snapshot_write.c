/*
 * snapshot_write: the rows that a table showed at the pinned moment, as tiles.
 *
 * By date and part, as the table itself: a tile that no late row touches and none of whose rows has
 * expired or was deleted holds exactly what the table shows of it, and gets one more name (a hard link; where the
 * file system has none, a copy). The other tiles of the part are merged with the rows in runs and in
 * memory into one new tile. A tile that late rows do not touch shares no identity with them, so no
 * identity is there twice.
 *
 * Names may vanish meanwhile: migration and retention unlink tiles, but open those that somebody
 * references first, so what has lost its name is copied from its descriptor. Only DROP TABLE does
 * not care; then this fails, and the whole snapshot is begun anew without that table.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/scan.h"
#include "engine/snapshot.h"

#define COPY_BYTES (1 << 20)
#define PATH_BYTES 900

struct writing {
	struct snap_writer *w;
	struct snap_pin *p;
	struct snap_table *st;
	char base[600]; /* <dir>/<table>, below the cell */
	uint32_t *fields, field_n;
	struct day_count late; /* dates with rows in runs or in memory */
	struct file **in;      /* room for all files of the table */
};

int snapshot_stopped(const struct snap_writer *w, struct err *e)
{
	if (w->stop && atomic_load(w->stop))
		return err_set(e, -ECANCELED, "interrupted");
	if (db_dropped(w->db))
		return err_set(e, -ESTALE, "database '%s' was dropped", w->db->name);
	return 0;
}

/* Each level below the snapshot's directory; all are synced at the end, so none is here. */
int snapshot_make_dirs(const struct snap_writer *w, const char *path, struct err *e)
{
	const struct io *io = w->db->en->io;
	char part[PATH_BYTES];
	size_t n = strlen(path);
	int rc = 0;

	if (n >= sizeof part)
		return err_set(e, -ENAMETOOLONG, "'%.100s...' is too long for a path", path);
	for (size_t i = strlen(w->dir) + 1; i <= n && rc >= 0; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		rc = io->mkdirat(io, w->db->dirfd, part, 0777);
		rc = rc == -EEXIST ? 0 : rc;
	}
	return rc < 0 ? err_set(e, rc, "cannot make '%s': %s", part, strerror(-rc)) : 0;
}

static int note_tile(struct writing *x, const struct catalog_file *m, struct err *e)
{
	struct snap_tile *tile = snap_add_tile(x->w->doc, x->st);

	if (tile)
		tile->path = arena_str(&x->w->doc->arena, str_from(m->path + sizeof DIR_TILES));
	if (!tile || !tile->path.ptr)
		return err_set(e, -ENOMEM, "out of memory for a snapshot");
	tile->rows = m->rows;
	tile->bytes = m->bytes;
	x->st->rows += m->rows;
	return 0;
}

/* ---- a tile as it is ------------------------------------------------------------------------------ */

static int copy_bytes(struct writing *x, int in, int out)
{
	const struct io *io = x->w->db->en->io;
	char *p = malloc(COPY_BYTES);
	int64_t off = 0, n = 0;
	int rc = p ? 0 : -ENOMEM;

	while (rc >= 0 && (n = io->pread(io, in, p, COPY_BYTES, off)) > 0) {
		int64_t wrote = io_pwrite(io, out, p, (size_t)n, off);
		rc = wrote < 0 ? (int)wrote : snapshot_stopped(x->w, NULL);
		off += n;
	}
	free(p);
	return rc < 0 ? rc : n < 0 ? (int)n : io->fsync(io, out);
}

/* The tile has been open since before it lost its name, or is opened by it here. */
static int copy_tile(struct writing *x, struct file *f, const char *to, struct err *e)
{
	const struct io *io = x->w->db->en->io;
	struct tile *tile, *copy;
	int rc = file_tile(f, x->p->table, &tile, e);

	if (rc < 0)
		return rc;
	int out = io->openat(io, x->w->db->dirfd, to, O_WRONLY | O_CREAT | O_EXCL, 0666);
	if (out < 0)
		return err_set(e, out, "cannot make '%s': %s", to, strerror(-out));
	rc = copy_bytes(x, tile_fd(tile), out);
	io->close(io, out);
	if (rc < 0)
		return err_set(e, rc, "cannot copy '%s': %s", to, strerror(-rc));
	rc = tile_open(io, x->w->db->dirfd, to, &copy, e);
	if (rc >= 0)
		tile_put(copy);
	return rc;
}

static bool wants_copy(int rc)
{
	return rc == -EXDEV || rc == -EPERM || rc == -EMLINK || rc == -ENOENT || rc == -EOPNOTSUPP || rc == -ENOSYS ||
	       rc == -EACCES;
}

static int link_tile(struct writing *x, struct file *f, struct err *e)
{
	const struct io *io = x->w->db->en->io;
	const struct catalog_file *m = &f->meta;
	char from[PATH_BYTES], to[PATH_BYTES];

	snprintf(from, sizeof from, "%s/%s", x->p->table->dir, m->path);
	snprintf(to, sizeof to, "%s/%s", x->base, m->path);
	FAULT("snapshot.link");
	int rc = io->linkat(io, x->w->db->dirfd, from, x->w->db->dirfd, to);
	if (wants_copy(rc))
		rc = copy_tile(x, f, to, e);
	else if (rc < 0)
		err_set(e, rc, "cannot link '%s': %s", to, strerror(-rc));
	return rc < 0 ? rc : note_tile(x, m, e);
}

/* ---- what has to be merged ------------------------------------------------------------------------- */

static int count_late(struct writing *x, struct err *e)
{
	const struct snap_pin *p = x->p;
	const struct days *days;
	int rc = 0;

	for (uint32_t i = 0; i < p->set->n && rc >= 0; i++) {
		struct file *f = p->set->v[i];
		if (f->meta.kind != CATALOG_RUN || f->meta.t_max_ns < p->expired_before_ns)
			continue;
		rc = file_days(f, p->table, &days, e);
		for (uint32_t k = 0; rc >= 0 && k < days->n; k++) {
			const struct day *d = &days->v[k];
			if (MAX(file_moved_upto(f, d->date), p->expired_before_ns) <= d->t_max)
				rc = day_count_add(&x->late, d->date, d->rows, d->t_min, d->t_max);
		}
	}
	for (uint32_t i = 0; i < p->view_n && rc >= 0; i++)
		for (uint32_t k = 0; k < p->views[i].n && rc >= 0; k++) {
			int64_t t = p->views[i].block->time_ns[k];
			if (t >= p->expired_before_ns)
				rc = day_count_add(&x->late, day_of_ns(t), 1, t, t);
		}
	return rc == -ENOMEM ? err_set(e, rc, "out of memory for a snapshot of table '%s'", table_name(p->table)) : rc;
}

/* Does the table show exactly the rows of the tile? 1 yes, 0 no. */
static int is_exact(struct writing *x, const struct gather *g, bool has_late, struct file *f, struct err *e)
{
	struct tile *tile;

	if (f->meta.t_min_ns < x->p->expired_before_ns)
		return 0;
	int rc = gather_is_erased(x->p->table, x->p->tombs, f, e);
	if (!rc && has_late) {
		rc = file_tile(f, x->p->table, &tile, e);
		if (rc >= 0)
			rc = gather_meets_tile(g, tile, e);
	}
	return rc < 0 ? rc : !rc;
}

/* x->in[0 .. n): the tiles that go into it; runs and memory are added here. */
static int merge_part(struct writing *x, const struct gather *g, uint32_t part, uint32_t n, bool has_late,
		      struct err *e)
{
	struct snap_pin *p = x->p;
	char dir[PART_DIR_MAX];
	struct rewrite r = {.table = p->table, .kind = CATALOG_TILE, .dir = dir, .base = x->base, .stop = x->w->stop};
	struct block_view *views = calloc(p->view_n + 1, sizeof *views);
	struct scan *scan = NULL;
	struct tile *tile = NULL;
	uint64_t *bits = NULL;
	uint32_t bit_n = 0, view_n = 0;
	int rc = views ? 0 : -ENOMEM;

	if (rc >= 0 && g->parts > 1)
		rc = gather_part_series(g, part, &bits, &bit_n);
	if (rc < 0)
		goto out;
	r.meta.seq_lo = UINT64_MAX;
	for (uint32_t i = 0; i < p->set->n && has_late; i++)
		if (gather_has_run(g, p->set->v[i]))
			x->in[n++] = p->set->v[i];
	for (uint32_t i = 0; i < n; i++) {
		file_get(x->in[i]); /* the scan's, as are the views */
		r.meta.seq_lo = MIN(r.meta.seq_lo, x->in[i]->meta.seq_lo);
		r.meta.seq_hi = MAX(r.meta.seq_hi, x->in[i]->meta.seq_hi);
	}
	for (uint32_t i = 0; i < p->view_n && has_late; i++) {
		if (p->views[i].t_min > g->hi || p->views[i].t_max < g->lo)
			continue;
		views[view_n] = p->views[i];
		atomic_fetch_add(&views[view_n++].block->refs, 1);
		r.meta.seq_lo = MIN(r.meta.seq_lo, p->views[i].block->seq_lo);
		r.meta.seq_hi = MAX(r.meta.seq_hi, p->views[i].block->seq_hi);
	}
	struct scan_spec spec = {.t_lo = g->lo, .t_hi = g->hi, .cols = x->fields, .col_count = x->field_n,
				 .series = bits, .series_count = bit_n, .times_wanted = true,
				 .versions_wanted = true};
	rc = scan_open_sources(p->table, &spec, x->in, n, views, view_n, p->tombs, NULL, &scan, e);
	if (rc < 0)
		goto out;
	gather_part_dir(dir, g->date, part);
	r.meta.date = g->date;
	r.meta.part = part;
	r.meta.parts = g->parts;
	r.meta.generation = p->table->generation++;
	r.meta.erased_seq = tomb_set_newest(p->tombs);
	FAULT("snapshot.merge");
	rc = rewrite_file(&r, scan, x->fields, x->field_n, &tile, e);
	if (rc >= 0 && tile)
		rc = note_tile(x, &r.meta, e);
	tile_put(tile);
out:
	scan_close(scan);
	free(bits);
	free(views);
	return rc == -ENOMEM ? err_set(e, rc, "out of memory for a snapshot of table '%s'", table_name(p->table)) : rc;
}

/* tiles: those of the part, n of them. */
static int write_part(struct writing *x, const struct gather *g, uint32_t part, struct file **tiles, uint32_t n,
		      bool has_late, struct err *e)
{
	char dir[PART_DIR_MAX], path[PATH_BYTES];
	uint32_t dirty = 0;
	bool has_dir = false;
	int rc = snapshot_stopped(x->w, e);

	gather_part_dir(dir, g->date, part);
	snprintf(path, sizeof path, "%s/%s", x->base, dir);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		struct file *f = tiles[i];
		if (f->meta.t_max_ns < x->p->expired_before_ns)
			continue;
		rc = is_exact(x, g, has_late, f, e);
		if (rc == 0)
			x->in[dirty++] = f;
		if (rc <= 0)
			continue;
		rc = has_dir ? 0 : snapshot_make_dirs(x->w, path, e);
		has_dir = true;
		if (rc >= 0)
			rc = link_tile(x, f, e);
	}
	return rc < 0 || (!dirty && !has_late) ? rc : merge_part(x, g, part, dirty, has_late, e);
}

static int by_generation(const void *x, const void *y)
{
	uint64_t a = (*(struct file *const *)x)->meta.generation, b = (*(struct file *const *)y)->meta.generation;
	return (a > b) - (a < b);
}

/* Tiles that are not split alike: series of a part may lie in any of them, so all are written anew. */
static int write_mixed(struct writing *x, const struct gather *g, struct file **tiles, uint32_t n, bool has_late,
		       struct err *e)
{
	int rc = 0;

	for (uint32_t part = 0; part < g->parts && rc >= 0; part++) {
		uint32_t k = 0;
		for (uint32_t i = 0; i < n; i++)
			if (gather_tile_meets_part(g, &tiles[i]->meta, part))
				x->in[k++] = tiles[i];
		if (k) /* an identity may stand twice: the later file has the later row */
			qsort(x->in, k, sizeof *x->in, by_generation);
		rc = snapshot_stopped(x->w, e);
		if (rc >= 0 && (k || has_late))
			rc = merge_part(x, g, part, k, has_late, e);
	}
	return rc;
}

/* The tiles of a date are tiles[0 .. n), by part. */
static int write_date(struct writing *x, int32_t date, struct file **tiles, uint32_t n, uint64_t late_rows,
		      struct err *e)
{
	struct snap_pin *p = x->p;
	struct gather g = {.table = p->table, .set = p->set, .views = p->views, .view_n = p->view_n, .date = date,
			   .lo = MAX(day_start(date), p->expired_before_ns), .hi = day_end(date), .where = p->parts};
	uint64_t stored = 0;
	uint32_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < n; i++)
		stored += tiles[i]->meta.rows;
	if (gather_is_mixed(p->set, date)) {
		g.parts = gather_split(p->table, stored + late_rows);
		return write_mixed(x, &g, tiles, n, late_rows > 0, e);
	}
	g.parts = gather_parts(p->table, p->set, date, late_rows);
	for (uint32_t part = 0; part < g.parts && rc >= 0; part++) {
		uint32_t from = at;
		while (at < n && tiles[at]->meta.part == part)
			at++;
		rc = write_part(x, &g, part, tiles + from, at - from, late_rows > 0, e);
	}
	return rc;
}

/* Dates that have tiles and dates that have late rows, both ascending. */
static int write_dates(struct writing *x, struct err *e)
{
	const struct file_set *set = x->p->set;
	uint32_t at = 0, late = 0, tile_n = 0;
	int rc = 0;

	while (tile_n < set->n && set->v[tile_n]->meta.kind == CATALOG_TILE)
		tile_n++;
	while (rc >= 0 && (at < tile_n || late < x->late.n)) {
		int32_t date = at < tile_n ? set->v[at]->meta.date : x->late.v[late].date;
		if (late < x->late.n)
			date = MIN(date, x->late.v[late].date);
		uint32_t from = at;
		while (at < tile_n && set->v[at]->meta.date == date)
			at++;
		uint64_t rows = late < x->late.n && x->late.v[late].date == date ? x->late.v[late++].rows : 0;
		rc = write_date(x, date, (struct file **)&set->v[from], at - from, rows, e);
	}
	return rc;
}

static int by_path(const void *x, const void *y)
{
	return str_cmp(((const struct snap_tile *)x)->path, ((const struct snap_tile *)y)->path);
}

int snapshot_write_table(struct snap_writer *w, struct snap_pin *p, struct snap_table *st, struct err *e)
{
	struct writing x = {.w = w, .p = p, .st = st};
	char path[PATH_BYTES];
	int rc;

	snprintf(x.base, sizeof x.base, "%s/%s", w->dir, table_name(p->table));
	snprintf(path, sizeof path, "%s/" DIR_TILES, x.base);
	x.in = malloc((p->set->n + 1) * sizeof *x.in);
	x.fields = malloc((p->defs.columns + 1) * sizeof *x.fields);
	if (!x.in || !x.fields) {
		rc = err_set(e, -ENOMEM, "out of memory for a snapshot of table '%s'", table_name(p->table));
		goto out;
	}
	for (uint32_t i = 0; i < p->defs.columns; i++)
		if (series_column(p->table->series, i)->kind != COLKIND_DIMENSION)
			x.fields[x.field_n++] = i;
	rc = snapshot_make_dirs(w, path, e);
	if (rc >= 0)
		rc = count_late(&x, e);
	if (rc >= 0)
		rc = write_dates(&x, e);
	if (rc >= 0 && st->tile_n)
		qsort(st->tiles, st->tile_n, sizeof *st->tiles, by_path);
out:
	free(x.late.v);
	free(x.in);
	free(x.fields);
	return rc;
}
