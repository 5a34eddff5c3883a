/*
 * EXPLAIN ANALYZE: what it says was read is what a query had to read, measured against the tiles themselves.
 */
#include "tests/unit/unit.h"

#include "engine/ingest.h"
#include "engine/tile.h"
#include "query/query.h"

#define HOSTS 50
#define DAYS  6
#define ROWS_A_DAY 1440 /* one a minute */
#define START INT64_C(1709251200000000000) /* 2024-03-01 */

struct world {
	char path[64];
	struct engine *engine;
	struct db *db;
	struct table *t;
};

static struct world world;

static void put(const char *text, size_t n)
{
	struct ingest_source src = {.file = "test"};
	struct err e = {0};
	struct ingest *in;

	ck_assert_int_ge(ingest_open(world.db, world.t, &src, &in, &e), 0);
	int rc = ingest_write(in, text, n, &e);
	ck_assert_msg(rc >= 0 && ingest_finish(in, &e) >= 0, "%s", e.text);
	ck_assert_uint_eq(ingest_take_rejected(in), 0);
	ingest_close(in);
}

/* One row a minute and host. */
static void put_days(uint32_t day, uint32_t days)
{
	struct buf text;

	buf_init(&text, 64 << 20);
	for (uint32_t i = day * ROWS_A_DAY; i < (day + days) * ROWS_A_DAY; i++)
		for (uint32_t h = 0; h < HOSTS; h++)
			buf_addf(&text, "m,host=h%02u v=%ui,w=%u.5 %lld\n", h, i, i % 77,
				 (long long)(START + i * INT64_C(60) * NS_PER_S));
	put(text.data, text.len);
	buf_release(&text);
}

/* Days in tiles, and a last one in memory. */
static void setup(void)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	clock_pin(START + DAYS * NS_PER_DAY);
	close(unit_dir(world.path));
	ck_assert_msg(engine_open(world.path, &opt, &world.engine, &e) >= 0, "%s", e.text);
	ck_assert_msg(engine_db_create(world.engine, STR_LIT("d"), &world.db, &e) >= 0, "%s", e.text);
	ck_assert_msg(db_table_create(world.db, STR_LIT("t"), &world.t, &e) >= 0, "%s", e.text);
	ck_assert_int_ge(table_set(world.t, SET_RETENTION_MEMORY, STR_LIT("1s"), &e), 0);
	put_days(0, DAYS - 1);
	ck_assert_msg(table_seal(world.t, &e) >= 0 && table_maintain(world.t, &e) >= 0, "%s", e.text);
	put_days(DAYS - 1, 1);
}

static void teardown(void)
{
	table_put(world.t);
	db_put(world.db);
	engine_close(world.engine);
	clock_pin(0);
}

/* What the last lines of EXPLAIN ANALYZE say. */
struct told {
	unsigned long long result, rows, pages_read, pages, files_read, files;
};

static struct told analyze(const char *sql, struct buf *out)
{
	struct query_env env = {.engine = world.engine};
	struct err e = {0};
	struct told t = {0};
	struct query_text *text;
	struct query *q;
	char *statement;

	ck_assert_int_gt(asprintf(&statement, "EXPLAIN ANALYZE %s", sql), 0);
	buf_clear(out);
	int rc = query_prepare(&env, str_from(statement), &q, &e);
	ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
	ck_assert_int_ge(query_text_create(q, QF_TSV, &text, &e), 0);
	while ((rc = query_text_next(text, out, &e)) > 0)
		;
	ck_assert_msg(rc == 0, "%s: %s", sql, e.text);
	query_text_destroy(text);
	free(statement);
	buf_addc(out, '\0');
	const char *result = strstr(out->data, "Result: "), *read = strstr(out->data, "Read: ");
	ck_assert_msg(result && read, "%s", out->data);
	ck_assert_int_eq(sscanf(result, "Result: %llu row", &t.result), 1);
	int n = sscanf(read, "Read: %llu rows, %llu of %llu pages, %llu of %llu files,", &t.rows, &t.pages_read, &t.pages,
		       &t.files_read, &t.files);
	ck_assert_msg(n == 5, "%s", read);
	return t;
}

