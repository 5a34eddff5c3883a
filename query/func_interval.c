/*
 * func_interval: operators on dates, times, timestamps and intervals; bin() and ago().
 */
#include "query/func_impl.h"
#include "query/func_time.h"

#include <math.h>

#include "engine/base/kernels.h"

#define GROUP "Date / time"

/* ---- calendar arithmetic ------------------------------------------------------------------------ */

#define DAYS_MAX INT64_C(2932896)  /* 9999-12-31 */
#define DAYS_MIN (-INT64_C(719528)) /* 0000-01-01 */

int timestamp_out_of_range(struct err *e)
{
	return err_set(e, -EINVAL, "timestamp out of range: results must lie between 1677-09-21 "
		       "00:12:43.145224192 and 2262-04-11 23:47:16.854775807");
}

static int date_out_of_range(struct err *e)
{
	return err_set(e, -EINVAL, "date out of range: results must lie in the years 0 to 9999");
}

int date_add_months(int64_t days, int64_t months, int64_t *ret)
{
	int64_t year, total, r;
	int month, day;

	if (days < DAYS_MIN || days > DAYS_MAX || months > 240000 || months < -240000)
		return -ERANGE;
	civil_from_days(days, &year, &month, &day);
	total = year * 12 + (month - 1) + months;
	year = floor_div(total, 12);
	month = (int)(total - year * 12) + 1;
	r = civil_to_days(year, month, MIN(day, civil_days_in_month(year, month)));
	if (r < DAYS_MIN || r > DAYS_MAX)
		return -ERANGE;
	*ret = r;
	return 0;
}

int timestamp_add_months(int64_t ns, int64_t months, int64_t *ret)
{
	int64_t days = floor_div(ns, NS_PER_DAY), to;
	i128 r;

	if (date_add_months(days, months, &to) < 0)
		return -ERANGE;
	r = (i128)to * NS_PER_DAY + ((i128)ns - (i128)days * NS_PER_DAY);
	if (r < INT64_MIN || r > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)r;
	return 0;
}

/* ---- + and - ------------------------------------------------------------------------------------ */

/* OP(x, y, r) for FN_CHECKED: true where it failed. */
static bool date_plus_ds(int64_t days, int64_t ns, int64_t *r)
{
	*r = 0;
	if (ns % NS_PER_DAY || __builtin_add_overflow(days, ns / NS_PER_DAY, r))
		return true;
	return *r < DAYS_MIN || *r > DAYS_MAX;
}

static bool date_minus_ds(int64_t days, int64_t ns, int64_t *r)
{
	return ns == INT64_MIN || date_plus_ds(days, -ns, r);
}

static bool date_plus_ym(int64_t days, int64_t months, int64_t *r)
{
	return date_add_months(days, months, r) < 0;
}

static bool date_minus_ym(int64_t days, int64_t months, int64_t *r)
{
	return months == INT64_MIN || date_add_months(days, -months, r) < 0;
}

static bool ts_plus_ym(int64_t ns, int64_t months, int64_t *r)
{
	return timestamp_add_months(ns, months, r) < 0;
}

static bool ts_minus_ym(int64_t ns, int64_t months, int64_t *r)
{
	return months == INT64_MIN || timestamp_add_months(ns, -months, r) < 0;
}

static bool time_plus_ds(int64_t t, int64_t ns, int64_t *r)
{
	int64_t day = ns % NS_PER_DAY; /* wraps round midnight */

	*r = (int64_t)(((uint64_t)t % NS_PER_DAY + (uint64_t)(day + NS_PER_DAY)) % NS_PER_DAY);
	return false;
}

static bool time_minus_ds(int64_t t, int64_t ns, int64_t *r)
{
	return time_plus_ds(t, -(ns % NS_PER_DAY), r);
}

#define SWAPPED(fn, op)                                                                            \
	static bool fn(int64_t x, int64_t y, int64_t *r)                                           \
	{                                                                                          \
		return op(y, x, r);                                                                \
	}
SWAPPED(ds_plus_date, date_plus_ds)
SWAPPED(ym_plus_date, date_plus_ym)
SWAPPED(ym_plus_ts, ts_plus_ym)
SWAPPED(ds_plus_time, time_plus_ds)

static int date_failed(struct err *e, int64_t ns)
{
	if (ns % NS_PER_DAY)
		return err_set(e, -EINVAL, "cannot add hours, minutes or seconds to a date; cast it to timestamp");
	return date_out_of_range(e);
}

static int interval_out_of_range(struct err *e)
{
	return err_set(e, -EINVAL, "interval out of range");
}

