/*
 * The binder over a real engine: plans as EXPLAIN prints them, rows, sentences.
 */
#include "query/query.h"
#include "query/plan.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1718625600000000000) /* 2024-06-17 12:00:00 */

static char dir[64];
static int dir_fd;
static struct engine *en;
static struct table *table;
static struct query_env env;

static uint32_t add_column(const char *name, enum colkind kind, enum coltype type)
{
	struct err e;
	int64_t id = series_add_column(table_series(table), str_from(name), kind, type, &e);

	ck_assert_msg(id >= 0, "%s", err_text(&e, (int)id));
	return (uint32_t)id;
}

static void put(struct batch *b, uint32_t series, int64_t t, uint32_t temp, uint32_t hum, double v, int64_t h)
{
	int k;

	ck_assert_int_eq(batch_reserve(b), 0);
	b->series[b->n] = series;
	b->time_ns[b->n] = t;
	k = batch_col(b, temp, COL_DOUBLE);
	b->cols[k].col.f64[b->n] = v;
	b->cols[k].col.valid[b->n] = 1;
	b->cols[k].has_values = true;
	if (h >= 0) {
		k = batch_col(b, hum, COL_BIGINT);
		b->cols[k].col.i64[b->n] = h;
		b->cols[k].col.valid[b->n] = 1;
		b->cols[k].has_values = true;
	}
	b->n++;
}

/* iot.weather: stations a (north), b (south), c (south, no humidity), a value a minute before NOW. */
static void fill(struct db *db)
{
	uint32_t station = add_column("station", COLKIND_DIMENSION, COL_VARCHAR);
	uint32_t temp = add_column("temp", COLKIND_MEASURE, COL_DOUBLE);
	uint32_t region = add_column("Region", COLKIND_DIMENSION, COL_VARCHAR);
	uint32_t hum = add_column("hum", COLKIND_MEASURE, COL_BIGINT);
	struct table_batch tb = {.table = table};
	struct batch b;
	struct err e;

	batch_init(&b);
	for (int s = 0; s < 3; s++) {
		const char *names[] = {"a", "b", "c"}, *regions[] = {"north", "south", "south"};
		struct dim_value dims[] = {{station, str_from(names[s])}, {region, str_from(regions[s])}};
		int64_t id = series_intern(table_series(table), STR_LIT("w"), MEASURE_MULTI, dims, 2, &e);

		for (int i = 0; i < 4; i++)
			put(&b, (uint32_t)id, NOW - (4 - i) * 60 * NS_PER_S, temp, hum, 10 * s + i + 0.5,
			    s == 2 ? -1 : 50 + i);
	}
	tb.batch = &b;
	int rc = db_append(db, &tb, 1, &e);
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	batch_release(&b);
}

static void setup(void)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct db *db;
	struct table *t;
	struct err e = {0};
	int rc;

	dir_fd = unit_dir(dir);
	rc = engine_open(dir, &opt, &en, &e);
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	ck_assert_int_eq(engine_db_create(en, STR_LIT("iot"), &db, &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("weather"), &table, &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("secret"), &t, &e), 0);
	table_put(t);
	fill(db);
	db_put(db);
	env = (struct query_env){.engine = en, .default_db = "iot", .now_ns = NOW};
}

static void teardown(void)
{
	table_put(table);
	engine_close(en);
	unit_dir_remove(dir_fd, dir);
}

/* Rows as CSV with the header, or the sentence. */
static int run(const char *sql, struct buf *out, struct err *e)
{
	struct query *q;
	struct query_text *t;
	int rc;

	buf_clear(out);
	err_clear(e);
	rc = query_prepare(&env, str_from(sql), &q, e);
	if (rc < 0)
		return rc;
	rc = query_text_create(q, QF_CSV, &t, e);
	if (rc < 0)
		return rc;
	while ((rc = query_text_next(t, out, e)) > 0)
		;
	query_text_destroy(t);
	buf_addc(out, 0);
	out->len--;
	return rc;
}

