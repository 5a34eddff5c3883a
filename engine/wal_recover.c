/*
 * wal_recover: what a log holds, after whatever happened to it.
 *
 * The rules are in docs/format-wal.md under "Recovery". Segments are merged by LSN, as sorted lists
 * are: each has a cursor on its next valid batch (found by searching, where the bytes before it are
 * damaged), and x is the next LSN wanted. A round goes over the segments in order and takes from
 * each the batches that begin at x; rounds go on while one makes progress. In a log without damage
 * one round reads every segment once. Cursors that still stand on a batch at the end are the proof
 * that something is missing at x.
 */
#include "engine/wal_segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum cursor_state { UNREAD, AT_BATCH, AT_END };

struct cursor {
	struct wal_segment *seg;
	char name[WAL_NAME_MAX];
	uint64_t name_lsn, number;
	struct wal_reader reader;
	enum cursor_state state;
	bool header_good;
	uint64_t boot; /* of the header, or what is to be assumed */
	struct wal_batch batch;
	int64_t off;    /* of batch */
	int64_t end;    /* behind the last batch that was taken: what is worth keeping */
	int64_t damage; /* offset of the latest damage, or -1 */
	int64_t size;   /* of the file */
};

struct recovery {
	const struct io *io;
	int dirfd;
	bool read_only;
	uint64_t boot;
	wal_replay_fn *fn;
	void *ctx;
	struct cursor *cursors;
	uint32_t count;
	uint64_t x; /* next LSN wanted */
	bool progress;
	struct wal_progress *watched; /* or NULL */
	struct wal_recovery out;
};

static int read_failed(const struct cursor *c, int rc, struct err *e)
{
	return err_set(e, rc, "log segment '%s': cannot be read: %s", c->name, strerror(-rc));
}

/* ---- which segments there are -------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
	const struct cursor *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->name_lsn > y->name_lsn) - (x->name_lsn < y->name_lsn);
}

/* For who watches: a size that cannot be told now is none. */
static void add_total(struct recovery *r, const char *name)
{
	struct stat st;

	if (r->watched && fstatat(r->dirfd, name, &st, 0) == 0)
		atomic_fetch_add(&r->watched->total, (uint64_t)st.st_size);
}

static int list_segments(struct recovery *r, struct err *e)
{
	int fd = r->io->openat(r->io, r->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		int rc = fd < 0 ? fd : -errno;
		if (fd >= 0)
			(void)r->io->close(r->io, fd);
		return err_set(e, rc, "the log's directory cannot be read: %s", strerror(-rc));
	}
	uint32_t cap = 0;
	int rc = 0;
	struct dirent *entry;
	while (rc == 0 && (errno = 0, entry = readdir(d))) {
		struct cursor c = {.damage = -1};
		if (!wal_segment_parse_name(entry->d_name, &c.name_lsn, &c.number))
			continue;
		snprintf(c.name, sizeof c.name, "%.*s", (int)sizeof c.name - 1, entry->d_name);
		if (r->count == cap) {
			cap = cap ? cap * 2 : 16;
			struct cursor *p = realloc(r->cursors, cap * sizeof *p);
			if (!p) {
				rc = err_set(e, -ENOMEM, "the log: out of memory");
				break;
			}
			r->cursors = p;
		}
		r->cursors[r->count++] = c;
		add_total(r, c.name);
	}
	if (rc == 0 && errno)
		rc = err_set(e, -errno, "the log's directory cannot be read: %s", strerror(errno));
	closedir(d);
	if (r->count)
		qsort(r->cursors, r->count, sizeof *r->cursors, by_number);
	return rc;
}

/* ---- cursors
 * --------------------------------------------------------------------------------------- */

static void close_cursor(struct recovery *r, struct cursor *c)
{
	wal_reader_release(&c->reader);
	if (c->seg && c->seg->fd >= 0) {
		(void)r->io->close(r->io, c->seg->fd);
		c->seg->fd = -1;
	}
}

static void refuse(struct recovery *r, const char *fmt, ...) printf_like(2, 3);

static void refuse(struct recovery *r, const char *fmt, ...)
{
	va_list ap;

	r->out.read_only = true;
	va_start(ap, fmt);
	vsnprintf(r->out.reason, sizeof r->out.reason, fmt, ap);
	va_end(ap);
}

