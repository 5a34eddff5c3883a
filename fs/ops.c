/*
 * ops: the table of operations, and those that work on any node. The only place where a negative
 * errno becomes what the kernel wants.
 */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/makers.h"
#include "fs/results.h"
#include "fs/scratch.h"
#include "fs/slots.h"
#include "fs/snapshots.h"

/* ---- replies ----------------------------------------------------------------------------------- */

void reply_err(fuse_req_t req, int rc)
{
	switch (rc) {
	case -EBADMSG: /* stored bytes are damaged: what read(2) calls EIO */
		rc = -EIO;
		break;
	case -EMEDIUMTYPE:
		rc = -EIO;
		break;
	default:
		break;
	}
	fuse_reply_err(req, -rc);
}

void reply_refused(fuse_req_t req, const char *op, struct node *n, const char *name, int rc,
		   const struct err *e)
{
	if (log_wanted(LOG_AT_DEBUG, "fs") && rc != -ENOENT) {
		char path[1024];
		node_path(n, path, sizeof path);
		log_debug("fs", "op=%s path=%s%s%s: %s", op, log_quote(str_from(path)).text,
			  name ? " name=" : "", name ? log_quote(str_from(name)).text : "",
			  err_text(e, rc));
	}
	reply_err(req, rc);
}

void reply_bytes(fuse_req_t req, const char *p, size_t len, size_t n, int64_t off)
{
	if (off < 0 || (uint64_t)off >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, p + off, MIN(n, len - (size_t)off));
}

