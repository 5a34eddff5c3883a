/*
 * fsck of a log. What counts is what a mount would make of it: wal_recover() is asked, without letting
 * it change anything. Beside that every segment is scanned for all its valid batches, wherever they lie.
 *
 * Salvage, where batches follow a hole: their records, as far as the definitions that are left allow,
 * go into new segments in LSN order, whose headers say that the numbers between were skipped. These
 * take their places first, oldest first; only then are the damaged segments cut or moved. After a crash
 * in between the log is whole, or has its hole still: both are found again. Copies of everything
 * damaged stay in wal/damaged/.
 */
#include "engine/dir.h"
#include "engine/fsck_impl.h"
#include "engine/wal_segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct log_segment {
	char name[WAL_NAME_MAX];
	uint64_t name_lsn, number;
	int fd;
	int64_t size;
	bool header_good, has_salt;
	struct wal_header header;
	uint32_t salt;
	struct wal_reader reader;
	int64_t damage, resumes; /* offsets: of the first damage, of the valid batch behind it; -1 */
	int64_t keep; /* bytes that belong to the log up to the hole or end */
};

struct log_batch {
	uint32_t segment;
	int64_t off;
	struct wal_batch b;
};

/* A new segment, under a name that recovery passes over until it is complete. */
struct log_fresh {
	char name[WAL_NAME_MAX], tmp[WAL_NAME_MAX + 8];
};

struct log {
	struct fsck_db *d;
	int dirfd;
	struct log_segment *segs;
	uint32_t seg_n;
	struct log_batch *batches; /* by LSN once scanned */
	uint32_t batch_n, batch_cap;
	bool begun, complained;
	uint64_t x; /* the log is whole up to here, this record excluded */
	uint8_t id[16]; /* of the log; segments of another one are put aside as they are */
	bool has_id;
	/* salvage */
	uint64_t prev, first_kept, kept, refused;
	char lost[400];
	bool writes;
	struct log_fresh *fresh;
	uint32_t fresh_n;
	uint64_t last_number;
	int fd; /* of the segment being written, or -1 */
	int64_t off;
	uint32_t salt;
	struct buf buf;
	uint64_t buf_lsn;
	uint32_t buf_count;
};

static struct fsck_where where(const struct log *l, const char *file, int64_t off)
{
	return (struct fsck_where){l->d, NULL, file, off};
}

/* ---- records ------------------------------------------------------------------------------------- */

/* What table_replay() would say of it. -EBADMSG with a sentence: a mount would stop here. */
static int check_rows(const struct fsck_table *t, const struct wal_record *rec, struct err *e)
{
	struct batch b;

	if (rec->lsn <= t->meta.flushed_lsn)
		return 0;
	batch_init(&b);
	int rc = batch_decode(&b, rec->payload, e);
	for (uint32_t i = 0; i < b.n && rc >= 0; i++)
		if (b.series[i] >= series_count(t->series))
			rc = err_set(e, -EBADMSG, "names the undefined series %u", b.series[i]);
	for (uint32_t c = 0; c < b.col_count && rc >= 0; c++)
		if (b.cols[c].col_id >= series_column_count(t->series) ||
		    series_column(t->series, b.cols[c].col_id)->type != b.cols[c].col.type)
			rc = err_set(e, -EBADMSG, "names the undefined column %u", b.cols[c].col_id);
	batch_release(&b);
	return rc;
}

static int check_record(struct log *l, const struct wal_record *rec, struct err *e)
{
	struct fsck_table *t = l->d->tables;

	while (t && t->meta.id != rec->table_id)
		t = t->next;
	if (!t && rec->table_id > l->d->table_id_max)
		return err_set(e, -ESTALE, "is of table %u, which the catalogue never made", rec->table_id);
	if (!t)
		return 0; /* dropped since */
	if (rec->type == WAL_COLUMN)
		return series_replay_columns(t->series, rec->payload, e);
	if (rec->type == WAL_SERIES)
		return series_replay_series(t->series, rec->payload, e);
	if (rec->type == WAL_ROWS)
		return check_rows(t, rec, e);
	if (rec->type == WAL_MARK)
		return 0;
	return err_set(e, -EBADMSG, "has the unknown type %u", rec->type);
}

