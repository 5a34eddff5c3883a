/*
 * part_key: by what the rows of a date are spread over its parts, as settings/partition_key says it.
 *
 *	dimensions                           all dimensions of a series (the default)
 *	measure_name                         the measure name
 *	host                                 one dimension; the same as `host optional`
 *	host required, "rack no", az         up to PART_KEY_DIMS_MAX of them; the order counts
 *
 * A name with blanks, commas or quotes stands in double quotes, where "" is one. `required`: records
 * that lack the dimension are refused; `optional`: they are stored, and go where the others that lack
 * it go.
 *
 * A key never changes once made; who looks at one holds a reference. Any thread.
 */
#ifndef TIDE_PART_KEY_H
#define TIDE_PART_KEY_H

#include <stdatomic.h>

#include "engine/base/base.h"

#define PART_KEY_DIMS_MAX 8
#define PART_KEY_DEFAULT  "dimensions"
#define PART_KEY_ALLOWED                                                                           \
	"dimensions, measure_name, or up to 8 dimensions such as `host required, region`"
/* Of the canonical text, NUL included: names of at most 255 bytes, quotes, level, comma. */
#define PART_KEY_TEXT_MAX (PART_KEY_DIMS_MAX * (255 + 2 + 9 + 2))

enum part_key_kind {
	PART_BY_DIMENSIONS,
	PART_BY_MEASURE,
	PART_BY_NAMES,
};

struct part_key_dim {
	struct str name; /* in `names` */
	bool is_required;
};

struct part_key {
	_Atomic uint32_t refs;
	enum part_key_kind kind;
	uint32_t dim_count; /* PART_BY_NAMES: at least 1; else 0 */
	bool has_required;
	struct part_key_dim dims[PART_KEY_DIMS_MAX];
	char names[];
};

/* -EINVAL: the text is no key, with a sentence. */
int part_key_parse(struct str text, struct part_key **ret, struct err *e) must_check;
struct part_key *part_key_get(struct part_key *k);
void part_key_put(struct part_key *k); /* NULL is fine */

/* The canonical text, NUL-terminated. */
void part_key_format(const struct part_key *k, char to[PART_KEY_TEXT_MAX]);

/* Do both spread rows alike (kind, names, order; whatever is required)? */
bool part_key_spreads_alike(const struct part_key *a, const struct part_key *b);

#endif
