/*
 * log: one line per event, for whoever runs the daemon.
 *
 *	2026-01-01T00:00:00.123456Z info mount data="/var/lib/tide" tables=12
 *
 * UTC time, level, module, then what happened, as words and key=value. Names that users chose are
 *put in quotes with log_quote(). Only fs/ logs; engine and query return errors and bump counters.
 *
 * Levels follow frequency: error and warn need a human, info is per daemon lifetime, debug per
 *flush or query, trace per request. TIDE_LOG=info,wal=trace sets a level for all and one for a
 *module.
 *
 * Any thread. A call that is off costs a load and a branch; its arguments are not evaluated.
 */
#ifndef TIDE_LOG_H
#define TIDE_LOG_H

#include <stdatomic.h>

#include "engine/base/base.h"

/* Not LOG_INFO and so on: <syslog.h> has macros of these names. */
enum log_level {
	LOG_AT_OFF,
	LOG_AT_ERROR,
	LOG_AT_WARN,
	LOG_AT_INFO,
	LOG_AT_DEBUG,
	LOG_AT_TRACE,
};

#define LOG_LINE_MAX   2048 /* bytes, with the newline; longer ones are cut and end in "..." */
#define LOG_MODULE_MAX 24   /* bytes of a module's name, with a NUL */

const char *log_level_name(enum log_level level); /* "info"; lent for ever */

/*
 * Set the levels from a list such as `info,wal=trace`: at most one level for all modules (default
 * info), and any for single ones; the last one counts. Levels: off error warn info debug trace. The
 * empty text means the defaults. -EINVAL with a sentence; nothing has changed then.
 */
int log_configure(struct str spec, struct err *e);

struct log_line {
	enum log_level level;
	struct str line; /* with time and newline: for a file or a terminal */
	struct str text; /* without both: for a logger that adds its own */
};

/*
 * Where lines go from now on; NULL: standard error, one write(2) a line, the default. Lines come
 * one at a time, so the sink needs no lock, and must not log itself. When this returns, the sink
 * before is not running and will not be called again.
 */
typedef void log_sink_fn(void *ctx, const struct log_line *line);
void log_set_sink(log_sink_fn *sink, void *ctx);

/* Is anything of this level wanted? True also when only another module wants it. */
extern _Atomic int log_level_any;
static inline bool log_maybe(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_any, memory_order_relaxed);
}

/* Exactly: for what is costly to put together. */
bool log_wanted(enum log_level level, const char *module);

/* Through the macros. errno stays as it was. Newlines and other control characters are escaped. */
void log_write(enum log_level level, const char *module, const char *fmt, ...) printf_like(3, 4);

#define LOG_AT(level, module, ...)                             \
	do {                                                   \
		if (unlikely(log_maybe(level)))                \
			log_write(level, module, __VA_ARGS__); \
	} while (0)

#define log_error(module, ...) LOG_AT(LOG_AT_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...)  LOG_AT(LOG_AT_WARN, module, __VA_ARGS__)
#define log_info(module, ...)  LOG_AT(LOG_AT_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) LOG_AT(LOG_AT_DEBUG, module, __VA_ARGS__)
#define log_trace(module, ...) LOG_AT(LOG_AT_TRACE, module, __VA_ARGS__)

/*
 * A name in quotes, escaped, by value so that it lives as long as the call it is an argument of:
 *
 *	log_info("retention", "table=%s days=%d", log_quote(name).text, days);
 */
struct log_quoted {
	char text[288]; /* a name of 255 bytes fits; longer ones end in "..." */
};
struct log_quoted log_quote(struct str s);

#endif
