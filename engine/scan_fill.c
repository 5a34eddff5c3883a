/*
 * scan_fill: columns that are read for the rows that somebody chose.
 *
 * A batch is put together of pieces of pages, and of rows that come from memory or were merged. Of the latter all
 * columns are there at once; of the former those that are late stay where they are until it is known which rows
 * are wanted, and are not even read where there is none.
 */
#include "engine/scan_impl.h"

/* Rows sel[0..n) that are all of piece p, or (NULL) of none. to: where they go in the filled column. */
static int fill_rows(struct scan *s, uint32_t c, const struct piece *p, const uint32_t *sel, uint32_t n, uint32_t to,
		     bool *has_null, struct err *e)
{
	struct col *out = &s->filled[c];
	size_t size = coltype_size(out->type);
	char *data = (char *)out->data + to * size;
	const struct col *in = &s->cols[c];
	const struct page *page = NULL;

	for (uint32_t i = 0; !p && i < n; i++) {
		memcpy(data + i * size, (const char *)in->data + sel[i] * size, size);
		out->valid[to + i] = in->valid[sel[i]];
		*has_null |= !in->valid[sel[i]];
	}
	if (!p)
		return 0;
	int rc = source_late(s, p, c, &page, e);
	if (rc < 0)
		return rc;
	if (!page) {
		memset(data, 0, n * size);
		memset(out->valid + to, 0, n);
		*has_null = true;
		return 0;
	}
	int64_t from = (int64_t)p->from - p->at;
	page_gather(page, from, sel, n, data);
	memset(out->valid + to, 1, n);
	for (uint32_t i = 0; page->valid && i < n; i++) {
		out->valid[to + i] = page->valid[from + sel[i]];
		*has_null |= !out->valid[to + i];
	}
	return out->type == COL_VARCHAR ? scan_copy_strings(s, out->str + to, out->valid + to, n, e) : 0;
}

static int fill_col(struct scan *s, uint32_t c, const uint32_t *sel, uint32_t n, bool *has_null, struct err *e)
{
	uint32_t at = 0, k = 0;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i += k) {
		while (at < s->piece_count && s->pieces[at].at + s->pieces[at].k <= sel[i])
			at++;
		const struct piece *p = at < s->piece_count ? &s->pieces[at] : NULL;
		uint32_t end = !p ? s->n : sel[i] < p->at ? p->at : p->at + p->k;
		p = p && sel[i] >= p->at ? p : NULL;
		for (k = 1; i + k < n && sel[i + k] < end;)
			k++;
		rc = fill_rows(s, c, p, sel + i, k, i, has_null, e);
	}
	return rc;
}

int scan_fill(struct scan *s, const uint32_t *sel, uint32_t n, const struct col **ret, struct err *e)
{
	for (uint32_t c = 0; c < s->spec.col_count; c++) {
		bool has_null = false;

		if (!s->spec.late || !s->spec.late[c])
			continue;
		int rc = fill_col(s, c, sel, n, &has_null, e);
		if (rc < 0) {
			table_note_damage(s->table, rc, e);
			return rc;
		}
		s->out[c] = s->filled[c];
		if (!has_null)
			s->out[c].valid = NULL;
	}
	*ret = s->out;
	return 0;
}
