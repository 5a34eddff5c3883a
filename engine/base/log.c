/*
 * Locking: one mutex guards levels and sink and is held while a line goes out, so lines never mix
 * and a sink can be taken away safely. Before it, and without it, the one atomic below turns away
 * what nobody wants.
 */
#include "engine/base/base.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define RULES_MAX 32

struct rule {
	char module[LOG_MODULE_MAX];
	enum log_level level;
};

struct levels {
	enum log_level all;
	struct rule rules[RULES_MAX];
	int count;
};

_Atomic int log_level_any = LOG_AT_INFO;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct levels levels = {.all = LOG_AT_INFO}; /* guarded by mu */
static log_sink_fn *sink;                           /* guarded by mu; NULL: standard error */
static void *sink_ctx;                              /* guarded by mu */

static const char *const level_names[] = {
	[LOG_AT_OFF] = "off",   [LOG_AT_ERROR] = "error", [LOG_AT_WARN] = "warn",
	[LOG_AT_INFO] = "info", [LOG_AT_DEBUG] = "debug", [LOG_AT_TRACE] = "trace",
};

const char *log_level_name(enum log_level level)
{
	return (size_t)level < ARRAY_LEN(level_names) ? level_names[level] : "?";
}

static int level_parse(struct str s, enum log_level *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (str_is(s, level_names[i])) {
			*ret = (enum log_level)i;
			return 0;
		}
	return err_set(e, -EINVAL,
		       "log level '%.*s' is none of off, error, warn, info, debug, trace",
		       (int)MIN(s.len, 40), s.ptr);
}

static int rule_add(struct levels *l, struct str module, enum log_level level, struct err *e)
{
	int i = 0;

	if (!module.len || module.len >= LOG_MODULE_MAX)
		return err_set(e, -EINVAL, "log module '%.*s' must have 1 to %d bytes",
			       (int)MIN(module.len, 40), module.ptr, LOG_MODULE_MAX - 1);
	while (i < l->count && !str_is(module, l->rules[i].module))
		i++;
	if (i == RULES_MAX)
		return err_set(e, -EINVAL, "log levels for more than %d modules", RULES_MAX);
	memcpy(l->rules[i].module, module.ptr, module.len);
	l->rules[i].module[module.len] = '\0';
	l->rules[i].level = level;
	l->count = MAX(l->count, i + 1);
	return 0;
}

static int item_parse(struct levels *l, struct str item, struct err *e)
{
	enum log_level level;
	const char *eq = item.len ? memchr(item.ptr, '=', item.len) : NULL;

	if (!eq)
		return level_parse(item, &l->all, e);
	struct str module = {item.ptr, (size_t)(eq - item.ptr)};
	struct str value = {eq + 1, item.len - module.len - 1};
	int rc = level_parse(str_trim(value), &level, e);
	return rc < 0 ? rc : rule_add(l, str_trim(module), level, e);
}

int log_configure(struct str spec, struct err *e)
{
	struct levels l = {.all = LOG_AT_INFO};

	spec = str_trim(spec);
	while (spec.len) {
		const char *comma = memchr(spec.ptr, ',', spec.len);
		size_t n = comma ? (size_t)(comma - spec.ptr) : spec.len;
		int rc = item_parse(&l, str_trim((struct str){spec.ptr, n}), e);
		if (rc < 0)
			return rc;
		n += comma != NULL;
		spec = (struct str){spec.ptr + n, spec.len - n};
	}
	int any = l.all;
	for (int i = 0; i < l.count; i++)
		any = MAX(any, (int)l.rules[i].level);
	pthread_mutex_lock(&mu);
	levels = l;
	atomic_store_explicit(&log_level_any, any, memory_order_relaxed);
	pthread_mutex_unlock(&mu);
	return 0;
}

/* Caller holds mu. */
static bool wanted(enum log_level level, const char *module)
{
	for (int i = 0; i < levels.count; i++)
		if (strcmp(levels.rules[i].module, module) == 0)
			return level <= levels.rules[i].level;
	return level <= levels.all;
}

bool log_wanted(enum log_level level, const char *module)
{
	if (!log_maybe(level))
		return false;
	pthread_mutex_lock(&mu);
	bool yes = wanted(level, module);
	pthread_mutex_unlock(&mu);
	return yes;
}

void log_set_sink(log_sink_fn *fn, void *ctx)
{
	pthread_mutex_lock(&mu);
	sink = fn;
	sink_ctx = ctx;
	pthread_mutex_unlock(&mu);
}

/*
 * Append s to `to` (room for `cap`, `len` used), control characters escaped and, with `quote`, that
 * one and the backslash too. What does not fit whole is cut before a UTF-8 character begins, and
 * "..." says so. Returns the new length.
 */
static size_t add_escaped(char *to, size_t len, size_t cap, struct str s, char quote)
{
	static const char hex[] = "0123456789abcdef";
	size_t whole = len; /* where the last character that leaves room for the dots ended */

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char t[4] = {(char)c};
		size_t n = 1;
		if ((c & 0xC0) != 0x80 && len + 3 <= cap)
			whole = len;
		if (c == '\n' || c == '\r' || c == '\t' || (quote && (c == quote || c == '\\'))) {
			t[0] = '\\';
			t[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
			n = 2;
		} else if (c < 0x20 || c == 0x7F) {
			t[0] = '\\';
			t[1] = 'x';
			t[2] = hex[c >> 4];
			t[3] = hex[c & 15];
			n = 4;
		}
		if (n > cap - len) {
			memcpy(to + whole, "...", 3);
			return whole + 3;
		}
		memcpy(to + len, t, n);
		len += n;
	}
	return len;
}

struct log_quoted log_quote(struct str s)
{
	struct log_quoted q;
	size_t n = add_escaped(q.text, 1, sizeof q.text - 2, s, '"');

	q.text[0] = '"';
	q.text[n] = '"';
	q.text[n + 1] = '\0';
	return q;
}

/* "2026-01-01T00:00:00.123456Z " */
static size_t add_time(char *to)
{
	char t[TIMESTAMP_TEXT_LEN];

	timestamp_format(t, clock_now_ns());
	t[10] = 'T';
	memcpy(to, t, 26); /* to the microsecond */
	to[26] = 'Z';
	to[27] = ' ';
	return 28;
}

static void write_stderr(const char *p, size_t n)
{
	ssize_t r;

	/* One call, so that lines of several processes do not mix either. Whoever reads too slowly
	 * or has gone loses lines: there is nobody left to tell. */
	do
		r = write(STDERR_FILENO, p, n);
	while (r < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	int saved = errno;
	char line[LOG_LINE_MAX], message[LOG_LINE_MAX];
	va_list ap;

	if (!log_wanted(level, module))
		return;
	va_start(ap, fmt);
	int want = vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	if (want < 0)
		snprintf(message, sizeof message, "message cannot be formatted: %s", fmt);

	size_t head = add_time(line);
	size_t n = head + (size_t)snprintf(line + head, 64, "%s %.*s ", log_level_name(level),
					   LOG_MODULE_MAX, module);
	n = add_escaped(line, n, sizeof line - 1, str_from(message), 0);
	line[n++] = '\n';

	struct log_line l = {level, {line, n}, {line + head, n - head - 1}};
	pthread_mutex_lock(&mu);
	if (sink)
		sink(sink_ctx, &l);
	else
		write_stderr(line, n);
	pthread_mutex_unlock(&mu);
	errno = saved;
}
