/*
 * func_hash: digests and hexadecimal. There is no type for bytes, so a text stands for its UTF-8 bytes,
 * a digest is a text of hexadecimal digits, and a hash of up to 64 bits is a bigint.
 */
#include "query/func_text.h"

#include "engine/base/crc.h"
#include "query/digest.h"

#define GROUP "Hash and encoding"

static struct str hex_text(char *to, const uint8_t *p, size_t n, const char *digits)
{
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[p[i] >> 4];
		to[2 * i + 1] = digits[p[i] & 15];
	}
	return (struct str){to, 2 * n};
}

static int digest(const struct row *r, size_t (*fn)(struct str s, uint8_t *ret), struct str *ret)
{
	uint8_t bytes[DIGEST_MAX];
	size_t n = fn(text_arg(r, 0), bytes);
	char *p = text_alloc(r, 2 * n);

	if (!p)
		return -ENOMEM;
	*ret = hex_text(p, bytes, n, "0123456789abcdef");
	return 0;
}

static int md5_row(const struct row *r, struct str *ret)
{
	return digest(r, digest_md5, ret);
}
static int sha1_row(const struct row *r, struct str *ret)
{
	return digest(r, digest_sha1, ret);
}
static int sha256_row(const struct row *r, struct str *ret)
{
	return digest(r, digest_sha256, ret);
}
static int xxhash64_row(const struct row *r, int64_t *ret)
{
	*ret = (int64_t)digest_xxh64(text_arg(r, 0), 0);
	return 0;
}
static int crc32_row(const struct row *r, int64_t *ret)
{
	struct str s = text_arg(r, 0);

	*ret = crc32_gzip(0, s.ptr, s.len);
	return 0;
}
BY_ROW(md5, md5_row, str)
BY_ROW(sha1, sha1_row, str)
BY_ROW(sha256, sha256_row, str)
BY_ROW(xxhash64, xxhash64_row, i64)
BY_ROW(crc32, crc32_row, i64)

/* ---- hexadecimal -------------------------------------------------------------------------------- */

static int to_hex_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0);
	char *p = text_alloc(r, 2 * s.len);

	if (!p)
		return -ENOMEM;
	*ret = hex_text(p, (const uint8_t *)s.ptr, s.len, "0123456789ABCDEF");
	return 0;
}
BY_ROW(to_hex, to_hex_row, str)

static int from_hex_row(const struct row *r, struct str *ret)
{
	struct str s = text_arg(r, 0);
	size_t n = s.len / 2;
	char *p = text_alloc(r, n);

	if (!p)
		return -ENOMEM;
	if (s.len % 2)
		return err_set(r->e, -EINVAL, "from_hex: '%.*s' has an odd number of digits",
			       (int)MIN(s.len, (size_t)80), s.ptr);
	for (size_t i = 0; i < n; i++) {
		int hi = hex_value(s.ptr[2 * i]), lo = hex_value(s.ptr[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return err_set(r->e, -EINVAL, "from_hex: '%.*s' is no hexadecimal number",
				       (int)MIN(s.len, (size_t)80), s.ptr);
		p[i] = (char)(hi << 4 | lo);
	}
	*ret = (struct str){p, n};
	if (!utf8_valid(*ret))
		return err_set(r->e, -EINVAL, "from_hex: the bytes are no UTF-8 text, and there is no type for other "
			       "bytes");
	return 0;
}
BY_ROW(from_hex, from_hex_row, str)

#define DIGEST(name, help) SCALAR(#name, "varchar", "varchar", name, help)

const struct func func_rows_hash[] = {
	DIGEST(md5, "MD5 of the text's UTF-8 bytes, as 32 lower-case hexadecimal digits"),
	DIGEST(sha1, "SHA-1 of the text's UTF-8 bytes, as 40 lower-case hexadecimal digits"),
	DIGEST(sha256, "SHA-256 of the text's UTF-8 bytes, as 64 lower-case hexadecimal digits"),
	SCALAR("xxhash64", "varchar", "bigint", xxhash64,
	       "XXH64, seed 0, of the text's UTF-8 bytes; may be negative"),
	SCALAR("crc32", "varchar", "bigint", crc32,
	       "CRC-32, as of gzip, of the text's UTF-8 bytes; never negative"),
	DIGEST(to_hex, "the text's UTF-8 bytes as upper-case hexadecimal digits"),
	DIGEST(from_hex, "the text whose UTF-8 bytes these hexadecimal digits are; other bytes are an error"),
	FUNC_END,
};
