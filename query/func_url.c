/*
 * func_url: parts of URLs (RFC 3986), and the encoding of HTML forms.
 *
 *	https://user@host:8080/path?query#fragment
 *
 * What is no URL gives NULL; a part that is not there is the empty text, a port or parameter NULL.
 * Host and query come as they stand; path and fragment have their %XX resolved.
 */
#include "query/func_text.h"

#define GROUP "URL"

struct url {
	struct str scheme, host, port, path, query, fragment;
	bool has_query;
};

static bool is_escape(struct str s, size_t at)
{
	return at + 2 < s.len && hex_value(s.ptr[at + 1]) >= 0 && hex_value(s.ptr[at + 2]) >= 0;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* No blanks, controls, quotes, braces and the like; % only in front of two digits. */
static bool has_legal_bytes(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c == 0x7f || strchr("\"<>\\^`{|}", c))
			return false;
		if (c == '%' && !is_escape(s, i))
			return false;
	}
	return true;
}

/* Up to the first of `ends`, which are left in *s. */
static struct str take_until(struct str *s, const char *ends)
{
	size_t n = 0;

	while (n < s->len && !strchr(ends, s->ptr[n]))
		n++;
	struct str r = {s->ptr, n};
	*s = from_byte(*s, n);
	return r;
}

static struct str take_scheme(struct str *s)
{
	struct str rest = *s, scheme = take_until(&rest, ":/?#");

	if (!scheme.len || !rest.len || rest.ptr[0] != ':' || !is_alnum(scheme.ptr[0]) ||
	    (scheme.ptr[0] >= '0' && scheme.ptr[0] <= '9'))
		return (struct str){"", 0};
	for (size_t i = 0; i < scheme.len; i++) {
		if (!is_alnum(scheme.ptr[i]) && !strchr("+-.", scheme.ptr[i]))
			return (struct str){"", 0};
	}
	*s = from_byte(rest, 1);
	return scheme;
}

/* user@host:port; the host may be [an IPv6 address]. */
static bool split_authority(struct str a, struct url *u)
{
	const char *at = memrchr(a.ptr, '@', a.len);

	if (at)
		a = from_byte(a, (size_t)(at - a.ptr) + 1);
	if (a.len && a.ptr[0] == '[') {
		const char *close = memchr(a.ptr, ']', a.len);

		if (!close)
			return false;
		u->host = (struct str){a.ptr, (size_t)(close - a.ptr) + 1};
		a = from_byte(a, u->host.len);
	} else {
		u->host = take_until(&a, ":");
	}
	if (a.len && a.ptr[0] != ':')
		return false;
	u->port = a.len ? from_byte(a, 1) : a;
	for (size_t i = 0; i < u->port.len; i++) {
		if (u->port.ptr[i] < '0' || u->port.ptr[i] > '9')
			return false;
	}
	return u->port.len <= 9;
}

static bool url_split(struct str s, struct url *u)
{
	const struct str none = {"", 0};

	*u = (struct url){none, none, none, none, none, none, false};
	if (!has_legal_bytes(s))
		return false;
	u->scheme = take_scheme(&s);
	if (s.len >= 2 && !memcmp(s.ptr, "//", 2)) {
		s = from_byte(s, 2);
		if (!split_authority(take_until(&s, "/?#"), u))
			return false;
	}
	u->path = take_until(&s, "?#");
	if (s.len && s.ptr[0] == '?') {
		s = from_byte(s, 1);
		u->query = take_until(&s, "#");
		u->has_query = true;
	}
	if (s.len)
		u->fragment = from_byte(s, 1);
	return true;
}

/* ---- %XX ---------------------------------------------------------------------------------------- */

/*
 * %XX resolved, + as a blank where form says so. -EINVAL: a % without two digits, or what comes out is no
 * UTF-8.
 */
static int decode_text(const struct row *r, struct str s, bool form, struct str *ret)
{
	char *p;
	size_t n = 0;

	if (!memchr(s.ptr, '%', s.len) && !(form && memchr(s.ptr, '+', s.len))) {
		*ret = s;
		return 0;
	}
	p = text_alloc(r, s.len);
	if (!p)
		return -ENOMEM;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%') {
			if (!is_escape(s, i))
				return err_set(r->e, -EINVAL, "url_decode: %% must stand in front of two hexadecimal "
					       "digits");
			c = (char)(hex_value(s.ptr[i + 1]) << 4 | hex_value(s.ptr[i + 2]));
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		p[n++] = c;
	}
	*ret = (struct str){p, n};
	return utf8_valid(*ret) ? 0 : err_set(r->e, -EINVAL, "url_decode: the bytes are no UTF-8 text");
}

