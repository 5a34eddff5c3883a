/*
 * scan: the tiers of a table merged into one stream.
 *
 * Sources are ordered by age: tiles, runs by sequence, memtable blocks by arrival. For each series,
 * in file order, every source that has rows of it contributes a cursor. As long as the earliest
 * cursor is alone with its times, whole stretches are copied from it; where several hold the same
 * time, the row is put together field by field, oldest to newest, so the latest write of each field
 * wins. A source that holds one time twice (only a memtable block can) goes through the same merge.
 *
 * Rows that migration has moved out of a run ("moved": of a date, those before some time) are hidden
 * in it, as are rows older than the table's expiry edge.
 */
#include "engine/scan.h"

#include <stdlib.h>

#include "engine/internal.h"

struct source {
	struct file *file; /* a tile or run; else `view` is a block */
	struct tile *tile;
	const struct tile_info *info;
	int64_t t_hi; /* rows of this source after it are not taken */
	uint32_t next_series; /* merge pointer into tile_series() */
	int64_t *field;       /* by spec column: index in the tile, or -1 */

	uint32_t page; /* decoded; UINT32_MAX none */
	uint64_t page_row, page_end;
	bool has_time;
	int64_t *time;
	struct col *cols; /* by spec column */
	bool *has_col;
	struct arena page_arena;

	struct block_view view;
	const struct block_index *index;
	bool is_index_given;
	const struct col **block_cols; /* by spec column, or NULL */
};

/* One source's rows of the current series: [pos, end) are tile rows, or places in the block's order. */
struct cursor {
	struct source *src;
	uint64_t pos, end;
	int64_t t; /* time at pos */
	bool has_duplicates;
	bool is_timeless; /* alone and wholly wanted: times need not be looked at */
};

struct scan {
	struct table *table;
	struct scan_spec spec;
	struct arena arena;
	struct arena strings; /* of the batch at hand */
	struct series_order *order;
	struct source *sources;
	uint32_t source_count;

	uint32_t *ids; /* series with rows, in file order */
	uint32_t id_count, id_at;
	bool has_series; /* cursors are of ids[id_at] */
	struct cursor *cursors;
	uint32_t cursor_count;

	uint32_t n; /* rows in the batch */
	int64_t *time;
	struct col *cols;   /* capacity SCAN_ROWS; valid always there */
	struct col *out;    /* as handed out: valid NULL where no NULL */
	bool *has_null;
	struct scan_run *runs;
	uint32_t run_count;
	struct scan_stats stats;
};

/* ---- setting up ------------------------------------------------------------------------------------- */

static int source_init_file(struct scan *s, struct source *src, struct file *f, struct err *e)
{
	int rc;

	src->file = f;
	src->t_hi = s->spec.t_hi;
	src->page = UINT32_MAX;
	arena_init(&src->page_arena, s->arena.budget);
	rc = file_tile(f, s->table, &src->tile, e);
	if (rc < 0)
		return rc;
	src->info = tile_info(src->tile);
	src->field = arena_array(&s->arena, int64_t, s->spec.col_count + 1);
	src->cols = arena_zarray(&s->arena, struct col, s->spec.col_count + 1);
	src->has_col = arena_zarray(&s->arena, bool, s->spec.col_count + 1);
	if (!src->field || !src->cols || !src->has_col)
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		src->field[c] = tile_find_field(src->tile, s->spec.cols[c]);
	return 0;
}

static int source_init_block(struct scan *s, struct source *src)
{
	src->block_cols = arena_zarray(&s->arena, const struct col *, s->spec.col_count + 1);
	if (!src->block_cols)
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		for (uint32_t k = 0; k < src->view.col_count; k++)
			if (src->view.cols[k].col_id == s->spec.cols[c])
				src->block_cols[c] = &src->view.cols[k].col;
	return block_index_get(&src->view, s->spec.series, s->spec.series_count, &src->index,
			       &src->is_index_given);
}

static bool overlaps(const struct scan *s, int64_t t_min, int64_t t_max)
{
	return t_min <= s->spec.t_hi && t_max >= s->spec.t_lo;
}

static bool is_wanted(const struct scan *s, uint32_t id)
{
	return !s->spec.series || bit_test(s->spec.series, s->spec.series_count, id);
}

struct id_list {
	uint32_t *v;
	uint32_t n, cap;
};

