/*
 * sqlgen_deep: queries of queries. Relations of all kinds, joined, correlated, grouped, windowed, sorted, combined,
 * each made for the column types that are wanted of it, with expressions of sqlgen_value.h over what is in scope.
 *
 * A tidy statement says the same whichever order the rows of its tables come in: LIMIT stands behind an ORDER BY
 * of all columns, what sees the order of rows sees them sorted.
 */
#ifndef TIDE_TEST_SQLGEN_DEEP_H
#define TIDE_TEST_SQLGEN_DEEP_H

#include "tests/fuzz/sqlgen_value.h"

static void gen_from_deep(struct sqlgen *g, struct gen_scope *s, int depth);

/* What was written since `middle` comes before what was written since `from`. */
static inline void gen_swap(struct sqlgen *g, size_t from, size_t middle)
{
	size_t a = middle - from, b = g->sql.len - middle;
	char *copy = malloc(a + 1);

	if (!copy)
		abort();
	memcpy(copy, (char *)g->sql.data + from, a);
	memmove((char *)g->sql.data + from, (char *)g->sql.data + middle, b);
	memcpy((char *)g->sql.data + from + b, copy, a);
	free(copy);
}

/* ---- relations --------------------------------------------------------------------------------------------- */

static inline const char *gen_table_of(struct sqlgen *g, struct gen_scope *s)
{
	static const struct {
		const char *bare, *wrapped, *type;
	} cols[] = {
		{"%s.host", "concat(%s.host, '')", "varchar"},
		{"%s.region", "concat(%s.region, '')", "varchar"},
		{"%s.measure_name", "concat(%s.measure_name, '')", "varchar"},
		{"%s.time", "(%s.time + 0s)", "timestamp"},
		{"%s.u", "(%s.u * 1)", "double"},
		{"%s.n", "(%s.n + 0)", "bigint"},
		{"%s.b", "coalesce(%s.b, NULL)", "boolean"},
		{"%s.s", "concat(%s.s, '')", "varchar"},
	};
	char text[60];
	const char *name = gen_keepf(g, "t%u", g->names++);

	buf_addf(&g->sql, "%s AS %s", g->table, name);
	for (size_t i = 0; i < ARRAY_LEN(cols); i++) {
		const char *form = g->is_wrapped ? cols[i].wrapped : cols[i].bare, *at = strstr(form, "%s");
		snprintf(text, sizeof text, "%.*s%s%s", (int)(at - form), form, name, at + 2);
		scope_add(s, gen_keep(g, text, strlen(text)), cols[i].type);
	}
	return name;
}

/* " AS t3 (c0, c1)", and the columns. */
static inline void gen_alias(struct sqlgen *g, struct gen_scope *s, const char *const *types, uint32_t n)
{
	const char *name = gen_keepf(g, "t%u", g->names++);

	buf_addf(&g->sql, " AS %s (", name);
	for (uint32_t i = 0; i < n; i++) {
		buf_addf(&g->sql, "%sc%u", i ? ", " : "", i);
		scope_add(s, gen_keepf(g, "%s.c%u", name, i), types[i]);
	}
	put(g, ")");
}

static inline uint32_t gen_types_of(struct sqlgen *g, const char **types, uint32_t max)
{
	uint32_t n = 1 + pick(g, max);

	for (uint32_t i = 0; i < n; i++)
		types[i] = gen_type(g);
	return n;
}

static inline void gen_values_of(struct sqlgen *g, struct gen_scope *s)
{
	const char *types[3];
	uint32_t n = gen_types_of(g, types, 3), rows = 1 + pick(g, 4);
	const struct gen_scope *before = g->scope;

	g->scope = NULL;
	put(g, "(VALUES ");
	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t i = 0; i < n; i++) {
			put(g, i ? ", " : r ? ", (" : "(");
			gen_lit(g, types[i]);
		}
		put(g, ")");
	}
	put(g, ")");
	g->scope = before;
	gen_alias(g, s, types, n);
}

static inline void gen_derived(struct sqlgen *g, struct gen_scope *s, int depth)
{
	const char *types[4];
	uint32_t n = gen_types_of(g, types, 4);

	put(g, "(");
	gen_query(g, types, n, depth - 1);
	put(g, ")");
	gen_alias(g, s, types, n);
}

