/*
 * op_scan: a table's rows as batches.
 *
 * First the series (op_scan_series.c): series_where becomes a bit set for the engine.
 *
 * Then the rows: time and fields are the engine's arrays (no copy). A dimension is the same
 * throughout a run (a stretch of one series), so a batch of one run has it CONST, other batches have
 * it DICT with a dictionary of just the values in that batch: expressions over it cost a few
 * evaluations, and their number does not grow with the table.
 */
#include "query/op_scan.h"

#include <stdlib.h>

/* ---- the moment that is seen ----------------------------------------------------------------------- */

int op_moment_join(struct exec *x, const struct table *table, struct exec_table **ret, struct err *e)
{
	struct exec_table *t = x->tables;

	while (t && t->table != table)
		t = t->next;
	if (!t) {
		t = arena_new(x->arena, struct exec_table);
		if (!t)
			return exec_nomem(&x->ctx, e);
		t->table = table;
		t->next = x->tables;
		x->tables = t;
	}
	t->scans++;
	t->waiting++;
	*ret = t;
	return 0;
}

void op_moment_leave(struct exec_table *t)
{
	if (!t || --t->waiting)
		return;
	scan_pin_put(t->pin);
	t->pin = NULL;
}

static void moment_leave(struct scan_op *s)
{
	op_moment_leave(s->moment);
	s->moment = NULL;
}

/* Only where others will look at the table, too. */
static int moment_pin(struct scan_op *s, struct scan_spec *spec, struct err *e)
{
	struct exec_table *t = s->moment;
	int rc = 0;

	if (!t->pin && t->waiting > 1)
		rc = scan_pin_take(s->base.plan->table, &t->pin, e);
	spec->pin = t->pin;
	return rc;
}

static int scan_open_op(struct op *o, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	const struct plan *p = o->plan;

	s->series = table_series(p->table);
	s->t_lo = p->t_lo;
	s->t_hi = p->t_hi;
	s->field_ids = arena_array(o->x->arena, uint32_t, p->col_count + 1);
	s->field_col = arena_array(o->x->arena, uint32_t, p->col_count + 1);
	s->dims = arena_zarray(o->x->arena, struct scan_dim, p->col_count + 1);
	if (!s->field_ids || !s->field_col || !s->dims)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++) {
		const struct plan_scan_col *c = &p->scan_cols[i];
		switch (c->kind) {
		case SCAN_TIME:
		case SCAN_SERIES:
			break;
		case SCAN_FIELD:
			s->field_ids[s->field_n] = c->col_id;
			s->field_col[s->field_n++] = i;
			break;
		case SCAN_DIMENSION:
			s->dims[s->dim_n++] = (struct scan_dim){.col = i, .col_id = c->col_id};
			break;
		case SCAN_MEASURE_NAME:
			s->dims[s->dim_n++] = (struct scan_dim){.col = i, .col_id = SERIES_MEASURE};
			break;
		}
	}
	return op_moment_join(o->x, p->table, &s->moment, e);
}

/* ---- dimensions of a batch -------------------------------------------------------------------------- */

static int dim_room(struct scan_op *s, struct scan_dim *d, uint32_t code, struct err *e)
{
	struct budget *b = s->base.x->ctx.budget;

	if (code < d->code_n)
		return 0;
	uint32_t n = MAX(series_dict_count(s->series, d->col_id), code + 1);
	if (grow_to(&d->local, b, n * sizeof(uint32_t)) < 0 ||
	    grow_to(&d->stamp, b, n * sizeof(uint32_t)) < 0)
		return exec_nomem(&s->base.x->ctx, e);
	d->code_n = n;
	return 0;
}

/* Value number k of a dictionary being filled: the text of `code`, or NULL. */
static void dict_put(const struct scan_op *s, const struct scan_dim *d, struct vec *dict, uint32_t k,
		     uint32_t code)
{
	bool absent = code == DIM_ABSENT;

	dict->valid[k] = !absent;
	dict->str[k] = absent ? (struct str){"", 0} : series_dict_value(s->series, d->col_id, code);
}

