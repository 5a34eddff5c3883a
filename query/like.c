/*
 * like: a pattern is a list of pieces between its `%`. Matching finds the first at the front, the last
 * at the back, and each other one at its leftmost place after the one before: leftmost is always
 * right, since what follows only gains room. So there is no backtracking: O(text * piece) at worst.
 *
 * Most patterns need even less: without `_` a piece is bytes, found by memmem.
 */
#include "query/like.h"

struct piece {
	struct str text;   /* escapes resolved */
	const uint8_t *any; /* any[i]: byte i of text is a `_`; NULL: none is */
};

struct like {
	struct piece *pieces;
	uint32_t n;
	bool open_front, open_back; /* the pattern begins, ends with % */
};

static size_t char_len(const char *p, size_t left)
{
	size_t n = 1;

	while (n < left && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static int compile(struct arena *a, struct str p, struct str esc, struct like *l, struct err *e)
{
	char *text = arena_alloc(a, p.len + 1);
	uint8_t *any = arena_zalloc(a, p.len + 1);
	size_t start = 0, len = 0;
	bool has_any = false, last_was_percent = false;

	l->pieces = arena_zarray(a, struct piece, p.len + 1);
	if (!text || !any || !l->pieces)
		return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
	for (size_t i = 0; i <= p.len; i++) {
		bool escaped = false;

		if (i < p.len && esc.ptr && p.len - i >= esc.len && !memcmp(p.ptr + i, esc.ptr, esc.len)) {
			i += esc.len;
			escaped = i < p.len && (p.ptr[i] == '%' || p.ptr[i] == '_');
			if (!escaped && (p.len - i < esc.len || memcmp(p.ptr + i, esc.ptr, esc.len) != 0))
				return err_set(e, -EINVAL, "the escape character of LIKE must stand before "
					       "'%%', '_' or itself");
			if (!escaped) { /* the escape itself, all its bytes but the last here */
				memcpy(text + len, esc.ptr, esc.len - 1);
				len += esc.len - 1;
				i += esc.len - 1;
				escaped = true;
			}
		}
		if (i == p.len || (p.ptr[i] == '%' && !escaped)) {
			if (len > start)
				l->pieces[l->n++] = (struct piece){{text + start, len - start},
								   has_any ? any + start : NULL};
			if (i < p.len && l->n == 0)
				l->open_front = true;
			if (i == p.len)
				l->open_back = last_was_percent;
			last_was_percent = i < p.len;
			start = len;
			has_any = false;
			continue;
		}
		last_was_percent = false;
		if (p.ptr[i] == '_' && !escaped)
			any[len] = 1, has_any = true;
		text[len++] = p.ptr[i];
	}
	return 0;
}

int like_compile(struct arena *a, struct str pattern, struct str escape, const struct like **ret,
		 struct err *e)
{
	struct like *l = arena_new(a, struct like);
	int rc;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
	if (escape.ptr && (!escape.len || char_len(escape.ptr, escape.len) != escape.len))
		return err_set(e, -EINVAL, "the escape of LIKE must be a single character");
	rc = compile(a, pattern, escape, l, e);
	if (rc >= 0)
		*ret = l;
	return rc;
}

/* Does the piece stand at the front of s? Bytes it covers, or -1. */
static int64_t piece_at(const struct piece *p, const char *s, size_t left)
{
	size_t at = 0;

	if (!p->any)
		return left >= p->text.len && !memcmp(s, p->text.ptr, p->text.len) ? (int64_t)p->text.len : -1;
	for (size_t i = 0; i < p->text.len; i++) {
		if (at == left)
			return -1;
		if (p->any[i])
			at += char_len(s + at, left - at);
		else if (s[at++] != p->text.ptr[i])
			return -1;
	}
	return (int64_t)at;
}

/* Its leftmost place in s at or after `from`: the offset behind it, or -1. */
static int64_t piece_find(const struct piece *p, struct str s, size_t from)
{
	const char *hit;

	if (!p->any) {
		hit = memmem(s.ptr + from, s.len - from, p->text.ptr, p->text.len);
		return hit ? hit - s.ptr + (int64_t)p->text.len : -1;
	}
	for (; from < s.len; from += char_len(s.ptr + from, s.len - from)) {
		int64_t n = piece_at(p, s.ptr + from, s.len - from);

		if (n >= 0)
			return (int64_t)from + n;
	}
	return -1;
}

/* Does the piece stand at the very end of s, not before `from`? */
static bool piece_ends(const struct piece *p, struct str s, size_t from)
{
	size_t at = s.len;

	if (!p->any)
		return s.len - from >= p->text.len &&
		       !memcmp(s.ptr + s.len - p->text.len, p->text.ptr, p->text.len);
	for (size_t i = p->text.len; i-- > 0;) {
		if (at == from)
			return false;
		at--;
		if (!p->any[i]) {
			if (s.ptr[at] != p->text.ptr[i])
				return false;
			continue;
		}
		while (at > from && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
			at--;
	}
	return true;
}

bool like_match(const struct like *l, struct str s)
{
	uint32_t first = 0, last = l->n;
	size_t from = 0;

	if (!s.len)
		s.ptr = "";
	if (!l->n)
		return l->open_front || l->open_back || !s.len;
	if (!l->open_front) {
		int64_t n = piece_at(&l->pieces[first++], s.ptr, s.len);

		if (n < 0 || (last == 1 && !l->open_back))
			return n == (int64_t)s.len;
		from = (size_t)n;
	}
	if (!l->open_back && first < last)
		last--;
	for (; first < last; first++) {
		int64_t end = piece_find(&l->pieces[first], s, from);

		if (end < 0)
			return false;
		from = (size_t)end;
	}
	return l->open_back || last == l->n || piece_ends(&l->pieces[last], s, from);
}
