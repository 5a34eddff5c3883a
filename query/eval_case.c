/*
 * eval_case: CASE, COALESCE and TRY: expressions that evaluate parts of themselves on parts of the
 * rows, and put the pieces together.
 */
#include "query/eval.h"

/* ---- putting pieces together --------------------------------------------------------------------- */

static inline uint32_t piece_idx(const struct eval_piece *p, uint32_t i)
{
	return p->idx ? p->idx[i] : i;
}

static inline uint32_t piece_row(const struct eval_piece *p, uint32_t i)
{
	return p->rows ? p->rows[i] : i;
}

static void scatter_values(const struct eval_piece *p, enum type_layout l, struct vec *to)
{
	const struct vec *b = vec_base(&p->v);

#define SCATTER(field)                                                                             \
	for (uint32_t i = 0; i < p->n; i++)                                                        \
		to->field[piece_row(p, i)] = b->field[vec_index(&p->v, piece_idx(p, i))];          \
	break
	switch (l) {
	case LAYOUT_I64:
		SCATTER(i64);
	case LAYOUT_F64:
		SCATTER(f64);
	case LAYOUT_BOOL:
		SCATTER(b8);
	case LAYOUT_STR:
		SCATTER(str);
	case LAYOUT_LIST:
	case LAYOUT_ROW:
		break; /* merge_nested() */
	}
#undef SCATTER
}

/* Lists and rows have children: built value by value. */
static int merge_nested(struct eval *ev, const struct type *t, const struct eval_piece *pieces,
			struct vec *ret, struct err *e)
{
	struct {
		const struct vec *v;
		uint32_t i;
	} *from = arena_zalloc(ev->arena, sizeof *from * ev->n);
	struct vec_builder b;

	if (!from)
		return exec_nomem(ev->exec, e);
	for (const struct eval_piece *p = pieces; p; p = p->next) {
		if (p->v.type->kind == TY_UNKNOWN)
			continue;
		for (uint32_t i = 0; i < p->n; i++) {
			from[piece_row(p, i)].v = &p->v;
			from[piece_row(p, i)].i = piece_idx(p, i);
		}
	}
	int rc = vb_init(&b, t, ev->n, ev->arena, e);
	for (uint32_t i = 0; i < ev->n && rc >= 0; i++)
		rc = from[i].v ? vb_add(&b, from[i].v, from[i].i, e) : vb_add_null(&b, e);
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

int eval_merge(struct eval *ev, const struct type *t, const struct eval_piece *pieces, struct vec *ret,
	       struct err *e)
{
	enum type_layout l = type_layout(t);
	uint32_t n = ev->n, valid_n = 0;

