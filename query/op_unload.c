/*
 * op_unload: UNLOAD, done when its only row is asked for.
 *
 *	read    rows go to the writer of their partition: a batch that has several is taken apart
 *	end     writers end their files; metadata and manifest are written
 *	commit  files get their names (unload_dir.h)
 *
 * What a partition holds in memory is little for CSV (some 400 KiB, most of it deflate's) and a row group
 * for Parquet; when all of them together hold a quarter of the statement's memory, the largest row
 * group is written.
 */
#include "query/op.h"

#include <stdlib.h>
#include <sys/random.h>

#include "query/csv_out.h"
#include "query/gzip.h"
#include "query/parquet_out.h"
#include "query/unload.h"
#include "query/unload_dir.h"

#define WRITE_BYTES ((size_t)64 << 10)
#define GROUP_BYTES ((uint64_t)32 << 20) /* of Parquet */
#define ID_CHARS    52 /* of an id of the query: base32, as the service has them */

struct part {
	struct unload_op *op;
	struct str folder;
	uint64_t hash;
	struct unload_file *file;  /* NULL: none is open */
	struct parquet_out *parquet;
	struct gzip *gzip;
	struct buf text, packed;   /* CSV: rows; what becomes of them */
	size_t counted;            /* of the budget: these two */
	uint32_t rows;             /* of the batch at hand */
	uint32_t first;            /* their place in d->sel */
};

struct unload_op {
	struct op base;
	bool is_done;
	const struct unload_spec *spec;
	const struct plan *query;
	struct unload_dir *dir;
	struct csv_out csv;
	struct page_coder *coder;
	struct query_col *cols;    /* of the files */
	uint32_t col_n;
	struct part *parts[UNLOAD_PARTITIONS_MAX];
	uint32_t part_n;
	struct buf folder;
	uint64_t rows;
	char id[ID_CHARS + 1];
};

static struct budget *budget_of(const struct unload_op *d)
{
	return d->base.x->ctx.budget;
}

/* ---- names --------------------------------------------------------------------------------------- */

static int random_bytes(void *to, size_t n, struct err *e)
{
	if (getrandom(to, n, 0) == (ssize_t)n)
		return 0;
	return err_set(e, -EIO, "the system has no random bytes");
}

static int make_id(struct unload_op *d, struct err *e)
{
	uint8_t r[ID_CHARS];
	int rc = random_bytes(r, sizeof r, e);

	for (int i = 0; i < ID_CHARS && rc >= 0; i++)
		d->id[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[r[i] % 32];
	return rc;
}

/* <id>_<UUID><tail> */
static int make_name(struct unload_op *d, const char *tail, const char **ret, struct err *e)
{
	uint8_t u[16];
	int rc = random_bytes(u, sizeof u, e);

	if (rc < 0)
		return rc;
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	*ret = arena_printf(d->base.x->arena,
			    "%s_%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x%s", d->id, u[0], u[1],
			    u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15], tail);
	return *ret ? 0 : exec_nomem(&d->base.x->ctx, e);
}

/* ---- one file of a partition --------------------------------------------------------------------- */

static int to_file(void *ctx, const void *p, size_t n, struct err *e)
{
	struct part *t = ctx;

	return unload_file_write(t->op->dir, t->file, p, n, e);
}

/* CSV: what has gathered goes on. */
static int drain(struct part *t, bool is_end, struct err *e)
{
	struct buf *out = t->gzip ? &t->packed : &t->text;
	int rc = 0;

	if (t->gzip && (is_end || t->text.len >= WRITE_BYTES)) {
		gzip_add(t->gzip, buf_str(&t->text), &t->packed);
		if (is_end)
			gzip_finish(t->gzip, &t->packed);
		if (!t->text.rc)
			buf_clear(&t->text);
	}
	if (t->text.rc || t->packed.rc)
		return exec_nomem(&t->op->base.x->ctx, e);
	if (out->len && (is_end || out->len >= WRITE_BYTES)) {
		rc = unload_file_write(t->op->dir, t->file, out->data, out->len, e);
		buf_clear(out);
	}
	return rc;
}

static int begin_file(struct part *t, struct err *e)
{
	struct unload_op *d = t->op;
	const struct unload_spec *s = d->spec;
	const char *name;
	int rc = make_name(d, s->is_parquet ? ".parquet" : s->is_compressed ? ".csv.gz" : ".csv", &name, e);

	if (rc >= 0)
		rc = unload_dir_file(d->dir, t->folder, str_from(name), &t->file, e);
	if (rc < 0)
		return rc;
	if (s->is_parquet)
		return parquet_out_create(&(struct parquet_spec){
			.cols = d->cols, .col_count = d->col_n, .group_bytes = GROUP_BYTES, .coder = d->coder,
			.budget = budget_of(d), .sink = {to_file, t}}, &t->parquet, e);
	if (s->is_compressed && !t->gzip)
		rc = gzip_create(budget_of(d), &t->gzip, e);
	if (rc >= 0 && s->has_header)
		csv_out_header(&d->csv, &t->text);
	return rc;
}

