/*
 * One column of one row group: choose an encoding, write the pages.
 *
 * A new encoding is a row in `encoders` (and one in the reader's table): the trial finds out by
 * itself where it is the smaller one. The trial encodes and compresses up to three pages of the chunk with each
 * encoder (eight where ALP takes part, as what is no decimal in pages that are not looked at costs it dearly), so it
 * costs about as much as those pages times the number of rows that fit. A dictionary is
 * first judged on the sample alone, and built over the whole chunk only where that looks best.
 */
#include "engine/tile_write.h"

#include <stdlib.h>

#define SAMPLE_PAGES 3
#define SAMPLE_ALP   8 /* where ALP takes part */
#define ALP_WORTH    16 /* it must save a sixteenth, as others cannot read the file then */
#define DICT_MAX     65536

/* Values of one page as an encoder sees them. */
struct values {
	enum pq_type type;
	uint32_t n;       /* valid ones */
	uint32_t rows;
	const uint8_t *valid; /* NULL: all */
	union {
		const void *data;
		const int64_t *i64; /* INT64, INT32 */
		const uint8_t *b8;
		const struct str *str;
	};
	const uint32_t *codes; /* instead of data, for RLE_DICTIONARY */
	unsigned width;        /* bits of a code */
};

static void put_delta(struct buf *out, const struct values *v, unsigned step)
{
	pq_delta_encode(out, v->i64, v->n, step);
}

static void put_delta_length(struct buf *out, const struct values *v, unsigned unused)
{
	pq_delta_length_encode(out, v->str, v->n);
}

static void put_plain(struct buf *out, const struct values *v, unsigned unused)
{
	if (v->type == PQ_BYTE_ARRAY)
		pq_plain_encode_strings(out, v->str, v->n);
	else if (v->type == PQ_BOOLEAN)
		pq_plain_encode_bools(out, v->b8, v->n);
	else
		buf_add(out, v->data, (size_t)v->n * 8);
}

static void put_split(struct buf *out, const struct values *v, unsigned unused)
{
	pq_split_encode(out, v->data, v->n);
}

static void put_alp(struct buf *out, const struct values *v, unsigned unused)
{
	pq_alp_encode(out, v->data, v->n);
}

static void put_levels(struct buf *out, const struct values *v, unsigned unused)
{
	pq_levels_encode(out, v->b8, v->n);
}

static void put_codes(struct buf *out, const struct values *v, unsigned unused)
{
	struct pq_hybrid h;

	buf_put_u8(out, (uint8_t)v->width);
	pq_hybrid_init(&h, out, v->width);
	pq_hybrid_values(&h, v->codes, v->n);
	pq_hybrid_finish(&h);
}

#define T(type) (1u << PQ_##type)

/* In order of preference where the trial finds no difference. */
static const struct encoder {
	enum pq_encoding encoding;
	unsigned types;
	bool in_runs; /* what a run's chunk of these types takes, unseen */
	unsigned arg;
	void (*put)(struct buf *out, const struct values *v, unsigned arg);
} encoders[] = {
	{PQ_DELTA_BINARY_PACKED, T(INT64) | T(INT32), true, 1, put_delta},
	{PQ_DELTA_BINARY_PACKED, T(INT64) | T(INT32), false, 4, put_delta},
	{PQ_PLAIN, T(DOUBLE) | T(BYTE_ARRAY) | T(BOOLEAN), true, 0, put_plain},
	{PQ_PLAIN, T(INT64), false, 0, put_plain},
	{PQ_BYTE_STREAM_SPLIT, T(DOUBLE), false, 0, put_split},
	{PQ_ALP, T(DOUBLE), false, 0, put_alp},
	{PQ_RLE, T(BOOLEAN), false, 0, put_levels},
	{PQ_DELTA_LENGTH_BYTE_ARRAY, T(BYTE_ARRAY), false, 0, put_delta_length},
	{PQ_RLE_DICTIONARY, T(INT64) | T(DOUBLE) | T(BYTE_ARRAY), false, 0, put_codes},
};

static const struct encoder *const dict_encoder = &encoders[ARRAY_LEN(encoders) - 1];
static const struct encoder no_values = {PQ_PLAIN, 0, true, 0, put_plain};

