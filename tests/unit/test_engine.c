/*
 * The engine's front door: many threads at once, directories of somebody else, names, settings. What
 * it answers is compared with a twin by tests/model.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define FIELDS 5
#define SERIES 40

static const struct {
	const char *name;
	enum coltype type;
} fields[FIELDS] = {
	{"i", COL_BIGINT}, {"f", COL_DOUBLE}, {"b", COL_BOOLEAN}, {"s", COL_VARCHAR}, {"t", COL_TIMESTAMP},
};

/* ---- the engine under test ------------------------------------------------------------------------------------ */

struct world {
	char dir[64];
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t ids[SERIES]; /* engine's series ids */
	uint32_t cols[FIELDS];
};

static void world_open(struct world *w, const struct engine_options *opt)
{
	struct err e = {0};

	int rc = engine_open(w->dir, opt, &w->en, &e);
	ck_assert_msg(rc >= 0, "engine_open: %s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db) {
		rc = engine_db_create(w->en, STR_LIT("d"), &w->db, &e);
		ck_assert_msg(rc >= 0, "db_create: %s", err_text(&e, rc));
	}
	struct db_status st;
	db_status(w->db, &st);
	ck_assert_msg(!st.failed, "database failed: %s", st.reason);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t) {
		rc = db_table_create(w->db, STR_LIT("t"), &w->t, &e);
		ck_assert_msg(rc >= 0, "table_create: %s", err_text(&e, rc));
	}
	struct series_set *set = table_series(w->t);
	for (int f = 0; f < FIELDS; f++) {
		int64_t id = series_add_column(set, str_from(fields[f].name), COLKIND_MEASURE, fields[f].type, &e);
		ck_assert_msg(id >= 0, "add_column: %s", err_text(&e, (int)id));
		w->cols[f] = (uint32_t)id;
	}
	for (uint32_t s = 0; s < SERIES; s++) {
		struct dim_value dims[2];
		char a[16], b[16];
		uint32_t n = 0;
		snprintf(a, sizeof a, "host%u", s % 7);
		snprintf(b, sizeof b, "r%u", s / 7);
		int64_t ca = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
		int64_t cb = series_add_column(set, STR_LIT("az"), COLKIND_DIMENSION, COL_VARCHAR, &e);
		ck_assert(ca >= 0 && cb >= 0);
		dims[n++] = (struct dim_value){(uint32_t)ca, str_from(a)};
		if (s / 7)
			dims[n++] = (struct dim_value){(uint32_t)cb, str_from(b)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, dims, n, &e);
		ck_assert_msg(id >= 0, "series_intern: %s", err_text(&e, (int)id));
		w->ids[s] = (uint32_t)id;
	}
}

static void world_close(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

/* ---- many threads ------------------------------------------------------------------------------------------------ */

/*
 * Writers append rows of their own series, readers count, and the background thread seals and
 * migrates meanwhile. A reader must never see fewer rows than were acknowledged before it began, nor
 * more than were begun; each row is there once.
 */
#define WRITERS 3
#define BATCHES 150
#define BATCH_N 40

struct crowd {
	struct world *w;
	_Atomic uint64_t begun, done;
	_Atomic bool stop;
};

struct crowd_writer {
	struct crowd *c;
	uint32_t me;
};

static void *crowd_write(void *arg)
{
	struct crowd_writer *cw = arg;
	struct crowd *c = cw->c;
	struct batch b;
	struct err e = {0};
	int64_t now = clock_now_ns();

	batch_init(&b);
	for (int k = 0; k < BATCHES; k++) {
		batch_clear(&b);
		for (int i = 0; i < BATCH_N; i++) {
			ck_assert_int_ge(batch_reserve(&b), 0);
			int slot = batch_col(&b, c->w->cols[0], COL_BIGINT);
			b.series[b.n] = c->w->ids[cw->me];
			/* Half of them long past: due for tiles at once. */
			b.time_ns[b.n] = (k % 2 ? now : now - 10 * NS_PER_DAY) + (k * BATCH_N + i) * NS_PER_MS;
			b.cols[slot].col.i64[b.n] = 1;
			b.cols[slot].col.valid[b.n] = 1;
			b.cols[slot].has_values = true;
			b.n++;
		}
		atomic_fetch_add(&c->begun, BATCH_N);
		int rc = db_append(c->w->db, &(struct table_batch){.table = c->w->t, .batch = &b}, 1, &e);
		ck_assert_msg(rc >= 0, "append: %s", err_text(&e, rc));
		atomic_fetch_add(&c->done, BATCH_N);
		if (k % 40 == 20)
			ck_assert_int_ge(table_seal(c->w->t, &e), 0);
		if (k % 60 == 30)
			ck_assert_int_ge(table_maintain(c->w->t, &e), 0);
	}
	batch_release(&b);
	return NULL;
}

static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	struct err e = {0};

	while (!atomic_load(&c->stop)) {
		struct budget budget;
		struct scan *scan;
		struct scan_batch sb;
		uint64_t sum = 0, low = atomic_load(&c->done);
		int rc;
		budget_init(&budget, (size_t)1 << 30);
		struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = c->w->cols, .col_count = 1};
		rc = scan_open(c->w->t, &spec, &budget, &scan, &e);
		ck_assert_msg(rc >= 0, "scan_open: %s", err_text(&e, rc));
		while ((rc = scan_next(scan, &sb, &e)) > 0)
			for (uint32_t i = 0; i < sb.n; i++)
				sum += (uint64_t)sb.cols[0].i64[i];
		ck_assert_msg(rc == 0, "scan_next: %s", err_text(&e, rc));
		scan_close(scan);
		uint64_t high = atomic_load(&c->begun);
		ck_assert_msg(sum >= low && sum <= high, "saw %llu rows, between %llu and %llu are right",
			      (unsigned long long)sum, (unsigned long long)low, (unsigned long long)high);
	}
	return NULL;
}

