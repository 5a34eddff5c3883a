/*
 * session: the daemon's life.
 *
 *	parent                          child (the daemon)
 *	fork ------------------------>  setsid, engine_open, mount, threads
 *	waits on a pipe  <------------  "ready" from the first request the kernel sends, or a sentence
 *	prints it, exits 0 or 1         serves
 *
 * Fork comes before everything else: threads and SQLite handles do not survive one.
 *
 * Stopping, by SIGTERM or SIGINT: unmount while requests are still served, so that what is under way
 * ends well; when the mount is busy, detach it, give open files a moment, then cancel what runs and
 * leave. After `umount` by somebody else the kernel ends the session and nothing is left to do.
 */
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_log.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/loop.h"
#include "fs/results.h"

#define BUSY_RETRY_NS  (3 * NS_PER_S) /* the daemon before us may still be closing its files */
#define DRAIN_MS       3000           /* for files that are open when we are told to stop */
#define PROGRESS_NS    (3 * NS_PER_S) /* between two words on how far recovery is */

struct session {
	struct options *o;
	struct fs fs;
	int tell_fd;      /* to the parent; -1 once told */
	int log_fd;
	struct loop *loop;
	pthread_t stopper;
	int ended_fd;     /* eventfd: the loop ended by itself */
	int64_t round_ns; /* when recovering() spoke last */
	bool is_up;       /* the kernel has said what it can do */
	bool unmounted;   /* by us: written by the stopper, read after it was joined */
};

/* ---- messages ------------------------------------------------------------------------------------ */

/* The parent prints it: to standard output when all is well, else to standard error. */
static void tell(struct session *s, int code, const char *text)
{
	char line[2048];
	int n = snprintf(line, sizeof line, "%c%s\n", code ? '1' : '0', text);
	ssize_t put;

	if (s->o->fs.foreground) {
		if (code)
			fprintf(stderr, "tidefs: %s\n", text);
		else if (isatty(STDOUT_FILENO))
			printf("tidefs: %s\n", text);
		fflush(stdout);
		return;
	}
	if (s->tell_fd < 0)
		return;
	put = write(s->tell_fd, line, (size_t)MIN(n, (int)sizeof line - 1));
	(void)put; /* a parent that was killed needs no answer */
	close(s->tell_fd);
	s->tell_fd = -1;
}

/* Lines from the daemon, the first byte says what they are: '2' progress; '0', '1' the outcome, last. */
static int parent_waits(int fd)
{
	FILE *in = fdopen(fd, "r");
	char text[2048];

	while (in && fgets(text, sizeof text, in)) {
		bool is_bad = text[0] == '1';
		if (is_bad || (text[0] == '2' && isatty(STDERR_FILENO)))
			fprintf(stderr, "tidefs: %s", text + 1);
		else if (text[0] == '0' && isatty(STDOUT_FILENO))
			printf("tidefs: %s", text + 1);
		if (text[0] != '2') {
			fclose(in);
			return is_bad;
		}
	}
	if (in)
		fclose(in);
	fprintf(stderr, "tidefs: the daemon ended before the mount was ready\n");
	return 1;
}

/*
 * A log is being replayed. All databases that are at it come together, once a second; every few seconds
 * is enough to see that it goes on.
 */
static void recovering(void *ctx, const char *db, uint64_t done_bytes, uint64_t total_bytes)
{
	struct session *s = ctx;
	int64_t now = clock_mono_ns();
	char line[NAME_LEN_MAX + 128];
	ssize_t put;

	if (now - s->round_ns >= PROGRESS_NS)
		s->round_ns = now;
	if (now - s->round_ns >= NS_PER_S / 2)
		return;
	int percent = (int)(MIN(done_bytes, total_bytes) * 100 / MAX(total_bytes, 1u));
	log_info("mount", "recovering database=%s done=%d%% of=%llu", log_quote(str_from(db)).text, percent,
		 (unsigned long long)total_bytes);
	if (s->tell_fd < 0)
		return;
	int n = snprintf(line, sizeof line, "2recovering '%s': %d %% of %.1f MiB of its log\n", db, percent,
			 (double)total_bytes / 1048576);
	put = write(s->tell_fd, line, (size_t)n);
	(void)put;
}

static void log_to_file(void *ctx, const struct log_line *line)
{
	ssize_t put = write(*(int *)ctx, line->line.ptr, line->line.len);

	(void)put; /* a full disk must not stop the daemon for its log */
}

static void fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[1024];
	size_t n;

	vsnprintf(text, sizeof text, fmt, ap);
	n = strlen(text);
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("fuse", "%s", text);
	else if (level <= FUSE_LOG_INFO)
		log_info("fuse", "%s", text);
	else
		log_debug("fuse", "%s", text);
}

