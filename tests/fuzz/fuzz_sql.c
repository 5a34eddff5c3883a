/* Any bytes as SQL text: no crash, no leak; what sql_parse() takes, sql_split() refuses no prefix of. */
#include <stdlib.h>

#include "query/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct budget budget;
	struct arena a;
	struct ast_stmt **v;
	uint32_t n;
	struct err e;
	size_t end = 0;
	struct str text = {(const char *)data, size};
	int rc;

	budget_init(&budget, 256 << 20);
	arena_init(&a, &budget);
	rc = sql_parse(&a, text, &v, &n, &e);
	arena_release(&a);
	if (sql_split(text, &end, &e) < 0 && rc == 0)
		abort();
	if (end > size)
		abort();
	if (rc == 0 && size && sql_split((struct str){text.ptr, size * 2 / 3}, &end, &e) < 0)
		abort();
	return 0;
}
