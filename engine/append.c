/*
 * append: rows into the log and the memtable.
 *
 * The order is what makes a reply a promise: room in the memtable is made first (it may fail, and
 * nothing has happened yet), then definitions and rows go to the log as one batch (all or nothing),
 * then the rows are published. Nothing after the log can fail.
 *
 * A table's append lock is held from encoding to publishing, so the memtable has rows in the order
 * of the log. Several tables are locked in the order of their ids.
 */
#include <stdlib.h>
#include <time.h>

#include "engine/internal.h"

#define FEW         16
#define SCRATCH_MAX ((size_t)64 << 10) /* of what encoding leaves in a table */

/* Without a background thread (tests) the writer does its work. */
static int make_memory(struct db *db, struct err *e)
{
	struct err mine = {0};
	int rc = db_maintain(db, &mine);
	bool is_full = memory_is_full(db);

	/* The rest is another database's, or moving on failed: neither is this writer's trouble. */
	pthread_mutex_lock(&db->wake_mu);
	rc = rc < 0 && is_full ? db->seal_failure_rc : 0;
	if (rc < 0)
		err_set(e, rc, "memory is full and sealing fails: %s", db->seal_failure);
	pthread_mutex_unlock(&db->wake_mu);
	return rc;
}

/*
 * Memory is short: have the background thread seal, and wait. When sealing fails there is no point
 * in waiting: the writer gets the reason. When this database has sealed all it has and memory is
 * still short, it is another one's that cannot seal, and no reason to stop this one.
 */
static int wait_for_memory(struct db *db, struct err *e)
{
	int rc = 0;

	if (!memory_is_full(db))
		return 0;
	pthread_mutex_lock(&db->wake_mu);
	bool has_thread = db->has_thread;
	/* The round under way may have passed our rows by: the one after it counts. */
	uint64_t enough = db->rounds + 2;
	while (has_thread && rc >= 0) {
		struct timespec ts;
		pthread_mutex_unlock(&db->wake_mu); /* the engine's lock comes before it */
		bool is_full = memory_is_full(db);
		pthread_mutex_lock(&db->wake_mu);
		if (!is_full)
			break;
		if (db->is_stopping) {
			rc = err_set(e, -ESTALE, "database '%s' is being closed", db->name);
			break;
		}
		if (db->rounds >= enough) {
			if (db->seal_failure_rc < 0)
				rc = err_set(e, db->seal_failure_rc, "memory is full and sealing fails: %s",
					     db->seal_failure);
			break;
		}
		db->is_woken = true;
		pthread_cond_signal(&db->wake);
		/* Another database's memory that comes free is not announced here. */
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += 100 * NS_PER_MS;
		ts.tv_sec += ts.tv_nsec / NS_PER_S;
		ts.tv_nsec %= NS_PER_S;
		pthread_cond_timedwait(&db->round_done, &db->wake_mu, &ts);
	}
	pthread_mutex_unlock(&db->wake_mu);
	return has_thread ? rc : make_memory(db, e);
}

static int by_table_id(const void *x, const void *y)
{
	uint32_t a = (*(const struct table_batch *const *)x)->table->meta.id;
	uint32_t b = (*(const struct table_batch *const *)y)->table->meta.id;
	return (a > b) - (a < b);
}

/*
 * Everything that can fail for one table: versions, room, and the bytes for the log. A batch that
 * versions leave nothing of has no bytes either. Caller holds append_mu.
 */
static int prepare(struct table *t, struct table_batch *tb, struct series_mark *ret_mark, struct err *e)
{
	const struct batch *b = tb->batch;
	int rc = 0;

	buf_clear(&t->def_cols);
	buf_clear(&t->def_series);
	buf_clear(&t->rows_buf);
	if (table_dropped(t))
		return err_set(e, -ESTALE, "table '%s' was dropped", table_name(t));
	if (b->has_version)
		rc = versions_resolve(t, tb, e);
	if (rc < 0 || !b->n)
		return rc;
	rc = memtable_reserve(&t->mem, &t->mu, b, e);
	if (rc < 0)
		return rc;
	rc = series_encode_unlogged(t->series, &t->def_cols, &t->def_series, ret_mark);
	if (rc >= 0)
		rc = batch_encode(b, 0, b->n, &t->rows_buf);
	return rc < 0 ? err_set(e, rc, "out of memory for a batch of table '%s'", table_name(t)) : 0;
}

static uint32_t add_record(struct wal_record *recs, uint32_t n, const struct table *t, uint8_t type,
			   const struct buf *payload)
{
	if (!payload->len)
		return n;
	recs[n] = (struct wal_record){.table_id = t->meta.id, .type = type, .payload = buf_str(payload)};
	return n + 1;
}

