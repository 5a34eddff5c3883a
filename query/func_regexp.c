/*
 * func_regexp: regular expressions over varchar. A constant pattern is compiled once a statement, any
 * other when it changes from one row to the next.
 *
 * Matches are found one behind the other; behind an empty one the search goes on a character later.
 */
#include "query/func_impl.h"
#include "query/regex.h"

#define GROUP "Regular expression"

/* The pattern is the second argument everywhere. */
static int prepare(struct arena *a, const struct vec *const *args, uint32_t argc, void **ret, struct err *e)
{
	struct regex *x;

	(void)argc;
	if (!args[1] || (args[1]->valid && !args[1]->valid[0]))
		return 0;
	int rc = regex_compile(a, args[1]->str[0], &x, e);
	if (rc >= 0)
		*ret = x;
	return rc;
}

/* The rows of a call, and the pattern of the row at hand. */
struct rows {
	struct fn_call *c;
	struct err *e;
	const struct regex *regex;
	struct regex_match *match; /* of this call: a prepared pattern may be in use elsewhere */
	struct str pattern;        /* that regex was made of; ptr NULL: none, or prepared */
	struct str text;
};

static int enter_row(struct rows *r, uint32_t i)
{
	struct str p = arg_str(r->c, 1, i), s = arg_str(r->c, 0, i);

	r->text = s.len ? s : (struct str){"", 0};
	if (r->match && (r->c->prepared || str_eq(r->pattern, p)))
		return 0;
	if (r->c->prepared) {
		r->regex = r->c->prepared;
	} else {
		struct regex *x;
		int rc = regex_compile(r->c->arena, p, &x, r->e);
		if (rc < 0)
			return rc;
		r->regex = x;
		r->pattern = p;
	}
	return regex_match_create(r->c->arena, r->regex, r->c->exec ? r->c->exec->cancelled : NULL, &r->match) < 0
		       ? func_no_memory(r->e)
		       : 0;
}

#define EACH_ROW(r, i, rc)                                                                         \
	for (uint32_t i = 0; i < (r).c->n && rc >= 0; i++)                                         \
		if (!row_ok((r).c, i) || (rc = enter_row(&(r), i)) < 0)                            \
			;                                                                          \
		else

static int group_of(const struct rows *r, uint32_t k, uint32_t i, uint32_t *ret)
{
	int64_t g = r->c->argc > k ? arg_i64(r->c, k, i) : 0;

	if (g < 0)
		return err_set(r->e, -EINVAL, "a group has a number of 0 or more, not %lld", (long long)g);
	if (g > regex_groups(r->regex))
		return err_set(r->e, -EINVAL, "the pattern has %u groups, and no group %lld",
			       regex_groups(r->regex), (long long)g);
	*ret = (uint32_t)g;
	return 0;
}

static struct str cut(struct str s, size_t from, size_t to)
{
	return (struct str){s.ptr + from, to - from};
}

/* ---- whether and where ---------------------------------------------------------------------------- */

static int regexp_like(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	int rc = 0;

	EACH_ROW(r, i, rc) {
		rc = regex_find(r.match, r.text, 0, e);
		ret->b8[i] = rc > 0;
	}
	return MIN(rc, 0);
}

static int regexp_count(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	int rc = 0;

	EACH_ROW(r, i, rc) {
		ret->i64[i] = 0;
		for (size_t at = 0; (rc = regex_find(r.match, r.text, at, e)) > 0; ret->i64[i]++)
			at = regex_next(r.match, r.text);
	}
	return MIN(rc, 0);
}

static size_t bytes_of(struct str s, int64_t chars)
{
	size_t i = 0;

	for (; i < s.len; i++)
		if (((unsigned char)s.ptr[i] & 0xc0) != 0x80 && chars-- == 0)
			return i;
	return chars > 0 ? s.len + 1 : s.len;
}

