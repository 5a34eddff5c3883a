/*
 * ingest: bytes in pieces of any size become the right rows, whatever is bad about some of them and
 * whatever the engine answers. Runs on a sink in memory, not on the engine.
 */
#include "engine/ingest.h"
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
	struct ingest_source src = {.file = "db/t/ingest", .uid = 1000};
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

/* ---- by example ------------------------------------------------------------------------------- */

START_TEST(stores_lines)
{
	struct rig g;

	rig_open(&g, "t");
	ck_assert_int_eq(put(&g, "m,h=a x=1,y=2i,z=\"q\" 5\nm,h=b x=3,b=t 6\n"), 39);
	ck_assert_str_eq(rows(g.table), "m,h=a x=1.0 y=2i z=\"q\" 5\nm,h=b b=true x=3.0 6\n");
	/* In pieces; comments, blanks, CRLF. */
	ck_assert_int_eq(put(&g, "# hi\n\n  m,h=a y"), 15);
	ck_assert_uint_eq(ingest_pending(g.in), 9);
	ck_assert_int_eq(put(&g, "=5i 7\r"), 6);
	ck_assert_int_eq(put(&g, "\nm,h=a z=\"a\\"), 12);
	ck_assert_str_eq(rows(g.table), "m,h=a y=5i 7\n");
	ck_assert_int_eq(put(&g, "\"\nb\" "), 5);
	ck_assert_int_eq(put(&g, "8\n"), 2);
	ck_assert_str_eq(rows(g.table), "m,h=a z=\"a\"\nb\" 8\n");
	/* An integer goes into a DOUBLE column, and never the other way round. */
	ck_assert_int_eq(put(&g, "m,h=a x=7i 9\nm,h=a y=1.5 9\n"), 27);
	ck_assert_str_eq(rows(g.table), "m,h=a x=7.0 9\n");
	ck_assert_ptr_nonnull(strstr(rejected(g.table),
				     "\"file\":\"db/t/ingest\",\"line\":9,\"uid\":1000,\"column\":7,"
				     "\"reason\":\"column 'y' is bigint, and a double was offered\","
				     "\"text\":\"m,h=a y=1.5 9\"}"));
	ck_assert(ingest_take_rejected(g.in));
	ck_assert(!ingest_take_rejected(g.in));
	ck_assert_uint_eq(g.table->counted, 1);
	/* An unterminated line is taken when told so. */
	ck_assert_int_eq(put(&g, "m,h=c x=1 10"), 12);
	ck_assert_str_eq(rows(g.table), "");
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_str_eq(rows(g.table), "m,h=c x=1.0 10\n");
	ck_assert_uint_eq(ingest_pending(g.in), 0);
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	rig_close(&g);
}
END_TEST

static const struct {
	const char *line;
	const char *reason;
} refused[] = {
	{"m,h=a x=\"s\" 5", "column 'x' is double, and a varchar was offered"},
	{"m,h=a i=t 5", "column 'i' is bigint, and a boolean was offered"},
	{"m,x=a i=1i 5", "column 'x' is a measure and cannot be a dimension too"},
	{"m,h=a h2=1,h=2 5", "a tag and a field"},
	{"m,h2=a h=1 5", "column 'h' is a dimension and cannot be a measure too"},
	{"m,h=a X=1 5", "column 'X' differs only by case from column 'x'"},
	{"m,h=a new=1,NEW=1 5", "column 'NEW' differs only by case from column 'new'"},
	{"m,h=a new=1,ts_x=1 5", "begins with 'ts_'"},
	{"m,h=a new=1,time=1 5", "reserved"},
	{"m,h=a,measure_name=1 x=1 5", "begins with 'measure_name'"},
	{"m,h=a a:b=1 5", "':'"},
	{"a:b,h=a new=1 5", "':'"},
	{"m,h=a new=1 -5", "before 1970"},
	{"m,h=a new=1 99", "outside the time range [1970-01-01T00:00:00.000Z, "
			   "1970-01-01T00:00:00.000Z) of the data ingestion window."},
	{"m,h=new x=1", "outside"}, /* not really: the time of arrival is never checked */
};

