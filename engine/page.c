#include "engine/page.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/base/hash.h"
#include "engine/base/kernels.h"

/* ---- small -------------------------------------------------------------------------------------- */

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static bool is_number(enum coltype t)
{
	return t == COL_BIGINT || t == COL_TIMESTAMP;
}

static bool is_regular(const int64_t *v, uint32_t n)
{
	uint64_t step = n > 1 ? (uint64_t)v[1] - (uint64_t)v[0] : 0;
	uint64_t differs = 0;

	for (uint32_t i = 1; i < n; i++)
		differs |= ((uint64_t)v[i] - (uint64_t)v[i - 1]) ^ step;
	return !differs;
}

/* What divides all distances from lo. Numbers that would fit in less anyway are left as they are. */
static uint64_t common_step(const int64_t *v, uint32_t n, int64_t lo)
{
	uint64_t g = 0;

	for (uint32_t i = 0; i < n && g != 1; i++) {
		uint64_t d = (uint64_t)v[i] - (uint64_t)lo;
		if (!g || d % g)
			g = gcd(d, g);
	}
	return g ? g : 1;
}

/* How to store these: p's width, base and step. */
static void choose_width(struct page *p, const int64_t *v)
{
	int64_t lo, hi;
	uint64_t range;

	p->base = p->step = 0;
	p->width = 0;
	if (!p->rows)
		return;
	p->base = v[0];
	p->step = p->rows > 1 ? (int64_t)((uint64_t)v[1] - (uint64_t)v[0]) : 0;
	if (is_regular(v, p->rows))
		return;
	kernels()->bounds(v, p->rows, &lo, &hi);
	range = (uint64_t)hi - (uint64_t)lo;
	p->base = lo;
	p->step = range > UINT16_MAX ? (int64_t)common_step(v, p->rows, lo) : 1;
	range /= (uint64_t)p->step;
	p->width = range <= UINT8_MAX ? 1 : range <= UINT16_MAX ? 2 : range <= UINT32_MAX ? 4 : 8;
	if (p->width == 8) {
		p->base = 0;
		p->step = 1;
	}
}

static void store(const struct page *p, void *to, int64_t *v)
{
	const struct kernels *k = kernels();
	int64_t base = p->base;

	if (p->width && p->width < 8 && p->step != 1) {
		for (uint32_t i = 0; i < p->rows; i++)
			v[i] = (int64_t)(((uint64_t)v[i] - (uint64_t)base) / (uint64_t)p->step);
		base = 0;
	}
	switch (p->width) {
	case 0: break;
	case 1: k->narrow8(to, v, p->rows, base); break;
	case 2: k->narrow16(to, v, p->rows, base); break;
	case 4: k->narrow32(to, v, p->rows, base); break;
	default: memcpy(to, v, p->rows * sizeof *v);
	}
}

/* ---- from the file ------------------------------------------------------------------------------- */

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "no memory to keep a page");
}

/* The column decoded; what it is made of comes from a. */
static int decode(struct tile *t, uint32_t field, uint32_t number, uint32_t rows, struct arena *a, struct col *ret,
		  struct err *e)
{
	if (field < PAGE_VERSION)
		return tile_read_field(t, field, number, a, ret, e);
	*ret = (struct col){.type = field == PAGE_TIME ? COL_TIMESTAMP : COL_BIGINT};
	ret->i64 = arena_array(a, int64_t, rows);
	if (!ret->i64)
		return no_memory(e);
	return field == PAGE_TIME ? tile_read_time(t, number, ret->i64, e) : tile_read_version(t, number, ret->i64, e);
}

static struct page *page_new(size_t extra)
{
	struct page *p = malloc(sizeof *p + extra);

	if (!p)
		return NULL;
	memset(p, 0, sizeof *p);
	atomic_init(&p->refs, 1);
	atomic_init(&p->is_touched, false);
	arena_init(&p->strings, NULL);
	p->bytes = sizeof *p + extra;
	return p;
}

static void page_free(struct page *p)
{
	arena_release(&p->strings);
	free(p);
}

/* Strings stay where they were decoded: many rows may share one. */
static int read_strings(struct tile *t, uint32_t field, uint32_t number, uint32_t rows, struct page **ret, struct err *e)
{
	struct page *p = page_new(0);
	struct col col;

	if (!p)
		return no_memory(e);
	int rc = decode(t, field, number, rows, &p->strings, &col, e);
	if (rc < 0) {
		page_free(p);
		return rc;
	}
	p->rows = rows;
	p->type = col.type;
	p->data = col.data;
	p->valid = col.valid;
	p->bytes += p->strings.bytes;
	*ret = p;
	return 0;
}

static int read_page(struct tile *t, uint32_t field, uint32_t number, bool is_small, struct arena *scratch,
		     struct page **ret, struct err *e)
{
	uint32_t rows = (uint32_t)(tile_page_row(t, number + 1) - tile_page_row(t, number));
	struct page want = {.rows = rows, .width = 8, .step = 1}, *p;
	size_t data, valid;
	struct col col;

