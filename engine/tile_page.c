/*
 * From the bytes of a page to values.
 *
 * The header of a page is not parsed here: where its content begins, how long that is and how it is
 * encoded stands in the index, and the checksum in the index covers header and content. So what a
 * decoder gets is what the writer wrote, or a file made by hand with checksums to match, and that
 * gives -EBADMSG at worst.
 */
#include "engine/tile_read.h"

#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

/*
 * Bytes that a page of numbers cannot exceed, whatever its encoding: ALP may take 17.04 a value, all of them
 * exceptions beside whole numbers of 51 bits.
 */
#define NUMBERS_RAW_MAX (TILE_PAGE_ROWS_MAX * 18)

#define AHEAD_PAGES 64 /* pages of a column that the kernel is asked to have ready */
#define AHEAD_BYTES (UINT64_C(8) << 20)
#define SKIPPED_MAX 4  /* so many left out, and it is still one after the other */

/* ---- scratch --------------------------------------------------------------------------------- */

#define SCRATCH_KEPT     16
#define SCRATCH_KEPT_BUF ((size_t)1 << 20) /* a buffer that grew beyond is not kept */

static pthread_mutex_t pool_mu = PTHREAD_MUTEX_INITIALIZER;
static struct tile_scratch *pool; /* guarded by pool_mu */
static int pool_count;            /* guarded by pool_mu */

static void scratch_destroy(struct tile_scratch *s)
{
	ZSTD_freeDCtx(s->zstd);
	free(s->stored);
	free(s->raw);
	free(s);
}

struct tile_scratch *tile_scratch_get(void)
{
	struct tile_scratch *s;

	pthread_mutex_lock(&pool_mu);
	s = pool;
	if (s) {
		pool = s->next;
		pool_count--;
	}
	pthread_mutex_unlock(&pool_mu);
	if (s)
		return s;
	s = malloc(sizeof *s);
	if (!s)
		return NULL;
	s->stored = s->raw = NULL;
	s->stored_cap = s->raw_cap = 0;
	s->zstd = ZSTD_createDCtx();
	if (!s->zstd) {
		free(s);
		return NULL;
	}
	return s;
}

void tile_scratch_put(struct tile_scratch *s)
{
	bool keep = s->stored_cap + s->raw_cap <= SCRATCH_KEPT_BUF;

	pthread_mutex_lock(&pool_mu);
	keep &= pool_count < SCRATCH_KEPT;
	if (keep) {
		s->next = pool;
		pool = s;
		pool_count++;
	}
	pthread_mutex_unlock(&pool_mu);
	if (!keep)
		scratch_destroy(s);
}

/* At least n bytes and the slack. */
static uint8_t *room(uint8_t **p, size_t *cap, size_t n)
{
	n += PQ_SLACK;
	if (n > *cap) {
		size_t want = MAX(n, (size_t)1 << 16);
		uint8_t *q = malloc(want);
		if (!q)
			return NULL;
		free(*p);
		*p = q;
		*cap = want;
	}
	return *p;
}

/* ---- loading --------------------------------------------------------------------------------- */

static int damaged(const struct tile *t, const struct tile_page_ref *p, struct err *e,
		   const char *what)
{
	return err_set(e, -EBADMSG, "%s: the page at offset %llu (%u bytes) is damaged: %s", t->path,
		       (unsigned long long)p->off, p->size, what);
}

static int no_memory(const struct tile *t, struct err *e)
{
	return err_set(e, -ENOMEM, "no memory to read a page of %s", t->path);
}

int tile_page_load(struct tile *t, const struct tile_page_ref *p, struct tile_scratch *s,
		   struct err *e)
{
	if (!room(&s->stored, &s->stored_cap, p->size))
		return no_memory(t, e);
	int rc = io_pread_exact(t->io, t->fd, s->stored, p->size, (int64_t)p->off);
	if (rc == -EBADMSG)
		return damaged(t, p, e, "the file ends before it");
	if (rc < 0)
		return err_set(e, rc, "cannot read %s at offset %llu: %s", t->path,
			       (unsigned long long)p->off, strerror(-rc));
	if (crc32c(0, s->stored, p->size) != p->crc)
		return damaged(t, p, e, "its checksum is wrong");
	return 0;
}

/*
 * The content of a page, decompressed. It lies in the scratch, or in memory from the arena where one
 * is given (strings point into it).
 */
