#include "engine/memtable.h"

#include <stdlib.h>

#include "engine/id_range.h"

struct old_list {
	struct old_list *next;
	struct block_col *cols;
};

/* ---- blocks ------------------------------------------------------------------------------------ */

static void block_put(struct block *b)
{
	if (atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < b->col_count; i++) {
		free(b->cols[i].col.data);
		free(b->cols[i].col.valid);
	}
	for (struct old_list *o = b->old_cols, *next; o; o = next) {
		next = o->next;
		free(o->cols);
		free(o);
	}
	free(b->cols);
	free(b->series);
	free(b->time_ns);
	free(b->version);
	arena_release(&b->strings);
	block_index_destroy(b->index);
	pthread_mutex_destroy(&b->index_mu);
	free(b);
}

static struct block *block_create(uint32_t cap)
{
	struct block *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->cap = cap;
	b->t_min = INT64_MAX;
	b->t_max = INT64_MIN;
	b->series = malloc(cap * sizeof *b->series);
	b->time_ns = malloc(cap * sizeof *b->time_ns);
	b->bytes = sizeof *b + cap * (sizeof *b->series + sizeof *b->time_ns);
	arena_init(&b->strings, NULL);
	pthread_mutex_init(&b->index_mu, NULL);
	if (!b->series || !b->time_ns) {
		block_put(b);
		return NULL;
	}
	return b;
}

/* hint: where it probably is, as batches name their columns in the same order again and again. */
static struct block_col *block_find_col(const struct block *b, uint32_t col_id, uint32_t hint)
{
	if (hint < b->col_count && b->cols[hint].col_id == col_id)
		return &b->cols[hint];
	for (uint32_t i = 0; i < b->col_count; i++)
		if (b->cols[i].col_id == col_id)
			return &b->cols[i];
	return NULL;
}

/*
 * A column of its own from now on; NULL for the rows before. A view may hold the present list, so a
 * full one is replaced and kept until the block goes; one that has room grows past what views see.
 */
static int block_add_col(struct block *b, pthread_mutex_t *mu, uint32_t col_id, enum coltype type)
{
	struct block_col nc = {.col_id = col_id, .col.type = type, .first_null = UINT32_MAX};

	nc.col.data = calloc(b->cap, coltype_size(type));
	nc.col.valid = calloc(b->cap, 1);
	if (!nc.col.data || !nc.col.valid)
		goto fail;
	struct block_col *cols = b->cols;
	struct old_list *old = NULL;
	uint32_t cap = b->col_cap;
	if (b->col_count == b->col_cap) {
		cap = cap ? cap * 2 : 8;
		cols = malloc(cap * sizeof *cols);
		if (!cols)
			goto fail;
		if (b->cols) {
			old = malloc(sizeof *old);
			if (!old) {
				free(cols);
				goto fail;
			}
			memcpy(cols, b->cols, b->col_count * sizeof *cols);
		}
	}
	cols[b->col_count] = nc;
	pthread_mutex_lock(mu);
	if (old) {
		*old = (struct old_list){b->old_cols, b->cols};
		b->old_cols = old;
	}
	b->cols = cols;
	b->col_cap = cap;
	b->col_count++;
	b->bytes += b->cap * (coltype_size(type) + 1);
	pthread_mutex_unlock(mu);
	return 0;
fail:
	free(nc.col.data);
	free(nc.col.valid);
	return -ENOMEM;
}

/* ---- the table's rows ---------------------------------------------------------------------------- */

void memtable_init(struct memtable *m)
{
	*m = (struct memtable){0};
}

void memtable_release(struct memtable *m)
{
	while (m->first) {
		struct block *b = m->first;
		m->first = b->next;
		block_put(b);
	}
	memtable_init(m);
}

void memtable_freeze(struct memtable *m, pthread_mutex_t *mu)
{
	if (!m->last || m->last->is_frozen || !m->last->n)
		return;
	pthread_mutex_lock(mu);
	m->last->is_frozen = true;
	pthread_mutex_unlock(mu);
}

