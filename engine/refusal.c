#include "engine/refusal.h"

static void add_escaped(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		buf_adds(out, "\\\"");
		break;
	case '\\':
		buf_adds(out, "\\\\");
		break;
	case '\n':
		buf_adds(out, "\\n");
		break;
	case '\r':
		buf_adds(out, "\\r");
		break;
	case '\t':
		buf_adds(out, "\\t");
		break;
	default:
		buf_addf(out, "\\u%04x", c);
	}
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F;
}

/* The inside of a JSON string. */
static void add_json(struct buf *out, struct str s)
{
	while (s.len) {
		size_t valid = utf8_valid_len(s);
		for (size_t i = 0; i < valid;) {
			size_t from = i;
			while (i < valid && is_plain((unsigned char)s.ptr[i]))
				i++;
			buf_add(out, s.ptr + from, i - from);
			if (i < valid)
				add_escaped(out, (unsigned char)s.ptr[i++]);
		}
		if (valid < s.len)
			add_escaped(out, (unsigned char)s.ptr[valid++]);
		s.ptr += valid;
		s.len -= valid;
	}
}

/* At most n bytes of s, without cutting a character in two. */
static struct str cut(struct str s, size_t n)
{
	if (s.len <= n)
		return s;
	size_t to = n;
	while (to > n - 4 && ((unsigned char)s.ptr[to] & 0xC0) == 0x80)
		to--;
	return (struct str){s.ptr, to};
}

void refusal_format(const struct refusal *r, struct buf *out)
{
	char when[TIMESTAMP_TEXT_LEN];
	struct str text = cut(r->text, REFUSAL_TEXT_MAX);
	size_t total = MAX(r->text.len, r->text_total);

	timestamp_format(when, r->when_ns);
	when[10] = 'T';
	buf_addf(out, "{\"when\":\"%.*sZ\",\"file\":\"", TIMESTAMP_TEXT_LEN, when);
	add_json(out, str_from(r->file));
	buf_addf(out, "\",\"line\":%llu,\"uid\":%u,\"column\":%zu", (unsigned long long)r->line, r->uid,
		 r->column);
	if (r->record >= 0)
		buf_addf(out, ",\"record_index\":%lld", (long long)r->record);
	if (r->existing_version)
		buf_addf(out, ",\"existing_version\":%lld", (long long)r->existing_version);
	buf_adds(out, ",\"reason\":\"");
	add_json(out, str_from(r->reason));
	buf_adds(out, "\",\"text\":\"");
	add_json(out, text);
	if (total > text.len)
		buf_addf(out, " ... [%zu of %zu bytes shown]", text.len, total);
	buf_adds(out, "\"}");
}
