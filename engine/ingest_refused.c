/*
 * What becomes of refused lines and records.
 *
 * A handle remembers which of them a failed write has put into `rejected` (by number of the line and
 * hash), so a program that tries the same bytes for ever leaves one entry for each.
 */
#include "engine/ingest_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/refusal.h"

#define REFUSED_MAX 65536 /* remembered of one failed write; beyond, entries may repeat */

static int by_line(const void *a, const void *b)
{
	const struct refused_line *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->hash > y->hash) - (x->hash < y->hash);
}

static void add(struct refused *r, uint64_t line, uint64_t hash)
{
	if (r->n == REFUSED_MAX)
		return;
	if (r->n == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 16;
		void *p = realloc(r->lines, cap * sizeof *r->lines);
		if (!p)
			return; /* an entry may repeat then; nothing worse */
		r->lines = p;
		r->cap = cap;
	}
	r->lines[r->n++] = (struct refused_line){line, hash};
}

/* r is sorted. */
static bool has(const struct refused *r, uint64_t line, uint64_t hash)
{
	struct refused_line key = {line, hash};

	return r->n && bsearch(&key, r->lines, r->n, sizeof *r->lines, by_line);
}

/* Also what the write before refused behind all that this one came to. */
void ingest_refused_keep(struct ingest *in)
{
	struct refused t = in->now;

	/* Records that lost against stored ones are known late, at the flush: behind later lines. */
	if (t.n)
		qsort(t.lines, t.n, sizeof *t.lines, by_line);
	uint64_t upto = t.n ? t.lines[t.n - 1].line : 0;
	for (uint32_t i = 0; i < in->before.n; i++)
		if (in->before.lines[i].line > upto)
			add(&t, in->before.lines[i].line, in->before.lines[i].hash);
	in->now = in->before;
	in->before = t;
	in->now.n = 0;
}

void ingest_refused_pass(struct ingest *in)
{
	struct refused *r = &in->before;
	uint32_t n = 0;

	while (n < r->n && r->lines[n].line < in->line)
		n++;
	r->n -= n;
	if (r->n && n)
		memmove(r->lines, r->lines + n, r->n * sizeof *r->lines);
}

/*
 * Into the table's `rejected`, or the database's where the line names no table that exists. What goes
 * wrong with that must not keep the good lines out.
 */
static void report(struct ingest *in, const struct complaint *c, uint64_t line)
{
	struct table *t = feed_table(&in->feed, c->table);

	struct refusal r = {
		.when_ns = in->feed.now_ns,
		.file = in->file,
		.line = line,
		.uid = in->uid,
		.column = c->column,
		.record = c->record,
		.existing_version = c->existing_version,
		.reason = c->reason,
		.text = c->text,
		.text_total = c->total,
	};
	buf_clear(&in->json);
	refusal_format(&r, &in->json);
	if (!in->json.rc)
		(void)!rejected_add(t ? table_rejected(t) : db_rejected(in->feed.db), buf_str(&in->json), NULL);
	table_put(t);
}

/* "line 3, record 0, column 14: ..." */
static void keep_first(struct err *e, const struct complaint *c, uint64_t line)
{
	char record[32] = "", column[32] = "";

	if (c->record >= 0)
		snprintf(record, sizeof record, ", record %lld", (long long)c->record);
	if (c->column)
		snprintf(column, sizeof column, ", column %zu", c->column);
	err_set(e, -EINVAL, "line %llu%s%s: %s", (unsigned long long)line, record, column, c->reason);
}

void ingest_complain(struct ingest *in, const struct complaint *c)
{
	uint64_t line = c->line ? c->line : in->line;
	uint64_t hash = hash_bytes(c->text.ptr, c->text.len, (uint64_t)c->record);

	if (in->bad++ == 0)
		keep_first(&in->first, c, line);
	in->has_rejected = true;
	if (!has(&in->before, line, hash))
		report(in, c, line);
	add(&in->now, line, hash);
}
