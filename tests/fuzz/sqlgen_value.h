/*
 * sqlgen_value: an expression of a wanted type over the columns that are in scope: columns, literals, casts,
 * forms with a syntax of their own, and whatever the registry of functions (func_all()) says gives the type,
 * its arguments made likewise from its parameter types, lambdas and aggregates among them. Now and then an
 * expression of another type stands in the place.
 *
 * Types are written as in SQL: their text is all that is known of them.
 */
#ifndef TIDE_TEST_SQLGEN_VALUE_H
#define TIDE_TEST_SQLGEN_VALUE_H

#include "query/func.h"
#include "tests/fuzz/sqlgen.h"

#define GEN_DS "interval day to second"
#define GEN_YM "interval year to month"

static const char *const gen_types[] = {
	"bigint", "varchar", "double", "timestamp", "boolean", "integer", "date", "time", GEN_DS, GEN_YM,
	"array(bigint)", "array(varchar)", "array(double)", "array(timestamp)", "timeseries(double)",
	"timeseries(bigint)", "row(bigint, varchar)", "array(row(bigint, varchar))", "array(array(bigint))",
	"timeseries(varchar)",
};

/* The first are what most data is. */
static inline const char *gen_type(struct sqlgen *g)
{
	return gen_types[pick(g, pick(g, 3) ? 5 : (uint32_t)ARRAY_LEN(gen_types))];
}

static inline bool is(const char *type, const char *other)
{
	return !strcmp(type, other);
}

/* ---- what is in scope ----------------------------------------------------------------------------------- */

#define GEN_COLS 40

struct gen_scope {
	struct {
		const char *text, *type;
	} cols[GEN_COLS];
	uint32_t n;
	const struct gen_scope *up;  /* the query around, or what a lambda sees */
	const struct gen_scope *agg; /* the rows that aggregates are of; NULL: none may stand here */
};

/* Texts of one statement. */
static char gen_pool[1 << 20];

static inline const char *gen_keep(struct sqlgen *g, const char *text, size_t len)
{
	if (g->pool_len + len + 1 > sizeof gen_pool)
		return "NULL";
	char *at = memcpy(gen_pool + g->pool_len, text, len);
	at[len] = '\0';
	g->pool_len += (uint32_t)len + 1;
	return at;
}

static inline const char *gen_keepf(struct sqlgen *g, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return gen_keep(g, text, MIN((size_t)n, sizeof text - 1));
}

static inline void scope_add(struct gen_scope *s, const char *text, const char *type)
{
	if (s->n < GEN_COLS) {
		s->cols[s->n].text = text;
		s->cols[s->n++].type = type;
	}
}

/* A column of the type, of the nearest query that has one, or at times of one farther out. */
static inline bool gen_col(struct sqlgen *g, const char *type)
{
	for (const struct gen_scope *s = g->scope; s; s = s->up) {
		uint32_t n = 0, k;

		for (uint32_t i = 0; i < s->n; i++)
			n += is(s->cols[i].type, type);
		if (!n || (s->up && pick(g, 5) == 0))
			continue;
		k = pick(g, n);
		for (uint32_t i = 0;; i++) {
			if (is(s->cols[i].type, type) && !k--) {
				put(g, s->cols[i].text);
				return true;
			}
		}
	}
	return false;
}

/* ---- literals -------------------------------------------------------------------------------------------- */

static void gen_lit(struct sqlgen *g, const char *type);

/* "array(bigint)" with "array(": "bigint". */
static inline const char *gen_inner(struct sqlgen *g, const char *type, const char *outer)
{
	size_t n = strlen(outer), len = strlen(type);

	return !strncmp(type, outer, n) ? gen_keep(g, type + n, len - n - 1) : NULL;
}

static inline void gen_lit_list(struct sqlgen *g, const char *elem)
{
	uint32_t n = 1 + pick(g, 4);

	put(g, "ARRAY[");
	for (uint32_t i = 0; i < n; i++) {
		put(g, i ? ", " : "");
		gen_lit(g, elem);
	}
	put(g, "]");
}

