/*
 * bind: private to the binder's files (bind*.c, pushdown.c, prune.c). The story is at the top of bind.c.
 */
#ifndef TIDE_BIND_H
#define TIDE_BIND_H

#include "query/plan.h"
#include "query/query.h"

#define BIND_NODES_MAX 20000 /* plan nodes; WITH queries are inlined, and could multiply */

/* A WITH query, visible to those behind it and to the query it stands in front of. */
struct outer;
struct recursion; /* bind_recursive.c */
struct cte {
	const struct cte *next; /* declared before, or further out */
	const struct ast_with *with;
	struct outer *outer;    /* of the subquery that it was declared in */
	bool is_recursive;      /* WITH RECURSIVE */
	struct recursion *self; /* its own name inside a recursive query; NULL: this is the query */
};

struct bind {
	struct arena *arena;
	const struct query_env *env;
	const struct exec_ctx *exec;
	struct err *e;
	bool is_volatile;
	struct table **tables; /* heap: referenced */
	uint32_t table_count, table_cap;
	uint32_t depth;        /* queries inside queries, WITH expanded */
	uint32_t nodes;
	uint32_t recursions;
	const struct cte *ctes;
};

int bind_fail(struct bind *b, struct pos at, const char *fmt, ...) printf_like(3, 4);
int bind_nomem(struct bind *b);
int bind_no_yet(struct bind *b, struct pos at, const char *what); /* "... not supported yet" */

/* ---- scopes (bind_scope.c) --------------------------------------------------------------------- */

/* A column that names can reach. */
struct scope_col {
	struct str db, rel; /* ptr NULL: none */
	struct str name;
	const struct type *type;
	uint32_t index;     /* of the plan below */
	bool is_merged;      /* the column that USING makes of two */
	bool qualified_only; /* one of these two */
};

/* Splits nested ANDs; also any other list of expressions. */
struct bx_list {
	struct bx **v;
	uint32_t n, cap;
};

/*
 * What a subquery sees of the query around it: names that its own relations do not have are looked up in
 * `scope`, and each column found so becomes a parameter: an expression of the query around, which the
 * subquery's plan knows as BX_OUTER. One for each subquery in an expression or LATERAL, shared by all
 * SELECTs of it, also those in its FROM.
 */
struct outer {
	const struct scope *scope;
	struct bx_list params;
};

struct scope {
	struct outer *outer; /* of the subquery that this is a part of; NULL: none */
	struct scope_col *cols;
	uint32_t n;
};

/* A select list's column, as ORDER BY sees it. */
struct output {
	struct bx *x;    /* over the FROM columns and aggregate marks */
	struct str name; /* ptr NULL: it has none */
	bool is_alias;
	struct pos pos;
};

/* grouping(a, b) */
struct grouping {
	struct bx **args;
	uint32_t argc;
	struct pos pos;
};

struct aggs {
	struct plan_agg *v;
	uint32_t n, cap;
	struct grouping *groupings;
	uint32_t grouping_n, grouping_cap;
};

/* The parameters of a lambda, which come before all columns. */
struct lambda_scope {
	const struct lambda_scope *outer; /* of the lambda around this one */
	const struct ident_list *names;
	const struct type_field *types;
};

/* Window functions of a SELECT (bind_window.c). */
struct windowed;
struct named_window;
struct windows {
	struct windowed *v;
	uint32_t n, cap;
	struct named_window *named; /* the WINDOW clause; last one first */
};

/* Where an expression stands. */
struct bind_ctx {
	struct bind *b;
	const struct scope *scope;
	struct aggs *aggs;        /* collected here; NULL: none may stand here... */
	const char *clause;       /* ...in "WHERE", "GROUP BY", ... */
	struct windows *windows;  /* likewise for window functions */
	bool in_agg;              /* inside an aggregate's arguments */
	bool in_window;           /* inside a window function's arguments or its OVER (...) */
	const struct output *outputs; /* names that come first (ORDER BY) */
	uint32_t output_n;
	const struct item_list *aliases; /* not visible, but worth a hint */
	const struct lambda_scope *lambda; /* the lambda whose body this is; NULL: none */
};

/* How well `name` fits what was written: 2 exactly, 1 but for case (unquoted only), 0 not. */
int name_fits(const struct ident *id, struct str name);
int bind_column(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret);
int bind_fields(struct bind *b, struct bx *x, const struct ident_list *n, struct bx **ret); /* (x).a.b */

