/*
 * UNLOAD (query) TO 'folder' [WITH (option = value, ...)], as a plan.
 *
 * Options are strict: a name nobody knows, a value that is none, an option that the format has no use
 * for is an error at its place. What is wrong with the statement comes first, that it may not run here
 * last, so that a statement can be checked anywhere.
 */
#include <stdlib.h>

#include "query/bind.h"
#include "query/unload.h"

#define MB            ((double)(1 << 20))
#define FILE_MIN      (16 * MB)
#define FILE_MAX      (78 * 1024 * MB)
#define PATH_BYTES_MAX 4000

struct unload {
	struct bind *b;
	struct unload_spec *spec;
	struct plan *query;
	const struct ast_expr *parts; /* ARRAY[...]; NULL: none */
	struct pos csv_only;          /* of an option that only CSV has; line 0: none */
	struct str csv_only_name;
};

/* ---- values of options -------------------------------------------------------------------------- */

static int text_of(struct unload *u, const struct ast_option *o, const char *allowed)
{
	if (o->value->kind == EX_STRING)
		return 0;
	return bind_fail(u->b, o->value->pos, "the value of '%.*s' is a text: %s", STR_FMT(o->name.text), allowed);
}

/* Which of two words is it? Case does not matter. */
static int choice(struct unload *u, const struct ast_option *o, const char *a, const char *b, const char *allowed,
		  bool *ret_is_a)
{
	struct str v = o->value->text;
	int rc = text_of(u, o, allowed);

	if (rc < 0)
		return rc;
	*ret_is_a = str_ieq(v, str_from(a));
	if (*ret_is_a || str_ieq(v, str_from(b)))
		return 0;
	return bind_fail(u->b, o->value->pos, "'%.*s' is no value of '%.*s': %s", (int)MIN(v.len, (size_t)40), v.ptr,
			 STR_FMT(o->name.text), allowed);
}

static int set_format(struct unload *u, const struct ast_option *o)
{
	return choice(u, o, "PARQUET", "CSV", "'CSV' or 'PARQUET'", &u->spec->is_parquet);
}

static int set_compression(struct unload *u, const struct ast_option *o)
{
	return choice(u, o, "GZIP", "NONE", "'GZIP' or 'NONE'", &u->spec->is_compressed);
}

static void only_csv(struct unload *u, const struct ast_option *o)
{
	if (!u->csv_only.line) {
		u->csv_only = o->name.pos;
		u->csv_only_name = o->name.text;
	}
}

static int set_header(struct unload *u, const struct ast_option *o)
{
	only_csv(u, o);
	return choice(u, o, "true", "false", "'true' or 'false'", &u->spec->has_header);
}

static int set_char(struct unload *u, const struct ast_option *o, char *ret)
{
	struct str v = o->value->text;
	int rc = text_of(u, o, "one ASCII character");

	only_csv(u, o);
	if (rc < 0)
		return rc;
	if (str_is(v, "\\t"))
		v = STR_LIT("\t");
	if (v.len != 1 || (uint8_t)v.ptr[0] >= 0x80 || v.ptr[0] == '\0')
		return bind_fail(u->b, o->value->pos, "the value of '%.*s' is one ASCII character ('\\t' is the tabulator)",
				 STR_FMT(o->name.text));
	if (v.ptr[0] == '\n' || v.ptr[0] == '\r' || v.ptr[0] == '"')
		return bind_fail(u->b, o->value->pos, "'%.*s' cannot be %s, which %s in CSV", STR_FMT(o->name.text),
				 v.ptr[0] == '"' ? "the double quote" : "a line break",
				 v.ptr[0] == '"' ? "quotes values" : "ends a row");
	*ret = v.ptr[0];
	return 0;
}

static int set_delimiter(struct unload *u, const struct ast_option *o)
{
	return set_char(u, o, &u->spec->delimiter);
}

static int set_escape(struct unload *u, const struct ast_option *o)
{
	return set_char(u, o, &u->spec->escape);
}