static void gen_lit(struct sqlgen *g, const char *type)
{
	static const char *const bigints[] = {"0", "1", "2", "3", "-7", "5", "100", "BIGINT '4'", "BIGINT '1'", "BIGINT '-2'",
					      "2147483648", "9223372036854775807", "-9223372036854775807 - 1", "BIGINT '0'"};
	static const char *const integers[] = {"0", "1", "2", "3", "-1", "7", "12", "2147483647", "-2147483647 - 1", "10"};
	static const char *const doubles[] = {"0.0", "1.5", "50.25", "0.1", "-3.0", "1e300", "nan()", "infinity()", "5e-324",
					      "DOUBLE '2.0'", "0.5", "100.0"};
	static const char *const strings[] = {
		"'h1'", "''", "'a%b'", "'été'", "'us'", "'1'", "'12'", "'2024-03-01'", "'hour'", "'day'", "'%Y-%m-%d'", "'(a)(b?)'",
		"'[a-z]+'", "'$.a[0]'", "'{\"a\": [1, \"x\", {\"b\": null}]}'", "'%s|%s'", "'http://h:80/p%20q?a=b&c=d#f'", "','",
		"'2024-03-01 06:00:00.5'", "'48656c'", "lpad('x', 3000, 'ab')", "U&'\\00e9\\+01F600'", "'true'", "'minute'",
		"'eu'", "'h2'", "'m1'", "'yyyy-MM-dd'",
	};
	static const char *const times[] = {"TIME '10:15'", "TIME '00:00'", "TIME '23:59:59.999999999'"};
	static const char *const dates[] = {"DATE '2024-03-01'", "DATE '1970-01-01'", "DATE '2024-02-29'"};
	static const char *const stamps[] = {"TIMESTAMP '2024-03-01'", "TIMESTAMP '2024-03-01 12:00:00'", "TIMESTAMP '2024-03-02 06:30'",
					     "TIMESTAMP '1677-09-21 00:12:43.145224193'", "TIMESTAMP '1969-12-31 23:00'",
					     "TIMESTAMP '2262-04-11 23:47:16.854775807'", "TIMESTAMP '2024-03-01 12:34:56.000000001'", "now()"};
	static const char *const spans[] = {"1h", "0s", "15m", "7d", "INTERVAL '1' DAY", "90s", "50ns", "-1h",
					    "INTERVAL '2 03:04:05' DAY TO SECOND", "100000d"};
	static const char *const months[] = {"1month", "1y", "INTERVAL -'1-3' YEAR TO MONTH", "0month"};
	static const char *const bools[] = {"true", "false", "true", "CAST(NULL AS boolean)"};
	const char *inner;

	if (pick(g, 12) == 0 && strncmp(type, "timeseries", 10))
		buf_addf(&g->sql, "CAST(NULL AS %s)", type);
	else if (is(type, "bigint"))
		put(g, ONE_OF(g, bigints));
	else if (is(type, "integer"))
		put(g, ONE_OF(g, integers));
	else if (is(type, "double"))
		put(g, ONE_OF(g, doubles));
	else if (is(type, "varchar"))
		put(g, ONE_OF(g, strings));
	else if (is(type, "boolean"))
		put(g, ONE_OF(g, bools));
	else if (is(type, "timestamp") && pick(g, 2))
		gen_moment(g);
	else if (is(type, "timestamp"))
		put(g, ONE_OF(g, stamps));
	else if (is(type, "date"))
		put(g, ONE_OF(g, dates));
	else if (is(type, "time"))
		put(g, ONE_OF(g, times));
	else if (is(type, GEN_DS))
		put(g, ONE_OF(g, spans));
	else if (is(type, GEN_YM))
		put(g, ONE_OF(g, months));
	else if ((inner = gen_inner(g, type, "array(")))
		gen_lit_list(g, inner);
	else if (is(type, "row(bigint, varchar)"))
		put(g, pick(g, 2) ? "ROW(BIGINT '1', 'a')" : "CAST(ROW(7, 'h1') AS ROW(p bigint, q varchar))");
	else if ((inner = gen_inner(g, type, "timeseries(")) && g->lambdas == 0)
		buf_addf(&g->sql,
			 "(SELECT create_time_series(zt, CAST(zv AS %s)) FROM (SELECT time AS zt, max(n) AS zv FROM %s GROUP BY 1 "
			 "HAVING max(n) IS NOT NULL))", inner, g->table);
	else
		put(g, "NULL");
}

/* ---- functions -------------------------------------------------------------------------------------------- */

static void gen_val(struct sqlgen *g, const char *type, int depth);

/* Letters that stand for types: what they are in a call. */
struct gen_bind {
	const char *letter[26];
	char next; /* what the result of a lambda binds: U behind T, V behind T and U */
};

/* A pattern's type, its letters bound, at random where nothing binds them. */
static inline const char *gen_resolve(struct sqlgen *g, struct gen_bind *b, const char *pattern, size_t len)
{
	char out[200];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 60 < sizeof out; i++) {
		bool is_letter = pattern[i] >= 'A' && pattern[i] <= 'Z' && (i + 1 == len || strchr("),. ", pattern[i + 1]));
		if (!is_letter) {
			out[n++] = pattern[i];
			continue;
		}
		const char **t = &b->letter[pattern[i] - 'A'];
		if (!*t)
			*t = gen_types[pick(g, 5)];
		n += (size_t)snprintf(out + n, sizeof out - n, "%s", *t);
	}
	if (n == 8 && !memcmp(out, "interval", 8))
		return GEN_DS;
	return gen_keep(g, out, n);
}

