#include "query/parse.h"

#include <stdio.h>

#include "query/sql.h"

/*
 * The driver: tokens from the lexer, settled by words.c with two tokens of look-ahead, into the
 * grammar. It keeps the open parentheses, for the words whose meaning depends on them and for the
 * sentence that says where an unclosed one began.
 */

struct open_paren {
	struct pos pos;
	char shape;
	bool window;   /* OVER ( ... ): ROWS, RANGE and GROUPS may begin a frame */
	bool position; /* POSITION ( ... ), IN not yet seen */
};

struct feed {
	struct lex lex;
	struct token ahead[3];
	uint32_t n;         /* tokens in ahead */
	bool ended;         /* the lexer has no more */
	int lex_rc;         /* it failed: reported when what came before is taken */
	struct err lex_err;
	struct token prev;  /* the last one taken, settled */
	struct open_paren *parens;
	uint32_t depth;
	uint32_t window_clause; /* 1 + depth at which a WINDOW clause began; 0: none */
};

static int feed_init(struct feed *f, struct arena *a, struct str text, bool partial, struct err *e)
{
	memset(f, 0, offsetof(struct feed, lex_err));
	memset(&f->prev, 0, sizeof(f->prev));
	f->lex_rc = 0;
	f->depth = f->window_clause = 0;
	lex_init(&f->lex, a, text, partial);
	f->parens = arena_array(a, struct open_paren, SQL_DEPTH_MAX);
	if (!f->parens)
		return err_set(e, -ENOMEM, "out of memory for the statement");
	return 0;
}

static void feed_fill(struct feed *f)
{
	while (f->n < ARRAY_LEN(f->ahead) && !f->ended) {
		int rc = lex_next(&f->lex, &f->ahead[f->n], &f->lex_err);

		if (rc > 0) {
			f->n++;
			continue;
		}
		f->ended = true;
		f->lex_rc = rc;
	}
	for (uint32_t i = f->n; i < ARRAY_LEN(f->ahead); i++)
		f->ahead[i] = (struct token){.code = 0, .pos = f->lex.pos};
}

static void feed_drop(struct feed *f)
{
	memmove(f->ahead, f->ahead + 1, sizeof(f->ahead[0]) * (ARRAY_LEN(f->ahead) - 1));
	f->n--;
}

/* The token at hand with its final code; keeps the parentheses. */
static int feed_settle(struct feed *f, struct token *ret, struct err *e)
{
	struct token t = f->ahead[0];
	struct open_paren *top = f->depth ? &f->parens[f->depth - 1] : NULL;
	struct word_context c = {
		.prev = &f->prev,
		.next = &f->ahead[1],
		.after = &f->ahead[2],
		.in_window = top && top->window,
		.in_position = top && top->position,
	};

	t.code = word_settle(&t, &c);
	if (t.code == TK_POSITION_IN)
		top->position = false;
	if (t.code == TK_WINDOW)
		f->window_clause = f->depth + 1;
	if (t.code == TK_LP || t.code == TK_LB) {
		if (f->depth == SQL_DEPTH_MAX)
			return err_set(e, -E2BIG, "line %u:%u: nested deeper than %d levels", t.pos.line,
				       t.pos.col, SQL_DEPTH_MAX);
		f->parens[f->depth] = (struct open_paren){
			.pos = t.pos,
			.shape = t.code == TK_LP ? '(' : '[',
			.window = f->prev.code == TK_OVER ||
				  (f->prev.code == TK_AS && f->window_clause == f->depth + 1),
			.position = f->prev.code == TK_POSITION,
		};
		f->depth++;
	} else if ((t.code == TK_RP || t.code == TK_RB) && f->depth) {
		f->depth--;
		if (f->window_clause > f->depth + 1)
			f->window_clause = 0;
	}
	*ret = t;
	return 0;
}

static void parser_init(struct parser *p, struct arena *a, struct err *e)
{
	memset(p, 0, sizeof(*p));
	p->arena = a;
	p->e = e;
}

/*
 * Clauses that other dialects have. Their words are names here, so what follows them is what does not fit,
 * a few tokens later.
 */
