/*
 * fsck: a directory with two databases is built by the engine, one thing in a copy of it is damaged,
 * and what fsck says is held against what was done. After a repair the engine opens, a second check is
 * clean, and each row that did not lie in the damaged piece is there.
 */
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "engine/fsck.h"
#include "engine/internal.h"
#include "tests/unit/numbered.h"

#define START    NUMBERED_START
#define DBS      2
#define TABLES   2
#define ROWS     50 /* a batch */

static const char *const db_names[DBS] = {"alpha", "beta"};
static const char *const table_names[TABLES] = {"cpu", "mem"};

/* ---- building -------------------------------------------------------------------------------------------- */

struct world {
	char dir[64];
	int dirfd;
	char path[80]; /* the data directory */
	uint32_t written[DBS][TABLES]; /* values 0 .. n-1 */
	uint32_t in_files[DBS][TABLES]; /* of those, the first so many are in runs and tiles */
};

static void append(struct db *db, struct table *t, uint32_t *value, int64_t base, const char *host)
{
	struct err e = {0};
	int rc = numbered_append(db, t, value, ROWS, base, host, &e);

	ck_assert_msg(rc >= 0, "append: %s", err_text(&e, rc));
}

static void fill(struct db *db, struct table *t, uint32_t *value, uint32_t *in_files)
{
	struct err e = {0};

	ck_assert_int_ge(table_set(t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	ck_assert_int_ge(table_set(t, SET_RETENTION_MAGNETIC, STR_LIT("73000d"), &e), 0);
	for (int day = 1; day <= 3; day++)
		append(db, t, value, START - day * NS_PER_DAY, day % 2 ? "a" : "b");
	ck_assert_int_ge(table_maintain(t, &e), 0); /* three tiles */
	append(db, t, value, START - 60 * NS_PER_S, "a");
	ck_assert_int_ge(table_seal(t, &e), 0);
	append(db, t, value, START - 60 * NS_PER_S, "b");
	ck_assert_int_ge(table_seal(t, &e), 0); /* two runs */
	*in_files = *value;
	for (int i = 0; i < 4; i++)
		append(db, t, value, START - 60 * NS_PER_S, i % 2 ? "a" : "b");
}

static void build(struct world *w)
{
	struct err e = {0};

	*w = (struct world){0};
	w->dirfd = unit_dir(w->dir);
	snprintf(w->path, sizeof w->path, "%s/data", w->dir);
	clock_pin(START);
	struct engine *en = numbered_open(w->path);
	for (int d = 0; d < DBS; d++) {
		struct db *db;
		ck_assert_int_ge(engine_db_create(en, str_from(db_names[d]), &db, &e), 0);
		for (int t = 0; t < TABLES; t++) {
			struct table *table;
			ck_assert_int_ge(db_table_create(db, str_from(table_names[t]), &table, &e), 0);
			fill(db, table, &w->written[d][t], &w->in_files[d][t]);
			table_put(table);
		}
		db_put(db);
	}
	engine_close(en);
}

static void tear_down(struct world *w)
{
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
}

/* ---- reading back ------------------------------------------------------------------------------------------ */

/* Rows that are there, in all; how many could not be read counts as missing. */
static uint32_t count_missing(const struct world *w, int d, int t, struct numbered_seen *s)
{
	struct engine *en = numbered_open(w->path);
	struct db *db = engine_db(en, str_from(db_names[d]));
	struct table *table = db ? db_table(db, str_from(table_names[t])) : NULL;

	struct err e = {0};

	*s = (struct numbered_seen){0};
	if (table && numbered_read(table, w->written[d][t], s, &e) < 0)
		s->n = 0;
	table_put(table);
	db_put(db);
	engine_close(en);
	return w->written[d][t] - s->n;
}

static uint32_t count_all_missing(const struct world *w)
{
	uint32_t n = 0;
	struct numbered_seen s;

	for (int d = 0; d < DBS; d++)
		for (int t = 0; t < TABLES; t++)
			n += count_missing(w, d, t, &s);
	return n;
}

/* ---- fsck ------------------------------------------------------------------------------------------------------ */

struct found {
	uint32_t n, notes, stays;
	char text[4096]; /* "file: what; repair\n" each */
};

static void found(void *ctx, const struct fsck_finding *f)
{
	struct found *to = ctx;
	size_t n = strlen(to->text);

	to->n++;
	to->notes += f->severity == FSCK_NOTE;
	to->stays += f->severity != FSCK_NOTE && (f->outcome == FSCK_STAYS || f->outcome == FSCK_FAILED);
	snprintf(to->text + n, sizeof to->text - n, "%s/%s %s: %s; %s\n", f->db, f->table, f->file, f->what, f->repair);
}

static struct fsck_result check(const struct world *w, bool repair, struct found *f)
{
	struct fsck_options opt = {.repair = repair, .found = found, .ctx = f};
	struct fsck_result r = {0};
	struct err e = {0};

	*f = (struct found){0};
	int rc = fsck_run(w->path, &opt, &r, &e);
	ck_assert_msg(rc >= 0, "fsck_run: %s", err_text(&e, rc));
	return r;
}

/* The check names `file` and says `what`, the repair repairs all, and a second check is clean. */
static void check_and_repair(const struct world *w, const char *file, const char *what, uint32_t problems)
{
	struct found f;
	struct fsck_result r = check(w, false, &f);

	ck_assert_msg(r.problems == problems && !r.repaired, "%llu problems: %s", (unsigned long long)r.problems, f.text);
	ck_assert_msg(strstr(f.text, file) && strstr(f.text, what), "no '%s' and '%s' in: %s", file, what, f.text);
	r = check(w, true, &f);
	ck_assert_msg(r.problems == problems && r.repaired == problems, "%llu of %llu repaired: %s",
		      (unsigned long long)r.repaired, (unsigned long long)r.problems, f.text);
	r = check(w, false, &f);
	ck_assert_msg(r.problems == 0, "after the repair: %s", f.text);
}

/* What a crash leaves behind is named, is no problem, and goes with a repair. */
static void check_leftovers(const struct world *w, const char *file, const char *what, uint32_t notes)
{
	struct found f;
	struct fsck_result r = check(w, false, &f);

	ck_assert_msg(r.problems == 0 && f.notes == notes && f.n == notes, "%u notes: %s", f.notes, f.text);
	ck_assert_msg(strstr(f.text, file) && strstr(f.text, what), "no '%s' and '%s' in: %s", file, what, f.text);
	r = check(w, true, &f);
	ck_assert_msg(r.problems == 0 && f.n == notes, "%s", f.text);
	r = check(w, false, &f);
	ck_assert_msg(r.problems == 0 && f.n == 0, "after the repair: %s", f.text);
}

/* ---- damaging ---------------------------------------------------------------------------------------------------- */

static void shell(const char *fmt, ...) printf_like(1, 2);

static void shell(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	int rc = system(cmd);
	ck_assert_msg(rc == 0, "%s", cmd);
}

/* The first line that a command prints. */
static void ask(char *to, size_t cap, const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	FILE *p = popen(cmd, "r");
	ck_assert_ptr_nonnull(p);
	ck_assert_msg(fgets(to, (int)cap, p) != NULL, "nothing from: %s", cmd);
	to[strcspn(to, "\n")] = '\0';
	pclose(p);
}

static void flip(const char *path, int64_t off, uint8_t with)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, off), 1);
	byte ^= with;
	ck_assert_int_eq(pwrite(fd, &byte, 1, off), 1);
	close(fd);
}

