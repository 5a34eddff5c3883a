/*
 * Joins in FROM: two relations as one, and the scope of both.
 *
 * ON and USING become the JOIN node's condition as a whole; which parts of it are keys, and what can go
 * below, is planning (push_join.c).
 *
 * USING (a): the sides' columns a stay, but are reached by their relation's name alone; in front of all
 * others stands one column a: the left's, the right's of a RIGHT JOIN, whichever is there of a FULL JOIN.
 */
#include "query/bind.h"

struct joined {
	struct bind *b;
	const struct ast_from *from;
	struct outer *outer;
	struct outer lateral; /* what a LATERAL right side takes from the left */
	struct plan *left, *right, *join;
	struct scope l, r; /* r: numbered behind the left's columns */
	/* USING: a merged column each. */
	struct scope_col *merged;
	struct bx **merged_x; /* over the JOIN's columns */
	uint32_t merged_n;
};

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

/* ---- names --------------------------------------------------------------------------------------- */

static bool same_relation(const struct scope_col *a, const struct scope_col *b)
{
	return a->rel.ptr && b->rel.ptr && str_eq(a->rel, b->rel) && !a->db.ptr == !b->db.ptr &&
	       (!a->db.ptr || str_eq(a->db, b->db));
}

/* No name may mean both of them. */
static int check_names(const struct joined *j)
{
	const struct ast_from *at = j->from->right;

	for (uint32_t i = 0; i < j->l.n; i++) {
		const struct scope_col *l = &j->l.cols[i];

		if (i && same_relation(l, l - 1))
			continue;
		for (uint32_t k = 0; k < j->r.n; k++) {
			if (same_relation(l, &j->r.cols[k]))
				return bind_fail(j->b, at->alias.text.ptr ? at->alias.pos : at->pos,
						 "FROM names '%.*s' twice: give one of them another name, as in %.*s AS x",
						 STR_FMT(l->rel), STR_FMT(l->rel));
		}
	}
	return 0;
}

/* The left's columns, then the right's, numbered through. */
static int both_scopes(struct joined *j, struct scope *ret)
{
	ret->outer = j->outer;
	ret->n = j->l.n + j->r.n;
	ret->cols = arena_array(j->b->arena, struct scope_col, ret->n + 1);
	if (!ret->cols)
		return bind_nomem(j->b);
	if (j->l.n)
		memcpy(ret->cols, j->l.cols, sizeof(*ret->cols) * j->l.n);
	if (j->r.n)
		memcpy(ret->cols + j->l.n, j->r.cols, sizeof(*ret->cols) * j->r.n);
	return 0;
}

/* ---- USING ------------------------------------------------------------------------------------------ */

/* One side's column of that name. */
static int using_column(struct joined *j, const struct scope *side, const char *which, const struct ident *name,
			struct bx **ret)
{
	struct ast_expr x = {.kind = EX_COLUMN, .pos = name->pos, .names = {(struct ident *)name, 1, 1}};
	const struct scope alone = {.cols = side->cols, .n = side->n}; /* the query around does not count */
	struct bind_ctx c = {.b = j->b, .scope = &alone, .clause = "USING"};
	bool any = false;

	for (uint32_t i = 0; i < side->n && !any; i++)
		any = !side->cols[i].qualified_only && name_fits(name, side->cols[i].name);
	if (!any)
		return bind_fail(j->b, name->pos, "USING (%.*s): the %s side of the join has no such column",
				 STR_FMT(name->text), which);
	return bind_column(&c, &x, ret);
}

