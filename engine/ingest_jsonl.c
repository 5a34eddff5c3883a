/*
 * JSON lines' part of ingest: which table a line is for, and what becomes of its records one by one.
 * What a line says is in jsonl.h.
 *
 * A line without records that could be taken is one complaint, about the line. A line of several is refused as a
 * whole only for its structure; each record that is refused for what it holds is a complaint of its
 * own, with its index and its own text, and the others are stored.
 */
#include "engine/ingest_impl.h"

#include <stdlib.h>

#include "engine/jsonl.h"

struct jl {
	struct jsonl parser;
	struct point point;
};

static int open_jl(struct ingest *in)
{
	struct jl *jl = in->state = calloc(1, sizeof *jl);

	if (!jl)
		return -ENOMEM;
	jsonl_init(&jl->parser);
	point_init(&jl->point);
	return 0;
}

static void close_jl(struct ingest *in)
{
	struct jl *jl = in->state;

	if (!jl)
		return;
	jsonl_release(&jl->parser);
	point_release(&jl->point);
	free(jl);
}

/* ---- where to ----------------------------------------------------------------------------------- */

/* What names the table at database level. */
static struct str named_table(const struct jsonl *x)
{
	return x->table.text.len ? x->table.text : x->measure.text;
}

/* The line must not contradict the directory, and at database level it must say more than that. */
static int check_place(struct ingest *in, const struct jsonl *x, size_t *ret_at, struct err *e)
{
	const char *db = db_name(in->feed.db);

	if (x->database.text.len && !str_is(x->database.text, db))
		return jsonl_refuse(ret_at, x->database.at, e,
				    "the line is for database '%.*s', and this file belongs to '%s'",
				    STR_FMT(x->database.text), db);
	if (in->feed.table && x->table.text.len && !str_is(x->table.text, table_name(in->feed.table)))
		return jsonl_refuse(ret_at, x->table.at, e,
				    "the line is for table '%.*s', and this file belongs to '%s'",
				    STR_FMT(x->table.text), table_name(in->feed.table));
	if (in->feed.table || x->table.text.len)
		return 0;
	if (x->shape == JSONL_RECORDS)
		return jsonl_refuse(ret_at, 0, e, "TableName is missing: in a database's own file it names the table");
	if (!x->measure.text.len)
		return jsonl_refuse(ret_at, 0, e,
				    "the row names no table: in a database's own file 'table' or 'measure_name' does");
	return 0;
}

/* ---- lines -------------------------------------------------------------------------------------- */

static int take_flat(struct ingest *in, size_t *ret_at, struct err *e)
{
	struct jl *jl = in->state;
	struct jsonl *x = &jl->parser;
	struct feed_target *t;
	struct feed_row row;
	struct str table = in->feed.table ? str_from(table_name(in->feed.table)) : named_table(x);
	int rc = feed_find(&in->feed, table, &t, e);

	if (rc == 0)
		rc = jsonl_flat_point(x, t ? t->series : NULL, table, t ? t->window.precision_ns : 1, &jl->point,
				      ret_at, e);
	if (rc < 0)
		return rc;
	jl->point.table = table;
	rc = feed_point(&in->feed, &jl->point, &row, ret_at, e);
	if (rc == 0)
		in->good++;
	return rc;
}

/* <0: failure of the write. */
static int take_records(struct ingest *in, struct err *e)
{
	struct jl *jl = in->state;
	struct jsonl *x = &jl->parser;
	struct feed_row row;
	struct err why;

	for (uint32_t i = 0; i < x->record_count; i++) {
		const struct jsonl_record *rec = &x->records[i];
		int64_t index = x->is_request ? (int64_t)i : -1;
		size_t at = 0;
		err_clear(&why);
		int rc = jsonl_record_point(x, i, &jl->point, &at, &why);
		if (rc == 0) {
			jl->point.table = x->table.text;
			in->feed.origin = (struct feed_origin){
				.line = in->line, .text = jsonl_record_text(x, i), .record = index};
			rc = feed_point(&in->feed, &jl->point, &row, &at, &why);
		}
		if (rc == 0)
			in->good++;
		else if (rc != -EINVAL)
			return err_set(e, rc, "%s", err_text(&why, rc));
		else
			ingest_complain(in, &(struct complaint){
						    .text = jsonl_record_text(x, i),
						    .column = at >= rec->from && at < rec->to ? at - rec->from + 1 : 0,
						    .record = index,
						    .reason = why.text,
						    .table = x->table.text});
	}
	return 0;
}

static int take_line(struct ingest *in, struct str text, struct err *e)
{
	struct jl *jl = in->state;
	struct jsonl *x = &jl->parser;
	struct err why;
	size_t at = 0;

	/* Some editors and shells put one in front of what they write. */
	if (str_starts(text, "\xEF\xBB\xBF"))
		text = (struct str){text.ptr + 3, text.len - 3};
	err_clear(&why);
	int rc = jsonl_parse(x, &jl->point, text, &at, &why);
	if (rc == 0 && x->shape != JSONL_BLANK)
		rc = check_place(in, x, &at, &why);
	if (rc == 0 && x->shape == JSONL_RECORDS)
		return take_records(in, e);
	if (rc == 0 && x->shape == JSONL_FLAT)
		rc = take_flat(in, &at, &why);
	if (rc == -EINVAL) {
		ingest_complain(in, &(struct complaint){.text = text,
							 .column = at + 1,
							 .record = -1,
							 .reason = why.text,
							 .table = named_table(x)});
		return 0;
	}
	return rc < 0 ? err_set(e, rc, "%s", err_text(&why, rc)) : 0;
}

static int line(struct ingest *in, struct str text, struct err *e)
{
	struct jl *jl = in->state;
	int rc = take_line(in, text, e);

	/* Values that outlive the line point into it, or were copied into the batch. */
	jsonl_trim(&jl->parser);
	return rc;
}

const struct ingest_parser ingest_jsonl_parser = {
	.line_bytes_min = 8, /* {"f":1} and a newline */
	.open = open_jl,
	.close = close_jl,
	.line = line,
};
