/*
 * db: one database, one cell: its directory, catalogue, log and tables.
 *
 *	<cell>/catalog.sqlite        tables, settings, files, owners
 *	<cell>/wal/                  the log
 *	<cell>/tables/<id>/series    definitions, a checkpoint
 *	<cell>/tables/<id>/runs/     sealed rows, internal
 *	<cell>/tables/<id>/magnetic/ tiles
 *	<cell>/tables/<id>/incoming/ files to be restored; they lose their names when they are made
 *	<cell>/snapshots/<name>/     copies as of one moment (snapshot.c)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/dir.h"
#include "engine/snapshot.h"

#define CAN_REPAIR "; `tidefs fsck DATA_DIR --repair` can make it anew"

/* ---- references ------------------------------------------------------------------------------------------- */

struct db *db_get(struct db *db)
{
	atomic_fetch_add(&db->refs, 1);
	return db;
}

static void db_free(struct db *db)
{
	wal_close(db->wal);
	catalog_close(db->cat);
	attrs_release(db);
	snapshots_release(db);
	rejected_release(&db->rejected);
	if (db->dirfd >= 0)
		close(db->dirfd);
	pthread_mutex_destroy(&db->create_mu);
	pthread_mutex_destroy(&db->mu);
	pthread_mutex_destroy(&db->trim_mu);
	pthread_mutex_destroy(&db->wake_mu);
	pthread_mutex_destroy(&db->attr_mu);
	pthread_mutex_destroy(&db->make_mu);
	pthread_mutex_destroy(&db->snap_mu);
	pthread_cond_destroy(&db->wake);
	pthread_cond_destroy(&db->round_done);
	free(db);
}

void db_put(struct db *db)
{
	if (db && atomic_fetch_sub(&db->refs, 1) == 1)
		db_free(db);
}

const char *db_name(const struct db *db)
{
	return db->name;
}

int64_t db_created_ns(const struct db *db)
{
	return db->created_ns;
}

const char *db_failure(const struct db *db)
{
	return db->is_failed ? db->reason : NULL;
}

bool db_dropped(const struct db *db)
{
	return atomic_load(&db->is_dropped);
}

