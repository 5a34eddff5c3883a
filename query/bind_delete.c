/*
 * DELETE FROM table WHERE condition, as a plan.
 *
 * The condition is bound and pushed down as that of a SELECT. What then remains decides how:
 *
 *	nothing    the SCAN's series and its time range are what goes. Its rows are only counted.
 *	a FILTER, or subqueries
 *	           its condition becomes a column beside series and time, and not a filter: who deletes
 *	           must see the rows that stay, too, to know where a range of rows that go ends.
 */
#include "query/bind.h"

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

struct plan *plan_change(struct bind *b, enum plan_kind kind, struct table *t, struct plan *child, struct pos at)
{
	struct plan *p = plan_new(b, kind, 1);

	if (!p)
		return NULL;
	p->cols[0] = (struct plan_col){STR_LIT("rows"), &type_bigint};
	p->table = t;
	p->table_name = arena_str(b->arena, str_from(table_name(t))).ptr;
	p->db_name = arena_str(b->arena, str_from(db_name(table_db(t)))).ptr;
	p->children = arena_array(b->arena, struct plan *, 1);
	p->pos = at;
	if (!p->table_name || !p->db_name || !p->children) {
		bind_nomem(b);
		return NULL;
	}
	p->children[0] = child;
	p->child_count = 1;
	return p;
}

/* The condition over the scan, pushed down; *late: conjuncts with subqueries, and what these guard. */
static int bind_where(struct bind *b, const struct ast_stmt *s, const struct scope *scope, struct plan **p,
		      struct bx_list *late)
{
	struct bind_ctx c = {.b = b, .scope = scope, .clause = "WHERE"};
	struct bx_list early = {0};
	struct bx *where;
	int rc;

	if (!s->where)
		return plan_pushdown(b, *p, p);
	rc = bind_condition(&c, s->where, "WHERE", &where);
	if (rc >= 0)
		rc = attach_order(b, where, &early, late);
	if (rc < 0)
		return rc;
	if (early.n) {
		where = early.n == 1 ? early.v[0] : bx_logic(b, BX_AND, early.v, early.n, where->pos);
		*p = where ? plan_filter(b, *p, where) : NULL;
	}
	return *p ? plan_pushdown(b, *p, p) : failed(b);
}

/* The scan with one column more: the series. */
static int add_series(struct bind *b, struct plan *scan)
{
	uint32_t n = scan->col_count;
	struct plan_col *cols = arena_array(b->arena, struct plan_col, n + 2);
	struct plan_scan_col *from = arena_array(b->arena, struct plan_scan_col, n + 1);

	if (!cols || !from)
		return bind_nomem(b);
	memcpy(cols, scan->cols, sizeof(*cols) * n);
	memcpy(from, scan->scan_cols, sizeof(*from) * n);
	cols[n] = (struct plan_col){STR_LIT("series"), &type_bigint};
	from[n] = (struct plan_scan_col){.kind = SCAN_SERIES};
	scan->cols = cols;
	scan->scan_cols = from;
	scan->col_count = n + 1;
	return 0;
}

/* where AND late over the scan: the subqueries in it are joined, and every row of the scan comes out of that once. */
static int attach_late(struct bind *b, struct plan *scan, struct bx *where, const struct bx_list *late,
		       struct plan **ret, struct bx **ret_where)
{
	struct attach a = {.b = b, .base = scan, .plan = scan};
	struct bx_list all = {0};
	int rc = 0;

	if (where)
		a.base = plan_filter(b, scan, where); /* whose parameters count */
	if (!a.base)
		return failed(b);
	if (where)
		rc = bx_push(b, &all, where);
	for (uint32_t i = 0; i < late->n && rc >= 0; i++)
		rc = bx_push(b, &all, late->v[i]);
	if (rc < 0)
		return rc;
	*ret_where = all.n == 1 ? all.v[0] : bx_logic(b, BX_AND, all.v, all.n, all.v[0]->pos);
	rc = *ret_where ? attach_expr(&a, ret_where) : bind_nomem(b);
	*ret = a.plan;
	return rc;
}

/* Series, time and the condition, of every row. */
static int judge_rows(struct bind *b, struct plan *scan, struct bx *where, const struct bx_list *late,
		      struct plan **ret)
{
	uint32_t time = 0, series;
	struct plan *p, *rows = scan;
	int rc = add_series(b, scan);

	series = scan->col_count - 1;
	if (rc >= 0 && late->n)
		rc = attach_late(b, scan, where, late, &rows, &where);
	if (rc < 0)
		return rc;
	p = plan_project(b, rows, 3);
	if (!p)
		return failed(b);
	while (scan->scan_cols[time].kind != SCAN_TIME)
		time++;
	p->exprs[0] = bx_column(b, series, &type_bigint, where->pos);
	p->exprs[1] = bx_column(b, time, &type_timestamp, where->pos);
	p->exprs[2] = where;
	if (!p->exprs[0] || !p->exprs[1])
		return bind_nomem(b);
	p->cols[0] = (struct plan_col){STR_LIT("series"), &type_bigint};
	p->cols[1] = (struct plan_col){STR_LIT("time"), &type_timestamp};
	p->cols[2] = (struct plan_col){STR_LIT("goes"), &type_boolean};
	if (late->n) /* nothing stands above the rows, so only the subqueries change */
		rc = plan_pushdown(b, p, &p);
	return rc < 0 ? rc : plan_prune(b, p, ret);
}

/* The scan without any column but those that choose series. */
static int count_rows(struct bind *b, struct plan *scan, struct plan **ret)
{
	struct plan *p = plan_project(b, scan, 0);
	int rc = p ? plan_prune(b, p, &p) : failed(b);

	if (rc >= 0)
		*ret = p->children[0];
	return rc;
}

int bind_delete(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	const struct ident *name = &s->names.v[s->names.n - 1];
	struct ast_from from = {.kind = FROM_TABLE, .pos = name->pos, .names = s->names, .alias = s->alias};
	struct bx_list late = {0};
	struct bx *where = NULL;
	struct scope scope;
	struct table *t;
	struct plan *p;
	int rc = bind_table(b, &s->names, RIGHT_DELETE, &t);

	if (rc >= 0) /* it tells how many rows there were: that takes the right to read, too */
		rc = bind_from(b, &from, NULL, &p, &scope);
	if (rc >= 0)
		rc = bind_where(b, s, &scope, &p, &late);
	if (rc < 0)
		return rc;
	if (p->kind == PLAN_FILTER) {
		where = p->where;
		p = p->children[0];
	}
	if (p->kind != PLAN_SCAN)
		return bind_no_yet(b, s->where->pos, "this condition in DELETE");
	rc = where || late.n ? judge_rows(b, p, where, &late, &p) : count_rows(b, p, &p);
	if (rc < 0)
		return rc;
	*ret = plan_change(b, PLAN_DELETE, t, p, name->pos);
	return *ret ? 0 : failed(b);
}
