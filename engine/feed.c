#include "engine/feed.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- targets ---------------------------------------------------------------------------------- */

static void target_destroy(struct feed_target *t)
{
	batch_release(&t->batch);
	free(t->cols);
	idx_release(&t->by_key);
	free(t->dim_guess);
	part_key_put(t->key);
	free(t->field_guess);
	free(t->origins);
	table_put(t->table);
	free(t);
}

/* Takes the reference, also on failure. */
static int target_add(struct feed *f, struct table *table, struct feed_target **ret)
{
	struct feed_target *t = NULL;

	if (f->target_count == f->target_cap) {
		uint32_t cap = f->target_cap ? f->target_cap * 2 : 4;
		void *p = realloc(f->targets, cap * sizeof *f->targets);
		if (!p)
			goto fail;
		f->targets = p;
		f->target_cap = cap;
	}
	t = calloc(1, sizeof *t);
	if (!t || idx_reserve(&f->by_name, 1) < 0)
		goto fail;
	t->table = table;
	t->series = table_series(table);
	t->measure_ok = SERIES_NONE;
	batch_init(&t->batch);
	idx_put(&f->by_name, (uint32_t)hash_str(str_from(table_name(table))), f->target_count);
	f->targets[f->target_count++] = t;
	*ret = t;
	return 0;
fail:
	free(t);
	table_put(table);
	return -ENOMEM;
}

void feed_forget(struct feed *f)
{
	for (uint32_t i = 0; i < f->target_count; i++)
		target_destroy(f->targets[i]);
	f->target_count = 0;
	idx_clear(&f->by_name);
	f->generation++;
}

void feed_init(struct feed *f, struct db *db, struct table *table)
{
	*f = (struct feed){.db = db_get(db), .table = table ? table_get(table) : NULL};
}

void feed_release(struct feed *f)
{
	feed_forget(f);
	free(f->targets);
	idx_release(&f->by_name);
	free(f->specs);
	free(f->spec_ids);
	free(f->spec_of);
	free(f->dims);
	free(f->cols);
	table_put(f->table);
	db_put(f->db);
	*f = (struct feed){0};
}

static void target_refresh(struct feed *f, struct feed_target *t)
{
	uint32_t version = t->window.key_version;

	if (t->write_no == f->write_no)
		return;
	table_window(t->table, &t->window);
	t->write_no = f->write_no;
	if (t->key && version == t->window.key_version)
		return;
	/* A key that is newer still changes the version again: the next write looks once more. */
	f->generation += t->key != NULL;
	part_key_put(t->key);
	t->key = table_part_key(t->table);
}

/* At database level, what names the table. */
static struct str table_of(const struct point *pt)
{
	return pt->table.len ? pt->table : pt->measure;
}

/*
 * A target whose table was dropped is forgotten (with all others: it is rare), and its successor is
 * looked for.
 */
int feed_find(struct feed *f, struct str name, struct feed_target **ret, struct err *e)
{
	uint32_t i, id;
	int rc;

	if (f->table)
		name = str_from(table_name(f->table));
	*ret = NULL;
	if (f->table && f->target_count) {
		*ret = f->targets[0];
	} else {
		IDX_EACH(&f->by_name, (uint32_t)hash_str(name), i, id)
			if (str_eq(str_from(table_name(f->targets[id]->table)), name))
				*ret = f->targets[id];
	}
	if (*ret && !f->table && (*ret)->write_no != f->write_no && table_dropped((*ret)->table)) {
		rc = feed_flush(f, e);
		if (rc < 0)
			return rc;
		feed_forget(f);
		*ret = NULL;
	}
	if (!*ret) {
		struct table *table = f->table ? table_get(f->table) : db_table(f->db, name);
		if (!table)
			return 0;
		if (!f->table && f->may_write && !f->may_write(f->may_ctx, table)) {
			table_put(table);
			return err_set(e, -EINVAL, "you may not write to table '%.*s'", STR_FMT(name));
		}
		if (f->target_count == FEED_TARGETS_MAX) {
			rc = feed_flush(f, e);
			if (rc < 0) {
				table_put(table);
				return rc;
			}
			feed_forget(f);
		}
		rc = target_add(f, table, ret);
		if (rc < 0)
			return err_set(e, rc, "out of memory");
	}
	target_refresh(f, *ret);
	return 0;
}

