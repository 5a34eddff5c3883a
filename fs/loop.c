/*
 * loop: a few threads have a seat: they read requests, and serve what is short at once.
 *
 * Waking another thread costs more than most requests do, many times more where the core sleeps. So
 * a reader serves a request itself and reads on. It gives its seat to another thread
 *
 *	before a request that waits for a disk
 *	before one that may compute, when another request is waiting already
 *	from a thread that has been at one request for a tick: the watch takes it away
 *
 * and whoever was at work without a seat looks for work again when that is done. So nothing waits longer
 * than two ticks for a request of somebody else, and with several programs at it all cores are used.
 *
 * `turn` of a seat counts: odd while its reader serves a request, even while it reads. Whoever moves it
 * on from an odd number has the seat: the reader when it is done, or the watch, exactly one of them. The
 * watch sleeps in a timer that a reader starts with the first request after a pause, and lets the timer
 * rest when a while went by without any.
 *
 * One seat or several? With one, what a program asks step by step is served by one thread, and where the
 * other cores are busy this thread comes to share the program's core: a request is then a switch of
 * threads and no more. Where they are idle the scheduler puts the two on different cores, each of which
 * sleeps while the other one works; with several threads in read(2) the kernel takes the one that waits
 * longest, which more often than not can run where the request was made. Which is faster, by a factor of
 * three either way, depends on machine and load; so the watch tries both now and then and keeps the one
 * that serves more.
 */
#include "fs/loop.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "query/pool.h"

#define TICK_NS    NS_PER_MS
#define REST_TICKS 50    /* without a request: the timer stops */
#define IDLE_KEPT  4     /* threads that wait for a seat; more end */
#define SEATS      2     /* where there are several: more were slower */
#define TRIAL      5     /* ticks that a number of seats is tried at once, twice each */
#define TRIAL_REST 250   /* ticks between trials */
#define KICK_NS    (20 * NS_PER_MS) /* between two signals to a thread that must leave its read */

struct worker {
	struct loop *l;
	pthread_t thread;
	struct fuse_buf buf;
	_Atomic bool is_reading;
	struct seat *seat;    /* where it sits, or is to; constant while it does */
	sem_t called;         /* posted: sit down, or (l->is_over) go */
	struct worker *below; /* in l->idle; guarded by l->mu */
	struct worker *prev, *next; /* in l->all; guarded by l->mu */
};

struct seat {
	_Alignas(64) _Atomic uint64_t turn;
	uint64_t seen;  /* by the watch, at the last tick */
	_Atomic bool is_taken;
};

struct loop {
	struct fuse_session *se;
	unsigned max, cores;
	struct seat seats[SEATS];
	_Atomic int wanted;       /* seats to be taken: the first 1 or SEATS */
	_Atomic bool is_over;

	int timer;                /* timerfd */
	_Atomic bool is_ticking;
	pthread_t watch;

	pthread_mutex_t mu;
	pthread_cond_t changed;   /* a worker ended, or all is over */
	struct worker *all;       /* guarded by mu */
	struct worker *idle;      /* guarded by mu: the last one that came is the first to go */
	unsigned workers, idle_n; /* guarded by mu */
	int rc;                   /* guarded by mu: why it is over */
};

/* ---- the seat ------------------------------------------------------------------------------------------ */

static void *worker_main(void *arg);

static void worker_free(struct worker *w)
{
	free(w->buf.mem);
	sem_destroy(&w->called);
	free(w);
}

static void push_idle_locked(struct worker *w)
{
	struct loop *l = w->l;

	w->below = l->idle;
	l->idle = w;
	l->idle_n++;
}

/* The one that came last has the warmest caches. seat: NULL, for good. */
static void wake_idle_locked(struct loop *l, struct seat *seat)
{
	struct worker *w = l->idle;

	l->idle = w->below;
	l->idle_n--;
	w->seat = seat;
	sem_post(&w->called);
}

