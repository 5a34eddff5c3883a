/*
 * jsonl: JSON lines become the right rows, or the right complaints. Runs on a sink in memory.
 */
#include "engine/ingest.h"
#include "engine/jsonl.h"
#include "tests/unit/fake_db.h"
#include "tests/unit/unit.h"

struct rig {
	struct db db;
	struct table *table; /* lent by db; NULL at database level */
	struct ingest *in;
	struct err e;
};

static void rig_open(struct rig *g, const char *table)
{
	*g = (struct rig){0};
	fake_db_init(&g->db);
	g->db.keep_text = true;
	if (table) {
		ck_assert_int_eq(db_table_create(&g->db, str_from(table), &g->table, NULL), 0);
		table_put(g->table);
	}
	struct ingest_source src = {.file = "db/t/ingest.jsonl", .uid = 1000, .format = INGEST_JSONL};
	ck_assert_int_eq(ingest_open(&g->db, g->table, &src, &g->in, &g->e), 0);
}

static void rig_close(struct rig *g)
{
	ingest_close(g->in);
	fake_db_release(&g->db);
	ck_assert_int_eq(g->db.refs, 1);
}

static int64_t put(struct rig *g, const char *text)
{
	return ingest_write(g->in, text, strlen(text), &g->e);
}

#define PUT(g, text) ck_assert_int_eq(put((g), (text)), (int64_t)strlen(text))

/* The rows of a table as text, taken. */
static const char *rows(struct table *t)
{
	buf_addc(&t->rows_text, '\0');
	t->rows_text.len = 0;
	return t->rows_text.data;
}

static const char *rejected(struct table *t)
{
	buf_addc(&t->rejected_text, '\0');
	t->rejected_text.len = 0;
	return t->rejected_text.data;
}

static struct table *find(struct rig *g, const char *name)
{
	struct table *t = db_table(&g->db, str_from(name));

	table_put(t);
	return t;
}

/* Columns that JSON alone cannot make, as line protocol would. */
static void add_columns(struct table *t)
{
	static const struct column_spec specs[] = {
		{{"note", 4}, COLKIND_MEASURE, COL_VARCHAR},   {{"at", 2}, COLKIND_MEASURE, COL_TIMESTAMP},
		{{"x", 1}, COLKIND_MEASURE, COL_DOUBLE},       {{"n", 1}, COLKIND_MEASURE, COL_BIGINT},
		{{"b", 1}, COLKIND_MEASURE, COL_BOOLEAN},      {{"h", 1}, COLKIND_DIMENSION, COL_VARCHAR},
	};
	uint32_t ids[6];

	ck_assert_int_eq(series_add_columns(t->series, specs, 6, ids, NULL, NULL), 0);
}

/* ---- flat rows ---------------------------------------------------------------------------------- */

static const struct {
	const char *line, *want;
} flat_good[] = {
	{"{\"time\":5,\"h\":\"a\",\"x\":1.5,\"n\":2,\"b\":true}", "t,h=a b=true n=2i x=1.5 5\n"},
	{"  {\"n\":2,\"time\":5,\"measure_name\":\"m\"}\t\r", "m n=2i 5\n"},
	{"{\"table\":\"t\",\"n\":2,\"time\":5}", "t n=2i 5\n"},
	/* Integers go into DOUBLE columns, in every form; new ones are what they look like. */
	{"{\"x\":1,\"y\":1,\"z\":1.0,\"w\":1e0,\"time\":5}", "t w=1.0 x=1.0 y=1i z=1.0 5\n"},
	{"{\"x\":-0,\"y\":-0,\"time\":5}", "t x=-0.0 y=0i 5\n"},
	{"{\"x\":18446744073709551616,\"time\":5}", "t x=1.8446744073709552E19 5\n"},
	{"{\"y\":-9223372036854775808,\"time\":5}", "t y=-9223372036854775808i 5\n"},
	{"{\"x\":1e-400,\"time\":5}", "t x=0.0 5\n"},
	/* null is nothing. */
	{"{\"x\":1,\"n\":null,\"h\":null,\"measure_name\":null,\"table\":null,\"time\":5}", "t x=1.0 5\n"},
	/* Strings: dimensions, unless a measure has the name. */
	{"{\"note\":\"say \\\"hi\\\"\\n\\u20ac\",\"new\":\"d\\u0041\",\"time\":5}",
	 "t,new=dA note=\"say \"hi\"\n\xE2\x82\xAC\" 5\n"},
	{"{\"note\":\"\",\"time\":5}", "t note=\"\" 5\n"},
	{"{\"\\u0068\":\"a\",\"\\u0078\":1,\"time\":5}", "t,h=a x=1.0 5\n"},
	/* Moments. */
	{"{\"x\":1,\"time\":\"5\"}", "t x=1.0 5\n"},
	{"{\"x\":1,\"time\":\"1970-01-02\"}", "t x=1.0 86400000000000\n"},
	{"{\"x\":1,\"time\":\"1970-01-01T00:00:01Z\"}", "t x=1.0 1000000000\n"},
	{"{\"x\":1,\"time\":\"1970-01-01 00:00:01.000000007\"}", "t x=1.0 1000000007\n"},
	{"{\"x\":1,\"time\":\"1970-01-01T01:00:01.5+01:00\"}", "t x=1.0 1500000000\n"},
	{"{\"at\":7,\"time\":5}", "t at=7i 5\n"},
	{"{\"at\":\"7\",\"time\":5}", "t at=7i 5\n"},
	{"{\"at\":\"1970-01-01 00:00:01\",\"time\":5}", "t at=1000000000i 5\n"},
	/* One value under the name that SELECT gives it. */
	{"{\"measure_name\":\"s\",\"measure_value::double\":1,\"h\":\"a\",\"time\":5}",
	 "s,h=a measure_value::double=1.0 5\n"},
	{"{\"measure_name\":\"s\",\"measure_value::varchar\":\"v\",\"measure_value::bigint\":null,\"time\":5}",
	 "s measure_value::varchar=\"v\" 5\n"},
	/* Nothing at all. */
	{"", ""},
	{" \t\r", ""},
	{"\xEF\xBB\xBF", ""},
	{"\xEF\xBB\xBF{\"x\":1,\"time\":5}", "t x=1.0 5\n"},
};