START_TEST(refuses_lines)
{
	struct rig g;
	char text[200];

	rig_open(&g, "t");
	g.table->window = (struct table_window){.hi_ns = 50, .precision_ns = 1};
	ck_assert_int_gt(put(&g, "m,h=a x=1,i=2i 5\n"), 0);
	uint32_t columns = series_column_count(g.table->series);
	uint32_t series = series_count(g.table->series);
	/* Beside a good line and alone; through the template path and without it. */
	for (int way = 0; way < 2; way++) {
		bool is_bad = _i + 1 < (int)ARRAY_LEN(refused);
		snprintf(text, sizeof text, "%s%s\n%s", way ? "m,h=a x=1,i=2i 6\n" : "", refused[_i].line,
			 way ? "m,h=a x=1,i=2i 7\n" : "");
		int64_t rc = put(&g, text);
		ck_assert_int_eq(rc, way || !is_bad ? (int64_t)strlen(text) : -EINVAL);
		if (!is_bad)
			continue;
		if (rc < 0)
			ck_assert_msg(strstr(g.e.text, refused[_i].reason), "%s", g.e.text);
		ck_assert_msg(strstr(g.table->rejected_text.data, refused[_i].reason), "%s: %.*s",
			      refused[_i].line, STR_FMT(buf_str(&g.table->rejected_text)));
		ck_assert_uint_eq(series_column_count(g.table->series), columns);
		ck_assert_uint_eq(series_count(g.table->series), series);
	}
	rig_close(&g);
}
END_TEST

START_TEST(scales_times)
{
	struct rig g;

	rig_open(&g, "t");
	g.table->window = (struct table_window){.lo_ns = 20 * NS_PER_S, .hi_ns = 40 * NS_PER_S,
					     .precision_ns = NS_PER_S, .lo_is_memory = true};
	ck_assert_int_gt(put(&g, "m x=1 30\nm x=1 30\nm x=1 20\nm x=1 19\nm x=1 40\nm x=1 39\n"
				 "m x=1 9223372036854775807\nm x=1 31\n"), 0);
	ck_assert_str_eq(rows(g.table), "m x=1.0 30000000000\nm x=1.0 30000000000\nm x=1.0 20000000000\n"
					"m x=1.0 39000000000\nm x=1.0 31000000000\n");
	const char *r = rejected(g.table);
	ck_assert_ptr_nonnull(strstr(r, "[1970-01-01T00:00:20.000Z, 1970-01-01T00:00:40.000Z) of the "
					"memory store."));
	ck_assert_ptr_nonnull(strstr(r, "too large"));
	ck_assert_uint_eq(g.table->rejected, 3);
	rig_close(&g);
}
END_TEST

/* ---- failures and repetitions ----------------------------------------------------------------- */

START_TEST(all_bad_consumes_nothing)
{
	struct rig g;

	rig_open(&g, "t");
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(put(&g, "m x\nm y\n"), -EINVAL);
		ck_assert_ptr_nonnull(strstr(g.e.text, "line 1, column 4: field 'x' has no value"));
		ck_assert_ptr_nonnull(strstr(g.e.text, "1 more"));
		ck_assert_uint_eq(g.table->rejected, 2);
	}
	/* The same bytes with more behind them: only what is new is noted. */
	ck_assert_int_eq(put(&g, "m x\nm y\nm z\nm x=1 5\n"), 20);
	ck_assert_uint_eq(g.table->rejected, 3);
	ck_assert_uint_eq(g.table->counted, 3);
	/* Now they were consumed: the next time they are other lines. */
	ck_assert_int_eq(put(&g, "m x\nm y\n"), -EINVAL);
	ck_assert_uint_eq(g.table->rejected, 5);
	ck_assert_ptr_nonnull(strstr(g.table->rejected_text.data, "\"line\":6,"));
	/* Comments alone are fine. */
	ck_assert_int_eq(put(&g, "# a\n\n"), 5);
	rig_close(&g);
}
END_TEST

START_TEST(gives_up_a_carried_head)
{
	struct rig g;

	rig_open(&g, "t");
	ck_assert_int_eq(put(&g, "m val"), 5);
	ck_assert_int_eq(put(&g, "ue=x\n"), -EINVAL);
	ck_assert_uint_eq(ingest_pending(g.in), 5);
	ck_assert_int_eq(put(&g, "ue=x\n"), -EINVAL); /* again: still the same line */
	ck_assert_uint_eq(g.table->rejected, 1);
	/* Half of a refused line is no line. */
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_str_eq(rows(g.table), "");
	/* Something else: the head is not put in front of it. */
	ck_assert_int_eq(put(&g, "m value=1 5\n"), 12);
	ck_assert_str_eq(rows(g.table), "m value=1.0 5\n");
	ck_assert_uint_eq(g.table->rejected, 1);
	/* After a full disk the same head is kept, for the repetition. */
	ck_assert_int_eq(put(&g, "m value=1"), 9);
	g.db.fail_after = 1;
	g.db.fail_with = ENOSPC;
	ck_assert_int_eq(put(&g, "2 6\n"), -ENOSPC);
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_int_eq(put(&g, "2 6\n"), 4);
	ck_assert_str_eq(rows(g.table), "m value=12.0 6\n");
	rig_close(&g);
}
END_TEST

