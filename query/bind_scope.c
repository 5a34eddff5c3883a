/*
 * Names to columns. A name is looked for in the query's own relations first, then in those of the
 * queries around it: the innermost scope that has such a column wins, also for qualified names
 * (`t.a` means the outer t where the inner t has no a).
 */
#include "query/bind.h"

int name_fits(const struct ident *id, struct str name)
{
	if (!name.ptr)
		return 0;
	if (str_eq(id->text, name))
		return 2;
	return !id->quoted && str_ieq(id->text, name) ? 1 : 0;
}

/* How a reading of `a.b.c` takes its parts: as database, relation, column; the rest are row fields. */
struct reading {
	int db, rel, col; /* index of the part, -1: not named */
};

static int fits(const struct ident_list *n, const struct reading *r, const struct scope_col *c)
{
	if (r->db >= 0 && !name_fits(&n->v[r->db], c->db))
		return 0;
	if (r->rel >= 0 ? !name_fits(&n->v[r->rel], c->rel) : c->qualified_only)
		return 0;
	return name_fits(&n->v[r->col], c->name);
}

/* For sentences: whose column it is. */
static struct str relation_of(const struct scope_col *c)
{
	return c->rel.ptr ? c->rel : c->is_merged ? STR_LIT("USING") : STR_LIT("a query without a name");
}

/* The column of that reading: exact before case-insensitive. -ENOENT, or -EINVAL: two fit alike. */
static int find(struct bind *b, const struct scope *s, const struct ident_list *n, const struct reading *r,
		const struct scope_col **ret)
{
	const struct scope_col *found = NULL, *second = NULL;
	int best = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		int fit = fits(n, r, &s->cols[i]);

		if (!fit || fit < best)
			continue;
		second = fit == best ? &s->cols[i] : NULL;
		if (fit > best)
			found = &s->cols[i];
		best = fit;
	}
	if (!found)
		return -ENOENT;
	if (second && (found->rel.ptr || second->rel.ptr) &&
	    (!str_eq(found->rel, second->rel) || !str_eq(found->db, second->db)))
		return bind_fail(b, n->v[r->col].pos,
				 "column '%.*s' is ambiguous: both '%.*s' and '%.*s' have one; name it alias.column",
				 STR_FMT(n->v[r->col].text), STR_FMT(relation_of(found)),
				 STR_FMT(relation_of(second)));
	if (second)
		return bind_fail(b, n->v[r->col].pos, "column '%.*s' is ambiguous: it could be '%.*s' or '%.*s'",
				 STR_FMT(n->v[r->col].text), STR_FMT(found->name), STR_FMT(second->name));
	*ret = found;
	return 0;
}

static int field_of(struct bind *b, struct bx *x, const struct ident *name, struct bx **ret)
{
	const struct type *t = x->type;
	int found = -1, best = 0;

	if (t->kind != TY_ROW)
		return bind_fail(b, name->pos, "'%.*s' is asked of type %s, but only rows have fields",
				 STR_FMT(name->text), type_name(b->arena, t));
	for (uint32_t i = 0; i < t->field_count; i++) {
		int fit = name_fits(name, t->fields[i].name);

		if (fit > best) {
			best = fit;
			found = (int)i;
		}
	}
	if (found < 0)
		return bind_fail(b, name->pos, "%s has no field '%.*s'", type_name(b->arena, t),
				 STR_FMT(name->text));
	*ret = bx_new(b, BX_FIELD, t->fields[found].type, name->pos, 1);
	if (!*ret)
		return bind_nomem(b);
	(*ret)->args[0] = x;
	(*ret)->index = (uint32_t)found;
	*ret = bx_fold(b, *ret);
	return *ret ? 0 : bind_nomem(b);
}

static int fields_of(struct bind *b, struct bx *x, const struct ident_list *n, uint32_t from, struct bx **ret)
{
	int rc = 0;

	for (uint32_t i = from; i < n->n && rc >= 0; i++)
		rc = field_of(b, x, &n->v[i], &x);
	if (rc >= 0)
		*ret = x;
	return rc;
}

/* ORDER BY: a name of the select list comes before the columns below. 0: there is none. */
static int find_output(struct bind_ctx *c, const struct ident *id, struct bx **ret)
{
	const struct output *found = NULL;
	int best = 0;

	for (uint32_t i = 0; i < c->output_n; i++) {
		const struct output *o = &c->outputs[i];
		int fit = name_fits(id, o->name);

		if (!fit || fit < best)
			continue;
		if (fit == best && !bx_same(found->x, o->x))
			return bind_fail(c->b, id->pos, "'%.*s' is ambiguous: two columns of the select list "
							"have that name", STR_FMT(id->text));
		found = o;
		best = fit;
	}
	if (!found)
		return 0;
	*ret = found->x;
	return 1;
}

