/*
 * numbered: rows that have a number of their own as their value, so that a set of bits says which of a
 * table are there. What a test damages, and what is left of it, can then be held against each other
 * row by row.
 */
#ifndef TIDE_NUMBERED_H
#define TIDE_NUMBERED_H

#include <check.h>
#include <dirent.h>

#include "engine/engine.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define NUMBERED_START (INT64_C(1700000000) * NS_PER_S)
#define NUMBERED_MAX   16384 /* values */

struct numbered_seen {
	uint32_t n;
	bool has[NUMBERED_MAX];
};

static __attribute__((unused)) struct engine *numbered_open(const char *path)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct engine *en;
	struct err e = {0};
	int rc = engine_open(path, &opt, &en, &e);

	ck_assert_msg(rc >= 0, "engine_open: %s", err_text(&e, rc));
	return en;
}

/*
 * Values *value .. *value + n - 1 of one host, a millisecond apart behind base (whole seconds); *value moves
 * on when they are taken.
 */
static __attribute__((unused)) int numbered_append(struct db *db, struct table *t, uint32_t *value, uint32_t n,
						   int64_t base, const char *host, struct err *e)
{
	struct series_set *set = table_series(t);
	struct batch b;
	int64_t field = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, e);
	int64_t dim = series_add_column(set, STR_LIT("host"), COLKIND_DIMENSION, COL_VARCHAR, e);
	struct dim_value dv = {(uint32_t)dim, str_from(host)};
	int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &dv, 1, e);

	ck_assert(field >= 0 && dim >= 0 && id >= 0);
	batch_init(&b);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_int_ge(batch_reserve(&b), 0);
		int slot = batch_col(&b, (uint32_t)field, COL_BIGINT);
		ck_assert_int_ge(slot, 0);
		b.series[b.n] = (uint32_t)id;
		b.time_ns[b.n] = base + (int64_t)(*value + i) * NS_PER_MS;
		b.cols[slot].col.i64[b.n] = *value + i;
		b.cols[slot].col.valid[b.n] = 1;
		b.cols[slot].has_values = true;
		b.n++;
	}
	int rc = db_append(db, &(struct table_batch){.table = t, .batch = &b}, 1, e);
	batch_release(&b);
	if (rc >= 0)
		*value += n;
	return rc;
}

/* <0: could not be read. Never a value that was not written, nor one twice. */
static __attribute__((unused)) int numbered_read(struct table *t, uint32_t written, struct numbered_seen *s,
						 struct err *e)
{
	struct budget budget;
	struct scan *scan;
	struct scan_batch b;
	int64_t col = series_find_column(table_series(t), STR_LIT("v"));

	*s = (struct numbered_seen){0};
	ck_assert_uint_le(written, NUMBERED_MAX);
	if (col < 0)
		return 0; /* no row that has it */
	uint32_t c = (uint32_t)col;
	budget_init(&budget, (size_t)1 << 28);
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = &c, .col_count = 1,
				 .times_wanted = true};
	int rc = scan_open(t, &spec, &budget, &scan, e);
	if (rc < 0)
		return rc;
	while ((rc = scan_next(scan, &b, e)) > 0)
		for (uint32_t i = 0; i < b.n; i++) {
			int64_t v = b.cols[0].i64[i];
			ck_assert_msg(v >= 0 && v < written && !s->has[v] &&
					      b.time_ns[i] / NS_PER_MS % 1000 == v % 1000,
				      "value %lld at %lld", (long long)v, (long long)b.time_ns[i]);
			s->has[v] = true;
			s->n++;
		}
	scan_close(scan);
	return rc;
}

/* A copy of the directory `from`, files and directories only, as the new directory `to`. */
static __attribute__((unused)) void unit_dir_copy(const char *from, const char *to)
{
	static char bytes[1 << 16];
	char a[512], b[512];
	struct dirent *d;
	struct stat st;
	DIR *dir = opendir(from);

	if (!dir || mkdir(to, 0700) < 0)
		abort();
	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		snprintf(a, sizeof a, "%s/%s", from, d->d_name);
		snprintf(b, sizeof b, "%s/%s", to, d->d_name);
		if (lstat(a, &st) < 0)
			abort();
		if (S_ISDIR(st.st_mode)) {
			unit_dir_copy(a, b);
			continue;
		}
		int in = open(a, O_RDONLY), out = open(b, O_WRONLY | O_CREAT | O_EXCL, 0600);
		ssize_t n;
		if (in < 0 || out < 0)
			abort();
		while ((n = read(in, bytes, sizeof bytes)) > 0)
			if (write(out, bytes, (size_t)n) != n)
				abort();
		close(in);
		close(out);
	}
	closedir(dir);
}

#endif
