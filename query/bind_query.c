/*
 * Queries: WITH, set operations, VALUES, and what ORDER BY and LIMIT mean over these.
 */
#include "query/bind.h"

#include <stdio.h>

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

/* ---- LIMIT and ORDER BY ----------------------------------------------------------------------- */

int bind_count(struct bind *b, const struct ast_expr *x, const char *what, uint64_t *ret)
{
	const struct scope none = {.outer = NULL};
	struct bind_ctx c = {.b = b, .scope = &none, .clause = what};
	struct bx *v;
	int rc;

	if (!x)
		return 0;
	rc = bind_expr(&c, x, &v);
	if (rc < 0)
		return rc;
	if (v->kind != BX_CONST || bx_is_null(v) || (v->type->kind != TY_INTEGER && v->type->kind != TY_BIGINT))
		return bind_fail(b, x->pos, "%s takes a whole number", what);
	if (bx_i64(v) < 0)
		return bind_fail(b, x->pos, "%s must not be negative", what);
	*ret = (uint64_t)bx_i64(v);
	return 0;
}

int bind_tail(struct bind *b, const struct ast_query *q, struct plan *p, struct plan_key *keys, uint32_t key_n,
	      uint32_t visible, struct plan **ret)
{
	uint64_t limit = UINT64_MAX, offset = 0;
	int rc = bind_count(b, q->limit, "LIMIT", &limit);

	if (rc >= 0)
		rc = bind_count(b, q->offset, "OFFSET", &offset);
	if (rc < 0)
		return rc;
	if (q->with_ties && !key_n)
		return bind_fail(b, q->limit->pos, "WITH TIES needs an ORDER BY that says what ties are");
	for (uint32_t i = 0; i < key_n; i++) {
		enum type_kind k = p->cols[keys[i].col].type->kind;

		if (k == TY_TIMESERIES || k == TY_LAMBDA)
			return bind_fail(b, q->order.v[i].pos, "ORDER BY cannot compare values of type %s",
					 type_name(b->arena, p->cols[keys[i].col].type));
	}
	if (key_n || limit != UINT64_MAX || offset) {
		p = plan_over(b, key_n ? PLAN_SORT : PLAN_LIMIT, p);
		if (!p)
			return failed(b);
		p->keys = keys;
		p->key_count = key_n;
		p->limit = limit;
		p->offset = offset;
		p->with_ties = q->with_ties;
	}
	*ret = plan_head(b, p, visible);
	return *ret ? 0 : failed(b);
}

/* ORDER BY over what is no SELECT of its own: names, numbers, or expressions of its columns. */
int bind_ordered(struct bind *b, const struct ast_query *q, struct plan *p, struct outer *outer, struct plan **ret)
{
	const struct order_list *l = &q->order;
	struct plan_key *keys = arena_zarray(b->arena, struct plan_key, l->n + 1);
	struct scope scope = {.outer = outer, .n = p->col_count};
	struct bind_ctx c = {.b = b, .scope = &scope, .clause = "ORDER BY"};
	struct bx_list extra = {0};
	uint32_t visible = p->col_count;

	scope.cols = arena_zarray(b->arena, struct scope_col, p->col_count + 1);
	if (!keys || !scope.cols)
		return bind_nomem(b);
	for (uint32_t i = 0; i < p->col_count; i++)
		scope.cols[i] = (struct scope_col){.name = p->cols[i].name, .type = p->cols[i].type, .index = i};
	for (uint32_t i = 0; i < l->n; i++) {
		const struct ast_expr *x = l->v[i].expr;
		struct bx *v;
		int rc;

		keys[i].desc = l->v[i].desc;
		keys[i].nulls_first = l->v[i].nulls == 1;
		if (x->kind == EX_INT) {
			if (x->integer < 1 || x->integer > visible)
				return bind_fail(b, x->pos, "ORDER BY %lld: there are %u columns",
						 (long long)x->integer, visible);
			keys[i].col = (uint32_t)x->integer - 1;
			continue;
		}
		rc = bind_expr(&c, x, &v);
		if (rc < 0)
			return rc;
		if (v->kind == BX_COLUMN) {
			keys[i].col = v->index;
			continue;
		}
		keys[i].col = visible + extra.n;
		rc = bx_push(b, &extra, v);
		if (rc < 0)
			return rc;
	}
	if (extra.n) {
		struct attach a = {.b = b, .base = p, .plan = p};
		int rc = 0;

		for (uint32_t i = 0; i < extra.n && rc >= 0; i++)
			rc = attach_expr(&a, &extra.v[i]);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < l->n; i++) {
			if (keys[i].col >= visible) /* behind what was joined */
				keys[i].col += a.plan->col_count - visible;
		}
		p = plan_extend(b, a.plan, extra.v, extra.n, STR_LIT("sort"));
		if (!p)
			return failed(b);
	}
	return bind_tail(b, q, p, keys, l->n, visible, ret);
}

