#include "engine/lineproto.h"

/* ---- where a line ends ------------------------------------------------------------------------ */

/* Where `c` is next, or n: a long run of bytes without meaning is skipped at memchr's speed. */
static size_t skip_to(const char *p, size_t i, size_t n, char c)
{
	const char *q = memchr(p + i, c, n - i);
	return q ? (size_t)(q - p) : n;
}

/* Inside a string only a quote and a backslash matter. */
static size_t skip_string(const char *p, size_t i, size_t n)
{
	while (i < n && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

static enum lp_state after_head(char c)
{
	return c == '\\' ? LP_HEAD_ESC : c == ' ' ? LP_GAP : LP_HEAD;
}

static enum lp_state after_field(char c)
{
	switch (c) {
	case ' ':
		return LP_REST;
	case '=':
		return LP_FIELDS_EQ;
	case '\\':
		return LP_FIELDS_ESC;
	default:
		return LP_FIELDS;
	}
}

size_t lp_scan_line(struct lp_scan *s, const char *p, size_t n)
{
	enum lp_state st = s->state;

	for (size_t i = 0; i < n; i++) {
		if (st == LP_STRING)
			i = skip_string(p, i, n);
		else if (st == LP_COMMENT || st == LP_REST)
			i = skip_to(p, i, n, '\n');
		if (i == n)
			break;
		char c = p[i];
		if (c == '\n' && st != LP_STRING && st != LP_STRING_ESC) {
			s->state = LP_START;
			return i;
		}
		switch (st) {
		case LP_START:
			if (c == '#')
				st = LP_COMMENT;
			else if (c != ' ' && c != '\t')
				st = after_head(c);
			break;
		case LP_HEAD:
			st = after_head(c);
			break;
		case LP_HEAD_ESC: /* a second backslash escapes what follows it, too */
			st = c == '\\' ? LP_HEAD_ESC : LP_HEAD;
			break;
		case LP_GAP:
			if (c != ' ' && c != '\t')
				st = after_field(c);
			break;
		case LP_FIELDS:
			st = after_field(c);
			break;
		case LP_FIELDS_EQ:
			st = c == '"' ? LP_STRING : after_field(c);
			break;
		case LP_FIELDS_ESC:
			st = c == '\\' ? LP_FIELDS_ESC : LP_FIELDS;
			break;
		case LP_STRING:
			st = c == '"' ? LP_FIELDS : LP_STRING_ESC;
			break;
		case LP_STRING_ESC:
			st = LP_STRING;
			break;
		case LP_COMMENT:
		case LP_REST:
			break;
		}
	}
	s->state = st;
	return n;
}

/* ---- parsing ---------------------------------------------------------------------------------- */

struct parser {
	struct point *pt;
	const char *begin; /* of the line */
	const char *p;
	const char *end;
	size_t at; /* where it went wrong */
	struct err *e;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end && is_blank(*ps->p))
		ps->p++;
}

static uint32_t offset(const struct parser *ps, const char *p)
{
	return (uint32_t)(p - ps->begin);
}

/* refuse(ps, where, "sentence", ...): notes the place, makes the sentence, is -EINVAL. */
#define refuse(ps, where, ...)                                                                     \
	((ps)->at = offset((ps), (where)), err_set((ps)->e, -EINVAL, __VA_ARGS__))

/* A text for a message: what a reader can take in. */
#define SHOWN(s) (int)MIN((s).len, (size_t)64), (s).ptr

enum stop {
	STOP_COMMA = 1,
	STOP_BLANK = 2,
	STOP_EQUALS = 4,
};

static unsigned stop_of(char c)
{
	return c == ',' ? STOP_COMMA : c == ' ' ? STOP_BLANK : c == '=' ? STOP_EQUALS : 0;
}

/*
 * A name or tag value: everything up to a stop that has no backslash in front. A backslash in front
 * of a stop goes, any other stays. *ret may lie in the point's scratch.
 */
static int take_name(struct parser *ps, unsigned stops, struct str *ret, bool *ret_escaped)
{
	const char *p = ps->p, *begin = p;
	size_t escapes = 0;

	for (; p < ps->end; p++) {
		if (*p == '\\' && p + 1 < ps->end && (stop_of(p[1]) & stops)) {
			escapes++;
			p++;
		} else if (stop_of(*p) & stops) {
			break;
		}
	}
	ps->p = p;
	*ret = (struct str){begin, (size_t)(p - begin)};
	*ret_escaped = escapes > 0;
	if (!escapes)
		return 0;
	char *to = arena_alloc(&ps->pt->scratch, ret->len);
	if (!to)
		return err_set(ps->e, -ENOMEM, "out of memory");
	ret->ptr = to;
	ret->len -= escapes;
	for (const char *q = begin; q < p; q++) {
		if (*q == '\\' && q + 1 < p && (stop_of(q[1]) & stops))
			q++;
		*to++ = *q;
	}
	return 0;
}

#define STOPS_KEY (STOP_COMMA | STOP_BLANK | STOP_EQUALS)

static int parse_tag(struct parser *ps)
{
	struct point *pt = ps->pt;
	const char *start = ps->p;
	bool escaped;

	if (pt->tag_count == POINT_PARTS_MAX)
		return refuse(ps, start, "more than %d tags", POINT_PARTS_MAX);
	struct point_tag *t = point_add_tag(pt);
	if (!t)
		return err_set(ps->e, -ENOMEM, "out of memory");
	t->at = offset(ps, start);
	int rc = take_name(ps, STOPS_KEY, &t->key, &escaped);
	if (rc < 0)
		return rc;
	if (!t->key.len)
		return refuse(ps, start, "a tag's name is empty");
	if (ps->p == ps->end || *ps->p != '=')
		return refuse(ps, ps->p, "tag '%.*s' has no value", SHOWN(t->key));
	ps->p++;
	rc = take_name(ps, STOPS_KEY, &t->value, &escaped);
	if (rc < 0)
		return rc;
	if (ps->p < ps->end && *ps->p == '=')
		return refuse(ps, ps->p, "the value of tag '%.*s' has a '=' without a backslash",
			      SHOWN(t->key));
	if (!t->value.len)
		return refuse(ps, ps->p, "the value of tag '%.*s' is empty", SHOWN(t->key));
	return 0;
}

static int parse_head(struct parser *ps)
{
	const char *start = ps->p;
	bool escaped;
	int rc = take_name(ps, STOP_COMMA | STOP_BLANK, &ps->pt->measure, &escaped);

	if (rc < 0)
		return rc;
	if (!ps->pt->measure.len)
		return refuse(ps, start, "the measurement is empty");
	while (ps->p < ps->end && *ps->p == ',') {
		ps->p++;
		rc = parse_tag(ps);
		if (rc < 0)
			return rc;
	}
	ps->pt->identity = (struct str){start, (size_t)(ps->p - start)};
	return 0;
}

/* Behind the opening quote. Only \" and \\ are escapes. */
static int parse_string(struct parser *ps, struct point_field *f)
{
	const char *begin = ps->p, *p = begin;
	size_t escapes = 0;

	for (;; p++) {
		p += skip_string(p, 0, (size_t)(ps->end - p));
		if (p == ps->end)
			return refuse(ps, begin - 1, "the string of field '%.*s' is not closed",
				      SHOWN(f->key));
		if (*p == '"')
			break;
		if (p + 1 < ps->end && (p[1] == '"' || p[1] == '\\')) {
			escapes++;
			p++;
		}
	}
	ps->p = p + 1;
	f->type = COL_VARCHAR;
	f->str = (struct str){begin, (size_t)(p - begin)};
	if (!escapes)
		return 0;
	char *to = arena_alloc(&ps->pt->scratch, f->str.len);
	if (!to)
		return err_set(ps->e, -ENOMEM, "out of memory");
	f->str.ptr = to;
	f->in_scratch = true;
	f->str.len -= escapes;
	for (const char *q = begin; q < p; q++) {
		if (*q == '\\' && q + 1 < p && (q[1] == '"' || q[1] == '\\'))
			q++;
		*to++ = *q;
	}
	return 0;
}

static bool parse_boolean(struct str s, bool *ret)
{
	static const char *const words[2][5] = {
		{"f", "F", "false", "False", "FALSE"},
		{"t", "T", "true", "True", "TRUE"},
	};

	for (int v = 0; v < 2; v++)
		for (int i = 0; i < 5; i++)
			if (str_is(s, words[v][i])) {
				*ret = v;
				return true;
			}
	return false;
}

static bool is_not_finite_word(struct str s)
{
	static const char *const words[] = {"nan", "inf", "infinity"};

	if (s.len && (*s.ptr == '-' || *s.ptr == '+'))
		s.ptr++, s.len--;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_ieq(s, str_from(words[i])))
			return true;
	return false;
}

