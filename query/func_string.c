/*
 * func_string: functions of varchar. Positions and lengths count code points; text is valid UTF-8
 * (checked where it comes in), and what is not is still never read past its end.
 */
#include "query/func_text.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

#define GROUP "String"

/* ---- lengths and positions ---------------------------------------------------------------------- */

static int length_row(const struct row *r, int64_t *ret)
{
	*ret = count_chars(text_arg(r, 0));
	return 0;
}
BY_ROW(length, length_row, i64)

/* Which occurrence; checked to be positive. */
static int instance_of(const struct row *r, int64_t *ret)
{
	*ret = r->c->argc > 2 ? arg_i64(r->c, 2, r->i) : 1;
	if (*ret <= 0)
		return err_set(r->e, -EINVAL, "the occurrence to look for must be positive, not %lld",
			       (long long)*ret);
	return 0;
}

static int strpos_row(const struct row *r, int64_t *ret)
{
	struct str s = text_arg(r, 0), sub = text_arg(r, 1);
	const char *p = s.ptr, *end = s.ptr + s.len;
	int64_t left;
	int rc = instance_of(r, &left);

	if (rc < 0)
		return rc;
	*ret = sub.len == 0;
	if (!sub.len)
		return 0;
	while ((p = memmem(p, (size_t)(end - p), sub.ptr, sub.len)) && --left > 0)
		p++; /* occurrences may overlap */
	*ret = p ? count_chars((struct str){s.ptr, (size_t)(p - s.ptr)}) + 1 : 0;
	return 0;
}
BY_ROW(strpos, strpos_row, i64)

static int strrpos_row(const struct row *r, int64_t *ret)
{
	struct str s = text_arg(r, 0), sub = text_arg(r, 1);
	int64_t left;
	int rc = instance_of(r, &left);

	if (rc < 0)
		return rc;
	*ret = sub.len == 0;
	if (!sub.len || sub.len > s.len)
		return 0;
	for (size_t at = s.len - sub.len + 1; at-- > 0;)
		if (!memcmp(s.ptr + at, sub.ptr, sub.len) && --left == 0) {
			*ret = count_chars((struct str){s.ptr, at}) + 1;
			break;
		}
	return 0;
}
BY_ROW(strrpos, strrpos_row, i64)

static int codepoint_row(const struct row *r, int64_t *ret)
{
	struct str s = text_arg(r, 0);
	size_t n = 0;

	if (s.len)
		*ret = decode(s, &n);
	if (!s.len || n != s.len)
		return err_set(r->e, -EINVAL, "codepoint: '%.*s' is not a single character", STR_FMT(s));
	return 0;
}
BY_ROW(codepoint, codepoint_row, i64)

static int hamming_row(const struct row *r, int64_t *ret)
{
	struct str a = text_arg(r, 0), b = text_arg(r, 1);
	int64_t n = 0;

	while (a.len && b.len) {
		size_t la, lb;

		n += decode(a, &la) != decode(b, &lb);
		a = from_byte(a, la);
		b = from_byte(b, lb);
	}
	if (a.len || b.len)
		return err_set(r->e, -EINVAL, "hamming_distance: the texts must have the same length");
	*ret = n;
	return 0;
}
BY_ROW(hamming_distance, hamming_row, i64)

#define EDIT_WORK_MAX 100000000 /* cells of the table of distances */

static uint32_t *code_points(const struct row *r, struct str s, size_t *ret_n)
{
	uint32_t *cps = (uint32_t *)text_alloc(r, (s.len + 1) * sizeof(uint32_t));
	size_t n = 0, len;

	for (; cps && s.len; s = from_byte(s, len))
		cps[n++] = decode(s, &len);
	*ret_n = n;
	return cps;
}

