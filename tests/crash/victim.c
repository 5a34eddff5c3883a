/*
 * The one that dies: threads that write, delete, restore and change settings until then.
 */
#include "tests/crash/crash.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- rows --------------------------------------------------------------------------------------------- */

void add_row(struct batch *b, const struct world *w, int table, uint32_t series, int64_t time, int64_t value,
	     const char *text)
{
	if (batch_reserve(b) < 0)
		_exit(3);
	b->series[b->n] = w->ids[table][series];
	b->time_ns[b->n] = time;
	if (value != INT64_MIN) {
		int slot = batch_col(b, w->v[table], COL_BIGINT);
		if (slot < 0)
			_exit(3);
		b->cols[slot].col.i64[b->n] = value;
		b->cols[slot].col.valid[b->n] = 1;
		b->cols[slot].has_values = true;
	}
	if (text) {
		int slot = batch_col(b, w->s[table], COL_VARCHAR);
		if (slot < 0)
			_exit(3);
		b->cols[slot].col.str[b->n] = arena_str(&b->strings, str_from(text));
		b->cols[slot].col.valid[b->n] = 1;
		b->cols[slot].has_values = true;
	}
	b->n++;
}

void append(const struct world *w, int table, struct batch *b)
{
	struct table_batch tb = {.table = w->t[table], .batch = b};
	struct err e = {0};
	int rc = db_append(w->db, &tb, 1, &e);

	if (rc < 0)
		die("append", &e, rc);
	if (tb.conflict_n)
		die("append: a newer version is refused", &e, -EINVAL);
}

/* What an earlier victim began may be there already: the mark of what was begun never goes back. */
static void begin(struct mark *m, int64_t to)
{
	atomic_store(&m->begun, MAX(atomic_load(&m->begun), to));
}

struct writer {
	struct world *w;
	uint32_t me;
};

static void *write_rows(void *arg)
{
	struct writer *wr = arg;
	struct world *w = wr->w;
	struct mark *m = &sh->rows[wr->me];
	struct batch b;
	struct err e = {0};
	char text[32];

	batch_init(&b);
	for (uint64_t turn = 0;; turn++) {
		int64_t k = atomic_load(&m->acked), n = 1 + (int64_t)(turn % 13);
		begin(m, k + n);
		for (int which = 0; which < 2; which++) {
			batch_clear(&b);
			for (int64_t i = k + 1; i <= k + n; i++) {
				snprintf(text, sizeof text, "row %lld", (long long)i);
				add_row(&b, w, T_ROWS, wr->me, base_ns + i * NS_PER_MS, which ? INT64_MIN : i,
					which ? text : NULL);
			}
			append(w, T_ROWS, &b);
		}
		atomic_store(&m->acked, k + n);
		if (turn % 16 == 15 && wr->me == 0)
			(void)!db_sync(w->db, &e);
		usleep(100);
	}
	return NULL;
}

/* A generation has all rows; odd ones have no s, which then must be gone. */
static void *write_versions(void *arg)
{
	struct world *w = arg;
	struct batch b;
	char text[32];

	batch_init(&b);
	for (;;) {
		/* One that was begun and not acknowledged may be stored: the next is newer than both. */
		int64_t g = MAX(atomic_load(&sh->generation.acked), atomic_load(&sh->generation.begun)) + 1;
		begin(&sh->generation, g);
		batch_clear(&b);
		b.has_version = true;
		snprintf(text, sizeof text, "generation %lld", (long long)g);
		for (int64_t i = 0; i < VERSION_ROWS; i++) {
			add_row(&b, w, T_VERSIONS, (uint32_t)(i % WRITERS), base_ns + i * NS_PER_S, g, g % 2 ? NULL : text);
			b.version[b.n - 1] = g;
		}
		append(w, T_VERSIONS, &b);
		atomic_store(&sh->generation.acked, g);
		usleep(1000);
	}
	return NULL;
}

static void *write_for_deletes(void *arg)
{
	struct world *w = arg;
	struct batch b;

	batch_init(&b);
	for (uint64_t turn = 0;; turn++) {
		int64_t k = atomic_load(&sh->added.acked), n = 1 + (int64_t)(turn % 40);
		begin(&sh->added, k + n);
		batch_clear(&b);
		for (int64_t i = k + 1; i <= k + n; i++)
			add_row(&b, w, T_DELETES, 0, base_ns + i * NS_PER_MS, i, NULL);
		append(w, T_DELETES, &b);
		atomic_store(&sh->added.acked, k + n);
		usleep(300);
	}
	return NULL;
}

