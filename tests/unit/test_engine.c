/*
 * The engine against a twin: random appends (in and out of order, duplicates, partial fields), seals,
 * migrations, retention changes, expiry and restarts, with a plain map beside it that says what every
 * query must return. TIDE_MODEL_SEED replays one seed, TIDE_MODEL_OPS sets the operations per seed.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define FIELDS 5
#define SERIES 40
#define START  (INT64_C(1700000000) * NS_PER_S)

static const struct {
	const char *name;
	enum coltype type;
} fields[FIELDS] = {
	{"i", COL_BIGINT}, {"f", COL_DOUBLE}, {"b", COL_BOOLEAN}, {"s", COL_VARCHAR}, {"t", COL_TIMESTAMP},
};

/* ---- the twin -------------------------------------------------------------------------------------------- */

struct twin_row {
	uint32_t series;
	int64_t time;
	uint8_t valid[FIELDS];
	int64_t value[FIELDS]; /* the number that the field's value is made from */
};

struct twin {
	struct twin_row *v; /* sorted by (series, time) */
	uint32_t n, cap;
	int64_t expired_before;
};

static struct twin_row *twin_at(struct twin *tw, uint32_t series, int64_t time)
{
	uint32_t lo = 0, hi = tw->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		struct twin_row *r = &tw->v[mid];
		if (r->series < series || (r->series == series && r->time < time))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < tw->n && tw->v[lo].series == series && tw->v[lo].time == time)
		return &tw->v[lo];
	if (tw->n == tw->cap) {
		tw->cap = tw->cap ? tw->cap * 2 : 1024;
		tw->v = realloc(tw->v, tw->cap * sizeof *tw->v);
	}
	memmove(&tw->v[lo + 1], &tw->v[lo], (tw->n - lo) * sizeof *tw->v);
	tw->n++;
	tw->v[lo] = (struct twin_row){.series = series, .time = time};
	return &tw->v[lo];
}

/* ---- random numbers ---------------------------------------------------------------------------------------- */

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

/* ---- the engine under test ------------------------------------------------------------------------------------ */

struct world {
	char dir[64];
	struct engine *en;
	struct db *db;
	struct table *t;
	int64_t now;
	struct twin twin;
	uint64_t part_rows; /* 0: dates are never split here */
	uint32_t ids[SERIES]; /* engine's series ids */
	uint32_t cols[FIELDS];
	char strings[64][32];
};

static void world_open_with(struct world *w, const struct engine_options *opt)
{
	struct err e = {0};

	int rc = engine_open(w->dir, opt, &w->en, &e);
	ck_assert_msg(rc >= 0, "engine_open: %s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db) {
		rc = engine_db_create(w->en, STR_LIT("d"), &w->db, &e);
		ck_assert_msg(rc >= 0, "db_create: %s", err_text(&e, rc));
	}
	struct db_status st;
	db_status(w->db, &st);
	ck_assert_msg(!st.failed, "database failed: %s", st.reason);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t) {
		rc = db_table_create(w->db, STR_LIT("t"), &w->t, &e);
		ck_assert_msg(rc >= 0, "table_create: %s", err_text(&e, rc));
	}
	struct series_set *set = table_series(w->t);
	for (int f = 0; f < FIELDS; f++) {
		int64_t id = series_add_column(set, str_from(fields[f].name), COLKIND_MEASURE, fields[f].type, &e);
		ck_assert_msg(id >= 0, "add_column: %s", err_text(&e, (int)id));
		w->cols[f] = (uint32_t)id;
	}
	for (uint32_t s = 0; s < SERIES; s++) {
		struct dim_value dims[2];
		char a[16], b[16];
		uint32_t n = 0;
		snprintf(a, sizeof a, "host%u", s % 7);
		snprintf(b, sizeof b, "r%u", s / 7);
		int64_t ca = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
		int64_t cb = series_add_column(set, STR_LIT("az"), COLKIND_DIMENSION, COL_VARCHAR, &e);
		ck_assert(ca >= 0 && cb >= 0);
		dims[n++] = (struct dim_value){(uint32_t)ca, str_from(a)};
		if (s / 7)
			dims[n++] = (struct dim_value){(uint32_t)cb, str_from(b)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, dims, n, &e);
		ck_assert_msg(id >= 0, "series_intern: %s", err_text(&e, (int)id));
		w->ids[s] = (uint32_t)id;
	}
}

static void world_open(struct world *w)
{
	world_open_with(w, &(struct engine_options){.no_background = true, .sync_interval_ns = -1,
						     .part_rows = w->part_rows});
}

