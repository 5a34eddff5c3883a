#include "engine/json.h"

#include <stdlib.h>

#define NAMES_FEW 32 /* of one object, that are compared one by one */

void json_init(struct json *j)
{
	*j = (struct json){0};
	arena_init(&j->scratch, NULL);
}

void json_release(struct json *j)
{
	free(j->names);
	arena_release(&j->scratch);
	json_init(j);
}

const char *json_kind_name(enum json_kind k)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",	  [JSON_BOOLEAN] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_OBJECT] = "an object",  [JSON_ARRAY] = "an array",
	};

	return names[k];
}

/* refuse(j, where, "sentence", ...): notes the place, makes the sentence, is -EINVAL. */
#define refuse(j, where, ...)                                                                      \
	((j)->at = (size_t)((where) - (j)->begin), err_set((j)->e, -EINVAL, __VA_ARGS__))

static int no_memory(struct json *j)
{
	return err_set(j->e, -ENOMEM, "out of memory");
}

int json_start(struct json *j, struct str text, struct err *e)
{
	j->begin = j->p = text.ptr;
	j->end = text.ptr + text.len;
	j->e = e;
	j->at = 0;
	j->depth = 0;
	j->name_count = 0;
	if (j->scratch.chunk)
		arena_reset(&j->scratch);
	if (text.len >= UINT32_MAX)
		return refuse(j, j->begin, "a JSON text of 4 GiB or more");
	size_t valid = utf8_valid_len(text);
	if (valid < text.len)
		return refuse(j, j->begin + valid, "byte 0x%02x is no UTF-8",
			      (unsigned char)text.ptr[valid]);
	return 0;
}

/* ---- white space, and what stands where it should not ----------------------------------------- */

static inline void skip_blanks(struct json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r'))
		j->p++;
}

static const char *inside(const struct json *j)
{
	if (!j->depth)
		return "before its value";
	return j->frames[j->depth - 1].is_object ? "inside an object" : "inside an array";
}

/* What is at p, where `wanted` should be. */
static int unexpected(struct json *j, const char *wanted)
{
	const char *p = j->p;

	if (p == j->end)
		return refuse(j, p, "the text ends %s, where %s is missing", inside(j), wanted);
	if ((unsigned char)*p < 0x20 || *p == 0x7F)
		return refuse(j, p, "byte 0x%02x, where %s should be", (unsigned char)*p, wanted);
	size_t n = 1;
	while (p + n < j->end && ((unsigned char)p[n] & 0xC0) == 0x80)
		n++;
	return refuse(j, p, "'%.*s', where %s should be", (int)n, p, wanted);
}

/* ---- strings ---------------------------------------------------------------------------------- */

