/*
 *	model [-v] [SEEDS [OPS]]      seeds 1 .. SEEDS, OPS operations each
 *	SEED=n model [-v] [1 [OPS]]   seed n alone; -v names each operation
 *	LOOK=n                        from operation n on everything is looked at after each
 */
#include "tests/model/model.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint32_t weight;
	void (*run)(void);
} ops[] = {
	{"append", 4300, op_append},
	{"append versions", 600, op_append_versions},
	{"ingest", 300, op_ingest},
	{"ingest json", 200, op_ingest_json},
	{"look", 3000, op_look},
	{"look at all", 20, op_look_all},
	{"sql", 150, op_sql},
	{"clock", 300, op_clock},
	{"seal", 100, op_seal},
	{"maintain table", 20, op_maintain_table},
	{"maintain", 100, op_maintain},
	{"retention", 40, op_retention},
	{"setting", 8, op_setting},
	{"column", 4, op_column},
	{"reopen", 5, op_reopen},
	{"crash", 5, op_crash},
	{"disk dies", 15, op_disk_dies},
	{"clock jumps", 2, op_jump},
	{"drop table", 1, op_drop_table},
	{"delete", 60, op_delete},
	{"sql delete", 60, op_sql_delete},
	{"sql insert", 30, op_sql_insert},
	{"tile remove", 8, op_tile_remove},
	{"tile save", 20, op_tile_save},
	{"tile restore", 20, op_tile_restore},
	{"snapshot", 6, op_snapshot},
};

static uint64_t counts[ARRAY_LEN(ops)];

static void some_op(void)
{
	uint32_t all = 0;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		all += ops[i].weight;
	uint32_t d = (uint32_t)rnd(all);
	size_t i = 0;
	while (d >= ops[i].weight)
		d -= ops[i++].weight;
	w.op_name = ops[i].name;
	counts[i]++;
	ops[i].run();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

/* The clock that is not pinned. */
static int64_t real_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void run_seed(uint64_t seed, uint64_t op_n)
{
	bool is_verbose = w.is_verbose;
	const char *tmp = getenv("TMPDIR"), *look = getenv("LOOK");
	uint64_t look_from = look && *look ? strtoull(look, NULL, 10) : UINT64_MAX;

	w = (struct world){.seed = seed, .op_name = "open", .is_verbose = is_verbose};
	rnd_seed(seed);
	/* In memory: what is waited for here is the processor. */
	snprintf(w.dir, sizeof w.dir, "%.40s/tidefs-model-XXXXXX",
		 tmp && *tmp ? tmp : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(w.dir))
		fail("cannot make %s", w.dir);
	w.now = INT64_C(1700000000) * NS_PER_S;
	w.mono = INT64_C(1000) * NS_PER_S;
	w.part_rows = seed % 2 ? 0 : 2000;
	w.segment_bytes = seed % 3 ? 0 : 256 << 10;
	world_clock();
	for (uint32_t i = 0; i < TABLES; i++)
		twin_init(&w.tables[i].twin, i);
	int64_t begin = real_ns();
	world_open();
	for (w.op = 1; w.op <= op_n; w.op++) {
		some_op();
		if (w.op >= look_from)
			look_everything();
	}
	w.op_name = "end";
	look_everything();
	world_reopen(true);
	look_everything();
	uint32_t alive = 0;
	for (uint32_t i = 0; i < TABLES; i++)
		alive += w.tables[i].twin.alive;
	world_close();
	printf("seed %llu: %llu operations, %llu rows written, %llu looked at in %llu scans, %u left; %.1f s\n",
	       (unsigned long long)seed, (unsigned long long)op_n, (unsigned long long)w.rows_in,
	       (unsigned long long)w.rows_seen, (unsigned long long)w.looks, alive,
	       (double)(real_ns() - begin) / 1e9);
	fflush(stdout);
	forget_saved();
	forget_snapshot();
	for (uint32_t i = 0; i < TABLES; i++)
		twin_release(&w.tables[i].twin);
	nftw(w.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	const char *one = getenv("SEED");

	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		w.is_verbose = true;
		argc--;
		argv++;
	}
	uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t op_n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
	uint64_t first = one && *one ? strtoull(one, NULL, 10) : 1;
	texts_init();
	for (uint64_t s = first; s < first + (one && *one ? 1 : seeds); s++)
		run_seed(s, op_n);
	for (size_t i = 0; w.is_verbose && i < ARRAY_LEN(ops); i++)
		printf("%8llu %s\n", (unsigned long long)counts[i], ops[i].name);
	printf("%llu passed, 0 failed\n", (unsigned long long)(one && *one ? 1 : seeds));
	return 0;
}
