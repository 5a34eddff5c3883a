#include "query/sort_slices.h"

#define GROUPS_MAX 10000

/* From o down to what is neither FILTER nor PROJECT; *col: what o's column is there. NULL: it is made of something. */
static struct op *source_of(struct op *o, uint32_t *col)
{
	const struct plan *p = o->plan;

	for (; p->kind == PLAN_FILTER || p->kind == PLAN_PROJECT; o = o->children[0], p = o->plan) {
		if (p->kind == PLAN_FILTER)
			continue;
		if (p->exprs[*col]->kind != BX_COLUMN)
			return NULL;
		*col = p->exprs[*col]->index;
	}
	return o;
}

/* A group that is time, or bin(time, width): which column of the AGG's child time is. */
static bool is_group_of_time(const struct bx *x, uint32_t *ret_col, int64_t *ret_width)
{
	*ret_width = 1;
	if (x->kind == BX_CALL && !strcmp(x->func->name, "bin") && x->argc == 2 && x->args[1]->kind == BX_CONST &&
	    x->args[1]->type->kind == TY_INTERVAL_DS && !vec_is_null(&x->args[1]->value, 0)) {
		*ret_width = x->args[1]->value.i64[0];
		x = x->args[0];
	}
	*ret_col = x->index;
	return x->kind == BX_COLUMN && *ret_width > 0;
}

/* The scan below whose time the first key is, or is made of; NULL: there is none. */
static struct op *scan_of_key(struct op *sort, bool *ret_grouped, int64_t *ret_width)
{
	uint32_t col = sort->plan->keys[0].col;
	struct op *o = source_of(sort->children[0], &col);

	*ret_width = 1;
	*ret_grouped = o && o->plan->kind == PLAN_AGG;
	if (*ret_grouped) {
		const struct plan *agg = o->plan;
		if (agg->set_count || col >= agg->group_count || !is_group_of_time(agg->groups[col], &col, ret_width))
			return NULL;
		o = source_of(o->children[0], &col);
	}
	return o && o->plan->kind == PLAN_SCAN && o->plan->scan_cols[col].kind == SCAN_TIME ? o : NULL;
}

/* A stretch that ends where a group does. */
static void end_at_group(const struct sort_slices *s, int64_t *lo, int64_t *hi)
{
	int64_t *end = s->is_newest ? lo : hi, from = floor_div(*end, s->width), at;

	/* Where that is beyond what times there are the stretch is all that is left. */
	if (s->is_newest)
		*lo = __builtin_mul_overflow(from, s->width, &at) ? s->rest.t_lo : MAX(at, s->rest.t_lo);
	else
		*hi = __builtin_mul_overflow(from + 1, s->width, &at) ? s->rest.t_hi : MIN(at - 1, s->rest.t_hi);
}

static int stretch(const struct sort_slices *s, int64_t *lo, int64_t *hi)
{
	int rc = op_scan_stretch(s->scan, &s->rest, s->rows, s->is_newest, lo, hi);

	if (rc > 0)
		end_at_group(s, lo, hi);
	return rc;
}

/* Roughly what a row takes in memory; texts are taken for short. */
static size_t row_bytes(const struct plan *p)
{
	size_t n = 40; /* the order of rows */

	for (uint32_t i = 0; i < p->col_count; i++) {
		enum type_layout l = type_layout(p->cols[i].type);

		n += l == LAYOUT_STR ? 48 : l == LAYOUT_LIST || l == LAYOUT_ROW ? 256 : layout_size(l) + 1;
	}
	return n;
}

int sort_slices_open(struct sort_slices *s, struct op *sort, uint64_t keep, struct err *e)
{
	struct exec *x = sort->x;
	size_t limit = x->ctx.budget ? x->ctx.budget->limit : SIZE_MAX;
	int64_t lo, hi, width;
	bool is_grouped;
	struct op *scan = x->part ? NULL : scan_of_key(sort, &is_grouped, &width);

	/* All groups are sooner there from all rows at once, by several threads. */
	if (!scan || (is_grouped && keep > GROUPS_MAX))
		return 0;
	*s = (struct sort_slices){.scan = scan, .is_newest = sort->plan->keys[0].desc, .width = width};
	int rc = op_scan_whole(scan, &s->rest, e);
	if (rc <= 0)
		return rc;
	s->rows_max = MAX((uint64_t)(limit / 4 / row_bytes(sort->children[0]->plan)), x->slice_rows);
	if (is_grouped)
		s->rows_max = UINT64_MAX / 2; /* they do not stay */
	s->rows = MIN(s->rows_max, MAX(x->slice_rows, keep < UINT64_MAX / 2 ? keep * 2 : 0));
	/* All in one stretch: then as any other sort. */
	if (!stretch(s, &lo, &hi))
		return 0;
	int64_t end = s->is_newest ? lo : hi, beyond_lo = lo, beyond_hi = hi;
	struct exec_part beyond = s->rest;
	if (s->is_newest ? end == INT64_MIN : end == INT64_MAX)
		return 0;
	*(s->is_newest ? &beyond.t_hi : &beyond.t_lo) = s->is_newest ? end - 1 : end + 1;
	if (beyond.t_lo > beyond.t_hi ||
	    !op_scan_stretch(scan, &beyond, s->rows, s->is_newest, &beyond_lo, &beyond_hi))
		return 0;
	s->sort = sort;
	arena_init(&s->arena, x->ctx.budget);
	s->x.ctx = x->ctx;
	s->x.arena = &s->arena;
	s->x.leader = x->leader ? x->leader : x;
	s->x.moment_of = x->moment_of;
	s->x.upto_seq = x->upto_seq;
	s->x.pool = x->pool;
	s->x.part_rows = x->part_rows;
	s->x.slice_rows = x->slice_rows;
	s->x.working = x->working;
	s->x.part = &s->part;
	return 1;
}

static void leave(struct sort_slices *s)
{
	op_close(s->child);
	s->child = NULL;
	s->x.tables = NULL; /* they lay in the arena */
	arena_reset(&s->arena);
}

void sort_slices_release(struct sort_slices *s)
{
	if (!s->sort)
		return;
	leave(s);
	arena_release(&s->arena);
	*s = (struct sort_slices){0};
}

int sort_slices_next(struct sort_slices *s, struct err *e)
{
	int64_t lo, hi;

	leave(s);
	if (s->rest.t_lo > s->rest.t_hi || !stretch(s, &lo, &hi))
		return 0;
	s->part = s->rest;
	s->part.t_lo = lo;
	s->part.t_hi = hi;
	/* What is left: behind the stretch, or in front of it. */
	if (s->is_newest ? lo == INT64_MIN : hi == INT64_MAX)
		s->rest = (struct exec_part){.t_lo = 0, .t_hi = -1};
	else if (s->is_newest)
		s->rest.t_hi = lo - 1;
	else
		s->rest.t_lo = hi + 1;
	/* Where a condition leaves few rows, or the rows lie elsewhere than it seemed, the next one takes more. */
	s->rows = MIN(s->rows * 2, s->rows_max);
	int rc = op_open_child(s->sort, &s->x, 0, &s->child, e);
	return rc < 0 ? rc : 1;
}
