#include "engine/base/base.h"
#include "engine/base/digits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int f64_parse(struct str s, double *ret)
{
	char small[512];
	size_t i = 0, digits = 0;

	if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
		i++;
	for (; i < s.len && digit_is(s.ptr[i]); i++)
		digits++;
	if (i < s.len && s.ptr[i] == '.')
		for (i++; i < s.len && digit_is(s.ptr[i]); i++)
			digits++;
	if (!digits)
		return -EINVAL;
	if (i < s.len && (s.ptr[i] | 0x20) == 'e') {
		i++;
		if (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+'))
			i++;
		size_t from = i;
		while (i < s.len && digit_is(s.ptr[i]))
			i++;
		if (i == from)
			return -EINVAL;
	}
	if (i != s.len)
		return -EINVAL;
	char *z = s.len < sizeof small ? small : malloc(s.len + 1);
	if (!z)
		return -ENOMEM;
	memcpy(z, s.ptr, s.len);
	z[s.len] = '\0';
	double v = strtod(z, NULL);
	if (z != small)
		free(z);
	if (isinf(v))
		return -ERANGE;
	*ret = v;
	return 0;
}

/* Java's layout of 0.d1d2d3... * 10^point. */
static size_t layout(char *to, const char *d, int n, int point)
{
	char *p = to;

	if (point > -3 && point <= 7) {
		if (point <= 0) {
			*p++ = '0';
			*p++ = '.';
			for (int i = point; i < 0; i++)
				*p++ = '0';
			memcpy(p, d, (size_t)n);
			return (size_t)(p + n - to);
		}
		for (int i = 0; i < MAX(n, point); i++) {
			if (i == point)
				*p++ = '.';
			*p++ = i < n ? d[i] : '0';
		}
		if (n <= point) {
			*p++ = '.';
			*p++ = '0';
		}
		return (size_t)(p - to);
	}
	*p++ = d[0];
	*p++ = '.';
	if (n == 1)
		*p++ = '0';
	memcpy(p, d + 1, (size_t)n - 1);
	p += n - 1;
	*p++ = 'E';
	p += i64_format(p, point - 1);
	return (size_t)(p - to);
}

size_t f64_format(char *to, double v)
{
	char *p = to;
	char t[40], d[20];
	int n = 0;

	if (isnan(v)) {
		memcpy(to, "NaN", 3);
		return 3;
	}
	if (signbit(v)) {
		*p++ = '-';
		v = -v;
	}
	if (isinf(v)) {
		memcpy(p, "Infinity", 8);
		return (size_t)(p + 8 - to);
	}
	if (v == 0) {
		memcpy(p, "0.0", 3);
		return (size_t)(p + 3 - to);
	}
	for (int prec = 1; prec < 17; prec++) {
		snprintf(t, sizeof t, "%.*e", prec, v);
		if (strtod(t, NULL) == v)
			break;
	}
	char *q = t;
	for (; *q != 'e'; q++)
		if (*q != '.')
			d[n++] = *q;
	while (n > 1 && d[n - 1] == '0')
		n--;
	return (size_t)(p - to) + layout(p, d, n, atoi(q + 1) + 1);
}
