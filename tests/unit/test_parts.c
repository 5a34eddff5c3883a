/*
 * Partition keys: their texts, which part a series belongs to, what records they refuse, and that
 * every row is found whatever the parts of its date, by scans that leave out the tiles of other parts.
 */
#include "engine/catalog.h"
#include "engine/fsck.h"
#include "engine/ingest.h"
#include "engine/scan.h"
#include "engine/series_parts.h"
#include "tests/unit/unit.h"

#define START (INT64_C(1700006400) * NS_PER_S) /* 2023-11-15 00:00 */

/* ---- texts --------------------------------------------------------------------------------------- */

static const struct {
	const char *text, *shown; /* shown NULL: refused, and `why` is in the sentence */
	const char *why;
} texts[] = {
	{"dimensions", "dimensions", NULL},
	{" measure_name\n", "measure_name", NULL},
	{"host", "host optional", NULL},
	{"host required", "host required", NULL},
	{"host  OPTIONAL ,\tregion Required", "host optional, region required", NULL},
	{"b,a", "b optional, a optional", NULL},
	{"\"host\" required", "host required", NULL},
	{"\"rack no\", \"a,b\" required", "\"rack no\" optional, \"a,b\" required", NULL},
	{"\"rack no\"required", "\"rack no\" required", NULL},
	{"\"dimensions\"", "\"dimensions\" optional", NULL},
	{"a,b,c,d,e,f,g,h", "a optional, b optional, c optional, d optional, e optional, f optional, g optional, h optional",
	 NULL},
	{"\xc3\xa4", "\xc3\xa4 optional", NULL},
	{"required", "required optional", NULL},
	{"", NULL, "name is missing"},
	{",", NULL, "name is missing"},
	{"a,", NULL, "name is missing"},
	{"a,,b", NULL, "name is missing"},
	{"\"\"", NULL, "name is missing"},
	{"a b", NULL, "'b'"},
	{"a required b", NULL, "a comma is missing"},
	{"a required required", NULL, "a comma is missing"},
	{"a,b,c,d,e,f,g,h,i", NULL, "at most 8"},
	{"a, b, a required", NULL, "named twice"},
	{"a, A", NULL, "named twice"},
	{"dimensions, a", NULL, "stands alone"},
	{"measure_name required", NULL, "stands alone"},
	{"a, measure_name", NULL, "stands alone"},
	{"\"measure_name\"", NULL, "reserved"},
	{"time", NULL, "reserved"},
	{"a:b", NULL, "':'"},
	{"\"a", NULL, "closing"},
	{"\"a\"\"", NULL, "closing"},
	{"\"a\"\"b\"", NULL, "'\"'"},
	{"a\nb", NULL, "control"},
	{"\xff", NULL, "UTF-8"},
};

START_TEST(key_texts)
{
	char shown[PART_KEY_TEXT_MAX];
	struct err e = {0};
	struct part_key *k, *again;

	int rc = part_key_parse(str_from(texts[_i].text), &k, &e);
	if (!texts[_i].shown) {
		ck_assert_int_eq(rc, -EINVAL);
		ck_assert_msg(strstr(e.text, texts[_i].why) != NULL, "'%s' is not in: %s", texts[_i].why, e.text);
		return;
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	part_key_format(k, shown);
	ck_assert_str_eq(shown, texts[_i].shown);
	/* What is shown means the same. */
	ck_assert_int_eq(part_key_parse(str_from(shown), &again, &e), 0);
	ck_assert(part_key_spreads_alike(k, again) && k->has_required == again->has_required);
	part_key_format(again, shown);
	ck_assert_str_eq(shown, texts[_i].shown);
	part_key_put(k);
	part_key_put(again);
}
END_TEST

/* The longest text there can be fits into what callers hold ready. */
START_TEST(longest_text)
{
	char text[4096] = "", shown[PART_KEY_TEXT_MAX];
	struct part_key *k;
	struct err e = {0};

	for (int i = 0; i < PART_KEY_DIMS_MAX; i++) {
		char name[256];
		memset(name, 'x', 255);
		name[0] = (char)('a' + i);
		name[100] = ' ';
		name[255] = '\0';
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s\"%s\" required", i ? ", " : "", name);
	}
	ck_assert_int_eq(part_key_parse(str_from(text), &k, &e), 0);
	part_key_format(k, shown);
	ck_assert_str_eq(shown, text);
	part_key_put(k);
	memset(text, 'x', 256);
	text[256] = '\0';
	ck_assert_int_eq(part_key_parse(str_from(text), &k, &e), -EINVAL);
}
END_TEST

