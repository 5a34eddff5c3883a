/*
 * format_csv: RFC 4180 with a header line, \n at line ends. NULL is an empty cell, the empty string "". Arrays and
 * rows as their text, quoted where it needs it.
 *
 * Before rows are written each column gets a step that says how. A value that stands for many rows (a
 * constant, or an entry of a dictionary: dimensions are one of these) is quoted once, with the comma before it, and
 * copied into the rows; constants side by side become one text. Room for a row is made once.
 */
#include "query/format.h"

#define COPY_BYTES 32 /* short texts are copied as so many bytes, which the room and the texts have behind them */

/* The text needs quotes: it is empty (which bare would be NULL) or holds one of these. */
static bool is_special(struct str s)
{
	static const bool special[256] = {[','] = true, ['"'] = true, ['\n'] = true, ['\r'] = true};
	bool any = s.len == 0;

	for (size_t i = 0; i < s.len; i++)
		any |= special[(uint8_t)s.ptr[i]];
	return any;
}

/* p has room for twice the text and two more. */
static char *put_text(char *p, struct str s)
{
	if (!is_special(s)) {
		memcpy(p, s.ptr, s.len);
		return p + s.len;
	}
	*p++ = '"';
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"')
			*p++ = '"';
		*p++ = s.ptr[i];
	}
	*p++ = '"';
	return p;
}

static void add_text(struct str s, struct buf *out)
{
	char *p = format_room(out, s.len * 2 + 2);

	if (p)
		out->len = (size_t)(put_text(p, s) - out->data);
}

static void csv_begin(struct query_text *t, struct buf *out)
{
	for (uint32_t c = 0; c < t->col_count; c++) {
		if (c)
			buf_addc(out, ',');
		add_text(t->cols[c].name, out);
	}
	buf_addc(out, '\n');
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* Value k of a FLAT or CONST vector behind a comma, as it stands in a row. */
static void add_cell(struct query_text *t, uint32_t c, const struct vec *v, uint32_t k, struct buf *out)
{
	const struct text_col *col = &t->cols[c];

	if (c)
		buf_addc(out, ',');
	if (v->valid && !v->valid[k])
		return;
	if (type_layout(col->type) == LAYOUT_STR) {
		add_text(v->str[k], out);
	} else if (col->is_text) {
		buf_clear(&t->scratch);
		col->cell(&t->memo, v, k, &t->scratch);
		add_text(buf_str(&t->scratch), out);
	} else {
		col->cell(&t->memo, v, k, out);
	}
}

/* Values [0, n) of v as texts: in t->held, how long each is in t->held_lens. */
static void add_texts(struct query_text *t, uint32_t c, const struct vec *v, uint32_t n, struct csv_step *s)
{
	s->first = (uint32_t)(t->held_lens.len / sizeof(struct csv_text));
	s->room = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct csv_text text = {.off = t->held.len};

		add_cell(t, c, v, i, &t->held);
		text.len = (uint32_t)(t->held.len - text.off);
		s->room = MAX(s->room, text.len);
		buf_add(&t->held_lens, &text, sizeof text);
	}
}

/* Onto the texts of the step before, which is constant, too. */
static bool join_constant(struct query_text *t, uint32_t c, const struct vec *v)
{
	uint32_t before = c;

	while (before && t->cols[before - 1].csv.kind == CSV_JOINED)
		before--;
	if (!before || t->cols[before - 1].csv.kind != CSV_CONSTANT || t->held_lens.rc)
		return false;
	struct csv_step *s = &t->cols[before - 1].csv;
	struct csv_text *text = (struct csv_text *)t->held_lens.data + s->first;
	add_cell(t, c, v, 0, &t->held);
	text->len = s->room = (uint32_t)(t->held.len - text->off);
	t->cols[c].csv.kind = CSV_JOINED;
	return true;
}