static int end_file(struct part *t, struct err *e)
{
	struct unload_file *f = t->file;
	int rc = t->parquet ? parquet_out_finish(t->parquet, e) : drain(t, true, e);

	parquet_out_destroy(t->parquet);
	t->parquet = NULL;
	t->file = NULL;
	return rc < 0 ? rc : unload_file_end(t->op->dir, f, e);
}

static int count(struct part *t, struct err *e)
{
	size_t held = t->text.cap + t->packed.cap;

	if (held > t->counted && !budget_take(budget_of(t->op), held - t->counted))
		return exec_nomem(&t->op->base.x->ctx, e);
	if (held < t->counted)
		budget_give(budget_of(t->op), t->counted - held);
	t->counted = held;
	return 0;
}

static int add_rows(struct part *t, const struct vbatch *b, struct err *e)
{
	struct unload_op *d = t->op;
	uint64_t bytes;
	int rc = t->file ? 0 : begin_file(t, e);

	if (rc < 0)
		return rc;
	if (t->parquet) {
		rc = parquet_out_rows(t->parquet, b, e);
	} else {
		csv_out_rows(&d->csv, b, &t->text);
		rc = drain(t, false, e);
		if (rc >= 0)
			rc = count(t, e);
	}
	if (rc < 0)
		return rc;
	t->file->rows += b->n;
	d->rows += b->n;
	bytes = t->parquet ? parquet_out_bytes(t->parquet) : t->file->bytes + (t->gzip ? &t->packed : &t->text)->len;
	return bytes >= d->spec->file_bytes ? end_file(t, e) : 0;
}

/* ---- partitions ---------------------------------------------------------------------------------- */

static int new_part(struct unload_op *d, struct str folder, struct part **ret, struct err *e)
{
	struct pos at = d->spec->part_n ? d->spec->part_pos[0] : d->base.plan->pos;
	struct part *t;

	if (d->part_n == UNLOAD_PARTITIONS_MAX)
		return err_set(e, -EINVAL, "line %u:%u: the rows have more than %d partitions ('%.*s' is one more)", at.line,
			       at.col, UNLOAD_PARTITIONS_MAX, STR_FMT(folder));
	t = arena_new(d->base.x->arena, struct part);
	if (!t)
		return exec_nomem(&d->base.x->ctx, e);
	t->op = d;
	t->folder = arena_str(d->base.x->arena, folder);
	t->hash = hash_str(folder);
	buf_init(&t->text, (size_t)1 << 30);
	buf_init(&t->packed, (size_t)1 << 30);
	if (!t->folder.ptr)
		return exec_nomem(&d->base.x->ctx, e);
	d->parts[d->part_n++] = t;
	*ret = t;
	return 0;
}

/* The partition of a row. */
static int part_of(struct unload_op *d, const struct vbatch *b, uint32_t row, struct part **ret, struct err *e)
{
	int rc = unload_folder(d->spec, d->query, b, row, &d->folder, e);
	struct str folder = buf_str(&d->folder);
	uint64_t h = hash_str(folder);

	for (uint32_t i = 0; i < d->part_n && rc >= 0; i++) {
		if (d->parts[i]->hash == h && str_eq(d->parts[i]->folder, folder)) {
			*ret = d->parts[i];
			return 0;
		}
	}
	return rc < 0 ? rc : new_part(d, folder, ret, e);
}

/* Have two rows the same partition, as far as that is cheap to say? */
static bool is_like_last(const struct unload_op *d, const struct vbatch *b, uint32_t row)
{
	for (uint32_t c = d->col_n; c < b->col_count; c++) {
		const struct vec *v = &b->cols[c];
		if (vec_index(v, row) != vec_index(v, row - 1) && !vec_same(v, row, v, row - 1))
			return false;
	}
	return true;
}