START_TEST(takes_flat_rows)
{
	struct rig g;
	char text[512];

	rig_open(&g, "t");
	add_columns(g.table);
	snprintf(text, sizeof text, "%s\n", flat_good[_i].line);
	int64_t rc = put(&g, text);
	ck_assert_msg(rc == (int64_t)strlen(text), "%s: %s", text, g.e.text);
	ck_assert_str_eq(rows(g.table), flat_good[_i].want);
	ck_assert_uint_eq(g.table->rejected, 0);
	/* And without its end, when nothing more comes. */
	text[strlen(text) - 1] = '\0';
	PUT(&g, text);
	ck_assert_str_eq(rows(g.table), "");
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_str_eq(rows(g.table), flat_good[_i].want);
	rig_close(&g);
}
END_TEST

static const struct {
	const char *line;
	size_t column;
	const char *reason;
} flat_bad[] = {
	{"x", 1, "'x' is no JSON"},
	{"[1]", 1, "a line is one JSON object, and this is an array"},
	{"7", 1, "and this is a number"},
	{"{\"x\":1", 7, "ends inside an object"},
	{"{\"x\":1}}", 8, "text behind the value"},
	{"{\"x\":1,\"x\":2}", 8, "member 'x' is given twice"},
	{"{\"x\":NaN}", 6, "NaN is no JSON"},
	{"{\"x\":\"\xFF\"}", 7, "no UTF-8"},
	{"{}", 1, "the row has no measure"},
	{"{\"h\":\"a\",\"time\":5}", 1, "the row has no measure"},
	{"{\"x\":null,\"time\":5}", 1, "the row has no measure"},
	{"{\"a\":{\"b\":1}}", 6, "member 'a' is an object, and a row is flat"},
	{"{\"x\":1,\"a\":[1]}", 12, "member 'a' is an array, and a row is flat"},
	{"{\"x\":\"warm\",\"time\":5}", 2, "column 'x' is double, and a varchar was offered"},
	{"{\"x\":true,\"time\":5}", 2, "column 'x' is double, and a boolean was offered"},
	{"{\"n\":1.5,\"time\":5}", 2, "column 'n' is bigint, and a double was offered"},
	{"{\"n\":1.0,\"time\":5}", 2, "column 'n' is bigint, and a double was offered"},
	{"{\"b\":1,\"time\":5}", 2, "column 'b' is boolean, and a bigint was offered"},
	{"{\"h\":1,\"time\":5}", 2, "column 'h' is a dimension and cannot be a measure too"},
	{"{\"h\":\"\",\"x\":1}", 6, "the value of dimension 'h' is empty"},
	{"{\"x\":1,\"\":\"a\"}", 8, "a member's name is empty"},
	{"{\"x\":1,\"\":2}", 8, "measure name is empty"},
	{"{\"X\":1}", 2, "column 'X' differs only by case from column 'x'"},
	{"{\"new\":1,\"NEW\":2}", 10, "differs only by case"},
	{"{\"Time\":1}", 2, "reserved"},
	{"{\"ts_x\":1}", 2, "begins with 'ts_'"},
	{"{\"a:b\":1}", 2, "':'"},
	{"{\"a\\\"b\":\"c\",\"x\":1}", 2, "control character or '\"'"},
	{"{\"measure_value\":1}", 2, "begins with 'measure_value'"},
	{"{\"measure_value::doubl\":1}", 2, "':'"},
	{"{\"measure_value::double\":\"1\"}", 26, "is double, and a varchar was offered"},
	{"{\"measure_value::bigint\":1.5}", 26, "is bigint, and a double was offered"},
	{"{\"measure_name\":\"s\",\"measure_value::bigint\":1,\"x\":1}", 47, "no other measure beside it"},
	{"{\"y\":9223372036854775808}", 6, "does not fit 64 bits"},
	{"{\"x\":1e400}", 6, "too large for a double"},
	{"{\"x\":1,\"time\":-5}", 15, "before 1970"},
	{"{\"x\":1,\"time\":1.5}", 15, "must be a whole number"},
	{"{\"x\":1,\"time\":true}", 15, "must be a whole number"},
	{"{\"x\":1,\"time\":9223372036854775808}", 15, "out of range"},
	{"{\"x\":1,\"time\":\"\"}", 15, "is no time"},
	{"{\"x\":1,\"time\":\"tomorrow\"}", 15, "'tomorrow' is no time"},
	{"{\"x\":1,\"time\":\"2026-02-30\"}", 15, "is no time"},
	{"{\"x\":1,\"time\":\"2026-02-14 24:00:00\"}", 15, "is no time"},
	{"{\"x\":1,\"time\":\"9999-01-01\"}", 15, "out of range"},
	{"{\"x\":1,\"time\":\"1969-12-31\"}", 15, "before 1970"},
	{"{\"at\":-1,\"x\":1}", 7, "not between 1970 and 2262"},
	{"{\"at\":true,\"x\":1}", 2, "column 'at' is timestamp, and a boolean was offered"},
	{"{\"x\":1,\"measure_name\":7}", 23, "'measure_name' must be a string"},
	{"{\"x\":1,\"measure_name\":\"\"}", 23, "'measure_name' is empty"},
	{"{\"x\":1,\"measure_name\":\"a:b\"}", 1, "measure name 'a:b' contains ':'"},
	{"{\"x\":1,\"table\":\"other\"}", 16, "the line is for table 'other', and this file belongs to 't'"},
};

