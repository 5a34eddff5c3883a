/*
 * maintain: what a cell does by itself: expire, seal, migrate, compact, trim.
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
#define SEAL_BLOCKS       256 /* or is in so many pieces: each deletion begins a new one */
#define SEAL_LOG_BYTES    ((uint64_t)512 << 20) /* all of a database's are, past that much log */
#define DUE_ROWS_ENOUGH   524288
#define IDLE_NS           NS_PER_S
#define WAIT_MIN_NS       (3 * NS_PER_S)
#define WAIT_MAX_NS       (300 * NS_PER_S)
#define IDLE_SHARE        50 /* of a database's time, what few late rows of tables at rest may take: a fiftieth */
#define SEAL_PATIENCE_NS  (4 * NS_PER_S) /* most that a failed seal waits before it is tried again */
#define MIGRATE_PATIENCE_NS (30 * NS_PER_S)

/* ---- expiry ---------------------------------------------------------------------------------------------- */

/* Drop files wholly before the edge, in one transaction. Caller holds maint_mu. */
static int drop_expired(struct table *t, int64_t edge, struct err *e)
{
	struct file_set *set = table_pin_files(t), *next;
	uint64_t *ids = malloc((set->n + 1) * sizeof *ids);
	uint32_t n = 0;
	int rc = ids ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (uint32_t i = 0; i < set->n && rc >= 0; i++)
		if (set->v[i]->meta.t_max_ns < edge)
			ids[n++] = set->v[i]->meta.id;
	if (rc >= 0 && n)
		rc = file_set_make(t, NULL, 0, ids, n, &next, e);
	if (rc >= 0 && n) {
		rc = catalog_begin(t->db->cat, e);
		if (rc >= 0) {
			for (uint32_t i = 0; i < n && rc >= 0; i++)
				rc = catalog_file_remove(t->db->cat, ids[i], e);
			if (rc < 0)
				catalog_abort(t->db->cat);
			else
				rc = catalog_commit(t->db->cat, e);
		}
		if (rc < 0) {
			file_set_put(next);
		} else {
			FAULT("expire.swap");
			file_set_install(t, next);
			for (uint32_t i = 0; i < set->n; i++)
				if (set->v[i]->meta.t_max_ns < edge)
					file_unlink(t, set->v[i]);
		}
	}
	free(ids);
	file_set_put(set);
	return rc;
}

