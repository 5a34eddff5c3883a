/*
 * series_set: the insides of a series set, shared by the series_*.c files and nobody else.
 *
 *	series_names.c    growing arrays, text pools, dictionaries
 *	series_columns.c  columns and the naming rules
 *	series.c          life of a set, interning, accessors
 *	series_order.c    file order
 *	series_chain.c    which series have a value of a dimension
 *	series_codec.c    definitions to bytes and back (WAL and file)
 *	series_file.c     the checkpoint file
 *	series_parts.c    which part of a date each series belongs to
 *
 * What lives where, for one series of ten dimensions:
 *
 *	series[id] -> entry: shape id, measure code, one code per dimension of the shape   48 bytes
 *	shapes[id] -> the sorted column ids that many series share
 *	column.dict.names[code] -> text of a dimension's value, once per value
 *	measures.names[code], measure_types[code] -> text of a measure name, and what it is bound to
 *
 * Publication. Entries are built completely, then a count is stored with release order. Whoever
 * learnt an id (from a count, under the lock, from a row) may read that entry without the lock: it
 * neither moves nor changes. Hash indexes do move, and are only touched under the lock.
 *
 * Creation happens under the lock held for writing, in two steps: reserve all memory, then add. So
 * nothing half-made is ever left behind, and dictionary codes and shape ids are given out in the
 * order in which series first use them. The log's encoding relies on that order.
 */
#ifndef TIDE_SERIES_SET_H
#define TIDE_SERIES_SET_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/idx.h"
#include "engine/series.h"

/* ---- segs: an array that grows and never moves ---------------------------------------------- */

#define SEG_FIRST_BITS 4 /* segment k holds 16 << k elements */
#define SEG_COUNT      29

struct segs {
	void *seg[SEG_COUNT]; /* each written once, before the count that covers it */
	uint32_t elem_bytes;
	_Atomic uint32_t count;
	size_t bytes;
};

static inline void *segs_at(const struct segs *a, uint32_t i)
{
	uint64_t x = (uint64_t)i + (1u << SEG_FIRST_BITS);
	int top = 63 - __builtin_clzll(x);

	return (char *)a->seg[top - SEG_FIRST_BITS] + (x - (UINT64_C(1) << top)) * a->elem_bytes;
}

static inline uint32_t segs_count(const struct segs *a)
{
	return atomic_load_explicit(&a->count, memory_order_acquire);
}

int segs_reserve(struct segs *a, uint32_t more); /* memory for `more` elements past count */
void segs_publish(struct segs *a);               /* the element at `count` is complete */
void segs_release(struct segs *a);

/* ---- pool: bytes that are never freed singly -------------------------------------------------- */

struct pool_block;
struct pool {
	struct pool_block *blocks;
	char *at;
	size_t left;
	size_t bytes;
};

int pool_reserve(struct pool *p, size_t n);
void *pool_take(struct pool *p, size_t n); /* after pool_reserve(); not aligned by itself */
void pool_release(struct pool *p);

/* ---- names: a dictionary ------------------------------------------------------------------------ */

enum log_kind {
	LOG_WAL,
	LOG_FILE,
	LOG_KINDS
};

struct name {
	const char *ptr; /* in the set's text pool */
	uint32_t len;
	uint32_t hash;
};

struct names {
	struct segs names; /* struct name */
	struct idx index;
	uint32_t logged[LOG_KINDS]; /* codes below are in that log; its lock (series.h) guards them */
	uint32_t next[LOG_KINDS];   /* while encoding */
};

void names_init(struct names *d);
void names_release(struct names *d);
int64_t names_find(const struct names *d, struct str s, uint32_t hash); /* code, or -1 */
int names_reserve(struct names *d);
/* After names_reserve() and room for s.len bytes in the pool: the new code. */
uint32_t names_add(struct names *d, struct pool *text, struct str s, uint32_t hash);
/* The same without the index, which then lacks it until names_index(): -EBADMSG where a text is there twice. */
uint32_t names_append(struct names *d, struct pool *text, struct str s, uint32_t hash);
int names_index(struct names *d);
#define INDEX_AHEAD 16 /* so many places of an index are fetched while others are filled in */

static inline struct str names_at(const struct names *d, uint32_t code)
{
	const struct name *n = segs_at(&d->names, code);
	return (struct str){n->ptr, n->len};
}

/* ---- the set ------------------------------------------------------------------------------------- */

struct column_slot {
	struct column pub;
	struct names *dict; /* dimensions only */
	struct series_chain *_Atomic chain; /* dimensions that were asked for; NULL: not yet */
};

struct shape {
	uint32_t n;
	uint16_t *cols;    /* ascending column ids */
	uint16_t *by_name; /* positions in `cols`, in order of the column names' bytes */
};

struct entry {
	uint32_t shape;
	uint32_t measure;
	uint32_t codes[]; /* one per column of the shape */
};

