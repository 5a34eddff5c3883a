#include "engine/tile_index.h"

#include <math.h>

static void stats_i64(const int64_t *v, uint32_t n, struct tile_page_stats *s)
{
	int64_t min = v[0], max = v[0];
	__extension__ __int128 sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		min = MIN(min, v[i]);
		max = MAX(max, v[i]);
	}
	/* Where 2^14 values cannot overflow 64 bits, they need not be added in 128. */
	if (min >= -(INT64_C(1) << 48) && max <= INT64_C(1) << 48 && n <= TILE_PAGE_ROWS_MAX) {
		int64_t narrow = 0;
		for (uint32_t i = 0; i < n; i++)
			narrow += v[i];
		sum = narrow;
	} else {
		for (uint32_t i = 0; i < n; i++)
			sum += v[i];
	}
	s->has_minmax = true;
	s->min.i64 = min;
	s->max.i64 = max;
	s->first.i64 = v[0];
	s->last.i64 = v[n - 1];
	s->sum_i = sum;
}

static void stats_b8(const uint8_t *v, uint32_t n, struct tile_page_stats *s)
{
	uint32_t ones = 0;

	for (uint32_t i = 0; i < n; i++)
		ones += v[i];
	s->has_minmax = true;
	s->min.i64 = ones == n;
	s->max.i64 = ones > 0;
	s->first.i64 = v[0];
	s->last.i64 = v[n - 1];
	s->sum_i = ones;
}

/*
 * Neumaier: what each addition rounds off is kept in `rest`. The order of the operations is part of
 * the format, for verify compares the bits.
 */
static void stats_f64(const double *v, uint32_t n, struct tile_page_stats *s)
{
	double min = v[0], max = v[0], sum = 0, rest = 0;
	bool nan = false;

	for (uint32_t i = 0; i < n; i++) {
		double x = v[i], t = sum + x;
		nan |= x != x;
		min = x < min ? x : min;
		max = x > max ? x : max;
		rest += fabs(sum) >= fabs(x) ? (sum - t) + x : (x - t) + sum;
		sum = t;
	}
	s->has_minmax = !nan;
	s->min.f64 = nan ? 0 : min;
	s->max.f64 = nan ? 0 : max;
	s->first.f64 = v[0];
	s->last.f64 = v[n - 1];
	/* Of an infinity only `rest` becomes NaN; a NaN has no sign or payload worth keeping. */
	s->sum_f = isfinite(sum) ? sum + rest : isnan(sum) ? NAN : sum;
}

void tile_stats_compute(enum coltype type, const void *data, uint32_t n, uint32_t rows,
			struct tile_page_stats *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->rows = rows;
	ret->nulls = rows - n;
	if (!n)
		return;
	switch (type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		stats_i64(data, n, ret);
		break;
	case COL_DOUBLE:
		stats_f64(data, n, ret);
		break;
	case COL_BOOLEAN:
		stats_b8(data, n, ret);
		break;
	case COL_VARCHAR:
		break;
	}
}

bool tile_stats_equal(enum coltype type, const struct tile_page_stats *a,
		      const struct tile_page_stats *b)
{
	/* The unions are compared as bits: NaN equals itself, -0.0 is not 0.0. */
	return a->nulls == b->nulls && a->rows == b->rows && a->has_minmax == b->has_minmax &&
	       a->min.i64 == b->min.i64 && a->max.i64 == b->max.i64 &&
	       a->first.i64 == b->first.i64 && a->last.i64 == b->last.i64 &&
	       a->sum_i == b->sum_i && memcmp(&a->sum_f, &b->sum_f, sizeof a->sum_f) == 0;
}
