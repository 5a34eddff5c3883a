/*
 * What can be said of a directory where a promise was broken: what was begun and acknowledged, what the
 * catalogue says of each table, and what the log holds of it.
 */
#include "tests/crash/crash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/catalog.h"
#include "engine/wal.h"

#define TABLES_MOST 64

/* Of one table, by id; [0]: of the whole log. */
struct held {
	uint64_t first, last, records;
};

struct look {
	struct held held[TABLES_MOST];
	struct catalog *cat;
};

static int note_record(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct look *l = ctx;
	uint32_t ids[2] = {0, rec->table_id};

	(void)e;
	for (int i = 0; i < 2 && ids[i] < TABLES_MOST; i++) {
		struct held *h = &l->held[ids[i]];
		h->first = h->records++ ? h->first : rec->lsn;
		h->last = rec->lsn;
	}
	return 0;
}

static int print_file(void *ctx, const struct catalog_file *f)
{
	(void)ctx;
	fprintf(stderr, "      %s %s: records %llu to %llu, %llu rows\n", f->kind == CATALOG_RUN ? "run" : "tile", f->path,
		(unsigned long long)f->seq_lo, (unsigned long long)f->seq_hi, (unsigned long long)f->rows);
	return 0;
}

static int print_table(void *ctx, const struct catalog_table *t)
{
	struct look *l = ctx;
	const struct held *h = &l->held[MIN(t->id, (uint32_t)TABLES_MOST - 1)];
	struct err e = {0};

	fprintf(stderr, "    %s (%u): flushed up to %llu, %u columns and %u series saved, expired before %lld; in the log: ",
		t->name, t->id, (unsigned long long)t->flushed_lsn, t->saved_columns, t->saved_series,
		(long long)t->expired_before_ns);
	if (h->records)
		fprintf(stderr, "%llu records, %llu to %llu\n", (unsigned long long)h->records,
			(unsigned long long)h->first, (unsigned long long)h->last);
	else
		fprintf(stderr, "nothing\n");
	return catalog_files(l->cat, t->id, print_file, NULL, &e);
}

static void print_segments(int dirfd)
{
	int fd = openat(dirfd, "wal", O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;
	struct stat st;

	while (d && (x = readdir(d)))
		if (x->d_name[0] != '.' && fstatat(fd, x->d_name, &st, 0) == 0)
			fprintf(stderr, "    segment %s: %lld bytes\n", x->d_name, (long long)st.st_size);
	if (d)
		closedir(d);
}

static void print_log(struct look *l, int dirfd)
{
	struct wal_options opt = {.read_only = true};
	struct wal_status st;
	struct err e = {0};
	struct wal *w;
	int rc = wal_open(io_posix(), dirfd, "wal", &opt, note_record, l, &w, &e);

	print_segments(dirfd);
	if (rc < 0) {
		fprintf(stderr, "    the log cannot be read: %s\n", err_text(&e, rc));
		return;
	}
	wal_status(w, &st);
	bool is_whole = strstr(st.reason, "reading only") != NULL; /* which is all that it says then */
	fprintf(stderr, "    the log: records %llu to %llu%s%s\n", (unsigned long long)l->held[0].first,
		(unsigned long long)l->held[0].last, is_whole ? "" : "; ", is_whole ? "" : st.reason);
	wal_close(w);
}

static void print_db(const char *name)
{
	char path[128];
	struct look l = {0};
	struct err e = {0};
	int64_t last = 0;

	snprintf(path, sizeof path, "%s/db/%s", dir, name);
	int dirfd = open(path, O_RDONLY | O_DIRECTORY);
	if (dirfd < 0)
		return;
	fprintf(stderr, "  database %s\n", name);
	print_log(&l, dirfd);
	snprintf(path, sizeof path, "%s/db/%s/catalog.sqlite", dir, name);
	int rc = catalog_open(path, true, &l.cat, &e);
	if (rc >= 0) {
		rc = catalog_get_int(l.cat, "last_lsn", 0, &last, &e);
		fprintf(stderr, "    the catalogue: the log was trimmed at %lld\n", (long long)last);
	}
	if (rc >= 0)
		rc = catalog_tables(l.cat, print_table, &l, &e);
	if (rc < 0)
		fprintf(stderr, "    the catalogue cannot be read: %s\n", err_text(&e, rc));
	catalog_close(l.cat);
	close(dirfd);
}

static void print_mark(const char *what, const struct mark *m)
{
	fprintf(stderr, "  %s: %lld acknowledged, %lld begun\n", what, (long long)atomic_load(&m->acked),
		(long long)atomic_load(&m->begun));
}

void report(void)
{
	uint32_t n = MIN(atomic_load(&sh->expiring_n), (uint32_t)EXPIRING_MOST);

	print_mark("t, rows of series a", &sh->rows[0]);
	print_mark("t, rows of series b", &sh->rows[1]);
	print_mark("v, generation", &sh->generation);
	print_mark("d, rows", &sh->added);
	print_mark("d, deleted up to", &sh->floor);
	print_mark("r, restored", &sh->restored);
	print_mark("r, rows beside", &sh->beside);
	print_mark("t and r, retention", &sh->retention);
	print_mark("n, series", &sh->named);
	print_mark("snapshots made", &sh->made);
	print_mark("snapshots dropped", &sh->dropped);
	if (n)
		fprintf(stderr, "  e: %u batches, the last of row %lld to %lld, %sacknowledged\n", n,
			(long long)sh->expiring[n - 1].first,
			(long long)(sh->expiring[n - 1].first + sh->expiring[n - 1].n - 1),
			atomic_load(&sh->expiring[n - 1].is_acked) ? "" : "not ");
	print_db("d");
	print_db("copy");
}