static void world_close(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

static void put_value(struct world *w, struct col *c, uint32_t row, int64_t v)
{
	switch (c->type) {
	case COL_DOUBLE:
		c->f64[row] = (double)v / 4;
		break;
	case COL_BOOLEAN:
		c->b8[row] = v & 1;
		break;
	case COL_VARCHAR:
		c->str[row] = str_from(w->strings[v & 63]);
		break;
	default:
		c->i64[row] = v;
	}
}

static bool same_value(struct world *w, const struct col *c, uint32_t row, int64_t v)
{
	switch (c->type) {
	case COL_DOUBLE:
		return c->f64[row] == (double)v / 4;
	case COL_BOOLEAN:
		return c->b8[row] == (v & 1);
	case COL_VARCHAR:
		return str_is(c->str[row], w->strings[v & 63]);
	default:
		return c->i64[row] == v;
	}
}

static void op_append(struct world *w)
{
	struct batch b;
	struct err e = {0};
	struct table_window win;
	uint32_t n = 1 + (uint32_t)rnd(rnd(20) ? 20 : 3000);
	/* Mostly fresh rows moving on, sometimes late ones, sometimes very late ones. */
	int64_t base = w->now - (int64_t)rnd(rnd(4) ? 60 : rnd(4) ? 4000 : 400000) * NS_PER_S;

	table_window(w->t, &win);
	batch_init(&b);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t s = (uint32_t)rnd(SERIES);
		int64_t time = base + (int64_t)rnd(300) * NS_PER_S + (rnd(50) ? 0 : (int64_t)rnd(1000));
		if (time < win.lo_ns || time >= win.hi_ns)
			continue;
		ck_assert_int_ge(batch_reserve(&b), 0);
		uint32_t row = b.n;
		b.series[row] = w->ids[s];
		b.time_ns[row] = time;
		struct twin_row *tr = twin_at(&w->twin, s, time);
		bool any = false;
		for (int f = 0; f < FIELDS; f++) {
			if (rnd(3) == 0 && (any || f < FIELDS - 1))
				continue;
			any = true;
			int slot = batch_col(&b, w->cols[f], fields[f].type);
			ck_assert_int_ge(slot, 0);
			int64_t v = (int64_t)rnd(rnd(3) ? 100 : UINT32_MAX) - 50;
			put_value(w, &b.cols[slot].col, row, v);
			b.cols[slot].col.valid[row] = 1;
			b.cols[slot].has_values = true;
			tr->valid[f] = 1;
			tr->value[f] = v;
		}
		b.n++;
	}
	int rc = db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, &e);
	ck_assert_msg(rc >= 0, "append: %s", err_text(&e, rc));
	batch_release(&b);
}

static void op_query(struct world *w)
{
	uint64_t bits[64] = {0};
	struct err e = {0};
	struct budget budget;
	struct scan *scan;
	struct scan_batch sb;
	uint32_t cols[FIELDS], nc = 0, which[FIELDS];
	bool all = rnd(2);
	int64_t lo = INT64_MIN, hi = INT64_MAX;
	uint64_t count = 0, expect = 0;

	budget_init(&budget, (size_t)1 << 30);
	for (uint32_t f = 0; f < FIELDS; f++)
		if (rnd(2)) {
			which[nc] = f;
			cols[nc++] = w->cols[f];
		}
	if (rnd(2)) {
		lo = w->now - (int64_t)rnd(500000) * NS_PER_S;
		hi = lo + (int64_t)rnd(rnd(2) ? 1000 : 500000) * NS_PER_S;
	}
	bool wanted[SERIES];
	for (uint32_t s = 0; s < SERIES; s++) {
		wanted[s] = all || rnd(4) == 0;
		if (wanted[s])
			bits[w->ids[s] / 64] |= UINT64_C(1) << (w->ids[s] % 64);
	}
	int64_t seen_lo = MAX(lo, w->twin.expired_before);
	for (uint32_t i = 0; i < w->twin.n; i++) {
		struct twin_row *r = &w->twin.v[i];
		expect += wanted[r->series] && r->time >= seen_lo && r->time <= hi;
	}
	struct scan_spec spec = {.t_lo = lo, .t_hi = hi, .cols = cols, .col_count = nc,
				 .series = all ? NULL : bits, .series_count = series_count(table_series(w->t)),
				 .times_wanted = true};
	int rc = scan_open(w->t, &spec, &budget, &scan, &e);
	ck_assert_msg(rc >= 0, "scan_open: %s", err_text(&e, rc));
	uint32_t last_series = SERIES_NONE;
	int64_t last_time = 0;
	while ((rc = scan_next(scan, &sb, &e)) > 0) {
		for (uint32_t k = 0; k < sb.run_count; k++) {
			uint32_t id = sb.runs[k].series_id, s = 0;
			while (w->ids[s] != id)
				s++;
			ck_assert(wanted[s]);
			if (id != last_series && last_series != SERIES_NONE)
				ck_assert_int_lt(series_cmp(table_series(w->t), last_series, id), 0);
			for (uint32_t i = sb.runs[k].start; i < sb.runs[k].start + sb.runs[k].count; i++) {
				int64_t time = sb.time_ns[i];
				ck_assert(time >= seen_lo && time <= hi);
				ck_assert(id != last_series || time > last_time);
				last_series = id;
				last_time = time;
				uint32_t n = w->twin.n;
				struct twin_row *r = twin_at(&w->twin, s, time);
				ck_assert_msg(w->twin.n == n, "series %u time %lld was never written", s,
					      (long long)time);
				for (uint32_t c = 0; c < nc; c++) {
					bool valid = !sb.cols[c].valid || sb.cols[c].valid[i];
					ck_assert_msg(valid == r->valid[which[c]], "series %u time %lld field %s: %s",
						      s, (long long)time, fields[which[c]].name,
						      valid ? "has a value, should be NULL" : "is NULL, has a value");
					ck_assert_msg(!valid || same_value(w, &sb.cols[c], i, r->value[which[c]]),
						      "series %u time %lld field %s is wrong", s, (long long)time,
						      fields[which[c]].name);
				}
			}
		}
		count += sb.n;
	}
	ck_assert_msg(rc == 0, "scan_next: %s", err_text(&e, rc));
	scan_close(scan);
	ck_assert_msg(count == expect, "%llu rows, should be %llu", (unsigned long long)count,
		      (unsigned long long)expect);
	ck_assert_uint_eq(atomic_load(&budget.used), 0);
}