/* Can what the pattern says be the type? Binds letters. */
static inline bool gen_unify(struct sqlgen *g, const char *pattern, const char *type, struct gen_bind *b)
{
	static const char *const lists[] = {"array(", "timeseries("};

	if (pattern[0] >= 'A' && pattern[0] <= 'Z' && !pattern[1]) {
		b->letter[pattern[0] - 'A'] = type;
		return true;
	}
	if (is(pattern, type) || (is(pattern, "interval") && is(type, GEN_DS)))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		size_t n = strlen(lists[i]);
		if (!strncmp(pattern, lists[i], n) && !strncmp(type, lists[i], n) && pattern[n + 1] == ')') {
			b->letter[pattern[n] - 'A'] = gen_inner(g, type, lists[i]);
			return true;
		}
	}
	return false;
}

enum gen_kind { GEN_SCALAR, GEN_AGG, GEN_WINDOW };

static inline bool gen_is_kind(const struct sqlgen *g, const struct func *f, enum gen_kind kind)
{
	static const char *const words[] = {"position", "current_date", "current_time", "current_timestamp", "localtime",
					    "localtimestamp", "current_user", "normalize", "grouping", "extract"};

	if ((f->flags & FN_HIDDEN) || !f->ret)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (is(f->name, words[i])) /* which have a syntax of their own */
			return false;
	if (g->is_tidy && (f->flags & FN_VOLATILE))
		return false;
	return kind == GEN_AGG ? f->agg != NULL : kind == GEN_WINDOW ? f->window != NULL : !f->agg && !f->window;
}

/* A function of the kind that gives the type (NULL: any); NULL: there is none. */
static inline const struct func *gen_function(struct sqlgen *g, const char *type, enum gen_kind kind, struct gen_bind *b)
{
	uint32_t n;
	const struct func *all = func_all(&n);
	uint32_t from = (pick(g, 256) * 256 + pick(g, 256)) % n;

	for (uint32_t i = 0; i < n; i++) {
		const struct func *f = &all[(from + i) % n];
		if (gen_is_kind(g, f, kind) && (!type || gen_unify(g, f->ret, type, b)))
			return f;
	}
	return NULL;
}

/* "(x4, x5) -> body". at: the parameter's pattern, behind "lambda". */
static inline void gen_lambda(struct sqlgen *g, const char *at, size_t len, struct gen_bind *b, int depth)
{
	struct gen_scope params = {.up = g->scope};
	const struct gen_scope *before = g->scope;
	const char *arrow = NULL;
	size_t from = 1, end = 0, nest = 0;

	while (end < len && !(at[end] == ')' && nest == 1)) {
		nest += at[end] == '(' ? 1 : 0;
		nest -= at[end] == ')' ? 1 : 0;
		end++;
	}
	if (end + 4 < len)
		arrow = at + end + 5;
	put(g, "(");
	nest = 0;
	for (size_t i = 1; i <= end && i < len; i++) {
		nest += at[i] == '(' ? 1 : 0;
		if ((at[i] == ',' && !nest) || i == end) {
			const char *name = gen_keepf(g, "x%u", g->names++);
			const char *type = gen_resolve(g, b, at + from, i - from);
			buf_addf(&g->sql, "%s%s", from > 1 ? ", " : "", name);
			if (!strncmp(type, "row(timestamp, ", 15)) {
				scope_add(&params, gen_keepf(g, "%s.time", name), "timestamp");
				scope_add(&params, gen_keepf(g, "%s.value", name), gen_inner(g, type, "row(timestamp, "));
			} else {
				scope_add(&params, name, type);
			}
			from = i + 2;
		}
		nest -= at[i] == ')' ? 1 : 0;
	}
	put(g, ") -> ");
	g->scope = &params;
	g->lambdas++;
	if (arrow && strncmp(arrow, "boolean", 7) && !strstr(gen_resolve(g, b, "U", 1), "timeseries")) {
		const char *type = gen_resolve(g, b, arrow, len - (size_t)(arrow - at));
		put(g, "CAST(");
		gen_val(g, type, depth);
		buf_addf(&g->sql, " AS %s)", type);
	} else if (arrow) {
		gen_val(g, "boolean", depth);
	} else {
		gen_val(g, gen_resolve(g, b, &b->next, 1), depth);
	}
	g->lambdas--;
	g->scope = before;
}