START_TEST(refuses_flat_rows)
{
	struct rig g;
	char text[512], column[32];

	rig_open(&g, "t");
	add_columns(g.table);
	uint32_t columns = series_column_count(g.table->series);
	snprintf(text, sizeof text, "%s\n", flat_bad[_i].line);
	snprintf(column, sizeof column, "\"column\":%zu,", flat_bad[_i].column);
	int64_t rc = put(&g, text);
	ck_assert_msg(rc == -EINVAL, "%s: %lld", text, (long long)rc);
	ck_assert_msg(strstr(g.e.text, flat_bad[_i].reason), "%s: %s", text, g.e.text);
	ck_assert_uint_eq(g.table->rejected, 1);
	/* The same again: still one. Nothing came of it. */
	ck_assert_int_eq(put(&g, text), -EINVAL);
	ck_assert_uint_eq(g.table->rejected, 1);
	const char *entry = rejected(g.table);
	ck_assert_msg(strstr(entry, column), "%s: %s", column, entry);
	ck_assert_uint_eq(series_column_count(g.table->series), columns);
	ck_assert_uint_eq(series_count(g.table->series), 0);
	/* Beside a good one it does not make the write fail. */
	snprintf(text, sizeof text, "%s\n{\"x\":1,\"time\":7}\n", flat_bad[_i].line);
	PUT(&g, text);
	ck_assert_str_eq(rows(g.table), "t x=1.0 7\n");
	ck_assert(ingest_take_rejected(g.in));
	rig_close(&g);
}
END_TEST

