/*
 * scan: the memory that a scan takes from its budget is all back once it is closed - read to its end
 * or not, by batches or row by row, with pages that are kept and that are not, out of memory, out of
 * a disk or over damaged pages.
 */
#include <stdatomic.h>

#include "engine/page.h"
#include "tests/unit/slots.h"

#define MUCH ((size_t)1 << 30)

/* ---- rows in tiles, runs and memory, some of them in all ----------------------------------------- */

static int64_t versions[SERIES][SLOTS]; /* beside the twin; 0: only patches */

static void append_batch(struct world *w, struct batch *b)
{
	struct err e = {0};
	int rc = db_append(w->db, &(struct table_batch){.table = w->t, .batch = b}, 1, &e);

	unit_assert(&w->r, rc >= 0, "append: %s", err_text(&e, rc));
	batch_release(b);
}

static bool some_value(struct world *w, uint32_t series, uint32_t slot, int f)
{
	struct cell *c = &w->twin[series][slot];

	if (unit_below(&w->r, 8) == 0)
		return false;
	c->has[f] = true;
	c->value[f] = (int64_t)unit_below(&w->r, 100000);
	return true;
}

/* Rows with versions; some lack a value. */
static void append_whole(struct world *w)
{
	static char texts[SLOTS][24];
	struct batch b;

	for (uint32_t s = 0; s < SERIES; s++) {
		batch_init(&b);
		b.has_version = true;
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			struct cell *c = &w->twin[s][slot];
			if (!some_value(w, s, slot, 0))
				continue;
			put_row(w, &b, s, slot, 0, c->value[0], texts[slot]);
			versions[s][slot] = b.version[b.n - 1] = 1 + (int64_t)unit_below(&w->r, 5);
			int col = batch_col(&b, w->cols[1], COL_VARCHAR);
			ck_assert_int_ge(col, 0);
			if (!some_value(w, s, slot, 1))
				continue;
			snprintf(texts[slot], sizeof texts[slot], "%lld", (long long)c->value[1]);
			b.cols[col].col.str[b.n - 1] = str_from(texts[slot]);
			b.cols[col].col.valid[b.n - 1] = 1;
			b.cols[col].has_values = true;
		}
		append_batch(w, &b);
	}
}

/* Patches of single values. */
static void append(struct world *w, uint32_t step)
{
	static char texts[2 * SLOTS][24];
	struct batch b;

	for (uint32_t s = 0; s < SERIES; s++) {
		uint32_t n = 0;
		batch_init(&b);
		for (uint32_t slot = 0; slot < SLOTS; slot += step)
			for (int f = 0; f < 2; f++)
				if (some_value(w, s, slot, f))
					put_row(w, &b, s, slot, f, w->twin[s][slot].value[f], texts[n++]);
		append_batch(w, &b);
	}
}

static void up(struct world *w)
{
	struct table_stats st;
	struct err e = {0};

	w->r = unit_rng();
	w->dirfd = unit_dir(w->dir);
	w->io = io_fault_create();
	w->twin = calloc(SERIES, sizeof *w->twin);
	clock_pin(START);
	must_go_up(w);
	append_whole(w);
	ck_assert_int_ge(table_maintain(w->t, &e), 0);
	append(w, 7);
	ck_assert_int_ge(table_seal(w->t, &e), 0);
	append(w, 31);
	table_stats(w->t, &st);
	ck_assert(st.tiles.files > 5 && st.runs.files && st.memtable.rows);
}

static void down(struct world *w)
{
	go_down(w);
	clock_pin(0);
	io_fault_destroy(w->io);
	free(w->twin);
	unit_dir_remove(w->dirfd, w->dir);
}

/* ---- reading them ------------------------------------------------------------------------------------ */

static bool is_value(const struct col *col, uint32_t i, const struct cell *c, uint32_t f)
{
	bool valid = !col->valid || col->valid[i];
	char text[24];

	if (!valid || !c->has[f])
		return valid == c->has[f];
	snprintf(text, sizeof text, "%lld", (long long)c->value[f]);
	return f ? str_is(col->str[i], text) : col->i64[i] == c->value[f];
}

static bool is_right(const struct scan_batch *sb, uint32_t i, const struct scan_spec *spec, const struct cell *c)
{
	for (uint32_t f = 0; f < spec->col_count; f++)
		if (!(spec->late && spec->late[f]) && !is_value(&sb->cols[f], i, c, f))
			return false;
	return true;
}

