/*
 * bench_series: what a million series cost: to make, to find, to keep, to save and load, to sort, to
 * spread over parts. CPU seconds, so that neighbours on the machine change little.
 *
 *	bench_series [SERIES [DIRECTORY]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/series_parts.h"

#define DIMS 10

static const char *const names[DIMS] = {"hostname", "region", "datacenter", "rack",    "os",
					"arch",     "team",   "service",    "version", "environment"};
static const uint32_t values[DIMS] = {0, 9, 27, 100, 3, 2, 4, 20, 2, 3}; /* distinct ones; 0: all */

static double cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double since;

static void begin(void)
{
	since = cpu();
}

static void end(const char *what, uint32_t n)
{
	double s = cpu() - since;
	printf("%-34s %8.3f s  %8.0f ns each\n", what, s, s * 1e9 / n);
}

static void die(const char *what, int64_t rc, const struct err *e)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err_text(e, (int)rc));
	exit(1);
}

static size_t resident(void)
{
	long pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f && fscanf(f, "%ld %ld", &ignored, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void intern_all(struct series_set *set, const uint32_t *cols, uint32_t n)
{
	struct err e = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct dim_value dims[DIMS];
		char text[DIMS][32];
		uint64_t r = hash_u64(i);
		for (uint32_t d = 0; d < DIMS; d++) {
			uint32_t v = values[d] ? (uint32_t)(r >> 6 * d) % values[d] : i;
			int len = snprintf(text[d], sizeof text[d], "%s_%u", names[d], v);
			dims[d] = (struct dim_value){cols[d], {text[d], (size_t)len}};
		}
		int64_t id = series_intern(set, STR_LIT("cpu"), MEASURE_MULTI, dims, DIMS, &e);
		die("intern", id == i ? 0 : id < 0 ? id : -EBADMSG, &e);
	}
}

/* The texts alone, to be taken off what interning says. */
static void texts_alone(uint32_t n)
{
	size_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		char text[32];
		uint64_t r = hash_u64(i);
		for (uint32_t d = 0; d < DIMS; d++)
			sum += (size_t)snprintf(text, sizeof text, "%s_%u", names[d],
						values[d] ? (uint32_t)(r >> 6 * d) % values[d] : i);
	}
	if (!sum)
		puts("no texts");
}

static void sort_all(struct series_set *set, uint32_t n)
{
	uint32_t *ids = malloc(n * sizeof *ids);

	for (uint32_t i = 0; ids && i < n; i++)
		ids[i] = i;
	begin();
	if (!ids || series_sort(set, ids, n) < 0)
		die("sort", -ENOMEM, NULL);
	end("sort into file order", n);
	free(ids);
}

static void spread_all(struct series_set *set, const char *text, uint32_t n)
{
	struct series_parts *p = NULL;
	struct part_key *key = NULL;
	uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);
	char what[64];

	if (!bits || part_key_parse(str_from(text), &key, NULL) < 0 || series_parts_create(set, key, &p) < 0)
		die("parts", -ENOMEM, NULL);
	part_key_put(key);
	begin();
	(void)!series_parts_select(p, 0, 16, n, bits);
	snprintf(what, sizeof what, "part 0 of 16 by %s, at first", text);
	end(what, n);
	begin();
	for (uint32_t i = 0; i < 16; i++)
		(void)!series_parts_select(p, i, 16, n, bits);
	end("16 parts of 16, after that", n);
	series_parts_put(p);
	free(bits);
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
	const char *dir = argc > 2 ? argv[2] : "/tmp";
	const struct io *io = io_posix();
	struct series_set *set;
	struct series_mark upto;
	struct buf columns, series;
	struct err e = {0};
	uint32_t cols[DIMS];
	char name[64];

	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(name, sizeof name, "bench_series.%d", (int)getpid());
	if (!n || dirfd < 0 || series_set_create(&set) < 0)
		die(dir, -EINVAL, NULL);
	for (uint32_t d = 0; d < DIMS; d++) {
		int64_t id = series_add_column(set, str_from(names[d]), COLKIND_DIMENSION, COL_VARCHAR, &e);
		die("column", id, &e);
		cols[d] = (uint32_t)id;
	}
	printf("%u series of %d dimensions\n", n, DIMS);
	begin();
	texts_alone(n);
	end("(making texts)", n);
	size_t before = resident();
	begin();
	intern_all(set, cols, n);
	end("made", n);
	printf("%-34s %8.1f B each; %.1f B resident\n", "memory", (double)series_bytes(set) / n,
	       (double)(resident() - before) / n);
	begin();
	intern_all(set, cols, n);
	end("found again", n);
	buf_init(&columns, (size_t)1 << 30);
	buf_init(&series, (size_t)1 << 30);
	begin();
	die("encode", series_encode_unlogged(set, &columns, &series, &upto), NULL);
	series_set_logged(set, upto);
	end("encoded for the log", n);
	printf("%-34s %8.1f B each\n", "in the log", (double)series.len / n);
	buf_release(&columns);
	buf_release(&series);
	begin();
	die("save", series_file_save(set, io, dirfd, name, &e), &e);
	end("saved", n);
	sort_all(set, n);
	spread_all(set, "dimensions", n);
	spread_all(set, "hostname", n);
	series_set_destroy(set);
	die("create", series_set_create(&set), NULL);
	begin();
	die("load", series_file_load(set, io, dirfd, name, &e), &e);
	end("loaded", n);
	unlinkat(dirfd, name, 0);
	if (series_count(set) != n)
		die("load", -EBADMSG, NULL);
	begin();
	series_set_destroy(set);
	end("given up", n);
	close(dirfd);
	return 0;
}
