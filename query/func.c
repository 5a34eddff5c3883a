/*
 * func: the registry and what every call has in common.
 *
 * Resolution. Each overload of the name is tried in the order of its file: its patterns are unified
 * with the argument types (letters get the common super type of what stands in their places; NULL and
 * text literals have a say only where nothing else does), then every argument must coerce to what its
 * pattern became. The least total cost wins, the earlier row where two cost the same.
 */
#include "query/func_impl.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* ---- the rows ----------------------------------------------------------------------------------- */

static const struct func *const tables[] = {
	func_rows_op,      func_rows_interval, func_rows_math,       func_rows_string,     func_rows_time,
	func_rows_extract, func_rows_format,   func_rows_bit,        func_rows_array,      func_rows_series,
	func_rows_lambda,  func_rows_reduce,   func_rows_sort,       func_rows_gapfill,    func_rows_smooth,
	func_rows_counter, func_rows_agg_first,
	func_rows_regexp,  func_rows_agg_basic, func_rows_agg_minmax, func_rows_agg_stat,
	func_rows_agg_distinct, func_rows_agg_percentile, func_rows_window,
	func_rows_text, func_rows_printf, func_rows_hash, func_rows_url, func_rows_json, func_rows_array_parts,
	func_rows_array_number, func_rows_map, func_rows_agg_list, func_rows_agg_histogram,
	func_rows_agg_numeric_histogram, func_rows_agg_checksum,
};

#define ROWS_MAX 1024
static struct func rows[ROWS_MAX]; /* sorted by name, constant after rows_init() */
static uint32_t row_count;
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

struct sortable {
	const struct func *f;
	uint32_t seq; /* overloads stay in the order of their file */
};

static int by_name(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;
	int c = strcmp(x->f->name, y->f->name);

	return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

static void rows_init(void)
{
	static struct sortable all[ROWS_MAX];
	uint32_t n = 0;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct func *f = tables[t]; f->name; f++) {
			assert(n < ROWS_MAX);
			all[n] = (struct sortable){f, n};
			n++;
		}
	qsort(all, n, sizeof(all[0]), by_name);
	for (uint32_t i = 0; i < n; i++)
		rows[i] = *all[i].f;
	row_count = n;
}

const struct func *func_all(uint32_t *ret_n)
{
	pthread_once(&rows_once, rows_init);
	*ret_n = row_count;
	return rows;
}