static const struct {
	const char *sql, *csv;
} rows[] = {
	{"SELECT 1, 'x' AS t, 2.5, NULL", "_col0,t,_col2,_col3\n1,x,2.5,\n"},
	{"SELECT * FROM weather WHERE station = 'a' ORDER BY time LIMIT 1",
	 "station,Region,measure_name,time,temp,hum\na,north,w,2024-06-17 11:56:00.000000000,0.5,50\n"},
	{"SELECT station, temp FROM iot.weather WHERE time >= ago(1m) ORDER BY station",
	 "station,temp\na,3.5\nb,13.5\nc,23.5\n"},
	{"SELECT region FROM weather LIMIT 1", "Region\nnorth\n"},
	{"SELECT w.\"Region\" AS r, count(*), sum(hum) FROM weather w GROUP BY region ORDER BY r",
	 "r,_col1,_col2\nnorth,4,206\nsouth,8,206\n"},
	{"SELECT count(*) FROM weather", "_col0\n12\n"},
	{"SELECT count(*) FROM weather WHERE false", "_col0\n0\n"},
	{"SELECT station FROM weather GROUP BY station HAVING max(temp) > 10 ORDER BY max(temp) DESC",
	 "station\nc\nb\n"},
	{"SELECT max(time) AS time, station FROM weather GROUP BY 2 ORDER BY time DESC, station DESC LIMIT 1",
	 "time,station\n2024-06-17 11:59:00.000000000,c\n"},
	{"SELECT bin(time, 2m) AS t, avg(temp) FROM weather WHERE station = 'a' GROUP BY bin(time, 2m) ORDER BY 1",
	 "t,_col1\n2024-06-17 11:56:00.000000000,1.0\n2024-06-17 11:58:00.000000000,3.0\n"},
	{"SELECT DISTINCT region FROM weather ORDER BY 1", "Region\nnorth\nsouth\n"},
	{"SELECT station, temp FROM weather ORDER BY hum, temp DESC LIMIT 3 OFFSET 1",
	 "station,temp\na,0.5\nb,11.5\na,1.5\n"},
	{"SELECT station FROM weather ORDER BY hum DESC NULLS FIRST, temp FETCH FIRST 1 ROW WITH TIES", "station\nc\n"},
	{"SELECT temp * 2 AS temp FROM weather WHERE temp < 2 ORDER BY temp DESC", "temp\n3.0\n1.0\n"},
	{"SELECT temp + 1 AS x FROM weather WHERE station = 'a' ORDER BY x * -1 LIMIT 1", "x\n4.5\n"},
	{"VALUES (1, 'a'), (2, 'b')", "_col0,_col1\n1,a\n2,b\n"},
	{"SELECT * FROM (VALUES (('a', 1)), (('b', 2))) AS t(c1, c2) ORDER BY c2 DESC", "c1,c2\nb,2\na,1\n"},
	{"SELECT x FROM (VALUES 1, 2.5, NULL) t(x) ORDER BY x DESC", "x\n2.5\n1.0\n\n"},
	{"VALUES 3, 1 + 0, random() * 0 ORDER BY 1", "_col0\n0.0\n1.0\n3.0\n"},
	{"WITH a AS (SELECT station, temp FROM weather), b (s) AS (SELECT station FROM a WHERE temp > 22) "
	 "SELECT count(*) AS n, s FROM b GROUP BY s", "n,s\n2,c\n"},
	{"SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT NULL ORDER BY a", "a\n1.0\n2.5\n\n"},
	{"SELECT station FROM weather UNION SELECT 'z' ORDER BY 1", "station\na\nb\nc\nz\n"},
	{"SELECT station FROM weather INTERSECT SELECT station FROM weather WHERE region = 'south' ORDER BY 1",
	 "station\nb\nc\n"},
	{"SELECT station FROM weather EXCEPT SELECT 'b' ORDER BY 1", "station\na\nc\n"},
	{"SELECT s FROM (SELECT station AS s, time AS t FROM weather) WHERE t > '2024-06-17 11:58:30' AND s <> 'a' "
	 "ORDER BY s", "s\nb\nc\n"},
	{"SELECT if(temp > 20, 'hot', 'cold') AS c, count(*) FROM weather GROUP BY if(temp > 20, 'hot', 'cold') ORDER BY c",
	 "c,_col1\ncold,8\nhot,4\n"},
	{"SELECT CASE station WHEN 'a' THEN 1 WHEN 'b' THEN 2.5 END FROM weather GROUP BY station ORDER BY 1",
	 "_col0\n1.0\n2.5\n\n"},
	{"SELECT if(false, 1/0, 7), try(1/0), coalesce(NULL, 7), nullif(3, 3)", "_col0,_col1,_col2,_col3\n7,,7,\n"},
	{"SELECT count(hum), count(DISTINCT hum), count(*) FILTER (WHERE temp > 20) FROM weather",
	 "_col0,_col1,_col2\n8,4,4\n"},
	{"SELECT EXTRACT(YEAR FROM '2019-10-12 23:10:34.000000000'), position('n' IN 'banana')", "_col0,_col1\n2019,3\n"},
	{"SELECT 5 BETWEEN 1 AND 9, 5 NOT IN (1, 2), 'abc' LIKE 'a%', NULL IS NULL, 1 IS DISTINCT FROM NULL",
	 "_col0,_col1,_col2,_col3,_col4\ntrue,true,true,true,true\n"},
	{"SELECT INTERVAL '2 03:04:05.5' DAY TO SECOND, INTERVAL -'1-3' YEAR TO MONTH, INTERVAL '2' WEEK, 15m, 1year",
	 "_col0,_col1,_col2,_col3,_col4\n2 03:04:05.500000000,-1-3,14 00:00:00.000000000,0 00:15:00.000000000,1-0\n"},
	{"SELECT (CAST(ROW(1, 'x') AS ROW(a BIGINT, b VARCHAR))).b", "b\nx\n"},
	{"SELECT 2147483647, 2147483648, -9223372036854775808, typeof(2147483648)",
	 "_col0,_col1,_col2,_col3\n2147483647,2147483648,-9223372036854775808,bigint\n"},
	{"SELECT now() = current_timestamp, now() - 12h = ago(12h)", "_col0,_col1\ntrue,true\n"},
	{"SHOW DATABASES", "Database\niot\n"},
	{"SHOW TABLES LIKE 'w%'", "Table\nweather\n"},
	{"SHOW MEASURES FROM iot.weather",
	 "measure_name,data_type,dimensions\nw,multi,\"[{\"\"data_type\"\":\"\"varchar\"\",\"\"dimension_name\"\":"
	 "\"\"station\"\"},{\"\"data_type\"\":\"\"varchar\"\",\"\"dimension_name\"\":\"\"Region\"\"}]\"\n"},
	{"DESCRIBE weather",
	 "Column,Type,Timestream attribute type\nstation,varchar,DIMENSION\nRegion,varchar,DIMENSION\n"
	 "measure_name,varchar,MEASURE_NAME\ntime,timestamp,TIMESTAMP\ntemp,double,MULTI\nhum,bigint,MULTI\n"},
	{"SELECT a.x + 1 FROM (SELECT 1 AS x) AS A", "_col0\n2\n"},
	{"SELECT 1 WHERE NULL", "_col0\n"},
	{"SELECT sum(x) FROM (SELECT hum AS x FROM weather ORDER BY time LIMIT 2) GROUP BY ()", "_col0\n100\n"},
	{"SELECT station, station FROM weather GROUP BY station ORDER BY station LIMIT 1", "station,station\na,a\n"},
	{"SELECT count(*) FROM weather HAVING count(*) > 100", "_col0\n"},
};

