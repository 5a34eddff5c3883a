/*
 * The structs of parquet.thrift that tiles have: FileMetaData and what it contains, and the header
 * of a page. Field ids are written where they are used; they are that file's and never change.
 */
#include "engine/parquet/parquet.h"
#include "engine/parquet/thrift.h"

enum { CONVERTED_UTF8 = 0, CONVERTED_LIST = 3, CONVERTED_DATE = 6, CONVERTED_TIMESTAMP_MICROS = 10 };
enum { LOGICAL_STRING = 1, LOGICAL_LIST = 3, LOGICAL_DATE = 6, LOGICAL_TIMESTAMP = 8, UNIT_MICROS = 2, UNIT_NANOS = 3 };

/* ---- page headers ---------------------------------------------------------------------------- */

void pq_page_header_encode(struct buf *out, const struct pq_page_header *h)
{
	struct thrift_out t;

	thrift_out_init(&t, out);
	thrift_put_i32(&t, 1, h->type);
	thrift_put_i32(&t, 2, h->raw_size);
	thrift_put_i32(&t, 3, h->stored_size);
	if (h->has_crc)
		thrift_put_i32(&t, 4, (int32_t)h->crc);
	thrift_put_struct(&t, h->type == PQ_DICTIONARY_PAGE ? 7 : 5);
	thrift_put_i32(&t, 1, h->num_values);
	thrift_put_i32(&t, 2, h->encoding);
	if (h->type == PQ_DATA_PAGE) {
		thrift_put_i32(&t, 3, h->def_encoding);
		thrift_put_i32(&t, 4, h->rep_encoding);
	}
	thrift_end(&t);
	thrift_end(&t);
}

static void content_header_decode(struct thrift_in *t, struct pq_page_header *h)
{
	struct thrift_field f = {0};

	while (thrift_next(t, &f)) {
		switch (f.id) {
		case 1:
			h->num_values = thrift_i32(t, &f);
			break;
		case 2:
			h->encoding = thrift_i32(t, &f);
			break;
		case 3:
			if (h->type == PQ_DATA_PAGE)
				h->def_encoding = thrift_i32(t, &f);
			else
				thrift_skip(t, f.type);
			break;
		case 4:
			h->rep_encoding = thrift_i32(t, &f);
			break;
		default:
			thrift_skip(t, f.type);
		}
	}
}

int pq_page_header_decode(struct str in, struct pq_page_header *ret)
{
	struct thrift_in t = thrift_over(in);
	struct pq_page_header h = {.type = -1, .raw_size = -1, .stored_size = -1, .num_values = -1};
	struct thrift_field f = {0};

	while (thrift_next(&t, &f)) {
		if (f.id == 1) {
			h.type = (enum pq_page_type)thrift_i32(&t, &f);
		} else if (f.id == 2) {
			h.raw_size = thrift_i32(&t, &f);
		} else if (f.id == 3) {
			h.stored_size = thrift_i32(&t, &f);
		} else if (f.id == 4) {
			h.crc = (uint32_t)thrift_i32(&t, &f);
			h.has_crc = true;
		} else if (f.type == THRIFT_STRUCT &&
			   ((f.id == 5 && h.type == PQ_DATA_PAGE) ||
			    (f.id == 7 && h.type == PQ_DICTIONARY_PAGE))) {
			content_header_decode(&t, &h);
		} else {
			thrift_skip(&t, f.type);
		}
	}
	if (t.c.bad || h.raw_size < 0 || h.stored_size < 0 || h.num_values < 0)
		return -EBADMSG;
	*ret = h;
	return (int)((const char *)t.c.p - in.ptr);
}

/* ---- statistics, shared by chunks ------------------------------------------------------------ */

static void bounds_encode(struct thrift_out *t, int16_t id, const struct pq_bounds *b)
{
	thrift_put_struct(t, id);
	if (b->has_nulls)
		thrift_put_i64(t, 3, b->nulls);
	if (b->has_minmax) {
		thrift_put_str(t, 5, b->max);
		thrift_put_str(t, 6, b->min);
		thrift_put_bool(t, 7, b->max_exact);
		thrift_put_bool(t, 8, b->min_exact);
	}
	thrift_end(t);
}