/* ---- hashes -------------------------------------------------------------------------------------- */

static uint32_t intern(struct series_set *set, const char *measure, const char *const *kv)
{
	struct dim_value dims[16];
	struct err e = {0};
	uint32_t n = 0;

	for (; kv[2 * n]; n++) {
		int64_t c = series_add_column(set, str_from(kv[2 * n]), COLKIND_DIMENSION, COL_VARCHAR, &e);
		ck_assert_int_ge(c, 0);
		dims[n] = (struct dim_value){(uint32_t)c, str_from(kv[2 * n + 1])};
	}
	int64_t id = series_intern(set, str_from(measure), MEASURE_MULTI, dims, n, &e);
	ck_assert_int_ge(id, 0);
	return (uint32_t)id;
}

static struct series_parts *parts_by(const struct series_set *set, const char *key)
{
	struct series_parts *p;
	struct part_key *k;

	ck_assert_int_eq(part_key_parse(str_from(key), &k, NULL), 0);
	ck_assert_int_eq(series_parts_create(set, k, &p), 0);
	part_key_put(k);
	return p;
}

static uint32_t hash_by(const struct series_set *set, const char *key, uint32_t id)
{
	struct series_parts *p = parts_by(set, key);
	uint32_t h = series_parts_hash(p, id);

	series_parts_put(p);
	return h;
}

/* Directory names follow from these: they may never change. */
START_TEST(hash_is_fixed)
{
	struct series_set *set;

	ck_assert_int_eq(series_set_create(&set), 0);
	uint32_t id = intern(set, "cpu", (const char *[]){"host", "a", "az", "1", NULL});
	uint32_t bare = intern(set, "cpu", (const char *[]){NULL});
	static const char all[] = "az\0001\0host\0a", by_host[] = "host\0a", host_az[] = "host\0a\0az\0001";
	static const char measure[] = "measure_name\0cpu";
	ck_assert_uint_eq(hash_by(set, "dimensions", id), crc32c(0, all, sizeof all));
	ck_assert_uint_eq(hash_by(set, "dimensions", id), UINT32_C(0xc784c332));
	ck_assert_uint_eq(hash_by(set, "host", id), crc32c(0, by_host, sizeof by_host));
	ck_assert_uint_eq(hash_by(set, "host required, nothing", id), crc32c(0, by_host, sizeof by_host));
	ck_assert_uint_eq(hash_by(set, "host, az", id), crc32c(0, host_az, sizeof host_az));
	ck_assert_uint_eq(hash_by(set, "az, host", id), crc32c(0, all, sizeof all));
	ck_assert_uint_eq(hash_by(set, "measure_name", id), crc32c(0, measure, sizeof measure));
	ck_assert_uint_eq(hash_by(set, "measure_name", bare), crc32c(0, measure, sizeof measure));
	ck_assert_uint_eq(hash_by(set, "host", bare), 0);
	ck_assert_uint_eq(hash_by(set, "dimensions", bare), 0);
	series_set_destroy(set);
}
END_TEST