struct series_set {
	pthread_rwlock_t lock; /* indexes; adding to anything */
	bool is_bulk;          /* being loaded: series and values come without index, and nobody asks for any */
	uint64_t seed;         /* of every hash: nobody outside can prepare collisions */

	struct segs columns; /* struct column_slot */
	struct segs series;  /* struct entry * */
	struct segs shapes;  /* struct shape */
	struct idx by_column_name; /* keyed by the name in ASCII lower case */
	struct idx by_key;
	struct idx by_shape;
	struct names measures;
	struct segs measure_types; /* uint8_t, one a measure name: published before its name */
	struct pool text;
	struct pool entries; /* entries and shapes; 8-aligned */

	struct series_mark logged[LOG_KINDS];
	uint32_t shapes_logged[LOG_KINDS];
	uint32_t shapes_next[LOG_KINDS];

	pthread_mutex_t file_mu; /* saves; guards the LOG_FILE marks and what follows */
	int64_t file_end;        /* where the next block goes; 0 = no file yet */
	uint64_t file_salt;
};

static inline const struct column_slot *column_slot(const struct series_set *s, uint32_t id)
{
	return segs_at(&s->columns, id);
}

static inline const struct entry *series_entry(const struct series_set *s, uint32_t id)
{
	return *(struct entry *const *)segs_at(&s->series, id);
}

static inline const struct shape *series_shape(const struct series_set *s, uint32_t id)
{
	return segs_at(&s->shapes, id);
}

static inline uint32_t hash32(const struct series_set *s, const void *p, size_t n)
{
	uint64_t h = hash_bytes(p, n, s->seed);
	return (uint32_t)(h ^ h >> 32);
}

static inline enum measure_type measure_type_at(const struct series_set *s, uint32_t code)
{
	return *(const uint8_t *)segs_at(&s->measure_types, code);
}

void chain_destroy(struct series_chain *c); /* NULL is fine */
size_t chain_bytes(const struct series_chain *c); /* NULL: 0 */

/* Below: the caller holds the lock for writing. */

/* Room for one more measure name; then, with room for its text, the name itself: its code. */
int measure_reserve(struct series_set *s);
uint32_t measure_push(struct series_set *s, struct str name, enum measure_type type, uint32_t hash);

/* -EINVAL and a sentence where the name breaks the rules for that kind and type. */
int column_check(struct str name, enum colkind kind, enum coltype type, struct err *e);
/* The column that has this name, or one that differs by case; or -1. (A read lock will do.) */
int64_t column_find_folded(const struct series_set *s, struct str name);
int column_reserve(struct series_set *s, uint32_t columns, size_t text_bytes);
/* After column_reserve(); dict is taken. */
uint32_t column_push(struct series_set *s, struct str name, enum colkind kind, enum coltype type,
		     struct names *dict);
struct names *names_create(void);

int64_t shape_find(const struct series_set *s, const uint16_t *cols, uint32_t n, uint32_t hash);
int shape_reserve(struct series_set *s);
static inline size_t shape_bytes(uint32_t n)
{
	return ((size_t)n * 4 + 7) & ~(size_t)7;
}
static inline size_t entry_bytes(uint32_t n)
{
	return (sizeof(struct entry) + (size_t)n * 4 + 7) & ~(size_t)7;
}
/* After shape_reserve() and room for shape_bytes() in `entries`. */
uint32_t shape_push(struct series_set *s, const uint16_t *cols, uint32_t n, uint32_t hash);

uint32_t entry_hash(const struct series_set *s, uint32_t shape, uint32_t measure,
		    const uint32_t *codes, uint32_t n);
int64_t entry_find(const struct series_set *s, uint32_t shape, uint32_t measure,
		   const uint32_t *codes, uint32_t n, uint32_t hash);
int entry_reserve(struct series_set *s);
/* Without index, as names_append(). */
uint32_t entry_append(struct series_set *s, uint32_t shape, uint32_t measure, const uint32_t *codes, uint32_t n);
/* What was added while is_bulk gets its indexes. -EBADMSG: a value or series is there twice. */
int series_index(struct series_set *s);
uint32_t entry_push(struct series_set *s, uint32_t shape, uint32_t measure, const uint32_t *codes,
		    uint32_t n, uint32_t hash);

/*
 * Encoding (series_codec.c). begin: reset the counters of that log to its marks. columns/series: add
 * definitions [from, to) as one payload; series stops early once `out` grew by bytes_max and returns
 * where. commit: everything below `upto` is in that log now.
 */
void log_begin(const struct series_set *s, enum log_kind k);
void log_encode_columns(const struct series_set *s, uint32_t from, uint32_t to, struct buf *out);
uint32_t log_encode_series(const struct series_set *s, enum log_kind k, uint32_t from, uint32_t to,
			   size_t bytes_max, struct buf *out);
void log_commit(struct series_set *s, enum log_kind k, struct series_mark upto);
void log_commit_all(struct series_set *s, enum log_kind k); /* all there is, while nobody adds to it */

#endif