int db_check_alive(struct db *db, struct err *e)
{
	if (db_dropped(db))
		return err_set(e, -ESTALE, "database '%s' was dropped", db->name);
	if (db->is_failed)
		return err_set(e, -EIO, "database '%s' is not available: %s", db->name, db->reason);
	return 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

struct opening {
	struct db *db;
	struct err *e;
	struct table **by_id; /* once all are open; ascending */
	uint32_t count;
	struct table *last;   /* of the record before: probably this one's */
	uint64_t lsn_max;      /* highest that the catalogue knows of */
	uint32_t table_id_max; /* ever given out */
	bool has_begun;        /* the first record was seen */
	bool cannot_seal; /* the disk is full */
};

static int open_table(void *ctx, const struct catalog_table *meta)
{
	struct opening *o = ctx;
	struct table *t;
	int rc = table_open(o->db, meta, &t, o->e);

	if (rc < 0)
		return err_prefix(o->e, rc, "table '%s'", meta->name);
	t->next = o->db->tables;
	o->db->tables = t;
	o->lsn_max = MAX(o->lsn_max, meta->flushed_lsn);
	/* A log that lost its end must not give rows the numbers of before a deletion that is stored. */
	o->lsn_max = MAX(o->lsn_max, tomb_set_newest(t->tombs));
	for (uint32_t i = 0; i < t->files->n; i++) {
		const struct catalog_file *m = &t->files->v[i]->meta;
		o->lsn_max = MAX(o->lsn_max, MAX(m->seq_hi, m->erased_seq));
	}
	return 0;
}

/*
 * The catalogue notes the log's end before the log is trimmed. A log that begins behind that has lost
 * rows which only a newer catalogue knows to be in runs: its own journal (catalog.sqlite-wal) was
 * damaged, or an old copy was put back. Going on would answer wrongly, and sweep away files.
 */
static int check_age(const struct opening *o, uint64_t first_lsn, struct err *e)
{
	if (first_lsn <= o->lsn_max + 1)
		return 0;
	return err_set(e, -EBADMSG,
		       "the catalogue 'db/%s/catalog.sqlite' is older than the log: it ends at record %llu, and the "
		       "log begins at %llu; restore both from one copy",
		       o->db->name, (unsigned long long)o->lsn_max, (unsigned long long)first_lsn);
}

static int by_id(const void *x, const void *y)
{
	uint32_t a = (*(struct table *const *)x)->meta.id, b = (*(struct table *const *)y)->meta.id;
	return (a > b) - (a < b);
}

static int index_tables(struct opening *o, struct err *e)
{
	uint32_t n = 0;

	for (struct table *t = o->db->tables; t; t = t->next)
		n++;
	o->by_id = malloc((n + 1) * sizeof *o->by_id);
	if (!o->by_id)
		return err_set(e, -ENOMEM, "out of memory");
	for (struct table *t = o->db->tables; t; t = t->next)
		o->by_id[o->count++] = t;
	qsort(o->by_id, o->count, sizeof *o->by_id, by_id);
	return 0;
}

static struct table *find_by_id(struct opening *o, uint32_t id)
{
	uint32_t lo = 0, hi = o->count;

	if (o->last && o->last->meta.id == id)
		return o->last;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (o->by_id[mid]->meta.id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return o->last = lo < o->count && o->by_id[lo]->meta.id == id ? o->by_id[lo] : NULL;
}

/*
 * Memory is as short as it was when the rows came. What this database holds is sealed, largest tables
 * first, until it holds no more than its share; others are being opened at the same time.
 */
static int make_room(struct opening *o, struct err *e)
{
	struct engine *en = o->db->en;
	int rc = 0;

	while (rc >= 0 && atomic_load(&en->memtable_bytes) > en->memtable_limit / 2) {
		struct table *most = NULL;
		for (uint32_t i = 0; i < o->count; i++)
			if (!most || o->by_id[i]->mem.bytes > most->mem.bytes)
				most = o->by_id[i];
		if (!most || !most->mem.bytes)
			break;
		rc = table_seal(most, e);
	}
	return rc;
}

/*
 * On a full disk nothing can be sealed, and what is stored can be read all the same: these rows were in
 * memory before. Only where that was much more than now may be, opening fails.
 */
static int keep_room(struct opening *o, struct table *t, struct err *e)
{
	struct engine *en = o->db->en;
	size_t all = atomic_load(&en->memtable_bytes);
	int rc = 0;

	if (!o->cannot_seal && t->mem.bytes > en->memtable_limit / 4)
		rc = table_seal(t, e);
	else if (!o->cannot_seal && all > en->memtable_limit)
		rc = make_room(o, e);
	else if (o->cannot_seal && all > 2 * en->memtable_limit)
		return table_seal(t, e);
	o->cannot_seal |= rc == -ENOSPC;
	return rc == -ENOSPC ? 0 : rc;
}

static int replay(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct opening *o = ctx;
	struct db *db = o->db;
	struct engine *en = db->en;
	int rc = o->has_begun ? 0 : check_age(o, rec->lsn, e);

	if (rc < 0)
		return rc;
	o->has_begun = true;
	struct table *t = find_by_id(o, rec->table_id);
	if (!t && rec->table_id > o->table_id_max)
		return err_set(e, -EBADMSG,
			       "the catalogue 'db/%s/catalog.sqlite' is older than the log: record %llu is of table %u, "
			       "which it never made",
			       db->name, (unsigned long long)rec->lsn, rec->table_id);
	if (!t)
		return 0; /* dropped since; ids are never reused */
	size_t before = t->mem.bytes;
	rc = table_replay(t, rec, e);
	memory_add(db, t->mem.bytes - before);
	if (rc < 0 || en->opt.read_only)
		return rc;
	return keep_room(o, t, e);
}

/* A file that no transaction names: left by a crash between writing and committing. */
static bool is_known(struct table *t, const char *path)
{
	for (uint32_t i = 0; i < t->files->n; i++)
		if (strcmp(t->files->v[i]->meta.path, path) == 0)
			return true;
	return false;
}

static void sweep_dir(struct table *t, const char *path, int depth)
{
	char full[512], below[512];
	struct dirent *d;

	snprintf(full, sizeof full, "%s/%s", t->dir, path);
	DIR *dir = dir_open(t->db->dirfd, full, true);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (snprintf(below, sizeof below, "%s/%s", path, d->d_name) >= (int)sizeof below)
			continue;
		snprintf(full, sizeof full, "%.60s/%.440s", t->dir, below);
		if (d->d_type == DT_DIR && depth > 0) {
			sweep_dir(t, below, depth - 1);
			unlinkat(t->db->dirfd, full, AT_REMOVEDIR); /* fails unless empty */
		} else if (d->d_type == DT_REG && !is_known(t, below)) {
			t->db->en->io->unlinkat(t->db->en->io, t->db->dirfd, full, 0);
		}
	}
	closedir(dir);
}

/* Is every file there that the catalogue names? */
static bool is_complete(struct table *t)
{
	char path[sizeof t->dir + sizeof t->files->v[0]->meta.path + 2];
	struct stat st;

	for (uint32_t i = 0; i < t->files->n; i++) {
		snprintf(path, sizeof path, "%s/%s", t->dir, t->files->v[i]->meta.path);
		if (fstatat(t->db->dirfd, path, &st, 0) < 0)
			return false;
	}
	return true;
}

/* Directories of tables that were dropped while the daemon died. */
static void sweep_tables(struct db *db, uint32_t id_max)
{
	DIR *dir = dir_open(db->dirfd, DIR_TABLES, true);
	struct dirent *d;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		char *end;
		unsigned long id = strtoul(d->d_name, &end, 10);
		struct table *t = db->tables;
		if (*end || !id || id > id_max)
			continue;
		while (t && t->meta.id != id)
			t = t->next;
		if (!t)
			dir_remove(dirfd(dir), d->d_name);
	}
	closedir(dir);
}

