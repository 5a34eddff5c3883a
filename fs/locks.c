/*
 * locks: fcntl(2) and flock(2), kept here because the kernel's own would be per nodeid, and every
 * lookup of a control file gives a new one. A lock belongs to the file's st_ino, which is the same
 * for all of them: two writers that lock one table's `ingest` do meet.
 *
 * The owner of an fcntl(2) lock is a process, which loses it with any close(2) of the file. Where the kernel
 * does not tell of these, because nothing else needs them (no file_ops.flush), it is the open file, as if
 * F_OFD_SETLK had been asked for.
 *
 * One mutex and one list: locks are few, and held long. Whoever must wait leaves the request.
 * No deadlock detection: INTERRUPT (and so alarm(2), ^C) ends a wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "fs/ops.h"

struct range {
	int64_t start, end; /* inclusive; INT64_MAX: to the end */
};

struct lock {
	uint64_t ino;
	uint64_t owner;
	const struct handle *through; /* fcntl(2): the open file that it was set through */
	bool is_flock;
	short type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	pid_t pid;
	struct range range;
	struct lock *next;
};

struct lock_waiter {
	struct locks *ls;
	fuse_req_t req;
	struct lock want;
	bool queued; /* guarded by mu, as interrupted */
	bool interrupted;
	struct lock_waiter *next;
};

struct locks {
	pthread_mutex_t mu;
	struct lock *held;
	struct lock_waiter *waiters; /* first come, first asked */
};

int locks_create(struct locks **ret)
{
	struct locks *ls = calloc(1, sizeof *ls);

	if (!ls)
		return -ENOMEM;
	pthread_mutex_init(&ls->mu, NULL);
	*ret = ls;
	return 0;
}

void locks_destroy(struct locks *ls)
{
	if (!ls)
		return;
	while (ls->held) {
		struct lock *l = ls->held;
		ls->held = l->next;
		free(l);
	}
	while (ls->waiters) {
		struct lock_waiter *w = ls->waiters;
		ls->waiters = w->next;
		free(w);
	}
	pthread_mutex_destroy(&ls->mu);
	free(ls);
}

static bool overlap(struct range a, struct range b)
{
	return a.start <= b.end && b.start <= a.end;
}