static void plan_step(struct query_text *t, uint32_t c, const struct vec *v, uint32_t rows)
{
	struct csv_step *s = &t->cols[c].csv;
	const struct type *type = t->cols[c].type;

	*s = (struct csv_step){.v = vec_base(v), .codes = v->codes, .kind = CSV_CELL};
	if (v->form == VEC_CONST) {
		if (join_constant(t, c, v))
			return;
		s->kind = CSV_CONSTANT;
		add_texts(t, c, v, 1, s);
	} else if (v->form == VEC_DICT) {
		s->kind = v->dict_n <= rows / 2 ? CSV_CODED : CSV_CELL;
		if (s->kind == CSV_CODED)
			add_texts(t, c, s->v, v->dict_n, s);
	} else if (type->kind == TY_BIGINT || type->kind == TY_INTEGER) {
		s->kind = CSV_NUMBER;
		s->room = 1 + I64_TEXT_MAX;
	} else if (type->kind == TY_DOUBLE) {
		s->kind = CSV_DOUBLE;
		s->room = 1 + F64_TEXT_MAX;
	} else if (type->kind == TY_TIMESTAMP) {
		s->kind = CSV_TIME;
		s->room = 1 + TIMESTAMP_TEXT_LEN;
	}
}

/* How much a row takes at most, values that are written by add_cell() aside. */
static size_t plan_steps(struct query_text *t, const struct vbatch *b, uint32_t rows)
{
	size_t room = 1 + COPY_BYTES;

	buf_clear(&t->held);
	buf_clear(&t->held_lens);
	for (uint32_t c = 0; c < t->col_count; c++)
		plan_step(t, c, &b->cols[c], rows);
	(void)!buf_reserve(&t->held, COPY_BYTES); /* behind the last text */
	for (uint32_t c = 0; c < t->col_count; c++)
		room += t->cols[c].csv.kind == CSV_JOINED ? 0 : t->cols[c].csv.room;
	return room;
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

static inline char *put_copy(char *p, const char *from, uint32_t len)
{
	if (likely(len <= COPY_BYTES))
		memcpy(p, from, COPY_BYTES);
	else
		memcpy(p, from, len);
	return p + len;
}

static inline char *put_number(char *p, int64_t v)
{
	if ((uint64_t)v < 10) {
		*p = (char)('0' + v);
		return p + 1;
	}
	if ((uint64_t)v < 100) {
		p[0] = (char)('0' + v / 10);
		p[1] = (char)('0' + v % 10);
		return p + 2;
	}
	return p + i64_format(p, v);
}

/* One value, where there is room; NULL: this kind makes room itself. */
static inline char *put_value(struct query_text *t, const struct csv_step *s, uint32_t c, uint32_t row, char *p)
{
	const struct csv_text *texts = (const struct csv_text *)t->held_lens.data, *text;

	switch (s->kind) {
	case CSV_JOINED:
		return p;
	case CSV_CODED:
	case CSV_CONSTANT:
		text = &texts[s->first + (s->kind == CSV_CODED ? s->codes[row] : 0)];
		return put_copy(p, t->held.data + text->off, text->len);
	case CSV_CELL:
		return NULL;
	default:
		break;
	}
	if (c)
		*p++ = ',';
	if (s->v->valid && !s->v->valid[row])
		return p;
	if (s->kind == CSV_NUMBER)
		return put_number(p, s->v->i64[row]);
	if (s->kind == CSV_DOUBLE)
		return p + f64_format(p, s->v->f64[row]);
	cell_put_timestamp(&t->memo, s->v->i64[row], p);
	return p + TIMESTAMP_TEXT_LEN;
}

static void csv_rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	size_t room = plan_steps(t, b, to - from);

	if (t->held.rc || t->held_lens.rc)
		return;
	for (uint32_t i = from; i < to; i++) {
		char *p = format_room(out, room);
		for (uint32_t c = 0; p && c < t->col_count; c++) {
			const struct csv_step *s = &t->cols[c].csv;
			char *next = put_value(t, s, c, i, p);
			if (!next) {
				out->len = (size_t)(p - out->data);
				add_cell(t, c, s->v, vec_index(&b->cols[c], i), out);
				next = format_room(out, room);
			}
			p = next;
		}
		if (!p)
			return; /* out says so */
		*p++ = '\n';
		out->len = (size_t)(p - out->data);
	}
	buf_clear(&t->held); /* it is not part of what is on its way */
}

static void csv_end(struct query_text *t, struct buf *out)
{
}

const struct format format_csv = {.begin = csv_begin, .rows = csv_rows, .end = csv_end};
