/*
 * explain: plans as text, a node a line, children indented below.
 *
 *	SORT time DESC limit 10
 *	  PROJECT host, avg AS _col1
 *	    AGG host: avg(temp)
 *	      SCAN iot.weather (host, temp) time >= 2024-01-01 00:00:00.000000000 series (host = 'a')
 */
#include "query/bind.h"
#include "query/op.h"

#include <ctype.h>

static void format_name(struct str s, struct buf *out)
{
	bool plain = s.len > 0 && !isdigit((unsigned char)s.ptr[0]);

	for (size_t i = 0; i < s.len && plain; i++)
		plain = isalnum((unsigned char)s.ptr[i]) || s.ptr[i] == '_' || s.ptr[i] == ':';
	if (!plain)
		buf_addc(out, '"');
	buf_add_str(out, s);
	if (!plain)
		buf_addc(out, '"');
}

#define LIST_TEXT_MAX 100 /* of a constant array: its beginning tells what it is */

static void format_const(const struct bx *x, struct buf *out)
{
	size_t from = out->len;
	bool quoted;

	if (bx_is_null(x)) {
		buf_adds(out, "NULL");
		return;
	}
	quoted = x->type->kind == TY_VARCHAR;
	switch (x->type->kind) {
	case TY_TIMESTAMP: case TY_DATE: case TY_TIME: case TY_INTERVAL_DS: case TY_INTERVAL_YM:
		type_format(x->type, out);
		buf_addc(out, ' ');
		quoted = true;
		break;
	default:
		break;
	}
	if (quoted)
		buf_addc(out, '\'');
	vec_format(&x->value, 0, out);
	if (type_layout(x->type) >= LAYOUT_LIST && out->len - from > LIST_TEXT_MAX) {
		out->len = from + LIST_TEXT_MAX;
		while (((unsigned char)out->data[out->len] & 0xc0) == 0x80) /* not within a character */
			out->len--;
		buf_adds(out, "...");
	}
	if (quoted)
		buf_addc(out, '\'');
}

static void format_args(const struct bx *x, uint32_t from, const char *between, const struct plan_col *cols,
			struct buf *out)
{
	for (uint32_t i = from; i < x->argc; i++) {
		if (i > from)
			buf_adds(out, between);
		bx_format(x->args[i], cols, out);
	}
}

static void format_case(const struct bx *x, const struct plan_col *cols, struct buf *out)
{
	uint32_t i = 0;

	buf_adds(out, "CASE");
	for (; i + 1 < x->argc; i += 2) {
		buf_adds(out, " WHEN ");
		bx_format(x->args[i], cols, out);
		buf_adds(out, " THEN ");
		bx_format(x->args[i + 1], cols, out);
	}
	if (i < x->argc) {
		buf_adds(out, " ELSE ");
		bx_format(x->args[i], cols, out);
	}
	buf_adds(out, " END");
}

static void format_call(const struct bx *x, const struct plan_col *cols, struct buf *out)
{
	const char *name = x->func->name;
	bool hidden = x->func->flags & FN_HIDDEN;

	if (hidden && !strcmp(name, "is null")) {
		buf_addc(out, '(');
		bx_format(x->args[0], cols, out);
		buf_adds(out, " IS NULL)");
	} else if (hidden && !strcmp(name, "[]") && x->argc == 2) {
		bx_format(x->args[0], cols, out);
		buf_addc(out, '[');
		bx_format(x->args[1], cols, out);
		buf_addc(out, ']');
	} else if (hidden && x->argc == 2) {
		buf_addc(out, '(');
		bx_format(x->args[0], cols, out);
		buf_addc(out, ' ');
		for (const char *c = name; *c; c++)
			buf_addc(out, (char)toupper((unsigned char)*c));
		buf_addc(out, ' ');
		bx_format(x->args[1], cols, out);
		buf_addc(out, ')');
	} else if (hidden && x->argc == 1) {
		buf_adds(out, !strcmp(name, "neg") ? "(-" : "(NOT ");
		bx_format(x->args[0], cols, out);
		buf_addc(out, ')');
	} else {
		buf_addf(out, "%s(", name);
		format_args(x, 0, ", ", cols, out);
		buf_addc(out, ')');
	}
}

