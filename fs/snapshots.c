#include "fs/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/dir.h"
#include "fs/files.h"
#include "fs/ops.h"

#define PATH_BYTES 1024 /* below a snapshot: a table, magnetic, a date, a part, a tile */

/* ---- names --------------------------------------------------------------------------------------- */

static struct node *snapshot_node(struct fs *fs, struct node *dir, struct snapshot *s, const char *name)
{
	struct node_spec spec = {
		.kind = NODE_DIR,
		.level = LEVEL_SNAPSHOT,
		.db = dir->db,
		.snapshot = s,
		.name = name,
		.id = (uint64_t)snapshot_created_ns(s), /* another one of that name is another thing */
	};
	return node_intern(fs, dir, &spec);
}

/* Of what lies below a snapshot: path and kind by its stat. NULL: out of memory. */
static struct node *inner_node(struct fs *fs, struct node *dir, const char *path, const struct stat *st)
{
	struct node_spec spec = {
		.kind = S_ISDIR(st->st_mode) ? NODE_DIR : NODE_SNAPSHOT_FILE,
		.level = LEVEL_SNAPSHOT_DIR,
		.db = dir->db,
		.snapshot = dir->snapshot,
		.name = path,
	};
	struct node *n = node_intern(fs, dir, &spec);

	if (n && spec.kind == NODE_SNAPSHOT_FILE) { /* never changes: whoever comes second writes the same */
		pthread_mutex_lock(&n->mu);
		n->bytes = (uint64_t)st->st_size;
		n->mtime_ns = (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
		pthread_mutex_unlock(&n->mu);
	}
	return n;
}

static int path_of(const struct node *dir, const char *name, char to[PATH_BYTES])
{
	bool is_top = dir->level == LEVEL_SNAPSHOT;
	int n = snprintf(to, PATH_BYTES, "%s%s%s", is_top ? "" : dir->name, is_top ? "" : "/", name);

	return n < PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static int lookup_inner(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc = path_of(dir, name, path), fd;

	if (rc < 0)
		return rc;
	fd = snapshot_dirfd(dir->snapshot);
	if (fd < 0)
		return fd;
	if (fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENOENT;
	*ret = inner_node(fs, dir, path, &st);
	return *ret ? 0 : -ENOMEM;
}

int snapshot_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	struct snapshot *s;

	if (dir->level != LEVEL_SNAPSHOTS)
		return lookup_inner(fs, dir, name, ret);
	s = db_snapshot(dir->db, str_from(name));
	if (!s)
		return -ENOENT;
	*ret = snapshot_node(fs, dir, s, name);
	snapshot_put(s);
	return *ret ? 0 : -ENOMEM;
}

/* ---- listing ---------------------------------------------------------------------------------------- */

static int list_snapshots(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name, struct node *n),
			  void *ctx)
{
	struct snapshot_entry *v;
	uint32_t n;
	int rc = db_snapshots(dir->db, &v, &n);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		struct node *child;
		rc = snapshot_lookup(fs, dir, v[i].name, &child);
		if (rc == -ENOENT) { /* dropped meanwhile */
			rc = 0;
			continue;
		}
		if (rc < 0)
			break;
		rc = add(ctx, v[i].name, child);
		node_put(fs, child);
	}
	free(v);
	return rc;
}

struct names {
	char **v;
	uint32_t n, cap;
};

