/*
 * main: which command, and the ones that need no mount.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/fsck_cmd.h"
#include "fs/session.h"
#include "query/func_docs.h"
#include "query/pool.h"

static int complain(const struct err *e, int rc)
{
	fprintf(stderr, "tidefs: %s\n", err_text(e, rc));
	return 1;
}

static int usage(const struct err *e, int rc)
{
	complain(e, rc);
	return 2;
}

static int cmd_help(int argc, char **argv)
{
	options_print_help();
	return 0;
}

static int cmd_version(int argc, char **argv)
{
	printf("tidefs " TIDE_VERSION " (libfuse %s)\n", fuse_pkgversion());
	return 0;
}

static int print_docs(int (*print)(struct buf *out))
{
	struct buf out;
	int rc;

	buf_init(&out, TEXT_FILE_MAX);
	rc = print(&out);
	if (rc >= 0)
		fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	return rc < 0 || fflush(stdout) != 0;
}

static int cmd_print_files(int argc, char **argv)
{
	return print_docs(files_print_docs);
}

static int cmd_print_functions(int argc, char **argv)
{
	return print_docs(func_print_docs);
}

static int print_rows(struct engine *en, struct str sql, enum query_format format, struct err *e)
{
	struct query_env env = {.engine = en, .pool = pool_create(pool_cores())};
	struct query_text *text = NULL;
	struct query *q;
	struct buf out;
	int rc = query_prepare(&env, sql, &q, e);

	if (rc < 0) {
		pool_destroy(env.pool);
		return rc;
	}
	rc = query_text_create(q, format, &text, e);
	buf_init(&out, 256 << 20);
	while (rc >= 0) {
		rc = query_text_next(text, &out, e);
		if (rc == 0)
			break;
		if (fwrite(out.data, 1, out.len, stdout) != out.len)
			rc = err_set(e, -errno, "cannot write: %s", strerror(errno));
		buf_clear(&out);
	}
	fwrite(out.data, 1, out.len, stdout); /* the last lines, or the line that says error */
	buf_release(&out);
	query_text_destroy(text);
	pool_destroy(env.pool);
	if (fflush(stdout) != 0 && rc >= 0)
		rc = err_set(e, -errno, "cannot write: %s", strerror(errno));
	return rc;
}

static int cmd_sql(int argc, char **argv)
{
	enum query_format format = isatty(STDOUT_FILENO) ? QF_TXT : QF_CSV;
	struct engine_options eo = {.read_only = true, .no_background = true,
				    .reserved_names = files_reserved_names()};
	struct engine *en;
	struct err e = {0};
	int rc;

	if (argc < 2 || argc > 3)
		return usage(&e, err_set(&e, -EINVAL, "tidefs sql DATA_DIR 'SQL' [csv|tsv|json|jsonl|txt|parquet]"));
	if (argc == 3) {
		int f = 0;
		while (f < QUERY_FORMATS && strcmp(argv[2], query_format_names[f]) != 0)
			f++;
		if (f == QUERY_FORMATS)
			return usage(&e, err_set(&e, -EINVAL, "'%s' is no format: csv, tsv, json, jsonl, txt or parquet", argv[2]));
		format = (enum query_format)f;
	}
	if (access(argv[0], F_OK) < 0)
		return complain(&e, err_set(&e, -errno, "'%s': %s", argv[0], strerror(errno)));
	rc = engine_open(argv[0], &eo, &en, &e);
	if (rc < 0)
		return complain(&e, rc);
	rc = print_rows(en, str_from(argv[1]), format, &e);
	engine_close(en);
	return rc < 0 ? complain(&e, rc) : 0;
}

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
} commands[] = {
	{"help", cmd_help},
	{"--help", cmd_help},
	{"-h", cmd_help},
	{"version", cmd_version},
	{"--version", cmd_version},
	{"-V", cmd_version},
	{"--print-files", cmd_print_files},
	{"--print-functions", cmd_print_functions},
	{"sql", cmd_sql},
	{"fsck", cmd_fsck},
};

int main(int argc, char **argv)
{
	struct options o;
	struct err e = {0};
	int rc = files_init();

	fault_init();
	if (argc < 2) {
		options_print_help();
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].fn(argc - 2, argv + 2);
	if (rc >= 0)
		rc = options_parse(&o, argc - 1, argv + 1, &e);
	if (rc < 0) {
		options_release(&o);
		return usage(&e, rc);
	}
	rc = options_resolve(&o, &e);
	rc = rc < 0 ? complain(&e, rc) : session_run(&o);
	options_release(&o);
	return rc;
}
