/*
 * run: statements that change something, once and to their end.
 *
 * CREATE and DROP (run_schema.c) call the engine. DELETE and INSERT (op_delete.c, op_insert.c) are
 * plans like any query's, whose root does the work when it is asked for its only row: how many rows
 * there were. So they are bound, explained, limited and cancelled as queries are.
 */
#include "query/run.h"

int run_located(const struct run *r, int rc)
{
	const struct pos *p = r->stmt->names.n ? &r->stmt->names.v[0].pos : &r->stmt->pos;

	return err_prefix(r->e, rc, "line %u:%u", p->line, p->col);
}

static int run_plan(struct run *r)
{
	struct query *q = r->q;
	const struct vbatch *b;

	int rc = query_open(q, r->stmt, r->e);
	if (rc >= 0)
		rc = query_next(q, &b, r->e);
	if (rc > 0)
		r->rows = b->cols[0].i64[0];
	return MIN(rc, 0);
}

static int unsupported(struct run *r)
{
	return err_set(r->e, -EOPNOTSUPP, "line %u:%u: UNLOAD is not supported by this version", r->stmt->pos.line,
		       r->stmt->pos.col);
}

static int (*const runs[])(struct run *r) = {
	[STMT_CREATE_DATABASE] = run_create_database,
	[STMT_DROP_DATABASE] = run_drop_database,
	[STMT_CREATE_TABLE] = run_create_table,
	[STMT_DROP_TABLE] = run_drop_table,
	[STMT_DELETE] = run_plan,
	[STMT_INSERT] = run_plan,
	[STMT_UNLOAD] = unsupported,
};

int query_run(const struct query_env *env, struct str text, int64_t *ret_rows, struct err *e)
{
	struct ast_stmt *stmt = NULL;
	struct query *q;

	int rc = query_create(env, text, &q, e);
	if (rc < 0)
		return rc;
	rc = query_parse(q, &stmt, e);
	if (rc >= 0 && !stmt_changes(stmt))
		rc = err_set(e, -EINVAL, "line %u:%u: this statement gives rows: read its result",
			     stmt->pos.line, stmt->pos.col);
	if (rc >= 0) {
		struct run r = {.q = q, .env = &q->env, .stmt = stmt, .rows = -1, .e = e};
		rc = runs[stmt->kind](&r);
		if (rc >= 0)
			*ret_rows = r.rows;
	}
	query_destroy(q);
	return rc;
}

void query_rows_statement(int64_t rows, struct buf *out)
{
	buf_addf(out, "SELECT %lld AS \"rows\"", (long long)rows);
}