/* ---- expressions (bind_expr.c, bind_call.c, bind_lambda.c) ----------------------------------------------------------- */

/* Aggregates stand in expressions as columns from here on, until bind_select puts the AGG node below. */
#define AGG_MARK UINT32_C(0x40000000)
/* Likewise calls of grouping(), until it is known what the sets are. */
#define GROUPING_MARK UINT32_C(0x50000000)
/* Likewise window functions, until windows_plan() puts the WINDOW nodes below. */
#define WINDOW_MARK UINT32_C(0x60000000)

int bind_expr(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret);
int bind_condition(struct bind_ctx *c, const struct ast_expr *x, const char *what, struct bx **ret);
int bind_exprs(struct bind_ctx *c, const struct expr_list *l, struct bx ***ret, bool **ret_literal);
int bind_call(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret);
/* A call's function and arguments; not its FILTER. */
int bind_agg_args(struct bind_ctx *c, const struct ast_call *call, const char *name, struct plan_agg *a);
bool bind_same_agg(const struct plan_agg *a, const struct plan_agg *b);
int bind_form(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret); /* 1: it was one; 0: not */
int bind_param(struct bind_ctx *c, const struct ident_list *n, struct bx **ret); /* likewise */
int bind_lambda_call(struct bind_ctx *c, const struct ast_expr *x, const char *name, struct bx **ret);
int bind_in_lambda(struct bind_ctx *c, const struct ast_expr *x); /* may x stand in a lambda's body? */
bool has_lambda(const struct expr_list *l);
int bind_type(struct bind *b, const struct ast_type *t, const struct type **ret);

/* A registry function over bound arguments, coerced and folded. */
int bind_func(struct bind *b, struct pos at, const char *name, struct bx **args, const bool *literal,
	      uint32_t n, struct bx **ret);

/* x as `to`: itself, or cast. literal: a text literal, whose text must be right. */
int bind_coerce(struct bind *b, struct bx *x, const struct type *to, bool literal, struct bx **ret);

/* The type that all of them become; they are coerced in place. what: "CASE", for the sentence. */
int bind_common(struct bind *b, struct pos at, const char *what, struct bx **x, const bool *literal,
		uint32_t n, uint32_t step, const struct type **ret);

int bind_const_i64(struct bind *b, const struct type *t, int64_t v, struct pos at, struct bx **ret);
int bind_const_bool(struct bind *b, bool v, struct pos at, struct bx **ret);
int bind_const_null(struct bind *b, const struct type *t, struct pos at, struct bx **ret);
int bind_const_str(struct bind *b, struct str v, struct pos at, struct bx **ret);

/* ---- window functions (bind_window.c) -------------------------------------------------------------- */

/* A call with OVER. */
int bind_window(struct bind_ctx *c, const struct ast_expr *x, const char *name, struct bx **ret);
int bind_named_windows(struct bind_ctx *c, const struct window_list *l);
/* All expressions that windows consist of, by what fn makes of them. */
int windows_rewrite(struct bind *b, struct windows *l, int (*fn)(void *ctx, struct bx **x), void *ctx);
/* The nodes over child, whose columns stay in front; then windows_resolve() puts columns for marks. */
int windows_plan(struct bind *b, struct windows *l, struct plan *child, struct plan **ret);
int windows_resolve(struct bind *b, const struct windows *l, struct bx **x);

/* ---- bound expressions (plan.c) ------------------------------------------------------------------------ */

struct bx *bx_new(struct bind *b, enum bx_kind kind, const struct type *t, struct pos at, uint32_t argc);
struct bx *bx_column(struct bind *b, uint32_t index, const struct type *t, struct pos at);
struct bx *bx_logic(struct bind *b, enum bx_kind kind, struct bx **args, uint32_t n, struct pos at);
struct bx *bx_fold(struct bind *b, struct bx *x); /* a constant where it is one; NULL: no memory */

bool bx_same(const struct bx *a, const struct bx *b);
bool bx_is_volatile(const struct bx *x);
bool bx_is_true(const struct bx *x), bx_is_false(const struct bx *x), bx_is_null(const struct bx *x);
int64_t bx_i64(const struct bx *x); /* of a constant that is not NULL */