/*
 * What no transaction names goes. Not where something is missing that one does name: then the
 * catalogue and the files are of different times, and what looks like an orphan may be all there is.
 */
static void sweep(struct db *db, uint32_t id_max)
{
	for (struct table *t = db->tables; t; t = t->next) {
		sweep_dir(t, DIR_INCOMING, 0);
		if (!is_complete(t))
			continue;
		sweep_dir(t, DIR_RUNS, 0);
		sweep_dir(t, DIR_TILES, 2);
	}
	sweep_tables(db, id_max);
}

static int open_log(struct opening *o, struct err *e)
{
	struct db *db = o->db;
	int64_t begin = clock_mono_ns();
	struct wal_options wo = {.sync_interval_ns = db->en->opt.sync_interval_ns,
				 .segment_bytes = db->en->opt.segment_bytes,
				 .read_only = db->en->opt.read_only,
				 .next_lsn_min = o->lsn_max + 1,
				 .boot = db->en->opt.boot,
				 .progress = &db->progress};

	if (!wo.sync_interval_ns)
		wo.sync_interval_ns = NS_PER_S;
	if (wo.sync_interval_ns < 0)
		wo.sync_interval_ns = 0;
	int rc = index_tables(o, e);
	if (rc >= 0)
		rc = wal_open(db->en->io, db->dirfd, DIR_WAL, &wo, replay, o, &db->wal, e);
	free(o->by_id);
	db->recovery_ns = clock_mono_ns() - begin;
	return rc;
}