	if (field < PAGE_VERSION && tile_info(t)->fields[field].type == COL_VARCHAR)
		return read_strings(t, field, number, rows, ret, e);
	arena_reset(scratch);
	int rc = decode(t, field, number, rows, scratch, &col, e);
	if (rc < 0)
		return rc;
	want.type = col.type;
	if (is_number(col.type) && is_small)
		choose_width(&want, col.i64);
	data = (size_t)rows * (is_number(col.type) ? want.width : coltype_size(col.type));
	valid = col.valid ? rows : 0;
	p = page_new(data + valid);
	if (!p)
		return no_memory(e);
	p->rows = rows;
	p->type = want.type;
	p->width = want.width;
	p->base = want.base;
	p->step = want.step;
	p->data = p + 1;
	if (is_number(col.type))
		store(p, p + 1, col.i64);
	else
		memcpy(p + 1, col.data, data);
	if (valid)
		p->valid = memcpy((char *)(p + 1) + data, col.valid, valid);
	*ret = p;
	return 0;
}

void page_put(const struct page *page)
{
	struct page *p = (struct page *)page;

	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		page_free(p);
}

/* ---- values ---------------------------------------------------------------------------------------- */

void page_copy(const struct page *p, uint32_t from, uint32_t n, void *to)
{
	const struct kernels *k = kernels();
	size_t size = is_number(p->type) ? 8 : coltype_size(p->type);

	switch (is_number(p->type) ? p->width : 8) {
	case 0:
		k->ramp(to, n, (int64_t)((uint64_t)p->base + (uint64_t)p->step * from), p->step);
		break;
	case 1: k->widen8(to, (const uint8_t *)p->data + from, n, p->base, p->step); break;
	case 2: k->widen16(to, (const uint16_t *)p->data + from, n, p->base, p->step); break;
	case 4: k->widen32(to, (const uint32_t *)p->data + from, n, p->base, p->step); break;
	default: memcpy(to, (const char *)p->data + from * size, n * size);
	}
}

#define GATHER(T, expr)                                                                            \
	for (uint32_t i = 0; i < n; i++) {                                                         \
		T u = ((const T *)p->data)[from + rows[i]];                                        \
		((__typeof__(expr) *)to)[i] = (expr);                                              \
	}                                                                                          \
	break;

void page_gather(const struct page *p, int64_t from, const uint32_t *rows, uint32_t n, void *to)
{
	uint64_t base = (uint64_t)p->base, step = (uint64_t)p->step;

	if (is_number(p->type) && !p->width) {
		for (uint32_t i = 0; i < n; i++)
			((int64_t *)to)[i] = (int64_t)(base + step * (uint64_t)(from + rows[i]));
		return;
	}
	switch (is_number(p->type) ? p->width : 0) {
	case 1: GATHER(uint8_t, (int64_t)(base + step * u))
	case 2: GATHER(uint16_t, (int64_t)(base + step * u))
	case 4: GATHER(uint32_t, (int64_t)(base + step * u))
	case 8: GATHER(int64_t, u)
	default:
		switch (p->type) {
		case COL_DOUBLE: GATHER(double, u)
		case COL_BOOLEAN: GATHER(uint8_t, u)
		case COL_VARCHAR: GATHER(struct str, u)
		default: break;
		}
	}
}