static int add_using(struct joined *j, uint32_t k, struct bx **ret_equal)
{
	const struct ident *name = &j->from->using_cols.v[k];
	enum join_kind kind = j->from->join;
	const bool literal[2] = {false, false};
	struct bx *v[2], *args[2], *merged;
	const struct type *t;
	int rc;

	for (uint32_t i = 0; i < k; i++) {
		if (str_ieq(j->from->using_cols.v[i].text, name->text))
			return bind_fail(j->b, name->pos, "USING names '%.*s' twice", STR_FMT(name->text));
	}
	rc = using_column(j, &j->l, "left", name, &v[0]);
	if (rc >= 0)
		rc = using_column(j, &j->r, "right", name, &v[1]);
	if (rc < 0)
		return rc;
	memcpy(args, v, sizeof(args));
	rc = bind_func(j->b, name->pos, "=", args, NULL, 2, ret_equal);
	if (rc >= 0)
		rc = bind_common(j->b, name->pos, "USING", v, literal, 2, 1, &t);
	if (rc < 0)
		return rc;
	merged = v[kind == JOIN_RIGHT];
	if (kind == JOIN_FULL) {
		merged = bx_new(j->b, BX_COALESCE, t, name->pos, 2);
		if (!merged)
			return bind_nomem(j->b);
		memcpy(merged->args, v, sizeof(v));
	}
	j->merged_x[k] = merged;
	j->merged[k] = (struct scope_col){.name = name->text, .type = t, .is_merged = true};
	/* The sides' columns: by their relation's name alone. A merged one below is done with. */
	for (int side = 0; side < 2; side++) {
		struct scope *s = side ? &j->r : &j->l;

		for (uint32_t i = 0; i < s->n; i++) {
			if (s->cols[i].qualified_only || !name_fits(name, s->cols[i].name))
				continue;
			if (!side)
				j->merged[k].name = s->cols[i].name;
			s->cols[i].qualified_only = true;
		}
	}
	return 0;
}

static int bind_using(struct joined *j)
{
	uint32_t n = j->from->using_cols.n;
	struct bx **equal = arena_array(j->b->arena, struct bx *, n + 1);
	int rc = 0;

	j->merged = arena_zarray(j->b->arena, struct scope_col, n + 1);
	j->merged_x = arena_array(j->b->arena, struct bx *, n + 1);
	if (!equal || !j->merged || !j->merged_x)
		return bind_nomem(j->b);
	for (; j->merged_n < n && rc >= 0; j->merged_n++)
		rc = add_using(j, j->merged_n, &equal[j->merged_n]);
	if (rc < 0)
		return rc;
	j->join->where = n == 1 ? equal[0] : bx_logic(j->b, BX_AND, equal, n, j->from->pos);
	return j->join->where ? 0 : bind_nomem(j->b);
}

/* The JOIN's columns, and behind them the merged ones that are none of these. */
static int project_merged(struct joined *j, struct plan **ret)
{
	struct plan *p, *join = j->join;
	uint32_t extra = 0, n = join->col_count;

	for (uint32_t i = 0; i < j->merged_n; i++) {
		bool is_column = j->merged_x[i]->kind == BX_COLUMN;

		j->merged[i].index = is_column ? j->merged_x[i]->index : n + extra;
		extra += !is_column;
	}
	if (!extra) {
		*ret = join;
		return 0;
	}
	p = plan_project(j->b, join, n + extra);
	if (!p)
		return failed(j->b);
	for (uint32_t i = 0; i < n; i++) {
		p->cols[i] = join->cols[i];
		p->exprs[i] = bx_column(j->b, i, join->cols[i].type, j->from->pos);
		if (!p->exprs[i])
			return bind_nomem(j->b);
	}
	for (uint32_t i = 0; i < j->merged_n; i++) {
		uint32_t at = j->merged[i].index;

		if (at < n)
			continue;
		p->cols[at] = (struct plan_col){j->merged[i].name, j->merged[i].type};
		p->exprs[at] = j->merged_x[i];
	}
	*ret = p;
	return 0;
}

/* Merged columns in front; what is no one's any more goes. */
static int merged_scope(struct joined *j, struct scope *ret)
{
	struct scope both;
	uint32_t n = j->merged_n;
	int rc = both_scopes(j, &both);

	if (rc < 0)
		return rc;
	ret->outer = j->outer;
	ret->cols = arena_array(j->b->arena, struct scope_col, n + both.n + 1);
	if (!ret->cols)
		return bind_nomem(j->b);
	if (n)
		memcpy(ret->cols, j->merged, sizeof(*ret->cols) * n);
	for (uint32_t i = 0; i < both.n; i++) {
		if (!both.cols[i].qualified_only || both.cols[i].rel.ptr)
			ret->cols[n++] = both.cols[i];
	}
	ret->n = n;
	return 0;
}

/* ---- a join -------------------------------------------------------------------------------------------- */