/* Kept hashes, hashes made for the occasion, bits by part and parts by bits all say the same. */
START_TEST(parts_agree)
{
	static const char *const keys[] = {"dimensions", "measure_name", "h", "g, h"};
	struct unit_rng r = unit_rng();
	struct series_set *set;

	r.state += (uint64_t)_i;
	ck_assert_int_eq(series_set_create(&set), 0);
	struct series_parts *p = parts_by(set, keys[_i]);
	for (uint32_t n = 0; n < 9000;) {
		uint32_t more = n + 1 + (uint32_t)unit_below(&r, 3000), parts = 1u << unit_below(&r, 7);
		uint64_t mask = 0, got;
		for (; n < more; n++) {
			char h[16], g[16], m[16];
			snprintf(h, sizeof h, "h%u", n);
			snprintf(g, sizeof g, "g%u", n % 10);
			snprintf(m, sizeof m, "m%u", n % 50);
			if (n % 3)
				intern(set, m, (const char *[]){"h", h, "g", g, NULL});
			else
				intern(set, m, (const char *[]){"g", g, "x", h, NULL});
		}
		n = series_count(set);
		uint64_t *bits = calloc(n / 64 + 1, 8), *want = calloc(n / 64 + 1, 8);
		uint32_t part = (uint32_t)unit_below(&r, parts), wanted = (uint32_t)unit_below(&r, 200);
		/* Asked for before hashes are kept, and after. */
		for (uint32_t i = 0; i < wanted; i++) {
			uint32_t id = (uint32_t)unit_below(&r, n);
			want[id / 64] |= UINT64_C(1) << id % 64;
			mask |= UINT64_C(1) << hash_by(set, keys[_i], id) % parts;
		}
		ck_assert_int_eq(series_parts_of(p, want, n, parts, &got), 0);
		unit_assert(&r, got == mask, "parts %llx, not %llx", (unsigned long long)got, (unsigned long long)mask);
		ck_assert_int_eq(series_parts_select(p, part, parts, n, bits), 0);
		for (uint32_t id = 0; id < n; id++) {
			bool is = bits[id / 64] >> id % 64 & 1;
			unit_assert(&r, is == (series_parts_hash(p, id) % parts == part), "series %u of %u", id, n);
			if (id % 97 == 0)
				unit_assert(&r, series_parts_hash(p, id) == hash_by(set, keys[_i], id), "series %u", id);
		}
		/* All at once: more than are hashed for the occasion. */
		memset(want, 0xff, (n / 64 + 1) * 8);
		mask = 0;
		for (uint32_t id = 0; id < n; id++)
			mask |= UINT64_C(1) << series_parts_hash(p, id) % parts;
		ck_assert_int_eq(series_parts_of(p, want, n, parts, &got), 0);
		unit_assert(&r, got == mask, "all: %llx, not %llx", (unsigned long long)got, (unsigned long long)mask);
		free(bits);
		free(want);
	}
	series_parts_put(p);
	series_set_destroy(set);
}
END_TEST

START_TEST(parts_that_meet)
{
	for (uint32_t as = 0; as <= 12; as++)
		for (uint32_t bs = 0; bs <= 12; bs++)
			for (uint32_t a = 0; a < MAX(as, 1u); a++)
				for (uint32_t b = 0; b < MAX(bs, 1u); b++) {
					bool meet = !as || !bs;
					for (uint32_t h = 0; h < 144 && !meet; h++)
						meet = h % as == a && h % bs == b;
					ck_assert_msg(parts_meet(a, as, b, bs) == meet, "%u/%u %u/%u", a, as, b, bs);
				}
}
END_TEST

/* ---- a table -------------------------------------------------------------------------------------- */

struct world {
	char dir[64];
	int dirfd;
	struct engine *en;
	struct db *db;
	struct table *t;
	struct ingest *in;
	uint64_t part_rows;
};

static void world_open(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1, .part_rows = w->part_rows};
	struct ingest_source src = {.file = "d/t/ingest"};
	struct err e = {0};

	int rc = engine_open(w->dir, &opt, &w->en, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_ge(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t) {
		ck_assert_int_ge(db_table_create(w->db, STR_LIT("t"), &w->t, &e), 0);
		ck_assert_int_ge(table_set(w->t, SET_RETENTION_MEMORY, STR_LIT("1h"), &e), 0);
	}
	ck_assert_int_ge(ingest_open(w->db, w->t, &src, &w->in, &e), 0);
}

static void world_close(struct world *w)
{
	ingest_close(w->in);
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
}