struct table *feed_table(struct feed *f, struct str name)
{
	if (f->table)
		return table_get(f->table);
	return name.len ? db_table(f->db, name) : NULL;
}

/* ---- one write -------------------------------------------------------------------------------- */

void feed_begin(struct feed *f, uint32_t records, bool again)
{
	f->write_no++;
	f->now_ns = clock_now_ns();
	f->stored = false;
	f->arrival_count = 0;
	f->arrival_next_max = records;
	if (!again)
		f->arrival_base = 0;
}

/* Nanoseconds handed out so far, over all feeds; times of arrival never come twice. */
static _Atomic int64_t arrival_last;

int64_t feed_arrival(struct feed *f)
{
	if (!f->arrival_base || f->arrival_count == f->arrival_max) {
		/* One reservation a write: repeating it gives every record the same time again. */
		int64_t last = atomic_load(&arrival_last), base;
		do
			base = MAX(f->now_ns, last + 1);
		while (!atomic_compare_exchange_weak(&arrival_last, &last,
						     base + (int64_t)f->arrival_next_max));
		f->arrival_base = base;
		f->arrival_max = f->arrival_next_max;
		f->arrival_count = 0;
	}
	return f->arrival_base + f->arrival_count++;
}

/* Rows that the table refused: they are gone from the batch, and in its origins at the old places. */
static void tell_lost(struct feed *f, struct table_batch *tb, const struct feed_target *t)
{
	for (uint32_t i = 0; i < tb->conflict_n && f->lost; i++)
		f->lost(f->lost_ctx, t->table, &t->origins[tb->conflicts[i].row], &tb->conflicts[i]);
	free(tb->conflicts);
}

int feed_flush(struct feed *f, struct err *e)
{
	struct table_batch few[8], *out = few;
	uint32_t n = 0;
	int rc = 0;

	if (f->target_count > ARRAY_LEN(few) &&
	    !(out = malloc(f->target_count * sizeof *out)))
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < f->target_count; i++)
		if (f->targets[i]->batch.n)
			out[n++] = (struct table_batch){.table = f->targets[i]->table,
							  .batch = &f->targets[i]->batch};
	if (n) {
		rc = db_append(f->db, out, n, e);
		for (uint32_t i = 0, k = 0; rc >= 0 && i < f->target_count; i++)
			if (k < n && out[k].batch == &f->targets[i]->batch)
				tell_lost(f, &out[k++], f->targets[i]);
		if (rc >= 0) {
			f->stored = true;
			feed_abort(f);
			rc = 0;
		}
	}
	if (out != few)
		free(out);
	return rc;
}

void feed_abort(struct feed *f)
{
	for (uint32_t i = 0; i < f->target_count; i++)
		batch_clear(&f->targets[i]->batch);
}

int feed_room(struct feed *f, struct feed_target *t, struct err *e)
{
	struct batch *b = &t->batch;
	int rc = (uint64_t)b->n * b->col_count >= FEED_CELLS_MAX ? -ENOBUFS : batch_reserve(b);

	if (rc == -ENOBUFS) {
		rc = feed_flush(f, e);
		if (rc < 0)
			return rc;
		rc = batch_reserve(b);
	}
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}

/* ---- checks ----------------------------------------------------------------------------------- */

static void iso_ms(char to[25], int64_t ns)
{
	char t[TIMESTAMP_TEXT_LEN];

	timestamp_format(t, ns);
	memcpy(to, t, 23);
	to[10] = 'T';
	to[23] = 'Z';
	to[24] = '\0';
}

