/*
 * fsck: the data directory as a whole, findings, and moving aside.
 *
 * The order inside a database follows what depends on what: catalogue, series files, the log (which
 * completes the definitions), then runs and tiles by themselves and against each other. A repair is
 * made as soon as its finding is certain, in an order that a crash leaves to be found again.
 */
#include "engine/dir.h"
#include "engine/fsck_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define COPY_BYTES (1 << 20)

/* ---- findings -------------------------------------------------------------------------------- */

void fsck_found(struct fsck *f, struct fsck_where w, enum fsck_severity s, bool can, int rc,
		const char *repair, const char *fmt, ...)
{
	char what[1200], how[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	snprintf(how, sizeof how, "%s", repair ? repair : "");
	/* The engine's sentences begin with the file, as this finding does. */
	size_t n = w.file ? strlen(w.file) : 0;
	bool twice = n && strncmp(what, w.file, n) == 0 && strncmp(what + n, ": ", 2) == 0;
	struct fsck_finding x = {
		.severity = s,
		.db = w.db ? w.db->name : "",
		.table = w.table ? w.table->meta.name : "",
		.file = w.file ? w.file : "",
		.offset = w.off,
		.what = twice ? what + n + 2 : what,
		.repair = how,
		.outcome = !can ? FSCK_STAYS : !fsck_repairs(f) ? FSCK_WOULD : rc < 0 ? FSCK_FAILED : FSCK_REPAIRED,
	};
	if (x.outcome == FSCK_FAILED)
		snprintf(how, sizeof how, "%s: %s", repair ? repair : "", strerror(-rc));
	if (s != FSCK_NOTE || x.outcome == FSCK_FAILED) {
		f->out.problems++;
		f->out.repaired += x.outcome == FSCK_REPAIRED;
	}
	if (f->opt->found)
		f->opt->found(f->opt->ctx, &x);
}

void fsck_checked(struct fsck *f, uint64_t bytes)
{
	f->out.files++;
	f->out.bytes += bytes;
	f->done += bytes;
	if (f->opt->progress)
		f->opt->progress(f->opt->ctx, MIN(f->done, f->total), f->total);
}

/* ---- files ----------------------------------------------------------------------------------- */

int fsck_walk(int dirfd, const char *path, int (*fn)(void *ctx, const char *path, const struct stat *st),
	      void *ctx)
{
	DIR *dir = dir_open(dirfd, path, true);
	char below[FSCK_PATH];
	struct dirent *d;
	struct stat st;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc >= 0 && (d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (snprintf(below, sizeof below, "%s/%s", path, d->d_name) >= (int)sizeof below ||
		    fstatat(dirfd, below, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			rc = fsck_walk(dirfd, below, fn, ctx);
		if (rc >= 0)
			rc = fn(ctx, below, &st);
	}
	closedir(dir);
	return rc;
}

static int is_no_directory(void *ctx, const char *path, const struct stat *st)
{
	(void)path;
	*(bool *)ctx |= !S_ISDIR(st->st_mode);
	return 0;
}

int fsck_holds_files(int dirfd, const char *path, bool *ret)
{
	*ret = false;
	return fsck_walk(dirfd, path, is_no_directory, ret);
}

/* A free name below `to`, which is made where it is missing. */
static int name_aside(struct fsck *f, int dirfd, const char *path, const char *to, char ret[FSCK_PATH])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	struct stat st;
	int rc = io_mkdirs(f->io, dirfd, to);

	if (rc < 0)
		return rc;
	snprintf(ret, FSCK_PATH, "%s/%s", to, base);
	for (int i = 1; fstatat(dirfd, ret, &st, AT_SYMLINK_NOFOLLOW) == 0; i++)
		snprintf(ret, FSCK_PATH, "%s/%s.%d", to, base, i);
	return errno == ENOENT ? 0 : -errno;
}

int fsck_set_aside(struct fsck *f, int dirfd, const char *path, const char *to)
{
	char name[FSCK_PATH];
	int rc = name_aside(f, dirfd, path, to, name);

	if (rc >= 0)
		rc = f->io->renameat(f->io, dirfd, path, dirfd, name);
	if (rc >= 0)
		rc = io_sync_parent(f->io, dirfd, name);
	return rc < 0 ? rc : io_sync_parent(f->io, dirfd, path);
}

int fsck_copy_aside(struct fsck *f, int dirfd, const char *path, const char *to)
{
	const struct io *io = f->io;
	char name[FSCK_PATH];
	char *p = malloc(COPY_BYTES);
	int64_t off = 0, n = 0;
	int rc = p ? name_aside(f, dirfd, path, to, name) : -ENOMEM, in = -1, out = -1;

	if (rc >= 0)
		rc = in = io->openat(io, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	if (rc >= 0)
		rc = out = io->openat(io, dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	while (rc >= 0 && (n = io->pread(io, in, p, COPY_BYTES, off)) > 0) {
		int64_t w = io_pwrite(io, out, p, (size_t)n, off);
		rc = w < 0 ? (int)w : 0;
		off += n;
	}
	if (rc >= 0 && n < 0)
		rc = (int)n;
	if (rc >= 0)
		rc = io->fsync(io, out);
	if (in >= 0)
		io->close(io, in);
	if (out >= 0)
		io->close(io, out);
	free(p);
	return rc < 0 ? rc : io_sync_parent(io, dirfd, name);
}

static int add_size(void *ctx, const char *path, const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		*(uint64_t *)ctx += (uint64_t)st->st_size;
	return 0;
}

static int remove_one(void *ctx, const char *path, const struct stat *st)
{
	struct fsck *f = ctx;
	return f->io->unlinkat(f->io, f->en.dirfd, path, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0);
}

/* ---- the directory --------------------------------------------------------------------------- */

static int check_root_catalog(struct fsck *f, struct err *e)
{
	char path[4096];
	struct catalog *c = NULL;
	struct err why = {0};
	struct stat st;

	int rc = check_catalog_there(f->en.dirfd, "", &why);
	if (rc == -EBADMSG)
		return fsck_root_catalog(f, why.text, e);
	if (fstatat(f->en.dirfd, "catalog.sqlite", &st, 0) < 0) {
		fsck_found(f, (struct fsck_where){.file = "catalog.sqlite", .off = -1}, FSCK_NOTE, false, 0,
			   "mounting makes a new one",
			   "is missing: owners and modes that were set on the root's files are not known");
		return 0;
	}
	snprintf(path, sizeof path, "%s/catalog.sqlite", f->en.path);
	rc = catalog_open(path, true, &c, &why);
	fsck_checked(f, (uint64_t)st.st_size);
	if (rc == -EBADMSG || rc == -EMEDIUMTYPE)
		return fsck_root_catalog(f, err_text(&why, rc), e);
	if (rc < 0)
		fsck_found(f, (struct fsck_where){.file = "catalog.sqlite", .off = -1}, FSCK_ERROR, false, 0, NULL, "%s",
			   err_text(&why, rc));
	else
		f->root = c;
	return 0;
}

/* A database that was being dropped. */
static void sweep_dropped(struct fsck *f, const char *name)
{
	char path[NAME_LEN_MAX + 4];
	int rc = 0;

	snprintf(path, sizeof path, "db/%s", name);
	if (fsck_repairs(f)) {
		rc = fsck_walk(f->en.dirfd, path, remove_one, f);
		if (rc >= 0)
			rc = f->io->unlinkat(f->io, f->en.dirfd, path, AT_REMOVEDIR);
	}
	fsck_found(f, (struct fsck_where){.file = path, .off = -1}, FSCK_NOTE, true, rc, "remove it, as mounting would",
		   "is what is left of a database that was dropped");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in db/, sorted: given, each and the array by free(). */
static int list_dbs(struct fsck *f, char ***ret, uint32_t *ret_n, struct err *e)
{
	DIR *dir = dir_open(f->en.dirfd, "db", true);
	char **v = NULL;
	uint32_t n = 0;
	struct dirent *d;
	int rc = 0;

	if (!dir)
		return err_set(e, -errno, "cannot read '%s/db': %s", f->en.path, strerror(errno));
	while (rc >= 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.' && strncmp(d->d_name, ".dropped-", 9) != 0)
			continue;
		char **more = realloc(v, (n + 1) * sizeof *v);
		v = more ? more : v;
		if (!more || !(v[n] = strdup(d->d_name)))
			rc = err_set(e, -ENOMEM, "out of memory");
		else
			n++;
	}
	closedir(dir);
	if (n)
		qsort(v, n, sizeof *v, by_text);
	*ret = v;
	*ret_n = n;
	return rc;
}

static int check_all(struct fsck *f, struct err *e)
{
	char **names = NULL;
	uint32_t n = 0;
	int rc = list_dbs(f, &names, &n, e);

	for (uint32_t i = 0; i < n; i++) {
		char path[NAME_LEN_MAX + 4];
		snprintf(path, sizeof path, "db/%s", names[i]);
		(void)!fsck_walk(f->en.dirfd, path, add_size, &f->total);
	}
	if (rc >= 0)
		rc = check_root_catalog(f, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		if (names[i][0] == '.')
			sweep_dropped(f, names[i]);
		else if (engine_check_name(&f->en, str_from(names[i]), NULL) >= 0)
			rc = fsck_db(f, names[i], e);
	}
	for (uint32_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return rc;
}

/* The tiles of a table are open side by side. */
static void raise_file_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int fsck_run(const char *data_dir, const struct fsck_options *opt, struct fsck_result *ret, struct err *e)
{
	struct fsck f = {.opt = opt, .io = opt->io ? opt->io : io_posix()};
	int rc;

	raise_file_limit();
	f.en.io = f.io;
	f.en.opt.read_only = true;
	f.en.opt.reserved_names = opt->reserved_names;
	f.en.lock_fd = f.en.dirfd = -1;
	f.en.path = realpath(data_dir, NULL);
	f.en.dirfd = f.en.path ? open(f.en.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (f.en.dirfd < 0)
		rc = err_set(e, -errno, "cannot open '%s': %s", data_dir, strerror(errno));
	else
		rc = engine_check_format(&f.en, e);
	if (rc >= 0)
		rc = engine_lock(&f.en, e);
	if (rc >= 0)
		rc = check_all(&f, e);
	catalog_close(f.root);
	if (f.en.lock_fd >= 0)
		close(f.en.lock_fd);
	if (f.en.dirfd >= 0)
		close(f.en.dirfd);
	free(f.en.path);
	if (rc >= 0)
		*ret = f.out;
	return rc < 0 ? rc : 0;
}
