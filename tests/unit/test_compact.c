/*
 * Files written anew: deletions reclaimed, runs merged, versions kept, over restarts.
 */
#include "engine/engine.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define START (INT64_C(1700000000) * NS_PER_S)
#define HOSTS 10

struct world {
	char dir[64];
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t col, ids[HOSTS];
};

static void open_world(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};
	int rc = engine_open(w->dir, &opt, &w->en, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_ge(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t)
		ck_assert_int_ge(db_table_create(w->db, STR_LIT("t"), &w->t, &e), 0);
	struct series_set *set = table_series(w->t);
	w->col = (uint32_t)series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	for (uint32_t i = 0; i < HOSTS; i++) {
		char name[16];
		snprintf(name, sizeof name, "h%u", i);
		int64_t c = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
		struct dim_value dim = {(uint32_t)c, str_from(name)};
		w->ids[i] = (uint32_t)series_intern(set, STR_LIT("m"), MEASURE_MULTI, &dim, 1, &e);
	}
}

static void begin_world(struct world *w)
{
	close(unit_dir(w->dir));
	clock_pin(START);
	open_world(w);
}

static void close_world(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

static void reopen(struct world *w)
{
	close_world(w);
	open_world(w);
}

/* n rows of every host, a second apart, with value v. */
static void add_rows(struct world *w, int64_t from, uint32_t n, int64_t v, int64_t version)
{
	struct batch b;
	struct err e = {0};

	batch_init(&b);
	b.has_version = version != 0;
	for (uint32_t h = 0; h < HOSTS; h++)
		for (uint32_t i = 0; i < n; i++) {
			ck_assert_int_ge(batch_reserve(&b), 0);
			int slot = batch_col(&b, w->col, COL_BIGINT);
			b.series[b.n] = w->ids[h];
			b.time_ns[b.n] = from + i * NS_PER_S;
			if (version)
				b.version[b.n] = version;
			b.cols[slot].col.i64[b.n] = v;
			b.cols[slot].col.valid[b.n] = 1;
			b.cols[slot].has_values = true;
			b.n++;
		}
	struct table_batch tb = {.table = w->t, .batch = &b};
	int rc = db_append(w->db, &tb, 1, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	free(tb.conflicts);
	batch_release(&b);
}

static uint64_t count(struct world *w, int64_t *ret_sum)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = &w->col, .col_count = 1};
	struct scan_batch b;
	struct scan *scan;
	struct err e = {0};
	uint64_t n = 0;
	int rc = scan_open(w->t, &spec, NULL, &scan, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	*ret_sum = 0;
	while ((rc = scan_next(scan, &b, &e)) > 0) {
		for (uint32_t i = 0; i < b.n; i++)
			*ret_sum += b.cols[0].i64[i];
		n += b.n;
	}
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	scan_close(scan);
	return n;
}

static void expect_at(struct world *w, uint64_t rows, int64_t sum, int line)
{
	int64_t got_sum;
	uint64_t got = count(w, &got_sum);

	ck_assert_msg(got == rows && got_sum == sum, "line %d: %llu rows, sum %lld, and not %llu, %lld", line,
		      (unsigned long long)got, (long long)got_sum, (unsigned long long)rows, (long long)sum);
}
#define expect(w, rows, sum) expect_at(w, rows, sum, __LINE__)

static void erase(struct world *w, uint32_t host_lo, uint32_t host_hi, int64_t lo, int64_t hi)
{
	struct deletion *d;
	struct err e = {0};
	int rc = table_delete_begin(w->t, &d, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	for (uint32_t h = host_lo; h <= host_hi; h++)
		ck_assert_int_ge(deletion_add(d, w->ids[h], w->ids[h], lo, hi, &e), 0);
	rc = deletion_commit(d, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

static void seal(struct world *w)
{
	struct err e = {0};
	int rc = table_seal(w->t, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

static void maintain(struct world *w)
{
	struct err e = {0};
	int rc = table_maintain(w->t, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

static struct table_stats stats(struct world *w)
{
	struct table_stats st;
	table_stats(w->t, &st);
	return st;
}

START_TEST(a_deletion_holds_in_every_tier)
{
	struct world w;

	begin_world(&w);
	add_rows(&w, START - 90000 * NS_PER_S, 10, 1, 0); /* a day old: a tile */
	maintain(&w);
	ck_assert_uint_eq(stats(&w).tiles.rows, 100);
	add_rows(&w, START - 100 * NS_PER_S, 10, 1, 0); /* a run */
	seal(&w);
	add_rows(&w, START - 50 * NS_PER_S, 10, 1, 0); /* memory */
	expect(&w, 300, 300);
	erase(&w, 0, 4, INT64_MIN, INT64_MAX);
	expect(&w, 150, 150);
	reopen(&w);
	expect(&w, 150, 150);
	add_rows(&w, START - 100 * NS_PER_S, 10, 2, 0); /* later rows are not concerned */
	expect(&w, 200, 50 * 2 + 50 + 50 + 50 * 2);
	reopen(&w);
	expect(&w, 200, 50 * 2 + 50 + 50 + 50 * 2);
	maintain(&w);
	expect(&w, 200, 50 * 2 + 50 + 50 + 50 * 2);
	ck_assert_uint_eq(stats(&w).pending_deletes, 0);
	ck_assert_uint_eq(stats(&w).tiles.rows, 50);
	reopen(&w);
	expect(&w, 200, 50 * 2 + 50 + 50 + 50 * 2);
	erase(&w, 0, HOSTS - 1, INT64_MIN, INT64_MAX);
	expect(&w, 0, 0);
	ck_assert(!table_has_rows(w.t));
	maintain(&w);
	ck_assert_uint_eq(stats(&w).tiles.files + stats(&w).runs.files, 0);
	ck_assert_uint_eq(stats(&w).pending_deletes, 0);
	close_world(&w);
}
END_TEST

START_TEST(an_aborted_deletion_deletes_nothing)
{
	struct world w;
	struct deletion *d;
	struct err e = {0};

	begin_world(&w);
	add_rows(&w, START - 100 * NS_PER_S, 10, 1, 0);
	ck_assert_int_ge(table_delete_begin(w.t, &d, &e), 0);
	ck_assert_int_ge(deletion_add(d, 0, UINT32_MAX, INT64_MIN, INT64_MAX, &e), 0);
	deletion_abort(d);
	expect(&w, 100, 100);
	ck_assert_int_ge(table_delete_begin(w.t, &d, &e), 0);
	ck_assert_int_ge(deletion_commit(d, &e), 0); /* of nothing */
	expect(&w, 100, 100);
	reopen(&w);
	expect(&w, 100, 100);
	close_world(&w);
}
END_TEST

START_TEST(rows_behind_the_mark_are_not_seen_and_not_erased)
{
	struct world w;
	struct deletion *d;
	struct err e = {0};
	struct scan *scan;
	struct scan_batch b;
	uint64_t n = 0;

	begin_world(&w);
	add_rows(&w, START - 100 * NS_PER_S, 10, 1, 0);
	ck_assert_int_ge(table_delete_begin(w.t, &d, &e), 0);
	add_rows(&w, START - 95 * NS_PER_S, 10, 1, 0); /* five of each host again */
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .upto_seq = deletion_seq(d)};
	ck_assert_int_ge(scan_open(w.t, &spec, NULL, &scan, &e), 0);
	while (scan_next(scan, &b, &e) > 0)
		n += b.n;
	scan_close(scan);
	ck_assert_uint_eq(n, 100);
	ck_assert_int_ge(deletion_add(d, 0, UINT32_MAX, INT64_MIN, INT64_MAX, &e), 0);
	ck_assert_int_ge(deletion_commit(d, &e), 0);
	expect(&w, 100, 100);
	reopen(&w);
	expect(&w, 100, 100);
	maintain(&w);
	expect(&w, 100, 100);
	close_world(&w);
}
END_TEST

START_TEST(runs_stay_few)
{
	struct world w;
	uint32_t most = 0;

	begin_world(&w);
	for (int i = 0; i < 200; i++) {
		add_rows(&w, START - (10000 - i * 10) * NS_PER_S, 12, i, 0); /* two rows overlap */
		if (i % 37 == 5)
			erase(&w, 3, 3, START - (10000 - i * 10) * NS_PER_S, START - (10000 - i * 10) * NS_PER_S);
		seal(&w);
		if (i % 3 == 0)
			maintain(&w);
		most = MAX(most, stats(&w).runs.files);
	}
	int64_t sum, again;
	uint64_t rows = count(&w, &sum);
	ck_assert_uint_eq(rows, HOSTS * (200 * 10 + 2) - 6);
	ck_assert_uint_le(most, 24);
	reopen(&w);
	ck_assert_uint_eq(count(&w, &again), rows);
	ck_assert_int_eq(sum, again);
	clock_pin(START + 86400 * NS_PER_S);
	maintain(&w);
	ck_assert_uint_eq(stats(&w).runs.files, 0);
	ck_assert_uint_eq(count(&w, &again), rows);
	ck_assert_int_eq(sum, again);
	close_world(&w);
}
END_TEST

/* Version 5 in a tile; later ones and plain rows against it, in each tier, over merges and restarts. */
START_TEST(versions_outlive_merges)
{
	struct world w;
	int64_t day_ago = START - 90000 * NS_PER_S;

	begin_world(&w);
	add_rows(&w, day_ago, 10, 1, 5);
	maintain(&w);
	reopen(&w);
	add_rows(&w, day_ago, 10, 2, 4); /* lower: refused */
	expect(&w, 100, 100);
	add_rows(&w, day_ago, 10, 2, 5); /* same version, other value: refused */
	expect(&w, 100, 100);
	add_rows(&w, day_ago, 10, 3, 0); /* plain: patches, version stays */
	expect(&w, 100, 300);
	add_rows(&w, day_ago, 10, 4, 5);
	expect(&w, 100, 300);
	maintain(&w);
	reopen(&w);
	add_rows(&w, day_ago, 10, 4, 5);
	expect(&w, 100, 300);
	add_rows(&w, day_ago, 10, 4, 6);
	expect(&w, 100, 400);
	seal(&w);
	reopen(&w);
	add_rows(&w, day_ago, 10, 7, 6);
	expect(&w, 100, 400);
	maintain(&w);
	erase(&w, 0, HOSTS - 1, INT64_MIN, INT64_MAX);
	add_rows(&w, day_ago, 10, 1, 1); /* nothing is stored: any version will do */
	expect(&w, 100, 100);
	maintain(&w);
	reopen(&w);
	expect(&w, 100, 100);
	close_world(&w);
}
END_TEST

static void round_of_maintenance(struct world *w)
{
	struct err e = {0};
	int rc = engine_maintain(w->en, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

START_TEST(many_deletions_become_few)
{
	struct world w;

	begin_world(&w);
	add_rows(&w, START - 1000 * NS_PER_S, 200, 1, 0);
	seal(&w);
	for (int64_t i = 0; i < 100; i++)
		erase(&w, 3, 3, START - (1000 - 2 * i) * NS_PER_S, START - (1000 - 2 * i) * NS_PER_S);
	expect(&w, 1900, 1900);
	ck_assert_uint_eq(stats(&w).pending_deletes, 100);
	round_of_maintenance(&w);
	ck_assert_uint_le(stats(&w).pending_deletes, 16);
	expect(&w, 1900, 1900);
	reopen(&w);
	ck_assert_uint_le(stats(&w).pending_deletes, 16);
	expect(&w, 1900, 1900);
	maintain(&w);
	ck_assert_uint_eq(stats(&w).pending_deletes, 0);
	expect(&w, 1900, 1900);
	close_world(&w);
}
END_TEST

/* What is written between deletions stays, whatever became of them and it meanwhile. */
START_TEST(folded_deletions_erase_what_each_did)
{
	enum { SLOTS = 64 };
	static int64_t model[HOSTS][SLOTS];
	struct unit_rng r = unit_rng();
	struct world w;
	uint32_t most = 0;

	begin_world(&w);
	for (uint32_t step = 1; step <= 600; step++) {
		uint32_t what = unit_rand(&r) % 100, h = unit_rand(&r) % HOSTS;
		int64_t a = (int64_t)(unit_rand(&r) % SLOTS), n = 1 + (int64_t)(unit_rand(&r) % 4);
		if (what < 12) {
			add_rows(&w, START - (1000 - a) * NS_PER_S, 1, step, 0);
			for (uint32_t k = 0; k < HOSTS; k++)
				model[k][a] = step;
		} else if (what < 93) {
			erase(&w, h, h, START - (1000 - a) * NS_PER_S, START - (1000 - a - n + 1) * NS_PER_S);
			for (int64_t i = a; i < MIN(a + n, SLOTS); i++)
				model[h][i] = 0;
		} else if (what < 96) {
			seal(&w);
		} else if (what < 99) {
			round_of_maintenance(&w);
		} else {
			reopen(&w);
		}
		uint64_t rows = 0, got;
		int64_t sum = 0, got_sum;
		for (uint32_t k = 0; k < HOSTS; k++)
			for (int i = 0; i < SLOTS; i++) {
				rows += model[k][i] != 0;
				sum += model[k][i];
			}
		got = count(&w, &got_sum);
		unit_assert(&r, got == rows && got_sum == sum, "step %u: %llu rows, sum %lld; not %llu, %lld", step,
			    (unsigned long long)got, (long long)got_sum, (unsigned long long)rows, (long long)sum);
		most = MAX(most, stats(&w).pending_deletes);
	}
	ck_assert_uint_gt(most, 16);
	close_world(&w);
}
END_TEST

/* A deletion after each row: blocks that never fill must not each take the room of a full one. */
START_TEST(deletions_between_rows_cost_little_memory)
{
	struct world w;

	begin_world(&w);
	for (int64_t i = 0; i < 8; i++) /* blocks grow */
		add_rows(&w, START - 50000 * NS_PER_S + i * 1600 * NS_PER_S, 1600, 1, 0);
	seal(&w);
	for (int64_t i = 0; i < 8; i++)
		add_rows(&w, START - 50000 * NS_PER_S + i * 1600 * NS_PER_S, 1600, 1, 0);
	uint64_t before = stats(&w).memtable_bytes;
	for (int64_t i = 0; i < 64; i++) {
		add_rows(&w, START - i * NS_PER_S, 1, 1, 0);
		erase(&w, 0, 0, START - i * NS_PER_S, START - i * NS_PER_S);
	}
	uint64_t each = (stats(&w).memtable_bytes - before) / 64;
	ck_assert_msg(each < 256 * 1024, "%llu bytes for each deletion", (unsigned long long)each);
	close_world(&w);
}
END_TEST

/* The log's end is damaged or gone: what is written then is newer than the deletions all the same. */
static void lose_log(bool reclaim)
{
	struct world w;
	char path[128], cmd[256];

	begin_world(&w);
	add_rows(&w, START - 100 * NS_PER_S, 10, 1, 0);
	seal(&w);
	for (int i = 0; i < 20; i++)
		erase(&w, 0, HOSTS - 1, INT64_MIN, INT64_MAX);
	close_world(&w);
	snprintf(path, sizeof path, "%s/db/d/wal", w.dir);
	snprintf(cmd, sizeof cmd, "rm -f %s/*", path);
	ck_assert_int_eq(system(cmd), 0);
	open_world(&w);
	expect(&w, 0, 0);
	if (reclaim) {
		clock_pin_mono(100 * NS_PER_S);
		round_of_maintenance(&w);
		clock_pin_mono(1000 * NS_PER_S);
		round_of_maintenance(&w);
		/* Nothing speaks of those numbers any more. */
		ck_assert_uint_eq(stats(&w).pending_deletes, 0);
		reopen(&w);
	}
	add_rows(&w, START - 100 * NS_PER_S, 10, 2, 0);
	expect(&w, 100, 200);
	reopen(&w);
	expect(&w, 100, 200);
	maintain(&w);
	expect(&w, 100, 200);
	close_world(&w);
}

START_TEST(rows_after_a_lost_log_are_not_erased)
{
	lose_log(false);
}
END_TEST

START_TEST(a_lost_log_and_reclaimed_deletions_open_again)
{
	lose_log(true);
}
END_TEST

START_TEST(a_damaged_run_does_not_keep_later_ones_apart)
{
	struct world w;
	char cmd[256];
	struct err e = {0};

	begin_world(&w);
	add_rows(&w, START - 5000 * NS_PER_S, 10, 1, 0);
	seal(&w);
	snprintf(cmd, sizeof cmd, "for f in %s/db/d/tables/*/runs/*; do head -c 800 /dev/zero | "
		 "dd of=$f bs=1 seek=8 conv=notrunc status=none; done", w.dir);
	ck_assert_int_eq(system(cmd), 0);
	for (int64_t i = 0; i < 40; i++) {
		add_rows(&w, START - (4000 - i * 10) * NS_PER_S, 10, 1, 0);
		seal(&w);
		int rc = table_maintain(w.t, &e);
		ck_assert(rc == -EBADMSG || rc >= 0);
	}
	ck_assert_uint_le(stats(&w).runs.files, 10);
	close_world(&w);
}
END_TEST

/* A row that is stored already is acknowledged like any other: durably, where that is asked for. */
START_TEST(a_row_said_again_is_synced_too)
{
	struct world w;
	struct db_status st;
	struct err e = {0};

	begin_world(&w);
	add_rows(&w, START - 100 * NS_PER_S, 1, 1, 5);
	ck_assert_int_ge(table_set(w.t, SET_DURABILITY, STR_LIT("sync"), &e), 0);
	db_status(w.db, &st);
	ck_assert_uint_lt(st.durable_lsn, st.last_lsn);
	add_rows(&w, START - 100 * NS_PER_S, 1, 1, 5);
	db_status(w.db, &st);
	ck_assert_uint_eq(st.durable_lsn, st.last_lsn);
	expect(&w, 10, 10);
	close_world(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		a_deletion_holds_in_every_tier,
		an_aborted_deletion_deletes_nothing,
		rows_behind_the_mark_are_not_seen_and_not_erased,
		runs_stay_few,
		versions_outlive_merges,
		many_deletions_become_few,
		folded_deletions_erase_what_each_did,
		deletions_between_rows_cost_little_memory,
		rows_after_a_lost_log_are_not_erased,
		a_lost_log_and_reclaimed_deletions_open_again,
		a_damaged_run_does_not_keep_later_ones_apart,
		a_row_said_again_is_synced_too,
	};
	return unit_main("compact", 120, tests, ARRAY_LEN(tests));
}
