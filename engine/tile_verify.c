/*
 * Verify: every byte of a tile against every other statement about it.
 *
 *	pieces      chunks, page index, private index and footer follow each other without a gap
 *	footer      Parquet's metadata says the same as the private index
 *	pages       both checksums, the header, the values; bounds and statistics hold
 *	rows        times ascend within a series, ranges are exact
 *	series      dimensions are the same in all rows of a series, and series ascend
 *
 * What fails first is reported; a tile is right or it is not.
 */
#include "engine/tile_read.h"

#include <stdio.h>
#include <stdlib.h>

struct verify {
	struct tile *t;
	struct err *e;
	const struct tile_index *ix;
	struct arena arena;        /* the footer; lives as long as this */
	struct arena page;         /* of one page */
	struct tile_scratch *s;    /* for loading */
	struct tile_scratch *s2;   /* for decoding */
	uint8_t *footer, *public;  /* as stored */
	struct pq_file file;
	/* dimensions */
	int8_t *order;       /* per series: how it compares with the one before it */
	struct buf last;     /* value of the series before */
	bool last_null;
	/* the chunk at hand */
	struct pq_column_index bounds;
	bool has_bounds;
};

static int wrong(const struct verify *v, const char *fmt, ...) printf_like(2, 3);

static int wrong(const struct verify *v, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(v->e, -EBADMSG, "%s: %s", v->t->path, text);
}

static int no_memory(const struct verify *v)
{
	return err_set(v->e, -ENOMEM, "no memory to verify %s", v->t->path);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
	uint64_t x = ((const struct tile_chunk *)a)->off, y = ((const struct tile_chunk *)b)->off;

	return (x > y) - (x < y);
}

static int verify_pieces(struct verify *v)
{
	const struct tile_index *ix = v->ix;
	size_t n = (size_t)ix->column_count * ix->group_count;
	struct tile_chunk *sorted = arena_array(&v->arena, struct tile_chunk, n);
	uint64_t at = 4;

	if (!sorted)
		return no_memory(v);
	if (n)
		memcpy(sorted, ix->chunks, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_offset);
	for (size_t i = 0; i < n; i++) {
		if (sorted[i].off != at)
			return wrong(v, "offset %llu belongs to no piece, or to two",
				     (unsigned long long)MIN(at, sorted[i].off));
		at += sorted[i].len;
	}
	if (at != ix->public_off || at + ix->public_len != v->t->index_off ||
	    v->t->index_off + v->t->index_len != v->t->footer_off)
		return wrong(v, "offset %llu belongs to no piece, or to two",
			     (unsigned long long)at);
	return 0;
}

static int read_piece(struct verify *v, uint8_t **ret, uint64_t off, uint64_t n)
{
	/* The slack is for decoders that look ahead. */
	uint8_t *p = malloc((size_t)n + PQ_SLACK);

	if (!p)
		return no_memory(v);
	int rc = io_pread_exact(v->t->io, v->t->fd, p, (size_t)n, (int64_t)off);
	if (rc < 0) {
		free(p);
		return rc == -EBADMSG ? wrong(v, "the file became shorter while it was read")
				      : err_set(v->e, rc, "cannot read %s at offset %llu: %s",
						v->t->path, (unsigned long long)off, strerror(-rc));
	}
	*ret = p;
	return 0;
}

/* ---- footer ---------------------------------------------------------------------------------- */

static bool column_equal(const struct pq_column *a, const struct pq_column *b)
{
	return a->type == b->type && a->repetition == b->repetition && a->logical == b->logical &&
	       str_eq(a->name, b->name);
}

