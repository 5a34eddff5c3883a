/*
 * Snapshots: does the tree hold exactly the rows that the tables showed at one moment, each once, also
 * while others write, maintain, delete, drop; and is there never half of one? Rows are compared as
 * text, a line each. TIDE_SEED replays.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "engine/dir.h"
#include "engine/engine.h"
#include "engine/fsck.h"
#include "engine/internal.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "tests/unit/unit.h"

#define FIELDS 3
#define SERIES 12
#define TABLES 2
#define START  (INT64_C(1700000000) * NS_PER_S)

static const struct {
	const char *name;
	enum coltype type;
} fields[FIELDS] = {{"i", COL_BIGINT}, {"f", COL_DOUBLE}, {"s", COL_VARCHAR}};
static const char *const table_names[TABLES] = {"one", "two"};

/* ---- the engine under test ------------------------------------------------------------------------- */

struct world {
	char dir[64];
	int dirfd;
	struct engine *en;
	struct db *db;
	struct table *t[TABLES];
	uint32_t ids[TABLES][SERIES], cols[TABLES][FIELDS];
	struct engine_options opt;
	struct unit_rng r;
};

static void define(struct world *w, int k)
{
	struct series_set *set = table_series(w->t[k]);
	struct err e = {0};

	for (int f = 0; f < FIELDS; f++)
		w->cols[k][f] = (uint32_t)series_add_column(set, str_from(fields[f].name), COLKIND_MEASURE,
							    fields[f].type, &e);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
	for (uint32_t s = 0; s < SERIES; s++) {
		char name[16];
		snprintf(name, sizeof name, "h%u", s);
		struct dim_value dim = {(uint32_t)host, str_from(name)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &dim, 1, &e);
		ck_assert_msg(id >= 0, "%s", err_text(&e, (int)id));
		w->ids[k][s] = (uint32_t)id;
	}
}

static void world_open(struct world *w)
{
	struct err e = {0};
	int rc = engine_open(w->dir, &w->opt, &w->en, &e);

	ck_assert_msg(rc >= 0, "engine_open: %s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_ge(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	for (int k = 0; k < TABLES; k++) {
		w->t[k] = db_table(w->db, str_from(table_names[k]));
		if (!w->t[k]) {
			rc = db_table_create(w->db, str_from(table_names[k]), &w->t[k], &e);
			ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
		}
		define(w, k);
	}
}

static void world_close(struct world *w)
{
	for (int k = 0; k < TABLES; k++)
		table_put(w->t[k]);
	db_put(w->db);
	engine_close(w->en);
}

static struct world world_new(uint64_t part_rows)
{
	struct world w = {.r = unit_rng()};

	w.dirfd = unit_dir(w.dir);
	w.opt = (struct engine_options){.no_background = true, .sync_interval_ns = -1, .part_rows = part_rows};
	clock_pin(START);
	world_open(&w);
	return w;
}

static void world_end(struct world *w)
{
	world_close(w);
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
}

static void put_row(struct world *w, int k, struct batch *b, uint32_t s, int64_t t, unsigned which, int64_t v)
{
	static const char *const words[] = {"", "a", "bb", "ccc", "a longer one"};

	ck_assert_int_ge(batch_reserve(b), 0);
	b->series[b->n] = w->ids[k][s];
	b->time_ns[b->n] = t;
	for (int f = 0; f < FIELDS; f++) {
		if (!(which >> f & 1))
			continue;
		int slot = batch_col(b, w->cols[k][f], fields[f].type);
		struct col *c = &b->cols[slot].col;
		if (f == 0)
			c->i64[b->n] = v;
		else if (f == 1)
			c->f64[b->n] = (double)v / 8;
		else
			c->str[b->n] = str_from(words[(uint64_t)v % ARRAY_LEN(words)]);
		c->valid[b->n] = 1;
		b->cols[slot].has_values = true;
	}
	b->n++;
}

static void append(struct world *w, int k, uint32_t n, int64_t spread_s)
{
	struct table_window win;
	struct batch b;
	struct err e = {0};

	table_window(w->t[k], &win);
	batch_init(&b);
	for (uint32_t i = 0; i < n; i++) {
		int64_t t = clock_now_ns() - (int64_t)unit_below(&w->r, (uint64_t)spread_s) * NS_PER_S;
		if (t >= win.lo_ns)
			put_row(w, k, &b, (uint32_t)unit_below(&w->r, SERIES), t, 1 + (unsigned)unit_below(&w->r, 7),
				(int64_t)unit_below(&w->r, 1000));
	}
	int rc = db_append(w->db, &(struct table_batch){.table = w->t[k], .batch = &b}, 1, &e);
	unit_assert(&w->r, rc >= 0, "append: %s", err_text(&e, rc));
	batch_release(&b);
}

static void erase(struct world *w, int k)
{
	struct deletion *d;
	struct err e = {0};
	uint32_t s = w->ids[k][unit_below(&w->r, SERIES)];
	int64_t hi = clock_now_ns() - (int64_t)unit_below(&w->r, 300000) * NS_PER_S;
	int rc = table_delete_begin(w->t[k], &d, &e);

	if (rc >= 0) {
		rc = deletion_add(d, s, s, hi - (int64_t)unit_below(&w->r, 20000) * NS_PER_S, hi, &e);
		if (rc >= 0)
			rc = deletion_commit(d, &e);
		else
			deletion_abort(d);
	}
	unit_assert(&w->r, rc >= 0, "delete: %s", err_text(&e, rc));
}

/* ---- rows as text ------------------------------------------------------------------------------------- */

struct lines {
	char **v;
	uint32_t n, cap;
};

static void lines_add(struct lines *l, char *s)
{
	if (l->n == l->cap) {
		l->cap = MAX(l->cap * 2, 64u);
		l->v = realloc(l->v, l->cap * sizeof *l->v);
	}
	l->v[l->n++] = s;
}

static void lines_release(struct lines *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lines){0};
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

static void add_row(struct lines *l, int k, uint32_t series, int64_t t, const struct col *cols, uint32_t row)
{
	char text[256];
	size_t n = (size_t)snprintf(text, sizeof text, "%d %u %020lld", k, series, (long long)t);

	for (int f = 0; f < FIELDS; f++) {
		const struct col *c = &cols[f];
		if (!c->data || (c->valid && !c->valid[row]))
			n += (size_t)snprintf(text + n, sizeof text - n, " -");
		else if (f == 0)
			n += (size_t)snprintf(text + n, sizeof text - n, " %lld", (long long)c->i64[row]);
		else if (f == 1)
			n += (size_t)snprintf(text + n, sizeof text - n, " %a", c->f64[row]);
		else
			n += (size_t)snprintf(text + n, sizeof text - n, " '%.*s'", STR_FMT(c->str[row]));
	}
	lines_add(l, strdup(text));
}