/* A copy in which fn has replaced nodes: it gives the replacement, or NULL to look at the arguments. */
struct bx_swap {
	struct bx *(*fn)(struct bx_swap *s, struct bx *x);
	struct bind *b;
	int rc; /* set by fn, or -ENOMEM */
};
struct bx *bx_swap(struct bx_swap *s, struct bx *x);

/* x over columns of which old column i is now exprs[i]. */
struct bx *bx_substitute(struct bind *b, struct bx *x, struct bx *const *exprs);
/* x over columns of which old column i is now at map[i]. */
struct bx *bx_remap(struct bind *b, struct bx *x, const uint32_t *map);

/* Splits nested ANDs. */
int bx_conjuncts(struct bind *b, struct bx *x, struct bx_list *l);
/* An array of n elements with room for more, in the arena; NULL: no memory. The old one stays as it is. */
void *bind_grow(struct bind *b, const void *v, uint32_t n, uint32_t *cap, size_t size);
int bx_push(struct bind *b, struct bx_list *l, struct bx *x);

/* ---- plans (plan.c) -------------------------------------------------------------------------------------- */

struct plan *plan_new(struct bind *b, enum plan_kind kind, uint32_t col_count);
/* One that hands on its child's columns: FILTER, SORT, LIMIT. */
struct plan *plan_over(struct bind *b, enum plan_kind kind, struct plan *child);
struct plan *plan_filter(struct bind *b, struct plan *child, struct bx *where);
struct plan *plan_project(struct bind *b, struct plan *child, uint32_t col_count);
/* Only the first n columns of it. */
struct plan *plan_head(struct bind *b, struct plan *child, uint32_t n);
/* Its columns, then n more, all of that name. */
struct plan *plan_extend(struct bind *b, struct plan *child, struct bx *const *more, uint32_t n, struct str name);
/* Two of them joined, for now without keys and condition. */
struct plan *plan_join(struct bind *b, enum plan_join kind, struct plan *l, struct plan *r, struct pos at);
/* Its distinct rows. */
struct plan *plan_distinct(struct bind *b, struct plan *child);
/*
 * Its columns, then those of the window functions, over rows that it sorts (plan_window.c). keys: the first
 * partition_n are PARTITION BY. keys and windows are taken.
 */
struct plan *plan_window(struct bind *b, struct plan *child, struct plan_key *keys, uint32_t key_n,
			 uint32_t partition_n, struct plan_window *windows, uint32_t window_n);
/* Its columns, then row_number() OVER (PARTITION BY those columns ORDER BY those keys), a bigint. */
struct plan *plan_row_number(struct bind *b, struct plan *child, const uint32_t *partition, uint32_t partition_n,
			     const struct plan_key *order, uint32_t order_n);

/*
 * like's limit, offset and ties of each partition of child; `keys` are like's over child (plan_top.c). The rows come
 * sorted by the partition's columns, then by these.
 */
int plan_top(struct bind *b, struct plan *child, const uint32_t *partition, uint32_t partition_n,
	     const struct plan_key *keys, const struct plan *like, struct pos at, struct plan **ret);

/* ---- plans as values (plan_copy.c) ----------------------------------------------------------------------- */

/* fn for each expression of the node itself, which it may replace; stops at what is not 0 and gives that. */
int plan_each_expr(struct plan *p, int (*fn)(struct bx **x, void *ctx), void *ctx);
int agg_each_expr(struct plan_agg *a, int (*fn)(struct bx **x, void *ctx), void *ctx);
bool agg_copy(struct bind *b, struct plan_agg *a); /* its arrays become its own; false: no memory */
/* Is there a node in its expressions for which fn says yes? In those of the plans below, too: plan_any(). */
bool plan_any_here(const struct plan *p, bool (*fn)(const struct bx *x, void *ctx), void *ctx);
bool plan_any(const struct plan *p, bool (*fn)(const struct bx *x, void *ctx), void *ctx);
bool plan_is_volatile(const struct plan *p);
bool bx_is_outer(const struct bx *x, void *ctx); /* for bx_any() */
bool plan_has_outer(const struct plan *p);
bool plan_same(const struct plan *a, const struct plan *b);
struct plan *plan_copy(struct bind *b, const struct plan *p); /* to the leaves */

/* ---- subqueries (bind_subquery.c, attach.c, pull.c, decorrelate.c) ------------------------------------------ */

/* EXISTS, scalar, IN, ANY and ALL: a BX_SUBQUERY. */
int bind_subquery(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret);