void fs_note_refusal(struct fs *fs, struct node *n, const struct err *e, int rc)
{
	/* `status` is for everybody, and so must be what stands there: names and values of others are not. */
	struct caller anybody = {.uid = (uid_t)-2, .gid = (gid_t)-2, .sid = SID_UNKNOWN};
	char path[256];

	if (node_access(fs, n, &anybody, R_OK) < 0)
		return;
	node_path(n, path, sizeof path);
	const char *db = n->db ? db_name(n->db) : "";
	pthread_mutex_lock(&fs->refused_mu);
	struct fs_refusal *r = fs->refused; /* that of this database, or the oldest (an unused one has time 0) */
	for (size_t i = 0; i < FS_REFUSALS; i++) {
		struct fs_refusal *p = &fs->refused[i];
		if (p->when_ns && strcmp(p->db, db) == 0) {
			r = p;
			break;
		}
		if (p->when_ns < r->when_ns)
			r = p;
	}
	r->when_ns = clock_now_ns();
	snprintf(r->db, sizeof r->db, "%s", db);
	snprintf(r->text, sizeof r->text, "%s: %.480s", path, err_text(e, rc));
	for (char *p = r->text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	pthread_mutex_unlock(&fs->refused_mu);
}

/* ---- attributes ----------------------------------------------------------------------------------- */

const struct file_ops *node_ops(const struct node *n)
{
	switch (n->kind) {
	case NODE_DIR:
		return NULL;
	case NODE_FILE:
		return n->row->ops;
	case NODE_TILE:
		return &tile_ops;
	case NODE_STATEMENT:
		return &statement_ops;
	case NODE_SCRATCH:
		return &scratch_ops;
	case NODE_SNAPSHOT_FILE:
		return &snapshot_file_ops;
	case NODE_INCOMING:
		return &incoming_ops;
	}
	return NULL;
}

/* When things were born, for what knows no better time. */
static int64_t default_mtime(struct fs *fs, const struct node *n)
{
	if (n->snapshot)
		return snapshot_created_ns(n->snapshot);
	if (n->table)
		return table_created_ns(n->table);
	if (n->db && db_created_ns(n->db)) /* not known of one that could not be opened */
		return db_created_ns(n->db);
	return fs->start_ns;
}

int node_stat(struct fs *fs, struct node *n, struct stat *st)
{
	const struct file_ops *ops = node_ops(n);
	struct node_attr a;
	int64_t mtime;
	int rc = node_check(n);

	if (rc < 0)
		return rc;
	memset(st, 0, sizeof *st);
	node_owner(fs, n, &a);
	mtime = default_mtime(fs, n);
	st->st_ino = n->ino;
	st->st_mode = (node_is_dir(n) ? S_IFDIR : S_IFREG) | a.mode;
	st->st_nlink = 1; /* for directories this says: count for yourself */
	st->st_uid = a.uid;
	st->st_gid = a.gid;
	st->st_blksize = 65536;
	st->st_mtim.tv_sec = mtime / NS_PER_S;
	st->st_mtim.tv_nsec = mtime % NS_PER_S;
	if (ops && ops->attr)
		rc = ops->attr(fs, n, st);
	st->st_atim = st->st_ctim = st->st_mtim;
	st->st_blocks = (st->st_size + 511) / 512;
	return rc;
}

/*
 * How long the kernel may believe us. A tile never changes. The name of a directory may be believed
 * for a second, but not its attributes: what was dropped by SQL meanwhile answers ESTALE to
 * whatever is asked of it, upon which the kernel looks the name up again, so nobody sees a ghost.
 */
double node_attr_timeout(const struct node *n)
{
	return n->kind == NODE_TILE ? 3600 : n->kind == NODE_SNAPSHOT_FILE ? 10 : 0;
}

/*
 * The name of a table's `ingest` may be believed for a second, too. Whoever opens it meanwhile gets the same
 * node, and writers of one node take turns in the kernel, which are short; but not where each waits for a
 * disk: these are to wait together.
 */
static bool may_share(struct fs *fs, const struct node *n)
{
	return n->kind == NODE_FILE && n->row->ops == &ingest_ops && n->table && !table_is_sync(n->table) &&
	       !node_is_synced(fs, n);
}

static double entry_timeout(struct fs *fs, const struct node *n)
{
	bool is_fixed = n->kind == NODE_TILE || n->kind == NODE_SNAPSHOT_FILE;

	return is_fixed ? 10 : n->kind == NODE_DIR || may_share(fs, n) ? 1 : 0;
}

int entry_fill(struct fs *fs, struct node *n, struct fuse_entry_param *ret)
{
	struct fuse_entry_param e = {
		.ino = node_to_ino(n),
		.attr_timeout = node_attr_timeout(n),
		.entry_timeout = entry_timeout(fs, n),
	};
	int rc = node_stat(fs, n, &e.attr);

	if (rc >= 0)
		*ret = e;
	return rc;
}

void reply_attr(struct fs *fs, fuse_req_t req, struct node *n)
{
	struct stat st;
	int rc = node_stat(fs, n, &st);

	if (rc < 0)
		reply_err(req, rc);
	else
		fuse_reply_attr(req, &st, node_attr_timeout(n));
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *n = nodes_from_ino(fs, ino);
	const struct file_ops *ops = node_ops(n);
	struct caller c;
	int rc;

	caller_init(&c, req);
	/* An open file may be asked about by whoever holds it. */
	rc = fi ? node_check(n) : node_access(fs, n, &c, 0);
	caller_release(&c);
	if (rc < 0)
		reply_err(req, rc);
	else if (!ops || !ops->getattr || !ops->getattr(fs, n, req))
		reply_attr(fs, req, n);
}

static int set_size(struct fs *fs, struct node *n, struct caller *c, int64_t size,
		    struct fuse_file_info *fi, struct err *e)
{
	const struct file_ops *ops = node_ops(n);
	struct handle *h = fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
	int rc = h && h->writable ? 0 : node_access(fs, n, c, W_OK);

	if (rc < 0)
		return rc;
	return ops && ops->truncate ? ops->truncate(fs, n, h, size, e) : -EPERM;
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *n = nodes_from_ino(fs, ino);
	struct err e = {0};
	struct caller c;
	int rc = node_check(n);

	caller_init(&c, req);
	if (rc >= 0 && n->snapshot)
		rc = -EROFS;
	if (rc >= 0 && to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		rc = node_chattr(fs, n, &c, attr, to_set, &e);
	if (rc >= 0 && to_set & FUSE_SET_ATTR_SIZE)
		rc = set_size(fs, n, &c, attr->st_size, fi, &e);
	/* Times are accepted and forgotten: touch(1) and cp -p mean no harm. A copy under way has them. */
	if (rc >= 0 && n->kind == NODE_INCOMING)
		incoming_chattr(n->incoming, attr, to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW));
	caller_release(&c);
	if (rc < 0)
		reply_refused(req, "setattr", n, NULL, rc, &e);
	else
		reply_attr(fs, req, n);
}

static void on_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs *fs = fuse_req_userdata(req);
	struct caller c;

	caller_init(&c, req);
	reply_err(req, node_access(fs, nodes_from_ino(fs, ino), &c, mask & (R_OK | W_OK | X_OK)));
	caller_release(&c);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *n = nodes_from_ino(fs, ino);
	int fd = n && n->db ? db_dirfd(n->db) : engine_dirfd(fs->engine);
	struct statvfs st;

	/* A database may have a disk of its own, and one that failed may have none any more. */
	if (fd < 0) {
		reply_err(req, -EIO);
		return;
	}
	if (fstatvfs(fd, &st) < 0) {
		reply_err(req, -errno);
		return;
	}
	st.f_namemax = NAME_LEN_MAX;
	fuse_reply_statfs(req, &st);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct fs *fs = fuse_req_userdata(req);

	node_forget(fs, nodes_from_ino(fs, ino), nlookup);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *v)
{
	struct fs *fs = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		node_forget(fs, nodes_from_ino(fs, v[i].ino), v[i].nlookup);
	fuse_reply_none(req);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	/* > on `ingest` is then part of OPEN, not a truncation that somebody else could see. */
	conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_WRITE |
				       FUSE_CAP_SPLICE_MOVE | FUSE_CAP_PARALLEL_DIROPS);
	/* Requests are read with read(2): they are small, or go to a parser that wants them in one piece. */
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
	conn->max_background = 64;
	if (fs->ready)
		fs->ready(fs->ready_ctx);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.access = on_access,
	.statfs = on_statfs,
	.mkdir = on_mkdir,
	.rmdir = on_rmdir,
	.unlink = on_unlink,
	.rename = on_rename,
	.mknod = on_mknod,
	.symlink = on_symlink,
	.link = on_link,
	.opendir = on_opendir,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
	.releasedir = on_releasedir,
	.fsyncdir = on_fsyncdir,
	.open = on_open,
	.create = on_create,
	.read = on_read,
	.write = on_write,
	.flush = on_flush,
	.release = on_release,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.getlk = on_getlk,
	.setlk = on_setlk,
	.flock = on_flock,
};

