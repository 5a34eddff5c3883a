/*
 * op_join_narrow: what the held rows say of the streamed side, before that begins: its keys are among
 * theirs, and a time that the condition compares with one of theirs is on the right side of the outermost.
 */
#include "query/op_join.h"
#include "query/op_narrow.h"

#define NARROW_KEYS_MAX (1u << 20)

/* The least and the greatest of a column of rows; NULLs do not count. */
static struct narrowing range_of(const struct row_store *s, uint32_t col)
{
	struct narrowing n = {.is_range = true, .lo = INT64_MAX, .hi = INT64_MIN};

	for (uint32_t c = 0; c < s->chunk_n; c++) {
		const struct vec *v = &s->chunks[c]->cols[col];
		for (uint32_t i = 0; i < s->chunks[c]->n; i++) {
			if (v->valid && !v->valid[i])
				continue;
			n.lo = MIN(n.lo, v->i64[i]);
			n.hi = MAX(n.hi, v->i64[i]);
		}
	}
	return n;
}

/* Rows of one side matter where their keys are among these. */
static int narrow_by_keys(struct join_op *j, const struct row_store *keys, bool is_left, struct err *e)
{
	const struct plan *p = j->base.plan;
	struct op *side = j->base.children[!is_left];
	int rc = 0;

	for (uint32_t i = 0; i < keys->col_count && rc >= 0; i++) {
		const struct bx *x = is_left ? p->join_keys[i].left : p->join_keys[i].right;
		enum type_layout l = type_layout(x->type);
		if (p->join_keys[i].null_safe)
			continue;
		if (l == LAYOUT_I64) {
			struct narrowing n = range_of(keys, i);
			rc = op_narrow(side, x, 0, &n, e);
		} else if (l == LAYOUT_STR && keys->n <= NARROW_KEYS_MAX) {
			rc = op_narrow(side, x, 0, &(struct narrowing){.values = keys, .col = i}, e);
		}
	}
	return rc;
}

/* y over the held rows: its range. 0: it fails for one of them, which is not asked for yet. */
static int held_range(struct join_op *j, const struct bx *y, struct narrowing *ret, struct err *e)
{
	const struct plan *p = j->base.plan;
	const struct row_store *s = &j->table.rows;
	uint32_t left_n = p->children[0]->col_count, held_n = p->children[!j->is_left]->col_count;
	struct vec *cols = arena_zarray(&j->probe, struct vec, left_n + p->children[1]->col_count + 1);

	*ret = (struct narrowing){.is_range = true, .lo = INT64_MAX, .hi = INT64_MIN};
	if (!cols)
		return exec_nomem(&j->base.x->ctx, e);
	for (uint32_t c = 0; c < s->chunk_n; c++) {
		struct vbatch in = {s->chunks[c]->n, left_n + p->children[1]->col_count, cols};
		struct vec v;
		int rc;
		if (held_n)
			memcpy(cols + (j->is_left ? 0 : left_n), s->chunks[c]->cols, sizeof *cols * held_n);
		arena_reset(&j->base.batch);
		rc = bx_eval(&j->base.x->ctx, y, &in, &j->base.batch, &v, NULL);
		if (rc < 0)
			return rc == -ENOMEM ? exec_nomem(&j->base.x->ctx, e) : 0;
		for (uint32_t i = 0; i < in.n; i++) {
			if (vec_is_null(&v, i))
				continue;
			ret->lo = MIN(ret->lo, vec_base(&v)->i64[vec_index(&v, i)]);
			ret->hi = MAX(ret->hi, vec_base(&v)->i64[vec_index(&v, i)]);
		}
	}
	return 1;
}

struct on_side {
	uint32_t from, to;
	bool any, none;
};

static bool see_column(const struct bx *x, void *ctx)
{
	struct on_side *s = ctx;
	bool is_in = x->kind == BX_COLUMN && x->index >= s->from && x->index < s->to;

	s->any = s->any || is_in;
	s->none = s->none || (x->kind == BX_COLUMN && !is_in);
	return false;
}

/* Does x look at that side, and at nothing else? */
static bool is_of(const struct join_op *j, const struct bx *x, bool held)
{
	const struct plan *p = j->base.plan;
	uint32_t left_n = p->children[0]->col_count;
	bool left = held == j->is_left;
	struct on_side s = {left ? 0 : left_n, left ? left_n : left_n + p->children[1]->col_count, false, false};

	bx_any(x, see_column, &s);
	return s.any && !s.none;
}

/* time > s, of the condition: later than the least s. Strictness is left to the condition itself. */
static int narrow_by_order(struct join_op *j, const struct bx *x, struct err *e)
{
	static const char *const names[] = {"<", "<=", ">", ">="};
	const struct plan *p = j->base.plan;
	uint32_t left_n = p->children[0]->col_count;
	struct narrowing n;
	int at = 0, rc;

	if (x->kind != BX_CALL || x->argc != 2 || x->args[0]->type->kind != TY_TIMESTAMP)
		return 0;
	while (at < 4 && strcmp(x->func->name, names[at]) != 0)
		at++;
	for (int mirrored = 0; at < 4 && mirrored < 2; mirrored++) {
		const struct bx *of = x->args[mirrored], *bound = x->args[!mirrored];
		bool below = (at < 2) != mirrored;

		if (!is_of(j, of, false) || !is_of(j, bound, true))
			continue;
		rc = held_range(j, bound, &n, e);
		if (rc <= 0)
			return rc;
		if (below && n.lo <= n.hi)
			n.lo = INT64_MIN;
		else if (n.lo <= n.hi)
			n.hi = INT64_MAX;
		return op_narrow(j->base.children[j->is_left], of, j->is_left ? left_n : 0, &n, e);
	}
	return 0;
}

int join_narrow(struct join_op *j, struct err *e)
{
	const struct bx *w = j->base.plan->where;
	int rc;

	rc = narrow_by_keys(j, &j->table.match.groups.keys, !j->is_left, e);
	if (w && j->table.has_rows) {
		for (uint32_t i = 0; i < (w->kind == BX_AND ? w->argc : 1) && rc >= 0; i++)
			rc = narrow_by_order(j, w->kind == BX_AND ? w->args[i] : w, e);
	}
	arena_reset(&j->base.batch);
	return rc;
}

int join_narrow_right(struct join_op *j, const struct row_store *keys, struct err *e)
{
	return narrow_by_keys(j, keys, false, e);
}
