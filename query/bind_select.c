/*
 * One SELECT, with the ORDER BY and LIMIT that belong to it.
 *
 *	FROM -> FILTER -> AGG -> FILTER (HAVING) -> WINDOW -> PROJECT -> distinct -> SORT -> PROJECT
 *
 * The select list, HAVING and ORDER BY are all bound over the columns of FROM first, with aggregates as
 * marks; where there are groups, they are then rewritten over the AGG node's columns: what is the
 * same as a group's expression becomes its column, a mark becomes its aggregate's, and a column that is
 * left over is the user's mistake. ORDER BY's expressions that the list does not have become hidden
 * columns, which the last PROJECT drops.
 */
#include "query/bind.h"

#include <stdio.h>

struct select {
	struct bind *b;
	const struct ast_query *q;
	const struct ast_select *s;
	struct scope scope;
	struct plan *plan;
	struct output *out; /* the list, then hidden sort columns */
	uint32_t out_n, visible, out_cap;
	struct bx_list groups;
	struct group_sets sets;
	struct aggs aggs;
	struct windows windows;
	struct bx *having;
	struct plan_key *keys; /* of the list's columns */
	bool is_grouped;
};

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

static struct bind_ctx list_ctx(struct select *s, const char *clause)
{
	return (struct bind_ctx){.b = s->b, .scope = &s->scope, .aggs = &s->aggs, .windows = &s->windows,
				 .clause = clause};
}

static int add_output(struct select *s, const struct output *o)
{
	if (s->out_n == s->out_cap) {
		uint32_t cap = s->out_cap ? s->out_cap * 2 : 16;
		struct output *v = arena_array(s->b->arena, struct output, cap);

		if (!v)
			return bind_nomem(s->b);
		if (s->out_n)
			memcpy(v, s->out, sizeof(*v) * s->out_n);
		s->out = v;
		s->out_cap = cap;
	}
	s->out[s->out_n++] = *o;
	return 0;
}

/* ---- the list --------------------------------------------------------------------------------- */

static bool star_takes(const struct ident_list *n, const struct scope_col *c)
{
	if (n->n == 0)
		return !c->qualified_only;
	if (!name_fits(&n->v[n->n - 1], c->rel))
		return false;
	return n->n == 1 || (n->n == 2 && name_fits(&n->v[0], c->db));
}

static int bind_star(struct select *s, const struct ast_expr *x)
{
	bool any = false;

	if (!s->s->from)
		return bind_fail(s->b, x->pos, "SELECT * needs a FROM");
	for (uint32_t i = 0; i < s->scope.n; i++) {
		const struct scope_col *c = &s->scope.cols[i];
		struct output o = {.name = c->name, .pos = x->pos};
		int rc;

		if (!star_takes(&x->names, c))
			continue;
		any = true;
		o.x = bx_column(s->b, c->index, c->type, x->pos);
		if (!o.x)
			return bind_nomem(s->b);
		rc = add_output(s, &o);
		if (rc < 0)
			return rc;
	}
	if (!any && x->names.n)
		return bind_fail(s->b, x->pos, "there is no table or alias '%.*s' here",
				 STR_FMT(x->names.v[x->names.n - 1].text));
	return 0;
}

/* A column of FROM as it is called there: AS t (name) may have renamed it. */
static struct str column_name(const struct select *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->scope.n; i++) {
		if (s->scope.cols[i].index == index)
			return s->scope.cols[i].name;
	}
	return s->plan->cols[index].name;
}

/* A plain column keeps its name: that of the table, however it was written. */
static struct str natural_name(const struct select *s, const struct ast_expr *x, const struct bx *v)
{
	if (v->kind == BX_COLUMN && x->kind == EX_COLUMN && v->index < s->plan->col_count)
		return column_name(s, v->index);
	if (x->kind == EX_COLUMN || x->kind == EX_FIELD)
		return x->names.v[x->names.n - 1].text;
	return (struct str){NULL, 0};
}

static int bind_items(struct select *s)
{
	struct bind_ctx c = list_ctx(s, "the select list");
	int rc = 0;

	for (uint32_t i = 0; i < s->s->items.n && rc >= 0; i++) {
		const struct ast_item *item = &s->s->items.v[i];
		struct output o = {.name = item->alias.text, .is_alias = item->alias.text.ptr != NULL,
				   .pos = item->expr->pos};

		if (item->expr->kind == EX_STAR) {
			rc = bind_star(s, item->expr);
			continue;
		}
		rc = bind_expr(&c, item->expr, &o.x);
		if (rc < 0)
			break;
		if (!o.is_alias)
			o.name = natural_name(s, item->expr, o.x);
		rc = add_output(s, &o);
	}
	s->visible = s->out_n;
	return rc;
}