/* The whole segment was read. What was replayed of it must be on disk before anyone relies on it.
 */
static void end_cursor(struct recovery *r, struct cursor *c)
{
	c->state = AT_END;
	if (!r->read_only) {
		int rc = r->io->fdatasync(r->io, c->seg->fd);
		if (rc < 0)
			refuse(r, "log segment '%s' could not be synced: %s", c->name,
			       strerror(-rc));
	}
	close_cursor(r, c);
}

/* Move to the valid batch at `off` or behind it. */
static int seek(struct recovery *r, struct cursor *c, int64_t off, struct err *e)
{
	const uint32_t *salt = c->header_good ? &c->seg->header.salt : NULL;
	uint64_t lsn_min = c->header_good ? c->seg->header.first_lsn : 1;

	c->off = off;
	if (off >= c->reader.size) {
		end_cursor(r, c);
		return 0;
	}
	int rc = c->header_good ? wal_reader_batch(&c->reader, off, salt, lsn_min, &c->batch, NULL)
				: 1;
	if (rc == 1) {
		c->damage = off;
		rc = wal_reader_find(&c->reader, c->header_good ? off + 1 : off, salt, lsn_min,
				     &c->batch, &c->off);
	}
	if (rc < 0)
		return read_failed(c, rc, e);
	if (rc == 1)
		end_cursor(r, c);
	else
		c->state = AT_BATCH;
	return 0;
}

static int read_header(struct recovery *r, struct cursor *c, struct err *e)
{
	static const uint8_t zeros[WAL_HEADER_BYTES];
	struct wal_header *h = &c->seg->header;
	const uint8_t *p;
	int rc = wal_reader_peek(&c->reader, 0, WAL_HEADER_BYTES, &p);

	if (rc < 0)
		return read_failed(c, rc, e);
	if (rc == 0) {
		rc = wal_header_decode(p, h);
		if (rc == -EMEDIUMTYPE)
			return err_set(e, rc,
				       "log segment '%s' was written by another version of tidefs",
				       c->name);
		c->header_good = rc == 0 && h->first_lsn == c->name_lsn && h->number == c->number &&
				 (!r->out.has_id || memcmp(h->log_id, r->out.log_id, 16) == 0);
	}
	/*
	 * A page that never reached the disk reads as zeros. Its segment was then begun in the boot
	 * that wrote the one before.
	 */
	bool lost =
		!c->header_good && rc != 1 && memcmp(p, zeros, sizeof zeros) == 0 && c > r->cursors;
	c->boot = c->header_good ? h->boot : lost ? c[-1].boot : r->boot;
	if (c->header_good && !r->out.has_id) {
		memcpy(r->out.log_id, h->log_id, 16);
		r->out.has_id = true;
	}
	return 0;
}

static int open_cursor(struct recovery *r, struct cursor *c, struct err *e)
{
	struct stat st;
	struct wal_segment *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, -ENOMEM, "the log: out of memory");
	c->seg = s;
	s->fd = r->io->openat(r->io, r->dirfd, c->name,
			      (r->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC, 0);
	int rc = s->fd < 0 ? s->fd : r->io->fstat(r->io, s->fd, &st);
	if (rc < 0)
		return read_failed(c, rc, e);
	wal_reader_init(&c->reader, r->io, s->fd, st.st_size);
	c->size = st.st_size;
	rc = read_header(r, c, e);
	if (rc < 0)
		return rc;
	if (!c->header_good) {
		s->header.first_lsn = c->name_lsn;
		s->header.number = c->number;
		c->damage = 0;
	}
	s->last_lsn = s->header.first_lsn - 1;
	c->end = c->header_good ? WAL_HEADER_BYTES : 0;
	return 0;
}

/* ---- replay
 * ---------------------------------------------------------------------------------------- */

static int replay_batch(struct recovery *r, struct cursor *c, struct err *e)
{
	const uint8_t *p;
	int rc = wal_reader_peek(&c->reader, c->off, c->batch.bytes, &p);

	if (rc)
		return read_failed(c, rc < 0 ? rc : -EIO, e);
	struct cur cur = cur_over(p + WAL_BATCH_HEAD, c->batch.bytes - WAL_BATCH_HEAD);
	struct wal_record rec;
	uint64_t lsn = c->batch.first_lsn;
	while (wal_record_next(&cur, &rec)) {
		rec.lsn = lsn++;
		rc = r->fn ? r->fn(r->ctx, &rec, e) : 0;
		if (rc < 0)
			return rc;
	}
	r->out.replayed_bytes += c->batch.bytes;
	return 0;
}

