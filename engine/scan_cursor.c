/*
 * scan_cursor: the rows of one series in one source: pages fetched as they are needed, times sought,
 * hidden rows passed over.
 */
#include "engine/scan_impl.h"

/* ---- pages ----------------------------------------------------------------------------------------------- */

static void let_go(struct scan *s, const struct page **p)
{
	if (!*p)
		return;
	if (s->arena.budget)
		budget_give(s->arena.budget, (*p)->bytes);
	page_put(*p);
	*p = NULL;
}

void source_leave(struct scan *s, struct source *src)
{
	let_go(s, &src->time);
	let_go(s, &src->version);
	for (uint32_t c = 0; src->cols && c < s->spec.col_count; c++)
		let_go(s, &src->cols[c]);
	src->page = UINT32_MAX;
}

void source_leave_late(struct scan *s, struct source *src)
{
	for (uint32_t c = 0; src->late && c < s->spec.col_count; c++)
		let_go(s, &src->late[c].page);
}

void source_close(struct scan *s, struct source *src)
{
	source_leave(s, src);
	source_leave_late(s, src);
}

void source_enter(struct scan *s, struct source *src, uint64_t row)
{
	if (src->page != UINT32_MAX && row >= src->page_row && row < src->page_end)
		return;
	uint32_t p = src->page != UINT32_MAX && row == src->page_end ? src->page + 1
								     : tile_page_of_row(src->tile, row);
	source_leave(s, src);
	src->page = p;
	src->page_row = tile_page_row(src->tile, p);
	src->page_end = tile_page_row(src->tile, p + 1);
	src->is_read = false;
}

/* A page counts once, with the first column that is read of it. */
static int fetch_page(struct scan *s, struct source *src, uint32_t field, uint32_t number, uint64_t bytes,
		      const struct page **ret, struct err *e)
{
	struct budget *budget = s->arena.budget;
	bool was_there;

	int rc = page_get(s->table->db->en->pages, s->spec.keeps_pages, src->tile, field, number, &s->scratch, ret,
			  &was_there, e);
	if (rc < 0)
		return rc;
	if (budget && !budget_take(budget, (*ret)->bytes)) {
		page_put(*ret);
		*ret = NULL;
		return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
	}
	s->stats.bytes_read += bytes;
	s->stats.bytes_cached += was_there ? bytes : 0;
	return 0;
}

static int fetch(struct scan *s, struct source *src, uint32_t field, uint64_t bytes, const struct page **ret, struct err *e)
{
	int rc = fetch_page(s, src, field, src->page, bytes, ret, e);

	if (rc >= 0) {
		s->stats.pages_read += !src->is_read;
		src->is_read = true;
	}
	return rc;
}

int source_time(struct scan *s, struct source *src, uint64_t row, struct err *e)
{
	source_enter(s, src, row);
	if (src->time)
		return 0;
	return fetch(s, src, PAGE_TIME, tile_time_bytes(src->tile, src->page), &src->time, e);
}

int source_version(struct scan *s, struct source *src, const struct page **ret, struct err *e)
{
	int rc = 0;

	if (src->info->has_version && !src->version)
		rc = fetch(s, src, PAGE_VERSION, tile_version_bytes(src->tile, src->page), &src->version, e);
	*ret = src->version;
	return rc;
}

int source_late(struct scan *s, const struct piece *p, uint32_t c, const struct page **ret, struct err *e)
{
	struct source *src = p->src;
	struct late_page *late = &src->late[c];
	uint32_t field = (uint32_t)src->field[c];
	int rc = 0;

	*ret = NULL;
	if (src->field[c] < 0)
		return 0;
	if (late->page && late->number != p->page)
		let_go(s, &late->page);
	if (!late->page) {
		rc = fetch_page(s, src, field, p->page, tile_field_bytes(src->tile, field, p->page), &late->page, e);
		if (rc < 0)
			return rc;
		late->number = p->page;
		if (!p->is_read && src->late_counted != p->page)
			s->stats.pages_read++;
		src->late_counted = p->page;
	}
	*ret = late->page;
	return 0;
}

int source_col(struct scan *s, struct source *src, uint32_t c, const struct page **ret, struct err *e)
{
	uint32_t field = (uint32_t)src->field[c];
	int rc = 0;

	if (src->field[c] >= 0 && !src->cols[c])
		rc = fetch(s, src, field, tile_field_bytes(src->tile, field, src->page), &src->cols[c], e);
	*ret = src->cols[c];
	return rc;
}

/* ---- cursors ----------------------------------------------------------------------------------------------- */

int cursor_load(struct scan *s, struct cursor *c, struct err *e)
{
	struct source *src = c->src;

	if (!src->file) {
		c->t = src->view.block->time_ns[src->index->order[c->pos]];
		return 0;
	}
	int rc = source_time(s, src, c->pos, e);
	if (rc >= 0)
		c->t = page_i64(src->time, (uint32_t)(c->pos - src->page_row));
	return rc;
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
static int seek(struct scan *s, struct cursor *c, int64_t t, struct err *e)
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
			c->pos = stop;
			continue;
		}
		int rc = source_time(s, src, c->pos, e);
		if (rc < 0)
			return rc;
		uint32_t at = (uint32_t)(c->pos - src->page_row);
		c->pos += t == INT64_MIN ? 0 : page_count_upto(src->time, at, (uint32_t)(stop - c->pos), t - 1);
		if (c->pos < stop) {
			c->t = page_i64(src->time, (uint32_t)(c->pos - src->page_row));
			return 0;
		}
	}
	return 0;
}

