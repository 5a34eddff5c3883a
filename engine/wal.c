/*
 * wal: appending, syncing, trimming. Bytes are in wal_segment.c, recovery in wal_recover.c.
 *
 *	head -> segment -> segment -> tail            files, by number
 *	                              ^ active: appends go here
 *	kept: batches with LSN > durable_lsn, as written, in RAM
 *
 * Locks. `mu` guards everything that is not constant. Appends write while they hold it: they must
 *be in order anyway, and a write into the page cache is a copy. Syncing is done outside: whoever
 *has work with files that must not disappear (sync, rescue, trim) takes the claim `syncing`, gives
 *up mu, and takes it again. So a group commit is: the first caller claims and syncs what is there;
 *those who come meanwhile append, wait, and the next of them syncs for all the others.
 *
 * A failed fsync (`refused`) is made good by writing what is kept to a new segment. While that is
 *being tried (`rescuing`) appends wait, as `kept` is read without mu; when it failed they are
 *refused until a later try succeeds: the background thread tries at each interval, and so does
 *wal_sync(). A log that could not begin its first segment at open (disk full) is in the same state,
 *with nothing kept.
 */
#include "engine/wal_segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define STATUS_WAIT_NS (200 * NS_PER_MS) /* an append takes less, unless the disk hangs */

struct wal {
	const struct io *io; /* constant after open, as the next four */
	int dirfd;
	struct wal_options opt;
	uint8_t log_id[16];
	bool frozen; /* read-only for good: damaged, or opened so */

	pthread_mutex_t mu;
	pthread_cond_t changed;    /* syncing or rescuing ended */
	pthread_cond_t wake;       /* for the background thread: stop */
	_Atomic uint64_t next_lsn; /* written under mu */
	uint64_t durable_lsn;
	uint64_t marked_lsn; /* highest synced LSN that some batch or header carries */
	struct wal_segment *head, *tail;
	bool has_active; /* tail takes appends */
	uint64_t last_number;
	struct wal_kept kept;
	bool dir_dirty; /* a new file's name is not on disk yet */
	bool drop_dirty; /* that a file went is not on disk yet */
	bool syncing, rescuing, refused;
	int refused_rc;  /* what appends get: -ENOSPC or -EROFS */
	bool cut_needed; /* rubbish behind tail->bytes that ftruncate would not take away */
	bool stop;
	uint64_t start_lsn; /* the first LSN since open, and the last one before it in the log: */
	uint64_t start_follows; /* numbers may have been skipped in between */
	char reason[256];       /* why refused or frozen */
	int64_t failing_since_ns; /* the disk refuses batches since then; 0: the last one was taken */
	char failing[256];
	uint64_t replayed_bytes, cut_bytes;
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t shown_mu; /* after mu */
	struct wal_status shown;  /* guarded by shown_mu: as of the last look */
};

static struct wal_segment *active(struct wal *w)
{
	return w->has_active ? w->tail : NULL;
}

static uint64_t last_lsn(const struct wal *w)
{
	return atomic_load_explicit(&w->next_lsn, memory_order_relaxed) - 1;
}

/* What callers are promised: -ENOSPC, or -EIO for all else. */
static int write_error(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG ? -ENOSPC : -EIO;
}

/* ---- segments: mu is held
 * ------------------------------------------------------------------------- */

static int random_salt(uint32_t *ret)
{
	return getrandom(ret, sizeof *ret, 0) == sizeof *ret ? 0 : -EIO;
}

static int make_segment(struct wal *w, uint64_t first, uint64_t follows, uint64_t number,
			uint64_t synced, struct wal_segment **ret)
{
	struct wal_header h = {
		.first_lsn = first,
		.follows = follows,
		.number = number,
		.boot = w->opt.boot,
		.synced = synced,
	};
	int rc = random_salt(&h.salt);

	memcpy(h.log_id, w->log_id, sizeof h.log_id);
	return rc < 0 ? rc : wal_segment_create(w->io, w->dirfd, &h, ret);
}

