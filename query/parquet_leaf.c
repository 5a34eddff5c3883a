/*
 * parquet_leaf: one column's values to pages.
 *
 *	page    repetition levels, definition levels (where the column has them), values
 *	chunk   dictionary page, pages
 *
 * Texts are dictionary codes until a row group has more than DICT_ENTRIES or DICT_BYTES of distinct ones;
 * bigints are deltas; the rest is PLAIN, which every reader knows for INT96 and has fast.
 */
#include "query/parquet_impl.h"

#include <stdlib.h>
#include <zstd.h>

#include "query/gzip.h"

#define DICT_ENTRIES 8192
#define DICT_BYTES   ((size_t)256 << 10)
#define PAGE_MAX     ((size_t)1 << 30) /* sizes in page headers have 31 bits */
#define ZSTD_LEVEL   1

struct page_coder {
	enum pq_codec codec;
	struct gzip *gzip;
	ZSTD_CCtx *zstd;
	struct buf raw, packed;
};

int page_coder_create(enum pq_codec codec, struct budget *b, struct page_coder **ret, struct err *e)
{
	struct page_coder *c = calloc(1, sizeof *c);
	int rc = 0;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->codec = codec;
	buf_init(&c->raw, PAGE_MAX);
	buf_init(&c->packed, PAGE_MAX);
	if (codec == PQ_GZIP)
		rc = gzip_create(b, &c->gzip, e);
	if (codec == PQ_ZSTD && !(c->zstd = ZSTD_createCCtx()))
		rc = err_set(e, -ENOMEM, "out of memory");
	if (rc < 0) {
		page_coder_destroy(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void page_coder_destroy(struct page_coder *c)
{
	if (!c)
		return;
	gzip_destroy(c->gzip);
	ZSTD_freeCCtx(c->zstd);
	buf_release(&c->raw);
	buf_release(&c->packed);
	free(c);
}

struct buf *page_coder_raw(struct page_coder *c)
{
	buf_clear(&c->raw);
	return &c->raw;
}

enum pq_codec page_coder_codec(const struct page_coder *c)
{
	return c->codec;
}

static int too_large(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for a page of Parquet");
}

int page_coder_pack(struct page_coder *c, struct str raw, struct str *ret, struct err *e)
{
	size_t n;
	char *to;

	buf_clear(&c->packed);
	switch (c->codec) {
	case PQ_UNCOMPRESSED:
		*ret = raw;
		return 0;
	case PQ_GZIP:
		gzip_add(c->gzip, raw, &c->packed);
		gzip_finish(c->gzip, &c->packed);
		break;
	case PQ_ZSTD:
		n = ZSTD_compressBound(raw.len);
		to = buf_reserve(&c->packed, n);
		if (!to)
			break;
		n = ZSTD_compressCCtx(c->zstd, to, n, raw.ptr, raw.len, ZSTD_LEVEL);
		if (ZSTD_isError(n))
			return too_large(e);
		c->packed.len += n;
		break;
	}
	*ret = buf_str(&c->packed);
	return c->packed.rc ? too_large(e) : 0;
}

/* ---- life ------------------------------------------------------------------------------------- */

static enum pq_type type_of(const struct type *t, bool has_nanos)
{
	switch (t->kind) {
	case TY_BOOLEAN:
		return PQ_BOOLEAN;
	case TY_INTEGER:
	case TY_DATE:
		return PQ_INT32;
	case TY_BIGINT:
		return PQ_INT64;
	case TY_DOUBLE:
		return PQ_DOUBLE;
	case TY_TIMESTAMP:
		return has_nanos ? PQ_INT64 : PQ_INT96;
	default:
		return PQ_BYTE_ARRAY;
	}
}

void leaf_init(struct leaf *l, const struct type *t, bool has_nanos, struct budget *b)
{
	*l = (struct leaf){.type = t, .pq = type_of(t, has_nanos), .cell = cell_of(t)};
	buf_init(&l->defs, PAGE_MAX);
	buf_init(&l->reps, PAGE_MAX);
	buf_init(&l->values, PAGE_MAX);
	buf_init(&l->pages, (size_t)1 << 40);
	tile_dict_init(&l->dict, true);
	arena_init(&l->dict_texts, b);
	leaf_begin_chunk(l);
}

void leaf_release(struct leaf *l)
{
	buf_release(&l->defs);
	buf_release(&l->reps);
	buf_release(&l->values);
	buf_release(&l->pages);
	tile_dict_release(&l->dict);
	arena_release(&l->dict_texts);
}

/* Its texts are counted already. */
size_t leaf_held(const struct leaf *l)
{
	return l->defs.cap + l->reps.cap + l->values.cap + l->pages.cap + l->dict.cap * sizeof(struct str) +
	       l->dict.slot_count * sizeof(uint32_t);
}

void leaf_begin_chunk(struct leaf *l)
{
	leaf_release(l);
	l->n = l->value_n = 0;
	l->has_dict = l->pq == PQ_BYTE_ARRAY;
	l->last = (struct str){NULL, 0};
	l->entries = l->raw_bytes = l->nulls = 0;
	l->encodings = 1u << PQ_RLE;
}

/* ---- pages ------------------------------------------------------------------------------------ */

static unsigned level_width(uint8_t max)
{
	return pq_width_of((uint32_t)max + 1);
}

static int add_page(struct page_coder *c, struct str raw, struct pq_page_header h, struct buf *out,
		    uint64_t *raw_bytes, struct err *e)
{
	struct str stored = {NULL, 0};
	size_t from = out->len;
	int rc = page_coder_pack(c, raw, &stored, e);

	if (rc < 0)
		return rc;
	h.raw_size = (int32_t)raw.len;
	h.stored_size = (int32_t)stored.len;
	h.has_crc = true;
	h.crc = crc32_gzip(0, stored.ptr, stored.len);
	pq_page_header_encode(out, &h);
	*raw_bytes += out->len - from + raw.len;
	buf_add_str(out, stored);
	return out->rc ? too_large(e) : 0;
}

static enum pq_encoding put_values(struct leaf *l, struct buf *out)
{
	const void *v = l->values.data;
	struct pq_hybrid h;
	unsigned width;

	switch (l->pq) {
	case PQ_BOOLEAN:
		pq_plain_encode_bools(out, v, l->value_n);
		return PQ_PLAIN;
	case PQ_INT64:
		pq_delta_encode(out, v, l->value_n, 1);
		return PQ_DELTA_BINARY_PACKED;
	case PQ_BYTE_ARRAY:
		if (!l->has_dict)
			break;
		width = pq_width_of(l->dict.n);
		buf_put_u8(out, (uint8_t)width);
		pq_hybrid_init(&h, out, width);
		pq_hybrid_values(&h, v, l->value_n);
		pq_hybrid_finish(&h);
		return PQ_RLE_DICTIONARY;
	default:
		break;
	}
	buf_add(out, l->values.data, l->values.len);
	return PQ_PLAIN;
}

int leaf_end_page(struct leaf *l, struct page_coder *c, struct err *e)
{
	struct buf *raw = page_coder_raw(c);
	struct pq_page_header h = {
		.type = PQ_DATA_PAGE, .num_values = (int32_t)l->n, .def_encoding = PQ_RLE, .rep_encoding = PQ_RLE};

	if (!l->n)
		return 0;
	if (l->defs.rc || l->reps.rc || l->values.rc)
		return too_large(e);
	if (l->rep_max)
		pq_levels_encode_wide(raw, (const uint8_t *)l->reps.data, l->n, level_width(l->rep_max));
	pq_levels_encode_wide(raw, (const uint8_t *)l->defs.data, l->n, level_width(l->def_max));
	h.encoding = put_values(l, raw);
	if (raw->rc)
		return too_large(e);
	l->encodings |= 1u << h.encoding;
	int rc = add_page(c, buf_str(raw), h, &l->pages, &l->raw_bytes, e);
	l->entries += l->n;
	l->nulls += l->n - l->value_n;
	l->n = l->value_n = 0;
	buf_clear(&l->defs);
	buf_clear(&l->reps);
	buf_clear(&l->values);
	return rc;
}

int leaf_end_chunk(struct leaf *l, struct page_coder *c, struct buf *ret_dict, struct err *e)
{
	int rc = leaf_end_page(l, c, e);
	struct buf *raw = page_coder_raw(c);
	struct pq_page_header h = {
		.type = PQ_DICTIONARY_PAGE, .num_values = (int32_t)l->dict.n, .encoding = PQ_PLAIN};

	buf_clear(ret_dict);
	if (rc < 0 || !l->dict.n)
		return rc;
	pq_plain_encode_strings(raw, l->dict.strings, l->dict.n);
	if (raw->rc)
		return too_large(e);
	l->encodings |= 1u << PQ_PLAIN;
	return add_page(c, buf_str(raw), h, ret_dict, &l->raw_bytes, e);
}

/* ---- texts ------------------------------------------------------------------------------------ */

/* Too many: the codes of the page at hand become texts. Pages before it keep theirs. */
static int leave_dict(struct leaf *l, struct err *e)
{
	const uint32_t *codes = (const uint32_t *)(const void *)l->values.data;
	struct buf plain;

	buf_init(&plain, PAGE_MAX);
	for (uint32_t i = 0; i < l->value_n; i++) {
		struct str s = l->dict.strings[codes[i]];
		pq_plain_encode_strings(&plain, &s, 1);
	}
	buf_release(&l->values);
	l->values = plain;
	l->has_dict = false;
	return plain.rc ? too_large(e) : 0;
}

int leaf_add_text(struct leaf *l, struct str s, struct err *e)
{
	l->value_n++;
	if (!l->has_dict) {
		pq_plain_encode_strings(&l->values, &s, 1);
		return 0;
	}
	if (!(l->last.ptr && str_eq(l->last, s))) {
		uint32_t code = tile_dict_string(&l->dict, s, &l->dict_texts);
		if (code == TILE_DICT_NONE)
			return err_set(e, -ENOMEM, "out of memory");
		l->last = l->dict.strings[code];
		l->last_code = code;
	}
	buf_put_u32(&l->values, l->last_code);
	if (l->dict.n <= DICT_ENTRIES && l->dict.bytes <= DICT_BYTES)
		return 0;
	return leave_dict(l, e);
}
