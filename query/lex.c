#include "query/lex.h"

#include <stdio.h>

#include "query/sql.h"

/*
 * Bytes >= 0x80 belong to names, so that `température` needs no quotes; what looks like a quote or a
 * blank but is none (typographic quotes, no-break spaces: pasted text has them) is refused by name.
 */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c);
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* The byte n places ahead, or 0 behind the end. */
static char peek(const struct lex *l, size_t n)
{
	return n < l->text.len - l->off ? l->text.ptr[l->off + n] : 0;
}

/* Every byte passes here once, so that positions are counted in one place. */
static void advance(struct lex *l, size_t n)
{
	for (; n; n--) {
		unsigned char c = (unsigned char)l->text.ptr[l->off++];

		if (c == '\n') {
			l->pos.line++;
			l->pos.col = 1;
		} else if ((c & 0xC0) != 0x80) {
			l->pos.col++;
		}
	}
}

void lex_init(struct lex *l, struct arena *a, struct str text, bool partial)
{
	*l = (struct lex){.arena = a, .text = text, .pos = {1, 1}, .partial = partial};
	if (str_starts(text, "\xEF\xBB\xBF")) /* some editors put it there */
		l->off = 3;
}

static int lex_fail(struct err *e, struct pos at, const char *what)
{
	return err_set(e, -EINVAL, "line %u:%u: %s", at.line, at.col, what);
}

/* Something was opened at `at` and the text is over. */
static int unclosed(struct lex *l, struct pos at, const char *what, struct err *e)
{
	if (l->partial) {
		l->open = true;
		return 0;
	}
	return lex_fail(e, at, what);
}

/* 1: at a token; 0: at the end. */
static int skip_blanks(struct lex *l, struct err *e)
{
	while (l->off < l->text.len) {
		if (is_blank(peek(l, 0))) {
			advance(l, 1);
		} else if (peek(l, 0) == '-' && peek(l, 1) == '-') {
			while (l->off < l->text.len && peek(l, 0) != '\n')
				advance(l, 1);
			if (l->off == l->text.len)
				l->open = l->partial;
		} else if (peek(l, 0) == '/' && peek(l, 1) == '*') {
			struct pos at = l->pos;

			advance(l, 2);
			while (l->off < l->text.len && !(peek(l, 0) == '*' && peek(l, 1) == '/'))
				advance(l, 1);
			if (l->off == l->text.len)
				return unclosed(l, at, "this comment is not closed; '*/' is missing", e);
			advance(l, 2);
		} else {
			return 1;
		}
	}
	return 0;
}

/* At a quote: up to and including its partner; the value has doubled ones resolved. */
static int lex_quoted(struct lex *l, char quote, struct token *ret, struct err *e)
{
	struct pos at = ret->pos;
	size_t from = l->off + 1, doubled = 0;

	advance(l, 1);
	for (;; advance(l, 1)) {
		if (l->off >= l->text.len)
			return unclosed(l, at,
					quote == '"' ? "this name is not closed; '\"' is missing"
						     : "this string is not closed; \"'\" is missing",
					e);
		if (peek(l, 0) != quote)
			continue;
		if (peek(l, 1) != quote)
			break;
		doubled++;
		advance(l, 1);
	}
	ret->value = (struct str){l->text.ptr + from, l->off - from};
	advance(l, 1);
	if (!doubled)
		return 1;

	char *to = arena_alloc(l->arena, ret->value.len - doubled + 1);
	size_t n = 0;

	if (!to)
		return err_set(e, -ENOMEM, "out of memory for the statement");
	for (size_t i = 0; i < ret->value.len; i++) {
		to[n++] = ret->value.ptr[i];
		if (ret->value.ptr[i] == quote)
			i++;
	}
	ret->value = (struct str){to, n};
	return 1;
}

/* Digits with '_' between them; how many bytes. */
static size_t digits(const struct lex *l, size_t from, bool (*is)(char))
{
	size_t n = from;

	while (is(peek(l, n)) || (peek(l, n) == '_' && n > from && is(peek(l, n + 1))))
		n++;
	return n - from;
}

