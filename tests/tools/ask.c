/*
 * ask memory|sealed|tiles [THREADS]: an engine in a directory of its own that goes again, asked through pipes. Requests on
 * stdin, a line and so many bytes each; for each an answer on stdout:
 *
 *	load TABLE BYTES	JSON lines into a table of the database d, which is made	ok BYTES + TSV
 *	query BYTES		a statement							error BYTES + sentence
 *
 * With THREADS small pieces of a table are worth a thread, too. For tests/compare.
 */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/ingest.h"
#include "query/pool.h"
#include "query/query.h"

struct desk {
	struct engine *engine;
	struct db *db;
	struct query_env env;
	bool seals, migrates;
};

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int settle(struct desk *d, struct table *t, struct err *e)
{
	int rc = d->seals ? table_seal(t, e) : 0;

	return rc < 0 || !d->migrates ? rc : table_maintain(t, e);
}

static int load(struct desk *d, const char *name, struct str lines, struct err *e)
{
	struct ingest_source src = {.file = "stdin", .format = INGEST_JSONL};
	struct ingest *in = NULL;
	struct table *t = NULL;

	int64_t rc = db_table_create(d->db, str_from(name), &t, e);
	if (rc >= 0 && d->migrates)
		rc = table_set(t, SET_RETENTION_MEMORY, STR_LIT("1s"), e);
	if (rc >= 0)
		rc = ingest_open(d->db, t, &src, &in, e);
	if (rc >= 0)
		rc = ingest_write(in, lines.ptr, lines.len, e);
	if (rc >= 0)
		rc = ingest_finish(in, e);
	if (rc >= 0 && ingest_take_rejected(in)) {
		char why[512] = "";
		why[MAX(rejected_read(table_rejected(t), why, sizeof why - 1, 0, NULL), 0)] = '\0';
		rc = err_set(e, -EINVAL, "lines were refused: %s", why);
	}
	ingest_close(in);
	if (rc >= 0)
		rc = settle(d, t, e);
	table_put(t);
	return (int)MIN(rc, 0);
}

static int query(struct desk *d, struct str sql, struct buf *out, struct err *e)
{
	struct query_text *t = NULL;
	struct query *q = NULL;

	int rc = query_prepare(&d->env, sql, &q, e);
	if (rc >= 0)
		rc = query_text_create(q, QF_TSV, &t, e);
	while (rc >= 0 && (rc = query_text_next(t, out, e)) > 0)
		;
	query_text_destroy(t);
	return rc;
}

static void answer(struct desk *d)
{
	char line[256], table[128];
	struct buf body, out;
	size_t bytes;

	buf_init(&body, (size_t)1 << 30);
	buf_init(&out, (size_t)1 << 30);
	while (fgets(line, sizeof line, stdin)) {
		struct err e = {0};
		bool loads = sscanf(line, "load %127s %zu", table, &bytes) == 2;

		if (!loads && sscanf(line, "query %zu", &bytes) != 1)
			break;
		buf_clear(&body);
		buf_clear(&out);
		char *at = buf_reserve(&body, bytes);
		if (!at || (bytes && fread(at, 1, bytes, stdin) != bytes))
			break;
		body.len = bytes;
		int rc = loads ? load(d, table, buf_str(&body), &e) : query(d, buf_str(&body), &out, &e);
		if (rc < 0) {
			buf_clear(&out);
			buf_adds(&out, err_text(&e, rc));
		}
		printf("%s %zu\n", rc < 0 ? "error" : "ok", out.len);
		if (out.len)
			fwrite(out.data, 1, out.len, stdout);
		fflush(stdout);
	}
	buf_release(&body);
	buf_release(&out);
}

int main(int argc, char **argv)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	const char *tmp = getenv("TMPDIR"), *mode = argc > 1 ? argv[1] : "";
	uint32_t threads = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	struct desk d = {.migrates = !strcmp(mode, "tiles"), .seals = strcmp(mode, "memory") != 0};
	struct err e = {0};
	char dir[300];

	snprintf(dir, sizeof dir, "%.200s/tidefs-ask-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if ((d.seals && !d.migrates && strcmp(mode, "sealed") != 0) || !mkdtemp(dir)) {
		fprintf(stderr, "ask memory|sealed|tiles [THREADS]\n");
		return 2;
	}
	int rc = engine_open(dir, &opt, &d.engine, &e);
	if (rc >= 0)
		rc = engine_db_create(d.engine, STR_LIT("d"), &d.db, &e);
	d.env = (struct query_env){.engine = d.engine, .default_db = "d"};
	if (threads > 1) {
		d.env.pool = pool_create(threads);
		d.env.part_rows = 1000;
	}
	if (rc >= 0)
		answer(&d);
	else
		fprintf(stderr, "ask: %s\n", err_text(&e, rc));
	db_put(d.db);
	engine_close(d.engine);
	pool_destroy(d.env.pool);
	nftw(dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	return rc < 0;
}
