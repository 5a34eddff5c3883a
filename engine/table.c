/*
 * table: life of one table, its place in the log, its series in file order.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/internal.h"
#include "engine/scan.h"

static void table_free(struct table *t)
{
	rejected_release(&t->rejected);
	memtable_release(&t->mem);
	file_set_put(t->files);
	tomb_set_put(t->tombs);
	last_times_destroy(t->last);
	series_order_put(t->order);
	series_parts_put(t->parts);
	settings_release(&t->settings);
	series_set_destroy(t->series);
	buf_release(&t->def_cols);
	buf_release(&t->def_series);
	buf_release(&t->rows_buf);
	pthread_mutex_destroy(&t->append_mu);
	pthread_mutex_destroy(&t->mu);
	pthread_mutex_destroy(&t->maint_mu);
	free(t);
}

struct table *table_get(struct table *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void table_put(struct table *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	struct db *db = t->db;
	table_free(t);
	db_put(db);
}

/* The database's own reference goes; its db stays referenced by whoever closes it. */
void table_close(struct table *t)
{
	table_put(t);
}

int table_open(struct db *db, const struct catalog_table *meta, struct table **ret, struct err *e)
{
	const struct io *io = db->en->io;
	struct table *t = calloc(1, sizeof *t);
	char path[128];
	int rc;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	atomic_init(&t->refs, 1);
	t->db = db_get(db);
	t->meta = *meta;
	snprintf(t->dir, sizeof t->dir, DIR_TABLES "/%u", meta->id);
	pthread_mutex_init(&t->append_mu, NULL);
	pthread_mutex_init(&t->mu, NULL);
	pthread_mutex_init(&t->maint_mu, NULL);
	snprintf(path, sizeof path, "%s/rejected", t->dir);
	rejected_init(&t->rejected, db, path);
	memtable_init(&t->mem);
	buf_init(&t->def_cols, WAL_BATCH_BYTES_MAX);
	buf_init(&t->def_series, WAL_BATCH_BYTES_MAX);
	buf_init(&t->rows_buf, WAL_BATCH_BYTES_MAX);
	/* Not from 0: a table that takes the place of a dropped one must not repeat its versions. */
	uint64_t born;
	memcpy(&born, meta->uuid, sizeof born);
	atomic_init(&t->data_version, born);
	t->applied_lsn = meta->flushed_lsn;

	t->files = calloc(1, sizeof *t->files);
	if (!t->files) {
		rc = err_set(e, -ENOMEM, "out of memory");
		goto fail;
	}
	atomic_init(&t->files->refs, 1);
	rc = series_set_create(&t->series);
	if (rc < 0)
		goto fail;
	if (!db->en->opt.read_only) {
		snprintf(path, sizeof path, "%s/" DIR_RUNS, t->dir);
		rc = io_mkdirs(io, db->dirfd, path);
		if (rc < 0) {
			err_set(e, rc, "cannot make '%s': %s", path, strerror(-rc));
			goto fail;
		}
	}
	snprintf(path, sizeof path, "%s/" FILE_SERIES, t->dir);
	rc = series_file_load(t->series, io, db->dirfd, path, e);
	if (rc >= 0 && (series_count(t->series) < meta->saved_series ||
			series_column_count(t->series) < meta->saved_columns))
		rc = err_set(e, -EBADMSG, "%s: ends early: %u columns and %u series, where %u and %u were saved", path,
			     series_column_count(t->series), series_count(t->series), meta->saved_columns,
			     meta->saved_series);
	if (rc >= 0)
		rc = table_load_settings(t, e);
	if (rc >= 0)
		rc = table_load_files(t, e);
	if (rc >= 0)
		rc = table_load_tombs(t, e);
	if (rc < 0)
		goto fail;
	*ret = t;
	return 0;
fail:
	table_put(t);
	return rc;
}

const char *table_name(const struct table *t)
{
	return t->meta.name;
}

struct db *table_db(const struct table *t)
{
	return t->db;
}

int64_t table_created_ns(const struct table *t)
{
	return t->meta.created_ns;
}

bool table_dropped(const struct table *t)
{
	return atomic_load(&t->is_dropped);
}

struct series_set *table_series(const struct table *t)
{
	return t->series;
}

uint64_t table_data_version(const struct table *t)
{
	return atomic_load(&t->data_version);
}

void table_note_change(struct table *t)
{
	atomic_fetch_add(&t->data_version, 1);
}

int table_check_alive(struct table *t, struct err *e)
{
	int rc = db_check_alive(t->db, e);

	if (rc >= 0 && table_dropped(t))
		rc = err_set(e, -ESTALE, "table '%s' was dropped", table_name(t));
	return rc;
}

/* ---- recovery -------------------------------------------------------------------------------------------- */

static int replay_definitions(struct table *t, const struct wal_record *rec, struct err *e)
{
	uint32_t columns = series_column_count(t->series), series = series_count(t->series);
	int rc;

	if (rec->type == WAL_COLUMN)
		rc = series_replay_columns(t->series, rec->payload, e);
	else if (rec->type == WAL_SERIES)
		rc = series_replay_series(t->series, rec->payload, e);
	else
		rc = err_set(e, -EBADMSG, "log record %llu has the unknown type %u",
			     (unsigned long long)rec->lsn, rec->type);
	/* What the series file has too need not keep the log: an idle table would hold all of it. */
	if (rc >= 0 && !t->unsaved_def_lsn &&
	    (series_column_count(t->series) > columns || series_count(t->series) > series))
		t->unsaved_def_lsn = rec->lsn;
	return rc;
}

