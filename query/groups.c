/*
 * groups: open addressing with linear probing, at most half full. A slot is the 64-bit hash and the
 * group's number; keys lie in a row_store. With one integer key (bin(time, ...), a code) the hash is
 * a bijection of the key, and no key is ever compared.
 */
#include "query/groups.h"

#include "engine/base/kernels.h"

struct slot {
	uint64_t hash;
	uint64_t group; /* + 1; 0: free */
};

int groups_init(struct groups *g, const struct exec_ctx *exec, const struct type *const *types,
		uint32_t key_count, struct err *e)
{
	*g = (struct groups){.null_group = UINT32_MAX};
	g->is_exact = key_count == 1 && type_layout(types[0]) == LAYOUT_I64;
	int rc = row_store_init(&g->keys, exec, types, key_count, e);
	if (rc < 0)
		return rc;
	g->mask = 63;
	return grow_to(&g->slots, exec->budget, (g->mask + 1) * sizeof(struct slot)) < 0
		       ? exec_nomem(exec, e)
		       : 0;
}

void groups_release(struct groups *g)
{
	if (!g->keys.exec)
		return;
	struct budget *b = g->keys.exec->budget;
	grow_release(&g->slots, b);
	grow_release(&g->hashes, b);
	grow_release(&g->dict_hashes, b);
	row_store_release(&g->keys);
}

/* Twice the slots. The old ones are put aside, so for a moment three times the memory is held. */
static int rehash(struct groups *g, struct err *e)
{
	const struct exec_ctx *exec = g->keys.exec;
	struct grow bigger = {0};
	uint32_t mask = g->mask * 2 + 1;

	if (mask >= UINT32_MAX / 2 || grow_to(&bigger, exec->budget, (mask + (size_t)1) * sizeof(struct slot)) < 0)
		return exec_nomem(exec, e);
	struct slot *to = bigger.data;
	const struct slot *from = g->slots.data;
	for (uint32_t i = 0; i <= g->mask; i++) {
		if (!from[i].group)
			continue;
		uint32_t at = (uint32_t)from[i].hash & mask;
		while (to[at].group)
			at = (at + 1) & mask;
		to[at] = from[i];
	}
	grow_release(&g->slots, exec->budget);
	g->slots = bigger;
	g->mask = mask;
	return 0;
}

/* One column into the rows' hashes; a constant or a dictionary's value is hashed once. */
static int hash_column(struct groups *g, const struct vec *v, const uint32_t *rows, uint32_t n, uint64_t *h,
		       struct err *e)
{
	const struct vec *b = vec_base(v);

	if (v->form == VEC_CONST) {
		uint64_t x = vec_hash(v, 0, 0);
		for (uint32_t k = 0; k < n; k++)
			h[k] = hash_u64(h[k] ^ x);
	} else if (v->form == VEC_DICT && v->dict_n <= n) {
		if (grow_to(&g->dict_hashes, g->keys.exec->budget, v->dict_n * sizeof(uint64_t)) < 0)
			return exec_nomem(g->keys.exec, e);
		uint64_t *x = g->dict_hashes.data;
		for (uint32_t i = 0; i < v->dict_n; i++)
			x[i] = vec_hash(b, i, 0);
		for (uint32_t k = 0; k < n; k++)
			h[k] = hash_u64(h[k] ^ x[v->codes[rows[k]]]);
	} else {
		for (uint32_t k = 0; k < n; k++)
			h[k] = hash_u64(h[k] ^ vec_hash(v, rows[k], 0));
	}
	return 0;
}

static int hash_rows(struct groups *g, const struct vec *keys, const uint32_t *rows, uint32_t n, uint64_t *h,
		     struct err *e)
{
	int rc = 0;

	if (g->is_exact) {
		const struct vec *b = vec_base(&keys[0]);
		for (uint32_t k = 0; k < n; k++)
			h[k] = hash_u64((uint64_t)b->i64[vec_index(&keys[0], rows[k])]);
		return 0;
	}
	memset(h, 0, n * sizeof *h);
	for (uint32_t c = 0; c < g->keys.col_count && rc >= 0; c++)
		rc = hash_column(g, &keys[c], rows, n, h, e);
	return rc;
}

static bool key_is(const struct groups *g, const struct vec *keys, uint32_t row, uint32_t group)
{
	for (uint32_t c = 0; c < g->keys.col_count; c++) {
		if (!vec_same(&keys[c], row, row_store_vec(&g->keys, group, c), row_store_at(group)))
			return false;
	}
	return true;
}

/* New keys of a batch: rows of it, kept together at its end. Group keys.n + i is rows[i]. */
struct fresh {
	uint32_t n;
	uint32_t rows[VEC_ROWS];
};

static bool is_group(const struct groups *g, const struct fresh *f, const struct vec *keys, uint32_t row,
		     uint32_t group)
{
	if (group < g->keys.n)
		return key_is(g, keys, row, group);
	for (uint32_t c = 0; c < g->keys.col_count; c++) {
		if (!vec_same(&keys[c], row, &keys[c], f->rows[group - g->keys.n]))
			return false;
	}
	return true;
}

static uint32_t group_new(const struct groups *g, struct fresh *f, uint32_t row)
{
	f->rows[f->n] = row;
	return g->keys.n + f->n++;
}

/* Slots of so many keys are not in the processor's caches: they are asked for before they are needed. */
#define FAR_SLOTS (UINT32_C(1) << 14)

