/*
 * Restoring: the rows of a tile come back, into its own table or another one, whole or not at all.
 *
 * A table is told by its rows as text, one line an identity; a copy of a tile is its bytes. TIDE_SEED
 * replays.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/fsck.h"
#include "engine/ingest.h"
#include "engine/internal.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define NOW (INT64_C(1700000000) * NS_PER_S)

struct world {
	char dir[64];
	int dirfd;
	struct io *io;
	struct engine *en;
	struct db *db;
};

static void up(struct world *w)
{
	struct engine_options opt = {.io = w->io, .no_background = true, .sync_interval_ns = -1};
	struct db_status st;
	struct err e = {0};
	int rc = engine_open(w->dir, &opt, &w->en, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_ge(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	db_status(w->db, &st);
	ck_assert_msg(!st.failed && !st.read_only, "%s", st.reason);
}

static void down(struct world *w)
{
	db_put(w->db);
	engine_close(w->en);
}

static void world_init(struct world *w)
{
	clock_pin(NOW);
	w->io = io_fault_create();
	w->dirfd = unit_dir(w->dir);
	up(w);
}

static void world_release(struct world *w)
{
	down(w);
	io_fault_destroy(w->io);
	unit_dir_remove(w->dirfd, w->dir);
	clock_pin(0);
}

static struct table *table(struct world *w, const char *name)
{
	struct err e = {0};
	struct table *t = db_table(w->db, str_from(name));

	if (!t)
		ck_assert_int_ge(db_table_create(w->db, str_from(name), &t, &e), 0);
	return t;
}

static void feed(struct table *t, const char *lines)
{
	struct ingest_source src = {.file = "test"};
	struct err e = {0};
	struct ingest *in;

	ck_assert_int_ge(ingest_open(table_db(t), t, &src, &in, &e), 0);
	int64_t rc = ingest_write(in, lines, strlen(lines), &e);
	ck_assert_msg(rc == (int64_t)strlen(lines), "%s", err_text(&e, (int)rc));
	ingest_close(in);
}

/* Everything old enough to tiles. */
static void settle(struct table *t)
{
	struct err e = {0};

	ck_assert_msg(table_seal(t, &e) >= 0 && table_maintain(t, &e) >= 0, "%s", e.text);
}

/* ---- rows as text ----------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y, void *ctx)
{
	return str_cmp(series_column(ctx, *(const uint32_t *)x)->name, series_column(ctx, *(const uint32_t *)y)->name);
}

static void add_value(struct buf *out, const struct col *c, uint32_t i)
{
	if (c->type == COL_VARCHAR)
		buf_addf(out, "\"%.*s\"", STR_FMT(c->str[i]));
	else if (c->type == COL_DOUBLE)
		buf_addf(out, "%.17g", c->f64[i]);
	else
		buf_addf(out, "%lld", (long long)(c->type == COL_BOOLEAN ? c->b8[i] : c->i64[i]));
}

/* "m,host=a v=1 s="x" @123#1" a line: columns by name, so that the order of definition does not show. */
static void dump(struct table *t, struct buf *out)
{
	struct series_set *set = table_series(t);
	uint32_t n = series_column_count(set), *order = malloc((n + 1) * sizeof *order), *fields, field_n;
	struct scan_batch b;
	struct scan *scan;
	struct err e = {0};
	int rc;

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof *order, by_name, set);
	fields = malloc((n + 1) * sizeof *fields);
	field_n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (series_column(set, order[i])->kind != COLKIND_DIMENSION)
			fields[field_n++] = order[i];
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = fields, .col_count = field_n,
				 .times_wanted = true, .versions_wanted = true};
	ck_assert_int_ge(scan_open(t, &spec, NULL, &scan, &e), 0);
	while ((rc = scan_next(scan, &b, &e)) > 0)
		for (uint32_t r = 0; r < b.run_count; r++)
			for (uint32_t i = b.runs[r].start; i < b.runs[r].start + b.runs[r].count; i++) {
				uint32_t id = b.runs[r].series_id;
				buf_addf(out, "%.*s", STR_FMT(series_measure(set, id)));
				for (uint32_t k = 0; k < n; k++)
					if (series_column(set, order[k])->kind == COLKIND_DIMENSION &&
					    series_dim_code(set, id, order[k]) != DIM_ABSENT)
						buf_addf(out, ",%.*s=%.*s", STR_FMT(series_column(set, order[k])->name),
							 STR_FMT(series_dict_value(set, order[k],
										   series_dim_code(set, id, order[k]))));
				for (uint32_t c = 0; c < field_n; c++)
					if (!b.cols[c].valid || b.cols[c].valid[i]) {
						buf_addf(out, " %.*s=", STR_FMT(series_column(set, fields[c])->name));
						add_value(out, &b.cols[c], i);
					}
				buf_addf(out, " @%lld#%lld\n", (long long)b.time_ns[i],
					 (long long)MAX(b.version[i], INT64_C(1)));
			}
	ck_assert_msg(rc == 0, "%s", e.text);
	scan_close(scan);
	free(order);
	free(fields);
}

static char *rows(struct table *t)
{
	struct buf out;

	buf_init(&out, 64 << 20);
	dump(t, &out);
	buf_addc(&out, '\0');
	ck_assert_int_eq(out.rc, 0);
	return out.data; /* the caller's */
}

static void check_rows(struct table *t, const char *want)
{
	char *got = rows(t);

	ck_assert_str_eq(got, want);
	free(got);
}