static void check_age(struct log *l, uint64_t first)
{
	if (first <= l->d->lsn_max + 1)
		return;
	l->d->is_old = true;
	fsck_found(l->d->f, where(l, DIR_WAL, -1), FSCK_ERROR, false, 0,
		   "restore catalogue and log from one copy; nothing is swept away meanwhile",
		   "the log begins at record %" PRIu64 ", and the catalogue knows of files up to record %" PRIu64
		   ": records between are missing, or the catalogue is older than the log",
		   first, l->d->lsn_max);
}

static int replay(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct log *l = ctx;
	struct err why = {0};

	if (!l->begun)
		check_age(l, rec->lsn);
	l->begun = true;
	int rc = check_record(l, rec, &why);
	if (rc == -ENOMEM)
		return err_set(e, rc, "out of memory");
	if (rc < 0 && !l->complained) {
		l->complained = true; /* the rest follows from the first */
		l->d->is_old |= rc == -ESTALE;
		fsck_found(l->d->f, where(l, DIR_WAL, -1), FSCK_ERROR, false, 0,
			   "restore the database from a backup, or correct what else is reported first",
			   "record %" PRIu64 " %s", rec->lsn, err_text(&why, rc));
	}
	return 0;
}

static int replay_definition(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct log *l = ctx;
	int rc = rec->type == WAL_ROWS ? 0 : check_record(l, rec, NULL);

	return rc == -ENOMEM ? err_set(e, rc, "out of memory") : 0;
}

/* ---- scanning ------------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
	const struct log_segment *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

static int by_lsn(const void *a, const void *b)
{
	const struct log_batch *x = a, *y = b;

	if (x->b.first_lsn != y->b.first_lsn)
		return x->b.first_lsn < y->b.first_lsn ? -1 : 1;
	return (x->segment > y->segment) - (x->segment < y->segment);
}

static int list_segments(struct log *l)
{
	DIR *dir = dir_open(l->dirfd, ".", true);
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (e = readdir(dir))) {
		struct log_segment s = {.fd = -1, .damage = -1, .resumes = -1};
		if (!wal_segment_parse_name(e->d_name, &s.name_lsn, &s.number))
			continue;
		snprintf(s.name, sizeof s.name, "%.*s", (int)sizeof s.name - 1, e->d_name);
		struct log_segment *v = realloc(l->segs, (l->seg_n + 1) * sizeof *v);
		if (!v)
			rc = -ENOMEM;
		else
			(l->segs = v)[l->seg_n++] = s;
		l->last_number = MAX(l->last_number, s.number);
	}
	closedir(dir);
	if (l->seg_n)
		qsort(l->segs, l->seg_n, sizeof *l->segs, by_number);
	return rc;
}

/*
 * Without its header a segment's salt is in doubt. Bytes that a user wrote may look like a batch, so
 * it is believed only where it stands: in the first batch behind the header, or in the header's field.
 */
static int find_salt(struct log_segment *s)
{
	struct wal_batch b;
	const uint8_t *p;
	int64_t off;

	int rc = wal_reader_batch(&s->reader, WAL_HEADER_BYTES, NULL, 1, &b, &p);
	if (rc == 0) {
		struct cur c = cur_over(p + 12, 4);
		s->salt = cur_u32(&c);
		s->has_salt = true;
		return 0;
	}
	if (rc == 1)
		rc = wal_reader_peek(&s->reader, 72, 4, &p);
	if (rc == 0) {
		struct cur c = cur_over(p, 4);
		s->salt = cur_u32(&c);
		rc = wal_reader_find(&s->reader, WAL_HEADER_BYTES, &s->salt, 1, &b, &off);
		s->has_salt = rc == 0;
	}
	return MIN(rc, 0);
}

