/*
 * unload: UNLOAD (query) TO 'folder' WITH (...): what it was told to do. Made by bind_unload.c, done
 * by op_unload.c with csv_out.c or parquet_out.c for the bytes and unload_dir.c for the files.
 */
#ifndef TIDE_UNLOAD_H
#define TIDE_UNLOAD_H

#include "query/plan.h"
#include "query/query.h"

#define UNLOAD_PARTITIONS_MAX 100

struct unload_spec {
	bool is_parquet;    /* else CSV */
	bool is_compressed; /* gzip */
	bool has_header;    /* CSV, as the two below */
	char delimiter, escape;
	uint64_t file_bytes; /* a file that has become larger is followed by another */
	uint32_t part_n;     /* the last columns make folders, and are in no file */
	struct pos *part_pos;
	struct str target;   /* below dir, without slashes at its ends; "": dir itself */
	struct pos target_pos;
	const char *dir;
	const struct io *io;
};

/* "results/region=eu/host=a": the folder of a row's values; in out, which is cleared. -EINVAL: no folder can be. */
int unload_folder(const struct unload_spec *s, const struct plan *query, const struct vbatch *b, uint32_t row,
		  struct buf *out, struct err *e) must_check;

/* The two documents that describe the files. */
struct unload_file; /* unload_dir.h */
void unload_metadata(const struct plan *query, struct buf *out);
void unload_manifest(const struct unload_spec *s, const struct unload_file *files, uint64_t rows, struct buf *out);

#endif
