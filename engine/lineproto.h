/*
 * lineproto: InfluxDB's line protocol, one line to one point (docs/line-protocol.md says exactly
 * what is taken). Knows nothing of tables.
 *
 *	measurement[,tag=value...] field=value[,field=value...] [timestamp]
 *
 * Where a line ends is a question of its own, answered by a scanner that needs no memory of the line:
 * the first newline that is not inside a quoted string. A quote opens a string only directly behind
 * the '=' of a field.
 */
#ifndef TIDE_LINEPROTO_H
#define TIDE_LINEPROTO_H

#include "engine/point.h"

enum lp_state {
	LP_START, /* before the first character; a fresh scanner is zeroed */
	LP_COMMENT,
	LP_HEAD,     /* measurement and tags */
	LP_HEAD_ESC, /* behind a backslash there */
	LP_GAP,      /* blanks between them and the fields */
	LP_FIELDS,
	LP_FIELDS_ESC,
	LP_FIELDS_EQ, /* directly behind '=' */
	LP_STRING,
	LP_STRING_ESC,
	LP_REST, /* behind the fields */
};

struct lp_scan {
	enum lp_state state;
};

/*
 * Offset of the newline that ends the line among these n bytes (the scanner is fresh again then), or
 * n where it does not end here: go on with what follows.
 */
size_t lp_scan_line(struct lp_scan *s, const char *p, size_t n);

static inline bool lp_scan_in_string(const struct lp_scan *s)
{
	return s->state == LP_STRING || s->state == LP_STRING_ESC;
}

/*
 * Parse one line, given without its newline (a CR before it is ignored).
 *
 *	1        a point
 *	0        blank, or a comment
 *	-EINVAL  refused: e says why, *ret_at is the offset in the line
 *	-ENOMEM
 *
 * The point's texts live as long as the line and the point's next use.
 */
int lp_parse(struct point *pt, struct str line, size_t *ret_at, struct err *e) must_check;

#endif
