/*
 * func_printf: format(pattern, ...), which fills %-places with the arguments:
 *
 *	%[index$][flags][width][.precision]conversion
 *
 *	s S   anything, as text; S in upper case where it is ASCII; precision: at most so many characters
 *	d     a whole number        f  a number with `precision` digits after the point (6)
 *	e     the same as 1.5e+01   x X o  a whole number in base 16 or 8, negative ones as 64 bits
 *	b     a boolean             % n  a percent sign, a line break
 *	flags: - left, 0 zeros in front, + a sign always, blank a blank for it, a comma between thousands
 *
 * Digits are rounded half up, from the shortest decimal digits of the double: 2.675 to two is 2.68.
 * NULLs print as null; only a pattern that is NULL gives NULL.
 */
#include "query/func_text.h"

#include <math.h>

#define GROUP "String"

#define WIDTH_MAX     10000
#define PRECISION_MAX 400 /* a double has no more digits in front of the point either */

struct place {
	uint32_t arg; /* of the call */
	bool left, zeros, plus, blank, comma;
	int width, precision; /* precision -1: none */
	char conv;
};

/* The pattern at hand and where it is read. */
struct printer {
	const struct row *r;
	struct str pattern;
	size_t at;
	uint32_t next; /* argument for a place without a number */
	struct buf *out;
};

static int bad(const struct printer *p, const char *why)
{
	return err_set(p->r->e, -EINVAL, "format: '%.*s': %s", (int)MIN(p->pattern.len, (size_t)100), p->pattern.ptr,
		       why);
}

/* ---- reading a place ------------------------------------------------------------------------------ */

static bool digit_next(const struct printer *p)
{
	return p->at < p->pattern.len && p->pattern.ptr[p->at] >= '0' && p->pattern.ptr[p->at] <= '9';
}

static int take_number(struct printer *p)
{
	int v = 0;

	for (; digit_next(p); p->at++)
		v = MIN(v * 10 + (p->pattern.ptr[p->at] - '0'), 1000000);
	return v;
}

static bool take_flag(struct printer *p, struct place *pl)
{
	switch (p->at < p->pattern.len ? p->pattern.ptr[p->at] : 0) {
	case '-':
		return pl->left = true;
	case '0':
		return pl->zeros = true;
	case '+':
		return pl->plus = true;
	case ' ':
		return pl->blank = true;
	case ',':
		return pl->comma = true;
	default:
		return false;
	}
}

/* Behind the %. */
static int read_place(struct printer *p, struct place *ret)
{
	size_t from = p->at;
	int index = digit_next(p) && p->pattern.ptr[p->at] != '0' ? take_number(p) : 0;

	*ret = (struct place){.precision = -1};
	if (index && p->at < p->pattern.len && p->pattern.ptr[p->at] == '$') {
		p->at++;
	} else {
		p->at = from;
		index = 0;
	}
	while (take_flag(p, ret))
		p->at++;
	ret->width = take_number(p);
	if (p->at < p->pattern.len && p->pattern.ptr[p->at] == '.') {
		p->at++;
		if (!digit_next(p))
			return bad(p, "a number is missing behind the point");
		ret->precision = take_number(p);
	}
	if (p->at == p->pattern.len)
		return bad(p, "the last place has no conversion; a percent sign itself is written %%");
	ret->conv = p->pattern.ptr[p->at++];
	if (!strchr("sSdfexXob%n", ret->conv) || !ret->conv)
		return bad(p, "the conversions are %s %S %d %f %e %x %X %o %b %n and %%");
	if (ret->width > WIDTH_MAX || ret->precision > PRECISION_MAX)
		return bad(p, "a width or precision is too large");
	if (ret->conv == '%' || ret->conv == 'n')
		return 0;
	ret->arg = index ? (uint32_t)index : ++p->next;
	return ret->arg < p->r->c->argc ? 0 : bad(p, "there are fewer arguments than places");
}

/* ---- numbers -------------------------------------------------------------------------------------- */

/* Decimal digits d[0..n) with the point behind the first `point` of them (which may be <= 0 or > n). */
struct digits {
	char d[32];
	int n, point;
};

/* The shortest digits of a finite v >= 0, out of Java's form of it: 12.5, 1.0E10, 1.25E-5. */
static struct digits digits_of(double v)
{
	char text[F64_TEXT_MAX];
	size_t len = f64_format(text, v), i = 0;
	struct digits r = {.n = 0};
	int exponent = 0, sign = 1;
	bool seen_point = false;

	for (; i < len && text[i] != 'E'; i++) {
		if (text[i] == '.') {
			seen_point = true;
			continue;
		}
		r.point += !seen_point;
		r.d[r.n++] = text[i];
	}
	if (i < len && text[++i] == '-') {
		sign = -1;
		i++;
	}
	for (; i < len; i++)
		exponent = exponent * 10 + (text[i] - '0');
	r.point += sign * exponent;
	while (r.n > 1 && r.d[0] == '0') {
		memmove(r.d, r.d + 1, (size_t)--r.n);
		r.point--;
	}
	return r;
}

