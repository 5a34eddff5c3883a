/*
 * scan: the tiers of a table merged into one stream.
 *
 * Sources are ordered by age: tiles, runs by sequence, memtable blocks by arrival. For each series,
 * in file order, every source that has rows of it contributes a cursor. As long as the earliest
 * cursor is alone with its times, whole stretches are copied from it; where several hold the same
 * time, the row is put together field by field, oldest to newest, so the latest write of each field
 * wins. A source that holds one time twice (only a memtable block can) goes through the same merge.
 *
 * A row with a version replaces what is older; one without patches it (batch.h).
 *
 * Rows that migration has moved out of a run ("moved": of a date, those before some time) are hidden
 * in it, as are rows that a later DELETE erased (tombs.h) and those older than the table's expiry edge.
 */
#include "engine/scan_impl.h"

static int out_of_memory(struct scan *s, struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(s->table));
}

/* The batch may go on into the next page. */
int scan_copy_strings(struct scan *s, struct str *to, const uint8_t *valid, uint32_t n, struct err *e)
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

/* Bytes of text that a row of the page at hand brings with the late columns, about. */
static size_t late_row_text(const struct scan *s, const struct source *src)
{
	size_t n = 0;

	for (uint32_t i = 0; s->spec.late && i < s->spec.col_count; i++)
		if (s->spec.late[i] && s->cols[i].type == COL_VARCHAR && src->field[i] >= 0)
			n += tile_field_text(src->tile, (uint32_t)src->field[i], src->page);
	return n;
}

