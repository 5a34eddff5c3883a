#include "engine/series_set.h"

#include <stdlib.h>
#include <sys/random.h>

/* Readers (the ingest of known series) must not starve the one that adds a series. */
static int lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t a;
	int rc = pthread_rwlockattr_init(&a);

	if (rc)
		return -rc;
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	rc = pthread_rwlock_init(lock, &a);
	pthread_rwlockattr_destroy(&a);
	return -rc;
}

int series_set_create(struct series_set **ret)
{
	struct series_set *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	int rc = lock_init(&s->lock);
	if (rc < 0) {
		free(s);
		return rc;
	}
	pthread_mutex_init(&s->file_mu, NULL);
	if (getrandom(&s->seed, sizeof s->seed, GRND_NONBLOCK) != (ssize_t)sizeof s->seed)
		s->seed = (uint64_t)clock_mono_ns() ^ (uintptr_t)s;
	s->columns.elem_bytes = sizeof(struct column_slot);
	s->series.elem_bytes = sizeof(struct entry *);
	s->shapes.elem_bytes = sizeof(struct shape);
	s->measure_types.elem_bytes = sizeof(uint8_t);
	names_init(&s->measures);
	*ret = s;
	return 0;
}

void series_set_destroy(struct series_set *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < segs_count(&s->columns); i++) {
		struct names *d = column_slot(s, i)->dict;
		if (d)
			names_release(d);
		free(d);
		chain_destroy(column_slot(s, i)->chain);
	}
	names_release(&s->measures);
	segs_release(&s->measure_types);
	segs_release(&s->columns);
	segs_release(&s->series);
	segs_release(&s->shapes);
	idx_release(&s->by_column_name);
	idx_release(&s->by_key);
	idx_release(&s->by_shape);
	pool_release(&s->text);
	pool_release(&s->entries);
	pthread_mutex_destroy(&s->file_mu);
	pthread_rwlock_destroy(&s->lock);
	free(s);
}

/* ---- shapes and entries ----------------------------------------------------------------------- */

int64_t shape_find(const struct series_set *s, const uint16_t *cols, uint32_t n, uint32_t hash)
{
	uint32_t i, id;

	IDX_EACH(&s->by_shape, hash, i, id) {
		const struct shape *sh = series_shape(s, id);
		if (sh->n == n && (n == 0 || memcmp(sh->cols, cols, n * sizeof *cols) == 0))
			return id;
	}
	return -1;
}

int shape_reserve(struct series_set *s)
{
	int rc = segs_reserve(&s->shapes, 1);

	return rc < 0 ? rc : idx_reserve(&s->by_shape, 1);
}

static int by_column_name(const void *a, const void *b, void *ctx)
{
	const struct series_set *s = ctx;
	uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	return str_cmp(column_slot(s, x)->pub.name, column_slot(s, y)->pub.name);
}

uint32_t shape_push(struct series_set *s, const uint16_t *cols, uint32_t n, uint32_t hash)
{
	uint32_t id = segs_count(&s->shapes);
	struct shape *sh = segs_at(&s->shapes, id);
	uint16_t *mem = pool_take(&s->entries, shape_bytes(n));

	sh->n = n;
	sh->cols = mem;
	sh->by_name = mem + n;
	if (n) {
		memcpy(sh->cols, cols, n * sizeof *cols);
		memcpy(sh->by_name, cols, n * sizeof *cols);
		qsort_r(sh->by_name, n, sizeof *cols, by_column_name, s);
	}
	/* Column ids in name order become positions: the codes of an entry lie by position. */
	for (uint32_t i = 0; i < n; i++) {
		uint32_t lo = 0, hi = n - 1;
		while (lo < hi) {
			uint32_t mid = (lo + hi) / 2;
			if (sh->cols[mid] < sh->by_name[i])
				lo = mid + 1;
			else
				hi = mid;
		}
		sh->by_name[i] = (uint16_t)lo;
	}
	idx_put(&s->by_shape, hash, id);
	segs_publish(&s->shapes);
	return id;
}

uint32_t entry_hash(const struct series_set *s, uint32_t shape, uint32_t measure,
		    const uint32_t *codes, uint32_t n)
{
	uint64_t h = hash_bytes(codes, n * sizeof *codes,
				s->seed ^ ((uint64_t)shape << 32 | measure));
	return (uint32_t)(h ^ h >> 32);
}

int64_t entry_find(const struct series_set *s, uint32_t shape, uint32_t measure,
		   const uint32_t *codes, uint32_t n, uint32_t hash)
{
	uint32_t i, id;

	IDX_EACH(&s->by_key, hash, i, id) {
		const struct entry *en = series_entry(s, id);
		if (en->shape == shape && en->measure == measure &&
		    (n == 0 || memcmp(en->codes, codes, n * sizeof *codes) == 0))
			return id;
	}
	return -1;
}