static int add_batch(struct log *l, uint32_t segment, int64_t off, const struct wal_batch *b)
{
	if (l->batch_n == l->batch_cap) {
		uint32_t cap = MAX(l->batch_cap * 2, 256u);
		struct log_batch *v = realloc(l->batches, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		l->batches = v;
		l->batch_cap = cap;
	}
	l->batches[l->batch_n++] = (struct log_batch){segment, off, *b};
	return 0;
}

static int scan_segment(struct log *l, uint32_t at)
{
	struct log_segment *s = &l->segs[at];
	int64_t off = WAL_HEADER_BYTES;
	struct wal_batch b;
	const uint8_t *p;
	struct stat st;

	s->fd = l->d->f->io->openat(l->d->f->io, l->dirfd, s->name, O_RDONLY | O_CLOEXEC, 0);
	int rc = s->fd < 0 ? s->fd : l->d->f->io->fstat(l->d->f->io, s->fd, &st);
	if (rc < 0)
		return rc;
	s->size = st.st_size;
	wal_reader_init(&s->reader, l->d->f->io, s->fd, s->size);
	rc = wal_reader_peek(&s->reader, 0, WAL_HEADER_BYTES, &p);
	if (rc < 0)
		return rc;
	s->header_good = rc == 0 && wal_header_decode(p, &s->header) == 0 && s->header.first_lsn == s->name_lsn &&
			 s->header.number == s->number;
	if (s->header_good && l->has_id && memcmp(s->header.log_id, l->id, sizeof l->id) != 0) {
		s->header_good = false;
		s->damage = 0;
	} else if (s->header_good) {
		s->salt = s->header.salt;
		s->has_salt = true;
	} else {
		s->damage = 0;
		rc = find_salt(s);
	}
	while (rc >= 0 && s->has_salt && off < s->size) {
		rc = wal_reader_batch(&s->reader, off, &s->salt, s->name_lsn, &b, NULL);
		if (rc == 1) {
			s->damage = s->damage < 0 ? off : s->damage;
			rc = wal_reader_find(&s->reader, off + 1, &s->salt, s->name_lsn, &b, &off);
			if (rc == 0 && s->resumes < 0)
				s->resumes = off;
		}
		if (rc == 1)
			break;
		if (rc == 0)
			rc = add_batch(l, at, off, &b);
		off += b.bytes;
	}
	return MIN(rc, 0);
}

/* Up to where each segment belongs to the log: the batches up to x, in the order of the file. */
static void find_ends(struct log *l)
{
	for (uint32_t i = 0; i < l->seg_n; i++)
		l->segs[i].keep = l->segs[i].header_good ? WAL_HEADER_BYTES : 0;
	bool past = false;
	for (uint32_t i = 0, last = UINT32_MAX; i < l->batch_n; i++) {
		const struct log_batch *b = &l->batches[i];
		struct log_segment *s = &l->segs[b->segment];
		past = (b->segment == last && past) || wal_batch_end(&b->b) > l->x || !s->header_good;
		last = b->segment;
		if (!past)
			s->keep = b->off + b->b.bytes;
	}
}

/* ---- salvage: writing ------------------------------------------------------------------------------ */

static int flush(struct log *l)
{
	if (!l->buf_count)
		return 0;
	if (l->buf.rc < 0)
		return l->buf.rc;
	struct wal_batch b = {.bytes = (uint32_t)l->buf.len, .count = l->buf_count, .first_lsn = l->buf_lsn,
			      .synced = l->buf_lsn - 1};
	wal_batch_seal((uint8_t *)l->buf.data, &b, l->salt);
	int64_t rc = io_pwrite(l->d->f->io, l->fd, l->buf.data, l->buf.len, l->off);
	l->off += (int64_t)l->buf.len;
	l->buf_count = 0;
	return (int)MIN(rc, 0);
}

static int finish_segment(struct log *l)
{
	const struct io *io = l->d->f->io;

	if (l->fd < 0)
		return 0;
	int rc = flush(l);
	if (rc >= 0)
		rc = io->fsync(io, l->fd);
	io->close(io, l->fd);
	l->fd = -1;
	return rc;
}

static int begin_segment(struct log *l, uint64_t lsn)
{
	const struct io *io = l->d->f->io;
	struct wal_header h = {.first_lsn = lsn, .follows = l->prev, .number = ++l->last_number,
			       .boot = wal_boot_of_machine(), .synced = lsn - 1,
			       .salt = crc32c((uint32_t)clock_now_ns(), &lsn, sizeof lsn)};
	struct log_fresh *v = realloc(l->fresh, (l->fresh_n + 1) * sizeof *v);
	uint8_t bytes[WAL_HEADER_BYTES];

	if (!v)
		return -ENOMEM;
	l->fresh = v;
	v += l->fresh_n;
	memcpy(h.log_id, l->id, sizeof h.log_id);
	wal_header_encode(&h, bytes);
	wal_segment_name(v->name, h.first_lsn, h.number);
	snprintf(v->tmp, sizeof v->tmp, "%s.tmp", v->name);
	l->fd = io->openat(io, l->dirfd, v->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return l->fd;
	l->fresh_n++;
	l->salt = h.salt;
	l->off = WAL_HEADER_BYTES;
	int64_t rc = io_pwrite(io, l->fd, bytes, sizeof bytes, 0);
	return (int)MIN(rc, 0);
}

/* The records of a batch stay one: all or none of them, unless one had to be left out. */
static int write_record(struct log *l, const struct wal_record *rec)
{
	static const uint8_t head[WAL_BATCH_HEAD];
	int rc = 0;

	if (rec->lsn != l->prev + 1 || l->fd < 0) {
		rc = finish_segment(l);
		if (rc >= 0)
			rc = begin_segment(l, rec->lsn);
	}
	if (rc < 0)
		return rc;
	if (!l->buf_count) {
		buf_clear(&l->buf);
		buf_add(&l->buf, head, sizeof head);
		l->buf_lsn = rec->lsn;
	}
	wal_record_put(&l->buf, rec);
	l->buf_count++;
	return l->buf.rc;
}

static void note_lost(struct log *l, uint64_t from, uint64_t to)
{
	size_t n = strlen(l->lost);

	if (n > sizeof l->lost - 80)
		snprintf(l->lost + n, sizeof l->lost - n, "%s", strstr(l->lost, "more") ? "" : " and more");
	else if (from == to)
		snprintf(l->lost + n, sizeof l->lost - n, "%s%" PRIu64, n ? ", " : "", from);
	else
		snprintf(l->lost + n, sizeof l->lost - n, "%s%" PRIu64 " to %" PRIu64, n ? ", " : "", from, to);
}

static int salvage_batch(struct log *l, const struct log_batch *lb, struct err *e)
{
	struct wal_record rec;
	const uint8_t *p;
	uint64_t lsn = lb->b.first_lsn;
	int rc = wal_reader_peek(&l->segs[lb->segment].reader, lb->off, lb->b.bytes, &p);

	if (rc)
		return rc < 0 ? rc : -EIO;
	struct cur c = cur_over(p + WAL_BATCH_HEAD, lb->b.bytes - WAL_BATCH_HEAD);
	while (rc >= 0 && wal_record_next(&c, &rec)) {
		rec.lsn = lsn++;
		if (rec.lsn <= l->prev)
			continue; /* another copy */
		rc = check_record(l, &rec, NULL);
		if (rc == -ENOMEM)
			break;
		if (rc < 0) {
			l->refused++;
			rc = 0;
			continue;
		}
		if (rec.lsn > l->prev + 1)
			note_lost(l, l->prev + 1, rec.lsn - 1);
		if (l->writes)
			rc = write_record(l, &rec);
		if (!l->kept++)
			l->first_kept = rec.lsn;
		l->prev = rec.lsn;
	}
	return rc >= 0 && l->writes ? flush(l) : rc;
}

static int salvage(struct log *l, struct err *e)
{
	uint64_t last = l->x - 1;
	int rc = 0;

	l->prev = l->x - 1;
	for (uint32_t i = 0; i < l->batch_n && rc >= 0; i++) {
		if (l->batches[i].b.count && wal_batch_end(&l->batches[i].b) > l->x) {
			rc = salvage_batch(l, &l->batches[i], e);
			last = MAX(last, wal_batch_end(&l->batches[i].b) - 1);
		}
	}
	for (uint32_t i = 0; i < l->seg_n; i++)
		last = MAX(last, l->segs[i].name_lsn - 1);
	if (rc >= 0 && l->prev < last)
		note_lost(l, l->prev + 1, last);
	if (rc >= 0)
		rc = finish_segment(l);
	return rc;
}

/* ---- salvage: taking its place ----------------------------------------------------------------------- */

static int cut_segment(struct log *l, const struct log_segment *s)
{
	const struct io *io = l->d->f->io;
	int fd = io->openat(io, l->dirfd, s->name, O_RDWR | O_CLOEXEC, 0);
	int rc = fd < 0 ? fd : io->ftruncate(io, fd, s->keep);

	if (rc >= 0)
		rc = io->fsync(io, fd);
	if (fd >= 0)
		io->close(io, fd);
	return rc;
}

/* The youngest first, as recovery cuts. */
static int clear_segments(struct log *l)
{
	int rc = 0;

	for (uint32_t i = l->seg_n; i-- > 0 && rc >= 0;) {
		struct log_segment *s = &l->segs[i];
		if (s->keep >= s->size && s->header_good && (s->keep > WAL_HEADER_BYTES || s->name_lsn <= l->x))
			continue;
		if (!s->header_good || s->name_lsn > l->x) {
			rc = fsck_set_aside(l->d->f, l->dirfd, s->name, DIR_DAMAGED);
			continue;
		}
		rc = fsck_copy_aside(l->d->f, l->dirfd, s->name, DIR_DAMAGED);
		if (rc >= 0)
			rc = cut_segment(l, s);
	}
	return rc < 0 ? rc : l->d->f->io->fsync(l->d->f->io, l->dirfd);
}

static void free_recovery(struct log *l, struct wal_recovery *r)
{
	while (r->head) {
		struct wal_segment *next = r->head->next;
		wal_segment_free(l->d->f->io, r->head);
		r->head = next;
	}
}

static int is_whole_now(struct log *l)
{
	struct wal_recovery r = {0};
	struct err why = {0};
	int rc = wal_recover(l->d->f->io, l->dirfd, true, wal_boot_of_machine(), NULL, NULL, &r, &why);

	if (rc >= 0) {
		rc = r.read_only ? -EBADMSG : 0;
		free_recovery(l, &r);
	}
	return rc;
}

static int install(struct log *l)
{
	const struct io *io = l->d->f->io;
	struct err why = {0};
	int rc = 0;

	/* A log that begins later than the catalogue knows would look like one of another time. */
	if (!l->begun && l->kept && l->first_kept > l->d->lsn_max + 1) {
		rc = catalog_set_int(l->d->cat, "last_lsn", (int64_t)(l->first_kept - 1), &why);
		if (rc >= 0)
			l->d->lsn_max = l->first_kept - 1;
	}
	for (uint32_t i = 0; i < l->fresh_n && rc >= 0; i++) {
		rc = io->renameat(io, l->dirfd, l->fresh[i].tmp, l->dirfd, l->fresh[i].name);
		if (rc >= 0)
			rc = io->fsync(io, l->dirfd);
	}
	if (rc >= 0)
		rc = clear_segments(l);
	return rc < 0 ? rc : is_whole_now(l);
}

static int repair_hole(struct log *l, const char *reason, struct err *e)
{
	bool can = !l->d->is_old;
	char what[1100], how[400];
	char const *file = DIR_WAL;
	char path[WAL_NAME_MAX + 8];
	int64_t off = -1;

	l->writes = can && fsck_repairs(l->d->f);
	buf_init(&l->buf, (size_t)WAL_BATCH_BYTES_MAX * 2);
	int rc = salvage(l, e);
	if (rc >= 0 && l->writes)
		rc = install(l);
	for (uint32_t i = 0; rc < 0 && i < l->fresh_n; i++)
		(void)l->d->f->io->unlinkat(l->d->f->io, l->dirfd, l->fresh[i].tmp, 0);
	for (uint32_t i = 0; i < l->seg_n && off < 0; i++)
		if (l->segs[i].damage >= 0) {
			snprintf(path, sizeof path, DIR_WAL "/%s", l->segs[i].name);
			file = path;
			off = l->segs[i].damage;
		}
	snprintf(what, sizeof what, "%s; lost: records %s", reason, l->lost[0] ? l->lost : "none");
	snprintf(how, sizeof how,
		 "put the %" PRIu64 " records behind it into new segments and keep the damaged ones in " DIR_WAL "/" DIR_DAMAGED
		 "/%s", l->kept, l->refused ? "; among the lost ones are whole ones whose series' definitions are lost" : "");
	fsck_found(l->d->f, where(l, file, off), FSCK_ERROR, can, rc,
		   can ? how : "restore catalogue and log from one copy first", "%s", what);
	return rc == -ENOMEM ? err_set(e, rc, "out of memory") : 0;
}

/* ---- a torn end ---------------------------------------------------------------------------------------- */

static int cut_end(struct log *l)
{
	struct wal_recovery r = {0};
	struct err why = {0};
	int rc = 0;

	for (uint32_t i = 0; i < l->seg_n && rc >= 0; i++)
		if (l->segs[i].keep < l->segs[i].size)
			rc = fsck_copy_aside(l->d->f, l->dirfd, l->segs[i].name, DIR_DAMAGED);
	if (rc < 0)
		return rc;
	rc = wal_recover(l->d->f->io, l->dirfd, false, wal_boot_of_machine(), NULL, NULL, &r, &why);
	if (rc >= 0) {
		rc = r.read_only ? -EIO : 0;
		free_recovery(l, &r);
	}
	return rc;
}

static void check_ends(struct log *l)
{
	char path[WAL_NAME_MAX + 8];
	uint64_t torn = 0;
	int rc = 0;

	for (uint32_t i = 0; i < l->seg_n; i++)
		torn += l->segs[i].keep < l->segs[i].size;
	if (torn && fsck_repairs(l->d->f))
		rc = cut_end(l);
	for (uint32_t i = 0; i < l->seg_n; i++) {
		const struct log_segment *s = &l->segs[i];
		snprintf(path, sizeof path, DIR_WAL "/%s", s->name);
		if (s->keep < s->size)
			fsck_found(l->d->f, where(l, path, s->keep), FSCK_WARNING, true, rc,
				   "keep a copy in " DIR_WAL "/" DIR_DAMAGED "/ and cut it off, as mounting would",
				   "ends in %lld bytes that are no whole batch: an append was interrupted, or they were damaged",
				   (long long)(s->size - s->keep));
		else if (s->resumes >= 0)
			fsck_found(l->d->f, where(l, path, s->damage), FSCK_NOTE, false, 0, NULL,
				   "damaged up to byte %lld, but no record is lost by it", (long long)s->resumes);
	}
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static int open_log(struct log *l)
{
	l->dirfd = openat(l->d->dirfd, DIR_WAL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return l->dirfd < 0 ? -errno : 0;
}

static void close_log(struct log *l)
{
	for (uint32_t i = 0; i < l->seg_n; i++) {
		wal_reader_release(&l->segs[i].reader);
		if (l->segs[i].fd >= 0)
			l->d->f->io->close(l->d->f->io, l->segs[i].fd);
	}
	if (l->fd >= 0)
		l->d->f->io->close(l->d->f->io, l->fd);
	if (l->dirfd >= 0)
		close(l->dirfd);
	buf_release(&l->buf);
	free(l->fresh);
	free(l->segs);
	free(l->batches);
}

int fsck_log_definitions(struct fsck_db *d, struct err *e)
{
	struct log l = {.d = d, .fd = -1};
	struct wal_recovery r = {0};
	struct err why = {0};

	if (open_log(&l) < 0)
		return 0;
	int rc = wal_recover(d->f->io, l.dirfd, true, wal_boot_of_machine(), replay_definition, &l, &r, &why);
	if (rc >= 0)
		free_recovery(&l, &r);
	close_log(&l);
	return rc == -ENOMEM ? err_set(e, rc, "out of memory") : 0; /* fsck_log() tells of the rest */
}

static int scan(struct log *l)
{
	int rc = list_segments(l);

	for (uint32_t i = 0; i < l->seg_n && rc >= 0; i++) {
		rc = scan_segment(l, i);
		fsck_checked(l->d->f, (uint64_t)l->segs[i].size);
	}
	if (rc >= 0)
		find_ends(l);
	if (rc >= 0 && l->batch_n)
		qsort(l->batches, l->batch_n, sizeof *l->batches, by_lsn);
	return rc;
}

static void missing(struct log *l, int why)
{
	int rc = 0;

	if (why == -ENOENT && !l->d->lsn_max)
		return; /* a database without any row yet */
	if (why == -ENOENT && fsck_repairs(l->d->f))
		rc = io_mkdirs(l->d->f->io, l->d->dirfd, DIR_WAL);
	fsck_found(l->d->f, where(l, DIR_WAL, -1), FSCK_ERROR, why == -ENOENT, rc,
		   "begin an empty log; rows that were in no file yet are lost", "the log cannot be opened: %s",
		   strerror(-why));
}

int fsck_log(struct fsck_db *d, struct err *e)
{
	struct log l = {.d = d, .fd = -1};
	struct wal_recovery r = {0};
	struct err why = {0};
	int rc = open_log(&l);

	if (rc < 0) {
		missing(&l, rc);
		return 0;
	}
	rc = wal_recover(d->f->io, l.dirfd, true, wal_boot_of_machine(), replay, &l, &r, &why);
	if (rc < 0) {
		fsck_found(d->f, where(&l, DIR_WAL, -1), FSCK_ERROR, false, 0, NULL, "%s", err_text(&why, rc));
		close_log(&l);
		return rc == -ENOMEM ? err_set(e, rc, "out of memory") : 0;
	}
	free_recovery(&l, &r);
	memcpy(l.id, r.log_id, sizeof l.id);
	l.has_id = r.has_id;
	l.x = r.next_lsn;
	if (!l.begun && r.count)
		check_age(&l, l.x);
	rc = scan(&l);
	if (rc < 0)
		rc = err_set(e, rc, "the log cannot be read: %s", strerror(-rc));
	else if (r.read_only)
		rc = repair_hole(&l, r.reason, e);
	else
		check_ends(&l);
	close_log(&l);
	return rc;
}