static void table_lines(struct world *w, int k, struct lines *l)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = w->cols[k], .col_count = FIELDS,
				 .times_wanted = true};
	struct scan *scan;
	struct scan_batch b;
	struct err e = {0};
	int rc = scan_open(w->t[k], &spec, NULL, &scan, &e);

	ck_assert_msg(rc >= 0, "scan_open: %s", err_text(&e, rc));
	while ((rc = scan_next(scan, &b, &e)) > 0)
		for (uint32_t r = 0; r < b.run_count; r++)
			for (uint32_t i = 0; i < b.runs[r].count; i++)
				add_row(l, k, b.runs[r].series_id, b.time_ns[b.runs[r].start + i], b.cols,
					b.runs[r].start + i);
	ck_assert_msg(rc == 0, "scan_next: %s", err_text(&e, rc));
	scan_close(scan);
}

static void all_lines(struct world *w, struct lines *l)
{
	*l = (struct lines){0};
	for (int k = 0; k < TABLES; k++)
		if (w->t[k])
			table_lines(w, k, l);
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_text);
}

static void tile_lines(struct world *w, int k, int dirfd, const char *path, uint64_t rows, uint64_t bytes,
		       struct lines *l)
{
	struct tile *tile;
	struct arena a;
	struct err e = {0};
	int rc = tile_open(io_posix(), dirfd, path, &tile, &e);

	if (rc >= 0)
		rc = tile_verify(tile, &e);
	ck_assert_msg(rc >= 0, "%s: %s", path, err_text(&e, rc));
	const struct tile_info *info = tile_info(tile);
	ck_assert_uint_eq(info->rows, rows);
	ck_assert_uint_eq(info->file_bytes, bytes);
	arena_init(&a, NULL);
	const struct tile_series *ts = tile_series(tile);
	uint32_t s = 0;
	for (uint32_t p = 0; p < info->page_count; p++) {
		struct col cols[FIELDS] = {0};
		int64_t times[TILE_PAGE_ROWS_MAX];
		ck_assert_int_ge(tile_read_time(tile, p, times, &e), 0);
		for (int f = 0; f < FIELDS; f++) {
			int64_t at = tile_find_field(tile, w->cols[k][f]);
			if (at >= 0)
				ck_assert_int_ge(tile_read_field(tile, (uint32_t)at, p, &a, &cols[f], &e), 0);
		}
		for (uint64_t row = tile_page_row(tile, p); row < tile_page_row(tile, p + 1); row++) {
			while (row >= ts[s].row0 + ts[s].rows)
				s++;
			uint32_t i = (uint32_t)(row - tile_page_row(tile, p));
			add_row(l, k, ts[s].series_id, times[i], cols, i);
		}
		arena_reset(&a);
	}
	arena_release(&a);
	tile_put(tile);
}

static void count_files(int at, const char *path, uint32_t *n)
{
	DIR *dir = dir_open(at, path, false);
	struct dirent *d;

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.' && (!d->d_name[1] || strcmp(d->d_name, "..") == 0))
			continue;
		struct stat st;
		ck_assert_int_ge(fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		if (S_ISDIR(st.st_mode))
			count_files(dirfd(dir), d->d_name, n);
		else
			++*n;
	}
	closedir(dir);
}

/* Every row of the snapshot, of what snapshot.json names; and that nothing else is there. */
static void snapshot_lines(struct world *w, const char *name, struct lines *l)
{
	struct snap_doc doc;
	struct err e = {0};
	uint32_t files = 0, named = 1;
	char path[600];
	int fd, rc = db_snapshot_dirfd(w->db, str_from(name), &fd, &e);

	*l = (struct lines){0};
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	snap_doc_init(&doc);
	rc = snap_doc_load(&doc, io_posix(), fd, ".", &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	for (uint32_t i = 0; i < doc.table_n; i++) {
		const struct snap_table *st = &doc.tables[i];
		uint64_t rows = 0;
		int k = str_is(st->name, "two");
		for (uint32_t j = 0; j < st->tile_n; j++) {
			snprintf(path, sizeof path, "%.*s/magnetic/%.*s", STR_FMT(st->name), STR_FMT(st->tiles[j].path));
			tile_lines(w, k, fd, path, st->tiles[j].rows, st->tiles[j].bytes, l);
			rows += st->tiles[j].rows;
			named++;
		}
		ck_assert_uint_eq(rows, st->rows);
	}
	snap_doc_release(&doc);
	count_files(fd, ".", &files);
	ck_assert_uint_eq(files, named);
	close(fd);
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_text);
}

static void same_lines(struct unit_rng *r, const struct lines *want, const struct lines *got)
{
	for (uint32_t i = 0; i < MIN(want->n, got->n); i++)
		unit_assert(r, strcmp(want->v[i], got->v[i]) == 0, "row %u is '%s', should be '%s'", i, got->v[i],
			    want->v[i]);
	unit_assert(r, want->n == got->n, "%u rows, should be %u", got->n, want->n);
}

static int make(struct world *w, const char *name, struct err *e)
{
	return db_snapshot_create(w->db, str_from(name), NULL, e);
}

static void must_make(struct world *w, const char *name)
{
	struct err e = {0};
	int rc = make(w, name, &e);
	unit_assert(&w->r, rc >= 0, "snapshot: %s", err_text(&e, rc));
}

/* Entries of snapshots/, those that are hidden too. */
static uint32_t entries(struct world *w)
{
	DIR *dir = dir_open(w->dirfd, "db/d/snapshots", true);
	struct dirent *d;
	uint32_t n = 0;

	while (dir && (d = readdir(dir)))
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	if (dir)
		closedir(dir);
	return n;
}

/* ---- what it holds ------------------------------------------------------------------------------------ */

/* One random thing that changes tables, or how they lie. */
static void change(struct world *w)
{
	static const char *const memory[] = {"1m", "10m", "6h", "1d", "30d"};
	struct err e = {0};
	int k = (int)unit_below(&w->r, TABLES), rc = 0;

	switch (unit_below(&w->r, 12)) {
	case 0:
		rc = table_seal(w->t[k], &e);
		break;
	case 1:
		rc = table_maintain(w->t[k], &e);
		break;
	case 2:
		rc = table_set(w->t[k], SET_RETENTION_MEMORY, str_from(memory[unit_below(&w->r, 5)]), &e);
		break;
	case 3:
		clock_pin(clock_now_ns() + (int64_t)unit_below(&w->r, 3000) * NS_PER_S);
		break;
	case 4:
	case 5:
		erase(w, k);
		break;
	case 6:
		rc = table_set(w->t[k], SET_RETENTION_MAGNETIC, unit_below(&w->r, 2) ? STR_LIT("2d") : STR_LIT("73000d"),
			       &e);
		break;
	default:
		append(w, k, 1 + (uint32_t)unit_below(&w->r, 200), unit_below(&w->r, 3) ? 4000 : 300000);
	}
	unit_assert(&w->r, rc >= 0, "%s", err_text(&e, rc));
}

