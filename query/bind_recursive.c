/*
 * WITH RECURSIVE name AS ( first UNION [ALL] second ): the second query may name it, once, and sees the rows
 * that came last: those of the first query, then those that it gave itself, until it gives none.
 *
 * Each use of the name is a recursion of its own, with a number that ties the WORKING in the second query's
 * plan to the RECURSIVE above it. A query of the list that does not name itself is a WITH query as any.
 */
#include "query/bind.h"

struct recursion {
	struct plan_col *cols; /* of the first query, once it is bound; NULL: it may not be named here */
	uint32_t col_count;
	uint32_t number;
	uint32_t uses;
	struct pos used_at;
};

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

int bind_recursive_self(struct bind *b, const struct cte *cte, struct pos at, struct plan **ret)
{
	struct recursion *r = cte->self;
	struct str name = cte->with->name.text;
	struct plan *p;

	if (!r->cols)
		return bind_fail(b, at, "'%.*s' names itself here, which only the second query of '%.*s AS (first UNION [ALL] "
					"second)' may do", STR_FMT(name), STR_FMT(name));
	if (r->uses++)
		return bind_fail(b, at, "'%.*s' may name itself only once", STR_FMT(name));
	r->used_at = at;
	p = plan_new(b, PLAN_WORKING, r->col_count);
	if (!p)
		return failed(b);
	memcpy(p->cols, r->cols, sizeof(*p->cols) * r->col_count);
	p->recursion = r->number;
	p->recursion_name = name;
	*ret = p;
	return 0;
}

/* ---- where it may stand ----------------------------------------------------------------------------- */

/* Why a child of p cannot be the place; NULL: it can. */
static const char *obstacle(const struct plan *p, uint32_t child)
{
	switch (p->kind) {
	case PLAN_AGG:
		return "what is grouped, counted or made distinct";
	case PLAN_RECURSIVE:
		return child ? "the second query of another recursion" : NULL;
	case PLAN_JOIN:
		if (child && p->join >= PJ_SEMI)
			return "a subquery of an expression";
		if (p->join == PJ_FULL || p->join == (child ? PJ_LEFT : PJ_RIGHT))
			return "the side of an outer join that may be NULL";
		return NULL;
	default:
		return NULL;
	}
}

/* Is the WORKING below p? *ret_why: the innermost obstacle on the way. */
static bool find_working(const struct plan *p, uint32_t number, const char **ret_why)
{
	if (p->kind == PLAN_WORKING)
		return p->recursion == number;
	for (uint32_t i = 0; i < p->child_count; i++) {
		if (!find_working(p->children[i], number, ret_why))
			continue;
		if (!*ret_why)
			*ret_why = obstacle(p, i);
		return true;
	}
	return false;
}

static int check_place(struct bind *b, const struct cte *cte, const struct recursion *r, const struct plan *second)
{
	const char *why = NULL;

	if (!find_working(second, r->number, &why))
		why = "a subquery of an expression";
	if (!why)
		return 0;
	return bind_fail(b, r->used_at, "'%.*s' cannot name itself in %s: a round sees only the rows of the one before",
			 STR_FMT(cte->with->name.text), why);
}

/* ---- the query ---------------------------------------------------------------------------------------- */

/* The columns of the first query are those of all rounds; a text may become longer. */
static int take_cols(struct bind *b, const struct cte *cte, struct plan **first, struct recursion *r)
{
	const struct ident_list *as = &cte->with->columns;
	struct plan *p = *first;

	if (as->n && as->n != p->col_count)
		return bind_fail(b, as->v[0].pos, "'%.*s' names %u columns, but its query has %u",
				 STR_FMT(cte->with->name.text), as->n, p->col_count);
	r->cols = arena_array(b->arena, struct plan_col, p->col_count + 1);
	if (!r->cols)
		return bind_nomem(b);
	r->col_count = p->col_count;
	for (uint32_t i = 0; i < p->col_count; i++) {
		r->cols[i] = p->cols[i];
		if (as->n)
			r->cols[i].name = as->v[i].text;
		if (r->cols[i].type->kind == TY_VARCHAR)
			r->cols[i].type = &type_varchar;
	}
	r->number = b->recursions++;
	return bind_cast_cols(b, p, r->cols, first);
}

static int check_types(struct bind *b, const struct ast_body *body, const struct recursion *r, const struct plan *p)
{
	if (p->col_count != r->col_count)
		return bind_fail(b, body->pos, "UNION: the first query has %u columns, the second %u", r->col_count,
				 p->col_count);
	for (uint32_t i = 0; i < r->col_count; i++) {
		if (type_coercion(p->cols[i].type, r->cols[i].type, false) < 0)
			return bind_fail(b, body->pos, "column %u of a recursive query is %s in its first query and %s in its "
						       "second; CAST one of them", i + 1,
					 type_name(b->arena, r->cols[i].type), type_name(b->arena, p->cols[i].type));
	}
	return 0;
}

static int recursive_plan(struct bind *b, const struct cte *cte, const struct ast_body *body,
			  const struct recursion *r, struct plan *first, struct plan *second, struct plan **ret)
{
	struct plan *p;
	int rc = check_place(b, cte, r, second);

	if (rc >= 0)
		rc = check_types(b, body, r, second);
	if (rc >= 0)
		rc = bind_cast_cols(b, second, r->cols, &second);
	if (rc < 0)
		return rc;
	p = plan_new(b, PLAN_RECURSIVE, r->col_count);
	if (!p)
		return failed(b);
	p->children = arena_array(b->arena, struct plan *, 2);
	if (!p->children)
		return bind_nomem(b);
	p->children[0] = first;
	p->children[1] = second;
	p->child_count = 2;
	memcpy(p->cols, r->cols, sizeof(*p->cols) * r->col_count);
	p->recursion = r->number;
	p->recursion_name = cte->with->name.text;
	p->drops_seen = !body->all;
	p->pos = cte->with->name.pos;
	*ret = p;
	return 0;
}

static int bind_union(struct bind *b, const struct cte *cte, struct recursion *r, struct plan **ret)
{
	const struct ast_body *body = cte->with->query->body;
	struct plan *first, *wide, *second;
	int rc = bind_body(b, body->left, cte->outer, &first);

	if (rc < 0)
		return rc;
	wide = first;
	rc = take_cols(b, cte, &wide, r);
	if (rc >= 0)
		rc = bind_body(b, body->right, cte->outer, &second);
	if (rc < 0)
		return rc;
	rc = r->uses ? recursive_plan(b, cte, body, r, wide, second, ret) : bind_set_of(b, body, first, second, ret);
	return rc < 0 ? rc : bind_ordered(b, cte->with->query, *ret, cte->outer, ret);
}

int bind_recursive(struct bind *b, const struct cte *cte, struct plan **ret)
{
	const struct ast_query *q = cte->with->query;
	struct recursion r = {0};
	const struct cte self = {.next = b->ctes, .with = cte->with, .outer = cte->outer, .self = &r};
	int rc;

	b->ctes = &self;
	if (q->with.n || q->body->kind != BODY_SET || q->body->op != SET_UNION) {
		rc = bind_query(b, q, cte->outer, ret);
	} else {
		rc = bind_deeper(b, q->pos);
		if (rc >= 0) {
			rc = bind_union(b, cte, &r, ret);
			b->depth--;
		}
	}
	b->ctes = self.next;
	return rc;
}
