/* A statement that looks at a table twice sees one moment of it, and narrow joins read little of it. */
#include "engine/ingest.h"
#include "query/query.h"
#include "tests/unit/unit.h"

#include <pthread.h>

#define START_NS (INT64_C(1709287200) * NS_PER_S) /* 2024-03-01 10:00 */

struct world {
	char dir[64];
	struct engine *engine;
	struct db *db;
	struct table *table;
	int64_t next; /* number of the next row */
};

static void open_world(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	*w = (struct world){0};
	unit_dir(w->dir);
	ck_assert_int_ge(engine_open(w->dir, &opt, &w->engine, &e), 0);
	ck_assert_int_ge(engine_db_create(w->engine, STR_LIT("d"), &w->db, &e), 0);
	ck_assert_int_ge(db_table_create(w->db, STR_LIT("t"), &w->table, &e), 0);
	ck_assert_int_ge(table_set(w->table, SET_RETENTION_MEMORY, STR_LIT("1s"), &e), 0);
}

static void close_world(struct world *w)
{
	table_put(w->table);
	db_put(w->db);
	engine_close(w->engine);
}

/* Rows of host h0, h1... in turn, a second apart for each host. */
static void write_rows(struct world *w, int n, int hosts)
{
	struct ingest_source src = {.file = "moment"};
	struct ingest *in;
	struct buf text;
	struct err e = {0};

	buf_init(&text, 1 << 28);
	for (int i = 0; i < n; i++, w->next++)
		buf_addf(&text, "m,host=h%lld v=%lldi %lld\n", (long long)(w->next % hosts), (long long)w->next,
			 (long long)(START_NS + w->next / hosts * NS_PER_S));
	int rc = ingest_open(w->db, w->table, &src, &in, &e);
	if (rc >= 0)
		rc = ingest_write(in, text.data, text.len, &e);
	if (rc >= 0)
		rc = ingest_finish(in, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ingest_close(in);
	buf_release(&text);
}

static struct query *prepare(struct world *w, const char *sql)
{
	struct query_env env = {.engine = w->engine, .default_db = "d"};
	struct query *q;
	struct err e = {0};

	int rc = query_prepare(&env, str_from(sql), &q, &e);
	ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
	return q;
}

/* The first column of the next row. */
static int64_t next_value(struct query *q)
{
	const struct vbatch *b;
	struct err e = {0};

	int rc = query_next(q, &b, &e);
	ck_assert_msg(rc == 1, "%s", e.text);
	return b->cols[0].i64[vec_index(&b->cols[0], 0)];
}

START_TEST(both_scans_see_the_moment_of_the_first)
{
	static const char *const twice = "SELECT count(*) FROM t UNION ALL SELECT count(*) FROM t";
	struct world w;
	struct err e = {0};

	open_world(&w);
	write_rows(&w, 100, 5);
	for (int round = 0; round < 4; round++) {
		struct query *q = prepare(&w, twice);
		write_rows(&w, 10, 5); /* before the first scan begins: seen by both */
		int64_t first = next_value(q);
		ck_assert_int_eq(first, w.next);
		write_rows(&w, 50, 5);
		if (round > 0)
			ck_assert_int_ge(table_seal(w.table, &e), 0);
		if (round > 1)
			ck_assert_int_ge(table_maintain(w.table, &e), 0);
		if (round > 2) {
			struct deletion *d;
			ck_assert_int_ge(table_delete_begin(w.table, &d, &e), 0);
			ck_assert_int_ge(deletion_add(d, 0, 1000, INT64_MIN, INT64_MAX, &e), 0);
			ck_assert_int_ge(deletion_commit(d, &e), 0);
		}
		ck_assert_int_eq(next_value(q), first);
		query_destroy(q);
	}
	/* And the next statement sees what is there now. */
	struct query *q = prepare(&w, twice);
	ck_assert_int_eq(next_value(q), 0);
	ck_assert_int_eq(next_value(q), 0);
	query_destroy(q);
	close_world(&w);
}
END_TEST

struct writer {
	struct world *w;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *t = arg;
	struct err e = {0};

	for (int i = 1; !atomic_load(&t->stop) && i < 3000; i++) {
		write_rows(t->w, 20, 5);
		if (i % 7 == 0 && table_seal(t->w->table, &e) < 0)
			abort();
		if (i % 31 == 0 && table_maintain(t->w->table, &e) < 0)
			abort();
	}
	return NULL;
}

/* A table joined with itself has no row without its like, whatever is written, sealed and moved meanwhile. */
START_TEST(a_table_is_its_own_like)
{
	static const char *const statements[] = {
		"SELECT count(*) FROM t a FULL JOIN t b USING (host, time) WHERE a.v IS DISTINCT FROM b.v",
		"SELECT count(*) FROM t a LEFT JOIN t b ON a.time = b.time AND a.host = b.host WHERE b.v IS NULL",
		"SELECT a.n - b.n FROM (SELECT count(*) AS n FROM t) a, (SELECT count(*) AS n FROM t) b",
		"SELECT coalesce(sum(s), 0) FROM (SELECT sum(v) AS s FROM t UNION ALL SELECT -sum(v) FROM t)",
	};
	struct world w;
	pthread_t th;

	open_world(&w);
	write_rows(&w, 1000, 5);
	struct writer t = {.w = &w};
	ck_assert_int_eq(pthread_create(&th, NULL, write_on, &t), 0);
	for (int i = 0; i < 120; i++) {
		struct query *q = prepare(&w, statements[i % ARRAY_LEN(statements)]);
		int64_t n = next_value(q);
		query_destroy(q);
		ck_assert_msg(n == 0, "%s: %lld", statements[i % ARRAY_LEN(statements)], (long long)n);
	}
	atomic_store(&t.stop, true);
	pthread_join(th, NULL);
	close_world(&w);
}
END_TEST

/* Rows that the statement's scans gave. */
static uint64_t rows_read(struct world *w, const char *sql, int64_t want)
{
	struct query *q = prepare(w, sql);
	struct query_progress p;
	const struct vbatch *b;
	struct err e = {0};

	int64_t got = next_value(q);
	ck_assert_int_eq(query_next(q, &b, &e), 0);
	query_progress(q, &p);
	query_destroy(q);
	ck_assert_msg(got == want, "%s: %lld, not %lld", sql, (long long)got, (long long)want);
	return p.rows_read;
}

START_TEST(held_rows_narrow_the_other_scan)
{
	struct world w;
	struct err e = {0};

	open_world(&w);
	write_rows(&w, 200000, 1000); /* 1,000 hosts, 200 rows each */
	ck_assert_int_ge(table_seal(w.table, &e), 0);
	ck_assert_int_ge(table_maintain(w.table, &e), 0);
	/* Three hosts, by name. */
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES ('h7'), ('h70'), ('h700'), ('nobody')) "
					"SELECT count(*) FROM t JOIN few ON t.host = few.h", 600), 600);
	/* On either side, through a rename, an aggregate, a union. */
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES ('h7'), ('h70')) SELECT count(*) FROM few JOIN "
					"(SELECT host AS x, count(time) AS t FROM t GROUP BY host) ON x = h", 2), 400);
	/* Of each host the last row, at that. */
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES ('h7'), ('h70')) SELECT count(*) FROM few JOIN "
					"(SELECT host AS x, max(time) AS t FROM t GROUP BY host) ON x = h", 2), 2);
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES ('h7')) SELECT count(*) FROM few, "
					"(SELECT host FROM t UNION ALL SELECT host FROM t) u WHERE u.host = h", 400), 400);
	/* By time: of equal moments only these, of later ones only later ones. */
	ck_assert_uint_eq(rows_read(&w, "WITH at(x) AS (VALUES TIMESTAMP '2024-03-01 10:00:05', "
					"TIMESTAMP '2024-03-01 10:00:07') SELECT count(*) FROM t, at WHERE time = x", 2000),
			  3000);
	ck_assert_uint_eq(rows_read(&w, "WITH since(x) AS (VALUES TIMESTAMP '2024-03-01 10:03:10') "
					"SELECT count(*) FROM t, since WHERE time >= x", 10000), 10000);
	ck_assert_uint_eq(rows_read(&w, "WITH span(x) AS (VALUES TIMESTAMP '2024-03-01 10:00:10') SELECT count(*) "
					"FROM t, span WHERE time BETWEEN x - 2s AND x + 1s", 4000), 4000);
	ck_assert_uint_eq(rows_read(&w, "WITH slot(x) AS (VALUES TIMESTAMP '2024-03-01 10:01:00') SELECT count(*) "
					"FROM t JOIN slot ON bin(time, 1m) = x", 60000), 60000);
	/* Nothing to find: nothing is read. */
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES 'nobody') SELECT count(*) FROM t JOIN few ON host = h", 0),
			  0);
	ck_assert_uint_eq(rows_read(&w, "SELECT count(*) FROM t JOIN (SELECT host FROM t WHERE host = 'nobody') n "
					"USING (host)", 0), 0);
	/* Rows that come without a match are all read, but not the rows beside them. */
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES 'h7') SELECT count(h) FROM t LEFT JOIN few ON host = h",
				    200), 200000);
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES 'h7', 'nobody') SELECT count(*) FROM few LEFT JOIN t "
					"ON host = h", 201), 200);
	ck_assert_uint_eq(rows_read(&w, "WITH few(h) AS (VALUES 'h7', NULL) SELECT count(*) FROM few LEFT JOIN t "
					"ON host = h AND time < '2024-03-01 10:00:10'", 11), 10);
	close_world(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {both_scans_see_the_moment_of_the_first, a_table_is_its_own_like,
				held_rows_narrow_the_other_scan};
	return unit_main("moment", 300, tests, ARRAY_LEN(tests));
}
