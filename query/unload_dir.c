#include "query/unload_dir.h"

#include <fcntl.h>
#include <stdlib.h>

/* Only the owner's, until the owner says otherwise: tables may be closed to others. */
#define FILE_MODE 0600
#define DIR_MODE  0700

struct unload_folder {
	struct unload_folder *next;
	struct str path; /* below the target */
	int fd;
};

/* A directory that was not there before. */
struct made {
	struct made *next; /* the one before: deeper ones come first */
	char *path;        /* below DIR */
};

struct unload_dir {
	const struct io *io;
	struct arena arena;
	struct str dir, target;
	int fd; /* DIR's */
	struct unload_folder *folders;
	struct made *made;
	struct unload_file *files, **last;
	bool is_done;
};

static int nomem(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

/* Below DIR: as it is shown. */
static const char *shown(struct unload_dir *d, const char *path)
{
	const char *z = arena_printf(&d->arena, "%.*s%s%s", STR_FMT(d->dir), *path ? "/" : "", path);

	return z ? z : path;
}

static int failed(struct unload_dir *d, int rc, const char *what, const char *path, struct err *e)
{
	return err_set(e, rc, "cannot %s '%s': %s", what, shown(d, path), strerror(-rc));
}

/* ---- directories --------------------------------------------------------------------------------- */

/*
 * The directory `part` in `at`; made where there is none. path: of it, below DIR. The last one is what a
 * failure is told of; a link is ELOOP or ENOTDIR.
 */
static int step(struct unload_dir *d, int at, const char *part, char *path, int *ret, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	const struct io *io = d->io;
	struct made *m;
	int rc = io->openat(io, at, part, flags, 0);

	if (rc == -ELOOP || rc == -ENOTDIR)
		return err_set(e, rc, "'%s' is no directory (symbolic links are not followed)", shown(d, path));
	if (rc != -ENOENT) {
		*ret = rc;
		return rc < 0 ? failed(d, rc, "open the directory", path, e) : 0;
	}
	m = arena_new(&d->arena, struct made);
	if (!m)
		return nomem(e);
	rc = io->mkdirat(io, at, part, DIR_MODE);
	if (rc < 0 && rc != -EEXIST) /* somebody else may unload into it as well */
		return failed(d, rc, "make the directory", path, e);
	if (rc >= 0) {
		m->path = path;
		m->next = d->made;
		d->made = m;
	}
	rc = io->openat(io, at, part, flags, 0);
	if (rc < 0)
		return failed(d, rc, "open the directory", path, e);
	*ret = rc;
	rc = io->fsync(io, at);
	if (rc < 0) {
		io->close(io, *ret);
		return failed(d, rc, "sync the directory above", path, e);
	}
	return 0;
}

/* From `at`, which stays open, along path; prefix: of `at`, below DIR. */
static int walk(struct unload_dir *d, int at, struct str prefix, struct str path, int *ret, struct err *e)
{
	const struct io *io = d->io;
	int fd = at, next = -1, rc = 0;

	for (size_t i = 0, end; i < path.len && rc >= 0; i = end + 1) {
		const char *slash = memchr(path.ptr + i, '/', path.len - i);
		end = slash ? (size_t)(slash - path.ptr) : path.len;
		char *part = arena_printf(&d->arena, "%.*s", (int)(end - i), path.ptr + i);
		char *whole = arena_printf(&d->arena, "%.*s%s%.*s", STR_FMT(prefix), prefix.len ? "/" : "", (int)end, path.ptr);
		rc = part && whole ? step(d, fd, part, whole, &next, e) : nomem(e);
		if (fd != at)
			io->close(io, fd);
		fd = next;
	}
	if (rc >= 0)
		*ret = fd;
	return rc;
}

int unload_dir_create(const struct io *io, const char *dir, struct str target, struct budget *b,
		      struct unload_dir **ret, struct err *e)
{
	struct unload_dir *d = calloc(1, sizeof *d);
	int rc;

	if (!d)
		return nomem(e);
	arena_init(&d->arena, b);
	d->io = io;
	d->last = &d->files;
	d->dir = arena_str(&d->arena, str_from(dir));
	d->target = arena_str(&d->arena, target);
	d->fd = -1;
	rc = d->dir.ptr && d->target.ptr ? 0 : nomem(e);
	if (rc >= 0) {
		d->fd = io->openat(io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		rc = d->fd < 0 ? failed(d, d->fd, "open the directory", "", e) : 0;
	}
	if (str_is(d->dir, "/"))
		d->dir.len = 0;
	if (rc < 0) {
		unload_dir_destroy(d);
		return rc;
	}
	*ret = d;
	return 0;
}

static int folder_of(struct unload_dir *d, struct str path, struct unload_folder **ret, struct err *e)
{
	struct unload_folder *f;
	struct str whole;
	const char *z;

	for (f = d->folders; f && !str_eq(f->path, path); f = f->next)
		;
	if (f) {
		*ret = f;
		return 0;
	}
	f = arena_new(&d->arena, struct unload_folder);
	z = arena_printf(&d->arena, "%.*s%s%.*s", STR_FMT(d->target), d->target.len && path.len ? "/" : "", STR_FMT(path));
	if (!f || !z)
		return nomem(e);
	whole = str_from(z);
	f->path = arena_str(&d->arena, path);
	if (!f->path.ptr)
		return nomem(e);
	if (!whole.len) { /* DIR itself, by a descriptor of its own */
		f->fd = d->io->openat(d->io, d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		if (f->fd < 0)
			return failed(d, f->fd, "open the directory", "", e);
	} else {
		int rc = walk(d, d->fd, STR_LIT(""), whole, &f->fd, e);
		if (rc < 0)
			return rc;
	}
	f->next = d->folders;
	d->folders = f;
	*ret = f;
	return 0;
}

/* ---- files --------------------------------------------------------------------------------------- */

int unload_dir_file(struct unload_dir *d, struct str folder, struct str name, struct unload_file **ret, struct err *e)
{
	struct unload_file *f = arena_new(&d->arena, struct unload_file);
	const struct io *io = d->io;
	int rc = f ? folder_of(d, folder, &f->folder, e) : nomem(e);
	const char *path;

	if (rc < 0)
		return rc;
	path = arena_printf(&d->arena, "%.*s%s%.*s%s%.*s/%.*s", STR_FMT(d->dir), d->target.len ? "/" : "", STR_FMT(d->target),
			    folder.len ? "/" : "", STR_FMT(folder), STR_FMT(name));
	f->name = arena_printf(&d->arena, "%.*s", STR_FMT(name));
	f->hidden = arena_printf(&d->arena, ".%.*s.tmp", STR_FMT(name));
	if (!path || !f->name || !f->hidden)
		return nomem(e);
	f->path = str_from(path);
	f->fd = io->openat(io, f->folder->fd, f->hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (f->fd < 0)
		return err_set(e, f->fd, "cannot make '%s': %s", path, strerror(-f->fd));
	*d->last = f;
	d->last = &f->next;
	*ret = f;
	return 0;
}

int unload_file_write(struct unload_dir *d, struct unload_file *f, const void *p, size_t n, struct err *e)
{
	int64_t rc = io_pwrite(d->io, f->fd, p, n, (int64_t)f->bytes);

	if (rc < 0)
		return err_set(e, (int)rc, "cannot write '%.*s': %s", STR_FMT(f->path), strerror((int)-rc));
	f->bytes += n;
	return 0;
}

int unload_file_end(struct unload_dir *d, struct unload_file *f, struct err *e)
{
	const struct io *io = d->io;
	int rc = io->fsync(io, f->fd), closed = io->close(io, f->fd);

	f->fd = -1;
	rc = rc < 0 ? rc : closed;
	return rc < 0 ? err_set(e, rc, "cannot write '%.*s': %s", STR_FMT(f->path), strerror(-rc)) : 0;
}

const struct unload_file *unload_dir_files(const struct unload_dir *d)
{
	return d->files;
}

/* ---- all or none --------------------------------------------------------------------------------- */

static int sync_folders(struct unload_dir *d, struct err *e)
{
	int rc = 0;

	for (struct unload_folder *f = d->folders; f && rc >= 0; f = f->next)
		rc = d->io->fsync(d->io, f->fd);
	return rc < 0 ? err_set(e, rc, "cannot sync a directory below '%.*s': %s", STR_FMT(d->dir), strerror(-rc)) : 0;
}

static int place(struct unload_dir *d, struct unload_file *f, struct err *e)
{
	int rc = d->io->renameat(d->io, f->folder->fd, f->hidden, f->folder->fd, f->name);

	if (rc < 0)
		return err_set(e, rc, "cannot name '%.*s': %s", STR_FMT(f->path), strerror(-rc));
	f->is_placed = true;
	return 0;
}

int unload_dir_commit(struct unload_dir *d, struct err *e)
{
	int rc = 0;

	for (struct unload_file *f = d->files; f && rc >= 0; f = f->next) {
		if (!f->next) /* what the manifest names is there, also after power loss, before it is */
			rc = sync_folders(d, e);
		if (rc >= 0)
			rc = place(d, f, e);
	}
	if (rc >= 0)
		rc = sync_folders(d, e);
	d->is_done = rc >= 0;
	return rc;
}

static void undo(struct unload_dir *d)
{
	const struct io *io = d->io;

	for (struct unload_file *f = d->files; f; f = f->next)
		(void)io->unlinkat(io, f->folder->fd, f->is_placed ? f->name : f->hidden, 0);
	/* One that somebody else has put something into stays. */
	for (struct made *m = d->made; m; m = m->next)
		(void)io->unlinkat(io, d->fd, m->path, AT_REMOVEDIR);
}

void unload_dir_destroy(struct unload_dir *d)
{
	const struct io *io;

	if (!d)
		return;
	io = d->io;
	for (struct unload_file *f = d->files; f; f = f->next)
		if (f->fd >= 0)
			io->close(io, f->fd);
	if (d->fd >= 0 && !d->is_done)
		undo(d);
	for (struct unload_folder *f = d->folders; f; f = f->next)
		io->close(io, f->fd);
	if (d->fd >= 0)
		io->close(io, d->fd);
	arena_release(&d->arena);
	free(d);
}
