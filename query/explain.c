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
#include "query/unload.h"

#include <ctype.h>
#include <stdlib.h>

static void format_name(struct str s, struct buf *out)
{
	bool plain = s.len > 0 && !isdigit((unsigned char)s.ptr[0]);

	for (size_t i = 0; i < s.len && plain; i++)
		plain = isalnum((unsigned char)s.ptr[i]) || s.ptr[i] == '_' || s.ptr[i] == ':' || s.ptr[i] == '.';
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

static void format_lambda(const struct bx *x, const struct plan_col *cols, struct buf *out)
{
	bool list = x->param_count != 1;

	if (list)
		buf_addc(out, '(');
	for (uint32_t i = 0; i < x->param_count; i++) {
		if (i)
			buf_adds(out, ", ");
		format_name(x->type->fields[i].name, out);
	}
	buf_adds(out, list ? ") -> " : " -> ");
	bx_format(x->args[0], cols, out);
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
		format_name(x->name, out);
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
		buf_addc(out, '.');
		if (x->args[0]->type->fields[x->index].name.ptr)
			format_name(x->args[0]->type->fields[x->index].name, out);
		else
			buf_addf(out, "%u", x->index + 1);
		break;
	case BX_OUTER:
		buf_addf(out, "outer%u", x->index);
		break;
	case BX_SUBQUERY:
		buf_adds(out, "(subquery)");
		break;
	case BX_LAMBDA:
		format_lambda(x, cols, out);
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
	if (p->first_n || p->last_n) {
		buf_adds(out, " of each series");
		if (p->first_n)
			buf_addf(out, " first %u", p->first_n);
		if (p->last_n)
			buf_addf(out, " last %u", p->last_n);
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

static void format_agg_call(const struct plan_agg *a, const char *nulls, const struct plan_col *below, struct buf *out)
{
	buf_addf(out, "%s(%s", a->func->name, a->distinct ? "DISTINCT " : "");
	if (!a->argc && a->func->agg)
		buf_addc(out, '*');
	for (uint32_t k = 0; k < a->argc; k++) {
		if (k)
			buf_adds(out, ", ");
		bx_format(a->args[k], below, out);
	}
	for (uint32_t k = 0; k < a->key_count; k++) {
		buf_adds(out, k ? ", " : " ORDER BY ");
		bx_format(a->order[k], below, out);
		buf_adds(out, a->keys[k].desc ? " DESC" : "");
		buf_adds(out, a->keys[k].nulls_first ? " NULLS FIRST" : "");
	}
	buf_addf(out, ")%s", nulls);
	if (a->filter) {
		buf_adds(out, " FILTER ");
		bx_format(a->filter, below, out);
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
		buf_adds(out, i ? ", " : ": ");
		format_agg_call(&p->aggs[i], "", below, out);
	}
}

static void format_keys(const struct plan *p, uint32_t from, uint32_t to, struct buf *out)
{
	for (uint32_t i = from; i < to; i++) {
		if (i > from)
			buf_adds(out, ", ");
		format_name(p->cols[p->keys[i].col].name, out);
		buf_adds(out, p->keys[i].desc ? " DESC" : "");
		buf_adds(out, p->keys[i].nulls_first ? " NULLS FIRST" : "");
	}
}

static void format_sort(const struct plan *p, struct buf *out)
{
	buf_adds(out, p->kind == PLAN_SORT ? "SORT " : "LIMIT");
	format_keys(p, 0, p->key_count, out);
	if (p->limit != UINT64_MAX)
		buf_addf(out, "%s %llu", p->kind == PLAN_SORT ? " limit" : "", (unsigned long long)p->limit);
	if (p->offset)
		buf_addf(out, " offset %llu", (unsigned long long)p->offset);
	if (p->with_ties)
		buf_adds(out, " with ties");
}

static void format_bound(const struct plan_bound *x, const struct plan_col *below, struct buf *out)
{
	static const char *const names[] = {
		[BOUND_UNBOUNDED_PRECEDING] = "UNBOUNDED PRECEDING", [BOUND_PRECEDING] = "PRECEDING",
		[BOUND_CURRENT] = "CURRENT ROW", [BOUND_FOLLOWING] = "FOLLOWING",
		[BOUND_UNBOUNDED_FOLLOWING] = "UNBOUNDED FOLLOWING",
	};

	if (x->offset) {
		bx_format(x->offset, below, out);
		buf_addc(out, ' ');
	}
	buf_adds(out, names[x->kind]);
}

/* WINDOW by host order time: row_number(), sum(temp) ROWS 2 PRECEDING TO CURRENT ROW */
static void format_window(const struct plan *p, struct buf *out)
{
	static const char *const units[] = {
		[FRAME_NONE] = "", [FRAME_ROWS] = " ROWS ", [FRAME_RANGE] = " RANGE ", [FRAME_GROUPS] = " GROUPS ",
	};
	const struct plan_col *below = p->children[0]->cols;

	buf_adds(out, p->partition_count ? "WINDOW by " : "WINDOW all rows");
	format_keys(p, 0, p->partition_count, out);
	if (p->key_count > p->partition_count)
		buf_adds(out, " order ");
	format_keys(p, p->partition_count, p->key_count, out);
	for (uint32_t i = 0; i < p->window_count; i++) {
		const struct plan_window *w = &p->windows[i];

		buf_adds(out, i ? ", " : ": ");
		format_agg_call(&w->call, w->ignore_nulls ? " IGNORE NULLS" : "", below, out);
		if (w->unit == FRAME_RANGE && w->start.kind == BOUND_UNBOUNDED_PRECEDING && w->end.kind == BOUND_CURRENT)
			continue;
		buf_adds(out, units[w->unit]);
		format_bound(&w->start, below, out);
		buf_adds(out, " TO ");
		format_bound(&w->end, below, out);
	}
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

/* Column names of both sides; those that both have get their side in front. names: what they point to. */
static struct plan_col *both_cols(const struct plan *p, struct buf *names)
{
	const struct plan *l = p->children[0], *r = p->children[1];
	uint32_t n = l->col_count + r->col_count;
	struct plan_col *cols = malloc(sizeof(*cols) * (n + 1));

	for (int pass = 0; cols && pass < 2; pass++) {
		size_t at = 0;

		for (uint32_t i = 0; i < n; i++) {
			bool is_left = i < l->col_count, twice = false;
			const struct plan *other = is_left ? r : l;
			struct plan_col c = is_left ? l->cols[i] : r->cols[i - l->col_count];
			size_t len = c.name.len + (is_left ? 5 : 6);

			for (uint32_t k = 0; k < other->col_count && !twice; k++)
				twice = str_eq(other->cols[k].name, c.name);
			if (twice && !pass)
				buf_addf(names, "%s.%.*s", is_left ? "left" : "right", STR_FMT(c.name));
			else if (twice && names->rc >= 0)
				c.name = (struct str){(char *)names->data + at, len};
			at += twice ? len : 0;
			cols[i] = c;
		}
	}
	return cols;
}

/* JOIN left on host = host, bin(time, 1h) = hour where (left.v > right.v) holds right */
static void format_join(const struct plan *p, struct buf *out)
{
	static const char *const kinds[] = {
		[PJ_INNER] = "inner", [PJ_LEFT] = "left", [PJ_RIGHT] = "right", [PJ_FULL] = "full",
		[PJ_SEMI] = "semi", [PJ_ANTI] = "anti", [PJ_MARK] = "mark", [PJ_SINGLE] = "single",
	};
	const struct plan *l = p->children[0], *r = p->children[1];
	struct plan_col *cols;
	struct buf names;

	buf_addf(out, "JOIN %s", kinds[p->join]);
	for (uint32_t i = 0; i < p->join_key_count; i++) {
		const struct plan_join_key *k = &p->join_keys[i];

		buf_adds(out, i ? ", " : " on ");
		bx_format(k->left, l->cols, out);
		buf_adds(out, k->is_in ? " IN " : k->null_safe ? " IS " : " = ");
		bx_format(k->right, r->cols, out);
	}
	if (p->where) {
		buf_init(&names, 1 << 20);
		cols = both_cols(p, &names);
		buf_adds(out, " where ");
		if (cols)
			bx_format(p->where, cols, out);
		buf_release(&names);
		free(cols);
	}
	buf_adds(out, p->build_left ? " holds left" : p->left_first ? " reads left, holds right" : " holds right");
}

/* UNLOAD parquet, gzip, to 'daily' by (region, host) */
static void format_unload(const struct plan *p, struct buf *out)
{
	const struct unload_spec *s = p->unload;
	const struct plan *child = p->children[0];

	buf_addf(out, "UNLOAD %s, %s, to '%.*s'", s->is_parquet ? "parquet" : "csv", s->is_compressed ? "gzip" : "not compressed",
		 STR_FMT(s->target));
	for (uint32_t i = 0; i < s->part_n; i++) {
		buf_adds(out, i ? ", " : " by (");
		format_name(child->cols[child->col_count - s->part_n + i].name, out);
	}
	if (s->part_n)
		buf_addc(out, ')');
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
	case PLAN_WINDOW:
		format_window(p, out);
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
		format_join(p, out);
		break;
	case PLAN_UNION:
		buf_adds(out, "UNION");
		break;
	case PLAN_DELETE:
	case PLAN_INSERT:
		format_change(p, out);
		break;
	case PLAN_UNLOAD:
		format_unload(p, out);
		break;
	case PLAN_ANALYZE: /* its child is what it tells of */
		buf_adds(out, "ANALYZE");
		break;
	}
	buf_addc(out, '\n');
	if (stats)
		op_stats_format(stats, p, 2 * depth + 4, out);
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
	op_stats_totals(s, p, peak, out);
}
