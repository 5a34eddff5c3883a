/*
 * q_dir: q/, where a file name is a statement.
 */
#ifndef TIDE_FS_Q_DIR_H
#define TIDE_FS_Q_DIR_H

#include "fs/nodes.h"

/*
 * The node of a statement; one reference. Parses and binds, never runs: the kernel holds the
 * directory's lock. -ENOENT: the name is no statement (a wrong statement is a file that says why).
 */
int q_lookup(struct fs *fs, struct node *dir, const char *name, fuse_req_t req, struct node **ret) must_check;

/*
 * "SELECT a%2Fb FROM t.csv" -> "SELECT a/b FROM t" and CSV; without a known extension: CSV. The
 * text is appended to out.
 */
int q_decode(const char *name, struct buf *out, enum query_format *ret_format) must_check;

#endif
