/*
 * wal_segment: what the log's source files share: bytes of segments and batches
 * (docs/format-wal.md), batches kept in RAM, recovery. Not for use outside engine/wal*.c.
 */
#ifndef TIDE_WAL_SEGMENT_H
#define TIDE_WAL_SEGMENT_H

#include "engine/wal.h"

#define WAL_HEADER_BYTES 80
#define WAL_BATCH_HEAD   40
#define WAL_NAME_MAX     64

/* ---- segments ----------------------------------------------------------------------------------
 */

struct wal_header {
	uint8_t log_id[16];
	uint64_t first_lsn;
	uint64_t follows; /* the LSN before first_lsn in this log */
	uint64_t number;
	uint64_t boot;
	uint64_t synced; /* synced LSN when it was begun */
	uint32_t salt;
};

void wal_header_encode(const struct wal_header *h, uint8_t to[WAL_HEADER_BYTES]);
/* -EBADMSG: damaged. -EMEDIUMTYPE: whole, but of another version. */
int wal_header_decode(const uint8_t from[WAL_HEADER_BYTES], struct wal_header *ret);

void wal_segment_name(char to[WAL_NAME_MAX], uint64_t first_lsn, uint64_t number);
bool wal_segment_parse_name(const char *name, uint64_t *ret_first_lsn, uint64_t *ret_number);

/* A file of the log, in a list by number. Guarded by the log's mutex. */
struct wal_segment {
	struct wal_segment *next;
	struct wal_header header;
	uint64_t last_lsn; /* header.first_lsn - 1 while empty */
	int64_t bytes;     /* good ones; the next batch goes here */
	int fd;            /* -1: closed. Open while active or dirty */
	bool dirty;        /* holds records that were not synced */
};

/* Make the file with its header. Nothing stays of it on failure. The directory is not synced. */
int wal_segment_create(const struct io *io, int dirfd, const struct wal_header *h,
		       struct wal_segment **ret);
void wal_segment_free(const struct io *io, struct wal_segment *s); /* closes; NULL is fine */

/* ---- batches -----------------------------------------------------------------------------------
 */

struct wal_batch {
	uint32_t bytes; /* with the head */
	uint32_t count; /* records; 0: a mark */
	uint64_t first_lsn;
	uint64_t synced;
};

/* The LSN behind its last record. */
static inline uint64_t wal_batch_end(const struct wal_batch *b)
{
	return b->first_lsn + b->count;
}

/* Write the head of a batch whose records lie at p + WAL_BATCH_HEAD already, checksum included. */
void wal_batch_seal(uint8_t *p, const struct wal_batch *b, uint32_t salt);

/* Head fields only, unchecked; for batches of our own. */
void wal_batch_head(const uint8_t *p, struct wal_batch *ret);

size_t wal_record_bytes(const struct wal_record *r);
void wal_record_put(struct buf *out, const struct wal_record *r);
bool wal_record_next(struct cur *c, struct wal_record *ret); /* false: end, or c->bad */

/* ---- reading a segment --------------------------------------------------------------------------
 */

/* A window that slides over the file; batches are whole in it. */
struct wal_reader {
	const struct io *io;
	int fd;
	int64_t size;
	uint8_t *window;
	size_t window_cap, window_len;
	int64_t window_off;
};

void wal_reader_init(struct wal_reader *r, const struct io *io, int fd, int64_t size);
void wal_reader_release(struct wal_reader *r); /* the descriptor stays open */

/* n bytes at off, lent until the next call: 0. 1: past the end. <0: read error, -ENOMEM. */
int wal_reader_peek(struct wal_reader *r, int64_t off, size_t n, const uint8_t **ret);

/*
 * The valid batch at off: 0 and its bytes, lent. 1: there is none. salt NULL: any.
 * find: at off or anywhere behind it, *ret_off says where.
 */
int wal_reader_batch(struct wal_reader *r, int64_t off, const uint32_t *salt, uint64_t lsn_min,
		     struct wal_batch *ret, const uint8_t **ret_bytes);
int wal_reader_find(struct wal_reader *r, int64_t off, const uint32_t *salt, uint64_t lsn_min,
		    struct wal_batch *ret, int64_t *ret_off);

/* ---- batches kept in RAM until they are synced
 * ----------------------------------------------------- */

struct wal_chunk {
	struct wal_chunk *next;
	size_t cap, used;
	uint64_t last_lsn;
	uint8_t data[];
};

struct wal_kept {
	struct wal_chunk *head, *tail;
	struct wal_chunk *spare;
	int spare_count;
	size_t bytes;
};

uint8_t *wal_kept_reserve(struct wal_kept *k, size_t n); /* room behind the last batch, or NULL */
void wal_kept_commit(struct wal_kept *k, size_t n, uint64_t last_lsn); /* what was reserved last */
void wal_kept_forget(struct wal_kept *k, uint64_t lsn); /* chunks that end at or before it */
void wal_kept_release(struct wal_kept *k);

/* ---- recovery -----------------------------------------------------------------------------------
 */

struct wal_recovery {
	struct wal_segment *head, *tail; /* all segments, closed; given */
	uint32_t count;
	uint64_t next_lsn;    /* 1 where the log is empty */
	uint64_t lsn_floor;   /* names of segments say that LSNs below this were in use */
	uint64_t last_number; /* highest in use */
	bool has_id;
	uint8_t log_id[16];
	bool read_only; /* damaged in the middle, or could not be repaired */
	char reason[256];
	uint64_t replayed_bytes, cut_bytes;
};

/* read_only: look, change nothing. On failure nothing is given. */
int wal_recover(const struct io *io, int dirfd, bool read_only, uint64_t boot, wal_replay_fn *fn,
		void *ctx, struct wal_recovery *ret, struct err *e);
/* The same, and p (NULL is fine) tells how far it has come. */
int wal_recover_watched(const struct io *io, int dirfd, bool read_only, uint64_t boot, wal_replay_fn *fn,
			void *ctx, struct wal_progress *p, struct wal_recovery *ret, struct err *e);

#endif
