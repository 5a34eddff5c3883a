/*
 * err: one sentence about what went wrong, in a buffer the caller owns.
 */
#ifndef TIDE_ERR_H
#define TIDE_ERR_H

#include "engine/base/base.h"

struct err {
	int code;        /* negative errno; 0 = nothing set */
	char text[1024]; /* NUL-terminated, cut where too long (never inside a UTF-8 character) */
};

/*
 * Store a sentence and return `code`, so that `return err_set(e, -EINVAL, ...)` reads well.
 * The first sentence is kept by err_add_context(); err_set() replaces. e may be NULL.
 */
int err_set(struct err *e, int code, const char *fmt, ...) printf_like(3, 4);

/* Put "prefix: " before the sentence already in e (the callee said what, the caller says where). */
int err_prefix(struct err *e, int code, const char *fmt, ...) printf_like(3, 4);

void err_clear(struct err *e);

/* The sentence, or strerror(-code) when none was set. Lent until e changes. */
const char *err_text(const struct err *e, int code);

#endif
