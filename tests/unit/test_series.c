/* series: ids, dictionaries, order, log records and the series file, against a naive twin. */
#include <pthread.h>

#include "engine/id_range.h"
#include "engine/series.h"
#include "tests/unit/unit.h"

/* ck_assert() tells the parent about each success; these are too many for that. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ck_abort_msg("%s", #cond);                                                 \
	} while (0)

/* ---- a twin: every series as one text --------------------------------------------------------- */

static struct str text_of(const struct series_set *s, uint32_t id, struct arena *a)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (uint32_t c = 0; c < series_column_count(s); c++) {
		if (series_column(s, c)->kind != COLKIND_DIMENSION)
			continue;
		uint32_t code = series_dim_code(s, id, c);
		if (code == DIM_ABSENT)
			continue;
		struct str v = series_dict_value(s, c, code);
		buf_addf(&b, "%.*s=%.*s|", STR_FMT(series_column(s, c)->name), STR_FMT(v));
		CHECK(series_dict_find(s, c, v) == code);
	}
	buf_add_str(&b, series_measure(s, id));
	struct str t = arena_str(a, buf_str(&b));
	buf_release(&b);
	return t;
}

static uint32_t dim(struct series_set *s, const char *name)
{
	struct err e = {0};
	int64_t id = series_add_column(s, str_from(name), COLKIND_DIMENSION, COL_VARCHAR, &e);

	ck_assert_msg(id >= 0, "%s: %s", name, e.text);
	return (uint32_t)id;
}

/* What m0, m1, ... are bound to. */
static const enum measure_type measure_types[] = {MEASURE_MULTI, MEASURE_DOUBLE, MEASURE_VARCHAR, MEASURE_BIGINT,
						  MEASURE_BOOLEAN};

/* n random series over `dims` dimension columns; ids[i] of the i-th, duplicates included. */
static void add_random(struct series_set *s, struct unit_rng *r, uint32_t dims, uint32_t n)
{
	struct err e;

	for (uint32_t i = 0; i < n; i++) {
		struct dim_value d[100];
		char text[100][40], measure[16];
		uint32_t k = 0;
		for (uint32_t c = 0; c < dims; c++) {
			if (unit_below(r, 4) == 0)
				continue;
			/* Texts that begin alike, for longer or shorter, and some that are others' beginnings. */
			static const char *const heads[] = {"v", "", "datacenter-", "v00000000"};
			snprintf(text[k], sizeof text[k], "%s%.*s%llu", heads[c % 4],
				 c % 5 ? 0 : (int)unit_below(r, 12), "xxxxxxxxxxxx",
				 (unsigned long long)unit_below(r, c % 3 ? 4 : 1000));
			d[k] = (struct dim_value){c, str_from(text[k])};
			k++;
		}
		for (uint32_t j = k; j > 1; j--) { /* any order */
			uint32_t x = (uint32_t)unit_below(r, j);
			struct dim_value t = d[x];
			d[x] = d[j - 1];
			d[j - 1] = t;
		}
		snprintf(measure, sizeof measure, "m%d", (int)unit_below(r, ARRAY_LEN(measure_types)));
		uint32_t before = series_count(s);
		enum measure_type type = measure_types[measure[1] - '0'];
		int64_t id = series_intern(s, str_from(measure), type, d, k, &e);
		CHECK(id >= 0);
		CHECK(series_intern(s, str_from(measure), type, d, k, &e) == id);
		CHECK(series_measure_type(s, series_measure_code(s, (uint32_t)id)) == type);
		CHECK(series_count(s) == before + (id == before));
		CHECK(str_is(series_measure(s, (uint32_t)id), measure));
		for (uint32_t j = 0; j < k; j++) {
			uint32_t code = series_dim_code(s, (uint32_t)id, d[j].col_id);
			CHECK(code != DIM_ABSENT);
			CHECK(str_eq(series_dict_value(s, d[j].col_id, code), d[j].value));
		}
	}
}

static struct series_set *random_set(struct unit_rng *r, uint32_t dims, uint32_t n)
{
	struct series_set *s;
	char name[16];

	ck_assert_int_eq(series_set_create(&s), 0);
	for (uint32_t c = 0; c < dims; c++) {
		snprintf(name, sizeof name, "%c%u", (char)('z' - c % 26), c);
		ck_assert_uint_eq(dim(s, name), c);
	}
	ck_assert_int_ge(series_add_column(s, STR_LIT("f"), COLKIND_MEASURE, COL_DOUBLE, NULL), 0);
	add_random(s, r, dims, n);
	return s;
}

