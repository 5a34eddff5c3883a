/*
 * agg_table: how rows become groups.
 *
 * Batches come series by series in time order, so equal keys stand beside each other: a batch is cut
 * into runs of equal keys, each run is looked up once, and its rows go to the aggregate as one range.
 * Where runs are short (a key that changes with every row) rows are scattered to their groups' states
 * instead.
 *
 * States of one aggregate lie in one array that grows by copying: a state may point to memory of the
 * execution's arena, but not into itself.
 *
 * With grouping sets each batch is grouped once for each set, its number being one more key and the groups
 * that it lacks NULL; expressions and arguments are evaluated once for all sets.
 *
 * DISTINCT keeps, for each aggregate that has it, a set of (group, arguments); only rows that are new
 * to the set are passed on. FILTER passes on the rows that it selects. With ORDER BY inside the
 * aggregate its rows are kept until the input has ended (agg_order.h).
 */
#include "query/agg_table.h"

#include "query/agg_order.h"

struct agg {
	const struct plan_agg *plan;
	struct agg_call call;
	struct grow states;
	size_t stride;
	struct groups seen; /* DISTINCT */
	/* What the batch at hand gives it, the same in all grouping sets: arguments, and behind them the
	 * keys of ORDER BY, of rows sel[0..n) (NULL: all). */
	struct vec *in;
	const uint32_t *sel;
	uint32_t n;
	struct agg_order order; /* ORDER BY inside */
};

/* The rows of a batch as runs of one group each. */
struct runs {
	uint32_t n;      /* rows */
	uint32_t run_n;
	uint32_t *start; /* by run */
	uint32_t *group; /* by run */
	uint32_t *row_group; /* by row; NULL: not worked out yet */
};

#define SHORT_RUN 4 /* rows; below this average, scattering is cheaper than a call a run */

static int distinct_init(struct agg_table *t, struct agg *a, struct err *e)
{
	const struct type **types = arena_array(t->x->arena, const struct type *, a->plan->argc + 1);

	if (!types)
		return exec_nomem(&t->x->ctx, e);
	types[0] = &type_bigint; /* the group */
	for (uint32_t i = 0; i < a->plan->argc; i++)
		types[i + 1] = a->plan->args[i]->type;
	return groups_init(&a->seen, &t->x->ctx, types, a->plan->argc + 1, e);
}

int agg_table_open(struct agg_table *t, struct exec *x, const struct plan *p, struct arena *batch, struct err *e)
{
	const struct type **types = arena_array(x->arena, const struct type *, p->group_count + 1);

	*t = (struct agg_table){.x = x, .plan = p, .batch = batch};
	t->aggs = arena_zarray(x->arena, struct agg, p->agg_count + 1);
	if (!types || !t->aggs)
		return exec_nomem(&x->ctx, e);
	for (uint32_t i = 0; i < p->group_count; i++)
		types[i] = p->groups[i]->type;
	int rc = groups_init(&t->groups, &x->ctx, types, p->group_count, e);
	for (uint32_t i = 0; i < p->agg_count && rc >= 0; i++) {
		struct agg *a = &t->aggs[i];
		a->plan = &p->aggs[i];
		a->stride = (MAX(a->plan->func->agg->state_size, (size_t)1) + 15) & ~(size_t)15;
		a->call = (struct agg_call){
			.exec = &x->ctx,
			.arena = x->arena,
			.argc = a->plan->argc,
			.arg_types = a->plan->arg_types,
			.ret_type = a->plan->type,
			.const_args = a->plan->const_args,
		};
		if (a->plan->distinct)
			rc = distinct_init(t, a, e);
		if (rc >= 0 && a->plan->key_count)
			rc = agg_order_open(&a->order, x, a->plan, e);
	}
	return rc;
}

void agg_table_release(struct agg_table *t)
{
	if (!t->x)
		return;
	struct budget *b = t->x->ctx.budget;

	groups_release(&t->groups);
	for (uint32_t i = 0; t->aggs && i < t->plan->agg_count; i++) {
		grow_release(&t->aggs[i].states, b);
		groups_release(&t->aggs[i].seen);
		agg_order_release(&t->aggs[i].order);
	}
	*t = (struct agg_table){0};
}

