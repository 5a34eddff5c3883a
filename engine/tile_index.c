#include "engine/tile_index.h"

#include <inttypes.h>
#include <stdio.h>

#define LAYOUT_VERSION 1

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

/* ---- columns --------------------------------------------------------------------------------- */

int tile_index_columns(struct tile_index *ix, struct arena *a)
{
	const struct tile_info *in = &ix->info;
	size_t most = (size_t)in->dim_count + 2 + in->field_count + ix->extra_count;
	struct tile_column *c = arena_array(a, struct tile_column, most);
	uint32_t n = 0;

	if (!c)
		return -ENOMEM;
	for (uint32_t i = 0; i < in->dim_count; i++)
		c[n++] = (struct tile_column){TILE_DIM, i};
	c[n++] = (struct tile_column){TILE_MEASURE_NAME, 0};
	c[n++] = (struct tile_column){TILE_TIME, 0};
	for (uint32_t i = 0; i < in->field_count; i++)
		c[n++] = (struct tile_column){TILE_FIELD, i};
	for (uint32_t i = 0; i < ix->extra_count; i++)
		c[n++] = ix->extras[i];
	ix->columns = c;
	ix->column_count = n;
	return 0;
}

static void describe_field(const struct tile_field *f, struct pq_column *ret)
{
	static const struct {
		enum pq_type type;
		enum pq_logical logical;
	} forms[] = {
		[COL_BIGINT] = {PQ_INT64, PQ_LOGICAL_NONE},
		[COL_DOUBLE] = {PQ_DOUBLE, PQ_LOGICAL_NONE},
		[COL_BOOLEAN] = {PQ_BOOLEAN, PQ_LOGICAL_NONE},
		[COL_VARCHAR] = {PQ_BYTE_ARRAY, PQ_LOGICAL_STRING},
		[COL_TIMESTAMP] = {PQ_INT64, PQ_LOGICAL_TIMESTAMP_MICROS},
	};
	*ret = (struct pq_column){.name = f->name, .type = forms[f->type].type, .repetition = PQ_OPTIONAL,
				  .logical = forms[f->type].logical};
}

int tile_index_describe(const struct tile_index *ix, const struct tile_column *c, struct arena *a,
			struct pq_column *ret)
{
	struct str name;
	char *p;

	switch (c->role) {
	case TILE_DIM:
		*ret = (struct pq_column){.name = ix->info.dims[c->i], .type = PQ_BYTE_ARRAY, .repetition = PQ_OPTIONAL,
					  .logical = PQ_LOGICAL_STRING};
		break;
	case TILE_MEASURE_NAME:
		*ret = (struct pq_column){.name = STR_LIT("measure_name"), .type = PQ_BYTE_ARRAY, .repetition = PQ_REQUIRED,
					  .logical = PQ_LOGICAL_STRING};
		break;
	case TILE_TIME:
		*ret = (struct pq_column){.name = STR_LIT("time"), .type = PQ_INT64, .repetition = PQ_REQUIRED,
					  .logical = PQ_LOGICAL_TIMESTAMP_MICROS};
		break;
	case TILE_FIELD:
		describe_field(&ix->info.fields[c->i], ret);
		break;
	case TILE_TIME_NANOS:
		*ret = (struct pq_column){.name = STR_LIT("ts_nanos"), .type = PQ_INT32, .repetition = PQ_REQUIRED,
					  .logical = PQ_LOGICAL_NONE};
		break;
	case TILE_VERSION:
		*ret = (struct pq_column){.name = STR_LIT("ts_version"), .type = PQ_INT64, .repetition = PQ_REQUIRED,
					  .logical = PQ_LOGICAL_NONE};
		break;
	case TILE_FIELD_NANOS:
		name = ix->info.fields[c->i].name;
		p = arena_alloc(a, name.len + 9);
		if (!p)
			return -ENOMEM;
		memcpy(p, "ts_nanos_", 9);
		memcpy(p + 9, name.ptr, name.len);
		*ret = (struct pq_column){.name = {p, name.len + 9}, .type = PQ_INT32, .repetition = PQ_REQUIRED,
					  .logical = PQ_LOGICAL_NONE};
		break;
	}
	return 0;
}

