#include "query/lex.h"

#include "query/sql.h"

/*
 * Three kinds of words.
 *
 *   reserved     exactly the documented list: never a name without quotes
 *   keywords     (SHOW, NULLS, ROWS ...) that the grammar takes where it expects them and which are
 *                names everywhere else, by Lemon's %fallback
 *   contextual   words that could be a keyword and a name in one and the same place, say an alias:
 *                `SELECT a limit 5`, `FROM t limit`. Their neighbours decide, here, in front of the
 *                grammar. So time, date, value, hour, filter, row, interval stay usable names.
 */

enum word_kind {
	RESERVED,
	KEYWORD,
};

struct word {
	const char *text; /* upper case, sorted */
	int code;
	enum word_kind kind;
};

static const struct word words[] = {
	{"ALTER", TK_RESERVED, RESERVED},
	{"ANALYZE", TK_ANALYZE, KEYWORD},
	{"AND", TK_AND, RESERVED},
	{"AS", TK_AS, RESERVED},
	{"ASC", TK_ASC, KEYWORD},
	{"BETWEEN", TK_BETWEEN, RESERVED},
	{"BY", TK_BY, RESERVED},
	{"CASE", TK_CASE, RESERVED},
	{"CAST", TK_CAST, RESERVED},
	{"COLUMNS", TK_COLUMNS, KEYWORD},
	{"CONSTRAINT", TK_RESERVED, RESERVED},
	{"CREATE", TK_CREATE, RESERVED},
	{"CROSS", TK_CROSS, RESERVED},
	{"CUBE", TK_CUBE, RESERVED},
	{"CURRENT", TK_CURRENT, KEYWORD},
	{"CURRENT_DATE", TK_NOW, RESERVED},
	{"CURRENT_TIME", TK_NOW, RESERVED},
	{"CURRENT_TIMESTAMP", TK_NOW, RESERVED},
	{"CURRENT_USER", TK_NOW, RESERVED},
	{"DATABASE", TK_DATABASE, KEYWORD},
	{"DATABASES", TK_DATABASES, KEYWORD},
	{"DEALLOCATE", TK_RESERVED, RESERVED},
	{"DELETE", TK_DELETE, RESERVED},
	{"DESC", TK_DESC, KEYWORD},
	{"DESCRIBE", TK_DESCRIBE, RESERVED},
	{"DISTINCT", TK_DISTINCT, RESERVED},
	{"DROP", TK_DROP, RESERVED},
	{"ELSE", TK_ELSE, RESERVED},
	{"END", TK_END, RESERVED},
	{"ESCAPE", TK_ESCAPE, RESERVED},
	{"EXCEPT", TK_EXCEPT, RESERVED},
	{"EXECUTE", TK_RESERVED, RESERVED},
	{"EXISTS", TK_EXISTS, RESERVED},
	{"EXPLAIN", TK_EXPLAIN, KEYWORD},
	{"EXTRACT", TK_EXTRACT, RESERVED},
	{"FALSE", TK_FALSE, RESERVED},
	{"FIRST", TK_FIRST, KEYWORD},
	{"FOLLOWING", TK_FOLLOWING, KEYWORD},
	{"FOR", TK_FOR, RESERVED},
	{"FROM", TK_FROM, RESERVED},
	{"FULL", TK_FULL, RESERVED},
	{"FUNCTIONS", TK_FUNCTIONS, KEYWORD},
	{"GROUP", TK_GROUP, RESERVED},
	{"GROUPING", TK_GROUPING, RESERVED},
	{"HAVING", TK_HAVING, RESERVED},
	{"IF", TK_IF, KEYWORD},
	{"IN", TK_IN, RESERVED},
	{"INNER", TK_INNER, RESERVED},
	{"INSERT", TK_INSERT, RESERVED},
	{"INTERSECT", TK_INTERSECT, RESERVED},
	{"INTO", TK_INTO, RESERVED},
	{"IS", TK_IS, RESERVED},
	{"JOIN", TK_JOIN, RESERVED},
	{"LAST", TK_LAST, KEYWORD},
	{"LEFT", TK_LEFT, RESERVED},
	{"LIKE", TK_LIKE, RESERVED},
	{"LOCALTIME", TK_NOW, RESERVED},
	{"LOCALTIMESTAMP", TK_NOW, RESERVED},
	{"MEASURES", TK_MEASURES, KEYWORD},
	{"NATURAL", TK_NATURAL, RESERVED},
	{"NEXT", TK_NEXT, KEYWORD},
	{"NORMALIZE", TK_NORMALIZE, RESERVED},
	{"NOT", TK_NOT, RESERVED},
	{"NULL", TK_NULL, RESERVED},
	{"NULLS", TK_NULLS, KEYWORD},
	{"ON", TK_ON, RESERVED},
	{"ONLY", TK_ONLY, KEYWORD},
	{"OR", TK_OR, RESERVED},
	{"ORDER", TK_ORDER, RESERVED},
	{"ORDINALITY", TK_ORDINALITY, KEYWORD},
	{"OUTER", TK_OUTER, RESERVED},
	{"PARTITION", TK_PARTITION, KEYWORD},
	{"PRECEDING", TK_PRECEDING, KEYWORD},
	{"PREPARE", TK_RESERVED, RESERVED},
	{"RECURSIVE", TK_RECURSIVE, RESERVED},
	{"RIGHT", TK_RIGHT, RESERVED},
	{"ROLLUP", TK_ROLLUP, RESERVED},
	{"ROW", TK_ROW, KEYWORD},
	{"ROWS", TK_ROWS, KEYWORD},
	{"SELECT", TK_SELECT, RESERVED},
	{"SETS", TK_SETS, KEYWORD},
	{"SHOW", TK_SHOW, KEYWORD},
	{"TABLE", TK_TABLE, RESERVED},
	{"TABLES", TK_TABLES, KEYWORD},
	{"THEN", TK_THEN, RESERVED},
	{"TIES", TK_TIES, KEYWORD},
	{"TO", TK_TO, KEYWORD},
	{"TRUE", TK_TRUE, RESERVED},
	{"UESCAPE", TK_UESCAPE, RESERVED},
	{"UNBOUNDED", TK_UNBOUNDED, KEYWORD},
	{"UNION", TK_UNION, RESERVED},
	{"UNLOAD", TK_UNLOAD, KEYWORD},
	{"UNNEST", TK_UNNEST, RESERVED},
	{"USING", TK_USING, RESERVED},
	{"VALUES", TK_VALUES, RESERVED},
	{"WHEN", TK_WHEN, RESERVED},
	{"WHERE", TK_WHERE, RESERVED},
	{"WITH", TK_WITH, RESERVED},
};

