/*
 * What other readers read: page index and footer; and the private index, which lies between.
 */
#include "engine/tile_write.h"

#include <stdlib.h>

/* ---- bounds ---------------------------------------------------------------------------------- */

static int compare(enum pq_type type, const struct wbounds *a, const struct wbounds *b, bool high)
{
	if (type == PQ_BYTE_ARRAY)
		return high ? str_cmp(a->shi, b->shi) : str_cmp(a->slo, b->slo);
	if (type == PQ_DOUBLE) {
		double x = high ? a->hi.f64 : a->lo.f64, y = high ? b->hi.f64 : b->lo.f64;
		return (x > y) - (x < y);
	}
	int64_t x = high ? a->hi.i64 : a->lo.i64, y = high ? b->hi.i64 : b->lo.i64;
	return (x > y) - (x < y);
}

static struct str plain(enum pq_type type, const void *v, struct str s, struct arena *a)
{
	static const uint8_t size[] = {
		[PQ_BOOLEAN] = 1, [PQ_INT32] = 4, [PQ_INT64] = 8, [PQ_DOUBLE] = 8};

	/* Little-endian: the first bytes of an int64 are the int32 and the boolean. */
	return type == PQ_BYTE_ARRAY ? s : arena_str(a, (struct str){v, size[type]});
}

static struct pq_bounds public_bounds(enum pq_type type, const struct wbounds *b, struct arena *a)
{
	return (struct pq_bounds){
		.has_minmax = b->has,
		.min_exact = b->lo_exact,
		.max_exact = b->hi_exact,
		.has_nulls = true,
		.nulls = b->nulls,
		.min = b->has ? plain(type, &b->lo, b->slo, a) : STR_LIT(""),
		.max = b->has ? plain(type, &b->hi, b->shi, a) : STR_LIT(""),
	};
}

/* Bounds of a chunk; *ret_complete: every page has bounds or is all NULL. */
static struct wbounds merge(const struct wcolumn *c, const struct tile_index *ix, uint32_t g,
			    bool *ret_complete)
{
	struct wbounds all = {.has = false};
	uint32_t nulls = 0;
	bool complete = true;

	for (uint32_t p = ix->group_page[g]; p < ix->group_page[g + 1]; p++) {
		const struct wbounds *b = &c->bounds[p];
		nulls += b->nulls;
		if (!b->has) {
			complete &= b->nulls == ix->page_row[p + 1] - ix->page_row[p];
			continue;
		}
		if (!all.has) {
			all = *b;
			continue;
		}
		if (compare(c->type, b, &all, false) < 0) {
			all.lo = b->lo;
			all.slo = b->slo;
			all.lo_exact = b->lo_exact;
		}
		if (compare(c->type, b, &all, true) > 0) {
			all.hi = b->hi;
			all.shi = b->shi;
			all.hi_exact = b->hi_exact;
		}
	}
	all.has &= complete;
	all.nulls = nulls;
	*ret_complete = complete;
	return all;
}

static enum pq_order order_of(const struct wcolumn *c, uint32_t page0, uint32_t page1)
{
	const struct wbounds *last = NULL;
	bool up = true, down = true;

	for (uint32_t p = page0; p < page1; p++) {
		const struct wbounds *b = &c->bounds[p];
		if (!b->has)
			continue;
		if (last) {
			int lo = compare(c->type, b, last, false);
			int hi = compare(c->type, b, last, true);
			up &= lo >= 0 && hi >= 0;
			down &= lo <= 0 && hi <= 0;
		}
		last = b;
	}
	return up ? PQ_ASCENDING : down ? PQ_DESCENDING : PQ_UNORDERED;
}

/* ---- page index ------------------------------------------------------------------------------ */

static int put_column_index(struct tile_writer *w, const struct tile_index *ix,
			    const struct wcolumn *c, uint32_t g, struct pq_chunk *ch,
			    struct arena *a)
{
	uint32_t page0 = ix->group_page[g], n = ix->group_page[g + 1] - page0;
	struct pq_column_index ci = {.n = n, .order = order_of(c, page0, page0 + n)};

	ci.pages = arena_array(a, struct pq_bounds, n);
	if (!ci.pages)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		ci.pages[i] = public_bounds(c->type, &c->bounds[page0 + i], a);
		if (ci.pages[i].has_minmax && (!ci.pages[i].min.ptr || !ci.pages[i].max.ptr))
			return -ENOMEM;
	}
	ch->column_index_off = (int64_t)tile_writer_pos(w);
	pq_column_index_encode(&w->out, &ci);
	ch->column_index_len = (int32_t)((int64_t)tile_writer_pos(w) - ch->column_index_off);
	return 0;
}

