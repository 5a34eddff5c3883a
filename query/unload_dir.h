/*
 * unload_dir: where the files of an UNLOAD lie, and that they come into being all or none.
 *
 *	DIR/target/                     DIR: the directory of the mount option
 *	    results/[a=1/b=2/]NAME      result files
 *	    NAME_metadata.json
 *	    NAME_manifest.json
 *
 * Files are written under a name that begins with a dot, and synced. unload_dir_commit() gives them
 * their names, the manifest last; whoever sees it finds every file that it names. Before that,
 * unload_dir_destroy() removes what was made, directories too.
 *
 * The way is walked part by part, never through a symbolic link, and never upwards. Calls go through
 * a struct io, which may be one that acts for somebody else than this process.
 */
#ifndef TIDE_UNLOAD_DIR_H
#define TIDE_UNLOAD_DIR_H

#include "engine/io.h"

struct unload_dir;
struct unload_folder;

struct unload_file {
	struct unload_file *next; /* in order of creation */
	struct str path;          /* absolute; also what the manifest calls its url */
	uint64_t bytes, rows;     /* rows: the writer's */
	/* private */
	struct unload_folder *folder;
	char *name, *hidden; /* in its folder */
	int fd;              /* -1: closed */
	bool is_placed;
};

/* dir: absolute. target: relative, its parts checked; "": dir itself. */
int unload_dir_create(const struct io *io, const char *dir, struct str target, struct budget *b,
		      struct unload_dir **ret, struct err *e) must_check;
void unload_dir_destroy(struct unload_dir *d); /* NULL is fine */

/* A file in a folder below the target ("results/a=1"; "": the target), which is made. Lent. */
int unload_dir_file(struct unload_dir *d, struct str folder, struct str name, struct unload_file **ret,
		    struct err *e) must_check;
int unload_file_write(struct unload_dir *d, struct unload_file *f, const void *p, size_t n, struct err *e) must_check;
int unload_file_end(struct unload_dir *d, struct unload_file *f, struct err *e) must_check; /* synced and closed */

const struct unload_file *unload_dir_files(const struct unload_dir *d); /* the first */

/* In order of creation; so the manifest is made last. */
int unload_dir_commit(struct unload_dir *d, struct err *e) must_check;

#endif