/* The locked part: batches[] are of different tables, by id. */
static int append_locked(struct db *db, struct table_batch *const *batches, uint32_t n,
			 struct series_mark *marks, struct wal_record *recs, uint64_t *ret_lsn, struct err *e)
{
	uint32_t rec_n = 0, at = 0;
	size_t grown = 0;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		struct table *t = batches[i]->table;
		size_t before = t->mem.bytes;
		rc = prepare(t, batches[i], &marks[i], e);
		grown += t->mem.bytes - before;
		if (rc < 0)
			break;
		rec_n = add_record(recs, rec_n, t, WAL_COLUMN, &t->def_cols);
		rec_n = add_record(recs, rec_n, t, WAL_SERIES, &t->def_series);
		rec_n = add_record(recs, rec_n, t, WAL_ROWS, &t->rows_buf);
	}
	memory_add(db, grown);
	if (rc >= 0 && rec_n)
		rc = wal_append(db->wal, recs, (int)rec_n, e);
	if (rc < 0)
		return rc;
	FAULT("append.logged");
	for (uint32_t i = 0; i < n; i++) {
		struct table *t = batches[i]->table;
		/* Nothing new in it: what it says again may have been written a moment ago, and not be synced yet. */
		if (!batches[i]->batch->n) {
			*ret_lsn = MAX(*ret_lsn, t->applied_lsn);
			continue;
		}
		uint64_t lo = recs[at].lsn;
		while (at + 1 < rec_n && recs[at + 1].table_id == t->meta.id)
			at++;
		uint64_t hi = recs[at++].lsn;
		if (hi > lo && !t->unsaved_def_lsn)
			t->unsaved_def_lsn = lo;
		series_set_logged(t->series, marks[i]);
		memtable_append(&t->mem, &t->mu, batches[i]->batch, lo, hi);
		last_times_note(t, batches[i]->batch);
		t->applied_lsn = hi;
		*ret_lsn = MAX(*ret_lsn, hi);
		atomic_fetch_add(&t->rows_in, batches[i]->batch->n);
		atomic_store(&t->last_append_mono_ns, clock_mono_ns());
		table_note_change(t);
	}
	atomic_fetch_add(&db->batches, 1);
	return 0;
}

/* A large batch leaves large buffers behind, and most tables get no other for a long time. */
static void shrink(struct table *t)
{
	struct buf *bufs[] = {&t->def_cols, &t->def_series, &t->rows_buf};

	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		if (bufs[i]->cap > SCRATCH_MAX)
			buf_release(bufs[i]);
}

bool table_is_sync(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	bool is = t->settings.is_sync;
	pthread_mutex_unlock(&t->mu);
	return is;
}

int db_append(struct db *db, struct table_batch *batches, uint32_t n, struct err *e)
{
	struct table_batch *few[FEW], **sorted = few;
	struct series_mark few_marks[FEW], *marks = few_marks;
	struct wal_record few_recs[3 * FEW], *recs = few_recs;
	uint64_t lsn = 0;
	uint32_t k = 0;
	bool sync = false;
	int rc = db_check_alive(db, e);

	for (uint32_t i = 0; i < n; i++) {
		batches[i].conflicts = NULL;
		batches[i].conflict_n = 0;
	}
	if (rc >= 0 && db->en->opt.read_only)
		rc = err_set(e, -EROFS, "the data directory is open for reading only");
	if (rc < 0)
		return rc;
	if (n > FEW) {
		sorted = malloc(n * sizeof(void *));
		marks = malloc(n * sizeof *marks);
		recs = malloc(3 * n * sizeof *recs);
	}
	if (!sorted || !marks || !recs) {
		rc = err_set(e, -ENOMEM, "out of memory");
		goto out;
	}
	for (uint32_t i = 0; i < n; i++)
		if (batches[i].batch->n)
			sorted[k++] = &batches[i];
	if (!k)
		goto out;
	qsort(sorted, k, sizeof(void *), by_table_id);
	for (uint32_t i = 0; i < k && rc >= 0; i++) {
		if (sorted[i]->table->db != db)
			rc = err_set(e, -EINVAL, "table '%s' is not of database '%s'",
				     table_name(sorted[i]->table), db->name);
		else if (i && sorted[i]->table == sorted[i - 1]->table)
			rc = err_set(e, -EINVAL, "two batches for table '%s' in one append",
				     table_name(sorted[i]->table));
	}
	if (rc < 0)
		goto out;
	rc = wait_for_memory(db, e);
	if (rc < 0)
		goto out;
	for (uint32_t i = 0; i < k; i++)
		pthread_mutex_lock(&sorted[i]->table->append_mu);
	rc = append_locked(db, sorted, k, marks, recs, &lsn, e);
	for (uint32_t i = 0; i < k; i++)
		shrink(sorted[i]->table);
	for (uint32_t i = k; i-- > 0;)
		pthread_mutex_unlock(&sorted[i]->table->append_mu);
	for (uint32_t i = 0; i < k && rc >= 0; i++)
		sync |= table_is_sync(sorted[i]->table);
	if (rc >= 0 && sync)
		rc = wal_sync(db->wal, lsn, e);
out:
	for (uint32_t i = 0; i < n && rc < 0; i++) {
		free(batches[i].conflicts);
		batches[i].conflicts = NULL;
		batches[i].conflict_n = 0;
	}
	if (n > FEW) {
		free(sorted);
		free(marks);
		free(recs);
	}
	return rc;
}
