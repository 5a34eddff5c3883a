/*
 * UNNEST: lists as rows. Its arguments see what stands left of it in FROM, as if it were LATERAL.
 *
 *	array of rows   a column a field, named as the fields are
 *	timeseries      time, value
 *	other arrays    one column, without a name
 *
 * With ordinality a bigint follows. AS u (a, b) names all of these.
 */
#include "query/bind.h"

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

/* The columns of a list of that type. */
static uint32_t width(const struct type *t)
{
	const struct type *elem = type_list_elem(t);

	return elem->kind == TY_ROW ? elem->field_count : 1;
}

static int bind_lists(struct bind *b, const struct ast_from *f, const struct scope *left, struct bx ***ret,
		      uint32_t *ret_width)
{
	struct bind_ctx c = {.b = b, .scope = left, .clause = "UNNEST"};
	bool *literal;
	uint32_t n = f->ordinality;
	int rc = bind_exprs(&c, &f->exprs, ret, &literal);

	for (uint32_t i = 0; i < f->exprs.n && rc >= 0; i++) {
		const struct bx *x = (*ret)[i];

		if (type_layout(x->type) != LAYOUT_LIST)
			return bind_fail(b, f->exprs.v[i]->pos, "UNNEST takes arrays and timeseries, not %s%s",
					 x->type->kind == TY_UNKNOWN ? "NULL" : type_name(b->arena, x->type),
					 x->type->kind == TY_UNKNOWN ? "; CAST(NULL AS array(...)) has a type" : "");
		n += width(x->type);
	}
	*ret_width = n;
	return rc;
}

/* Columns being added to a plan and to its scope, which may name fewer of the plan's columns, or one twice. */
struct adding {
	struct plan *plan;
	struct scope *scope;
	uint32_t at; /* in the plan */
};

/* A column; name without ptr: it can only be had by AS u (...). */
static void put_column(struct adding *a, struct plan_item item, struct str name, const char *shown,
		       const struct type *t)
{
	a->plan->items[a->at] = item;
	a->plan->cols[a->at] = (struct plan_col){name.ptr ? name : str_from(shown), t};
	a->scope->cols[a->scope->n++] = (struct scope_col){.name = name, .type = t, .index = a->at++};
}

static void put_list(struct adding *a, uint32_t list)
{
	const struct type *elem = type_list_elem(a->plan->lists[list]->type);
	const struct str none = {NULL, 0};

	if (elem->kind != TY_ROW) {
		put_column(a, (struct plan_item){ITEM_ELEMENT, list, 0}, none, "element", elem);
		return;
	}
	for (uint32_t i = 0; i < elem->field_count; i++)
		put_column(a, (struct plan_item){ITEM_FIELD, list, i}, elem->fields[i].name, "field",
			   elem->fields[i].type);
}

/* AS u, AS u (a, b): the columns from `from` on. */
static int put_alias(struct bind *b, const struct ast_from *f, struct plan *p, struct scope *s, uint32_t from)
{
	uint32_t n = s->n - from;

	if (f->columns.n && f->columns.n != n)
		return bind_fail(b, f->columns.v[0].pos, "'%.*s' names %u columns, but UNNEST gives %u%s",
				 STR_FMT(f->alias.text), f->columns.n, n,
				 f->ordinality ? " with the ordinality" : "");
	for (uint32_t i = 0; i < n; i++) {
		s->cols[from + i].rel = f->alias.text;
		if (f->columns.n)
			p->cols[s->cols[from + i].index].name = s->cols[from + i].name = f->columns.v[i].text;
	}
	return 0;
}