static int check_time(const struct table_window *w, const struct point *pt, int64_t *ret_ns,
		      size_t *ret_at, struct err *e)
{
	char lo[25], hi[25];

	*ret_at = pt->time_at;
	if (pt->time < 0)
		return err_set(e, -EINVAL, "times before 1970-01-01 cannot be stored");
	if (__builtin_mul_overflow(pt->time, pt->time_unit_ns ? pt->time_unit_ns : w->precision_ns, ret_ns))
		return err_set(e, -EINVAL, "timestamp %lld is too large (%s: 1 is %lld ns)",
			       (long long)pt->time, pt->time_unit_ns ? "TimeUnit" : "settings/precision",
			       (long long)(pt->time_unit_ns ? pt->time_unit_ns : w->precision_ns));
	if (*ret_ns >= w->lo_ns && *ret_ns < w->hi_ns)
		return 0;
	iso_ms(lo, w->lo_ns);
	iso_ms(hi, w->hi_ns);
	return err_set(e, -EINVAL,
		       "The record timestamp is outside the time range [%s, %s) of the %s.", lo, hi,
		       w->lo_is_memory ? "memory store" : "data ingestion window");
}

/* A new table's key asks for nothing. */
static int check_key(const struct part_key *k, const struct point *pt, struct err *e)
{
	for (uint32_t i = 0; i < k->dim_count && k->has_required; i++) {
		bool has = !k->dims[i].is_required;
		for (uint32_t c = 0; c < pt->tag_count && !has; c++)
			has = pt->tags[c].value.len && str_eq(pt->tags[c].key, k->dims[i].name);
		if (!has)
			return err_set(e, -EINVAL,
				       "the record lacks dimension '%.*s', which the partition key requires "
				       "(settings/partition_key)",
				       STR_FMT(k->dims[i].name));
	}
	return 0;
}

static int64_t default_ns(enum setting s)
{
	struct duration d;

	if (duration_parse(str_from(setting_defs[s].dflt), &d, NULL) < 0 || d.is_months)
		return 0;
	return d.ns;
}

/* The window that a table will have when it is made now, with every setting at its default. */
static void default_window(int64_t now_ns, struct table_window *ret)
{
	int64_t age, memory = default_ns(SET_RETENTION_MEMORY);

	if (__builtin_add_overflow(memory, default_ns(SET_RETENTION_MAGNETIC), &age))
		age = INT64_MAX;
	*ret = (struct table_window){
		.lo_ns = age >= now_ns ? 0 : now_ns - age,
		.hi_ns = now_ns + default_ns(SET_FUTURE_LIMIT),
		.precision_ns = 1,
	};
	if (strcmp(setting_defs[SET_LATE_DATA].dflt, "reject") == 0) {
		ret->lo_ns = MAX(0, now_ns - memory);
		ret->lo_is_memory = true;
	}
}

static void add_spec(struct feed *f, struct str name, enum colkind kind, enum coltype type,
		     uint32_t of)
{
	f->spec_of[f->spec_count] = of;
	f->specs[f->spec_count++] = (struct column_spec){name, kind, type};
}

static size_t spec_at(const struct feed *f, const struct point *pt, uint32_t i)
{
	uint32_t of = f->spec_of[i];
	return of < POINT_PARTS_MAX ? pt->tags[of].at : pt->fields[of - POINT_PARTS_MAX].at;
}

static enum colkind field_kind(const struct point *pt)
{
	return pt->measure_type == MEASURE_MULTI ? COLKIND_MEASURE : COLKIND_MEASURE_VALUE;
}

/* Everything about a record whose table does not exist, as if it did; nothing is made. */
static int check_for_new_table(struct feed *f, const struct point *pt, size_t *ret_at,
			       struct err *e)
{
	struct table_window w;
	struct series_set *blank;
	uint32_t bad = 0;
	int64_t ns;
	int rc;

