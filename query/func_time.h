/*
 * func_time: calendar arithmetic that the date and time functions share. Days since 1970, ns since
 * 1970 UTC; -ERANGE where a result leaves int64 ns (timestamps) or the years -9999..9999 (dates).
 */
#ifndef TIDE_FUNC_TIME_H
#define TIDE_FUNC_TIME_H

#include "query/type.h"

/* Months later, on the last valid day where the month is too short. */
int date_add_months(int64_t days, int64_t months, int64_t *ret);
int timestamp_add_months(int64_t ns, int64_t months, int64_t *ret);

/* ISO 8601: weeks begin on Monday, the first has the year's first Thursday. */
int iso_weekday(int64_t days); /* 1 = Monday .. 7 = Sunday */
void iso_week(int64_t days, int64_t *ret_year, int *ret_week);
int64_t iso_week_start(int64_t year, int week); /* its Monday, in days */

/* The time of day of a timestamp; the day itself may begin before the first one there is. */
static inline int64_t ns_of_day(int64_t ns)
{
	int64_t r = ns % NS_PER_DAY;

	return r < 0 ? r + NS_PER_DAY : r;
}

int timestamp_out_of_range(struct err *e); /* -EINVAL and the sentence */

#endif