/* A write of several batches fails behind the first: sent again, every row comes out the same. */
START_TEST(repeats_large_writes)
{
	struct rig g;
	struct buf text, first;
	uint32_t n = BATCH_ROWS_MAX * 3 / 2;

	rig_open(&g, "t");
	buf_init(&text, 1 << 24);
	buf_init(&first, 1 << 24);
	for (uint32_t i = 0; i < n; i++)
		buf_addf(&text, "m x=%ui\n", i); /* times of arrival */
	buf_adds(&text, "m x\n");
	g.db.fail_after = 2;
	g.db.fail_with = ENOSPC;
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), -ENOSPC);
	ck_assert_uint_eq(g.table->rows, BATCH_ROWS_MAX);
	buf_add_str(&first, buf_str(&g.table->rows_text));
	buf_clear(&g.table->rows_text);
	usleep(1000);
	ck_assert_int_eq(ingest_write(g.in, text.data, text.len, &g.e), (int64_t)text.len);
	ck_assert_uint_eq(g.table->rejected, 1);
	ck_assert_uint_eq(g.table->rows, BATCH_ROWS_MAX + n);
	ck_assert(memcmp(first.data, g.table->rows_text.data, first.len) == 0);
	/* Times increase by 1, also over handles. */
	struct ingest *other;
	struct ingest_source src = {.file = "db/t/ingest", .uid = 0};
	ck_assert_int_eq(ingest_open(&g.db, g.table, &src, &other, &g.e), 0);
	ck_assert_int_eq(ingest_write(other, "m y=1\nm y=2\n", 12, &g.e), 12);
	long long last = 0, at;
	char *p = g.table->rows_text.data;
	buf_addc(&g.table->rows_text, '\0');
	for (uint32_t i = 0; i < n + 2; i++) {
		ck_assert_int_eq(sscanf(p, "m %*s %lld", &at), 1);
		ck_assert(i == 0 || i == n ? at > last : at == last + 1);
		last = at;
		p = strchr(p, '\n') + 1;
	}
	ingest_close(other);
	buf_release(&text);
	buf_release(&first);
	rig_close(&g);
}
END_TEST

/* ---- database level --------------------------------------------------------------------------- */

static struct table *find(struct rig *g, const char *name)
{
	struct table *t = db_table(&g->db, str_from(name));

	table_put(t);
	return t;
}

START_TEST(names_tables)
{
	struct rig g;
	char text[64];

	rig_open(&g, NULL);
	ck_assert_int_gt(put(&g, "cpu,h=a x=1 5\nmem,h=a y=2i 5\ncpu,h=a x=2 6\n"), 0);
	ck_assert_uint_eq(g.db.appends, 1); /* both in one */
	ck_assert_str_eq(rows(find(&g, "cpu")), "cpu,h=a x=1.0 5\ncpu,h=a x=2.0 6\n");
	ck_assert_str_eq(rows(find(&g, "mem")), "mem,h=a y=2i 5\n");
	/* Nothing is made for a bad line. */
	static const char *const bad[] = {"disk x=1,x=2 5\n", "disk x=1 -5\n", "disk ts_x=1 5\n",
					  "disk x=1 9000000000000000000\n", "di\\ sk x=1 5\n",
					  "ts_disk x=1 5\n", "disk a=1,A=2 5\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(put(&g, bad[i]), -EINVAL);
		ck_assert_uint_eq(g.db.n, 2);
	}
	/* What is wrong with a line for a table that is there goes to that table. */
	ck_assert_int_eq(put(&g, "cpu x=t 5\n"), -EINVAL);
	ck_assert_uint_eq(find(&g, "cpu")->rejected, 1);
	/* A table is dropped: between writes, and between parsing and storing. */
	fake_table_drop(&g.db, find(&g, "cpu"));
	ck_assert_int_gt(put(&g, "mem,h=a y=2i 7\ncpu,h=a x=t 7\n"), 0);
	ck_assert_str_eq(rows(find(&g, "cpu")), "cpu,h=a x=true 7\n");
	g.db.fail_after = 1;
	g.db.fail_with = ESTALE;
	ck_assert_int_gt(put(&g, "mem,h=a y=2i 8\ncpu,h=a x=t 8\n"), 0);
	ck_assert_str_eq(rows(find(&g, "cpu")), "cpu,h=a x=true 8\n");
	ck_assert_str_eq(rows(find(&g, "mem")), "mem,h=a y=2i 7\nmem,h=a y=2i 8\n");
	/* More tables than a handle keeps batches for. */
	for (int i = 0; i < 1500; i++) {
		snprintf(text, sizeof text, "t%d x=1 %d\nt%d x=1 %d\n", i % 1100, i, i % 1100, i);
		ck_assert_int_gt(put(&g, text), 0);
	}
	ck_assert_uint_eq(g.db.n, 1102);
	ck_assert_uint_eq(find(&g, "t7")->rows, 4);
	rig_close(&g);
}
END_TEST

