/*
 * parse: what the grammar's actions need. Private to sql.y, ast.c and parse.c.
 *
 * Actions never see a NULL: when memory ends, the constructors remember it in rc and give out the
 * parser's spare nodes, which nobody looks at once rc is set.
 */
#ifndef TIDE_PARSE_H
#define TIDE_PARSE_H

#include "query/lex.h"

struct parser {
	struct arena *arena;
	struct err *e;
	int rc;               /* the first failure */
	const char *prev_end; /* behind the last token taken: where reduced text ends */
	struct token last;    /* that token */
	struct ast_stmt *stmt;
	struct {
		struct ast_expr expr;
		struct ast_query query;
		struct ast_body body;
		struct ast_select select;
		struct ast_from from;
		struct ast_call call;
		struct ast_type type;
		struct ast_window window;
		struct ast_stmt stmt;
		struct ident_list names;
	} spare;
	struct token foreign; /* a word of other dialects, taken as a name foreign_age tokens ago */
	uint32_t foreign_age;
};

int parse_fail(struct parser *p, int code, struct pos at, const char *fmt, ...) printf_like(4, 5);

/* ---- constructors (ast.c) ------------------------------------------------------------------- */

void *ast_alloc(struct parser *p, size_t n, void *spare);
#define AST_NEW(p, kind) ((struct ast_##kind *)ast_alloc((p), sizeof(struct ast_##kind), &(p)->spare.kind))

/* v, n and cap of a list; room for one more: its address (a spare one where memory ended). */
void *ast_push(struct parser *p, void *list, size_t size);
#define AST_PUSH(p, list, item)                                                                    \
	do {                                                                                       \
		void *at_ = ast_push((p), (list), sizeof(*(list)->v));                             \
		if (at_)                                                                           \
			*(__typeof__((list)->v))at_ = (item);                                      \
	} while (0)

struct ident ast_ident(const struct token *t);
struct ast_expr *ast_leaf(struct parser *p, enum expr_kind kind, const struct token *t);
struct ast_expr *ast_unary(struct parser *p, enum expr_kind kind, const struct token *op, struct ast_expr *a);
struct ast_expr *ast_binary(struct parser *p, enum expr_kind kind, const struct token *op,
			    struct ast_expr *a, struct ast_expr *b);
struct ast_expr *ast_integer(struct parser *p, const struct token *t);
struct ast_expr *ast_double(struct parser *p, const struct token *t);
struct ast_expr *ast_unicode(struct parser *p, const struct token *t, const struct token *escape);
struct ast_expr *ast_typed(struct parser *p, const struct token *type, const struct token *text);
struct ast_expr *ast_minus(struct parser *p, const struct token *op, struct ast_expr *a);
struct ast_expr *ast_dot(struct parser *p, struct ast_expr *a, struct ident name);
struct ast_expr *ast_star_of(struct parser *p, struct ast_expr *a, const struct token *star);
struct ast_expr *ast_lambda(struct parser *p, const struct token *from, struct expr_list params,
			    struct ast_expr *body);
struct ast_expr *ast_parens(struct parser *p, const struct token *lp, struct ast_expr *a);
struct ast_expr *ast_subquery(struct parser *p, enum expr_kind kind, struct pos at, const char *from,
			      struct ast_query *q);
struct ast_expr *ast_call_of(struct parser *p, struct ident name, const char *from, struct expr_list args);
struct ast_expr *ast_call2(struct parser *p, const struct token *name, const char *as,
			   struct ast_expr *a, struct ast_expr *b, struct ast_expr *c);

/* Sets depth and source (to the end of what was read); -E2BIG beyond SQL_DEPTH_MAX. Each node once. */
struct ast_expr *ast_done(struct parser *p, struct ast_expr *x, const char *from);
struct ast_query *ast_query_done(struct parser *p, struct ast_query *q);
struct ast_body *ast_body_of(struct parser *p, enum body_kind kind, struct pos at);
struct ast_body *ast_body_done(struct parser *p, struct ast_body *b);
struct ast_from *ast_from_of(struct parser *p, enum from_kind kind, struct pos at);
struct ast_from *ast_join(struct parser *p, enum join_kind kind, struct pos at, struct ast_from *left,
			  struct ast_from *right);
struct ast_from *ast_from_done(struct parser *p, struct ast_from *f);
struct ast_stmt *ast_stmt_of(struct parser *p, enum stmt_kind kind, struct pos at);
struct ast_type *ast_field(struct parser *p, struct ident name, struct ast_type *type);
void ast_field_add(struct parser *p, struct ast_type *row, const struct ast_type *field);

/* ---- the generated parser (sql.c) -------------------------------------------------------------- */

void *sql_parser_create(struct parser *p);
void sql_parser_destroy(void *lemon);
void sql_parser_take(void *lemon, const struct token *t);
/* Would the parser, as it stands, take this token next? */
bool sql_parser_expects(void *lemon, int code);
int sql_token_count(void);
void parse_unexpected(struct parser *p, void *lemon, const struct token *t); /* parse.c */

#endif
