/*
 * wal_segment: the bytes of the log, written and read (docs/format-wal.md), and the batches in RAM.
 */
#include "engine/wal_segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION    1
#define WINDOW     ((size_t)1 << 20)
#define CHUNK      ((size_t)1 << 20)
#define SPARES_MAX 16

static const char segment_magic[8] = {'T', 'I', 'D', 'E', 'W', 'A', 'L', '1'};
static const char batch_magic[4] = {'T', 'W', 'B', '1'};

/* ---- segments ----------------------------------------------------------------------------------
 */

/* A buf over memory that is large enough: puts never allocate. */
static struct buf over(void *p, size_t n)
{
	return (struct buf){.data = p, .cap = n, .max = n};
}

void wal_header_encode(const struct wal_header *h, uint8_t to[WAL_HEADER_BYTES])
{
	struct buf b = over(to, WAL_HEADER_BYTES);

	buf_add(&b, segment_magic, sizeof segment_magic);
	buf_put_u32(&b, VERSION);
	buf_put_u32(&b, WAL_HEADER_BYTES);
	buf_add(&b, h->log_id, sizeof h->log_id);
	buf_put_u64(&b, h->first_lsn);
	buf_put_u64(&b, h->follows);
	buf_put_u64(&b, h->number);
	buf_put_u64(&b, h->boot);
	buf_put_u64(&b, h->synced);
	buf_put_u32(&b, h->salt);
	buf_put_u32(&b, crc32c(0, to, b.len));
}

int wal_header_decode(const uint8_t from[WAL_HEADER_BYTES], struct wal_header *ret)
{
	struct cur c = cur_over(from, WAL_HEADER_BYTES);
	const void *magic = cur_bytes(&c, sizeof segment_magic);
	uint32_t version = cur_u32(&c);
	uint32_t bytes = cur_u32(&c);
	struct wal_header h;

	memcpy(h.log_id, cur_bytes(&c, sizeof h.log_id), sizeof h.log_id);
	h.first_lsn = cur_u64(&c);
	h.follows = cur_u64(&c);
	h.number = cur_u64(&c);
	h.boot = cur_u64(&c);
	h.synced = cur_u64(&c);
	h.salt = cur_u32(&c);
	if (memcmp(magic, segment_magic, sizeof segment_magic) != 0 ||
	    cur_u32(&c) != crc32c(0, from, WAL_HEADER_BYTES - 4))
		return -EBADMSG;
	if (version != VERSION || bytes != WAL_HEADER_BYTES)
		return -EMEDIUMTYPE;
	if (h.first_lsn == 0 || h.follows >= h.first_lsn)
		return -EBADMSG;
	*ret = h;
	return 0;
}

void wal_segment_name(char to[WAL_NAME_MAX], uint64_t first_lsn, uint64_t number)
{
	snprintf(to, WAL_NAME_MAX, "%020" PRIu64 "-%08" PRIu64 ".wal", first_lsn, number);
}

bool wal_segment_parse_name(const char *name, uint64_t *ret_first_lsn, uint64_t *ret_number)
{
	char again[WAL_NAME_MAX];
	uint64_t lsn, number;

	if (sscanf(name, "%20" SCNu64 "-%20" SCNu64, &lsn, &number) != 2)
		return false;
	wal_segment_name(again, lsn, number);
	if (strcmp(name, again) != 0)
		return false;
	*ret_first_lsn = lsn;
	*ret_number = number;
	return true;
}