	default_window(f->now_ns, &w);
	if (pt->has_time) {
		rc = check_time(&w, pt, &ns, ret_at, e);
		if (rc < 0)
			return rc;
	}
	*ret_at = 0;
	rc = series_check_measure_name(pt->measure, e);
	if (rc < 0)
		return rc;
	rc = series_set_create(&blank);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	f->spec_count = 0;
	for (uint32_t i = 0; i < pt->tag_count; i++)
		add_spec(f, pt->tags[i].key, COLKIND_DIMENSION, COL_VARCHAR, i);
	for (uint32_t i = 0; i < pt->field_count; i++)
		add_spec(f, pt->fields[i].key, field_kind(pt), pt->fields[i].type, i + POINT_PARTS_MAX);
	rc = series_add_columns(blank, f->specs, f->spec_count, f->spec_ids, &bad, e);
	series_set_destroy(blank);
	if (rc < 0)
		*ret_at = spec_at(f, pt, bad);
	return rc == -ENOMEM || rc == 0 ? rc : -EINVAL;
}

static int create_target(struct feed *f, const struct point *pt, struct feed_target **ret,
			 size_t *ret_at, struct err *e)
{
	struct table *table;
	int rc = check_for_new_table(f, pt, ret_at, e);

	if (rc < 0)
		return rc;
	struct str name = table_of(pt);
	rc = db_table_create(f->db, name, &table, e);
	if (rc == 0)
		table_put(table);
	else if (rc == -EINVAL || rc == -ENAMETOOLONG)
		return -EINVAL; /* no name for a table */
	else if (rc != -EEXIST)
		return rc;
	rc = feed_find(f, name, ret, e);
	if (rc == 0 && !*ret) /* made, and dropped again by somebody else */
		rc = err_set(e, -ESTALE, "table '%.*s' was dropped", STR_FMT(name));
	return rc;
}

/* ---- columns ---------------------------------------------------------------------------------- */

static int64_t find_col(const struct feed_target *t, struct str key)
{
	uint32_t i, id;

	IDX_EACH(&t->by_key, (uint32_t)hash_str(key), i, id)
		if (str_eq(t->cols[id].key, key))
			return id;
	return -1;
}

static int64_t remember_col(struct feed_target *t, uint32_t col_id)
{
	const struct column *c = series_column(t->series, col_id);

	if (t->col_count == t->col_cap) {
		uint32_t cap = t->col_cap ? t->col_cap * 2 : 16;
		void *p = realloc(t->cols, cap * sizeof *t->cols);
		if (!p)
			return -ENOMEM;
		t->cols = p;
		t->col_cap = cap;
	}
	int rc = idx_reserve(&t->by_key, 1);
	if (rc < 0)
		return rc;
	idx_put(&t->by_key, (uint32_t)hash_str(c->name), t->col_count);
	t->cols[t->col_count] = (struct feed_col){c->name, col_id, c->kind, c->type, FEED_NO_SLOT};
	return t->col_count++;
}

static int check_type(const struct feed_col *c, const struct point_field *v, size_t *ret_at,
		      struct err *e)
{
	if (c->type == v->type || (c->type == COL_DOUBLE && v->type == COL_BIGINT))
		return 0;
	*ret_at = v->at;
	return err_set(e, -EINVAL, "column '%.*s' is %s, and a %s was offered", STR_FMT(c->key),
		       coltype_name(c->type), coltype_name(v->type));
}

/* Guesses for n parts; new ones say nothing. */
static int guesses_reserve(uint32_t **guess, uint32_t *cap, uint32_t n, struct err *e)
{
	if (n <= *cap)
		return 0;
	uint32_t *p = realloc(*guess, n * sizeof *p);
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = *cap; i < n; i++)
		p[i] = UINT32_MAX;
	*guess = p;
	*cap = n;
	return 0;
}

