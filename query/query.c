/*
 * query: a statement's life: parse, bind, open operators, step them, let go of all of it.
 *
 * One budget a statement: the bound plan, the operators' states and batches, the scans. What goes
 * beyond it ends the statement with -ENOMEM, and nothing else.
 */
#include "query/query_impl.h"

#include "query/format.h"

#include <stdlib.h>

#define MEMORY_DEFAULT ((size_t)256 << 20)
#define PART_ROWS      (64 << 10)
#define SLICE_ROWS     (64 << 10)

/* ---- parsing --------------------------------------------------------------------------------------------------- */

int query_parse(struct query *q, struct ast_stmt **ret, struct err *e)
{
	struct ast_stmt **all;
	uint32_t n;

	int rc = sql_parse(&q->arena, q->text, &all, &n, e);
	if (rc < 0)
		return rc;
	if (n == 0)
		return err_set(e, -EINVAL, "line 1:1: there is no statement");
	if (n > 1)
		return err_set(e, -EINVAL, "line %u:%u: only one statement at a time", all[1]->pos.line,
			       all[1]->pos.col);
	*ret = all[0];
	return 0;
}

static void exec_init(struct query *q)
{
	q->exec.arena = &q->arena;
	q->exec.pool = q->env.pool;
	q->exec.part_rows = q->env.part_rows ? q->env.part_rows : PART_ROWS;
	q->exec.slice_rows = q->env.slice_rows ? q->env.slice_rows : SLICE_ROWS;
	q->exec.ctx = (struct exec_ctx){
		.now_ns = q->env.now_ns,
		.budget = &q->budget,
		.cancelled = q->env.cancelled,
		.random_state = q->random_state,
	};
	/* random() wants no secrets, only numbers that differ from one execution to the next. */
	q->random_state[0] = hash_u64((uint64_t)clock_mono_ns());
	q->random_state[1] = hash_u64((uint64_t)(uintptr_t)q ^ q->random_state[0]) | 1;
}

int query_create(const struct query_env *env, struct str text, struct query **ret, struct err *e)
{
	struct query *q = calloc(1, sizeof *q);

	if (!q)
		return err_set(e, -ENOMEM, "out of memory");
	q->env = *env;
	if (!q->env.now_ns)
		q->env.now_ns = clock_now_ns();
	budget_init(&q->budget, env->memory_bytes ? env->memory_bytes : MEMORY_DEFAULT);
	arena_init(&q->arena, &q->budget);
	exec_init(q);
	/* The tree points into the text, and the binder may keep names: both are the query's own. */
	q->text = arena_str(&q->arena, text);
	if (env->default_db)
		q->default_db = (char *)arena_str(&q->arena, str_from(env->default_db)).ptr;
	if (!q->text.ptr || (env->default_db && !q->default_db)) {
		query_destroy(q);
		return err_set(e, -ENOMEM, "out of memory");
	}
	q->env.default_db = q->default_db;
	*ret = q;
	return 0;
}

void query_destroy(struct query *q)
{
	if (!q)
		return;
	op_close(q->root);
	if (q->is_bound)
		bound_release(&q->bound);
	arena_release(&q->arena);
	free(q);
}

int query_open(struct query *q, const struct ast_stmt *stmt, struct err *e)
{
	int rc = bind_stmt(&q->arena, &q->env, stmt, &q->exec.ctx, &q->bound, e);

	if (rc < 0)
		return rc;
	q->is_bound = true;
	const struct plan *p = q->bound.plan;
	q->cols = arena_array(&q->arena, struct query_col, p->col_count + 1);
	if (!q->cols)
		return exec_nomem(&q->exec.ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++)
		q->cols[i] = (struct query_col){p->cols[i].name, p->cols[i].type};
	return op_open(&q->exec, p, &q->root, e);
}

int query_prepare(const struct query_env *env, struct str text, struct query **ret, struct err *e)
{
	struct ast_stmt *stmt = NULL;
	struct query *q = NULL;

	int rc = query_create(env, text, &q, e);
	if (rc < 0)
		return rc;
	rc = query_parse(q, &stmt, e);
	if (rc >= 0 && stmt_changes(stmt))
		rc = err_set(e, -EINVAL, "line %u:%u: this statement changes something, and here they only read; "
			     "write it to `query` of a mount, with a ;",
			     stmt->pos.line, stmt->pos.col);
	if (rc >= 0)
		rc = query_open(q, stmt, e);
	if (rc < 0) {
		query_destroy(q);
		return rc;
	}
	*ret = q;
	return 0;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

uint32_t query_columns(const struct query *q, const struct query_col **ret)
{
	*ret = q->cols;
	return q->bound.plan->col_count;
}

/* What SHOW and DESCRIBE read is in no table's version, so their results are not shared either. */
bool query_is_volatile(const struct query *q)
{
	return q->bound.is_volatile || q->bound.stmt != STMT_QUERY;
}

uint64_t query_data_version(const struct query *q)
{
	uint64_t h = 1;

	for (uint32_t i = 0; i < q->bound.table_count; i++)
		h = hash_u64(h + table_data_version(q->bound.tables[i])) + i;
	return h;
}

int query_next(struct query *q, const struct vbatch **ret, struct err *e)
{
	if (q->is_done)
		return 0;
	int rc = op_next(q->root, &q->batch, e);
	if (rc <= 0) {
		q->is_done = true;
		/* Arenas and vectors only know that there was no more; here it is known how much. */
		if (rc == -ENOMEM && (!e || str_starts(str_from(e->text), "out of memory")))
			return exec_nomem(&q->exec.ctx, e);
		return rc;
	}
	atomic_fetch_add_explicit(&q->rows_out, q->batch.n, memory_order_relaxed);
	*ret = &q->batch;
	return 1;
}

void query_progress(const struct query *q, struct query_progress *ret)
{
	struct query *u = (struct query *)q; /* C17's atomic loads want a non-const object */

	*ret = (struct query_progress){
		.rows_read = atomic_load_explicit(&u->exec.rows_read, memory_order_relaxed),
		.rows_out = atomic_load_explicit(&u->rows_out, memory_order_relaxed),
		.bytes_read = atomic_load_explicit(&u->exec.bytes_read, memory_order_relaxed),
		.bytes_out = atomic_load_explicit(&u->bytes_out, memory_order_relaxed),
	};
}

void query_count_out(struct query *q, size_t bytes)
{
	atomic_fetch_add_explicit(&q->bytes_out, bytes, memory_order_relaxed);
}

int query_cancelled(const struct query *q, struct err *e)
{
	return exec_cancelled(&q->exec, e);
}

struct budget *query_budget(struct query *q)
{
	return &q->budget;
}
