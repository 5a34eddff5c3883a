/*
 * gather: what of a table has to be written together.
 *
 * A date's rows lie in tiles, and late ones of it in runs and in memory. Whoever writes that date (a
 * migration, a snapshot) must know which runs hold rows of it, which tiles may hold an identity that
 * comes again in them, and which series belong to which part. A struct gather is that question; it
 * borrows all it points to.
 */
#ifndef TIDE_GATHER_H
#define TIDE_GATHER_H

#include "engine/internal.h"

struct gather {
	struct table *table;
	const struct file_set *set;
	const struct block_view *views; /* of memory; none for what only moves runs */
	uint32_t view_n;
	int32_t date;
	int64_t lo, hi; /* times of late rows that are taken, inclusive; inside the date */
	uint32_t parts; /* of the date */
	struct series_parts *where; /* which series are in which part; NULL: the table's, as it is then */
};

static inline int64_t day_start(int32_t date)
{
	return date * NS_PER_DAY;
}

static inline int64_t day_end(int32_t date) /* its last nanosecond */
{
	return date >= INT64_MAX / NS_PER_DAY ? INT64_MAX : (date + 1) * NS_PER_DAY - 1;
}

/* Does the file hold late rows of the date? Only runs do. */
bool gather_has_run(const struct gather *g, struct file *f);

/* May the tile hold an identity that late rows bring? By series and time ranges: yes too often, never no. */
int gather_meets_tile(const struct gather *g, struct tile *tile, struct err *e) must_check;

/*
 * Do deletions hide rows of the file, by series and time ranges? 1: perhaps, 0: no. Those that were
 * applied when it was written do not.
 */
int gather_is_erased(struct table *t, const struct tomb_set *tombs, struct file *f, struct err *e) must_check;

/* In how many parts the date lies, or will lie with that many rows. */
uint32_t gather_parts(const struct table *t, const struct file_set *set, int32_t date, uint64_t rows);

/*
 * Are all tiles of the date to be written anew, in gather_split() parts? With that many rows it has
 * outgrown its parts (GATHER_OUTGROWN times what they are meant for), or its tiles are not split alike:
 * then series of a part may lie in any of them.
 */
#define GATHER_OUTGROWN 4
bool gather_must_split(const struct table *t, const struct file_set *set, int32_t date, uint64_t rows);
bool gather_is_mixed(const struct file_set *set, int32_t date);
uint32_t gather_split(const struct table *t, uint64_t rows);

/* May the tile hold series of that part, of the gather's number of parts? */
static inline bool gather_tile_meets_part(const struct gather *g, const struct catalog_file *m, uint32_t part)
{
	return parts_meet(m->part, m->parts, part, g->parts);
}

/* The bit set of the series of one part. *ret: given (free()). */
int gather_part_series(const struct gather *g, uint32_t part, uint64_t **ret, uint32_t *ret_n) must_check;

/* Where tiles of a part lie below a table: "magnetic/ts_date=2014-02-14/ts_part=00". */
#define PART_DIR_MAX 64
void gather_part_dir(char to[PART_DIR_MAX], int32_t date, uint32_t part);

#endif