static size_t string_bytes(const struct batch *b)
{
	size_t total = 0;

	for (uint32_t c = 0; c < b->col_count; c++) {
		const struct batch_col *bc = &b->cols[c];
		if (!bc->has_values || bc->col.type != COL_VARCHAR)
			continue;
		for (uint32_t i = 0; i < b->n; i++)
			if (bc->col.valid[i])
				total += bc->col.str[i].len;
	}
	return total;
}

/* Rows for a new block behind k (may be NULL): growing, but no more memory than is sensible. */
static uint32_t block_rows(const struct block *k, const struct batch *b)
{
	size_t now = 0, before = 0;
	uint32_t cap = BLOCK_ROWS_MIN, most;

	for (uint32_t c = 0; c < b->col_count; c++)
		if (b->cols[c].has_values)
			now += coltype_size(b->cols[c].col.type) + 1;
	/* Where columns differ from batch to batch, the block before shows how many come together. */
	for (uint32_t c = 0; k && c < k->col_count; c++)
		before += coltype_size(k->cols[c].col.type) + 1;
	size_t row_bytes = sizeof(uint32_t) + sizeof(int64_t) + MAX(now, before);
	if (k && !k->is_frozen)
		cap = MIN(k->cap * 4, (uint32_t)BLOCK_ROWS_MAX);
	else if (k) /* by a deletion: where they come often, blocks never fill */
		cap = k->n < k->cap / 4 ? MAX(k->cap / 4, (uint32_t)BLOCK_ROWS_MIN) : MIN(k->cap, (uint32_t)BLOCK_ROWS_MAX);
	while (cap < b->n)
		cap *= 4;
	most = (uint32_t)MIN(MAX(BLOCK_BYTES_MAX / row_bytes, (size_t)BLOCK_ROWS_MIN), (size_t)BLOCK_ROWS_MAX);
	return MAX(MIN(cap, most), b->n);
}

static int add_block(struct memtable *m, pthread_mutex_t *mu, const struct batch *b, struct err *e)
{
	struct block *k = m->last;
	uint32_t cap = block_rows(k, b);
	struct block *fresh = block_create(cap);

	if (!fresh)
		return err_set(e, -ENOMEM, "no memory for a block of %u rows", cap);
	memtable_freeze(m, mu);
	pthread_mutex_lock(mu);
	if (k)
		k->next = fresh;
	else
		m->first = fresh;
	m->last = fresh;
	m->blocks++;
	m->bytes += fresh->bytes;
	pthread_mutex_unlock(mu);
	return 0;
}

static int reserve_versions(struct block *k, pthread_mutex_t *mu, struct err *e)
{
	int64_t *v = calloc(k->cap, sizeof *v);

	if (!v)
		return err_set(e, -ENOMEM, "no memory for versions of %u rows", k->cap);
	pthread_mutex_lock(mu);
	k->version = v;
	k->bytes += k->cap * sizeof *v;
	pthread_mutex_unlock(mu);
	return 0;
}

static int reserve_values(struct block *k, pthread_mutex_t *mu, const struct batch *b, struct err *e)
{
	for (uint32_t c = 0; c < b->col_count; c++) {
		const struct batch_col *bc = &b->cols[c];
		if (!bc->has_values || block_find_col(k, bc->col_id, c))
			continue;
		int rc = block_add_col(k, mu, bc->col_id, bc->col.type);
		if (rc < 0)
			return err_set(e, rc, "no memory for a column of %u rows", k->cap);
	}
	/* The bytes of all strings in one piece, so that the copying cannot fail half-way. */
	size_t want = string_bytes(b), held = k->strings.bytes;
	if (!want)
		return 0;
	struct arena_mark mark = arena_mark(&k->strings);
	if (!arena_alloc(&k->strings, want))
		return err_set(e, -ENOMEM, "no memory for %zu bytes of strings", want);
	/* Give the piece back without its chunk: append takes the same bytes again. */
	if (mark.chunk == k->strings.chunk)
		arena_rewind(&k->strings, mark);
	else
		arena_rewind(&k->strings, (struct arena_mark){k->strings.chunk, 0});
	pthread_mutex_lock(mu);
	k->bytes += k->strings.bytes - held;
	pthread_mutex_unlock(mu);
	return 0;
}