static void world_begin(struct world *w, uint64_t part_rows)
{
	*w = (struct world){.part_rows = part_rows};
	w->dirfd = unit_dir(w->dir);
	clock_pin(START + 10 * NS_PER_DAY);
	world_open(w);
}

static void world_end(struct world *w)
{
	world_close(w);
	clock_pin(0);
	unit_dir_remove(w->dirfd, w->dir);
}

static int set_key(struct world *w, const char *text, struct err *e)
{
	return table_set(w->t, SET_PARTITION_KEY, str_from(text), e);
}

static void must_set_key(struct world *w, const char *text)
{
	struct err e = {0};
	int rc = set_key(w, text, &e);
	ck_assert_msg(rc >= 0, "%s: %s", text, err_text(&e, rc));
}

static void put(struct world *w, const char *text)
{
	struct err e = {0};
	int64_t rc = ingest_write(w->in, text, strlen(text), &e);
	ck_assert_msg(rc == (int64_t)strlen(text), "%s", e.text);
}

static void maintain(struct world *w)
{
	struct err e = {0};
	int rc = table_maintain(w->t, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
}

/* Rows of `hosts` hosts, n each; value and time number them. */
static void put_hosts(struct world *w, uint32_t hosts, uint32_t from, uint32_t n, int64_t day)
{
	struct buf text;

	buf_init(&text, 64 << 20);
	for (uint32_t i = from; i < from + n; i++)
		for (uint32_t h = 0; h < hosts; h++)
			buf_addf(&text, "m,host=h%u,az=z%u v=%ui %lld\n", h, h % 3, i,
				 (long long)(START + day * NS_PER_DAY + i * NS_PER_MS));
	buf_addc(&text, '\0');
	put(w, text.data);
	buf_release(&text);
}

/* Rows of the series whose bits are set (NULL: all), and what the scan says of files. */
static uint64_t count_rows(struct world *w, const uint64_t *bits, struct scan_stats *ret)
{
	int64_t col = series_find_column(table_series(w->t), STR_LIT("v"));
	uint32_t id = (uint32_t)col;
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = &id, .col_count = 1, .times_wanted = true,
				 .series = bits, .series_count = series_count(table_series(w->t))};
	struct budget budget;
	struct scan *s;
	struct scan_batch b;
	struct err e = {0};
	uint64_t n = 0;

	ck_assert_int_ge(col, 0);
	budget_init(&budget, (size_t)1 << 30);
	int rc = scan_open(w->t, &spec, &budget, &s, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	while ((rc = scan_next(s, &b, &e)) > 0)
		n += b.n;
	ck_assert_msg(rc == 0, "%s", err_text(&e, rc));
	scan_stats(s, ret);
	scan_close(s);
	return n;
}

static uint32_t tile_count(struct world *w)
{
	struct table_stats st;
	table_stats(w->t, &st);
	return st.tiles.files;
}

/* How many parts the tiles' directories speak of. */
static uint32_t part_dirs(struct world *w)
{
	struct tile_entry *v;
	uint32_t n, dirs = 0;

	ck_assert_int_ge(table_tiles(w->t, &v, &n), 0);
	for (uint32_t i = 0; i < n; i++)
		dirs += i == 0 || strncmp(v[i].path, v[i - 1].path, strlen("ts_date=2023-11-15/ts_part=00")) != 0;
	free(v);
	return dirs;
}

/* Every series alone has n rows, and only tiles of its part are opened. */
static void check_each(struct world *w, uint64_t n, uint32_t parts)
{
	uint32_t count = series_count(table_series(w->t));
	uint64_t *bits = calloc(count / 64 + 1, 8);

	for (uint32_t id = 0; id < count; id++) {
		struct scan_stats st;
		bits[id / 64] = UINT64_C(1) << id % 64;
		uint64_t got = count_rows(w, bits, &st);
		ck_assert_msg(got == n, "series %u: %llu rows, not %llu", id, (unsigned long long)got, (unsigned long long)n);
		if (parts > 1)
			ck_assert_msg(st.tiles_pruned_part > 0 && st.tiles_pruned >= st.tiles_pruned_part,
				      "%u tiles, %u pruned for their part", st.tiles, st.tiles_pruned_part);
		else
			ck_assert_uint_eq(st.tiles_pruned_part, 0);
		bits[id / 64] = 0;
	}
	free(bits);
}

START_TEST(change_only_without_tiles)
{
	struct world w;
	struct err e = {0};
	char text[SETTING_TEXT_MAX];

	world_begin(&w, 0);
	table_setting(w.t, SET_PARTITION_KEY, text);
	ck_assert_str_eq(text, "dimensions");
	put(&w, "m,host=a,az=z v=1i\n");
	must_set_key(&w, "host required");
	must_set_key(&w, "az, \"not yet\" required, host");
	ck_assert_int_eq(set_key(&w, "v", &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "settings/partition_key: column 'v' is a measure"));
	ck_assert_int_eq(set_key(&w, "HOST", &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "differs only by case"));
	must_set_key(&w, "host");
	/* Rows in memory and in runs have no part yet. */
	ck_assert_int_ge(table_seal(w.t, &e), 0);
	must_set_key(&w, "az, host");
	put_hosts(&w, 2, 0, 1, 0);
	maintain(&w);
	ck_assert_uint_eq(tile_count(&w), 1);
	static const char *const others[] = {"dimensions", "measure_name", "host, az", "az", "az, host, x"};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		ck_assert_int_eq(set_key(&w, others[i], &e), -EINVAL);
		ck_assert_msg(strstr(e.text, "fixed once the table has tiles"), "%s", e.text);
	}
	must_set_key(&w, "az required, host");
	must_set_key(&w, "az, host required");
	world_close(&w);
	world_open(&w);
	table_setting(w.t, SET_PARTITION_KEY, text);
	ck_assert_str_eq(text, "az optional, host required");
	ck_assert_int_eq(set_key(&w, "host", &e), -EINVAL);
	/* The last tile goes: free again. */
	struct tile_entry *v;
	uint32_t n;
	ck_assert_int_ge(table_tiles(w.t, &v, &n), 0);
	ck_assert_int_ge(table_tile_remove(w.t, v[0].path, &e), 0);
	free(v);
	must_set_key(&w, "measure_name");
	world_end(&w);
}
END_TEST

