/*
 * parquet_schema: SQL types to Parquet's tree of columns.
 *
 * Every node is OPTIONAL, so a value has one definition level more than a NULL in its place:
 *
 *	optional T              NULL d        value d+1
 *	optional group (LIST)   NULL d        empty d+1
 *	    repeated group list
 *	        optional T element      NULL d+2      value d+3
 *	optional group          NULL d        fields begin at d+1
 */
#include "query/parquet_impl.h"

struct maker {
	struct parquet_out *p;
	struct str path[2 * LEVEL_MAX];
	uint32_t depth;
	struct err *e;
};

static int nomem(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* Room for one more; the arena keeps what was outgrown. */
static void *grown(struct arena *a, void *v, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	uint32_t want = *cap ? *cap * 2 : 16;
	void *to = arena_zalloc(a, want * size);
	if (to) {
		if (n)
			memcpy(to, v, n * size);
		*cap = want;
	}
	return to;
}

static int add_column(struct maker *m, struct pq_column c)
{
	struct parquet_out *p = m->p;
	struct pq_column *v = grown(&p->arena, p->columns, p->column_n, &p->column_cap, sizeof *v);

	if (!v)
		return nomem(m->e);
	p->columns = v;
	v[p->column_n++] = c;
	return 0;
}

static bool is_group(const struct type *t)
{
	enum type_layout l = type_layout(t);

	return l == LAYOUT_LIST || l == LAYOUT_ROW;
}

static int add_leaf(struct maker *m, struct str name, const struct type *t, uint8_t def, uint8_t rep)
{
	static const enum pq_logical logical[] = {
		[TY_UNKNOWN] = PQ_LOGICAL_STRING, [TY_VARCHAR] = PQ_LOGICAL_STRING,
		[TY_TIME] = PQ_LOGICAL_STRING, [TY_INTERVAL_DS] = PQ_LOGICAL_STRING,
		[TY_INTERVAL_YM] = PQ_LOGICAL_STRING, [TY_DATE] = PQ_LOGICAL_DATE,
		[TY_LAMBDA] = PQ_LOGICAL_NONE,
	};
	struct parquet_out *p = m->p;
	struct leaf *v = grown(&p->arena, p->leaves, p->leaf_n, &p->leaf_cap, sizeof *v), *l;

	if (!v)
		return nomem(m->e);
	p->leaves = v;
	l = &v[p->leaf_n];
	leaf_init(l, t, p->spec.has_nanos, p->spec.budget);
	p->leaf_n++;
	l->def_max = def;
	l->rep_max = rep;
	l->path = arena_array(&p->arena, struct str, m->depth);
	l->path_n = m->depth;
	if (!l->path)
		return nomem(m->e);
	memcpy(l->path, m->path, m->depth * sizeof *l->path);
	return add_column(m, (struct pq_column){
		.name = name, .type = l->pq, .repetition = PQ_OPTIONAL,
		.logical = t->kind == TY_TIMESTAMP && p->spec.has_nanos ? PQ_LOGICAL_TIMESTAMP_NANOS : logical[t->kind]});
}

static int add_node(struct maker *m, struct str name, const struct type *t, uint8_t def, uint8_t rep,
		    struct shape *s);

static int add_list(struct maker *m, struct str name, const struct type *t, uint8_t def, uint8_t rep,
		    struct shape *s)
{
	int rc = add_column(m, (struct pq_column){
		.name = name, .repetition = PQ_OPTIONAL, .logical = PQ_LOGICAL_LIST, .children = 1});

	if (rc >= 0)
		rc = add_column(m, (struct pq_column){
			.name = STR_LIT("list"), .repetition = PQ_REPEATED, .children = 1});
	if (rc < 0)
		return rc;
	m->path[m->depth++] = STR_LIT("list");
	s->rep = (uint8_t)(rep + 1);
	rc = add_node(m, STR_LIT("element"), type_list_elem(t), (uint8_t)(def + 2), s->rep, s->children);
	m->depth--;
	return rc;
}

/*
 * Names that differ, in the arena; NULL: no memory. A field without a name is called by its place. The
 * first of a name keeps it, those behind it get _2, _3, ... where nobody else is called so.
 */
static struct str *unique_names(struct arena *a, const struct type_field *f, uint32_t n)
{
	struct str *names = arena_array(a, struct str, n + 1);

	for (uint32_t i = 0; i < n && names; i++) {
		bool has_name = f[i].name.ptr && f[i].name.len;
		const char *made = has_name ? NULL : arena_printf(a, "field%u", i);
		struct str base = has_name ? f[i].name : made ? str_from(made) : (struct str){NULL, 0};
		unsigned k = 2;
		names[i] = base;
		for (bool taken = true; taken && names[i].ptr;) {
			taken = false;
			for (uint32_t j = 0; j < n && !taken; j++)
				taken = (j < i && str_eq(names[j], names[i])) ||
					(made && f[j].name.ptr && str_eq(f[j].name, names[i]));
			if (!taken)
				break;
			made = arena_printf(a, "%.*s_%u", STR_FMT(base), k++);
			names[i] = made ? str_from(made) : (struct str){NULL, 0};
		}
		if (!names[i].ptr)
			return NULL;
	}
	return names;
}

static int add_row(struct maker *m, struct str name, const struct type *t, uint8_t def, uint8_t rep,
		   struct shape *s)
{
	struct str *names = unique_names(&m->p->arena, t->fields, t->field_count);
	int rc = names ? 0 : nomem(m->e);

	if (rc >= 0)
		rc = add_column(m, (struct pq_column){
			.name = name, .repetition = PQ_OPTIONAL, .children = t->field_count});
	for (uint32_t f = 0; f < t->field_count && rc >= 0; f++)
		rc = add_node(m, names[f], t->fields[f].type, (uint8_t)(def + 1), rep, &s->children[f]);
	return rc;
}

static int add_node(struct maker *m, struct str name, const struct type *t, uint8_t def, uint8_t rep,
		    struct shape *s)
{
	uint32_t kids = type_layout(t) == LAYOUT_LIST ? 1 : type_layout(t) == LAYOUT_ROW ? t->field_count : 0;
	int rc;

	if (def + 3 > LEVEL_MAX)
		return err_set(m->e, -EINVAL, "column '%.*s' is nested too deep for a Parquet file", STR_FMT(m->path[0]));
	if (is_group(t) && !kids)
		return err_set(m->e, -EINVAL, "column '%.*s' has a row without fields, which a Parquet file cannot have",
			       STR_FMT(m->path[0]));
	*s = (struct shape){.type = t, .def = def, .first_leaf = m->p->leaf_n};
	s->children = arena_zarray(&m->p->arena, struct shape, kids + 1);
	if (!s->children)
		return nomem(m->e);
	m->path[m->depth++] = name;
	if (type_layout(t) == LAYOUT_LIST)
		rc = add_list(m, name, t, def, rep, s);
	else if (type_layout(t) == LAYOUT_ROW)
		rc = add_row(m, name, t, def, rep, s);
	else
		rc = add_leaf(m, name, t, (uint8_t)(def + 1), rep);
	m->depth--;
	s->leaf_n = m->p->leaf_n - s->first_leaf;
	return rc;
}

int schema_make(struct parquet_out *p, struct err *e)
{
	const struct query_col *cols = p->spec.cols;
	uint32_t n = p->spec.col_count;
	struct maker m = {.p = p, .e = e};
	struct type_field *fields = arena_zarray(&p->arena, struct type_field, n + 1);
	struct str *names = NULL;
	int rc = 0;

	p->shapes = arena_zarray(&p->arena, struct shape, n + 1);
	for (uint32_t i = 0; i < n && fields; i++)
		fields[i] = (struct type_field){cols[i].name, cols[i].type};
	if (fields)
		names = unique_names(&p->arena, fields, n);
	if (!p->shapes || !names)
		return nomem(e);
	for (; p->shape_n < n && rc >= 0; p->shape_n++)
		rc = add_node(&m, names[p->shape_n], cols[p->shape_n].type, 0, 0, &p->shapes[p->shape_n]);
	return rc;
}
