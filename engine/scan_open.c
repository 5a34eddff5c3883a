/*
 * scan_open: which sources a scan reads, and which series it will meet, in file order.
 */
#include <stdlib.h>

#include "engine/scan_impl.h"

/* What was moved out of a run, as intervals: of each date all before some time. */
static int hide_moved(struct scan *s, struct source *src, const struct file *f)
{
	struct interval *v = arena_array(&s->arena, struct interval, f->moved_count + 1);

	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->moved_count; i++)
		v[i] = (struct interval){f->moved[i].date * NS_PER_DAY, f->moved[i].upto_ns - 1};
	src->hidden = v;
	src->hidden_count = intervals_join(v, f->moved_count);
	return 0;
}

static int source_init_file(struct scan *s, struct source *src, struct file *f, struct err *e)
{
	int rc;

	src->file = f;
	src->usual_version = f->meta.kind == CATALOG_TILE;
	src->tombs_from = tomb_set_from(s->tombs, MAX(f->meta.seq_hi, f->meta.erased_seq));
	if (f->moved_count && hide_moved(s, src, f) < 0)
		return -ENOMEM;
	src->t_hi = s->spec.t_hi;
	src->page = UINT32_MAX;
	rc = file_tile(f, s->table, &src->tile, e);
	if (rc < 0)
		return rc;
	src->info = tile_info(src->tile);
	s->pages += src->info->page_count;
	src->field = arena_array(&s->arena, int64_t, s->spec.col_count + 1);
	src->cols = arena_zarray(&s->arena, const struct page *, s->spec.col_count + 1);
	src->late = s->spec.late ? arena_zarray(&s->arena, struct late_page, s->spec.col_count + 1) : NULL;
	src->late_counted = UINT32_MAX;
	if (!src->field || !src->cols || (s->spec.late && !src->late))
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		src->field[c] = tile_find_field(src->tile, s->spec.cols[c]);
	return 0;
}

static int source_init_block(struct scan *s, struct source *src)
{
	src->tombs_from = tomb_set_from(s->tombs, src->view.seq_hi);
	src->block_cols = arena_zarray(&s->arena, const struct block_col *, s->spec.col_count + 1);
	if (!src->block_cols)
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		for (uint32_t k = 0; k < src->view.col_count; k++)
			if (src->view.cols[k].col_id == s->spec.cols[c])
				src->block_cols[c] = &src->view.cols[k];
	return block_index_get(&src->view, s->spec.series, s->spec.series_count, &src->index,
			       &src->is_index_given);
}
struct id_list {
	uint32_t *v;
	uint32_t n, cap;
};

static int id_add(struct id_list *l, uint32_t id)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 64;
		uint32_t *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return 0;
}

