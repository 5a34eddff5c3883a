/*
 * kernels: every loop of every level that this machine has against the plainest loop there is, for
 * lengths around the width of any vector, starts at any element, values at the limits. What lies
 * before and behind is left alone.
 */
#include "engine/base/kernels.h"
#include "tests/unit/unit.h"

#define N_MAX  70000
#define MARGIN 64 /* elements before and behind; a start is within it */

#ifdef __x86_64__
extern const struct kernels kernels_v3, kernels_v4;
#endif
extern const struct kernels kernels_baseline;

enum { LEVELS = 3 };

/* NULL: this machine lacks it. */
static const struct kernels *level(int i)
{
	if (i == 0)
		return &kernels_baseline;
#ifdef __x86_64__
	bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
	if (i == 1 && has_v3)
		return &kernels_v3;
	if (i == 2 && has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		return &kernels_v4;
#endif
	return NULL;
}

/* ---- what goes in ------------------------------------------------------------------------------ */

static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 1, 0, 1, -1, INT32_MAX, INT32_MIN,
				UINT32_MAX, -(int64_t)UINT32_MAX, (int64_t)UINT32_MAX + 1};

static int64_t edge(struct unit_rng *r)
{
	return edges[unit_below(r, ARRAY_LEN(edges))];
}

static int64_t some_i64(struct unit_rng *r)
{
	switch (unit_below(r, 4)) {
	case 0: return edge(r);
	case 1: return (int64_t)unit_rand_log(r);
	case 2: return -(int64_t)(unit_rand_log(r) >> 1);
	default: return (int64_t)unit_rand(r);
	}
}

enum shape { ALL_LEAST, ALL_MOST, EDGES, RANDOM, MIXED, FIRST_IS_LEAST, LAST_IS_LEAST, FIRST_IS_MOST, LAST_IS_MOST, SHAPES };

static void fill(struct unit_rng *r, int64_t *v, uint32_t n, enum shape shape)
{
	for (uint32_t i = 0; i < n; i++)
		switch (shape) {
		case ALL_LEAST: v[i] = INT64_MIN; break;
		case ALL_MOST: v[i] = INT64_MAX; break;
		case EDGES: v[i] = edge(r); break;
		case RANDOM: v[i] = (int64_t)unit_rand(r); break;
		case MIXED: v[i] = some_i64(r); break;
		default: v[i] = (int64_t)unit_below(r, 1000) - 500;
		}
	if (n && (shape == FIRST_IS_LEAST || shape == FIRST_IS_MOST))
		v[0] = shape == FIRST_IS_LEAST ? -501 : 501;
	if (n && (shape == LAST_IS_LEAST || shape == LAST_IS_MOST))
		v[n - 1] = shape == LAST_IS_LEAST ? -501 : 501;
}

/* Every length up to 70, then some around pages and powers of two. */
static const uint32_t long_ones[] = {127, 128, 129, 255, 256, 257, 1000, 2048, 4095, 8191, 8192, 8193, 65535, 65536, 65537, 69999};

#define LENGTHS (71 + (int)ARRAY_LEN(long_ones))

static uint32_t length(int i)
{
	return i < 71 ? (uint32_t)i : long_ones[i - 71];
}

/* Ways to begin of one length. */
static int rounds(uint32_t n)
{
	return n <= 70 ? 40 : 6;
}

/* ---- buffers ----------------------------------------------------------------------------------- */

/* Of elements of the largest kind, at the start of a cache line, painted all over. */
static void *painted(void)
{
	size_t size = (N_MAX + 2 * MARGIN) * 8;
	void *p = aligned_alloc(64, size);

	ck_assert_ptr_nonnull(p);
	return memset(p, 0xA5, size);
}

/* Elements [at, at + n) were written, at most; they are painted again. */
static void check_margins(struct unit_rng *r, void *p, size_t size, uint32_t at, uint32_t n, const char *what)
{
	uint8_t *b = p;
	size_t end = (at + n + MARGIN) * size;

	for (size_t i = 0; i < end; i++)
		if (i < at * size || i >= (at + n) * size)
			unit_assert(r, b[i] == 0xA5, "%s of %u elements from %u on wrote byte %zu", what, n, at, i);
	memset(p, 0xA5, end);
}

/* ---- the loops --------------------------------------------------------------------------------- */