static void bounds_decode(struct thrift_in *t, struct pq_bounds *b)
{
	struct thrift_field f = {0};
	bool has_min = false, has_max = false;

	while (thrift_next(t, &f)) {
		switch (f.id) {
		case 3:
			b->nulls = thrift_int(t, &f);
			b->has_nulls = true;
			break;
		case 5:
			b->max = thrift_str(t, &f);
			has_max = true;
			break;
		case 6:
			b->min = thrift_str(t, &f);
			has_min = true;
			break;
		case 7:
			b->max_exact = thrift_bool(t, &f);
			break;
		case 8:
			b->min_exact = thrift_bool(t, &f);
			break;
		default:
			thrift_skip(t, f.type);
		}
	}
	b->has_minmax = has_min && has_max;
}

/* ---- the footer, written --------------------------------------------------------------------- */

static void timestamp_encode(struct thrift_out *t, bool is_utc, int16_t unit)
{
	thrift_put_struct(t, 10);
	thrift_put_struct(t, LOGICAL_TIMESTAMP);
	thrift_put_bool(t, 1, is_utc);
	thrift_put_struct(t, 2);
	thrift_put_struct(t, unit);
	for (int i = 0; i < 4; i++)
		thrift_end(t);
}

static void column_encode(struct thrift_out *t, const struct pq_column *c)
{
	static const struct {
		int16_t converted, logical;
	} plain[] = {
		[PQ_LOGICAL_STRING] = {CONVERTED_UTF8, LOGICAL_STRING},
		[PQ_LOGICAL_DATE] = {CONVERTED_DATE, LOGICAL_DATE},
		[PQ_LOGICAL_LIST] = {CONVERTED_LIST, LOGICAL_LIST},
	};

	thrift_add_struct(t);
	if (!c->children)
		thrift_put_i32(t, 1, c->type);
	thrift_put_i32(t, 3, c->repetition);
	thrift_put_str(t, 4, c->name);
	if (c->children)
		thrift_put_i32(t, 5, (int32_t)c->children);
	if (c->logical < ARRAY_LEN(plain) && plain[c->logical].logical) {
		thrift_put_i32(t, 6, plain[c->logical].converted);
		thrift_put_struct(t, 10);
		thrift_put_struct(t, plain[c->logical].logical);
		thrift_end(t);
		thrift_end(t);
	} else if (c->logical == PQ_LOGICAL_TIMESTAMP_MICROS) {
		thrift_put_i32(t, 6, CONVERTED_TIMESTAMP_MICROS);
		timestamp_encode(t, true, UNIT_MICROS);
	} else if (c->logical == PQ_LOGICAL_TIMESTAMP_NANOS) {
		timestamp_encode(t, false, UNIT_NANOS);
	}
	thrift_end(t);
}

static void chunk_encode(struct thrift_out *t, const struct pq_chunk *c)
{
	thrift_add_struct(t);
	thrift_put_i64(t, 2, 0); /* file_offset: deprecated, and 0 by the format's own advice */
	thrift_put_struct(t, 3);
	thrift_put_i32(t, 1, c->type);
	thrift_put_list(t, 2, THRIFT_I32, (uint32_t)__builtin_popcount(c->encodings));
	for (int i = 0; i < 32; i++)
		if (c->encodings >> i & 1)
			thrift_add_int(t, i);
	thrift_put_list(t, 3, THRIFT_BINARY, MAX(c->path_n, 1u));
	for (uint32_t i = 0; i < c->path_n; i++)
		thrift_add_str(t, c->path[i]);
	if (!c->path_n)
		thrift_add_str(t, c->name);
	thrift_put_i32(t, 4, c->codec);
	thrift_put_i64(t, 5, c->num_values);
	thrift_put_i64(t, 6, c->raw_bytes);
	thrift_put_i64(t, 7, c->stored_bytes);
	thrift_put_i64(t, 9, c->data_page_off);
	if (c->dict_page_off)
		thrift_put_i64(t, 11, c->dict_page_off);
	bounds_encode(t, 12, &c->bounds);
	thrift_end(t);
	if (c->offset_index_len) {
		thrift_put_i64(t, 4, c->offset_index_off);
		thrift_put_i32(t, 5, c->offset_index_len);
	}
	if (c->column_index_len) {
		thrift_put_i64(t, 6, c->column_index_off);
		thrift_put_i32(t, 7, c->column_index_len);
	}
	thrift_end(t);
}