START_TEST(flat_rows_have_defaults)
{
	struct rig g;

	rig_open(&g, "t");
	/* Times of arrival; the first value decides a column's type. */
	clock_pin(1000);
	PUT(&g, "{\"load\":1}\n{\"load\":2}\n\n{\"load\":2.5}\n");
	clock_pin(0);
	const char *r = rows(g.table);
	long long a, b;
	ck_assert_int_eq(sscanf(r, "t load=1i %lld\nt load=2i %lld\n", &a, &b), 2);
	ck_assert_int_eq(b, a + 1);
	r = rejected(g.table);
	ck_assert_ptr_nonnull(strstr(r, "\"file\":\"db/t/ingest.jsonl\",\"line\":4,\"uid\":1000,\"column\":2,"
					"\"reason\":\"column 'load' is bigint, and a double was offered\","
					"\"text\":\"{\\\"load\\\":2.5}\"}"));
	/* Integers are in the table's precision, texts are not. */
	g.table->window.precision_ns = NS_PER_S;
	PUT(&g, "{\"load\":3,\"time\":5}\n{\"load\":3,\"time\":\"1970-01-01 00:00:05.5\"}\n");
	ck_assert_str_eq(rows(g.table), "t load=3i 5000000000\nt load=3i 5500000000\n");
	ck_assert_int_eq(put(&g, "{\"load\":3,\"time\":9300000000}\n"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(g.e.text, "settings/precision"));
	rig_close(&g);
}
END_TEST

START_TEST(rows_of_any_shape_follow_each_other)
{
	struct unit_rng r = unit_rng();
	struct buf text, want;
	struct rig g;

	/* The parser guesses columns from the row before; wrong guesses must not show. */
	rig_open(&g, "t");
	buf_init(&text, 1 << 24);
	buf_init(&want, 1 << 24);
	for (int i = 0; i < 3000; i++) {
		char parts[14][40];
		uint32_t n = 0;
		buf_adds(&want, "t");
		for (int d = 0; d < 5; d++) {
			if (unit_below(&r, 2)) {
				uint32_t v = (uint32_t)unit_below(&r, 3);
				snprintf(parts[n++], 40, "\"d%d\":\"v%u\"", d, v);
				buf_addf(&want, ",d%d=v%u", d, v);
			}
		}
		uint32_t must = (uint32_t)unit_below(&r, 5);
		for (uint32_t f = 0; f < 5; f++) {
			if (f == must || unit_below(&r, 2)) {
				uint32_t v = (uint32_t)unit_below(&r, 1000);
				snprintf(parts[n++], 40, "\"f%u\":%u", f, v);
				buf_addf(&want, " f%u=%ui", f, v);
			}
		}
		snprintf(parts[n++], 40, "\"time\":%d", i);
		buf_addf(&want, " %d\n", i);
		for (uint32_t k = n; k > 1 && unit_below(&r, 2); k--) { /* mostly in order, at the end not */
			uint32_t other = (uint32_t)unit_below(&r, k);
			char t[40];
			memcpy(t, parts[k - 1], 40);
			memcpy(parts[k - 1], parts[other], 40);
			memcpy(parts[other], t, 40);
		}
		for (uint32_t k = 0; k < n; k++)
			buf_addf(&text, "%s%s", k ? "," : "{", parts[k]);
		buf_adds(&text, "}\n");
	}
	for (size_t at = 0; at < text.len;) {
		size_t n = MIN(1 + unit_rand_log(&r) % 100000, text.len - at);
		int64_t rc = ingest_write(g.in, text.data + at, n, &g.e);
		unit_assert(&r, rc == (int64_t)n, "%lld %s", (long long)rc, g.e.text);
		at += n;
	}
	unit_assert(&r, str_eq(buf_str(&want), buf_str(&g.table->rows_text)), "rows differ");
	buf_release(&text);
	buf_release(&want);
	rig_close(&g);
}
END_TEST

/* ---- records ------------------------------------------------------------------------------------ */

#define DIM(n, v) "{\"Name\":\"" n "\",\"Value\":\"" v "\"}"
#define ATTR(n, v, t) "{\"Name\":\"" n "\",\"Value\":\"" v "\",\"Type\":\"" t "\"}"

static const struct {
	const char *line, *want;
} records_good[] = {
	{"{\"Dimensions\":[" DIM("h", "a") "],\"MeasureName\":\"cpu\",\"MeasureValue\":\"1.5\",\"Time\":\"5\"}",
	 "cpu,h=a measure_value::double=1.5 5000000 v1\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"7\",\"MeasureValueType\":\"BIGINT\",\"Time\":\"5\","
	 "\"TimeUnit\":\"NANOSECONDS\",\"Version\":3,\"TableName\":\"t\",\"DatabaseName\":\"db\"}",
	 "m measure_value::bigint=7i 5 v3\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"TRUE\",\"MeasureValueType\":\"BOOLEAN\",\"Time\":\"5\","
	 "\"TimeUnit\":\"SECONDS\"}",
	 "m measure_value::boolean=true 5000000000 v1\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"a\\tb\",\"MeasureValueType\":\"VARCHAR\",\"Time\":\"5\","
	 "\"TimeUnit\":\"MICROSECONDS\"}",
	 "m measure_value::varchar=\"a\tb\" 5000 v1\n"},
	/* Numbers where strings are asked for; null is nothing. */
	{"{\"MeasureName\":\"m\",\"MeasureValue\":1.5,\"Time\":5,\"Version\":\"2\",\"TimeUnit\":null,\"MeasureValues\":null}",
	 "m measure_value::double=1.5 5000000 v2\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":["
	 ATTR("d", "-1e3", "DOUBLE") "," ATTR("i", "42", "BIGINT") "," ATTR("b", "false", "BOOLEAN") ","
	 ATTR("s", "x", "VARCHAR") "," ATTR("w", "7", "TIMESTAMP") "]}",
	 "m b=false d=-1000.0 i=42i s=\"x\" w=7000000i 5000000 v1\n"},
	{"{\"Records\":[{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"5\"},"
	 "{\"MeasureName\":\"m\",\"MeasureValue\":\"2\",\"Time\":\"6\"}]}",
	 "m measure_value::double=1.0 5000000 v1\nm measure_value::double=2.0 6000000 v1\n"},
	/* What is common: dimensions add up, of all else the record's own counts. In any order. */
	{"{\"Records\":[{\"Dimensions\":[" DIM("k", "1") "],\"Time\":\"5\"},"
	 "{\"MeasureValue\":\"9\",\"Time\":\"6\",\"Version\":8,\"TimeUnit\":\"SECONDS\"}],"
	 "\"CommonAttributes\":{\"Dimensions\":[" DIM("h", "a") "],\"MeasureName\":\"m\",\"MeasureValue\":\"1\","
	 "\"MeasureValueType\":\"BIGINT\",\"TimeUnit\":\"NANOSECONDS\",\"Version\":4,\"Time\":\"99\"}}",
	 "m,h=a,k=1 measure_value::bigint=1i 5 v4\nm,h=a measure_value::bigint=9i 6000000000 v8\n"},
	{"{\"CommonAttributes\":{\"MeasureName\":\"m\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":["
	 ATTR("a", "1", "BIGINT") "]},\"Records\":[{\"Time\":\"5\"},{\"Time\":\"6\",\"MeasureValues\":["
	 ATTR("b", "2", "BIGINT") "]}]}",
	 "m a=1i 5000000 v1\nm b=2i 6000000 v1\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"5\",\"Dimensions\":[]}",
	 "m measure_value::double=1.0 5000000 v1\n"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"5\",\"Dimensions\":["
	 "{\"DimensionValueType\":\"VARCHAR\",\"Value\":\"\\u0061\",\"Name\":\"\\u0068\"}]}",
	 "m,h=a measure_value::double=1.0 5000000 v1\n"},
	/* An integer for an attribute that is DOUBLE. */
	{"{\"MeasureName\":\"m\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":["
	 ATTR("x", "3", "BIGINT") "]}",
	 "m x=3.0 5000000 v1\n"},
};

START_TEST(takes_records)
{
	struct rig g;
	char text[1024];

	rig_open(&g, "t");
	uint32_t id;
	ck_assert_int_eq(series_add_columns(g.table->series, &(struct column_spec){STR_LIT("x"), COLKIND_MEASURE, COL_DOUBLE},
					    1, &id, NULL, NULL), 0);
	snprintf(text, sizeof text, "%s\n", records_good[_i].line);
	int64_t rc = put(&g, text);
	ck_assert_msg(rc == (int64_t)strlen(text), "%s: %s", text, g.e.text);
	ck_assert_str_eq(rows(g.table), records_good[_i].want);
	ck_assert_uint_eq(g.table->rejected, 0);
	rig_close(&g);
}
END_TEST

#define REC(members) "{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"5\"" members "}"

/* Structure: the line as a whole, with nothing stored. */
static const struct {
	const char *line, *reason;
} structure_bad[] = {
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\"}", "Time is missing"},
	{"{\"MeasureValue\":\"1\",\"Time\":\"5\"}", "MeasureName is missing"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\"}", "MeasureValue is missing"},
	{"{\"MeasureName\":\"\",\"MeasureValue\":\"1\",\"Time\":\"5\"}", "MeasureName is empty"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":\"\",\"Time\":\"5\"}", "MeasureValue is empty"},
	{"{\"MeasureName\":\"m\",\"MeasureValue\":[1],\"Time\":\"5\"}", "MeasureValue must be a string, and is an array"},
	{"{\"MeasureName\":7,\"MeasureValue\":\"1\",\"Time\":\"5\"}", "MeasureName must be a string, and is a number"},
	{REC(",\"Foo\":1"), "'Foo' is no member of a record"},
	{REC(",\"time\":1"), "'time' is no member"},
	{REC(",\"MeasureValueType\":\"FLOAT\""), "MeasureValueType 'FLOAT' is none of DOUBLE, BIGINT, VARCHAR, "
						  "BOOLEAN, TIMESTAMP, MULTI"},
	{REC(",\"MeasureValueType\":\"double\""), "is none of"},
	{REC(",\"MeasureValueType\":\"TIMESTAMP\""), "only for attributes"},
	{REC(",\"TimeUnit\":\"HOURS\""), "TimeUnit 'HOURS' is none of MILLISECONDS, SECONDS, MICROSECONDS, NANOSECONDS"},
	{REC(",\"TimeUnit\":1"), "TimeUnit must be a string"},
	{REC(",\"Version\":0"), "Version 0 is not a whole number from 1"},
	{REC(",\"Version\":-1"), "Version -1"},
	{REC(",\"Version\":1.5"), "Version 1.5"},
	{REC(",\"Version\":9223372036854775808"), "Version 9223372036854775808"},
	{REC(",\"Dimensions\":{}"), "Dimensions must be an array"},
	{REC(",\"Dimensions\":[7]"), "an element of Dimensions must be an object"},
	{REC(",\"Dimensions\":[{\"Name\":\"h\"}]"), "an element of Dimensions has no Value"},
	{REC(",\"Dimensions\":[{\"Value\":\"h\"}]"), "has no Name"},
	{REC(",\"Dimensions\":[{\"Name\":\"h\",\"Value\":\"\"}]"), "Value is empty"},
	{REC(",\"Dimensions\":[{\"Name\":\"h\",\"Value\":\"a\",\"Type\":\"VARCHAR\"}]"), "'Type' is no member"},
	{REC(",\"Dimensions\":[{\"Name\":\"h\",\"Value\":\"a\",\"DimensionValueType\":\"BIGINT\"}]"), "is none of VARCHAR"},
	{REC(",\"Dimensions\":[" DIM("h", "a") "," DIM("h", "b") "]"), "dimension 'h' is given twice"},
	{REC(",\"MeasureValues\":[" ATTR("a", "1", "BIGINT") "]"), "needs the MeasureValueType MULTI"},
	{REC(",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[" ATTR("a", "1", "BIGINT") "]"), "no MeasureValue"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\"}", "MeasureValues is missing"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[]}", "MeasureValues is empty"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[" DIM("a", "1") "]}",
	 "an element of MeasureValues has no Type"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[" ATTR("a", "1", "MULTI") "]}",
	 "Type 'MULTI' is none of"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[" ATTR("a", "1", "BIGINT") ","
	 ATTR("a", "2", "BIGINT") "]}",
	 "measure 'a' is given twice"},
	{"{\"MeasureName\":\"m\",\"Time\":\"5\",\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[" ATTR("h", "1", "BIGINT")
	 "],\"Dimensions\":[" DIM("h", "a") "]}",
	 "'h' is a dimension and a measure of the same record"},
	{"{\"Records\":[]}", "Records is empty"},
	{"{\"Records\":{}}", "Records must be an array"},
	{"{\"Records\":[7]}", "an element of Records must be an object"},
	{"{\"Records\":[" REC("") "],\"MeasureName\":\"m\"}", "beside Records stand only"},
	{"{\"CommonAttributes\":{},\"MeasureName\":\"m\"}", "CommonAttributes without Records"},
	{"{\"CommonAttributes\":7,\"Records\":[" REC("") "]}", "CommonAttributes must be an object"},
	{"{\"Records\":[" REC(",\"Records\":[]") "]}", "'Records' is no member of a record"},
	{"{\"Records\":[" REC(",\"TableName\":\"t\"") "]}", "'TableName' is no member of a record"},
	/* The second record is at fault, and the first is not stored. */
	{"{\"Records\":[" REC("") "," REC(",\"Version\":0") "]}", "Version 0"},
	{"{\"Records\":[" REC("") ",{\"MeasureName\":\"m\",\"Time\":\"5\"}]}", "record 1: MeasureValue is missing"},
	{"{\"Records\":[" REC("") "," REC(",\"Dimensions\":[" DIM("h", "b") "]") "],\"CommonAttributes\":{\"Dimensions\":["
	 DIM("h", "a") "]}}",
	 "record 1: dimension 'h' is given twice"},
	{"{\"Records\":[" REC("") "]", "ends inside an object"},
	{"{\"Records\":[" REC("") "]}}", "text behind the value"},
	{"{\"DatabaseName\":\"other\",\"Records\":[" REC("") "]}", "the line is for database 'other', and this file belongs to 'db'"},
	{"{\"TableName\":\"other\",\"Records\":[" REC("") "]}", "the line is for table 'other', and this file belongs to 't'"},
};

START_TEST(refuses_structure)
{
	struct rig g;
	char text[1024];

	rig_open(&g, "t");
	snprintf(text, sizeof text, "%s\n", structure_bad[_i].line);
	ck_assert_msg(put(&g, text) == -EINVAL, "%s", text);
	ck_assert_msg(strstr(g.e.text, structure_bad[_i].reason), "%s: %s", text, g.e.text);
	ck_assert_str_eq(rows(g.table), "");
	ck_assert_uint_eq(g.table->rejected, 1);
	ck_assert_ptr_null(strstr(rejected(g.table), "record_index"));
	ck_assert_uint_eq(series_count(g.table->series), 0);
	rig_close(&g);
}
END_TEST

START_TEST(a_record_is_refused_alone)
{
	static const struct {
		const char *record, *reason;
		const char *at; /* where the column is; NULL: 0 */
	} bad[] = {
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"NaN\",\"Time\":\"5\"}", "'NaN' is no double", "\"NaN"},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1e999\",\"Time\":\"5\"}", "is no double", "\"1e999"},
		{"{\"MeasureName\":\"i\",\"MeasureValue\":\"1.5\",\"MeasureValueType\":\"BIGINT\",\"Time\":\"5\"}",
		 "'1.5' is no bigint", "\"1.5"},
		{"{\"MeasureName\":\"b\",\"MeasureValue\":\"1\",\"MeasureValueType\":\"BOOLEAN\",\"Time\":\"5\"}",
		 "'1' is no boolean: true and false are", "\"1\""},
		{REC(",\"TimeUnit\":\"SECONDS\",\"Dimensions\":[" DIM("ts_a", "1") "]"), "begins with 'ts_'", "\"ts_a"},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"x\"}", "Time 'x' is not a whole number", "\"x\""},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"-5\"}", "before 1970", "\"-5"},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"99\",\"TimeUnit\":\"SECONDS\"}", "outside the time range", "\"99"},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"Time\":\"9223372036854775807\"}", "too large (TimeUnit", "\"9223"},
		{"{\"MeasureName\":\"a:b\",\"MeasureValue\":\"1\",\"Time\":\"5\"}", "contains ':'", NULL},
		{"{\"MeasureName\":\"m\",\"MeasureValue\":\"1\",\"MeasureValueType\":\"BIGINT\",\"Time\":\"5\"}",
		 "measure name 'm' is bound to double in this table, and a bigint record was offered", NULL},
		{"{\"MeasureName\":\"m\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":[" ATTR("a", "1", "DOUBLE") "]}",
		 "bound to double in this table, and a multi record", NULL},
		{"{\"MeasureName\":\"w\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":[" ATTR("x", "t", "VARCHAR") "]}",
		 "column 'x' is double, and a varchar was offered", "\"x\""},
		{"{\"MeasureName\":\"w\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":[" ATTR("w", "-1", "TIMESTAMP") "]}",
		 "'-1' is no timestamp", "\"-1"},
		{"{\"MeasureName\":\"w\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":["
		 ATTR("measure_value::double", "1", "DOUBLE") "]}", "':'", "\"measure_value::"},
	};
	struct rig g;
	char text[2048], want[512];

	rig_open(&g, "t");
	g.table->window.hi_ns = 50 * NS_PER_S;
	PUT(&g, REC("") "\n{\"MeasureName\":\"w\",\"MeasureValueType\":\"MULTI\",\"Time\":\"5\",\"MeasureValues\":["
		ATTR("x", "1", "DOUBLE") "]}\n");
	rows(g.table);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint64_t before = g.table->rejected;
		/* In a request: the others are stored. */
		snprintf(text, sizeof text, "{\"Records\":[%s,%s,%s]}\n", REC(""), bad[i].record, REC(",\"Version\":2"));
		PUT(&g, text);
		ck_assert_str_eq(rows(g.table), "m measure_value::double=1.0 5000000 v1\n"
						"m measure_value::double=1.0 5000000 v2\n");
		ck_assert_uint_eq(g.table->rejected, before + 1);
		ck_assert(ingest_take_rejected(g.in));
		snprintf(want, sizeof want, "\"column\":%d,\"record_index\":1,\"reason\":\"",
			 bad[i].at ? (int)(strstr(bad[i].record, bad[i].at) - bad[i].record) + 1 : 0);
		const char *entry = rejected(g.table);
		ck_assert_msg(strstr(entry, want) && strstr(entry, bad[i].reason), "%s%s\n%s", want, bad[i].reason, entry);
		/* Alone: the write has failed, and has stored nothing. */
		snprintf(text, sizeof text, "%s\n", bad[i].record);
		ck_assert_int_eq(put(&g, text), -EINVAL);
		ck_assert_ptr_nonnull(strstr(g.e.text, bad[i].reason));
		ck_assert_str_eq(rows(g.table), "");
		entry = rejected(g.table);
		ck_assert_ptr_null(strstr(entry, "record_index"));
		/* A request of nothing but bad records, too; each of them is noted, and once. */
		snprintf(text, sizeof text, "{\"Records\":[%s,%s]}\n", bad[i].record, bad[i].record);
		ck_assert_int_eq(put(&g, text), -EINVAL);
		ck_assert_int_eq(put(&g, text), -EINVAL);
		ck_assert_uint_eq(g.table->rejected, before + 4);
		rejected(g.table);
	}
	rig_close(&g);
}
END_TEST

