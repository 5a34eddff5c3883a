/*
 * model: random operations on the engine, and a twin in memory that says what must come of them.
 *
 *	make model SEEDS=20 OPS=100000        seeds 1 .. 20
 *	make model SEED=7                     that one alone, as it was
 *
 * The twin is a map from (series, time) to a row, and the rules of the data model on top: nothing in
 * it knows of logs, runs or tiles. Everything that decides is pinned - dice, wall clock, monotonic
 * clock, background work - so a seed always does the same, and the operation that a failure names is
 * reached again by its replay.
 *
 *	twin.c    the map and the rules          rows.c    rows in: batches, versions, line protocol
 *						 json.c    the same as JSON lines
 *	world.c   engine, disk that dies, clock  look.c    scans compared with the twin
 *	erase.c   deletes                        tiles.c   what tiles hold; rm and cp of them
 *	sql.c     statements, and the same          snaps.c   snapshots
 *		  worked out on the twin
 *
 * Some operations cannot be told from outside to have happened or not: those under way when the disk
 * died. Then there are two twins, and what is found after the restart must be exactly one of them.
 */
#ifndef TIDE_MODEL_H
#define TIDE_MODEL_H

#include "engine/engine.h"

#define TABLES     3
#define COLS_MAX   10   /* measure columns of a table */
#define SERIES_MOST 120 /* series of a table */
#define DIMS       4
#define ROWS_MOST  5000 /* of a batch */
#define TEXTS      192
#define NONE       UINT32_MAX
#define MEMORY_ROWS 40000 /* of a table; above it retention is kept short */

/* ---- twin.c ------------------------------------------------------------------------------------- */

struct m_col {
	char name[16];
	enum coltype type;
	bool is_wide; /* any int64, so it is not summed up */
};

/* Index into the dictionary of each dimension; 0: absent. */
struct m_series {
	uint8_t dim[DIMS];
	uint8_t measure;
};

struct m_key {
	int64_t time;
	uint32_t series;
	bool is_alive;
};

struct m_row {
	int64_t version;
	uint64_t op;    /* that wrote it last, or erased it */
	uint32_t valid; /* bit of each column */
	uint64_t seen; /* number of the look that met it last */
	int64_t value[COLS_MAX]; /* what the column's value is made from: see col_put() */
};

struct twin {
	struct m_key *keys; /* beside rows, so that counting touches little memory */
	struct m_row *rows;
	uint32_t n, cap, alive;
	uint32_t *index; /* open addressing: number of the row, or NONE */
	uint32_t index_cap;
	struct m_col cols[COLS_MAX]; /* that the table may ever have */
	uint32_t has_cols;           /* bits of those it has by now */
	struct m_series series[SERIES_MOST];
	uint32_t series_n;
	int64_t edge;     /* rows before it are gone */
	int64_t memory_ns, magnetic_ns, future_ns;
	bool late_reject;
	bool exists;
};

/* A row on its way in. */
struct m_write {
	uint32_t series;
	uint32_t valid;
	int64_t time;
	int64_t version;
	int64_t value[COLS_MAX];
};

enum m_outcome { STORED, UNCHANGED, REFUSED_LOWER, REFUSED_SAME };

void twin_init(struct twin *tw, uint32_t table);
void twin_release(struct twin *tw);
void twin_copy(struct twin *to, const struct twin *from); /* to: initialised or zeroed */
uint32_t twin_find(const struct twin *tw, uint32_t series, int64_t time); /* alive or not; or NONE */
void twin_patch(struct twin *tw, const struct m_write *wr, uint64_t op);
/* existing: version that is stored, where refused. */
enum m_outcome twin_replace(struct twin *tw, const struct m_write *wr, uint64_t op, int64_t *ret_existing);
/* The row is this one now, whatever it was. */
void twin_store(struct twin *tw, const struct m_write *wr, uint64_t op);
void twin_erase(struct twin *tw, uint32_t i, uint64_t op);
void twin_expire(struct twin *tw, int64_t edge, uint64_t op);
int64_t twin_lo(const struct twin *tw, int64_t now); /* first time that is accepted */
int64_t twin_hi(const struct twin *tw, int64_t now); /* first time that is not, again */

extern const char *const dim_names[DIMS];
const char *dim_value(uint32_t dim, uint32_t i);
#define MEASURES 3
extern const char *const measure_names[MEASURES];
uint32_t dim_count(uint32_t dim); /* indices below it are allowed; 0 is "absent" */
int series_order_of(const struct m_series *a, const struct m_series *b); /* the order of files */

/* The text that a VARCHAR's number stands for; buf where it is none of the pool. */
struct str text_of(int64_t v, char buf[32]);
void texts_init(void);
int64_t random_value(const struct m_col *c);
bool same_value(const struct m_col *c, const struct col *col, uint32_t row, int64_t v);
int64_t number_of(const struct m_col *c, const struct col *col, uint32_t row); /* the other way */
const char *show_value(const struct m_col *c, int64_t v, char buf[64]);

