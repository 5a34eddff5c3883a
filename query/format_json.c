/*
 * format_json: json (one array of objects, an object a line) and jsonl (an object a line).
 *
 * int64 and double are numbers, NaN and the infinities strings, times and intervals their text.
 * Arrays are arrays; a row is an object by its field names, or an array where a field has none; a
 * timeseries is an array of {"time": ..., "value": ...}. An output name that was there before gets
 * _2, _3, ...: objects have each key once.
 */
#include "query/format.h"

#include <math.h>

void json_string(struct str s, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";
	/* Second character of the escape; 'u' for \u00xx. */
	static const char escape[256] = {
		['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
		['\t'] = 't', [0] = 'u',     [1] = 'u',    [2] = 'u',    [3] = 'u',    [4] = 'u',
		[5] = 'u',    [6] = 'u',     [7] = 'u',    [11] = 'u',   [14] = 'u',   [15] = 'u',
		[16] = 'u',   [17] = 'u',    [18] = 'u',   [19] = 'u',   [20] = 'u',   [21] = 'u',
		[22] = 'u',   [23] = 'u',    [24] = 'u',   [25] = 'u',   [26] = 'u',   [27] = 'u',
		[28] = 'u',   [29] = 'u',    [30] = 'u',   [31] = 'u',
	};
	size_t done = 0;

	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = (uint8_t)s.ptr[i];
		if (!escape[c])
			continue;
		buf_add(out, s.ptr + done, i - done);
		buf_addc(out, '\\');
		buf_addc(out, escape[c]);
		if (escape[c] == 'u') {
			buf_add(out, "00", 2);
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
		done = i + 1;
	}
	if (s.len > done)
		buf_add(out, s.ptr + done, s.len - done);
	buf_addc(out, '"');
}

static bool all_named(const struct type *t)
{
	for (uint32_t f = 0; f < t->field_count; f++) {
		if (!t->fields[f].name.ptr)
			return false;
	}
	return t->field_count > 0;
}

static void json_value(struct cell_memo *m, const struct type *type, cell_fn *cell, const struct vec *of,
		       uint32_t i, struct buf *out);

static void json_row(struct cell_memo *m, const struct type *type, const struct vec *v, uint32_t k,
		     struct buf *out)
{
	bool named = all_named(type);

	buf_addc(out, named ? '{' : '[');
	for (uint32_t f = 0; f < type->field_count; f++) {
		const struct type *ft = type->fields[f].type;
		if (f)
			buf_addc(out, ',');
		if (named) {
			json_string(type->fields[f].name, out);
			buf_addc(out, ':');
		}
		json_value(m, ft, cell_of(ft), &v->child[f], k, out);
	}
	buf_addc(out, named ? '}' : ']');
}

/* A point of a timeseries whose time ends in Z. */
static void json_zulu_point(struct cell_memo *m, const struct type *type, const struct vec *of, uint32_t i,
			    struct buf *out)
{
	const struct vec *v = vec_base(of), *time = vec_base(&v->child[0]);
	uint32_t k = vec_index(of, i);
	const struct type *value = type->fields[1].type;

	buf_adds(out, "{\"time\":\"");
	cell_of(time->type)(m, time, vec_index(&v->child[0], k), out);
	buf_adds(out, "Z\",\"value\":");
	json_value(m, value, cell_of(value), &v->child[1], k, out);
	buf_addc(out, '}');
}

static void json_list(struct cell_memo *m, const struct type *type, const struct vec *v, uint32_t k,
		      struct buf *out)
{
	const struct type *elem = type_list_elem(type);
	cell_fn *cell = cell_of(elem);

	buf_addc(out, '[');
	for (uint32_t i = 0; i < v->list[k].len && !out->rc; i++) {
		if (i)
			buf_addc(out, ',');
		if (m->is_zulu && type->kind == TY_TIMESERIES)
			json_zulu_point(m, elem, v->child, v->list[k].off + i, out);
		else
			json_value(m, elem, cell, v->child, v->list[k].off + i, out);
	}
	buf_addc(out, ']');
}

static void json_value(struct cell_memo *m, const struct type *type, cell_fn *cell, const struct vec *of,
		       uint32_t i, struct buf *out)
{
	const struct vec *v = vec_base(of);
	uint32_t k = vec_index(of, i);

	if (v->valid && !v->valid[k]) {
		buf_add(out, "null", 4);
		return;
	}
	switch (type->kind) {
	case TY_BOOLEAN:
	case TY_INTEGER:
	case TY_BIGINT:
		cell(m, v, k, out);
		return;
	case TY_DOUBLE:
		if (isfinite(v->f64[k])) {
			cell(m, v, k, out);
			return;
		}
		break;
	case TY_VARCHAR:
		json_string(v->str[k], out);
		return;
	case TY_ARRAY:
	case TY_TIMESERIES:
		json_list(m, type, v, k, out);
		return;
	case TY_ROW:
		json_row(m, type, v, k, out);
		return;
	default:
		break;
	}
	buf_addc(out, '"'); /* the texts of times and intervals need no escapes */
	cell(m, v, k, out);
	buf_addc(out, '"');
}

void json_cell(struct cell_memo *m, const struct type *type, cell_fn *cell, const struct vec *v, uint32_t k,
	       struct buf *out)
{
	struct vec one = *v;

	one.form = VEC_FLAT; /* k names a value already */
	json_value(m, type, cell, &one, k, out);
}

static bool has_name(const struct query_text *t, uint32_t n, struct str name)
{
	for (uint32_t c = 0; c < n; c++) {
		if (str_eq(t->cols[c].name, name))
			return true;
	}
	return false;
}

/* Has one of the first n columns this key ("name": as printed) already? */
static bool has_key(const struct query_text *t, uint32_t n, struct str key)
{
	const char *p = t->keys.data;

	for (uint32_t c = 0; c < n; p += t->cols[c].key.len, c++) {
		if (str_eq((struct str){p + 1, t->cols[c].key.len - 1}, key))
			return true;
	}
	return false;
}

/*
 * The keys as they are printed: {"a": and ,"b":. A name that was there before gets
 * the first of _2, _3, ... that makes it new.
 */
static void make_keys(struct query_text *t)
{
	struct buf *b = &t->keys;

	for (uint32_t c = 0; c < t->col_count && !b->rc; c++) {
		struct str name = t->cols[c].name, key;
		size_t from = b->len;
		unsigned k = 2;
		buf_addc(b, c ? ',' : '{');
		json_string(name, b);
		buf_addc(b, ':');
		bool taken = has_name(t, c, name);
		while (taken && !b->rc) {
			buf_clear(&t->scratch);
			buf_addf(&t->scratch, "%.*s_%u", STR_FMT(t->cols[c].name), k++);
			name = buf_str(&t->scratch);
			b->len = from + 1;
			json_string(name, b);
			buf_addc(b, ':');
			key = (struct str){b->data + from + 1, b->len - from - 1};
			taken = has_name(t, t->col_count, name) || has_key(t, c, key);
		}
		t->cols[c].key.len = b->len - from;
	}
	size_t at = 0; /* the buffer has stopped moving */
	for (uint32_t c = 0; c < t->col_count && !b->rc; c++) {
		t->cols[c].key.ptr = b->data + at;
		at += t->cols[c].key.len;
	}
}

static void json_object(struct query_text *t, const struct vbatch *b, uint32_t i, struct buf *out)
{
	for (uint32_t c = 0; c < t->col_count; c++) {
		buf_add_str(out, t->cols[c].key);
		json_value(&t->memo, t->cols[c].type, t->cols[c].cell, &b->cols[c], i, out);
	}
	if (!t->col_count)
		buf_addc(out, '{');
	buf_addc(out, '}');
}

static void json_begin(struct query_text *t, struct buf *out)
{
	make_keys(t);
	buf_addc(out, '[');
}

static void json_rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	for (uint32_t i = from; i < to; i++) {
		if (t->rows || i > from)
			buf_addc(out, ',');
		buf_addc(out, '\n');
		json_object(t, b, i, out);
	}
}

static void json_end(struct query_text *t, struct buf *out)
{
	if (t->rows)
		buf_addc(out, '\n');
	buf_add(out, "]\n", 2);
}

const struct format format_json = {.begin = json_begin, .rows = json_rows, .end = json_end};

static void jsonl_begin(struct query_text *t, struct buf *out)
{
	make_keys(t);
}

static void jsonl_rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	for (uint32_t i = from; i < to; i++) {
		json_object(t, b, i, out);
		buf_addc(out, '\n');
	}
}

static void jsonl_end(struct query_text *t, struct buf *out)
{
}

const struct format format_jsonl = {.begin = jsonl_begin, .rows = jsonl_rows, .end = jsonl_end};