static int cmp_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void assert_same(const struct series_set *a, const struct series_set *b)
{
	struct arena m;

	arena_init(&m, NULL);
	CHECK(series_column_count(a) == series_column_count(b));
	for (uint32_t c = 0; c < series_column_count(a); c++) {
		const struct column *x = series_column(a, c), *y = series_column(b, c);
		CHECK(x->id == c && y->id == c && x->kind == y->kind && x->type == y->type);
		CHECK(str_eq(x->name, y->name));
		CHECK(series_dict_count(a, c) == series_dict_count(b, c));
	}
	CHECK(series_count(a) == series_count(b));
	for (uint32_t i = 0; i < series_count(a); i++)
		CHECK(str_eq(text_of(a, i, &m), text_of(b, i, &m)));
	for (uint32_t i = 0; i < series_dict_count(a, SERIES_MEASURE); i++)
		CHECK(series_measure_type(a, i) == series_measure_type(b, i));
	arena_release(&m);
}

START_TEST(each_series_once)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 10; round++) {
		uint32_t n = (uint32_t)unit_below(&r, 2000);
		struct series_set *s = random_set(&r, (uint32_t)unit_below(&r, 90), n);
		struct arena m;
		arena_init(&m, NULL);
		uint32_t count = series_count(s);
		struct str *all = malloc((count + 1) * sizeof *all);
		for (uint32_t i = 0; i < count; i++)
			all[i] = text_of(s, i, &m);
		qsort(all, count, sizeof *all, cmp_str);
		for (uint32_t i = 1; i < count; i++)
			unit_assert(&r, !str_eq(all[i - 1], all[i]), "twice: %.*s", STR_FMT(all[i]));
		free(all);
		arena_release(&m);
		series_set_destroy(s);
	}
}
END_TEST

/* ---- columns ---------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	enum colkind kind;
	enum coltype type;
	int rc; /* 0 = fine */
	const char *reason;
} names[] = {
	{"temp", COLKIND_MEASURE, COL_BIGINT, -EEXIST, "is double, and a bigint was offered"},
	{"host", COLKIND_MEASURE, COL_DOUBLE, -EEXIST, "is a dimension and cannot be a measure"},
	{"temp", COLKIND_DIMENSION, COL_VARCHAR, -EEXIST, "is a measure and cannot be a dimension"},
	{"Temp", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "differs only by case from column 'temp'"},
	{"HOST", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "differs only by case"},
	{"", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "empty"},
	{"a:b", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "':'"},
	{"a:b", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "':'"},
	{"ts_x", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "'ts_'"},
	{"measure_name", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "'measure_name'"},
	{"measure_names", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "'measure_name'"},
	{"measure_value", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "'measure_value'"},
	{"measure_value::double", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "':'"},
	{"measure_value::double", COLKIND_MEASURE_VALUE, COL_DOUBLE, 0, ""},
	{"measure_value::double", COLKIND_MEASURE_VALUE, COL_BIGINT, -EINVAL, "bigint"},
	{"measure_value::timestamp", COLKIND_MEASURE_VALUE, COL_TIMESTAMP, -EINVAL, ""},
	{"time", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "reserved"},
	{"Time", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "reserved"},
	{"TS_nanos", COLKIND_MEASURE, COL_BIGINT, -EINVAL, "reserved"},
	{"TS_1", COLKIND_MEASURE, COL_BIGINT, 0, ""},
	{"say \"hi\"", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "control character"},
	{"say \"hi\"", COLKIND_MEASURE, COL_DOUBLE, 0, ""},
	{"a\tb", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "control character"},
	{"a\xE2\x80\xA8z", COLKIND_DIMENSION, COL_VARCHAR, -EINVAL, "control character"},
	{"a\xFFz", COLKIND_MEASURE, COL_DOUBLE, -EINVAL, "UTF-8"},
	{"Gr\xC3\xB6\xC3\x9F" "e", COLKIND_DIMENSION, COL_VARCHAR, 0, ""},
	{"d", COLKIND_DIMENSION, COL_BIGINT, -EINVAL, "must be varchar"},
};

START_TEST(a_measure_name_has_one_type)
{
	struct series_set *s;
	struct err e = {0};

	ck_assert_int_eq(series_set_create(&s), 0);
	struct dim_value d = {dim(s, "host"), STR_LIT("a")};
	ck_assert_int_eq(series_intern(s, STR_LIT("temp"), MEASURE_DOUBLE, &d, 1, &e), 0);
	ck_assert_int_eq(series_intern(s, STR_LIT("cpu"), MEASURE_MULTI, &d, 1, &e), 1);
	/* For a series that is known, for one that is not, and in either direction. */
	ck_assert_int_eq(series_intern(s, STR_LIT("temp"), MEASURE_MULTI, &d, 1, &e), -EEXIST);
	ck_assert_msg(strstr(e.text, "'temp' is bound to double") && strstr(e.text, "a multi record"), "%s",
		      e.text);
	d.value = STR_LIT("b");
	ck_assert_int_eq(series_intern(s, STR_LIT("temp"), MEASURE_BIGINT, &d, 1, &e), -EEXIST);
	ck_assert_int_eq(series_intern(s, STR_LIT("cpu"), MEASURE_VARCHAR, NULL, 0, &e), -EEXIST);
	ck_assert_uint_eq(series_count(s), 2);
	/* What was refused left nothing behind. */
	ck_assert_uint_eq(series_dict_count(s, d.col_id), 1);
	ck_assert_int_eq(series_intern(s, STR_LIT("temp"), MEASURE_DOUBLE, &d, 1, &e), 2);
	series_set_destroy(s);
}
END_TEST