/* ---- the tiles themselves --------------------------------------------------------------------------- */

/* Pages of all tiles, and those with rows of the host in the time range. */
struct pages {
	uint64_t all, wanted, files, wanted_files;
};

static struct pages *counted;
static const char *wanted_host;
static int64_t wanted_from;

static bool is_wanted(uint32_t series_id)
{
	struct series_set *s = table_series(world.t);
	uint32_t col = (uint32_t)series_find_column(s, STR_LIT("host"));

	return str_eq(series_dict_value(s, col, series_dim_code(s, series_id, col)), str_from(wanted_host));
}

static int count_tile(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	size_t len = strlen(path);
	struct err e = {0};
	struct tile *t;

	(void)st, (void)flag, (void)ftw;
	if (len < 8 || strcmp(path + len - 8, ".parquet") != 0)
		return 0;
	ck_assert_msg(tile_open(io_posix(), AT_FDCWD, path, &t, &e) >= 0, "%s", e.text);
	const struct tile_info *info = tile_info(t);
	counted->files++;
	counted->wanted_files += info->t_max >= wanted_from;
	if (info->t_max >= wanted_from)
		counted->all += info->page_count;
	for (uint32_t i = 0; i < info->series_count; i++) {
		const struct tile_series *s = &tile_series(t)[i];

		if (!is_wanted(s->series_id) || s->t_max < wanted_from)
			continue;
		for (uint32_t p = tile_page_of_row(t, s->row0); p <= tile_page_of_row(t, s->row0 + s->rows - 1); p++) {
			int64_t lo, hi;
			tile_page_times(t, p, &lo, &hi);
			counted->wanted += hi >= wanted_from;
		}
	}
	tile_put(t);
	return 0;
}

static struct pages count_pages(const char *host, int64_t from)
{
	struct pages p = {0};

	counted = &p;
	wanted_host = host;
	wanted_from = from;
	ck_assert_int_eq(nftw(world.path, count_tile, 16, FTW_PHYS), 0);
	return p;
}

START_TEST(one_host_reads_its_pages)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	for (uint32_t h = 0; h < HOSTS; h += 7) {
		char host[8], sql[200];
		snprintf(host, sizeof host, "h%02u", h);
		snprintf(sql, sizeof sql, "SELECT time, v, w FROM d.t WHERE host = '%s'", host);
		struct told t = analyze(sql, &out);
		struct pages p = count_pages(host, INT64_MIN);
		ck_assert_uint_eq(t.result, DAYS * ROWS_A_DAY);
		ck_assert_uint_eq(t.rows, DAYS * ROWS_A_DAY);
		ck_assert_msg(t.pages_read == p.wanted, "%llu pages read, but %s has rows in %llu:\n%s", t.pages_read, host,
			      (unsigned long long)p.wanted, out.data);
		ck_assert_uint_eq(t.pages, p.all);
		ck_assert_uint_eq(t.files, p.files);
		/* Few of them: a page is a host's own, or its neighbours' too. */
		ck_assert_uint_ge(p.all, 10 * p.wanted);
	}
	buf_release(&out);
}
END_TEST

START_TEST(time_leaves_out_files)
{
	struct pages p = count_pages("h07", START + 3 * NS_PER_DAY);
	struct buf out;

	buf_init(&out, 1 << 20);
	struct told t = analyze("SELECT v FROM d.t WHERE host = 'h07' AND time >= '2024-03-04 00:00:00'", &out);
	ck_assert_uint_eq(t.result, 3 * ROWS_A_DAY);
	ck_assert_uint_eq(t.files, p.files);
	ck_assert_uint_eq(t.files_read, p.wanted_files);
	ck_assert_uint_lt(t.files_read, t.files);
	ck_assert_uint_eq(t.pages, p.all);
	ck_assert_uint_eq(t.pages_read, p.wanted);
	/* Within a day, too: the pages behind and before are passed over. */
	t = analyze("SELECT v FROM d.t WHERE time BETWEEN '2024-03-02 06:00:00' AND '2024-03-02 06:10:00'", &out);
	ck_assert_uint_eq(t.result, 11 * HOSTS);
	ck_assert_uint_eq(t.files_read, 1);
	buf_release(&out);
}
END_TEST