/* ---- groups ------------------------------------------------------------------------------------- */

static bool is_mark(const struct bx *x, void *ctx)
{
	return x->kind == BX_COLUMN && x->index >= AGG_MARK;
}

/* GROUP BY 2, ORDER BY 2 */
static int ordinal(struct select *s, const struct ast_expr *x, const char *clause, uint32_t *ret)
{
	if (x->integer < 1 || x->integer > s->visible)
		return bind_fail(s->b, x->pos, "%s %lld: the select list has %u column%s", clause,
				 (long long)x->integer, s->visible, s->visible == 1 ? "" : "s");
	*ret = (uint32_t)x->integer - 1;
	return 0;
}

static int add_group(void *ctx, const struct ast_expr *x, uint32_t *ret)
{
	struct select *s = ctx;
	struct bind_ctx c = {.b = s->b, .scope = &s->scope, .clause = "GROUP BY", .aliases = &s->s->items};
	struct bx *g;
	uint32_t at = 0;
	int rc;

	if (x->kind == EX_INT) {
		rc = ordinal(s, x, "GROUP BY", &at);
		if (rc < 0)
			return rc;
		g = s->out[at].x;
		if (bx_any(g, is_mark, NULL))
			return bind_fail(s->b, x->pos, "GROUP BY %lld: this column holds an aggregate or a window function",
					 (long long)x->integer);
	} else {
		rc = bind_expr(&c, x, &g);
		if (rc < 0)
			return rc;
	}
	for (*ret = 0; *ret < s->groups.n; ++*ret) {
		if (bx_same(s->groups.v[*ret], g))
			return 0;
	}
	return bx_push(s->b, &s->groups, g);
}

/* Several sets have a group more: which set it is. */
static bool has_sets(const struct select *s)
{
	return s->sets.n > 1;
}

/* ---- over the groups ------------------------------------------------------------------------------ */

struct regroup {
	struct bx_swap s;
	struct select *sel;
	const char *clause;
};

static struct bx *regroup_one(struct bx_swap *sw, struct bx *x)
{
	struct regroup *r = (struct regroup *)sw;
	struct select *s = r->sel;
	struct bx *to;

	for (uint32_t i = 0; i < s->groups.n; i++) {
		if (!bx_same(s->groups.v[i], x))
			continue;
		to = bx_column(s->b, i, x->type, x->pos);
		if (!to)
			sw->rc = bind_nomem(s->b);
		return to;
	}
	if (x->kind != BX_COLUMN)
		return NULL;
	if (x->index >= WINDOW_MARK)
		return x;
	if (x->index >= GROUPING_MARK) {
		sw->rc = bind_grouping_mask(s->b, &s->aggs.groupings[x->index - GROUPING_MARK], &s->groups, &s->sets,
					    s->groups.n, &to);
		return sw->rc < 0 ? NULL : to;
	}
	if (x->index >= AGG_MARK) {
		to = bx_column(s->b, s->groups.n + has_sets(s) + (x->index - AGG_MARK), x->type, x->pos);
		if (!to)
			sw->rc = bind_nomem(s->b);
		return to;
	}
	sw->rc = bind_fail(s->b, x->pos, "column '%.*s' must appear in GROUP BY or inside an aggregate, as it stands "
					 "in %s", STR_FMT(column_name(s, x->index)), r->clause);
	return NULL;
}

static int regroup(struct select *s, const char *clause, struct bx **x)
{
	struct regroup r = {.s = {.fn = regroup_one, .b = s->b}, .sel = s, .clause = clause};
	struct bx *to = bx_swap(&r.s, *x);

	if (!to)
		return r.s.rc < 0 ? r.s.rc : -ENOMEM;
	*x = to;
	return 0;
}

static int attach_one(struct bx **x, void *ctx)
{
	return attach_expr(ctx, x);
}

/* Subqueries in groups and aggregates are joined below the AGG node. */
static int attach_below(struct select *s)
{
	struct attach a = {.b = s->b, .base = s->plan, .plan = s->plan};
	int rc = 0;

	for (uint32_t i = 0; i < s->groups.n && rc >= 0; i++)
		rc = attach_expr(&a, &s->groups.v[i]);
	for (uint32_t i = 0; i < s->aggs.n && rc >= 0; i++)
		rc = agg_each_expr(&s->aggs.v[i], attach_one, &a);
	s->plan = a.plan;
	return rc;
}

