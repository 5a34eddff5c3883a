/*
 * format: the front of the text formats, and the simplest one, tsv: a header line; backslash escapes
 * \t \n \r \\ and \N for NULL.
 */
#include "query/format.h"

#include <stdlib.h>

#define PIECE_BYTES (64 << 10)

const char *const query_format_names[QUERY_FORMATS] = {
	[QF_CSV] = "csv",     [QF_TSV] = "tsv", [QF_JSON] = "json",
	[QF_JSONL] = "jsonl", [QF_TXT] = "txt", [QF_PARQUET] = "parquet",
};

static const struct format *const formats[QUERY_FORMATS] = {
	[QF_CSV] = &format_csv,     [QF_TSV] = &format_tsv, [QF_JSON] = &format_json,
	[QF_JSONL] = &format_jsonl, [QF_TXT] = &format_txt, [QF_PARQUET] = &format_parquet,
};

int query_text_create(struct query *q, enum query_format f, struct query_text **ret, struct err *e)
{
	const struct query_col *cols;
	uint32_t n = query_columns(q, &cols);
	struct query_text *t = calloc(1, sizeof *t);

	if (!t) {
		query_destroy(q);
		return err_set(e, -ENOMEM, "out of memory");
	}
	t->query = q;
	t->format = formats[f];
	t->col_count = n;
	t->memo.day_ns = INT64_MIN;
	t->rows_at_once = 8;
	buf_init(&t->scratch, (size_t)1 << 30);
	buf_init(&t->keys, (size_t)1 << 26);
	buf_init(&t->held, (size_t)1 << 30);
	buf_init(&t->held_lens, (size_t)1 << 30);
	t->cols = calloc(n + 1, sizeof *t->cols);
	if (!t->cols) {
		query_text_destroy(t);
		return err_set(e, -ENOMEM, "out of memory");
	}
	for (uint32_t i = 0; i < n; i++) {
		t->cols[i].name = cols[i].name;
		t->cols[i].type = cols[i].type;
		t->cols[i].cell = cell_of(cols[i].type);
		t->cols[i].is_text = cell_is_text(cols[i].type);
	}
	*ret = t;
	return 0;
}

void query_text_destroy(struct query_text *t)
{
	if (!t)
		return;
	if (t->format->release)
		t->format->release(t);
	buf_release(&t->scratch);
	buf_release(&t->keys);
	buf_release(&t->held);
	buf_release(&t->held_lens);
	free(t->cols);
	query_destroy(t->query);
	free(t);
}