static int open_parts(struct db *db, struct err *e)
{
	struct opening o = {.db = db, .e = e};
	char path[4096];

	snprintf(path, sizeof path, "%s/db/%s/catalog.sqlite", db->en->path, db->name);
	int rc = catalog_open(path, db->en->opt.read_only, &db->cat, e);
	if (rc == -EBADMSG && e)
		snprintf(e->text + strlen(e->text), sizeof e->text - strlen(e->text), "%s", CAN_REPAIR);
	if (rc >= 0)
		rc = attrs_load(db, e);
	if (rc >= 0)
		rc = catalog_get_int(db->cat, "created_ns", 0, &db->created_ns, e);
	if (rc >= 0 && !db->created_ns && !db->en->opt.read_only) {
		db->created_ns = clock_now_ns();
		rc = catalog_set_int(db->cat, "created_ns", db->created_ns, e);
	}
	if (rc >= 0)
		rc = wallclock_load(db, e);
	if (rc >= 0)
		rc = catalog_tables(db->cat, open_table, &o, e);
	if (rc >= 0)
		rc = catalog_table_id_max(db->cat, &o.table_id_max, e);
	int64_t last_lsn;
	if (rc >= 0)
		rc = catalog_get_int(db->cat, "last_lsn", 0, &last_lsn, e);
	if (rc < 0)
		return rc;
	o.lsn_max = MAX(o.lsn_max, (uint64_t)last_lsn);
	rc = open_log(&o, e);
	if (rc >= 0 && !o.has_begun)
		rc = check_age(&o, wal_last_lsn(db->wal) + 1, e);
	if (rc < 0)
		return rc;
	if (!db->en->opt.read_only) {
		/* The log goes on behind it, also when what it was taken from (a deletion) is gone: see check_age(). */
		if (o.lsn_max > (uint64_t)last_lsn)
			(void)!catalog_set_int(db->cat, "last_lsn", (int64_t)o.lsn_max, NULL);
		sweep(db, o.table_id_max);
		db_note_clock(db);
		copies_begin(db);
	}
	rc = snapshots_open(db, e);
	if (rc < 0)
		return rc;
	/* What the log defined is logged. */
	for (struct table *t = db->tables; t; t = t->next)
		series_set_logged(t->series, (struct series_mark){series_column_count(t->series),
								   series_count(t->series)});
	return 0;
}

static void release_tables(struct db *db)
{
	pthread_mutex_lock(&db->mu);
	struct table *t = db->tables;
	db->tables = NULL;
	pthread_mutex_unlock(&db->mu);
	while (t) {
		struct table *next = t->next;
		memory_sub(db, table_memtable_bytes(t));
		table_close(t);
		t = next;
	}
}

struct db *db_create(struct engine *en, const char *name)
{
	struct db *db = calloc(1, sizeof *db);
	pthread_condattr_t mono;

	if (!db)
		return NULL;
	atomic_init(&db->refs, 1);
	db->en = en;
	db->dirfd = -1;
	snprintf(db->name, sizeof db->name, "%s", name);
	rejected_init(&db->rejected, db, "rejected");
	pthread_mutex_init(&db->create_mu, NULL);
	pthread_mutex_init(&db->mu, NULL);
	pthread_mutex_init(&db->trim_mu, NULL);
	pthread_mutex_init(&db->wake_mu, NULL);
	pthread_mutex_init(&db->attr_mu, NULL);
	pthread_mutex_init(&db->make_mu, NULL);
	pthread_mutex_init(&db->snap_mu, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&db->wake, &mono);
	pthread_cond_init(&db->round_done, &mono);
	pthread_condattr_destroy(&mono);
	return db;
}

/* ---- which databases there are ---------------------------------------------------------------------------- */

/*
 * The root's catalogue knows which databases have been here. An empty directory in the place of one is a
 * disk that is not mounted: a new database must not begin there, to take the rows that belong on the disk.
 */
