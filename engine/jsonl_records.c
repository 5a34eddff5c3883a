/*
 * Records in the shape of Timestream's WriteRecords. One top-level object is a record, or a request with
 * "Records" and perhaps "CommonAttributes", which are merged into each record: dimensions add up,
 * of everything else the record's own counts.
 *
 * What is structurally wrong - a member that is missing, unknown or of the wrong kind, a word that is none
 * of the known, dimensions that overlap, a version below 1 - refuses the line, so it is looked for in
 * all records before the first of them becomes a point. Values that do not suit their type refuse their
 * record.
 */
#include "engine/jsonl.h"

#include <stdio.h>

static const struct point_words words = {"dimension", "measure", "record"};

enum {
	HAS_DIMENSIONS = 1 << 0,
	HAS_MEASURE_NAME = 1 << 1,
	HAS_VALUE = 1 << 2,
	HAS_TYPE = 1 << 3,
	HAS_VALUES = 1 << 4,
	HAS_TIME = 1 << 5,
	HAS_UNIT = 1 << 6,
	HAS_VERSION = 1 << 7,
	HAS_DATABASE = 1 << 8,
	HAS_TABLE = 1 << 9,
	HAS_COMMON = 1 << 10,
	HAS_RECORDS = 1 << 11,

	OF_RECORD = HAS_VERSION * 2 - 1,
	OF_REQUEST = HAS_DATABASE | HAS_TABLE | HAS_COMMON | HAS_RECORDS,
};

static const struct {
	const char *name;
	unsigned bit;
	bool decides; /* a line that has it is no flat row */
} members[] = {
	{"Dimensions", HAS_DIMENSIONS, true},
	{"MeasureName", HAS_MEASURE_NAME, true},
	{"MeasureValue", HAS_VALUE, true},
	{"MeasureValueType", HAS_TYPE, true},
	{"MeasureValues", HAS_VALUES, true},
	{"Time", HAS_TIME, false},
	{"TimeUnit", HAS_UNIT, false},
	{"Version", HAS_VERSION, false},
	{"DatabaseName", HAS_DATABASE, false},
	{"TableName", HAS_TABLE, false},
	{"CommonAttributes", HAS_COMMON, true},
	{"Records", HAS_RECORDS, true},
};

#define SHOWN(s) (int)MIN((s).len, (size_t)64), (s).ptr

bool jsonl_is_records_member(struct str name)
{
	/* Nearly all names of flat rows end here. */
	if (name.len < 7 || (name.ptr[0] != 'D' && name.ptr[0] != 'M' && name.ptr[0] != 'C' && name.ptr[0] != 'R'))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (members[i].decides && str_is(name, members[i].name))
			return true;
	return false;
}

/* ---- words ---------------------------------------------------------------------------------------- */

struct word {
	const char *name;
	int64_t value;
};

/* TIMESTAMP is a word of the list, though nothing but an attribute may be one. */
static const struct word types[] = {
	{"DOUBLE", COL_DOUBLE},	      {"BIGINT", COL_BIGINT}, {"VARCHAR", COL_VARCHAR}, {"BOOLEAN", COL_BOOLEAN},
	{"TIMESTAMP", COL_TIMESTAMP}, {"MULTI", MEASURE_MULTI},
};
#define ATTR_TYPES (ARRAY_LEN(types) - 1)

static const struct word units[] = {
	{"MILLISECONDS", NS_PER_MS},
	{"SECONDS", NS_PER_S},
	{"MICROSECONDS", NS_PER_US},
	{"NANOSECONDS", 1},
};

static const struct word dimension_types[] = {{"VARCHAR", COL_VARCHAR}};

/* Where things are read from, and what to say about them. */
struct reading {
	struct jsonl *x;
	size_t *ret_at;
	struct err *e;
};

#define refuse(r, where, ...) jsonl_refuse((r)->ret_at, (where), (r)->e, __VA_ARGS__)

