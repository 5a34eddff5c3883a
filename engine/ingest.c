/*
 * How bytes become lines, and lines rows.
 *
 * A write is processed in three parts: the line that the write before left unfinished (`carry`), the
 * complete lines, and an unfinished rest. Nothing of the handle's state changes until all rows are
 * stored: on failure carry, scanner and line number are put back, so the same write may come again.
 *
 * Where lines end is the business of the format's scanner, with two bounds, which also hold when a
 * line arrives in pieces:
 *
 *   - A line of more than INGEST_LINE_MAX bytes is refused; what follows up to the next newline
 *     belongs to it and is skipped without being kept.
 *   - Except when the scanner was inside a string: then the opening quote was probably a mistake, and
 *     must not swallow what follows. The line is refused up to its first newline. In the bytes
 *     that had been gathered (the `strict` stretch) every newline ends a line, so no byte is
 *     scanned more than three times, however quotes are strewn.
 *
 * When a write failed because all its lines were bad, and what comes next is not that write again, the
 * program gave up on it: the carried beginning of its first line goes with it.
 */
#include "engine/ingest_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/refusal.h"

#define CARRY_MAX  (4 * (size_t)INGEST_LINE_MAX) /* held line, and what completes it */
#define CARRY_KEEP (64 << 10)			 /* memory that an idle handle may hold */

static const struct ingest_parser *const parsers[INGEST_FORMATS] = {
	[INGEST_LINEPROTO] = &ingest_lp_parser,
	[INGEST_JSONL] = &ingest_jsonl_parser,
};

/* A record with a version was taken, and lost against what is stored. */
static void lost(void *ctx, struct table *t, const struct feed_origin *o, const struct version_conflict *c)
{
	struct ingest *in = ctx;
	struct err why;

	if (c->is_same)
		err_set(&why, -EINVAL,
			"A record already exists with the same time, dimensions, measure name, and record version. "
			"A higher record version must be specified in order to update the measure value.");
	else
		err_set(&why, -EINVAL,
			"The record version %lld is lower than the existing version %lld. A higher version is "
			"required to update the measure value.",
			(long long)o->version, (long long)c->existing);
	in->good--;
	ingest_complain(in, &(struct complaint){.line = o->line,
						 .text = o->text,
						 .record = o->record,
						 .existing_version = c->existing,
						 .reason = why.text,
						 .table = str_from(table_name(t))});
}

int ingest_open(struct db *db, struct table *table, const struct ingest_source *src,
		struct ingest **ret, struct err *e)
{
	struct ingest *in = calloc(1, sizeof *in);

	if (!in)
		return err_set(e, -ENOMEM, "out of memory");
	in->parser = parsers[src->format];
	in->file = strdup(src->file);
	if (!in->file || in->parser->open(in) < 0) {
		in->parser->close(in);
		free(in->file);
		free(in);
		return err_set(e, -ENOMEM, "out of memory");
	}
	in->uid = src->uid;
	in->line = 1;
	feed_init(&in->feed, db, table);
	in->feed.may_write = src->may_write;
	in->feed.may_ctx = src->may_ctx;
	in->feed.lost = lost;
	in->feed.lost_ctx = in;
	buf_init(&in->carry, CARRY_MAX);
	buf_init(&in->json, 1 << 20);
	*ret = in;
	return 0;
}

void ingest_close(struct ingest *in)
{
	if (!in)
		return;
	feed_release(&in->feed);
	in->parser->close(in);
	buf_release(&in->carry);
	buf_release(&in->json);
	free(in->before.lines);
	free(in->now.lines);
	free(in->file);
	free(in);
}

size_t ingest_pending(const struct ingest *in)
{
	return in->carry.len;
}

bool ingest_take_rejected(struct ingest *in)
{
	bool was = in->has_rejected;

	in->has_rejected = false;
	return was;
}

/* ---- lines ------------------------------------------------------------------------------------ */

static uint64_t count_newlines(const char *p, size_t n)
{
	uint64_t count = 0;

	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		count++;
	return count;
}

/* One line, without its newline. <0: failure of the write; a bad line is none. */
static int take_line(struct ingest *in, struct str line, struct err *e)
{
	int rc = in->parser->line(in, line, e);

	if (rc == 0)
		in->line += 1 + (in->parser->scan ? count_newlines(line.ptr, line.len) : 0);
	return rc;
}

/* A line that no parser gets to see. */
static void refuse(struct ingest *in, struct str line, size_t total, const char *reason)
{
	ingest_complain(in, &(struct complaint){.text = line, .total = total, .record = -1, .reason = reason});
}

