/*
 * Rows as JSON lines: flat ones, which patch, and records with versions, alone and as requests.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/ingest.h"

static void add_text(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
	buf_addc(out, '"');
}

/* As JSON's own number, boolean or text. */
static void add_bare(struct buf *out, const struct m_col *mc, int64_t v)
{
	char text[32];

	switch (mc->type) {
	case COL_DOUBLE:
		buf_addf(out, "%.17g", (double)v / 8);
		break;
	case COL_BOOLEAN:
		buf_adds(out, v ? "true" : "false");
		break;
	case COL_VARCHAR:
		add_text(out, text_of(v, text));
		break;
	default:
		buf_addf(out, "%lld", (long long)v);
	}
}

static void add_flat(struct buf *out, const struct twin *tw, const struct m_write *wr)
{
	const struct m_series *s = &tw->series[wr->series];

	buf_addf(out, "{\"time\":%lld,\"measure_name\":\"%s\"", (long long)wr->time, measure_names[s->measure]);
	for (uint32_t d = 0; d < DIMS; d++) {
		if (!s->dim[d])
			continue;
		buf_addf(out, ",\"%s\":", dim_names[d]);
		add_text(out, str_from(dim_value(d, s->dim[d])));
	}
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		if (!(wr->valid >> c & 1))
			continue;
		buf_addf(out, ", \"%s\": ", tw->cols[c].name);
		add_bare(out, &tw->cols[c], wr->value[c]);
	}
	buf_addc(out, '}');
}

static void add_attribute(struct buf *out, const struct m_col *mc, int64_t v)
{
	static const char *const types[] = {[COL_BIGINT] = "BIGINT", [COL_DOUBLE] = "DOUBLE", [COL_BOOLEAN] = "BOOLEAN",
					    [COL_VARCHAR] = "VARCHAR", [COL_TIMESTAMP] = "TIMESTAMP"};
	struct buf text;

	buf_init(&text, 1 << 20);
	add_bare(&text, mc, v);
	buf_addf(out, "{\"Name\":\"%s\",\"Type\":\"%s\",\"Value\":", mc->name, types[mc->type]);
	/* Values stand in quotes; bare ones are taken as well. */
	if (mc->type == COL_VARCHAR || chance(4))
		buf_add(out, text.data, text.len);
	else
		add_text(out, buf_str(&text));
	buf_addc(out, '}');
	buf_release(&text);
}

static void add_record(struct buf *out, const struct twin *tw, const struct m_write *wr)
{
	const struct m_series *s = &tw->series[wr->series];
	const char *comma = "";

	buf_addf(out, "{\"MeasureName\":\"%s\",\"MeasureValueType\":\"MULTI\",\"Time\":\"%lld\",\"TimeUnit\":\"NANOSECONDS\"",
		 measure_names[s->measure], (long long)wr->time);
	if (wr->version != 1 || chance(2))
		buf_addf(out, ",\"Version\":%lld", (long long)wr->version);
	buf_adds(out, ",\"Dimensions\":[");
	for (uint32_t d = DIMS; d-- > 0;) {
		if (!s->dim[d])
			continue;
		buf_addf(out, "%s{\"Name\":\"%s\",\"Value\":", comma, dim_names[d]);
		add_text(out, str_from(dim_value(d, s->dim[d])));
		buf_addc(out, '}');
		comma = ",";
	}
	buf_adds(out, "],\"MeasureValues\":[");
	comma = "";
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		if (!(wr->valid >> c & 1))
			continue;
		buf_adds(out, comma);
		add_attribute(out, &tw->cols[c], wr->value[c]);
		comma = ",";
	}
	buf_adds(out, "]}");
}

/* Rows [i, n) up to some number of them, as one line; returns the row behind it. */
static uint32_t add_line(struct buf *out, const struct twin *tw, const struct m_write *v, const bool *is_flat, uint32_t i,
			 uint32_t n)
{
	uint32_t end = i + 1;

	if (is_flat[i]) {
		add_flat(out, tw, &v[i]);
	} else if (chance(2)) {
		add_record(out, tw, &v[i]);
	} else {
		while (end < n && !is_flat[end] && !chance(10))
			end++;
		buf_adds(out, "{\"Records\":[");
		for (uint32_t k = i; k < end; k++) {
			if (k > i)
				buf_addc(out, ',');
			add_record(out, tw, &v[k]);
		}
		buf_adds(out, "]}");
	}
	buf_addc(out, '\n');
	return end;
}

/* What the rules say of each; returns how many are refused. */
static uint32_t apply(struct twin *tw, const struct m_write *v, const bool *is_flat, uint32_t n)
{
	int64_t lo = twin_lo(tw, w.now), hi = twin_hi(tw, w.now), existing;
	uint32_t bad = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (v[i].time < lo || v[i].time >= hi) {
			bad++;
		} else if (is_flat[i]) {
			twin_patch(tw, &v[i], w.op);
		} else {
			enum m_outcome o = twin_replace(tw, &v[i], w.op, &existing);
			bad += o == REFUSED_LOWER || o == REFUSED_SAME;
		}
	}
	return bad;
}

#define LINES_MOST 200

void op_ingest_json(void)
{
	static struct m_write v[LINES_MOST];
	static bool is_flat[LINES_MOST];
	struct m_table *mt = some_table();
	struct twin *tw = &mt->twin;
	struct ingest_source src = {.file = "d/t/ingest.jsonl", .format = INGEST_JSONL};
	struct table_stats before, after;
	struct ingest *in;
	struct buf text;
	struct err e = {0};
	uint32_t n = make_writes(mt, v, LINES_MOST, true), bad;

	if (!n)
		return;
	buf_init(&text, (size_t)64 << 20);
	for (uint32_t i = 0; i < n; i++) {
		is_flat[i] = chance(3);
		for (uint32_t c = 0; c < COLS_MAX && !is_flat[i]; c++) /* records have no empty texts */
			if (tw->cols[c].type == COL_VARCHAR && v[i].value[c] == 0)
				v[i].value[c] = 1;
		if (chance(20))
			v[i].time = chance(2) ? MAX(twin_lo(tw, w.now) - 1, 0) : twin_hi(tw, w.now) + (int64_t)rnd(10);
	}
	for (uint32_t i = 0; i < n;)
		i = add_line(&text, tw, v, is_flat, i, n);
	bad = apply(tw, v, is_flat, n);
	trace("%s: %u rows, %u refused", mt->name, n, bad);
	w.rows_in += n;
	table_stats(mt->t, &before);
	must(ingest_open(w.db, mt->t, &src, &in, &e), &e, "ingest_open");
	int64_t rc = ingest_write(in, text.data, text.len, &e);
	if (rc < 0 ? rc != -EINVAL || bad < n : rc != (int64_t)text.len)
		fail("%s: of %u rows %u are to be refused, and ingest_write() gives %lld: %s", mt->name, n, bad, (long long)rc,
		     err_text(&e, (int)MIN(rc, 0)));
	if (ingest_take_rejected(in) != (bad > 0))
		fail("%s: of %u rows %u are to be refused, and the handle says otherwise", mt->name, n, bad);
	ingest_close(in);
	table_stats(mt->t, &after);
	if (after.lines_rejected - before.lines_rejected != bad)
		fail("%s: %llu of %u rows were refused, should be %u", mt->name,
		     (unsigned long long)(after.lines_rejected - before.lines_rejected), n, bad);
	buf_release(&text);
}
