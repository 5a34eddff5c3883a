/*
 * snapshot: read-only copies of a database, each as of one moment.
 *
 *	<cell>/snapshots/<name>/snapshot.json
 *	<cell>/snapshots/<name>/<table>/magnetic/ts_date=.../ts_part=.../....parquet
 *	<cell>/snapshots/.<hex>.tmp/      one that is being made, or is going: swept at open
 *
 * Made below a temporary name, synced from the leaves to the root, renamed: a snapshot is there as a
 * whole or not at all, whatever happens on the way. Nothing of it ever changes. It is independent of
 * the tables from then on: its tiles are names of their own (hard links), so merges, retention, rm
 * and DROP TABLE take nothing from it.
 *
 * The directory's mtime is the snapshot's moment, so that a list of them needs no file to be read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/dir.h"
#include "engine/snapshot.h"

#define TRIES         5                   /* a table that is dropped meanwhile makes it begin anew */
#define SEAL_FIRST    ((size_t)32 << 20) /* a memtable past that is sealed before it is pinned */
#define DOC_BYTES_MAX ((size_t)256 << 20)

/* Swept at open, whatever it is: no snapshot is called like that. */
static void temp_name(char to[64])
{
	static _Atomic uint32_t counter;

	snprintf(to, 64, DIR_SNAPSHOTS "/.%llx-%x.tmp", (unsigned long long)clock_mono_ns(),
		 atomic_fetch_add(&counter, 1));
}

struct snapshot {
	_Atomic uint32_t refs;
	char name[NAME_LEN_MAX + 1];
	int64_t created_ns;
	struct db *db; /* that it is of; not referenced: whoever holds a snapshot holds its database */
	_Atomic bool is_dropped;
	pthread_mutex_t mu;
	int dirfd;            /* guarded by mu; -1 until it was asked for, and then for good */
	bool is_read;         /* guarded by mu: doc is what snapshot.json says, or damaged */
	bool is_damaged;
	struct snap_doc doc;  /* constant once is_read */
	struct snapshot *next; /* guarded by db.snap_mu */
};

/* ---- the list --------------------------------------------------------------------------------------- */

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* name: below snapshots/. */
static int open_one(struct db *db, const char *name, struct snapshot **ret)
{
	struct snapshot *s = calloc(1, sizeof *s);
	char path[NAME_LEN_MAX + 16];
	struct stat st;

	if (!s)
		return -ENOMEM;
	snprintf(path, sizeof path, DIR_SNAPSHOTS "/%s", name);
	if (fstatat(db->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)) {
		free(s);
		return -ENOTDIR;
	}
	atomic_init(&s->refs, 1);
	s->db = db;
	s->dirfd = -1;
	pthread_mutex_init(&s->mu, NULL);
	snprintf(s->name, sizeof s->name, "%s", name);
	s->created_ns = ns_of(st.st_mtim);
	*ret = s;
	return 0;
}

