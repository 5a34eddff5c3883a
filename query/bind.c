/*
 * bind: from the syntax tree to a plan.
 *
 *	statement   bind.c, bind_show.c     what it is; SHOW and DESCRIBE are rows that are known now
 *	            bind_delete.c, bind_insert.c, bind_unload.c
 *	query       bind_query.c            WITH, set operations, VALUES, ORDER BY and LIMIT over them
 *	select      bind_select.c           FROM -> WHERE -> groups -> HAVING -> list -> ORDER BY
 *	            bind_window.c           window functions, between HAVING and the list
 *	relations   bind_from.c             tables, queries; the scope that names are looked up in
 *	            bind_join.c             two of them as one
 *	expressions bind_expr.c, bind_call.c, bind_scope.c
 *	subqueries  bind_subquery.c, attach.c, attach_join.c, pull.c, decorrelate.c: joins (README.md)
 *	rewriting   pushdown.c, prune.c     conditions into scans, unused columns out
 *	            push_join.c, join_order.c  keys and conditions of joins, and which comes first
 *
 * Each query is bound bottom up into a plan whose columns are numbered; an expression knows a column by
 * its number in the plan below. Names end here. Trees are as deep as the parser allows
 * (SQL_DEPTH_MAX), so everything may recurse; WITH queries, which are inlined at each use, are counted
 * in depth and number.
 */
#include "query/bind.h"

#include <stdio.h>
#include <stdlib.h>

int bind_fail(struct bind *b, struct pos at, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(b->e, -EINVAL, "line %u:%u: %s", at.line, at.col, text);
}

int bind_nomem(struct bind *b)
{
	return err_set(b->e, -ENOMEM, "the statement needs more memory than it may take");
}

int bind_no_yet(struct bind *b, struct pos at, const char *what)
{
	return bind_fail(b, at, "%s is not supported yet", what);
}

/* ---- databases and tables --------------------------------------------------------------------- */

/* The nearest of n names given by `name`, for "did you mean". */
static const char *nearest(struct bind *b, struct str wanted, const char *(*name)(void *v, uint32_t i), void *v,
			   uint32_t n)
{
	struct str *all = arena_array(b->arena, struct str, n + 1);
	int near;

	if (!all)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		all[i] = arena_str(b->arena, str_from(name(v, i)));
	near = str_nearest(wanted, all, (int)n);
	return near < 0 ? NULL : all[near].ptr;
}

static const char *name_of_db(void *v, uint32_t i)
{
	return db_name(((struct db **)v)[i]);
}

static const char *name_of_table(void *v, uint32_t i)
{
	return table_name(((struct table **)v)[i]);
}

