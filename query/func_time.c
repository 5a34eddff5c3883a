/*
 * func_time: now and its kin, conversion of timestamps from and to numbers and ISO 8601 text,
 * date_trunc, date_add, date_diff.
 */
#include "query/func_time.h"

#include "query/func_impl.h"
#include "query/text.h"

#include <math.h>
#include <stdio.h>

#define GROUP "Date / time"

/* ---- weeks -------------------------------------------------------------------------------------- */

int iso_weekday(int64_t days)
{
	return (int)(days + 3 - floor_div(days + 3, 7) * 7) + 1; /* 1970-01-01 was a Thursday */
}

void iso_week(int64_t days, int64_t *ret_year, int *ret_week)
{
	/* The year of a week is its Thursday's, the number which of that year's Thursdays it is. */
	int64_t thursday = days + 4 - iso_weekday(days);
	int month, day;

	civil_from_days(thursday, ret_year, &month, &day);
	*ret_week = (int)((thursday - civil_to_days(*ret_year, 1, 1)) / 7) + 1;
}

int64_t iso_week_start(int64_t year, int week)
{
	int64_t jan4 = civil_to_days(year, 1, 4); /* always in week 1 */

	return jan4 - iso_weekday(jan4) + 1 + (week - 1) * INT64_C(7);
}

/* ---- now ---------------------------------------------------------------------------------------- */

#define NOW(fn, EXPR)                                                                              \
	static int fn(struct fn_call *c, struct vec *ret, struct err *e)                           \
	{                                                                                          \
		int64_t now = c->exec->now_ns;                                                     \
		for (uint32_t i = 0; i < c->n; i++)                                                \
			ret->i64[i] = (EXPR);                                                      \
		return 0;                                                                          \
	}
NOW(now_timestamp, now)
NOW(now_date, floor_div(now, NS_PER_DAY))
NOW(now_time, ns_of_day(now))

static int timezone_name(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		ret->str[i] = STR_LIT("UTC");
	return 0;
}

/* ---- conversion --------------------------------------------------------------------------------- */

FN_UNARY(timestamp_date, int64_t, i64, int64_t, i64, floor_div(x, NS_PER_DAY))
FN_UNARY(same_i64, int64_t, i64, int64_t, i64, x)
FN_UNARY(to_milliseconds, int64_t, i64, int64_t, i64, floor_div(x, NS_PER_MS))
FN_UNARY(to_unixtime, int64_t, i64, double, f64, (double)x / 1e9)

static int64_t month_end(int64_t days)
{
	int64_t year;
	int month, day;

	civil_from_days(days, &year, &month, &day);
	return days - day + civil_days_in_month(year, month);
}

static int date_of_text(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec out;
	int rc = cast_vec(c->arena, &c->args[0], c->n, &type_timestamp, true, &out, e);

	/* date(x) takes what a cast to date takes, and a timestamp's text too. */
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct str s = arg_str(c, 0, i);

		if (!row_ok(c, i) || date_parse_days(s, &ret->i64[i]) >= 0)
			continue;
		if (vec_is_null(&out, i))
			return err_set(e, -EINVAL, "cannot cast '%.*s' to date", STR_FMT(s));
		ret->i64[i] = floor_div(out.i64[i], NS_PER_DAY);
	}
	return rc;
}

static int last_day_of_date(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (row_ok(c, i))
			ret->i64[i] = month_end(arg_i64(c, 0, i));
	return 0;
}

static int last_day_of_timestamp(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (row_ok(c, i))
			ret->i64[i] = month_end(floor_div(arg_i64(c, 0, i), NS_PER_DAY));
	return 0;
}

#define MS_TO_NS(x, r) __builtin_mul_overflow(x, NS_PER_MS, r)
#define BAD_TS(x) timestamp_out_of_range(e)
FN_CHECKED_UNARY(from_milliseconds, MS_TO_NS, BAD_TS)

/*
 * Seconds in a double: whole seconds and fraction are converted apart, so that whole seconds and
 * binary fractions are exact over the whole range.
 */