/* Take every batch of this segment that x allows. */
static int drain(struct recovery *r, struct cursor *c, struct err *e)
{
	const struct wal_header *h = &c->seg->header;
	int rc = 0;

	if (c->state == UNREAD) {
		/* LSNs that were skipped on purpose: this segment follows the last one there is. */
		if (c->header_good && h->first_lsn > r->x && h->follows + 1 == r->x)
			r->x = h->first_lsn;
		rc = seek(r, c, c->end, e);
	}
	while (rc == 0 && c->state == AT_BATCH && c->header_good && c->batch.first_lsn <= r->x) {
		uint64_t end = wal_batch_end(&c->batch);
		if (c->batch.first_lsn == r->x) {
			rc = replay_batch(r, c, e);
			r->progress = true;
			if (rc == 0)
				r->x = end;
		} else if (end > r->x) {
			break; /* other batch borders than what was replayed: not written by us */
		}
		if (rc < 0)
			break;
		c->seg->last_lsn = MAX(c->seg->last_lsn, end - 1);
		c->end = c->off + c->batch.bytes;
		if (r->watched)
			atomic_fetch_add(&r->watched->done, c->batch.bytes);
		rc = seek(r, c, c->end, e);
	}
	return rc;
}

/* ---- judging what is left
 * ------------------------------------------------------------------------------ */

/* Whether this segment shows that the log went on behind x. */
static bool goes_on(const struct recovery *r, const struct cursor *c)
{
	return c->state == AT_BATCH || (c->header_good && c->seg->header.first_lsn > r->x);
}

/* The highest synced LSN that the rest of a segment speaks of. */
static int max_synced(struct cursor *c, uint64_t *ret, struct err *e)
{
	const uint32_t *salt = c->header_good ? &c->seg->header.salt : NULL;
	uint64_t most = c->header_good ? c->seg->header.synced : 0;
	int64_t off = c->off;
	struct wal_batch b = c->batch;
	int rc = c->state == AT_BATCH ? 0 : 1;

	while (rc == 0) {
		most = MAX(most, b.synced);
		rc = wal_reader_find(&c->reader, off + b.bytes, salt, 1, &b, &off);
	}
	if (rc < 0)
		return read_failed(c, rc, e);
	*ret = most;
	return 0;
}

static void say_damaged(struct recovery *r, const struct cursor *proof)
{
	const struct cursor *hole = NULL;
	char follows[128];
	uint64_t lsn =
		proof->state == AT_BATCH ? proof->batch.first_lsn : proof->seg->header.first_lsn;

	for (const struct cursor *c = r->cursors; c <= proof; c++)
		if (c->damage >= 0)
			hole = c;
	if (proof->state == AT_BATCH)
		snprintf(follows, sizeof follows,
			 "a valid batch (record %" PRIu64 ") follows at byte %lld of '%s'", lsn,
			 (long long)proof->off, proof->name);
	else
		snprintf(follows, sizeof follows, "segment '%s' follows", proof->name);
	if (hole && lsn == r->x)
		refuse(r, "log segment '%s' is damaged at byte %lld, and %s", hole->name, (long long)hole->damage,
		       follows);
	else if (hole)
		refuse(r,
		       "log segment '%s' is damaged at byte %lld: record %" PRIu64
		       " is lost, but %s",
		       hole->name, (long long)hole->damage, r->x, follows);
	else
		refuse(r, "records %" PRIu64 " to %" PRIu64 " of the log are missing, but %s", r->x,
		       lsn - 1, follows);
}

/* x is where the log ends: is that an end, or a hole? */
static int judge(struct recovery *r, struct err *e)
{
	const struct cursor *proof = NULL;
	bool power_cut = r->boot != 0;

	for (uint32_t i = 0; i < r->count; i++) {
		struct cursor *c = &r->cursors[i];
		uint64_t synced = 0;
		if (!goes_on(r, c))
			continue;
		if (!proof)
			proof = c;
		int rc = max_synced(c, &synced, e);
		if (rc < 0)
			return rc;
		if (c->boot == r->boot || synced >= r->x)
			power_cut = false;
	}
	if (proof && !power_cut)
		say_damaged(r, proof);
	return 0;
}

