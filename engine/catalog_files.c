/*
 * catalog_files: the runs and tiles of each table, what of a run has moved on, and tombstones.
 */
#include "engine/catalog_sql.h"

static int add_file(struct catalog *c, struct catalog_file *f, struct err *e)
{
	const int64_t numbers[] = {
		/* parameters 5 to 17 of FILE_ADD, in its order */
		(int64_t)f->seq_lo,
		(int64_t)f->seq_hi,
		f->t_min_ns,
		f->t_max_ns,
		(int64_t)f->rows,
		(int64_t)f->bytes,
		(int64_t)f->values,
		f->date,
		f->part,
		f->parts,
		(int64_t)f->generation,
		f->created_ns,
		(int64_t)f->erased_seq,
	};
	uint64_t id;
	int rc = catalog_next_id(c, "last_file_id", &id, e);
	sqlite3_stmt *st = rc == 0 ? catalog_stmt(c, STMT_FILE_ADD, &rc, e) : NULL;

	if (!st)
		return rc;
	catalog_touch(c, f->table_id);
	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(st, 2, f->table_id);
	sqlite3_bind_int64(st, 3, f->kind);
	sqlite3_bind_text(st, 4, f->path, (int)strnlen(f->path, sizeof f->path - 1), SQLITE_STATIC);
	for (int i = 0; i < (int)ARRAY_LEN(numbers); i++)
		sqlite3_bind_int64(st, 5 + i, numbers[i]);
	rc = sqlite3_step(st);
	if (rc == SQLITE_DONE) {
		f->id = id;
		rc = 0;
	} else if (rc == SQLITE_CONSTRAINT_UNIQUE) {
		rc = err_set(e, -EEXIST, "catalogue '%s': table %u has a file '%s' already",
			     c->path, f->table_id, f->path);
	} else {
		rc = catalog_fail(c, rc, "cannot store a file", e);
	}
	catalog_done(c, st);
	return rc;
}

int catalog_file_add(struct catalog *c, struct catalog_file *f, struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	return rc < 0 ? rc : catalog_group_end(c, own, add_file(c, f, e), e);
}

static int remove_rows(struct catalog *c, uint64_t file_id, struct err *e)
{
	catalog_touch_file(c, file_id);
	int rc = catalog_exec_id(c, STMT_FILE_REMOVE_MOVED, file_id, "cannot remove a file", e);
	sqlite3_stmt *st = rc == 0 ? catalog_stmt(c, STMT_FILE_REMOVE, &rc, e) : NULL;

	if (!st)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)file_id);
	rc = sqlite3_step(st);
	if (rc != SQLITE_DONE)
		rc = catalog_fail(c, rc, "cannot remove a file", e);
	else if (sqlite3_changes(c->db) == 0)
		rc = err_set(e, -ENOENT, "catalogue '%s': there is no file with id %llu", c->path,
			     (unsigned long long)file_id);
	else
		rc = 0;
	catalog_done(c, st);
	return rc;
}

int catalog_file_remove(struct catalog *c, uint64_t file_id, struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	return rc < 0 ? rc : catalog_group_end(c, own, remove_rows(c, file_id, e), e);
}

/* Columns in the order of FILE_LIST. Ranges are checked: the file may be damaged or edited. */
static int read_file(struct catalog *c, sqlite3_stmt *st, struct catalog_file *f, struct err *e)
{
	sqlite3_int64 v[17];

	for (int i = 0; i < (int)ARRAY_LEN(v); i++)
		v[i] = i == 3 ? 0 : sqlite3_column_int64(st, i);
	bool good = v[0] > 0 && v[1] > 0 && v[1] <= UINT32_MAX &&
		    (v[2] == CATALOG_RUN || v[2] == CATALOG_TILE) && v[11] >= INT32_MIN &&
		    v[11] <= INT32_MAX && v[12] >= 0 && v[12] <= UINT32_MAX && v[13] >= 0 &&
		    v[13] <= UINT32_MAX;
	if (!good)
		return err_set(e, -EBADMSG, "catalogue '%s': file %lld is malformed", c->path,
			       (long long)v[0]);
	*f = (struct catalog_file){
		.id = (uint64_t)v[0],
		.table_id = (uint32_t)v[1],
		.kind = (enum catalog_file_kind)v[2],
		.seq_lo = (uint64_t)v[4],
		.seq_hi = (uint64_t)v[5],
		.t_min_ns = v[6],
		.t_max_ns = v[7],
		.rows = (uint64_t)v[8],
		.bytes = (uint64_t)v[9],
		.values = (uint64_t)v[10],
		.date = (int32_t)v[11],
		.part = (uint32_t)v[12],
		.parts = (uint32_t)v[13],
		.generation = (uint64_t)v[14],
		.created_ns = v[15],
		.erased_seq = (uint64_t)v[16],
	};
	return catalog_text(c, st, 3, f->path, sizeof f->path, e);
}

