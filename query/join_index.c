#include "query/join_index.h"

int join_index_init(struct join_index *ix, const struct exec_ctx *exec, const struct type *const *types,
		    uint32_t key_count, bool keys_only, struct err *e)
{
	*ix = (struct join_index){.exec = exec, .key_count = key_count, .keys_only = keys_only};
	return key_count ? groups_init(&ix->groups, exec, types, key_count, e) : 0;
}

void join_index_release(struct join_index *ix)
{
	if (!ix->exec)
		return;
	struct budget *b = ix->exec->budget;
	groups_release(&ix->groups);
	grow_release(&ix->ids, b);
	grow_release(&ix->key_of, b);
	grow_release(&ix->starts, b);
	grow_release(&ix->found, b);
	*ix = (struct join_index){0};
}

int join_index_add(struct join_index *ix, const struct vec *keys, const uint32_t *sel, uint32_t n, uint32_t first,
		   struct err *e)
{
	size_t bytes = (ix->n + (size_t)n) * sizeof(uint32_t);
	uint32_t *ids, *key_of, unused[VEC_ROWS];

	if (!n)
		return 0;
	if (ix->keys_only) {
		ix->n += n;
		return ix->key_count ? groups_find(&ix->groups, keys, sel, n, unused, e) : 0;
	}
	if (grow_to(&ix->ids, ix->exec->budget, bytes) < 0)
		return exec_nomem(ix->exec, e);
	ids = (uint32_t *)ix->ids.data + ix->n;
	for (uint32_t k = 0; k < n; k++)
		ids[k] = first + sel[k];
	ix->n += n;
	if (!ix->key_count)
		return 0;
	if (grow_to(&ix->key_of, ix->exec->budget, bytes) < 0)
		return exec_nomem(ix->exec, e);
	key_of = (uint32_t *)ix->key_of.data + (ix->n - n);
	return groups_find(&ix->groups, keys, sel, n, key_of, e);
}

/* Rows in order of their keys' numbers, and for each key in order. */
static int sort_ids(struct join_index *ix, struct err *e)
{
	struct budget *b = ix->exec->budget;
	struct grow sorted = {0};

	if (grow_to(&ix->starts, b, (ix->key_n + (size_t)2) * sizeof(uint32_t)) < 0 ||
	    grow_to(&sorted, b, ix->n * sizeof(uint32_t)) < 0)
		return exec_nomem(ix->exec, e);
	const uint32_t *key_of = ix->key_of.data, *ids = ix->ids.data;
	/* starts[k + 1] is where the next row of key k goes, and in the end where those of k + 1 begin. */
	uint32_t *next = (uint32_t *)ix->starts.data + 1, *to = sorted.data, at = 0;
	for (uint32_t i = 0; i < ix->n; i++)
		next[key_of[i]]++;
	for (uint32_t k = 0; k < ix->key_n; k++) {
		uint32_t count = next[k];
		next[k] = at;
		at += count;
	}
	for (uint32_t i = 0; i < ix->n; i++)
		to[next[key_of[i]]++] = ids[i];
	grow_release(&ix->ids, b);
	ix->ids = sorted;
	return 0;
}

int join_index_finish(struct join_index *ix, struct err *e)
{
	int rc = 0;

	if (ix->key_count)
		ix->key_n = groups_count(&ix->groups);
	else
		ix->key_n = ix->n ? 1 : 0;
	if (ix->keys_only)
		return 0;
	/* Keys are numbered as they appear, so with a row each ids are in order already. */
	ix->is_unique = ix->key_n == ix->n;
	if (!ix->is_unique && ix->key_count) {
		rc = sort_ids(ix, e);
	} else if (!ix->is_unique) {
		if (grow_to(&ix->starts, ix->exec->budget, 2 * sizeof(uint32_t)) < 0)
			return exec_nomem(ix->exec, e);
		((uint32_t *)ix->starts.data)[1] = ix->n;
	}
	grow_release(&ix->key_of, ix->exec->budget);
	return rc;
}

/* A dictionary's values are looked up once each, those that rows use. */
static int find_in_dict(struct join_index *ix, const struct vec *key, const uint32_t *sel, uint32_t n,
			uint32_t *ret, struct err *e)
{
	uint32_t used[VEC_ROWS], keys[VEC_ROWS], used_n = 0;
	const uint32_t unseen = GROUP_NONE - 1;

	if (grow_to(&ix->found, ix->exec->budget, key->dict_n * sizeof(uint32_t)) < 0)
		return exec_nomem(ix->exec, e);
	uint32_t *found = ix->found.data;
	for (uint32_t k = 0; k < n; k++)
		found[key->codes[sel[k]]] = GROUP_NONE;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t code = key->codes[sel[k]];
		if (found[code] != unseen)
			used[used_n++] = code;
		found[code] = unseen;
	}
	int rc = groups_look(&ix->groups, key->dict, used, used_n, keys, e);
	for (uint32_t k = 0; k < used_n && rc >= 0; k++)
		found[used[k]] = keys[k];
	for (uint32_t k = 0; k < n && rc >= 0; k++)
		ret[k] = found[key->codes[sel[k]]];
	return rc;
}

int join_index_find(struct join_index *ix, const struct vec *keys, const uint32_t *sel, uint32_t n, uint32_t *ret,
		    struct err *e)
{
	bool is_const = true;
	int rc = 0;

	if (!n)
		return 0;
	for (uint32_t c = 0; c < ix->key_count; c++)
		is_const = is_const && keys[c].form == VEC_CONST;
	if (!ix->key_n) {
		ret[0] = GROUP_NONE;
		is_const = true;
	} else if (!ix->key_count) {
		ret[0] = 0;
	} else if (is_const) {
		rc = groups_look(&ix->groups, keys, sel, 1, ret, e);
	} else if (ix->key_count == 1 && keys[0].form == VEC_DICT) {
		return find_in_dict(ix, &keys[0], sel, n, ret, e);
	} else {
		return groups_look(&ix->groups, keys, sel, n, ret, e);
	}
	for (uint32_t k = 1; k < n && rc >= 0; k++)
		ret[k] = ret[0];
	return rc;
}