#define CHECK_WIDEN(name, T)                                                                                     \
	static void check_##name(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_) \
	{                                                                                                        \
		uint32_t to_at = (uint32_t)unit_below(r, MARGIN), from_at = (uint32_t)unit_below(r, MARGIN);      \
		int64_t *to = (int64_t *)to_ + to_at, base = some_i64(r), step = unit_below(r, 3) ? some_i64(r) : 1; \
		T *from = (T *)from_ + from_at;                                                                  \
                                                                                                                 \
		for (uint32_t i = 0; i < n; i++)                                                                 \
			from[i] = (T)(unit_below(r, 4) ? unit_rand(r) : unit_below(r, 2) ? UINT64_MAX : 0);      \
		k->name(to, from, n, base, step);                                                                \
		for (uint32_t i = 0; i < n; i++)                                                                 \
			unit_assert(r, to[i] == (int64_t)((uint64_t)base + (uint64_t)step * (uint64_t)from[i]),  \
				    "%s: " #name " of %u: place %u is %lld", k->level, n, i, (long long)to[i]);  \
		check_margins(r, to_, sizeof *to, to_at, n, #name);                                              \
	}
CHECK_WIDEN(widen8, uint8_t)
CHECK_WIDEN(widen16, uint16_t)
CHECK_WIDEN(widen32, uint32_t)

static void check_ramp(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_)
{
	uint32_t at = (uint32_t)unit_below(r, MARGIN);
	int64_t *to = (int64_t *)to_ + at, first = some_i64(r), step = unit_below(r, 4) ? some_i64(r) : 0;
	uint64_t want = (uint64_t)first;

	(void)from_;
	k->ramp(to, n, first, step);
	for (uint32_t i = 0; i < n; i++, want += (uint64_t)step)
		unit_assert(r, to[i] == (int64_t)want, "%s: ramp of %u: place %u is %lld", k->level, n, i,
			    (long long)to[i]);
	check_margins(r, to_, sizeof *to, at, n, "ramp");
}

/* All differences that fit, from bases where base + difference does, too. */
#define CHECK_NARROW(name, T, most)                                                                              \
	static void check_##name(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_) \
	{                                                                                                        \
		uint32_t to_at = (uint32_t)unit_below(r, MARGIN), from_at = (uint32_t)unit_below(r, MARGIN);      \
		int64_t *from = (int64_t *)from_ + from_at, base = some_i64(r);                                  \
		T *to = (T *)to_ + to_at;                                                                        \
                                                                                                                 \
		if (base > INT64_MAX - (int64_t)(most))                                                          \
			base = INT64_MAX - (int64_t)(most);                                                      \
		for (uint32_t i = 0; i < n; i++)                                                                 \
			from[i] = base + (int64_t)(unit_below(r, 4)   ? (unit_rand(r) & (most))                  \
						   : unit_below(r, 2) ? (uint64_t)(most)                         \
								      : 0);                                      \
		k->name(to, from, n, base);                                                                      \
		for (uint32_t i = 0; i < n; i++)                                                                 \
			unit_assert(r, to[i] == (uint64_t)from[i] - (uint64_t)base,                              \
				    "%s: " #name " of %u: place %u is %llu", k->level, n, i,                     \
				    (unsigned long long)to[i]);                                                  \
		check_margins(r, to_, sizeof *to, to_at, n, #name);                                              \
	}
CHECK_NARROW(narrow8, uint8_t, UINT8_MAX)
CHECK_NARROW(narrow16, uint16_t, UINT16_MAX)
CHECK_NARROW(narrow32, uint32_t, UINT32_MAX)

static void check_fill(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_)
{
	uint32_t at = (uint32_t)unit_below(r, MARGIN);
	int64_t *to = (int64_t *)to_ + at, value = some_i64(r);

	(void)from_;
	k->fill(to, n, value);
	for (uint32_t i = 0; i < n; i++)
		unit_assert(r, to[i] == value, "%s: fill of %u: place %u is %lld", k->level, n, i, (long long)to[i]);
	check_margins(r, to_, sizeof *to, at, n, "fill");
}

/* The first value outside may be anywhere, or nowhere; the range may end beyond the numbers. */
static void check_within(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_)
{
	int64_t *v = (int64_t *)from_ + unit_below(r, MARGIN), lo = some_i64(r);
	uint64_t width = unit_below(r, 2) ? 1 + unit_below(r, 1000) : unit_rand(r) | 1;
	uint32_t out = unit_below(r, 3) ? (uint32_t)unit_below(r, n + 1) : n;

	(void)to_;
	for (uint32_t i = 0; i < n; i++)
		v[i] = (int64_t)((uint64_t)lo + unit_rand(r) % width);
	for (uint32_t i = out; i < n; i += 1 + (uint32_t)unit_below(r, 5))
		v[i] = (int64_t)((uint64_t)lo + (unit_below(r, 2) ? width : UINT64_MAX));
	uint32_t got = k->within(v, n, lo, width);
	unit_assert(r, got == out, "%s: within of %u: %u instead of %u", k->level, n, got, out);
}

static void check_changes(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to_, void *from_)
{
	uint32_t at = (uint32_t)unit_below(r, MARGIN), often = 1 + (uint32_t)unit_below(r, 20);
	int64_t *v = (int64_t *)from_ + unit_below(r, MARGIN);
	uint8_t *differs = (uint8_t *)to_ + at;

	for (uint32_t i = 0; i < n; i++) {
		v[i] = i && unit_below(r, often) ? v[i - 1] : some_i64(r);
		differs[i] = 0;
	}
	uint32_t marked = n ? (uint32_t)unit_below(r, n) : 0;
	if (n)
		differs[marked] = 1;
	k->changes(v, n, differs);
	for (uint32_t i = 0; i < n; i++)
		unit_assert(r, differs[i] == (i == marked || (i && v[i] != v[i - 1])), "%s: changes of %u: place %u is %d", k->level,
			    n, i, differs[i]);
	check_margins(r, to_, 1, at, n, "changes");
}

static void check_all(int lv, void (*check)(const struct kernels *k, struct unit_rng *r, uint32_t n, void *to, void *from))
{
	const struct kernels *k = level(lv);
	struct unit_rng r = unit_rng();
	void *to = painted(), *from = painted();

	for (int i = 0; k && i < LENGTHS; i++)
		for (int round = 0; round < rounds(length(i)); round++)
			check(k, &r, length(i), to, from);
	free(to);
	free(from);
}

START_TEST(widen)
{
	check_all(_i, check_widen8);
	check_all(_i, check_widen16);
	check_all(_i, check_widen32);
}
END_TEST

START_TEST(ramp)
{
	check_all(_i, check_ramp);
}
END_TEST

START_TEST(stretches)
{
	check_all(_i, check_fill);
	check_all(_i, check_within);
	check_all(_i, check_changes);
}
END_TEST

START_TEST(narrow)
{
	check_all(_i, check_narrow8);
	check_all(_i, check_narrow16);
	check_all(_i, check_narrow32);
}
END_TEST

static void check_bounds(const struct kernels *k, struct unit_rng *r, const int64_t *v, uint32_t n)
{
	int64_t lo = v[0], hi = v[0], got_lo = 0, got_hi = 0;

	for (uint32_t i = 1; i < n; i++) {
		if (v[i] < lo)
			lo = v[i];
		if (v[i] > hi)
			hi = v[i];
	}
	k->bounds(v, n, &got_lo, &got_hi);
	unit_assert(r, got_lo == lo && got_hi == hi, "%s: bounds of %u: %lld %lld, not %lld %lld", k->level, n,
		    (long long)got_lo, (long long)got_hi, (long long)lo, (long long)hi);
	got_lo = k->min_i64(v, n);
	unit_assert(r, got_lo == lo, "%s: min of %u: %lld, not %lld", k->level, n, (long long)got_lo, (long long)lo);
	got_hi = k->max_i64(v, n);
	unit_assert(r, got_hi == hi, "%s: max of %u: %lld, not %lld", k->level, n, (long long)got_hi, (long long)hi);
}

static void check_sum(const struct kernels *k, struct unit_rng *r, const int64_t *v, uint32_t n)
{
	__extension__ __int128 want = 0, got;
	int64_t hi = 77;
	uint64_t lo = 77;

	for (uint32_t i = 0; i < n; i++)
		want += v[i];
	k->sum_i64(v, n, &hi, &lo);
	got = hi;
	got = got * ((int64_t)1 << 32) + lo;
	unit_assert(r, got == want, "%s: the sum of %u numbers is wrong by %lld", k->level, n, (long long)(got - want));
}

START_TEST(bounds_and_sums)
{
	const struct kernels *k = level(_i);
	struct unit_rng r = unit_rng();
	int64_t *p = painted();

	for (int i = 0; k && i < LENGTHS; i++)
		for (int shape = 0; shape < SHAPES; shape++)
			for (uint32_t at = 0, n = length(i); at < (n <= 70 ? 9u : 2u); at++) {
				fill(&r, p + at, n, (enum shape)shape);
				/* What is not asked for would be seen. */
				if (at)
					p[at - 1] = INT64_MIN;
				p[at + n] = INT64_MAX;
				check_sum(k, &r, p + at, n);
				if (n)
					check_bounds(k, &r, p + at, n);
				p[at + n] = INT64_MIN;
				if (n)
					check_bounds(k, &r, p + at, n);
			}
	free(p);
}
END_TEST

/* What comes of doubles must be the same on every machine: they decide what a tile looks like. */
START_TEST(decimals_and_back)
{
	static const double ups[] = {1e0, 1e2, 1e14, 1e18}, downs[] = {1e-0, 1e-3, 1e-14};
	const struct kernels *k = level(_i);
	struct unit_rng r = unit_rng();

	for (int i = 0; k && i < 3000; i++) {
		double v[80], back[80];
		int64_t whole[80];
		uint8_t differs[80];
		uint32_t n = (uint32_t)unit_below(&r, 80), count = 0;
		double a = ups[unit_below(&r, 4)], b = downs[unit_below(&r, 3)], c = ups[unit_below(&r, 4)], d = downs[unit_below(&r, 3)];
		for (uint32_t j = 0; j < n; j++) {
			int64_t bits = some_i64(&r);
			memcpy(&v[j], &bits, 8);
			if (unit_below(&r, 2))
				v[j] = (double)(int64_t)unit_below(&r, 100000) / 100;
		}
		uint32_t got = k->decimals(whole, differs, v, n, a, b, c, d);
		k->scale(back, whole, n, c, d);
		for (uint32_t j = 0; j < n; j++) {
			/* Step by step, so that no compiler makes one of two. */
			volatile double x = v[j] * a;
			x = x * b;
			x = x + 0x1.8p52;
			volatile double y = x - 0x1.8p52;
			volatile double z = y * c;
			z = z * d;
			double magic = 0x1.8p52, xx = x, zz = z;
			uint64_t xi, mi, zi, vi, bi;
			memcpy(&xi, &xx, 8);
			memcpy(&mi, &magic, 8);
			memcpy(&zi, &zz, 8);
			memcpy(&vi, &v[j], 8);
			memcpy(&bi, &back[j], 8);
			int64_t w = (int64_t)(xi - mi);
			bool is_off = zi != vi || w < -(INT64_C(1) << 51) || w >= INT64_C(1) << 51;
			unit_assert(&r, whole[j] == w && differs[j] == is_off && (is_off || bi == vi), "value %u of %u: %a", j, n, v[j]);
			count += is_off;
		}
		unit_assert(&r, got == count, "%u differ, not %u", count, got);
	}
}
END_TEST

/* The least and the greatest are found at whatever place they are, among others of any size. */
START_TEST(bounds_at_every_place)
{
	static const int64_t plain[] = {0, -1, INT64_MAX - 1, INT64_MIN + 1, (int64_t)1 << 32};
	const struct kernels *k = level(_i);
	struct unit_rng r = unit_rng();
	int64_t v[70];

	for (size_t kind = 0; k && kind < ARRAY_LEN(plain); kind++)
		for (uint32_t n = 1; n <= 70; n++) {
			for (uint32_t i = 0; i < n; i++)
				v[i] = plain[kind];
			for (uint32_t at = 0; at < n; at++) {
				v[at] = INT64_MIN;
				check_bounds(k, &r, v, n);
				v[at] = INT64_MAX;
				check_bounds(k, &r, v, n);
				v[at] = plain[kind] + 1;
				check_bounds(k, &r, v, n);
				v[at] = plain[kind] - 1;
				check_bounds(k, &r, v, n);
				v[at] = plain[kind];
			}
		}
}
END_TEST

/* The widest, and always the same. */
START_TEST(the_best_level_is_taken)
{
	static const char *const names[LEVELS] = {"baseline", "x86-64-v3", "x86-64-v4"};
	const struct kernels *best = NULL;

	for (int i = 0; i < LEVELS; i++) {
		const struct kernels *k = level(i);
		if (!k)
			continue;
		ck_assert_str_eq(k->level, names[i]);
		best = k;
	}
	ck_assert_ptr_eq(kernels(), best);
	ck_assert_ptr_eq(kernels(), best);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {widen, ramp, stretches, narrow, bounds_and_sums, bounds_at_every_place, decimals_and_back};
	Suite *s = suite_create("kernels");
	TCase *tc = tcase_create("kernels");

	tcase_set_timeout(tc, 120);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_loop_test(tc, tests[i], 0, LEVELS);
	tcase_add_test(tc, the_best_level_is_taken);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
