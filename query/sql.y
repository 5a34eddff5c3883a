/*
 * The grammar of the dialect, for Lemon. Actions build ast.h nodes through the constructors of ast.c
 * and do nothing else. A conflict fails the build; where two readings are possible, the precedence
 * that decides is named at the rule. Words that can be a keyword or a name in one place are settled
 * by words.c before they come here; those in %fallback are names wherever no keyword is expected.
 *
 * Beware: Lemon folds a state's commonest reduction into its default, and then tries the fallback
 * first. So no rule may be empty in front of a fallback word where a name could stand as well.
 */
%include {
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/parse.h"

#define YYNOERRORRECOVERY 1
#define YYPARSEFREENEVERNULL 1
#define YYMALLOCARGTYPE size_t
}

%name SqlParse
%token_prefix TK_
%token_type {struct token}
%default_type {struct token}
%extra_context {struct parser *p}
%stack_size 0
%stack_overflow {
	if (p->rc >= 0)
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
}
%syntax_error {
	parse_unexpected(p, yypParser, &TOKEN);
}

%fallback ID
	ANALYZE ASC COLUMNS CURRENT DATABASE DATABASES DESC EXPLAIN FIRST FOLLOWING FUNCTIONS IF LAST
	MEASURES NEXT NULLS ONLY ORDINALITY PARTITION PRECEDING ROW ROWS SETS SHOW TABLES TIES TO
	UNBOUNDED UNLOAD.

/* Lowest first. LOW: a parenthesised query is an operand only where it cannot go on as a query. */
%nonassoc LOW.
%nonassoc RESERVED SEMI.
%right ARROW.
%left OR.
%left AND.
%right NOT.
%left IS LIKE BETWEEN IN EQ NE LT LE GT GE.
%nonassoc ESCAPE.
%left CONCAT.
%left PLUS MINUS.
%left STAR SLASH PERCENT.
%right UNARY.
%left DOT LB.
%left UNION EXCEPT.
%left INTERSECT.
%nonassoc HIGH.

/* ---- statements ------------------------------------------------------------------------------- */

%start_symbol input
input ::= stmt(S). { p->stmt = S; }

%type stmt {struct ast_stmt *}
stmt(A) ::= query(Q). {
	A = ast_stmt_of(p, STMT_QUERY, Q->pos);
	A->query = Q;
}
stmt(A) ::= EXPLAIN(T) stmt(S). {
	A = ast_stmt_of(p, STMT_EXPLAIN, T.pos);
	A->inner = S;
	if (S->kind == STMT_EXPLAIN)
		parse_fail(p, -EINVAL, S->pos, "EXPLAIN stands once, in front of a query");
}
stmt(A) ::= EXPLAIN(T) ANALYZE stmt(S). {
	A = ast_stmt_of(p, STMT_EXPLAIN, T.pos);
	A->inner = S;
	A->analyze = true;
	if (S->kind == STMT_EXPLAIN)
		parse_fail(p, -EINVAL, S->pos, "EXPLAIN stands once, in front of a query");
}
stmt(A) ::= SHOW(T) DATABASES like_opt(L). {
	A = ast_stmt_of(p, STMT_SHOW_DATABASES, T.pos);
	A->like = L;
}
stmt(A) ::= SHOW(T) TABLES like_opt(L). {
	A = ast_stmt_of(p, STMT_SHOW_TABLES, T.pos);
	A->like = L;
}
stmt(A) ::= SHOW(T) TABLES from_in nm(N) like_opt(L). {
	A = ast_stmt_of(p, STMT_SHOW_TABLES, T.pos);
	AST_PUSH(p, &A->names, N);
	A->like = L;
}
stmt(A) ::= SHOW(T) MEASURES from_in qname(N) like_opt(L). {
	A = ast_stmt_of(p, STMT_SHOW_MEASURES, T.pos);
	A->names = N;
	A->like = L;
}
stmt(A) ::= SHOW(T) FUNCTIONS like_opt(L). {
	A = ast_stmt_of(p, STMT_SHOW_FUNCTIONS, T.pos);
	A->like = L;
}
stmt(A) ::= SHOW(T) COLUMNS from_in qname(N). {
	A = ast_stmt_of(p, STMT_DESCRIBE, T.pos);
	A->names = N;
}
stmt(A) ::= DESCRIBE|DESC(T) qname(N). {
	A = ast_stmt_of(p, STMT_DESCRIBE, T.pos);
	A->names = N;
}
stmt(A) ::= CREATE(T) DATABASE if_not_exists(I) nm(N). {
	A = ast_stmt_of(p, STMT_CREATE_DATABASE, T.pos);
	A->if_exists = I;
	AST_PUSH(p, &A->names, N);
}
stmt(A) ::= DROP(T) DATABASE if_exists(I) nm(N). {
	A = ast_stmt_of(p, STMT_DROP_DATABASE, T.pos);
	A->if_exists = I;
	AST_PUSH(p, &A->names, N);
}
stmt(A) ::= CREATE(T) TABLE if_not_exists(I) qname(N). {
	A = ast_stmt_of(p, STMT_CREATE_TABLE, T.pos);
	A->if_exists = I;
	A->names = N;
}
stmt(A) ::= DROP(T) TABLE if_exists(I) qname(N). {
	A = ast_stmt_of(p, STMT_DROP_TABLE, T.pos);
	A->if_exists = I;
	A->names = N;
}
stmt(A) ::= DELETE(T) FROM qname(N) where_opt(W). {
	A = ast_stmt_of(p, STMT_DELETE, T.pos);
	A->names = N;
	A->where = W;
}
stmt(A) ::= DELETE(T) FROM qname(N) alias(L) where_opt(W). {
	A = ast_stmt_of(p, STMT_DELETE, T.pos);
	A->names = N;
	A->alias = L;
	A->where = W;
}
stmt(A) ::= INSERT(T) INTO qname(N) query(Q). {
	A = ast_stmt_of(p, STMT_INSERT, T.pos);
	A->names = N;
	A->query = Q;
}
stmt(A) ::= INSERT(T) INTO qname(N) LP names(C) RP query(Q). {
	A = ast_stmt_of(p, STMT_INSERT, T.pos);
	A->names = N;
	A->columns = C;
	A->query = Q;
}
stmt(A) ::= UNLOAD(T) subq(Q) TO STRING(S). {
	A = ast_stmt_of(p, STMT_UNLOAD, T.pos);
	A->query = Q;
	A->target = S.value;
	A->target_pos = S.pos;
}
stmt(A) ::= UNLOAD(T) subq(Q) TO STRING(S) WITH LP options(O) RP. {
	A = ast_stmt_of(p, STMT_UNLOAD, T.pos);
	A->query = Q;
	A->target = S.value;
	A->target_pos = S.pos;
	A->options = O;
}

