/*
 * maintain: what a cell does by itself: expire, seal, migrate, trim.
 *
 * One thread a database wakes every TICK_MS, or when somebody calls db_wake() (memory is short, a
 * retention changed), and looks at each table. A failure is kept for status and for writers that
 * wait for memory; the next round tries again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/internal.h"

#define TICK_MS           500
#define SEAL_TABLE_BYTES  ((size_t)96 << 20) /* a table's memtable is sealed past this */
#define SEAL_LOG_BYTES    ((uint64_t)512 << 20) /* all of a database's are, past that much log */
#define DUE_ROWS_ENOUGH   524288
#define IDLE_NS           NS_PER_S
#define WAIT_MIN_NS       (3 * NS_PER_S)
#define WAIT_MAX_NS       (300 * NS_PER_S)
#define CLOCK_JUMP_NS     (3600 * NS_PER_S)

/* ---- the clock ------------------------------------------------------------------------------------------- */

void db_note_clock(struct db *db)
{
	int64_t wall = clock_now_ns(), mono = clock_mono_ns();

	pthread_mutex_lock(&db->wake_mu);
	if (db->clock_mono_ns) {
		int64_t drift = (wall - db->clock_wall_ns) - (mono - db->clock_mono_ns);
		if (drift > CLOCK_JUMP_NS || drift < -CLOCK_JUMP_NS)
			db->is_clock_doubtful = true;
	}
	db->clock_wall_ns = wall;
	db->clock_mono_ns = mono;
	pthread_mutex_unlock(&db->wake_mu);
}

bool db_clock_doubtful(struct db *db)
{
	pthread_mutex_lock(&db->wake_mu);
	bool is = db->is_clock_doubtful;
	pthread_mutex_unlock(&db->wake_mu);
	return is;
}

void db_confirm_clock(struct db *db)
{
	pthread_mutex_lock(&db->wake_mu);
	db->is_clock_doubtful = false;
	pthread_mutex_unlock(&db->wake_mu);
}

/* ---- expiry ---------------------------------------------------------------------------------------------- */

/* Drop files wholly before the edge. Caller holds maint_mu. */
static int drop_expired(struct table *t, int64_t edge, struct err *e)
{
	struct file_set *set = table_pin_files(t);
	int rc = 0;

	for (uint32_t i = 0; i < set->n && rc >= 0; i++) {
		struct file *f = set->v[i];
		if (f->meta.t_max_ns >= edge)
			continue;
		rc = catalog_file_remove(t->db->cat, f->meta.id, e);
		if (rc < 0)
			break;
		FAULT("expire.swap");
		pthread_mutex_lock(&t->mu);
		rc = file_set_swap(t, NULL, 0, &f->meta.id, 1);
		pthread_mutex_unlock(&t->mu);
		if (rc < 0)
			err_set(e, rc, "out of memory");
		file_unlink(t, f);
	}
	file_set_put(set);
	return rc;
}

/* Move the edge when it hides something; it never moves back. */
static int table_expire(struct table *t, struct err *e)
{
	struct catalog_table next;
	int rc = 0;

	if (db_clock_doubtful(t->db))
		return 0;
	pthread_mutex_lock(&t->maint_mu);
	pthread_mutex_lock(&t->mu);
	int64_t edge = settings_expiry_edge(&t->settings, clock_now_ns());
	bool hides = false;
	if (edge > t->meta.expired_before_ns) {
		for (const struct block *b = t->mem.first; b; b = b->next)
			hides |= b->n && b->t_min < edge;
		for (uint32_t i = 0; i < t->files->n; i++)
			hides |= t->files->v[i]->meta.t_min_ns < edge;
	}
	next = t->meta;
	pthread_mutex_unlock(&t->mu);
	if (hides && !table_dropped(t)) {
		next.expired_before_ns = edge;
		rc = catalog_table_update(t->db->cat, &next, e);
		if (rc >= 0) {
			pthread_mutex_lock(&t->mu);
			t->meta.expired_before_ns = edge;
			pthread_mutex_unlock(&t->mu);
			table_note_change(t);
			rc = drop_expired(t, edge, e);
		}
	}
	pthread_mutex_unlock(&t->maint_mu);
	return rc;
}

/* ---- sealing and migrating ---------------------------------------------------------------------------------- */

static int64_t wait_limit(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	int64_t limit = t->settings.retention_memory_ns / 20;
	pthread_mutex_unlock(&t->mu);
	return MAX(MIN(limit, WAIT_MAX_NS), WAIT_MIN_NS);
}

static uint64_t stored_rows(struct table *t)
{
	struct file_set *set = table_pin_files(t);
	uint64_t n = 0;

	for (uint32_t i = 0; i < set->n; i++)
		if (set->v[i]->meta.kind == CATALOG_TILE)
			n += set->v[i]->meta.rows;
	file_set_put(set);
	return n;
}