static int no_db(struct bind *b, const struct ident *name)
{
	struct db **dbs;
	uint32_t n;
	const char *near = NULL;

	if (engine_dbs(b->env->engine, &dbs, &n) >= 0) {
		near = nearest(b, name->text, name_of_db, dbs, n);
		for (uint32_t i = 0; i < n; i++)
			db_put(dbs[i]);
		free(dbs);
	}
	return bind_fail(b, name->pos, "database '%.*s' does not exist%s%s%s", STR_FMT(name->text),
			 near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int no_table(struct bind *b, struct db *db, const struct ident *name)
{
	struct table **tables;
	uint32_t n;
	const char *near = NULL;

	if (db_tables(db, &tables, &n) >= 0) {
		near = nearest(b, name->text, name_of_table, tables, n);
		for (uint32_t i = 0; i < n; i++)
			table_put(tables[i]);
		free(tables);
	}
	return bind_fail(b, name->pos, "table '%.*s' does not exist in database '%s'%s%s%s", STR_FMT(name->text),
			 db_name(db), near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

int bind_db(struct bind *b, const struct ident *name, struct db **ret)
{
	struct db *db = engine_db(b->env->engine, name->text);
	int rc = 0;

	if (!db)
		return no_db(b, name);
	if (db_failure(db))
		rc = err_set(b->e, -EIO, "line %u:%u: database '%.*s' could not be opened: %s", name->pos.line,
			     name->pos.col, STR_FMT(name->text), db_failure(db));
	if (rc < 0)
		db_put(db);
	else
		*ret = db;
	return rc;
}

/* The binder's own reference, until bound_release(). */
static int keep_table(struct bind *b, struct table *t)
{
	for (uint32_t i = 0; i < b->table_count; i++) {
		if (b->tables[i] == t) {
			table_put(t);
			return 0;
		}
	}
	if (b->table_count == b->table_cap) {
		uint32_t cap = b->table_cap ? b->table_cap * 2 : 4;
		struct table **v = realloc(b->tables, sizeof(*v) * cap);

		if (!v) {
			table_put(t);
			return bind_nomem(b);
		}
		b->tables = v;
		b->table_cap = cap;
	}
	b->tables[b->table_count++] = t;
	return 0;
}

int bind_table(struct bind *b, const struct ident_list *names, enum query_right right, struct table **ret)
{
	static const char *const verbs[] = {
		[RIGHT_READ] = "read",
		[RIGHT_INSERT] = "insert into",
		[RIGHT_DELETE] = "delete from",
		[RIGHT_MANAGE] = "drop",
	};
	const struct ident *name = &names->v[names->n - 1];
	struct ident of = names->v[0];
	struct table *t;
	struct db *db;
	int rc = 0;

	if (names->n == 1 && !b->env->default_db)
		return bind_fail(b, name->pos, "table '%.*s' needs its database in front: database.%.*s",
				 STR_FMT(name->text), STR_FMT(name->text));
	if (names->n == 1)
		of = (struct ident){str_from(b->env->default_db), true, name->pos};
	rc = bind_db(b, &of, &db);
	if (rc < 0)
		return rc;
	t = db_table(db, name->text);
	if (!t)
		rc = no_table(b, db, name);
	else if (b->env->allowed && !b->env->allowed(b->env->allowed_ctx, db, t, right))
		rc = err_set(b->e, -EACCES, "line %u:%u: you may not %s table '%.*s'", name->pos.line,
			     name->pos.col, verbs[right], STR_FMT(name->text));
	db_put(db);
	if (rc < 0) {
		table_put(t);
		return rc;
	}
	rc = keep_table(b, t);
	if (rc >= 0)
		*ret = t;
	return rc;
}

/* ---- statements --------------------------------------------------------------------------------- */

int bind_plan(struct bind *b, const struct ast_query *q, struct plan **ret)
{
	struct plan *p;
	int rc = bind_query(b, q, NULL, &p);

	if (rc >= 0)
		rc = plan_pushdown(b, p, &p);
	if (rc >= 0)
		rc = plan_ends(b, p);
	if (rc >= 0)
		rc = plan_prune(b, p, &p);
	if (rc >= 0)
		*ret = p;
	return rc;
}

static int bind_any(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	int rc;

	switch (s->kind) {
	case STMT_QUERY:
		return bind_plan(b, s->query, ret);
	case STMT_EXPLAIN:
		if (s->analyze && s->inner->kind != STMT_QUERY)
			return bind_fail(b, s->inner->pos, "EXPLAIN ANALYZE runs the statement, and it only runs queries");
		if (s->inner->kind != STMT_QUERY && s->inner->kind != STMT_DELETE && s->inner->kind != STMT_INSERT &&
		    s->inner->kind != STMT_UNLOAD)
			return bind_fail(b, s->inner->pos, "only queries, DELETE, INSERT and UNLOAD have a plan to explain");
		rc = bind_any(b, s->inner, ret);
		if (rc < 0)
			return rc;
		return s->analyze ? bind_analyze(b, *ret, ret) : bind_explain(b, *ret, ret);
	case STMT_DELETE:
		return bind_delete(b, s, ret);
	case STMT_INSERT:
		return bind_insert(b, s, ret);
	case STMT_UNLOAD:
		return bind_unload(b, s, ret);
	case STMT_SHOW_DATABASES:
	case STMT_SHOW_TABLES:
	case STMT_SHOW_MEASURES:
	case STMT_SHOW_FUNCTIONS:
	case STMT_DESCRIBE:
		return bind_show(b, s, ret);
	default:
		return bind_fail(b, s->pos, "this statement changes something and gives no rows");
	}
}

int bind_stmt(struct arena *a, const struct query_env *env, const struct ast_stmt *stmt,
	      const struct exec_ctx *exec, struct bound *ret, struct err *e)
{
	struct bind b = {.arena = a, .env = env, .exec = exec, .e = e};
	struct bound out = {.stmt = stmt->kind, .ast = stmt};
	int rc = bind_any(&b, stmt, &out.plan);

	out.is_volatile = b.is_volatile;
	out.tables = b.tables;
	out.table_count = b.table_count;
	if (rc < 0) {
		bound_release(&out);
		return rc;
	}
	*ret = out;
	return 0;
}

void bound_release(struct bound *b)
{
	for (uint32_t i = 0; i < b->table_count; i++)
		table_put(b->tables[i]);
	free(b->tables);
	b->tables = NULL;
	b->table_count = 0;
}
