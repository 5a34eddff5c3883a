/* ORDER BY time a stretch after the other gives what a sort of all rows gives, and LIMIT reads little. */
#include "engine/ingest.h"
#include "query/query.h"
#include "tests/unit/unit.h"

#define START_NS (INT64_C(1709287200) * NS_PER_S) /* 2024-03-01 10:00 */
#define ROWS     5000
#define ALL_ROWS UINT64_C(1000000) /* a first stretch that holds everything */

static struct engine *engine;
static struct db *db;
static struct table *table;

/* A nanosecond apart, so that a stretch has no room to end between rows; in rounds, to lie in several places. */
static void write_rows(int round, int64_t gap_ns)
{
	struct ingest_source src = {.file = "slices"};
	struct ingest *in;
	struct buf text;
	struct err e = {0};

	buf_init(&text, 1 << 28);
	for (int64_t i = round; i < ROWS; i += 4) {
		int64_t t = START_NS + i + (i > ROWS / 2 ? gap_ns : 0);

		buf_addf(&text, "m,host=h%lld v=%lldi,s=\"x%lld\" %lld\n", (long long)(i % 7), (long long)i, (long long)(i % 13),
			 (long long)t);
		if (i % 3 == 0) /* several rows of a time */
			buf_addf(&text, "m,host=other v=%lldi %lld\n", (long long)-i, (long long)t);
	}
	int rc = ingest_open(db, table, &src, &in, &e);
	if (rc >= 0)
		rc = ingest_write(in, text.data, text.len, &e);
	if (rc >= 0)
		rc = ingest_finish(in, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ingest_close(in);
	buf_release(&text);
}

/* gap: of these rows one half lies so much later, where their files' times say nothing of it. */
static void open_world(int64_t gap_ns)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	char dir[64];
	struct err e = {0};

	unit_dir(dir);
	ck_assert_int_ge(engine_open(dir, &opt, &engine, &e), 0);
	ck_assert_int_ge(engine_db_create(engine, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("t"), &table, &e), 0);
	ck_assert_int_ge(table_set(table, SET_RETENTION_MEMORY, STR_LIT("1s"), &e), 0);
	for (int round = 0; round < 4; round++) {
		write_rows(round, gap_ns);
		if (round < 3)
			ck_assert_int_ge(table_seal(table, &e), 0);
		if (round == 0)
			ck_assert_int_ge(table_maintain(table, &e), 0); /* tiles */
	}
}

static void close_world(void)
{
	table_put(table);
	db_put(db);
	engine_close(engine);
}

/* The statement's text with a first stretch of so many rows; how many rows it read. */
static uint64_t answer(const char *sql, uint64_t slice_rows, size_t memory, struct buf *out)
{
	struct query_env env = {.engine = engine, .default_db = "d", .slice_rows = slice_rows, .memory_bytes = memory};
	struct query_progress p;
	struct query_text *t;
	struct query *q;
	struct err e = {0};

	buf_clear(out);
	int rc = query_prepare(&env, str_from(sql), &q, &e);
	if (rc >= 0)
		rc = query_text_create(q, QF_CSV, &t, &e);
	ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
	while ((rc = query_text_next(t, out, &e)) > 0)
		;
	ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
	query_progress(q, &p);
	query_text_destroy(t);
	return p.rows_read;
}

static const char *const statements[] = {
	"SELECT * FROM t ORDER BY time, host, v",
	"SELECT host, time, v FROM t ORDER BY time DESC, v DESC",
	"SELECT v, time AS at FROM t WHERE v % 5 = 0 ORDER BY at, v",
	"SELECT v FROM t ORDER BY time, v LIMIT 7",
	"SELECT v FROM t ORDER BY time DESC, v LIMIT 100 OFFSET 1300",
	"SELECT v FROM t ORDER BY time OFFSET 6000",
	"SELECT v FROM t ORDER BY time FETCH FIRST 10 ROWS WITH TIES",
	"SELECT v FROM t WHERE host = 'h3' ORDER BY time DESC LIMIT 3",
	"SELECT v FROM t WHERE host = 'nobody' ORDER BY time",
	"SELECT v FROM t WHERE time > TIMESTAMP '2024-03-01 10:00:20' ORDER BY time, v",
	"SELECT v FROM t WHERE v = -3 ORDER BY time LIMIT 2",
	"SELECT s, time FROM (SELECT * FROM t WHERE s IS NOT NULL) ORDER BY time, s",
	"SELECT a.v, b.v FROM (SELECT v, time FROM t ORDER BY time LIMIT 50) AS a JOIN t AS b ON a.time = b.time "
	"ORDER BY 1, 2",
};

START_TEST(slices_give_what_the_whole_gives)
{
	static const uint64_t rows[] = {1, 3, 64, 1000, 4000};
	struct buf whole, sliced;

	buf_init(&whole, 1 << 28);
	buf_init(&sliced, 1 << 28);
	open_world(_i ? 40 * NS_PER_S : 0);
	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		answer(statements[i], ALL_ROWS, 0, &whole);
		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			answer(statements[i], rows[k], k % 2 ? 0 : 4 << 20, &sliced);
			ck_assert_msg(str_eq(buf_str(&whole), buf_str(&sliced)), "%s: other rows in stretches of %llu, "
				      "%zu bytes and %zu", statements[i], (unsigned long long)rows[k], whole.len, sliced.len);
		}
	}
	close_world();
	buf_release(&whole);
	buf_release(&sliced);
}
END_TEST

START_TEST(limit_reads_little)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	open_world(0);
	uint64_t newest = answer("SELECT v FROM t ORDER BY time DESC LIMIT 10", 64, 0, &out);
	uint64_t oldest = answer("SELECT v FROM t ORDER BY time LIMIT 10", 64, 0, &out);
	uint64_t all = answer("SELECT v FROM t ORDER BY time", 64, 0, &out);
	ck_assert_uint_lt(newest, 500);
	ck_assert_uint_lt(oldest, 500);
	ck_assert_uint_eq(all, ROWS + (ROWS + 2) / 3);
	close_world();
	buf_release(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slices");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, slices_give_what_the_whole_gives, 0, 2);
	tcase_add_test(tc, limit_reads_little);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