static const uint8_t all_null[TILE_PAGE_ROWS_MAX];

/* ---- values of a page ------------------------------------------------------------------------ */

/*
 * Split nanoseconds. INT64_MIN ns is -9223372036854776 us and 192 ns: the product overflows but the
 * parts are right.
 */
static uint32_t split_time(struct tile_writer *w, const int64_t *ns, uint32_t n)
{
	uint32_t any = 0;

	for (uint32_t i = 0; i < n; i++) {
		int64_t us = ns[i] / 1000, rest = ns[i] % 1000;
		us -= rest < 0;
		rest += rest < 0 ? 1000 : 0;
		w->micros[i] = us;
		w->nanos[i] = rest;
		any |= (uint32_t)rest;
	}
	return any;
}

#define COMPACT(T)                                                                                 \
	{                                                                                          \
		const T *from_ = from;                                                             \
		T *to_ = to;                                                                       \
		for (uint32_t i = 0; i < rows; i++) {                                              \
			to_[k] = from_[i];                                                         \
			k += valid[i];                                                             \
		}                                                                                  \
	}

/* Valid values side by side; a value is written before it is known whether it counts. */
static uint32_t compact(enum coltype type, void *to, const void *from, const uint8_t *valid,
			uint32_t rows)
{
	uint32_t k = 0;

	switch (type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
	case COL_DOUBLE:
		COMPACT(int64_t)
		break;
	case COL_BOOLEAN:
		COMPACT(uint8_t)
		break;
	case COL_VARCHAR:
		COMPACT(struct str)
		break;
	}
	return k;
}

/* Rows [from, from + rows) of a measure column; nanoseconds where it is a TIMESTAMP. */
static void field_values(struct tile_writer *w, uint32_t field, uint32_t from, uint32_t rows,
			 struct values *v)
{
	const struct wfield *f = &w->fields[field];
	enum coltype type = w->spec->fields[field].type;

	if (!f->used) {
		v->n = 0;
		v->data = w->values;
		v->valid = all_null;
		return;
	}
	const void *data = (const char *)f->data + from * coltype_size(type);
	v->valid = f->valid + from;
	if (!memchr(v->valid, 0, rows)) {
		v->valid = NULL;
		v->n = rows;
		v->data = data;
		return;
	}
	v->n = compact(type, w->values, data, v->valid, rows);
	v->data = w->values;
}

/* The nanoseconds of a TIMESTAMP column, one for each row, NULL or not. */
static void field_nanos(struct tile_writer *w, uint32_t field, uint32_t from, uint32_t rows)
{
	const struct wfield *f = &w->fields[field];

	if (!f->used) {
		memset(w->nanos, 0, rows * sizeof *w->nanos);
		return;
	}
	split_time(w, (const int64_t *)f->data + from, rows);
	for (uint32_t i = 0; i < rows; i++)
		w->nanos[i] &= -(int64_t)f->valid[from + i];
}

static void constant_values(struct tile_writer *w, int64_t k, uint32_t rows, struct values *v)
{
	for (uint32_t i = 0; i < rows; i++)
		w->micros[i] = k;
	v->i64 = w->micros;
}

/* What page rows [from, from + rows) of a column hold, dimensions aside. */
static void fetch(struct tile_writer *w, const struct wcolumn *c, bool late, uint32_t from,
		  uint32_t rows, struct values *v, struct tile_page_stats *stats)
{
	*v = (struct values){.type = c->type, .n = rows, .rows = rows};
	switch (c->id.role) {
	case TILE_TIME:
		w->columns[w->time_nanos].wanted |= split_time(w, w->time + from, rows) != 0;
		v->i64 = w->micros;
		break;
	case TILE_FIELD:
		field_values(w, c->id.i, from, rows, v);
		if (stats)
			tile_stats_compute(w->spec->fields[c->id.i].type, v->data, v->n, rows,
					   stats);
		if (w->spec->fields[c->id.i].type != COL_TIMESTAMP)
			break;
		w->columns[w->fields[c->id.i].nanos].wanted |= split_time(w, v->i64, v->n) != 0;
		v->i64 = w->micros;
		break;
	case TILE_TIME_NANOS:
		if (late) {
			constant_values(w, 0, rows, v);
			break;
		}
		split_time(w, w->time + from, rows);
		v->i64 = w->nanos;
		break;
	case TILE_FIELD_NANOS:
		if (late) {
			constant_values(w, 0, rows, v);
			break;
		}
		field_nanos(w, c->id.i, from, rows);
		v->i64 = w->nanos;
		break;
	case TILE_VERSION:
		if (late || !w->version)
			constant_values(w, tile_usual_version(w), rows, v);
		else
			v->i64 = w->version + from;
		break;
	case TILE_DIM:
	case TILE_MEASURE_NAME:
		break;
	}
}

