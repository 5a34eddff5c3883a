/*
 * gzip: bytes to a gzip member: CSV files of UNLOAD, and pages of Parquet.
 *
 * Memory (some 270 KiB) is drawn on the statement's budget. One thread at a time.
 */
#ifndef TIDE_GZIP_H
#define TIDE_GZIP_H

#include "engine/base/base.h"

struct gzip;

int gzip_create(struct budget *b, struct gzip **ret, struct err *e) must_check;
void gzip_destroy(struct gzip *g); /* NULL is fine */

/* Appends to out what is ready; much stays inside until the member ends. A failure sticks in out. */
void gzip_add(struct gzip *g, struct str in, struct buf *out);
/* Ends the member. What is added then begins another one. */
void gzip_finish(struct gzip *g, struct buf *out);

#endif
