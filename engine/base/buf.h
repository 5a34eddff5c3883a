/*
 * buf: a growing run of bytes, born with a maximum.
 *
 * A failure sticks (b->rc) and later additions do nothing, so a formatter checks once at its end.
 */
#ifndef TIDE_BUF_H
#define TIDE_BUF_H

#include "engine/base/base.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
	int rc; /* 0, or -ENOMEM once an addition did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory, forgets content and failure */

/* Room for n more bytes: where they go, or NULL. The caller adds to b->len what it wrote. */
char *buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_drop_front(struct buf *b, size_t n); /* forget the first n bytes */

static inline void buf_addc(struct buf *b, char c)
{
	if (likely(b->len < b->cap))
		b->data[b->len++] = c;
	else
		buf_add(b, &c, 1);
}

static inline void buf_adds(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

static inline void buf_add_str(struct buf *b, struct str s)
{
	buf_add(b, s.ptr, s.len);
}

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){b->data, b->len};
}

/* Little-endian fixed width and LEB128 varints, the alphabet of the binary formats. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);
void buf_put_zigzag(struct buf *b, int64_t v);
void buf_put_str(struct buf *b, struct str s); /* varint length, then the bytes */

/*
 * cur: a reader over borrowed bytes. Reading past the end sets `bad`, returns zeros and never
 * touches memory outside; check `bad` once at the end.
 */
struct cur {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct cur cur_over(const void *p, size_t n)
{
	return (struct cur){p, (const uint8_t *)p + n, false};
}

static inline size_t cur_left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

uint8_t cur_u8(struct cur *c);
uint32_t cur_u32(struct cur *c);
uint64_t cur_u64(struct cur *c);
uint64_t cur_varint(struct cur *c);
int64_t cur_zigzag(struct cur *c);
struct str cur_str(struct cur *c);              /* lent: points into the bytes */
const void *cur_bytes(struct cur *c, size_t n); /* n bytes, or NULL */

#endif
