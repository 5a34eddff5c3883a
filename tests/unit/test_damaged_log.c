/*
 * A database whose log is damaged, as its users see it. Rows with numbers lie in a run and in a log of
 * 64 KiB; then the log is cut, or bytes of it are changed. The rows that must be served are known one
 * by one: those of the longest valid prefix, and after `fsck --repair` all but the ones in damaged
 * batches and those whose definitions were in one.
 *
 * TIDE_DAMAGE=full tries many more places.
 */
#include <inttypes.h>

#include "engine/fsck.h"
#include "tests/unit/numbered.h"

#define TABLES  2
#define HOSTS   40
#define STEPS   2000
#define DAMAGES 3

static const char *const names[TABLES] = {"t", "u"};

struct step {
	int table, host;
	uint32_t value, n; /* rows value .. value + n - 1 */
	uint64_t lsn;      /* of the rows; definitions are just before it */
};

struct mbatch {
	int64_t off, end;
	uint64_t first, next;
};

struct world {
	char dir[64], good[80], data[80], log[160];
	int dirfd;
	struct unit_rng r;
	struct step steps[STEPS];
	int step_n;
	uint32_t written[TABLES];
	uint64_t flushed;              /* rows up to here are in files, and their definitions */
	int defined[TABLES][HOSTS];    /* the batch that defines a host; -1: the series file has it */
	struct mbatch batches[STEPS];
	int batch_n;
	char *bytes; /* of the log */
	int64_t size;
	bool lost[STEPS]; /* by batch: damaged, or cut off */
};

/* ---- building ------------------------------------------------------------------------------------------ */

static void parse(struct world *w)
{
	struct stat st;
	int fd = open(w->log, O_RDONLY);

	ck_assert(fd >= 0 && fstat(fd, &st) == 0);
	w->size = st.st_size;
	w->bytes = malloc((size_t)w->size);
	ck_assert_int_eq(read(fd, w->bytes, (size_t)w->size), w->size);
	close(fd);
	for (int64_t at = 80; at < w->size; w->batch_n++) {
		uint32_t bytes, count;
		struct mbatch *b = &w->batches[w->batch_n];
		ck_assert_int_lt(w->batch_n, STEPS);
		memcpy(&bytes, w->bytes + at + 8, 4);
		memcpy(&b->first, w->bytes + at + 16, 8);
		memcpy(&count, w->bytes + at + 32, 4);
		b->next = b->first + count;
		b->off = at;
		b->end = at += bytes;
	}
}

static int batch_of(const struct world *w, uint64_t lsn)
{
	int k = 0;

	while (k < w->batch_n && w->batches[k].next <= lsn)
		k++;
	return k;
}

static void fill(struct world *w, struct db *db, struct table *const *tables)
{
	struct db_status st;
	struct err e = {0};
	int hosts[TABLES] = {0};

	do {
		struct step *s = &w->steps[w->step_n];
		ck_assert_int_lt(w->step_n++, STEPS);
		s->table = (int)unit_below(&w->r, TABLES);
		/* Every now and then one that is new. */
		bool fresh = hosts[s->table] == 0 || (hosts[s->table] < HOSTS && unit_below(&w->r, 12) == 0);
		s->host = fresh ? hosts[s->table]++ : (int)unit_below(&w->r, (uint64_t)hosts[s->table]);
		s->value = w->written[s->table];
		s->n = 1 + (uint32_t)unit_below(&w->r, 6);
		char host[16];
		snprintf(host, sizeof host, "h%d", s->host);
		ck_assert_int_ge(numbered_append(db, tables[s->table], &w->written[s->table], s->n, NUMBERED_START - NS_PER_DAY, host, &e), 0);
		db_status(db, &st);
		s->lsn = st.last_lsn;
		if (w->step_n == 25) {
			for (int t = 0; t < TABLES; t++)
				ck_assert_int_ge(table_seal(tables[t], &e), 0);
			w->flushed = st.last_lsn;
		}
	} while (st.wal_bytes < 64 << 10);
}

