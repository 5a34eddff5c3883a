/*
 * The world of the model: the engine on a disk that can die, two clocks that stand still between
 * operations, and the operations that change nothing but where rows lie.
 */
#include "tests/model/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct world w;

/* ---- dice and failures ----------------------------------------------------------------------------- */

static uint64_t dice;

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Mixed, too: seeds that lie a step apart would be the same dice, a throw later. */
void rnd_seed(uint64_t seed)
{
	dice = mix(seed * UINT64_C(0xd1342543de82ef95) + 1);
}

uint64_t rnd(uint64_t n)
{
	return mix(dice += UINT64_C(0x9e3779b97f4a7c15)) % n;
}

bool chance(uint64_t n)
{
	return rnd(n) == 0;
}

void fail(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fflush(stdout);
	fprintf(stderr, "model: seed %llu, operation %llu (%s): %s\nmodel: replay with SEED=%llu; the directory is %s\n",
		(unsigned long long)w.seed, (unsigned long long)w.op, w.op_name, text, (unsigned long long)w.seed, w.dir);
	exit(1);
}

void must(int rc, const struct err *e, const char *what)
{
	if (rc < 0)
		fail("%s: %s", what, err_text(e, rc));
}

bool went_well(int rc, const struct err *e, const char *what)
{
	if (rc >= 0)
		return true;
	if (!w.disk.is_dead)
		fail("%s: %s", what, err_text(e, rc));
	trace("%s: %s", what, err_text(e, rc));
	w.is_in_doubt = true;
	return false;
}

void trace(const char *fmt, ...)
{
	va_list ap;

	if (!w.is_verbose)
		return;
	printf("%llu %s: ", (unsigned long long)w.op, w.op_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* ---- the disk ---------------------------------------------------------------------------------------- */

/*
 * What a SIGKILL leaves is what was written until then. A disk that refuses every change from some
 * call on leaves the same, and the engine may go on in this process until it has closed everything.
 */
static bool dies(const struct io *io)
{
	struct disk *d = io->ctx;

	if (d->left == 0)
		d->is_dead = true;
	else if (d->left > 0)
		d->left--;
	return d->is_dead;
}

static int disk_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	if ((flags & O_CREAT) && dies(io))
		return -EIO;
	return io_posix()->openat(io_posix(), dirfd, path, flags, mode);
}

static int disk_close(const struct io *io, int fd)
{
	return io_posix()->close(io_posix(), fd);
}

static int64_t disk_pread(const struct io *io, int fd, void *to, size_t n, int64_t off)
{
	return io_posix()->pread(io_posix(), fd, to, n, off);
}

/* The write that it dies of may reach the disk in part. */
static void disk_prefetch(const struct io *io, int fd, int64_t off, int64_t n)
{
}

static int64_t disk_pwritev(const struct io *io, int fd, const struct iovec *iov, int n, int64_t off)
{
	struct disk *d = io->ctx;
	bool was_dead = d->is_dead;

	if (!dies(io))
		return io_posix()->pwritev(io_posix(), fd, iov, n, off);
	if (!was_dead && iov[0].iov_len)
		(void)!io_pwrite(io_posix(), fd, iov[0].iov_base, (size_t)rnd(iov[0].iov_len), off);
	return -EIO;
}

static int disk_ftruncate(const struct io *io, int fd, int64_t size)
{
	return dies(io) ? -EIO : io_posix()->ftruncate(io_posix(), fd, size);
}

/* Nothing here looks at what a power cut would leave, and a real sync costs milliseconds. */
static int disk_sync(const struct io *io, int fd)
{
	(void)fd;
	return dies(io) ? -EIO : 0;
}

static int disk_fstat(const struct io *io, int fd, struct stat *ret)
{
	return io_posix()->fstat(io_posix(), fd, ret);
}

static int disk_renameat(const struct io *io, int from_dir, const char *from, int to_dir, const char *to)
{
	return dies(io) ? -EIO : io_posix()->renameat(io_posix(), from_dir, from, to_dir, to);
}

static int disk_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	return dies(io) ? -EIO : io_posix()->unlinkat(io_posix(), dirfd, path, flags);
}