static int load_content(struct tile *t, const struct tile_page_ref *p, struct tile_scratch *s,
			struct arena *a, struct str *ret, struct err *e)
{
	int rc = tile_page_load(t, p, s, e);
	if (rc < 0)
		return rc;
	const uint8_t *content = s->stored + p->head;
	size_t stored = p->size - p->head;
	bool packed = t->ix.info.codec == TILE_CODEC_ZSTD;

	if (packed && ZSTD_getFrameContentSize(content, stored) != p->raw)
		return damaged(t, p, e, "its size after decompression is not the one in the index");
	if (!packed && !a) {
		*ret = (struct str){(const char *)content, stored};
		return 0;
	}
	void *to = a ? arena_alloc(a, (size_t)p->raw + PQ_SLACK)
		     : (void *)room(&s->raw, &s->raw_cap, p->raw);
	if (!to)
		return no_memory(t, e);
	if (!packed)
		memcpy(to, content, stored);
	else if (ZSTD_decompressDCtx(s->zstd, to, p->raw, content, stored) != p->raw)
		return damaged(t, p, e, "it cannot be decompressed");
	memset((char *)to + p->raw, 0, PQ_SLACK);
	*ret = (struct str){to, p->raw};
	return 0;
}

/*
 * Who reads a column's pages one after the other reads other columns' in between: the kernel sees a file
 * that is read all over and reads nothing ahead. So it is told what comes next; not after one page, which may
 * be all.
 */
static void read_ahead(struct tile *t, uint32_t column, uint32_t page)
{
	struct tile_reading *r = &t->reading[column];
	uint32_t last = atomic_exchange_explicit(&r->last, page, memory_order_relaxed);
	uint32_t ahead = atomic_load_explicit(&r->ahead, memory_order_relaxed);

	if (page - last - 1 >= SKIPPED_MAX)
		return;
	/* In one group the pages of a column lie side by side. */
	uint32_t end = MIN(page + 1 + AHEAD_PAGES, t->ix.group_page[tile_index_group(&t->ix, page) + 1]);
	uint32_t from = ahead > page && ahead <= end ? ahead : page + 1;
	if (from >= end || from > page + AHEAD_PAGES / 2)
		return;
	const struct tile_page_ref *pages = &t->ix.pages[(size_t)column * t->ix.info.page_count];
	while (end > from + 1 && pages[end - 1].off - pages[from].off > AHEAD_BYTES)
		end--; /* pages of long texts */
	uint64_t to = pages[end - 1].off + pages[end - 1].size;
	t->io->prefetch(t->io, t->fd, (int64_t)pages[from].off, (int64_t)(to - pages[from].off));
	atomic_store_explicit(&r->ahead, end, memory_order_relaxed);
}

/* ---- dictionaries ---------------------------------------------------------------------------- */

enum pq_type tile_column_type(const struct tile *t, uint32_t column, bool *ret_optional)
{
	static const enum pq_type types[] = {
		[COL_BIGINT] = PQ_INT64,	 [COL_DOUBLE] = PQ_DOUBLE,
		[COL_BOOLEAN] = PQ_BOOLEAN, [COL_VARCHAR] = PQ_BYTE_ARRAY,
		[COL_TIMESTAMP] = PQ_INT64,
	};
	const struct tile_column *c = &t->ix.columns[column];

	*ret_optional = c->role == TILE_DIM || c->role == TILE_FIELD;
	switch (c->role) {
	case TILE_DIM:
	case TILE_MEASURE_NAME:
		return PQ_BYTE_ARRAY;
	case TILE_FIELD:
		return types[t->ix.info.fields[c->i].type];
	case TILE_TIME:
	case TILE_VERSION:
		return PQ_INT64;
	case TILE_TIME_NANOS:
	case TILE_FIELD_NANOS:
		break;
	}
	return PQ_INT32;
}

static int decode_dictionary(struct tile *t, const struct tile_chunk *ch, bool of_strings,
			     struct tile_scratch *s, struct tile_dictionary **ret, struct err *e)
{
	uint32_t n = ch->dict_count;
	struct str content;
	int rc = load_content(t, &ch->dict, s, NULL, &content, e);

	if (rc < 0)
		return rc;
	size_t size = of_strings ? sizeof(struct str) : sizeof(uint64_t);
	/* Each entry takes 4 bytes at least, which is the only bound on a count from a hostile file. */
	if (n > content.len / 4)
		return damaged(t, &ch->dict, e, "it is too short for its dictionary");
	struct tile_dictionary *d = malloc(sizeof *d + n * size + content.len);
	if (!d)
		return no_memory(t, e);
	void *entries = d + 1;
	char *bytes = (char *)entries + n * size;
	memcpy(bytes, content.ptr, content.len);
	*d = (struct tile_dictionary){.n = n, .byte_count = content.len, .bytes = bytes};
	d->bits = entries;
	content.ptr = bytes;
	rc = of_strings ? pq_plain_decode_strings(content, entries, n)
			: pq_plain_decode_fixed64(content, entries, n);
	if (rc < 0) {
		free(d);
		return damaged(t, &ch->dict, e, "its dictionary is malformed");
	}
	*ret = d;
	return 0;
}

