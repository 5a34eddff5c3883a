#include "engine/base/base.h"
#include "engine/base/digits.h"

static const char pairs[] = "00010203040506070809"
			    "10111213141516171819"
			    "20212223242526272829"
			    "30313233343536373839"
			    "40414243444546474849"
			    "50515253545556575859"
			    "60616263646566676869"
			    "70717273747576777879"
			    "80818283848586878889"
			    "90919293949596979899";

void digits_write(char *to, uint64_t v, int n)
{
	while (n >= 2) {
		n -= 2;
		memcpy(to + n, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (n)
		to[0] = (char)('0' + v % 10);
}

size_t u64_format(char *to, uint64_t v)
{
	int n = digits_count(v);

	digits_write(to, v, n);
	return (size_t)n;
}

size_t i64_format(char *to, int64_t v)
{
	if (v >= 0)
		return u64_format(to, (uint64_t)v);
	to[0] = '-';
	return 1 + u64_format(to + 1, 0 - (uint64_t)v);
}

/* Digits only, at least one. Leading zeros do not count against the range. */
static int magnitude(const char *p, const char *end, uint64_t *ret)
{
	uint64_t v = 0;

	if (p == end)
		return -EINVAL;
	while (end - p >= 8 && *p == '0')
		p++;
	/* Sixteen digits cannot overflow: up to there without checks. */
	for (int k = 0; k < 2 && end - p >= 8; k++) {
		uint64_t w = digits_load8(p);
		if (!digits_all8(w))
			break;
		v = v * 100000000 + digits_value8(w);
		p += 8;
	}
	bool over = false;
	for (; p < end; p++) {
		if (!digit_is(*p))
			return -EINVAL;
		over |= __builtin_mul_overflow(v, 10, &v);
		over |= __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v);
	}
	if (over)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int signed_magnitude(struct str s, bool *ret_neg, uint64_t *ret)
{
	const char *p = s.ptr, *end = s.ptr + s.len;

	if (!s.len)
		return -EINVAL;
	*ret_neg = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	return magnitude(p, end, ret);
}

int i64_parse(struct str s, int64_t *ret)
{
	bool neg;
	uint64_t v;
	int rc = signed_magnitude(s, &neg, &v);

	if (rc < 0)
		return rc;
	if (v > (uint64_t)INT64_MAX + neg)
		return -ERANGE;
	*ret = (int64_t)(neg ? 0 - v : v);
	return 0;
}

int u64_parse(struct str s, uint64_t *ret)
{
	bool neg;
	uint64_t v;
	int rc = signed_magnitude(s, &neg, &v);

	if (rc < 0)
		return rc;
	if (neg && v)
		return -ERANGE;
	*ret = v;
	return 0;
}
