/*
 * scan_cut: a scan in parts, for several threads.
 */
#include "engine/scan_impl.h"

static uint64_t wanted_among(const struct scan_spec *spec, uint32_t n)
{
	uint64_t count = 0;

	if (!spec->series)
		return n;
	for (uint32_t i = 0; i < (spec->series_count + 63) / 64; i++)
		count += (uint64_t)__builtin_popcountll(spec->series[i]);
	return MIN(count, (uint64_t)n);
}

uint64_t scan_rows_guess(struct table *t, const struct scan_spec *spec)
{
	uint32_t series_n = series_count(t->series);
	uint64_t rows;

	pthread_mutex_lock(&t->mu);
	struct file_set *set = file_set_get(t->files);
	rows = t->mem.rows;
	pthread_mutex_unlock(&t->mu);
	for (uint32_t i = 0; i < set->n; i++) {
		const struct catalog_file *m = &set->v[i]->meta;

		if (m->t_min_ns <= spec->t_hi && m->t_max_ns >= spec->t_lo)
			rows += m->rows;
	}
	file_set_put(set);
	if (!series_n)
		return 0;
	return (uint64_t)((double)rows * (double)wanted_among(spec, series_n) / series_n);
}

int scan_cut(struct table *t, const struct scan_spec *spec, uint32_t n, struct arena *a, uint64_t **ret,
	     uint32_t *ret_series_n)
{
	struct series_order *order;
	uint32_t part = 0;
	uint64_t all, taken = 0;
	int rc = table_order(t, &order);

	if (rc < 0)
		return rc;
	all = wanted_among(spec, order->n);
	n = (uint32_t)MIN((uint64_t)n, all);
	for (uint32_t i = 0; i < n; i++) {
		ret[i] = arena_zarray(a, uint64_t, order->n / 64 + 1);
		if (!ret[i]) {
			series_order_put(order);
			return -ENOMEM;
		}
	}
	for (uint32_t r = 0; r < order->n && n; r++) {
		uint32_t id = order->ids[r];

		if (spec->series && !bit_test(spec->series, spec->series_count, id))
			continue;
		while (taken * n >= all * (part + 1))
			part++;
		ret[part][id / 64] |= UINT64_C(1) << (id % 64);
		taken++;
	}
	*ret_series_n = order->n;
	series_order_put(order);
	return (int)n;
}