/* ---- VALUES ------------------------------------------------------------------------------------- */

/* The columns of one row: those of a ROW, or the expression itself. */
static const struct ast_expr *const *row_cells(const struct ast_body *v, uint32_t i, uint32_t *ret_n)
{
	const struct ast_expr *x = v->values.v[i];

	if (x->kind == EX_ROW) {
		*ret_n = x->list.n;
		return (const struct ast_expr *const *)x->list.v;
	}
	*ret_n = 1;
	return (const struct ast_expr *const *)&v->values.v[i];
}

/* All cells, row by row, each column of one type. */
static int bind_cells(struct bind *b, const struct ast_body *v, struct outer *outer, struct bx ***ret,
		      uint32_t *ret_cols)
{
	const struct scope none = {.outer = outer};
	struct bind_ctx c = {.b = b, .scope = &none, .clause = "VALUES"};
	uint32_t rows = v->values.n, cols, n;
	struct bx **cells;
	bool *literal;

	row_cells(v, 0, &cols);
	cells = arena_zarray(b->arena, struct bx *, (size_t)rows * cols + 1);
	literal = arena_zarray(b->arena, bool, (size_t)rows * cols + 1);
	if (!cells || !literal)
		return bind_nomem(b);
	for (uint32_t i = 0; i < rows; i++) {
		const struct ast_expr *const *row = row_cells(v, i, &n);

		if (n != cols)
			return bind_fail(b, v->values.v[i]->pos, "this row of VALUES has %u column%s, the first has %u",
					 n, n == 1 ? "" : "s", cols);
		for (uint32_t k = 0; k < cols; k++) {
			int rc = bind_expr(&c, row[k], &cells[(size_t)i * cols + k]);

			if (rc < 0)
				return rc;
			literal[(size_t)i * cols + k] = row[k]->kind == EX_STRING;
		}
	}
	for (uint32_t k = 0; k < cols; k++) {
		const struct type *t;
		int rc = bind_common(b, v->pos, "VALUES", cells + k, literal + k, rows * cols - k, cols, &t);

		if (rc < 0)
			return rc;
	}
	*ret = cells;
	*ret_cols = cols;
	return 0;
}

static int name_columns(struct bind *b, struct plan *p, struct bx *const *first)
{
	for (uint32_t k = 0; k < p->col_count; k++) {
		const char *z = arena_printf(b->arena, "_col%u", k);

		if (!z)
			return bind_nomem(b);
		p->cols[k] = (struct plan_col){str_from(z), first[k]->type};
	}
	return 0;
}

static int constant_rows(struct bind *b, struct bx *const *cells, uint32_t rows, uint32_t cols, struct plan **ret)
{
	struct plan *p = plan_new(b, PLAN_VALUES, cols);
	int rc;

	if (!p)
		return failed(b);
	rc = name_columns(b, p, cells);
	p->row_count = rows;
	p->values = arena_zarray(b->arena, struct vec, cols + 1);
	if (!p->values)
		return bind_nomem(b);
	for (uint32_t k = 0; k < cols && rc >= 0; k++) {
		struct vec_builder vb;

		rc = vb_init(&vb, cells[k]->type, rows, b->arena, b->e);
		for (uint32_t i = 0; i < rows && rc >= 0; i++)
			rc = vb_add(&vb, &cells[(size_t)i * cols + k]->value, 0, b->e);
		if (rc >= 0)
			vb_finish(&vb, &p->values[k]);
	}
	*ret = p;
	return rc;
}