static int word_cmp(struct str a, const char *b)
{
	size_t i = 0;

	for (; i < a.len && b[i]; i++) {
		char c = a.ptr[i] >= 'a' && a.ptr[i] <= 'z' ? (char)(a.ptr[i] - 32) : a.ptr[i];

		if (c != b[i])
			return (unsigned char)c < (unsigned char)b[i] ? -1 : 1;
	}
	return i < a.len ? 1 : b[i] ? -1 : 0;
}

int word_code(struct str word)
{
	size_t lo = 0, hi = ARRAY_LEN(words);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = word_cmp(word, words[mid].text);

		if (!c)
			return words[mid].code;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return TK_ID;
}

/* ---- contextual words ------------------------------------------------------------------------- */

enum context {
	W_ALL, W_ANY, W_ARRAY, W_FETCH, W_FILTER, W_GROUPS, W_IGNORE, W_INTERVAL, W_LATERAL, W_LIMIT,
	W_OFFSET, W_OVER, W_POSITION, W_RANGE, W_RESPECT, W_ROW, W_ROWS, W_TRY_CAST, W_WINDOW,
	W_WITHIN, W_TYPE, W_NONE,
};

static const struct {
	const char *text;
	enum context context;
} contextual[] = {
	{"ALL", W_ALL}, {"ANY", W_ANY}, {"ARRAY", W_ARRAY}, {"BIGINT", W_TYPE}, {"BOOLEAN", W_TYPE},
	{"DATE", W_TYPE}, {"DOUBLE", W_TYPE}, {"FETCH", W_FETCH}, {"FILTER", W_FILTER},
	{"GROUPS", W_GROUPS}, {"IGNORE", W_IGNORE}, {"INT", W_TYPE}, {"INTEGER", W_TYPE},
	{"INTERVAL", W_INTERVAL}, {"LATERAL", W_LATERAL}, {"LIMIT", W_LIMIT}, {"OFFSET", W_OFFSET},
	{"OVER", W_OVER}, {"POSITION", W_POSITION}, {"RANGE", W_RANGE}, {"RESPECT", W_RESPECT},
	{"ROW", W_ROW}, {"ROWS", W_ROWS}, {"SOME", W_ANY}, {"TIME", W_TYPE}, {"TIMESTAMP", W_TYPE},
	{"TRY_CAST", W_TRY_CAST}, {"VARCHAR", W_TYPE}, {"WINDOW", W_WINDOW}, {"WITHIN", W_WITHIN},
};

