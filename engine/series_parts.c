#include "engine/series_parts.h"

#include <stdlib.h>

#include "engine/series_set.h"

struct series_parts {
	_Atomic uint32_t refs;
	const struct series_set *set;
	struct part_key *key;
	pthread_mutex_t mu; /* adding to `hashes`; the first `count` are read without it */
	struct segs hashes; /* uint32_t, by series id */
};

/* Fewer wanted than this: hashed as they come, without keeping those of all series. */
#define FEW_SERIES 4096

int series_parts_create(const struct series_set *set, struct part_key *key, struct series_parts **ret)
{
	struct series_parts *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	atomic_init(&p->refs, 1);
	p->set = set;
	p->key = part_key_get(key);
	p->hashes.elem_bytes = sizeof(uint32_t);
	pthread_mutex_init(&p->mu, NULL);
	*ret = p;
	return 0;
}

struct series_parts *series_parts_get(struct series_parts *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void series_parts_put(struct series_parts *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	segs_release(&p->hashes);
	part_key_put(p->key);
	pthread_mutex_destroy(&p->mu);
	free(p);
}

size_t series_parts_bytes(const struct series_parts *p)
{
	pthread_mutex_lock((pthread_mutex_t *)&p->mu);
	size_t n = sizeof *p + p->hashes.bytes;
	pthread_mutex_unlock((pthread_mutex_t *)&p->mu);
	return n;
}

/* ---- the hash ------------------------------------------------------------------------------------ */

static uint32_t hash_text(uint32_t crc, struct str s)
{
	crc = crc32c(crc, s.ptr, s.len);
	return crc32c(crc, "", 1);
}

static uint32_t hash_dim(uint32_t crc, const struct series_set *set, uint32_t col, uint32_t code)
{
	const struct column_slot *slot = column_slot(set, col);

	return hash_text(hash_text(crc, slot->pub.name), names_at(slot->dict, code));
}

/* The key with its dimensions looked up: those that some series below n can have exist by then. */
struct resolved {
	const struct series_set *set;
	enum part_key_kind kind;
	uint32_t n;
	uint32_t cols[PART_KEY_DIMS_MAX];
};

static struct resolved resolve(const struct series_parts *p)
{
	struct resolved r = {.set = p->set, .kind = p->key->kind};

	for (uint32_t i = 0; i < p->key->dim_count; i++) {
		int64_t id = series_find_column(p->set, p->key->dims[i].name);
		if (id >= 0 && series_column(p->set, (uint32_t)id)->kind == COLKIND_DIMENSION)
			r.cols[r.n++] = (uint32_t)id;
	}
	return r;
}

static uint32_t hash_series(const struct resolved *r, uint32_t id)
{
	const struct entry *en = series_entry(r->set, id);
	const struct shape *sh = series_shape(r->set, en->shape);
	uint32_t crc = 0;

	switch (r->kind) {
	case PART_BY_MEASURE:
		return hash_text(hash_text(0, STR_LIT("measure_name")), names_at(&r->set->measures, en->measure));
	case PART_BY_DIMENSIONS:
		for (uint32_t i = 0; i < sh->n; i++) {
			uint32_t at = sh->by_name[i];
			crc = hash_dim(crc, r->set, sh->cols[at], en->codes[at]);
		}
		break;
	case PART_BY_NAMES:
		for (uint32_t i = 0; i < r->n; i++) {
			uint32_t code = series_dim_code(r->set, id, r->cols[i]);
			if (code != DIM_ABSENT)
				crc = hash_dim(crc, r->set, r->cols[i], code);
		}
		break;
	}
	return crc;
}

uint32_t series_parts_hash(const struct series_parts *p, uint32_t id)
{
	if (id < segs_count(&p->hashes))
		return *(const uint32_t *)segs_at(&p->hashes, id);
	struct resolved r = resolve(p);
	return hash_series(&r, id);
}

/* Keep the hashes of the first n series. */
static int fill(struct series_parts *p, uint32_t n)
{
	int rc = 0;

	if (segs_count(&p->hashes) >= n)
		return 0;
	pthread_mutex_lock(&p->mu);
	uint32_t id = segs_count(&p->hashes);
	if (id < n) {
		struct resolved r = resolve(p);
		rc = segs_reserve(&p->hashes, n - id);
		for (; rc == 0 && id < n; id++) {
			*(uint32_t *)segs_at(&p->hashes, id) = hash_series(&r, id);
			segs_publish(&p->hashes);
		}
	}
	pthread_mutex_unlock(&p->mu);
	return rc;
}

/* ---- parts ------------------------------------------------------------------------------------------ */

/* Numbers of parts are powers of two; the division is for what another version may have chosen. */
static inline uint32_t part_of(uint32_t hash, uint32_t parts)
{
	return parts & (parts - 1) ? hash % parts : hash & (parts - 1);
}

/* Elements from i on that lie beside each other in `a`, at most most; *ret_n how many. */
static const uint32_t *stretch(const struct segs *a, uint32_t i, uint32_t most, uint32_t *ret_n)
{
	uint64_t x = (uint64_t)i + (1u << SEG_FIRST_BITS);
	uint64_t end = UINT64_C(2) << (63 - __builtin_clzll(x));

	*ret_n = (uint32_t)MIN(end - x, (uint64_t)most);
	return segs_at(a, i);
}

int series_parts_select(struct series_parts *p, uint32_t part, uint32_t parts, uint32_t n, uint64_t *bits)
{
	int rc = fill(p, n);

	for (uint32_t i = 0, k; rc == 0 && i < n; i += k) {
		/* Segments begin at multiples of 16, so a word may have bits of several. */
		const uint32_t *h = stretch(&p->hashes, i, MIN(n - i, 64 - i % 64), &k);
		uint64_t word = 0;
		for (uint32_t j = 0; j < k; j++)
			word |= (uint64_t)(part_of(h[j], parts) == part) << j;
		bits[i / 64] |= word << (i % 64);
	}
	return rc;
}

int series_parts_of(struct series_parts *p, const uint64_t *bits, uint32_t n, uint32_t parts, uint64_t *ret)
{
	uint64_t found = 0, all = parts >= 64 ? UINT64_MAX : (UINT64_C(1) << parts) - 1;
	struct resolved r = resolve(p);
	uint32_t kept = segs_count(&p->hashes), hashed = 0;

	for (uint32_t w = 0; w < (n + 63) / 64 && found != all; w++)
		for (uint64_t m = bits[w]; m && found != all; m &= m - 1) {
			uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(m);
			if (id >= n)
				break;
			if (id >= kept && hashed++ == FEW_SERIES) {
				int rc = fill(p, n);
				if (rc < 0)
					return rc;
				kept = n;
			}
			uint32_t h = id < kept ? *(const uint32_t *)segs_at(&p->hashes, id) : hash_series(&r, id);
			found |= UINT64_C(1) << part_of(h, parts);
		}
	*ret = found;
	return 0;
}

bool parts_meet(uint32_t a, uint32_t as, uint32_t b, uint32_t bs)
{
	if (!as || !bs)
		return true;
	/* a + i * as = b + k * bs has a solution where the greatest common divisor divides a - b. */
	while (bs) {
		uint32_t t = as % bs;
		as = bs;
		bs = t;
	}
	return a % as == b % as;
}