/* 12i, 12u */
static int parse_integer(struct parser *ps, struct point_field *f, struct str text)
{
	struct str digits = {text.ptr, text.len - 1};
	bool is_unsigned = text.ptr[text.len - 1] == 'u';
	int rc = i64_parse(digits, &f->i64);

	f->type = COL_BIGINT;
	if (rc == 0 && is_unsigned && *text.ptr == '-')
		rc = -EINVAL;
	if (rc == -ERANGE)
		return refuse(ps, text.ptr, "field '%.*s': %.*s does not fit 64 bits with sign",
			      SHOWN(f->key), SHOWN(text));
	if (rc < 0)
		return refuse(ps, text.ptr, "field '%.*s': '%.*s' is not %s", SHOWN(f->key),
			      SHOWN(text), is_unsigned ? "an unsigned integer" : "an integer");
	return 0;
}

static int parse_value(struct parser *ps, struct point_field *f)
{
	const char *start = ps->p;

	if (ps->p < ps->end && *ps->p == '"') {
		ps->p++;
		return parse_string(ps, f);
	}
	while (ps->p < ps->end && *ps->p != ',' && *ps->p != ' ')
		ps->p++;
	struct str text = {start, (size_t)(ps->p - start)};
	if (!text.len)
		return refuse(ps, start, "field '%.*s' has no value", SHOWN(f->key));
	char last = text.ptr[text.len - 1];
	if (last == 'i' || last == 'u')
		return parse_integer(ps, f, text);
	if (parse_boolean(text, &f->b8)) {
		f->type = COL_BOOLEAN;
		return 0;
	}
	f->type = COL_DOUBLE;
	int rc = f64_parse(text, &f->f64);
	if (rc == -ERANGE)
		return refuse(ps, start, "field '%.*s': %.*s is too large for a double",
			      SHOWN(f->key), SHOWN(text));
	if (rc < 0 && is_not_finite_word(text))
		return refuse(ps, start, "field '%.*s': NaN and infinity cannot be stored",
			      SHOWN(f->key));
	if (rc < 0)
		return refuse(ps, start,
			      "field '%.*s': '%.*s' is not a number, boolean or quoted string",
			      SHOWN(f->key), SHOWN(text));
	return 0;
}