static int regroup_window(void *ctx, struct bx **x)
{
	return regroup(ctx, "a window function", x);
}

static int agg_node(struct select *s)
{
	struct bind *b = s->b;
	uint32_t group_n = s->groups.n + has_sets(s);
	struct plan *p = plan_new(b, PLAN_AGG, group_n + s->aggs.n);

	if (!p)
		return failed(b);
	p->children = arena_array(b->arena, struct plan *, 1);
	if (!p->children)
		return bind_nomem(b);
	p->children[0] = s->plan;
	p->child_count = 1;
	for (uint32_t i = 0; i < s->groups.n; i++) {
		const struct bx *g = s->groups.v[i];

		p->cols[i].type = g->type;
		p->cols[i].name = g->kind == BX_COLUMN ? s->plan->cols[g->index].name : STR_LIT("group");
	}
	if (has_sets(s)) {
		struct bx *number;
		int rc = bind_const_i64(b, &type_bigint, 0, (struct pos){0}, &number);

		if (rc >= 0)
			rc = bx_push(b, &s->groups, number);
		if (rc < 0)
			return rc;
		p->cols[group_n - 1] = (struct plan_col){STR_LIT("set"), &type_bigint};
		p->sets = s->sets.has;
		p->set_count = s->sets.n;
	}
	p->groups = s->groups.v;
	p->group_count = group_n;
	p->is_global = group_n == 0;
	p->aggs = s->aggs.v;
	p->agg_count = s->aggs.n;
	for (uint32_t i = 0; i < s->aggs.n; i++)
		p->cols[group_n + i] = (struct plan_col){str_from(s->aggs.v[i].func->name), s->aggs.v[i].type};
	s->plan = p;
	return 0;
}

/* Set after set: in which order the groups of different sets appear depends on how rows come in batches. */
static int order_sets(struct select *s)
{
	struct plan *p = plan_over(s->b, PLAN_SORT, s->plan);

	if (!p)
		return failed(s->b);
	p->keys = arena_zarray(s->b->arena, struct plan_key, 1);
	if (!p->keys)
		return bind_nomem(s->b);
	p->keys[0].col = s->groups.n - 1;
	p->key_count = 1;
	s->plan = p;
	return 0;
}

/* The list, HAVING and ORDER BY over the AGG node, and the node. */
static int apply_groups(struct select *s)
{
	int rc = 0;

	if (s->aggs.grouping_n && !s->s->group_by)
		return bind_fail(s->b, s->aggs.groupings[0].pos, "grouping() tells which groups are in a set: it needs a "
								 "GROUP BY");
	for (uint32_t i = 0; i < s->out_n && rc >= 0; i++)
		rc = regroup(s, i < s->visible ? "the select list" : "ORDER BY", &s->out[i].x);
	if (rc >= 0 && s->having)
		rc = regroup(s, "HAVING", &s->having);
	if (rc >= 0)
		rc = windows_rewrite(s->b, &s->windows, regroup_window, s);
	if (rc >= 0)
		rc = attach_below(s);
	if (rc >= 0)
		rc = agg_node(s);
	if (rc >= 0 && s->having)
		rc = attach_filter(s->b, s->plan, s->having, &s->plan);
	if (rc < 0)
		return rc;
	return has_sets(s) ? order_sets(s) : 0;
}

static int attach_window(void *ctx, struct bx **x)
{
	return attach_expr(ctx, x);
}

/* The list and ORDER BY over the WINDOW nodes, and the nodes. */
static int apply_windows(struct select *s)
{
	struct attach a = {.b = s->b, .base = s->plan, .plan = s->plan};
	int rc = windows_rewrite(s->b, &s->windows, attach_window, &a);

	if (rc >= 0)
		rc = windows_plan(s->b, &s->windows, a.plan, &s->plan);

	for (uint32_t i = 0; i < s->out_n && rc >= 0; i++)
		rc = windows_resolve(s->b, &s->windows, &s->out[i].x);
	return rc;
}

/* ---- ORDER BY --------------------------------------------------------------------------------------- */