/* One more who waits for a seat. Caller holds mu. */
static int spawn_locked(struct loop *l)
{
	struct worker *w = calloc(1, sizeof *w);
	int rc;

	if (!w)
		return -ENOMEM;
	w->l = l;
	sem_init(&w->called, 0, 0);
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	if (rc) {
		worker_free(w);
		return -rc;
	}
	pthread_detach(w->thread);
	w->next = l->all;
	if (w->next)
		w->next->prev = w;
	l->all = w;
	l->workers++;
	push_idle_locked(w);
	return 0;
}

/*
 * Somebody else gets the seat, who reads at once. turn: 0 where the caller has it, else an odd number
 * that must still be the one. False: it stays where it is.
 */
static bool pass_seat(struct loop *l, struct seat *seat, uint64_t turn)
{
	pthread_mutex_lock(&l->mu);
	if (!l->idle && l->workers < l->max && !atomic_load(&l->is_over))
		(void)!spawn_locked(l); /* no thread to be had: the seat stays */
	bool is_passed = l->idle && (!turn || atomic_compare_exchange_strong(&seat->turn, &turn, turn + 1));
	if (is_passed)
		wake_idle_locked(l, seat);
	pthread_mutex_unlock(&l->mu);
	return is_passed;
}

/* False: it is over. */
static bool sit_down(struct worker *w)
{
	while (sem_wait(&w->called) < 0)
		; /* EINTR */
	return !atomic_load(&w->l->is_over);
}

/* Wait for a seat. False: there are enough who wait, or it is over. */
static bool wait_for_seat(struct worker *w)
{
	struct loop *l = w->l;

	pthread_mutex_lock(&l->mu);
	bool waits = l->idle_n < IDLE_KEPT && !atomic_load(&l->is_over);
	if (waits)
		push_idle_locked(w);
	pthread_mutex_unlock(&l->mu);
	return waits && sit_down(w);
}

/* ---- requests -------------------------------------------------------------------------------------------- */

enum cost {
	COST_SHORT,  /* looks something up, or closes */
	COST_VARIES, /* a statement may run for it, or lines be stored */
	COST_WAITS,  /* for a disk */
};

static enum cost cost_of(const struct fuse_buf *b)
{
	const struct fuse_in_header *h = b->mem;

	switch (h->opcode) {
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_MKDIR:
	case FUSE_RMDIR:
	case FUSE_UNLINK:
		return COST_WAITS;
	case FUSE_LOOKUP:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_GETATTR:
	case FUSE_ACCESS:
	case FUSE_STATFS:
	case FUSE_OPENDIR:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_INTERRUPT:
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		return COST_SHORT;
	default:
		return COST_VARIES;
	}
}

static bool others_wait(const struct loop *l)
{
	struct pollfd p = {fuse_session_fd(l->se), POLLIN, 0};

	return poll(&p, 1, 0) > 0;
}

/* More at work than there are cores would only take turns: the others wait in the kernel, in order. */
static bool has_room(struct loop *l)
{
	pthread_mutex_lock(&l->mu);
	bool has = l->workers - l->idle_n < l->cores + SEATS;
	pthread_mutex_unlock(&l->mu);
	return has;
}

/* The watch must look from now on. */
static void start_ticking(struct loop *l)
{
	static const struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};

	if (!atomic_load(&l->is_ticking) && !atomic_exchange(&l->is_ticking, true))
		timerfd_settime(l->timer, 0, &every, NULL);
}

static void end(struct loop *l, int rc)
{
	pthread_mutex_lock(&l->mu);
	if (!atomic_load(&l->is_over))
		l->rc = rc;
	atomic_store(&l->is_over, true);
	fuse_session_exit(l->se);
	while (l->idle)
		wake_idle_locked(l, NULL);
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->mu);
}

/* Is the seat still wanted? Else it is left. */
static bool stays(struct loop *l, struct seat *seat)
{
	if (seat - l->seats < atomic_load(&l->wanted))
		return true;
	atomic_store(&seat->is_taken, false);
	/* It may be wanted again this moment, by whoever found it taken. */
	return seat - l->seats < atomic_load(&l->wanted) && !atomic_exchange(&seat->is_taken, true);
}