/* k rows of a page, starting at c->pos, become rows [at, at + k) of the batch. */
static int copy_from_page(struct scan *s, const struct cursor *c, uint32_t at, uint32_t k, struct err *e)
{
	struct source *src = c->src;
	uint32_t from = (uint32_t)(c->pos - src->page_row);

	if (!c->is_timeless)
		page_copy(src->time, from, k, s->time + at);
	if (s->spec.late)
		s->pieces[s->piece_count++] = (struct piece){src, src->page, from, at, k, src->is_read};
	for (uint32_t i = 0; i < s->spec.col_count; i++) {
		const struct page *col;
		struct col *to = &s->cols[i];
		if (s->spec.late && s->spec.late[i])
			continue;
		int rc = source_col(s, src, i, &col, e);
		if (rc < 0)
			return rc;
		if (!col) {
			col_clear(s, i, at, k);
			continue;
		}
		size_t size = coltype_size(to->type);
		page_copy(col, from, k, (char *)to->data + at * size);
		if (col->valid) {
			memcpy(to->valid + at, col->valid + from, k);
			s->has_null[i] = true;
		} else {
			memset(to->valid + at, 1, k);
		}
		if (to->type == COL_VARCHAR) {
			rc = scan_copy_strings(s, to->str + at, to->valid + at, k, e);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* Versions of k rows from c->pos on become those of rows [at, at + k) of the batch. */
static int copy_versions(struct scan *s, const struct cursor *c, uint32_t at, uint32_t k, struct err *e)
{
	struct source *src = c->src;
	const int64_t *v = src->view.version;
	const struct page *page;

	if (!src->file) {
		for (uint32_t i = 0; i < k; i++)
			s->version[at + i] = v ? v[src->index->order[c->pos + i]] : 0;
		return 0;
	}
	int rc = source_version(s, src, &page, e);
	if (rc < 0)
		return rc;
	if (page)
		page_copy(page, (uint32_t)(c->pos - src->page_row), k, s->version + at);
	for (uint32_t i = 0; !page && i < k; i++)
		s->version[at + i] = src->usual_version;
	return 0;
}

/* Most columns have no NULL in a block, whose rows lie far apart: then they need not be looked at. */
static void copy_valid(struct scan *s, const struct source *src, uint32_t j, const uint32_t *row, uint32_t at, uint32_t k)
{
	const uint8_t *valid = src->block_cols[j]->col.valid;
	uint8_t *to = s->cols[j].valid + at, all = 1;

	if (!block_col_has_null(src->block_cols[j], src->view.n)) {
		memset(to, 1, k);
		return;
	}
	for (uint32_t i = 0; i < k; i++)
		all &= to[i] = valid[row[i]];
	s->has_null[j] |= !all;
}

static void copy_from_block(struct scan *s, const struct cursor *c, uint32_t at, uint32_t k)
{
	const struct source *src = c->src;
	const uint32_t *row = src->index->order + c->pos;
	const int64_t *time = src->view.block->time_ns;

	for (uint32_t i = 0; i < k; i++)
		s->time[at + i] = time[row[i]];
	for (uint32_t j = 0; j < s->spec.col_count; j++) {
		struct col *to = &s->cols[j];
		if (!src->block_cols[j]) {
			col_clear(s, j, at, k);
			continue;
		}
		const struct col *col = &src->block_cols[j]->col;
		copy_valid(s, src, j, row, at, k);
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

/* A cursor at its end: its page, of which there may be one a tile, is kept where the next series may look at it. */
static void leave_page(struct scan *s, struct cursor *c)
{
	if (c->pos == c->end && c->src->file && (c->end >= c->src->page_end || s->id_at + 1 == s->id_count))
		source_leave(s, c->src);
}

/* Copy rows of c with times <= upto, as many as the batch and the page have room for. */
static int emit_stretch(struct scan *s, struct cursor *c, int64_t upto, struct err *e)
{
	struct source *src = c->src;
	uint64_t room = SCAN_ROWS - s->n, k;
	int rc;

	if (src->file) {
		if (c->is_timeless)
			source_enter(s, src, c->pos);
		else if ((rc = source_time(s, src, c->pos, e)) < 0)
			return rc;
		uint64_t stop = MIN(c->end, src->page_end);
		k = stop - c->pos;
		if (!c->is_timeless)
			k = page_count_upto(src->time, (uint32_t)(c->pos - src->page_row), (uint32_t)k, upto);
		k = MIN(k, room);
		size_t text = late_row_text(s, src), left = SCAN_STRING_BYTES - MIN(s->late_text, SCAN_STRING_BYTES);
		if (text)
			k = MIN(k, (uint64_t)left / text + 1);
		s->late_text += text * k;
		rc = copy_from_page(s, c, s->n, (uint32_t)k, e);
		if (rc < 0)
			return rc;
	} else {
		k = MIN(count_upto_block(src, c->pos, c->end, upto), room);
		copy_from_block(s, c, s->n, (uint32_t)k);
	}
	if (s->spec.versions_wanted && (rc = copy_versions(s, c, s->n, (uint32_t)k, e)) < 0)
		return rc;
	run_extend(s, s->ids[s->id_at], (uint32_t)k);
	c->pos += k;
	rc = c->pos == c->end || c->is_timeless ? 0 : cursor_load(s, c, e);
	if (rc >= 0 && c->pos < c->end && !c->is_timeless)
		rc = cursor_settle(s, c, e);
	leave_page(s, c);
	return rc;
}

static void clear_row(struct scan *s, uint32_t at)
{
	for (uint32_t i = 0; i < s->spec.col_count; i++) {
		size_t size = coltype_size(s->cols[i].type);
		memset((char *)s->cols[i].data + at * size, 0, size);
		s->cols[i].valid[at] = 0;
	}
}

/* The version of the row at hand. */
static int version_of(struct scan *s, const struct cursor *c, int64_t *ret, struct err *e)
{
	struct source *src = c->src;
	const struct page *page;

	if (!src->file) {
		*ret = src->view.version ? src->view.version[src->index->order[c->pos]] : 0;
		return 0;
	}
	int rc = source_version(s, src, &page, e);
	*ret = page ? page_i64(page, (uint32_t)(c->pos - src->page_row)) : src->usual_version;
	return rc;
}

/* Field i of a page's row over row `at` of the batch. */
static int overlay_page(struct scan *s, const struct cursor *c, uint32_t i, uint32_t at, struct err *e)
{
	uint32_t row = (uint32_t)(c->pos - c->src->page_row);
	struct col *to = &s->cols[i];
	const struct page *page;

	int rc = source_col(s, c->src, i, &page, e);
	if (rc < 0 || !page || (page->valid && !page->valid[row]))
		return rc;
	to->valid[at] = 1;
	page_copy(page, row, 1, (char *)to->data + at * coltype_size(to->type));
	return to->type == COL_VARCHAR ? scan_copy_strings(s, &to->str[at], &to->valid[at], 1, e) : 0;
}

static void overlay_block(struct scan *s, const struct cursor *c, uint32_t i, uint32_t at)
{
	const struct block_col *from = c->src->block_cols[i];
	uint32_t row = c->src->index->order[c->pos];
	struct col *to = &s->cols[i];

	if (!from || !from->col.valid[row])
		return;
	const struct col *col = &from->col;
	to->valid[at] = 1;
	if (to->type == COL_VARCHAR)
		to->str[at] = col->str[row];
	else if (to->type == COL_BOOLEAN)
		to->b8[at] = col->b8[row];
	else
		to->i64[at] = col->i64[row];
}

/* Lay the valid fields of c's row over row `at` of the batch; a row with a version over nothing. */
static int overlay(struct scan *s, struct cursor *c, uint32_t at, int64_t *version, struct err *e)
{
	int64_t v;
	int rc = version_of(s, c, &v, e);

	if (rc >= 0 && v) {
		clear_row(s, at);
		*version = v;
	}
	for (uint32_t i = 0; i < s->spec.col_count && rc >= 0; i++) {
		if (c->src->file)
			rc = overlay_page(s, c, i, at, e);
		else
			overlay_block(s, c, i, at);
	}
	return rc;
}

/* One row out of all rows of time t, oldest first. */
static int emit_merged(struct scan *s, int64_t t, struct err *e)
{
	uint32_t at = s->n;
	int64_t version = 0;

	s->time[at] = t;
	clear_row(s, at);
	for (uint32_t i = 0; i < s->cursor_count; i++) {
		struct cursor *c = &s->cursors[i];
		while (c->pos < c->end && c->t == t) {
			int rc = overlay(s, c, at, &version, e);
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
			leave_page(s, c);
		}
	}
	for (uint32_t i = 0; i < s->spec.col_count; i++)
		s->has_null[i] |= !s->cols[i].valid[at];
	if (s->spec.versions_wanted)
		s->version[at] = version;
	run_extend(s, s->ids[s->id_at], 1);
	return 0;
}

/* Of long strings a batch has fewer rows than it could. */
static bool batch_is_full(const struct scan *s)
{
	return s->n == SCAN_ROWS || (s->n && s->strings.bytes + s->late_text >= SCAN_STRING_BYTES);
}

/* Rows of the current series until the batch is full or the series is at its end. */
static int fill(struct scan *s, struct err *e)
{
	while (!batch_is_full(s)) {
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

static void begin_batch(struct scan *s)
{
	for (uint32_t i = 0; i < s->piece_count; i++)
		if (s->pieces[i].src->page != s->pieces[i].page)
			source_leave_late(s, s->pieces[i].src);
	s->n = s->run_count = s->piece_count = 0;
	s->late_text = 0;
	arena_reset(&s->strings);
	memset(s->has_null, 0, s->spec.col_count * sizeof *s->has_null);
}

static void hand_out(struct scan *s, struct scan_batch *ret)
{
	for (uint32_t c = 0; c < s->spec.col_count; c++) {
		s->out[c] = s->cols[c];
		if (!s->has_null[c])
			s->out[c].valid = NULL;
	}
	s->stats.rows += s->n;
	*ret = (struct scan_batch){.n = s->n,
				   .time_ns = s->spec.times_wanted ? s->time : NULL,
				   .cols = s->out,
				   .version = s->version,
				   .runs = s->runs,
				   .run_count = s->run_count};
}

int scan_next(struct scan *s, struct scan_batch *ret, struct err *e)
{
	begin_batch(s);
	while (!batch_is_full(s) && s->id_at < s->id_count) {
		int rc = s->has_series ? 0 : series_enter(s, s->ids[s->id_at], e);
		if (rc >= 0)
			rc = fill(s, e);
		if (rc < 0) {
			table_note_damage(s->table, rc, e);
			return rc;
		}
	}
	if (!s->n)
		return 0;
	hand_out(s, ret);
	return 1;
}

int scan_find(struct scan *s, uint32_t series_id, int64_t t, struct scan_batch *ret, struct err *e)
{
	const uint32_t *rank = s->order->rank;
	bool is_there = false;
	int rc = 0;

	while (s->id_at < s->id_count && rank[s->ids[s->id_at]] < rank[series_id]) {
		s->id_at++;
		s->has_series = false;
	}
	if (s->id_at == s->id_count || s->ids[s->id_at] != series_id)
		return 0;
	if (!s->has_series)
		rc = series_enter(s, series_id, e);
	for (uint32_t i = 0; i < s->cursor_count && rc >= 0; i++) {
		struct cursor *c = &s->cursors[i];
		if (c->pos < c->end && c->t < t)
			rc = cursor_seek(s, c, t, e);
		is_there |= c->pos < c->end && c->t == t;
	}
	if (rc < 0 || !is_there)
		return rc;
	begin_batch(s);
	rc = emit_merged(s, t, e);
	if (rc < 0)
		return rc;
	hand_out(s, ret);
	return 1;
}
