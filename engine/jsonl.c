#include "engine/jsonl.h"

#include <stdlib.h>

static const struct point_words words = {"dimension", "measure", "row"};

void jsonl_init(struct jsonl *x)
{
	*x = (struct jsonl){0};
	json_init(&x->json);
}

void jsonl_release(struct jsonl *x)
{
	json_release(&x->json);
	free(x->members);
	free(x->guess);
	free(x->records);
	free(x->dims);
	free(x->attrs);
	jsonl_init(x);
}

#define KEEP_BYTES (1 << 20)

void jsonl_trim(struct jsonl *x)
{
	size_t bytes = x->json.scratch.bytes + x->json.name_cap * sizeof *x->json.names +
		       x->member_cap * sizeof *x->members + x->guess_cap * sizeof *x->guess +
		       x->record_cap * sizeof *x->records + x->dim_cap * sizeof *x->dims +
		       x->attr_cap * sizeof *x->attrs;

	if (bytes > KEEP_BYTES)
		jsonl_release(x);
}

int jsonl_grow(void **p, uint32_t *cap, uint32_t n, size_t size)
{
	if (n < *cap)
		return 0;
	uint32_t to = *cap ? *cap * 2 : 16;
	void *q = realloc(*p, to * size);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = to;
	return 0;
}

/* A text for a message: what a reader can take in. */
#define SHOWN(s) (int)MIN((s).len, (size_t)64), (s).ptr

/* ---- a flat row: reading ------------------------------------------------------------------------ */

/* The three members that are no columns. NULL: a column. */
static struct jsonl_member *special(struct jsonl *x, struct str name, struct jsonl_member *other)
{
	if (str_is(name, "time"))
		return &x->time;
	return str_is(name, "measure_name") || str_is(name, "table") ? other : NULL;
}

static int take_name(struct jsonl *x, const struct jsonl_member *m, size_t *ret_at, struct err *e)
{
	struct jsonl_text *to = str_is(m->name.text, "table") ? &x->table : &x->measure;

	if (m->value.kind != JSON_STRING)
		return jsonl_refuse(ret_at, m->value.at, e, "'%.*s' must be a string", STR_FMT(m->name.text));
	if (!m->value.text.len)
		return jsonl_refuse(ret_at, m->value.at, e, "'%.*s' is empty", STR_FMT(m->name.text));
	*to = (struct jsonl_text){m->value.text, m->value.at, m->value.is_copy};
	return 0;
}

/* 0: a flat row; 1: no, it has a member of records. */
static int parse_flat(struct jsonl *x, size_t *ret_at, struct err *e)
{
	struct json *j = &x->json;
	struct jsonl_member other;

	for (;;) {
		void *p = x->members;
		int rc = jsonl_grow(&p, &x->member_cap, x->member_count, sizeof *x->members);
		x->members = p;
		if (rc < 0)
			return err_set(e, rc, "out of memory");
		struct jsonl_member *m = &x->members[x->member_count];
		rc = json_member(j, &m->name);
		if (rc > 0 && jsonl_is_records_member(m->name.text))
			return 1;
		bool is_end = rc == 0;
		if (rc > 0)
			rc = json_value(j, &m->value);
		if (rc < 0)
			*ret_at = j->at;
		if (rc < 0 || is_end)
			return rc;
		if (m->value.kind == JSON_OBJECT || m->value.kind == JSON_ARRAY)
			return jsonl_refuse(ret_at, m->value.at, e,
					    "member '%.*s' is %s, and a row is flat: give each value a member of its own",
					    SHOWN(m->name.text), json_kind_name(m->value.kind));
		if (m->value.kind == JSON_NULL)
			continue;
		struct jsonl_member *to = special(x, m->name.text, &other);
		if (!to) {
			x->member_count++;
			continue;
		}
		*to = *m;
		rc = to == &other ? take_name(x, m, ret_at, e) : 0;
		if (rc < 0)
			return rc;
	}
}

static bool is_blank(struct str line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r')
			return false;
	return true;
}

/* Begin to read the line, up to its opening brace. */
static int open_object(struct jsonl *x, size_t *ret_at, struct err *e)
{
	struct json_value v;
	int rc = json_start(&x->json, x->line, e);

	if (rc == 0)
		rc = json_value(&x->json, &v);
	if (rc < 0) {
		*ret_at = x->json.at;
		return rc;
	}
	if (v.kind != JSON_OBJECT)
		return jsonl_refuse(ret_at, v.at, e, "a line is one JSON object, and this is %s",
				    json_kind_name(v.kind));
	return 0;
}

