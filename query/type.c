#include "query/type.h"

#define SCALAR(name, k) const struct type type_##name = {.kind = k, .length = -1}
SCALAR(unknown, TY_UNKNOWN);
SCALAR(boolean, TY_BOOLEAN);
SCALAR(integer, TY_INTEGER);
SCALAR(bigint, TY_BIGINT);
SCALAR(double, TY_DOUBLE);
SCALAR(varchar, TY_VARCHAR);
SCALAR(date, TY_DATE);
SCALAR(time, TY_TIME);
SCALAR(timestamp, TY_TIMESTAMP);
SCALAR(interval_ds, TY_INTERVAL_DS);
SCALAR(interval_ym, TY_INTERVAL_YM);

/* Names of the kinds, and how their values lie in memory. */
static const struct {
	const char *name;
	enum type_layout layout;
} kinds[] = {
	[TY_UNKNOWN] = {"unknown", LAYOUT_I64},
	[TY_BOOLEAN] = {"boolean", LAYOUT_BOOL},
	[TY_INTEGER] = {"integer", LAYOUT_I64},
	[TY_BIGINT] = {"bigint", LAYOUT_I64},
	[TY_DOUBLE] = {"double", LAYOUT_F64},
	[TY_VARCHAR] = {"varchar", LAYOUT_STR},
	[TY_DATE] = {"date", LAYOUT_I64},
	[TY_TIME] = {"time", LAYOUT_I64},
	[TY_TIMESTAMP] = {"timestamp", LAYOUT_I64},
	[TY_INTERVAL_DS] = {"interval day to second", LAYOUT_I64},
	[TY_INTERVAL_YM] = {"interval year to month", LAYOUT_I64},
	[TY_ARRAY] = {"array", LAYOUT_LIST},
	[TY_ROW] = {"row", LAYOUT_ROW},
	[TY_TIMESERIES] = {"timeseries", LAYOUT_LIST},
	[TY_LAMBDA] = {"lambda", LAYOUT_I64},
};

enum type_layout type_layout(const struct type *t)
{
	return kinds[t->kind].layout;
}

const struct type *type_of_column(enum coltype t)
{
	switch (t) {
	case COL_BIGINT:
		return &type_bigint;
	case COL_DOUBLE:
		return &type_double;
	case COL_BOOLEAN:
		return &type_boolean;
	case COL_VARCHAR:
		return &type_varchar;
	case COL_TIMESTAMP:
		return &type_timestamp;
	}
	return &type_unknown;
}

static struct type *type_new(struct arena *a, enum type_kind kind)
{
	struct type *t = arena_new(a, struct type);

	if (t) {
		t->kind = kind;
		t->length = -1;
	}
	return t;
}

const struct type *type_varchar_n(struct arena *a, int32_t n)
{
	struct type *t = type_new(a, TY_VARCHAR);

	if (t)
		t->length = n;
	return t;
}

const struct type *type_array(struct arena *a, const struct type *elem)
{
	struct type *t = type_new(a, TY_ARRAY);

	if (t)
		t->elem = elem;
	return t;
}

const struct type *type_timeseries(struct arena *a, const struct type *value)
{
	const struct type_field fields[] = {
		{STR_LIT("time"), &type_timestamp},
		{STR_LIT("value"), value},
	};
	struct type *t = type_new(a, TY_TIMESERIES);

	if (!t)
		return NULL;
	t->elem = value;
	t->list_row = type_row(a, fields, 2);
	return t->list_row ? t : NULL;
}

const struct type *type_row(struct arena *a, const struct type_field *fields, uint32_t n)
{
	struct type *t = type_new(a, TY_ROW);
	struct type_field *copy = arena_array(a, struct type_field, MAX(n, 1));

	if (!t || !copy)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		copy[i] = fields[i];
		if (fields[i].name.ptr)
			copy[i].name = arena_str(a, fields[i].name);
	}
	t->field_count = n;
	t->fields = copy;
	return t;
}

bool type_equal(const struct type *a, const struct type *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind)
		return false;
	if (a->kind == TY_ARRAY || a->kind == TY_TIMESERIES)
		return type_equal(a->elem, b->elem);
	if (a->kind != TY_ROW)
		return true;
	if (a->field_count != b->field_count)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++)
		if (!type_equal(a->fields[i].type, b->fields[i].type))
			return false;
	return true;
}

