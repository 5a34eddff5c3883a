/*
 * catalog_sql: what the catalogue's source files share: the handle, statements, error mapping.
 * Not for use outside engine/catalog*.c.
 */
#ifndef TIDE_CATALOG_SQL_H
#define TIDE_CATALOG_SQL_H

#include <pthread.h>
#include <sqlite3.h>

#include "engine/catalog.h"

/* name, SQL. Prepared at first use, kept until close. */
#define CATALOG_STATEMENTS(X)                                                                      \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                \
	X(COMMIT, "COMMIT")                                                                        \
	X(ROLLBACK, "ROLLBACK")                                                                    \
	X(META_GET, "SELECT value FROM meta WHERE key = ?1")                                       \
	X(META_SET, "INSERT INTO meta(key, value, crc) VALUES(?1, ?2, crc(?1, ?2)) "               \
		    "ON CONFLICT(key) DO UPDATE SET value = excluded.value, crc = excluded.crc")   \
	X(TABLE_ADD, "INSERT INTO tables(id, name, uuid, flushed_lsn, expired_before_ns, "         \
		     "created_ns, saved_columns, saved_series, crc) "                              \
		     "VALUES(?1, ?2, ?3, 0, ?4, ?5, 0, 0, crc(?1, ?2, ?3, 0, ?4, ?5, 0, 0))")      \
	X(TABLE_NAME, "SELECT name FROM tables WHERE id = ?1")                                     \
	X(TABLE_UPDATE, "UPDATE tables SET flushed_lsn = max(flushed_lsn, ?2), "                   \
			"expired_before_ns = max(expired_before_ns, ?3), "                         \
			"saved_columns = max(saved_columns, ?4), "                                 \
			"saved_series = max(saved_series, ?5), "                                   \
			"crc = crc(id, name, uuid, max(flushed_lsn, ?2), "                         \
			"max(expired_before_ns, ?3), created_ns, max(saved_columns, ?4), "         \
			"max(saved_series, ?5)) WHERE id = ?1")                                    \
	X(TABLE_LIST, "SELECT id, name, uuid, flushed_lsn, expired_before_ns, created_ns, "        \
		      "saved_columns, saved_series FROM tables ORDER BY name")                     \
	X(TABLE_DROP, "DELETE FROM tables WHERE id = ?1")                                          \
	X(TABLE_DROP_SETTINGS, "DELETE FROM settings WHERE table_id = ?1")                         \
	X(TABLE_DROP_MOVED, "DELETE FROM moved WHERE file_id IN "                                  \
			    "(SELECT id FROM files WHERE table_id = ?1)")                          \
	X(TABLE_DROP_TOMBS, "DELETE FROM tombs WHERE table_id = ?1")                               \
	X(TABLE_DROP_FILES, "DELETE FROM files WHERE table_id = ?1")                               \
	X(SETTING_SET, "INSERT INTO settings(table_id, name, value, crc) "                         \
		       "VALUES(?1, ?2, ?3, crc(?1, ?2, ?3)) ON CONFLICT(table_id, name) "          \
		       "DO UPDATE SET value = excluded.value, crc = excluded.crc")                 \
	X(SETTING_LIST, "SELECT name, value FROM settings WHERE table_id = ?1 ORDER BY name")      \
	X(FILE_ADD, "INSERT INTO files(id, table_id, kind, path, seq_lo, seq_hi, t_min_ns, "       \
		    "t_max_ns, \"rows\", bytes, \"values\", date, part, parts, generation, "       \
		    "created_ns, erased_seq, crc) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "     \
		    "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, crc(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, " \
		    "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17))")                                \
	X(FILE_REMOVE, "DELETE FROM files WHERE id = ?1")                                          \
	X(FILE_REMOVE_MOVED, "DELETE FROM moved WHERE file_id = ?1")                               \
	X(FILE_LIST, "SELECT id, table_id, kind, path, seq_lo, seq_hi, t_min_ns, t_max_ns, "       \
		     "\"rows\", bytes, \"values\", date, part, parts, generation, created_ns, "    \
		     "erased_seq "                                                                 \
		     "FROM files WHERE table_id = ?1 ORDER BY id")                                 \
	X(MOVED_SET, "INSERT INTO moved(file_id, date, upto_ns, crc) "                             \
		     "VALUES(?1, ?2, ?3, crc(?1, ?2, ?3)) ON CONFLICT(file_id, date) DO UPDATE "   \
		     "SET upto_ns = max(upto_ns, excluded.upto_ns), "                              \
		     "crc = crc(file_id, date, max(upto_ns, excluded.upto_ns))")                   \
	X(TOMB_ADD, "INSERT INTO tombs(id, table_id, seq, ranges, crc) "                           \
		    "VALUES(?1, ?2, ?3, ?4, crc(?1, ?2, ?3, ?4))")                                 \
	X(TOMB_REMOVE, "DELETE FROM tombs WHERE id = ?1")                                          \
	X(TOMB_LIST, "SELECT id, seq, ranges FROM tombs WHERE table_id = ?1 ORDER BY seq, id")     \
	X(FILE_ERASED, "UPDATE files SET erased_seq = max(erased_seq, ?2), "                       \
		       "crc = crc(id, table_id, kind, path, seq_lo, seq_hi, t_min_ns, t_max_ns, "  \
		       "\"rows\", bytes, \"values\", date, part, parts, generation, created_ns, "  \
		       "max(erased_seq, ?2)) WHERE id = ?1")                                       \
	X(MOVED_LIST, "SELECT date, upto_ns FROM moved WHERE file_id = ?1 ORDER BY date")          \
	X(FILE_TABLE, "SELECT table_id FROM files WHERE id = ?1")                                  \
	X(TOMB_TABLE, "SELECT table_id FROM tombs WHERE id = ?1")                                  \
	X(TABLE_ID, "SELECT id FROM tables WHERE name = ?1")                                       \
	X(ATTR_SET, "INSERT INTO attrs(path, mode, uid, gid, crc) "                                \
		    "VALUES(?1, ?2, ?3, ?4, crc(?1, ?2, ?3, ?4)) "                                 \
		    "ON CONFLICT(path) DO UPDATE SET mode = excluded.mode, uid = excluded.uid, "   \
		    "gid = excluded.gid, crc = excluded.crc")                                      \
	X(ATTR_LIST, "SELECT path, mode, uid, gid FROM attrs ORDER BY path")                       \
	X(ATTR_DROP, "DELETE FROM attrs WHERE path = ?1 OR ?1 = '' "                               \
		     "OR substr(path, 1, length(?1) + 1) = ?1 || '/'")

