/*
 * scratch: the temporary files that editors make beside a setting (sed -i, vim, mv), and a database's
 * snapshot.json on its way in. In memory, for their owner only, at most 1 MiB each (a snapshot.json
 * more), gone ten minutes after their last close.
 *
 * One mutex for all of them: they are few, small and short-lived.
 */
#ifndef TIDE_FS_SCRATCH_H
#define TIDE_FS_SCRATCH_H

#include "fs/nodes.h"

#define SCRATCH_BYTES_MAX (1 << 20)
#define SCRATCH_PER_UID   32
#define SCRATCH_JSON_BYTES_MAX (64 << 20)
#define SCRATCH_JSON_PER_UID   4
#define SCRATCH_TTL_NS    (600 * NS_PER_S)

struct scratch;

int scratches_create(struct scratches **ret) must_check;
void scratches_destroy(struct scratches *ss); /* after the nodes */
void scratches_expire(struct scratches *ss, int64_t mono_ns);

/* May editors make a file of that name in this directory? */
bool scratch_dir(const struct node *dir, const char *name);

struct scratch *scratch_get(struct scratch *s);
void scratch_put(struct scratch *s); /* NULL is fine */

/* By name; one reference, or NULL. */
struct scratch *scratch_find(struct fs *fs, struct node *dir, const char *name);
/*
 * A new, empty one; one reference. -EDQUOT: that user has as many as one may have already.
 */
int scratch_create(struct fs *fs, struct node *dir, const char *name, mode_t mode,
		   const struct caller *c, struct scratch **ret, struct err *e) must_check;
int scratch_unlink(struct fs *fs, struct node *dir, const char *name) must_check; /* -ENOENT */
/* Another of that name goes. */
void scratch_rename(struct fs *fs, struct scratch *s, struct node *dir, const char *name);

int scratch_set(struct scratch *s, struct str text) must_check;
void scratch_text(struct scratch *s, struct buf *out); /* appended */
void scratch_owner(struct scratch *s, struct node_attr *ret);
void scratch_chattr(struct scratch *s, const struct stat *st, int to_set);

/* Calls add() for each name in the directory; no lock is held meanwhile. */
int scratch_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name), void *ctx) must_check;

/* The node of it; one reference, or NULL. */
struct node *scratch_node(struct fs *fs, struct node *dir, struct scratch *s);

#endif