int entry_reserve(struct series_set *s)
{
	if (segs_count(&s->series) >= SERIES_MAX)
		return -E2BIG;
	int rc = segs_reserve(&s->series, 1);
	return rc < 0 ? rc : idx_reserve(&s->by_key, 1);
}

uint32_t entry_append(struct series_set *s, uint32_t shape, uint32_t measure, const uint32_t *codes, uint32_t n)
{
	uint32_t id = segs_count(&s->series);
	struct entry *en = pool_take(&s->entries, entry_bytes(n));

	en->shape = shape;
	en->measure = measure;
	if (n)
		memcpy(en->codes, codes, n * sizeof *codes);
	*(struct entry **)segs_at(&s->series, id) = en;
	segs_publish(&s->series);
	return id;
}

uint32_t entry_push(struct series_set *s, uint32_t shape, uint32_t measure, const uint32_t *codes,
		    uint32_t n, uint32_t hash)
{
	idx_put(&s->by_key, hash, segs_count(&s->series));
	return entry_append(s, shape, measure, codes, n);
}

static uint32_t hash_of_entry(const struct series_set *s, uint32_t id)
{
	const struct entry *en = series_entry(s, id);

	return entry_hash(s, en->shape, en->measure, en->codes, series_shape(s, en->shape)->n);
}

static int index_entries(struct series_set *s)
{
	uint32_t n = segs_count(&s->series), from = s->by_key.used, hashes[INDEX_AHEAD];
	int rc = idx_reserve(&s->by_key, n - from);

	for (uint64_t i = from; rc == 0 && i < (uint64_t)n + INDEX_AHEAD; i++) {
		uint32_t *hash = &hashes[i % INDEX_AHEAD];
		if (i >= (uint64_t)from + INDEX_AHEAD) {
			uint32_t id = (uint32_t)(i - INDEX_AHEAD);
			const struct entry *en = series_entry(s, id);
			if (entry_find(s, en->shape, en->measure, en->codes, series_shape(s, en->shape)->n, *hash) >= 0)
				return -EBADMSG;
			idx_put(&s->by_key, *hash, id);
		}
		if (i < n) {
			*hash = hash_of_entry(s, (uint32_t)i);
			idx_prefetch(&s->by_key, *hash);
		}
	}
	return rc;
}

int series_index(struct series_set *s)
{
	int rc = index_entries(s);

	for (uint32_t i = 0; rc == 0 && i < segs_count(&s->columns); i++)
		if (column_slot(s, i)->dict)
			rc = names_index(column_slot(s, i)->dict);
	return rc;
}

/* ---- measure names ------------------------------------------------------------------------------ */

const char *measure_type_name(enum measure_type t)
{
	return t == MEASURE_MULTI ? "multi" : coltype_name((enum coltype)t);
}

int measure_reserve(struct series_set *s)
{
	int rc = segs_reserve(&s->measure_types, 1);

	return rc < 0 ? rc : names_reserve(&s->measures);
}

uint32_t measure_push(struct series_set *s, struct str name, enum measure_type type, uint32_t hash)
{
	*(uint8_t *)segs_at(&s->measure_types, segs_count(&s->measure_types)) = (uint8_t)type;
	segs_publish(&s->measure_types);
	return names_add(&s->measures, &s->text, name, hash);
}

/* ---- interning -------------------------------------------------------------------------------- */

/*
 * What a call works on, in order of column id. Values are hashed once, before the lock. Sixty-four
 * dimensions fit on the stack; more take the heap.
 */
#define FEW_DIMS 64

struct request {
	struct str measure;
	enum measure_type type;
	uint32_t measure_hash, shape_hash;
	uint32_t n;
	struct dim_value *dims;
	uint32_t *hashes, *codes;
	uint16_t *cols;
	void *heap;
	struct dim_value few_dims[FEW_DIMS];
	uint32_t few_hashes[FEW_DIMS], few_codes[FEW_DIMS];
	uint16_t few_cols[FEW_DIMS];
};

#define CODE_NEW UINT32_MAX

static int by_col_id(const void *a, const void *b)
{
	const struct dim_value *x = a, *y = b;
	return (x->col_id > y->col_id) - (x->col_id < y->col_id);
}

