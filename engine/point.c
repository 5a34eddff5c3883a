#include "engine/point.h"

#include <stdlib.h>

static const struct point_words lineproto_words = {"tag", "field", "line"};

void point_init(struct point *pt)
{
	*pt = (struct point){.measure_type = MEASURE_MULTI, .words = &lineproto_words};
	arena_init(&pt->scratch, NULL);
}

void point_release(struct point *pt)
{
	free(pt->tags);
	free(pt->fields);
	free(pt->names);
	arena_release(&pt->scratch);
	point_init(pt);
}

void point_clear(struct point *pt)
{
	pt->table = pt->measure = pt->identity = (struct str){"", 0};
	pt->measure_type = MEASURE_MULTI;
	pt->tag_count = pt->field_count = 0;
	pt->has_time = pt->has_version = false;
	pt->time_unit_ns = 0;
	if (pt->scratch.chunk)
		arena_reset(&pt->scratch);
}

/* Room for one more element behind `n`. */
static int grow(void **p, uint32_t *cap, uint32_t n, size_t size)
{
	if (n < *cap)
		return 0;
	uint32_t to = *cap ? *cap * 2 : 16;
	void *q = realloc(*p, to * size);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = to;
	return 0;
}

struct point_tag *point_add_tag(struct point *pt)
{
	void *p = pt->tags;
	int rc = grow(&p, &pt->tag_cap, pt->tag_count, sizeof *pt->tags);

	pt->tags = p;
	if (rc < 0)
		return NULL;
	struct point_tag *t = &pt->tags[pt->tag_count++];
	*t = (struct point_tag){0};
	return t;
}

struct point_field *point_add_field(struct point *pt)
{
	void *p = pt->fields;
	int rc = grow(&p, &pt->field_cap, pt->field_count, sizeof *pt->fields);

	pt->fields = p;
	if (rc < 0)
		return NULL;
	struct point_field *f = &pt->fields[pt->field_count++];
	*f = (struct point_field){0};
	return f;
}

struct str point_value_key(enum measure_type t)
{
	switch (t) {
	case MEASURE_BIGINT:
		return STR_LIT("measure_value::bigint");
	case MEASURE_DOUBLE:
		return STR_LIT("measure_value::double");
	case MEASURE_BOOLEAN:
		return STR_LIT("measure_value::boolean");
	case MEASURE_VARCHAR:
		return STR_LIT("measure_value::varchar");
	case MEASURE_MULTI:
		break;
	}
	return (struct str){"", 0};
}

/* ---- twins ------------------------------------------------------------------------------------ */

static int refuse(const struct point *pt, uint32_t first, uint32_t second, size_t *ret_at,
		  struct err *e)
{
	/* Names are counted through: tags, then fields. */
	bool is_field = second >= pt->tag_count;
	struct str key = is_field ? pt->fields[second - pt->tag_count].key : pt->tags[second].key;

	*ret_at = is_field ? pt->fields[second - pt->tag_count].at : pt->tags[second].at;
	if (is_field && first < pt->tag_count)
		return err_set(e, -EINVAL, "'%.*s' is a %s and a %s of the same %s", STR_FMT(key),
			       pt->words->tag, pt->words->field, pt->words->line);
	return err_set(e, -EINVAL, "%s '%.*s' is given twice", is_field ? pt->words->field : pt->words->tag,
		       STR_FMT(key));
}

static struct str name_of(const struct point *pt, uint32_t i)
{
	return i < pt->tag_count ? pt->tags[i].key : pt->fields[i - pt->tag_count].key;
}

static int by_text(const void *a, const void *b, void *ctx)
{
	const struct point *pt = ctx;
	const struct str *x = a, *y = b;
	int c = str_cmp(*x, *y);

	(void)pt;
	/* Of two equal names the one further right in the line is the twin. */
	return c ? c : (x->ptr > y->ptr) - (x->ptr < y->ptr);
}

/* Many names: sorted, twins are neighbours. A line of thousands must not cost millions of steps. */
static int check_sorted(struct point *pt, uint32_t n, size_t *ret_at, struct err *e)
{
	if (n > pt->name_cap) {
		struct str *p = realloc(pt->names, n * sizeof *p);
		if (!p)
			return err_set(e, -ENOMEM, "out of memory");
		pt->names = p;
		pt->name_cap = n;
	}
	for (uint32_t i = 0; i < n; i++)
		pt->names[i] = name_of(pt, i);
	qsort_r(pt->names, n, sizeof *pt->names, by_text, pt);
	uint32_t k = 1;
	while (k < n && !str_eq(pt->names[k - 1], pt->names[k]))
		k++;
	if (k >= n)
		return 0;
	struct str twin = pt->names[k];
	uint32_t found[2] = {0, 0}, count = 0;
	for (uint32_t i = 0; i < n && count < 2; i++)
		if (str_eq(name_of(pt, i), twin))
			found[count++] = i;
	return refuse(pt, found[0], found[1], ret_at, e);
}

int point_check(struct point *pt, size_t *ret_at, struct err *e)
{
	uint32_t n = pt->tag_count + pt->field_count;
	uint64_t seen = 0;

	if (n > 64)
		return check_sorted(pt, n, ret_at, e);
	/* A bit per (length, first, last character): two names that share it are compared. */
	for (uint32_t i = 0; i < n; i++) {
		struct str s = name_of(pt, i);
		unsigned h = (unsigned)s.len * 31;
		if (s.len)
			h += (unsigned char)s.ptr[0] * 7u + (unsigned char)s.ptr[s.len - 1] * 13u +
			     (unsigned char)s.ptr[s.len / 2];
		uint64_t bit = UINT64_C(1) << (h & 63);
		if (seen & bit)
			for (uint32_t j = 0; j < i; j++)
				if (str_eq(name_of(pt, j), s))
					return refuse(pt, j, i, ret_at, e);
		seen |= bit;
	}
	return 0;
}