int tile_dictionary_get(struct tile *t, uint32_t column, uint32_t group, struct tile_scratch *s,
			const struct tile_dictionary **ret, struct err *e)
{
	size_t at = (size_t)column * t->ix.group_count + group;
	struct tile_dictionary *d = atomic_load_explicit(&t->dicts[at], memory_order_acquire), *old;
	bool optional;

	if (!d) {
		bool strings = tile_column_type(t, column, &optional) == PQ_BYTE_ARRAY;
		int rc = decode_dictionary(t, &t->ix.chunks[at], strings, s, &d, e);
		if (rc < 0)
			return rc;
		/* Two threads may have decoded it; the first one's stays. */
		old = NULL;
		if (!atomic_compare_exchange_strong(&t->dicts[at], &old, d)) {
			free(d);
			d = old;
		}
	}
	*ret = d;
	return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Values of a page on their way out. */
struct page_in {
	struct str in; /* behind the levels */
	uint32_t n;
	enum pq_type type;
	const struct tile_dictionary *dict;
	struct tile_scratch *s;
	struct arena *a;
};

static int get_plain(const struct page_in *p, void *to)
{
	switch (p->type) {
	case PQ_INT64:
	case PQ_DOUBLE:
		return pq_plain_decode_fixed64(p->in, to, p->n);
	case PQ_INT32:
		return pq_plain_decode_int32(p->in, to, p->n);
	case PQ_BOOLEAN:
		return pq_plain_decode_bools(p->in, to, p->n);
	case PQ_BYTE_ARRAY:
		return pq_plain_decode_strings(p->in, to, p->n);
	case PQ_INT96:
		break;
	}
	return -EBADMSG;
}

static int get_delta(const struct page_in *p, void *to)
{
	size_t used;
	int rc = pq_delta_decode(p->in, to, p->n, &used);

	return rc < 0 ? rc : used == p->in.len ? 0 : -EBADMSG;
}

static int get_delta_length(const struct page_in *p, void *to)
{
	return pq_delta_length_decode(p->in, to, p->s->values, p->n);
}

static int get_split(const struct page_in *p, void *to)
{
	return pq_split_decode(p->in, to, p->n);
}

static int get_alp(const struct page_in *p, void *to)
{
	return pq_alp_decode(p->in, to, p->n);
}

static int get_levels(const struct page_in *p, void *to)
{
	uint32_t ones;
	size_t used;
	int rc = pq_levels_decode(p->in, to, p->n, &ones, &used);

	return rc < 0 ? rc : used == p->in.len ? 0 : -EBADMSG;
}

/*
 * Strings of a dictionary must outlive the tile, so their bytes go to the arena: all of them at once
 * where that is less work than one by one.
 */
static int get_strings(const struct page_in *p, struct str *to)
{
	const struct tile_dictionary *d = p->dict;
	const uint32_t *codes = p->s->codes;

	if (d->byte_count <= 4096 || d->byte_count / 16 <= p->n) {
		struct str bytes = arena_str(p->a, (struct str){d->bytes, d->byte_count});
		if (!bytes.ptr)
			return -ENOMEM;
		for (uint32_t i = 0; i < p->n; i++) {
			struct str v = d->strings[codes[i]];
			to[i] = (struct str){bytes.ptr + (v.ptr - d->bytes), v.len};
		}
		return 0;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		if (i && codes[i] == codes[i - 1]) {
			to[i] = to[i - 1];
			continue;
		}
		to[i] = arena_str(p->a, d->strings[codes[i]]);
		if (!to[i].ptr)
			return -ENOMEM;
	}
	return 0;
}

static int get_codes(const struct page_in *p, void *to)
{
	const uint32_t *codes = p->s->codes;
	uint32_t most = 0;
	int rc;

	if (p->in.len < 1)
		return -EBADMSG;
	rc = pq_hybrid_decode((struct str){p->in.ptr + 1, p->in.len - 1}, (uint8_t)p->in.ptr[0],
			      p->s->codes, p->n);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < p->n; i++)
		most = MAX(most, codes[i]);
	if (p->n && most >= p->dict->n)
		return -EBADMSG;
	if (p->type == PQ_BYTE_ARRAY)
		return get_strings(p, to);
	uint64_t *out = to;
	for (uint32_t i = 0; i < p->n; i++)
		out[i] = p->dict->bits[codes[i]];
	return 0;
}

