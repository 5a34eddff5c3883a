/*
 * json: one JSON text (RFC 8259), read strictly and piece by piece.
 *
 *	json_start(&j, text, &e);
 *	rc = json_value(&j, &v);                     an object begins: v.kind == JSON_OBJECT
 *	while (rc >= 0 && (rc = json_member(&j, &name)) > 0) {
 *		rc = json_value(&j, &v);             each member's value, taken or ...
 *		if (rc >= 0)
 *			rc = json_skip(&j, &v);      ... passed over
 *	}
 *	if (rc >= 0)
 *		rc = json_finish(&j);                nothing may follow
 *
 * Strict: UTF-8 throughout, no NUL (nothing here can store one), no comments, no trailing commas, no
 * single quotes, no NaN, no control characters in strings, surrogates in pairs, at most JSON_DEPTH_MAX
 * levels, and no name twice in one object (said at the latest when the object ends). Numbers stay
 * text: what they become is for the caller to decide.
 *
 * A reader is reused: nothing is allocated per text once it has grown. One thread at a time.
 */
#ifndef TIDE_JSON_H
#define TIDE_JSON_H

#include "engine/base/base.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_ARRAY,
};

/* "a string", "an object", ... for messages. */
const char *json_kind_name(enum json_kind k);

struct json_value {
	enum json_kind kind;
	bool boolean;    /* BOOLEAN: which */
	bool is_integer; /* NUMBER: neither fraction nor exponent */
	bool is_copy;    /* STRING: had escapes; its text lies in the reader, not in the input */
	uint32_t at;     /* offset of its first byte in the input */
	struct str text; /* STRING: without quotes and escapes; NUMBER: as it is spelled */
};

struct json_name {
	struct str text;
	uint32_t at;
};

struct json_frame {
	bool is_object;
	bool is_first;     /* no member or element was taken yet */
	uint32_t names;    /* where its names begin in `names` */
	uint64_t seen;     /* a bit of each name's hash */
};

struct json {
	const char *begin, *p, *end;
	struct err *e;
	size_t at; /* offset of what the last -EINVAL is about */
	int depth;
	struct json_frame frames[JSON_DEPTH_MAX];
	struct json_name *names; /* of all open objects */
	uint32_t name_count;
	uint32_t name_cap;
	struct arena scratch; /* strings that had escapes */
};

void json_init(struct json *j);
void json_release(struct json *j);

/*
 * Begin with a text of at most 4 GiB. text: borrowed until the next start; strings of the text before
 * are gone. e (may be NULL) receives the sentence of every later failure of the reader.
 *
 * All calls: -EINVAL the text is at fault, and j->at says where; -ENOMEM.
 */
int json_start(struct json *j, struct str text, struct err *e) must_check;

/* The next value: a scalar is taken whole, of an object or array the opening bracket. */
int json_value(struct json *j, struct json_value *ret) must_check;

/* In an object, before each member. 1: its name was read, json_value() is next; 0: the object ended. */
int json_member(struct json *j, struct json_value *ret_name) must_check;

/* In an array, before each element. 1: there is one, json_value() is next; 0: the array ended. */
int json_element(struct json *j) must_check;

/* The rest of an object or array that json_value() has just opened; of a scalar, nothing is left. */
int json_skip(struct json *j, const struct json_value *v) must_check;

/* Only white space may be left. */
int json_finish(struct json *j) must_check;

/* Where a byte is in a text of several lines, for people: both from 1, the column in bytes. */
void json_where(struct str text, size_t at, size_t *ret_line, size_t *ret_column);

/* ---- writing --------------------------------------------------------------------------------- */

/* Text as it stands inside a string; bytes that are no UTF-8 become \u00xx. And with the quotes. */
void json_add_text(struct buf *out, struct str s);
void json_add_string(struct buf *out, struct str s);

#endif
