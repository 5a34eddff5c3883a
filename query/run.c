/*
 * run: statements that change something. They are short: no plan, no operators.
 */
#include "query/query.h"

#define RUN_MEMORY ((size_t)16 << 20) /* for the tree of a statement of at most SQL_TEXT_MAX */

struct run_ctx {
	const struct query_env *env;
	const struct ast_stmt *stmt;
	struct err *e;
};

static int located(const struct run_ctx *c, int rc)
{
	const struct pos *p = c->stmt->names.n ? &c->stmt->names.v[0].pos : &c->stmt->pos;

	return err_prefix(c->e, rc, "line %u:%u", p->line, p->col);
}

static int denied(const struct run_ctx *c, const char *what)
{
	return located(c, err_set(c->e, -EACCES, "you may not %s", what));
}

static bool is_allowed(const struct run_ctx *c, struct db *db, struct table *t)
{
	return !c->env->allowed || c->env->allowed(c->env->allowed_ctx, db, t, true);
}

/* The database a table statement is about: named, or the default. Given. */
static int find_db(const struct run_ctx *c, struct db **ret, struct str *ret_table)
{
	const struct ident_list *n = &c->stmt->names;
	struct str name;

	if (n->n == 2)
		name = n->v[0].text;
	else if (n->n == 1 && c->env->default_db)
		name = str_from(c->env->default_db);
	else
		return located(c, err_set(c->e, -EINVAL, "name the table as database.table"));
	*ret_table = n->v[n->n - 1].text;
	*ret = engine_db(c->env->engine, name);
	if (!*ret)
		return located(c, err_set(c->e, -EINVAL, "database '%.*s' does not exist", STR_FMT(name)));
	return 0;
}

static int create_database(const struct run_ctx *c)
{
	struct str name = c->stmt->names.v[0].text;
	struct db *db = NULL;

	if (!is_allowed(c, NULL, NULL))
		return denied(c, "create a database");
	int rc = engine_db_create(c->env->engine, name, &db, c->e);
	if (rc >= 0)
		db_put(db);
	return rc == -EEXIST && c->stmt->if_exists ? 0 : rc < 0 ? located(c, rc) : 0;
}

static int drop_database(const struct run_ctx *c)
{
	struct str name = c->stmt->names.v[0].text;
	struct db *db = engine_db(c->env->engine, name);

	if (!db && c->stmt->if_exists)
		return 0;
	if (!db)
		return located(c, err_set(c->e, -EINVAL, "database '%.*s' does not exist", STR_FMT(name)));
	bool ok = is_allowed(c, db, NULL);
	db_put(db);
	if (!ok)
		return denied(c, "drop this database");
	int rc = engine_db_drop(c->env->engine, name, c->e);
	return rc < 0 ? located(c, rc) : 0;
}

static int create_table(const struct run_ctx *c)
{
	struct table *t = NULL;
	struct str name = {0};
	struct db *db = NULL;

	int rc = find_db(c, &db, &name);
	if (rc < 0)
		return rc;
	if (!is_allowed(c, db, NULL)) {
		db_put(db);
		return denied(c, "create a table in this database");
	}
	rc = db_table_create(db, name, &t, c->e);
	if (rc >= 0)
		table_put(t);
	db_put(db);
	return rc == -EEXIST && c->stmt->if_exists ? 0 : rc < 0 ? located(c, rc) : 0;
}

static int drop_table(const struct run_ctx *c)
{
	struct str name = {0};
	struct db *db = NULL;

	int rc = find_db(c, &db, &name);
	if (rc < 0)
		return rc == -EINVAL && c->stmt->if_exists && c->stmt->names.n == 2 ? 0 : rc;
	struct table *t = db_table(db, name);
	if (!t) {
		rc = c->stmt->if_exists ? 0
					: located(c, err_set(c->e, -EINVAL, "table '%s.%.*s' does not exist",
							     db_name(db), STR_FMT(name)));
	} else if (!is_allowed(c, db, t)) {
		rc = denied(c, "drop this table");
	} else {
		rc = db_table_drop(db, name, false, c->e);
		if (rc < 0)
			rc = located(c, rc);
	}
	table_put(t);
	db_put(db);
	return rc;
}

static int run_stmt(const struct run_ctx *c)
{
	static const char *const unsupported[] = {
		[STMT_DELETE] = "DELETE", [STMT_INSERT] = "INSERT", [STMT_UNLOAD] = "UNLOAD"};

	switch (c->stmt->kind) {
	case STMT_CREATE_DATABASE:
		return create_database(c);
	case STMT_DROP_DATABASE:
		return drop_database(c);
	case STMT_CREATE_TABLE:
		return create_table(c);
	case STMT_DROP_TABLE:
		return drop_table(c);
	case STMT_DELETE:
	case STMT_INSERT:
	case STMT_UNLOAD:
		return err_set(c->e, -EOPNOTSUPP, "line %u:%u: %s is not supported by this version",
			       c->stmt->pos.line, c->stmt->pos.col, unsupported[c->stmt->kind]);
	default:
		return err_set(c->e, -EINVAL, "line %u:%u: this statement gives rows: read its result",
			       c->stmt->pos.line, c->stmt->pos.col);
	}
}

int query_run(const struct query_env *env, struct str text, struct err *e)
{
	struct ast_stmt **all = NULL;
	struct budget budget;
	struct arena a;
	uint32_t n = 0;

	budget_init(&budget, RUN_MEMORY);
	arena_init(&a, &budget);
	int rc = sql_parse(&a, text, &all, &n, e);
	if (rc >= 0 && n != 1)
		rc = err_set(e, -EINVAL, n ? "line 1:1: only one statement at a time"
					   : "line 1:1: there is no statement");
	if (rc >= 0) {
		struct run_ctx c = {env, all[0], e};
		rc = run_stmt(&c);
	}
	arena_release(&a);
	return rc;
}
