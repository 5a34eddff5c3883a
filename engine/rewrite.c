/*
 * rewrite: one new run or tile, of what a scan yields or of rows as they come.
 *
 * Sealing, migrating, merging and restoring all end here: temporary file, fsync, rename, fsync of the directory.
 * The catalogue transaction that makes the file count is the caller's; a file that never got one is
 * an orphan and swept when the table is opened next.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/scan.h"

#define ROOMY_BYTES ((size_t)256 << 20)

struct dims {
	struct str *names; /* sorted by bytes */
	uint32_t *ids;
	struct str *values; /* of the series at hand */
	uint32_t n;
};

static int dims_init(struct dims *d, const struct series_set *set, struct arena *a)
{
	uint32_t columns = series_column_count(set);

	d->n = 0;
	d->names = arena_array(a, struct str, columns + 1);
	d->ids = arena_array(a, uint32_t, columns + 1);
	d->values = arena_array(a, struct str, columns + 1);
	if (!d->names || !d->ids || !d->values)
		return -ENOMEM;
	for (uint32_t i = 0; i < columns; i++) {
		const struct column *c = series_column(set, i);
		if (c->kind != COLKIND_DIMENSION)
			continue;
		uint32_t at = d->n++;
		while (at > 0 && str_cmp(d->names[at - 1], c->name) > 0) {
			d->names[at] = d->names[at - 1];
			d->ids[at] = d->ids[at - 1];
			at--;
		}
		d->names[at] = c->name;
		d->ids[at] = i;
	}
	return 0;
}

static void dims_load(struct dims *d, const struct series_set *set, uint32_t series_id)
{
	for (uint32_t i = 0; i < d->n; i++) {
		uint32_t code = series_dim_code(set, series_id, d->ids[i]);
		d->values[i] = code == DIM_ABSENT ? (struct str){NULL, 0}
						  : series_dict_value(set, d->ids[i], code);
	}
}

/* "20140214T143000Z": what a file name says about its times, to the second. */
static void stamp(char *to, size_t cap, int64_t ns)
{
	struct civil c = civil_from_ns(ns);
	snprintf(to, cap, "%04d%02d%02dT%02d%02d%02dZ", (int)c.year, c.month, c.day, c.hour, c.minute, c.second);
}

