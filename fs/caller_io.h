/*
 * caller_io: disk calls in somebody else's name: files that UNLOAD makes are made as the caller would
 * make them, with the caller's rights and as the caller's own.
 *
 * A daemon of root changes its thread's uid, gid and groups for the calls that name files, as nfsd does;
 * what was opened is then used as by anybody. A daemon of somebody else can act for that user alone.
 */
#ifndef TIDE_FS_CALLER_IO_H
#define TIDE_FS_CALLER_IO_H

#include "engine/io.h"
#include "fs/fs.h"

struct caller_io {
	struct io io;
	const struct fs *fs;
	const struct caller *who;
};

/* who: borrowed for its life. */
void caller_io_init(struct caller_io *c, const struct fs *fs, const struct caller *who);

#endif
