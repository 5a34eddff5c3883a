/*
 * ops_file: open, read, write, close. What each kind of file does is in its struct file_ops.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/ops.h"
#include "fs/scratch.h"

/* ---- handles -------------------------------------------------------------------------------------- */

int handle_create(struct fs *fs, struct node *n, const struct file_ops *ops, struct handle **ret)
{
	struct handle *h = calloc(1, sizeof *h);

	if (!h)
		return -ENOMEM;
	atomic_init(&h->refs, 1);
	h->fs = fs;
	h->node = node_opened(fs, n);
	h->ops = ops;
	h->direct_io = true;
	pthread_mutex_init(&h->mu, NULL);
	pthread_mutex_lock(&fs->handles_mu);
	h->next = fs->handles;
	if (h->next)
		h->next->prev = h;
	fs->handles = h;
	pthread_mutex_unlock(&fs->handles_mu);
	*ret = h;
	return 0;
}

void handle_destroy(struct handle *h)
{
	struct fs *fs = h->fs;

	pthread_mutex_lock(&fs->handles_mu);
	if (h->prev)
		h->prev->next = h->next;
	else
		fs->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	pthread_mutex_unlock(&fs->handles_mu);
	caller_release(&h->who);
	pthread_mutex_destroy(&h->mu);
	node_closed(fs, h->node);
	free(h);
}

/*
 * For one request. RELEASE comes after every reply, but the thread that replied may not have
 * returned yet.
 */
struct handle *handle_enter(const struct fuse_file_info *fi)
{
	struct handle *h = (struct handle *)(uintptr_t)fi->fh;

	atomic_fetch_add(&h->refs, 1);
	return h;
}

void handle_close(struct handle *h)
{
	if (atomic_fetch_sub(&h->refs, 1) != 1)
		return; /* whoever is still in there does it */
	if (h->writable)
		atomic_fetch_sub(&h->node->writers, 1);
	if (h->ops && h->ops->release && h->priv)
		h->ops->release(h);
	else if (h->ops == &scratch_ops)
		h->ops->release(h); /* has nothing of its own in the handle */
	handle_destroy(h);
}

bool handles_write(struct fs *fs, const struct node *n, pid_t pid)
{
	pid_t writers[16];
	int count = 0;
	char path[64];

	pthread_mutex_lock(&fs->handles_mu);
	for (struct handle *h = fs->handles; h && count < (int)ARRAY_LEN(writers); h = h->next)
		if (h->node == n && h->writable)
			writers[count++] = h->who.pid;
	pthread_mutex_unlock(&fs->handles_mu);
	while (count--) {
		snprintf(path, sizeof path, "/proc/%d/task/%d", (int)writers[count], (int)pid);
		if (writers[count] == pid || access(path, F_OK) == 0)
			return true;
	}
	return false;
}

void handles_close_all(struct fs *fs)
{
	struct handle *h;

	while ((h = fs->handles))
		handle_close(h);
}

/* ---- open ------------------------------------------------------------------------------------------- */

static bool takes_writes(const struct node *n, const struct file_ops *ops, bool truncating)
{
	if (ops == &text_ops)
		return n->row->store != NULL;
	if (ops == &tile_ops)
		return truncating; /* a copy over it, which is a restore */
	return ops->write || ops->write_for || (ops->truncate && truncating);
}

/* A tile is written by whoever may write where it lies: it is not changed by that, but restored. */
static int open_access(struct fs *fs, struct node *n, struct caller *c, int mask)
{
	int rc = node_access(fs, n, c, n->kind == NODE_TILE ? mask & ~W_OK : mask);

	if (rc >= 0 && n->kind == NODE_TILE && mask & W_OK)
		rc = node_access(fs, n->parent, c, W_OK | X_OK);
	return rc;
}

static int open_node(struct fs *fs, fuse_req_t req, struct node *n, struct fuse_file_info *fi,
		     bool check_access, struct handle **ret, struct err *e)
{
	const struct file_ops *ops = node_ops(n);
	int accmode = fi->flags & O_ACCMODE, mask, rc;
	bool truncating = fi->flags & O_TRUNC;
	struct handle *h;

	if (!ops)
		return -EISDIR;
	rc = handle_create(fs, n, ops, &h);
	if (rc < 0)
		return rc;
	caller_capture(&h->who, req);
	h->readable = accmode != O_WRONLY;
	h->writable = accmode != O_RDONLY;
	h->sync_each = fi->flags & (O_SYNC | O_DSYNC);
	h->truncated = truncating;
	mask = (h->readable ? R_OK : 0) | (h->writable || truncating ? W_OK : 0);
	rc = check_access ? open_access(fs, n, &h->who, mask) : node_check(n);
	if (rc >= 0 && h->writable && !takes_writes(n, ops, truncating))
		rc = err_set(e, -EPERM, "this file is not for writing");
	if (rc >= 0 && truncating && ops->truncate)
		rc = ops->truncate(fs, n, h, 0, e);
	if (rc >= 0 && ops->open)
		rc = ops->open(h, e);
	if (rc < 0) {
		handle_destroy(h);
		return rc;
	}
	if (h->writable)
		atomic_fetch_add(&n->writers, 1);
	if (h->writable && h->sync_each)
		node_note_sync(fs, n);
	fi->fh = (uintptr_t)h;
	fi->direct_io = h->direct_io;
	fi->keep_cache = h->keep_cache;
	fi->noflush = !h->ops->flush; /* a close(2) that nobody has to hear of costs no request */
	*ret = h;
	return 0;
}

