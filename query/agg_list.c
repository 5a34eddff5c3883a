/*
 * agg_list: listagg(x, separator), texts one behind the other. The order is that of the input, or what
 * WITHIN GROUP (ORDER BY ...) asks for.
 */
#include "query/agg_impl.h"

#define GROUP "Aggregate"

struct text {
	char *data;
	size_t len, cap;
	uint64_t parts;
};

static int text_add(struct agg_call *c, struct text *t, struct str s, struct err *e)
{
	if (s.len > t->cap - t->len) {
		size_t cap = MAX(t->cap * 2, t->len + s.len);
		char *data = arena_alloc(c->arena, MAX(cap, (size_t)64));

		if (!data)
			return func_no_memory(e);
		if (t->len)
			memcpy(data, t->data, t->len);
		t->data = data;
		t->cap = MAX(cap, (size_t)64);
	}
	if (s.len)
		memcpy(t->data + t->len, s.ptr, s.len);
	t->len += s.len;
	return 0;
}

/* What stands between two texts; a NULL is nothing. */
static struct str separator(const struct agg_call *c, uint32_t row)
{
	const struct vec *v = &c->args[1];

	return c->argc > 1 && agg_ok(v, row) ? v->str[agg_at(v, row)] : (struct str){"", 0};
}

static int list_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct text *t = state;
	int rc = 0;

	for (uint32_t i = from; rc >= 0 && i < to; i++) {
		if (!agg_ok(v, i))
			continue;
		if (t->parts++)
			rc = text_add(c, t, separator(c, i), e);
		if (rc >= 0)
			rc = text_add(c, t, v->str[agg_at(v, i)], e);
	}
	return rc;
}

static int list_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct text *a = into;
	const struct text *b = from;
	const struct vec *sep = c->const_args && c->argc > 1 ? c->const_args[1] : NULL;
	int rc = 0;

	if (!b->parts)
		return 0;
	if (a->parts && sep && !(sep->valid && !sep->valid[0]))
		rc = text_add(c, a, sep->str[0], e);
	a->parts += b->parts;
	return rc < 0 ? rc : text_add(c, a, (struct str){b->data, b->len}, e);
}

static int list_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct text *t = state;

	return t->parts ? vb_add_str(out, (struct str){t->len ? t->data : "", t->len}, e) : vb_add_null(out, e);
}

static const struct agg_def list_def = {sizeof(struct text), list_add, NULL, list_merge, list_finish, true};

const struct func func_rows_agg_list[] = {
	AGGREGATE("listagg", "varchar", "varchar", &list_def,
		  "the texts one behind the other, NULLs left out; order them with WITHIN GROUP (ORDER BY ...)"),
	{.name = "listagg", .params = "varchar, varchar", .ret = "varchar",
	 .agg = &list_def, .flags = FN_CONST_ARGS,
	 .group = GROUP, .help = "the texts with a constant separator between them, NULLs left out"},
	FUNC_END,
};