static void names_free(struct names *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

static int names_add(struct names *l, const char *name)
{
	if (l->n == l->cap) {
		uint32_t cap = MAX(l->cap * 2, 32u);
		char **v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = strdup(name);
	return l->v[l->n] ? (int)l->n++ : -ENOMEM;
}

/* snapshot.json before the tables. */
static int by_use(const void *x, const void *y)
{
	const char *a = *(char *const *)x, *b = *(char *const *)y;
	int first = (strcmp(b, SNAPSHOT_JSON) == 0) - (strcmp(a, SNAPSHOT_JSON) == 0);

	return first ? first : strcmp(a, b);
}

static int read_names(const struct node *dir, struct names *l)
{
	int rc = 0, fd = snapshot_dirfd(dir->snapshot);
	struct dirent *e;
	DIR *d;

	if (fd < 0)
		return fd;
	d = dir_open(fd, dir->level == LEVEL_SNAPSHOT ? "." : dir->name, false);
	if (!d)
		return -errno;
	while (rc >= 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			rc = names_add(l, e->d_name);
	closedir(d);
	if (rc >= 0 && l->n)
		qsort(l->v, l->n, sizeof *l->v, by_use);
	return rc;
}

int snapshot_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name, struct node *n), void *ctx)
{
	struct names l = {0};
	int rc;

	if (dir->level == LEVEL_SNAPSHOTS)
		return list_snapshots(fs, dir, add, ctx);
	rc = read_names(dir, &l);
	for (uint32_t i = 0; i < l.n && rc >= 0; i++) {
		struct node *child;
		rc = lookup_inner(fs, dir, l.v[i], &child);
		if (rc < 0)
			break;
		rc = add(ctx, l.v[i], child);
		node_put(fs, child);
	}
	names_free(&l);
	return rc < 0 ? rc : 0;
}

/* ---- files -------------------------------------------------------------------------------------------- */

static int file_open(struct handle *h, struct err *e)
{
	const struct node *n = h->node;
	int at = snapshot_dirfd(n->snapshot);
	int *fd;

	if (at < 0)
		return at;
	fd = malloc(sizeof *fd);
	if (!fd)
		return -ENOMEM;
	*fd = openat(at, n->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0) {
		int rc = -errno;
		free(fd);
		return rc == -ENOENT ? -ESTALE : err_set(e, rc, "%s: %s", n->name, strerror(-rc));
	}
	h->priv = fd;
	h->direct_io = false;
	h->keep_cache = true;
	return 0;
}

static int file_attr(struct fs *fs, struct node *n, struct stat *st)
{
	pthread_mutex_lock(&n->mu);
	st->st_size = (off_t)n->bytes;
	st->st_mtim.tv_sec = floor_div(n->mtime_ns, NS_PER_S);
	st->st_mtim.tv_nsec = n->mtime_ns - st->st_mtim.tv_sec * NS_PER_S;
	pthread_mutex_unlock(&n->mu);
	return 0;
}

const struct file_ops snapshot_file_ops = {
	.open = file_open,
	.read = fd_file_read,
	.release = fd_file_release,
	.attr = file_attr,
};

/* ---- making and dropping: threads of their own ---------------------------------------------------------- */

struct job {
	struct fs *fs;
	fuse_req_t req;
	struct node *dir; /* referenced */
	bool is_drop;
	_Atomic bool stop;
	struct job *next; /* guarded by jobs.mu */
	char name[];
};

struct snapshot_jobs {
	pthread_mutex_t mu; /* a leaf */
	pthread_cond_t gone;
	struct job *list;
};

int snapshot_jobs_create(struct snapshot_jobs **ret)
{
	struct snapshot_jobs *js = calloc(1, sizeof *js);

	if (!js)
		return -ENOMEM;
	pthread_mutex_init(&js->mu, NULL);
	pthread_cond_init(&js->gone, NULL);
	*ret = js;
	return 0;
}

void snapshot_jobs_stop(struct snapshot_jobs *js)
{
	if (!js)
		return;
	pthread_mutex_lock(&js->mu);
	for (struct job *j = js->list; j; j = j->next)
		atomic_store(&j->stop, true);
	while (js->list)
		pthread_cond_wait(&js->gone, &js->mu);
	pthread_mutex_unlock(&js->mu);
}

void snapshot_jobs_destroy(struct snapshot_jobs *js)
{
	if (!js)
		return;
	pthread_mutex_destroy(&js->mu);
	pthread_cond_destroy(&js->gone);
	free(js);
}

/* INTERRUPT: libfuse holds the request's lock. The job answers once it has cleared away. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct job *j = data;
	atomic_store(&j->stop, true);
}

static void answer(struct job *j, int rc, struct err *e)
{
	struct node *n;

	fuse_req_interrupt_func(j->req, NULL, NULL); /* waits for on_interrupt() */
	if (rc == -ECANCELED)
		rc = -EINTR;
	if (rc < 0 && e->code)
		fs_note_refusal(j->fs, j->dir, e, rc);
	if (rc >= 0 && !j->is_drop) {
		rc = snapshot_lookup(j->fs, j->dir, j->name, &n);
		if (rc >= 0) {
			reply_node(j->fs, j->req, n);
			return;
		}
	}
	if (rc < 0)
		reply_refused(j->req, j->is_drop ? "rmdir" : "mkdir", j->dir, j->name, rc, e);
	else
		reply_err(j->req, 0);
}

static void *job_main(void *arg)
{
	struct job *j = arg, **at;
	struct snapshot_jobs *js = j->fs->snapshot_jobs;
	struct err e = {0};
	int rc;

	if (j->is_drop)
		rc = db_snapshot_drop(j->dir->db, str_from(j->name), &e);
	else
		rc = db_snapshot_create(j->dir->db, str_from(j->name), &j->stop, &e);
	answer(j, rc, &e);
	node_put(j->fs, j->dir);
	pthread_mutex_lock(&js->mu);
	for (at = &js->list; *at != j; at = &(*at)->next)
		;
	*at = j->next;
	pthread_cond_broadcast(&js->gone);
	pthread_mutex_unlock(&js->mu);
	free(j);
	return NULL;
}

static void start(struct fs *fs, fuse_req_t req, struct node *dir, const char *name, bool is_drop)
{
	struct snapshot_jobs *js = fs->snapshot_jobs;
	size_t len = strlen(name);
	struct job *j = calloc(1, sizeof *j + len + 1);
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (!j) {
		reply_err(req, -ENOMEM);
		return;
	}
	j->fs = fs;
	j->req = req;
	j->dir = node_get(fs, dir);
	j->is_drop = is_drop;
	memcpy(j->name, name, len + 1);
	if (!is_drop)
		fuse_req_interrupt_func(req, on_interrupt, j);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&js->mu);
	rc = -pthread_create(&thread, &attr, job_main, j);
	if (rc == 0) {
		j->next = js->list;
		js->list = j;
	}
	pthread_mutex_unlock(&js->mu);
	pthread_attr_destroy(&attr);
	if (rc < 0) {
		fuse_req_interrupt_func(req, NULL, NULL);
		reply_err(req, rc);
		node_put(fs, dir);
		free(j);
	}
}

void snapshot_mkdir(struct fs *fs, fuse_req_t req, struct node *dir, const char *name)
{
	start(fs, req, dir, name, false);
}

void snapshot_rmdir(struct fs *fs, fuse_req_t req, struct node *dir, const char *name)
{
	start(fs, req, dir, name, true);
}
