/*
 * scan_ends: the first and the last rows of each series alone.
 *
 * Of the series at hand each source says when its n-th row from the end is. The latest of these times has
 * n rows at or after it whatever the other sources hold, so all between that of the beginning and that of the
 * end is hidden: the cursors then pass over it, and over its pages, as over what a DELETE erased.
 */
#include "engine/scan_impl.h"

/* The interval that hides t in c's source, or NULL. */
static const struct interval *hiding(const struct cursor *c, int64_t t)
{
	uint32_t at = cursor_hidden(c, 0, t);

	return at < c->hidden_count && c->hidden[at].lo <= t ? &c->hidden[at] : NULL;
}

/* Of c's rows [pos, end): how many are <= upto, those of one page at a time from the end of a file. */
static int rows_upto(struct scan *s, struct cursor *c, uint64_t *end, int64_t upto, int64_t *ret_last, struct err *e)
{
	struct source *src = c->src;

	if (!src->file) {
		*end = *end > c->pos ? c->pos + count_upto_block(src, c->pos, *end, upto) : c->pos;
		if (*end > c->pos)
			*ret_last = src->view.block->time_ns[src->index->order[*end - 1]];
		return 0;
	}
	while (*end > c->pos) {
		uint32_t page = tile_page_of_row(src->tile, *end - 1);
		uint64_t from = MAX(tile_page_row(src->tile, page), c->pos);
		int64_t p_min, p_max;

		tile_page_times(src->tile, page, &p_min, &p_max);
		if (p_min <= upto) {
			int rc = source_time(s, src, *end - 1, e);
			if (rc < 0)
				return rc;
			uint32_t at = (uint32_t)(from - src->page_row), n = (uint32_t)(*end - from);
			*end = from + page_count_upto(src->time, at, n, upto);
		} else {
			*end = from;
		}
		if (*end > from) {
			*ret_last = page_i64(src->time, (uint32_t)(*end - 1 - src->page_row));
			return 0;
		}
	}
	return 0;
}

/* *t becomes the time of c's n-th last visible row, if that is later. */
static int from_end(struct scan *s, struct cursor *c, uint32_t n, int64_t *t, struct err *e)
{
	int64_t upto = c->src->t_hi, last = 0;
	uint64_t end = c->end;

	for (;;) {
		int rc = rows_upto(s, c, &end, upto, &last, e);
		if (rc < 0)
			return rc;
		if (end <= c->pos || last < s->spec.t_lo || last <= *t)
			return 0; /* fewer, or none that would be later */
		const struct interval *v = hiding(c, last);
		if (!v && !--n)
			break;
		upto = (v ? v->lo : last);
		if (upto == INT64_MIN)
			return 0;
		upto--;
	}
	*t = last;
	return 0;
}

/* *t becomes the time of c's n-th visible row, if that is earlier. Moves a copy of the cursor. */
static int from_start(struct scan *s, const struct cursor *from, uint32_t n, int64_t *t, struct err *e)
{
	struct cursor c = *from;
	int rc = cursor_seek(s, &c, s->spec.t_lo, e);

	while (rc >= 0 && c.pos < c.end && --n)
		rc = c.t == INT64_MAX ? (c.pos = c.end, 0) : cursor_seek(s, &c, c.t + 1, e);
	if (rc >= 0 && c.pos < c.end)
		*t = MIN(*t, c.t);
	return MIN(rc, 0);
}

/* [lo, hi] is hidden, too, in what c sees. */
static int hide_also(struct scan *s, struct cursor *c, int64_t lo, int64_t hi)
{
	struct interval *v = arena_array(&s->hiding, struct interval, c->hidden_count + 1);

	if (!v)
		return -ENOMEM;
	if (c->hidden_count)
		memcpy(v, c->hidden, sizeof *v * c->hidden_count);
	v[c->hidden_count] = (struct interval){lo, hi};
	c->hidden = v;
	c->hidden_count = intervals_join(v, c->hidden_count + 1);
	c->hidden_at = 0;
	return 0;
}

int series_ends(struct scan *s, struct err *e)
{
	int64_t first_hi = s->spec.first_n ? INT64_MAX : INT64_MIN, last_lo = s->spec.last_n ? INT64_MIN : INT64_MAX;
	int rc = 0;

	/* Mostly the latest rows are in the newest source, and older ones need not be looked at any more. */
	for (uint32_t i = s->cursor_count; s->spec.last_n && i-- && rc >= 0;)
		rc = from_end(s, &s->cursors[i], s->spec.last_n, &last_lo, e);
	for (uint32_t i = 0; s->spec.first_n && i < s->cursor_count && rc >= 0; i++)
		rc = from_start(s, &s->cursors[i], s->spec.first_n, &first_hi, e);
	/* What is hidden lies between, neither bound included. */
	if (rc < 0 || last_lo == INT64_MIN || first_hi == INT64_MAX)
		return rc;
	int64_t lo = s->spec.first_n ? first_hi + 1 : INT64_MIN, hi = s->spec.last_n ? last_lo - 1 : INT64_MAX;
	for (uint32_t i = 0; lo <= hi && i < s->cursor_count; i++)
		if (hide_also(s, &s->cursors[i], lo, hi) < 0)
			return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
	return 0;
}