static bool is_in_string(const struct ingest *in, const struct line_scan *scan)
{
	return in->parser->scan && in->parser->scan_in_string(scan);
}

static const char *find_newline(const char *p, const char *end)
{
	return p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
}

/*
 * p: a line that does not end within the bytes [p, p + INGEST_LINE_MAX + 1), which the scanner has
 * seen. If it is inside a string, refuse the first physical line and return its newline; otherwise
 * refuse all of it and return NULL (the rest is to be skipped). This does not make the write fail: most
 * of the line came with writes that were acknowledged, and its end with none so far.
 */
static const char *take_endless(struct ingest *in, const char *p, const struct line_scan *scan)
{
	const char *nl = NULL;
	static const char open_string[] = "a quoted string is not closed within 1 MiB";

	in->unfinished++;
	if (is_in_string(in, scan))
		nl = find_newline(p, p + INGEST_LINE_MAX + 1);
	if (nl) {
		refuse(in, (struct str){p, (size_t)(nl - p)}, 0, open_string);
		in->line++;
		return nl;
	}
	refuse(in, (struct str){p, REFUSAL_TEXT_MAX}, INGEST_LINE_MAX + 1, "the line is longer than 1 MiB");
	in->line += count_newlines(p, INGEST_LINE_MAX + 1);
	return NULL;
}

/* Skip the rest of a line that was too long; where the next one begins, or end. */
static const char *skip(struct ingest *in, const char *p, const char *end)
{
	const char *nl = find_newline(p, end);

	in->is_skipping = !nl;
	if (!nl)
		return end;
	in->line++;
	return nl + 1;
}

/*
 * The newline that ends the line at p, among the n bytes there; or NULL, with in->scan behind them.
 * Newlines before `strict` end a line whatever the scanner says.
 */
static const char *line_end(struct ingest *in, const char *p, size_t n, const char *strict)
{
	const char *nl = find_newline(p, strict);

	if (nl)
		return nl;
	/* Without a quote before it the first newline is the end. */
	nl = memchr(p, '\n', n);
	if (!in->parser->scan || (nl && !memchr(p, '"', (size_t)(nl - p))))
		return nl;
	in->scan = (struct line_scan){0};
	size_t k = in->parser->scan(&in->scan, p, n);
	return k < n ? p + k : NULL;
}

/*
 * The lines in [p, end). Where the unfinished rest begins goes to *ret_rest, its scanner to in->scan.
 */
static int take_lines(struct ingest *in, const char *p, const char *end, const char *strict,
		      const char **ret_rest, struct err *e)
{
	const char *last = p < end ? memrchr(p, '\n', (size_t)(end - p)) : NULL;
	const char *fast_end = last ? last + 1 : p;
	int (*fast)(struct ingest *, const char *, const char *, const char *, const char **, struct err *) =
		in->parser->fast;

	while (p < end) {
		const char *next = p, *nl;
		int rc = fast && p < fast_end ? fast(in, p, fast_end, end, &next, e) : 0;
		if (rc < 0)
			return rc;
		if (rc > 0) {
			in->good++;
			in->line++;
			p = next;
			continue;
		}
		size_t n = (size_t)MIN(end - p, INGEST_LINE_MAX + 1);
		nl = line_end(in, p, n, strict);
		if (nl) {
			rc = take_line(in, (struct str){p, (size_t)(nl - p)}, e);
			if (rc < 0)
				return rc;
			p = nl + 1;
		} else if (n <= INGEST_LINE_MAX) {
			break; /* unfinished */
		} else if ((nl = take_endless(in, p, &in->scan))) {
			strict = p + INGEST_LINE_MAX + 1;
			p = nl + 1;
		} else {
			p = skip(in, p + INGEST_LINE_MAX + 1, end);
		}
	}
	*ret_rest = p;
	return 0;
}

/* ---- the carried line ------------------------------------------------------------------------- */

/* Rows collected may point into the carry: they go first if it has to move. */
static int carry_add(struct ingest *in, const char *p, size_t n, struct err *e)
{
	if (in->carry.cap - in->carry.len < n) {
		int rc = feed_flush(&in->feed, e);
		if (rc < 0)
			return rc;
	}
	buf_add(&in->carry, p, n);
	return in->carry.rc < 0 ? err_set(e, in->carry.rc, "out of memory") : 0;
}

/*
 * The carried line did not end within INGEST_LINE_MAX bytes; `held` of them are carried from
 * carry_from on, the others are at *p. Either the carry is done with and *p is moved to where the next
 * line begins, or what is left of the carry is an unfinished line again.
 */
