/*
 * clock: nanoseconds since 1970 UTC, and nanoseconds that never jump.
 */
#ifndef TIDE_CLOCK_H
#define TIDE_CLOCK_H

#include "engine/base/base.h"

int64_t clock_now_ns(void);  /* wall time; tests may pin it with clock_pin() */
int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC; tests may pin it with clock_pin_mono() */
int64_t clock_boot_ns(void); /* since the machine's boot, also while it slept */

/* Tests only: wall time is `ns` from now on (0 = the real clock again). Any thread. */
void clock_pin(int64_t ns);
void clock_pin_mono(int64_t ns); /* the same; waiting with a time-out does not heed it */
void clock_pin_boot(int64_t ns); /* the same; while it is not pinned it follows a pinned clock_mono_ns() */

#endif
