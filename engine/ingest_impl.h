/*
 * ingest_impl: the insides of an ingest handle, shared by the ingest_*.c files and nobody else.
 *
 *	ingest.c           writes, the carried line, where lines begin and end
 *	ingest_refused.c   what becomes of refused lines and records
 *	ingest_lp.c        line protocol
 *	ingest_jsonl.c     JSON lines
 *
 * A format is a parser: a table of functions and a state of its own in the handle. It gets whole lines
 * (or, for speed, a look at all bytes that end in a newline), gives records to the feed, counts those
 * that were taken in `good` and complains about the others. All that a write promises - pieces of
 * lines, repetitions, what errno when, one entry in `rejected` each - is done around it.
 */
#ifndef TIDE_INGEST_IMPL_H
#define TIDE_INGEST_IMPL_H

#include "engine/feed.h"
#include "engine/ingest.h"

/* Between two bytes of a line; zeroed at its first. What the number means is the parser's business. */
struct line_scan {
	int state;
};

struct ingest_parser {
	size_t line_bytes_min; /* of a line with a record, newline included */
	/* Allocate in->state. -ENOMEM. */
	int (*open)(struct ingest *in);
	void (*close)(struct ingest *in); /* also after a failed open */
	/* The feed has let go of its targets: forget what refers to them. NULL: nothing does. */
	void (*forget)(struct ingest *in);
	/*
	 * Offset of the newline that ends the line among these n bytes (the scanner is fresh again then), or
	 * n where it does not end here. NULL: the first newline always does. Only a '"' may make it differ.
	 */
	size_t (*scan)(struct line_scan *s, const char *p, size_t n);
	bool (*scan_in_string)(const struct line_scan *s); /* NULL with scan */
	/*
	 * One line, without its newline: its records to the feed. A bad one is no error, but a complaint;
	 * <0 is a failure of the write.
	 */
	int (*line)(struct ingest *in, struct str line, struct err *e);
	/*
	 * Try the line at p a short way. `end` is just behind some newline at or after p; `limit` is the end of
	 * readable bytes. 1: a record was added, *ret_next is the next line; 0: not this way; <0: failure of
	 * the write. NULL: there is none.
	 */
	int (*fast)(struct ingest *in, const char *p, const char *end, const char *limit,
		    const char **ret_next, struct err *e);
};

extern const struct ingest_parser ingest_lp_parser, ingest_jsonl_parser;

struct refused_line {
	uint64_t line;
	uint64_t hash;
};

struct refused {
	struct refused_line *lines;
	uint32_t n;
	uint32_t cap;
};

#define SAME_HEAD_MAX 256

/* The write before, if it failed. */
struct failed {
	bool is;
	bool all_bad; /* -EINVAL */
	size_t n;
	uint64_t hash; /* of all n bytes; only where something of it was stored */
	bool stored;
	char head[SAME_HEAD_MAX]; /* how it began */
	size_t head_len;
};

struct ingest {
	const struct ingest_parser *parser;
	void *state; /* the parser's */
	struct feed feed;
	char *file;
	uint32_t uid;

	struct buf carry;      /* an unfinished line, at most INGEST_LINE_MAX bytes between writes */
	struct line_scan scan; /* its scanner, behind its last byte */
	bool is_skipping;      /* inside the rest of a line that was too long */
	uint64_t line;         /* number of the line that comes next (or is carried) */

	struct refused before; /* refused in the write that failed before; sorted */
	struct failed failed;
	bool has_rejected; /* for ingest_take_rejected() */

	/* This write. */
	struct refused now;
	uint64_t good;       /* records taken */
	uint64_t bad;        /* complaints */
	uint64_t unfinished; /* of the bad: refused before they ended, as they were too long */
	struct err first;    /* about the first bad line */
	size_t carry_from;   /* where in carry the unfinished line begins now */
	bool carry_done;     /* the carried line was completed */
	struct buf json;
};

/* ---- refused lines and records ------------------------------------------------------------------ */

struct complaint {
	uint64_t line;       /* number; 0: the one at hand */
	struct str text;     /* the line, or the record in it */
	size_t total;        /* of the line, where more of it exists than is here */
	size_t column;       /* in the text, from 1; 0: the whole */
	int64_t record;      /* index in the line's request; -1: the line is the record */
	int64_t existing_version; /* 0: that is not why */
	const char *reason;
	struct str table;    /* at database level, the table it named; may be empty */
};

/* Note it in `rejected` (once), for the write's errno, and for close(2). */
void ingest_complain(struct ingest *in, const struct complaint *c);

/* The write failed: remember what it refused. */
void ingest_refused_keep(struct ingest *in);

/* The write succeeded: lines before in->line do not come again. */
void ingest_refused_pass(struct ingest *in);

#endif