/* ---- tiles as bytes ---------------------------------------------------------------------------------- */

struct bytes {
	char *p;
	size_t n;
};

static struct bytes tile_bytes(struct table *t, const char *path)
{
	struct err e = {0};
	struct bytes b;
	struct stat st;
	int fd;

	ck_assert_int_ge(table_tile_fd(t, path, &fd, &e), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	b.n = (size_t)st.st_size;
	b.p = malloc(b.n);
	ck_assert_int_eq(pread(fd, b.p, b.n, 0), (ssize_t)b.n);
	close(fd);
	return b;
}

/* The only tile there is. */
static struct bytes the_tile(struct table *t)
{
	struct tile_entry *v;
	uint32_t n;

	ck_assert_int_ge(table_tiles(t, &v, &n), 0);
	ck_assert_uint_eq(n, 1);
	struct bytes b = tile_bytes(t, v[0].path);
	free(v);
	return b;
}

static int restore(struct table *t, struct bytes b, struct err *e)
{
	struct restore *r;
	int fd, rc = table_restore_begin(t, &r, &fd, e);

	if (rc < 0)
		return rc;
	ck_assert_int_eq(pwrite(fd, b.p, b.n, 0), (ssize_t)b.n);
	rc = table_restore_commit(r, "x.parquet", e);
	table_restore_close(r);
	return rc;
}

static void must_restore(struct table *t, struct bytes b)
{
	struct err e = {0};
	int rc = restore(t, b, &e);

	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

static void must_refuse(struct table *t, struct bytes b, int want, const char *word)
{
	struct err e = {0};
	int rc = restore(t, b, &e);

	ck_assert_msg(rc == want, "%d, should be %d: %s", rc, want, e.text);
	ck_assert_msg(strncmp(e.text, "x.parquet: ", 11) == 0, "names no file: %s", e.text);
	ck_assert_msg(strstr(e.text, word) != NULL, "says nothing of '%s': %s", word, e.text);
}

static uint32_t count_files(const struct world *w, struct table *t, const char *below)
{
	char path[128];
	struct dirent *x;
	uint32_t n = 0;

	snprintf(path, sizeof path, "db/d/%s/%s", t->dir, below);
	int fd = openat(w->dirfd, path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (x = readdir(d)))
		n += x->d_type == DT_REG;
	if (d)
		closedir(d);
	return n;
}

static void check_orphans(const struct world *w, struct table *t)
{
	struct table_stats st;

	table_stats(t, &st);
	ck_assert_uint_eq(count_files(w, t, "runs"), st.runs.files);
	ck_assert_uint_eq(count_files(w, t, "incoming"), 0);
}

/* Old enough for magnetic/: the defaults keep six hours in memory. */
static const char old_rows[] =
	"m,host=a,zone=z v=1i,s=\"x\" 1699900000000000000\n"
	"m,host=a,zone=z v=2i 1699900001000000005\n"
	"m,host=b v=3i,d=1.5,ok=t 1699900000000000000\n"
	"k d=2.5 1699900002000000000\n";

/* ---- the same table --------------------------------------------------------------------------------------- */

START_TEST(brings_back_what_was_removed)
{
	struct world w;
	struct tile_entry *v;
	struct err e = {0};
	uint32_t n;

	world_init(&w);
	struct table *t = table(&w, "t");
	feed(t, old_rows);
	settle(t);
	char *want = rows(t);
	ck_assert(strstr(want, "host=b") != NULL);
	struct bytes b = the_tile(t);
	ck_assert_int_ge(table_tiles(t, &v, &n), 0);
	ck_assert_int_ge(table_tile_remove(t, v[0].path, &e), 0);
	free(v);
	check_rows(t, "");
	must_restore(t, b);
	check_rows(t, want);
	check_orphans(&w, t);
	/* And as a tile again, and after a restart. */
	settle(t);
	check_rows(t, want);
	ck_assert_int_ge(table_tiles(t, &v, &n), 0);
	ck_assert_uint_eq(n, 1);
	free(v);
	table_put(t);
	down(&w);
	up(&w);
	t = table(&w, "t");
	check_rows(t, want);
	check_orphans(&w, t);
	/* Over itself, twice: nothing changes. */
	must_restore(t, b);
	must_restore(t, b);
	check_rows(t, want);
	table_put(t);
	down(&w);
	struct fsck_result fr;
	ck_assert_int_ge(fsck_run(w.dir, &(struct fsck_options){.repair = false}, &fr, &e), 0);
	ck_assert_uint_eq(fr.problems, 0);
	up(&w);
	t = table(&w, "t");
	settle(t);
	check_rows(t, want);
	table_put(t);
	free(b.p);
	free(want);
	world_release(&w);
}
END_TEST

/* Newer than what was acknowledged before, older than what comes after; in memory, runs and tiles. */
START_TEST(is_written_now)
{
	for (int sealed = 0; sealed < 4; sealed++) {
		struct world w;
		world_init(&w);
		struct table *t = table(&w, "t");
		feed(t, "m v=1i,x=1i 1699900000000000000\nm v=1i 1699900001000000000\n");
		settle(t);
		struct bytes b = the_tile(t);
		/* A patch, which the restored row replaces whole: y goes. */
		feed(t, "m v=2i,y=2i 1699900000000000000\nm v=2i 1699900009000000000\n");
		if (sealed & 1)
			settle(t);
		must_restore(t, b);
		feed(t, "m y=3i 1699900001000000000\nm z=4i 1699900000000000000\n");
		if (sealed & 2)
			settle(t);
		const char *want = "m v=1 x=1 z=4 @1699900000000000000#1\n"
				   "m v=1 y=3 @1699900001000000000#1\n"
				   "m v=2 @1699900009000000000#1\n";
		check_rows(t, want);
		table_put(t);
		down(&w);
		up(&w);
		t = table(&w, "t");
		check_rows(t, want);
		settle(t);
		check_rows(t, want);
		table_put(t);
		free(b.p);
		world_release(&w);
	}
}
END_TEST

static void erase_all(struct table *t)
{
	struct deletion *d;
	struct err e = {0};

	ck_assert_int_ge(table_delete_begin(t, &d, &e), 0);
	ck_assert_int_ge(deletion_add(d, 0, UINT32_MAX, INT64_MIN, INT64_MAX, &e), 0);
	ck_assert_int_ge(deletion_commit(d, &e), 0);
}

START_TEST(deletes_before_it_do_not_concern_it)
{
	struct world w;

	world_init(&w);
	struct table *t = table(&w, "t");
	feed(t, old_rows);
	settle(t);
	char *want = rows(t);
	struct bytes b = the_tile(t);
	erase_all(t);
	check_rows(t, "");
	must_restore(t, b);
	check_rows(t, want);
	table_put(t);
	down(&w);
	up(&w);
	t = table(&w, "t");
	check_rows(t, want);
	settle(t);
	check_rows(t, want);
	erase_all(t);
	check_rows(t, "");
	settle(t);
	check_rows(t, "");
	table_put(t);
	free(b.p);
	free(want);
	world_release(&w);
}
END_TEST

/* ---- another table ---------------------------------------------------------------------------------------------- */

START_TEST(another_table_with_other_ids)
{
	struct world w;

	world_init(&w);
	struct table *from = table(&w, "from"), *to = table(&w, "to");
	feed(from, old_rows);
	settle(from);
	/* The same names, defined in another order, beside others that sort between them. */
	feed(to, "k,aaa=1,hosu=x,zone=z ok=f,zz=1i 1699900000000000000\n"
		 "m,host=b s=\"later\",d=9.5,extra=1i 1699900000000000000\n"
		 "m,host=c,zone=z v=9i 1699900000000000000\n");
	struct bytes b = the_tile(from);
	must_restore(to, b);
	const char *want =
		"k d=2.5 @1699900002000000000#1\n"
		"m,host=a,zone=z s=\"x\" v=1 @1699900000000000000#1\n"
		"m,host=a,zone=z v=2 @1699900001000000005#1\n"
		"m,host=b d=1.5 ok=1 v=3 @1699900000000000000#1\n"
		"m,host=c,zone=z v=9 @1699900000000000000#1\n"
		"k,aaa=1,hosu=x,zone=z ok=0 zz=1 @1699900000000000000#1\n";
	/* Series order is by column names; sorted as text it does not depend on them. */
	char *got = rows(to);
	for (const char *p = want; *p; p = strchr(p, '\n') + 1) {
		char line[128];
		snprintf(line, sizeof line, "%.*s", (int)(strchr(p, '\n') + 1 - p), p);
		ck_assert_msg(strstr(got, line) != NULL, "no line '%s' in\n%s", line, got);
	}
	ck_assert_uint_eq(strlen(got), strlen(want));
	settle(to);
	check_rows(to, got);
	free(got);
	/* Into an empty one, and from there back: the same rows. */
	struct table *empty = table(&w, "empty");
	got = rows(from);
	must_restore(empty, b);
	check_rows(empty, got);
	settle(empty);
	struct bytes again = the_tile(empty);
	erase_all(from);
	must_restore(from, again);
	check_rows(from, got);
	free(got);
	free(again.p);
	free(b.p);
	table_put(from);
	table_put(to);
	table_put(empty);
	world_release(&w);
}
END_TEST

START_TEST(conflicts_refuse_the_whole_file)
{
	static const struct {
		const char *line, *word;
	} cases[] = {
		{"m,host=a v=1.5 1699900000000000000\n", "'v'"},       /* another type */
		{"m,host=a v=\"x\" 1699900000000000000\n", "'v'"},
		{"m,v=a q=1i 1699900000000000000\n", "'v'"},           /* a dimension there */
		{"m host=1i 1699900000000000000\n", "'host'"},          /* and the other way round */
		{"m,host=a V=1i 1699900000000000000\n", "case"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		world_init(&w);
		struct table *from = table(&w, "from"), *to = table(&w, "to");
		feed(from, old_rows);
		settle(from);
		struct bytes b = the_tile(from);
		feed(to, cases[i].line);
		char *want = rows(to);
		uint32_t columns = series_column_count(table_series(to)), series = series_count(table_series(to));
		must_refuse(to, b, -EINVAL, cases[i].word);
		check_rows(to, want);
		ck_assert_uint_eq(series_column_count(table_series(to)), columns);
		ck_assert_uint_eq(series_count(table_series(to)), series);
		check_orphans(&w, to);
		free(want);
		free(b.p);
		table_put(from);
		table_put(to);
		world_release(&w);
	}
}
END_TEST

/* Records of one measure: the measure name is bound to the same type, or the file is refused. */
static void add_single(struct table *t, const char *measure, int64_t time_ns, double v, int64_t version)
{
	struct series_set *set = table_series(t);
	struct err e = {0};
	struct batch b;
	int64_t col = series_add_column(set, STR_LIT("measure_value::double"), COLKIND_MEASURE_VALUE, COL_DOUBLE, &e);
	int64_t id = series_intern(set, str_from(measure), MEASURE_DOUBLE, NULL, 0, &e);

	ck_assert(col >= 0 && id >= 0);
	batch_init(&b);
	ck_assert_int_ge(batch_reserve(&b), 0);
	int slot = batch_col(&b, (uint32_t)col, COL_DOUBLE);
	ck_assert_int_ge(slot, 0);
	b.series[0] = (uint32_t)id;
	b.time_ns[0] = time_ns;
	b.cols[slot].col.f64[0] = v;
	b.cols[slot].col.valid[0] = 1;
	b.cols[slot].has_values = true;
	if (version) {
		b.has_version = true;
		b.version[0] = version;
	}
	b.n = 1;
	struct table_batch tb = {.table = t, .batch = &b};
	int rc = db_append(table_db(t), &tb, 1, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	ck_assert_uint_eq(tb.conflict_n, 0);
	free(tb.conflicts);
	batch_release(&b);
}

START_TEST(single_measures_and_versions)
{
	struct world w;
	struct err e = {0};

	world_init(&w);
	struct table *from = table(&w, "from"), *to = table(&w, "to"), *other = table(&w, "other");
	add_single(from, "temp", INT64_C(1699900000000000000), 1.5, 0);
	add_single(from, "temp", INT64_C(1699900001000000000), 2.5, 7);
	feed(from, "m v=1i 1699900000000000000\n");
	settle(from);
	struct bytes b = the_tile(from);
	must_restore(to, b);
	char *want = rows(from);
	ck_assert(strstr(want, "2.5 @1699900001000000000#7\n") != NULL);
	check_rows(to, want);
	ck_assert_int_eq(series_intern(table_series(to), STR_LIT("temp"), MEASURE_MULTI, NULL, 0, &e), -EEXIST);
	/* Its version counts: less is refused, more replaces. What was not seen yet is not thought new. */
	add_single(to, "temp", INT64_C(1699900001000000000), 3.5, 8);
	settle(to);
	free(want);
	want = rows(to);
	ck_assert(strstr(want, "3.5 @1699900001000000000#8\n") != NULL);
	/* A restored row replaces what is there whatever its version. */
	must_restore(to, b);
	free(want);
	want = rows(from);
	check_rows(to, want);
	settle(to);
	check_rows(to, want);
	/* A measure name that is bound otherwise. */
	feed(other, "temp v=1i 1699900000000000000\n");
	must_refuse(other, b, -EINVAL, "temp");
	free(want);
	free(b.p);
	table_put(from);
	table_put(to);
	table_put(other);
	world_release(&w);
}
END_TEST

/* After a restore a version below the restored one is refused, also past the last time that was known. */
START_TEST(versions_know_restored_rows)
{
	struct world w;
	struct err e = {0};
	struct batch b;

	world_init(&w);
	struct table *from = table(&w, "from"), *t = table(&w, "t");
	add_single(from, "temp", INT64_C(1699900005000000000), 2.5, 7);
	settle(from);
	struct bytes tile = the_tile(from);
	add_single(t, "temp", INT64_C(1699900000000000000), 1.5, 2); /* the last times are known from here on */
	must_restore(t, tile);
	batch_init(&b);
	ck_assert_int_ge(batch_reserve(&b), 0);
	int64_t col = series_find_column(table_series(t), STR_LIT("measure_value::double"));
	int slot = batch_col(&b, (uint32_t)col, COL_DOUBLE);
	b.series[0] = (uint32_t)series_intern(table_series(t), STR_LIT("temp"), MEASURE_DOUBLE, NULL, 0, &e);
	b.time_ns[0] = INT64_C(1699900005000000000);
	b.cols[slot].col.f64[0] = 9;
	b.cols[slot].col.valid[0] = 1;
	b.cols[slot].has_values = true;
	b.has_version = true;
	b.version[0] = 6;
	b.n = 1;
	struct table_batch tb = {.table = t, .batch = &b};
	ck_assert_int_ge(db_append(w.db, &tb, 1, &e), 0);
	ck_assert_uint_eq(tb.conflict_n, 1);
	ck_assert_int_eq(tb.conflicts[0].existing, 7);
	free(tb.conflicts);
	batch_release(&b);
	free(tile.p);
	table_put(from);
	table_put(t);
	world_release(&w);
}
END_TEST

/* ---- damage -------------------------------------------------------------------------------------------------------- */

START_TEST(damage_is_refused_wherever_it_is)
{
	struct unit_rng r = unit_rng();
	struct world w;

	world_init(&w);
	struct table *from = table(&w, "from"), *to = table(&w, "to");
	struct buf lines;
	buf_init(&lines, 1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_addf(&lines, "m,host=h%d v=%di,d=%d.25,s=\"text %d\" %lld\n", i % 7, i, i, i % 100,
			 (long long)(INT64_C(1699880000) + i) * NS_PER_S + i);
	buf_addc(&lines, '\0');
	feed(from, lines.data);
	buf_release(&lines);
	settle(from);
	struct bytes b = the_tile(from);
	/* Every byte of the ends, and some between. */
	for (int k = 0; k < 600; k++) {
		size_t at = k < 100 ? (size_t)k : k < 200 ? b.n - 1 - (size_t)(k - 100) : unit_below(&r, b.n);
		char was = b.p[at];
		struct err e = {0};
		b.p[at] ^= (char)(1 << unit_below(&r, 8));
		int rc = restore(to, b, &e);
		unit_assert(&r, rc == -EBADMSG || rc == -EINVAL, "byte %zu of %zu: %d %s", at, b.n, rc, e.text);
		b.p[at] = was;
	}
	/* Cut, empty, longer, and something else. */
	for (int k = 0; k < 100; k++) {
		size_t n = k < 20 ? (size_t)k : unit_below(&r, b.n);
		must_refuse(to, (struct bytes){b.p, n}, -EBADMSG, "Parquet");
	}
	char *longer = calloc(1, b.n + 10);
	memcpy(longer, b.p, b.n);
	must_refuse(to, (struct bytes){longer, b.n + 10}, -EBADMSG, "PAR1");
	/* Two behind each other: each byte is checked, and the first ones belong to nothing. */
	char *twice = malloc(2 * b.n);
	memcpy(twice, b.p, b.n);
	memcpy(twice + b.n, b.p, b.n);
	struct err e = {0};
	ck_assert_int_eq(restore(to, (struct bytes){twice, 2 * b.n}, &e), -EBADMSG);
	check_rows(to, "");
	ck_assert_uint_eq(series_count(table_series(to)), 0);
	check_orphans(&w, to);
	must_restore(to, b);
	char *want = rows(from);
	check_rows(to, want);
	free(want);
	free(longer);
	free(twice);
	free(b.p);
	table_put(from);
	table_put(to);
	world_release(&w);
}
END_TEST

/* A tile by hand, right in every byte: only what it says cannot be. */
struct odd {
	const char *dim, *dim_value, *measure, *field;
	enum coltype type;
	struct str text;
	int64_t version;
	const char *word;
};

static struct bytes read_odd(struct world *w, const struct tile_summary *sum)
{
	int fd = openat(w->dirfd, "odd", O_RDONLY);
	struct bytes b = {malloc(sum->file_bytes), sum->file_bytes};

	ck_assert_int_eq(pread(fd, b.p, b.n, 0), (ssize_t)b.n);
	close(fd);
	unlinkat(w->dirfd, "odd", 0);
	return b;
}

static struct bytes make_odd(struct world *w, const struct odd *o)
{
	const struct io *io = io_posix();
	struct tile_field field = {str_from(o->field), 0, o->type};
	struct str dim = str_from(o->dim), dim_value = str_from(o->dim_value);
	struct tile_spec spec = {.seq_lo = 1, .seq_hi = 1, .generation = 1, .codec = TILE_CODEC_ZSTD, .fields = &field,
				 .field_count = 1, .dims = &dim, .dim_count = 1};
	struct tile_writer *tw;
	struct tile_summary sum;
	struct err e = {0};
	int64_t time = INT64_C(1699900000000000000), i64 = 5;
	struct str text = o->text;
	struct col col = {.type = o->type, .data = &i64};

	if (o->type == COL_VARCHAR)
		col.data = &text;
	ck_assert_int_ge(tile_writer_create(io, w->dirfd, "odd", &spec, &tw, &e), 0);
	ck_assert_int_ge(tile_writer_series(tw, 0, str_from(o->measure), &dim_value, &e), 0);
	ck_assert_int_ge(tile_writer_rows(tw, 1, &time, &col, o->version ? &o->version : NULL, &e), 0);
	ck_assert_int_ge(tile_writer_finish(tw, &sum, &e), 0);
	return read_odd(w, &sum);
}

/* One series with records of one measure and of many. */
static struct bytes make_mixed(struct world *w)
{
	struct tile_field fields[2] = {{STR_LIT("measure_value::bigint"), 0, COL_BIGINT}, {STR_LIT("v"), 1, COL_BIGINT}};
	struct tile_spec spec = {.seq_lo = 1, .seq_hi = 1, .generation = 1, .codec = TILE_CODEC_ZSTD, .fields = fields,
				 .field_count = 2};
	int64_t time[2] = {INT64_C(1699900000000000000), INT64_C(1699900001000000000)}, values[2] = {1, 2};
	uint8_t one[2] = {1, 0}, other[2] = {0, 1};
	struct col cols[2] = {{.type = COL_BIGINT, .data = values, .valid = one},
			      {.type = COL_BIGINT, .data = values, .valid = other}};
	struct tile_writer *tw;
	struct tile_summary sum;
	struct err e = {0};

	ck_assert_int_ge(tile_writer_create(io_posix(), w->dirfd, "odd", &spec, &tw, &e), 0);
	ck_assert_int_ge(tile_writer_series(tw, 0, STR_LIT("m"), NULL, &e), 0);
	ck_assert_int_ge(tile_writer_rows(tw, 2, time, cols, NULL, &e), 0);
	ck_assert_int_ge(tile_writer_finish(tw, &sum, &e), 0);
	return read_odd(w, &sum);
}

START_TEST(whole_files_that_cannot_be)
{
	static const struct odd cases[] = {
		{"host", "", "m", "v", COL_BIGINT, {"", 0}, 0, "empty"},
		{"host", "\xff", "m", "v", COL_BIGINT, {"", 0}, 0, "UTF-8"},
		{"ts_host", "a", "m", "v", COL_BIGINT, {"", 0}, 0, "ts_"},
		{"ho:st", "a", "m", "v", COL_BIGINT, {"", 0}, 0, "':'"},
		{"host", "a", "ts_m", "v", COL_BIGINT, {"", 0}, 0, "ts_"},
		{"host", "a", "m", "time", COL_BIGINT, {"", 0}, 0, "time"},
		{"host", "a", "m", "host", COL_BIGINT, {"", 0}, 0, "host"},
		{"host", "a", "m", "HOST", COL_BIGINT, {"", 0}, 0, "case"},
		{"host", "a", "m", "measure_value::double", COL_BIGINT, {"", 0}, 0, "measure_value"},
		{"host", "a", "m", "s", COL_VARCHAR, {"\xc3(", 2}, 0, "UTF-8"},
		{"host", "a", "m", "v", COL_BIGINT, {"", 0}, -3, "version"},
	};
	struct world w;

	world_init(&w);
	struct table *t = table(&w, "t");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bytes b = make_odd(&w, &cases[i]);
		must_refuse(t, b, -EINVAL, cases[i].word);
		check_rows(t, "");
		check_orphans(&w, t);
		ck_assert_uint_eq(series_count(table_series(t)), 0);
		free(b.p);
	}
	struct bytes mixed = make_mixed(&w);
	must_refuse(t, mixed, -EINVAL, "records of bigint");
	check_rows(t, "");
	check_orphans(&w, t);
	free(mixed.p);
	/* And one that can. */
	static const struct odd fine = {"host", "a", "m", "s", COL_VARCHAR, {"\xc3\xa4", 2}, 3, NULL};
	struct bytes b = make_odd(&w, &fine);
	must_restore(t, b);
	check_rows(t, "m,host=a s=\"\xc3\xa4\" @1699900000000000000#3\n");
	free(b.p);
	table_put(t);
	world_release(&w);
}
END_TEST

/* ---- times ---------------------------------------------------------------------------------------------------------- */

START_TEST(expired_rows_stay_out)
{
	struct world w;
	struct err e = {0};

	world_init(&w);
	struct table *t = table(&w, "t");
	/* One series wholly before the edge, one on both sides. */
	feed(t, "m,h=a v=1i 1699880000000000000\nm,h=a v=2i 1699890000000000000\n"
		"m,h=b v=3i 1699880000000000000\nm,h=b v=4i 1699895000000000000\nm,h=b v=5i 1699896000000000000\n");
	settle(t);
	struct bytes b = the_tile(t);
	struct table *to = table(&w, "to");
	ck_assert_int_ge(table_set(to, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	ck_assert_int_ge(table_set(to, SET_RETENTION_MAGNETIC, STR_LIT("104000s"), &e), 0); /* since 1699892400 */
	must_restore(to, b);
	check_rows(to, "m,h=b v=4 @1699895000000000000#1\nm,h=b v=5 @1699896000000000000#1\n");
	ck_assert_uint_eq(series_count(table_series(to)), 1);
	/* Hidden for ever is hidden for this, too. */
	clock_pin(NOW + 3000 * NS_PER_S); /* 1699895400 */
	settle(to);
	check_rows(to, "m,h=b v=5 @1699896000000000000#1\n");
	ck_assert_int_ge(table_set(to, SET_RETENTION_MAGNETIC, STR_LIT("10000d"), &e), 0);
	ck_assert_int_ge(table_set(to, SET_LATE_DATA, STR_LIT("reject"), &e), 0); /* which is for sensors */
	must_restore(to, b);
	check_rows(to, "m,h=b v=5 @1699896000000000000#1\n");
	clock_pin(NOW);
	ck_assert_int_ge(table_set(to, SET_RETENTION_MAGNETIC, STR_LIT("1h"), &e), 0);
	must_refuse(to, b, -EINVAL, "2023-11-1");
	/* Too far ahead. */
	clock_pin(INT64_C(1699880000000000000));
	must_refuse(t, b, -EINVAL, "future_limit");
	clock_pin(NOW);
	free(b.p);
	table_put(t);
	table_put(to);
	world_release(&w);
}
END_TEST

/* ---- much ------------------------------------------------------------------------------------------------------------- */

static uint64_t count_rows(struct table *t)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX};
	struct scan_batch b;
	struct scan *scan;
	struct err e = {0};
	uint64_t n = 0;

	ck_assert_int_ge(scan_open(t, &spec, NULL, &scan, &e), 0);
	while (scan_next(scan, &b, &e) > 0)
		n += b.n;
	scan_close(scan);
	return n;
}

/* Many pages, groups and series; random shapes, against the rows as text. */
START_TEST(any_shape)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 6; round++) {
		struct world w;
		world_init(&w);
		struct table *from = table(&w, "from"), *to = table(&w, "to");
		struct buf lines;
		buf_init(&lines, 64 << 20);
		uint64_t series = 1 + unit_below(&r, round == 0 ? 30000 : 50), n = 1 + unit_below(&r, 40000);
		for (uint64_t i = 0; i < n; i++) {
			uint64_t s = unit_below(&r, series);
			buf_addf(&lines, "m%u,a=%u", (unsigned)(s % 3), (unsigned)(s / 3));
			if (s % 5 == 0)
				buf_addf(&lines, ",b=%u", (unsigned)(s / 7));
			buf_addf(&lines, " v%u=%lldi", (unsigned)(s % 4), (long long)unit_below(&r, 1000));
			if (unit_below(&r, 3) == 0)
				buf_addf(&lines, ",s=\"%u\"", (unsigned)unit_below(&r, 50));
			buf_addf(&lines, " %lld\n",
				 (long long)(INT64_C(1699833600) * NS_PER_S + (int64_t)unit_below(&r, 80000 * NS_PER_S)));
		}
		buf_addc(&lines, '\0');
		feed(from, lines.data);
		buf_release(&lines);
		settle(from);
		struct bytes b = the_tile(from);
		feed(to, "m1,zz=1,a=5 s=\"first\",v3=1i 1699833600000000000\n");
		erase_all(to);
		must_restore(to, b);
		char *want = rows(from);
		check_rows(to, want);
		settle(to);
		check_rows(to, want);
		table_put(to);
		table_put(from);
		down(&w);
		up(&w);
		to = table(&w, "to");
		check_rows(to, want);
		/* New series need no place in the log: ingest goes on. */
		feed(to, "m1,a=new v1=1i 1699833600000000000\n");
		uint64_t lines_n = 0;
		for (const char *p = want; *p; p++)
			lines_n += *p == '\n';
		ck_assert_uint_eq(count_rows(to), 1 + lines_n);
		free(want);
		free(b.p);
		table_put(to);
		world_release(&w);
	}
}
END_TEST

/* ---- beside others ------------------------------------------------------------------------------------------------------ */

struct beside {
	struct table *t;
	_Atomic bool stop;
	_Atomic uint32_t rounds;
};

static void *write_beside(void *arg)
{
	struct beside *b = arg;
	char line[128];

	for (int i = 0; !atomic_load(&b->stop); i++) {
		snprintf(line, sizeof line, "w,h=a n=%di %lld\nw,h=b%d n=1i 1699900000000000000\n", i,
			 (long long)(NOW - NS_PER_S + i), i % 40);
		feed(b->t, line);
		atomic_store(&b->rounds, (uint32_t)i + 1);
	}
	return NULL;
}

static void *maintain_beside(void *arg)
{
	struct beside *b = arg;

	while (!atomic_load(&b->stop))
		settle(b->t);
	return NULL;
}

START_TEST(beside_writers_and_maintenance)
{
	struct world w;
	pthread_t th[2];

	world_init(&w);
	struct table *from = table(&w, "from"), *t = table(&w, "t");
	feed(from, old_rows);
	settle(from);
	struct bytes b = the_tile(from);
	struct beside bs = {.t = t};
	pthread_create(&th[0], NULL, write_beside, &bs);
	pthread_create(&th[1], NULL, maintain_beside, &bs);
	for (int i = 0; i < 30 || atomic_load(&bs.rounds) < 100; i++)
		must_restore(t, b);
	atomic_store(&bs.stop, true);
	pthread_join(th[0], NULL);
	pthread_join(th[1], NULL);
	uint64_t want = atomic_load(&bs.rounds);
	want += MIN(want, UINT64_C(40)) + 4;
	ck_assert_uint_eq(count_rows(t), want);
	table_put(t);
	down(&w);
	up(&w);
	t = table(&w, "t");
	ck_assert_uint_eq(count_rows(t), want);
	check_orphans(&w, t);
	free(b.p);
	table_put(t);
	table_put(from);
	world_release(&w);
}
END_TEST

START_TEST(dropped_meanwhile)
{
	struct world w;
	struct restore *r;
	struct err e = {0};
	int fd;

	world_init(&w);
	struct table *from = table(&w, "from"), *t = table(&w, "t");
	feed(from, old_rows);
	settle(from);
	struct bytes b = the_tile(from);
	ck_assert_int_ge(table_restore_begin(t, &r, &fd, &e), 0);
	ck_assert_int_eq(pwrite(fd, b.p, b.n, 0), (ssize_t)b.n);
	ck_assert_int_ge(db_table_drop(w.db, STR_LIT("t"), false, &e), 0);
	ck_assert_int_eq(table_restore_commit(r, "x.parquet", &e), -ESTALE);
	table_restore_close(r);
	ck_assert_int_eq(table_restore_begin(t, &r, &fd, &e), -ESTALE);
	free(b.p);
	table_put(t);
	table_put(from);
	world_release(&w);
}
END_TEST

/* ---- a disk that fails, a daemon that dies ---------------------------------------------------------------------------------- */

START_TEST(a_failing_disk_leaves_nothing)
{
	static const char *const ops[] = {"pwritev", "fsync", "fdatasync", "renameat", "mkdirat", "pread"};
	static const char *const places[] = {"runs", "wal", "series", "incoming", ""};
	static const int errors[] = {ENOSPC, EIO};
	struct unit_rng r = unit_rng();
	int failed = 0;

	for (int i = 0; i < 60; i++) {
		struct world w;
		struct err e = {0};
		world_init(&w);
		struct table *from = table(&w, "from"), *t = table(&w, "t");
		feed(from, old_rows);
		settle(from);
		struct bytes b = the_tile(from);
		char *whole = rows(from);
		feed(t, "q v=1i 1699900000000000000\n");
		char *before = rows(t);
		struct io_rule u = {.op = ops[(size_t)i % ARRAY_LEN(ops)], .path = places[unit_below(&r, ARRAY_LEN(places))],
				    .first = 1 + (int)unit_below(&r, 3), .count = 1 + (int)unit_below(&r, 2),
				    .error = errors[unit_below(&r, 2)]};
		io_fault_add(w.io, &u);
		int rc = restore(t, b, &e);
		io_fault_clear(w.io);
		failed += rc < 0;
		if (rc < 0) {
			char *after = rows(t);
			unit_assert(&r, strcmp(after, before) == 0, "%s of '%s': rows changed though it failed: %s", u.op,
				    u.path, e.text);
			unit_assert(&r, e.text[0], "no sentence");
			free(after);
			check_orphans(&w, t);
		}
		(void)!db_sync(w.db, &e);
		/* And then it can be done, unless the log is still out of order. */
		rc = restore(t, b, &e);
		unit_assert(&r, rc >= 0, "after %s of '%s': %s", u.op, u.path, e.text);
		table_put(t);
		down(&w);
		up(&w);
		t = table(&w, "t");
		unit_assert(&r, count_rows(t) == 5, "after %s of '%s'", u.op, u.path);
		check_orphans(&w, t);
		free(whole);
		free(before);
		free(b.p);
		table_put(t);
		table_put(from);
		world_release(&w);
	}
	ck_assert_int_gt(failed, 8);
}
END_TEST

/* The one moment in which the file has a name. */
START_TEST(left_over_names_are_swept)
{
	struct fsck_options opt = {.repair = false};
	struct fsck_result r;
	struct world w;
	struct err e = {0};
	char path[128];

	world_init(&w);
	struct table *t = table(&w, "t");
	feed(t, old_rows);
	settle(t);
	struct bytes b = the_tile(t);
	must_restore(t, b); /* so that the directory is there */
	snprintf(path, sizeof path, "db/d/%s/incoming/0.tmp", t->dir);
	for (int how = 0; how < 3; how++) {
		int fd = openat(w.dirfd, path, O_CREAT | O_WRONLY, 0600);
		ck_assert_int_eq(write(fd, "half", 4), 4);
		close(fd);
		if (how == 0) {
			must_restore(t, b); /* another name is found */
			ck_assert_uint_eq(count_files(&w, t, "incoming"), 1);
		}
		table_put(t);
		down(&w);
		if (how) {
			opt.repair = how == 2;
			ck_assert_int_ge(fsck_run(w.dir, &opt, &r, &e), 0);
			ck_assert_uint_eq(r.problems, 0); /* a crash left it behind */
			ck_assert_int_eq(faccessat(w.dirfd, path, F_OK, 0), how == 2 ? -1 : 0);
		}
		up(&w);
		t = table(&w, "t");
		ck_assert_uint_eq(count_files(&w, t, "incoming"), 0);
		ck_assert_uint_eq(count_rows(t), 4);
	}
	free(b.p);
	table_put(t);
	world_release(&w);
}
END_TEST

/* At every named place, the n-th time it is passed: all of it or nothing, and no file is left over. */
START_TEST(all_or_nothing_when_it_dies)
{
	static const char *const points[] = {"restore.write",  "restore.publish", "restore.marked", "rewrite.finish",
					     "rewrite.rename", "seal.write",      "seal.commit",    "seal.swap",
					     "restore.done",   "series.append"};

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		for (int nth = 1; nth <= 2; nth++) {
			struct world w;
			world_init(&w);
			struct table *from = table(&w, "from"), *t = table(&w, "t");
			feed(from, old_rows);
			settle(from);
			struct bytes b = the_tile(from);
			char *whole = rows(from);
			feed(t, "q v=1i 1699900000000000000\n");
			char *before = rows(t);
			table_put(t);
			table_put(from);
			down(&w);
			pid_t pid = fork();
			if (pid == 0) {
				char env[64];
				struct err e = {0};
				up(&w);
				t = table(&w, "t");
				feed(t, "q v=2i 1699900001000000000\n");
				snprintf(env, sizeof env, "%s:%d", points[i], nth);
				setenv("TIDE_FAULT", env, 1);
				fault_init();
				_exit(restore(t, b, &e) < 0 ? 2 : 0);
			}
			int status;
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert_msg(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "%s:%d", points[i], nth);
			ck_assert_msg(nth > 1 || WIFSIGNALED(status), "%s is not passed", points[i]);
			up(&w);
			t = table(&w, "t");
			uint64_t n = count_rows(t);
			ck_assert_msg(n == 2 || n == 6, "%s:%d: %llu rows", points[i], nth, (unsigned long long)n);
			ck_assert_msg(n == 6 || WIFSIGNALED(status), "%s:%d: gone after it was done", points[i], nth);
			check_orphans(&w, t);
			settle(t);
			ck_assert_uint_eq(count_rows(t), n);
			must_restore(t, b);
			ck_assert_uint_eq(count_rows(t), 6);
			free(whole);
			free(before);
			free(b.p);
			table_put(t);
			world_release(&w);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {brings_back_what_was_removed,
				is_written_now,
				deletes_before_it_do_not_concern_it,
				another_table_with_other_ids,
				conflicts_refuse_the_whole_file,
				single_measures_and_versions,
				versions_know_restored_rows,
				damage_is_refused_wherever_it_is,
				whole_files_that_cannot_be,
				expired_rows_stay_out,
				any_shape,
				beside_writers_and_maintenance,
				dropped_meanwhile,
				a_failing_disk_leaves_nothing,
				left_over_names_are_swept,
				all_or_nothing_when_it_dies};

	return unit_main("restore", 120, tests, ARRAY_LEN(tests));
}
