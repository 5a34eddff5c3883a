/*
 * Definitions to bytes and back, for the WAL and for the series file (docs/format-wal.md shows the
 * layout). A series is written as references into three kinds of dictionary - shapes, measure names,
 * and one per dimension - and brings the text of an entry along the first time that entry occurs:
 *
 *	reference  varint code << 1 | brings_its_definition
 *
 * Codes are given out in the order in which series first use them (series_set.h), so a definition's
 * code is always the next one, and the reader checks that. A payload that begins below what is known
 * is compared with what is known instead: a log that contradicts itself is damage, not news.
 */
#include "engine/series_set.h"

#include <stdlib.h>

/* ---- writing ---------------------------------------------------------------------------------- */

void log_begin(const struct series_set *s, enum log_kind k)
{
	struct series_set *w = (struct series_set *)s; /* the counters belong to the caller's lock */

	w->shapes_next[k] = w->shapes_logged[k];
	w->measures.next[k] = w->measures.logged[k];
	for (uint32_t i = 0; i < segs_count(&s->columns); i++) {
		struct names *d = column_slot(s, i)->dict;
		if (d)
			d->next[k] = d->logged[k];
	}
}

void log_encode_columns(const struct series_set *s, uint32_t from, uint32_t to, struct buf *out)
{
	buf_put_varint(out, from);
	buf_put_varint(out, to - from);
	for (uint32_t i = from; i < to; i++) {
		const struct column *c = series_column(s, i);
		buf_put_u8(out, (uint8_t)c->kind);
		buf_put_u8(out, (uint8_t)c->type);
		buf_put_str(out, c->name);
	}
}

/* The reference; true when the definition has to follow. */
static bool put_reference(struct buf *out, uint32_t code, uint32_t *next)
{
	bool is_new = code >= *next;

	buf_put_varint(out, (uint64_t)code << 1 | is_new);
	if (is_new)
		*next = code + 1;
	return is_new;
}

static void put_name(struct buf *out, struct names *d, uint32_t code, enum log_kind k)
{
	if (put_reference(out, code, &d->next[k]))
		buf_put_str(out, names_at(d, code));
}

static void put_series(const struct series_set *s, uint32_t id, enum log_kind k, struct buf *out)
{
	struct series_set *w = (struct series_set *)s;
	const struct entry *en = series_entry(s, id);
	const struct shape *sh = series_shape(s, en->shape);

	if (put_reference(out, en->shape, &w->shapes_next[k])) {
		buf_put_varint(out, sh->n);
		for (uint32_t i = 0; i < sh->n; i++)
			buf_put_varint(out, sh->cols[i]);
	}
	if (put_reference(out, en->measure, &w->measures.next[k])) {
		buf_put_str(out, names_at(&s->measures, en->measure));
		buf_put_u8(out, (uint8_t)measure_type_at(s, en->measure));
	}
	for (uint32_t i = 0; i < sh->n; i++)
		put_name(out, column_slot(s, sh->cols[i])->dict, en->codes[i], k);
}

uint32_t log_encode_series(const struct series_set *s, enum log_kind k, uint32_t from, uint32_t to,
			   size_t bytes_max, struct buf *out)
{
	size_t start = out->len;

	/* No count in front: the payload's end ends it, so a writer may stop at any series. */
	buf_put_varint(out, from);
	while (from < to && out->len - start < bytes_max && !out->rc)
		put_series(s, from++, k, out);
	return from;
}

static void raise_to(uint32_t *mark, uint32_t v)
{
	if (*mark < v)
		*mark = v;
}

void log_commit(struct series_set *s, enum log_kind k, struct series_mark upto)
{
	for (uint32_t id = s->logged[k].series; id < upto.series; id++) {
		const struct entry *en = series_entry(s, id);
		const struct shape *sh = series_shape(s, en->shape);
		raise_to(&s->shapes_logged[k], en->shape + 1);
		raise_to(&s->measures.logged[k], en->measure + 1);
		for (uint32_t i = 0; i < sh->n; i++)
			raise_to(&column_slot(s, sh->cols[i])->dict->logged[k], en->codes[i] + 1);
	}
	raise_to(&s->logged[k].series, upto.series);
	raise_to(&s->logged[k].columns, upto.columns);
}

