/*
 * compact: files written anew for the sake of what reads them.
 *
 * Two reasons, one mechanism (some files out, at most one in, one transaction):
 *
 *	deletions  A file that holds rows which a tombstone hides is rewritten without them. A tile by
 *	           itself, as what takes its place has the same date and part; a run likewise. Files that
 *	           a tombstone covers in time but holds no rows of just note that it is no concern of
 *	           theirs. A tombstone that no file or block needs any more goes.
 *
 *	runs       With a long memory retention runs pile up. Neighbours in the order of the log, RUNS_FEW
 *	           or more, of about a size, become one: each row is rewritten once per factor of
 *	           RUNS_RATIO in size, and a table keeps a few runs per such factor. Only neighbours: what
 *	           one run says must not pass what another says later. Runs that are wholly due to
 *	           migrate are left to that.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/gather.h"
#include "engine/scan.h"

#define RUNS_FEW      4
#define RUNS_RATIO    4
#define RUN_ROWS_MOST ((uint64_t)4 << 20) /* runs are not merged beyond this: nothing else is done meanwhile */

/* ---- some files out, at most one in ------------------------------------------------------------------- */

struct swap {
	struct table *t;
	struct file **out; /* of the present set, by age */
	uint32_t n;
};

static int commit_swap(const struct swap *s, struct file *in, bool *ret_in_doubt, struct err *e)
{
	struct catalog *cat = s->t->db->cat;
	int rc = catalog_begin(cat, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < s->n && rc >= 0; i++)
		rc = catalog_file_remove(cat, s->out[i]->meta.id, e);
	if (rc >= 0 && in)
		rc = catalog_file_add(cat, &in->meta, e);
	if (rc < 0) {
		catalog_abort(cat);
		return rc;
	}
	FAULT("compact.commit");
	rc = catalog_commit(cat, e);
	*ret_in_doubt = rc == -EIO;
	return rc;
}

/* `in` (may be NULL) takes the place of s->out; its reference is taken. */
static int swap_files(const struct swap *s, struct file *in, struct err *e)
{
	uint64_t *ids = malloc((s->n + 1) * sizeof *ids);
	struct file_set *next;
	bool in_doubt = false;
	int rc = ids ? 0 : err_set(e, -ENOMEM, "out of memory for the files of table '%s'", table_name(s->t));

	for (uint32_t i = 0; i < s->n && rc >= 0; i++)
		ids[i] = s->out[i]->meta.id;
	if (in)
		file_get(in);
	if (rc >= 0)
		rc = file_set_make(s->t, &in, in != NULL, ids, s->n, &next, e);
	if (rc < 0) {
		file_put(in);
	} else {
		rc = commit_swap(s, in, &in_doubt, e);
		if (rc < 0)
			file_set_put(next);
	}
	if (rc >= 0) {
		FAULT("compact.swap");
		file_set_install(s->t, next);
		for (uint32_t i = 0; i < s->n; i++)
			file_unlink(s->t, s->out[i]);
	} else if (in && !in_doubt) {
		file_unlink(s->t, in);
	}
	free(ids);
	file_put(in);
	return rc;
}

/* What the files of s show, as one file of their kind in their place. */
static int rewrite_swap(const struct swap *s, struct err *e)
{
	struct table *t = s->t;
	const struct catalog_file *first = &s->out[0]->meta, *last = &s->out[s->n - 1]->meta;
	char dir[PART_DIR_MAX] = DIR_RUNS;
	struct rewrite r = {.table = t, .kind = first->kind, .dir = dir};
	struct scan *scan = NULL;
	struct tile *tile = NULL;
	struct file *in = NULL;
	uint32_t *fields = NULL, field_n;
	int rc = table_field_ids(t, &fields, &field_n);

	if (rc < 0)
		return err_set(e, rc, "out of memory");
	if (first->kind == CATALOG_TILE)
		gather_part_dir(dir, first->date, first->part);
	r.meta = (struct catalog_file){.seq_lo = first->seq_lo,
				       .seq_hi = last->seq_hi,
				       .date = first->date,
				       .part = first->part,
				       .parts = first->parts,
				       .generation = t->generation++,
				       .erased_seq = tomb_set_newest(t->tombs)};
	struct scan_spec spec = {.t_lo = t->meta.expired_before_ns, .t_hi = INT64_MAX, .cols = fields,
				 .col_count = field_n, .times_wanted = true, .versions_wanted = true};
	for (uint32_t i = 0; i < s->n; i++)
		file_get(s->out[i]); /* the scan's */
	rc = scan_open_sources(t, &spec, s->out, s->n, NULL, 0, t->tombs, NULL, &scan, e);
	if (rc >= 0)
		rc = rewrite_file(&r, scan, fields, field_n, &tile, e);
	scan_close(scan);
	free(fields);
	if (rc >= 0 && tile && !(in = file_create(&r.meta, tile))) {
		tile_put(tile);
		rc = err_set(e, -ENOMEM, "out of memory");
	}
	return rc < 0 ? rc : swap_files(s, in, e);
}

