/*
 * slots: a table of a few series with times at fixed steps, in an engine whose calls to the disk may be made
 * to fail, and a twin of it in memory.
 */
#ifndef TIDE_SLOTS_H
#define TIDE_SLOTS_H

#include "engine/internal.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define START  (INT64_C(1700000000) * NS_PER_S)
#define SERIES 6
#define SLOTS  3000
#define STEP   (7 * 60 * NS_PER_S) /* 3000 slots: two weeks */
#define BASE   (START - SLOTS * STEP)

struct cell {
	bool has[2];
	int64_t value[2];
};

struct world {
	char dir[64];
	int dirfd;
	struct io *io;
	struct unit_rng r;
	struct engine *en;
	struct db *db;
	struct table *t;
	uint32_t ids[SERIES], cols[2];
	struct cell (*twin)[SLOTS];
};

static __attribute__((unused)) bool is_up(const struct world *w)
{
	return w->en != NULL;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static __attribute__((unused)) int define(struct world *w, struct err *e)
{
	struct series_set *set = table_series(w->t);
	int64_t host = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, e);
	int64_t v = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, e);
	int64_t s = series_add_column(set, STR_LIT("s"), COLKIND_MEASURE, COL_VARCHAR, e);

	ck_assert(host >= 0 && v >= 0 && s >= 0);
	w->cols[0] = (uint32_t)v;
	w->cols[1] = (uint32_t)s;
	for (uint32_t i = 0; i < SERIES; i++) {
		char name[8];
		snprintf(name, sizeof name, "h%u", i);
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &(struct dim_value){(uint32_t)host, str_from(name)}, 1, e);
		ck_assert(id >= 0);
		w->ids[i] = (uint32_t)id;
	}
	return 0;
}

static __attribute__((unused)) void go_down(struct world *w)
{
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
	w->t = NULL;
	w->db = NULL;
	w->en = NULL;
}

/* May fail while the disk does; then everything is closed again. */
static __attribute__((unused)) int go_up(struct world *w, struct err *e)
{
	struct engine_options opt = {.io = w->io, .no_background = true, .sync_interval_ns = -1, .part_rows = 500};
	struct db_status st;
	int rc = engine_open(w->dir, &opt, &w->en, e);

	if (rc < 0) {
		w->en = NULL;
		return rc;
	}
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		rc = engine_db_create(w->en, STR_LIT("d"), &w->db, e);
	if (rc >= 0) {
		db_status(w->db, &st);
		if (st.failed || st.read_only)
			rc = err_set(e, -EIO, "%s", st.reason);
	}
	if (rc >= 0 && !(w->t = db_table(w->db, STR_LIT("t"))))
		rc = db_table_create(w->db, STR_LIT("t"), &w->t, e);
	if (rc >= 0)
		rc = define(w, e);
	if (rc < 0)
		go_down(w);
	return rc;
}

static __attribute__((unused)) void must_go_up(struct world *w)
{
	struct err e = {0};
	int rc = go_up(w, &e);

	unit_assert(&w->r, rc >= 0, "does not open on a whole disk: %s", err_text(&e, rc));
}

/* ---- what may be done ---------------------------------------------------------------------------- */

static __attribute__((unused)) void put_row(struct world *w, struct batch *b, uint32_t series, uint32_t slot, int which, int64_t v,
		    char text[24])
{
	int col = batch_reserve(b) < 0 ? -1 : batch_col(b, w->cols[which], which ? COL_VARCHAR : COL_BIGINT);

	ck_assert(col >= 0);
	b->series[b->n] = w->ids[series];
	b->time_ns[b->n] = BASE + slot * STEP;
	if (which) {
		snprintf(text, 24, "%lld", (long long)v);
		b->cols[col].col.str[b->n] = str_from(text);
	} else {
		b->cols[col].col.i64[b->n] = v;
	}
	b->cols[col].col.valid[b->n] = 1;
	b->cols[col].has_values = true;
	b->n++;
}

#endif
