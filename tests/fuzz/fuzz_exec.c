/*
 * fuzz_exec: bytes steer the making of a statement that fits a small table; it is executed over the
 * table's three physical forms, with and without pushdown. See sql_random.h.
 */
#include "tests/fuzz/sql_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct random_db db;

	if (!db.engine)
		random_open(&db, 401, 1);
	random_statement(&db, data, size, 1);
	return 0;
}