static bool is_binary(char c)
{
	return c == '0' || c == '1';
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* 0xFF, 0b1, 0o7: bytes, or 0 where it is none. */
static size_t radix_len(const struct lex *l)
{
	char r = peek(l, 1) | 0x20;
	size_t n;

	if (peek(l, 0) != '0' || (r != 'x' && r != 'b' && r != 'o'))
		return 0;
	n = digits(l, 2, r == 'x' ? is_hex : r == 'b' ? is_binary : is_octal);
	return n ? 2 + n : 0;
}

static int lex_number(struct lex *l, struct token *ret, struct err *e)
{
	size_t n = radix_len(l), word = 0;
	bool exponent = false;

	ret->code = TK_INTEGER;
	if (!n) {
		n = digits(l, 0, is_digit);
		if (peek(l, n) == '.') {
			ret->code = TK_NUMBER;
			n++;
			n += digits(l, n, is_digit);
		}
		if ((peek(l, n) | 0x20) == 'e') {
			size_t sign = peek(l, n + 1) == '+' || peek(l, n + 1) == '-';

			if (is_digit(peek(l, n + 1 + sign))) {
				ret->code = TK_NUMBER;
				exponent = true;
				n += 1 + sign;
				n += digits(l, n, is_digit);
			}
		}
		while (is_word(peek(l, n + word)))
			word++;
		if (word && !exponent &&
		    duration_is_unit((struct str){l->text.ptr + l->off + n, word})) {
			ret->code = TK_DURATION;
			n += word;
			word = 0;
		}
	}
	while (is_word(peek(l, n + word)) || (peek(l, n + word) == '.' && ret->code != TK_DURATION))
		word++;
	size_t sign = word == 1 && (peek(l, n) | 0x20) == 'e' && strchr("+-", peek(l, n + 1)) != NULL;

	if (word && l->partial && l->off + n + word + sign >= l->text.len) {
		l->open = true; /* "15minu" may still become 15minute, "1e+" 1e+3 */
		return 0;
	}
	if (word)
		return err_set(e, -EINVAL,
			       "line %u:%u: '%.*s' is neither a number nor a duration such as 15m, 72.5h or "
			       "1year; a name that begins with a digit needs double quotes",
			       ret->pos.line, ret->pos.col, (int)MIN(n + word, 64), l->text.ptr + l->off);
	advance(l, n);
	return 1;
}

/* Non-ASCII characters that are pasted by accident. */
static const char *odd_character(struct str at)
{
	static const struct {
		const char *from, *to, *say;
	} odd[] = {
		{"\xE2\x80\x98", "\xE2\x80\x9B", "a typographic quote; strings need '...'"},
		{"\xE2\x80\x9C", "\xE2\x80\x9F", "a typographic quote; strings need '...', names \"...\""},
		{"\xE2\x80\x90", "\xE2\x80\x95", "a typographic dash; minus is '-'"},
		{"\xE2\x88\x92", "\xE2\x88\x92", "a typographic minus; minus is '-'"},
		{"\xE2\x80\x80", "\xE2\x80\x8F", "a special blank; use an ordinary one"},
		{"\xE2\x80\xA8", "\xE2\x80\xAF", "a special blank; use an ordinary one"},
		{"\xC2\xA0", "\xC2\xA0", "a no-break space; use an ordinary blank"},
		{"\xE3\x80\x80", "\xE3\x80\x80", "a wide blank; use an ordinary one"},
		{"\xEF\xBB\xBF", "\xEF\xBB\xBF", "a byte order mark; remove it"},
	};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		size_t n = strlen(odd[i].from);

		if (at.len >= n && memcmp(at.ptr, odd[i].from, n) >= 0 &&
		    memcmp(at.ptr, odd[i].to, n) <= 0)
			return odd[i].say;
	}
	return NULL;
}