START_TEST(names_follow_rules)
{
	struct series_set *s;
	struct err e = {0};

	ck_assert_int_eq(series_set_create(&s), 0);
	dim(s, "host");
	ck_assert_int_eq(series_add_column(s, STR_LIT("temp"), COLKIND_MEASURE, COL_DOUBLE, &e), 1);
	uint32_t before = series_column_count(s);
	int64_t rc = series_add_column(s, str_from(names[_i].name), names[_i].kind, names[_i].type, &e);
	if (names[_i].rc == 0) {
		ck_assert_msg(rc == before, "'%s': %s", names[_i].name, e.text);
		ck_assert_int_eq(series_find_column(s, str_from(names[_i].name)), rc);
		ck_assert_int_eq(series_add_column(s, str_from(names[_i].name), names[_i].kind,
						   names[_i].type, &e), rc);
	} else {
		ck_assert_msg(rc == names[_i].rc, "'%s': %d %s", names[_i].name, (int)rc, e.text);
		ck_assert_msg(strstr(e.text, names[_i].reason), "'%s': %s", names[_i].name, e.text);
		ck_assert_uint_eq(series_column_count(s), before);
	}
	series_set_destroy(s);
}
END_TEST

START_TEST(columns_all_or_none)
{
	struct series_set *s;
	struct err e = {0};
	uint32_t ids[4], bad = 99;
	char name[300];

	ck_assert_int_eq(series_set_create(&s), 0);
	struct column_spec specs[] = {
		{STR_LIT("a"), COLKIND_DIMENSION, COL_VARCHAR},
		{STR_LIT("b"), COLKIND_MEASURE, COL_DOUBLE},
		{STR_LIT("B"), COLKIND_MEASURE, COL_DOUBLE},
	};
	ck_assert_int_eq(series_add_columns(s, specs, 3, ids, &bad, &e), -EINVAL);
	ck_assert_uint_eq(bad, 2);
	ck_assert_uint_eq(series_column_count(s), 0);
	ck_assert_int_eq(series_add_columns(s, specs, 2, ids, &bad, &e), 0);
	ck_assert_uint_eq(ids[0], 0);
	ck_assert_uint_eq(ids[1], 1);
	specs[2].name = STR_LIT("a");
	ck_assert_int_eq(series_add_columns(s, specs + 1, 2, ids, &bad, &e), -EEXIST);
	ck_assert_uint_eq(bad, 1);

	memset(name, 'x', sizeof name);
	struct str longest = {name, COLUMN_NAME_MAX};
	ck_assert_int_eq(series_add_column(s, longest, COLKIND_MEASURE, COL_DOUBLE, &e), 2);
	longest.len++;
	ck_assert_int_eq(series_add_column(s, longest, COLKIND_MEASURE, COL_DOUBLE, &e), -EINVAL);
	for (int i = 3; i < COLUMNS_MAX; i++) {
		snprintf(name, sizeof name, "c%d", i);
		ck_assert_int_eq(series_add_column(s, str_from(name), COLKIND_MEASURE, COL_BIGINT, &e),
				 i);
	}
	ck_assert_int_eq(series_add_column(s, STR_LIT("one_more"), COLKIND_MEASURE, COL_BIGINT, &e),
			 -E2BIG);
	ck_assert_int_eq(series_check_measure_name(STR_LIT("cpu"), &e), 0);
	ck_assert_int_eq(series_check_measure_name(STR_LIT("a:b"), &e), -EINVAL);
	ck_assert_int_eq(series_check_measure_name(STR_LIT("ts_x"), &e), -EINVAL);
	ck_assert_int_eq(series_check_measure_name(STR_LIT("time"), &e), -EINVAL);
	series_set_destroy(s);
}
END_TEST

/* ---- order ------------------------------------------------------------------------------------ */

struct naive {
	const struct series_set *s;
	uint32_t *by_name; /* dimension columns, by their names' bytes */
	uint32_t n;
};