int memtable_reserve(struct memtable *m, pthread_mutex_t *mu, const struct batch *b,
		     struct err *e)
{
	struct block *k = m->last;
	int rc = 0;

	if (!k || k->is_frozen || k->cap - k->n < b->n)
		rc = add_block(m, mu, b, e);
	if (rc < 0)
		return rc;
	k = m->last;
	size_t before = k->bytes;
	rc = b->has_version && !k->version ? reserve_versions(k, mu, e) : 0;
	if (rc >= 0)
		rc = reserve_values(k, mu, b, e);
	/* Also when it failed half-way: what dropping the block gives back must have been counted. */
	pthread_mutex_lock(mu);
	m->bytes += k->bytes - before;
	pthread_mutex_unlock(mu);
	return rc;
}

/* Rows [at, at + n) are about to be published, after those that lack the column. */
static void note_filled(struct block_col *c, uint32_t at, uint32_t n, bool has_null)
{
	uint32_t filled = atomic_load_explicit(&c->filled, memory_order_relaxed);
	uint32_t null = filled < at ? filled : has_null ? at : UINT32_MAX;

	if (null < atomic_load_explicit(&c->first_null, memory_order_relaxed))
		atomic_store_explicit(&c->first_null, null, memory_order_relaxed);
	/* Who sees this sees the first NULL, too, though it be among rows published long ago. */
	atomic_store_explicit(&c->filled, at + n, memory_order_release);
}

/* Returns where its strings end: the next column's begin there. */
static char *copy_col(struct block *k, const struct batch *b, uint32_t c, char *strings)
{
	const struct batch_col *bc = &b->cols[c];
	struct block_col *to = block_find_col(k, bc->col_id, c);
	uint32_t at = k->n;

	memcpy(to->col.valid + at, bc->col.valid, b->n);
	note_filled(to, at, b->n, memchr(bc->col.valid, 0, b->n) != NULL);
	if (bc->col.type != COL_VARCHAR) {
		size_t size = coltype_size(bc->col.type);
		memcpy((char *)to->col.data + at * size, bc->col.data, b->n * size);
		return strings;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		struct str s = bc->col.str[i];
		if (!bc->col.valid[i])
			continue;
		to->col.str[at + i] = (struct str){strings, s.len};
		if (!s.len) /* there may be no strings at all */
			continue;
		memcpy(strings, s.ptr, s.len);
		strings += s.len;
	}
	return strings;
}

void memtable_append(struct memtable *m, pthread_mutex_t *mu, const struct batch *b, uint64_t seq_lo,
		     uint64_t seq_hi)
{
	struct block *k = m->last;
	int64_t t_min = k->t_min, t_max = k->t_max;

	memcpy(k->series + k->n, b->series, b->n * sizeof *k->series);
	memcpy(k->time_ns + k->n, b->time_ns, b->n * sizeof *k->time_ns);
	if (b->has_version)
		memcpy(k->version + k->n, b->version, b->n * sizeof *k->version);
	for (uint32_t i = 0; i < b->n; i++) {
		t_min = MIN(t_min, b->time_ns[i]);
		t_max = MAX(t_max, b->time_ns[i]);
	}
	size_t want = string_bytes(b);
	char *strings = want ? arena_alloc(&k->strings, want) : NULL;
	for (uint32_t c = 0; c < b->col_count; c++) {
		const struct batch_col *bc = &b->cols[c];
		if (!bc->has_values)
			continue;
		strings = copy_col(k, b, c, strings);
	}
	pthread_mutex_lock(mu);
	if (!k->n)
		k->seq_lo = seq_lo;
	k->seq_hi = seq_hi;
	k->t_min = t_min;
	k->t_max = t_max;
	k->n += b->n;
	m->rows += b->n;
	pthread_mutex_unlock(mu);
}