void bx_format(const struct bx *x, const struct plan_col *cols, struct buf *out)
{
	switch (x->kind) {
	case BX_CONST:
		format_const(x, out);
		break;
	case BX_COLUMN:
		format_name(cols[x->index].name, out);
		break;
	case BX_PARAM:
		buf_addf(out, "$%u.%u", x->depth, x->index);
		break;
	case BX_CALL:
		format_call(x, cols, out);
		break;
	case BX_CAST:
		buf_adds(out, x->is_try ? "TRY_CAST(" : "CAST(");
		bx_format(x->args[0], cols, out);
		buf_adds(out, " AS ");
		type_format(x->type, out);
		buf_addc(out, ')');
		break;
	case BX_AND:
	case BX_OR:
		buf_addc(out, '(');
		format_args(x, 0, x->kind == BX_AND ? " AND " : " OR ", cols, out);
		buf_addc(out, ')');
		break;
	case BX_CASE:
		format_case(x, cols, out);
		break;
	case BX_IN:
		buf_addc(out, '(');
		bx_format(x->args[0], cols, out);
		buf_adds(out, " IN (");
		format_args(x, 1, ", ", cols, out);
		buf_adds(out, "))");
		break;
	case BX_COALESCE:
	case BX_TRY:
	case BX_ROW:
		buf_adds(out, x->kind == BX_COALESCE ? "coalesce(" : x->kind == BX_TRY ? "try(" : "ROW(");
		format_args(x, 0, ", ", cols, out);
		buf_addc(out, ')');
		break;
	case BX_ARRAY:
		buf_adds(out, "ARRAY[");
		format_args(x, 0, ", ", cols, out);
		buf_addc(out, ']');
		break;
	case BX_FIELD:
		bx_format(x->args[0], cols, out);
		buf_addf(out, ".%u", x->index + 1);
		break;
	case BX_OUTER:
		buf_addf(out, "outer%u", x->index);
		break;
	case BX_SUBQUERY:
		buf_adds(out, "(subquery)");
		break;
	case BX_LAMBDA:
		buf_addf(out, "(%u) -> ", x->param_count);
		bx_format(x->args[0], cols, out);
		break;
	}
}

/* ---- nodes ------------------------------------------------------------------------------------ */

static void format_time(const char *op, int64_t ns, struct buf *out)
{
	char *to;

	buf_addf(out, " time %s ", op);
	to = buf_reserve(out, TIMESTAMP_TEXT_LEN);
	if (to)
		out->len += timestamp_format(to, ns);
}

static void format_scan(const struct plan *p, struct buf *out)
{
	buf_addf(out, "SCAN %s.%s (", p->db_name, p->table_name);
	for (uint32_t i = 0; i < p->col_count; i++) {
		if (i)
			buf_adds(out, ", ");
		format_name(p->cols[i].name, out);
	}
	buf_addc(out, ')');
	if (p->t_lo > p->t_hi) {
		buf_adds(out, " no rows");
	} else {
		if (p->t_lo != INT64_MIN)
			format_time(">=", p->t_lo, out);
		if (p->t_hi != INT64_MAX)
			format_time("<=", p->t_hi, out);
	}
	if (p->series_where) {
		buf_adds(out, " series ");
		bx_format(p->series_where, p->cols, out);
	}
}

static void format_project(const struct plan *p, struct buf *out)
{
	const struct plan_col *below = p->children[0]->cols;

	buf_adds(out, "PROJECT ");
	for (uint32_t i = 0; i < p->col_count; i++) {
		if (i)
			buf_adds(out, ", ");
		bx_format(p->exprs[i], below, out);
		if (p->exprs[i]->kind == BX_COLUMN && str_eq(below[p->exprs[i]->index].name, p->cols[i].name))
			continue;
		buf_adds(out, " AS ");
		format_name(p->cols[i].name, out);
	}
}

/* (a, b), (a), () */
static void format_sets(const struct plan *p, struct buf *out)
{
	uint32_t n = p->group_count - 1;

	for (uint32_t s = 0; s < p->set_count; s++) {
		bool first = true;

		buf_adds(out, s ? ", (" : "(");
		for (uint32_t i = 0; i < n; i++) {
			if (!p->sets[s * n + i])
				continue;
			if (!first)
				buf_adds(out, ", ");
			bx_format(p->groups[i], p->children[0]->cols, out);
			first = false;
		}
		buf_addc(out, ')');
	}
}

static void format_agg(const struct plan *p, struct buf *out)
{
	const struct plan_col *below = p->children[0]->cols;

	buf_adds(out, p->is_global ? "AGG all rows" : p->set_count ? "AGG by sets " : "AGG by ");
	if (p->set_count)
		format_sets(p, out);
	for (uint32_t i = 0; i < p->group_count && !p->set_count; i++) {
		if (i)
			buf_adds(out, ", ");
		bx_format(p->groups[i], below, out);
	}
	for (uint32_t i = 0; i < p->agg_count; i++) {
		const struct plan_agg *a = &p->aggs[i];

		buf_addf(out, "%s%s(%s", i ? ", " : ": ", a->func->name, a->distinct ? "DISTINCT " : "");
		if (!a->argc)
			buf_addc(out, '*');
		for (uint32_t k = 0; k < a->argc; k++) {
			if (k)
				buf_adds(out, ", ");
			bx_format(a->args[k], below, out);
		}
		buf_addc(out, ')');
		if (a->filter) {
			buf_adds(out, " FILTER ");
			bx_format(a->filter, below, out);
		}
	}
}

