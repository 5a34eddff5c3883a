/*
 * restore: the rows of a tile that somebody brings back, written now.
 *
 * The bytes come into a file without a name. Committing it:
 *
 *	1. the whole file is verified, before anything else is believed, and what it says is held against
 *	   the rules and against this table
 *	2. its columns and series become this table's, by their names; what is new is defined, and saved in
 *	   the series file, so that the log need not carry it
 *	3. its rows are written as a run, page by page, in the order in which they are: that is this table's,
 *	   too, for dimensions that the tile does not have are absent in all of its series
 *	4. the run gets its place in the order of changes, and the blocks before that place are sealed; both
 *	   files and how far the log is stored are one transaction (table_seal_with())
 *
 * Up to step 4 nothing of it shows, and a crash leaves a file without a transaction, or none at all. A
 * run may hold any dates, so where the tile came from, and whether its dates were split into parts, does
 * not matter; migration makes tiles of it again.
 *
 * Only steps 4's parts are under maint_mu, so sealing and migration go on beside a large tile.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/restore_impl.h"

#define SERIES_AT_ONCE 65536 /* new ones are saved before more are made */

struct restore {
	struct table *table; /* referenced */
	int fd;
};

/* ---- the file -------------------------------------------------------------------------------------------- */

int table_restore_begin(struct table *t, struct restore **ret, int *ret_fd, struct err *e)
{
	static _Atomic uint64_t last;
	const struct io *io = t->db->en->io;
	struct restore *r;
	char path[128];
	int rc = table_check_alive(t, e), fd = -EEXIST;

	if (rc >= 0 && t->db->en->opt.read_only)
		rc = err_set(e, -EROFS, "the data directory is open for reading only");
	if (rc < 0)
		return rc;
	snprintf(path, sizeof path, "%s/" DIR_INCOMING, t->dir);
	rc = io_mkdirs(io, t->db->dirfd, path);
	if (rc < 0)
		return err_set(e, rc, "cannot make '%s': %s", path, strerror(-rc));
	r = malloc(sizeof *r);
	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	/* A name is left over where the daemon died between the next two calls. */
	while (fd == -EEXIST) {
		snprintf(path, sizeof path, "%s/" DIR_INCOMING "/%llu.tmp", t->dir,
			 (unsigned long long)atomic_fetch_add(&last, 1));
		fd = io->openat(io, t->db->dirfd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	rc = fd < 0 ? fd : io->unlinkat(io, t->db->dirfd, path, 0);
	if (rc < 0) {
		if (fd >= 0)
			io->close(io, fd);
		free(r);
		return err_set(e, rc, "cannot make '%s': %s", path, strerror(-rc));
	}
	*r = (struct restore){table_get(t), fd};
	*ret = r;
	*ret_fd = fd;
	return 0;
}

void table_restore_close(struct restore *r)
{
	if (!r)
		return;
	r->table->db->en->io->close(r->table->db->en->io, r->fd);
	table_put(r->table);
	free(r);
}

/* ---- columns --------------------------------------------------------------------------------------------- */

/* All or none of them. */
static int map_columns(struct intake *in, struct err *e)
{
	const struct tile_info *info = in->info;
	uint32_t n = info->dim_count + info->field_count, k = 0, bad;
	struct column_spec *specs = arena_array(&in->arena, struct column_spec, n + 1);
	uint64_t *seen = arena_zarray(&in->arena, uint64_t, COLUMNS_MAX / 64 + 1);

	in->columns = arena_array(&in->arena, uint32_t, n + 1);
	if (!specs || !seen || !in->columns)
		return restore_no_memory(in, e);
	for (uint32_t i = 0; i < info->dim_count; i++)
		specs[k++] = (struct column_spec){info->dims[i], COLKIND_DIMENSION, COL_VARCHAR};
	for (uint32_t i = 0; i < info->field_count; i++) {
		const struct tile_field *f = &info->fields[i];
		enum colkind kind = is_single_name(f->name) ? COLKIND_MEASURE_VALUE : COLKIND_MEASURE;
		specs[k++] = (struct column_spec){f->name, kind, f->type};
	}
	int rc = series_add_columns(in->t->series, specs, n, in->columns, &bad, e);
	if (rc < 0 && rc != -ENOMEM) /* another type or kind; a name that is not allowed; too many */
		return err_prefix(e, -EINVAL, "%s: does not fit this table", in->name);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		uint64_t bit = UINT64_C(1) << (in->columns[i] % 64);
		if (seen[in->columns[i] / 64] & bit)
			rc = err_set(e, -EBADMSG, "%s: column '%.*s' comes twice", in->name, STR_FMT(specs[i].name));
		seen[in->columns[i] / 64] |= bit;
	}
	return rc;
}

/* ---- series ---------------------------------------------------------------------------------------------- */

/*
 * Into the series file. The log need not have them then: a tile may bring more of them than fit into one
 * of its batches.
 */
static int save_definitions(struct intake *in, struct err *e)
{
	struct table *t = in->t;
	char path[128];

	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	int rc = series_file_save(t->series, t->db->en->io, t->db->dirfd, path, e);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->append_mu);
	series_set_logged(t->series, series_saved(t->series));
	pthread_mutex_unlock(&t->append_mu);
	return 0;
}

