/*
 * session: one mount from its first breath to its last.
 */
#ifndef TIDE_FS_SESSION_H
#define TIDE_FS_SESSION_H

#include "fs/options.h"

/*
 * Opens the engine, mounts, serves until unmounted or told to stop, closes. Without -f it goes to the
 * background, and the calling process returns as soon as the mount is usable or has failed.
 * Returns the exit code.
 */
int session_run(struct options *o);

#endif
