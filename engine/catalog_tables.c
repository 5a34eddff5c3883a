/*
 * catalog_tables: tables, their settings, and owner and mode of nodes.
 */
#include "engine/catalog_sql.h"

#include <sys/random.h>

#define TABLE_IDS "last_table_id"

/* ---- tables --------------------------------------------------------------------------------- */

static int random_uuid(uint8_t uuid[16], struct err *e)
{
	if (getrandom(uuid, 16, 0) != 16)
		return err_set(e, -EIO, "the system gives no random numbers");
	uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40); /* version 4, variant 1 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
	return 0;
}

static int add_table(struct catalog *c, struct catalog_table *t, struct err *e)
{
	uint64_t id;
	int rc = catalog_next_id(c, TABLE_IDS, &id, e);
	sqlite3_stmt *st;

	if (rc == 0 && id > UINT32_MAX)
		rc = err_set(e, -E2BIG, "catalogue '%s': no table id is left", c->path);
	if (rc < 0)
		return rc;
	t->id = (uint32_t)id;
	st = catalog_stmt(c, STMT_TABLE_ADD, &rc, e);
	if (!st)
		return rc;
	catalog_touch(c, t->id);
	sqlite3_bind_int64(st, 1, t->id);
	sqlite3_bind_text(st, 2, t->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 3, t->uuid, sizeof t->uuid, SQLITE_STATIC);
	sqlite3_bind_int64(st, 4, t->expired_before_ns);
	sqlite3_bind_int64(st, 5, t->created_ns);
	rc = sqlite3_step(st);
	if (rc == SQLITE_DONE)
		rc = 0;
	else if (rc == SQLITE_CONSTRAINT_UNIQUE)
		rc = err_set(e, -EEXIST, "there is a table '%s' already", t->name);
	else
		rc = catalog_fail(c, rc, "cannot store a table", e);
	catalog_done(c, st);
	return rc;
}

int catalog_table_create(struct catalog *c, const char *name, struct catalog_table *ret,
			 struct err *e)
{
	struct catalog_table t = {.expired_before_ns = INT64_MIN, .created_ns = clock_now_ns()};
	size_t len = strlen(name);
	bool own;

	if (len == 0 || len >= sizeof t.name)
		return err_set(e, len ? -ENAMETOOLONG : -EINVAL,
			       "a table name has 1 to %zu bytes, not %zu", sizeof t.name - 1, len);
	memcpy(t.name, name, len + 1);
	int rc = random_uuid(t.uuid, e);
	if (rc == 0)
		rc = catalog_group_begin(c, &own, e);
	if (rc == 0)
		rc = catalog_group_end(c, own, add_table(c, &t, e), e);
	if (rc == 0)
		*ret = t;
	return rc;
}

static int drop_rows(struct catalog *c, uint32_t id, struct err *e)
{
	static const enum catalog_stmt parts[] = {
		STMT_TABLE_DROP_SETTINGS,
		STMT_TABLE_DROP_MOVED, /* before the files it looks up */
		STMT_TABLE_DROP_FILES,
		STMT_TABLE_DROP_TOMBS,
		STMT_TABLE_DROP,
	};
	char name[sizeof((struct catalog_table *)0)->name];
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_TABLE_NAME, &rc, e);

	if (!st)
		return rc;
	sqlite3_bind_int64(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		rc = catalog_text(c, st, 0, name, sizeof name, e);
	else if (rc == SQLITE_DONE)
		rc = err_set(e, -ENOENT, "catalogue '%s': there is no table with id %u", c->path,
			     id);
	else
		rc = catalog_fail(c, rc, "cannot read a table", e);
	catalog_done(c, st);

	catalog_touch(c, id);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++)
		rc = catalog_exec_id(c, parts[i], id, "cannot drop a table", e);
	return rc == 0 ? catalog_attr_drop(c, name, e) : rc;
}

int catalog_table_drop(struct catalog *c, uint32_t id, struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	return rc < 0 ? rc : catalog_group_end(c, own, drop_rows(c, id, e), e);
}

static int update_table(struct catalog *c, const struct catalog_table *t, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_TABLE_UPDATE, &rc, e);

	if (!st)
		return rc;
	catalog_touch(c, t->id);
	sqlite3_bind_int64(st, 1, t->id);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)t->flushed_lsn);
	sqlite3_bind_int64(st, 3, t->expired_before_ns);
	sqlite3_bind_int64(st, 4, t->saved_columns);
	sqlite3_bind_int64(st, 5, t->saved_series);
	rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		rc = catalog_fail(c, rc, "cannot update a table", e);
	else if (sqlite3_changes(c->db) == 0)
		rc = err_set(e, -ENOENT, "catalogue '%s': there is no table with id %u", c->path,
			     t->id);
	else
		rc = 0;
	catalog_done(c, st);
	return rc;
}