from_in ::= FROM|IN.

%type like_opt {struct str}
like_opt(A) ::= . { A = (struct str){NULL, 0}; }
like_opt(A) ::= LIKE STRING(S). { A = S.value; }

%type if_not_exists {bool}
if_not_exists(A) ::= . { A = false; }
if_not_exists(A) ::= IF NOT EXISTS. { A = true; }
%type if_exists {bool}
if_exists(A) ::= . { A = false; }
if_exists(A) ::= IF EXISTS. { A = true; }

%type options {struct option_list}
options(A) ::= nm(N) EQ expr(X). {
	A = (struct option_list){0};
	AST_PUSH(p, &A, ((struct ast_option){N, X}));
}
options(A) ::= options(L) COMMA nm(N) EQ expr(X). {
	A = L;
	AST_PUSH(p, &A, ((struct ast_option){N, X}));
}

/* ---- names ------------------------------------------------------------------------------------ */

%type nm {struct ident}
nm(A) ::= ID|QID(T). { A = ast_ident(&T); }

%type names {struct ident_list}
names(A) ::= nm(N). {
	A = (struct ident_list){0};
	AST_PUSH(p, &A, N);
}
names(A) ::= names(L) COMMA nm(N). {
	A = L;
	AST_PUSH(p, &A, N);
}

%type qname {struct ident_list}
qname(A) ::= nm(N). {
	A = (struct ident_list){0};
	AST_PUSH(p, &A, N);
}
qname(A) ::= nm(D) DOT nm(N). {
	A = (struct ident_list){0};
	AST_PUSH(p, &A, D);
	AST_PUSH(p, &A, N);
}

/* ---- queries ---------------------------------------------------------------------------------- */

%type query {struct ast_query *}
query(A) ::= body(B) order_opt(O) limits(L). {
	A = L;
	A->pos = B->pos;
	A->body = B;
	A->order = O;
	ast_query_done(p, A);
}
query(A) ::= WITH(T) recursive(R) ctes(W) body(B) order_opt(O) limits(L). {
	A = L;
	A->pos = T.pos;
	A->recursive = R;
	A->with = W;
	A->body = B;
	A->order = O;
	ast_query_done(p, A);
}

%type recursive {bool}
recursive(A) ::= . { A = false; }
recursive(A) ::= RECURSIVE. { A = true; }

%type ctes {struct with_list}
%type cte {struct ast_with}
ctes(A) ::= cte(C). {
	A = (struct with_list){0};
	AST_PUSH(p, &A, C);
}
ctes(A) ::= ctes(L) COMMA cte(C). {
	A = L;
	AST_PUSH(p, &A, C);
}
cte(A) ::= nm(N) AS subq(Q). { A = (struct ast_with){.name = N, .query = Q}; }
cte(A) ::= nm(N) LP names(C) RP AS subq(Q). {
	A = (struct ast_with){.name = N, .columns = C, .query = Q};
}

/* A query in parentheses; the token is the opening one, for positions. */
%type subq {struct ast_query *}
subq(A) ::= LP query(Q) RP. { A = Q; }

%type body {struct ast_body *}
body(A) ::= select(S). {
	A = ast_body_of(p, BODY_SELECT, S->pos);
	A->select = S;
	ast_body_done(p, A);
}
body(A) ::= VALUES(T) exprs(L). {
	A = ast_body_of(p, BODY_VALUES, T.pos);
	A->values = L;
	ast_body_done(p, A);
}
body(A) ::= subq(Q). [HIGH] {
	A = ast_body_of(p, BODY_QUERY, Q->pos);
	A->query = Q;
	ast_body_done(p, A);
}
body(A) ::= body(B) UNION(T) quantifier(Q) body(C). [UNION] {
	A = ast_body_of(p, BODY_SET, T.pos);
	A->op = SET_UNION;
	A->all = Q.code == TK_QUANT_ALL;
	A->left = B;
	A->right = C;
	ast_body_done(p, A);
}
body(A) ::= body(B) EXCEPT(T) quantifier(Q) body(C). [EXCEPT] {
	A = ast_body_of(p, BODY_SET, T.pos);
	A->op = SET_EXCEPT;
	A->all = Q.code == TK_QUANT_ALL;
	A->left = B;
	A->right = C;
	ast_body_done(p, A);
}
body(A) ::= body(B) INTERSECT(T) quantifier(Q) body(C). [INTERSECT] {
	A = ast_body_of(p, BODY_SET, T.pos);
	A->op = SET_INTERSECT;
	A->all = Q.code == TK_QUANT_ALL;
	A->left = B;
	A->right = C;
	ast_body_done(p, A);
}

