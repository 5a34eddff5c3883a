/*
 * The engine on a disk that fails: every call through `struct io` may be refused, torn or fail to
 * sync, at random, while rows come, are sealed, migrated, expired and the directory is opened anew.
 * A twin in memory says what must be there: what was acknowledged, once, and nothing that was refused.
 * TIDE_SEED replays; TIDE_FAULT_OPS sets the operations per seed.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "engine/internal.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define START  (INT64_C(1700000000) * NS_PER_S)
#define SERIES 6
#define SLOTS  3000
#define STEP   (7 * 60 * NS_PER_S) /* 3000 slots: two weeks */
#define BASE   (START - SLOTS * STEP)

struct cell {
	bool has[2];
	int64_t value[2];
};

struct world {
	char dir[64];
	int dirfd;
	struct io *io;
	struct unit_rng r;
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t ids[SERIES], cols[2];
	struct cell (*twin)[SLOTS];
};

static bool is_up(const struct world *w)
{
	return w->en != NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static int define(struct world *w, struct err *e)
{
	struct series_set *set = table_series(w->t);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, e);
	int64_t v = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, e);
	int64_t s = series_add_column(set, STR_LIT("s"), COLKIND_MEASURE, COL_VARCHAR, e);

	ck_assert(host >= 0 && v >= 0 && s >= 0);
	w->cols[0] = (uint32_t)v;
	w->cols[1] = (uint32_t)s;
	for (uint32_t i = 0; i < SERIES; i++) {
		char name[8];
		snprintf(name, sizeof name, "h%u", i);
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &(struct dim_value){(uint32_t)host, str_from(name)}, 1, e);
		ck_assert(id >= 0);
		w->ids[i] = (uint32_t)id;
	}
	return 0;
}

static void go_down(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
	w->t = NULL;
	w->db = NULL;
	w->en = NULL;
}

/* May fail while the disk does; then everything is closed again. */
static int go_up(struct world *w, struct err *e)
{
	struct engine_options opt = {.io = w->io, .no_background = true, .sync_interval_ns = -1, .part_rows = 500};
	struct db_status st;
	int rc = engine_open(w->dir, &opt, &w->en, e);

	if (rc < 0) {
		w->en = NULL;
		return rc;
	}
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		rc = engine_db_create(w->en, STR_LIT("d"), &w->db, e);
	if (rc >= 0) {
		db_status(w->db, &st);
		if (st.failed || st.read_only)
			rc = err_set(e, -EIO, "%s", st.reason);
	}
	if (rc >= 0 && !(w->t = db_table(w->db, STR_LIT("t"))))
		rc = db_table_create(w->db, STR_LIT("t"), &w->t, e);
	if (rc >= 0)
		rc = define(w, e);
	if (rc < 0)
		go_down(w);
	return rc;
}

static void must_go_up(struct world *w)
{
	struct err e = {0};
	int rc = go_up(w, &e);

	unit_assert(&w->r, rc >= 0, "does not open on a whole disk: %s", err_text(&e, rc));
}

/* ---- what may be done ---------------------------------------------------------------------------- */

static void put_row(struct world *w, struct batch *b, uint32_t series, uint32_t slot, int which, int64_t v,
		    char text[24])
{
	int col = batch_reserve(b) < 0 ? -1 : batch_col(b, w->cols[which], which ? COL_VARCHAR : COL_BIGINT);

	ck_assert(col >= 0);
	b->series[b->n] = w->ids[series];
	b->time_ns[b->n] = BASE + slot * STEP;
	if (which) {
		snprintf(text, 24, "%lld", (long long)v);
		b->cols[col].col.str[b->n] = str_from(text);
	} else {
		b->cols[col].col.i64[b->n] = v;
	}
	b->cols[col].col.valid[b->n] = 1;
	b->cols[col].has_values = true;
	b->n++;
}

#define ROWS_MAX 400