int catalog_table_update(struct catalog *c, const struct catalog_table *t, struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	return rc < 0 ? rc : catalog_group_end(c, own, update_table(c, t, e), e);
}

int catalog_table_id_max(struct catalog *c, uint32_t *ret, struct err *e)
{
	int64_t last;
	int rc = catalog_get_int(c, TABLE_IDS, 0, &last, e);

	if (rc == 0)
		*ret = (uint32_t)last;
	return rc;
}

static int read_table(struct catalog *c, sqlite3_stmt *st, struct catalog_table *t, struct err *e)
{
	sqlite3_int64 id = sqlite3_column_int64(st, 0);
	const void *uuid = sqlite3_column_blob(st, 2);

	*t = (struct catalog_table){0};
	if (id <= 0 || id > UINT32_MAX || !uuid || sqlite3_column_bytes(st, 2) != sizeof t->uuid)
		return err_set(e, -EBADMSG, "catalogue '%s': table %lld is malformed", c->path,
			       (long long)id);
	t->id = (uint32_t)id;
	memcpy(t->uuid, uuid, sizeof t->uuid);
	t->flushed_lsn = (uint64_t)sqlite3_column_int64(st, 3);
	t->expired_before_ns = sqlite3_column_int64(st, 4);
	t->created_ns = sqlite3_column_int64(st, 5);
	t->saved_columns = (uint32_t)sqlite3_column_int64(st, 6);
	t->saved_series = (uint32_t)sqlite3_column_int64(st, 7);
	return catalog_text(c, st, 1, t->name, sizeof t->name, e);
}

int catalog_tables(struct catalog *c, int (*fn)(void *ctx, const struct catalog_table *t),
		   void *ctx, struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_TABLE_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct catalog_table t;
		rc = step == SQLITE_ROW ? read_table(c, st, &t, e)
					: catalog_fail(c, step, "cannot list tables", e);
		if (rc == 0)
			rc = fn(ctx, &t);
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}

/* ---- settings -------------------------------------------------------------------------------- */

int catalog_setting_set(struct catalog *c, uint32_t table_id, const char *name, const char *value,
			struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_SETTING_SET, &rc, e);

	if (!st)
		return rc;
	catalog_touch(c, table_id);
	sqlite3_bind_int64(st, 1, table_id);
	sqlite3_bind_text(st, 2, name, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, value, -1, SQLITE_STATIC);
	return catalog_exec(c, st, "cannot store a setting", e);
}

int catalog_settings(struct catalog *c, uint32_t table_id,
		     int (*fn)(void *ctx, const char *name, const char *value), void *ctx,
		     struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_SETTING_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	sqlite3_bind_int64(st, 1, table_id);
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = catalog_fail(c, step, "cannot list settings", e);
			break;
		}
		const char *name = (const char *)sqlite3_column_text(st, 0);
		const char *value = (const char *)sqlite3_column_text(st, 1);
		rc = name && value ? fn(ctx, name, value)
				   : catalog_fail(c, SQLITE_NOMEM, "cannot read a setting", e);
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}

/* ---- owner and mode -------------------------------------------------------------------------- */

int catalog_attr_set(struct catalog *c, const char *path, const struct catalog_attr *a,
		     struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_ATTR_SET, &rc, e);

	if (!st)
		return rc;
	catalog_touch_path(c, path);
	sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, a->mode);
	sqlite3_bind_int64(st, 3, a->uid);
	sqlite3_bind_int64(st, 4, a->gid);
	return catalog_exec(c, st, "cannot store owner and mode", e);
}

int catalog_attrs(struct catalog *c,
		  int (*fn)(void *ctx, const char *path, const struct catalog_attr *a), void *ctx,
		  struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_ATTR_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = catalog_fail(c, step, "cannot list owners and modes", e);
			break;
		}
		const char *path = (const char *)sqlite3_column_text(st, 0);
		struct catalog_attr a = {
			.mode = (uint32_t)sqlite3_column_int64(st, 1),
			.uid = (uint32_t)sqlite3_column_int64(st, 2),
			.gid = (uint32_t)sqlite3_column_int64(st, 3),
		};
		rc = path ? fn(ctx, path, &a)
			  : catalog_fail(c, SQLITE_NOMEM, "cannot read a path", e);
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}

int catalog_attr_drop(struct catalog *c, const char *path, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_ATTR_DROP, &rc, e);

	if (!st)
		return rc;
	catalog_touch_path(c, path);
	sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
	return catalog_exec(c, st, "cannot drop owners and modes", e);
}