static int naive_cmp(const struct naive *v, uint32_t a, uint32_t b)
{
	for (uint32_t i = 0; i < v->n; i++) {
		uint32_t c = v->by_name[i];
		uint32_t x = series_dim_code(v->s, a, c), y = series_dim_code(v->s, b, c);
		if (x == y)
			continue;
		if (x == DIM_ABSENT || y == DIM_ABSENT)
			return x == DIM_ABSENT ? -1 : 1;
		return str_cmp(series_dict_value(v->s, c, x), series_dict_value(v->s, c, y));
	}
	return str_cmp(series_measure(v->s, a), series_measure(v->s, b));
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

START_TEST(file_order)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 12; round++) {
		uint32_t dims = (uint32_t)unit_below(&r, round % 2 ? 80 : 6);
		struct series_set *s = random_set(&r, dims, (uint32_t)unit_below(&r, 4000) + 1);
		uint32_t n = series_count(s), by_name[100];
		struct naive v = {s, by_name, dims};
		for (uint32_t i = 0; i < dims; i++) {
			uint32_t j = i;
			for (; j && str_cmp(series_column(s, by_name[j - 1])->name,
					    series_column(s, i)->name) > 0; j--)
				by_name[j] = by_name[j - 1];
			by_name[j] = i;
		}
		for (int k = 0; k < 5000; k++) {
			uint32_t a = (uint32_t)unit_below(&r, n), b = (uint32_t)unit_below(&r, n);
			unit_assert(&r, sign(series_cmp(s, a, b)) == sign(naive_cmp(&v, a, b)),
				    "%u %u", a, b);
		}
		uint32_t *ids = malloc((n + 1) * sizeof *ids);
		uint32_t m = round % 3 == 0 ? MIN(n, 50) : n;
		for (uint32_t i = 0; i < m; i++)
			ids[i] = n - 1 - i;
		ck_assert_int_eq(series_sort(s, ids, m), 0);
		for (uint32_t i = 1; i < m; i++)
			unit_assert(&r, naive_cmp(&v, ids[i - 1], ids[i]) < 0, "%u %u", ids[i - 1],
				    ids[i]);
		/* New columns change nothing. */
		int before = series_cmp(s, 0, n - 1);
		dim(s, "AAA");
		ck_assert_int_eq(sign(series_cmp(s, 0, n - 1)), sign(before));
		free(ids);
		series_set_destroy(s);
	}
}
END_TEST

/* The range always holds the place of an id that is there. */
START_TEST(id_ranges)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 3000; round++) {
		uint32_t ids[40], n = (uint32_t)unit_below(&r, 40) + 1, gap = (uint32_t)unit_below(&r, 4) + 1;
		ids[0] = round % 3 ? (uint32_t)unit_rand_log(&r) / 2 : 0;
		for (uint32_t i = 1; i < n; i++)
			ids[i] = ids[i - 1] + 1 + (uint32_t)unit_below(&r, gap);
		for (uint32_t i = 0, lo, hi; i < n; i++) {
			id_range(n, ids[0], ids[n - 1], ids[i], &lo, &hi);
			unit_assert(&r, lo <= i && i < hi && hi <= n, "%u of %u: [%u, %u)", i, n, lo, hi);
			unit_assert(&r, gap > 1 || hi - lo == 1, "%u of %u: [%u, %u)", i, n, lo, hi);
		}
		uint32_t lo, hi;
		id_range(n, ids[0], ids[n - 1], ids[n - 1] + 1, &lo, &hi);
		unit_assert(&r, lo == hi, "behind the last");
		id_range(n, ids[0], ids[n - 1], ids[0] - 1, &lo, &hi);
		unit_assert(&r, lo == hi || ids[0] == 0, "before the first");
	}
}
END_TEST

/* ---- log records ------------------------------------------------------------------------------ */

/* Encode what is new into records, as the engine does; sometimes pretend that the log refused. */
static void log_new(struct series_set *s, struct unit_rng *r, struct buf *log)
{
	struct buf columns, series;
	struct series_mark upto;

	buf_init(&columns, 1 << 26);
	buf_init(&series, 1 << 26);
	ck_assert_int_eq(series_encode_unlogged(s, &columns, &series, &upto), 0);
	if (unit_below(r, 3)) {
		for (int k = 0; k < 2; k++) {
			struct buf *b = k ? &series : &columns;
			if (!b->len)
				continue;
			buf_put_u8(log, (uint8_t)k);
			buf_put_str(log, buf_str(b));
		}
		series_set_logged(s, upto);
	}
	buf_release(&columns);
	buf_release(&series);
}

static int replay(struct series_set *s, struct str log, size_t skip, struct err *e)
{
	struct cur c = cur_over(log.ptr, log.len);
	int rc = 0;

	while (rc == 0 && cur_left(&c)) {
		int kind = cur_u8(&c);
		struct str payload = cur_str(&c);
		if (skip) {
			skip--;
			continue;
		}
		rc = kind ? series_replay_series(s, payload, e) : series_replay_columns(s, payload, e);
	}
	return rc;
}