START_TEST(holds_what_tables_show)
{
	for (int round = 0; round < 4; round++) {
		struct world w = world_new(round % 2 ? 400 : 0);
		struct lines want, got, later;
		struct err e = {0};

		w.r.state += (uint64_t)round * 977;
		for (int i = 0; i < 60; i++)
			change(&w);
		for (int n = 0; n < 4; n++) {
			char name[16];
			snprintf(name, sizeof name, "s%d", n);
			all_lines(&w, &want);
			must_make(&w, name);
			snapshot_lines(&w, name, &got);
			same_lines(&w.r, &want, &got);
			for (int i = 0; i < 25; i++)
				change(&w);
			snapshot_lines(&w, name, &later);
			same_lines(&w.r, &want, &later);
			lines_release(&want);
			lines_release(&got);
			lines_release(&later);
			if (n == 1) {
				world_close(&w);
				world_open(&w);
			}
		}
		/* What the tables lose, the snapshot keeps. */
		all_lines(&w, &want);
		must_make(&w, "last");
		for (int k = 0; k < TABLES; k++)
			ck_assert_int_ge(db_table_drop(w.db, str_from(table_names[k]), false, &e), 0);
		snapshot_lines(&w, "last", &got);
		same_lines(&w.r, &want, &got);
		ck_assert_uint_eq(entries(&w), 5);
		lines_release(&want);
		lines_release(&got);
		world_end(&w);
	}
}
END_TEST

/* Tiles that nothing touches are not written again, and a merged part holds no identity twice. */
START_TEST(links_what_is_exact)
{
	struct world w = world_new(0);
	struct err e = {0};
	struct tile_entry *tiles;
	struct lines want, got;
	uint32_t n, linked = 0;
	struct stat st;
	char path[600];

	for (int d = 0; d < 5; d++) {
		append(&w, 0, 300, 40000);
		clock_pin(clock_now_ns() + NS_PER_DAY);
	}
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
	ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
	ck_assert_int_ge(table_seal(w.t[0], &e), 0);
	append(&w, 0, 5, 3000); /* today: of no tile's date, or of one's */
	all_lines(&w, &want);
	must_make(&w, "s");
	snapshot_lines(&w, "s", &got);
	same_lines(&w.r, &want, &got);
	ck_assert_int_ge(table_tiles(w.t[0], &tiles, &n), 0);
	ck_assert_uint_gt(n, 3);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(path, sizeof path, "db/d/tables/1/magnetic/%s", tiles[i].path);
		ck_assert_int_eq(fstatat(w.dirfd, path, &st, 0), 0);
		linked += st.st_nlink == 2;
	}
	ck_assert_uint_ge(linked, n - 1);
	free(tiles);
	lines_release(&want);
	lines_release(&got);
	world_end(&w);
}
END_TEST

START_TEST(copies_where_links_are_refused)
{
	static const int errors[] = {EXDEV, EPERM, EMLINK, EOPNOTSUPP};
	struct io *io = io_fault_create();
	struct world w = {.r = unit_rng()};
	struct lines want, got;
	struct err e = {0};

	w.dirfd = unit_dir(w.dir);
	w.opt = (struct engine_options){.io = io, .no_background = true, .sync_interval_ns = -1};
	clock_pin(START);
	world_open(&w);
	append(&w, 0, 500, 300000);
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
	ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
	all_lines(&w, &want);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		char name[16];
		snprintf(name, sizeof name, "s%zu", i);
		io_fault_add(io, &(struct io_rule){.op = "linkat", .path = "", .first = 1, .count = -1, .error = errors[i]});
		must_make(&w, name);
		ck_assert_int_gt(io_fault_hits(io), 0);
		io_fault_clear(io);
		snapshot_lines(&w, name, &got);
		same_lines(&w.r, &want, &got);
		lines_release(&got);
	}
	lines_release(&want);
	world_end(&w);
	io_fault_destroy(io);
}
END_TEST

START_TEST(an_empty_database_has_one)
{
	struct world w = world_new(0);
	struct db *db;
	struct err e = {0};
	struct lines got;
	struct snapshot *s;
	struct str name;

	must_make(&w, "nothing");
	snapshot_lines(&w, "nothing", &got);
	ck_assert_uint_eq(got.n, 0);
	lines_release(&got);
	s = db_snapshot(w.db, STR_LIT("nothing"));
	ck_assert(snapshot_table(s, 0, &name) && str_is(name, "one"));
	ck_assert(snapshot_table(s, 1, &name) && str_is(name, "two"));
	ck_assert(!snapshot_table(s, 2, &name));
	snapshot_put(s);
	ck_assert_int_ge(engine_db_create(w.en, STR_LIT("bare"), &db, &e), 0);
	ck_assert_int_ge(db_snapshot_create(db, STR_LIT("x"), NULL, &e), 0);
	ck_assert_int_eq(engine_db_drop(w.en, STR_LIT("bare"), &e), -ENOTEMPTY);
	ck_assert_ptr_nonnull(strstr(e.text, "snapshots"));
	ck_assert_int_eq(db_snapshot_drop(db, STR_LIT("x"), &e), 0);
	ck_assert_int_eq(engine_db_drop(w.en, STR_LIT("bare"), &e), 0);
	ck_assert_int_eq(db_snapshot_create(db, STR_LIT("x"), NULL, &e), -ESTALE);
	db_put(db);
	world_end(&w);
}
END_TEST

