/* func_docs: the registry of functions for people. */
#ifndef TIDE_FUNC_DOCS_H
#define TIDE_FUNC_DOCS_H

#include "engine/base/base.h"

struct func;

/* "abs(bigint) -> bigint" */
void func_signature(const struct func *f, struct buf *out);

/* docs/functions.md. 0, or the buffer's failure. */
int func_print_docs(struct buf *out) must_check;

#endif