static int agg_error(const struct agg *a, int rc, struct err *e)
{
	if (rc == -ENOMEM || rc == -ECANCELED || !a->plan->pos.line)
		return rc;
	return err_prefix(e, rc, "line %u:%u", a->plan->pos.line, a->plan->pos.col);
}

/* ---- a batch into the states --------------------------------------------------------------------------- */

static int row_groups(struct agg_table *t, struct runs *r, struct err *e)
{
	if (r->row_group)
		return 0;
	r->row_group = arena_array(t->batch, uint32_t, r->n);
	if (!r->row_group)
		return exec_nomem(&t->x->ctx, e);
	for (uint32_t k = 0; k < r->run_n; k++) {
		uint32_t end = k + 1 < r->run_n ? r->start[k + 1] : r->n;
		for (uint32_t i = r->start[k]; i < end; i++)
			r->row_group[i] = r->group[k];
	}
	return 0;
}

/* Rows sel[0..n) of r, as runs of their own. */
static int runs_select(struct agg_table *t, struct runs *r, const uint32_t *sel, uint32_t n, struct runs *ret,
		       struct err *e)
{
	struct arena *a = t->batch;

	int rc = row_groups(t, r, e);
	if (rc < 0)
		return rc;
	*ret = (struct runs){.n = n};
	ret->start = arena_array(a, uint32_t, n + 1);
	ret->group = arena_array(a, uint32_t, n + 1);
	ret->row_group = arena_array(a, uint32_t, n + 1);
	if (!ret->start || !ret->group || !ret->row_group)
		return exec_nomem(&t->x->ctx, e);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t g = r->row_group[sel[i]];
		ret->row_group[i] = g;
		if (ret->run_n && ret->group[ret->run_n - 1] == g)
			continue;
		ret->start[ret->run_n] = i;
		ret->group[ret->run_n++] = g;
	}
	return 0;
}

