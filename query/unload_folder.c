/*
 * unload_folder: a partition's values as folders, results/region=eu/host=a.
 *
 * Characters that a path, a shell pattern or a hive reader gives a meaning are written as %XX, which
 * those readers turn back: Hive's own rule. A NULL is Hive's name for it.
 */
#include "query/format.h"
#include "query/unload.h"

#include <limits.h>

static bool is_plain(char c)
{
	return c > ' ' ? c < 0x7f && !strchr("\"#%'*/:=?\\{}[]^", c) : c == ' ';
}

static void put_escaped(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		/* Names may be of any alphabet. */
		if (is_plain(s.ptr[i]) || (uint8_t)s.ptr[i] >= 0x80)
			buf_addc(out, s.ptr[i]);
		else
			buf_addf(out, "%%%02X", (uint8_t)s.ptr[i]);
	}
}

static int put_value(const struct unload_spec *s, uint32_t part, const struct plan_col *c, const struct vec *of,
		     uint32_t row, struct buf *out, struct err *e)
{
	const struct vec *v = vec_base(of);
	uint32_t k = vec_index(of, row);
	struct cell_memo memo = {.day_ns = INT64_MIN};
	struct pos at = s->part_pos[part];
	size_t from = out->len;
	struct buf text;
	int rc = 0;

	put_escaped(c->name, out);
	buf_addc(out, '=');
	if (v->valid && !v->valid[k]) {
		buf_adds(out, "__HIVE_DEFAULT_PARTITION__");
		return 0;
	}
	buf_init(&text, 1 << 20);
	cell_of(c->type)(&memo, v, k, &text);
	for (size_t i = 0; i < text.len && rc >= 0; i++) {
		if ((uint8_t)text.data[i] >= 0x80)
			rc = err_set(e, -EINVAL, "line %u:%u: column '%.*s' has the value '%.*s', and only ASCII can make a folder",
				     at.line, at.col, STR_FMT(c->name), (int)MIN(text.len, (size_t)100), text.data);
	}
	put_escaped(buf_str(&text), out);
	if (rc >= 0 && (text.rc || out->len - from > NAME_MAX))
		rc = err_set(e, -EINVAL, "line %u:%u: a value of column '%.*s' is too long for the name of a folder "
					 "(%d bytes, with its column)", at.line, at.col, STR_FMT(c->name), NAME_MAX);
	buf_release(&text);
	return rc;
}

int unload_folder(const struct unload_spec *s, const struct plan *query, const struct vbatch *b, uint32_t row,
		  struct buf *out, struct err *e)
{
	uint32_t first = query->col_count - s->part_n;
	int rc = 0;

	buf_clear(out);
	buf_adds(out, "results");
	for (uint32_t i = 0; i < s->part_n && rc >= 0; i++) {
		buf_addc(out, '/');
		rc = put_value(s, i, &query->cols[first + i], &b->cols[first + i], row, out, e);
	}
	return rc >= 0 && out->rc ? err_set(e, -ENOMEM, "out of memory") : rc;
}
