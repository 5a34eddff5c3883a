/*
 * migrate: rows older than the memory retention leave the runs and become tiles.
 *
 * The unit is a date. For a date that is due, all runs' rows of it that are old enough go into one
 * new tile per part, together with those tiles of the part that hold some of the same identities or
 * are small (choose_tiles()). So a part never holds one identity twice, and its number of tiles
 * grows with the logarithm of its rows. The runs keep the rest of their rows: "moved" says which of a
 * date they no longer show; a run with nothing left to show is dropped.
 *
 * A date is split into parts by its volume when it first gets tiles. Parts stay, or rows of one
 * identity would come to lie in two; but when a date has outgrown its parts (gather_must_split()), the
 * migration that brings it there writes all of the date anew in as many parts as it needs by then: one
 * transaction, part after part, so no more memory than any migration takes. As it grew that much since
 * it was last split, a row is rewritten for it O(log rows) times. Tiles of a date that are not split
 * alike (fsck forgets how, where it finds rows in the wrong part) are written anew in the same way.
 *
 * Because every migration of a date takes all runs there are, tiles are always older than what runs
 * still show of that date: the order in which scans lay rows over each other.
 *
 * A date with few due rows beside much that is stored waits, until the due rows are a tenth of it or
 * MIGRATE_WAIT_NS has passed: rewriting costs what is stored, and late rows trickle.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/gather.h"
#include "engine/scan.h"

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

static uint32_t date_find(const struct date_list *l, int32_t date)
{
	uint32_t lo = 0, hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (l->v[mid].date < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct date_rows *date_at(struct date_list *l, int32_t date)
{
	uint32_t at = date_find(l, date);

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

/* A date that is due in part is taken as spread evenly: good enough to decide by. */
static int add_due(struct date_list *l, const struct file *f, const struct days *days, int64_t cut)
{
	for (uint32_t i = 0; i < days->n && days->v[i].t_min < cut; i++) {
		const struct day *d = &days->v[i];
		int64_t lo = MAX(d->t_min, file_moved_upto(f, d->date)), hi = MIN(d->t_max, cut - 1);
		if (lo > hi)
			continue;
		double share = ((double)(hi - lo) + 1) / ((double)(d->t_max - d->t_min) + 1);
		struct date_rows *r = date_at(l, d->date);
		if (!r)
			return -ENOMEM;
		/* At least one: a date with a due row must not be taken for empty. */
		r->due += MAX((uint64_t)(share * (double)d->rows), 1u);
	}
	return 0;
}

/*
 * What is due. A run that cannot be read keeps its dates from moving, and no others: the list is as
 * good as it can be also when an error is returned.
 */
static int survey(struct table *t, const struct file_set *set, int64_t cut, struct date_list *l, struct err *e)
{
	int first = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		struct file *f = set->v[i];
		const struct days *days;
		if (f->meta.kind == CATALOG_TILE || f->meta.t_min_ns >= cut)
			continue;
		int rc = file_days(f, t, &days, first < 0 ? NULL : e);
		if (rc >= 0)
			rc = add_due(l, f, days, cut);
		if (rc < 0 && first >= 0)
			first = rc;
	}
	for (uint32_t i = 0; i < set->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		/* Also where nothing is due: no part of that date can be passed over by scans. */
		if (m->kind == CATALOG_TILE && !m->parts && !date_at(l, m->date) && first >= 0)
			first = -ENOMEM;
	}
	for (uint32_t i = 0; i < set->n && l->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		uint32_t at = m->kind == CATALOG_TILE ? date_find(l, m->date) : l->n;
		if (at < l->n && l->v[at].date == m->date)
			l->v[at].stored += m->rows;
	}
	return first;
}

/* ---- one date ---------------------------------------------------------------------------------------------- */

struct job {
	struct table *t;
	struct file_set *set;
	struct gather g; /* the date, the times taken of runs, the parts */
	bool is_resplit; /* all tiles of the date are written anew */
	int64_t expired_before; /* rows older than it are hidden for ever, and left behind */
	bool is_in_doubt; /* the commit may have happened all the same */
	uint64_t due; /* estimate */
	uint32_t *fields, field_n;

	struct file **add;     /* new tiles, then runs as they are afterwards */
	uint32_t add_n, new_tiles;
	uint64_t *drop;        /* ids */
	uint32_t drop_n;
	struct file **gone;    /* files to unlink after the commit */
	uint32_t gone_n;
};

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
	uint64_t sum = j->due / j->g.parts + 1;
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
			rc = i < small ? 1 : gather_meets_tile(&j->g, tile, e);
		if (rc < 0)
			return rc;
		if (rc > 0)
			v[k++] = v[i];
	}
	*n = k;
	return 0;
}

static int by_generation(const void *x, const void *y)
{
	uint64_t a = (*(struct file *const *)x)->meta.generation, b = (*(struct file *const *)y)->meta.generation;
	return (a > b) - (a < b);
}

