/* ingest on the engine itself: rows, tables, `rejected`, restarts, and several handles at once. */
#include <pthread.h>

#include "engine/ingest.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

struct world {
	char dir[64];
	int dirfd;
	struct engine *en;
	struct db *db;
};

static void world_open(struct world *w)
{
	struct err e = {0};
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	int rc = engine_open(w->dir, &opt, &w->en, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("iot"));
	if (!w->db) {
		rc = engine_db_create(w->en, STR_LIT("iot"), &w->db, &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	}
}

static void world_close(struct world *w)
{
	db_put(w->db);
	engine_close(w->en);
}

static struct ingest *open_ingest(struct world *w, struct table *t)
{
	struct ingest_source src = {.file = "iot/ingest", .uid = 7};
	struct ingest *in;
	struct err e;

	ck_assert_int_eq(ingest_open(w->db, t, &src, &in, &e), 0);
	return in;
}

/* Rows of a table, and the sum of one BIGINT field. */
static void sum(struct world *w, const char *name, const char *field, uint64_t *ret_n, int64_t *ret_sum)
{
	struct table *t = db_table(w->db, str_from(name));
	struct budget budget;
	struct scan *s;
	struct scan_batch b;
	struct err e = {0};

	ck_assert_ptr_nonnull(t);
	int64_t col = series_find_column(table_series(t), str_from(field));
	ck_assert_int_ge(col, 0);
	uint32_t id = (uint32_t)col;
	struct scan_spec spec = {.t_lo = 0, .t_hi = INT64_MAX, .cols = &id, .col_count = 1,
				 .times_wanted = true};
	budget_init(&budget, (size_t)1 << 30);
	int rc = scan_open(t, &spec, &budget, &s, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	*ret_n = 0;
	*ret_sum = 0;
	while ((rc = scan_next(s, &b, &e)) > 0) {
		*ret_n += b.n;
		for (uint32_t i = 0; i < b.n; i++)
			if (!b.cols[0].valid || b.cols[0].valid[i])
				*ret_sum += b.cols[0].i64[i];
	}
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	scan_close(s);
	table_put(t);
}

START_TEST(survives_restart)
{
	struct world w;
	struct buf text;
	struct err e = {0};
	uint64_t n;
	int64_t total, base = clock_now_ns() - 3600 * NS_PER_S;

	w.dirfd = unit_dir(w.dir);
	buf_init(&text, 1 << 26);
	for (int k = 0; k < 2; k++) {
		world_open(&w);
		struct ingest *in = open_ingest(&w, NULL);
		buf_clear(&text);
		for (int i = 0; i < 20000; i++)
			buf_addf(&text, "%s,host=h%d,k=%d v=%di,s=\"x%d\" %lld\n", i % 2 ? "cpu" : "mem",
				 i % 500, k, i, i, (long long)(base + i));
		buf_adds(&text, "cpu,host=h1 v=t\nnosuch v=1,v=2\ncpu v=1i 5");
		for (size_t at = 0; at < text.len;) {
			size_t len = MIN((size_t)100000, text.len - at);
			int64_t rc = ingest_write(in, text.data + at, len, &e);
			ck_assert_msg(rc == (int64_t)len, "%s", err_text(&e, (int)rc));
			at += len;
		}
		ck_assert_int_eq(ingest_finish(in, &e), 0); /* 5 ns after 1970 is inside 200 years */
		ck_assert(ingest_take_rejected(in));
		ingest_close(in);
		for (int again = 0; again < 2; again++) {
			sum(&w, "cpu", "v", &n, &total);
			ck_assert_uint_eq(n, 10000u * (unsigned)(k + 1) + 1);
			ck_assert_int_eq(total, INT64_C(100000000) * (k + 1) + 1);
			sum(&w, "mem", "v", &n, &total);
			ck_assert_uint_eq(n, 10000u * (unsigned)(k + 1));
			if (!again) {
				world_close(&w);
				world_open(&w);
			}
		}
		struct table *t = db_table(w.db, STR_LIT("nosuch"));
		ck_assert_ptr_null(t);
		t = db_table(w.db, STR_LIT("cpu"));
		char json[4096] = "";
		ck_assert_int_gt(rejected_read(table_rejected(t), json, sizeof json - 1, 0, &e), 0);
		ck_assert_ptr_nonnull(strstr(json, "\"file\":\"iot/ingest\",\"line\":20001,\"uid\":7,"));
		ck_assert_ptr_nonnull(strstr(json, "column 'v' is bigint, and a boolean was offered"));
		/* Some go to files between the rounds. */
		int rc = table_seal(t, &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
		table_put(t);
		world_close(&w);
	}
	buf_release(&text);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

START_TEST(follows_settings)
{
	struct world w;
	struct table *t;
	struct err e = {0};
	char text[200];
	long long now_s;

	w.dirfd = unit_dir(w.dir);
	world_open(&w);
	ck_assert_int_ge(db_table_create(w.db, STR_LIT("t"), &t, &e), 0);
	struct ingest *in = open_ingest(&w, t);
	ck_assert_int_ge(table_set(t, SET_PRECISION, STR_LIT("s"), &e), 0);
	now_s = (long long)(clock_now_ns() / NS_PER_S);
	snprintf(text, sizeof text, "m v=1i %lld\n", now_s - 60);
	ck_assert_int_gt(ingest_write(in, text, strlen(text), &e), 0);
	snprintf(text, sizeof text, "m v=1i %lld\n", now_s + 3600);
	ck_assert_int_eq(ingest_write(in, text, strlen(text), &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "of the data ingestion window."));
	ck_assert_int_ge(table_set(t, SET_FUTURE_LIMIT, STR_LIT("2h"), &e), 0);
	ck_assert_int_gt(ingest_write(in, text, strlen(text), &e), 0);
	ck_assert_int_ge(table_set(t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	ck_assert_int_ge(table_set(t, SET_LATE_DATA, STR_LIT("reject"), &e), 0);
	snprintf(text, sizeof text, "m v=1i %lld\n", now_s - 7200);
	ck_assert_int_eq(ingest_write(in, text, strlen(text), &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "of the memory store."));
	ck_assert_int_gt(ingest_write(in, "m v=1i\n", 7, &e), 0);
	struct table_stats st;
	table_stats(t, &st);
	ck_assert_uint_eq(st.rows_in, 3);
	ck_assert_uint_eq(st.lines_rejected, 2);
	/* Dropped under an open handle. */
	ck_assert_int_ge(db_table_drop(w.db, STR_LIT("t"), false, &e), 0);
	ck_assert_int_eq(ingest_write(in, "m v=1i\n", 7, &e), -ESTALE);
	ingest_close(in);
	table_put(t);
	world_close(&w);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

#define THREADS 4
#define ROUNDS  150

struct sender {
	struct world *w;
	int id;
	char failed[256];
};

/* All senders name the same new tables, columns and series at the same time. */
static void *send_lines(void *arg)
{
	struct sender *me = arg;
	struct err e = {0};
	char text[2048];
	struct ingest *in = open_ingest(me->w, NULL);
	int64_t base = clock_now_ns() - 3600 * NS_PER_S;

	for (int i = 0; i < ROUNDS && !me->failed[0]; i++) {
		size_t n = 0;
		for (int k = 0; k < 8; k++)
			n += (size_t)sprintf(text + n, "t%d,host=h%d,sender=s%d v=1i,c%d=%d %lld\n", i / 50,
					     (i + k) % 20, me->id, i % 40, k,
					     (long long)(base + i * 100 + k));
		if (ingest_write(in, text, n, &e) != (int64_t)n)
			snprintf(me->failed, sizeof me->failed, "%.200s", e.text);
	}
	ingest_close(in);
	return NULL;
}

START_TEST(many_handles)
{
	struct world w;
	struct sender s[THREADS];
	pthread_t t[THREADS];
	uint64_t n;
	int64_t total;

	w.dirfd = unit_dir(w.dir);
	world_open(&w);
	for (int i = 0; i < THREADS; i++) {
		s[i] = (struct sender){.w = &w, .id = i};
		pthread_create(&t[i], NULL, send_lines, &s[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		ck_assert_msg(!s[i].failed[0], "%s", s[i].failed);
	}
	for (int again = 0; again < 2; again++) {
		for (int k = 0; k < ROUNDS / 50; k++) {
			char name[16];
			snprintf(name, sizeof name, "t%d", k);
			sum(&w, name, "v", &n, &total);
			ck_assert_uint_eq(n, THREADS * 50 * 8);
			ck_assert_int_eq(total, THREADS * 50 * 8);
		}
		if (!again) {
			world_close(&w);
			world_open(&w);
		}
	}
	world_close(&w);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {survives_restart, follows_settings, many_handles};

	return unit_main("ingest_engine", 120, tests, ARRAY_LEN(tests));
}
