#include "engine/base/base.h"

#include <stdio.h>

/* Cut a text that vsnprintf shortened back to a whole UTF-8 character. */
static void cut_utf8(char *text, size_t cap, int wanted)
{
	if (wanted < 0 || (size_t)wanted < cap)
		return;
	size_t n = cap - 1;
	while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
		n--;
	if (n > 0 && (unsigned char)text[n - 1] >= 0xC0)
		text[n - 1] = '\0';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (!e)
		return code;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	cut_utf8(e->text, sizeof e->text, n);
	e->code = code;
	return code;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	if (!e)
		return code;
	struct err old = *e;
	char head[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(head, sizeof head, fmt, ap);
	va_end(ap);
	int n = snprintf(e->text, sizeof e->text, "%s: %s", head, err_text(&old, code));
	cut_utf8(e->text, sizeof e->text, n);
	e->code = code;
	return code;
}

void err_clear(struct err *e)
{
	if (e) {
		e->code = 0;
		e->text[0] = '\0';
	}
}

const char *err_text(const struct err *e, int code)
{
	if (e && e->text[0])
		return e->text;
	return strerror(code < 0 ? -code : code);
}