/* A fold's first state has just the type that its lambda makes. */
static inline void gen_exact(struct sqlgen *g, const char *type)
{
	if (strstr(type, "timeseries")) {
		gen_lit(g, type);
		return;
	}
	put(g, "CAST(");
	gen_lit(g, type);
	buf_addf(&g->sql, " AS %s)", type);
}

/* What some functions want to read in a text. NULL: nothing in particular. */
static inline const char *gen_suited(struct sqlgen *g, const char *name, uint32_t arg)
{
	static const char *const pools[][8] = {
		{"'hour'", "'day'", "'month'", "'week'", "'quarter'", "'year'", "'millisecond'", "'minute'"},
		{"'%Y-%m-%d %H:%i:%s.%f'", "'%a %b %c %D %d %e %h %I %j %k %l'", "'%M %m %p %r %S %T %v %W %x %y %%'", "'%d/%m/%Y'",
		 "'%Y-%m-%d'", "'%T'", "'%q'", "'%H'"},
		{"'yyyy-MM-dd HH:mm:ss.SSS'", "'EEE, d MMM yyyy'", "'hh:mm a'", "'D w xxxx e'", "'yy''yy'", "'HH'", "'GG CC'", "'K k S'"},
		{"'[%s] %s'", "'%5d|%-8s|%s'", "'%08.3f %e %g'", "'%,d'", "'%x %X %o'", "'%2$s %1$s'", "'%b %c %n%%'", "'%+d % d %(d'"},
		{"'{\"a\": [1, \"x\", {\"b c\": null}], \"x\": 2.5e3}'", "'[1, [2, 3], {}]'", "'\"t\\u00e9\"'", "'{\"a\": {\"b\": [true, false]}}'",
		 "'{'", "'null'", "'[]'", "'{\"a\": \"\\ud83d\\ude00\"}'"},
		{"'$.a[0]'", "'$'", "'$[1]'", "'$.a[2].\"b c\"'", "'$[''x'']'", "'$.a.b[1]'", "'$.x'", "'$..'"},
		{"'http://u@h.example:80/p%20q/r?a=b+c&d=%41#f%20g'", "'https://h/'", "'mailto:a@b'", "'//h?x'", "'a%zz'", "'http://[::1]:8/'",
		 "'ftp://h:99999/'", "'x y'"},
		{"'(a|h)(\\d)'", "'[a-z]+'", "'\\s*'", "'(?<n>.)'", "'^'", "'(a+)+$'", "'.'", "'('"},
		{"'2024-03-01'", "'2024-W09-5'", "'2024-061'", "'2024-03-01T10:15:30.5+02:00'", "'2024-03-01T10Z'", "'20240301'", "'2024-02-30'",
		 "'x'"},
		{"'68c3a9'", "'FF'", "'zz'", "'10'", "'-7f'", "''", "'1010'", "'c3'"},
	};
	static const struct {
		const char *name;
		uint32_t arg, pool;
	} suits[] = {
		{"date_trunc", 0, 0}, {"date_add", 0, 0}, {"date_diff", 0, 0}, {"date_format", 1, 1}, {"date_parse", 1, 1},
		{"format_datetime", 1, 2}, {"parse_datetime", 1, 2}, {"format", 0, 3}, {"json_", 0, 4}, {"json_", 1, 5}, {"url_", 0, 6},
		{"regexp_", 1, 7}, {"from_iso8601", 0, 8}, {"from_hex", 0, 9}, {"from_base", 0, 9}, {"date_parse", 0, 8},
	};

	for (size_t i = 0; i < ARRAY_LEN(suits); i++)
		if (!strncmp(name, suits[i].name, strlen(suits[i].name)) && arg == suits[i].arg)
			return pools[suits[i].pool][pick(g, 8)];
	return NULL;
}