/* Read and serve as long as the seat is ours, and wanted. False: it is over. */
static bool lead(struct worker *w)
{
	struct loop *l = w->l;
	struct seat *seat = w->seat;

	while (!atomic_load(&l->is_over)) {
		atomic_store_explicit(&w->is_reading, true, memory_order_relaxed);
		int n = fuse_session_receive_buf(l->se, &w->buf);
		atomic_store_explicit(&w->is_reading, false, memory_order_relaxed);
		if (n == -EINTR && !fuse_session_exited(l->se))
			continue;
		if (n == -ENOMEM) { /* for a buffer: nothing was read yet */
			nanosleep(&(struct timespec){0, 10 * NS_PER_MS}, NULL);
			continue;
		}
		if (n <= 0) {
			end(l, n == -EINTR ? 0 : n);
			return false;
		}
		enum cost cost = cost_of(&w->buf);
		bool is_long = cost == COST_WAITS || (cost == COST_VARIES && has_room(l) && others_wait(l));
		if (is_long && pass_seat(l, seat, 0)) {
			fuse_session_process_buf(l->se, &w->buf);
			return true;
		}
		uint64_t turn = atomic_fetch_add(&seat->turn, 1) + 1;
		start_ticking(l);
		fuse_session_process_buf(l->se, &w->buf);
		if (!atomic_compare_exchange_strong(&seat->turn, &turn, turn + 1))
			return true;
		if (!stays(l, seat))
			return true;
	}
	return false;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->l;

	for (bool goes_on = sit_down(w); goes_on;)
		goes_on = lead(w) && wait_for_seat(w);
	pthread_mutex_lock(&l->mu);
	if (w->prev)
		w->prev->next = w->next;
	else
		l->all = w->next;
	if (w->next)
		w->next->prev = w->prev;
	l->workers--;
	worker_free(w);
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->mu);
	return NULL;
}

/* ---- the watch --------------------------------------------------------------------------------------------- */

/* Which number of seats serves more. */
struct tuning {
	int ticks;          /* since the last change */
	int busy;           /* ticks in a row in which something was served */
	int phase;          /* of a trial: 0 to 3, even with one seat; -1: none is under way */
	int before;         /* seats that were wanted */
	uint64_t served[2]; /* in a trial: with one seat, with several */
};

/* Seats that are wanted and empty get somebody. */
static void fill_seats(struct loop *l)
{
	for (int i = 0; i < atomic_load(&l->wanted); i++)
		if (!atomic_exchange(&l->seats[i].is_taken, true) && !pass_seat(l, &l->seats[i], 0))
			atomic_store(&l->seats[i].is_taken, false);
}

static void want(struct loop *l, int seats)
{
	atomic_store(&l->wanted, seats);
	fill_seats(l);
}

/* After a tick in which so many turns were made. Where requests come singly, neither number says anything. */
static void tune(struct loop *l, struct tuning *t, uint64_t served)
{
	t->busy = served ? t->busy + 1 : 0;
	t->ticks++;
	if (t->phase < 0) {
		if (t->ticks < TRIAL_REST || t->busy < TRIAL)
			return;
		*t = (struct tuning){.busy = t->busy, .before = atomic_load(&l->wanted)};
		want(l, 1);
		return;
	}
	if (!t->busy) {
		want(l, t->before);
		*t = (struct tuning){.phase = -1};
		return;
	}
	/* The first tick is that of the change. */
	if (t->ticks > 1)
		t->served[t->phase % 2] += served;
	if (t->ticks < TRIAL)
		return;
	t->ticks = 0;
	if (++t->phase < 4) {
		want(l, t->phase % 2 ? SEATS : 1);
		return;
	}
	want(l, t->served[0] > t->served[1] ? 1 : SEATS);
	t->phase = -1;
}

