/*
 * tiles_file: magnetic/ and below. Directories follow from the paths of the published tiles; a tile
 * is served from its real file, through the page cache, spliced.
 */
#ifndef TIDE_FS_TILES_FILE_H
#define TIDE_FS_TILES_FILE_H

#include "fs/nodes.h"

/* The child of magnetic/, a date or a part; one reference. -ENOENT. */
int tiles_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret) must_check;

/* Calls add() for each child. id: for tiles. */
int tiles_list(struct fs *fs, struct node *dir,
	       int (*add)(void *ctx, const char *name, struct node *n), void *ctx) must_check;

/* The node of a date or part, whether it has tiles or not; path: below magnetic/. One reference, or NULL. */
struct node *tiles_dir_node(struct fs *fs, struct node *dir, const char *path);

int tiles_unlink(struct fs *fs, struct node *dir, const char *name, struct err *e) must_check;
/* Directories that have no tiles are gone by themselves. -ENOTEMPTY, or 0: there is none of that name. */
int tiles_rmdir(struct fs *fs, struct node *dir, const char *name) must_check;

/* Does the engine still publish this one? */
bool tile_is_published(const struct tile_entry *sorted, uint32_t n, const struct node *tile);

#endif
