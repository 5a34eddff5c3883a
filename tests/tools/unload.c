/*
 * unload OUT [memory=MIB] 'UNLOAD ...'|'SELECT ...'... <LINES: runs the statements below OUT, over a table d.t of these
 * lines of line protocol (which goes again), and prints where the manifest of each is; of a query, where
 * its result is as Parquet. Little memory makes small row groups. For tests/readers.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/ingest.h"
#include "engine/io.h"
#include "query/query.h"

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int fill(struct engine *en, struct err *e)
{
	struct ingest_source src = {.file = "stdin", .format = INGEST_LINEPROTO};
	struct ingest *in = NULL;
	struct db *db = NULL;
	struct table *t = NULL;
	char text[65536];
	size_t n;
	int64_t rc = engine_db_create(en, STR_LIT("d"), &db, e);

	if (rc >= 0)
		rc = db_table_create(db, STR_LIT("t"), &t, e);
	if (rc >= 0)
		rc = ingest_open(db, t, &src, &in, e);
	while (rc >= 0 && (n = fread(text, 1, sizeof text, stdin)) > 0)
		rc = ingest_write(in, text, n, e);
	if (rc >= 0)
		rc = ingest_finish(in, e);
	if (in && ingest_take_rejected(in) && rc >= 0)
		rc = err_set(e, -EINVAL, "a line was refused");
	ingest_close(in);
	table_put(t);
	db_put(db);
	return (int)MIN(rc, 0);
}

static int unload(struct engine *en, const char *out, size_t memory, const char *sql, struct err *e)
{
	struct query_env env = {.engine = en, .default_db = "d", .unload_dir = out, .unload_io = io_posix(), .memory_bytes = memory};
	struct buf reply;
	int64_t rows;
	char *at, *end;

	buf_init(&reply, 1 << 20);
	int rc = query_run(&env, str_from(sql), &rows, &reply, e);
	buf_addc(&reply, '\0');
	/* ..., '<path>' AS "manifestFile" */
	end = rc >= 0 && !reply.rc ? strstr(reply.data, "' AS \"manifestFile\"") : NULL;
	if (end) {
		*end = '\0';
		at = strrchr(reply.data, '\'');
		printf("%s\n", at + 1);
	}
	buf_release(&reply);
	return rc;
}

/* A query: its result as OUT/query.N.parquet, whose path is printed. */
static int ask(struct engine *en, const char *out, size_t memory, const char *sql, int number, struct err *e)
{
	struct query_env env = {.engine = en, .default_db = "d", .memory_bytes = memory};
	struct query_text *t = NULL;
	struct query *q = NULL;
	struct buf bytes;
	char path[4200];
	FILE *f;

	snprintf(path, sizeof path, "%.4000s/query.%d.parquet", out, number);
	f = fopen(path, "wb");
	if (!f)
		return err_set(e, -errno, "cannot make %s", path);
	buf_init(&bytes, (size_t)1 << 30);
	int rc = query_prepare(&env, str_from(sql), &q, e);
	if (rc >= 0)
		rc = query_text_create(q, QF_PARQUET, &t, e);
	while (rc >= 0 && (rc = query_text_next(t, &bytes, e)) > 0) {
		fwrite(bytes.data, 1, bytes.len, f);
		buf_clear(&bytes);
	}
	query_text_destroy(t);
	buf_release(&bytes);
	if (fclose(f) != 0 && rc >= 0)
		rc = err_set(e, -errno, "cannot write %s", path);
	if (rc >= 0)
		printf("%s\n", path);
	return rc;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char dir[300], *out = argc > 1 ? realpath(argv[1], NULL) : NULL;
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct engine *en = NULL;
	struct err e = {0};
	size_t memory = 0;

	snprintf(dir, sizeof dir, "%.200s/tidefs-unload-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!out || !mkdtemp(dir)) {
		fprintf(stderr, "unload OUT 'UNLOAD ...'... <LINES\n");
		return 2;
	}
	int rc = engine_open(dir, &opt, &en, &e);
	if (rc >= 0)
		rc = fill(en, &e);
	for (int i = 2; i < argc && rc >= 0; i++) {
		if (strncmp(argv[i], "memory=", 7) == 0)
			memory = (size_t)atoi(argv[i] + 7) << 20;
		else if (strncmp(argv[i], "SELECT", 6) == 0)
			rc = ask(en, out, memory, argv[i], i, &e);
		else
			rc = unload(en, out, memory, argv[i], &e);
	}
	if (rc < 0)
		fprintf(stderr, "unload: %s\n", err_text(&e, rc));
	engine_close(en);
	nftw(dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	free(out);
	return rc < 0;
}
