/*
 * The series file: an append-only checkpoint of a table's definitions.
 *
 *	file header, 32 bytes            OFFSET SIZE
 *	  "TIDESER1"                          0    8
 *	  version = 1                         8    4
 *	  header bytes = 32                  12    4
 *	  salt, random                       16    8
 *	  0                                  24    4
 *	  crc32c of bytes 0..27              28    4
 *	block, repeated
 *	  "TSRB"                              0    4
 *	  payload bytes                       4    4
 *	  offset of this block in the file    8    8
 *	  kind: 1 columns, 2 series          16    4
 *	  crc32c of the payload              20    4
 *	  0                                  24    4
 *	  crc32c of bytes 0..27              28    4
 *	  payload                            32    -
 *
 * Numbers are little-endian. Both checksums of a block begin with the salt, so bytes that a user
 * smuggled into a dimension's value never pass for a block.
 *
 * A file is created as a synced header; blocks follow. A block that does not check ends the file if
 * no valid block lies anywhere behind it (a torn append); otherwise the file is damaged. Loading
 * never writes: the next save cuts what is torn. A save that fails, fdatasync included, moves
 * nothing: the next one cuts back to the last synced end and writes it all again.
 */
#include "engine/series_set.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>

#define FILE_HEADER_BYTES   32
#define BLOCK_HEADER_BYTES  32
#define BLOCK_TARGET_BYTES  (1 << 20)
#define BLOCK_PAYLOAD_MAX   (256 << 20)

static const char file_magic[8] = {'T', 'I', 'D', 'E', 'S', 'E', 'R', '1'};
static const char block_magic[4] = {'T', 'S', 'R', 'B'};

enum block_kind {
	BLOCK_COLUMNS = 1,
	BLOCK_SERIES = 2,
};

struct block {
	uint32_t kind;
	uint32_t bytes; /* of the payload */
	uint32_t crc;
};