int wal_segment_create(const struct io *io, int dirfd, const struct wal_header *h,
		       struct wal_segment **ret)
{
	char name[WAL_NAME_MAX];
	uint8_t bytes[WAL_HEADER_BYTES];
	struct wal_segment *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	wal_segment_name(name, h->first_lsn, h->number);
	wal_header_encode(h, bytes);
	*s = (struct wal_segment){
		.header = *h,
		.last_lsn = h->first_lsn - 1,
		.bytes = WAL_HEADER_BYTES,
		.dirty = true,
	};
	s->fd = io->openat(io, dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int64_t rc = s->fd;
	if (rc >= 0)
		rc = io_pwrite(io, s->fd, bytes, sizeof bytes, 0);
	if (rc < 0) {
		if (s->fd >= 0)
			(void)io->unlinkat(io, dirfd, name, 0);
		wal_segment_free(io, s);
		return (int)rc;
	}
	*ret = s;
	return 0;
}

void wal_segment_free(const struct io *io, struct wal_segment *s)
{
	if (s && s->fd >= 0)
		(void)io->close(io, s->fd); /* what matters was synced, or is still kept */
	free(s);
}

/* ---- batches -----------------------------------------------------------------------------------
 */

void wal_batch_seal(uint8_t *p, const struct wal_batch *b, uint32_t salt)
{
	struct buf head = over(p, WAL_BATCH_HEAD);

	buf_add(&head, batch_magic, sizeof batch_magic);
	buf_put_u32(&head, 0);
	buf_put_u32(&head, b->bytes);
	buf_put_u32(&head, salt);
	buf_put_u64(&head, b->first_lsn);
	buf_put_u64(&head, b->synced);
	buf_put_u32(&head, b->count);
	buf_put_u32(&head, 0);

	struct buf sum = over(p + 4, 4);
	buf_put_u32(&sum, crc32c(0, p + 8, b->bytes - 8));
}

struct full_head {
	struct wal_batch batch;
	uint32_t crc, salt, flags;
	bool has_magic;
};

static struct full_head read_head(const uint8_t *p)
{
	struct cur c = cur_over(p, WAL_BATCH_HEAD);
	struct full_head h = {0};

	h.has_magic = memcmp(cur_bytes(&c, 4), batch_magic, 4) == 0;
	h.crc = cur_u32(&c);
	h.batch.bytes = cur_u32(&c);
	h.salt = cur_u32(&c);
	h.batch.first_lsn = cur_u64(&c);
	h.batch.synced = cur_u64(&c);
	h.batch.count = cur_u32(&c);
	h.flags = cur_u32(&c);
	return h;
}

void wal_batch_head(const uint8_t *p, struct wal_batch *ret)
{
	*ret = read_head(p).batch;
}

static size_t varint_bytes(uint64_t v)
{
	size_t n = 1;
	while (v >>= 7)
		n++;
	return n;
}

size_t wal_record_bytes(const struct wal_record *r)
{
	return 1 + varint_bytes(r->table_id) + varint_bytes(r->payload.len) + r->payload.len;
}

void wal_record_put(struct buf *out, const struct wal_record *r)
{
	buf_put_u8(out, r->type);
	buf_put_varint(out, r->table_id);
	buf_put_str(out, r->payload);
}

bool wal_record_next(struct cur *c, struct wal_record *ret)
{
	if (c->bad || !cur_left(c))
		return false;
	ret->type = cur_u8(c);
	uint64_t table_id = cur_varint(c);
	ret->payload = cur_str(c);
	if (table_id > UINT32_MAX)
		c->bad = true;
	ret->table_id = (uint32_t)table_id;
	return !c->bad;
}

static bool records_fit(const uint8_t *p, const struct wal_batch *b)
{
	struct cur c = cur_over(p + WAL_BATCH_HEAD, b->bytes - WAL_BATCH_HEAD);
	struct wal_record r;
	uint32_t n = 0;

	while (wal_record_next(&c, &r))
		n++;
	return !c.bad && n == b->count;
}

/* ---- reading a segment --------------------------------------------------------------------------
 */

void wal_reader_init(struct wal_reader *r, const struct io *io, int fd, int64_t size)
{
	*r = (struct wal_reader){.io = io, .fd = fd, .size = size};
}

void wal_reader_release(struct wal_reader *r)
{
	free(r->window);
	*r = (struct wal_reader){.fd = -1};
}

int wal_reader_peek(struct wal_reader *r, int64_t off, size_t n, const uint8_t **ret)
{
	if (off < 0 || off > r->size || n > (uint64_t)(r->size - off))
		return 1;
	if (off < r->window_off || off + (int64_t)n > r->window_off + (int64_t)r->window_len) {
		size_t want = MIN(MAX(n, WINDOW), (size_t)(r->size - off));
		if (want > r->window_cap) {
			uint8_t *p = realloc(r->window, want);
			if (!p)
				return -ENOMEM;
			r->window = p;
			r->window_cap = want;
		}
		r->window_len = 0;
		int64_t got = r->io->pread(r->io, r->fd, r->window, want, off);
		if (got < 0)
			return (int)got;
		r->window_off = off;
		r->window_len = (size_t)got;
		if ((size_t)got < n) { /* the file shrank under us */
			r->size = off + got;
			return 1;
		}
	}
	*ret = r->window + (off - r->window_off);
	return 0;
}

int wal_reader_batch(struct wal_reader *r, int64_t off, const uint32_t *salt, uint64_t lsn_min,
		     struct wal_batch *ret, const uint8_t **ret_bytes)
{
	const uint8_t *p;
	int rc = wal_reader_peek(r, off, WAL_BATCH_HEAD, &p);