static int disk_mkdirat(const struct io *io, int dirfd, const char *path, mode_t mode)
{
	return dies(io) ? -EIO : io_posix()->mkdirat(io_posix(), dirfd, path, mode);
}

static int disk_linkat(const struct io *io, int from_dir, const char *from, int to_dir, const char *to)
{
	return dies(io) ? -EIO : io_posix()->linkat(io_posix(), from_dir, from, to_dir, to);
}

static void disk_init(struct disk *d)
{
	d->io = (struct io){
		.openat = disk_openat, .close = disk_close, .pread = disk_pread, .prefetch = disk_prefetch, .pwritev = disk_pwritev,
		.ftruncate = disk_ftruncate, .fdatasync = disk_sync, .fsync = disk_sync, .fstat = disk_fstat,
		.renameat = disk_renameat, .unlinkat = disk_unlinkat, .mkdirat = disk_mkdirat,
		.linkat = disk_linkat, .ctx = d,
	};
	d->left = -1;
	d->is_dead = false;
}

/* ---- definitions --------------------------------------------------------------------------------------- */

static uint32_t define_series(struct m_table *mt, const struct m_series *s)
{
	struct series_set *set = table_series(mt->t);
	struct dim_value dims[DIMS];
	struct err e = {0};
	uint32_t n = 0;

	for (uint32_t d = 0; d < DIMS; d++) {
		const char *value = dim_value(d, s->dim[d]);
		if (!value)
			continue;
		int64_t col = series_add_column(set, str_from(dim_names[d]), COLKIND_DIMENSION, COL_VARCHAR, &e);
		must((int)MIN(col, 0), &e, "series_add_column");
		dims[n++] = (struct dim_value){(uint32_t)col, str_from(value)};
	}
	int64_t id = series_intern(set, str_from(measure_names[s->measure]), MEASURE_MULTI, dims, n, &e);
	must((int)MIN(id, 0), &e, "series_intern");
	if (id >= (int64_t)ARRAY_LEN(mt->twin_of))
		fail("series id %lld: ids are to be dense", (long long)id);
	return (uint32_t)id;
}

static void define_col(struct m_table *mt, uint32_t c)
{
	const struct m_col *mc = &mt->twin.cols[c];
	struct err e = {0};
	int64_t id = series_add_column(table_series(mt->t), str_from(mc->name), COLKIND_MEASURE, mc->type, &e);

	must((int)MIN(id, 0), &e, "series_add_column");
	mt->col_ids[c] = (uint32_t)id;
}

static void bind_series(struct m_table *mt, uint32_t s)
{
	mt->ids[s] = define_series(mt, &mt->twin.series[s]);
	mt->twin_of[mt->ids[s]] = s;
}

/* The one that is equal, or a new one. NONE: there are enough. */
uint32_t add_series(struct m_table *mt, const struct m_series *s)
{
	struct twin *tw = &mt->twin;

	for (uint32_t i = 0; i < tw->series_n; i++)
		if (memcmp(&tw->series[i], s, sizeof *s) == 0)
			return i;
	if (tw->series_n == SERIES_MOST)
		return NONE;
	tw->series[tw->series_n] = *s;
	bind_series(mt, tw->series_n);
	return tw->series_n++;
}

void add_col(struct m_table *mt, uint32_t c)
{
	if (mt->twin.has_cols >> c & 1)
		return;
	mt->twin.has_cols |= UINT32_C(1) << c;
	define_col(mt, c);
}

/* Definitions that no row needed yet may be gone after a restart: then they are made anew. */
void table_attach(struct m_table *mt, struct db *db)
{
	struct err e = {0};

	mt->t = db_table(db, str_from(mt->name));
	if (!mt->t && mt->twin.exists && !w.is_in_doubt)
		fail("table %s is gone", mt->name);
	if (!mt->t)
		must(db_table_create(db, str_from(mt->name), &mt->t, &e), &e, "db_table_create");
	memset(mt->twin_of, 0xff, sizeof mt->twin_of);
	for (uint32_t s = 0; s < mt->twin.series_n; s++)
		bind_series(mt, s);
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (mt->twin.has_cols >> c & 1)
			define_col(mt, c);
	for (uint32_t c = 0; c < 4; c++)
		add_col(mt, c);
	mt->twin.exists = true;
}

