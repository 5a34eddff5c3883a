/*
 * The tile reader: open, look up, decode.
 *
 * Opening takes one read of the file's tail, which holds footer and index of all but large files,
 * and one of its first bytes. After that everything but the dictionaries is constant, so any number
 * of threads may read; a dictionary is decoded by whoever needs it first (tile_page.c).
 */
#include "engine/tile_read.h"

#include <fcntl.h>
#include <stdlib.h>
#include <zstd.h>

#include "engine/id_range.h"

#define TAIL_BYTES ((uint64_t)64 << 10)

/* ---- open ------------------------------------------------------------------------------------ */

/* The end of the file from `off` on. */
struct tail {
	uint8_t *p;
	uint64_t off, size; /* size: of the file */
};

static int read_at(struct tile *t, void *to, uint64_t n, uint64_t off, struct err *e)
{
	int rc = io_pread_exact(t->io, t->fd, to, (size_t)n, (int64_t)off);

	if (rc == -EBADMSG)
		return err_set(e, rc, "%s: the file ends before offset %llu: it became shorter while it was read",
			       t->path, (unsigned long long)(off + n));
	if (rc < 0)
		return err_set(e, rc, "cannot read %s at offset %llu: %s", t->path,
			       (unsigned long long)off, strerror(-rc));
	return 0;
}