static enum context context_of(const struct token *t)
{
	if (t->code != TK_ID && t->code != TK_ROW && t->code != TK_ROWS)
		return W_NONE;
	for (size_t i = 0; i < ARRAY_LEN(contextual); i++) {
		if (!word_cmp(t->text, contextual[i].text))
			return contextual[i].context;
	}
	return W_NONE;
}

bool word_is_contextual(const struct token *t)
{
	return context_of(t) != W_NONE || t->code == TK_IN;
}

/* Could an expression or a relation end with this token? Then a clause may follow. */
static bool ends_operand(const struct token *t)
{
	switch (t->code) {
	case 0: case TK_COMMA: case TK_LP: case TK_LB: case TK_DOT: case TK_PLUS: case TK_MINUS:
	case TK_SLASH: case TK_PERCENT: case TK_CONCAT: case TK_EQ: case TK_NE: case TK_LT:
	case TK_LE: case TK_GT: case TK_GE: case TK_ARROW: case TK_SELECT: case TK_DISTINCT:
	case TK_FROM: case TK_JOIN: case TK_WHERE: case TK_HAVING: case TK_ON: case TK_BY: case TK_AS:
	case TK_AND: case TK_OR: case TK_NOT: case TK_WHEN: case TK_THEN: case TK_ELSE: case TK_CASE:
	case TK_IN: case TK_LIKE: case TK_BETWEEN: case TK_ESCAPE: case TK_INTO: case TK_TABLE:
	case TK_DATABASE: case TK_DESCRIBE: case TK_QUANT_ALL: case TK_WITH:
		return false;
	default:
		return true;
	}
}

/* Can nothing but an operand begin with this token? */
static bool starts_operand(const struct token *t)
{
	switch (t->code) {
	case TK_ID: case TK_QID: case TK_INTEGER: case TK_NUMBER: case TK_STRING: case TK_USTRING:
	case TK_DURATION: case TK_PARAM: case TK_CASE: case TK_CAST: case TK_EXISTS: case TK_EXTRACT:
	case TK_NOT: case TK_NULL: case TK_TRUE: case TK_FALSE: case TK_NOW: case TK_NORMALIZE:
	case TK_GROUPING:
		return true;
	default:
		return false;
	}
}

static bool is_comparison(int code)
{
	return code == TK_EQ || code == TK_NE || code == TK_LT || code == TK_LE || code == TK_GT ||
	       code == TK_GE;
}

static bool is_all(const struct word_context *c)
{
	switch (c->prev->code) {
	case TK_UNION: case TK_INTERSECT: case TK_EXCEPT: case TK_LIMIT:
		return true;
	case TK_SELECT: /* SELECT all FROM t names a column */
		return starts_operand(c->next) || c->next->code == TK_STAR || c->next->code == TK_LP ||
		       c->next->code == TK_MINUS;
	case TK_BY:
		return starts_operand(c->next) || c->next->code == TK_LP || c->next->code == TK_ROLLUP ||
		       c->next->code == TK_CUBE;
	case TK_LP:
		return starts_operand(c->next);
	default:
		return is_comparison(c->prev->code) && c->next->code == TK_LP;
	}
}

/* LIMIT and OFFSET, which follow an operand: `FROM t limit` is an alias only where a clause or a comma follows. */
static bool is_count_clause(const struct word_context *c)
{
	int next = c->next->code;

	if (!ends_operand(c->prev))
		return false;
	if (c->prev->code == TK_STAR && (next == TK_PLUS || next == TK_MINUS))
		return false; /* a * limit + 1 */
	return next == 0 || next == TK_SEMI || next == TK_LP || next == TK_PLUS || next == TK_MINUS ||
	       (starts_operand(c->next) && next != TK_NOT);
}

/* ROWS, RANGE, GROUPS behind an operand or at the window's beginning; elsewhere they are columns. */
static bool is_frame(const struct word_context *c)
{
	int next = c->next->code;

	if (!c->in_window || (c->prev->code != TK_LP && !ends_operand(c->prev)))
		return false;
	return next == TK_BETWEEN || next == TK_UNBOUNDED || next == TK_CURRENT || next == TK_LP ||
	       next == TK_MINUS || next == TK_PLUS || starts_operand(c->next);
}

