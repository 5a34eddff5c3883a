/*
 * engine: the data directory and the list of databases.
 *
 *	DATA_DIR/tidefs.format   "tidefs data directory, format 1": whose directory this is
 *	DATA_DIR/lock            locked (flock) by the one process that has it open; its pid as text
 *	DATA_DIR/catalog.sqlite  owners and modes of the root's files
 *	DATA_DIR/db/<name>/      one database each; may be a symbolic link to another disk
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/dir.h"
#include "engine/page.h"
#include "engine/snapshot.h"

#define DROPPED_PREFIX ".dropped-" /* of what is being removed; no database is called like that */
#define FORMAT_FILE    "tidefs.format"
#define FORMAT_PREFIX  "tidefs data directory, format "
#define FORMAT_VERSION 1

/* ---- whose directory is this? ------------------------------------------------------------------------------- */

/* Nothing but what a start that failed (a full disk, a crash) may have left in a directory of ours. */
static bool is_empty_dir(int at, const char *name)
{
	static const char *const ours[] = {".", "..", "lost+found", "lock", FORMAT_FILE ".tmp"};
	DIR *dir = dir_open(at, name, true);
	bool empty = true;
	struct dirent *d;

	if (!dir)
		return false;
	while (empty && (d = readdir(dir))) {
		empty = strcmp(name, ".") == 0 && strcmp(d->d_name, "db") == 0 && is_empty_dir(dirfd(dir), "db");
		for (size_t i = 0; i < ARRAY_LEN(ours); i++)
			empty = empty || strcmp(d->d_name, ours[i]) == 0;
	}
	closedir(dir);
	return empty;
}

