/*
 * A database fails alone: its disk is full, broken, hangs or is not there, and the others do not notice.
 * (tests/mount/disks.bats does the same with real disks.)
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "engine/internal.h"
#include "tests/unit/numbered.h"

struct world {
	char dir[64];
	int dirfd;
	struct io *io;
	struct engine *en;
	struct db *db[2]; /* a, b */
	struct table *t[2];
	uint32_t value[2];
};

static void must(int rc, const struct err *e)
{
	ck_assert_msg(rc >= 0, "%s", err_text(e, rc));
}

static void go_up(struct world *w, size_t memory)
{
	struct engine_options opt = {.io = w->io, .no_background = true, .sync_interval_ns = -1, .memory_bytes = memory};
	struct err e = {0};

	must(engine_open(w->dir, &opt, &w->en, &e), &e);
	for (int i = 0; i < 2; i++) {
		w->db[i] = engine_db(w->en, i ? STR_LIT("b") : STR_LIT("a"));
		w->t[i] = w->db[i] ? db_table(w->db[i], STR_LIT("t")) : NULL;
	}
}

static void go_down(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		table_put(w->t[i]);
		db_put(w->db[i]);
	}
	engine_close(w->en);
}

static void build(struct world *w, size_t memory)
{
	struct err e = {0};

	*w = (struct world){.io = io_fault_create()};
	w->dirfd = unit_dir(w->dir);
	clock_pin(NUMBERED_START);
	go_up(w, memory);
	for (int i = 0; i < 2; i++) {
		must(engine_db_create(w->en, i ? STR_LIT("b") : STR_LIT("a"), &w->db[i], &e), &e);
		must(db_table_create(w->db[i], STR_LIT("t"), &w->t[i], &e), &e);
	}
}

static void tear_down(struct world *w)
{
	clock_pin(0);
	io_fault_destroy(w->io);
	unit_dir_remove(w->dirfd, w->dir);
}

static int append(struct world *w, int i, uint32_t n, struct err *e)
{
	if (w->value[i] + n > NUMBERED_MAX)
		w->value[i] = 0; /* the same again: it is memory that counts here */
	return numbered_append(w->db[i], w->t[i], &w->value[i], n, NUMBERED_START - 60 * NS_PER_S, "h", e);
}

/* a cannot seal, and holds all memory there is. b seals as it fills its share, and not at each write. */
START_TEST(memory_of_a_full_database)
{
	struct world w;
	struct err e = {0};
	int rc = 0;

	build(&w, 1 << 20);
	io_fault_add(w.io, &(struct io_rule){.op = "pwritev", .path = "db/a/tables", .first = 1, .count = -1, .error = ENOSPC});
	for (int i = 0; i < 3000 && rc >= 0; i++)
		rc = append(&w, 0, 100, &e);
	ck_assert_msg(rc == -ENOSPC && strstr(e.text, "sealing fails"), "%d %s", rc, e.text);
	ck_assert_uint_gt(atomic_load(&w.en->memtable_bytes), w.en->memtable_limit);
	for (int i = 0; i < 300; i++)
		must(append(&w, 1, 100, &e), &e);
	/* 30,000 rows of 20 bytes or so, and a sixteenth of a MiB in each file that was written. */
	ck_assert_msg(w.t[1]->generation <= 30, "%llu files were written", (unsigned long long)w.t[1]->generation);
	/* Blocks grow by doubling, so a went over by a block. */
	ck_assert_uint_lt(atomic_load(&w.en->memtable_bytes), w.en->memtable_limit * 5 / 2);
	/* With room again, a goes on as well. */
	io_fault_clear(w.io);
	atomic_store(&w.t[0]->seal_patience.until_mono_ns, 0);
	must(append(&w, 0, 100, &e), &e);
	ck_assert_uint_lt(atomic_load(&w.en->memtable_bytes), w.en->memtable_limit);
	ck_assert_uint_eq(atomic_load(&w.en->memtable_bytes),
			  atomic_load(&w.db[0]->memtable_bytes) + atomic_load(&w.db[1]->memtable_bytes));
	go_down(&w);
	tear_down(&w);
}
END_TEST

/* ---- a disk that hangs ----------------------------------------------------------------------------------- */

struct hang {
	struct world *w;
	_Atomic bool done;
	bool makes; /* a table, and not rows */
};

static void *hang(void *arg)
{
	struct hang *h = arg;
	struct err e = {0};

	if (h->makes)
		must(db_table_create(h->w->db[0], STR_LIT("late"), NULL, &e), &e);
	else
		must(append(h->w, 0, 10, &e), &e);
	atomic_store(&h->done, true);
	return NULL;
}

