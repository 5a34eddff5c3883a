/*
 * slots: statements on their way from `echo SQL > query` to `cat query`, two processes that share
 * nothing but their user, their session and the directory they name. Also the text of a statement
 * that one handle writes and reads.
 */
#ifndef TIDE_FS_SLOTS_H
#define TIDE_FS_SLOTS_H

#include "fs/fs.h"

#define SLOT_TTL_NS      (600 * NS_PER_S)
#define SLOTS_PER_UID    64

/*
 * A statement's text as it arrives. A newline never ends it: every prefix of a long SELECT may be a
 * statement, and bash's echo sends one write(2) a line. `;` does, or the reader's first read.
 */
struct stmt {
	struct buf text;
	bool complete;   /* ended by ';' and found good: the next text begins anew */
	bool has_run;    /* all of it has, and it gives no rows (CREATE, DROP) */
	bool taken;      /* a reader has begun: likewise */
	int rc;          /* <0: what was written last was wrong ... */
	char sentence[1024]; /* ... in this way */
	uint64_t serial; /* changes with every change: readers notice a new statement */
};

void stmt_init(struct stmt *s);
void stmt_release(struct stmt *s);
void stmt_restart(struct stmt *s); /* open(O_TRUNC) */

struct writer; /* results.h */

/*
 * Take n bytes. Changing statements that they complete run, once each. Returns how many were
 * consumed (all, or up to the end of the last statement that ran, when a later one fails), or what
 * was wrong; s then tells a reader too. -EINTR: nothing of it was taken.
 */
int64_t stmt_write(struct stmt *s, struct fs *fs, const struct caller *who, struct writer *w, struct db *db,
		   const char *p, size_t n, struct err *e) must_check;
/* Is it a statement that changes something, and lacks the ';' that would run it? */
bool stmt_lacks_end(const struct stmt *s);
bool stmt_is_empty(const struct stmt *s);

/* Keyed by (uid, session, directory). Reference counted; expired ones vanish once put. */
struct slot;
int slots_create(struct slots **ret) must_check;
void slots_destroy(struct slots *ss);
void slots_tick(struct slots *ss, int64_t mono_ns);
/* One reference. make = false: NULL where there is none. */
struct slot *slot_find(struct slots *ss, uid_t uid, pid_t sid, struct db *db, bool make);
void slot_put(struct slots *ss, struct slot *s); /* NULL is fine */
struct stmt *slot_lock(struct slot *s); /* its statement, locked */
void slot_unlock(struct slot *s);

#endif
