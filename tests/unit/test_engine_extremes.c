/*
 * The engine with rows of an unusual kind: dates far apart, a thousand columns, strings of a mebibyte. Time and
 * memory that they take stay within bounds.
 */
#include <stdatomic.h>

#include "tests/unit/slots.h"

/* One series with rows of 1970, of today and of 2262: two dates to migrate, not twenty thousand. */
START_TEST(dates_far_apart)
{
	static const int64_t times[] = {0, 1, NS_PER_DAY - 1, START - NS_PER_DAY, INT64_MAX - 1, INT64_MAX};
	struct world w = {.r = unit_rng()};
	struct err e = {0};
	struct table_stats st;
	struct batch b;
	struct scan *scan;
	struct scan_batch sb;
	uint32_t n = 0;

	w.dirfd = unit_dir(w.dir);
	w.io = io_fault_create();
	clock_pin(START);
	must_go_up(&w);
	batch_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char text[24];
		put_row(&w, &b, 0, 0, 0, (int64_t)i, text);
		b.time_ns[b.n - 1] = times[i];
	}
	ck_assert_int_ge(db_append(w.db, &(struct table_batch){.table = w.t, .batch = &b}, 1, &e), 0);
	batch_release(&b);
	for (int round = 0; round < 3; round++) {
		int64_t t0 = clock_mono_ns();
		ck_assert_int_ge(table_maintain(w.t, &e), 0);
		ck_assert_int_lt(clock_mono_ns() - t0, 10 * NS_PER_S);
		table_stats(w.t, &st);
		ck_assert_uint_eq(st.pending_rows, 0);
		ck_assert_uint_eq(st.tiles.files, 2);
		ck_assert_uint_eq(st.runs.files, 1);
		ck_assert_uint_eq(st.runs.rows, 2);
		struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = w.cols, .col_count = 1,
					 .times_wanted = true};
		ck_assert_int_ge(scan_open(w.t, &spec, NULL, &scan, &e), 0);
		for (n = 0; scan_next(scan, &sb, &e) > 0; n += sb.n)
			for (uint32_t i = 0; i < sb.n; i++)
				ck_assert_int_eq(sb.time_ns[i], times[sb.cols[0].i64[i]]);
		scan_close(scan);
		ck_assert_uint_eq(n, ARRAY_LEN(times));
		go_down(&w);
		must_go_up(&w);
	}
	go_down(&w);
	clock_pin(0);
	io_fault_destroy(w.io);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

/* In little memory. */
START_TEST(wide_table)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1, .memory_bytes = 64 << 20};
	struct engine *en;
	struct db *db;
	struct table *t;
	struct err e = {0};
	struct batch b;
	uint32_t cols[1500];
	char dir[64], name[16];
	int dirfd = unit_dir(dir);
	struct table_stats st;

	ck_assert_int_ge(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_ge(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	struct series_set *set = table_series(t);
	for (uint32_t c = 0; c < ARRAY_LEN(cols); c++) {
		snprintf(name, sizeof name, "c%u", c);
		cols[c] = (uint32_t)series_add_column(set, str_from(name), COLKIND_MEASURE, COL_DOUBLE, &e);
	}
	int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, NULL, 0, &e);
	ck_assert_int_ge(id, 0);
	batch_init(&b);
	for (int k = 0; k < 40; k++) {
		batch_clear(&b);
		for (int i = 0; i < 50; i++) {
			ck_assert_int_ge(batch_reserve(&b), 0);
			b.series[b.n] = (uint32_t)id;
			b.time_ns[b.n] = clock_now_ns() + k * 50 + i;
			for (uint32_t c = 0; c < ARRAY_LEN(cols); c++) {
				int slot = batch_col(&b, cols[c], COL_DOUBLE);
				b.cols[slot].col.f64[b.n] = c;
				b.cols[slot].col.valid[b.n] = 1;
				b.cols[slot].has_values = true;
			}
			b.n++;
		}
		ck_assert_int_ge(db_append(db, &(struct table_batch){.table = t, .batch = &b}, 1, &e), 0);
		ck_assert_uint_lt(atomic_load(&en->memtable_bytes), 2 * en->memtable_limit);
	}
	batch_release(&b);
	table_stats(t, &st);
	ck_assert_uint_eq(st.memtable.rows + st.runs.rows, 2000);
	ck_assert_uint_le(st.runs.files, 4); /* not one for each append */
	table_put(t);
	db_put(db);
	engine_close(en);
	unit_dir_remove(dirfd, dir);
}
END_TEST

/* Strings of a MiB: memory is bounded by bytes, not by rows. */
#define LONG_ROWS 320

START_TEST(long_strings)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1, .memory_bytes = 32 << 20};
	struct world w = {.r = unit_rng()};
	struct err e = {0};
	struct budget budget;
	struct scan_batch sb;
	struct scan *scan;
	char *text = malloc(1 << 20);
	uint32_t n = 0;

	w.dirfd = unit_dir(w.dir);
	clock_pin(START);
	ck_assert_int_ge(engine_open(w.dir, &opt, &w.en, &e), 0);
	ck_assert_int_ge(engine_db_create(w.en, STR_LIT("d"), &w.db, &e), 0);
	ck_assert_int_ge(db_table_create(w.db, STR_LIT("t"), &w.t, &e), 0);
	define(&w, &e);
	for (uint32_t i = 0; i < LONG_ROWS; i++) {
		struct batch b;
		batch_init(&b);
		char unused[24];
		put_row(&w, &b, i % 2, i, 1, 0, unused);
		memset(text, 'a' + (int)(i % 26), 1 << 20);
		/* The last is empty: that is a value, too. */
		b.cols[0].col.str[0] = (struct str){text, i + 1 < LONG_ROWS ? 1 << 20 : 0};
		int rc = db_append(w.db, &(struct table_batch){.table = w.t, .batch = &b}, 1, &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
		batch_release(&b);
		ck_assert_uint_lt(atomic_load(&w.en->memtable_bytes), 64 << 20);
	}
	int rc = table_maintain(w.t, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	budget_init(&budget, (size_t)400 << 20);
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = &w.cols[1], .col_count = 1,
				 .times_wanted = true};
	ck_assert_int_ge(scan_open(w.t, &spec, &budget, &scan, &e), 0);
	while ((rc = scan_next(scan, &sb, &e)) > 0)
		for (uint32_t i = 0; i < sb.n; i++, n++) {
			uint32_t slot = (uint32_t)((sb.time_ns[i] - BASE) / STEP);
			struct str s = sb.cols[0].str[i];
			ck_assert(!sb.cols[0].valid || sb.cols[0].valid[i]);
			ck_assert_uint_eq(s.len, slot + 1 < LONG_ROWS ? 1 << 20 : 0);
			ck_assert(!s.len || (s.ptr[0] == 'a' + (char)(slot % 26) && s.ptr[s.len - 1] == s.ptr[0]));
		}
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	scan_close(scan);
	ck_assert_uint_eq(n, LONG_ROWS);
	free(text);
	go_down(&w);
	clock_pin(0);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {dates_far_apart, wide_table, long_strings};
	return unit_main("engine_extremes", 600, tests, ARRAY_LEN(tests));
}