static int verify_chunk_meta(struct verify *v, uint32_t c, uint32_t g)
{
	const struct tile_index *ix = v->ix;
	const struct pq_chunk *p = &v->file.groups[g].chunks[c];
	const struct tile_chunk *ch = &ix->chunks[(size_t)c * ix->group_count + g];
	const struct tile_page_ref *pages = &ix->pages[(size_t)c * ix->info.page_count];
	uint32_t page0 = ix->group_page[g], page1 = ix->group_page[g + 1];
	int64_t raw = ch->dict_count ? ch->dict.head + (int64_t)ch->dict.raw : 0;

	for (uint32_t i = page0; i < page1; i++)
		raw += pages[i].head + (int64_t)pages[i].raw;
	if (p->type != v->file.columns[c].type || !str_eq(p->name, v->file.columns[c].name) ||
	    p->codec != (ix->info.codec == TILE_CODEC_ZSTD ? PQ_ZSTD : PQ_UNCOMPRESSED) ||
	    !(p->encodings >> ch->encoding & 1) ||
	    p->num_values != (int64_t)(ix->page_row[page1] - ix->page_row[page0]) ||
	    p->stored_bytes != (int64_t)ch->len || p->raw_bytes != raw ||
	    p->data_page_off != (int64_t)pages[page0].off ||
	    p->dict_page_off != (ch->dict_count ? (int64_t)ch->dict.off : 0))
		return wrong(v, "footer and index differ in column '%.*s' of row group %u",
			     STR_FMT(p->name), g);
	return 0;
}

static int verify_footer(struct verify *v)
{
	const struct tile_index *ix = v->ix;
	const struct pq_file *f = &v->file;
	uint64_t n = ix->info.file_bytes - v->t->footer_off;
	int rc = read_piece(v, &v->footer, v->t->footer_off, n);

	if (rc < 0)
		return rc;
	rc = pq_file_decode((struct str){(char *)v->footer, (size_t)n - 8}, &v->arena, &v->file,
			    v->e);
	if (rc < 0)
		return err_prefix(v->e, rc == -ENOTSUP ? -EBADMSG : rc, "%s", v->t->path);
	if (f->column_count != ix->column_count || f->group_count != ix->group_count ||
	    f->rows != (int64_t)ix->info.rows)
		return wrong(v, "footer and index differ in columns, row groups or rows");
	for (uint32_t c = 0; c < ix->column_count; c++) {
		struct pq_column want;
		if (tile_index_describe(ix, &ix->columns[c], &v->arena, &want) < 0)
			return no_memory(v);
		if (!column_equal(&want, &f->columns[c]))
			return wrong(v, "footer and index differ in column %u", c);
	}
	for (uint32_t g = 0; g < ix->group_count; g++) {
		const struct pq_group *pg = &f->groups[g];
		bool sorted = pg->sorting_count == ix->info.dim_count + 2;
		if (pg->rows != (int64_t)(ix->page_row[ix->group_page[g + 1]] -
					  ix->page_row[ix->group_page[g]]))
			return wrong(v, "footer and index differ in the rows of row group %u", g);
		for (uint32_t i = 0; sorted && i < pg->sorting_count; i++)
			sorted = pg->sorting[i].column == (int32_t)i && !pg->sorting[i].descending;
		if (!sorted)
			return wrong(v, "row group %u declares another order", g);
		for (uint32_t c = 0; c < ix->column_count; c++) {
			rc = verify_chunk_meta(v, c, g);
			if (rc < 0)
				return rc;
		}
	}
	rc = read_piece(v, &v->public, ix->public_off, ix->public_len);
	if (rc < 0)
		return rc;
	if (crc32c(0, v->public, (size_t)ix->public_len) != ix->public_crc)
		return wrong(v, "the page index at offset %llu is damaged: its checksum is wrong",
			     (unsigned long long)ix->public_off);
	return 0;
}

/* ---- page index ------------------------------------------------------------------------------ */

/* A part of the page index; empty where it is out of bounds. */
static struct str public_part(const struct verify *v, int64_t off, int32_t len)
{
	const struct tile_index *ix = v->ix;
	uint64_t at = (uint64_t)off - ix->public_off;

	if (off < 0 || (uint64_t)off < ix->public_off || len < 0 || at > ix->public_len ||
	    (uint64_t)len > ix->public_len - at)
		return STR_LIT("");
	return (struct str){(char *)v->public + at, (size_t)len};
}

