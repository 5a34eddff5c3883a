/*
 * ops: FUSE operations, by what they work on. Decode, check access, call, reply; nothing else.
 */
#ifndef TIDE_FS_OPS_H
#define TIDE_FS_OPS_H

#include "fs/nodes.h"

/* What kind of file a node is; NULL for directories. */
const struct file_ops *node_ops(const struct node *n);

/* The sentence goes to the log (debug), the errno to the kernel. */
void reply_refused(fuse_req_t req, const char *op, struct node *n, const char *name, int rc,
		   const struct err *e);

/* Attributes and timeouts of a node for LOOKUP, MKDIR, CREATE and READDIRPLUS. */
int entry_fill(struct fs *fs, struct node *n, struct fuse_entry_param *ret) must_check;

/* Reply with a node, which the kernel then holds; the caller's reference is taken. (ops_dir.c) */
void reply_node(struct fs *fs, fuse_req_t req, struct node *n);

/* ops_dir.c */
void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags);
void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void on_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);
void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* ops_file.c */
void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
/* Close what the kernel still held when the mount went away. */
void handles_close_all(struct fs *fs);

/* tiles_file.c: files that are read from a descriptor of their own: h->priv is an allocated int, given. */
void fd_file_read(struct handle *h, fuse_req_t req, size_t n, int64_t off);
void fd_file_release(struct handle *h);

/* locks.c */
int locks_create(struct locks **ret) must_check;
void locks_destroy(struct locks *ls); /* NULL is fine */
void locks_drop_posix(struct fs *fs, struct node *n, uint64_t owner);
void locks_drop_flock(struct fs *fs, struct node *n, uint64_t owner);
/* What was locked through this open file, whoever the owner is. */
void locks_drop_handle(struct fs *fs, struct node *n, const struct handle *h);
void on_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void on_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void on_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);

#endif