static int id_add(struct id_list *l, uint32_t id)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 64;
		uint32_t *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return 0;
}

static uint64_t count_wanted(const struct scan *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < (s->spec.series_count + 63) / 64; i++)
		n += (uint64_t)__builtin_popcountll(s->spec.series[i]);
	return n;
}

/* Every wanted series that some source has rows of in the time range; may name one several times. */
static int collect_ids(struct scan *s, struct id_list *l)
{
	uint64_t wanted = s->spec.series ? count_wanted(s) : UINT64_MAX;

	for (uint32_t i = 0; i < s->source_count; i++) {
		struct source *src = &s->sources[i];
		if (!src->file) {
			for (uint32_t g = 0; g < src->index->group_count; g++) {
				const struct block_group *bg = &src->index->groups[g];
				if (is_wanted(s, bg->series_id) && overlaps(s, bg->t_min, bg->t_max) &&
				    id_add(l, bg->series_id) < 0)
					return -ENOMEM;
			}
			continue;
		}
		const struct tile_series *ts = tile_series(src->tile);
		if (wanted < src->info->series_count / 16) {
			/* Few wanted among many: look each up. */
			for (uint32_t w = 0; w < (s->spec.series_count + 63) / 64; w++)
				for (uint64_t m = s->spec.series[w]; m; m &= m - 1) {
					uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(m);
					int64_t at = tile_find_series(src->tile, id);
					if (at >= 0 && overlaps(s, ts[at].t_min, ts[at].t_max) &&
					    id_add(l, id) < 0)
						return -ENOMEM;
				}
			continue;
		}
		for (uint32_t k = 0; k < src->info->series_count; k++)
			if (is_wanted(s, ts[k].series_id) && overlaps(s, ts[k].t_min, ts[k].t_max) &&
			    id_add(l, ts[k].series_id) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int by_rank(const void *x, const void *y, void *rank)
{
	uint32_t a = ((const uint32_t *)rank)[*(const uint32_t *)x];
	uint32_t b = ((const uint32_t *)rank)[*(const uint32_t *)y];
	return (a > b) - (a < b);
}

/* Into file order, once each. */
static int order_ids(struct scan *s, struct id_list *l)
{
	const struct series_order *o = s->order;
	uint32_t n = 0;

	s->ids = arena_array(&s->arena, uint32_t, MIN(l->n, o->n) + 1);
	if (!s->ids)
		return -ENOMEM;
	if (!l->n)
		return 0;
	if (l->n < o->n / 16) {
		qsort_r(l->v, l->n, sizeof *l->v, by_rank, o->rank);
		for (uint32_t i = 0; i < l->n; i++)
			if (i == 0 || l->v[i] != l->v[i - 1])
				s->ids[n++] = l->v[i];
		s->id_count = n;
		return 0;
	}
	uint64_t *seen = calloc(o->n / 64 + 1, sizeof *seen);
	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t r = o->rank[l->v[i]];
		seen[r / 64] |= UINT64_C(1) << (r % 64);
	}
	for (uint32_t w = 0; w <= o->n / 64; w++)
		for (uint64_t m = seen[w]; m; m &= m - 1)
			s->ids[n++] = o->ids[w * 64 + (uint32_t)__builtin_ctzll(m)];
	s->id_count = n;
	free(seen);
	return 0;
}

static int alloc_batch(struct scan *s)
{
	uint32_t nc = s->spec.col_count + 1;

	s->time = arena_array(&s->arena, int64_t, SCAN_ROWS);
	s->cols = arena_zarray(&s->arena, struct col, nc);
	s->out = arena_zarray(&s->arena, struct col, nc);
	s->has_null = arena_zarray(&s->arena, bool, nc);
	s->runs = arena_array(&s->arena, struct scan_run, SCAN_ROWS);
	s->cursors = arena_zarray(&s->arena, struct cursor, s->source_count + 1);
	if (!s->time || !s->cols || !s->out || !s->has_null || !s->runs || !s->cursors)
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++) {
		const struct column *col = series_column(s->table->series, s->spec.cols[c]);
		s->cols[c].type = col->type;
		s->cols[c].data = arena_alloc(&s->arena, SCAN_ROWS * coltype_size(col->type));
		s->cols[c].valid = arena_alloc(&s->arena, SCAN_ROWS);
		if (!s->cols[c].data || !s->cols[c].valid)
			return -ENOMEM;
	}
	return 0;
}

/* Is all of the file outside the time range (then it is not even opened)? */
static bool file_is_pruned(const struct scan *s, const struct file *f)
{
	return !overlaps(s, f->meta.t_min_ns, f->meta.t_max_ns);
}

int scan_open_sources(struct table *t, const struct scan_spec *spec, struct file **files, uint32_t file_n,
		      struct block_view *views, uint32_t view_n, struct budget *budget, struct scan **ret,
		      struct err *e)
{
	struct scan *s = calloc(1, sizeof *s);
	struct id_list ids = {0};
	uint32_t fi = 0, vi = 0;
	int rc = -ENOMEM;

	if (!s)
		goto fail;
	s->table = t;
	s->spec = *spec;
	arena_init(&s->arena, budget);
	arena_init(&s->strings, budget);
	s->sources = arena_zarray(&s->arena, struct source, file_n + view_n + 1);
	uint32_t *cols = arena_array(&s->arena, uint32_t, spec->col_count + 1);
	if (!s->sources || !cols)
		goto fail;
	if (spec->col_count)
		memcpy(cols, spec->cols, spec->col_count * sizeof *cols);
	s->spec.cols = cols;
	for (; fi < file_n; fi++) {
		s->stats.tiles++;
		if (file_is_pruned(s, files[fi])) {
			s->stats.tiles_pruned++;
			file_put(files[fi]);
			continue;
		}
		struct source *src = &s->sources[s->source_count++];
		rc = source_init_file(s, src, files[fi], e);
		if (rc < 0) {
			fi++;
			goto fail;
		}
	}
	for (; vi < view_n; vi++) {
		if (!overlaps(s, views[vi].t_min, views[vi].t_max)) {
			block_view_release(&views[vi]);
			continue;
		}
		struct source *src = &s->sources[s->source_count++];
		src->view = views[vi];
		src->t_hi = s->spec.t_hi;
		rc = source_init_block(s, src);
		if (rc < 0) {
			vi++;
			goto fail;
		}
	}
	rc = table_order(t, &s->order);
	if (rc >= 0)
		rc = alloc_batch(s);
	if (rc >= 0)
		rc = collect_ids(s, &ids);
	if (rc >= 0)
		rc = order_ids(s, &ids);
	if (rc < 0)
		goto fail;
	free(ids.v);
	*ret = s;
	return 0;
fail:
	for (; fi < file_n; fi++)
		file_put(files[fi]);
	for (; vi < view_n; vi++)
		block_view_release(&views[vi]);
	free(ids.v);
	scan_close(s);
	if (rc == -ENOMEM)
		err_set(e, rc, "out of memory for reading table '%s'", table_name(t));
	return rc;
}

int scan_open(struct table *t, const struct scan_spec *spec, struct budget *budget, struct scan **ret,
	      struct err *e)
{
	struct scan_spec sp = *spec;
	struct block_view *views = NULL;
	uint32_t view_n = 0;

	pthread_mutex_lock(&t->mu);
	struct file_set *set = file_set_get(t->files);
	sp.t_lo = MAX(sp.t_lo, t->meta.expired_before_ns);
	int rc = memtable_view(&t->mem, &views, &view_n);
	pthread_mutex_unlock(&t->mu);

	struct file **files = rc < 0 ? NULL : malloc((set->n + 1) * sizeof *files);
	if (!files) {
		for (uint32_t i = 0; i < view_n; i++)
			block_view_release(&views[i]);
		rc = err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(t));
	} else {
		for (uint32_t i = 0; i < set->n; i++)
			files[i] = file_get(set->v[i]);
		rc = scan_open_sources(t, &sp, files, set->n, views, view_n, budget, ret, e);
	}
	file_set_put(set);
	free(files);
	free(views);
	return rc;
}