/* ---- deletions ------------------------------------------------------------------------------------------- */

static uint64_t known_seq(const struct file *f)
{
	return MAX(f->meta.seq_hi, f->meta.erased_seq);
}

static bool is_over(const struct tomb *tomb, const struct file *f)
{
	return tomb->seq > known_seq(f) && tomb->t_min <= f->meta.t_max_ns && tomb->t_max >= f->meta.t_min_ns;
}

static bool file_is_covered(const struct table *t, const struct file *f)
{
	for (uint32_t i = tomb_set_from(t->tombs, known_seq(f)); i < t->tombs->n; i++)
		if (is_over(t->tombs->v[i], f))
			return true;
	return false;
}

static int store_passed(struct table *t, struct file *const *v, uint32_t n, uint64_t seq, struct err *e)
{
	struct catalog *cat = t->db->cat;
	int rc = catalog_begin(cat, e);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = catalog_file_erased(cat, v[i]->meta.id, seq, e);
	if (rc >= 0)
		return catalog_commit(cat, e);
	catalog_abort(cat);
	return rc;
}

/*
 * The same files, which no deletion so far concerns any more. All at once: a deletion's times may cover
 * thousands of files that have no row of it.
 */
static int pass_over(struct table *t, struct file *const *v, uint32_t n, struct err *e)
{
	uint64_t seq = tomb_set_newest(t->tombs);
	struct file **same = malloc((n + 1) * sizeof *same);
	uint64_t *ids = malloc((n + 1) * sizeof *ids);
	struct file_set *next;
	uint32_t k = 0;
	int rc = same && ids ? 0 : -ENOMEM;

	for (; k < n && rc >= 0; k++) {
		ids[k] = v[k]->meta.id;
		same[k] = file_copy(v[k]);
		if (!same[k]) {
			rc = -ENOMEM;
			break;
		}
		same[k]->meta.erased_seq = seq;
	}
	if (rc < 0)
		err_set(e, rc, "out of memory");
	else
		rc = file_set_make(t, same, n, ids, n, &next, e);
	if (rc < 0) {
		while (k > 0)
			file_put(same[--k]);
	} else {
		rc = store_passed(t, v, n, seq, e);
		if (rc < 0)
			file_set_put(next);
		else
			file_set_install(t, next);
	}
	free(same);
	free(ids);
	return rc;
}

static bool is_needed(struct table *t, const struct file_set *set, const struct tomb *tomb)
{
	bool is = false;

	for (uint32_t i = 0; i < set->n && !is; i++)
		is = is_over(tomb, set->v[i]);
	pthread_mutex_lock(&t->mu);
	for (const struct block *b = t->mem.first; b && !is; b = b->next)
		is = b->n && b->seq_lo < tomb->seq;
	pthread_mutex_unlock(&t->mu);
	return is;
}

static int drop_tombs(struct table *t, struct err *e)
{
	struct file_set *set = table_pin_files(t);
	uint64_t *ids = malloc((t->tombs->n + 1) * sizeof *ids);
	struct tomb_set *next, *old;
	uint32_t n = 0;
	int rc = ids ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < t->tombs->n && rc >= 0; i++)
		if (!is_needed(t, set, t->tombs->v[i]))
			ids[n++] = t->tombs->v[i]->id;
	file_set_put(set);
	if (rc >= 0 && n)
		rc = tomb_set_make(t->tombs, NULL, ids, n, &next);
	if (rc < 0 || !n) {
		free(ids);
		return rc < 0 ? err_set(e, rc, "out of memory") : 0;
	}
	rc = catalog_begin(t->db->cat, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = catalog_tomb_remove(t->db->cat, ids[i], e);
		if (rc < 0)
			catalog_abort(t->db->cat);
	}
	if (rc >= 0)
		rc = catalog_commit(t->db->cat, e);
	free(ids);
	if (rc < 0) {
		tomb_set_put(next);
		return rc;
	}
	pthread_mutex_lock(&t->mu);
	old = t->tombs;
	t->tombs = next;
	pthread_mutex_unlock(&t->mu);
	tomb_set_put(old);
	return 0;
}

