/*
 * Tiles as files: what they hold is read by the tile reader alone and compared with the twin; tiles
 * are removed.
 */
#include "tests/model/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/tile.h"

/* A row as it lies in a tile. */
struct tile_row {
	uint32_t series; /* the twin's */
	int64_t time, version;
};

struct tile_rows {
	struct tile_row *v;
	uint32_t n, cap;
};

static void add_row(struct tile_rows *rows, uint32_t series, int64_t time)
{
	if (rows->n == rows->cap) {
		rows->cap = MAX(rows->cap * 2, 1024u);
		rows->v = realloc(rows->v, rows->cap * sizeof *rows->v);
		if (!rows->v)
			abort();
	}
	rows->v[rows->n++] = (struct tile_row){series, time, 1};
}

/* Times and versions, page by page; series follow from the index. */
static void read_rows(struct m_table *mt, struct tile *tile, struct tile_rows *rows)
{
	const struct tile_info *info = tile_info(tile);
	const struct tile_series *ts = tile_series(tile);
	static int64_t times[TILE_PAGE_ROWS_MAX], versions[TILE_PAGE_ROWS_MAX];
	struct err e = {0};
	uint32_t s = 0;

	for (uint32_t p = 0; p < info->page_count; p++) {
		uint64_t row0 = tile_page_row(tile, p), n = tile_page_row(tile, p + 1) - row0;
		must(tile_read_time(tile, p, times, &e), &e, "tile_read_time");
		if (info->has_version)
			must(tile_read_version(tile, p, versions, &e), &e, "tile_read_version");
		for (uint64_t i = 0; i < n; i++) {
			while (row0 + i >= ts[s].row0 + ts[s].rows)
				s++;
			uint32_t id = ts[s].series_id;
			if (id >= ARRAY_LEN(mt->twin_of) || mt->twin_of[id] == NONE)
				fail("%s: a tile names series id %u, which is nobody's", mt->name, id);
			add_row(rows, mt->twin_of[id], times[i]);
			rows->v[rows->n - 1].version = info->has_version ? versions[i] : 1;
		}
	}
}

static bool is_right(const struct twin *tw, uint32_t i, uint32_t c, const struct col *col, uint32_t at)
{
	bool valid = !col->valid || col->valid[at], want = tw->rows[i].valid >> c & 1;

	return valid == want && (!valid || same_value(&tw->cols[c], col, at, tw->rows[i].value[c]));
}

/* Fields of rows that are the twin's present ones: those older than `upto`. */
static void check_fields(struct m_table *mt, struct tile *tile, const struct tile_rows *rows, int64_t upto)
{
	struct twin *tw = &mt->twin;
	const struct tile_info *info = tile_info(tile);
	struct arena arena;
	struct err e = {0};

	arena_init(&arena, NULL);
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		int64_t f = tw->has_cols >> c & 1 ? tile_find_field(tile, mt->col_ids[c]) : -1;
		for (uint32_t p = 0; p < info->page_count && f >= 0; p++) {
			uint64_t row0 = tile_page_row(tile, p), n = tile_page_row(tile, p + 1) - row0;
			struct col col;
			arena_reset(&arena);
			must(tile_read_field(tile, (uint32_t)f, p, &arena, &col, &e), &e, "tile_read_field");
			for (uint64_t k = 0; k < n; k++) {
				const struct tile_row *r = &rows->v[row0 + k];
				uint32_t i = twin_find(tw, r->series, r->time);
				if (r->time < upto && i != NONE && tw->keys[i].is_alive &&
				    !is_right(tw, i, c, &col, (uint32_t)k))
					fail("%s: a tile's series %u time %lld has another %s than was written in operation %llu",
					     mt->name, r->series, (long long)r->time, tw->cols[c].name,
					     (unsigned long long)tw->rows[i].op);
			}
		}
	}
	arena_release(&arena);
}

static struct tile *open_tile(struct m_table *mt, const char *path)
{
	struct tile *tile;
	struct err e = {0};
	char link[64];
	int fd;

	must(table_tile_fd(mt->t, path, &fd, &e), &e, "table_tile_fd");
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	must(tile_open(io_posix(), AT_FDCWD, link, &tile, &e), &e, "tile_open");
	close(fd);
	return tile;
}

