/*
 * Everything at once: writers with hardly any memory, readers, changes of settings, tables that come and go, tiles that are
 * removed, and seals that fail now and then. Table "keep" is never dropped: what was acknowledged there
 * is there at the end. The rest is for the sanitizers. TIDE_STORM_S: seconds.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define STORM_WRITERS 3

struct storm {
	struct engine *en;
	struct io *io;
	_Atomic bool stop;
	_Atomic uint64_t acked, refused, passed;
	_Atomic uint32_t names;
};

static struct table *storm_table(struct db *db, const char *name)
{
	struct table *t = db_table(db, str_from(name));

	if (!t && db_table_create(db, str_from(name), &t, NULL) < 0)
		return db_table(db, str_from(name));
	return t;
}

static int storm_append(struct db *db, struct table *t, uint32_t me, uint64_t from, uint32_t n)
{
	struct series_set *set = table_series(t);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, NULL);
	int64_t col = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, NULL);
	char name[24];
	struct batch b;

	snprintf(name, sizeof name, "h%u", me);
	struct dim_value d = {(uint32_t)host, str_from(name)};
	int64_t id = host < 0 || col < 0 ? -1 : series_intern(set, STR_LIT("m"), MEASURE_MULTI, &d, 1, NULL);
	if (id < 0)
		return (int)id;
	batch_init(&b);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_int_ge(batch_reserve(&b), 0);
		int slot = batch_col(&b, (uint32_t)col, COL_BIGINT);
		b.series[b.n] = (uint32_t)id;
		b.time_ns[b.n] = clock_now_ns() - (i % 3 ? 0 : 9 * NS_PER_DAY);
		b.time_ns[b.n] = b.time_ns[b.n] / NS_PER_DAY * NS_PER_DAY + (int64_t)(from + i);
		b.cols[slot].col.i64[b.n] = 1;
		b.cols[slot].col.valid[b.n] = 1;
		b.cols[slot].has_values = true;
		b.n++;
	}
	int rc = db_append(db, &(struct table_batch){.table = t, .batch = &b}, 1, NULL);
	batch_release(&b);
	return rc;
}

struct storm_writer {
	struct storm *s;
	uint32_t me;
};

static void *storm_write(void *arg)
{
	struct storm_writer *sw = arg;
	struct storm *s = sw->s;
	uint64_t at = 0;

	while (!atomic_load(&s->stop)) {
		struct db *db = engine_db(s->en, sw->me % 2 ? STR_LIT("one") : STR_LIT("two"));
		struct table *t = db ? storm_table(db, "keep") : NULL;
		struct table *other = db ? storm_table(db, "comes_and_goes") : NULL;
		ck_assert_ptr_nonnull(t);
		int rc = storm_append(db, t, sw->me, at, 200);
		if (rc >= 0)
			atomic_fetch_add(&s->acked, 200);
		else
			atomic_fetch_add(&s->refused, 1);
		at += rc >= 0 ? 200 : 0;
		if (other)
			(void)!storm_append(db, other, sw->me, at, 50);
		table_put(other);
		table_put(t);
		db_put(db);
	}
	return NULL;
}

static uint64_t storm_count(struct engine *en, const char *db_name_, const char *name)
{
	struct db *db = engine_db(en, str_from(db_name_));
	struct table *t = db ? db_table(db, str_from(name)) : NULL;
	struct scan *scan;
	struct scan_batch sb;
	uint64_t n = 0;
	struct err e = {0};

	if (t) {
		struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .times_wanted = true};
		int rc = scan_open(t, &spec, NULL, &scan, &e);
		if (rc >= 0) {
			while ((rc = scan_next(scan, &sb, &e)) > 0)
				n += sb.n;
			scan_close(scan);
		}
		ck_assert_msg(rc >= 0 || table_dropped(t), "reading %s: %s", name, err_text(&e, rc));
	}
	table_put(t);
	db_put(db);
	return n;
}

static void *storm_read(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->stop)) {
		storm_count(s->en, "one", "keep");
		storm_count(s->en, "two", "comes_and_goes");
		struct db *db = engine_db(s->en, STR_LIT("one"));
		struct db_status st;
		db_status(db, &st);
		db_put(db);
	}
	return NULL;
}

static void *storm_meddle(void *arg)
{
	static const char *const ages[] = {"1s", "6h", "1d"};
	struct storm *s = arg;

	for (uint32_t i = 0; !atomic_load(&s->stop); i++) {
		struct db *db = engine_db(s->en, i % 2 ? STR_LIT("one") : STR_LIT("two"));
		struct table *t = storm_table(db, i % 3 ? "keep" : "comes_and_goes");
		struct tile_entry *tiles;
		uint32_t n = 0;
		if (t) {
			(void)!table_set(t, SET_RETENTION_MEMORY, str_from(ages[i % 3]), NULL);
			struct table_stats st;
			table_stats(t, &st);
		}
		if (t && i % 3 == 0 && table_tiles(t, &tiles, &n) >= 0) {
			int fd;
			if (n && table_tile_fd(t, tiles[0].path, &fd, NULL) >= 0)
				close(fd);
			if (n)
				(void)!table_tile_remove(t, tiles[n - 1].path, NULL);
			free(tiles);
		}
		table_put(t);
		if (i % 4 == 0)
			(void)!db_table_drop(db, STR_LIT("comes_and_goes"), i % 8 == 0, NULL);
		db_put(db);
		/* A database that comes and goes, too. */
		if (engine_db_create(s->en, STR_LIT("three"), &db, NULL) >= 0) {
			t = storm_table(db, "x");
			if (t)
				(void)!storm_append(db, t, 0, 0, 10);
			(void)!db_table_drop(db, STR_LIT("x"), false, NULL);
			(void)!engine_db_drop(s->en, STR_LIT("three"), NULL);
			table_put(t);
			db_put(db);
		}
		if (i % 5 == 0)
			io_fault_add(s->io, &(struct io_rule){.op = i % 2 ? "pwritev" : "renameat", .path = "runs",
							      .first = 1, .count = 2, .error = ENOSPC});
		if (i % 5 == 4)
			io_fault_clear(s->io);
		usleep(3000);
	}
	return NULL;
}