	if (rc)
		return rc;
	struct full_head h = read_head(p);
	if (!h.has_magic || h.batch.bytes < WAL_BATCH_HEAD || h.flags ||
	    (salt && h.salt != *salt) || h.batch.first_lsn < lsn_min || h.batch.first_lsn == 0 ||
	    h.batch.first_lsn > UINT64_MAX - h.batch.count)
		return 1;
	rc = wal_reader_peek(r, off, h.batch.bytes, &p);
	if (rc)
		return rc;
	if (crc32c(0, p + 8, h.batch.bytes - 8) != h.crc || !records_fit(p, &h.batch))
		return 1;
	*ret = h.batch;
	if (ret_bytes)
		*ret_bytes = p;
	return 0;
}

int wal_reader_find(struct wal_reader *r, int64_t off, const uint32_t *salt, uint64_t lsn_min,
		    struct wal_batch *ret, int64_t *ret_off)
{
	while (off + WAL_BATCH_HEAD <= r->size) {
		size_t n = (size_t)MIN(r->size - off, (int64_t)WINDOW);
		const uint8_t *p;
		int rc = wal_reader_peek(r, off, n, &p);
		if (rc)
			return rc;
		const uint8_t *at = memmem(p, n, batch_magic, sizeof batch_magic);
		if (!at) { /* the magic may straddle the window's end */
			off += (int64_t)n - (int64_t)sizeof batch_magic + 1;
			continue;
		}
		off += at - p;
		rc = wal_reader_batch(r, off, salt, lsn_min, ret, NULL);
		if (rc == 0)
			*ret_off = off;
		if (rc <= 0)
			return rc;
		off++;
	}
	return 1;
}

/* ---- batches kept in RAM
 * ------------------------------------------------------------------------- */

uint8_t *wal_kept_reserve(struct wal_kept *k, size_t n)
{
	struct wal_chunk *c = k->tail;

	if (c && n <= c->cap - c->used)
		return c->data + c->used;
	if (n <= CHUNK && k->spare) {
		c = k->spare;
		k->spare = c->next;
		k->spare_count--;
	} else {
		size_t cap = MAX(n, CHUNK);
		c = malloc(sizeof *c + cap);
		if (!c)
			return NULL;
		c->cap = cap;
	}
	c->next = NULL;
	c->used = 0;
	c->last_lsn = 0;
	if (k->tail)
		k->tail->next = c;
	else
		k->head = c;
	k->tail = c;
	return c->data;
}

void wal_kept_commit(struct wal_kept *k, size_t n, uint64_t last_lsn)
{
	k->tail->used += n;
	k->tail->last_lsn = last_lsn;
	k->bytes += n;
}

void wal_kept_forget(struct wal_kept *k, uint64_t lsn)
{
	while (k->head && k->head->last_lsn <= lsn) {
		struct wal_chunk *c = k->head;
		k->bytes -= c->used;
		k->head = c->next;
		if (!k->head)
			k->tail = NULL;
		if (c->cap == CHUNK && k->spare_count < SPARES_MAX) {
			c->next = k->spare;
			k->spare = c;
			k->spare_count++;
		} else {
			free(c);
		}
	}
}

void wal_kept_release(struct wal_kept *k)
{
	wal_kept_forget(k, UINT64_MAX);
	while (k->spare) {
		struct wal_chunk *c = k->spare;
		k->spare = c->next;
		free(c);
	}
	*k = (struct wal_kept){0};
}
