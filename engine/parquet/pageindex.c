/*
 * The page index: ColumnIndex (bounds of each page of a chunk) and OffsetIndex (where it lies).
 */
#include "engine/parquet/parquet.h"
#include "engine/parquet/thrift.h"

void pq_column_index_encode(struct buf *out, const struct pq_column_index *ci)
{
	struct thrift_out t;

	thrift_out_init(&t, out);
	thrift_put_list(&t, 1, THRIFT_TRUE, ci->n);
	for (uint32_t i = 0; i < ci->n; i++)
		thrift_add_bool(&t, !ci->pages[i].has_minmax);
	thrift_put_list(&t, 2, THRIFT_BINARY, ci->n);
	for (uint32_t i = 0; i < ci->n; i++)
		thrift_add_str(&t, ci->pages[i].has_minmax ? ci->pages[i].min : STR_LIT(""));
	thrift_put_list(&t, 3, THRIFT_BINARY, ci->n);
	for (uint32_t i = 0; i < ci->n; i++)
		thrift_add_str(&t, ci->pages[i].has_minmax ? ci->pages[i].max : STR_LIT(""));
	thrift_put_i32(&t, 4, ci->order);
	thrift_put_list(&t, 5, THRIFT_I64, ci->n);
	for (uint32_t i = 0; i < ci->n; i++)
		thrift_add_int(&t, ci->pages[i].nulls);
	thrift_end(&t);
}

enum { SEEN_NULL_PAGES = 1, SEEN_MIN = 2, SEEN_MAX = 4, SEEN_NULLS = 8 };

/* The lists are as long as each other; the first one says how long. */
static uint32_t index_list(struct thrift_in *t, const struct thrift_field *f,
			   enum thrift_type element, struct arena *a, struct pq_column_index *ci)
{
	uint32_t n = thrift_list(t, f, element);

	if (!ci->pages && !t->c.bad) {
		ci->pages = arena_zalloc(a, (size_t)n * sizeof *ci->pages + 1);
		ci->n = n;
	}
	if (!ci->pages || n != ci->n)
		t->c.bad = true;
	return t->c.bad ? 0 : n;
}

int pq_column_index_decode(struct str in, struct arena *a, struct pq_column_index *ret)
{
	struct thrift_in t = thrift_over(in);
	struct pq_column_index ci = {0};
	struct thrift_field f = {0};
	unsigned seen = 0;
	uint32_t n;

	while (thrift_next(&t, &f)) {
		switch (f.id) {
		case 1:
			n = index_list(&t, &f, THRIFT_TRUE, a, &ci);
			for (uint32_t i = 0; i < n; i++)
				ci.pages[i].has_minmax = !thrift_list_bool(&t);
			seen |= SEEN_NULL_PAGES;
			break;
		case 2:
			n = index_list(&t, &f, THRIFT_BINARY, a, &ci);
			for (uint32_t i = 0; i < n; i++)
				ci.pages[i].min = thrift_list_str(&t);
			seen |= SEEN_MIN;
			break;
		case 3:
			n = index_list(&t, &f, THRIFT_BINARY, a, &ci);
			for (uint32_t i = 0; i < n; i++)
				ci.pages[i].max = thrift_list_str(&t);
			seen |= SEEN_MAX;
			break;
		case 4:
			ci.order = (enum pq_order)thrift_i32(&t, &f);
			break;
		case 5:
			n = index_list(&t, &f, THRIFT_I64, a, &ci);
			for (uint32_t i = 0; i < n; i++) {
				ci.pages[i].nulls = thrift_list_int(&t);
				ci.pages[i].has_nulls = true;
			}
			seen |= SEEN_NULLS;
			break;
		default:
			thrift_skip(&t, f.type);
		}
	}
	/* null_counts is optional. */
	if (t.c.bad || (seen | SEEN_NULLS) != (SEEN_NULL_PAGES | SEEN_MIN | SEEN_MAX | SEEN_NULLS))
		return -EBADMSG;
	*ret = ci;
	return 0;
}

void pq_offset_index_encode(struct buf *out, const struct pq_page_location *l, uint32_t n)
{
	struct thrift_out t;

	thrift_out_init(&t, out);
	thrift_put_list(&t, 1, THRIFT_STRUCT, n);
	for (uint32_t i = 0; i < n; i++) {
		thrift_add_struct(&t);
		thrift_put_i64(&t, 1, l[i].off);
		thrift_put_i32(&t, 2, l[i].size);
		thrift_put_i64(&t, 3, l[i].first_row);
		thrift_end(&t);
	}
	thrift_end(&t);
}

int pq_offset_index_decode(struct str in, struct arena *a, struct pq_page_location **ret,
			   uint32_t *ret_n)
{
	struct thrift_in t = thrift_over(in);
	struct thrift_field f = {0};
	struct pq_page_location *l = NULL;
	uint32_t n = 0;

	while (thrift_next(&t, &f)) {
		if (f.id != 1) {
			thrift_skip(&t, f.type);
			continue;
		}
		n = thrift_list(&t, &f, THRIFT_STRUCT);
		l = t.c.bad ? NULL : arena_zalloc(a, (size_t)n * sizeof *l + 1);
		for (uint32_t i = 0; l && i < n && !t.c.bad; i++) {
			struct thrift_field p = {0};
			while (thrift_next(&t, &p)) {
				if (p.id == 1)
					l[i].off = thrift_int(&t, &p);
				else if (p.id == 2)
					l[i].size = thrift_i32(&t, &p);
				else if (p.id == 3)
					l[i].first_row = thrift_int(&t, &p);
				else
					thrift_skip(&t, p.type);
			}
		}
	}
	if (t.c.bad || !l)
		return -EBADMSG;
	*ret = l;
	*ret_n = n;
	return 0;
}