START_TEST(storm)
{
	struct storm s = {0};
	struct engine_options opt = {.sync_interval_ns = 20 * NS_PER_MS, .memory_bytes = 1 << 20};
	struct storm_writer sw[STORM_WRITERS];
	pthread_t writers[STORM_WRITERS], readers[2], meddler;
	struct err e = {0};
	char dir[64];
	int dirfd = unit_dir(dir);
	const char *secs = getenv("TIDE_STORM_S");

	s.io = io_fault_create();
	opt.io = s.io;
	ck_assert_int_ge(engine_open(dir, &opt, &s.en, &e), 0);
	ck_assert_int_ge(engine_db_create(s.en, STR_LIT("one"), NULL, &e), 0);
	ck_assert_int_ge(engine_db_create(s.en, STR_LIT("two"), NULL, &e), 0);
	for (uint32_t i = 0; i < STORM_WRITERS; i++) {
		sw[i] = (struct storm_writer){&s, i};
		pthread_create(&writers[i], NULL, storm_write, &sw[i]);
	}
	pthread_create(&readers[0], NULL, storm_read, &s);
	pthread_create(&readers[1], NULL, storm_read, &s);
	pthread_create(&meddler, NULL, storm_meddle, &s);
	sleep(secs ? (unsigned)atoi(secs) : 3);
	atomic_store(&s.stop, true);
	for (uint32_t i = 0; i < STORM_WRITERS; i++)
		pthread_join(writers[i], NULL);
	pthread_join(readers[0], NULL);
	pthread_join(readers[1], NULL);
	pthread_join(meddler, NULL);
	io_fault_clear(s.io);
	uint64_t n = storm_count(s.en, "one", "keep") + storm_count(s.en, "two", "keep");
	ck_assert_msg(n == atomic_load(&s.acked), "%llu rows, %llu were acknowledged", (unsigned long long)n,
		      (unsigned long long)atomic_load(&s.acked));
	ck_assert_uint_gt(n, 0);
	engine_close(s.en);
	opt.no_background = true;
	ck_assert_int_ge(engine_open(dir, &opt, &s.en, &e), 0);
	ck_assert_uint_eq(storm_count(s.en, "one", "keep") + storm_count(s.en, "two", "keep"), n);
	engine_close(s.en);
	io_fault_destroy(s.io);
	unit_dir_remove(dirfd, dir);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {storm};
	return unit_main("engine_storm", 600, tests, ARRAY_LEN(tests));
}