/*
 * Is it worth moving what is due now? At once when asked for or when it is much; when the writers
 * pause, if it is a fair share of what is stored; after a while in any case.
 */
static bool migration_is_due(struct table *t, uint64_t due, bool *ret_force)
{
	int64_t now = clock_mono_ns();

	if (atomic_exchange(&t->force_migrate, false)) {
		*ret_force = true;
		return true;
	}
	if (!due) {
		t->due_since_mono_ns = 0;
		return false;
	}
	if (!t->due_since_mono_ns)
		t->due_since_mono_ns = now;
	if (now - t->due_since_mono_ns >= wait_limit(t)) {
		*ret_force = true;
		return true;
	}
	return due >= DUE_ROWS_ENOUGH ||
	       (now - atomic_load(&t->last_append_mono_ns) >= IDLE_NS && due * 10 >= stored_rows(t));
}

static bool seal_is_due(struct table *t, bool log_is_long)
{
	struct engine *en = t->db->en;
	size_t bytes = table_memtable_bytes(t);
	size_t all = atomic_load(&en->memtable_bytes);

	if (!bytes)
		return false;
	return bytes >= MIN(SEAL_TABLE_BYTES, en->memtable_limit / 4) || log_is_long ||
	       (all > en->memtable_limit / 2 && bytes >= all / 16) || all > en->memtable_limit;
}

static int step(struct table *t, bool log_is_long, struct err *e)
{
	uint64_t mem_due;
	bool force = false, worked;
	int rc = table_expire(t, e);

	if (rc < 0)
		return rc;
	if (seal_is_due(t, log_is_long)) {
		rc = table_seal(t, e);
		if (rc < 0)
			return rc;
	}
	uint64_t due = table_due_rows(t, &mem_due);
	if (!migration_is_due(t, due + mem_due, &force))
		return 0;
	if (mem_due) {
		rc = table_seal(t, e);
		if (rc < 0)
			goto again;
	}
	rc = table_migrate(t, force, &worked, e);
	if (rc >= 0) {
		t->due_since_mono_ns = 0;
		return 0;
	}
again:
	if (force)
		atomic_store(&t->force_migrate, true);
	return rc;
}

int table_maintain(struct table *t, struct err *e)
{
	bool worked;
	uint64_t mem_due;
	int rc = table_expire(t, e);

	if (rc >= 0) {
		(void)table_due_rows(t, &mem_due);
		rc = mem_due ? table_seal(t, e) : 0;
	}
	return rc < 0 ? rc : table_migrate(t, true, &worked, e);
}

int db_maintain(struct db *db, struct err *e)
{
	struct table **tables;
	uint32_t n;
	struct wal_status ws;
	int rc, first = 0;

	db_note_clock(db);
	rc = db_tables(db, &tables, &n);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	wal_status(db->wal, &ws);
	for (uint32_t i = 0; i < n; i++) {
		struct err mine = {0};
		rc = table_dropped(tables[i]) ? 0 : step(tables[i], ws.bytes > SEAL_LOG_BYTES, &mine);
		/* One table's trouble must not keep the others from their turn. */
		if (rc < 0 && !first) {
			first = err_set(e, rc, "table '%s': %s", table_name(tables[i]), err_text(&mine, rc));
		}
		table_put(tables[i]);
	}
	free(tables);
	return first;
}

void *db_maintain_thread(void *arg)
{
	struct db *db = arg;

	pthread_mutex_lock(&db->wake_mu);
	while (!db->is_stopping) {
		if (!db->is_woken) {
			struct timespec ts;
			clock_gettime(CLOCK_MONOTONIC, &ts);
			ts.tv_nsec += TICK_MS * NS_PER_MS;
			ts.tv_sec += ts.tv_nsec / NS_PER_S;
			ts.tv_nsec %= NS_PER_S;
			pthread_cond_timedwait(&db->wake, &db->wake_mu, &ts);
			if (db->is_stopping)
				break;
		}
		db->is_woken = false;
		pthread_mutex_unlock(&db->wake_mu);

		struct err e = {0};
		int rc = db_maintain(db, &e);

		pthread_mutex_lock(&db->wake_mu);
		db->rounds++;
		db->last_failure_rc = rc < 0 ? rc : 0;
		snprintf(db->last_failure, sizeof db->last_failure, "%s", rc < 0 ? err_text(&e, rc) : "");
		pthread_cond_broadcast(&db->round_done);
	}
	pthread_mutex_unlock(&db->wake_mu);
	return NULL;
}

void db_wake(struct db *db)
{
	pthread_mutex_lock(&db->wake_mu);
	db->is_woken = true;
	pthread_cond_signal(&db->wake);
	pthread_mutex_unlock(&db->wake_mu);
}