/* Each field's column into f->cols, or a spec where there is none yet (or one that cannot be). */
static int resolve_fields(struct feed *f, struct feed_target *t, const struct point *pt,
			  size_t *ret_at, struct err *e)
{
	enum colkind kind = field_kind(pt);
	int rc = guesses_reserve(&t->field_guess, &t->field_cap, pt->field_count, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < pt->field_count; i++) {
		const struct point_field *v = &pt->fields[i];
		uint32_t guess = t->field_guess[i];
		int64_t at = guess < t->col_count && str_eq(t->cols[guess].key, v->key) ? (int64_t)guess
											 : find_col(t, v->key);
		if (at >= 0 && t->cols[at].kind != kind) {
			add_spec(f, v->key, kind, v->type, i + POINT_PARTS_MAX);
			continue;
		}
		if (at < 0) {
			int64_t id = series_find_column(t->series, v->key);
			if (id < 0 || series_column(t->series, (uint32_t)id)->kind != kind) {
				add_spec(f, v->key, kind, v->type, i + POINT_PARTS_MAX);
				continue;
			}
			at = remember_col(t, (uint32_t)id);
			if (at < 0)
				return err_set(e, (int)at, "out of memory");
		}
		rc = check_type(&t->cols[at], v, ret_at, e);
		if (rc < 0)
			return rc;
		f->cols[i] = t->field_guess[i] = (uint32_t)at;
	}
	return 0;
}

static int resolve_tags(struct feed *f, struct feed_target *t, const struct point *pt,
			struct err *e)
{
	int rc = guesses_reserve(&t->dim_guess, &t->dim_cap, pt->tag_count, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < pt->tag_count; i++) {
		struct str key = pt->tags[i].key;
		uint32_t *guess = &t->dim_guess[i];
		if (*guess == UINT32_MAX || !str_eq(series_column(t->series, *guess)->name, key)) {
			int64_t id = series_find_column(t->series, key);
			if (id < 0 ||
			    series_column(t->series, (uint32_t)id)->kind != COLKIND_DIMENSION) {
				add_spec(f, key, COLKIND_DIMENSION, COL_VARCHAR, i);
				continue;
			}
			*guess = (uint32_t)id;
		}
		f->dims[i] = (struct dim_value){*guess, pt->tags[i].value};
	}
	return 0;
}

/*
 * Columns of all tags and fields, made where new: the last step that can refuse the record for what
 * it says. Another feed may make one of the columns meanwhile, with a type that suits or does not;
 * then everything is looked at again.
 */
static int resolve(struct feed *f, struct feed_target *t, const struct point *pt, size_t *ret_at,
		   struct err *e)
{
	uint32_t bad = 0;
	int rc = 0;

	for (int tries = 0; tries < 4; tries++) {
		f->spec_count = 0;
		rc = resolve_fields(f, t, pt, ret_at, e);
		if (rc == 0)
			rc = resolve_tags(f, t, pt, e);
		if (rc < 0 || !f->spec_count)
			return rc;
		/* Columns are for ever, so one that is refused in any case must not make them. */
		if (series_check_measure_type(t->series, pt->measure, pt->measure_type, e) < 0)
			return -EINVAL;
		rc = series_add_columns(t->series, f->specs, f->spec_count, f->spec_ids, &bad, e);
		if (rc == -ENOMEM)
			return rc;
		if (rc < 0 && rc != -EEXIST)
			break;
	}
	/* Only an error gets here: after success the next round finds every column. */
	*ret_at = spec_at(f, pt, bad);
	return rc < 0 ? -EINVAL : err_set(e, -EINVAL, "the columns of this line keep changing");
}

static int check_measure(struct feed_target *t, struct str measure, struct err *e)
{
	if (t->measure_ok != SERIES_NONE &&
	    str_eq(series_measure(t->series, t->measure_ok), measure))
		return 0;
	return series_check_measure_name(measure, e);
}

/* ---- rows ------------------------------------------------------------------------------------- */

/* A text whose escapes were undone lies in the point's scratch, which does not outlive the point. */
static int put_value(struct batch *b, uint32_t slot, const struct point_field *v)
{
	struct batch_col *bc = &b->cols[slot];
	uint32_t row = b->n;

	switch (bc->col.type) {
	case COL_DOUBLE:
		bc->col.f64[row] = v->type == COL_BIGINT ? (double)v->i64 : v->f64;
		break;
	case COL_BOOLEAN:
		bc->col.b8[row] = v->b8;
		break;
	case COL_VARCHAR:
		bc->col.str[row] = v->in_scratch ? arena_str(&b->strings, v->str) : v->str;
		if (!bc->col.str[row].ptr)
			return -ENOMEM;
		break;
	case COL_BIGINT:
	case COL_TIMESTAMP:
		bc->col.i64[row] = v->i64;
		break;
	}
	bc->col.valid[row] = 1;
	bc->has_values = true;
	return 0;
}

