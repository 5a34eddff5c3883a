/*
 * incoming_impl: what the files of incoming share.
 *
 *	incoming.c       names: the list, directories, renaming, expiry
 *	incoming_file.c  bytes: reading, writing, and what closing says
 */
#ifndef TIDE_FS_INCOMING_IMPL_H
#define TIDE_FS_INCOMING_IMPL_H

#include "fs/incoming.h"

#define INCOMING_PATH_MAX 512

struct incoming {
	struct incomings *owner;
	struct table *table; /* referenced; constant, as all up to here and the id */
	bool is_dir;
	bool is_over;        /* over a tile of that name: never linked */
	uint64_t id;

	/* Guarded by owner->mu. */
	struct incoming *next;
	int refs;            /* nodes, handles and callers; one for the list while linked */
	bool is_linked;
	bool is_restored;
	char path[INCOMING_PATH_MAX]; /* below magnetic/ */
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
	int opens, writers;
	int64_t idle_since_ns; /* monotonic: of the last use */

	_Atomic int64_t size;  /* of the content, or what it was */

	/* The content. Guarded by mu, which is held while it is taken in. */
	pthread_mutex_t mu;
	struct restore *restore; /* NULL: gone */
	int fd;                  /* the restore's */
	bool is_changed;         /* since it was last said whether it is good */
};

struct incomings {
	pthread_mutex_t mu;
	struct incoming *list; /* newest first */
	uint64_t last_id;
	uint32_t files; /* that have a content */
	uint32_t dirs;
};

static inline const char *incoming_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

bool incoming_is_final(const char *name); /* does it end in .parquet? */

/* incoming_file.c. Caller holds in->mu. */
void incoming_drop_content(struct incoming *in);
/* Take the rows in. What is wrong is noted in `rejected` of the table and in `status`. */
int incoming_commit(struct fs *fs, struct incoming *in, struct node *dir, const char *name, uint32_t uid,
		    struct err *e) must_check;

/* incoming.c. Neither lock is held. */
void incoming_trim(struct incomings *is); /* of what was restored, keep little; the last one in any case */
void incoming_forget(struct incoming *in); /* its name and content; nothing while somebody writes it */
int incoming_make(struct fs *fs, struct table *t, const char *path, mode_t mode, const struct caller *c,
		  struct incoming **ret, struct err *e) must_check; /* not linked yet; one reference */

#endif