/* ---- bounds for other readers ---------------------------------------------------------------- */

bool tile_bound_cut(struct str s, bool is_max, struct arena *a, struct str *ret, bool *ret_exact)
{
	size_t n = s.len;
	char *p;

	*ret_exact = n <= TILE_BOUND_LEN;
	if (!*ret_exact) {
		n = TILE_BOUND_LEN;
		while (n && ((unsigned char)s.ptr[n] & 0xC0) == 0x80)
			n--; /* not inside a character */
		if (is_max)
			while (n && (unsigned char)s.ptr[n - 1] >= 0x7F)
				n--; /* to a byte that can be raised and stays ASCII */
		if (is_max && !n)
			return false;
	}
	p = arena_alloc(a, n + 1);
	if (!p)
		return false;
	if (n)
		memcpy(p, s.ptr, n);
	if (!*ret_exact && is_max)
		p[n - 1]++;
	*ret = (struct str){p, n};
	return true;
}

static void string_bounds(struct tile_writer *w, struct str lo, struct str hi, struct wbounds *b)
{
	b->has = tile_bound_cut(lo, false, &w->keep, &b->slo, &b->lo_exact) &&
		 tile_bound_cut(hi, true, &w->keep, &b->shi, &b->hi_exact);
}

/* stats: of a measure column, or NULL. */
static void page_bounds(struct tile_writer *w, const struct values *v,
			const struct tile_page_stats *stats, struct wbounds *b)
{
	*b = (struct wbounds){.nulls = v->rows - v->n, .lo_exact = true, .hi_exact = true};
	if (!v->n)
		return;
	switch (v->type) {
	case PQ_INT32:
	case PQ_INT64:
		b->has = true;
		b->lo.i64 = b->hi.i64 = v->i64[0];
		for (uint32_t i = 1; i < v->n; i++) {
			b->lo.i64 = MIN(b->lo.i64, v->i64[i]);
			b->hi.i64 = MAX(b->hi.i64, v->i64[i]);
		}
		break;
	case PQ_BOOLEAN:
		b->has = true;
		b->lo.i64 = stats->min.i64;
		b->hi.i64 = stats->max.i64;
		break;
	case PQ_DOUBLE:
		b->has = stats->has_minmax;
		b->lo.f64 = stats->min.f64 == 0 ? -0.0 : stats->min.f64;
		b->hi.f64 = stats->max.f64 == 0 ? 0.0 : stats->max.f64;
		break;
	case PQ_BYTE_ARRAY: {
		struct str lo = v->str[0], hi = v->str[0];
		for (uint32_t i = 1; i < v->n; i++) {
			if (str_cmp(v->str[i], lo) < 0)
				lo = v->str[i];
			if (str_cmp(v->str[i], hi) > 0)
				hi = v->str[i];
		}
		string_bounds(w, lo, hi, b);
		break;
	}
	case PQ_INT96: /* no tile has it */
		break;
	}
}

/* ---- pages ----------------------------------------------------------------------------------- */

static size_t compress(struct tile_writer *w, struct buf *to, const struct buf *from)
{
	size_t room = ZSTD_compressBound(from->len);
	char *p = buf_reserve(to, room);
	size_t n = p ? ZSTD_compressCCtx(w->zstd, p, room, from->data, from->len, 1) : 0;

	if (!p || ZSTD_isError(n)) {
		to->rc = -ENOMEM;
		return 0;
	}
	return n;
}

