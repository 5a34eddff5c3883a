/*
 * incoming: files on their way into magnetic/, and the directories that were made for them.
 *
 * Copying a tile in restores it. Its bytes go to an unnamed file of the database's (engine.h,
 * table_restore_begin()). When the file has a name that ends in .parquet and is whole, closing it takes
 * its rows in, and the error of that is close(2)'s; or renaming it to such a name does, and the error is
 * rename(2)'s. Any other name is a temporary one, as rsync and editors make.
 *
 *	filling   listed, its owner's alone. Unfinished when the last writer closes it: under a .parquet name
 *		  it is refused and gone; under another one it waits INCOMING_TTL_NS for its renaming
 *	restored  not listed any more, since its rows will be in a tile of another name, and who reads the
 *		  tree must not meet them twice. For a little while it can still be looked up, so that
 *		  tools find what they have just copied and can set its times and mode
 *
 * Directories of dates and parts come and go with their tiles. One that is made before there is a tile
 * is remembered here, until nothing needed it for INCOMING_TTL_NS.
 *
 * One mutex for all names; it is a leaf. The bytes have one of their own for each file (docs/locking.md).
 */
#ifndef TIDE_FS_INCOMING_H
#define TIDE_FS_INCOMING_H

#include "fs/nodes.h"

#define INCOMING_TTL_NS      (600 * NS_PER_S)
#define INCOMING_RESTORED_NS (10 * NS_PER_S) /* how long what was restored can be looked up */
#define INCOMING_KEPT_BYTES  (INT64_C(256) << 20) /* of those, in all: the oldest go first */
#define INCOMING_FILES_MAX   512             /* at a time; each holds a descriptor */
#define INCOMING_DIRS_MAX    65536

struct incoming;

int incomings_create(struct incomings **ret) must_check;
void incomings_destroy(struct incomings *is); /* after the nodes */
void incomings_expire(struct incomings *is, int64_t mono_ns);

/* magnetic/ and below? */
bool incoming_dir(const struct node *dir);

struct incoming *incoming_get(struct incoming *in);
void incoming_put(struct incoming *in); /* NULL is fine */

/* By name: a node, one reference; -ENOENT. */
int incoming_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret) must_check;
/* Calls add() for each name in the directory that is to be listed; no lock is held meanwhile. */
int incoming_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name, struct node *n),
		  void *ctx) must_check;

/* Access to `dir` was checked, and nothing has that name. The node: one reference. */
int incoming_create(struct fs *fs, struct node *dir, const char *name, mode_t mode, const struct caller *c,
		    struct node **ret, struct err *e) must_check;
int incoming_mkdir(struct fs *fs, struct node *dir, const char *name, struct node **ret, struct err *e) must_check;
int incoming_rmdir(struct fs *fs, struct node *dir, const char *name) must_check;
int incoming_unlink(struct fs *fs, struct node *dir, const char *name) must_check;
int incoming_rename(struct fs *fs, struct node *from_dir, const char *from, struct node *to_dir, const char *to,
		    unsigned flags, const struct caller *c, struct err *e) must_check;

/*
 * Rows of that date were removed, with a tile or its directory: what was restored there may be gone again. Who
 * copies it in once more must not be told that it is there (rsync passes such files over, cp says EEXIST).
 */
void incoming_forget_restored(struct fs *fs, const struct node *dir, const char *name);

/* Was this directory made by mkdir(2), a moment ago? */
bool incoming_made_dir(struct fs *fs, const struct node *dir);

void incoming_owner(struct incoming *in, struct node_attr *ret);
void incoming_chattr(struct incoming *in, const struct stat *st, int to_set); /* mode, owner, mtime */

/* open(2) of a tile that is there, to be written anew: h becomes one of incoming_ops. */
int incoming_over_tile(struct handle *h, struct err *e) must_check;

extern const struct file_ops incoming_ops; /* incoming_file.c */

#endif