/* ---- world.c ------------------------------------------------------------------------------------ */

struct disk {
	struct io io; /* io.ctx is this struct */
	int64_t left; /* changing calls until it dies; <0: it does not */
	bool is_dead;
};

struct m_table {
	char name[8];
	struct table *t;
	struct twin twin;
	uint32_t ids[SERIES_MOST];   /* the engine's ids of the twin's series */
	uint32_t twin_of[4096];      /* and back, or NONE */
	uint32_t col_ids[COLS_MAX];
};

struct world {
	uint64_t seed, op;
	const char *op_name;
	char dir[64];
	struct disk disk;
	struct engine *en;
	struct db *db;
	struct m_table tables[TABLES];
	int64_t now, mono;
	int64_t jumped_ns; /* of the wall clock alone, since the last round of maintenance */
	uint64_t part_rows, segment_bytes;
	uint64_t rows_in, rows_seen, looks; /* for the summary */
	bool is_verbose;
	bool is_clock_known; /* a round of maintenance since the start has looked at it */
	bool is_in_doubt; /* the operation failed on a dying disk */
};

extern struct world w;

uint64_t rnd(uint64_t n); /* 0 .. n-1 */
bool chance(uint64_t n);  /* one in n */
void rnd_seed(uint64_t seed);

void fail(const char *fmt, ...) printf_like(1, 2) __attribute__((noreturn));
void must(int rc, const struct err *e, const char *what); /* fails where rc < 0 */
/* The same, but after the disk has died it only notes that nobody knows what happened; then false. */
bool went_well(int rc, const struct err *e, const char *what);
void trace(const char *fmt, ...) printf_like(1, 2);

void world_open(void);
void world_close(void);
void world_reopen(bool is_crash); /* is_crash: nothing reaches the disk any more once it begins to close */
void world_clock(void);           /* pins what w.now and w.mono say */
struct m_table *some_table(void); /* one that exists */
void table_attach(struct m_table *mt, struct db *db);
uint32_t add_series(struct m_table *mt, const struct m_series *s);
void add_col(struct m_table *mt, uint32_t c);
void note_edge(struct m_table *mt, bool is_due); /* after maintenance: takes over what expired */
void quiesce(struct m_table *mt);                /* seal, maintain: all that is due lies in tiles */

void op_seal(void);
void op_maintain_table(void);
void op_maintain(void);
void op_retention(void);
void op_setting(void);
void op_clock(void);
void op_jump(void);
void op_reopen(void);
void op_crash(void);
void op_disk_dies(void);
void op_column(void);
void op_drop_table(void);

/* ---- rows.c ------------------------------------------------------------------------------------- */

/* Random rows for a table, all inside its window. */
uint32_t make_writes(struct m_table *mt, struct m_write *v, uint32_t most, bool versions);
int64_t near_version(int64_t version); /* a random one around it */
/* db_append() and what must come of it. */
struct append {
	struct m_table *mt;
	struct m_write *v;
	uint32_t n;
	bool has_version;
};
void append_writes(struct append *a, uint32_t count);
void op_append(void);
void op_append_versions(void);
void op_ingest(void);
void op_ingest_json(void); /* json.c */

/* ---- look.c ------------------------------------------------------------------------------------- */

struct look {
	int64_t lo, hi;
	const bool *wanted; /* by twin series; NULL: all */
	uint32_t cols;      /* bits */
	uint64_t upto_seq;
	int64_t maybe_before; /* rows before it may be there or not */
	uint32_t first_n, last_n; /* of each series; 0, 0: all rows */
};

/* false: differs; why says how. */
bool look_same(struct m_table *mt, const struct twin *tw, const struct look *l, char *why, size_t why_size);
void look_all(struct m_table *mt); /* the whole table, all columns */
void look_everything(void);        /* all tables */
void op_look(void);
void op_look_all(void);

/* ---- erase.c, sql.c, tiles.c --------------------------------------------------------------------- */

void op_delete(void);
void op_tile_remove(void);
void op_tile_save(void);
void op_tile_restore(void);
void op_snapshot(void);
void drop_half_a_snapshot(void);
void forget_snapshot(void);

void forget_saved(void);
void op_sql(void);
void op_sql_delete(void);
void op_sql_insert(void);
void check_tiles(struct m_table *mt); /* of a quiet table: what they hold is what the twin has */

/* A conjunction of simple conditions, as text and as a function. */
struct condition {
	uint32_t kind, col;
	int64_t value, value2;
};
struct predicate {
	struct condition v[4];
	uint32_t n;
};
void random_predicate(struct m_table *mt, struct predicate *p, uint32_t most);
bool holds(const struct m_table *mt, const struct predicate *p, uint32_t i);
void predicate_text(const struct m_table *mt, const struct predicate *p, struct buf *out);

#endif
