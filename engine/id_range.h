/* id_range: where to look in a sorted list of ids that has few gaps, as ids are dense. */
#ifndef TIDE_ID_RANGE_H
#define TIDE_ID_RANGE_H

#include "engine/base/base.h"

/*
 * Among n ascending ids, none twice, from `first` to `last`: `id` stands in [*lo, *hi) if anywhere. Ids
 * without gaps leave one place, and one out of range none: no search, and no memory touched.
 */
static inline void id_range(uint32_t n, uint32_t first, uint32_t last, uint32_t id, uint32_t *lo, uint32_t *hi)
{
	*lo = *hi = 0;
	if (!n || id < first || id > last)
		return;
	*hi = MIN(n - 1, id - first) + 1;
	*lo = n - 1 - MIN(n - 1, last - id);
}

#endif