static int no_memory(struct reading *r)
{
	return err_set(r->e, -ENOMEM, "out of memory");
}

/* The reader has failed, and said why. */
static int from_reader(struct reading *r, int rc)
{
	*r->ret_at = r->x->json.at;
	return rc;
}

static int get_value(struct reading *r, struct json_value *v)
{
	int rc = json_value(&r->x->json, v);

	return rc < 0 ? from_reader(r, rc) : rc;
}

static int get_member(struct reading *r, struct json_value *name)
{
	int rc = json_member(&r->x->json, name);

	return rc < 0 ? from_reader(r, rc) : rc;
}

static int get_element(struct reading *r)
{
	int rc = json_element(&r->x->json);

	return rc < 0 ? from_reader(r, rc) : rc;
}

static int wrong_kind(struct reading *r, const char *name, const struct json_value *v, const char *wanted)
{
	return refuse(r, v->at, "%s must be %s, and is %s", name, wanted, json_kind_name(v->kind));
}

/* A string that is not empty; where `loose`, a number or boolean as it is spelled will do. */
static int take_text(struct reading *r, const char *name, const struct json_value *v, bool loose,
		     struct jsonl_text *ret)
{
	if (v->kind != JSON_STRING && !(loose && (v->kind == JSON_NUMBER || v->kind == JSON_BOOLEAN)))
		return wrong_kind(r, name, v, "a string");
	if (!v->text.len)
		return refuse(r, v->at, "%s is empty", name);
	*ret = (struct jsonl_text){v->text, v->at, v->is_copy};
	return 0;
}

static int take_word(struct reading *r, const char *name, const struct json_value *v, const struct word *list,
		     size_t n, int64_t *ret)
{
	char known[128];
	size_t len = 0;

	if (v->kind != JSON_STRING)
		return wrong_kind(r, name, v, "a string");
	for (size_t i = 0; i < n; i++) {
		if (str_is(v->text, list[i].name)) {
			*ret = list[i].value;
			return 0;
		}
		len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i ? ", " : "", list[i].name);
	}
	return refuse(r, v->at, "%s '%.*s' is none of %s", name, SHOWN(v->text), known);
}

static int take_version(struct reading *r, const struct json_value *v, int64_t *ret)
{
	struct jsonl_text t;
	int rc = take_text(r, "Version", v, true, &t);

	if (rc < 0)
		return rc;
	if (i64_parse(t.text, ret) < 0 || *ret < 1)
		return refuse(r, v->at, "Version %.*s is not a whole number from 1 to %lld", SHOWN(t.text),
			      (long long)INT64_MAX);
	return 0;
}

/* ---- lists ---------------------------------------------------------------------------------------- */

/* {"Name": ..., "Value": ..., "DimensionValueType" or "Type": ...}; *ret_type stays where there is none. */
static int take_named(struct reading *r, bool is_attr, const struct json_value *v, struct jsonl_text *ret_name,
		      struct jsonl_text *ret_value, int64_t *ret_type)
{
	const char *type_name = is_attr ? "Type" : "DimensionValueType";
	const char *what = is_attr ? "an element of MeasureValues" : "an element of Dimensions";
	struct json_value name, value;
	int rc;