static int from_unixtime(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		double x, whole;
		i128 ns;

		if (!row_ok(c, i))
			continue;
		x = arg_f64(c, 0, i);
		whole = floor(x);
		if (!(whole > -1e10 && whole < 1e10))
			return timestamp_out_of_range(e);
		ns = (i128)whole * NS_PER_S + (i128)round((x - whole) * 1e9);
		if (ns < INT64_MIN || ns > INT64_MAX)
			return timestamp_out_of_range(e);
		ret->i64[i] = (int64_t)ns;
	}
	return 0;
}

/* ---- ISO 8601 ----------------------------------------------------------------------------------- */

static bool take(struct str *s, char c)
{
	if (!s->len || *s->ptr != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

/* 2022-07-17, 2022-07, 2022, 2022-W10-3, 2022-W10, 2022-123 */
static int take_iso_date(struct str *s, int64_t *ret)
{
	int64_t y = text_take_digits(s, 4), m, d;
	struct str save;

	if (y < 0)
		return -EINVAL;
	*ret = civil_to_days(y, 1, 1);
	if (!take(s, '-'))
		return 0;
	if (take(s, 'W')) {
		m = text_take_digits(s, 2);
		d = take(s, '-') ? text_take_digits(s, 1) : 1;
		/* A year has 53 weeks where the 53rd does not belong to the next one. */
		if (m < 1 || m > 53 || d < 1 || d > 7 ||
		    (m == 53 && iso_week_start(y, 53) >= iso_week_start(y + 1, 1)))
			return -EINVAL;
		*ret = iso_week_start(y, (int)m) + d - 1;
		return 0;
	}
	save = *s;
	d = text_take_digits(s, 3);
	if (d >= 0 && (!s->len || *s->ptr == 'T')) {
		if (d < 1 || d > 365 + (civil_days_in_month(y, 2) == 29))
			return -EINVAL;
		*ret += d - 1;
		return 0;
	}
	*s = save;
	m = text_take_digits(s, 2);
	if (m < 1 || m > 12)
		return -EINVAL;
	d = 1;
	if (take(s, '-')) {
		d = text_take_digits(s, 2);
		if (d < 1 || d > civil_days_in_month(y, (int)m))
			return -EINVAL;
	}
	*ret = civil_to_days(y, (int)m, (int)d);
	return 0;
}

/* hh[:mm[:ss[.f]]][Z|+hh[:mm]] as ns to add to the date's midnight UTC. */
static int take_iso_time(struct str *s, int64_t *ret)
{
	int64_t h = text_take_digits(s, 2), m = 0, sec = 0, frac = 0, oh, om = 0;
	int sign = 0;

	if (h < 0 || h > 23)
		return -EINVAL;
	if (take(s, ':')) {
		m = text_take_digits(s, 2);
		if (take(s, ':')) {
			sec = text_take_digits(s, 2);
			if (s->len && *s->ptr == ',')
				return -EINVAL;
			frac = text_take_fraction(s);
		}
	}
	if (m < 0 || m > 59 || sec < 0 || sec > 59 || frac < 0)
		return -EINVAL;
	*ret = ((h * 60 + m) * 60 + sec) * NS_PER_S + frac;
	if (take(s, 'Z') || !s->len)
		return 0;
	sign = take(s, '+') ? 1 : take(s, '-') ? -1 : 0;
	oh = text_take_digits(s, 2);
	if (s->len) {
		take(s, ':');
		om = text_take_digits(s, 2);
	}
	if (!sign || oh < 0 || oh > 18 || om < 0 || om > 59)
		return -EINVAL;
	*ret -= sign * (oh * 60 + om) * 60 * NS_PER_S;
	return 0;
}

static int from_iso8601_date(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = arg_str(c, 0, i), rest = s;

		if (row_ok(c, i) && (take_iso_date(&rest, &ret->i64[i]) < 0 || rest.len))
			return err_set(e, -EINVAL, "'%.*s' is not an ISO 8601 date", STR_FMT(s));
	}
	return 0;
}

static int from_iso8601_timestamp(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = arg_str(c, 0, i), rest = s;
		int64_t days, ns = 0;
		i128 total;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = take_iso_date(&rest, &days);
		if (rc >= 0 && take(&rest, 'T'))
			rc = take_iso_time(&rest, &ns);
		if (rc < 0 || rest.len)
			return err_set(e, -EINVAL, "'%.*s' is not an ISO 8601 timestamp", STR_FMT(s));
		total = (i128)days * NS_PER_DAY + ns;
		if (total < INT64_MIN || total > INT64_MAX)
			return timestamp_out_of_range(e);
		ret->i64[i] = (int64_t)total;
	}
	return 0;
}