static int request_init(struct request *q, const struct series_set *s, struct str measure,
			const struct dim_value *dims, uint32_t n)
{
	q->measure = measure;
	q->n = n;
	q->heap = NULL;
	q->dims = q->few_dims;
	q->hashes = q->few_hashes;
	q->codes = q->few_codes;
	q->cols = q->few_cols;
	if (n > FEW_DIMS) {
		q->heap = malloc(n * (sizeof *q->dims + 2 * sizeof(uint32_t) + sizeof(uint16_t)));
		if (!q->heap)
			return -ENOMEM;
		q->dims = q->heap;
		q->hashes = (uint32_t *)(q->dims + n);
		q->codes = q->hashes + n;
		q->cols = (uint16_t *)(q->codes + n);
	}
	/* Callers mostly come in the order in which columns were made; then this sorts nothing. */
	bool sorted = true;
	for (uint32_t i = 0; i < n; i++) {
		q->dims[i] = dims[i];
		sorted &= i == 0 || dims[i - 1].col_id < dims[i].col_id;
	}
	if (!sorted)
		qsort(q->dims, n, sizeof *q->dims, by_col_id);
	for (uint32_t i = 0; i < n; i++) {
		q->cols[i] = (uint16_t)q->dims[i].col_id;
		q->hashes[i] = hash32(s, q->dims[i].value.ptr, q->dims[i].value.len);
	}
	q->measure_hash = hash32(s, measure.ptr, measure.len);
	q->shape_hash = hash32(s, q->cols, n * sizeof *q->cols);
	return 0;
}

struct found {
	int64_t shape, measure, id; /* -1: new */
	uint32_t key_hash;
};

/* Under either lock. */
static struct found look_up(const struct series_set *s, struct request *q)
{
	struct found f = {.id = -1};
	bool known = true;

	f.measure = names_find(&s->measures, q->measure, q->measure_hash);
	f.shape = shape_find(s, q->cols, q->n, q->shape_hash);
	for (uint32_t i = 0; i < q->n; i++) {
		int64_t code = names_find(column_slot(s, q->cols[i])->dict, q->dims[i].value,
					  q->hashes[i]);
		q->codes[i] = code < 0 ? CODE_NEW : (uint32_t)code;
		known &= code >= 0;
	}
	if (known && f.measure >= 0 && f.shape >= 0) {
		f.key_hash = entry_hash(s, (uint32_t)f.shape, (uint32_t)f.measure, q->codes, q->n);
		f.id = entry_find(s, (uint32_t)f.shape, (uint32_t)f.measure, q->codes, q->n,
				  f.key_hash);
	}
	return f;
}

static int reserve_all(struct series_set *s, const struct request *q, const struct found *f)
{
	size_t text = f->measure < 0 ? q->measure.len : 0;
	size_t entry = entry_bytes(q->n) + (f->shape < 0 ? shape_bytes(q->n) : 0);
	int rc = entry_reserve(s);

	if (rc == 0 && f->shape < 0)
		rc = shape_reserve(s);
	if (rc == 0 && f->measure < 0)
		rc = measure_reserve(s);
	for (uint32_t i = 0; rc == 0 && i < q->n; i++) {
		if (q->codes[i] != CODE_NEW)
			continue;
		rc = names_reserve(column_slot(s, q->cols[i])->dict);
		text += q->dims[i].value.len;
	}
	if (rc == 0)
		rc = pool_reserve(&s->text, text);
	if (rc == 0)
		rc = pool_reserve(&s->entries, entry);
	return rc;
}

/* Nothing here can fail. */
static uint32_t add_all(struct series_set *s, struct request *q, struct found *f)
{
	if (f->measure < 0)
		f->measure = measure_push(s, q->measure, q->type, q->measure_hash);
	if (f->shape < 0)
		f->shape = shape_push(s, q->cols, q->n, q->shape_hash);
	for (uint32_t i = 0; i < q->n; i++)
		if (q->codes[i] == CODE_NEW)
			q->codes[i] = names_add(column_slot(s, q->cols[i])->dict, &s->text,
						q->dims[i].value, q->hashes[i]);
	uint32_t hash = entry_hash(s, (uint32_t)f->shape, (uint32_t)f->measure, q->codes, q->n);
	return entry_push(s, (uint32_t)f->shape, (uint32_t)f->measure, q->codes, q->n, hash);
}

static bool is_bound_otherwise(const struct series_set *s, const struct request *q, const struct found *f)
{
	return f->measure >= 0 && measure_type_at(s, (uint32_t)f->measure) != q->type;
}

static int bound_otherwise(const struct series_set *s, struct str measure, uint32_t code, enum measure_type type,
			   struct err *e)
{
	return err_set(e, -EEXIST, "measure name '%.*s' is bound to %s in this table, and a %s record was offered",
		       STR_FMT(measure), measure_type_name(measure_type_at(s, code)), measure_type_name(type));
}