static int op_append(struct world *w, struct err *e)
{
	struct {
		uint32_t series, slot;
		int which;
		int64_t v;
		char text[24];
	} rows[ROWS_MAX];
	uint32_t n = 1 + (uint32_t)unit_below(&w->r, unit_below(&w->r, 3) ? 20 : ROWS_MAX);
	struct table_window win;
	struct batch b;

	table_window(w->t, &win);
	batch_init(&b);
	for (uint32_t i = 0; i < n; i++) {
		rows[i].series = (uint32_t)unit_below(&w->r, SERIES);
		rows[i].slot = (uint32_t)unit_below(&w->r, SLOTS);
		rows[i].which = (int)unit_below(&w->r, 2);
		rows[i].v = (int64_t)unit_below(&w->r, 1000000);
		if (BASE + rows[i].slot * STEP < win.lo_ns)
			rows[i].slot = SLOTS - 1;
		put_row(w, &b, rows[i].series, rows[i].slot, rows[i].which, rows[i].v, rows[i].text);
	}
	int rc = db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, e);
	batch_release(&b);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		struct cell *c = &w->twin[rows[i].series][rows[i].slot];
		c->has[rows[i].which] = true;
		c->value[rows[i].which] = rows[i].v;
	}
	return rc;
}

static bool field_is(const struct world *w, const struct scan_batch *sb, uint32_t i, int f, const struct cell *c)
{
	bool valid = !sb->cols[f].valid || sb->cols[f].valid[i];
	char text[24];

	(void)w;
	if (valid != c->has[f] || !valid)
		return valid == c->has[f];
	snprintf(text, sizeof text, "%lld", (long long)c->value[f]);
	return f ? str_is(sb->cols[1].str[i], text) : sb->cols[0].i64[i] == c->value[0];
}

/* 0: all is as the twin says; <0: could not be read. A wrong row fails the test. */
static int check_rows(struct world *w, struct err *e)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = w->cols, .col_count = 2,
				 .times_wanted = true};
	struct table_stats st;
	struct scan_batch sb;
	struct scan *scan;
	uint64_t want = 0, got = 0;
	int rc;

	table_stats(w->t, &st);
	for (uint32_t s = 0; s < SERIES; s++)
		for (uint32_t k = 0; k < SLOTS; k++)
			want += (w->twin[s][k].has[0] || w->twin[s][k].has[1]) &&
				BASE + k * STEP >= st.expired_before_ns;
	rc = scan_open(w->t, &spec, NULL, &scan, e);
	if (rc < 0)
		return rc;
	while ((rc = scan_next(scan, &sb, e)) > 0)
		for (uint32_t r = 0; r < sb.run_count; r++) {
			uint32_t s = 0;
			while (w->ids[s] != sb.runs[r].series_id)
				s++;
			for (uint32_t i = sb.runs[r].start; i < sb.runs[r].start + sb.runs[r].count; i++) {
				uint32_t slot = (uint32_t)((sb.time_ns[i] - BASE) / STEP);
				unit_assert(&w->r,
					    slot < SLOTS && field_is(w, &sb, i, 0, &w->twin[s][slot]) &&
						    field_is(w, &sb, i, 1, &w->twin[s][slot]),
					    "series %u slot %u is wrong, or was never acknowledged", s, slot);
				got++;
			}
		}
	scan_close(scan);
	if (rc == 0)
		unit_assert(&w->r, got == want, "%llu rows, should be %llu", (unsigned long long)got,
			    (unsigned long long)want);
	return rc;
}

static void check_memory(struct world *w)
{
	unit_assert(&w->r, atomic_load(&w->en->memtable_bytes) == table_memtable_bytes(w->t),
		    "%zu bytes on the account, %zu in the memtable", atomic_load(&w->en->memtable_bytes),
		    table_memtable_bytes(w->t));
}

/* Files of the table on disk, without the definitions. */
static uint32_t count_files(int dirfd, const char *path, int depth)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;
	uint32_t n = 0;

	while (d && (x = readdir(d)))
		if (x->d_type == DT_DIR && x->d_name[0] != '.' && depth)
			n += count_files(fd, x->d_name, depth - 1);
		else if (x->d_type == DT_REG)
			n++;
	if (d)
		closedir(d);
	return n;
}

static void check_orphans(struct world *w)
{
	struct table_stats st;
	char path[128];
	uint32_t n = 0;

	table_stats(w->t, &st);
	snprintf(path, sizeof path, "db/d/%s/runs", w->t->dir);
	n += count_files(w->dirfd, path, 0);
	snprintf(path, sizeof path, "db/d/%s/magnetic", w->t->dir);
	n += count_files(w->dirfd, path, 2);
	unit_assert(&w->r, n == st.runs.files + st.tiles.files, "%u files on disk, %u are known", n,
		    st.runs.files + st.tiles.files);
}

