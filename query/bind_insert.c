/*
 * INSERT INTO table [(column, ...)] query, as a plan.
 *
 * Each column of the query is given a target: time, measure_name, a column that the table has, or one
 * that it will have. With a list of columns the query's are taken by position, without one by name: a
 * schema that grows with the data has no positions that a statement could rely on. A PROJECT makes the
 * types those of the targets. Nothing is made in the table before all rows are known to be good.
 */
#include "query/bind.h"

#include <stdio.h>

struct insert {
	struct bind *b;
	const struct ast_stmt *s;
	struct series_set *set;
	struct plan *query;
	struct plan_target *targets; /* query->col_count */
};

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

/* ---- where columns come from ------------------------------------------------------------------ */

/* The expression that stands for column k: of the row of VALUES, or in the list of a plain SELECT. NULL: none. */
static const struct ast_expr *cell(const struct ast_query *q, uint32_t row, uint32_t k)
{
	const struct ast_body *body = q->body;

	if (body->kind == BODY_SELECT && row == 0) {
		const struct item_list *l = &body->select->items;

		for (uint32_t i = 0; i < l->n && i <= k; i++) {
			if (l->v[i].expr->kind == EX_STAR)
				return NULL;
		}
		return k < l->n ? l->v[k].expr : NULL;
	}
	if (body->kind == BODY_VALUES && row < body->values.n) {
		const struct ast_expr *x = body->values.v[row];

		if (x->kind == EX_ROW)
			return k < x->list.n ? x->list.v[k] : NULL;
		return k == 0 ? x : NULL;
	}
	return NULL;
}

static uint32_t cell_rows(const struct ast_query *q)
{
	return q->body->kind == BODY_VALUES ? q->body->values.n : 1;
}

static struct pos cell_pos(const struct insert *in, uint32_t k)
{
	const struct ast_expr *x = cell(in->s->query, 0, k);

	if (in->s->columns.n)
		return in->s->columns.v[k].pos;
	return x ? x->pos : in->s->query->pos;
}

static bool is_literal(const struct ast_query *q, uint32_t k)
{
	bool any = false;

	for (uint32_t i = 0; i < cell_rows(q); i++) {
		const struct ast_expr *x = cell(q, i, k);

		if (!x || (x->kind != EX_STRING && x->kind != EX_NULL))
			return false;
		any = any || x->kind == EX_STRING;
	}
	return any;
}

/* Does the column come, unchanged, from a measure of a table? */
static bool is_measure(const struct plan *p, uint32_t col)
{
	const struct bx *x;

	switch (p->kind) {
	case PLAN_SCAN:
		return p->scan_cols[col].kind == SCAN_FIELD;
	case PLAN_PROJECT:
		x = p->exprs[col];
		return x->kind == BX_COLUMN && is_measure(p->children[0], x->index);
	case PLAN_AGG:
		x = col < p->group_count ? p->groups[col] : NULL;
		return x && x->kind == BX_COLUMN && is_measure(p->children[0], x->index);
	case PLAN_UNION:
		for (uint32_t i = 0; i < p->child_count; i++) {
			if (!is_measure(p->children[i], col))
				return false;
		}
		return true;
	case PLAN_WINDOW:
		return col < p->children[0]->col_count && is_measure(p->children[0], col);
	case PLAN_UNNEST:
		return p->items[col].kind == ITEM_CHILD && is_measure(p->children[0], p->items[col].index);
	case PLAN_FILTER:
	case PLAN_SORT:
	case PLAN_LIMIT:
		return is_measure(p->children[0], col);
	case PLAN_JOIN:
		if (col < p->children[0]->col_count)
			return is_measure(p->children[0], col);
		return p->join != PJ_MARK && is_measure(p->children[1], col - p->children[0]->col_count);
	default:
		return false;
	}
}

/* ---- targets ---------------------------------------------------------------------------------- */

/* The column that the name means: exactly, or but for case where it stands without quotes. */
static const struct column *find_column(const struct insert *in, const struct ident *name)
{
	const struct column *found = NULL;

	for (uint32_t i = 0; i < series_column_count(in->set); i++) {
		const struct column *c = series_column(in->set, i);
		int fit = name_fits(name, c->name);

		if (fit == 2)
			return c;
		if (fit)
			found = c;
	}
	return found;
}