static void name_file(struct rewrite *r, char *to, size_t cap)
{
	const struct catalog_file *m = &r->meta;
	char t0[40], t1[40];

	if (m->kind == CATALOG_RUN) {
		snprintf(to, cap, "%s/%020llu-%020llu-%llu.run", r->dir, (unsigned long long)m->seq_lo,
			 (unsigned long long)m->seq_hi, (unsigned long long)m->generation);
		return;
	}
	stamp(t0, sizeof t0, m->t_min_ns);
	stamp(t1, sizeof t1, m->t_max_ns);
	snprintf(to, cap, "%s/%s_%s_%06llu.parquet", r->dir, t0, t1, (unsigned long long)m->generation);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

struct writing {
	struct arena arena;
	struct dims dims;
	struct tile_spec spec;
	struct tile_writer *writer;
	uint32_t series; /* that rows come for */
	uint64_t rows;
	char dir[600], tmp[640];
};

static void writing_free(struct rewrite *r)
{
	if (r->w)
		arena_release(&r->w->arena);
	free(r->w);
	r->w = NULL;
}

void rewrite_abort(struct rewrite *r)
{
	if (r->w)
		tile_writer_abort(r->w->writer);
	writing_free(r);
}

static int out_of_memory(const struct rewrite *r, struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for writing a file of table '%s'", table_name(r->table));
}

static int make_spec(struct rewrite *r, const uint32_t *field_ids, uint32_t field_n)
{
	const struct series_set *set = r->table->series;
	struct writing *w = r->w;
	struct tile_field *fields = arena_array(&w->arena, struct tile_field, field_n + 1);

	if (!fields || dims_init(&w->dims, set, &w->arena) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < field_n; i++) {
		const struct column *c = series_column(set, field_ids[i]);
		fields[i] = (struct tile_field){c->name, c->id, c->type};
	}
	pthread_mutex_lock(&r->table->mu);
	bool is_compact = r->table->settings.is_compact;
	pthread_mutex_unlock(&r->table->mu);
	/* The larger a row group, the more pages share a dictionary; but it is held in memory. */
	bool is_roomy = r->kind == CATALOG_TILE && r->table->db->en->memtable_limit >= ROOMY_BYTES;
	w->spec = (struct tile_spec){
		.group_rows = is_roomy ? 8 * TILE_GROUP_ROWS : TILE_GROUP_ROWS,
		.generation = r->meta.generation,
		.is_compact = is_compact,
		.codec = r->kind == CATALOG_TILE ? TILE_CODEC_ZSTD : TILE_CODEC_NONE,
		.rows_patch = r->kind == CATALOG_RUN,
		.fields = fields,
		.field_count = field_n,
		.dims = w->dims.names,
		.dim_count = w->dims.n,
	};
	memcpy(w->spec.table_uuid, r->table->meta.uuid, sizeof w->spec.table_uuid);
	return 0;
}

int rewrite_begin(struct rewrite *r, const uint32_t *field_ids, uint32_t field_n, struct err *e)
{
	struct table *t = r->table;
	const struct io *io = t->db->en->io;
	struct writing *w = calloc(1, sizeof *w);
	int rc;

	r->w = w;
	if (!w)
		return out_of_memory(r, e);
	arena_init(&w->arena, NULL);
	w->series = SERIES_NONE;
	rc = make_spec(r, field_ids, field_n);
	if (rc < 0) {
		writing_free(r);
		return out_of_memory(r, e);
	}
	snprintf(w->dir, sizeof w->dir, "%s/%s", r->base ? r->base : t->dir, r->dir);
	rc = io_mkdirs(io, t->db->dirfd, w->dir);
	if (rc < 0)
		err_set(e, rc, "cannot make '%s': %s", w->dir, strerror(-rc));
	if (rc >= 0) {
		snprintf(w->tmp, sizeof w->tmp, "%s/.%llu.tmp", w->dir, (unsigned long long)r->meta.generation);
		io->unlinkat(io, t->db->dirfd, w->tmp, 0); /* of an attempt that failed */
		rc = tile_writer_create(io, t->db->dirfd, w->tmp, &w->spec, &w->writer, e);
	}
	if (rc < 0)
		writing_free(r);
	return rc;
}

int rewrite_rows(struct rewrite *r, uint32_t series_id, uint32_t n, const int64_t *time_ns, const struct col *cols,
		 const int64_t *version, struct err *e)
{
	struct writing *w = r->w;
	const struct series_set *set = r->table->series;

	if (series_id != w->series) {
		dims_load(&w->dims, set, series_id);
		int rc = tile_writer_series(w->writer, series_id, series_measure(set, series_id), w->dims.values, e);
		if (rc < 0)
			return rc;
		w->series = series_id;
	}
	w->rows += n;
	return tile_writer_rows(w->writer, n, time_ns, cols, version, e);
}

/* Under its name, and open. */
static int put_in_place(struct rewrite *r, struct tile **ret_tile, struct err *e)
{
	struct table *t = r->table;
	const struct io *io = t->db->en->io;
	char path[900];

	name_file(r, r->meta.path, sizeof r->meta.path);
	snprintf(path, sizeof path, "%s/%s", r->base ? r->base : t->dir, r->meta.path);
	FAULT("rewrite.rename");
	int rc = io->renameat(io, t->db->dirfd, r->w->tmp, t->db->dirfd, path);
	if (rc >= 0)
		rc = io_sync_parent(io, t->db->dirfd, path);
	if (rc < 0)
		err_set(e, rc, "cannot publish '%s': %s", path, strerror(-rc));
	else
		rc = tile_open(io, t->db->dirfd, path, ret_tile, e);
	if (rc < 0) {
		io->unlinkat(io, t->db->dirfd, r->w->tmp, 0);
		io->unlinkat(io, t->db->dirfd, path, 0);
	}
	return rc;
}

int rewrite_finish(struct rewrite *r, struct tile **ret_tile, struct err *e)
{
	struct writing *w = r->w;
	struct tile_summary sum;
	int rc;

	if (!w->rows) {
		rewrite_abort(r);
		*ret_tile = NULL;
		return 0;
	}
	/* Known by now at the latest: the file does not say it before its end. */
	w->spec.seq_lo = r->meta.seq_lo;
	w->spec.seq_hi = r->meta.seq_hi;
	r->meta.kind = r->kind;
	r->meta.table_id = r->table->meta.id;
	FAULT("rewrite.finish");
	rc = tile_writer_finish(w->writer, &sum, e);
	if (rc >= 0) {
		struct table *t = r->table;
		atomic_fetch_add(r->is_first ? &t->sealed_rows : &t->rewritten_rows, sum.rows);
		atomic_fetch_add(r->is_first ? &t->sealed_bytes : &t->rewritten_bytes, sum.file_bytes);
		r->meta.rows = sum.rows;
		r->meta.bytes = sum.file_bytes;
		r->meta.values = sum.value_count;
		r->meta.t_min_ns = sum.t_min;
		r->meta.t_max_ns = sum.t_max;
		r->meta.created_ns = clock_now_ns();
		rc = put_in_place(r, ret_tile, e);
	}
	writing_free(r);
	return rc;
}

/* In a tile there is nothing left to patch: a row that only patches made has version 1. */
static const int64_t *final_versions(const int64_t *v, uint32_t n, enum catalog_file_kind kind, int64_t *to)
{
	if (kind == CATALOG_RUN)
		return v;
	for (uint32_t i = 0; i < n; i++)
		to[i] = v[i] ? v[i] : 1;
	return to;
}

static int write_scan(struct rewrite *r, struct scan *scan, uint32_t field_n, struct err *e)
{
	struct col *slice = arena_zarray(&r->w->arena, struct col, field_n + 1);
	int64_t final[SCAN_ROWS];
	struct scan_batch b;
	int rc;

	if (!slice)
		return out_of_memory(r, e);
	while ((rc = scan_next(scan, &b, e)) > 0) {
		if (r->stop && atomic_load_explicit(r->stop, memory_order_relaxed))
			return err_set(e, -ECANCELED, "interrupted");
		for (uint32_t k = 0; k < b.run_count; k++) {
			const struct scan_run *run = &b.runs[k];
			for (uint32_t c = 0; c < field_n; c++) {
				slice[c] = b.cols[c];
				slice[c].data = (char *)b.cols[c].data + run->start * coltype_size(b.cols[c].type);
				if (slice[c].valid)
					slice[c].valid += run->start;
			}
			const int64_t *versions = final_versions(b.version + run->start, run->count, r->kind, final);
			rc = rewrite_rows(r, run->series_id, run->count, b.time_ns + run->start, slice, versions, e);
			if (rc < 0)
				return rc;
		}
	}
	return rc;
}

int rewrite_file(struct rewrite *r, struct scan *scan, const uint32_t *field_ids, uint32_t field_n,
		 struct tile **ret_tile, struct err *e)
{
	int rc = rewrite_begin(r, field_ids, field_n, e);

	if (rc < 0)
		return rc;
	rc = write_scan(r, scan, field_n, e);
	if (rc < 0) {
		rewrite_abort(r);
		return rc;
	}
	return rewrite_finish(r, ret_tile, e);
}