static int no_cast(struct err *e, struct pos at)
{
	return lex_fail(e, at, "'::' is no operator here; write CAST(value AS type)");
}

/* measure_value::double is one name. */
static int lex_measure_value(struct lex *l, size_t n, struct token *ret, struct err *e)
{
	static const char *const types[] = {"double", "bigint", "boolean", "varchar"};
	size_t word = 0;
	struct str type;

	while (is_word(peek(l, n + 2 + word)))
		word++;
	type = (struct str){l->text.ptr + l->off + n + 2, word};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_ieq(type, str_from(types[i]))) {
			advance(l, n + 2 + word);
			return 1;
		}
	}
	if (l->partial && l->off + n + 2 + word == l->text.len) {
		l->open = true;
		return 0;
	}
	return lex_fail(e, ret->pos,
			"after 'measure_value::' comes double, bigint, boolean or varchar; to convert a "
			"value write CAST(value AS type)");
}

static int lex_word(struct lex *l, struct token *ret, struct err *e)
{
	static const struct str measure_value = {"measure_value", 13};
	size_t n = 0;
	int rc;

	while (is_word(peek(l, n))) {
		const char *say = (unsigned char)peek(l, n) < 0x80 ? NULL :
				  odd_character((struct str){l->text.ptr + l->off + n,
							     l->text.len - l->off - n});

		if (say && !n)
			return err_set(e, -EINVAL, "line %u:%u: this is %s", ret->pos.line,
				       ret->pos.col, say);
		if (say)
			break;
		n++;
	}

	struct str word = {l->text.ptr + l->off, n};

	if (n == 1 && (word.ptr[0] | 0x20) == 'x' && peek(l, 1) == '\'')
		return lex_fail(e, ret->pos, "there are no binary literals: no type could hold them");
	if (n == 1 && (word.ptr[0] | 0x20) == 'u' && peek(l, 1) == '&' && peek(l, 2) == '\'') {
		advance(l, 2);
		ret->code = TK_USTRING;
		return lex_quoted(l, '\'', ret, e);
	}
	if (peek(l, n) == ':' && peek(l, n + 1) == ':') {
		if (!str_ieq(word, measure_value))
			return no_cast(e, (struct pos){l->pos.line, l->pos.col + (uint32_t)n});
		ret->code = TK_ID;
		rc = lex_measure_value(l, n, ret, e);
		ret->value = (struct str){word.ptr, l->off - (size_t)(word.ptr - l->text.ptr)};
		return rc;
	}
	if ((peek(l, n) == ':' || (n == 1 && peek(l, n) == '&')) && l->partial &&
	    l->off + n + 1 == l->text.len) {
		l->open = true;
		return 0;
	}
	advance(l, n);
	ret->value = word;
	ret->code = word_code(word);
	return 1;
}

static int lex_param(struct lex *l, struct token *ret, struct err *e)
{
	size_t n = 1;

	while (is_word(peek(l, n)))
		n++;
	ret->code = TK_PARAM;
	ret->value = (struct str){l->text.ptr + l->off + 1, n - 1};
	if (n == 1 && l->partial && l->off + 1 == l->text.len) {
		l->open = true;
		return 0;
	}
	if (n == 1)
		return lex_fail(e, ret->pos, "after '@' comes a parameter's name");
	advance(l, n);
	return 1;
}