/* To `keep` digits (0 or more), half up. */
static void round_digits(struct digits *r, int keep)
{
	if (keep >= r->n)
		return;
	if (keep < 0 || (keep == 0 && r->d[0] < '5')) {
		*r = (struct digits){.d = "0", .n = 1, .point = 1};
		return;
	}
	bool up = r->d[keep] >= '5';
	r->n = keep;
	for (int i = keep - 1; up && i >= 0; i--) {
		up = r->d[i] == '9';
		r->d[i] = up ? '0' : (char)(r->d[i] + 1);
	}
	if (up) {
		memmove(r->d + 1, r->d, (size_t)r->n);
		r->d[0] = '1';
		r->n++;
		r->point++;
	}
}

static char digit_at(const struct digits *r, int i)
{
	return i >= 0 && i < r->n ? r->d[i] : '0';
}

/* 1234567.80 */
static void add_fixed(struct buf *b, double v, int precision)
{
	struct digits r = digits_of(v);

	round_digits(&r, r.point + precision);
	if (r.point <= 0)
		buf_addc(b, '0');
	for (int i = 0; i < r.point; i++)
		buf_addc(b, digit_at(&r, i));
	if (precision)
		buf_addc(b, '.');
	for (int i = 0; i < precision; i++)
		buf_addc(b, digit_at(&r, r.point + i));
}

