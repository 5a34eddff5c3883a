/*
 * crash: kill -9 at named places and at random moments, then look whether a promise was broken.
 *
 *	crash [KILLS] [SEED]
 *
 * A child, the victim, opens the data directory and lets threads loose on it. Before each change a
 * thread notes in memory shared with the parent what it begins, afterwards what was acknowledged. It
 * dies by SIGKILL: at a named fault point, the n-th time that is passed, or after a random time. Then
 * another child opens the directory and looks. What was acknowledged must be there, what was begun may
 * be, as a whole, and nothing else. The next round goes on from there, so damage that heals badly adds
 * up; after ROUNDS_PER_DIR rounds a new directory is begun.
 *
 *	table  job                                                    what must be found
 *	t      two threads append rows 1, 2, ...; each row twice,     rows 1..m of each, each once and whole;
 *	       with another field the second time                     acknowledged <= m <= begun
 *	v      one thread rewrites the same rows with versions        all rows of one generation, no field of another
 *	d      one thread appends rows, another deletes the oldest    rows from..m; `from` as acknowledged or begun
 *	r      one thread restores one of two tiles, in turn, and     all rows of one tile; rows 1..m
 *	       appends a row before each
 *	e      one thread appends rows that expire a second later     what is younger than the edge, no more
 *	n      one thread makes a new series for each row             series and rows 1..m
 *	t, r   one thread changes the retention to and fro            one of the last two
 *	       one thread makes snapshots, and drops the one before   those acknowledged, each with its text
 *
 * Beside them the background work of the engine and a thread that seals and maintains without a pause.
 *
 *	victim.c   the one that dies       examine.c   the one that looks       crash.c   rounds
 *	report.c   what is there, where something is wrong
 */
#ifndef TIDE_CRASH_H
#define TIDE_CRASH_H

#include <stdatomic.h>

#include "engine/engine.h"

#define WRITERS        2
#define VERSION_ROWS   150
#define TILE_ROWS      600
#define BESIDE_S       100000 /* how far behind the tiles' rows the others of r begin */
#define EXPIRING_MOST  (1 << 16)

/* A number that rises: what was begun last, and what was acknowledged. */
struct mark {
	_Atomic int64_t begun, acked;
};

/* Rows [first, first + n) of table e, a millisecond apart. */
struct expiring {
	int64_t first;
	int32_t n;
	_Atomic bool is_acked;
};

struct shared {
	struct mark rows[WRITERS]; /* of t: how many rows each writer has stored */
	struct mark generation;    /* of v */
	struct mark added, floor;  /* of d: rows added; rows up to here deleted */
	struct mark restored;      /* of r: how many times */
	struct mark beside;        /* of r: rows that were written between */
	struct mark retention;     /* index of retentions[] modulo RETENTIONS */
	struct mark named;         /* of n: series */
	struct mark made, dropped; /* snapshots: number of the last one that was made, that was dropped */
	_Atomic uint32_t expiring_n;
	struct expiring expiring[EXPIRING_MOST];
	_Atomic bool is_open;
};

enum { T_ROWS, T_VERSIONS, T_DELETES, T_RESTORES, T_EXPIRES, T_SERIES, CRASH_TABLES };

struct world {
	struct engine *en;
	struct db *db;
	struct table *t[CRASH_TABLES];
	uint32_t v[CRASH_TABLES], s[CRASH_TABLES]; /* columns: BIGINT, VARCHAR */
	uint32_t ids[CRASH_TABLES][WRITERS];       /* series */
	uint32_t host;                             /* column of table n */
};

extern struct shared *sh;
extern char dir[64];
extern int64_t base_ns;        /* rows lie in the past by ten days: due for tiles at once */
extern int64_t expire_base_ns; /* row k of e lies k ms after it */

/* The two tiles of table r: all rows have the value 1, or 2. */
struct tile_bytes {
	char *p;
	size_t n;
};
extern struct tile_bytes tiles[2];

#define RETENTIONS 3
extern const char *const retentions[RETENTIONS];

void die(const char *what, const struct err *e, int rc) __attribute__((noreturn));
void open_world(struct world *w, bool background);
void close_world(struct world *w);

/* A row for a batch; text NULL: no s. value INT64_MIN: no v. */
void add_row(struct batch *b, const struct world *w, int table, uint32_t series, int64_t time, int64_t value,
	     const char *text);
void append(const struct world *w, int table, struct batch *b);

void victim(const char *point, uint64_t nth, bool is_armed_at_start) __attribute__((noreturn));
int examine(bool with_fsck); /* 0: all is right */
void report(void); /* to stderr */

#endif
