/*
 * op_insert: INSERT, done when its only row is asked for.
 *
 *	read   the query's rows are checked, one by one, and laid aside (row_spool.h). The first that the
 *	       table would not take ends the statement, and nothing was made or stored. A query that reads
 *	       the table it writes to has seen the moment before.
 *	store  new columns, then the rows in batches. Nothing is checked, cancelled or limited any more.
 *
 * A batch is stored as a whole. What does not fit into one (BATCH_ROWS_MAX rows, BATCH_BYTES of texts)
 * is cut; a full disk or a crash between two batches leaves the rows before. They are plain rows, so
 * the statement may be repeated: the same rows are stored over themselves.
 */
#include "query/op.h"
#include "query/row_spool.h"

#include <stdio.h>

#define VALUE_BYTES_MAX ((size_t)1 << 20) /* of a text: what a line of line protocol could hold */
#define BATCH_BYTES     ((size_t)16 << 20)
#define BATCH_CELLS     ((uint64_t)2 << 20)

struct insert_op {
	struct op base;
	bool is_done;
	struct table_window window;
	struct row_spool spool;
	const struct type **types; /* of the child's columns */
	bool *used;                /* by target: some row has a value there */
	bool *required;            /* by target: the partition key wants a value in each row */
	struct str measure;        /* of rows without measure_name: the table's name */
	struct str measure_ok;     /* of the batch at hand: the last one found good... */
	enum measure_type type_ok; /* ...with this type of records */
	/* Measure names seen, with their types: those of the table, and what the rows would add to them. */
	struct series_set *names;

	/* storing */
	struct series_set *set;
	struct batch batch;
	uint32_t *col_ids, *slots; /* by target */
	struct dim_value *dims;
	struct str *key, *key_before; /* by target: texts that make the series, of this row and the last */
	bool has_before;
	uint32_t series_before;
	enum measure_type type_before;
	size_t bytes;    /* of texts in the batch */
	uint64_t stored; /* rows */
};

static int located(const struct insert_op *d, int rc, struct err *e)
{
	const struct pos *p = &d->base.plan->pos;

	return rc < 0 ? err_prefix(e, rc, "line %u:%u", p->line, p->col) : rc;
}

/* ---- checking ------------------------------------------------------------------------------------------- */

/* What is wrong with the row stands in e. */
static int refuse(const struct insert_op *d, uint32_t i, int rc, struct err *e)
{
	if (rc == -ENOMEM)
		return rc;
	err_prefix(e, -EINVAL, "row %llu", (unsigned long long)d->spool.n + i + 1);
	return located(d, -EINVAL, e);
}

static int check_time(const struct insert_op *d, int64_t ns, struct err *e)
{
	const struct table_window *w = &d->window;
	char at[TIMESTAMP_TEXT_LEN], lo[TIMESTAMP_TEXT_LEN], hi[TIMESTAMP_TEXT_LEN];

	if (ns >= w->lo_ns && ns < w->hi_ns)
		return 0;
	timestamp_format(at, ns);
	if (ns < 0)
		return err_set(e, -EINVAL, "time %.*s: times before 1970-01-01 cannot be stored", TIMESTAMP_TEXT_LEN, at);
	timestamp_format(lo, w->lo_ns);
	timestamp_format(hi, w->hi_ns);
	return err_set(e, -EINVAL, "time %.*s is outside the time range [%.*s, %.*s) of the %s", TIMESTAMP_TEXT_LEN, at,
		       TIMESTAMP_TEXT_LEN, lo, TIMESTAMP_TEXT_LEN, hi,
		       w->lo_is_memory ? "memory store" : "data ingestion window");
}

static int check_text(const struct plan_target *t, struct str v, struct err *e)
{
	if (t->role == TARGET_DIMENSION && !v.len)
		return err_set(e, -EINVAL, "dimension '%.*s' is an empty text; a row without it has NULL there: "
					   "nullif(x, '')", STR_FMT(t->name));
	if (v.len > VALUE_BYTES_MAX)
		return err_set(e, -EINVAL, "column '%.*s' has a text of %zu bytes; at most %zu are allowed",
			       STR_FMT(t->name), v.len, VALUE_BYTES_MAX);
	return 0;
}

