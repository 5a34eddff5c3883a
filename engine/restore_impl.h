/*
 * restore_impl: what the files of restoring share.
 *
 *	restore.c        the file, its columns, series and rows, together
 *	restore_check.c  what can be found wrong by looking
 */
#ifndef TIDE_RESTORE_IMPL_H
#define TIDE_RESTORE_IMPL_H

#include "engine/internal.h"

/* One commit. */
struct intake {
	struct table *t;
	struct tile *tile;
	const struct tile_info *info;
	const char *name;
	int64_t lo_ns;      /* rows before it are left out */
	uint32_t *columns;  /* ours, by dimension and then by field of the tile */
	uint32_t *series;   /* ours, by series of the tile; SERIES_NONE: no row of it is taken */
	uint32_t *fields;   /* ours that the run has */
	uint32_t field_n;
	uint32_t *place;    /* in fields, by field of the tile */
	uint32_t *singles;  /* fields of the tile that are measure_value::<type>, ascending */
	uint32_t single_n;
	enum measure_type *types; /* of records, by series of the tile */
	struct arena arena; /* as long as this */
	struct arena page;  /* of one page */
};

static inline int restore_no_memory(const struct intake *in, struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for restoring '%s'", in->name);
}

/* A field of records of one measure. */
static inline bool is_single_name(struct str field)
{
	return str_starts(field, "measure_value::");
}

/* What a page says about the series that begin in it: dimensions, measure_name behind them. */
struct identities {
	struct col *dims;
	struct dim_value *values; /* room for one series' */
};

int identities_init(struct intake *in, struct identities *ids);
int identities_read(struct intake *in, uint32_t page, struct identities *ids, struct err *e) must_check;

/* Is it whole, and may its rows be in this table? Changes nothing. Sets lo_ns, singles, types. */
int restore_check(struct intake *in, struct err *e) must_check;

#endif
