#include "engine/base/base.h"

#include <stdio.h>

/* Eras of 400 years with the year starting in March, so that the leap day comes last. */

int64_t civil_to_days(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = floor_div(y, 400);
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	days += 719468;
	int64_t era = floor_div(days, 146097);
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_month = (int)(mp + (mp < 10 ? 3 : -9));
	*ret_year = yoe + era * 400 + (*ret_month <= 2);
}

int civil_days_in_month(int64_t y, int m)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return m == 2 && leap ? 29 : days[m - 1];
}

/* Unsigned, because the first day of int64 begins before int64 does. */
static int64_t ns_in_day(int64_t ns, int64_t days)
{
	return (int64_t)((uint64_t)ns - (uint64_t)days * (uint64_t)NS_PER_DAY);
}

struct civil civil_from_ns(int64_t ns)
{
	struct civil c;
	int64_t days = floor_div(ns, NS_PER_DAY);
	int64_t rest = ns_in_day(ns, days);

	civil_from_days(days, &c.year, &c.month, &c.day);
	c.nanos = (int)(rest % NS_PER_S);
	rest /= NS_PER_S;
	c.second = (int)(rest % 60);
	c.minute = (int)(rest / 60 % 60);
	c.hour = (int)(rest / 3600);
	return c;
}

int civil_to_ns(const struct civil *c, int64_t *ret_ns)
{
	int64_t days = civil_to_days(c->year, c->month, c->day);
	__extension__ __int128 ns = (__int128)days * NS_PER_DAY +
				    (c->hour * 3600 + c->minute * 60 + c->second) * NS_PER_S +
				    c->nanos;

	if (ns < INT64_MIN || ns > INT64_MAX)
		return -ERANGE;
	*ret_ns = (int64_t)ns;
	return 0;
}

/* Exactly n digits, or -1. */
static int take_digits(struct str *s, size_t n)
{
	int v = 0;

	if (s->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)(s->ptr[i] - '0') >= 10)
			return -1;
		v = v * 10 + (s->ptr[i] - '0');
	}
	s->ptr += n;
	s->len -= n;
	return v;
}

static bool take_char(struct str *s, char c)
{
	if (!s->len || *s->ptr != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

/* Behind the '.'. */
static int take_fraction(struct str *s)
{
	int v = 0, n = 0;

	for (; s->len && (unsigned char)(*s->ptr - '0') < 10; s->ptr++, s->len--, n++) {
		if (n == 9)
			return -1;
		v = v * 10 + (*s->ptr - '0');
	}
	for (int i = n; n && i < 9; i++)
		v *= 10;
	return n ? v : -1;
}

/* Minutes east of UTC; -EINVAL where the rest of s is no zone. */
static int take_zone(struct str *s, int *ret_minutes)
{
	*ret_minutes = 0;
	if (!s->len || take_char(s, 'Z'))
		return s->len ? -EINVAL : 0;
	int sign = take_char(s, '-') ? -1 : take_char(s, '+') ? 1 : 0;
	int h = take_digits(s, 2), m = 0;
	if (s->len) {
		take_char(s, ':');
		m = take_digits(s, 2);
	}
	if (!sign || h < 0 || h > 18 || m < 0 || m > 59 || s->len)
		return -EINVAL;
	*ret_minutes = sign * (h * 60 + m);
	return 0;
}

int instant_parse(struct str s, int64_t *ret_ns)
{
	struct civil c = {.year = take_digits(&s, 4)};
	int zone = 0;

	if (c.year < 0 || !take_char(&s, '-') || (c.month = take_digits(&s, 2)) < 1 || c.month > 12 ||
	    !take_char(&s, '-') || (c.day = take_digits(&s, 2)) < 1 || c.day > civil_days_in_month(c.year, c.month))
		return -EINVAL;
	if (s.len) {
		if (!take_char(&s, 'T') && !take_char(&s, ' '))
			return -EINVAL;
		c.hour = take_digits(&s, 2);
		if (!take_char(&s, ':'))
			return -EINVAL;
		c.minute = take_digits(&s, 2);
		if (take_char(&s, ':')) {
			c.second = take_digits(&s, 2);
			c.nanos = take_char(&s, '.') ? take_fraction(&s) : 0;
		}
		if (c.hour < 0 || c.hour > 23 || c.minute < 0 || c.minute > 59 || c.second < 0 || c.second > 59 ||
		    c.nanos < 0 || take_zone(&s, &zone) < 0)
			return -EINVAL;
	}
	c.minute -= zone;
	return civil_to_ns(&c, ret_ns);
}

static char *two(char *p, int v)
{
	p[0] = (char)('0' + v / 10);
	p[1] = (char)('0' + v % 10);
	return p + 2;
}

size_t date_format_days(char *to, int64_t days)
{
	int64_t y;
	int m, d;

	civil_from_days(days, &y, &m, &d);
	if (y < 0 || y > 9999)
		return (size_t)sprintf(to, "%04lld-%02d-%02d", (long long)y, m, d);
	char *p = two(two(to, (int)(y / 100)), (int)(y % 100));
	*p++ = '-';
	p = two(p, m);
	*p++ = '-';
	two(p, d);
	return 10;
}

size_t timestamp_format(char *to, int64_t ns)
{
	int64_t days = floor_div(ns, NS_PER_DAY);
	int64_t rest = ns_in_day(ns, days);
	int nanos = (int)(rest % NS_PER_S);
	int s = (int)(rest / NS_PER_S);

	date_format_days(to, days);
	char *p = to + 10;
	*p++ = ' ';
	p = two(p, s / 3600);
	*p++ = ':';
	p = two(p, s / 60 % 60);
	*p++ = ':';
	p = two(p, s % 60);
	*p++ = '.';
	for (int i = 8; i >= 0; i--) {
		p[i] = (char)('0' + nanos % 10);
		nanos /= 10;
	}
	return TIMESTAMP_TEXT_LEN;
}