/* A range for each row: half a delete would show. */
static void *delete_rows(void *arg)
{
	struct world *w = arg;
	struct err e = {0};

	for (uint64_t turn = 0;; turn++) {
		/* One that was begun may have happened: the next takes in both. */
		int64_t from = atomic_load(&sh->floor.acked), least = atomic_load(&sh->floor.begun);
		int64_t to = MAX(least, from + 1 + (int64_t)(turn * 7 % 60));
		struct deletion *d;
		if (to + 5 > atomic_load(&sh->added.acked)) {
			usleep(500);
			continue;
		}
		begin(&sh->floor, to);
		int rc = table_delete_begin(w->t[T_DELETES], &d, &e);
		for (int64_t i = from + 1; i <= to && rc >= 0; i++)
			rc = deletion_add(d, w->ids[T_DELETES][0], w->ids[T_DELETES][0], base_ns + i * NS_PER_MS,
					  base_ns + i * NS_PER_MS, &e);
		if (rc >= 0)
			rc = deletion_commit(d, &e);
		if (rc < 0)
			die("delete", &e, rc);
		atomic_store(&sh->floor.acked, to);
		usleep(500);
	}
	return NULL;
}

static void *restore_tiles(void *arg)
{
	struct world *w = arg;
	struct err e = {0};

	for (;;) {
		int64_t g = MAX(atomic_load(&sh->restored.acked), atomic_load(&sh->restored.begun)) + 1;
		const struct tile_bytes *tile = &tiles[g % 2];
		int64_t k = atomic_load(&sh->beside.acked) + 1;
		struct restore *r;
		struct batch b;
		int fd;
		/* A row that is sealed together with what is restored. */
		begin(&sh->beside, k);
		batch_init(&b);
		add_row(&b, w, T_RESTORES, 0, base_ns + (BESIDE_S + k) * NS_PER_S, k, NULL);
		append(w, T_RESTORES, &b);
		batch_release(&b);
		atomic_store(&sh->beside.acked, k);
		begin(&sh->restored, g);
		int rc = table_restore_begin(w->t[T_RESTORES], &r, &fd, &e);
		if (rc < 0)
			die("restore", &e, rc);
		if (io_pwrite(io_posix(), fd, tile->p, tile->n, 0) < 0)
			_exit(3);
		rc = table_restore_commit(r, "crash.parquet", &e);
		if (rc < 0)
			die("restore", &e, rc);
		table_restore_close(r);
		atomic_store(&sh->restored.acked, g);
		usleep(3000);
	}
	return NULL;
}

/*
 * Rows of the present millisecond and a few before it, which are those of nobody else. In bursts: whole
 * files expire in between, before merging brings old and new rows together.
 */
#define BURST_EVERY_MS 5000
#define BURST_MS       500

static void *write_expiring(void *arg)
{
	struct world *w = arg;
	struct batch b;
	uint32_t at = atomic_load(&sh->expiring_n);
	int64_t next = at ? sh->expiring[at - 1].first + sh->expiring[at - 1].n : 0;

	batch_init(&b);
	for (; at < EXPIRING_MOST; at++) {
		int64_t now = (clock_now_ns() - expire_base_ns) / NS_PER_MS;
		struct expiring *x = &sh->expiring[at];
		while (now < next || now % BURST_EVERY_MS > BURST_MS) {
			usleep(500);
			now = (clock_now_ns() - expire_base_ns) / NS_PER_MS;
		}
		x->first = MAX(next, now - 5);
		x->n = (int32_t)(now - x->first) + 1;
		next = now + 1;
		atomic_store(&sh->expiring_n, at + 1);
		batch_clear(&b);
		for (int64_t i = x->first; i < x->first + x->n; i++)
			add_row(&b, w, T_EXPIRES, 0, expire_base_ns + i * NS_PER_MS, i, NULL);
		append(w, T_EXPIRES, &b);
		atomic_store(&x->is_acked, true);
	}
	return NULL;
}

const char *const retentions[RETENTIONS] = {"1h", "73000d", "2d"};

static void *change_retention(void *arg)
{
	struct world *w = arg;
	struct err e = {0};

	for (;;) {
		int64_t k = atomic_load(&sh->retention.begun) + 1;
		struct str text = str_from(retentions[k % RETENTIONS]);
		begin(&sh->retention, k);
		int rc = table_set(w->t[T_ROWS], SET_RETENTION_MEMORY, text, &e);
		if (rc >= 0)
			rc = table_set(w->t[T_RESTORES], SET_RETENTION_MEMORY, text, &e);
		if (rc < 0)
			die("retention", &e, rc);
		atomic_store(&sh->retention.acked, k);
		usleep(7000);
	}
	return NULL;
}

