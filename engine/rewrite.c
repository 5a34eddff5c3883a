/*
 * rewrite: what a scan yields, written as one run or tile.
 *
 * Sealing, migrating and merging all end here: temporary file, fsync, rename, fsync of the directory.
 * The catalogue transaction that makes the file count is the caller's; a file that never got one is
 * an orphan and swept when the table is opened next.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/scan.h"

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

static int write_rows(struct tile_writer *w, struct scan *scan, const struct series_set *set, struct dims *d,
		      uint32_t field_n, struct col *slice, struct err *e)
{
	struct scan_batch b;
	uint32_t current = SERIES_NONE;
	int rc;

	while ((rc = scan_next(scan, &b, e)) > 0) {
		for (uint32_t r = 0; r < b.run_count; r++) {
			const struct scan_run *run = &b.runs[r];
			if (run->series_id != current) {
				current = run->series_id;
				dims_load(d, set, current);
				rc = tile_writer_series(w, current, series_measure(set, current), d->values, e);
				if (rc < 0)
					return rc;
			}
			for (uint32_t c = 0; c < field_n; c++) {
				slice[c] = b.cols[c];
				slice[c].data = (char *)b.cols[c].data + run->start * coltype_size(b.cols[c].type);
				if (slice[c].valid)
					slice[c].valid += run->start;
			}
			rc = tile_writer_rows(w, run->count, b.time_ns + run->start, slice, NULL, e);
			if (rc < 0)
				return rc;
		}
	}
	return rc;
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

int rewrite_file(struct rewrite *r, struct scan *scan, const uint32_t *field_ids, uint32_t field_n,
		 struct tile **ret_tile, struct err *e)
{
	struct table *t = r->table;
	const struct io *io = t->db->en->io;
	const struct series_set *set = t->series;
	struct tile_writer *w = NULL;
	struct tile_summary sum;
	struct arena a;
	struct dims d;
	const char *base = r->base ? r->base : t->dir;
	char tmp[640], path[896], full_dir[600];
	int rc;

	arena_init(&a, NULL);
	struct tile_field *fields = arena_array(&a, struct tile_field, field_n + 1);
	struct col *slice = arena_zarray(&a, struct col, field_n + 1);
	if (!fields || !slice || dims_init(&d, set, &a) < 0) {
		rc = err_set(e, -ENOMEM, "out of memory for writing a file of table '%s'", table_name(t));
		goto out;
	}
	for (uint32_t i = 0; i < field_n; i++) {
		const struct column *c = series_column(set, field_ids[i]);
		fields[i] = (struct tile_field){c->name, c->id, c->type};
	}
	struct tile_spec spec = {
		.seq_lo = r->meta.seq_lo,
		.seq_hi = r->meta.seq_hi,
		.generation = r->meta.generation,
		.codec = r->kind == CATALOG_TILE ? TILE_CODEC_ZSTD : TILE_CODEC_NONE,
		.fields = fields,
		.field_count = field_n,
		.dims = d.names,
		.dim_count = d.n,
	};
	memcpy(spec.table_uuid, t->meta.uuid, sizeof spec.table_uuid);
	r->meta.kind = r->kind;
	r->meta.table_id = t->meta.id;

	snprintf(full_dir, sizeof full_dir, "%s/%s", base, r->dir);
	rc = io_mkdirs(io, t->db->dirfd, full_dir);
	if (rc < 0) {
		err_set(e, rc, "cannot make '%s': %s", full_dir, strerror(-rc));
		goto out;
	}
	snprintf(tmp, sizeof tmp, "%s/.%llu.tmp", full_dir, (unsigned long long)r->meta.generation);
	io->unlinkat(io, t->db->dirfd, tmp, 0); /* of an attempt that failed */
	rc = tile_writer_create(io, t->db->dirfd, tmp, &spec, &w, e);
	if (rc >= 0)
		rc = write_rows(w, scan, set, &d, field_n, slice, e);
	if (rc < 0) {
		tile_writer_abort(w);
		goto out;
	}
	struct scan_stats stats;
	scan_stats(scan, &stats);
	if (!stats.rows) {
		tile_writer_abort(w);
		*ret_tile = NULL;
		goto out;
	}
	FAULT("rewrite.finish");
	rc = tile_writer_finish(w, &sum, e);
	if (rc < 0)
		goto out;
	r->meta.rows = sum.rows;
	r->meta.bytes = sum.file_bytes;
	r->meta.values = sum.value_count;
	r->meta.t_min_ns = sum.t_min;
	r->meta.t_max_ns = sum.t_max;
	r->meta.created_ns = clock_now_ns();
	name_file(r, r->meta.path, sizeof r->meta.path);
	snprintf(path, sizeof path, "%s/%s", base, r->meta.path);
	FAULT("rewrite.rename");
	rc = io->renameat(io, t->db->dirfd, tmp, t->db->dirfd, path);
	if (rc >= 0)
		rc = io_sync_parent(io, t->db->dirfd, path);
	if (rc < 0) {
		err_set(e, rc, "cannot publish '%s': %s", path, strerror(-rc));
		goto unlink;
	}
	rc = tile_open(io, t->db->dirfd, path, ret_tile, e);
	if (rc >= 0)
		goto out;
unlink:
	io->unlinkat(io, t->db->dirfd, tmp, 0);
	io->unlinkat(io, t->db->dirfd, path, 0);
out:
	arena_release(&a);
	return rc;
}