quantifier(A) ::= . { A = (struct token){0}; }
quantifier(A) ::= DISTINCT|QUANT_ALL(T). { A = T; }

%type order_opt {struct order_list}
order_opt(A) ::= . { A = (struct order_list){0}; }
order_opt(A) ::= ORDER BY orders(L). { A = L; }

%type orders {struct order_list}
%type order {struct ast_order}
orders(A) ::= order(O). {
	A = (struct order_list){0};
	AST_PUSH(p, &A, O);
}
orders(A) ::= orders(L) COMMA order(O). {
	A = L;
	AST_PUSH(p, &A, O);
}
order(A) ::= expr(X) direction(D) nulls(N). {
	A = (struct ast_order){.expr = X, .desc = D, .nulls = N, .pos = X->pos};
}
%type direction {bool}
direction(A) ::= . { A = false; }
direction(A) ::= ASC. { A = false; }
direction(A) ::= DESC. { A = true; }
%type nulls {int}
nulls(A) ::= . { A = 0; }
nulls(A) ::= NULLS FIRST. { A = 1; }
nulls(A) ::= NULLS LAST. { A = 2; }

/* OFFSET and LIMIT in either order. */
%type limits {struct ast_query *}
%type offset {struct ast_expr *}
%type limit {struct ast_query *}
limits(A) ::= . { A = AST_NEW(p, query); }
limits(A) ::= offset(O). {
	A = AST_NEW(p, query);
	A->offset = O;
}
limits(A) ::= limit(L). { A = L; }
limits(A) ::= offset(O) limit(L). {
	A = L;
	A->offset = O;
}
limits(A) ::= limit(L) offset(O). {
	A = L;
	A->offset = O;
}
offset(A) ::= OFFSET expr(X). { A = X; }
offset(A) ::= OFFSET expr(X) row_rows. { A = X; }
limit(A) ::= LIMIT expr(X). {
	A = AST_NEW(p, query);
	A->limit = X;
}
limit(A) ::= LIMIT QUANT_ALL. { A = AST_NEW(p, query); }
limit(A) ::= FETCH(T) first_next row_rows ties(W). {
	struct token one = {TK_INTEGER, T.pos, STR_LIT("1"), STR_LIT("1")};

	A = AST_NEW(p, query);
	A->limit = ast_integer(p, &one);
	A->with_ties = W;
}
limit(A) ::= FETCH first_next expr(X) row_rows ties(W). {
	A = AST_NEW(p, query);
	A->limit = X;
	A->with_ties = W;
}
first_next ::= FIRST|NEXT.
row_rows ::= ROW|ROWS.
%type ties {bool}
ties(A) ::= ONLY. { A = false; }
ties(A) ::= WITH TIES. { A = true; }

/* ---- SELECT ------------------------------------------------------------------------------------- */

%type select {struct ast_select *}
select(A) ::= SELECT(T) quantifier(Q) items(I) from_opt(F) where_opt(W) group_opt(G) having_opt(H)
		windows_opt(N). {
	A = G;
	A->pos = T.pos;
	A->distinct = Q.code == TK_DISTINCT;
	A->items = I;
	A->from = F;
	A->where = W;
	A->having = H;
	A->windows = N;
}

%type items {struct item_list}
%type item {struct ast_item}
items(A) ::= item(I). {
	A = (struct item_list){0};
	AST_PUSH(p, &A, I);
}
items(A) ::= items(L) COMMA item(I). {
	A = L;
	AST_PUSH(p, &A, I);
}
item(A) ::= STAR(T). { A = (struct ast_item){.expr = ast_leaf(p, EX_STAR, &T)}; }
item(A) ::= expr(X) DOT STAR(T). { A = (struct ast_item){.expr = ast_star_of(p, X, &T)}; }
item(A) ::= expr(X). { A = (struct ast_item){.expr = X}; }
item(A) ::= expr(X) nm(N). { A = (struct ast_item){X, N}; }
item(A) ::= expr(X) AS nm(N). { A = (struct ast_item){X, N}; }

%type where_opt {struct ast_expr *}
where_opt(A) ::= . { A = NULL; }
where_opt(A) ::= WHERE expr(X). { A = X; }
%type having_opt {struct ast_expr *}
having_opt(A) ::= . { A = NULL; }
having_opt(A) ::= HAVING expr(X). { A = X; }