/*
 * One record of the log. What runs already hold is passed over by its number; no acceptance check is
 * made again: it was acknowledged.
 */
int table_replay(struct table *t, const struct wal_record *rec, struct err *e)
{
	struct batch b;
	int rc;

	if (rec->type == WAL_MARK) {
		t->applied_lsn = MAX(t->applied_lsn, rec->lsn);
		memtable_freeze(&t->mem, &t->mu); /* as table_mark_locked() did */
		return 0;
	}
	if (rec->type != WAL_ROWS)
		return replay_definitions(t, rec, e);
	if (rec->lsn <= t->applied_lsn)
		return 0;
	batch_init(&b);
	rc = batch_decode(&b, rec->payload, e);
	for (uint32_t i = 0; i < b.n && rc >= 0; i++)
		if (b.series[i] >= series_count(t->series))
			rc = err_set(e, -EBADMSG, "log record %llu names the undefined series %u",
				     (unsigned long long)rec->lsn, b.series[i]);
	for (uint32_t c = 0; c < b.col_count && rc >= 0; c++)
		if (b.cols[c].col_id >= series_column_count(t->series) ||
		    series_column(t->series, b.cols[c].col_id)->type != b.cols[c].col.type)
			rc = err_set(e, -EBADMSG, "log record %llu names the undefined column %u",
				     (unsigned long long)rec->lsn, b.cols[c].col_id);
	if (rc >= 0)
		rc = memtable_reserve(&t->mem, &t->mu, &b, e);
	if (rc >= 0) {
		memtable_append(&t->mem, &t->mu, &b, rec->lsn, rec->lsn);
		t->applied_lsn = rec->lsn;
		t->db->recovered_rows += b.n;
		table_note_change(t);
	}
	batch_release(&b);
	return rc;
}

/* ---- series in file order ------------------------------------------------------------------------------------ */

void series_order_put(struct series_order *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	free(o->ids);
	free(o->rank);
	free(o);
}

/* The old order with the ids old->n .. n-1 sorted and merged in: new series cost what they number. */
static int order_extend(const struct series_set *set, const struct series_order *old, uint32_t n,
			struct series_order **ret)
{
	uint32_t have = old ? old->n : 0, fresh_n = n - have;
	struct series_order *o = calloc(1, sizeof *o);
	uint32_t *fresh = malloc((fresh_n + 1) * sizeof *fresh);
	int rc = -ENOMEM;

	if (!o || !fresh)
		goto fail;
	atomic_init(&o->refs, 1);
	o->n = n;
	o->ids = malloc((n + 1) * sizeof *o->ids);
	o->rank = malloc((n + 1) * sizeof *o->rank);
	if (!o->ids || !o->rank)
		goto fail;
	for (uint32_t i = 0; i < fresh_n; i++)
		fresh[i] = have + i;
	rc = series_sort(set, fresh, fresh_n);
	if (rc < 0)
		goto fail;
	for (uint32_t i = 0, a = 0, b = 0; i < n; i++)
		o->ids[i] = b >= fresh_n || (a < have && series_cmp(set, old->ids[a], fresh[b]) <= 0)
				    ? old->ids[a++]
				    : fresh[b++];
	for (uint32_t i = 0; i < n; i++)
		o->rank[o->ids[i]] = i;
	free(fresh);
	*ret = o;
	return 0;
fail:
	free(fresh);
	series_order_put(o);
	return rc;
}

int table_order(struct table *t, struct series_order **ret)
{
	uint32_t n = series_count(t->series);
	struct series_order *o, *fresh;

	pthread_mutex_lock(&t->mu);
	o = t->order;
	if (o)
		atomic_fetch_add(&o->refs, 1);
	pthread_mutex_unlock(&t->mu);
	if (o && o->n >= n) {
		*ret = o;
		return 0;
	}
	int rc = order_extend(t->series, o, n, &fresh);
	series_order_put(o);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->mu);
	if (!t->order || t->order->n < fresh->n) {
		series_order_put(t->order);
		atomic_fetch_add(&fresh->refs, 1);
		t->order = fresh;
	}
	pthread_mutex_unlock(&t->mu);
	*ret = fresh;
	return 0;
}

/* ---- what it holds ------------------------------------------------------------------------------------------------ */

size_t table_memtable_bytes(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	size_t n = t->mem.bytes;
	pthread_mutex_unlock(&t->mu);
	return n;
}

uint32_t table_memtable_blocks(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	uint32_t n = t->mem.blocks;
	pthread_mutex_unlock(&t->mu);
	return n;
}

uint64_t table_log_pin(struct table *t)
{
	pthread_mutex_lock(&t->append_mu);
	uint64_t lsn = t->saving_def_lsn ? t->saving_def_lsn : t->unsaved_def_lsn ? t->unsaved_def_lsn : UINT64_MAX;
	for (const struct block *b = t->mem.first; b; b = b->next)
		if (b->n) {
			lsn = MIN(lsn, b->seq_lo);
			break;
		}
	pthread_mutex_unlock(&t->append_mu);
	return lsn;
}

/* What was deleted does not count, though files may hold it still. */
bool table_has_rows(struct table *t)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX};
	struct scan *scan;
	struct scan_batch b;

	pthread_mutex_lock(&t->mu);
	bool has = t->mem.rows > 0 || t->files->n > 0;
	bool is_certain = !has || !t->tombs || !t->tombs->n;
	pthread_mutex_unlock(&t->mu);
	if (is_certain || scan_open(t, &spec, NULL, &scan, NULL) < 0)
		return has;
	has = scan_next(scan, &b, NULL) != 0; /* an error: there may be some */
	scan_close(scan);
	return has;
}