START_TEST(test_rows)
{
	struct buf out;
	struct err e;
	int rc;

	buf_init(&out, 1 << 20);
	rc = run(rows[_i].sql, &out, &e);
	ck_assert_msg(rc == 0, "%s\n  -> %s", rows[_i].sql, err_text(&e, rc));
	ck_assert_msg(!strcmp(out.data, rows[_i].csv), "%s\n%s\n  instead of\n%s", rows[_i].sql, out.data,
		      rows[_i].csv);
	buf_release(&out);
}
END_TEST

/* ---- plans -------------------------------------------------------------------------------------- */

static const struct {
	const char *sql, *plan;
} plans[] = {
	{"SELECT temp FROM weather WHERE time > '2024-01-01' AND time <= TIMESTAMP '2024-02-01' AND station = 'a'",
	 "PROJECT temp\n"
	 "  SCAN iot.weather (station, temp) time >= 2024-01-01 00:00:00.000000001 time <= 2024-02-01 "
	 "00:00:00.000000000 series (station = 'a')\n"},
	{"SELECT temp FROM weather WHERE ago(1h) <= time AND temp > 3 AND (station LIKE 'a%' OR region IS NULL)",
	 "PROJECT temp\n"
	 "  FILTER (temp > 3.0)\n"
	 "    SCAN iot.weather (station, Region, temp) time >= 2024-06-17 11:00:00.000000000 series "
	 "((station LIKE 'a%') OR (Region IS NULL))\n"},
	{"SELECT count(*) FROM weather WHERE time BETWEEN ago(1h) AND now()",
	 "PROJECT count AS _col0\n"
	 "  AGG all rows: count(*)\n"
	 "    SCAN iot.weather () time >= 2024-06-17 11:00:00.000000000 time <= 2024-06-17 12:00:00.000000000\n"},
	{"SELECT count(*) FROM weather WHERE time = NULL", "PROJECT count AS _col0\n  AGG all rows: count(*)\n    SCAN iot.weather () no rows\n"},
	{"SELECT temp FROM weather WHERE bin(time, 1h) >= '2024-06-17 11:00'",
	 "PROJECT temp\n"
	 "  FILTER (bin(time, interval day to second '0 01:00:00.000000000') >= timestamp "
	 "'2024-06-17 11:00:00.000000000')\n"
	 "    SCAN iot.weather (time, temp) time >= 2024-06-17 11:00:00.000000000\n"},
	{"SELECT station, max(temp), min(hum) FROM weather GROUP BY station ORDER BY 2 DESC LIMIT 3",
	 "SORT _col1 DESC limit 3\n"
	 "  PROJECT station, max AS _col1, min AS _col2\n"
	 "    AGG by station: max(temp), min(hum)\n"
	 "      SCAN iot.weather (station, temp, hum)\n"},
	{"SELECT s FROM (SELECT station AS s, time AS t, temp * 2 AS d FROM weather) WHERE t > now() AND s = 'b' AND d > 4",
	 "PROJECT s\n"
	 "  FILTER (d > 4.0)\n"
	 "    PROJECT station AS s, (temp * 2.0) AS d\n"
	 "      SCAN iot.weather (station, temp) time >= 2024-06-17 12:00:00.000000001 series (station = 'b')\n"},
	{"SELECT n FROM (SELECT region, count(*) AS n FROM weather GROUP BY region) WHERE region = 'x' AND n > 1",
	 "PROJECT n\n"
	 "  PROJECT count AS n\n"
	 "    FILTER (count > 1)\n"
	 "      AGG by Region: count(*)\n"
	 "        SCAN iot.weather (Region) series (Region = 'x')\n"},
	{"SELECT station FROM (SELECT * FROM weather UNION ALL SELECT * FROM weather) WHERE station IN ('a', 'b')",
	 "PROJECT station\n"
	 "  UNION\n"
	 "    PROJECT station\n"
	 "      SCAN iot.weather (station) series (station IN ('a', 'b'))\n"
	 "    PROJECT station\n"
	 "      SCAN iot.weather (station) series (station IN ('a', 'b'))\n"},
	{"SELECT 1 FROM weather WHERE (SELECT 1) = 1", NULL},
	{"SELECT station FROM (SELECT * FROM weather ORDER BY time LIMIT 5) WHERE station = 'a'",
	 "PROJECT station\n"
	 "  FILTER (station = 'a')\n"
	 "    SORT time limit 5\n"
	 "      PROJECT station, time\n"
	 "        SCAN iot.weather (station, time)\n"},
	{"SELECT 1 + 2 * 3, 1/0, if(true, 1, 1/0)",
	 "PROJECT 7 AS _col0, (1 / 0) AS _col1, 1 AS _col2\n  VALUES 1 row\n"},
	{"SELECT hum FROM weather WHERE hum > random() AND station = 'a'", NULL},
};