START_TEST(required_is_required)
{
	struct world w;
	char why[2048] = "";
	struct scan_stats st;
	struct err e = {0};

	world_begin(&w, 0);
	/* Learnt by the fast path, several times over. */
	for (int i = 0; i < 3; i++)
		put(&w, "m,az=1 v=1i 1700092800000000000\nm,az=1 v=2i 1700092801000000000\nm,host=a v=3i 1700092802000000000\n");
	ck_assert_uint_eq(count_rows(&w, NULL, &st), 3);
	must_set_key(&w, "host required, az");
	/* With comments behind: the last hundred bytes of a write never take the fast path. */
	put(&w, "m,host=a v=4i 1700092803000000000\nm,az=1 v=5i 1700092804000000000\nm,az=1 v=6i 1700092805000000000\n"
		"m,az=1,host=b v=7i 1700092806000000000\n"
		"# ------------------------------------------------------------------------------------------\n"
		"# ------------------------------------------------------------------------------------------\n");
	ck_assert_uint_eq(count_rows(&w, NULL, &st), 5); /* the older ones stay */
	ck_assert_uint_eq(series_count(table_series(w.t)), 3);
	int64_t n = rejected_read(table_rejected(w.t), why, sizeof why - 1, 0, &e);
	ck_assert_int_gt(n, 0);
	ck_assert_msg(strstr(why, "\"line\":11,") && strstr(why, "\"line\":12,") &&
			      strstr(why, "the record lacks dimension 'host', which the partition key requires"),
		      "%s", why);
	/* Nothing comes of a record that is refused: no column, no series. */
	uint32_t columns = series_column_count(table_series(w.t));
	ck_assert_int_eq(ingest_write(w.in, "m,new=1 other=1i\n", 17, &e), -EINVAL);
	ck_assert_uint_eq(series_column_count(table_series(w.t)), columns);
	must_set_key(&w, "host, az");
	put(&w, "m,az=1 v=5i 1700092804000000000\n");
	ck_assert_uint_eq(count_rows(&w, NULL, &st), 6);
	world_end(&w);
}
END_TEST

