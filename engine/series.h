/*
 * series: the series and columns of one table: names to dense ids and back.
 *
 * A series is (set of dimension name + value, measure_name); its id is a dense u32 that is never
 * reused. Dimension values and measure names are dictionary-coded per column. Columns have dense ids
 * too, in order of first appearance; dimensions and measures share the numbering.
 *
 * Definitions are logged before first use: whatever is created here gets an id at once and is handed
 * to the WAL by series_take_unlogged() in front of the rows that need it.
 *
 * Threads: any; lookups share a read lock, creation takes it for writing. Accessors by id take no
 * lock: entries are immutable once published and never move.
 */
#ifndef TIDE_SERIES_H
#define TIDE_SERIES_H

#include "engine/column.h"
#include "engine/io.h"

#define COLUMNS_MAX        4096
#define COLUMN_NAME_MAX    255
#define MEASURE_NAME_MAX   255
#define SERIES_MAX         UINT32_C(0xFFFFFFF0)
#define SERIES_NONE        UINT32_MAX
#define DIM_ABSENT         UINT32_MAX

struct column {
	uint32_t id;
	enum colkind kind;
	enum coltype type;
	struct str name; /* lent by the set, for its life */
};

struct series_set;

int series_set_create(struct series_set **ret);
void series_set_destroy(struct series_set *s);

/* ---- columns ------------------------------------------------------------------------------ */

uint32_t series_column_count(const struct series_set *s);
const struct column *series_column(const struct series_set *s, uint32_t id); /* lent */

/* By exact name: its id, or -ENOENT. */
int64_t series_find_column(const struct series_set *s, struct str name);

/*
 * The column of that name, made where new. Checks the naming rules of the data model (no ':', no
 * prefix ts_ / measure_name / measure_value, no reserved name, length, control characters and '"' in
 * dimensions), that kind and type agree with what exists, and that no column differs by case alone.
 *
 *   -EINVAL   the name is not allowed, or differs only by case from a column
 *   -EEXIST   exists with another kind or type (a BIGINT value for a DOUBLE column is the caller's
 *             to convert: ask series_find_column() first)
 *   -E2BIG    COLUMNS_MAX reached
 */
int64_t series_add_column(struct series_set *s, struct str name, enum colkind kind,
			  enum coltype type, struct err *e);

/*
 * The same for several at once (the columns of one line): all of them or, with the first error, none;
 * *ret_bad (may be NULL) is then the index of the one that was refused.
 */
struct column_spec {
	struct str name;
	enum colkind kind;
	enum coltype type;
};
int series_add_columns(struct series_set *s, const struct column_spec *specs, uint32_t n,
		       uint32_t *ret_ids, uint32_t *ret_bad, struct err *e) must_check;

/*
 * May a dimension have this name: by the naming rules, and beside the columns there are (a measure of
 * that name, a column that differs by case)? set NULL: by the rules alone. -EINVAL says why not.
 */
int series_check_dimension(const struct series_set *s, struct str name, struct err *e) must_check;

/* The rules for measure names (length, no ':', no reserved name or prefix); -EINVAL says which. */
int series_check_measure_name(struct str name, struct err *e) must_check;

/* ---- series ------------------------------------------------------------------------------- */

/*
 * What the records of a measure name hold: one value of a type, or (MULTI) any columns. Each measure
 * name of a table is bound to one of them when it is first used. The numbers are stored in the log and
 * in the series file: never change one.
 */
enum measure_type {
	MEASURE_BIGINT = COL_BIGINT,
	MEASURE_DOUBLE = COL_DOUBLE,
	MEASURE_BOOLEAN = COL_BOOLEAN,
	MEASURE_VARCHAR = COL_VARCHAR,
	MEASURE_MULTI = 6,
};

const char *measure_type_name(enum measure_type t); /* "bigint", ..., "multi" */
static inline bool measure_type_known(unsigned t)
{
	return (t >= MEASURE_BIGINT && t <= MEASURE_VARCHAR) || t == MEASURE_MULTI;
}

struct dim_value {
	uint32_t col_id;
	struct str value;
};

uint32_t series_count(const struct series_set *s);

/*
 * The series with this measure name and these dimensions, made where new. dims in any order, no
 * column twice, values not empty. Returns its id, or <0 (-E2BIG, -ENOMEM; -EEXIST: the measure name is
 * bound to another type).
 */