	/* One piece that is everything stays as it is: constants stay constant. */
	if (pieces && !pieces->next && pieces->n == n && !pieces->idx &&
	    pieces->v.type->kind != TY_UNKNOWN) {
		*ret = pieces->v;
		return 0;
	}
	if (!pieces)
		return vec_const_null(ret, t, ev->arena, e);
	if (l == LAYOUT_LIST || l == LAYOUT_ROW)
		return merge_nested(ev, t, pieces, ret, e);
	int rc = vec_alloc(ret, t, n, ev->arena, e);
	if (rc >= 0)
		rc = vec_alloc_valid(ret, n, ev->arena, e);
	if (rc < 0)
		return rc;
	memset(ret->data, 0, layout_size(l) * n);
	memset(ret->valid, 0, n);
	for (const struct eval_piece *p = pieces; p; p = p->next) {
		if (p->v.type->kind == TY_UNKNOWN) /* a bare NULL */
			continue;
		scatter_values(p, l, ret);
		for (uint32_t i = 0; i < p->n; i++) {
			bool valid = !vec_is_null(&p->v, piece_idx(p, i));
			ret->valid[piece_row(p, i)] = valid;
			valid_n += valid;
		}
	}
	if (valid_n == n)
		ret->valid = NULL;
	return 0;
}

static struct eval_piece *piece_add(struct eval *ev, struct eval_piece **list, const struct vec *v,
				    const uint32_t *idx, const uint32_t *rows, uint32_t n)
{
	struct eval_piece *p = arena_new(ev->arena, struct eval_piece);
	if (p) {
		*p = (struct eval_piece){*list, *v, idx, rows, n};
		*list = p;
	}
	return p;
}

/* ---- CASE, COALESCE --------------------------------------------------------------------------------- */

int eval_case(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct eval_piece *pieces = NULL;
	const uint32_t *rest = NULL; /* rows that no condition took; NULL: all */
	uint32_t rest_n = ev->n, i;
	struct vec v;
	int rc;

	for (i = 0; i + 1 < x->argc && rest_n; i += 2) {
		rc = eval_over(ev, x->args[i], rest, rest_n, &v, e);
		if (rc < 0)
			return rc;
		if (v.form == VEC_CONST && vec_tristate(&v, 0) != TRI_TRUE)
			continue;
		uint32_t *taken = arena_array(ev->arena, uint32_t, rest_n);
		uint32_t *others = arena_array(ev->arena, uint32_t, rest_n);
		uint32_t taken_n = 0, others_n = 0;
		if (!taken || !others)
			return exec_nomem(ev->exec, e);
		for (uint32_t k = 0; k < rest_n; k++) {
			uint32_t row = rest ? rest[k] : k;
			bool is_taken = vec_tristate(&v, k) == TRI_TRUE;
			taken[taken_n] = row;
			others[others_n] = row;
			taken_n += is_taken;
			others_n += !is_taken;
		}
		rest = others;
		rest_n = others_n;
		if (!taken_n)
			continue;
		rc = eval_over(ev, x->args[i + 1], taken, taken_n, &v, e);
		if (rc < 0)
			return rc;
		if (!piece_add(ev, &pieces, &v, NULL, taken, taken_n))
			return exec_nomem(ev->exec, e);
	}
	if ((x->argc & 1) && rest_n) {
		rc = eval_over(ev, x->args[x->argc - 1], rest, rest_n, &v, e);
		if (rc < 0)
			return rc;
		if (!piece_add(ev, &pieces, &v, NULL, rest, rest_n))
			return exec_nomem(ev->exec, e);
	}
	return eval_merge(ev, x->type, pieces, ret, e);
}

int eval_coalesce(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct eval_piece *pieces = NULL;
	const uint32_t *rest = NULL;
	uint32_t rest_n = ev->n;
	struct vec v;

	for (uint32_t i = 0; i < x->argc && rest_n; i++) {
		int rc = eval_over(ev, x->args[i], rest, rest_n, &v, e);
		if (rc < 0)
			return rc;
		const struct vec *b = vec_base(&v);
		if (v.type->kind == TY_UNKNOWN)
			continue;
		if (!b->valid) { /* nothing is NULL: done */
			if (!piece_add(ev, &pieces, &v, NULL, rest, rest_n))
				return exec_nomem(ev->exec, e);
			break;
		}
		uint32_t *idx = arena_array(ev->arena, uint32_t, rest_n);
		uint32_t *rows = arena_array(ev->arena, uint32_t, rest_n);
		uint32_t *others = arena_array(ev->arena, uint32_t, rest_n);
		uint32_t n = 0, others_n = 0;
		if (!idx || !rows || !others)
			return exec_nomem(ev->exec, e);
		for (uint32_t k = 0; k < rest_n; k++) {
			uint32_t row = rest ? rest[k] : k;
			if (vec_is_null(&v, k)) {
				others[others_n++] = row;
				continue;
			}
			idx[n] = k;
			rows[n++] = row;
		}
		if (n && !piece_add(ev, &pieces, &v, idx, rows, n))
			return exec_nomem(ev->exec, e);
		rest = others;
		rest_n = others_n;
	}
	return eval_merge(ev, x->type, pieces, ret, e);
}

/* ---- TRY --------------------------------------------------------------------------------------------- */

/* Errors of the statement's values; the others are the machine's and end the statement. */
static bool is_value_error(int rc)
{
	return rc == -EINVAL || rc == -ERANGE || rc == -EDOM || rc == -EOVERFLOW;
}

/*
 * Evaluate; where that fails halve the rows, until the failing ones stand alone and are NULL: a few
 * bad rows cost a few evaluations and not one a row. rows is a slice of 0..n, ascending.
 */
static int try_rows(struct eval *ev, const struct bx *x, const uint32_t *rows, uint32_t n,
		    struct eval_piece **pieces, struct err *e)
{
	struct err failed = {0};
	struct vec v;

	int rc = eval_over(ev, x, rows, n, &v, &failed);
	if (rc >= 0)
		return piece_add(ev, pieces, &v, NULL, rows, n) ? 0 : exec_nomem(ev->exec, e);
	if (!is_value_error(rc))
		return err_set(e, rc, "%s", err_text(&failed, rc));
	*ev->located = false;
	if (n == 1)
		return 0;
	rc = try_rows(ev, x, rows, n / 2, pieces, e);
	return rc < 0 ? rc : try_rows(ev, x, rows + n / 2, n - n / 2, pieces, e);
}

int eval_try(struct eval *ev, const struct bx *x, struct vec *ret, struct err *e)
{
	struct eval_piece *pieces = NULL;
	uint32_t *rows = arena_array(ev->arena, uint32_t, ev->n);

	if (!rows)
		return exec_nomem(ev->exec, e);
	for (uint32_t i = 0; i < ev->n; i++)
		rows[i] = i;
	int rc = try_rows(ev, x->args[0], rows, ev->n, &pieces, e);
	return rc < 0 ? rc : eval_merge(ev, x->type, pieces, ret, e);
}