/* w->raw becomes a page at the end of the file. */
static int put_page(struct tile_writer *w, enum pq_page_type type, enum pq_encoding encoding,
		    uint32_t num_values, struct tile_page_ref *ret, struct err *e)
{
	const struct buf *content = &w->raw;

	if (w->raw.rc)
		return tile_writer_nomem(w, e);
	if (w->spec->codec == TILE_CODEC_ZSTD) {
		buf_clear(&w->packed);
		w->packed.len = compress(w, &w->packed, &w->raw);
		content = &w->packed;
	}
	if (content->rc)
		return tile_writer_nomem(w, e);
	if (w->raw.len > INT32_MAX / 2 || content->len > INT32_MAX / 2)
		return err_set(e, -EFBIG, "%s: the values of a page take %zu bytes, more than fit",
			       w->path, w->raw.len);
	struct pq_page_header h = {
		.type = type,
		.raw_size = (int32_t)w->raw.len,
		.stored_size = (int32_t)content->len,
		.has_crc = true,
		.crc = crc32_gzip(0, content->data, content->len),
		.num_values = (int32_t)num_values,
		.encoding = encoding,
		.def_encoding = PQ_RLE,
		.rep_encoding = PQ_RLE,
	};
	size_t at = w->out.len;
	ret->off = tile_writer_pos(w);
	pq_page_header_encode(&w->out, &h);
	ret->head = (uint8_t)(w->out.len - at);
	buf_add(&w->out, content->data, content->len);
	if (w->out.rc)
		return tile_writer_nomem(w, e);
	ret->size = (uint32_t)(w->out.len - at);
	ret->raw = (uint32_t)w->raw.len;
	ret->crc = crc32c(0, w->out.data + at, w->out.len - at);
	return tile_writer_flush(w, false, e);
}

static int put_dict(struct tile_writer *w, const struct tile_dict *d, struct tile_chunk *ch,
		    struct err *e)
{
	buf_clear(&w->raw);
	if (d->of_strings)
		pq_plain_encode_strings(&w->raw, d->strings, d->n);
	else
		buf_add(&w->raw, d->bits, (size_t)d->n * 8);
	ch->dict_count = d->n;
	return put_page(w, PQ_DICTIONARY_PAGE, PQ_PLAIN, d->n, &ch->dict, e);
}

static void encode(struct buf *out, const struct wcolumn *c, const struct encoder *enc,
		   const struct values *v)
{
	buf_clear(out);
	if (c->optional)
		pq_levels_encode(out, v->valid, v->rows);
	/* Also where no value is: the head of an encoding is something that readers expect. */
	enc->put(out, v, enc->arg);
}

/* ---- dimensions ------------------------------------------------------------------------------ */

/* Codes and levels of rows [from, from + rows) straight from the segments. */
static void encode_dim(struct tile_writer *w, uint32_t dim, uint32_t *segment, uint32_t from,
		       uint32_t rows, struct wbounds *b)
{
	const struct tile_dict *d = &w->dicts[dim];
	uint32_t per = w->spec->dim_count + 1, to = from + rows, nulls = 0;
	uint32_t lo = TILE_DICT_NONE, hi = TILE_DICT_NONE, last = TILE_DICT_NONE;
	bool optional = dim < w->spec->dim_count;
	struct pq_hybrid levels = {.n = 0}, codes;
	size_t at = 0;

	buf_clear(&w->raw);
	buf_clear(&w->best);
	if (optional) {
		at = w->raw.len;
		buf_put_u32(&w->raw, 0);
		pq_hybrid_init(&levels, &w->raw, 1);
	}
	pq_hybrid_init(&codes, &w->best, pq_width_of(d->n));
	buf_put_u8(&w->best, (uint8_t)codes.width);
	for (uint32_t s = *segment, row = from; row < to; s++) {
		uint32_t end = s + 1 < w->segment_count ? MIN(w->segments[s + 1].row, to) : to;
		uint32_t code = w->codes[(size_t)s * per + dim];
		*segment = s;
		if (code == TILE_DICT_NONE) {
			pq_hybrid_run(&levels, 0, end - row);
			nulls += end - row;
		} else if (end > row) {
			if (optional)
				pq_hybrid_run(&levels, 1, end - row);
			pq_hybrid_run(&codes, code, end - row);
			if (code != last) {
				if (lo == TILE_DICT_NONE ||
				    str_cmp(d->strings[code], d->strings[lo]) < 0)
					lo = code;
				if (hi == TILE_DICT_NONE ||
				    str_cmp(d->strings[code], d->strings[hi]) > 0)
					hi = code;
				last = code;
			}
		}
		row = end;
	}
	if (optional) {
		pq_hybrid_finish(&levels);
		uint32_t len = (uint32_t)(w->raw.len - at - 4);
		if (!w->raw.rc)
			memcpy(w->raw.data + at, &len, 4);
	}
	pq_hybrid_finish(&codes);
	if (d->n)
		buf_add(&w->raw, w->best.data, w->best.len);
	if (w->best.rc)
		w->raw.rc = w->best.rc;
	*b = (struct wbounds){.nulls = nulls};
	if (lo != TILE_DICT_NONE)
		string_bounds(w, d->strings[lo], d->strings[hi], b);
}

