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

#include "tests/unit/slots.h"

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

/* Definitions without rows, which nothing else keeps in the log, while another table's seal may trim it. */
START_TEST(definitions_stay_in_the_log_until_they_are_saved)
{
	struct world w = {.r = unit_rng()};
	struct err e = {0};
	pthread_t th;
	struct str json = STR_LIT("{\"format\":\"tidefs snapshot\",\"version\":1,\"tables\":[{\"name\":\"t\",\"columns\":[{\"name\":\"late\","
				  "\"type\":\"bigint\",\"kind\":\"measure\"}]}]}");

	w.dirfd = unit_dir(w.dir);
	w.io = io_fault_create();
	w.twin = calloc(SERIES, sizeof *w.twin);
	clock_pin(START);
	must_go_up(&w);
	ck_assert_int_ge(append_one(&w, 10, 0), 0);
	ck_assert_int_ge(table_seal(w.t, &e), 0);
	ck_assert_uint_eq(table_log_pin(w.t), UINT64_MAX);
	ck_assert_msg(db_snapshot_apply(w.db, json, NULL, &e) >= 0, "%s", e.text);
	uint64_t lsn = wal_last_lsn(w.db->wal);
	ck_assert_uint_eq(table_log_pin(w.t), lsn);
	io_fault_add(w.io, &(struct io_rule){.op = "pwritev", .path = "series", .first = 1, .count = 1, .kind = IO_DELAY,
					     .arg = 500});
	pthread_create(&th, NULL, seal_slowly, &w);
	while (!io_fault_hits(w.io))
		usleep(1000);
	ck_assert_uint_eq(table_log_pin(w.t), lsn);
	pthread_join(th, NULL);
	ck_assert_uint_eq(table_log_pin(w.t), UINT64_MAX);
	go_down(&w);
	clock_pin(0);
	io_fault_destroy(w.io);
	free(w.twin);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("engine_faults");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, failing_calls, 0, 12);
	tcase_add_test(tc, rows_enter_while_an_empty_block_is_there);
	tcase_add_test(tc, definitions_stay_in_the_log_until_they_are_saved);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