static int parse_field(struct parser *ps)
{
	struct point *pt = ps->pt;
	const char *start = ps->p;

	if (pt->field_count == POINT_PARTS_MAX)
		return refuse(ps, start, "more than %d fields", POINT_PARTS_MAX);
	struct point_field *f = point_add_field(pt);
	if (!f)
		return err_set(ps->e, -ENOMEM, "out of memory");
	f->at = offset(ps, start);
	int rc = take_name(ps, STOPS_KEY, &f->key, &f->key_escaped);
	if (rc < 0)
		return rc;
	if (!f->key.len)
		return refuse(ps, start, "a field's name is empty");
	if (ps->p == ps->end || *ps->p != '=')
		return refuse(ps, ps->p, "field '%.*s' has no value", SHOWN(f->key));
	ps->p++;
	rc = parse_value(ps, f);
	if (rc < 0)
		return rc;
	if (ps->p < ps->end && *ps->p != ',' && *ps->p != ' ')
		return refuse(ps, ps->p, "a comma or a blank must follow the string of field '%.*s'",
			      SHOWN(f->key));
	return 0;
}

static int parse_fields(struct parser *ps)
{
	skip_blanks(ps);
	if (ps->p == ps->end)
		return refuse(ps, ps->p, "the line has no fields");
	for (;;) {
		int rc = parse_field(ps);
		if (rc < 0)
			return rc;
		if (ps->p == ps->end || *ps->p != ',')
			return 0;
		ps->p++;
	}
}

static int parse_time(struct parser *ps)
{
	skip_blanks(ps);
	if (ps->p == ps->end)
		return 0;
	const char *start = ps->p;
	while (ps->p < ps->end && !is_blank(*ps->p))
		ps->p++;
	struct str text = {start, (size_t)(ps->p - start)};
	int rc = i64_parse(text, &ps->pt->time);
	if (rc == -ERANGE)
		return refuse(ps, start, "timestamp %.*s does not fit 64 bits", SHOWN(text));
	if (rc < 0)
		return refuse(ps, start, "timestamp '%.*s' is not a whole number", SHOWN(text));
	ps->pt->has_time = true;
	ps->pt->time_at = offset(ps, start);
	skip_blanks(ps);
	if (ps->p < ps->end)
		return refuse(ps, ps->p, "text behind the timestamp");
	return 0;
}

static int check_text(struct parser *ps)
{
	struct str line = {ps->begin, (size_t)(ps->end - ps->begin)};
	size_t valid = utf8_valid_len(line);
	const char *nul = memchr(line.ptr, '\0', valid);

	if (nul)
		return refuse(ps, nul, "a NUL byte");
	if (valid < line.len)
		return refuse(ps, line.ptr + valid, "byte 0x%02X is not valid UTF-8 here",
			      (unsigned char)line.ptr[valid]);
	return 0;
}

int lp_parse(struct point *pt, struct str line, size_t *ret_at, struct err *e)
{
	struct parser ps = {pt, line.ptr, line.ptr, line.ptr + line.len, 0, e};

	point_clear(pt);
	if (line.len && ps.end[-1] == '\r')
		ps.end--;
	skip_blanks(&ps);
	if (ps.p == ps.end || *ps.p == '#')
		return 0;
	int rc = check_text(&ps);
	if (rc == 0)
		rc = parse_head(&ps);
	if (rc == 0)
		rc = parse_fields(&ps);
	if (rc == 0)
		rc = parse_time(&ps);
	if (rc == 0)
		rc = point_check(pt, &ps.at, e);
	if (rc < 0) {
		*ret_at = ps.at;
		return rc;
	}
	return 1;
}
