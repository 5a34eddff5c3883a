/*
 * fake_db: the few engine functions that ingest calls, as a sink in memory that can be told to fail.
 * Included by tests and tools of the parsers; nothing of the real engine is linked beside it.
 */
#ifndef TIDE_FAKE_DB_H
#define TIDE_FAKE_DB_H

#include <stdlib.h>

#include "engine/engine.h"

struct table {
	struct db *db;
	char name[NAME_LEN_MAX + 1];
	struct series_set *series;
	struct table_window window;
	struct part_key *key; /* counted in window.key_version */
	int refs;
	bool dropped;
	uint64_t rows, rejected, counted;
	struct buf rows_text;     /* one line a row, when db->keep_text */
	struct buf rejected_text; /* JSON lines */
};

struct db {
	struct table *tables[2048];
	uint32_t n;
	int refs;
	bool keep_text;
	int fail_after; /* the n-th append from now fails; 0 = none */
	int fail_with;  /* positive errno */
	uint64_t appends;
	struct table_window window; /* of new tables */
	const char *name;           /* NULL: "db" */
	/* Rows with versions below it lose, and those of the same one, too: nothing else is stored. 0: none does. */
	int64_t existing_version;
};

const struct setting_def setting_defs[SETTINGS] = {
	[SET_RETENTION_MEMORY] = {"retention/memory", "6h", "", ""},
	[SET_RETENTION_MAGNETIC] = {"retention/magnetic", "73000d", "", ""},
	[SET_DURABILITY] = {"settings/durability", "buffered", "", ""},
	[SET_PRECISION] = {"settings/precision", "ns", "", ""},
	[SET_FUTURE_LIMIT] = {"settings/future_limit", "15m", "", ""},
	[SET_LATE_DATA] = {"settings/late_data", "magnetic", "", ""},
	[SET_ENCODING] = {"settings/encoding", "open", "", ""},
};

static void fake_db_init(struct db *db)
{
	*db = (struct db){.refs = 1, .window = {.hi_ns = INT64_MAX, .precision_ns = 1}};
}

static void fake_table_free(struct table *t)
{
	series_set_destroy(t->series);
	part_key_put(t->key);
	buf_release(&t->rows_text);
	buf_release(&t->rejected_text);
	free(t);
}

static inline void fake_db_release(struct db *db)
{
	for (uint32_t i = 0; i < db->n; i++)
		table_put(db->tables[i]);
	db->n = 0;
}

struct db *db_get(struct db *db)
{
	db->refs++;
	return db;
}

void db_put(struct db *db)
{
	if (db)
		db->refs--;
}

struct table *table_get(struct table *t)
{
	t->refs++;
	return t;
}

void table_put(struct table *t)
{
	if (t && --t->refs == 0)
		fake_table_free(t);
}

const char *db_name(const struct db *db)
{
	return db->name ? db->name : "db";
}

const char *table_name(const struct table *t)
{
	return t->name;
}

bool table_dropped(const struct table *t)
{
	return t->dropped;
}

struct series_set *table_series(const struct table *t)
{
	return t->series;
}

void table_window(struct table *t, struct table_window *ret)
{
	*ret = t->window;
}

struct part_key *table_part_key(struct table *t)
{
	return part_key_get(t->key);
}

static inline void fake_table_set_key(struct table *t, const char *text)
{
	part_key_put(t->key);
	if (part_key_parse(str_from(text), &t->key, NULL) < 0)
		abort();
	t->window.key_version++;
}

struct table *db_table(struct db *db, struct str name)
{
	for (uint32_t i = 0; i < db->n; i++)
		if (str_is(name, db->tables[i]->name))
			return table_get(db->tables[i]);
	return NULL;
}

int db_table_create(struct db *db, struct str name, struct table **ret, struct err *e)
{
	for (size_t i = 0; i < name.len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-",
			    name.ptr[i]))
			return err_set(e, -EINVAL, "table name '%.*s' is not allowed", STR_FMT(name));
	struct table *t = calloc(1, sizeof *t);
	memcpy(t->name, name.ptr, name.len);
	t->db = db;
	t->refs = 2;
	t->window = db->window;
	buf_init(&t->rows_text, (size_t)1 << 30);
	buf_init(&t->rejected_text, (size_t)1 << 30);
	if (series_set_create(&t->series) < 0 || part_key_parse(STR_LIT(PART_KEY_DEFAULT), &t->key, NULL) < 0)
		abort();
	db->tables[db->n++] = t;
	*ret = t;
	return 0;
}