static void known_key(char to[NAME_LEN_MAX + 4], const char *name)
{
	snprintf(to, NAME_LEN_MAX + 4, "db/%s", name);
}

static int check_known(struct db *db, struct err *e)
{
	char key[NAME_LEN_MAX + 4], path[NAME_LEN_MAX + 8];
	int64_t known = 0;

	known_key(key, db->name);
	snprintf(path, sizeof path, "%s/", key);
	int rc = check_catalog_there(db->dirfd, path, e);
	if (rc != -ENOENT)
		return rc;
	rc = catalog_get_int(db->en->root.cat, key, 0, &known, e);
	if (rc >= 0 && known)
		rc = err_set(e, -ENOENT,
			     "its directory 'db/%s' holds no catalogue; is it on a disk that is not mounted? (To begin anew, "
			     "remove the directory and make the database again)",
			     db->name);
	return rc;
}

static int make_known(struct db *db, struct err *e)
{
	char key[NAME_LEN_MAX + 4];
	int64_t known;

	known_key(key, db->name);
	int rc = catalog_get_int(db->en->root.cat, key, 0, &known, e);
	return rc < 0 || known == db->created_ns ? rc : catalog_set_int(db->en->root.cat, key, db->created_ns, e);
}

void db_forget(struct engine *en, const char *name)
{
	char key[NAME_LEN_MAX + 4];

	known_key(key, name);
	(void)!catalog_set_int(en->root.cat, key, 0, NULL); /* then an empty directory of that name is refused */
}