START_TEST(test_plans)
{
	struct buf out;
	struct arena a;
	struct ast_stmt **v;
	uint32_t n;
	struct budget budget;
	uint64_t state[2] = {1, 2};
	struct exec_ctx exec = {.now_ns = NOW, .budget = &budget, .random_state = state};
	struct bound bound;
	struct err e;
	int rc;

	budget_init(&budget, 64 << 20);
	arena_init(&a, &budget);
	buf_init(&out, 1 << 20);
	ck_assert_int_eq(sql_parse(&a, str_from(plans[_i].sql), &v, &n, &e), 0);
	rc = bind_stmt(&a, &env, v[0], &exec, &bound, &e);
	if (plans[_i].plan) {
		ck_assert_msg(rc == 0, "%s\n  -> %s", plans[_i].sql, err_text(&e, rc));
		plan_format(bound.plan, &out);
		buf_addc(&out, 0);
		ck_assert_msg(!strcmp(out.data, plans[_i].plan), "%s\n%s\n  instead of\n%s", plans[_i].sql, out.data,
			      plans[_i].plan);
	}
	if (rc == 0)
		bound_release(&bound);
	buf_release(&out);
	arena_release(&a);
}
END_TEST

/* ---- sentences ------------------------------------------------------------------------------------ */

static const struct {
	const char *sql, *say;
} wrong[] = {
	{"SELECT tmep FROM weather", "line 1:8: column 'tmep' does not exist (did you mean 'temp'?)"},
	{"SELECT \"TEMP\" FROM weather", "line 1:8: column 'TEMP' does not exist (did you mean 'temp'?)"},
	{"SELECT x.temp FROM weather w", "line 1:8: there is no table or alias 'x' here"},
	{"SELECT * FROM wether", "line 1:15: table 'wether' does not exist in database 'iot' (did you mean 'weather'?)"},
	{"SELECT * FROM iott.weather", "line 1:15: database 'iott' does not exist (did you mean 'iot'?)"},
	{"SELECT temp, count(*) FROM weather", "line 1:8: column 'temp' must appear in GROUP BY or inside an aggregate"},
	{"SELECT station FROM weather GROUP BY station ORDER BY temp", "line 1:55: column 'temp' must appear in GROUP BY"},
	{"SELECT 1 FROM weather HAVING temp > 1", "as it stands in HAVING"},
	{"SELECT bin(time, 1h) AS h FROM weather GROUP BY h", "GROUP BY does not see: repeat the expression"},
	{"SELECT temp * 2 AS d FROM weather WHERE d > 1", "it is an alias of the select list, which WHERE"},
	{"SELECT * FROM weather WHERE count(*) > 1", "line 1:29: the aggregate count() cannot stand in WHERE"},
	{"SELECT sum(max(temp)) FROM weather", "line 1:12: the aggregate max() stands inside another aggregate"},
	{"SELECT station FROM weather GROUP BY 3", "GROUP BY 3: the select list has 1 column"},
	{"SELECT count(*) FROM weather GROUP BY 1", "GROUP BY 1: this column holds an aggregate"},
	{"SELECT station FROM weather ORDER BY 0", "ORDER BY 0"},
	{"SELECT DISTINCT station FROM weather ORDER BY temp", "with SELECT DISTINCT, ORDER BY can only name"},
	{"SELECT * FROM weather LIMIT -1", "LIMIT must not be negative"},
	{"SELECT * FROM weather LIMIT 1.5", "LIMIT takes a whole number"},
	{"SELECT * FROM weather FETCH FIRST 1 ROW WITH TIES", "WITH TIES needs an ORDER BY"},
	{"SELECT 'a' + 1", "line 1:12: operator +(varchar, integer) does not exist"},
	{"SELECT '1' = 1", "both sides must be of one type"},
	{"SELECT time FROM weather WHERE time > 'yesterday'", "line 1:39: "},
	{"SELECT abz(1)", "did you mean 'abs'?"},
	{"SELECT CAST(1 AS bigit)", "type 'bigit' does not exist (did you mean bigint?)"},
	{"SELECT CASE WHEN 1 THEN 2 END", "WHEN must be a condition, but this is of type integer"},
	{"SELECT CASE WHEN true THEN 2 ELSE 'x' END", "have no common type"},
	{"SELECT 1 UNION SELECT 1, 2", "UNION: the first query has 1 columns, the second 2"},
	{"SELECT 1 UNION SELECT true", "UNION: column 1 is integer on one side and boolean on the other"},
	{"VALUES (1, 2), (3)", "this row of VALUES has 1 column, the first has 2"},
	{"SELECT * FROM (SELECT 1) AS t(a, b)", "'t' names 2 columns, but there are 1"},
	{"SELECT x FROM (SELECT 1 AS x, 2 AS X)", NULL},
	{"SELECT X FROM (SELECT 1 AS x, 2 AS x)", "column 'X' is ambiguous"},
	{"WITH a AS (SELECT 1), A AS (SELECT 2) SELECT * FROM a", "WITH names 'A' twice"},
	{"SELECT * FROM weather, weather", "FROM names 'weather' twice"},
	{"SELECT (SELECT 1, 2)", "takes a query of one column, but this one has 2"},
	{"SELECT @x", "the parameter @x has no value here"},
	{"SELECT INTERVAL 'x' DAY", "'x' is no interval day"},
	{"SELECT *", "SELECT * needs a FROM"},
	{"SELECT count(*), abs(*) FROM weather", "only count takes '*'"},
	{"SELECT DATE '2024-13-01'", "line 1:8: "},
	{"SELECT hum AS a, temp AS a FROM weather ORDER BY a", "'a' is ambiguous: two columns of the select list"},
	{"SELECT random() BETWEEN 0 AND 1", "BETWEEN looks at its operand more than once"},
	{"DROP TABLE weather", "changes something, and here they only read"},
};