struct m_table *some_table(void)
{
	return &w.tables[rnd(TABLES)];
}

/* ---- opening and closing -------------------------------------------------------------------------------- */

void world_clock(void)
{
	clock_pin(w.now);
	clock_pin_mono(w.mono);
}

void world_open(void)
{
	struct err e = {0};
	struct db_status st;

	disk_init(&w.disk);
	struct engine_options opt = {.io = &w.disk.io, .no_background = true, .sync_interval_ns = -1,
				     .part_rows = w.part_rows, .segment_bytes = w.segment_bytes};
	must(engine_open(w.dir, &opt, &w.en, &e), &e, "engine_open");
	w.db = engine_db(w.en, STR_LIT("d"));
	if (!w.db)
		must(engine_db_create(w.en, STR_LIT("d"), &w.db, &e), &e, "engine_db_create");
	db_status(w.db, &st);
	if (st.failed || st.read_only)
		fail("the database came up unusable: %s", st.reason);
	for (uint32_t i = 0; i < TABLES; i++) {
		snprintf(w.tables[i].name, sizeof w.tables[i].name, "t%u", i);
		table_attach(&w.tables[i], w.db);
	}
}

void world_close(void)
{
	for (uint32_t i = 0; i < TABLES; i++) {
		table_put(w.tables[i].t);
		w.tables[i].t = NULL;
	}
	db_put(w.db);
	engine_close(w.en);
	w.db = NULL;
	w.en = NULL;
}

void world_reopen(bool is_crash)
{
	if (is_crash)
		w.disk.left = 0;
	w.disk.is_dead = is_crash;
	world_close();
	world_open();
	for (uint32_t i = 0; i < TABLES; i++)
		note_edge(&w.tables[i], false);
}

/* ---- expiry ----------------------------------------------------------------------------------------------- */

static bool clock_is_doubted(void)
{
	struct db_status st;

	db_status(w.db, &st);
	return st.clock_note[0];
}

/*
 * The engine says where its edge is; whether it may be there follows from the settings. It moves in
 * steps of up to a minute, so a row may outlive its age by as much.
 */
void note_edge(struct m_table *mt, bool is_due)
{
	struct twin *tw = &mt->twin;
	struct table_stats st;
	int64_t limit = w.now - tw->memory_ns - tw->magnetic_ns, edge;

	table_stats(mt->t, &st);
	edge = st.expired_before_ns;
	if (edge < tw->edge && tw->edge > 0)
		fail("%s: the edge of expiry moved back by %lld ns", mt->name, (long long)(tw->edge - edge));
	if (edge > MAX(tw->edge, MAX(limit, 0)))
		fail("%s: rows expire %lld ns before their time", mt->name, (long long)(edge - limit));
	if (edge > tw->edge) {
		uint32_t before = tw->alive;
		twin_expire(tw, edge, w.op);
		trace("%s: the edge is %lld now, %u rows expired", mt->name, (long long)edge, before - tw->alive);
	}
	if (!is_due || clock_is_doubted())
		return;
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].is_alive && tw->keys[i].time < limit - 61 * NS_PER_S)
			fail("%s: series %u time %lld is shown, and expired %lld s ago", mt->name, tw->keys[i].series,
			     (long long)tw->keys[i].time, (long long)((limit - tw->keys[i].time) / NS_PER_S));
}

void quiesce(struct m_table *mt)
{
	struct table_stats st;
	struct err e = {0};

	if (!went_well(table_seal(mt->t, &e), &e, "table_seal") ||
	    !went_well(table_maintain(mt->t, &e), &e, "table_maintain"))
		return;
	note_edge(mt, true);
	table_stats(mt->t, &st);
	if (st.pending_rows)
		fail("%s: %llu rows wait after everything due was done", mt->name, (unsigned long long)st.pending_rows);
}

/* ---- operations ----------------------------------------------------------------------------------------------- */

void op_seal(void)
{
	struct m_table *mt = some_table();
	struct err e = {0};

	trace("%s", mt->name);
	(void)went_well(table_seal(mt->t, &e), &e, "table_seal");
}