static int open_dir(struct db *db, struct err *e)
{
	const struct io *io = db->en->io;
	char path[NAME_LEN_MAX + 4], target[512];

	known_key(path, db->name); /* which is its path, too */
	int rc = io->openat(io, db->en->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (rc >= 0) {
		db->dirfd = rc;
		return 0;
	}
	ssize_t n = readlinkat(db->en->dirfd, path, target, sizeof target - 1);
	target[MAX(n, 0)] = '\0';
	return err_set(e, rc, "cannot open the directory '%s'%s%s%s: %s", path, n > 0 ? ", a link to '" : "", target,
		       n > 0 ? "'" : "", strerror(-rc));
}

int db_load(struct db *db, bool is_new, struct err *e)
{
	struct engine *en = db->en;
	int rc = open_dir(db, e);

	if (rc >= 0 && !is_new)
		rc = check_known(db, e);
	if (rc >= 0)
		rc = open_parts(db, e);
	if (rc >= 0 && !en->opt.read_only)
		rc = make_known(db, e);
	if (rc >= 0 && !en->opt.no_background && !en->opt.read_only) {
		pthread_mutex_lock(&db->wake_mu);
		rc = -pthread_create(&db->thread, NULL, db_maintain_thread, db);
		db->has_thread = rc == 0;
		pthread_mutex_unlock(&db->wake_mu);
		if (rc < 0)
			err_set(e, rc, "cannot start a thread: %s", strerror(-rc));
	}
	if (rc < 0) {
		/*
		 * Listed with its reason, and harms no other. What was loaded of it would answer wrongly, and
		 * nothing of it stays open: its disk may be unmounted and repaired while the others go on.
		 */
		release_tables(db);
		wal_close(db->wal);
		catalog_close(db->cat);
		if (db->dirfd >= 0)
			close(db->dirfd);
		db->wal = NULL;
		db->cat = NULL;
		db->dirfd = -1;
		db->is_failed = true;
		snprintf(db->reason, sizeof db->reason, "%s", err_text(e, rc));
	}
	return rc;
}

void db_close(struct db *db)
{
	pthread_mutex_lock(&db->wake_mu);
	bool has_thread = db->has_thread;
	db->is_stopping = true;
	pthread_cond_signal(&db->wake);
	pthread_mutex_unlock(&db->wake_mu);
	if (has_thread)
		pthread_join(db->thread, NULL);
	if (db->wal && !db->en->opt.read_only) {
		if (!db_dropped(db))
			db_close_clock(db);
		(void)!wal_sync(db->wal, wal_last_lsn(db->wal), NULL);
	}
	release_tables(db);
	db_put(db);
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

struct table *db_table(struct db *db, struct str name)
{
	pthread_mutex_lock(&db->mu);
	struct table *t = db->tables;
	while (t && !str_is(name, t->meta.name))
		t = t->next;
	if (t)
		table_get(t);
	pthread_mutex_unlock(&db->mu);
	return t;
}

static int by_name(const void *x, const void *y)
{
	return strcmp((*(struct table *const *)x)->meta.name, (*(struct table *const *)y)->meta.name);
}

int db_tables(struct db *db, struct table ***ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	pthread_mutex_lock(&db->mu);
	for (struct table *t = db->tables; t; t = t->next)
		n++;
	struct table **v = malloc((n + 1) * sizeof *v);
	n = 0;
	for (struct table *t = db->tables; v && t; t = t->next)
		v[n++] = table_get(t);
	pthread_mutex_unlock(&db->mu);
	if (!v)
		return -ENOMEM;
	qsort(v, n, sizeof *v, by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

/*
 * In the catalogue and on disk, or (say, when the disk is full) neither. Caller holds create_mu, and not
 * db.mu: whoever looks at the list must not wait for a disk.
 */
static int create_table(struct db *db, const char *name, struct table **ret, struct err *e)
{
	struct catalog_table meta = {0};
	struct table *t = NULL;
	int rc = catalog_begin(db->cat, e);

	if (rc < 0)
		return rc;
	rc = catalog_table_create(db->cat, name, &meta, e);
	if (rc >= 0)
		rc = table_open(db, &meta, &t, e);
	if (rc >= 0) {
		rc = catalog_commit(db->cat, e);
	} else {
		catalog_abort(db->cat);
	}
	if (rc >= 0) {
		*ret = t;
		return rc;
	}
	if (t)
		dir_remove(db->dirfd, t->dir);
	table_put(t);
	return rc;
}

int db_table_create(struct db *db, struct str name, struct table **ret, struct err *e)
{
	struct table *t;
	char z[NAME_LEN_MAX + 1];
	int rc = db_check_alive(db, e);

	if (rc >= 0)
		rc = engine_check_name(db->en, name, e);
	if (rc < 0)
		return rc;
	memcpy(z, name.ptr, name.len);
	z[name.len] = '\0';
	pthread_mutex_lock(&db->create_mu);
	rc = db_check_alive(db, e); /* again: nothing is made in what is being dropped */
	if (rc >= 0)
		rc = create_table(db, z, &t, e);
	if (rc >= 0) {
		pthread_mutex_lock(&db->mu);
		t->next = db->tables;
		db->tables = t;
		if (ret)
			*ret = table_get(t);
		pthread_mutex_unlock(&db->mu);
	}
	pthread_mutex_unlock(&db->create_mu);
	return rc;
}

int db_table_drop(struct db *db, struct str name, bool only_if_empty, struct err *e)
{
	int rc = db_check_alive(db, e);
	struct table *t;

	if (rc < 0)
		return rc;
	t = db_table(db, name);
	if (!t)
		return err_set(e, -ENOENT, "there is no table '%.*s' in database '%s'", STR_FMT(name), db->name);
	/* Writers and background work are kept out while it is decided. */
	pthread_mutex_lock(&t->maint_mu);
	pthread_mutex_lock(&t->append_mu);
	if (table_dropped(t))
		rc = err_set(e, -ENOENT, "there is no table '%s' in database '%s'", table_name(t), db->name);
	else if (only_if_empty && table_has_rows(t))
		rc = err_set(e, -ENOTEMPTY, "table '%s' has rows; DROP TABLE \"%s\".\"%s\"; deletes it with them",
			     table_name(t), db->name, table_name(t));
	if (rc >= 0)
		rc = catalog_table_drop(db->cat, t->meta.id, e);
	/* It may be gone when the database is opened next: rows that came now would go with it. */
	bool in_doubt = rc == -EIO && catalog_in_doubt(db->cat);
	if (rc >= 0 || in_doubt)
		atomic_store(&t->is_dropped, true);
	if (in_doubt)
		err_prefix(e, rc, "table '%s' may be gone or not, which the next mount tells", table_name(t));
	pthread_mutex_unlock(&t->append_mu);
	pthread_mutex_unlock(&t->maint_mu);
	if (rc >= 0) {
		pthread_mutex_lock(&db->mu);
		struct table **at = &db->tables;
		while (*at && *at != t)
			at = &(*at)->next;
		if (*at)
			*at = t->next;
		pthread_mutex_unlock(&db->mu);
		memory_sub(db, table_memtable_bytes(t));
		attrs_drop(db, table_name(t));
		table_note_change(t);
		dir_remove(db->dirfd, t->dir);
		table_put(t); /* the list's */
	}
	table_put(t);
	return rc;
}

/* The directory may be a link to one on another disk: then that is emptied and the link goes. */
void db_remove_dir(struct engine *en, const char *name)
{
	char path[512];
	struct dirent *d;

	snprintf(path, sizeof path, "db/%s", name);
	DIR *dir = dir_open(en->dirfd, path, true);
	while (dir && (d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), d->d_name, 0) < 0)
			dir_remove(dirfd(dir), d->d_name);
	}
	if (dir)
		closedir(dir);
	if (unlinkat(en->dirfd, path, AT_REMOVEDIR) < 0 && errno == ENOTDIR)
		unlinkat(en->dirfd, path, 0);
}

/* ---- the log ------------------------------------------------------------------------------------------------------ */

uint64_t db_log_pin(struct table *const *tables, uint32_t n)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t pin = table_log_pin(tables[i]);
		oldest = MIN(oldest, pin);
	}
	return oldest;
}