START_TEST(test_wrong)
{
	struct buf out;
	struct err e;
	int rc;

	buf_init(&out, 1 << 20);
	rc = run(wrong[_i].sql, &out, &e);
	if (wrong[_i].say) {
		ck_assert_msg(rc == -EINVAL, "%s: %d %s", wrong[_i].sql, rc, err_text(&e, rc));
		ck_assert_msg(strstr(e.text, wrong[_i].say) != NULL, "%s\n  -> %s\n  lacks %s", wrong[_i].sql, e.text,
			      wrong[_i].say);
	}
	buf_release(&out);
}
END_TEST

static bool not_secret(void *ctx, struct db *db, struct table *t, enum query_right right)
{
	return !t || strcmp(table_name(t), "secret") != 0;
}

START_TEST(test_access)
{
	struct buf out;
	struct err e;

	buf_init(&out, 1 << 20);
	env.allowed = not_secret;
	ck_assert_int_eq(run("SELECT count(*) FROM weather", &out, &e), 0);
	ck_assert_int_eq(run("SELECT * FROM secret", &out, &e), -EACCES);
	ck_assert_str_eq(e.text, "line 1:15: you may not read table 'secret'");
	ck_assert_int_eq(run("SELECT 1 UNION ALL SELECT count(*) FROM (SELECT * FROM iot.secret)", &out, &e), -EACCES);
	ck_assert_int_eq(run("DESCRIBE secret", &out, &e), -EACCES);
	ck_assert_int_eq(run("SHOW TABLES", &out, &e), 0);
	ck_assert_str_eq(out.data, "Table\nweather\n");
	env.default_db = NULL;
	ck_assert_int_eq(run("SELECT * FROM weather", &out, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "needs its database in front"));
	buf_release(&out);
}
END_TEST