static const struct scope *scope_around(const struct scope *s)
{
	return s->outer ? s->outer->scope : NULL;
}

/* Names near enough to be meant. */
static int no_column(struct bind_ctx *c, const struct ident_list *n)
{
	const struct ident *last = &n->v[n->n - 1];
	struct str *names;
	uint32_t k = 0, total = c->output_n;
	int near;

	for (uint32_t i = 0; c->aliases && n->n == 1 && i < c->aliases->n; i++) {
		if (name_fits(last, c->aliases->v[i].alias.text))
			return bind_fail(c->b, last->pos,
					 "column '%.*s' does not exist; it is an alias of the select list, which %s "
					 "does not see: repeat the expression%s", STR_FMT(last->text), c->clause,
					 !strcmp(c->clause, "GROUP BY") ? " or write its number" : "");
	}
	for (const struct scope *s = c->scope; s; s = scope_around(s))
		total += s->n;
	names = arena_array(c->b->arena, struct str, total + 1);
	if (!names)
		return bind_nomem(c->b);
	for (uint32_t i = 0; i < c->output_n; i++) {
		if (c->outputs[i].name.ptr)
			names[k++] = c->outputs[i].name;
	}
	for (const struct scope *s = c->scope; s; s = scope_around(s)) {
		for (uint32_t i = 0; i < s->n; i++)
			names[k++] = s->cols[i].name;
	}
	if (n->n > 1) {
		bool known = false;

		for (const struct scope *s = c->scope; s && !known; s = scope_around(s)) {
			for (uint32_t i = 0; i < s->n && !known; i++)
				known = name_fits(&n->v[n->n - 2], s->cols[i].rel);
		}
		if (!known)
			return bind_fail(c->b, n->v[n->n - 2].pos, "there is no table or alias '%.*s' here",
					 STR_FMT(n->v[n->n - 2].text));
	}
	near = str_nearest(last->text, names, (int)k);
	if (near >= 0)
		return bind_fail(c->b, last->pos, "column '%.*s' does not exist (did you mean '%.*s'?)",
				 STR_FMT(last->text), STR_FMT(names[near]));
	if (last->quoted)
		return bind_fail(c->b, last->pos, "column '%.*s' does not exist; a text is written '%.*s' in single "
						  "quotes", STR_FMT(last->text), STR_FMT(last->text));
	return bind_fail(c->b, last->pos, "column '%.*s' does not exist", STR_FMT(last->text));
}

/* What the subquery calls an expression of the query around it. */
static int outer_param(struct bind *b, struct outer *o, struct bx *x, struct bx **ret)
{
	uint32_t k = 0;
	int rc = 0;

	while (k < o->params.n && !bx_same(o->params.v[k], x))
		k++;
	if (k == o->params.n)
		rc = bx_push(b, &o->params, x);
	if (rc < 0)
		return rc;
	*ret = bx_new(b, BX_OUTER, x->type, x->pos, 0);
	if (!*ret)
		return bind_nomem(b);
	(*ret)->index = k;
	return 0;
}

/* The column that the name means in s or around it; *ret_part: the part of the name that is the column's. */
static int look_up(struct bind *b, const struct scope *s, const struct ident_list *n, struct bx **ret,
		   uint32_t *ret_part)
{
	static const struct reading readings[] = {{0, 1, 2}, {-1, 0, 1}, {-1, -1, 0}};
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(readings); i++) {
		const struct scope_col *col = NULL;

		*ret_part = (uint32_t)readings[i].col;
		if (*ret_part >= n->n)
			continue;
		rc = find(b, s, n, &readings[i], &col);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			return rc;
		*ret = bx_column(b, col->index, col->type, n->v[*ret_part].pos);
		return *ret ? 0 : bind_nomem(b);
	}
	if (!s->outer)
		return -ENOENT;
	rc = look_up(b, s->outer->scope, n, ret, ret_part);
	return rc < 0 ? rc : outer_param(b, s->outer, *ret, ret);
}

int bind_column(struct bind_ctx *c, const struct ast_expr *x, struct bx **ret)
{
	const struct ident_list *n = &x->names;
	struct bx *col = NULL;
	uint32_t part = 0;
	int rc = bind_param(c, n, ret);

	if (rc)
		return rc < 0 ? rc : 0;
	if (c->outputs && !c->in_agg && n->n == 1) {
		rc = find_output(c, &n->v[0], ret);
		if (rc)
			return rc;
	}
	rc = look_up(c->b, c->scope, n, &col, &part);
	if (rc == -ENOENT)
		return no_column(c, n);
	return rc < 0 ? rc : fields_of(c->b, col, n, part + 1, ret);
}

int bind_fields(struct bind *b, struct bx *x, const struct ident_list *n, struct bx **ret)
{
	return fields_of(b, x, n, 0, ret);
}