/* _i: the key; how many parts it can make of the hosts. */
static const struct {
	const char *key;
	bool splits;
} keys[] = {{"dimensions", true}, {"host", true}, {"az, host", true}, {"measure_name", false}, {"nothing", false}};

START_TEST(splits_anew)
{
	struct world w;
	struct scan_stats st;
	const uint32_t hosts = 40;

	world_begin(&w, 100);
	must_set_key(&w, keys[_i].key);
	put_hosts(&w, hosts, 0, 2, 0); /* 80 rows: one part */
	maintain(&w);
	ck_assert_uint_eq(part_dirs(&w), 1);
	check_each(&w, 2, 1);
	/* Up to four times what a part is meant for it stays as it is. */
	put_hosts(&w, hosts, 2, 7, 0);
	maintain(&w);
	ck_assert_uint_eq(part_dirs(&w), 1);
	check_each(&w, 9, 1);
	/* From 400 rows on it is split: into 4 for 400 rows. */
	put_hosts(&w, hosts, 9, 1, 0);
	maintain(&w);
	if (keys[_i].splits) {
		ck_assert_uint_eq(part_dirs(&w), 4);
		ck_assert_uint_eq(tile_count(&w), 4);
	}
	check_each(&w, 10, keys[_i].splits ? 4 : 1);
	/* Another date is another matter. */
	put_hosts(&w, hosts, 0, 1, 1);
	maintain(&w);
	check_each(&w, 11, keys[_i].splits ? 4 : 1);
	/* And again, now with what was written before written anew, from disk. */
	world_close(&w);
	world_open(&w);
	put_hosts(&w, hosts, 0, 50, 0);
	maintain(&w);
	if (keys[_i].splits)
		ck_assert_uint_gt(part_dirs(&w), 12);
	check_each(&w, 51, keys[_i].splits ? 4 : 1);
	ck_assert_uint_eq(count_rows(&w, NULL, &st), 51 * hosts);
	world_end(&w);
}
END_TEST

/* ---- rows in the wrong part --------------------------------------------------------------------------- */

struct findings {
	uint32_t n;
	char text[4096];
};

static void found(void *ctx, const struct fsck_finding *f)
{
	struct findings *to = ctx;
	size_t n = strlen(to->text);

	to->n++;
	snprintf(to->text + n, sizeof to->text - n, "%s: %s; %s\n", f->file, f->what, f->repair);
}

static struct fsck_result check(const struct world *w, bool repair, struct findings *f)
{
	struct fsck_options opt = {.repair = repair, .found = found, .ctx = f};
	struct fsck_result r = {0};
	struct err e = {0};