static void group_encode(struct thrift_out *t, const struct pq_group *g, uint32_t ordinal)
{
	thrift_add_struct(t);
	thrift_put_list(t, 1, THRIFT_STRUCT, g->chunk_count);
	for (uint32_t i = 0; i < g->chunk_count; i++)
		chunk_encode(t, &g->chunks[i]);
	thrift_put_i64(t, 2, g->raw_bytes);
	thrift_put_i64(t, 3, g->rows);
	thrift_put_list(t, 4, THRIFT_STRUCT, g->sorting_count);
	for (uint32_t i = 0; i < g->sorting_count; i++) {
		thrift_add_struct(t);
		thrift_put_i32(t, 1, g->sorting[i].column);
		thrift_put_bool(t, 2, g->sorting[i].descending);
		thrift_put_bool(t, 3, g->sorting[i].nulls_first);
		thrift_end(t);
	}
	thrift_put_i64(t, 5, g->file_off);
	thrift_put_i64(t, 6, g->stored_bytes);
	if (ordinal <= INT16_MAX)
		thrift_put_i16(t, 7, (int16_t)ordinal);
	thrift_end(t);
}

/* Columns of the outermost level, and those that hold values. */
static void count_columns(const struct pq_file *f, uint32_t *ret_top, uint32_t *ret_leaves)
{
	uint32_t inner = 0, leaves = 0;

	for (uint32_t i = 0; i < f->column_count; i++) {
		inner += f->columns[i].children;
		leaves += !f->columns[i].children;
	}
	*ret_top = f->column_count - inner;
	*ret_leaves = leaves;
}

void pq_file_encode(struct buf *out, const struct pq_file *f)
{
	struct thrift_out t;
	uint32_t top, leaves;

	count_columns(f, &top, &leaves);
	thrift_out_init(&t, out);
	thrift_put_i32(&t, 1, f->version);
	thrift_put_list(&t, 2, THRIFT_STRUCT, f->column_count + 1);
	thrift_add_struct(&t);
	thrift_put_str(&t, 4, STR_LIT("schema"));
	thrift_put_i32(&t, 5, (int32_t)top);
	thrift_end(&t);
	for (uint32_t i = 0; i < f->column_count; i++)
		column_encode(&t, &f->columns[i]);
	thrift_put_i64(&t, 3, f->rows);
	thrift_put_list(&t, 4, THRIFT_STRUCT, f->group_count);
	for (uint32_t i = 0; i < f->group_count; i++)
		group_encode(&t, &f->groups[i], i);
	thrift_put_list(&t, 5, THRIFT_STRUCT, f->kv_count);
	for (uint32_t i = 0; i < f->kv_count; i++) {
		thrift_add_struct(&t);
		thrift_put_str(&t, 1, f->kvs[i].key);
		thrift_put_str(&t, 2, f->kvs[i].value);
		thrift_end(&t);
	}
	thrift_put_str(&t, 6, f->created_by);
	thrift_put_list(&t, 7, THRIFT_STRUCT, leaves);
	for (uint32_t i = 0; i < leaves; i++) {
		thrift_add_struct(&t);
		thrift_put_struct(&t, 1); /* TypeDefinedOrder */
		thrift_end(&t);
		thrift_end(&t);
	}
	thrift_end(&t);
}

/* ---- the footer, read ------------------------------------------------------------------------ */