static void add_segment(struct wal *w, struct wal_segment *s)
{
	if (w->tail)
		w->tail->next = s;
	else
		w->head = s;
	w->tail = s;
	w->has_active = true;
	w->dir_dirty = true;
	w->marked_lsn = MAX(w->marked_lsn, s->header.synced);
}

/* Close files that nobody writes and nobody needs to sync. Not while another thread syncs. */
static void close_clean(struct wal *w)
{
	for (struct wal_segment *s = w->head; s; s = s->next) {
		if (s->fd >= 0 && !s->dirty && s != active(w)) {
			(void)w->io->close(w->io, s->fd);
			s->fd = -1;
		}
	}
}

static int begin_segment(struct wal *w, uint64_t first, uint64_t follows, struct err *e)
{
	struct wal_segment *s;
	int rc = make_segment(w, first, follows, w->last_number + 1, w->durable_lsn, &s);

	if (rc < 0)
		return err_set(e, write_error(rc), "the log cannot begin a new segment: %s",
			       strerror(-rc));
	w->last_number++;
	FAULT("wal.rotate");
	add_segment(w, s);
	if (!w->syncing)
		close_clean(w);
	return 0;
}

/* Back to the last good byte, so that a refused batch can never be read. */
static int cut_back(struct wal *w)
{
	struct wal_segment *s = active(w);
	int rc = w->io->ftruncate(w->io, s->fd, s->bytes);

	w->cut_needed = rc < 0;
	return rc;
}

/* Write one sealed batch behind the last. */
static int write_batch(struct wal *w, const uint8_t *p, size_t n)
{
	struct wal_segment *s = active(w);
	int64_t rc = io_pwrite(w->io, s->fd, p, n, s->bytes);

	if (rc < 0) {
		(void)cut_back(w); /* a failure is remembered in cut_needed */
		return (int)rc;
	}
	s->bytes += (int64_t)n;
	return 0;
}

/*
 * A batch without records that says how far the log is on stable storage: recovery can then tell
 * bytes that went bad from bytes that a power cut never let through. It needs no sync of its own.
 */
static void write_mark(struct wal *w)
{
	uint8_t p[WAL_BATCH_HEAD];
	struct wal_segment *s = active(w);

	if (!s || w->refused || w->cut_needed || w->marked_lsn >= w->durable_lsn)
		return;
	struct wal_batch b = {
		.bytes = WAL_BATCH_HEAD,
		.first_lsn = last_lsn(w) + 1,
		.synced = w->durable_lsn,
	};
	wal_batch_seal(p, &b, s->header.salt);
	if (write_batch(w, p, sizeof p) == 0)
		w->marked_lsn = w->durable_lsn;
}

/* ---- syncing: mu is held, and given up inside
 * ------------------------------------------------------- */

/* fdatasync every dirty file and, where there are new ones, the directory. The claim is held. */
static int sync_files(struct wal *w, char *what, size_t cap)
{
	uint64_t target = last_lsn(w);
	bool dir = w->dir_dirty || w->drop_dirty;
	int n = 0, rc = 0;

	for (struct wal_segment *s = w->head; s; s = s->next)
		n += s->dirty;
	int *fds = malloc(sizeof *fds * ((size_t)n + 1));
	if (!fds)
		return -ENOMEM;
	n = 0;
	for (struct wal_segment *s = w->head; s; s = s->next)
		if (s->dirty)
			fds[n++] = s->fd;
	w->dir_dirty = w->drop_dirty = false;
	pthread_mutex_unlock(&w->mu);

	FAULT("wal.sync");
	for (int i = 0; rc == 0 && i < n; i++)
		rc = w->io->fdatasync(w->io, fds[i]);
	if (rc == 0 && dir)
		rc = w->io->fsync(w->io, w->dirfd);
	free(fds);

	pthread_mutex_lock(&w->mu);
	if (rc < 0) {
		snprintf(what, cap, "the log could not be synced: %s", strerror(-rc));
		w->drop_dirty |= dir;
		return rc; /* dir_dirty needs no care: a rescue syncs the directory */
	}
	for (struct wal_segment *s = w->head; s; s = s->next)
		if (s->last_lsn <= target)
			s->dirty = false;
	close_clean(w);
	w->durable_lsn = MAX(w->durable_lsn, target);
	return 0;
}