/* Arguments of the parameter types. */
static inline void gen_args(struct sqlgen *g, const struct func *f, struct gen_bind *b, int depth)
{
	const char *at = f->params ? f->params : "T, T";
	bool is_first = true;
	uint32_t count = 0;

	b->next = 'T';
	for (const char *p = at; *p; p++)
		if (*p >= b->next && *p <= 'V')
			b->next = (char)(*p + 1);
	while (*at && *at != '[') {
		size_t len = 0, nest = 0;
		uint32_t times = 1;

		while (at[len] && at[len] != '[' && !(at[len] == ',' && !nest)) {
			nest += at[len] == '(' ? 1 : 0;
			nest -= at[len] == ')' ? 1 : 0;
			len++;
		}
		size_t next = len + (at[len] == ',' ? 2 : 0);
		if (len > 3 && !memcmp(at + len - 3, "...", 3)) {
			len -= 3;
			times = 1 + pick(g, 3);
		}
		while (len && at[len - 1] == ' ')
			len--;
		for (uint32_t i = 0; len && i < times; i++) {
			const char *suited = len == 7 && pick(g, 4) ? gen_suited(g, f->name, count) : NULL;
			put(g, is_first ? "" : ", ");
			count++;
			if (suited)
				put(g, suited);
			else if (len > 7 && !memcmp(at, "lambda(", 7))
				gen_lambda(g, at + 6, len - 6, b, depth);
			else if (!is_first && (f->flags & FN_CONST_ARGS))
				gen_lit(g, gen_resolve(g, b, at, len));
			else if (strstr(f->params ? f->params : "", "-> U") && len == 1 && *at == 'U')
				gen_exact(g, gen_resolve(g, b, "U", 1));
			else
				gen_val(g, gen_resolve(g, b, at, len), depth);
			is_first = false;
		}
		at += next;
	}
}

static inline bool gen_call(struct sqlgen *g, const char *type, int depth)
{
	struct gen_bind b = {0};
	const struct func *f = gen_function(g, type, GEN_SCALAR, &b);
	bool is_tried = pick(g, 3) > 0; /* most functions fail on something */

	if (!f)
		return false;
	buf_addf(&g->sql, "%s%s(", is_tried ? "try(" : "", f->name);
	gen_args(g, f, &b, depth);
	put(g, is_tried ? "))" : ")");
	return true;
}

/* Does the aggregate say the same whatever the order of rows? */
static inline bool gen_is_unordered(const struct func *f)
{
	static const char *const names[] = {"count", "count_if", "min", "max", "bool_and", "bool_or", "every", "bitwise_and_agg",
					    "bitwise_or_agg", "bitwise_xor_agg", "approx_distinct", "checksum", "histogram",
					    "regr_count"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is(f->name, names[i]))
			return true;
	return (is(f->name, "sum") || is(f->name, "avg")) && f->params && strncmp(f->params, "double", 6);
}

enum gen_place { GEN_OF_GROUP, GEN_OVER_SORTED, GEN_OVER_TIES };

/* What the rows of an aggregate are sorted by, so that they come in one order from everywhere: its arguments. */
static inline void gen_agg_order(struct sqlgen *g, size_t from, bool is_first_alone)
{
	size_t len = 0, nest = 0, end = g->sql.len;
	bool is_text = false, is_plain = pick(g, 3);

	for (; from + len < end; len++) {
		char c = (char)g->sql.data[from + len];
		is_text ^= c == '\'';
		if (is_first_alone && c == ',' && !nest && !is_text)
			break;
		nest += !is_text && (c == '(' || c == '[');
		nest -= !is_text && (c == ')' || c == ']');
	}
	/* However long: statements that differ in columns' forms alone go on alike. */
	char *args = malloc(len + 1);
	if (!args)
		abort();
	memcpy(args, g->sql.data + from, len);
	if (len)
		buf_addf(&g->sql, " ORDER BY ROW(%.*s)%s", (int)len, args, is_plain ? "" : " DESC NULLS FIRST");
	free(args);
}

/* An aggregate over the rows of s, with FILTER. Over windows there is neither DISTINCT nor ORDER BY. */
static inline bool gen_agg(struct sqlgen *g, const char *type, const struct gen_scope *s, int depth, enum gen_place place)
{
	struct gen_bind b = {0};
	const struct gen_scope *before = g->scope;
	const struct func *f = gen_function(g, type, GEN_AGG, &b);
	struct gen_scope rows = *s;

	if (!f || (place == GEN_OVER_TIES && g->is_tidy && !gen_is_unordered(f)))
		return false;
	rows.agg = NULL;
	g->scope = &rows;
	if (is(f->name, "count") && pick(g, 2)) {
		put(g, "count(*)");
	} else {
		bool is_distinct = place == GEN_OF_GROUP && f->params && *f->params && pick(g, 6) == 0 &&
				   (!g->is_tidy || gen_is_unordered(f)); /* it cannot be sorted by all */
		buf_addf(&g->sql, "%s(%s", f->name, is_distinct ? "DISTINCT " : "");
		size_t from = g->sql.len;
		gen_args(g, f, &b, depth);
		bool is_sorted = g->is_tidy && !gen_is_unordered(f);
		if (place == GEN_OF_GROUP && g->sql.len > from && !is_distinct && (is_sorted || pick(g, 6) == 0))
			gen_agg_order(g, from, f->flags & FN_CONST_ARGS);
		put(g, ")");
	}
	if (pick(g, 6) == 0) {
		put(g, " FILTER (WHERE ");
		gen_val(g, "boolean", depth);
		put(g, ")");
	}
	g->scope = before;
	return true;
}