/* ---- lines without end ------------------------------------------------------------------------ */

static void fill(struct buf *b, char c, size_t n)
{
	char *to = buf_reserve(b, n);

	memset(to, c, n);
	b->len += n;
}

/* Everything but the moment, of all rejected lines. */
static void without_when(struct buf *b)
{
	for (char *p = b->data, *end = b->data + b->len; p < end; p++)
		if ((size_t)(end - p) > 40 && memcmp(p, "{\"when\":\"", 9) == 0)
			memset(p + 9, '-', 30);
}

START_TEST(survives_endless_lines)
{
	struct unit_rng r = unit_rng();
	struct buf text, want_rows, want_rejected;

	buf_init(&text, 1 << 26);
	buf_init(&want_rows, 1 << 26);
	buf_init(&want_rejected, 1 << 26);
	buf_adds(&text, "m x=1 1\nm s=\"");
	fill(&text, 'a', INGEST_LINE_MAX - strlen("m s=\"") - strlen("\" 2"));
	buf_adds(&text, "\" 2\nm s=\""); /* exactly as long as is allowed */
	fill(&text, 'b', INGEST_LINE_MAX - strlen("m s=\"") - strlen("\" 33") + 1);
	buf_adds(&text, "\" 33\nm x=4 4\n"); /* one too long */
	buf_adds(&text, "m s=\"open 5\n"); /* a quote that nobody closes */
	for (int i = 0; i < 80000; i++) {
		buf_addf(&text, "m x=%d %d\n", i, 100 + i);
		/* Closes what is open and opens another. It must not be searched for its end each time. */
		if (i % 20 == 0 && i < 20000)
			buf_adds(&text, "m s=\"x\",t=\"y\n");
	}
	buf_adds(&text, "m s=\"closed\" 6\nm x=7,s=\"open \n\n\n");
	fill(&text, 'c', 3 * INGEST_LINE_MAX); /* open, and then too long */
	buf_adds(&text, "\nm x=8 8\n");
	ck_assert_int_eq(text.rc, 0);

	for (int round = 0; round < 14; round++) {
		static const size_t sizes[] = {SIZE_MAX, 1 << 20, 128 << 10, 65537, 8192,
					       (1 << 20) + 1, (1 << 20) - 1};
		struct rig g;
		rig_open(&g, "t");
		for (size_t at = 0; at < text.len;) {
			size_t n = round < (int)ARRAY_LEN(sizes) ? sizes[round]
								  : 1 + unit_rand_log(&r) % (2 << 20);
			n = MIN(n, text.len - at);
			int64_t rc = ingest_write(g.in, text.data + at, n, &g.e);
			unit_assert(&r, rc == (int64_t)n, "round %d at %zu + %zu: %s", round, at, n,
				    g.e.text);
			at += n;
			ck_assert_uint_le(ingest_pending(g.in), INGEST_LINE_MAX);
		}
		ck_assert_uint_eq(ingest_pending(g.in), 0);
		without_when(&g.table->rejected_text);
		if (round == 0) {
			ck_assert_uint_eq(g.table->rows, 80000 + 5);
			ck_assert_uint_eq(g.table->rejected, 4 + 1000);
			buf_add_str(&want_rows, buf_str(&g.table->rows_text));
			buf_add_str(&want_rejected, buf_str(&g.table->rejected_text));
		}
		unit_assert(&r, str_eq(buf_str(&g.table->rows_text), buf_str(&want_rows)), "round %d",
			    round);
		unit_assert(&r, str_eq(buf_str(&g.table->rejected_text), buf_str(&want_rejected)),
			    "round %d:\n%.*s\nnot\n%.*s", round, 700, g.table->rejected_text.data, 700,
			    want_rejected.data);
		rig_close(&g);
	}
	buf_release(&text);
	buf_release(&want_rows);
	buf_release(&want_rejected);
}
END_TEST

