/*
 * fsck of runs and tiles: each against the catalogue and against itself, and files that nothing names.
 */
#include "engine/fsck_impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int32_t date_of(int64_t ns)
{
	int64_t day = ns / NS_PER_DAY;
	return (int32_t)(day - (ns % NS_PER_DAY < 0));
}

/* ---- one file -------------------------------------------------------------------------------- */

/* What the engine refuses: such a file is of no use to it. */
static int check_identity(const struct fsck_table *t, const struct catalog_file *m, const struct tile_info *info,
			  struct err *e)
{
	if (memcmp(info->table_uuid, t->meta.uuid, 16) != 0)
		return err_set(e, -EBADMSG, "belongs to another table");
	if (info->generation != m->generation || info->rows != m->rows)
		return err_set(e, -EBADMSG,
			       "is not the file that the catalogue names: generation %" PRIu64 " with %" PRIu64
			       " rows, not %" PRIu64 " with %" PRIu64,
			       info->generation, info->rows, m->generation, m->rows);
	return 0;
}

/* What the engine believes the catalogue about. */
static int check_facts(const struct catalog_file *m, const struct tile_info *info, struct err *e)
{
	bool is_tile = m->kind == CATALOG_TILE;

	if (info->file_bytes != m->bytes)
		return err_set(e, -EBADMSG, "has %" PRIu64 " bytes, the catalogue says %" PRIu64, info->file_bytes, m->bytes);
	if (info->t_min != m->t_min_ns || info->t_max != m->t_max_ns)
		return err_set(e, -EBADMSG, "holds other times than the catalogue says");
	if (info->seq_lo != m->seq_lo || info->seq_hi != m->seq_hi)
		return err_set(e, -EBADMSG,
			       "covers records %" PRIu64 " to %" PRIu64 ", the catalogue says %" PRIu64 " to %" PRIu64,
			       info->seq_lo, info->seq_hi, m->seq_lo, m->seq_hi);
	if (info->codec != (is_tile ? TILE_CODEC_ZSTD : TILE_CODEC_NONE))
		return err_set(e, -EBADMSG, "is a %s by its content, and a %s by the catalogue",
			       is_tile ? "run" : "tile", is_tile ? "tile" : "run");
	if (is_tile && info->rows && (date_of(info->t_min) != m->date || date_of(info->t_max) != m->date))
		return err_set(e, -EBADMSG, "holds rows of another date than its own");
	return 0;
}

/* Series and columns that it names. Without whole definitions that says nothing about the file. */
static int check_names(const struct fsck_table *t, struct tile *tile, struct err *e)
{
	const struct tile_info *info = tile_info(tile);
	const struct tile_series *ts = tile_series(tile);

	for (uint32_t i = 0; i < info->series_count; i++)
		if (ts[i].series_id >= series_count(t->series))
			return err_set(e, -EBADMSG, "names the undefined series %u", ts[i].series_id);
	for (uint32_t i = 0; i < info->field_count; i++) {
		const struct tile_field *tf = &info->fields[i];
		if (tf->col_id >= series_column_count(t->series) ||
		    series_column(t->series, tf->col_id)->type != tf->type)
			return err_set(e, -EBADMSG, "names the undefined column %u", tf->col_id);
	}
	return 0;
}

/* The catalogue's row goes once the file is out of the way; a crash between leaves a missing file. */
static int give_up(struct fsck_db *d, struct fsck_table *t, const struct fsck_file *ff, const char *path, bool is_there)
{
	char aside[128];
	struct err why = {0};
	int rc = 0;

	if (is_there) {
		snprintf(aside, sizeof aside, "%s/" DIR_DAMAGED, t->dir);
		rc = fsck_set_aside(d->f, d->dirfd, path, aside);
	}
	if (rc >= 0)
		rc = catalog_file_remove(d->cat, ff->meta.id, &why);
	return rc;
}

static void lose_file(struct fsck_db *d, struct fsck_table *t, struct fsck_file *ff, const char *path, bool is_there,
		      const char *what)
{
	char how[512], aside[128];
	int rc = 0;

	if (fsck_rebuild_run(d, t, ff) >= 0) {
		snprintf(aside, sizeof aside, "%s/" DIR_DAMAGED, t->dir);
		if (fsck_repairs(d->f) && is_there)
			rc = fsck_set_aside(d->f, d->dirfd, path, aside);
		snprintf(how, sizeof how, "write its %" PRIu64 " rows anew from the log%s%s", ff->meta.rows,
			 is_there ? ", and move it to " : "", is_there ? aside : "");
		fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, true, rc, how, "%s", what);
		return;
	}
	if (fsck_repairs(d->f))
		rc = give_up(d, t, ff, path, is_there);
	snprintf(how, sizeof how, "%s%s%s%s; its %" PRIu64 " rows (records %" PRIu64 " to %" PRIu64 ") are not shown any more",
		 is_there ? "move it to " : "", is_there ? t->dir : "", is_there ? "/" DIR_DAMAGED " and " : "",
		 "remove it from the catalogue", ff->meta.rows, ff->meta.seq_lo, ff->meta.seq_hi);
	fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, true, rc, how, "%s", what);
}