static int dict_alloc(struct op *o, const struct type *t, uint32_t n, struct vec *ret, struct err *e)
{
	int rc = vec_alloc(ret, t, n, &o->batch, e);
	return rc < 0 ? rc : vec_alloc_valid(ret, n, &o->batch, e);
}

/* The dimension's vector for rows that lie in runs. */
static int dim_vec(struct scan_op *s, struct scan_dim *d, const struct scan_run *runs, uint32_t run_n,
		   uint32_t n, struct vec *ret, struct err *e)
{
	struct op *o = &s->base;
	const struct type *t = o->plan->cols[d->col].type;
	uint32_t absent = UINT32_MAX, values = 0;

	struct vec *dict = arena_new(&o->batch, struct vec);
	if (!dict)
		return exec_nomem(&o->x->ctx, e);
	int rc = dict_alloc(o, t, run_n, dict, e);
	if (rc < 0)
		return rc;
	if (run_n == 1) {
		dict_put(s, d, dict, 0, scan_dim_code(s, runs[0].series_id, d->col_id));
		dict->form = VEC_CONST;
		*ret = *dict;
		return 0;
	}
	uint32_t *codes = arena_array(&o->batch, uint32_t, n);
	if (!codes)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t r = 0; r < run_n; r++) {
		uint32_t code = scan_dim_code(s, runs[r].series_id, d->col_id), k;
		if (code == DIM_ABSENT) {
			if (absent == UINT32_MAX) {
				absent = values;
				dict_put(s, d, dict, values++, code);
			}
			k = absent;
		} else {
			rc = dim_room(s, d, code, e);
			if (rc < 0)
				return rc;
			uint32_t *local = d->local.data, *stamp = d->stamp.data;
			if (stamp[code] != s->stamp) {
				stamp[code] = s->stamp;
				local[code] = values;
				dict_put(s, d, dict, values++, code);
			}
			k = local[code];
		}
		for (uint32_t i = 0; i < runs[r].count; i++)
			codes[runs[r].start + i] = k;
	}
	if (values == 1) {
		dict->form = VEC_CONST;
		*ret = *dict;
		return 0;
	}
	*ret = (struct vec){
		.type = t, .form = VEC_DICT, .codes = codes, .dict = dict, .dict_n = values};
	return 0;
}