/*
 * Expressions over `base` that may hold subqueries: each subquery makes the plan a JOIN and becomes a column
 * of it. The base's columns stay where they are; what is joined comes behind them.
 */
struct attach {
	struct bind *b;
	struct plan *base, *plan;
	struct attached {
		const struct bx_sub *sub;
		struct bx *x, *to;
	} *done;
	uint32_t n, cap;
};
int attach_expr(struct attach *a, struct bx **x);
/* Those of a condition are a FILTER over p, whose columns come out. */
int attach_filter(struct bind *b, struct plan *p, struct bx *where, struct plan **ret);
bool bx_has_subquery(const struct bx *x);
/* A condition's conjuncts: those that can be decided before its subqueries are, and the others. */
int attach_order(struct bind *b, struct bx *where, struct bx_list *early, struct bx_list *late);

/*
 * A subquery's plan as one that stands on its own. Its rows for a row of the query around are those where
 * outer_keys and keys are equal in pairs and each of `rest` is TRUE.
 */
struct pulled {
	struct plan *plan;
	struct bx **cols;          /* the subquery's columns, over those of plan and BX_OUTER */
	struct bx_list outer_keys; /* over BX_OUTER only */
	struct bx_list keys;       /* over plan's columns only */
	bool null_safe;            /* of the keys: NULL equals NULL */
	struct bx_list rest;       /* over plan's columns and BX_OUTER */
	bool always;               /* exactly one row for each: without a match, cols over NULLs */
};
int pull_outer(struct bind *b, struct plan *p, struct pulled *ret); /* 1; 0: it takes decorrelate() */
/* base: the plan that the parameters, args, are over. */
int decorrelate(struct bind *b, struct plan *p, const struct plan *base, struct bx *const *args,
		uint32_t param_count, struct pos at, struct pulled *ret);
/* x over a JOIN whose right side, q's plan, begins at column `from`. */
struct bx *pulled_expr(struct bind *b, struct bx *x, struct bx *const *args, uint32_t from);

/* left and q's plan as a JOIN with its keys and conditions, and `last` behind these (NULL: nothing). */
int pulled_join(struct bind *b, enum plan_join kind, struct plan *left, const struct pulled *q,
		struct bx *const *args, struct bx *last, struct pos at, struct plan **ret);
/* A column more of q's plan, the last: TRUE. Where it is NULL above a JOIN, there was no row. */
int pulled_mark(struct bind *b, struct pulled *q, struct pos at);
/* CASE WHEN column `at` THEN x END */
int bx_where_there(struct bind *b, uint32_t at, struct bx *x, struct bx **ret);

/* The right side of an INNER or LEFT join has the left's columns as parameters (attach_join.c). */
int lateral_join(struct bind *b, struct plan *join, struct bx *const *args, uint32_t arg_n, struct plan **ret);
/* Subqueries in the condition of a join. */
int attach_on(struct bind *b, struct plan *join, const struct outer *outer, struct plan **ret);

/*
 * x op ANY or ALL of p's values by their extremes (quantified.c): p as one row of them, 0: it does not go; and the
 * comparison, over that row's columns.
 */
int quantified_plan(struct bind *b, struct plan *p, const char *op, bool is_all, struct pos at, struct plan **ret);
int quantified_value(struct bind *b, struct bx *x, const char *op, bool is_all, struct bx *const *cols, struct pos at,
		     struct bx **ret);

/* x, that aggregate's column, or the aggregate's value of no rows where it is NULL (agg_empty.c). */
int agg_or_empty(struct bind *b, const struct plan_agg *a, struct bx **x);

/* ---- queries ------------------------------------------------------------------------------------------------ */

int bind_query(struct bind *b, const struct ast_query *q, struct outer *outer, struct plan **ret);
int bind_select(struct bind *b, const struct ast_query *q, const struct ast_select *s, struct outer *outer,
		struct plan **ret); /* with q's ORDER BY and LIMIT */