/* The series of row `row` of the page. */
static int64_t intern(struct intake *in, uint32_t series, const struct identities *ids, uint32_t row, struct err *e)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->info->dim_count; i++)
		if (!ids->dims[i].valid || ids->dims[i].valid[row])
			ids->values[n++] = (struct dim_value){in->columns[i], ids->dims[i].str[row]};
	struct str measure = ids->dims[in->info->dim_count].str[row];
	int64_t id = series_intern(in->t->series, measure, in->types[series], ids->values, n, e);
	return id == -EEXIST || id == -E2BIG ? err_prefix(e, -EINVAL, "%s: does not fit this table", in->name) : id;
}

/*
 * They come in file order, and stay so: the order goes by names and values. tile_verify() has seen to it
 * that it is one; two that become the same series here are noticed as not ascending.
 */
static int map_series(struct intake *in, struct err *e)
{
	const struct tile_info *info = in->info;
	const struct tile_series *ts = tile_series(in->tile);
	uint32_t before = SERIES_NONE, s = 0, saved = series_count(in->t->series);
	struct identities ids;
	int rc = identities_init(in, &ids);

	in->series = arena_array(&in->arena, uint32_t, info->series_count + 1);
	if (rc < 0 || !in->series)
		return restore_no_memory(in, e);
	for (uint32_t p = 0; p < info->page_count; p++) {
		uint64_t page_row = tile_page_row(in->tile, p), end = tile_page_row(in->tile, p + 1);
		bool has_read = false;
		arena_reset(&in->page);
		for (; s < info->series_count && ts[s].row0 < end; s++) {
			in->series[s] = SERIES_NONE;
			if (ts[s].t_max < in->lo_ns)
				continue;
			rc = has_read ? 0 : identities_read(in, p, &ids, e);
			if (rc < 0)
				return rc;
			has_read = true;
			int64_t id = intern(in, s, &ids, (uint32_t)(ts[s].row0 - page_row), e);
			if (id < 0)
				return (int)id;
			in->series[s] = (uint32_t)id;
			if (before != SERIES_NONE && series_cmp(in->t->series, before, in->series[s]) >= 0)
				return err_set(e, -EBADMSG, "%s: series %u is out of order", in->name, s);
			before = in->series[s];
			if (series_count(in->t->series) - saved >= SERIES_AT_ONCE) {
				rc = save_definitions(in, e);
				if (rc < 0)
					return rc;
				saved = series_count(in->t->series);
			}
		}
	}
	return save_definitions(in, e);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

struct page {
	int64_t *time, *version;
	struct col *cols;  /* by field of the tile */
	struct col *slice; /* by column of the run */
};

static int page_init(struct intake *in, struct page *pg)
{
	pg->time = arena_array(&in->arena, int64_t, TILE_PAGE_ROWS_MAX);
	pg->version = arena_array(&in->arena, int64_t, TILE_PAGE_ROWS_MAX);
	pg->cols = arena_zarray(&in->arena, struct col, in->info->field_count + 1);
	pg->slice = arena_zarray(&in->arena, struct col, in->field_n + 1);
	in->place = arena_array(&in->arena, uint32_t, in->info->field_count + 1);
	if (!pg->time || !pg->version || !pg->cols || !pg->slice || !in->place)
		return -ENOMEM;
	for (uint32_t k = 0; k < in->field_n; k++)
		pg->slice[k].type = series_column(in->t->series, in->fields[k])->type;
	for (uint32_t f = 0; f < in->info->field_count; f++) {
		uint32_t id = in->columns[in->info->dim_count + f], lo = 0, hi = in->field_n;
		while (hi - lo > 1) { /* ids ascend, and all of them are there */
			uint32_t mid = lo + (hi - lo) / 2;
			if (in->fields[mid] <= id)
				lo = mid;
			else
				hi = mid;
		}
		in->place[f] = lo;
	}
	/* A restored row is a whole row, and in a run that is said by a version. */
	for (uint32_t i = 0; i < TILE_PAGE_ROWS_MAX; i++)
		pg->version[i] = in->info->codec != TILE_CODEC_NONE;
	return 0;
}

static int read_page(struct intake *in, uint32_t page, struct page *pg, struct err *e)
{
	arena_reset(&in->page);
	int rc = tile_read_time(in->tile, page, pg->time, e);
	if (rc >= 0 && in->info->has_version)
		rc = tile_read_version(in->tile, page, pg->version, e);
	for (uint32_t f = 0; f < in->info->field_count && rc >= 0; f++)
		rc = tile_read_field(in->tile, f, page, &in->page, &pg->cols[f], e);
	return rc;
}

/* Rows [from, end) of the page, of one series; times ascend, so what has expired comes first. */
static int write_stretch(struct intake *in, struct rewrite *r, struct page *pg, uint32_t series, uint32_t from,
			 uint32_t end, struct err *e)
{
	while (from < end && pg->time[from] < in->lo_ns)
		from++;
	if (from == end)
		return 0;
	for (uint32_t f = 0; f < in->info->field_count; f++) {
		struct col *to = &pg->slice[in->place[f]];
		*to = pg->cols[f];
		to->data = (char *)to->data + from * coltype_size(to->type);
		if (to->valid)
			to->valid += from;
	}
	return rewrite_rows(r, series, end - from, pg->time + from, pg->slice, pg->version + from, e);
}

static int write_rows(struct intake *in, struct rewrite *r, struct err *e)
{
	const struct tile_series *ts = tile_series(in->tile);
	struct page pg;
	uint32_t s = 0;
	int rc = page_init(in, &pg);

	if (rc < 0)
		return restore_no_memory(in, e);
	for (uint32_t p = 0; p < in->info->page_count && rc >= 0; p++) {
		uint64_t first = tile_page_row(in->tile, p), end = tile_page_row(in->tile, p + 1);
		int64_t t_min, t_max;
		tile_page_times(in->tile, p, &t_min, &t_max);
		bool is_wanted = t_max >= in->lo_ns;
		if (is_wanted)
			rc = read_page(in, p, &pg, e);
		while (rc >= 0 && s < in->info->series_count && ts[s].row0 < end) {
			uint64_t from = MAX(ts[s].row0, first), to = MIN(ts[s].row0 + ts[s].rows, end);
			if (is_wanted && in->series[s] != SERIES_NONE)
				rc = write_stretch(in, r, &pg, in->series[s], (uint32_t)(from - first),
						   (uint32_t)(to - first), e);
			if (ts[s].row0 + ts[s].rows > end)
				break; /* goes on in the next page */
			s++;
		}
	}
	return rc;
}

/* ---- together -------------------------------------------------------------------------------------------- */

static int write_run(struct intake *in, struct rewrite *r, struct err *e)
{
	struct table *t = in->t;
	int rc = table_field_ids(t, &in->fields, &in->field_n);

	if (rc < 0)
		return restore_no_memory(in, e);
	*r = (struct rewrite){.table = t, .kind = CATALOG_RUN, .dir = DIR_RUNS};
	pthread_mutex_lock(&t->maint_mu);
	r->meta.generation = t->generation++;
	pthread_mutex_unlock(&t->maint_mu);
	FAULT("restore.write");
	rc = rewrite_begin(r, in->fields, in->field_n, e);
	if (rc >= 0)
		rc = write_rows(in, r, e);
	return rc;
}

static int publish(struct intake *in, struct rewrite *r, struct err *e)
{
	struct table *t = in->t;

	pthread_mutex_lock(&t->maint_mu);
	int rc = table_check_alive(t, e);
	if (rc >= 0)
		rc = table_seal_with(t, r, e);
	pthread_mutex_unlock(&t->maint_mu);
	return rc;
}

static int take_in(struct intake *in, struct err *e)
{
	struct rewrite r = {.table = in->t};
	int rc;

	in->info = tile_info(in->tile);
	rc = restore_check(in, e);
	if (rc >= 0)
		rc = map_columns(in, e);
	if (rc >= 0)
		rc = map_series(in, e);
	if (rc >= 0)
		rc = write_run(in, &r, e);
	FAULT("restore.publish");
	if (rc >= 0)
		rc = publish(in, &r, e);
	rewrite_abort(&r);
	free(in->fields);
	return rc;
}

int table_restore_commit(struct restore *r, const char *name, struct err *e)
{
	struct table *t = r->table;
	struct intake in = {.t = t, .name = name};
	struct wal_status log;
	int rc = table_check_alive(t, e);

	if (rc < 0)
		return rc;
	wal_status(t->db->wal, &log);
	if (log.read_only)
		rc = err_set(e, -EROFS, "database '%s' refuses writes: %s", t->db->name, log.reason);
	else
		rc = tile_open_fd(t->db->en->io, r->fd, name, &in.tile, e);
	if (rc < 0)
		return rc;
	arena_init(&in.arena, NULL);
	arena_init(&in.page, NULL);
	rc = take_in(&in, e);
	arena_release(&in.page);
	arena_release(&in.arena);
	tile_put(in.tile);
	if (rc < 0)
		return rc;
	FAULT("restore.done");
	/* What it did to old dates shall show under magnetic/ soon. */
	atomic_store(&t->force_migrate, true);
	db_wake(t->db);
	(void)!db_trim_log(t->db, NULL); /* it is restored, however long the log is */
	return 0;
}