uint32_t tile_index_group(const struct tile_index *ix, uint32_t page)
{
	uint32_t lo = 0, hi = ix->group_count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ix->group_page[mid] <= page)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void put_page(struct buf *b, const struct tile_page_ref *p, bool compressed)
{
	buf_put_varint(b, p->size);
	buf_put_u8(b, p->head);
	if (compressed)
		buf_put_varint(b, p->raw);
	buf_put_u32(b, p->crc);
}

static void put_f64(struct buf *b, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, 8);
	buf_put_u64(b, bits);
}

static void put_stats(struct buf *b, enum coltype type, const struct tile_page_stats *s)
{
	uint32_t n = s->rows - s->nulls;

	buf_put_varint(b, s->nulls);
	if (!n || type == COL_VARCHAR)
		return;
	if (type == COL_DOUBLE) {
		buf_put_u8(b, s->has_minmax);
		if (s->has_minmax) {
			put_f64(b, s->min.f64);
			put_f64(b, s->max.f64);
		}
		put_f64(b, s->first.f64);
		put_f64(b, s->last.f64);
		put_f64(b, s->sum_f);
		return;
	}
	uint64_t min = (uint64_t)s->min.i64;
	u128 sum = (u128)(s->sum_i - (i128)s->min.i64 * n);
	buf_put_zigzag(b, s->min.i64);
	buf_put_varint(b, (uint64_t)s->max.i64 - min);
	buf_put_varint(b, (uint64_t)s->first.i64 - min);
	buf_put_varint(b, (uint64_t)s->last.i64 - min);
	buf_put_varint(b, (uint64_t)sum);
	buf_put_varint(b, (uint64_t)(sum >> 64));
}

static void put_chunks(const struct tile_index *ix, struct buf *b)
{
	bool compressed = ix->info.codec == TILE_CODEC_ZSTD;
	uint64_t expected = 4;

	for (uint32_t g = 0; g < ix->group_count; g++) {
		for (uint32_t c = 0; c < ix->column_count; c++) {
			const struct tile_chunk *ch = &ix->chunks[(size_t)c * ix->group_count + g];
			buf_put_zigzag(b, (int64_t)(ch->off - expected));
			buf_put_u8(b, (uint8_t)ch->encoding);
			buf_put_varint(b, ch->dict_count);
			if (ch->dict_count)
				put_page(b, &ch->dict, compressed);
			for (uint32_t p = ix->group_page[g]; p < ix->group_page[g + 1]; p++)
				put_page(b, &ix->pages[(size_t)c * ix->info.page_count + p],
					 compressed);
			expected = ch->off + ch->len;
		}
	}
}

static void put_times(struct buf *b, int64_t t_min, int64_t t_max, int64_t *prev)
{
	buf_put_zigzag(b, (int64_t)((uint64_t)t_min - (uint64_t)*prev));
	buf_put_varint(b, (uint64_t)t_max - (uint64_t)t_min);
	*prev = t_min;
}

