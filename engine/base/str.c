#include "engine/base/base.h"

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool str_ieq(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower((unsigned char)a.ptr[i]) != lower((unsigned char)b.ptr[i]))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.ptr[0]))
		s.ptr++, s.len--;
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool str_starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && (n == 0 || memcmp(s.ptr, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix)
{
	size_t n = strlen(suffix);
	return s.len >= n && (n == 0 || memcmp(s.ptr + s.len - n, suffix, n) == 0);
}

size_t utf8_valid_len(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	size_t i = 0, n = s.len;

	while (i < n) {
		/* Eight ASCII bytes at a time: nearly all text is. */
		uint64_t w;
		while (i + 8 <= n) {
			memcpy(&w, p + i, 8);
			if (w & UINT64_C(0x8080808080808080))
				break;
			i += 8;
		}
		if (i >= n)
			break;
		unsigned char c = p[i];
		if (c < 0x80) {
			i++;
		} else if (c >= 0xC2 && c <= 0xDF) {
			if (n - i < 2 || (p[i + 1] & 0xC0) != 0x80)
				return i;
			i += 2;
		} else if (c >= 0xE0 && c <= 0xEF) {
			if (n - i < 3 || (p[i + 1] & 0xC0) != 0x80 || (p[i + 2] & 0xC0) != 0x80)
				return i;
			if ((c == 0xE0 && p[i + 1] < 0xA0) || (c == 0xED && p[i + 1] > 0x9F))
				return i;
			i += 3;
		} else if (c >= 0xF0 && c <= 0xF4) {
			if (n - i < 4 || (p[i + 1] & 0xC0) != 0x80 || (p[i + 2] & 0xC0) != 0x80 ||
			    (p[i + 3] & 0xC0) != 0x80)
				return i;
			if ((c == 0xF0 && p[i + 1] < 0x90) || (c == 0xF4 && p[i + 1] > 0x8F))
				return i;
			i += 4;
		} else {
			return i;
		}
	}
	return n;
}

bool utf8_valid(struct str s)
{
	return utf8_valid_len(s) == s.len;
}

#define NEAR_LEN_MAX 64

/* Levenshtein distance with transpositions counted as one, for short names. */
static int distance(struct str a, struct str b)
{
	int rows[3][NEAR_LEN_MAX + 1];
	int n = (int)a.len, m = (int)b.len;

	for (int j = 0; j <= m; j++)
		rows[0][j] = j;
	for (int i = 1; i <= n; i++) {
		int *cur = rows[i % 3], *prev = rows[(i + 2) % 3], *prev2 = rows[(i + 1) % 3];
		cur[0] = i;
		for (int j = 1; j <= m; j++) {
			unsigned char x = lower((unsigned char)a.ptr[i - 1]);
			unsigned char y = lower((unsigned char)b.ptr[j - 1]);
			int d = prev[j - 1] + (x != y);
			d = MIN(d, prev[j] + 1);
			d = MIN(d, cur[j - 1] + 1);
			if (i > 1 && j > 1 && x == lower((unsigned char)b.ptr[j - 2]) &&
			    lower((unsigned char)a.ptr[i - 2]) == y)
				d = MIN(d, prev2[j - 2] + 1);
			cur[j] = d;
		}
	}
	return rows[n % 3][m];
}

int str_nearest(struct str name, const struct str *candidates, int n)
{
	/* Something of the name must be left: of one letter every other one is near. */
	int best = -1, best_d = (int)MIN(MAX(name.len / 3, 1) + 1, name.len);

	if (name.len > NEAR_LEN_MAX)
		return -1;
	for (int i = 0; i < n; i++) {
		if (candidates[i].len > NEAR_LEN_MAX)
			continue;
		int d = distance(name, candidates[i]);
		if (d < best_d) {
			best = i;
			best_d = d;
		}
	}
	return best;
}