/* ---- window functions ---------------------------------------------------------------------------------------- */

static const char *const gen_sort_how[] = {"", " DESC", " NULLS FIRST", " DESC NULLS LAST", ""};

/* Ranks and aggregates that ties cannot change. */
static inline bool gen_over_ties(struct sqlgen *g, const char *type, int depth)
{
	static const char *const ranks[] = {"rank()", "dense_rank()"};
	static const char *const shares[] = {"percent_rank()", "cume_dist()"};
	static const char *const frames[] = {
		"", " RANGE CURRENT ROW", " GROUPS 2 PRECEDING", " GROUPS BETWEEN 30 PRECEDING AND 10 PRECEDING",
		" RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
	};
	static const char *const numbers[] = {" RANGE 5 PRECEDING", " RANGE BETWEEN 2 PRECEDING AND 20 FOLLOWING"};
	static const char *const times[] = {" RANGE 1h PRECEDING", " RANGE BETWEEN 2h PRECEDING AND 1d FOLLOWING"};

	if (pick(g, 2) && is(type, "bigint"))
		put(g, ONE_OF(g, ranks));
	else if (pick(g, 2) && is(type, "double"))
		put(g, ONE_OF(g, shares));
	else if (!gen_agg(g, type, g->scope, depth, GEN_OVER_TIES))
		return false;
	put(g, " OVER (");
	if (pick(g, 2)) {
		put(g, "PARTITION BY ");
		gen_val(g, gen_type(g), depth);
	}
	if (pick(g, 4)) {
		const char *by = gen_types[pick(g, 5)];
		put(g, " ORDER BY ");
		gen_val(g, by, depth);
		put(g, ONE_OF(g, gen_sort_how));
		if (pick(g, 2))
			put(g, ONE_OF(g, frames));
		else if (is(by, "bigint") || is(by, "double"))
			put(g, ONE_OF(g, numbers));
		else if (is(by, "timestamp"))
			put(g, ONE_OF(g, times));
	}
	put(g, ")");
	return true;
}

/* Rows sorted by all that is known of them say the same wherever they came from. */
static inline bool gen_over_sorted(struct sqlgen *g, const char *type, int depth)
{
	static const char *const frames[] = {
		"", "", " ROWS UNBOUNDED PRECEDING", " ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING", " ROWS 2 PRECEDING",
		" ROWS BETWEEN 20 FOLLOWING AND 400 FOLLOWING", " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
		" GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING", " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
	};
	const struct gen_scope *s = g->scope;
	struct gen_bind b = {0};
	const struct func *f = pick(g, 2) ? gen_function(g, type, GEN_WINDOW, &b) : NULL;
	uint32_t from = pick(g, MAX(s->n, 1));

	if (f) {
		buf_addf(&g->sql, "%s(", f->name);
		gen_args(g, f, &b, depth);
		put(g, ")");
		if ((f->flags & FN_SKIPS_NULLS) && pick(g, 3) == 0)
			put(g, " IGNORE NULLS");
	} else if (!gen_agg(g, type, s, depth, GEN_OVER_SORTED)) {
		return false;
	}
	put(g, " OVER (");
	if (pick(g, 2)) {
		put(g, "PARTITION BY ");
		gen_val(g, gen_type(g), depth);
	}
	put(g, " ORDER BY 1 + 0");
	for (uint32_t i = 0; i < s->n; i++) {
		if (strncmp(s->cols[(from + i) % s->n].type, "timeseries", 10))
			buf_addf(&g->sql, ", %s%s", s->cols[(from + i) % s->n].text, ONE_OF(g, gen_sort_how));
	}
	put(g, ONE_OF(g, frames));
	put(g, ")");
	return true;
}

/* ---- expressions ----------------------------------------------------------------------------------------------- */

static void gen_query(struct sqlgen *g, const char *const *types, uint32_t n, int depth); /* sqlgen_deep.h */

/* {bigint} in a form is an expression of that type; {1} and {2} are of two types that are told. */
static inline void gen_typed_form(struct sqlgen *g, const char *form, const char *one, const char *two, int depth)
{
	for (; *form; form++) {
		const char *end = *form == '{' ? strchr(form, '}') : NULL;
		if (!end) {
			buf_addc(&g->sql, *form);
			continue;
		}
		if (form[1] == '1')
			gen_val(g, one, depth - 1);
		else if (form[1] == '2')
			gen_val(g, two, depth - 1);
		else if (form[1] == 'q')
			gen_query(g, &one, 1, depth - 1);
		else
			gen_val(g, gen_keep(g, form + 1, (size_t)(end - form - 1)), depth - 1);
		form = end;
	}
}