static void op_setting(struct world *w)
{
	static const char *const memory[] = {"1m", "10m", "1h", "6h", "1d", "30d"};
	static const char *const magnetic[] = {"73000d", "2d", "5d", "73000d"};
	struct err e = {0};
	int rc;

	if (rnd(3))
		rc = table_set(w->t, SET_RETENTION_MEMORY, str_from(memory[rnd(ARRAY_LEN(memory))]), &e);
	else
		rc = table_set(w->t, SET_RETENTION_MAGNETIC, str_from(magnetic[rnd(ARRAY_LEN(magnetic))]), &e);
	ck_assert_msg(rc >= 0, "table_set: %s", err_text(&e, rc));
}

/* What a tile holds must not stand in another tile, and nothing due may wait after a full round. */
static void check_tiles(struct world *w)
{
	struct table_stats st;
	struct tile_entry *tiles;
	uint32_t n;

	table_stats(w->t, &st);
	ck_assert_uint_eq(st.pending_rows, 0);
	ck_assert_int_ge(table_tiles(w->t, &tiles, &n), 0);
	ck_assert_uint_eq(n, st.tiles.files);
	free(tiles);
}

static void op(struct world *w)
{
	struct err e = {0};
	int rc = 0;
	struct table_stats st;

	switch (rnd(24)) {
	default:
		op_append(w);
		break;
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		op_query(w);
		break;
	case 5:
		rc = table_seal(w->t, &e);
		break;
	case 6:
		rc = table_maintain(w->t, &e);
		table_stats(w->t, &st);
		w->twin.expired_before = MAX(w->twin.expired_before, st.expired_before_ns);
		check_tiles(w);
		break;
	case 7:
		rc = engine_maintain(w->en, &e);
		table_stats(w->t, &st);
		w->twin.expired_before = MAX(w->twin.expired_before, st.expired_before_ns);
		break;
	case 8:
		op_setting(w);
		break;
	case 9:
		world_close(w);
		world_open(w);
		break;
	case 10:
	case 11:
		w->now += (int64_t)rnd(rnd(5) ? 600 : 3000) * NS_PER_S;
		clock_pin(w->now);
		break;
	}
	ck_assert_msg(rc >= 0, "maintenance: %s", err_text(&e, rc));
}

static void run_seed(uint64_t seed, int ops)
{
	struct world w = {.now = START, .part_rows = seed % 2 ? 0 : 300};

	int dirfd = unit_dir(w.dir);
	rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (int i = 0; i < 64; i++)
		snprintf(w.strings[i], sizeof w.strings[i], "%.*s%d", i % 16, "aaaaaaaaaaaaaaaa", i);
	clock_pin(w.now);
	world_open(&w);
	fprintf(stderr, "engine model: TIDE_MODEL_SEED=%llu\n", (unsigned long long)seed);
	for (int i = 0; i < ops; i++)
		op(&w);
	op_query(&w);
	world_close(&w);
	clock_pin(0);
	free(w.twin.v);
	unit_dir_remove(dirfd, w.dir);
}

