/*
 * fsck_impl: what the files of fsck share.
 *
 *	fsck.c        the directory, findings, moving aside
 *	fsck_db.c     one database: catalogue, tables, series files
 *	fsck_catalog.c  a catalogue anew, from its copies
 *	fsck_log.c    its log
 *	fsck_files.c  its runs and tiles, each by itself
 *	fsck_rebuild.c  a run anew, from the log
 *	fsck_order.c  runs and tiles against each other
 *	fsck_snapshots.c  its snapshots
 *	fsck_parts.c  tiles in the right part of their date
 */
#ifndef TIDE_FSCK_IMPL_H
#define TIDE_FSCK_IMPL_H

#include "engine/fsck.h"
#include "engine/internal.h"

#define DIR_DAMAGED "damaged"
#define FSCK_PATH   640

struct fsck {
	const struct fsck_options *opt;
	const struct io *io;
	struct engine en; /* only what lock, format and name checks look at */
	struct fsck_result out;
	struct catalog *root; /* NULL: damaged or missing */
	uint64_t total; /* bytes there are, for progress */
	uint64_t done;
};

struct fsck_file {
	struct catalog_file meta;
	struct tile *tile; /* whole and the right one, or NULL */
};

struct fsck_table {
	struct fsck_table *next;
	struct catalog_table meta;
	char dir[64];
	struct series_set *series; /* file and log together */
	char series_why[600];      /* what is wrong with the file; "" nothing */
	int64_t series_damage;
	struct fsck_file *files;
	uint32_t file_n, file_cap;
	bool incomplete; /* a file that the catalogue names is, or was, missing */
};

/* Files with several names that were read to their end and are whole: no need to read them again. */
struct fsck_inodes {
	uint64_t *v; /* open addressing; 0: free */
	size_t n, cap;
};

struct fsck_db {
	struct fsck *f;
	char name[NAME_LEN_MAX + 1];
	int dirfd;
	struct catalog *cat; /* NULL: damaged */
	struct fsck_table *tables;
	uint32_t table_id_max;
	uint64_t lsn_max;  /* highest that the catalogue knows of */
	struct fsck_inodes whole;
	bool is_old;       /* the catalogue is older than the log: nothing is swept */
};

/* Where something was found; all may be NULL, off -1. */
struct fsck_where {
	const struct fsck_db *db;
	const struct fsck_table *table;
	const char *file;
	int64_t off;
};

/*
 * A finding. repair: what would make it right, or NULL (or, with can false, what the reader may do).
 * rc: what the repair came to, where one was asked for (fsck_repairs()).
 */
void fsck_found(struct fsck *f, struct fsck_where w, enum fsck_severity s, bool can, int rc,
		const char *repair, const char *fmt, ...) printf_like(7, 8);

static inline bool fsck_repairs(const struct fsck *f)
{
	return f->opt->repair;
}

void fsck_checked(struct fsck *f, uint64_t bytes); /* one more file */

/* path (below dirfd) into the directory `to`, under a name that is free there. Synced. */
int fsck_set_aside(struct fsck *f, int dirfd, const char *path, const char *to) must_check;
/* The same, but a copy of it. */
int fsck_copy_aside(struct fsck *f, int dirfd, const char *path, const char *to) must_check;

/* Calls fn for all below `path`, directories after what is in them; <0 of fn stops it. -ENOENT: no such. */
int fsck_walk(int dirfd, const char *path, int (*fn)(void *ctx, const char *path, const struct stat *st),
	      void *ctx) must_check;

/* Is anything but directories below `path`? */
int fsck_holds_files(int dirfd, const char *path, bool *ret) must_check;

int fsck_db(struct fsck *f, const char *name, struct err *e) must_check;
/* The catalogue cannot be opened, with the error `lost`: what says why. *ret_rebuilt: there is a new one. */
int fsck_catalog(struct fsck_db *d, int lost, const char *what, bool *ret_rebuilt, struct err *e) must_check;
int fsck_root_catalog(struct fsck *f, const char *what, struct err *e) must_check;
int fsck_log(struct fsck_db *d, struct err *e) must_check;
int fsck_log_definitions(struct fsck_db *d, struct err *e) must_check;
int fsck_files(struct fsck_db *d, struct fsck_table *t, struct err *e) must_check;
int fsck_files_alone(struct fsck_db *d, struct err *e) must_check; /* without a catalogue */
/* 0: its run was (or, when only checking, could be) written anew from the log; ff is then the new one. */
int fsck_rebuild_run(struct fsck_db *d, struct fsck_table *t, struct fsck_file *ff) must_check;
int fsck_parts(struct fsck_db *d, struct fsck_table *t, struct err *e) must_check;
void fsck_note_whole(struct fsck_db *d, const struct stat *st);
bool fsck_is_whole(const struct fsck_db *d, const struct stat *st);
int fsck_snapshots(struct fsck_db *d, struct err *e) must_check;
int fsck_order(struct fsck_db *d, struct fsck_table *t, struct err *e) must_check;

#endif