static int64_t chars_of(struct str s, size_t bytes)
{
	int64_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

/* regexp_position(text, pattern [, start [, occurrence]]): in characters from 1; -1: nowhere. */
static int regexp_position(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	int rc = 0;

	EACH_ROW(r, i, rc) {
		int64_t start = c->argc > 2 ? arg_i64(c, 2, i) : 1, nth = c->argc > 3 ? arg_i64(c, 3, i) : 1;
		size_t from, to, at;
		if (start < 1 || nth < 1)
			return err_set(e, -EINVAL, "the %s must be positive, not %lld", start < 1 ? "start" : "occurrence",
				       (long long)(start < 1 ? start : nth));
		ret->i64[i] = -1;
		at = bytes_of(r.text, start - 1);
		while ((rc = regex_find(r.match, r.text, at, e)) > 0 && --nth)
			at = regex_next(r.match, r.text);
		if (rc > 0 && regex_group(r.match, 0, &from, &to))
			ret->i64[i] = chars_of(r.text, from) + 1;
	}
	return MIN(rc, 0);
}

/* ---- parts ------------------------------------------------------------------------------------------ */

static int regexp_extract(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	int rc = 0;

	EACH_ROW(r, i, rc) {
		uint32_t group;
		size_t from, to;
		rc = group_of(&r, 2, i, &group);
		if (rc >= 0)
			rc = regex_find(r.match, r.text, 0, e);
		if (rc > 0 && regex_group(r.match, group, &from, &to))
			ret->str[i] = cut(r.text, from, to);
		else if (rc >= 0)
			rc = ret_set_null(c, ret, i, e);
	}
	return MIN(rc, 0);
}

/* Texts of a list column, one after the other. */
struct texts {
	struct arena *arena;
	struct vec v;
	uint32_t n, cap;
	bool has_null;
};

static int texts_add(struct texts *t, const struct str *s, struct err *e)
{
	if (t->n == t->cap) {
		struct vec wider;
		uint32_t cap = MAX(t->cap * 2, 64u);
		int rc = vec_alloc(&wider, &type_varchar, cap, t->arena, e);
		uint8_t *valid = arena_alloc(t->arena, cap);
		if (rc < 0 || !valid)
			return rc < 0 ? rc : func_no_memory(e);
		if (t->n) {
			memcpy(wider.str, t->v.str, t->n * sizeof *wider.str);
			memcpy(valid, t->v.valid, t->n);
		}
		wider.valid = valid;
		t->v = wider;
		t->cap = cap;
	}
	t->v.valid[t->n] = s != NULL;
	t->has_null |= !s;
	t->v.str[t->n++] = s ? *s : (struct str){"", 0};
	return 0;
}

/* Calls add() for each row; what it adds to the texts is the row's list. */
static int lists(struct fn_call *c, struct vec *ret, int (*add)(struct rows *r, uint32_t i, struct texts *t),
		 struct err *e)
{
	struct rows r = {.c = c, .e = e};
	struct texts t = {.arena = c->arena};
	struct vec out;
	int rc = vec_alloc(&out, c->ret_type, c->n, c->arena, e);

	if (rc >= 0)
		rc = vec_alloc(&t.v, &type_varchar, 1, c->arena, e);
	EACH_ROW(r, i, rc) {
		uint32_t first = t.n;
		rc = add(&r, i, &t);
		out.list[i] = (struct vec_list){first, t.n - first};
	}
	if (rc < 0)
		return rc;
	if (!t.has_null)
		t.v.valid = NULL;
	out.child[0] = t.v;
	out.child_n = t.n;
	*ret = out;
	return 0;
}

static int add_matches(struct rows *r, uint32_t i, struct texts *t)
{
	uint32_t group;
	size_t from, to, at = 0;
	int rc = group_of(r, 2, i, &group);

	while (rc >= 0 && (rc = regex_find(r->match, r->text, at, r->e)) > 0) {
		struct str s;
		bool has = regex_group(r->match, group, &from, &to);
		if (has)
			s = cut(r->text, from, to);
		rc = texts_add(t, has ? &s : NULL, r->e);
		at = regex_next(r->match, r->text);
	}
	return rc;
}

static int add_pieces(struct rows *r, uint32_t i, struct texts *t)
{
	size_t from, to, at = 0, last = 0;
	struct str s;
	int rc;

	(void)i;
	while ((rc = regex_find(r->match, r->text, at, r->e)) > 0) {
		(void)regex_group(r->match, 0, &from, &to);
		s = cut(r->text, MIN(last, from), from);
		rc = texts_add(t, &s, r->e);
		if (rc < 0)
			return rc;
		last = to;
		at = regex_next(r->match, r->text);
	}
	if (rc < 0)
		return rc;
	s = cut(r->text, last, r->text.len);
	return texts_add(t, &s, r->e);
}

static int regexp_extract_all(struct fn_call *c, struct vec *ret, struct err *e)
{
	return lists(c, ret, add_matches, e);
}

static int regexp_split(struct fn_call *c, struct vec *ret, struct err *e)
{
	return lists(c, ret, add_pieces, e);
}

/* ---- replacing -------------------------------------------------------------------------------------- */

static int bad_replacement(const struct rows *r, struct str repl)
{
	return err_set(r->e, -EINVAL,
		       "the replacement '%.*s' is malformed: $ is followed by the number of a group or {its name}, and a "
		       "dollar sign itself is written \\$",
		       (int)MIN(repl.len, (size_t)200), repl.ptr);
}

/* The group that repl[*at] begins with, behind the dollar sign: as many digits as there are groups for. */
static int replacement_group(const struct rows *r, struct str repl, size_t *at, uint32_t *ret)
{
	size_t i = *at;
	uint64_t g;

	if (i < repl.len && repl.ptr[i] == '{') {
		const char *end = memchr(repl.ptr + i, '}', repl.len - i);
		if (!end)
			return bad_replacement(r, repl);
		struct str name = {repl.ptr + i + 1, (size_t)(end - repl.ptr) - i - 1};
		int k = regex_group_named(r->regex, name);
		if (k < 0)
			return err_set(r->e, -EINVAL, "the pattern has no group named '%.*s'", STR_FMT(name));
		*at = (size_t)(end - repl.ptr) + 1;
		*ret = (uint32_t)k;
		return 0;
	}
	if (i >= repl.len || repl.ptr[i] < '0' || repl.ptr[i] > '9')
		return bad_replacement(r, repl);
	g = (uint64_t)(repl.ptr[i++] - '0');
	if (g > regex_groups(r->regex))
		return err_set(r->e, -EINVAL, "the pattern has %u groups, and no group %llu", regex_groups(r->regex),
			       (unsigned long long)g);
	while (i < repl.len && repl.ptr[i] >= '0' && repl.ptr[i] <= '9') {
		uint64_t next = g * 10 + (uint64_t)(repl.ptr[i] - '0');
		if (next > regex_groups(r->regex))
			break;
		g = next;
		i++;
	}
	*at = i;
	*ret = (uint32_t)g;
	return 0;
}

static int add_replacement(const struct rows *r, struct str repl, struct buf *out)
{
	for (size_t at = 0; at < repl.len;) {
		char ch = repl.ptr[at++];
		size_t from, to;
		uint32_t group = 0;
		if (ch == '\\') {
			if (at == repl.len)
				return bad_replacement(r, repl);
			buf_addc(out, repl.ptr[at++]);
			continue;
		}
		if (ch != '$') {
			buf_addc(out, ch);
			continue;
		}
		int rc = replacement_group(r, repl, &at, &group);
		if (rc < 0)
			return rc;
		if (regex_group(r->match, group, &from, &to))
			buf_add_str(out, cut(r->text, from, to));
	}
	return 0;
}

static int replace_row(struct rows *r, struct str repl, struct buf *out, struct str *ret)
{
	size_t from, to, at = 0, last = 0;
	int rc;

	buf_clear(out);
	while ((rc = regex_find(r->match, r->text, at, r->e)) > 0) {
		(void)regex_group(r->match, 0, &from, &to);
		buf_add_str(out, cut(r->text, MIN(last, from), from));
		rc = add_replacement(r, repl, out);
		if (rc < 0)
			return rc;
		last = to;
		at = regex_next(r->match, r->text);
	}
	if (rc < 0)
		return rc;
	buf_add_str(out, cut(r->text, last, r->text.len));
	struct str made = arena_str(r->c->arena, buf_str(out));
	if (out->rc < 0 || !made.ptr)
		return func_no_memory(r->e);
	*ret = made;
	return 0;
}

static int regexp_replace(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	struct buf out;
	int rc = 0;

	buf_init(&out, (size_t)64 << 20);
	EACH_ROW(r, i, rc)
		rc = replace_row(&r, c->argc > 2 ? arg_str(c, 2, i) : (struct str){"", 0}, &out, &ret->str[i]);
	buf_release(&out);
	return rc;
}

/*
 * regexp_replace(text, pattern, lambda): the groups of all matches of all rows are gathered first, then the
 * lambda is asked once about all of them, then the texts are put together.
 */
struct matches {
	struct span {
		size_t from, to;
	} *span;
	uint32_t *row;
	uint32_t n, cap;
	struct texts groups; /* those of each match, one behind the other */
	struct vec_list *list;
};

static int matches_grow(struct matches *m, struct arena *a, struct err *e)
{
	uint32_t cap = MAX(m->cap * 2, 64u);
	struct span *span = arena_array(a, struct span, cap);
	struct vec_list *list = arena_array(a, struct vec_list, cap);
	uint32_t *row = arena_array(a, uint32_t, cap);

	if (m->cap > UINT32_MAX / 2 || !span || !list || !row)
		return func_no_memory(e);
	if (m->n) {
		memcpy(span, m->span, m->n * sizeof *span);
		memcpy(list, m->list, m->n * sizeof *list);
		memcpy(row, m->row, m->n * sizeof *row);
	}
	m->span = span;
	m->list = list;
	m->row = row;
	m->cap = cap;
	return 0;
}

static int find_matches(struct rows *r, uint32_t i, struct matches *m)
{
	size_t at = 0;
	int rc;

	while ((rc = regex_find(r->match, r->text, at, r->e)) > 0) {
		uint32_t first = m->groups.n;
		size_t from, to;
		if (m->n == m->cap && (rc = matches_grow(m, r->c->arena, r->e)) < 0)
			return rc;
		(void)regex_group(r->match, 0, &m->span[m->n].from, &m->span[m->n].to);
		for (uint32_t g = 1; rc >= 0 && g <= regex_groups(r->regex); g++) {
			struct str s;
			bool has = regex_group(r->match, g, &from, &to);
			if (has)
				s = cut(r->text, from, to);
			rc = texts_add(&m->groups, has ? &s : NULL, r->e);
		}
		if (rc < 0)
			return rc;
		m->row[m->n] = i;
		m->list[m->n++] = (struct vec_list){first, m->groups.n - first};
		at = regex_next(r->match, r->text);
	}
	return rc;
}

/* What the lambda makes of each match's groups. */
static int ask_lambda(struct fn_call *c, struct matches *m, struct vec *ret, struct err *e)
{
	const struct type *t = type_array(c->arena, &type_varchar);
	struct vec param;
	int rc = t ? vec_alloc(&param, t, m->n, c->arena, e) : func_no_memory(e);

	if (rc < 0)
		return rc;
	if (m->n)
		memcpy(param.list, m->list, m->n * sizeof *m->list);
	if (!m->groups.has_null)
		m->groups.v.valid = NULL;
	param.child[0] = m->groups.v;
	param.child_n = m->groups.n;
	return c->lambda_eval(c->lambdas[2], LAMBDA_BODY, &param, m->row, m->n, c->arena, ret, e);
}

/* Matches [k, end) are this text's. */
static void put_together(const struct matches *m, const struct vec *made, uint32_t k, uint32_t end, struct str text,
			 struct buf *out)
{
	size_t last = 0;

	for (; k < end; k++) {
		buf_add_str(out, cut(text, MIN(last, m->span[k].from), m->span[k].from));
		if (!made->valid || made->valid[k])
			buf_add_str(out, made->str[k]);
		last = m->span[k].to;
	}
	buf_add_str(out, cut(text, last, text.len));
}

static int regexp_replace_by(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	struct matches m = {.groups = {.arena = c->arena}};
	struct vec made;
	struct buf out;
	uint32_t k = 0;
	int rc = vec_alloc(&m.groups.v, &type_varchar, 1, c->arena, e);

	EACH_ROW(r, i, rc)
		rc = find_matches(&r, i, &m);
	if (rc >= 0)
		rc = ask_lambda(c, &m, &made, e);
	if (rc < 0)
		return rc;
	buf_init(&out, (size_t)64 << 20);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct str text = arg_str(c, 0, i);
		uint32_t end = k;
		if (!row_ok(c, i))
			continue;
		while (end < m.n && m.row[end] == i)
			end++;
		buf_clear(&out);
		put_together(&m, &made, k, end, text.len ? text : (struct str){"", 0}, &out);
		k = end;
		ret->str[i] = arena_str(c->arena, buf_str(&out));
		if (out.rc < 0 || !ret->str[i].ptr)
			rc = func_no_memory(e);
	}
	buf_release(&out);
	return rc;
}