static int verify_page_index(struct verify *v, uint32_t c, uint32_t g)
{
	const struct tile_index *ix = v->ix;
	const struct pq_chunk *p = &v->file.groups[g].chunks[c];
	const struct tile_page_ref *pages = &ix->pages[(size_t)c * ix->info.page_count];
	uint32_t page0 = ix->group_page[g], n = ix->group_page[g + 1] - page0, got;
	struct pq_page_location *l;

	int rc = pq_offset_index_decode(public_part(v, p->offset_index_off, p->offset_index_len),
					&v->page, &l, &got);
	if (rc < 0 || got != n)
		return wrong(v, "the offset index of column %u, row group %u is damaged", c, g);
	for (uint32_t i = 0; i < n; i++)
		if (l[i].off != (int64_t)pages[page0 + i].off ||
		    l[i].size != (int32_t)pages[page0 + i].size ||
		    l[i].first_row != (int64_t)(ix->page_row[page0 + i] - ix->page_row[page0]))
			return wrong(v, "offset index and index differ in column %u, page %u", c,
				     page0 + i);
	v->has_bounds = p->column_index_len != 0;
	if (!v->has_bounds)
		return 0;
	rc = pq_column_index_decode(public_part(v, p->column_index_off, p->column_index_len),
				    &v->arena, &v->bounds);
	if (rc < 0 || v->bounds.n != n)
		return wrong(v, "the column index of column %u, row group %u is damaged", c, g);
	return 0;
}

static int compare_plain(enum pq_type type, struct str a, struct str b)
{
	int64_t x = 0, y = 0;
	int32_t i, k;
	double f, h;

	switch (type) {
	case PQ_INT64:
		memcpy(&x, a.ptr, 8);
		memcpy(&y, b.ptr, 8);
		break;
	case PQ_INT32:
		memcpy(&i, a.ptr, 4);
		memcpy(&k, b.ptr, 4);
		return (i > k) - (i < k);
	case PQ_DOUBLE:
		memcpy(&f, a.ptr, 8);
		memcpy(&h, b.ptr, 8);
		return (f > h) - (f < h);
	case PQ_BOOLEAN:
		x = (uint8_t)a.ptr[0];
		y = (uint8_t)b.ptr[0];
		break;
	case PQ_BYTE_ARRAY:
		return str_cmp(a, b);
	case PQ_INT96: /* was refused before */
		break;
	}
	return (x > y) - (x < y);
}

static bool plain_fits(enum pq_type type, struct str s)
{
	static const uint8_t size[] = {
		[PQ_BOOLEAN] = 1, [PQ_INT32] = 4, [PQ_INT64] = 8, [PQ_DOUBLE] = 8};

	return type == PQ_BYTE_ARRAY || s.len == size[type];
}

static bool within(enum pq_type type, const struct pq_bounds *b, struct str v)
{
	return compare_plain(type, b->min, v) <= 0 && compare_plain(type, v, b->max) <= 0;
}

