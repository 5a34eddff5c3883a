/*
 * func_text: what functions of varchar share: code points, and kernels made of a function of a row.
 */
#ifndef TIDE_FUNC_TEXT_H
#define TIDE_FUNC_TEXT_H

#include "query/func_impl.h"

/* ---- code points -------------------------------------------------------------------------------- */

static inline bool is_follow(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static inline int64_t count_chars(struct str s)
{
	int64_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += !is_follow(s.ptr[i]);
	return n;
}

/* Bytes of the first k code points; all of s where it has fewer. */
static inline size_t prefix_bytes(struct str s, int64_t k)
{
	size_t i = 0;

	for (; i < s.len; i++)
		if (!is_follow(s.ptr[i]) && k-- == 0)
			break;
	return i;
}

static inline struct str from_byte(struct str s, size_t at)
{
	return (struct str){s.ptr + at, s.len - at};
}

/* The first code point; its bytes go to *ret_len. Malformed bytes count one each, as U+FFFD. */
static inline uint32_t decode(struct str s, size_t *ret_len)
{
	unsigned char b = (unsigned char)s.ptr[0];
	size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
	uint32_t cp = n == 1 ? b : b & (0xff >> (n + 1));

	*ret_len = 1;
	if (n > s.len || (b >= 0x80 && b < 0xc2))
		return 0xfffd;
	for (size_t i = 1; i < n; i++) {
		if (!is_follow(s.ptr[i]))
			return 0xfffd;
		cp = cp << 6 | ((unsigned char)s.ptr[i] & 0x3f);
	}
	*ret_len = n;
	return cp;
}

static inline size_t encode(char *to, uint32_t cp)
{
	if (cp < 0x80) {
		to[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		to[0] = (char)(0xc0 | cp >> 6);
		to[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		to[0] = (char)(0xe0 | cp >> 12);
		to[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		to[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | cp >> 18);
	to[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	to[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	to[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* Of a hexadecimal digit; -1: it is none. */
static inline int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- a row at a time ---------------------------------------------------------------------------- */

/* What a row's function is given. */
struct row {
	struct fn_call *c;
	uint32_t i;
	struct err *e;
};

static inline struct str text_arg(const struct row *r, uint32_t k)
{
	struct str s = arg_str(r->c, k, r->i);

	return s.len ? s : (struct str){"", 0}; /* never a NULL pointer for memcpy and its kin */
}

/* Kernels from a function of a row: int fn(row, T *ret). */
#define BY_ROW(kernel, fn, field)                                                                  \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		struct row r = {c, 0, e};                                                          \
		for (; r.i < c->n; r.i++) {                                                        \
			int rc = row_ok(c, r.i) ? fn(&r, &ret->field[r.i]) : 0;                    \
			if (rc < 0)                                                                \
				return rc;                                                         \
		}                                                                                  \
		return 0;                                                                          \
	}

/* The same of an fn that gives 1 where there is a value, 0: NULL. */
#define BY_ROW_OR_NULL(kernel, fn, field)                                                          \
	static int kernel(struct fn_call *c, struct vec *ret, struct err *e)                       \
	{                                                                                          \
		struct row r = {c, 0, e};                                                          \
		for (; r.i < c->n; r.i++) {                                                        \
			int rc = row_ok(c, r.i) ? fn(&r, &ret->field[r.i]) : 1;                    \
			if (!rc)                                                                   \
				rc = ret_set_null(c, ret, r.i, e);                                 \
			if (rc < 0)                                                                \
				return rc;                                                         \
		}                                                                                  \
		return 0;                                                                          \
	}

static inline char *text_alloc(const struct row *r, size_t n)
{
	char *p = arena_alloc(r->c->arena, MAX(n, 1));

	if (!p)
		func_no_memory(r->e);
	return p;
}

#endif
