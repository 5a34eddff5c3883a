/*
 * ingest: bytes written to an `ingest` file -> rows in the engine, rejected lines aside.
 *
 * One handle per open file. It carries a partial line between writes, whatever the format; what a line
 * says is the business of the format's parser (ingest_impl.h). One thread at a time per handle (the
 * file system serialises them).
 */
#ifndef TIDE_INGEST_H
#define TIDE_INGEST_H

#include "engine/engine.h"

#define INGEST_LINE_MAX (1 << 20)

struct ingest;

enum ingest_format {
	INGEST_LINEPROTO, /* docs/line-protocol.md */
	INGEST_JSONL,     /* docs/json-lines.md */
	INGEST_FORMATS
};

struct ingest_source {
	const char *file; /* "iot/weather/ingest", for `rejected` */
	uint32_t uid;
	enum ingest_format format;
	/* Database level: may the writer add to this table? Asked once a table and handle. NULL: yes. */
	bool (*may_write)(void *ctx, struct table *t);
	void *may_ctx;
};

/*
 * table NULL: database level, each line names its table (made on first use). Either is
 * referenced until close.
 */
int ingest_open(struct db *db, struct table *table, const struct ingest_source *src,
		struct ingest **ret, struct err *e) must_check;

/*
 * Take n bytes. Complete lines are stored before it returns; an unterminated rest is kept.
 * Returns n, or a negative errno; then nothing of these n bytes was consumed, and the same call may
 * be made again:
 *
 *   -EINVAL  the bytes completed at least one line and all of those were bad (they are in `rejected`,
 *            each once, however often the same bytes are tried again). A line of several records is bad
 *            when all of those were refused
 *   -ENOSPC, -EROFS, -EIO, -ESTALE, -ENOMEM  as db_append(). A write of more rows than a batch holds is
 *            stored in steps, and earlier steps stay: sending it again stores the same rows again,
 *            which changes nothing (last write wins; rows without a time get the same one again).
 *   -EMSGSIZE is never returned: a line over INGEST_LINE_MAX is a bad line
 */
int64_t ingest_write(struct ingest *in, const char *data, size_t n, struct err *e) must_check;

/*
 * An unterminated rest counts as a line now (fsync, some time after the last close); but not while the
 * write that would have gone on with it has failed. -EINVAL: it was bad, is in `rejected`, and is gone.
 * Other errors as ingest_write(), and it stays.
 */
int ingest_finish(struct ingest *in, struct err *e) must_check;

/* Bytes of an unterminated line held back. */
size_t ingest_pending(const struct ingest *in);

/* Whether lines were rejected since this was last asked (FLUSH answers EINVAL once). */
bool ingest_take_rejected(struct ingest *in);

/* Drops a held-back rest; call ingest_finish() first to keep it. NULL is fine. */
void ingest_close(struct ingest *in);

#endif