void log_commit_all(struct series_set *s, enum log_kind k)
{
	raise_to(&s->shapes_logged[k], segs_count(&s->shapes));
	raise_to(&s->measures.logged[k], segs_count(&s->measures.names));
	for (uint32_t i = 0; i < segs_count(&s->columns); i++) {
		struct names *d = column_slot(s, i)->dict;
		if (d)
			raise_to(&d->logged[k], segs_count(&d->names));
	}
	raise_to(&s->logged[k].series, series_count(s));
	raise_to(&s->logged[k].columns, series_column_count(s));
}

int series_encode_unlogged(const struct series_set *s, struct buf *columns, struct buf *series,
			   struct series_mark *ret_upto)
{
	const struct series_mark *done = &s->logged[LOG_WAL];
	/* Series first: the columns that they need were counted before they were. */
	struct series_mark upto = {.series = series_count(s)};

	upto.columns = series_column_count(s);
	if (upto.columns > done->columns)
		log_encode_columns(s, done->columns, upto.columns, columns);
	if (upto.series > done->series) {
		log_begin(s, LOG_WAL);
		log_encode_series(s, LOG_WAL, done->series, upto.series, SIZE_MAX, series);
	}
	if (columns->rc < 0 || series->rc < 0)
		return columns->rc < 0 ? columns->rc : series->rc;
	*ret_upto = upto;
	return 0;
}

void series_set_logged(struct series_set *s, struct series_mark upto)
{
	log_commit(s, LOG_WAL, upto);
}

struct series_mark series_logged(const struct series_set *s)
{
	return s->logged[LOG_WAL];
}

/* ---- reading ---------------------------------------------------------------------------------- */

static int replay_column(struct series_set *s, uint64_t id, struct cur *c, struct err *e)
{
	unsigned kind = cur_u8(c), type = cur_u8(c);
	struct str name = cur_str(c);
	uint32_t known = series_column_count(s);

	if (c->bad || kind < COLKIND_DIMENSION || kind > COLKIND_MEASURE_VALUE ||
	    !coltype_known(type) || !name.len || name.len > COLUMN_NAME_MAX ||
	    (kind == COLKIND_DIMENSION && type != COL_VARCHAR))
		return err_set(e, -EBADMSG, "column %llu: not a column's definition",
			       (unsigned long long)id);
	if (id < known) {
		const struct column *old = series_column(s, (uint32_t)id);
		if (old->kind != kind || old->type != type || !str_eq(old->name, name))
			return err_set(e, -EBADMSG, "column %llu: defined as '%.*s', known as '%.*s'",
				       (unsigned long long)id, STR_FMT(name), STR_FMT(old->name));
		return 0;
	}
	if (id > known || known >= COLUMNS_MAX || column_find_folded(s, name) >= 0)
		return err_set(e, -EBADMSG, "column %llu '%.*s': does not follow the %u known",
			       (unsigned long long)id, STR_FMT(name), known);

	struct names *d = NULL;
	if (kind == COLKIND_DIMENSION && !(d = names_create()))
		return err_set(e, -ENOMEM, "columns: out of memory");
	int rc = column_reserve(s, 1, name.len);
	if (rc < 0) {
		free(d);
		return err_set(e, rc, "columns: out of memory");
	}
	column_push(s, name, kind, type, d);
	return 0;
}

