/*
 * SHOW, DESCRIBE and EXPLAIN: rows that the binder knows.
 */
#include "query/bind.h"
#include "query/func_docs.h"

#include <stdlib.h>

#include "engine/scan.h"

#define SHOW_COLS 4

/* A VALUES node of varchar columns that grows by a row. */
struct rows {
	struct bind *b;
	uint32_t cols, n;
	const char *const *names;
	struct vec_builder v[SHOW_COLS];
	struct bx *like; /* over column 0; NULL: all */
};

static int rows_init(struct rows *r, struct bind *b, const char *const *names, uint32_t cols)
{
	*r = (struct rows){.b = b, .cols = cols, .names = names};
	for (uint32_t i = 0; i < cols; i++) {
		int rc = vb_init(&r->v[i], &type_varchar, 16, b->arena, b->e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* 1: the pattern takes the name. */
static int is_like(struct bind *b, struct str pattern, struct str name)
{
	struct bx *args[2], *x;
	int rc = 0;

	if (!pattern.ptr)
		return 1;
	rc = bind_const_str(b, name, (struct pos){0}, &args[0]);
	if (rc >= 0)
		rc = bind_const_str(b, pattern, (struct pos){0}, &args[1]);
	if (rc >= 0)
		rc = bind_func(b, (struct pos){0}, "like", args, NULL, 2, &x);
	return rc < 0 ? rc : bx_is_true(x);
}

static int rows_add(struct rows *r, const struct str *cells)
{
	for (uint32_t i = 0; i < r->cols; i++) {
		int rc = vb_add_str(&r->v[i], cells[i], r->b->e);

		if (rc < 0)
			return rc;
	}
	r->n++;
	return 0;
}

static int rows_plan(struct rows *r, struct plan **ret)
{
	struct plan *p = plan_new(r->b, PLAN_VALUES, r->cols);

	if (!p)
		return -ENOMEM;
	p->values = arena_zarray(r->b->arena, struct vec, r->cols);
	if (!p->values)
		return bind_nomem(r->b);
	for (uint32_t i = 0; i < r->cols; i++) {
		p->cols[i] = (struct plan_col){str_from(r->names[i]), &type_varchar};
		vb_finish(&r->v[i], &p->values[i]);
	}
	p->row_count = r->n;
	*ret = p;
	return 0;
}

static bool may_read(const struct bind *b, struct db *db, struct table *t)
{
	return !b->env->allowed || b->env->allowed(b->env->allowed_ctx, db, t, RIGHT_READ);
}

/* ---- databases and tables --------------------------------------------------------------------- */

static int show_databases(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"Database"};
	struct rows r;
	struct db **dbs;
	uint32_t n = 0;
	int rc = rows_init(&r, b, names, 1);

	if (rc >= 0 && engine_dbs(b->env->engine, &dbs, &n) < 0)
		rc = bind_nomem(b);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		struct str name = str_from(db_name(dbs[i]));

		if (rc >= 0)
			rc = is_like(b, s->like, name);
		if (rc > 0 && may_read(b, dbs[i], NULL))
			rc = rows_add(&r, &name);
		db_put(dbs[i]);
	}
	free(dbs);
	return rc < 0 ? rc : rows_plan(&r, ret);
}

static int add_tables(struct rows *r, struct db *db, struct str like)
{
	struct bind *b = r->b;
	struct table **tables;
	uint32_t n;
	int rc = db_tables(db, &tables, &n);

	if (rc < 0)
		return rc == -ENOMEM ? bind_nomem(b) : 0; /* one that failed to open has none to show */
	for (uint32_t i = 0; i < n; i++) {
		struct str name = str_from(table_name(tables[i]));

		if (rc >= 0)
			rc = is_like(b, like, name);
		if (rc > 0 && may_read(b, db, tables[i]))
			rc = rows_add(r, &name);
		table_put(tables[i]);
	}
	free(tables);
	return rc;
}

static int show_tables(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"Table"};
	struct ident of = {.text = {NULL, 0}, .pos = s->pos};
	struct rows r;
	struct db **dbs = NULL, *db;
	uint32_t n = 0;
	int rc = rows_init(&r, b, names, 1);

	if (s->names.n)
		of = s->names.v[0];
	else if (b->env->default_db)
		of.text = str_from(b->env->default_db);
	if (rc >= 0 && of.text.ptr) {
		rc = bind_db(b, &of, &db);
		if (rc < 0)
			return rc;
		rc = add_tables(&r, db, s->like);
		db_put(db);
	} else if (rc >= 0) {
		rc = engine_dbs(b->env->engine, &dbs, &n);
		for (uint32_t i = 0; i < n; i++) {
			if (rc >= 0)
				rc = add_tables(&r, dbs[i], s->like);
			db_put(dbs[i]);
		}
		free(dbs);
	}
	return rc < 0 ? rc : rows_plan(&r, ret);
}