void tile_index_encode(const struct tile_index *ix, struct buf *b)
{
	const struct tile_info *in = &ix->info;
	int64_t t = 0;
	uint32_t id = 0;

	buf_put_varint(b, LAYOUT_VERSION);
	buf_add(b, in->table_uuid, 16);
	buf_put_varint(b, in->seq_lo);
	buf_put_varint(b, in->seq_hi);
	buf_put_varint(b, in->generation);
	buf_put_u8(b, in->codec == TILE_CODEC_ZSTD);
	buf_put_varint(b, in->rows);
	buf_put_varint(b, in->page_count);
	buf_put_varint(b, ix->group_count);
	buf_put_varint(b, in->series_count);
	buf_put_varint(b, in->dim_count);
	for (uint32_t i = 0; i < in->dim_count; i++)
		buf_put_str(b, in->dims[i]);
	buf_put_varint(b, in->field_count);
	for (uint32_t i = 0; i < in->field_count; i++) {
		buf_put_str(b, in->fields[i].name);
		buf_put_varint(b, in->fields[i].col_id);
		buf_put_u8(b, (uint8_t)in->fields[i].type);
	}
	buf_put_varint(b, ix->extra_count);
	for (uint32_t i = 0; i < ix->extra_count; i++) {
		buf_put_u8(b, (uint8_t)ix->extras[i].role);
		buf_put_varint(b, ix->extras[i].i);
	}
	for (uint32_t g = 0; g < ix->group_count; g++)
		buf_put_varint(b, ix->group_page[g + 1] - ix->group_page[g]);
	for (uint32_t p = 0; p < in->page_count; p++)
		buf_put_varint(b, ix->page_row[p + 1] - ix->page_row[p]);
	for (uint32_t p = 0; p < in->page_count; p++)
		put_times(b, ix->page_t_min[p], ix->page_t_max[p], &t);
	for (uint32_t i = 0; i < in->series_count; i++) {
		buf_put_zigzag(b, (int64_t)ix->series[i].series_id - id);
		id = ix->series[i].series_id;
	}
	for (uint32_t i = 0; i < in->series_count; i++)
		buf_put_varint(b, ix->series[i].rows);
	t = 0;
	for (uint32_t i = 0; i < in->series_count; i++)
		put_times(b, ix->series[i].t_min, ix->series[i].t_max, &t);
	put_chunks(ix, b);
	for (uint32_t f = 0; f < in->field_count; f++)
		for (uint32_t p = 0; p < in->page_count; p++)
			put_stats(b, in->fields[f].type,
				  &ix->stats[(size_t)f * in->page_count + p]);
	buf_put_varint(b, ix->public_off);
	buf_put_varint(b, ix->public_len);
	buf_put_u32(b, ix->public_crc);
}

/* ---- decoding -------------------------------------------------------------------------------- */

/*
 * What is wrong is kept in `what`, so that the readers below can be plain loops; a cur that ran past
 * its end is the common case and needs no words of its own.
 */
struct index_in {
	struct cur c;
	struct arena *a;
	const char *what;
	int rc;
	uint64_t data_end;
};

static void bad(struct index_in *in, const char *what)
{
	if (!in->what)
		in->what = what;
	in->c.bad = true;
}

/* A count of things that take a byte each at least. */
static uint32_t get_count(struct index_in *in, uint64_t most, const char *what)
{
	uint64_t n = cur_varint(&in->c);

	if (in->c.bad || n > cur_left(&in->c) || n > most) {
		bad(in, what);
		return 0;
	}
	return (uint32_t)n;
}

static void *get_memory(struct index_in *in, size_t n, size_t size)
{
	void *p = in->c.bad || n > SIZE_MAX / 2 / size ? NULL : arena_zalloc(in->a, n * size + 1);

	if (!p) {
		if (!in->c.bad)
			in->rc = -ENOMEM;
		in->c.bad = true;
	}
	return p;
}

static void get_times(struct index_in *in, int64_t *t_min, int64_t *t_max, int64_t *prev)
{
	*t_min = (int64_t)((uint64_t)*prev + (uint64_t)cur_zigzag(&in->c));
	uint64_t span = cur_varint(&in->c);
	if (span > (uint64_t)INT64_MAX - (uint64_t)*t_min)
		bad(in, "a time range is too wide");
	*t_max = (int64_t)((uint64_t)*t_min + span);
	*prev = *t_min;
}

static void get_names(struct index_in *in, struct tile_index *ix)
{
	struct tile_info *info = &ix->info;

	info->dim_count = get_count(in, TILE_COLS_MAX, "the number of dimensions is out of bounds");
	struct str *dims = get_memory(in, info->dim_count, sizeof *dims);
	for (uint32_t i = 0; i < info->dim_count && !in->c.bad; i++) {
		dims[i] = cur_str(&in->c);
		if (i && str_cmp(dims[i - 1], dims[i]) >= 0)
			bad(in, "the dimensions are out of order");
	}
	info->dims = dims;
	info->field_count = get_count(in, TILE_COLS_MAX, "the number of columns is out of bounds");
	struct tile_field *fields = get_memory(in, info->field_count, sizeof *fields);
	for (uint32_t i = 0; i < info->field_count && !in->c.bad; i++) {
		fields[i].name = cur_str(&in->c);
		uint64_t id = cur_varint(&in->c);
		unsigned type = cur_u8(&in->c);
		if (id > UINT32_MAX || !coltype_known(type))
			bad(in, "a column's description is wrong");
		fields[i].col_id = (uint32_t)id;
		fields[i].type = (enum coltype)type;
	}
	info->fields = fields;
}