/* Every wanted series that some source has rows of in the time range; may name one several times. */
static int collect_ids(struct scan *s, struct id_list *l)
{
	uint64_t wanted = s->spec.series ? bits_count(s->spec.series, s->spec.series_count) : UINT64_MAX;

	for (uint32_t i = 0; i < s->source_count; i++) {
		struct source *src = &s->sources[i];
		if (!src->file) {
			for (uint32_t g = 0; g < src->index->group_count; g++) {
				const struct block_group *bg = &src->index->groups[g];
				if (is_wanted(s, bg->series_id) && overlaps(s, bg->t_min, bg->t_max) &&
				    id_add(l, bg->series_id) < 0)
					return -ENOMEM;
			}
			continue;
		}
		const struct tile_series *ts = tile_series(src->tile);
		if (wanted < src->info->series_count / 16) {
			/* Few wanted among many: look each up. */
			for (uint32_t w = 0; w < (s->spec.series_count + 63) / 64; w++)
				for (uint64_t m = s->spec.series[w]; m; m &= m - 1) {
					uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(m);
					int64_t at = tile_find_series(src->tile, id);
					if (at >= 0 && overlaps(s, ts[at].t_min, ts[at].t_max) &&
					    id_add(l, id) < 0)
						return -ENOMEM;
				}
			continue;
		}
		for (uint32_t k = 0; k < src->info->series_count; k++)
			if (is_wanted(s, ts[k].series_id) && overlaps(s, ts[k].t_min, ts[k].t_max) &&
			    id_add(l, ts[k].series_id) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int by_rank(const void *x, const void *y, void *rank)
{
	uint32_t a = ((const uint32_t *)rank)[*(const uint32_t *)x];
	uint32_t b = ((const uint32_t *)rank)[*(const uint32_t *)y];
	return (a > b) - (a < b);
}

/* Into file order, once each. */
static int order_ids(struct scan *s, struct id_list *l)
{
	const struct series_order *o = s->order;
	uint32_t n = 0;

	s->ids = arena_array(&s->arena, uint32_t, MIN(l->n, o->n) + 1);
	if (!s->ids)
		return -ENOMEM;
	if (!l->n)
		return 0;
	if (l->n < o->n / 16) {
		qsort_r(l->v, l->n, sizeof *l->v, by_rank, o->rank);
		for (uint32_t i = 0; i < l->n; i++)
			if (i == 0 || l->v[i] != l->v[i - 1])
				s->ids[n++] = l->v[i];
		s->id_count = n;
		return 0;
	}
	uint64_t *seen = calloc(o->n / 64 + 1, sizeof *seen);
	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t r = o->rank[l->v[i]];
		seen[r / 64] |= UINT64_C(1) << (r % 64);
	}
	for (uint32_t w = 0; w <= o->n / 64; w++)
		for (uint64_t m = seen[w]; m; m &= m - 1)
			s->ids[n++] = o->ids[w * 64 + (uint32_t)__builtin_ctzll(m)];
	s->id_count = n;
	free(seen);
	return 0;
}

static int alloc_col(struct scan *s, uint32_t c, struct col *to)
{
	to->type = series_column(s->table->series, s->spec.cols[c])->type;
	to->data = arena_alloc(&s->arena, SCAN_ROWS * coltype_size(to->type));
	to->valid = arena_alloc(&s->arena, SCAN_ROWS);
	return to->data && to->valid ? 0 : -ENOMEM;
}

/* What scan_fill() needs. */
static int alloc_late(struct scan *s)
{
	bool *late = arena_array(&s->arena, bool, s->spec.col_count + 1);

	s->pieces = arena_array(&s->arena, struct piece, SCAN_ROWS);
	s->filled = arena_zarray(&s->arena, struct col, s->spec.col_count + 1);
	if (!late || !s->pieces || !s->filled)
		return -ENOMEM;
	memcpy(late, s->spec.late, s->spec.col_count);
	s->spec.late = late;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		if (late[c] && alloc_col(s, c, &s->filled[c]) < 0)
			return -ENOMEM;
	return 0;
}

static int alloc_batch(struct scan *s)
{
	uint32_t nc = s->spec.col_count + 1;

	s->time = arena_array(&s->arena, int64_t, SCAN_ROWS);
	s->version = s->spec.versions_wanted ? arena_array(&s->arena, int64_t, SCAN_ROWS) : NULL;
	s->cols = arena_zarray(&s->arena, struct col, nc);
	s->out = arena_zarray(&s->arena, struct col, nc);
	s->has_null = arena_zarray(&s->arena, bool, nc);
	s->runs = arena_array(&s->arena, struct scan_run, SCAN_ROWS);
	s->cursors = arena_zarray(&s->arena, struct cursor, s->source_count + 1);
	if (s->spec.versions_wanted && !s->version)
		return -ENOMEM;
	if (!s->time || !s->cols || !s->out || !s->has_null || !s->runs || !s->cursors)
		return -ENOMEM;
	for (uint32_t c = 0; c < s->spec.col_count; c++)
		if (alloc_col(s, c, &s->cols[c]) < 0)
			return -ENOMEM;
	return s->spec.late ? alloc_late(s) : 0;
}

/*
 * Which files cannot hold a wanted row, without opening them. A tile's times are within its date, so
 * they are all that is looked at of both; then its part. To which parts the wanted series belong is
 * found out at the first tile that needs it.
 */
struct pruner {
	const struct scan *scan;
	bool is_known;
	uint64_t wanted; /* parts, were there as many as can be */
};

static int wants_part(struct pruner *p, const struct catalog_file *m, bool *ret)
{
	const struct scan_spec *spec = &p->scan->spec;
	uint64_t wanted = p->wanted;

	*ret = true;
	if (m->kind != CATALOG_TILE || !spec->series || m->parts < 2 || m->part >= m->parts ||
	    SERIES_PARTS_MAX % m->parts)
		return 0;
	if (!p->is_known) {
		struct series_parts *sp = table_parts(p->scan->table);
		int rc = series_parts_of(sp, spec->series, spec->series_count, SERIES_PARTS_MAX, &wanted);
		series_parts_put(sp);
		if (rc < 0)
			return rc;
		p->wanted = wanted;
		p->is_known = true;
	}
	/* Part i of 4 is parts i, i + 4, i + 8... of 64. */
	uint64_t of_part = UINT64_C(1) << m->part;
	for (uint32_t step = m->parts; step < SERIES_PARTS_MAX; step *= 2)
		of_part |= of_part << step;
	*ret = wanted & of_part;
	return 0;
}

static int file_is_pruned(struct scan *s, struct pruner *p, const struct file *f, bool *ret)
{
	bool wanted = overlaps(s, f->meta.t_min_ns, f->meta.t_max_ns);
	int rc = 0;

	if (wanted) {
		rc = wants_part(p, &f->meta, &wanted);
		s->stats.tiles_pruned_part += !wanted;
	}
	s->stats.tiles++;
	s->stats.tiles_pruned += !wanted;
	*ret = !wanted;
	return rc;
}

int scan_open_sources(struct table *t, const struct scan_spec *spec, struct file **files, uint32_t file_n,
		      struct block_view *views, uint32_t view_n, struct tomb_set *tombs, struct budget *budget,
		      struct scan **ret, struct err *e)
{
	struct scan *s = calloc(1, sizeof *s);
	struct id_list ids = {0};
	struct pruner pruner = {.scan = s};
	uint32_t fi = 0, vi = 0;
	int rc = -ENOMEM;

	if (!s)
		goto fail;
	s->table = t;
	s->spec = *spec;
	s->tombs = tomb_set_get(tombs);
	arena_init(&s->arena, budget);
	arena_init(&s->hiding, budget);
	arena_init(&s->strings, budget);
	arena_init(&s->scratch, budget);
	s->sources = arena_zarray(&s->arena, struct source, file_n + view_n + 1);
	uint32_t *cols = arena_array(&s->arena, uint32_t, spec->col_count + 1);
	if (!s->sources || !cols)
		goto fail;
	if (spec->col_count)
		memcpy(cols, spec->cols, spec->col_count * sizeof *cols);
	s->spec.cols = cols;
	for (; fi < file_n; fi++) {
		bool is_pruned;
		rc = file_is_pruned(s, &pruner, files[fi], &is_pruned);
		if (rc < 0)
			goto fail;
		if (is_pruned) {
			file_put(files[fi]);
			continue;
		}
		struct source *src = &s->sources[s->source_count++];
		rc = source_init_file(s, src, files[fi], e);
		if (rc < 0) {
			fi++;
			goto fail;
		}
	}
	s->stats.blocks = view_n;
	for (; vi < view_n; vi++) {
		if (!overlaps(s, views[vi].t_min, views[vi].t_max)) {
			s->stats.blocks_pruned++;
			block_view_release(&views[vi]);
			continue;
		}
		struct source *src = &s->sources[s->source_count++];
		src->view = views[vi];
		src->t_hi = s->spec.t_hi;
		rc = source_init_block(s, src);
		if (rc < 0) {
			vi++;
			goto fail;
		}
	}
	rc = table_order(t, &s->order);
	if (rc >= 0)
		rc = alloc_batch(s);
	if (rc >= 0)
		rc = collect_ids(s, &ids);
	if (rc >= 0)
		rc = order_ids(s, &ids);
	if (rc < 0)
		goto fail;
	free(ids.v);
	*ret = s;
	return 0;
fail:
	for (; fi < file_n; fi++)
		file_put(files[fi]);
	for (; vi < view_n; vi++)
		block_view_release(&views[vi]);
	free(ids.v);
	scan_close(s);
	table_note_damage(t, rc, e);
	if (rc == -ENOMEM)
		err_set(e, rc, "out of memory for reading table '%s'", table_name(t));
	return rc;
}

/* ---- a moment of a table --------------------------------------------------------------------------- */

static int pin_init(struct scan_pin *p, struct table *t, struct err *e)
{
	pthread_mutex_lock(&t->mu);
	p->files = file_set_get(t->files);
	p->tombs = tomb_set_get(t->tombs);
	p->expired_before_ns = t->meta.expired_before_ns;
	int rc = memtable_view(&t->mem, &p->views, &p->view_n);
	pthread_mutex_unlock(&t->mu);
	return rc < 0 ? err_set(e, rc, "out of memory for reading table '%s'", table_name(t)) : 0;
}

static void pin_release(struct scan_pin *p)
{
	for (uint32_t i = 0; i < p->view_n; i++)
		block_view_release(&p->views[i]);
	free(p->views);
	file_set_put(p->files);
	tomb_set_put(p->tombs);
}

int scan_pin_take(struct table *t, struct scan_pin **ret, struct err *e)
{
	struct scan_pin *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(t));
	rc = pin_init(p, t, e);
	if (rc < 0)
		scan_pin_put(p);
	else
		*ret = p;
	return rc;
}

void scan_pin_put(struct scan_pin *p)
{
	if (!p)
		return;
	pin_release(p);
	free(p);
}

static int open_pinned(struct table *t, const struct scan_spec *spec, const struct scan_pin *pin,
		       struct budget *budget, struct scan **ret, struct err *e)
{
	struct scan_spec sp = *spec;
	uint32_t view_n = 0, file_n = pin->files->n;
	struct file **files = malloc((file_n + 1) * sizeof *files);
	struct block_view *views = malloc((pin->view_n + 1) * sizeof *views);
	int rc;

	if (!files || !views) {
		free(files);
		free(views);
		return err_set(e, -ENOMEM, "out of memory for reading table '%s'", table_name(t));
	}
	sp.t_lo = MAX(sp.t_lo, pin->expired_before_ns);
	for (uint32_t i = 0; i < file_n; i++)
		files[i] = file_get(pin->files->v[i]);
	/* Blocks are in order of arrival, and none holds rows from before and after a mark. */
	for (; view_n < pin->view_n && (!sp.upto_seq || pin->views[view_n].seq_lo <= sp.upto_seq); view_n++)
		views[view_n] = block_view_get(&pin->views[view_n]);
	rc = scan_open_sources(t, &sp, files, file_n, views, view_n, pin->tombs, budget, ret, e);
	free(files);
	free(views);
	return rc;
}

int scan_open(struct table *t, const struct scan_spec *spec, struct budget *budget, struct scan **ret,
	      struct err *e)
{
	struct scan_pin now = {0};
	int rc;

	if (spec->pin)
		return open_pinned(t, spec, spec->pin, budget, ret, e);
	rc = pin_init(&now, t, e);
	if (rc >= 0)
		rc = open_pinned(t, spec, &now, budget, ret, e);
	pin_release(&now);
	return rc;
}

void scan_limit_runs(struct scan *s, int64_t t_hi)
{
	for (uint32_t i = 0; i < s->source_count; i++)
		if (s->sources[i].file && s->sources[i].file->meta.kind == CATALOG_RUN)
			s->sources[i].t_hi = MIN(s->sources[i].t_hi, t_hi);
}

void scan_close(struct scan *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->source_count; i++) {
		struct source *src = &s->sources[i];
		if (src->file) {
			source_close(s, src);
			file_put(src->file);
			continue;
		}
		if (src->is_index_given)
			block_index_destroy((struct block_index *)src->index);
		block_view_release(&src->view);
	}
	series_order_put(s->order);
	tomb_set_put(s->tombs);
	arena_release(&s->hiding);
	arena_release(&s->strings);
	arena_release(&s->scratch);
	arena_release(&s->arena);
	free(s);
}

void scan_stats(const struct scan *s, struct scan_stats *ret)
{
	*ret = s->stats;
	ret->pages_pruned = s->pages - s->stats.pages_read;
}
