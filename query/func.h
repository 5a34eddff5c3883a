/*
 * func: the one function registry. Binding, SHOW FUNCTIONS and docs/sql.md all read it; there is no
 * second place that knows a function.
 *
 * A row of the registry is an overload: name, parameter types, result type, kernel, help. Operators
 * are functions too, named by their spelling ("+", "=", "||", "[]", "like", "neg", "not", "is null",
 * "is distinct from").
 *
 * Parameter types are written as in SQL, comma separated: "bigint, bigint"; "T" and "U" are any type
 * (the same letter = the same type after coercion); "array(T)", "timeseries(T)", "interval" (day to
 * second); "..." after the last repeats it; "row(timestamp, T)" is a point of such a timeseries.
 * "lambda(T, U)" names a lambda's parameters; its result type binds the next free letter, or is spelled out:
 * "lambda(T) -> boolean", "lambda(U, T) -> U" (a body of exactly U's type). Where that is not enough a row has a
 * `resolve` callback.
 */
#ifndef TIDE_FUNC_H
#define TIDE_FUNC_H

#include "query/vec.h"

/* What an execution shares with kernels. Fixed at prepare: now() is one instant for a statement. */
struct exec_ctx {
	int64_t now_ns;
	struct budget *budget;
	const _Atomic bool *cancelled; /* may be NULL; long kernels look every few thousand values */
	uint64_t *random_state;        /* two words; one thread */
};

enum func_flags {
	FN_NULLS = 1,      /* handles NULL arguments itself; otherwise any NULL argument gives NULL */
	FN_VOLATILE = 2,   /* random(), shuffle(): evaluated per row, never folded, results not shared */
	FN_NOW = 4,        /* now(), ago(): constant within a statement, results not shared */
	FN_CONST_ARGS = 8, /* arguments after the first must be constants (approx_percentile's p...) */
	FN_HIDDEN = 16,    /* operators: not in SHOW FUNCTIONS */
	FN_FOLD = 32,      /* its lambda of two parameters makes a state of the state before: see lambda_parts() */
	FN_ORDERED = 64,   /* window functions: makes no sense without ORDER BY */
	FN_SKIPS_NULLS = 128, /* window functions: takes IGNORE NULLS */
};

struct lambda; /* a bound lambda; evaluated through the call */

/* The type of a lambda parameter whose body must be of exactly that type has this as its length. */
#define LAMBDA_EXACT 1

/*
 * What of a lambda is evaluated: its body; or, of a fold's, one of the parts that do not look at the state
 * (its first parameter), numbered from 0, or the rest, which takes the parts as further parameters.
 */
enum lambda_part { LAMBDA_BODY = -1, LAMBDA_REST = -2 };

/* One evaluation of a scalar function over n rows. */
struct fn_call {
	const struct exec_ctx *exec;
	struct arena *arena;    /* results; the batch's lifetime */
	uint32_t n;
	uint32_t argc;
	const struct vec *args; /* FLAT or CONST, of the overload's parameter types */
	const uint8_t *valid;   /* rows with no NULL argument; NULL: all (unless FN_NULLS) */
	const struct type *ret_type;
	void *prepared;         /* what prepare() made, or NULL */
	struct lambda *const *lambdas; /* by argument position; NULL where the argument is none */
	/* Evaluate a lambda over k rows of its parameters; outer columns are taken from row rows[i]
	 * of the batch. *ret is FLAT and lives in `a`. Set by the executor. */
	int (*lambda_eval)(const struct lambda *l, int part, const struct vec *params, const uint32_t *rows,
			   uint32_t k, struct arena *a, struct vec *ret, struct err *e);
	bool lambdas_closed; /* no lambda looks at the row */
};

/* Of a fold's body; 0: there are none. *ret_element: does the rest look at the element, too? */
uint32_t lambda_parts(const struct lambda *l, bool *ret_element);

/*
 * Fill *ret (allocated FLAT with n values of ret_type by the framework; LIST and ROW: the kernel
 * builds it). Rows where c->valid says no may get anything but must not fail. The framework sets
 * ret->valid = c->valid where the kernel left it NULL; an FN_NULLS kernel sets it itself, and any
 * kernel may make rows NULL by allocating a validity of its own (which must include c->valid).
 * Errors: -EINVAL with a sentence without position (the caller adds it).
 */
typedef int scalar_fn(struct fn_call *c, struct vec *ret, struct err *e);

/* Work out constant things once per query (a compiled LIKE pattern). const_args[i]: CONST, or NULL. */
typedef int prepare_fn(struct arena *a, const struct vec *const *const_args, uint32_t argc, void **ret,
		       struct err *e);

