/*
 * func_format: timestamps by pattern. Two pattern languages (MySQL's %-letters; Joda's letters, with
 * the java.time letters u and L) are compiled to one list of items, which is written or read.
 *
 * Reading: what is missing is 1970-01-01 00:00; a number takes as many digits as it may have, but
 * exactly its width where another number follows at once ("yyyyMMdd"); names go without case; zones
 * are converted to UTC. A two-digit year is 1970 to 2069. The whole text must be used up.
 */
#include "query/func_impl.h"
#include "query/func_time.h"
#include "query/text.h"

#include <stdio.h>

#define GROUP "Date / time"

enum field {
	F_LITERAL,
	F_ERA,
	F_CENTURY, /* from here to F_FRACTION: numbers */
	F_YEAR,
	F_YEAR2,
	F_WEEK_YEAR,
	F_WEEK,
	F_WEEKDAY,
	F_DAY_OF_YEAR,
	F_MONTH,
	F_DAY,
	F_HOUR_0_11,
	F_HOUR_1_12,
	F_HOUR,
	F_HOUR_1_24,
	F_MINUTE,
	F_SECOND,
	F_FRACTION,
	F_WEEKDAY_NAME, /* width 3: short */
	F_MONTH_NAME,
	F_HALF,
	F_ZONE_NAME,
	F_ZONE, /* width 1: +0000, 2: +00:00 */
	FIELDS
};

static const struct {
	int digits; /* at most, when reading */
	int64_t lo, hi;
} ranges[FIELDS] = {
	[F_CENTURY] = {2, 0, 99},       [F_YEAR] = {4, 0, 9999},       [F_YEAR2] = {2, 0, 99},
	[F_WEEK_YEAR] = {4, 0, 9999},   [F_WEEK] = {2, 1, 53},         [F_WEEKDAY] = {1, 1, 7},
	[F_DAY_OF_YEAR] = {3, 1, 366},  [F_MONTH] = {2, 1, 12},        [F_DAY] = {2, 1, 31},
	[F_HOUR_0_11] = {2, 0, 11},     [F_HOUR_1_12] = {2, 1, 12},    [F_HOUR] = {2, 0, 23},
	[F_HOUR_1_24] = {2, 1, 24},     [F_MINUTE] = {2, 0, 59},       [F_SECOND] = {2, 0, 59},
	[F_FRACTION] = {9, 0, 999999999},
};

struct item {
	enum field field;
	int width;  /* digits written at least; read exactly where `fixed` */
	bool fixed; /* a number follows at once */
	struct str text;
};

struct pattern {
	struct item *items;
	uint32_t n;
};

static bool is_number(enum field f)
{
	return f >= F_CENTURY && f <= F_FRACTION;
}

static void add(struct pattern *p, enum field f, int width, struct str text)
{
	struct item *last = p->n ? &p->items[p->n - 1] : NULL;

	if (last && is_number(f) && is_number(last->field))
		last->fixed = true;
	p->items[p->n++] = (struct item){f, width, false, text};
}

/* ---- MySQL's letters ---------------------------------------------------------------------------- */

static const struct {
	char letter;
	enum field field;
	int width;
} mysql_letters[] = {
	{'a', F_WEEKDAY_NAME, 3}, {'b', F_MONTH_NAME, 3},  {'c', F_MONTH, 1},     {'d', F_DAY, 2},
	{'e', F_DAY, 1},          {'f', F_FRACTION, 6},    {'H', F_HOUR, 2},      {'h', F_HOUR_1_12, 2},
	{'I', F_HOUR_1_12, 2},    {'i', F_MINUTE, 2},      {'j', F_DAY_OF_YEAR, 3}, {'k', F_HOUR, 1},
	{'l', F_HOUR_1_12, 1},    {'M', F_MONTH_NAME, 4},  {'m', F_MONTH, 2},     {'p', F_HALF, 2},
	{'S', F_SECOND, 2},       {'s', F_SECOND, 2},      {'v', F_WEEK, 2},      {'W', F_WEEKDAY_NAME, 4},
	{'x', F_WEEK_YEAR, 4},    {'Y', F_YEAR, 4},        {'y', F_YEAR2, 2},
};