START_TEST(names_and_lists)
{
	struct world w = world_new(0);
	struct snapshot_entry *v;
	struct err e = {0};
	char longest[NAME_LEN_MAX + 2];
	uint32_t n;
	int fd;

	ck_assert_int_eq(make(&w, "", &e), -EINVAL);
	ck_assert_int_eq(make(&w, ".x", &e), -EINVAL);
	ck_assert_int_eq(make(&w, "a/b", &e), -EINVAL);
	ck_assert_int_eq(make(&w, "..", &e), -EINVAL);
	memset(longest, 'x', sizeof longest);
	longest[NAME_LEN_MAX + 1] = '\0';
	ck_assert_int_eq(make(&w, longest, &e), -ENAMETOOLONG);
	longest[NAME_LEN_MAX] = '\0';
	must_make(&w, longest);
	must_make(&w, "b");
	clock_pin(START + 5);
	must_make(&w, "a");
	ck_assert_int_eq(make(&w, "a", &e), -EEXIST);
	world_close(&w);
	world_open(&w);
	ck_assert_int_ge(db_snapshots(w.db, &v, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(v[0].name, "a");
	ck_assert_str_eq(v[1].name, "b");
	ck_assert_str_eq(v[2].name, longest);
	ck_assert_int_eq(v[0].created_ns, START + 5);
	ck_assert_int_eq(v[1].created_ns, START);
	free(v);
	ck_assert_int_eq(db_snapshot_dirfd(w.db, STR_LIT("c"), &fd, &e), -ENOENT);
	ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("c"), &e), -ENOENT);
	struct snapshot *s = db_snapshot(w.db, STR_LIT("a"));
	ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("a"), &e), 0);
	ck_assert(snapshot_dropped(s));
	snapshot_put(s);
	ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("a"), &e), -ENOENT);
	ck_assert_uint_eq(entries(&w), 2);
	must_make(&w, "a");
	ck_assert_uint_eq(entries(&w), 3);
	world_end(&w);
}
END_TEST

/* ---- others at work ------------------------------------------------------------------------------------- */

struct crowd {
	struct world *w;
	_Atomic int64_t count;
	_Atomic bool stop;
};