static void get_extras(struct index_in *in, struct tile_index *ix)
{
	struct tile_info *info = &ix->info;
	struct tile_column *extras;
	bool *seen = get_memory(in, info->field_count, sizeof *seen);
	bool has_nanos = false;

	ix->extra_count = get_count(in, (uint64_t)info->field_count + 2,
				    "the number of ts_ columns is out of bounds");
	extras = get_memory(in, ix->extra_count, sizeof *extras);
	for (uint32_t i = 0; i < ix->extra_count && !in->c.bad; i++) {
		unsigned role = cur_u8(&in->c);
		uint64_t field = cur_varint(&in->c);
		bool *once = role == TILE_TIME_NANOS ? &has_nanos
			     : role == TILE_VERSION  ? &info->has_version
			     : role == TILE_FIELD_NANOS && field < info->field_count &&
					     info->fields[field].type == COL_TIMESTAMP
				     ? &seen[field]
				     : NULL;
		if (!once || *once || (role != TILE_FIELD_NANOS && field)) {
			bad(in, "a ts_ column is wrong");
			break;
		}
		*once = true;
		extras[i] = (struct tile_column){(enum tile_role)role, (uint32_t)field};
	}
	ix->extras = extras;
}

static void get_pages(struct index_in *in, struct tile_index *ix)
{
	struct tile_info *info = &ix->info;
	uint32_t pages = info->page_count;
	uint64_t row = 0, page = 0;
	int64_t t = 0;

	ix->group_page = get_memory(in, (size_t)ix->group_count + 1, sizeof *ix->group_page);
	ix->page_row = get_memory(in, (size_t)pages + 1, sizeof *ix->page_row);
	ix->page_t_min = get_memory(in, pages, sizeof *ix->page_t_min);
	ix->page_t_max = get_memory(in, pages, sizeof *ix->page_t_max);
	for (uint32_t g = 0; g < ix->group_count && !in->c.bad; g++) {
		uint64_t n = cur_varint(&in->c);
		if (!n || n > pages - page)
			bad(in, "a row group's pages are out of bounds");
		page += n;
		ix->group_page[g + 1] = (uint32_t)page;
	}
	for (uint32_t p = 0; p < pages && !in->c.bad; p++) {
		uint64_t n = cur_varint(&in->c);
		if (!n || n > TILE_PAGE_ROWS_MAX)
			bad(in, "a page's rows are out of bounds");
		row += n;
		ix->page_row[p + 1] = row;
	}
	if (page != pages || row != info->rows)
		bad(in, "pages and rows do not add up");
	info->t_min = pages ? INT64_MAX : 0;
	info->t_max = pages ? INT64_MIN : 0;
	for (uint32_t p = 0; p < pages && !in->c.bad; p++) {
		get_times(in, &ix->page_t_min[p], &ix->page_t_max[p], &t);
		info->t_min = MIN(info->t_min, ix->page_t_min[p]);
		info->t_max = MAX(info->t_max, ix->page_t_max[p]);
	}
}

static void get_series(struct index_in *in, struct tile_index *ix)
{
	uint32_t n = ix->info.series_count;
	uint64_t row = 0;
	int64_t id = 0, t = 0;

	ix->series = get_memory(in, n, sizeof *ix->series);
	for (uint32_t i = 0; i < n && !in->c.bad; i++) {
		int64_t step = cur_zigzag(&in->c);
		if (step > (int64_t)UINT32_MAX - id || step < -id)
			bad(in, "a series id is out of bounds");
		else
			id += step;
		ix->series[i].series_id = (uint32_t)id;
	}
	for (uint32_t i = 0; i < n && !in->c.bad; i++) {
		uint64_t rows = cur_varint(&in->c);
		if (!rows || rows > UINT32_MAX || rows > ix->info.rows - row)
			bad(in, "a series' rows are out of bounds");
		ix->series[i].row0 = row;
		ix->series[i].rows = (uint32_t)rows;
		row += rows;
	}
	if (row != ix->info.rows)
		bad(in, "the rows of the series do not add up");
	for (uint32_t i = 0; i < n && !in->c.bad; i++) {
		struct tile_series *s = &ix->series[i];
		get_times(in, &s->t_min, &s->t_max, &t);
		if ((uint64_t)s->t_max - (uint64_t)s->t_min < s->rows - 1)
			bad(in, "a series has more rows than nanoseconds");
	}
}