START_TEST(log_round_trip)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 20; round++) {
		struct series_set *a, *b;
		struct buf log, none;
		struct err e = {0};
		struct series_mark upto;
		char name[16];

		buf_init(&log, 1 << 28);
		buf_init(&none, 1 << 20);
		ck_assert_int_eq(series_set_create(&a), 0);
		for (uint32_t c = 0; c < 12; c++) {
			snprintf(name, sizeof name, "d%u", c);
			dim(a, name);
			add_random(a, &r, c + 1, (uint32_t)unit_below(&r, 200));
			log_new(a, &r, &log);
		}
		while (series_encode_unlogged(a, &none, &none, &upto) == 0 && none.len) {
			log_new(a, &r, &log);
			buf_clear(&none);
		}
		ck_assert_int_eq(series_set_create(&b), 0);
		unit_assert(&r, replay(b, buf_str(&log), 0, &e) == 0, "%s", e.text);
		assert_same(a, b);
		/* Replaying again changes nothing; and nothing is new afterwards. */
		unit_assert(&r, replay(b, buf_str(&log), 0, &e) == 0, "%s", e.text);
		assert_same(a, b);
		ck_assert_int_eq(series_encode_unlogged(b, &none, &none, &upto), 0);
		ck_assert_uint_eq(none.len, 0);
		/* What comes after a replay goes on where the log ended. */
		add_random(b, &r, 12, 300);
		buf_clear(&none);
		ck_assert_int_eq(series_encode_unlogged(b, &none, &none, &upto), 0);
		ck_assert_int_eq(series_replay_series(a, buf_str(&none), &e), 0);
		assert_same(a, b);
		series_set_destroy(b);
		/* A log with its beginning missing is refused. */
		ck_assert_int_eq(series_set_create(&b), 0);
		ck_assert_int_eq(replay(b, buf_str(&log), 1, &e), -EBADMSG);
		series_set_destroy(a);
		series_set_destroy(b);
		buf_release(&log);
		buf_release(&none);
	}
}
END_TEST

/* Damaged payloads are refused or mean something else, and never crash. */
START_TEST(log_damage)
{
	struct unit_rng r = unit_rng();
	struct buf columns, series;
	struct series_mark upto;
	struct err e;

	buf_init(&columns, 1 << 26);
	buf_init(&series, 1 << 26);
	struct series_set *a = random_set(&r, 8, 40);
	ck_assert_int_eq(series_encode_unlogged(a, &columns, &series, &upto), 0);
	int refused = 0;
	for (int round = 0; round < 3000; round++) {
		struct series_set *b;
		struct buf *v = round & 1 ? &series : &columns;
		size_t at = unit_below(&r, v->len);
		char old = v->data[at];
		size_t len = v->len;
		v->data[at] = (char)unit_rand(&r);
		if (unit_below(&r, 4) == 0)
			v->len = at;
		ck_assert_int_eq(series_set_create(&b), 0);
		int rc = series_replay_columns(b, buf_str(&columns), &e);
		if (rc == 0)
			rc = series_replay_series(b, buf_str(&series), &e);
		refused += rc == -EBADMSG;
		ck_assert(rc == 0 || rc == -EBADMSG);
		series_set_destroy(b);
		v->data[at] = old;
		v->len = len;
	}
	ck_assert_int_gt(refused, 500);
	series_set_destroy(a);
	buf_release(&columns);
	buf_release(&series);
}
END_TEST

/* ---- the file --------------------------------------------------------------------------------- */

/* Every series of `of` is found in s, under the same number. */
static void assert_found(struct series_set *s, const struct series_set *of)
{
	struct err e;

	for (uint32_t id = 0; id < series_count(of); id++) {
		struct dim_value d[100];
		uint32_t n = 0;
		for (uint32_t c = 0; c < series_column_count(of); c++) {
			uint32_t code = series_column(of, c)->kind == COLKIND_DIMENSION ? series_dim_code(of, id, c)
											: DIM_ABSENT;
			if (code != DIM_ABSENT)
				d[n++] = (struct dim_value){c, series_dict_value(of, c, code)};
		}
		enum measure_type type = series_measure_type(of, series_measure_code(of, id));
		CHECK(series_intern(s, series_measure(of, id), type, d, n, &e) == id);
	}
	CHECK(series_count(s) == series_count(of));
}

#define FILE_NAME "series"

static struct series_set *load(int dirfd, int want)
{
	struct series_set *s;
	struct err e = {0};

	ck_assert_int_eq(series_set_create(&s), 0);
	int rc = series_file_load(s, io_posix(), dirfd, FILE_NAME, &e);
	ck_assert_msg(rc == want, "%d %s", rc, e.text);
	return s;
}

static void save(struct series_set *s, const struct io *io, int dirfd, int want)
{
	struct err e = {0};
	int rc = series_file_save(s, io, dirfd, FILE_NAME, &e);

	ck_assert_msg(rc == want, "%d %s", rc, e.text);
}

