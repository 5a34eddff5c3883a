/*
 * snapshot_apply: tables, columns and settings out of a snapshot.json.
 *
 * Everything that can be wrong with it is found before anything is made: the text, names, the rules
 * for columns (tried on a set of columns beside the table's), the values of settings. After that only
 * the disk can fail, and then the same text may be applied again: what is there already is as it
 * should be.
 */
#include <stdlib.h>

#include "engine/snapshot.h"

struct applying {
	struct db *db;
	const struct snapshot_hooks *hooks;
	struct err *e;
};

static int no_memory(struct applying *a)
{
	return err_set(a->e, -ENOMEM, "out of memory for " FILE_SNAPSHOT);
}

static int add_columns(struct series_set *set, const struct snap_table *st, struct err *e)
{
	struct column_spec *specs = malloc((st->column_n + 1) * sizeof *specs);
	uint32_t *ids = malloc((st->column_n + 1) * sizeof *ids);
	int rc = specs && ids ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (uint32_t i = 0; i < st->column_n && rc >= 0; i++)
		specs[i] = (struct column_spec){st->columns[i].name, st->columns[i].kind, st->columns[i].type};
	if (rc >= 0 && st->column_n)
		rc = series_add_columns(set, specs, st->column_n, ids, NULL, e);
	free(specs);
	free(ids);
	return rc;
}

/* t: NULL where it is to be made. */
static int check_columns(struct applying *a, const struct table *t, const struct snap_table *st)
{
	struct series_set *set;
	struct err why = {0};
	int rc = series_set_create(&set);

	if (rc < 0)
		return no_memory(a);
	for (uint32_t i = 0; t && i < series_column_count(t->series) && rc >= 0; i++) {
		const struct column *c = series_column(t->series, i);
		rc = (int)MIN(series_add_column(set, c->name, c->kind, c->type, &why), 0);
	}
	if (rc >= 0)
		rc = add_columns(set, st, &why);
	series_set_destroy(set);
	if (rc == -ENOMEM)
		return no_memory(a);
	return rc < 0 ? err_set(a->e, -EINVAL, FILE_SNAPSHOT ": table '%.*s': %s", STR_FMT(st->name), err_text(&why, rc))
		      : 0;
}

/* t: the table that is there already, or NULL. */
static int check_settings(struct applying *a, struct table *t, const struct snap_table *st)
{
	struct settings s;
	struct err why = {0};
	int rc = settings_init(&s);

	if (rc < 0)
		return no_memory(a);
	for (int i = 0; i < SETTINGS && rc >= 0; i++)
		if (st->settings[i].ptr)
			rc = t ? table_check_restored(t, (enum setting)i, st->settings[i], &why)
			       : settings_apply(&s, (enum setting)i, st->settings[i], &why);
	settings_release(&s);
	return rc < 0 ? err_set(a->e, rc, FILE_SNAPSHOT ": table '%.*s': %s", STR_FMT(st->name), err_text(&why, rc)) : 0;
}

static int check_table(struct applying *a, const struct snap_table *st)
{
	struct err why = {0};
	int rc = engine_check_name(a->db->en, st->name, &why);

	if (rc < 0)
		return err_set(a->e, -EINVAL, FILE_SNAPSHOT ": %s", err_text(&why, rc));
	struct table *t = db_table(a->db, st->name);
	if (t && a->hooks->may_change && !a->hooks->may_change(a->hooks->ctx, t))
		rc = err_set(a->e, -EACCES, FILE_SNAPSHOT ": table '%s' is there already, and is not yours to change",
			     table_name(t));
	if (rc >= 0)
		rc = check_columns(a, t, st);
	if (rc >= 0)
		rc = check_settings(a, t, st);
	table_put(t);
	return rc;
}

/* Columns without rows: no append carries their definitions into the log, so this does. */
static int log_definitions(struct table *t, struct err *e)
{
	struct wal_record recs[2];
	struct series_mark mark;
	int n = 0;

	pthread_mutex_lock(&t->append_mu);
	buf_clear(&t->def_cols);
	buf_clear(&t->def_series);
	int rc = table_check_alive(t, e);
	if (rc >= 0) {
		rc = series_encode_unlogged(t->series, &t->def_cols, &t->def_series, &mark);
		if (rc < 0)
			err_set(e, rc, "out of memory");
	}
	if (rc >= 0 && t->def_cols.len)
		recs[n++] = (struct wal_record){.table_id = t->meta.id, .type = WAL_COLUMN,
						.payload = buf_str(&t->def_cols)};
	if (rc >= 0 && t->def_series.len)
		recs[n++] = (struct wal_record){.table_id = t->meta.id, .type = WAL_SERIES,
						.payload = buf_str(&t->def_series)};
	if (rc >= 0 && n)
		rc = wal_append(t->db->wal, recs, n, e);
	if (rc >= 0 && n) {
		if (!t->unsaved_def_lsn)
			t->unsaved_def_lsn = recs[0].lsn;
		series_set_logged(t->series, mark);
		table_note_change(t);
	}
	pthread_mutex_unlock(&t->append_mu);
	return rc;
}

static int make_table(struct applying *a, const struct snap_table *st)
{
	struct table *t = db_table(a->db, st->name);
	char now[SETTING_TEXT_MAX];
	bool is_new = !t;
	int rc = 0;

	if (is_new) {
		rc = db_table_create(a->db, st->name, &t, a->e);
		if (rc == -EEXIST && (t = db_table(a->db, st->name)))
			rc = 0; /* somebody was faster: mkdir(2), a line */
	}
	if (rc >= 0)
		rc = add_columns(t->series, st, a->e);
	if (rc >= 0)
		rc = log_definitions(t, a->e);
	for (int i = 0; i < SETTINGS && rc >= 0; i++) {
		if (!st->settings[i].ptr)
			continue;
		table_setting(t, (enum setting)i, now);
		if (!str_is(str_trim(st->settings[i]), now))
			rc = table_set_restored(t, (enum setting)i, st->settings[i], a->e);
	}
	if (rc >= 0 && is_new && a->hooks->made)
		a->hooks->made(a->hooks->ctx, t);
	FAULT("snapshot.applied_table");
	table_put(t);
	return rc;
}

int db_snapshot_apply(struct db *db, struct str json, const struct snapshot_hooks *hooks, struct err *e)
{
	static const struct snapshot_hooks none;
	struct applying a = {db, hooks ? hooks : &none, e};
	struct snap_doc doc;
	int rc = db_check_alive(db, e);

	if (rc >= 0 && db->en->opt.read_only)
		rc = err_set(e, -EROFS, "the data directory is open for reading only");
	if (rc < 0)
		return rc;
	snap_doc_init(&doc);
	rc = snap_doc_parse(&doc, json, e);
	for (uint32_t i = 0; i < doc.table_n && rc >= 0; i++)
		rc = check_table(&a, &doc.tables[i]);
	for (uint32_t i = 0; i < doc.table_n && rc >= 0; i++)
		rc = make_table(&a, &doc.tables[i]);
	if (rc >= 0)
		rc = db_sync(db, e);
	snap_doc_release(&doc);
	return rc;
}