/* ISO_MAX bytes a row, in one piece. */
#define ISO_MAX 32
static int to_iso8601(struct fn_call *c, struct vec *ret, bool is_date, struct err *e)
{
	char *p = arena_alloc(c->arena, (size_t)MAX(c->n, 1) * ISO_MAX);

	if (!p)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++, p += ISO_MAX) {
		size_t n;

		if (!row_ok(c, i))
			continue;
		if (is_date) {
			n = date_format_days(p, arg_i64(c, 0, i));
		} else {
			n = timestamp_format(p, arg_i64(c, 0, i));
			p[10] = 'T';
			p[n++] = 'Z';
		}
		ret->str[i] = (struct str){p, n};
	}
	return 0;
}

static int to_iso8601_date(struct fn_call *c, struct vec *ret, struct err *e)
{
	return to_iso8601(c, ret, true, e);
}

static int to_iso8601_timestamp(struct fn_call *c, struct vec *ret, struct err *e)
{
	return to_iso8601(c, ret, false, e);
}

/* ---- units -------------------------------------------------------------------------------------- */

enum unit { U_NANOSECOND, U_MICROSECOND, U_MILLISECOND, U_SECOND, U_MINUTE, U_HOUR, U_DAY, U_WEEK, U_MONTH,
	    U_QUARTER, U_YEAR };

static const struct {
	const char *name;
	int64_t ns;     /* 0: counted in months */
	int64_t months;
} units[] = {
	[U_NANOSECOND] = {"nanosecond", 1, 0},
	[U_MICROSECOND] = {"microsecond", NS_PER_US, 0},
	[U_MILLISECOND] = {"millisecond", NS_PER_MS, 0},
	[U_SECOND] = {"second", NS_PER_S, 0},
	[U_MINUTE] = {"minute", 60 * NS_PER_S, 0},
	[U_HOUR] = {"hour", 3600 * NS_PER_S, 0},
	[U_DAY] = {"day", NS_PER_DAY, 0},
	[U_WEEK] = {"week", 7 * NS_PER_DAY, 0},
	[U_MONTH] = {"month", 0, 1},
	[U_QUARTER] = {"quarter", 0, 3},
	[U_YEAR] = {"year", 0, 12},
};

/* The unit of row i, from *last where it is the same text as before (it nearly always is). */
struct unit_cache {
	struct str text;
	enum unit unit;
};

static int unit_at(const struct fn_call *c, uint32_t i, struct unit_cache *last, struct err *e)
{
	struct str s = arg_str(c, 0, i);

	if (last->text.ptr && str_eq(s, last->text))
		return 0;
	for (size_t u = 0; u < ARRAY_LEN(units); u++)
		if (str_ieq(s, str_from(units[u].name))) {
			last->text = s;
			last->unit = (enum unit)u;
			return 0;
		}
	return err_set(e, -EINVAL, "'%.*s' is not a unit of time; there are nanosecond, microsecond, "
		       "millisecond, second, minute, hour, day, week, month, quarter and year", STR_FMT(s));
}

static int not_for(struct err *e, enum unit u, const char *type)
{
	return err_set(e, -EINVAL, "unit '%s' does not apply to a %s", units[u].name, type);
}

static int64_t trunc_days(int64_t days, enum unit u)
{
	int64_t year;
	int month, day;

	if (u <= U_DAY)
		return days;
	if (u == U_WEEK)
		return days - iso_weekday(days) + 1;
	civil_from_days(days, &year, &month, &day);
	if (u == U_YEAR)
		month = 1;
	else if (u == U_QUARTER)
		month = (month - 1) / 3 * 3 + 1;
	return civil_to_days(year, month, 1);
}