int bind_values(struct bind *b, const struct ast_body *v, struct outer *outer, struct plan **ret);
int bind_set(struct bind *b, const struct ast_body *body, struct outer *outer, struct plan **ret);
int bind_body(struct bind *b, const struct ast_body *body, struct outer *outer, struct plan **ret);
/* UNION and so on of two plans. */
int bind_set_of(struct bind *b, const struct ast_body *body, struct plan *left, struct plan *right, struct plan **ret);
/* p with its columns as those types; itself where they are. */
int bind_cast_cols(struct bind *b, struct plan *p, const struct plan_col *cols, struct plan **ret);
/* ORDER BY and LIMIT of q over what is no SELECT of its own. */
int bind_ordered(struct bind *b, const struct ast_query *q, struct plan *p, struct outer *outer, struct plan **ret);
/* A query inside another: -E2BIG where there are too many; b->depth-- when it is bound. */
int bind_deeper(struct bind *b, struct pos at);
/* WITH RECURSIVE: a use of the query, and of its own name in it. */
int bind_recursive(struct bind *b, const struct cte *cte, struct plan **ret);
int bind_recursive_self(struct bind *b, const struct cte *cte, struct pos at, struct plan **ret);
int bind_from(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
	      struct scope *ret_scope);

/* UNNEST(...) over what stands left of it in FROM (alone: a row without columns): bind_unnest.c */
int bind_unnest(struct bind *b, const struct ast_from *f, bool keep_empty, struct plan *left,
		const struct scope *left_scope, struct plan **ret, struct scope *ret_scope);
/* a, UNNEST(a.x) JOIN c as (a, UNNEST(a.x)) JOIN c; f itself where it is nothing of the kind. NULL: no memory. */
const struct ast_from *unnest_to_left(struct bind *b, const struct ast_from *f);
/* A join whose right side is UNNEST. */
int bind_unnest_join(struct bind *b, const struct ast_from *join, struct plan *left, const struct scope *left_scope,
		     struct plan **ret, struct scope *ret_scope);

/*
 * GROUP BY (bind_group.c): which of the group expressions are in which grouping set. add() binds an expression
 * and gives its number; equal ones have one number.
 */
struct group_sets {
	bool *has;      /* set times expr_n + expression */
	uint32_t n;     /* sets, at least one */
	uint32_t expr_n;
};
int bind_group_sets(struct bind *b, const struct ast_select *s,
		    int (*add)(void *ctx, const struct ast_expr *x, uint32_t *ret), void *ctx,
		    struct group_sets *ret);
int bind_grouping(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret); /* a call: a mark */
/* What it gives, over the AGG node, where set_col is the number of the set. */
int bind_grouping_mask(struct bind *b, const struct grouping *g, const struct bx_list *groups,
		       const struct group_sets *sets, uint32_t set_col, struct bx **ret);

/* FROM a JOIN b (bind_join.c). */
int bind_join(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
	      struct scope *ret_scope);

/* A table by name, referenced by the binder; checks that the caller has this right to it. */
int bind_table(struct bind *b, const struct ident_list *names, enum query_right right, struct table **ret);
int bind_db(struct bind *b, const struct ident *name, struct db **ret); /* given */

/* LIMIT, OFFSET: a constant, not negative. */
int bind_count(struct bind *b, const struct ast_expr *x, const char *what, uint64_t *ret);

/* ORDER BY and LIMIT of q over a plan: keys are its columns, `visible` of which come out. */
int bind_tail(struct bind *b, const struct ast_query *q, struct plan *p, struct plan_key *keys, uint32_t key_n,
	      uint32_t visible, struct plan **ret);

/* A query's final plan: bound, conditions pushed down, columns that nobody uses left out. */
int bind_plan(struct bind *b, const struct ast_query *q, struct plan **ret);

/* DELETE (bind_delete.c) and INSERT (bind_insert.c): the root's only column says how many rows. */
int bind_delete(struct bind *b, const struct ast_stmt *s, struct plan **ret);
int bind_insert(struct bind *b, const struct ast_stmt *s, struct plan **ret);
int bind_unload(struct bind *b, const struct ast_stmt *s, struct plan **ret); /* bind_unload.c */
/* Such a root over its child, for the table. */
struct plan *plan_change(struct bind *b, enum plan_kind kind, struct table *t, struct plan *child, struct pos at);

int bind_show(struct bind *b, const struct ast_stmt *s, struct plan **ret);
int bind_explain(struct bind *b, const struct plan *inner, struct plan **ret);
int bind_analyze(struct bind *b, struct plan *inner, struct plan **ret);

/* ---- rewriting ------------------------------------------------------------------------------------------------- */

int plan_pushdown(struct bind *b, struct plan *p, struct plan **ret); /* pushdown.c */
int plan_ends(struct bind *b, struct plan *p);                        /* plan_ends.c */
int plan_prune(struct bind *b, struct plan *p, struct plan **ret);    /* prune.c */

#endif
