/*
 * run: statements that change something, once and to their end.
 *
 * CREATE and DROP (run_schema.c) call the engine. DELETE, INSERT and UNLOAD (op_delete.c, op_insert.c,
 * op_unload.c) are plans like any query's, whose root does the work when it is asked for its only row:
 * how many rows there were. So they are bound, explained, limited and cancelled as queries are.
 */
#include "query/run.h"

/* Text between quotes, of which its own are doubled. */
static void sql_quote(struct str s, char quote, struct buf *out)
{
	buf_addc(out, quote);
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == quote)
			buf_addc(out, quote);
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, quote);
}

int run_located(const struct run *r, int rc)
{
	const struct pos *p = r->stmt->names.n ? &r->stmt->names.v[0].pos : &r->stmt->pos;

	return err_prefix(r->e, rc, "line %u:%u", p->line, p->col);
}

/* The row as a statement that gives it. */
static void reply_with(const struct plan *p, const struct vbatch *b, struct buf *out)
{
	for (uint32_t i = 0; i < p->col_count; i++) {
		buf_adds(out, i ? ", " : "SELECT ");
		if (p->cols[i].type->kind == TY_VARCHAR)
			sql_quote(b->cols[i].str[0], '\'', out);
		else
			buf_addf(out, "BIGINT '%lld'", (long long)b->cols[i].i64[0]);
		buf_adds(out, " AS ");
		sql_quote(p->cols[i].name, '"', out);
	}
}

static int run_plan(struct run *r)
{
	struct query *q = r->q;
	const struct vbatch *b;

	int rc = query_open(q, r->stmt, r->e);
	if (rc >= 0)
		rc = query_next(q, &b, r->e);
	if (rc <= 0)
		return rc;
	r->rows = b->cols[0].i64[0];
	if (r->reply)
		reply_with(q->bound.plan, b, r->reply);
	return 0;
}

static int (*const runs[])(struct run *r) = {
	[STMT_CREATE_DATABASE] = run_create_database,
	[STMT_DROP_DATABASE] = run_drop_database,
	[STMT_CREATE_TABLE] = run_create_table,
	[STMT_DROP_TABLE] = run_drop_table,
	[STMT_DELETE] = run_plan,
	[STMT_INSERT] = run_plan,
	[STMT_UNLOAD] = run_plan,
};

int query_run(const struct query_env *env, struct str text, int64_t *ret_rows, struct buf *ret_reply,
	      struct err *e)
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
		struct run r = {.q = q, .env = &q->env, .stmt = stmt, .rows = -1, .reply = ret_reply, .e = e};
		rc = runs[stmt->kind](&r);
		if (rc >= 0)
			*ret_rows = r.rows;
	}
	query_destroy(q);
	return rc;
}