struct footer_in {
	struct thrift_in t;
	struct arena *a;
	int rc; /* -ENOTSUP or -ENOMEM; -EBADMSG is t.c.bad */
};

static void *take(struct footer_in *in, uint32_t n, size_t size)
{
	void *p = in->t.c.bad ? NULL : arena_zalloc(in->a, (size_t)n * size + 1);

	if (!p) {
		if (!in->t.c.bad)
			in->rc = -ENOMEM;
		in->t.c.bad = true;
	}
	return p;
}

/* LogicalType is a union: its one field's id is the kind. */
static enum pq_logical logical_decode(struct footer_in *in)
{
	struct thrift_field f = {0}, g, u;
	enum pq_logical ret = PQ_LOGICAL_OTHER;

	while (thrift_next(&in->t, &f)) {
		if (f.id == LOGICAL_STRING)
			ret = PQ_LOGICAL_STRING;
		if (f.id != LOGICAL_TIMESTAMP || f.type != THRIFT_STRUCT) {
			thrift_skip(&in->t, f.type);
			continue;
		}
		bool utc = false, micros = false;
		for (g = (struct thrift_field){0}; thrift_next(&in->t, &g);) {
			if (g.id == 1) {
				utc = thrift_bool(&in->t, &g);
			} else if (g.id == 2 && g.type == THRIFT_STRUCT) {
				for (u = (struct thrift_field){0}; thrift_next(&in->t, &u);) {
					micros |= u.id == UNIT_MICROS;
					thrift_skip(&in->t, u.type);
				}
			} else {
				thrift_skip(&in->t, g.type);
			}
		}
		if (utc && micros)
			ret = PQ_LOGICAL_TIMESTAMP_MICROS;
	}
	return ret;
}

/* Returns the number of children: 0 for a column. */
static int32_t column_decode(struct footer_in *in, struct pq_column *c)
{
	struct thrift_field f = {0};
	int32_t children = 0, converted = -1;

	*c = (struct pq_column){.type = -1};
	while (thrift_next(&in->t, &f)) {
		switch (f.id) {
		case 1:
			c->type = (enum pq_type)thrift_i32(&in->t, &f);
			break;
		case 3:
			c->repetition = (enum pq_repetition)thrift_i32(&in->t, &f);
			break;
		case 4:
			c->name = thrift_str(&in->t, &f);
			break;
		case 5:
			children = thrift_i32(&in->t, &f);
			break;
		case 6:
			converted = thrift_i32(&in->t, &f);
			break;
		case 10:
			if (f.type == THRIFT_STRUCT)
				c->logical = logical_decode(in);
			else
				in->t.c.bad = true;
			break;
		default:
			thrift_skip(&in->t, f.type);
		}
	}
	/* Old writers have the converted type alone. */
	if (c->logical == PQ_LOGICAL_NONE && converted >= 0)
		c->logical = converted == CONVERTED_UTF8	       ? PQ_LOGICAL_STRING
			     : converted == CONVERTED_TIMESTAMP_MICROS ? PQ_LOGICAL_TIMESTAMP_MICROS
								       : PQ_LOGICAL_OTHER;
	return children;
}

static void schema_decode(struct footer_in *in, const struct thrift_field *f, struct pq_file *ret)
{
	uint32_t n = thrift_list(&in->t, f, THRIFT_STRUCT);
	struct pq_column root;

	if (!n || in->t.c.bad) {
		in->t.c.bad = true;
		return;
	}
	if (column_decode(in, &root) != (int32_t)n - 1)
		in->rc = -ENOTSUP;
	ret->column_count = n - 1;
	ret->columns = take(in, n - 1, sizeof *ret->columns);
	for (uint32_t i = 0; i < n - 1 && !in->t.c.bad; i++)
		if (column_decode(in, &ret->columns[i]) != 0)
			in->rc = -ENOTSUP;
}

static struct str path_decode(struct footer_in *in, const struct thrift_field *f)
{
	uint32_t n = thrift_list(&in->t, f, THRIFT_BINARY);
	struct str name = STR_LIT("");

