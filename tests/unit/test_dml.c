/*
 * DELETE and INSERT through SQL against a twin: an array that knows what each row must be. Rows lie in
 * memory, runs and tiles; conditions are random, in SQL and in C; TIDE_SEED=n replays.
 */
#include "engine/engine.h"
#include "query/query.h"
#include "tests/unit/unit.h"

#define HOSTS    6 /* the last: NULL */
#define REGIONS  3 /* likewise */
#define MEASURES 2
#define TIMES    24
#define START_NS (INT64_C(1709287200) * NS_PER_S) /* 2024-03-01 10:00 */

struct cells {
	bool is_there;
	bool has_v, has_n, has_s;
	int v, n, s;
};

struct world {
	struct unit_rng rng;
	char dir[64];
	int dirfd;
	struct engine *engine;
	struct cells rows[HOSTS][REGIONS][MEASURES][TIMES];
};

/* ---- SQL ------------------------------------------------------------------------------------------ */

static void open_engine(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	int rc = engine_open(w->dir, &opt, &w->engine, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
}

static struct table *get_table(struct world *w)
{
	struct db *db = engine_db(w->engine, STR_LIT("d"));
	struct table *t = db_table(db, STR_LIT("t"));

	db_put(db);
	return t;
}

static int change(struct world *w, const char *sql, int64_t *ret_rows, struct err *e)
{
	struct query_env env = {.engine = w->engine, .default_db = "d"};

	return query_run(&env, str_from(sql), ret_rows, NULL, e);
}

static void ask(struct world *w, const char *sql, struct buf *out)
{
	struct query_env env = {.engine = w->engine, .default_db = "d"};
	struct query_text *t = NULL;
	struct query *q;
	struct err e = {0};

	int rc = query_prepare(&env, str_from(sql), &q, &e);
	if (rc >= 0)
		rc = query_text_create(q, QF_CSV, &t, &e);
	unit_assert(&w->rng, rc >= 0, "%s: %s", sql, e.text);
	while ((rc = query_text_next(t, out, &e)) > 0)
		;
	unit_assert(&w->rng, rc >= 0, "%s: %s", sql, e.text);
	query_text_destroy(t);
	buf_addc(out, '\0');
}

/* ---- conditions ------------------------------------------------------------------------------------ */

enum tri { NO, YES, NIL };

enum kind {
	HOST_EQ, HOST_IN, HOST_NULL, HOST_LIKE, HOST_CAST, HOST_SUBSTR, REGION_NE, MEASURE_EQ, REGION_OR_HOST,
	TIME_GE, TIME_LT, TIME_BETWEEN, SECOND_EQ, V_GT, V_NULL, N_EVEN, S_EQ, V_EQ_N, CONST_TRUE, CONST_FALSE, CONST_NULL,
	ATOMS, AND, OR, NOT,
};

struct cond {
	enum kind kind;
	int a, b;
	struct cond *l, *r;
};

struct row {
	int host, region, measure, time;
	const struct cells *c;
};

static enum tri tri(bool known, bool yes)
{
	return !known ? NIL : yes ? YES : NO;
}

static enum tri judge(const struct cond *x, const struct row *r)
{
	const struct cells *c = r->c;
	bool host = r->host < HOSTS - 1, region = r->region < REGIONS - 1;
	enum tri p, q;

	switch (x->kind) {
	case HOST_EQ:
	case HOST_CAST:
	case HOST_SUBSTR:
		return tri(host, x->kind == HOST_CAST ? r->host < x->a : r->host == x->a);
	case HOST_IN:
		return tri(host, r->host == x->a || r->host == x->b);
	case HOST_NULL:
		return tri(true, !host);
	case HOST_LIKE: /* 'h_' but for one */
		return tri(host, r->host != x->a);
	case REGION_NE:
		return tri(region, r->region != x->a);
	case MEASURE_EQ:
		return tri(true, r->measure == x->a % MEASURES);
	case REGION_OR_HOST:
		p = tri(region, r->region == x->a);
		q = tri(host, r->host == x->b);
		return p == YES || q == YES ? YES : p == NIL || q == NIL ? NIL : NO;
	case TIME_GE:
		return tri(true, r->time >= x->a);
	case TIME_LT:
		return tri(true, r->time < x->a);
	case TIME_BETWEEN:
		return tri(true, r->time >= x->a && r->time <= x->b);
	case SECOND_EQ:
		return tri(true, r->time % 3 == x->a % 3);
	case V_GT:
		return tri(c->has_v, c->v > x->a);
	case V_NULL:
		return tri(true, !c->has_v);
	case N_EVEN:
		return tri(c->has_n, c->n % 2 == 0);
	case S_EQ:
		return tri(c->has_s, c->s == x->a);
	case V_EQ_N:
		return tri(c->has_v && c->has_n, c->v == c->n);
	case CONST_TRUE:
		return YES;
	case CONST_FALSE:
		return NO;
	case CONST_NULL:
		return NIL;
	case NOT:
		p = judge(x->l, r);
		return p == NIL ? NIL : p == YES ? NO : YES;
	case AND:
		p = judge(x->l, r);
		q = judge(x->r, r);
		return p == NO || q == NO ? NO : p == NIL || q == NIL ? NIL : YES;
	case OR:
		p = judge(x->l, r);
		q = judge(x->r, r);
		return p == YES || q == YES ? YES : p == NIL || q == NIL ? NIL : NO;
	case ATOMS:
		break;
	}
	abort();
}

static void write_time(struct buf *out, int t)
{
	buf_addf(out, "TIMESTAMP '2024-03-01 10:00:%02d'", t);
}

static void write_cond(const struct cond *x, struct buf *out)
{
	switch (x->kind) {
	case HOST_EQ:
		buf_addf(out, "host = 'h%d'", x->a);
		break;
	case HOST_IN:
		buf_addf(out, "host IN ('h%d', 'h%d')", x->a, x->b);
		break;
	case HOST_NULL:
		buf_adds(out, "host IS NULL");
		break;
	case HOST_LIKE:
		buf_addf(out, "host NOT LIKE '%%%d'", x->a);
		break;
	case HOST_CAST:
		buf_addf(out, "CAST(substr(host, 2) AS bigint) < %d", x->a);
		break;
	case HOST_SUBSTR:
		buf_addf(out, "substr(upper(host), 2, 1) = '%d'", x->a);
		break;
	case REGION_NE:
		buf_addf(out, "region <> 'r%d'", x->a);
		break;
	case MEASURE_EQ:
		buf_addf(out, "measure_name = 'm%d'", x->a % MEASURES);
		break;
	case REGION_OR_HOST:
		buf_addf(out, "(region = 'r%d' OR host = 'h%d')", x->a, x->b);
		break;
	case TIME_GE:
		buf_adds(out, "time >= ");
		write_time(out, x->a);
		break;
	case TIME_LT:
		write_time(out, x->a);
		buf_adds(out, " > time");
		break;
	case TIME_BETWEEN:
		buf_adds(out, "time BETWEEN ");
		write_time(out, x->a);
		buf_adds(out, " AND ");
		write_time(out, x->b);
		break;
	case SECOND_EQ:
		buf_addf(out, "second(time) %% 3 = %d", x->a % 3);
		break;
	case V_GT:
		buf_addf(out, "v > %d", x->a);
		break;
	case V_NULL:
		buf_adds(out, "v IS NULL");
		break;
	case N_EVEN:
		buf_adds(out, "n % 2 = 0");
		break;
	case S_EQ:
		buf_addf(out, "s = 's%d'", x->a);
		break;
	case V_EQ_N:
		buf_adds(out, "v = n");
		break;
	case CONST_TRUE:
		buf_adds(out, "TRUE");
		break;
	case CONST_FALSE:
		buf_adds(out, "1 = 2");
		break;
	case CONST_NULL:
		buf_adds(out, "NULL");
		break;
	case NOT:
		buf_adds(out, "NOT (");
		write_cond(x->l, out);
		buf_addc(out, ')');
		break;
	case AND:
	case OR:
		buf_addc(out, '(');
		write_cond(x->l, out);
		buf_adds(out, x->kind == AND ? " AND " : " OR ");
		write_cond(x->r, out);
		buf_addc(out, ')');
		break;
	case ATOMS:
		abort();
	}
}

static struct cond *make_cond(struct world *w, struct arena *a, int depth)
{
	struct unit_rng *r = &w->rng;
	struct cond *x = arena_new(a, struct cond);

	x->kind = depth && unit_below(r, 3) ? (enum kind)(AND + unit_below(r, 3)) : (enum kind)unit_below(r, ATOMS);
	/* Constants are dull: one of them now and then. */
	if (x->kind >= CONST_TRUE && x->kind < ATOMS && unit_below(r, 4))
		x->kind = (enum kind)unit_below(r, CONST_TRUE);
	x->a = (int)unit_below(r, x->kind >= TIME_GE && x->kind <= TIME_BETWEEN ? TIMES : 5);
	x->b = (int)unit_below(r, x->kind == TIME_BETWEEN ? TIMES : 5);
	if (x->kind > ATOMS) {
		x->l = make_cond(w, a, depth - 1);
		x->r = make_cond(w, a, depth - 1);
	}
	return x;
}

/* ---- the twin --------------------------------------------------------------------------------------- */

#define EACH_ROW(w, h, g, m, t)                           \
	for (int h = 0; h < HOSTS; h++)                    \
		for (int g = 0; g < REGIONS; g++)           \
			for (int m = 0; m < MEASURES; m++)   \
				for (int t = 0; t < TIMES; t++)

static void patch(struct cells *to, const struct cells *from)
{
	to->is_there = true;
#define FIELD(f)                          \
	if (from->has_##f) {              \
		to->has_##f = true;       \
		to->f = from->f;          \
	}
	FIELD(v)
	FIELD(n)
	FIELD(s)
#undef FIELD
}

static void compare(struct world *w, const char *after)
{
	struct buf want, got;

	buf_init(&want, 1 << 22);
	buf_init(&got, 1 << 22);
	buf_adds(&want, "host,region,measure_name,time,v,n,s\n");
	EACH_ROW(w, h, g, m, t) {
		const struct cells *c = &w->rows[h][g][m][t];
		if (!c->is_there)
			continue;
		if (h < HOSTS - 1)
			buf_addf(&want, "h%d", h);
		buf_addc(&want, ',');
		if (g < REGIONS - 1)
			buf_addf(&want, "r%d", g);
		buf_addf(&want, ",m%d,2024-03-01 10:00:%02d.000000000,", m, t);
		if (c->has_v)
			buf_addf(&want, "%d.0", c->v);
		buf_addc(&want, ',');
		if (c->has_n)
			buf_addf(&want, "%d", c->n);
		buf_addc(&want, ',');
		if (c->has_s)
			buf_addf(&want, "s%d", c->s);
		buf_addc(&want, '\n');
	}
	buf_addc(&want, '\0');
	ask(w, "SELECT host, region, measure_name, time, v, n, s FROM t ORDER BY host, region, measure_name, time", &got);
	unit_assert(&w->rng, strcmp(want.data, got.data) == 0, "after %s\nwant:\n%s\ngot:\n%s", after, want.data, got.data);
	buf_release(&want);
	buf_release(&got);
}

/* ---- statements --------------------------------------------------------------------------------------- */

static void run_delete(struct world *w)
{
	struct arena a;
	struct buf sql;
	struct err e = {0};
	int64_t want = 0, got = -1;

	arena_init(&a, NULL);
	buf_init(&sql, 1 << 20);
	struct cond *x = unit_below(&w->rng, 40) ? make_cond(w, &a, (int)unit_below(&w->rng, 4)) : NULL;
	buf_adds(&sql, "DELETE FROM t");
	if (x) {
		buf_adds(&sql, " WHERE ");
		write_cond(x, &sql);
	}
	buf_addc(&sql, '\0');
	EACH_ROW(w, h, g, m, t) {
		struct cells *c = &w->rows[h][g][m][t];
		struct row r = {h, g, m, t, c};
		if (!c->is_there || (x && judge(x, &r) != YES))
			continue;
		want++;
		*c = (struct cells){0};
	}
	int rc = change(w, sql.data, &got, &e);
	unit_assert(&w->rng, rc >= 0, "%s: %s", sql.data, e.text);
	unit_assert(&w->rng, want == got, "%s: %lld rows, not %lld", sql.data, (long long)got, (long long)want);
	compare(w, sql.data);
	buf_release(&sql);
	arena_release(&a);
}

static void write_cell(struct buf *out, bool has, const char *prefix, int v)
{
	if (!has)
		buf_adds(out, ", NULL");
	else if (*prefix)
		buf_addf(out, ", '%s%d'", prefix, v);
	else
		buf_addf(out, ", %d", v);
}

/* Some rows by VALUES; now and then one that the table does not take, and then none of them is stored. */
static void insert_values(struct world *w)
{
	struct unit_rng *r = &w->rng;
	bool bad = unit_below(r, 8) == 0;
	uint32_t n = 1 + (uint32_t)unit_below(r, 30), bad_at = (uint32_t)unit_below(r, n);
	int64_t rows = -1;
	struct world *after = malloc(sizeof *after);
	struct err e = {0};
	struct buf sql;

	*after = *w;
	buf_init(&sql, 1 << 20);
	buf_adds(&sql, "INSERT INTO t (time, host, region, measure_name, v, n, s) VALUES ");
	for (uint32_t i = 0; i < n; i++) {
		int h = (int)unit_below(r, HOSTS), g = (int)unit_below(r, REGIONS), m = (int)unit_below(r, MEASURES);
		int t = (int)unit_below(r, TIMES), which = 1 + (int)unit_below(r, 7);
		struct cells c = {true, which & 1, which & 2, which & 4, (int)unit_below(r, 6), (int)unit_below(r, 6),
				  (int)unit_below(r, 4)};
		if (bad && i == bad_at)
			c.has_v = c.has_n = c.has_s = false;
		buf_adds(&sql, i ? ", (" : "(");
		write_time(&sql, t);
		write_cell(&sql, h < HOSTS - 1, "h", h);
		write_cell(&sql, g < REGIONS - 1, "r", g);
		write_cell(&sql, true, "m", m);
		write_cell(&sql, c.has_v, "", c.v);
		write_cell(&sql, c.has_n, "", c.n);
		write_cell(&sql, c.has_s, "s", c.s);
		buf_addc(&sql, ')');
		patch(&after->rows[h][g][m][t], &c);
	}
	buf_addc(&sql, '\0');
	int rc = change(w, sql.data, &rows, &e);
	if (bad) {
		unit_assert(r, rc == -EINVAL, "%s: %d %s", sql.data, rc, e.text);
		char row[32];
		snprintf(row, sizeof row, "row %u: ", bad_at + 1);
		unit_assert(r, strstr(e.text, row) != NULL, "%s: %s", sql.data, e.text);
	} else {
		unit_assert(r, rc >= 0 && rows == n, "%s: %d %s, %lld rows", sql.data, rc, e.text, (long long)rows);
		memcpy(w->rows, after->rows, sizeof w->rows);
	}
	compare(w, sql.data);
	buf_release(&sql);
	free(after);
}

/* The table into itself, a few seconds later: it reads the moment before. */
static void insert_select(struct world *w)
{
	struct world *before = malloc(sizeof *before);
	int by = 1 + (int)unit_below(&w->rng, 3);
	int64_t want = 0, got = -1;
	struct err e = {0};
	struct arena a;
	struct buf sql;

	*before = *w;
	arena_init(&a, NULL);
	buf_init(&sql, 1 << 20);
	struct cond *x = make_cond(w, &a, 2);
	buf_addf(&sql, "INSERT INTO t SELECT n, v, host, measure_name, time + %ds AS time, region FROM t WHERE (v IS NOT NULL OR "
		       "n IS NOT NULL) AND time < TIMESTAMP '2024-03-01 10:00:%02d' AND ", by, TIMES - by);
	write_cond(x, &sql);
	buf_addc(&sql, '\0');
	EACH_ROW(before, h, g, m, t) {
		const struct cells *c = &before->rows[h][g][m][t];
		struct row r = {h, g, m, t, c};
		if (!c->is_there || (!c->has_v && !c->has_n) || t >= TIMES - by || judge(x, &r) != YES)
			continue;
		struct cells without_s = *c;
		without_s.has_s = false;
		patch(&w->rows[h][g][m][t + by], &without_s);
		want++;
	}
	int rc = change(w, sql.data, &got, &e);
	unit_assert(&w->rng, rc >= 0 && want == got, "%s: %d %s, %lld rows, not %lld", sql.data, rc, e.text,
		    (long long)got, (long long)want);
	compare(w, sql.data);
	buf_release(&sql);
	arena_release(&a);
	free(before);
}

static void shake(struct world *w)
{
	struct table *t = get_table(w);
	struct err e = {0};
	int rc = 0;

	switch (unit_below(&w->rng, 4)) {
	case 0:
	case 1:
		rc = table_seal(t, &e);
		break;
	case 2:
		rc = table_maintain(t, &e);
		break;
	default:
		table_put(t);
		t = NULL;
		engine_close(w->engine);
		open_engine(w);
		break;
	}
	table_put(t);
	unit_assert(&w->rng, rc >= 0, "%s", e.text);
	compare(w, "maintenance");
}

static void run_world(bool tiles, int steps)
{
	struct world *w = calloc(1, sizeof *w);
	struct err e = {0};
	int64_t rows;

	w->rng = unit_rng();
	w->dirfd = unit_dir(w->dir);
	clock_pin(START_NS + 600 * NS_PER_S);
	open_engine(w);
	ck_assert_int_ge(change(w, "CREATE DATABASE d", &rows, &e), 0);
	ck_assert_int_ge(change(w, "CREATE TABLE d.t", &rows, &e), 0);
	ck_assert_int_eq(rows, -1);
	/* All columns, so that statements may name them from the start. */
	ck_assert_msg(change(w, "INSERT INTO t (time, host, region, v, n) VALUES ('2024-03-01', 'x', 'x', 1e0, 1)", &rows, &e) >= 0,
		      "%s", e.text);
	struct table *t = get_table(w);
	struct column_spec s = {STR_LIT("s"), COLKIND_MEASURE, COL_VARCHAR};
	uint32_t id;
	ck_assert_int_ge(series_add_columns(table_series(t), &s, 1, &id, NULL, &e), 0);
	/* ... and so that the log knows it. */
	ck_assert_msg(change(w, "INSERT INTO t (time, s) VALUES ('2024-03-01', 'x')", &rows, &e) >= 0, "%s", e.text);
	if (tiles)
		ck_assert_int_ge(table_set(t, SET_RETENTION_MEMORY, STR_LIT("1s"), &e), 0);
	table_put(t);
	ck_assert_int_ge(change(w, "DELETE FROM t", &rows, &e), 0);
	ck_assert_int_eq(rows, 2);
	for (int i = 0; i < steps; i++) {
		switch (unit_below(&w->rng, 8)) {
		case 0: case 1: case 2:
			insert_values(w);
			break;
		case 3:
			insert_select(w);
			break;
		case 4: case 5:
			shake(w);
			break;
		default:
			run_delete(w);
			break;
		}
	}
	engine_close(w->engine);
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
	free(w);
}

START_TEST(twin_in_memory_and_runs)
{
	run_world(false, 400);
}
END_TEST

START_TEST(twin_in_tiles)
{
	run_world(true, 400);
}
END_TEST

/* ---- many rows, little memory, cancelled ------------------------------------------------------------------- */

struct many {
	char dir[64];
	int dirfd;
	struct engine *engine;
	struct db *db;
	struct table *t;
};

/* 4 series of 50,000 rows. */
static void many_open(struct many *m)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};
	struct batch b;
	uint32_t v_col;

	m->dirfd = unit_dir(m->dir);
	clock_pin(START_NS + 86400 * NS_PER_S);
	ck_assert_int_ge(engine_open(m->dir, &opt, &m->engine, &e), 0);
	ck_assert_int_ge(engine_db_create(m->engine, STR_LIT("d"), &m->db, &e), 0);
	ck_assert_int_ge(db_table_create(m->db, STR_LIT("t"), &m->t, &e), 0);
	struct series_set *set = table_series(m->t);
	struct column_spec specs[] = {{STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR},
				      {STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT}};
	uint32_t ids[2];
	ck_assert_int_ge(series_add_columns(set, specs, 2, ids, NULL, &e), 0);
	v_col = ids[1];
	batch_init(&b);
	for (int h = 0; h < 4; h++) {
		char name[16];
		snprintf(name, sizeof name, "h%d", h);
		struct dim_value d = {ids[0], str_from(name)};
		int64_t id = series_intern(set, STR_LIT("t"), MEASURE_MULTI, &d, 1, &e);
		for (int i = 0; i < 50000; i++) {
			if (b.n == BATCH_ROWS_MAX || i == 0) {
				struct table_batch tb = {.table = m->t, .batch = &b};
				ck_assert_int_ge(db_append(m->db, &tb, 1, &e), 0);
				batch_clear(&b);
			}
			ck_assert_int_ge(batch_reserve(&b), 0);
			int slot = batch_col(&b, v_col, COL_BIGINT);
			b.series[b.n] = (uint32_t)id;
			b.time_ns[b.n] = START_NS + i * NS_PER_S;
			b.cols[slot].col.i64[b.n] = i;
			b.cols[slot].col.valid[b.n] = 1;
			b.cols[slot].has_values = true;
			b.n++;
		}
	}
	struct table_batch tb = {.table = m->t, .batch = &b};
	ck_assert_int_ge(db_append(m->db, &tb, 1, &e), 0);
	batch_release(&b);
}