#define PLUS(x, y, r)  __builtin_add_overflow(x, y, r)
#define MINUS(x, y, r) __builtin_sub_overflow(x, y, r)
#define BAD_DATE_Y(x, y)   date_failed(e, y)
#define BAD_DATE_X(x, y)   date_failed(e, x)
#define BAD_DATE(x, y)     date_out_of_range(e)
#define BAD_TS(x, y)       timestamp_out_of_range(e)
#define BAD_INTERVAL(x, y) interval_out_of_range(e)
#define BAD_NEG(x)         interval_out_of_range(e)
#define NEGATE(x, r)       __builtin_sub_overflow(INT64_C(0), x, r)

FN_CHECKED(add_date_ds, date_plus_ds, BAD_DATE_Y)
FN_CHECKED(add_ds_date, ds_plus_date, BAD_DATE_X)
FN_CHECKED(sub_date_ds, date_minus_ds, BAD_DATE_Y)
FN_CHECKED(add_date_ym, date_plus_ym, BAD_DATE)
FN_CHECKED(add_ym_date, ym_plus_date, BAD_DATE)
FN_CHECKED(sub_date_ym, date_minus_ym, BAD_DATE)
FN_CHECKED(add_ts, PLUS, BAD_TS)
FN_CHECKED(sub_ts, MINUS, BAD_TS)
FN_CHECKED(add_ts_ym, ts_plus_ym, BAD_TS)
FN_CHECKED(add_ym_ts, ym_plus_ts, BAD_TS)
FN_CHECKED(sub_ts_ym, ts_minus_ym, BAD_TS)
FN_CHECKED(add_time, time_plus_ds, BAD_TS)
FN_CHECKED(add_ds_time, ds_plus_time, BAD_TS)
FN_CHECKED(sub_time, time_minus_ds, BAD_TS)
FN_CHECKED(add_interval, PLUS, BAD_INTERVAL)
FN_CHECKED(sub_interval, MINUS, BAD_INTERVAL)
FN_CHECKED_UNARY(neg_interval, NEGATE, BAD_NEG)

/* ---- * and / ------------------------------------------------------------------------------------ */

#define TIMES(x, y, r) __builtin_mul_overflow(x, y, r)
FN_CHECKED(mul_interval, TIMES, BAD_INTERVAL)

static bool interval_div(int64_t x, int64_t y, int64_t *r)
{
	*r = 0;
	if (y == 0 || (y == -1 && x == INT64_MIN))
		return true;
	*r = x / y;
	return false;
}

static int div_failed(struct err *e, int64_t y)
{
	return y ? interval_out_of_range(e) : err_set(e, -EINVAL, "division by zero");
}
#define BAD_DIV(x, y) div_failed(e, y)
FN_CHECKED(div_interval, interval_div, BAD_DIV)

/* By a double: rounded to the nearest ns or month. which: the argument that is the interval. */
static int scale_interval(struct fn_call *c, struct vec *ret, uint32_t which, bool divide, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		double by, r;

		if (!row_ok(c, i))
			continue;
		by = arg_f64(c, !which, i);
		if (divide && by == 0)
			return err_set(e, -EINVAL, "division by zero");
		r = (double)arg_i64(c, which, i);
		r = round(divide ? r / by : r * by);
		if (!(r >= -0x1p63 && r < 0x1p63))
			return interval_out_of_range(e);
		ret->i64[i] = (int64_t)r;
	}
	return 0;
}

static int mul_interval_f64(struct fn_call *c, struct vec *ret, struct err *e)
{
	return scale_interval(c, ret, 0, false, e);
}

static int mul_f64_interval(struct fn_call *c, struct vec *ret, struct err *e)
{
	return scale_interval(c, ret, 1, false, e);
}

static int div_interval_f64(struct fn_call *c, struct vec *ret, struct err *e)
{
	return scale_interval(c, ret, 0, true, e);
}

/* ---- bin, ago ----------------------------------------------------------------------------------- */

static int bin_one(int64_t ns, int64_t width, int64_t *ret, struct err *e)
{
	int64_t r;

	if (width <= 0)
		return err_set(e, -EINVAL, "bin: the interval must be positive");
	if (__builtin_mul_overflow(floor_div(ns, width), width, &r))
		return timestamp_out_of_range(e);
	*ret = r;
	return 0;
}

/*
 * Rows mostly come in time order, so the next ones are nearly always in the bin of the one before: a stretch of
 * them is looked for first, and a division done for the row behind it.
 */
