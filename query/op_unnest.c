/*
 * op_unnest: each row of the child once for each element of its lists, the elements as columns.
 *
 * A child's batch stays at hand until its last element went out, so a list of a million elements leaves in
 * batches as everything does, and nothing but the lists themselves is held. What comes out copies little:
 *
 *	child's columns   one row's worth: CONST; few rows': DICT over just these; DICT and CONST stay
 *	elements          where they lie beside each other (a row's, or rows' whose lists were made together),
 *	                  a slice of the lists' own vector
 */
#include "query/op.h"

struct unnest_op {
	struct op base;
	struct arena held;  /* the lists of the batch at hand */
	struct vbatch in;   /* n 0: none */
	struct vec *lists;
	uint32_t row, at;   /* next: element `at` of row `row` */
};

/* What a batch consists of. */
struct out {
	uint32_t n;
	uint32_t *rows;   /* of the child's batch */
	uint32_t *number; /* which element; UINT32_MAX: none, the row has no elements and is kept */
	uint32_t row_n;   /* different rows */
};

static int unnest_open(struct op *o, struct err *e)
{
	struct unnest_op *u = (struct unnest_op *)o;

	arena_init(&u->held, o->x->ctx.budget);
	u->in.n = 0;
	return 0;
}

static void unnest_close(struct op *o)
{
	arena_release(&((struct unnest_op *)o)->held);
}

/* The child's next batch, and its lists. */
static int take_batch(struct unnest_op *u, struct err *e)
{
	struct op *o = &u->base;
	const struct plan *p = o->plan;

	u->in.n = u->row = u->at = 0;
	arena_reset(&u->held);
	int rc = op_next(o->children[0], &u->in, e);
	if (rc <= 0) {
		u->in.n = 0;
		return rc;
	}
	u->lists = arena_zarray(&u->held, struct vec, p->list_count + 1);
	if (!u->lists)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->list_count; i++) {
		rc = bx_eval(&o->x->ctx, p->lists[i], &u->in, &u->held, &u->lists[i], e);
		if (rc < 0)
			return rc;
	}
	return 1;
}

static struct vec_list list_at(const struct vec *v, uint32_t row)
{
	return vec_is_null(v, row) ? (struct vec_list){0, 0} : vec_base(v)->list[vec_index(v, row)];
}

static uint32_t row_length(const struct unnest_op *u, uint32_t row)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < u->base.plan->list_count; i++)
		n = MAX(n, list_at(&u->lists[i], row).len);
	return n;
}

/* As many rows as fit, from where the last batch ended. */
static void fill(struct unnest_op *u, struct out *out)
{
	while (u->row < u->in.n && out->n < VEC_ROWS) {
		uint32_t len = row_length(u, u->row), from = out->n;
		uint32_t n = MIN(len - u->at, VEC_ROWS - from);

		for (uint32_t i = 0; i < n; i++) {
			out->rows[from + i] = u->row;
			out->number[from + i] = u->at + i;
		}
		if (!len && u->base.plan->keep_empty) {
			out->rows[from] = u->row;
			out->number[from] = UINT32_MAX;
			n = 1;
		}
		out->n += n;
		out->row_n += n > 0;
		u->at += len ? n : 0;
		if (u->at < len)
			return;
		u->row++;
		u->at = 0;
	}
}

/* ---- columns ---------------------------------------------------------------------------------------- */

/* One row of v for all rows. */
static int const_of(const struct vec *v, uint32_t row, struct arena *a, struct vec *ret, struct err *e)
{
	struct vec one;

	if (v->form == VEC_CONST) {
		*ret = *v;
		return 0;
	}
	int rc = vec_gather(v, &row, 1, a, &one, e);
	if (rc >= 0)
		rc = vec_flatten(&one, 1, a, ret, e);
	ret->form = VEC_CONST;
	return rc;
}

/* A column of the child. */
static int child_col(const struct vec *v, const struct out *out, struct arena *a, struct vec *ret, struct err *e)
{
	uint32_t k = 0;

	if (out->row_n == 1)
		return const_of(v, out->rows[0], a, ret, e);
	if (v->form != VEC_FLAT || out->row_n > out->n / 2)
		return vec_gather(v, out->rows, out->n, a, ret, e);
	uint32_t *rows = arena_array(a, uint32_t, out->row_n);
	uint32_t *codes = arena_array(a, uint32_t, out->n);
	struct vec *dict = arena_new(a, struct vec);
	if (!rows || !codes || !dict)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < out->n; i++) {
		if (!i || out->rows[i] != out->rows[i - 1])
			rows[k++] = out->rows[i];
		codes[i] = k - 1;
	}
	int rc = vec_gather(v, rows, k, a, dict, e);
	*ret = (struct vec){.type = v->type, .form = VEC_DICT, .codes = codes, .dict = dict, .dict_n = k};
	return rc;
}

