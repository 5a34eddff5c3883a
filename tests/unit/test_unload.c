/*
 * UNLOAD from the statement to the bytes of its files: texts as the specification prints them, folders,
 * cuts, and that a call to the disk that fails leaves nothing behind.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <zlib.h>

#include "engine/engine.h"
#include "engine/io.h"
#include "query/query.h"
#include "tests/unit/unit.h"

struct world {
	char dir[64], out[80];
	int dirfd;
	struct engine *engine;
	const struct io *io;
	size_t memory;
	_Atomic bool cancelled;
	struct buf reply;
};

static void open_world(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	*w = (struct world){.io = io_posix()};
	w->dirfd = unit_dir(w->dir);
	snprintf(w->out, sizeof w->out, "%s/out", w->dir);
	ck_assert_int_eq(mkdir(w->out, 0700), 0);
	char data[80];
	snprintf(data, sizeof data, "%s/data", w->dir);
	int rc = engine_open(data, &opt, &w->engine, &e);
	ck_assert_msg(rc >= 0, "%s", e.text);
	buf_init(&w->reply, 1 << 16);
}

static void close_world(struct world *w)
{
	engine_close(w->engine);
	buf_release(&w->reply);
	unit_dir_remove(w->dirfd, w->dir);
}

static int run(struct world *w, const char *sql, int64_t *rows, struct err *e)
{
	struct query_env env = {
		.engine = w->engine, .unload_dir = w->out, .unload_io = w->io, .memory_bytes = w->memory,
		.cancelled = &w->cancelled};

	buf_clear(&w->reply);
	return query_run(&env, str_from(sql), rows, &w->reply, e);
}

/* It works, and this many rows went out. */
static void unload(struct world *w, const char *sql, int64_t want)
{
	struct err e = {0};
	int64_t rows = -1;
	int rc = run(w, sql, &rows, &e);

	ck_assert_msg(rc >= 0, "%s: %s", sql, e.text);
	ck_assert_int_eq(rows, want);
}

/* ---- what lies there ------------------------------------------------------------------------------ */

struct found {
	char path[600]; /* below out */
	size_t bytes;
};
struct tree {
	struct found v[400];
	uint32_t n;
};