static int date_trunc_timestamp(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct unit_cache u = {{NULL, 0}, U_DAY};

	for (uint32_t i = 0; i < c->n; i++) {
		int64_t ns, count, width;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = unit_at(c, i, &u, e);
		if (rc < 0)
			return rc;
		ns = arg_i64(c, 1, i);
		width = u.unit < U_DAY ? units[u.unit].ns : NS_PER_DAY;
		count = floor_div(ns, width);
		if (u.unit > U_DAY)
			count = trunc_days(count, u.unit);
		if (__builtin_mul_overflow(count, width, &ret->i64[i]))
			return timestamp_out_of_range(e);
	}
	return 0;
}

static int date_trunc_date(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct unit_cache u = {{NULL, 0}, U_DAY};

	for (uint32_t i = 0; i < c->n; i++) {
		int rc = row_ok(c, i) ? unit_at(c, i, &u, e) : 0;

		if (rc < 0)
			return rc;
		if (!row_ok(c, i))
			continue;
		if (u.unit < U_DAY)
			return not_for(e, u.unit, "date");
		ret->i64[i] = trunc_days(arg_i64(c, 1, i), u.unit);
	}
	return 0;
}

static int date_trunc_time(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct unit_cache u = {{NULL, 0}, U_DAY};

	for (uint32_t i = 0; i < c->n; i++) {
		int rc = row_ok(c, i) ? unit_at(c, i, &u, e) : 0;

		if (rc < 0)
			return rc;
		if (!row_ok(c, i))
			continue;
		if (u.unit >= U_DAY)
			return not_for(e, u.unit, "time");
		ret->i64[i] = arg_i64(c, 1, i) - arg_i64(c, 1, i) % units[u.unit].ns;
	}
	return 0;
}

/* One date_add; -ERANGE, or -EINVAL where the unit does not fit the type. */
static int add_units(enum type_kind kind, enum unit u, int64_t n, int64_t x, int64_t *ret)
{
	int64_t by;

	if (units[u].months) {
		if (kind == TY_TIME)
			return -EINVAL;
		if (__builtin_mul_overflow(n, units[u].months, &by))
			return -ERANGE;
		return kind == TY_DATE ? date_add_months(x, by, ret) : timestamp_add_months(x, by, ret);
	}
	if (kind == TY_TIME) {
		if (u >= U_DAY)
			return -EINVAL;
		/* Only what is left after whole days counts. */
		by = n % (NS_PER_DAY / units[u].ns) * units[u].ns;
		*ret = (x + by + NS_PER_DAY) % NS_PER_DAY;
		return 0;
	}
	if (kind == TY_DATE) {
		if (u < U_DAY)
			return -EINVAL;
		if (__builtin_mul_overflow(n, u == U_WEEK ? 7 : 1, &by) ||
		    __builtin_add_overflow(x, by, ret))
			return -ERANGE;
		return *ret > 2932896 || *ret < -719528 ? -ERANGE : 0;
	}
	return __builtin_mul_overflow(n, units[u].ns, &by) || __builtin_add_overflow(x, by, ret) ? -ERANGE : 0;
}

static int date_add(struct fn_call *c, struct vec *ret, struct err *e)
{
	enum type_kind kind = c->args[2].type->kind;
	struct unit_cache u = {{NULL, 0}, U_DAY};

	for (uint32_t i = 0; i < c->n; i++) {
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = unit_at(c, i, &u, e);
		if (rc < 0)
			return rc;
		rc = add_units(kind, u.unit, arg_i64(c, 1, i), arg_i64(c, 2, i), &ret->i64[i]);
		if (rc == -EINVAL)
			return not_for(e, u.unit, kind == TY_DATE ? "date" : "time");
		if (rc < 0)
			return kind == TY_DATE ? err_set(e, -EINVAL, "date out of range")
					       : timestamp_out_of_range(e);
	}
	return 0;
}

/*
 * Whole months from a to b, both as days and ns of day. The last month counts only when its day and
 * time of day are reached; the last day of a short month reaches any later day.
 */