/* The list's column with that value, or a new hidden one. */
static int sort_column(struct select *s, struct bx *x, struct pos at, uint32_t *ret)
{
	struct output hidden = {.x = x, .pos = at};

	for (uint32_t i = 0; i < s->out_n; i++) {
		if (bx_same(s->out[i].x, x)) {
			*ret = i;
			return 0;
		}
	}
	if (s->s->distinct)
		return bind_fail(s->b, at, "with SELECT DISTINCT, ORDER BY can only name columns of the select list");
	*ret = s->out_n;
	return add_output(s, &hidden);
}

static int bind_order(struct select *s)
{
	const struct order_list *l = &s->q->order;
	struct bind_ctx c = list_ctx(s, "ORDER BY");

	s->keys = arena_zarray(s->b->arena, struct plan_key, l->n + 1);
	if (!s->keys)
		return bind_nomem(s->b);
	for (uint32_t i = 0; i < l->n; i++) {
		struct bx *x;
		int rc;

		s->keys[i].desc = l->v[i].desc;
		s->keys[i].nulls_first = l->v[i].nulls == 1;
		if (l->v[i].expr->kind == EX_INT) {
			rc = ordinal(s, l->v[i].expr, "ORDER BY", &s->keys[i].col);
		} else {
			c.outputs = s->out;
			c.output_n = s->visible;
			rc = bind_expr(&c, l->v[i].expr, &x);
			if (rc >= 0)
				rc = sort_column(s, x, l->v[i].pos, &s->keys[i].col);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- putting it together ------------------------------------------------------------------------------ */

static struct str output_name(struct bind *b, const struct output *o, uint32_t i)
{
	const char *z;

	if (o->name.ptr)
		return o->name;
	z = arena_printf(b->arena, "_col%u", i);
	return z ? str_from(z) : STR_LIT("");
}

static int apply_list(struct select *s)
{
	struct attach a = {.b = s->b, .base = s->plan, .plan = s->plan};
	struct plan *p;
	int rc = 0;

	for (uint32_t i = 0; i < s->out_n && rc >= 0; i++)
		rc = attach_expr(&a, &s->out[i].x);
	if (rc < 0)
		return rc;
	p = plan_project(s->b, a.plan, s->out_n);
	if (!p)
		return failed(s->b);
	for (uint32_t i = 0; i < s->out_n; i++) {
		p->exprs[i] = s->out[i].x;
		p->cols[i] = (struct plan_col){output_name(s->b, &s->out[i], i), s->out[i].x->type};
	}
	s->plan = s->s->distinct ? plan_distinct(s->b, p) : p;
	return s->plan ? 0 : failed(s->b);
}

static int bind_where(struct select *s)
{
	struct bind_ctx c = {.b = s->b, .scope = &s->scope, .clause = "WHERE", .aliases = &s->s->items};
	struct bx *where;
	int rc = bind_condition(&c, s->s->where, "WHERE", &where);

	return rc < 0 ? rc : attach_filter(s->b, s->plan, where, &s->plan);
}

static int bind_having(struct select *s)
{
	struct bind_ctx c = list_ctx(s, "HAVING");

	c.aliases = &s->s->items;
	c.windows = NULL;
	return bind_condition(&c, s->s->having, "HAVING", &s->having);
}

int bind_select(struct bind *b, const struct ast_query *q, const struct ast_select *ast, struct outer *outer,
		struct plan **ret)
{
	struct select s = {.b = b, .q = q, .s = ast};
	int rc;

	rc = bind_from(b, ast->from, outer, &s.plan, &s.scope);
	if (rc >= 0 && ast->where)
		rc = bind_where(&s);
	if (rc >= 0 && ast->windows.n) {
		struct bind_ctx c = list_ctx(&s, "WINDOW");

		rc = bind_named_windows(&c, &ast->windows);
	}
	if (rc >= 0)
		rc = bind_items(&s);
	if (rc >= 0)
		rc = bind_group_sets(b, ast, add_group, &s, &s.sets);
	if (rc >= 0 && ast->having)
		rc = bind_having(&s);
	if (rc >= 0)
		rc = bind_order(&s);
	s.is_grouped = ast->group_by || ast->having || s.aggs.n || s.aggs.grouping_n;
	if (rc >= 0 && s.is_grouped)
		rc = apply_groups(&s);
	if (rc >= 0 && s.windows.n)
		rc = apply_windows(&s);
	if (rc >= 0)
		rc = apply_list(&s);
	return rc < 0 ? rc : bind_tail(b, q, s.plan, s.keys, q->order.n, s.visible, ret);
}