START_TEST(file_round_trip)
{
	struct unit_rng r = unit_rng();
	char path[64];
	int dirfd = unit_dir(path);
	struct series_set *a = load(dirfd, 0), *b;
	struct series_mark upto;
	struct buf none;
	char name[16];

	buf_init(&none, 1 << 26);
	ck_assert_uint_eq(series_count(a), 0);
	for (uint32_t c = 0; c < 10; c++) {
		snprintf(name, sizeof name, "d%u", c);
		dim(a, name);
		add_random(a, &r, c + 1, c == 5 ? 40000 : 50);
		if (c % 3 == 1) { /* go on with what was loaded */
			save(a, io_posix(), dirfd, 0);
			b = load(dirfd, 0);
			assert_same(a, b);
			assert_found(b, a);
			series_set_destroy(a);
			a = b;
		}
		save(a, io_posix(), dirfd, 0);
		save(a, io_posix(), dirfd, 0);
		b = load(dirfd, 0);
		assert_same(a, b);
		ck_assert_int_eq(series_encode_unlogged(b, &none, &none, &upto), 0);
		ck_assert_uint_eq(none.len, 0);
		series_set_destroy(b);
	}
	series_set_destroy(a);
	buf_release(&none);
	unit_dir_remove(dirfd, path);
}
END_TEST