#define CATALOG_ENUM(name, sql) STMT_##name,
enum catalog_stmt { CATALOG_STATEMENTS(CATALOG_ENUM) STMTS };

/*
 * A table of the schema. Every row's crc covers `columns`; of_table and of_database say which rows belong to
 * the copy of a table (?1: its id) and of the database itself, NULL none (catalog_copy.c).
 */
struct catalog_part {
	const char *table, *key, *columns; /* key: for messages */
	const char *of_table, *of_database;
};
extern const struct catalog_part catalog_parts[];
extern const size_t catalog_part_count;

struct catalog {
	pthread_mutex_t
		mu; /* recursive: held from begin to commit or abort, and within each call */
	sqlite3 *db;
	sqlite3_stmt *stmts[STMTS]; /* guarded by mu */
	bool read_only;             /* constant after open */
	bool in_begin;              /* guarded by mu */
	bool in_doubt;              /* guarded by mu */
	char path[512];             /* for messages */

	catalog_changed_fn *changed; /* guarded by mu, as all below */
	void *changed_ctx;
	uint32_t *touched; /* tables changed since the last commit */
	uint32_t touched_n, touched_cap;
};

/* What the statements that follow change; told of, or forgotten, when they are committed or not. Hold mu, or be in a group. */
void catalog_touch(struct catalog *c, uint32_t table_id);
void catalog_touch_file(struct catalog *c, uint64_t file_id);
void catalog_touch_tomb(struct catalog *c, uint64_t tomb_id);
void catalog_touch_path(struct catalog *c, const char *path);
void catalog_tell(struct catalog *c, bool committed);

/* The latest SQLite error as an errno, with a sentence "<path>: <what>: <SQLite's words>". */
int catalog_fail(struct catalog *c, int sqlite_rc, const char *what, struct err *e);

/*
 * Begin using a statement: locks mu, prepares it where new. NULL: *ret_rc and e are set and the
 * lock is not held. Ends with catalog_done(), which resets and unlocks.
 */
sqlite3_stmt *catalog_stmt(struct catalog *c, enum catalog_stmt which, int *ret_rc, struct err *e);
void catalog_done(struct catalog *c, sqlite3_stmt *st);

/* Step a statement that gives no rows, and be done with it. */
int catalog_exec(struct catalog *c, sqlite3_stmt *st, const char *what, struct err *e);

/*
 * The next id of a kind, never given out before. They are counted in meta and not by SQLite, which
 * checks nothing of what it counted. Inside a group, which makes counting and using it one.
 */
int catalog_next_id(struct catalog *c, const char *key, uint64_t *ret, struct err *e);

/* Run a statement whose only parameter is an id. */
int catalog_exec_id(struct catalog *c, enum catalog_stmt which, uint64_t id, const char *what,
		    struct err *e);

/*
 * One transaction around several statements; inside catalog_begin() it is part of that one, and a
 * failure leaves the decision to whoever began it. `rc` of end: what the statements came to.
 */
int catalog_group_begin(struct catalog *c, bool *ret_own, struct err *e);
int catalog_group_end(struct catalog *c, bool own, int rc, struct err *e);

/*
 * Text column i into a field of `cap` bytes. -EBADMSG: too long, which this program never writes.
 */
int catalog_text(struct catalog *c, sqlite3_stmt *st, int i, char *to, size_t cap, struct err *e);

#endif
