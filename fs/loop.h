/*
 * loop: who reads the kernel's requests, and who serves them.
 */
#ifndef TIDE_FS_LOOP_H
#define TIDE_FS_LOOP_H

#include "fs/fs.h"

struct loop;

/* Threads are started as they are needed, at most max_threads that serve; at least 2. -ENOMEM, or why there is no thread. */
int loop_create(struct fuse_session *se, unsigned max_threads, struct loop **ret, struct err *e) must_check;

/*
 * Serve until the session ends: by itself (unmounted) or by loop_stop(). All requests under way end
 * first. 0, or what the kernel said (-errno).
 */
int loop_run(struct loop *l, struct err *e) must_check;

void loop_stop(struct loop *l); /* from any other thread, while loop_run() runs or before it */

void loop_destroy(struct loop *l); /* not while it runs; NULL is fine */

#endif