/* Rows with random() or 1/0 in them are worked out when they are read: a PROJECT each. */
static int computed_rows(struct bind *b, struct bx **cells, uint32_t rows, uint32_t cols, struct plan **ret)
{
	struct plan *all = plan_new(b, PLAN_UNION, cols);
	int rc;

	if (!all)
		return failed(b);
	rc = name_columns(b, all, cells);
	all->children = arena_array(b->arena, struct plan *, rows);
	if (!all->children)
		return bind_nomem(b);
	all->child_count = rows;
	for (uint32_t i = 0; i < rows && rc >= 0; i++) {
		struct plan *one = plan_new(b, PLAN_VALUES, 0), *p;
		struct attach a = {.b = b};

		if (!one)
			return failed(b);
		one->row_count = 1;
		a.base = a.plan = one;
		for (uint32_t k = 0; k < cols && rc >= 0; k++)
			rc = attach_expr(&a, &cells[(size_t)i * cols + k]);
		if (rc < 0)
			return rc;
		p = plan_project(b, a.plan, cols);
		if (!p)
			return failed(b);
		memcpy(p->cols, all->cols, sizeof(*p->cols) * cols);
		memcpy(p->exprs, cells + (size_t)i * cols, sizeof(*p->exprs) * cols);
		all->children[i] = p;
	}
	*ret = all;
	return rc;
}

int bind_values(struct bind *b, const struct ast_body *v, struct outer *outer, struct plan **ret)
{
	struct bx **cells = NULL;
	uint32_t cols = 0;
	int rc = bind_cells(b, v, outer, &cells, &cols);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < (size_t)v->values.n * cols; i++) {
		if (cells[i]->kind != BX_CONST)
			return computed_rows(b, cells, v->values.n, cols, ret);
	}
	return constant_rows(b, cells, v->values.n, cols, ret);
}

/* ---- UNION, INTERSECT, EXCEPT ----------------------------------------------------------------------- */

int bind_body(struct bind *b, const struct ast_body *body, struct outer *outer, struct plan **ret)
{
	const struct ast_query alone = {.pos = body->pos};

	switch (body->kind) {
	case BODY_SELECT:
		return bind_select(b, &alone, body->select, outer, ret);
	case BODY_VALUES:
		return bind_values(b, body, outer, ret);
	case BODY_QUERY:
		return bind_query(b, body->query, outer, ret);
	case BODY_SET:
		break;
	}
	return bind_set(b, body, outer, ret);
}

static const char *set_name(enum set_op op)
{
	return op == SET_UNION ? "UNION" : op == SET_INTERSECT ? "INTERSECT" : "EXCEPT";
}

/* side's columns as the types of the set; tag >= 0: with a column that says which side it was. */
static int set_side(struct bind *b, struct plan *side, const struct plan *set, uint32_t cols, int tag,
		    struct plan **ret)
{
	bool same = tag < 0;
	struct plan *p;
	int rc = 0;

	for (uint32_t i = 0; i < cols && same; i++)
		same = type_equal(side->cols[i].type, set->cols[i].type);
	if (same) {
		*ret = side;
		return 0;
	}
	p = plan_project(b, side, cols + (tag >= 0));
	if (!p)
		return failed(b);
	for (uint32_t i = 0; i < cols && rc >= 0; i++) {
		struct bx *x = bx_column(b, i, side->cols[i].type, (struct pos){0});

		if (!x)
			return bind_nomem(b);
		rc = bind_coerce(b, x, set->cols[i].type, false, &p->exprs[i]);
		p->cols[i] = set->cols[i];
	}
	if (rc >= 0 && tag >= 0) {
		rc = bind_const_bool(b, tag, (struct pos){0}, &p->exprs[cols]);
		p->cols[cols] = (struct plan_col){STR_LIT("side"), &type_boolean};
	}
	*ret = p;
	return rc;
}

int bind_cast_cols(struct bind *b, struct plan *p, const struct plan_col *cols, struct plan **ret)
{
	const struct plan like = {.cols = (struct plan_col *)cols};

	return set_side(b, p, &like, p->col_count, -1, ret);
}

static int set_types(struct bind *b, const struct ast_body *body, const struct plan *l, const struct plan *r,
		     struct plan_col *cols)
{
	if (l->col_count != r->col_count)
		return bind_fail(b, body->pos, "%s: the first query has %u columns, the second %u", set_name(body->op),
				 l->col_count, r->col_count);
	for (uint32_t i = 0; i < l->col_count; i++) {
		const struct type *t = type_common(b->arena, l->cols[i].type, r->cols[i].type);

		if (!t)
			return bind_fail(b, body->pos, "%s: column %u is %s on one side and %s on the other",
					 set_name(body->op), i + 1, type_name(b->arena, l->cols[i].type),
					 type_name(b->arena, r->cols[i].type));
		cols[i] = (struct plan_col){l->cols[i].name, t};
	}
	return 0;
}

