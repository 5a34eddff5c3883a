/*
 * fsck of one database: catalogue, tables and series files; the rest is called from here.
 *
 * A series file that is damaged is put together again from three sources: its whole blocks, the
 * definitions in the log, and then the blocks behind the damage, which fit once the log has filled the
 * hole. Only when nothing that the catalogue or a file speaks of is missing is a new file written.
 */
#include "engine/fsck_impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct loading {
	struct fsck_db *d;
	struct fsck_table *t;
	struct err *e;
};

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* ---- catalogue ------------------------------------------------------------------------------- */

static bool is_malformed(const struct catalog_file *m)
{
	const char *below = m->kind == CATALOG_RUN ? DIR_RUNS "/" : DIR_TILES "/";

	return strncmp(m->path, below, strlen(below)) != 0 || strstr(m->path, "..");
}

static int load_file(void *ctx, const struct catalog_file *meta)
{
	struct loading *l = ctx;
	struct fsck_table *t = l->t;

	if (is_malformed(meta)) {
		fsck_found(l->d->f, (struct fsck_where){l->d, t, meta->path, -1}, FSCK_ERROR, false, 0,
			   "restore the catalogue from a backup", "the catalogue names a malformed path");
		return 0;
	}
	if (t->file_n == t->file_cap) {
		uint32_t cap = MAX(t->file_cap * 2, 16u);
		struct fsck_file *v = realloc(t->files, cap * sizeof *v);
		if (!v)
			return no_memory(l->e);
		t->files = v;
		t->file_cap = cap;
	}
	t->files[t->file_n++] = (struct fsck_file){.meta = *meta};
	return 0;
}

static int load_table(void *ctx, const struct catalog_table *meta)
{
	struct loading *l = ctx;
	struct fsck_table *t = calloc(1, sizeof *t);

	if (!t)
		return no_memory(l->e);
	t->meta = *meta;
	t->series_damage = -1;
	snprintf(t->dir, sizeof t->dir, DIR_TABLES "/%u", meta->id);
	t->next = l->d->tables;
	l->d->tables = t;
	l->d->lsn_max = MAX(l->d->lsn_max, meta->flushed_lsn);
	return 0;
}

/* The catalogue as it is, opened for reading: opening it for writing would make a missing one. */
static int open_catalog(struct fsck_db *d, bool read_only, struct err *e)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/db/%s/catalog.sqlite", d->f->en.path, d->name);
	return catalog_open(path, read_only, &d->cat, e);
}

static int load_catalog(struct fsck_db *d, struct err *e)
{
	struct loading l = {.d = d, .e = e};
	int64_t last = 0;
	int rc = open_catalog(d, true, e);

	if (rc >= 0 && fsck_repairs(d->f)) {
		catalog_close(d->cat);
		d->cat = NULL;
		rc = open_catalog(d, false, e);
	}
	if (rc >= 0)
		rc = catalog_tables(d->cat, load_table, &l, e);
	if (rc >= 0)
		rc = catalog_table_id_max(d->cat, &d->table_id_max, e);
	if (rc >= 0)
		rc = catalog_get_int(d->cat, "last_lsn", 0, &last, e);
	d->lsn_max = MAX(d->lsn_max, (uint64_t)last);
	for (l.t = d->tables; l.t && rc >= 0; l.t = l.t->next)
		rc = catalog_files(d->cat, l.t->meta.id, load_file, &l, e);
	return rc;
}

/* ---- series files ---------------------------------------------------------------------------- */

static bool series_complete(const struct fsck_table *t)
{
	return series_count(t->series) >= t->meta.saved_series &&
	       series_column_count(t->series) >= t->meta.saved_columns;
}

static int load_series(struct fsck_db *d, struct fsck_table *t, struct err *e)
{
	char path[128];
	struct err why = {0};
	struct stat st;
	int rc = series_set_create(&t->series);

	if (rc < 0)
		return no_memory(e);
	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	rc = series_file_load(t->series, d->f->io, d->dirfd, path, &why);
	if (rc == -ENOMEM)
		return no_memory(e);
	if (fstatat(d->dirfd, path, &st, 0) == 0)
		fsck_checked(d->f, (uint64_t)st.st_size);
	else
		st.st_size = -1;
	if (rc >= 0 && series_complete(t))
		return 0;
	if (rc < 0)
		snprintf(t->series_why, sizeof t->series_why, "%.500s", err_text(&why, rc));
	else
		snprintf(t->series_why, sizeof t->series_why,
			 "%s: %u columns and %u series, where %u and %u were saved",
			 st.st_size < 0 ? "is missing" : "ends early", series_column_count(t->series),
			 series_count(t->series), t->meta.saved_columns, t->meta.saved_series);
	series_set_destroy(t->series);
	t->series = NULL;
	rc = series_set_create(&t->series);
	return rc < 0 ? no_memory(e) : series_file_salvage(t->series, d->f->io, d->dirfd, path, &t->series_damage, e);
}