/* The overloads of a name: the first row and how many; 0 where there is none. */
static uint32_t overloads(struct str name, const struct func **ret)
{
	char key[64];
	uint32_t n, lo = 0, hi, count = 0;
	const struct func *all = func_all(&n);

	if (!name.len || name.len >= sizeof(key))
		return 0;
	for (size_t i = 0; i < name.len; i++)
		key[i] = name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] + 32) : name.ptr[i];
	key[name.len] = 0;
	for (hi = n; lo < hi;) {
		uint32_t mid = (lo + hi) / 2;

		if (strcmp(all[mid].name, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + count < n && !strcmp(all[lo + count].name, key))
		count++;
	*ret = &all[lo];
	return count;
}

bool func_exists(struct str name)
{
	const struct func *f;

	return overloads(name, &f) > 0;
}

bool func_is_window(struct str name)
{
	const struct func *f;

	return overloads(name, &f) > 0 && f->window;
}

bool func_is_aggregate(struct str name)
{
	const struct func *f;
	uint32_t n = overloads(name, &f);

	for (uint32_t i = 0; i < n; i++)
		if (f[i].agg)
			return true;
	return false;
}

/* ---- patterns ----------------------------------------------------------------------------------- */

enum pat_kind { PAT_TYPE, PAT_LETTER, PAT_ARRAY, PAT_SERIES, PAT_POINT, PAT_LAMBDA };

struct pat {
	enum pat_kind kind;
	const struct type *type;
	char letter;
	struct pat *elem;   /* ARRAY, SERIES; POINT: its value; LAMBDA: its result */
	struct pat *params; /* LAMBDA */
	uint32_t param_n;
};

#define PATS_MAX 16
#define LETTERS  26

static const struct {
	const char *name;
	const struct type *type;
} pat_names[] = {
	{"interval year to month", &type_interval_ym}, {"interval", &type_interval_ds},
	{"boolean", &type_boolean},                    {"integer", &type_integer},
	{"bigint", &type_bigint},                      {"double", &type_double},
	{"varchar", &type_varchar},                    {"date", &type_date},
	{"timestamp", &type_timestamp},                {"time", &type_time},
};

static bool eat(const char **p, const char *word)
{
	size_t n = strlen(word);

	while (**p == ' ')
		++*p;
	if (strncmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

/* Patterns are ours, so what does not parse is a bug. *free is the next free letter, for lambdas. */
static bool pat_parse(struct arena *a, const char **p, struct pat *ret, char *next)
{
	*ret = (struct pat){0};
	if (eat(p, "array(") || eat(p, "timeseries(")) {
		ret->kind = (*p)[-2] == 'y' ? PAT_ARRAY : PAT_SERIES;
		ret->elem = arena_new(a, struct pat);
		return ret->elem && pat_parse(a, p, ret->elem, next) && eat(p, ")");
	}
	if (eat(p, "row(timestamp,")) {
		ret->kind = PAT_POINT;
		ret->elem = arena_new(a, struct pat);
		return ret->elem && pat_parse(a, p, ret->elem, next) && eat(p, ")");
	}
	if (eat(p, "lambda(")) {
		ret->kind = PAT_LAMBDA;
		ret->params = arena_zarray(a, struct pat, PATS_MAX);
		ret->elem = arena_new(a, struct pat);
		if (!ret->params || !ret->elem)
			return false;
		do {
			if (!pat_parse(a, p, &ret->params[ret->param_n++], next))
				return false;
		} while (eat(p, ","));
		if (!eat(p, ")"))
			return false;
		if (eat(p, "->"))
			return pat_parse(a, p, ret->elem, next);
		ret->elem->kind = PAT_LETTER;
		ret->elem->letter = (*next)++;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(pat_names); i++)
		if (eat(p, pat_names[i].name)) {
			ret->kind = PAT_TYPE;
			ret->type = pat_names[i].type;
			return true;
		}
	if (**p >= 'A' && **p <= 'Z') {
		ret->kind = PAT_LETTER;
		ret->letter = *(*p)++;
		*next = MAX(*next, (char)(ret->letter + 1));
		return true;
	}
	return false;
}

/* The patterns of a row; *ret_repeat: the last one may repeat. Their number, or -1 without memory. */
static int pats_parse(struct arena *a, const char *params, struct pat *pats, bool *ret_repeat)
{
	const char *p = params;
	char next = 'T';
	int n = 0;

	*ret_repeat = false;
	while (*p) {
		if (n == PATS_MAX || !pat_parse(a, &p, &pats[n++], &next))
			return -1;
		if (eat(&p, "..."))
			*ret_repeat = true;
		if (!eat(&p, ","))
			break;
	}
	return n;
}

static bool unify(struct arena *a, const struct pat *p, const struct type *t, const struct type **bound)
{
	const struct type **slot;

	switch (p->kind) {
	case PAT_TYPE:
		return true; /* the coercion decides */
	case PAT_LETTER:
		if (t->kind == TY_LAMBDA)
			return false;
		slot = &bound[p->letter - 'A'];
		*slot = *slot ? type_common(a, *slot, t) : t;
		return *slot != NULL;
	case PAT_ARRAY:
		return t->kind == TY_UNKNOWN || (t->kind == TY_ARRAY && unify(a, p->elem, t->elem, bound));
	case PAT_SERIES:
		return t->kind == TY_UNKNOWN || (t->kind == TY_TIMESERIES && unify(a, p->elem, t->elem, bound));
	case PAT_POINT:
		return t->kind == TY_UNKNOWN || (t->kind == TY_ROW && t->field_count == 2 &&
						 unify(a, p->elem, t->fields[1].type, bound));
	case PAT_LAMBDA:
		return t->kind == TY_LAMBDA && (!t->field_count || t->field_count == p->param_n) &&
		       (!t->elem || unify(a, p->elem, t->elem, bound));
	}
	return false;
}

/* What a pattern became. Letters that nothing bound are unknown. */
static const struct type *instantiate(struct arena *a, const struct pat *p, const struct type *const *bound)
{
	const struct type *elem = p->elem ? instantiate(a, p->elem, bound) : NULL;
	bool is_bound = p->elem && p->elem->kind == PAT_LETTER && bound[p->elem->letter - 'A'];
	const struct type *series;
	struct type_field *fields;
	struct type *lambda;

	switch (p->kind) {
	case PAT_TYPE:
		return p->type;
	case PAT_LETTER:
		return bound[p->letter - 'A'] ? bound[p->letter - 'A'] : &type_unknown;
	case PAT_ARRAY:
		return elem ? type_array(a, elem) : NULL;
	case PAT_SERIES:
		return elem ? type_timeseries(a, elem) : NULL;
	case PAT_POINT:
		series = elem ? type_timeseries(a, elem) : NULL;
		return series ? series->list_row : NULL;
	case PAT_LAMBDA:
		break;
	}
	fields = arena_zarray(a, struct type_field, p->param_n);
	lambda = arena_new(a, struct type);
	if (!elem || !fields || !lambda)
		return NULL;
	for (uint32_t i = 0; i < p->param_n; i++) {
		fields[i].type = instantiate(a, &p->params[i], bound);
		if (!fields[i].type)
			return NULL;
	}
	*lambda = (struct type){.kind = TY_LAMBDA, .length = is_bound ? LAMBDA_EXACT : -1, .elem = elem,
				.field_count = p->param_n, .fields = fields};
	return lambda;
}

/* ---- resolution --------------------------------------------------------------------------------- */

struct wanted {
	const struct type *const *types;
	const bool *is_literal;
	uint32_t argc;
};

static bool literal_at(const struct wanted *w, uint32_t i)
{
	return w->is_literal && w->is_literal[i] && w->types[i]->kind == TY_VARCHAR;
}

/* Cost of the overload, -1: it does not take these, -ENOMEM. */
static int match_patterns(struct arena *a, const struct func *f, const struct wanted *w,
			  struct func_match *ret)
{
	struct pat pats[PATS_MAX], ret_pat;
	const struct type *bound[LETTERS] = {NULL};
	const struct type **arg_types = arena_zarray(a, const struct type *, MAX(w->argc, 1));
	const char *ret_text = f->ret;
	bool repeat;
	char next = 'T';
	int cost = 0, n = pats_parse(a, f->params, pats, &repeat);

	if (!arg_types || n < 0 || !pat_parse(a, &ret_text, &ret_pat, &next))
		return -ENOMEM;
	if (w->argc < (uint32_t)n || (w->argc > (uint32_t)n && !repeat))
		return -1;
	for (int weak = 0; weak < 2; weak++)
		for (uint32_t i = 0; i < w->argc; i++) {
			const struct pat *p = &pats[MIN(i, (uint32_t)n - 1)];
			bool is_weak = w->types[i]->kind == TY_UNKNOWN || literal_at(w, i);

			if (is_weak != (weak == 1))
				continue;
			if (weak && p->kind == PAT_LETTER && bound[p->letter - 'A'] &&
			    type_coercion(w->types[i], bound[p->letter - 'A'], literal_at(w, i)) >= 0)
				continue;
			if (!unify(a, p, w->types[i], bound))
				return -1;
		}
	for (uint32_t i = 0; i < w->argc; i++) {
		const struct pat *p = &pats[MIN(i, (uint32_t)n - 1)];
		int c;

		arg_types[i] = instantiate(a, p, bound);
		if (!arg_types[i])
			return -ENOMEM;
		c = p->kind == PAT_LAMBDA ? 0 : type_coercion(w->types[i], arg_types[i], literal_at(w, i));
		if (c < 0)
			return -1;
		cost += c;
	}
	*ret = (struct func_match){f, arg_types, instantiate(a, &ret_pat, bound)};
	return ret->ret ? cost : -ENOMEM;
}

static void format_call(struct buf *b, const char *name, const struct wanted *w)
{
	buf_addf(b, "%s(", name);
	for (uint32_t i = 0; i < w->argc; i++) {
		if (i)
			buf_adds(b, ", ");
		type_format(w->types[i], b);
	}
	buf_addc(b, ')');
}

static bool is_kind(const struct type *t, enum type_kind a, enum type_kind b)
{
	return t->kind == a || t->kind == b;
}

/* Two mistakes that people make deserve more than a list. */
static const char *hint(const struct func *f, const struct wanted *w)
{
	static const char *const comparisons[] = {"=", "<>", "<", "<=", ">", ">=", "is distinct from"};

	if (!strcmp(f->name, "-") && w->argc == 2 && is_kind(w->types[0], TY_DATE, TY_TIMESTAMP) &&
	    is_kind(w->types[1], TY_DATE, TY_TIMESTAMP))
		return "use date_diff() for the time between two instants";
	for (size_t i = 0; i < ARRAY_LEN(comparisons); i++)
		if (!strcmp(f->name, comparisons[i]))
			return "both sides must be of one type: cast one of them";
	return NULL;
}

static int no_overload(const struct func *f, uint32_t n, const struct wanted *w, struct err *e)
{
	bool is_op = f->flags & FN_HIDDEN;
	struct buf b;
	int rc;

	buf_init(&b, 64 << 10);
	buf_adds(&b, is_op ? "operator " : "function ");
	format_call(&b, f->name, w);
	buf_adds(&b, " does not exist; ");
	if (hint(f, w)) {
		buf_adds(&b, hint(f, w));
	} else {
		buf_adds(&b, n > 1 ? "there are " : "there is ");
		for (uint32_t i = 0; i < n; i++)
			buf_addf(&b, "%s%s(%s)", i ? ", " : "", f->name, f[i].params ? f[i].params : "...");
	}
	rc = err_set(e, -EINVAL, "%.*s", STR_FMT(buf_str(&b)));
	buf_release(&b);
	return rc;
}

static int no_function(struct str name, struct err *e)
{
	struct str names[ROWS_MAX];
	uint32_t n;
	const struct func *all = func_all(&n);
	int near, k = 0;

	for (uint32_t i = 0; i < n; i++)
		if (!(all[i].flags & FN_HIDDEN) && (!i || strcmp(all[i].name, all[i - 1].name)))
			names[k++] = str_from(all[i].name);
	near = str_nearest(name, names, k);
	if (near < 0)
		return err_set(e, -ENOENT, "function '%.*s' does not exist", STR_FMT(name));
	return err_set(e, -ENOENT, "function '%.*s' does not exist (did you mean '%.*s'?)", STR_FMT(name),
		       STR_FMT(names[near]));
}

int func_resolve(struct arena *a, struct str name, const struct type *const *types, const bool *is_literal,
		 uint32_t argc, struct func_match *ret, struct err *e)
{
	const struct wanted w = {types, is_literal, argc};
	const struct func *f;
	struct func_match best = {0};
	uint32_t n = overloads(name, &f);
	int best_cost = -1;

	if (!n)
		return no_function(name, e);
	for (uint32_t i = 0; i < n; i++) {
		struct func_match m = {0};
		int cost = f[i].resolve ? f[i].resolve(a, &f[i], types, argc, &m, e)
					: match_patterns(a, &f[i], &w, &m);

		if (cost == -ENOMEM)
			return func_no_memory(e);
		if (cost >= 0 && (best_cost < 0 || cost < best_cost)) {
			best_cost = cost;
			best = m;
		}
	}
	if (best_cost < 0)
		return no_overload(f, n, &w, e);
	*ret = best;
	return 0;
}

/* ---- calls -------------------------------------------------------------------------------------- */

int func_no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
}

int func_cancelled(const struct fn_call *c, struct err *e)
{
	const _Atomic bool *cancelled = c->exec ? c->exec->cancelled : NULL;

	return cancelled && atomic_load_explicit(cancelled, memory_order_relaxed)
		       ? err_set(e, -ECANCELED, "query cancelled")
		       : 0;
}

int ret_set_null(struct fn_call *c, struct vec *ret, uint32_t i, struct err *e)
{
	if (!ret->valid) {
		int rc = vec_alloc_valid(ret, c->n, c->arena, e);

		if (rc < 0)
			return rc;
		if (c->valid)
			memcpy(ret->valid, c->valid, c->n);
	}
	ret->valid[i] = 0;
	return 0;
}

/* Rows that have no NULL argument; *ret NULL where all have none. */
static int merge_valid(const struct fn_call *c, const struct vec *args, const uint8_t **ret, struct err *e)
{
	const uint8_t *merged = NULL;
	uint8_t *own = NULL;

	for (uint32_t k = 0; k < c->argc; k++) {
		const uint8_t *restrict v = args[k].valid;

		if (args[k].form != VEC_FLAT || !v)
			continue;
		if (!merged) {
			merged = v;
			continue;
		}
		if (!own) {
			own = arena_alloc(c->arena, MAX(c->n, 1));
			if (!own)
				return func_no_memory(e);
			memcpy(own, merged, c->n);
			merged = own;
		}
		for (uint32_t i = 0; i < c->n; i++)
			own[i] &= v[i];
	}
	*ret = merged;
	return 0;
}

/* The kernel over FLAT and CONST arguments. */
static int call_kernel(const struct func *f, const struct fn_call *given, const struct vec *args, uint32_t n,
		       struct vec *ret, struct err *e)
{
	enum type_layout l = type_layout(given->ret_type);
	struct fn_call c = *given;
	struct vec r = {.type = c.ret_type, .form = VEC_FLAT};
	int rc = 0;

	c.args = args;
	c.n = n;
	c.valid = NULL;
	if (!(f->flags & FN_NULLS))
		rc = merge_valid(&c, args, &c.valid, e);
	if (rc >= 0 && l != LAYOUT_LIST && l != LAYOUT_ROW)
		rc = vec_alloc(&r, c.ret_type, n, c.arena, e);
	if (rc >= 0)
		rc = f->scalar(&c, &r, e);
	if (rc < 0)
		return rc;
	if (!r.valid)
		r.valid = (uint8_t *)c.valid; /* shared: nobody writes to what was handed on */
	*ret = r;
	return 0;
}

/* All arguments constant: one evaluation gives a constant. */
static int call_const(const struct func *f, const struct fn_call *c, struct vec *args, struct vec *ret,
		      struct err *e)
{
	int rc;

	for (uint32_t k = 0; k < c->argc; k++)
		args[k].form = VEC_FLAT;
	rc = call_kernel(f, c, args, 1, ret, e);
	if (rc >= 0)
		ret->form = VEC_CONST;
	return rc;
}

/* args[d] is a dictionary, the others constant: the result has the same codes. */
static int call_dict(const struct func *f, const struct fn_call *c, struct vec *args, uint32_t d,
		     struct vec *ret, struct err *e)
{
	struct vec dict_arg = args[d], *dict = arena_new(c->arena, struct vec);
	int rc;

	if (!dict)
		return func_no_memory(e);
	args[d] = *dict_arg.dict;
	rc = call_kernel(f, c, args, dict_arg.dict_n, dict, e);
	args[d] = dict_arg;
	if (rc < 0)
		return rc;
	*ret = (struct vec){.type = c->ret_type, .form = VEC_DICT, .codes = dict_arg.codes, .dict = dict,
			    .dict_n = dict_arg.dict_n};
	return 0;
}

int func_call(const struct func *f, const struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec few[4], *args = c->argc <= ARRAY_LEN(few) ? few : arena_array(c->arena, struct vec, c->argc);
	uint32_t consts = 0, dicts = 0, dict_at = 0;
	bool shared = !(f->flags & FN_VOLATILE); /* may one evaluation serve several rows? */
	uint32_t argc = c->argc; /* but for lambdas */
	int rc;

	if (!args)
		return func_no_memory(e);
	for (uint32_t k = 0; k < c->argc; k++) {
		if (c->lambdas && c->lambdas[k]) {
			shared = shared && c->lambdas_closed;
			args[k] = (struct vec){.type = &type_unknown, .form = VEC_CONST};
			argc--;
			continue;
		}
		args[k] = c->args[k];
		if (args[k].form == VEC_CONST) {
			consts++;
			if (args[k].valid && !args[k].valid[0] && !(f->flags & FN_NULLS))
				return vec_const_null(ret, c->ret_type, c->arena, e);
		} else if (args[k].form == VEC_DICT) {
			dicts++;
			dict_at = k;
		}
	}
	if (shared && c->n && consts == argc)
		return call_const(f, c, args, ret, e);
	if (shared && dicts == 1 && consts + 1 == argc && args[dict_at].dict_n <= c->n) {
		rc = call_dict(f, c, args, dict_at, ret, NULL);
		if (rc != -EINVAL && rc != -ERANGE)
			return rc < 0 ? err_set(e, rc, "%s", err_text(NULL, rc)) : rc;
		/* An entry failed that perhaps no row uses: only the rows can tell. */
	}
	for (uint32_t k = 0; k < c->argc; k++)
		if (args[k].form == VEC_DICT) {
			rc = vec_flatten(&args[k], c->n, c->arena, &args[k], e);
			if (rc < 0)
				return rc;
		}
	return call_kernel(f, c, args, c->n, ret, e);
}