START_TEST(model)
{
	const char *one = getenv("TIDE_MODEL_SEED"), *ops = getenv("TIDE_MODEL_OPS");

	if (one && _i > 0)
		return;
	run_seed(one ? strtoull(one, NULL, 10) : (uint64_t)_i + 1, ops ? atoi(ops) : 400);
}
END_TEST

/* ---- many threads ------------------------------------------------------------------------------------------------ */

/*
 * Writers append rows of their own series, readers count, and the background thread seals and
 * migrates meanwhile. A reader must never see fewer rows than were acknowledged before it began, nor
 * more than were begun; each row is there once.
 */
#define WRITERS 3
#define BATCHES 150
#define BATCH_N 40

struct crowd {
	struct world *w;
	_Atomic uint64_t begun, done;
	_Atomic bool stop;
};

struct crowd_writer {
	struct crowd *c;
	uint32_t me;
};

static void *crowd_write(void *arg)
{
	struct crowd_writer *cw = arg;
	struct crowd *c = cw->c;
	struct batch b;
	struct err e = {0};
	int64_t now = clock_now_ns();

	batch_init(&b);
	for (int k = 0; k < BATCHES; k++) {
		batch_clear(&b);
		for (int i = 0; i < BATCH_N; i++) {
			ck_assert_int_ge(batch_reserve(&b), 0);
			int slot = batch_col(&b, c->w->cols[0], COL_BIGINT);
			b.series[b.n] = c->w->ids[cw->me];
			/* Half of them long past: due for tiles at once. */
			b.time_ns[b.n] = (k % 2 ? now : now - 10 * NS_PER_DAY) + (k * BATCH_N + i) * NS_PER_MS;
			b.cols[slot].col.i64[b.n] = 1;
			b.cols[slot].col.valid[b.n] = 1;
			b.cols[slot].has_values = true;
			b.n++;
		}
		atomic_fetch_add(&c->begun, BATCH_N);
		int rc = db_append(c->w->db, &(struct table_batch){.table = c->w->t, .batch = &b}, 1, &e);
		ck_assert_msg(rc >= 0, "append: %s", err_text(&e, rc));
		atomic_fetch_add(&c->done, BATCH_N);
		if (k % 40 == 20)
			ck_assert_int_ge(table_seal(c->w->t, &e), 0);
		if (k % 60 == 30)
			ck_assert_int_ge(table_maintain(c->w->t, &e), 0);
	}
	batch_release(&b);
	return NULL;
}

static void *crowd_read(void *arg)
{
	struct crowd *c = arg;
	struct err e = {0};

	while (!atomic_load(&c->stop)) {
		struct budget budget;
		struct scan *scan;
		struct scan_batch sb;
		uint64_t sum = 0, low = atomic_load(&c->done);
		int rc;
		budget_init(&budget, (size_t)1 << 30);
		struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = c->w->cols, .col_count = 1};
		rc = scan_open(c->w->t, &spec, &budget, &scan, &e);
		ck_assert_msg(rc >= 0, "scan_open: %s", err_text(&e, rc));
		while ((rc = scan_next(scan, &sb, &e)) > 0)
			for (uint32_t i = 0; i < sb.n; i++)
				sum += (uint64_t)sb.cols[0].i64[i];
		ck_assert_msg(rc == 0, "scan_next: %s", err_text(&e, rc));
		scan_close(scan);
		uint64_t high = atomic_load(&c->begun);
		ck_assert_msg(sum >= low && sum <= high, "saw %llu rows, between %llu and %llu are right",
			      (unsigned long long)sum, (unsigned long long)low, (unsigned long long)high);
	}
	return NULL;
}

