/*
 * crash: kill -9 at named places and at random moments, then look whether a promise was broken.
 *
 *	crash [KILLS] [SEED]
 *
 * A child opens the data directory and appends from two threads, each to a series of its own: row k
 * has time base + k and value k, and every row is written a second time with another field a little
 * later, so merging is at stake too. Before an append the child notes what it begins, after it what was acknowledged,
 * in memory shared with the parent. It dies by SIGKILL: at a named fault point, the n-th time it is
 * passed, or after a random time. Then another child opens the directory and checks, per series: rows
 * 1..m are there, each once, with the right values; m is at least what was acknowledged and at most
 * what was begun. The next round goes on from there, so damage that heals badly adds up.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <signal.h>
#include <ftw.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/scan.h"

#define WRITERS 2
#define ROUNDS_PER_DIR 40

static const char *const points[] = {
	"series.append", "wal.append.before", "wal.append.after", "wal.sync", "wal.rotate", "wal.trim", "append.logged",
	"seal.write", "seal.commit", "seal.swap", "rewrite.finish", "rewrite.rename",
	"migrate.commit", "migrate.swap", "expire.swap", NULL /* at random */,
};

struct shared {
	_Atomic int64_t begun[WRITERS], acked[WRITERS];
	_Atomic bool is_open;
};

static struct shared *sh;
static char dir[64];
static int64_t base_ns; /* rows lie in the past by ten days: due for tiles at once */
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

static void die(const char *what, const struct err *e, int rc)
{
	fprintf(stderr, "crash: %s: %s\n", what, err_text(e, rc));
	_exit(3);
}

struct world {
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t cols[2], ids[WRITERS];
};

static void open_world(struct world *w, bool background)
{
	struct err e = {0};
	struct engine_options opt = {.no_background = !background, .sync_interval_ns = 20 * NS_PER_MS};
	int rc = engine_open(dir, &opt, &w->en, &e);

	if (rc < 0)
		die("engine_open", &e, rc);
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db && (rc = engine_db_create(w->en, STR_LIT("d"), &w->db, &e)) < 0)
		die("create database", &e, rc);
	struct db_status st;
	db_status(w->db, &st);
	if (st.failed || st.read_only) {
		fprintf(stderr, "crash: database is not usable: %s\n", st.reason);
		_exit(3);
	}
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t && (rc = db_table_create(w->db, STR_LIT("t"), &w->t, &e)) < 0)
		die("create table", &e, rc);
	struct series_set *set = table_series(w->t);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
	w->cols[0] = (uint32_t)series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	w->cols[1] = (uint32_t)series_add_column(set, STR_LIT("s"), COLKIND_MEASURE, COL_VARCHAR, &e);
	for (uint32_t i = 0; i < WRITERS; i++) {
		char name[2] = {(char)('a' + i), 0};
		struct dim_value d = {(uint32_t)host, str_from(name)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &d, 1, &e);
		if (id < 0)
			die("series", &e, (int)id);
		w->ids[i] = (uint32_t)id;
	}
}

static void close_world(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

/* ---- the one that dies ------------------------------------------------------------------------------------ */

struct writer {
	struct world *w;
	uint32_t me;
};

static void add_row(struct world *w, struct batch *b, uint32_t me, int64_t k, int which)
{
	static char texts[WRITERS][64][32];
	int slot = batch_reserve(b) < 0 ? -1 : batch_col(b, w->cols[which], which ? COL_VARCHAR : COL_BIGINT);

	if (slot < 0)
		_exit(3);
	b->series[b->n] = w->ids[me];
	b->time_ns[b->n] = base_ns + k * NS_PER_MS;
	if (which) {
		char *text = texts[me][b->n % 64];
		snprintf(text, sizeof texts[me][0], "row %lld", (long long)k);
		b->cols[slot].col.str[b->n] = str_from(text);
	} else {
		b->cols[slot].col.i64[b->n] = k;
	}
	b->cols[slot].col.valid[b->n] = 1;
	b->cols[slot].has_values = true;
	b->n++;
}

static void *write_rows(void *arg)
{
	struct writer *wr = arg;
	struct world *w = wr->w;
	struct batch b;
	struct err e = {0};

	batch_init(&b);
	for (uint64_t turn = 0;; turn++) {
		int64_t k = atomic_load(&sh->acked[wr->me]), n = 1 + (int64_t)(turn % 13);
		/* Rows that an earlier victim began may be there already: the mark never goes back. */
		atomic_store(&sh->begun[wr->me], MAX(atomic_load(&sh->begun[wr->me]), k + n));
		for (int which = 0; which < 2; which++) {
			batch_clear(&b);
			for (int64_t i = 1; i <= n; i++)
				add_row(w, &b, wr->me, k + i, which);
			int rc = db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, &e);
			if (rc < 0)
				die("append", &e, rc);
		}
		atomic_store(&sh->acked[wr->me], k + n);
		if (turn % 16 == 15 && wr->me == 0)
			(void)!db_sync(w->db, &e);
	}
	return NULL;
}

