/*
 * Rounds: a victim, a kill, a look.
 */
#include "tests/crash/crash.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_PER_DIR 40
#define EXPIRY_WAIT_US 5500000 /* it takes that long for a whole file to expire */
#define POINT_WAIT_US   250000 /* a named point may never be passed in a round: then the clock kills */

/* Every FAULT() there is, from the sources. */
static const char *const points[] = {
#include "tests/crash/points.h"
	NULL /* at random */,
};
static uint32_t reached[ARRAY_LEN(points)], tried[ARRAY_LEN(points)];

struct shared *sh;
char dir[64];
int64_t base_ns, expire_base_ns;
struct tile_bytes tiles[2];
static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

void die(const char *what, const struct err *e, int rc)
{
	fprintf(stderr, "crash: %s: %s\n", what, err_text(e, rc));
	_exit(3);
}

/* ---- the world ------------------------------------------------------------------------------------------- */

static void open_table(struct world *w, int i)
{
	static const char *const names[CRASH_TABLES] = {"t", "v", "d", "r", "e", "n"};
	struct err e = {0};
	int rc = 0;

	w->t[i] = db_table(w->db, str_from(names[i]));
	if (!w->t[i])
		rc = db_table_create(w->db, str_from(names[i]), &w->t[i], &e);
	if (rc >= 0 && i == T_EXPIRES) {
		char text[SETTING_TEXT_MAX];
		table_setting(w->t[i], SET_RETENTION_MAGNETIC, text);
		if (strcmp(text, "1s") != 0)
			rc = table_set(w->t[i], SET_RETENTION_MEMORY, STR_LIT("1s"), &e);
		if (rc >= 0 && strcmp(text, "1s") != 0)
			rc = table_set(w->t[i], SET_RETENTION_MAGNETIC, STR_LIT("1s"), &e);
	}
	if (rc < 0)
		die("table", &e, rc);
	struct series_set *set = table_series(w->t[i]);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, &e);
	w->host = (uint32_t)host;
	w->v[i] = (uint32_t)series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	w->s[i] = (uint32_t)series_add_column(set, STR_LIT("s"), COLKIND_MEASURE, COL_VARCHAR, &e);
	for (uint32_t k = 0; k < WRITERS; k++) {
		char name[2] = {(char)('a' + k), 0};
		struct dim_value d = {(uint32_t)host, str_from(name)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &d, 1, &e);
		if (id < 0)
			die("series", &e, (int)id);
		w->ids[i][k] = (uint32_t)id;
	}
}

static void check_status(struct db *db)
{
	struct db_status st;

	db_status(db, &st);
	if (!st.failed && !st.read_only)
		return;
	fprintf(stderr, "crash: database '%s' is not usable: %s\n", db_name(db), st.reason);
	_exit(3);
}

void open_world(struct world *w, bool background)
{
	struct err e = {0};
	struct engine_options opt = {.no_background = !background, .sync_interval_ns = 20 * NS_PER_MS,
				     .segment_bytes = 96 << 10, .part_rows = 3000};
	int rc = engine_open(dir, &opt, &w->en, &e);

	if (rc < 0)
		die("engine_open", &e, rc);
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db && (rc = engine_db_create(w->en, STR_LIT("d"), &w->db, &e)) < 0)
		die("create database", &e, rc);
	struct db *copy = engine_db(w->en, STR_LIT("copy"));
	check_status(w->db);
	if (copy)
		check_status(copy);
	db_put(copy);
	for (int i = 0; i < CRASH_TABLES; i++)
		open_table(w, i);
}