/* The late columns of some rows of the batch: several times, of none, of all. */
static int check_late(struct world *w, struct scan *scan, const struct scan_batch *sb, const struct scan_spec *spec, struct err *e)
{
	static uint32_t sel[SCAN_ROWS];
	const struct col *cols;
	int rc = 0;

	for (uint64_t k = unit_below(&w->r, 3); k && sb->time_ns && rc >= 0; k--) {
		uint32_t n = 0, of_16 = (uint32_t)unit_below(&w->r, 17);
		for (uint32_t i = 0; i < sb->n; i++)
			if (unit_below(&w->r, 16) < of_16)
				sel[n++] = i;
		rc = scan_fill(scan, sel, n, &cols, e);
		for (uint32_t i = 0, r = 0; i < n && rc >= 0; i++) {
			uint32_t s = 0, slot = (uint32_t)((sb->time_ns[sel[i]] - BASE) / STEP);
			while (sel[i] >= sb->runs[r].start + sb->runs[r].count)
				r++;
			while (w->ids[s] != sb->runs[r].series_id)
				s++;
			for (uint32_t f = 0; f < spec->col_count; f++)
				unit_assert(&w->r, !spec->late[f] || is_value(&cols[f], i, &w->twin[s][slot], f),
					    "series %u slot %u: late column %u", s, slot, f);
		}
	}
	return rc;
}

static void check_batch(struct world *w, const struct scan_batch *sb, const struct scan_spec *spec)
{
	for (uint32_t r = 0; r < sb->run_count && sb->time_ns; r++) {
		uint32_t s = 0;
		while (w->ids[s] != sb->runs[r].series_id)
			s++;
		for (uint32_t i = sb->runs[r].start; i < sb->runs[r].start + sb->runs[r].count; i++) {
			uint32_t slot = (uint32_t)((sb->time_ns[i] - BASE) / STEP);
			unit_assert(&w->r, slot < SLOTS && is_right(sb, i, spec, &w->twin[s][slot]), "series %u slot %u", s, slot);
			unit_assert(&w->r, !spec->versions_wanted || !versions[s][slot] || sb->version[i] == versions[s][slot],
				    "series %u slot %u: version %lld", s, slot, (long long)sb->version[i]);
		}
	}
}

static uint64_t rows_there(const struct world *w)
{
	uint64_t n = 0;

	for (uint32_t s = 0; s < SERIES; s++)
		for (uint32_t k = 0; k < SLOTS; k++)
			n += w->twin[s][k].has[0] || w->twin[s][k].has[1];
	return n;
}

static struct scan_spec some_spec(struct world *w)
{
	static const bool late[][2] = {{true, true}, {true, false}, {false, true}};

	return (struct scan_spec){.late = unit_below(&w->r, 2) ? late[unit_below(&w->r, ARRAY_LEN(late))] : NULL,
				  .t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = w->cols, .col_count = 1 + (uint32_t)unit_below(&w->r, 2),
				  .times_wanted = unit_below(&w->r, 4), .versions_wanted = unit_below(&w->r, 2),
				  .keeps_pages = unit_below(&w->r, 2)};
}

/* All rows, or at most `batches` of them; what scan_next() said last. */
static int read_batches(struct world *w, struct scan *s, const struct scan_spec *spec, uint64_t batches, struct err *e)
{
	struct scan_batch sb;
	uint64_t n = 0;
	int rc = 1;

	while (batches-- && (rc = scan_next(s, &sb, e)) > 0) {
		check_batch(w, &sb, spec);
		n += sb.n;
		int late = spec->late ? check_late(w, s, &sb, spec, e) : 0;
		if (late < 0)
			return late;
	}
	if (rc == 0)
		unit_assert(&w->r, n == rows_there(w), "%llu rows, not %llu", (unsigned long long)n, (unsigned long long)rows_there(w));
	return rc;
}

static int read_finding(struct world *w, struct scan *s, const struct scan_spec *spec, struct err *e)
{
	struct scan_batch sb;
	int rc = 0;

	for (uint32_t k = 0; k < SERIES && rc >= 0; k++)
		for (uint32_t slot = 0; slot < SLOTS && rc >= 0; slot += 1 + (uint32_t)unit_below(&w->r, 300)) {
			const struct cell *c = &w->twin[k][slot];
			rc = scan_find(s, w->ids[k], BASE + slot * STEP, &sb, e);
			if (rc < 0)
				break;
			unit_assert(&w->r, rc == (c->has[0] || c->has[1]), "series %u slot %u: %d", k, slot, rc);
			unit_assert(&w->r, !rc || is_right(&sb, 0, spec, c), "series %u slot %u", k, slot);
		}
	return rc < 0 ? rc : 0;
}