/* Files; directories end in a slash. */
static void list(const struct world *w, const char *below, struct tree *t)
{
	char path[800];
	struct dirent *en;

	snprintf(path, sizeof path, "%s/%s", w->out, below);
	DIR *d = opendir(path);
	ck_assert_msg(d != NULL, "%s", path);
	while ((en = readdir(d))) {
		struct found f = {0};
		struct stat st;
		if (strcmp(en->d_name, ".") == 0 || strcmp(en->d_name, "..") == 0)
			continue;
		ck_assert_int_eq(fstatat(dirfd(d), en->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		snprintf(f.path, sizeof f.path, "%s%s%s", below, en->d_name, S_ISDIR(st.st_mode) ? "/" : "");
		f.bytes = S_ISDIR(st.st_mode) ? 0 : (size_t)st.st_size;
		ck_assert_int_eq(st.st_mode & 0777, S_ISDIR(st.st_mode) ? 0700 : 0600);
		ck_assert_uint_lt(t->n, ARRAY_LEN(t->v));
		t->v[t->n++] = f;
		if (S_ISDIR(st.st_mode))
			list(w, f.path, t);
	}
	closedir(d);
}

/* The only file that begins and ends like this, whole; unpacked where it is packed. */
static void slurp(const struct world *w, const char *begins, const char *ends, struct buf *out)
{
	struct tree *t = calloc(1, sizeof *t);
	const char *found = NULL;
	char path[800];
	int n;

	list(w, "", t);
	for (uint32_t i = 0; i < t->n; i++) {
		if (str_starts(str_from(t->v[i].path), begins) && str_ends(str_from(t->v[i].path), ends)) {
			ck_assert_msg(!found, "%s and %s", found, t->v[i].path);
			found = t->v[i].path;
		}
	}
	ck_assert_msg(found != NULL, "nothing like %s*%s", begins, ends);
	snprintf(path, sizeof path, "%s/%s", w->out, found);
	gzFile g = gzopen(path, "rb"); /* reads what is not packed as it is */
	ck_assert_ptr_nonnull(g);
	buf_clear(out);
	while ((n = gzread(g, buf_reserve(out, 65536), 65536)) > 0)
		out->len += (size_t)n;
	ck_assert_int_eq(n, 0);
	gzclose(g);
	free(t);
}

static void wipe(struct world *w)
{
	char z[256];

	snprintf(z, sizeof z, "rm -r %s && mkdir -m 700 %s", w->out, w->out);
	ck_assert_int_eq(system(z), 0);
}

static uint32_t count(const struct world *w, const char *begins, const char *ends)
{
	struct tree *t = calloc(1, sizeof *t);
	uint32_t n = 0;

	list(w, "", t);
	for (uint32_t i = 0; i < t->n; i++)
		n += str_starts(str_from(t->v[i].path), begins) && str_ends(str_from(t->v[i].path), ends);
	free(t);
	return n;
}

/* ---- CSV ------------------------------------------------------------------------------------------- */

START_TEST(csv_is_as_specified)
{
	static const struct {
		const char *query, *options, *text;
	} cases[] = {
		{"SELECT 'Time,stream' AS a, 'Time\"stream' AS b, 'Time\\stream' AS c", "",
		 "\"Time,stream\",Time\\\"stream,Time\\\\stream\n"},
		{"SELECT ARRAY[23, 24, 25] AS a", "", "\"[23,24,25]\"\n"},
		{"SELECT CAST(ROW(23, 'hello') AS row(x double, y varchar)) AS a", "",
		 "\"{\\\"x\\\":23.0,\\\"y\\\":\\\"hello\\\"}\"\n"},
		{"SELECT create_time_series(t, v) AS a FROM (VALUES (from_nanoseconds(10), 100e0), (from_nanoseconds(12), "
		 "120e0)) AS x(t, v)",
		 "",
		 "\"[{\\\"time\\\":\\\"1970-01-01 00:00:00.000000010Z\\\",\\\"value\\\":100.0},"
		 "{\\\"time\\\":\\\"1970-01-01 00:00:00.000000012Z\\\",\\\"value\\\":120.0}]\"\n"},
		{"SELECT ARRAY[from_nanoseconds(10)] AS a", "", "\"[\\\"1970-01-01 00:00:00.000000010\\\"]\"\n"},
		{"SELECT ARRAY['a\"b\\'] AS a", "", "\"[\\\"a\\\\\\\"b\\\\\\\\\\\"]\"\n"},
		{"SELECT CAST(NULL AS double) AS a, '' AS b, nullif('x', 'x') AS c, ARRAY[CAST(NULL AS double)] AS d", "",
		 ",\"\",,\"[null]\"\n"},
		{"SELECT U&'a\\000Ab' AS a, U&'\\000D' AS b, ' c ' AS c", "", "\"a\nb\",\"\r\", c \n"},
		{"SELECT true AS a, 1 AS b, 2.5 AS c, DATE '2024-02-29' AS d, TIMESTAMP '2024-02-29 01:02:03' AS e, 15m AS f, "
		 "14month AS g", "",
		 "true,1,2.5,2024-02-29,2024-02-29 01:02:03.000000000,0 00:15:00.000000000,1-2\n"},
		{"SELECT 'a|b' AS a, 'a,b' AS b, ARRAY[1, 2] AS c", ", field_delimiter = '|'", "\"a|b\"|a,b|\"[1,2]\"\n"},
		{"SELECT 'a' AS a, U&'b\\0009c' AS b", ", field_delimiter = '\\t'", "a\t\"b\tc\"\n"},
		{"SELECT 'a^b\"c\\' AS a", ", escaped_by = '^'", "a^^b^\"c\\\n"},
		/* A delimiter that numbers and times have as well. */
		{"SELECT 1.5 AS a, 15 AS b, 'x.y' AS c, ARRAY[1.5] AS d", ", field_delimiter = '.'",
		 "\"1.5\".15.\"x.y\".\"[1.5]\"\n"},
		{"SELECT 115 AS a, DATE '2021-01-01' AS b, 2 AS c", ", escaped_by = '1'", "11115,20211-011-011,2\n"},
		{"SELECT 1 AS \"a,b\", 2 AS \"c\"\"d\"", ", include_header = 'true'", "\"a,b\",c\\\"d\n1,2\n"},
		{"SELECT 1 AS a WHERE false", ", include_header = 'true'", "a\n"},
		{"SELECT 1 AS a WHERE false", "", ""},
	};
	struct world w;
	struct buf out;

	open_world(&w);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int packed = 0; packed < 2; packed++) {
			char sql[2000];
			snprintf(sql, sizeof sql, "UNLOAD (%s) TO 'f' WITH (compression = '%s'%s)", cases[i].query,
				 packed ? "gzip" : "NONE", cases[i].options);
			unload(&w, sql, strstr(cases[i].query, "false") ? 0 : 1);
			slurp(&w, "f/results/", packed ? ".csv.gz" : ".csv", &out);
			buf_addc(&out, '\0');
			ck_assert_str_eq(out.data, cases[i].text);
			wipe(&w);
		}
	}
	buf_release(&out);
	close_world(&w);
}
END_TEST