/* ---- columns ------------------------------------------------------------------------------------ */

static int describe(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"Column", "Type", "Timestream attribute type"};
	struct table *t;
	struct series_set *set;
	struct rows r;
	int rc = rows_init(&r, b, names, 3);

	if (rc >= 0)
		rc = bind_table(b, &s->names, RIGHT_READ, &t);
	if (rc < 0)
		return rc;
	set = table_series(t);
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0, n = series_column_count(set); i < n && rc >= 0; i++) {
			const struct column *c = series_column(set, i);
			struct str cells[] = {c->name, str_from(coltype_name(c->type)),
					      c->kind == COLKIND_DIMENSION ? STR_LIT("DIMENSION") :
					      c->kind == COLKIND_MEASURE   ? STR_LIT("MULTI")
									   : STR_LIT("MEASURE_VALUE")};

			if ((c->kind == COLKIND_DIMENSION) == (pass == 0))
				rc = rows_add(&r, cells);
		}
		if (pass == 0 && rc >= 0) {
			const struct str measure[] = {STR_LIT("measure_name"), STR_LIT("varchar"), STR_LIT("MEASURE_NAME")};
			const struct str time[] = {STR_LIT("time"), STR_LIT("timestamp"), STR_LIT("TIMESTAMP")};

			rc = rows_add(&r, measure);
			if (rc >= 0)
				rc = rows_add(&r, time);
		}
	}
	return rc < 0 ? rc : rows_plan(&r, ret);
}

/* ---- measures ----------------------------------------------------------------------------------- */

struct measure {
	struct str name;
	uint32_t code;
	bool *dims; /* by column id: seen with this measure */
};

static int measure_by_name(const void *a, const void *b)
{
	return str_cmp(((const struct measure *)a)->name, ((const struct measure *)b)->name);
}

static int collect_measures(struct bind *b, const struct series_set *set, uint32_t columns, struct measure **ret,
			    uint32_t *ret_n)
{
	uint32_t n = series_dict_count(set, SERIES_MEASURE), series = series_count(set);
	struct measure *m = arena_zarray(b->arena, struct measure, n + 1);

	if (!m)
		return bind_nomem(b);
	for (uint32_t i = 0; i < n; i++) {
		m[i].name = series_dict_value(set, SERIES_MEASURE, i);
		m[i].code = i;
		m[i].dims = arena_zarray(b->arena, bool, columns + 1);
		if (!m[i].dims)
			return bind_nomem(b);
	}
	for (uint32_t id = 0; id < series; id++) {
		uint32_t code = series_measure_code(set, id);

		if (code >= n) /* came meanwhile */
			continue;
		for (uint32_t k = 0; k < columns; k++) {
			if (series_column(set, k)->kind == COLKIND_DIMENSION &&
			    series_dim_code(set, id, k) != DIM_ABSENT)
				m[code].dims[k] = true;
		}
	}
	*ret = m;
	*ret_n = n;
	return 0;
}