%type group_opt {struct ast_select *}
group_opt(A) ::= . { A = AST_NEW(p, select); }
group_opt(A) ::= GROUP BY quantifier(Q) groups(L). {
	A = AST_NEW(p, select);
	A->group_by = true;
	A->group_distinct = Q.code == TK_DISTINCT;
	A->groups = L;
}
%type groups {struct group_list}
%type group {struct ast_group}
groups(A) ::= group(G). {
	A = (struct group_list){0};
	AST_PUSH(p, &A, G);
}
groups(A) ::= groups(L) COMMA group(G). {
	A = L;
	AST_PUSH(p, &A, G);
}
group(A) ::= expr(X). { A = (struct ast_group){.kind = GROUP_EXPR, .pos = X->pos, .expr = X}; }
group(A) ::= LP(T) RP. {
	A = (struct ast_group){.kind = GROUP_EXPR, .pos = T.pos, .expr = ast_leaf(p, EX_ROW, &T)};
}
group(A) ::= GROUPING(T) SETS LP sets(S) RP. {
	A = S;
	A.kind = GROUP_SETS;
	A.pos = T.pos;
}
group(A) ::= ROLLUP(T) LP sets(S) RP. {
	A = S;
	A.kind = GROUP_ROLLUP;
	A.pos = T.pos;
}
group(A) ::= CUBE(T) LP sets(S) RP. {
	A = S;
	A.kind = GROUP_CUBE;
	A.pos = T.pos;
}
%type sets {struct ast_group}
%type set {struct expr_list}
sets(A) ::= set(S). {
	struct { struct expr_list *v; uint32_t n, cap; } l = {0};

	AST_PUSH(p, &l, S);
	A = (struct ast_group){.sets = l.v, .set_n = l.n, .set_cap = l.cap};
}
sets(A) ::= sets(G) COMMA set(S). {
	struct { struct expr_list *v; uint32_t n, cap; } l = {G.sets, G.set_n, G.set_cap};

	AST_PUSH(p, &l, S);
	A = (struct ast_group){.sets = l.v, .set_n = l.n, .set_cap = l.cap};
}
set(A) ::= LP RP. { A = (struct expr_list){0}; }
set(A) ::= expr(X). {
	A = (struct expr_list){0};
	if (X->kind == EX_ROW)
		A = X->list;
	else
		AST_PUSH(p, &A, X);
}

%type windows_opt {struct window_list}
%type windows {struct window_list}
windows_opt(A) ::= . { A = (struct window_list){0}; }
windows_opt(A) ::= WINDOW windows(L). { A = L; }
windows(A) ::= nm(N) AS window(W). {
	A = (struct window_list){0};
	AST_PUSH(p, &A, ((struct ast_named_window){N, W}));
}
windows(A) ::= windows(L) COMMA nm(N) AS window(W). {
	A = L;
	AST_PUSH(p, &A, ((struct ast_named_window){N, W}));
}

/* ---- FROM --------------------------------------------------------------------------------------- */

%type from_opt {struct ast_from *}
%type froms {struct ast_from *}
%type from {struct ast_from *}
%type from_one {struct ast_from *}
from_opt(A) ::= . { A = NULL; }
from_opt(A) ::= FROM froms(F). { A = F; }
froms(A) ::= from(F). { A = F; }
froms(A) ::= froms(L) COMMA(T) from(F). { A = ast_from_done(p, ast_join(p, JOIN_CROSS, T.pos, L, F)); }

from(A) ::= from_one(F). { A = F; }
from(A) ::= from(L) CROSS(T) JOIN from_one(R). {
	A = ast_from_done(p, ast_join(p, JOIN_CROSS, T.pos, L, R));
}
from(A) ::= from(L) join(J) from(R) ON expr(X). {
	A = J;
	A->left = L;
	A->right = R;
	A->on = X;
	ast_from_done(p, A);
}
from(A) ::= from(L) join(J) from(R) USING LP names(C) RP. {
	A = J;
	A->left = L;
	A->right = R;
	A->using_cols = C;
	ast_from_done(p, A);
}
%type join {struct ast_from *}
join(A) ::= JOIN(T). { A = ast_join(p, JOIN_INNER, T.pos, NULL, NULL); }
join(A) ::= INNER(T) JOIN. { A = ast_join(p, JOIN_INNER, T.pos, NULL, NULL); }
join(A) ::= LEFT(T) outer JOIN. { A = ast_join(p, JOIN_LEFT, T.pos, NULL, NULL); }
join(A) ::= RIGHT(T) outer JOIN. { A = ast_join(p, JOIN_RIGHT, T.pos, NULL, NULL); }
join(A) ::= FULL(T) outer JOIN. { A = ast_join(p, JOIN_FULL, T.pos, NULL, NULL); }
join(A) ::= NATURAL(T) natural_kind JOIN. {
	A = ast_join(p, JOIN_INNER, T.pos, NULL, NULL);
	parse_fail(p, -EINVAL, T.pos, "NATURAL JOIN is not supported; name the columns: JOIN ... USING (a, b)");
}
natural_kind ::= .
natural_kind ::= INNER.
natural_kind ::= LEFT|RIGHT|FULL outer.
outer ::= .
outer ::= OUTER.

from_one(A) ::= qname(N) alias_opt(L). {
	A = L;
	A->kind = FROM_TABLE;
	A->pos = N.v ? N.v[0].pos : A->pos;
	A->names = N;
	ast_from_done(p, A);
}
from_one(A) ::= subq(Q) alias_opt(L). {
	A = L;
	A->kind = FROM_QUERY;
	A->pos = Q->pos;
	A->query = Q;
	ast_from_done(p, A);
}
from_one(A) ::= LATERAL(T) subq(Q) alias_opt(L). {
	A = L;
	A->kind = FROM_QUERY;
	A->lateral = true;
	A->pos = T.pos;
	A->query = Q;
	ast_from_done(p, A);
}
from_one(A) ::= UNNEST(T) LP exprs(X) RP ordinality(O) alias_opt(L). {
	A = L;
	A->kind = FROM_UNNEST;
	A->pos = T.pos;
	A->exprs = X;
	A->ordinality = O;
	ast_from_done(p, A);
}
from_one(A) ::= LP from(F) RP. { A = F; }

%type ordinality {bool}
ordinality(A) ::= . { A = false; }
ordinality(A) ::= WITH ORDINALITY. { A = true; }