/* ---- what is hidden ------------------------------------------------------------------------------------------ */

/*
 * The times of the series at hand that the cursor's source does not show: what was moved out of it,
 * and what tombstones that came after its rows erased. Mostly there is nothing, or it is the
 * source's own list, which is lent.
 */
static int cursor_hide(struct scan *s, struct cursor *c, uint32_t id, int64_t t_min, int64_t t_max)
{
	struct source *src = c->src;
	const struct interval *v;
	struct interval *all;
	uint32_t n = src->hidden_count, count;

	c->hidden = src->hidden;
	c->hidden_count = src->hidden_count;
	c->hidden_at = 0;
	for (uint32_t i = src->tombs_from; s->tombs && i < s->tombs->n; i++)
		if (s->tombs->v[i]->t_min <= t_max && s->tombs->v[i]->t_max >= t_min &&
		    tomb_find(s->tombs->v[i], id, &v, &count))
			n += count;
	if (n == src->hidden_count)
		return 0;
	all = arena_array(&s->hiding, struct interval, n);
	if (!all)
		return -ENOMEM;
	n = 0;
	for (uint32_t i = 0; i < src->hidden_count; i++)
		all[n++] = src->hidden[i];
	for (uint32_t i = src->tombs_from; i < s->tombs->n; i++) {
		if (s->tombs->v[i]->t_min > t_max || s->tombs->v[i]->t_max < t_min ||
		    !tomb_find(s->tombs->v[i], id, &v, &count))
			continue;
		for (uint32_t k = 0; k < count; k++)
			if (v[k].lo <= t_max && v[k].hi >= t_min)
				all[n++] = v[k];
	}
	c->hidden = all;
	c->hidden_count = intervals_join(all, n);
	return 0;
}

uint32_t cursor_hidden(const struct cursor *c, uint32_t from, int64_t t)
{
	uint32_t lo = from, hi = c->hidden_count;

	if (lo < hi && c->hidden[lo].hi >= t)
		return lo;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (c->hidden[mid].hi < t)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The first interval that ends at or after c->t, or NULL. */
static const struct interval *hidden_from(struct cursor *c)
{
	c->hidden_at = cursor_hidden(c, c->hidden_at, c->t);
	return c->hidden_at < c->hidden_count ? &c->hidden[c->hidden_at] : NULL;
}

int cursor_settle(struct scan *s, struct cursor *c, struct err *e)
{
	while (c->pos < c->end) {
		if (c->t > c->src->t_hi) {
			c->pos = c->end;
			break;
		}
		const struct interval *v = c->hidden_count ? hidden_from(c) : NULL;
		if (!v || c->t < v->lo)
			return 0;
		if (v->hi >= c->src->t_hi) {
			c->pos = c->end;
			break;
		}
		int rc = seek(s, c, v->hi + 1, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cursor_seek(struct scan *s, struct cursor *c, int64_t t, struct err *e)
{
	int rc = seek(s, c, t, e);
	return rc < 0 ? rc : cursor_settle(s, c, e);
}

int64_t cursor_visible_upto(struct cursor *c)
{
	const struct interval *v = c->hidden_count ? hidden_from(c) : NULL;

	return v ? MIN(c->src->t_hi, v->lo - 1) : c->src->t_hi;
}

/* ---- a series ---------------------------------------------------------------------------------------------- */

/* 1: the source has rows of the series; 0: none that are asked for. */
static int find_rows(struct scan *s, struct source *src, uint32_t id, struct cursor *c)
{
	if (!src->file) {
		const struct block_group *g = block_index_find(src->index, id);
		if (!g || !overlaps(s, g->t_min, g->t_max))
			return 0;
		*c = (struct cursor){.src = src, .pos = g->start, .end = g->start + g->count,
				     .has_duplicates = g->has_duplicates};
		return cursor_hide(s, c, id, g->t_min, g->t_max) < 0 ? -ENOMEM : 1;
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
		return 0;
	*c = (struct cursor){.src = src, .pos = ts[at].row0, .end = ts[at].row0 + ts[at].rows};
	if (cursor_hide(s, c, id, ts[at].t_min, ts[at].t_max) < 0)
		return -ENOMEM;
	c->is_timeless = !s->spec.times_wanted && !s->spec.first_n && !s->spec.last_n && !c->hidden_count &&
			 ts[at].t_min >= s->spec.t_lo && ts[at].t_max <= s->spec.t_hi;
	return 1;
}

int series_enter(struct scan *s, uint32_t id, struct err *e)
{
	uint32_t n = 0;

	arena_reset(&s->hiding);
	for (uint32_t i = 0; i < s->source_count; i++) {
		int found = find_rows(s, &s->sources[i], id, &s->cursors[n]);
		if (found < 0)
			return err_set(e, found, "out of memory for reading table '%s'", table_name(s->table));
		n += (uint32_t)found;
	}
	s->cursor_count = n;
	s->has_series = true;
	if (n == 1 && s->cursors[0].is_timeless)
		return 0;
	if (s->spec.first_n || s->spec.last_n) {
		int rc = series_ends(s, e);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct cursor *c = &s->cursors[i];
		c->is_timeless = false;
		int rc = cursor_seek(s, c, s->spec.t_lo, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
