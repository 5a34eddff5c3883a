/*
 * sql_random: random statements over a small table of random rows, and what must hold for them.
 *
 * The rows lie three times in the engine, loaded in different orders within each load: `r.memory` in
 * the memtable, `r.sealed` in overlapping runs, `r.tiles` in tiles. For each statement
 *
 *   - it runs, or fails with a sentence that begins with line:column;
 *   - the three tables give the same bytes (as a set of lines where no ORDER BY fixes them);
 *   - so do several threads, and little memory, where it suffices;
 *   - columns wrapped so that no condition can be pushed down (`time + 0s`, `concat(host, '')`) give
 *     the same bytes, too;
 *   - little memory or a cancel flag at a random moment end it with that errno, not otherwise.
 *
 * Choices come from bytes (a fuzzer's) as long as there are some, then from a generator seeded by
 * them: the same bytes make the same statement. Used by fuzz_exec and the unit test sql_random.
 */
#ifndef TIDE_TEST_SQL_RANDOM_H
#define TIDE_TEST_SQL_RANDOM_H

#include "tests/fuzz/sql_random_change.h"

/* A whole statement; true where ORDER BY fixes its rows' order. */
static inline bool gen_statement(struct sqlgen *g)
{
	bool is_ordered = pick(g, 3) == 0;

	buf_clear(&g->sql);
	if (pick(g, 2))
		return gen_deep(g);
	switch (pick(g, 13)) {
	case 11:
		gen_ends(g);
		is_ordered = false;
		break;
	case 10: /* what goes in circles, from random beginnings */
		put(g, "WITH RECURSIVE q (i, h) AS (SELECT n, host");
		gen_from(g);
		gen_where(g);
		put(g, pick(g, 2) ? " UNION SELECT (i * 3) % 11, h FROM q" : " UNION ALL SELECT i - 7, h FROM q WHERE i > 0");
		put(g, ") SELECT h, count(*), sum(i), min(i) FROM q GROUP BY ROLLUP (h)");
		is_ordered = false;
		break;
	case 0:
	case 1:
	case 2: gen_grouped(g, is_ordered); break;
	case 3:
		put(g, "SELECT * FROM (");
		gen_grouped(g, false);
		put(g, ")");
		is_ordered = false;
		break;
	case 4:
		put(g, "WITH w AS (SELECT *");
		gen_from(g);
		gen_where(g);
		put(g, ") SELECT host, count(*), sum(u) FROM w AS q WHERE ");
		gen_bool(g, 2);
		put(g, " GROUP BY host");
		is_ordered = false;
		break;
	case 5:
		put(g, "SELECT count(*), min(x), max(x) FROM (SELECT ");
		gen_int(g, 2);
		put(g, " AS x");
		gen_from(g);
		gen_where(g);
		put(g, " UNION ALL SELECT ");
		gen_int(g, 2);
		gen_from(g);
		gen_where(g);
		put(g, ") WHERE x > 0");
		is_ordered = false;
		break;
	case 6:
	case 7: gen_windowed(g, is_ordered); break;
	case 8:
		gen_join(g);
		is_ordered = false;
		break;
	default: gen_plain(g, is_ordered);
	}
	return is_ordered;
}

static inline int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* -0.0 is 0.0 to comparisons; which of both stands for equals depends on which came first. */
static inline void drop_signs(struct buf *b)
{
	size_t at = 0;

	for (size_t i = 0; i < b->len; i++) {
		bool is_zero = i + 3 < b->len && !memcmp(b->data + i, "-0.0", 4) && (i + 4 == b->len || !strchr("0123456789", b->data[i + 4]));
		if (!is_zero)
			b->data[at++] = b->data[i];
	}
	b->len = at;
}

/* The lines behind the header in an order of their own. */
static inline void sort_lines(struct buf *b)
{
	size_t n = 0, at = 0;
	char *copy = malloc(b->len + 1), **v = malloc((b->len + 1) * sizeof *v);

	if (!copy || !v)
		abort();
	memcpy(copy, b->data, b->len);
	copy[b->len] = '\0';
	for (char *p = copy, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
		*nl = '\0';
		v[n++] = p;
	}
	if (n > 1)
		qsort(v + 1, n - 1, sizeof *v, line_cmp);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(v[i]);
		memcpy(b->data + at, v[i], len);
		at += len;
		b->data[at++] = '\n';
	}
	free(copy);
	free(v);
}