int64_t series_intern(struct series_set *s, struct str measure, enum measure_type type,
		      const struct dim_value *dims, uint32_t n, struct err *e);

/*
 * Could a series of this measure name hold such records? -EEXIST: it is bound to another type. What is true
 * stays true: asked before columns are made for a record that would then be refused.
 */
int series_check_measure_type(struct series_set *s, struct str measure, enum measure_type type,
			      struct err *e) must_check;

struct str series_measure(const struct series_set *s, uint32_t id);
uint32_t series_measure_code(const struct series_set *s, uint32_t id);

/* What the measure name of that code is bound to. */
enum measure_type series_measure_type(const struct series_set *s, uint32_t code);

/* Code of the series' value in that dimension, or DIM_ABSENT. */
uint32_t series_dim_code(const struct series_set *s, uint32_t id, uint32_t col_id);

/* Dictionary of a dimension: codes 0 .. count-1. measure names: col_id = SERIES_MEASURE. */
#define SERIES_MEASURE UINT32_MAX
uint32_t series_dict_count(const struct series_set *s, uint32_t col_id);
struct str series_dict_value(const struct series_set *s, uint32_t col_id, uint32_t code);
int64_t series_dict_find(const struct series_set *s, uint32_t col_id, struct str value); /* or -1 */

/*
 * The series that have a value of a dimension, newest first. series_chain: knows at least the series below
 * upto, which is not above series_count(); lent for the set's life. -ENOMEM. last: the newest series with
 * that code, which may be at or above upto; before: the next one; SERIES_NONE: no more.
 */
struct series_chain;
int series_chain(struct series_set *s, uint32_t col_id, uint32_t upto, const struct series_chain **ret) must_check;
uint32_t series_chain_last(const struct series_chain *c, uint32_t code);
uint32_t series_chain_before(const struct series_chain *c, uint32_t id);

/*
 * File order: dimensions by column-name bytes (absent first), then measure name; <0, 0, >0.
 * Stable while columns are added.
 */
int series_cmp(const struct series_set *s, uint32_t a, uint32_t b);

/* Sort ids into file order, in place. */
int series_sort(const struct series_set *s, uint32_t *ids, uint32_t n);

size_t series_bytes(const struct series_set *s); /* memory held, for budgets and stats */

/* ---- log and checkpoint --------------------------------------------------------------------- */

/*
 * Encode every definition not yet logged (columns first, then series) as payloads for WAL_COLUMN and
 * WAL_SERIES records, appended to the two buffers; *ret_upto marks what they cover. After the WAL
 * took them, series_logged(upto) moves the mark; if it failed, nothing moves and the next batch
 * carries them again. Callers serialise on the table's append lock.
 */
struct series_mark {
	uint32_t columns, series;
};
int series_encode_unlogged(const struct series_set *s, struct buf *columns, struct buf *series,
			   struct series_mark *ret_upto) must_check;
void series_set_logged(struct series_set *s, struct series_mark upto);
struct series_mark series_logged(const struct series_set *s); /* what the log has; the append lock is held */

/* Apply a logged definition; ids below the present count are skipped (already known). */
int series_replay_columns(struct series_set *s, struct str payload, struct err *e) must_check;
int series_replay_series(struct series_set *s, struct str payload, struct err *e) must_check;

/*
 * The series file: an append-only checksummed checkpoint of the definitions (docs/format-wal.md).
 * load: missing file = empty set; a damaged tail behind the last whole block is cut, damage before
 * it is -EBADMSG. save: append what the file lacks and fdatasync.
 */
int series_file_load(struct series_set *s, const struct io *io, int dirfd, const char *path,
		     struct err *e) must_check;
/*
 * What can still be read of a damaged file: applies every whole block that fits what is known by
 * then, and passes over the rest. May be called again once other definitions (the log's) came in.
 * The set counts as saved nowhere: a save writes a new file. *ret_damage: offset of the first damage, -1 none.
 */
int series_file_salvage(struct series_set *s, const struct io *io, int dirfd, const char *path,
			int64_t *ret_damage, struct err *e) must_check;
struct series_mark series_saved(struct series_set *s); /* what the file holds, safely */
int series_file_save(struct series_set *s, const struct io *io, int dirfd, const char *path,
		     struct err *e) must_check;

#endif