uint32_t page_count_upto(const struct page *p, uint32_t from, uint32_t n, int64_t upto)
{
	uint32_t lo = 0, hi = n;

	if (n && page_i64(p, from + n - 1) <= upto)
		return n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (page_i64(p, from + mid) <= upto)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- the cache --------------------------------------------------------------------------------------- */

#define PARTS 16

/* A part: a table of pages by what they are of, and a queue of the same pages, the oldest first. */
struct part {
	pthread_mutex_t mu;
	struct page **buckets;
	uint32_t bucket_n; /* a power of two */
	uint32_t n;
	size_t bytes, limit;
	struct page *oldest, *youngest;
	uint64_t hits, misses;
};

struct page_cache {
	struct part parts[PARTS];
};

static uint64_t hash_of(uint64_t tile, uint32_t field, uint32_t number)
{
	return hash_u64(tile * 0x9e3779b97f4a7c15u ^ ((uint64_t)field << 32 | number));
}

static uint64_t hash_of_page(const struct page *p)
{
	return hash_of(p->tile, p->field, p->number);
}

int page_cache_create(size_t limit_bytes, struct page_cache **ret)
{
	struct page_cache *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	for (int i = 0; i < PARTS; i++) {
		pthread_mutex_init(&c->parts[i].mu, NULL);
		c->parts[i].limit = limit_bytes / PARTS;
	}
	*ret = c;
	return 0;
}

static void queue_add(struct part *part, struct page *p)
{
	p->younger = NULL;
	if (part->youngest)
		part->youngest->younger = p;
	else
		part->oldest = p;
	part->youngest = p;
}

static struct page *queue_take(struct part *part)
{
	struct page *p = part->oldest;

	part->oldest = p->younger;
	if (!part->oldest)
		part->youngest = NULL;
	return p;
}

static void table_remove(struct part *part, struct page *p)
{
	struct page **at = &part->buckets[hash_of_page(p) / PARTS & (part->bucket_n - 1)];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	part->n--;
	part->bytes -= p->bytes;
}

/* Twice the buckets. Without memory for them there is a longer way to each page. */
static void table_grow(struct part *part)
{
	uint32_t n = part->bucket_n ? part->bucket_n * 2 : 64;
	struct page **to = calloc(n, sizeof(*to));

	if (!to)
		return;
	for (uint32_t i = 0; i < part->bucket_n; i++) {
		for (struct page *p = part->buckets[i], *next; p; p = next) {
			uint64_t at = hash_of_page(p) / PARTS & (n - 1);
			next = p->next;
			p->next = to[at];
			to[at] = p;
		}
	}
	free(part->buckets);
	part->buckets = to;
	part->bucket_n = n;
}

/* Under the part's lock. */
static struct page *find(const struct part *part, uint64_t hash, uint64_t tile, uint32_t field, uint32_t number)
{
	struct page *p = part->bucket_n ? part->buckets[hash / PARTS & (part->bucket_n - 1)] : NULL;

	while (p && (p->tile != tile || p->field != field || p->number != number))
		p = p->next;
	return p;
}

/* Room for `bytes` more. A page that was asked for since the last look gets another round. */
static void make_room(struct part *part, size_t bytes)
{
	while (part->oldest && part->bytes + bytes > part->limit) {
		struct page *p = queue_take(part);

		if (atomic_exchange_explicit(&p->is_touched, false, memory_order_relaxed)) {
			queue_add(part, p);
			continue;
		}
		table_remove(part, p);
		page_put(p);
	}
}

static void forget(void *cache, uint64_t tile)
{
	page_cache_forget(cache, tile);
}

/* p's key is set. Another thread may have been quicker; then both have what they read. */
static void keep(struct page_cache *c, struct part *part, struct tile *t, uint64_t hash, struct page *p)
{
	if (p->bytes > part->limit / 4)
		return;
	tile_at_close(t, forget, c);
	pthread_mutex_lock(&part->mu);
	if (part->n >= part->bucket_n)
		table_grow(part);
	if (part->bucket_n && !find(part, hash, p->tile, p->field, p->number)) {
		struct page **bucket = &part->buckets[hash / PARTS & (part->bucket_n - 1)];

		make_room(part, p->bytes);
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
		p->next = *bucket;
		*bucket = p;
		queue_add(part, p);
		part->n++;
		part->bytes += p->bytes;
	}
	pthread_mutex_unlock(&part->mu);
}

static void part_forget(struct part *part, uint64_t tile, bool is_all)
{
	pthread_mutex_lock(&part->mu);
	struct page *p = part->oldest;
	part->oldest = part->youngest = NULL;
	for (struct page *younger; p; p = younger) {
		younger = p->younger;
		if (is_all || p->tile == tile) {
			table_remove(part, p);
			page_put(p);
		} else {
			queue_add(part, p);
		}
	}
	pthread_mutex_unlock(&part->mu);
}

void page_cache_forget(struct page_cache *c, uint64_t tile)
{
	for (int i = 0; i < PARTS; i++)
		part_forget(&c->parts[i], tile, false);
}

void page_cache_destroy(struct page_cache *c)
{
	if (!c)
		return;
	for (int i = 0; i < PARTS; i++) {
		part_forget(&c->parts[i], 0, true);
		free(c->parts[i].buckets);
		pthread_mutex_destroy(&c->parts[i].mu);
	}
	free(c);
}

void page_cache_stats(struct page_cache *c, struct cache_stats *ret)
{
	*ret = (struct cache_stats){0};
	for (int i = 0; i < PARTS; i++) {
		struct part *part = &c->parts[i];

		pthread_mutex_lock(&part->mu);
		ret->limit_bytes += part->limit;
		ret->bytes += part->bytes;
		ret->pages += part->n;
		ret->hits += part->hits;
		ret->misses += part->misses;
		pthread_mutex_unlock(&part->mu);
	}
}

int page_get(struct page_cache *c, bool keeps, struct tile *t, uint32_t field, uint32_t number,
	     struct arena *scratch, const struct page **ret, bool *ret_was_there, struct err *e)
{
	uint64_t tile = tile_number(t), hash = hash_of(tile, field, number);
	struct part *part = c ? &c->parts[hash % PARTS] : NULL;
	struct page *p = NULL;

	if (part) {
		pthread_mutex_lock(&part->mu);
		p = find(part, hash, tile, field, number);
		if (p) {
			atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
			atomic_store_explicit(&p->is_touched, true, memory_order_relaxed);
		}
		part->hits += p != NULL;
		part->misses += !p;
		pthread_mutex_unlock(&part->mu);
	}
	*ret_was_there = p != NULL;
	if (!p) {
		int rc = read_page(t, field, number, part && keeps, scratch, &p, e);
		if (rc < 0)
			return rc;
		p->tile = tile;
		p->field = field;
		p->number = number;
		if (part && keeps)
			keep(c, part, t, hash, p);
	}
	*ret = p;
	return 0;
}
