/*
 * parquet: the part of Apache Parquet that tiles are made of, V1 data pages; and what results of
 * queries have beyond that, which is only written: nested columns, gzip, INT96.
 *
 * Nothing here does I/O and nothing knows about series or tiles: it turns values into page bytes and
 * back (encodings), and structs into thrift compact bytes and back (metadata). Every decoder treats
 * its input as hostile: it returns -EBADMSG and never reads outside it, with one exception that buys
 * the speed of the scan path: the value decoders (pq_delta_, pq_hybrid_, pq_levels_, pq_plain_,
 * pq_split_, pq_alp_) may load, but never use, up to PQ_SLACK bytes behind the input. Whoever calls them
 * keeps that much readable memory there.
 *
 * No function allocates per value; encoders append to a buf, decoders fill arrays of the caller or
 * take memory from an arena. Any thread.
 */
#ifndef TIDE_PARQUET_H
#define TIDE_PARQUET_H

#include "engine/base/base.h"

/* PLAIN values are copied, not converted. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tiles are read on little-endian machines");

#define PQ_SLACK 16

/* The numbers are parquet.thrift's. */
enum pq_type {
	PQ_BOOLEAN = 0,
	PQ_INT32 = 1,
	PQ_INT64 = 2,
	PQ_INT96 = 3,
	PQ_DOUBLE = 5,
	PQ_BYTE_ARRAY = 6,
};

enum pq_encoding {
	PQ_PLAIN = 0,
	PQ_RLE = 3,
	PQ_DELTA_BINARY_PACKED = 5,
	PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
	PQ_RLE_DICTIONARY = 8,
	PQ_BYTE_STREAM_SPLIT = 9,
	PQ_ALP = 10,
};

enum pq_codec { PQ_UNCOMPRESSED = 0, PQ_GZIP = 2, PQ_ZSTD = 6 };
enum pq_page_type { PQ_DATA_PAGE = 0, PQ_DICTIONARY_PAGE = 2 };
enum pq_repetition { PQ_REQUIRED = 0, PQ_OPTIONAL = 1, PQ_REPEATED = 2 };

/* What the bytes mean; stands for a converted type and the logical type that equals it. */
enum pq_logical {
	PQ_LOGICAL_NONE,
	PQ_LOGICAL_STRING,
	PQ_LOGICAL_TIMESTAMP_MICROS,
	PQ_LOGICAL_OTHER,
	PQ_LOGICAL_DATE, /* this one and those below are only written; read they are OTHER */
	PQ_LOGICAL_LIST,
	PQ_LOGICAL_TIMESTAMP_NANOS, /* of no zone */
};

/* ---- bit-packed / RLE hybrid (hybrid.c): levels, dictionary codes, booleans ----------------- */

#define PQ_HYBRID_LITERALS 504 /* 63 groups of 8: the longest literal run with a one-byte header */

struct pq_hybrid {
	struct buf *out;
	unsigned width; /* bits of a value, 1..32 */
	uint32_t n;     /* literals waiting */
	uint32_t literals[PQ_HYBRID_LITERALS + 8];
};

void pq_hybrid_init(struct pq_hybrid *h, struct buf *out, unsigned width);
void pq_hybrid_run(struct pq_hybrid *h, uint32_t v, uint32_t n); /* n times v */
void pq_hybrid_values(struct pq_hybrid *h, const uint32_t *v, uint32_t n);
void pq_hybrid_finish(struct pq_hybrid *h);

/* n values of `width` bits (0..32); bytes behind the last needed run are ignored. */
int pq_hybrid_decode(struct str in, unsigned width, uint32_t *to, uint32_t n) must_check;

/* Bits needed for values below n; at least 1, since not every reader takes a width of 0. */
unsigned pq_width_of(uint32_t n);

/*
 * One-bit levels with their 4-byte length prefix, as V1 pages and RLE booleans have them.
 * valid: n bytes of 0 or 1; NULL stands for all 1.
 */
void pq_levels_encode(struct buf *out, const uint8_t *valid, uint32_t n);
/* to: n bytes of 0 or 1. *ret_ones counts the ones, *ret_used the bytes of `in` (prefix included). */
int pq_levels_decode(struct str in, uint8_t *to, uint32_t n, uint32_t *ret_ones,
		     size_t *ret_used) must_check;

/* The same for levels of `width` bits. */
void pq_levels_encode_wide(struct buf *out, const uint8_t *levels, uint32_t n, unsigned width);

/* ---- DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY (delta.c) --------------------------------- */

/* width_step: 1 exact miniblock widths, 4 widths rounded up to half bytes. */
void pq_delta_encode(struct buf *out, const int64_t *v, uint32_t n, unsigned width_step);
int pq_delta_decode(struct str in, int64_t *to, uint32_t n, size_t *ret_used) must_check;

void pq_delta_length_encode(struct buf *out, const struct str *v, uint32_t n);
/* The strings point into `in`; lengths: scratch for n numbers. */
int pq_delta_length_decode(struct str in, struct str *to, int64_t *lengths, uint32_t n) must_check;

