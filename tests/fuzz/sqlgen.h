/*
 * sqlgen: statements made of choices: what all ways of making them share, and those over one table with
 * expressions written out by type. sqlgen_deep.h makes what knows no such bounds.
 *
 * Choices come from bytes (a fuzzer's) as long as there are some, then from a generator seeded by
 * them: the same bytes make the same statement.
 */
#ifndef TIDE_TEST_SQLGEN_H
#define TIDE_TEST_SQLGEN_H

#include "engine/base/base.h"

struct gen_scope;

struct sqlgen {
	const uint8_t *data;
	size_t left;
	uint8_t last; /* byte taken */
	uint64_t rng;
	struct buf sql;
	const char *table;
	bool is_wrapped; /* no column stands bare */
	bool is_tidy;    /* no aggregates that see the order of rows, no functions that see the moment */
	/* What sqlgen_value.h and sqlgen_deep.h keep. */
	const struct gen_scope *scope;
	uint32_t names, nodes, pool_len; /* used up so far in this statement */
	uint32_t queries, lambdas;       /* around what is being made */
	bool is_single, is_sorted;       /* the next query gives one row; is sorted by all columns */
	bool is_outermost;               /* nothing is made of its columns */
	struct {
		const char *name;
		const char *types[4];
		uint32_t n;
	} with[8];
	uint32_t withs;
};

static inline uint64_t gen_next(struct sqlgen *g)
{
	if (g->left) {
		/* A fuzzer likes some bytes better than others, above all 0; what is rare is to stay rare. */
		uint64_t x = (((uint64_t)*g->data << 8 | g->last) + 1) * 0x9e3779b97f4a7c15u;
		g->left--;
		g->last = *g->data;
		g->rng = (g->rng ^ *g->data++) * 0x9e3779b97f4a7c15u + 0x1234567;
		return (x ^ x >> 31) * 0x94d049bb133111ebu >> 20;
	}
	g->rng ^= g->rng << 13;
	g->rng ^= g->rng >> 7;
	g->rng ^= g->rng << 17;
	return g->rng >> 11;
}

static inline uint32_t pick(struct sqlgen *g, uint32_t n)
{
	return (uint32_t)(gen_next(g) % n);
}

#define ONE_OF(g, list) ((list)[pick(g, (uint32_t)ARRAY_LEN(list))])

static inline void put(struct sqlgen *g, const char *text)
{
	buf_adds(&g->sql, text);
}

/* ---- expressions, one function a type ---------------------------------------------------------------- */

static void gen_bool(struct sqlgen *g, int depth);
static void gen_int(struct sqlgen *g, int depth);
static void gen_dbl(struct sqlgen *g, int depth);
static void gen_str(struct sqlgen *g, int depth);
static void gen_ts(struct sqlgen *g, int depth);

static inline void column(struct sqlgen *g, const char *bare, const char *wrapped)
{
	put(g, g->is_wrapped ? wrapped : bare);
}

/* A moment at which rows may lie (random_line()), or the nanosecond before or after it. */
static inline void gen_moment(struct sqlgen *g)
{
	static const char *const fractions[] = {"00", "00", "00.000000001"};
	uint32_t minutes = pick(g, 140) * 5;
	bool is_before = pick(g, 4) == 0;

	if (is_before)
		minutes += 4;
	buf_addf(&g->sql, "TIMESTAMP '2024-03-01 %02u:%02u:%s'", minutes / 60, minutes % 60,
		 is_before ? "59.999999999" : ONE_OF(g, fractions));
}

/* A range of time, which is what narrows a scan most often. */
static inline void gen_time_range(struct sqlgen *g, const char *time)
{
	static const char *const ops[] = {"<", "<=", ">", ">=", "=", "<=", ">="};
	uint32_t form = pick(g, 5);

	if (form == 0) { /* the bound on the left */
		gen_moment(g);
		buf_addf(&g->sql, " %s %s", ONE_OF(g, ops), time);
		return;
	}
	buf_addf(&g->sql, "%s %s ", time, form == 1 ? "BETWEEN" : ONE_OF(g, ops));
	gen_moment(g);
	if (form > 2)
		return;
	if (form == 1)
		put(g, " AND ");
	else
		buf_addf(&g->sql, " AND %s %s ", time, ONE_OF(g, ops));
	gen_moment(g);
}

