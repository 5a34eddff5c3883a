/*
 * duration: `90s`, `12h`, `7d`, `42.8ms`, `1y`. A number, then a unit; SQL's interval literals and
 * the retention files share this one parser.
 *
 *	ns nanosecond, us microsecond, ms millisecond, s second, m minute, h hour, d day   -> ns
 *	y year, month                                                                       -> months
 */
#ifndef TIDE_DURATION_H
#define TIDE_DURATION_H

#include "engine/base/base.h"

struct duration {
	bool is_months;
	int64_t ns;     /* when !is_months */
	int64_t months; /* when is_months */
};

/*
 * The whole of s: digits[.digits], an optional blank, a unit (ASCII case-sensitive, singular).
 * Fractions are exact to the nanosecond, what is finer is cut; fractions of months are refused.
 * No sign. -EINVAL not a duration, -ERANGE too long for int64.
 */
int duration_parse(struct str s, struct duration *ret, struct err *e);

/* Is s (letters only) a unit name? The lexer asks. */
bool duration_is_unit(struct str s);

/* The shortest exact form with one unit: 21600 s -> "6h", 90 s -> "90s". No NUL; at most 24. */
size_t duration_format(char *to, int64_t ns);

#endif
