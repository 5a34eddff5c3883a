/*
 * wal: the write-ahead log of one database (docs/format-wal.md).
 *
 * A log is a row of segment files. Every record carries a log sequence number (LSN: 1, 2, 3, ...
 * per database, never reused), a type, a table id and a payload that the log does not look into.
 * wal_append() takes several records and makes them one checksummed batch: all or none of it.
 */
#ifndef TIDE_WAL_H
#define TIDE_WAL_H

#include <stdatomic.h>

#include "engine/io.h"

#define WAL_SEGMENT_BYTES   (64 << 20) /* a new segment is begun at the first batch past this */
#define WAL_BATCH_BYTES_MAX (64 << 20) /* payload of one batch */
#define WAL_UNSYNCED_MAX    (64 << 20) /* an append past this syncs first */

enum wal_type {
	WAL_COLUMN = 1, /* a column's definition */
	WAL_SERIES = 2, /* definitions of series */
	WAL_ROWS = 3,   /* rows of one table, columnar */
	WAL_MARK = 4,   /* a place in the order of a table's changes: enum wal_mark */
};

/* What a WAL_MARK stands for: its payload's only byte, and for WAL_MARK_VOID a varint behind it. */
enum wal_mark {
	WAL_MARK_DELETE = 1,  /* rows up to here may be deleted: see the catalogue */
	WAL_MARK_RESTORE = 2, /* a tile's rows may have come in here: see the catalogue */
	WAL_MARK_VOID = 3,    /* nothing came of the mark with that number */
};

struct wal_record {
	uint64_t lsn; /* set by wal_append() */
	uint32_t table_id;
	uint8_t type;
	struct str payload;
};

struct wal;

struct wal_options {
	int64_t sync_interval_ns; /* background fdatasync when dirty; 0 = none (tests) */
	uint64_t next_lsn_min;    /* LSNs start at least here (catalogue's highest + 1) */
	bool read_only; /* replay only: nothing is written, another process may be writing */
	uint64_t segment_bytes; /* 0: WAL_SEGMENT_BYTES */
	uint64_t unsynced_max;  /* RAM for batches not yet synced; 0: WAL_UNSYNCED_MAX */
	uint64_t boot; /* which boot of the machine this is; 0: ask the kernel (tests set it) */
	struct wal_progress *progress; /* of wal_open(), for who watches it; or NULL */
};

/* How far the replay has come, in bytes of the segments; read by any thread. */
struct wal_progress {
	_Atomic uint64_t done, total;
};

/* Called once per record in LSN order; the payload is lent for the call. <0 stops the replay. */
typedef int wal_replay_fn(void *ctx, const struct wal_record *rec, struct err *e);

/* What the state of the log is; rendered into `status`. */
struct wal_status {
	uint64_t next_lsn;
	uint64_t durable_lsn; /* every record up to here survives power loss */
	uint64_t bytes;       /* in all segments */
	uint32_t segments;
	bool read_only;   /* corruption in the middle, or a failed fsync not yet made good */
	bool stalled;     /* the disk did not answer in time: all this is as it was when it did */
	char reason[256]; /* why read_only */
	int64_t failing_since_ns; /* the last batch was refused, and since then all were; 0: it was taken */
	char failing[256];        /* why */
	uint64_t replayed_bytes;
	uint64_t cut_bytes; /* of a torn tail, cut off at open */
};

/*
 * Opens or creates the log in directory `dir` below dirfd, and replays every record to fn.
 * Keeps the longest valid prefix where nothing valid follows (a torn tail is cut); where a valid
 * batch follows a damaged one the log opens read-only (appends: -EROFS with the reason) and leaves
 * the files as they are, unless a power cut explains it (docs/format-wal.md). What was replayed is
 * on stable storage when this returns.
 *
 *   -EMEDIUMTYPE  written by a newer version
 *   -EIO ...      could not be read: never taken for damage
 *   what fn returned
 */
int wal_open(const struct io *io, int dirfd, const char *dir, const struct wal_options *opt,
	     wal_replay_fn *fn, void *ctx, struct wal **ret, struct err *e) must_check;

/* Syncs what is dirty, stops the background thread, closes. NULL is fine. */
void wal_close(struct wal *w);

/*
 * Append records as one batch, after everything appended before it. On return they survive a crash
 * of the daemon; wal_sync() adds power loss. recs[i].lsn is set, consecutive.
 *
 *   -EMSGSIZE  more than WAL_BATCH_BYTES_MAX; nothing was written
 *   -ENOSPC    disk full; what was written of it was cut off, and the log stays usable
 *   -EROFS     the log is read-only, or a failed fsync is not yet made good; e says why
 *   -EIO       could not be written; while it cannot even be cut off, nothing is taken
 *
 * Any thread. One pwritev.
 */
int wal_append(struct wal *w, struct wal_record *recs, int n, struct err *e) must_check;

/* Returns when every record up to lsn is on stable storage; callers share one fdatasync. */
int wal_sync(struct wal *w, uint64_t lsn, struct err *e) must_check;

/*
 * Every record up to and including lsn is stored elsewhere: drop segments that hold only such.
 * Where that is all of the segment in use and it is not small, a new one is begun first. -EROFS:
 * the log was opened read-only or is damaged, and stays as it is. -EINVAL: there is no record lsn yet,
 * so nothing can be known of it, and nothing goes.
 */
int wal_trim(struct wal *w, uint64_t lsn, struct err *e) must_check;

bool wal_would_drop(struct wal *w, uint64_t lsn); /* whether wal_trim() would find something to drop now */

uint64_t wal_boot_of_machine(void); /* 0 where the kernel does not say */

uint64_t wal_last_lsn(const struct wal *w);
void wal_status(struct wal *w, struct wal_status *ret); /* never waits for the disk */

#endif
