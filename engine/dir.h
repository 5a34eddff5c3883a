/*
 * dir: listing directories. Apart from io.h because listing is only done at open, at drop and by fsck,
 * and is not made to fail by tests.
 */
#ifndef TIDE_DIR_H
#define TIDE_DIR_H

#include <dirent.h>
#include <stdbool.h>

/*
 * The directory `path` below the descriptor `at`, for readdir(); through a final symbolic link only
 * where `follow`. NULL with errno set. closedir() ends it; dirfd() of it serves the *at calls.
 */
DIR *dir_open(int at, const char *path, bool follow);

/* rm -r below `at`; what cannot go stays. */
void dir_remove(int at, const char *path);

#endif
