/*
 * type: SQL types. Immutable; scalars are the singletons below, the rest lives in a query's arena.
 */
#ifndef TIDE_TYPE_H
#define TIDE_TYPE_H

#include "engine/column.h"

/* Sums and products of int64 before they are checked. */
__extension__ typedef __int128 i128;

enum type_kind {
	TY_UNKNOWN, /* a bare NULL */
	TY_BOOLEAN,
	TY_INTEGER, /* signed 32 bits, held in int64 */
	TY_BIGINT,
	TY_DOUBLE,
	TY_VARCHAR,
	TY_DATE,        /* days since 1970 */
	TY_TIME,        /* ns of day */
	TY_TIMESTAMP,   /* ns since 1970 UTC */
	TY_INTERVAL_DS, /* interval day to second: ns */
	TY_INTERVAL_YM, /* interval year to month: months */
	TY_ARRAY,
	TY_ROW,
	TY_TIMESERIES, /* ordered rows (time, value); elem = type of value */
	TY_LAMBDA,     /* only as a function's parameter */
};

/* How values lie in memory. */
enum type_layout {
	LAYOUT_I64,  /* INTEGER BIGINT DATE TIME TIMESTAMP INTERVAL_*; UNKNOWN too (all NULL) */
	LAYOUT_F64,  /* DOUBLE */
	LAYOUT_BOOL, /* uint8_t 0/1 */
	LAYOUT_STR,  /* struct str */
	LAYOUT_LIST, /* ARRAY, TIMESERIES: offset + length into a child vector */
	LAYOUT_ROW,  /* one child vector a field */
};

struct type;

struct type_field {
	struct str name; /* ptr NULL: anonymous */
	const struct type *type;
};

struct type {
	enum type_kind kind;
	int32_t length;             /* varchar(n); -1 unbounded; LAMBDA: see func.h */
	const struct type *elem;    /* ARRAY: element; TIMESERIES: value; LAMBDA: result */
	uint32_t field_count;       /* ROW; LAMBDA: its parameters */
	const struct type_field *fields;
	const struct type *list_row; /* TIMESERIES: its element as row(time timestamp, value T) */
};

extern const struct type type_unknown, type_boolean, type_integer, type_bigint, type_double,
	type_varchar, type_date, type_time, type_timestamp, type_interval_ds, type_interval_ym;

enum type_layout type_layout(const struct type *t);
static inline bool type_is_number(const struct type *t)
{
	return t->kind == TY_INTEGER || t->kind == TY_BIGINT || t->kind == TY_DOUBLE;
}

/* What the child vector of a LIST holds: an array's elements, a timeseries' rows. */
static inline const struct type *type_list_elem(const struct type *t)
{
	return t->kind == TY_TIMESERIES ? t->list_row : t->elem;
}

const struct type *type_of_column(enum coltype t); /* lent, static */
const struct type *type_varchar_n(struct arena *a, int32_t n);
const struct type *type_array(struct arena *a, const struct type *elem);
const struct type *type_timeseries(struct arena *a, const struct type *value);
const struct type *type_row(struct arena *a, const struct type_field *fields, uint32_t n); /* copies */

/* Same type; varchar lengths and row field names do not matter. */
bool type_equal(const struct type *a, const struct type *b);

/*
 * Implicit coercion: cost 0 same, >0 allowed (smaller = nearer), -1 never. unknown -> any,
 * integer -> bigint -> double, date -> timestamp, varchar(n) -> varchar; element-wise in arrays and
 * rows. literal: the value is a varchar literal, which also becomes timestamp, date or time.
 */
int type_coercion(const struct type *from, const struct type *to, bool literal);

/* The common super type, or NULL. */
const struct type *type_common(struct arena *arena, const struct type *a, const struct type *b);

/* "bigint", "array(double)", "row(x double, y varchar)", "interval day to second"... */
void type_format(const struct type *t, struct buf *out);
const char *type_name(struct arena *a, const struct type *t); /* the same, in the arena */

#endif