/* ---- life ----------------------------------------------------------------------------------------- */

int fs_init(struct fs *fs, struct engine *en, const struct fs_options *opt, struct err *e)
{
	int rc;

	*fs = (struct fs){
		.engine = en,
		.opt = opt,
		.uid = getuid(),
		.gid = getgid(),
		.start_ns = clock_now_ns(),
	};
	pthread_mutex_init(&fs->handles_mu, NULL);
	pthread_mutex_init(&fs->refused_mu, NULL);
	pthread_mutex_init(&fs->ticker_mu, NULL);
	rc = nodes_create(fs, &fs->nodes);
	if (rc >= 0)
		rc = results_create(fs, &fs->results);
	if (rc >= 0)
		rc = slots_create(&fs->slots);
	if (rc >= 0)
		rc = scratches_create(&fs->scratches);
	if (rc >= 0)
		rc = incomings_create(&fs->incomings);
	if (rc >= 0)
		rc = locks_create(&fs->locks);
	if (rc >= 0)
		rc = snapshot_jobs_create(&fs->snapshot_jobs);
	if (rc >= 0)
		rc = makers_create(&fs->makers);
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}

void fs_release(struct fs *fs)
{
	ticker_stop(fs);
	snapshot_jobs_stop(fs->snapshot_jobs);
	if (fs->results)
		results_stop(fs->results);
	handles_close_all(fs);
	slots_destroy(fs->slots);
	nodes_destroy(fs);
	scratches_destroy(fs->scratches);
	incomings_destroy(fs->incomings);
	results_destroy(fs->results);
	locks_destroy(fs->locks);
	snapshot_jobs_destroy(fs->snapshot_jobs);
	makers_destroy(fs->makers);
	pthread_mutex_destroy(&fs->handles_mu);
	pthread_mutex_destroy(&fs->refused_mu);
	pthread_mutex_destroy(&fs->ticker_mu);
}