static int mysql_letter(struct pattern *p, const char *at, struct err *e)
{
	if (strchr("DUuVwX", *at))
		return err_set(e, -EINVAL, "%%%c is not supported in a date format", *at);
	for (size_t i = 0; i < ARRAY_LEN(mysql_letters); i++)
		if (mysql_letters[i].letter == *at) {
			add(p, mysql_letters[i].field, mysql_letters[i].width, (struct str){NULL, 0});
			return 0;
		}
	add(p, F_LITERAL, 0, (struct str){at, 1});
	return 0;
}

static int mysql_compile(struct pattern *p, struct str fmt, struct err *e)
{
	for (size_t i = 0; i < fmt.len; i++) {
		const char *expand = NULL;
		int rc = 0;

		if (fmt.ptr[i] != '%') {
			add(p, F_LITERAL, 0, (struct str){fmt.ptr + i, 1});
			continue;
		}
		if (++i == fmt.len)
			return err_set(e, -EINVAL, "the date format ends inside a %% specifier");
		if (fmt.ptr[i] == 'T')
			expand = "H:i:s";
		else if (fmt.ptr[i] == 'r')
			expand = "h:i:s p";
		if (!expand)
			rc = fmt.ptr[i] ? mysql_letter(p, fmt.ptr + i, e) : 0;
		for (; rc >= 0 && expand && *expand; expand++)
			if (*expand == ':' || *expand == ' ')
				add(p, F_LITERAL, 0, (struct str){expand, 1});
			else
				rc = mysql_letter(p, expand, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- Joda's letters ----------------------------------------------------------------------------- */

static int joda_letter(struct pattern *p, char c, int n, struct err *e)
{
	static const struct {
		char letter;
		enum field field;
	} numbers[] = {
		{'C', F_CENTURY},     {'Y', F_YEAR},      {'y', F_YEAR},      {'u', F_YEAR},
		{'x', F_WEEK_YEAR},   {'w', F_WEEK},      {'e', F_WEEKDAY},   {'D', F_DAY_OF_YEAR},
		{'d', F_DAY},         {'K', F_HOUR_0_11}, {'h', F_HOUR_1_12}, {'H', F_HOUR},
		{'k', F_HOUR_1_24},   {'m', F_MINUTE},    {'s', F_SECOND},    {'S', F_FRACTION},
	};
	const struct str none = {NULL, 0};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].letter == c) {
			bool two = n == 2 && numbers[i].field == F_YEAR;

			add(p, two ? F_YEAR2 : numbers[i].field, n, none);
			return 0;
		}
	switch (c) {
	case 'G':
		add(p, F_ERA, n, none);
		return 0;
	case 'E':
		add(p, F_WEEKDAY_NAME, n < 4 ? 3 : 4, none);
		return 0;
	case 'M':
	case 'L':
		add(p, n < 3 ? F_MONTH : F_MONTH_NAME, n, none);
		return 0;
	case 'a':
		add(p, F_HALF, n, none);
		return 0;
	case 'z':
		add(p, F_ZONE_NAME, n, none);
		return 0;
	case 'Z':
		add(p, n >= 3 ? F_ZONE_NAME : F_ZONE, n, none);
		return 0;
	}
	return err_set(e, -EINVAL, "'%c' is not a letter of date formats", c);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int joda_compile(struct pattern *p, struct str fmt, struct err *e)
{
	for (size_t i = 0; i < fmt.len;) {
		size_t n = 1;

		if (is_letter(fmt.ptr[i])) {
			int rc;

			while (i + n < fmt.len && fmt.ptr[i + n] == fmt.ptr[i] && n < 9)
				n++;
			rc = joda_letter(p, fmt.ptr[i], (int)n, e);
			if (rc < 0)
				return rc;
			i += n;
			continue;
		}
		if (fmt.ptr[i] != '\'') {
			add(p, F_LITERAL, 0, (struct str){fmt.ptr + i++, 1});
			continue;
		}
		/* 'text', with '' for a quote inside it or alone. */
		if (++i < fmt.len && fmt.ptr[i] == '\'') {
			add(p, F_LITERAL, 0, (struct str){fmt.ptr + i++, 1});
			continue;
		}
		for (;; i++) {
			if (i >= fmt.len)
				return err_set(e, -EINVAL, "the date format ends inside a quoted text");
			if (fmt.ptr[i] == '\'' && (i + 1 == fmt.len || fmt.ptr[i + 1] != '\''))
				break;
			if (fmt.ptr[i] == '\'')
				i++;
			add(p, F_LITERAL, 0, (struct str){fmt.ptr + i, 1});
		}
		i++;
	}
	return 0;
}

/* ---- compiling ---------------------------------------------------------------------------------- */

typedef int compile_fn(struct pattern *p, struct str fmt, struct err *e);

static int compile(struct arena *a, struct str fmt, compile_fn *fn, struct pattern **ret, struct err *e)
{
	struct pattern *p = arena_new(a, struct pattern);
	int rc;

	if (p) /* no specifier has more than seven items: %r, in two characters */
		p->items = arena_array(a, struct item, fmt.len * 4 + 4);
	if (!p || !p->items)
		return func_no_memory(e);
	rc = fn(p, fmt, e);
	if (rc >= 0)
		*ret = p;
	return rc;
}

static int prepare(struct arena *a, const struct vec *fmt, compile_fn *fn, void **ret, struct err *e)
{
	struct pattern *p = NULL;
	int rc = fmt && !vec_is_null(fmt, 0) ? compile(a, fmt->str[0], fn, &p, e) : 0;

	if (rc >= 0)
		*ret = p;
	return rc;
}

static int mysql_prepare(struct arena *a, const struct vec *const *args, uint32_t argc, void **ret,
			 struct err *e)
{
	return prepare(a, args[1], mysql_compile, ret, e);
}

static int joda_prepare(struct arena *a, const struct vec *const *args, uint32_t argc, void **ret,
			struct err *e)
{
	return prepare(a, args[1], joda_compile, ret, e);
}

/* The pattern of row i: prepared, or compiled where the text changes. */
struct pattern_cache {
	struct str text;
	struct pattern *p;
};

static int pattern_at(struct fn_call *c, uint32_t i, compile_fn *fn, struct pattern_cache *last, struct err *e)
{
	struct str fmt = arg_str(c, 1, i);

	if (c->prepared) {
		last->p = c->prepared;
		return 0;
	}
	if (last->p && str_eq(fmt, last->text))
		return 0;
	last->text = fmt;
	return compile(c->arena, fmt, fn, &last->p, e);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static const char *const month_names[] = {"January", "February", "March",     "April",   "May",      "June",
					  "July",    "August",   "September", "October", "November", "December"};
static const char *const day_names[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
					"Sunday"};

static int64_t number_of(enum field f, const struct civil *t, int64_t days)
{
	int64_t week_year;
	int week;

	switch (f) {
	case F_CENTURY:
		return t->year / 100;
	case F_YEAR:
		return t->year;
	case F_YEAR2:
		return t->year % 100;
	case F_WEEK_YEAR:
		iso_week(days, &week_year, &week);
		return week_year;
	case F_WEEK:
		iso_week(days, &week_year, &week);
		return week;
	case F_WEEKDAY:
		return iso_weekday(days);
	case F_DAY_OF_YEAR:
		return days - civil_to_days(t->year, 1, 1) + 1;
	case F_MONTH:
		return t->month;
	case F_DAY:
		return t->day;
	case F_HOUR_0_11:
		return t->hour % 12;
	case F_HOUR_1_12:
		return (t->hour + 11) % 12 + 1;
	case F_HOUR:
		return t->hour;
	case F_HOUR_1_24:
		return (t->hour + 23) % 24 + 1;
	case F_MINUTE:
		return t->minute;
	default:
		return t->second;
	}
}

static void write_item(const struct item *it, const struct civil *t, int64_t days, struct buf *out)
{
	const char *name;

	switch (it->field) {
	case F_LITERAL:
		buf_add_str(out, it->text);
		return;
	case F_ERA:
		buf_adds(out, "AD");
		return;
	case F_FRACTION: {
		char digits[16];

		snprintf(digits, sizeof(digits), "%09d", t->nanos);
		buf_add(out, digits, (size_t)it->width);
		return;
	}
	case F_WEEKDAY_NAME:
	case F_MONTH_NAME:
		name = it->field == F_MONTH_NAME ? month_names[t->month - 1] : day_names[iso_weekday(days) - 1];
		buf_add(out, name, it->width <= 3 ? 3 : strlen(name));
		return;
	case F_HALF:
		buf_adds(out, t->hour < 12 ? "AM" : "PM");
		return;
	case F_ZONE_NAME:
		buf_adds(out, "UTC");
		return;
	case F_ZONE:
		buf_adds(out, it->width == 1 ? "+0000" : "+00:00");
		return;
	default:
		buf_addf(out, "%0*lld", it->width, (long long)number_of(it->field, t, days));
	}
}

static int format_rows(struct fn_call *c, struct vec *ret, compile_fn *fn, struct err *e)
{
	struct pattern_cache cache = {{NULL, 0}, NULL};
	struct buf b;
	char *text = NULL;
	int rc = 0;

	buf_init(&b, SIZE_MAX / 2);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		size_t start = b.len;
		struct civil t;

		ret->str[i].len = 0;
		if (!row_ok(c, i))
			continue;
		rc = pattern_at(c, i, fn, &cache, e);
		t = civil_from_ns(arg_i64(c, 0, i));
		for (uint32_t k = 0; rc >= 0 && k < cache.p->n; k++)
			write_item(&cache.p->items[k], &t, day_of_ns(arg_i64(c, 0, i)), &b);
		ret->str[i].len = b.len - start;
	}
	if (rc >= 0) {
		text = b.rc ? NULL : arena_alloc(c->arena, MAX(b.len, 1));
		if (!text)
			rc = func_no_memory(e);
		else if (b.len)
			memcpy(text, b.data, b.len);
	}
	buf_release(&b);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		ret->str[i].ptr = text;
		text += ret->str[i].len;
	}
	return rc;
}

static int date_format(struct fn_call *c, struct vec *ret, struct err *e)
{
	return format_rows(c, ret, mysql_compile, e);
}

static int format_datetime(struct fn_call *c, struct vec *ret, struct err *e)
{
	return format_rows(c, ret, joda_compile, e);
}

/* ---- reading ------------------------------------------------------------------------------------ */

struct reading {
	int64_t value[FIELDS]; /* -1: not there */
	int64_t offset_s;      /* of the zone, east positive */
};

static void skip(struct str *s, size_t n)
{
	s->ptr += n;
	s->len -= n;
}

static int take_number(const struct item *it, struct str *s, int64_t *ret)
{
	int most = it->fixed ? it->width : MAX(ranges[it->field].digits, it->width), n = 0;
	int64_t v = 0;

	for (; n < most && (size_t)n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9' && n < 18; n++)
		v = v * 10 + (s->ptr[n] - '0');
	if (n == 0 || (it->fixed && n < it->width))
		return -EINVAL;
	skip(s, (size_t)n);
	if (it->field == F_FRACTION) {
		for (; n > 9; n--)
			v /= 10;
		for (; n < 9; n++)
			v *= 10;
	}
	if (v < ranges[it->field].lo || v > ranges[it->field].hi)
		return -EINVAL;
	if (it->field == F_YEAR2)
		v += v < 70 ? 2000 : 1900;
	*ret = v;
	return 0;
}

/* 1-based; the full name where it stands there, else its first three letters. */
static int take_name(struct str *s, const char *const *names, int n, int64_t *ret)
{
	for (int full = 1; full >= 0; full--)
		for (int i = 0; i < n; i++) {
			struct str name = {names[i], full ? strlen(names[i]) : 3};

			if (s->len >= name.len && str_ieq((struct str){s->ptr, name.len}, name)) {
				skip(s, name.len);
				*ret = i + 1;
				return 0;
			}
		}
	return -EINVAL;
}

/* +hh, +hhmm, +hh:mm, Z */
static int take_offset(struct str *s, int64_t *ret_s)
{
	int64_t sign, h, m = 0;

	if (s->len && *s->ptr == 'Z') {
		skip(s, 1);
		*ret_s = 0;
		return 0;
	}
	if (!s->len || (*s->ptr != '+' && *s->ptr != '-'))
		return -EINVAL;
	sign = *s->ptr == '-' ? -1 : 1;
	skip(s, 1);
	h = text_take_digits(s, 2);
	if (s->len && (*s->ptr == ':' || (*s->ptr >= '0' && *s->ptr <= '9'))) {
		if (*s->ptr == ':')
			skip(s, 1);
		m = text_take_digits(s, 2);
	}
	if (h < 0 || h > 18 || m < 0 || m > 59)
		return -EINVAL;
	*ret_s = sign * (h * 3600 + m * 60);
	return 0;
}

/* Abbreviations of fixed meaning; regions with changing offsets are refused rather than guessed. */
static int take_zone(struct str *s, int64_t *ret_s)
{
	static const struct {
		const char *name;
		int minutes;
	} zones[] = {
		{"UTC", 0},     {"GMT", 0},     {"UT", 0},      {"EST", -300},  {"EDT", -240},  {"CST", -360},
		{"CDT", -300},  {"MST", -420},  {"MDT", -360},  {"PST", -480},  {"PDT", -420},  {"AKST", -540},
		{"AKDT", -480}, {"HST", -600},  {"WET", 0},     {"WEST", 60},   {"CET", 60},    {"CEST", 120},
		{"EET", 120},   {"EEST", 180},  {"MSK", 180},   {"BST", 60},    {"IST", 330},   {"JST", 540},
		{"KST", 540},   {"AEST", 600},  {"AEDT", 660},  {"ACST", 570},  {"AWST", 480},  {"NZST", 720},
		{"NZDT", 780},
	};
	size_t n = 0;

	while (n < s->len && (is_letter(s->ptr[n]) || s->ptr[n] == '/' || s->ptr[n] == '_'))
		n++;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (str_ieq((struct str){s->ptr, n}, str_from(zones[i].name))) {
			skip(s, n);
			*ret_s = zones[i].minutes * INT64_C(60);
			return 0;
		}
	return take_offset(s, ret_s);
}

static int read_item(const struct item *it, struct str *s, struct reading *r)
{
	static const char *const halves[] = {"AM ", "PM "}, *const eras[] = {"AD "};
	int64_t *v = &r->value[it->field];
	int rc;

	switch (it->field) {
	case F_LITERAL:
		if (s->len < it->text.len || memcmp(s->ptr, it->text.ptr, it->text.len) != 0)
			return -EINVAL;
		skip(s, it->text.len);
		return 0;
	case F_WEEKDAY_NAME:
		return take_name(s, day_names, 7, &r->value[F_WEEKDAY]);
	case F_MONTH_NAME:
		return take_name(s, month_names, 12, &r->value[F_MONTH]);
	case F_HALF:
	case F_ERA:
		for (int i = 0; i < (it->field == F_HALF ? 2 : 1); i++) {
			struct str word = {it->field == F_HALF ? halves[i] : eras[i], 2};

			if (s->len >= 2 && str_ieq((struct str){s->ptr, 2}, word)) {
				skip(s, 2);
				*v = i;
				return 0;
			}
		}
		return -EINVAL;
	case F_ZONE_NAME:
		return take_zone(s, &r->offset_s);
	case F_ZONE:
		return take_offset(s, &r->offset_s);
	case F_YEAR2:
		rc = take_number(it, s, &r->value[F_YEAR]);
		return rc;
	default:
		return take_number(it, s, v);
	}
}

static int64_t or_else(int64_t v, int64_t other)
{
	return v >= 0 ? v : other;
}

/* What was read, as an instant. -EINVAL no such day, -ERANGE. */
static int resolve(const struct reading *r, int64_t *ret)
{
	const int64_t *v = r->value;
	int64_t year = or_else(v[F_YEAR], 1970), days, hour = or_else(v[F_HOUR], 0);
	i128 ns;

	if (v[F_WEEK] >= 0 || v[F_WEEK_YEAR] >= 0) {
		int64_t week_year = or_else(v[F_WEEK_YEAR], year), week = or_else(v[F_WEEK], 1);

		if (week == 53 && iso_week_start(week_year, 53) >= iso_week_start(week_year + 1, 1))
			return -EINVAL;
		days = iso_week_start(week_year, (int)week) + or_else(v[F_WEEKDAY], 1) - 1;
	} else if (v[F_DAY_OF_YEAR] >= 0 && v[F_MONTH] < 0) {
		if (v[F_DAY_OF_YEAR] == 366 && civil_days_in_month(year, 2) != 29)
			return -EINVAL;
		days = civil_to_days(year, 1, 1) + v[F_DAY_OF_YEAR] - 1;
	} else {
		int month = (int)or_else(v[F_MONTH], 1), day = (int)or_else(v[F_DAY], 1);

		if (day > civil_days_in_month(year, month))
			return -EINVAL;
		days = civil_to_days(year, month, day);
	}
	if (v[F_HOUR_1_24] >= 0)
		hour = v[F_HOUR_1_24] % 24;
	if (v[F_HOUR_1_12] >= 0 || v[F_HOUR_0_11] >= 0)
		hour = or_else(v[F_HOUR_1_12], or_else(v[F_HOUR_0_11], 0)) % 12 + 12 * (v[F_HALF] == 1);
	ns = ((((i128)days * 24 + hour) * 60 + or_else(v[F_MINUTE], 0)) * 60 + or_else(v[F_SECOND], 0) -
	      r->offset_s) * NS_PER_S + or_else(v[F_FRACTION], 0);
	if (ns < INT64_MIN || ns > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)ns;
	return 0;
}

static int parse_rows(struct fn_call *c, struct vec *ret, compile_fn *fn, struct err *e)
{
	struct pattern_cache cache = {{NULL, 0}, NULL};

	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = arg_str(c, 0, i), rest = s;
		struct reading r;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = pattern_at(c, i, fn, &cache, e);
		if (rc < 0)
			return rc;
		r.offset_s = 0;
		for (int f = 0; f < FIELDS; f++)
			r.value[f] = -1;
		for (uint32_t k = 0; rc >= 0 && k < cache.p->n; k++)
			rc = read_item(&cache.p->items[k], &rest, &r);
		if (rc >= 0)
			rc = rest.len ? -EINVAL : resolve(&r, &ret->i64[i]);
		if (rc == -ERANGE)
			return timestamp_out_of_range(e);
		if (rc < 0)
			return err_set(e, -EINVAL, "'%.*s' does not match the date format '%.*s'", STR_FMT(s),
				       STR_FMT(arg_str(c, 1, i)));
	}
	return 0;
}

static int date_parse(struct fn_call *c, struct vec *ret, struct err *e)
{
	return parse_rows(c, ret, mysql_compile, e);
}

static int parse_datetime(struct fn_call *c, struct vec *ret, struct err *e)
{
	return parse_rows(c, ret, joda_compile, e);
}

#define PREPARED(n, p, r, k, prep, h) \
	{.name = n, .params = p, .ret = r, .scalar = k, .prepare = prep, .group = GROUP, .help = h}

const struct func func_rows_format[] = {
	PREPARED("date_format", "timestamp, varchar", "varchar", date_format, mysql_prepare,
		 "as text by a MySQL format such as %Y-%m-%d %H:%i:%s"),
	PREPARED("date_parse", "varchar, varchar", "timestamp", date_parse, mysql_prepare,
		 "from text by a MySQL format"),
	PREPARED("format_datetime", "timestamp, varchar", "varchar", format_datetime, joda_prepare,
		 "as text by a Joda format such as yyyy-MM-dd HH:mm:ss"),
	PREPARED("parse_datetime", "varchar, varchar", "timestamp", parse_datetime, joda_prepare,
		 "from text by a Joda format; zones are converted to UTC"),
	FUNC_END,
};
