/*
 * format_txt: a table for people.
 *
 *	host   avg(temp)
 *	-----  ---------
 *	alpha       21.4
 *	beta        NULL
 *
 * Numbers stand to the right, all else to the left; NULL prints as NULL. Widths count code points.
 * Control characters print as escapes (\n, \t, \x1b), so that a value can neither break the table
 * nor talk to the terminal.
 *
 * Widths need the rows first: up to HOLD_BYTES are held back, and what comes later keeps to their
 * widths (a longer value pushes its line out).
 */
#include "query/format.h"

#define HOLD_BYTES ((size_t)1 << 20)

static void put_escaped(struct str s, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";
	size_t done = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = (uint8_t)s.ptr[i];
		if (c >= 0x20 && c != 0x7f)
			continue;
		buf_add(out, s.ptr + done, i - done);
		done = i + 1;
		buf_addc(out, '\\');
		if (c == '\n' || c == '\t' || c == '\r') {
			buf_addc(out, c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
			continue;
		}
		buf_addc(out, 'x');
		buf_addc(out, hex[c >> 4]);
		buf_addc(out, hex[c & 15]);
	}
	if (s.len > done)
		buf_add(out, s.ptr + done, s.len - done);
}

static uint32_t code_points(const char *p, size_t n)
{
	uint32_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((uint8_t)p[i] & 0xC0) != 0x80;
	return k;
}

static void pad(struct buf *out, uint32_t n, char c)
{
	char *p = n ? buf_reserve(out, n) : NULL;
	if (p) {
		memset(p, c, n);
		out->len += n;
	}
}

/* One cell of a line; the last of a line is not filled up on its right. */
static void put_cell(struct query_text *t, uint32_t c, struct str s, bool to_right, struct buf *out)
{
	uint32_t w = code_points(s.ptr, s.len), width = t->cols[c].width;
	uint32_t gap = width > w ? width - w : 0;

	if (c)
		buf_add(out, "  ", 2);
	if (to_right)
		pad(out, gap, ' ');
	buf_add_str(out, s);
	if (!to_right && c + 1 < t->col_count)
		pad(out, gap, ' ');
}

static void put_value(struct query_text *t, const struct text_col *col, const struct vec *of, uint32_t i,
		      struct buf *out)
{
	const struct vec *v = vec_base(of);
	uint32_t k = vec_index(of, i);

	if (v->valid && !v->valid[k]) {
		buf_add(out, "NULL", 4);
	} else if (!col->is_text) {
		col->cell(&t->memo, v, k, out);
	} else {
		buf_clear(&t->scratch);
		col->cell(&t->memo, v, k, &t->scratch);
		put_escaped(buf_str(&t->scratch), out);
	}
}

/* The header, the rule and what was held back. */
static void release_held(struct query_text *t, struct buf *out)
{
	const uint32_t *lens = (const uint32_t *)(const void *)t->held_lens.data;
	size_t cells = t->held_lens.len / sizeof *lens;
	const char *p = t->held.data ? t->held.data : ""; /* cells may all be empty */

	t->is_aligned = true;
	for (uint32_t c = 0; c < t->col_count; c++) {
		buf_clear(&t->scratch);
		put_escaped(t->cols[c].name, &t->scratch);
		put_cell(t, c, buf_str(&t->scratch), cell_is_number(t->cols[c].type), out);
	}
	buf_addc(out, '\n');
	for (uint32_t c = 0; c < t->col_count; c++) {
		if (c)
			buf_add(out, "  ", 2);
		pad(out, t->cols[c].width, '-');
	}
	buf_addc(out, '\n');
	for (size_t i = 0; i < cells;) {
		for (uint32_t c = 0; c < t->col_count; c++, i++) {
			put_cell(t, c, (struct str){p, lens[i]}, cell_is_number(t->cols[c].type), out);
			p += lens[i];
		}
		buf_addc(out, '\n');
	}
	buf_release(&t->held);
	buf_release(&t->held_lens);
}

static void txt_begin(struct query_text *t, struct buf *out)
{
	for (uint32_t c = 0; c < t->col_count; c++) {
		buf_clear(&t->scratch);
		put_escaped(t->cols[c].name, &t->scratch);
		t->cols[c].width = MAX(1u, code_points(t->scratch.data, t->scratch.len));
	}
}

static void hold(struct query_text *t, const struct vbatch *b, uint32_t i)
{
	for (uint32_t c = 0; c < t->col_count; c++) {
		size_t from = t->held.len;
		put_value(t, &t->cols[c], &b->cols[c], i, &t->held);
		uint32_t len = (uint32_t)(t->held.len - from);
		buf_add(&t->held_lens, &len, sizeof len);
		if (!t->held.rc && len)
			t->cols[c].width = MAX(t->cols[c].width, code_points(t->held.data + from, len));
	}
}

static void txt_rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	struct buf cell;

	buf_init(&cell, (size_t)1 << 30);
	for (uint32_t i = from; i < to; i++) {
		if (!t->is_aligned) {
			hold(t, b, i);
			if (t->held.len >= HOLD_BYTES)
				release_held(t, out);
			continue;
		}
		for (uint32_t c = 0; c < t->col_count; c++) {
			buf_clear(&cell);
			put_value(t, &t->cols[c], &b->cols[c], i, &cell);
			put_cell(t, c, buf_str(&cell), cell_is_number(t->cols[c].type), out);
		}
		buf_addc(out, '\n');
	}
	buf_release(&cell);
}

static void txt_end(struct query_text *t, struct buf *out)
{
	if (!t->is_aligned)
		release_held(t, out);
}

const struct format format_txt = {.begin = txt_begin, .rows = txt_rows, .end = txt_end};