	if (v->kind != JSON_OBJECT)
		return wrong_kind(r, what, v, "an object");
	*ret_name = *ret_value = (struct jsonl_text){0};
	while ((rc = get_member(r, &name)) > 0) {
		rc = get_value(r, &value);
		if (rc < 0)
			return rc;
		if (value.kind == JSON_NULL)
			continue;
		if (str_is(name.text, "Name"))
			rc = take_text(r, "Name", &value, false, ret_name);
		else if (str_is(name.text, "Value"))
			rc = take_text(r, "Value", &value, true, ret_value);
		else if (str_is(name.text, type_name) && is_attr)
			rc = take_word(r, type_name, &value, types, ATTR_TYPES, ret_type);
		else if (str_is(name.text, type_name))
			rc = take_word(r, type_name, &value, dimension_types, ARRAY_LEN(dimension_types), ret_type);
		else
			rc = refuse(r, name.at, "'%.*s' is no member of %s: these are Name, Value and %s",
				    SHOWN(name.text), what, type_name);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	if (!ret_name->text.len || !ret_value->text.len || !*ret_type)
		return refuse(r, v->at, "%s has no %s", what,
			      !ret_name->text.len ? "Name" : !ret_value->text.len ? "Value" : type_name);
	return 0;
}

static int take_dimensions(struct reading *r, const struct json_value *v, struct jsonl_record *rec)
{
	struct jsonl *x = r->x;
	struct json_value elem;
	int rc;

	if (v->kind != JSON_ARRAY)
		return wrong_kind(r, "Dimensions", v, "an array");
	rec->dim_from = x->dim_count;
	while ((rc = get_element(r)) > 0) {
		void *p = x->dims;
		int64_t type = COL_VARCHAR;
		rc = jsonl_grow(&p, &x->dim_cap, x->dim_count, sizeof *x->dims);
		x->dims = p;
		if (rc < 0)
			return no_memory(r);
		struct jsonl_dim *d = &x->dims[x->dim_count];
		rc = get_value(r, &elem);
		if (rc == 0)
			rc = take_named(r, false, &elem, &d->name, &d->value, &type);
		if (rc < 0)
			return rc;
		x->dim_count++;
	}
	rec->dim_to = x->dim_count;
	return rc;
}

static int take_attrs(struct reading *r, const struct json_value *v, struct jsonl_record *rec)
{
	struct jsonl *x = r->x;
	struct json_value elem;
	int rc;

	if (v->kind != JSON_ARRAY)
		return wrong_kind(r, "MeasureValues", v, "an array");
	rec->attr_from = x->attr_count;
	while ((rc = get_element(r)) > 0) {
		void *p = x->attrs;
		int64_t type = 0;
		rc = jsonl_grow(&p, &x->attr_cap, x->attr_count, sizeof *x->attrs);
		x->attrs = p;
		if (rc < 0)
			return no_memory(r);
		struct jsonl_attr *a = &x->attrs[x->attr_count];
		rc = get_value(r, &elem);
		if (rc == 0)
			rc = take_named(r, true, &elem, &a->name, &a->value, &type);
		if (rc < 0)
			return rc;
		a->type = (enum coltype)type;
		x->attr_count++;
	}
	if (rc == 0 && x->attr_count == rec->attr_from)
		return refuse(r, v->at, "MeasureValues is empty");
	rec->attr_to = x->attr_count;
	return rc;
}

/* ---- records -------------------------------------------------------------------------------------- */

static int take_records(struct reading *r, const struct json_value *v);

static int take_object(struct reading *r, unsigned allowed, const char *what, struct jsonl_record *rec);

static int take_common(struct reading *r, const struct json_value *v)
{
	struct jsonl *x = r->x;

	if (v->kind != JSON_OBJECT)
		return wrong_kind(r, "CommonAttributes", v, "an object");
	x->has_common = true;
	x->common = (struct jsonl_record){.from = v->at};
	return take_object(r, OF_RECORD, "CommonAttributes", &x->common);
}

static int take_member(struct reading *r, unsigned bit, const struct json_value *v, struct jsonl_record *rec)
{
	int64_t word = 0;
	int rc;

	switch (bit) {
	case HAS_DIMENSIONS:
		return take_dimensions(r, v, rec);
	case HAS_MEASURE_NAME:
		return take_text(r, "MeasureName", v, false, &rec->measure);
	case HAS_VALUE:
		return take_text(r, "MeasureValue", v, true, &rec->value);
	case HAS_VALUES:
		return take_attrs(r, v, rec);
	case HAS_TIME:
		return take_text(r, "Time", v, true, &rec->time);
	case HAS_TYPE:
		rc = take_word(r, "MeasureValueType", v, types, ARRAY_LEN(types), &word);
		if (rc == 0 && word == COL_TIMESTAMP)
			return refuse(r, v->at, "MeasureValueType TIMESTAMP is only for attributes, inside MULTI");
		rec->type = (enum measure_type)word;
		return rc;
	case HAS_UNIT:
		return take_word(r, "TimeUnit", v, units, ARRAY_LEN(units), &rec->unit_ns);
	case HAS_VERSION:
		return take_version(r, v, &rec->version);
	case HAS_DATABASE:
		return take_text(r, "DatabaseName", v, false, &r->x->database);
	case HAS_TABLE:
		return take_text(r, "TableName", v, false, &r->x->table);
	case HAS_COMMON:
		return take_common(r, v);
	default:
		return take_records(r, v);
	}
}

/* The members of an object that was opened, as far as they are `allowed`. null is the same as nothing. */
static int take_object(struct reading *r, unsigned allowed, const char *what, struct jsonl_record *rec)
{
	struct json_value name, value;
	int rc;

	while ((rc = get_member(r, &name)) > 0) {
		unsigned bit = 0;
		for (size_t i = 0; i < ARRAY_LEN(members) && !bit; i++)
			if ((members[i].bit & allowed) && str_is(name.text, members[i].name))
				bit = members[i].bit;
		if (!bit)
			return refuse(r, name.at, "'%.*s' is no member of %s", SHOWN(name.text), what);
		rc = get_value(r, &value);
		if (rc == 0 && value.kind != JSON_NULL) {
			rec->given |= bit;
			rc = take_member(r, bit, &value, rec);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int add_record(struct reading *r, const struct jsonl_record *rec)
{
	struct jsonl *x = r->x;
	void *p = x->records;
	int rc = jsonl_grow(&p, &x->record_cap, x->record_count, sizeof *x->records);

	x->records = p;
	if (rc < 0)
		return no_memory(r);
	x->records[x->record_count++] = *rec;
	return 0;
}

static int take_records(struct reading *r, const struct json_value *v)
{
	struct json_value elem;
	int rc;

	if (v->kind != JSON_ARRAY)
		return wrong_kind(r, "Records", v, "an array");
	r->x->is_request = true;
	while ((rc = get_element(r)) > 0) {
		struct jsonl_record rec = {0};
		rc = get_value(r, &elem);
		if (rc == 0 && elem.kind != JSON_OBJECT)
			return wrong_kind(r, "an element of Records", &elem, "an object");
		rec.from = elem.at;
		if (rc == 0)
			rc = take_object(r, OF_RECORD, "a record", &rec);
		rec.to = (uint32_t)(r->x->json.p - r->x->json.begin);
		if (rc == 0)
			rc = add_record(r, &rec);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !r->x->record_count)
		return refuse(r, v->at, "Records is empty");
	return rc;
}

/* ---- merging and checking ------------------------------------------------------------------------- */

/* What the record does not say itself is what all have in common, or the default. */
static void merge(struct jsonl_record *rec, const struct jsonl_record *common)
{
	unsigned take = common->given & ~rec->given;

	if (take & HAS_MEASURE_NAME)
		rec->measure = common->measure;
	if (take & HAS_VALUE)
		rec->value = common->value;
	if (take & HAS_TIME)
		rec->time = common->time;
	if (take & HAS_TYPE)
		rec->type = common->type;
	if (take & HAS_UNIT)
		rec->unit_ns = common->unit_ns;
	if (take & HAS_VERSION)
		rec->version = common->version;
	if (take & HAS_VALUES) {
		rec->attr_from = common->attr_from;
		rec->attr_to = common->attr_to;
	}
	rec->given |= take;
	if (!(rec->given & HAS_TYPE))
		rec->type = MEASURE_DOUBLE;
	if (!(rec->given & HAS_UNIT))
		rec->unit_ns = NS_PER_MS;
	if (!(rec->given & HAS_VERSION))
		rec->version = 1;
}

/* Names of all parts into the point; values of dimensions, too. */
static int add_names(const struct jsonl *x, const struct jsonl_record *rec, struct point *pt, struct err *e)
{
	const struct jsonl_record *from[] = {&x->common, rec};

	point_clear(pt);
	pt->words = &words;
	for (size_t k = x->has_common ? 0 : 1; k < ARRAY_LEN(from); k++) {
		for (uint32_t i = from[k]->dim_from; i < from[k]->dim_to; i++) {
			const struct jsonl_dim *d = &x->dims[i];
			struct point_tag *t = point_add_tag(pt);
			if (!t)
				return err_set(e, -ENOMEM, "out of memory");
			*t = (struct point_tag){d->name.text, d->value.text, d->name.at};
		}
	}
	for (uint32_t i = rec->attr_from; i < rec->attr_to; i++) {
		struct point_field *f = point_add_field(pt);
		if (!f)
			return err_set(e, -ENOMEM, "out of memory");
		f->key = x->attrs[i].name.text;
		f->at = x->attrs[i].name.at;
	}
	return 0;
}

static int check_members(struct reading *r, const struct jsonl_record *rec)
{
	bool is_multi = rec->type == MEASURE_MULTI;

	if (!(rec->given & HAS_MEASURE_NAME))
		return refuse(r, rec->from, "MeasureName is missing");
	if (!(rec->given & HAS_TIME))
		return refuse(r, rec->from, "Time is missing");
	if ((rec->given & HAS_VALUES) && !is_multi)
		return refuse(r, rec->from, "MeasureValues needs the MeasureValueType MULTI");
	if ((rec->given & HAS_VALUE) && is_multi)
		return refuse(r, rec->value.at, "a MULTI record has MeasureValues, and no MeasureValue");
	if (!(rec->given & (is_multi ? HAS_VALUES : HAS_VALUE)))
		return refuse(r, rec->from, "%s is missing", is_multi ? "MeasureValues" : "MeasureValue");
	return 0;
}

static int check_record(struct reading *r, struct jsonl_record *rec, struct point *pt, uint64_t *parts)
{
	const struct jsonl *x = r->x;
	uint32_t dims = rec->dim_to - rec->dim_from;

	if (x->has_common) {
		merge(rec, &x->common);
		dims += x->common.dim_to - x->common.dim_from;
	} else {
		merge(rec, &(struct jsonl_record){0});
	}
	int rc = check_members(r, rec);
	if (rc < 0)
		return rc;
	uint32_t attrs = rec->attr_to - rec->attr_from;
	if (dims > POINT_PARTS_MAX || attrs > POINT_PARTS_MAX)
		return refuse(r, rec->from, "more than %d %s", POINT_PARTS_MAX,
			      dims > POINT_PARTS_MAX ? "dimensions" : "attributes");
	/* Common ones are cheap to write and dear to store. */
	*parts += dims + attrs + 1;
	if (*parts > JSONL_PARTS_MAX)
		return refuse(r, rec->from, "the records of the line have more than %d dimensions and values in all",
			      JSONL_PARTS_MAX);
	rc = add_names(x, rec, pt, r->e);
	return rc < 0 ? rc : point_check(pt, r->ret_at, r->e);
}

int jsonl_parse_records(struct jsonl *x, struct point *pt, size_t *ret_at, struct err *e)
{
	struct reading r = {x, ret_at, e};
	struct jsonl_record top = {.from = (uint32_t)(x->json.p - x->json.begin) - 1};
	uint64_t parts = 0;
	int rc;

	x->member_count = 0;
	x->table = x->measure = (struct jsonl_text){0};
	rc = take_object(&r, OF_RECORD | OF_REQUEST, "a record or request", &top);
	if (rc < 0)
		return rc;
	top.to = (uint32_t)(x->json.p - x->json.begin);
	rc = json_finish(&x->json);
	if (rc < 0)
		return from_reader(&r, rc);
	if (x->is_request && (top.given & OF_RECORD))
		return refuse(&r, top.from,
			      "beside Records stand only DatabaseName, TableName and CommonAttributes");
	if (x->has_common && !x->is_request)
		return refuse(&r, top.from, "CommonAttributes without Records");
	if (!x->is_request) {
		rc = add_record(&r, &top);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < x->record_count; i++) {
		rc = check_record(&r, &x->records[i], pt, &parts);
		if (rc < 0)
			return x->is_request ? err_prefix(e, rc, "record %u", i) : rc;
	}
	return 0;
}

/* ---- points --------------------------------------------------------------------------------------- */

static int bad_value(size_t *ret_at, const struct jsonl_text *t, enum coltype type, const char *why, struct err *e)
{
	return jsonl_refuse(ret_at, t->at, e, "'%.*s' is no %s: %s", SHOWN(t->text), coltype_name(type), why);
}

static int take_boolean(struct str s, bool *ret)
{
	*ret = str_ieq(s, STR_LIT("true"));
	return *ret || str_ieq(s, STR_LIT("false")) ? 0 : -EINVAL;
}

/* A value's text, as its type reads it. */
static int take_value(const struct jsonl_text *t, enum coltype type, int64_t unit_ns, struct point_field *f,
		      size_t *ret_at, struct err *e)
{
	int rc;

	f->type = type;
	switch (type) {
	case COL_DOUBLE:
		rc = f64_parse(t->text, &f->f64);
		if (rc < 0)
			return bad_value(ret_at, t, type, "a finite decimal number is", e);
		return 0;
	case COL_BIGINT:
		rc = i64_parse(t->text, &f->i64);
		if (rc < 0)
			return bad_value(ret_at, t, type, "a whole number of 64 bits with sign is", e);
		return 0;
	case COL_BOOLEAN:
		rc = take_boolean(t->text, &f->b8);
		if (rc < 0)
			return bad_value(ret_at, t, type, "true and false are", e);
		return 0;
	case COL_TIMESTAMP:
		rc = i64_parse(t->text, &f->i64);
		if (rc < 0 || f->i64 < 0 || __builtin_mul_overflow(f->i64, unit_ns, &f->i64))
			return bad_value(ret_at, t, type,
					 "a whole number in the record's TimeUnit is, from 1970 to 2262", e);
		return 0;
	case COL_VARCHAR:
		f->str = t->text;
		f->in_scratch = t->is_copy;
		return 0;
	}
	return 0;
}

int jsonl_record_point(struct jsonl *x, uint32_t i, struct point *pt, size_t *ret_at, struct err *e)
{
	const struct jsonl_record *rec = &x->records[i];
	int rc = add_names(x, rec, pt, e);

	*ret_at = 0;
	if (rc < 0)
		return rc;
	pt->measure = rec->measure.text;
	pt->measure_type = rec->type;
	pt->has_version = true;
	pt->version = rec->version;
	rc = i64_parse(rec->time.text, &pt->time);
	if (rc < 0)
		return jsonl_refuse(ret_at, rec->time.at, e, "Time '%.*s' is not a whole number of 64 bits",
				    SHOWN(rec->time.text));
	pt->has_time = true;
	pt->time_at = rec->time.at;
	pt->time_unit_ns = rec->unit_ns;
	if (rec->type != MEASURE_MULTI) {
		struct point_field *f = point_add_field(pt);
		if (!f)
			return err_set(e, -ENOMEM, "out of memory");
		f->key = point_value_key(rec->type);
		f->at = rec->value.at;
		return take_value(&rec->value, (enum coltype)rec->type, rec->unit_ns, f, ret_at, e);
	}
	for (uint32_t k = 0; k < pt->field_count; k++) {
		const struct jsonl_attr *a = &x->attrs[rec->attr_from + k];
		rc = take_value(&a->value, a->type, rec->unit_ns, &pt->fields[k], ret_at, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