/* The n-th row of both tables, in one append: no moment has one without the other. */
static void *write_pairs(void *arg)
{
	struct crowd *c = arg;
	struct world *w = c->w;

	while (!atomic_load(&c->stop)) {
		struct batch b[TABLES];
		struct err e = {0};
		struct table_batch tb[TABLES];
		int64_t from = atomic_load(&c->count);
		for (int k = 0; k < TABLES; k++) {
			batch_init(&b[k]);
			for (int64_t i = from; i < from + 50; i++)
				put_row(w, k, &b[k], (uint32_t)(i % SERIES), START - 300000 * NS_PER_S + i * NS_PER_S, 7, i);
			tb[k] = (struct table_batch){.table = w->t[k], .batch = &b[k]};
		}
		int rc = db_append(w->db, tb, TABLES, &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
		atomic_store(&c->count, from + 50);
		nanosleep(&(struct timespec){0, 2 * NS_PER_MS}, NULL);
		for (int k = 0; k < TABLES; k++)
			batch_release(&b[k]);
	}
	return NULL;
}

static void *keep_house(void *arg)
{
	struct crowd *c = arg;
	struct err e = {0};

	for (int i = 0; !atomic_load(&c->stop); i++) {
		int rc = i % 3 ? table_seal(c->w->t[i % TABLES], &e) : table_maintain(c->w->t[i % TABLES], &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	}
	return NULL;
}

START_TEST(one_moment_of_all_tables)
{
	struct world w = world_new(500);
	struct crowd c = {.w = &w};
	pthread_t writer, keeper;

	ck_assert_int_eq(pthread_create(&writer, NULL, write_pairs, &c), 0);
	ck_assert_int_eq(pthread_create(&keeper, NULL, keep_house, &c), 0);
	for (int i = 0; i < 12; i++) {
		struct lines l;
		char name[16];
		snprintf(name, sizeof name, "s%d", i);
		int64_t before = atomic_load(&c.count);
		must_make(&w, name);
		snapshot_lines(&w, name, &l);
		uint32_t half = l.n / 2;
		ck_assert_uint_eq(l.n % 100, 0); /* whole appends, and of both */
		ck_assert_int_ge((int64_t)half, before);
		for (uint32_t k = 0; k < half; k++)
			ck_assert_str_eq(l.v[k] + 2, l.v[half + k] + 2);
		lines_release(&l);
	}
	atomic_store(&c.stop, true);
	pthread_join(writer, NULL);
	pthread_join(keeper, NULL);
	world_end(&w);
}
END_TEST

static void put_one(struct world *w, int k, int64_t n)
{
	struct batch b;
	struct err e = {0};

	batch_init(&b);
	put_row(w, k, &b, 0, START - n * NS_PER_S, 1, n);
	int rc = db_append(w->db, &(struct table_batch){.table = w->t[k], .batch = &b}, 1, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	batch_release(&b);
}

struct ordered {
	struct world *w;
	int64_t n;
	_Atomic bool done;
};

static void *put_to_one(void *arg)
{
	struct ordered *o = arg;

	put_one(o->w, 0, o->n);
	atomic_store(&o->done, true);
	return NULL;
}

static void *make_ordered(void *arg)
{
	struct ordered *o = arg;
	char name[16];

	snprintf(name, sizeof name, "s%d", (int)o->n);
	must_make(o->w, name);
	return NULL;
}

/*
 * Table two is held while a snapshot begins, so it stands between the two tables. A row that table one
 * takes then was there before the next one of table two: who shows that shows both.
 */
START_TEST(no_moment_between_tables)
{
	struct world w = world_new(0);
	struct timespec pause = {0, 20 * NS_PER_MS};

	for (int n = 1; n <= 8; n++) {
		struct ordered o = {.w = &w, .n = n};
		pthread_t maker, writer;
		struct lines l;
		char name[16], one[32];
		bool has[2] = {false, false};

		pthread_mutex_lock(&w.t[1]->append_mu);
		ck_assert_int_eq(pthread_create(&maker, NULL, make_ordered, &o), 0);
		nanosleep(&pause, NULL);
		ck_assert_int_eq(pthread_create(&writer, NULL, put_to_one, &o), 0);
		nanosleep(&pause, NULL);
		bool was_first = atomic_load(&o.done);
		pthread_mutex_unlock(&w.t[1]->append_mu);
		put_one(&w, 1, n);
		pthread_join(maker, NULL);
		pthread_join(writer, NULL);
		snprintf(name, sizeof name, "s%d", n);
		snprintf(one, sizeof one, " %020lld ", (long long)(START - n * NS_PER_S));
		snapshot_lines(&w, name, &l);
		for (uint32_t i = 0; i < l.n; i++)
			if (strstr(l.v[i], one))
				has[l.v[i][0] == '1'] = true;
		ck_assert_msg(!was_first || !has[1] || has[0], "row %d of table two, and none of table one", n);
		lines_release(&l);
	}
	world_end(&w);
}
END_TEST

static void *drop_one(void *arg)
{
	struct world *w = arg;
	struct err e = {0};

	(void)!db_table_drop(w->db, STR_LIT("one"), false, &e);
	return NULL;
}

/* The other table's rows are there in any case, and those of the dropped one all or none. */
START_TEST(a_table_is_dropped_meanwhile)
{
	for (int i = 0; i < 8; i++) {
		struct io *io = io_fault_create();
		struct world w = {.r = unit_rng()};
		struct lines one = {0}, two = {0}, got;
		struct err e = {0};
		pthread_t dropper;

		w.dirfd = unit_dir(w.dir);
		w.opt = (struct engine_options){.io = io, .no_background = true, .sync_interval_ns = -1};
		clock_pin(START);
		world_open(&w);
		for (int k = 0; k < TABLES; k++) {
			append(&w, k, 400, 300000);
			if (i % 2) {
				ck_assert_int_ge(table_set(w.t[k], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
				ck_assert_int_ge(table_maintain(w.t[k], &e), 0);
			} else {
				ck_assert_int_ge(table_seal(w.t[k], &e), 0);
			}
		}
		world_close(&w); /* so that no file is open */
		world_open(&w);
		table_lines(&w, 0, &one);
		table_lines(&w, 1, &two);
		world_close(&w);
		world_open(&w);
		io_fault_add(io, &(struct io_rule){.op = i % 2 ? "linkat" : "openat", .path = i % 2 ? "" : ".run",
						   .first = 1 + i / 2, .count = -1, .kind = IO_DELAY, .arg = 20});
		ck_assert_int_eq(pthread_create(&dropper, NULL, drop_one, &w), 0);
		must_make(&w, "s");
		pthread_join(dropper, NULL);
		io_fault_clear(io);
		snapshot_lines(&w, "s", &got);
		ck_assert_uint_eq(entries(&w), 1);
		unit_assert(&w.r, got.n == one.n + two.n || got.n == two.n, "%u rows; %u or %u are right", got.n, two.n,
			    one.n + two.n);
		lines_release(&one);
		lines_release(&two);
		lines_release(&got);
		world_end(&w);
		io_fault_destroy(io);
	}
}
END_TEST

static void *stop_soon(void *arg)
{
	struct timespec t = {0, 30 * NS_PER_MS};

	nanosleep(&t, NULL);
	atomic_store((_Atomic bool *)arg, true);
	return NULL;
}

START_TEST(can_be_stopped)
{
	struct io *io = io_fault_create();
	struct world w = {.r = unit_rng()};
	struct err e = {0};
	_Atomic bool stop = false;
	pthread_t stopper;

	w.dirfd = unit_dir(w.dir);
	w.opt = (struct engine_options){.io = io, .no_background = true, .sync_interval_ns = -1};
	clock_pin(START);
	world_open(&w);
	append(&w, 0, 1000, 3000000);
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
	ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
	io_fault_add(io, &(struct io_rule){.op = "linkat", .path = "", .first = 1, .count = -1, .kind = IO_DELAY, .arg = 15});
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop_soon, &stop), 0);
	ck_assert_int_eq(db_snapshot_create(w.db, STR_LIT("s"), &stop, &e), -ECANCELED);
	pthread_join(stopper, NULL);
	ck_assert_uint_eq(entries(&w), 0);
	io_fault_clear(io);
	atomic_store(&stop, false);
	ck_assert_int_eq(db_snapshot_create(w.db, STR_LIT("s"), &stop, &e), 0);
	world_end(&w);
	io_fault_destroy(io);
}
END_TEST

/* ---- what goes wrong ---------------------------------------------------------------------------------------- */

/* The n-th call of each kind fails: nothing of the snapshot is left, and the tables are as before. */
START_TEST(a_failing_disk_leaves_nothing)
{
	static const char *const ops[] = {"openat", "pwritev", "fsync", "mkdirat", "renameat", "linkat", "pread"};
	struct io *io = io_fault_create();
	struct world w = {.r = unit_rng()};
	struct lines want, got;
	struct err e = {0};
	int failed = 0;

	w.dirfd = unit_dir(w.dir);
	w.opt = (struct engine_options){.io = io, .no_background = true, .sync_interval_ns = -1};
	clock_pin(START);
	world_open(&w);
	append(&w, 0, 300, 200000);
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
	ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
	append(&w, 0, 100, 4000);
	append(&w, 1, 100, 100000);
	all_lines(&w, &want);
	for (size_t o = 0; o < ARRAY_LEN(ops); o++) {
		for (int n = 1;; n++) {
			int hits = io_fault_hits(io), rc;
			err_clear(&e);
			io_fault_add(io, &(struct io_rule){.op = ops[o], .path = "", .first = n, .count = 1,
							   .error = n % 2 ? ENOSPC : EIO});
			rc = make(&w, "s", &e);
			bool struck = io_fault_hits(io) > hits;
			io_fault_clear(io);
			if (rc >= 0) {
				snapshot_lines(&w, "s", &got);
				same_lines(&w.r, &want, &got);
				lines_release(&got);
				ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("s"), &e), 0);
			} else {
				failed++;
				unit_assert(&w.r, e.code == rc && e.text[0], "%s %d: no sentence", ops[o], n);
			}
			unit_assert(&w.r, entries(&w) == 0, "%s %d: something is left", ops[o], n);
			all_lines(&w, &got);
			same_lines(&w.r, &want, &got);
			lines_release(&got);
			if (!struck)
				break;
		}
	}
	ck_assert_int_gt(failed, 30);
	lines_release(&want);
	world_end(&w);
	io_fault_destroy(io);
}
END_TEST

static const char *const kill_points[] = {
	"snapshot.pinned", "snapshot.link",  "snapshot.link:3",	   "snapshot.merge", "rewrite.rename",
	"snapshot.json",   "snapshot.rename", "snapshot.published", "snapshot.drop",  "snapshot.dropped",
};

/* In a child that dies on the way; the directory is what a killed daemon leaves. */
static void die_at(struct world *w, const char *point)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct err e = {0};
		world_open(w);
		setenv("TIDE_FAULT", point, 1);
		fault_init();
		(void)!make(w, "s", &e);
		(void)!db_snapshot_drop(w->db, STR_LIT("s"), &e);
		_exit(7);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: the child ended by itself (%d)", point,
		      WEXITSTATUS(status));
}

START_TEST(death_leaves_all_or_nothing)
{
	struct world w = world_new(0);
	struct lines want, got;
	struct err e = {0};

	append(&w, 0, 300, 300000);
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1m"), &e), 0);
	ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
	append(&w, 0, 50, 4000);
	append(&w, 1, 50, 4000);
	all_lines(&w, &want);
	for (size_t i = 0; i < ARRAY_LEN(kill_points); i++) {
		bool is_made = strcmp(kill_points[i], "snapshot.published") == 0 ||
			       strcmp(kill_points[i], "snapshot.drop") == 0;
		world_close(&w);
		die_at(&w, kill_points[i]);
		world_open(&w);
		struct snapshot *s = db_snapshot(w.db, STR_LIT("s"));
		ck_assert_msg(!s == !is_made, "%s", kill_points[i]);
		ck_assert_uint_eq(entries(&w), is_made);
		if (s) {
			snapshot_lines(&w, "s", &got);
			same_lines(&w.r, &want, &got);
			lines_release(&got);
			ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("s"), &e), 0);
		}
		snapshot_put(s);
		all_lines(&w, &got);
		same_lines(&w.r, &want, &got);
		lines_release(&got);
	}
	lines_release(&want);
	world_end(&w);
}
END_TEST