void memtable_drop_through(struct memtable *m, const struct block *upto)
{
	while (m->first) {
		struct block *b = m->first;
		m->first = b->next;
		if (!m->first)
			m->last = NULL;
		m->rows -= b->n;
		m->bytes -= b->bytes;
		m->blocks--;
		bool is_last = b == upto;
		block_put(b);
		if (is_last)
			break;
	}
}

size_t memtable_drop_empty(struct memtable *m)
{
	struct block **link = &m->first, *last = NULL;
	size_t freed = 0;

	while (*link) {
		struct block *b = *link;
		if (b->n) {
			last = b;
			link = &b->next;
			continue;
		}
		*link = b->next;
		freed += b->bytes;
		m->blocks--;
		block_put(b);
	}
	m->last = last;
	m->bytes -= freed;
	return freed;
}

int memtable_view(const struct memtable *m, struct block_view **ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	for (const struct block *b = m->first; b; b = b->next)
		n += b->n > 0;
	struct block_view *v = malloc(MAX(n, 1u) * sizeof *v);
	if (!v)
		return -ENOMEM;
	n = 0;
	for (struct block *b = m->first; b; b = b->next) {
		if (!b->n)
			continue;
		atomic_fetch_add(&b->refs, 1);
		v[n++] = (struct block_view){.block = b,
					     .cols = b->cols,
					     .col_count = b->col_count,
					     .n = b->n,
					     .version = b->version,
					     .is_frozen = b->is_frozen,
					     .seq_lo = b->seq_lo,
					     .seq_hi = b->seq_hi,
					     .t_min = b->t_min,
					     .t_max = b->t_max};
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

struct block_view block_view_get(const struct block_view *v)
{
	atomic_fetch_add(&v->block->refs, 1);
	return *v;
}

void block_view_release(struct block_view *v)
{
	if (v->block)
		block_put(v->block);
	v->block = NULL;
}

/* ---- the index by (series, time) ------------------------------------------------------------------- */

void block_index_destroy(struct block_index *ix)
{
	if (!ix)
		return;
	free(ix->order);
	free(ix->groups);
	free(ix);
}

const struct block_group *block_index_find(const struct block_index *ix, uint32_t series_id)
{
	uint32_t n = ix->group_count, lo = 0, hi = 0;

	if (n)
		id_range(n, ix->groups[0].series_id, ix->groups[n - 1].series_id, series_id, &lo, &hi);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ix->groups[mid].series_id < series_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && ix->groups[lo].series_id == series_id ? &ix->groups[lo] : NULL;
}

/* Stable LSD radix sort of row numbers by series id, 11 bits a pass; passes that all share are skipped. */
static int sort_by_series(const uint32_t *series, uint32_t **rows, uint32_t n)
{
	uint32_t all_or = 0, all_and = UINT32_MAX;
	uint32_t *a = *rows, *b = NULL;

	for (uint32_t i = 0; i < n; i++) {
		all_or |= series[a[i]];
		all_and &= series[a[i]];
	}
	for (int shift = 0; shift < 32; shift += 11) {
		uint32_t count[2049] = {0};
		if (((all_or ^ all_and) >> shift & 2047) == 0)
			continue;
		if (!b && !(b = malloc(n * sizeof *b)))
			return -ENOMEM;
		for (uint32_t i = 0; i < n; i++)
			count[(series[a[i]] >> shift & 2047) + 1]++;
		for (int k = 0; k < 2048; k++)
			count[k + 1] += count[k];
		for (uint32_t i = 0; i < n; i++)
			b[count[series[a[i]] >> shift & 2047]++] = a[i];
		uint32_t *t = a;
		a = b;
		b = t;
	}
	free(b);
	*rows = a;
	return 0;
}

/* Merge sort of one group by time, stable: equal times stay in order of arrival. */
static int sort_by_time(const int64_t *time, uint32_t *rows, uint32_t n)
{
	uint32_t *tmp = malloc(n * sizeof *tmp);
	uint32_t *from = rows, *to = tmp;

	if (!tmp)
		return -ENOMEM;
	for (uint32_t width = 1; width < n; width *= 2) {
		for (uint32_t lo = 0; lo < n; lo += 2 * width) {
			uint32_t mid = MIN(lo + width, n), hi = MIN(lo + 2 * width, n);
			uint32_t i = lo, j = mid;
			for (uint32_t k = lo; k < hi; k++)
				to[k] = i < mid && (j >= hi || time[from[i]] <= time[from[j]]) ? from[i++]
											   : from[j++];
		}
		uint32_t *t = from;
		from = to;
		to = t;
	}
	if (from != rows)
		memcpy(rows, from, n * sizeof *rows);
	free(tmp);
	return 0;
}

static int close_group(const struct block *b, struct block_index *ix, struct block_group *g)
{
	uint32_t *rows = ix->order + g->start;
	bool sorted = true;

	for (uint32_t i = 1; i < g->count; i++)
		sorted &= b->time_ns[rows[i - 1]] <= b->time_ns[rows[i]];
	if (!sorted) {
		int rc = sort_by_time(b->time_ns, rows, g->count);
		if (rc < 0)
			return rc;
	}
	g->t_min = b->time_ns[rows[0]];
	g->t_max = b->time_ns[rows[g->count - 1]];
	for (uint32_t i = 1; i < g->count && !g->has_duplicates; i++)
		g->has_duplicates = b->time_ns[rows[i - 1]] == b->time_ns[rows[i]];
	return 0;
}

static int index_build(const struct block_view *v, const uint64_t *wanted, uint32_t bits,
		       struct block_index **ret)
{
	const struct block *b = v->block;
	struct block_index *ix = calloc(1, sizeof *ix);
	uint32_t n = 0, groups = 0;
	int rc = -ENOMEM;

	if (!ix || !(ix->order = malloc(v->n * sizeof *ix->order)))
		goto fail;
	for (uint32_t i = 0; i < v->n; i++)
		if (!wanted || bit_test(wanted, bits, b->series[i]))
			ix->order[n++] = i;
	ix->row_count = n;
	rc = sort_by_series(b->series, &ix->order, n);
	if (rc < 0)
		goto fail;
	for (uint32_t i = 0; i < n; i++)
		groups += i == 0 || b->series[ix->order[i]] != b->series[ix->order[i - 1]];
	ix->groups = calloc(MAX(groups, 1u), sizeof *ix->groups);
	if (!ix->groups) {
		rc = -ENOMEM;
		goto fail;
	}
	for (uint32_t i = 0; i < n;) {
		struct block_group *g = &ix->groups[ix->group_count++];
		g->series_id = b->series[ix->order[i]];
		g->start = i;
		while (i < n && b->series[ix->order[i]] == g->series_id)
			i++;
		g->count = i - g->start;
		rc = close_group(b, ix, g);
		if (rc < 0)
			goto fail;
	}
	*ret = ix;
	return 0;
fail:
	block_index_destroy(ix);
	return rc;
}

int block_index_get(const struct block_view *v, const uint64_t *wanted, uint32_t bits,
		    const struct block_index **ret, bool *ret_given)
{
	struct block *b = v->block;
	struct block_index *ix = NULL;
	int rc;

	pthread_mutex_lock(&b->index_mu);
	if (b->index && b->index->row_count == v->n) {
		*ret = b->index;
		*ret_given = false;
		pthread_mutex_unlock(&b->index_mu);
		return 0;
	}
	pthread_mutex_unlock(&b->index_mu);
	bool keep = v->is_frozen;
	rc = index_build(v, keep ? NULL : wanted, bits, &ix);
	if (rc < 0)
		return rc;
	*ret = ix;
	*ret_given = true;
	if (!keep)
		return 0;
	pthread_mutex_lock(&b->index_mu);
	if (!b->index) {
		b->index = ix;
		*ret_given = false;
	}
	pthread_mutex_unlock(&b->index_mu);
	return 0;
}