/* ---- PLAIN, BYTE_STREAM_SPLIT (plain.c) ------------------------------------------------------ */

void pq_plain_encode_strings(struct buf *out, const struct str *v, uint32_t n);
void pq_plain_encode_bools(struct buf *out, const uint8_t *v, uint32_t n);
/* INT64 and DOUBLE are 8 bytes each: buf_add() is their encoder, memcpy() their decoder. */
int pq_plain_decode_fixed64(struct str in, void *to, uint32_t n) must_check;
int pq_plain_decode_int32(struct str in, int64_t *to, uint32_t n) must_check;
int pq_plain_decode_bools(struct str in, uint8_t *to, uint32_t n) must_check;
int pq_plain_decode_strings(struct str in, struct str *to, uint32_t n) must_check; /* point into in */

void pq_split_encode(struct buf *out, const void *v, uint32_t n); /* 8-byte values */
int pq_split_decode(struct str in, void *to, uint32_t n) must_check;

/* ---- ALP (alp.c) ----------------------------------------------------------------------------- */

#define PQ_ALP_MAX 16384 /* values that are encoded at once, at most */

void pq_alp_encode(struct buf *out, const double *v, uint32_t n);
int pq_alp_decode(struct str in, double *to, uint32_t n) must_check; /* of any writer */

/* ---- metadata (meta.c, pageindex.c) ---------------------------------------------------------- */

struct pq_page_header {
	enum pq_page_type type;
	int32_t raw_size;    /* content before compression */
	int32_t stored_size; /* content as it lies in the file */
	bool has_crc;
	uint32_t crc; /* crc32_gzip of the stored content */
	int32_t num_values;
	int32_t encoding;
	int32_t def_encoding, rep_encoding; /* data pages */
};

void pq_page_header_encode(struct buf *out, const struct pq_page_header *h);
/* Returns the size of the header. */
int pq_page_header_decode(struct str in, struct pq_page_header *ret) must_check;

struct pq_column {
	struct str name;
	enum pq_type type;
	enum pq_repetition repetition;
	enum pq_logical logical;
	uint32_t children; /* a group: that many of the columns behind it, each with what it contains */
};

/* min and max are PLAIN-encoded without a length prefix. */
struct pq_bounds {
	bool has_minmax;
	bool min_exact, max_exact;
	bool has_nulls;
	int64_t nulls;
	struct str min, max;
};

struct pq_chunk {
	enum pq_type type;
	uint32_t encodings; /* bit set of enum pq_encoding */
	struct str name;    /* of a column that is no part of a group */
	const struct str *path; /* only written: the names of the groups around it, and its own... */
	uint32_t path_n;        /* ...0: it has its name alone */
	enum pq_codec codec;
	int64_t num_values;
	int64_t raw_bytes, stored_bytes; /* of all pages with their headers */
	int64_t data_page_off;
	int64_t dict_page_off; /* 0: none */
	int64_t offset_index_off, column_index_off; /* 0: none */
	int32_t offset_index_len, column_index_len;
	struct pq_bounds bounds;
};

struct pq_sorting {
	int32_t column;
	bool descending, nulls_first;
};

struct pq_group {
	struct pq_chunk *chunks;
	uint32_t chunk_count;
	struct pq_sorting *sorting;
	uint32_t sorting_count;
	int64_t rows;
	int64_t raw_bytes, stored_bytes;
	int64_t file_off;
};

struct pq_key_value {
	struct str key, value;
};

struct pq_file {
	int32_t version;
	struct pq_column *columns;
	uint32_t column_count;
	int64_t rows;
	struct pq_group *groups;
	uint32_t group_count;
	struct pq_key_value *kvs;
	uint32_t kv_count;
	struct str created_by;
};

void pq_file_encode(struct buf *out, const struct pq_file *f);

/*
 * The whole footer; strings point into `in`, arrays come from the arena. Nested schemas, encryption
 * and chunks in other files are refused (-ENOTSUP); what is damaged is -EBADMSG, with its offset.
 */
int pq_file_decode(struct str in, struct arena *a, struct pq_file *ret, struct err *e) must_check;

/* Only the value of one key (of the first, where it comes twice). -ENOENT: no such key. */
int pq_file_find_key(struct str in, struct str key, struct str *ret) must_check;

enum pq_order { PQ_UNORDERED = 0, PQ_ASCENDING = 1, PQ_DESCENDING = 2 };

struct pq_column_index {
	uint32_t n; /* pages */
	enum pq_order order;
	struct pq_bounds *pages; /* !has_minmax: a page of NULLs */
};

struct pq_page_location {
	int64_t off;
	int32_t size; /* header included */
	int64_t first_row; /* within the row group */
};

void pq_column_index_encode(struct buf *out, const struct pq_column_index *ci);
int pq_column_index_decode(struct str in, struct arena *a, struct pq_column_index *ret) must_check;
void pq_offset_index_encode(struct buf *out, const struct pq_page_location *l, uint32_t n);
int pq_offset_index_decode(struct str in, struct arena *a, struct pq_page_location **ret,
			   uint32_t *ret_n) must_check;

#endif
