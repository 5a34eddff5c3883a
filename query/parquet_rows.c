/*
 * parquet_rows: a vector's values to the leaves below its column.
 *
 * A scalar column is filled a batch at a time, by its type. What lies inside arrays and rows is walked
 * value by value: each gives every leaf below it one entry at least, with
 *
 *	repetition   0: a new row begins; k: a further element of the k-th list around it
 *	definition   how much of the path to the value is there
 */
#include "query/parquet_impl.h"

#define JULIAN_1970 2440588

/* The value at k of a vector that has it, not NULL, behind the others of the page. */
static int add_value(struct parquet_out *p, struct leaf *l, const struct vec *v, uint32_t k, struct err *e)
{
	int64_t day;

	switch (l->pq) {
	case PQ_BOOLEAN:
		buf_put_u8(&l->values, v->b8[k]);
		break;
	case PQ_INT32:
		buf_put_u32(&l->values, (uint32_t)v->i64[k]);
		break;
	case PQ_INT64:
		buf_put_u64(&l->values, (uint64_t)v->i64[k]);
		break;
	case PQ_INT96:
		day = floor_div(v->i64[k], NS_PER_DAY);
		/* Unsigned: midnight of the first day of all lies outside of 64 bits. */
		buf_put_u64(&l->values, (uint64_t)v->i64[k] - (uint64_t)day * (uint64_t)NS_PER_DAY);
		buf_put_u32(&l->values, (uint32_t)(day + JULIAN_1970));
		break;
	case PQ_DOUBLE:
		buf_add(&l->values, &v->f64[k], 8);
		break;
	case PQ_BYTE_ARRAY:
		if (l->type->kind == TY_VARCHAR)
			return leaf_add_text(l, v->str[k], e);
		buf_clear(&p->text);
		l->cell(&p->memo, v, k, &p->text);
		return p->text.rc ? err_set(e, -ENOMEM, "out of memory") : leaf_add_text(l, buf_str(&p->text), e);
	}
	l->value_n++;
	return 0;
}

/* ---- scalar columns --------------------------------------------------------------------------- */

/* A vector without NULLs whose values lie as the file has them. */
static bool add_whole(struct leaf *l, const struct vec *v, uint32_t n)
{
	if (v->form != VEC_FLAT || v->valid || (l->pq != PQ_INT64 && l->pq != PQ_DOUBLE && l->pq != PQ_BOOLEAN))
		return false;
	buf_add(&l->values, v->data, n * layout_size(type_layout(v->type)));
	l->value_n += n;
	return true;
}

static int add_scalars(struct parquet_out *p, struct leaf *l, const struct vec *v, uint32_t n, struct err *e)
{
	const struct vec *base = vec_base(v);
	uint8_t *defs = (uint8_t *)buf_reserve(&l->defs, n);
	int rc = 0;

	if (!defs)
		return err_set(e, -ENOMEM, "out of memory");
	memset(defs, 1, n);
	l->defs.len += n;
	l->n += n;
	if (!add_whole(l, v, n)) {
		for (uint32_t i = 0; i < n && rc >= 0; i++) {
			uint32_t k = vec_index(v, i);
			if (base->valid && !base->valid[k])
				defs[i] = 0;
			else
				rc = add_value(p, l, base, k, e);
		}
	}
	if (rc >= 0 && leaf_page_is_full(l))
		rc = leaf_end_page(l, p->spec.coder, e);
	return rc;
}

/* ---- nested ones ------------------------------------------------------------------------------ */

static void put_level(struct leaf *l, uint8_t def, uint8_t rep)
{
	buf_addc(&l->defs, (char)def);
	if (l->rep_max)
		buf_addc(&l->reps, (char)rep);
	l->n++;
}

/* Nothing is there below this node: every leaf hears of it. */
static void add_nothing(struct parquet_out *p, const struct shape *s, uint8_t def, uint8_t rep)
{
	for (uint32_t i = 0; i < s->leaf_n; i++)
		put_level(&p->leaves[s->first_leaf + i], def, rep);
}

static int add_nested(struct parquet_out *p, const struct shape *s, const struct vec *of, uint32_t i, uint8_t rep,
		      struct err *e)
{
	const struct vec *v = vec_base(of);
	uint32_t k = vec_index(of, i);
	int rc = 0;

	if (v->valid && !v->valid[k]) {
		add_nothing(p, s, s->def, rep);
		return 0;
	}
	switch (type_layout(s->type)) {
	case LAYOUT_LIST:
		if (!v->list[k].len)
			add_nothing(p, s, (uint8_t)(s->def + 1), rep);
		for (uint32_t x = 0; x < v->list[k].len && rc >= 0; x++)
			rc = add_nested(p, s->children, v->child, v->list[k].off + x, x ? s->rep : rep, e);
		return rc;
	case LAYOUT_ROW:
		for (uint32_t f = 0; f < s->type->field_count && rc >= 0; f++)
			rc = add_nested(p, &s->children[f], &v->child[f], k, rep, e);
		return rc;
	default:
		put_level(&p->leaves[s->first_leaf], (uint8_t)(s->def + 1), rep);
		return add_value(p, &p->leaves[s->first_leaf], v, k, e);
	}
}

int rows_add(struct parquet_out *p, uint32_t col, const struct vec *v, uint32_t n, struct err *e)
{
	const struct shape *s = &p->shapes[col];
	int rc = 0;

	if (type_layout(s->type) != LAYOUT_LIST && type_layout(s->type) != LAYOUT_ROW)
		return add_scalars(p, &p->leaves[s->first_leaf], v, n, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = add_nested(p, s, v, i, 0, e);
		for (uint32_t x = 0; x < s->leaf_n && rc >= 0; x++) {
			struct leaf *l = &p->leaves[s->first_leaf + x];
			if (leaf_page_is_full(l))
				rc = leaf_end_page(l, p->spec.coder, e);
		}
	}
	return rc;
}
