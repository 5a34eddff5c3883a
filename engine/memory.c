/*
 * memory: whose rows fill it, and who has to wait for that.
 *
 * All databases draw on one limit for rows that are in no file yet. A writer that comes while it is
 * reached waits until its database has sealed some. Where a database cannot seal (its disk is full, broken
 * or hangs), its rows stay where they are, and waiting for them would stop every other one, too: a cell
 * must fail alone. What those hold is therefore taken off, from what is used and from the limit, as far
 * as a quarter of the limit stays for the others:
 *
 *	used   |#### stuck ####|== others ==|
 *	limit  |---------------------|            plain: the others are over it
 *	               as they see it |== others ==|------|   used - stuck, and at least limit / 4
 *
 * So memory is over the limit by a quarter at most for each database that fails after another one.
 */
#include <malloc.h>

#include "engine/internal.h"

#define STUCK_NS   (5 * NS_PER_S) /* a round of maintenance that takes longer may be hanging */
#define TRIM_BYTES ((size_t)64 << 20)

void memory_add(struct db *db, size_t bytes)
{
	atomic_fetch_add(&db->memtable_bytes, bytes);
	atomic_fetch_add(&db->en->memtable_bytes, bytes);
}

void memory_sub(struct db *db, size_t bytes)
{
	atomic_fetch_sub(&db->memtable_bytes, bytes);
	atomic_fetch_sub(&db->en->memtable_bytes, bytes);
	atomic_fetch_add(&db->en->freed_bytes, bytes);
}

/*
 * malloc(3) keeps what is freed for the thread that had it: a load of 100 M rows left 1.2 GB with nobody. It
 * is given back when much was freed and little is in use, which is after a load and not in it.
 */
void memory_trim(struct engine *en)
{
	size_t freed = atomic_load(&en->freed_bytes);

	if (freed < TRIM_BYTES || atomic_load(&en->memtable_bytes) > freed / 4 ||
	    !atomic_compare_exchange_strong(&en->freed_bytes, &freed, 0))
		return;
	malloc_trim(0);
}

static bool is_stuck(struct db *db)
{
	int64_t since = atomic_load(&db->round_since_mono_ns);
	return atomic_load(&db->cannot_seal) || (since && clock_mono_ns() - since > STUCK_NS);
}

void memory_view(struct db *db, size_t *ret_used, size_t *ret_limit)
{
	struct engine *en = db->en;
	size_t used = atomic_load(&en->memtable_bytes), limit = en->memtable_limit, stuck = 0;

	if (used > limit / 4) {
		pthread_mutex_lock(&en->mu);
		for (struct db *other = en->dbs; other; other = other->next)
			if (other != db && is_stuck(other))
				stuck += atomic_load(&other->memtable_bytes);
		pthread_mutex_unlock(&en->mu);
	}
	stuck = MIN(stuck, used);
	*ret_used = used - stuck;
	*ret_limit = MAX(limit - MIN(stuck, limit), limit / 4);
}

bool memory_is_full(struct db *db)
{
	size_t used, limit;

	if (atomic_load(&db->en->memtable_bytes) <= db->en->memtable_limit)
		return false;
	memory_view(db, &used, &limit);
	return used > limit;
}