static int set_file_size(struct unload *u, const struct ast_option *o)
{
	static const char allowed[] = "a number with MB or GB, from '16MB' to '78GB'";
	struct str v = o->value->text, unit;
	double n, bytes;
	int rc = text_of(u, o, allowed);

	if (rc < 0)
		return rc;
	v = str_trim(v);
	unit = (struct str){v.ptr + v.len - MIN(v.len, (size_t)2), MIN(v.len, (size_t)2)};
	if (!str_ieq(unit, STR_LIT("MB")) && !str_ieq(unit, STR_LIT("GB")))
		return bind_fail(u->b, o->value->pos, "the value of 'max_file_size' is %s", allowed);
	v.len -= 2;
	v = str_trim(v);
	for (size_t i = 0; i < v.len; i++) {
		if ((v.ptr[i] < '0' || v.ptr[i] > '9') && v.ptr[i] != '.')
			return bind_fail(u->b, o->value->pos, "the value of 'max_file_size' is %s", allowed);
	}
	if (f64_parse(v, &n) < 0)
		return bind_fail(u->b, o->value->pos, "the value of 'max_file_size' is %s", allowed);
	bytes = n * (str_ieq(unit, STR_LIT("GB")) ? 1024 * MB : MB);
	if (!(bytes >= FILE_MIN && bytes <= FILE_MAX))
		return bind_fail(u->b, o->value->pos, "the value of 'max_file_size' is %s", allowed);
	u->spec->file_bytes = (uint64_t)bytes;
	return 0;
}

/* Files lie on a disk of this machine: there is no key to hand, and "as the storage does" is what happens. */
static int set_encryption(struct unload *u, const struct ast_option *o)
{
	bool is_kms;
	int rc = choice(u, o, "SSE_KMS", "SSE_S3", "'SSE_S3' (there is no other here)", &is_kms);

	if (rc >= 0 && is_kms)
		return bind_fail(u->b, o->value->pos, "files cannot be encrypted with a key here: put the directory on an "
						      "encrypted disk");
	return rc;
}

static int set_kms_key(struct unload *u, const struct ast_option *o)
{
	return bind_fail(u->b, o->name.pos, "files cannot be encrypted with a key here: put the directory on an "
					    "encrypted disk");
}

static int set_partitions(struct unload *u, const struct ast_option *o)
{
	const struct ast_expr *x = o->value;

	if (x->kind != EX_ARRAY || !x->list.n)
		return bind_fail(u->b, x->pos, "the value of 'partitioned_by' is a list of columns: ARRAY['a', 'b']");
	for (uint32_t i = 0; i < x->list.n; i++) {
		if (x->list.v[i]->kind != EX_STRING)
			return bind_fail(u->b, x->list.v[i]->pos, "a column of 'partitioned_by' is named as a text: 'name'");
	}
	u->parts = x;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct unload *u, const struct ast_option *o);
} options[] = {
	{"format", set_format},
	{"compression", set_compression},
	{"partitioned_by", set_partitions},
	{"field_delimiter", set_delimiter},
	{"escaped_by", set_escape},
	{"include_header", set_header},
	{"max_file_size", set_file_size},
	{"encryption", set_encryption},
	{"kms_key", set_kms_key},
};

static int set_option(struct unload *u, const struct option_list *l, uint32_t i)
{
	const struct ident *name = &l->v[i].name;
	struct str names[ARRAY_LEN(options)];
	int near;

	for (uint32_t k = 0; k < i; k++) {
		if (str_ieq(l->v[k].name.text, name->text))
			return bind_fail(u->b, name->pos, "option '%.*s' is given twice", STR_FMT(name->text));
	}
	for (size_t k = 0; k < ARRAY_LEN(options); k++) {
		names[k] = str_from(options[k].name);
		if (str_ieq(names[k], name->text))
			return options[k].set(u, &l->v[i]);
	}
	near = str_nearest(name->text, names, (int)ARRAY_LEN(options));
	if (near >= 0)
		return bind_fail(u->b, name->pos, "UNLOAD has no option '%.*s' (did you mean '%s'?)", STR_FMT(name->text),
				 options[near].name);
	return bind_fail(u->b, name->pos,
			 "UNLOAD has no option '%.*s': they are format, compression, partitioned_by, field_delimiter, "
			 "escaped_by, include_header, max_file_size and encryption", STR_FMT(name->text));
}