static void write_file(int dirfd, const char *p, size_t n)
{
	int fd = openat(dirfd, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	close(fd);
}

static size_t read_file(int dirfd, char *to, size_t cap)
{
	int fd = openat(dirfd, FILE_NAME, O_RDONLY);
	ssize_t n = read(fd, to, cap);

	ck_assert(fd >= 0 && n >= 0 && (size_t)n < cap);
	close(fd);
	return (size_t)n;
}

/* Cut anywhere: whole blocks stay, and the file can be written on. Flip anywhere: found. */
START_TEST(file_damage)
{
	struct unit_rng r = unit_rng();
	char path[64];
	int dirfd = unit_dir(path);
	static char bytes[1 << 20];
	uint32_t counts[4];
	size_t ends[4];
	struct err e;

	struct series_set *a = random_set(&r, 5, 30);
	for (int i = 0; i < 4; i++) {
		save(a, io_posix(), dirfd, 0);
		counts[i] = series_count(a);
		ends[i] = read_file(dirfd, bytes, sizeof bytes);
		add_random(a, &r, 5, 30);
	}
	size_t n = ends[3];
	for (size_t cut = 0; cut < n; cut += cut < 200 || n - cut < 100 ? 1 : 7) {
		write_file(dirfd, bytes, cut);
		struct series_set *b = load(dirfd, 0);
		uint32_t want = 0;
		for (int i = 0; i < 4; i++)
			if (cut >= ends[i])
				want = counts[i];
		unit_assert(&r, series_count(b) == want, "cut at %zu: %u, not %u", cut,
			    series_count(b), want);
		if (unit_below(&r, 8)) { /* a save costs several syncs */
			series_set_destroy(b);
			continue;
		}
		if (want) /* else there are no columns, either */
			add_random(b, &r, 5, 10);
		save(b, io_posix(), dirfd, 0);
		struct series_set *c = load(dirfd, 0);
		assert_same(b, c);
		series_set_destroy(b);
		series_set_destroy(c);
	}
	for (size_t at = 0; at < n; at += 3) {
		char old = bytes[at];
		bytes[at] ^= (char)(1 << unit_below(&r, 8));
		write_file(dirfd, bytes, n);
		struct series_set *b;
		ck_assert_int_eq(series_set_create(&b), 0);
		int rc = series_file_load(b, io_posix(), dirfd, FILE_NAME, &e);
		/* In the last block it looks like a torn append; anywhere before it is damage. */
		if (at >= ends[2])
			unit_assert(&r, rc == 0 && series_count(b) == counts[2], "flip at %zu: %d", at, rc);
		else
			unit_assert(&r, rc == (at >= 8 && at < 12 ? rc : -EBADMSG) && rc < 0,
				    "flip at %zu: %d", at, rc);
		if (rc == -EBADMSG)
			ck_assert_ptr_nonnull(strstr(e.text, "offset"));
		series_set_destroy(b);
		bytes[at] = old;
	}
	series_set_destroy(a);
	unit_dir_remove(dirfd, path);
}
END_TEST

static uint32_t salted(const char *salt, const char *p, size_t n)
{
	return crc32c(crc32c(0, salt, 8), p, n);
}

/* _i 0: a value of a dimension, 1: a whole series is defined a second time, in blocks that check. */
START_TEST(file_defines_twice)
{
	char path[64], bytes[4096];
	int dirfd = unit_dir(path);
	struct series_set *a;
	struct err e = {0};

	ck_assert_int_eq(series_set_create(&a), 0);
	uint32_t d = dim(a, "host");
	struct dim_value aa = {d, STR_LIT("aa")}, ab = {d, STR_LIT("ab")};
	ck_assert_int_eq(series_intern(a, STR_LIT("m"), MEASURE_MULTI, &aa, 1, &e), 0);
	ck_assert_int_eq(series_intern(a, STR_LIT("m"), MEASURE_MULTI, &ab, 1, &e), 1);
	if (_i)
		ck_assert_int_eq(series_intern(a, STR_LIT("n"), MEASURE_MULTI, &aa, 1, &e), 2);
	save(a, io_posix(), dirfd, 0);
	size_t n = read_file(dirfd, bytes, sizeof bytes);
	char *block = memmem(bytes, n, "TSRB", 4);
	block = memmem(block + 4, n - (size_t)(block + 4 - bytes), "TSRB", 4); /* that of the series */
	char *payload = block + 32;
	uint32_t len = (uint32_t)(bytes + n - payload);
	if (_i == 0) {
		char *at = memmem(payload, len, "ab", 2);
		ck_assert_ptr_nonnull(at);
		at[1] = 'a';
	} else {
		/* The third is shape 0, measure "n" (defined), host "aa"; its measure becomes "m" again. */
		char *at = memmem(payload, len, "n", 1);
		ck_assert_ptr_nonnull(at);
		at -= 2; /* the reference, and the text's length */
		ck_assert_int_eq(at[0], 3);
		memmove(at + 1, at + 4, (size_t)(payload + len - (at + 4)));
		at[0] = 0;
		len -= 3;
		memcpy(block + 4, &len, 4);
	}
	uint32_t crc = salted(bytes + 16, payload, len);
	memcpy(block + 20, &crc, 4);
	crc = salted(bytes + 16, block, 28);
	memcpy(block + 28, &crc, 4);
	write_file(dirfd, bytes, (size_t)(payload - bytes) + len);
	struct series_set *b;
	ck_assert_int_eq(series_set_create(&b), 0);
	ck_assert_int_eq(series_file_load(b, io_posix(), dirfd, FILE_NAME, &e), -EBADMSG);
	ck_assert_msg(strstr(e.text, "twice") != NULL, "%s", e.text);
	series_set_destroy(b);
	series_set_destroy(a);
	unit_dir_remove(dirfd, path);
}
END_TEST

/* Each call of a save fails once; afterwards the same set saves well and loads whole. */
START_TEST(file_faults)
{
	static const char *const ops[] = {"openat", "ftruncate", "pwritev", "fdatasync", "fsync"};
	struct unit_rng r = unit_rng();
	char path[64];
	int dirfd = unit_dir(path);
	struct io *io = io_fault_create();
	struct series_set *a = random_set(&r, 5, 30);
	int failures = 0;

	for (int round = 0; round < 200; round++) {
		struct io_rule rule = {.op = ops[unit_below(&r, ARRAY_LEN(ops))],
				       .path = "",
				       .first = 1 + (int)unit_below(&r, 2),
				       .count = 1 + (int)unit_below(&r, 3),
				       .kind = IO_FAIL,
				       .error = ENOSPC};
		struct err e = {0};
		if (strcmp(rule.op, "pwritev") == 0 && unit_below(&r, 2)) {
			rule.kind = IO_TEAR;
			rule.arg = (int64_t)unit_below(&r, 100);
		}
		io_fault_add(io, &rule);
		add_random(a, &r, 5, 5);
		int rc = series_file_save(a, io, dirfd, FILE_NAME, &e);
		ck_assert(rc == 0 || rc == -ENOSPC);
		failures += rc < 0;
		io_fault_clear(io);
		if (unit_below(&r, 3) == 0) {
			save(a, io, dirfd, 0);
			struct series_set *b = load(dirfd, 0);
			assert_same(a, b);
			series_set_destroy(b);
		}
	}
	ck_assert_int_gt(failures, 20);
	io_fault_destroy(io);
	series_set_destroy(a);
	unit_dir_remove(dirfd, path);
}
END_TEST

/* ---- threads ---------------------------------------------------------------------------------- */

struct worker {
	struct series_set *s;
	_Atomic bool *stop;
	uint64_t seed;
	uint32_t series;
};

/* All workers make the same series, in different orders. */
static void *maker(void *arg)
{
	struct worker *w = arg;
	uint64_t rng = w->seed;
	char host[32], rack[32];

	for (uint32_t i = 0; i < 6000; i++) {
		uint32_t k = (uint32_t)(unit_random(&rng) % w->series);
		snprintf(host, sizeof host, "host_%u", k);
		snprintf(rack, sizeof rack, "rack_%u", k % 17);
		struct dim_value d[] = {{0, str_from(host)}, {1, str_from(rack)}};
		int64_t id = series_intern(w->s, STR_LIT("cpu"), MEASURE_MULTI, d, 2, NULL);
		CHECK(id >= 0);
		CHECK(str_is(series_dict_value(w->s, 0, series_dim_code(w->s, (uint32_t)id, 0)),
				 host));
		if (i % 300 == 0) {
			snprintf(host, sizeof host, "f%u", i / 300);
			CHECK(series_add_column(w->s, str_from(host), COLKIND_MEASURE,
							   COL_DOUBLE, NULL) >= 0);
		}
	}
	return NULL;
}

/* The series below n with that code, and no others, newest first. */
static void check_chain(struct series_set *s, uint32_t col, uint32_t code, uint32_t n)
{
	const struct series_chain *c;

	CHECK(series_chain(s, col, n, &c) == 0);
	uint32_t id = series_chain_last(c, code);
	while (id != SERIES_NONE && id >= n)
		id = series_chain_before(c, id);
	for (uint32_t i = n; i-- > 0;) {
		if (series_dim_code(s, i, col) != code)
			continue;
		CHECK(id == i);
		id = series_chain_before(c, id);
	}
	CHECK(id == SERIES_NONE);
}

START_TEST(chains)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 8; round++) {
		struct series_set *s = random_set(&r, 5, (uint32_t)unit_below(&r, 200));
		for (int more = 0; more < 4; more++) {
			uint32_t n = series_count(s) - (uint32_t)unit_below(&r, series_count(s) + 1);
			for (uint32_t col = 0; col < 5; col++)
				for (uint32_t code = 0; code <= series_dict_count(s, col); code++)
					check_chain(s, col, code, unit_below(&r, 2) ? n : series_count(s));
			add_random(s, &r, 5, (uint32_t)unit_below(&r, 100));
		}
		series_set_destroy(s);
	}
}
END_TEST