/* The rows of one of several partitions of a batch. */
static int add_some(struct unload_op *d, struct part *t, const struct vbatch *b, const uint32_t *sel, struct err *e)
{
	struct arena *a = &d->base.batch;
	struct arena_mark mark = arena_mark(a);
	struct vbatch some = {t->rows, d->col_n, arena_array(a, struct vec, d->col_n + 1)};
	int rc = some.cols ? 0 : exec_nomem(&d->base.x->ctx, e);

	for (uint32_t c = 0; c < d->col_n && rc >= 0; c++)
		rc = vec_gather(&b->cols[c], sel + t->first, t->rows, a, &some.cols[c], e);
	if (rc >= 0)
		rc = add_rows(t, &some, e);
	arena_rewind(a, mark);
	return rc;
}

/* Rows in their order, partition by partition. */
static int take_apart(struct unload_op *d, const struct vbatch *b, struct part **of, struct err *e)
{
	uint32_t *sel = arena_array(&d->base.batch, uint32_t, b->n), at = 0;
	int rc = sel ? 0 : exec_nomem(&d->base.x->ctx, e);

	for (uint32_t i = 0; i < d->part_n; i++) {
		d->parts[i]->first = at;
		at += d->parts[i]->rows;
	}
	for (uint32_t i = 0; i < b->n && rc >= 0; i++)
		sel[of[i]->first++] = i;
	for (uint32_t i = 0; i < d->part_n && rc >= 0; i++) {
		struct part *t = d->parts[i];
		t->first -= t->rows;
		if (t->rows)
			rc = add_some(d, t, b, sel, e);
	}
	return rc;
}

static int add_batch(struct unload_op *d, const struct vbatch *b, struct err *e)
{
	struct part **of = arena_array(&d->base.batch, struct part *, b->n), *t = NULL;
	bool is_one = true;
	int rc = of ? 0 : exec_nomem(&d->base.x->ctx, e);

	for (uint32_t i = 0; i < d->part_n; i++)
		d->parts[i]->rows = 0;
	for (uint32_t i = 0; i < b->n && rc >= 0; i++) {
		if (!i || !is_like_last(d, b, i))
			rc = part_of(d, b, i, &t, e);
		if (rc < 0)
			break;
		is_one = is_one && (!i || t == of[0]);
		of[i] = t;
		t->rows++;
	}
	if (rc < 0)
		return rc;
	return is_one ? add_rows(t, b, e) : take_apart(d, b, of, e);
}

/* ---- all of it ----------------------------------------------------------------------------------- */

/* Many partitions share the statement's memory. */
static int make_room(struct unload_op *d, struct err *e)
{
	for (;;) {
		struct part *largest = NULL;
		size_t held = 0;
		for (uint32_t i = 0; i < d->part_n; i++) {
			struct part *t = d->parts[i];
			if (!t->parquet)
				continue;
			held += parquet_out_held(t->parquet);
			if (!largest || parquet_out_held(t->parquet) > parquet_out_held(largest->parquet))
				largest = t;
		}
		if (!largest || held <= budget_of(d)->limit / 4)
			return 0;
		int rc = parquet_out_end_group(largest->parquet, e);
		if (rc < 0)
			return rc;
	}
}

