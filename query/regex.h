/*
 * regex: compiled regular expressions, by PCRE2 (https://www.pcre.org), whose syntax is that of Java's
 * patterns in all but corners.
 *
 * PCRE2 backtracks, so a pattern such as (a+)+b can take time that doubles with each letter. Here it may
 * not: a match is given up, with an error, after REGEX_STEPS_MAX steps or REGEX_HEAP_KIB of memory. A
 * linear-time engine (RE2) would not have to give up, but it is C++ and knows neither look-around nor back
 * references, which queries written for this dialect use. Patterns are run by the interpreter and not
 * compiled to machine code: its steps are counted exactly.
 *
 * The steps are those of one place where a match could begin, and a loop over single characters is one step:
 * a*b on a text of n a's reads n^2 / 2 characters. So long texts, and patterns that take many steps, are
 * matched with a callout in front of each item of the pattern, which looks whether the statement was
 * cancelled: between two looks the text is read through once at most.
 */
#ifndef TIDE_REGEX_H
#define TIDE_REGEX_H

#include "engine/base/base.h"

#define REGEX_STEPS_MAX     1000000
#define REGEX_HEAP_KIB      16384
#define REGEX_PATTERN_MAX   65536 /* bytes */

struct regex;

/* -EINVAL: what is wrong with the pattern and where (its character, from 1). In the arena: no freeing. */
int regex_compile(struct arena *a, struct str pattern, struct regex **ret, struct err *e) must_check;

uint32_t regex_groups(const struct regex *r); /* besides the whole match, 0 */
int regex_group_named(const struct regex *r, struct str name); /* its number, or -ENOENT */

/*
 * Where matches lie: made once for a pattern, used for many texts. Memory from the arena, what matching
 * takes too, so it is best one that is reset with each batch. cancelled: may be NULL.
 */
struct regex_match;
int regex_match_create(struct arena *a, const struct regex *r, const _Atomic bool *cancelled,
		       struct regex_match **ret) must_check;

/*
 * The first match at or behind byte `from`, where a character begins: 1, 0: none. -EINVAL: too many
 * steps; -ECANCELED; -ENOMEM. A text that is no UTF-8 matches nothing. A text stays as it is while it is
 * looked at.
 */
int regex_find(struct regex_match *m, struct str text, size_t from, struct err *e) must_check;

/* Group k (0: the whole) of the match found last; false: it took no part. */
bool regex_group(const struct regex_match *m, uint32_t k, size_t *ret_start, size_t *ret_end);

/*
 * From where to look for the next match: behind the last one, and one character on where that was
 * empty; more than text.len: there is none.
 */
size_t regex_next(const struct regex_match *m, struct str text);

#endif
