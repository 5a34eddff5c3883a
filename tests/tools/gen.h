/*
 * gen: what the generators of benchmark rows share: dice, digits, and numbers on the command line.
 */
#ifndef TIDE_TESTS_GEN_H
#define TIDE_TESTS_GEN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* splitmix64 */
static inline uint64_t gen_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline char *gen_put_uint(char *p, uint64_t v)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* The value of an option; a sentence and exit(2) where it is none. */
static inline long gen_number(const char *tool, const char *name, const char *text, long lo, long hi)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (end == text || *end || v < lo || v > hi) {
		fprintf(stderr, "%s: --%s wants a number from %ld to %ld, not '%s'\n", tool, name, lo, hi, text);
		exit(2);
	}
	return v;
}

#endif