static int write_dim(struct tile_writer *w, struct wcolumn *c, uint32_t group, struct err *e)
{
	uint32_t dim = c->id.role == TILE_DIM ? c->id.i : w->spec->dim_count;
	struct tile_chunk *ch = &c->chunks[group];
	uint32_t from = 0, segment = 0;
	int rc = 0;

	/* A dimension that no series of the group has: PLAIN pages of NULLs. */
	ch->encoding = w->dicts[dim].n ? PQ_RLE_DICTIONARY : PQ_PLAIN;
	if (w->dicts[dim].n)
		rc = put_dict(w, &w->dicts[dim], ch, e);
	for (uint32_t p = w->group_page[group]; p < w->group_page[group + 1] && rc >= 0; p++) {
		uint32_t rows = (uint32_t)(w->page_row[p + 1] - w->page_row[p]);
		encode_dim(w, dim, &segment, from, rows, &c->bounds[p]);
		rc = put_page(w, PQ_DATA_PAGE, ch->encoding, rows, &c->pages[p], e);
		from += rows;
	}
	return rc;
}

/* ---- the trial ------------------------------------------------------------------------------- */

struct trial {
	struct tile_writer *w;
	struct wcolumn *c;
	uint32_t page0, page1;
	uint32_t sample[SAMPLE_ALP];
	uint32_t sample_count;
};

static struct values page_values(const struct trial *t, uint32_t page)
{
	struct tile_writer *w = t->w;
	struct values v;

	fetch(w, t->c, false, (uint32_t)(w->page_row[page] - w->page_row[t->page0]),
	      (uint32_t)(w->page_row[page + 1] - w->page_row[page]), &v, NULL);
	return v;
}

static bool add_codes(struct tile_writer *w, const struct values *v, uint32_t *codes)
{
	for (uint32_t i = 0; i < v->n; i++) {
		codes[i] = v->type == PQ_BYTE_ARRAY
				   ? tile_dict_string(&w->field_dict, v->str[i], NULL)
				   : tile_dict_bits(&w->field_dict, (uint64_t)v->i64[i]);
		if (codes[i] == TILE_DICT_NONE)
			return false;
	}
	return true;
}

static int by_bits(const void *a, const void *b, void *bits)
{
	uint64_t x = ((const uint64_t *)bits)[*(const uint32_t *)a], y = ((const uint64_t *)bits)[*(const uint32_t *)b];

	return (x > y) - (x < y);
}

/*
 * Numbers in the dictionary, ascending: zstd makes a third of them then. n codes are changed to match. The dictionary
 * takes no more values afterwards, until it is cleared.
 */
static bool sort_numbers(struct tile_dict *d, uint32_t *codes, uint32_t n)
{
	uint32_t *order = malloc((size_t)d->n * 2 * sizeof *order + 1), *rank = order ? order + d->n : NULL;
	uint64_t *sorted = malloc((size_t)d->n * sizeof *sorted + 1);

	for (uint32_t i = 0; order && i < d->n; i++)
		order[i] = i;
	if (order && sorted) {
		qsort_r(order, d->n, sizeof *order, by_bits, d->bits);
		for (uint32_t i = 0; i < d->n; i++) {
			rank[order[i]] = i;
			sorted[i] = d->bits[order[i]];
		}
		memcpy(d->bits, sorted, d->n * sizeof *sorted);
		for (uint32_t i = 0; i < n; i++)
			codes[i] = rank[codes[i]];
	}
	bool is_done = order && sorted;
	free(order);
	free(sorted);
	return is_done;
}