static int gather_args(struct agg_table *t, struct vec *args, uint32_t argc, const uint32_t *sel, uint32_t n,
		       struct err *e)
{
	for (uint32_t i = 0; i < argc; i++) {
		int rc = vec_gather(&args[i], sel, n, t->batch, &args[i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Of the rows of r those whose (group, arguments) were not there before: into sel; how many. */
static int64_t distinct_rows(struct agg_table *t, struct agg *a, struct runs *r, const struct vec *args,
			     uint32_t *sel, struct err *e)
{
	struct arena *m = t->batch;
	struct vec *keys = arena_zarray(m, struct vec, a->plan->argc + 1);
	uint32_t *rows = arena_array(m, uint32_t, r->n);
	uint32_t *found = arena_array(m, uint32_t, r->n);
	uint32_t next = groups_count(&a->seen), n = 0;

	if (!keys || !rows || !found)
		return exec_nomem(&t->x->ctx, e);
	int rc = vec_alloc(&keys[0], &type_bigint, r->n, m, e);
	if (rc >= 0)
		rc = row_groups(t, r, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < r->n; i++) {
		keys[0].i64[i] = r->row_group[i];
		rows[i] = i;
	}
	for (uint32_t i = 0; i < a->plan->argc; i++)
		keys[i + 1] = args[i];
	rc = groups_find(&a->seen, keys, rows, r->n, found, e);
	if (rc < 0)
		return rc;
	/* Numbers are given in order, so the next one that was free marks a first appearance. */
	for (uint32_t i = 0; i < r->n; i++) {
		if (found[i] == next) {
			sel[n++] = i;
			next++;
		}
	}
	return n;
}

static int update(struct agg_table *t, struct agg *a, struct runs *r, const struct vec *args, struct err *e)
{
	const struct agg_def *def = a->plan->func->agg;
	char *states = a->states.data;
	int rc = 0;

	a->call.args = args;
	if (def->scatter && r->n / SHORT_RUN < r->run_n && r->run_n > 1) {
		rc = row_groups(t, r, e);
		if (rc < 0)
			return rc;
		rc = def->scatter(&a->call, states, a->stride, r->row_group, r->n, e);
		return rc < 0 ? agg_error(a, rc, e) : 0;
	}
	for (uint32_t k = 0; k < r->run_n && rc >= 0; k++) {
		uint32_t end = k + 1 < r->run_n ? r->start[k + 1] : r->n;
		rc = def->add(&a->call, states + a->stride * r->group[k], r->start[k], end, e);
	}
	return rc < 0 ? agg_error(a, rc, e) : 0;
}

/* Put aside with their keys, until the input has ended. keys: as many as the plan says. */
static int update_later(struct agg_table *t, struct agg *a, struct runs *r, const struct vec *keys,
			const struct vec *args, struct err *e)
{
	int rc = row_groups(t, r, e);

	return rc < 0 ? rc : agg_order_add(&a->order, r->row_group, keys, args, r->n, t->batch, e);
}

/* The aggregate's arguments, for the rows that its filter selects. */
static int agg_input(struct agg_table *t, struct agg *a, const struct vbatch *in, struct err *e)
{
	const struct plan_agg *p = a->plan;
	struct arena *m = t->batch;
	const struct exec_ctx *ctx = &t->x->ctx;
	struct vbatch rows = *in;
	int rc;

	a->n = in->n;
	a->sel = NULL;
	a->in = arena_zarray(m, struct vec, p->argc + p->key_count + 1);
	if (!a->in)
		return exec_nomem(ctx, e);
	if (p->filter) { /* first: an argument may fail on a row that the filter leaves out */
		uint32_t *sel = arena_array(m, uint32_t, in->n);
		if (!sel)
			return exec_nomem(ctx, e);
		int64_t n = bx_select(ctx, p->filter, in, m, sel, e);
		if (n < 0)
			return (int)n;
		a->n = (uint32_t)n;
		if (!n)
			return 0;
		if (a->n < in->n) {
			a->sel = sel;
			rows = (struct vbatch){a->n, in->col_count, arena_array(m, struct vec, in->col_count + 1)};
			if (!rows.cols)
				return exec_nomem(ctx, e);
			memcpy(rows.cols, in->cols, sizeof(struct vec) * in->col_count);
			rc = gather_args(t, rows.cols, in->col_count, sel, a->n, e);
			if (rc < 0)
				return rc;
		}
	}
	for (uint32_t i = 0; i < p->argc; i++) {
		rc = bx_eval(ctx, p->args[i], &rows, m, &a->in[i], e);
		if (rc >= 0 && a->in[i].form == VEC_DICT)
			rc = vec_flatten(&a->in[i], rows.n, m, &a->in[i], e);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < p->key_count; i++) {
		rc = bx_eval(ctx, p->order[i], &rows, m, &a->in[p->argc + i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* These into the states of the groups that the batch's rows belong to. */
static int agg_batch(struct agg_table *t, struct agg *a, struct runs *all, struct err *e)
{
	const struct plan_agg *p = a->plan;
	struct arena *m = t->batch;
	const struct exec_ctx *ctx = &t->x->ctx;
	struct runs some, fresh, *r = all;
	struct vec *args = a->in;
	uint32_t arg_n = p->argc + p->key_count;
	int rc = 0;

	if (grow_to(&a->states, ctx->budget, a->stride * groups_count(&t->groups)) < 0)
		return exec_nomem(ctx, e);
	if (!a->n)
		return 0;
	if (a->sel) {
		rc = runs_select(t, r, a->sel, a->n, &some, e);
		r = &some;
	}
	if (rc >= 0 && p->distinct) {
		uint32_t *sel = arena_array(m, uint32_t, r->n);
		args = arena_array(m, struct vec, arg_n + 1);
		if (!sel || !args)
			return exec_nomem(ctx, e);
		memcpy(args, a->in, sizeof *args * arg_n);
		int64_t n = distinct_rows(t, a, r, args, sel, e);
		if (n <= 0)
			return (int)n;
		if (n < r->n) {
			rc = gather_args(t, args, arg_n, sel, (uint32_t)n, e);
			if (rc >= 0)
				rc = runs_select(t, r, sel, (uint32_t)n, &fresh, e);
			r = &fresh;
		}
	}
	if (rc < 0)
		return rc;
	return p->key_count ? update_later(t, a, r, args + p->argc, args, e) : update(t, a, r, args, e);
}

/* The batch's rows by these keys. */
static int add_rows(struct agg_table *t, const struct vec *keys, uint32_t n, struct err *e)
{
	const struct plan *p = t->plan;
	struct arena *m = t->batch;
	struct runs r = {.n = n, .run_n = 1};
	int rc = 0;

	r.start = arena_array(m, uint32_t, n);
	r.group = arena_array(m, uint32_t, n);
	if (!r.start || !r.group)
		return exec_nomem(&t->x->ctx, e);
	r.start[0] = r.group[0] = 0;
	if (p->group_count) {
		r.run_n = groups_runs(keys, p->group_count, n, r.start);
		rc = groups_find(&t->groups, keys, r.start, r.run_n, r.group, e);
	} else if (!groups_count(&t->groups)) {
		rc = groups_find(&t->groups, keys, r.start, 1, r.group, e);
	}
	for (uint32_t i = 0; i < p->agg_count && rc >= 0; i++)
		rc = agg_batch(t, &t->aggs[i], &r, e);
	return rc;
}

/* The keys in set number s: `nulls` for what it lacks. */
static int set_keys(struct agg_table *t, uint32_t s, const struct vec *keys, const struct vec *nulls, struct vec *to,
		    struct err *e)
{
	const struct plan *p = t->plan;
	uint32_t n = p->group_count - 1;

	for (uint32_t i = 0; i < n; i++)
		to[i] = p->sets[s * n + i] ? keys[i] : nulls[i];
	int rc = vec_alloc(&to[n], &type_bigint, 1, t->batch, e);
	if (rc < 0)
		return rc;
	to[n].form = VEC_CONST;
	to[n].i64[0] = s + 1;
	return 0;
}

/* A vector a group that is NULL throughout. */
static int null_keys(struct agg_table *t, struct vec **ret, struct err *e)
{
	const struct plan *p = t->plan;
	int rc = 0;

	*ret = arena_zarray(t->batch, struct vec, p->group_count + 1);
	if (!*ret)
		return exec_nomem(&t->x->ctx, e);
	for (uint32_t i = 0; i < p->group_count && rc >= 0; i++)
		rc = vec_const_null(&(*ret)[i], p->groups[i]->type, t->batch, e);
	return rc;
}

static int add_sets(struct agg_table *t, const struct vec *keys, uint32_t n, struct err *e)
{
	struct arena *m = t->batch;
	struct vec *to = arena_zarray(m, struct vec, t->plan->group_count), *nulls;

	if (!to)
		return exec_nomem(&t->x->ctx, e);
	int rc = null_keys(t, &nulls, e);
	struct arena_mark mark = arena_mark(m);
	for (uint32_t s = 0; s < t->plan->set_count && rc >= 0; s++) {
		arena_rewind(m, mark);
		rc = exec_cancelled(t->x, e);
		if (rc >= 0)
			rc = set_keys(t, s, keys, nulls, to, e);
		if (rc >= 0)
			rc = add_rows(t, to, n, e);
	}
	return rc;
}

int agg_table_add(struct agg_table *t, const struct vbatch *in, struct err *e)
{
	const struct plan *p = t->plan;
	struct arena *m = t->batch;
	int rc = 0;

	struct vec *keys = arena_zarray(m, struct vec, p->group_count + 1);
	if (!keys)
		return exec_nomem(&t->x->ctx, e);
	for (uint32_t i = 0; i < p->group_count && rc >= 0; i++)
		rc = bx_eval(&t->x->ctx, p->groups[i], in, m, &keys[i], e);
	for (uint32_t i = 0; i < p->agg_count && rc >= 0; i++)
		rc = agg_input(t, &t->aggs[i], in, e);
	if (rc < 0)
		return rc;
	return p->set_count ? add_sets(t, keys, in->n, e) : add_rows(t, keys, in->n, e);
}

/* One row even of nothing: of all rows, and of the grouping sets (). */
static int groups_of_nothing(struct agg_table *t, struct err *e)
{
	const struct plan *p = t->plan;
	uint32_t zero = 0, group, n = p->group_count - 1;
	struct vec none = {0}, *nulls = NULL;

	if (p->is_global)
		return groups_find(&t->groups, &none, &zero, 1, &group, e);
	int rc = p->set_count ? null_keys(t, &nulls, e) : 0;
	for (uint32_t s = 0; s < p->set_count && rc >= 0; s++) {
		if (memchr(p->sets + s * n, true, n))
			continue;
		rc = set_keys(t, s, nulls, nulls, nulls, e);
		if (rc >= 0)
			rc = groups_find(&t->groups, nulls, &zero, 1, &group, e);
	}
	return rc;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

int agg_table_merge(struct agg_table *t, const struct agg_table *from, struct err *e)
{
	const struct exec_ctx *ctx = &t->x->ctx;
	uint32_t rows[VEC_ROWS], group[VEC_ROWS], n;
	int rc = 0;

	for (uint32_t i = 0; i < VEC_ROWS; i++)
		rows[i] = i;
	for (uint32_t at = 0; at < groups_count(&from->groups) && rc >= 0; at += n) {
		n = MIN(groups_count(&from->groups) - at, (uint32_t)VEC_ROWS);
		rc = groups_find(&t->groups, from->groups.keys.chunks[at / VEC_ROWS]->cols, rows, n, group, e);
		for (uint32_t i = 0; i < t->plan->agg_count && rc >= 0; i++) {
			struct agg *a = &t->aggs[i];
			const char *theirs = (const char *)from->aggs[i].states.data + a->stride * at;

			if (grow_to(&a->states, ctx->budget, a->stride * groups_count(&t->groups)) < 0)
				return exec_nomem(ctx, e);
			char *ours = a->states.data;
			for (uint32_t k = 0; k < n && rc >= 0; k++)
				rc = a->plan->func->agg->merge(&a->call, ours + a->stride * group[k],
							       theirs + a->stride * k, e);
			rc = rc < 0 ? agg_error(a, rc, e) : 0;
		}
	}
	return rc;
}

int agg_table_end(struct agg_table *t, struct err *e)
{
	int rc = groups_count(&t->groups) ? 0 : groups_of_nothing(t, e);

	for (uint32_t i = 0; i < t->plan->agg_count && rc >= 0; i++) {
		struct agg *a = &t->aggs[i];
		if (grow_to(&a->states, t->x->ctx.budget, a->stride * groups_count(&t->groups)) < 0)
			rc = exec_nomem(&t->x->ctx, e);
		groups_release(&a->seen);
		if (rc >= 0 && a->plan->key_count) {
			rc = agg_order_run(&a->order, &a->call, a->states.data, a->stride, t->batch, e);
			rc = rc < 0 ? agg_error(a, rc, e) : 0;
		}
		agg_order_release(&a->order);
	}
	return rc;
}

static int finish(struct agg_table *t, struct agg *a, uint32_t from, uint32_t n, struct arena *to, struct vec *ret,
		  struct err *e)
{
	struct vec_builder b;

	int rc = vb_init(&b, a->plan->type, n, to, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		char *state = (char *)a->states.data + a->stride * (from + i);
		rc = a->plan->func->agg->finish(&a->call, state, &b, e);
		if (rc < 0)
			return agg_error(a, rc, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

int agg_table_take(struct agg_table *t, uint32_t from, struct arena *to, struct vbatch *ret, struct err *e)
{
	const struct plan *p = t->plan;
	uint32_t n = MIN(groups_count(&t->groups) - from, (uint32_t)VEC_ROWS);
	int rc;

	if (!n)
		return 0;
	struct vec *cols = arena_zarray(to, struct vec, p->col_count + 1);
	if (!cols)
		return exec_nomem(&t->x->ctx, e);
	for (uint32_t i = 0; i < p->group_count; i++) /* a chunk of keys is a batch as it stands */
		cols[i] = *row_store_vec(&t->groups.keys, from, i);
	for (uint32_t i = 0; i < p->agg_count; i++) {
		rc = finish(t, &t->aggs[i], from, n, to, &cols[p->group_count + i], e);
		if (rc < 0)
			return rc;
	}
	*ret = (struct vbatch){n, p->col_count, cols};
	return 1;
}