/* ---- size ------------------------------------------------------------------------------------------- */

static int run_repeated(const char *head, const char *part, int n, const char *middle, const char *back,
			const char *tail, struct err *e)
{
	struct buf sql, out;
	int rc;

	buf_init(&sql, 1 << 20);
	buf_init(&out, 16 << 20);
	buf_adds(&sql, head);
	for (int i = 0; i < n; i++)
		buf_adds(&sql, part);
	buf_adds(&sql, middle);
	for (int i = 0; i < n; i++)
		buf_adds(&sql, back);
	buf_adds(&sql, tail);
	buf_addc(&sql, 0);
	rc = run(sql.data, &out, e);
	buf_release(&sql);
	buf_release(&out);
	return rc;
}

START_TEST(test_size)
{
	struct err e;

	ck_assert_int_eq(run_repeated("SELECT temp FROM weather WHERE hum IN (1", ", 2", 20000, ")", "", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT temp", ", temp + 1", 5000, " FROM weather", "", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT temp FROM weather WHERE temp > 1", " AND temp > 2", 10000, "", "", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT ", "(", 900, "1", ")", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT ", "+ ", 900, "temp", "", " FROM weather", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT ", "abs(", 900, "temp", ")", " FROM weather", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT * FROM ", "(SELECT * FROM ", 120, "weather", ")", "", &e), 0);
	ck_assert_int_eq(run_repeated("VALUES 1", ", 2", 50000, "", "", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT 1", " UNION ALL SELECT 1", 900, "", "", "", &e), 0);
	ck_assert_int_eq(run_repeated("SELECT CASE temp", " WHEN 1 THEN 2", 5000, " END FROM weather", "", "", &e), 0);
}
END_TEST

/* Each WITH query twice the one before: the plan would have 2^40 nodes. */
START_TEST(test_with_bomb)
{
	struct buf sql, out;
	struct err e;

	buf_init(&sql, 1 << 20);
	buf_init(&out, 1 << 20);
	buf_adds(&sql, "WITH a0 AS (SELECT 1)");
	for (int i = 1; i < 40; i++)
		buf_addf(&sql, ", a%d AS (SELECT * FROM a%d UNION ALL SELECT * FROM a%d)", i, i - 1, i - 1);
	buf_adds(&sql, " SELECT * FROM a39");
	buf_addc(&sql, 0);
	ck_assert_int_eq(run(sql.data, &out, &e), -E2BIG);
	buf_clear(&sql);
	buf_adds(&sql, "WITH a0 AS (SELECT 1)");
	for (int i = 1; i < 3000; i++)
		buf_addf(&sql, ", a%d AS (SELECT * FROM a%d)", i, i - 1);
	buf_adds(&sql, " SELECT * FROM a2999");
	buf_addc(&sql, 0);
	ck_assert_int_eq(run(sql.data, &out, &e), -E2BIG);
	buf_release(&sql);
	buf_release(&out);
}
END_TEST

START_TEST(test_memory)
{
	struct buf out;
	struct err e;

	buf_init(&out, 1 << 20);
	for (size_t bytes = 1000; bytes < 600000; bytes += 7001) {
		env.memory_bytes = bytes;
		int rc = run("WITH a AS (SELECT station, bin(time, 1m) AS t, avg(temp) AS x FROM weather WHERE time > ago(1d) "
			     "AND station IN ('a', 'b') GROUP BY station, bin(time, 1m)) SELECT t, x FROM a WHERE t < now() "
			     "UNION SELECT now(), 1 ORDER BY t DESC LIMIT 3", &out, &e);
		ck_assert_msg(rc == 0 || rc == -ENOMEM, "%zu: %d %s", bytes, rc, err_text(&e, rc));
	}
	buf_release(&out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bind");
	TCase *t = tcase_create("bind");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_rows, 0, (int)ARRAY_LEN(rows));
	tcase_add_loop_test(t, test_plans, 0, (int)ARRAY_LEN(plans));
	tcase_add_loop_test(t, test_wrong, 0, (int)ARRAY_LEN(wrong));
	tcase_add_test(t, test_access);
	tcase_add_test(t, test_size);
	tcase_add_test(t, test_with_bomb);
	tcase_add_test(t, test_memory);
	suite_add_tcase(s, t);
	return unit_run(s);
}