/* What has a syntax of its own and gives this type. */
static inline void gen_syntax(struct sqlgen *g, const char *type, int depth)
{
	static const char *const any[] = {
		"if({boolean}, {1}, {1})", "CASE WHEN {boolean} THEN {1} WHEN {boolean} THEN {1} END", "coalesce({1}, {1})",
		"nullif({1}, {1})", "CASE {2} WHEN {2} THEN {1} ELSE {1} END", "try({1})", "element_at(ARRAY[{1}, {1}], {bigint})",
	};
	static const char *const bools[] = {
		"({1} = {1})", "({1} <= {1})", "({1} > {1})", "({1} <> {1})", "({1} IS DISTINCT FROM {1})", "({1} = {1} AND {2} = {2})",
		"{1} BETWEEN {1} AND {1}", "{1} IN ({1}, {1}, {1})", "{1} NOT IN ({1}, {1})", "{1} IS NULL", "{1} IS NOT NULL",
		"({boolean} AND {boolean})", "({boolean} AND {boolean})", "({boolean} OR {boolean})", "NOT ({boolean})",
		"{varchar} LIKE 'h_'", "{varchar} LIKE {varchar} ESCAPE '!'", "({1}, {2}) IN (({1}, {2}), ({1}, {2}))",
		"(ROW({1}, {2}) = ROW({1}, {2}))", "(ARRAY[{1}] < ARRAY[{1}, {1}])",
		"{timestamp} >= TIMESTAMP '2024-03-01 06:00:00'", "{timestamp} < TIMESTAMP '2024-03-01 06:00:00'",
		"{timestamp} < '2024-03-01 01:30'", "{timestamp} > '2024-03-01 01:30'", "{timestamp} <= TIMESTAMP '2024-03-01 03:00:00'",
		"{timestamp} BETWEEN TIMESTAMP '2024-03-01 01:00' AND TIMESTAMP '2024-03-01 02:00'", "{varchar} = 'h1'", "{varchar} IN ('h1', 'h3', 'eu')", "{bigint} < 3",
		"bin({timestamp}, 1h) = TIMESTAMP '2024-03-01 05:00'",
	};
	static const char *const queries[] = {
		"{1} IN ({q})", "{1} NOT IN ({q})", "EXISTS ({q})", "NOT EXISTS ({q})", "{1} = ANY ({q})", "{1} < ALL ({q})",
		"{1} <> ALL ({q})", "{1} >= SOME ({q})",
	};
	static const char *const ints[] = {
		"({1} + {1})", "({1} - {1})", "({1} * 3)", "try({1} / {1})", "({1} % 5)", "-({1})", "try({1} * {1})",
	};
	static const char *const bigints[] = {
		"extract(HOUR FROM {timestamp})", "extract(DAY FROM {date})", "position({varchar} IN {varchar})",
		"CAST(ROW({bigint}, {2}) AS ROW(p bigint, r varchar)).p", "ARRAY[{bigint}, {bigint}][1 + abs({bigint} % 2)]",
	};
	static const char *const doubles[] = {"({1} + {1})", "({1} - {1})", "({1} * {1})", "({1} / {1})", "({1} % {1})", "({bigint} * 0.5)"};
	static const char *const strings[] = {"({1} || {1})", "({1} || '-' || {1})", "substring({1} FROM {bigint} FOR 3)",
					      "CAST({1} AS varchar(2))"};
	static const char *const stamps[] = {"({1} + {" GEN_DS "})", "({1} - {" GEN_DS "})", "({1} + {" GEN_YM "})", "bin({1}, 1h)"};
	static const char *const spans[] = {"({1} + {1})", "({1} - {1})", "({1} * {bigint})", "({timestamp} - {timestamp})", "({1} / 2)"};
	static const char *const lists[] = {"({1} || {1})", "ARRAY[{e}, {e}]", "ARRAY[{e}]"};
	const char *two = gen_type(g), *one = gen_types[pick(g, pick(g, 4) ? 5 : (uint32_t)ARRAY_LEN(gen_types))];
	const char *elem = gen_inner(g, type, "array(");

	if (pick(g, 3) == 0)
		gen_typed_form(g, ONE_OF(g, any), type, two, depth);
	else if (is(type, "boolean") && g->queries < 3 && !g->lambdas && pick(g, 5) == 0)
		gen_typed_form(g, ONE_OF(g, queries), one, two, depth);
	else if (is(type, "boolean"))
		gen_typed_form(g, ONE_OF(g, bools), one, two, depth);
	else if (is(type, "bigint") && pick(g, 3) == 0)
		gen_typed_form(g, ONE_OF(g, bigints), type, "varchar", depth);
	else if (is(type, "bigint") || is(type, "integer"))
		gen_typed_form(g, ONE_OF(g, ints), type, two, depth);
	else if (is(type, "double"))
		gen_typed_form(g, ONE_OF(g, doubles), type, two, depth);
	else if (is(type, "varchar"))
		gen_typed_form(g, ONE_OF(g, strings), type, two, depth);
	else if (is(type, "timestamp"))
		gen_typed_form(g, ONE_OF(g, stamps), type, two, depth);
	else if (is(type, GEN_DS))
		gen_typed_form(g, ONE_OF(g, spans), type, two, depth);
	else if (elem) {
		const char *form = ONE_OF(g, lists);
		if (strstr(form, "{e}"))
			gen_typed_form(g, strchr(form, ',') ? "ARRAY[{1}, {1}]" : "ARRAY[{1}]", elem, two, depth);
		else
			gen_typed_form(g, form, type, two, depth);
	} else if (is(type, "row(bigint, varchar)"))
		gen_typed_form(g, "ROW({bigint}, {varchar})", type, two, depth);
	else
		gen_typed_form(g, ONE_OF(g, any), type, two, depth);
}