void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *n = nodes_from_ino(fs, ino);
	struct err e = {0};
	struct handle *h;
	int rc = open_node(fs, req, n, fi, true, &h, &e);

	if (rc < 0)
		reply_refused(req, "open", n, NULL, rc, &e);
	else if (fuse_reply_open(req, fi) == -ENOENT)
		handle_close(h); /* interrupted: the kernel will not release it */
}

static int make_file(struct fs *fs, struct node *dir, const char *name, mode_t mode, const struct caller *c,
		     struct node **ret, struct err *e)
{
	struct scratch *s;
	int rc;

	if (incoming_dir(dir))
		return incoming_create(fs, dir, name, mode, c, ret, e);
	if (!scratch_dir(dir, name))
		return err_set(e, -EPERM, "files cannot be made here; see README for those there are");
	/* What is written there would be a temporary file and gone in ten minutes, without a word. */
	const char *meant = files_misspelt(dir->level, name);
	if (meant) {
		rc = err_set(e, -ENOENT, "there is no '%s' here; '%s' may be meant", name, meant);
		fs_note_refusal(fs, dir, e, rc);
		return rc;
	}
	rc = scratch_create(fs, dir, name, mode, c, &s, e);
	if (rc < 0)
		return rc;
	*ret = scratch_node(fs, dir, s);
	scratch_put(s);
	return *ret ? 0 : -ENOMEM;
}

void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *dir = nodes_from_ino(fs, parent), *n = NULL;
	struct fuse_entry_param entry;
	struct handle *h = NULL;
	struct err e = {0};
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, dir, &c, W_OK | X_OK);
	if (rc >= 0 && files_find(dir->level, name))
		rc = -EEXIST;
	if (rc >= 0)
		rc = make_file(fs, dir, name, mode, &c, &n, &e);
	caller_release(&c);
	if (rc >= 0)
		rc = open_node(fs, req, n, fi, false, &h, &e);
	if (rc >= 0)
		rc = entry_fill(fs, n, &entry);
	if (rc < 0) {
		reply_refused(req, "create", dir, name, rc, &e);
		if (h)
			handle_close(h);
	} else {
		node_lookup_add(fs, n);
		if (fuse_reply_create(req, &entry, fi) == -ENOENT) {
			handle_close(h);
			node_forget(fs, n, 1);
		}
	}
	node_put(fs, n);
}

/* ---- reading and writing --------------------------------------------------------------------------- */

void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	int rc = node_check(h->node);

	if (rc < 0 && h->ops != &tile_ops && h->ops != &snapshot_file_ops) /* these stay readable */
		reply_err(req, rc);
	else if (h->ops->read)
		h->ops->read(h, req, size, off);
	else
		fuse_reply_buf(req, NULL, 0);
	handle_close(h);
}

void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	struct err e = {0};
	int64_t rc = node_check(h->node);

	if (rc >= 0 && h->ops->write_for)
		rc = h->ops->write_for(h, req, buf, size, off, &e);
	else if (rc >= 0)
		rc = h->ops->write ? h->ops->write(h, buf, size, off, &e) : -EPERM;
	if (rc < 0)
		reply_refused(req, "write", h->node, NULL, (int)rc, &e);
	else
		fuse_reply_write(req, (size_t)rc);
	handle_close(h);
}

void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	struct err e = {0};
	int rc = 0;

	locks_drop_posix(h->fs, h->node, fi->lock_owner);
	if (h->ops->flush && node_check(h->node) == 0)
		rc = h->ops->flush(h, req, &e);
	if (rc < 0)
		reply_refused(req, "close", h->node, NULL, rc, &e);
	else
		reply_err(req, 0);
	handle_close(h);
}

void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);

	if (fi->flock_release)
		locks_drop_flock(h->fs, h->node, fi->lock_owner);
	/* No close(2) was told of where no FLUSH is, and never of those that belong to the open file. */
	locks_drop_handle(h->fs, h->node, h);
	handle_close(h); /* the one of open(2) */
	handle_close(h);
	reply_err(req, 0);
}

void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	struct err e = {0};
	int rc = node_check(h->node);

	if (h->writable)
		node_note_sync(h->fs, h->node); /* the kernel lets the writers of one node wait one after the other */
	if (rc >= 0 && h->ops->fsync)
		rc = h->ops->fsync(h, &e);
	if (rc < 0)
		reply_refused(req, "fsync", h->node, NULL, rc, &e);
	else
		reply_err(req, 0);
	handle_close(h);
}

/*
 * posix_fallocate(3) where it is not supported writes a NUL every few KiB, which would become part of
 * the next line. What has no places to reserve says that they are reserved.
 */
void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	int rc = node_check(h->node);

	if (rc >= 0 && (mode || (h->ops != &ingest_ops && h->ops != &query_ops)))
		rc = -EOPNOTSUPP;
	reply_err(req, rc);
	handle_close(h);
}