static void victim(const char *point, uint64_t nth)
{
	struct world w;
	struct writer wr[WRITERS];
	pthread_t th[WRITERS];
	struct err e = {0};
	char env[64];

	open_world(&w, true);
	if (point) {
		snprintf(env, sizeof env, "%s:%llu", point, (unsigned long long)nth);
		setenv("TIDE_FAULT", env, 1);
		fault_init();
	}
	atomic_store(&sh->is_open, true);
	for (uint32_t i = 0; i < WRITERS; i++) {
		wr[i] = (struct writer){&w, i};
		pthread_create(&th[i], NULL, write_rows, &wr[i]);
	}
	for (;;) {
		usleep(2000);
		int rc = table_seal(w.t, &e);
		if (rc >= 0)
			rc = table_maintain(w.t, &e);
		if (rc < 0)
			die("maintain", &e, rc);
	}
}

/* ---- the one that looks --------------------------------------------------------------------------------------- */

static int examine(void)
{
	struct world w;
	struct budget budget;
	struct scan *scan;
	struct scan_batch sb;
	struct err e = {0};
	int64_t next[WRITERS];
	int rc, bad = 0;

	open_world(&w, false);
	for (uint32_t i = 0; i < WRITERS; i++)
		next[i] = 1;
	budget_init(&budget, (size_t)1 << 30);
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = w.cols, .col_count = 2, .times_wanted = true};
	rc = scan_open(w.t, &spec, &budget, &scan, &e);
	if (rc < 0)
		die("scan", &e, rc);
	while ((rc = scan_next(scan, &sb, &e)) > 0)
		for (uint32_t r = 0; r < sb.run_count; r++)
			for (uint32_t i = sb.runs[r].start; i < sb.runs[r].start + sb.runs[r].count && !bad; i++) {
				uint32_t me = sb.runs[r].series_id == w.ids[1];
				int64_t k = next[me]++;
				char text[32];
				snprintf(text, sizeof text, "row %lld", (long long)k);
				bool has_v = !sb.cols[0].valid || sb.cols[0].valid[i];
				bool has_s = !sb.cols[1].valid || sb.cols[1].valid[i];
				if (sb.time_ns[i] != base_ns + k * NS_PER_MS || (has_v && sb.cols[0].i64[i] != k) ||
				    (has_s && !str_is(sb.cols[1].str[i], text)) ||
				    (k <= atomic_load(&sh->acked[me]) && (!has_v || !has_s))) {
					fprintf(stderr, "series %u: row %lld is lost, double or wrong\n", me, (long long)k);
					bad = 1;
				}
			}
	if (rc < 0)
		die("scan", &e, rc);
	scan_close(scan);
	for (uint32_t i = 0; i < WRITERS; i++) {
		int64_t m = next[i] - 1;
		if (m < atomic_load(&sh->acked[i]) || m > atomic_load(&sh->begun[i])) {
			fprintf(stderr, "series %u: %lld rows; %lld were acknowledged, %lld begun\n", i, (long long)m,
				(long long)atomic_load(&sh->acked[i]), (long long)atomic_load(&sh->begun[i]));
			bad = 1;
		}
	}
	close_world(&w);
	return bad;
}

/* ---- rounds --------------------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static bool round_trip(uint64_t kill_no, uint64_t seed)
{
	const char *point = points[kill_no % ARRAY_LEN(points)];
	uint64_t nth = 1 + rnd(rnd(2) ? 4 : 60), delay_us = 2000 + rnd(120000);
	int status;

	atomic_store(&sh->is_open, false);
	pid_t pid = fork();
	if (pid == 0)
		victim(point, nth);
	/* A named point may never be passed (no rotation in so short a time): then the clock kills. */
	for (uint64_t waited = 0;; waited += 1000) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			break;
		if (atomic_load(&sh->is_open) && waited > (point ? 400000 : delay_us))
			kill(pid, SIGKILL);
		usleep(1000);
	}
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		fprintf(stderr, "kill %llu (%s:%llu, seed %llu): the victim ended by itself\n",
			(unsigned long long)kill_no, point ? point : "random", (unsigned long long)nth,
			(unsigned long long)seed);
		return false;
	}
	pid = fork();
	if (pid == 0)
		_exit(examine());
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "kill %llu at %s:%llu broke a promise (seed %llu; the directory is %s)\n",
			(unsigned long long)kill_no, point ? point : "random", (unsigned long long)nth,
			(unsigned long long)seed, dir);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	uint64_t kills = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED)
		return 1;
	base_ns = (clock_now_ns() / NS_PER_DAY - 10) * NS_PER_DAY;
	for (uint64_t k = 0; k < kills; k++) {
		if (k % ROUNDS_PER_DIR == 0) {
			if (dir[0])
				nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
			snprintf(dir, sizeof dir, "/tmp/tidefs-crash-XXXXXX");
			if (!mkdtemp(dir))
				return 1;
			memset(sh, 0, sizeof *sh);
		}
		if (!round_trip(k, seed)) {
			printf("%llu passed, 1 failed\n", (unsigned long long)k);
			return 1;
		}
		if (isatty(1) && k % 10 == 9)
			printf("\r%llu of %llu kills", (unsigned long long)k + 1, (unsigned long long)kills), fflush(stdout);
	}
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	printf("%s%llu passed, 0 failed\n", isatty(1) ? "\r" : "", (unsigned long long)kills);
	return 0;
}
