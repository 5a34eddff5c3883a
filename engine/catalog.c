/*
 * catalog: opening, errors, transactions and integers by name. Tables, settings and attributes are
 * in catalog_tables.c, files in catalog_files.c.
 *
 * SQLite does its own file I/O; it does not go through struct io, so faults are injected into it by
 * other means (a full disk, a damaged file). Its journal is the WAL with synchronous=FULL: a commit
 * is on stable storage when COMMIT returns.
 *
 * Each commit is carried over from the journal to the file itself at once (wal_autocheckpoint = 1): a
 * journal of which a byte went bad ends there, without a word, for SQLite; then nothing but the last
 * transaction can be in it, and in the file that is, too.
 *
 * One connection, one recursive mutex: a call inside begin..commit comes from the thread that holds
 * it already. The connection is opened without SQLite's own mutexes.
 */
#include "engine/catalog_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APPLICATION_ID 0x54494445 /* "TIDE" */
#define BUSY_MS        10000

/*
 * Integers that mean uint64_t are stored as the int64_t of the same bits. SQLite does not checksum
 * its pages, so each row carries a CRC-32C over its other columns, in their order (crc_of_row()); a
 * page that loses or repeats a row shows in the integrity check. Both are looked at when it is opened.
 */
static const char schema[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL, crc INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE tables("
	"  id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  uuid BLOB NOT NULL,"
	"  flushed_lsn INTEGER NOT NULL,"
	"  expired_before_ns INTEGER NOT NULL,"
	"  created_ns INTEGER NOT NULL,"
	"  saved_columns INTEGER NOT NULL, saved_series INTEGER NOT NULL, crc INTEGER NOT NULL);"
	"CREATE TABLE settings("
	"  table_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
	"  crc INTEGER NOT NULL,"
	"  PRIMARY KEY(table_id, name)) WITHOUT ROWID;"
	"CREATE TABLE files("
	"  id INTEGER PRIMARY KEY,"
	"  table_id INTEGER NOT NULL, kind INTEGER NOT NULL, path TEXT NOT NULL,"
	"  seq_lo INTEGER NOT NULL, seq_hi INTEGER NOT NULL,"
	"  t_min_ns INTEGER NOT NULL, t_max_ns INTEGER NOT NULL,"
	"  \"rows\" INTEGER NOT NULL, bytes INTEGER NOT NULL, \"values\" INTEGER NOT NULL,"
	"  date INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL,"
	"  generation INTEGER NOT NULL, created_ns INTEGER NOT NULL, erased_seq INTEGER NOT NULL,"
	"  crc INTEGER NOT NULL, UNIQUE(table_id, path));"
	"CREATE TABLE moved("
	"  file_id INTEGER NOT NULL, date INTEGER NOT NULL, upto_ns INTEGER NOT NULL,"
	"  crc INTEGER NOT NULL, PRIMARY KEY(file_id, date)) WITHOUT ROWID;"
	"CREATE TABLE tombs("
	"  id INTEGER PRIMARY KEY,"
	"  table_id INTEGER NOT NULL, seq INTEGER NOT NULL, ranges BLOB NOT NULL,"
	"  crc INTEGER NOT NULL);"
	"CREATE TABLE attrs("
	"  path TEXT PRIMARY KEY, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
	"  crc INTEGER NOT NULL) WITHOUT ROWID;";

#define IS_BELOW "(path = name OR substr(path, 1, length(name) + 1) = name || '/')"

const struct catalog_part catalog_parts[] = {
	{"meta", "key", "key, value", NULL, "key NOT LIKE 'clock%' AND key <> 'settled'"},
	{"tables", "id", "id, name, uuid, flushed_lsn, expired_before_ns, created_ns, saved_columns, saved_series",
	 "id = ?1", NULL},
	{"settings", "name", "table_id, name, value", "table_id = ?1", NULL},
	{"files", "id",
	 "id, table_id, kind, path, seq_lo, seq_hi, t_min_ns, t_max_ns, \"rows\", bytes, \"values\", date, part, "
	 "parts, generation, created_ns, erased_seq",
	 "table_id = ?1", NULL},
	{"moved", "file_id", "file_id, date, upto_ns", "file_id IN (SELECT id FROM files WHERE table_id = ?1)", NULL},
	{"tombs", "id", "id, table_id, seq, ranges", "table_id = ?1 AND length(ranges) <= 65536", NULL},
	{"attrs", "path", "path, mode, uid, gid", "EXISTS (SELECT 1 FROM tables WHERE id = ?1 AND " IS_BELOW ")",
	 "NOT EXISTS (SELECT 1 FROM tables WHERE " IS_BELOW ")"},
};
const size_t catalog_part_count = ARRAY_LEN(catalog_parts);

/* ---- errors ---------------------------------------------------------------------------------- */

static int errno_of(int sqlite_rc)
{
	switch (sqlite_rc & 0xFF) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_TOOBIG:
		return -E2BIG;
	default:
		return -EIO;
	}
}

int catalog_fail(struct catalog *c, int sqlite_rc, const char *what, struct err *e)
{
	int rc = errno_of(sqlite_rc);
	int os = c->db ? sqlite3_system_errno(c->db) : 0;

	/* Some ways of a full disk reach SQLite as an I/O error (-shm and -wal files being made).
	 */
	if (rc == -EIO && (os == ENOSPC || os == EDQUOT))
		rc = -ENOSPC;
	/* "unable to open database file" and "disk I/O error" leave out what the system said. */
	bool says = os && ((sqlite_rc & 0xFF) == SQLITE_CANTOPEN || (sqlite_rc & 0xFF) == SQLITE_IOERR);
	return err_set(e, rc, "catalogue '%s': %s: %s%s%s", c->path, what,
		       c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(sqlite_rc), says ? ": " : "",
		       says ? strerror(os) : "");
}

/* ---- statements --------------------------------------------------------------------------------
 */

#define CATALOG_SQL(name, sql) [STMT_##name] = sql,
static const char *const statements[STMTS] = {CATALOG_STATEMENTS(CATALOG_SQL)};

sqlite3_stmt *catalog_stmt(struct catalog *c, enum catalog_stmt which, int *ret_rc, struct err *e)
{
	pthread_mutex_lock(&c->mu);
	sqlite3_stmt *st = c->stmts[which];
	if (!st) {
		int rc = sqlite3_prepare_v3(c->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT,
					    &st, NULL);
		if (rc != SQLITE_OK) {
			*ret_rc = catalog_fail(c, rc, "cannot prepare a statement", e);
			pthread_mutex_unlock(&c->mu);
			return NULL;
		}
		c->stmts[which] = st;
	}
	return st;
}

void catalog_done(struct catalog *c, sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	pthread_mutex_unlock(&c->mu);
}

/*
 * SQLite appends a transaction to its journal and then syncs that. When the sync fails it forgets of the
 * transaction, and the bytes stay; the next transaction is written over them. Caller holds mu.
 */
static void settle(struct catalog *c)
{
	int rc = sqlite3_exec(c->db,
			      "BEGIN IMMEDIATE;"
			      "INSERT INTO meta(key, value, crc) VALUES('settled', 1, crc('settled', 1)) ON CONFLICT(key) "
			      "DO UPDATE SET value = (value + 1) % 1000, crc = crc('settled', (value + 1) % 1000);"
			      "COMMIT",
			      NULL, NULL, NULL);
	c->in_doubt = rc != SQLITE_OK;
	if (!sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

bool catalog_in_doubt(struct catalog *c)
{
	pthread_mutex_lock(&c->mu);
	bool is = c->in_doubt;
	pthread_mutex_unlock(&c->mu);
	return is;
}

int catalog_exec(struct catalog *c, sqlite3_stmt *st, const char *what, struct err *e)
{
	int rc = sqlite3_step(st);

	rc = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : catalog_fail(c, rc, what, e);
	sqlite3_reset(st); /* or it is still what holds the transaction open */
	bool is_alone = !c->read_only && !c->in_begin && sqlite3_get_autocommit(c->db);
	if (is_alone && rc == 0)
		c->in_doubt = false;
	else if (is_alone && rc == -EIO)
		settle(c);
	if (is_alone)
		catalog_tell(c, rc == 0);
	catalog_done(c, st);
	return rc;
}

int catalog_exec_id(struct catalog *c, enum catalog_stmt which, uint64_t id, const char *what,
		    struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, which, &rc, e);

	if (!st)
		return rc;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	return catalog_exec(c, st, what, e);
}

int catalog_text(struct catalog *c, sqlite3_stmt *st, int i, char *to, size_t cap, struct err *e)
{
	const unsigned char *p = sqlite3_column_text(st, i);
	int n = sqlite3_column_bytes(st, i);

	if (!p)
		return catalog_fail(c, SQLITE_NOMEM, "cannot read a text", e);
	if (n < 0 || (size_t)n >= cap || memchr(p, 0, (size_t)n))
		return err_set(e, -EBADMSG,
			       "catalogue '%s': a %s of %d bytes, at most %zu are possible",
			       c->path, sqlite3_column_name(st, i), n, cap - 1);
	memcpy(to, p, (size_t)n);
	to[n] = '\0';
	return 0;
}

/* ---- transactions
 * -------------------------------------------------------------------------------- */

static int run(struct catalog *c, enum catalog_stmt which, const char *what, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, which, &rc, e);

	return st ? catalog_exec(c, st, what, e) : rc;
}

int catalog_begin(struct catalog *c, struct err *e)
{
	if (c->read_only)
		return err_set(e, -EROFS, "catalogue '%s' was opened for reading only", c->path);
	pthread_mutex_lock(&c->mu);
	int rc = c->in_begin ? err_set(e, -EDEADLK, "catalogue '%s': a transaction is open already",
				       c->path)
			     : run(c, STMT_BEGIN, "cannot begin a transaction", e);
	if (rc < 0) {
		pthread_mutex_unlock(&c->mu);
		return rc;
	}
	c->in_begin = true;
	return 0;
}

static void rollback(struct catalog *c)
{
	/* SQLite may have rolled back by itself (full disk, I/O error). */
	if (!sqlite3_get_autocommit(c->db))
		(void)run(c, STMT_ROLLBACK, "cannot roll back", NULL);
}

int catalog_commit(struct catalog *c, struct err *e)
{
	int rc = 0;

	/* Rolled back behind our back by a failure inside: committing "nothing" must not look good.
	 */
	if (sqlite3_get_autocommit(c->db))
		rc = err_set(e, -EIO,
			     "catalogue '%s': the transaction was rolled back after an error",
			     c->path);
	else
		rc = run(c, STMT_COMMIT, "cannot commit", e);
	if (rc < 0)
		rollback(c);
	c->in_begin = false;
	if (rc == 0)
		c->in_doubt = false;
	else if (rc == -EIO)
		settle(c);
	catalog_tell(c, rc == 0);
	pthread_mutex_unlock(&c->mu);
	return rc;
}

void catalog_abort(struct catalog *c)
{
	rollback(c);
	c->in_begin = false;
	catalog_tell(c, false);
	pthread_mutex_unlock(&c->mu);
}

int catalog_group_begin(struct catalog *c, bool *ret_own, struct err *e)
{
	pthread_mutex_lock(
		&c->mu); /* recursive; whether this thread is inside begin is then certain */
	bool own = !c->in_begin;
	int rc = own ? catalog_begin(c, e) : 0;
	pthread_mutex_unlock(&c->mu);
	if (rc == 0)
		*ret_own = own;
	return rc;
}

int catalog_group_end(struct catalog *c, bool own, int rc, struct err *e)
{
	if (!own)
		return rc;
	if (rc < 0) {
		catalog_abort(c);
		return rc;
	}
	return catalog_commit(c, e);
}

/* ---- checksums of rows
 * -------------------------------------------------------------------------------- */

/* crc(a, b, ...): over type, length and bytes of each argument. */
static void crc_of_row(sqlite3_context *ctx, int n, sqlite3_value **v)
{
	uint32_t crc = 0;

	for (int i = 0; i < n; i++) {
		uint8_t head[9] = {(uint8_t)sqlite3_value_type(v[i])};
		bool is_number = head[0] == SQLITE_INTEGER;
		const void *p = is_number ? NULL : sqlite3_value_blob(v[i]);
		uint64_t x = is_number ? (uint64_t)sqlite3_value_int64(v[i]) : (uint64_t)sqlite3_value_bytes(v[i]);
		for (int k = 0; k < 8; k++)
			head[1 + k] = (uint8_t)(x >> 8 * k);
		crc = crc32c(crc, head, sizeof head);
		if (p)
			crc = crc32c(crc, p, (size_t)x);
	}
	sqlite3_result_int64(ctx, crc);
}

/* SQLite's own check of its pages; its first complaint goes into e. */
static int check_pages(struct catalog *c, struct err *e)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(c->db, "PRAGMA integrity_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	int out = rc == SQLITE_ROW ? 0 : catalog_fail(c, rc, "cannot be checked", e);
	const char *text = out == 0 ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (out == 0 && (!text || strcmp(text, "ok") != 0))
		out = err_set(e, -EBADMSG, "catalogue '%s' is damaged: %s", c->path, text ? text : "unreadable");
	sqlite3_finalize(st);
	return out;
}

static int check_rows(struct catalog *c, struct err *e)
{
	char sql[512];
	int out = 0;

	for (size_t i = 0; i < catalog_part_count && out == 0; i++) {
		sqlite3_stmt *st;
		snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE crc IS NOT crc(%s) LIMIT 1", catalog_parts[i].key,
			 catalog_parts[i].table, catalog_parts[i].columns);
		int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		if (rc == SQLITE_ROW) {
			const char *key = (const char *)sqlite3_column_text(st, 0);
			out = err_set(e, -EBADMSG, "catalogue '%s' is damaged: row '%s' of '%s' fails its checksum",
				      c->path, key ? key : "", catalog_parts[i].table);
		} else if (rc != SQLITE_DONE) {
			out = catalog_fail(c, rc, "cannot be checked", e);
		}
		sqlite3_finalize(st);
	}
	return out;
}