/* _i: a write to the log hangs; a table is being made. Nobody else waits: not who looks at a, not b. */
START_TEST(a_disk_that_hangs)
{
	struct world w;
	struct err e = {0};
	struct db_status st;
	struct table **tables;
	struct db **dbs;
	uint32_t n;
	pthread_t th;

	build(&w, 64 << 20);
	must(append(&w, 0, 10, &e), &e);
	db_status(w.db[0], &st);
	ck_assert(!st.stalled && !st.reason[0]);
	struct hang h = {.w = &w, .makes = _i};
	io_fault_add(w.io, &(struct io_rule){.op = _i ? "mkdirat" : "pwritev", .path = _i ? "db/a/tables" : "db/a/wal",
					     .first = 1, .count = 1, .kind = IO_DELAY, .arg = 3000});
	int64_t t0 = clock_mono_ns();
	pthread_create(&th, NULL, hang, &h);
	while (!io_fault_hits(w.io))
		usleep(1000);
	db_status(w.db[0], &st);
	ck_assert(st.stalled == !_i);
	ck_assert_msg(_i || strstr(st.reason, "hangs"), "%s", st.reason);
	ck_assert_uint_eq(st.last_lsn, _i ? st.last_lsn : 3); /* as it was */
	must(db_tables(w.db[0], &tables, &n), &e);
	ck_assert_uint_eq(n, 1);
	table_put(tables[0]);
	free(tables);
	must(engine_dbs(w.en, &dbs, &n), &e);
	while (n)
		db_put(dbs[--n]);
	free(dbs);
	struct numbered_seen *seen = calloc(1, sizeof *seen);
	must(numbered_read(w.t[0], w.value[0] + 10, seen, &e), &e);
	ck_assert_uint_eq(seen->n, 10);
	free(seen);
	for (int i = 0; i < 100; i++)
		must(append(&w, 1, 10, &e), &e);
	must(table_seal(w.t[1], &e), &e);
	must(engine_db_create(w.en, STR_LIT("c"), NULL, &e), &e);
	ck_assert_int_eq(engine_db_drop(w.en, STR_LIT("a"), &e), _i ? -EBUSY : -ENOTEMPTY);
	ck_assert_msg(!atomic_load(&h.done), "all this took %lld ms", (long long)((clock_mono_ns() - t0) / NS_PER_MS));
	pthread_join(th, NULL);
	db_status(w.db[0], &st);
	ck_assert(!st.stalled && !st.reason[0]);
	go_down(&w);
	tear_down(&w);
}
END_TEST

/* ---- a disk that is not there ------------------------------------------------------------------------------ */

static void expect_failed(struct world *w, const char *why)
{
	struct db_status st;
	struct err e = {0};

	go_up(w, 0);
	ck_assert_ptr_nonnull(w->db[0]);
	db_status(w->db[0], &st);
	ck_assert(st.failed && db_failure(w->db[0]));
	ck_assert_msg(strstr(st.reason, why), "%s", st.reason);
	ck_assert_int_eq(db_table_create(w->db[0], STR_LIT("x"), NULL, &e), -EIO);
	ck_assert_int_eq(engine_db_drop(w->en, STR_LIT("a"), &e), -EIO);
	ck_assert_int_eq(engine_db_create(w->en, STR_LIT("a"), NULL, &e), -EEXIST);
	char byte;
	ck_assert_int_eq(rejected_size(db_rejected(w->db[0])), 0);
	ck_assert_int_eq(rejected_read(db_rejected(w->db[0]), &byte, 1, 0, &e), 0);
	must(append(w, 1, 10, &e), &e);
	go_down(w);
}

static void shell(const char *fmt, ...) printf_like(1, 2);

static void shell(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

/* A link to nowhere; a link to an empty directory, as where a disk is not mounted; and the disk again. */
START_TEST(a_disk_that_is_missing)
{
	struct world w;
	struct err e = {0};
	struct stat st;
	char path[128];

	build(&w, 0);
	must(append(&w, 0, 10, &e), &e);
	go_down(&w);
	shell("cd %s && mv db/a disk && ln -s '%s/nowhere' db/a", w.dir, w.dir);
	expect_failed(&w, "/nowhere'");
	shell("cd %s && mkdir nowhere", w.dir);
	expect_failed(&w, "is it on a disk that is not mounted?");
	snprintf(path, sizeof path, "%s/nowhere/catalog.sqlite", w.dir);
	ck_assert_int_lt(stat(path, &st), 0); /* nothing was begun there */
	shell("cd %s && rm db/a && ln -s '%s/disk' db/a", w.dir, w.dir);
	go_up(&w, 0);
	ck_assert_ptr_null(db_failure(w.db[0]));
	struct numbered_seen *seen = calloc(1, sizeof *seen);
	must(numbered_read(w.t[0], w.value[0], seen, &e), &e);
	ck_assert_uint_eq(seen->n, 10);
	free(seen);
	must(append(&w, 0, 10, &e), &e);
	go_down(&w);
	/* Gone for good: without the link there may be a new one. */
	shell("cd %s && rm db/a", w.dir);
	go_up(&w, 0);
	ck_assert_ptr_null(w.db[0]);
	must(engine_db_create(w.en, STR_LIT("a"), NULL, &e), &e);
	go_down(&w);
	/* A link to an empty directory under a name that never was: it begins there. */
	shell("cd %s && mkdir fresh && ln -s '%s/fresh' db/fresh", w.dir, w.dir);
	go_up(&w, 0);
	struct db *fresh = engine_db(w.en, STR_LIT("fresh"));
	ck_assert_ptr_nonnull(fresh);
	ck_assert_ptr_null(db_failure(fresh));
	db_put(fresh);
	must(engine_db_drop(w.en, STR_LIT("fresh"), &e), &e);
	must(engine_db_create(w.en, STR_LIT("fresh"), NULL, &e), &e);
	go_down(&w);
	tear_down(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cells");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, memory_of_a_full_database);
	tcase_add_loop_test(tc, a_disk_that_hangs, 0, 2);
	tcase_add_test(tc, a_disk_that_is_missing);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
