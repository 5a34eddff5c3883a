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
 * saved next: until that is done (definitions_saved()) the log has to keep them.
 *
 * An empty block (room made for a batch that could not be logged) is not frozen, so rows may enter it
 * while the run is written. It is dropped here: as *ret_last it would take them with it.
 */
struct taken {
	struct block_view *views;
	uint32_t n;
	struct block *last; /* NULL: there are none */
	uint64_t lsn;
	uint64_t mark; /* in the log, right behind them; 0: none was made */
};

static int take_blocks(struct table *t, bool mark, struct taken *tk, struct err *e)
{
	int rc = 0;

	*tk = (struct taken){0};
	pthread_mutex_lock(&t->append_mu);
	memtable_freeze(&t->mem, &t->mu);
	tk->lsn = t->applied_lsn;
	t->saving_def_lsn = t->unsaved_def_lsn;
	t->unsaved_def_lsn = 0;
	if (mark)
		rc = table_mark_locked(t, WAL_MARK_RESTORE, &tk->mark, e);
	pthread_mutex_lock(&t->mu);
	size_t freed = memtable_drop_empty(&t->mem);
	tk->last = t->mem.last;
	if (rc >= 0) {
		rc = memtable_view(&t->mem, &tk->views, &tk->n);
		if (rc < 0)
			err_set(e, rc, "out of memory");
	}
	pthread_mutex_unlock(&t->mu);
	pthread_mutex_unlock(&t->append_mu);
	memory_sub(t->db, freed);
	return rc;
}

static void give_back(struct taken *tk)
{
	for (uint32_t i = 0; i < tk->n; i++)
		block_view_release(&tk->views[i]);
	tk->n = 0;
}

static void definitions_saved(struct table *t, bool is_saved)
{
	pthread_mutex_lock(&t->append_mu);
	if (!is_saved && t->saving_def_lsn)
		t->unsaved_def_lsn = t->saving_def_lsn; /* older than any that came since */
	t->saving_def_lsn = 0;
	pthread_mutex_unlock(&t->append_mu);
}

/* Gives the views away. */
static int write_run(struct table *t, struct taken *tk, struct rewrite *r, struct tile **ret, struct err *e)
{
	struct block_view *views = tk->views;
	uint32_t *fields, field_n;
	struct scan *scan = NULL;
	int rc = table_field_ids(t, &fields, &field_n);

	if (rc < 0) {
		give_back(tk);
		return err_set(e, rc, "out of memory");
	}
	*r = (struct rewrite){.table = t, .is_first = true, .kind = CATALOG_RUN, .dir = DIR_RUNS};
	r->meta.seq_lo = views[0].block->seq_lo;
	r->meta.seq_hi = tk->lsn;
	r->meta.generation = t->generation++;
	r->meta.erased_seq = tomb_set_newest(t->tombs);
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = fields, .col_count = field_n,
				 .times_wanted = true, .versions_wanted = true};
	rc = scan_open_sources(t, &spec, NULL, 0, views, tk->n, t->tombs, NULL, &scan, e); /* takes the views */
	tk->n = 0;
	if (rc >= 0)
		rc = rewrite_file(r, scan, fields, field_n, ret, e);
	scan_close(scan);
	free(fields);
	return rc;
}

static int commit_runs(struct table *t, struct file **files, uint32_t n, uint64_t lsn, bool *ret_in_doubt,
		       struct err *e)
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
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = catalog_file_add(cat, &files[i]->meta, e);
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

/* Readers see the runs instead of the blocks, at one moment. */
static void publish(struct table *t, struct file_set *next, uint64_t lsn, const struct taken *tk)
{
	pthread_mutex_lock(&t->append_mu);
	pthread_mutex_lock(&t->mu);
	size_t before = t->mem.bytes;
	struct file_set *old = t->files;
	t->meta.flushed_lsn = lsn;
	if (tk->last)
		memtable_drop_through(&t->mem, tk->last);
	size_t freed = before - t->mem.bytes;
	t->files = next;
	table_note_change(t);
	pthread_mutex_unlock(&t->mu);
	if (tk->mark)
		last_times_forget(t); /* of the rows that came with it nobody told it */
	pthread_mutex_unlock(&t->append_mu);
	file_set_put(old);
	memory_sub(t->db, freed);
}