/* A type that a new column can have. */
static int new_column(struct insert *in, uint32_t k, struct plan_target *t)
{
	static const struct {
		const char *name;
		enum coltype type;
	} singles[] = {
		{"measure_value::double", COL_DOUBLE},
		{"measure_value::bigint", COL_BIGINT},
		{"measure_value::boolean", COL_BOOLEAN},
		{"measure_value::varchar", COL_VARCHAR},
	};
	const struct type *from = in->query->cols[k].type;

	t->role = TARGET_FIELD;
	t->kind = COLKIND_MEASURE;
	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		if (!str_is(t->name, singles[i].name))
			continue;
		t->kind = COLKIND_MEASURE_VALUE;
		t->type = singles[i].type;
		return 0;
	}
	switch (from->kind) {
	case TY_VARCHAR:
		if (!is_measure(in->query, k)) {
			t->role = TARGET_DIMENSION;
			t->kind = COLKIND_DIMENSION;
		}
		t->type = COL_VARCHAR;
		return 0;
	case TY_BOOLEAN:
		t->type = COL_BOOLEAN;
		return 0;
	case TY_INTEGER:
	case TY_BIGINT:
		t->type = COL_BIGINT;
		return 0;
	case TY_DOUBLE:
		t->type = COL_DOUBLE;
		return 0;
	case TY_TIMESTAMP:
		t->type = COL_TIMESTAMP;
		return 0;
	case TY_UNKNOWN:
		return bind_fail(in->b, t->pos, "the table has no column '%.*s' yet, and NULL gives it no type: write "
						"CAST(NULL AS double), say", STR_FMT(t->name));
	default:
		return bind_fail(in->b, t->pos,
				 "a column of a table cannot be %s ('%.*s'): CAST it to timestamp, bigint, double, boolean "
				 "or varchar", type_name(in->b->arena, from), STR_FMT(t->name));
	}
}

static int target_of(struct insert *in, const struct ident *name, uint32_t k, struct plan_target *t)
{
	const struct column *c = find_column(in, name);

	*t = (struct plan_target){.name = name->text, .pos = name->pos, .col_id = TARGET_NEW};
	if (name_fits(name, STR_LIT("time"))) {
		t->role = TARGET_TIME;
		t->name = STR_LIT("time");
		t->type = COL_TIMESTAMP;
		return 0;
	}
	if (name_fits(name, STR_LIT("measure_name"))) {
		t->role = TARGET_MEASURE_NAME;
		t->name = STR_LIT("measure_name");
		t->type = COL_VARCHAR;
		return 0;
	}
	if (!c)
		return new_column(in, k, t);
	t->role = c->kind == COLKIND_DIMENSION ? TARGET_DIMENSION : TARGET_FIELD;
	t->name = c->name;
	t->col_id = c->id;
	t->kind = c->kind;
	t->type = c->type;
	return 0;
}

/* "_col3", the name that a column gets which has none. */
static bool has_no_name(struct str name, uint32_t k)
{
	char z[32];

	snprintf(z, sizeof z, "_col%u", k);
	return str_is(name, z);
}

static int find_targets(struct insert *in)
{
	const struct ident_list *l = &in->s->columns;
	const struct plan *q = in->query;

	if (l->n && l->n != q->col_count)
		return bind_fail(in->b, l->v[0].pos, "%u column%s named, but the query gives %u", l->n,
				 l->n == 1 ? " is" : "s are", q->col_count);
	for (uint32_t k = 0; k < q->col_count; k++) {
		struct ident name = {.text = q->cols[k].name, .pos = cell_pos(in, k)};
		struct plan_target *t = &in->targets[k];

		if (!l->n && has_no_name(name.text, k))
			return bind_fail(in->b, name.pos,
					 "column %u of the query has no name, and without a list of columns names decide: "
					 "write ... AS name, or INSERT INTO table (time, ...)", k + 1);
		int rc = target_of(in, l->n ? &l->v[k] : &name, k, t);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < k; i++) {
			if (str_eq(in->targets[i].name, t->name))
				return bind_fail(in->b, t->pos, "column '%.*s' is given twice", STR_FMT(t->name));
		}
	}
	return 0;
}

static int check_targets(struct insert *in)
{
	const struct ident *table = &in->s->names.v[in->s->names.n - 1];
	bool time = false, field = false;

	for (uint32_t k = 0; k < in->query->col_count; k++) {
		time = time || in->targets[k].role == TARGET_TIME;
		field = field || in->targets[k].role == TARGET_FIELD;
	}
	if (!time)
		return bind_fail(in->b, table->pos, "a row needs a time: the query must give a column 'time'");
	if (!field)
		return bind_fail(in->b, table->pos,
				 "a row needs a measure: a column that the table has as one, or a new one of type bigint, "
				 "double, boolean or timestamp (new varchar columns become dimensions)");
	return 0;
}