static inline void random_differ(const char *what, struct str sql, struct str a, struct str b)
{
	size_t at = 0;

	while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at])
		at++;
	size_t from = at > 200 ? at - 200 : 0;
	fprintf(stderr, "%s: %s:\n  %.*s\n first, from byte %zu:\n%.*s\n second:\n%.*s\n", random_where, what, STR_FMT(sql), from,
		(int)MIN(a.len - MIN(from, a.len), (size_t)500), a.ptr + from,
		(int)MIN(b.len - MIN(from, b.len), (size_t)500), b.ptr + from);
	random_die(random_where, what);
}

/* One statement from these bytes, with all that must hold; compared with so many of five other ways to run it. */
static inline void random_statement(struct random_db *db, const uint8_t *data, size_t size, uint64_t seed, int ways)
{
	struct sqlgen g = {.data = data, .left = size, .rng = seed | 1, .table = random_tables[0]};
	struct random_run how = {.memory_bytes = 64 << 20, .cancel_after = -1, .limit_ns = 2 * NS_PER_S, .is_alone = true};
	struct buf first, other, sql;
	struct err e = {0};

	buf_init(&g.sql, 1 << 22);
	g.is_tidy = pick(&g, 4) != 0;
	if (pick(&g, 40) == 0) {
		random_change(db, &g);
		buf_release(&g.sql);
		return;
	}
	buf_init(&first, 1 << 28);
	buf_init(&other, 1 << 28);
	buf_init(&sql, 1 << 22);
	int skip = (int)pick(&g, 5);
	struct sqlgen start = g;
	bool is_ordered = gen_statement(&g);
	start.sql = g.sql;
	buf_add_str(&sql, buf_str(&g.sql));
	int rc = random_execute(db, buf_str(&sql), &how, &first, &e);
	if (rc < 0)
		random_check_error(buf_str(&sql), rc, &e);
	random_count.statements++;
	random_count.compared += rc >= 0 && g.is_tidy;
	if (getenv("SQL_RANDOM_SHOW"))
		fprintf(stderr, "%.*s\n  -- %d %s\n", STR_FMT(buf_str(&sql)), rc, rc < 0 ? e.text : "");
	if (rc >= 0 && g.is_tidy) {
		drop_signs(&first);
		if (!is_ordered)
			sort_lines(&first);
		for (int k = 0; k < ways; k++) {
			int i = 1 + (skip + k * 2) % 5;
			struct sqlgen again = start;
			again.sql = g.sql;
			again.table = random_tables[i % 3];
			again.is_wrapped = i >= 3;
			gen_statement(&again);
			g.sql = again.sql;
			how.is_alone = i % 2;
			/* What does not fit goes to files, and gives the same. */
			how.memory_bytes = pick(&g, 3) ? (size_t)64 << 20 : (size_t)512 << (10 + pick(&g, 4));
			int rc2 = random_execute(db, buf_str(&g.sql), &how, &other, &e);
			/* What reads fewer rows meets fewer errors. */
			if (rc2 < 0) {
				random_check_error(buf_str(&g.sql), rc2, &e);
				continue;
			}
			drop_signs(&other);
			if (!is_ordered)
				sort_lines(&other);
			/* Column names are the expressions' only where these are bare columns. */
			char *a = memchr(first.data, '\n', first.len), *b = memchr(other.data, '\n', other.len);
			struct str sa = {a, (size_t)((char *)first.data + first.len - a)};
			struct str sb = {b, (size_t)((char *)other.data + other.len - b)};
			if (!str_eq(sa, sb))
				random_differ(again.is_wrapped ? "differs without pushdown" : "differs by tier",
					      buf_str(&g.sql), sa, sb);
		}
	}
	/* Other formats, little memory, cancelled early. */
	how.format = (enum query_format)pick(&g, QUERY_FORMATS);
	how.memory_bytes = (size_t)64 << (10 + pick(&g, 8));
	how.cancel_after = (int)pick(&g, 6) - 2;
	how.is_alone = false;
	if (pick(&g, 3) == 0)
		how.limit_ns = 1 + pick(&g, 20) * 1000000;
	rc = random_execute(db, buf_str(&sql), &how, &other, &e);
	if (rc < 0)
		random_check_error(buf_str(&sql), rc, &e);
	buf_release(&g.sql);
	buf_release(&first);
	buf_release(&other);
	buf_release(&sql);
}

#endif