/* Write the batches of one chunk that are not durable to s, under its salt. mu is not held. */
static int rewrite_chunk(struct wal *w, struct wal_chunk *c, uint64_t durable,
			 struct wal_segment *s)
{
	size_t from = c->used;

	for (size_t at = 0; at < c->used;) {
		struct wal_batch b;
		wal_batch_head(c->data + at, &b);
		if (b.first_lsn > durable) {
			from = MIN(from, at);
			wal_batch_seal(c->data + at, &b, s->header.salt);
			s->last_lsn = wal_batch_end(&b) - 1;
		}
		at += b.bytes;
	}
	int64_t rc = from < c->used
			     ? io_pwrite(w->io, s->fd, c->data + from, c->used - from, s->bytes)
			     : 0;
	if (rc >= 0)
		s->bytes += (int64_t)(c->used - from);
	return rc < 0 ? (int)rc : 0;
}

/* All kept batches into a new, synced segment. mu is not held; appends wait. */
static int write_rescue(struct wal *w, uint64_t durable, uint64_t number, struct wal_segment **ret)
{
	struct wal_segment *s;
	uint64_t follows = durable + 1 == w->start_lsn ? w->start_follows : durable;
	int rc = make_segment(w, durable + 1, follows, number, durable, &s);

	if (rc < 0)
		return rc;
	for (struct wal_chunk *c = w->kept.head; rc == 0 && c; c = c->next)
		rc = rewrite_chunk(w, c, durable, s);
	if (rc == 0)
		rc = w->io->fdatasync(w->io, s->fd);
	if (rc == 0)
		rc = w->io->fsync(w->io, w->dirfd);
	if (rc < 0) {
		char name[WAL_NAME_MAX];
		wal_segment_name(name, s->header.first_lsn, s->header.number);
		(void)w->io->unlinkat(w->io, w->dirfd, name,
				      0); /* what stays is a good copy, or a torn one */
		wal_segment_free(w->io, s);
		return rc;
	}
	s->dirty = false;
	*ret = s;
	return 0;
}

/* Segments before `s` that hold nothing which it does not hold too. */
static void drop_copied(struct wal *w, const struct wal_segment *s)
{
	struct wal_segment **link = &w->head;

	w->tail = NULL;
	while (*link && *link != s) {
		struct wal_segment *old = *link;
		char name[WAL_NAME_MAX];
		wal_segment_name(name, old->header.first_lsn, old->header.number);
		old->dirty = false; /* what it had beyond is in s */
		old->last_lsn = MIN(old->last_lsn, s->header.first_lsn - 1);
		if (old->header.first_lsn >= s->header.first_lsn &&
		    w->io->unlinkat(w->io, w->dirfd, name, 0) == 0) {
			*link = old->next;
			wal_segment_free(w->io, old);
			continue;
		}
		old->last_lsn = MAX(old->last_lsn, old->header.first_lsn - 1);
		link = &old->next;
	}
	w->tail = *link;
}

/* Make a failed sync good. mu and the claim are held. */
static int rescue(struct wal *w)
{
	struct wal_segment *s = NULL;
	uint64_t durable = w->durable_lsn;
	int rc = w->cut_needed ? cut_back(w) : 0;

	if (rc < 0)
		return rc;
	uint64_t number = ++w->last_number; /* used up even when it fails: a file may stay behind */
	w->rescuing = true;
	pthread_mutex_unlock(&w->mu);
	rc = write_rescue(w, durable, number, &s);
	pthread_mutex_lock(&w->mu);
	w->rescuing = false;
	if (rc < 0)
		return rc;
	add_segment(w, s);
	w->dir_dirty = false;
	drop_copied(w, s);
	close_clean(w);
	w->durable_lsn = last_lsn(w);
	return 0;
}