/* A template: %b %i %d %s %t %v are expressions (boolean, integer, double, string, timestamp, interval), %T the table. */
static inline void gen_form(struct sqlgen *g, const char *form, int depth)
{
	static const char *const intervals[] = {"1h", "0s", "15m", "7d", "INTERVAL '1' DAY", "(1h + 50ns)",
						"-1h", "90s", "INTERVAL '36' HOUR"};

	for (; *form; form++) {
		if (*form != '%') {
			buf_addc(&g->sql, *form);
			continue;
		}
		switch (*++form) {
		case 'b': gen_bool(g, depth - 1); break;
		case 'i': gen_int(g, depth - 1); break;
		case 'd': gen_dbl(g, depth - 1); break;
		case 's': gen_str(g, depth - 1); break;
		case 't': gen_ts(g, depth - 1); break;
		case 'v': put(g, ONE_OF(g, intervals)); break;
		case 'T': put(g, g->table); break;
		default: buf_addc(&g->sql, '%');
		}
	}
}

static void gen_bool(struct sqlgen *g, int depth)
{
	static const char *const leaves[] = {
		"host = 'h1'", "host IN ('h0', 'h3', 'nobody')", "region IS NULL", "region = 'eu'",
		"host <> 'h2'", "host LIKE 'h%'", "measure_name = 'm1'", "host BETWEEN 'h1' AND 'h3'",
		"time >= '2024-03-01 06:00:00'", "time < TIMESTAMP '2024-03-02'", "time = TIMESTAMP '2024-03-01'",
		"time BETWEEN '2024-03-01 10:00' AND '2024-03-02 03:00'", "time > '2024-03-02 12:00'",
		"bin(time, 1h) = TIMESTAMP '2024-03-01 05:00'", "u > 50", "n = 3", "n < 0", "u IS NULL", "b",
		"s = ''", "n IN (1, 2, NULL)", "region NOT IN ('eu', 'us')", "time <= '2024-03-01 00:00:00.000000001'",
		"host > 'h2'", "NOT b", "true", "false", "host = 'h1' AND region = 'us'", "u BETWEEN 10 AND 20",
	};
	static const char *const wrapped[] = {
		"concat(host, '') = 'h1'", "concat(host, '') IN ('h0', 'h3', 'nobody')",
		"concat(region, '') IS NULL", "concat(region, '') = 'eu'",
		"concat(host, '') <> 'h2'", "concat(host, '') LIKE 'h%'", "concat(measure_name, '') = 'm1'",
		"concat(host, '') BETWEEN 'h1' AND 'h3'",
		"time + 0s >= '2024-03-01 06:00:00'", "time + 0s < TIMESTAMP '2024-03-02'",
		"time + 0s = TIMESTAMP '2024-03-01'",
		"time + 0s BETWEEN '2024-03-01 10:00' AND '2024-03-02 03:00'", "time + 0s > '2024-03-02 12:00'",
		"bin(time + 0s, 1h) = TIMESTAMP '2024-03-01 05:00'", "u * 1 > 50", "n + 0 = 3", "n + 0 < 0",
		"u * 1 IS NULL", "coalesce(b, NULL)",
		"concat(s, '') = ''", "n + 0 IN (1, 2, NULL)", "concat(region, '') NOT IN ('eu', 'us')",
		"time + 0s <= '2024-03-01 00:00:00.000000001'",
		"concat(host, '') > 'h2'", "NOT coalesce(b, NULL)", "true", "false",
		"concat(host, '') = 'h1' AND concat(region, '') = 'us'", "u * 1 BETWEEN 10 AND 20",
	};
	static const char *const forms[] = {
		"(%b AND %b)", "(%b AND %b)", "(%b OR %b)", "NOT (%b)", "(%b AND %b AND %b)", "(%i < %i)",
		"(%i = %i)", "(%d >= %d)", "(%d <> %i)", "(%s = %s)", "(%s < %s)", "(%t >= %t)", "(%t < %t)",
		"(%t = %t)", "%i IN (%i, %i, 3)", "%i NOT IN (1, %i)", "%s IN ('h1', %s)", "%s LIKE 'h_'",
		"%s NOT LIKE '%%1%%'", "%i BETWEEN %i AND %i", "%t BETWEEN %t AND %t", "%d NOT BETWEEN %d AND 70",
		"%i IS NULL", "%s IS NOT NULL", "(%d IS DISTINCT FROM %d)", "(%s IS NOT DISTINCT FROM %s)",
		"if(%b, %b, %b)", "CASE WHEN %b THEN %b ELSE %b END", "coalesce(%b, false)", "CAST(%i AS boolean)",
		"(%b = %b)", "%b IS NULL", "nullif(%b, %b)", "(%i, %s) IN ((1, 'h1'), (%i, %s))",
		"%s IN (SELECT %s FROM %T AS z WHERE %b)", "%i NOT IN (SELECT n FROM %T AS z WHERE %b)",
		"EXISTS (SELECT 1 FROM %T AS z WHERE z.host = q.host AND %b)", "NOT EXISTS (SELECT u FROM %T AS z WHERE %b)",
		"NOT EXISTS (SELECT 1 FROM %T AS z WHERE z.region = q.region AND z.n = q.n AND %b)",
		"(%i < (SELECT max(n) FROM %T AS z WHERE %b))", "(%t > (SELECT min(time) FROM %T AS z WHERE %b))",
		"(%i >= (SELECT count(*) FROM %T AS z WHERE z.host = q.host AND %b))",
		"(%d < (SELECT max(u) FROM %T AS z WHERE z.host < q.host AND %b))",
		"any_match(ARRAY[%i, %i], x -> x > %i)", "all_match(ARRAY[%s, %s], x -> x = %s OR %b)",
		"none_match(ARRAY[%d], x -> x < 50 AND %b)", "any_match(ARRAY[%i, 1], x -> all_match(ARRAY[%i], y -> y <= x))",
	};

	if (depth <= 0 || pick(g, 3) == 0) {
		uint32_t k = pick(g, (uint32_t)ARRAY_LEN(leaves));
		buf_addc(&g->sql, '(');
		put(g, g->is_wrapped ? wrapped[k] : leaves[k]);
		buf_addc(&g->sql, ')');
	} else {
		gen_form(g, ONE_OF(g, forms), depth);
	}
}