static int levenshtein_row(const struct row *r, int64_t *ret)
{
	struct arena_mark mark = arena_mark(r->c->arena);
	size_t na, nb;
	uint32_t *a = code_points(r, text_arg(r, 0), &na), *b = code_points(r, text_arg(r, 1), &nb);
	uint32_t *line = (uint32_t *)text_alloc(r, (nb + 1) * sizeof(uint32_t));

	int rc = func_cancelled(r->c, r->e); /* a tenth of a second for the longest */

	if (!a || !b || !line)
		return -ENOMEM;
	if (rc < 0)
		return rc;
	if (na && nb > EDIT_WORK_MAX / na)
		return err_set(r->e, -EINVAL, "levenshtein_distance: the texts are too long");
	for (size_t j = 0; j <= nb; j++)
		line[j] = (uint32_t)j;
	for (size_t i = 1; i <= na; i++) {
		uint32_t diagonal = line[0];

		line[0] = (uint32_t)i;
		for (size_t j = 1; j <= nb; j++) {
			uint32_t change = diagonal + (a[i - 1] != b[j - 1]);
			uint32_t insert = MIN(line[j], line[j - 1]) + 1;

			diagonal = line[j];
			line[j] = MIN(change, insert);
		}
	}
	*ret = line[nb];
	arena_rewind(r->c->arena, mark);
	return 0;
}
BY_ROW(levenshtein_distance, levenshtein_row, i64)

/* ---- pieces of a text: no copying --------------------------------------------------------------- */

static bool is_space(uint32_t cp)
{
	return cp == ' ' || (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x1f) || cp == 0x1680 ||
	       (cp >= 0x2000 && cp <= 0x200a && cp != 0x2007) || cp == 0x2028 || cp == 0x2029 ||
	       cp == 0x205f || cp == 0x3000;
}

static struct str trim_front(struct str s)
{
	while (s.len) {
		size_t n;

		if (!is_space(decode(s, &n)))
			break;
		s = from_byte(s, n);
	}
	return s;
}

static struct str trim_back(struct str s)
{
	while (s.len) {
		size_t at = s.len - 1, n;

		while (at > 0 && is_follow(s.ptr[at]))
			at--;
		if (!is_space(decode(from_byte(s, at), &n)))
			break;
		s.len = at;
	}
	return s;
}

static int ltrim_row(const struct row *r, struct str *ret)
{
	*ret = trim_front(text_arg(r, 0));
	return 0;
}
static int rtrim_row(const struct row *r, struct str *ret)
{
	*ret = trim_back(text_arg(r, 0));
	return 0;
}
static int trim_row(const struct row *r, struct str *ret)
{
	*ret = trim_back(trim_front(text_arg(r, 0)));
	return 0;
}
BY_ROW(ltrim, ltrim_row, str)
BY_ROW(rtrim, rtrim_row, str)
BY_ROW(trim, trim_row, str)

static int substr_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0);
	int64_t start = arg_i64(r->c, 1, r->i);
	int64_t len = r->c->argc > 2 ? arg_i64(r->c, 2, r->i) : INT64_MAX;

	if (start < 0) {
		int64_t n = count_chars(s);

		start = start < -n ? 0 : n + start + 1;
	}
	*ret = (struct str){s.ptr, 0};
	if (start == 0 || len <= 0)
		return 0;
	s = from_byte(s, prefix_bytes(s, start - 1));
	*ret = (struct str){s.ptr, prefix_bytes(s, len)};
	return 0;
}
BY_ROW(substr, substr_row, str)

/* One past the piece that begins s: at the delimiter, or at the end. */
static size_t piece_len(struct str s, struct str delim)
{
	const char *p = memmem(s.ptr, s.len, delim.ptr, delim.len);

	return p ? (size_t)(p - s.ptr) : s.len;
}

static int empty_delimiter(struct err *e)
{
	return err_set(e, -EINVAL, "the delimiter must not be empty");
}

