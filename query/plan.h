/*
 * plan: what the binder hands to the executor. Read-only once bound; EXPLAIN prints it. The
 * executor's state is a parallel tree (op.h), so that a plan could run on several threads.
 */
#ifndef TIDE_PLAN_H
#define TIDE_PLAN_H

#include "engine/engine.h"
#include "query/ast.h"
#include "query/func.h"

/* ---- bound expressions ------------------------------------------------------------------------ */

enum bx_kind {
	BX_CONST,    /* .value: a CONST vector */
	BX_COLUMN,   /* .index into the input's columns */
	BX_PARAM,    /* .index into the enclosing lambda's parameters */
	BX_CALL,     /* .func, .args (already cast to its parameter types) */
	BX_CAST,     /* .args[0] to .type; .is_try */
	BX_AND,      /* .args, n >= 2; three-valued; the right is not evaluated where the left decides */
	BX_OR,
	BX_CASE,     /* .args: cond, value, cond, value, ..., [else]; only the branch taken is evaluated */
	BX_COALESCE, /* .args; lazily */
	BX_TRY,      /* .args[0]; rows that fail are NULL */
	BX_IN,       /* .args[0] IN .args[1..]; all constants -> one hash set; three-valued */
	BX_ROW,      /* .args -> LAYOUT_ROW */
	BX_ARRAY,    /* .args -> LAYOUT_LIST */
	BX_FIELD,    /* .args[0] is a row: its field .index */
	BX_LAMBDA,   /* only as an argument of BX_CALL: .args[0] the body; .type has the parameters' types */
	BX_OUTER,    /* in a subquery that is being bound: parameter .index of it (see BX_SUBQUERY) */
	BX_SUBQUERY, /* .sub; .args: its parameters, over the columns at hand, then what it is compared with */
};

/*
 * A subquery in an expression, until the query around it makes it a JOIN (decorrelate.c). Its plan knows
 * the columns of the query around it as BX_OUTER, by number among the first param_count args; what
 * rewrites expressions so rewrites these, too.
 */
enum sub_kind {
	SUB_SCALAR, /* its only value; NULL where it has no row; an error where it has several */
	SUB_EXISTS,
	SUB_IN,     /* args[param_count] = ANY of its values, three-valued */
	SUB_ANY,    /* args[param_count] op ANY of its values: op is a function of the registry */
	SUB_ALL,
};
struct bx_sub {
	enum sub_kind kind;
	struct plan *plan;
	uint32_t param_count;
	const char *op; /* ANY, ALL */
	bool is_attached; /* its plan stands in a JOIN */
};

struct bx {
	enum bx_kind kind;
	const struct type *type;
	struct pos pos;
	struct bx **args;
	uint32_t argc;
	uint32_t index;
	struct vec value;
	struct bx_sub *sub; /* SUBQUERY */
	const struct func *func;
	void *prepared; /* func->prepare()'s, or the executor's own (IN's hash set, a fold's parts) */
	bool is_try;
	struct str name;      /* PARAM: as written, for EXPLAIN */
	uint32_t param_count; /* LAMBDA; .type's fields have their names */
	bool is_closed;       /* LAMBDA: its body looks at nothing but its parameters, and is not volatile */
	uint32_t depth; /* PARAM: 0 = the innermost lambda */
};

/* Is there a node for which fn says yes? */
bool bx_any(const struct bx *x, bool (*fn)(const struct bx *x, void *ctx), void *ctx);

/* ---- plan nodes ---------------------------------------------------------------------------------- */

enum plan_kind {
	PLAN_SCAN,    /* a table */
	PLAN_VALUES,  /* constant rows; also SHOW, DESCRIBE and EXPLAIN, whose rows the binder knows */
	PLAN_FILTER,
	PLAN_PROJECT,
	PLAN_AGG,     /* groups and aggregates; DISTINCT is one without aggregates */
	PLAN_WINDOW,  /* the child's columns, then one a window function; the rows come sorted by its keys */
	PLAN_SORT,    /* with a limit: top-N */
	PLAN_LIMIT,
	PLAN_UNION,   /* all rows of each child in turn (UNION ALL) */
	PLAN_UNNEST,  /* each row once for each element of its lists, these as columns */
	PLAN_RECURSIVE, /* the rows of the first child, then of the second, over and over: see .recursion */
	PLAN_WORKING, /* in a RECURSIVE's second child: the rows of the round before */
	PLAN_JOIN,    /* two children; the columns of the left, then (but see join_kind) those of the right */
	PLAN_DELETE,  /* does it when it is asked for its only row: how many rows there were */
	PLAN_INSERT,  /* likewise */
	PLAN_UNLOAD,  /* likewise; its row says also where the files are */
	PLAN_ANALYZE, /* runs its child to the end, and gives its plan as text, with what was counted */
};