/* ---- names and documents --------------------------------------------------------------------------- */


START_TEST(documents_tell_all)
{
	static const char query[] =
		"SELECT a, ARRAY[b] AS l, CAST(ROW(a) AS row(x bigint)) AS r, ts, b FROM (SELECT a, b, "
		"create_time_series(t, 1.5) AS ts FROM (VALUES (1, 'x', from_nanoseconds(1)), (2, 'y', from_nanoseconds(2)), "
		"(3, 'x', from_nanoseconds(3))) AS v(a, b, t) GROUP BY a, b) AS q";
	struct world w;
	struct buf out;
	char sql[1000], want[1200], base[300];

	open_world(&w);
	buf_init(&out, 1 << 20);
	/* Names: <id>_<UUID>, the same for both documents, and the id for all files. */
	snprintf(sql, sizeof sql, "UNLOAD (%s) TO '%s//./f/g/' WITH (compression = 'NONE', partitioned_by = ARRAY['b'])", query,
		 w.out);
	unload(&w, sql, 3);
	buf_addc(&w.reply, '\0');
	snprintf(want, sizeof want, "SELECT BIGINT '3' AS \"rows\", '%s/f/g/", w.out);
	ck_assert_msg(str_starts(str_from(w.reply.data), want), "%s", w.reply.data);
	ck_assert_int_eq(sscanf(w.reply.data + strlen(want), "%299[^_]", base), 1);
	ck_assert_uint_eq(strlen(base), 52);
	snprintf(want, sizeof want, "f/g/%s_", base);
	ck_assert_uint_eq(count(&w, want, "_manifest.json"), 1);
	ck_assert_uint_eq(count(&w, want, "_metadata.json"), 1);
	snprintf(want, sizeof want, "f/g/results/b=x/%s_", base);
	ck_assert_uint_eq(count(&w, want, ".csv"), 1);
	snprintf(want, sizeof want, "f/g/results/b=y/%s_", base);
	ck_assert_uint_eq(count(&w, want, ".csv"), 1);

	slurp(&w, "f/g/", "_metadata.json", &out);
	buf_addc(&out, '\0');
	ck_assert_str_eq(out.data,
		"{\"ColumnInfo\":[{\"Name\":\"a\",\"Type\":{\"ScalarType\":\"INTEGER\"}},"
		"{\"Name\":\"l\",\"Type\":{\"ArrayColumnInfo\":{\"Type\":{\"ScalarType\":\"VARCHAR\"}}}},"
		"{\"Name\":\"r\",\"Type\":{\"RowColumnInfo\":[{\"Name\":\"x\",\"Type\":{\"ScalarType\":\"BIGINT\"}}]}},"
		"{\"Name\":\"ts\",\"Type\":{\"TimeSeriesMeasureValueColumnInfo\":{\"Type\":{\"ScalarType\":\"DOUBLE\"}}}},"
		"{\"Name\":\"b\",\"Type\":{\"ScalarType\":\"VARCHAR\"}}],"
		"\"Author\":{\"Name\":\"Amazon Timestream\",\"MetadataFileVersion\":\"1.0\"}}\n");
	slurp(&w, "f/g/", "_manifest.json", &out);
	buf_addc(&out, '\0');
	snprintf(want, sizeof want, "{\"result_files\":[\n{\"url\":\"%s/f/g/results/b=x/%s_", w.out, base);
	ck_assert_msg(str_starts(str_from(out.data), want), "%s", out.data);
	ck_assert_ptr_nonnull(strstr(out.data, ",\"row_count\":2}},\n{\"url\":"));
	ck_assert_ptr_nonnull(strstr(out.data, ",\"row_count\":1}}],\n\"query_metadata\":{\"content_length_in_bytes\":"));
	ck_assert_ptr_nonnull(strstr(out.data, ",\"total_row_count\":3,\"result_format\":\"CSV\",\"result_version\":"
					       "\"Amazon Timestream version 1.0.0\"},\n"
					       "\"author\":{\"name\":\"Amazon Timestream\",\"manifest_file_version\":\"1.0\"}}\n"));
	buf_release(&out);
	close_world(&w);
}
END_TEST