int jsonl_parse(struct jsonl *x, struct point *pt, struct str line, size_t *ret_at, struct err *e)
{
	int rc;

	x->line = line;
	x->shape = JSONL_BLANK;
	x->database = x->table = x->measure = (struct jsonl_text){0};
	x->time.value.kind = JSON_NULL;
	x->member_count = x->record_count = x->dim_count = x->attr_count = 0;
	x->is_request = x->has_common = false;
	*ret_at = 0;
	if (is_blank(line))
		return 0;
	rc = open_object(x, ret_at, e);
	if (rc == 0)
		rc = parse_flat(x, ret_at, e);
	if (rc > 0) {
		x->shape = JSONL_RECORDS;
		rc = open_object(x, ret_at, e);
		return rc < 0 ? rc : jsonl_parse_records(x, pt, ret_at, e);
	}
	x->shape = JSONL_FLAT;
	if (rc == 0 && (rc = json_finish(&x->json)) < 0)
		*ret_at = x->json.at;
	return rc;
}

/* ---- a flat row: what it means -------------------------------------------------------------------- */

static bool is_whole_number(struct str s)
{
	size_t i = s.len && s.ptr[0] == '-';

	for (size_t k = i; k < s.len; k++)
		if ((unsigned char)(s.ptr[k] - '0') >= 10)
			return false;
	return s.len > i;
}

/* A moment: a number in units of `unit_ns` (*ret_unit says which), or a text (in ns). */
static int take_moment(const struct jsonl_member *m, int64_t unit_ns, int64_t *ret, int64_t *ret_unit,
		       size_t *ret_at, struct err *e)
{
	struct str text = m->value.text;
	int rc = -EINVAL;

	if (m->value.kind == JSON_BOOLEAN || (m->value.kind == JSON_NUMBER && !m->value.is_integer))
		return jsonl_refuse(ret_at, m->value.at, e,
				    "'%.*s' must be a whole number, or a text such as \"2026-02-14T10:15:00.5Z\"",
				    SHOWN(m->name.text));
	*ret_unit = unit_ns;
	/* Some programs cannot write 64 bits as a number, so digits in quotes are as good. */
	if (m->value.kind == JSON_NUMBER || is_whole_number(text)) {
		rc = i64_parse(text, ret);
	} else {
		*ret_unit = 1;
		rc = instant_parse(text, ret);
	}
	if (rc == -ERANGE)
		return jsonl_refuse(ret_at, m->value.at, e, "'%.*s': %.*s is out of range", SHOWN(m->name.text),
				    SHOWN(text));
	if (rc < 0)
		return jsonl_refuse(ret_at, m->value.at, e,
				    "'%.*s': '%.*s' is no time; write it as 2026-02-14T10:15:00.5Z or "
				    "'2026-02-14 10:15:00.123456789' (UTC), or as a whole number",
				    SHOWN(m->name.text), SHOWN(text));
	return 0;
}

static int take_timestamp(const struct jsonl_member *m, int64_t precision_ns, struct point_field *f,
			  size_t *ret_at, struct err *e)
{
	int64_t unit;
	int rc = take_moment(m, precision_ns, &f->i64, &unit, ret_at, e);

	if (rc < 0)
		return rc;
	f->type = COL_TIMESTAMP;
	if (f->i64 < 0 || __builtin_mul_overflow(f->i64, unit, &f->i64))
		return jsonl_refuse(ret_at, m->value.at, e, "'%.*s': %.*s is not between 1970 and 2262",
				    SHOWN(m->name.text), SHOWN(m->value.text));
	return 0;
}

static int take_number(const struct jsonl_member *m, bool as_double, struct point_field *f, size_t *ret_at,
		       struct err *e)
{
	struct str text = m->value.text;
	int rc;

	if (as_double || !m->value.is_integer) {
		f->type = COL_DOUBLE;
		rc = f64_parse(text, &f->f64);
		if (rc < 0)
			return jsonl_refuse(ret_at, m->value.at, e, "'%.*s': %.*s is too large for a double",
					    SHOWN(m->name.text), SHOWN(text));
		return 0;
	}
	f->type = COL_BIGINT;
	rc = i64_parse(text, &f->i64);
	if (rc < 0)
		return jsonl_refuse(ret_at, m->value.at, e,
				    "'%.*s': %.*s does not fit 64 bits with sign; with a fraction or an exponent it "
				    "would be a double",
				    SHOWN(m->name.text), SHOWN(text));
	return 0;
}

/* want: type of the column, or 0 while there is none. Whether the two agree is for the feed to say. */
static int take_field(const struct jsonl_member *m, unsigned want, int64_t precision_ns, struct point_field *f,
		      size_t *ret_at, struct err *e)
{
	f->key = m->name.text;
	f->at = m->name.at;
	if (want == COL_TIMESTAMP && m->value.kind != JSON_BOOLEAN)
		return take_timestamp(m, precision_ns, f, ret_at, e);
	switch (m->value.kind) {
	case JSON_NUMBER:
		return take_number(m, want == COL_DOUBLE, f, ret_at, e);
	case JSON_BOOLEAN:
		f->type = COL_BOOLEAN;
		f->b8 = m->value.boolean;
		return 0;
	default:
		f->type = COL_VARCHAR;
		f->str = m->value.text;
		f->in_scratch = m->value.is_copy;
		return 0;
	}
}

