/*
 * format: private to format*.c: rows to bytes.
 *
 * A format is a row of functions over a query_text; what they share is how a scalar prints
 * (format_cell.c). Output is row by row, but everything that depends on a column's type alone is
 * decided once: a column has the function that prints its values.
 */
#ifndef TIDE_FORMAT_H
#define TIDE_FORMAT_H

#include "query/query.h"

/* What printing remembers from one value to the next. */
struct cell_memo {
	int64_t day_ns;    /* midnight of the day in `date`; INT64_MIN: none */
	char date[11];     /* "2022-06-17 " */
	bool is_zulu;      /* in JSON the times of a timeseries end in Z, as UNLOAD wants them */
};

/* Print value k of a FLAT or CONST vector that is not NULL; bare text, nothing escaped. */
typedef void cell_fn(struct cell_memo *m, const struct vec *v, uint32_t k, struct buf *out);
/* A timestamp's TIMESTAMP_TEXT_LEN bytes. */
void cell_put_timestamp(struct cell_memo *m, int64_t ns, char *p);
cell_fn *cell_of(const struct type *t);
bool cell_is_text(const struct type *t); /* may hold any character: varchar, and what may contain it */
bool cell_is_number(const struct type *t);

/* The same as JSON (format_json.c): value k, not NULL, of a FLAT or CONST vector; and a text, in quotes. */
void json_cell(struct cell_memo *m, const struct type *t, cell_fn *cell, const struct vec *v, uint32_t k,
	       struct buf *out);
void json_string(struct str s, struct buf *out);

struct query_text;
struct format {
	void (*begin)(struct query_text *t, struct buf *out);
	/* Rows [from, to) of b; t->rows were before. */
	void (*rows)(struct query_text *t, const struct vbatch *b, uint32_t from, uint32_t to, struct buf *out);
	void (*end)(struct query_text *t, struct buf *out);
	void (*release)(struct query_text *t); /* NULL: nothing to release */
	bool is_binary; /* no line can say what failed; whole batches */
};

/* How format_csv.c writes a column of the batch at hand. */
enum csv_kind {
	CSV_CELL, /* any other */
	CSV_CONSTANT,
	CSV_JOINED, /* a constant in the text of an earlier step */
	CSV_CODED,  /* a dictionary's */
	CSV_NUMBER,
	CSV_DOUBLE,
	CSV_TIME,
};
struct csv_text { /* in query_text.held */
	size_t off;
	uint32_t len;
};
struct csv_step {
	enum csv_kind kind;
	const struct vec *v; /* whose values they are */
	const uint32_t *codes;
	uint32_t first; /* of its texts, in query_text.held_lens */
	uint32_t room;  /* bytes a value takes at most */
};

struct text_col {
	struct str name;
	const struct type *type;
	cell_fn *cell;
	bool is_text;
	uint32_t width; /* txt */
	struct csv_step csv;
	struct str key; /* json: {"name": or ,"name": */
};

struct query_text {
	struct query *query;
	const struct format *format;
	struct text_col *cols;
	uint32_t col_count;
	struct cell_memo memo;
	bool has_begun, has_output, is_done;
	uint64_t rows;
	const struct vbatch *batch; /* at hand; NULL: none */
	uint32_t at, rows_at_once;  /* its next row; so many go out together */
	struct buf scratch;
	struct buf keys;       /* json: the bytes of all keys */
	struct buf held;       /* txt: cells held back; csv: texts of values that stand for many rows... */
	struct buf held_lens;  /* ...and their lengths: u32 each; struct csv_text */
	bool is_aligned;       /* txt: widths are fixed, nothing is held back any more */
	struct parquet_result *parquet; /* parquet: the file in the making */
	int rc;                /* parquet: what went wrong... */
	struct err e;          /* ...and how */
};

/* query.c: bytes handed out, for query_progress(). */
void query_count_out(struct query *q, size_t bytes);
struct budget *query_budget(struct query *q);
int query_cancelled(const struct query *q, struct err *e) must_check;

extern const struct format format_csv, format_tsv, format_json, format_jsonl, format_txt,
	format_parquet;

/* Room for n more bytes without a call where it is there. */
static inline char *format_room(struct buf *b, size_t n)
{
	return likely(b->cap - b->len >= n) && likely(!b->rc) ? b->data + b->len : buf_reserve(b, n);
}

#endif
