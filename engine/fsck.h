/*
 * fsck: is everything in a data directory right, and what can be made right again?
 *
 * Works on a directory that nobody has mounted, and locks it. Nothing is ever thrown away but what a
 * mount would sweep away, too (files that no transaction named): what cannot be used is moved into a
 * directory `damaged` beside it. One damaged database does not stop the check of the others.
 */
#ifndef TIDE_FSCK_H
#define TIDE_FSCK_H

#include "engine/io.h"

enum fsck_severity {
	FSCK_NOTE,    /* worth knowing; loses nothing, and is no problem: what a crash leaves behind, say */
	FSCK_WARNING, /* untidy: a mount would put it right by itself */
	FSCK_ERROR,   /* damaged or lost */
};

enum fsck_outcome {
	FSCK_STAYS,    /* no repair is known, or none is needed; `repair` says what to do */
	FSCK_WOULD,    /* `repair` says what a repair would do */
	FSCK_REPAIRED, /* `repair` says what it did */
	FSCK_FAILED,   /* `repair` says what it tried, and why that failed */
};

/* All text is lent for the call. "" where there is none; offset -1 where there is none. */
struct fsck_finding {
	enum fsck_severity severity;
	enum fsck_outcome outcome;
	const char *db, *table;
	const char *file; /* below the database's directory, or DATA_DIR's where db is "" */
	int64_t offset;
	const char *what, *repair;
};

struct fsck_options {
	const struct io *io; /* NULL: io_posix() */
	bool repair;
	const char *const *reserved_names; /* as in engine_options */
	void (*found)(void *ctx, const struct fsck_finding *f);         /* or NULL */
	void (*progress)(void *ctx, uint64_t done, uint64_t total); /* bytes; or NULL */
	void *ctx;
};

struct fsck_result {
	uint64_t files, bytes; /* checked */
	uint64_t problems;     /* warnings and errors */
	uint64_t repaired;     /* of those */
};

/*
 * Checks all of data_dir. Problems are no failure: 0 says that it could be checked. -EBUSY: another
 * process has it open; -ENOTEMPTY, -EMEDIUMTYPE: not a data directory, or of another format. One thread.
 */
int fsck_run(const char *data_dir, const struct fsck_options *opt, struct fsck_result *ret,
	     struct err *e) must_check;

#endif
