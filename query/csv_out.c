#include "query/csv_out.h"

enum { QUOTES = 1, ESCAPE = 2 };

/* Can the text of a number, a time or an interval hold this character? */
static bool is_of_scalars(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("+-.: ", c);
}

int csv_out_init(struct csv_out *c, const struct unload_spec *s, const struct plan_col *cols, uint32_t col_n,
		 struct arena *a, struct err *e)
{
	bool all_special = is_of_scalars(s->delimiter) || is_of_scalars(s->escape);

	*c = (struct csv_out){
		.delimiter = s->delimiter, .escape = s->escape, .col_n = col_n,
		.memo = {.day_ns = INT64_MIN, .is_zulu = true}};
	buf_init(&c->text, (size_t)1 << 30);
	c->special[(uint8_t)s->delimiter] = QUOTES;
	c->special['\n'] = c->special['\r'] = QUOTES;
	c->special['"'] = c->special[(uint8_t)s->escape] = ESCAPE;
	c->cols = arena_array(a, struct csv_col, col_n + 1);
	if (!c->cols)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < col_n; i++)
		c->cols[i] = (struct csv_col){
			cols[i].name, cols[i].type, cell_of(cols[i].type),
			!all_special && !cell_is_text(cols[i].type)};
	return 0;
}

void csv_out_release(struct csv_out *c)
{
	buf_release(&c->text);
}

static void put_text(const struct csv_out *c, struct str s, bool in_quotes, struct buf *out)
{
	unsigned any = s.len && !in_quotes ? 0 : QUOTES;
	size_t done = 0;

	for (size_t i = 0; i < s.len; i++)
		any |= c->special[(uint8_t)s.ptr[i]];
	if (any & QUOTES)
		buf_addc(out, '"');
	for (size_t i = 0; i < s.len && any & ESCAPE; i++) {
		if (c->special[(uint8_t)s.ptr[i]] != ESCAPE)
			continue;
		buf_add(out, s.ptr + done, i - done);
		buf_addc(out, c->escape);
		done = i;
	}
	if (s.len > done)
		buf_add(out, s.ptr + done, s.len - done);
	if (any & QUOTES)
		buf_addc(out, '"');
}

void csv_out_header(struct csv_out *c, struct buf *out)
{
	for (uint32_t i = 0; i < c->col_n; i++) {
		if (i)
			buf_addc(out, c->delimiter);
		put_text(c, c->cols[i].name, false, out);
	}
	buf_addc(out, '\n');
}

static void put_value(struct csv_out *c, const struct csv_col *col, const struct vec *v, uint32_t k, struct buf *out)
{
	enum type_layout l = type_layout(col->type);

	if (col->is_bare) {
		col->cell(&c->memo, v, k, out);
		return;
	}
	if (l == LAYOUT_STR) {
		put_text(c, v->str[k], false, out);
		return;
	}
	buf_clear(&c->text);
	if (l == LAYOUT_LIST || l == LAYOUT_ROW)
		json_cell(&c->memo, col->type, col->cell, v, k, &c->text);
	else
		col->cell(&c->memo, v, k, &c->text);
	if (c->text.rc)
		out->rc = c->text.rc;
	else
		put_text(c, buf_str(&c->text), l == LAYOUT_LIST || l == LAYOUT_ROW, out);
}

void csv_out_rows(struct csv_out *c, const struct vbatch *b, struct buf *out)
{
	for (uint32_t i = 0; i < b->n; i++) {
		for (uint32_t k = 0; k < c->col_n; k++) {
			const struct vec *v = vec_base(&b->cols[k]);
			uint32_t at = vec_index(&b->cols[k], i);
			if (k)
				buf_addc(out, c->delimiter);
			if (!v->valid || v->valid[at])
				put_value(c, &c->cols[k], v, at, out);
		}
		buf_addc(out, '\n');
	}
}