static void gen_int(struct sqlgen *g, int depth)
{
	static const char *const literals[] = {"0", "1", "3", "-7", "100", "2147483648", "NULL", "12"};
	static const char *const forms[] = {
		"(%i + %i)", "(%i - %i)", "(%i * 3)", "(%i / 7)", "(%i % 5)", "try(%i / %i)", "abs(%i)", "-(%i)",
		"length(%s)", "strpos(%s, 'a')", "hour(%t)", "day_of_week(%t)", "extract(MINUTE FROM %t)",
		"if(%b, %i, %i)", "CASE %i WHEN 1 THEN %i WHEN %i THEN 2 END", "coalesce(%i, %i)",
		"greatest(%i, %i)", "least(%i, 5)", "nullif(%i, %i)", "bitwise_and(%i, 255)", "sign(%i)",
		"try_cast(%d AS bigint)", "try_cast(%s AS bigint)", "date_diff('hour', %t, %t)",
		"to_milliseconds(%t)", "CAST(%b AS bigint)", "cardinality(ARRAY[%i, %i])", "ARRAY[%i, %i][2]",
		"week(%t)", "CASE WHEN %b THEN %i WHEN %b THEN %i ELSE -1 END", "try(%i)",
		"reduce(ARRAY[%i, 1], BIGINT '0', (s, x) -> coalesce(s, 0) / 2 + x, s -> s)",
		"try(reduce(ARRAY[%i, %i, 3], CAST(%i AS bigint), (s, x) -> CAST(s + x * %i AS bigint), s -> s))",
		"cardinality(filter(ARRAY[%i, %i], x -> x > %i))", "element_at(transform(ARRAY[%i, %i], x -> x + %i), 1)",
		"reduce(zip_with(ARRAY[%i], ARRAY[%i, 1], (x, y) -> CAST(greatest(x, y) AS bigint)), BIGINT '1', (s, x) -> x, s -> s)",
		"array_sort(ARRAY[%i, 7, %i], (x, y) -> CAST(coalesce(sign(y), 0) - coalesce(sign(x), 0) AS bigint))[1]",
		"element_at(ARRAY[%i, 2], 1)", "mod(%i, 11)", "CAST(ROW(%i, %s) AS ROW(p bigint, q varchar)).p",
	};

	if (depth > 0 && pick(g, 3))
		gen_form(g, ONE_OF(g, forms), depth);
	else if (pick(g, 2))
		column(g, "n", "(n + 0)");
	else
		put(g, ONE_OF(g, literals));
}

