/*
 * Grouping sets against what they mean: the groups of each set as a GROUP BY of its own, one after the other.
 */
#include "tests/unit/unit.h"

#include "tests/fuzz/sql_random.h"

#define KEYS 3
#define SETS_MAX 12

static const char *const keys[] = {"host", "region", "bin(time, 1h)", "measure_name", "n % 3", "b", "u > 50"};
static const char *const aggs[] = {"count(*)", "sum(n)", "count(DISTINCT host)", "max(time)", "min(region)",
				   "count(*) FILTER (WHERE b)", "sum(DISTINCT n) FILTER (WHERE u > 10)", "max(s)",
				   "approx_percentile(n, 0.5)", "count(region)", "bool_or(b)"};

struct shape {
	uint32_t key[KEYS]; /* of keys[] */
	uint32_t agg[2];
	uint32_t sets[SETS_MAX]; /* bit i: key i is in it */
	uint32_t set_n;
	bool has_rows;
};

static void put_where(const struct shape *s, struct buf *out)
{
	buf_adds(out, s->has_rows ? " FROM r.tiles WHERE n > -5" : " FROM r.tiles WHERE n > 1000");
}

/* Each set as a query: what it lacks is NULL, and is named by the mask. */
static void put_union(const struct shape *s, struct buf *out)
{
	for (uint32_t i = 0; i < s->set_n; i++) {
		bool first = true;
		uint32_t mask = 0;
		buf_adds(out, i ? " UNION ALL SELECT " : "SELECT ");
		for (uint32_t k = 0; k < KEYS; k++) {
			bool has = s->sets[i] >> k & 1;
			buf_addf(out, has ? "%s, " : "if(false, %s), ", has ? keys[s->key[k]] : "NULL");
			mask = mask << 1 | !has;
		}
		buf_addf(out, "%u, %s, %s", mask, aggs[s->agg[0]], aggs[s->agg[1]]);
		put_where(s, out);
		if (!s->sets[i])
			continue;
		for (uint32_t k = 0; k < KEYS; k++) {
			if (!(s->sets[i] >> k & 1))
				continue;
			buf_addf(out, "%s%s", first ? " GROUP BY " : ", ", keys[s->key[k]]);
			first = false;
		}
	}
}

static void put_head(const struct shape *s, struct buf *out)
{
	buf_adds(out, "SELECT ");
	for (uint32_t k = 0; k < KEYS; k++)
		buf_addf(out, "%s, ", keys[s->key[k]]);
	buf_adds(out, "grouping(");
	for (uint32_t k = 0; k < KEYS; k++)
		buf_addf(out, "%s%s", k ? ", " : "", keys[s->key[k]]);
	buf_addf(out, "), %s, %s", aggs[s->agg[0]], aggs[s->agg[1]]);
	put_where(s, out);
	buf_adds(out, " GROUP BY ");
}

static void put_sets(const struct shape *s, struct buf *out)
{
	buf_adds(out, "GROUPING SETS (");
	for (uint32_t i = 0; i < s->set_n; i++) {
		bool first = true;
		buf_adds(out, i ? ", (" : "(");
		for (uint32_t k = 0; k < KEYS; k++) {
			if (s->sets[i] >> k & 1) {
				buf_addf(out, "%s%s", first ? "" : ", ", keys[s->key[k]]);
				first = false;
			}
		}
		buf_adds(out, ")");
	}
	buf_adds(out, ")");
}

static void put_keys(const struct shape *s, uint32_t from, struct buf *out)
{
	buf_adds(out, " (");
	for (uint32_t k = from; k < KEYS; k++)
		buf_addf(out, "%s%s", k > from ? ", " : "", keys[s->key[k]]);
	buf_adds(out, ")");
}

static void run(struct random_db *db, struct unit_rng *r, const struct buf *sql, struct buf *out)
{
	struct random_run how = {.memory_bytes = 256 << 20, .cancel_after = -1};
	struct err e = {0};
	int rc = random_execute(db, buf_str(sql), &how, out, &e);

	unit_assert(r, rc >= 0, "%s: %.*s", e.text, STR_FMT(buf_str(sql)));
	/* The names of columns are not what is compared. */
	char *rows = memchr(out->data, '\n', out->len);
	ck_assert_ptr_nonnull(rows);
	memset(out->data, 'x', (size_t)(rows - (char *)out->data));
	sort_lines(out);
}

static struct str rows_of(const struct buf *b)
{
	char *rows = memchr(b->data, '\n', b->len);

	return (struct str){rows, b->len - (size_t)(rows - (char *)b->data)};
}

static void check(struct random_db *db, struct unit_rng *r)
{
	struct shape s = {.has_rows = unit_below(r, 5) > 0};
	uint32_t form = (uint32_t)unit_below(r, 4);
	struct buf sql, model, want, got;

	buf_init(&sql, 1 << 16);
	buf_init(&model, 1 << 16);
	buf_init(&want, 1 << 24);
	buf_init(&got, 1 << 24);
	s.key[0] = (uint32_t)unit_below(r, ARRAY_LEN(keys));
	for (uint32_t k = 1; k < KEYS; k++)
		s.key[k] = (s.key[k - 1] + 1 + (uint32_t)unit_below(r, 2)) % ARRAY_LEN(keys);
	for (int i = 0; i < 2; i++)
		s.agg[i] = (uint32_t)unit_below(r, ARRAY_LEN(aggs));
	put_head(&s, &sql);
	switch (form) {
	case 0: /* the sets of the others in their words */
		buf_adds(&sql, "ROLLUP");
		put_keys(&s, 0, &sql);
		s.set_n = 4;
		memcpy(s.sets, (uint32_t[]){7, 3, 1, 0}, 4 * sizeof(uint32_t));
		break;
	case 1:
		buf_adds(&sql, "CUBE");
		put_keys(&s, 0, &sql);
		for (; s.set_n < 8; s.set_n++)
			s.sets[s.set_n] = s.set_n;
		break;
	case 2:
		buf_addf(&sql, "%s, CUBE", keys[s.key[0]]);
		put_keys(&s, 1, &sql);
		for (; s.set_n < 4; s.set_n++)
			s.sets[s.set_n] = s.set_n << 1 | 1;
		break;
	default:
		s.set_n = 2 + (uint32_t)unit_below(r, SETS_MAX - 2);
		for (uint32_t i = 0; i < s.set_n; i++)
			s.sets[i] = (uint32_t)unit_below(r, 8);
		/* grouping() wants all of them to be there. */
		s.sets[0] = 7;
		put_sets(&s, &sql);
	}
	put_union(&s, &model);
	run(db, r, &model, &want);
	run(db, r, &sql, &got);
	unit_assert(r, str_eq(rows_of(&want), rows_of(&got)), "%.*s\nis not\n%.*s\nbut\n%.*s", STR_FMT(buf_str(&sql)),
		    (int)MIN(want.len, (size_t)500), want.data, (int)MIN(got.len, (size_t)500), got.data);
	buf_release(&sql);
	buf_release(&model);
	buf_release(&want);
	buf_release(&got);
}

START_TEST(sets_are_queries)
{
	struct unit_rng r = unit_rng();
	struct random_db db = {0};

	random_open(&db, 5003, 11);
	for (int i = 0; i < 150; i++)
		check(&db, &r);
	random_close(&db);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {sets_are_queries};
	return unit_main("grouping", 300, tests, ARRAY_LEN(tests));
}