/* ---- versions ----------------------------------------------------------------------------------- */

START_TEST(conflicts_are_told)
{
	struct rig g;

	rig_open(&g, "t");
	g.db.existing_version = 200;
	/* All lose: the write failed. */
	ck_assert_int_eq(put(&g, REC(",\"Version\":2") "\n"), -EINVAL);
	ck_assert_str_eq(g.e.text, "line 1: The record version 2 is lower than the existing version 200. A higher version "
				   "is required to update the measure value.");
	ck_assert_ptr_nonnull(strstr(rejected(g.table),
				     "\"line\":1,\"uid\":1000,\"column\":0,\"existing_version\":200,\"reason\":\"The record "
				     "version 2 is lower than"));
	ck_assert_int_eq(put(&g, REC(",\"Version\":2") "\n"), -EINVAL);
	ck_assert_uint_eq(g.table->rejected, 1);
	/* One of three: the others are stored, the line is partly good, close(2) will tell. */
	ck_assert(ingest_take_rejected(g.in));
	PUT(&g, "{\"Records\":[" REC(",\"Version\":201") "," REC(",\"Version\":200") "," REC(",\"Version\":202") "]}\n");
	ck_assert_str_eq(rows(g.table), "m measure_value::double=1.0 5000000 v201\n"
					"m measure_value::double=1.0 5000000 v202\n");
	ck_assert(ingest_take_rejected(g.in));
	const char *r = rejected(g.table);
	ck_assert_ptr_nonnull(strstr(r, "\"line\":1,\"uid\":1000,\"column\":0,\"record_index\":1,\"existing_version\":200,"
					"\"reason\":\"A record already exists with the same time, dimensions, measure name, "
					"and record version. A higher record version must be specified in order to update "
					"the measure value.\",\"text\":\"{\\\"MeasureName\\\""));
	ck_assert_ptr_nonnull(strstr(r, "\\\"Version\\\":200}\"}"));
	/* Behind lines that were refused before it was known: each once, however often the write comes. */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(put(&g, REC(",\"Version\":7") "\n{\"bad\n" REC(",\"Version\":8") "\n{}\n"), -EINVAL);
		ck_assert_uint_eq(g.table->rejected, 2 + 4);
	}
	/* Rows without a version have no conflicts, and are stored in between, in order. */
	PUT(&g, "{\"x\":1,\"time\":5}\n" REC(",\"Version\":300") "\n{\"x\":2,\"time\":5}\n" REC(",\"Version\":301") "\n");
	ck_assert_str_eq(rows(g.table), "t x=1i 5\nm measure_value::double=1.0 5000000 v300\nt x=2i 5\n"
					"m measure_value::double=1.0 5000000 v301\n");
	rig_close(&g);
}
END_TEST