static int check_field(const struct plan_target *t, const struct vec *v, uint32_t at, struct err *e)
{
	switch (t->type) {
	case COL_DOUBLE:
		if (v->f64[at] - v->f64[at] == 0)
			return 0;
		return err_set(e, -EINVAL, "column '%.*s' is %s, which cannot be stored; a row without a value has NULL "
					   "there", STR_FMT(t->name), v->f64[at] != v->f64[at] ? "NaN" : "infinite");
	case COL_TIMESTAMP:
		if (v->i64[at] >= 0)
			return 0;
		return err_set(e, -EINVAL, "column '%.*s' is a time before 1970-01-01, which cannot be stored",
			       STR_FMT(t->name));
	case COL_VARCHAR:
		return check_text(t, v->str[at], e);
	case COL_BIGINT:
	case COL_BOOLEAN:
		break;
	}
	return 0;
}

/* A measure_value::type makes a record of a single measure; multis: values of other columns. */
static int check_kinds(uint32_t singles, uint32_t multis, struct err *e)
{
	if (!singles && !multis)
		return err_set(e, -EINVAL, "all measures are NULL: there is nothing to store (WHERE can leave such rows out)");
	if (singles > 1 || (singles && multis))
		return err_set(e, -EINVAL, "a row has either one measure_value::type or columns of other names, not both");
	return 0;
}

/* Its name, and that it is bound to no other type of records. */
static int check_measure(struct insert_op *d, struct str name, enum measure_type type, struct err *e)
{
	int64_t code, id = 0;

	if (name.ptr == d->measure_ok.ptr && name.len == d->measure_ok.len && type == d->type_ok)
		return 0;
	int rc = series_check_measure_name(name, e);
	if (rc < 0)
		return rc;
	code = series_dict_find(d->set, SERIES_MEASURE, name);
	if (code >= 0)
		id = series_intern(d->names, name, series_measure_type(d->set, (uint32_t)code), NULL, 0, e);
	if (id >= 0)
		id = series_intern(d->names, name, type, NULL, 0, e);
	if (id < 0)
		return (int)id;
	d->measure_ok = name;
	d->type_ok = type;
	return 0;
}

static int check_row(struct insert_op *d, const struct vbatch *b, uint32_t i, struct err *e)
{
	uint32_t singles = 0, multis = 0;
	enum measure_type type = MEASURE_MULTI;
	struct str measure = d->measure;
	size_t bytes = 0;
	int rc = 0;

	for (uint32_t k = 0; k < b->col_count && rc >= 0; k++) {
		const struct plan_target *t = &d->base.plan->targets[k];
		const struct vec *v = vec_base(&b->cols[k]);
		uint32_t at = vec_index(&b->cols[k], i);
		if (v->valid && !v->valid[at]) {
			if (t->role == TARGET_TIME)
				rc = err_set(e, -EINVAL, "time is NULL");
			else if (d->required[k])
				rc = err_set(e, -EINVAL,
					     "dimension '%.*s' is NULL, and the partition key requires it "
					     "(settings/partition_key)",
					     STR_FMT(t->name));
			continue;
		}
		d->used[k] = true;
		switch (t->role) {
		case TARGET_TIME:
			rc = check_time(d, v->i64[at], e);
			break;
		case TARGET_MEASURE_NAME:
			measure = v->str[at];
			break;
		case TARGET_DIMENSION:
			rc = check_text(t, v->str[at], e);
			break;
		case TARGET_FIELD:
			rc = check_field(t, v, at, e);
			multis += t->kind == COLKIND_MEASURE;
			if (t->kind == COLKIND_MEASURE_VALUE) {
				singles++;
				type = (enum measure_type)t->type;
			}
			break;
		}
		bytes += t->type == COL_VARCHAR ? v->str[at].len : 0;
	}
	if (rc >= 0)
		rc = check_kinds(singles, multis, e);
	if (rc >= 0)
		rc = check_measure(d, measure, type, e);
	if (rc >= 0 && bytes > BATCH_BYTES)
		rc = err_set(e, -EINVAL, "its texts have %zu bytes together; at most %zu are allowed", bytes, BATCH_BYTES);
	return rc;
}