/* The tiles that go into the new one of the part; v has room for all. */
static int part_tiles(const struct job *j, uint32_t part, struct file **v, uint32_t *ret_n, struct err *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < j->set->n; i++) {
		const struct catalog_file *m = &j->set->v[i]->meta;
		if (m->kind == CATALOG_TILE && m->date == j->g.date && gather_tile_meets_part(&j->g, m, part))
			v[n++] = j->set->v[i];
	}
	*ret_n = n;
	if (!j->is_resplit)
		return choose_tiles(j, v, ret_n, e);
	/* In what fsck gave back an identity may stand twice: the later file has the later row. */
	qsort(v, n, sizeof *v, by_generation);
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
	char dir[PART_DIR_MAX];
	int rc = in ? 0 : -ENOMEM;

	struct rewrite r = {.table = t, .kind = CATALOG_TILE, .dir = dir};
	r.meta.seq_lo = UINT64_MAX;
	if (rc >= 0)
		rc = part_tiles(j, part, in, &n, e);
	if (rc >= 0 && j->g.parts > 1)
		rc = gather_part_series(&j->g, part, &bits, &bit_n);
	if (rc < 0)
		goto out;
	tiles_in = n;
	for (uint32_t i = 0; i < j->set->n; i++)
		if (gather_has_run(&j->g, j->set->v[i]))
			in[n++] = j->set->v[i];
	for (uint32_t i = 0; i < n; i++) {
		file_get(in[i]); /* the scan's */
		r.meta.seq_lo = MIN(r.meta.seq_lo, in[i]->meta.seq_lo);
		r.meta.seq_hi = MAX(r.meta.seq_hi, in[i]->meta.seq_hi);
	}
	/* A retention raised since can have left tile rows past today's cut: all of a tile's rows are
	 * taken, and of the runs' only those that are due. */
	struct scan_spec spec = {.t_lo = MAX(j->g.lo, j->expired_before), .t_hi = day_end(j->g.date), .cols = j->fields,
				 .col_count = j->field_n, .series = bits, .series_count = bit_n,
				 .times_wanted = true, .versions_wanted = true};
	rc = scan_open_sources(t, &spec, in, n, NULL, 0, t->tombs, NULL, &scan, e);
	if (rc < 0)
		goto out;
	scan_limit_runs(scan, j->g.hi);
	gather_part_dir(dir, j->g.date, part);
	r.meta.date = j->g.date;
	r.meta.part = part;
	r.meta.parts = j->g.parts;
	r.meta.generation = t->generation++;
	r.meta.erased_seq = tomb_set_newest(t->tombs);
	rc = rewrite_file(&r, scan, j->fields, j->field_n, &tile, e);
	if (rc < 0)
		goto out;
	/* The scan has put its references; the set still holds them. */
	for (uint32_t i = 0; i < tiles_in && !j->is_resplit; i++) {
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

/* Does the run still show a row, were its rows of j->g.date up to j->g.hi gone? */
static bool run_is_spent(const struct job *j, const struct file *f, const struct days *days)
{
	for (uint32_t i = 0; i < days->n; i++) {
		const struct day *d = &days->v[i];
		int64_t upto = file_moved_upto(f, d->date);
		if (d->date == j->g.date)
			upto = MAX(upto, j->g.hi + 1);
		if (upto <= d->t_max)
			return false;
	}
	return true;
}

/* The same run with the date marked as moved. */
static struct file *run_after(const struct job *j, struct file *f)
{
	struct file *next = file_copy(f);
	uint32_t at = file_moved_from(f, j->g.date);

	if (!next)
		return NULL;
	if (at == f->moved_count || f->moved[at].date != j->g.date) {
		struct moved *v = realloc(next->moved, (f->moved_count + 1) * sizeof *v);
		if (!v) {
			file_put(next);
			return NULL;
		}
		memmove(v + at + 1, v + at, (f->moved_count - at) * sizeof *v);
		next->moved = v;
		next->moved_count++;
	}
	next->moved[at] = (struct moved){j->g.date, j->g.hi + 1};
	return next;
}

static int plan_runs(struct job *j, struct err *e)
{
	for (uint32_t i = 0; i < j->set->n; i++) {
		struct file *f = j->set->v[i];
		const struct days *days;
		if (!gather_has_run(&j->g, f))
			continue;
		int rc = file_days(f, j->t, &days, e);
		if (rc < 0)
			return rc;
		j->drop[j->drop_n++] = f->meta.id;
		if (run_is_spent(j, f, days)) {
			j->gone[j->gone_n++] = f;
			continue;
		}
		struct file *next = run_after(j, f);
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
		rc = catalog_moved_set(cat, j->add[i]->meta.id, j->g.date, j->g.hi + 1, e);
	for (uint32_t i = 0; i < j->gone_n && rc >= 0; i++)
		rc = catalog_file_remove(cat, j->gone[i]->meta.id, e);
	if (rc < 0) {
		catalog_abort(cat);
		return rc;
	}
	FAULT("migrate.commit");
	rc = catalog_commit(cat, e);
	j->is_in_doubt = rc == -EIO;
	return rc;
}

/* All tiles of the date give way, each once, whatever the parts it went into. */
static void drop_tiles(struct job *j)
{
	for (uint32_t i = 0; i < j->set->n; i++) {
		const struct catalog_file *m = &j->set->v[i]->meta;
		if (m->kind != CATALOG_TILE || m->date != j->g.date)
			continue;
		j->drop[j->drop_n++] = m->id;
		j->gone[j->gone_n++] = j->set->v[i];
	}
}

static int publish(struct job *j, struct err *e)
{
	struct file_set *next;
	int rc = file_set_make(j->t, j->add, j->add_n, j->drop, j->drop_n, &next, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < j->add_n; i++)
		file_get(j->add[i]); /* ours, beside those that the set took */
	rc = commit_job(j, e);
	if (rc < 0) {
		file_set_put(next);
		return rc;
	}
	FAULT("migrate.swap");
	file_set_install(j->t, next);
	for (uint32_t i = 0; i < j->gone_n; i++)
		file_unlink(j->t, j->gone[i]);
	return 0;
}

static int migrate_date(struct table *t, struct file_set *set, const struct date_rows *dr, int64_t cut,
			struct err *e)
{
	struct job j = {.t = t, .set = set, .due = dr->due};
	int rc;

	j.g = (struct gather){.table = t, .set = set, .date = dr->date, .lo = day_start(dr->date),
			      .hi = MIN(day_end(dr->date), cut - 1)};
	j.is_resplit = gather_must_split(t, set, dr->date, dr->stored + dr->due);
	j.g.parts = j.is_resplit ? gather_split(t, dr->stored + dr->due) : gather_parts(t, set, dr->date, dr->due);
	pthread_mutex_lock(&t->mu);
	j.expired_before = t->meta.expired_before_ns;
	pthread_mutex_unlock(&t->mu);
	j.add = calloc(set->n + j.g.parts + 1, sizeof *j.add);
	j.drop = calloc(set->n + 1, sizeof *j.drop);
	j.gone = calloc(set->n + 1, sizeof *j.gone);
	rc = j.add && j.drop && j.gone ? table_field_ids(t, &j.fields, &j.field_n) : -ENOMEM;
	if (rc < 0)
		err_set(e, rc, "out of memory for migrating table '%s'", table_name(t));
	for (uint32_t p = 0; p < j.g.parts && rc >= 0; p++)
		rc = migrate_part(&j, p, e);
	if (rc >= 0 && j.is_resplit)
		drop_tiles(&j);
	if (rc >= 0)
		rc = plan_runs(&j, e);
	if (rc >= 0)
		rc = publish(&j, e);
	for (uint32_t i = 0; i < j.new_tiles && rc < 0 && !j.is_in_doubt; i++)
		file_unlink(t, j.add[i]);
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

/* A damaged file is a matter of the dates it holds rows of; these errors are a matter of all. */
static bool is_general(int rc)
{
	return rc == -ENOMEM || rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS;
}

int table_migrate(struct table *t, bool force, bool *ret_worked, struct err *e)
{
	struct date_list l = {0};
	int64_t cut = memory_edge(t);
	int first;

	*ret_worked = false;
	pthread_mutex_lock(&t->maint_mu);
	struct file_set *set = table_pin_files(t);
	first = table_dropped(t) ? 0 : survey(t, set, cut, &l, e);
	for (uint32_t i = 0; i < l.n && !is_general(first); i++) {
		if (!force && l.v[i].due * 10 < l.v[i].stored)
			continue;
		int rc = migrate_date(t, set, &l.v[i], cut, first < 0 ? NULL : e);
		if (rc < 0) {
			first = first < 0 && !is_general(rc) ? first : rc;
			continue;
		}
		*ret_worked = true;
		file_set_put(set);
		set = table_pin_files(t);
		/* Writers wait for memory: the other dates come with the round behind the next seals. */
		const struct engine *en = t->db->en;
		if (atomic_load(&en->memtable_bytes) > en->memtable_limit && !en->opt.no_background) {
			atomic_store(&t->force_migrate, force);
			break;
		}
	}
	file_set_put(set);
	pthread_mutex_unlock(&t->maint_mu);
	free(l.v);
	return first;
}

void table_due(struct table *t, struct due *ret)
{
	struct date_list l = {0};
	struct block_view *views = NULL;
	struct due due = {0};
	uint32_t view_n = 0;
	int64_t cut = memory_edge(t);
	struct file_set *set = table_pin_files(t);

	(void)!survey(t, set, cut, &l, NULL);
	for (uint32_t i = 0; i < l.n; i++) {
		due.rows += l.v[i].due;
		due.late_rows += l.v[i].stored ? l.v[i].due : 0;
	}
	due.dates = l.n;
	free(l.v);
	file_set_put(set);
	pthread_mutex_lock(&t->mu);
	if (memtable_view(&t->mem, &views, &view_n) < 0)
		view_n = 0;
	pthread_mutex_unlock(&t->mu);
	for (uint32_t i = 0; i < view_n; i++) {
		if (views[i].t_max < cut)
			due.mem_rows += views[i].n;
		else if (views[i].t_min < cut)
			for (uint32_t k = 0; k < views[i].n; k++)
				due.mem_rows += views[i].block->time_ns[k] < cut;
		block_view_release(&views[i]);
	}
	free(views);
	*ret = due;
}