static int add_file(struct rewrite *r, struct tile *tile, struct file **files, uint32_t *n, struct err *e)
{
	if (!tile)
		return 0; /* all its rows were deleted meanwhile */
	files[*n] = file_create(&r->meta, tile);
	if (!files[*n]) {
		tile_put(tile);
		return err_set(e, -ENOMEM, "out of memory");
	}
	(*n)++;
	return 0;
}

/* The blocks' run, and the restored one, whose place in the order is the mark behind the blocks. */
static int write_runs(struct table *t, struct taken *tk, struct rewrite *restored, struct file **files, uint32_t *n,
		      struct err *e)
{
	struct rewrite r;
	struct tile *tile;
	int rc = 0;

	FAULT("seal.write");
	if (tk->n) {
		rc = write_run(t, tk, &r, &tile, e);
		if (rc >= 0)
			rc = add_file(&r, tile, files, n, e);
	}
	if (rc < 0 || !restored)
		return rc;
	FAULT("restore.marked");
	restored->meta.seq_lo = restored->meta.seq_hi = restored->meta.erased_seq = tk->mark;
	rc = rewrite_finish(restored, &tile, e);
	return rc < 0 ? rc : add_file(restored, tile, files, n, e);
}

static int store_runs(struct table *t, struct taken *tk, struct file **files, uint32_t n, bool *ret_in_doubt,
		      struct err *e)
{
	uint64_t lsn = tk->mark ? tk->mark : tk->lsn;
	struct file_set *next;
	int rc = file_set_make(t, files, n, NULL, 0, &next, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		file_get(files[i]); /* the caller's, beside those that the set took */
	FAULT("seal.commit");
	rc = commit_runs(t, files, n, lsn, ret_in_doubt, e);
	if (rc < 0) {
		file_set_put(next);
		return rc;
	}
	FAULT("seal.swap");
	publish(t, next, lsn, tk);
	return 0;
}

/* Caller holds maint_mu. restored: see table_seal_with(); NULL: just seal. */
static int seal_locked(struct table *t, struct rewrite *restored, struct err *e)
{
	struct taken tk;
	struct file *files[2];
	uint32_t n = 0;
	bool in_doubt = false;
	char path[128];
	int rc = take_blocks(t, restored != NULL, &tk, e);

	if (rc >= 0) {
		snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
		rc = series_file_save(t->series, t->db->en->io, t->db->dirfd, path, e);
	}
	definitions_saved(t, rc >= 0);
	/* Where all rows were deleted meanwhile there is no file; that the log may forget them is noted. */
	if (rc >= 0 && (tk.n || restored)) {
		rc = write_runs(t, &tk, restored, files, &n, e);
		if (rc >= 0)
			rc = store_runs(t, &tk, files, n, &in_doubt, e);
		for (uint32_t i = 0; i < n; i++) {
			if (rc < 0 && !in_doubt)
				file_unlink(t, files[i]);
			file_put(files[i]);
		}
	}
	give_back(&tk);
	free(tk.views);
	return rc;
}

int table_seal(struct table *t, struct err *e)
{
	pthread_mutex_lock(&t->maint_mu);
	int rc = table_dropped(t) ? 0 : seal_locked(t, NULL, e);
	pthread_mutex_unlock(&t->maint_mu);
	return rc < 0 ? rc : db_trim_log(t->db, e);
}

int table_seal_with(struct table *t, struct rewrite *restored, struct err *e)
{
	return seal_locked(t, restored, e);
}
