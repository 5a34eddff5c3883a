/*
 * The engine over a catalogue whose writes and syncs fail, each in turn, in each thing that the engine does
 * with it: sealing, migrating, deleting, expiring, merging, settings, tables made and dropped. Whatever is
 * answered, what was acknowledged stays; an operation has happened as a whole, or not at all; it can be made
 * again when the disk works; and what is found after a kill -9 at that moment is one of the two as well.
 * TIDE_DAMAGE=full tries all of it, otherwise a sample.
 */
#include "engine/fsck.h"
#include "engine/internal.h"
#include "tests/unit/numbered.h"
#include "tests/unit/sqlite_fault.h"

#define OLD (NUMBERED_START - 10 * NS_PER_DAY)

struct world {
	char dir[64], data[80], copy[80], good[80];
	int dirfd;
	struct unit_rng r;
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t written;
	uint32_t victim_rows; /* of the other table, where it is certain that there is one; or 0 */
};

static struct io no_sync;

static int do_not_sync(const struct io *io, int fd)
{
	(void)io, (void)fd;
	return 0;
}

static void must(const struct world *w, int rc, const struct err *e)
{
	unit_assert(&w->r, rc >= 0, "%s", err_text(e, rc));
}

static void go_up(struct world *w, const char *path)
{
	struct engine_options opt = {.io = &no_sync, .no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	must(w, engine_open(path, &opt, &w->en, &e), &e);
	w->db = engine_db(w->en, STR_LIT("d"));
	ck_assert_ptr_nonnull(w->db);
	unit_assert(&w->r, !db_failure(w->db), "%s", db_failure(w->db));
	w->t = db_table(w->db, STR_LIT("t"));
}

static void go_down(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
	w->t = NULL;
	w->db = NULL;
}

static int put(struct world *w, uint32_t n, int64_t base, const char *host, struct err *e)
{
	return numbered_append(w->db, w->t, &w->written, n, base, host, e);
}

/* ---- what the engine does with its catalogue -------------------------------------------------------------- */

static int do_seal(struct world *w, struct err *e)
{
	return table_seal(w->t, e);
}

static int do_migrate(struct world *w, struct err *e)
{
	return table_maintain(w->t, e);
}

static int do_maintain(struct world *w, struct err *e)
{
	return engine_maintain(w->en, e);
}

static int do_delete(struct world *w, struct err *e)
{
	struct deletion *d;
	int rc = table_delete_begin(w->t, &d, e);

	if (rc < 0)
		return rc;
	/* The first forty rows: a millisecond each behind OLD. */
	rc = deletion_add(d, 0, UINT32_MAX - 16, OLD, OLD + 39 * NS_PER_MS, e);
	if (rc < 0) {
		deletion_abort(d);
		return rc;
	}
	return deletion_commit(d, e);
}

static int do_setting(struct world *w, struct err *e)
{
	return table_set(w->t, SET_FUTURE_LIMIT, STR_LIT("7m"), e);
}

static int do_create(struct world *w, struct err *e)
{
	int rc = db_table_create(w->db, STR_LIT("other"), NULL, e);
	return rc == -EEXIST ? 0 : rc;
}

static int do_attr(struct world *w, struct err *e)
{
	return engine_attr_set(w->en, w->db, "t/ingest", &(struct node_attr){0200, 1, 2}, e);
}

static int do_drop(struct world *w, struct err *e)
{
	int rc = db_table_drop(w->db, STR_LIT("victim"), false, e);
	return rc == -ENOENT ? 0 : rc;
}

static const struct {
	const char *name;
	int (*fn)(struct world *w, struct err *e);
	bool deletes;
} ops[] = {
	{"seal", do_seal, false},	{"migrate", do_migrate, false}, {"maintain", do_maintain, false},
	{"delete", do_delete, true},	{"setting", do_setting, false}, {"create", do_create, false},
	{"attr", do_attr, false},	{"drop", do_drop, false},
};

/* ---- building --------------------------------------------------------------------------------------------- */

static void build(struct world *w)
{
	struct table *victim;
	struct err e = {0};
	uint32_t n = 0;

	*w = (struct world){.r = unit_rng()};
	w->dirfd = unit_dir(w->dir);
	snprintf(w->data, sizeof w->data, "%s/data", w->dir);
	snprintf(w->copy, sizeof w->copy, "%s/copy", w->dir);
	snprintf(w->good, sizeof w->good, "%s/good", w->dir);
	no_sync = *io_posix();
	no_sync.fsync = no_sync.fdatasync = do_not_sync;
	clock_pin(NUMBERED_START);
	struct engine_options opt = {.io = &no_sync, .no_background = true, .sync_interval_ns = -1};
	must(w, engine_open(w->good, &opt, &w->en, &e), &e);
	must(w, engine_db_create(w->en, STR_LIT("d"), &w->db, &e), &e);
	must(w, db_table_create(w->db, STR_LIT("t"), &w->t, &e), &e);
	must(w, db_table_create(w->db, STR_LIT("victim"), &victim, &e), &e);
	must(w, numbered_append(w->db, victim, &n, 10, OLD, "h", &e), &e);
	table_put(victim);
	must(w, table_set(w->t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), &e);
	must(w, put(w, 100, OLD, "h0", &e), &e);
	must(w, put(w, 100, OLD + NS_PER_DAY, "h1", &e), &e);
	must(w, table_maintain(w->t, &e), &e); /* two tiles */
	must(w, put(w, 50, OLD, "h2", &e), &e);
	must(w, put(w, 50, NUMBERED_START - 60 * NS_PER_S, "h3", &e), &e);
	must(w, table_seal(w->t, &e), &e); /* a run, in part due */
	must(w, put(w, 30, OLD, "h4", &e), &e);
	must(w, put(w, 30, NUMBERED_START - 60 * NS_PER_S, "h5", &e), &e); /* in the log */
	go_down(w);
}

static void tear_down(struct world *w)
{
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
}

/* ---- what must be there --------------------------------------------------------------------------------------- */

/* deleted: 1 the first forty are gone, 0 they are there, -1 either, but all or none. */
static void check(struct world *w, int deleted, const char *what)
{
	static struct numbered_seen s;
	struct err e = {0};
	uint32_t gone = 0;

	ck_assert_ptr_nonnull(w->t);
	int rc = numbered_read(w->t, w->written, &s, &e);
	unit_assert(&w->r, rc == 0, "%s: %s", what, err_text(&e, rc));
	for (uint32_t v = 0; v < w->written; v++) {
		unit_assert(&w->r, s.has[v] || v < 40, "%s: row %u is missing", what, v);
		gone += !s.has[v];
	}
	if (w->victim_rows) {
		struct table *victim = db_table(w->db, STR_LIT("victim"));
		unit_assert(&w->r, victim, "%s: the other table is gone", what);
		rc = numbered_read(victim, w->victim_rows, &s, &e);
		unit_assert(&w->r, rc == 0 && s.n == w->victim_rows, "%s: %u of %u rows of the other table; %s", what, s.n,
			    w->victim_rows, e.text);
		table_put(victim);
	}
	unit_assert(&w->r, gone == 0 ? deleted <= 0 : gone == 40 && deleted, "%s: %u rows are gone, deleted %d", what, gone,
		    deleted);
}

static void found(void *ctx, const struct fsck_finding *f)
{
	snprintf(ctx, 1024, "%s: %s; %s", f->file, f->what, f->repair);
}

static void check_disk(struct world *w, const char *path, const char *what)
{
	char text[1024] = "";
	struct fsck_options opt = {.io = &no_sync, .found = found, .ctx = text};
	struct fsck_result res;
	struct err e = {0};

	must(w, fsck_run(path, &opt, &res, &e), &e);
	unit_assert(&w->r, res.problems == 0, "%s: fsck says %s", what, text);
}

static void remove_all(const char *path)
{
	nftw(path, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
}

/* As kill -9 leaves it now: opened, read, opened again, checked. */
static void check_killed(struct world *w, int deleted, const char *what)
{
	struct world k = *w;

	remove_all(w->copy);
	unit_dir_copy(w->data, w->copy);
	for (int i = 0; i < 2; i++) {
		go_up(&k, w->copy);
		check(&k, deleted, what);
		go_down(&k);
	}
	check_disk(w, w->copy, what);
}

/* ---- one failure -------------------------------------------------------------------------------------------------- */

/* Returns how many calls the operation made. */
static int one(struct world *w, size_t op, int n, int count, enum sqlite_fault_kind kind)
{
	struct err e = {0}, why = {0};
	char what[200];
	uint32_t written = w->written;

	w->victim_rows = 0;
	remove_all(w->data);
	unit_dir_copy(w->good, w->data);
	go_up(w, w->data);
	snprintf(what, sizeof what, "%s, call %d and %d more, kind %d", ops[op].name, n, count - 1, kind);
	sqlite_fault_set(n, count, kind);
	int rc = ops[op].fn(w, &why);
	int calls = sqlite_fault.calls, struck = sqlite_fault.struck;
	unit_assert(&w->r, rc >= 0 || struck, "%s: %s", what, err_text(&why, rc));
	unit_assert(&w->r, rc >= 0 || rc == -EIO || rc == -ENOSPC || rc == -EBADMSG, "%s: %d %s", what, rc, err_text(&why, rc));
	int deleted = ops[op].deletes && rc >= 0;
	check(w, deleted, what);
	/* While it still fails, or not: rows are taken, and are there whenever it is killed. */
	must(w, put(w, 7, NUMBERED_START - 60 * NS_PER_S, "h3", &e), &e);
	check(w, deleted, what);
	sqlite_fault_clear();
	/* What was not dropped takes rows, and keeps them. */
	struct table *victim = db_table(w->db, STR_LIT("victim"));
	w->victim_rows = 10;
	if (!victim || numbered_append(w->db, victim, &w->victim_rows, 1, OLD, "h", &e) < 0)
		w->victim_rows = 0;
	table_put(victim);
	int maybe = ops[op].deletes && rc < 0 ? -1 : deleted;
	check_killed(w, maybe, what);
	/* The disk works again. What may be gone or not stays so until the next mount. */
	rc = ops[op].fn(w, &e);
	unit_assert(&w->r, rc >= 0 || (ops[op].fn == do_drop && rc == -ESTALE), "%s: %d %s", what, rc, err_text(&e, rc));
	w->victim_rows = ops[op].fn == do_drop ? 0 : w->victim_rows;
	deleted = ops[op].deletes;
	check(w, deleted, what);
	check_killed(w, deleted, what);
	must(w, put(w, 7, NUMBERED_START - 60 * NS_PER_S, "h9", &e), &e);
	for (int i = 0; i < 3; i++)
		must(w, engine_maintain(w->en, &e), &e);
	must(w, table_maintain(w->t, &e), &e);
	check(w, deleted, what);
	go_down(w);
	go_up(w, w->data);
	check(w, deleted, what);
	go_down(w);
	check_disk(w, w->data, what);
	w->written = written;
	return calls;
}

START_TEST(each_call_fails)
{
	static struct world w;
	const char *env = getenv("TIDE_DAMAGE");
	bool is_full = env && strcmp(env, "full") == 0;
	int64_t t0 = clock_mono_ns();
	int lives = 0;

	build(&w);
	int calls = one(&w, (size_t)_i, 1 << 20, 1, FAULT_EIO);
	ck_assert_int_gt(calls, ops[_i].fn == do_maintain ? -1 : 2);
	for (int n = 0; n < calls; n++)
		for (int kind = 0; kind < FAULT_KINDS; kind++)
			for (int lasts = 0; lasts < 2; lasts++) {
				if (!is_full && unit_below(&w.r, 6))
					continue;
				one(&w, (size_t)_i, n, lasts ? 1 << 20 : 1, (enum sqlite_fault_kind)kind);
				lives++;
			}
	printf("%s: %d calls, %d failures in %.1f s\n", ops[_i].name, calls, lives, (double)(clock_mono_ns() - t0) / 1e9);
	fflush(stdout);
	tear_down(&w);
}
END_TEST

/* A DROP of which nobody knows: rows that came afterwards would go with it. */
START_TEST(drop_in_doubt)
{
	static struct world w;
	struct err e = {0};
	uint32_t n = 10;

	build(&w);
	unit_dir_copy(w.good, w.data);
	go_up(&w, w.data);
	struct table *victim = db_table(w.db, STR_LIT("victim"));
	for (int at = 0; at < 30; at++) {
		sqlite_fault_set(at, 1 << 20, FAULT_EIO_DONE);
		int rc = db_table_drop(w.db, STR_LIT("victim"), false, &e);
		sqlite_fault_clear();
		ck_assert_int_eq(rc, -EIO);
		if (strstr(e.text, "may be gone")) {
			ck_assert_int_eq(numbered_append(w.db, victim, &n, 1, OLD, "h", &e), -ESTALE);
			table_put(victim);
			go_down(&w);
			tear_down(&w);
			return;
		}
		/* It is not gone for certain: then rows stay. */
		must(&w, numbered_append(w.db, victim, &n, 1, OLD, "h", &e), &e);
		struct world k = w;
		remove_all(w.copy);
		unit_dir_copy(w.data, w.copy);
		go_up(&k, w.copy);
		struct table *kept = db_table(k.db, STR_LIT("victim"));
		ck_assert_ptr_nonnull(kept);
		table_put(kept);
		go_down(&k);
	}
	ck_abort_msg("a DROP was never in doubt");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("catalog_faults");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	sqlite_fault_install();
	tcase_set_timeout(tc, 1800);
	tcase_add_loop_test(tc, each_call_fails, 0, (int)ARRAY_LEN(ops));
	tcase_add_test(tc, drop_in_doubt);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