START_TEST(finishes_open_strings)
{
	struct rig g;

	rig_open(&g, "t");
	ck_assert_int_eq(put(&g, "m s=\"open 1\nm x=2 2\nm x=3 3"), 27);
	ck_assert_str_eq(rows(g.table), "");
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_str_eq(rows(g.table), "m x=2.0 2\nm x=3.0 3\n");
	ck_assert_uint_eq(g.table->rejected, 1);
	ck_assert_ptr_nonnull(strstr(rejected(g.table), "\"text\":\"m s=\\\"open 1\"}"));
	/* A bad rest: said once, and gone. */
	ck_assert_int_eq(put(&g, "m x"), 3);
	ck_assert_int_eq(ingest_finish(g.in, &g.e), -EINVAL);
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_uint_eq(ingest_pending(g.in), 0);
	/* A good rest and no room: it stays. */
	ck_assert_int_eq(put(&g, "m x=4 4"), 7);
	g.db.fail_after = 1;
	g.db.fail_with = ENOSPC;
	ck_assert_int_eq(ingest_finish(g.in, &g.e), -ENOSPC);
	ck_assert_int_eq(ingest_finish(g.in, &g.e), 0);
	ck_assert_str_eq(rows(g.table), "m x=4.0 4\n");
	rig_close(&g);
}
END_TEST

START_TEST(keeps_rejected_readable)
{
	struct rig g;

	rig_open(&g, "t");
	ck_assert_int_eq(put(&g, "m,t=\xFFz\"\\\t x=1\nm x=1 1\n"), 22);
	ck_assert_ptr_nonnull(strstr(rejected(g.table),
				     "\"column\":5,\"reason\":\"byte 0xFF is not valid UTF-8 here\","
				     "\"text\":\"m,t=\\u00ffz\\\"\\\\\\t x=1\"}"));
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "m x=");
	fill(&b, 'z', 10000);
	buf_adds(&b, "\nm x=1 1\n");
	ck_assert_int_gt(ingest_write(g.in, b.data, b.len, &g.e), 0);
	const char *text = rejected(g.table);
	ck_assert_ptr_nonnull(strstr(text, "zz ... [4096 of 10004 bytes shown]\"}"));
	ck_assert_uint_lt(strlen(text), 4600);
	buf_release(&b);
	rig_close(&g);
}
END_TEST

/* ---- against a twin --------------------------------------------------------------------------- */

/*
 * Records made from dice, with the row that each must become. Most look like the ones before, so the
 * template path takes them; some differ in every way that the complete parser knows.
 */
struct twin {
	struct buf text;   /* all records */
	struct buf rows;   /* the rows of the good ones */
	struct buf lines;  /* "\"line\":N," of the bad ones */
	uint64_t line;     /* next */
	size_t *ends;      /* of each record in text */
	bool *good;
	uint32_t n;
	bool has_strings; /* the column s is known, so that a bad type for it is bad */
};

static void add_int(struct twin *t, struct unit_rng *r, struct buf *row, const char *key, bool dbl)
{
	char num[F64_TEXT_MAX];
	int64_t v = (int64_t)unit_rand_log(r) >> unit_below(r, 30);

	if (unit_below(r, 3) == 0)
		v = -v;
	if (dbl) {
		buf_addf(&t->text, "%s=%lldi", key, (long long)v);
		buf_addf(row, " %s=", key);
		buf_add(row, num, f64_format(num, (double)v));
	} else {
		buf_addf(&t->text, "%s=%lld%c", key, (long long)v, v >= 0 && unit_below(r, 5) == 0 ? 'u' : 'i');
		buf_addf(row, " %s=%lldi", key, (long long)v);
	}
}

static void add_double(struct twin *t, struct unit_rng *r, struct buf *row, const char *key)
{
	static const char *const forms[] = {"%.0f", "%.1f", "%.3f", "%.17g", "%g", "%e", "%.15g"};
	char text[400], num[F64_TEXT_MAX];
	uint64_t bits = unit_rand(r);
	double v;

	if (unit_below(r, 4) == 0)
		memcpy(&v, &bits, 8);
	else
		v = (double)(int64_t)unit_rand_log(r) / (double)(1 + unit_below(r, 1000000));
	if (!(v - v == 0))
		v = -0.0;
	if (v > 1e100 || v < -1e100)
		v = 1e100;
	snprintf(text, sizeof text, forms[unit_below(r, ARRAY_LEN(forms))], v);
	v = strtod(text, NULL);
	buf_addf(&t->text, "%s=%s", key, text);
	buf_addf(row, " %s=", key);
	buf_add(row, num, f64_format(num, v));
}