/* Where the elements of a list lie in its child vector. */
struct places {
	uint32_t *at;
	bool is_padded; /* some have none: 0, and valid says no */
	bool is_slice;  /* they are neighbours */
	uint8_t *valid;
};

static int places_of(const struct vec *list, const struct out *out, struct arena *a, struct places *ret,
		     struct err *e)
{
	struct places p = {.at = arena_array(a, uint32_t, out->n), .valid = arena_array(a, uint8_t, out->n),
			   .is_slice = true};
	uint32_t row = UINT32_MAX;
	struct vec_list l = {0, 0};

	if (!p.at || !p.valid)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < out->n; i++) {
		if (out->rows[i] != row) {
			row = out->rows[i];
			l = list_at(list, row);
		}
		p.valid[i] = out->number[i] < l.len;
		p.at[i] = p.valid[i] ? l.off + out->number[i] : 0;
		p.is_padded |= !p.valid[i];
		p.is_slice &= p.valid[i] && p.at[i] == p.at[0] + i;
	}
	*ret = p;
	return 0;
}

/* Values at these places; NULL where there is none, or where `owner` (the rows whose field it is) is NULL. */
static int elements(const struct vec *values, const struct vec *owner, uint32_t value_n, const struct places *p,
		    uint32_t n, struct arena *a, struct vec *ret, struct err *e)
{
	const uint8_t *owned = owner ? owner->valid : NULL;
	int rc;

	if (!value_n) /* nobody's list has any */
		return vec_const_null(ret, values->type, a, e);
	if (p->is_slice && !owned)
		return vec_slice(values, p->at[0], a, ret, e);
	rc = vec_gather(values, p->at, n, a, ret, e);
	if (rc < 0 || (!p->is_padded && !owned))
		return rc;
	rc = vec_flatten(ret, n, a, ret, e);
	if (rc < 0)
		return rc;
	const uint8_t *old = ret->valid;
	rc = vec_alloc_valid(ret, n, a, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		ret->valid[i] = p->valid[i] && (!old || old[i]) && (!owned || owned[p->at[i]]);
	return rc;
}

static int number_col(const struct out *out, struct arena *a, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, &type_bigint, out->n, a, e);

	if (rc >= 0)
		rc = vec_alloc_valid(ret, out->n, a, e);
	for (uint32_t i = 0; i < out->n && rc >= 0; i++) {
		ret->valid[i] = out->number[i] != UINT32_MAX;
		ret->i64[i] = ret->valid[i] ? (int64_t)out->number[i] + 1 : 0;
	}
	return rc;
}

static int column(struct unnest_op *u, const struct plan_item *item, const struct out *out, struct places *places,
		  struct vec *ret, struct err *e)
{
	struct arena *a = &u->base.batch;
	const struct vec *list, *elem;
	int rc;

	if (item->kind == ITEM_CHILD)
		return child_col(&u->in.cols[item->index], out, a, ret, e);
	if (item->kind == ITEM_NUMBER)
		return number_col(out, a, ret, e);
	list = &u->lists[item->index];
	if (!places[item->index].at) {
		rc = places_of(list, out, a, &places[item->index], e);
		if (rc < 0)
			return rc;
	}
	elem = vec_base(list)->child;
	if (item->kind == ITEM_ELEMENT)
		return elements(elem, NULL, vec_base(list)->child_n, &places[item->index], out->n, a, ret, e);
	return elements(&elem->child[item->field], elem, vec_base(list)->child_n, &places[item->index], out->n, a, ret,
			e);
}

static int unnest_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct unnest_op *u = (struct unnest_op *)o;
	const struct plan *p = o->plan;
	struct out out = {0};
	int rc;

	out.rows = arena_array(&o->batch, uint32_t, VEC_ROWS);
	out.number = arena_array(&o->batch, uint32_t, VEC_ROWS);
	struct places *places = arena_zarray(&o->batch, struct places, p->list_count + 1);
	struct vec *cols = arena_zarray(&o->batch, struct vec, p->col_count + 1);
	if (!out.rows || !out.number || !places || !cols)
		return exec_nomem(&o->x->ctx, e);
	while (!out.n) {
		if (u->row >= u->in.n) {
			rc = take_batch(u, e);
			if (rc <= 0)
				return rc;
		}
		fill(u, &out);
	}
	for (uint32_t i = 0; i < p->col_count; i++) {
		rc = column(u, &p->items[i], &out, places, &cols[i], e);
		if (rc < 0)
			return rc;
	}
	*ret = (struct vbatch){out.n, p->col_count, cols};
	return 1;
}

const struct op_class op_unnest_class = {
	.name = "unnest",
	.size = sizeof(struct unnest_op),
	.open = unnest_open,
	.next = unnest_next,
	.close = unnest_close,
};