/*
 * Forget what runs hold. The log's end is read first: an append that comes later is not concerned,
 * and one under way has its rows in the memtable once its append lock is free.
 *
 * What goes cannot be had back. So before it does, the tables are asked again: what they need only moves
 * on, and where it did not, something is wrong here, and the log stays as it is.
 */
static int trim(struct db *db, struct table *const *tables, uint32_t n, uint64_t end, struct err *e)
{
	uint64_t upto = MIN(end, db_log_pin(tables, n) - 1);
	int rc = catalog_set_int(db->cat, "last_lsn", (int64_t)wal_last_lsn(db->wal), e);

	if (rc < 0)
		return rc;
	uint64_t pin = wal_would_drop(db->wal, upto) ? db_log_pin(tables, n) : UINT64_MAX;
	if (pin <= upto)
		return err_set(e, -EIO, "the log is not trimmed up to record %llu: a table needs it from %llu on",
			       (unsigned long long)upto, (unsigned long long)pin);
	return wal_trim(db->wal, upto, e);
}

int db_trim_log(struct db *db, struct err *e)
{
	struct table **tables;
	uint32_t n;

	if (!db->wal)
		return 0; /* replaying */
	pthread_mutex_lock(&db->trim_mu);
	uint64_t end = wal_last_lsn(db->wal);
	int rc = db_tables(db, &tables, &n);
	if (rc < 0) {
		err_set(e, rc, "out of memory");
	} else {
		rc = trim(db, tables, n, end, e);
		for (uint32_t i = 0; i < n; i++)
			table_put(tables[i]);
		free(tables);
	}
	pthread_mutex_unlock(&db->trim_mu);
	return rc;
}

int db_sync(struct db *db, struct err *e)
{
	int rc = db_check_alive(db, e);
	return rc < 0 ? rc : wal_sync(db->wal, wal_last_lsn(db->wal), e);
}
