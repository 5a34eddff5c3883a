/*
 * The hybrid of run lengths and bit packing. A run is
 *
 *	varint (count << 1)          ceil(width / 8) bytes: the value, `count` times
 *	varint (groups << 1 | 1)     groups * width bytes: 8 values a group, least significant bit first
 *
 * The encoder makes a repeated run of 8 or more equal values, and literals of the rest. Literal
 * runs hold whole groups, so a repeated run first tops up the group that is open.
 */
#include "engine/parquet/parquet.h"

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

unsigned pq_width_of(uint32_t n)
{
	return n <= 2 ? 1 : 32 - (unsigned)__builtin_clz(n - 1);
}

void pq_hybrid_init(struct pq_hybrid *h, struct buf *out, unsigned width)
{
	h->out = out;
	h->width = width;
	h->n = 0;
}

/* Literals so far, a multiple of 8 of them. */
static void flush_literals(struct pq_hybrid *h)
{
	size_t bytes = (size_t)h->n / 8 * h->width;
	uint64_t acc = 0;
	unsigned fill = 0;

	if (!h->n)
		return;
	buf_put_varint(h->out, (h->n / 8) << 1 | 1);
	uint8_t *to = (uint8_t *)buf_reserve(h->out, bytes);
	if (!to)
		return;
	for (uint32_t i = 0; i < h->n; i++) {
		acc |= (uint64_t)h->literals[i] << fill; /* fill < 32 */
		fill += h->width;
		if (fill >= 32) {
			uint32_t word = (uint32_t)acc;
			memcpy(to, &word, 4);
			to += 4;
			acc >>= 32;
			fill -= 32;
		}
	}
	for (; fill >= 8; fill -= 8, acc >>= 8)
		*to++ = (uint8_t)acc;
	h->out->len += bytes;
	h->n = 0;
}

static void append_literals(struct pq_hybrid *h, uint32_t v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		h->literals[h->n++] = v;
	if (h->n >= PQ_HYBRID_LITERALS && h->n % 8 == 0)
		flush_literals(h);
}

void pq_hybrid_run(struct pq_hybrid *h, uint32_t v, uint32_t n)
{
	uint32_t open = h->n % 8;

	if (open) {
		uint32_t top = MIN(n, 8 - open);
		append_literals(h, v, top);
		n -= top;
	}
	if (n >= 8) {
		uint8_t value[4];
		memcpy(value, &v, 4);
		flush_literals(h);
		buf_put_varint(h->out, (uint64_t)n << 1);
		buf_add(h->out, value, (h->width + 7) / 8);
		return;
	}
	append_literals(h, v, n);
}

void pq_hybrid_values(struct pq_hybrid *h, const uint32_t *v, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		uint32_t k = i + 1;
		while (k < n && v[k] == v[i])
			k++;
		pq_hybrid_run(h, v[i], k - i);
		i = k;
	}
}

void pq_hybrid_finish(struct pq_hybrid *h)
{
	while (h->n % 8)
		h->literals[h->n++] = 0;
	flush_literals(h);
}

static void unpack(const uint8_t *p, unsigned width, uint32_t *to, uint32_t n)
{
	const uint64_t mask = (UINT64_C(1) << width) - 1;
	size_t bit = 0;

	/* At most 7 + 32 bits of a load are used, so one load is enough. */
	for (uint32_t i = 0; i < n; i++, bit += width)
		to[i] = (uint32_t)(load64(p + bit / 8) >> (bit % 8) & mask);
}