/* ---- folders ---------------------------------------------------------------------------------------- */

START_TEST(partitions_make_folders)
{
	static const struct {
		const char *value, *folder;
	} cases[] = {
		{"'eu'", "p=eu"},
		{"'../x'", "p=..%2Fx"},
		{"'a b'", "p=a b"},
		{"'a=%'", "p=a%3D%25"},
		{"''", "p="},
		{"nullif('x', 'x')", "p=__HIVE_DEFAULT_PARTITION__"},
		{"TIMESTAMP '2024-01-02 03:04:05'", "p=2024-01-02 03%3A04%3A05.000000000"},
		{"DATE '2024-01-02'", "p=2024-01-02"},
		{"1.5", "p=1.5"},
		{"true", "p=true"},
		{"-1y", "p=-1-0"},
	};
	struct world w;
	struct buf out;
	char sql[4000], want[300];

	open_world(&w);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(sql, sizeof sql, "UNLOAD (SELECT 7 AS v, %s AS p) TO 'f' WITH (partitioned_by = ARRAY['p'])",
			 cases[i].value);
		unload(&w, sql, 1);
		snprintf(want, sizeof want, "f/results/%s/", cases[i].folder);
		slurp(&w, want, ".csv.gz", &out);
		ck_assert(out.len == 2 && memcmp(out.data, "7\n", 2) == 0);
		wipe(&w);
	}
	/* Rows of one partition keep their order, however they are mixed. */
	int at = snprintf(sql, sizeof sql, "UNLOAD (SELECT * FROM (VALUES ");
	for (int i = 0; i < 60; i++)
		at += snprintf(sql + at, sizeof sql - (size_t)at, "%s(%d, %d, 'q%d')", i ? ", " : "", i, i % 3, i * 7 % 2);
	snprintf(sql + at, sizeof sql - (size_t)at, ") AS t(v, p, q)) TO 'f' WITH (partitioned_by = ARRAY['p', 'q'])");
	unload(&w, sql, 60);
	for (int p = 0; p < 3; p++) {
		for (int q = 0; q < 2; q++) {
			char rows[400] = "";
			for (int i = 0, n = 0; i < 60; i++)
				if (i % 3 == p && i * 7 % 2 == q)
					n += snprintf(rows + n, sizeof rows - (size_t)n, "%d\n", i);
			snprintf(want, sizeof want, "f/results/p=%d/q=q%d/", p, q);
			slurp(&w, want, ".csv.gz", &out);
			buf_addc(&out, '\0');
			ck_assert_str_eq(out.data, rows);
		}
	}
	buf_release(&out);
	close_world(&w);
}
END_TEST

