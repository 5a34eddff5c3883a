/*
 * stats and status: that the figures are those of the rows that were put in, in each tier; what fails is
 * told and forgotten when it is over; and what opening took.
 */
#include <stdatomic.h>
#include <sys/stat.h>

#include "engine/internal.h"
#include "tests/unit/unit.h"

#define NOW  INT64_C(1753012800000000000) /* 2025-07-20 12:00 */
#define HOUR (3600 * NS_PER_S)
#define MIN_ (60 * NS_PER_S)

struct world {
	char dir[64];
	int dirfd;
	struct io *io;
	struct engine_options opt;
	struct engine *en;
	struct db *db;
	struct table *t;
};

static struct table *table_of(struct db *db, const char *name)
{
	struct err e = {0};
	struct table *t = db_table(db, str_from(name));

	if (!t)
		ck_assert_int_ge(db_table_create(db, str_from(name), &t, &e), 0);
	return t;
}

static struct db *db_of(struct engine *en, const char *name)
{
	struct err e = {0};
	struct db *db = engine_db(en, str_from(name));

	if (!db)
		ck_assert_int_ge(engine_db_create(en, str_from(name), &db, &e), 0);
	return db;
}

static void up(struct world *w)
{
	struct err e = {0};

	w->opt.io = w->io;
	w->opt.no_background = true;
	w->opt.sync_interval_ns = -1;
	int rc = engine_open(w->dir, &w->opt, &w->en, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = db_of(w->en, "d");
	w->t = table_of(w->db, "t");
}

static void down(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

static void begin(struct world *w)
{
	*w = (struct world){0};
	w->dirfd = unit_dir(w->dir);
	w->io = io_fault_create();
	clock_pin(NOW);
	up(w);
}

static void end(struct world *w)
{
	down(w);
	clock_pin(0);
	io_fault_destroy(w->io);
	unit_dir_remove(w->dirfd, w->dir);
}

/* n rows of one series, a minute apart, the first at `from`. */
static void put(struct table *t, int64_t from, uint32_t n)
{
	struct series_set *set = table_series(t);
	struct batch b;
	struct err e = {0};

	int64_t col = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, NULL, 0, &e);
	ck_assert(col >= 0 && id >= 0);
	batch_init(&b);
	ck_assert_int_ge(batch_reserve_rows(&b, n), 0);
	int c = batch_col(&b, (uint32_t)col, COL_BIGINT);
	ck_assert_int_ge(c, 0);
	for (uint32_t i = 0; i < n; i++) {
		b.series[i] = (uint32_t)id;
		b.time_ns[i] = from + i * MIN_;
		b.cols[c].col.i64[i] = i;
		b.cols[c].col.valid[i] = 1;
	}
	b.cols[c].has_values = true;
	b.n = n;
	ck_assert_int_ge(db_append(table_db(t), &(struct table_batch){.table = t, .batch = &b}, 1, &e), 0);
	batch_release(&b);
}

static struct table_stats stats(const struct world *w)
{
	struct table_stats st;

	table_stats(w->t, &st);
	return st;
}

START_TEST(each_tier_has_its_rows_and_times)
{
	struct world w;
	struct err e = {0};

	begin(&w);
	struct table_stats st = stats(&w);
	ck_assert_uint_eq(st.memtable.rows + st.runs.rows + st.tiles.rows, 0);
	ck_assert_int_gt(st.memtable.t_min_ns, st.memtable.t_max_ns);

	put(w.t, NOW - 2 * HOUR, 60); /* young */
	put(w.t, NOW - 50 * HOUR, 120); /* two days ago: due */
	st = stats(&w);
	ck_assert_uint_eq(st.memtable.rows, 180);
	ck_assert_int_eq(st.memtable.t_min_ns, NOW - 50 * HOUR);
	ck_assert_int_eq(st.memtable.t_max_ns, NOW - 2 * HOUR + 59 * MIN_);
	ck_assert_uint_eq(st.pending_rows, 120);
	ck_assert_uint_eq(st.pending_late_rows, 0);
	ck_assert_uint_eq(st.series, 1);
	ck_assert_uint_eq(st.rows_in, 180);

	ck_assert_int_ge(table_seal(w.t, &e), 0);
	st = stats(&w);
	ck_assert_uint_eq(st.memtable.rows, 0);
	ck_assert_uint_eq(st.memtable_bytes, 0);
	ck_assert_uint_eq(st.runs.rows, 180);
	ck_assert_uint_eq(st.runs.values, 180);
	ck_assert_uint_eq(st.runs.files, 1);
	ck_assert_uint_eq(st.pending_rows, 120);
	ck_assert_uint_eq(st.pending_dates, 1);
	ck_assert_uint_eq(st.sealed_rows, 180);
	ck_assert_uint_eq(st.sealed_bytes, st.runs.bytes);
	ck_assert_uint_eq(st.rewritten_rows, 0);

	ck_assert_int_ge(table_maintain(w.t, &e), 0);
	st = stats(&w);
	ck_assert_uint_eq(st.runs.rows, 60); /* a whole date went: exact */
	ck_assert_int_eq(st.runs.t_min_ns, NOW - 2 * HOUR);
	ck_assert_uint_eq(st.tiles.rows, 120);
	ck_assert_int_eq(st.tiles.t_min_ns, NOW - 50 * HOUR);
	ck_assert_int_eq(st.tiles.t_max_ns, NOW - 50 * HOUR + 119 * MIN_);
	ck_assert_uint_eq(st.tile_dates, 1);
	ck_assert_uint_eq(st.tile_parts, 1);
	ck_assert_uint_eq(st.pending_rows, 0);
	ck_assert_uint_eq(st.rewritten_rows, 120);
	ck_assert_uint_eq(st.rewritten_bytes, st.tiles.bytes);

	put(w.t, NOW - 50 * HOUR, 5); /* late for a date that has a tile */
	ck_assert_int_ge(table_seal(w.t, &e), 0);
	st = stats(&w);
	ck_assert_uint_eq(st.pending_rows, 5);
	ck_assert_uint_eq(st.pending_late_rows, 5);

	struct db_stats ds;
	db_stats(w.db, &ds);
	ck_assert_uint_eq(ds.rows, 60 + 120 + 5);
	ck_assert_uint_eq(ds.tile_rows, 120);
	ck_assert_uint_eq(ds.files, 3);
	ck_assert_uint_eq(ds.series, 1);
	ck_assert_uint_eq(ds.pending_rows, 5);
	end(&w);
}
END_TEST

/* Of the date that was moved in part the rest is estimated: never more than a few rows wrong here. */
START_TEST(a_date_moved_in_part)
{
	struct world w;
	struct err e = {0};

	begin(&w);
	put(w.t, NOW - 8 * HOUR, 300); /* 04:00 to 09:00 of today; due are those before 06:00 */
	ck_assert_int_ge(table_maintain(w.t, &e), 0);
	struct table_stats st = stats(&w);
	ck_assert_uint_eq(st.tiles.rows, 120);
	ck_assert_uint_ge(st.runs.rows, 178);
	ck_assert_uint_le(st.runs.rows, 182);
	ck_assert_int_eq(st.runs.t_min_ns, NOW - 6 * HOUR);
	end(&w);
}
END_TEST

START_TEST(what_fails_is_told_until_it_is_over)
{
	struct world w;
	struct err e = {0};
	struct db_status ds;

	begin(&w);
	ck_assert_int_ge(table_set(w.t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	ck_assert_int_ge(engine_maintain(w.en, &e), 0);
	put(w.t, NOW - 5 * HOUR, 10);
	ck_assert_int_eq(stats(&w).failure.last_ns, 0);
	io_fault_add(w.io, &(struct io_rule){.op = "pwritev", .path = "magnetic", .first = 1, .count = -1, .error = ENOSPC});
	ck_assert_int_ge(table_set(w.t, SET_RETENTION_MEMORY, STR_LIT("2h"), &e), 0); /* move now */
	ck_assert_int_lt(engine_maintain(w.en, &e), 0);
	struct failure f = stats(&w).failure;
	ck_assert_int_eq(f.since_ns, NOW);
	ck_assert_int_eq(f.last_ns, NOW);
	ck_assert_uint_eq(f.count, 1);
	ck_assert_ptr_nonnull(strstr(f.text, "No space left"));
	clock_pin(NOW + MIN_);
	ck_assert_int_ge(engine_maintain(w.en, &e), 0); /* waits for its next try: not over */
	ck_assert_int_eq(stats(&w).failure.since_ns, NOW);
	db_status(w.db, &ds);
	ck_assert_int_eq(ds.failing_since_ns, NOW);
	ck_assert_ptr_nonnull(strstr(ds.reason, "table 't'"));
	struct db_stats sums;
	db_stats(w.db, &sums);
	ck_assert_uint_eq(sums.failing_tables, 1);

	io_fault_clear(w.io);
	ck_assert_int_ge(table_set(w.t, SET_RETENTION_MEMORY, STR_LIT("3h"), &e), 0);
	ck_assert_int_ge(engine_maintain(w.en, &e), 0);
	f = stats(&w).failure;
	ck_assert_int_eq(f.since_ns, 0);
	ck_assert_int_eq(f.last_ns, NOW); /* remembered all the same */
	db_status(w.db, &ds);
	ck_assert_int_eq(ds.failing_since_ns, 0);
	ck_assert_str_eq(ds.reason, "");
	end(&w);
}
END_TEST

/* ---- opening -------------------------------------------------------------------------------------- */

struct watch {
	uint32_t calls;
	uint64_t done, total;
	char name[64];
	bool is_wrong;
};

static void watch(void *ctx, const char *db, uint64_t done, uint64_t total)
{
	struct watch *v = ctx;

	v->is_wrong |= total == 0 || (strcmp(db, v->name) == 0 && done < v->done);
	v->calls++;
	v->done = done;
	v->total = total;
	snprintf(v->name, sizeof v->name, "%s", db);
}

START_TEST(recovery_says_what_it_did)
{
	struct world w;
	struct watch v = {0};
	struct db_status st;
	struct err e = {0};

	begin(&w);
	put(w.t, NOW - 100 * MIN_, 30);
	ck_assert_int_ge(table_seal(w.t, &e), 0);
	put(w.t, NOW - 50 * MIN_, 20);
	put(w.t, NOW - 20 * MIN_, 10);
	down(&w);
	/* The second read of the log takes its time: long enough to be told of. */
	io_fault_add(w.io, &(struct io_rule){.op = "pread", .path = "wal", .first = 1, .count = 1, .kind = IO_DELAY, .arg = 2500});
	w.opt.recovering = watch;
	w.opt.recovering_ctx = &v;
	up(&w);
	db_status(w.db, &st);
	ck_assert_uint_eq(st.recovered_rows, 30); /* not those that were sealed */
	ck_assert_uint_gt(st.recovered_bytes, 0);
	ck_assert_int_ge(st.recovery_ns, 2 * NS_PER_S);
	ck_assert_uint_ge(v.calls, 1);
	ck_assert_uint_gt(v.total, 0);
	ck_assert_str_eq(v.name, "d");
	ck_assert(!v.is_wrong);
	end(&w);
}
END_TEST

/* Twelve databases, each of whose logs takes a third of a second to read: not four seconds. */
START_TEST(databases_do_not_wait_for_each_other)
{
	struct world w;
	char name[16];

	begin(&w);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof name, "x%d", i);
		struct db *db = db_of(w.en, name);
		struct table *t = table_of(db, "t");
		put(t, NOW, (uint32_t)i + 1);
		table_put(t);
		db_put(db);
	}
	down(&w);
	io_fault_add(w.io, &(struct io_rule){.op = "pread", .path = "wal", .first = 1, .count = 13, .kind = IO_DELAY, .arg = 300});
	int64_t start = clock_mono_ns();
	up(&w);
	ck_assert_int_lt(clock_mono_ns() - start, 3 * NS_PER_S);
	struct db **dbs;
	uint32_t n;
	ck_assert_int_ge(engine_dbs(w.en, &dbs, &n), 0);
	ck_assert_uint_eq(n, 13);
	for (uint32_t i = 0; i < n; i++) {
		struct db_stats st;
		if (i)
			ck_assert_int_lt(strcmp(db_name(dbs[i - 1]), db_name(dbs[i])), 0);
		db_stats(dbs[i], &st);
		if (db_name(dbs[i])[0] == 'x')
			ck_assert_uint_eq(st.rows, strtoul(db_name(dbs[i]) + 1, NULL, 10) + 1);
		db_put(dbs[i]);
	}
	free(dbs);
	end(&w);
}
END_TEST

/* A log of more than may be in memory, of many tables: opening it seals as it goes. */
START_TEST(recovery_keeps_to_the_budget)
{
	struct world w;
	char name[16];

	begin(&w);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "s%d", i);
		struct table *t = table_of(w.db, name);
		put(t, NOW - 200 * MIN_, 3000);
		table_put(t);
	}
	down(&w);
	w.opt.memory_bytes = 1 << 20;
	up(&w);
	size_t bytes, limit;
	engine_memory(w.en, &bytes, &limit);
	ck_assert_uint_eq(limit, 1 << 20);
	ck_assert_uint_le(bytes, limit + (limit / 4));
	struct db_stats st;
	db_stats(w.db, &st);
	ck_assert_uint_eq(st.rows, 40 * 3000);
	ck_assert_uint_gt(st.files, 4);
	ck_assert_uint_lt(st.files, 40); /* and not each table by itself */
	end(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		each_tier_has_its_rows_and_times, a_date_moved_in_part,	what_fails_is_told_until_it_is_over,
		recovery_says_what_it_did,	  databases_do_not_wait_for_each_other, recovery_keeps_to_the_budget,
	};
	return unit_main("stats", 60, tests, ARRAY_LEN(tests));
}
