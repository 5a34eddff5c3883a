/*
 * jsonl: one line of `ingest.jsonl` to points (docs/json-lines.md says exactly what is taken).
 *
 * A line is one JSON object, in one of two shapes:
 *
 *	a flat row     {"time":..., "host":"a", "load":0.5}        JSONL_FLAT, one plain record
 *	WriteRecords   {"Dimensions":[...], "MeasureName":...}     JSONL_RECORDS, one versioned record
 *	               {"CommonAttributes":{...}, "Records":[...]}      or many
 *
 * A line is read once into lists of what it says, and checked for everything that refuses it as a whole;
 * then points are made of it, one record at a time, and what is wrong there refuses that record alone.
 * Of tables it knows only what it is told: the columns that decide what a flat row's strings are.
 *
 * Texts are lent: they point into the line, or into the reader where an escape was undone, and are good
 * until the next line. A parser is reused, so nothing is allocated per line once it has grown.
 */
#ifndef TIDE_JSONL_H
#define TIDE_JSONL_H

#include "engine/json.h"
#include "engine/point.h"

/* Dimensions and values of all records of a line, common ones counted in each. */
#define JSONL_PARTS_MAX (1 << 20)

enum jsonl_shape {
	JSONL_BLANK,
	JSONL_FLAT,
	JSONL_RECORDS,
};

/* A text and where it stands. ptr NULL: not given. */
struct jsonl_text {
	struct str text;
	uint32_t at;
	bool is_copy;
};

struct jsonl_member {
	struct json_value name;
	struct json_value value; /* no object, array or null */
};

struct jsonl_dim {
	struct jsonl_text name, value;
};

struct jsonl_attr {
	struct jsonl_text name, value;
	enum coltype type;
};

/* A record as it was written; from a whole one nothing that is required is missing. */
struct jsonl_record {
	uint32_t from, to; /* of its text in the line */
	uint32_t dim_from, dim_to;
	uint32_t attr_from, attr_to;
	struct jsonl_text measure, value, time;
	uint32_t given; /* bits of the members it has */
	enum measure_type type;
	enum coltype timestamp_type; /* COL_TIMESTAMP where that was asked for */
	int64_t unit_ns;
	int64_t version;
};

struct jsonl {
	struct json json;
	struct str line;
	enum jsonl_shape shape;
	struct jsonl_text database, table; /* named by the line; "" not at all */

	/* A flat row. */
	struct jsonl_text measure;
	struct jsonl_member time; /* value.kind JSON_NULL: none */
	struct jsonl_member *members;
	uint32_t member_count, member_cap;
	uint32_t *guess; /* column id of the i-th member of the row before */
	uint32_t guess_cap;

	/* Records. */
	bool is_request; /* has "Records": they are counted */
	bool has_common;
	struct jsonl_record common;
	struct jsonl_record *records;
	uint32_t record_count, record_cap;
	struct jsonl_dim *dims;
	uint32_t dim_count, dim_cap;
	struct jsonl_attr *attrs;
	uint32_t attr_count, attr_cap;
};

void jsonl_init(struct jsonl *x);
void jsonl_release(struct jsonl *x);
void jsonl_trim(struct jsonl *x); /* done with the line: give up memory that only a huge one needs */

/*
 * Read one line, given without its newline; x->shape says what came. pt: scratch. 0; -EINVAL: refused as a
 * whole, e says why and *ret_at where; -ENOMEM.
 */
int jsonl_parse(struct jsonl *x, struct point *pt, struct str line, size_t *ret_at, struct err *e) must_check;

/*
 * The row. columns: of its table, or NULL while there is none (then every string is a dimension).
 * table: the name that the measure has by default. precision_ns: of the table, for TIMESTAMP columns.
 */
int jsonl_flat_point(struct jsonl *x, const struct series_set *columns, struct str table,
		     int64_t precision_ns, struct point *pt, size_t *ret_at, struct err *e) must_check;

/* Record i. -EINVAL refuses it alone; *ret_at is SIZE_MAX where the place is outside of the record. */
int jsonl_record_point(struct jsonl *x, uint32_t i, struct point *pt, size_t *ret_at, struct err *e) must_check;

/* The record's own text in the line. */
static inline struct str jsonl_record_text(const struct jsonl *x, uint32_t i)
{
	return (struct str){x->line.ptr + x->records[i].from, x->records[i].to - x->records[i].from};
}

/* ---- between jsonl.c and jsonl_records.c --------------------------------------------------------- */

/* Is it a member that only WriteRecords has, and that no flat row may have? */
bool jsonl_is_records_member(struct str name);
int jsonl_parse_records(struct jsonl *x, struct point *pt, size_t *ret_at, struct err *e) must_check;

/* -EINVAL with a sentence about that place; usable in `return`. */
#define jsonl_refuse(ret_at, where, e, ...) (*(ret_at) = (where), err_set((e), -EINVAL, __VA_ARGS__))

/* Room for one element behind n. */
int jsonl_grow(void **p, uint32_t *cap, uint32_t n, size_t size) must_check;

#endif