int series_replay_columns(struct series_set *s, struct str payload, struct err *e)
{
	struct cur c = cur_over(payload.ptr, payload.len);
	uint64_t id = cur_varint(&c), n = cur_varint(&c);
	int rc = 0;

	if (c.bad || n > COLUMNS_MAX || id > COLUMNS_MAX)
		return err_set(e, -EBADMSG, "columns: not a list of definitions");
	pthread_rwlock_wrlock(&s->lock);
	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = replay_column(s, id + i, &c, e);
	if (rc == 0 && cur_left(&c))
		rc = err_set(e, -EBADMSG, "columns: %zu bytes behind the last definition",
			     cur_left(&c));
	log_commit(s, LOG_WAL, (struct series_mark){.columns = series_column_count(s)});
	pthread_rwlock_unlock(&s->lock);
	return rc;
}

/*
 * Codes at and beyond the known count occur only with their definition; both sides of the reference
 * are checked before anything is added. Returns the code, or -1 with the cursor marked bad.
 */
static int64_t get_reference(struct cur *c, uint32_t known, bool *ret_defines)
{
	uint64_t r = cur_varint(c);

	*ret_defines = r & 1;
	if (c->bad || r >> 1 > known || (r >> 1 == known && !*ret_defines)) {
		c->bad = true;
		return -1;
	}
	return (int64_t)(r >> 1);
}

/* A dimension's value. */
static int get_value(struct series_set *s, struct names *d, struct cur *c, uint32_t *ret)
{
	bool defines;
	int64_t code = get_reference(c, segs_count(&d->names), &defines);
	int rc;

	if (code < 0)
		return -EBADMSG;
	*ret = (uint32_t)code;
	if (!defines)
		return 0;
	struct str text = cur_str(c);
	if (c->bad || !text.len || text.len > UINT32_MAX)
		return -EBADMSG;
	if (code < segs_count(&d->names))
		return str_eq(names_at(d, (uint32_t)code), text) ? 0 : -EBADMSG;
	uint32_t hash = hash32(s, text.ptr, text.len);
	if (!s->is_bulk && names_find(d, text, hash) >= 0)
		return -EBADMSG;
	if ((rc = s->is_bulk ? segs_reserve(&d->names, 1) : names_reserve(d)) < 0 ||
	    (rc = pool_reserve(&s->text, text.len)) < 0)
		return rc;
	if (s->is_bulk)
		names_append(d, &s->text, text, hash);
	else
		names_add(d, &s->text, text, hash);
	return 0;
}

static int get_measure(struct series_set *s, struct cur *c, uint32_t *ret)
{
	bool defines;
	int64_t code = get_reference(c, segs_count(&s->measures.names), &defines);
	int rc;

	if (code < 0)
		return -EBADMSG;
	*ret = (uint32_t)code;
	if (!defines)
		return 0;
	struct str text = cur_str(c);
	unsigned type = cur_u8(c);
	if (c->bad || text.len > UINT32_MAX || !measure_type_known(type))
		return -EBADMSG;
	if (code < segs_count(&s->measures.names))
		return str_eq(names_at(&s->measures, (uint32_t)code), text) &&
				       measure_type_at(s, (uint32_t)code) == type
			       ? 0
			       : -EBADMSG;
	uint32_t hash = hash32(s, text.ptr, text.len);
	if (names_find(&s->measures, text, hash) >= 0)
		return -EBADMSG;
	if ((rc = measure_reserve(s)) < 0 || (rc = pool_reserve(&s->text, text.len)) < 0)
		return rc;
	measure_push(s, text, (enum measure_type)type, hash);
	return 0;
}