static void many_close(struct many *m)
{
	table_put(m->t);
	db_put(m->db);
	engine_close(m->engine);
	clock_pin(0);
	unit_dir_remove(m->dirfd, m->dir);
}

static int many_change(struct many *m, const char *sql, size_t memory, const _Atomic bool *cancelled, int64_t *rows,
		       struct err *e)
{
	struct query_env env = {.engine = m->engine, .default_db = "d", .memory_bytes = memory, .cancelled = cancelled};

	return query_run(&env, str_from(sql), rows, NULL, e);
}

static int64_t many_count(struct many *m, const char *where)
{
	struct world w = {.engine = m->engine, .rng = unit_rng()};
	struct buf out;
	char sql[400];

	buf_init(&out, 1 << 16);
	snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", where);
	ask(&w, sql, &out);
	int64_t n = strtoll(strchr(out.data, '\n') + 1, NULL, 10);
	buf_release(&out);
	return n;
}

/* More rows than a batch of the log, and than the statement may hold: they wait in a file. */
START_TEST(large_insert_goes_through_a_file)
{
	struct many m;
	struct err e = {0};
	int64_t rows = -1;

	many_open(&m);
	ck_assert_int_ge(many_change(&m, "CREATE TABLE copy", 0, NULL, &rows, &e), 0);
	int rc = many_change(&m, "INSERT INTO copy SELECT time, host, v, host || '!' AS again FROM t", 8 << 20, NULL, &rows, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ck_assert_int_eq(rows, 200000);
	ck_assert_int_eq(many_count(&m, "copy"), 200000);
	ck_assert_int_eq(many_count(&m, "(SELECT time, host, v FROM t EXCEPT SELECT time, host, v FROM copy)"), 0);
	ck_assert_int_eq(many_count(&m, "copy WHERE again <> host || '!'"), 0);
	/* Its last row is wrong: nothing of it is there. */
	rc = many_change(&m, "INSERT INTO copy SELECT time + 1ns AS time, host, CASE WHEN host = 'h3' AND v = 49999 THEN NULL ELSE v END AS v FROM t",
			 8 << 20, NULL, &rows, &e);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_msg(strstr(e.text, "row 200000: all measures are NULL") != NULL, "%s", e.text);
	ck_assert_int_eq(many_count(&m, "copy"), 200000);
	many_close(&m);
}
END_TEST

START_TEST(ranges_are_few_or_many)
{
	struct many m;
	struct err e = {0};
	int64_t rows = -1;

	many_open(&m);
	int rc = many_change(&m, "DELETE FROM t WHERE v % 2 = 1 AND host < 'h2'", 0, NULL, &rows, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	ck_assert_int_eq(rows, 50000);
	ck_assert_int_eq(many_count(&m, "t"), 150000);
	ck_assert_int_eq(many_count(&m, "t WHERE v % 2 = 1 AND host < 'h2'"), 0);
	ck_assert_int_ge(table_seal(m.t, &e), 0);
	ck_assert_int_ge(table_maintain(m.t, &e), 0);
	ck_assert_int_eq(many_count(&m, "t"), 150000);
	/* No memory for that many: and then nothing happened. */
	rc = many_change(&m, "DELETE FROM t WHERE v % 2 = 0", 2 << 20, NULL, &rows, &e);
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_int_eq(many_count(&m, "t"), 150000);
	ck_assert_int_ge(many_change(&m, "DELETE FROM t WHERE v >= 0", 4 << 20, NULL, &rows, &e), 0);
	ck_assert_int_eq(rows, 150000);
	ck_assert_int_eq(many_count(&m, "t"), 0);
	many_close(&m);
}
END_TEST

START_TEST(cancelled_is_undone)
{
	static const char *const sqls[] = {"DELETE FROM t", "DELETE FROM t WHERE v > 5",
					   "INSERT INTO t SELECT time + 1ns AS time, host, v FROM t"};
	_Atomic bool yes = true;
	struct many m;
	struct err e = {0};
	int64_t rows = -1;

	many_open(&m);
	for (size_t i = 0; i < ARRAY_LEN(sqls); i++) {
		ck_assert_int_eq(many_change(&m, sqls[i], 0, &yes, &rows, &e), -ECANCELED);
		ck_assert_int_eq(many_count(&m, "t"), 200000);
	}
	/* And the table is not held. */
	ck_assert_int_ge(table_seal(m.t, &e), 0);
	ck_assert_int_ge(table_maintain(m.t, &e), 0);
	ck_assert_int_ge(many_change(&m, "DELETE FROM t", 0, NULL, &rows, &e), 0);
	ck_assert_int_eq(rows, 200000);
	many_close(&m);
}
END_TEST

/* Statements with a few bytes or words changed: an error or not, but never a crash, and the engine goes on. */
START_TEST(mutants_do_no_harm)
{
	static const char *const sqls[] = {
		"DELETE FROM t AS x WHERE x.host IN ('h1', 'h2') AND v % 2 = 1 OR time < TIMESTAMP '2024-03-01 11:00'",
		"DELETE FROM d.t WHERE CAST(substr(host, 2) AS bigint) > 1 AND host LIKE 'h_' ESCAPE '!'",
		"INSERT INTO t (time, host, v) VALUES ('2024-03-01 10:00', 'h1', 7), (TIMESTAMP '2024-03-01', NULL, -1)",
		"INSERT INTO t SELECT time + 1s AS time, upper(host) AS host, max(v) AS v, TRUE AS b, 1.5 AS d FROM t GROUP BY 1, 2",
		"INSERT INTO t (v, \"host\", time, measure_name) WITH a AS (SELECT * FROM t LIMIT 5) SELECT v, host, time, 'x' FROM a",
		"EXPLAIN INSERT INTO t (time, v) SELECT DISTINCT bin(time, 1h), 5 FROM (SELECT * FROM t) WHERE v > 5",
	};
	static const char *const words[] = {"NULL", "(", ")", ",", "time", "host", "v", "'x'", "1e999", "FROM", "DELETE", "*", "-",
					    "nan()", "now()", "measure_value::double", "\"\"", "AS", "9223372036854775807",
					    "ARRAY[1]", "random()", "1h", "t", "VALUES"};
	struct unit_rng r = unit_rng();
	struct many m;
	int ran = 0;

	many_open(&m);
	for (int i = 0; i < 1500; i++) {
		const char *from = sqls[unit_below(&r, ARRAY_LEN(sqls))];
		char sql[4000];
		int64_t rows = -1;
		struct err e = {0};
		snprintf(sql, sizeof sql, "%s", from);
		for (uint64_t k = unit_below(&r, 4); k--;) {
			size_t len = strlen(sql), at = unit_below(&r, len + 1), to = at;
			char tail[2000];
			/* A word, or what it is, becomes another one, vanishes, or is followed by one. */
			while (to < len && unit_below(&r, 6))
				to++;
			snprintf(tail, sizeof tail, "%.1900s", sql + (unit_below(&r, 3) ? to : at));
			snprintf(sql + at, sizeof sql - at, " %s %s",
				 unit_below(&r, 4) ? words[unit_below(&r, ARRAY_LEN(words))] : "", tail);
		}
		int rc = many_change(&m, sql, 16 << 20, NULL, &rows, &e);
		unit_assert(&r, rc >= 0 || (e.text[0] && rc != -EIO && rc != -EBADMSG), "%s: %d %s", sql, rc, e.text);
		unit_assert(&r, rc < 0 || rows >= 0, "%s: no rows told", sql);
		ran += rc >= 0;
	}
	ck_assert_int_gt(ran, 50);
	(void)many_count(&m, "t");
	many_close(&m);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {twin_in_memory_and_runs, twin_in_tiles, large_insert_goes_through_a_file,
				ranges_are_few_or_many, cancelled_is_undone, mutants_do_no_harm};

	return unit_main("dml", 300, tests, ARRAY_LEN(tests));
}
