#include "fs/makers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Lookups that go unanswered by a mkdir until its maker is taken for one that only looks. cp(1) needs two. */
#define MAKER_LOOKS 2

struct maker {
	struct maker *next;
	pid_t pid;
	uint64_t started;    /* of the process: numbers are given again */
	struct table *table; /* referenced */
	bool is_table;       /* the table itself; else its magnetic/ */
	uint8_t looks;       /* that found nothing, of a process that does not show what it calls */
	int64_t until_ns;    /* monotonic; INT64_MAX: as long as the process lives */
};

struct makers {
	pthread_mutex_t mu; /* a leaf */
	struct maker *list; /* guarded by mu, as n */
	uint32_t n;
};

/* /proc/PID/NAME, cut to size - 1; empty when there is none, or it is not for us. Threads have them, too. */
static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* Field 22 of /proc/PID/stat, in ticks since boot; 0: there is no such process. */
static uint64_t start_of(pid_t pid)
{
	char text[1024];

	read_proc(pid, "stat", text, sizeof text);
	char *p = strrchr(text, ')'); /* the name may hold anything */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

enum calls { CALLS_MKDIR, CALLS_OTHER, CALLS_UNKNOWN };

/*
 * What the process that waits for our answer is waiting in. It may not have gone to sleep yet: "running".
 * Unknown where the daemon may not trace that process (another user's, or ptrace_scope).
 */
static enum calls calls_of(pid_t pid)
{
	const struct timespec moment = {.tv_nsec = 50 * 1000};
	char text[256];

	for (int i = 0; i < 40; i++) {
		read_proc(pid, "syscall", text, sizeof text);
		if (strncmp(text, "running", 7) != 0)
			break;
		nanosleep(&moment, NULL);
	}
	char *end;
	long nr = strtol(text, &end, 10);
	if (end == text)
		return CALLS_UNKNOWN;
#ifdef SYS_mkdir
	if (nr == SYS_mkdir)
		return CALLS_MKDIR;
#endif
	return nr == SYS_mkdirat ? CALLS_MKDIR : CALLS_OTHER;
}

int makers_create(struct makers **ret)
{
	struct makers *ms = calloc(1, sizeof *ms);

	if (!ms)
		return -ENOMEM;
	pthread_mutex_init(&ms->mu, NULL);
	*ret = ms;
	return 0;
}

static void free_list(struct maker *m)
{
	while (m) {
		struct maker *next = m->next;
		table_put(m->table);
		free(m);
		m = next;
	}
}

void makers_destroy(struct makers *ms)
{
	if (!ms)
		return;
	free_list(ms->list);
	pthread_mutex_destroy(&ms->mu);
	free(ms);
}

void makers_tick(struct makers *ms, int64_t mono_ns)
{
	struct maker **at, *dead = NULL;
	pid_t last = 0;
	uint64_t last_started = 0;

	pthread_mutex_lock(&ms->mu);
	for (at = &ms->list; *at;) {
		struct maker *m = *at;
		if (m->pid != last) { /* those of one process stand together */
			last = m->pid;
			last_started = start_of(last);
		}
		if (mono_ns < m->until_ns && last_started == m->started && !table_dropped(m->table)) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		m->next = dead;
		dead = m;
		ms->n--;
	}
	pthread_mutex_unlock(&ms->mu);
	free_list(dead);
}

static void add(struct makers *ms, pid_t pid, struct table *t, bool is_table, int64_t until_ns)
{
	uint64_t started = pid > 0 ? start_of(pid) : 0;
	struct maker *m = started ? calloc(1, sizeof *m) : NULL;
	bool is_full;

	if (!m)
		return;
	*m = (struct maker){.pid = pid, .started = started, .is_table = is_table, .until_ns = until_ns};
	m->table = table_get(t);
	pthread_mutex_lock(&ms->mu);
	is_full = ms->n >= MAKERS_MAX;
	if (!is_full) {
		m->next = ms->list;
		ms->list = m;
		ms->n++;
	}
	pthread_mutex_unlock(&ms->mu);
	if (is_full)
		free_list(m);
}

void makers_add_table(struct makers *ms, pid_t pid, struct table *t)
{
	add(ms, pid, t, true, INT64_MAX);
}

void makers_add_magnetic(struct makers *ms, pid_t pid, struct table *t)
{
	add(ms, pid, t, false, clock_mono_ns() + MAKER_MAGNETIC_NS);
}

/* Caller holds mu. The place in the list of what hides it, or NULL. */
static struct maker **find(struct makers *ms, pid_t pid, const struct node *dir, const char *name)
{
	bool is_table = dir->level == LEVEL_DB;

	if (pid <= 0 || (!is_table && (dir->level != LEVEL_TABLE || strcmp(name, "magnetic") != 0)))
		return NULL;
	for (struct maker **at = &ms->list; *at; at = &(*at)->next) {
		struct maker *m = *at;
		if (m->pid != pid || m->is_table != is_table || table_dropped(m->table))
			continue;
		if (is_table ? table_db(m->table) == dir->db && strcmp(table_name(m->table), name) == 0
			     : m->table == dir->table)
			return clock_mono_ns() < m->until_ns && start_of(pid) == m->started ? at : NULL;
	}
	return NULL;
}

bool makers_hide(struct makers *ms, pid_t pid, const struct node *dir, const char *name)
{
	pthread_mutex_lock(&ms->mu);
	bool hides = ms->list && find(ms, pid, dir, name);
	pthread_mutex_unlock(&ms->mu);
	if (!hides)
		return false;
	enum calls calls = calls_of(pid);
	if (calls != CALLS_UNKNOWN)
		return calls == CALLS_MKDIR;
	pthread_mutex_lock(&ms->mu);
	struct maker **at = find(ms, pid, dir, name);
	hides = at && (*at)->looks < MAKER_LOOKS;
	if (hides)
		(*at)->looks++;
	pthread_mutex_unlock(&ms->mu);
	return hides;
}

bool makers_take(struct makers *ms, pid_t pid, const struct node *dir, const char *name)
{
	struct maker *m = NULL;

	pthread_mutex_lock(&ms->mu);
	struct maker **at = ms->list ? find(ms, pid, dir, name) : NULL;
	if (at) {
		m = *at;
		*at = m->next;
		m->next = NULL;
		ms->n--;
	}
	pthread_mutex_unlock(&ms->mu);
	bool was = m != NULL;
	free_list(m);
	return was;
}