/* Definitions and rows together, in one append. */
static void *name_series(void *arg)
{
	struct world *w = arg;
	struct series_set *set = table_series(w->t[T_SERIES]);
	struct batch b;
	struct err e = {0};

	batch_init(&b);
	for (;;) {
		int64_t k = atomic_load(&sh->named.acked) + 1;
		char name[32];
		begin(&sh->named, k);
		snprintf(name, sizeof name, "n%lld", (long long)k);
		struct dim_value d = {w->host, str_from(name)};
		int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, &d, 1, &e);
		if (id < 0)
			die("series", &e, (int)id);
		batch_clear(&b);
		add_row(&b, w, T_SERIES, 0, base_ns + k * NS_PER_MS, k, NULL);
		b.series[0] = (uint32_t)id;
		append(w, T_SERIES, &b);
		atomic_store(&sh->named.acked, k);
		usleep(3000);
	}
	return NULL;
}

/* The tables that a snapshot names, in a database of their own, and away with them. */
static void apply_snapshot(struct world *w, const char *name)
{
	static char text[1 << 20];
	struct table **tables;
	struct err e = {0};
	uint32_t n = 0;
	int dirfd, rc = db_snapshot_dirfd(w->db, str_from(name), &dirfd, &e);
	struct db *db = engine_db(w->en, STR_LIT("copy"));

	int fd = rc < 0 ? -1 : openat(dirfd, "snapshot.json", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (len <= 0)
		die("snapshot.json", &e, rc);
	close(fd);
	close(dirfd);
	if (!db)
		rc = engine_db_create(w->en, STR_LIT("copy"), &db, &e);
	if (rc >= 0)
		rc = db_snapshot_apply(db, (struct str){text, (size_t)len}, NULL, &e);
	if (rc >= 0)
		rc = db_tables(db, &tables, &n);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = db_table_drop(db, str_from(table_name(tables[i])), true, &e);
		table_put(tables[i]);
	}
	if (rc < 0)
		die("apply a snapshot", &e, rc);
	free(tables);
	db_put(db);
}

static void *make_snapshots(void *arg)
{
	struct world *w = arg;
	struct err e = {0};
	char name[32];

	for (;;) {
		/* One that was begun may be there: its number is not used again, and it is dropped in its turn. */
		int64_t k = MAX(atomic_load(&sh->made.acked), atomic_load(&sh->made.begun)) + 1;
		begin(&sh->made, k);
		snprintf(name, sizeof name, "s%lld", (long long)k);
		int rc = db_snapshot_create(w->db, str_from(name), NULL, &e);
		if (rc < 0)
			die("snapshot", &e, rc);
		atomic_store(&sh->made.acked, k);
		if (k % 4 == 0)
			apply_snapshot(w, name);
		for (int64_t old = atomic_load(&sh->dropped.acked) + 1; old < k - 1; old++) {
			begin(&sh->dropped, old);
			snprintf(name, sizeof name, "s%lld", (long long)old);
			rc = db_snapshot_drop(w->db, str_from(name), &e);
			if (rc < 0 && rc != -ENOENT)
				die("snapshot", &e, rc);
			atomic_store(&sh->dropped.acked, old);
		}
		usleep(5000);
	}
	return NULL;
}

static void arm(const char *point, uint64_t nth)
{
	char env[96];

	snprintf(env, sizeof env, "%s:%llu", point, (unsigned long long)nth);
	setenv("TIDE_FAULT", env, 1);
	fault_init();
}

void victim(const char *point, uint64_t nth, bool is_armed_at_start)
{
	static void *(*const jobs[])(void *) = {write_versions, write_for_deletes, delete_rows, restore_tiles,
						write_expiring, change_retention, name_series, make_snapshots};
	struct world w;
	struct writer wr[WRITERS];
	pthread_t th;
	struct err e = {0};

	if (point && is_armed_at_start)
		arm(point, nth);
	open_world(&w, true);
	if (point && !is_armed_at_start)
		arm(point, nth);
	atomic_store(&sh->is_open, true);
	for (uint32_t i = 0; i < WRITERS; i++) {
		wr[i] = (struct writer){&w, i};
		pthread_create(&th, NULL, write_rows, &wr[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
		pthread_create(&th, NULL, jobs[i], &w);
	for (uint32_t turn = 0;; turn++) {
		struct table *t = w.t[turn % CRASH_TABLES];
		usleep(1000);
		int rc = turn % 3 ? 0 : table_seal(t, &e);
		if (rc >= 0)
			rc = table_maintain(t, &e);
		if (rc < 0)
			die("maintain", &e, rc);
	}
}
