/*
 * The tile writer: rows in, paging, row groups, and the life of the file.
 *
 * Memory is that of one row group (of the columns that have a value in it) and of the index. The
 * buffers grow by doubling to what a row group needs and are then reused; nothing is allocated per
 * row. Where pages are cut is said in docs/format-tile.md.
 */
#include "engine/tile_write.h"

#include <fcntl.h>
#include <stdlib.h>

#define OUT_CHUNK    ((size_t)1 << 20) /* what is written at once */
#define ROWS_AT_ONCE TILE_PAGE_BIG
#define NO_COLUMN    UINT32_MAX

int tile_writer_nomem(const struct tile_writer *w, struct err *e)
{
	return err_set(e, -ENOMEM, "no memory to write %s", w->path);
}

int tile_writer_flush(struct tile_writer *w, bool all, struct err *e)
{
	if (w->out.rc)
		return tile_writer_nomem(w, e);
	if (!w->out.len || (!all && w->out.len < OUT_CHUNK))
		return 0;
	int64_t rc = io_pwrite(w->io, w->fd, w->out.data, w->out.len, (int64_t)w->flushed);
	if (rc < 0)
		return err_set(e, (int)rc, "cannot write %s: %s", w->path, strerror((int)-rc));
	w->flushed += w->out.len;
	buf_clear(&w->out);
	return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* p becomes n elements; false where there is no memory, and then nothing has changed. */
static bool resize(void *p, size_t n, size_t size)
{
	void *old, *new;

	memcpy(&old, p, sizeof old);
	new = reallocarray(old, n, size);
	if (!new)
		return false;
	memcpy(p, &new, sizeof new);
	return true;
}

static int grow_rows(struct tile_writer *w, uint32_t rows)
{
	if (rows <= w->row_cap)
		return 0;
	uint32_t cap = MAX(w->row_cap * 2, (uint32_t)TILE_PAGE_ROWS_MAX * 2);
	cap = MAX(cap, rows);
	if (!resize(&w->time, cap, sizeof *w->time) ||
	    !resize(&w->field_codes, cap, sizeof *w->field_codes) ||
	    (w->version && !resize(&w->version, cap, sizeof *w->version)))
		return -ENOMEM;
	for (uint32_t f = 0; f < w->spec->field_count; f++)
		if (w->fields[f].data &&
		    (!resize(&w->fields[f].data, cap, coltype_size(w->spec->fields[f].type)) ||
		     !resize(&w->fields[f].valid, cap, 1)))
			return -ENOMEM;
	w->row_cap = cap;
	return 0;
}

static int grow_pages(struct tile_writer *w)
{
	if (w->page_count < w->page_cap)
		return 0;
	uint32_t cap = w->page_cap ? w->page_cap * 2 : 32;
	if (!resize(&w->page_row, (size_t)cap + 1, sizeof *w->page_row) ||
	    !resize(&w->page_t_min, cap, sizeof *w->page_t_min) ||
	    !resize(&w->page_t_max, cap, sizeof *w->page_t_max))
		return -ENOMEM;
	w->page_row[0] = 0;
	for (uint32_t c = 0; c < w->column_count; c++)
		if (!resize(&w->columns[c].pages, cap, sizeof *w->columns[c].pages) ||
		    !resize(&w->columns[c].bounds, cap, sizeof *w->columns[c].bounds))
			return -ENOMEM;
	for (uint32_t f = 0; f < w->spec->field_count; f++)
		if (!resize(&w->fields[f].stats, cap, sizeof *w->fields[f].stats))
			return -ENOMEM;
	w->page_cap = cap;
	return 0;
}

static int grow_groups(struct tile_writer *w)
{
	if (w->group_count < w->group_cap)
		return 0;
	uint32_t cap = w->group_cap ? w->group_cap * 2 : 4;
	if (!resize(&w->group_page, (size_t)cap + 1, sizeof *w->group_page))
		return -ENOMEM;
	w->group_page[0] = 0;
	for (uint32_t c = 0; c < w->column_count; c++)
		if (!resize(&w->columns[c].chunks, cap, sizeof *w->columns[c].chunks))
			return -ENOMEM;
	w->group_cap = cap;
	return 0;
}

static int grow_series(struct tile_writer *w)
{
	if (w->series_count < w->series_cap)
		return 0;
	uint32_t cap = w->series_cap ? w->series_cap * 2 : 64;
	if (!resize(&w->series, cap, sizeof *w->series))
		return -ENOMEM;
	w->series_cap = cap;
	return 0;
}

static int grow_segments(struct tile_writer *w)
{
	if (w->segment_count < w->segment_cap)
		return 0;
	uint32_t cap = w->segment_cap ? w->segment_cap * 2 : 64;
	if (!resize(&w->segments, cap, sizeof *w->segments) ||
	    !resize(&w->codes, cap, sizeof *w->codes * (w->spec->dim_count + 1)))
		return -ENOMEM;
	w->segment_cap = cap;
	return 0;
}

/* A field's first value in this group: the rows before it are NULL. */
static int begin_field(struct tile_writer *w, uint32_t field)
{
	struct wfield *f = &w->fields[field];
	size_t size = coltype_size(w->spec->fields[field].type);

	if (f->used)
		return 0;
	if (!f->data) {
		void *data = malloc(w->row_cap * size);
		uint8_t *valid = malloc(w->row_cap);
		if (!data || !valid) {
			free(data);
			free(valid);
			return -ENOMEM;
		}
		f->data = data;
		f->valid = valid;
	}
	memset(f->data, 0, w->n * size);
	memset(f->valid, 0, w->n);
	f->used = true;
	w->row_bytes += size + 1;
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void add_column(struct tile_writer *w, enum tile_role role, uint32_t i, enum pq_type type,
		       bool optional)
{
	bool is_extra = role == TILE_TIME_NANOS || role == TILE_VERSION || role == TILE_FIELD_NANOS;

	w->columns[w->column_count++] = (struct wcolumn){
		.id = {role, i}, .type = type, .optional = optional, .on = !is_extra};
}

/* Every column the file may have, in schema order. */
static int make_columns(struct tile_writer *w)
{
	const struct tile_spec *s = w->spec;
	static const enum pq_type types[] = {
		[COL_BIGINT] = PQ_INT64,	 [COL_DOUBLE] = PQ_DOUBLE,
		[COL_BOOLEAN] = PQ_BOOLEAN, [COL_VARCHAR] = PQ_BYTE_ARRAY,
		[COL_TIMESTAMP] = PQ_INT64,
	};

	w->columns = calloc((size_t)s->dim_count + 4 + 2 * (size_t)s->field_count,
			    sizeof *w->columns);
	w->fields = calloc((size_t)s->field_count + 1, sizeof *w->fields);
	w->dicts = calloc((size_t)s->dim_count + 1, sizeof *w->dicts);
	w->key = calloc((size_t)s->dim_count + 1, sizeof *w->key);
	w->extras = calloc((size_t)s->field_count + 2, sizeof *w->extras);
	if (!w->extras || !w->columns || !w->fields || !w->dicts || !w->key)
		return -ENOMEM;
	for (uint32_t i = 0; i <= s->dim_count; i++)
		tile_dict_init(&w->dicts[i], true);
	for (uint32_t i = 0; i < s->dim_count; i++)
		add_column(w, TILE_DIM, i, PQ_BYTE_ARRAY, true);
	add_column(w, TILE_MEASURE_NAME, 0, PQ_BYTE_ARRAY, false);
	add_column(w, TILE_TIME, 0, PQ_INT64, false);
	for (uint32_t i = 0; i < s->field_count; i++) {
		w->fields[i].column = w->column_count;
		w->fields[i].nanos = NO_COLUMN;
		add_column(w, TILE_FIELD, i, types[s->fields[i].type], true);
	}
	w->time_nanos = w->column_count;
	add_column(w, TILE_TIME_NANOS, 0, PQ_INT32, false);
	w->version_column = w->column_count;
	add_column(w, TILE_VERSION, 0, PQ_INT64, false);
	for (uint32_t i = 0; i < s->field_count; i++) {
		if (s->fields[i].type != COL_TIMESTAMP)
			continue;
		w->fields[i].nanos = w->column_count;
		add_column(w, TILE_FIELD_NANOS, i, PQ_INT32, false);
	}
	return 0;
}

static int make_scratch(struct tile_writer *w)
{
	/* Far above what a page or a row group's chunk may take; a bound against our own mistakes. */
	const size_t most = (size_t)1 << 32;

	buf_init(&w->out, most);
	buf_init(&w->raw, most);
	buf_init(&w->best, most);
	buf_init(&w->packed, most);
	buf_init(&w->key_bytes, most);
	arena_init(&w->keep, NULL);
	arena_init(&w->strings, NULL);
	w->row_bytes = sizeof *w->time;
	w->zstd = ZSTD_createCCtx();
	w->values = malloc(TILE_PAGE_ROWS_MAX * sizeof(struct str));
	w->micros = malloc(TILE_PAGE_ROWS_MAX * sizeof *w->micros);
	w->nanos = malloc(TILE_PAGE_ROWS_MAX * sizeof *w->nanos);
	if (!w->zstd || !w->values || !w->micros || !w->nanos)
		return -ENOMEM;
	if (grow_pages(w) < 0 || grow_groups(w) < 0)
		return -ENOMEM;
	return grow_rows(w, TILE_PAGE_ROWS_MAX);
}

static void destroy(struct tile_writer *w)
{
	for (uint32_t i = 0; i < w->column_count; i++) {
		free(w->columns[i].pages);
		free(w->columns[i].bounds);
		free(w->columns[i].chunks);
	}
	for (uint32_t i = 0; w->fields && i < w->spec->field_count; i++) {
		free(w->fields[i].data);
		free(w->fields[i].valid);
		free(w->fields[i].stats);
	}
	for (uint32_t i = 0; w->dicts && i <= w->spec->dim_count; i++)
		tile_dict_release(&w->dicts[i]);
	tile_dict_release(&w->field_dict);
	free(w->columns);
	free(w->fields);
	free(w->dicts);
	free(w->key);
	free(w->extras);
	free(w->page_row);
	free(w->page_t_min);
	free(w->page_t_max);
	free(w->group_page);
	free(w->series);
	free(w->time);
	free(w->version);
	free(w->segments);
	free(w->codes);
	free(w->field_codes);
	free(w->values);
	free(w->micros);
	free(w->nanos);
	ZSTD_freeCCtx(w->zstd);
	buf_release(&w->out);
	buf_release(&w->raw);
	buf_release(&w->best);
	buf_release(&w->packed);
	buf_release(&w->key_bytes);
	arena_release(&w->keep);
	arena_release(&w->strings);
	free(w->path);
	free(w);
}

int tile_writer_create(const struct io *io, int dirfd, const char *path,
		       const struct tile_spec *spec, struct tile_writer **ret, struct err *e)
{
	struct tile_writer *w = calloc(1, sizeof *w);
	int rc;

	if (!w)
		return err_set(e, -ENOMEM, "no memory to write %s", path);
	w->io = io;
	w->dirfd = dirfd;
	w->fd = -1;
	w->spec = spec;
	w->path = strdup(path);
	if (!w->path || make_columns(w) < 0 || make_scratch(w) < 0) {
		destroy(w);
		return err_set(e, -ENOMEM, "no memory to write %s", path);
	}
	rc = io->openat(io, dirfd, path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	if (rc < 0) {
		destroy(w);
		return err_set(e, rc, "cannot create %s: %s", path, strerror(-rc));
	}
	w->fd = rc;
	buf_adds(&w->out, "PAR1");
	*ret = w;
	return 0;
}

void tile_writer_abort(struct tile_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		w->io->close(w->io, w->fd);
	w->io->unlinkat(w->io, w->dirfd, w->path, 0);
	destroy(w);
}

/* ---- row groups ------------------------------------------------------------------------------ */

static int write_group(struct tile_writer *w, struct err *e)
{
	uint32_t g = w->group_count;
	int rc = 0;

	if (grow_groups(w) < 0)
		return tile_writer_nomem(w, e);
	w->group_page[g] = w->group0;
	w->group_page[g + 1] = w->page_count;
	w->columns[w->version_column].wanted |= w->version_used;
	for (uint32_t i = 0; i < w->time_nanos && rc >= 0; i++)
		rc = tile_chunk_write(w, &w->columns[i], g, false, e);
	/* Only now it is known which extras this group needs. */
	for (uint32_t i = w->time_nanos; i < w->column_count; i++) {
		struct wcolumn *c = &w->columns[i];
		if (c->on || !c->wanted)
			continue;
		c->on = true;
		c->since = g;
		w->extras[w->extra_count++] = i;
	}
	for (uint32_t i = 0; i < w->extra_count && rc >= 0; i++)
		rc = tile_chunk_write(w, &w->columns[w->extras[i]], g, false, e);
	if (rc < 0)
		return rc;
	w->group_count++;
	w->group0 = w->page_count;
	return 0;
}

/* Strings of the rows that stay are copied to the arena that stays. */
static int keep_strings(struct tile_writer *w, uint32_t from, struct arena *to)
{
	for (uint32_t i = 0; i < w->spec->field_count; i++) {
		struct str *s = w->fields[i].data;
		if (!w->fields[i].used || w->spec->fields[i].type != COL_VARCHAR)
			continue;
		for (uint32_t row = from; row < w->n; row++) {
			if (!s[row].len)
				continue;
			s[row] = arena_str(to, s[row]);
			if (!s[row].ptr)
				return -ENOMEM;
		}
	}
	return 0;
}

/* Segments that reach beyond `from`, and in any case the last one, for rows may follow. */
static int keep_segments(struct tile_writer *w, uint32_t from, struct arena *to)
{
	uint32_t per = w->spec->dim_count + 1, first = 0;

	while (first + 1 < w->segment_count && w->segments[first + 1].row <= from)
		first++;
	for (uint32_t dim = 0; dim < per; dim++) {
		struct tile_dict old = w->dicts[dim], *d = &w->dicts[dim];
		tile_dict_init(d, true);
		for (uint32_t s = first; s < w->segment_count; s++) {
			uint32_t *code = &w->codes[(size_t)s * per + dim];
			uint32_t new = TILE_DICT_NONE;
			if (*code != TILE_DICT_NONE) {
				new = tile_dict_string(d, old.strings[*code], to);
				if (new == TILE_DICT_NONE) {
					tile_dict_release(&old);
					return -ENOMEM;
				}
			}
			w->codes[(size_t)(s - first) * per + dim] = new;
		}
		tile_dict_release(&old);
	}
	for (uint32_t s = first; s < w->segment_count; s++) {
		w->segments[s - first] = w->segments[s];
		w->segments[s - first].row = w->segments[s].row > from ? w->segments[s].row - from
								       : 0;
	}
	w->segment_count -= first;
	return 0;
}

/* The group up to w->cut is written; what is behind it begins the next one. */
static int next_group(struct tile_writer *w, struct err *e)
{
	uint32_t left = w->n - w->cut;
	struct arena strings;

	arena_init(&strings, NULL);
	if (keep_strings(w, w->cut, &strings) < 0 || keep_segments(w, w->cut, &strings) < 0) {
		arena_release(&strings);
		return tile_writer_nomem(w, e);
	}
	arena_release(&w->strings);
	w->strings = strings;
	memmove(w->time, w->time + w->cut, left * sizeof *w->time);
	if (w->version) {
		memmove(w->version, w->version + w->cut, left * sizeof *w->version);
		w->version_used = false;
		for (uint32_t i = 0; i < left; i++)
			w->version_used |= w->version[i] != tile_usual_version(w);
	}
	for (uint32_t i = 0; i < w->spec->field_count; i++) {
		struct wfield *f = &w->fields[i];
		size_t size = coltype_size(w->spec->fields[i].type);
		if (!f->used)
			continue;
		f->used = memchr(f->valid + w->cut, 1, left) != NULL;
		if (!f->used) {
			w->row_bytes -= size + 1;
			continue;
		}
		memmove(f->data, (char *)f->data + w->cut * size, left * size);
		memmove(f->valid, f->valid + w->cut, left);
	}
	w->series_row -= MIN(w->series_row, w->cut);
	w->n = left;
	w->cut = 0;
	return 0;
}

/* Rows up to `to` that have no page yet become one. */
static int cut_page(struct tile_writer *w, uint32_t to, struct err *e)
{
	uint32_t p = w->page_count;
	int rc;

	if (grow_pages(w) < 0)
		return tile_writer_nomem(w, e);
	int64_t t_min = w->time[w->cut], t_max = t_min;
	for (uint32_t i = w->cut + 1; i < to; i++) {
		t_min = MIN(t_min, w->time[i]);
		t_max = MAX(t_max, w->time[i]);
	}
	w->page_t_min[p] = t_min;
	w->page_t_max[p] = t_max;
	w->page_row[p + 1] = w->page_row[p] + (to - w->cut);
	w->page_count++;
	w->cut = to;
	uint32_t most = w->spec->group_rows ? w->spec->group_rows : TILE_GROUP_ROWS;
	if (w->cut < most && w->n * w->row_bytes + w->strings.bytes < TILE_GROUP_BYTES)
		return 0;
	rc = write_group(w, e);
	return rc < 0 ? rc : next_group(w, e);
}

/* The current series has no more rows. */
static int end_series(struct tile_writer *w, struct err *e)
{
	int rc = 0;

	if (!w->has_rows)
		return 0;
	w->has_rows = false;
	if (!w->is_big)
		return w->n - w->cut > TILE_PAGE_SHARED ? cut_page(w, w->series_row, e) : 0;
	w->is_big = false;
	uint32_t parts = MAX((w->n - w->cut + TILE_PAGE_BIG / 2) / TILE_PAGE_BIG, 1u);
	for (; parts && w->n > w->cut && rc >= 0; parts--)
		rc = cut_page(w, w->cut + (w->n - w->cut) / parts, e);
	return rc;
}

/* ---- rows in --------------------------------------------------------------------------------- */

int tile_writer_series(struct tile_writer *w, uint32_t series_id, struct str measure_name,
		       const struct str *dims, struct err *e)
{
	int rc = end_series(w, e);

	if (rc < 0)
		return rc;
	w->has_series = true;
	w->next_id = series_id;
	w->next_measure = measure_name;
	w->next_dims = dims;
	return 0;
}

/* NULL first. */
static int value_cmp(struct str a, struct str b)
{
	if (!a.ptr || !b.ptr)
		return (a.ptr != NULL) - (b.ptr != NULL);
	return str_cmp(a, b);
}

/* Is the announced series behind the last one that had rows? Then it is the last one now. */
static int check_order(struct tile_writer *w, struct err *e)
{
	uint32_t n = w->spec->dim_count + 1;
	int c = w->series_count ? 0 : 1;

	for (uint32_t i = 0; i < n && !c; i++)
		c = value_cmp(i + 1 < n ? w->next_dims[i] : w->next_measure, w->key[i]);
	if (c <= 0)
		return err_set(e, -EINVAL,
			       "%s: series %u was given out of order; rows of a tile come sorted by "
			       "dimensions and measure_name, each series once",
			       w->path, w->next_id);
	buf_clear(&w->key_bytes);
	for (uint32_t i = 0; i < n; i++) {
		struct str s = i + 1 < n ? w->next_dims[i] : w->next_measure;
		if (s.ptr)
			buf_add_str(&w->key_bytes, s);
		/* A byte between them, so that the buffer is there even for empty strings. */
		buf_addc(&w->key_bytes, '\0');
	}
	if (w->key_bytes.rc)
		return tile_writer_nomem(w, e);
	char *at = w->key_bytes.data;
	for (uint32_t i = 0; i < n; i++) {
		struct str s = i + 1 < n ? w->next_dims[i] : w->next_measure;
		w->key[i] = (struct str){s.ptr ? at : NULL, s.ptr ? s.len : 0};
		at += w->key[i].len + 1;
	}
	return 0;
}

/* The announced series gets its first row. */
static int begin_series(struct tile_writer *w, int64_t first_ns, struct err *e)
{
	uint32_t per = w->spec->dim_count + 1;
	int rc = check_order(w, e);

	if (rc < 0)
		return rc;
	if (grow_series(w) < 0 || grow_segments(w) < 0)
		return tile_writer_nomem(w, e);
	uint32_t *codes = &w->codes[(size_t)w->segment_count * per];
	for (uint32_t i = 0; i < per; i++) {
		codes[i] = w->key[i].ptr ? tile_dict_string(&w->dicts[i], w->key[i], &w->strings)
					 : TILE_DICT_NONE;
		if (w->key[i].ptr && codes[i] == TILE_DICT_NONE)
			return tile_writer_nomem(w, e);
	}
	w->segments[w->segment_count++] = (struct wsegment){w->n, w->series_count};
	w->series[w->series_count++] = (struct tile_series){
		.series_id = w->next_id, .row0 = w->rows, .t_min = first_ns, .t_max = first_ns};
	w->series_row = w->n;
	w->is_big = false;
	w->has_rows = true;
	return 0;
}

static int check_times(const struct tile_writer *w, uint32_t n, const int64_t *time_ns,
		       struct err *e)
{
	bool ok = w->has_series && (!w->has_rows || time_ns[0] > w->series[w->series_count - 1].t_max);

	for (uint32_t i = 1; i < n; i++)
		ok &= time_ns[i] > time_ns[i - 1];
	if (!ok)
		return err_set(e, -EINVAL,
			       "%s: the rows of series %u do not ascend by time, or no series was begun",
			       w->path, w->next_id);
	return 0;
}

static int append_strings(struct tile_writer *w, struct str *to, const struct str *from,
			  const uint8_t *valid, uint32_t n)
{
	struct str last_from = {NULL, 0}, last_to = STR_LIT("");

	for (uint32_t i = 0; i < n; i++) {
		if (!valid[i] || !from[i].len) {
			to[i] = STR_LIT("");
			continue;
		}
		if (!last_from.ptr || !str_eq(from[i], last_from)) {
			last_from = from[i];
			last_to = arena_str(&w->strings, from[i]);
			if (!last_to.ptr)
				return -ENOMEM;
		}
		to[i] = last_to;
	}
	return 0;
}

static int append_field(struct tile_writer *w, uint32_t field, const struct col *col, uint32_t from,
			uint32_t n)
{
	struct wfield *f = &w->fields[field];
	enum coltype type = w->spec->fields[field].type;
	size_t size = coltype_size(type);
	const uint8_t *in = col->valid ? col->valid + from : NULL;
	bool empty = !col->data;

	for (uint32_t i = 0; in && !f->used && !empty && i < n && !in[i]; i++)
		empty = i + 1 == n;
	if (empty) {
		if (f->used) {
			memset((char *)f->data + w->n * size, 0, n * size);
			memset(f->valid + w->n, 0, n);
		}
		return 0;
	}
	if (begin_field(w, field) < 0)
		return -ENOMEM;
	uint8_t *valid = f->valid + w->n;
	if (in)
		for (uint32_t i = 0; i < n; i++)
			valid[i] = in[i] != 0;
	else
		memset(valid, 1, n);
	if (type == COL_VARCHAR)
		return append_strings(w, (struct str *)f->data + w->n, col->str + from, valid, n);
	if (type == COL_BOOLEAN)
		for (uint32_t i = 0; i < n; i++)
			((uint8_t *)f->data)[w->n + i] = col->b8[from + i] != 0;
	else
		memcpy((char *)f->data + w->n * size, (const char *)col->data + from * size,
		       n * size);
	return 0;
}

static int append_version(struct tile_writer *w, const int64_t *version, uint32_t n)
{
	int64_t usual = tile_usual_version(w);
	bool used = false;

	for (uint32_t i = 0; version && i < n; i++)
		used |= version[i] != usual;
	if (used && !w->version) {
		w->version = malloc(w->row_cap * sizeof *w->version);
		if (!w->version)
			return -ENOMEM;
		for (uint32_t i = 0; i < w->n; i++)
			w->version[i] = usual;
	}
	w->version_used |= used;
	for (uint32_t i = 0; w->version && i < n; i++)
		w->version[w->n + i] = version ? version[i] : usual;
	return 0;
}

static int append(struct tile_writer *w, uint32_t from, uint32_t n, const int64_t *time_ns,
		  const struct col *cols, const int64_t *version)
{
	if (grow_rows(w, w->n + n) < 0)
		return -ENOMEM;
	memcpy(w->time + w->n, time_ns + from, n * sizeof *time_ns);
	for (uint32_t f = 0; f < w->spec->field_count; f++)
		if (append_field(w, f, &cols[f], from, n) < 0)
			return -ENOMEM;
	if (append_version(w, version ? version + from : NULL, n) < 0)
		return -ENOMEM;
	w->n += n;
	w->rows += n;
	return 0;
}

int tile_writer_rows(struct tile_writer *w, uint32_t n, const int64_t *time_ns,
		     const struct col *cols, const int64_t *version, struct err *e)
{
	int rc;

	if (!n)
		return 0;
	rc = check_times(w, n, time_ns, e);
	if (rc >= 0 && !w->has_rows)
		rc = begin_series(w, time_ns[0], e);
	if (rc < 0)
		return rc;
	struct tile_series *s = &w->series[w->series_count - 1];
	if (n > UINT32_MAX - s->rows)
		return err_set(e, -EFBIG, "%s: series %u has more than 2^32 rows", w->path,
			       s->series_id);
	for (uint32_t from = 0; from < n && rc >= 0;) {
		uint32_t k = MIN(n - from, (uint32_t)ROWS_AT_ONCE);
		if (append(w, from, k, time_ns, cols, version) < 0)
			return tile_writer_nomem(w, e);
		from += k;
		s->rows += k;
		s->t_max = time_ns[from - 1];
		if (!w->is_big && s->rows >= TILE_SERIES_OWN_PAGE) {
			w->is_big = true;
			if (w->series_row > w->cut)
				rc = cut_page(w, w->series_row, e);
		}
		while (w->is_big && w->n - w->cut >= TILE_SPLIT_MIN && rc >= 0)
			rc = cut_page(w, w->cut + TILE_PAGE_BIG, e);
		/* Long strings, or very many columns: what is held is bounded, wherever that cuts. */
		if (rc >= 0 && w->n > w->cut && w->n * w->row_bytes + w->strings.bytes >= TILE_GROUP_BYTES)
			rc = cut_page(w, w->n, e);
	}
	return rc;
}

/* ---- the end --------------------------------------------------------------------------------- */

/*
 * Chunks of extras for the groups before the one that needed them. There are readers that take it for
 * granted that the chunks of a group ascend in the file: so extras come in the order in which they
 * were needed, and group by group.
 */
static int write_late(struct tile_writer *w, struct err *e)
{
	for (uint32_t g = 0; g < w->group_count; g++) {
		for (uint32_t i = 0; i < w->extra_count; i++) {
			struct wcolumn *c = &w->columns[w->extras[i]];
			int rc = g < c->since ? tile_chunk_write(w, c, g, true, e) : 0;
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static void copy_columns(const struct tile_writer *w, struct tile_index *ix)
{
	uint32_t pages = w->page_count, groups = w->group_count;

	for (uint32_t i = 0; i < ix->column_count; i++) {
		bool fixed = i < w->time_nanos;
		const struct wcolumn *c = &w->columns[fixed ? i : w->extras[i - w->time_nanos]];
		memcpy(ix->pages + (size_t)i * pages, c->pages, pages * sizeof *c->pages);
		memcpy(ix->chunks + (size_t)i * groups, c->chunks, groups * sizeof *c->chunks);
	}
	for (uint32_t f = 0; f < w->spec->field_count; f++)
		memcpy(ix->stats + (size_t)f * pages, w->fields[f].stats,
		       pages * sizeof *ix->stats);
}

/* The writer's arrays as an index. */
static int make_index(struct tile_writer *w, struct tile_index *ix, struct arena *a)
{
	const struct tile_spec *s = w->spec;
	struct tile_column *extras = arena_array(a, struct tile_column, w->extra_count);

	*ix = (struct tile_index){
		.info = {.seq_lo = s->seq_lo,
			 .seq_hi = s->seq_hi,
			 .generation = s->generation,
			 .codec = s->codec,
			 .rows = w->rows,
			 .series_count = w->series_count,
			 .page_count = w->page_count,
			 .field_count = s->field_count,
			 .fields = s->fields,
			 .dim_count = s->dim_count,
			 .dims = s->dims,
			 .has_version = w->columns[w->version_column].on},
		.extras = extras,
		.extra_count = w->extra_count,
		.group_count = w->group_count,
		.group_page = w->group_page,
		.page_row = w->page_row,
		.page_t_min = w->page_t_min,
		.page_t_max = w->page_t_max,
		.series = w->series,
	};
	memcpy(ix->info.table_uuid, s->table_uuid, 16);
	if (!extras)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->extra_count; i++)
		extras[i] = w->columns[w->extras[i]].id;
	if (tile_index_columns(ix, a) < 0)
		return -ENOMEM;
	ix->pages = arena_array(a, struct tile_page_ref, (size_t)ix->column_count * w->page_count);
	ix->chunks = arena_array(a, struct tile_chunk, (size_t)ix->column_count * w->group_count);
	ix->stats = arena_array(a, struct tile_page_stats, (size_t)s->field_count * w->page_count);
	if (!ix->pages || !ix->chunks || !ix->stats)
		return -ENOMEM;
	if (w->page_count)
		copy_columns(w, ix);
	return 0;
}

static int write_rest(struct tile_writer *w, struct err *e)
{
	struct tile_index ix;
	struct arena a;
	int rc = end_series(w, e);

	if (rc >= 0 && w->n > w->cut)
		rc = cut_page(w, w->n, e);
	if (rc >= 0 && w->page_count > w->group0)
		rc = write_group(w, e);
	if (rc >= 0)
		rc = write_late(w, e);
	if (rc < 0)
		return rc;
	arena_init(&a, NULL);
	rc = make_index(w, &ix, &a);
	rc = rc < 0 ? tile_writer_nomem(w, e) : tile_public_write(w, &ix, &a, e);
	arena_release(&a);
	return rc < 0 ? rc : tile_writer_flush(w, true, e);
}

int tile_writer_finish(struct tile_writer *w, struct tile_summary *ret, struct err *e)
{
	int rc = write_rest(w, e);

	if (rc >= 0) {
		rc = w->io->fsync(w->io, w->fd);
		if (rc < 0)
			err_set(e, rc, "cannot sync %s: %s", w->path, strerror(-rc));
	}
	if (rc >= 0) {
		rc = w->io->close(w->io, w->fd);
		w->fd = -1; /* gone also where close failed */
		if (rc < 0)
			err_set(e, rc, "cannot close %s: %s", w->path, strerror(-rc));
	}
	if (rc < 0) {
		tile_writer_abort(w);
		return rc;
	}
	if (ret) {
		*ret = (struct tile_summary){.rows = w->rows,
					     .series_count = w->series_count,
					     .file_bytes = w->flushed,
					     .value_count = w->value_count};
		ret->t_min = w->page_count ? INT64_MAX : 0;
		ret->t_max = w->page_count ? INT64_MIN : 0;
		for (uint32_t p = 0; p < w->page_count; p++) {
			ret->t_min = MIN(ret->t_min, w->page_t_min[p]);
			ret->t_max = MAX(ret->t_max, w->page_t_max[p]);
		}
	}
	destroy(w);
	return 0;
}