/* Would the table take the new columns? Asked of a copy of its columns, as nothing is to be made yet. */
static int check_new(struct insert *in)
{
	uint32_t old = series_column_count(in->set), n = in->query->col_count, id;
	struct column_spec *specs = arena_array(in->b->arena, struct column_spec, old + 1);
	uint32_t *ids = arena_array(in->b->arena, uint32_t, old + 1);
	struct series_set *copy;
	int rc;

	if (!specs || !ids || series_set_create(&copy) < 0)
		return bind_nomem(in->b);
	for (uint32_t i = 0; i < old; i++) {
		const struct column *c = series_column(in->set, i);
		specs[i] = (struct column_spec){c->name, c->kind, c->type};
	}
	rc = series_add_columns(copy, specs, old, ids, NULL, in->b->e);
	for (uint32_t k = 0; k < n && rc >= 0; k++) {
		const struct plan_target *t = &in->targets[k];
		struct column_spec spec = {t->name, t->kind, t->type};

		if (t->col_id != TARGET_NEW || t->role < TARGET_DIMENSION)
			continue;
		rc = series_add_columns(copy, &spec, 1, &id, NULL, in->b->e);
		if (rc < 0 && rc != -ENOMEM)
			rc = err_prefix(in->b->e, -EINVAL, "line %u:%u", t->pos.line, t->pos.col);
	}
	series_set_destroy(copy);
	return rc;
}

/* ---- types ------------------------------------------------------------------------------------ */

/* Every text of the column, where it stands as one. */
static int check_literals(struct insert *in, uint32_t k)
{
	const struct ast_query *q = in->s->query;
	int64_t ns;

	for (uint32_t i = 0; i < cell_rows(q); i++) {
		const struct ast_expr *x = cell(q, i, k);

		if (x->kind == EX_STRING && timestamp_parse(x->text, &ns) < 0)
			return bind_fail(in->b, x->pos, "'%.*s' is no timestamp (YYYY-MM-DD[ HH:MM[:SS[.fraction]]])",
					 (int)MIN(x->text.len, (size_t)100), x->text.ptr);
	}
	return 0;
}

static const char *cast_hint(const struct type *from, const struct type *to)
{
	if (to->kind == TY_TIMESTAMP && (from->kind == TY_BIGINT || from->kind == TY_INTEGER))
		return "from_nanoseconds(x) or from_milliseconds(x) makes one";
	return "CAST it";
}

static bool is_taken(const struct type *from, const struct type *to)
{
	if (from->kind == TY_UNKNOWN || from->kind == to->kind)
		return true;
	if (to->kind == TY_DOUBLE)
		return type_is_number(from);
	return to->kind == TY_BIGINT && from->kind == TY_INTEGER;
}

static int convert(struct insert *in, uint32_t k, struct bx **ret)
{
	const struct plan_target *t = &in->targets[k];
	const struct type *from = in->query->cols[k].type, *to = type_of_column(t->type);
	struct bx *x = bx_column(in->b, k, from, t->pos);
	bool literal = to->kind == TY_TIMESTAMP && from->kind == TY_VARCHAR && is_literal(in->s->query, k);
	int rc = 0;

	if (!x)
		return bind_nomem(in->b);
	if (literal)
		rc = check_literals(in, k);
	else if (!is_taken(from, to))
		rc = bind_fail(in->b, t->pos, "column '%.*s' is of type %s, and the query gives %s: %s", STR_FMT(t->name),
			       type_name(in->b->arena, to), type_name(in->b->arena, from), cast_hint(from, to));
	return rc < 0 ? rc : bind_coerce(in->b, x, to, false, ret);
}

static int convert_all(struct insert *in, struct plan **ret)
{
	struct plan *p = plan_project(in->b, in->query, in->query->col_count);
	bool same = true;

	if (!p)
		return failed(in->b);
	for (uint32_t k = 0; k < p->col_count; k++) {
		int rc = convert(in, k, &p->exprs[k]);

		if (rc < 0)
			return rc;
		p->cols[k] = (struct plan_col){in->targets[k].name, p->exprs[k]->type};
		same = same && p->exprs[k]->kind == BX_COLUMN;
	}
	*ret = same ? in->query : p;
	return 0;
}

int bind_insert(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	struct insert in = {.b = b, .s = s};
	struct plan *p = NULL;
	struct table *t;
	int rc = bind_table(b, &s->names, RIGHT_INSERT, &t);

	if (rc >= 0)
		rc = bind_plan(b, s->query, &in.query);
	if (rc < 0)
		return rc;
	in.set = table_series(t);
	in.targets = arena_zarray(b->arena, struct plan_target, in.query->col_count + 1);
	if (!in.targets)
		return bind_nomem(b);
	rc = find_targets(&in);
	if (rc >= 0)
		rc = check_targets(&in);
	if (rc >= 0)
		rc = check_new(&in);
	if (rc >= 0)
		rc = convert_all(&in, &p);
	if (rc < 0)
		return rc;
	*ret = plan_change(b, PLAN_INSERT, t, p, s->names.v[s->names.n - 1].pos);
	if (!*ret)
		return failed(b);
	(*ret)->targets = in.targets;
	return 0;
}
