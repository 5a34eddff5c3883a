/*
 * notify: the ticker, a thread that once a second lets old things go: slots, scratch files, copies that
 * were not finished, shared results, statements without a reader; and tells the kernel of tiles that merges and retention
 * took away, so that their cached pages and names do not outlive them.
 *
 * Telling the kernel may wait for requests that hold the directory, and those are answered by other
 * threads: so it is done from here, with no lock held, and never from a request.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/incoming.h"
#include "fs/makers.h"
#include "fs/nodes.h"
#include "fs/results.h"
#include "fs/scratch.h"
#include "fs/slots.h"
#include "fs/tiles_file.h"

static void forget_tile(struct fs *fs, struct node *n)
{
	const char *slash = strrchr(n->name, '/');
	const char *name = slash ? slash + 1 : n->name;

	/* -ENOENT: the kernel had dropped it already. */
	(void)fuse_lowlevel_notify_inval_entry(fs->se, node_to_ino(n->parent), name, strlen(name));
	(void)fuse_lowlevel_notify_inval_inode(fs->se, node_to_ino(n), 0, 0);
}

static int by_table(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)(*(struct node *const *)a)->table;
	uintptr_t y = (uintptr_t)(*(struct node *const *)b)->table;

	return (x > y) - (x < y);
}

static void check_tiles(struct fs *fs)
{
	struct node **v;
	uint32_t n;

	if (nodes_tiles(fs, &v, &n) < 0)
		return;
	qsort(v, n, sizeof *v, by_table);
	for (uint32_t i = 0; i < n;) {
		struct table *t = v[i]->table;
		struct tile_entry *tiles = NULL;
		uint32_t tile_n = 0;
		bool known = !table_dropped(t) && table_tiles(t, &tiles, &tile_n) >= 0;

		for (; i < n && v[i]->table == t; i++) {
			if (table_dropped(t) || (known && !tile_is_published(tiles, tile_n, v[i])))
				forget_tile(fs, v[i]);
		}
		free(tiles);
	}
	for (uint32_t i = 0; i < n; i++)
		node_put(fs, v[i]);
	free(v);
}

static bool wait_a_second(struct fs *fs)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	pthread_mutex_lock(&fs->ticker_mu);
	while (!fs->ticker_stop &&
	       pthread_cond_timedwait(&fs->ticker_cond, &fs->ticker_mu, &until) != ETIMEDOUT)
		;
	stop = fs->ticker_stop;
	pthread_mutex_unlock(&fs->ticker_mu);
	return !stop;
}

static void *ticker_main(void *arg)
{
	struct fs *fs = arg;

	while (wait_a_second(fs)) {
		int64_t now = clock_mono_ns();

		results_tick(fs->results, now);
		slots_tick(fs->slots, now);
		scratches_expire(fs->scratches, now);
		incomings_expire(fs->incomings, now);
		makers_tick(fs->makers, now);
		check_tiles(fs);
	}
	return NULL;
}

int ticker_start(struct fs *fs, struct err *e)
{
	pthread_condattr_t attr;
	int rc;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&fs->ticker_cond, &attr);
	pthread_condattr_destroy(&attr);
	rc = pthread_create(&fs->ticker, NULL, ticker_main, fs);
	if (rc)
		return err_set(e, -rc, "cannot start a thread: %s", strerror(rc));
	fs->ticker_started = true;
	return 0;
}

void ticker_stop(struct fs *fs)
{
	if (!fs->ticker_started)
		return;
	pthread_mutex_lock(&fs->ticker_mu);
	fs->ticker_stop = true;
	pthread_cond_broadcast(&fs->ticker_cond);
	pthread_mutex_unlock(&fs->ticker_mu);
	pthread_join(fs->ticker, NULL);
	pthread_cond_destroy(&fs->ticker_cond);
	fs->ticker_started = false;
}