/* Caller holds mu. */
static struct lock *conflict(struct locks *ls, const struct lock *want)
{
	for (struct lock *l = ls->held; l; l = l->next)
		if (l->ino == want->ino && l->is_flock == want->is_flock && l->owner != want->owner &&
		    overlap(l->range, want->range) && (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

static int add(struct locks *ls, const struct lock *like, short type, int64_t start, int64_t end)
{
	struct lock *l = malloc(sizeof *l);

	if (!l)
		return -ENOLCK;
	*l = *like;
	l->type = type;
	l->range = (struct range){start, end};
	l->next = ls->held;
	ls->held = l;
	return 0;
}

/* Caller holds mu; nothing conflicts. The owner's own locks in that range give way to this one. */
static int apply(struct locks *ls, const struct lock *want)
{
	struct lock **p = &ls->held, *l, *cut = NULL;
	int rc = 0;

	while ((l = *p)) {
		if (l->ino != want->ino || l->is_flock != want->is_flock || l->owner != want->owner ||
		    !overlap(l->range, want->range)) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		l->next = cut;
		cut = l;
	}
	while ((l = cut)) {
		cut = l->next;
		if (rc == 0 && l->range.start < want->range.start)
			rc = add(ls, l, l->type, l->range.start, want->range.start - 1);
		if (rc == 0 && l->range.end > want->range.end)
			rc = add(ls, l, l->type, want->range.end + 1, l->range.end);
		free(l);
	}
	if (rc == 0 && want->type != F_UNLCK)
		rc = add(ls, want, want->type, want->range.start, want->range.end);
	return rc;
}

/* Whoever waited and now may. Caller does not hold mu. */
static void wake(struct locks *ls)
{
	struct lock_waiter **p, *w, *go = NULL;

	pthread_mutex_lock(&ls->mu);
	for (p = &ls->waiters; (w = *p);) {
		if (conflict(ls, &w->want) || apply(ls, &w->want) < 0) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->queued = false;
		w->next = go;
		go = w;
	}
	pthread_mutex_unlock(&ls->mu);
	while ((w = go)) {
		go = w->next;
		fuse_req_interrupt_func(w->req, NULL, NULL); /* waits for on_interrupt() */
		reply_err(w->req, 0);
		free(w);
	}
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct lock_waiter *w = data, **p;
	struct locks *ls = w->ls;
	bool ours;

	pthread_mutex_lock(&ls->mu);
	ours = w->queued;
	w->interrupted = true;
	if (ours) {
		for (p = &ls->waiters; *p != w; p = &(*p)->next)
			;
		*p = w->next;
		w->queued = false;
	}
	pthread_mutex_unlock(&ls->mu);
	if (ours) {
		reply_err(req, -EINTR);
		free(w);
	}
}

static void set(struct locks *ls, fuse_req_t req, const struct lock *want, bool sleep)
{
	struct lock_waiter *w = NULL;
	int rc = 0;

	if (sleep && want->type != F_UNLCK) {
		w = calloc(1, sizeof *w);
		if (!w) {
			reply_err(req, -ENOLCK);
			return;
		}
		w->ls = ls;
		w->req = req;
		w->want = *want;
		fuse_req_interrupt_func(req, on_interrupt, w);
	}
	pthread_mutex_lock(&ls->mu);
	if (want->type != F_UNLCK && conflict(ls, want)) {
		if (w && !w->interrupted) {
			struct lock_waiter **p = &ls->waiters;
			while (*p)
				p = &(*p)->next;
			*p = w;
			w->queued = true;
			w = NULL; /* whoever answers frees it */
			rc = 1;
		} else {
			rc = w ? -EINTR : -EAGAIN;
		}
	} else {
		rc = apply(ls, want);
	}
	pthread_mutex_unlock(&ls->mu);
	if (rc == 1)
		return;
	if (w) {
		fuse_req_interrupt_func(req, NULL, NULL);
		free(w);
	}
	reply_err(req, rc);
	if (rc == 0)
		wake(ls); /* an unlock, or a write lock that became a read lock */
}

static struct lock lock_of(struct node *n, const struct fuse_file_info *fi, const struct flock *f)
{
	struct handle *h = (struct handle *)(uintptr_t)fi->fh;

	return (struct lock){
		.ino = n->ino,
		.owner = h->ops->flush ? fi->lock_owner : (uintptr_t)h,
		.through = h,
		.type = f->l_type,
		.pid = f->l_pid,
		.range = {f->l_start, f->l_len ? f->l_start + f->l_len - 1 : INT64_MAX},
	};
}

void on_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *f)
{
	struct fs *fs = fuse_req_userdata(req);
	struct lock want = lock_of(nodes_from_ino(fs, ino), fi, f), *l;
	struct flock out = *f;

	pthread_mutex_lock(&fs->locks->mu);
	l = conflict(fs->locks, &want);
	out.l_type = F_UNLCK;
	if (l) {
		out.l_type = l->type;
		out.l_whence = SEEK_SET;
		out.l_start = l->range.start;
		out.l_len = l->range.end == INT64_MAX ? 0 : l->range.end - l->range.start + 1;
		out.l_pid = l->pid;
	}
	pthread_mutex_unlock(&fs->locks->mu);
	fuse_reply_lock(req, &out);
}

void on_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *f, int sleep)
{
	struct fs *fs = fuse_req_userdata(req);
	struct lock want = lock_of(nodes_from_ino(fs, ino), fi, f);

	set(fs->locks, req, &want, sleep);
}

void on_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct fs *fs = fuse_req_userdata(req);
	struct lock want = {
		.ino = nodes_from_ino(fs, ino)->ino,
		.owner = fi->lock_owner,
		.is_flock = true,
		.type = op & LOCK_EX ? F_WRLCK : op & LOCK_SH ? F_RDLCK : F_UNLCK,
		.range = {0, INT64_MAX},
	};

	set(fs->locks, req, &want, !(op & LOCK_NB));
}

/* through: NULL, or the open file whose locks are meant, whoever owns them. */
static void drop(struct fs *fs, struct node *n, const struct handle *through, uint64_t owner, bool is_flock)
{
	struct locks *ls = fs->locks;
	struct lock **p, *l;
	bool any = false;

	pthread_mutex_lock(&ls->mu);
	for (p = &ls->held; (l = *p);) {
		if (l->ino != n->ino || l->is_flock != is_flock || (through ? l->through != through : l->owner != owner)) {
			p = &l->next;
			continue;
		}
		*p = l->next;
		free(l);
		any = true;
	}
	pthread_mutex_unlock(&ls->mu);
	if (any)
		wake(ls);
}

void locks_drop_posix(struct fs *fs, struct node *n, uint64_t owner)
{
	drop(fs, n, NULL, owner, false);
}

void locks_drop_flock(struct fs *fs, struct node *n, uint64_t owner)
{
	drop(fs, n, NULL, owner, true);
}

/* F_OFD_SETLK locks: the kernel tells their owner to no FLUSH, nor to RELEASE. */
void locks_drop_handle(struct fs *fs, struct node *n, const struct handle *h)
{
	drop(fs, n, h, 0, false);
}