static const struct {
	const char *word;
	const char *advice;
} foreign[] = {
	{"TABLESAMPLE", "WHERE random() < 0.1 takes about a tenth of the rows"},
	{"QUALIFY", "put the window function into a subquery, and the condition into WHERE around it"},
	{"PIVOT", "write an aggregate with FILTER (WHERE ...) for each column"},
	{"UNPIVOT", "write CROSS JOIN UNNEST(ARRAY[...]) for the columns"},
	{"MATCH_RECOGNIZE", "lag(), lead() and conditions on them find many patterns"},
	{"AT", "times are UTC; there are no time zones"},
};
#define FOREIGN_TOKENS 3

static const char *foreign_advice(const struct parser *p, const struct token *unexpected, struct token *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		bool is_at = i == ARRAY_LEN(foreign) - 1;

		if (!is_at && str_ieq(unexpected->text, str_from(foreign[i].word))) {
			*ret = *unexpected;
			return foreign[i].advice;
		}
		if (!p->foreign.text.ptr || p->foreign_age > FOREIGN_TOKENS ||
		    !str_ieq(p->foreign.text, str_from(foreign[i].word)))
			continue;
		if (is_at && (p->foreign_age != 1 || !str_ieq(unexpected->text, STR_LIT("time"))))
			continue;
		*ret = p->foreign;
		return foreign[i].advice;
	}
	return NULL;
}

/* t comes behind p->last: where a column stands it means nothing, where an alias stands it does. */
static void note_foreign(struct parser *p, const struct token *t)
{
	bool is_behind_name = p->last.code == TK_ID || p->last.code == TK_QID || p->last.code == TK_RP;

	p->foreign_age++;
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		bool is_at = i == ARRAY_LEN(foreign) - 1;

		if ((is_at || is_behind_name) && str_ieq(t->text, str_from(foreign[i].word))) {
			p->foreign = *t;
			p->foreign_age = 1;
		}
	}
}

/*
 * Whether the token fits is asked first: Lemon's default reductions would have emptied its stack of
 * what else could have stood there before it noticed.
 */
static int parser_take(struct parser *p, void *lemon, const struct token *t)
{
	if (!sql_parser_expects(lemon, t->code))
		parse_unexpected(p, lemon, t);
	else
		sql_parser_take(lemon, t);
	if (t->code) {
		if (t->code == TK_ID)
			note_foreign(p, t);
		else
			p->foreign_age++;
		p->last = *t;
		p->prev_end = t->text.ptr + t->text.len;
	}
	return p->rc;
}

/* ---- what went wrong -------------------------------------------------------------------------- */

/* Tokens as people call them, in the order in which they are offered. fallback: also a name. */
static const struct {
	int code;
	bool fallback;
	const char *text;
} names[] = {
	{TK_FROM, false, "FROM"}, {TK_BY, false, "BY"}, {TK_AS, false, "AS"}, {TK_AND, false, "AND"},
	{TK_THEN, false, "THEN"}, {TK_WHEN, false, "WHEN"}, {TK_ELSE, false, "ELSE"},
	{TK_END, false, "END"}, {TK_JOIN, false, "JOIN"}, {TK_ON, false, "ON"},
	{TK_USING, false, "USING"}, {TK_SELECT, false, "SELECT"}, {TK_WITH, false, "WITH"},
	{TK_VALUES, false, "VALUES"}, {TK_SHOW, true, "SHOW"}, {TK_DESCRIBE, false, "DESCRIBE"},
	{TK_EXPLAIN, true, "EXPLAIN"}, {TK_INSERT, false, "INSERT"}, {TK_DELETE, false, "DELETE"},
	{TK_CREATE, false, "CREATE"}, {TK_DROP, false, "DROP"}, {TK_UNLOAD, true, "UNLOAD"},
	{TK_WHERE, false, "WHERE"}, {TK_GROUP, false, "GROUP BY"}, {TK_HAVING, false, "HAVING"},
	{TK_ORDER, false, "ORDER BY"}, {TK_LIMIT, false, "LIMIT"}, {TK_OFFSET, false, "OFFSET"},
	{TK_UNION, false, "UNION"}, {TK_DATABASES, true, "DATABASES"}, {TK_TABLES, true, "TABLES"},
	{TK_MEASURES, true, "MEASURES"}, {TK_FUNCTIONS, true, "FUNCTIONS"},
	{TK_DATABASE, true, "DATABASE"}, {TK_TABLE, false, "TABLE"}, {TK_INTO, false, "INTO"},
	{TK_TO, true, "TO"}, {TK_IN, false, "IN"}, {TK_LIKE, false, "LIKE"},
	{TK_BETWEEN, false, "BETWEEN"}, {TK_NULL, false, "NULL"}, {TK_DISTINCT, false, "DISTINCT"},
	{TK_EXISTS, false, "EXISTS"}, {TK_NOT, false, "NOT"}, {TK_PRECEDING, true, "PRECEDING"},
	{TK_FOLLOWING, true, "FOLLOWING"}, {TK_ROW, true, "ROW"}, {TK_ROWS, true, "ROWS"},
	{TK_ONLY, true, "ONLY"}, {TK_FIRST, true, "FIRST"}, {TK_LAST, true, "LAST"},
	{TK_NULLS, true, "NULLS"}, {TK_DESC, true, "DESC"}, {TK_OVER, false, "OVER"},
	{TK_PARTITION, true, "PARTITION BY"}, {TK_CROSS, false, "CROSS JOIN"}, {TK_LEFT, false, "LEFT"},
	{TK_INTERSECT, false, "INTERSECT"}, {TK_EXCEPT, false, "EXCEPT"}, {TK_FETCH, false, "FETCH"},
	{TK_WINDOW, false, "WINDOW"}, {TK_ESCAPE, false, "ESCAPE"}, {TK_UNNEST, false, "UNNEST"},
};

