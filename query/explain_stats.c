/*
 * explain_stats: what EXPLAIN ANALYZE counted, as lines below each node of the plan and at its end.
 *
 *	SCAN iot.weather (time, temp) series (host = 'a')
 *	    - 720 rows in 1 batch, 0.210 ms
 *	    - read 1 of 1000 series, 3 of 30 files (27 left out by time, 0 by part), 3 of 120 pages, 5120 bytes
 *	Result: 720 rows in 0.301 ms, with at most 212.0 KiB of memory
 *	Read: 720 rows, 3 of 120 pages, 3 of 30 files, 5120 bytes
 */
#include "query/op.h"

static void format_bytes(uint64_t n, struct buf *out)
{
	if (n < 10 << 10)
		buf_addf(out, "%llu bytes", (unsigned long long)n);
	else if (n < 10 << 20)
		buf_addf(out, "%.1f KiB", (double)n / (1 << 10));
	else
		buf_addf(out, "%.1f MiB", (double)n / (1 << 20));
}

static void format_ms(int64_t ns, struct buf *out)
{
	buf_addf(out, "%.3f ms", (double)ns / (double)NS_PER_MS);
}

/* "3 rows", "1 row" */
static void format_count(uint64_t n, const char *what, const char *many, struct buf *out)
{
	buf_addf(out, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : many);
}

/* 51 KiB, 20 KiB of them from memory */
static void format_read(const struct scan_stats *c, struct buf *out)
{
	format_bytes(c->bytes_read, out);
	if (!c->bytes_cached)
		return;
	buf_adds(out, ", ");
	format_bytes(c->bytes_cached, out);
	buf_adds(out, " of them from memory");
}

/* - read 2 of 1000 series, 3 of 30 files (27 left out by time, 0 by part), 3 of 120 pages, 51 bytes, ... */
static void format_scan_counts(const struct op_stats *s, int indent, struct buf *out)
{
	const struct scan_stats *c = &s->scan;

	buf_addf(out, "%*s- read %llu of %llu series", indent, "", (unsigned long long)s->series_wanted,
		 (unsigned long long)s->series);
	if (c->tiles) {
		buf_addf(out, ", %u of %u files (%u left out by time, %u by part), %llu of %llu pages, ",
			 c->tiles - c->tiles_pruned, c->tiles, c->tiles_pruned - c->tiles_pruned_part, c->tiles_pruned_part,
			 (unsigned long long)c->pages_read, (unsigned long long)(c->pages_read + c->pages_pruned));
		format_read(c, out);
	}
	if (c->blocks)
		buf_addf(out, ", %u of %u blocks of memory", c->blocks - c->blocks_pruned, c->blocks);
	buf_addc(out, '\n');
}

/* - 720 rows in 1 batch, 0.210 ms */
void op_stats_format(const struct op_stats *s, const struct plan *p, int indent, struct buf *out)
{
	int64_t own = s->ns;

	for (uint32_t i = 0; i < p->child_count; i++)
		own -= s->children[i].ns;
	buf_addf(out, "%*s- ", indent, "");
	format_count(s->rows, "row", "s", out);
	buf_adds(out, " in ");
	format_count(s->batches, "batch", "es", out);
	buf_adds(out, ", ");
	format_ms(MAX(own, 0), out);
	buf_addc(out, '\n');
	if (p->kind == PLAN_SCAN)
		format_scan_counts(s, indent, out);
}

static void add_scans(const struct op_stats *s, const struct plan *p, struct scan_stats *to)
{
	to->tiles += s->scan.tiles;
	to->tiles_pruned += s->scan.tiles_pruned;
	to->pages_read += s->scan.pages_read;
	to->pages_pruned += s->scan.pages_pruned;
	to->rows += s->scan.rows;
	to->bytes_read += s->scan.bytes_read;
	to->bytes_cached += s->scan.bytes_cached;
	for (uint32_t i = 0; i < p->child_count; i++)
		add_scans(&s->children[i], p->children[i], to);
}

void op_stats_totals(const struct op_stats *s, const struct plan *p, size_t peak, struct buf *out)
{
	struct scan_stats sum = {0};

	add_scans(s, p, &sum);
	buf_adds(out, "Result: ");
	format_count(s->rows, "row", "s", out);
	buf_adds(out, " in ");
	format_ms(s->ns, out);
	buf_adds(out, ", with at most ");
	format_bytes(peak, out);
	buf_adds(out, " of memory\nRead: ");
	format_count(sum.rows, "row", "s", out);
	buf_addf(out, ", %llu of %llu pages, %u of %u files, ", (unsigned long long)sum.pages_read,
		 (unsigned long long)(sum.pages_read + sum.pages_pruned), sum.tiles - sum.tiles_pruned, sum.tiles);
	format_read(&sum, out);
	buf_addc(out, '\n');
}
