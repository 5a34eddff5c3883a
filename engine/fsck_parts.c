/*
 * fsck of parts: each tile holds series of its part of the date alone, by the table's partition key.
 *
 * A query that knows its series does not open tiles of other parts, so a row in the wrong one may not
 * be found. No row is lost by that, and none has to be moved here: the repair makes the catalogue
 * forget which parts the tiles of the date are. Such tiles are always looked at, and the background
 * work of the next mount writes the date anew.
 */
#include "engine/fsck_impl.h"

#include <stdio.h>

#define REPAIR                                                                                           \
	"have the next mount write all tiles of the date anew; until it has, queries look at each of them"

static int load_parts(struct fsck_db *d, const struct fsck_table *t, struct series_parts **ret, struct err *e)
{
	struct settings s;
	struct err why = {0};
	int rc = settings_init(&s);

	*ret = NULL;
	if (rc >= 0) {
		rc = settings_load(&s, d->cat, t->meta.id, &why);
		if (rc == -EBADMSG) {
			fsck_found(d->f, (struct fsck_where){d, t, "catalog.sqlite", -1}, FSCK_ERROR, false, 0,
				   "restore the database from a backup: the table's tiles lie by that key", "%s",
				   err_text(&why, rc));
			rc = 1;
		}
	}
	if (rc == 0)
		rc = series_parts_create(t->series, s.key, ret);
	settings_release(&s);
	return rc < 0 ? err_set(e, rc, "%s", err_text(&why, rc)) : 0;
}

/* What is wrong with a tile's place, to `what`. */
static bool is_misplaced(const struct fsck_table *t, const struct fsck_file *ff, uint32_t parts,
			 const struct series_parts *where, char *what, size_t cap)
{
	const struct catalog_file *m = &ff->meta;
	uint32_t n = ff->tile ? tile_info(ff->tile)->series_count : 0, others = 0, first = 0;

	if (m->parts != parts) {
		snprintf(what, cap, "speaks of %u parts of its date, where another tile has %u", m->parts, parts);
		return true;
	}
	if (m->part >= m->parts) {
		snprintf(what, cap, "is part %u of %u of its date", m->part, m->parts);
		return true;
	}
	for (uint32_t i = 0; i < n && m->parts > 1; i++) {
		uint32_t id = tile_series(ff->tile)[i].series_id;
		if (id >= series_count(t->series) || series_parts_hash(where, id) % m->parts == m->part)
			continue;
		first = others++ ? first : id;
	}
	if (others)
		snprintf(what, cap, "holds %u series that belong to other parts of the date (the first is %u)", others,
			 first);
	return others > 0;
}

/* The files from..to are the tiles of a date. One transaction; ids change, as files are never altered. */
static int forget_parts(struct fsck_db *d, struct fsck_table *t, uint32_t from, uint32_t to)
{
	struct err why = {0};
	int rc = catalog_begin(d->cat, &why);

	if (rc < 0)
		return rc;
	for (uint32_t i = from; i < to && rc >= 0; i++) {
		struct catalog_file *m = &t->files[i].meta;
		rc = catalog_file_remove(d->cat, m->id, &why);
		m->parts = 0;
		if (rc >= 0)
			rc = catalog_file_add(d->cat, m, &why);
	}
	if (rc >= 0)
		return catalog_commit(d->cat, &why);
	catalog_abort(d->cat);
	return rc;
}

static void check_date(struct fsck_db *d, struct fsck_table *t, uint32_t from, uint32_t to,
		       const struct series_parts *where)
{
	char path[FSCK_PATH], what[256] = "";
	uint32_t bad = to, unknown = 0;
	int rc = 0;

	for (uint32_t i = from; i < to; i++)
		unknown += !t->files[i].meta.parts;
	if (unknown == to - from) {
		snprintf(path, sizeof path, "%s/%s", t->dir, t->files[from].meta.path);
		fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_NOTE, false, 0, NULL,
			   "and the other tiles of its date wait to be written anew, which the next mount does");
		return;
	}
	for (uint32_t i = from; i < to && bad == to; i++)
		if (is_misplaced(t, &t->files[i], t->files[from].meta.parts, where, what, sizeof what))
			bad = i;
	if (bad == to)
		return;
	snprintf(path, sizeof path, "%s/%s", t->dir, t->files[bad].meta.path);
	if (fsck_repairs(d->f))
		rc = forget_parts(d, t, from, to);
	fsck_found(d->f, (struct fsck_where){d, t, path, -1}, FSCK_ERROR, true, rc, REPAIR, "%s", what);
}

/* t->files: sorted by kind and date. */
int fsck_parts(struct fsck_db *d, struct fsck_table *t, struct err *e)
{
	struct series_parts *where;
	int rc = load_parts(d, t, &where, e);

	if (rc < 0 || !where)
		return rc;
	for (uint32_t i = 0, to; i < t->file_n; i = to) {
		to = i + 1;
		if (t->files[i].meta.kind != CATALOG_TILE)
			continue;
		while (to < t->file_n && t->files[to].meta.kind == CATALOG_TILE &&
		       t->files[to].meta.date == t->files[i].meta.date)
			to++;
		check_date(d, t, i, to, where);
	}
	series_parts_put(where);
	return 0;
}
