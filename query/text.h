/*
 * text: values as text and back; the forms people see. The scalar forms that are older than SQL
 * (numbers, timestamps, durations) come from engine/base.
 */
#ifndef TIDE_TEXT_H
#define TIDE_TEXT_H

#include "engine/base/base.h"

#define TIME_TEXT_LEN     18 /* "17:41:52.827000000" */
#define INTERVAL_TEXT_MAX 32 /* "-106751 23:47:16.854775808" and to spare */

/* No NUL; return the length. ns of day, in [0, NS_PER_DAY). */
size_t time_format(char *to, int64_t ns);
size_t interval_ds_format(char *to, int64_t ns);     /* "5 20:00:00.000000000", "-0 01:00:00..." */
size_t interval_ym_format(char *to, int64_t months); /* "4-2", "-0-8" */

/* Exactly `width` digits from the front of *s, which moves on; -1 where they are not there. */
int64_t text_take_digits(struct str *s, int width);

/* ".123": one to nine digits after a point, as nanoseconds; 0 where *s has no point; -1 malformed. */
int64_t text_take_fraction(struct str *s);

#endif
