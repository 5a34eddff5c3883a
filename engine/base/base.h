/*
 * base: what every layer stands on. Nothing here knows about rows, files or SQL.
 *
 * Conventions of the whole tree, stated once:
 *   - functions return `int rc`: zero or positive is success, a negative errno is failure;
 *   - a function with something to tell takes a `struct err *` last (it may be NULL);
 *   - outputs are called ret_*, and are written on success only;
 *   - ownership: a parameter is borrowed (for the call) or taken; a result is lent (until when is
 *     said) or given (and freed with what is said);
 *   - verb pairs: init/release embedded, create/destroy heap, open/close files, get/put refcounts.
 */
#ifndef TIDE_BASE_H
#define TIDE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>

#define ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)       PICK_(<, a, b, __COUNTER__)
#define MAX(a, b)       PICK_(>, a, b, __COUNTER__)
#define likely(x)       __builtin_expect(!!(x), 1)
#define unlikely(x)     __builtin_expect(!!(x), 0)
#define must_check      __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/*
 * MIN() and MAX() look at each operand once. What is looked at twice may differ the second time, where another
 * thread changes it, and the result is then no bound at all. Not for constants outside of functions.
 */
#define PICK_(op, a, b, n) PICK_NAMED_(op, a, b, n)
#define PICK_NAMED_(op, a, b, n)                                \
	__extension__({                                         \
		__typeof__(1 ? (a) : (b)) pick_a##n = (a);      \
		__typeof__(1 ? (a) : (b)) pick_b##n = (b);      \
		pick_a##n op pick_b##n ? pick_a##n : pick_b##n; \
	})

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_DAY (INT64_C(86400) * NS_PER_S)

#include "engine/base/err.h"
#include "engine/base/str.h"
#include "engine/base/bits.h"
#include "engine/base/buf.h"
#include "engine/base/arena.h"
#include "engine/base/hash.h"
#include "engine/base/crc.h"
#include "engine/base/clock.h"
#include "engine/base/civil.h"
#include "engine/base/num.h"
#include "engine/base/duration.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"

#endif