/* Reads whatever is published, without the lock. */
static void *reader(void *arg)
{
	struct worker *w = arg;
	uint64_t rng = w->seed;

	while (!atomic_load(w->stop)) {
		uint32_t n = series_count(w->s);
		if (n < 2)
			continue;
		uint32_t a = (uint32_t)(unit_random(&rng) % n), b = (uint32_t)(unit_random(&rng) % n);
		CHECK(str_is(series_measure(w->s, a), "cpu"));
		CHECK(a == b || series_cmp(w->s, a, b) != 0);
		CHECK(series_dim_code(w->s, a, 1) < series_dict_count(w->s, 1));
		for (uint32_t c = 0; c < series_column_count(w->s); c++)
			CHECK(series_column(w->s, c)->id == c);
		CHECK(series_bytes(w->s) > 0);
		check_chain(w->s, a % 2, series_dim_code(w->s, a, a % 2), n);
	}
	return NULL;
}

START_TEST(threads)
{
	struct unit_rng r = unit_rng();
	struct series_set *s;
	_Atomic bool stop = false;
	struct worker w[6];
	pthread_t t[6];
	char path[64];
	int dirfd = unit_dir(path);

	ck_assert_int_eq(series_set_create(&s), 0);
	dim(s, "host");
	dim(s, "rack");
	for (int i = 0; i < 6; i++) {
		w[i] = (struct worker){s, &stop, unit_rand(&r), 1000};
		pthread_create(&t[i], NULL, i < 4 ? maker : reader, &w[i]);
	}
	struct buf log, columns, series;
	struct series_mark upto;
	buf_init(&log, 1 << 26);
	buf_init(&columns, 1 << 26);
	buf_init(&series, 1 << 26);
	for (int i = 0; i < 10; i++) { /* meanwhile the log and the file go on */
		log_new(s, &r, &log);
		save(s, io_posix(), dirfd, 0);
		usleep(1000);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	stop = true;
	pthread_join(t[4], NULL);
	pthread_join(t[5], NULL);
	ck_assert_int_eq(series_encode_unlogged(s, &columns, &series, &upto), 0);
	buf_put_u8(&log, 0);
	buf_put_str(&log, buf_str(&columns));
	buf_put_u8(&log, 1);
	buf_put_str(&log, buf_str(&series));
	save(s, io_posix(), dirfd, 0);
	ck_assert_uint_le(series_count(s), 1000);
	ck_assert_uint_gt(series_count(s), 900);
	struct series_set *b = load(dirfd, 0), *c;
	assert_same(s, b);
	if (columns.len && series.len) {
		ck_assert_int_eq(series_set_create(&c), 0);
		ck_assert_int_eq(replay(c, buf_str(&log), 0, NULL), 0);
		assert_same(s, c);
		series_set_destroy(c);
	}
	series_set_destroy(b);
	series_set_destroy(s);
	buf_release(&log);
	buf_release(&columns);
	buf_release(&series);
	unit_dir_remove(dirfd, path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("series");
	TCase *tc = tcase_create("series");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, each_series_once);
	tcase_add_loop_test(tc, names_follow_rules, 0, ARRAY_LEN(names));
	tcase_add_test(tc, a_measure_name_has_one_type);
	tcase_add_test(tc, columns_all_or_none);
	tcase_add_test(tc, file_order);
	tcase_add_test(tc, id_ranges);
	tcase_add_test(tc, log_round_trip);
	tcase_add_test(tc, log_damage);
	tcase_add_test(tc, file_round_trip);
	tcase_add_test(tc, file_damage);
	tcase_add_loop_test(tc, file_defines_twice, 0, 2);
	tcase_add_test(tc, file_faults);
	tcase_add_test(tc, chains);
	tcase_add_test(tc, threads);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
