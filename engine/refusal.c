#include "engine/refusal.h"

#include "engine/json.h"

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
	json_add_text(out, str_from(r->file));
	buf_addf(out, "\",\"line\":%llu,\"uid\":%u,\"column\":%zu", (unsigned long long)r->line, r->uid,
		 r->column);
	if (r->record >= 0)
		buf_addf(out, ",\"record_index\":%lld", (long long)r->record);
	if (r->existing_version)
		buf_addf(out, ",\"existing_version\":%lld", (long long)r->existing_version);
	buf_adds(out, ",\"reason\":\"");
	json_add_text(out, str_from(r->reason));
	buf_adds(out, "\",\"text\":\"");
	json_add_text(out, text);
	if (total > text.len)
		buf_addf(out, " ... [%zu of %zu bytes shown]", text.len, total);
	buf_adds(out, "\"}");
}