#define EXPECTED_MAX 10

struct expected {
	struct buf text;
	int n;
};

static void expect(struct expected *x, const char *what)
{
	if (x->n < EXPECTED_MAX)
		buf_addf(&x->text, "%s%s", x->n ? ", " : "", what);
	else if (x->n == EXPECTED_MAX)
		buf_adds(&x->text, ", ...");
	x->n++;
}

static void list_expected(struct expected *x, void *lemon)
{
	static const struct {
		int code;
		const char *text;
	} marks[] = {{TK_COMMA, "','"}, {TK_RP, "')'"}, {TK_RB, "']'"}, {TK_EQ, "'='"}};
	bool name = sql_parser_expects(lemon, TK_ID);
	bool expression = name && sql_parser_expects(lemon, TK_INTEGER);
	bool string = sql_parser_expects(lemon, TK_STRING);
	bool operator = sql_parser_expects(lemon, TK_PLUS) && sql_parser_expects(lemon, TK_EQ);

	if (expression)
		expect(x, "an expression");
	else if (name)
		expect(x, "a name");
	else if (string)
		expect(x, "a string");
	if (!expression && sql_parser_expects(lemon, TK_LP))
		expect(x, "'('");
	if (operator && !expression)
		expect(x, "an operator");
	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		if (!(operator && marks[i].code == TK_EQ) && sql_parser_expects(lemon, marks[i].code))
			expect(x, marks[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int c = names[i].code;

		if ((name && names[i].fallback) || !sql_parser_expects(lemon, c))
			continue;
		if (operator && (c == TK_AND || c == TK_IN || c == TK_LIKE || c == TK_BETWEEN || c == TK_NOT))
			continue;
		if (expression && (c == TK_NULL || c == TK_EXISTS || c == TK_NOT))
			continue;
		expect(x, names[i].text);
	}
	if (sql_parser_expects(lemon, 0))
		expect(x, "the end");
}

/* The expected keyword that the word is near to, or NULL. */
static const char *near_keyword(void *lemon, struct str word)
{
	struct str candidates[ARRAY_LEN(names)];
	int index[ARRAY_LEN(names)], n = 0, i;
	bool name = sql_parser_expects(lemon, TK_ID);

	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		struct str text = str_from(names[k].text);
		const char *blank = memchr(text.ptr, ' ', text.len);

		if (name && names[k].fallback)
			continue; /* it would have been taken */
		if (!sql_parser_expects(lemon, names[k].code))
			continue;
		if (blank)
			text.len = (size_t)(blank - text.ptr);
		candidates[n] = text;
		index[n++] = (int)k;
	}
	i = word.len >= 2 ? str_nearest(word, candidates, n) : -1;
	return i < 0 ? NULL : names[index[i]].text;
}

/* A word that was taken for a name although it looks like a mistyped keyword: `SELECT a FORM t`. */
static const char *mistaken(const struct token *t)
{
	const struct str *list;
	uint32_t n = word_list(&list);
	int i;

	if (t->code != TK_ID || t->text.len < 4)
		return NULL;
	i = str_nearest(t->text, list, (int)n);
	return i < 0 || str_ieq(t->text, list[i]) ? NULL : list[i].ptr;
}

