/*
 * stats: what a table and a database hold, in figures.
 *
 * People watch these files and Prometheus scrapes them, so a figure costs no look at rows: files are
 * described by the catalogue, and what a run no longer shows follows from its dates (days.c), which
 * migration has counted already when there is anything to subtract.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"
#include "engine/page.h"

static const struct tier_stats empty_tier = {.t_min_ns = INT64_MAX, .t_max_ns = INT64_MIN};

/* What a run still shows: dates that were moved as a whole are gone, one moved in part is cut evenly. */
static void run_remains(const struct file *f, const struct days *days, struct tier_stats *ret)
{
	for (uint32_t i = 0; i < days->n; i++) {
		const struct day *d = &days->v[i];
		int64_t lo = MAX(d->t_min, file_moved_upto(f, d->date));
		if (lo > d->t_max)
			continue;
		double share = ((double)(d->t_max - lo) + 1) / ((double)(d->t_max - d->t_min) + 1);
		ret->rows += lo == d->t_min ? d->rows : MAX((uint64_t)(share * (double)d->rows), 1u);
		ret->t_min_ns = MIN(ret->t_min_ns, lo);
		ret->t_max_ns = MAX(ret->t_max_ns, d->t_max);
	}
}

static void tier_add(struct tier_stats *to, struct table *t, struct file *f)
{
	const struct catalog_file *m = &f->meta;
	struct tier_stats is = {.rows = m->rows, .values = m->values, .t_min_ns = m->t_min_ns, .t_max_ns = m->t_max_ns};
	const struct days *days;

	/* One that cannot be read now shows as it was. */
	if (f->moved_count && file_days(f, t, &days, NULL) >= 0) {
		is = empty_tier;
		run_remains(f, days, &is);
		is.values = m->rows ? (uint64_t)((double)m->values / (double)m->rows * (double)is.rows) : 0;
	}
	to->rows += is.rows;
	to->values += is.values;
	to->bytes += m->bytes;
	to->files++;
	to->t_min_ns = MIN(to->t_min_ns, is.t_min_ns);
	to->t_max_ns = MAX(to->t_max_ns, is.t_max_ns);
}

/* mu is held. */
static void memtable_add(struct tier_stats *to, const struct memtable *m)
{
	to->rows = m->rows;
	to->bytes = m->bytes;
	for (const struct block *b = m->first; b; b = b->next) {
		if (!b->n)
			continue;
		to->files++;
		to->t_min_ns = MIN(to->t_min_ns, b->t_min);
		to->t_max_ns = MAX(to->t_max_ns, b->t_max);
	}
}

static void files_add(struct table_stats *st, struct table *t, const struct file_set *set)
{
	const struct catalog_file *last = NULL;

	/* Tiles lie in the set by date and part. */
	for (uint32_t i = 0; i < set->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		tier_add(m->kind == CATALOG_TILE ? &st->tiles : &st->runs, t, set->v[i]);
		if (m->kind != CATALOG_TILE)
			continue;
		bool is_date = !last || last->date != m->date;
		st->tile_dates += is_date;
		st->tile_parts += is_date || last->part != m->part;
		last = m;
	}
}

/* Files that may hold rows of the set: by time alone. */
static uint32_t files_to_clean(const struct file_set *set, const struct tomb_set *tombs)
{
	uint32_t n = 0;

	for (uint32_t i = 0; tombs && i < set->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;
		bool is = false;
		for (uint32_t k = tomb_set_from(tombs, MAX(m->seq_hi, m->erased_seq)); k < tombs->n && !is; k++)
			is = tombs->v[k]->t_min <= m->t_max_ns && tombs->v[k]->t_max >= m->t_min_ns;
		n += is;
	}
	return n;
}

void table_stats(struct table *t, struct table_stats *ret)
{
	struct table_stats st = {.memtable = empty_tier, .runs = empty_tier, .tiles = empty_tier};
	struct due due;

	table_due(t, &due);
	st.pending_rows = due.rows + due.mem_rows;
	st.pending_late_rows = due.late_rows;
	st.pending_dates = due.dates;
	pthread_mutex_lock(&t->mu);
	memtable_add(&st.memtable, &t->mem);
	st.memtable_bytes = t->mem.bytes;
	struct file_set *set = file_set_get(t->files);
	st.expired_before_ns = t->meta.expired_before_ns;
	st.failure = t->failure;
	pthread_mutex_unlock(&t->mu);
	files_add(&st, t, set);
	struct tomb_set *tombs = table_pin_tombs(t);
	st.pending_deletes = tombs ? tombs->n : 0;
	st.pending_delete_files = files_to_clean(set, tombs);
	tomb_set_put(tombs);
	file_set_put(set);
	st.series = series_count(t->series);
	st.columns = series_column_count(t->series);
	struct series_parts *parts = table_parts(t);
	st.series_bytes = series_bytes(t->series) + series_parts_bytes(parts);
	series_parts_put(parts);
	st.rows_in = atomic_load(&t->rows_in);
	st.lines_rejected = atomic_load(&t->rejected.lines);
	st.sealed_rows = atomic_load(&t->sealed_rows);
	st.sealed_bytes = atomic_load(&t->sealed_bytes);
	st.rewritten_rows = atomic_load(&t->rewritten_rows);
	st.rewritten_bytes = atomic_load(&t->rewritten_bytes);
	*ret = st;
}