/* 1.234568e+06 */
static void add_scientific(struct buf *b, double v, int precision)
{
	struct digits r = digits_of(v);
	int exponent;

	round_digits(&r, precision + 1);
	exponent = v == 0 ? 0 : r.point - 1;
	buf_addc(b, r.d[0]);
	if (precision)
		buf_addc(b, '.');
	for (int i = 1; i <= precision; i++)
		buf_addc(b, digit_at(&r, i));
	buf_addf(b, "e%c%02d", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
}

/* Commas into the digits in front of the point, from byte `from` of the buffer on. */
static void add_commas(struct buf *b, size_t from)
{
	size_t n = 0, commas;

	while (from + n < b->len && b->data[from + n] >= '0' && b->data[from + n] <= '9')
		n++;
	commas = n ? (n - 1) / 3 : 0;
	if (!commas || !buf_reserve(b, commas))
		return;
	memmove(b->data + from + n + commas, b->data + from + n, b->len - from - n);
	b->len += commas;
	for (size_t i = n, to = from + n + commas, k = 0; i-- > 0; k++) {
		if (k && k % 3 == 0)
			b->data[--to] = ',';
		b->data[--to] = b->data[from + i];
	}
}

static void add_sign(struct buf *b, const struct place *pl, bool negative)
{
	if (negative || pl->plus || pl->blank)
		buf_addc(b, negative ? '-' : pl->plus ? '+' : ' ');
}

static int print_double(const struct printer *p, const struct place *pl, double v, size_t *ret_zeros)
{
	struct buf *b = p->out;
	int precision = pl->precision < 0 ? 6 : pl->precision;
	size_t from;

	*ret_zeros = SIZE_MAX;
	if (!isfinite(v)) {
		add_sign(b, pl, v < 0);
		buf_adds(b, isnan(v) ? "NaN" : "Infinity");
		return 0;
	}
	add_sign(b, pl, signbit(v));
	*ret_zeros = from = b->len;
	if (pl->conv == 'f')
		add_fixed(b, fabs(v), precision);
	else
		add_scientific(b, fabs(v), precision);
	if (pl->comma && pl->conv == 'f')
		add_commas(b, from);
	return 0;
}

static int print_integer(const struct printer *p, const struct place *pl, int64_t v, size_t *ret_zeros)
{
	uint64_t u = v < 0 && pl->conv == 'd' ? 0 - (uint64_t)v : (uint64_t)v;

	if (pl->precision >= 0)
		return bad(p, "whole numbers have no precision");
	if (pl->conv == 'd')
		add_sign(p->out, pl, v < 0);
	*ret_zeros = p->out->len;
	buf_addf(p->out, pl->conv == 'd' ? "%llu" : pl->conv == 'x' ? "%llx" : pl->conv == 'X' ? "%llX" : "%llo",
		 (unsigned long long)u);
	if (pl->comma && pl->conv == 'd')
		add_commas(p->out, *ret_zeros);
	return 0;
}

/* ---- printing ------------------------------------------------------------------------------------- */

static int wrong_type(const struct printer *p, const struct place *pl, const struct type *t)
{
	return err_set(p->r->e, -EINVAL, "format: %%%c takes %s, and not %s", pl->conv,
		       pl->conv == 'b' ? "a boolean" : strchr("fe", pl->conv) ? "a number" : "a whole number",
		       type_name(p->r->c->arena, t));
}

/* The bare value; *ret_zeros: where zeros would go, SIZE_MAX: nowhere. */
static int print_value(const struct printer *p, const struct place *pl, size_t *ret_zeros)
{
	const struct vec *v = &p->r->c->args[pl->arg];
	uint32_t i = arg_at(p->r->c, pl->arg, p->r->i);
	size_t from = p->out->len;
	bool whole = v->type->kind == TY_INTEGER || v->type->kind == TY_BIGINT;

	*ret_zeros = SIZE_MAX;
	if (vec_is_null(v, i)) {
		buf_adds(p->out, "null");
	} else if (strchr("sS", pl->conv)) {
		vec_format(v, i, p->out);
	} else if (strchr("fe", pl->conv)) {
		if (v->type->kind != TY_DOUBLE && !whole)
			return wrong_type(p, pl, v->type);
		return print_double(p, pl, whole ? (double)v->i64[i] : v->f64[i], ret_zeros);
	} else if (pl->conv == 'b') {
		if (v->type->kind != TY_BOOLEAN)
			return wrong_type(p, pl, v->type);
		buf_adds(p->out, v->b8[i] ? "true" : "false");
	} else {
		return whole ? print_integer(p, pl, v->i64[i], ret_zeros) : wrong_type(p, pl, v->type);
	}
	if (p->out->rc)
		return 0;
	if (pl->precision >= 0)
		p->out->len = from + prefix_bytes((struct str){p->out->data + from, p->out->len - from}, pl->precision);
	for (size_t k = from; pl->conv == 'S' && k < p->out->len; k++) {
		if (p->out->data[k] >= 'a' && p->out->data[k] <= 'z')
			p->out->data[k] = (char)(p->out->data[k] - 32);
	}
	return 0;
}

/* Blanks or zeros up to the width, into what was printed from `from` on. */
static void pad_value(struct buf *b, const struct place *pl, size_t from, size_t zeros)
{
	int64_t n = b->rc ? 0 : pl->width - count_chars((struct str){b->data + from, b->len - from});
	bool is_zeros = pl->zeros && !pl->left && zeros != SIZE_MAX;
	size_t at = pl->left ? b->len : is_zeros ? zeros : from;

	if (n <= 0 || !buf_reserve(b, (size_t)n))
		return;
	memmove(b->data + at + n, b->data + at, b->len - at);
	memset(b->data + at, is_zeros ? '0' : ' ', (size_t)n);
	b->len += (size_t)n;
}

static int print_row(struct printer *p)
{
	while (p->at < p->pattern.len) {
		struct place pl;
		size_t from = p->out->len, zeros;
		char c = p->pattern.ptr[p->at++];
		int rc;

		if (c != '%') {
			buf_addc(p->out, c);
			continue;
		}
		rc = read_place(p, &pl);
		if (rc < 0)
			return rc;
		if (pl.conv == '%' || pl.conv == 'n') {
			buf_addc(p->out, pl.conv == '%' ? '%' : '\n');
			continue;
		}
		rc = print_value(p, &pl, &zeros);
		if (rc < 0)
			return rc;
		pad_value(p->out, &pl, from, zeros);
	}
	return p->out->rc ? func_no_memory(p->r->e) : 0;
}

static int format(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct row r = {c, 0, e};
	struct buf b;
	int rc = vec_alloc_valid(ret, c->n, c->arena, e);

	buf_init(&b, (size_t)64 << 20);
	for (; rc >= 0 && r.i < c->n; r.i++) {
		ret->str[r.i] = STR_LIT("");
		ret->valid[r.i] = !vec_is_null(&c->args[0], r.i);
		if (!ret->valid[r.i])
			continue;
		buf_clear(&b);
		rc = print_row(&(struct printer){.r = &r, .pattern = text_arg(&r, 0), .out = &b});
		if (rc >= 0 && b.len)
			ret->str[r.i] = arena_str(c->arena, buf_str(&b));
		if (rc >= 0 && !ret->str[r.i].ptr)
			rc = func_no_memory(e);
	}
	buf_release(&b);
	return rc;
}

/* format(varchar, anything...) -> varchar */
static int format_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
			  struct func_match *ret, struct err *e)
{
	const struct type **types = arena_array(a, const struct type *, argc + 1);

	if (!types)
		return -ENOMEM;
	if (!argc || (args[0]->kind != TY_VARCHAR && args[0]->kind != TY_UNKNOWN))
		return -1;
	for (uint32_t i = 0; i < argc; i++)
		types[i] = args[i];
	types[0] = &type_varchar;
	*ret = (struct func_match){f, types, &type_varchar};
	return 0;
}

const struct func func_rows_printf[] = {
	{.name = "format", .params = "varchar, T...", .ret = "varchar", .scalar = format,
	 .resolve = format_resolve, .flags = FN_NULLS, .group = GROUP,
	 .help = "the pattern with %s, %d, %.2f, %05d, %,d, %x, %1$s ... filled in; NULLs print as null"},
	FUNC_END,
};