struct plan *plan_join(struct bind *b, enum plan_join kind, struct plan *l, struct plan *r, struct pos at)
{
	bool is_half = kind == PJ_SEMI || kind == PJ_ANTI || kind == PJ_MARK;
	uint32_t right_n = is_half ? kind == PJ_MARK : r->col_count;
	struct plan *p = plan_new(b, PLAN_JOIN, l->col_count + right_n);

	if (!p)
		return NULL;
	p->children = arena_array(b->arena, struct plan *, 2);
	if (!p->children) {
		bind_nomem(b);
		return NULL;
	}
	p->children[0] = l;
	p->children[1] = r;
	p->child_count = 2;
	p->join = kind;
	p->pos = at;
	memcpy(p->cols, l->cols, sizeof(*p->cols) * l->col_count);
	if (kind == PJ_MARK)
		p->cols[l->col_count] = (struct plan_col){STR_LIT("mark"), &type_boolean};
	else if (!is_half)
		memcpy(p->cols + l->col_count, r->cols, sizeof(*p->cols) * r->col_count);
	return p;
}

static int bind_on(struct joined *j)
{
	struct scope both;
	struct bind_ctx c = {.b = j->b, .scope = &both, .clause = "ON"};
	int rc = both_scopes(j, &both);

	if (rc >= 0)
		rc = bind_condition(&c, j->from->on, "ON", &j->join->where);
	if (rc >= 0 && bx_is_true(j->join->where))
		j->join->where = NULL;
	return rc;
}

static bool is_lateral(const struct ast_from *f)
{
	return f->kind == FROM_QUERY && f->lateral;
}

/* LATERAL sees the left side, as a subquery sees the query around it. */
static int bind_right(struct joined *j)
{
	const struct ast_from *f = j->from;

	if (!is_lateral(f->right))
		return bind_from(j->b, f->right, j->outer, &j->right, &j->r);
	if (f->join == JOIN_RIGHT || f->join == JOIN_FULL)
		return bind_fail(j->b, f->right->pos, "LATERAL depends on the left side of its join, so that cannot be a "
						      "RIGHT or FULL JOIN");
	j->lateral.scope = &j->l;
	return bind_from(j->b, f->right, &j->lateral, &j->right, &j->r);
}

/* The JOIN freed of subqueries in its condition and of parameters in its right side. */
static int bind_dependent(struct joined *j)
{
	bool lateral = is_lateral(j->from->right) && j->lateral.params.n;
	struct bx *where = j->join->where;
	int rc;

	if (!lateral)
		return where && bx_has_subquery(where) ? attach_on(j->b, j->join, j->outer, &j->join) : 0;
	if (!where || !bx_has_subquery(where))
		return lateral_join(j->b, j->join, j->lateral.params.v, j->lateral.params.n, &j->join);
	if (j->join->join != PJ_INNER)
		return bind_fail(j->b, where->pos, "ON of a LEFT JOIN LATERAL cannot hold a subquery");
	j->join->where = NULL;
	rc = lateral_join(j->b, j->join, j->lateral.params.v, j->lateral.params.n, &j->join);
	return rc < 0 ? rc : attach_filter(j->b, j->join, where, &j->join);
}

int bind_join(struct bind *b, const struct ast_from *f, struct outer *outer, struct plan **ret,
	      struct scope *ret_scope)
{
	static const enum plan_join kinds[] = {
		[JOIN_INNER] = PJ_INNER, [JOIN_LEFT] = PJ_LEFT, [JOIN_RIGHT] = PJ_RIGHT,
		[JOIN_FULL] = PJ_FULL, [JOIN_CROSS] = PJ_INNER,
	};
	struct joined j = {.b = b, .from = f, .outer = outer};
	int rc = bind_from(b, f->left, outer, &j.left, &j.l);

	if (rc >= 0)
		rc = bind_right(&j);
	if (rc >= 0)
		rc = check_names(&j);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < j.r.n; i++)
		j.r.cols[i].index += j.left->col_count;
	j.join = plan_join(b, kinds[f->join], j.left, j.right, f->pos);
	if (!j.join)
		return failed(b);
	if (f->using_cols.n)
		rc = bind_using(&j);
	else if (f->on)
		rc = bind_on(&j);
	if (rc >= 0)
		rc = bind_dependent(&j);
	if (rc >= 0)
		rc = project_merged(&j, ret);
	return rc < 0 ? rc : merged_scope(&j, ret_scope);
}
