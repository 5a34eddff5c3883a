/*
 * json_path: the part of JSONPath that names one value: $ and then, any number of times,
 *
 *	.name   ."any name"   ["any name"]   ['any name']   [0]
 *
 * Wildcards, slices, filters and .. name several values and are refused. Inside quotes \ stands in front of
 * a quote or of itself.
 */
#ifndef TIDE_JSON_PATH_H
#define TIDE_JSON_PATH_H

#include "engine/json.h"

struct json_step {
	struct str name; /* ptr NULL: an element of an array */
	uint32_t index;
};

struct json_path {
	struct json_step *steps;
	uint32_t n;
};

/* -EINVAL with a sentence: what is wrong, and at which character (from 1). Copied into the arena. */
int json_path_parse(struct arena *a, struct str text, struct json_path *ret, struct err *e) must_check;

/*
 * The value that the path names in a text. 1: its first token was read (json_value()), and what it
 * consists of is next; 0: there is none. -EINVAL: malformed up to there; -ENOMEM.
 */
int json_path_find(const struct json_path *p, struct json *j, struct json_value *ret) must_check;

#endif