/* One relation; its columns are added to s. The table's name where it is a plain table. */
static inline const char *gen_relation(struct sqlgen *g, struct gen_scope *s, int depth)
{
	const struct gen_scope *before = g->scope;
	uint32_t k = pick(g, 12);

	g->scope = before ? before->up : NULL; /* what stands beside it is not in sight */
	if (k == 0) {
		gen_values_of(g, s);
	} else if (k <= 2 && g->withs) {
		k = pick(g, g->withs);
		put(g, g->with[k].name);
		const char *name = gen_keepf(g, "t%u", g->names++);
		buf_addf(&g->sql, " AS %s", name);
		for (uint32_t i = 0; i < g->with[k].n; i++)
			scope_add(s, gen_keepf(g, "%s.c%u", name, i), g->with[k].types[i]);
	} else if (k <= 5 && depth > 0 && g->queries < 4) {
		gen_derived(g, s, depth);
	} else if (k == 6 && depth > 1) {
		put(g, "(");
		gen_from_deep(g, s, depth - 2);
		put(g, ")");
	} else {
		g->scope = before;
		return gen_table_of(g, s);
	}
	g->scope = before;
	return NULL;
}

/* left.x = right.y AND ..., and at times something else of both. */
static inline void gen_on(struct sqlgen *g, const struct gen_scope *both, uint32_t left, int depth)
{
	const struct gen_scope *before = g->scope;
	uint32_t n = 0, from = pick(g, MAX(left, 1));

	g->scope = both;
	put(g, " ON ");
	for (uint32_t i = 0; i < left && n < 1 + pick(g, 2); i++) {
		uint32_t l = (from + i) % left;
		for (uint32_t r = left; r < both->n; r++) {
			if (!is(both->cols[l].type, both->cols[r].type) || pick(g, 2))
				continue;
			buf_addf(&g->sql, "%s%s %s %s", n++ ? " AND " : "", both->cols[l].text,
				 pick(g, 8) ? "=" : pick(g, 2) ? "IS NOT DISTINCT FROM" : "<", both->cols[r].text);
			break;
		}
	}
	if (!n || pick(g, 4) == 0) {
		put(g, n ? " AND " : "");
		gen_val(g, "boolean", MIN(depth, 2));
	}
	g->scope = before;
}

static inline void gen_unnest_of(struct sqlgen *g, struct gen_scope *s, int depth)
{
	const struct gen_scope *before = g->scope;
	const char *types[5], *list = pick(g, 3) ? "array(bigint)" : "array(varchar)";
	uint32_t n = 0, lists = 1 + pick(g, 2);
	bool is_left = pick(g, 3) == 0;

	g->scope = s;
	put(g, is_left ? " LEFT JOIN UNNEST(" : " CROSS JOIN UNNEST(");
	for (uint32_t i = 0; i < lists; i++) {
		put(g, i ? ", " : "");
		switch (pick(g, 6)) {
		case 0: list = "timeseries(double)"; break;
		case 1: list = "array(row(bigint, varchar))"; break;
		case 2: list = "array(array(bigint))"; break;
		}
		gen_val(g, list, depth - 1);
		if (is(list, "timeseries(double)")) {
			types[n++] = "timestamp";
			types[n++] = "double";
		} else if (is(list, "array(row(bigint, varchar))")) {
			types[n++] = "bigint";
			types[n++] = "varchar";
		} else {
			types[n++] = gen_inner(g, list, "array(");
		}
	}
	put(g, ")");
	if (pick(g, 3) == 0) {
		put(g, " WITH ORDINALITY");
		types[n++] = "bigint";
	}
	gen_alias(g, s, types, n);
	put(g, is_left ? " ON true" : "");
	g->scope = before;
}

static inline void gen_lateral(struct sqlgen *g, struct gen_scope *s, int depth)
{
	const struct gen_scope *before = g->scope;
	struct gen_scope seen = *s;
	bool is_left = pick(g, 3) == 0;
	uint32_t left = s->n;

	put(g, is_left ? " LEFT JOIN LATERAL " : " CROSS JOIN LATERAL ");
	g->scope = &seen;
	gen_derived(g, s, depth);
	g->scope = before;
	if (is_left && pick(g, 2))
		put(g, " ON true");
	else if (is_left)
		gen_on(g, s, left, 0);
}