static int (*const decoders[])(const struct page_in *p, void *to) = {
	[PQ_PLAIN] = get_plain,
	[PQ_RLE] = get_levels,
	[PQ_DELTA_BINARY_PACKED] = get_delta,
	[PQ_DELTA_LENGTH_BYTE_ARRAY] = get_delta_length,
	[PQ_RLE_DICTIONARY] = get_codes,
	[PQ_BYTE_STREAM_SPLIT] = get_split,
	[PQ_ALP] = get_alp,
};

int tile_page_decode(struct tile *t, uint32_t column, uint32_t page, struct tile_scratch *s,
		     struct arena *a, void *to, struct tile_values *ret, struct err *e)
{
	const struct tile_index *ix = &t->ix;
	const struct tile_page_ref *ref = &ix->pages[(size_t)column * ix->info.page_count + page];
	uint32_t group = tile_index_group(ix, page);
	const struct tile_chunk *ch = &ix->chunks[(size_t)column * ix->group_count + group];
	uint32_t rows = (uint32_t)(ix->page_row[page + 1] - ix->page_row[page]);
	bool optional;
	enum pq_type type = tile_column_type(t, column, &optional);
	struct page_in p = {.n = rows, .type = type, .s = s, .a = a};
	/* Only strings that are not copied from a dictionary point into the page. */
	bool lends = type == PQ_BYTE_ARRAY && !ch->dict_count;
	int rc = 0;

	if (ch->dict_count)
		rc = tile_dictionary_get(t, column, group, s, &p.dict, e);
	if (rc < 0)
		return rc;
	if (type != PQ_BYTE_ARRAY && ref->raw > NUMBERS_RAW_MAX)
		return damaged(t, ref, e, "it is longer than its rows can be");
	read_ahead(t, column, page);
	rc = load_content(t, ref, s, lends ? a : NULL, &p.in, e);
	if (rc < 0)
		return rc;
	if (optional) {
		size_t used;
		rc = pq_levels_decode(p.in, s->levels, rows, &p.n, &used);
		if (rc < 0)
			return damaged(t, ref, e, "its definition levels are malformed");
		p.in.ptr += used;
		p.in.len -= used;
	}
	rc = decoders[ch->encoding](&p, to);
	if (rc == -ENOMEM)
		return no_memory(t, e);
	if (rc < 0)
		return damaged(t, ref, e, "its values are malformed");
	*ret = (struct tile_values){rows, p.n, p.n == rows ? NULL : s->levels};
	return 0;
}

#define EXPAND(T, zero)                                                                            \
	{                                                                                          \
		T *v_ = data;                                                                      \
		for (uint32_t i = rows, k = n; i--;)                                               \
			v_[i] = valid[i] ? v_[--k] : (zero);                                       \
	}

/* Values side by side move to their rows, from the end so that none is overwritten before. */
static void expand(enum coltype type, void *data, const uint8_t *valid, uint32_t n, uint32_t rows)
{
	switch (type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
	case COL_DOUBLE:
		EXPAND(int64_t, 0)
		break;
	case COL_BOOLEAN:
		EXPAND(uint8_t, 0)
		break;
	case COL_VARCHAR:
		EXPAND(struct str, STR_LIT(""))
		break;
	}
}

int tile_page_column(struct tile *t, uint32_t column, uint32_t page, enum coltype type,
		     struct arena *a, struct col *ret, struct err *e)
{
	uint32_t rows = (uint32_t)(t->ix.page_row[page + 1] - t->ix.page_row[page]);
	struct col col = {.type = type};
	struct tile_scratch *s = tile_scratch_get();
	struct tile_values v;
	int rc = -ENOMEM;

	col.data = arena_alloc(a, rows * coltype_size(type));
	if (!s || !col.data) {
		no_memory(t, e);
		goto done;
	}
	rc = tile_page_decode(t, column, page, s, a, col.data, &v, e);
	if (rc < 0 || !v.valid)
		goto done;
	col.valid = arena_alloc(a, rows);
	if (!col.valid) {
		rc = no_memory(t, e);
		goto done;
	}
	memcpy(col.valid, v.valid, rows);
	expand(type, col.data, col.valid, v.n, rows);
done:
	if (s)
		tile_scratch_put(s);
	if (rc >= 0)
		*ret = col;
	return rc;
}
