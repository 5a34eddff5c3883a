/*
 * func_json: JSON in varchar. There is no type for it: what comes out is a text again, spelled as in
 * the text it was taken from.
 *
 * What is no JSON (RFC 8259, with no name twice in an object) gives NULL, as does a path that leads
 * nowhere; a path that is malformed is an error. Texts are read up to the value asked for and past it:
 * a text that is malformed behind it is no JSON either.
 */
#include "query/func_text.h"

#include "query/json_path.h"

#define GROUP "JSON"

/* The path is the second argument everywhere. */
static int prepare(struct arena *a, const struct vec *const *args, uint32_t argc, void **ret, struct err *e)
{
	struct json_path *p;
	int rc;

	if (argc < 2 || !args[1] || (args[1]->valid && !args[1]->valid[0]))
		return 0;
	p = arena_new(a, struct json_path);
	if (!p)
		return func_no_memory(e);
	rc = json_path_parse(a, args[1]->str[0], p, e);
	if (rc >= 0)
		*ret = p;
	return rc;
}

/* The rows of a call, one reader for all of them. */
struct rows {
	struct fn_call *c;
	struct json j;
	struct json_path own; /* of `pattern`, where the path is no constant */
	struct str pattern;
	struct err *e;
};

/* The path of row i; NULL in *ret: the whole text. */
static int path_of(struct rows *r, uint32_t i, const struct json_path **ret)
{
	static const struct json_path whole = {NULL, 0};
	struct str p;
	int rc;

	*ret = r->c->prepared ? r->c->prepared : &whole;
	if (r->c->argc < 2 || r->c->prepared)
		return 0;
	p = arg_str(r->c, 1, i);
	*ret = &r->own;
	if (r->own.steps && str_eq(p, r->pattern))
		return 0;
	rc = json_path_parse(r->c->arena, p, &r->own, r->e);
	r->pattern = p;
	return rc;
}

/* Everything behind the value at hand. -EINVAL: it is malformed. */
static int read_rest(struct json *j)
{
	int rc = 0;

	while (j->depth > 0 && rc >= 0) {
		struct json_value v;

		if (j->frames[j->depth - 1].is_object)
			rc = json_member(j, &v);
		else
			rc = json_element(j);
		if (rc > 0) {
			rc = json_value(j, &v);
			if (rc >= 0)
				rc = json_skip(j, &v);
		}
	}
	return rc < 0 ? rc : json_finish(j);
}

/*
 * What a function makes of the value found: 1, 0: NULL. It reads the value to its end. i: the row of ret.
 */
typedef int take_fn(struct rows *r, const struct json_value *v, struct vec *ret, uint32_t i);

static int row(struct rows *r, uint32_t i, take_fn *take, struct vec *ret)
{
	struct str s = arg_str(r->c, 0, i);
	const struct json_path *path;
	struct json_value v;
	int rc = path_of(r, i, &path), found;

	if (rc < 0)
		return rc;
	/* Sentences about the text are of no use: it gives NULL. */
	rc = json_start(&r->j, s.len ? s : STR_LIT(" "), NULL);
	found = rc < 0 ? rc : json_path_find(path, &r->j, &v);
	if (found > 0)
		found = take(r, &v, ret, i);
	rc = found < 0 ? found : read_rest(&r->j);
	if (rc == -ENOMEM)
		return func_no_memory(r->e);
	return rc < 0 || !found ? ret_set_null(r->c, ret, i, r->e) : 0;
}

static int each_row(struct fn_call *c, struct vec *ret, take_fn *take, struct err *e)
{
	struct rows r = {.c = c, .e = e};
	int rc = 0;

	json_init(&r.j);
	for (uint32_t i = 0; i < c->n && rc >= 0; i++) {
		if (row_ok(c, i))
			rc = row(&r, i, take, ret);
	}
	json_release(&r.j);
	return rc;
}

/* ---- the functions ------------------------------------------------------------------------------ */

static int take_text(struct rows *r, const struct json_value *v, struct vec *ret, uint32_t i)
{
	int rc = json_skip(&r->j, v);

	ret->str[i] = (struct str){r->j.begin + v->at, (size_t)(r->j.p - r->j.begin) - v->at};
	return rc < 0 ? rc : 1;
}

static int take_scalar(struct rows *r, const struct json_value *v, struct vec *ret, uint32_t i)
{
	switch (v->kind) {
	case JSON_STRING:
		ret->str[i] = v->is_copy ? arena_str(r->c->arena, v->text) : v->text;
		return ret->str[i].ptr ? 1 : -ENOMEM;
	case JSON_NUMBER:
		ret->str[i] = v->text;
		return 1;
	case JSON_BOOLEAN:
		ret->str[i] = v->boolean ? STR_LIT("true") : STR_LIT("false");
		return 1;
	case JSON_NULL:
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	int rc = json_skip(&r->j, v);
	return rc < 0 ? rc : 0;
}

static int count(struct rows *r, const struct json_value *v, int64_t *ret)
{
	struct json_value part;
	int rc = 0;

	*ret = 0;
	while (v->kind == JSON_ARRAY || v->kind == JSON_OBJECT) {
		rc = v->kind == JSON_ARRAY ? json_element(&r->j) : json_member(&r->j, &part);
		if (rc <= 0)
			break;
		rc = json_value(&r->j, &part);
		if (rc >= 0)
			rc = json_skip(&r->j, &part);
		if (rc < 0)
			break;
		++*ret;
	}
	return rc < 0 ? rc : 1;
}

static int take_size(struct rows *r, const struct json_value *v, struct vec *ret, uint32_t i)
{
	return count(r, v, &ret->i64[i]);
}

static int take_length(struct rows *r, const struct json_value *v, struct vec *ret, uint32_t i)
{
	int rc = count(r, v, &ret->i64[i]);

	return rc < 0 ? rc : v->kind == JSON_ARRAY;
}

static int json_extract(struct fn_call *c, struct vec *ret, struct err *e)
{
	return each_row(c, ret, take_text, e);
}
static int json_extract_scalar(struct fn_call *c, struct vec *ret, struct err *e)
{
	return each_row(c, ret, take_scalar, e);
}
static int json_size(struct fn_call *c, struct vec *ret, struct err *e)
{
	return each_row(c, ret, take_size, e);
}
static int json_array_length(struct fn_call *c, struct vec *ret, struct err *e)
{
	return each_row(c, ret, take_length, e);
}

#define JSON(n, p, r, h) {.name = #n, .params = p, .ret = r, .scalar = n, .prepare = prepare, .group = GROUP, .help = h}

const struct func func_rows_json[] = {
	JSON(json_extract, "varchar, varchar", "varchar",
	     "the value at a path such as $.a[0].\"b c\", as JSON text; NULL: none there, or no JSON"),
	JSON(json_extract_scalar, "varchar, varchar", "varchar",
	     "the string, number or boolean at a path, as text without quotes; NULL: none there, or no JSON"),
	JSON(json_size, "varchar, varchar", "bigint", "how many elements or members the value at a path has; 0: a scalar"),
	JSON(json_array_length, "varchar", "bigint", "how many elements the JSON array has; NULL: it is none"),
	FUNC_END,
};
