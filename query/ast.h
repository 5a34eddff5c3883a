/*
 * ast: what the parser makes of a statement. Lives in one arena; strings point into it.
 * The whole dialect is here; the binder decides what it can run.
 */
#ifndef TIDE_AST_H
#define TIDE_AST_H

#include "engine/base/base.h"

struct pos {
	uint32_t line, col; /* 1-based; col counts code points */
};

struct ident {
	struct str text; /* unquoted: as written; quoted: without quotes, "" resolved; ptr NULL: none */
	bool quoted;
	struct pos pos;
};

struct ast_expr;
struct ast_query;

struct ident_list { struct ident *v; uint32_t n, cap; };
struct expr_list { struct ast_expr **v; uint32_t n, cap; };

/* A type as written: name and parameters: bigint, varchar(10), array(double), row(a bigint, b varchar). */
struct ast_type {
	struct pos pos;
	struct str name;         /* lower case; "array", "row", "timeseries", "interval day to second"... */
	bool has_length;
	int64_t length;          /* varchar(n) */
	bool has_scale;          /* decimal(p, s), which is no type: for the sentence that says so */
	struct ast_type **args;  /* array: 1; row: n */
	struct ident *arg_names; /* row fields */
	uint32_t arg_n;
};

enum expr_kind {
	EX_NULL,
	EX_BOOL,        /* .boolean */
	EX_INT,         /* .integer; -9223372036854775808 works too */
	EX_DOUBLE,      /* .number */
	EX_STRING,      /* .text */
	EX_TYPED,       /* type 'text': .cast_type, .text */
	EX_INTERVAL,    /* INTERVAL [+-] 'text' unit [TO unit]: .interval */
	EX_DURATION,    /* 15m, 72.5h, 1year: .text as written */
	EX_COLUMN,      /* a, t.a, d.t.a, measure_value::double: .names */
	EX_STAR,        /* * or t.*: .names (0 or more parts) */
	EX_PARAM,       /* @name: .text */
	EX_NEG, EX_POS, EX_NOT, /* .a */
	EX_AND, EX_OR,  /* .a .b */
	EX_BINARY,      /* .op: + - * / % || = <> < <= > >= ; .a .b ("!=" is spelled "<>") */
	EX_IS_NULL,     /* .a, .negated */
	EX_IS_DISTINCT, /* IS [NOT] DISTINCT FROM: .a .b .negated */
	EX_BETWEEN,     /* .a BETWEEN .b AND .c, .negated */
	EX_IN_LIST,     /* .a IN (.list), .negated */
	EX_IN_QUERY,    /* .a IN (.query), .negated */
	EX_LIKE,        /* .a LIKE .b [ESCAPE .c], .negated */
	EX_EXISTS,      /* .query */
	EX_SUBQUERY,    /* scalar: .query */
	EX_QUANTIFIED,  /* .a .op ALL|ANY (.query), .is_all */
	EX_CASE,        /* CASE [.a] WHEN .list[0] THEN .list[1] ... [ELSE .b] END */
	EX_CAST,        /* CAST / TRY_CAST: .a, .cast_type, .is_try */
	EX_CALL,        /* .call */
	EX_LAMBDA,      /* .names -> .a */
	EX_ARRAY,       /* ARRAY[...]: .list */
	EX_ROW,         /* ROW(...) or (a, b): .list */
	EX_SUBSCRIPT,   /* .a [ .b ] */
	EX_FIELD,       /* (.a).name where .a is no plain name: .names.v[0] */
	EX_EXTRACT,     /* EXTRACT(field FROM .a): .text = field, upper case */
};

struct ast_order {
	struct ast_expr *expr;
	bool desc;
	int nulls; /* 0 default (last), 1 first, 2 last */
	struct pos pos;
};
struct order_list { struct ast_order *v; uint32_t n, cap; };

enum frame_kind { FRAME_NONE, FRAME_ROWS, FRAME_RANGE, FRAME_GROUPS };
enum bound_kind {
	BOUND_UNBOUNDED_PRECEDING, BOUND_PRECEDING, BOUND_CURRENT, BOUND_FOLLOWING, BOUND_UNBOUNDED_FOLLOWING
};
struct ast_window {
	struct pos pos;
	struct ident name; /* OVER name, or the base of ( name ... ) */
	struct expr_list partition;
	struct order_list order;
	enum frame_kind frame;
	enum bound_kind start, end;
	struct ast_expr *start_expr, *end_expr;
};

struct ast_call {
	struct ident name;
	struct expr_list args;
	bool distinct;
	bool star;               /* count(*) */
	struct order_list order; /* array_agg(x ORDER BY y); also WITHIN GROUP */
	struct ast_expr *filter; /* FILTER (WHERE ...) */
	struct ast_window *over;
	int nulls;               /* 0 none said, 1 IGNORE NULLS, 2 RESPECT NULLS */
	bool no_parens;          /* current_date and its kind */
};

struct ast_expr {
	enum expr_kind kind;
	struct pos pos;    /* of its first token; of the operator for binary ones */
	struct str source; /* its text in the statement, where the parser knows it */
	struct ast_expr *a, *b, *c;
	struct expr_list list;
	struct ident_list names;
	struct str text;
	int64_t integer;
	double number;
	const char *op;
	bool boolean, negated, is_all, is_try;
	bool parens;       /* stood in parentheses */
	uint16_t depth;    /* levels below and including this one; what recursion may cost */
	struct ast_query *query;
	struct ast_call *call;
	struct ast_type *cast_type;
	struct {
		struct str text;
		bool minus;
		struct str from, to; /* units lower case */
	} interval;
};

/* ---- relations -------------------------------------------------------------------------------- */

enum from_kind { FROM_TABLE, FROM_QUERY, FROM_UNNEST, FROM_JOIN };
enum join_kind { JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_CROSS };