int series_check_measure_type(struct series_set *s, struct str measure, enum measure_type type, struct err *e)
{
	pthread_rwlock_rdlock(&s->lock);
	int64_t code = names_find(&s->measures, measure, hash32(s, measure.ptr, measure.len));
	pthread_rwlock_unlock(&s->lock);
	if (code < 0 || measure_type_at(s, (uint32_t)code) == type)
		return 0;
	return bound_otherwise(s, measure, (uint32_t)code, type, e);
}

int64_t series_intern(struct series_set *s, struct str measure, enum measure_type type,
		      const struct dim_value *dims, uint32_t n, struct err *e)
{
	struct request q;
	int rc = request_init(&q, s, measure, dims, n);

	if (rc < 0)
		return err_set(e, rc, "series: out of memory");
	q.type = type;
	pthread_rwlock_rdlock(&s->lock);
	struct found f = look_up(s, &q);
	uint32_t before = series_count(s);
	pthread_rwlock_unlock(&s->lock);

	int64_t id = is_bound_otherwise(s, &q, &f) ? -EEXIST : f.id;
	if (id == -1) {
		pthread_rwlock_wrlock(&s->lock);
		if (series_count(s) != before) /* nothing else is added without a series */
			f = look_up(s, &q);
		id = is_bound_otherwise(s, &q, &f) ? -EEXIST : f.id;
		if (id == -1) {
			rc = reserve_all(s, &q, &f);
			id = rc < 0 ? rc : (int64_t)add_all(s, &q, &f);
		}
		pthread_rwlock_unlock(&s->lock);
	}
	free(q.heap);
	if (id == -E2BIG)
		err_set(e, -E2BIG, "this table has no room for another series");
	else if (id == -EEXIST)
		(void)bound_otherwise(s, measure, (uint32_t)f.measure, type, e);
	else if (id < 0)
		err_set(e, (int)id, "series: out of memory");
	return id;
}

/* ---- by id ------------------------------------------------------------------------------------ */

uint32_t series_count(const struct series_set *s)
{
	return segs_count(&s->series);
}

uint32_t series_measure_code(const struct series_set *s, uint32_t id)
{
	return series_entry(s, id)->measure;
}

enum measure_type series_measure_type(const struct series_set *s, uint32_t code)
{
	return measure_type_at(s, code);
}

struct str series_measure(const struct series_set *s, uint32_t id)
{
	return names_at(&s->measures, series_entry(s, id)->measure);
}

uint32_t series_dim_code(const struct series_set *s, uint32_t id, uint32_t col_id)
{
	const struct entry *en = series_entry(s, id);
	const struct shape *sh = series_shape(s, en->shape);
	uint32_t lo = 0, hi = sh->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (sh->cols[mid] < col_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < sh->n && sh->cols[lo] == col_id ? en->codes[lo] : DIM_ABSENT;
}

/* NULL where the column is no dimension. */
static const struct names *dict_of(const struct series_set *s, uint32_t col_id)
{
	return col_id == SERIES_MEASURE ? &s->measures : column_slot(s, col_id)->dict;
}

uint32_t series_dict_count(const struct series_set *s, uint32_t col_id)
{
	const struct names *d = dict_of(s, col_id);
	return d ? segs_count(&d->names) : 0;
}

struct str series_dict_value(const struct series_set *s, uint32_t col_id, uint32_t code)
{
	return names_at(dict_of(s, col_id), code);
}

int64_t series_dict_find(const struct series_set *s, uint32_t col_id, struct str value)
{
	const struct names *d = dict_of(s, col_id);

	if (!d)
		return -1;
	uint32_t hash = hash32(s, value.ptr, value.len);
	pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
	int64_t code = names_find(d, value, hash);
	pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
	return code;
}

static size_t names_bytes(const struct names *d)
{
	return d->names.bytes + idx_bytes(&d->index);
}

size_t series_bytes(const struct series_set *s)
{
	pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
	size_t n = sizeof *s + s->columns.bytes + s->series.bytes + s->shapes.bytes +
		   idx_bytes(&s->by_column_name) + idx_bytes(&s->by_key) + idx_bytes(&s->by_shape) +
		   names_bytes(&s->measures) + s->measure_types.bytes + s->text.bytes + s->entries.bytes;
	for (uint32_t i = 0; i < segs_count(&s->columns); i++)
		if (column_slot(s, i)->dict)
			n += sizeof(struct names) + names_bytes(column_slot(s, i)->dict) +
			     chain_bytes(column_slot(s, i)->chain);
	pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
	return n;
}
