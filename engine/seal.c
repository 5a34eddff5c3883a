/*
 * seal: the memtable's rows become a run, and the log may forget them.
 *
 * Order: series file (definitions) -> run file -> catalogue (run + flushed_lsn) -> readers see the
 * run instead of the blocks -> log trimmed. A crash between any two leaves the rows in the log, and
 * flushed_lsn says which of them a run holds already.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/scan.h"

/*
 * All measure columns of the table: a file carries the whole schema. Of those that are in the series
 * file: a column that a parser is only just making may come to nothing, and its id to another one.
 */
int table_field_ids(struct table *t, uint32_t **ret, uint32_t *ret_n)
{
	uint32_t n = series_saved(t->series).columns, k = 0;
	uint32_t *ids = malloc((n + 1) * sizeof *ids);

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		if (series_column(t->series, i)->kind != COLKIND_DIMENSION)
			ids[k++] = i;
	*ret = ids;
	*ret_n = k;
	return 0;
}

/*
 * Blocks that are there now, frozen, with the log number they reach. The definitions known by now are
 * saved next: the log need not keep them, unless that fails (keep_definitions()).
 *
 * An empty block (room made for a batch that could not be logged) is not frozen, so rows may enter it
 * while the run is written. It is dropped here: as *ret_last it would take them with it.
 */
static int take_blocks(struct table *t, struct block_view **ret, uint32_t *ret_n, struct block **ret_last,
		       uint64_t *ret_lsn, uint64_t *ret_def_lsn)
{
	pthread_mutex_lock(&t->append_mu);
	memtable_freeze(&t->mem, &t->mu);
	*ret_lsn = t->applied_lsn;
	*ret_def_lsn = t->unsaved_def_lsn;
	t->unsaved_def_lsn = 0;
	pthread_mutex_lock(&t->mu);
	size_t freed = memtable_drop_empty(&t->mem);
	*ret_last = t->mem.last;
	int rc = memtable_view(&t->mem, ret, ret_n);
	pthread_mutex_unlock(&t->mu);
	pthread_mutex_unlock(&t->append_mu);
	atomic_fetch_sub(&t->db->en->memtable_bytes, freed);
	return rc;
}

static void keep_definitions(struct table *t, uint64_t def_lsn)
{
	pthread_mutex_lock(&t->append_mu);
	if (def_lsn)
		t->unsaved_def_lsn = def_lsn; /* older than any that came since */
	pthread_mutex_unlock(&t->append_mu);
}

static int write_run(struct table *t, struct block_view *views, uint32_t view_n, uint64_t lsn,
		     struct rewrite *r, struct tile **ret, struct err *e)
{
	uint32_t *fields, field_n;
	struct scan *scan = NULL;
	int rc = table_field_ids(t, &fields, &field_n);

	if (rc < 0)
		return err_set(e, rc, "out of memory");
	*r = (struct rewrite){.table = t, .is_first = true, .kind = CATALOG_RUN, .dir = DIR_RUNS};
	r->meta.seq_lo = views[0].block->seq_lo;
	r->meta.seq_hi = lsn;
	r->meta.generation = t->generation++;
	r->meta.erased_seq = tomb_set_newest(t->tombs);
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = fields, .col_count = field_n,
				 .times_wanted = true, .versions_wanted = true};
	rc = scan_open_sources(t, &spec, NULL, 0, views, view_n, t->tombs, NULL, &scan, e); /* takes the views */
	if (rc >= 0)
		rc = rewrite_file(r, scan, fields, field_n, ret, e);
	scan_close(scan);
	free(fields);
	return rc;
}

static int commit_run(struct table *t, struct catalog_file *meta, uint64_t lsn, bool *ret_in_doubt, struct err *e)
{
	struct catalog *cat = t->db->cat;
	struct catalog_table next;

	pthread_mutex_lock(&t->mu);
	next = t->meta;
	pthread_mutex_unlock(&t->mu);
	struct series_mark saved = series_saved(t->series);
	next.flushed_lsn = lsn;
	next.saved_columns = saved.columns;
	next.saved_series = saved.series;
	int rc = catalog_begin(cat, e);
	if (rc < 0)
		return rc;
	rc = meta ? catalog_file_add(cat, meta, e) : 0;
	if (rc >= 0)
		rc = catalog_table_update(cat, &next, e);
	if (rc < 0) {
		catalog_abort(cat);
		return rc;
	}
	rc = catalog_commit(cat, e);
	*ret_in_doubt = rc == -EIO;
	return rc;
}

/* Readers see the run instead of the blocks, at one moment. */
static void publish(struct table *t, struct file_set *next, uint64_t lsn, const struct block *last)
{
	pthread_mutex_lock(&t->append_mu);
	pthread_mutex_lock(&t->mu);
	size_t before = t->mem.bytes;
	struct file_set *old = t->files;
	t->meta.flushed_lsn = lsn;
	memtable_drop_through(&t->mem, last);
	size_t freed = before - t->mem.bytes;
	t->files = next;
	table_note_change(t);
	pthread_mutex_unlock(&t->mu);
	pthread_mutex_unlock(&t->append_mu);
	file_set_put(old);
	atomic_fetch_sub(&t->db->en->memtable_bytes, freed);
}

/* Caller holds maint_mu. */
static int seal_locked(struct table *t, struct err *e)
{
	struct block_view *views = NULL;
	struct block *last;
	uint32_t view_n = 0;
	uint64_t lsn, def_lsn;
	struct rewrite r;
	struct tile *tile = NULL;
	struct file *f = NULL;
	struct file_set *next;
	bool in_doubt = false;
	char path[128];

	int rc = take_blocks(t, &views, &view_n, &last, &lsn, &def_lsn);
	if (rc < 0) {
		keep_definitions(t, def_lsn);
		return err_set(e, rc, "out of memory");
	}
	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	rc = series_file_save(t->series, t->db->en->io, t->db->dirfd, path, e);
	if (rc < 0)
		keep_definitions(t, def_lsn);
	if (rc >= 0 && !view_n) {
		free(views);
		return 0;
	}
	if (rc < 0) {
		for (uint32_t i = 0; i < view_n; i++)
			block_view_release(&views[i]);
		free(views);
		return rc;
	}
	FAULT("seal.write");
	rc = write_run(t, views, view_n, lsn, &r, &tile, e);
	free(views);
	if (rc < 0)
		return rc;
	/* No file where all the rows were deleted meanwhile; that the log may forget them is noted all the same. */
	if (tile && !(f = file_create(&r.meta, tile))) {
		tile_put(tile);
		return err_set(e, -ENOMEM, "out of memory");
	}
	rc = file_set_make(t, &f, f != NULL, NULL, 0, &next, e);
	FAULT("seal.commit");
	if (rc >= 0) {
		rc = commit_run(t, f ? &f->meta : NULL, lsn, &in_doubt, e);
		if (rc < 0) {
			if (f)
				file_get(f);
			file_set_put(next);
		}
	}
	if (rc < 0) {
		if (f && !in_doubt)
			file_unlink(t, f);
		file_put(f);
		return rc;
	}
	FAULT("seal.swap");
	publish(t, next, lsn, last);
	return 0;
}

int table_seal(struct table *t, struct err *e)
{
	pthread_mutex_lock(&t->maint_mu);
	int rc = table_dropped(t) ? 0 : seal_locked(t, e);
	pthread_mutex_unlock(&t->maint_mu);
	return rc < 0 ? rc : db_trim_log(t->db, e);
}
