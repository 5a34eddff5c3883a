#include "engine/parquet/thrift.h"

#include <assert.h>

/* ---- writing -------------------------------------------------------------------------------- */

void thrift_out_init(struct thrift_out *t, struct buf *b)
{
	*t = (struct thrift_out){.b = b};
}

static void open_struct(struct thrift_out *t)
{
	assert(t->depth + 1 < THRIFT_DEPTH_MAX);
	t->last[++t->depth] = 0;
}

void thrift_end(struct thrift_out *t)
{
	buf_put_u8(t->b, THRIFT_STOP);
	t->depth--;
}

static void put_field(struct thrift_out *t, int16_t id, enum thrift_type type)
{
	int step = id - t->last[t->depth];

	if (step > 0 && step < 16) {
		buf_put_u8(t->b, (uint8_t)(step << 4 | type));
	} else {
		buf_put_u8(t->b, (uint8_t)type);
		buf_put_zigzag(t->b, id);
	}
	t->last[t->depth] = id;
}

void thrift_put_bool(struct thrift_out *t, int16_t id, bool v)
{
	put_field(t, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_i16(struct thrift_out *t, int16_t id, int16_t v)
{
	put_field(t, id, THRIFT_I16);
	buf_put_zigzag(t->b, v);
}

void thrift_put_i32(struct thrift_out *t, int16_t id, int32_t v)
{
	put_field(t, id, THRIFT_I32);
	buf_put_zigzag(t->b, v);
}

void thrift_put_i64(struct thrift_out *t, int16_t id, int64_t v)
{
	put_field(t, id, THRIFT_I64);
	buf_put_zigzag(t->b, v);
}

void thrift_put_str(struct thrift_out *t, int16_t id, struct str v)
{
	put_field(t, id, THRIFT_BINARY);
	buf_put_str(t->b, v);
}

void thrift_put_struct(struct thrift_out *t, int16_t id)
{
	put_field(t, id, THRIFT_STRUCT);
	open_struct(t);
}

void thrift_put_list(struct thrift_out *t, int16_t id, enum thrift_type element, uint32_t n)
{
	put_field(t, id, THRIFT_LIST);
	if (n < 15) {
		buf_put_u8(t->b, (uint8_t)(n << 4 | element));
	} else {
		buf_put_u8(t->b, (uint8_t)(0xF0 | element));
		buf_put_varint(t->b, n);
	}
}

void thrift_add_struct(struct thrift_out *t)
{
	open_struct(t);
}

void thrift_add_bool(struct thrift_out *t, bool v)
{
	buf_put_u8(t->b, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_add_int(struct thrift_out *t, int64_t v)
{
	buf_put_zigzag(t->b, v);
}

void thrift_add_str(struct thrift_out *t, struct str v)
{
	buf_put_str(t->b, v);
}

/* ---- reading -------------------------------------------------------------------------------- */

bool thrift_next(struct thrift_in *t, struct thrift_field *f)
{
	uint8_t head = cur_u8(&t->c);
	unsigned type = head & 15;

	if (t->c.bad || type == THRIFT_STOP) {
		/* A stop byte carries no id difference. */
		t->c.bad |= head != 0;
		return false;
	}
	int64_t id = head >> 4 ? f->id + (head >> 4) : cur_zigzag(&t->c);
	if (type > THRIFT_STRUCT || id < INT16_MIN || id > INT16_MAX)
		t->c.bad = true;
	f->id = (int16_t)id;
	f->type = (enum thrift_type)type;
	return !t->c.bad;
}

static void skip_element(struct thrift_in *t, enum thrift_type type)
{
	/* A bool is a byte only inside a container. */
	if (type == THRIFT_TRUE || type == THRIFT_FALSE)
		cur_u8(&t->c);
	else
		thrift_skip(t, type);
}

static uint32_t list_head(struct thrift_in *t, enum thrift_type *ret_element)
{
	uint8_t head = cur_u8(&t->c);
	uint64_t n = head >> 4;

	if (n == 15)
		n = cur_varint(&t->c);
	/* Every element takes a byte at least, which bounds what a hostile count can cost. */
	if (t->c.bad || n > cur_left(&t->c) || (head & 15) > THRIFT_STRUCT) {
		t->c.bad = true;
		return 0;
	}
	*ret_element = (enum thrift_type)(head & 15);
	return (uint32_t)MIN(n, (uint64_t)UINT32_MAX);
}

static void skip_container(struct thrift_in *t, enum thrift_type type)
{
	if (type == THRIFT_STRUCT) {
		struct thrift_field f = {0};
		while (thrift_next(t, &f))
			thrift_skip(t, f.type);
		return;
	}
	if (type == THRIFT_MAP) {
		uint64_t n = cur_varint(&t->c);
		uint8_t types = n ? cur_u8(&t->c) : 0;
		if (n > cur_left(&t->c))
			t->c.bad = true;
		for (uint64_t i = 0; i < n && !t->c.bad; i++) {
			skip_element(t, (enum thrift_type)(types >> 4));
			skip_element(t, (enum thrift_type)(types & 15));
		}
		return;
	}
	enum thrift_type element = THRIFT_STOP;
	uint32_t n = list_head(t, &element);
	for (uint32_t i = 0; i < n && !t->c.bad; i++)
		skip_element(t, element);
}

void thrift_skip(struct thrift_in *t, enum thrift_type type)
{
	switch (type) {
	case THRIFT_TRUE:
	case THRIFT_FALSE:
		break;
	case THRIFT_I8:
		cur_u8(&t->c);
		break;
	case THRIFT_I16:
	case THRIFT_I32:
	case THRIFT_I64:
		cur_varint(&t->c);
		break;
	case THRIFT_DOUBLE:
		cur_bytes(&t->c, 8);
		break;
	case THRIFT_BINARY:
		cur_str(&t->c);
		break;
	case THRIFT_LIST:
	case THRIFT_SET:
	case THRIFT_MAP:
	case THRIFT_STRUCT:
		if (++t->depth > THRIFT_DEPTH_MAX)
			t->c.bad = true;
		else
			skip_container(t, type);
		t->depth--;
		break;
	default:
		t->c.bad = true;
	}
}

bool thrift_bool(struct thrift_in *t, const struct thrift_field *f)
{
	if (f->type != THRIFT_TRUE && f->type != THRIFT_FALSE)
		t->c.bad = true;
	return f->type == THRIFT_TRUE;
}

int64_t thrift_int(struct thrift_in *t, const struct thrift_field *f)
{
	if (f->type == THRIFT_I8)
		return (int8_t)cur_u8(&t->c);
	if (f->type < THRIFT_I16 || f->type > THRIFT_I64) {
		t->c.bad = true;
		return 0;
	}
	return cur_zigzag(&t->c);
}

int32_t thrift_i32(struct thrift_in *t, const struct thrift_field *f)
{
	int64_t v = thrift_int(t, f);

	if (v < INT32_MIN || v > INT32_MAX) {
		t->c.bad = true;
		return 0;
	}
	return (int32_t)v;
}

struct str thrift_str(struct thrift_in *t, const struct thrift_field *f)
{
	if (f->type != THRIFT_BINARY) {
		t->c.bad = true;
		return STR_LIT("");
	}
	return cur_str(&t->c);
}

uint32_t thrift_list(struct thrift_in *t, const struct thrift_field *f, enum thrift_type element)
{
	enum thrift_type got = THRIFT_STOP;
	uint32_t n = f->type == THRIFT_LIST ? list_head(t, &got) : 0;

	if (got == THRIFT_FALSE)
		got = THRIFT_TRUE; /* writers differ in which of the two means bool */
	if (got != element && !(f->type == THRIFT_LIST && n == 0))
		t->c.bad = true;
	return t->c.bad ? 0 : n;
}

int64_t thrift_list_int(struct thrift_in *t)
{
	return cur_zigzag(&t->c);
}

bool thrift_list_bool(struct thrift_in *t)
{
	uint8_t v = cur_u8(&t->c);

	if (v > THRIFT_FALSE)
		t->c.bad = true;
	return v == THRIFT_TRUE;
}

struct str thrift_list_str(struct thrift_in *t)
{
	return cur_str(&t->c);
}
