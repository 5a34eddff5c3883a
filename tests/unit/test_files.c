/*
 * Files that go while somebody still holds the set they were in.
 */
#include "engine/internal.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define START (INT64_C(1700000000) * NS_PER_S)

struct world {
	char dir[64];
	int dirfd;
	struct engine *en;
	struct db *db;
	struct table *t;
};

static void go_up(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	ck_assert_int_eq(engine_open(w->dir, &opt, &w->en, &e), 0);
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_eq(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t)
		ck_assert_int_eq(db_table_create(w->db, STR_LIT("t"), &w->t, &e), 0);
}

static void go_down(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

static void append_row(struct world *w, int64_t time)
{
	struct series_set *set = table_series(w->t);
	struct batch b;
	struct err e = {0};
	int64_t col = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, NULL, 0, &e);

	ck_assert(col >= 0 && id >= 0);
	batch_init(&b);
	ck_assert_int_eq(batch_reserve(&b), 0);
	int slot = batch_col(&b, (uint32_t)col, COL_BIGINT);
	b.series[0] = (uint32_t)id;
	b.time_ns[0] = time;
	b.cols[slot].col.i64[0] = 42;
	b.cols[slot].col.valid[0] = 1;
	b.cols[slot].has_values = true;
	b.n = 1;
	ck_assert_int_eq(db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, &e), 0);
	batch_release(&b);
}

/* The set alone is held: a file that nobody has opened yet is in no other set, but readable all the same. */
START_TEST(a_set_outlives_its_files)
{
	struct world w = {0};
	struct err e = {0};
	struct tile *tile;

	w.dirfd = unit_dir(w.dir);
	clock_pin(START);
	clock_pin_mono(NS_PER_DAY);
	go_up(&w);
	append_row(&w, START - 10 * NS_PER_DAY);
	ck_assert_int_eq(table_maintain(w.t, &e), 0);
	go_down(&w);
	go_up(&w);
	struct file_set *set = table_pin_files(w.t);
	ck_assert_uint_eq(set->n, 1);
	ck_assert_int_eq(table_set(w.t, SET_RETENTION_MAGNETIC, STR_LIT("1d"), &e), 0);
	ck_assert_int_eq(table_maintain(w.t, &e), 0);
	struct file_set *now = table_pin_files(w.t);
	ck_assert_uint_eq(now->n, 0);
	file_set_put(now);
	int rc = file_tile(set->v[0], w.t, &tile, &e);
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	ck_assert_int_eq(tile_verify(tile, &e), 0);
	file_set_put(set);
	go_down(&w);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {a_set_outlives_its_files};
	return unit_main("files", 60, tests, ARRAY_LEN(tests));
}
