/*
 * A disk that lies: bytes changed and files cut short, anywhere in a data directory. Opening it and
 * reading it gives what was written, or an error that names the file; other databases go on. (The log and
 * tiles have tests of their own: test_wal_cuts.c, test_damaged_log.c, test_tile_flips.c.)
 *
 * TIDE_DAMAGE=full takes every byte of the control files, otherwise a sample; TIDE_FLIPS=n how many
 * damages anywhere.
 */
#include <inttypes.h>
#include <sys/stat.h>

#include "engine/catalog.h"
#include "engine/internal.h"
#include "tests/unit/numbered.h"

struct world {
	char dir[64], good[80], data[80];
	int dirfd;
	struct unit_rng r;
	bool is_killed;
	uint32_t written[2]; /* of a and b, table t */
};

#define LAST_ROWS 3 /* of the last batch in the log, which a killed daemon's log may have lost half of */

static const char *const names[] = {"a", "b"};

static bool is_full(void)
{
	const char *v = getenv("TIDE_DAMAGE");
	return v && strcmp(v, "full") == 0;
}

/* ---- building ------------------------------------------------------------------------------------------ */

static void fill(struct engine *en, const char *name, uint32_t *value)
{
	struct table *t;
	struct db *db;
	struct err e = {0};
	const int64_t now = NUMBERED_START;

	ck_assert_int_ge(engine_db_create(en, str_from(name), &db, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	ck_assert_int_ge(table_set(t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	ck_assert_int_ge(engine_attr_set(en, db, "t/ingest", &(struct node_attr){0220, 7, UINT32_MAX}, &e), 0);
	for (int day = 0; day < 3; day++) /* tiles */
		ck_assert_int_ge(numbered_append(db, t, value, 100, now - (day + 1) * NS_PER_DAY, day ? "h1" : "h0", &e), 0);
	ck_assert_int_ge(table_maintain(t, &e), 0);
	/* A run of which a part was moved. */
	ck_assert_int_ge(numbered_append(db, t, value, 50, now - 60 * NS_PER_S, "h2", &e), 0);
	ck_assert_int_ge(numbered_append(db, t, value, 50, now - 5 * NS_PER_DAY, "h2", &e), 0);
	ck_assert_int_ge(table_maintain(t, &e), 0);
	ck_assert_int_ge(numbered_append(db, t, value, 50, now - 60 * NS_PER_S, "h3", &e), 0);
	ck_assert_int_ge(table_seal(t, &e), 0);
	for (int i = 0; i < 10; i++) /* log */
		ck_assert_int_ge(numbered_append(db, t, value, LAST_ROWS, now - 60 * NS_PER_S, i % 2 ? "h0" : "h4", &e), 0);
	table_put(t);
	db_put(db);
}

/* killed: as it lies on disk while it is open. */
static void build(struct world *w, bool killed)
{
	*w = (struct world){.r = unit_rng(), .is_killed = killed};
	w->dirfd = unit_dir(w->dir);
	snprintf(w->good, sizeof w->good, "%s/good", w->dir);
	snprintf(w->data, sizeof w->data, "%s/data", w->dir);
	clock_pin(NUMBERED_START);
	struct engine *en = numbered_open(w->data);
	for (int i = 0; i < 2; i++)
		fill(en, names[i], &w->written[i]);
	if (killed)
		unit_dir_copy(w->data, w->good);
	engine_close(en);
	if (!killed)
		unit_dir_copy(w->data, w->good);
}

static void restore(const struct world *w)
{
	nftw(w->data, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
	unit_dir_copy(w->good, w->data);
}

static void tear_down(struct world *w)
{
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
}

/* ---- damaging ------------------------------------------------------------------------------------------ */

struct victim {
	char path[256];
	off_t size;
};

static struct victim victims[256];
static int victim_n;

static int add_victim(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)ftw;
	if (flag == FTW_F && st->st_size && !strstr(path, "-shm") && victim_n < (int)ARRAY_LEN(victims)) {
		snprintf(victims[victim_n].path, sizeof victims[0].path, "%s", path);
		victims[victim_n++].size = st->st_size;
	}
	return 0;
}

static off_t size_of(const char *path)
{
	struct stat st;
	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_size;
}

static void flip(const char *path, off_t at, uint8_t bits)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);

	ck_assert(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= bits;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* Rows of table t: all of them, or an error. A wrong one fails the test. */
static int count_rows(struct engine *en, const char *name, uint32_t written, struct err *e)
{
	static struct numbered_seen seen;
	struct db *db = engine_db(en, str_from(name));
	struct db_status st = {0};
	struct table *t = NULL;
	int rc = 0;

	if (db)
		db_status(db, &st);
	if (!db || st.failed)
		rc = err_set(e, -EIO, "%s", db ? st.reason : "no database");
	if (rc >= 0 && !(t = db_table(db, STR_LIT("t"))))
		rc = err_set(e, -ENOENT, "no table");
	if (rc >= 0)
		rc = numbered_read(t, written, &seen, e);
	if (rc >= 0 && st.read_only)
		rc = err_set(e, -EROFS, "%s", st.reason);
	table_put(t);
	db_put(db);
	return rc < 0 ? rc : (int)seen.n;
}

/* What is on w->data now is refused with the name of `path`, or right; the other database is whole. */
static bool is_right(const struct world *w, const char *path, off_t at, const char *how)
{
	const char *base = strrchr(path, '/') + 1;
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct engine *en;
	struct err e = {0};
	int rc = engine_open(w->data, &opt, &en, &e);

	unit_assert(&w->r, rc >= 0, "%s kept the others from opening: %s", path, err_text(&e, rc));
	e.text[0] = '\0';
	int n = count_rows(en, "a", w->written[0], &e);
	if (n < 0)
		unit_assert(&w->r, strstr(e.text, base) || (strstr(path, "/wal/") && strstr(e.text, "log")),
			    "byte %lld of %s %s: the reason does not name it: %s", (long long)at, path, how, e.text);
	else
		unit_assert(&w->r,
			    (uint32_t)n == w->written[0] || (w->is_killed && strstr(path, "/wal/") && (uint32_t)n + LAST_ROWS == w->written[0]),
			    "byte %lld of %s %s: %d rows instead of %u", (long long)at,
			    path, how, n, w->written[0]);
	int other = count_rows(en, "b", w->written[1], &e);
	unit_assert(&w->r, other >= 0 && (uint32_t)other == w->written[1], "%s harms another database: %s", path, e.text);
	engine_close(en);
	return n >= 0;
}

/* ---- anywhere ------------------------------------------------------------------------------------------ */

START_TEST(anywhere)
{
	struct world w;
	char a_dir[96];
	const char *n_env = getenv("TIDE_FLIPS");
	int refused = 0, right = 0;

	build(&w, _i);
	for (int i = 0; i < (n_env ? atoi(n_env) : is_full() ? 5000 : 120); i++) {
		restore(&w);
		snprintf(a_dir, sizeof a_dir, "%s/db/a", w.data);
		victim_n = 0;
		nftw(a_dir, add_victim, 16, FTW_PHYS);
		struct victim *v = &victims[unit_below(&w.r, (uint64_t)victim_n)];
		off_t at = (off_t)unit_below(&w.r, (uint64_t)v->size);
		/* A log that ends where a batch does ends there: only bits are flipped in it. */
		bool cuts = unit_below(&w.r, 4) == 0 && !strstr(v->path, "/wal/");
		if (cuts)
			ck_assert_int_eq(truncate(v->path, at), 0);
		else
			flip(v->path, at, (uint8_t)(1 << unit_below(&w.r, 8)));
		bool is = is_right(&w, v->path, at, cuts ? "(cut)" : "");
		right += is;
		refused += !is;
	}
	/* Both happen, or nothing was tested. */
	ck_assert_int_gt(refused, 0);
	ck_assert_int_gt(right, 0);
	tear_down(&w);
}
END_TEST

/* ---- the catalogue, byte by byte ----------------------------------------------------------------------- */

static int print_table(void *ctx, const struct catalog_table *t)
{
	buf_addf(ctx, "table %u %s %llu %lld %u %u\n", t->id, t->name, (unsigned long long)t->flushed_lsn,
		   (long long)t->expired_before_ns, t->saved_columns, t->saved_series);
	return 0;
}

static int print_setting(void *ctx, const char *name, const char *value)
{
	buf_addf(ctx, "setting %s=%s\n", name, value);
	return 0;
}

static int print_file(void *ctx, const struct catalog_file *f)
{
	buf_addf(ctx, "file %llu %d %s %llu %llu %lld %lld %llu %llu %llu %d %u %u %llu %lld %llu\n",
		   (unsigned long long)f->id, f->kind, f->path, (unsigned long long)f->seq_lo, (unsigned long long)f->seq_hi,
		   (long long)f->t_min_ns, (long long)f->t_max_ns, (unsigned long long)f->rows, (unsigned long long)f->bytes,
		   (unsigned long long)f->values, f->date, f->part, f->parts, (unsigned long long)f->generation,
		   (long long)f->created_ns, (unsigned long long)f->erased_seq);
	return 0;
}

static int print_moved(void *ctx, int32_t date, int64_t upto_ns)
{
	buf_addf(ctx, "moved %d %lld\n", date, (long long)upto_ns);
	return 0;
}

static int print_tomb(void *ctx, uint64_t id, uint64_t seq, struct str ranges)
{
	buf_addf(ctx, "tomb %llu %llu %x\n", (unsigned long long)id, (unsigned long long)seq,
		   crc32c(0, ranges.ptr, ranges.len));
	return 0;
}

static int print_attr(void *ctx, const char *path, const struct catalog_attr *a)
{
	buf_addf(ctx, "attr %s %o %u %u\n", path, a->mode, a->uid, a->gid);
	return 0;
}

/* All that a catalogue says, as text. */
static int print_catalog(const char *path, bool read_only, struct buf *out, struct err *e)
{
	struct catalog *c;
	int64_t last = 0, created = 0;
	uint32_t id_max = 0;
	int rc = catalog_open(path, read_only, &c, e);

	buf_clear(out);
	if (rc < 0)
		return rc;
	rc = catalog_get_int(c, "last_lsn", 0, &last, e);
	if (rc >= 0)
		rc = catalog_get_int(c, "created_ns", 0, &created, e);
	if (rc >= 0)
		rc = catalog_table_id_max(c, &id_max, e);
	buf_addf(out, "last %lld created %lld ids %u\n", (long long)last, (long long)created, id_max);
	if (rc >= 0)
		rc = catalog_tables(c, print_table, out, e);
	for (uint32_t id = 1; id <= id_max && rc >= 0; id++) {
		rc = catalog_settings(c, id, print_setting, out, e);
		if (rc >= 0)
			rc = catalog_files(c, id, print_file, out, e);
		if (rc >= 0)
			rc = catalog_tombs(c, id, print_tomb, out, e);
	}
	for (uint64_t id = 1; id <= 40 && rc >= 0; id++)
		rc = catalog_moved(c, id, print_moved, out, e);
	if (rc >= 0)
		rc = catalog_attrs(c, print_attr, out, e);
	catalog_close(c);
	return rc;
}

static void copy_catalog(const char *from, const char *to)
{
	static const char *const parts[] = {"", "-wal", "-shm"};
	static char bytes[1 << 20];
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof path, "%s%s", to, parts[i]);
		unlink(path);
		int out = open(path, O_WRONLY | O_CREAT, 0600);
		snprintf(path, sizeof path, "%s%s", from, parts[i]);
		int in = open(path, O_RDONLY);
		ssize_t n = in < 0 ? 0 : read(in, bytes, sizeof bytes);
		ck_assert(out >= 0 && n >= 0 && n < (ssize_t)sizeof bytes && write(out, bytes, (size_t)n) == n);
		close(out);
		if (in >= 0)
			close(in);
		else
			ck_assert_int_eq(unlink(strcat(strcpy(path, to), parts[i])), 0);
	}
}

/*
 * _i 0: closed in order; 1: as kill -9 leaves it, each byte of the file; 2: of its journal. What the journal
 * has is in the file, too, so nothing of it is ever missed.
 */
START_TEST(every_byte_of_a_catalogue)
{
	struct world w;
	char path[128], victim[140], good[128];
	struct buf want, got;
	struct err e = {0};
	uint64_t n = 0, errors = 0;
	int64_t t0 = clock_mono_ns();

	build(&w, _i > 0);
	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	snprintf(good, sizeof good, "%s/db/a/catalog.sqlite", w.good);
	snprintf(path, sizeof path, "%s/catalog.sqlite", w.dir);
	snprintf(victim, sizeof victim, "%s%s", path, _i == 2 ? "-wal" : "");
	copy_catalog(good, path);
	ck_assert_msg(print_catalog(path, false, &want, &e) == 0, "%s", e.text);
	ck_assert(memmem(want.data, want.len, "moved", 5) && memmem(want.data, want.len, "attr t/ingest", 13));
	copy_catalog(good, path);
	off_t size = size_of(victim), step = is_full() ? 1 : MAX(size / (_i ? 300 : 1500), 1);
	for (off_t at = 0; at < size; at += is_full() ? 1 : 1 + (off_t)unit_below(&w.r, (uint64_t)(2 * step)), n++) {
		uint8_t bits = (uint8_t)(1 + unit_below(&w.r, 255));
		flip(victim, at, bits);
		/* A journal that is left is taken in only by who may write; that changes the files. */
		int rc = print_catalog(path, !_i, &got, &e);
		unit_assert(&w.r, rc < 0 || str_eq(buf_str(&got), buf_str(&want)),
			    "byte %lld of %lld of %s: says\n%.*s\nand not\n%.*s", (long long)at, (long long)size, victim,
			    STR_FMT(buf_str(&got)), STR_FMT(buf_str(&want)));
		unit_assert(&w.r, rc >= 0 || (_i < 2 && strstr(e.text, "catalog.sqlite")), "byte %lld: %s", (long long)at, e.text);
		errors += rc < 0;
		if (_i)
			copy_catalog(good, path);
		else
			flip(victim, at, bits);
	}
	printf("catalogue%s: %" PRIu64 " changes of %lld bytes, %" PRIu64 " refused; %.1f s\n",
	       _i == 2 ? "'s journal" : _i ? " of a killed daemon" : "", n, (long long)size, errors,
	       (double)(clock_mono_ns() - t0) / 1e9);
	fflush(stdout);
	ck_assert(_i == 2 || errors > 0);
	buf_release(&want);
	buf_release(&got);
	tear_down(&w);
}
END_TEST

/* ---- its copies ----------------------------------------------------------------------------------------- */

static bool takes(const char *text, size_t n, struct err *e)
{
	struct catalog *c;
	uint32_t left_out;

	ck_assert_int_eq(catalog_open(":memory:", false, &c, e), 0);
	int rc = catalog_copy_read(c, (struct str){text, n}, &left_out, e);
	ck_assert_msg(rc == 0 || rc == -EBADMSG || rc == -EMEDIUMTYPE, "%d %s", rc, e->text);
	catalog_close(c);
	return rc == 0;
}

/* Every byte changed, and cut everywhere: never taken. As it was: a catalogue that says the same. */
START_TEST(every_byte_of_a_copy)
{
	struct world w;
	struct catalog *c, *again;
	struct buf text, second;
	struct err e = {0};
	char path[128];
	uint32_t left_out = 9;

	build(&w, false);
	restore(&w);
	snprintf(path, sizeof path, "%s/db/a/catalog.sqlite", w.data);
	ck_assert_int_eq(catalog_open(path, false, &c, &e), 0);
	/* Names and values that JSON has to write in other ways. */
	ck_assert_int_eq(catalog_setting_set(c, 1, "a \"name\"\n", "\xc3\xa9 \\ \t \x01 {", &e), 0);
	buf_init(&text, 1 << 20);
	buf_init(&second, 1 << 20);
	ck_assert_int_eq(catalog_copy_print(c, 1, &text, &e), 0);
	ck_assert_int_eq(catalog_copy_print(c, 2, &second, &e), -ENOENT);
	buf_clear(&second);
	ck_assert_int_eq(catalog_open(":memory:", false, &again, &e), 0);
	ck_assert_msg(catalog_copy_read(again, buf_str(&text), &left_out, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(left_out, 0);
	ck_assert_int_eq(catalog_copy_print(again, 1, &second, &e), 0);
	ck_assert_msg(str_eq(buf_str(&text), buf_str(&second)), "%.*s", STR_FMT(buf_str(&second)));
	/* Twice is once too often, and changes nothing. */
	ck_assert_int_lt(catalog_copy_read(again, buf_str(&text), &left_out, &e), 0);
	buf_clear(&second);
	ck_assert_int_eq(catalog_copy_print(again, 1, &second, &e), 0);
	ck_assert(str_eq(buf_str(&text), buf_str(&second)));
	catalog_close(again);
	ck_assert(takes(text.data, text.len, &e));
	for (size_t at = 0; at < text.len; at += is_full() ? 1 : 1 + unit_below(&w.r, 12)) {
		uint8_t bits = (uint8_t)(1 + unit_below(&w.r, 255));
		text.data[at] = (char)(text.data[at] ^ (char)bits);
		unit_assert(&w.r, !takes(text.data, text.len, &e), "byte %zu of %zu", at, text.len);
		text.data[at] = (char)(text.data[at] ^ (char)bits);
		unit_assert(&w.r, !takes(text.data, at, &e), "cut at %zu of %zu", at, text.len);
	}
	/* With a checksum to match, as by hand: taken, or refused with the place. */
	static const char marks[] = "\"[]{},0123456789abcdef\\\n:";
	for (int i = 0; i < 400; i++) {
		char *p = malloc(text.len);
		memcpy(p, text.data, text.len);
		size_t tail = strlen("\"crc32c\": \"00000000\"\n}\n"), body = text.len - tail;
		for (uint64_t k = 1 + unit_below(&w.r, 3); k--;)
			p[unit_below(&w.r, body)] = marks[unit_below(&w.r, sizeof marks - 1)];
		char crc[16];
		snprintf(crc, sizeof crc, "%08x", crc32c(0, p, body));
		memcpy(p + body + strlen("\"crc32c\": \""), crc, 8);
		(void)takes(p, text.len, &e);
		free(p);
	}
	catalog_close(c);
	buf_release(&text);
	buf_release(&second);
	tear_down(&w);
}
END_TEST

/* ---- small control files -------------------------------------------------------------------------------- */

START_TEST(every_byte_of_a_series_file)
{
	struct world w;
	char path[128];
	struct err e = {0};
	uint64_t n = 0, errors = 0, shorter = 0;

	build(&w, false);
	restore(&w);
	snprintf(path, sizeof path, "%s/db/a/tables/1/series", w.data);
	off_t size = size_of(path);
	for (off_t at = 0; at < size; at++, n++) {
		uint8_t bits = (uint8_t)(1 + unit_below(&w.r, 255));
		struct series_set *s;
		ck_assert_int_eq(series_set_create(&s), 0);
		flip(path, at, bits);
		int rc = series_file_load(s, io_posix(), AT_FDCWD, path, &e);
		unit_assert(&w.r, rc >= 0 || (rc == -EBADMSG && strstr(e.text, "/series") && strstr(e.text, " offset ")),
			    "byte %lld: %d %s", (long long)at, rc, e.text);
		/* What looks like a torn end is found by whoever knows how many there were. */
		bool is_short = rc >= 0 && series_count(s) < 4;
		for (uint32_t i = 0; rc >= 0 && i < series_count(s); i++)
			unit_assert(&w.r, str_is(series_measure(s, i), "m"), "byte %lld", (long long)at);
		series_set_destroy(s);
		errors += rc < 0;
		shorter += is_short;
		if (at % (is_full() ? 1 : 16) == 0 || is_short)
			(void)is_right(&w, path, at, "");
		flip(path, at, bits);
	}
	printf("series file: %" PRIu64 " changes, %" PRIu64 " refused, %" PRIu64 " torn\n", n, errors, shorter);
	ck_assert(errors > 0);
	tear_down(&w);
}
END_TEST

/* Every byte, every bit: an engine that opens shows all rows; one that does not says whose file it is. */
START_TEST(every_bit_of_the_format_file)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct world w;
	char path[128];
	struct engine *en;
	struct err e = {0};
	int refused = 0;

	build(&w, false);
	restore(&w);
	snprintf(path, sizeof path, "%s/tidefs.format", w.data);
	off_t size = size_of(path);
	for (off_t at = 0; at < size; at++)
		for (int bit = 0; bit < 8; bit++) {
			flip(path, at, (uint8_t)(1 << bit));
			int rc = engine_open(w.data, &opt, &en, &e);
			if (rc >= 0) {
				ck_assert_int_eq(count_rows(en, "a", w.written[0], &e), (int)w.written[0]);
				engine_close(en);
			} else {
				unit_assert(&w.r, rc == -EMEDIUMTYPE && strstr(e.text, w.data), "byte %lld bit %d: %d %s",
					    (long long)at, bit, rc, e.text);
				refused++;
			}
			flip(path, at, (uint8_t)(1 << bit));
		}
	ck_assert_int_ge(refused, (int)(size - 1) * 8);
	for (off_t n = size; n-- > 0;) {
		ck_assert_int_eq(truncate(path, n), 0);
		int rc = engine_open(w.data, &opt, &en, &e);
		/* Only the newline is missing: then it says all there is to say. */
		unit_assert(&w.r, rc == (n == size - 1 ? 0 : -EMEDIUMTYPE), "cut at %lld: %d %s", (long long)n, rc, e.text);
		if (rc >= 0)
			engine_close(en);
	}
	tear_down(&w);
}
END_TEST

/* ---- files of different times -------------------------------------------------------------------------- */

static uint32_t count_files(const char *path)
{
	uint32_t n = 0;
	struct dirent *d;
	DIR *dir = opendir(path);

	ck_assert_ptr_nonnull(dir);
	while ((d = readdir(dir)))
		n += d->d_type == DT_REG;
	closedir(dir);
	return n;
}

static void copy_file(const char *from, const char *to)
{
	char cmd[512];

	snprintf(cmd, sizeof cmd, "cp %s %s && rm -f %s-*", from, to, to);
	ck_assert_int_eq(system(cmd), 0);
}

/* An old catalogue beside a log that was trimmed since: rows would be missing, and their files swept. */
START_TEST(old_catalogue)
{
	char dir[64], cat[128], old[80], runs[128], cmd[128];
	int fd = unit_dir(dir);
	struct err e = {0};
	struct db_status st;
	struct table *t;
	struct db *db;
	uint32_t value = 0;

	clock_pin(NUMBERED_START);
	snprintf(cat, sizeof cat, "%s/d/db/d/catalog.sqlite", dir);
	snprintf(old, sizeof old, "%s/old", dir);
	snprintf(runs, sizeof runs, "%s/d/db/d/tables/1/runs", dir);
	snprintf(cmd, sizeof cmd, "%s/d", dir);
	struct engine *en = numbered_open(cmd);
	ck_assert_int_ge(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	ck_assert_int_ge(db_table_create(db, STR_LIT("t"), &t, &e), 0);
	ck_assert_int_ge(numbered_append(db, t, &value, 100, NUMBERED_START - NS_PER_DAY, "h", &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
	copy_file(cat, old);
	en = numbered_open(cmd);
	db = engine_db(en, STR_LIT("d"));
	t = db_table(db, STR_LIT("t"));
	ck_assert_int_ge(table_seal(t, &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
	/* A log that was trimmed up to here begins behind what the old catalogue knows. */
	snprintf(runs, sizeof runs, "rm %s/d/db/d/wal/*.wal", dir);
	ck_assert_int_eq(system(runs), 0);
	en = numbered_open(cmd); /* begins a log behind the last number */
	db = engine_db(en, STR_LIT("d"));
	t = db_table(db, STR_LIT("t"));
	ck_assert_int_ge(numbered_append(db, t, &value, 10, NUMBERED_START - NS_PER_DAY, "h", &e), 0);
	table_put(t);
	db_put(db);
	engine_close(en);
	copy_file(old, cat);
	snprintf(runs, sizeof runs, "%s/d/db/d/tables/1/runs", dir);
	uint32_t files = count_files(runs);
	ck_assert_uint_gt(files, 0);
	en = numbered_open(cmd);
	db = engine_db(en, STR_LIT("d"));
	db_status(db, &st);
	ck_assert(st.failed);
	ck_assert_msg(strstr(st.reason, "older than the log") != NULL, "%s", st.reason);
	ck_assert_ptr_null(db_table(db, STR_LIT("t")));
	db_put(db);
	engine_close(en);
	ck_assert_uint_eq(count_files(runs), files);
	clock_pin(0);
	unit_dir_remove(fd, dir);
}
END_TEST

/* The last block of a series file lost: no new series may be given the ids that files speak of. */
START_TEST(definitions_lost)
{
	struct world w;
	char path[128];
	struct db_status st;

	build(&w, false);
	restore(&w);
	snprintf(path, sizeof path, "%s/db/a/tables/1/series", w.data);
	ck_assert_int_eq(truncate(path, (off_t)unit_below(&w.r, 100)), 0);
	struct engine *en = numbered_open(w.data);
	struct db *db = engine_db(en, STR_LIT("a"));
	db_status(db, &st);
	ck_assert(st.failed);
	ck_assert_msg(strstr(st.reason, "/series: ends early") != NULL, "%s", st.reason);
	db_put(db);
	engine_close(en);
	tear_down(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("damaged_files");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	tcase_set_timeout(tc, 3600);
	tcase_add_loop_test(tc, anywhere, 0, 2);
	tcase_add_loop_test(tc, every_byte_of_a_catalogue, 0, 3);
	tcase_add_test(tc, every_byte_of_a_copy);
	tcase_add_test(tc, every_byte_of_a_series_file);
	tcase_add_test(tc, every_bit_of_the_format_file);
	tcase_add_test(tc, old_catalogue);
	tcase_add_test(tc, definitions_lost);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