void op_maintain_table(void)
{
	struct m_table *mt = some_table();
	struct err e = {0};

	trace("%s", mt->name);
	if (chance(3)) {
		quiesce(mt);
		if (!w.is_in_doubt)
			check_tiles(mt);
	} else if (went_well(table_maintain(mt->t, &e), &e, "table_maintain")) {
		note_edge(mt, true);
	}
}

void op_maintain(void)
{
	struct err e = {0};
	int64_t jumped = w.jumped_ns;

	trace("all");
	bool is_known = w.is_clock_known;
	w.jumped_ns = 0;
	w.is_clock_known = true;
	if (!went_well(engine_maintain(w.en, &e), &e, "engine_maintain"))
		return;
	if (is_known && jumped > 3600 * NS_PER_S && !clock_is_doubted())
		fail("the clock jumped by %lld s, and expiry goes on", (long long)(jumped / NS_PER_S));
	if (jumped <= 3600 * NS_PER_S && clock_is_doubted())
		fail("the clock ran as it should (but for %lld s), and is doubted", (long long)(jumped / NS_PER_S));
	for (uint32_t i = 0; i < TABLES; i++)
		note_edge(&w.tables[i], true);
}

struct span {
	const char *text;
	int64_t ns;
};

#define HOUR (3600 * NS_PER_S)

static void set(struct m_table *mt, enum setting s, const char *value)
{
	struct err e = {0};

	trace("%s: %s = %s", mt->name, setting_defs[s].name, value);
	must(table_set(mt->t, s, str_from(value), &e), &e, "table_set");
}

void op_retention(void)
{
	static const struct span memory[] = {{"1m", 60 * NS_PER_S}, {"10m", 600 * NS_PER_S}, {"1h", HOUR},
					     {"3h", 3 * HOUR},      {"12h", 12 * HOUR},      {"2d", 48 * HOUR}};
	static const struct span magnetic[] = {{"1h", HOUR},       {"6h", 6 * HOUR},   {"1d", 24 * HOUR},
					       {"3d", 72 * HOUR}, {"10d", 240 * HOUR}, {"73000d", 73000 * NS_PER_DAY}};
	struct m_table *mt = some_table();
	bool is_full = mt->twin.alive > MEMORY_ROWS;

	if (chance(2)) {
		const struct span *s = &memory[rnd(is_full ? 3 : ARRAY_LEN(memory))];
		set(mt, SET_RETENTION_MEMORY, s->text);
		mt->twin.memory_ns = s->ns;
	} else {
		const struct span *s = &magnetic[rnd(is_full ? 2 : ARRAY_LEN(magnetic))];
		set(mt, SET_RETENTION_MAGNETIC, s->text);
		mt->twin.magnetic_ns = s->ns;
	}
}

/* By what dates are split into parts: free until there are tiles, and never seen in an answer. */
static void set_partition_key(struct m_table *mt)
{
	static const char *const keys[] = {"dimensions", "measure_name", "host", "az, host", "Zone optional"};
	const char *key = keys[rnd(ARRAY_LEN(keys))];
	struct table_stats st;
	struct err e = {0};
	int rc = table_set(mt->t, SET_PARTITION_KEY, str_from(key), &e);

	trace("%s: partition key %s: %d", mt->name, key, rc);
	table_stats(mt->t, &st);
	if (rc < 0 && (rc != -EINVAL || !st.tiles.files))
		must(rc, &e, "table_set");
}

void op_setting(void)
{
	static const struct span future[] = {{"15m", 900 * NS_PER_S}, {"1s", NS_PER_S}, {"2h", 2 * HOUR}};
	struct m_table *mt = some_table();

	if (chance(3)) {
		set_partition_key(mt);
	} else if (chance(3)) {
		set(mt, SET_ENCODING, chance(2) ? "compact" : "open"); /* never seen in an answer */
	} else if (chance(3)) {
		const struct span *s = &future[rnd(ARRAY_LEN(future))];
		set(mt, SET_FUTURE_LIMIT, s->text);
		mt->twin.future_ns = s->ns;
	} else {
		mt->twin.late_reject = !mt->twin.late_reject && chance(4);
		set(mt, SET_LATE_DATA, mt->twin.late_reject ? "reject" : "magnetic");
	}
}