/* `((SELECT ...))`: the inner parentheses are the query's, not a relation's. */
%type alias_opt {struct ast_from *}
alias_opt(A) ::= . [LOW] { A = AST_NEW(p, from); }
alias_opt(A) ::= alias(N). {
	A = AST_NEW(p, from);
	A->alias = N;
}
alias_opt(A) ::= alias(N) LP names(C) RP. {
	A = AST_NEW(p, from);
	A->alias = N;
	A->columns = C;
}
%type alias {struct ident}
alias(A) ::= nm(N). { A = N; }
alias(A) ::= AS nm(N). { A = N; }

/* ---- expressions -------------------------------------------------------------------------------- */

%type exprs {struct expr_list}
exprs(A) ::= expr(X). {
	A = (struct expr_list){0};
	AST_PUSH(p, &A, X);
}
exprs(A) ::= exprs(L) COMMA expr(X). {
	A = L;
	AST_PUSH(p, &A, X);
}

%type expr {struct ast_expr *}
expr(A) ::= NULL(T). { A = ast_leaf(p, EX_NULL, &T); }
expr(A) ::= TRUE(T). {
	A = ast_leaf(p, EX_BOOL, &T);
	A->boolean = true;
}
expr(A) ::= FALSE(T). { A = ast_leaf(p, EX_BOOL, &T); }
expr(A) ::= INTEGER(T). { A = ast_integer(p, &T); }
expr(A) ::= NUMBER(T). { A = ast_double(p, &T); }
expr(A) ::= DURATION(T). { A = ast_leaf(p, EX_DURATION, &T); }
expr(A) ::= STRING(T). { A = ast_leaf(p, EX_STRING, &T); }
expr(A) ::= USTRING(T). { A = ast_unicode(p, &T, NULL); }
expr(A) ::= USTRING(T) UESCAPE STRING(E). { A = ast_unicode(p, &T, &E); }
expr(A) ::= PARAM(T). { A = ast_leaf(p, EX_PARAM, &T); }
expr(A) ::= TYPED(T) STRING(S). { A = ast_typed(p, &T, &S); }
expr(A) ::= INTERVAL(T) sign(G) STRING(S) ID(F). {
	A = ast_leaf(p, EX_INTERVAL, &T);
	A->interval.text = S.value;
	A->interval.minus = G;
	A->interval.from = F.value;
	ast_done(p, A, T.text.ptr);
}
expr(A) ::= INTERVAL(T) sign(G) STRING(S) ID(F) TO ID(U). {
	A = ast_leaf(p, EX_INTERVAL, &T);
	A->interval.text = S.value;
	A->interval.minus = G;
	A->interval.from = F.value;
	A->interval.to = U.value;
	ast_done(p, A, T.text.ptr);
}
%type sign {bool}
sign(A) ::= . { A = false; }
sign(A) ::= PLUS. { A = false; }
sign(A) ::= MINUS. { A = true; }

expr(A) ::= nm(N). {
	A = AST_NEW(p, expr);
	A->kind = EX_COLUMN;
	A->pos = N.pos;
	AST_PUSH(p, &A->names, N);
	ast_done(p, A, p->prev_end - p->last.text.len);
}
expr(A) ::= expr(X) DOT nm(N). { A = ast_dot(p, X, N); }
expr(A) ::= expr(X) LB(T) expr(I) RB. { A = ast_binary(p, EX_SUBSCRIPT, &T, X, I); }

expr(A) ::= expr(X) OR(T) expr(Y). { A = ast_binary(p, EX_OR, &T, X, Y); }
expr(A) ::= expr(X) AND(T) expr(Y). { A = ast_binary(p, EX_AND, &T, X, Y); }
expr(A) ::= NOT(T) expr(X). { A = ast_unary(p, EX_NOT, &T, X); }
expr(A) ::= expr(X) EQ|NE|LT|LE|GT|GE(T) expr(Y). { A = ast_binary(p, EX_BINARY, &T, X, Y); }
expr(A) ::= expr(X) PLUS|MINUS(T) expr(Y). { A = ast_binary(p, EX_BINARY, &T, X, Y); }
expr(A) ::= expr(X) STAR|SLASH|PERCENT(T) expr(Y). { A = ast_binary(p, EX_BINARY, &T, X, Y); }
expr(A) ::= expr(X) CONCAT(T) expr(Y). { A = ast_binary(p, EX_BINARY, &T, X, Y); }
expr(A) ::= MINUS(T) expr(X). [UNARY] { A = ast_minus(p, &T, X); }
expr(A) ::= PLUS(T) expr(X). [UNARY] { A = ast_unary(p, EX_POS, &T, X); }

expr(A) ::= expr(X) IS(T) not(N) NULL. [IS] {
	A = ast_unary(p, EX_IS_NULL, &T, X);
	A->negated = N;
}
expr(A) ::= expr(X) IS(T) not(N) DISTINCT FROM expr(Y). [IS] {
	A = ast_binary(p, EX_IS_DISTINCT, &T, X, Y);
	A->negated = N;
}
%type not {bool}
not(A) ::= . { A = false; }
not(A) ::= NOT. { A = true; }

%type between_op {struct token}
between_op(A) ::= BETWEEN(T). { A = T; A.code = 0; }
between_op(A) ::= NOT BETWEEN(T). { A = T; A.code = 1; }
expr(A) ::= expr(X) between_op(T) expr(L) AND expr(H). [BETWEEN] {
	A = ast_binary(p, EX_BETWEEN, &T, X, L);
	A->c = H;
	A->negated = T.code;
	ast_done(p, A, X->source.ptr);
}