static int put_row(struct feed *f, struct feed_target *t, const struct point *pt, uint32_t series,
		   int64_t time_ns)
{
	struct batch *b = &t->batch;

	for (uint32_t i = 0; i < pt->field_count; i++) {
		struct feed_col *c = &t->cols[f->cols[i]];
		int rc = 0;
		if (c->slot == FEED_NO_SLOT) {
			rc = batch_col(b, c->col_id, c->type);
			if (rc >= 0)
				c->slot = (uint32_t)rc;
		}
		if (rc >= 0)
			rc = put_value(b, c->slot, &pt->fields[i]);
		if (rc < 0) {
			batch_drop_row(b);
			return rc;
		}
	}
	b->series[b->n] = series;
	b->time_ns[b->n] = time_ns;
	if (pt->has_version) {
		b->version[b->n] = pt->version;
		t->origins[b->n] = f->origin;
		t->origins[b->n].version = pt->version;
	}
	b->n++;
	return 0;
}

/* The batch takes records of the point's kind from here on. */
static int room_for(struct feed *f, struct feed_target *t, const struct point *pt, struct err *e)
{
	struct batch *b = &t->batch;
	int rc = 0;

	if (b->n && b->has_version != pt->has_version)
		rc = feed_flush(f, e);
	if (rc == 0)
		rc = feed_room(f, t, e);
	if (rc < 0)
		return rc;
	b->has_version = pt->has_version;
	if (pt->has_version && t->origin_cap < b->cap) {
		void *p = realloc(t->origins, b->cap * sizeof *t->origins);
		if (!p)
			return err_set(e, -ENOMEM, "out of memory");
		t->origins = p;
		t->origin_cap = b->cap;
	}
	return 0;
}

static int scratch_reserve(struct feed *f, uint32_t n)
{
	if (n <= f->scratch_cap)
		return 0;
	n = MAX(n, MAX(64, f->scratch_cap * 2));
	void *p;
#define GROW(a)                                                                                    \
	if (!(p = realloc(f->a, n * sizeof *f->a)))                                                \
		return -ENOMEM;                                                                    \
	f->a = p
	GROW(specs);
	GROW(spec_ids);
	GROW(spec_of);
	GROW(dims);
	GROW(cols);
#undef GROW
	f->scratch_cap = n;
	return 0;
}

int feed_point(struct feed *f, const struct point *pt, struct feed_row *ret, size_t *ret_at,
	       struct err *e)
{
	struct feed_target *t;
	int64_t time_ns = 0;

	*ret_at = 0;
	int rc = scratch_reserve(f, pt->tag_count + pt->field_count);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	rc = feed_find(f, table_of(pt), &t, e);
	if (rc == 0 && !t)
		rc = create_target(f, pt, &t, ret_at, e);
	if (rc < 0)
		return rc;
	if (pt->has_time) {
		rc = check_time(&t->window, pt, &time_ns, ret_at, e);
		if (rc < 0)
			return rc;
	}
	*ret_at = 0;
	rc = check_measure(t, pt->measure, e);
	if (rc == 0)
		rc = check_key(t->key, pt, e);
	if (rc == 0)
		rc = resolve(f, t, pt, ret_at, e);
	if (rc < 0)
		return rc;
	int64_t series = series_intern(t->series, pt->measure, pt->measure_type, f->dims, pt->tag_count, e);
	if (series < 0)
		return series == -E2BIG || series == -EEXIST ? -EINVAL : (int)series;
	t->measure_ok = (uint32_t)series;

	rc = room_for(f, t, pt, e);
	if (rc < 0)
		return rc;
	if (!pt->has_time)
		time_ns = feed_arrival(f);
	rc = put_row(f, t, pt, (uint32_t)series, time_ns);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	*ret = (struct feed_row){t, (uint32_t)series};
	return 0;
}