static int split_part(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct row r = {c, i, e};
		struct str s, delim;
		int64_t pos;
		int rc = 0;

		if (!row_ok(c, i))
			continue;
		s = text_arg(&r, 0);
		delim = text_arg(&r, 1);
		pos = arg_i64(c, 2, i);
		if (pos < 1)
			return err_set(e, -EINVAL, "split_part: the index must be positive, not %lld", (long long)pos);
		if (!delim.len)
			return empty_delimiter(e);
		for (;; pos--) {
			size_t n = piece_len(s, delim);

			if (pos == 1) {
				ret->str[i] = (struct str){s.ptr, n};
				break;
			}
			if (n == s.len) {
				rc = ret_set_null(c, ret, i, e);
				break;
			}
			s = from_byte(s, n + delim.len);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The result shares its texts with the argument: only their places are new. */
static int split(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec out, *elems;
	uint32_t cap = MAX(c->n, 16), n = 0;
	int rc = vec_alloc(&out, c->ret_type, c->n, c->arena, e);

	if (rc < 0)
		return rc;
	elems = &out.child[0];
	rc = vec_alloc(elems, &type_varchar, cap, c->arena, e);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		const struct row r = {c, i, e};
		struct str s, delim;
		int64_t limit;
		uint32_t first = n;

		if (!row_ok(c, i))
			continue;
		s = text_arg(&r, 0);
		delim = text_arg(&r, 1);
		limit = c->argc > 2 ? arg_i64(c, 2, i) : INT64_MAX;
		if (limit <= 0)
			return err_set(e, -EINVAL, "split: the limit must be positive, not %lld", (long long)limit);
		if (!delim.len)
			return empty_delimiter(e);
		for (bool more = true; more; n++) {
			size_t len = n - first + 1 == limit ? s.len : piece_len(s, delim);

			if (n == cap) {
				struct vec wider;

				rc = vec_alloc(&wider, &type_varchar, cap * 2, c->arena, e);
				if (rc < 0)
					return rc;
				memcpy(wider.str, elems->str, n * sizeof(struct str));
				*elems = wider;
				cap *= 2;
			}
			elems->str[n] = (struct str){s.ptr, len};
			more = len < s.len;
			if (more)
				s = from_byte(s, len + delim.len);
		}
		out.list[i] = (struct vec_list){first, n - first};
	}
	if (rc < 0)
		return rc;
	out.child_n = n;
	*ret = out;
	return 0;
}

/* ---- new texts ---------------------------------------------------------------------------------- */

static int concat_row(const struct row *r, struct str *ret)
{
	size_t n = 0;
	char *p;

	for (uint32_t k = 0; k < r->c->argc; k++)
		n += text_arg(r, k).len;
	p = text_alloc(r, n);
	if (!p)
		return -ENOMEM;
	*ret = (struct str){p, n};
	for (uint32_t k = 0; k < r->c->argc; k++) {
		struct str s = text_arg(r, k);

		memcpy(p, s.ptr, s.len);
		p += s.len;
	}
	return 0;
}
BY_ROW(concat, concat_row, str)

static int chr_row(const struct row *r, struct str *ret)
{
	int64_t cp = arg_i64(r->c, 0, r->i);
	char *p;

	if (cp < 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return err_set(r->e, -EINVAL, "chr: %lld is not a Unicode character", (long long)cp);
	p = text_alloc(r, 4);
	if (!p)
		return -ENOMEM;
	*ret = (struct str){p, encode(p, (uint32_t)cp)};
	return 0;
}
BY_ROW(chr, chr_row, str)

/*
 * Case by the C library's Unicode tables, in a locale of our own: the daemon's may be any. Where the
 * system lacks even C.UTF-8, only ASCII letters change. One character maps to one (no ß to SS).
 */
static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void unicode_init(void)
{
	unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t change_case(uint32_t cp, bool up)
{
	if (cp < 0x80) {
		bool is_letter = up ? cp >= 'a' && cp <= 'z' : cp >= 'A' && cp <= 'Z';

		return is_letter ? cp ^ 0x20 : cp;
	}
	if (!unicode)
		return cp;
	return (uint32_t)(up ? towupper_l((wint_t)cp, unicode) : towlower_l((wint_t)cp, unicode));
}

static int case_row(const struct row *r, bool up, struct str *ret)
{
	struct str s = text_arg(r, 0);
	char *p = text_alloc(r, s.len * 2 + 4); /* ⱥ (3 bytes) and Ⱥ (2) are the worst there are */
	size_t n = 0, len;

	if (!p)
		return -ENOMEM;
	pthread_once(&unicode_once, unicode_init);
	ret->ptr = p;
	for (; s.len; s = from_byte(s, len)) {
		uint32_t cp = decode(s, &len);

		if (cp == 0xfffd) { /* as it is, malformed or not */
			memcpy(p + n, s.ptr, len);
			n += len;
			continue;
		}
		n += encode(p + n, change_case(cp, up));
	}
	ret->len = n;
	return 0;
}

static int lower_row(const struct row *r, struct str *ret)
{
	return case_row(r, false, ret);
}
static int upper_row(const struct row *r, struct str *ret)
{
	return case_row(r, true, ret);
}
BY_ROW(lower, lower_row, str)
BY_ROW(upper, upper_row, str)

static int reverse_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0);
	char *p = text_alloc(r, s.len), *to = p + s.len;

	if (!p)
		return -ENOMEM;
	*ret = (struct str){p, s.len};
	while (s.len) {
		size_t n;

		decode(s, &n);
		to -= n;
		memcpy(to, s.ptr, n);
		s = from_byte(s, n);
	}
	return 0;
}
BY_ROW(reverse, reverse_row, str)

static int replace_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0), what = text_arg(r, 1);
	struct str by = r->c->argc > 2 ? text_arg(r, 2) : (struct str){"", 0};
	size_t hits = 0, len;
	const char *p = s.ptr, *end = s.ptr + s.len;
	char *to;

	if (!what.len) { /* before, between and after all characters */
		hits = (size_t)count_chars(s) + 1;
	} else {
		for (; (p = memmem(p, (size_t)(end - p), what.ptr, what.len)); p += what.len)
			hits++;
	}
	if (!hits) {
		*ret = s;
		return 0;
	}
	if (by.len && hits > SIZE_MAX / 4 / by.len)
		return func_no_memory(r->e);
	to = text_alloc(r, s.len + hits * by.len);
	if (!to)
		return -ENOMEM;
	ret->ptr = to;
	while (hits--) {
		len = what.len ? piece_len(s, what) : 0;
		memcpy(to, s.ptr, len);
		memcpy(to + len, by.ptr, by.len);
		to += len + by.len;
		s = from_byte(s, len + what.len);
		if (!what.len && s.len) {
			decode(s, &len);
			memcpy(to, s.ptr, len);
			to += len;
			s = from_byte(s, len);
		}
	}
	memcpy(to, s.ptr, s.len);
	ret->len = (size_t)(to - ret->ptr) + s.len;
	return 0;
}
BY_ROW(replace, replace_row, str)