static int read_rows(struct unload_op *d, struct err *e)
{
	struct vbatch b;
	int rc;

	while ((rc = op_next(d->base.children[0], &b, e)) > 0) {
		arena_reset(&d->base.batch);
		rc = add_batch(d, &b, e);
		if (rc >= 0)
			rc = make_room(d, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* A result without rows is a file without rows, which says what the columns would have been. */
static int end_files(struct unload_op *d, struct err *e)
{
	struct part *t;
	int rc = 0;

	if (!d->part_n && !d->spec->part_n) {
		rc = new_part(d, STR_LIT("results"), &t, e);
		if (rc >= 0)
			rc = begin_file(t, e);
	}
	for (uint32_t i = 0; i < d->part_n && rc >= 0; i++) {
		rc = exec_cancelled(d->base.x, e);
		if (rc >= 0 && d->parts[i]->file)
			rc = end_file(d->parts[i], e);
	}
	return rc;
}

static int write_doc(struct unload_op *d, const char *name, const struct buf *text, struct unload_file **ret,
		     struct err *e)
{
	int rc = text->rc ? exec_nomem(&d->base.x->ctx, e)
			  : unload_dir_file(d->dir, STR_LIT(""), str_from(name), ret, e);

	if (rc >= 0)
		rc = unload_file_write(d->dir, *ret, text->data, text->len, e);
	return rc < 0 ? rc : unload_file_end(d->dir, *ret, e);
}

/* The manifest names the result files alone, so it is made before its neighbour. */
static int write_docs(struct unload_op *d, struct unload_file *ret[2], struct err *e)
{
	const char *base, *names[2];
	struct buf metadata, manifest;
	int rc = make_name(d, "", &base, e);

	if (rc < 0)
		return rc;
	names[0] = arena_printf(d->base.x->arena, "%s_metadata.json", base);
	names[1] = arena_printf(d->base.x->arena, "%s_manifest.json", base);
	if (!names[0] || !names[1])
		return exec_nomem(&d->base.x->ctx, e);
	buf_init(&metadata, (size_t)1 << 26);
	buf_init(&manifest, (size_t)1 << 30);
	unload_metadata(d->query, &metadata);
	unload_manifest(d->spec, unload_dir_files(d->dir), d->rows, &manifest);
	rc = write_doc(d, names[0], &metadata, &ret[0], e);
	if (rc >= 0)
		rc = write_doc(d, names[1], &manifest, &ret[1], e);
	buf_release(&metadata);
	buf_release(&manifest);
	return rc;
}

static int unload(struct unload_op *d, struct unload_file *docs[2], struct err *e)
{
	const struct unload_spec *s = d->spec;
	int rc = unload_dir_create(s->io, s->dir, s->target, budget_of(d), &d->dir, e);

	if (rc >= 0)
		rc = read_rows(d, e);
	if (rc >= 0)
		rc = end_files(d, e);
	if (rc >= 0)
		rc = write_docs(d, docs, e);
	if (rc >= 0)
		rc = exec_cancelled(d->base.x, e);
	return rc < 0 ? rc : unload_dir_commit(d->dir, e);
}

static int unload_open(struct op *o, struct err *e)
{
	struct unload_op *d = (struct unload_op *)o;
	const struct unload_spec *s = o->plan->unload;
	int rc = 0;

	d->spec = s;
	d->query = o->plan->children[0];
	d->col_n = d->query->col_count - s->part_n;
	buf_init(&d->folder, 1 << 20);
	d->cols = arena_array(o->x->arena, struct query_col, d->col_n + 1);
	if (!d->cols)
		return exec_nomem(&o->x->ctx, e);
	for (uint32_t i = 0; i < d->col_n; i++)
		d->cols[i] = (struct query_col){d->query->cols[i].name, d->query->cols[i].type};
	if (s->is_parquet)
		rc = page_coder_create(s->is_compressed ? PQ_GZIP : PQ_UNCOMPRESSED, budget_of(d), &d->coder, e);
	else
		rc = csv_out_init(&d->csv, s, d->query->cols, d->col_n, o->x->arena, e);
	return rc < 0 ? rc : make_id(d, e);
}

static int result_row(struct unload_op *d, struct unload_file *const docs[2], struct vbatch *ret, struct err *e)
{
	struct arena *a = &d->base.batch;
	struct vec *cols;
	int rc = 0;

	arena_reset(a);
	cols = arena_zarray(a, struct vec, 3);
	if (!cols)
		return exec_nomem(&d->base.x->ctx, e);
	for (uint32_t i = 0; i < 3 && rc >= 0; i++)
		rc = vec_alloc(&cols[i], d->base.plan->cols[i].type, 1, a, e);
	if (rc < 0)
		return rc;
	cols[0].i64[0] = (int64_t)d->rows;
	for (uint32_t i = 0; i < 2; i++)
		cols[1 + i].str[0] = docs[i]->path;
	*ret = (struct vbatch){1, 3, cols};
	return 1;
}

static int unload_next(struct op *o, struct vbatch *ret, struct err *e)
{
	struct unload_op *d = (struct unload_op *)o;
	struct unload_file *docs[2];
	const struct pos *p = &o->plan->pos;
	int rc;

	if (d->is_done)
		return 0;
	d->is_done = true;
	rc = unload(d, docs, e);
	if (rc < 0 && rc != -ECANCELED && rc != -ENOMEM && !str_starts(str_from(err_text(e, rc)), "line "))
		rc = err_prefix(e, rc, "line %u:%u", p->line, p->col);
	return rc < 0 ? rc : result_row(d, docs, ret, e);
}

static void unload_close(struct op *o)
{
	struct unload_op *d = (struct unload_op *)o;

	for (uint32_t i = 0; i < d->part_n; i++) {
		struct part *t = d->parts[i];
		parquet_out_destroy(t->parquet);
		gzip_destroy(t->gzip);
		buf_release(&t->text);
		buf_release(&t->packed);
		budget_give(budget_of(d), t->counted);
	}
	unload_dir_destroy(d->dir);
	page_coder_destroy(d->coder);
	csv_out_release(&d->csv);
	buf_release(&d->folder);
}

const struct op_class op_unload_class = {
	.name = "unload",
	.size = sizeof(struct unload_op),
	.open = unload_open,
	.next = unload_next,
	.close = unload_close,
};