int scan_dim_vecs(struct scan_op *s, const struct scan_run *runs, uint32_t run_n, uint32_t n, const bool *wanted,
		  struct vec *cols, struct err *e)
{
	if (++s->stamp == 0) { /* came round: no old stamp may look like a new one */
		for (uint32_t i = 0; i < s->dim_n; i++) {
			if (s->dims[i].stamp.data)
				memset(s->dims[i].stamp.data, 0, s->dims[i].stamp.bytes);
		}
		s->stamp = 1;
	}
	for (uint32_t i = 0; i < s->dim_n; i++) {
		if (wanted && !wanted[s->dims[i].col])
			continue;
		int rc = dim_vec(s, &s->dims[i], runs, run_n, n, &cols[s->dims[i].col], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- which series ------------------------------------------------------------------------------------ */

static bool any_series(const uint64_t *bits, uint32_t n)
{
	for (uint32_t i = 0; i < n / 64; i++) {
		if (bits[i])
			return true;
	}
	return n % 64 && bits[n / 64] << (64 - n % 64);
}

/* 1: these series and times are to be read; 0: nothing can come. */
static int choose(struct scan_op *s, struct scan_spec *spec, struct err *e)
{
	const struct plan *p = s->base.plan;
	const struct exec_part *part = s->base.x->part;

	*spec = (struct scan_spec){
		.t_lo = part ? part->t_lo : s->t_lo,
		.t_hi = part ? part->t_hi : s->t_hi,
		.cols = s->field_ids,
		.col_count = s->field_n,
		.keeps_pages = true,
		.late = s->late_fields,
		.first_n = p->first_n,
		.last_n = p->last_n,
		.upto_seq = p->table == s->base.x->moment_of ? s->base.x->upto_seq : 0,
	};
	if (spec->t_lo > spec->t_hi)
		return 0;
	for (uint32_t i = 0; i < p->col_count; i++)
		spec->times_wanted |= p->scan_cols[i].kind == SCAN_TIME;
	if (part) {
		spec->series = part->series;
		spec->series_count = part->series_n;
		spec->pin = part->pin;
	} else if (p->series_where || s->allow) {
		if (!s->is_chosen) {
			s->series_n = series_count(s->series);
			int rc = scan_choose_series(s, s->series_n, e);
			if (rc < 0)
				return rc;
			s->is_chosen = true;
		}
		if (!any_series(s->bits.data, s->series_n))
			return 0;
		spec->series = s->bits.data;
		spec->series_count = s->series_n;
	}
	return 1;
}

int op_scan_parts(struct op *o, uint64_t part_rows, uint32_t parts_max, struct exec_part **ret, uint32_t *ret_n,
		  struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	struct scan_spec spec;
	uint64_t **bits, rows;
	uint32_t series_n;

	*ret_n = 0;
	int rc = choose(s, &spec, e);
	if (rc <= 0)
		return rc;
	rows = scan_rows_guess(o->plan->table, &spec);
	parts_max = (uint32_t)MIN((uint64_t)parts_max, rows / part_rows);
	if (parts_max < 2)
		return 0;
	bits = arena_array(o->x->arena, uint64_t *, parts_max);
	*ret = arena_array(o->x->arena, struct exec_part, parts_max);
	if (!bits || !*ret)
		return exec_nomem(&o->x->ctx, e);
	rc = scan_cut(o->plan->table, &spec, parts_max, o->x->arena, bits, &series_n);
	if (rc < 0)
		return exec_nomem(&o->x->ctx, e);
	uint32_t n = (uint32_t)rc;
	/* Until this scan, which never begins, is closed. */
	rc = s->moment->pin ? 0 : scan_pin_take(o->plan->table, &s->moment->pin, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		(*ret)[i] = (struct exec_part){spec.t_lo, spec.t_hi, bits[i], series_n, s->moment->pin};
	*ret_n = n;
	return 0;
}

int op_scan_whole(struct op *o, struct exec_part *ret, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	struct scan_spec spec;

	int rc = choose(s, &spec, e);
	if (rc > 0 && !s->moment->pin) {
		int pinned = scan_pin_take(o->plan->table, &s->moment->pin, e);
		if (pinned < 0)
			return pinned;
	}
	if (rc > 0)
		*ret = (struct exec_part){spec.t_lo, spec.t_hi, spec.series, spec.series_count, s->moment->pin};
	return rc;
}

int op_scan_stretch(const struct op *scan, const struct exec_part *part, uint64_t rows, bool is_newest,
		    int64_t *ret_lo, int64_t *ret_hi)
{
	struct scan_spec spec = {.t_lo = part->t_lo, .t_hi = part->t_hi, .series = part->series,
				 .series_count = part->series_n, .pin = part->pin};

	return scan_stretch(scan->plan->table, &spec, rows, is_newest, ret_lo, ret_hi);
}

/* 1: the scan is open; 0: nothing can come. */
static int start(struct scan_op *s, struct err *e)
{
	const struct plan *p = s->base.plan;
	struct scan_spec spec;

	int chosen = choose(s, &spec, e);
	if (chosen <= 0)
		return chosen;
	int rc = s->base.x->part ? 0 : moment_pin(s, &spec, e);
	if (rc >= 0)
		rc = scan_open(p->table, &spec, s->base.x->ctx.budget, &s->scan, e);
	return rc < 0 ? rc : 1;
}

/* For EXPLAIN ANALYZE: which series it looks at. */
static void count_series(struct scan_op *s)
{
	struct op_stats *to = s->base.stats;
	uint32_t n = series_count(s->series), wanted = n;

	if (s->base.plan->series_where || s->allow) {
		const uint64_t *bits = s->bits.data;

		n = s->series_n;
		wanted = 0;
		for (uint32_t i = 0; i < n; i++)
			wanted += bits[i / 64] >> (i % 64) & 1;
	}
	to->series += n;
	to->series_wanted += wanted;
}

/* ---- rows ----------------------------------------------------------------------------------------------- */

static void count_progress(struct scan_op *s, uint32_t rows)
{
	struct exec *x = s->base.x->leader ? s->base.x->leader : s->base.x;
	struct scan_stats st;

	scan_stats(s->scan, &st);
	atomic_fetch_add_explicit(&x->rows_read, rows, memory_order_relaxed);
	atomic_fetch_add_explicit(&x->bytes_read, st.bytes_read - s->bytes_seen, memory_order_relaxed);
	s->bytes_seen = st.bytes_read;
}

/* The number of each row's series. */
static int series_vec(struct op *o, const struct scan_batch *b, uint32_t col, struct vec *ret, struct err *e)
{
	bool is_const = b->run_count == 1;
	int rc = vec_alloc(ret, o->plan->cols[col].type, is_const ? 1 : b->n, &o->batch, e);

	for (uint32_t r = 0; r < b->run_count && rc >= 0; r++) {
		const struct scan_run *run = &b->runs[r];
		for (uint32_t i = 0; i < (is_const ? 1 : run->count); i++)
			ret->i64[run->start + i] = run->series_id;
	}
	if (is_const)
		ret->form = VEC_CONST;
	return rc;
}

static void field_vec(const struct scan_op *s, uint32_t field, const struct col *from, struct vec *cols)
{
	uint32_t at = s->field_col[field];

	cols[at] = (struct vec){
		.type = s->base.plan->cols[at].type, .data = from[field].data, .valid = from[field].valid};
}

static int scan_next_op(struct op *o, struct vbatch *ret, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	const struct plan *p = o->plan;
	struct scan_batch b;
	int rc = 1;

	if (!s->is_started) {
		s->is_started = true;
		rc = start(s, e);
		if (o->stats && rc >= 0)
			count_series(s);
		moment_leave(s);
		s->is_done = rc <= 0;
		arena_reset(&o->batch);
	}
	if (s->is_done)
		return MIN(rc, 0);
	do {
		rc = scan_next(s->scan, &b, e);
		if (rc <= 0) {
			s->is_done = true;
			return rc;
		}
	} while (!b.n);
	count_progress(s, b.n);
	struct vec *cols = arena_zarray(&o->batch, struct vec, p->col_count + 1);
	if (!cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < p->col_count; i++) {
		if (p->scan_cols[i].kind == SCAN_TIME)
			cols[i] = (struct vec){.type = p->cols[i].type, .i64 = (int64_t *)b.time_ns};
		rc = p->scan_cols[i].kind == SCAN_SERIES ? series_vec(o, &b, i, &cols[i], e) : 0;
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < s->field_n; i++)
		if (!s->late_fields || !s->late_fields[i])
			field_vec(s, i, b.cols, cols);
	s->runs = b.runs;
	s->run_n = b.run_count;
	rc = scan_dim_vecs(s, b.runs, b.run_count, b.n, s->is_early, cols, e);
	if (rc < 0)
		return rc;
	*ret = (struct vbatch){b.n, p->col_count, cols};
	return 1;
}

/* ---- for a filter ------------------------------------------------------------------------------------------ */

static bool note_column(const struct bx *x, void *is_early)
{
	if (x->kind == BX_COLUMN)
		((bool *)is_early)[x->index] = true;
	return false;
}

int op_scan_defer(struct op *o, const struct bx *where, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	const struct plan *p = o->plan;
	struct arena *a = o->x->arena;

	s->is_early = arena_zarray(a, bool, p->col_count + 1);
	s->is_late = arena_zarray(a, bool, p->col_count + 1);
	s->late_fields = arena_zarray(a, bool, s->field_n + 1);
	if (!s->is_early || !s->is_late || !s->late_fields)
		return exec_nomem(&o->x->ctx, e);
	bx_any(where, note_column, s->is_early);
	for (uint32_t i = 0; i < s->dim_n; i++)
		s->is_late[s->dims[i].col] = !s->is_early[s->dims[i].col];
	for (uint32_t i = 0; i < s->field_n; i++)
		s->late_fields[i] = s->is_late[s->field_col[i]] = !s->is_early[s->field_col[i]];
	return 0;
}

/* The runs of the rows sel[0..n) alone. */
static struct scan_run *runs_of(const struct scan_op *s, const uint32_t *sel, uint32_t n, struct arena *a, uint32_t *ret_n)
{
	struct scan_run *runs = arena_array(a, struct scan_run, MIN(s->run_n, n) + 1);
	uint32_t at = 0;

	*ret_n = 0;
	for (uint32_t i = 0; runs && i < n; i++) {
		uint32_t before = at;
		while (s->runs[at].start + s->runs[at].count <= sel[i])
			at++;
		if (!i || at != before)
			runs[(*ret_n)++] = (struct scan_run){s->runs[at].series_id, i, 0};
		runs[*ret_n - 1].count++;
	}
	return runs;
}

int op_scan_take(struct op *o, const struct vbatch *in, const uint32_t *sel, uint32_t n, struct vbatch *ret, struct err *e)
{
	struct scan_op *s = (struct scan_op *)o;
	struct arena *a = &o->batch;
	const struct col *filled;
	uint32_t run_n;
	int rc = 0;

	struct vec *cols = arena_zarray(a, struct vec, in->col_count + 1);
	struct scan_run *runs = runs_of(s, sel, n, a, &run_n);
	if (!cols || !runs)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < in->col_count && rc >= 0; i++) {
		if (s->is_late[i])
			continue;
		cols[i] = in->cols[i];
		if (n < in->n)
			rc = vec_gather(&in->cols[i], sel, n, a, &cols[i], e);
	}
	if (rc >= 0)
		rc = scan_fill(s->scan, sel, n, &filled, e);
	for (uint32_t i = 0; i < s->field_n && rc >= 0; i++)
		if (s->late_fields[i])
			field_vec(s, i, filled, cols);
	if (rc >= 0)
		rc = scan_dim_vecs(s, runs, run_n, n, s->is_late, cols, e);
	if (rc < 0)
		return rc;
	*ret = (struct vbatch){n, in->col_count, cols};
	return 1;
}

const uint64_t *op_scan_series(const struct op *o, uint32_t *ret_n)
{
	const struct scan_op *s = (const struct scan_op *)o;

	*ret_n = s->series_n;
	return o->plan->series_where ? s->bits.data : NULL;
}

/* For EXPLAIN ANALYZE: what this execution read, added to what others did. */
static void count_stats(struct scan_op *s)
{
	struct op_stats *to = s->base.stats;
	struct scan_stats st;

	if (!to || !s->scan)
		return;
	scan_stats(s->scan, &st);
	to->scan.tiles += st.tiles;
	to->scan.tiles_pruned += st.tiles_pruned;
	to->scan.tiles_pruned_part += st.tiles_pruned_part;
	to->scan.blocks += st.blocks;
	to->scan.blocks_pruned += st.blocks_pruned;
	to->scan.pages_read += st.pages_read;
	to->scan.pages_pruned += st.pages_pruned;
	to->scan.rows += st.rows;
	to->scan.bytes_read += st.bytes_read;
	to->scan.bytes_cached += st.bytes_cached;
}

static void scan_close_op(struct op *o)
{
	struct scan_op *s = (struct scan_op *)o;
	struct budget *b = o->x->ctx.budget;

	count_stats(s);
	for (uint32_t i = 0; i < s->dim_n; i++) {
		grow_release(&s->dims[i].local, b);
		grow_release(&s->dims[i].stamp, b);
	}
	moment_leave(s);
	scan_close(s->scan);
	grow_release(&s->bits, b);
}

const struct op_class op_scan_class = {
	.name = "scan",
	.size = sizeof(struct scan_op),
	.open = scan_open_op,
	.next = scan_next_op,
	.close = scan_close_op,
};