struct snapshot *snapshot_get(struct snapshot *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void snapshot_put(struct snapshot *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	if (s->is_read)
		snap_doc_release(&s->doc);
	pthread_mutex_destroy(&s->mu);
	if (s->dirfd >= 0)
		close(s->dirfd);
	free(s);
}

/* Caller holds snap_mu, or nobody else knows the database yet. Where it is, or would be. */
static struct snapshot **place(struct db *db, struct str name)
{
	struct snapshot **at = &db->snapshots;

	while (*at && str_cmp(str_from((*at)->name), name) < 0)
		at = &(*at)->next;
	return at;
}

static bool is_there(struct snapshot *const *at, struct str name)
{
	return *at && str_is(name, (*at)->name);
}

static void list_add(struct db *db, struct snapshot *s)
{
	struct snapshot **at = place(db, str_from(s->name));

	s->next = *at;
	*at = s;
}

/* One that is there and not listed would be thrown away with a database that seems to have none. */
int snapshots_open(struct db *db, struct err *e)
{
	DIR *dir = dir_open(db->dirfd, DIR_SNAPSHOTS, true);
	struct dirent *d;
	int rc = 0;

	if (!dir && errno != ENOENT)
		return err_set(e, -errno, "cannot read '" DIR_SNAPSHOTS "': %s", strerror(errno));
	while (dir && rc >= 0 && (d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (d->d_name[0] == '.' && !db->en->opt.read_only) {
			dir_remove(dirfd(dir), d->d_name); /* half-made or half-gone */
			continue;
		}
		struct snapshot *s;
		if (name_check(str_from(d->d_name), NULL) < 0)
			continue;
		rc = open_one(db, d->d_name, &s);
		if (rc >= 0)
			list_add(db, s);
		else if (rc == -ENOTDIR)
			rc = 0;
	}
	if (dir)
		closedir(dir);
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}

void snapshots_release(struct db *db)
{
	while (db->snapshots) {
		struct snapshot *s = db->snapshots;
		db->snapshots = s->next;
		snapshot_put(s);
	}
}

bool snapshots_exist(struct db *db)
{
	return db->snapshots != NULL;
}

struct snapshot *db_snapshot(struct db *db, struct str name)
{
	pthread_mutex_lock(&db->snap_mu);
	struct snapshot **at = place(db, name);
	struct snapshot *s = is_there(at, name) ? snapshot_get(*at) : NULL;
	pthread_mutex_unlock(&db->snap_mu);
	return s;
}

int db_snapshots(struct db *db, struct snapshot_entry **ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	pthread_mutex_lock(&db->snap_mu);
	for (struct snapshot *s = db->snapshots; s; s = s->next)
		n++;
	struct snapshot_entry *v = calloc(n + 1, sizeof *v);
	n = 0;
	for (struct snapshot *s = db->snapshots; v && s; s = s->next) {
		memcpy(v[n].name, s->name, sizeof v[n].name);
		v[n++].created_ns = s->created_ns;
	}
	pthread_mutex_unlock(&db->snap_mu);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

int db_snapshot_dirfd(struct db *db, struct str name, int *ret_fd, struct err *e)
{
	struct snapshot *s = db_snapshot(db, name);

	if (!s)
		return err_set(e, -ENOENT, "database '%s' has no snapshot '%.*s'", db->name, STR_FMT(name));
	int rc = snapshot_dirfd(s);
	if (rc >= 0) {
		*ret_fd = fcntl(rc, F_DUPFD_CLOEXEC, 0);
		rc = *ret_fd < 0 ? -errno : 0;
	}
	snapshot_put(s);
	return rc < 0 ? err_set(e, rc, "cannot open '" DIR_SNAPSHOTS "/%.*s': %s", STR_FMT(name), strerror(-rc)) : 0;
}

/* ---- one of them --------------------------------------------------------------------------------------- */

int64_t snapshot_created_ns(const struct snapshot *s)
{
	return s->created_ns;
}

/* Caller holds mu. */
static int open_dir(struct snapshot *s)
{
	char path[NAME_LEN_MAX + 16];

	if (s->dirfd >= 0)
		return s->dirfd;
	if (snapshot_dropped(s))
		return -ESTALE;
	snprintf(path, sizeof path, DIR_SNAPSHOTS "/%s", s->name);
	s->dirfd = openat(s->db->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return s->dirfd < 0 ? -errno : s->dirfd;
}

int snapshot_dirfd(struct snapshot *s)
{
	pthread_mutex_lock(&s->mu);
	int rc = open_dir(s);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

bool snapshot_dropped(const struct snapshot *s)
{
	return atomic_load(&s->is_dropped);
}

static const struct snap_doc *read_doc(struct snapshot *s)
{
	pthread_mutex_lock(&s->mu);
	int rc = s->is_read ? 0 : open_dir(s);
	if (rc >= 0 && !s->is_read) {
		snap_doc_init(&s->doc);
		rc = snap_doc_load(&s->doc, io_posix(), s->dirfd, ".", NULL);
		/* Want of memory or of descriptors passes; damage does not. */
		s->is_damaged = rc == -EBADMSG || rc == -ENOENT;
		s->is_read = rc >= 0 || s->is_damaged;
		if (!s->is_read)
			snap_doc_release(&s->doc);
	}
	const struct snap_doc *d = s->is_read && !s->is_damaged ? &s->doc : NULL;
	pthread_mutex_unlock(&s->mu);
	return d;
}

bool snapshot_table(struct snapshot *s, uint32_t i, struct str *ret)
{
	const struct snap_doc *d = read_doc(s);

	if (!d || i >= d->table_n)
		return false;
	*ret = d->tables[i].name;
	return true;
}

bool snapshot_attr(struct snapshot *s, struct db *db, struct str table, const char *below, struct node_attr *ret)
{
	const struct snap_doc *d = read_doc(s);
	const struct snap_table *st = d ? snap_find(d, table) : NULL;
	char path[NAME_LEN_MAX + 64];
	bool found = false;

	if (!st) { /* nobody but root may know */
		*ret = (struct node_attr){0, UINT32_MAX, UINT32_MAX};
		return true;
	}
	struct table *t = db_table(db, table);
	if (t && memcmp(t->meta.uuid, st->uuid, sizeof st->uuid) == 0) {
		snprintf(path, sizeof path, "%s%s%s", table_name(t), *below ? "/" : "", below);
		found = engine_attr(db->en, db, path, ret);
	} else {
		for (uint32_t i = 0; i < st->attr_n && !found; i++) {
			found = str_is(st->attrs[i].path, below);
			if (found)
				*ret = st->attrs[i].attr;
		}
	}
	table_put(t);
	return found;
}

/* ---- making one ------------------------------------------------------------------------------------------- */

/* What snapshot.json says of a table, but for rows and tiles. */
static int describe(struct snap_doc *d, const struct snap_pin *p, struct snap_table *st)
{
	struct table *t = p->table;
	struct db *db = t->db;
	size_t len = strlen(table_name(t));
	char text[SETTING_TEXT_MAX];
	int rc = 0;

	st->name = arena_str(&d->arena, str_from(table_name(t)));
	memcpy(st->uuid, t->meta.uuid, sizeof st->uuid);
	if (!st->name.ptr)
		return -ENOMEM;
	for (int s = 0; s < SETTINGS; s++) {
		table_setting(t, (enum setting)s, text);
		st->settings[s] = arena_str(&d->arena, str_from(text));
		if (!st->settings[s].ptr)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < p->defs.columns; i++) {
		const struct column *c = series_column(t->series, i);
		struct snap_column *sc = snap_add_column(d, st);
		if (!sc)
			return -ENOMEM;
		*sc = (struct snap_column){arena_str(&d->arena, c->name), c->type, c->kind};
		if (!sc->name.ptr)
			return -ENOMEM;
	}
	pthread_mutex_lock(&db->attr_mu);
	for (uint32_t i = 0; i < db->attr_count && rc >= 0; i++) {
		const struct attr_entry *a = &db->attrs[i];
		if (strncmp(a->path, table_name(t), len) != 0 || (a->path[len] && a->path[len] != '/'))
			continue;
		struct snap_attr *sa = snap_add_attr(d, st);
		if (sa)
			*sa = (struct snap_attr){arena_str(&d->arena, str_from(a->path + len + (a->path[len] == '/'))),
						 a->attr};
		rc = sa && sa->path.ptr ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&db->attr_mu);
	return rc;
}

static int write_doc(const struct snap_writer *w, struct err *e)
{
	const struct io *io = w->db->en->io;
	char path[128];
	struct buf out;

	buf_init(&out, DOC_BYTES_MAX);
	snap_doc_print(w->doc, &out);
	snprintf(path, sizeof path, "%s/" FILE_SNAPSHOT, w->dir);
	FAULT("snapshot.json");
	int rc = out.rc, fd = rc < 0 ? rc : io->openat(io, w->db->dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	if (rc >= 0)
		rc = fd < 0 ? fd : 0;
	if (rc >= 0) {
		int64_t n = io_pwrite(io, fd, out.data, out.len, 0);
		rc = n < 0 ? (int)n : io->fsync(io, fd);
	}
	if (fd >= 0)
		io->close(io, fd);
	buf_release(&out);
	return rc < 0 ? err_set(e, rc, "cannot write '%s': %s", path, strerror(-rc)) : 0;
}

/* fsync of every directory, leaves first. Files were synced when they were written. */
static int sync_dirs(const struct io *io, int at, const char *path)
{
	DIR *dir = dir_open(at, path, false);
	struct dirent *d;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc >= 0 && (d = readdir(dir))) {
		struct stat st;
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = -errno;
		else if (S_ISDIR(st.st_mode))
			rc = sync_dirs(io, dirfd(dir), d->d_name);
	}
	if (rc >= 0)
		rc = io->fsync(io, dirfd(dir));
	closedir(dir);
	return rc;
}

static int by_name(const void *x, const void *y)
{
	return str_cmp(((const struct snap_table *)x)->name, ((const struct snap_table *)y)->name);
}

/* All tables as of one moment, below w->dir. *ret_again: a table was dropped under it. */
static int write_all(struct snap_writer *w, bool *ret_again, struct err *e)
{
	struct snap_pin *pins;
	uint32_t n;
	int rc = snapshot_pin(w->db, &pins, &n, &w->doc->created_ns, e);

	*ret_again = false;
	if (rc < 0)
		return rc;
	FAULT("snapshot.pinned");
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		struct snap_table *st = snap_add_table(w->doc);
		rc = st ? describe(w->doc, &pins[i], st) : -ENOMEM;
		if (rc < 0)
			err_set(e, rc, "out of memory for a snapshot of database '%s'", w->db->name);
		else
			rc = snapshot_write_table(w, &pins[i], st, e);
		if (rc < 0)
			*ret_again = table_dropped(pins[i].table) && (rc == -ENOENT || rc == -ESTALE);
		snapshot_unpin_one(&pins[i]);
	}
	snapshot_unpin(pins, n);
	if (rc >= 0 && w->doc->table_n)
		qsort(w->doc->tables, w->doc->table_n, sizeof *w->doc->tables, by_name);
	return rc;
}

static int begin_dir(const struct snap_writer *w, struct err *e)
{
	const struct io *io = w->db->en->io;
	int rc = io_mkdirs(io, w->db->dirfd, DIR_SNAPSHOTS);

	if (rc >= 0)
		rc = io->mkdirat(io, w->db->dirfd, w->dir, 0777);
	return rc < 0 ? err_set(e, rc, "cannot make '%s': %s", w->dir, strerror(-rc)) : 0;
}

/* The whole tree on disk, with the moment as its time. */
static int finish_dir(const struct snap_writer *w, struct err *e)
{
	const struct io *io = w->db->en->io;
	int64_t at = w->doc->created_ns;
	struct timespec t[2] = {{.tv_sec = floor_div(at, NS_PER_S)}, {.tv_sec = floor_div(at, NS_PER_S)}};

	t[0].tv_nsec = t[1].tv_nsec = at - t[0].tv_sec * NS_PER_S;
	if (utimensat(w->db->dirfd, w->dir, t, 0) < 0)
		return err_set(e, -errno, "cannot set the time of '%s': %s", w->dir, strerror(errno));
	int rc = sync_dirs(io, w->db->dirfd, w->dir);
	return rc < 0 ? err_set(e, rc, "cannot sync '%s': %s", w->dir, strerror(-rc)) : 0;
}

static int check_new(struct db *db, struct str name, struct err *e)
{
	if (is_there(place(db, name), name))
		return err_set(e, -EEXIST, "database '%s' has a snapshot '%.*s' already", db->name, STR_FMT(name));
	return 0;
}

/* From here on it is there. Caller holds make_mu, so nobody else makes one of that name. */
static int publish(const struct snap_writer *w, const char *name, struct err *e)
{
	struct db *db = w->db;
	const struct io *io = db->en->io;
	char path[NAME_LEN_MAX + 16];

	snprintf(path, sizeof path, DIR_SNAPSHOTS "/%s", name);
	pthread_mutex_lock(&db->snap_mu);
	int rc = snapshot_stopped(w, e);
	if (rc < 0)
		goto out;
	FAULT("snapshot.rename");
	rc = io->renameat(io, db->dirfd, w->dir, db->dirfd, path);
	if (rc < 0) {
		err_set(e, rc, "cannot publish '%s': %s", path, strerror(-rc));
		goto out;
	}
	rc = io_sync_parent(io, db->dirfd, path);
	struct snapshot *s;
	if (rc >= 0)
		rc = open_one(db, name, &s);
	if (rc >= 0) {
		FAULT("snapshot.published");
		list_add(db, s);
	} else {
		/* Back under the name that is swept: what answered with an error is not there. */
		(void)!io->renameat(io, db->dirfd, path, db->dirfd, w->dir);
		err_set(e, rc, "cannot publish '%s': %s", path, strerror(-rc));
	}
out:
	pthread_mutex_unlock(&db->snap_mu);
	return rc;
}

/*
 * Pinned blocks are not given back for as long as the snapshot takes, though the limit on memory no
 * longer counts them once they are sealed: so large memtables become runs first. What comes between
 * that and the moment is little. What cannot be sealed, in a database that refuses writes, is held.
 */
static void seal_large(struct db *db)
{
	struct table **v;
	uint32_t n;

	if (db_tables(db, &v, &n) < 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		if (table_memtable_bytes(v[i]) > SEAL_FIRST)
			(void)!table_seal(v[i], NULL);
		table_put(v[i]);
	}
	free(v);
}

static int make_locked(struct db *db, const char *name, const atomic_bool *stop, struct err *e)
{
	struct snap_doc doc;
	char dir[64];
	struct snap_writer w = {.db = db, .dir = dir, .doc = &doc, .stop = stop};
	bool again = true;
	int rc = 0;

	seal_large(db);
	for (int i = 0; i < TRIES && again && rc >= 0; i++) {
		temp_name(dir);
		snap_doc_init(&doc);
		doc.database = str_from(db->name);
		rc = begin_dir(&w, e);
		again = false;
		if (rc >= 0)
			rc = write_all(&w, &again, e);
		if (rc >= 0)
			rc = write_doc(&w, e);
		if (rc >= 0)
			rc = finish_dir(&w, e);
		if (rc >= 0)
			rc = publish(&w, name, e);
		if (rc < 0)
			dir_remove(db->dirfd, dir);
		snap_doc_release(&doc);
		if (again && i + 1 < TRIES)
			rc = 0;
	}
	return rc;
}

int db_snapshot_create(struct db *db, struct str name, const atomic_bool *stop, struct err *e)
{
	char z[NAME_LEN_MAX + 1];
	int rc = db_check_alive(db, e);

	if (rc >= 0)
		rc = name_check(name, e);
	if (rc >= 0 && db->en->opt.read_only)
		rc = err_set(e, -EROFS, "the data directory is open for reading only");
	if (rc < 0)
		return rc;
	memcpy(z, name.ptr, name.len);
	z[name.len] = '\0';
	pthread_mutex_lock(&db->make_mu);
	pthread_mutex_lock(&db->snap_mu);
	rc = check_new(db, name, e);
	pthread_mutex_unlock(&db->snap_mu);
	if (rc >= 0)
		rc = make_locked(db, z, stop, e);
	pthread_mutex_unlock(&db->make_mu);
	return rc;
}

/* ---- dropping one ------------------------------------------------------------------------------------------- */

int db_snapshot_drop(struct db *db, struct str name, struct err *e)
{
	const struct io *io = db->en->io;
	char path[NAME_LEN_MAX + 16], gone[64];
	struct snapshot *s = NULL;
	int rc = db_check_alive(db, e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&db->snap_mu);
	struct snapshot **at = place(db, name);
	if (!is_there(at, name)) {
		rc = err_set(e, -ENOENT, "database '%s' has no snapshot '%.*s'", db->name, STR_FMT(name));
	} else {
		s = *at;
		snprintf(path, sizeof path, DIR_SNAPSHOTS "/%s", s->name);
		temp_name(gone);
		FAULT("snapshot.drop");
		rc = io->renameat(io, db->dirfd, path, db->dirfd, gone);
		if (rc >= 0) {
			*at = s->next;
			atomic_store(&s->is_dropped, true);
			rc = io_sync_parent(io, db->dirfd, path);
		}
		if (rc < 0)
			err_set(e, rc, "cannot drop '%s': %s", path, strerror(-rc));
	}
	pthread_mutex_unlock(&db->snap_mu);
	if (s && snapshot_dropped(s)) {
		FAULT("snapshot.dropped");
		dir_remove(db->dirfd, gone);
		snapshot_put(s);
	}
	return rc;
}