static int by_identity(const void *x, const void *y)
{
	const struct tile_row *a = x, *b = y;

	if (a->series != b->series)
		return a->series < b->series ? -1 : 1;
	return (a->time > b->time) - (a->time < b->time);
}

/*
 * After everything due was done: tiles hold no identity twice, no row that is not there, none that is
 * another one, and every row that is older than the memory's retention.
 */
void check_tiles(struct m_table *mt)
{
	struct twin *tw = &mt->twin;
	struct tile_entry *tiles;
	struct tile_rows all = {0};
	uint32_t n, want = 0, got = 0;
	int64_t cut = w.now - tw->memory_ns;

	if (table_tiles(mt->t, &tiles, &n) < 0)
		fail("table_tiles");
	for (uint32_t k = 0; k < n; k++) {
		struct tile *tile = open_tile(mt, tiles[k].path);
		struct tile_rows rows = {0};
		struct err e = {0};
		if (chance(4))
			must(tile_verify(tile, &e), &e, "tile_verify");
		read_rows(mt, tile, &rows);
		check_fields(mt, tile, &rows, cut);
		for (uint32_t i = 0; i < rows.n; i++)
			add_row(&all, rows.v[i].series, rows.v[i].time);
		free(rows.v);
		tile_put(tile);
	}
	if (all.n)
		qsort(all.v, all.n, sizeof *all.v, by_identity);
	for (uint32_t i = 0; i < all.n; i++) {
		uint32_t at = twin_find(tw, all.v[i].series, all.v[i].time);
		if (i && by_identity(&all.v[i - 1], &all.v[i]) == 0)
			fail("%s: tiles hold series %u time %lld twice", mt->name, all.v[i].series, (long long)all.v[i].time);
		if (at != NONE && tw->keys[at].is_alive)
			got += all.v[i].time < cut;
		else if (all.v[i].time >= tw->edge && all.v[i].time < cut)
			fail("%s: tiles hold series %u time %lld, which went in operation %llu", mt->name, all.v[i].series,
			     (long long)all.v[i].time, at == NONE ? 0ULL : (unsigned long long)tw->rows[at].op);
	}
	for (uint32_t i = 0; i < tw->n; i++)
		want += tw->keys[i].is_alive && tw->keys[i].time < cut;
	if (got != want)
		fail("%s: %u rows that are old enough lie in %u tiles, should be %u", mt->name, got, n, want);
	free(all.v);
	free(tiles);
}

/* ---- rm ------------------------------------------------------------------------------------------------ */

/*
 * rm of a tile removes the file's rows. After quiesce() what is older than the memory's retention lies
 * in tiles alone; younger rows of the tile may have been written again since, and then what was written
 * later stays: the file's row is gone, and which fields came later only the engine can tell.
 */
void op_tile_remove(void)
{
	struct m_table *mt = some_table();
	struct twin *tw = &mt->twin;
	struct tile_entry *tiles;
	struct tile_rows rows = {0};
	struct err e = {0};
	uint32_t n;

	quiesce(mt);
	if (w.is_in_doubt)
		return;
	if (table_tiles(mt->t, &tiles, &n) < 0)
		fail("table_tiles");
	int64_t cut = w.now - tw->memory_ns;
	uint32_t k = n ? (uint32_t)rnd(n) : 0;
	bool is_plain = n > 0;
	if (n) {
		struct tile *tile = open_tile(mt, tiles[k].path);
		read_rows(mt, tile, &rows);
		is_plain = tile_info(tile)->t_max < cut;
		tile_put(tile);
	}
	if (is_plain) {
		trace("%s: %s with %u rows", mt->name, tiles[k].path, rows.n);
		(void)went_well(table_tile_remove(mt->t, tiles[k].path, &e), &e, "table_tile_remove");
		for (uint32_t i = 0; i < rows.n; i++) {
			uint32_t at = twin_find(tw, rows.v[i].series, rows.v[i].time);
			if (at != NONE)
				twin_erase(tw, at, w.op);
		}
	}
	if (is_plain && !w.is_in_doubt) {
		struct look l = {.lo = INT64_MIN, .hi = INT64_MAX, .cols = 1};
		char why[512];
		if (!look_same(mt, tw, &l, why, sizeof why))
			fail("%s", why);
	}
	free(rows.v);
	free(tiles);
}