struct plan_col {
	struct str name; /* output name */
	const struct type *type;
};

enum scan_col_kind {
	SCAN_TIME,
	SCAN_MEASURE_NAME,
	SCAN_DIMENSION,
	SCAN_FIELD,
	SCAN_SERIES, /* the series' number, a bigint; no name leads to it */
};
struct plan_scan_col {
	enum scan_col_kind kind;
	uint32_t col_id; /* DIMENSION, FIELD */
};

struct plan_key {
	uint32_t col; /* of the child */
	bool desc, nulls_first;
};

struct plan_agg {
	const struct func *func;
	struct bx **args; /* over the child's columns, cast to the parameter types */
	const struct type *const *arg_types;
	uint32_t argc;
	const struct vec *const *const_args; /* argc entries, NULL where not constant */
	bool distinct;
	struct bx *filter; /* or NULL */
	struct bx **order; /* ORDER BY inside: key i sorts by order[i]; see agg_order.h */
	struct plan_key *keys;
	uint32_t key_count;
	const struct type *type;
	struct pos pos;
};

/*
 * A window function: a plan_agg (its function may be one of windows alone, its args and filter are columns
 * or constants) over the rows of a frame.
 */
struct plan_bound {
	enum bound_kind kind;
	struct bx *offset; /* PRECEDING, FOLLOWING: a column or a constant; bigint, or what RANGE adds to the key */
};
struct plan_window {
	struct plan_agg call;
	enum frame_kind unit; /* never NONE */
	struct plan_bound start, end;
	bool ignore_nulls;
};

/*
 * What a column of UNNEST is. Its lists are gone through side by side: the longest says how many rows come
 * of a row, the shorter ones are padded with NULL.
 */
enum item_kind {
	ITEM_CHILD,   /* column .index of the child */
	ITEM_ELEMENT, /* of list .index */
	ITEM_FIELD,   /* field .field of the element of list .index: arrays of rows, timeseries */
	ITEM_NUMBER,  /* WITH ORDINALITY: 1, 2, ... */
};
struct plan_item {
	enum item_kind kind;
	uint32_t index, field;
};

/*
 * How the rows of two plans come together. Left and right rows match where all pairs of keys are equal and
 * the condition (plan.where, over the columns of the left, then those of the right) is TRUE. Rows come out in
 * the order of the left, and for each of these in the order of the right; right rows without a match
 * at the end. (INNER and RIGHT joins may be worked out the other way round; see plan.build_left.)
 */
enum plan_join {
	PJ_INNER,
	PJ_LEFT,
	PJ_RIGHT,
	PJ_FULL,
	PJ_SEMI,   /* left rows that have a match, once; left columns only */
	PJ_ANTI,   /* left rows that have none; left columns only */
	PJ_MARK,   /* all left rows; left columns, then a boolean: does any right row match? Three-valued: TRUE if
	            * for one the condition is TRUE, else NULL if for one it is NULL, else FALSE */
	PJ_SINGLE, /* as LEFT; a second match is an error: "the subquery gives more than one row" */
};
struct plan_join_key {
	struct bx *left, *right; /* over the columns of that child; of one type */
	bool null_safe;          /* NULL matches NULL (IS NOT DISTINCT FROM) */
	/* MARK: x IN (...). NULL on either side makes the mark NULL rather than FALSE. At most one, the last. */
	bool is_in;
	/* A side could fail. The condition says it, too; where it fails the join goes on without the key. Such
	 * keys are the last ones. */
	bool is_lazy;
};

/* What a column of INSERT's child becomes. */
enum target_role { TARGET_TIME, TARGET_MEASURE_NAME, TARGET_DIMENSION, TARGET_FIELD };
#define TARGET_NEW UINT32_MAX
struct plan_target {
	enum target_role role;
	struct str name;
	uint32_t col_id;   /* DIMENSION, FIELD; TARGET_NEW: there is no such column yet */
	enum colkind kind;
	enum coltype type;
	struct pos pos;
};

struct plan {
	enum plan_kind kind;
	struct plan_col *cols; /* what comes out */
	uint32_t col_count;
	struct plan **children;
	uint32_t child_count;

	/* SCAN: column i is scan_cols[i]; rows outside [t_lo, t_hi] or whose series fail series_where
	 * are not produced. Both are exact: the binder removes what it has pushed from the filter. */
	struct table *table; /* referenced by the query */
	const char *db_name, *table_name;
	struct plan_scan_col *scan_cols;
	int64_t t_lo, t_hi;
	/* Only rows among the first, or the last, so many of their series are needed; 0, 0: all are. plan_ends.c */
	uint32_t first_n, last_n;
	struct bx *series_where; /* over the scan's own columns; uses only dimensions and measure_name */