int word_settle(const struct token *t, const struct word_context *c)
{
	int next = c->next->code;
	bool after_call = c->prev->code == TK_RP;

	if (t->code == TK_IN)
		return c->in_position ? TK_POSITION_IN : TK_IN;
	switch (context_of(t)) {
	case W_ALL:
		return is_all(c) ? TK_QUANT_ALL : t->code;
	case W_ANY:
		return is_comparison(c->prev->code) && next == TK_LP ? TK_QUANT_ANY : t->code;
	case W_ARRAY:
		return next == TK_LB ? TK_ARRAY : t->code;
	case W_FETCH:
		return ends_operand(c->prev) && (next == TK_FIRST || next == TK_NEXT) ? TK_FETCH : t->code;
	case W_FILTER:
		return after_call && next == TK_LP ? TK_FILTER : t->code;
	case W_OVER:
		return (after_call || c->prev->code == TK_NULLS) &&
				       (next == TK_LP || next == TK_ID || next == TK_QID) ? TK_OVER : t->code;
	case W_WITHIN:
		return after_call && next == TK_GROUP ? TK_WITHIN : t->code;
	case W_IGNORE:
		return after_call && next == TK_NULLS ? TK_IGNORE : t->code;
	case W_RESPECT:
		return after_call && next == TK_NULLS ? TK_RESPECT : t->code;
	case W_INTERVAL:
		if (next == TK_STRING)
			return TK_INTERVAL;
		return (next == TK_MINUS || next == TK_PLUS) && c->after->code == TK_STRING ? TK_INTERVAL
											   : t->code;
	case W_LATERAL:
		return next == TK_LP && !ends_operand(c->prev) ? TK_LATERAL : t->code;
	case W_LIMIT:
		return is_count_clause(c) ? TK_LIMIT : t->code;
	case W_OFFSET:
		return is_count_clause(c) ? TK_OFFSET : t->code;
	case W_POSITION:
		return next == TK_LP ? TK_POSITION : t->code;
	case W_TRY_CAST:
		return next == TK_LP ? TK_TRY_CAST : t->code;
	case W_WINDOW:
		return ends_operand(c->prev) && (next == TK_ID || next == TK_QID) &&
				       c->after->code == TK_AS ? TK_WINDOW : t->code;
	case W_RANGE:
		return is_frame(c) ? TK_FRAME_RANGE : t->code;
	case W_GROUPS:
		return is_frame(c) ? TK_FRAME_GROUPS : t->code;
	case W_ROWS:
		return is_frame(c) ? TK_FRAME_ROWS : t->code;
	case W_ROW:
		return next == TK_LP ? TK_ROW_OF : t->code;
	case W_TYPE:
		return next == TK_STRING || next == TK_USTRING ? TK_TYPED : t->code;
	case W_NONE:
		break;
	}
	return t->code;
}

uint32_t word_list(const struct str **ret)
{
	/* Only what people mistype in its place; a suggestion must not be an oddity. */
	static const struct str list[] = {
		{"SELECT", 6}, {"FROM", 4}, {"WHERE", 5}, {"GROUP", 5}, {"HAVING", 6}, {"ORDER", 5},
		{"LIMIT", 5}, {"OFFSET", 6}, {"FETCH", 5}, {"UNION", 5}, {"INTERSECT", 9}, {"EXCEPT", 6},
		{"WITH", 4}, {"VALUES", 6}, {"BETWEEN", 7}, {"AND", 3}, {"LIKE", 4}, {"DISTINCT", 8},
		{"JOIN", 4}, {"CROSS", 5}, {"INNER", 5}, {"LEFT", 4}, {"RIGHT", 5}, {"FULL", 4},
		{"OUTER", 5}, {"USING", 5}, {"UNNEST", 6}, {"OVER", 4}, {"FILTER", 6}, {"WINDOW", 6},
		{"CASE", 4}, {"WHEN", 4}, {"THEN", 4}, {"ELSE", 4}, {"END", 3}, {"CAST", 4},
		{"INTERVAL", 8}, {"SHOW", 4}, {"DESCRIBE", 8}, {"EXPLAIN", 7}, {"UNLOAD", 6},
		{"CREATE", 6}, {"DROP", 4}, {"DELETE", 6}, {"INSERT", 6}, {"INTO", 4}, {"TABLE", 5},
		{"DATABASE", 8}, {"DATABASES", 9}, {"TABLES", 6}, {"MEASURES", 8}, {"FUNCTIONS", 9},
		{"EXISTS", 6}, {"NULLS", 5}, {"FIRST", 5}, {"LAST", 4}, {"DESC", 4}, {"BY", 2},
		{"PARTITION", 9}, {"PRECEDING", 9}, {"FOLLOWING", 9}, {"UNBOUNDED", 9}, {"ESCAPE", 6},
	};

	*ret = list;
	return ARRAY_LEN(list);
}