/* Make the tail begin at `from` or before. */
static int extend_tail(struct tile *t, struct tail *tail, uint64_t from, struct err *e)
{
	uint64_t more = tail->off > from ? tail->off - from : 0;

	if (!more)
		return 0;
	uint8_t *p = malloc((size_t)(tail->size - from));
	if (!p)
		return err_set(e, -ENOMEM, "no memory to open %s", t->path);
	int rc = read_at(t, p, more, from, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	memcpy(p + more, tail->p, (size_t)(tail->size - tail->off));
	free(tail->p);
	tail->p = p;
	tail->off = from;
	return 0;
}

static int read_tail(struct tile *t, struct tail *tail, struct err *e)
{
	uint32_t len;
	char magic[4];

	tail->off = tail->size > TAIL_BYTES ? tail->size - TAIL_BYTES : 0;
	tail->p = malloc((size_t)(tail->size - tail->off));
	if (!tail->p)
		return err_set(e, -ENOMEM, "no memory to open %s", t->path);
	int rc = read_at(t, tail->p, tail->size - tail->off, tail->off, e);
	if (rc < 0)
		return rc;
	if (tail->off) {
		rc = read_at(t, magic, 4, 0, e);
		if (rc < 0)
			return rc;
	} else {
		memcpy(magic, tail->p, 4);
	}
	const uint8_t *end = tail->p + (tail->size - tail->off);
	if (memcmp(magic, "PAR1", 4) != 0)
		return err_set(e, -EBADMSG, "%s: no Parquet file: at offset 0 it does not begin with PAR1",
			       t->path);
	if (memcmp(end - 4, "PAR1", 4) != 0)
		return err_set(e, -EBADMSG, "%s: no whole Parquet file: at offset %llu it does not end with PAR1",
			       t->path, (unsigned long long)(tail->size - 4));
	memcpy(&len, end - 8, 4);
	if (len > tail->size - 12)
		return err_set(e, -EBADMSG,
			       "%s: the length of its footer at offset %llu is out of bounds",
			       t->path, (unsigned long long)(tail->size - 8));
	t->footer_off = tail->size - 8 - len;
	return extend_tail(t, tail, t->footer_off, e);
}

static int check_footer(struct tile *t, const struct tail *tail, struct tile_line *ret,
			struct err *e)
{
	const char *footer = (const char *)tail->p + (t->footer_off - tail->off);
	size_t len = (size_t)(tail->size - t->footer_off), at;
	struct str line;
	int rc = pq_file_find_key((struct str){footer, len - 8}, STR_LIT(TILE_KEY), &line);

	if (rc == -ENOENT)
		return err_set(e, -EINVAL,
			       "%s: a Parquet file but no tile: its footer at offset %llu has no key " TILE_KEY,
			       t->path, (unsigned long long)t->footer_off);
	if (rc >= 0)
		rc = tile_line_parse(line, ret, &at);
	if (rc == -ENOTSUP)
		return err_set(e, -EBADMSG, "%s: the format version in its footer at offset %llu is not %d (%.*s)", t->path,
			       (unsigned long long)t->footer_off, TILE_FORMAT_VERSION,
			       (int)MIN(line.len, (size_t)20), line.ptr);
	if (rc < 0)
		return err_set(e, -EBADMSG, "%s: the footer at offset %llu is damaged", t->path,
			       (unsigned long long)t->footer_off);
	t->crc_at = (size_t)(line.ptr - footer) + at;
	if (tile_footer_crc(footer, len, t->crc_at) != ret->footer_crc)
		return err_set(e, -EBADMSG,
			       "%s: the footer at offset %llu is damaged: its checksum is wrong",
			       t->path, (unsigned long long)t->footer_off);
	return 0;
}

static int read_index(struct tile *t, struct tail *tail, const struct tile_line *l, struct err *e)
{
	if (l->index_off < 4 || l->index_off > t->footer_off ||
	    l->index_len != t->footer_off - l->index_off || l->index_raw > TILE_INDEX_RAW_MAX)
		return err_set(e, -EBADMSG, "%s: the footer at offset %llu places its index out of bounds",
			       t->path, (unsigned long long)t->footer_off);
	int rc = extend_tail(t, tail, l->index_off, e);
	if (rc < 0)
		return rc;
	const uint8_t *stored = tail->p + (l->index_off - tail->off);
	if (crc32c(0, stored, (size_t)l->index_len) != l->index_crc)
		return err_set(e, -EBADMSG,
			       "%s: the index at offset %llu is damaged: its checksum is wrong",
			       t->path, (unsigned long long)l->index_off);
	if (ZSTD_getFrameContentSize(stored, (size_t)l->index_len) != l->index_raw)
		return err_set(e, -EBADMSG, "%s: the size of its index at offset %llu is wrong", t->path,
			       (unsigned long long)l->index_off);
	char *raw = arena_alloc(&t->arena, (size_t)l->index_raw + 1);
	if (!raw)
		return err_set(e, -ENOMEM, "no memory for the index of %s", t->path);
	if (ZSTD_decompress(raw, (size_t)l->index_raw, stored, (size_t)l->index_len) !=
	    l->index_raw)
		return err_set(e, -EBADMSG, "%s: the index at offset %llu cannot be decompressed",
			       t->path, (unsigned long long)l->index_off);
	rc = tile_index_decode((struct str){raw, (size_t)l->index_raw}, l->index_off, &t->arena,
			       &t->ix, e);
	if (rc < 0)
		return err_prefix(e, rc, "%s: the index at offset %llu", t->path,
				  (unsigned long long)l->index_off);
	t->index_off = l->index_off;
	t->index_len = l->index_len;
	t->ix.info.file_bytes = tail->size;
	const struct tile_info *in = &t->ix.info;
	if (memcmp(in->table_uuid, l->table_uuid, 16) != 0 || in->seq_lo != l->seq_lo ||
	    in->seq_hi != l->seq_hi || in->generation != l->generation)
		return err_set(e, -EBADMSG, "%s: the index at offset %llu and the footer name different tables or sequences",
			       t->path, (unsigned long long)l->index_off);
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = ((const struct tile_id *)a)->id, y = ((const struct tile_id *)b)->id;

	return (x > y) - (x < y);
}

/* What look-ups need besides the index. */
static int make_lookups(struct tile *t, struct err *e)
{
	const struct tile_index *ix = &t->ix;
	uint32_t n = ix->info.series_count;
	size_t chunks = (size_t)ix->column_count * ix->group_count;

	t->by_id = arena_array(&t->arena, struct tile_id, n);
	t->field_nanos = arena_zarray(&t->arena, uint32_t, ix->info.field_count);
	t->reading = arena_array(&t->arena, struct tile_reading, ix->column_count);
	t->dicts = arena_alloc(&t->arena, chunks * sizeof *t->dicts + 1);
	if (!t->by_id || !t->field_nanos || !t->reading || !t->dicts) {
		t->dicts = NULL;
		return err_set(e, -ENOMEM, "no memory for the index of %s", t->path);
	}
	for (size_t i = 0; i < chunks; i++)
		atomic_init(&t->dicts[i], NULL);
	for (uint32_t c = 0; c < ix->column_count; c++) {
		atomic_init(&t->reading[c].last, UINT32_MAX / 2); /* before no page */
		atomic_init(&t->reading[c].ahead, 0);
		if (ix->columns[c].role == TILE_TIME_NANOS)
			t->time_nanos = c;
		else if (ix->columns[c].role == TILE_VERSION)
			t->version = c;
		else if (ix->columns[c].role == TILE_FIELD_NANOS)
			t->field_nanos[ix->columns[c].i] = c;
	}
	bool sorted = true;
	for (uint32_t i = 0; i < n; i++) {
		t->by_id[i] = (struct tile_id){ix->series[i].series_id, i};
		sorted &= !i || t->by_id[i].id > t->by_id[i - 1].id;
	}
	if (!sorted)
		qsort(t->by_id, n, sizeof *t->by_id, by_id);
	for (uint32_t i = 1; i < n; i++)
		if (t->by_id[i].id == t->by_id[i - 1].id)
			return err_set(e, -EBADMSG, "%s: series %u comes twice in its index at offset %llu",
				       t->path, t->by_id[i].id, (unsigned long long)t->index_off);
	return 0;
}

static void destroy(struct tile *t)
{
	size_t chunks = (size_t)t->ix.column_count * t->ix.group_count;

	void (*at_close)(void *ctx, uint64_t number) = atomic_load(&t->at_close);

	if (at_close)
		at_close(atomic_load(&t->at_close_ctx), t->number);
	for (size_t i = 0; t->dicts && i < chunks; i++)
		free(atomic_load_explicit(&t->dicts[i], memory_order_relaxed));
	if (t->fd >= 0 && !t->is_fd_lent)
		t->io->close(t->io, t->fd);
	arena_release(&t->arena);
	free(t->path);
	free(t);
}

static int open_all(struct tile *t, struct err *e)
{
	struct tail tail = {.p = NULL};
	struct tile_line line;
	struct stat st;
	int rc = t->io->fstat(t->io, t->fd, &st);

	if (rc < 0)
		return err_set(e, rc, "cannot stat %s: %s", t->path, strerror(-rc));
	tail.size = (uint64_t)st.st_size;
	if (!S_ISREG(st.st_mode) || st.st_size < 12)
		return err_set(e, -EBADMSG, "%s: no Parquet file: it ends at offset %lld", t->path,
			       (long long)st.st_size);
	rc = read_tail(t, &tail, e);
	if (rc >= 0)
		rc = check_footer(t, &tail, &line, e);
	if (rc >= 0)
		rc = read_index(t, &tail, &line, e);
	if (rc >= 0)
		rc = make_lookups(t, e);
	free(tail.p);
	return rc;
}

static _Atomic uint64_t next_number = 1;

/* fd: or an error of opening it. */
static int open_fd(const struct io *io, int fd, bool is_lent, const char *name, struct tile **ret, struct err *e)
{
	struct tile *t = calloc(1, sizeof *t);

	if (!t || !(t->path = strdup(name))) {
		free(t);
		if (fd >= 0 && !is_lent)
			io->close(io, fd);
		return err_set(e, -ENOMEM, "no memory to open %s", name);
	}
	atomic_init(&t->refs, 1);
	t->number = atomic_fetch_add(&next_number, 1);
	t->io = io;
	arena_init(&t->arena, NULL);
	t->fd = fd;
	t->is_fd_lent = is_lent;
	int rc = fd < 0 ? err_set(e, fd, "cannot open %s: %s", name, strerror(-fd)) : open_all(t, e);
	if (rc < 0) {
		destroy(t);
		return rc;
	}
	*ret = t;
	return 0;
}

int tile_open_fd(const struct io *io, int fd, const char *name, struct tile **ret, struct err *e)
{
	return open_fd(io, fd, true, name, ret, e);
}

int tile_open(const struct io *io, int dirfd, const char *path, struct tile **ret, struct err *e)
{
	int fd = io->openat(io, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	int rc = open_fd(io, fd, false, path, ret, e);

	/* Where a tile is expected, any other file is damage. */
	if (rc == -EINVAL && fd >= 0) {
		rc = -EBADMSG;
		if (e)
			e->code = rc;
	}
	return rc;
}

struct tile *tile_get(struct tile *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void tile_put(struct tile *t)
{
	if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
		destroy(t);
}

uint64_t tile_number(const struct tile *t)
{
	return t->number;
}

void tile_at_close(struct tile *t, void (*fn)(void *ctx, uint64_t number), void *ctx)
{
	atomic_store(&t->at_close_ctx, ctx);
	atomic_store(&t->at_close, fn);
}

/* ---- look up --------------------------------------------------------------------------------- */

int tile_fd(const struct tile *t)
{
	return t->fd;
}

const struct tile_info *tile_info(const struct tile *t)
{
	return &t->ix.info;
}

const struct tile_series *tile_series(const struct tile *t)
{
	return t->ix.series;
}

int64_t tile_find_series(const struct tile *t, uint32_t series_id)
{
	uint32_t n = t->ix.info.series_count, lo = 0, hi = 0;

	if (n)
		id_range(n, t->by_id[0].id, t->by_id[n - 1].id, series_id, &lo, &hi);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->by_id[mid].id < series_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && t->by_id[lo].id == series_id ? (int64_t)t->by_id[lo].i : -1;
}

int64_t tile_find_field(const struct tile *t, uint32_t col_id)
{
	for (uint32_t i = 0; i < t->ix.info.field_count; i++)
		if (t->ix.info.fields[i].col_id == col_id)
			return i;
	return -1;
}

uint64_t tile_page_row(const struct tile *t, uint32_t page)
{
	return t->ix.page_row[page];
}

uint32_t tile_page_of_row(const struct tile *t, uint64_t row)
{
	uint32_t lo = 0, hi = t->ix.info.page_count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->ix.page_row[mid] <= row)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void tile_page_times(const struct tile *t, uint32_t page, int64_t *ret_min, int64_t *ret_max)
{
	*ret_min = t->ix.page_t_min[page];
	*ret_max = t->ix.page_t_max[page];
}

const struct tile_page_stats *tile_page_stats(const struct tile *t, uint32_t field, uint32_t page)
{
	return &t->ix.stats[(size_t)field * t->ix.info.page_count + page];
}

/* ---- decode ---------------------------------------------------------------------------------- */

/* Microseconds become nanoseconds, in place; rest: 0-999 for each, or NULL. */
static int to_nanos(struct tile *t, uint32_t page, int64_t *v, const int64_t *rest, uint32_t n,
		    struct err *e)
{
	const int64_t most = INT64_MAX / 1000, least = INT64_MIN / 1000 - 1;
	bool bad = false;

	for (uint32_t i = 0; i < n; i++) {
		int64_t us = v[i], part = rest ? rest[i] : 0;
		/* The product of `least` overflows, but not with its rest added. */
		uint64_t ns = (uint64_t)us * 1000 + (uint64_t)part;
		bad |= us > most || us < least || (uint64_t)part > 999;
		bad |= (us == least && (int64_t)ns > 0) || (us == most && (int64_t)ns < 0);
		v[i] = (int64_t)ns;
	}
	if (bad)
		return err_set(e, -EBADMSG,
			       "%s: page %u at offset %llu is damaged: a time is outside 64-bit nanoseconds",
			       t->path, page,
			       (unsigned long long)t->ix.pages[(size_t)tile_column_time(t) * t->ix.info.page_count + page].off);
	return 0;
}

static int read_required(struct tile *t, uint32_t column, uint32_t page, int64_t *to,
			 struct tile_scratch *s, struct err *e)
{
	struct tile_values v;

	return tile_page_decode(t, column, page, s, NULL, to, &v, e);
}

int tile_read_time(struct tile *t, uint32_t page, int64_t *to, struct err *e)
{
	uint32_t n = (uint32_t)(t->ix.page_row[page + 1] - t->ix.page_row[page]);
	struct tile_scratch *s = tile_scratch_get();
	int64_t *rest = NULL;
	int rc;

	if (!s)
		return err_set(e, -ENOMEM, "no memory to read a page of %s", t->path);
	rc = read_required(t, tile_column_time(t), page, to, s, e);
	if (rc >= 0 && t->time_nanos) {
		rest = s->values;
		rc = read_required(t, t->time_nanos, page, rest, s, e);
	}
	if (rc >= 0)
		rc = to_nanos(t, page, to, rest, n, e);
	tile_scratch_put(s);
	return rc;
}

int tile_read_version(struct tile *t, uint32_t page, int64_t *to, struct err *e)
{
	uint32_t n = (uint32_t)(t->ix.page_row[page + 1] - t->ix.page_row[page]);
	struct tile_scratch *s;
	int rc;

	if (!t->version) {
		for (uint32_t i = 0; i < n; i++)
			to[i] = 1;
		return 0;
	}
	s = tile_scratch_get();
	if (!s)
		return err_set(e, -ENOMEM, "no memory to read a page of %s", t->path);
	rc = read_required(t, t->version, page, to, s, e);
	tile_scratch_put(s);
	return rc;
}

int tile_read_dim(struct tile *t, uint32_t dim, uint32_t page, struct arena *a, struct col *ret,
		  struct err *e)
{
	return tile_page_column(t, dim, page, COL_VARCHAR, a, ret, e);
}

/* The nanoseconds of a TIMESTAMP column, microseconds so far. */
static int finish_timestamps(struct tile *t, uint32_t field, uint32_t page, struct col *col,
			     struct err *e)
{
	uint32_t n = (uint32_t)(t->ix.page_row[page + 1] - t->ix.page_row[page]);
	struct tile_scratch *s;
	int rc;

	if (!t->field_nanos[field])
		return to_nanos(t, page, col->i64, NULL, n, e);
	s = tile_scratch_get();
	if (!s)
		return err_set(e, -ENOMEM, "no memory to read a page of %s", t->path);
	rc = read_required(t, t->field_nanos[field], page, s->values, s, e);
	for (uint32_t i = 0; rc >= 0 && col->valid && i < n; i++)
		s->values[i] = col->valid[i] ? s->values[i] : 0;
	if (rc >= 0)
		rc = to_nanos(t, page, col->i64, s->values, n, e);
	tile_scratch_put(s);
	return rc;
}

int tile_read_field(struct tile *t, uint32_t field, uint32_t page, struct arena *a, struct col *ret,
		    struct err *e)
{
	enum coltype type = t->ix.info.fields[field].type;
	struct col col;
	int rc = tile_page_column(t, tile_column_field(t, field), page, type, a, &col, e);

	if (rc >= 0 && type == COL_TIMESTAMP)
		rc = finish_timestamps(t, field, page, &col, e);
	if (rc >= 0)
		*ret = col;
	return rc;
}

/* Extras are columns behind the first, so 0 stands for none. */
static uint64_t page_bytes(const struct tile *t, uint32_t column, uint32_t extra, uint32_t page)
{
	const struct tile_page_ref *pages = t->ix.pages;
	size_t n = t->ix.info.page_count;

	return pages[column * n + page].size + (extra ? pages[extra * n + page].size : 0);
}

uint64_t tile_time_bytes(const struct tile *t, uint32_t page)
{
	return page_bytes(t, tile_column_time(t), t->time_nanos, page);
}

uint64_t tile_field_bytes(const struct tile *t, uint32_t field, uint32_t page)
{
	bool is_time = t->ix.info.fields[field].type == COL_TIMESTAMP;

	return page_bytes(t, tile_column_field(t, field), is_time ? t->field_nanos[field] : 0, page);
}

uint64_t tile_version_bytes(const struct tile *t, uint32_t page)
{
	return t->version ? page_bytes(t, t->version, 0, page) : 0;
}

uint64_t tile_field_text(const struct tile *t, uint32_t field, uint32_t page)
{
	const struct tile_index *ix = &t->ix;
	size_t column = tile_column_field(t, field);
	const struct tile_chunk *ch = &ix->chunks[column * ix->group_count + tile_index_group(ix, page)];

	if (ch->dict_count)
		return ch->dict.raw / ch->dict_count;
	return ix->pages[column * ix->info.page_count + page].raw / (ix->page_row[page + 1] - ix->page_row[page]);
}