static int64_t size_of(const char *path)
{
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

START_TEST(clean_is_clean)
{
	struct world w;
	struct found f;

	build(&w);
	struct fsck_result r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0 && f.n == 0, "%s", f.text);
	ck_assert_uint_ge(r.files, 4 * 5 + 4 + 2);
	r = check(&w, true, &f);
	ck_assert_msg(r.problems == 0 && f.n == 0, "%s", f.text);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

START_TEST(busy_and_foreign_are_refused)
{
	struct world w;
	struct fsck_options opt = {0};
	struct fsck_result r;
	struct err e = {0};

	build(&w);
	/* flock() is by open file: also against ourselves. */
	struct engine *en = numbered_open(w.path);
	ck_assert_int_eq(fsck_run(w.path, &opt, &r, &e), -EBUSY);
	engine_close(en);
	ck_assert_int_eq(fsck_run(w.dir, &opt, &r, &e), -ENOTEMPTY);
	ck_assert_int_eq(fsck_run("/nowhere/at/all", &opt, &r, &e), -ENOENT);
	tear_down(&w);
}
END_TEST

START_TEST(orphans_go)
{
	struct world w;
	char run[512];

	build(&w);
	ask(run, sizeof run, "ls %s/db/alpha/tables/1/runs/*.run | head -n 1", w.path);
	shell("cp %s %s/db/alpha/tables/1/runs/.77.tmp; cp %s %s/db/beta/tables/2/runs/x.run", run, w.path, run, w.path);
	shell("mkdir %s/db/.dropped-12; touch %s/db/.dropped-12/x", w.path, w.path);
	check_leftovers(&w, "tables/1/runs/.77.tmp", "no transaction", 3);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

/* Killed while a table was made or dropped; but files of a table that nobody knows are somebody's rows. */
START_TEST(halves_of_tables)
{
	struct world w;
	struct found f;

	build(&w);
	shell("mkdir -p %s/db/alpha/tables/4711/runs", w.path);
	check_leftovers(&w, "tables/4711", "not made after all", 1);
	shell("mkdir -p %s/db/alpha/tables/4711/runs; touch %s/db/alpha/tables/4711/runs/x.run", w.path, w.path);
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.problems == 1 && !r.repaired && strstr(f.text, "does not know"), "%s", f.text);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

/* _i: run or tile; damaged or missing; the log emptied; where missing, with an orphan beside it that must not be swept. */
START_TEST(lost_file)
{
	struct world w;
	char path[512], name[256];
	struct numbered_seen s;
	bool is_tile = _i & 1, is_missing = _i & 2, has_no_log = _i & 4;

	build(&w);
	ask(path, sizeof path, "find %s/db/beta/tables/1 -name '*.%s' | sort | head -n 1", w.path, is_tile ? "parquet" : "run");
	snprintf(name, sizeof name, "%s", strrchr(path, '/') + 1);
	if (has_no_log)
		shell("rm %s/db/beta/wal/*.wal", w.path);
	if (is_missing) {
		shell("mv %s %s/db/beta/tables/1/runs/orphan.run", path, w.path);
	} else {
		flip(path, size_of(path) / 2, 0x10);
	}
	check_and_repair(&w, name, is_missing ? "is missing" : "", is_missing ? 2 : 1);
	shell("ls %s/db/beta/tables/1/damaged/%s >/dev/null", w.path, is_missing ? "orphan.run" : name);
	/* The log still has a run's rows, unless it is emptied first. */
	uint32_t lost = is_tile || has_no_log ? ROWS : 0;
	ck_assert_uint_eq(count_missing(&w, 1, 0, &s), lost + (has_no_log ? w.written[1][0] - w.in_files[1][0] : 0));
	if (!has_no_log)
		ck_assert_uint_eq(count_all_missing(&w), lost);
	tear_down(&w);
}
END_TEST

/*
 * A run holds rows from both sides of a deletion. While the catalogue knows the deletion, the log gives the
 * run's rows; when it has forgotten it, what the log gives may be rows that were deleted, and the run is
 * given up. A deletion that was none does no harm.
 */
START_TEST(lost_run_with_a_deletion)
{
	static const char newest_run[] = "find %s/db/beta/tables/1/runs -name '*.run' | sort | tail -n 1";
	bool is_forgotten = _i == 1, is_none = _i == 2;
	struct world w;
	struct deletion *del;
	struct err e = {0};
	struct numbered_seen s;
	char path[512];

	build(&w);
	struct engine *en = numbered_open(w.path);
	struct db *db = engine_db(en, STR_LIT("beta"));
	struct table *t = db_table(db, str_from(table_names[0]));
	ck_assert_int_ge(table_seal(t, &e), 0);
	append(db, t, &w.written[1][0], START - 60 * NS_PER_S, "a");
	ck_assert_int_ge(table_delete_begin(t, &del, &e), 0);
	/* Times without rows: what is deleted is not what is counted here. */
	if (!is_none)
		ck_assert_int_ge(deletion_add(del, 0, UINT32_MAX, START - 3600 * NS_PER_S, START - 3599 * NS_PER_S, &e), 0);
	ck_assert_int_ge(deletion_commit(del, &e), 0);
	append(db, t, &w.written[1][0], START - 60 * NS_PER_S, "a");
	ck_assert_int_ge(table_seal(t, &e), 0);
	if (is_forgotten)
		ck_assert_int_ge(table_maintain(t, &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);

	ask(path, sizeof path, newest_run, w.path);
	flip(path, size_of(path) / 2, 0x10);
	uint32_t before = count_missing(&w, 1, 0, &s);
	ck_assert_uint_gt(before, 0);
	check_and_repair(&w, strrchr(path, '/') + 1, "", 1);
	uint32_t missing = count_missing(&w, 1, 0, &s);
	if (is_forgotten)
		ck_assert_uint_gt(missing, 0);
	else
		ck_assert_uint_eq(missing, 0);
	tear_down(&w);
}
END_TEST

START_TEST(torn_log)
{
	struct world w;
	char log[512];
	struct numbered_seen s;

	build(&w);
	ask(log, sizeof log, "ls %s/db/alpha/wal/*.wal | tail -n 1", w.path);
	shell("head -c 1000 /dev/urandom >> %s", log);
	check_and_repair(&w, strrchr(log, '/') + 1, "no whole batch", 1);
	shell("ls %s/db/alpha/wal/damaged/*.wal >/dev/null", w.path);
	ck_assert_uint_eq(count_missing(&w, 0, 1, &s), 0);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

/* Offsets of the batches of a segment. */
static uint32_t batches_of(const char *path, int64_t *off, uint32_t cap)
{
	int fd = open(path, O_RDONLY);
	uint8_t h[40];
	uint32_t n = 0;

	for (int64_t at = 80; pread(fd, h, sizeof h, at) == (ssize_t)sizeof h && n < cap;) {
		uint32_t bytes;
		memcpy(&bytes, h + 8, 4);
		off[n++] = at;
		at += bytes;
	}
	close(fd);
	return n;
}

/* _i 0: a batch that only has rows; 1: the segment's header; 2: nothing but the salt in it; 3: the first batch. */
START_TEST(hole_in_log)
{
	struct world w;
	char log[512];
	struct numbered_seen s;
	int64_t off[64];

	build(&w);
	ask(log, sizeof log, "ls %s/db/alpha/wal/*.wal | tail -n 1", w.path);
	uint32_t n = batches_of(log, off, 64);
	ck_assert_uint_ge(n, 9);
	/* The last table's last four batches are n-4 .. n-1, but for marks: take the next to last with rows. */
	int64_t at = _i == 0 ? off[n - 4] + 60 : _i == 1 ? 20 : _i == 2 ? 72 : off[0] + 50;
	flip(log, at, 0x40);
	if (_i == 0) {
		check_and_repair(&w, strrchr(log, '/') + 1, "lost: records", 1);
		ck_assert_uint_eq(count_missing(&w, 0, 1, &s), ROWS);
		ck_assert(s.has[0] && s.has[w.written[0][1] - 1]);
	} else {
		check_and_repair(&w, strrchr(log, '/') + 1, _i == 3 ? "lost: records 1" : "lost: records none", 1);
		ck_assert_uint_eq(count_missing(&w, 0, 1, &s), 0); /* what was lost is in files */
	}
	ck_assert_uint_eq(count_missing(&w, 0, 0, &s), 0);
	shell("ls %s/db/alpha/wal/damaged/*.wal >/dev/null", w.path);
	/* And it takes rows again, which are there after the next opening. */
	struct engine *en = numbered_open(w.path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	struct table *t = db_table(db, STR_LIT("cpu"));
	append(db, t, &w.written[0][0], START - 60 * NS_PER_S, "fresh");
	table_put(t);
	db_put(db);
	engine_close(en);
	ck_assert_uint_eq(count_missing(&w, 0, 0, &s), 0);
	tear_down(&w);
}
END_TEST

/* A missing first segment: nothing is swept, nothing is claimed to be repaired. */
START_TEST(log_of_another_time)
{
	struct world w;
	struct found f;

	build(&w);
	shell("cd %s/db/alpha/wal && rm *.wal", w.path);
	shell("cp %s/db/beta/wal/*.wal %s/db/alpha/wal/00000000000000009000-00000009.wal", w.path, w.path);
	shell("cp -r %s/db/alpha/tables/2 %s/db/alpha/tables/77", w.path, w.path);
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.problems >= 2 && f.stays >= 2, "%s", f.text);
	ck_assert_msg(strstr(f.text, "9000") && strstr(f.text, "tables/77"), "%s", f.text);
	shell("ls %s/db/alpha/tables/77/series >/dev/null", w.path);
	tear_down(&w);
}
END_TEST

/* _i 0: a byte in the last block; 1: cut off in it; 2: missing; 3: in the header. The log has all. */
START_TEST(series_file)
{
	struct world w;
	char path[512];

	build(&w);
	snprintf(path, sizeof path, "%s/db/alpha/tables/1/series", w.path);
	if (_i == 0)
		flip(path, size_of(path) - 3, 1);
	else if (_i == 1)
		ck_assert_int_eq(truncate(path, size_of(path) - 5), 0);
	else if (_i == 2)
		ck_assert_int_eq(unlink(path), 0);
	else
		flip(path, 3, 1);
	check_and_repair(&w, "tables/1/series", "", 1);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

/* ---- the catalogue ------------------------------------------------------------------------------------------ */

/* What a database's catalogue says: the copies of its tables and of itself, but for counters. */
static void print_catalog(const struct world *w, struct buf *out)
{
	char path[128];
	struct catalog *c;
	struct err e = {0};
	uint32_t id_max;

	snprintf(path, sizeof path, "%s/db/alpha/catalog.sqlite", w->path);
	int rc = catalog_open(path, false, &c, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	ck_assert_int_eq(catalog_table_id_max(c, &id_max, &e), 0);
	buf_init(out, 1 << 20);
	for (uint32_t id = 1; id <= id_max; id++) {
		rc = catalog_copy_print(c, id, out, &e);
		ck_assert(rc == 0 || rc == -ENOENT);
	}
	catalog_close(c);
}

/* Settings, owners, a deletion, a table that was dropped: what is in no other file. */
static void enrich(const struct world *w)
{
	struct engine *en = numbered_open(w->path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	struct table *t = db_table(db, STR_LIT("cpu"));
	struct deletion *d;
	struct err e = {0};

	ck_assert_int_ge(table_set(t, SET_FUTURE_LIMIT, STR_LIT("7m"), &e), 0);
	ck_assert_int_ge(engine_attr_set(en, db, "cpu/ingest", &(struct node_attr){0220, 7, 8}, &e), 0);
	ck_assert_int_ge(engine_attr_set(en, db, "", &(struct node_attr){0750, 5, 6}, &e), 0);
	ck_assert_int_ge(engine_attr_set(en, NULL, "query", &(struct node_attr){0600, 1, 2}, &e), 0);
	ck_assert_int_ge(table_delete_begin(t, &d, &e), 0);
	ck_assert_int_ge(deletion_add(d, 0, 1000, START - 2 * NS_PER_DAY, START - NS_PER_DAY - 1, &e), 0); /* the second batch */
	ck_assert_int_ge(deletion_commit(d, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("gone"), NULL, &e), 0);
	ck_assert_int_ge(db_table_drop(db, STR_LIT("gone"), true, &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
}

static void check_enriched(const struct world *w)
{
	struct engine *en = numbered_open(w->path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	struct table *t = db_table(db, STR_LIT("cpu")), *fresh;
	struct node_attr a;
	struct err e = {0};
	char text[SETTING_TEXT_MAX];

	ck_assert_msg(!db_failure(db), "%s", db_failure(db));
	ck_assert_ptr_nonnull(t);
	ck_assert_ptr_null(db_table(db, STR_LIT("gone")));
	table_setting(t, SET_FUTURE_LIMIT, text);
	ck_assert_str_eq(text, "7m");
	table_setting(t, SET_RETENTION_MEMORY, text);
	ck_assert_str_eq(text, "1h");
	ck_assert(engine_attr(en, db, "cpu/ingest", &a) && a.mode == 0220 && a.uid == 7 && a.gid == 8);
	ck_assert(engine_attr(en, db, "", &a) && a.mode == 0750 && a.uid == 5);
	ck_assert(engine_attr(en, NULL, "query", &a) && a.mode == 0600);
	ck_assert_int_gt(db_created_ns(db), 0);
	/* No id is given out again: 3 was the dropped table's. */
	ck_assert_int_ge(db_table_create(db, STR_LIT("fresh"), &fresh, &e), 0);
	ck_assert_uint_gt(fresh->meta.id, 3);
	table_put(fresh);
	table_put(t);
	db_put(db);
	engine_close(en);
}

/* Rows that were there before are, the deleted ones are not. */
static void check_rows_of_enriched(const struct world *w)
{
	struct numbered_seen s;

	ck_assert_uint_eq(count_missing(w, 0, 0, &s), ROWS);
	for (uint32_t v = 0; v < w->written[0][0]; v++)
		ck_assert_msg(s.has[v] == (v < ROWS || v >= 2 * ROWS), "row %u", v);
	ck_assert_uint_eq(count_missing(w, 0, 1, &s), 0);
	ck_assert_uint_eq(count_missing(w, 1, 0, &s), 0);
}

static void damage_catalog(const struct world *w, int how, const char *path)
{
	char wal[140];
	sqlite3 *db;

	snprintf(wal, sizeof wal, "%s-wal", path);
	switch (how) {
	case 0:
		for (int i = 0; i < 64; i++)
			flip(path, 4096 + i * 31, 0xff);
		break;
	case 1:
		shell("dd if=/dev/zero of=%s bs=4096 count=8 conv=notrunc 2>/dev/null", path);
		break;
	case 2:
		ck_assert_int_eq(truncate(path, 0), 0);
		break;
	case 3:
		ck_assert_int_eq(unlink(path), 0);
		break;
	case 4:
		flip(path, 63, 2); /* its format is 3 now */
		break;
	case 5: /* as a changed bit in a row */
		ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
		ck_assert_int_eq(sqlite3_exec(db, "UPDATE files SET t_max_ns = t_max_ns + 1 WHERE id = 2", NULL, NULL, NULL),
				 SQLITE_OK);
		sqlite3_close(db);
		break;
	case 6:
		shell("head -c 9000 /dev/urandom > %s; cp %s %s", path, path, wal);
		break;
	}
	(void)w;
}

START_TEST(damaged_catalogue)
{
	struct world w;
	struct buf before, after;
	char path[128];

	build(&w);
	enrich(&w);
	check_rows_of_enriched(&w);
	print_catalog(&w, &before);
	snprintf(path, sizeof path, "%s/db/alpha/catalog.sqlite", w.path);
	damage_catalog(&w, _i, path);
	/* The others are served meanwhile, and this one says what would help. */
	struct engine *en = numbered_open(w.path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	ck_assert_ptr_nonnull(db_failure(db));
	ck_assert_msg(_i == 2 || _i == 4 || strstr(db_failure(db), "fsck"), "%s", db_failure(db));
	db_put(db);
	engine_close(en);
	check_and_repair(&w, "catalog.sqlite", _i == 4 ? "format" : "", 1);
	print_catalog(&w, &after);
	ck_assert_msg(str_eq(buf_str(&before), buf_str(&after)), "before: %.*s\nafter: %.*s", STR_FMT(buf_str(&before)),
		      STR_FMT(buf_str(&after)));
	if (_i != 3)
		shell("ls %s/db/alpha/damaged/catalog.sqlite >/dev/null", w.path);
	check_rows_of_enriched(&w);
	check_enriched(&w);
	check_rows_of_enriched(&w);
	struct found f;
	struct fsck_result r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0, "%s", f.text);
	buf_release(&before);
	buf_release(&after);
	tear_down(&w);
}
END_TEST

/* _i 0: one table's copy is missing; 1: it is damaged; 2: all are missing; 3: the database's own. */
START_TEST(copies_that_are_missing)
{
	struct world w;
	struct found f;
	struct numbered_seen s;
	char path[128];

	build(&w);
	enrich(&w);
	snprintf(path, sizeof path, "%s/db/alpha/catalog.sqlite", w.path);
	if (_i == 0)
		shell("rm %s/db/alpha/tables/2/table.json", w.path);
	else if (_i == 1)
		shell("sed -i 's/mem/men/' %s/db/alpha/tables/2/table.json", w.path);
	else if (_i == 2)
		shell("rm %s/db/alpha/tables/*/table.json", w.path);
	else
		shell("rm %s/db/alpha/catalog.json", w.path);
	damage_catalog(&w, 0, path);
	struct fsck_result r = check(&w, true, &f);
	if (_i == 2) {
		ck_assert_msg(r.problems == 1 && r.repaired == 0 && strstr(f.text, "backup"), "%s", f.text);
		shell("ls %s >/dev/null; ls %s/db/alpha/tables/1/series >/dev/null; ! ls %s/db/alpha/*.new 2>/dev/null", path, w.path,
		      w.path);
		tear_down(&w);
		return;
	}
	ck_assert_msg(r.problems == r.repaired && r.problems >= 1, "%s", f.text);
	r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0, "%s", f.text);
	if (_i == 3) {
		check_rows_of_enriched(&w);
	} else {
		shell("ls %s/db/alpha/damaged/tables/2/series >/dev/null", w.path);
		ck_assert_uint_eq(count_missing(&w, 0, 0, &s), ROWS);
		ck_assert_uint_eq(count_missing(&w, 0, 1, &s), w.written[0][1]);
		shell("ls %s/db/alpha/damaged/tables/2/series >/dev/null", w.path); /* nor does a mount sweep it */
	}
	tear_down(&w);
}
END_TEST

/* A crash between a commit and its copy: the copy is one change behind, and nothing is lost by it. */
START_TEST(copy_one_change_behind)
{
	struct world w;
	char path[128];
	struct err e = {0};

	build(&w);
	snprintf(path, sizeof path, "%s/db/alpha/catalog.sqlite", w.path);
	shell("cp %s/db/alpha/tables/1/table.json %s/old.json", w.path, w.dir);
	struct engine *en = numbered_open(w.path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	struct table *t = db_table(db, STR_LIT("cpu"));
	ck_assert_int_ge(table_seal(t, &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
	shell("cp %s/old.json %s/db/alpha/tables/1/table.json", w.dir, w.path);
	damage_catalog(&w, 1, path);
	/* The run that it does not name is one too many: the log has its rows. */
	struct found f;
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.problems == 1 && r.repaired == 1 && f.notes == 1 && strstr(f.text, "no transaction"), "%s", f.text);
	ck_assert_uint_eq(count_all_missing(&w), 0);
	tear_down(&w);
}
END_TEST

/* A deletion of very many stretches is not copied; that is said, and what it means. */
START_TEST(deletion_too_large_for_a_copy)
{
	struct world w;
	struct found f;
	char path[128];
	struct deletion *d;
	struct numbered_seen s;
	struct err e = {0};

	build(&w);
	struct engine *en = numbered_open(w.path);
	struct db *db = engine_db(en, STR_LIT("alpha"));
	struct table *t = db_table(db, STR_LIT("cpu"));
	ck_assert_int_ge(table_delete_begin(t, &d, &e), 0);
	ck_assert_int_ge(deletion_add(d, 0, 0, START - 2 * NS_PER_DAY, START - NS_PER_DAY - 1, &e), 0);
	for (int64_t i = 0; i < 30000; i++)
		ck_assert_int_ge(deletion_add(d, 5, 5, i * 1000003, i * 1000003 + i % 977, &e), 0);
	ck_assert_int_ge(deletion_commit(d, &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
	uint32_t deleted = count_missing(&w, 0, 0, &s);
	snprintf(path, sizeof path, "%s/db/alpha/catalog.sqlite", w.path);
	damage_catalog(&w, 0, path);
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.repaired == r.problems && strstr(f.text, "may come back"), "%s", f.text);
	ck_assert_uint_le(count_missing(&w, 0, 0, &s), deleted);
	tear_down(&w);
}
END_TEST

/* The root's: without it nothing is mounted, for it holds who may do what. _i 1: without its copy. */
START_TEST(damaged_root_catalogue)
{
	struct engine_options opt = {.no_background = true};
	struct world w;
	char path[128];
	struct engine *en;
	struct err e = {0};
	struct node_attr a;

	build(&w);
	enrich(&w);
	snprintf(path, sizeof path, "%s/catalog.sqlite", w.path);
	for (int i = 0; i < 64; i++)
		flip(path, 4096 + i * 31, 0xff);
	if (_i)
		shell("rm %s/catalog.json", w.path);
	ck_assert_int_eq(engine_open(w.path, &opt, &en, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, "catalog.sqlite"));
	check_and_repair(&w, "catalog.sqlite", "", 1);
	en = numbered_open(w.path);
	ck_assert(engine_attr(en, NULL, "query", &a) == !_i);
	engine_close(en);
	check_rows_of_enriched(&w);
	tear_down(&w);
}
END_TEST

/* An empty directory where a database was: the disk is not there. */
START_TEST(a_cell_that_is_not_there)
{
	struct world w;
	struct found f;

	build(&w);
	shell("mv %s/db/beta %s/elsewhere && mkdir %s/db/beta", w.path, w.dir, w.path);
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.problems == 1 && !r.repaired && strstr(f.text, "mount the disk"), "%s", f.text);
	tear_down(&w);
}
END_TEST

/* One byte anywhere: found, or every row is still there. Repairs lose at most what was hit. */
START_TEST(random_bytes)
{
	struct unit_rng r = unit_rng();
	struct world w;
	struct found f;
	char good[80], path[512];

	build(&w);
	snprintf(good, sizeof good, "%s/good", w.dir);
	shell("cp -a %s %s", w.path, good);
	r.state += (uint64_t)_i * 7919;
	for (int k = 0; k < 12; k++) {
		shell("rm -rf %s && cp -a %s %s", w.path, good, w.path);
		ask(path, sizeof path,
		    "find %s -type f -size +0 ! -name lock ! -name tidefs.format | sort | "
		    "awk '{a[NR]=$0} END {print a[1 + %u %% NR]}'",
		    w.path, (unsigned)unit_below(&r, 1000000));
		int64_t off = (int64_t)unit_below(&r, (uint64_t)size_of(path));
		uint8_t with = (uint8_t)(1 + unit_below(&r, 255));
		flip(path, off, with);
		struct fsck_result res = check(&w, false, &f);
		if (!res.problems) {
			uint32_t gone = count_all_missing(&w);
			unit_assert(&r, gone == 0, "%s byte %lld: %u rows gone, and nothing found; notes %u", path, (long long)off,
				    gone, f.notes);
			continue;
		}
		res = check(&w, true, &f);
		unit_assert(&r, res.repaired == res.problems, "%s byte %lld: %s", path,
			    (long long)off, f.text);
		res = check(&w, false, &f);
		unit_assert(&r, res.problems == 0, "%s byte %lld, after the repair: %s", path, (long long)off, f.text);
		uint32_t gone = count_all_missing(&w);
		unit_assert(&r, gone <= ROWS, "%s byte %lld: %u rows gone", path, (long long)off, gone);
	}
	tear_down(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fsck");
	TCase *tc = tcase_create("fsck");

	unit_in_memory();
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, clean_is_clean);
	tcase_add_test(tc, busy_and_foreign_are_refused);
	tcase_add_test(tc, orphans_go);
	tcase_add_test(tc, halves_of_tables);
	tcase_add_loop_test(tc, lost_file, 0, 8);
	tcase_add_loop_test(tc, lost_run_with_a_deletion, 0, 3);
	tcase_add_test(tc, torn_log);
	tcase_add_loop_test(tc, hole_in_log, 0, 4);
	tcase_add_test(tc, log_of_another_time);
	tcase_add_loop_test(tc, series_file, 0, 4);
	tcase_add_loop_test(tc, damaged_catalogue, 0, 7);
	tcase_add_loop_test(tc, copies_that_are_missing, 0, 4);
	tcase_add_test(tc, copy_one_change_behind);
	tcase_add_test(tc, deletion_too_large_for_a_copy);
	tcase_add_loop_test(tc, damaged_root_catalogue, 0, 2);
	tcase_add_test(tc, a_cell_that_is_not_there);
	tcase_add_loop_test(tc, random_bytes, 0, 4);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