static int write_format(struct engine *en)
{
	char text[64];
	int n = snprintf(text, sizeof text, FORMAT_PREFIX "%d\n", FORMAT_VERSION);
	const struct io *io = en->io;

	/* "db" comes first: a directory with a format file is complete. */
	int rc = io_mkdirs(io, en->dirfd, "db");
	if (rc < 0)
		return rc;
	int fd = io->openat(io, en->dirfd, FORMAT_FILE ".tmp", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return fd;
	int64_t wrote = io_pwrite(io, fd, text, (size_t)n, 0);
	rc = wrote < 0 ? (int)wrote : io->fsync(io, fd);
	io->close(io, fd);
	if (rc >= 0)
		rc = io->renameat(io, en->dirfd, FORMAT_FILE ".tmp", en->dirfd, FORMAT_FILE);
	return rc < 0 ? rc : io_sync_parent(io, en->dirfd, FORMAT_FILE);
}

int engine_check_format(struct engine *en, struct err *e)
{
	const struct io *io = en->io;
	char text[64] = "";
	int fd = io->openat(io, en->dirfd, FORMAT_FILE, O_RDONLY, 0);

	if (fd == -ENOENT) {
		if (en->opt.read_only || !is_empty_dir(en->dirfd, "."))
			return err_set(e, -ENOTEMPTY,
				       "'%s' is not a tidefs data directory and not empty; give an empty or a new one",
				       en->path);
		int rc = write_format(en);
		return rc < 0 ? err_set(e, rc, "cannot set up '%s': %s", en->path, strerror(-rc)) : 0;
	}
	if (fd < 0)
		return err_set(e, fd, "cannot read '%s/" FORMAT_FILE "': %s", en->path, strerror(-fd));
	int64_t n = io->pread(io, fd, text, sizeof text - 1, 0);
	io->close(io, fd);
	if (n < 0 || strncmp(text, FORMAT_PREFIX, strlen(FORMAT_PREFIX)) != 0)
		return err_set(e, -EMEDIUMTYPE, "'%s/" FORMAT_FILE "' is not what tidefs writes; this directory is not touched",
			       en->path);
	int version = atoi(text + strlen(FORMAT_PREFIX));
	if (version != FORMAT_VERSION)
		return err_set(e, -EMEDIUMTYPE,
			       "'%s' has format %d, and this tidefs knows format %d; use a newer tidefs", en->path,
			       version, FORMAT_VERSION);
	return 0;
}

int engine_lock(struct engine *en, struct err *e)
{
	char text[32] = "";

	en->lock_fd = openat(en->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (en->lock_fd < 0)
		return err_set(e, -errno, "cannot open '%s/lock': %s", en->path, strerror(errno));
	if (flock(en->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = pread(en->lock_fd, text, sizeof text - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		return err_set(e, -EBUSY, "'%s' is in use by another tidefs%s%s%s; unmount that one first", en->path,
			       text[0] ? " (process " : "", text, text[0] ? ")" : "");
	}
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	if (ftruncate(en->lock_fd, 0) == 0 && pwrite(en->lock_fd, text, (size_t)n, 0) < 0)
		return err_set(e, -errno, "cannot write '%s/lock': %s", en->path, strerror(errno));
	return 0;
}

/* ---- opening and closing ---------------------------------------------------------------------------------------- */

static int open_root(struct engine *en, struct err *e)
{
	char path[4096];

	en->root.en = en;
	en->root.dirfd = en->dirfd; /* lent */
	pthread_mutex_init(&en->root.attr_mu, NULL);
	snprintf(path, sizeof path, "%s/catalog.sqlite", en->path);
	int rc = check_catalog_there(en->dirfd, "", e);
	if (rc == -EBADMSG)
		return rc;
	rc = catalog_open(path, en->opt.read_only, &en->root.cat, e);
	if (rc == -EBADMSG)
		return err_prefix(e, rc, "`tidefs fsck DATA_DIR --repair` can help");
	if (rc >= 0)
		rc = attrs_load(&en->root, e);
	if (rc >= 0 && !en->opt.read_only)
		copies_begin(&en->root);
	return rc;
}

static void add_db(struct engine *en, struct db *db)
{
	struct db **at = &en->dbs;

	while (*at && strcmp((*at)->name, db->name) < 0)
		at = &(*at)->next;
	db->next = *at;
	*at = db;
}

/*
 * Databases are opened side by side, so that one with a long log or a slow disk does not keep the
 * others waiting. Beyond the cores a few threads more: replaying waits for disks, too.
 *
 * Nothing is served before the last of them is done. A log is at most SEAL_LOG_BYTES or so, some
 * seconds; a mount with databases that are not there yet would have every reader and script learn
 * of one more error, and answer "no such table" to who does not.
 */
#define OPENERS_MIN 4

struct opening {
	struct engine *en;
	char (*names)[NAME_LEN_MAX + 1];
	uint32_t count;
	pthread_mutex_t mu;
	pthread_cond_t changed;
	uint32_t next, done;  /* guarded by mu, as all below */
	struct db **under_way; /* by name's index; NULL: not begun, or over */
	int rc;                /* -ENOMEM: not even a db to list as failed */
};

static void *opener(void *arg)
{
	struct opening *o = arg;

	pthread_mutex_lock(&o->mu);
	while (o->next < o->count) {
		uint32_t i = o->next++;
		struct db *db = o->under_way[i] = db_create(o->en, o->names[i]);
		if (db) {
			struct err why = {0};
			pthread_mutex_unlock(&o->mu);
			(void)!db_load(db, false, &why); /* failed ones are listed, too: status says why */
			pthread_mutex_lock(&o->mu);
			add_db(o->en, db);
		} else {
			o->rc = -ENOMEM;
		}
		o->under_way[i] = NULL;
		o->done++;
		pthread_cond_signal(&o->changed);
	}
	pthread_mutex_unlock(&o->mu);
	return NULL;
}

/* mu is held: what is seen of a database here stays until it is given back. */
static void report(struct opening *o)
{
	const struct engine_options *opt = &o->en->opt;

	for (uint32_t i = 0; i < o->count && opt->recovering; i++) {
		struct db *db = o->under_way[i];
		uint64_t total = db ? atomic_load(&db->progress.total) : 0;
		if (total)
			opt->recovering(opt->recovering_ctx, db->name, atomic_load(&db->progress.done), total);
	}
}

static int open_all(struct opening *o, struct err *e)
{
	uint32_t most = (uint32_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), OPENERS_MIN), n = 0;
	pthread_t threads[256];

	most = MIN(MIN(most, o->count), (uint32_t)ARRAY_LEN(threads));
	while (n < most && pthread_create(&threads[n], NULL, opener, o) == 0)
		n++;
	if (!n)
		opener(o); /* without a thread: in this one */
	pthread_mutex_lock(&o->mu);
	while (o->done < o->count) {
		struct timespec ts;
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec++;
		if (pthread_cond_timedwait(&o->changed, &o->mu, &ts) == ETIMEDOUT)
			report(o);
	}
	pthread_mutex_unlock(&o->mu);
	while (n)
		pthread_join(threads[--n], NULL);
	return o->rc < 0 ? err_set(e, o->rc, "out of memory") : 0;
}

static int list_dbs(struct opening *o, struct err *e)
{
	struct engine *en = o->en;
	DIR *dir = dir_open(en->dirfd, "db", true);
	struct dirent *d;
	uint32_t cap = 0;

	if (!dir)
		return err_set(e, -errno, "cannot read '%s/db': %s", en->path, strerror(errno));
	while ((d = readdir(dir))) {
		if (strncmp(d->d_name, DROPPED_PREFIX, strlen(DROPPED_PREFIX)) == 0 && !en->opt.read_only) {
			db_remove_dir(en, d->d_name);
			continue;
		}
		if (engine_check_name(en, str_from(d->d_name), NULL) < 0)
			continue; /* not ours: ".", "..", lost+found and the like */
		if (o->count == cap) {
			cap = MAX(cap * 2, 16u);
			void *v = realloc(o->names, cap * sizeof *o->names);
			if (!v) {
				closedir(dir);
				return err_set(e, -ENOMEM, "out of memory");
			}
			o->names = v;
		}
		snprintf(o->names[o->count++], sizeof o->names[0], "%s", d->d_name);
	}
	closedir(dir);
	return 0;
}

static int open_dbs(struct engine *en, struct err *e)
{
	struct opening o = {.en = en};
	pthread_condattr_t mono;
	int rc = list_dbs(&o, e);

	pthread_mutex_init(&o.mu, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&o.changed, &mono);
	pthread_condattr_destroy(&mono);
	if (rc >= 0 && o.count) {
		o.under_way = calloc(o.count, sizeof *o.under_way);
		rc = o.under_way ? open_all(&o, e) : err_set(e, -ENOMEM, "out of memory");
	}
	pthread_mutex_destroy(&o.mu);
	pthread_cond_destroy(&o.changed);
	free(o.under_way);
	free(o.names);
	return rc;
}

static size_t default_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	size_t quarter = pages > 0 && size > 0 ? (size_t)pages * (size_t)size / 4 : (size_t)256 << 20;
	return MIN(quarter, (size_t)512 << 20);
}

/* Every open tile holds a descriptor. */
static void raise_file_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int engine_open(const char *data_dir, const struct engine_options *opt, struct engine **ret, struct err *e)
{
	struct engine *en = calloc(1, sizeof *en);
	int rc;

	if (!en)
		return err_set(e, -ENOMEM, "out of memory");
	en->opt = opt ? *opt : (struct engine_options){0};
	en->io = en->opt.io ? en->opt.io : io_posix();
	en->lock_fd = en->dirfd = -1;
	en->memtable_limit = en->opt.memory_bytes ? en->opt.memory_bytes : default_memory();
	en->boot = en->opt.boot ? en->opt.boot : wal_boot_of_machine();
	pthread_mutex_init(&en->mu, NULL);
	raise_file_limit();
	rc = page_cache_create(en->opt.cache_bytes ? en->opt.cache_bytes : en->memtable_limit / 2, &en->pages);
	if (rc < 0) {
		err_set(e, rc, "out of memory");
		goto fail;
	}
	if (!en->opt.read_only && mkdir(data_dir, 0700) < 0 && errno != EEXIST) {
		rc = err_set(e, -errno, "cannot make '%s': %s", data_dir, strerror(errno));
		goto fail;
	}
	en->path = realpath(data_dir, NULL);
	en->dirfd = en->path ? open(en->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (en->dirfd < 0) {
		rc = err_set(e, -errno, "cannot open '%s': %s", data_dir, strerror(errno));
		goto fail;
	}
	rc = engine_check_format(en, e);
	if (rc >= 0)
		rc = engine_lock(en, e);
	if (rc >= 0)
		rc = open_root(en, e);
	if (rc >= 0)
		rc = open_dbs(en, e);
	if (rc < 0)
		goto fail;
	*ret = en;
	return 0;
fail:
	engine_close(en);
	return rc;
}

void engine_close(struct engine *en)
{
	if (!en)
		return;
	while (en->dbs) {
		struct db *db = en->dbs;
		en->dbs = db->next;
		db_close(db);
	}
	if (en->root.en) {
		catalog_close(en->root.cat);
		attrs_release(&en->root);
		pthread_mutex_destroy(&en->root.attr_mu);
	}
	page_cache_destroy(en->pages);
	if (en->lock_fd >= 0)
		close(en->lock_fd);
	if (en->dirfd >= 0)
		close(en->dirfd);
	pthread_mutex_destroy(&en->mu);
	free(en->path);
	free(en);
}

int db_dirfd(const struct db *db)
{
	return db->dirfd;
}

int engine_dirfd(const struct engine *en)
{
	return en->dirfd;
}

int engine_maintain(struct engine *en, struct err *e)
{
	struct db **dbs;
	uint32_t n;
	int rc = engine_dbs(en, &dbs, &n), first = 0;

	if (rc < 0)
		return err_set(e, rc, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		rc = dbs[i]->is_failed || db_dropped(dbs[i]) ? 0 : db_maintain(dbs[i], e);
		if (rc < 0 && !first)
			first = rc;
		db_put(dbs[i]);
	}
	free(dbs);
	return first;
}

/* ---- databases ---------------------------------------------------------------------------------------------------- */

int name_check(struct str name, struct err *e)
{
	if (!name.len)
		return err_set(e, -EINVAL, "a name must not be empty");
	if (name.len > NAME_LEN_MAX)
		return err_set(e, -ENAMETOOLONG, "a name has at most %d bytes", NAME_LEN_MAX);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool is_ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     c == '_' || c == '-' || c == '.';
		if (!is_ok)
			return err_set(e, -EINVAL, "'%.*s' is not a name: a-z A-Z 0-9 _ - . are allowed", STR_FMT(name));
	}
	if (name.ptr[0] == '.')
		return err_set(e, -EINVAL, "'%.*s' is not a name: it must not begin with a dot", STR_FMT(name));
	return 0;
}

int engine_check_name(const struct engine *en, struct str name, struct err *e)
{
	int rc = name_check(name, e);

	if (rc < 0)
		return rc;
	for (const char *const *r = en->opt.reserved_names; r && *r; r++)
		if (str_is(name, *r))
			return err_set(e, -EINVAL, "'%.*s' is the name of a control file", STR_FMT(name));
	return 0;
}

int engine_db_create(struct engine *en, struct str name, struct db **ret, struct err *e)
{
	char path[NAME_LEN_MAX + 4];
	struct db *db = NULL;
	int rc = engine_check_name(en, name, e);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof path, "db/%.*s", STR_FMT(name));
	pthread_mutex_lock(&en->mu);
	rc = en->io->mkdirat(en->io, en->dirfd, path, 0700);
	if (rc < 0)
		err_set(e, rc, rc == -EEXIST ? "there is a database '%s' already" : "cannot make the directory '%s'",
			path + (rc == -EEXIST ? 3 : 0));
	if (rc >= 0) {
		rc = io_sync_parent(en->io, en->dirfd, path);
		if (rc >= 0) {
			db = db_create(en, path + 3);
			rc = db ? db_load(db, true, e) : err_set(e, -ENOMEM, "out of memory");
		}
		if (rc < 0) {
			if (db)
				db_close(db);
			db_remove_dir(en, path + 3);
		}
	}
	if (rc >= 0) {
		add_db(en, db);
		if (ret)
			*ret = db_get(db);
	}
	pthread_mutex_unlock(&en->mu);
	return rc;
}

/*
 * Out of the way at once and as a whole: half a directory under the old name would come up as a
 * database when a crash cuts the removal short, or be in the way of a new one. What stays is swept at
 * the next open.
 */
static void rename_dropped(struct engine *en, const char *name, char gone[NAME_LEN_MAX + 1])
{
	char from[NAME_LEN_MAX + 4], to[NAME_LEN_MAX + 4];

	snprintf(gone, NAME_LEN_MAX + 1, DROPPED_PREFIX "%llx", (unsigned long long)clock_mono_ns());
	snprintf(from, sizeof from, "db/%s", name);
	snprintf(to, sizeof to, "db/%s", gone);
	if (en->io->renameat(en->io, en->dirfd, from, en->dirfd, to) < 0)
		snprintf(gone, NAME_LEN_MAX + 1, "%s", name);
}

int engine_db_drop(struct engine *en, struct str name, struct err *e)
{
	struct db **at, *db;
	char gone[NAME_LEN_MAX + 1];
	int rc = 0;

	pthread_mutex_lock(&en->mu);
	for (at = &en->dbs; *at && !str_is(name, (*at)->name); at = &(*at)->next)
		;
	db = *at;
	if (!db) {
		rc = err_set(e, -ENOENT, "there is no database '%.*s'", STR_FMT(name));
	} else if (db->is_failed) {
		rc = err_set(e, -EIO, "database '%s' is not available: %s", db->name, db->reason);
	} else if (pthread_mutex_trylock(&db->create_mu) != 0) {
		/* Not waited for: it may be its disk that hangs, and the others need en->mu. */
		rc = err_set(e, -EBUSY, "a table is being made in database '%s'", db->name);
	} else {
		pthread_mutex_lock(&db->mu);
		pthread_mutex_lock(&db->snap_mu);
		if (db->tables)
			rc = err_set(e, -ENOTEMPTY, "database '%s' has tables; drop them first", db->name);
		else if (snapshots_exist(db))
			rc = err_set(e, -ENOTEMPTY, "database '%s' has snapshots; rmdir those below snapshots/ first",
				     db->name);
		else
			atomic_store(&db->is_dropped, true);
		pthread_mutex_unlock(&db->snap_mu);
		pthread_mutex_unlock(&db->mu);
		pthread_mutex_unlock(&db->create_mu);
	}
	if (rc >= 0) {
		*at = db->next;
		rename_dropped(en, db->name, gone);
	}
	pthread_mutex_unlock(&en->mu);
	if (rc < 0)
		return rc;
	db_forget(en, db->name);
	attrs_drop(&en->root, db->name);
	db_remove_dir(en, gone);
	db_close(db);
	return 0;
}

struct db *engine_db(struct engine *en, struct str name)
{
	pthread_mutex_lock(&en->mu);
	struct db *db = en->dbs;
	while (db && !str_is(name, db->name))
		db = db->next;
	if (db)
		db_get(db);
	pthread_mutex_unlock(&en->mu);
	return db;
}

int engine_dbs(struct engine *en, struct db ***ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	pthread_mutex_lock(&en->mu);
	for (struct db *db = en->dbs; db; db = db->next)
		n++;
	struct db **v = malloc((n + 1) * sizeof *v);
	n = 0;
	for (struct db *db = en->dbs; v && db; db = db->next)
		v[n++] = db_get(db);
	pthread_mutex_unlock(&en->mu);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}
