/*
 * options: the command line. One table of -o options drives parsing, --help and suggestions.
 */
#ifndef TIDE_FS_OPTIONS_H
#define TIDE_FS_OPTIONS_H

#include "fs/fs.h"

struct options {
	struct fs_options fs;
	char *data_dir;   /* owned, as all pointers here */
	char *mountpoint;
	char *spool;
	char *unload;
	char *log;        /* levels, as TIDE_LOG; NULL: the default */
	char *log_file;   /* NULL: DATA_DIR/tidefs.log, or standard error with -f */
	struct buf fuse;  /* comma separated: what libfuse and the kernel are told */
};

/* -EINVAL with a sentence. args: without the program's name. */
int options_parse(struct options *o, int argc, char **argv, struct err *e) must_check;
/* Absolute paths; refuses mount points that cannot be one. */
int options_resolve(struct options *o, struct err *e) must_check;
void options_release(struct options *o);
void options_print_help(void);

#endif