static void add_string(struct twin *t, struct unit_rng *r, struct buf *row)
{
	static const char *const raw[] = {"abc", "K\xC3\xB6ln", "a b,c=d", "q\\\"q", "b\\\\", "two\nlines",
					  "", "\\n", "m x=1 5\n#"};
	static const char *const real[] = {"abc", "K\xC3\xB6ln", "a b,c=d", "q\"q", "b\\", "two\nlines",
					   "", "\\n", "m x=1 5\n#"};
	uint64_t k = unit_below(r, unit_below(r, 4) ? 3 : ARRAY_LEN(raw));

	buf_addf(&t->text, "s=\"%s\"", raw[k]);
	buf_addf(row, " s=\"%s\"", real[k]);
}

static void add_good(struct twin *t, struct unit_rng *r)
{
	static const char *const hosts[] = {"a", "b", "c\\ d", "e\\,f", "g\\\\h", "Z\xC3\xBCrich"};
	static const char *const host_values[] = {"a", "b", "c d", "e,f", "g\\\\h", "Z\xC3\xBCrich"};
	struct buf row;
	const char *sep = "";
	bool odd = unit_below(r, 8) == 0;
	uint64_t h = unit_below(r, odd ? 6 : 2), rack = unit_below(r, 3);
	const char *m = odd && unit_below(r, 2) ? "my\\ m" : "m";

	buf_init(&row, 1 << 20);
	if (odd && unit_below(r, 3) == 0)
		buf_adds(&t->text, " \t");
	if (odd && unit_below(r, 2))
		buf_addf(&t->text, "%s,rack=%llu,host=%s", m, (unsigned long long)rack, hosts[h]);
	else
		buf_addf(&t->text, "%s,host=%s,rack=%llu", m, hosts[h], (unsigned long long)rack);
	buf_addf(&row, "%s,host=%s,rack=%llu", m[1] ? "my m" : "m", host_values[h], (unsigned long long)rack);
	buf_adds(&t->text, odd ? "   " : " ");
	/* The twin's row has the fields in order of their names. */
	for (int f = 0; f < 5; f++) {
		if ((odd && unit_below(r, 3) == 0) && f != 2)
			continue;
		buf_adds(&t->text, sep);
		sep = ",";
		switch (f) {
		case 0: {
			static const char *const words[] = {"t", "T", "true", "True", "TRUE",
							    "f", "F", "false", "False", "FALSE"};
			uint64_t k = unit_below(r, 10);
			buf_addf(&t->text, "b=%s", words[k]);
			buf_addf(&row, " b=%s", k < 5 ? "true" : "false");
			break;
		}
		case 1:
			if (unit_below(r, 9) == 0)
				add_int(t, r, &row, "d", true);
			else
				add_double(t, r, &row, "d");
			break;
		case 2:
			add_int(t, r, &row, "i", false);
			break;
		case 3:
			add_string(t, r, &row);
			break;
		default:
			add_int(t, r, &row, "the_longest_name_of_a_field_that_is_here", false);
			break;
		}
	}
	uint64_t time = 1000 + unit_rand_log(r) % 4000000000000000000u;
	buf_addf(&t->text, " %llu%s\n", (unsigned long long)time, odd ? " \r" : unit_below(r, 9) ? "" : "\r");
	buf_addf(&row, " %llu\n", (unsigned long long)time);
	buf_add_str(&t->rows, buf_str(&row));
	buf_release(&row);
}