/* The type that "measure_value::<type>" names; 0 where the name is another. */
static unsigned value_type(struct str name)
{
	if (name.len < 15 || name.ptr[0] != 'm' || !str_starts(name, "measure_value::"))
		return 0;
	for (unsigned t = MEASURE_BIGINT; t <= MEASURE_VARCHAR; t++)
		if (str_eq(name, point_value_key((enum measure_type)t)))
			return t;
	return 0;
}

/* The i-th member's column, or NULL. The row before mostly had the same one there. */
static const struct column *column_of(struct jsonl *x, const struct series_set *columns, uint32_t i)
{
	struct str name = x->members[i].name.text;

	if (!columns)
		return NULL;
	if (x->guess[i] < series_column_count(columns)) {
		const struct column *c = series_column(columns, x->guess[i]);
		if (str_eq(c->name, name))
			return c;
	}
	int64_t id = series_find_column(columns, name);
	if (id < 0)
		return NULL;
	x->guess[i] = (uint32_t)id;
	return series_column(columns, (uint32_t)id);
}

static int guesses_reserve(struct jsonl *x)
{
	if (x->guess_cap >= x->member_cap)
		return 0;
	uint32_t *p = realloc(x->guess, x->member_cap * sizeof *p);
	if (!p)
		return -ENOMEM;
	memset(p + x->guess_cap, 0xFF, (x->member_cap - x->guess_cap) * sizeof *p);
	x->guess = p;
	x->guess_cap = x->member_cap;
	return 0;
}

static int too_many(const struct jsonl_member *m, const char *what, size_t *ret_at, struct err *e)
{
	return jsonl_refuse(ret_at, m->name.at, e, "more than %d %s", POINT_PARTS_MAX, what);
}

static int add_tag(const struct jsonl_member *m, struct point *pt, size_t *ret_at, struct err *e)
{
	if (!m->name.text.len)
		return jsonl_refuse(ret_at, m->name.at, e, "a member's name is empty");
	if (!m->value.text.len)
		return jsonl_refuse(ret_at, m->value.at, e,
				    "the value of dimension '%.*s' is empty; leave it out or write null",
				    SHOWN(m->name.text));
	if (pt->tag_count == POINT_PARTS_MAX)
		return too_many(m, "dimensions", ret_at, e);
	struct point_tag *t = point_add_tag(pt);
	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	*t = (struct point_tag){m->name.text, m->value.text, m->name.at};
	return 0;
}

/* A member becomes a tag or a field of the point. */
static int add_member(struct jsonl *x, const struct series_set *columns, uint32_t i, int64_t precision_ns,
		      struct point *pt, size_t *ret_at, struct err *e)
{
	const struct jsonl_member *m = &x->members[i];
	const struct column *c = column_of(x, columns, i);
	unsigned single = value_type(m->name.text);
	bool is_measure = c && c->kind != COLKIND_DIMENSION;

	if (m->value.kind == JSON_STRING && !is_measure && !single)
		return add_tag(m, pt, ret_at, e);
	if (pt->field_count == POINT_PARTS_MAX)
		return too_many(m, "measures", ret_at, e);
	struct point_field *f = point_add_field(pt);
	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	int rc = take_field(m, single ? single : is_measure ? (unsigned)c->type : 0, precision_ns, f, ret_at, e);
	if (rc < 0 || !single)
		return rc;
	if (f->type != (enum coltype)single)
		return jsonl_refuse(ret_at, m->value.at, e, "'%.*s' is %s, and a %s was offered",
				    STR_FMT(m->name.text), coltype_name((enum coltype)single),
				    coltype_name(f->type));
	pt->measure_type = (enum measure_type)single;
	return 0;
}

int jsonl_flat_point(struct jsonl *x, const struct series_set *columns, struct str table,
		     int64_t precision_ns, struct point *pt, size_t *ret_at, struct err *e)
{
	int rc = guesses_reserve(x);

	if (rc < 0)
		return err_set(e, rc, "out of memory");
	point_clear(pt);
	pt->words = &words;
	pt->measure = x->measure.text.len ? x->measure.text : table;
	*ret_at = 0;
	if (x->time.value.kind != JSON_NULL) {
		rc = take_moment(&x->time, 0, &pt->time, &pt->time_unit_ns, ret_at, e);
		if (rc < 0)
			return rc;
		pt->has_time = true;
		pt->time_at = x->time.value.at;
	}
	for (uint32_t i = 0; i < x->member_count; i++) {
		rc = add_member(x, columns, i, precision_ns, pt, ret_at, e);
		if (rc < 0)
			return rc;
	}
	if (!pt->field_count)
		return jsonl_refuse(ret_at, 0, e,
				    "the row has no measure: a number, a boolean, or a text for a column that is a "
				    "measure already");
	if (pt->measure_type != MEASURE_MULTI && pt->field_count > 1)
		return jsonl_refuse(ret_at, pt->fields[1].at, e,
				    "a row with a measure_value has no other measure beside it");
	return 0;
}