/* What is known without looking into pages reads none; a LIMIT stops early. */
START_TEST(reads_no_more_than_asked)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	struct told t = analyze("SELECT count(*) FROM d.t WHERE host = 'h01'", &out);
	ck_assert_uint_eq(t.result, 1);
	ck_assert_uint_eq(t.rows, DAYS * ROWS_A_DAY);
	ck_assert_msg(strstr(out.data, "read 1 of 50 series"), "%s", out.data);
	t = analyze("SELECT v FROM d.t WHERE host = 'nobody'", &out);
	ck_assert_uint_eq(t.rows + t.pages + t.files, 0);
	ck_assert_msg(strstr(out.data, "read 0 of 50 series"), "%s", out.data);
	t = analyze("SELECT v FROM d.t LIMIT 5", &out);
	ck_assert_uint_eq(t.result, 5);
	ck_assert_uint_lt(t.rows, 3 * 2048);
	ck_assert_uint_le(t.pages_read, t.pages / 10);
	t = analyze("SELECT v, w FROM d.t", &out);
	ck_assert_uint_eq(t.result, (uint64_t)HOSTS * DAYS * ROWS_A_DAY);
	ck_assert_uint_eq(t.pages_read, t.pages);
	ck_assert_msg(strstr(out.data, "blocks of memory"), "%s", out.data);
	buf_release(&out);
}
END_TEST

/* Rows of each operator, in the order of the plan. */
START_TEST(operators_count_rows)
{
	static const char *const lines[] = {
		"SORT", "- 3 rows in 1 batch,", "PROJECT", "- 50 rows in 1 batch,", "AGG", "- 50 rows in 1 batch,", "FILTER",
		"- 500 rows in ", "SCAN", "- 432000 rows in ", "- read 50 of 50 series",
	};
	struct buf out;

	buf_init(&out, 1 << 20);
	analyze("SELECT host, sum(v) FROM d.t WHERE v < 10 GROUP BY host ORDER BY 2 DESC, 1 LIMIT 3", &out);
	const char *at = out.data;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		at = strstr(at, lines[i]);
		ck_assert_msg(at, "no '%s' in its place:\n%s", lines[i], out.data);
	}
	buf_release(&out);
}
END_TEST

/* It ends as the query would. */
START_TEST(fails_as_the_query_does)
{
	static const struct {
		const char *sql;
		int rc;
		const char *why;
	} cases[] = {
		{"EXPLAIN ANALYZE SELECT 1 / (v - v) FROM d.t", -EINVAL, "line 1:26: division by zero"},
		{"EXPLAIN ANALYZE SELECT host, array_agg(v) FROM d.t GROUP BY host", -ENOMEM, "needs more than its"},
		{"EXPLAIN ANALYZE DELETE FROM d.t", -EINVAL, "line 1:17: EXPLAIN ANALYZE runs the statement, and it only "
							     "runs queries"},
	};
	_Atomic bool cancelled = false;
	struct query_env env = {.engine = world.engine, .memory_bytes = 2 << 20, .cancelled = &cancelled};
	const struct vbatch *b;
	struct query *q;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		int rc = query_prepare(&env, str_from(cases[i].sql), &q, &e);
		if (rc >= 0) {
			rc = query_next(q, &b, &e);
			query_destroy(q);
		}
		ck_assert_int_eq(rc, cases[i].rc);
		ck_assert_msg(strstr(e.text, cases[i].why), "%s: %s", cases[i].sql, e.text);
	}
	struct err e = {0};
	ck_assert_int_ge(query_prepare(&env, STR_LIT("EXPLAIN ANALYZE SELECT count(*) FROM d.t"), &q, &e), 0);
	cancelled = true;
	ck_assert_int_eq(query_next(q, &b, &e), -ECANCELED);
	query_destroy(q);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("analyze");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_host_reads_its_pages);
	tcase_add_test(tc, time_leaves_out_files);
	tcase_add_test(tc, reads_no_more_than_asked);
	tcase_add_test(tc, operators_count_rows);
	tcase_add_test(tc, fails_as_the_query_does);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failures = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failures ? 1 : 0;
}
