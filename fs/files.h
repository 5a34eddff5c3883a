/*
 * files: the table of virtual files. A file is a row; lookup, readdir, getattr, README,
 * docs/files.md and the names that databases and tables may not have all follow from it.
 */
#ifndef TIDE_FS_FILES_H
#define TIDE_FS_FILES_H

#include "fs/nodes.h"

enum {
	VF_HIDDEN = 1 << 0, /* found by name, not listed by readdir */
};

struct vfile {
	enum level level;  /* the directory it lies in */
	const char *name;
	mode_t mode;       /* S_IFDIR or S_IFREG, and the permission bits it has until somebody says chmod */
	const struct file_ops *ops; /* files */
	enum level child;           /* directories: which one it is */
	/* text_ops: the whole text, in one go. */
	int (*show)(struct fs *fs, struct node *n, struct buf *out, struct err *e);
	/* text_ops: a whole value was written. An error keeps what was there. */
	int (*store)(struct fs *fs, struct node *n, struct str value, struct err *e);
	int arg;           /* which setting, which format */
	unsigned flags;
	const char *help;  /* one line of Markdown, shown in README and docs/files.md */
};

/* Builds the rows that follow from other tables (settings). Once, before threads. */
int files_init(void) must_check;

const struct vfile *files_find(enum level level, const char *name); /* or NULL */
/* The file of that directory whose name somebody got wrong by a letter or two; NULL: it is another name. */
const char *files_misspelt(enum level level, const char *name);
/* The i-th row of a directory, or NULL past the last. */
const struct vfile *files_row(enum level level, int i);

/* Names that databases and tables may not have; NULL-terminated, lent for ever. */
const char *const *files_reserved_names(void);

int files_print_readme(struct buf *out); /* for the mount's README */
int files_print_docs(struct buf *out);   /* docs/files.md */

/* show and store of rows live beside what they show. */
int readme_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int root_status_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int db_status_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int schema_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int stats_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int setting_show(struct fs *fs, struct node *n, struct buf *out, struct err *e);
int setting_store(struct fs *fs, struct node *n, struct str value, struct err *e);

#endif