/*
 * Costs are chosen so that the overload a person would expect wins: a number stays a whole number
 * where it can, a text literal becomes a timestamp before it becomes a date or a time, and all of
 * these only where nothing takes the literal as the varchar it is.
 */
int type_coercion(const struct type *from, const struct type *to, bool literal)
{
	static const struct {
		enum type_kind from, to;
		bool literal;
		int cost;
	} rules[] = {
		{TY_INTEGER, TY_BIGINT, false, 1},   {TY_INTEGER, TY_DOUBLE, false, 3},
		{TY_BIGINT, TY_DOUBLE, false, 2},    {TY_DATE, TY_TIMESTAMP, false, 1},
		{TY_VARCHAR, TY_TIMESTAMP, true, 10}, {TY_VARCHAR, TY_DATE, true, 12},
		{TY_VARCHAR, TY_TIME, true, 14},
	};
	int cost = 0;

	if (type_equal(from, to))
		return 0;
	if (from->kind == TY_UNKNOWN && to->kind != TY_LAMBDA)
		return 1;
	if (from->kind == TY_ARRAY && to->kind == TY_ARRAY)
		return type_coercion(from->elem, to->elem, false);
	if (from->kind == TY_ROW && to->kind == TY_ROW && from->field_count == to->field_count) {
		for (uint32_t i = 0; i < from->field_count; i++) {
			int c = type_coercion(from->fields[i].type, to->fields[i].type, false);

			if (c < 0)
				return -1;
			cost += c;
		}
		return cost;
	}
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].from == from->kind && rules[i].to == to->kind && (literal || !rules[i].literal))
			return rules[i].cost;
	return -1;
}

static const struct type *common_row(struct arena *arena, const struct type *a, const struct type *b)
{
	struct type_field *fields = arena_array(arena, struct type_field, MAX(a->field_count, 1));

	if (!fields || a->field_count != b->field_count)
		return NULL;
	for (uint32_t i = 0; i < a->field_count; i++) {
		const struct type_field *fa = &a->fields[i], *fb = &b->fields[i];
		bool same_name = fa->name.ptr && fb->name.ptr && str_eq(fa->name, fb->name);

		fields[i].name = same_name ? fa->name : (struct str){NULL, 0};
		fields[i].type = type_common(arena, fa->type, fb->type);
		if (!fields[i].type)
			return NULL;
	}
	return type_row(arena, fields, a->field_count);
}

const struct type *type_common(struct arena *arena, const struct type *a, const struct type *b)
{
	if (a == b)
		return a;
	if (a->kind == TY_VARCHAR && b->kind == TY_VARCHAR)
		return a->length == b->length ? a : &type_varchar;
	if (a->kind == TY_ROW && b->kind == TY_ROW)
		return common_row(arena, a, b);
	if (a->kind == TY_ARRAY && b->kind == TY_ARRAY) {
		const struct type *elem = type_common(arena, a->elem, b->elem);

		return elem ? type_array(arena, elem) : NULL;
	}
	if (type_coercion(a, b, false) >= 0)
		return b;
	return type_coercion(b, a, false) >= 0 ? a : NULL;
}

void type_format(const struct type *t, struct buf *out)
{
	buf_adds(out, kinds[t->kind].name);
	switch (t->kind) {
	case TY_VARCHAR:
		if (t->length >= 0)
			buf_addf(out, "(%d)", t->length);
		break;
	case TY_ARRAY:
	case TY_TIMESERIES:
		buf_addc(out, '(');
		type_format(t->elem, out);
		buf_addc(out, ')');
		break;
	case TY_ROW:
		buf_addc(out, '(');
		for (uint32_t i = 0; i < t->field_count; i++) {
			if (i)
				buf_adds(out, ", ");
			if (t->fields[i].name.ptr) {
				buf_add_str(out, t->fields[i].name);
				buf_addc(out, ' ');
			}
			type_format(t->fields[i].type, out);
		}
		buf_addc(out, ')');
		break;
	default:
		break;
	}
}

const char *type_name(struct arena *a, const struct type *t)
{
	struct str s = {NULL, 0};
	struct buf b;

	buf_init(&b, 1 << 20);
	type_format(t, &b);
	if (!b.rc)
		s = arena_str(a, buf_str(&b));
	buf_release(&b);
	return s.ptr ? s.ptr : kinds[t->kind].name;
}
