/*
 * sql_random_db: a small table of random rows three times in an engine, and statements over it, watched.
 */
#ifndef TIDE_TEST_SQL_RANDOM_DB_H
#define TIDE_TEST_SQL_RANDOM_DB_H

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/ingest.h"
#include "query/pool.h"
#include "query/query.h"

/* ---- the data ------------------------------------------------------------------------------------------ */

static const char *const random_tables[3] = {"r.memory", "r.sealed", "r.tiles"};

struct random_db {
	char dir[64];
	struct engine *engine;
};

static inline void random_summary(const char *when);

static inline void random_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	random_summary("stopped");
	abort();
}

static char random_where[80]; /* which statement this is, for who wants to see it again */

static struct {
	unsigned long statements; /* texts made */
	unsigned long executed;   /* executions that came to their end with rows or none */
	unsigned long compared;   /* statements that gave rows in all tables */
	unsigned long changes;    /* that inserted, deleted or unloaded rows, to the end */
	unsigned long failed;     /* with a sentence */
	unsigned long cancelled, late, out_of_memory, refused; /* of executions; late: cancelled for their time */
} random_count;

/* For a signal handler, too: nothing of it locks. */
static inline void random_summary(const char *when)
{
	char text[400];
	int n = snprintf(text, sizeof text,
			 "\nsql_random %s: %lu statements, %lu of them compared; %lu changes; executions: %lu to the end, %lu with a "
			 "sentence, %lu out of memory, %lu too large, %lu cancelled, %lu for their time\n",
			 when, random_count.statements, random_count.compared, random_count.changes, random_count.executed, random_count.failed,
			 random_count.out_of_memory, random_count.refused, random_count.cancelled, random_count.late);

	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		return;
}

static inline void random_terminated(int number)
{
	(void)number;
	random_summary("ended");
	_exit(0);
}

/*
 * A join of joins of tables may take forever. A thread cancels what takes long, and ends the process where that is
 * not heard: every loop that can be long looks at the flag.
 */
static struct {
	_Atomic bool cancelled; /* the flag of the statement that runs */
	_Atomic bool is_late;
	_Atomic int64_t until;  /* 0: none runs */
	int64_t deaf_ns;
	struct str sql;         /* what runs */
	_Atomic bool stop;
	pthread_t thread;
} random_watch = {.deaf_ns = 60 * NS_PER_S};

static inline void *random_watcher(void *arg)
{
	const struct timespec while_ = {0, 5 * 1000000};

	(void)arg;
	while (!random_watch.stop) {
		nanosleep(&while_, NULL);
		int64_t until = random_watch.until, now = clock_mono_ns();
		if (!until || now < until)
			continue;
		random_watch.is_late = true;
		random_watch.cancelled = true;
		if (now > until + random_watch.deaf_ns) {
			fprintf(stderr, "%.*s\n", STR_FMT(random_watch.sql));
			random_die(random_where, "the statement does not hear that it is cancelled");
		}
	}
	return NULL;
}

static inline void random_line(uint64_t r, uint32_t k, uint32_t rows, struct buf *out)
{
	static const char *const strings[] = {"", "a%b", "été", "x1y", "h1", "12"};
	/* Each identity comes twice at most in all loads, and once within one. */
	uint64_t id = (uint64_t)k * 0x9e3779b97f4a7c15u >> 20;
	uint32_t host = (uint32_t)(id % 6);
	/* Whole minutes or so, give or take a nanosecond: at the bounds that the conditions name. */
	int64_t t = 1709251200000000000 + (int64_t)(k % (rows + 1)) * (rows > 1000 ? 8 : 300) * NS_PER_S;

	buf_addf(out, "m%u,host=h%u", (unsigned)(id >> 8) % 2, host);
	if (id >> 12 & 3)
		buf_addf(out, ",region=%s", id >> 12 & 1 ? "eu" : "us");
	const char *sep = " ";
	if (r & 7) {
		buf_addf(out, "%su=%d.%02u", sep, (int)(r >> 8 & 127) - 20, (unsigned)(r >> 16) % 100);
		sep = ",";
	}
	if (r >> 3 & 3) {
		buf_addf(out, "%sn=%di", sep, (int)(r >> 24 & 31) - 8);
		sep = ",";
	}
	if (r >> 5 & 1) {
		buf_addf(out, "%sb=%s", sep, r >> 6 & 1 ? "t" : "f");
		sep = ",";
	}
	if (r >> 7 & 1 || *sep == ' ')
		buf_addf(out, "%ss=\"%s\"", sep, strings[(r >> 30) % ARRAY_LEN(strings)]);
	/* Most of them at the moment itself. */
	buf_addf(out, " %lld\n", (long long)((id >> 30) % 6 == 0 ? t - 1 : t + ((id >> 30) % 6 == 1)));
}

/* Three loads of `rows` lines: new ones, late ones, and patches of earlier ones; each table takes the
 * lines of a load in another order. */