static int64_t months_between(int64_t a_days, int64_t a_ns, int64_t b_days, int64_t b_ns)
{
	int64_t ya, yb, m;
	int ma, mb, da, db, reached;

	if (b_days < a_days || (b_days == a_days && b_ns < a_ns))
		return -months_between(b_days, b_ns, a_days, a_ns);
	civil_from_days(a_days, &ya, &ma, &da);
	civil_from_days(b_days, &yb, &mb, &db);
	m = (yb - ya) * 12 + (mb - ma);
	reached = MIN(da, civil_days_in_month(yb, mb));
	return m - (db < reached || (db == reached && b_ns < a_ns));
}

static int date_diff(struct fn_call *c, struct vec *ret, struct err *e)
{
	enum type_kind kind = c->args[1].type->kind;
	struct unit_cache u = {{NULL, 0}, U_DAY};

	for (uint32_t i = 0; i < c->n; i++) {
		int64_t a, b;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = unit_at(c, i, &u, e);
		if (rc < 0)
			return rc;
		a = arg_i64(c, 1, i);
		b = arg_i64(c, 2, i);
		if ((kind == TY_TIME && u.unit >= U_DAY) || (kind == TY_DATE && u.unit < U_DAY))
			return not_for(e, u.unit, kind == TY_DATE ? "date" : "time");
		if (units[u.unit].months && kind == TY_DATE) {
			ret->i64[i] = months_between(a, 0, b, 0) / units[u.unit].months;
		} else if (units[u.unit].months) {
			int64_t ad = floor_div(a, NS_PER_DAY), bd = floor_div(b, NS_PER_DAY);
			uint64_t an = (uint64_t)a - (uint64_t)ad * NS_PER_DAY;
			uint64_t bn = (uint64_t)b - (uint64_t)bd * NS_PER_DAY;

			ret->i64[i] = months_between(ad, (int64_t)an, bd, (int64_t)bn) / units[u.unit].months;
		} else {
			i128 d = ((i128)b - a) / (kind == TY_DATE ? (u.unit == U_WEEK ? 7 : 1)
								  : units[u.unit].ns);

			if (d < INT64_MIN || d > INT64_MAX)
				return err_set(e, -EINVAL, "date_diff: the difference does not fit bigint");
			ret->i64[i] = (int64_t)d;
		}
	}
	return 0;
}

static int parse_duration(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct str s = arg_str(c, 0, i);
		struct duration d;
		int rc;

		if (!row_ok(c, i))
			continue;
		rc = duration_parse(str_trim(s), &d, e);
		if (rc < 0)
			return rc;
		if (d.is_months)
			return err_set(e, -EINVAL, "parse_duration: '%.*s' is not a day-to-second interval; "
				       "write it as a literal or INTERVAL 'n' MONTH", STR_FMT(s));
		ret->i64[i] = d.ns;
	}
	return 0;
}

/* 1 day, 8 hours, 1 second: what is not zero, in whole units. */
static int human_readable_seconds(struct fn_call *c, struct vec *ret, struct err *e)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} words[] = {{"week", 604800}, {"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};

	for (uint32_t i = 0; i < c->n; i++) {
		char text[160];
		size_t n = 0;
		int64_t left;

		if (!row_ok(c, i))
			continue;
		if (!(arg_f64(c, 0, i) >= 0 && arg_f64(c, 0, i) < 1e15))
			return err_set(e, -EINVAL, "human_readable_seconds: the seconds must be between 0 and 1e15");
		left = llround(arg_f64(c, 0, i));
		for (size_t u = 0; u < ARRAY_LEN(words); u++) {
			int64_t k = left / words[u].seconds;

			left %= words[u].seconds;
			if (k || (!n && words[u].seconds == 1))
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lld %s%s", n ? ", " : "",
						      (long long)k, words[u].name, k == 1 ? "" : "s");
		}
		ret->str[i] = arena_str(c->arena, (struct str){text, n});
		if (!ret->str[i].ptr)
			return func_no_memory(e);
	}
	return 0;
}