void close_world(struct world *w)
{
	for (int i = 0; i < CRASH_TABLES; i++)
		table_put(w->t[i]);
	db_put(w->db);
	engine_close(w->en);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void remove_dir(void)
{
	if (dir[0])
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory: what a kill leaves does not depend on the disk, and there are many to come. */
static void new_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	remove_dir();
	snprintf(dir, sizeof dir, "%.40s/tidefs-crash-XXXXXX",
		 tmp && *tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(1);
	}
	memset(sh, 0, sizeof *sh);
	expire_base_ns = clock_now_ns() / NS_PER_MS * NS_PER_MS;
}

/* A tile whose rows all have the value `v`: written, migrated, read. */
static void make_tile(struct tile_bytes *to, int64_t v)
{
	struct world w;
	struct batch b;
	struct tile_entry *list;
	struct err e = {0};
	struct stat st;
	uint32_t n = 0;
	int fd;

	new_dir();
	open_world(&w, false);
	batch_init(&b);
	for (int64_t i = 0; i < TILE_ROWS; i++)
		add_row(&b, &w, T_RESTORES, (uint32_t)(i % 2), base_ns + i * NS_PER_S, v, v == 2 ? "two" : NULL);
	append(&w, T_RESTORES, &b);
	batch_release(&b);
	int rc = table_maintain(w.t[T_RESTORES], &e);
	if (rc >= 0)
		rc = table_tiles(w.t[T_RESTORES], &list, &n);
	if (rc < 0 || n != 1)
		die("no tile to restore", &e, rc);
	rc = table_tile_fd(w.t[T_RESTORES], list[0].path, &fd, &e);
	if (rc < 0 || fstat(fd, &st) < 0)
		die("no tile to restore", &e, rc);
	to->n = (size_t)st.st_size;
	to->p = malloc(to->n);
	if (!to->p || io_pread_exact(io_posix(), fd, to->p, to->n, 0) < 0)
		die("no tile to restore", &e, -EIO);
	close(fd);
	free(list);
	close_world(&w);
}

/* ---- rounds --------------------------------------------------------------------------------------------------- */

static bool killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* In a process of its own: it reads what is damaged. */
static void report_apart(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		report();
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static bool round_trip(uint64_t kill_no, uint64_t seed)
{
	size_t p = kill_no % ARRAY_LEN(points);
	const char *point = points[p];
	/* Some places are passed once a round, others all the time. */
	uint64_t nth = 1 + (rnd(2) ? 0 : rnd(rnd(2) ? 4 : 40)), delay_us = 2000 + rnd(100000);
	bool at_start = rnd(4) == 0, is_ours = false;
	uint64_t wait_us = !point ? delay_us : nth == 1 && strcmp(point, "expire.swap") == 0 ? EXPIRY_WAIT_US : POINT_WAIT_US;
	int status;

	atomic_store(&sh->is_open, false);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		victim(point, nth, at_start);
	for (uint64_t waited = 0; waitpid(pid, &status, WNOHANG) != pid; waited += 1000) {
		if (atomic_load(&sh->is_open) && waited > wait_us) {
			is_ours = true;
			kill(pid, SIGKILL);
		}
		usleep(1000);
	}
	tried[p]++;
	reached[p] += !is_ours;
	if (!killed(status)) {
		fprintf(stderr, "kill %llu (%s:%llu, seed %llu): the victim ended by itself; the directory is %s\n",
			(unsigned long long)kill_no, point ? point : "random", (unsigned long long)nth,
			(unsigned long long)seed, dir);
		report_apart();
		return false;
	}
	pid = fork();
	if (pid == 0)
		_exit(examine(kill_no % 5 == 0));
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "kill %llu, %s %s:%llu%s, broke a promise (seed %llu; the directory is %s)\n",
			(unsigned long long)kill_no, is_ours ? "by the clock before" : "at", point ? point : "random",
			(unsigned long long)nth, at_start ? " since the start" : "", (unsigned long long)seed, dir);
		report_apart();
		return false;
	}
	return true;
}

static void print_unreached(void)
{
	bool is_first = true;

	for (size_t i = 0; i + 1 < ARRAY_LEN(points); i++) {
		if (!tried[i] || reached[i])
			continue;
		printf("%s%s", is_first ? "points where none of them died: " : ", ", points[i]);
		is_first = false;
	}
	if (!is_first)
		printf("\n");
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
	for (int i = 0; i < 2; i++)
		make_tile(&tiles[i], 1 + i);
	for (uint64_t k = 0; k < kills; k++) {
		if (k % ROUNDS_PER_DIR == 0)
			new_dir();
		if (!round_trip(k, seed)) {
			printf("%llu passed, 1 failed\n", (unsigned long long)k);
			return 1;
		}
		if (isatty(1) && k % 10 == 9)
			printf("\r%llu of %llu kills", (unsigned long long)k + 1, (unsigned long long)kills), fflush(stdout);
	}
	remove_dir();
	if (isatty(1))
		printf("\r");
	if (kills >= 10 * ARRAY_LEN(points))
		print_unreached();
	printf("%llu passed, 0 failed\n", (unsigned long long)kills);
	return 0;
}