	if (n != 1)
		in->rc = -ENOTSUP;
	for (uint32_t i = 0; i < n; i++)
		name = thrift_list_str(&in->t);
	return name;
}

static void chunk_meta_decode(struct footer_in *in, struct pq_chunk *c)
{
	struct thrift_field f = {0};
	struct thrift_in *t = &in->t;
	uint32_t n;

	while (thrift_next(t, &f)) {
		switch (f.id) {
		case 1:
			c->type = (enum pq_type)thrift_i32(t, &f);
			break;
		case 2:
			n = thrift_list(t, &f, THRIFT_I32);
			for (uint32_t i = 0; i < n; i++) {
				int64_t encoding = thrift_list_int(t);
				if (encoding >= 0 && encoding < 32)
					c->encodings |= 1u << encoding;
				else
					t->c.bad = true;
			}
			break;
		case 3:
			c->name = path_decode(in, &f);
			break;
		case 4:
			c->codec = (enum pq_codec)thrift_i32(t, &f);
			break;
		case 5:
			c->num_values = thrift_int(t, &f);
			break;
		case 6:
			c->raw_bytes = thrift_int(t, &f);
			break;
		case 7:
			c->stored_bytes = thrift_int(t, &f);
			break;
		case 9:
			c->data_page_off = thrift_int(t, &f);
			break;
		case 11:
			c->dict_page_off = thrift_int(t, &f);
			break;
		case 12:
			if (f.type == THRIFT_STRUCT)
				bounds_decode(t, &c->bounds);
			else
				t->c.bad = true;
			break;
		default:
			thrift_skip(t, f.type);
		}
	}
}

static void chunk_decode(struct footer_in *in, struct pq_chunk *c)
{
	struct thrift_field f = {0};
	struct thrift_in *t = &in->t;
	bool has_meta = false;

	*c = (struct pq_chunk){.type = -1};
	while (thrift_next(t, &f)) {
		if (f.id == 1 || f.id == 8 || f.id == 9) {
			in->rc = -ENOTSUP; /* in another file, or encrypted */
			thrift_skip(t, f.type);
		} else if (f.id == 3 && f.type == THRIFT_STRUCT) {
			chunk_meta_decode(in, c);
			has_meta = true;
		} else if (f.id == 4) {
			c->offset_index_off = thrift_int(t, &f);
		} else if (f.id == 5) {
			c->offset_index_len = thrift_i32(t, &f);
		} else if (f.id == 6) {
			c->column_index_off = thrift_int(t, &f);
		} else if (f.id == 7) {
			c->column_index_len = thrift_i32(t, &f);
		} else {
			thrift_skip(t, f.type);
		}
	}
	if (!has_meta)
		t->c.bad = true;
}

static void sorting_decode(struct footer_in *in, const struct thrift_field *f, struct pq_group *g)
{
	struct thrift_in *t = &in->t;

	g->sorting_count = thrift_list(t, f, THRIFT_STRUCT);
	g->sorting = take(in, g->sorting_count, sizeof *g->sorting);
	for (uint32_t i = 0; i < g->sorting_count && !t->c.bad; i++) {
		struct thrift_field s = {0};
		while (thrift_next(t, &s)) {
			if (s.id == 1)
				g->sorting[i].column = thrift_i32(t, &s);
			else if (s.id == 2)
				g->sorting[i].descending = thrift_bool(t, &s);
			else if (s.id == 3)
				g->sorting[i].nulls_first = thrift_bool(t, &s);
			else
				thrift_skip(t, s.type);
		}
	}
}

static void group_decode(struct footer_in *in, struct pq_group *g)
{
	struct thrift_field f = {0};
	struct thrift_in *t = &in->t;

	*g = (struct pq_group){0};
	while (thrift_next(t, &f)) {
		switch (f.id) {
		case 1:
			g->chunk_count = thrift_list(t, &f, THRIFT_STRUCT);
			g->chunks = take(in, g->chunk_count, sizeof *g->chunks);
			for (uint32_t i = 0; i < g->chunk_count && !t->c.bad; i++)
				chunk_decode(in, &g->chunks[i]);
			break;
		case 2:
			g->raw_bytes = thrift_int(t, &f);
			break;
		case 3:
			g->rows = thrift_int(t, &f);
			break;
		case 4:
			sorting_decode(in, &f, g);
			break;
		case 5:
			g->file_off = thrift_int(t, &f);
			break;
		case 6:
			g->stored_bytes = thrift_int(t, &f);
			break;
		default:
			thrift_skip(t, f.type);
		}
	}
}