const struct func func_rows_time[] = {
	SCALAR_F("current_date", "", "date", now_date, FN_NOW, "today, UTC"),
	SCALAR_F("current_time", "", "time", now_time, FN_NOW, "the time of day, UTC"),
	SCALAR_F("localtime", "", "time", now_time, FN_NOW, "the time of day, UTC"),
	SCALAR_F("current_timestamp", "", "timestamp", now_timestamp, FN_NOW, "the statement's instant"),
	SCALAR_F("localtimestamp", "", "timestamp", now_timestamp, FN_NOW, "the statement's instant"),
	SCALAR_F("now", "", "timestamp", now_timestamp, FN_NOW, "the statement's instant"),
	SCALAR("current_timezone", "", "varchar", timezone_name, "always UTC"),
	SCALAR("date", "varchar", "date", date_of_text, "cast to date"),
	SCALAR("date", "timestamp", "date", timestamp_date, "the day of the timestamp"),
	SCALAR("date", "date", "date", same_i64, "the date itself"),
	SCALAR("last_day_of_month", "timestamp", "date", last_day_of_timestamp, "the last day of the month"),
	SCALAR("last_day_of_month", "date", "date", last_day_of_date, "the last day of the month"),
	SCALAR("from_iso8601_timestamp", "varchar", "timestamp", from_iso8601_timestamp,
	       "an ISO 8601 timestamp, converted to UTC"),
	SCALAR("from_iso8601_date", "varchar", "date", from_iso8601_date,
	       "an ISO 8601 date: 2022-07-17, 2022-W28-7, 2022-198"),
	SCALAR("to_iso8601", "timestamp", "varchar", to_iso8601_timestamp, "as ISO 8601 text"),
	SCALAR("to_iso8601", "date", "varchar", to_iso8601_date, "as ISO 8601 text"),
	SCALAR("from_milliseconds", "bigint", "timestamp", from_milliseconds, "milliseconds since 1970"),
	SCALAR("from_nanoseconds", "bigint", "timestamp", same_i64, "nanoseconds since 1970"),
	SCALAR("from_unixtime", "double", "timestamp", from_unixtime, "seconds since 1970, with a fraction"),
	SCALAR("from_unixtime_nanos", "bigint", "timestamp", same_i64, "nanoseconds since 1970"),
	SCALAR("human_readable_seconds", "double", "varchar", human_readable_seconds,
	       "seconds as weeks, days, hours, minutes and seconds in words, rounded to a second"),
	SCALAR("to_milliseconds", "timestamp", "bigint", to_milliseconds, "milliseconds since 1970"),
	SCALAR("to_milliseconds", "interval", "bigint", to_milliseconds, "the interval in milliseconds"),
	SCALAR("to_nanoseconds", "timestamp", "bigint", same_i64, "nanoseconds since 1970"),
	SCALAR("to_nanoseconds", "interval", "bigint", same_i64, "the interval in nanoseconds"),
	SCALAR("to_unixtime", "timestamp", "double", to_unixtime, "seconds since 1970, with a fraction"),
	SCALAR("date_trunc", "varchar, timestamp", "timestamp", date_trunc_timestamp,
	       "cut to second, minute, hour, day, week (Monday), month, quarter or year"),
	SCALAR("date_trunc", "varchar, date", "date", date_trunc_date, "cut to week, month, quarter or year"),
	SCALAR("date_trunc", "varchar, time", "time", date_trunc_time, "cut to second, minute or hour"),
	SCALAR("date_add", "varchar, bigint, timestamp", "timestamp", date_add, "so many units later"),
	SCALAR("date_add", "varchar, bigint, date", "date", date_add, "so many units later"),
	SCALAR("date_add", "varchar, bigint, time", "time", date_add, "so many units later, round midnight"),
	SCALAR("date_diff", "varchar, timestamp, timestamp", "bigint", date_diff,
	       "whole units from the first to the second; negative where it is earlier"),
	SCALAR("date_diff", "varchar, date, date", "bigint", date_diff,
	       "whole units from the first to the second; negative where it is earlier"),
	SCALAR("date_diff", "varchar, time, time", "bigint", date_diff,
	       "whole units from the first to the second; negative where it is earlier"),
	SCALAR("parse_duration", "varchar", "interval", parse_duration,
	       "an interval from text such as 42.8ms, 1 day or 72.5h"),
	FUNC_END,
};
