/*
 * spool: an unlinked temporary file under DATA_DIR/spool (or -o spool=DIR) for a result that is too
 * large for memory. What a user may hold there is limited.
 */
#ifndef TIDE_FS_SPOOL_H
#define TIDE_FS_SPOOL_H

#include "fs/fs.h"

struct spool {
	int fd; /* -1: none */
	uid_t uid;
	uint64_t bytes;
};

void spool_init(struct spool *s);
void spool_release(struct spool *s); /* gives the room back; fine when none */
bool spool_used(const struct spool *s);
int spool_open(struct spool *s, const struct fs_options *opt, uid_t uid, struct err *e) must_check;
/* -EDQUOT: the user's share is used up; -ENOSPC. */
int spool_append(struct spool *s, const void *p, size_t n, struct err *e) must_check;
void spool_reply(const struct spool *s, fuse_req_t req, size_t n, int64_t off);

#endif
