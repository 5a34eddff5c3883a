/*
 * fold: many tombstones become few.
 *
 * A program that deletes row by row makes a tombstone each time, and every series that a scan meets asks
 * every tombstone. Two of them can be one, with the number of the later, if no file and no block came to
 * be between them: then each source is older than both or newer than both. Files say by seq_hi and
 * erased_seq what they know already, so what one seal or merge found goes into one tombstone, sooner or
 * later, and their number is that of such moments and not of statements.
 *
 * A tombstone much larger than all behind it stays as it is, so that a range is written a number of times
 * that grows with the logarithm of how many there are.
 */
#include <stdlib.h>

#include "engine/internal.h"

#define FOLD_FEW    16 /* tombstones of a table that nobody minds */
#define FOLD_RATIO  8
#define FOLD_RANGES (UINT32_C(1) << 20) /* of one that is made here */

/* Is there a source that knows of the changes up to a and not of all up to b? Caller holds maint_mu. */
static bool is_divided(struct table *t, uint64_t a, uint64_t b)
{
	bool is = false;

	for (uint32_t i = 0; i < t->files->n && !is; i++) {
		const struct catalog_file *m = &t->files->v[i]->meta;
		uint64_t known = MAX(m->seq_hi, m->erased_seq);
		is = known >= a && known < b;
	}
	pthread_mutex_lock(&t->mu);
	for (const struct block *k = t->mem.first; k && !is; k = k->next)
		is = k->n && k->seq_hi > a && k->seq_lo < b;
	pthread_mutex_unlock(&t->mu);
	return is;
}

/* The tombstones v[0..n) as one. */
static int join(struct tomb *const *v, uint32_t n, struct tomb **ret)
{
	uint64_t total = 0;
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t g = 0; g < v[i]->group_count; g++)
			total += v[i]->groups[g].count;
	struct tomb_range *ranges = malloc((total + 1) * sizeof *ranges);
	if (!ranges)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t g = 0; g < v[i]->group_count; g++) {
			const struct tomb_group *tg = &v[i]->groups[g];
			const struct interval *times = v[i]->times + tg->first;
			for (uint32_t c = 0; c < tg->count; c++)
				ranges[k++] = (struct tomb_range){tg->series_lo, tg->series_hi, times[c].lo, times[c].hi};
		}
	int rc = tomb_create(v[n - 1]->seq, ranges, k, ret);
	free(ranges);
	return rc;
}

static int store(struct table *t, struct tomb *tomb, struct tomb *const *v, uint32_t n, struct err *e)
{
	struct catalog *cat = t->db->cat;
	struct buf bytes;

	buf_init(&bytes, (size_t)512 << 20);
	int rc = tomb_encode(tomb, &bytes);
	rc = rc < 0 ? err_set(e, rc, "out of memory") : catalog_begin(cat, e);
	if (rc < 0)
		goto out;
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = catalog_tomb_remove(cat, v[i]->id, e);
	if (rc >= 0)
		rc = catalog_tomb_add(cat, t->meta.id, tomb->seq, buf_str(&bytes), &tomb->id, e);
	FAULT("fold.commit");
	if (rc >= 0)
		rc = catalog_commit(cat, e);
	else
		catalog_abort(cat);
out:
	buf_release(&bytes);
	return rc;
}

static int fold(struct table *t, struct tomb *const *v, uint32_t n, struct err *e)
{
	struct tomb_set *next, *old = t->tombs;
	struct tomb *tomb;
	uint64_t *ids = malloc(n * sizeof *ids);
	int rc = ids ? join(v, n, &tomb) : -ENOMEM;

	for (uint32_t i = 0; i < n && rc >= 0; i++)
		ids[i] = v[i]->id;
	if (rc >= 0) {
		tomb_get(tomb);
		rc = tomb_set_make(old, tomb, ids, n, &next); /* takes one of the two */
		if (rc < 0)
			tomb_put(tomb);
	}
	free(ids);
	if (rc < 0)
		return rc == -E2BIG ? 0 : err_set(e, rc, "out of memory");
	rc = store(t, tomb, v, n, e);
	tomb_put(tomb);
	if (rc < 0) {
		tomb_set_put(next);
		return rc;
	}
	pthread_mutex_lock(&t->mu);
	t->tombs = next;
	pthread_mutex_unlock(&t->mu);
	tomb_set_put(old);
	return 0;
}

/*
 * The last group that is worth folding: v[*ret_first .. + n), 0: there is none. `end`: only those before it
 * are looked at; it moves to where the next look begins.
 */
static uint32_t choose(struct table *t, uint32_t *end, uint32_t *ret_first)
{
	struct tomb *const *v = t->tombs->v;

	while (*end > 1) {
		uint32_t last = *end - 1, first = last;
		uint64_t sum = v[last]->time_count;
		while (first > 0 && v[first - 1]->time_count <= FOLD_RATIO * sum &&
		       v[first - 1]->time_count + sum <= FOLD_RANGES && !is_divided(t, v[first - 1]->seq, v[first]->seq))
			sum += v[--first]->time_count;
		*end = first == last ? last : first;
		if (first < last) {
			*ret_first = first;
			return last - first + 1;
		}
	}
	return 0;
}

int table_fold_tombs(struct table *t, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&t->maint_mu);
	uint32_t end = t->tombs && !table_dropped(t) ? t->tombs->n : 0, first, n;
	while (rc >= 0 && end > 1 && t->tombs->n > FOLD_FEW && (n = choose(t, &end, &first)))
		rc = fold(t, t->tombs->v + first, n, e);
	pthread_mutex_unlock(&t->maint_mu);
	return rc;
}
