/*
 * File order of series: dimensions by the bytes of their column names, an absent one before any
 * value, then the measure name. A new column is absent everywhere, so it changes no order.
 *
 * Two series are compared text by text. To sort many, every dictionary value in use gets its rank
 * first; a series' ranks, packed most significant column first, make a key that compares as a few
 * 64-bit words (one word for the usual fleet of hosts), and no text is read again.
 */
#include "engine/series_set.h"

#include <stdlib.h>

static int cmp_measure(const struct series_set *s, const struct entry *a, const struct entry *b)
{
	if (a->measure == b->measure)
		return 0;
	return str_cmp(names_at(&s->measures, a->measure), names_at(&s->measures, b->measure));
}

static int cmp_code(const struct series_set *s, uint32_t col, uint32_t a, uint32_t b)
{
	const struct names *d = column_slot(s, col)->dict;

	return a == b ? 0 : str_cmp(names_at(d, a), names_at(d, b));
}

int series_cmp(const struct series_set *s, uint32_t ia, uint32_t ib)
{
	const struct entry *a = series_entry(s, ia), *b = series_entry(s, ib);
	const struct shape *sa = series_shape(s, a->shape), *sb = series_shape(s, b->shape);
	uint32_t i = 0, j = 0;

	while (i < sa->n || j < sb->n) {
		/* The next column by name that either has; who lacks it comes first. */
		if (i == sa->n)
			return -1;
		if (j == sb->n)
			return 1;
		uint32_t pa = sa->by_name[i], pb = sb->by_name[j];
		uint32_t ca = sa->cols[pa], cb = sb->cols[pb];
		if (ca != cb)
			return str_cmp(column_slot(s, ca)->pub.name, column_slot(s, cb)->pub.name) < 0
				       ? 1
				       : -1;
		int c = cmp_code(s, ca, a->codes[pa], b->codes[pb]);
		if (c)
			return c;
		i++;
		j++;
	}
	return cmp_measure(s, a, b);
}

static int cmp_ids(const void *a, const void *b, void *ctx)
{
	return series_cmp(ctx, *(const uint32_t *)a, *(const uint32_t *)b);
}

/* ---- ranks ------------------------------------------------------------------------------------ */

/* One key column: where its ranks go in the packed key. rank 0 = absent. */
struct key_col {
	uint32_t col_id; /* or SERIES_MEASURE */
	uint32_t *rank;  /* by code */
	uint32_t count;  /* of codes when we looked: values that come meanwhile are no series' of ours */
	uint32_t bits;
	uint32_t word, shift;
};

struct ranker {
	const struct series_set *s;
	struct key_col *cols;
	uint32_t n;
	uint16_t *key_of; /* column id -> index in cols + 1 */
	uint32_t words;
};

/*
 * Texts of one dictionary mostly begin alike ("host_"), so eight bytes behind what all of them begin
 * with, as a number, decide nearly every comparison without a look at the texts.
 */
struct text_key {
	uint64_t head;
	uint32_t code;
};

static int cmp_text(const void *a, const void *b, void *ctx)
{
	const struct text_key *x = a, *y = b;
	const struct names *d = ctx;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return str_cmp(names_at(d, x->code), names_at(d, y->code));
}

static size_t common_length(struct str a, struct str b)
{
	size_t i = 0;

	while (i < a.len && i < b.len && a.ptr[i] == b.ptr[i])
		i++;
	return i;
}

/* A text that ends early has zeros there: it comes first, or is told apart by its length. */
static uint64_t head_of(struct str s, size_t skip)
{
	uint64_t head = 0;
	size_t n = MIN(s.len - skip, sizeof head);

	for (size_t i = 0; i < n; i++)
		head |= (uint64_t)(unsigned char)s.ptr[skip + i] << (56 - 8 * i);
	return head;
}

static void sort_texts(const struct names *d, struct text_key *v, uint32_t n)
{
	struct str first = n ? names_at(d, v[0].code) : (struct str){"", 0};
	size_t skip = first.len;

	for (uint32_t i = 1; i < n && skip; i++)
		skip = MIN(skip, common_length(first, names_at(d, v[i].code)));
	for (uint32_t i = 0; i < n; i++)
		v[i].head = head_of(names_at(d, v[i].code), skip);
	qsort_r(v, n, sizeof *v, cmp_text, (void *)d);
}