/* The first quote, backslash or control character at or behind p, or end. */
static inline const char *find_special(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;

	while (end - p >= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
		/* High bits of bytes that are zero, and in the last term below 0x20. */
		uint64_t hit = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
			       ((w - ones * 0x20) & ~w);
		if (hit & highs)
			break; /* some byte is special; a borrow may have marked others beside it */
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

static int hex4(const char *p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			v = v << 4 | ((uint32_t)(c & 0x0F) + 9);
		else
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xC0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*to++ = (char)(0xE0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	} else {
		*to++ = (char)(0xF0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3F));
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	}
	return to;
}

/* p: behind "\u". Moves *to and returns what is behind the escape (or the pair), or NULL. */
static const char *take_unicode(struct json *j, const char *p, char **to)
{
	const char *start = p - 2;
	uint32_t c, low;

	if (hex4(p, j->end, &c) < 0) {
		refuse(j, start, "\\u needs four hexadecimal digits");
		return NULL;
	}
	p += 4;
	if (c == 0) {
		refuse(j, start, "\\u0000 cannot be stored");
		return NULL;
	}
	if (c >= 0xD800 && c < 0xE000) {
		if (c >= 0xDC00 || j->end - p < 6 || p[0] != '\\' || p[1] != 'u' ||
		    hex4(p + 2, j->end, &low) < 0 || low < 0xDC00 || low > 0xDFFF) {
			refuse(j, start, "\\u%04x is half of a surrogate pair", c);
			return NULL;
		}
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		p += 6;
	}
	*to = put_utf8(*to, c);
	return p;
}

/* p: the first backslash of a string that began at `begin`. An escape is longer than what it means. */
static int take_escaped(struct json *j, const char *begin, const char *p, struct json_value *ret)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *close = p;

	/* How long it can get: up to the quote that ends it, which no backslash precedes. */
	while ((close = find_special(close, j->end)) < j->end && *close == '\\')
		close += close + 1 < j->end ? 2 : 1;
	char *text = arena_alloc(&j->scratch, (size_t)(close - begin) + 1), *to = text;
	if (!text)
		return no_memory(j);
	memcpy(to, begin, (size_t)(p - begin));
	to += p - begin;
	while (p < j->end && *p == '\\') {
		const char *which = p + 1 < j->end && p[1] ? strchr(from, p[1]) : NULL;
		if (which) {
			*to++ = into[which - from];
			p += 2;
		} else if (p + 1 < j->end && p[1] == 'u') {
			p = take_unicode(j, p + 2, &to);
			if (!p)
				return -EINVAL;
		} else {
			return refuse(j, p, "a backslash begins one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
		}
		const char *q = find_special(p, j->end);
		memcpy(to, p, (size_t)(q - p));
		to += q - p;
		p = q;
	}
	ret->text = (struct str){text, (size_t)(to - text)};
	ret->is_copy = true;
	j->p = p;
	return 0;
}

/* At the opening quote. */
static int take_string(struct json *j, struct json_value *ret)
{
	const char *begin = j->p + 1;

	ret->kind = JSON_STRING;
	ret->at = (uint32_t)(j->p - j->begin);
	ret->is_copy = false;
	const char *p = find_special(begin, j->end);
	ret->text = (struct str){begin, (size_t)(p - begin)};
	j->p = p;
	if (p < j->end && *p == '\\') {
		int rc = take_escaped(j, begin, p, ret);
		if (rc < 0)
			return rc;
	}
	if (j->p == j->end)
		return refuse(j, begin - 1, "a string is not closed");
	if (*j->p != '"')
		return refuse(j, j->p, "byte 0x%02x in a string: write it as \\u%04x",
			      (unsigned char)*j->p, (unsigned char)*j->p);
	j->p++;
	return 0;
}

/* ---- numbers and words ------------------------------------------------------------------------ */

static inline const char *skip_digits(const char *p, const char *end)
{
	while (p < end && (unsigned char)(*p - '0') < 10)
		p++;
	return p;
}

static int take_number(struct json *j, struct json_value *ret)
{
	const char *begin = j->p, *p = begin, *q;

	p += *p == '-';
	q = skip_digits(p, j->end);
	if (q == p)
		return refuse(j, begin, "a '-' without digits");
	if (*p == '0' && q - p > 1)
		return refuse(j, begin, "a number begins with a zero");
	ret->is_integer = true;
	p = q;
	if (p < j->end && *p == '.') {
		q = skip_digits(p + 1, j->end);
		if (q == p + 1)
			return refuse(j, begin, "a number ends with its '.'");
		ret->is_integer = false;
		p = q;
	}
	if (p < j->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < j->end && (*p == '+' || *p == '-'))
			p++;
		q = skip_digits(p, j->end);
		if (q == p)
			return refuse(j, begin, "a number ends in its exponent");
		ret->is_integer = false;
		p = q;
	}
	ret->kind = JSON_NUMBER;
	ret->at = (uint32_t)(begin - j->begin);
	ret->text = (struct str){begin, (size_t)(p - begin)};
	j->p = p;
	return 0;
}

static int take_word(struct json *j, struct json_value *ret)
{
	static const struct {
		const char *word;
		enum json_kind kind;
		bool boolean;
	} words[] = {{"null", JSON_NULL, false}, {"true", JSON_BOOLEAN, true}, {"false", JSON_BOOLEAN, false}};
	struct str rest = {j->p, (size_t)(j->end - j->p)};
	size_t n = 0;

	while (n < rest.len && ((rest.ptr[n] | 0x20) >= 'a' && (rest.ptr[n] | 0x20) <= 'z'))
		n++;
	rest.len = n;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!str_is(rest, words[i].word))
			continue;
		ret->kind = words[i].kind;
		ret->boolean = words[i].boolean;
		ret->at = (uint32_t)(j->p - j->begin);
		ret->text = rest;
		j->p += n;
		return 0;
	}
	if (!n)
		return unexpected(j, "a value");
	if (str_ieq(rest, STR_LIT("nan")) || str_ieq(rest, STR_LIT("infinity")))
		return refuse(j, j->p, "%.*s is no JSON; leave the member out", STR_FMT(rest));
	return refuse(j, j->p, "'%.*s' is no JSON: a text needs double quotes", (int)MIN(n, (size_t)64),
		      rest.ptr);
}

/* ---- values ----------------------------------------------------------------------------------- */

static int open_frame(struct json *j, struct json_value *ret, bool is_object)
{
	if (j->depth == JSON_DEPTH_MAX)
		return refuse(j, j->p, "more than %d levels of objects and arrays", JSON_DEPTH_MAX);
	j->frames[j->depth++] = (struct json_frame){
		.is_object = is_object, .is_first = true, .names = j->name_count};
	ret->kind = is_object ? JSON_OBJECT : JSON_ARRAY;
	ret->at = (uint32_t)(j->p - j->begin);
	ret->text = (struct str){j->p, 1};
	j->p++;
	return 0;
}