	/* VALUES */
	struct vec *values; /* a FLAT vector a column */
	uint32_t row_count;

	/* FILTER: where. PROJECT: exprs, one a column. */
	struct bx *where;
	struct bx **exprs;

	/* AGG: columns are the groups, then the aggregates. is_global: exactly one row (no groups). */
	struct bx **groups;
	uint32_t group_count;
	bool is_global;
	struct plan_agg *aggs;
	uint32_t agg_count;
	/*
	 * AGG with grouping sets: each row counts once in each set. The last group is the set's number, from 1
	 * (a constant that stands for it); of the others those are NULL that the set lacks.
	 */
	const bool *sets; /* set_count times group_count - 1: is the group in it? */
	uint32_t set_count; /* 0: there are none */

	/* UNNEST: an item a column. keep_empty (LEFT JOIN): a row without elements comes out once, with NULLs. */
	struct bx **lists; /* over the child's columns */
	uint32_t list_count;
	struct plan_item *items;
	bool keep_empty;

	/*
	 * RECURSIVE: the second child is run until it gives no more rows. The WORKING in it, the one with the
	 * same number, gives those of the round before; of the first child in the first. drops_seen (UNION
	 * without ALL): rows that were there before are left out.
	 */
	uint32_t recursion;
	struct str recursion_name;
	bool drops_seen;

	/*
	 * DELETE, INSERT: .table (with its names), .pos where it was named.
	 * DELETE's child is a SCAN without columns, all of whose rows go, by series and time; or a PROJECT
	 * of series, time and a condition over a SCAN: those rows go for which it is TRUE.
	 */
	struct pos pos;
	struct plan_target *targets; /* INSERT: one a column of the child */
	struct unload_spec *unload;  /* UNLOAD: unload.h; .pos of the statement */

	/* JOIN: also .where, over the columns of both, or NULL; .pos */
	enum plan_join join;
	struct plan_join_key *join_keys; /* none: every pair is looked at */
	uint32_t join_key_count;
	/* Decided by the plan's shape alone. INNER, RIGHT: hold the left rows and stream the right. */
	bool build_left;
	bool left_first; /* others but FULL, with keys: read the left rows before the right, of which only their keys matter */

	/* WINDOW: also .keys, of which the first partition_count part the rows, and the others order them */
	struct plan_window *windows;
	uint32_t window_count;
	uint32_t partition_count;
	bool is_order_used; /* another WINDOW above relies on the order in which its rows come */

	/* SORT, LIMIT, WINDOW */
	struct plan_key *keys;
	uint32_t key_count;
	uint64_t limit; /* UINT64_MAX: none */
	uint64_t offset;
	bool with_ties;
};

/* ---- binding --------------------------------------------------------------------------------------- */

struct query_env; /* query.h */

struct bound {
	struct plan *plan;
	enum stmt_kind stmt;
	const struct ast_stmt *ast;
	bool is_volatile;      /* now(), random(): results are not shared */
	struct table **tables; /* referenced; bound_release() */
	uint32_t table_count;
};

/*
 * Names, types, plan. Constants are folded; time, dimension and measure_name conditions are pushed
 * into scans; unused scan columns are left out.
 *   -EINVAL  "line 1:8: column 'tmep' does not exist (did you mean 'temp'?)" and its kind
 *   -EACCES  the caller may not read a table
 */
int bind_stmt(struct arena *a, const struct query_env *env, const struct ast_stmt *stmt,
	      const struct exec_ctx *exec, struct bound *ret, struct err *e) must_check;
void bound_release(struct bound *b);

/* The plan as text lines, for EXPLAIN. */
#define PLAN_TEXT_MAX (8 << 20)
void plan_format(const struct plan *p, struct buf *out);
struct op_stats; /* op.h */
/* EXPLAIN ANALYZE; peak: bytes of memory. */
void plan_format_stats(const struct plan *p, const struct op_stats *s, size_t peak, struct buf *out);
void bx_format(const struct bx *x, const struct plan_col *cols, struct buf *out);

/* ---- evaluation (eval.c) ------------------------------------------------------------------------------ */

/*
 * x over the batch's rows. Results live in `arena`. Errors carry "line L:C: ".
 * A constant expression is evaluated over a batch of one row and no columns.
 */
int bx_eval(const struct exec_ctx *exec, const struct bx *x, const struct vbatch *in, struct arena *arena,
	    struct vec *ret, struct err *e) must_check;

/* Rows where a boolean expression is TRUE: indexes into sel (room for in->n); returns how many, or <0. */
int64_t bx_select(const struct exec_ctx *exec, const struct bx *x, const struct vbatch *in,
		  struct arena *arena, uint32_t *sel, struct err *e) must_check;

#endif
