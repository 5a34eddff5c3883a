/*
 * days: on which dates a run has rows.
 *
 * What is due, and whether a run has anything left to show, is asked every half second; the answer
 * must not cost a look at each series. And a series with one row of 1970 and one of today must not
 * pass for one with rows on each date between: each would be migrated in a transaction of its own.
 * So the dates are counted once per run: a page inside one date counts as a whole, and only of others
 * the times are read.
 */
#include <stdlib.h>

#include "engine/internal.h"

void days_put(struct days *d)
{
	if (d && atomic_fetch_sub(&d->refs, 1) == 1)
		free(d);
}

static struct day *day_at(struct day_count *c, int32_t date)
{
	uint32_t lo = 0, hi = c->n;

	if (c->last < c->n && c->v[c->last].date == date)
		return &c->v[c->last];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (c->v[mid].date < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	c->last = lo;
	if (lo < c->n && c->v[lo].date == date)
		return &c->v[lo];
	if (c->n == c->cap) {
		uint32_t cap = MAX(c->cap * 2, 8u);
		struct day *v = realloc(c->v, cap * sizeof *v);
		if (!v)
			return NULL;
		c->v = v;
		c->cap = cap;
	}
	memmove(&c->v[lo + 1], &c->v[lo], (c->n - lo) * sizeof *c->v);
	c->n++;
	c->v[lo] = (struct day){.date = date, .t_min = INT64_MAX, .t_max = INT64_MIN};
	return &c->v[lo];
}

int day_count_add(struct day_count *c, int32_t date, uint64_t rows, int64_t t_min, int64_t t_max)
{
	struct day *d = day_at(c, date);

	if (!d)
		return -ENOMEM;
	d->rows += rows;
	d->t_min = MIN(d->t_min, t_min);
	d->t_max = MAX(d->t_max, t_max);
	return 0;
}

static int count_page(struct day_count *c, struct tile *tile, uint32_t page, int64_t *times, struct err *e)
{
	uint64_t rows = tile_page_row(tile, page + 1) - tile_page_row(tile, page);
	int64_t t_min, t_max;
	int rc;

	tile_page_times(tile, page, &t_min, &t_max);
	if (day_of_ns(t_min) == day_of_ns(t_max))
		return day_count_add(c, (int32_t)day_of_ns(t_min), rows, t_min, t_max);
	rc = tile_read_time(tile, page, times, e);
	for (uint64_t i = 0; i < rows && rc >= 0; i++)
		rc = day_count_add(c, (int32_t)day_of_ns(times[i]), 1, times[i], times[i]);
	return rc;
}

static int count_all(struct tile *tile, struct days **ret, struct err *e)
{
	struct day_count c = {0};
	int64_t *times = malloc(TILE_PAGE_ROWS_MAX * sizeof *times);
	struct days *d = NULL;
	int rc = times ? 0 : -ENOMEM;

	for (uint32_t p = 0; p < tile_info(tile)->page_count && rc >= 0; p++)
		rc = count_page(&c, tile, p, times, e);
	if (rc >= 0 && !(d = malloc(sizeof *d + c.n * sizeof d->v[0])))
		rc = -ENOMEM;
	if (rc >= 0) {
		atomic_init(&d->refs, 1);
		d->n = c.n;
		if (c.n)
			memcpy(d->v, c.v, c.n * sizeof d->v[0]);
		*ret = d;
	} else if (rc == -ENOMEM) {
		err_set(e, rc, "out of memory for the dates of a run");
	}
	free(times);
	free(c.v);
	return rc;
}

int file_days(struct file *f, struct table *t, const struct days **ret, struct err *e)
{
	struct tile *tile;
	struct days *d;
	int rc = 0;

	pthread_mutex_lock(&f->open_mu);
	*ret = f->days;
	pthread_mutex_unlock(&f->open_mu);
	if (*ret)
		return 0;
	rc = file_tile(f, t, &tile, e);
	if (rc >= 0)
		rc = count_all(tile, &d, e);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&f->open_mu);
	if (f->days)
		days_put(d); /* somebody was faster */
	else
		f->days = d;
	*ret = f->days;
	pthread_mutex_unlock(&f->open_mu);
	return 0;
}

const struct day *days_find(const struct days *d, int32_t date)
{
	uint32_t lo = 0, hi = d->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (d->v[mid].date < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->n && d->v[lo].date == date ? &d->v[lo] : NULL;
}