void op_clock(void)
{
	int64_t step = (int64_t)rnd(chance(10) ? 3000 : chance(2) ? 300 : 20) * NS_PER_S + (int64_t)rnd(1000);

	w.now += step;
	w.mono += step;
	world_clock();
}

/* Time goes on, and then somebody sets the clock. */
void op_jump(void)
{
	int64_t step = ((int64_t)rnd(3 * 3600) + 60) * NS_PER_S;

	trace("%lld s", (long long)(step / NS_PER_S));
	w.now += step;
	w.jumped_ns += step;
	world_clock();
	if (chance(3))
		world_reopen(chance(2));
	op_maintain();
	/* That whoever sets a retention has seen the clock is part of what is promised. */
	char text[SETTING_TEXT_MAX];
	table_setting(w.tables[0].t, SET_RETENTION_MEMORY, text);
	set(&w.tables[0], SET_RETENTION_MEMORY, text);
	if (clock_is_doubted())
		fail("the clock is doubted after it was confirmed");
	op_maintain();
}

void op_reopen(void)
{
	trace("clean");
	world_reopen(false);
	look_everything();
}

void op_crash(void)
{
	trace("nothing more reaches the disk");
	world_reopen(true);
	look_everything();
}

/*
 * The disk dies somewhere inside an operation. Up again, everything must be as it was before it, or
 * as it is after it; where it said that it went well, as after it.
 */
void op_disk_dies(void)
{
	static void (*const ops[])(void) = {op_append, op_append, op_append_versions, op_delete, op_sql_delete, op_sql_insert, op_seal, op_maintain_table,
					    op_maintain, op_tile_remove, op_tile_restore, op_snapshot};
	struct twin before[TABLES] = {0};
	char why[512], why_not[512] = "";
	bool same_after = true, same_before = true;

	for (uint32_t i = 0; i < TABLES; i++)
		twin_copy(&before[i], &w.tables[i].twin);
	w.disk.left = (int64_t)rnd(chance(3) ? 60 : 6);
	ops[rnd(ARRAY_LEN(ops))]();
	bool is_in_doubt = w.is_in_doubt;
	trace("%s", is_in_doubt ? "died on the way" : "died afterwards");
	world_reopen(true);
	w.is_in_doubt = false;
	drop_half_a_snapshot();
	for (uint32_t i = 0; i < TABLES; i++) {
		struct look l = {.lo = INT64_MIN, .hi = INT64_MAX, .cols = UINT32_MAX};
		struct twin *now = &w.tables[i].twin;
		twin_expire(&before[i], now->edge, w.op);
		same_after = same_after && look_same(&w.tables[i], now, &l, why, sizeof why);
		same_before = same_before && is_in_doubt && look_same(&w.tables[i], &before[i], &l, why_not, sizeof why_not);
	}
	if (!same_after && !same_before)
		fail("%s; and not as it was before, either: %s", why, why_not);
	for (uint32_t i = 0; i < TABLES; i++) {
		struct twin *now = &w.tables[i].twin;
		if (same_after) {
			twin_release(&before[i]);
			continue;
		}
		/* What was defined on the way is defined anew by now. */
		memcpy(before[i].series, now->series, sizeof now->series);
		before[i].series_n = now->series_n;
		before[i].has_cols = now->has_cols;
		twin_release(now);
		*now = before[i];
	}
}

void op_column(void)
{
	add_col(some_table(), (uint32_t)rnd(chance(8) ? COLS_MAX : COLS_MAX - 1));
}

void op_drop_table(void)
{
	struct m_table *mt = some_table();
	struct err e = {0};

	trace("%s with %u rows", mt->name, mt->twin.alive);
	must(db_table_drop(w.db, str_from(mt->name), false, &e), &e, "db_table_drop");
	table_put(mt->t);
	twin_release(&mt->twin);
	twin_init(&mt->twin, (uint32_t)(mt - w.tables));
	forget_saved();
	table_attach(mt, w.db);
	look_all(mt);
}