static const char *const write_ops[] = {"pwritev", "fsync",    "fdatasync", "renameat",
					"ftruncate", "unlinkat", "mkdirat"};
static const char *const read_ops[] = {"openat", "pread", "fstat"};
static const char *const places[] = {"", "wal", "runs", "magnetic", "series"};
static const int errors[] = {ENOSPC, EIO, EDQUOT};

/* Returns whether reading may fail now. */
static bool arm(struct world *w)
{
	bool reads = unit_below(&w->r, 4) == 0;
	struct io_rule u = {
		.op = reads ? read_ops[unit_below(&w->r, ARRAY_LEN(read_ops))]
			    : write_ops[unit_below(&w->r, ARRAY_LEN(write_ops))],
		.path = places[unit_below(&w->r, ARRAY_LEN(places))],
		.first = 1 + (int)unit_below(&w->r, 4),
		.count = unit_below(&w->r, 3) ? 1 + (int)unit_below(&w->r, 4) : -1,
		.error = errors[unit_below(&w->r, ARRAY_LEN(errors))],
	};

	if (strcmp(u.op, "pwritev") == 0 && unit_below(&w->r, 2)) {
		u.kind = IO_TEAR;
		u.arg = (int64_t)unit_below(&w->r, 24); /* never all of a batch */
	}
	io_fault_add(w->io, &u);
	return reads;
}

static void heal(struct world *w)
{
	struct err e = {0};

	io_fault_clear(w->io);
	/* The log's own thread does this each second in a daemon. */
	int rc = db_sync(w->db, &e);
	unit_assert(&w->r, rc >= 0, "the log does not come back: %s", err_text(&e, rc));
	rc = op_append(w, &e);
	unit_assert(&w->r, rc >= 0, "ingest does not resume: %s", err_text(&e, rc));
	rc = check_rows(w, &e);
	unit_assert(&w->r, rc >= 0, "reading does not resume: %s", err_text(&e, rc));
}

static void reopen(struct world *w)
{
	struct err e = {0};

	/* Closed while it fails, or not; opened while it fails, or not. */
	if (unit_below(&w->r, 2))
		io_fault_clear(w->io);
	go_down(w);
	if (unit_below(&w->r, 2)) {
		arm(w);
		if (go_up(w, &e) >= 0)
			go_down(w);
	}
	io_fault_clear(w->io);
	must_go_up(w);
	check_orphans(w);
}

static void run_ops(struct world *w, int ops)
{
	static const char *const ages[] = {"1m", "6h", "3d", "20d"};
	bool reads_fail = false;

	for (int i = 0; i < ops; i++) {
		struct err e = {0};
		int rc;
		switch (unit_below(&w->r, 16)) {
		case 0:
		case 1:
			reads_fail |= arm(w);
			break;
		case 2:
			heal(w);
			reads_fail = false;
			break;
		case 3:
			reopen(w);
			reads_fail = false;
			break;
		case 4:
		case 5:
			(void)!table_seal(w->t, &e);
			break;
		case 6:
		case 7:
			(void)!table_maintain(w->t, &e);
			break;
		case 8:
			(void)!engine_maintain(w->en, &e);
			break;
		case 9:
			(void)!table_set(w->t, SET_RETENTION_MEMORY,
					 str_from(ages[unit_below(&w->r, ARRAY_LEN(ages))]), &e);
			break;
		case 10:
			if (unit_below(&w->r, 4) == 0)
				(void)!table_set(w->t, SET_RETENTION_MAGNETIC,
						 str_from(unit_below(&w->r, 3) ? "73000d" : "10d"), &e);
			break;
		case 11:
			rc = check_rows(w, &e);
			unit_assert(&w->r, rc >= 0 || reads_fail, "reading stopped: %s", err_text(&e, rc));
			break;
		default:
			(void)!op_append(w, &e);
		}
		check_memory(w);
	}
}