static int bin(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct kernels *k = kernels();
	const struct vec *time = &c->args[0];
	bool is_plain = time->form == VEC_FLAT && c->args[1].form == VEC_CONST;
	int64_t start = 0;
	uint64_t width = 0; /* of the bin at hand; 0: none */

	for (uint32_t i = 0; i < c->n; i++) {
		if (is_plain && width) {
			uint32_t n = k->within(time->i64 + i, c->n - i, start, width);

			k->fill(ret->i64 + i, n, start);
			i += n;
			if (i == c->n)
				break;
		}
		int64_t ns = arg_i64(c, 0, i), w = arg_i64(c, 1, i);

		if (unlikely((uint64_t)w != width || ns < start || (uint64_t)ns - (uint64_t)start >= width)) {
			int rc;

			if (!row_ok(c, i))
				continue;
			rc = bin_one(ns, w, &start, e);
			if (rc < 0)
				return rc;
			width = (uint64_t)w;
		}
		ret->i64[i] = start;
	}
	return 0;
}

static int ago_ds(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (row_ok(c, i) && __builtin_sub_overflow(c->exec->now_ns, arg_i64(c, 0, i), &ret->i64[i]))
			return timestamp_out_of_range(e);
	return 0;
}

static int ago_ym(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (row_ok(c, i) && ts_minus_ym(c->exec->now_ns, arg_i64(c, 0, i), &ret->i64[i]))
			return timestamp_out_of_range(e);
	return 0;
}

#define DS "interval"
#define YM "interval year to month"

const struct func func_rows_interval[] = {
	OPERATOR("+", "timestamp, " DS, "timestamp", add_ts, "later"),
	OPERATOR("+", DS ", timestamp", "timestamp", add_ts, "later"),
	OPERATOR("+", "timestamp, " YM, "timestamp", add_ts_ym, "months later, on the last valid day"),
	OPERATOR("+", YM ", timestamp", "timestamp", add_ym_ts, "months later, on the last valid day"),
	OPERATOR("+", "date, " DS, "date", add_date_ds, "days later"),
	OPERATOR("+", DS ", date", "date", add_ds_date, "days later"),
	OPERATOR("+", "date, " YM, "date", add_date_ym, "months later, on the last valid day"),
	OPERATOR("+", YM ", date", "date", add_ym_date, "months later, on the last valid day"),
	OPERATOR("+", "time, " DS, "time", add_time, "later, round midnight"),
	OPERATOR("+", DS ", time", "time", add_ds_time, "later, round midnight"),
	OPERATOR("+", DS ", " DS, DS, add_interval, "sum"),
	OPERATOR("+", YM ", " YM, YM, add_interval, "sum"),
	OPERATOR("-", "timestamp, " DS, "timestamp", sub_ts, "earlier"),
	OPERATOR("-", "timestamp, " YM, "timestamp", sub_ts_ym, "months earlier, on the last valid day"),
	OPERATOR("-", "date, " DS, "date", sub_date_ds, "days earlier"),
	OPERATOR("-", "date, " YM, "date", sub_date_ym, "months earlier, on the last valid day"),
	OPERATOR("-", "time, " DS, "time", sub_time, "earlier, round midnight"),
	OPERATOR("-", DS ", " DS, DS, sub_interval, "difference"),
	OPERATOR("-", YM ", " YM, YM, sub_interval, "difference"),
	OPERATOR("*", DS ", bigint", DS, mul_interval, "multiple"),
	OPERATOR("*", "bigint, " DS, DS, mul_interval, "multiple"),
	OPERATOR("*", DS ", double", DS, mul_interval_f64, "multiple"),
	OPERATOR("*", "double, " DS, DS, mul_f64_interval, "multiple"),
	OPERATOR("*", YM ", bigint", YM, mul_interval, "multiple"),
	OPERATOR("*", "bigint, " YM, YM, mul_interval, "multiple"),
	OPERATOR("*", YM ", double", YM, mul_interval_f64, "multiple"),
	OPERATOR("*", "double, " YM, YM, mul_f64_interval, "multiple"),
	OPERATOR("/", DS ", bigint", DS, div_interval, "part"),
	OPERATOR("/", DS ", double", DS, div_interval_f64, "part"),
	OPERATOR("/", YM ", bigint", YM, div_interval, "part"),
	OPERATOR("/", YM ", double", YM, div_interval_f64, "part"),
	OPERATOR("neg", DS, DS, neg_interval, "negated"),
	OPERATOR("neg", YM, YM, neg_interval, "negated"),
	SCALAR("bin", "timestamp, " DS, "timestamp", bin,
	       "the start of the timestamp's interval, counted from 1970"),
	SCALAR_F("ago", DS, "timestamp", ago_ds, FN_NOW, "now() minus the interval"),
	SCALAR_F("ago", YM, "timestamp", ago_ym, FN_NOW, "now() minus the interval"),
	FUNC_END,
};