/* ---- open and close
 * -------------------------------------------------------------------------------- */

static int pragma_int(struct catalog *c, const char *sql, int64_t *ret, struct err *e)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	int out = rc == SQLITE_ROW ? 0 : catalog_fail(c, rc, "cannot be read", e);
	sqlite3_finalize(st);
	return out;
}

static int run_text(struct catalog *c, const char *sql, const char *what, struct err *e)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : catalog_fail(c, rc, what, e);
}

static int create_schema(struct catalog *c, struct err *e)
{
	char marks[128];

	snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, CATALOG_FORMAT);
	int rc = run_text(c, "BEGIN IMMEDIATE", "cannot be created", e);
	if (rc == 0)
		rc = run_text(c, schema, "cannot be created", e);
	if (rc == 0)
		rc = run_text(c, marks, "cannot be created", e);
	if (rc == 0)
		rc = run_text(c, "COMMIT", "cannot be created", e);
	if (rc < 0 && !sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int check_format(struct catalog *c, struct err *e)
{
	int64_t application, version, objects;
	int rc = pragma_int(c, "PRAGMA application_id", &application, e);

	if (rc == 0)
		rc = pragma_int(c, "PRAGMA user_version", &version, e);
	if (rc == 0)
		rc = pragma_int(c, "SELECT count(*) FROM sqlite_master", &objects, e);
	if (rc < 0)
		return rc;
	if (application == 0 && version == 0 && objects == 0)
		return c->read_only ? err_set(e, -EMEDIUMTYPE, "catalogue '%s' is empty", c->path)
				    : create_schema(c, e);
	if (application != APPLICATION_ID)
		return err_set(e, -EMEDIUMTYPE,
			       "'%s' is a database of another program, not a tidefs catalogue",
			       c->path);
	if (version != CATALOG_FORMAT)
		return err_set(
			e, -EMEDIUMTYPE,
			"catalogue '%s' has format %lld; this program knows format %d: use the "
			"version of tidefs that wrote it, or a newer one",
			c->path, (long long)version, CATALOG_FORMAT);
	return 0;
}

/* "file:<path>?immutable=1", the path escaped as a URI; NULL without memory. */
static char *immutable_uri(const char *path)
{
	char *uri = sqlite3_malloc64(strlen(path) * 3 + 32);
	char *to = uri;

	if (!uri)
		return NULL;
	to += sprintf(to, "file:");
	for (; *path; path++) {
		if (strchr("%?#", *path))
			to += sprintf(to, "%%%02X", (unsigned char)*path);
		else
			*to++ = *path;
	}
	sprintf(to, "?immutable=1");
	return uri;
}

/*
 * A reader in WAL mode needs the -shm file, and must make it where no writer has. In a directory
 * that cannot be written to that fails; then nobody can be writing either and, if no -wal is left
 * over, the file alone is the whole truth.
 */
static int open_read_only(struct catalog *c)
{
	const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
	int rc = sqlite3_open_v2(c->path, &c->db, flags & ~SQLITE_OPEN_URI, NULL);
	char wal[sizeof c->path + 8];

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(c->db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
	snprintf(wal, sizeof wal, "%s-wal", c->path);
	if ((rc & 0xFF) != SQLITE_CANTOPEN || access(c->path, R_OK) != 0 || access(wal, F_OK) == 0)
		return rc;
	char *uri = immutable_uri(c->path);
	sqlite3_close(c->db);
	c->db = NULL;
	rc = uri ? sqlite3_open_v2(uri, &c->db, flags, NULL) : SQLITE_NOMEM;
	sqlite3_free(uri);
	return rc;
}

static int open_db(struct catalog *c, bool alone, struct err *e)
{
	int rc;

	if (c->read_only) {
		if (access(c->path, F_OK) != 0)
			return err_set(e, -errno, "catalogue '%s': %s", c->path, strerror(errno));
		rc = open_read_only(c);
	} else {
		rc = sqlite3_open_v2(
			c->path, &c->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	}
	if (rc != SQLITE_OK)
		return catalog_fail(c, rc, "cannot be opened", e);
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, BUSY_MS);
	/* What the file says is data: no functions or tricks out of a doctored schema. */
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);

	rc = sqlite3_create_function(c->db, "crc", -1,
				     SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL, crc_of_row,
				     NULL, NULL);
	if (rc != SQLITE_OK)
		return catalog_fail(c, rc, "cannot be opened", e);
	int ret = alone ? run_text(c, "PRAGMA locking_mode = EXCLUSIVE", "cannot be locked", e) : 0;
	if (ret == 0)
		ret = check_format(c, e);
	if (ret == 0)
		ret = check_pages(c, e);
	if (ret == 0)
		ret = check_rows(c, e);
	/* After the check: a foreign file is left as it was. */
	if (ret == 0 && !c->read_only)
		ret = run_text(c,
			       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			       "PRAGMA wal_autocheckpoint = 1",
			       "cannot be put into WAL mode", e);
	return ret;
}

int catalog_open(const char *path, bool read_only, struct catalog **ret, struct err *e)
{
	pthread_mutexattr_t attr;
	struct catalog *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, -ENOMEM, "catalogue '%s': out of memory", path);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&c->mu, &attr);
	pthread_mutexattr_destroy(&attr);
	c->read_only = read_only;

	int rc;
	if ((size_t)snprintf(c->path, sizeof c->path, "%s", path) >= sizeof c->path)
		rc = err_set(e, -ENAMETOOLONG, "catalogue '%s': the path is too long", path);
	else
		rc = open_db(c, false, e);
	/*
	 * The -shm file has to be made, which a full disk refuses. Alone with the file SQLite does
	 * without it, and what is stored can be read.
	 */
	if ((rc == -ENOSPC || rc == -EIO) && !read_only) {
		sqlite3_close(c->db);
		c->db = NULL;
		rc = open_db(c, true, e);
	}
	if (rc < 0) {
		catalog_close(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void catalog_close(struct catalog *c)
{
	if (!c)
		return;
	for (int i = 0; i < STMTS; i++)
		sqlite3_finalize(c->stmts[i]);
	sqlite3_close(c->db);
	pthread_mutex_destroy(&c->mu);
	free(c->touched);
	free(c);
}

/* ---- integers by name
 * -------------------------------------------------------------------------------- */

int catalog_get_int(struct catalog *c, const char *key, int64_t dflt, int64_t *ret, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_META_GET, &rc, e);

	if (!st)
		return rc;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	else if (rc == SQLITE_DONE)
		*ret = dflt;
	rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0
						   : catalog_fail(c, rc, "cannot read a number", e);
	catalog_done(c, st);
	return rc;
}

int catalog_set_int(struct catalog *c, const char *key, int64_t v, struct err *e)
{
	int rc;
	sqlite3_stmt *st = catalog_stmt(c, STMT_META_SET, &rc, e);

	if (!st)
		return rc;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, v);
	/* Of what changes all the time fsck finds better values than a copy of another day has. */
	if (strcmp(key, "created_ns") == 0 || strncmp(key, "db/", 3) == 0)
		catalog_touch(c, 0);
	return catalog_exec(c, st, "cannot store a number", e);
}

int catalog_next_id(struct catalog *c, const char *key, uint64_t *ret, struct err *e)
{
	int64_t last;
	int rc = catalog_get_int(c, key, 0, &last, e);

	if (rc == 0 && (last < 0 || last == INT64_MAX))
		rc = err_set(e, -EBADMSG, "catalogue '%s': '%s' is out of bounds", c->path, key);
	if (rc == 0)
		rc = catalog_set_int(c, key, last + 1, e);
	if (rc == 0)
		*ret = (uint64_t)last + 1;
	return rc;
}