static int set_options(struct unload *u, const struct option_list *l)
{
	struct unload_spec *s = u->spec;
	int rc = 0;

	for (uint32_t i = 0; i < l->n && rc >= 0; i++)
		rc = set_option(u, l, i);
	if (rc < 0)
		return rc;
	if (s->is_parquet && u->csv_only.line)
		return bind_fail(u->b, u->csv_only, "'%.*s' is an option of CSV, and the format is PARQUET",
				 STR_FMT(u->csv_only_name));
	if (s->delimiter == s->escape)
		return bind_fail(u->b, u->csv_only, "'field_delimiter' and 'escaped_by' must differ");
	return 0;
}

/* ---- columns ------------------------------------------------------------------------------------- */

static struct pos column_pos(const struct unload *u, const struct ast_query *q, uint32_t k)
{
	const struct ast_body *body = q->body;

	if (body->kind == BODY_SELECT) {
		const struct item_list *l = &body->select->items;
		bool has_star = false;
		for (uint32_t i = 0; i <= k && i < l->n; i++)
			has_star = has_star || l->v[i].expr->kind == EX_STAR;
		if (!has_star && k < l->n)
			return l->v[k].expr->pos;
	}
	return q->pos;
}

/* What has no place in a file: the types that the reference leaves out, also inside others. */
static const struct type *unfit(const struct type *t)
{
	const struct type *in = NULL;

	if (t->kind == TY_TIME || t->kind == TY_UNKNOWN)
		return t;
	if (t->kind == TY_ARRAY || t->kind == TY_TIMESERIES)
		return unfit(t->elem);
	for (uint32_t i = 0; t->kind == TY_ROW && i < t->field_count && !in; i++)
		in = unfit(t->fields[i].type);
	return in;
}

static int check_types(struct unload *u, const struct ast_query *q)
{
	for (uint32_t k = 0; k < u->query->col_count; k++) {
		const struct type *t = unfit(u->query->cols[k].type);
		if (t)
			return bind_fail(u->b, column_pos(u, q, k), "column '%.*s' is of type %s, and %s cannot be unloaded: %s",
					 STR_FMT(u->query->cols[k].name),
					 type_name(u->b->arena, u->query->cols[k].type), type_name(u->b->arena, t),
					 t->kind == TY_TIME ? "CAST it to varchar" : "CAST(NULL AS double), say, has a type");
	}
	return 0;
}

static int check_partitions(struct unload *u)
{
	const struct plan *q = u->query;
	uint32_t n = u->parts ? u->parts->list.n : 0;

	if (n >= q->col_count)
		return bind_fail(u->b, u->parts->pos, "no column is left for the files: the query gives %u, and %u of them "
						      "make folders", q->col_count, n);
	u->spec->part_n = n;
	u->spec->part_pos = arena_zarray(u->b->arena, struct pos, n + 1);
	if (!u->spec->part_pos)
		return bind_nomem(u->b);
	for (uint32_t i = 0; i < n; i++) {
		const struct ast_expr *x = u->parts->list.v[i];
		const struct plan_col *c = &q->cols[q->col_count - n + i];
		bool is_there = false;

		u->spec->part_pos[i] = x->pos;
		for (uint32_t k = 0; k < q->col_count; k++)
			is_there = is_there || str_eq(q->cols[k].name, x->text);
		if (!is_there)
			return bind_fail(u->b, x->pos, "the query gives no column '%.*s' (case matters)", STR_FMT(x->text));
		if (!str_eq(c->name, x->text))
			return bind_fail(u->b, x->pos,
					 "the columns of 'partitioned_by' must be the last ones of the query, in the same "
					 "order: '%.*s' stands where '%.*s' should", STR_FMT(c->name), STR_FMT(x->text));
		if (type_layout(c->type) == LAYOUT_LIST || type_layout(c->type) == LAYOUT_ROW)
			return bind_fail(u->b, x->pos, "column '%.*s' is of type %s, which makes no folder", STR_FMT(x->text),
					 type_name(u->b->arena, c->type));
		if (!c->name.len)
			return bind_fail(u->b, x->pos, "a column without a name makes no folder");
	}
	return 0;
}

/* ---- the target ---------------------------------------------------------------------------------- */