/* ---- snapshot.json -------------------------------------------------------------------------------------------- */

static void read_json(struct world *w, const char *name, struct buf *out)
{
	struct stat st;
	int dir, fd;

	buf_init(out, 1 << 24);
	ck_assert_int_ge(db_snapshot_dirfd(w->db, str_from(name), &dir, NULL), 0);
	fd = openat(dir, "snapshot.json", O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(read(fd, buf_reserve(out, (size_t)st.st_size + 1), (size_t)st.st_size), st.st_size);
	out->len = (size_t)st.st_size;
	close(fd);
	close(dir);
}

START_TEST(json_makes_the_tables)
{
	struct world w = world_new(0);
	struct db *db;
	struct table *t;
	struct buf json;
	struct err e = {0};
	char text[SETTING_TEXT_MAX];

	append(&w, 0, 20, 1000);
	ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MAGNETIC, STR_LIT("30d"), &e), 0);
	ck_assert_int_ge(table_set(w.t[1], SET_PRECISION, STR_LIT("ms"), &e), 0);
	must_make(&w, "s");
	read_json(&w, "s", &json);
	ck_assert_int_ge(engine_db_create(w.en, STR_LIT("new"), &db, &e), 0);
	for (int twice = 0; twice < 2; twice++) {
		int rc = db_snapshot_apply(db, buf_str(&json), NULL, &e);
		ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
		t = db_table(db, STR_LIT("one"));
		ck_assert_uint_eq(series_column_count(table_series(t)), FIELDS + 1);
		for (uint32_t i = 0; i < FIELDS; i++) {
			const struct column *c = series_column(table_series(t), i);
			ck_assert(str_is(c->name, fields[i].name) && c->type == fields[i].type &&
				  c->kind == COLKIND_MEASURE);
		}
		ck_assert(series_column(table_series(t), FIELDS)->kind == COLKIND_DIMENSION);
		table_setting(t, SET_RETENTION_MAGNETIC, text);
		ck_assert_str_eq(text, "30d");
		table_put(t);
		t = db_table(db, STR_LIT("two"));
		table_setting(t, SET_PRECISION, text);
		ck_assert_str_eq(text, "ms");
		/* No row ever came to this one: its columns were in no log. */
		ck_assert_uint_eq(series_column_count(table_series(t)), 0);
		table_put(t);
		db_put(db);
		world_close(&w);
		world_open(&w);
		db = engine_db(w.en, STR_LIT("new"));
	}
	db_put(db);
	buf_release(&json);
	world_end(&w);
}
END_TEST

static bool never(void *ctx, struct table *t)
{
	return false;
}

static bool has_tables(struct db *db)
{
	struct table **v;
	uint32_t n;

	ck_assert_int_ge(db_tables(db, &v, &n), 0);
	for (uint32_t i = 0; i < n; i++)
		table_put(v[i]);
	free(v);
	return n > 0;
}

#define HEAD "{\"format\":\"tidefs snapshot\",\"version\":1,\"tables\":["

START_TEST(wrong_json_changes_nothing)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "line 1 column 1"},
		{"[]", "is an object"},
		{"{}", "no 'format'"},
		{"{\"format\":\"x\",\"version\":1,\"tables\":[]}", "not a snapshot"},
		{"{\"format\":\"tidefs snapshot\",\"version\":2,\"tables\":[]}", "version 2"},
		{"{\"format\":\"tidefs snapshot\",\"version\":1}", "no 'tables'"},
		{HEAD "]}x", "line 1"},
		{HEAD "1]}", "must be an object"},
		{HEAD "{}]}", "no 'name'"},
		{HEAD "{\"name\":1}]}", "must be a string"},
		{HEAD "{\"name\":\"a\"},{\"name\":\"a\"}]}", "twice"},
		{HEAD "{\"name\":\"good\"},{\"name\":\".a\"}]}", "not begin with a dot"},
		{HEAD "{\"name\":\"a\",\"settings\":{\"retention/memory\":\"0s\"}}]}", "retention/memory"},
		{HEAD "{\"name\":\"a\",\"settings\":{\"color\":\"red\"}}]}", "no setting 'color'"},
		{HEAD "{\"name\":\"a\",\"columns\":[{\"name\":\"x\",\"type\":\"int\",\"kind\":\"measure\"}]}]}", "not a type"},
		{HEAD "{\"name\":\"a\",\"columns\":[{\"name\":\"x\",\"type\":\"bigint\",\"kind\":\"m\"}]}]}", "not a kind"},
		{HEAD "{\"name\":\"a\",\"columns\":[{\"name\":\"ts_x\",\"type\":\"bigint\",\"kind\":\"measure\"}]}]}", "ts_"},
		{HEAD "{\"name\":\"a\",\"columns\":[{\"name\":\"x\",\"type\":\"bigint\",\"kind\":\"measure\"},"
		      "{\"name\":\"X\",\"type\":\"bigint\",\"kind\":\"measure\"}]}]}", "X"},
		{HEAD "{\"name\":\"a\",\"columns\":[{\"name\":\"x\",\"type\":\"bigint\",\"kind\":\"dimension\"}]}]}", "x"},
		{HEAD "{\"name\":\"a\",\"rows\":-1}]}", "whole number"},
		{HEAD "{\"name\":\"a\",\"id\":\"xyz\"}]}", "32 hexadecimal"},
	};
	struct world w = world_new(0);
	struct buf json;
	struct db *db;
	struct err e;
	int rc;

	append(&w, 0, 20, 1000);
	must_make(&w, "s");
	read_json(&w, "s", &json);
	ck_assert_int_ge(engine_db_create(w.en, STR_LIT("new"), &db, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		err_clear(&e);
		rc = db_snapshot_apply(db, str_from(bad[i].text), NULL, &e);
		ck_assert_msg(rc == -EINVAL && strstr(e.text, bad[i].says), "%s: %d %s", bad[i].text, rc, e.text);
		ck_assert(!has_tables(db));
	}
	for (size_t n = 0; n + 2 < json.len; n++) {
		rc = db_snapshot_apply(db, (struct str){json.data, n}, NULL, &e);
		ck_assert_msg(rc == -EINVAL, "cut at %zu: %d", n, rc);
	}
	for (int i = 0; i < 3000; i++) {
		size_t at = unit_below(&w.r, json.len);
		char was = json.data[at];
		struct snap_doc doc;
		json.data[at] = (char)unit_rand(&w.r);
		snap_doc_init(&doc);
		rc = snap_doc_parse(&doc, buf_str(&json), NULL);
		unit_assert(&w.r, rc == 0 || rc == -EINVAL, "byte %zu: %d", at, rc);
		snap_doc_release(&doc);
		json.data[at] = was;
	}
	ck_assert(!has_tables(db));
	/* What is there already and does not fit. */
	rc = db_snapshot_apply(w.db, STR_LIT(HEAD "{\"name\":\"new\"},{\"name\":\"one\",\"columns\":[{\"name\":\"i\","
						  "\"type\":\"varchar\",\"kind\":\"dimension\"}]}]}"),
			       NULL, &e);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "'one'"));
	ck_assert_ptr_null(db_table(w.db, STR_LIT("new")));
	ck_assert_int_eq(db_snapshot_apply(w.db, buf_str(&json), &(struct snapshot_hooks){.may_change = never}, &e), -EACCES);
	/* Members that a later version may add. */
	rc = db_snapshot_apply(db, STR_LIT(HEAD "{\"name\":\"a\",\"later\":{\"x\":[1,2]}}],\"more\":null}"), NULL, &e);
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	ck_assert(has_tables(db));
	db_put(db);
	buf_release(&json);
	world_end(&w);
}
END_TEST