static int check_file(struct fsck_db *d, struct fsck_table *t, struct fsck_file *ff, struct err *e)
{
	char path[FSCK_PATH];
	struct err why = {0};
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", t->dir, ff->meta.path);
	if (fstatat(d->dirfd, path, &st, 0) < 0) {
		t->incomplete = true;
		snprintf(why.text, sizeof why.text, "is missing: %s", strerror(errno));
		lose_file(d, t, ff, path, false, why.text);
		return 0;
	}
	int rc = tile_open(d->f->io, d->dirfd, path, &ff->tile, &why);
	if (rc >= 0)
		rc = check_identity(t, &ff->meta, tile_info(ff->tile), &why);
	if (rc >= 0)
		rc = tile_verify(ff->tile, &why);
	fsck_checked(d->f, (uint64_t)st.st_size);
	if (rc >= 0)
		fsck_note_whole(d, &st);
	if (rc < 0) {
		tile_put(ff->tile);
		ff->tile = NULL;
		if (rc == -ENOMEM)
			return err_set(e, rc, "%s", err_text(&why, rc));
		/* A file that could not be read may be whole: the next try, or another disk, can tell. */
		if (rc != -EBADMSG)
			fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, false, 0, "check the disk", "%s",
				   err_text(&why, rc));
		else
			lose_file(d, t, ff, path, true, err_text(&why, rc));
		return 0;
	}
	rc = check_facts(&ff->meta, tile_info(ff->tile), &why);
	if (rc >= 0)
		rc = check_names(t, ff->tile, &why);
	if (rc < 0)
		fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, false, 0,
			   "restore the database from a backup: the file is whole, but not what catalogue and definitions say",
			   "%s", err_text(&why, rc));
	return 0;
}

/* ---- files that nothing names ------------------------------------------------------------------ */

struct orphans {
	struct fsck_db *d;
	struct fsck_table *t;
};

static bool is_known(const struct fsck_table *t, const char *below)
{
	for (uint32_t i = 0; i < t->file_n; i++)
		if (strcmp(t->files[i].meta.path, below) == 0)
			return true;
	return false;
}

static int check_orphan(void *ctx, const char *path, const struct stat *st)
{
	struct orphans *o = ctx;
	struct fsck *f = o->d->f;
	struct fsck_table *t = o->t;
	char aside[128];
	int rc = 0;

	if (!S_ISREG(st->st_mode) || is_known(t, path + strlen(t->dir) + 1))
		return 0;
	fsck_checked(f, (uint64_t)st->st_size);
	/*
	 * Where files are missing, or the catalogue is older than the log, an orphan may be all there is:
	 * a mount would sweep it away once the missing ones are forgotten, so it is moved out of its reach.
	 */
	bool is_copy = strstr(path, "/" DIR_INCOMING "/") != NULL;
	bool keep = !is_copy && (t->incomplete || o->d->is_old);
	if (fsck_repairs(f) && keep) {
		snprintf(aside, sizeof aside, "%s/" DIR_DAMAGED, t->dir);
		rc = fsck_set_aside(f, o->d->dirfd, path, aside);
	} else if (fsck_repairs(f)) {
		rc = f->io->unlinkat(f->io, o->d->dirfd, path, 0);
	}
	fsck_found(f, (struct fsck_where){o->d, t, path, -1}, keep ? FSCK_WARNING : FSCK_NOTE, true, rc,
		   keep ? "move it to " DIR_DAMAGED "/ of the table, as other files are missing" : "remove it, as mounting would",
		   is_copy ? "was to be restored: a crash left it behind when it was just begun"
			   : "is named by no transaction: a crash left it behind, and its rows are elsewhere");
	return 0;
}

int fsck_files(struct fsck_db *d, struct fsck_table *t, struct err *e)
{
	static const char *const dirs[] = {DIR_RUNS, DIR_TILES, DIR_INCOMING};
	struct orphans o = {d, t};
	char path[128];
	int rc = 0;

	for (uint32_t i = 0; i < t->file_n && rc >= 0; i++)
		rc = check_file(d, t, &t->files[i], e);
	for (size_t i = 0; i < ARRAY_LEN(dirs) && rc >= 0; i++) {
		snprintf(path, sizeof path, "%s/%s", t->dir, dirs[i]);
		int walked = fsck_walk(d->dirfd, path, check_orphan, &o);
		if (walked < 0 && walked != -ENOENT)
			rc = err_set(e, walked, "cannot read '%s': %s", path, strerror(-walked));
	}
	return rc;
}

/* ---- without a catalogue ------------------------------------------------------------------------ */

static int check_alone(void *ctx, const char *path, const struct stat *st)
{
	struct fsck_db *d = ctx;
	const char *dot = strrchr(path, '.');
	struct err why = {0};
	struct tile *tile = NULL;

	if (!S_ISREG(st->st_mode) || strstr(path, "/" DIR_DAMAGED "/") || !dot ||
	    (strcmp(dot, ".run") != 0 && strcmp(dot, ".parquet") != 0))
		return 0;
	int rc = tile_open(d->f->io, d->dirfd, path, &tile, &why);
	if (rc >= 0)
		rc = tile_verify(tile, &why);
	tile_put(tile);
	fsck_checked(d->f, (uint64_t)st->st_size);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		fsck_found(d->f, (struct fsck_where){d, NULL, path, -1}, FSCK_ERROR, false, 0,
			   "nothing is touched while the catalogue is damaged", "%s", err_text(&why, rc));
	return 0;
}

int fsck_files_alone(struct fsck_db *d, struct err *e)
{
	int rc = fsck_walk(d->dirfd, DIR_TABLES, check_alone, d);

	if (rc < 0 && rc != -ENOENT)
		return err_set(e, rc, "cannot read '" DIR_TABLES "': %s", strerror(-rc));
	return 0;
}
