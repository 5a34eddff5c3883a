/* func_text: more functions of varchar; see func_string.c for those that everybody knows. */
#include "query/func_text.h"

#define GROUP "String"

static int starts_with_row(const struct row *r, uint8_t *ret)
{
	struct str s = text_arg(r, 0), begin = text_arg(r, 1);

	*ret = begin.len <= s.len && !memcmp(s.ptr, begin.ptr, begin.len);
	return 0;
}
static int ends_with_row(const struct row *r, uint8_t *ret)
{
	struct str s = text_arg(r, 0), end = text_arg(r, 1);

	*ret = end.len <= s.len && !memcmp(s.ptr + s.len - end.len, end.ptr, end.len);
	return 0;
}
BY_ROW(starts_with, starts_with_row, b8)
BY_ROW(ends_with, ends_with_row, b8)

/* Where cp stands in s, counted in code points, the first time; -1: nowhere. */
static int64_t index_of(struct str s, uint32_t cp)
{
	size_t n;

	for (int64_t i = 0; s.len; i++, s = from_byte(s, n)) {
		if (decode(s, &n) == cp)
			return i;
	}
	return -1;
}

#define TRANSLATE_MAX 1000 /* characters to look for: each of the text's is compared with all */

/* translate(text, from, to): the n-th character of `from` becomes that of `to`, or nothing. */
static int translate_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0), from = text_arg(r, 1), to = text_arg(r, 2);
	char *p;
	size_t n = 0, len;

	if (from.len > TRANSLATE_MAX)
		return err_set(r->e, -EINVAL, "translate: more than %d bytes to look for", TRANSLATE_MAX);
	p = text_alloc(r, s.len * 4); /* a character of one byte may become one of four */
	if (!p)
		return -ENOMEM;
	ret->ptr = p;
	for (; s.len; s = from_byte(s, len)) {
		int64_t at = index_of(from, decode(s, &len));
		struct str by = {s.ptr, len};

		if (at >= 0) {
			by = from_byte(to, prefix_bytes(to, at));
			by.len = prefix_bytes(by, 1);
		}
		memcpy(p + n, by.ptr, by.len);
		n += by.len;
	}
	ret->len = n;
	return 0;
}
BY_ROW(translate, translate_row, str)

/* ---- concat_ws ---------------------------------------------------------------------------------- */

static void add_part(struct buf *b, struct str sep, struct str s, bool *first)
{
	if (!*first)
		buf_add_str(b, sep);
	*first = false;
	buf_add_str(b, s);
}

static void add_array(struct buf *b, struct str sep, const struct vec *child, struct vec_list l, bool *first)
{
	for (uint32_t k = l.off; k < l.off + l.len; k++) {
		if (!vec_is_null(child, k))
			add_part(b, sep, vec_base(child)->str[vec_index(child, k)], first);
	}
}

/* NULL only where the separator is; parts that are NULL are left out with their separator. */
static int concat_ws(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct buf b;
	int rc = vec_alloc_valid(ret, c->n, c->arena, e);

	buf_init(&b, SIZE_MAX / 2);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		bool first = true;

		ret->str[i] = STR_LIT("");
		ret->valid[i] = !vec_is_null(&c->args[0], i);
		if (!ret->valid[i])
			continue;
		buf_clear(&b);
		for (uint32_t k = 1; k < c->argc; k++) {
			if (vec_is_null(&c->args[k], i))
				continue;
			if (type_layout(c->args[k].type) == LAYOUT_LIST)
				add_array(&b, arg_str(c, 0, i), c->args[k].child, arg_list(c, k, i), &first);
			else
				add_part(&b, arg_str(c, 0, i), arg_str(c, k, i), &first);
		}
		if (b.len)
			ret->str[i] = arena_str(c->arena, buf_str(&b));
		rc = b.rc || !ret->str[i].ptr ? func_no_memory(e) : 0;
	}
	buf_release(&b);
	return rc;
}

const struct func func_rows_text[] = {
	SCALAR("starts_with", "varchar, varchar", "boolean", starts_with,
	       "whether the text begins with the second"),
	SCALAR("ends_with", "varchar, varchar", "boolean", ends_with, "whether the text ends with the second"),
	SCALAR("translate", "varchar, varchar, varchar", "varchar", translate,
	       "each character of the second replaced by that at its place in the third, or by nothing"),
	SCALAR_F("concat_ws", "varchar, varchar...", "varchar", concat_ws, FN_NULLS,
		 "the texts behind the first, with the first between them; NULLs are left out"),
	SCALAR_F("concat_ws", "varchar, array(varchar)", "varchar", concat_ws, FN_NULLS,
		 "the elements of the array, with the first between them; NULLs are left out"),
	FUNC_END,
};