static int put_offset_index(struct tile_writer *w, const struct tile_index *ix,
			    const struct wcolumn *c, uint32_t g, struct pq_chunk *ch,
			    struct arena *a)
{
	uint32_t page0 = ix->group_page[g], n = ix->group_page[g + 1] - page0;
	struct pq_page_location *l = arena_array(a, struct pq_page_location, n);

	if (!l)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		l[i] = (struct pq_page_location){
			(int64_t)c->pages[page0 + i].off, (int32_t)c->pages[page0 + i].size,
			(int64_t)(ix->page_row[page0 + i] - ix->page_row[page0])};
	ch->offset_index_off = (int64_t)tile_writer_pos(w);
	pq_offset_index_encode(&w->out, l, n);
	ch->offset_index_len = (int32_t)((int64_t)tile_writer_pos(w) - ch->offset_index_off);
	return 0;
}

static uint32_t encodings_of(const struct wcolumn *c, const struct tile_chunk *ch)
{
	uint32_t set = 1u << ch->encoding;

	if (c->optional)
		set |= 1u << PQ_RLE;
	if (ch->dict_count)
		set |= 1u << PQ_PLAIN;
	return set;
}

static int describe_chunk(const struct tile_writer *w, const struct tile_index *ix,
			  const struct wcolumn *c, const struct pq_column *col, uint32_t g,
			  struct pq_chunk *ret, bool *ret_complete, struct arena *a)
{
	const struct tile_chunk *ch = &c->chunks[g];
	struct wbounds all = merge(c, ix, g, ret_complete);

	*ret = (struct pq_chunk){
		.type = col->type,
		.encodings = encodings_of(c, ch),
		.name = col->name,
		.codec = w->spec->codec == TILE_CODEC_ZSTD ? PQ_ZSTD : PQ_UNCOMPRESSED,
		.num_values = (int64_t)(ix->page_row[ix->group_page[g + 1]] -
					ix->page_row[ix->group_page[g]]),
		.stored_bytes = (int64_t)ch->len,
		.data_page_off = (int64_t)c->pages[ix->group_page[g]].off,
		.dict_page_off = ch->dict_count ? (int64_t)ch->dict.off : 0,
		.bounds = public_bounds(c->type, &all, a),
	};
	if (ch->dict_count)
		ret->raw_bytes = ch->dict.head + (int64_t)ch->dict.raw;
	for (uint32_t p = ix->group_page[g]; p < ix->group_page[g + 1]; p++)
		ret->raw_bytes += c->pages[p].head + (int64_t)c->pages[p].raw;
	return all.has && (!ret->bounds.min.ptr || !ret->bounds.max.ptr) ? -ENOMEM : 0;
}

/* ---- the footer ------------------------------------------------------------------------------ */

/* Columns of the file in schema order, as the writer knows them. */
static struct wcolumn **columns_in_order(struct tile_writer *w, const struct tile_index *ix,
					 struct arena *a)
{
	struct wcolumn **ret = arena_array(a, struct wcolumn *, ix->column_count);
	uint32_t n = 0;

	for (uint32_t i = 0; ret && i < w->time_nanos; i++)
		ret[n++] = &w->columns[i];
	for (uint32_t i = 0; ret && i < w->extra_count; i++)
		ret[n++] = &w->columns[w->extras[i]];
	return ret;
}

static int describe_groups(struct tile_writer *w, const struct tile_index *ix,
			   struct wcolumn **columns, struct pq_file *f, bool *complete,
			   struct arena *a)
{
	struct pq_sorting *sorting = arena_array(a, struct pq_sorting, w->spec->dim_count + 2);

	f->groups = arena_zarray(a, struct pq_group, ix->group_count + 1);
	if (!sorting || !f->groups)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->spec->dim_count + 2; i++)
		sorting[i] = (struct pq_sorting){(int32_t)i, false, i < w->spec->dim_count};
	for (uint32_t g = 0; g < ix->group_count; g++) {
		struct pq_group *pg = &f->groups[g];
		pg->chunk_count = ix->column_count;
		pg->chunks = arena_array(a, struct pq_chunk, ix->column_count);
		pg->sorting = sorting;
		pg->sorting_count = w->spec->dim_count + 2;
		pg->rows = (int64_t)(ix->page_row[ix->group_page[g + 1]] -
				     ix->page_row[ix->group_page[g]]);
		pg->file_off = (int64_t)columns[0]->chunks[g].off;
		if (!pg->chunks)
			return -ENOMEM;
		for (uint32_t c = 0; c < ix->column_count; c++) {
			int rc = describe_chunk(w, ix, columns[c], &f->columns[c], g,
						&pg->chunks[c],
						&complete[(size_t)g * ix->column_count + c], a);
			if (rc < 0)
				return rc;
			pg->raw_bytes += pg->chunks[c].raw_bytes;
			pg->stored_bytes += pg->chunks[c].stored_bytes;
		}
	}
	return 0;
}