/* Codes for all values of the chunk; false: too many different ones, or no memory. */
static bool build_dict(const struct trial *t)
{
	struct tile_writer *w = t->w;
	uint32_t n = 0;

	tile_dict_clear(&w->field_dict);
	w->field_dict.of_strings = t->c->type == PQ_BYTE_ARRAY;
	for (uint32_t p = t->page0; p < t->page1; p++) {
		struct values v = page_values(t, p);
		if (!add_codes(w, &v, w->field_codes + n) || w->field_dict.n > DICT_MAX)
			return false;
		n += v.n;
	}
	return w->field_dict.n > 0 && (w->field_dict.of_strings || sort_numbers(&w->field_dict, w->field_codes, n));
}

/* What the sample would cost with a dictionary: the codes, and its share of the entries. */
static size_t dict_cost(const struct trial *t)
{
	struct tile_writer *w = t->w;
	uint32_t n = 0, total = (uint32_t)(w->page_row[t->page1] - w->page_row[t->page0]), news[2] = {0, 0};
	uint64_t rest = t->page1 - t->page0 - t->sample_count;
	size_t cost = 0;

	tile_dict_clear(&w->field_dict);
	w->field_dict.of_strings = t->c->type == PQ_BYTE_ARRAY;
	for (uint32_t i = 0; i < t->sample_count; i++) {
		struct values v = page_values(t, t->sample[i]);
		uint32_t before = w->field_dict.n;
		if (!add_codes(w, &v, w->field_codes + n))
			return SIZE_MAX;
		n += v.n;
		news[0] = news[1];
		news[1] = w->field_dict.n - before;
	}
	if (!w->field_dict.of_strings && !sort_numbers(&w->field_dict, w->field_codes, n))
		return SIZE_MAX;
	/* Mostly new values: more pages bring more of them, so there is nothing to share. */
	if (w->field_dict.n > n / 2)
		return SIZE_MAX;
	/* Other pages bring new values as the last one of the sample did, fewer and fewer, unless they did not become fewer. */
	uint64_t more = (uint64_t)news[1] * rest;
	uint64_t all = MIN(w->field_dict.n + (news[1] * 8 > news[0] * 7 ? more : more / 2), (uint64_t)DICT_MAX);
	struct values v = {.type = t->c->type, .codes = w->field_codes, .n = n};
	v.width = pq_width_of((uint32_t)all);
	buf_clear(&w->raw);
	put_codes(&w->raw, &v, 0);
	buf_clear(&w->packed);
	cost = compress(w, &w->packed, &w->raw);
	buf_clear(&w->raw);
	if (w->field_dict.of_strings)
		pq_plain_encode_strings(&w->raw, w->field_dict.strings, w->field_dict.n);
	else
		buf_add(&w->raw, w->field_dict.bits, (size_t)w->field_dict.n * 8);
	buf_clear(&w->packed);
	double entries = (double)compress(w, &w->packed, &w->raw) * (double)all / MAX(w->field_dict.n, 1u);
	return cost + (size_t)(entries * n / MAX(total, 1u));
}

static size_t cost_of(const struct trial *t, const struct encoder *enc)
{
	struct tile_writer *w = t->w;
	size_t cost = 0;

	if (enc == dict_encoder)
		return dict_cost(t);
	for (uint32_t i = 0; i < t->sample_count; i++) {
		struct values v = page_values(t, t->sample[i]);
		buf_clear(&w->raw);
		enc->put(&w->raw, &v, enc->arg);
		buf_clear(&w->packed);
		cost += v.n ? compress(w, &w->packed, &w->raw) : 0;
	}
	return w->raw.rc || w->packed.rc ? SIZE_MAX : cost;
}