START_TEST(failing_calls)
{
	struct world w = {0};
	const char *ops = getenv("TIDE_FAULT_OPS");

	w.r = unit_rng();
	w.r.state += (uint64_t)_i * UINT64_C(0x9e3779b97f4a7c15);
	w.dirfd = unit_dir(w.dir);
	w.io = io_fault_create();
	w.twin = calloc(SERIES, sizeof *w.twin);
	clock_pin(START);
	must_go_up(&w);
	run_ops(&w, ops ? atoi(ops) : 250);
	if (is_up(&w)) {
		heal(&w);
		go_down(&w);
	}
	must_go_up(&w);
	struct err e = {0};
	ck_assert_int_ge(check_rows(&w, &e), 0);
	check_orphans(&w);
	/* Nothing stays on the account of what was dropped. */
	ck_assert_int_ge(db_table_drop(w.db, STR_LIT("t"), false, &e), 0);
	ck_assert_uint_eq(atomic_load(&w.en->memtable_bytes), 0);
	go_down(&w);
	clock_pin(0);
	io_fault_destroy(w.io);
	free(w.twin);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

/* ---- room that was made for rows which then could not be logged ------------------------------------ */

static void *seal_slowly(void *arg)
{
	struct world *w = arg;
	struct err e = {0};

	ck_assert_int_ge(table_seal(w->t, &e), 0);
	return NULL;
}

static int append_one(struct world *w, uint32_t n, uint32_t from)
{
	struct err e = {0};
	struct batch b;
	static char texts[BLOCK_ROWS_MIN * 2][24];

	batch_init(&b);
	for (uint32_t i = 0; i < n; i++)
		put_row(w, &b, 0, from + i, 0, from + i, texts[i]);
	int rc = db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, &e);
	batch_release(&b);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		w->twin[0][from + i] = (struct cell){{true, false}, {from + i, 0}};
	return rc;
}

START_TEST(rows_enter_while_an_empty_block_is_there)
{
	struct world w = {.r = unit_rng()};
	struct err e = {0};
	pthread_t th;

	w.dirfd = unit_dir(w.dir);
	w.io = io_fault_create();
	w.twin = calloc(SERIES, sizeof *w.twin);
	clock_pin(START);
	must_go_up(&w);
	ck_assert_int_ge(append_one(&w, BLOCK_ROWS_MIN, 0), 0); /* fills a block */
	io_fault_add(w.io, &(struct io_rule){.op = "pwritev", .path = "wal", .first = 1, .count = 1, .error = ENOSPC});
	ck_assert_int_eq(append_one(&w, 10, 1000), -ENOSPC); /* a block for it is there all the same */
	io_fault_clear(w.io);
	io_fault_add(w.io, &(struct io_rule){.op = "pwritev", .path = "runs", .first = 1, .count = 1,
					     .kind = IO_DELAY, .arg = 300});
	pthread_create(&th, NULL, seal_slowly, &w);
	usleep(100000);
	ck_assert_int_ge(append_one(&w, 10, 1500), 0);
	pthread_join(th, NULL);
	ck_assert_int_eq(check_rows(&w, &e), 0);
	check_memory(&w);
	go_down(&w);
	must_go_up(&w);
	ck_assert_int_eq(check_rows(&w, &e), 0);
	ck_assert_int_ge(table_seal(w.t, &e), 0);
	ck_assert_uint_eq(atomic_load(&w.en->memtable_bytes), 0);
	go_down(&w);
	clock_pin(0);
	io_fault_destroy(w.io);
	free(w.twin);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

/* ---- rows far apart ------------------------------------------------------------------------------------ */

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

/* ---- a wide table in little memory ---------------------------------------------------------------------- */

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

/* ---- everything at once ---------------------------------------------------------------------------------- */

/*
 * Writers with hardly any memory, readers, changes of settings, tables that come and go, tiles that are
 * removed, and seals that fail now and then. Table "keep" is never dropped: what was acknowledged there
 * is there at the end. The rest is for the sanitizers.
 */
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
	Suite *s = suite_create("engine_faults");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, failing_calls, 0, 12);
	tcase_add_test(tc, rows_enter_while_an_empty_block_is_there);
	tcase_add_test(tc, dates_far_apart);
	tcase_add_test(tc, wide_table);
	tcase_add_test(tc, long_strings);
	tcase_add_test(tc, storm);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