%type in_op {struct token}
in_op(A) ::= IN(T). { A = T; A.code = 0; }
in_op(A) ::= NOT IN(T). { A = T; A.code = 1; }
expr(A) ::= expr(X) in_op(T) LP exprs(L) RP. [IN] {
	A = AST_NEW(p, expr);
	A->kind = EX_IN_LIST;
	A->pos = T.pos;
	A->a = X;
	A->list = L;
	A->negated = T.code;
	ast_done(p, A, X->source.ptr);
}
expr(A) ::= expr(X) in_op(T) subq(Q). [IN] {
	A = AST_NEW(p, expr);
	A->kind = EX_IN_QUERY;
	A->pos = T.pos;
	A->a = X;
	A->query = Q;
	A->negated = T.code;
	ast_done(p, A, X->source.ptr);
}

%type like_op {struct token}
like_op(A) ::= LIKE(T). { A = T; A.code = 0; }
like_op(A) ::= NOT LIKE(T). { A = T; A.code = 1; }
expr(A) ::= expr(X) like_op(T) expr(Y). [LIKE] {
	A = ast_binary(p, EX_LIKE, &T, X, Y);
	A->negated = T.code;
}
expr(A) ::= expr(X) like_op(T) expr(Y) ESCAPE expr(E). [LIKE] {
	A = ast_binary(p, EX_LIKE, &T, X, Y);
	A->c = E;
	A->negated = T.code;
	ast_done(p, A, X->source.ptr);
}

expr(A) ::= expr(X) EQ|NE|LT|LE|GT|GE(T) QUANT_ALL subq(Q). {
	A = ast_binary(p, EX_QUANTIFIED, &T, X, NULL);
	A->query = Q;
	A->is_all = true;
	ast_done(p, A, X->source.ptr);
}
expr(A) ::= expr(X) EQ|NE|LT|LE|GT|GE(T) QUANT_ANY subq(Q). {
	A = ast_binary(p, EX_QUANTIFIED, &T, X, NULL);
	A->query = Q;
	ast_done(p, A, X->source.ptr);
}
expr(A) ::= EXISTS(T) subq(Q). { A = ast_subquery(p, EX_EXISTS, T.pos, T.text.ptr, Q); }
expr(A) ::= subq(Q). [LOW] { A = ast_subquery(p, EX_SUBQUERY, Q->pos, NULL, Q); }

expr(A) ::= CASE(T) whens(W) else_opt(E) END. {
	A = AST_NEW(p, expr);
	A->kind = EX_CASE;
	A->pos = T.pos;
	A->list = W;
	A->b = E;
	ast_done(p, A, T.text.ptr);
}
expr(A) ::= CASE(T) expr(X) whens(W) else_opt(E) END. {
	A = AST_NEW(p, expr);
	A->kind = EX_CASE;
	A->pos = T.pos;
	A->a = X;
	A->list = W;
	A->b = E;
	ast_done(p, A, T.text.ptr);
}
%type whens {struct expr_list}
whens(A) ::= WHEN expr(X) THEN expr(Y). {
	A = (struct expr_list){0};
	AST_PUSH(p, &A, X);
	AST_PUSH(p, &A, Y);
}
whens(A) ::= whens(L) WHEN expr(X) THEN expr(Y). {
	A = L;
	AST_PUSH(p, &A, X);
	AST_PUSH(p, &A, Y);
}
%type else_opt {struct ast_expr *}
else_opt(A) ::= . { A = NULL; }
else_opt(A) ::= ELSE expr(X). { A = X; }

expr(A) ::= CAST|TRY_CAST(T) LP expr(X) AS type(Y) RP. {
	A = AST_NEW(p, expr);
	A->kind = EX_CAST;
	A->pos = T.pos;
	A->a = X;
	A->cast_type = Y;
	A->is_try = T.code == TK_TRY_CAST;
	ast_done(p, A, T.text.ptr);
}
expr(A) ::= EXTRACT(T) LP nm(F) FROM expr(X) RP. {
	A = AST_NEW(p, expr);
	A->kind = EX_EXTRACT;
	A->pos = T.pos;
	A->a = X;
	A->text = F.text;
	ast_done(p, A, T.text.ptr);
}
expr(A) ::= POSITION(T) LP expr(X) POSITION_IN expr(Y) RP. {
	A = ast_call2(p, &T, "strpos", Y, X, NULL);
}
expr(A) ::= NORMALIZE(T) LP expr(X) RP. { A = ast_call2(p, &T, "normalize", X, NULL, NULL); }
expr(A) ::= NORMALIZE(T) LP expr(X) COMMA ID(F) RP. {
	A = ast_call2(p, &T, "normalize", X, ast_leaf(p, EX_STRING, &F), NULL);
}
expr(A) ::= GROUPING(T) LP exprs(L) RP. {
	A = ast_call_of(p, (struct ident){STR_LIT("grouping"), false, T.pos}, T.text.ptr, L);
}
expr(A) ::= NOW(T). {
	A = ast_call_of(p, (struct ident){T.value, false, T.pos}, T.text.ptr, (struct expr_list){0});
	A->call->no_parens = true;
}
expr(A) ::= ARRAY(T) LB RB. { A = ast_done(p, ast_leaf(p, EX_ARRAY, &T), T.text.ptr); }
expr(A) ::= ARRAY(T) LB exprs(L) RB. {
	A = ast_leaf(p, EX_ARRAY, &T);
	A->list = L;
	ast_done(p, A, T.text.ptr);
}
expr(A) ::= ROW_OF(T) LP exprs(L) RP. {
	A = ast_leaf(p, EX_ROW, &T);
	A->list = L;
	ast_done(p, A, T.text.ptr);
}

