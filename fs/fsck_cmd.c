/*
 * fsck_cmd: what fsck finds, as lines for people. The progress bar goes to standard error, and only to
 * a terminal; findings and the last line go to standard output.
 */
#include "fs/fsck_cmd.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/fsck.h"
#include "fs/files.h"

#define BAR 40

struct printing {
	bool has_bar;
	bool is_drawn;
	int64_t drawn_ns;
};

static void wipe_bar(struct printing *p)
{
	if (p->is_drawn)
		fputs("\r\033[K", stderr);
	p->is_drawn = false;
}

static void print_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct printing *p = ctx;
	int64_t now = clock_mono_ns();
	int n = total ? (int)((double)done / (double)total * BAR) : BAR;

	if (!p->has_bar || (p->is_drawn && now - p->drawn_ns < 100 * NS_PER_MS))
		return;
	p->is_drawn = true;
	p->drawn_ns = now;
	fprintf(stderr, "\r[%.*s%*s] %.1f of %.1f MiB", n, "########################################", BAR - n, "",
		(double)done / 1048576, (double)total / 1048576);
	fflush(stderr);
}

static void print_finding(void *ctx, const struct fsck_finding *f)
{
	static const char *const severities[] = {"note", "warning", "error"};
	static const char *const outcomes[] = {"", "--repair would ", "--repair did this: ", "--repair failed to "};

	wipe_bar(ctx);
	printf("%s:", severities[f->severity]);
	if (f->db[0])
		printf(" database '%s'%s", f->db, f->table[0] || f->file[0] ? "," : ":");
	if (f->table[0])
		printf(" table '%s'%s", f->table, f->file[0] ? "," : ":");
	if (f->file[0])
		printf(" %s:", f->file);
	if (f->offset >= 0)
		printf(" byte %lld:", (long long)f->offset);
	printf(" %s", f->what);
	if (f->repair[0])
		printf("; %s%s", outcomes[f->outcome], f->repair);
	printf("\n");
	fflush(stdout);
}

static int wrong_use(const char *what, const char *arg)
{
	fprintf(stderr, "tidefs: %s%s%stidefs fsck DATA_DIR [--repair]\n", what, arg, *what ? ": " : "");
	return 2;
}

int cmd_fsck(int argc, char **argv)
{
	struct printing p = {.has_bar = isatty(STDERR_FILENO)};
	struct fsck_options opt = {.reserved_names = files_reserved_names(), .found = print_finding,
				   .progress = print_progress, .ctx = &p};
	struct fsck_result r;
	struct err e = {0};
	const char *dir = NULL;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--repair") == 0)
			opt.repair = true;
		else if (argv[i][0] == '-')
			return wrong_use("fsck has no option ", argv[i]);
		else if (dir)
			return wrong_use("one directory at a time, not also ", argv[i]);
		else
			dir = argv[i];
	}
	if (!dir)
		return wrong_use("", "");
	int rc = fsck_run(dir, &opt, &r, &e);
	wipe_bar(&p);
	if (rc < 0) {
		fprintf(stderr, "tidefs: %s\n", err_text(&e, rc));
		return 1;
	}
	printf("checked %llu files, %llu bytes: %llu problem%s", (unsigned long long)r.files, (unsigned long long)r.bytes,
	       (unsigned long long)r.problems, r.problems == 1 ? "" : "s");
	if (opt.repair && r.problems)
		printf(", %llu repaired", (unsigned long long)r.repaired);
	printf("\n");
	return fflush(stdout) != 0 || r.problems > r.repaired;
}
