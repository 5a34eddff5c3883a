/*
 * sql_random_change: random statements that change something, in a table of their own: what was inserted is there,
 * DELETE takes as many rows as the same condition finds, and UNLOAD leaves files or none.
 */
#ifndef TIDE_TEST_SQL_RANDOM_CHANGE_H
#define TIDE_TEST_SQL_RANDOM_CHANGE_H

#include <sys/stat.h>

#include "engine/io.h"
#include "tests/fuzz/sql_random_db.h"
#include "tests/fuzz/sqlgen_deep.h"

/* Runs what is in g->sql. */
static inline int random_run_change(struct random_db *db, struct sqlgen *g, const char *out, int64_t *ret_rows)
{
	struct query_env env = {
		.engine = db->engine,
		.memory_bytes = (size_t)(pick(g, 6) ? 64 << 20 : 1 << 20),
		.cancelled = &random_watch.cancelled,
		.unload_dir = out,
		.unload_io = io_posix(),
	};
	struct err e = {0};
	struct buf reply;

	buf_init(&reply, 1 << 16);
	*ret_rows = -1;
	random_watch.is_late = false;
	random_watch.cancelled = pick(g, 30) == 0;
	random_watch.sql = buf_str(&g->sql);
	random_watch.until = clock_mono_ns() + 2 * NS_PER_S;
	int rc = query_run(&env, buf_str(&g->sql), ret_rows, &reply, &e);
	random_watch.until = 0;
	buf_release(&reply);
	if (getenv("SQL_RANDOM_SHOW"))
		fprintf(stderr, "%.*s\n  -- %d %s\n", STR_FMT(buf_str(&g->sql)), rc, rc < 0 ? e.text : "");
	random_count.statements++;
	random_count.changes += rc >= 0;
	random_count.executed += rc >= 0;
	random_count.failed += rc < 0 && rc != -ENOMEM && rc != -ECANCELED;
	random_count.out_of_memory += rc == -ENOMEM;
	random_count.cancelled += rc == -ECANCELED;
	if (rc < 0 && !e.text[0])
		random_die(random_where, "a change failed without a sentence");
	return rc;
}

/* count(*) of what stands behind FROM; -1: it failed. */
static inline int64_t random_rows(struct random_db *db, struct sqlgen *g, const char *from)
{
	struct random_run how = {.memory_bytes = 64 << 20, .cancel_after = -1, .limit_ns = 10 * NS_PER_S};
	struct buf out, sql;
	struct err e = {0};
	int64_t n = -1;

	(void)g;
	buf_init(&out, 1 << 16);
	buf_init(&sql, 1 << 22);
	buf_addf(&sql, "SELECT count(*) FROM %s", from);
	if (random_execute(db, buf_str(&sql), &how, &out, &e) >= 0) {
		buf_addc(&out, '\0');
		n = strtoll(strchr(out.data, '\n') + 1, NULL, 10);
	}
	buf_release(&out);
	buf_release(&sql);
	return n;
}

static inline void random_insert(struct random_db *db, struct sqlgen *g)
{
	static const char *const types[] = {"timestamp", "varchar", "bigint", "double"};
	int64_t rows, before = random_rows(db, g, "r.scratch");

	buf_clear(&g->sql);
	put(g, "INSERT INTO r.scratch SELECT c0 AS time, c1 AS host, coalesce(c2, 0) AS n, c3 AS u FROM (");
	gen_query(g, types, ARRAY_LEN(types), 2);
	put(g, ") AS o (c0, c1, c2, c3) WHERE c0 BETWEEN TIMESTAMP '2024-02-20' AND TIMESTAMP '2024-03-03' AND c1 <> '' "
	       "AND coalesce(is_finite(c3), true)");
	if (random_run_change(db, g, NULL, &rows) < 0)
		rows = 0;
	int64_t after = random_rows(db, g, "r.scratch");
	if (before >= 0 && after >= 0 && (after < before || after > before + rows))
		random_die(buf_str(&g->sql).ptr, "there are other rows than were inserted");
}

static inline void random_delete(struct random_db *db, struct sqlgen *g)
{
	struct gen_scope cols = {0};
	int64_t rows, found;
	struct buf from;

	g->scope = &cols;
	scope_add(&cols, "host", "varchar");
	scope_add(&cols, "time", "timestamp");
	scope_add(&cols, "n", "bigint");
	scope_add(&cols, "u", "double");
	buf_clear(&g->sql);
	put(g, "r.scratch WHERE ");
	gen_val(g, "boolean", 3);
	g->scope = NULL;
	buf_init(&from, 1 << 22);
	buf_add_str(&from, buf_str(&g->sql));
	buf_addc(&from, '\0');
	int64_t all = random_rows(db, g, "r.scratch");
	found = random_rows(db, g, from.data);
	buf_clear(&g->sql);
	buf_addf(&g->sql, "DELETE FROM %s", from.data);
	int rc = random_run_change(db, g, NULL, &rows);
	buf_addc(&g->sql, '\0');
	if (rc >= 0 && found >= 0 && rows != found)
		random_die(g->sql.data, "deletes other rows than the condition finds");
	if (rc >= 0 && all >= 0 && random_rows(db, g, "r.scratch") != all - rows)
		random_die(g->sql.data, "other rows are left than were not deleted");
	buf_release(&from);
}

static inline void random_unload(struct random_db *db, struct sqlgen *g)
{
	static const char *const options[] = {
		"", " WITH (format = 'PARQUET')", " WITH (format = 'PARQUET', compression = 'NONE')", " WITH (compression = 'NONE')",
		" WITH (partitioned_by = ARRAY['p'])", " WITH (format = 'PARQUET', partitioned_by = ARRAY['p'])",
		" WITH (include_header = 'true', field_delimiter = '\t', escaped_by = '!')", " WITH (format = 'ORC')",
	};
	const char *types[3];
	uint32_t n = gen_types_of(g, types, 3);
	char out[100];
	int64_t rows;

	snprintf(out, sizeof out, "%s/unload", db->dir);
	if (mkdir(out, 0700) < 0 && errno != EEXIST)
		random_die(out, strerror(errno));
	buf_clear(&g->sql);
	put(g, "UNLOAD (SELECT * FROM (");
	gen_query(g, types, n, 2);
	buf_addf(&g->sql, ") AS o (%s)) TO 'x'%s", n == 1 ? "p" : n == 2 ? "a, p" : "a, b, p", ONE_OF(g, options));
	random_run_change(db, g, out, &rows);
	nftw(out, random_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void random_change(struct random_db *db, struct sqlgen *g)
{
	static const char *const changes[] = {"CREATE TABLE IF NOT EXISTS r.scratch", "DROP TABLE r.scratch"};
	int64_t rows;

	g->is_tidy = true; /* a condition finds the same twice */
	if (pick(g, 3) == 0) {
		random_unload(db, g);
		return;
	}
	put(g, changes[0]);
	random_run_change(db, g, NULL, &rows);
	random_insert(db, g);
	if (pick(g, 2))
		random_insert(db, g);
	random_delete(db, g);
	if (pick(g, 4) == 0) {
		buf_clear(&g->sql);
		put(g, changes[1]);
		random_run_change(db, g, NULL, &rows);
	}
}

#endif
