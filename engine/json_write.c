#include "engine/json.h"

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

void json_add_text(struct buf *out, struct str s)
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

void json_add_string(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	json_add_text(out, s);
	buf_addc(out, '"');
}