static inline void gen_join_of(struct sqlgen *g, struct gen_scope *s, const char *table, int depth)
{
	static const char *const kinds[] = {" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " JOIN "};
	static const char *const names[] = {" USING (host, time)", " USING (host, region, time)", " USING (time)"};
	uint32_t left = s->n;

	switch (pick(g, 9)) {
	case 0:
	case 1:
		if (depth > 0 && g->queries < 4) {
			gen_lateral(g, s, depth);
			return;
		}
		/* fall through */
	case 2: gen_unnest_of(g, s, depth); return;
	case 3:
		if (!table)
			break;
		put(g, ONE_OF(g, kinds));
		gen_table_of(g, s);
		put(g, ONE_OF(g, names));
		scope_add(s, g->is_wrapped ? "(time + 0s)" : "time", "timestamp");
		return;
	case 4:
		put(g, " CROSS JOIN ");
		gen_values_of(g, s);
		return;
	}
	put(g, ONE_OF(g, kinds));
	gen_relation(g, s, depth);
	gen_on(g, s, left, depth);
}

static void gen_from_deep(struct sqlgen *g, struct gen_scope *s, int depth)
{
	static const uint8_t joins[] = {0, 0, 0, 1, 1, 1, 2, 3};
	const char *table = gen_relation(g, s, depth);
	uint32_t n = depth > 0 ? ONE_OF(g, joins) : pick(g, 6) == 0;

	for (uint32_t i = 0; i < n && g->nodes < 160; i++) {
		gen_join_of(g, s, i ? NULL : table, depth - 1);
	}
	if (pick(g, 12) == 0 && g->queries < 2) {
		put(g, ", ");
		gen_values_of(g, s);
	}
}

/* ---- queries ------------------------------------------------------------------------------------------------- */

/* An expression that is not in the text yet, to be written several times. */
static inline const char *gen_aside(struct sqlgen *g, const char *type, int depth)
{
	size_t from = g->sql.len;

	/* A number alone would be a column's. */
	put(g, is(type, "bigint") || is(type, "integer") ? "(0 + " : "(");
	gen_val(g, type, depth);
	put(g, ")");
	const char *text = gen_keep(g, (char *)g->sql.data + from, g->sql.len - from);
	g->sql.len = from;
	return text;
}

/* Can rows be put in one order by all that is known of them? Series cannot be compared. */
static inline bool gen_is_sortable(const struct gen_scope *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!strncmp(s->cols[i].type, "timeseries", 10))
			return false;
	return s->n < GEN_COLS;
}

static inline void gen_item(struct sqlgen *g, const char *type, int depth, bool is_total)
{
	/* Columns of a whole statement may be of any type, if nothing else is made of them. */
	if (g->is_outermost && pick(g, 6) == 0) {
		bool is_agg = g->scope->agg && pick(g, 3);
		if (is_agg ? gen_agg(g, NULL, g->scope->agg, depth, GEN_OF_GROUP) : gen_call(g, NULL, depth))
			return;
	}
	/* An aggregate over a window may have an aggregate of the group inside; not the other way round. */
	if (!g->lambdas && pick(g, 6) == 0) {
		size_t from = g->sql.len;
		struct gen_scope rows = *g->scope;
		const struct gen_scope *before = g->scope;
		bool is_done;

		rows.agg = NULL;
		g->scope = &rows;
		is_done = is_total && pick(g, 3) ? gen_over_sorted(g, type, depth - 1) : gen_over_ties(g, type, depth - 1);
		g->scope = before;
		if (is_done)
			return;
		g->sql.len = from;
	}
	gen_val(g, type, depth);
}