START_TEST(large_requests_are_stored_in_steps)
{
	struct buf text;
	struct rig g;
	uint32_t n = BATCH_ROWS_MAX * 5 / 2, at = 0;

	rig_open(&g, "t");
	g.db.existing_version = 1;
	buf_init(&text, 1 << 24);
	/* A line of many records, of which every thousandth loses. */
	buf_adds(&text, "{\"CommonAttributes\":{\"MeasureName\":\"m\",\"MeasureValue\":1,\"Version\":2},\"Records\":[");
	for (uint32_t i = 0; i < n; i++)
		buf_addf(&text, "%s{\"Time\":%u%s}", i ? "," : "", i, i % 1000 == 999 ? ",\"Version\":1" : "");
	buf_adds(&text, "]}\n");
	ck_assert_uint_lt(text.len, INGEST_LINE_MAX);
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), (int64_t)text.len);
	ck_assert_uint_eq(g.table->rows, n - n / 1000);
	ck_assert_uint_eq(g.table->rejected, n / 1000);
	const char *p = rejected(g.table);
	for (uint32_t i = 999; i < n; i += 1000) {
		ck_assert_ptr_nonnull(p = strstr(p, "\"record_index\":"));
		ck_assert_int_eq(sscanf(p, "\"record_index\":%u", &at), 1);
		ck_assert_uint_eq(at, i);
		p++;
	}
	buf_release(&text);
	rig_close(&g);
}
END_TEST

