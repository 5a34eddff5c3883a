/*
 * snapshots: <database>/snapshots/ and below.
 *
 * mkdir makes a snapshot and rmdir drops one, although it is not empty: a control directory. Below it
 * lies a read-only tree of real files, served like tiles: true sizes, stable inode numbers and times,
 * cached by the kernel. Whatever would change it is EROFS.
 *
 * Making one may take long, and dropping one too: both run in a thread of their own, and the request
 * waits for it without a thread of libfuse. A signal (INTERRUPT) ends the making; nothing of it is
 * then there.
 *
 * Directories show the permissions of the database and its tables, so that a copy by `cp -a` or
 * `rsync -a` has them; snapshot.json comes first in listings and has the smallest inode number, since
 * copying tools go by one or the other and tables are best made before their rows come.
 */
#ifndef TIDE_FS_SNAPSHOTS_H
#define TIDE_FS_SNAPSHOTS_H

#include "fs/nodes.h"

int snapshot_jobs_create(struct snapshot_jobs **ret) must_check;
void snapshot_jobs_stop(struct snapshot_jobs *js); /* ends what is being made, waits; NULL is fine */
void snapshot_jobs_destroy(struct snapshot_jobs *js);

/* Reply themselves, perhaps later. Access to dir (snapshots/) was checked. */
void snapshot_mkdir(struct fs *fs, fuse_req_t req, struct node *dir, const char *name);
void snapshot_rmdir(struct fs *fs, fuse_req_t req, struct node *dir, const char *name);

/* A child of snapshots/, of a snapshot or of a directory in it; one reference. -ENOENT. */
int snapshot_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret) must_check;
int snapshot_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name, struct node *n),
		  void *ctx) must_check;

/* ---- <database>/snapshot.json (snapshot_json.c) ----------------------------------------------------- */

/*
 * A database is restored by copying a snapshot's files into it, snapshot.json among them: a whole one
 * that is written to that name, or renamed to it, makes the tables. Otherwise it is a temporary file
 * (scratch.h), which nothing lists.
 */
#define SNAPSHOT_JSON "snapshot.json"
bool snapshot_json_dir(const struct node *dir, const char *name); /* is it, or a tool's temporary name for it? */
int snapshot_json_store(struct fs *fs, struct node *dir, struct str text, struct caller *c, struct err *e) must_check;

#endif