START_TEST(crowd)
{
	struct world w = {0};
	struct crowd c = {.w = &w};
	struct crowd_writer cw[WRITERS];
	pthread_t writers[WRITERS], readers[2];

	int dirfd = unit_dir(w.dir);
	world_open_with(&w, &(struct engine_options){.sync_interval_ns = 5 * NS_PER_MS});
	for (uint32_t i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, crowd_read, &c);
	for (uint32_t i = 0; i < WRITERS; i++) {
		cw[i] = (struct crowd_writer){&c, i};
		pthread_create(&writers[i], NULL, crowd_write, &cw[i]);
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&c.stop, true);
	for (uint32_t i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	world_close(&w);
	unit_dir_remove(dirfd, w.dir);
}
END_TEST

/* ---- the data directory ------------------------------------------------------------------------------------------ */

START_TEST(refuses_what_is_not_its_own)
{
	char dir[64], path[300];
	struct err e = {0};
	struct engine *en, *other;

	int dirfd = unit_dir(dir);
	snprintf(path, sizeof path, "%s/somebody", dir);
	FILE *f = fopen(path, "w");
	fputs("else", f);
	fclose(f);
	struct engine_options opt = {.no_background = true};
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), -ENOTEMPTY);
	ck_assert_ptr_nonnull(strstr(e.text, "not a tidefs data directory"));
	remove(path);

	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_open(dir, &opt, &other, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.text, "in use"));
	engine_close(en);

	snprintf(path, sizeof path, "%s/tidefs.format", dir);
	f = fopen(path, "w");
	fputs("tidefs data directory, format 99\n", f);
	fclose(f);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), -EMEDIUMTYPE);
	ck_assert_ptr_nonnull(strstr(e.text, "format 99"));
	unit_dir_remove(dirfd, dir);
}
END_TEST

START_TEST(names)
{
	char dir[64];
	struct err e = {0};
	struct engine *en;
	struct db *db;
	struct table *t;
	static const char *const reserved[] = {"ingest", "status", NULL};
	struct engine_options opt = {.no_background = true, .reserved_names = reserved};

	int dirfd = unit_dir(dir);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("a b"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT(".x"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("status"), &db, &e), -EINVAL);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), NULL, &e), -EEXIST);
	ck_assert_int_eq(db_table_create(db, STR_LIT("ingest"), &t, &e), -EINVAL);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	ck_assert_int_eq(engine_db_drop(en, STR_LIT("d"), &e), -ENOTEMPTY);
	ck_assert_int_eq(db_table_drop(db, STR_LIT("t"), true, &e), 0);
	ck_assert_int_eq(table_set(t, SET_PRECISION, STR_LIT("ms"), &e), -ESTALE);
	ck_assert_int_eq(engine_db_drop(en, STR_LIT("d"), &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), NULL, &e), -ESTALE);
	table_put(t);
	db_put(db);
	ck_assert_ptr_null(engine_db(en, STR_LIT("d")));
	engine_close(en);
	unit_dir_remove(dirfd, dir);
}
END_TEST

static const struct {
	enum setting s;
	const char *value;
	int rc;
	const char *shown;
} setting_cases[] = {
	{SET_RETENTION_MEMORY, "90s\n", 0, "90s"},
	{SET_RETENTION_MEMORY, " 12h ", 0, "12h"},
	{SET_RETENTION_MEMORY, "10y", 0, "10y"},
	{SET_RETENTION_MEMORY, "", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "0s", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "-5m", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "soon", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "73001d", -EINVAL, "6h"},
	{SET_RETENTION_MEMORY, "7month", -EINVAL, "6h"},
	{SET_DURABILITY, "sync", 0, "sync"},
	{SET_DURABILITY, "Sync", -EINVAL, "buffered"},
	{SET_PRECISION, "ms", 0, "ms"},
	{SET_PRECISION, "minutes", -EINVAL, "ns"},
	{SET_LATE_DATA, "reject", 0, "reject"},
};

START_TEST(settings)
{
	char dir[64], text[SETTING_TEXT_MAX];
	struct err e = {0};
	struct engine *en;
	struct db *db;
	struct table *t;
	struct engine_options opt = {.no_background = true};

	int dirfd = unit_dir(dir);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	ck_assert_int_eq(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_eq(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	int rc = table_set(t, setting_cases[_i].s, str_from(setting_cases[_i].value), &e);
	ck_assert_int_eq(rc, setting_cases[_i].rc);
	if (rc < 0)
		ck_assert_ptr_nonnull(strstr(e.text, setting_defs[setting_cases[_i].s].name));
	table_put(t);
	db_put(db);
	engine_close(en);
	ck_assert_int_eq(engine_open(dir, &opt, &en, &e), 0);
	db = engine_db(en, STR_LIT("d"));
	t = db_table(db, STR_LIT("t"));
	table_setting(t, setting_cases[_i].s, text);
	ck_assert_str_eq(text, setting_cases[_i].shown);
	table_put(t);
	db_put(db);
	engine_close(en);
	unit_dir_remove(dirfd, dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("engine");
	TCase *tc = tcase_create("engine");

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, model, 0, 12);
	tcase_add_test(tc, crowd);
	tcase_add_test(tc, refuses_what_is_not_its_own);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, settings, 0, (int)ARRAY_LEN(setting_cases));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