static bool may_take(const struct tile_spec *spec, const struct wcolumn *c, const struct encoder *enc)
{
	if (enc->encoding == PQ_ALP && !spec->is_compact)
		return false;
	/* Times ascend and ts_ columns are nearly constant: nothing beats delta there. */
	return enc->types >> c->type & 1 &&
	       (c->id.role == TILE_FIELD || enc->encoding == PQ_DELTA_BINARY_PACKED);
}

static const struct encoder *choose(const struct trial *t)
{
	const struct encoder *best = NULL, *second = NULL;
	size_t best_cost = SIZE_MAX, second_cost = SIZE_MAX;

	for (size_t i = 0; i < ARRAY_LEN(encoders); i++) {
		const struct encoder *enc = &encoders[i];
		if (!may_take(t->w->spec, t->c, enc))
			continue;
		if (t->w->spec->codec == TILE_CODEC_NONE) {
			if (enc->in_runs)
				return enc;
			continue;
		}
		size_t cost = cost_of(t, enc);
		if (enc->encoding == PQ_ALP && cost < SIZE_MAX / 2)
			cost += cost / ALP_WORTH;
		if (!best || cost < best_cost) {
			second = best;
			second_cost = best_cost;
			best = enc;
			best_cost = cost;
		} else if (!second || cost < second_cost) {
			second = enc;
			second_cost = cost;
		}
	}
	if (best == dict_encoder && !build_dict(t))
		return second;
	return best;
}

/* First and last page and some between, as far as these are different ones. */
static void take_sample(struct trial *t)
{
	bool with_alp = t->w->spec->is_compact && t->c->type == PQ_DOUBLE;
	uint32_t n = t->page1 - t->page0, most = MIN(with_alp ? SAMPLE_ALP : SAMPLE_PAGES, MAX(n / SAMPLE_ALP, SAMPLE_PAGES));

	for (uint32_t i = 0; i < most; i++) {
		uint32_t page = t->page0 + (uint32_t)((uint64_t)(n - 1) * i / (most - 1));
		if (!t->sample_count || t->sample[t->sample_count - 1] != page)
			t->sample[t->sample_count++] = page;
	}
}

int tile_chunk_write(struct tile_writer *w, struct wcolumn *c, uint32_t group, bool late,
		     struct err *e)
{
	struct trial t = {.w = w, .c = c};
	struct tile_chunk *ch = &c->chunks[group];
	const struct encoder *enc;
	uint32_t codes = 0;
	int rc = 0;

	memset(ch, 0, sizeof *ch);
	ch->off = tile_writer_pos(w);
	if (c->id.role == TILE_DIM || c->id.role == TILE_MEASURE_NAME) {
		rc = write_dim(w, c, group, e);
		ch->len = tile_writer_pos(w) - ch->off;
		return rc;
	}
	t.page0 = w->group_page[group];
	t.page1 = w->group_page[group + 1];
	take_sample(&t);
	if (late)
		enc = &encoders[0];
	else if (c->id.role == TILE_FIELD && !w->fields[c->id.i].used)
		enc = &no_values;
	else
		enc = choose(&t);
	ch->encoding = enc->encoding;
	if (enc == dict_encoder)
		rc = put_dict(w, &w->field_dict, ch, e);
	for (uint32_t p = t.page0; p < t.page1 && rc >= 0; p++) {
		struct tile_page_stats *stats =
			c->id.role == TILE_FIELD ? &w->fields[c->id.i].stats[p] : NULL;
		uint32_t rows = (uint32_t)(w->page_row[p + 1] - w->page_row[p]);
		struct values v;
		fetch(w, c, late, (uint32_t)(w->page_row[p] - w->page_row[t.page0]), rows, &v,
		      stats);
		page_bounds(w, &v, stats, &c->bounds[p]);
		if (c->id.role == TILE_FIELD)
			w->value_count += v.n;
		v.codes = w->field_codes + codes;
		v.width = pq_width_of(w->field_dict.n);
		codes += v.n;
		encode(&w->raw, c, enc, &v);
		rc = put_page(w, PQ_DATA_PAGE, enc->encoding, rows, &c->pages[p], e);
	}
	ch->len = tile_writer_pos(w) - ch->off;
	return rc;
}
