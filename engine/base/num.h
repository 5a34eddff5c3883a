/*
 * num: numbers to text and back, exactly.
 */
#ifndef TIDE_NUM_H
#define TIDE_NUM_H

#include "engine/base/base.h"

#define I64_TEXT_MAX 20 /* "-9223372036854775808" */
#define F64_TEXT_MAX 25 /* "-2.2250738585072014E-308" and one to spare */

size_t i64_format(char *to, int64_t v); /* no NUL; returns the length */
size_t u64_format(char *to, uint64_t v);

/*
 * The whole of s as a decimal integer: optional sign, digits, nothing else.
 * -EINVAL: not such a text. -ERANGE: does not fit.
 */
int i64_parse(struct str s, int64_t *ret);
int u64_parse(struct str s, uint64_t *ret);

/*
 * The whole of s as a decimal floating-point number ([+-]digits[.digits][e[+-]digits], also
 * ".5" and "5."), correctly rounded. No hex, no names (NaN, inf): -EINVAL. Overflow to infinity
 * is -ERANGE; underflow rounds to a denormal or zero.
 */
int f64_parse(struct str s, double *ret);

/*
 * The form of Java's Double.toString, shortest digits that round-trip: `21.4`, `1.0`, `1.0E10`,
 * `1.0E-5`, `NaN`, `-Infinity`, `-0.0`. No NUL; returns the length.
 */
size_t f64_format(char *to, double v);

#endif