static void gen_dbl(struct sqlgen *g, int depth)
{
	static const char *const literals[] = {"0.0", "1.5", "-0.0", "1e300", "50.25", "nan()", "infinity()", "0.1"};
	static const char *const forms[] = {
		"(%d + %d)", "(%d - %d)", "(%d * %d)", "(%d / %d)", "(%i * 0.5)", "round(%d, 2)", "sqrt(abs(%d))",
		"floor(%d)", "CAST(%i AS double)", "if(%b, %d, %d)", "coalesce(%d, %d)", "power(%d, 2)",
		"try_cast(%s AS double)", "to_unixtime(%t)", "greatest(%d, %d)", "abs(%d)", "-(%d)", "ln(abs(%d) + 1)",
		"CASE WHEN %b THEN %d END", "nullif(%d, %d)",
	};

	if (depth > 0 && pick(g, 3))
		gen_form(g, ONE_OF(g, forms), depth);
	else if (pick(g, 3))
		column(g, "u", "(u * 1)");
	else
		put(g, ONE_OF(g, literals));
}

static void gen_str(struct sqlgen *g, int depth)
{
	static const char *const literals[] = {"'h1'", "''", "'a%b'", "'été'", "CAST(NULL AS varchar)", "'us'"};
	static const char *const forms[] = {
		"(%s || %s)", "upper(%s)", "substr(%s, %i)", "concat(%s, '-', %s)", "CAST(%i AS varchar)",
		"CAST(%d AS varchar)", "CAST(%t AS varchar)", "if(%b, %s, %s)", "coalesce(%s, %s)", "reverse(%s)",
		"replace(%s, 'h', 'x')", "lpad(%s, 5, '*')", "trim(%s)", "split_part(%s, '1', 1)", "nullif(%s, %s)",
		"CASE %s WHEN 'h1' THEN %s ELSE %s END", "array_join(ARRAY[%i, %i], ',')", "CAST(%s AS varchar(3))",
		"regexp_replace(%s, '([a-h])(.)', x -> x[2] || %s)", "reduce(ARRAY[%s, 'z'], '', (s, x) -> s || x, s -> s || %s)",
		"array_join(transform(ARRAY[%s, %s], x -> upper(x)), ',')", "array_join(filter(ARRAY[%s, 'q'], x -> x > %s), '-')",
		"date_format(%t, '%%Y-%%m')", "CAST(%b AS varchar)", "greatest(%s, %s)",
	};

	if (depth > 0 && pick(g, 3))
		gen_form(g, ONE_OF(g, forms), depth);
	else if (pick(g, 3) == 0)
		put(g, ONE_OF(g, literals));
	else
		switch (pick(g, 4)) {
		case 0: column(g, "host", "concat(host, '')"); break;
		case 1: column(g, "region", "concat(region, '')"); break;
		case 2: column(g, "measure_name", "concat(measure_name, '')"); break;
		default: column(g, "s", "concat(s, '')");
		}
}

static void gen_ts(struct sqlgen *g, int depth)
{
	static const char *const literals[] = {"TIMESTAMP '2024-03-01'", "TIMESTAMP '2024-03-01 12:00:00'",
					       "TIMESTAMP '2024-03-02 06:30'", "TIMESTAMP '1969-12-31 23:00'",
					       "DATE '2024-03-02'", "CAST(NULL AS timestamp)",
					       "TIMESTAMP '2024-03-01 12:34:56.000000001'"};
	static const char *const forms[] = {
		"bin(%t, 1h)", "bin(%t, 15m)", "date_trunc('day', %t)", "(%t + %v)", "(%t - %v)",
		"date_add('hour', 3, CAST(%t AS timestamp))", "if(%b, %t, %t)", "coalesce(%t, %t)", "greatest(%t, %t)",
		"CAST(CAST(%t AS date) AS timestamp)", "from_milliseconds(to_milliseconds(%t))", "nullif(%t, %t)",
		"(%t + 1month)",
	};

	if (depth > 0 && pick(g, 3) == 0)
		gen_form(g, ONE_OF(g, forms), depth);
	else if (pick(g, 3))
		column(g, "time", "(time + 0s)");
	else if (pick(g, 2))
		gen_moment(g);
	else
		put(g, ONE_OF(g, literals));
}

static inline void gen_any(struct sqlgen *g, int depth)
{
	static const char *const any[] = {"%b", "%i", "%d", "%s", "%t", "%i", "%s", "ARRAY[%i, %i]", "ROW(%s, %d)"};

	gen_form(g, ONE_OF(g, any), depth);
}

