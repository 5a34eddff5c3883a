/*
 * civil: the proleptic Gregorian calendar in UTC. Days count from 1970-01-01 = 0 and may be negative.
 */
#ifndef TIDE_CIVIL_H
#define TIDE_CIVIL_H

#include "engine/base/base.h"

struct civil {
	int64_t year;
	int month;  /* 1..12 */
	int day;    /* 1..31 */
	int hour, minute, second;
	int nanos;  /* 0..999999999 */
};

int64_t civil_to_days(int64_t year, int month, int day);
void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day);
int civil_days_in_month(int64_t year, int month);

/* Floor division, right for times before 1970. */
static inline int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

static inline int32_t day_of_ns(int64_t ns)
{
	return (int32_t)floor_div(ns, NS_PER_DAY);
}

struct civil civil_from_ns(int64_t ns);

/* -ERANGE when the instant does not fit int64 nanoseconds (1677-09-21 .. 2262-04-11). */
int civil_to_ns(const struct civil *c, int64_t *ret_ns);

#define TIMESTAMP_TEXT_LEN 29 /* "2022-06-17 10:15:00.000000000" */

/* Write the text form (no NUL); returns TIMESTAMP_TEXT_LEN. */
size_t timestamp_format(char *to, int64_t ns);

/*
 * A moment as people and programs write it: "2022-06-17", or with " 10:15" or "T10:15" behind it, seconds
 * ":00" and a fraction of one to nine digits behind that, and a zone: "Z", "+02", "+0200", "+02:00". Without
 * one it is UTC. -EINVAL: no such text. -ERANGE: does not fit (see civil_to_ns()).
 */
int instant_parse(struct str s, int64_t *ret_ns);

/* "2022-06-17" (no NUL); returns 10 (longer for years beyond 9999, sign before negative ones). */
size_t date_format_days(char *to, int64_t days);

#endif