static int url_decode_row(const struct row *r, struct str *ret)
{
	return decode_text(r, text_arg(r, 0), true, ret);
}
BY_ROW(url_decode, url_decode_row, str)

static int url_encode_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0);
	char *p = text_alloc(r, s.len * 3);
	size_t n = 0;

	if (!p)
		return -ENOMEM;
	ret->ptr = p;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (is_alnum((char)c) || (c && strchr("-_.*", c))) {
			p[n++] = (char)c;
		} else if (c == ' ') {
			p[n++] = '+';
		} else {
			p[n++] = '%';
			p[n++] = "0123456789ABCDEF"[c >> 4];
			p[n++] = "0123456789ABCDEF"[c & 15];
		}
	}
	ret->len = n;
	return 0;
}
BY_ROW(url_encode, url_encode_row, str)

/* ---- parts -------------------------------------------------------------------------------------- */

/* As it stands, or with its escapes resolved, which a URL that is none fails at. */
static int part(const struct row *r, struct str s, bool resolve, struct str *ret)
{
	int rc;

	*ret = s;
	rc = resolve ? decode_text(r, s, false, ret) : 0;
	return rc == -EINVAL ? 0 : rc < 0 ? rc : 1;
}

#define URL_PART(name, resolve)                                                                    \
	static int name##_row(const struct row *r, struct str *ret)                                \
	{                                                                                          \
		struct url u;                                                                      \
		return url_split(text_arg(r, 0), &u) ? part(r, u.name, resolve, ret) : 0;          \
	}                                                                                          \
	BY_ROW_OR_NULL(url_##name, name##_row, str)
URL_PART(scheme, false)
URL_PART(host, false)
URL_PART(path, true)
URL_PART(query, false)
URL_PART(fragment, true)

static int port_row(const struct row *r, int64_t *ret)
{
	struct url u;

	return url_split(text_arg(r, 0), &u) && u.port.len && i64_parse(u.port, ret) >= 0;
}
BY_ROW_OR_NULL(url_port, port_row, i64)

/* The first of that name; without a value it is the empty text. */
static int parameter_row(const struct row *r, struct str *ret)
{
	struct str name = text_arg(r, 1);
	struct url u;

	if (!url_split(text_arg(r, 0), &u) || !u.has_query)
		return 0;
	for (struct str q = u.query;; q = from_byte(q, 1)) {
		struct str pair = take_until(&q, "&"), key = take_until(&pair, "=");

		if (str_eq(key, name)) {
			int rc = decode_text(r, pair.len ? from_byte(pair, 1) : pair, true, ret);
			return rc < 0 ? rc : 1;
		}
		if (!q.len)
			return 0;
	}
}
BY_ROW_OR_NULL(url_parameter, parameter_row, str)

#define PART(name, k, help) SCALAR("url_extract_" name, "varchar", "varchar", k, help)

const struct func func_rows_url[] = {
	SCALAR("url_encode", "varchar", "varchar", url_encode,
	       "as in an HTML form: a blank is +, other bytes are %XX"),
	SCALAR("url_decode", "varchar", "varchar", url_decode,
	       "what url_encode() made; malformed escapes are an error"),
	PART("protocol", url_scheme, "the URL's protocol, such as https; NULL: it is no URL"),
	PART("host", url_host, "the URL's host; empty: it has none; NULL: it is no URL"),
	SCALAR("url_extract_port", "varchar", "bigint", url_port, "the URL's port; NULL where it names none"),
	PART("path", url_path, "the URL's path, with %XX resolved; NULL: it is no URL"),
	PART("query", url_query, "what follows the ? of the URL, as it stands; NULL: it is no URL"),
	PART("fragment", url_fragment, "what follows the # of the URL, with %XX resolved; NULL: it is no URL"),
	SCALAR("url_extract_parameter", "varchar, varchar", "varchar", url_parameter,
	       "the first parameter of that name in the URL's query, decoded; NULL where there is none"),
	FUNC_END,
};