/* A new file of all that is known, and the old one aside. */
static int rebuild_series(struct fsck_db *d, struct fsck_table *t)
{
	const struct io *io = d->f->io;
	char path[128], fresh[128], aside[128];
	struct err why = {0};
	struct stat st;

	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	snprintf(fresh, sizeof fresh, "%s/" FILE_SERIES ".new", t->dir);
	snprintf(aside, sizeof aside, "%s/" DIR_DAMAGED, t->dir);
	(void)io->unlinkat(io, d->dirfd, fresh, 0);
	int rc = series_file_save(t->series, io, d->dirfd, fresh, &why);
	if (rc >= 0 && fstatat(d->dirfd, path, &st, 0) == 0)
		rc = fsck_copy_aside(d->f, d->dirfd, path, aside);
	if (rc >= 0)
		rc = io->renameat(io, d->dirfd, fresh, d->dirfd, path);
	return rc < 0 ? rc : io_sync_parent(io, d->dirfd, path);
}

/* Definitions that files need, beyond what the catalogue says was saved. */
static uint32_t series_needed(struct fsck_db *d, const struct fsck_table *t)
{
	uint32_t most = t->meta.saved_series;
	char path[FSCK_PATH];

	for (uint32_t i = 0; i < t->file_n; i++) {
		struct tile *tile;
		snprintf(path, sizeof path, "%s/%s", t->dir, t->files[i].meta.path);
		if (tile_open(d->f->io, d->dirfd, path, &tile, NULL) < 0)
			continue;
		const struct tile_series *ts = tile_series(tile);
		for (uint32_t k = 0; k < tile_info(tile)->series_count; k++)
			if (ts[k].series_id < SERIES_MAX)
				most = MAX(most, ts[k].series_id + 1);
		tile_put(tile);
	}
	return most;
}

/* The log's definitions have come in by now. */
static int judge_series(struct fsck_db *d, struct fsck_table *t, struct err *e)
{
	char path[128];
	int64_t ignored;
	int rc, done = 0;

	if (!t->series_why[0])
		return 0;
	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	rc = series_file_salvage(t->series, d->f->io, d->dirfd, path, &ignored, e);
	if (rc < 0)
		return rc;
	uint32_t need = series_needed(d, t), have = series_count(t->series);
	bool can = series_complete(t) && have >= need;
	char advice[256] = "keep a copy of it in " DIR_DAMAGED "/ and write it anew from its whole blocks and the log";
	if (can && fsck_repairs(d->f))
		done = rebuild_series(d, t);
	if (!can)
		snprintf(advice, sizeof advice,
			 "restore it from a backup: with the log, it gives %u of %u series and %u of %u columns; no row is lost "
			 "by that, but none of the table can be read without it",
			 have, need, series_column_count(t->series), t->meta.saved_columns);
	fsck_found(d->f, (struct fsck_where){d, t, path, t->series_damage}, FSCK_ERROR, can, done, advice, "%s",
		   t->series_why);
	return 0;
}

/* ---- directories of tables that there are not -------------------------------------------------- */


static int remove_below(void *ctx, const char *path, const struct stat *st)
{
	struct fsck_db *d = ctx;
	return d->f->io->unlinkat(d->f->io, d->dirfd, path, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0);
}

