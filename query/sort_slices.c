#include "query/sort_slices.h"

/* The scan below whose time the first key is; NULL: there is none. */
static struct op *scan_of_key(struct op *sort)
{
	const struct plan *p = sort->plan;
	uint32_t col = p->keys[0].col;
	struct op *o = sort;

	for (;;) {
		o = o->children[0];
		p = o->plan;
		if (p->kind == PLAN_PROJECT) {
			if (p->exprs[col]->kind != BX_COLUMN)
				return NULL;
			col = p->exprs[col]->index;
		} else if (p->kind != PLAN_FILTER) {
			break;
		}
	}
	return p->kind == PLAN_SCAN && p->scan_cols[col].kind == SCAN_TIME ? o : NULL;
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
	struct op *scan = x->part ? NULL : scan_of_key(sort);
	int64_t lo, hi;

	if (!scan)
		return 0;
	*s = (struct sort_slices){.scan = scan, .is_newest = sort->plan->keys[0].desc};
	int rc = op_scan_whole(scan, &s->rest, e);
	if (rc <= 0)
		return rc;
	s->rows_max = MAX((uint64_t)(limit / 4 / row_bytes(sort->children[0]->plan)), x->slice_rows);
	s->rows = MIN(s->rows_max, MAX(x->slice_rows, keep < UINT64_MAX / 2 ? keep * 2 : 0));
	/* All in one stretch: then as any other sort. */
	if (!op_scan_stretch(scan, &s->rest, s->rows, s->is_newest, &lo, &hi))
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
	if (s->rest.t_lo > s->rest.t_hi ||
	    !op_scan_stretch(s->scan, &s->rest, s->rows, s->is_newest, &lo, &hi))
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