/* Is the row there with that side? An aggregate of its own, from the registry. */
static int side_agg(struct bind *b, const char *func, uint32_t side_col, struct plan_agg *a)
{
	const struct type *type = &type_boolean, **types;
	const struct vec **consts = arena_zarray(b->arena, const struct vec *, 1);
	struct func_match m;
	int rc = func_resolve(b->arena, str_from(func), &type, NULL, 1, &m, b->e);

	if (rc < 0)
		return rc;
	types = arena_array(b->arena, const struct type *, 1);
	a->args = arena_array(b->arena, struct bx *, 1);
	if (!types || !a->args || !consts)
		return bind_nomem(b);
	types[0] = type;
	a->args[0] = bx_column(b, side_col, type, (struct pos){0});
	if (!a->args[0])
		return bind_nomem(b);
	a->func = m.func;
	a->argc = 1;
	a->arg_types = types;
	a->const_args = (const struct vec *const *)consts;
	a->type = m.ret;
	return 0;
}

/* Equal rows of a side are told apart by a number: with ALL each counts, and its like on the other side. */
static struct plan *number_rows(struct bind *b, struct plan *both)
{
	uint32_t *all = arena_array(b->arena, uint32_t, both->col_count);

	if (!all) {
		bind_nomem(b);
		return NULL;
	}
	for (uint32_t i = 0; i < both->col_count; i++)
		all[i] = i;
	return plan_row_number(b, both, all, both->col_count, NULL, 0);
}

/*
 * Rows of both sides with their side (column `cols`), grouped by everything else: a row of INTERSECT came
 * from both (some FALSE, some TRUE), one of EXCEPT only from the first (no TRUE).
 */
static int by_sides(struct bind *b, const struct ast_body *body, struct plan *both, uint32_t cols, struct plan **ret)
{
	uint32_t groups = both->col_count - 1;
	struct plan *agg = plan_new(b, PLAN_AGG, groups + 2);
	struct bx *every, *any, *where, *args[2];
	int rc = 0;

	if (!agg)
		return failed(b);
	agg->children = arena_array(b->arena, struct plan *, 1);
	agg->groups = arena_array(b->arena, struct bx *, groups + 1);
	agg->aggs = arena_zarray(b->arena, struct plan_agg, 2);
	if (!agg->children || !agg->groups || !agg->aggs)
		return bind_nomem(b);
	agg->children[0] = both;
	agg->child_count = 1;
	agg->group_count = groups;
	agg->agg_count = 2;
	for (uint32_t i = 0; i < groups; i++) {
		uint32_t from = i < cols ? i : i + 1;

		agg->cols[i] = both->cols[from];
		agg->groups[i] = bx_column(b, from, both->cols[from].type, (struct pos){0});
		if (!agg->groups[i])
			return bind_nomem(b);
	}
	rc = side_agg(b, "bool_and", cols, &agg->aggs[0]);
	if (rc >= 0)
		rc = side_agg(b, "bool_or", cols, &agg->aggs[1]);
	if (rc < 0)
		return rc;
	agg->cols[groups] = (struct plan_col){STR_LIT("all"), &type_boolean};
	agg->cols[groups + 1] = (struct plan_col){STR_LIT("any"), &type_boolean};
	every = bx_column(b, groups, &type_boolean, body->pos);
	any = bx_column(b, groups + 1, &type_boolean, body->pos);
	if (!every || !any)
		return bind_nomem(b);
	rc = bind_func(b, body->pos, "not", body->op == SET_INTERSECT ? &every : &any, NULL, 1, &args[0]);
	if (rc < 0)
		return rc;
	args[1] = any;
	where = body->op == SET_INTERSECT ? bx_logic(b, BX_AND, args, 2, body->pos) : args[0];
	if (!where)
		return bind_nomem(b);
	agg = plan_filter(b, agg, where);
	*ret = agg ? plan_head(b, agg, cols) : NULL;
	return *ret ? 0 : failed(b);
}

/* INTERSECT, EXCEPT. */
static int bind_sides(struct bind *b, const struct ast_body *body, struct plan *left, struct plan *right,
		      struct plan **ret)
{
	struct plan *sides[2] = {left, right}, *p;
	uint32_t cols = left->col_count;
	int rc;

	p = plan_new(b, PLAN_UNION, cols + 1);
	if (!p)
		return failed(b);
	p->children = arena_array(b->arena, struct plan *, 2);
	if (!p->children)
		return bind_nomem(b);
	p->child_count = 2;
	rc = set_types(b, body, left, right, p->cols);
	for (int i = 0; i < 2 && rc >= 0; i++)
		rc = set_side(b, sides[i], p, cols, i, &p->children[i]);
	if (rc < 0)
		return rc;
	p->cols[cols] = (struct plan_col){STR_LIT("side"), &type_boolean};
	if (body->all)
		p = number_rows(b, p);
	return p ? by_sides(b, body, p, cols, ret) : failed(b);
}