static void get_page(struct index_in *in, bool compressed, uint64_t *off, struct tile_page_ref *p)
{
	uint64_t size = cur_varint(&in->c);

	p->head = cur_u8(&in->c);
	uint64_t raw = compressed ? cur_varint(&in->c) : size - p->head;
	p->crc = cur_u32(&in->c);
	p->off = *off;
	if (in->c.bad || size <= p->head || size > in->data_end - *off || size > INT32_MAX ||
	    raw > INT32_MAX || (!raw && !compressed)) {
		bad(in, "a page is out of bounds");
		return;
	}
	p->size = (uint32_t)size;
	p->raw = (uint32_t)raw;
	*off += size;
}

/* May a column of this role and type be encoded so? */
static bool encoding_fits(const struct tile_index *ix, const struct tile_column *c, unsigned enc,
			  bool dict)
{
	struct pq_column col = {.type = PQ_INT32};

	if (c->role != TILE_FIELD_NANOS && tile_index_describe(ix, c, NULL, &col) < 0)
		return false;
	if (dict != (enc == PQ_RLE_DICTIONARY))
		return false;
	switch (enc) {
	case PQ_PLAIN:
		return true;
	case PQ_RLE:
		return col.type == PQ_BOOLEAN;
	case PQ_DELTA_BINARY_PACKED:
		return col.type == PQ_INT64 || col.type == PQ_INT32;
	case PQ_DELTA_LENGTH_BYTE_ARRAY:
		return col.type == PQ_BYTE_ARRAY;
	case PQ_RLE_DICTIONARY:
		return col.type != PQ_BOOLEAN && col.type != PQ_INT32;
	case PQ_BYTE_STREAM_SPLIT:
	case PQ_ALP:
		return col.type == PQ_DOUBLE;
	}
	return false;
}

static void get_chunk(struct index_in *in, struct tile_index *ix, uint32_t c, uint32_t g,
		      uint64_t *expected)
{
	struct tile_chunk *ch = &ix->chunks[(size_t)c * ix->group_count + g];
	bool compressed = ix->info.codec == TILE_CODEC_ZSTD;
	uint64_t off = *expected + (uint64_t)cur_zigzag(&in->c);
	unsigned encoding = cur_u8(&in->c);
	uint64_t dict = cur_varint(&in->c);

	if (off < 4 || off >= in->data_end)
		bad(in, "a column chunk is out of bounds");
	if (dict > TILE_PAGE_ROWS_MAX * (uint64_t)(ix->group_page[g + 1] - ix->group_page[g]) * 2 ||
	    !encoding_fits(ix, &ix->columns[c], encoding, dict != 0))
		bad(in, "a column chunk's encoding is wrong");
	if (in->c.bad)
		return;
	ch->off = off;
	ch->encoding = (enum pq_encoding)encoding;
	ch->dict_count = (uint32_t)dict;
	if (dict)
		get_page(in, compressed, &off, &ch->dict);
	for (uint32_t p = ix->group_page[g]; p < ix->group_page[g + 1] && !in->c.bad; p++)
		get_page(in, compressed, &off, &ix->pages[(size_t)c * ix->info.page_count + p]);
	ch->len = off - ch->off;
	*expected = off;
}

static double get_f64(struct cur *c)
{
	uint64_t bits = cur_u64(c);
	double v;

	memcpy(&v, &bits, 8);
	return v;
}

static void get_stats(struct index_in *in, enum coltype type, uint32_t rows,
		      struct tile_page_stats *s)
{
	struct cur *c = &in->c;
	uint64_t nulls = cur_varint(c);