/* The edge moves in steps of a hundredth of the age, at most a minute: each is a transaction. */
static bool edge_moves(const struct settings *s, int64_t from, int64_t to)
{
	int64_t age = MIN(s->retention_memory_ns, s->retention_magnetic_ns);
	int64_t step = MIN(MAX(age / 100, NS_PER_S), 60 * NS_PER_S), diff;

	return to > from && (__builtin_sub_overflow(to, from, &diff) || diff >= step);
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
	if (edge_moves(&t->settings, t->meta.expired_before_ns, edge)) {
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

/* ---- patience -------------------------------------------------------------------------------------------- */

static bool may_try(const struct patience *p)
{
	return clock_mono_ns() >= atomic_load(&p->until_mono_ns);
}

static void note_outcome(struct patience *p, int rc, int64_t most_ns)
{
	if (rc >= 0) {
		atomic_store(&p->failures, 0);
		atomic_store(&p->until_mono_ns, 0);
		return;
	}
	uint32_t before = atomic_fetch_add(&p->failures, 1), n = MIN(before, 10u);
	atomic_store(&p->until_mono_ns, clock_mono_ns() + MIN((NS_PER_S / 2) << n, most_ns));
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
 * pause, if it is a fair share of what is stored, or if what that took last time is little beside the time since; after
 * a while in any case.
 */
static bool migration_is_due(struct table *t, uint64_t due, bool *ret_force)
{
	int64_t now = clock_mono_ns();

	if (atomic_exchange(&t->force_migrate, false)) {
		*ret_force = true;
		return true;
	}
	if (!due) {
		atomic_store(&t->due_since_mono_ns, 0);
		return false;
	}
	if (!atomic_load(&t->due_since_mono_ns))
		atomic_store(&t->due_since_mono_ns, now);
	if (!may_try(&t->migrate_patience))
		return false;
	int64_t at_rest = now - atomic_load(&t->last_append_mono_ns), waited = now - atomic_load(&t->due_since_mono_ns);
	int64_t since = now - atomic_load(&t->db->forced_mono_ns);
	bool is_idle = at_rest >= IDLE_NS;
	bool is_cheap = MIN(at_rest, waited) >= WAIT_MIN_NS && since / IDLE_SHARE >= atomic_load(&t->db->forced_took_ns);
	if (is_cheap || waited >= wait_limit(t)) {
		*ret_force = true;
		return true;
	}
	/* What is much in all may be little beside each date's rows: then this moves nothing. */
	int64_t tried = atomic_load(&t->tried_mono_ns);
	if (tried && now - tried < WAIT_MIN_NS)
		return false;
	return due >= DUE_ROWS_ENOUGH || (is_idle && due * 10 >= stored_rows(t));
}

/* What a round of maintenance seals. */
struct limits {
	uint64_t pin; /* tables that keep the log from being trimmed up to there; 0: it is short */
	size_t big;   /* tables of this size */
};

static bool seal_is_due(struct table *t, const struct limits *l)
{
	size_t bytes;

	if (l->pin && table_log_pin(t) <= l->pin)
		return true; /* also for the sake of definitions alone */
	bytes = table_memtable_bytes(t);
	return bytes && (bytes >= l->big || table_memtable_blocks(t) > SEAL_BLOCKS);
}

static int by_size(const void *x, const void *y)
{
	size_t a = *(const size_t *)x, b = *(const size_t *)y;
	return (a < b) - (a > b);
}

/*
 * From which size on a table is worth a file of its own. When memory is short: the largest few, down
 * to half of what is allowed. Thousands of small ones would make as many files and give back little.
 */
static size_t big_size(struct db *db, struct table **tables, uint32_t n)
{
	size_t left, limit, big;

	memory_view(db, &left, &limit);
	big = MIN(SEAL_TABLE_BYTES, limit / 4);
	if (left <= limit / 2)
		return big;
	if (left <= limit)
		return MIN(big, left / 16);
	size_t *sizes = malloc((n + 1) * sizeof *sizes);
	if (!sizes)
		return 1; /* all of them */
	/* One whose sealing fails gives nothing back just now: the others have to. */
	for (uint32_t i = 0; i < n; i++)
		sizes[i] = may_try(&tables[i]->seal_patience) ? table_memtable_bytes(tables[i]) : 0;
	qsort(sizes, n, sizeof *sizes, by_size);
	for (uint32_t i = 0; i < n && sizes[i] && left > limit / 2; i++) {
		big = MIN(big, sizes[i]);
		left -= MIN(left, sizes[i]);
	}
	free(sizes);
	return big;
}

static int seal_step(struct table *t, struct err *e)
{
	int rc = table_seal(t, e);

	note_outcome(&t->seal_patience, rc, SEAL_PATIENCE_NS);
	/* Writers that wait for memory need not wait for what else there is to do in this round. */
	pthread_mutex_lock(&t->db->wake_mu);
	pthread_cond_broadcast(&t->db->round_done);
	pthread_mutex_unlock(&t->db->wake_mu);
	return rc;
}

static int migrate_step(struct table *t, struct err *e)
{
	struct due due;
	bool force = false, worked;
	int64_t began = clock_mono_ns();
	int rc = 0;

	table_due(t, &due);
	if (!migration_is_due(t, due.rows + due.mem_rows, &force))
		return 0;
	if (due.mem_rows)
		rc = seal_step(t, e);
	if (rc >= 0)
		rc = table_migrate(t, force, &worked, e);
	note_outcome(&t->migrate_patience, rc, MIGRATE_PATIENCE_NS);
	int64_t now = clock_mono_ns();
	if (force) {
		atomic_store(&t->db->forced_mono_ns, now);
		atomic_store(&t->db->forced_took_ns, now - began);
	}
	if (!force)
		atomic_store(&t->tried_mono_ns, now);
	else if (rc >= 0)
		atomic_store(&t->due_since_mono_ns, 0);
	else /* forced again as soon as patience is over */
		atomic_store(&t->due_since_mono_ns, MAX(now - wait_limit(t), 1));
	return rc;
}

/*
 * Deletions are reclaimed soon where that costs little, and else after a while, so that a statement
 * that is one of many does not rewrite what the next one concerns, too.
 */
#define ERASE_CHEAP_BYTES ((uint64_t)64 << 20)

static bool erase_is_due(struct table *t)
{
	int64_t now = clock_mono_ns();
	struct tomb_set *tombs = table_pin_tombs(t);
	bool is_any = tombs && tombs->n;

	tomb_set_put(tombs);
	if (!is_any) {
		atomic_store(&t->erase_since_mono_ns, 0);
		return false;
	}
	if (!atomic_load(&t->erase_since_mono_ns))
		atomic_store(&t->erase_since_mono_ns, now);
	int64_t waited = now - atomic_load(&t->erase_since_mono_ns);
	return waited >= wait_limit(t) || (waited >= WAIT_MIN_NS && table_erase_bytes(t) <= ERASE_CHEAP_BYTES);
}

/* What tombstones hide in memory leaves it with the next seal; it must come some time. */
static int compact_step(struct table *t, struct err *e)
{
	int rc = 0;

	if (!may_try(&t->compact_patience))
		return 0;
	if (erase_is_due(t)) {
		rc = table_memtable_bytes(t) ? seal_step(t, e) : 0;
		if (rc >= 0)
			rc = table_reclaim(t, e);
		atomic_store(&t->erase_since_mono_ns, 0);
	}
	if (rc >= 0)
		rc = table_fold_tombs(t, e);
	if (rc >= 0)
		rc = table_merge_runs(t, e);
	note_outcome(&t->compact_patience, rc, MIGRATE_PATIENCE_NS);
	return rc;
}

/* -EAGAIN: due, and a failure ago too short a time. */
static int seal_if_due(struct table *t, const struct limits *l, struct err *e)
{
	if (table_dropped(t) || !seal_is_due(t, l))
		return 0;
	return may_try(&t->seal_patience) ? seal_step(t, e) : -EAGAIN;
}

/* All else. Each step has its turn, also where the one before failed; but nothing moves past a failed seal. */
static int step(struct table *t, int sealed, struct err *e)
{
	int first = table_expire(t, e), rc;

	if (sealed < 0)
		return first;
	rc = migrate_step(t, first < 0 ? NULL : e);
	first = first < 0 ? first : rc;
	rc = compact_step(t, first < 0 ? NULL : e);
	return first < 0 ? first : rc;
}

/* While a next try is waited for, nothing failed and nothing is well. */
static void note_failure(struct table *t, int rc, const struct err *e)
{
	struct failure *f = &t->failure;
	int64_t now = clock_now_ns();

	pthread_mutex_lock(&t->mu);
	if (rc < 0) {
		f->since_ns = f->since_ns ? f->since_ns : now;
		f->last_ns = now;
		f->count++;
		snprintf(f->text, sizeof f->text, "%s", err_text(e, rc));
	} else if (!atomic_load(&t->seal_patience.failures) && !atomic_load(&t->migrate_patience.failures) &&
		   !atomic_load(&t->compact_patience.failures)) {
		f->since_ns = 0;
	}
	pthread_mutex_unlock(&t->mu);
}

int table_maintain(struct table *t, struct err *e)
{
	struct due due;
	bool worked;
	int rc = table_expire(t, e);

	if (rc >= 0) {
		struct tomb_set *tombs = table_pin_tombs(t);
		table_due(t, &due);
		rc = due.mem_rows || (tombs && tombs->n) ? table_seal(t, e) : 0;
		tomb_set_put(tombs);
	}
	if (rc >= 0)
		rc = table_migrate(t, true, &worked, e);
	if (rc >= 0)
		rc = table_reclaim(t, e);
	return rc < 0 ? rc : table_merge_runs(t, e);
}

/*
 * The log is long: up to where does it have to be freed? To a quarter of what it holds. A table that
 * was sealed a moment ago pins less, so one whose sealing fails does not make the others write ever
 * smaller runs.
 */
static uint64_t pin_limit(struct db *db, struct table **tables, uint32_t n)
{
	struct wal_status ws;

	wal_status(db->wal, &ws);
	if (ws.bytes <= SEAL_LOG_BYTES)
		return 0;
	uint64_t oldest = db_log_pin(tables, n);
	return oldest < ws.next_lsn ? oldest + (ws.next_lsn - oldest) / 4 : 0;
}

/* What sealing came to in a round, of all tables. */
struct sealing {
	int rc; /* the first failure, rather than -EAGAIN */
	char why[512];
};

static int seal_table(struct table *t, const struct limits *l, struct sealing *s)
{
	struct err mine = {0};
	int rc = seal_if_due(t, l, &mine);

	if (rc < 0 && rc != -EAGAIN)
		note_failure(t, rc, &mine);
	if (rc < 0 && (!s->rc || s->rc == -EAGAIN)) {
		s->rc = rc;
		snprintf(s->why, sizeof s->why, "table '%s': %s", table_name(t), err_text(&mine, rc));
	}
	return rc;
}

/*
 * Sealing comes first, for all tables, because writers may be waiting for the memory; what takes long
 * comes behind it, and is broken off when memory is short again (table_migrate()).
 */
int db_maintain(struct db *db, struct err *e)
{
	struct table **tables;
	struct sealing seal = {0};
	uint32_t n;
	int rc, first = 0;

	db_note_clock(db);
	rc = db_tables(db, &tables, &n);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	int *sealed = calloc(n + 1, sizeof *sealed);
	if (!sealed)
		first = err_set(e, -ENOMEM, "out of memory");
	struct limits l = {pin_limit(db, tables, n), big_size(db, tables, n)};
	for (uint32_t i = 0; i < n && sealed; i++)
		sealed[i] = seal_table(tables[i], &l, &seal);
	for (uint32_t i = 0; i < n; i++) {
		struct err mine = {0};
		rc = !sealed || table_dropped(tables[i]) ? 0 : step(tables[i], sealed[i], &mine);
		/* One table's trouble must not keep the others from their turn. */
		if (rc < 0 && !first)
			first = err_set(e, rc, "table '%s': %s", table_name(tables[i]), err_text(&mine, rc));
		if (rc < 0 || (sealed && sealed[i] >= 0))
			note_failure(tables[i], rc, &mine);
		table_put(tables[i]);
	}
	free(sealed);
	free(tables);
	if (seal.rc < 0 && seal.rc != -EAGAIN && !first)
		first = err_set(e, seal.rc, "%s", seal.why);
	pthread_mutex_lock(&db->wake_mu);
	if (seal.rc == -EAGAIN) {
		/* Waiting for the next try: the reason is still that of the last one, as is the whole round's. */
		first = first < 0 ? first : err_set(e, db->seal_failure_rc, "%s", db->seal_failure);
	} else {
		db->seal_failure_rc = seal.rc;
		atomic_store(&db->cannot_seal, seal.rc < 0);
		snprintf(db->seal_failure, sizeof db->seal_failure, "%s", seal.why);
	}
	pthread_mutex_unlock(&db->wake_mu);
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
		atomic_store(&db->round_since_mono_ns, clock_mono_ns());
		int rc = db_maintain(db, &e);
		atomic_store(&db->round_since_mono_ns, 0);
		memory_trim(db->en);

		pthread_mutex_lock(&db->wake_mu);
		db->rounds++;
		db->last_failure_rc = rc < 0 ? rc : 0;
		db->failing_since_ns = rc >= 0 ? 0 : db->failing_since_ns ? db->failing_since_ns : clock_now_ns();
		snprintf(db->last_failure, sizeof db->last_failure, "%s", rc < 0 ? err_text(&e, rc) : "");
		pthread_cond_broadcast(&db->round_done);
	}
	pthread_cond_broadcast(&db->round_done); /* who waits for memory learns that it is over */
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