static inline void fake_table_drop(struct db *db, struct table *t)
{
	for (uint32_t i = 0; i < db->n; i++)
		if (db->tables[i] == t)
			db->tables[i] = db->tables[--db->n];
	t->dropped = true;
	table_put(t);
}

struct rejected_log *table_rejected(struct table *t)
{
	return (struct rejected_log *)t;
}

/* Lines that name no table: nobody looks at them here. */
struct rejected_log *db_rejected(struct db *db)
{
	return NULL;
}

int rejected_add(struct rejected_log *r, struct str json, struct err *e)
{
	struct table *t = (struct table *)r;

	if (!t)
		return 0;
	t->counted++;
	t->rejected++;
	buf_add_str(&t->rejected_text, json);
	buf_addc(&t->rejected_text, '\n');
	return 0;
}

/* A part of a row's text; parts are sorted by name, as ids depend on who came first. */
struct fake_part {
	const struct column *column;
	const struct col *col; /* NULL: a dimension */
	struct str value;
};

static int fake_by_name(const void *a, const void *b)
{
	const struct fake_part *x = a, *y = b;

	if (!x->col != !y->col)
		return x->col ? 1 : -1;
	return str_cmp(x->column->name, y->column->name);
}

static void fake_value_text(struct buf *o, const struct col *col, uint32_t row)
{
	char num[F64_TEXT_MAX];

	switch (col->type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		buf_addf(o, "%lldi", (long long)col->i64[row]);
		break;
	case COL_DOUBLE:
		buf_add(o, num, f64_format(num, col->f64[row]));
		break;
	case COL_BOOLEAN:
		buf_adds(o, col->b8[row] ? "true" : "false");
		break;
	case COL_VARCHAR:
		buf_addc(o, '"');
		buf_add_str(o, col->str[row]);
		buf_addc(o, '"');
		break;
	}
}

/* "measure,dim=value... field=value... time", dimensions and fields by name. */
static void fake_row_text(struct table *t, const struct batch *b, uint32_t row)
{
	static struct fake_part parts[2 * COLUMNS_MAX];
	struct buf *o = &t->rows_text;
	uint32_t id = b->series[row], n = 0;

	for (uint32_t c = 0; c < series_column_count(t->series); c++) {
		const struct column *column = series_column(t->series, c);
		if (column->kind != COLKIND_DIMENSION)
			continue;
		uint32_t code = series_dim_code(t->series, id, c);
		if (code != DIM_ABSENT)
			parts[n++] = (struct fake_part){
				column, NULL, series_dict_value(t->series, c, code)};
	}
	for (uint32_t c = 0; c < b->col_count; c++)
		if (b->cols[c].col.valid[row])
			parts[n++] = (struct fake_part){
				series_column(t->series, b->cols[c].col_id), &b->cols[c].col, {"", 0}};
	qsort(parts, n, sizeof *parts, fake_by_name);
	buf_add_str(o, series_measure(t->series, id));
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(o, "%c%.*s=", parts[i].col ? ' ' : ',', STR_FMT(parts[i].column->name));
		if (parts[i].col)
			fake_value_text(o, parts[i].col, row);
		else
			buf_add_str(o, parts[i].value);
	}
	buf_addf(o, " %lld", (long long)b->time_ns[row]);
	if (b->has_version)
		buf_addf(o, " v%lld", (long long)b->version[row]);
	buf_addc(o, '\n');
}

static bool fake_loses(const struct db *db, struct table_batch *tb, uint32_t row)
{
	int64_t version = tb->batch->has_version ? tb->batch->version[row] : INT64_MAX;

	if (version > db->existing_version)
		return false;
	tb->conflicts = realloc(tb->conflicts, (tb->conflict_n + 1) * sizeof *tb->conflicts);
	tb->conflicts[tb->conflict_n++] =
		(struct version_conflict){row, db->existing_version, version == db->existing_version};
	return true;
}

int db_append(struct db *db, struct table_batch *batches, uint32_t n, struct err *e)
{
	db->appends++;
	if (db->fail_after && --db->fail_after == 0)
		return err_set(e, -db->fail_with, "told to fail");
	for (uint32_t i = 0; i < n; i++)
		if (batches[i].table->dropped)
			return err_set(e, -ESTALE, "table is gone");
	for (uint32_t i = 0; i < n; i++) {
		struct table *t = batches[i].table;
		for (uint32_t r = 0; r < batches[i].batch->n; r++) {
			if (fake_loses(db, &batches[i], r))
				continue;
			t->rows++;
			if (db->keep_text)
				fake_row_text(t, batches[i].batch, r);
		}
	}
	return 0;
}

#endif