	*f = (struct findings){0};
	int rc = fsck_run(w->dir, &opt, &r, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	return r;
}

struct alter {
	struct catalog_file v[64];
	uint32_t n;
};

static int take_file(void *ctx, const struct catalog_file *f)
{
	struct alter *a = ctx;
	a->v[a->n++] = *f;
	return 0;
}

static void alter_catalogue(const struct world *w, const char *key, bool swap_parts)
{
	struct alter a = {0};
	struct catalog *c;
	struct err e = {0};
	char path[128];

	snprintf(path, sizeof path, "%s/db/d/catalog.sqlite", w->dir);
	int rc = catalog_open(path, false, &c, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	if (key)
		ck_assert_int_ge(catalog_setting_set(c, 1, "settings/partition_key", key, &e), 0);
	if (swap_parts) {
		ck_assert_int_ge(catalog_files(c, 1, take_file, &a, &e), 0);
		for (uint32_t i = 0; i < a.n; i++) {
			ck_assert_int_ge(catalog_file_remove(c, a.v[i].id, &e), 0);
			a.v[i].part ^= 1;
			ck_assert_int_ge(catalog_file_add(c, &a.v[i], &e), 0);
		}
	}
	catalog_close(c);
}

/* _i 0: the key changed behind the tiles' back; 1: tiles claim each other's part. */
START_TEST(fsck_finds_the_wrong_part)
{
	struct world w;
	struct findings f;
	struct scan_stats st;
	const uint32_t hosts = 40;

	world_begin(&w, 100);
	must_set_key(&w, "host");
	for (int day = 0; day < 2; day++)
		put_hosts(&w, hosts, 0, 10, day);
	put_hosts(&w, hosts, 0, 1, 2); /* one part: nothing can be wrong with it */
	maintain(&w);
	ck_assert_uint_eq(part_dirs(&w), 9);
	world_close(&w);
	struct fsck_result r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0 && f.n == 0, "%s", f.text);
	alter_catalogue(&w, _i ? NULL : "host, az", _i);
	r = check(&w, false, &f);
	ck_assert_msg(r.problems == (_i ? 3 : 2) && strstr(f.text, _i ? "is part 1 of 1" : "belong to other parts"), "%s", f.text);
	if (_i == 0) {
		/* What it is about: rows are not found by who asks for their series. */
		world_open(&w);
		uint64_t sum = 0, one = 1;
		for (uint32_t id = 0; id < hosts; id++, one <<= 1)
			sum += count_rows(&w, &one, &st);
		ck_assert_uint_lt(sum, hosts * 21);
		world_close(&w);
	}
	r = check(&w, true, &f);
	ck_assert_msg(r.repaired == r.problems && r.problems == (_i ? 3 : 2), "%s", f.text);
	r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0 && f.n == (_i ? 3 : 2) && strstr(f.text, "wait to be written anew"), "%s", f.text);
	world_open(&w);
	check_each(&w, 21, 1); /* no tile is left out now */
	ck_assert_int_ge(engine_maintain(w.en, &(struct err){0}), 0); /* nothing is due, but for that */
	check_each(&w, 21, 4);
	ck_assert_uint_eq(part_dirs(&w), 9);
	ck_assert_uint_eq(count_rows(&w, NULL, &st), 21 * hosts);
	world_close(&w);
	r = check(&w, false, &f);
	ck_assert_msg(r.problems == 0 && f.n == 0, "%s", f.text);
	world_open(&w);
	world_end(&w);
}
END_TEST

/* A stored key that is none: the engine must not go on by another one. */
START_TEST(stored_key_is_damaged)
{
	struct world w;
	struct findings f;
	struct engine *en;
	struct err e = {0};
	struct engine_options opt = {.no_background = true};

	world_begin(&w, 0);
	put(&w, "m,host=a v=1i\n");
	world_close(&w);
	alter_catalogue(&w, "a required b", false);
	struct fsck_result r = check(&w, true, &f);
	ck_assert_msg(r.problems == 1 && !r.repaired && strstr(f.text, "settings/partition_key"), "%s", f.text);
	ck_assert_int_ge(engine_open(w.dir, &opt, &en, &e), 0);
	struct db *db = engine_db(en, STR_LIT("d"));
	struct db_status st;
	db_status(db, &st);
	ck_assert(st.failed);
	ck_assert_msg(strstr(st.reason, "settings/partition_key"), "%s", st.reason);
	db_put(db);
	engine_close(en);
	clock_pin(0);
	unit_dir_remove(w.dirfd, w.dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("parts");
	TCase *tc = tcase_create("parts");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, key_texts, 0, (int)ARRAY_LEN(texts));
	tcase_add_test(tc, longest_text);
	tcase_add_test(tc, hash_is_fixed);
	tcase_add_loop_test(tc, parts_agree, 0, 4);
	tcase_add_test(tc, parts_that_meet);
	tcase_add_test(tc, change_only_without_tiles);
	tcase_add_test(tc, required_is_required);
	tcase_add_loop_test(tc, splits_anew, 0, (int)ARRAY_LEN(keys));
	tcase_add_loop_test(tc, fsck_finds_the_wrong_part, 0, 2);
	tcase_add_test(tc, stored_key_is_damaged);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