expr(A) ::= LP(T) expr(X) RP. { A = ast_parens(p, &T, X); }
expr(A) ::= LP(T) expr(X) COMMA exprs(L) RP. {
	A = ast_leaf(p, EX_ROW, &T);
	AST_PUSH(p, &A->list, X);
	for (uint32_t i = 0; i < L.n; i++)
		AST_PUSH(p, &A->list, L.v[i]);
	ast_done(p, A, T.text.ptr);
}

/* Lambdas: the parameters come as expressions, the constructor checks that they are names. */
expr(A) ::= nm(N) ARROW expr(X). {
	struct token t = {TK_ID, N.pos, N.text, N.text};
	struct ast_expr *name = ast_leaf(p, EX_COLUMN, &t);
	struct expr_list l = {0};

	AST_PUSH(p, &name->names, N);
	AST_PUSH(p, &l, name);
	A = ast_lambda(p, &t, l, X);
}
expr(A) ::= LP(T) RP ARROW expr(X). { A = ast_lambda(p, &T, (struct expr_list){0}, X); }
expr(A) ::= LP(T) expr(N) RP ARROW expr(X). {
	struct expr_list l = {0};

	AST_PUSH(p, &l, N);
	A = ast_lambda(p, &T, l, X);
}
expr(A) ::= LP(T) expr(N) COMMA exprs(M) RP ARROW expr(X). {
	struct expr_list l = {0};

	AST_PUSH(p, &l, N);
	for (uint32_t i = 0; i < M.n; i++)
		AST_PUSH(p, &l, M.v[i]);
	A = ast_lambda(p, &T, l, X);
}

/* ---- calls ---------------------------------------------------------------------------------------- */

%type call {struct ast_expr *}
call(A) ::= nm(N) LP RP. { A = ast_call_of(p, N, N.text.ptr, (struct expr_list){0}); }
call(A) ::= nm(N) LP STAR RP. {
	A = ast_call_of(p, N, N.text.ptr, (struct expr_list){0});
	A->call->star = true;
}
call(A) ::= nm(N) LP quantifier(Q) exprs(L) order_opt(O) RP. {
	A = ast_call_of(p, N, N.text.ptr, L);
	A->call->distinct = Q.code == TK_DISTINCT;
	A->call->order = O;
}
/* substring(text FROM start [FOR length]) */
call(A) ::= nm(N) LP quantifier expr(X) FROM expr(F) RP. {
	struct token t = {TK_ID, N.pos, N.text, N.text};

	A = ast_call2(p, &t, "substr", X, F, NULL);
	if (!str_ieq(N.text, STR_LIT("substring")))
		parse_fail(p, -EINVAL, N.pos, "only substring(text FROM start [FOR length]) takes FROM");
}
call(A) ::= nm(N) LP quantifier expr(X) FROM expr(F) FOR expr(L) RP. {
	struct token t = {TK_ID, N.pos, N.text, N.text};

	A = ast_call2(p, &t, "substr", X, F, L);
	if (!str_ieq(N.text, STR_LIT("substring")))
		parse_fail(p, -EINVAL, N.pos, "only substring(text FROM start [FOR length]) takes FROM");
}

expr(A) ::= call(C) within(O) filter(F) null_treatment(N) over(W). {
	A = C;
	if (O.n && C->call->order.n)
		parse_fail(p, -EINVAL, O.v[0].pos, "ORDER BY stands once, inside the parentheses or in WITHIN GROUP");
	if (O.n)
		A->call->order = O;
	A->call->filter = F;
	A->call->nulls = N;
	A->call->over = W;
	ast_done(p, A, A->source.ptr);
}
%type within {struct order_list}
within(A) ::= . { A = (struct order_list){0}; }
within(A) ::= WITHIN GROUP LP ORDER BY orders(L) RP. { A = L; }
%type filter {struct ast_expr *}
filter(A) ::= . { A = NULL; }
filter(A) ::= FILTER LP WHERE expr(X) RP. { A = X; }
%type null_treatment {int}
null_treatment(A) ::= . { A = 0; }
null_treatment(A) ::= IGNORE NULLS. { A = 1; }
null_treatment(A) ::= RESPECT NULLS. { A = 2; }
%type over {struct ast_window *}
over(A) ::= . { A = NULL; }
over(A) ::= OVER nm(N). {
	A = AST_NEW(p, window);
	A->pos = N.pos;
	A->name = N;
}
over(A) ::= OVER window(W). { A = W; }

%type window {struct ast_window *}
%type frame {struct ast_window *}
window(A) ::= LP(T) partition(P) order_opt(O) frame(F) RP. {
	A = F;
	A->pos = T.pos;
	A->partition = P;
	A->order = O;
}
window(A) ::= LP(T) nm(N) partition(P) order_opt(O) frame(F) RP. {
	A = F;
	A->pos = T.pos;
	A->name = N;
	A->partition = P;
	A->order = O;
}
%type partition {struct expr_list}
partition(A) ::= . { A = (struct expr_list){0}; }
partition(A) ::= PARTITION BY exprs(L). { A = L; }

