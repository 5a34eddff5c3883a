#include "fs/tiles_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/ops.h"

/* "ts_date=2014-02-14/": what the paths of a directory's tiles begin with. */
static size_t dir_prefix(const struct node *dir, char *to, size_t cap)
{
	if (dir->level == LEVEL_MAGNETIC)
		to[0] = '\0';
	else
		snprintf(to, cap, "%s/", dir->name);
	return strlen(to);
}

/* The first tile whose path is not below `key`. */
static uint32_t lower_bound(const struct tile_entry *v, uint32_t n, const char *key)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(v[mid].path, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct node *tile_node(struct fs *fs, struct node *dir, const struct tile_entry *t)
{
	struct node_spec spec = {
		.kind = NODE_TILE,
		.level = LEVEL_PART,
		.db = dir->db,
		.table = dir->table,
		.name = t->path,
		.id = t->id,
	};
	struct node *n = node_intern(fs, dir, &spec);

	if (n) { /* a published tile never changes: whoever comes second writes the same */
		pthread_mutex_lock(&n->mu);
		n->bytes = t->bytes;
		n->mtime_ns = t->mtime_ns;
		pthread_mutex_unlock(&n->mu);
	}
	return n;
}

struct node *tiles_dir_node(struct fs *fs, struct node *dir, const char *path)
{
	struct node_spec spec = {
		.kind = NODE_DIR,
		.level = dir->level == LEVEL_MAGNETIC ? LEVEL_DATE : LEVEL_PART,
		.db = dir->db,
		.table = dir->table,
		.name = path,
	};
	return node_intern(fs, dir, &spec);
}

int tiles_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	struct tile_entry *v;
	uint32_t n, i;
	char key[sizeof v->path + 2];
	size_t len = dir_prefix(dir, key, sizeof key);
	struct node *child = NULL;
	int rc;

	if (len + strlen(name) + 2 > sizeof key)
		return -ENOENT;
	memcpy(key + len, name, strlen(name) + 1);
	if (dir->level != LEVEL_PART)
		memcpy(key + len + strlen(name), "/", 2);
	rc = table_tiles(dir->table, &v, &n);
	if (rc < 0)
		return rc;
	i = lower_bound(v, n, key);
	rc = -ENOENT;
	if (dir->level == LEVEL_PART) {
		if (i < n && strcmp(v[i].path, key) == 0) {
			child = tile_node(fs, dir, &v[i]);
			rc = child ? 0 : -ENOMEM;
		}
	} else if (i < n && strncmp(v[i].path, key, strlen(key)) == 0) {
		key[strlen(key) - 1] = '\0';
		child = tiles_dir_node(fs, dir, key);
		rc = child ? 0 : -ENOMEM;
	}
	free(v);
	if (rc == 0)
		*ret = child;
	return rc;
}

int tiles_list(struct fs *fs, struct node *dir,
	       int (*add)(void *ctx, const char *name, struct node *n), void *ctx)
{
	struct tile_entry *v;
	uint32_t n;
	char prefix[sizeof v->path + 2], path[sizeof v->path], last[sizeof v->path] = "";
	size_t len = dir_prefix(dir, prefix, sizeof prefix);
	int rc = table_tiles(dir->table, &v, &n);

	if (rc < 0)
		return rc;
	for (uint32_t i = lower_bound(v, n, prefix); rc >= 0 && i < n; i++) {
		struct node *child;

		if (strncmp(v[i].path, prefix, len) != 0)
			break;
		snprintf(path, sizeof path, "%s", v[i].path);
		if (dir->level != LEVEL_PART) {
			char *slash = strchr(path + len, '/');
			if (!slash)
				continue;
			*slash = '\0';
			if (strcmp(path, last) == 0)
				continue; /* sorted by path: the same directory again */
			memcpy(last, path, sizeof last);
		}
		child = dir->level == LEVEL_PART ? tile_node(fs, dir, &v[i]) : tiles_dir_node(fs, dir, path);
		if (!child) {
			rc = -ENOMEM;
			break;
		}
		rc = add(ctx, path + len, child);
		node_put(fs, child);
	}
	free(v);
	return rc < 0 ? rc : 0;
}

int tiles_unlink(struct fs *fs, struct node *dir, const char *name, struct err *e)
{
	struct node *n;
	int rc = tiles_lookup(fs, dir, name, &n);

	if (rc < 0)
		return rc;
	rc = n->kind == NODE_TILE ? table_tile_remove(dir->table, n->name, e) : -EISDIR;
	node_put(fs, n);
	return rc;
}

int tiles_rmdir(struct fs *fs, struct node *dir, const char *name)
{
	struct node *n;
	int rc = tiles_lookup(fs, dir, name, &n);

	if (rc == -ENOENT)
		return 0; /* its last tile went a moment ago */
	if (rc < 0)
		return rc;
	rc = node_is_dir(n) ? -ENOTEMPTY : -ENOTDIR;
	node_put(fs, n);
	return rc;
}

bool tile_is_published(const struct tile_entry *v, uint32_t n, const struct node *tile)
{
	uint32_t i = lower_bound(v, n, tile->name);

	return i < n && strcmp(v[i].path, tile->name) == 0 && v[i].id == tile->id;
}

/* ---- file operations ---------------------------------------------------------------------------- */

static int tile_file_open(struct handle *h, struct err *e)
{
	int *fd;
	int rc;

	if (h->writable)
		return incoming_over_tile(h, e);
	fd = malloc(sizeof *fd);
	if (!fd)
		return -ENOMEM;
	rc = table_tile_fd(h->node->table, h->node->name, fd, e);
	if (rc < 0) {
		free(fd);
		/* Merged or expired since its name was looked up: ESTALE makes the kernel look again. */
		return rc == -ENOENT ? -ESTALE : rc;
	}
	h->priv = fd;
	h->direct_io = false;
	h->keep_cache = true;
	return 0;
}

void fd_file_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(n);

	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = *(int *)h->priv;
	v.buf[0].pos = off;
	fuse_reply_data(req, &v, FUSE_BUF_SPLICE_MOVE);
}

void fd_file_release(struct handle *h)
{
	close(*(int *)h->priv);
	free(h->priv);
}

/* Nobody truncates a tile; whoever opens one to write it anew writes a new one. */
static int tile_file_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	if (h && h->ops == &incoming_ops)
		return incoming_ops.truncate(fs, n, h, size, e);
	return h && h->writable && h->truncated && !h->priv ? 0 : -EPERM;
}

static int tile_file_attr(struct fs *fs, struct node *n, struct stat *st)
{
	pthread_mutex_lock(&n->mu);
	st->st_size = (off_t)n->bytes;
	st->st_mtim.tv_sec = n->mtime_ns / NS_PER_S;
	st->st_mtim.tv_nsec = n->mtime_ns % NS_PER_S;
	pthread_mutex_unlock(&n->mu);
	return 0;
}

const struct file_ops tile_ops = {
	.open = tile_file_open,
	.read = fd_file_read,
	.release = fd_file_release,
	.truncate = tile_file_truncate,
	.attr = tile_file_attr,
};