static int get_shape(struct series_set *s, struct cur *c, uint16_t *cols, uint32_t *ret)
{
	bool defines;
	uint32_t known = segs_count(&s->shapes), columns = series_column_count(s);
	int64_t id = get_reference(c, known, &defines);
	int rc;

	if (id < 0)
		return -EBADMSG;
	*ret = (uint32_t)id;
	if (!defines)
		return 0;
	uint64_t n = cur_varint(c);
	if (c->bad || n > columns)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t col = cur_varint(c);
		if (c->bad || col >= columns || (i && col <= cols[i - 1]) ||
		    !column_slot(s, (uint32_t)col)->dict)
			return -EBADMSG;
		cols[i] = (uint16_t)col;
	}
	uint32_t hash = hash32(s, cols, n * sizeof *cols);
	int64_t same = shape_find(s, cols, (uint32_t)n, hash);
	if (id < known)
		return same == id ? 0 : -EBADMSG;
	if (same >= 0)
		return -EBADMSG;
	if ((rc = shape_reserve(s)) < 0 ||
	    (rc = pool_reserve(&s->entries, shape_bytes((uint32_t)n))) < 0)
		return rc;
	shape_push(s, cols, (uint32_t)n, hash);
	return 0;
}

/* Room for one series of the most columns there can be. */
struct replay_scratch {
	uint16_t cols[COLUMNS_MAX];
	uint32_t codes[COLUMNS_MAX];
};

static int add_entry(struct series_set *s, uint32_t shape, uint32_t measure, const uint32_t *codes, uint32_t n)
{
	uint32_t hash = s->is_bulk ? 0 : entry_hash(s, shape, measure, codes, n);
	int rc;

	if (series_count(s) >= SERIES_MAX)
		return -E2BIG;
	if (!s->is_bulk && entry_find(s, shape, measure, codes, n, hash) >= 0)
		return -EBADMSG;
	if ((rc = s->is_bulk ? segs_reserve(&s->series, 1) : entry_reserve(s)) < 0 ||
	    (rc = pool_reserve(&s->entries, entry_bytes(n))) < 0)
		return rc;
	if (s->is_bulk)
		entry_append(s, shape, measure, codes, n);
	else
		entry_push(s, shape, measure, codes, n, hash);
	return 0;
}

static int replay_one(struct series_set *s, uint64_t id, struct cur *c, struct replay_scratch *t)
{
	uint32_t shape, measure;
	int rc = get_shape(s, c, t->cols, &shape);

	if (rc == 0)
		rc = get_measure(s, c, &measure);
	if (rc < 0)
		return rc;
	const struct shape *sh = series_shape(s, shape);
	for (uint32_t i = 0; i < sh->n; i++) {
		rc = get_value(s, column_slot(s, sh->cols[i])->dict, c, &t->codes[i]);
		if (rc < 0)
			return rc;
	}
	if (id < series_count(s)) {
		const struct entry *old = series_entry(s, (uint32_t)id);
		return old->shape == shape && old->measure == measure &&
				       (sh->n == 0 || memcmp(old->codes, t->codes, sh->n * sizeof *t->codes) == 0)
			       ? 0
			       : -EBADMSG;
	}
	return add_entry(s, shape, measure, t->codes, sh->n);
}

int series_replay_series(struct series_set *s, struct str payload, struct err *e)
{
	struct cur c = cur_over(payload.ptr, payload.len);
	uint64_t id = cur_varint(&c);
	struct replay_scratch *t = malloc(sizeof *t);
	int rc = 0;

	if (!t)
		return err_set(e, -ENOMEM, "series: out of memory");
	pthread_rwlock_wrlock(&s->lock);
	if (c.bad || id > series_count(s))
		rc = err_set(e, -EBADMSG, "series: definitions begin at %llu, while %u are known",
			     (unsigned long long)id, series_count(s));
	for (; rc == 0 && cur_left(&c); id++) {
		rc = replay_one(s, id, &c, t);
		if (rc == -EBADMSG)
			err_set(e, rc, "series %llu: damaged, or at odds with what is known",
				(unsigned long long)id);
		else if (rc < 0)
			err_set(e, rc, "series %llu: %s", (unsigned long long)id, strerror(-rc));
	}
	if (rc == 0)
		log_commit_all(s, LOG_WAL);
	else
		log_commit(s, LOG_WAL, (struct series_mark){series_column_count(s), series_count(s)});
	pthread_rwlock_unlock(&s->lock);
	free(t);
	return rc;
}
