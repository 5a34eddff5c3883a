/*
 * run_schema: CREATE and DROP. They are short: no plan, no operators.
 */
#include "query/run.h"

static int denied(const struct run *c, const char *what)
{
	return run_located(c, err_set(c->e, -EACCES, "you may not %s", what));
}

static bool is_allowed(const struct run *c, struct db *db, struct table *t)
{
	return !c->env->allowed || c->env->allowed(c->env->allowed_ctx, db, t, RIGHT_MANAGE);
}

/* The database a table statement is about: named, or the default. Given. */
static int find_db(const struct run *c, struct db **ret, struct str *ret_table)
{
	const struct ident_list *n = &c->stmt->names;
	struct str name;

	if (n->n == 2)
		name = n->v[0].text;
	else if (n->n == 1 && c->env->default_db)
		name = str_from(c->env->default_db);
	else
		return run_located(c, err_set(c->e, -EINVAL, "name the table as database.table"));
	*ret_table = n->v[n->n - 1].text;
	*ret = engine_db(c->env->engine, name);
	if (!*ret)
		return run_located(c, err_set(c->e, -ENOENT, "database '%.*s' does not exist", STR_FMT(name)));
	return 0;
}

int run_create_database(struct run *c)
{
	struct str name = c->stmt->names.v[0].text;
	struct db *db = NULL;

	if (!is_allowed(c, NULL, NULL))
		return denied(c, "create a database");
	int rc = engine_db_create(c->env->engine, name, &db, c->e);
	if (rc >= 0)
		db_put(db);
	return rc == -EEXIST && c->stmt->if_exists ? 0 : rc < 0 ? run_located(c, rc) : 0;
}

int run_drop_database(struct run *c)
{
	struct str name = c->stmt->names.v[0].text;
	struct db *db = engine_db(c->env->engine, name);

	if (!db && c->stmt->if_exists)
		return 0;
	if (!db)
		return run_located(c, err_set(c->e, -ENOENT, "database '%.*s' does not exist", STR_FMT(name)));
	bool ok = is_allowed(c, db, NULL);
	db_put(db);
	if (!ok)
		return denied(c, "drop this database");
	int rc = engine_db_drop(c->env->engine, name, c->e);
	return rc < 0 ? run_located(c, rc) : 0;
}

int run_create_table(struct run *c)
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
	return rc == -EEXIST && c->stmt->if_exists ? 0 : rc < 0 ? run_located(c, rc) : 0;
}

int run_drop_table(struct run *c)
{
	struct str name = {0};
	struct db *db = NULL;

	int rc = find_db(c, &db, &name);
	if (rc < 0)
		return rc == -EINVAL && c->stmt->if_exists && c->stmt->names.n == 2 ? 0 : rc;
	struct table *t = db_table(db, name);
	if (!t) {
		rc = c->stmt->if_exists ? 0
					: run_located(c, err_set(c->e, -ENOENT, "table '%s.%.*s' does not exist",
							     db_name(db), STR_FMT(name)));
	} else if (!is_allowed(c, db, t)) {
		rc = denied(c, "drop this table");
	} else {
		rc = db_table_drop(db, name, false, c->e);
		if (rc < 0)
			rc = run_located(c, rc);
	}
	table_put(t);
	db_put(db);
	return rc;
}