static int open_log(struct session *s, struct err *e)
{
	struct options *o = s->o;
	const char *levels = o->log ? o->log : getenv("TIDE_LOG");
	char *list = strdup(levels ? levels : ""), *path = NULL;
	int rc;

	if (!list)
		return -ENOMEM;
	for (char *p = list; *p; p++)
		if (*p == ':')
			*p = ','; /* a comma would end the -o option */
	rc = log_configure(str_from(list), e);
	free(list);
	if (rc < 0)
		return rc;
	fuse_set_log_func(fuse_says);
	if (o->fs.foreground && !o->log_file)
		return 0;
	if (!o->log_file && asprintf(&path, "%s/tidefs.log", o->data_dir) < 0)
		return -ENOMEM;
	s->log_fd = open(path ? path : o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (s->log_fd < 0)
		rc = err_set(e, -errno, "cannot write the log '%s': %s", path ? path : o->log_file, strerror(errno));
	else
		log_set_sink(log_to_file, &s->log_fd);
	free(path);
	return rc;
}

static void ready(void *ctx)
{
	struct session *s = ctx;
	struct db **dbs;
	uint32_t n = 0, bad = 0;
	char text[1024];

	s->is_up = true;
	if (engine_dbs(s->fs.engine, &dbs, &n) >= 0) {
		for (uint32_t i = 0; i < n; i++) {
			struct db_status st;
			db_status(dbs[i], &st);
			if (st.failed || st.read_only) {
				log_warn("mount", "database=%s: %s", log_quote(str_from(db_name(dbs[i]))).text, st.reason);
				bad++;
			}
			if (st.recovered_bytes)
				log_info("mount", "recovered database=%s rows=%llu bytes=%llu ms=%lld",
					 log_quote(str_from(db_name(dbs[i]))).text, (unsigned long long)st.recovered_rows,
					 (unsigned long long)st.recovered_bytes, (long long)(st.recovery_ns / NS_PER_MS));
			db_put(dbs[i]);
		}
		free(dbs);
	}
	snprintf(text, sizeof text, "'%.400s' is mounted on '%.400s': %u database%s%s", s->o->data_dir,
		 s->o->mountpoint, n, n == 1 ? "" : "s",
		 bad ? "; some are not well, see status there" : n ? "" : "; see README there");
	log_info("mount", "data=%s mountpoint=%s databases=%u", log_quote(str_from(s->o->data_dir)).text,
		 log_quote(str_from(s->o->mountpoint)).text, n);
	tell(s, 0, text);
}

/* ---- stopping -------------------------------------------------------------------------------------- */

static int run_fusermount(const char *mountpoint, bool lazy)
{
	const char *argv[] = {"fusermount3", "-u", "-q", lazy ? "-z" : "--", lazy ? "--" : mountpoint,
			      lazy ? mountpoint : NULL, NULL};
	extern char **environ;
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
		return -ENOENT;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int unmount(const char *mountpoint, bool lazy)
{
	if (geteuid() == 0)
		return umount2(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0 ? 0 : -errno;
	return run_fusermount(mountpoint, lazy);
}

static bool ended_within(struct session *s, int ms)
{
	struct pollfd p = {s->ended_fd, POLLIN, 0};

	return poll(&p, 1, ms) > 0;
}

static void stop(struct session *s)
{
	int rc = unmount(s->o->mountpoint, false);

	if (rc == -EBUSY) {
		log_info("mount", "the mount is busy: detached, files in use are given %d ms", DRAIN_MS);
		rc = unmount(s->o->mountpoint, true);
	}
	s->unmounted = rc == 0;
	if (rc == 0 && ended_within(s, DRAIN_MS))
		return;
	if (rc < 0)
		log_warn("mount", "cannot unmount: %s", strerror(-rc));
	results_cancel_all(s->fs.results);
	loop_stop(s->loop);
}

static void *stopper_main(void *arg)
{
	struct session *s = arg;
	struct signalfd_siginfo si;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	struct pollfd p[2] = {{fd, POLLIN, 0}, {s->ended_fd, POLLIN, 0}};

	while (fd >= 0 && (poll(p, 2, -1) > 0 || errno == EINTR)) {
		if (p[1].revents)
			break;
		if (!(p[0].revents & POLLIN) || read(fd, &si, sizeof si) != sizeof si)
			continue;
		log_info("mount", "signal=%s from=%d", si.ssi_signo == SIGTERM ? "TERM" : "INT", (int)si.ssi_pid);
		stop(s);
		break;
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void wake_up(int sig)
{
}

static void block_signals(void)
{
	struct sigaction wake = {.sa_handler = wake_up};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGUSR1, &wake, NULL); /* without SA_RESTART: it ends a read(2) */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

/* ---- the session --------------------------------------------------------------------------------------- */

static int open_engine(struct session *s, struct engine **ret, struct err *e)
{
	struct engine_options eo = {
		.memory_bytes = s->o->fs.memory_bytes,
		.cache_bytes = s->o->fs.cache_bytes,
		.sync_interval_ns = s->o->fs.sync_interval_ns,
		.reserved_names = files_reserved_names(),
		.recovering = recovering,
		.recovering_ctx = s,
	};
	int64_t until = clock_mono_ns() + BUSY_RETRY_NS;
	struct timespec pause = {0, 50 * NS_PER_MS};
	int rc;

	while ((rc = engine_open(s->o->data_dir, &eo, ret, e)) == -EBUSY && clock_mono_ns() < until)
		nanosleep(&pause, NULL);
	return rc;
}

static int make_session(struct session *s, struct err *e)
{
	struct options *o = s->o;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct buf list;
	int rc = -ENOMEM;

	buf_init(&list, 65536);
	buf_adds(&list, "subtype=tidefs,fsname=");
	for (const char *p = o->data_dir; *p; p++) {
		if (*p == ',' || *p == '\\')
			buf_addc(&list, '\\');
		buf_addc(&list, *p);
	}
	if (o->fs.allow_other)
		buf_adds(&list, ",allow_other");
	buf_add_str(&list, buf_str(&o->fuse));
	buf_addc(&list, '\0');
	if (list.rc < 0 || fuse_opt_add_arg(&args, "tidefs") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
	    fuse_opt_add_arg(&args, list.data) < 0 || (o->fs.debug && fuse_opt_add_arg(&args, "-d") < 0))
		goto out;
	s->fs.se = fuse_session_new(&args, &fs_ops, sizeof fs_ops, &s->fs);
	rc = s->fs.se ? 0 : err_set(e, -EINVAL, "libfuse refuses the options '%s'", list.data);
out:
	buf_release(&list);
	fuse_opt_free_args(&args);
	return rc;
}

static int serve(struct session *s, struct err *e)
{
	uint64_t one = 1;
	ssize_t put;
	int rc = loop_create(s->fs.se, s->o->fs.threads, &s->loop, e);

	if (rc < 0)
		return rc;
	s->ended_fd = eventfd(0, EFD_CLOEXEC);
	rc = pthread_create(&s->stopper, NULL, stopper_main, s);
	if (rc) {
		loop_destroy(s->loop);
		return err_set(e, -rc, "cannot start a thread: %s", strerror(rc));
	}
	rc = loop_run(s->loop, e);
	put = write(s->ended_fd, &one, sizeof one);
	(void)put;
	pthread_join(s->stopper, NULL);
	if (rc >= 0 && !s->is_up && !s->unmounted)
		rc = err_set(e, -EPROTO, "the session ended before the mount was ready (the log has more)");
	loop_destroy(s->loop);
	close(s->ended_fd);
	return rc;
}

/* Still reachable, so that a leak checker has nothing to say. */
static struct fuse_session *volatile left_behind;

/*
 * libfuse unmounts by name. What we detached while it was busy may by now be somebody else's mount
 * of that name: then the session is left to the end of the process, which closes its descriptor.
 */
static void end_session(struct session *s, bool mounted)
{
	struct fuse_session *se = s->fs.se;

	if (!se)
		return;
	if (mounted && s->unmounted) {
		struct pollfd p = {fuse_session_fd(se), 0, 0};
		if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLERR)) {
			left_behind = se;
			return;
		}
	}
	if (mounted)
		fuse_session_unmount(se);
	fuse_session_destroy(se);
}

static int run(struct session *s, struct err *e)
{
	struct engine *en = NULL;
	int rc = open_engine(s, &en, e);
	bool mounted = false;

	if (rc < 0)
		return rc;
	rc = open_log(s, e);
	if (rc >= 0)
		rc = fs_init(&s->fs, en, &s->o->fs, e);
	if (rc < 0)
		goto close;
	s->fs.ready = ready;
	s->fs.ready_ctx = s;
	rc = make_session(s, e);
	if (rc >= 0 && fuse_session_mount(s->fs.se, s->o->mountpoint) < 0)
		rc = err_set(e, -EPERM,
			     "cannot mount on '%s' (is /dev/fuse there, and may you mount there? the log has more)",
			     s->o->mountpoint);
	else
		mounted = rc >= 0;
	if (rc >= 0)
		rc = ticker_start(&s->fs, e);
	if (rc >= 0)
		rc = serve(s, e);
	ticker_stop(&s->fs);
	fs_release(&s->fs);
	end_session(s, mounted);
close:
	engine_close(en);
	log_info("mount", "closed data=%s", log_quote(str_from(s->o->data_dir)).text);
	log_set_sink(NULL, NULL);
	if (s->log_fd >= 0)
		close(s->log_fd);
	return rc;
}

static void go_to_background(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/") < 0 || fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int session_run(struct options *o)
{
	struct session s = {.o = o, .tell_fd = -1, .log_fd = -1, .ended_fd = -1};
	struct err e = {0};
	int fds[2], rc;

	if (!o->fs.foreground) {
		pid_t pid;
		if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
			fprintf(stderr, "tidefs: %s\n", strerror(errno));
			return 1;
		}
		if (pid > 0) {
			close(fds[1]);
			return parent_waits(fds[0]);
		}
		close(fds[0]);
		s.tell_fd = fds[1];
		go_to_background();
	}
	block_signals();
	rc = run(&s, &e);
	if (rc < 0) {
		if (s.tell_fd < 0 && !o->fs.foreground)
			log_error("mount", "%s", err_text(&e, rc));
		tell(&s, 1, err_text(&e, rc));
	}
	return rc < 0;
}