static int carry_endless(struct ingest *in, size_t held, const char **p, const char *end,
			 const char **strict, struct err *e)
{
	size_t old = in->carry.len, more = INGEST_LINE_MAX + 1 - held;
	int rc = carry_add(in, *p, more, e);

	if (rc < 0)
		return rc;
	const char *begin = in->carry.data + in->carry_from;
	const char *nl = take_endless(in, begin, &in->scan);
	if (!nl) {
		in->carry_done = true;
		*p = skip(in, *p + more, end);
		return 0;
	}
	*strict = *p + more;
	in->carry.len = old;
	if (nl >= in->carry.data + old) {
		in->carry_done = true;
		*p += nl - (in->carry.data + old) + 1;
		return 0;
	}
	const char *at = nl + 1, *stop = in->carry.data + old;
	while ((nl = find_newline(at, stop))) {
		rc = take_line(in, (struct str){at, (size_t)(nl - at)}, e);
		if (rc < 0)
			return rc;
		at = nl + 1;
	}
	in->carry_from = (size_t)(at - in->carry.data);
	in->carry_done = at == stop;
	in->scan = (struct line_scan){0};
	if (in->parser->scan)
		in->parser->scan(&in->scan, at, (size_t)(stop - at));
	return 0;
}

/* Complete the carried line from *p on, if it can be. *p is moved behind what was used. */
static int take_carry(struct ingest *in, const char **p, const char *end, const char **strict,
		      struct err *e)
{
	while (!in->carry_done && *p < end) {
		size_t held = in->carry.len - in->carry_from, avail = (size_t)(end - *p);
		size_t n = MIN(avail, INGEST_LINE_MAX + 1 - held);
		const char *nl = find_newline(*p, *strict);
		int rc;

		if (!nl && in->parser->scan) {
			size_t k = in->parser->scan(&in->scan, *p, n);
			nl = k < n ? *p + k : NULL;
		} else if (!nl) {
			nl = memchr(*p, '\n', n);
		}
		if (nl) {
			rc = carry_add(in, *p, (size_t)(nl - *p), e);
			if (rc == 0)
				rc = take_line(in, (struct str){in->carry.data + in->carry_from,
								in->carry.len - in->carry_from},
					       e);
			in->carry_done = true;
			*p = nl + 1;
		} else if (held + avail <= INGEST_LINE_MAX) {
			rc = carry_add(in, *p, avail, e);
			*p = end;
		} else {
			rc = carry_endless(in, held, p, end, strict, e);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- writes ----------------------------------------------------------------------------------- */

/* What a failed write puts back. */
struct mark {
	size_t carry_len;
	struct line_scan scan;
	bool is_skipping;
	uint64_t line;
};

static struct mark mark(const struct ingest *in)
{
	return (struct mark){in->carry.len, in->scan, in->is_skipping, in->line};
}

static void rewind_to(struct ingest *in, const struct mark *m)
{
	feed_abort(&in->feed);
	in->carry.len = m->carry_len;
	in->carry.rc = 0;
	in->scan = m->scan;
	in->is_skipping = m->is_skipping;
	in->line = m->line;
}

static void begin(struct ingest *in, size_t n, bool again)
{
	feed_begin(&in->feed, (uint32_t)MIN((n + in->carry.len) / in->parser->line_bytes_min + 2, UINT32_MAX),
		   again);
	in->now.n = 0;
	in->good = in->bad = in->unfinished = 0;
	in->carry_from = 0;
	in->carry_done = in->carry.len == 0;
}

/* Is this the write that failed, once more (perhaps with more behind it)? */
static bool is_again(const struct ingest *in, const char *data, size_t n)
{
	const struct failed *fl = &in->failed;

	return fl->is && fl->stored && n >= fl->n && hash_bytes(data, fl->n, 0) == fl->hash;
}

static void drop_given_up(struct ingest *in, const char *data, size_t n)
{
	const struct failed *fl = &in->failed;

	if (!fl->is || !fl->all_bad || !in->carry.len || !fl->head_len)
		return;
	if (memcmp(data, fl->head, MIN(n, fl->head_len)) == 0)
		return;
	in->line += 1 + count_newlines(in->carry.data, in->carry.len);
	in->carry.len = 0;
	in->scan = (struct line_scan){0};
}

static void remember_failure(struct ingest *in, const char *data, size_t n, int rc)
{
	struct failed *fl = &in->failed;

	ingest_refused_keep(in);
	*fl = (struct failed){.is = true, .all_bad = rc == -EINVAL, .n = n};
	fl->stored = in->feed.stored;
	if (fl->stored)
		fl->hash = hash_bytes(data, n, 0);
	fl->head_len = MIN(n, sizeof fl->head);
	memcpy(fl->head, data, fl->head_len);
}

/* All of the write but storing its last rows and keeping its rest. */
static int take(struct ingest *in, const char *data, size_t n, const char **ret_rest, struct err *e)
{
	const char *p = data, *end = data + n, *strict = data;

	if (in->is_skipping)
		p = skip(in, p, end);
	int rc = take_carry(in, &p, end, &strict, e);
	if (rc == 0)
		rc = take_lines(in, p, end, strict, ret_rest, e);
	return rc;
}

static int all_bad(const struct ingest *in, struct err *e)
{
	if (in->bad == 1)
		return err_set(e, -EINVAL, "%s", in->first.text);
	return err_set(e, -EINVAL, "%.900s (and %llu more)", in->first.text,
		       (unsigned long long)in->bad - 1);
}

/* A large carry is of no use to an idle handle. Failing to shrink it does not matter. */
static void shrink(struct buf *b)
{
	struct buf small;

	if (b->len > CARRY_KEEP || b->cap <= CARRY_KEEP)
		return;
	buf_init(&small, b->max);
	buf_add(&small, b->data, b->len);
	if (small.rc < 0)
		return;
	buf_release(b);
	*b = small;
}

/*
 * The unfinished rest becomes the carry. All rows are stored by now; on failure the carry is as it
 * was when the write began.
 */
static int keep_rest(struct ingest *in, const char *rest, size_t n, size_t old_len, struct err *e)
{
	struct buf *b = &in->carry;

	if (in->carry_done) {
		b->len = old_len;
		if (n > old_len && !buf_reserve(b, n - old_len))
			return err_set(e, -ENOMEM, "out of memory");
		if (n)
			memcpy(b->data, rest, n);
		b->len = n;
	} else {
		buf_drop_front(b, in->carry_from);
	}
	shrink(b);
	return 0;
}

int64_t ingest_write(struct ingest *in, const char *data, size_t n, struct err *e)
{
	const char *rest = data + n;
	int rc = 0;

	if (n == 0)
		return 0;
	drop_given_up(in, data, n);
	bool again = is_again(in, data, n);
	struct mark m = mark(in);
	for (int tries = 0; tries < 2; tries++) {
		begin(in, n, again || tries);
		rc = take(in, data, n, &rest, e);
		if (rc == 0)
			rc = feed_flush(&in->feed, e);
		/* At database level a table may be dropped and made anew under our feet. */
		if (rc != -ESTALE || in->feed.table)
			break;
		rewind_to(in, &m);
		feed_forget(&in->feed);
		if (in->parser->forget)
			in->parser->forget(in);
	}
	if (rc == 0 && in->bad > in->unfinished && !in->good)
		rc = all_bad(in, e);
	if (rc == 0)
		rc = keep_rest(in, rest, (size_t)(data + n - rest), m.carry_len, e);
	if (rc < 0) {
		rewind_to(in, &m);
		remember_failure(in, data, n, rc);
		return rc;
	}
	in->failed.is = false;
	ingest_refused_pass(in);
	return (int64_t)n;
}

int ingest_finish(struct ingest *in, struct err *e)
{
	struct mark m = mark(in);
	int rc = 0;

	/* While the write that would complete the line has failed, half of it is not a line. */
	if (!in->carry.len || in->failed.is)
		return 0;
	const char *p = in->carry.data, *end = p + in->carry.len, *nl;
	begin(in, 0, false);
	if (is_in_string(in, &in->scan) && (nl = find_newline(p, end))) {
		refuse(in, (struct str){p, (size_t)(nl - p)}, 0, "a quoted string is not closed");
		in->line++;
		p = nl + 1;
		while (rc == 0 && (nl = find_newline(p, end))) {
			rc = take_line(in, (struct str){p, (size_t)(nl - p)}, e);
			p = nl + 1;
		}
	}
	if (rc == 0 && p < end)
		rc = take_line(in, (struct str){p, (size_t)(end - p)}, e);
	if (rc == 0)
		rc = feed_flush(&in->feed, e);
	if (rc < 0) {
		rewind_to(in, &m);
		ingest_refused_keep(in);
		return rc;
	}
	buf_clear(&in->carry);
	in->scan = (struct line_scan){0};
	in->failed.is = false;
	ingest_refused_pass(in);
	return in->bad && !in->good ? all_bad(in, e) : 0;
}