/* Below dir, which has no slash at its end: what is behind it. */
static int below(struct unload *u, struct str t, struct str *ret)
{
	struct str dir = str_from(u->spec->dir);

	if (t.ptr[0] != '/') {
		*ret = t;
		return 0;
	}
	if (dir.len == 1)
		dir.len = 0; /* "/" */
	if (t.len < dir.len || memcmp(t.ptr, dir.ptr, dir.len) != 0 || (t.len > dir.len && t.ptr[dir.len] != '/'))
		return bind_fail(u->b, u->spec->target_pos, "'%.*s' does not lie below %s, where UNLOAD may write "
							    "(mount option unload)", STR_FMT(t), u->spec->dir);
	*ret = (struct str){t.ptr + dir.len, t.len - dir.len};
	return 0;
}

/* Parts without empty ones and dots, joined by single slashes. */
static int normalise(struct unload *u, struct str t)
{
	char *to = arena_alloc(u->b->arena, t.len + 1);
	size_t n = 0;

	if (!to)
		return bind_nomem(u->b);
	for (size_t i = 0, end; i < t.len; i = end + 1) {
		const char *slash = memchr(t.ptr + i, '/', t.len - i);
		end = slash ? (size_t)(slash - t.ptr) : t.len;
		struct str part = {t.ptr + i, end - i};
		if (!part.len || str_is(part, "."))
			continue;
		if (str_is(part, ".."))
			return bind_fail(u->b, u->spec->target_pos, "a target cannot have '..' in its path");
		if (n)
			to[n++] = '/';
		memcpy(to + n, part.ptr, part.len);
		n += part.len;
	}
	to[n] = '\0';
	u->spec->target = (struct str){to, n};
	return 0;
}

static int set_target(struct unload *u, struct str t)
{
	struct pos at = u->spec->target_pos;
	struct str rest = t;
	int rc;

	if (!t.len)
		return bind_fail(u->b, at, "the target is empty: name a folder");
	if (t.len > PATH_BYTES_MAX)
		return bind_fail(u->b, at, "the target has %zu bytes; at most %d are allowed", t.len, PATH_BYTES_MAX);
	if (memchr(t.ptr, '\0', t.len))
		return bind_fail(u->b, at, "a target cannot have a zero byte in its path");
	if (memmem(t.ptr, t.len, "://", 3))
		return bind_fail(u->b, at, "'%.*s': UNLOAD writes into a directory of the machine that holds the data, to no "
					   "other place: give a path such as 'folder'", (int)MIN(t.len, (size_t)100), t.ptr);
	if (!u->b->env->unload_dir)
		return err_set(u->b->e, -EPERM, "line %u:%u: UNLOAD may write nowhere: mount with -o unload=DIR to allow it "
						"below the directory DIR", at.line, at.col);
	u->spec->dir = u->b->env->unload_dir;
	u->spec->io = u->b->env->unload_io;
	rc = below(u, t, &rest);
	return rc < 0 ? rc : normalise(u, rest);
}

/* ---- all of it ----------------------------------------------------------------------------------- */

int bind_unload(struct bind *b, const struct ast_stmt *s, struct plan **ret)
{
	static const char *const names[] = {"rows", "metadataFile", "manifestFile"};
	struct unload u = {.b = b, .spec = arena_new(b->arena, struct unload_spec)};
	struct plan *p;
	int rc;

	if (!u.spec)
		return bind_nomem(b);
	*u.spec = (struct unload_spec){
		.is_compressed = true, .delimiter = ',', .escape = '\\', .file_bytes = (uint64_t)FILE_MAX,
		.target_pos = s->target_pos};
	rc = bind_plan(b, s->query, &u.query);
	if (rc >= 0)
		rc = set_options(&u, &s->options);
	if (rc >= 0)
		rc = check_types(&u, s->query);
	if (rc >= 0)
		rc = check_partitions(&u);
	if (rc >= 0)
		rc = set_target(&u, s->target);
	if (rc < 0)
		return rc;
	p = plan_new(b, PLAN_UNLOAD, 3);
	if (!p)
		return bind_nomem(b);
	for (uint32_t i = 0; i < 3; i++)
		p->cols[i] = (struct plan_col){str_from(names[i]), i ? &type_varchar : &type_bigint};
	p->children = arena_zarray(b->arena, struct plan *, 1);
	if (!p->children)
		return bind_nomem(b);
	p->children[0] = u.query;
	p->child_count = 1;
	p->pos = s->pos;
	p->unload = u.spec;
	*ret = p;
	return 0;
}
