/*
 * clients: programs that use a mount at the same time, and what each of their calls took.
 *
 *	clients ask FILE THREADS SECONDS <STATEMENTS     open, write, read to the end, close
 *	clients read DIR THREADS SECONDS <NAMES          open DIR/name, read to the end, close
 *	clients append FILE THREADS SECONDS <LINES       open, write a line, close: echo >>
 *
 * Lines of stdin are taken one after the other, again from the first, each thread from another one
 * on. Prints `calls seconds p50 p99 max`, the last three in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "tests/tools/gen.h"

#define LINES_MAX   10000
#define THREADS_MAX 1000
#define CALLS_MAX   (1 << 20) /* that are remembered, of each thread */

enum mode { MODE_ASK, MODE_READ, MODE_APPEND };

struct client {
	pthread_t thread;
	long first;
	float *us;
	long calls;
	int error;
};

static enum mode mode;
static const char *file;
static char *lines[LINES_MAX];
static long lines_n;
static int64_t until_ns;

static int read_all(int fd)
{
	static _Thread_local char piece[1 << 16];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0)
		;
	return n < 0 ? -errno : 0;
}

static int call(const char *line)
{
	static const int flags[] = {
		[MODE_ASK] = O_RDWR, [MODE_READ] = O_RDONLY, [MODE_APPEND] = O_WRONLY | O_APPEND};
	char path[8192];
	int fd, rc = 0;

	if (mode == MODE_READ) {
		snprintf(path, sizeof path, "%s/%s", file, line);
		fd = open(path, O_RDONLY);
	} else {
		fd = open(file, flags[mode]);
	}
	if (fd < 0)
		return -errno;
	if (mode != MODE_READ && write(fd, line, strlen(line)) < 0)
		rc = -errno;
	if (rc == 0 && mode != MODE_APPEND)
		rc = read_all(fd);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static void *client_main(void *arg)
{
	struct client *c = arg;

	for (long i = c->first; c->error == 0; i++) {
		int64_t begin = clock_mono_ns();
		if (begin >= until_ns)
			break;
		c->error = call(lines[i % lines_n]);
		if (c->calls < CALLS_MAX)
			c->us[c->calls++] = (float)(clock_mono_ns() - begin) / 1000;
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	float p = *(const float *)a, q = *(const float *)b;

	return (p > q) - (p < q);
}

static int report(struct client *clients, long n, double seconds)
{
	long calls = 0, at = 0;
	float *all;

	for (long i = 0; i < n; i++) {
		if (clients[i].error < 0) {
			fprintf(stderr, "clients: %s: %s\n", file, strerror(-clients[i].error));
			return 1;
		}
		calls += clients[i].calls;
	}
	all = calloc((size_t)calls + 1, sizeof *all);
	if (!all)
		return 1;
	for (long i = 0; i < n; i++) {
		if (clients[i].calls)
			memcpy(all + at, clients[i].us, (size_t)clients[i].calls * sizeof *all);
		at += clients[i].calls;
	}
	qsort(all, (size_t)calls, sizeof *all, ascending);
	printf("%ld %.3f %.1f %.1f %.1f\n", calls, seconds, all[calls / 2], all[calls * 99 / 100],
	       all[calls ? calls - 1 : 0]);
	free(all);
	return 0;
}

static void read_lines(void)
{
	size_t size = 0;

	/* An appended line needs its end, the others have none. */
	for (ssize_t n; lines_n < LINES_MAX && (n = getline(&lines[lines_n], &size, stdin)) > 0;
	     size = 0) {
		if (mode != MODE_APPEND && lines[lines_n][n - 1] == '\n')
			lines[lines_n][n - 1] = '\0';
		lines_n++;
	}
}

int main(int argc, char **argv)
{
	static const char *const modes[] = {"ask", "read", "append"};
	static struct client clients[THREADS_MAX];
	long threads, seconds;
	int64_t begin;
	int m = 0;

	while (argc == 5 && m < 3 && strcmp(argv[1], modes[m]) != 0)
		m++;
	if (argc != 5 || m == 3) {
		fprintf(stderr, "usage: clients ask|read|append FILE THREADS SECONDS <LINES\n");
		return 2;
	}
	mode = (enum mode)m;
	file = argv[2];
	threads = gen_number("clients", "threads", argv[3], 1, THREADS_MAX);
	seconds = gen_number("clients", "seconds", argv[4], 1, 3600);
	read_lines();
	if (!lines_n) {
		fprintf(stderr, "clients: no lines on stdin\n");
		return 2;
	}
	begin = clock_mono_ns();
	until_ns = begin + seconds * NS_PER_S;
	for (long i = 0; i < threads; i++) {
		clients[i].first = i * lines_n / threads;
		clients[i].us = malloc(CALLS_MAX * sizeof *clients[i].us);
		if (!clients[i].us ||
		    pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) != 0) {
			fprintf(stderr, "clients: cannot start a thread\n");
			return 1;
		}
	}
	for (long i = 0; i < threads; i++)
		pthread_join(clients[i].thread, NULL);
	return report(clients, threads, (double)(clock_mono_ns() - begin) / 1e9);
}