/* Do the bounds of page and chunk hold for the n values that were decoded? */
static int verify_bounds(struct verify *v, uint32_t c, uint32_t g, uint32_t page, enum pq_type type,
			 const void *data, const struct tile_values *vals)
{
	const struct pq_bounds *chunk = &v->file.groups[g].chunks[c].bounds;
	const struct pq_bounds *b =
		v->has_bounds ? &v->bounds.pages[page - v->ix->group_page[g]] : NULL;
	size_t size = type == PQ_BOOLEAN ? 1 : type == PQ_BYTE_ARRAY ? sizeof(struct str) : 8;
	bool ok = !b || (b->has_minmax == (vals->n > 0) && b->nulls == vals->rows - vals->n);

	for (const struct pq_bounds *k = b; ok && k; k = k == b ? chunk : NULL) {
		if (!k->has_minmax)
			continue;
		ok = plain_fits(type, k->min) && plain_fits(type, k->max);
		for (uint32_t i = 0; ok && i < vals->n; i++) {
			const char *p = (const char *)data + i * size;
			struct str one = {p, size};
			if (type == PQ_BYTE_ARRAY)
				memcpy(&one, p, sizeof one);
			ok = within(type, k, one);
		}
	}
	if (!ok)
		return wrong(v, "column %u: the public bounds of page %u do not hold", c, page);
	return 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int verify_header(struct verify *v, const struct tile_page_ref *p, enum pq_page_type type,
			 enum pq_encoding encoding, uint32_t num_values)
{
	struct pq_page_header h;
	int rc = tile_page_load(v->t, p, v->s, v->e);

	if (rc < 0)
		return rc;
	rc = pq_page_header_decode((struct str){(char *)v->s->stored, p->size}, &h);
	if (rc != p->head || h.type != type || (uint32_t)h.raw_size != p->raw ||
	    (uint32_t)h.stored_size != p->size - p->head || !h.has_crc ||
	    (uint32_t)h.num_values != num_values || (uint32_t)h.encoding != encoding ||
	    (type == PQ_DATA_PAGE && (h.def_encoding != PQ_RLE || h.rep_encoding != PQ_RLE)))
		return wrong(v, "the header of the page at offset %llu differs from the index",
			     (unsigned long long)p->off);
	if (crc32_gzip(0, v->s->stored + p->head, p->size - p->head) != h.crc)
		return wrong(v, "the page at offset %llu: the CRC in its header is wrong",
			     (unsigned long long)p->off);
	return 0;
}

/* The value of one dimension in the rows of a page: one a series, and in order. */
static int verify_dim(struct verify *v, uint32_t c, uint32_t page, const struct col *col)
{
	const struct tile_index *ix = v->ix;
	uint64_t row0 = ix->page_row[page], row1 = ix->page_row[page + 1];
	uint32_t lo = 0, hi = ix->info.series_count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ix->series[mid].row0 <= row0)
			lo = mid;
		else
			hi = mid;
	}
	for (uint64_t row = row0; row < row1; lo++) {
		const struct tile_series *s = &ix->series[lo];
		uint64_t end = MIN(s->row0 + s->rows, row1);
		if (row == s->row0) {
			uint64_t i = row - row0;
			bool null = col->valid && !col->valid[i];
			/* NULL is first and equal to NULL: a former NULL alone gives -1. */
			int cmp = v->last_null || null ? (int)null - (int)v->last_null
						       : str_cmp(buf_str(&v->last), col->str[i]);
			if (lo && !v->order[lo])
				v->order[lo] = (int8_t)((cmp > 0) - (cmp < 0));
			buf_clear(&v->last);
			buf_add_str(&v->last, col->str[i]);
			v->last_null = null;
			if (v->last.rc)
				return no_memory(v);
		}
		for (; row < end; row++) {
			uint64_t i = row - row0;
			bool null = col->valid && !col->valid[i];
			if (null != v->last_null || !str_eq(col->str[i], buf_str(&v->last)))
				return wrong(v, "column %u differs within series %u, at row %llu", c,
					     s->series_id, (unsigned long long)row);
		}
	}
	return 0;
}

static int verify_stats(struct verify *v, uint32_t field, uint32_t page)
{
	enum coltype type = v->ix->info.fields[field].type;
	size_t size = coltype_size(type);
	struct tile_page_stats got;
	struct col col;
	int rc = tile_read_field(v->t, field, page, &v->page, &col, v->e);

	if (rc < 0)
		return rc;
	uint32_t rows = tile_page_stats(v->t, field, page)->rows, n = 0;
	/* Valid values side by side again, as the writer had them. */
	for (uint32_t i = 0; i < rows; i++)
		if (!col.valid || col.valid[i])
			memmove((char *)col.data + size * n++, (char *)col.data + size * i, size);
	tile_stats_compute(type, col.data, n, rows, &got);
	if (!tile_stats_equal(type, &got, tile_page_stats(v->t, field, page)))
		return wrong(v, "the statistics of column '%.*s' in page %u are wrong",
			     STR_FMT(v->ix->info.fields[field].name), page);
	return 0;
}

static int verify_page(struct verify *v, uint32_t c, uint32_t g, uint32_t page)
{
	const struct tile_index *ix = v->ix;
	const struct tile_column *column = &ix->columns[c];
	uint32_t rows = (uint32_t)(ix->page_row[page + 1] - ix->page_row[page]);
	struct tile_values vals;
	bool optional;
	enum pq_type type = tile_column_type(v->t, c, &optional);
	int rc = verify_header(v, &ix->pages[(size_t)c * ix->info.page_count + page], PQ_DATA_PAGE,
			       ix->chunks[(size_t)c * ix->group_count + g].encoding, rows);

	if (rc < 0)
		return rc;
	void *data = arena_alloc(&v->page, rows * sizeof(struct str));
	if (!data)
		return no_memory(v);
	rc = tile_page_decode(v->t, c, page, v->s2, &v->page, data, &vals, v->e);
	if (rc >= 0)
		rc = verify_bounds(v, c, g, page, type, data, &vals);
	if (rc >= 0 && column->role == TILE_FIELD)
		rc = verify_stats(v, column->i, page);
	if (rc >= 0 && (column->role == TILE_DIM || column->role == TILE_MEASURE_NAME)) {
		struct col col;
		rc = tile_page_column(v->t, c, page, COL_VARCHAR, &v->page, &col, v->e);
		if (rc >= 0)
			rc = verify_dim(v, c, page, &col);
	}
	return rc;
}