#define PAD_MAX 100000000 /* characters: beyond, it is a mistake */

static int pad(const struct row *r, bool left, struct str *ret)
{
	struct str s = text_arg(r, 0), fill = text_arg(r, 2), rest;
	int64_t size = arg_i64(r->c, 1, r->i), n = count_chars(s), fill_n;
	size_t whole, bytes;
	char *p;

	if (size < 0 || size > PAD_MAX)
		return err_set(r->e, -EINVAL, "the size to pad to must be between 0 and %d, not %lld", PAD_MAX,
			       (long long)size);
	if (!fill.len)
		return err_set(r->e, -EINVAL, "the padding must not be empty");
	if (size <= n) {
		*ret = (struct str){s.ptr, prefix_bytes(s, size)};
		return 0;
	}
	fill_n = count_chars(fill);
	whole = (size_t)((size - n) / MAX(fill_n, 1));
	rest = (struct str){fill.ptr, prefix_bytes(fill, (size - n) % MAX(fill_n, 1))};
	bytes = whole * fill.len + rest.len;
	p = text_alloc(r, s.len + bytes);
	if (!p)
		return -ENOMEM;
	*ret = (struct str){p, s.len + bytes};
	if (!left) {
		memcpy(p, s.ptr, s.len);
		p += s.len;
	}
	for (size_t i = 0; i < whole; i++, p += fill.len)
		memcpy(p, fill.ptr, fill.len);
	memcpy(p, rest.ptr, rest.len);
	if (left)
		memcpy(p + rest.len, s.ptr, s.len);
	return 0;
}