static void format_sort(const struct plan *p, struct buf *out)
{
	buf_adds(out, p->kind == PLAN_SORT ? "SORT " : "LIMIT");
	for (uint32_t i = 0; i < p->key_count; i++) {
		if (i)
			buf_adds(out, ", ");
		format_name(p->cols[p->keys[i].col].name, out);
		buf_adds(out, p->keys[i].desc ? " DESC" : "");
		buf_adds(out, p->keys[i].nulls_first ? " NULLS FIRST" : "");
	}
	if (p->limit != UINT64_MAX)
		buf_addf(out, "%s %llu", p->kind == PLAN_SORT ? " limit" : "", (unsigned long long)p->limit);
	if (p->offset)
		buf_addf(out, " offset %llu", (unsigned long long)p->offset);
	if (p->with_ties)
		buf_adds(out, " with ties");
}

/* UNNEST series AS time, value; LEFT: a row without elements stays */
static void format_unnest(const struct plan *p, struct buf *out)
{
	bool first = true;

	buf_adds(out, p->keep_empty ? "UNNEST LEFT " : "UNNEST ");
	for (uint32_t i = 0; i < p->list_count; i++) {
		if (i)
			buf_adds(out, ", ");
		bx_format(p->lists[i], p->children[0]->cols, out);
	}
	for (uint32_t i = 0; i < p->col_count; i++) {
		if (p->items[i].kind == ITEM_CHILD)
			continue;
		buf_adds(out, first ? " AS " : ", ");
		format_name(p->cols[i].name, out);
		first = false;
	}
}

/* DELETE iot.weather by series and time; INSERT iot.weather (time, host, hum as a new measure) */
static void format_change(const struct plan *p, struct buf *out)
{
	const struct plan *child = p->children[0];

	buf_addf(out, "%s %s.%s", p->kind == PLAN_DELETE ? "DELETE" : "INSERT", p->db_name, p->table_name);
	if (p->kind == PLAN_DELETE) {
		buf_adds(out, child->kind == PLAN_SCAN ? " by series and time" : " row by row");
		return;
	}
	buf_adds(out, " (");
	for (uint32_t i = 0; i < child->col_count; i++) {
		const struct plan_target *t = &p->targets[i];

		if (i)
			buf_adds(out, ", ");
		format_name(t->name, out);
		if (t->role >= TARGET_DIMENSION && t->col_id == TARGET_NEW)
			buf_adds(out, t->role == TARGET_DIMENSION ? " as a new dimension" : " as a new measure");
	}
	buf_addc(out, ')');
}

/* ---- what was counted (EXPLAIN ANALYZE) ---------------------------------------------------------- */

static void format_bytes(uint64_t n, struct buf *out)
{
	if (n < 10 << 10)
		buf_addf(out, "%llu bytes", (unsigned long long)n);
	else if (n < 10 << 20)
		buf_addf(out, "%.1f KiB", (double)n / (1 << 10));
	else
		buf_addf(out, "%.1f MiB", (double)n / (1 << 20));
}

static void format_ms(int64_t ns, struct buf *out)
{
	buf_addf(out, "%.3f ms", (double)ns / (double)NS_PER_MS);
}

/* "3 rows", "1 row" */
static void format_count(uint64_t n, const char *what, const char *many, struct buf *out)
{
	buf_addf(out, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : many);
}

/* - read 2 of 1000 series, 3 of 30 files (27 left out by time, 0 by part), 3 of 120 pages, 51 bytes, ... */
static void format_scan_counts(const struct op_stats *s, int indent, struct buf *out)
{
	const struct scan_stats *c = &s->scan;

	buf_addf(out, "%*s- read %llu of %llu series", indent, "", (unsigned long long)s->series_wanted,
		 (unsigned long long)s->series);
	if (c->tiles) {
		buf_addf(out, ", %u of %u files (%u left out by time, %u by part), %llu of %llu pages, ",
			 c->tiles - c->tiles_pruned, c->tiles, c->tiles_pruned - c->tiles_pruned_part, c->tiles_pruned_part,
			 (unsigned long long)c->pages_read, (unsigned long long)(c->pages_read + c->pages_pruned));
		format_bytes(c->bytes_read, out);
	}
	if (c->blocks)
		buf_addf(out, ", %u of %u blocks of memory", c->blocks - c->blocks_pruned, c->blocks);
	buf_addc(out, '\n');
}

