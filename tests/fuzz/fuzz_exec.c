/*
 * fuzz_exec: bytes steer the making of a statement that fits a small table; it is executed over the
 * table's three physical forms, with and without pushdown. See sql_random.h.
 */
#include "tests/fuzz/sql_random.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct random_db db;

static void at_end(void)
{
	random_summary("done");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	random_open(&db, 101, 1);
	atexit(at_end);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	random_statement(&db, data, size, 1, 2);
	return 0;
}
