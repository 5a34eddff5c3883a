/*
 * run: one changing statement while it runs. Private to run*.c.
 */
#ifndef TIDE_RUN_H
#define TIDE_RUN_H

#include "query/query_impl.h"

struct run {
	struct query *q;             /* its memory, limits and operators */
	const struct query_env *env; /* of q */
	const struct ast_stmt *stmt;
	int64_t rows;                /* out; -1: not about rows */
	struct buf *reply;           /* out: a statement that gives the result as a row; NULL: nobody asks */
	struct err *e;
};

/* Puts the place of what the statement names in front of the sentence; returns rc. */
int run_located(const struct run *r, int rc);

/* run_schema.c */
int run_create_database(struct run *r) must_check;
int run_drop_database(struct run *r) must_check;
int run_create_table(struct run *r) must_check;
int run_drop_table(struct run *r) must_check;

#endif