/* - 720 rows in 1 batch, 0.210 ms */
static void format_counts(const struct plan *p, const struct op_stats *s, int indent, struct buf *out)
{
	int64_t own = s->ns;

	for (uint32_t i = 0; i < p->child_count; i++)
		own -= s->children[i].ns;
	buf_addf(out, "%*s- ", indent, "");
	format_count(s->rows, "row", "s", out);
	buf_adds(out, " in ");
	format_count(s->batches, "batch", "es", out);
	buf_adds(out, ", ");
	format_ms(MAX(own, 0), out);
	buf_addc(out, '\n');
	if (p->kind == PLAN_SCAN)
		format_scan_counts(s, indent, out);
}

static void add_scans(const struct plan *p, const struct op_stats *s, struct scan_stats *to)
{
	to->tiles += s->scan.tiles;
	to->tiles_pruned += s->scan.tiles_pruned;
	to->pages_read += s->scan.pages_read;
	to->pages_pruned += s->scan.pages_pruned;
	to->rows += s->scan.rows;
	to->bytes_read += s->scan.bytes_read;
	for (uint32_t i = 0; i < p->child_count; i++)
		add_scans(p->children[i], &s->children[i], to);
}

static void format_totals(const struct plan *p, const struct op_stats *s, size_t peak, struct buf *out)
{
	struct scan_stats sum = {0};

	add_scans(p, s, &sum);
	buf_adds(out, "Result: ");
	format_count(s->rows, "row", "s", out);
	buf_adds(out, " in ");
	format_ms(s->ns, out);
	buf_adds(out, ", with at most ");
	format_bytes(peak, out);
	buf_adds(out, " of memory\nRead: ");
	format_count(sum.rows, "row", "s", out);
	buf_addf(out, ", %llu of %llu pages, %u of %u files, ", (unsigned long long)sum.pages_read,
		 (unsigned long long)(sum.pages_read + sum.pages_pruned), sum.tiles - sum.tiles_pruned, sum.tiles);
	format_bytes(sum.bytes_read, out);
	buf_addc(out, '\n');
}

/* stats: NULL: the plan alone. */
static void format_node(const struct plan *p, const struct op_stats *stats, int depth, struct buf *out)
{
	buf_addf(out, "%*s", 2 * depth, "");
	switch (p->kind) {
	case PLAN_SCAN:
		format_scan(p, out);
		break;
	case PLAN_VALUES:
		buf_addf(out, "VALUES %u row%s", p->row_count, p->row_count == 1 ? "" : "s");
		break;
	case PLAN_FILTER:
		buf_adds(out, "FILTER ");
		bx_format(p->where, p->children[0]->cols, out);
		break;
	case PLAN_PROJECT:
		format_project(p, out);
		break;
	case PLAN_AGG:
		format_agg(p, out);
		break;
	case PLAN_SORT:
	case PLAN_LIMIT:
		format_sort(p, out);
		break;
	case PLAN_UNNEST:
		format_unnest(p, out);
		break;
	case PLAN_RECURSIVE:
	case PLAN_WORKING:
		buf_adds(out, p->kind == PLAN_RECURSIVE ? "RECURSIVE " : "WORKING ");
		format_name(p->recursion_name, out);
		buf_adds(out, p->kind == PLAN_WORKING ? "" : p->drops_seen ? " UNION" : " UNION ALL");
		break;
	case PLAN_JOIN:
		buf_adds(out, "JOIN");
		break;
	case PLAN_UNION:
		buf_adds(out, "UNION");
		break;
	case PLAN_DELETE:
	case PLAN_INSERT:
		format_change(p, out);
		break;
	case PLAN_ANALYZE: /* its child is what it tells of */
		buf_adds(out, "ANALYZE");
		break;
	}
	buf_addc(out, '\n');
	if (stats)
		format_counts(p, stats, 2 * depth + 4, out);
	for (uint32_t i = 0; i < p->child_count; i++)
		format_node(p->children[i], stats ? &stats->children[i] : NULL, depth + 1, out);
}

void plan_format(const struct plan *p, struct buf *out)
{
	format_node(p, NULL, 0, out);
}

void plan_format_stats(const struct plan *p, const struct op_stats *s, size_t peak, struct buf *out)
{
	format_node(p, s, 0, out);
	format_totals(p, s, peak, out);
}
