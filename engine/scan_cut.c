/*
 * scan_cut: a scan in parts: by series for several threads, by time for who wants rows in that order.
 */
#include "engine/scan_impl.h"

static uint64_t wanted_among(const struct scan_spec *spec, uint32_t n)
{
	return spec->series ? MIN(bits_count(spec->series, spec->series_count), n) : n;
}

/* How much of a file's stretch of time is wanted. */
static double share_within(const struct catalog_file *m, const struct scan_spec *spec)
{
	double all = (double)m->t_max_ns - (double)m->t_min_ns;
	double wanted = (double)MIN(m->t_max_ns, spec->t_hi) - (double)MAX(m->t_min_ns, spec->t_lo);

	return all > 0 ? wanted / all : 1;
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
			/* However short the wanted time is, each series may have a row in it. */
			rows += MAX((uint64_t)((double)m->rows * share_within(m, spec)), MIN(m->rows, series_n));
	}
	file_set_put(set);
	if (!series_n)
		return 0;
	rows = (uint64_t)((double)rows * (double)wanted_among(spec, series_n) / series_n);
	if (spec->first_n || spec->last_n)
		rows = MIN(rows, wanted_among(spec, series_n) * ((uint64_t)spec->first_n + spec->last_n));
	return rows;
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

/* ---- by time ------------------------------------------------------------------------------------- */

/* Rows of one source in [lo, hi], were they spread evenly over its times. */
static double rows_within(int64_t t_min, int64_t t_max, uint64_t rows, int64_t lo, int64_t hi)
{
	int64_t from = MAX(lo, t_min), to = MIN(hi, t_max);

	if (from > to)
		return 0;
	return (double)rows * (((double)to - (double)from + 1) / ((double)t_max - (double)t_min + 1));
}

static double rows_between(const struct scan_pin *p, int64_t lo, int64_t hi)
{
	double n = 0;

	for (uint32_t i = 0; i < p->files->n; i++) {
		const struct catalog_file *m = &p->files->v[i]->meta;
		n += rows_within(m->t_min_ns, m->t_max_ns, m->rows, lo, hi);
	}
	for (uint32_t i = 0; i < p->view_n; i++)
		n += rows_within(p->views[i].t_min, p->views[i].t_max, p->views[i].n, lo, hi);
	return n;
}

/* Where rows may be at all: false: nowhere in [*lo, *hi]. */
static bool range_of(const struct scan_pin *p, int64_t *lo, int64_t *hi)
{
	int64_t first = INT64_MAX, last = INT64_MIN;

	for (uint32_t i = 0; i < p->files->n + p->view_n; i++) {
		bool is_file = i < p->files->n;
		int64_t t_min = is_file ? p->files->v[i]->meta.t_min_ns : p->views[i - p->files->n].t_min;
		int64_t t_max = is_file ? p->files->v[i]->meta.t_max_ns : p->views[i - p->files->n].t_max;

		if (t_min > *hi || t_max < *lo)
			continue;
		first = MIN(first, t_min);
		last = MAX(last, t_max);
	}
	*lo = MAX(*lo, first);
	*hi = MIN(*hi, last);
	return *lo <= *hi;
}

static int64_t middle(int64_t a, int64_t b)
{
	return a + (int64_t)(((uint64_t)b - (uint64_t)a) / 2);
}

int scan_stretch(struct table *t, const struct scan_spec *spec, uint64_t rows, bool is_newest, int64_t *ret_lo,
		 int64_t *ret_hi)
{
	const struct scan_pin *p = spec->pin;
	int64_t lo = MAX(spec->t_lo, p->expired_before_ns), hi = spec->t_hi;
	uint32_t series_n = MAX(series_count(t->series), 1u);
	double want = (double)rows * series_n / (double)MAX(wanted_among(spec, series_n), (uint64_t)1);

	if (lo > hi || !range_of(p, &lo, &hi))
		return 0;
	*ret_lo = lo;
	*ret_hi = hi;
	if (rows_between(p, lo, hi) <= want)
		return 1;
	while (!is_newest && lo < hi) { /* the first end that is late enough */
		int64_t mid = middle(lo, hi);
		if (rows_between(p, *ret_lo, mid) >= want)
			hi = mid;
		else
			lo = mid + 1;
	}
	while (is_newest && lo < hi) { /* the last beginning that is early enough */
		int64_t mid = middle(lo, hi) + 1;
		if (rows_between(p, mid, *ret_hi) >= want)
			lo = mid;
		else
			hi = mid - 1;
	}
	*(is_newest ? ret_lo : ret_hi) = lo;
	return 1;
}