static int read_rows(struct insert_op *d, struct err *e)
{
	struct op *child = d->base.children[0];
	struct vbatch b;
	int rc;

	while ((rc = op_next(child, &b, e)) > 0) {
		arena_reset(&d->base.batch);
		d->measure_ok = (struct str){NULL, 0};
		for (uint32_t i = 0; i < b.n; i++) {
			rc = check_row(d, &b, i, e);
			if (rc < 0)
				return refuse(d, i, rc, e);
		}
		rc = row_spool_add(&d->spool, b.cols, b.n, &d->base.batch, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* ---- storing ------------------------------------------------------------------------------------------------ */

/* Columns that the table lacks and some row has. */
static int make_columns(struct insert_op *d, struct err *e)
{
	const struct plan *p = d->base.plan;
	uint32_t n = p->children[0]->col_count, k_n = 0;
	struct arena *a = d->base.x->arena;
	struct column_spec *specs = arena_array(a, struct column_spec, n + 1);
	uint32_t *of = arena_array(a, uint32_t, n + 1), *ids = arena_array(a, uint32_t, n + 1);

	d->col_ids = arena_array(a, uint32_t, n + 1);
	if (!specs || !of || !ids || !d->col_ids)
		return exec_nomem(&d->base.x->ctx, e);
	for (uint32_t k = 0; k < n; k++) {
		const struct plan_target *t = &p->targets[k];
		d->col_ids[k] = t->col_id;
		if (t->role < TARGET_DIMENSION || t->col_id != TARGET_NEW || !d->used[k])
			continue;
		specs[k_n] = (struct column_spec){t->name, t->kind, t->type};
		of[k_n++] = k;
	}
	int rc = series_add_columns(d->set, specs, k_n, ids, NULL, e);
	if (rc < 0) /* somebody else made one of them meanwhile, as something else */
		return located(d, rc == -ENOMEM ? rc : -EINVAL, e);
	for (uint32_t i = 0; i < k_n; i++)
		d->col_ids[of[i]] = ids[i];
	return 0;
}

static int make_slots(struct insert_op *d, struct err *e)
{
	const struct plan *p = d->base.plan;
	uint32_t n = p->children[0]->col_count;
	struct arena *a = d->base.x->arena;

	d->slots = arena_array(a, uint32_t, n + 1);
	d->dims = arena_array(a, struct dim_value, n + 1);
	d->key = arena_zarray(a, struct str, n + 1);
	d->key_before = arena_zarray(a, struct str, n + 1);
	if (!d->slots || !d->dims || !d->key || !d->key_before)
		return exec_nomem(&d->base.x->ctx, e);
	for (uint32_t k = 0; k < n; k++) {
		if (p->targets[k].role != TARGET_FIELD || !d->used[k])
			continue;
		int rc = batch_col(&d->batch, d->col_ids[k], p->targets[k].type);
		if (rc < 0)
			return err_set(e, rc, "out of memory");
		d->slots[k] = (uint32_t)rc;
	}
	return 0;
}

static int flush(struct insert_op *d, struct err *e)
{
	struct table *t = d->base.plan->table;
	struct table_batch out = {.table = t, .batch = &d->batch};

	if (!d->batch.n)
		return 0;
	int rc = db_append(table_db(t), &out, 1, e);
	if (rc < 0)
		return located(d, rc, e);
	d->stored += d->batch.n;
	d->bytes = 0;
	batch_clear(&d->batch);
	return 0;
}

static bool same_text(struct str a, struct str b)
{
	if (a.ptr == b.ptr || !a.ptr || !b.ptr)
		return a.ptr == b.ptr && a.len == b.len;
	return str_eq(a, b);
}

/* The series of row i. A row after another of the same one asks nobody. */
static int64_t series_of(struct insert_op *d, const struct vec *cols, uint32_t i, struct err *e)
{
	const struct plan *p = d->base.plan;
	uint32_t n = p->children[0]->col_count, dim_n = 0;
	enum measure_type type = MEASURE_MULTI;
	struct str measure = d->measure;
	bool same = d->has_before;

	for (uint32_t k = 0; k < n; k++) {
		enum target_role role = p->targets[k].role;
		struct str v = {NULL, 0};
		if (p->targets[k].kind == COLKIND_MEASURE_VALUE && !vec_is_null(&cols[k], i))
			type = (enum measure_type)p->targets[k].type;
		if (role != TARGET_DIMENSION && role != TARGET_MEASURE_NAME)
			continue;
		if (!vec_is_null(&cols[k], i)) {
			v = cols[k].str[i];
			if (role == TARGET_MEASURE_NAME)
				measure = v;
			else
				d->dims[dim_n++] = (struct dim_value){d->col_ids[k], v};
		}
		same = same && same_text(v, d->key_before[k]);
		d->key[k] = v;
	}
	if (same && type == d->type_before)
		return d->series_before;
	int64_t id = series_intern(d->set, measure, type, d->dims, dim_n, e);
	if (id < 0)
		return located(d, (int)id, e);
	struct str *key = d->key;
	d->key = d->key_before;
	d->key_before = key;
	d->has_before = true;
	d->series_before = (uint32_t)id;
	d->type_before = type;
	return id;
}

static int put_field(struct insert_op *d, uint32_t k, const struct vec *v, uint32_t i, struct err *e)
{
	struct batch *b = &d->batch;
	struct batch_col *bc = &b->cols[d->slots[k]];

	switch (bc->col.type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		bc->col.i64[b->n] = v->i64[i];
		break;
	case COL_DOUBLE:
		bc->col.f64[b->n] = v->f64[i];
		break;
	case COL_BOOLEAN:
		bc->col.b8[b->n] = v->b8[i];
		break;
	case COL_VARCHAR: {
		/* Of the batch's own: the row's chunk may be gone before the batch is full. */
		struct str copy = arena_str(&b->strings, v->str[i]);
		if (!copy.ptr)
			return err_set(e, -ENOMEM, "out of memory");
		bc->col.str[b->n] = copy;
		d->bytes += copy.len;
		break;
	}
	}
	bc->col.valid[b->n] = 1;
	bc->has_values = true;
	return 0;
}

static int put_row(struct insert_op *d, const struct vec *cols, uint32_t i, struct err *e)
{
	const struct plan *p = d->base.plan;
	struct batch *b = &d->batch;
	int64_t series = series_of(d, cols, i, e);

	if (series < 0)
		return (int)series;
	for (uint32_t k = 0; k < p->children[0]->col_count; k++) {
		enum target_role role = p->targets[k].role;
		if (role == TARGET_TIME)
			b->time_ns[b->n] = cols[k].i64[i];
		if (role != TARGET_FIELD || vec_is_null(&cols[k], i))
			continue;
		int rc = put_field(d, k, &cols[k], i, e);
		if (rc < 0) {
			batch_drop_row(b);
			return rc;
		}
	}
	b->series[b->n++] = (uint32_t)series;
	return 0;
}

static int store_rows(struct insert_op *d, struct err *e)
{
	uint32_t n = d->base.plan->children[0]->col_count;
	struct arena *a = &d->base.batch;
	int64_t rows = 0;
	int rc = make_columns(d, e);

	if (rc >= 0)
		rc = make_slots(d, e);
	while (rc >= 0) {
		arena_reset(a);
		d->has_before = false; /* its texts are gone with the rows */
		struct vec *cols = arena_zarray(a, struct vec, n + 1);
		if (!cols)
			return exec_nomem(&d->base.x->ctx, e);
		rows = row_spool_next(&d->spool, a, cols, e);
		if (rows <= 0)
			break;
		for (uint32_t i = 0; i < rows && rc >= 0; i++) {
			if (d->bytes >= BATCH_BYTES || (uint64_t)d->batch.n * d->batch.col_count >= BATCH_CELLS ||
			    d->batch.n == BATCH_ROWS_MAX)
				rc = flush(d, e);
			if (rc >= 0)
				rc = batch_reserve(&d->batch);
			if (rc == -ENOMEM)
				rc = err_set(e, rc, "out of memory");
			if (rc >= 0)
				rc = put_row(d, cols, i, e);
		}
	}
	rc = rc < 0 ? rc : (int)MIN(rows, 0);
	return rc < 0 ? rc : flush(d, e);
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

static int insert_open(struct op *o, struct err *e)
{
	struct insert_op *d = (struct insert_op *)o;
	const struct plan *child = o->plan->children[0];

	batch_init(&d->batch);
	d->types = arena_array(o->x->arena, const struct type *, child->col_count + 1);
	d->used = arena_zarray(o->x->arena, bool, child->col_count + 1);
	d->required = arena_zarray(o->x->arena, bool, child->col_count + 1);
	if (!d->types || !d->used || !d->required)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < child->col_count; i++)
		d->types[i] = child->cols[i].type;
	d->set = table_series(o->plan->table);
	d->measure = str_from(o->plan->table_name);
	if (series_set_create(&d->names) < 0)
		return exec_nomem(&o->x->ctx, e);
	return row_spool_init(&d->spool, &o->x->ctx, d->types, child->col_count, e);
}

/* What the database would say at the end anyway, before the work. */
static int check_writable(struct insert_op *d, struct err *e)
{
	struct db_status *s = arena_new(d->base.x->arena, struct db_status);

	if (!s)
		return exec_nomem(&d->base.x->ctx, e);
	db_status(table_db(d->base.plan->table), s);
	if (s->read_only)
		return located(d, err_set(e, -EROFS, "the database refuses writes: %s", s->reason), e);
	return 0;
}

/* Dimensions that every row must have; a statement that does not name them cannot store a single one. */
static int check_required(struct insert_op *d, struct err *e)
{
	const struct plan *p = d->base.plan;
	struct part_key *key = table_part_key(p->table);
	int rc = 0;

	for (uint32_t i = 0; i < key->dim_count && rc >= 0; i++) {
		const struct part_key_dim *dim = &key->dims[i];
		bool is_named = !dim->is_required;
		for (uint32_t k = 0; k < p->children[0]->col_count && !is_named; k++)
			if (p->targets[k].role == TARGET_DIMENSION && str_eq(p->targets[k].name, dim->name))
				is_named = d->required[k] = true;
		if (!is_named)
			rc = err_set(e, -EINVAL,
				     "the statement names no column '%.*s', a dimension that the partition key requires "
				     "(settings/partition_key)",
				     STR_FMT(dim->name));
	}
	part_key_put(key);
	return located(d, rc, e);
}

static int insert_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct insert_op *d = (struct insert_op *)o;

	if (d->is_done)
		return 0;
	d->is_done = true;
	table_window(o->plan->table, &d->window);
	int rc = check_writable(d, e);
	if (rc >= 0)
		rc = check_required(d, e);
	if (rc >= 0)
		rc = read_rows(d, e);
	if (rc < 0)
		return rc;
	/* What the query held is free for what follows, which must not fail for want of memory. */
	while (o->child_count)
		op_close(o->children[--o->child_count]);
	if (d->spool.n)
		rc = store_rows(d, e);
	if (rc < 0 && d->stored)
		return err_prefix(e, rc, "%llu of %llu rows were stored (to repeat the statement is harmless)",
				  (unsigned long long)d->stored, (unsigned long long)d->spool.n);
	return rc < 0 ? rc : op_count_row(o, (int64_t)d->spool.n, ret, e);
}

static void insert_close(struct op *o)
{
	struct insert_op *d = (struct insert_op *)o;

	batch_release(&d->batch);
	series_set_destroy(d->names);
	row_spool_release(&d->spool);
}

const struct op_class op_insert_class = {
	.name = "insert",
	.size = sizeof(struct insert_op),
	.open = insert_open,
	.next = insert_next,
	.close = insert_close,
};