static inline void gen_groups(struct sqlgen *g, const struct gen_scope *keys, uint32_t form)
{
	static const char *const forms[] = {" GROUP BY ", " GROUP BY ROLLUP (", " GROUP BY CUBE (", " GROUP BY GROUPING SETS ((), (",
					    " GROUP BY DISTINCT GROUPING SETS ((", " GROUP BY (), "};
	static const char *const ends[] = {"", ")", ")", "))", NULL, ""};

	if (!keys->n)
		return;
	put(g, forms[form]);
	for (uint32_t i = 0; i < keys->n; i++)
		buf_addf(&g->sql, "%s%s", i ? ", " : "", keys->cols[i].text);
	if (ends[form])
		put(g, ends[form]);
	else
		buf_addf(&g->sql, "), (%s))", keys->cols[keys->n - 1].text);
}

static inline void gen_select(struct sqlgen *g, const char *const *types, uint32_t n, int depth, bool is_single)
{
	struct gen_scope rows = {.up = g->scope}, keys = {.up = g->scope, .agg = &rows};
	bool is_grouped = is_single ? pick(g, 4) : pick(g, 5) < 2;
	uint32_t form = pick(g, 12), n_keys = is_single ? 0 : pick(g, 4);
	const struct gen_scope *before = g->scope;
	size_t from = g->sql.len, middle;

	form = form < 6 ? form : 0;
	bool is_outermost = g->is_outermost;
	g->is_outermost = false;
	g->scope = &rows;
	put(g, " FROM ");
	gen_from_deep(g, &rows, depth);
	if (pick(g, 3)) {
		put(g, " WHERE ");
		if (rows.n > 3 && is(rows.cols[3].type, "timestamp") && pick(g, 3) == 0) {
			gen_time_range(g, rows.cols[3].text);
			put(g, " AND ");
		}
		gen_val(g, "boolean", depth);
	}
	middle = g->sql.len;
	for (uint32_t i = 0; is_grouped && i < n_keys; i++) {
		/* Of the types that are wanted, so that they are put to use. */
		const char *type = types[pick(g, n)];
		const char *text = gen_aside(g, type, MIN(depth, 2));
		scope_add(&keys, text, type);
	}
	put(g, !is_single && pick(g, 8) == 0 ? "SELECT DISTINCT " : "SELECT ");
	if (is_grouped)
		g->scope = &keys;
	for (uint32_t i = 0; i < n; i++) {
		put(g, i ? ", " : "");
		if (form && keys.n && is(types[i], "bigint") && pick(g, 3) == 0) {
			buf_addf(&g->sql, "grouping(%s)", keys.cols[pick(g, keys.n)].text);
			continue;
		}
		g->is_outermost = is_outermost;
		gen_item(g, types[i], depth, !g->is_tidy || ((!is_grouped || form == 0) && gen_is_sortable(g->scope)));
	}
	g->is_outermost = false;
	gen_swap(g, from, middle);
	if (is_grouped) {
		gen_groups(g, &keys, form);
		if (pick(g, 4) == 0) {
			put(g, " HAVING ");
			gen_val(g, "boolean", MIN(depth, 2));
		}
	}
	if (is_single && !is_grouped)
		put(g, pick(g, 2) ? " ORDER BY 1 LIMIT 1" : " ORDER BY 1 DESC NULLS FIRST LIMIT 1");
	g->scope = before;
}

/* A name for a query, which what follows may use. */
static inline void gen_with(struct sqlgen *g, int depth)
{
	static const char *const two[] = {"bigint", "varchar"};
	const struct gen_scope *before = g->scope;
	const char *types[4], *name = gen_keepf(g, "w%u", g->names++);
	bool is_recursive = pick(g, 3) == 0;
	uint32_t n = gen_types_of(g, types, 4);

	if (g->withs == ARRAY_LEN(g->with))
		return;
	g->scope = NULL;
	if (is_recursive) {
		struct gen_scope own = {0};
		bool is_all = pick(g, 2);

		memcpy(types, two, sizeof two);
		n = 2;
		buf_addf(&g->sql, "WITH RECURSIVE %s (c0, c1) AS (SELECT r.a %% 7, r.b FROM (", name);
		gen_query(g, types, n, depth - 2);
		buf_addf(&g->sql, ") AS r (a, b) UNION %sSELECT %s, %s.c1 FROM %s", is_all ? "ALL " : "",
			 is_all ? "o.c0 - 2" : "(o.c0 * 3 + 1) % 7", "o", name);
		put(g, " AS o WHERE ");
		scope_add(&own, "o.c0", "bigint");
		scope_add(&own, "o.c1", "varchar");
		g->scope = &own;
		g->queries += 8; /* none in it */
		gen_val(g, "boolean", 1);
		g->queries -= 8;
		put(g, is_all ? " AND o.c0 > 0) " : ") ");
	} else {
		buf_addf(&g->sql, "WITH %s (", name);
		for (uint32_t i = 0; i < n; i++)
			buf_addf(&g->sql, "%sc%u", i ? ", " : "", i);
		put(g, ") AS (");
		gen_query(g, types, n, depth - 1);
		put(g, ") ");
	}
	g->scope = before;
	g->with[g->withs].name = name;
	g->with[g->withs].n = n;
	memcpy(g->with[g->withs++].types, types, sizeof types);
}