struct ast_from {
	enum from_kind kind;
	struct pos pos;
	struct ident_list names;   /* TABLE: [db,] table */
	struct ast_query *query;   /* QUERY */
	bool lateral;              /* QUERY */
	struct expr_list exprs;    /* UNNEST */
	bool ordinality;           /* UNNEST */
	struct ident alias;
	struct ident_list columns; /* alias's column names */
	enum join_kind join;       /* JOIN: left, right, on or using */
	struct ast_from *left, *right;
	struct ast_expr *on;
	struct ident_list using_cols;
	uint16_t depth;
};

struct ast_item { /* of a select list */
	struct ast_expr *expr; /* EX_STAR for * and t.* */
	struct ident alias;
};
struct item_list { struct ast_item *v; uint32_t n, cap; };

enum group_kind { GROUP_EXPR, GROUP_SETS, GROUP_ROLLUP, GROUP_CUBE };
struct ast_group {
	enum group_kind kind;
	struct pos pos;
	struct ast_expr *expr;  /* EXPR (an EX_ROW for (a, b); with no items for ()) */
	struct expr_list *sets; /* others: each a list */
	uint32_t set_n, set_cap;
};
struct group_list { struct ast_group *v; uint32_t n, cap; };

struct ast_named_window { struct ident name; struct ast_window *window; };
struct window_list { struct ast_named_window *v; uint32_t n, cap; };

struct ast_select {
	struct pos pos;
	bool distinct;
	struct item_list items;
	struct ast_from *from; /* commas are cross joins; NULL: none */
	struct ast_expr *where;
	bool group_by;         /* a GROUP BY clause stands there */
	bool group_distinct;
	struct group_list groups;
	struct ast_expr *having;
	struct window_list windows;
};

enum body_kind { BODY_SELECT, BODY_VALUES, BODY_SET, BODY_QUERY };
enum set_op { SET_UNION, SET_INTERSECT, SET_EXCEPT };

struct ast_body {
	enum body_kind kind;
	struct pos pos;
	struct ast_select *select;
	struct expr_list values; /* a row each: EX_ROW, or a single expression */
	enum set_op op;
	bool all;
	struct ast_body *left, *right;
	struct ast_query *query; /* parenthesised */
	uint16_t depth;
};

/* A UNION that adds to the one on its left: a chain, which is one level and not as many as it has queries. */
bool ast_body_goes_on(const struct ast_body *b);

struct ast_with {
	struct ident name;
	struct ident_list columns;
	struct ast_query *query;
};
struct with_list { struct ast_with *v; uint32_t n, cap; };

struct ast_query {
	struct pos pos;
	bool recursive;
	struct with_list with;
	struct ast_body *body;
	struct order_list order;
	struct ast_expr *offset, *limit; /* limit NULL: none (LIMIT ALL too) */
	bool with_ties;
	uint16_t depth; /* SQL_QUERY_DEPTH more than the deepest part */
};

/* ---- statements --------------------------------------------------------------------------------- */

enum stmt_kind {
	STMT_QUERY,
	STMT_EXPLAIN,        /* .inner, .analyze */
	STMT_SHOW_DATABASES, /* .like */
	STMT_SHOW_TABLES,    /* [.names = database] .like */
	STMT_SHOW_MEASURES,  /* .names = [db,] table; .like */
	STMT_SHOW_FUNCTIONS, /* .like */
	STMT_DESCRIBE,       /* .names */
	STMT_CREATE_DATABASE, /* from here on: changing statements. .names, .if_exists (IF [NOT] EXISTS) */
	STMT_DROP_DATABASE,
	STMT_CREATE_TABLE,
	STMT_DROP_TABLE,
	STMT_DELETE,         /* .names, .alias, .where */
	STMT_INSERT,         /* .names, .columns, .query */
	STMT_UNLOAD,         /* .query, .target, .options */
};

struct ast_option { struct ident name; struct ast_expr *value; };
struct option_list { struct ast_option *v; uint32_t n, cap; };

struct ast_stmt {
	enum stmt_kind kind;
	struct pos pos;
	struct ast_query *query;
	struct ast_stmt *inner;
	bool analyze, if_exists;
	struct ident_list names, columns;
	struct ident alias;
	struct str like; /* ptr NULL: none */
	struct ast_expr *where;
	struct str target;
	struct pos target_pos;
	struct option_list options;
	struct str source; /* the statement's text, without ';' and outer blanks */
};

static inline bool stmt_changes(const struct ast_stmt *s)
{
	return s->kind >= STMT_CREATE_DATABASE;
}

/*
 * Parse all statements of a text; an end without ';' closes the last one. Empty statements vanish.
 *   -EINVAL  "line 1:8: ..." what stands there and what was expected
 *   -E2BIG   deeper than SQL_DEPTH_MAX levels or longer than SQL_TEXT_MAX; so whoever walks the tree
 *            may recurse. Chains of AND or OR count as one level: walk their left spine in a loop.
 */
#define SQL_TEXT_MAX  (256 << 10)
#define SQL_DEPTH_MAX 1000
#define SQL_QUERY_DEPTH 5 /* levels that a query inside another counts for */
int sql_parse(struct arena *a, struct str text, struct ast_stmt ***ret, uint32_t *ret_n,
	      struct err *e) must_check;

/*
 * Text that arrives in pieces. Where does the first statement end? *ret_end is the offset just past
 * its ';' (outside strings, quotes and comments), or 0 when there is none yet.
 *   -EINVAL  no continuation could make this text a statement: a token that cannot follow, an illegal
 *            character; the text's last token is given the benefit of the doubt while it may grow.
 */
int sql_split(struct str text, size_t *ret_end, struct err *e) must_check;

#endif
