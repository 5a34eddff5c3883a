/*
 * format_cell: the bare text of values, a function a type.
 */
#include "query/format.h"
#include "query/text.h"

#define CELL(name)                                                                                 \
	static void name(struct cell_memo *m, const struct vec *v, uint32_t k, struct buf *out)

static inline void put_digits(char *p, uint64_t v, int width)
{
	for (int i = width - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
}

CELL(cell_i64)
{
	char *p = format_room(out, I64_TEXT_MAX);
	if (p)
		out->len += i64_format(p, v->i64[k]);
}

CELL(cell_f64)
{
	char *p = format_room(out, F64_TEXT_MAX);
	if (p)
		out->len += f64_format(p, v->f64[k]);
}

CELL(cell_bool)
{
	if (v->b8[k])
		buf_add(out, "true", 4);
	else
		buf_add(out, "false", 5);
}

CELL(cell_str)
{
	buf_add_str(out, v->str[k]);
}

/* Neighbouring rows mostly lie on the same day, whose date is there already. */
void cell_put_timestamp(struct cell_memo *m, int64_t ns, char *p)
{
	/* Unsigned, as the difference of two instants may not fit. */
	uint64_t of_day = (uint64_t)ns - (uint64_t)m->day_ns;
	if (m->day_ns == INT64_MIN || ns < m->day_ns || of_day >= (uint64_t)NS_PER_DAY) {
		timestamp_format(p, ns);
		memcpy(m->date, p, sizeof m->date);
		/* The first day of all has no midnight in 64 bits. */
		int64_t day = floor_div(ns, NS_PER_DAY);
		m->day_ns = day < INT64_MIN / NS_PER_DAY ? INT64_MIN : day * NS_PER_DAY;
	} else {
		uint64_t s = of_day / NS_PER_S;
		memcpy(p, m->date, sizeof m->date);
		put_digits(p + 11, s / 3600, 2);
		p[13] = ':';
		put_digits(p + 14, s / 60 % 60, 2);
		p[16] = ':';
		put_digits(p + 17, s % 60, 2);
		p[19] = '.';
		if (of_day % NS_PER_S)
			put_digits(p + 20, of_day % NS_PER_S, 9);
		else
			memset(p + 20, '0', 9);
	}
}

CELL(cell_timestamp)
{
	char *p = format_room(out, TIMESTAMP_TEXT_LEN);

	if (!p)
		return;
	cell_put_timestamp(m, v->i64[k], p);
	out->len += TIMESTAMP_TEXT_LEN;
}

/* Rare ones. */
CELL(cell_any)
{
	/* k names a value already, so the vector's form plays no part. */
	struct vec one = *v;
	one.form = VEC_FLAT;
	vec_format(&one, k, out);
}

cell_fn *cell_of(const struct type *t)
{
	switch (t->kind) {
	case TY_INTEGER:
	case TY_BIGINT:
		return cell_i64;
	case TY_DOUBLE:
		return cell_f64;
	case TY_BOOLEAN:
		return cell_bool;
	case TY_VARCHAR:
		return cell_str;
	case TY_TIMESTAMP:
		return cell_timestamp;
	default:
		return cell_any;
	}
}

bool cell_is_text(const struct type *t)
{
	enum type_layout l = type_layout(t);
	return l == LAYOUT_STR || l == LAYOUT_LIST || l == LAYOUT_ROW;
}

bool cell_is_number(const struct type *t)
{
	return type_is_number(t);
}