static void gen_query(struct sqlgen *g, const char *const *types, uint32_t n, int depth)
{
	static const char *const sets[] = {" UNION ", " UNION ALL ", " INTERSECT ", " INTERSECT ALL ", " EXCEPT ", " EXCEPT ALL "};
	static const char *const how[] = {"", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST"};
	bool is_single = g->is_single, is_sorted = g->is_sorted, is_outermost = g->is_outermost;
	bool is_set = !is_single && depth > 0 && pick(g, 7) == 0;
	uint32_t withs = g->withs;

	g->is_single = g->is_sorted = g->is_outermost = false;
	g->queries++;
	if (depth > 1 && pick(g, 8) == 0)
		gen_with(g, depth);
	g->is_outermost = is_outermost && !is_set && !is_sorted;
	gen_select(g, types, n, depth, is_single);
	if (is_set) {
		put(g, ONE_OF(g, sets));
		gen_select(g, types, n, depth - 1, false);
	}
	is_sorted = is_sorted || (!is_single && pick(g, 6) == 0);
	if (is_sorted) {
		put(g, " ORDER BY ");
		for (uint32_t i = 1; i <= n; i++)
			buf_addf(&g->sql, "%s%u%s", i > 1 ? ", " : "", i, ONE_OF(g, how));
		if (pick(g, 2))
			buf_addf(&g->sql, " LIMIT %u", pick(g, 20));
		else if (pick(g, 3) == 0)
			buf_addf(&g->sql, " OFFSET %u FETCH FIRST %u ROWS WITH TIES", pick(g, 5), 1 + pick(g, 9));
		else if (pick(g, 3) == 0)
			buf_addf(&g->sql, " OFFSET %u", pick(g, 30));
	} else if (!g->is_tidy && !is_sorted && !is_single && pick(g, 8) == 0)
		buf_addf(&g->sql, pick(g, 2) ? " LIMIT %u" : " OFFSET %u", pick(g, 60));
	g->queries--;
	g->withs = withs;
}

/* A whole statement; true where ORDER BY fixes its rows' order. */
static inline bool gen_deep(struct sqlgen *g)
{
	static const char *const prefixes[] = {"EXPLAIN ", "EXPLAIN ANALYZE "};
	static const char *const shows[] = {"SHOW TABLES", "SHOW TABLES FROM r LIKE 't%%'", "SHOW MEASURES FROM %T", "DESCRIBE %T",
					    "SHOW FUNCTIONS LIKE '%%a_r%%'", "SHOW DATABASES", "SHOW MEASURES FROM %T LIKE 'm_'",
					    "SHOW FUNCTIONS", "SELECT * FROM %T LIMIT 5", "SELECT q.*, 1 FROM %T AS q OFFSET 7",
					    "EXPLAIN DELETE FROM %T WHERE %b", "EXPLAIN INSERT INTO %T SELECT * FROM %T"};
	const char *types[4];
	uint32_t n = gen_types_of(g, types, 4);
	bool is_ordered = pick(g, 3) == 0;

	g->is_sorted = is_ordered;
	if (!g->is_tidy && pick(g, 30) == 0) {
		gen_form(g, ONE_OF(g, shows), 0);
		return false;
	}
	g->is_outermost = true;
	if (!g->is_tidy && pick(g, 20) == 0)
		put(g, ONE_OF(g, prefixes));
	gen_query(g, types, n, 1 + (int)pick(g, 4));
	return is_ordered;
}

#endif