static void put_le(uint8_t *to, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_le(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static uint32_t salted_crc(uint64_t salt, const void *p, size_t n)
{
	uint8_t t[8];

	put_le(t, salt, 8);
	return crc32c(crc32c(0, t, 8), p, n);
}

static void block_header(uint8_t *h, uint64_t salt, int64_t off, uint32_t kind, struct str payload)
{
	memset(h, 0, BLOCK_HEADER_BYTES);
	memcpy(h, block_magic, 4);
	put_le(h + 4, payload.len, 4);
	put_le(h + 8, (uint64_t)off, 8);
	put_le(h + 16, kind, 4);
	put_le(h + 20, salted_crc(salt, payload.ptr, payload.len), 4);
	put_le(h + 28, salted_crc(salt, h, 28), 4);
}

/* Is this the header of a block at `off` that fits into the file? */
static bool block_parse(const uint8_t *h, uint64_t salt, int64_t off, int64_t size,
			struct block *ret)
{
	if (memcmp(h, block_magic, 4) != 0 || get_le(h + 8, 8) != (uint64_t)off ||
	    get_le(h + 28, 4) != salted_crc(salt, h, 28))
		return false;
	*ret = (struct block){
		.bytes = (uint32_t)get_le(h + 4, 4),
		.kind = (uint32_t)get_le(h + 16, 4),
		.crc = (uint32_t)get_le(h + 20, 4),
	};
	return ret->bytes <= BLOCK_PAYLOAD_MAX &&
	       ret->bytes <= size - off - BLOCK_HEADER_BYTES;
}

struct file {
	const struct io *io;
	const char *path;
	int fd;
	int64_t size;
	struct buf payload;
};

/* 1: the block at off is whole, its payload in f->payload; 0: it is not; <0: could not be read. */
static int block_read(struct file *f, uint64_t salt, int64_t off, struct block *ret)
{
	uint8_t h[BLOCK_HEADER_BYTES];

	if (f->size - off < BLOCK_HEADER_BYTES)
		return 0;
	int rc = io_pread_exact(f->io, f->fd, h, sizeof h, off);
	if (rc < 0)
		return rc;
	if (!block_parse(h, salt, off, f->size, ret))
		return 0;
	buf_clear(&f->payload);
	char *to = buf_reserve(&f->payload, MAX(ret->bytes, 1u));
	if (!to)
		return -ENOMEM;
	rc = io_pread_exact(f->io, f->fd, to, ret->bytes, off + BLOCK_HEADER_BYTES);
	if (rc < 0)
		return rc;
	f->payload.len = ret->bytes;
	return salted_crc(salt, to, ret->bytes) == ret->crc;
}

#define SEARCH_BYTES (1 << 20)

/* Offset of the first whole block at or behind `off`, or -ENOENT. */
static int64_t block_search(struct file *f, uint64_t salt, int64_t off)
{
	char *win = malloc(SEARCH_BYTES);
	int64_t found = -ENOENT;

	if (!win)
		return -ENOMEM;
	while (found == -ENOENT && f->size - off >= BLOCK_HEADER_BYTES) {
		int64_t n = f->io->pread(f->io, f->fd, win, SEARCH_BYTES, off);
		if (n < 0) {
			found = n;
			break;
		}
		const char *p = win, *end = win + n;
		while (found == -ENOENT && (p = memmem(p, (size_t)(end - p), block_magic, 4))) {
			struct block b;
			int rc = block_read(f, salt, off + (p - win), &b);
			if (rc != 0)
				found = rc < 0 ? rc : off + (p - win);
			p++;
		}
		if (n < SEARCH_BYTES)
			break;
		off += n - 3; /* a magic may lie across two windows */
	}
	free(win);
	return found;
}

/* 1: fine; 0: not a whole header. */
static int header_read(struct file *f, uint64_t *ret_salt, struct err *e)
{
	uint8_t h[FILE_HEADER_BYTES];
	int rc = io_pread_exact(f->io, f->fd, h, sizeof h, 0);

	if (rc < 0)
		return err_set(e, rc, "%s: %s", f->path, strerror(-rc));
	if (memcmp(h, file_magic, 8) != 0 || get_le(h + 28, 4) != crc32c(0, h, 28))
		return 0;
	if (get_le(h + 8, 4) != 1)
		return err_set(e, -EMEDIUMTYPE, "%s: format version %llu; this program knows 1",
			       f->path, (unsigned long long)get_le(h + 8, 4));
	*ret_salt = get_le(h + 16, 8);
	return 1;
}

static int apply(struct series_set *s, const struct file *f, const struct block *b, int64_t off,
		 struct err *e)
{
	int rc;

	if (b->kind == BLOCK_COLUMNS)
		rc = series_replay_columns(s, buf_str(&f->payload), e);
	else if (b->kind == BLOCK_SERIES)
		rc = series_replay_series(s, buf_str(&f->payload), e);
	else
		rc = err_set(e, -EBADMSG, "unknown kind %u of block", b->kind);
	return rc < 0 ? err_prefix(e, rc, "%s: block at offset %lld", f->path, (long long)off) : 0;
}

static int load_blocks(struct series_set *s, struct file *f, struct err *e)
{
	uint64_t salt = 0;
	struct block b;
	int rc;

	/* Blocks follow a synced header only, so a bad one with nothing behind it is a torn birth. */
	rc = f->size < FILE_HEADER_BYTES ? 0 : header_read(f, &salt, e);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return f->size <= FILE_HEADER_BYTES
			       ? 0
			       : err_set(e, -EBADMSG, "%s: the header at offset 0 is damaged",
					 f->path);
	int64_t off = FILE_HEADER_BYTES;
	while (off < f->size) {
		rc = block_read(f, salt, off, &b);
		if (rc < 0)
			return err_set(e, rc, "%s: reading at offset %lld: %s", f->path,
				       (long long)off, strerror(-rc));
		if (rc == 0)
			break;
		rc = apply(s, f, &b, off, e);
		if (rc < 0)
			return rc;
		off += BLOCK_HEADER_BYTES + (int64_t)b.bytes;
	}
	if (off < f->size) {
		int64_t behind = block_search(f, salt, off + 1);
		if (behind >= 0)
			return err_set(e, -EBADMSG,
				       "%s: damaged at offset %lld (a whole block follows at %lld)",
				       f->path, (long long)off, (long long)behind);
		if (behind != -ENOENT)
			return err_set(e, (int)behind, "%s: %s", f->path, strerror((int)-behind));
	}
	s->file_end = off;
	s->file_salt = salt;
	return 0;
}

/*
 * Indexes are filled at the end, in order of ids: then it is known which places of them come next, and
 * a million series need not wait two million times for memory.
 */
static int load_bulk(struct series_set *s, struct file *f, struct err *e)
{
	s->is_bulk = true;
	int rc = load_blocks(s, f, e);
	s->is_bulk = false;
	pthread_rwlock_wrlock(&s->lock);
	int indexed = series_index(s);
	pthread_rwlock_unlock(&s->lock);
	if (rc >= 0 && indexed < 0)
		rc = err_set(e, indexed, indexed == -EBADMSG ? "%s: defines a series or a value twice" : "%s: out of memory",
			     f->path);
	return rc;
}

int series_file_load(struct series_set *s, const struct io *io, int dirfd, const char *path,
		     struct err *e)
{
	struct file f = {.io = io, .path = path};
	struct stat st;

	f.fd = io->openat(io, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	if (f.fd == -ENOENT)
		return 0;
	if (f.fd < 0)
		return err_set(e, f.fd, "%s: %s", path, strerror(-f.fd));
	buf_init(&f.payload, BLOCK_PAYLOAD_MAX + 1);
	pthread_mutex_lock(&s->file_mu);
	int rc = io->fstat(io, f.fd, &st);
	if (rc < 0) {
		err_set(e, rc, "%s: %s", path, strerror(-rc));
	} else {
		f.size = st.st_size;
		rc = load_bulk(s, &f, e);
	}
	if (rc == 0)
		log_commit_all(s, LOG_FILE);
	pthread_mutex_unlock(&s->file_mu);
	buf_release(&f.payload);
	io->close(io, f.fd);
	return rc;
}

/* ---- salvage ---------------------------------------------------------------------------------- */

static int salvage_blocks(struct series_set *s, struct file *f, int64_t *ret_damage, struct err *e)
{
	uint8_t h[FILE_HEADER_BYTES];
	int64_t off = FILE_HEADER_BYTES;
	struct block b;
	uint64_t salt;

	*ret_damage = f->size < FILE_HEADER_BYTES ? 0 : -1;
	if (*ret_damage == 0)
		return 0;
	int rc = io_pread_exact(f->io, f->fd, h, sizeof h, 0);
	if (rc < 0)
		return err_set(e, rc, "%s: %s", f->path, strerror(-rc));
	if (memcmp(h, file_magic, 8) != 0 || get_le(h + 28, 4) != crc32c(0, h, 28))
		*ret_damage = 0;
	salt = get_le(h + 16, 8); /* may be whole where the header is not: no block checks otherwise */
	while (off < f->size) {
		rc = block_read(f, salt, off, &b);
		if (rc < 0)
			return err_set(e, rc, "%s: reading at offset %lld: %s", f->path, (long long)off, strerror(-rc));
		if (rc == 1) {
			rc = apply(s, f, &b, off, NULL);
			if (rc == -ENOMEM)
				return err_set(e, rc, "%s: out of memory", f->path);
			off += BLOCK_HEADER_BYTES + (int64_t)b.bytes;
			continue;
		}
		if (*ret_damage < 0)
			*ret_damage = off;
		off = block_search(f, salt, off + 1);
		if (off == -ENOENT)
			break;
		if (off < 0)
			return err_set(e, (int)off, "%s: %s", f->path, strerror((int)-off));
	}
	return 0;
}

int series_file_salvage(struct series_set *s, const struct io *io, int dirfd, const char *path,
			int64_t *ret_damage, struct err *e)
{
	struct file f = {.io = io, .path = path};
	struct stat st;

	f.fd = io->openat(io, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	if (f.fd == -ENOENT) {
		*ret_damage = 0;
		return 0;
	}
	if (f.fd < 0)
		return err_set(e, f.fd, "%s: %s", path, strerror(-f.fd));
	buf_init(&f.payload, BLOCK_PAYLOAD_MAX + 1);
	int rc = io->fstat(io, f.fd, &st);
	if (rc < 0) {
		err_set(e, rc, "%s: %s", path, strerror(-rc));
	} else {
		f.size = st.st_size;
		rc = salvage_blocks(s, &f, ret_damage, e);
	}
	buf_release(&f.payload);
	io->close(io, f.fd);
	return rc;
}

/* ---- saving ----------------------------------------------------------------------------------- */

static int create(struct file *f, int dirfd, uint64_t *ret_salt, struct err *e)
{
	uint8_t h[FILE_HEADER_BYTES] = {0};
	uint64_t salt;

	if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
		return err_set(e, -EIO, "%s: no random numbers", f->path);
	memcpy(h, file_magic, 8);
	put_le(h + 8, 1, 4);
	put_le(h + 12, FILE_HEADER_BYTES, 4);
	put_le(h + 16, salt, 8);
	put_le(h + 28, crc32c(0, h, 28), 4);
	int64_t rc = f->io->ftruncate(f->io, f->fd, 0);
	if (rc >= 0)
		rc = io_pwrite(f->io, f->fd, h, sizeof h, 0);
	if (rc >= 0)
		rc = f->io->fdatasync(f->io, f->fd);
	if (rc >= 0)
		rc = io_sync_parent(f->io, dirfd, f->path);
	if (rc < 0)
		return err_set(e, (int)rc, "%s: creating: %s", f->path, strerror((int)-rc));
	*ret_salt = salt;
	return 0;
}

static int append_block(struct file *f, uint64_t salt, uint32_t kind, int64_t *off)
{
	uint8_t h[BLOCK_HEADER_BYTES];

	if (f->payload.rc < 0)
		return f->payload.rc;
	block_header(h, salt, *off, kind, buf_str(&f->payload));
	struct iovec iov[2] = {{h, sizeof h}, {f->payload.data, f->payload.len}};
	int64_t rc = f->io->pwritev(f->io, f->fd, iov, 2, *off);
	if (rc < 0)
		return (int)rc;
	*off += BLOCK_HEADER_BYTES + (int64_t)f->payload.len;
	return 0;
}

/* Everything between the marks, from *off on. */
static int append_all(struct series_set *s, struct file *f, uint64_t salt,
		      struct series_mark upto, int64_t *off)
{
	struct series_mark at = s->logged[LOG_FILE];
	int rc = 0;

	if (at.columns < upto.columns) {
		buf_clear(&f->payload);
		log_encode_columns(s, at.columns, upto.columns, &f->payload);
		rc = append_block(f, salt, BLOCK_COLUMNS, off);
	}
	log_begin(s, LOG_FILE);
	while (rc == 0 && at.series < upto.series) {
		buf_clear(&f->payload);
		at.series = log_encode_series(s, LOG_FILE, at.series, upto.series,
					      BLOCK_TARGET_BYTES, &f->payload);
		rc = append_block(f, salt, BLOCK_SERIES, off);
	}
	return rc;
}

static int save_locked(struct series_set *s, struct file *f, int dirfd, struct series_mark upto,
		       struct err *e)
{
	uint64_t salt = s->file_salt;
	int64_t off = s->file_end;
	struct stat st;
	int rc;

	if (off == 0) {
		rc = create(f, dirfd, &salt, e);
		if (rc < 0)
			return rc;
		off = FILE_HEADER_BYTES;
	} else {
		rc = f->io->fstat(f->io, f->fd, &st);
		if (rc == 0 && st.st_size < off)
			return err_set(e, -EBADMSG, "%s: ends at offset %lld, %lld were there",
				       f->path, (long long)st.st_size, (long long)off);
		if (rc == 0 && st.st_size > off)
			rc = f->io->ftruncate(f->io, f->fd, off);
		if (rc < 0)
			return err_set(e, rc, "%s: %s", f->path, strerror(-rc));
	}
	int64_t start = off;
	rc = append_all(s, f, salt, upto, &off);
	FAULT("series.append");
	if (rc == 0)
		rc = f->io->fdatasync(f->io, f->fd);
	if (rc < 0) {
		/* Best effort: gives the room back on a full disk. The next save cuts anyway. */
		(void)f->io->ftruncate(f->io, f->fd, start);
		return err_set(e, rc, "%s: appending at offset %lld: %s", f->path, (long long)start,
			       strerror(-rc));
	}
	s->file_end = off;
	s->file_salt = salt;
	log_commit(s, LOG_FILE, upto);
	return 0;
}

struct series_mark series_saved(struct series_set *s)
{
	pthread_mutex_lock(&s->file_mu);
	struct series_mark m = s->logged[LOG_FILE];
	pthread_mutex_unlock(&s->file_mu);
	return m;
}

int series_file_save(struct series_set *s, const struct io *io, int dirfd, const char *path,
		     struct err *e)
{
	struct file f = {.io = io, .path = path};
	struct series_mark upto = {.series = series_count(s)};
	int rc = 0;

	upto.columns = series_column_count(s); /* after the series: covers all of their columns */
	pthread_mutex_lock(&s->file_mu);
	if (s->logged[LOG_FILE].columns >= upto.columns && s->logged[LOG_FILE].series >= upto.series)
		goto out;
	f.fd = io->openat(io, dirfd, path, O_RDWR | O_CLOEXEC | (s->file_end ? 0 : O_CREAT), 0644);
	if (f.fd < 0) {
		rc = err_set(e, f.fd, "%s: %s", path, strerror(-f.fd));
		goto out;
	}
	buf_init(&f.payload, BLOCK_PAYLOAD_MAX);
	rc = save_locked(s, &f, dirfd, upto, e);
	buf_release(&f.payload);
	(void)io->close(io, f.fd); /* what was written is synced */
out:
	pthread_mutex_unlock(&s->file_mu);
	return rc;
}