/* ---- cp ------------------------------------------------------------------------------------------------ */

/* A tile that was copied away, and what it holds. Series are those of the twin of its table, as copies. */
struct saved {
	char *bytes;
	size_t n;
	uint32_t table, cols;
	struct m_write *v;
	struct m_series *series; /* by row */
	uint32_t row_n;
};

static struct saved saved[6];

static void forget(struct saved *s)
{
	free(s->bytes);
	free(s->v);
	free(s->series);
	*s = (struct saved){0};
}

void forget_saved(void)
{
	for (size_t i = 0; i < ARRAY_LEN(saved); i++)
		forget(&saved[i]);
}

static void read_bytes(struct m_table *mt, const char *path, struct saved *s)
{
	struct err e = {0};
	struct stat st;
	int fd;

	must(table_tile_fd(mt->t, path, &fd, &e), &e, "table_tile_fd");
	if (fstat(fd, &st) < 0)
		fail("fstat");
	s->n = (size_t)st.st_size;
	s->bytes = malloc(s->n);
	if (!s->bytes || io_pread_exact(io_posix(), fd, s->bytes, s->n, 0) < 0)
		fail("cannot read the tile '%s'", path);
	close(fd);
}

/* The rows as the file has them, deleted ones included that it may still hold. */
static void read_values(struct m_table *mt, struct tile *tile, struct saved *s)
{
	const struct tile_info *info = tile_info(tile);
	struct arena arena;
	struct err e = {0};

	arena_init(&arena, NULL);
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		int64_t f = mt->twin.has_cols >> c & 1 ? tile_find_field(tile, mt->col_ids[c]) : -1;
		if (f < 0)
			continue;
		s->cols |= UINT32_C(1) << c;
		for (uint32_t p = 0; p < info->page_count; p++) {
			uint64_t row0 = tile_page_row(tile, p), n = tile_page_row(tile, p + 1) - row0;
			struct col col;
			arena_reset(&arena);
			must(tile_read_field(tile, (uint32_t)f, p, &arena, &col, &e), &e, "tile_read_field");
			for (uint64_t k = 0; k < n; k++) {
				if (col.valid && !col.valid[k])
					continue;
				s->v[row0 + k].valid |= UINT32_C(1) << c;
				s->v[row0 + k].value[c] = number_of(&mt->twin.cols[c], &col, (uint32_t)k);
			}
		}
	}
	arena_release(&arena);
}

void op_tile_save(void)
{
	struct m_table *mt = some_table();
	struct saved *s = &saved[rnd(ARRAY_LEN(saved))];
	struct tile_rows rows = {0};
	struct tile_entry *tiles;
	uint32_t n;

	if (table_tiles(mt->t, &tiles, &n) < 0)
		fail("table_tiles");
	if (n) {
		const char *path = tiles[rnd(n)].path;
		struct tile *tile = open_tile(mt, path);
		forget(s);
		read_rows(mt, tile, &rows);
		s->table = (uint32_t)(mt - w.tables);
		s->row_n = rows.n;
		s->v = calloc(rows.n + 1, sizeof *s->v);
		s->series = calloc(rows.n + 1, sizeof *s->series);
		for (uint32_t i = 0; i < rows.n; i++) {
			s->series[i] = mt->twin.series[rows.v[i].series];
			s->v[i].time = rows.v[i].time;
			s->v[i].version = rows.v[i].version;
		}
		read_values(mt, tile, s);
		read_bytes(mt, path, s);
		tile_put(tile);
		free(rows.v);
		trace("%s: %s with %u rows", mt->name, path, s->row_n);
	}
	free(tiles);
}

#define UNKNOWN 2 /* it would bring a column of a type that this table's twin does not know */