/* Cut a segment back to what was taken of it; drop it where that is nothing and it is not whole. */
static int cut(struct recovery *r, struct cursor *c)
{
	bool drop =
		!c->header_good || (c->end <= WAL_HEADER_BYTES && c->seg->header.first_lsn > r->x);

	if (!drop && c->end >= c->size)
		return 0;
	r->out.cut_bytes += (uint64_t)(drop ? c->size : c->size - c->end);
	if (drop) {
		int rc = r->io->unlinkat(r->io, r->dirfd, c->name, 0);
		if (rc == 0) {
			close_cursor(r, c);
			free(c->seg);
			c->seg = NULL;
		}
		return rc;
	}
	close_cursor(r, c);
	int fd = r->io->openat(r->io, r->dirfd, c->name, O_RDWR | O_CLOEXEC, 0);
	int rc = fd < 0 ? fd : r->io->ftruncate(r->io, fd, c->end);
	if (rc == 0)
		rc = r->io->fdatasync(r->io, fd);
	if (fd >= 0)
		(void)r->io->close(r->io, fd);
	if (rc == 0)
		c->size = c->end;
	return rc;
}

/* The youngest first: a crash in between then leaves a log that is judged the same way. */
static void cut_all(struct recovery *r)
{
	int rc = 0;

	for (uint32_t i = r->count; rc == 0 && i-- > 0;) {
		rc = cut(r, &r->cursors[i]);
		if (rc < 0)
			refuse(r, "log segment '%s': its torn end cannot be cut off: %s",
			       r->cursors[i].name, strerror(-rc));
	}
	if (rc == 0 && r->count) {
		rc = r->io->fsync(r->io, r->dirfd);
		if (rc < 0)
			refuse(r, "the log's directory could not be synced: %s", strerror(-rc));
	}
}

/* ---- all of it
 * -------------------------------------------------------------------------------------------- */

static int recover(struct recovery *r, struct err *e)
{
	int rc = list_segments(r, e);

	if (rc < 0)
		return rc;
	r->x = 1;
	for (uint32_t i = 0; i < r->count; i++) {
		r->out.last_number = MAX(r->out.last_number, r->cursors[i].number);
		r->out.lsn_floor = MAX(r->out.lsn_floor, r->cursors[i].name_lsn);
	}
	if (r->count)
		r->x = MAX(r->cursors[0].name_lsn, 1);
	do {
		r->progress = false;
		for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
			struct cursor *c = &r->cursors[i];
			if (!c->seg)
				rc = open_cursor(r, c, e);
			if (rc == 0 && c->state != AT_END)
				rc = drain(r, c, e);
		}
	} while (rc == 0 && r->progress);
	if (rc == 0)
		rc = judge(r, e);
	if (rc == 0 && !r->out.read_only && !r->read_only)
		cut_all(r);
	return rc;
}

int wal_recover(const struct io *io, int dirfd, bool read_only, uint64_t boot, wal_replay_fn *fn,
		void *ctx, struct wal_recovery *ret, struct err *e)
{
	return wal_recover_watched(io, dirfd, read_only, boot, fn, ctx, NULL, ret, e);
}

int wal_recover_watched(const struct io *io, int dirfd, bool read_only, uint64_t boot, wal_replay_fn *fn,
			void *ctx, struct wal_progress *p, struct wal_recovery *ret, struct err *e)
{
	struct recovery r = {
		.io = io,
		.dirfd = dirfd,
		.read_only = read_only,
		.boot = boot,
		.fn = fn,
		.ctx = ctx,
		.watched = p,
	};
	int rc = recover(&r, e);

	for (uint32_t i = 0; i < r.count; i++) {
		struct cursor *c = &r.cursors[i];
		close_cursor(&r, c);
		if (!c->seg)
			continue;
		if (rc < 0) {
			free(c->seg);
			continue;
		}
		c->seg->bytes = r.out.read_only || read_only ? c->size : c->end;
		if (r.out.tail)
			r.out.tail->next = c->seg;
		else
			r.out.head = c->seg;
		r.out.tail = c->seg;
		r.out.count++;
	}
	free(r.cursors);
	if (rc < 0)
		return rc;
	r.out.next_lsn = r.x;
	*ret = r.out;
	return 0;
}
