/*
 * query_impl: what query.c (statements that give rows) and run.c (statements that change something)
 * share: the life of one statement. Nobody else includes it.
 */
#ifndef TIDE_QUERY_IMPL_H
#define TIDE_QUERY_IMPL_H

#include "query/op.h"
#include "query/query.h"

struct query {
	struct budget budget;
	struct arena arena;
	struct query_env env;
	char *default_db;
	struct str text; /* its own copy: the tree points into it */
	struct exec exec;
	uint64_t random_state[2];
	struct bound bound;
	bool is_bound;
	struct query_col *cols;
	struct op *root;
	struct vbatch batch;
	bool is_done;
	_Atomic uint64_t rows_out, bytes_out;
};

/* A statement with its own copy of text and environment; nothing is parsed yet. */
int query_create(const struct query_env *env, struct str text, struct query **ret, struct err *e) must_check;

/* The only statement of the text. */
int query_parse(struct query *q, struct ast_stmt **ret, struct err *e) must_check;

/* From its tree to operators that are open. */
int query_open(struct query *q, const struct ast_stmt *stmt, struct err *e) must_check;

#endif