/* A table of n rows: host 0..mod-1, a number, a text that packs badly. */
static void fill(struct world *w, int n, int mod)
{
	struct unit_rng r = unit_rng();
	struct err e = {0};
	struct db *db;
	struct table *t;
	int64_t rows;
	struct query_env env = {.engine = w->engine};
	struct buf sql;

	ck_assert_int_ge(engine_db_create(w->engine, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	table_put(t);
	db_put(db);
	buf_init(&sql, 1 << 20);
	for (int i = 0; i < n;) {
		buf_clear(&sql);
		buf_adds(&sql, "INSERT INTO d.t (time, host, v, x) VALUES ");
		for (int k = 0; k < 1000 && i < n; k++, i++)
			buf_addf(&sql, "%s(from_milliseconds(%d), 'h%d', %d, '%016llx%016llx%016llx%016llx')", k ? ", " : "", i,
				 i % mod, i, (unsigned long long)unit_rand(&r), (unsigned long long)unit_rand(&r),
				 (unsigned long long)unit_rand(&r), (unsigned long long)unit_rand(&r));
		int rc = query_run(&env, buf_str(&sql), &rows, NULL, &e);
		ck_assert_msg(rc >= 0, "%s", e.text);
	}
	buf_release(&sql);
}

START_TEST(a_hundred_partitions_and_no_more)
{
	struct world w;
	struct err e = {0};
	int64_t rows;

	open_world(&w);
	fill(&w, 3000, 101);
	for (int parquet = 0; parquet < 2; parquet++) {
		const char *format = parquet ? "PARQUET" : "CSV";
		char sql[300];
		snprintf(sql, sizeof sql, "UNLOAD (SELECT v, x, host FROM d.t WHERE host <> 'h7' ORDER BY time) TO 'f' WITH "
					  "(format = '%s', partitioned_by = ARRAY['host'])", format);
		/* Little memory: 100 gzip states, or what 100 row groups in the making hold. */
		w.memory = 48 << 20;
		unload(&w, sql, 2970);
		ck_assert_uint_eq(count(&w, "f/results/host=h", parquet ? ".parquet" : ".csv.gz"), 100);
		wipe(&w);
		snprintf(sql, sizeof sql, "UNLOAD (SELECT v, x, host FROM d.t ORDER BY time) TO 'f' WITH "
					  "(format = '%s', partitioned_by = ARRAY['host'])", format);
		int rc = run(&w, sql, &rows, &e);
		ck_assert_int_eq(rc, -EINVAL);
		ck_assert_ptr_nonnull(strstr(e.text, "more than 100 partitions ('results/host=h100' is one more)"));
		ck_assert_uint_eq(count(&w, "", ""), 0);
		w.memory = 2 << 20;
		rc = run(&w, sql, &rows, &e);
		ck_assert_int_lt(rc, 0);
		ck_assert_uint_eq(count(&w, "", ""), 0);
	}
	close_world(&w);
}
END_TEST

START_TEST(files_are_cut_by_size)
{
	struct world w;
	struct tree *t = calloc(1, sizeof *t);

	open_world(&w);
	fill(&w, 60000, 5);
	for (int i = 0; i < 3; i++) {
		static const char *const options[] = {
			"compression = 'NONE'", "format = 'PARQUET', compression = 'NONE'", "format = 'PARQUET'"};
		char sql[500];
		size_t total = 0, files = 0;
		/* 64 characters ten times: 38 MB; packed 19. */
		snprintf(sql, sizeof sql, "UNLOAD (SELECT x, time, x || reverse(x) AS y, upper(x) || substr(x, 9) || x || reverse(x) || "
					  "x || x || substr(x, 3) || x AS z FROM d.t) TO 'f' WITH (%s, max_file_size = '16.0 MB')",
			 options[i]);
		unload(&w, sql, 60000);
		t->n = 0;
		list(&w, "f/results/", t);
		for (uint32_t k = 0; k < t->n; k++) {
			ck_assert_uint_lt(t->v[k].bytes, 20 << 20);
			files++;
			total += t->v[k].bytes;
		}
		if (i < 2)
			ck_assert_uint_gt(total, 36u << 20);
		ck_assert_uint_eq(files, total / (16 << 20) + 1);
		wipe(&w);
	}
	free(t);
	close_world(&w);
}
END_TEST

/* ---- failures ---------------------------------------------------------------------------------------- */

/* Whichever call fails: a sentence, its errno, and nothing left. */
START_TEST(a_failing_disk_leaves_nothing)
{
	static const char *const ops[] = {"openat", "mkdirat", "pwritev", "fsync", "renameat"};
	static const int errors[] = {EACCES, ENOSPC, ENOSPC, EIO, EIO};
	static const char *const formats[] = {"CSV", "PARQUET"};
	struct io *io = io_fault_create();
	struct world w;
	int64_t rows;

	open_world(&w);
	w.io = io;
	for (size_t f = 0; f < 2; f++) {
		for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
			for (int n = 1;; n++) {
				struct err e = {0};
				struct io_rule rule = {
					.op = ops[i], .path = "", .first = n, .count = 1, .kind = IO_FAIL, .error = errors[i]};
				char sql[300];
				int before = io_fault_hits(io);
				io_fault_clear(io);
				io_fault_add(io, &rule);
				snprintf(sql, sizeof sql, "UNLOAD (SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(v, p)) TO 'f/g' WITH "
							  "(format = '%s', partitioned_by = ARRAY['p'])", formats[f]);
				int rc = run(&w, sql, &rows, &e);
				if (io_fault_hits(io) == before) {
					ck_assert_int_ge(n, 3);
					ck_assert_msg(rc >= 0, "%s %d: %s", ops[i], n, e.text);
					break;
				}
				ck_assert_msg(rc == -errors[i], "%s %d: %d %s", ops[i], n, rc, e.text);
				ck_assert_msg(str_starts(str_from(e.text), "line 1:1: cannot "), "%s %d: %s", ops[i], n, e.text);
				ck_assert_msg(count(&w, "", "") == 0, "%s %d left something", ops[i], n);
			}
			wipe(&w);
		}
	}
	io_fault_destroy(io);
	close_world(&w);
}
END_TEST

START_TEST(cancelled_leaves_nothing)
{
	struct world w;
	struct err e = {0};
	int64_t rows;

	open_world(&w);
	fill(&w, 5000, 2);
	atomic_store(&w.cancelled, true);
	int rc = run(&w, "UNLOAD (SELECT v, host FROM d.t) TO 'f'", &rows, &e);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(count(&w, "", ""), 0);
	atomic_store(&w.cancelled, false);
	/* A row that fails late. */
	rc = run(&w, "UNLOAD (SELECT 1 / (v - 4990) AS v, host FROM d.t ORDER BY time) TO 'f'", &rows, &e);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_uint_eq(count(&w, "", ""), 0);
	unload(&w, "UNLOAD (SELECT v, host FROM d.t) TO 'f'", 5000);
	unload(&w, "UNLOAD (SELECT v, host FROM d.t) TO 'f'", 5000);
	ck_assert_uint_eq(count(&w, "f/results/", ".csv.gz"), 2);
	ck_assert_uint_eq(count(&w, "f/", "_manifest.json"), 2);
	close_world(&w);
}
END_TEST

/* A link in the way is not followed; what stands in the way is named. */
START_TEST(no_way_through_links)
{
	struct world w;
	struct err e = {0};
	char path[200];
	int64_t rows;
	int fd;

	open_world(&w);
	snprintf(path, sizeof path, "%s/link", w.out);
	ck_assert_int_eq(symlink(w.dir, path), 0);
	snprintf(path, sizeof path, "%s/file", w.out);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_lt(run(&w, "UNLOAD (SELECT 1 AS a) TO 'link/f'", &rows, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "/link' is no directory (symbolic links are not followed)"));
	ck_assert_int_lt(run(&w, "UNLOAD (SELECT 1 AS a) TO 'link'", &rows, &e), 0);
	ck_assert_int_lt(run(&w, "UNLOAD (SELECT 1 AS a) TO 'file/f'", &rows, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "/file' is no directory"));
	snprintf(path, sizeof path, "%s/f", w.dir);
	ck_assert_int_ne(access(path, F_OK), 0);
	snprintf(path, sizeof path, "%s/results", w.dir);
	ck_assert_int_ne(access(path, F_OK), 0);
	close_world(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {csv_is_as_specified, documents_tell_all, partitions_make_folders,
				a_hundred_partitions_and_no_more, files_are_cut_by_size, a_failing_disk_leaves_nothing,
				cancelled_leaves_nothing, no_way_through_links};

	unit_in_memory();
	return unit_main("unload", 120, tests, ARRAY_LEN(tests));
}