static int lpad_row(const struct row *r, struct str *ret)
{
	return pad(r, true, ret);
}
static int rpad_row(const struct row *r, struct str *ret)
{
	return pad(r, false, ret);
}
BY_ROW(lpad, lpad_row, str)
BY_ROW(rpad, rpad_row, str)

const struct func func_rows_string[] = {
	OPERATOR("||", "varchar, varchar", "varchar", concat, "one text after the other"),
	SCALAR("chr", "bigint", "varchar", chr,
	       "the character of a Unicode code point; an error where there is none"),
	SCALAR("codepoint", "varchar", "integer", codepoint,
	       "the code point of the only character; other texts are an error"),
	SCALAR("concat", "varchar...", "varchar", concat, "the texts one after the other"),
	SCALAR("hamming_distance", "varchar, varchar", "bigint", hamming_distance,
	       "places at which two texts differ; an error where their lengths do"),
	SCALAR("length", "varchar", "bigint", length, "the number of characters"),
	SCALAR("levenshtein_distance", "varchar, varchar", "bigint", levenshtein_distance,
	       "insertions, deletions and substitutions from one to the other"),
	SCALAR("lower", "varchar", "varchar", lower, "in lower case, by Unicode, character for character"),
	SCALAR("upper", "varchar", "varchar", upper, "in upper case, by Unicode, character for character"),
	SCALAR("lpad", "varchar, bigint, varchar", "varchar", lpad,
	       "padded on the left to a size; cut behind it where it is longer"),
	SCALAR("rpad", "varchar, bigint, varchar", "varchar", rpad,
	       "padded on the right to a size; cut behind it where it is longer"),
	SCALAR("ltrim", "varchar", "varchar", ltrim, "without white space in front"),
	SCALAR("rtrim", "varchar", "varchar", rtrim, "without white space behind"),
	SCALAR("trim", "varchar", "varchar", trim, "without white space at both ends"),
	SCALAR("replace", "varchar, varchar", "varchar", replace, "without all occurrences of the second"),
	SCALAR("replace", "varchar, varchar, varchar", "varchar", replace,
	       "all occurrences of the second replaced by the third"),
	SCALAR("reverse", "varchar", "varchar", reverse, "backwards"),
	SCALAR("split", "varchar, varchar", "array(varchar)", split,
	       "the parts between the delimiters, empty ones too"),
	SCALAR("split", "varchar, varchar, bigint", "array(varchar)", split,
	       "at most so many parts, the last holds the rest"),
	SCALAR("split_part", "varchar, varchar, bigint", "varchar", split_part,
	       "one part, counted from 1; NULL beyond the last"),
	SCALAR("strpos", "varchar, varchar", "bigint", strpos,
	       "where the second first begins in the first, from 1; 0: nowhere"),
	SCALAR("strpos", "varchar, varchar, bigint", "bigint", strpos,
	       "where its n-th occurrence begins, from 1; 0: nowhere"),
	SCALAR("position", "varchar, varchar", "bigint", strpos,
	       "also written position(x2 IN x1): where x2 first begins in x1, from 1; 0: nowhere"),
	SCALAR("strrpos", "varchar, varchar", "bigint", strrpos,
	       "where its last occurrence begins, from 1; 0: nowhere"),
	SCALAR("strrpos", "varchar, varchar, bigint", "bigint", strrpos,
	       "where its n-th occurrence from the end begins, from 1; 0: nowhere"),
	SCALAR("substring", "varchar, bigint", "varchar", substr, "as substr(), also written (x FROM start)"),
	SCALAR("substring", "varchar, bigint, bigint", "varchar", substr,
	       "as substr(), also written (x FROM start FOR length)"),
	SCALAR("substr", "varchar, bigint", "varchar", substr,
	       "from a position on; negative counts from the end; 0 or beyond: the empty text"),
	SCALAR("substr", "varchar, bigint, bigint", "varchar", substr, "so many characters from a position on"),
	FUNC_END,
};