static inline void gen_aggregate(struct sqlgen *g, int depth)
{
	static const char *const tidy[] = {
		"count(*)", "count(%i)", "sum(%i)", "sum(%d)", "avg(%d)", "avg(%i)", "min(%d)", "max(%d)", "min(%s)",
		"max(%t)", "min(%t)", "max(%i)", "count(DISTINCT %s)", "count(DISTINCT %i)", "sum(DISTINCT %i)",
		"count_if(%b)", "bool_and(%b)", "bool_or(%b)", "stddev(u)", "var_pop(u)", "skewness(u)",
		"approx_percentile(%d, 0.5)", "approx_percentile(%i, ARRAY[0.1, 0.9])", "approx_distinct(%s)",
		"max(%i, 3)", "min(%s, 2)", "bitwise_or_agg(%i)", "corr(u, n)", "regr_slope(u, n)", "max(time)",
		"sum(u)", "avg(u)", "avg(n)", "stddev_samp(u)", "covar_samp(u, n)", "geometric_mean(abs(u) + 1)",
		"count(*) FILTER (WHERE %b)", "sum(u) FILTER (WHERE %b)", "max(u)", "min(n)", "max(host)",
		"count(DISTINCT u) FILTER (WHERE %b)", "every(%b)", "sum(reduce(ARRAY[%i], BIGINT '0', (s, x) -> s + x, s -> s))",
		"max(cardinality(filter(ARRAY[n, %i], x -> x = n)))",
	};
	static const char *const wild[] = {"arbitrary(%s)", "array_agg(%i)", "max_by(%s, %i)", "min_by(%d, time)",
					   "last(%s, time)", "first(%i, %t)",
					   "reduce(create_time_series(time, %i), BIGINT '0', (s, x) -> x.value, s -> s)",
					   "moving_avg(filter(create_time_series(time, coalesce(%d, 0)), x -> x.value < %i), 3)",
					   "gapfill_locf(create_time_series(%t, coalesce(%s, '')), 1d)",
					   "increase(transform(create_time_series(time, 1), x -> second(x.time)))",
					   "max_by(%s, %d, 3)", "array_agg(DISTINCT %s)", "sum(sum(%i))", "sum(now())"};

	if (!g->is_tidy && pick(g, 4) == 0)
		gen_form(g, ONE_OF(g, wild), depth);
	else
		gen_form(g, ONE_OF(g, tidy), depth);
}

/* ---- window functions ------------------------------------------------------------------------------------ */

/* Over rows in a total order every function says the same in all tables; else only what ties cannot change. */
static inline void gen_window_total(struct sqlgen *g, int depth)
{
	static const char *const functions[] = {
		"row_number()", "ntile(%i)", "lag(%i)", "lead(%s, 2, %s)", "lag(%d, abs(%i) % 4)", "first_value(%s)",
		"last_value(%d)", "nth_value(%i, 3)", "lag(u) IGNORE NULLS", "lead(n, 2) IGNORE NULLS", "sum(%d)",
		"first_value(b) IGNORE NULLS", "last_value(s) IGNORE NULLS", "array_agg(n)", "max_by(%s, %d)", "avg(%d)",
		"sum(%i)", "min(%s)", "count(*) FILTER (WHERE %b)", "sum(u) FILTER (WHERE %b)", "arbitrary(%s)", "stddev(u)",
		"approx_percentile(%i, 0.5)", "max(%i, 3)", "rank()", "count(%d)", "nth_value(s, abs(%i) + 1)",
	};
	static const char *const frames[] = {
		"", " ROWS UNBOUNDED PRECEDING", " ROWS 2 PRECEDING", " ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING",
		" ROWS BETWEEN 1 FOLLOWING AND 40 FOLLOWING", " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
		" ROWS BETWEEN 400 PRECEDING AND 20 PRECEDING", " ROWS BETWEEN abs(%i) PRECEDING AND %i FOLLOWING",
		" GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
	};

	gen_form(g, ONE_OF(g, functions), depth);
	put(g, " OVER (");
	if (pick(g, 2))
		gen_form(g, pick(g, 2) ? "PARTITION BY host " : "PARTITION BY %i, region ", depth);
	put(g, pick(g, 2) ? "ORDER BY time, host, region, measure_name" :
			    "ORDER BY host DESC NULLS FIRST, time DESC, measure_name, region");
	gen_form(g, ONE_OF(g, frames), depth);
	put(g, ")");
}