/* What must come of it: 0; -EINVAL where it does not fit; 1: either. */
static int expected(const struct saved *s, struct m_table *mt, int64_t lo)
{
	uint32_t x9 = UINT32_C(1) << 9, values = 0;
	int64_t t_max = INT64_MIN;

	for (uint32_t i = 0; i < s->row_n; i++) {
		values |= s->v[i].valid;
		t_max = MAX(t_max, s->v[i].time);
	}
	if (t_max < lo)
		return -EINVAL;
	if (mt == &w.tables[s->table] || !(s->cols & x9))
		return 0;
	/* A column of another type here, if there is one. */
	return !(mt->twin.has_cols & x9) ? UNKNOWN : values & x9 ? -EINVAL : 1;
}

/* Bytes that are not what they were: never rows, and never other rows. */
static void damage(char *bytes, size_t *n)
{
	if (chance(3))
		*n = (size_t)rnd(*n);
	else
		bytes[rnd(*n)] ^= (char)(1 << rnd(8));
}

/* Rows that came back are as much there as others: also for those that bring a version. */
static void write_restored(struct m_table *mt, const struct saved *s)
{
	struct m_write writes[20];
	struct append a = {mt, writes, 0, true};

	for (uint32_t i = 0; i < ARRAY_LEN(writes); i++) {
		struct m_write *wr = &writes[a.n];
		*wr = s->v[rnd(s->row_n)];
		wr->version = near_version(wr->version);
		wr->valid |= 1;
		wr->value[0] += (int64_t)rnd(2);
		a.n += wr->time >= twin_lo(&mt->twin, w.now) && wr->time < twin_hi(&mt->twin, w.now);
	}
	if (a.n)
		append_writes(&a, 1);
}

void op_tile_restore(void)
{
	struct saved *s = &saved[rnd(ARRAY_LEN(saved))];
	struct m_table *mt = s->n && chance(3) ? some_table() : &w.tables[s->table];
	struct twin *tw = &mt->twin;
	int64_t lo = MAX(MAX(w.now - tw->memory_ns - tw->magnetic_ns, tw->edge), 0);
	bool is_damaged = chance(8);
	struct restore *r;
	struct err e = {0};
	int fd;

	for (uint32_t i = 0; i < s->row_n; i++) {
		s->v[i].series = add_series(mt, &s->series[i]);
		if (s->v[i].series == NONE)
			return;
	}
	if (!s->n)
		return;
	size_t n = s->n;
	int want = expected(s, mt, lo);
	if (want == UNKNOWN)
		return;
	char *bytes = malloc(n + 1);
	memcpy(bytes, s->bytes, n);
	if (is_damaged)
		damage(bytes, &n);
	trace("%s: %u rows of %s%s, should be %d", mt->name, s->row_n, w.tables[s->table].name,
	      is_damaged ? ", damaged" : "", want);
	if (!went_well(table_restore_begin(mt->t, &r, &fd, &e), &e, "table_restore_begin")) {
		free(bytes);
		return;
	}
	if (io_pwrite(io_posix(), fd, bytes, n, 0) < 0)
		fail("cannot write a tile");
	free(bytes);
	if (chance(12)) {
		table_restore_close(r);
		return;
	}
	int rc = table_restore_commit(r, "saved.parquet", &e);
	if (rc >= 0 && chance(6)) /* the same once more changes nothing */
		rc = table_restore_commit(r, "saved.parquet", &e);
	table_restore_close(r);
	if (is_damaged || want == -EINVAL) {
		if (rc >= 0)
			fail("%s: a tile that is %s was taken", mt->name, is_damaged ? "damaged" : "not for here");
		if (!w.disk.is_dead && rc != -EINVAL && rc != -EBADMSG)
			fail("table_restore_commit: %s", err_text(&e, rc));
		return;
	}
	if (want == 1 && rc == -EINVAL)
		return;
	if (went_well(rc, &e, "table_restore_commit"))
		for (uint32_t c = 0; c < COLS_MAX; c++)
			if (s->cols >> c & 1)
				add_col(mt, c);
	for (uint32_t i = 0; i < s->row_n; i++)
		if (s->v[i].time >= lo)
			twin_store(tw, &s->v[i], w.op);
	if (!w.is_in_doubt && chance(2) && w.disk.left < 0) /* one thing at a time may be in doubt */
		write_restored(mt, s);
}