#define REGEXP(n, p, r, k, h) \
	{.name = n, .params = p, .ret = r, .scalar = k, .prepare = prepare, .group = GROUP, .help = h}

const struct func func_rows_regexp[] = {
	REGEXP("regexp_like", "varchar, varchar", "boolean", regexp_like,
	       "whether the pattern matches somewhere in the text"),
	REGEXP("regexp_count", "varchar, varchar", "bigint", regexp_count, "how many matches there are"),
	REGEXP("regexp_position", "varchar, varchar", "bigint", regexp_position,
	       "where the first match begins, counted from 1; -1: nowhere"),
	REGEXP("regexp_position", "varchar, varchar, bigint", "bigint", regexp_position,
	       "the same, from a position on"),
	REGEXP("regexp_position", "varchar, varchar, bigint, bigint", "bigint", regexp_position,
	       "where the n-th match from a position on begins"),
	REGEXP("regexp_extract", "varchar, varchar", "varchar", regexp_extract,
	       "the first match; NULL: there is none"),
	REGEXP("regexp_extract", "varchar, varchar, bigint", "varchar", regexp_extract,
	       "a group of the first match; NULL where there is none or the group took no part"),
	REGEXP("regexp_extract_all", "varchar, varchar", "array(varchar)", regexp_extract_all, "all matches"),
	REGEXP("regexp_extract_all", "varchar, varchar, bigint", "array(varchar)", regexp_extract_all,
	       "a group of each match"),
	REGEXP("regexp_split", "varchar, varchar", "array(varchar)", regexp_split,
	       "what lies between the matches"),
	REGEXP("regexp_replace", "varchar, varchar", "varchar", regexp_replace, "the text without all matches"),
	REGEXP("regexp_replace", "varchar, varchar, varchar", "varchar", regexp_replace,
	       "all matches replaced; $1 and ${name} stand for groups, \\$ for a dollar sign"),
	REGEXP("regexp_replace", "varchar, varchar, lambda(array(varchar)) -> varchar", "varchar", regexp_replace_by,
	       "all matches replaced by what the lambda makes of their groups x: x[1] is the first"),
	FUNC_END,
};
