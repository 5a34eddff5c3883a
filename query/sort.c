/*
 * sort: a stable merge sort over 16-byte items. Input that is in order already, which is how rows
 * often come (by time within a series), costs one pass.
 */
#include "query/sort.h"

#include <math.h>

static void init(struct sorter *s, const struct exec *x, const struct plan_key *keys, uint32_t n,
		 enum type_layout first)
{
	*s = (struct sorter){.x = x, .keys = keys, .key_count = n};
	s->is_decisive = n && (first == LAYOUT_I64 || first == LAYOUT_F64 || first == LAYOUT_BOOL);
}

void sorter_init(struct sorter *s, const struct exec *x, const struct plan *p)
{
	init(s, x, p->keys, p->key_count,
	     p->key_count ? type_layout(p->children[0]->cols[p->keys[0].col].type) : LAYOUT_LIST);
}

void sorter_init_keys(struct sorter *s, const struct exec *x, const struct plan_key *keys, uint32_t n,
		      const struct type *const *types)
{
	init(s, x, keys, n, n ? type_layout(types[keys[0].col]) : LAYOUT_LIST);
}

void sorter_release(struct sorter *s)
{
	if (!s->x)
		return;
	grow_release(&s->items, s->x->ctx.budget);
	grow_release(&s->temp, s->x->ctx.budget);
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

int sort_cmp_key(const struct plan_key *k, const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	bool a_null = vec_is_null(a, i), b_null = vec_is_null(b, j);

	if (a_null || b_null) {
		int c = (int)a_null - (int)b_null; /* NULL behind */
		return k->nulls_first ? -c : c;
	}
	int c = vec_cmp(a, i, b, j);
	return k->desc ? -c : c;
}

int sort_cmp_rows(const struct sorter *s, const struct vec *a, uint32_t i, const struct vec *b, uint32_t j)
{
	int c = 0;

	for (uint32_t k = 0; k < s->key_count && !c; k++)
		c = sort_cmp_key(&s->keys[k], &a[s->keys[k].col], i, &b[s->keys[k].col], j);
	return c;
}

static uint64_t prefix_of(const struct vec *v, uint32_t i)
{
	const uint64_t sign = UINT64_C(1) << 63;
	uint64_t bits = 0;
	double d;

	switch (type_layout(v->type)) {
	case LAYOUT_I64:
		return (uint64_t)v->i64[i] ^ sign;
	case LAYOUT_F64:
		d = v->f64[i];
		d = isnan(d) ? (double)NAN : d == 0 ? 0.0 : d; /* one NaN, one zero */
		memcpy(&bits, &d, sizeof bits);
		if (isnan(d))
			return UINT64_MAX;
		return bits & sign ? ~bits : bits | sign;
	case LAYOUT_BOOL:
		return v->b8[i];
	case LAYOUT_STR:
		for (size_t k = 0; k < MIN(v->str[i].len, (size_t)8); k++)
			bits |= (uint64_t)(uint8_t)v->str[i].ptr[k] << (56 - 8 * k);
		return bits;
	case LAYOUT_LIST:
	case LAYOUT_ROW:
		break;
	}
	return 0;
}

struct sort_item sort_item_of(const struct plan_key *k, const struct vec *v, uint32_t i, uint32_t row)
{
	struct sort_item it = {.row = row, .rank = 1};

	if (vec_is_null(v, i)) {
		it.rank = k->nulls_first ? 0 : 2;
		return it;
	}
	it.prefix = prefix_of(vec_base(v), vec_index(v, i));
	if (k->desc)
		it.prefix = ~it.prefix;
	return it;
}

/* Rows are numbered in order of arrival, so that no two items are equal and the sort is stable. */
static int cmp_items(const struct sorter *s, const struct row_store *rows, const struct sort_item *a,
		     const struct sort_item *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	for (uint32_t k = s->is_decisive; k < s->key_count; k++) {
		uint32_t col = s->keys[k].col;
		int c = sort_cmp_key(&s->keys[k], row_store_vec(rows, a->row, col), row_store_at(a->row),
				     row_store_vec(rows, b->row, col), row_store_at(b->row));
		if (c)
			return c;
	}
	return a->row < b->row ? -1 : 1;
}

/* ---- sorting ----------------------------------------------------------------------------------------------- */

#define INSERTION 12

static void insertion_sort(const struct sorter *s, const struct row_store *rows, struct sort_item *v,
			   uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		struct sort_item it = v[i];
		uint32_t k = i;
		for (; k && cmp_items(s, rows, &it, &v[k - 1]) < 0; k--)
			v[k] = v[k - 1];
		v[k] = it;
	}
}

static void merge(const struct sorter *s, const struct row_store *rows, const struct sort_item *a,
		  uint32_t a_n, const struct sort_item *b, uint32_t b_n, struct sort_item *to)
{
	if (!b_n || cmp_items(s, rows, &a[a_n - 1], &b[0]) < 0) { /* in order as they stand */
		memcpy(to, a, a_n * sizeof *a);
		if (b_n)
			memcpy(to + a_n, b, b_n * sizeof *b);
		return;
	}
	while (a_n && b_n) {
		if (cmp_items(s, rows, b, a) < 0) {
			*to++ = *b++;
			b_n--;
		} else {
			*to++ = *a++;
			a_n--;
		}
	}
	memcpy(to, a, a_n * sizeof *a);
	memcpy(to + a_n, b, b_n * sizeof *b);
}

static int merge_sort(struct sorter *s, const struct row_store *rows, struct sort_item **v, uint32_t n,
		      struct err *e)
{
	struct sort_item *from = *v, *to = s->temp.data;

	for (uint32_t i = 0; i < n; i += INSERTION)
		insertion_sort(s, rows, from + i, MIN(n - i, (uint32_t)INSERTION));
	for (uint64_t width = INSERTION; width < n; width *= 2) {
		for (uint64_t i = 0; i < n; i += 2 * width) {
			uint32_t a_n = (uint32_t)MIN(width, n - i);
			uint32_t b_n = (uint32_t)MIN(width, n - i - a_n);
			merge(s, rows, from + i, a_n, from + i + a_n, b_n, to + i);
			if ((i & 0xffff) < 2 * width) {
				int rc = exec_cancelled(s->x, e);
				if (rc < 0)
					return rc;
			}
		}
		struct sort_item *swap = from;
		from = to;
		to = swap;
	}
	*v = from;
	return 0;
}

int sorter_run(struct sorter *s, const struct row_store *rows, const struct sort_item **ret, struct err *e)
{
	struct budget *b = s->x->ctx.budget;
	size_t bytes = sizeof(struct sort_item) * ((size_t)rows->n + 1);
	bool in_order = true;

	if (grow_to(&s->items, b, bytes) < 0)
		return exec_nomem(&s->x->ctx, e);
	struct sort_item *v = s->items.data;
	for (uint32_t i = 0; i < rows->n; i++) {
		v[i] = s->key_count ? sort_item_of(&s->keys[0], row_store_vec(rows, i, s->keys[0].col),
						   row_store_at(i), i)
				    : (struct sort_item){.row = i};
		in_order = in_order && (!i || cmp_items(s, rows, &v[i - 1], &v[i]) < 0);
	}
	if (!in_order) {
		if (grow_to(&s->temp, b, bytes) < 0)
			return exec_nomem(&s->x->ctx, e);
		int rc = merge_sort(s, rows, &v, rows->n, e);
		if (rc < 0)
			return rc;
	}
	*ret = v;
	return 0;
}
