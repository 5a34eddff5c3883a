/*
 * alp_dump FILE: the DOUBLE columns of anybody's Parquet file as CSV, with the decoders of tiles: pages of
 * version 1 (definition levels of one bit, no repetition), PLAIN, BYTE_STREAM_SPLIT or ALP, uncompressed
 * or zstd. For files that another writer made by the specification; tiles have tile_dump.
 */
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "engine/parquet/parquet.h"

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "alp_dump: %s: %s\n", what, why);
	exit(1);
}

static struct str read_file(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (!f || fseek(f, 0, SEEK_END) < 0)
		die(path, strerror(errno));
	size_t n = (size_t)ftell(f);
	char *p = calloc(1, n + PQ_SLACK);
	rewind(f);
	if (!p || fread(p, 1, n, f) != n)
		die(path, "cannot be read");
	fclose(f);
	return (struct str){p, n};
}

static int decode(enum pq_encoding encoding, struct str in, double *to, uint32_t n)
{
	switch (encoding) {
	case PQ_PLAIN:
		return pq_plain_decode_fixed64(in, to, n);
	case PQ_BYTE_STREAM_SPLIT:
		return pq_split_decode(in, to, n);
	case PQ_ALP:
		return pq_alp_decode(in, to, n);
	default:
		return -ENOTSUP;
	}
}

/* One page, NULLs as NaN with a payload that no file has. Returns its rows. */
static uint32_t read_page(struct str content, const struct pq_page_header *h, const struct pq_chunk *c, bool optional,
			  const char *none, double *to)
{
	uint32_t n = (uint32_t)h->num_values, ones = n;
	uint8_t *raw = calloc(1, (size_t)h->raw_size + PQ_SLACK), *levels = malloc(n + 1);
	double *values = malloc((size_t)n * 8 + 8);
	size_t used = 0;

	if (!raw || !levels || !values)
		die("memory", "none left");
	if (c->codec == PQ_ZSTD) {
		if (ZSTD_decompress(raw, (size_t)h->raw_size, content.ptr, content.len) != (size_t)h->raw_size)
			die("a page", "cannot be decompressed");
	} else {
		memcpy(raw, content.ptr, content.len);
	}
	struct str in = {(char *)raw, (size_t)h->raw_size};
	memset(levels, 1, n);
	if (optional && pq_levels_decode(in, levels, n, &ones, &used) < 0)
		die("a page", "its levels are malformed");
	in = (struct str){in.ptr + used, in.len - used};
	int rc = decode((enum pq_encoding)h->encoding, in, values, ones);
	if (rc < 0)
		die("a page", rc == -ENOTSUP ? "its encoding is none of those" : "its values are malformed");
	for (uint32_t i = 0, k = 0; i < n; i++) {
		if (levels[i])
			to[i] = values[k++];
		else
			memcpy(&to[i], none, 8);
	}
	free(raw);
	free(levels);
	free(values);
	return n;
}

int main(int argc, char **argv)
{
	static const char none[8] = "\x01\x02\x03\x04\x05\x06\xf8\x7f";
	struct err e = {0};
	struct pq_file f;
	struct arena a;
	uint32_t length;

	if (argc != 2)
		die("usage", "alp_dump FILE");
	struct str all = read_file(argv[1]);
	if (all.len < 12 || memcmp(all.ptr + all.len - 4, "PAR1", 4) != 0)
		die(argv[1], "is no Parquet file");
	memcpy(&length, all.ptr + all.len - 8, 4);
	arena_init(&a, NULL);
	if (length > all.len - 12 || pq_file_decode((struct str){all.ptr + all.len - 8 - length, length}, &a, &f, &e) < 0)
		die(argv[1], e.text);
	double **columns = arena_zarray(&a, double *, f.column_count);
	for (uint32_t c = 0; c < f.column_count; c++) {
		uint64_t rows = 0;
		if (f.columns[c].type != PQ_DOUBLE)
			continue;
		columns[c] = arena_array(&a, double, (size_t)f.rows + 1);
		for (uint32_t g = 0; g < f.group_count; g++) {
			const struct pq_chunk *ch = &f.groups[g].chunks[c];
			if (ch->dict_page_off)
				die("a column", "has a dictionary");
			uint64_t at = (uint64_t)ch->data_page_off, end = rows + (uint64_t)f.groups[g].rows;
			while (rows < end) {
				struct pq_page_header h;
				int head = pq_page_header_decode((struct str){all.ptr + at, all.len - at}, &h);
				if (head < 0)
					die("a page", "its head is malformed");
				at += (uint64_t)head;
				rows += read_page((struct str){all.ptr + at, (size_t)h.stored_size}, &h, ch,
						  f.columns[c].repetition == PQ_OPTIONAL, none, columns[c] + rows);
				at += (uint64_t)h.stored_size;
			}
		}
	}
	for (int64_t i = -1; i < f.rows; i++) {
		const char *comma = "";
		for (uint32_t c = 0; c < f.column_count; c++) {
			if (!columns[c])
				continue;
			if (i < 0)
				printf("%s%.*s", comma, STR_FMT(f.columns[c].name));
			else if (memcmp(&columns[c][i], none, 8) == 0)
				printf("%s", comma);
			else
				printf("%s%.17g", comma, columns[c][i]);
			comma = ",";
		}
		printf("\n");
	}
	arena_release(&a);
	free((void *)(uintptr_t)all.ptr);
	return 0;
}
