#include "query/text.h"

#include "query/func.h"

/* ---- writing -------------------------------------------------------------------------------------- */

static char *put_digits(char *p, uint64_t v, int width)
{
	for (int i = width - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + width;
}

size_t time_format(char *to, int64_t ns)
{
	uint64_t s = (uint64_t)ns / NS_PER_S;
	char *p = put_digits(to, s / 3600, 2);

	*p++ = ':';
	p = put_digits(p, s / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, s % 60, 2);
	*p++ = '.';
	put_digits(p, (uint64_t)ns % NS_PER_S, 9);
	return TIME_TEXT_LEN;
}

size_t interval_ds_format(char *to, int64_t ns)
{
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	char *p = to;

	if (ns < 0)
		*p++ = '-';
	p += u64_format(p, u / NS_PER_DAY);
	*p++ = ' ';
	p += time_format(p, (int64_t)(u % NS_PER_DAY));
	return (size_t)(p - to);
}

size_t interval_ym_format(char *to, int64_t months)
{
	uint64_t u = months < 0 ? 0 - (uint64_t)months : (uint64_t)months;
	char *p = to;

	if (months < 0)
		*p++ = '-';
	p += u64_format(p, u / 12);
	*p++ = '-';
	p += u64_format(p, u % 12);
	return (size_t)(p - to);
}

static void format_or_null(const struct vec *v, uint32_t i, struct buf *out)
{
	if (vec_is_null(v, i))
		buf_adds(out, "null");
	else
		vec_format(v, i, out);
}

static void format_list(const struct vec *v, struct vec_list l, struct buf *out)
{
	buf_addc(out, '[');
	for (uint32_t k = 0; k < l.len && !out->rc; k++) {
		if (k)
			buf_adds(out, ", ");
		format_or_null(v->child, l.off + k, out);
	}
	buf_addc(out, ']');
}

static void format_row(const struct vec *v, uint32_t i, struct buf *out)
{
	buf_addc(out, '(');
	for (uint32_t f = 0; f < v->type->field_count; f++) {
		struct str name = v->type->fields[f].name;

		if (f)
			buf_adds(out, ", ");
		if (name.ptr) {
			buf_add_str(out, name);
			buf_addc(out, '=');
		}
		format_or_null(&v->child[f], i, out);
	}
	buf_addc(out, ')');
}

void vec_format(const struct vec *v, uint32_t i, struct buf *out)
{
	char *p;

	if (vec_is_null(v, i))
		return;
	i = vec_index(v, i);
	v = vec_base(v);
	switch (v->type->kind) {
	case TY_VARCHAR:
		buf_add_str(out, v->str[i]);
		return;
	case TY_ARRAY:
	case TY_TIMESERIES:
		format_list(v, v->list[i], out);
		return;
	case TY_ROW:
		format_row(v, i, out);
		return;
	default:
		break;
	}
	p = buf_reserve(out, 48); /* no scalar is longer */
	if (!p)
		return;
	switch (v->type->kind) {
	case TY_BOOLEAN:
		buf_adds(out, v->b8[i] ? "true" : "false");
		break;
	case TY_INTEGER:
	case TY_BIGINT:
		out->len += i64_format(p, v->i64[i]);
		break;
	case TY_DOUBLE:
		out->len += f64_format(p, v->f64[i]);
		break;
	case TY_DATE:
		out->len += date_format_days(p, v->i64[i]);
		break;
	case TY_TIME:
		out->len += time_format(p, v->i64[i]);
		break;
	case TY_TIMESTAMP:
		out->len += timestamp_format(p, v->i64[i]);
		break;
	case TY_INTERVAL_DS:
		out->len += interval_ds_format(p, v->i64[i]);
		break;
	case TY_INTERVAL_YM:
		out->len += interval_ym_format(p, v->i64[i]);
		break;
	default:
		break;
	}
}

/* ---- reading -------------------------------------------------------------------------------------- */

static inline void skip(struct str *s, size_t n)
{
	s->ptr += n;
	s->len -= n;
}

static bool take_char(struct str *s, char c)
{
	if (!s->len || *s->ptr != c)
		return false;
	skip(s, 1);
	return true;
}

int64_t text_take_digits(struct str *s, int width)
{
	int64_t v = 0;

	if (s->len < (size_t)width)
		return -1;
	for (int i = 0; i < width; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return -1;
		v = v * 10 + (s->ptr[i] - '0');
	}
	skip(s, (size_t)width);
	return v;
}

int64_t text_take_fraction(struct str *s)
{
	int64_t v = 0;
	int n = 0;

	if (!take_char(s, '.'))
		return 0;
	for (; s->len && *s->ptr >= '0' && *s->ptr <= '9'; skip(s, 1), n++) {
		if (n == 9)
			return -1;
		v = v * 10 + (*s->ptr - '0');
	}
	if (!n)
		return -1;
	for (; n < 9; n++)
		v *= 10;
	return v;
}

static int take_date(struct str *s, int64_t *ret_days)
{
	int64_t y, m, d;

	y = text_take_digits(s, 4);
	if (y < 0 || !take_char(s, '-'))
		return -EINVAL;
	m = text_take_digits(s, 2);
	if (m < 1 || m > 12 || !take_char(s, '-'))
		return -EINVAL;
	d = text_take_digits(s, 2);
	if (d < 1 || d > civil_days_in_month(y, (int)m))
		return -EINVAL;
	*ret_days = civil_to_days(y, (int)m, (int)d);
	return 0;
}

/* HH:MM[:SS[.f]] */
static int take_time(struct str *s, int64_t *ret_ns)
{
	int64_t h, m, sec = 0, frac = 0;

	h = text_take_digits(s, 2);
	if (h < 0 || h > 23 || !take_char(s, ':'))
		return -EINVAL;
	m = text_take_digits(s, 2);
	if (m < 0 || m > 59)
		return -EINVAL;
	if (take_char(s, ':')) {
		sec = text_take_digits(s, 2);
		if (sec < 0 || sec > 59)
			return -EINVAL;
		frac = text_take_fraction(s);
		if (frac < 0)
			return -EINVAL;
	}
	*ret_ns = (h * 3600 + m * 60 + sec) * NS_PER_S + frac;
	return 0;
}

int date_parse_days(struct str s, int64_t *ret_days)
{
	int64_t days;
	int rc = take_date(&s, &days);

	if (rc < 0 || s.len)
		return -EINVAL;
	*ret_days = days;
	return 0;
}

int time_parse(struct str s, int64_t *ret_ns)
{
	int64_t ns;
	int rc = take_time(&s, &ns);

	if (rc < 0 || s.len)
		return -EINVAL;
	*ret_ns = ns;
	return 0;
}

int timestamp_parse(struct str s, int64_t *ret_ns)
{
	int64_t days, ns = 0;
	i128 total;
	int rc = take_date(&s, &days);

	if (rc < 0)
		return rc;
	if (s.len) {
		if (!take_char(&s, ' '))
			return -EINVAL;
		rc = take_time(&s, &ns);
		if (rc < 0 || s.len)
			return -EINVAL;
	}
	/* In 128 bits: the earliest instants are midnight before them plus a time of day. */
	total = (i128)days * NS_PER_DAY + ns;
	if (total < INT64_MIN || total > INT64_MAX)
		return -ERANGE;
	*ret_ns = (int64_t)total;
	return 0;
}