/* All column indexes, then all offset indexes, as the format advises. */
static int put_page_index(struct tile_writer *w, struct tile_index *ix, struct wcolumn **columns,
			  struct pq_file *f, const bool *complete, struct arena *a)
{
	size_t at = w->out.len;
	int rc = 0;

	ix->public_off = tile_writer_pos(w);
	for (uint32_t g = 0; g < ix->group_count && rc >= 0; g++)
		for (uint32_t c = 0; c < ix->column_count && rc >= 0; c++)
			if (complete[(size_t)g * ix->column_count + c])
				rc = put_column_index(w, ix, columns[c], g,
						      &f->groups[g].chunks[c], a);
	for (uint32_t g = 0; g < ix->group_count && rc >= 0; g++)
		for (uint32_t c = 0; c < ix->column_count && rc >= 0; c++)
			rc = put_offset_index(w, ix, columns[c], g, &f->groups[g].chunks[c], a);
	ix->public_len = w->out.len - at;
	ix->public_crc = w->out.rc ? 0 : crc32c(0, w->out.data + at, w->out.len - at);
	return rc;
}

static int put_index(struct tile_writer *w, const struct tile_index *ix, struct tile_line *line)
{
	buf_clear(&w->raw);
	tile_index_encode(ix, &w->raw);
	if (w->raw.rc)
		return w->raw.rc;
	size_t room = ZSTD_compressBound(w->raw.len);
	char *to = buf_reserve(&w->out, room);
	if (!to)
		return -ENOMEM;
	size_t n = ZSTD_compressCCtx(w->zstd, to, room, w->raw.data, w->raw.len, 3);
	if (ZSTD_isError(n))
		return -ENOMEM;
	line->index_off = tile_writer_pos(w);
	line->index_len = n;
	line->index_raw = w->raw.len;
	line->index_crc = crc32c(0, to, n);
	w->out.len += n;
	return 0;
}

static int put_footer(struct tile_writer *w, struct pq_file *f, struct tile_line *line)
{
	char text[TILE_LINE_MAX];
	size_t in_line, at = w->out.len;
	struct pq_key_value kv = {.key = STR_LIT(TILE_KEY)};

	kv.value = (struct str){text, tile_line_format(text, line, &in_line)};
	f->kvs = &kv;
	f->kv_count = 1;
	pq_file_encode(&w->out, f);
	if (w->out.rc || w->out.len - at > UINT32_MAX)
		return -ENOMEM;
	buf_put_u32(&w->out, (uint32_t)(w->out.len - at));
	buf_adds(&w->out, "PAR1");
	if (w->out.rc)
		return w->out.rc;
	/* Find the line again in what was just written, and fill in its checksum. */
	char *footer = w->out.data + at;
	char *place = memmem(footer, w->out.len - at, text, kv.value.len);
	size_t crc_at = (size_t)(place - footer) + in_line;
	line->footer_crc = tile_footer_crc(footer, w->out.len - at, crc_at);
	tile_line_format(text, line, &in_line);
	memcpy(place, text, kv.value.len);
	return 0;
}

int tile_public_write(struct tile_writer *w, struct tile_index *ix, struct arena *a, struct err *e)
{
	struct pq_file f = {
		.version = 2,
		.rows = (int64_t)ix->info.rows,
		.group_count = ix->group_count,
		.column_count = ix->column_count,
		.created_by = STR_LIT("tidefs version " TIDE_VERSION " (build 1)"),
	};
	struct tile_line line = {.seq_lo = ix->info.seq_lo,
				 .seq_hi = ix->info.seq_hi,
				 .generation = ix->info.generation};
	struct wcolumn **columns = columns_in_order(w, ix, a);
	bool *complete = arena_zarray(a, bool, (size_t)ix->column_count * ix->group_count + 1);
	int rc = 0;

	f.columns = arena_array(a, struct pq_column, ix->column_count);
	if (!columns || !complete || !f.columns)
		return tile_writer_nomem(w, e);
	for (uint32_t i = 0; i < ix->column_count && rc >= 0; i++)
		rc = tile_index_describe(ix, &ix->columns[i], a, &f.columns[i]);
	if (rc >= 0)
		rc = describe_groups(w, ix, columns, &f, complete, a);
	if (rc >= 0)
		rc = put_page_index(w, ix, columns, &f, complete, a);
	memcpy(line.table_uuid, ix->info.table_uuid, 16);
	if (rc >= 0)
		rc = put_index(w, ix, &line);
	if (rc >= 0)
		rc = put_footer(w, &f, &line);
	return rc < 0 ? tile_writer_nomem(w, e) : 0;
}