/* ---- database level ------------------------------------------------------------------------------ */

START_TEST(names_tables)
{
	struct rig g;

	rig_open(&g, NULL);
	PUT(&g, "{\"table\":\"a\",\"x\":1,\"time\":5}\n{\"measure_name\":\"b\",\"x\":1,\"time\":5}\n"
		"{\"table\":\"a\",\"measure_name\":\"m\",\"x\":1,\"time\":6}\n"
		"{\"TableName\":\"c\",\"Records\":[" REC("") "]}\n");
	ck_assert_uint_eq(g.db.appends, 1);
	ck_assert_str_eq(rows(find(&g, "a")), "a x=1i 5\nm x=1i 6\n");
	ck_assert_str_eq(rows(find(&g, "b")), "b x=1i 5\n");
	ck_assert_str_eq(rows(find(&g, "c")), "m measure_value::double=1.0 5000000 v1\n");
	ck_assert_uint_eq(g.db.n, 3);
	/* Nothing is made for a bad line. */
	static const char *const bad[] = {
		"{\"x\":1}\n",
		"{\"table\":\"new\"}\n",
		"{\"table\":\"n/w\",\"x\":1}\n",
		"{\"table\":\"new\",\"ts_x\":1}\n",
		"{\"table\":\"new\",\"x\":1,\"time\":-1}\n",
		"{\"table\":\"new\",\"measure_name\":\"a:b\",\"x\":1}\n",
		"{\"table\":\"new\",\"measure_value::bigint\":1.5}\n",
		REC("") "\n",
		"{\"Records\":[" REC("") "]}\n",
		"{\"TableName\":\"n/w\",\"Records\":[" REC("") "]}\n",
		"{\"TableName\":\"new\",\"Records\":[" REC(",\"Dimensions\":[" DIM("ts_", "a") "]") "]}\n",
		"{\"TableName\":\"new\",\"DatabaseName\":\"other\",\"Records\":[" REC("") "]}\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(put(&g, bad[i]) == -EINVAL, "%s", bad[i]);
		ck_assert_uint_eq(g.db.n, 3);
	}
	/* What is wrong with a line for a table that is there goes to that table. */
	ck_assert_int_eq(put(&g, "{\"table\":\"a\",\"x\":true}\n"), -EINVAL);
	ck_assert_uint_eq(find(&g, "a")->rejected, 1);
	/* Dropped between writes, and between parsing and storing. */
	fake_table_drop(&g.db, find(&g, "a"));
	PUT(&g, "{\"table\":\"b\",\"x\":2,\"time\":7}\n{\"table\":\"a\",\"x\":true,\"time\":7}\n");
	ck_assert_str_eq(rows(find(&g, "a")), "a x=true 7\n");
	g.db.fail_after = 1;
	g.db.fail_with = ESTALE;
	PUT(&g, "{\"table\":\"a\",\"x\":true,\"time\":8}\n");
	ck_assert_str_eq(rows(find(&g, "a")), "a x=true 8\n");
	rig_close(&g);
}
END_TEST

/* ---- pieces, repetitions, hostile lines ------------------------------------------------------------ */

START_TEST(lines_come_in_pieces)
{
	static const char text[] = "{\"x\":1,\"time\":1}\r\n\r\n" REC("") "\n{\"bad\n{\"x\":\"}\n\",\"time\":2}\n"
				   "{\"Records\":[" REC(",\"Version\":2") "," REC(",\"Version\":3") "]}\n{\"x\":3,\"time\":3}";
	struct unit_rng r = unit_rng();
	struct rig g;

	for (int round = 0; round < 200; round++) {
		rig_open(&g, "t");
		for (size_t at = 0; at < sizeof text - 1;) {
			size_t n = round == 0 ? sizeof text - 1 : 1 + unit_below(&r, round < 100 ? 5 : 80);
			n = MIN(n, sizeof text - 1 - at);
			int64_t rc = ingest_write(g.in, text + at, n, &g.e);
			/* A piece that completes nothing but a bad line fails; what it began comes again. */
			while (rc == -EINVAL && at + n < sizeof text - 1) {
				n = MIN(sizeof text - 1 - at, n + 20);
				rc = ingest_write(g.in, text + at, n, &g.e);
			}
			unit_assert(&r, rc == (int64_t)n, "round %d at %zu + %zu: %s", round, at, n, g.e.text);
			at += n;
		}
		ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
		unit_assert(&r, g.table->rows == 5, "round %d: %llu rows", round, (unsigned long long)g.table->rows);
		unit_assert(&r, g.table->rejected == 3, "round %d: %llu rejected", round,
			    (unsigned long long)g.table->rejected);
		rig_close(&g);
	}
}
END_TEST

static void fill(struct buf *b, char c, size_t n)
{
	memset(buf_reserve(b, n), c, n);
	b->len += n;
}