/* Rows may be there before snapshot.json is: its partition key still goes in, while no date is split. */
START_TEST(json_after_the_rows)
{
	static const char json[] = HEAD "{\"name\":\"new\"},{\"name\":\"one\",\"settings\":"
					"{\"settings/partition_key\":\"host required\"}}]}";

	for (int split = 0; split < 2; split++) {
		struct world w = world_new(split ? 20 : 0);
		struct lines want, got;
		struct err e = {0};
		char text[SETTING_TEXT_MAX];

		append(&w, 0, 600, 3000);
		ck_assert_int_ge(table_set(w.t[0], SET_RETENTION_MEMORY, STR_LIT("1s"), &e), 0);
		clock_pin(START + 60 * NS_PER_S);
		ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
		append(&w, 0, 100, 3000);
		all_lines(&w, &want);
		ck_assert_int_eq(table_set(w.t[0], SET_PARTITION_KEY, STR_LIT("host"), &e), -EINVAL);
		int rc = db_snapshot_apply(w.db, STR_LIT(json), NULL, &e);
		ck_assert_msg(rc == (split ? -EINVAL : 0), "%d: %s", rc, err_text(&e, rc));
		ck_assert(!split || strstr(e.text, "fixed once the table has tiles"));
		struct table *t = db_table(w.db, STR_LIT("new"));
		ck_assert(!t == (split == 1));
		table_put(t);
		table_setting(w.t[0], SET_PARTITION_KEY, text);
		ck_assert_str_eq(text, split ? "dimensions" : "host required");
		ck_assert_int_ge(table_maintain(w.t[0], &e), 0);
		all_lines(&w, &got);
		same_lines(&w.r, &want, &got);
		lines_release(&want);
		lines_release(&got);
		world_end(&w);
	}
}
END_TEST

/* Whatever a document says comes back from its text. */
START_TEST(json_round_trip)
{
	static const char *const names[] = {"a", "\"q\"", "b\\s", "tab\tx", "ü", "\x01", "with space"};
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 200; round++) {
		struct snap_doc d, got;
		struct buf out;
		struct err e = {0};
		snap_doc_init(&d);
		snap_doc_init(&got);
		buf_init(&out, 1 << 24);
		d.database = str_from(names[unit_below(&r, ARRAY_LEN(names))]);
		d.created_ns = (int64_t)(unit_rand_log(&r) >> 1);
		for (uint64_t n = unit_below(&r, 4), i = 0; i < n; i++) {
			struct snap_table *t = snap_add_table(&d);
			t->name = str_from(names[i]);
			for (size_t b = 0; b < sizeof t->uuid; b++)
				t->uuid[b] = (uint8_t)unit_rand(&r);
			t->rows = unit_rand_log(&r);
			for (int s = 0; s < SETTINGS; s++)
				if (unit_below(&r, 2))
					t->settings[s] = str_from(names[unit_below(&r, ARRAY_LEN(names))]);
			for (uint64_t c = unit_below(&r, 6); c > 0; c--)
				*snap_add_column(&d, t) = (struct snap_column){
					str_from(names[c]), (enum coltype)(1 + unit_below(&r, 5)),
					(enum colkind)(1 + unit_below(&r, 3))};
			for (uint64_t c = unit_below(&r, 9); c > 0; c--)
				*snap_add_tile(&d, t) = (struct snap_tile){str_from(names[c % 7]), unit_rand_log(&r),
									   unit_rand_log(&r) >> 1};
			for (uint64_t c = unit_below(&r, 3); c > 0; c--)
				*snap_add_attr(&d, t) = (struct snap_attr){
					str_from(names[c]),
					{unit_below(&r, 2) ? UINT32_MAX : (uint32_t)unit_below(&r, 0777),
					 unit_below(&r, 2) ? UINT32_MAX : (uint32_t)unit_rand(&r) >> 1,
					 unit_below(&r, 2) ? UINT32_MAX : (uint32_t)unit_rand(&r) >> 1}};
		}
		snap_doc_print(&d, &out);
		int rc = snap_doc_parse(&got, buf_str(&out), &e);
		unit_assert(&r, rc >= 0, "%s in %.*s", err_text(&e, rc), (int)out.len, out.data);
		unit_assert(&r, str_eq(d.database, got.database) && d.created_ns == got.created_ns &&
					d.table_n == got.table_n, "the head differs");
		for (uint32_t i = 0; i < d.table_n; i++) {
			const struct snap_table *a = &d.tables[i], *b = &got.tables[i];
			bool same = str_eq(a->name, b->name) && memcmp(a->uuid, b->uuid, 16) == 0 && a->rows == b->rows &&
				    a->column_n == b->column_n && a->tile_n == b->tile_n && a->attr_n == b->attr_n;
			for (int s = 0; s < SETTINGS && same; s++)
				same = !a->settings[s].ptr == !b->settings[s].ptr && str_eq(a->settings[s], b->settings[s]);
			for (uint32_t c = 0; c < a->column_n && same; c++)
				same = str_eq(a->columns[c].name, b->columns[c].name) &&
				       a->columns[c].type == b->columns[c].type && a->columns[c].kind == b->columns[c].kind;
			for (uint32_t c = 0; c < a->tile_n && same; c++)
				same = str_eq(a->tiles[c].path, b->tiles[c].path) && a->tiles[c].rows == b->tiles[c].rows &&
				       a->tiles[c].bytes == b->tiles[c].bytes;
			for (uint32_t c = 0; c < a->attr_n && same; c++)
				same = str_eq(a->attrs[c].path, b->attrs[c].path) &&
				       memcmp(&a->attrs[c].attr, &b->attrs[c].attr, sizeof a->attrs[c].attr) == 0;
			unit_assert(&r, same, "table %u differs in %.*s", i, (int)out.len, out.data);
		}
		snap_doc_release(&d);
		snap_doc_release(&got);
		buf_release(&out);
	}
}
END_TEST

