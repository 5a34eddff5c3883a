/*
 * fuzz_lineproto: any bytes as line protocol. The scanner must split them alike however they are cut,
 * the parser must take or refuse every line, and what it takes must lie within the bytes and be valid.
 *
 *	clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz_lineproto.c build/asan/libtidefs.a
 */
#include <stdlib.h>

#include "engine/lineproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_text(struct str s)
{
	check(utf8_valid(s) && !memchr(s.ptr, '\0', s.len));
}

static void check_point(const struct point *pt)
{
	check(pt->measure.len > 0 && pt->field_count > 0);
	check(!memchr(pt->identity.ptr, '\n', pt->identity.len));
	check_text(pt->measure);
	for (uint32_t i = 0; i < pt->tag_count; i++) {
		check(pt->tags[i].key.len > 0 && pt->tags[i].value.len > 0);
		check_text(pt->tags[i].key);
		check_text(pt->tags[i].value);
	}
	for (uint32_t i = 0; i < pt->field_count; i++) {
		const struct point_field *f = &pt->fields[i];
		check(f->key.len > 0);
		check_text(f->key);
		if (f->type == COL_VARCHAR)
			check_text(f->str);
		else if (f->type == COL_DOUBLE)
			check(f->f64 - f->f64 == 0);
		else
			check(f->type == COL_BIGINT || f->type == COL_BOOLEAN);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct point pt;
	struct err e;

	if (!size)
		return 0;
	point_init(&pt);
	while (p < end) {
		struct lp_scan whole = {LP_START}, halves = {LP_START};
		size_t n = (size_t)(end - p), cut = data[0] % (n + 1), at;
		size_t len = lp_scan_line(&whole, p, n);
		size_t again = lp_scan_line(&halves, p, cut);
		if (again == cut)
			again += lp_scan_line(&halves, p + cut, n - cut);
		check(again == len && whole.state == halves.state);
		/* A copy of its own, so that a look beyond either end is noticed. */
		char *line = malloc(len ? len : 1);
		if (!line)
			abort();
		memcpy(line, p, len);
		int rc = lp_parse(&pt, (struct str){line, len}, &at, &e);
		if (rc == 1) {
			check_point(&pt);
			check(!lp_scan_in_string(&whole));
		} else if (rc < 0) {
			check(rc == -EINVAL && at <= len && e.text[0]);
		}
		free(line);
		p += len + 1;
	}
	point_release(&pt);
	return 0;
}
