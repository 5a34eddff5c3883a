/*
 * makers: directories that are there before whoever copies a tree makes them.
 *
 * A table has its magnetic/ from birth, and a snapshot.json brings tables along. But cp -r into a directory
 * that it made, and Python's copytree, look at nothing there: they make each directory, and one that
 * exists is an error that ends in half a copy. The kernel, too, refuses to make what a lookup found.
 *
 * So the mkdir(2) of the process that made a table does not find magnetic/ in it, and that of one that
 * copied a snapshot.json in does not find those tables that the text made: it gets what was there all along.
 * Whatever else the process calls, and other processes, see everything at once. Where /proc does not say
 * what the process calls, its first lookups are taken for those of a mkdir(2). This lasts until
 * the process has ended; for magnetic/, at most MAKER_MAGNETIC_NS, as copying goes on at once.
 */
#ifndef TIDE_FS_MAKERS_H
#define TIDE_FS_MAKERS_H

#include "fs/nodes.h"

#define MAKER_MAGNETIC_NS (10 * NS_PER_S)
#define MAKERS_MAX        65536 /* at a time; past that directories are simply there */

struct makers;

int makers_create(struct makers **ret) must_check;
void makers_destroy(struct makers *ms); /* NULL is fine */
void makers_tick(struct makers *ms, int64_t mono_ns);

/* pid: as the kernel gives it; 0, not visible from here, is nobody's. */
void makers_add_table(struct makers *ms, pid_t pid, struct table *t);    /* the table is yet to be made by it */
void makers_add_magnetic(struct makers *ms, pid_t pid, struct table *t); /* its magnetic/ is */

/* Is that process, which looks this child of dir up, about to make it? Then it does not find it. */
bool makers_hide(struct makers *ms, pid_t pid, const struct node *dir, const char *name);
/* It makes it: from now on it sees it. False: it was not hidden. */
bool makers_take(struct makers *ms, pid_t pid, const struct node *dir, const char *name);

#endif
