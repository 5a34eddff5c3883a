/*
 * like: patterns of LIKE. `%` any run, `_` one code point; an escape character makes them (and
 * itself) plain.
 */
#ifndef TIDE_LIKE_H
#define TIDE_LIKE_H

#include "engine/base/base.h"

struct like;

/*
 * escape: one character, or ptr NULL for none. The pattern is borrowed for as long as *ret is used.
 *   -EINVAL  escape is not one character; it stands before something that needs no escape, or last
 */
int like_compile(struct arena *a, struct str pattern, struct str escape, const struct like **ret,
		 struct err *e) must_check;
bool like_match(const struct like *l, struct str s);

#endif