static bool is_word(const struct token *t)
{
	char c = t->text.len ? (char)(t->text.ptr[0] | 0x20) : 0;

	return t->code != TK_QID && t->code != TK_USTRING && c >= 'a' && c <= 'z';
}

void parse_unexpected(struct parser *p, void *lemon, const struct token *t)
{
	struct expected x = {.n = 0};
	struct buf say;
	const char *near = NULL, *advice;
	struct token word;
	bool reserved = t->code && is_word(t) && word_code(t->text) != TK_ID;

	if (p->rc < 0)
		return;
	if ((advice = foreign_advice(p, t, &word))) {
		parse_fail(p, -EINVAL, word.pos, "%.*s is not part of the dialect: %s", STR_FMT(word.text), advice);
		return;
	}
	buf_init(&x.text, 1024);
	buf_init(&say, 2048);
	list_expected(&x, lemon);
	if (!t->code)
		buf_adds(&say, "the statement ends too early");
	else
		buf_addf(&say, "unexpected %s%.*s%s", t->code == TK_STRING ? "" : "'",
			 (int)MIN(t->text.len, 60), t->text.ptr, t->code == TK_STRING ? "" : "'");
	if (x.n)
		buf_addf(&say, "; expected %.*s", STR_FMT(buf_str(&x.text)));
	if (t->code && is_word(t) && !reserved)
		near = near_keyword(lemon, t->text);
	if (near)
		buf_addf(&say, " (did you mean %s?)", near);
	else if (t->code == TK_EQ && p->last.code == TK_EQ)
		buf_adds(&say, " (a single = compares)");
	else if (mistaken(&p->last))
		buf_addf(&say, " (is '%.*s' at %u:%u meant to be %s?)", STR_FMT(p->last.text),
			 p->last.pos.line, p->last.pos.col, mistaken(&p->last));
	else if (reserved && sql_parser_expects(lemon, TK_ID) && t->code != TK_FROM)
		buf_addf(&say, " (%.*s is a reserved word; as a name it needs double quotes)",
			 STR_FMT(t->text));
	parse_fail(p, -EINVAL, t->pos, "%.*s", STR_FMT(buf_str(&say)));
	buf_release(&say);
	buf_release(&x.text);
}

/* Names the innermost parenthesis that the end of the statement left open. */
static int unclosed(const struct feed *f, struct pos end, struct err *e)
{
	const struct open_paren *o = &f->parens[f->depth - 1];

	return err_set(e, -EINVAL, "line %u:%u: this '%c' is not closed when the statement ends at %u:%u",
		       o->pos.line, o->pos.col, o->shape, end.line, end.col);
}

/* ---- statements --------------------------------------------------------------------------------- */

static int check_text(struct str text, bool partial, struct err *e)
{
	size_t good;
	uint32_t line = 1, col = 1;

	if (text.len > SQL_TEXT_MAX)
		return err_set(e, -E2BIG, "the text is %zu bytes long; at most %d are allowed", text.len,
			       SQL_TEXT_MAX);
	good = utf8_valid_len(text);
	if (good == text.len || (partial && text.len - good < 4))
		return 0;
	for (size_t i = 0; i < good; i++) {
		if (text.ptr[i] == '\n') {
			line++;
			col = 1;
		} else if (((unsigned char)text.ptr[i] & 0xC0) != 0x80) {
			col++;
		}
	}
	return err_set(e, -EINVAL, "line %u:%u: byte 0x%02X is no UTF-8", line, col,
		       (unsigned char)text.ptr[good]);
}

/* The end of a statement, by ';' or by the end of the text (`t`: which). */
static int finish(struct parser *p, void *lemon, const struct feed *f, struct token t, struct err *e)
{
	t.code = 0;
	t.text.len = 0;
	if (f->depth && p->rc >= 0)
		return unclosed(f, t.pos, e);
	return parser_take(p, lemon, &t);
}