/* Everything appended so far to stable storage. mu is held; no one else has the claim. */
static int lead_sync(struct wal *w, struct err *e)
{
	w->syncing = true;
	int rc = w->refused ? -EIO : sync_files(w, w->reason, sizeof w->reason);
	if (rc < 0 && rc != -ENOMEM) {
		w->refused = true;
		w->refused_rc = -EROFS;
		rc = rescue(w);
		if (rc == 0) {
			w->refused = false;
			w->reason[0] = '\0';
		} else {
			w->refused_rc = write_error(rc) == -ENOSPC ? -ENOSPC : -EROFS;
		}
	}
	if (rc == 0)
		wal_kept_forget(&w->kept, w->durable_lsn);
	else
		err_set(e, -EIO,
			"%s; writing it elsewhere failed too: %s; it is tried again and again",
			w->reason[0] ? w->reason : "the log could not be synced", strerror(-rc));
	w->syncing = false;
	pthread_cond_broadcast(&w->changed);
	return rc < 0 ? -EIO : 0;
}

static int sync_to(struct wal *w, uint64_t lsn, struct err *e)
{
	lsn = MIN(lsn, last_lsn(w));
	while (w->durable_lsn < lsn) {
		if (w->syncing) {
			pthread_cond_wait(&w->changed, &w->mu);
			continue;
		}
		int rc = lead_sync(w, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int wal_sync(struct wal *w, uint64_t lsn, struct err *e)
{
	pthread_mutex_lock(&w->mu);
	int rc = sync_to(w, lsn, e);
	if (rc == 0 && w->refused && !w->syncing)
		(void)lead_sync(
			w, NULL); /* these records are safe; the log itself may be made good too */
	pthread_mutex_unlock(&w->mu);
	return rc;
}

/* ---- appending
 * -------------------------------------------------------------------------------------- */

/* Until a batch of n bytes may be written, or a reason why not. mu is held; may wait. */
static int wait_ready(struct wal *w, size_t n, struct err *e)
{
	for (;;) {
		if (w->frozen)
			return err_set(e, -EROFS, "the log is read-only: %s", w->reason);
		if (w->rescuing) {
			pthread_cond_wait(&w->changed, &w->mu);
			continue;
		}
		if (w->refused)
			return err_set(e, w->refused_rc, "the log takes nothing: %s", w->reason);
		if (w->kept.bytes && w->kept.bytes + n > w->opt.unsynced_max) {
			int rc = sync_to(w, last_lsn(w), e);
			if (rc < 0)
				return rc;
			continue;
		}
		int rc = w->cut_needed ? cut_back(w) : 0;
		if (rc < 0)
			return err_set(e, -EIO,
				       "the log takes nothing: a batch written in part cannot be "
				       "cut off: %s",
				       strerror(-rc));
		if (active(w)->bytes < (int64_t)w->opt.segment_bytes)
			return 0;
		return begin_segment(w, last_lsn(w) + 1, last_lsn(w), e);
	}
}

/* mu is held. */
static int append(struct wal *w, struct wal_record *recs, uint32_t count, size_t bytes,
		  struct err *e)
{
	int rc = wait_ready(w, bytes, e);

	if (rc < 0)
		return rc;
	uint8_t *p = wal_kept_reserve(&w->kept, bytes);
	if (!p)
		return err_set(e, -ENOMEM, "the log: out of memory for a batch of %zu bytes",
			       bytes);
	struct wal_segment *s = active(w);
	struct buf out = {.data = (char *)p, .len = WAL_BATCH_HEAD, .cap = bytes, .max = bytes};
	for (uint32_t i = 0; i < count; i++)
		wal_record_put(&out, &recs[i]);
	struct wal_batch b = {
		.bytes = (uint32_t)bytes,
		.count = count,
		.first_lsn = last_lsn(w) + 1,
		.synced = w->durable_lsn,
	};
	wal_batch_seal(p, &b, s->header.salt);

	FAULT("wal.append.before");
	rc = write_batch(w, p, bytes);
	if (rc < 0)
		return err_set(e, write_error(rc), "the log could not be written: %s",
			       strerror(-rc));
	FAULT("wal.append.after");

	for (uint32_t i = 0; i < count; i++)
		recs[i].lsn = b.first_lsn + i;
	s->last_lsn = wal_batch_end(&b) - 1;
	s->dirty = true;
	w->marked_lsn = w->durable_lsn;
	wal_kept_commit(&w->kept, bytes, s->last_lsn);
	atomic_store_explicit(&w->next_lsn, wal_batch_end(&b), memory_order_release);
	return 0;
}

int wal_append(struct wal *w, struct wal_record *recs, int n, struct err *e)
{
	size_t bytes = WAL_BATCH_HEAD, payload = 0;

	if (n <= 0)
		return err_set(e, -EINVAL, "a batch of %d records", n);
	for (int i = 0; i < n; i++) {
		if (recs[i].payload.len > WAL_BATCH_BYTES_MAX)
			payload = SIZE_MAX / 2;
		else
			payload += recs[i].payload.len;
		if (payload > WAL_BATCH_BYTES_MAX)
			return err_set(e, -EMSGSIZE, "a batch for the log has more than %d bytes",
				       WAL_BATCH_BYTES_MAX);
		bytes += wal_record_bytes(&recs[i]);
	}
	if (bytes > UINT32_MAX)
		return err_set(e, -EMSGSIZE, "a batch for the log has %d records", n);
	struct err why = {0};
	pthread_mutex_lock(&w->mu);
	int rc = append(w, recs, (uint32_t)n, bytes, &why);
	if (rc >= 0) {
		w->failing_since_ns = 0;
	} else if (rc != -ENOMEM) {
		if (!w->failing_since_ns)
			w->failing_since_ns = clock_now_ns();
		snprintf(w->failing, sizeof w->failing, "%s", err_text(&why, rc));
	}
	pthread_mutex_unlock(&w->mu);
	if (rc < 0 && e)
		*e = why;
	return rc;
}

/* ---- trimming
 * ---------------------------------------------------------------------------------------- */

/*
 * fsync the directory, and before it a file (-1: none). The claim is held; mu is given up inside. An error
 * is spent: a later fsync may lie, and only a rescue tells the truth.
 */
static int sync_names(struct wal *w, int fd, struct err *e)
{
	w->dir_dirty = w->drop_dirty = false;
	pthread_mutex_unlock(&w->mu);
	int rc = fd >= 0 ? w->io->fdatasync(w->io, fd) : 0;
	if (rc == 0)
		rc = w->io->fsync(w->io, w->dirfd);
	pthread_mutex_lock(&w->mu);
	if (rc == 0)
		return 0;
	w->dir_dirty = w->drop_dirty = true;
	w->refused = true;
	w->refused_rc = -EROFS;
	snprintf(w->reason, sizeof w->reason, "the log could not be synced: %s", strerror(-rc));
	return err_set(e, -EIO, "%s", w->reason);
}

/* mu is held. */
static bool is_worth_rotating(struct wal *w, uint64_t lsn)
{
	struct wal_segment *s = active(w);

	return s && !w->refused && !w->cut_needed && lsn >= last_lsn(w) && s->last_lsn >= s->header.first_lsn &&
	       s->bytes >= (int64_t)w->opt.segment_bytes / 8;
}

/* A new segment in place of one that is wholly covered and not small. The claim is held. */
static int rotate_covered(struct wal *w, uint64_t lsn, struct err *e)
{
	if (!is_worth_rotating(w, lsn))
		return 0;
	int rc = begin_segment(w, last_lsn(w) + 1, last_lsn(w), e);
	if (rc < 0)
		return rc == -ENOSPC ? 0 : rc; /* no room for a new one: the old one stays in use */
	/* The next LSN stands in the new one alone: it has to be safe before the old one goes. */
	return sync_names(w, w->tail->fd, e);
}

/*
 * Oldest first, so that whatever a crash leaves has no gap; and as nobody says in which order names go
 * from a disk, one is gone for certain before the next follows. The claim is held.
 */
static int drop_covered(struct wal *w, uint64_t lsn, struct err *e)
{
	int rc = 0;

	while (w->head != w->tail && w->head->last_lsn <= lsn) {
		char name[WAL_NAME_MAX];
		rc = w->drop_dirty ? sync_names(w, -1, e) : 0;
		if (rc < 0)
			break;
		struct wal_segment *s = w->head;
		wal_segment_name(name, s->header.first_lsn, s->header.number);
		FAULT("wal.trim");
		rc = w->io->unlinkat(w->io, w->dirfd, name, 0);
		if (rc < 0 && rc != -ENOENT) {
			rc = err_set(e, rc, "log segment '%s' cannot be removed: %s", name,
				     strerror(-rc));
			break;
		}
		rc = 0;
		w->drop_dirty = true; /* the last one goes to disk with the next sync: no hurry */
		w->head = s->next;
		wal_segment_free(w->io, s);
	}
	return rc;
}

int wal_trim(struct wal *w, uint64_t lsn, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&w->mu);
	if (w->frozen) {
		rc = err_set(e, -EROFS, "the log is read-only: %s", w->reason);
	} else if (lsn > last_lsn(w)) {
		rc = err_set(e, -EINVAL, "the log ends at record %" PRIu64 " and cannot be trimmed up to %" PRIu64,
			     last_lsn(w), lsn);
	} else {
		while (w->syncing)
			pthread_cond_wait(&w->changed, &w->mu);
		w->syncing = true;
		/* First what needs no room: on a full disk nothing else can make any. */
		rc = drop_covered(w, lsn, e);
		if (rc == 0)
			rc = rotate_covered(w, lsn, e);
		if (rc == 0)
			rc = drop_covered(w, lsn, e);
		w->syncing = false;
		pthread_cond_broadcast(&w->changed);
	}
	pthread_mutex_unlock(&w->mu);
	return rc;
}

bool wal_would_drop(struct wal *w, uint64_t lsn)
{
	pthread_mutex_lock(&w->mu);
	bool would = !w->frozen && ((w->head != w->tail && w->head->last_lsn <= lsn) || is_worth_rotating(w, lsn));
	pthread_mutex_unlock(&w->mu);
	return would;
}

/* ---- background
 * ------------------------------------------------------------------------------------- */

static void *background(void *arg)
{
	struct wal *w = arg;

	pthread_mutex_lock(&w->mu);
	while (!w->stop) {
		int64_t at = clock_mono_ns() + w->opt.sync_interval_ns;
		struct timespec until = {.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S};
		while (!w->stop && pthread_cond_timedwait(&w->wake, &w->mu, &until) != ETIMEDOUT)
			;
		if (w->stop)
			break;
		if (!w->syncing && (w->refused || w->durable_lsn < last_lsn(w)))
			(void)lead_sync(
				w, NULL); /* a failure shows in the status and in every append */
		write_mark(w);
	}
	pthread_mutex_unlock(&w->mu);
	return NULL;
}

/* ---- open and close
 * ----------------------------------------------------------------------------------- */

/* Which boot this is, 0 where the kernel does not say (then nothing is excused as a power cut). */
uint64_t wal_boot_of_machine(void)
{
	char id[64];
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof id);

	if (fd >= 0)
		close(fd);
	return n < 16 ? 0 : (uint64_t)crc32c(0, id, (size_t)n) << 32 | crc32c(1, id, (size_t)n);
}

/* The last segment again, where this boot began it and it is not full. 1: no. */
static int continue_segment(struct wal *w, uint64_t first)
{
	struct wal_segment *s = w->tail;
	char name[WAL_NAME_MAX];

	if (!s || s->header.boot != w->opt.boot || s->last_lsn + 1 != first ||
	    s->bytes < WAL_HEADER_BYTES || s->bytes >= (int64_t)w->opt.segment_bytes)
		return 1;
	wal_segment_name(name, s->header.first_lsn, s->header.number);
	s->fd = w->io->openat(w->io, w->dirfd, name, O_RDWR | O_CLOEXEC, 0);
	if (s->fd < 0)
		return s->fd;
	w->has_active = true;
	return 0;
}

/* An empty segment of an earlier boot goes once its successor is safe, or each boot would leave
 * one. */
static void drop_empty(struct wal *w, const struct wal_segment *empty)
{
	struct wal_segment **link = &w->head;
	char name[WAL_NAME_MAX];

	while (*link != empty)
		link = &(*link)->next;
	struct wal_segment *s = *link;
	wal_segment_name(name, s->header.first_lsn, s->header.number);
	if (w->io->unlinkat(w->io, w->dirfd, name, 0) < 0)
		return;
	*link = s->next;
	wal_segment_free(w->io, s);
}

/* A new segment behind what was recovered, safe on disk. empty: what it takes the place of, or
 * NULL. */
static int start_segment(struct wal *w, const struct wal_segment *empty, struct err *e)
{
	int rc = begin_segment(w, w->start_lsn, w->start_follows, e);

	if (rc == 0)
		rc = w->io->fdatasync(w->io, w->tail->fd);
	if (rc == 0)
		rc = w->io->fsync(w->io, w->dirfd);
	if (rc == 0) {
		w->dir_dirty = false;
		w->tail->dirty = false;
		if (empty)
			drop_empty(w, empty);
	}
	return rc;
}

/* Ready for appends. A disk that is full or broken now does not make the rows unreadable. */
static void start_appends(struct wal *w, const struct wal_recovery *r)
{
	uint64_t first = MAX(MAX(r->next_lsn, r->lsn_floor), MAX(w->opt.next_lsn_min, 1));
	struct wal_segment *old = w->tail;
	struct wal_segment *empty =
		old && old->last_lsn < old->header.first_lsn && old->header.first_lsn == first
			? old
			: NULL;
	struct err e = {0};

	w->start_lsn = first;
	w->start_follows = empty ? empty->header.follows : old ? r->next_lsn - 1 : first - 1;
	atomic_store(&w->next_lsn, first);
	w->durable_lsn = first - 1;
	int rc = continue_segment(w, first);
	if (rc == 1)
		rc = start_segment(w, empty, &e);
	if (rc < 0) {
		w->refused = true;
		w->refused_rc = write_error(rc) == -ENOSPC ? -ENOSPC : -EROFS;
		snprintf(w->reason, sizeof w->reason, "no segment could be opened for writing: %s",
			 err_text(&e, rc));
	}
}

static int open_dir(struct wal *w, int dirfd, const char *dir, struct err *e)
{
	int rc = w->opt.read_only ? 0 : io_mkdirs(w->io, dirfd, dir);

	if (rc == 0)
		rc = w->dirfd =
			w->io->openat(w->io, dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return rc < 0 ? err_set(e, rc, "the log '%s' cannot be opened: %s", dir, strerror(-rc)) : 0;
}

static int start(struct wal *w, wal_replay_fn *fn, void *ctx, struct err *e)
{
	struct wal_recovery r = {0};
	int rc = wal_recover_watched(w->io, w->dirfd, w->opt.read_only, w->opt.boot, fn, ctx,
				     w->opt.progress, &r, e);

	if (rc < 0)
		return rc;
	w->head = r.head;
	w->tail = r.tail;
	w->last_number = r.last_number;
	w->replayed_bytes = r.replayed_bytes;
	w->cut_bytes = r.cut_bytes;
	atomic_store(&w->next_lsn, r.next_lsn);
	w->durable_lsn = r.next_lsn - 1;
	if (r.has_id)
		memcpy(w->log_id, r.log_id, sizeof w->log_id);
	else if (getrandom(w->log_id, sizeof w->log_id, 0) != sizeof w->log_id)
		return err_set(e, -EIO, "the system gives no random numbers");
	if (r.read_only || w->opt.read_only) {
		w->frozen = true;
		snprintf(w->reason, sizeof w->reason, "%s",
			 r.read_only ? r.reason : "it was opened for reading only");
		return 0;
	}
	start_appends(w, &r);
	return 0;
}

static int start_background(struct wal *w, struct err *e)
{
	if (w->frozen || w->opt.sync_interval_ns <= 0)
		return 0;
	int rc = -pthread_create(&w->thread, NULL, background, w);
	if (rc < 0)
		return err_set(e, rc, "the log's thread cannot be started: %s", strerror(-rc));
	w->has_thread = true;
	return 0;
}

static void init_locks(struct wal *w)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&w->mu, NULL);
	pthread_mutex_init(&w->shown_mu, NULL);
	pthread_cond_init(&w->changed, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
}

int wal_open(const struct io *io, int dirfd, const char *dir, const struct wal_options *opt,
	     wal_replay_fn *fn, void *ctx, struct wal **ret, struct err *e)
{
	struct wal *w = calloc(1, sizeof *w);

	if (!w)
		return err_set(e, -ENOMEM, "the log: out of memory");
	init_locks(w);
	w->io = io;
	w->opt = *opt;
	w->dirfd = -1;
	if (!w->opt.segment_bytes)
		w->opt.segment_bytes = WAL_SEGMENT_BYTES;
	if (!w->opt.unsynced_max)
		w->opt.unsynced_max = WAL_UNSYNCED_MAX;
	if (!w->opt.boot)
		w->opt.boot = wal_boot_of_machine();
	int rc = open_dir(w, dirfd, dir, e);
	if (rc == 0)
		rc = start(w, fn, ctx, e);
	if (rc == 0)
		rc = start_background(w, e);
	if (rc < 0) {
		w->frozen = true; /* nothing to sync */
		wal_close(w);
		return rc;
	}
	*ret = w;
	return 0;
}

void wal_close(struct wal *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->mu);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mu);
	if (w->has_thread)
		pthread_join(w->thread, NULL);

	pthread_mutex_lock(&w->mu);
	if (!w->frozen) {
		(void)sync_to(w, last_lsn(w), NULL); /* no one is left to be told */
		write_mark(w);
	}
	pthread_mutex_unlock(&w->mu);
	while (w->head) {
		struct wal_segment *s = w->head;
		w->head = s->next;
		wal_segment_free(w->io, s);
	}
	wal_kept_release(&w->kept);
	if (w->dirfd >= 0)
		(void)w->io->close(w->io, w->dirfd);
	pthread_cond_destroy(&w->changed);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mu);
	pthread_mutex_destroy(&w->shown_mu);
	free(w);
}