static int verify_column(struct verify *v, uint32_t c)
{
	const struct tile_index *ix = v->ix;
	int rc = 0;

	for (uint32_t g = 0; g < ix->group_count && rc >= 0; g++) {
		const struct tile_chunk *ch = &ix->chunks[(size_t)c * ix->group_count + g];
		arena_reset(&v->page);
		rc = verify_page_index(v, c, g);
		if (rc >= 0 && ch->dict_count)
			rc = verify_header(v, &ch->dict, PQ_DICTIONARY_PAGE, PQ_PLAIN,
					   ch->dict_count);
		for (uint32_t p = ix->group_page[g]; p < ix->group_page[g + 1] && rc >= 0; p++) {
			arena_reset(&v->page);
			rc = verify_page(v, c, g, p);
		}
	}
	return rc;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int verify_times(struct verify *v)
{
	const struct tile_index *ix = v->ix;
	int64_t *time = arena_array(&v->arena, int64_t, TILE_PAGE_ROWS_MAX);
	int64_t last = 0;
	uint32_t s = 0;
	uint64_t row = 0;

	if (!time)
		return no_memory(v);
	for (uint32_t p = 0; p < ix->info.page_count; p++) {
		int64_t t_min = INT64_MAX, t_max = INT64_MIN;
		int rc = tile_read_time(v->t, p, time, v->e);
		if (rc < 0)
			return rc;
		for (uint64_t i = 0; row < ix->page_row[p + 1]; row++, i++) {
			if (row == ix->series[s].row0 + ix->series[s].rows)
				s++;
			const struct tile_series *se = &ix->series[s];
			bool first = row == se->row0, end = row + 1 == se->row0 + se->rows;
			if ((first && time[i] != se->t_min) || (end && time[i] != se->t_max) ||
			    (!first && time[i] <= last))
				return wrong(v, "the time of row %llu does not fit its series %u",
					     (unsigned long long)row, se->series_id);
			last = time[i];
			t_min = MIN(t_min, last);
			t_max = MAX(t_max, last);
		}
		if (t_min != ix->page_t_min[p] || t_max != ix->page_t_max[p])
			return wrong(v, "the time range of page %u is wrong", p);
	}
	return 0;
}

static int verify_all(struct verify *v)
{
	int rc = verify_pieces(v);

	if (rc >= 0)
		rc = verify_footer(v);
	for (uint32_t c = 0; c < v->ix->column_count && rc >= 0; c++)
		rc = verify_column(v, c);
	if (rc >= 0)
		rc = verify_times(v);
	for (uint32_t i = 1; i < v->ix->info.series_count && rc >= 0; i++)
		if (v->order[i] >= 0)
			rc = wrong(v, "series %u is out of order", v->ix->series[i].series_id);
	return rc;
}

int tile_verify(struct tile *t, struct err *e)
{
	struct verify v = {.t = t, .e = e, .ix = &t->ix};
	int rc;

	arena_init(&v.arena, NULL);
	arena_init(&v.page, NULL);
	buf_init(&v.last, SIZE_MAX / 2);
	v.s = tile_scratch_get();
	v.s2 = tile_scratch_get();
	v.order = arena_zarray(&v.arena, int8_t, t->ix.info.series_count);
	rc = v.s && v.s2 && v.order ? verify_all(&v) : no_memory(&v);
	if (v.s)
		tile_scratch_put(v.s);
	if (v.s2)
		tile_scratch_put(v.s2);
	free(v.footer);
	free(v.public);
	buf_release(&v.last);
	arena_release(&v.page);
	arena_release(&v.arena);
	return rc;
}