START_TEST(survives_hostile_lines)
{
	struct buf text;
	struct rig g;

	buf_init(&text, 1 << 26);
	rig_open(&g, "t");
	add_columns(g.table);
	/* Exactly as long as is allowed, and one more. */
	for (size_t more = 0; more < 2; more++) {
		buf_adds(&text, "{\"note\":\"");
		fill(&text, 'a', INGEST_LINE_MAX - strlen("{\"note\":\"\",\"time\":5}") + more);
		buf_adds(&text, "\",\"time\":5}\n");
	}
	/* Digits without end, brackets without end, an escape a byte. */
	buf_adds(&text, "{\"x\":");
	fill(&text, '9', 500000);
	buf_adds(&text, "}\n{\"x\":0.");
	fill(&text, '1', 500000);
	buf_adds(&text, ",\"time\":5}\n{\"n\":");
	fill(&text, '9', 500000);
	buf_adds(&text, "}\n{\"a\":");
	fill(&text, '[', 500000);
	buf_adds(&text, "}\n{\"note\":\"");
	for (int i = 0; i < 100000; i++)
		buf_adds(&text, "\\u0041");
	buf_adds(&text, "\",\"time\":6}\n{\"note\":\"");
	fill(&text, '\\', 500001);
	buf_adds(&text, "\"}\n");
	/* Thousands of members: of one name, of too many names. */
	buf_adds(&text, "{");
	for (int i = 0; i < 60000; i++)
		buf_adds(&text, "\"x\":1,");
	buf_adds(&text, "\"x\":1}\n{");
	for (int i = 0; i < 60000; i++)
		buf_addf(&text, "\"m%d\":1,", i);
	buf_adds(&text, "\"m\":1}\n{");
	for (int i = 0; i < 60000; i++)
		buf_addf(&text, "\"m%d\":\"\\\\\",", i);
	buf_adds(&text, "\"m\":1}\n{\"x\":1,\"time\":9}\n");
	int64_t rc = ingest_write(g.in, text.data, text.len, &g.e);
	ck_assert_msg(rc == (int64_t)text.len, "%s", g.e.text);
	ck_assert_uint_eq(g.table->rows, 4);
	ck_assert_uint_eq(g.table->rejected, 8);
	/* Common dimensions are cheap to write: what they come to is bounded. */
	buf_clear(&text);
	buf_adds(&text, "{\"CommonAttributes\":{\"MeasureName\":\"m\",\"MeasureValue\":1,\"Dimensions\":[");
	for (int i = 0; i < 4000; i++)
		buf_addf(&text, "%s{\"Name\":\"d%d\",\"Value\":\"v\"}", i ? "," : "", i);
	buf_adds(&text, "]},\"Records\":[");
	for (int i = 0; i < 60000; i++)
		buf_addf(&text, "%s{\"Time\":1}", i ? "," : "");
	buf_adds(&text, "]}\n");
	ck_assert_uint_lt(text.len, INGEST_LINE_MAX);
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(g.e.text, "record 262: the records of the line have more than 1048576"));
	ck_assert_uint_eq(g.table->rows, 4);
	buf_release(&text);
	rig_close(&g);
}
END_TEST

/* A write that fails behind its first step, and comes again: every row the same. */
START_TEST(repeats_large_writes)
{
	struct buf text;
	struct rig g;
	uint32_t n = BATCH_ROWS_MAX * 3 / 2;

	rig_open(&g, "t");
	buf_init(&text, 1 << 24);
	for (uint32_t i = 0; i < n; i++)
		buf_addf(&text, "{\"x\":%u}\n", i);
	g.db.fail_after = 2;
	g.db.fail_with = ENOSPC;
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), -ENOSPC);
	ck_assert_uint_eq(g.table->rows, BATCH_ROWS_MAX);
	char *first = strdup(rows(g.table));
	usleep(1000);
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), (int64_t)text.len);
	ck_assert(memcmp(first, rows(g.table), strlen(first)) == 0);
	free(first);
	buf_release(&text);
	rig_close(&g);
}
END_TEST

/* ---- moments ------------------------------------------------------------------------------------- */

START_TEST(reads_moments)
{
	static const struct {
		const char *text;
		int rc;
		int64_t ns;
	} cases[] = {
		{"1970-01-01", 0, 0},
		{"2262-04-11 23:47:16.854775807", 0, INT64_MAX},
		{"2262-04-11 23:47:16.854775808", -ERANGE, 0},
		{"1677-09-21T00:12:43.145224192Z", 0, INT64_MIN},
		{"1969-12-31T23:59:59.9Z", 0, -100000000},
		{"1970-01-01T00:00+00:01", 0, -60 * NS_PER_S},
		{"1970-01-01T00:00-0130", 0, 90 * 60 * NS_PER_S},
		{"1970-01-01 12", -EINVAL, 0},
		{"1970-01-01T12:00:00.", -EINVAL, 0},
		{"1970-01-01T12:00:00.1234567890", -EINVAL, 0},
		{"1970-01-01T12:00:00Zx", -EINVAL, 0},
		{"1970-01-01T12:00:00+", -EINVAL, 0},
		{"1970-01-01T12:00:00+19:00", -EINVAL, 0},
		{"1970-1-1", -EINVAL, 0},
		{"1970-02-29", -EINVAL, 0},
		{"1972-02-29", 0, 789 * NS_PER_DAY},
		{"", -EINVAL, 0},
		{"1970-01-01 ", -EINVAL, 0},
		{"1970-01-01T1:00", -EINVAL, 0},
		{"1970-01-01T23:60", -EINVAL, 0},
		{"1970-01-01T23:00:60", -EINVAL, 0},
	};
	struct unit_rng r = unit_rng();
	char text[TIMESTAMP_TEXT_LEN];
	int64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = instant_parse(str_from(cases[i].text), &ns);
		ck_assert_msg(rc == cases[i].rc, "%s: %d", cases[i].text, rc);
		if (rc == 0)
			ck_assert_msg(ns == cases[i].ns, "%s: %lld", cases[i].text, (long long)ns);
	}
	for (int i = 0; i < 100000; i++) {
		int64_t want = (int64_t)unit_rand_log(&r) * (unit_below(&r, 2) ? 1 : -1);
		timestamp_format(text, want);
		if (unit_below(&r, 2))
			text[10] = 'T';
		int rc = instant_parse((struct str){text, sizeof text}, &ns);
		unit_assert(&r, rc == 0 && ns == want, "%.29s: %d", text, rc);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("jsonl");
	TCase *tc = tcase_create("jsonl");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, takes_flat_rows, 0, ARRAY_LEN(flat_good));
	tcase_add_loop_test(tc, refuses_flat_rows, 0, ARRAY_LEN(flat_bad));
	tcase_add_test(tc, flat_rows_have_defaults);
	tcase_add_test(tc, rows_of_any_shape_follow_each_other);
	tcase_add_loop_test(tc, takes_records, 0, ARRAY_LEN(records_good));
	tcase_add_loop_test(tc, refuses_structure, 0, ARRAY_LEN(structure_bad));
	tcase_add_test(tc, a_record_is_refused_alone);
	tcase_add_test(tc, conflicts_are_told);
	tcase_add_test(tc, large_requests_are_stored_in_steps);
	tcase_add_test(tc, names_tables);
	tcase_add_test(tc, lines_come_in_pieces);
	tcase_add_test(tc, survives_hostile_lines);
	tcase_add_test(tc, repeats_large_writes);
	tcase_add_test(tc, reads_moments);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