static inline void random_load(struct random_db *db, const char *name, int which, uint32_t rows, uint64_t seed)
{
	struct ingest_source src = {.file = "random"};
	struct err e = {0};
	struct table *t;
	struct ingest *in;
	struct db *d = engine_db(db->engine, STR_LIT("r"));
	struct buf text;

	if (!d && engine_db_create(db->engine, STR_LIT("r"), &d, &e) < 0)
		random_die("r", e.text);
	if (db_table_create(d, (struct str){name + 2, strlen(name + 2)}, &t, &e) < 0)
		random_die(name, e.text);
	if (which == 2 && table_set(t, SET_RETENTION_MEMORY, STR_LIT("1s"), &e) < 0)
		random_die(name, e.text);
	buf_init(&text, 1 << 28);
	for (uint32_t load = 0; load < 3; load++) {
		buf_clear(&text);
		for (uint32_t i = 0; i < rows; i++) {
			uint32_t k = (i * (which == 0 ? 1u : which == 1 ? 7919u : 104729u)) % rows;
			uint64_t r = (seed + load * 77 + k) * 0xbf58476d1ce4e5b9u;
			r ^= r >> 31;
			random_line(r * 0x94d049bb133111ebu, k + load * (rows / 3), rows, &text);
		}
		if (ingest_open(d, t, &src, &in, &e) < 0 ||
		    ingest_write(in, text.data, text.len, &e) < 0 || ingest_finish(in, &e) < 0)
			random_die(name, e.text);
		if (ingest_take_rejected(in))
			random_die(name, "lines were rejected");
		ingest_close(in);
		if ((which && table_seal(t, &e) < 0) || (which == 2 && load == 1 && table_maintain(t, &e) < 0))
			random_die(name, e.text);
	}
	buf_release(&text);
	table_put(t);
	db_put(d);
}

/* rows must be a prime other than 7919 and 104729, so that the orders are permutations. */
static struct pool *random_pool; /* others help where there are a few rows to share */

static inline void random_open(struct random_db *db, uint32_t rows, uint64_t seed)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	snprintf(db->dir, sizeof db->dir, "%.40s/tidefs-random-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(db->dir))
		random_die(db->dir, "no directory");
	clock_pin(1709424000000000000);
	if (engine_open(db->dir, &opt, &db->engine, &e) < 0)
		random_die("engine", e.text);
	for (int i = 0; i < 3; i++)
		random_load(db, random_tables[i], i, rows, seed);
	random_pool = pool_create(3);
	signal(SIGTERM, random_terminated);
	random_watch.stop = false;
	if (pthread_create(&random_watch.thread, NULL, random_watcher, NULL))
		random_die("watcher", "no thread");
}

static inline int random_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static inline void random_close(struct random_db *db)
{
	random_watch.stop = true;
	pthread_join(random_watch.thread, NULL);
	pool_destroy(random_pool);
	engine_close(db->engine);
	clock_pin(0);
	nftw(db->dir, random_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- running -------------------------------------------------------------------------------------------- */

struct random_run {
	size_t memory_bytes;
	int cancel_after; /* calls of query_text_next(); <0: never */
	int64_t limit_ns; /* cancelled then; 0: never */
	enum query_format format;
	bool is_alone; /* one thread */
};

static inline int random_execute(struct random_db *db, struct str sql, const struct random_run *how,
				 struct buf *out, struct err *e)
{
	struct query_env env = {
		.engine = db->engine,
		.memory_bytes = how->memory_bytes,
		.pool = how->is_alone ? NULL : random_pool,
		.part_rows = 16,
		.slice_rows = how->is_alone ? 0 : 16,
		.cancelled = &random_watch.cancelled,
	};
	struct query_text *t;
	struct query *q;
	int calls = 0;

	buf_clear(out);
	random_watch.until = 0;
	random_watch.is_late = false;
	random_watch.cancelled = how->cancel_after == 0;
	random_watch.sql = sql;
	random_watch.until = how->limit_ns ? clock_mono_ns() + how->limit_ns : 0;
	int rc = query_prepare(&env, sql, &q, e);
	if (rc >= 0)
		rc = query_text_create(q, how->format, &t, e);
	if (rc >= 0) {
		while ((rc = query_text_next(t, out, e)) > 0) {
			if (++calls == how->cancel_after)
				random_watch.cancelled = true;
		}
		query_text_destroy(t);
	}
	random_watch.until = 0;
	random_count.executed += rc >= 0;
	random_count.failed += rc == -EINVAL;
	random_count.out_of_memory += rc == -ENOMEM;
	random_count.refused += rc == -E2BIG;
	random_count.cancelled += rc == -ECANCELED && !random_watch.is_late;
	random_count.late += rc == -ECANCELED && random_watch.is_late;
	return rc;
}

static inline void random_check_error(struct str sql, int rc, const struct err *e)
{
	bool is_known = rc == -EINVAL || rc == -ENOMEM || rc == -E2BIG || rc == -ECANCELED;

	if (is_known && (rc != -EINVAL || !strncmp(e->text, "line ", 5)) && e->text[0])
		return;
	fprintf(stderr, "%s: %.*s\n failed with %d\n", random_where, STR_FMT(sql), rc);
	random_die(random_where, e->text);
}

#endif
