#include "engine/base/base.h"
#include "engine/base/digits.h"

static const struct unit {
	const char *name;
	bool is_months;
	int64_t size; /* in nanoseconds or months */
} units[] = {
	/* The short names of time come in ascending order: duration_format() walks them. */
	{"ns", false, 1},
	{"us", false, NS_PER_US},
	{"ms", false, NS_PER_MS},
	{"s", false, NS_PER_S},
	{"m", false, 60 * NS_PER_S},
	{"h", false, 3600 * NS_PER_S},
	{"d", false, NS_PER_DAY},
	{"nanosecond", false, 1},
	{"microsecond", false, NS_PER_US},
	{"millisecond", false, NS_PER_MS},
	{"second", false, NS_PER_S},
	{"minute", false, 60 * NS_PER_S},
	{"hour", false, 3600 * NS_PER_S},
	{"day", false, NS_PER_DAY},
	{"y", true, 12},
	{"year", true, 12},
	{"month", true, 1},
};

#define UNITS_SHORT 7
#define UNITS_TEXT  "ns, us, ms, s, m, h, d, y, month"
#define SHOWN_MAX   64 /* bytes of a wrong text that go into a sentence */

static const struct unit *unit_find(struct str s)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (str_is(s, units[i].name))
			return &units[i];
	return NULL;
}

bool duration_is_unit(struct str s)
{
	return unit_find(s) != NULL;
}

static size_t digit_run(struct str s, size_t from)
{
	size_t i = from;

	while (i < s.len && digit_is(s.ptr[i]))
		i++;
	return i - from;
}

/* digits * size; false when that does not fit. */
static bool whole_part(struct str digits, int64_t size, int64_t *ret)
{
	int64_t v = 0;

	for (size_t i = 0; i < digits.len; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, digits.ptr[i] - '0', &v))
			return false;
	return !__builtin_mul_overflow(v, size, ret);
}

/*
 * floor(0.digits * size), exactly, however many digits there are. Horner's rule from the last
 * digit: cutting to an integer in every step gives what cutting once at the end would, because
 * what is added to the cut number is an integer itself. The result is a whole number just when
 * every step leaves no remainder.
 */
static int64_t fraction_part(struct str digits, int64_t size, bool *ret_exact)
{
	int64_t v = 0;

	*ret_exact = true;
	for (size_t i = digits.len; i-- > 0;) {
		v += (digits.ptr[i] - '0') * size;
		if (v % 10)
			*ret_exact = false;
		v /= 10;
	}
	return v;
}

static int wrong(struct err *e, int code, struct str s, const char *why)
{
	bool cut = s.len > SHOWN_MAX;

	return err_set(e, code, "duration \"%.*s%s\": %s", (int)(cut ? SHOWN_MAX : s.len), s.ptr,
		       cut ? "..." : "", why);
}

int duration_parse(struct str s, struct duration *ret, struct err *e)
{
	struct str whole = {s.ptr, digit_run(s, 0)}, frac = {s.ptr, 0};
	size_t i = whole.len;

	if (!whole.len)
		return wrong(e, -EINVAL, s,
			     "must begin with a digit; write a number, then a unit: 90s, 12h, 7d");
	if (i < s.len && s.ptr[i] == '.') {
		frac = (struct str){s.ptr + i + 1, digit_run(s, i + 1)};
		if (!frac.len)
			return wrong(e, -EINVAL, s, "digits must follow the point");
		i += 1 + frac.len;
	}
	if (i < s.len && s.ptr[i] == ' ')
		i++;
	if (i == s.len)
		return wrong(e, -EINVAL, s, "the unit is missing; it is one of " UNITS_TEXT);

	const struct unit *u = unit_find((struct str){s.ptr + i, s.len - i});
	if (!u)
		return wrong(e, -EINVAL, s, "no such unit; it is one of " UNITS_TEXT);

	bool exact;
	int64_t v, rest = fraction_part(frac, u->size, &exact);
	if (u->is_months && !exact)
		return wrong(e, -EINVAL, s, "is not a whole number of months");
	if (!whole_part(whole, u->size, &v) || __builtin_add_overflow(v, rest, &v))
		return wrong(e, -ERANGE, s,
			     u->is_months
				     ? "is longer than 9223372036854775807 months"
				     : "is longer than 9223372036854775807ns (about 292 years)");
	*ret = (struct duration){
		.is_months = u->is_months,
		.ns = u->is_months ? 0 : v,
		.months = u->is_months ? v : 0,
	};
	return 0;
}

size_t duration_format(char *to, int64_t ns)
{
	int i = 3; /* zero is "0s" */

	if (ns) {
		i = UNITS_SHORT - 1;
		while (ns % units[i].size)
			i--;
	}
	size_t n = i64_format(to, ns / units[i].size);
	size_t len = strlen(units[i].name);
	memcpy(to + n, units[i].name, len);
	return n + len;
}