/* A scan of some kind within `limit`, closed again. What it came to: 0, or an error. */
static int scan_once(struct world *w, size_t limit, size_t *ret_peak, struct err *e)
{
	struct scan_spec spec = some_spec(w);
	struct cache_stats st;
	struct budget budget;
	struct scan *s;

	*e = (struct err){0};
	budget_init(&budget, limit);
	int rc = scan_open(w->t, &spec, &budget, &s, e);
	if (rc >= 0) {
		unit_assert(&w->r, atomic_load(&budget.used) > 0, "a scan takes nothing");
		uint64_t how = unit_below(&w->r, 4);
		if (how == 0 && !spec.late)
			rc = read_finding(w, s, &spec, e);
		else
			rc = read_batches(w, s, &spec, how == 1 ? unit_below(&w->r, 6) : UINT64_MAX, e);
		scan_close(s);
	}
	unit_assert(&w->r, atomic_load(&budget.used) == 0, "%zu bytes of %zu are not given back, after %d %s", atomic_load(&budget.used),
		    limit, rc, e->text);
	page_cache_stats(w->en->pages, &st);
	unit_assert(&w->r, st.bytes <= st.limit_bytes, "the cache has %zu bytes of %zu", st.bytes, st.limit_bytes);
	*ret_peak = atomic_load(&budget.peak);
	return rc;
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

START_TEST(all_is_given_back)
{
	struct world w = {0};
	struct err e;
	size_t peak;

	up(&w);
	for (int i = 0; i < 40; i++) {
		int rc = scan_once(&w, MUCH, &peak, &e);
		unit_assert(&w.r, rc >= 0, "%s", err_text(&e, rc));
	}
	/* What was kept is let go with the files. */
	struct cache_stats st;
	page_cache_stats(w.en->pages, &st);
	unit_assert(&w.r, st.pages > 0 && st.hits > 0, "%llu pages", (unsigned long long)st.pages);
	ck_assert_int_ge(db_table_drop(w.db, STR_LIT("t"), false, &e), 0);
	table_put(w.t);
	w.t = NULL;
	page_cache_stats(w.en->pages, &st);
	unit_assert(&w.r, st.pages == 0 && st.bytes == 0, "%llu pages of a table that is gone", (unsigned long long)st.pages);
	down(&w);
}
END_TEST

START_TEST(little_memory)
{
	struct world w = {0};
	size_t peak, most = 0;
	int enough = 0, too_little = 0;
	struct err e;

	up(&w);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_ge(scan_once(&w, MUCH, &peak, &e), 0);
		most = MAX(most, peak);
	}
	for (int i = 0; i < 300; i++) {
		size_t limit = unit_below(&w.r, 4) ? unit_below(&w.r, most + 1) : unit_below(&w.r, most / 8);
		int rc = scan_once(&w, limit, &peak, &e);
		unit_assert(&w.r, rc >= 0 || rc == -ENOMEM, "%d %s", rc, err_text(&e, rc));
		unit_assert(&w.r, rc >= 0 || e.text[0], "-ENOMEM without a sentence");
		unit_assert(&w.r, peak <= limit, "%zu bytes, %zu are allowed", peak, limit);
		enough += rc >= 0;
		too_little += rc < 0;
		/* Pages that are not in the cache any more are read in their turn. */
		if (i % 50 == 49) {
			go_down(&w);
			must_go_up(&w);
		}
	}
	unit_assert(&w.r, enough && too_little, "%d scans had enough, %d had not", enough, too_little);
	down(&w);
}
END_TEST

START_TEST(failing_reads_and_damage)
{
	struct world w = {0};
	int failed = 0, damaged = 0;
	struct err e;
	size_t peak;

	up(&w);
	for (int i = 0; i < 120; i++) {
		bool flips = unit_below(&w.r, 2);
		struct io_rule rule = {.op = "pread", .path = unit_below(&w.r, 2) ? "magnetic" : "runs", .first = 1 + (int)unit_below(&w.r, 60),
				       .count = 1 + (int)unit_below(&w.r, 3), .kind = flips ? IO_FLIP : IO_FAIL, .error = EIO,
				       .arg = (int64_t)unit_below(&w.r, 200)};
		if (i % 3 == 0) {
			go_down(&w);
			must_go_up(&w);
		}
		io_fault_add(w.io, &rule);
		int rc = scan_once(&w, MUCH, &peak, &e);
		io_fault_clear(w.io);
		unit_assert(&w.r, rc >= 0 || rc == (flips ? -EBADMSG : -EIO), "%d %s", rc, err_text(&e, rc));
		failed += rc == -EIO;
		damaged += rc == -EBADMSG;
		/* Whatever was read meanwhile, what is kept of it is right. */
		rc = scan_once(&w, MUCH, &peak, &e);
		unit_assert(&w.r, rc >= 0, "%s", err_text(&e, rc));
	}
	unit_assert(&w.r, failed && damaged, "%d failed, %d damaged", failed, damaged);
	down(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {all_is_given_back, little_memory, failing_reads_and_damage};
	unit_in_memory();
	return unit_main("scan", 300, tests, ARRAY_LEN(tests));
}