/* Directly below tables/: fsck_walk() also comes by with all that is deeper. */
static int check_table_dir(void *ctx, const char *path, const struct stat *st)
{
	struct fsck_db *d = ctx;
	const char *name = path + sizeof DIR_TABLES;
	char *end;
	unsigned long id = strtoul(name, &end, 10);
	int rc = 0;

	if (strchr(name, '/') || *end || !id || !S_ISDIR(st->st_mode))
		return 0;
	for (const struct fsck_table *t = d->tables; t; t = t->next)
		if (t->meta.id == id)
			return 0;
	struct fsck_where w = {d, NULL, path, -1};
	/* A table's directories are made before its transaction: empty ones say that it did not come to that. */
	bool has_files = false, is_unknown = id > d->table_id_max || d->is_old;
	if (is_unknown && (rc = fsck_holds_files(d->dirfd, path, &has_files)) < 0)
		return rc;
	if (has_files) {
		fsck_found(d->f, w, FSCK_ERROR, false, 0, "restore the catalogue from a backup; nothing of this is touched",
			   "belongs to a table that the catalogue does not know: the catalogue is older than the files");
		return 0;
	}
	if (fsck_repairs(d->f)) {
		rc = fsck_walk(d->dirfd, path, remove_below, d);
		if (rc >= 0)
			rc = d->f->io->unlinkat(d->f->io, d->dirfd, path, AT_REMOVEDIR);
	}
	fsck_found(d->f, w, FSCK_NOTE, true, rc, "remove it, as mounting would",
		   is_unknown ? "is what is left of a table that was not made after all"
			      : "is what is left of a table that was dropped");
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void forget_catalog(struct fsck_db *d)
{
	while (d->tables) {
		struct fsck_table *t = d->tables;
		d->tables = t->next;
		for (uint32_t i = 0; i < t->file_n; i++)
			tile_put(t->files[i].tile);
		free(t->files);
		series_set_destroy(t->series);
		free(t);
	}
	catalog_close(d->cat);
	d->cat = NULL;
}

static void release(struct fsck_db *d)
{
	forget_catalog(d);
	free(d->whole.v);
	if (d->dirfd >= 0)
		close(d->dirfd);
}

static bool is_empty(int dirfd)
{
	struct stat st;
	return fstatat(dirfd, DIR_TABLES, &st, 0) < 0 && fstatat(dirfd, DIR_WAL, &st, 0) < 0 &&
	       fstatat(dirfd, "catalog.sqlite", &st, 0) < 0;
}

static int check_tables(struct fsck_db *d, struct err *e)
{
	bool any_damaged = false;
	int rc = 0;

	for (struct fsck_table *t = d->tables; t && rc >= 0; t = t->next) {
		rc = load_series(d, t, e);
		any_damaged |= t->series_why[0] != '\0';
	}
	if (rc >= 0 && any_damaged)
		rc = fsck_log_definitions(d, e);
	for (struct fsck_table *t = d->tables; t && rc >= 0; t = t->next)
		rc = judge_series(d, t, e);
	if (rc >= 0)
		rc = fsck_log(d, e);
	for (struct fsck_table *t = d->tables; t && rc >= 0; t = t->next) {
		rc = fsck_files(d, t, e);
		if (rc >= 0)
			rc = fsck_order(d, t, e);
	}
	if (rc >= 0) {
		int walked = fsck_walk(d->dirfd, DIR_TABLES, check_table_dir, d);
		rc = walked == -ENOENT ? 0 : walked;
	}
	return rc;
}

/* Nothing in it: just made, or the directory of a disk that is not there. */
static void check_known(struct fsck_db *d)
{
	char key[NAME_LEN_MAX + 4];
	int64_t known = 0;

	snprintf(key, sizeof key, "db/%s", d->name);
	if (d->f->root && catalog_get_int(d->f->root, key, 0, &known, NULL) >= 0 && known)
		fsck_found(d->f, (struct fsck_where){d, NULL, "", -1}, FSCK_ERROR, false, 0,
			   "mount the disk that it is on, or remove the directory if it is gone for good",
			   "its directory is empty, and the database was here before");
}

/* Damage and a missing file are one thing; what else keeps it from being opened may be over tomorrow. */
static bool is_lost(int rc)
{
	return rc == -EBADMSG || rc == -ENOENT || rc == -EMEDIUMTYPE;
}

static int check_without_catalog(struct fsck_db *d, int rc, const struct err *why, struct err *e)
{
	bool is_rebuilt = false;

	if (!is_lost(rc)) {
		fsck_found(d->f, (struct fsck_where){d, NULL, "catalog.sqlite", -1}, FSCK_ERROR, false, 0, NULL, "%s",
			   err_text(why, rc));
		rc = 0;
	} else {
		rc = fsck_catalog(d, rc, err_text(why, rc), &is_rebuilt, e);
	}
	if (rc >= 0 && is_rebuilt) {
		rc = load_catalog(d, e);
		return rc < 0 ? rc : check_tables(d, e);
	}
	return rc < 0 ? rc : fsck_files_alone(d, e);
}

int fsck_db(struct fsck *f, const char *name, struct err *e)
{
	struct fsck_db d = {.f = f, .dirfd = -1};
	struct err why = {0};
	char path[NAME_LEN_MAX + 4];
	struct stat st;

	snprintf(d.name, sizeof d.name, "%s", name);
	snprintf(path, sizeof path, "db/%s", name);
	d.dirfd = openat(f->en.dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d.dirfd < 0) {
		fsck_found(f, (struct fsck_where){&d, NULL, "", -1}, FSCK_ERROR, false, 0, NULL,
			   "the directory cannot be opened: %s", strerror(errno));
		return 0;
	}
	if (is_empty(d.dirfd)) {
		check_known(&d);
		release(&d);
		return 0;
	}
	int rc = load_catalog(&d, &why);
	if (fstatat(d.dirfd, "catalog.sqlite", &st, 0) == 0)
		fsck_checked(f, (uint64_t)st.st_size);
	if (rc < 0 && rc != -ENOMEM) {
		forget_catalog(&d);
		rc = check_without_catalog(&d, rc, &why, e);
	} else if (rc >= 0) {
		rc = check_tables(&d, e);
	}
	if (rc >= 0)
		rc = fsck_snapshots(&d, e);
	release(&d);
	if (rc < 0 && rc != -ENOMEM) {
		/* This database cannot be looked at any further; the others can. */
		fsck_found(f, (struct fsck_where){&d, NULL, "", -1}, FSCK_ERROR, false, 0, NULL, "%s", err_text(e, rc));
		rc = 0;
	}
	return rc;
}