/* A failure in the middle of the rows must be seen by who only sees the bytes. */
static int fail(struct query_text *t, int rc, size_t from, struct buf *out, struct err *e)
{
	t->is_done = true;
	if (t->format->is_binary) {
		/* What nobody has seen yet gives way to the sentence. */
		out->len = t->has_output ? out->len : MIN(out->len, from);
		return rc;
	}
	if (!t->has_output && out->len == from)
		return rc;
	if (out->rc < 0)
		out->len = MIN(out->len, out->max - MIN(out->max, (size_t)2048));
	out->rc = 0;
	if (out->len > from && out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
	buf_adds(out, "error: ");
	buf_adds(out, err_text(e, rc));
	buf_addc(out, '\n');
	return rc;
}

/*
 * Rows of the batch at hand, as many as a piece takes: a value can be a series of megabytes, and a batch has
 * 2,048 of them. How long the rows before were says how many go at a time.
 */
static int put_rows(struct query_text *t, struct buf *out, struct err *e)
{
	size_t from = out->len + t->held.len;
	uint32_t left = t->batch->n - t->at, n = t->format->is_binary ? left : MIN(left, t->rows_at_once);
	int rc = query_cancelled(t->query, e);

	if (rc < 0)
		return rc;
	t->format->rows(t, t->batch, t->at, t->at + n, out);
	t->rows += n;
	t->at += n;
	if (t->at == t->batch->n)
		t->batch = NULL;
	t->rows_at_once = (uint32_t)MIN((uint64_t)n * 8, PIECE_BYTES / ((out->len + t->held.len - from) / n + 1) + 1);
	return 1;
}

/* 1: something went on; 0: all rows are out. */
static int step(struct query_text *t, struct buf *out, struct err *e)
{
	int rc = 1;

	if (!t->batch) {
		rc = query_next(t->query, &t->batch, e);
		t->at = 0;
		if (rc <= 0)
			t->batch = NULL;
		if (rc < 0)
			return rc;
		if (!t->has_begun) { /* only now: what fails at its first row has no header */
			t->has_begun = true;
			t->format->begin(t, out);
		}
		if (rc > 0 && !t->batch->n)
			t->batch = NULL;
	}
	if (rc == 0) {
		t->format->end(t, out);
		t->is_done = true;
	} else if (t->batch) {
		rc = put_rows(t, out, e);
		if (rc < 0)
			return rc;
	}
	if (out->rc < 0 || t->scratch.rc < 0 || t->keys.rc < 0 || t->held.rc < 0)
		return err_set(e, -ENOMEM, "out of memory for the text of the result");
	if (t->rc < 0) {
		if (e != &t->e)
			*e = t->e;
		return t->rc;
	}
	return rc;
}

int query_text_next(struct query_text *t, struct buf *out, struct err *e)
{
	struct err local = {0};
	size_t from = out->len;

	if (!e)
		e = &local;
	if (t->is_done)
		return 0;
	while (out->len - from < PIECE_BYTES) {
		int rc = step(t, out, e);
		if (rc < 0)
			return fail(t, rc, from, out, e);
		if (rc == 0)
			break;
	}
	t->has_output = t->has_output || out->len > from;
	query_count_out(t->query, out->len - from);
	return out->len > from || !t->is_done;
}

/* ---- tsv ------------------------------------------------------------------------------------------------------- */

/* The text of a value, lent: a varchar's own bytes, or printed into the scratch buffer. */
static struct str cell_text(struct query_text *t, const struct text_col *c, const struct vec *v, uint32_t k)
{
	if (type_layout(c->type) == LAYOUT_STR)
		return v->str[k];
	buf_clear(&t->scratch);
	c->cell(&t->memo, v, k, &t->scratch);
	return buf_str(&t->scratch);
}

static void nothing(struct query_text *t, struct buf *out)
{
}

static void tsv_put(struct str s, struct buf *out)
{
	static const char escape[256] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r', ['\\'] = '\\'};
	size_t done = 0;

	for (size_t i = 0; i < s.len; i++) {
		char x = escape[(uint8_t)s.ptr[i]];
		if (!x)
			continue;
		buf_add(out, s.ptr + done, i - done);
		buf_addc(out, '\\');
		buf_addc(out, x);
		done = i + 1;
	}
	if (s.len > done)
		buf_add(out, s.ptr + done, s.len - done);
}

static void tsv_begin(struct query_text *t, struct buf *out)
{
	for (uint32_t c = 0; c < t->col_count; c++) {
		if (c)
			buf_addc(out, '\t');
		tsv_put(t->cols[c].name, out);
	}
	buf_addc(out, '\n');
}

static void tsv_rows(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out)
{
	for (uint32_t i = from; i < to; i++) {
		for (uint32_t c = 0; c < t->col_count; c++) {
			const struct text_col *col = &t->cols[c];
			const struct vec *v = vec_base(&b->cols[c]);
			uint32_t k = vec_index(&b->cols[c], i);
			if (c)
				buf_addc(out, '\t');
			if (v->valid && !v->valid[k])
				buf_add(out, "\\N", 2);
			else if (col->is_text)
				tsv_put(cell_text(t, col, v, k), out);
			else
				col->cell(&t->memo, v, k, out);
		}
		buf_addc(out, '\n');
	}
}

const struct format format_tsv = {.begin = tsv_begin, .rows = tsv_rows, .end = nothing};
