/*
 * ingest_fast: lines that look like one before them. Private to ingest.
 *
 * Machines repeat themselves: the same few thousand "measurement,tags" come round again and again, in
 * the same order, with the same fields behind them. So each head that was parsed once is remembered
 * with its series (`known`) and with the head that came next; each sequence of field keys with its
 * columns (`layout`). A line whose bytes match is turned into a row without looking up anything:
 *
 *	head    compare with the successor of the last one, or hash it
 *	key     compare with the layout's, up to 32 bytes in words
 *	value   digits eight at a time
 *
 * Anything unexpected - an escape, a new field, another order, a type that differs, a bad value, a
 * time outside the window - is no error here: the line goes to the complete parser, which knows what
 * to say about it. So this path can only be wrong by taking too much, and takes only what it proved.
 */
#ifndef TIDE_INGEST_FAST_H
#define TIDE_INGEST_FAST_H

#include "engine/feed.h"

#define KNOWN_MAX        65536      /* heads remembered */
#define KNOWN_BYTES_MAX  (16 << 20) /* of their text */
#define KNOWN_HEAD_MAX   4096       /* bytes of one; longer ones are not remembered */
#define LAYOUTS_MAX      128
#define LAYOUT_FIELDS_MAX 256
#define FAST_LINE_MAX    65536

struct layout;

struct known {
	const char *head; /* in `heads` */
	uint32_t head_len;
	uint32_t hash;
	uint32_t series;
	uint32_t next;   /* the one that followed it last time, or KNOWN_NONE */
	uint32_t layout; /* a guess: checked against the target before use */
	struct feed_target *target;
};

#define KNOWN_NONE UINT32_MAX

struct fast {
	struct known *known;
	uint32_t known_count;
	uint32_t known_cap;
	struct idx by_head;
	struct arena heads;
	uint64_t seed;     /* of the heads' hashes */
	uint32_t last;     /* known line before this one, or KNOWN_NONE */
	uint32_t missed;   /* heads that found no room since there was none */
	uint32_t hits;     /* lines whose head was known, since all were last forgotten */
	uint32_t patience; /* how often as many strangers must come as are known before that */
	uint32_t generation; /* of the feed, that targets belong to */
	struct layout *layouts[LAYOUTS_MAX];
	uint32_t layout_next; /* which to replace */
};

void fast_init(struct fast *x);
void fast_release(struct fast *x);

/* Forget all heads and layouts: their targets are gone. */
void fast_forget(struct fast *x);

/*
 * Try the line at p. `end` is just behind some newline at or after p; `limit` is the end of readable
 * bytes. 1: a row was added, *ret_next is the next line; 0: not this way; <0: failure of the write.
 */
int fast_line(struct fast *x, struct feed *f, const char *p, const char *end, const char *limit,
	      const char **ret_next, struct err *e);

/* The complete parser turned this line into that row: remember its shape. Best effort. */
void fast_learn(struct fast *x, struct feed *f, const struct point *pt, const struct feed_row *row);

#endif