static inline void gen_window_ties(struct sqlgen *g, int depth)
{
	static const char *const functions[] = {
		"rank()", "dense_rank()", "percent_rank()", "cume_dist()", "sum(%i)", "count(%i)", "min(%d)", "max(%s)", "avg(%i)",
		"bool_or(%b)", "count(*)", "count(*) FILTER (WHERE %b)", "bitwise_and_agg(%i)", "approx_distinct(%s)",
	};
	static const char *const orders[] = {
		"ORDER BY time", "ORDER BY u", "ORDER BY n", "ORDER BY bin(time, 1h)", "ORDER BY %i", "ORDER BY %d",
	};
	static const char *const how[] = {"", " DESC", " NULLS FIRST", " DESC NULLS FIRST"};
	static const char *const peers[] = {
		"", " RANGE CURRENT ROW", " GROUPS 2 PRECEDING", " GROUPS BETWEEN 1 FOLLOWING AND abs(%i) FOLLOWING",
		" RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", " GROUPS BETWEEN 30 PRECEDING AND 10 PRECEDING",
	};
	static const char *const spans[] = {
		" RANGE 1h PRECEDING", " RANGE BETWEEN 2h PRECEDING AND INTERVAL '1' DAY FOLLOWING",
		" RANGE BETWEEN 15m FOLLOWING AND 1month FOLLOWING", " RANGE BETWEEN %v PRECEDING AND CURRENT ROW",
	};
	static const char *const distances[] = {
		" RANGE 5 PRECEDING", " RANGE BETWEEN 10 PRECEDING AND 3 PRECEDING", " RANGE BETWEEN 0 FOLLOWING AND abs(%i) FOLLOWING",
		" RANGE BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING", " RANGE BETWEEN 2 PRECEDING AND 2 FOLLOWING",
	};
	uint32_t by = pick(g, (uint32_t)ARRAY_LEN(orders));

	gen_form(g, ONE_OF(g, functions), depth);
	put(g, " OVER (");
	if (pick(g, 2))
		gen_form(g, pick(g, 2) ? "PARTITION BY region " : "PARTITION BY host, %b ", depth);
	gen_form(g, orders[by], depth);
	put(g, ONE_OF(g, how));
	if (pick(g, 2))
		gen_form(g, ONE_OF(g, peers), depth);
	else if (by == 0 || by == 3)
		gen_form(g, ONE_OF(g, spans), depth);
	else
		gen_form(g, ONE_OF(g, distances), depth);
	put(g, ")");
}

static inline void gen_window(struct sqlgen *g, int depth)
{
	static const char *const wild[] = {
		"array_agg(%i) OVER (ORDER BY n ROWS 2 PRECEDING)", "row_number() OVER (PARTITION BY b)", "last_value(%s) OVER (ORDER BY %d)",
		"sum(%i) OVER (ORDER BY %s RANGE 1 PRECEDING)", "rank() OVER (ORDER BY row_number() OVER ())",
		"sum(DISTINCT %i) OVER ()", "lag(%i) OVER ()", "ntile(0) OVER ()",
	};

	if (!g->is_tidy && pick(g, 4) == 0)
		gen_form(g, ONE_OF(g, wild), depth);
	else if (pick(g, 2))
		gen_window_total(g, depth);
	else
		gen_window_ties(g, depth);
}

/* ---- statements --------------------------------------------------------------------------------------- */

static inline void gen_from(struct sqlgen *g)
{
	put(g, " FROM ");
	put(g, g->table);
	put(g, " AS q");
}

/* Behind a table: rows times elements, some of which have none. */
static inline void gen_unnest(struct sqlgen *g)
{
	static const char *const forms[] = {
		" CROSS JOIN UNNEST(ARRAY[%i, %i]) AS un(e)", ", UNNEST(ARRAY[%s], ARRAY[%d, %d]) WITH ORDINALITY AS un(e, f, o)",
		" LEFT JOIN UNNEST(if(%b, ARRAY[%i, 2])) AS un(e) ON true", ", UNNEST(split(%s, '1')) AS un(e)",
		" JOIN UNNEST(ARRAY[ROW(%i, %s), NULL]) AS un(e, f) ON %b", ", UNNEST(sequence(1, abs(%i % 5) + 1)) AS un(e)",
	};

	if (pick(g, 5) == 0)
		gen_form(g, ONE_OF(g, forms), 2);
}

static inline uint32_t gen_where(struct sqlgen *g)
{
	if (pick(g, 5) == 0)
		return 0;
	put(g, " WHERE ");
	if (pick(g, 3) == 0) {
		gen_time_range(g, g->is_wrapped ? "time + 0s" : "time");
		if (pick(g, 2))
			return 1;
		put(g, " AND ");
	}
	gen_bool(g, 1 + (int)pick(g, 4));
	return 1;
}