/* From a type that casts to it, mostly. */
static inline void gen_cast(struct sqlgen *g, const char *type, int depth)
{
	static const char *const numbers[] = {"bigint", "double", "varchar", "boolean", "integer"};
	const char *elem = gen_inner(g, type, "array("), *from = gen_type(g);

	if (elem)
		from = pick(g, 2) ? "array(varchar)" : "array(bigint)";
	else if (is(type, "timestamp") || is(type, "date") || is(type, "time"))
		from = pick(g, 2) ? "varchar" : is(type, "timestamp") ? "date" : "timestamp";
	else if (!is(type, "varchar") && pick(g, 8))
		from = ONE_OF(g, numbers);
	if (gen_inner(g, type, "timeseries(")) {
		gen_val(g, type, depth - 1);
		return;
	}
	if (gen_inner(g, from, "timeseries(") || is(type, GEN_DS) || is(type, GEN_YM))
		from = type;
	put(g, pick(g, 4) ? "TRY_CAST(" : "CAST(");
	gen_val(g, from, depth - 1);
	buf_addf(&g->sql, " AS %s)", type);
}

/* Whatever a function gives, and something of the type made of that: maps, sets and rows come by this way. */
static inline bool gen_of_any(struct sqlgen *g, const char *type, int depth)
{
	bool is_agg = g->scope && g->scope->agg && !g->lambdas && pick(g, 2), is_list = is(type, "bigint");

	if (!is_list && !is(type, "boolean") && !is(type, "varchar"))
		return false;
	put(g, is_list ? "cardinality(" : is(type, "varchar") ? "typeof(" : "(");
	if (!(is_agg ? gen_agg(g, NULL, g->scope->agg, depth, GEN_OF_GROUP) : gen_call(g, NULL, depth)))
		put(g, "NULL");
	put(g, is(type, "boolean") ? " IS NOT NULL)" : ")");
	return true;
}

static void gen_val(struct sqlgen *g, const char *type, int depth)
{
	/* However long a statement's bytes are, it ends. */
	if (++g->nodes > 160)
		depth = 0;
	if (g->nodes < 600 && pick(g, g->is_tidy ? 2000 : 150) == 0)
		type = gen_type(g);
	if (g->scope && g->scope->agg && !g->lambdas && pick(g, 5) < 3 && gen_agg(g, type, g->scope->agg, depth - 1, GEN_OF_GROUP))
		return;
	if (depth > 0 && pick(g, 12) == 0 && gen_of_any(g, type, depth - 1))
		return;
	switch (depth <= 0 ? pick(g, 4) : pick(g, 16)) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 5:
		if (gen_col(g, type))
			return;
		break;
	case 3: break;
	case 6:
	case 7: gen_cast(g, type, depth); return;
	case 8:
		if (g->queries >= 3 || g->lambdas)
			break;
		g->is_single = true;
		put(g, "(");
		gen_query(g, &type, 1, depth - 1);
		put(g, ")");
		return;
	case 9:
	case 10:
	case 11:
	case 12:
		if (gen_call(g, type, depth - 1))
			return;
		break;
	default: gen_syntax(g, type, depth); return;
	}
	gen_lit(g, type);
}

#endif