int catalog_files(struct catalog *c, uint32_t table_id,
		  int (*fn)(void *ctx, const struct catalog_file *f), void *ctx, struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_FILE_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	sqlite3_bind_int64(st, 1, table_id);
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct catalog_file f;
		rc = step == SQLITE_ROW ? read_file(c, st, &f, e)
					: catalog_fail(c, step, "cannot list files", e);
		if (rc == 0)
			rc = fn(ctx, &f);
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}

int catalog_moved_set(struct catalog *c, uint64_t file_id, int32_t date, int64_t upto_ns,
		      struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_MOVED_SET, &rc, e);

	if (!st)
		return rc;
	catalog_touch_file(c, file_id);
	sqlite3_bind_int64(st, 1, (sqlite3_int64)file_id);
	sqlite3_bind_int64(st, 2, date);
	sqlite3_bind_int64(st, 3, upto_ns);
	return catalog_exec(c, st, "cannot store what was moved", e);
}

int catalog_moved(struct catalog *c, uint64_t file_id,
		  int (*fn)(void *ctx, int32_t date, int64_t upto_ns), void *ctx, struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_MOVED_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)file_id);
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		sqlite3_int64 date = sqlite3_column_int64(st, 0);
		if (step != SQLITE_ROW)
			rc = catalog_fail(c, step, "cannot list what was moved", e);
		else if (date < INT32_MIN || date > INT32_MAX)
			rc = err_set(e, -EBADMSG, "catalogue '%s': file %llu has a malformed date",
				     c->path, (unsigned long long)file_id);
		else
			rc = fn(ctx, (int32_t)date, sqlite3_column_int64(st, 1));
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}

/* ---- tombstones ------------------------------------------------------------------------------------ */

int catalog_file_erased(struct catalog *c, uint64_t file_id, uint64_t seq, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_FILE_ERASED, &rc, e);

	if (!st)
		return rc;
	catalog_touch_file(c, file_id);
	sqlite3_bind_int64(st, 1, (sqlite3_int64)file_id);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)seq);
	return catalog_exec(c, st, "cannot store what was erased", e);
}

static int add_tomb(struct catalog *c, uint32_t table_id, uint64_t seq, struct str ranges, uint64_t *ret_id,
		    struct err *e)
{
	uint64_t id;
	int rc = catalog_next_id(c, "last_tomb_id", &id, e);
	sqlite3_stmt *st = rc == 0 ? catalog_stmt(c, STMT_TOMB_ADD, &rc, e) : NULL;

	if (!st)
		return rc;
	catalog_touch(c, table_id);
	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	sqlite3_bind_int64(st, 2, table_id);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)seq);
	sqlite3_bind_blob64(st, 4, ranges.ptr, ranges.len, SQLITE_STATIC);
	rc = catalog_exec(c, st, "cannot store a deletion", e);
	if (rc == 0)
		*ret_id = id;
	return rc;
}

int catalog_tomb_add(struct catalog *c, uint32_t table_id, uint64_t seq, struct str ranges, uint64_t *ret_id,
		     struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	return rc < 0 ? rc : catalog_group_end(c, own, add_tomb(c, table_id, seq, ranges, ret_id, e), e);
}

int catalog_tomb_remove(struct catalog *c, uint64_t id, struct err *e)
{
	bool own;
	int rc = catalog_group_begin(c, &own, e);

	if (rc < 0)
		return rc;
	catalog_touch_tomb(c, id);
	rc = catalog_exec_id(c, STMT_TOMB_REMOVE, id, "cannot remove a deletion", e);
	return catalog_group_end(c, own, rc, e);
}

int catalog_tombs(struct catalog *c, uint32_t table_id,
		  int (*fn)(void *ctx, uint64_t id, uint64_t seq, struct str ranges), void *ctx, struct err *e)
{
	int rc, step;
	sqlite3_stmt *st = catalog_stmt(c, STMT_TOMB_LIST, &rc, e);

	if (!st)
		return rc;
	rc = 0;
	sqlite3_bind_int64(st, 1, table_id);
	while (rc >= 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
		if (step != SQLITE_ROW) {
			rc = catalog_fail(c, step, "cannot list deletions", e);
			break;
		}
		const void *p = sqlite3_column_blob(st, 2);
		struct str ranges = {p ? p : "", (size_t)sqlite3_column_bytes(st, 2)};
		rc = fn(ctx, (uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1), ranges);
	}
	catalog_done(c, st);
	return rc < 0 ? rc : 0;
}