/* k->rank[code] is 1 where the code is in use, and becomes its rank. */
static int rank_column(const struct ranker *r, struct key_col *k)
{
	const struct names *d = k->col_id == SERIES_MEASURE ? &r->s->measures
							    : column_slot(r->s, k->col_id)->dict;
	uint32_t used = 0;

	for (uint32_t c = 0; c < k->count; c++)
		used += k->rank[c];
	struct text_key *v = malloc(((size_t)used + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	used = 0;
	for (uint32_t c = 0; c < k->count; c++)
		if (k->rank[c])
			v[used++].code = c;
	sort_texts(d, v, used);
	for (uint32_t i = 0; i < used; i++)
		k->rank[v[i].code] = i + 1;
	free(v);
	k->bits = 32 - (uint32_t)__builtin_clz(used | 1);
	return 0;
}

static void ranker_release(struct ranker *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		free(r->cols[i].rank);
	free(r->cols);
	free(r->key_of);
}

static int cmp_key_col(const void *a, const void *b, void *ctx)
{
	const struct key_col *x = a, *y = b;
	const struct series_set *s = ctx;

	return str_cmp(column_slot(s, x->col_id)->pub.name, column_slot(s, y->col_id)->pub.name);
}

static int add_key_col(struct ranker *r, uint32_t col_id)
{
	uint32_t count = series_dict_count(r->s, col_id);

	r->cols[r->n] = (struct key_col){.col_id = col_id,
					 .count = count,
					 .rank = calloc((size_t)count + 1, sizeof(uint32_t))};
	return r->cols[r->n++].rank ? 0 : -ENOMEM;
}

/* Which columns and values the ids use, their ranks, and where each goes in the key. */
static int ranker_init(struct ranker *r, const struct series_set *s, const uint32_t *ids,
		       uint32_t n)
{
	uint32_t columns = series_column_count(s);
	int rc = 0;

	*r = (struct ranker){.s = s};
	r->cols = calloc((size_t)columns + 1, sizeof *r->cols);
	r->key_of = calloc((size_t)columns + 1, sizeof *r->key_of);
	if (!r->cols || !r->key_of)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const struct shape *sh = series_shape(s, series_entry(s, ids[i])->shape);
		for (uint32_t j = 0; j < sh->n; j++) {
			if (r->key_of[sh->cols[j]])
				continue;
			r->key_of[sh->cols[j]] = 1;
			rc = add_key_col(r, sh->cols[j]);
			if (rc < 0)
				return rc;
		}
	}
	qsort_r(r->cols, r->n, sizeof *r->cols, cmp_key_col, (void *)s);
	for (uint32_t i = 0; i < r->n; i++)
		r->key_of[r->cols[i].col_id] = (uint16_t)(i + 1);
	rc = add_key_col(r, SERIES_MEASURE);
	if (rc < 0)
		return rc;

	for (uint32_t i = 0; i < n; i++) {
		const struct entry *en = series_entry(s, ids[i]);
		const struct shape *sh = series_shape(s, en->shape);
		for (uint32_t j = 0; j < sh->n; j++)
			r->cols[r->key_of[sh->cols[j]] - 1].rank[en->codes[j]] = 1;
		r->cols[r->n - 1].rank[en->measure] = 1;
	}
	uint32_t left = 0; /* bits free in the current word */
	for (uint32_t i = 0; i < r->n; i++) {
		struct key_col *k = &r->cols[i];
		rc = rank_column(r, k);
		if (rc < 0)
			return rc;
		if (k->bits > left) {
			r->words++;
			left = 64;
		}
		left -= k->bits;
		k->word = r->words - 1;
		k->shift = left;
	}
	return 0;
}

static void make_key(const struct ranker *r, uint32_t id, uint64_t *key)
{
	const struct entry *en = series_entry(r->s, id);
	const struct shape *sh = series_shape(r->s, en->shape);
	const struct key_col *m = &r->cols[r->n - 1];

	memset(key, 0, r->words * sizeof *key);
	for (uint32_t j = 0; j < sh->n; j++) {
		const struct key_col *k = &r->cols[r->key_of[sh->cols[j]] - 1];
		key[k->word] |= (uint64_t)k->rank[en->codes[j]] << k->shift;
	}
	key[m->word] |= (uint64_t)m->rank[en->measure] << m->shift;
}

/* An element is its key's words and then the id, in a word of its own. */
static int cmp_keys(const void *a, const void *b, void *ctx)
{
	const uint64_t *x = a, *y = b;
	uint32_t words = *(const uint32_t *)ctx;

	for (uint32_t i = 0; i < words; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

#define RANKS_WORTH  256                /* fewer ids: compare texts */
#define KEYS_BYTES_MAX ((size_t)256 << 20)

static bool is_sorted(const struct series_set *s, const uint32_t *ids, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (series_cmp(s, ids[i - 1], ids[i]) > 0)
			return false;
	return true;
}

int series_sort(const struct series_set *s, uint32_t *ids, uint32_t n)
{
	struct ranker r;
	uint64_t *keys = NULL;
	int rc = 0;

	if (is_sorted(s, ids, n)) /* stops early when it is not */
		return 0;
	if (n < RANKS_WORTH) {
		qsort_r(ids, n, sizeof *ids, cmp_ids, (void *)s);
		return 0;
	}
	rc = ranker_init(&r, s, ids, n);
	if (rc < 0)
		goto out;
	size_t stride = (size_t)r.words + 1;
	if (stride * 8 > KEYS_BYTES_MAX / n) {
		qsort_r(ids, n, sizeof *ids, cmp_ids, (void *)s);
		goto out;
	}
	keys = malloc(n * stride * sizeof *keys);
	if (!keys) {
		rc = -ENOMEM;
		goto out;
	}
	for (uint32_t i = 0; i < n; i++) {
		make_key(&r, ids[i], keys + i * stride);
		keys[i * stride + r.words] = ids[i];
	}
	qsort_r(keys, n, stride * sizeof *keys, cmp_keys, &r.words);
	for (uint32_t i = 0; i < n; i++)
		ids[i] = (uint32_t)keys[i * stride + r.words];
out:
	free(keys);
	ranker_release(&r);
	return rc;
}
