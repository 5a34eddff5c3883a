/*
 * column: the types a stored column can have, and a run of values of one column in memory.
 */
#ifndef TIDE_COLUMN_H
#define TIDE_COLUMN_H

#include "engine/base/base.h"

/* The numbers are stored in the WAL, the catalogue and the tiles: never change one. */
enum coltype {
	COL_BIGINT = 1,
	COL_DOUBLE = 2,
	COL_BOOLEAN = 3,
	COL_VARCHAR = 4,
	COL_TIMESTAMP = 5, /* int64 nanoseconds since 1970 UTC */
};

enum colkind {
	COLKIND_DIMENSION = 1,     /* always COL_VARCHAR */
	COLKIND_MEASURE = 2,       /* attribute of a multi-measure record: a field of line protocol */
	COLKIND_MEASURE_VALUE = 3, /* measure_value::<type>, single-measure records */
};

const char *coltype_name(enum coltype t); /* "bigint", ... */
static inline bool coltype_known(unsigned t)
{
	return t >= COL_BIGINT && t <= COL_TIMESTAMP;
}

/* Bytes of one value in a struct col. */
static inline size_t coltype_size(enum coltype t)
{
	return t == COL_VARCHAR ? sizeof(struct str) : t == COL_BOOLEAN ? 1 : 8;
}

/*
 * Values of one column. Row i is NULL when valid && !valid[i]; valid == NULL means none is.
 * A NULL row's value is defined (0, or an empty str) but means nothing.
 */
struct col {
	enum coltype type;
	union {
		void *data;
		int64_t *i64; /* BIGINT, TIMESTAMP */
		double *f64;
		uint8_t *b8;  /* 0 or 1 */
		struct str *str;
	};
	uint8_t *valid;
};

#endif