/* One statement: 1 and *ret; 0: there is none left. */
static int parse_one(struct parser *p, struct feed *f, void *lemon, struct ast_stmt **ret, struct err *e)
{
	const char *from = NULL;
	int rc;

	f->prev = (struct token){0};
	f->depth = f->window_clause = 0;
	for (;; feed_drop(f)) {
		struct token t;

		feed_fill(f);
		if (!f->n && f->lex_rc < 0)
			return err_set(e, f->lex_rc, "%s", err_text(&f->lex_err, f->lex_rc));
		if (!f->n && !from)
			return 0;
		if (!f->n || (f->ahead[0].code == TK_SEMI && from)) {
			rc = finish(p, lemon, f, f->ahead[0], e);
			if (rc < 0)
				return rc;
			p->stmt->source = (struct str){from, (size_t)(p->prev_end - from)};
			if (f->n)
				feed_drop(f);
			*ret = p->stmt;
			return 1;
		}
		if (f->ahead[0].code == TK_SEMI) /* an empty statement */
			continue;
		rc = feed_settle(f, &t, e);
		if (rc >= 0)
			rc = parser_take(p, lemon, &t);
		if (rc < 0)
			return rc;
		if (!from)
			from = t.text.ptr;
		f->prev = t;
	}
}

struct stmt_list {
	struct ast_stmt **v;
	uint32_t n, cap;
};

int sql_parse(struct arena *a, struct str text, struct ast_stmt ***ret, uint32_t *ret_n, struct err *e)
{
	struct parser *p;
	struct feed *f;
	struct stmt_list list = {0};
	int rc = check_text(text, false, e);

	if (rc < 0)
		return rc;
	p = arena_new(a, struct parser);
	f = arena_new(a, struct feed);
	if (!p || !f)
		return err_set(e, -ENOMEM, "out of memory for the statement");
	rc = feed_init(f, a, text, false, e);
	while (rc >= 0) {
		struct ast_stmt *s = NULL;
		void *lemon;

		parser_init(p, a, e);
		lemon = sql_parser_create(p);
		rc = lemon ? parse_one(p, f, lemon, &s, e)
			   : err_set(e, -ENOMEM, "out of memory for the statement");
		sql_parser_destroy(lemon);
		if (rc <= 0)
			break;
		AST_PUSH(p, &list, s);
		rc = p->rc;
	}
	if (rc < 0)
		return rc;
	*ret = list.v;
	*ret_n = list.n;
	return 0;
}

/* ---- text that arrives in pieces ------------------------------------------------------------------ */

/* Is ahead[0] what it will be, whatever comes? */
static bool is_settled(const struct feed *f)
{
	bool last_grows = f->n && lex_may_grow(&f->lex, &f->ahead[f->n - 1]);
	uint32_t sure = f->n - last_grows;

	if (!sure)
		return false;
	if (!word_is_contextual(&f->ahead[0]))
		return true;
	return sure == ARRAY_LEN(f->ahead) || (sure == 2 && f->ahead[1].code == TK_SEMI);
}

static int split(struct parser *p, struct feed *f, void *lemon, size_t *ret_end, struct err *e)
{
	bool any = false;
	int rc;

	for (;; feed_drop(f)) {
		struct token t;

		feed_fill(f);
		if (!f->n && f->lex_rc < 0)
			return err_set(e, f->lex_rc, "%s", err_text(&f->lex_err, f->lex_rc));
		if (!f->n || !is_settled(f)) {
			*ret_end = 0;
			return 0;
		}
		if (f->ahead[0].code == TK_SEMI) {
			rc = any ? finish(p, lemon, f, f->ahead[0], e) : 0;
			if (rc >= 0)
				*ret_end = (size_t)(f->ahead[0].text.ptr + 1 - f->lex.text.ptr);
			return rc;
		}
		rc = feed_settle(f, &t, e);
		if (rc >= 0)
			rc = parser_take(p, lemon, &t);
		if (rc < 0)
			return rc;
		f->prev = t;
		any = true;
	}
}

int sql_split(struct str text, size_t *ret_end, struct err *e)
{
	struct arena a;
	struct parser *p;
	struct feed *f;
	void *lemon = NULL;
	int rc = check_text(text, true, e);

	if (rc < 0)
		return rc;
	arena_init(&a, NULL);
	p = arena_new(&a, struct parser);
	f = arena_new(&a, struct feed);
	rc = p && f ? feed_init(f, &a, text, true, e) : -ENOMEM;
	if (rc >= 0) {
		parser_init(p, &a, e);
		lemon = sql_parser_create(p);
		rc = lemon ? split(p, f, lemon, ret_end, e) : -ENOMEM;
	}
	if (rc == -ENOMEM)
		err_set(e, rc, "out of memory for the statement");
	sql_parser_destroy(lemon);
	arena_release(&a);
	return rc;
}