int bind_unnest(struct bind *b, const struct ast_from *f, bool keep_empty, struct plan *left,
		const struct scope *left_scope, struct plan **ret, struct scope *ret_scope)
{
	uint32_t extra = 0, n = left->col_count;
	struct scope s = {.outer = left_scope->outer, .n = left_scope->n};
	struct attach sub = {.b = b, .base = left, .plan = left};
	struct bx **lists = NULL;
	struct plan *p;
	int rc = bind_lists(b, f, left_scope, &lists, &extra);

	for (uint32_t i = 0; i < f->exprs.n && rc >= 0; i++)
		rc = attach_expr(&sub, &lists[i]);
	if (rc < 0)
		return rc;
	p = plan_new(b, PLAN_UNNEST, n + extra);
	if (!p)
		return failed(b);
	p->children = arena_array(b->arena, struct plan *, 1);
	p->items = arena_array(b->arena, struct plan_item, n + extra + 1);
	s.cols = arena_array(b->arena, struct scope_col, s.n + extra + 1);
	if (!p->children || !p->items || !s.cols)
		return bind_nomem(b);
	p->children[0] = sub.plan;
	p->child_count = 1;
	p->lists = lists;
	p->list_count = f->exprs.n;
	p->keep_empty = keep_empty;
	for (uint32_t i = 0; i < n; i++) {
		p->items[i] = (struct plan_item){.kind = ITEM_CHILD, .index = i};
		p->cols[i] = left->cols[i];
	}
	if (s.n)
		memcpy(s.cols, left_scope->cols, sizeof(*s.cols) * s.n);
	struct adding a = {.plan = p, .scope = &s, .at = n};
	for (uint32_t i = 0; i < p->list_count; i++)
		put_list(&a, i);
	if (f->ordinality)
		put_column(&a, (struct plan_item){.kind = ITEM_NUMBER}, (struct str){NULL, 0}, "ordinality", &type_bigint);
	*ret = p;
	*ret_scope = s;
	return put_alias(b, f, p, ret_scope, left_scope->n);
}

/* Does the leftmost of these joins begin with an UNNEST whose rows all of them keep apart? */
static bool begins_with_unnest(const struct ast_from *f)
{
	while (f->kind == FROM_JOIN && f->join != JOIN_RIGHT && f->join != JOIN_FULL)
		f = f->left;
	return f->kind == FROM_UNNEST;
}

/* The comma binds less than JOIN, but UNNEST is to see what stands left of the comma, too. */
const struct ast_from *unnest_to_left(struct bind *b, const struct ast_from *f)
{
	struct ast_from *top, *comma;
	const struct ast_from *right = f->right;

	if (f->join != JOIN_CROSS || right->kind != FROM_JOIN || !begins_with_unnest(right))
		return f;
	top = arena_new(b->arena, struct ast_from);
	comma = arena_new(b->arena, struct ast_from);
	if (!top || !comma)
		return NULL;
	*comma = *f;
	comma->right = right->left;
	*top = *right;
	top->left = comma; /* where UNNEST is deeper in there, it is looked at when this is bound */
	return top;
}

int bind_unnest_join(struct bind *b, const struct ast_from *join, struct plan *left, const struct scope *left_scope,
		     struct plan **ret, struct scope *ret_scope)
{
	struct bind_ctx c = {.b = b, .scope = ret_scope, .clause = "ON"};
	struct bx *on = NULL;
	int rc;

	if (join->join == JOIN_RIGHT || join->join == JOIN_FULL)
		return bind_fail(b, join->pos, "%s JOIN cannot have UNNEST on its right, which is worked out for each row "
					       "of the left; write (SELECT * FROM UNNEST(...)) where it needs none",
				 join->join == JOIN_RIGHT ? "RIGHT" : "FULL");
	if (join->using_cols.n)
		return bind_fail(b, join->using_cols.v[0].pos, "a join with UNNEST takes no USING; write CROSS JOIN UNNEST "
							       "and a condition in WHERE");
	rc = bind_unnest(b, join->right, join->join == JOIN_LEFT, left, left_scope, ret, ret_scope);
	if (rc >= 0 && join->on)
		rc = bind_condition(&c, join->on, "ON", &on);
	if (rc < 0 || !on || bx_is_true(on))
		return rc;
	if (join->join == JOIN_LEFT)
		return bind_fail(b, join->on->pos, "LEFT JOIN UNNEST takes no condition but ON TRUE; others belong to "
						   "WHERE");
	return attach_filter(b, *ret, on, ret);
}