int pq_hybrid_decode(struct str in, unsigned width, uint32_t *to, uint32_t n)
{
	struct cur c = cur_over(in.ptr, in.len);
	uint32_t done = 0;

	if (width > 32)
		return -EBADMSG;
	while (done < n) {
		uint64_t head = cur_varint(&c);
		uint64_t count = head >> 1;
		uint32_t want;

		if (c.bad || !count)
			return -EBADMSG;
		if (head & 1) {
			if (count > cur_left(&c) / MAX(width, 1) && width)
				return -EBADMSG;
			want = count > (n - done) / 8 ? n - done : (uint32_t)count * 8;
			const uint8_t *p = cur_bytes(&c, (size_t)count * width * (width != 0));
			if (!p && width)
				return -EBADMSG;
			if (width)
				unpack(p, width, to + done, want);
			else
				memset(to + done, 0, want * sizeof *to);
		} else {
			uint32_t v = 0;
			const void *p = cur_bytes(&c, (width + 7) / 8);
			if (!p)
				return -EBADMSG;
			memcpy(&v, p, (width + 7) / 8);
			if (width < 32 && v >> width)
				return -EBADMSG;
			want = (uint32_t)MIN(count, (uint64_t)(n - done));
			for (uint32_t i = 0; i < want; i++)
				to[done + i] = v;
		}
		done += want;
	}
	return 0;
}

/* The length stands in front, at `at`, once it is known. */
static void finish_levels(struct pq_hybrid *h, size_t at)
{
	pq_hybrid_finish(h);
	if (h->out->rc)
		return;
	uint32_t len = (uint32_t)(h->out->len - at - 4);
	memcpy(h->out->data + at, &len, 4);
}

void pq_levels_encode(struct buf *out, const uint8_t *valid, uint32_t n)
{
	struct pq_hybrid h;
	size_t at = out->len;

	buf_put_u32(out, 0);
	pq_hybrid_init(&h, out, 1);
	if (!valid) {
		pq_hybrid_run(&h, 1, n);
	} else {
		for (uint32_t i = 0; i < n;) {
			const uint8_t *stop = memchr(valid + i, !valid[i], n - i);
			uint32_t k = stop ? (uint32_t)(stop - valid) : n;
			pq_hybrid_run(&h, valid[i], k - i);
			i = k;
		}
	}
	finish_levels(&h, at);
}

void pq_levels_encode_wide(struct buf *out, const uint8_t *levels, uint32_t n, unsigned width)
{
	struct pq_hybrid h;
	size_t at = out->len;

	buf_put_u32(out, 0);
	pq_hybrid_init(&h, out, width);
	for (uint32_t i = 0; i < n;) {
		uint32_t k = i + 1;
		while (k < n && levels[k] == levels[i])
			k++;
		pq_hybrid_run(&h, levels[i], k - i);
		i = k;
	}
	finish_levels(&h, at);
}

int pq_levels_decode(struct str in, uint8_t *to, uint32_t n, uint32_t *ret_ones, size_t *ret_used)
{
	struct cur c = cur_over(in.ptr, in.len);
	uint32_t len = cur_u32(&c), done = 0, ones = 0;
	const void *body = cur_bytes(&c, len);

	if (!body)
		return -EBADMSG;
	c = cur_over(body, len);
	while (done < n) {
		uint64_t head = cur_varint(&c);
		uint64_t count = head >> 1;
		uint32_t want;

		if (c.bad || !count)
			return -EBADMSG;
		if (head & 1) {
			const uint8_t *p = count <= cur_left(&c) ? cur_bytes(&c, (size_t)count) : NULL;
			if (!p)
				return -EBADMSG;
			want = count > (n - done) / 8 ? n - done : (uint32_t)count * 8;
			for (uint32_t i = 0; i < want; i++) {
				uint8_t bit = p[i / 8] >> (i % 8) & 1;
				to[done + i] = bit;
				ones += bit;
			}
		} else {
			uint8_t v = cur_u8(&c);
			if (c.bad || v > 1)
				return -EBADMSG;
			want = (uint32_t)MIN(count, (uint64_t)(n - done));
			memset(to + done, v, want);
			ones += v * want;
		}
		done += want;
	}
	*ret_ones = ones;
	*ret_used = 4 + (size_t)len;
	return 0;
}