static void fetch_slots(const struct groups *g, const uint64_t *h, uint32_t n)
{
	const struct slot *slots = g->slots.data;

	for (uint32_t k = 0; g->mask >= FAR_SLOTS && k < n; k++)
		__builtin_prefetch(&slots[(uint32_t)h[k] & g->mask]);
}

int groups_find(struct groups *g, const struct vec *keys, const uint32_t *rows, uint32_t n,
		uint32_t *ret, struct err *e)
{
	const struct exec_ctx *exec = g->keys.exec;
	struct fresh f;

	f.n = 0;
	if (grow_to(&g->hashes, exec->budget, n * sizeof(uint64_t)) < 0)
		return exec_nomem(exec, e);
	uint64_t *h = g->hashes.data;
	int rc = hash_rows(g, keys, rows, n, h, e);
	if (rc < 0)
		return rc;
	fetch_slots(g, h, n);
	for (uint32_t k = 0; k < n; k++) {
		if (g->is_exact && vec_is_null(&keys[0], rows[k])) {
			if (g->null_group == UINT32_MAX)
				g->null_group = group_new(g, &f, rows[k]);
			ret[k] = g->null_group;
			continue;
		}
		if (unlikely(g->keys.n + f.n >= g->mask / 2)) {
			rc = rehash(g, e);
			if (rc < 0)
				return rc;
		}
		struct slot *slots = g->slots.data;
		uint32_t at = (uint32_t)h[k] & g->mask;
		for (; slots[at].group; at = (at + 1) & g->mask) {
			if (slots[at].hash != h[k])
				continue;
			if (g->is_exact || is_group(g, &f, keys, rows[k], (uint32_t)slots[at].group - 1))
				break;
		}
		if (!slots[at].group)
			slots[at] = (struct slot){h[k], group_new(g, &f, rows[k]) + UINT64_C(1)};
		ret[k] = (uint32_t)slots[at].group - 1;
	}
	return f.n ? row_store_add(&g->keys, keys, f.rows, f.n, e) : 0;
}

int groups_look(struct groups *g, const struct vec *keys, const uint32_t *rows, uint32_t n, uint32_t *ret,
		struct err *e)
{
	const struct exec_ctx *exec = g->keys.exec;
	const struct slot *slots = g->slots.data;

	if (grow_to(&g->hashes, exec->budget, n * sizeof(uint64_t)) < 0)
		return exec_nomem(exec, e);
	uint64_t *h = g->hashes.data;
	int rc = hash_rows(g, keys, rows, n, h, e);
	if (rc < 0)
		return rc;
	fetch_slots(g, h, n);
	for (uint32_t k = 0; k < n; k++) {
		if (unlikely(g->is_exact && vec_is_null(&keys[0], rows[k]))) {
			ret[k] = g->null_group;
			continue;
		}
		uint32_t at = (uint32_t)h[k] & g->mask;
		for (; slots[at].group; at = (at + 1) & g->mask) {
			if (slots[at].hash != h[k])
				continue;
			if (g->is_exact || key_is(g, keys, rows[k], (uint32_t)slots[at].group - 1))
				break;
		}
		ret[k] = slots[at].group ? (uint32_t)slots[at].group - 1 : GROUP_NONE;
	}
	return 0;
}

/* ---- runs ---------------------------------------------------------------------------------------------- */

/* differs[i] |= key i is not that of row i - 1. Claiming a difference too many does no harm. */
static void mark_changes(const struct vec *v, uint32_t n, uint8_t *differs)
{
	if (v->form == VEC_CONST)
		return;
	if (v->form == VEC_DICT) {
		for (uint32_t i = 1; i < n; i++)
			differs[i] |= v->codes[i] != v->codes[i - 1];
		return;
	}
	switch (type_layout(v->type)) {
	case LAYOUT_I64:
	case LAYOUT_F64: /* by bits: NaN is itself, and 0.0 is not -0.0, which only costs a look-up */
		kernels()->changes(v->i64, n, differs);
		break;
	case LAYOUT_BOOL:
		for (uint32_t i = 1; i < n; i++)
			differs[i] |= v->b8[i] != v->b8[i - 1];
		break;
	case LAYOUT_STR:
		for (uint32_t i = 1; i < n; i++)
			differs[i] |= !str_eq(v->str[i], v->str[i - 1]);
		break;
	case LAYOUT_LIST:
	case LAYOUT_ROW:
		for (uint32_t i = 1; i < n; i++)
			differs[i] |= !vec_same(v, i, v, i - 1);
		break;
	}
	if (!v->valid)
		return;
	for (uint32_t i = 1; i < n; i++)
		differs[i] |= v->valid[i] != v->valid[i - 1];
}

uint32_t groups_runs(const struct vec *keys, uint32_t key_count, uint32_t n, uint32_t *starts)
{
	uint8_t differs[VEC_ROWS + 8] = {0};
	uint32_t r = 0;

	for (uint32_t c = 0; c < key_count; c++)
		mark_changes(&keys[c], n, differs);
	differs[0] = 1;
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t eight;

		memcpy(&eight, differs + i, 8);
		if (!eight) /* most runs are long */
			continue;
		for (uint32_t k = i; k < MIN(i + 8, n); k++) {
			starts[r] = k;
			r += differs[k];
		}
	}
	return r;
}