int json_value(struct json *j, struct json_value *ret)
{
	skip_blanks(j);
	if (j->p == j->end)
		return unexpected(j, "a value");
	ret->is_copy = ret->is_integer = ret->boolean = false;
	switch (*j->p) {
	case '"':
		return take_string(j, ret);
	case '{':
		return open_frame(j, ret, true);
	case '[':
		return open_frame(j, ret, false);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return take_number(j, ret);
	default:
		return take_word(j, ret);
	}
}

/* ---- names of members ------------------------------------------------------------------------- */

static int twice(struct json *j, const struct json_name *n)
{
	return refuse(j, j->begin + n->at, "member '%.*s' is given twice", (int)MIN(n->text.len, (size_t)64),
		      n->text.ptr);
}

static int by_text(const void *a, const void *b)
{
	const struct json_name *x = a, *y = b;
	int c = str_cmp(x->text, y->text);

	return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* An object of many members ends: sorted, twins are neighbours. */
static int check_names(struct json *j, const struct json_frame *f)
{
	uint32_t n = j->name_count - f->names;

	if (n <= NAMES_FEW)
		return 0;
	struct json_name *names = j->names + f->names;
	qsort(names, n, sizeof *names, by_text);
	for (uint32_t i = 1; i < n; i++)
		if (str_eq(names[i - 1].text, names[i].text))
			return twice(j, &names[i]);
	return 0;
}

static int note_name(struct json *j, struct json_frame *f, const struct json_value *v)
{
	struct json_name name = {v->text, v->at};

	if (j->name_count == j->name_cap) {
		uint32_t cap = j->name_cap ? j->name_cap * 2 : 64;
		void *p = realloc(j->names, cap * sizeof *j->names);
		if (!p)
			return no_memory(j);
		j->names = p;
		j->name_cap = cap;
	}
	uint32_t n = j->name_count - f->names;
	if (n <= NAMES_FEW) {
		unsigned h = (unsigned)name.text.len * 31;
		if (name.text.len)
			h += (unsigned char)name.text.ptr[0] * 7u +
			     (unsigned char)name.text.ptr[name.text.len - 1] * 13u +
			     (unsigned char)name.text.ptr[name.text.len / 2];
		uint64_t bit = UINT64_C(1) << (h & 63);
		if (f->seen & bit)
			for (uint32_t i = 0; i < n; i++)
				if (str_eq(j->names[f->names + i].text, name.text))
					return twice(j, &name);
		f->seen |= bit;
	}
	j->names[j->name_count++] = name;
	return 0;
}

static void close_frame(struct json *j)
{
	j->name_count = j->frames[--j->depth].names;
	j->p++;
}

int json_member(struct json *j, struct json_value *ret_name)
{
	struct json_frame *f = &j->frames[j->depth - 1];
	int rc;

	skip_blanks(j);
	if (j->p < j->end && *j->p == '}') {
		rc = check_names(j, f);
		if (rc < 0)
			return rc;
		close_frame(j);
		return 0;
	}
	if (!f->is_first) {
		if (j->p == j->end || *j->p != ',')
			return unexpected(j, "',' or '}'");
		j->p++;
		skip_blanks(j);
	}
	if (j->p == j->end || *j->p != '"')
		return unexpected(j, f->is_first ? "a member's name in quotes, or '}'"
						 : "a member's name in quotes");
	f->is_first = false;
	rc = take_string(j, ret_name);
	if (rc >= 0)
		rc = note_name(j, f, ret_name);
	if (rc < 0)
		return rc;
	skip_blanks(j);
	if (j->p == j->end || *j->p != ':')
		return unexpected(j, "':'");
	j->p++;
	return 1;
}

int json_element(struct json *j)
{
	struct json_frame *f = &j->frames[j->depth - 1];

	skip_blanks(j);
	if (j->p < j->end && *j->p == ']') {
		close_frame(j);
		return 0;
	}
	if (!f->is_first) {
		if (j->p == j->end || *j->p != ',')
			return unexpected(j, "',' or ']'");
		j->p++;
		skip_blanks(j);
		if (j->p < j->end && *j->p == ']')
			return unexpected(j, "a value");
	}
	f->is_first = false;
	return 1;
}

int json_skip(struct json *j, const struct json_value *v)
{
	struct json_value inner;
	int until = j->depth - 1;

	if (v->kind != JSON_OBJECT && v->kind != JSON_ARRAY)
		return 0;
	while (j->depth > until) {
		int rc = j->frames[j->depth - 1].is_object ? json_member(j, &inner) : json_element(j);
		if (rc > 0)
			rc = json_value(j, &inner);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int json_finish(struct json *j)
{
	skip_blanks(j);
	if (j->p == j->end)
		return 0;
	return refuse(j, j->p, "text behind the value");
}

void json_where(struct str text, size_t at, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, from = 0;

	for (size_t i = 0; i < at && i < text.len; i++) {
		if (text.ptr[i] == '\n') {
			line++;
			from = i + 1;
		}
	}
	*ret_line = line;
	*ret_column = at - from + 1;
}
