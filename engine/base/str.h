/*
 * str: a borrowed run of bytes, not NUL-terminated. Whoever holds one knows what keeps it alive.
 */
#ifndef TIDE_STR_H
#define TIDE_STR_H

#include "engine/base/base.h"

struct str {
	const char *ptr;
	size_t len;
};

/* For printf("%.*s", STR_FMT(s)). */
#define STR_FMT(s) (int)(s).len, (s).ptr
#define STR_LIT(lit) ((struct str){(lit), sizeof(lit) - 1})

static inline struct str str_from(const char *z)
{
	return (struct str){z, strlen(z)};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
	return a.len == strlen(z) && (a.len == 0 || memcmp(a.ptr, z, a.len) == 0);
}

/* Byte order, as memcmp; a proper prefix sorts first. This is also SQL's order of varchar. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = MIN(a.len, b.len);
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Equal when ASCII letters are compared without case. */
bool str_ieq(struct str a, struct str b);

struct str str_trim(struct str s); /* without blanks, tabs, CR and LF at both ends */

bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);

/* Valid UTF-8 (no overlong forms, no surrogates, at most U+10FFFF)? */
bool utf8_valid(struct str s);

/* Offset of the first byte that is no UTF-8, or s.len. */
size_t utf8_valid_len(struct str s);

/*
 * The candidate nearest to `name` by edit distance, for "did you mean"; -1 where none is near
 * enough (a third of the name's length, at least 1). Compared without ASCII case.
 */
int str_nearest(struct str name, const struct str *candidates, int n);

#endif