	if (nulls > rows) {
		bad(in, "a page's statistics are wrong");
		return;
	}
	s->rows = rows;
	s->nulls = (uint32_t)nulls;
	uint32_t n = rows - s->nulls;
	if (!n || type == COL_VARCHAR)
		return;
	if (type == COL_DOUBLE) {
		s->has_minmax = cur_u8(c) != 0;
		if (s->has_minmax) {
			s->min.f64 = get_f64(c);
			s->max.f64 = get_f64(c);
		}
		s->first.f64 = get_f64(c);
		s->last.f64 = get_f64(c);
		s->sum_f = get_f64(c);
		if (s->has_minmax && !(s->min.f64 <= s->max.f64))
			bad(in, "a page's statistics are wrong");
		return;
	}
	int64_t min = cur_zigzag(c);
	uint64_t max = cur_varint(c), first = cur_varint(c), last = cur_varint(c);
	uint64_t lo = cur_varint(c), hi = cur_varint(c);
	u128 sum = (u128)hi << 64 | lo;
	if (max > (uint64_t)INT64_MAX - (uint64_t)min || first > max || last > max ||
	    sum > (u128)max * n) {
		bad(in, "a page's statistics are wrong");
		return;
	}
	s->has_minmax = true;
	s->min.i64 = min;
	s->max.i64 = (int64_t)((uint64_t)min + max);
	s->first.i64 = (int64_t)((uint64_t)min + first);
	s->last.i64 = (int64_t)((uint64_t)min + last);
	s->sum_i = (i128)sum + (i128)min * n;
}

static void get_head(struct index_in *in, struct tile_index *ix)
{
	struct tile_info *info = &ix->info;
	const void *uuid;

	if (cur_varint(&in->c) != LAYOUT_VERSION)
		bad(in, "its layout version is unknown");
	uuid = cur_bytes(&in->c, 16);
	if (uuid)
		memcpy(info->table_uuid, uuid, 16);
	info->seq_lo = cur_varint(&in->c);
	info->seq_hi = cur_varint(&in->c);
	info->generation = cur_varint(&in->c);
	unsigned codec = cur_u8(&in->c);
	if (codec > 1)
		bad(in, "its codec is unknown");
	info->codec = codec ? TILE_CODEC_ZSTD : TILE_CODEC_NONE;
	info->rows = cur_varint(&in->c);
	info->page_count = get_count(in, UINT32_MAX - 1, "the number of pages is out of bounds");
	ix->group_count = get_count(in, info->page_count, "the number of groups is out of bounds");
	info->series_count = get_count(in, UINT32_MAX - 1, "the number of series is out of bounds");
	if (info->seq_lo > info->seq_hi)
		bad(in, "its sequence range is upside down");
}

static void get_all(struct index_in *in, struct tile_index *ix)
{
	struct tile_info *info = &ix->info;
	uint64_t expected = 4;

	get_head(in, ix);
	get_names(in, ix);
	if (!in->c.bad)
		get_extras(in, ix);
	if (!in->c.bad)
		get_pages(in, ix);
	if (!in->c.bad)
		get_series(in, ix);
	if (in->c.bad)
		return;
	in->rc = tile_index_columns(ix, in->a);
	if (in->rc < 0)
		return;
	/* A page takes 6 bytes at least: what follows must be able to hold them all. */
	if ((u128)ix->column_count * info->page_count > cur_left(&in->c) / 6) {
		bad(in, "it is too short for its pages");
		return;
	}
	ix->chunks = get_memory(in, (size_t)ix->column_count * ix->group_count, sizeof *ix->chunks);
	ix->pages = get_memory(in, (size_t)ix->column_count * info->page_count, sizeof *ix->pages);
	ix->stats = get_memory(in, (size_t)info->field_count * info->page_count, sizeof *ix->stats);
	for (uint32_t g = 0; g < ix->group_count; g++)
		for (uint32_t c = 0; c < ix->column_count && !in->c.bad; c++)
			get_chunk(in, ix, c, g, &expected);
	for (uint32_t f = 0; f < info->field_count; f++)
		for (uint32_t p = 0; p < info->page_count && !in->c.bad; p++)
			get_stats(in, info->fields[f].type,
				  (uint32_t)(ix->page_row[p + 1] - ix->page_row[p]),
				  &ix->stats[(size_t)f * info->page_count + p]);
	ix->public_off = cur_varint(&in->c);
	ix->public_len = cur_varint(&in->c);
	ix->public_crc = cur_u32(&in->c);
	if (cur_left(&in->c))
		bad(in, "it is longer than its content");
	if (ix->public_off < 4 || ix->public_off > in->data_end ||
	    ix->public_len != in->data_end - ix->public_off)
		bad(in, "the page index is out of bounds");
}