static void kv_decode(struct thrift_in *t, struct pq_key_value *kv)
{
	struct thrift_field f = {0};

	*kv = (struct pq_key_value){STR_LIT(""), STR_LIT("")};
	while (thrift_next(t, &f)) {
		if (f.id == 1)
			kv->key = thrift_str(t, &f);
		else if (f.id == 2)
			kv->value = thrift_str(t, &f);
		else
			thrift_skip(t, f.type);
	}
}

static void file_decode(struct footer_in *in, struct pq_file *ret)
{
	struct thrift_field f = {0};
	struct thrift_in *t = &in->t;

	while (thrift_next(t, &f)) {
		switch (f.id) {
		case 1:
			ret->version = thrift_i32(t, &f);
			break;
		case 2:
			schema_decode(in, &f, ret);
			break;
		case 3:
			ret->rows = thrift_int(t, &f);
			break;
		case 4:
			ret->group_count = thrift_list(t, &f, THRIFT_STRUCT);
			ret->groups = take(in, ret->group_count, sizeof *ret->groups);
			for (uint32_t i = 0; i < ret->group_count && !t->c.bad; i++)
				group_decode(in, &ret->groups[i]);
			break;
		case 5:
			ret->kv_count = thrift_list(t, &f, THRIFT_STRUCT);
			ret->kvs = take(in, ret->kv_count, sizeof *ret->kvs);
			for (uint32_t i = 0; i < ret->kv_count && !t->c.bad; i++)
				kv_decode(t, &ret->kvs[i]);
			break;
		case 6:
			ret->created_by = thrift_str(t, &f);
			break;
		case 8:
			in->rc = -ENOTSUP; /* encrypted */
			thrift_skip(t, f.type);
			break;
		default:
			thrift_skip(t, f.type);
		}
	}
}

int pq_file_decode(struct str in, struct arena *a, struct pq_file *ret, struct err *e)
{
	struct footer_in fi = {.t = thrift_over(in), .a = a};
	struct pq_file f = {0};

	file_decode(&fi, &f);
	if (fi.rc == -ENOMEM)
		return err_set(e, -ENOMEM, "no memory for the Parquet footer");
	if (fi.t.c.bad)
		return err_set(e, -EBADMSG, "the Parquet footer is damaged at its byte %td",
			       (const char *)fi.t.c.p - in.ptr);
	if (fi.rc < 0)
		return err_set(e, fi.rc, "the Parquet footer has nested columns, encryption or "
					 "chunks in other files, which are not supported");
	for (uint32_t i = 0; i < f.group_count; i++)
		if (f.groups[i].chunk_count != f.column_count)
			return err_set(e, -EBADMSG, "row group %u has %u chunks for %u columns", i,
				       f.groups[i].chunk_count, f.column_count);
	*ret = f;
	return 0;
}

int pq_file_find_key(struct str in, struct str key, struct str *ret)
{
	struct thrift_in t = thrift_over(in);
	struct thrift_field f = {0};

	while (thrift_next(&t, &f)) {
		if (f.id != 5) {
			thrift_skip(&t, f.type);
			continue;
		}
		uint32_t n = thrift_list(&t, &f, THRIFT_STRUCT);
		for (uint32_t i = 0; i < n && !t.c.bad; i++) {
			struct pq_key_value kv;
			kv_decode(&t, &kv);
			if (!t.c.bad && str_eq(kv.key, key)) {
				*ret = kv.value;
				return 0;
			}
		}
	}
	return t.c.bad ? -EBADMSG : -ENOENT;
}
