/*
 * func_map: what stands for maps, which are no type here: array(row(key, value)), as map_agg() and
 * multimap_agg() make them. Any array of rows of two fields will do.
 */
#include "query/func_impl.h"

#define GROUP "Array"

/* field: which of the two comes out. */
static int map_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
		       uint32_t field, struct func_match *ret)
{
	const struct type **types = arena_array(a, const struct type *, 1);

	if (argc != 1 || args[0]->kind != TY_ARRAY || args[0]->elem->kind != TY_ROW || args[0]->elem->field_count != 2)
		return -1;
	if (!types)
		return -ENOMEM;
	types[0] = args[0];
	*ret = (struct func_match){f, types, type_array(a, args[0]->elem->fields[field].type)};
	return ret->ret ? 0 : -ENOMEM;
}

static int keys_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
			struct func_match *ret, struct err *e)
{
	return map_resolve(a, f, args, argc, 0, ret);
}

static int values_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
			  struct func_match *ret, struct err *e)
{
	return map_resolve(a, f, args, argc, 1, ret);
}

/* The lists stay; what they point to becomes one column of the rows. */
static int column(struct fn_call *c, struct vec *ret, uint32_t field, struct err *e)
{
	struct vec *child = arena_new(c->arena, struct vec);
	int rc = child ? vec_flatten(&c->args[0], c->n, c->arena, ret, e) : func_no_memory(e);

	if (rc < 0)
		return rc;
	const struct vec *rows = ret->child;
	*child = rows->child[field];
	if (rows->valid) { /* a row that is NULL has no fields */
		rc = vec_alloc_valid(child, ret->child_n, c->arena, e);
		for (uint32_t k = 0; rc >= 0 && k < ret->child_n; k++)
			child->valid[k] = rows->valid[k] && !vec_is_null(&rows->child[field], k);
	}
	ret->type = c->ret_type;
	ret->child = child;
	return rc;
}

static int map_keys(struct fn_call *c, struct vec *ret, struct err *e)
{
	return column(c, ret, 0, e);
}
static int map_values(struct fn_call *c, struct vec *ret, struct err *e)
{
	return column(c, ret, 1, e);
}

const struct func func_rows_map[] = {
	{.name = "map_keys", .params = "array(row(K, V))", .ret = "array(K)", .scalar = map_keys,
	 .resolve = keys_resolve, .group = GROUP,
	 .help = "the first fields of the rows, in their order"},
	{.name = "map_values", .params = "array(row(K, V))", .ret = "array(V)", .scalar = map_values,
	 .resolve = values_resolve, .group = GROUP,
	 .help = "the second fields of the rows, in their order"},
	FUNC_END,
};
