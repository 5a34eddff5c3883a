/* slack: bytes for a decoder that may load PQ_SLACK bytes behind them, and not one more: a sanitizer sees it. */
#ifndef TIDE_SLACK_H
#define TIDE_SLACK_H

#include "engine/parquet/parquet.h"
#include "tests/unit/unit.h"

/* On the heap; free() what ptr points to. */
static inline struct str heap_copy(struct str s)
{
	char *p = malloc(s.len + PQ_SLACK);

	memset(p, 0xA5, s.len + PQ_SLACK);
	if (s.len)
		memcpy(p, s.ptr, s.len);
	return (struct str){p, s.len};
}

#endif