static int bad_character(const struct lex *l, struct err *e)
{
	static const struct {
		char c;
		const char *say;
	} hints[] = {
		{'`', "names are quoted by double quotes: \"name\""},
		{'|', "strings are joined by '||'; bits by bitwise_or(a, b)"},
		{'!', "not equal is '<>' or '!='; negation is NOT"},
		{'&', "both is AND; bits are joined by bitwise_and(a, b)"},
		{'^', "powers are power(a, b), bits bitwise_xor(a, b)"},
		{'~', "regular expressions are regexp_like(text, pattern), bits bitwise_not(a)"},
		{'?', "parameters are written @name"},
		{'$', "parameters are written @name"},
		{'{', "arrays are ARRAY[...], rows ROW(...)"},
		{'#', "comments begin with --"},
		{'\\', "strings know no backslash escapes; a quote in a string is doubled"},
	};
	unsigned char c = (unsigned char)peek(l, 0);

	for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
		if (hints[i].c == (char)c)
			return err_set(e, -EINVAL, "line %u:%u: unexpected character '%c'; %s",
				       l->pos.line, l->pos.col, c, hints[i].say);
	}
	if (c < 0x20 || c == 0x7F)
		return err_set(e, -EINVAL, "line %u:%u: unexpected control character 0x%02X",
			       l->pos.line, l->pos.col, c);
	return err_set(e, -EINVAL, "line %u:%u: unexpected character '%c'", l->pos.line, l->pos.col, c);
}

static int lex_operator(struct lex *l, struct token *ret, struct err *e)
{
	static const struct {
		const char *text;
		int code;
	} ops[] = { /* longer ones first */
		{"<>", TK_NE}, {"!=", TK_NE}, {"<=", TK_LE}, {">=", TK_GE}, {"||", TK_CONCAT},
		{"->", TK_ARROW}, {"=", TK_EQ}, {"<", TK_LT}, {">", TK_GT}, {"+", TK_PLUS},
		{"-", TK_MINUS}, {"*", TK_STAR}, {"/", TK_SLASH}, {"%", TK_PERCENT}, {"(", TK_LP},
		{")", TK_RP}, {"[", TK_LB}, {"]", TK_RB}, {",", TK_COMMA}, {".", TK_DOT},
		{";", TK_SEMI},
	};

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		size_t n = strlen(ops[i].text);

		if (peek(l, 0) == ops[i].text[0] && (n == 1 || peek(l, 1) == ops[i].text[1])) {
			ret->code = ops[i].code;
			advance(l, n);
			return 1;
		}
	}
	if (l->partial && l->off + 1 == l->text.len && strchr("!|:", peek(l, 0))) {
		l->open = true;
		return 0;
	}
	if (peek(l, 0) == ':' && peek(l, 1) == ':')
		return no_cast(e, l->pos);
	return bad_character(l, e);
}

int lex_next(struct lex *l, struct token *ret, struct err *e)
{
	struct token t = {0};
	size_t from;
	int rc = skip_blanks(l, e);

	if (rc < 0)
		return rc;
	t.pos = l->pos;
	t.text = (struct str){l->text.ptr + l->off, 0};
	if (!rc) {
		*ret = t;
		return 0;
	}
	from = l->off;

	char c = peek(l, 0);

	if (is_word_start(c)) {
		rc = lex_word(l, &t, e);
	} else if (is_digit(c) || (c == '.' && is_digit(peek(l, 1)))) {
		rc = lex_number(l, &t, e);
	} else if (c == '\'') {
		t.code = TK_STRING;
		rc = lex_quoted(l, '\'', &t, e);
	} else if (c == '"') {
		t.code = TK_QID;
		rc = lex_quoted(l, '"', &t, e);
		if (rc > 0 && !t.value.len)
			return lex_fail(e, t.pos, "a name must not be empty");
	} else if (c == '@') {
		rc = lex_param(l, &t, e);
	} else {
		rc = lex_operator(l, &t, e);
	}
	if (rc <= 0)
		t.code = 0;
	t.text.len = l->off - from;
	if (rc >= 0)
		*ret = t;
	return rc;
}

bool lex_may_grow(const struct lex *l, const struct token *t)
{
	if (t->text.ptr + t->text.len < l->text.ptr + l->text.len)
		return false;
	switch (t->code) {
	case TK_LP: case TK_RP: case TK_LB: case TK_RB: case TK_COMMA: case TK_SEMI: case TK_PLUS:
	case TK_STAR: case TK_PERCENT: case TK_EQ: case TK_NE: case TK_LE: case TK_GE: case TK_ARROW:
	case TK_CONCAT:
		return false;
	default:
		return true;
	}
}
