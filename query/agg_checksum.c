/*
 * agg_checksum: one number for a column whatever the order of its rows: the sum, modulo 2^64, of a hash
 * of each value, NULL included. As there is no type for bytes it is a text of 16 hexadecimal digits.
 *
 * Equal columns have equal checksums within a version of the program; the number is for comparing two
 * results, and not for keeping.
 */
#include "query/agg_impl.h"

#include <stdio.h>

#define GROUP "Aggregate"

#define OF_NULL UINT64_C(0x9e3779b185ebca87)

struct checksum {
	uint64_t sum, rows;
};

static int checksum_add(struct agg_call *c, void *state, uint32_t from, uint32_t to, struct err *e)
{
	const struct vec *v = &c->args[0];
	struct checksum *s = state;

	s->rows += to - from;
	for (uint32_t i = from; i < to; i++)
		s->sum += vec_is_null(v, i) ? OF_NULL : hash_u64(vec_hash(v, i, 0));
	return 0;
}

static int checksum_merge(struct agg_call *c, void *into, const void *from, struct err *e)
{
	struct checksum *a = into;
	const struct checksum *b = from;

	a->sum += b->sum;
	a->rows += b->rows;
	return 0;
}

static int checksum_finish(struct agg_call *c, void *state, struct vec_builder *out, struct err *e)
{
	const struct checksum *s = state;
	char text[17];

	if (!s->rows)
		return vb_add_null(out, e);
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)s->sum);
	return vb_add_str(out, (struct str){text, 16}, e);
}

static const struct agg_def checksum_def = {sizeof(struct checksum), checksum_add, NULL, checksum_merge,
					    checksum_finish, true};

const struct func func_rows_agg_checksum[] = {
	AGGREGATE("checksum", "T", "varchar", &checksum_def,
		  "16 hexadecimal digits that do not depend on the order of rows; NULL: there are none"),
	FUNC_END,
};