static void build(struct world *w)
{
	struct table *tables[TABLES];
	struct err e = {0};
	struct db *db;

	*w = (struct world){.r = unit_rng()};
	w->dirfd = unit_dir(w->dir);
	snprintf(w->good, sizeof w->good, "%s/good", w->dir);
	snprintf(w->data, sizeof w->data, "%s/data", w->dir);
	clock_pin(NUMBERED_START);
	struct engine *en = numbered_open(w->data);
	ck_assert_int_ge(engine_db_create(en, STR_LIT("d"), &db, &e), 0);
	for (int t = 0; t < TABLES; t++)
		ck_assert_int_ge(db_table_create(db, str_from(names[t]), &tables[t], &e), 0);
	fill(w, db, tables);
	unit_dir_copy(w->data, w->good); /* as kill -9 would leave it */
	for (int t = 0; t < TABLES; t++)
		table_put(tables[t]);
	db_put(db);
	engine_close(en);
	nftw(w->data, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
	snprintf(w->log, sizeof w->log, "%s/db/d/wal/%020d-%08d.wal", w->good, 1, 1);
	parse(w);
	snprintf(w->log, sizeof w->log, "%s/db/d/wal/%020d-%08d.wal", w->data, 1, 1);
	memset(w->defined, -1, sizeof w->defined);
	for (int i = w->step_n; i-- > 0;) {
		const struct step *s = &w->steps[i];
		w->defined[s->table][s->host] = s->lsn <= w->flushed ? -1 : batch_of(w, s->lsn);
	}
}

static void tear_down(struct world *w)
{
	clock_pin(0);
	free(w->bytes);
	unit_dir_remove(w->dirfd, w->dir);
}

/* ---- what must be there -------------------------------------------------------------------------------- */

/* The first batch that is not valid; batch_n: none. */
static int first_lost(const struct world *w)
{
	int k = 0;

	while (k < w->batch_n && !w->lost[k])
		k++;
	return k;
}

static bool something_follows(const struct world *w)
{
	int k = first_lost(w);

	while (k < w->batch_n && w->lost[k])
		k++;
	return k < w->batch_n;
}

/* The first batch that defines something for the table and is lost: ids from there on are unknown. */
static int definitions_end(const struct world *w, int table)
{
	int end = w->batch_n;

	for (int h = 0; h < HOSTS; h++)
		if (w->defined[table][h] >= 0 && w->lost[w->defined[table][h]])
			end = MIN(end, w->defined[table][h]);
	return end;
}

/* What lies before the damage, and where `salvaged` what lies behind it. */
static void expect_rows(const struct world *w, int table, bool salvaged, bool *ret)
{
	int prefix = first_lost(w), defs = definitions_end(w, table);

	memset(ret, 0, NUMBERED_MAX * sizeof *ret);
	for (int i = 0; i < w->step_n; i++) {
		const struct step *s = &w->steps[i];
		int k = batch_of(w, s->lsn);
		bool is = s->lsn <= w->flushed || k < prefix ||
			  (salvaged && !w->lost[k] && w->defined[table][s->host] < defs);
		for (uint32_t v = s->value; s->table == table && v < s->value + s->n; v++)
			ret[v] = is;
	}
}

static void check_rows(const struct world *w, struct db *db, bool salvaged, const uint32_t written[TABLES], int64_t at)
{
	static bool want[NUMBERED_MAX];
	static struct numbered_seen s;
	struct err e = {0};

	for (int t = 0; t < TABLES; t++) {
		struct table *table = db_table(db, str_from(names[t]));
		ck_assert_ptr_nonnull(table);
		expect_rows(w, t, salvaged, want);
		for (uint32_t v = w->written[t]; v < written[t]; v++)
			want[v] = true; /* came after the damage */
		int rc = numbered_read(table, written[t], &s, &e);
		unit_assert(&w->r, rc == 0, "damage at %lld: %s", (long long)at, err_text(&e, rc));
		for (uint32_t v = 0; v < written[t]; v++)
			unit_assert(&w->r, s.has[v] == want[v], "damage at %lld: row %u of '%s' is %s", (long long)at, v,
				    names[t], want[v] ? "missing" : "there");
		table_put(table);
	}
}

static int append_all(struct db *db, uint32_t written[TABLES], const char *host, struct err *e)
{
	int rc = 0;

	for (int t = 0; t < TABLES && rc >= 0; t++) {
		struct table *table = db_table(db, str_from(names[t]));
		rc = numbered_append(db, table, &written[t], 3, NUMBERED_START - NS_PER_DAY, host, e);
		table_put(table);
	}
	return rc;
}

/* ---- damaging ------------------------------------------------------------------------------------------ */

static void put_damaged(struct world *w, const char *bytes, int64_t size)
{
	nftw(w->data, unit_unlink_, 16, FTW_DEPTH | FTW_PHYS);
	unit_dir_copy(w->good, w->data);
	int fd = open(w->log, O_WRONLY | O_TRUNC);
	ck_assert(fd >= 0 && write(fd, bytes, (size_t)size) == size);
	close(fd);
}

struct found {
	int errors, repaired;
	char text[2048];
};

static void found(void *ctx, const struct fsck_finding *f)
{
	struct found *to = ctx;
	size_t n = strlen(to->text);

	to->errors += f->severity == FSCK_ERROR;
	to->repaired += f->outcome == FSCK_REPAIRED;
	snprintf(to->text + n, sizeof to->text - n, "%s: %s; %s\n", f->file, f->what, f->repair);
}

static struct fsck_result check(const struct world *w, bool repair, struct found *f)
{
	struct fsck_options opt = {.repair = repair, .found = found, .ctx = f};
	struct fsck_result r = {0};
	struct err e = {0};

	*f = (struct found){0};
	int rc = fsck_run(w->data, &opt, &r, &e);
	unit_assert(&w->r, rc >= 0, "fsck_run: %s", err_text(&e, rc));
	return r;
}

/* What was damaged is kept, every byte of it. */
static void check_aside(const struct world *w, const char *bytes, int64_t size, int64_t at)
{
	char path[200];
	char *copy = malloc((size_t)size + 1);

	snprintf(path, sizeof path, "%s/db/d/wal/damaged/%s", w->data, strrchr(w->log, '/') + 1);
	int fd = open(path, O_RDONLY);
	unit_assert(&w->r, fd >= 0 && read(fd, copy, (size_t)size + 1) == size && memcmp(copy, bytes, (size_t)size) == 0,
		    "damage at %lld: the damaged segment was not kept as '%s'", (long long)at, path);
	close(fd);
	free(copy);
}

/* Rows come and stay: opened again, twice. */
static void goes_on(const struct world *w, bool salvaged, int64_t at)
{
	uint32_t written[TABLES];
	struct db_status st;
	struct err e = {0};

	memcpy(written, w->written, sizeof written);
	for (int round = 0; round < 3; round++) {
		struct engine *en = numbered_open(w->data);
		struct db *db = engine_db(en, STR_LIT("d"));
		db_status(db, &st);
		unit_assert(&w->r, !st.failed && !st.read_only, "damage at %lld, opening %d: %s", (long long)at, round, st.reason);
		check_rows(w, db, salvaged, written, at);
		if (round < 2) {
			int rc = append_all(db, written, round ? "new" : "h0", &e);
			unit_assert(&w->r, rc >= 0, "damage at %lld: takes nothing: %s", (long long)at, err_text(&e, rc));
		}
		db_put(db);
		engine_close(en);
	}
}

static void stops(const struct world *w, int64_t at)
{
	uint32_t written[TABLES];
	struct db_status st;
	struct err e = {0};
	struct engine *en = numbered_open(w->data);
	struct db *db = engine_db(en, STR_LIT("d"));

	db_status(db, &st);
	unit_assert(&w->r, !st.failed && st.read_only, "damage at %lld is not noticed: %s", (long long)at, st.reason);
	unit_assert(&w->r, strstr(st.reason, strrchr(w->log, '/') + 1) && strstr(st.reason, " at byte "),
		    "damage at %lld: %s", (long long)at, st.reason);
	check_rows(w, db, false, w->written, at);
	memcpy(written, w->written, sizeof written);
	int rc = append_all(db, written, "h0", &e);
	unit_assert(&w->r, rc == -EROFS && strstr(e.text, " at byte "), "damage at %lld: %d %s", (long long)at, rc, e.text);
	check_rows(w, db, false, w->written, at);
	db_put(db);
	engine_close(en);
}

/* The log is `bytes` now, w->lost says what that takes away. at: for messages. */
static void try_damage(struct world *w, const char *bytes, int64_t size, int64_t at, bool header_lost)
{
	bool hole = something_follows(w) || header_lost;
	struct found f;

	put_damaged(w, bytes, size);
	if (!hole) {
		goes_on(w, false, at);
		return;
	}
	if (!header_lost)
		stops(w, at);
	struct fsck_result r = check(w, false, &f);
	unit_assert(&w->r, r.problems == 1 && f.errors == 1, "damage at %lld: %llu problems: %s", (long long)at,
		    (unsigned long long)r.problems, f.text);
	r = check(w, true, &f);
	unit_assert(&w->r, r.repaired == r.problems, "damage at %lld is not repaired: %s", (long long)at, f.text);
	check_aside(w, bytes, size, at);
	r = check(w, false, &f);
	unit_assert(&w->r, r.problems == 0, "damage at %lld, after the repair: %s", (long long)at, f.text);
	goes_on(w, true, at);
}

static bool is_full(void)
{
	const char *v = getenv("TIDE_DAMAGE");
	return v && strcmp(v, "full") == 0;
}

static void say(const char *what, int n, int64_t since)
{
	printf("%s: %d in %.1f s\n", what, n, (double)(clock_mono_ns() - since) / 1e9);
	fflush(stdout);
}

/* ---- tests --------------------------------------------------------------------------------------------- */

START_TEST(cuts)
{
	static struct world w;
	int64_t t0 = clock_mono_ns();
	int n = is_full() ? 3000 : 40;

	build(&w);
	for (int i = 0; i < n; i++) {
		int64_t at = i == 0 ? w.size : 80 + (int64_t)unit_below(&w.r, (uint64_t)w.size - 80);
		for (int k = 0; k < w.batch_n; k++)
			w.lost[k] = w.batches[k].end > at;
		try_damage(&w, w.bytes, at, at, false);
	}
	say("cuts of a database's log", n, t0);
	tear_down(&w);
}
END_TEST

/* One to DAMAGES bytes, now and then with the end cut off, too. */
START_TEST(flips)
{
	static struct world w;
	int64_t t0 = clock_mono_ns();
	int n = is_full() ? 6000 : 60;

	build(&w);
	char *bytes = malloc((size_t)w.size);
	for (int i = 0; i < n; i++) {
		int64_t at = 0, size = w.size;
		memcpy(bytes, w.bytes, (size_t)w.size);
		memset(w.lost, 0, sizeof w.lost);
		for (uint64_t d = 1 + unit_below(&w.r, DAMAGES); d--;) {
			at = 80 + (int64_t)unit_below(&w.r, (uint64_t)w.size - 80);
			int k = 0;
			while (w.batches[k].end <= at)
				k++;
			if (w.lost[k])
				continue; /* twice in one place may be no damage */
			bytes[at] = (char)(bytes[at] ^ (char)(1 + unit_below(&w.r, 255)));
			w.lost[k] = true;
		}
		if (unit_below(&w.r, 4) == 0)
			size -= (int64_t)unit_below(&w.r, (uint64_t)w.size / 2);
		for (int k = 0; k < w.batch_n; k++)
			w.lost[k] |= w.batches[k].end > size;
		try_damage(&w, bytes, size, at, false);
	}
	free(bytes);
	say("damages of a database's log, with repairs", n, t0);
	tear_down(&w);
}
END_TEST

/* The header alone: nothing is served of the log, and a repair brings back all of it. */
START_TEST(header)
{
	static struct world w;
	int step = is_full() ? 1 : 17;

	build(&w);
	char *bytes = malloc((size_t)w.size);
	for (int at = 0; at < 80; at += step) {
		memcpy(bytes, w.bytes, (size_t)w.size);
		bytes[at] = (char)(bytes[at] ^ (char)(1 + unit_below(&w.r, 255)));
		memset(w.lost, 1, sizeof w.lost);
		put_damaged(&w, bytes, w.size);
		stops(&w, at);
		memset(w.lost, 0, sizeof w.lost);
		try_damage(&w, bytes, w.size, at, true);
	}
	free(bytes);
	tear_down(&w);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {cuts, flips, header};
	unit_in_memory();
	return unit_main("damaged_log", 7200, tests, ARRAY_LEN(tests));
}
