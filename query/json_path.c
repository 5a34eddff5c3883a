#include "query/json_path.h"

#define STEPS_MAX JSON_DEPTH_MAX /* a text is no deeper */
#define SHOWN_MAX 100

struct reader {
	struct arena *arena;
	struct str text;
	size_t at;
	struct json_path *path;
	struct err *e;
};

static int bad(const struct reader *r, const char *why)
{
	return err_set(r->e, -EINVAL, "the JSON path '%.*s' is malformed at character %zu: %s",
		       (int)MIN(r->text.len, (size_t)SHOWN_MAX), r->text.ptr, r->at + 1, why);
}

static int several(const struct reader *r)
{
	return bad(r, "only a path to one value is understood: .name, .\"name\", ['name'], [0]; no *, .., ?() or "
		      "slices");
}

static bool next_is(const struct reader *r, char c)
{
	return r->at < r->text.len && r->text.ptr[r->at] == c;
}

static int add_step(struct reader *r, struct json_step step)
{
	if (r->path->n == STEPS_MAX)
		return bad(r, "it has too many steps");
	r->path->steps[r->path->n++] = step;
	return 0;
}

/* A name in quotes; r->at is on the opening one. */
static int quoted(struct reader *r, struct json_step *ret)
{
	char quote = r->text.ptr[r->at++], *to = arena_alloc(r->arena, r->text.len);
	size_t n = 0;

	if (!to)
		return err_set(r->e, -ENOMEM, "out of memory: the limit for one query is reached");
	for (; r->at < r->text.len; r->at++) {
		char c = r->text.ptr[r->at];

		if (c == quote) {
			r->at++;
			ret->name = (struct str){to, n};
			return 0;
		}
		if (c == '\\') {
			if (++r->at == r->text.len)
				break;
			c = r->text.ptr[r->at];
			if (c != '\\' && c != '"' && c != '\'')
				return bad(r, "\\ stands in front of a quote or of itself");
		}
		to[n++] = c;
	}
	return bad(r, "the quote is never closed");
}

static int name(struct reader *r, struct json_step *ret)
{
	size_t from = r->at;

	if (next_is(r, '"'))
		return quoted(r, ret);
	if (next_is(r, '.') || next_is(r, '*'))
		return several(r);
	while (r->at < r->text.len && !strchr(".[]*?()@\"' ", r->text.ptr[r->at]))
		r->at++;
	if (r->at == from)
		return bad(r, "a name is missing; other names than letters and digits stand in quotes");
	/* The text lives as long as its column; the path may live longer. */
	ret->name = arena_str(r->arena, (struct str){r->text.ptr + from, r->at - from});
	return ret->name.ptr ? 0 : err_set(r->e, -ENOMEM, "out of memory: the limit for one query is reached");
}

static int element(struct reader *r, struct json_step *ret)
{
	size_t from = r->at;
	uint64_t v = 0;

	for (; r->at < r->text.len && r->text.ptr[r->at] >= '0' && r->text.ptr[r->at] <= '9'; r->at++)
		v = MIN(v * 10 + (uint64_t)(r->text.ptr[r->at] - '0'), (uint64_t)UINT32_MAX);
	if (r->at == from && (next_is(r, '*') || next_is(r, '?') || next_is(r, ':')))
		return several(r);
	if (r->at == from)
		return bad(r, "brackets hold a number from 0, or a name in quotes");
	ret->index = (uint32_t)v;
	return 0;
}

int json_path_parse(struct arena *a, struct str text, struct json_path *ret, struct err *e)
{
	struct reader r = {.arena = a, .text = text, .path = ret, .e = e};
	int rc = 0;

	*ret = (struct json_path){.steps = arena_zarray(a, struct json_step, STEPS_MAX)};
	if (!ret->steps)
		return err_set(e, -ENOMEM, "out of memory: the limit for one query is reached");
	if (!next_is(&r, '$'))
		return bad(&r, "it begins with $");
	for (r.at = 1; r.at < text.len && rc >= 0;) {
		struct json_step step = {.name = {NULL, 0}};

		if (next_is(&r, '.')) {
			r.at++;
			rc = name(&r, &step);
		} else if (next_is(&r, '[')) {
			r.at++;
			rc = next_is(&r, '"') || next_is(&r, '\'') ? quoted(&r, &step) : element(&r, &step);
			if (rc >= 0 && !next_is(&r, ']'))
				rc = next_is(&r, ':') || next_is(&r, ',') ? several(&r) : bad(&r, "] is missing");
			r.at++;
		} else {
			return bad(&r, "a step begins with . or [");
		}
		if (rc >= 0)
			rc = add_step(&r, step);
	}
	return rc;
}

static int find_member(struct json *j, struct str name, struct json_value *ret)
{
	struct json_value key;
	int rc;

	while ((rc = json_member(j, &key)) > 0) {
		bool is_it = str_eq(key.text, name);

		rc = json_value(j, ret);
		if (rc < 0 || is_it)
			return rc < 0 ? rc : 1;
		rc = json_skip(j, ret);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int find_element(struct json *j, uint32_t index, struct json_value *ret)
{
	int rc;

	while ((rc = json_element(j)) > 0) {
		rc = json_value(j, ret);
		if (rc < 0 || !index--)
			return rc < 0 ? rc : 1;
		rc = json_skip(j, ret);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int json_path_find(const struct json_path *p, struct json *j, struct json_value *ret)
{
	int rc = json_value(j, ret);

	for (uint32_t i = 0; i < p->n && rc >= 0; i++) {
		const struct json_step *s = &p->steps[i];

		if (ret->kind != (s->name.ptr ? JSON_OBJECT : JSON_ARRAY))
			return 0;
		rc = s->name.ptr ? find_member(j, s->name, ret) : find_element(j, s->index, ret);
		if (!rc)
			return 0;
	}
	return rc < 0 ? rc : 1;
}