START_TEST(crowd)
{
	struct world w = {0};
	struct crowd c = {.w = &w};
	struct crowd_writer cw[WRITERS];
	pthread_t writers[WRITERS], readers[2];

	int dirfd = unit_dir(w.dir);
	world_open(&w, &(struct engine_options){.sync_interval_ns = 5 * NS_PER_MS});
	for (uint32_t i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, crowd_read, &c);
	for (uint32_t i = 0; i < WRITERS; i++) {
		cw[i] = (struct crowd_writer){&c, i};
		pthread_create(&writers[i], NULL, crowd_write, &cw[i]);
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&c.stop, true);
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	world_close(&w);
	unit_dir_remove(dirfd, w.dir);
}
END_TEST

/* ---- the data directory ------------------------------------------------------------------------------------------ */

START_TEST(refuses_what_is_not_its_own)
{
	char dir[64], path[300];
	struct err e = {0};
	struct engine *en, *other;

	int dirfd = unit_dir(dir);
	snprintf(path, sizeof path, "%s/somebody", dir);
	FILE *f = fopen(path, "w");
	fputs("else", f);
	fclose(f);
	struct engine_options opt = {.no_background = true};
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), -ENOTEMPTY);
	ck_assert_ptr_nonnull(strstr(e.text, "not a tidefs data directory"));
	remove(path);

	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_open(dir, &opt, &other, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "in use"));
	engine_close(en);

	snprintf(path, sizeof path, "%s/tidefs.format", dir);
	f = fopen(path, "w");
	fputs("tidefs data directory, format 99\n", f);
	fclose(f);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), -EMEDIUMTYPE);
	ck_assert_ptr_nonnull(strstr(e.text, "format 99"));
	unit_dir_remove(dirfd, dir);
}
END_TEST

START_TEST(names)
{
	char dir[64];
	struct err e = {0};
	struct engine *en;
	struct db *db;
	struct table *t;
	static const char *const reserved[] = {"ingest", "status", NULL};
	struct engine_options opt = {.no_background = true, .reserved_names = reserved};

	int dirfd = unit_dir(dir);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("a b"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT(".x"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("status"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), NULL, &e), -EEXIST);
	ck_assert_int_eq(db_table_create(db, STR_LIT("ingest"), &t, &e), -EINVAL);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	ck_assert_int_eq(engine_db_drop(en, STR_LIT("d"), &e), -ENOTEMPTY);
	ck_assert_int_eq(db_table_drop(db, STR_LIT("t"), true, &e), 0);
	ck_assert_int_eq(table_set(t, SET_PRECISION, STR_LIT("ms"), &e), -ESTALE);
	ck_assert_int_eq(engine_db_drop(en, STR_LIT("d"), &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), NULL, &e), -ESTALE);
	table_put(t);
	db_put(db);
	ck_assert_ptr_null(engine_db(en, STR_LIT("d")));
	engine_close(en);
	unit_dir_remove(dirfd, dir);
}
END_TEST

static const struct {
	enum setting s;
	const char *value;
	int rc;
	const char *shown;
} setting_cases[] = {
	{SET_RETENTION_MEMORY, "90s\n", 0, "90s"},
	{SET_RETENTION_MEMORY, " 12h ", 0, "12h"},
	{SET_RETENTION_MEMORY, "10y", 0, "10y"},
	{SET_RETENTION_MEMORY, "", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "0s", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "-5m", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "soon", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "73001d", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "7month", -EINVAL, "6h"},
	{SET_DURABILITY, "sync", 0, "sync"},
	{SET_DURABILITY, "Sync", -EINVAL, "buffered"},
	{SET_PRECISION, "ms", 0, "ms"},
	{SET_PRECISION, "minutes", -EINVAL, "ns"},
	{SET_LATE_DATA, "reject", 0, "reject"},
	{SET_ENCODING, " compact\n", 0, "compact"},
	{SET_ENCODING, "alp", -EINVAL, "open"},
};

START_TEST(settings)
{
	char dir[64], text[SETTING_TEXT_MAX];
	struct err e = {0};
	struct engine *en;
	struct db *db;
	struct table *t;
	struct engine_options opt = {.no_background = true};

	int dirfd = unit_dir(dir);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	int rc = table_set(t, setting_cases[_i].s, str_from(setting_cases[_i].value), &e);
	ck_assert_int_eq(rc, setting_cases[_i].rc);
	if (rc < 0)
		ck_assert_ptr_nonnull(strstr(e.text, setting_defs[setting_cases[_i].s].name));
	table_put(t);
	db_put(db);
	engine_close(en);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	db = engine_db(en, STR_LIT("d"));
	t = db_table(db, STR_LIT("t"));
	table_setting(t, setting_cases[_i].s, text);
	ck_assert_str_eq(text, setting_cases[_i].shown);
	table_put(t);
	db_put(db);
	engine_close(en);
	unit_dir_remove(dirfd, dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("engine");
	TCase *tc = tcase_create("engine");

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, crowd);
	tcase_add_test(tc, refuses_what_is_not_its_own);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, settings, 0, (int)ARRAY_LEN(setting_cases));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
