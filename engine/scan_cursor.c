/*
 * scan_cursor: the rows of one series in one source: pages decoded as they are entered, times sought,
 * hidden rows passed over.
 */
#include "engine/scan_impl.h"

/* ---- pages ----------------------------------------------------------------------------------------------- */

void page_enter(struct scan *s, struct source *src, uint64_t row)
{
	if (src->page != UINT32_MAX && row >= src->page_row && row < src->page_end)
		return;
	uint32_t p = src->page != UINT32_MAX && row == src->page_end ? src->page + 1
								     : tile_page_of_row(src->tile, row);
	arena_reset(&src->page_arena);
	src->page = p;
	src->page_row = tile_page_row(src->tile, p);
	src->page_end = tile_page_row(src->tile, p + 1);
	src->has_time = false;
	memset(src->has_col, 0, s->spec.col_count * sizeof *src->has_col);
	s->stats.pages_read++;
}

int page_time(struct scan *s, struct source *src, uint64_t row, struct err *e)
{
	page_enter(s, src, row);
	if (src->has_time)
		return 0;
	if (!src->time && !(src->time = arena_array(&s->arena, int64_t, TILE_PAGE_ROWS_MAX)))
		return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
	int rc = tile_read_time(src->tile, src->page, src->time, e);
	src->has_time = rc >= 0;
	return rc;
}

int page_col(struct source *src, uint32_t c, const struct col **ret, struct err *e)
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

int cursor_load(struct scan *s, struct cursor *c, struct err *e)
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
uint64_t count_upto(const int64_t *a, uint64_t n, int64_t upto)
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

uint64_t count_upto_block(const struct source *src, uint64_t pos, uint64_t end, int64_t upto)
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
	uint32_t at = file_moved_from(f, date);
	return at < f->moved_count ? &f->moved[at] : NULL;
}

/*
 * Bring a cursor to a row that may be shown: past hidden rows. Afterwards it is at its end
 * (pos == end) or at a visible row.
 */
int cursor_settle(struct scan *s, struct cursor *c, struct err *e)
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
int64_t cursor_visible_upto(const struct cursor *c)
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

int series_enter(struct scan *s, uint32_t id, struct err *e)
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