/* What moved since the last tick; who did not and is at work loses the seat. */
static uint64_t look_round(struct loop *l)
{
	uint64_t moved = 0;

	for (int i = 0; i < SEATS; i++) {
		struct seat *s = &l->seats[i];
		uint64_t turn = atomic_load(&s->turn);

		moved += turn - s->seen;
		/* Where nobody is left to take it, it is looked at again: the timer goes on. */
		if (turn == s->seen && turn % 2) {
			(void)pass_seat(l, s, turn);
			moved++;
		}
		s->seen = turn;
	}
	return moved;
}

static void *watch_main(void *arg)
{
	static const struct itimerspec never = {{0, 0}, {0, 0}};
	struct tuning tuning = {.phase = -1, .ticks = TRIAL_REST};
	struct loop *l = arg;
	uint64_t ticks;
	int still = 0;

	while (!atomic_load(&l->is_over)) {
		if (read(l->timer, &ticks, sizeof ticks) < 0)
			continue; /* EINTR */
		uint64_t moved = look_round(l);
		tune(l, &tuning, moved);
		if (moved) {
			still = 0;
			continue;
		}
		if (++still < REST_TICKS)
			continue;
		still = 0;
		timerfd_settime(l->timer, 0, &never, NULL);
		atomic_store(&l->is_ticking, false);
		/* A request that began before this line found the timer going. */
		for (int i = 0; i < SEATS; i++)
			if (atomic_load(&l->seats[i].turn) != l->seats[i].seen && !atomic_load(&l->is_over))
				start_ticking(l);
	}
	return NULL;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

int loop_create(struct fuse_session *se, unsigned max_threads, struct loop **ret, struct err *e)
{
	struct loop *l = aligned_alloc(_Alignof(struct loop), sizeof *l);
	int rc;

	if (!l)
		return -ENOMEM;
	memset(l, 0, sizeof *l);
	l->se = se;
	l->max = MAX(max_threads, 2u);
	l->cores = pool_cores();
	l->wanted = SEATS;
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->changed, NULL);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	rc = l->timer < 0 ? -errno : -pthread_create(&l->watch, NULL, watch_main, l);
	if (rc < 0) {
		err_set(e, rc, "cannot start a thread: %s", strerror(-rc));
		if (l->timer >= 0)
			close(l->timer);
		free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

/*
 * Whoever has the seat sits in a read that ends with the mount, or by a signal. A signal that comes just
 * before the read is lost, so there are several. Caller holds mu.
 */
static void kick_reader_locked(struct loop *l)
{
	for (struct worker *w = l->all; w; w = w->next)
		if (atomic_load(&w->is_reading))
			pthread_kill(w->thread, SIGUSR1);
}

int loop_run(struct loop *l, struct err *e)
{
	struct timespec until;

	fill_seats(l);
	pthread_mutex_lock(&l->mu);
	int rc = 0;
	if (l->workers < SEATS) {
		rc = err_set(e, -EAGAIN, "cannot start two threads: %s", strerror(EAGAIN));
		atomic_store(&l->is_over, true);
	}
	while (l->workers && !atomic_load(&l->is_over))
		pthread_cond_wait(&l->changed, &l->mu);
	while (l->workers) {
		kick_reader_locked(l);
		clock_gettime(CLOCK_REALTIME, &until);
		int64_t ns = until.tv_nsec + KICK_NS;
		until = (struct timespec){until.tv_sec + ns / NS_PER_S, ns % NS_PER_S};
		pthread_cond_timedwait(&l->changed, &l->mu, &until);
	}
	if (rc >= 0 && l->rc < 0)
		rc = err_set(e, l->rc, "the session ended: %s", strerror(-l->rc));
	pthread_mutex_unlock(&l->mu);
	return rc;
}

void loop_stop(struct loop *l)
{
	end(l, 0);
}

void loop_destroy(struct loop *l)
{
	static const struct itimerspec now = {{0, 0}, {0, 1}};

	if (!l)
		return;
	end(l, 0);
	timerfd_settime(l->timer, 0, &now, NULL); /* the watch sees that it is over */
	pthread_join(l->watch, NULL);
	close(l->timer);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->mu);
	free(l);
}