/* Side i > 0 stands on the right of links[i - 1]; the last link says what becomes of equal rows. */
static int bind_union(struct bind *b, const struct ast_body *const *links, struct plan **sides, uint32_t n,
		      struct plan **ret)
{
	uint32_t cols = sides[0]->col_count;
	struct plan *p = plan_new(b, PLAN_UNION, cols);
	int rc = 0;

	if (!p)
		return failed(b);
	p->children = arena_array(b->arena, struct plan *, n);
	if (!p->children)
		return bind_nomem(b);
	p->child_count = n;
	memcpy(p->cols, sides[0]->cols, sizeof(*p->cols) * cols);
	for (uint32_t i = 1; i < n && rc >= 0; i++)
		rc = set_types(b, links[i - 1], p, sides[i], p->cols);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = set_side(b, sides[i], p, cols, -1, &p->children[i]);
	if (rc < 0)
		return rc;
	*ret = links[n - 2]->all ? p : plan_distinct(b, p);
	return *ret ? 0 : failed(b);
}

/* Left and right, as one type a column. */
int bind_set_of(struct bind *b, const struct ast_body *body, struct plan *left, struct plan *right, struct plan **ret)
{
	if (body->op == SET_UNION)
		return bind_union(b, &body, (struct plan *[]){left, right}, 2, ret);
	return bind_sides(b, body, left, right, ret);
}

int bind_set(struct bind *b, const struct ast_body *body, struct outer *outer, struct plan **ret)
{
	const struct ast_body *first = body, **links;
	struct plan **sides;
	uint32_t n = 2;
	int rc;

	for (; ast_body_goes_on(first); first = first->left)
		n++;
	links = arena_array(b->arena, const struct ast_body *, n);
	sides = arena_array(b->arena, struct plan *, n);
	if (!links || !sides)
		return bind_nomem(b);
	for (uint32_t i = n - 1; i > 0; i--, body = body->left)
		links[i - 1] = body;
	rc = bind_body(b, first->left, outer, &sides[0]);
	for (uint32_t i = 1; i < n && rc >= 0; i++)
		rc = bind_body(b, links[i - 1]->right, outer, &sides[i]);
	if (rc < 0)
		return rc;
	return n > 2 ? bind_union(b, links, sides, n, ret) : bind_set_of(b, first, sides[0], sides[1], ret);
}

/* ---- queries ---------------------------------------------------------------------------------------- */

static int bind_query_body(struct bind *b, const struct ast_query *q, struct outer *outer, struct plan **ret)
{
	struct plan *p;
	int rc;

	if (q->body->kind == BODY_SELECT)
		return bind_select(b, q, q->body->select, outer, ret);
	rc = bind_body(b, q->body, outer, &p);
	return rc < 0 ? rc : bind_ordered(b, q, p, outer, ret);
}

int bind_deeper(struct bind *b, struct pos at)
{
	if (b->depth >= SQL_DEPTH_MAX / SQL_QUERY_DEPTH)
		return err_set(b->e, -E2BIG, "line %u:%u: queries are nested deeper than %d levels; WITH queries count "
					     "where they are used", at.line, at.col,
			       SQL_DEPTH_MAX / SQL_QUERY_DEPTH);
	b->depth++;
	return 0;
}

int bind_query(struct bind *b, const struct ast_query *q, struct outer *outer, struct plan **ret)
{
	const struct cte *outside = b->ctes;
	struct cte *own;
	int rc;

	rc = bind_deeper(b, q->pos);
	if (rc < 0)
		return rc;
	own = arena_zarray(b->arena, struct cte, q->with.n + 1);
	if (!own)
		return bind_nomem(b);
	for (uint32_t i = 0; i < q->with.n; i++) {
		own[i] = (struct cte){b->ctes, &q->with.v[i], outer, q->recursive, NULL};
		b->ctes = &own[i];
		for (uint32_t k = 0; k < i; k++) {
			if (str_ieq(q->with.v[k].name.text, q->with.v[i].name.text))
				return bind_fail(b, q->with.v[i].name.pos, "WITH names '%.*s' twice",
						 STR_FMT(q->with.v[i].name.text));
		}
	}
	rc = bind_query_body(b, q, outer, ret);
	b->depth--;
	b->ctes = outside;
	return rc;
}