static void json_string(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < 0x20)
			buf_addf(out, "\\u%04x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

static int measure_dims(struct bind *b, const struct series_set *set, uint32_t columns, const struct measure *m,
			struct str *ret)
{
	struct buf out;
	bool any = false;

	buf_init(&out, 4 << 20);
	buf_addc(&out, '[');
	for (uint32_t k = 0; k < columns; k++) {
		if (!m->dims[k])
			continue;
		buf_adds(&out, any ? ",{\"data_type\":\"varchar\",\"dimension_name\":"
				   : "{\"data_type\":\"varchar\",\"dimension_name\":");
		json_string(&out, series_column(set, k)->name);
		buf_addc(&out, '}');
		any = true;
	}
	buf_addc(&out, ']');
	*ret = out.rc < 0 ? (struct str){NULL, 0} : arena_str(b->arena, buf_str(&out));
	buf_release(&out);
	return ret->ptr ? 0 : bind_nomem(b);
}

static int show_measures(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"measure_name", "data_type", "dimensions"};
	struct table *t;
	struct series_set *set;
	struct measure *m = NULL;
	struct rows r;
	uint32_t columns, n = 0;
	int rc = rows_init(&r, b, names, 3);

	if (rc >= 0)
		rc = bind_table(b, &s->names, RIGHT_READ, &t);
	if (rc < 0)
		return rc;
	set = table_series(t);
	columns = series_column_count(set);
	rc = collect_measures(b, set, columns, &m, &n);
	if (rc < 0)
		return rc;
	qsort(m, n, sizeof(*m), measure_by_name);
	for (uint32_t i = 0; i < n; i++) {
		struct str cells[3] = {m[i].name, str_from(measure_type_name(series_measure_type(set, m[i].code)))};

		rc = is_like(b, s->like, m[i].name);
		if (rc == 0)
			continue;
		if (rc > 0)
			rc = measure_dims(b, set, columns, &m[i], &cells[2]);
		if (rc >= 0)
			rc = rows_add(&r, cells);
		if (rc < 0)
			return rc;
	}
	return rows_plan(&r, ret);
}

/* ---- functions ---------------------------------------------------------------------------------- */

static int show_functions(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"Function", "Signature", "Group", "Help"};
	uint32_t n;
	const struct func *all = func_all(&n);
	struct rows r;
	struct buf sign;
	int rc = rows_init(&r, b, names, 4);

	buf_init(&sign, 4096);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		const struct func *f = &all[i];
		struct str cells[4] = {str_from(f->name)};

		if (f->flags & FN_HIDDEN)
			continue;
		rc = is_like(b, s->like, cells[0]);
		if (rc <= 0)
			continue;
		buf_clear(&sign);
		func_signature(f, &sign);
		cells[1] = buf_str(&sign); /* rows_add() copies it */
		cells[2] = str_from(f->group ? f->group : "");
		cells[3] = str_from(f->help ? f->help : "");
		rc = sign.rc < 0 ? bind_nomem(b) : rows_add(&r, cells);
	}
	buf_release(&sign);
	return rc < 0 ? rc : rows_plan(&r, ret);
}

int bind_show(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	switch (s->kind) {
	case STMT_SHOW_DATABASES:
		return show_databases(b, s, ret);
	case STMT_SHOW_TABLES:
		return show_tables(b, s, ret);
	case STMT_SHOW_MEASURES:
		return show_measures(b, s, ret);
	case STMT_SHOW_FUNCTIONS:
		return show_functions(b, s, ret);
	default:
		return describe(b, s, ret);
	}
}

int bind_explain(struct bind *b, const struct plan *inner, struct plan **ret)
{
	static const char *const names[] = {"Query Plan"};
	struct rows r;
	struct buf text;
	int rc = rows_init(&r, b, names, 1);

	if (rc < 0)
		return rc;
	buf_init(&text, PLAN_TEXT_MAX);
	plan_format(inner, &text);
	if (text.rc < 0)
		rc = err_set(b->e, -E2BIG, "the plan's text is longer than %d bytes", PLAN_TEXT_MAX);
	for (size_t from = 0; from < text.len && rc >= 0;) {
		const char *end = memchr(text.data + from, '\n', text.len - from);
		size_t len = (size_t)(end - (text.data + from));
		struct str line = {text.data + from, len};

		rc = rows_add(&r, &line);
		from += len + 1;
	}
	buf_release(&text);
	return rc < 0 ? rc : rows_plan(&r, ret);
}

int bind_analyze(struct bind *b, struct plan *inner, struct plan **ret)
{
	struct plan *p = plan_new(b, PLAN_ANALYZE, 1);

	if (!p)
		return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
	p->children = arena_array(b->arena, struct plan *, 1);
	if (!p->children)
		return bind_nomem(b);
	p->children[0] = inner;
	p->child_count = 1;
	p->cols[0] = (struct plan_col){STR_LIT("Query Plan"), &type_varchar};
	*ret = p;
	return 0;
}