/* ---- what it is like
 * ----------------------------------------------------------------------------------- */

uint64_t wal_last_lsn(const struct wal *w)
{
	return atomic_load_explicit(&w->next_lsn, memory_order_acquire) - 1;
}

/* mu is held. */
static void look(struct wal *w, struct wal_status *ret)
{
	*ret = (struct wal_status){
		.next_lsn = last_lsn(w) + 1,
		.durable_lsn = w->durable_lsn,
		.read_only = w->frozen || w->refused || w->cut_needed,
		.replayed_bytes = w->replayed_bytes,
		.cut_bytes = w->cut_bytes,
	};
	for (struct wal_segment *s = w->head; s; s = s->next) {
		ret->bytes += (uint64_t)s->bytes;
		ret->segments++;
	}
	ret->failing_since_ns = w->failing_since_ns;
	if (w->failing_since_ns)
		snprintf(ret->failing, sizeof ret->failing, "%s", w->failing);
	if (ret->read_only)
		snprintf(ret->reason, sizeof ret->reason, "%s",
			 w->reason[0] ? w->reason : "a batch written in part cannot be cut off");
}

/*
 * Appends write while they hold mu, so on a disk that hangs it is held for good. Who asks for the status
 * wants to know just that, and not to hang as well.
 */
void wal_status(struct wal *w, struct wal_status *ret)
{
	int64_t until = clock_mono_ns() + STATUS_WAIT_NS;
	int rc = pthread_mutex_trylock(&w->mu);

	while (rc != 0 && clock_mono_ns() < until) {
		nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS / 2}, NULL);
		rc = pthread_mutex_trylock(&w->mu);
	}
	if (rc == 0) {
		look(w, ret);
		pthread_mutex_unlock(&w->mu);
	}
	pthread_mutex_lock(&w->shown_mu);
	if (rc == 0)
		w->shown = *ret;
	else
		*ret = w->shown;
	pthread_mutex_unlock(&w->shown_mu);
	ret->stalled = rc != 0;
}