void scan_limit_runs(struct scan *s, int64_t t_hi)
{
	for (uint32_t i = 0; i < s->source_count; i++)
		if (s->sources[i].file && s->sources[i].file->meta.kind == CATALOG_RUN)
			s->sources[i].t_hi = MIN(s->sources[i].t_hi, t_hi);
}

void scan_close(struct scan *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->source_count; i++) {
		struct source *src = &s->sources[i];
		if (src->file) {
			arena_release(&src->page_arena);
			file_put(src->file);
			continue;
		}
		if (src->is_index_given)
			block_index_destroy((struct block_index *)src->index);
		block_view_release(&src->view);
	}
	series_order_put(s->order);
	arena_release(&s->strings);
	arena_release(&s->arena);
	free(s);
}

void scan_stats(const struct scan *s, struct scan_stats *ret)
{
	*ret = s->stats;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

/* The page that holds `row`; its columns are decoded when asked for. */
static int page_enter(struct scan *s, struct source *src, uint64_t row)
{
	if (src->page != UINT32_MAX && row >= src->page_row && row < src->page_end)
		return 0;
	uint32_t p = src->page != UINT32_MAX && row == src->page_end ? src->page + 1
								     : tile_page_of_row(src->tile, row);
	arena_reset(&src->page_arena);
	src->page = p;
	src->page_row = tile_page_row(src->tile, p);
	src->page_end = tile_page_row(src->tile, p + 1);
	src->has_time = false;
	memset(src->has_col, 0, s->spec.col_count * sizeof *src->has_col);
	s->stats.pages_read++;
	return 0;
}

static int page_time(struct scan *s, struct source *src, uint64_t row, struct err *e)
{
	int rc = page_enter(s, src, row);

	if (rc < 0 || src->has_time)
		return rc;
	if (!src->time && !(src->time = arena_array(&s->arena, int64_t, TILE_PAGE_ROWS_MAX)))
		return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
	rc = tile_read_time(src->tile, src->page, src->time, e);
	src->has_time = rc >= 0;
	return rc;
}

/* Column c of the page at hand; NULL where the file lacks the column. */
static int page_col(struct source *src, uint32_t c, const struct col **ret, struct err *e)
{
	if (src->field[c] < 0) {
		*ret = NULL;
		return 0;
	}
	if (!src->has_col[c]) {
		int rc = tile_read_field(src->tile, (uint32_t)src->field[c], src->page, &src->page_arena,
					 &src->cols[c], e);
		if (rc < 0)
			return rc;
		src->has_col[c] = true;
	}
	*ret = &src->cols[c];
	return 0;
}

/* ---- cursors ----------------------------------------------------------------------------------------------- */

static int cursor_load(struct scan *s, struct cursor *c, struct err *e)
{
	struct source *src = c->src;

	if (!src->file) {
		c->t = src->view.block->time_ns[src->index->order[c->pos]];
		return 0;
	}
	int rc = page_time(s, src, c->pos, e);
	if (rc >= 0)
		c->t = src->time[c->pos - src->page_row];
	return rc;
}

/* How many of the rows a[0], a[1], ... (ascending) are <= upto. */
static uint64_t count_upto(const int64_t *a, uint64_t n, int64_t upto)
{
	if (n && a[n - 1] <= upto)
		return n;
	uint64_t lo = 0, hi = n;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (a[mid] <= upto)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint64_t count_upto_block(const struct source *src, uint64_t pos, uint64_t end, int64_t upto)
{
	const int64_t *time = src->view.block->time_ns;
	const uint32_t *order = src->index->order;
	uint64_t lo = pos, hi = end;

	if (time[order[end - 1]] <= upto)
		return end - pos;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (time[order[mid]] <= upto)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - pos;
}

/* Move to the first row at or after t. Pages that end before it are passed over unread. */
static int cursor_seek(struct scan *s, struct cursor *c, int64_t t, struct err *e)
{
	struct source *src = c->src;

	if (!src->file) {
		c->pos += t == INT64_MIN ? 0 : count_upto_block(src, c->pos, c->end, t - 1);
		return c->pos < c->end ? cursor_load(s, c, e) : 0;
	}
	while (c->pos < c->end) {
		uint32_t p = tile_page_of_row(src->tile, c->pos);
		uint64_t stop = MIN(tile_page_row(src->tile, p + 1), c->end);
		int64_t p_min, p_max;
		tile_page_times(src->tile, p, &p_min, &p_max);
		if (p_max < t) {
			s->stats.pages_pruned++;
			c->pos = stop;
			continue;
		}
		int rc = page_time(s, src, c->pos, e);
		if (rc < 0)
			return rc;
		const int64_t *a = src->time + (c->pos - src->page_row);
		c->pos += t == INT64_MIN ? 0 : count_upto(a, stop - c->pos, t - 1);
		if (c->pos < stop) {
			c->t = src->time[c->pos - src->page_row];
			return 0;
		}
	}
	return 0;
}

/* The run's moved entry for a date, or the first one after it. */
static const struct moved *moved_from(const struct file *f, int32_t date)
{
	for (uint32_t i = 0; i < f->moved_count; i++)
		if (f->moved[i].date >= date)
			return &f->moved[i];
	return NULL;
}

/*
 * Bring a cursor to a row that may be shown: past hidden rows. Afterwards it is at its end
 * (pos == end) or at a visible row.
 */
static int cursor_settle(struct scan *s, struct cursor *c, struct err *e)
{
	while (c->pos < c->end) {
		if (c->t > c->src->t_hi) {
			c->pos = c->end;
			break;
		}
		const struct file *f = c->src->file;
		if (!f || !f->moved_count)
			return 0;
		int32_t date = day_of_ns(c->t);
		const struct moved *m = moved_from(f, date);
		if (!m || m->date != date || c->t >= m->upto_ns)
			return 0;
		int rc = cursor_seek(s, c, m->upto_ns, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The last time up to which rows of c may be copied without looking at hidden ranges. */
static int64_t cursor_visible_upto(const struct cursor *c)
{
	const struct file *f = c->src->file;

	if (!f || !f->moved_count)
		return c->src->t_hi;
	const struct moved *m = moved_from(f, day_of_ns(c->t));
	if (m && m->date == day_of_ns(c->t))
		m = m + 1 < f->moved + f->moved_count ? m + 1 : NULL;
	return m ? MIN(c->src->t_hi, m->date * NS_PER_DAY - 1) : c->src->t_hi;
}

static bool find_rows(struct scan *s, struct source *src, uint32_t id, struct cursor *c)
{
	if (!src->file) {
		const struct block_group *g = block_index_find(src->index, id);
		if (!g || !overlaps(s, g->t_min, g->t_max))
			return false;
		*c = (struct cursor){.src = src, .pos = g->start, .end = g->start + g->count,
				     .has_duplicates = g->has_duplicates};
		return true;
	}
	const struct tile_series *ts = tile_series(src->tile);
	int64_t at;
	if (src->info->series_count > 8 * (uint64_t)s->id_count) {
		at = tile_find_series(src->tile, id);
	} else {
		/* Both lists are in file order: walk along. */
		const uint32_t *rank = s->order->rank;
		while (src->next_series < src->info->series_count &&
		       rank[ts[src->next_series].series_id] < rank[id])
			src->next_series++;
		at = src->next_series < src->info->series_count &&
				     ts[src->next_series].series_id == id
			     ? (int64_t)src->next_series
			     : -1;
	}
	if (at < 0 || !overlaps(s, ts[at].t_min, ts[at].t_max))
		return false;
	*c = (struct cursor){.src = src, .pos = ts[at].row0, .end = ts[at].row0 + ts[at].rows};
	c->is_timeless = !s->spec.times_wanted && !src->file->moved_count &&
			 ts[at].t_min >= s->spec.t_lo && ts[at].t_max <= s->spec.t_hi;
	return true;
}

static int series_enter(struct scan *s, uint32_t id, struct err *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->source_count; i++)
		n += find_rows(s, &s->sources[i], id, &s->cursors[n]);
	s->cursor_count = n;
	s->has_series = true;
	if (n == 1 && s->cursors[0].is_timeless)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		struct cursor *c = &s->cursors[i];
		c->is_timeless = false;
		int rc = cursor_seek(s, c, s->spec.t_lo, e);
		if (rc >= 0)
			rc = cursor_settle(s, c, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- copying ------------------------------------------------------------------------------------------------- */

static int out_of_memory(struct scan *s, struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
}

/* Strings of a page must outlive it: the batch may go on into the next page. */
static int copy_strings(struct scan *s, struct str *to, const uint8_t *valid, uint32_t n, struct err *e)
{
	size_t total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += valid[i] ? to[i].len : 0;
	char *p = arena_alloc(&s->strings, total + 1);
	if (!p)
		return out_of_memory(s, e);
	for (uint32_t i = 0; i < n; i++) {
		if (!valid[i])
			continue;
		if (to[i].len)
			memcpy(p, to[i].ptr, to[i].len);
		to[i].ptr = p;
		p += to[i].len;
	}
	return 0;
}

static void col_clear(struct scan *s, uint32_t c, uint32_t at, uint32_t n)
{
	size_t size = coltype_size(s->cols[c].type);

	memset((char *)s->cols[c].data + at * size, 0, n * size);
	memset(s->cols[c].valid + at, 0, n);
	s->has_null[c] = true;
}

/* k rows of a page, starting at c->pos, become rows [at, at + k) of the batch. */
static int copy_from_page(struct scan *s, const struct cursor *c, uint32_t at, uint32_t k, struct err *e)
{
	struct source *src = c->src;
	uint64_t from = c->pos - src->page_row;

	if (!c->is_timeless)
		memcpy(s->time + at, src->time + from, k * sizeof *s->time);
	for (uint32_t i = 0; i < s->spec.col_count; i++) {
		const struct col *col;
		struct col *to = &s->cols[i];
		int rc = page_col(src, i, &col, e);
		if (rc < 0)
			return rc;
		if (!col) {
			col_clear(s, i, at, k);
			continue;
		}
		size_t size = coltype_size(to->type);
		memcpy((char *)to->data + at * size, (const char *)col->data + from * size, k * size);
		if (col->valid) {
			memcpy(to->valid + at, col->valid + from, k);
			s->has_null[i] = true;
		} else {
			memset(to->valid + at, 1, k);
		}
		if (to->type == COL_VARCHAR) {
			rc = copy_strings(s, to->str + at, to->valid + at, k, e);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static void copy_from_block(struct scan *s, const struct cursor *c, uint32_t at, uint32_t k)
{
	const struct source *src = c->src;
	const uint32_t *row = src->index->order + c->pos;
	const int64_t *time = src->view.block->time_ns;

	for (uint32_t i = 0; i < k; i++)
		s->time[at + i] = time[row[i]];
	for (uint32_t j = 0; j < s->spec.col_count; j++) {
		const struct col *col = src->block_cols[j];
		struct col *to = &s->cols[j];
		uint8_t all = 1;
		if (!col) {
			col_clear(s, j, at, k);
			continue;
		}
		for (uint32_t i = 0; i < k; i++)
			all &= to->valid[at + i] = col->valid[row[i]];
		s->has_null[j] |= !all;
		if (to->type == COL_VARCHAR)
			for (uint32_t i = 0; i < k; i++)
				to->str[at + i] = col->str[row[i]];
		else if (to->type == COL_BOOLEAN)
			for (uint32_t i = 0; i < k; i++)
				to->b8[at + i] = col->b8[row[i]];
		else
			for (uint32_t i = 0; i < k; i++)
				to->i64[at + i] = col->i64[row[i]];
	}
}

static void run_extend(struct scan *s, uint32_t id, uint32_t k)
{
	struct scan_run *r = s->run_count ? &s->runs[s->run_count - 1] : NULL;

	if (r && r->series_id == id)
		r->count += k;
	else
		s->runs[s->run_count++] = (struct scan_run){id, s->n, k};
	s->n += k;
}

/* Copy rows of c with times <= upto, as many as the batch and the page have room for. */
static int emit_stretch(struct scan *s, struct cursor *c, int64_t upto, struct err *e)
{
	struct source *src = c->src;
	uint64_t room = SCAN_ROWS - s->n, k;
	int rc;

	if (src->file) {
		rc = c->is_timeless ? page_enter(s, src, c->pos) : page_time(s, src, c->pos, e);
		if (rc < 0)
			return rc;
		uint64_t stop = MIN(c->end, src->page_end);
		k = stop - c->pos;
		if (!c->is_timeless)
			k = count_upto(src->time + (c->pos - src->page_row), k, upto);
		k = MIN(k, room);
		rc = copy_from_page(s, c, s->n, (uint32_t)k, e);
		if (rc < 0)
			return rc;
	} else {
		k = MIN(count_upto_block(src, c->pos, c->end, upto), room);
		copy_from_block(s, c, s->n, (uint32_t)k);
	}
	run_extend(s, s->ids[s->id_at], (uint32_t)k);
	c->pos += k;
	if (c->pos == c->end || c->is_timeless)
		return 0;
	rc = cursor_load(s, c, e);
	return rc < 0 ? rc : cursor_settle(s, c, e);
}

/* Lay the valid fields of c's row over row `at` of the batch. */
static int overlay(struct scan *s, struct cursor *c, uint32_t at, struct err *e)
{
	struct source *src = c->src;
	uint64_t row = src->file ? c->pos - src->page_row : src->index->order[c->pos];

	for (uint32_t i = 0; i < s->spec.col_count; i++) {
		const struct col *col = src->file ? NULL : src->block_cols[i];
		struct col *to = &s->cols[i];
		if (src->file) {
			int rc = page_col(src, i, &col, e);
			if (rc < 0)
				return rc;
		}
		if (!col || (col->valid && !col->valid[row]))
			continue;
		to->valid[at] = 1;
		if (to->type == COL_VARCHAR) {
			to->str[at] = col->str[row];
			int rc = src->file ? copy_strings(s, &to->str[at], &to->valid[at], 1, e) : 0;
			if (rc < 0)
				return rc;
		} else if (to->type == COL_BOOLEAN) {
			to->b8[at] = col->b8[row];
		} else {
			to->i64[at] = col->i64[row];
		}
	}
	return 0;
}

/* One row out of all rows of time t, oldest first. */
static int emit_merged(struct scan *s, int64_t t, struct err *e)
{
	uint32_t at = s->n;

	s->time[at] = t;
	for (uint32_t i = 0; i < s->spec.col_count; i++) {
		size_t size = coltype_size(s->cols[i].type);
		memset((char *)s->cols[i].data + at * size, 0, size);
		s->cols[i].valid[at] = 0;
	}
	for (uint32_t i = 0; i < s->cursor_count; i++) {
		struct cursor *c = &s->cursors[i];
		while (c->pos < c->end && c->t == t) {
			int rc = overlay(s, c, at, e);
			if (rc < 0)
				return rc;
			c->pos++;
			if (c->pos < c->end) {
				rc = cursor_load(s, c, e);
				if (rc >= 0 && c->t != t)
					rc = cursor_settle(s, c, e);
				if (rc < 0)
					return rc;
			}
		}
	}
	for (uint32_t i = 0; i < s->spec.col_count; i++)
		s->has_null[i] |= !s->cols[i].valid[at];
	run_extend(s, s->ids[s->id_at], 1);
	return 0;
}

/* Rows of the current series until the batch is full or the series is at its end. */
static int fill(struct scan *s, struct err *e)
{
	while (s->n < SCAN_ROWS) {
		struct cursor *first = NULL;
		int64_t other = INT64_MAX; /* earliest time of another cursor */
		bool is_tied = false, has_other = false;

		for (uint32_t i = 0; i < s->cursor_count; i++) {
			struct cursor *c = &s->cursors[i];
			if (c->pos >= c->end)
				continue;
			if (!first) {
				first = c;
				continue;
			}
			has_other = true;
			if (c->t < first->t) {
				other = MIN(other, first->t);
				first = c;
				is_tied = false;
			} else {
				other = MIN(other, c->t);
			}
			is_tied = other == first->t;
		}
		if (!first) {
			s->has_series = false;
			s->id_at++;
			return 0;
		}
		int rc;
		if ((has_other && is_tied) || first->has_duplicates) {
			rc = emit_merged(s, first->t, e);
		} else {
			int64_t upto = first->is_timeless ? INT64_MAX : cursor_visible_upto(first);
			rc = emit_stretch(s, first, has_other ? MIN(upto, other - 1) : upto, e);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

int scan_next(struct scan *s, struct scan_batch *ret, struct err *e)
{
	s->n = s->run_count = 0;
	arena_reset(&s->strings);
	memset(s->has_null, 0, s->spec.col_count * sizeof *s->has_null);
	while (s->n < SCAN_ROWS && s->id_at < s->id_count) {
		int rc = s->has_series ? 0 : series_enter(s, s->ids[s->id_at], e);
		if (rc >= 0)
			rc = fill(s, e);
		if (rc < 0)
			return rc;
	}
	if (!s->n)
		return 0;
	for (uint32_t c = 0; c < s->spec.col_count; c++) {
		s->out[c] = s->cols[c];
		if (!s->has_null[c])
			s->out[c].valid = NULL;
	}
	s->stats.rows += s->n;
	*ret = (struct scan_batch){.n = s->n, .time_ns = s->spec.times_wanted ? s->time : NULL,
				   .cols = s->out, .runs = s->runs, .run_count = s->run_count};
	return 1;
}
