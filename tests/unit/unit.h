/*
 * unit: what several unit tests need. A temporary directory that goes with the test, and random
 * numbers that can be replayed: TIDE_SEED=n in the environment repeats what a failure printed.
 */
#ifndef TIDE_UNIT_H
#define TIDE_UNIT_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/base.h"

/*
 * The seed of this run: printed, or taken from TIDE_SEED. Call it in main() first, so that the
 * forked tests share one.
 */
static inline uint64_t unit_seed(void)
{
	static uint64_t seed;
	const char *v = getenv("TIDE_SEED");

	if (!seed) {
		seed = v ? strtoull(v, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
		if (!v)
			fprintf(stderr, "TIDE_SEED=%llu\n", (unsigned long long)seed);
	}
	return seed;
}

/* splitmix64. */
static inline uint64_t unit_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A new empty directory; its path goes to `path` (64 bytes), the result is a descriptor. */
static inline int unit_dir(char path[64])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, 64, "%.40s/tidefs-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		abort();
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

static inline int unit_unlink_(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

/* Remove it with all it holds, and close the descriptor. */
static inline void unit_dir_remove(int fd, const char *path)
{
	close(fd);
	nftw(path, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
