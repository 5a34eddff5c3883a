/*
 * thrift: the compact protocol, as far as Parquet's metadata needs it.
 *
 *	struct   fields, then a byte 0
 *	field    u8 (id - previous id) << 4 | type; where the difference is not 1..15: u8 type, zigzag id
 *	bool     in a field: the type itself says it (1 true, 2 false); in a list: a byte 1 or 2
 *	integer  zigzag varint (i8: the byte)        binary   varint length, bytes
 *	list     u8 count << 4 | element type; 15 or more: u8 0xF0 | type, varint count
 */
#ifndef TIDE_THRIFT_H
#define TIDE_THRIFT_H

#include "engine/base/base.h"

enum thrift_type {
	THRIFT_STOP = 0,
	THRIFT_TRUE = 1,
	THRIFT_FALSE = 2,
	THRIFT_I8 = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_DOUBLE = 7,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_SET = 10,
	THRIFT_MAP = 11,
	THRIFT_STRUCT = 12,
};

#define THRIFT_DEPTH_MAX 16

/* ---- writing: fields of a struct in ascending order of their ids; failures stick in the buf --- */

struct thrift_out {
	struct buf *b;
	int depth;
	int16_t last[THRIFT_DEPTH_MAX]; /* id of the last field written, per open struct */
};

void thrift_out_init(struct thrift_out *t, struct buf *b); /* opens the outermost struct */
void thrift_end(struct thrift_out *t);                     /* closes the innermost struct */
void thrift_put_bool(struct thrift_out *t, int16_t id, bool v);
void thrift_put_i16(struct thrift_out *t, int16_t id, int16_t v);
void thrift_put_i32(struct thrift_out *t, int16_t id, int32_t v);
void thrift_put_i64(struct thrift_out *t, int16_t id, int64_t v);
void thrift_put_str(struct thrift_out *t, int16_t id, struct str v);
void thrift_put_struct(struct thrift_out *t, int16_t id); /* opens it; thrift_end() closes */
void thrift_put_list(struct thrift_out *t, int16_t id, enum thrift_type element, uint32_t n);
/* Elements of a list. */
void thrift_add_struct(struct thrift_out *t); /* opens it; thrift_end() closes */
void thrift_add_bool(struct thrift_out *t, bool v);
void thrift_add_int(struct thrift_out *t, int64_t v); /* i16, i32, i64 */
void thrift_add_str(struct thrift_out *t, struct str v);

/* ---- reading: like cur, whatever is wrong sets `bad`, and then all reads give zeros ----------- */

struct thrift_in {
	struct cur c;
	int depth;
};

struct thrift_field {
	int16_t id; /* start a struct with {0} */
	enum thrift_type type;
};

static inline struct thrift_in thrift_over(struct str s)
{
	return (struct thrift_in){.c = cur_over(s.ptr, s.len)};
}

/* The next field of the struct that is being read; false at its end and when bad. */
bool thrift_next(struct thrift_in *t, struct thrift_field *f);
void thrift_skip(struct thrift_in *t, enum thrift_type type);

/* The value of field f; a value of another type than asked for is bad. */
bool thrift_bool(struct thrift_in *t, const struct thrift_field *f);
int64_t thrift_int(struct thrift_in *t, const struct thrift_field *f); /* i8 to i64 */
int32_t thrift_i32(struct thrift_in *t, const struct thrift_field *f); /* bad beyond 32 bits */
struct str thrift_str(struct thrift_in *t, const struct thrift_field *f); /* lent by the input */

/*
 * A list's number of elements; bad when it is not of `element` (THRIFT_TRUE: of bools) or longer
 * than the bytes that are left.
 */
uint32_t thrift_list(struct thrift_in *t, const struct thrift_field *f, enum thrift_type element);
int64_t thrift_list_int(struct thrift_in *t);
bool thrift_list_bool(struct thrift_in *t);
struct str thrift_list_str(struct thrift_in *t);

#endif