/* One aggregate in one query. */
struct agg_call {
	const struct exec_ctx *exec;
	struct arena *arena;    /* the query's: states that grow draw on it */
	uint32_t argc;
	const struct vec *args; /* of the batch at hand: FLAT or CONST */
	const struct type *const *arg_types;
	const struct type *ret_type;
	const struct vec *const *const_args; /* constant arguments (FN_CONST_ARGS), else NULL entries */
};

struct agg_def {
	size_t state_size; /* zeroed is the initial state */
	/* Rows [from, to) of the batch go into one state. NULL arguments are the aggregate's to skip. */
	int (*add)(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e);
	/* Optional, for scattered groups: row i goes into states[group[i]] (stride bytes apart). */
	int (*scatter)(struct agg_call *c, char *states, size_t stride, const uint32_t *group, uint32_t n,
		       struct err *e);
	int (*merge)(struct agg_call *c, void *into, const void *from, struct err *e); /* parallel plans */
	/* Adds one value. The state may go on being added to, and be asked again. */
	int (*finish)(struct agg_call *c, void *state, struct vec_builder *out, struct err *e);
	bool is_divisible; /* parts of the rows, merged, give what all of them in one state give */
};

/* A function of windows alone (window.h). */
struct window_def;

struct func;

/* What an overload resolved to. */
struct func_match {
	const struct func *func;
	const struct type *const *arg_types; /* cast the arguments to these */
	const struct type *ret;
};

/* The cost of the match (0 or more; type_coercion()'s), or negative where f does not take these. */
typedef int resolve_fn(struct arena *a, const struct func *f, const struct type *const *args,
		       uint32_t argc, struct func_match *ret, struct err *e);

struct func {
	const char *name;
	const char *params;  /* with resolve only for people, and may be NULL */
	const char *ret;     /* result type; may use the letters */
	scalar_fn *scalar;   /* one of scalar, agg and window; all NULL: a special form the binder knows */
	const struct agg_def *agg;
	const struct window_def *window;
	/* agg; optional: takes out again what was merged in, and exactly that, as if it had never been there. */
	void (*unmerge)(void *from, const void *part);
	prepare_fn *prepare;
	resolve_fn *resolve;
	unsigned flags;
	const char *group;   /* "Mathematical", ... */
	const char *help;    /* one line */
};

/* All rows, sorted by name; for SHOW FUNCTIONS and the docs. */
const struct func *func_all(uint32_t *ret_n);
bool func_exists(struct str name); /* ASCII case-insensitive */
bool func_is_aggregate(struct str name);
bool func_is_window(struct str name); /* of windows alone */

/*
 * Find the overload that takes these types with the least coercion. is_literal[i]: argument i is a
 * varchar literal. A TY_LAMBDA argument type stands for a lambda; its `elem` is the type of the
 * lambda's result where that is known already, else NULL. In the match its `fields` are the types of
 * the parameters (bind the body with these and resolve again), its `elem` what the body is cast to
 * (unknown: anything), its `length` LAMBDA_EXACT where it must be just that.
 *
 *   -ENOENT   no such function (e has a suggestion where a name is near)
 *   -EINVAL   no overload takes these (e lists what there is)
 */
int func_resolve(struct arena *a, struct str name, const struct type *const *types,
		 const bool *is_literal, uint32_t argc, struct func_match *ret, struct err *e) must_check;

/*
 * Evaluate f over c->n rows: the one way to call a kernel. Fill c with exec, arena, n, argc, args (of
 * f's parameter types, any form), ret_type, prepared and what there is of lambdas; it is not changed. Here is done what every function needs alike: NULL arguments, allocation, constants (all
 * arguments constant: one evaluation, a CONST result), dictionaries (one DICT argument beside
 * constants: the dictionary is evaluated, the result is DICT; but row by row where the function
 * failed on an entry, which no row may use).
 *
 * ret: lives in c->arena, may share memory with the arguments. Errors as of scalar_fn.
 */
int func_call(const struct func *f, const struct fn_call *c, struct vec *ret, struct err *e) must_check;

/* ---- casts --------------------------------------------------------------------------------- */

bool cast_exists(const struct type *from, const struct type *to);
/* try_cast: rows that fail become NULL. Keeps CONST and DICT forms where it can. */
int cast_vec(struct arena *a, const struct vec *v, uint32_t n, const struct type *to, bool try_cast,
	     struct vec *ret, struct err *e) must_check;

/* Parse 'YYYY-MM-DD[ HH:MM[:SS[.f{1,9}]]]'; -EINVAL not such a text, -ERANGE outside int64 ns. */
int timestamp_parse(struct str s, int64_t *ret_ns);
int date_parse_days(struct str s, int64_t *ret_days);
int time_parse(struct str s, int64_t *ret_ns);

#endif