static void add_bad(struct twin *t, struct unit_rng *r)
{
	static const char *const lines[] = {
		"m,host=a,rack=1 b=1,d=2,i=3i 5000",       /* b is boolean */
		"m,host=a,rack=1 b=t,d=2,i=3 5000",	   /* i is bigint */
		"m,host=a,rack=1 b=t,d=2,i=3i 5",	   /* before the window */
		"m,host=a,rack=1 b=t,d=2,i=3i -5000",	   "m,host=a,rack=1 b=t,d=x,i=3i 5000",
		"m,host=a,rack=1 b=t,d=\"x\",i=3i 5000",   "m,host=a,rack=1 b=t,d=1,i=3i,s=\"\xFF\" 5000",
		"m,host=a,rack=1 i=3i,i=4i 5000",	   "m,host=a,rack= i=3i 5000",
		"m,host=a,rack=1 i=3i 5000 6000",	   "m,host=a,rack=1 i=3i,n=NaN 5000",
		"m,host=a,rack=1 i=99999999999999999999i", "m,host=a,rack=1 b=t,d=1.5i,i=3i 5000",
		"m,host=a,rack=1 ts_new=1 5000",	   "m,host=a,rack=1 b=t,d=2,i=3i,s=\"x\"\"y\" 5000",
		"m,host=a,rack=1 b=tr,d=2,i=3i 5000",      "m,host=a,rack=1",
	};
	/* These begin as the lines that have a template do, and go wrong at one place. */
	static const char *const tails[] = {
		"b=t,d=2,i=-3u,s=\"x\",L=1i 5000",   "b=t,d=2,i=3i,s=\"x\",L=1i 5",
		"b=t,d=2,i=3i,s=\"x\",L=1i -5000",   "b=t,d=2,i=3i,s=\"x\",L=1i 9223372036854775807",
		"b=t,d=2,i=3,s=\"x\",L=1i 5000",     "b=t,d=2.5i,i=3i,s=\"x\",L=1i 5000",
		"b=t,d=-,i=3i,s=\"x\",L=1i 5000",    "b=t,d=.,i=3i,s=\"x\",L=1i 5000",
		"b=tt,d=2,i=3i,s=\"x\",L=1i 5000",   "b=t,d=2,i=3i,s=\"x\"y,L=1i 5000",
		"b=t,d=2,i=3i,s=\"\xC3\",L=1i 5000", "b=t,d=2,i=3i,s=x,L=1i 5000",
		"b=t,d=2,i=3i,s=\"x\",L=1i 5000x",   "b=t,d=2,i=3i,s=\"x\",L=1i 99999999999999999999",
		"b=t,d=2,i=3i,s=\"x\",L=1i, 5000",   "b=t,d=2,i=9223372036854775808i,s=\"x\",L=1i 5000",
		"b=t,d=1e999,i=3i,s=\"x\",L=1i 5000", "b=t,d=2,i=i,s=\"x\",L=1i 5000",
	};

	if (unit_below(r, 2)) {
		const char *tail = tails[unit_below(r, ARRAY_LEN(tails))], *l = strchr(tail, 'L');
		buf_addf(&t->text, "m,host=%c,rack=%d %.*s%s%s\n", "ab"[unit_below(r, 2)],
			 (int)unit_below(r, 3), (int)(l - tail), tail,
			 "the_longest_name_of_a_field_that_is_here", l + 1);
		buf_addf(&t->lines, "\"line\":%llu,", (unsigned long long)t->line);
		return;
	}

	buf_addf(&t->text, "%s\n", lines[unit_below(r, ARRAY_LEN(lines))]);
	buf_addf(&t->lines, "\"line\":%llu,", (unsigned long long)t->line);
}

static void twin_make(struct twin *t, struct unit_rng *r, uint32_t n)
{
	*t = (struct twin){.line = 1, .n = n};
	buf_init(&t->text, 1 << 28);
	buf_init(&t->rows, 1 << 28);
	buf_init(&t->lines, 1 << 28);
	t->ends = malloc(n * sizeof *t->ends);
	t->good = malloc(n * sizeof *t->good);
	for (uint32_t i = 0; i < n; i++) {
		size_t from = t->text.len;
		uint64_t dice = unit_below(r, 100);
		/* The first makes every column. */
		if (i == 0) {
			buf_adds(&t->text, "m,host=a,rack=0 b=t,d=1,i=1i,s=\"\","
					   "the_longest_name_of_a_field_that_is_here=1i 5000\n");
			buf_adds(&t->rows, "m,host=a,rack=0 b=true d=1.0 i=1i s=\"\" "
					   "the_longest_name_of_a_field_that_is_here=1i 5000\n");
		} else if (i + 1 == n) {
			dice = 99; /* so that every bad one has a good one behind it */
			add_good(t, r);
		} else if (dice < 3) {
			buf_adds(&t->text, dice ? "# m x=\"1\n" : " \r\n");
		} else if (dice < 12) {
			add_bad(t, r);
		} else {
			add_good(t, r);
		}
		t->good[i] = i == 0 || dice >= 12;
		for (size_t k = from; k < t->text.len; k++)
			t->line += t->text.data[k] == '\n';
		t->ends[i] = t->text.len;
	}
}

static void twin_release(struct twin *t)
{
	buf_release(&t->text);
	buf_release(&t->rows);
	buf_release(&t->lines);
	free(t->ends);
	free(t->good);
}

