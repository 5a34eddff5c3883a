/* catalog: what it is given comes back, also after reopening; bad files are refused. */
#include <check.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <signal.h>

#include "engine/catalog.h"
#include "tests/unit/unit.h"

static char dir[64], path[96];
static int dirfd_;
static struct catalog *c;
static struct err e;

static void open_catalog(void)
{
	int rc = catalog_open(path, false, &c, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
}

static void setup(void)
{
	dirfd_ = unit_dir(dir);
	snprintf(path, sizeof path, "%s/100%% #1?.sqlite", dir); /* what a URI would stumble over */
	open_catalog();
}

static void teardown(void)
{
	catalog_close(c);
	unit_dir_remove(dirfd_, dir);
}

static void reopen(void)
{
	catalog_close(c);
	c = NULL;
	open_catalog();
}

/* Listings as text, compared as a whole. */
static struct buf list;

static int add_table(void *ctx, const struct catalog_table *t)
{
	buf_addf(&list, "%u %s %llu %lld;", t->id, t->name, (unsigned long long)t->flushed_lsn,
		 (long long)(t->expired_before_ns == INT64_MIN ? -1 : t->expired_before_ns));
	return 0;
}

static int add_file(void *ctx, const struct catalog_file *f)
{
	buf_addf(&list, "%llu %s %u/%u;", (unsigned long long)f->id, f->path, f->part, f->parts);
	if (ctx)
		*(struct catalog_file *)ctx = *f;
	return 0;
}

static int add_setting(void *ctx, const char *name, const char *value)
{
	buf_addf(&list, "%s=%s;", name, value);
	return 0;
}

static int add_moved(void *ctx, int32_t date, int64_t upto)
{
	buf_addf(&list, "%d<%lld;", date, (long long)upto);
	return 0;
}

static int add_attr(void *ctx, const char *p, const struct catalog_attr *a)
{
	buf_addf(&list, "%s:%o:%d:%d;", p, a->mode, (int)a->uid, (int)a->gid);
	return 0;
}

#define EXPECT(call, want)                                \
	do {                                              \
		buf_init(&list, 1 << 20);                 \
		ck_assert_msg((call) == 0, "%s", e.text); \
		buf_addc(&list, '\0');                    \
		ck_assert_str_eq(list.data, want);        \
		buf_release(&list);                       \
	} while (0)

static uint32_t new_table(const char *name)
{
	struct catalog_table t;
	int rc = catalog_table_create(c, name, &t, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return t.id;
}

static uint64_t new_file(uint32_t table, const char *name)
{
	struct catalog_file f = {.table_id = table, .kind = CATALOG_TILE};
	snprintf(f.path, sizeof f.path, "%s", name);
	int rc = catalog_file_add(c, &f, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return f.id;
}

START_TEST(integers)
{
	int64_t v;
	ck_assert_int_eq(catalog_get_int(c, "clock", -5, &v, &e), 0);
	ck_assert_int_eq(v, -5);
	ck_assert_int_eq(catalog_set_int(c, "clock", INT64_MIN, &e), 0);
	ck_assert_int_eq(catalog_set_int(c, "last_lsn", INT64_MAX, &e), 0);
	reopen();
	ck_assert_int_eq(catalog_get_int(c, "clock", 0, &v, &e), 0);
	ck_assert_int_eq(v, INT64_MIN);
	ck_assert_int_eq(catalog_get_int(c, "last_lsn", 0, &v, &e), 0);
	ck_assert_int_eq(v, INT64_MAX);
}
END_TEST

START_TEST(tables)
{
	struct catalog_table t, u;
	ck_assert_int_eq(catalog_table_create(c, "weather", &t, &e), 0);
	ck_assert_int_eq(catalog_table_create(c, "Weather", &u, &e), 0); /* names differ by case */
	ck_assert_mem_ne(t.uuid, u.uuid, 16);
	ck_assert_int_gt(t.created_ns, 0);
	ck_assert_int_eq(catalog_table_create(c, "weather", &u, &e), -EEXIST);
	ck_assert_int_eq(catalog_table_create(c, "", &u, &e), -EINVAL);
	char longest[300];
	memset(longest, 'x', sizeof longest);
	longest[256] = '\0';
	ck_assert_int_eq(catalog_table_create(c, longest, &u, &e), -ENAMETOOLONG);

	t.flushed_lsn = UINT64_MAX / 2 - 1;
	t.expired_before_ns = 100;
	ck_assert_int_eq(catalog_table_update(c, &t, &e), 0);
	t.expired_before_ns = 50; /* never goes back */
	ck_assert_int_eq(catalog_table_update(c, &t, &e), 0);
	EXPECT(catalog_tables(c, add_table, NULL, &e),
	       "2 Weather 0 -1;1 weather 9223372036854775806 100;");
	t.id = 99;
	ck_assert_int_eq(catalog_table_update(c, &t, &e), -ENOENT);
}
END_TEST

START_TEST(drop_takes_everything_of_the_table)
{
	uint32_t a = new_table("a"), b = new_table("ab");
	uint64_t fa = new_file(a, "x"), fb = new_file(b, "x");
	struct catalog_attr attr = {0640, 1, UINT32_MAX};

	ck_assert_int_eq(catalog_setting_set(c, a, "retention/memory", "6h", &e), 0);
	ck_assert_int_eq(catalog_setting_set(c, b, "retention/memory", "7h", &e), 0);
	ck_assert_int_eq(catalog_setting_set(c, b, "retention/memory", "8h", &e), 0);
	ck_assert_int_eq(catalog_moved_set(c, fa, 3, 10, &e), 0);
	ck_assert_int_eq(catalog_moved_set(c, fb, 3, 10, &e), 0);
	ck_assert_int_eq(catalog_attr_set(c, "", &attr, &e), 0);
	ck_assert_int_eq(catalog_attr_set(c, "a", &attr, &e), 0);
	ck_assert_int_eq(catalog_attr_set(c, "a/ingest", &attr, &e), 0);
	ck_assert_int_eq(catalog_attr_set(c, "ab", &attr, &e), 0);
	attr.mode = 0600;
	ck_assert_int_eq(catalog_attr_set(c, "ab", &attr, &e), 0);
	ck_assert_int_eq(catalog_table_drop(c, a, &e), 0);
	ck_assert_int_eq(catalog_table_drop(c, a, &e), -ENOENT);
	reopen();
	EXPECT(catalog_tables(c, add_table, NULL, &e), "2 ab 0 -1;");
	EXPECT(catalog_settings(c, a, add_setting, NULL, &e), "");
	EXPECT(catalog_settings(c, b, add_setting, NULL, &e), "retention/memory=8h;");
	EXPECT(catalog_files(c, a, add_file, NULL, &e), "");
	EXPECT(catalog_moved(c, fa, add_moved, NULL, &e), "");
	EXPECT(catalog_moved(c, fb, add_moved, NULL, &e), "3<10;");
	EXPECT(catalog_attrs(c, add_attr, NULL, &e), ":640:1:-1;ab:600:1:-1;");
	ck_assert_int_eq(catalog_table_drop(c, b, &e), 0);
	reopen();
	ck_assert_uint_gt(new_table("c"), b); /* ids are never used again, also after a reopen */
	ck_assert_uint_eq(new_table("a"), 4);
	ck_assert_int_eq(catalog_attr_drop(c, "", &e), 0);
	EXPECT(catalog_attrs(c, add_attr, NULL, &e), "");
}
END_TEST

START_TEST(files)
{
	uint32_t t = new_table("t");
	struct catalog_file f = {
		.table_id = t,
		.kind = CATALOG_RUN,
		.path = "runs/0001.parquet",
		.seq_lo = 1,
		.seq_hi = UINT64_MAX,
		.t_min_ns = INT64_MIN,
		.t_max_ns = INT64_MAX,
		.rows = 3,
		.bytes = 4,
		.values = 5,
		.date = -6,
		.part = 7,
		.parts = UINT32_MAX,
		.generation = 9,
		.created_ns = 10,
	};
	struct catalog_file back;
	memset(&back, 0, sizeof back);
	ck_assert_int_eq(catalog_file_add(c, &f, &e), 0);
	ck_assert_int_eq(catalog_file_add(c, &f, &e), -EEXIST);
	reopen();
	EXPECT(catalog_files(c, t, add_file, &back, &e), "1 runs/0001.parquet 7/4294967295;");
	ck_assert_str_eq(back.path, f.path);
	ck_assert(back.id == f.id && back.table_id == t && back.kind == CATALOG_RUN &&
		  back.seq_lo == 1 && back.seq_hi == UINT64_MAX && back.t_min_ns == INT64_MIN &&
		  back.t_max_ns == INT64_MAX && back.rows == 3 && back.bytes == 4 &&
		  back.values == 5 && back.date == -6 && back.part == 7 && back.generation == 9 &&
		  back.created_ns == 10);

	ck_assert_int_eq(catalog_moved_set(c, f.id, 5, 100, &e), 0);
	ck_assert_int_eq(catalog_moved_set(c, f.id, 5, 90, &e), 0);
	ck_assert_int_eq(catalog_moved_set(c, f.id, -5, INT64_MAX, &e), 0);
	EXPECT(catalog_moved(c, f.id, add_moved, NULL, &e), "-5<9223372036854775807;5<100;");
	ck_assert_int_eq(catalog_file_remove(c, f.id, &e), 0);
	ck_assert_int_eq(catalog_file_remove(c, f.id, &e), -ENOENT);
	EXPECT(catalog_moved(c, f.id, add_moved, NULL, &e), "");
	ck_assert_uint_eq(new_file(t, "y"), 2);
}
END_TEST

START_TEST(transactions)
{
	uint32_t t = new_table("t");
	ck_assert_int_eq(catalog_begin(c, &e), 0);
	ck_assert_int_eq(catalog_begin(c, &e), -EDEADLK);
	uint64_t id = new_file(t, "x");
	ck_assert_int_eq(catalog_moved_set(c, id, 1, 1, &e), 0);
	catalog_abort(c);
	EXPECT(catalog_files(c, t, add_file, NULL, &e), "");

	ck_assert_int_eq(catalog_begin(c, &e), 0);
	id = new_file(t, "x");
	ck_assert_int_eq(catalog_file_remove(c, id, &e), 0);
	new_file(t, "z");
	ck_assert_int_eq(catalog_file_remove(c, 77, &e), -ENOENT); /* the rest stands */
	ck_assert_int_eq(catalog_commit(c, &e), 0);
	reopen();
	EXPECT(catalog_files(c, t, add_file, NULL, &e), "2 z 0/0;");
}
END_TEST

/* Each thread moves one unit between two numbers; their sum must not change. */
static void *mover(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int64_t a, b;
		if (catalog_begin(c, NULL) < 0 || catalog_get_int(c, "a", 0, &a, NULL) < 0 ||
		    catalog_get_int(c, "b", 0, &b, NULL) < 0 ||
		    catalog_set_int(c, "a", a - 1, NULL) < 0 ||
		    catalog_set_int(c, "b", b + 1, NULL) < 0)
			abort();
		if (i % 5 == 0)
			catalog_abort(c);
		else if (catalog_commit(c, NULL) < 0)
			abort();
	}
	return arg;
}

START_TEST(threads)
{
	pthread_t th[4];
	int64_t a, b;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&th[i], NULL, mover, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(th[i], NULL);
	ck_assert_int_eq(catalog_get_int(c, "a", 0, &a, &e), 0);
	ck_assert_int_eq(catalog_get_int(c, "b", 0, &b, &e), 0);
	ck_assert_int_eq(a, -160);
	ck_assert_int_eq(b, 160);
}
END_TEST

static void doctor(const char *sql)
{
	sqlite3 *db;
	catalog_close(c);
	c = NULL;
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(foreign_and_newer)
{
	doctor("PRAGMA user_version = 99");
	ck_assert_int_eq(catalog_open(path, false, &c, &e), -EMEDIUMTYPE);
	ck_assert_ptr_nonnull(strstr(e.text, "format 99"));
	doctor("PRAGMA user_version = 1; PRAGMA application_id = 7");
	ck_assert_int_eq(catalog_open(path, false, &c, &e), -EMEDIUMTYPE);
	doctor("PRAGMA application_id = 0; PRAGMA user_version = 0");
	ck_assert_int_eq(catalog_open(path, true, &c, &e),
			 -EMEDIUMTYPE); /* has tables: somebody's */
}
END_TEST

START_TEST(damaged)
{
	new_table("t");
	catalog_close(c);
	c = NULL;
	FILE *f = fopen(path, "r+");
	for (int i = 0; i < 100; i++)
		fputc('x', f);
	fclose(f);
	ck_assert_int_eq(catalog_open(path, false, &c, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, path));
}
END_TEST

static const char *const doctored[] = {
	"UPDATE files SET part = 3",
	"UPDATE files SET path = printf('%.300c', 'x')",
	"UPDATE files SET table_id = table_id + 1",
	"UPDATE files SET id = id + 1",
	"UPDATE tables SET uuid = x'00'",
	"UPDATE tables SET flushed_lsn = flushed_lsn + 1",
	"UPDATE tables SET name = 'u'",
	"UPDATE moved SET upto_ns = upto_ns - 1",
	"UPDATE moved SET date = 1e12",
	"UPDATE settings SET value = '7h'",
	"UPDATE attrs SET mode = 511",
	"UPDATE meta SET value = value - 1",
	"UPDATE meta SET value = 'x'",
};

static void fill_catalog(void)
{
	uint32_t t = new_table("t");
	uint64_t id = new_file(t, "x");

	ck_assert_int_eq(catalog_moved_set(c, id, 19000, 5, &e), 0);
	ck_assert_int_eq(catalog_setting_set(c, t, "retention/memory", "6h", &e), 0);
	ck_assert_int_eq(catalog_attr_set(c, "t", &(struct catalog_attr){0640, 1, 2}, &e), 0);
	ck_assert_int_eq(catalog_set_int(c, "last_lsn", 42, &e), 0);
}

START_TEST(changed_values)
{
	fill_catalog();
	doctor(doctored[_i]);
	ck_assert_int_eq(catalog_open(path, false, &c, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.text, path));
	ck_assert_ptr_nonnull(strstr(e.text, "checksum"));
}
END_TEST

static int note_file(void *ctx, const struct catalog_file *f)
{
	buf_addf(ctx, "f %llu %s %llu %lld\n", (unsigned long long)f->id, f->path, (unsigned long long)f->rows,
		   (long long)f->t_min_ns);
	return 0;
}

static int note_table(void *ctx, const struct catalog_table *t)
{
	buf_addf(ctx, "t %u %s %llu %lld %02x%02x\n", t->id, t->name, (unsigned long long)t->flushed_lsn,
		   (long long)t->expired_before_ns, t->uuid[0], t->uuid[15]);
	return 0;
}

static int note_setting(void *ctx, const char *name, const char *value)
{
	buf_addf(ctx, "s %s %s\n", name, value);
	return 0;
}

static int note_moved(void *ctx, int32_t date, int64_t upto_ns)
{
	buf_addf(ctx, "m %d %lld\n", date, (long long)upto_ns);
	return 0;
}

/* All there is, as text; 1: could not be read. */
static int note_all(struct catalog *from, struct buf *to)
{
	int64_t v = 0;

	buf_clear(to);
	if (catalog_tables(from, note_table, to, NULL) < 0 || catalog_files(from, 1, note_file, to, NULL) < 0 ||
	    catalog_settings(from, 1, note_setting, to, NULL) < 0 ||
	    catalog_moved(from, 1, note_moved, to, NULL) < 0 || catalog_get_int(from, "last_lsn", 0, &v, NULL) < 0)
		return 1;
	buf_addf(to, "i %lld\n", (long long)v);
	return 0;
}

/* One bit wrong, anywhere: an error, or the same answers as before. */
START_TEST(flipped_bits)
{
	struct unit_rng r = unit_rng();
	struct buf want, got;
	static char bytes[1 << 20];

	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	fill_catalog();
	ck_assert_int_eq(note_all(c, &want), 0);
	catalog_close(c);
	FILE *f = fopen(path, "r");
	size_t n = fread(bytes, 1, sizeof bytes, f), refused = 0;
	fclose(f);
	for (int i = 0; i < 1500; i++) {
		size_t at = unit_below(&r, n);
		uint8_t bit = (uint8_t)(1 << unit_below(&r, 8));
		/* Most pages are nearly empty: half of the flips go where something is. */
		while (i % 2 && !bytes[at])
			at = unit_below(&r, n);
		bytes[at] ^= (char)bit;
		f = fopen(path, "w");
		fwrite(bytes, 1, n, f);
		fclose(f);
		bytes[at] ^= (char)bit;
		c = NULL;
		int rc = catalog_open(path, true, &c, &e);
		if (rc < 0) {
			unit_assert(&r, strstr(e.text, path), "byte %zu: %s", at, e.text);
			refused++;
		} else if (note_all(c, &got) == 0) {
			unit_assert(&r, str_eq(buf_str(&want), buf_str(&got)), "byte %zu bit %u: %.*s", at, bit,
				    (int)got.len, got.data);
		}
		catalog_close(c);
	}
	c = NULL;
	ck_assert_uint_gt(refused, 100);
	buf_release(&want);
	buf_release(&got);
}
END_TEST

START_TEST(read_only)
{
	struct catalog *ro = NULL;
	struct catalog_table t;
	new_table("t");
	/* beside a writer, and without one */
	for (int i = 0; i < 2; i++) {
		int rc = catalog_open(path, true, &ro, &e);
		ck_assert_msg(rc == 0, "%s", e.text);
		struct catalog *rw = c;
		c = ro;
		EXPECT(catalog_tables(c, add_table, NULL, &e), "1 t 0 -1;");
		c = rw;
		ck_assert_int_eq(catalog_table_create(ro, "u", &t, &e), -EROFS);
		ck_assert_int_eq(catalog_begin(ro, &e), -EROFS);
		catalog_close(ro);
		catalog_close(c);
		c = NULL;
	}
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(catalog_open(path, true, &ro, &e), -ENOENT);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* A disk that fills up inside a transaction: the errno says so, nothing of it stays, later it
 * works. */
START_TEST(disk_full)
{
	struct rlimit old, small = {.rlim_cur = 128 << 10};
	uint32_t t = new_table("t");
	char name[200];
	int rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE,
		  &small); /* EFBIG stands in for ENOSPC: SQLite sees a failed write */
	ck_assert_int_eq(catalog_begin(c, &e), 0);
	for (int i = 0; rc == 0 && i < 100000; i++) {
		struct catalog_file f = {.table_id = t, .kind = CATALOG_TILE};
		snprintf(f.path, sizeof f.path, "%0180d", i);
		rc = catalog_file_add(c, &f, &e);
	}
	if (rc == 0)
		rc = catalog_commit(c, &e);
	else
		catalog_abort(c);
	ck_assert_msg(rc == -EIO || rc == -ENOSPC, "%d", rc);
	setrlimit(RLIMIT_FSIZE, &old);
	EXPECT(catalog_files(c, t, add_file, NULL, &e), "");
	snprintf(name, sizeof name, "after");
	new_file(t, name);
}
END_TEST

static int no_call(void *ctx, const struct catalog_table *t)
{
	return -ECANCELED;
}

START_TEST(callback_stops)
{
	new_table("a");
	ck_assert_int_eq(catalog_tables(c, no_call, NULL, &e), -ECANCELED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("catalog");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, integers);
	tcase_add_test(tc, tables);
	tcase_add_test(tc, drop_takes_everything_of_the_table);
	tcase_add_test(tc, files);
	tcase_add_test(tc, transactions);
	tcase_add_test(tc, threads);
	tcase_add_test(tc, foreign_and_newer);
	tcase_add_test(tc, damaged);
	tcase_add_loop_test(tc, changed_values, 0, (int)ARRAY_LEN(doctored));
	tcase_add_test(tc, flipped_bits);
	tcase_add_test(tc, read_only);
	tcase_add_test(tc, disk_full);
	tcase_add_test(tc, callback_stops);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
