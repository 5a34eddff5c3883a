#include "engine/base/base.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->rc = 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->rc)
		return NULL;
	if (n <= b->cap - b->len)
		return b->data + b->len;
	if (n > b->max - b->len) {
		b->rc = -ENOMEM;
		return NULL;
	}
	size_t cap = MAX(b->cap + b->cap / 2, 256);
	cap = MIN(MAX(cap, b->len + n), b->max);
	char *p = realloc(b->data, cap);
	if (!p) {
		b->rc = -ENOMEM;
		return NULL;
	}
	b->data = p;
	b->cap = cap;
	return p + b->len;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!n)
		return;
	char *to = buf_reserve(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->len += n;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	char *to = buf_reserve(b, (size_t)n + 1);
	if (!to)
		return;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_drop_front(struct buf *b, size_t n)
{
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_addc(b, (char)v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t t[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
	buf_add(b, t, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	buf_put_u32(b, (uint32_t)v);
	buf_put_u32(b, (uint32_t)(v >> 32));
}

void buf_put_varint(struct buf *b, uint64_t v)
{
	uint8_t t[10];
	size_t n = 0;

	while (v >= 0x80) {
		t[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	t[n++] = (uint8_t)v;
	buf_add(b, t, n);
}

void buf_put_zigzag(struct buf *b, int64_t v)
{
	buf_put_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void buf_put_str(struct buf *b, struct str s)
{
	buf_put_varint(b, s.len);
	buf_add(b, s.ptr, s.len);
}

const void *cur_bytes(struct cur *c, size_t n)
{
	if (c->bad || n > cur_left(c)) {
		c->bad = true;
		return NULL;
	}
	const void *p = c->p;
	c->p += n;
	return p;
}

uint8_t cur_u8(struct cur *c)
{
	const uint8_t *p = cur_bytes(c, 1);
	return p ? *p : 0;
}

uint32_t cur_u32(struct cur *c)
{
	const uint8_t *p = cur_bytes(c, 4);
	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
		 : 0;
}

uint64_t cur_u64(struct cur *c)
{
	uint64_t lo = cur_u32(c);
	return lo | (uint64_t)cur_u32(c) << 32;
}

uint64_t cur_varint(struct cur *c)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		uint8_t byte = cur_u8(c);
		if (c->bad)
			return 0;
		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

int64_t cur_zigzag(struct cur *c)
{
	uint64_t v = cur_varint(c);
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct str cur_str(struct cur *c)
{
	uint64_t n = cur_varint(c);
	const char *p = n <= cur_left(c) ? cur_bytes(c, (size_t)n) : NULL;

	if (!p) {
		c->bad = true;
		return (struct str){"", 0};
	}
	return (struct str){p, (size_t)n};
}