/* A damaged file keeps its tombstones, and does not keep the others from theirs. */
static int reclaim(struct table *t, struct err *e)
{
	struct file_set *set = table_pin_files(t);
	struct file **passed = malloc((set->n + 1) * sizeof *passed);
	uint32_t n = 0;
	int first = passed ? 0 : err_set(e, -ENOMEM, "out of memory");

	for (uint32_t i = 0; i < set->n && passed; i++) {
		struct file *f = set->v[i];
		struct err *mine = first < 0 ? NULL : e;
		if (!file_is_covered(t, f))
			continue;
		int rc = gather_is_erased(t, t->tombs, f, mine);
		if (rc > 0)
			rc = rewrite_swap(&(struct swap){t, &f, 1}, mine);
		else if (rc == 0)
			passed[n++] = f;
		first = first < 0 ? first : rc;
	}
	int rc = n ? pass_over(t, passed, n, first < 0 ? NULL : e) : 0;
	first = first < 0 ? first : rc;
	free(passed);
	file_set_put(set);
	rc = drop_tombs(t, first < 0 ? NULL : e);
	return first < 0 ? first : rc;
}

uint64_t table_erase_bytes(struct table *t)
{
	struct file_set *set;
	struct tomb_set *tombs;
	uint64_t bytes = 0;

	pthread_mutex_lock(&t->mu);
	set = file_set_get(t->files);
	tombs = tomb_set_get(t->tombs);
	pthread_mutex_unlock(&t->mu);
	for (uint32_t i = 0; tombs && i < set->n; i++)
		for (uint32_t k = tomb_set_from(tombs, known_seq(set->v[i])); k < tombs->n; k++)
			if (is_over(tombs->v[k], set->v[i])) {
				bytes += set->v[i]->meta.bytes;
				break;
			}
	file_set_put(set);
	tomb_set_put(tombs);
	return bytes;
}

int table_reclaim(struct table *t, struct err *e)
{
	pthread_mutex_lock(&t->maint_mu);
	int rc = table_dropped(t) || !t->tombs || !t->tombs->n ? 0 : reclaim(t, e);
	pthread_mutex_unlock(&t->maint_mu);
	return rc;
}

/* ---- runs -------------------------------------------------------------------------------------------------- */

static int size_class(const struct file *f)
{
	int c = 0;

	for (uint64_t n = f->meta.rows / 4096; n; n /= RUNS_RATIO)
		c++;
	return c;
}

/*
 * The runs to merge next: the smallest ones first. A group begins at a run and takes in what follows
 * as long as nothing is of a larger class; it counts when RUNS_FEW of it are of the class itself. Only
 * from the set's file `from` on. *ret: the first of as many as are returned.
 */
static uint32_t choose_runs(const struct file_set *set, uint32_t from, int64_t cut, uint32_t *ret)
{
	struct file *const *v = set->v;
	uint32_t best_n = 0;
	int best = 0;

	for (uint32_t i = from; i < set->n; i++) {
		int c = size_class(v[i]);
		uint64_t rows = 0;
		uint32_t k = i, alike = 0;
		if (v[i]->meta.kind != CATALOG_RUN || v[i]->meta.t_max_ns < cut || (best_n && c >= best))
			continue;
		for (; k < set->n && size_class(v[k]) <= c && v[k]->meta.t_max_ns >= cut; k++) {
			rows += v[k]->meta.rows;
			if (rows > RUN_ROWS_MOST)
				break;
			alike += size_class(v[k]) == c;
		}
		if (alike >= RUNS_FEW) {
			best = c;
			best_n = k - i;
			*ret = i;
		}
	}
	return best_n;
}

/* How many of the files there are up to the first that is damaged, itself included. */
static uint32_t behind_damaged(const struct swap *s)
{
	struct tile *tile;

	for (uint32_t i = 0; i < s->n; i++)
		if (file_tile(s->out[i], s->t, &tile, NULL) < 0 || tile_verify(tile, NULL) < 0)
			return i + 1;
	return s->n;
}

/* A damaged run keeps its group from merging, and does not keep those behind it from theirs. */
int table_merge_runs(struct table *t, struct err *e)
{
	int first = 0;
	uint32_t from = 0;

	pthread_mutex_lock(&t->maint_mu);
	while ((first >= 0 || first == -EBADMSG) && !table_dropped(t)) {
		struct file_set *set = table_pin_files(t);
		uint32_t at = 0;
		pthread_mutex_lock(&t->mu);
		int64_t cut = settings_memory_edge(&t->settings, clock_now_ns());
		pthread_mutex_unlock(&t->mu);
		struct swap s = {.t = t, .n = choose_runs(set, from, cut, &at)};
		s.out = set->v + at;
		int rc = s.n ? rewrite_swap(&s, first < 0 ? NULL : e) : 0;
		if (rc == -EBADMSG)
			from = at + behind_damaged(&s);
		if (rc < 0 && (first >= 0 || rc != -EBADMSG))
			first = rc;
		file_set_put(set);
		if (!s.n)
			break;
	}
	pthread_mutex_unlock(&t->maint_mu);
	return first;
}