int tile_index_decode(struct str raw, uint64_t data_end, struct arena *a, struct tile_index *ret,
		      struct err *e)
{
	struct index_in in = {.c = cur_over(raw.ptr, raw.len), .a = a, .data_end = data_end};
	struct tile_index ix = {.group_count = 0};

	get_all(&in, &ix);
	if (in.rc < 0)
		return err_set(e, in.rc, "no memory for its index");
	if (in.c.bad)
		return err_set(e, -EBADMSG, "the index is damaged at its byte %td: %s",
			       (const char *)in.c.p - raw.ptr, in.what ? in.what : "it ends too soon");
	*ret = ix;
	return 0;
}

/* ---- the line in the footer ------------------------------------------------------------------ */

size_t tile_line_format(char to[TILE_LINE_MAX], const struct tile_line *l, size_t *ret_crc_at)
{
	char uuid[33];
	int n;

	for (int i = 0; i < 16; i++)
		snprintf(uuid + 2 * i, 3, "%02x", l->table_uuid[i]);
	n = snprintf(to, TILE_LINE_MAX,
		     "%d index %" PRIu64 " %" PRIu64 " %" PRIu64 " %08" PRIx32 " footer ",
		     TILE_FORMAT_VERSION, l->index_off, l->index_len, l->index_raw, l->index_crc);
	*ret_crc_at = (size_t)n;
	n += snprintf(to + n, TILE_LINE_MAX - (size_t)n,
		      "%08" PRIx32 " table %s seq %" PRIu64 " %" PRIu64 " generation %" PRIu64,
		      l->footer_crc, uuid, l->seq_lo, l->seq_hi, l->generation);
	return (size_t)n;
}

/* The next word of a line; empty when there is none. */
static struct str next_word(struct str *s)
{
	const char *blank = s->len ? memchr(s->ptr, ' ', s->len) : NULL;
	struct str w = {s->ptr, blank ? (size_t)(blank - s->ptr) : s->len};
	size_t step = w.len + (blank != NULL);

	s->ptr += step;
	s->len -= step;
	return w;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(struct str w, uint8_t *to, size_t bytes)
{
	if (w.len != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		int hi = hex_digit(w.ptr[2 * i]), lo = hex_digit(w.ptr[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool parse_crc(struct str w, uint32_t *ret)
{
	uint8_t b[4];

	if (!parse_hex(w, b, 4))
		return false;
	*ret = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	return true;
}

int tile_line_parse(struct str s, struct tile_line *ret, size_t *ret_crc_at)
{
	struct tile_line l;
	const struct str whole = s;
	char again[TILE_LINE_MAX];
	size_t n, at;
	uint64_t version;

	if (u64_parse(next_word(&s), &version) < 0)
		return -EBADMSG;
	if (version != TILE_FORMAT_VERSION)
		return -ENOTSUP;
	if (!str_is(next_word(&s), "index") || u64_parse(next_word(&s), &l.index_off) < 0 ||
	    u64_parse(next_word(&s), &l.index_len) < 0 ||
	    u64_parse(next_word(&s), &l.index_raw) < 0 ||
	    !parse_crc(next_word(&s), &l.index_crc) || !str_is(next_word(&s), "footer") ||
	    !parse_crc(next_word(&s), &l.footer_crc) || !str_is(next_word(&s), "table") ||
	    !parse_hex(next_word(&s), l.table_uuid, 16) || !str_is(next_word(&s), "seq") ||
	    u64_parse(next_word(&s), &l.seq_lo) < 0 || u64_parse(next_word(&s), &l.seq_hi) < 0 ||
	    !str_is(next_word(&s), "generation") || u64_parse(next_word(&s), &l.generation) < 0)
		return -EBADMSG;
	/* Written again it must be the same, which rules out every other spelling. */
	n = tile_line_format(again, &l, &at);
	if (!str_eq((struct str){again, n}, whole))
		return -EBADMSG;
	*ret = l;
	*ret_crc_at = at;
	return 0;
}

uint32_t tile_footer_crc(const void *footer, size_t n, size_t at)
{
	uint32_t crc = crc32c(0, footer, at);

	crc = crc32c(crc, "00000000", 8);
	return crc32c(crc, (const char *)footer + at + 8, n - at - 8);
}