/* The lines that `rejected` names, as twin.lines has them. */
static void lines_of(struct buf *rejected_text, struct buf *out)
{
	const char *p = rejected_text->data, *end = p + rejected_text->len;

	while (p < end && (p = memmem(p, (size_t)(end - p), "\"line\":", 7))) {
		const char *q = memchr(p, ',', (size_t)(end - p));
		buf_add(out, p, (size_t)(q + 1 - p));
		p = q;
	}
}

/* How much to write at `at`: at random, but never so that all complete lines are bad. */
static size_t piece(const struct twin *t, struct unit_rng *r, size_t at, uint64_t max)
{
	size_t n = 1 + unit_below(r, 1 + unit_rand_log(r) % max), left = t->text.len - at;
	bool any = false, good = false;
	uint32_t i = 0;

	n = MIN(n, left);
	while (i < t->n && t->ends[i] <= at)
		i++;
	for (; i < t->n && t->ends[i] <= at + n; i++) {
		any = true;
		good |= t->good[i];
	}
	for (; any && !good && i < t->n; i++) {
		good = t->good[i];
		n = t->ends[i] - at;
	}
	return n;
}

static void run_twin(struct unit_rng *r, const struct twin *t, uint64_t max, bool faults)
{
	struct rig g;
	struct buf got;

	rig_open(&g, "t");
	g.table->window = (struct table_window){.lo_ns = 1000, .hi_ns = INT64_MAX - 1, .precision_ns = 1};
	buf_init(&got, 1 << 28);
	for (size_t at = 0; at < t->text.len;) {
		size_t n = piece(t, r, at, max);
		if (faults && unit_below(r, 3) == 0) {
			g.db.fail_after = 1;
			g.db.fail_with = unit_below(r, 2) ? ENOSPC : EIO;
		}
		/* A copy: whoever looks behind its end is found out. */
		char *copy = malloc(n);
		memcpy(copy, t->text.data + at, n);
		int64_t rc = ingest_write(g.in, copy, n, &g.e);
		if (rc < 0) {
			unit_assert(r, rc == -g.db.fail_with, "%s", g.e.text);
			if (unit_below(r, 2)) { /* some repeat it in smaller pieces */
				size_t less = piece(t, r, at, n);
				n = MIN(n, less);
			}
			rc = ingest_write(g.in, copy, n, &g.e);
			unit_assert(r, rc == (int64_t)n, "again: %s", g.e.text);
		}
		free(copy);
		unit_assert(r, rc == (int64_t)n, "%s", g.e.text);
		g.db.fail_after = 0;
		at += n;
	}
	lines_of(&g.table->rejected_text, &got);
	struct str a = buf_str(&g.table->rows_text), b = buf_str(&t->rows);
	size_t d = 0;
	while (d < MIN(a.len, b.len) && a.ptr[d] == b.ptr[d])
		d++;
	size_t from = d < 150 ? 0 : d - 150;
	unit_assert(r, str_eq(a, b), "rows differ: got\n%.*s\nnot\n%.*s", (int)MIN(a.len - from, 300),
		    a.ptr + from, (int)MIN(b.len - from, 300), b.ptr + from);
	unit_assert(r, str_eq(buf_str(&got), buf_str(&t->lines)), "rejected: got\n%.*s\nnot\n%.*s", 400,
		    got.data ? got.data : "", 400, t->lines.data);
	buf_release(&got);
	rig_close(&g);
}

START_TEST(equals_the_twin)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 60; round++) {
		struct twin t;
		twin_make(&t, &r, 2 + (uint32_t)unit_below(&r, 600));
		run_twin(&r, &t, 1 << 20, false);
		run_twin(&r, &t, 1 << 20, true);
		run_twin(&r, &t, 1 << (6 + unit_below(&r, 9)), false);
		run_twin(&r, &t, 1 << (6 + unit_below(&r, 9)), true);
		run_twin(&r, &t, 8, false);
		twin_release(&t);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ingest");
	TCase *tc = tcase_create("ingest");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, stores_lines);
	tcase_add_loop_test(tc, refuses_lines, 0, ARRAY_LEN(refused));
	tcase_add_test(tc, scales_times);
	tcase_add_test(tc, all_bad_consumes_nothing);
	tcase_add_test(tc, gives_up_a_carried_head);
	tcase_add_test(tc, repeats_large_writes);
	tcase_add_test(tc, names_tables);
	tcase_add_test(tc, survives_endless_lines);
	tcase_add_test(tc, finishes_open_strings);
	tcase_add_test(tc, keeps_rejected_readable);
	tcase_add_test(tc, equals_the_twin);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