%type bound {struct ast_window *}
frame(A) ::= . { A = AST_NEW(p, window); }
frame(A) ::= frame_unit(U) bound(B). {
	A = B;
	A->frame = U;
	A->end = BOUND_CURRENT;
}
frame(A) ::= frame_unit(U) BETWEEN bound(B) AND bound(C). {
	A = B;
	A->frame = U;
	A->end = C->start;
	A->end_expr = C->start_expr;
}
%type frame_unit {enum frame_kind}
frame_unit(A) ::= FRAME_ROWS. { A = FRAME_ROWS; }
frame_unit(A) ::= FRAME_RANGE. { A = FRAME_RANGE; }
frame_unit(A) ::= FRAME_GROUPS. { A = FRAME_GROUPS; }
bound(A) ::= UNBOUNDED PRECEDING. {
	A = AST_NEW(p, window);
	A->start = BOUND_UNBOUNDED_PRECEDING;
}
bound(A) ::= UNBOUNDED FOLLOWING. {
	A = AST_NEW(p, window);
	A->start = BOUND_UNBOUNDED_FOLLOWING;
}
bound(A) ::= CURRENT ROW. {
	A = AST_NEW(p, window);
	A->start = BOUND_CURRENT;
}
bound(A) ::= expr(X) PRECEDING. {
	A = AST_NEW(p, window);
	A->start = BOUND_PRECEDING;
	A->start_expr = X;
}
bound(A) ::= expr(X) FOLLOWING. {
	A = AST_NEW(p, window);
	A->start = BOUND_FOLLOWING;
	A->start_expr = X;
}

/* ---- types ------------------------------------------------------------------------------------------ */

%type type {struct ast_type *}
type(A) ::= ID(T). {
	A = AST_NEW(p, type);
	A->pos = T.pos;
	A->name = T.value;
}
type(A) ::= ID(T) LP type_args(L) RP. {
	A = L;
	A->pos = T.pos;
	A->name = T.value;
}
type(A) ::= ID(T) ID(F) TO ID(U). {
	char *name = arena_printf(p->arena, "%.*s %.*s to %.*s", STR_FMT(T.value), STR_FMT(F.value),
				  STR_FMT(U.value));

	A = AST_NEW(p, type);
	A->pos = T.pos;
	A->name = name ? str_from(name) : T.value;
}
type(A) ::= ARRAY(T) LB type(E) RB. {
	struct { struct ast_type **v; uint32_t n, cap; } l = {0};

	A = AST_NEW(p, type);
	A->pos = T.pos;
	A->name = T.value;
	AST_PUSH(p, &l, E);
	A->args = l.v;
	A->arg_n = l.n;
}
type(A) ::= ROW_OF(T) LP fields(F) RP. {
	A = F;
	A->pos = T.pos;
	A->name = T.value;
}
/* varchar(10), array(double), timeseries(double) */
%type type_args {struct ast_type *}
type_args(A) ::= INTEGER(T). {
	struct ast_expr *n = ast_integer(p, &T);

	A = AST_NEW(p, type);
	A->has_length = true;
	A->length = n->integer;
}
type_args(A) ::= INTEGER(T) COMMA INTEGER. {
	struct ast_expr *n = ast_integer(p, &T);

	A = AST_NEW(p, type);
	A->has_length = A->has_scale = true;
	A->length = n->integer;
}
type_args(A) ::= type(E). {
	struct { struct ast_type **v; uint32_t n, cap; } l = {0};

	A = AST_NEW(p, type);
	AST_PUSH(p, &l, E);
	A->args = l.v;
	A->arg_n = l.n;
}
%type fields {struct ast_type *}
%type field {struct ast_type *}
fields(A) ::= field(F). {
	A = AST_NEW(p, type);
	ast_field_add(p, A, F);
}
fields(A) ::= fields(L) COMMA field(F). {
	A = L;
	ast_field_add(p, A, F);
}
/* One field: a type whose only argument is the field's type, and its name. */
field(A) ::= type(T). { A = ast_field(p, (struct ident){0}, T); }
field(A) ::= ID(N) type(T). { A = ast_field(p, ast_ident(&N), T); }
field(A) ::= QID(N) type(T). { A = ast_field(p, ast_ident(&N), T); }

/* ---- the driver's view ------------------------------------------------------------------------------ */

%code {
void *sql_parser_create(struct parser *p)
{
	return SqlParseAlloc(malloc, p);
}

void sql_parser_destroy(void *lemon)
{
	if (lemon)
		SqlParseFree(lemon, free);
}

void sql_parser_take(void *lemon, const struct token *t)
{
	SqlParse(lemon, t->code, *t);
}

int sql_token_count(void)
{
	return YYNTOKEN;
}

/*
 * Runs the automaton on states alone: reductions pop into an overlay of the real stack, nothing is
 * built and nothing is changed. The overlay is small, because a chain of reductions pushes one state each.
 */
bool sql_parser_expects(void *lemon, int code)
{
	const yyParser *parser = lemon;
	const yyStackEntry *base = parser->yytos;
	YYACTIONTYPE top[64];
	int n = 0;
	YYACTIONTYPE state = base->stateno;

	for (;;) {
		YYACTIONTYPE act = yy_find_shift_action((YYCODETYPE)code, state);

		if (act < YY_MIN_REDUCE)
			return act <= YY_MAX_SHIFTREDUCE || act == YY_ACCEPT_ACTION;

		int rule = act - YY_MIN_REDUCE;
		int pop = -yyRuleInfoNRhs[rule];

		while (pop && n) {
			n--;
			pop--;
		}
		if (base - pop < parser->yystack || n == (int)(sizeof(top) / sizeof(top[0])))
			return false;
		base -= pop;
		state = yy_find_reduce_action(n ? top[n - 1] : base->stateno, yyRuleInfoLhs[rule]);
		top[n++] = state;
	}
	return false;
}
}