void db_stats(struct db *db, struct db_stats *ret)
{
	struct db_stats s = {0};
	struct table **tables;
	uint32_t n;

	if (db_tables(db, &tables, &n) >= 0) {
		for (uint32_t i = 0; i < n; i++) {
			struct table_stats t;
			table_stats(tables[i], &t);
			s.memory_rows += t.memtable.rows + t.runs.rows;
			s.tile_rows += t.tiles.rows;
			s.bytes += t.memtable.bytes + t.runs.bytes + t.tiles.bytes;
			s.files += t.runs.files + t.tiles.files;
			s.series += t.series;
			s.pending_rows += t.pending_rows;
			s.failing_tables += t.failure.since_ns != 0;
			table_put(tables[i]);
		}
		free(tables);
	}
	s.rows = s.memory_rows + s.tile_rows;
	*ret = s;
}

void table_note_damage(struct table *t, int rc, const struct err *e)
{
	if (!e || (rc != -EBADMSG && rc != -EIO && rc != -ENOENT))
		return;
	pthread_mutex_lock(&t->mu);
	if (!t->damage_since_ns)
		t->damage_since_ns = clock_now_ns();
	snprintf(t->damage, sizeof t->damage, "%s", err_text(e, rc));
	pthread_mutex_unlock(&t->mu);
}

/* Caller holds t->mu. Is the file that could not be read still one of the table's? */
static bool is_damaged(const struct table *t)
{
	if (!t->damage_since_ns)
		return false;
	for (uint32_t i = 0; i < t->files->n; i++)
		if (strstr(t->damage, t->files->v[i]->meta.path))
			return true;
	return false;
}

/* Caller holds t->mu. The first thing that is wrong with a table is the reason; since when, the earliest. */
static void say_failing(struct db_status *s, const struct table *t, int64_t since_ns, const char *text)
{
	if (!s->failing_since_ns || since_ns < s->failing_since_ns)
		s->failing_since_ns = since_ns;
	if (!s->reason[0])
		snprintf(s->reason, sizeof s->reason, "table '%s': %s", table_name(t), text);
}

void db_status(struct db *db, struct db_status *ret)
{
	struct db_status s = {.failed = db->is_failed};
	struct table **tables;
	struct wal_status ws;
	uint32_t n;

	snprintf(s.reason, sizeof s.reason, "%s", db->reason);
	if (!s.failed) {
		wal_status(db->wal, &ws);
		s.wal_bytes = ws.bytes;
		s.wal_segments = ws.segments;
		s.last_lsn = ws.next_lsn - 1;
		s.durable_lsn = ws.durable_lsn;
		s.read_only = ws.read_only;
		s.stalled = ws.stalled;
		s.recovered_rows = db->recovered_rows;
		s.recovered_bytes = ws.replayed_bytes;
		s.recovery_cut_bytes = ws.cut_bytes;
		s.recovery_ns = db->recovery_ns;
		if (ws.read_only)
			snprintf(s.reason, sizeof s.reason, "%s", ws.reason);
		else if (ws.stalled)
			snprintf(s.reason, sizeof s.reason, "a write to the log does not come back: its disk hangs, or is very slow");
		else if (ws.failing_since_ns)
			snprintf(s.reason, sizeof s.reason, "the last write was refused: %s", ws.failing);
		pthread_mutex_lock(&db->wake_mu);
		s.failing_since_ns = db->failing_since_ns;
		if (ws.failing_since_ns && (!s.failing_since_ns || ws.failing_since_ns < s.failing_since_ns))
			s.failing_since_ns = ws.failing_since_ns;
		if (!s.reason[0] && db->last_failure_rc)
			snprintf(s.reason, sizeof s.reason, "%s", db->last_failure);
		pthread_mutex_unlock(&db->wake_mu);
		db_clock_note(db, s.clock_note, sizeof s.clock_note);
	}
	s.batches = atomic_load(&db->batches);
	s.rows_rejected = atomic_load(&db->rejected.lines);
	if (db_tables(db, &tables, &n) >= 0) {
		s.tables = n;
		for (uint32_t i = 0; i < n; i++) {
			struct table *t = tables[i];
			s.memtable_bytes += table_memtable_bytes(t);
			s.rows_in += atomic_load(&t->rows_in);
			s.rows_rejected += atomic_load(&t->rejected.lines);
			pthread_mutex_lock(&t->mu);
			/* Between two tries of a table nothing fails in a round. */
			if (t->failure.since_ns)
				say_failing(&s, t, t->failure.since_ns, t->failure.text);
			if (is_damaged(t))
				say_failing(&s, t, t->damage_since_ns, t->damage);
			else
				t->damage_since_ns = 0;
			pthread_mutex_unlock(&t->mu);
			table_put(t);
		}
		free(tables);
	}
	*ret = s;
}

void engine_memory(struct engine *en, size_t *ret_bytes, size_t *ret_limit)
{
	*ret_bytes = atomic_load(&en->memtable_bytes);
	*ret_limit = en->memtable_limit;
}

void engine_cache(struct engine *en, struct cache_stats *ret)
{
	page_cache_stats(en->pages, ret);
}
