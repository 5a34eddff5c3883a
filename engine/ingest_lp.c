/*
 * Line protocol's part of ingest: lineproto.h says what a line means, ingest_fast.h which lines need not
 * be asked.
 */
#include "engine/ingest_impl.h"

#include <stdlib.h>

#include "engine/ingest_fast.h"
#include "engine/lineproto.h"

struct lp {
	struct fast fast;
	struct point point;
};

static int open_lp(struct ingest *in)
{
	struct lp *lp = in->state = calloc(1, sizeof *lp);

	if (!lp)
		return -ENOMEM;
	fast_init(&lp->fast);
	point_init(&lp->point);
	return 0;
}

static void close_lp(struct ingest *in)
{
	struct lp *lp = in->state;

	if (!lp)
		return;
	fast_release(&lp->fast);
	point_release(&lp->point);
	free(lp);
}

static void forget(struct ingest *in)
{
	struct lp *lp = in->state;

	fast_forget(&lp->fast);
}

static size_t scan(struct line_scan *s, const char *p, size_t n)
{
	struct lp_scan lp = {(enum lp_state)s->state};
	size_t at = lp_scan_line(&lp, p, n);

	s->state = (int)lp.state;
	return at;
}

static bool scan_in_string(const struct line_scan *s)
{
	return lp_scan_in_string(&(struct lp_scan){(enum lp_state)s->state});
}

static int line(struct ingest *in, struct str text, struct err *e)
{
	struct lp *lp = in->state;
	struct err why;
	struct feed_row row;
	size_t at = 0;

	err_clear(&why);
	int rc = lp_parse(&lp->point, text, &at, &why);
	if (rc > 0) {
		rc = feed_point(&in->feed, &lp->point, &row, &at, &why);
		if (rc == 0) {
			in->good++;
			fast_learn(&lp->fast, &in->feed, &lp->point, &row);
		}
	}
	if (rc == -EINVAL) {
		ingest_complain(in, &(struct complaint){.text = text,
							 .column = at + 1,
							 .record = -1,
							 .reason = why.text,
							 .table = lp->point.measure});
		return 0;
	}
	return rc < 0 ? err_set(e, rc, "%s", err_text(&why, rc)) : 0;
}

static int fast(struct ingest *in, const char *p, const char *end, const char *limit,
		const char **ret_next, struct err *e)
{
	struct lp *lp = in->state;

	return fast_line(&lp->fast, &in->feed, p, end, limit, ret_next, e);
}

const struct ingest_parser ingest_lp_parser = {
	.line_bytes_min = 6, /* "m f=1" and a newline */
	.open = open_lp,
	.close = close_lp,
	.forget = forget,
	.scan = scan,
	.scan_in_string = scan_in_string,
	.line = line,
	.fast = fast,
};