/* ---- whose it is ------------------------------------------------------------------------------------------------- */

START_TEST(permissions_are_those_of_the_table)
{
	struct world w = world_new(0);
	struct node_attr a = {0750, 7, 8}, got;
	struct err e = {0};

	ck_assert_int_ge(engine_attr_set(w.en, w.db, "one", &a, &e), 0);
	ck_assert_int_ge(engine_attr_set(w.en, w.db, "one/magnetic", &(struct node_attr){0700, UINT32_MAX, 9}, &e), 0);
	must_make(&w, "s");
	struct snapshot *s = db_snapshot(w.db, STR_LIT("s"));
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "", &got) && got.mode == 0750 && got.uid == 7);
	ck_assert(!snapshot_attr(s, w.db, STR_LIT("two"), "", &got));
	/* As they are now ... */
	a.mode = 0700;
	ck_assert_int_ge(engine_attr_set(w.en, w.db, "one", &a, &e), 0);
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "", &got) && got.mode == 0700);
	/* ... but another table of that name opens nothing. */
	table_put(w.t[0]);
	ck_assert_int_ge(db_table_drop(w.db, STR_LIT("one"), false, &e), 0);
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "", &got) && got.mode == 0750 && got.gid == 8);
	ck_assert_int_ge(db_table_create(w.db, STR_LIT("one"), &w.t[0], &e), 0);
	ck_assert_int_ge(engine_attr_set(w.en, w.db, "one", &(struct node_attr){0777, 1, 1}, &e), 0);
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "", &got) && got.mode == 0750 && got.uid == 7);
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "magnetic", &got) && got.mode == 0700 && got.gid == 9 &&
		  got.uid == UINT32_MAX);
	/* What snapshot.json does not speak of is nobody's. */
	ck_assert(snapshot_attr(s, w.db, STR_LIT("three"), "", &got) && got.mode == 0);
	snapshot_put(s);
	world_end(&w);
}
END_TEST

/* ---- fsck ----------------------------------------------------------------------------------------------------------- */

struct findings {
	uint32_t n;
	char last[1500];
};

static void note(void *ctx, const struct fsck_finding *f)
{
	struct findings *l = ctx;

	l->n++;
	snprintf(l->last, sizeof l->last, "%s: %s", f->file, f->what);
}

static void must_find(struct world *w, bool repair, uint32_t n, const char *file, const char *what)
{
	struct findings l = {0};
	struct fsck_options opt = {.repair = repair, .found = note, .ctx = &l};
	struct fsck_result r;
	struct err e = {0};
	int rc = fsck_run(w->dir, &opt, &r, &e);

	ck_assert_msg(rc >= 0, "fsck: %s", err_text(&e, rc));
	ck_assert_msg(l.n == n && (!n || (strstr(l.last, file) && strstr(l.last, what))), "%u findings; the last: %s", l.n,
		      l.last);
}

static void overwrite(struct world *w, const char *path, off_t at, const char *text)
{
	int fd = openat(w->dirfd, path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, text, strlen(text), at), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(fsck_checks_them)
{
	static const char snap[] = "db/d/snapshots/s/";
	struct world w = world_new(0);
	struct snap_doc doc;
	char path[600];
	int fd;

	append(&w, 0, 200, 1000);
	append(&w, 1, 20, 1000);
	must_make(&w, "s");
	must_make(&w, "t");
	ck_assert_int_ge(db_snapshot_dirfd(w.db, STR_LIT("s"), &fd, NULL), 0);
	snap_doc_init(&doc);
	ck_assert_int_ge(snap_doc_load(&doc, io_posix(), fd, ".", NULL), 0);
	close(fd);
	snprintf(path, sizeof path, "%sone/magnetic/%.*s", snap, STR_FMT(doc.tables[0].tiles[0].path));
	snap_doc_release(&doc);
	world_close(&w);
	must_find(&w, false, 0, "", "");
	/* Leftovers go, and only by a repair. */
	ck_assert_int_ge(mkdirat(w.dirfd, "db/d/snapshots/.1-0.tmp", 0777), 0);
	overwrite(&w, "db/d/snapshots/.1-0.tmp/x", 0, "x");
	must_find(&w, false, 1, ".1-0.tmp", "what is left");
	must_find(&w, true, 1, ".1-0.tmp", "what is left");
	must_find(&w, true, 0, "", "");
	overwrite(&w, "db/d/snapshots/s/stray", 0, "x");
	must_find(&w, true, 1, "snapshots/s/stray", "not named");
	ck_assert_int_eq(unlinkat(w.dirfd, "db/d/snapshots/s/stray", 0), 0);
	overwrite(&w, path, 300, "damage");
	must_find(&w, true, 1, "snapshots/s/one", "");
	ck_assert_int_eq(unlinkat(w.dirfd, path, 0), 0);
	must_find(&w, true, 1, "snapshots/s/one", "missing");
	overwrite(&w, "db/d/snapshots/t/snapshot.json", 10, "\"");
	must_find(&w, true, 2, "", "");
	ck_assert_uint_eq(entries(&w), 2);
	world_open(&w);
	/* What cannot be read is not shown to anybody but root; and it can be dropped. */
	struct node_attr a;
	struct snapshot *s = db_snapshot(w.db, STR_LIT("t"));
	ck_assert(snapshot_attr(s, w.db, STR_LIT("one"), "", &a) && a.mode == 0);
	snapshot_put(s);
	ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("t"), NULL), 0);
	ck_assert_int_eq(db_snapshot_drop(w.db, STR_LIT("s"), NULL), 0);
	world_end(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
		holds_what_tables_show, links_what_is_exact, copies_where_links_are_refused, an_empty_database_has_one,
		names_and_lists, one_moment_of_all_tables, no_moment_between_tables, a_table_is_dropped_meanwhile, can_be_stopped,
		a_failing_disk_leaves_nothing, death_leaves_all_or_nothing, json_makes_the_tables,
		wrong_json_changes_nothing, json_after_the_rows, json_round_trip, permissions_are_those_of_the_table, fsck_checks_them,
	};
	return unit_main("snapshot", 120, tests, ARRAY_LEN(tests));
}
