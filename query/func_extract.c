/*
 * func_extract: the parts of dates, times and intervals. EXTRACT(field FROM x) is the function of the
 * field's name.
 */
#include "query/func_impl.h"
#include "query/func_time.h"

#define GROUP "Date / time"

static int64_t year_of(int64_t days)
{
	int64_t y;
	int m, d;

	civil_from_days(days, &y, &m, &d);
	return y;
}

static int64_t month_of(int64_t days)
{
	int64_t y;
	int m, d;

	civil_from_days(days, &y, &m, &d);
	return m;
}

static int64_t quarter_of(int64_t days)
{
	return (month_of(days) + 2) / 3;
}

static int64_t day_of(int64_t days)
{
	int64_t y;
	int m, d;

	civil_from_days(days, &y, &m, &d);
	return d;
}

static int64_t day_of_year_of(int64_t days)
{
	return days - civil_to_days(year_of(days), 1, 1) + 1;
}

static int64_t day_of_week_of(int64_t days)
{
	return iso_weekday(days);
}

static int64_t week_of(int64_t days)
{
	int64_t y;
	int w;

	iso_week(days, &y, &w);
	return w;
}

static int64_t year_of_week_of(int64_t days)
{
	int64_t y;
	int w;

	iso_week(days, &y, &w);
	return y;
}

/*
 * Parts of the day count: a kernel for dates and one for timestamps, which come in order, so that the
 * day of the row before is mostly right again.
 */
#define DAY_PARTS(X) \
	X(year) X(quarter) X(month) X(week) X(day) X(day_of_week) X(day_of_year) X(year_of_week)

#define DEFINE(part)                                                                               \
	static int part##_date(struct fn_call *c, struct vec *ret, struct err *e)                  \
	{                                                                                          \
		for (uint32_t i = 0; i < c->n; i++)                                                \
			if (row_ok(c, i))                                                          \
				ret->i64[i] = part##_of(c->args[0].i64[i]);                        \
		return 0;                                                                          \
	}                                                                                          \
	static int part##_timestamp(struct fn_call *c, struct vec *ret, struct err *e)             \
	{                                                                                          \
		int64_t last = INT64_MIN, value = 0;                                               \
		for (uint32_t i = 0; i < c->n; i++) {                                              \
			int64_t days = floor_div(c->args[0].i64[i], NS_PER_DAY);                   \
			if (days != last) {                                                        \
				last = days;                                                       \
				value = part##_of(days);                                           \
			}                                                                          \
			ret->i64[i] = value;                                                       \
		}                                                                                  \
		return 0;                                                                          \
	}
DAY_PARTS(DEFINE)

/* Parts of the day: of a timestamp (floored), a time, an interval (with its sign). */
#define TIME_PARTS(X)                                    \
	X(hour, / (3600 * NS_PER_S) % 24)                \
	X(minute, / (60 * NS_PER_S) % 60)                \
	X(second, / NS_PER_S % 60)                       \
	X(millisecond, % NS_PER_S / NS_PER_MS)           \
	X(nanosecond, % NS_PER_S)
#define DEFINE_TIME(part, how)                                                                     \
	FN_UNARY(part##_timestamp, int64_t, i64, int64_t, i64, ns_of_day(x) how)                    \
	FN_UNARY(part##_plain, int64_t, i64, int64_t, i64, x how)
TIME_PARTS(DEFINE_TIME)

FN_UNARY(interval_day, int64_t, i64, int64_t, i64, x / NS_PER_DAY)
FN_UNARY(interval_year, int64_t, i64, int64_t, i64, x / 12)
FN_UNARY(interval_month, int64_t, i64, int64_t, i64, x % 12)

#define DAY_ROWS(name, part, help)                                      \
	SCALAR(name, "timestamp", "bigint", part##_timestamp, help),    \
	SCALAR(name, "date", "bigint", part##_date, help)
#define TIME_ROWS(part, help)                                           \
	SCALAR(#part, "timestamp", "bigint", part##_timestamp, help),   \
	SCALAR(#part, "time", "bigint", part##_plain, help),            \
	SCALAR(#part, "interval", "bigint", part##_plain, help)

const struct func func_rows_extract[] = {
	DAY_ROWS("year", year, "the year"),
	SCALAR("year", "interval year to month", "bigint", interval_year, "whole years of the interval"),
	DAY_ROWS("quarter", quarter, "the quarter, 1 to 4"),
	DAY_ROWS("month", month, "the month, 1 to 12"),
	SCALAR("month", "interval year to month", "bigint", interval_month,
	       "months of the interval beyond whole years"),
	DAY_ROWS("week", week, "the ISO week, 1 to 53"),
	DAY_ROWS("week_of_year", week, "the ISO week, 1 to 53"),
	DAY_ROWS("day", day, "the day of the month"),
	SCALAR("day", "interval", "bigint", interval_day, "whole days of the interval"),
	DAY_ROWS("day_of_month", day, "the day of the month"),
	SCALAR("day_of_month", "interval", "bigint", interval_day, "whole days of the interval"),
	DAY_ROWS("day_of_week", day_of_week, "the day of the week, 1 = Monday to 7 = Sunday"),
	DAY_ROWS("dow", day_of_week, "the day of the week, 1 = Monday to 7 = Sunday"),
	DAY_ROWS("day_of_year", day_of_year, "the day of the year, 1 to 366"),
	DAY_ROWS("doy", day_of_year, "the day of the year, 1 to 366"),
	DAY_ROWS("year_of_week", year_of_week, "the year that the ISO week belongs to"),
	DAY_ROWS("yow", year_of_week, "the year that the ISO week belongs to"),
	TIME_ROWS(hour, "the hour of the day"),
	TIME_ROWS(minute, "the minute of the hour"),
	TIME_ROWS(second, "the second of the minute"),
	TIME_ROWS(millisecond, "the millisecond of the second"),
	TIME_ROWS(nanosecond, "the nanosecond of the second"),
	FUNC_END,
};