static inline void gen_order(struct sqlgen *g, uint32_t columns)
{
	static const char *const how[] = {"", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST"};

	put(g, " ORDER BY ");
	for (uint32_t i = 1; i <= columns; i++) {
		buf_addf(&g->sql, "%s%u%s", i > 1 ? ", " : "", i, ONE_OF(g, how));
	}
	if (pick(g, 2))
		buf_addf(&g->sql, " LIMIT %u", pick(g, 20));
	else if (pick(g, 3) == 0)
		buf_addf(&g->sql, " OFFSET %u FETCH FIRST %u ROWS WITH TIES", pick(g, 5), pick(g, 9));
}

static inline void gen_plain(struct sqlgen *g, bool is_ordered)
{
	uint32_t n = 1 + pick(g, 4);

	put(g, pick(g, 5) == 0 ? "SELECT DISTINCT " : "SELECT ");
	for (uint32_t i = 0; i < n; i++) {
		put(g, i ? ", " : "");
		gen_any(g, (int)pick(g, 4));
	}
	gen_from(g);
	gen_unnest(g);
	gen_where(g);
	if (is_ordered)
		gen_order(g, n);
}

/* GROUP BY 1, 2, ... in one of its ways. */
static inline void gen_group_by(struct sqlgen *g, uint32_t keys)
{
	static const char *const forms[] = {"ROLLUP (", "CUBE (", "GROUPING SETS ((), ("};
	uint32_t form = pick(g, 12);

	if (!keys)
		return;
	put(g, " GROUP BY ");
	if (form < ARRAY_LEN(forms))
		put(g, forms[form]);
	for (uint32_t i = 0; i < keys; i++)
		buf_addf(&g->sql, "%s%u", i ? ", " : "", i + 1);
	if (form < ARRAY_LEN(forms))
		put(g, form == 2 ? "))" : ")");
}

static inline void gen_grouped(struct sqlgen *g, bool is_ordered)
{
	static const char *const key[] = {"host", "region", "bin(time, 1h)", "bin(time, 15m)", "measure_name", "b",
					  "n % 3", "upper(s)", "date_trunc('day', time)", "u > 50", "host || 'x'"};
	uint32_t keys = pick(g, 4), aggs = 1 + pick(g, 3), first = pick(g, (uint32_t)ARRAY_LEN(key));

	put(g, "SELECT ");
	for (uint32_t i = 0; i < keys; i++)
		buf_addf(&g->sql, "%s, ", key[(first + i * 3) % ARRAY_LEN(key)]);
	for (uint32_t i = 0; i < aggs; i++) {
		put(g, i ? ", " : "");
		gen_aggregate(g, (int)pick(g, 3));
	}
	gen_from(g);
	gen_unnest(g);
	gen_where(g);
	gen_group_by(g, keys);
	if (pick(g, 5) == 0) {
		put(g, " HAVING ");
		gen_aggregate(g, 1);
		put(g, " IS NOT NULL");
	}
	if (is_ordered)
		gen_order(g, keys + aggs);
}

static inline void gen_windowed(struct sqlgen *g, bool is_ordered)
{
	uint32_t n = 1 + pick(g, 3);
	bool is_outer = pick(g, 3) == 0;

	put(g, is_outer ? "SELECT * FROM (SELECT host, time, b, n, " : "SELECT ");
	for (uint32_t i = 0; i < n; i++) {
		put(g, i ? ", " : "");
		if (pick(g, 4))
			gen_window(g, (int)pick(g, 3));
		else
			gen_any(g, 2);
		if (is_outer)
			buf_addf(&g->sql, " AS w%u", i);
	}
	gen_from(g);
	gen_where(g);
	if (is_outer) {
		put(g, ") WHERE ");
		if (pick(g, 2))
			column(g, "host = 'h1'", "concat(host, '') = 'h1'");
		else
			column(g, "host > 'h0' AND n < 5", "concat(host, '') > 'h0' AND n + 0 < 5");
		put(g, pick(g, 2) ? " AND w0 IS NOT NULL" : "");
		n += 4;
	}
	if (is_ordered)
		gen_order(g, n);
}

/* The first and last rows of series, in the ways that are known to need no others. */
static inline void gen_ends(struct sqlgen *g)
{
	static const char *const ranks[] = {"row_number()", "rank()", "dense_rank()"};
	static const char *const bounds[] = {"= 1", "<= 2", "< 4", "= 3"};
	static const char *const parts[] = {"host", "region, measure_name", "host, region", "upper(host)"};
	const char *time = g->is_wrapped ? "time + 0s" : "time";
	uint32_t form = pick(g, 3);

	if (form == 0) {
		buf_addf(&g->sql, "SELECT host, region, measure_name, max(%s), max_by(n, %s), min_by(s, %s)", time, time, time);
		buf_addf(&g->sql, pick(g, 2) ? ", max_by(u, %s, 3)" : ", min(%s, 2)", time);
	} else if (form == 1) {
		buf_addf(&g->sql, "SELECT region, max(%s), %s(%s)", time, pick(g, 2) ? "max" : "min", time);
	} else {
		buf_addf(&g->sql, "SELECT host, time, n, s, rn FROM (SELECT *, %s OVER (PARTITION BY %s ORDER BY %s%s", ONE_OF(g, ranks),
			 ONE_OF(g, parts), time, pick(g, 2) ? " DESC" : "");
		put(g, ", host, region, measure_name) AS rn");
	}
	gen_from(g);
	if (pick(g, 2)) {
		put(g, " WHERE ");
		gen_time_range(g, time);
	}
	if (form == 2)
		buf_addf(&g->sql, ") WHERE rn %s", ONE_OF(g, bounds));
	else
		put(g, form ? " GROUP BY region" : " GROUP BY host, region, measure_name");
}

/*
 * The table beside a query over it, whose columns have other names. Sums of doubles depend on the order of
 * rows, and so on which side is held: there are none.
 */
static inline void gen_join(struct sqlgen *g)
{
	static const char *const kinds[] = {"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"};
	static const char *const few[] = {
		"host = h2", "host = h2 AND time = t2", "time >= t2", "n = n2", "u < u2 AND host <> h2", "region = r2",
		"bin(time, 1h) = bin(t2, 1h)", "region IS NOT DISTINCT FROM r2 AND host = h2", "true", "n % 3 = n2",
	};
	static const char *const few_wrapped[] = {
		"concat(host, '') = concat(h2, '')", "concat(host, '') = concat(h2, '') AND time + 0s = t2 + 0s",
		"time + 0s >= t2 + 0s", "n + 0 = n2 + 0", "u * 1 < u2 AND concat(host, '') <> h2",
		"concat(region, '') = concat(r2, '')", "bin(time + 0s, 1h) = bin(t2, 1h)",
		"concat(region, '') IS NOT DISTINCT FROM r2 AND concat(host, '') = h2", "true", "(n + 0) % 3 = n2",
	};
	static const char *const many[] = {
		"host = h2 AND time = t2", "time = t2", "time = t2 AND host = h2 AND n < n2", "(host, time) = (h2, t2)",
		"region = r2 AND time = t2 AND u IS NOT DISTINCT FROM u2", "time = t2 + 5m AND host = h2",
	};
	static const char *const many_wrapped[] = {
		"concat(host, '') = h2 AND time + 0s = t2", "time + 0s = t2 + 0s",
		"time + 0s = t2 AND concat(host, '') = h2 AND n + 0 < n2", "(concat(host, ''), time + 0s) = (h2, t2)",
		"concat(region, '') = r2 AND time + 0s = t2 AND u * 1 IS NOT DISTINCT FROM u2",
		"time + 0s = t2 + 5m AND concat(host, '') = h2",
	};
	bool is_few = pick(g, 2), is_counted = pick(g, 3);
	uint32_t k;

	put(g, is_counted ? "SELECT count(*), sum(n), min(u2), max(t2), count(h2), max(u)" : "SELECT host, time, n, h2, t2, n2");
	gen_from(g);
	buf_addf(&g->sql, " %s (SELECT ", ONE_OF(g, kinds));
	put(g, is_few ? "host AS h2, region AS r2, max(time) AS t2, max(n) AS n2, min(u) AS u2"
		      : "host AS h2, region AS r2, time AS t2, n AS n2, u AS u2");
	gen_from(g);
	gen_where(g);
	put(g, is_few ? " GROUP BY host, region) ON " : ") ON ");
	k = pick(g, (uint32_t)(is_few ? ARRAY_LEN(few) : ARRAY_LEN(many)));
	put(g, is_few ? (g->is_wrapped ? few_wrapped : few)[k] : (g->is_wrapped ? many_wrapped : many)[k]);
	if (pick(g, 3) == 0) {
		put(g, " AND ");
		gen_bool(g, 2);
	}
	if (gen_where(g) && pick(g, 3) == 0)
		put(g, pick(g, 2) ? " AND n2 > 3" : " OR h2 IS NULL");
}

#endif
