/*
 * Tombstones against a bitmap: which (series, time) a set of ranges covers, through creation, bytes
 * and back; and bytes that are damaged.
 */
#include "engine/tombs.h"
#include "tests/unit/unit.h"

#define SERIES 60
#define TIMES  80

static bool covers(const struct tomb *t, uint32_t series, int64_t time)
{
	const struct interval *v;
	uint32_t n;

	if (!tomb_find(t, series, &v, &n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (v[i].lo <= time && time <= v[i].hi)
			return true;
	return false;
}

static void check_form(const struct tomb *t)
{
	for (uint32_t i = 0; i < t->group_count; i++) {
		const struct tomb_group *g = &t->groups[i];
		ck_assert_uint_le(g->series_lo, g->series_hi);
		ck_assert(!i || g->series_lo > t->groups[i - 1].series_hi);
		ck_assert_uint_gt(g->count, 0);
		for (uint32_t k = 1; k < g->count; k++)
			ck_assert_int_gt(t->times[g->first + k].lo, t->times[g->first + k - 1].hi + 1);
	}
}

START_TEST(covers_what_its_ranges_cover)
{
	struct unit_rng r = unit_rng();

	for (int round = 0; round < 400; round++) {
		bool map[SERIES][TIMES] = {0};
		struct tomb_range ranges[40];
		uint32_t n = 1 + (uint32_t)(unit_rand(&r) % 40);
		struct tomb *t, *back;
		struct buf bytes;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t s = (uint32_t)(unit_rand(&r) % SERIES), w = unit_rand(&r) % 3 ? 0 : (uint32_t)(unit_rand(&r) % 20);
			int64_t lo = (int64_t)(unit_rand(&r) % TIMES), hi = lo + (int64_t)(unit_rand(&r) % 10);
			w = MIN(s + w, SERIES - 1u);
			hi = MIN(hi, TIMES - 1);
			ranges[i] = (struct tomb_range){s, w, lo, hi};
			for (; s <= w; s++)
				for (int64_t k = lo; k <= hi; k++)
					map[s][k] = true;
		}
		ck_assert_int_eq(tomb_create(7, ranges, n, &t), 0);
		check_form(t);
		buf_init(&bytes, 1 << 20);
		ck_assert_int_eq(tomb_encode(t, &bytes), 0);
		ck_assert_int_eq(tomb_decode(3, 7, buf_str(&bytes), &back), 0);
		check_form(back);
		for (uint32_t s = 0; s < SERIES; s++)
			for (int64_t k = 0; k < TIMES; k++) {
				unit_assert(&r, covers(t, s, k) == map[s][k], "round %d series %u time %d", round, s, (int)k);
				unit_assert(&r, covers(back, s, k) == map[s][k], "decoded: round %d series %u time %d",
					    round, s, (int)k);
			}
		ck_assert_int_eq(t->t_min, back->t_min);
		ck_assert_int_eq(t->t_max, back->t_max);
		/* Cut anywhere: malformed. Changed anywhere: refused, or in good form. */
		for (size_t cut = 0; cut < bytes.len; cut++) {
			struct tomb *bad;
			ck_assert_int_eq(tomb_decode(3, 7, (struct str){bytes.data, cut}, &bad), -EBADMSG);
		}
		for (int k = 0; k < 20; k++) {
			struct tomb *bad;
			size_t at = unit_rand(&r) % bytes.len;
			char keep = bytes.data[at];
			bytes.data[at] ^= (char)(1 + unit_rand(&r) % 255);
			if (tomb_decode(3, 7, buf_str(&bytes), &bad) == 0) {
				check_form(bad);
				tomb_put(bad);
			}
			bytes.data[at] = keep;
		}
		buf_release(&bytes);
		tomb_put(t);
		tomb_put(back);
	}
}
END_TEST

START_TEST(ends_of_time_and_of_series)
{
	struct tomb_range all[] = {{0, UINT32_MAX, INT64_MIN, INT64_MAX}, {5, 5, INT64_MAX, INT64_MAX}};
	struct tomb *t, *back;
	struct buf bytes;

	ck_assert_int_eq(tomb_create(1, all, 2, &t), 0);
	ck_assert(covers(t, 0, INT64_MIN) && covers(t, UINT32_MAX, INT64_MAX) && covers(t, 5, 0));
	buf_init(&bytes, 1 << 20);
	ck_assert_int_eq(tomb_encode(t, &bytes), 0);
	ck_assert_int_eq(tomb_decode(1, 1, buf_str(&bytes), &back), 0);
	ck_assert(covers(back, 0, INT64_MIN) && covers(back, UINT32_MAX, INT64_MAX));
	buf_release(&bytes);
	tomb_put(t);
	tomb_put(back);
}
END_TEST

START_TEST(sets_are_by_seq)
{
	struct tomb_set *s = NULL, *next;
	uint64_t seqs[] = {30, 10, 20, 40};

	for (size_t i = 0; i < ARRAY_LEN(seqs); i++) {
		struct tomb_range range = {1, 1, 0, 0};
		struct tomb *t;
		ck_assert_int_eq(tomb_create(seqs[i], &range, 1, &t), 0);
		t->id = seqs[i];
		ck_assert_int_eq(tomb_set_make(s, t, NULL, 0, &next), 0);
		tomb_set_put(s);
		s = next;
	}
	ck_assert_uint_eq(tomb_set_newest(s), 40);
	ck_assert_uint_eq(tomb_set_from(s, 0), 0);
	ck_assert_uint_eq(tomb_set_from(s, 10), 1); /* rows up to 10 came after the deletion 10 */
	ck_assert_uint_eq(tomb_set_from(s, 25), 2);
	ck_assert_uint_eq(tomb_set_from(s, 40), 4);
	ck_assert_int_eq(tomb_set_make(s, NULL, (uint64_t[]){20, 40}, 2, &next), 0);
	ck_assert_uint_eq(next->n, 2);
	ck_assert_uint_eq(tomb_set_newest(next), 30);
	tomb_set_put(s);
	tomb_set_put(next);
	ck_assert_uint_eq(tomb_set_from(NULL, 3), 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {covers_what_its_ranges_cover, ends_of_time_and_of_series, sets_are_by_seq};
	return unit_main("tombs", 60, tests, ARRAY_LEN(tests));
}
