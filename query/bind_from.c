/*
 * Relations: what stands in FROM, as a plan and the scope of its names.
 */
#include "query/bind.h"

#include <stdio.h>

static bool is_dimension(const struct column *c)
{
	return c->kind == COLKIND_DIMENSION;
}

/* Dimensions in first-seen order, measure_name, time, then the measures: the order of SELECT *. */
static struct plan *scan_plan(struct bind *b, struct table *t)
{
	struct series_set *s = table_series(t);
	uint32_t columns = series_column_count(s), n = 0;
	struct plan *p = plan_new(b, PLAN_SCAN, columns + 2);

	if (!p)
		return NULL;
	p->table = t;
	p->table_name = arena_str(b->arena, str_from(table_name(t))).ptr;
	p->db_name = arena_str(b->arena, str_from(db_name(table_db(t)))).ptr;
	p->scan_cols = arena_array(b->arena, struct plan_scan_col, columns + 2);
	if (!p->table_name || !p->db_name || !p->scan_cols) {
		bind_nomem(b);
		return NULL;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t id = 0; id < columns; id++) {
			const struct column *c = series_column(s, id);

			if (is_dimension(c) != (pass == 0))
				continue;
			p->cols[n] = (struct plan_col){c->name, type_of_column(c->type)};
			p->scan_cols[n++] = (struct plan_scan_col){pass ? SCAN_FIELD : SCAN_DIMENSION, id};
		}
		if (pass)
			break;
		p->cols[n] = (struct plan_col){STR_LIT("measure_name"), &type_varchar};
		p->scan_cols[n++] = (struct plan_scan_col){.kind = SCAN_MEASURE_NAME};
		p->cols[n] = (struct plan_col){STR_LIT("time"), &type_timestamp};
		p->scan_cols[n++] = (struct plan_scan_col){.kind = SCAN_TIME};
	}
	return p;
}

/* The plan's columns under a relation's name. */
static int scope_of(struct bind *b, const struct plan *p, const struct ast_from *f, struct str db,
		    struct str rel, struct outer *outer, struct scope *ret)
{
	const struct ident_list *as = &f->columns;

	if (f->alias.text.ptr) {
		db = (struct str){NULL, 0};
		rel = f->alias.text;
	}
	if (as->n && as->n != p->col_count)
		return bind_fail(b, as->v[0].pos, "'%.*s' names %u columns, but there are %u", STR_FMT(rel), as->n,
				 p->col_count);
	ret->outer = outer;
	ret->n = p->col_count;
	ret->cols = arena_array(b->arena, struct scope_col, p->col_count + 1);
	if (!ret->cols)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++)
		ret->cols[i] = (struct scope_col){
			.db = db,
			.rel = rel,
			.name = as->n ? as->v[i].text : p->cols[i].name,
			.type = p->cols[i].type,
			.index = i,
		};
	return 0;
}

/* A WITH query is bound anew at each use, seeing the names that were visible where it was declared. */
static int bind_cte(struct bind *b, const struct cte *cte, struct pos at, const struct outer *outer,
		    struct plan **ret)
{
	const struct cte *all = b->ctes;
	const struct ident_list *as = &cte->with->columns;
	struct plan *p;
	int rc;

	if (cte->self)
		return bind_recursive_self(b, cte, at, ret);
	b->ctes = cte->next;
	rc = cte->is_recursive ? bind_recursive(b, cte, &p) : bind_query(b, cte->with->query, cte->outer, &p);
	b->ctes = all;
	if (rc < 0)
		return rc;
	/* Its parameters are those of the subquery that declares it, and mean nothing in another one. */
	if (cte->outer && cte->outer != outer && plan_has_outer(p))
		return bind_fail(b, at, "'%.*s' uses columns of the query around the one that declares it, and so cannot "
					"be used in a subquery of that", STR_FMT(cte->with->name.text));
	if (as->n && as->n != p->col_count)
		return bind_fail(b, as->v[0].pos, "'%.*s' names %u columns, but its query has %u",
				 STR_FMT(cte->with->name.text), as->n, p->col_count);
	for (uint32_t i = 0; i < as->n; i++)
		p->cols[i].name = as->v[i].text;
	*ret = p;
	return 0;
}

static const struct cte *find_cte(const struct bind *b, const struct ident_list *names)
{
	const struct cte *c = names->n == 1 ? b->ctes : NULL;

	while (c && !name_fits(&names->v[0], c->with->name.text))
		c = c->next;
	return c;
}

static int from_table(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
		      struct scope *ret_scope)
{
	const struct cte *cte = find_cte(b, &f->names);
	struct str db = {NULL, 0}, name = f->names.v[f->names.n - 1].text;
	struct table *t;
	int rc;

	if (cte) {
		rc = bind_cte(b, cte, f->pos, outer, ret);
	} else {
		rc = bind_table(b, &f->names, RIGHT_READ, &t);
		if (rc < 0)
			return rc;
		*ret = scan_plan(b, t);
		if (!*ret)
			return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
		db = str_from((*ret)->db_name);
	}
	return rc < 0 ? rc : scope_of(b, *ret, f, db, name, outer, ret_scope);
}

/* One row without columns. */
static int from_nothing(struct bind *b, struct outer *outer, struct plan **ret, struct scope *ret_scope)
{
	*ret = plan_new(b, PLAN_VALUES, 0);
	if (!*ret)
		return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
	(*ret)->row_count = 1;
	*ret_scope = (struct scope){.outer = outer};
	return 0;
}

/* UNNEST sees what stands left of it. */
static int from_unnest_join(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
			    struct scope *ret_scope)
{
	struct scope scope;
	struct plan *left;
	int rc = bind_from(b, f->left, outer, &left, &scope);

	return rc < 0 ? rc : bind_unnest_join(b, f, left, &scope, ret, ret_scope);
}

int bind_from(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
	      struct scope *ret_scope)
{
	const struct str none = {NULL, 0};
	struct scope scope;
	struct plan *p;
	int rc;

	if (!f)
		return from_nothing(b, outer, ret, ret_scope);
	switch (f->kind) {
	case FROM_TABLE:
		return from_table(b, f, outer, ret, ret_scope);
	case FROM_QUERY:
		rc = bind_query(b, f->query, outer, ret);
		return rc < 0 ? rc : scope_of(b, *ret, f, none, none, outer, ret_scope);
	case FROM_UNNEST:
		rc = from_nothing(b, outer, &p, &scope);
		return rc < 0 ? rc : bind_unnest(b, f, false, p, &scope, ret, ret_scope);
	case FROM_JOIN:
		f = unnest_to_left(b, f);
		if (!f)
			return bind_nomem(b);
		if (f->right->kind == FROM_UNNEST)
			return from_unnest_join(b, f, outer, ret, ret_scope);
		break;
	}
	return bind_join(b, f, outer, ret, ret_scope);
}
