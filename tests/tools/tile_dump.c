/*
 * tile_dump FILE...: verify each tile and print its rows as JSON lines, with our own reader.
 * tile_dump -p FILE...: its column chunks instead: encoding, dictionary, bytes.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>

#include "engine/tile_read.h"

static void put_string(struct str s)
{
	putchar('"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_double(double v)
{
	if (isnan(v))
		printf("\"NaN\"");
	else if (isinf(v))
		printf(v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
	else
		printf("%.17g%s", v, v == floor(v) && fabs(v) < 1e15 ? ".0" : "");
}

static void put_value(const struct col *c, uint32_t i)
{
	if (c->valid && !c->valid[i]) {
		printf("null");
		return;
	}
	switch (c->type) {
	case COL_BIGINT:
	case COL_TIMESTAMP:
		printf("%lld", (long long)c->i64[i]);
		break;
	case COL_DOUBLE:
		put_double(c->f64[i]);
		break;
	case COL_BOOLEAN:
		printf(c->b8[i] ? "true" : "false");
		break;
	case COL_VARCHAR:
		put_string(c->str[i]);
		break;
	}
}

static int dump_page(struct tile *t, uint32_t page, struct arena *a, struct err *e)
{
	static int64_t time[TILE_PAGE_ROWS_MAX], version[TILE_PAGE_ROWS_MAX];
	const struct tile_info *in = tile_info(t);
	uint32_t n = (uint32_t)(tile_page_row(t, page + 1) - tile_page_row(t, page));
	struct col *dims = arena_array(a, struct col, in->dim_count + 1);
	struct col *cols = arena_array(a, struct col, in->field_count);
	int rc = dims && cols ? tile_read_time(t, page, time, e) : -ENOMEM;

	if (rc >= 0)
		rc = tile_read_version(t, page, version, e);
	for (uint32_t d = 0; d <= in->dim_count && rc >= 0; d++)
		rc = tile_page_column(t, d, page, COL_VARCHAR, a, &dims[d], e);
	for (uint32_t f = 0; f < in->field_count && rc >= 0; f++)
		rc = tile_read_field(t, f, page, a, &cols[f], e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		printf("{");
		for (uint32_t d = 0; d <= in->dim_count; d++) {
			put_string(d < in->dim_count ? in->dims[d] : STR_LIT("measure_name"));
			printf(":");
			put_value(&dims[d], i);
			printf(",");
		}
		printf("\"time\":%lld", (long long)time[i]);
		for (uint32_t f = 0; f < in->field_count; f++) {
			printf(",");
			put_string(in->fields[f].name);
			printf(":");
			put_value(&cols[f], i);
		}
		if (in->has_version)
			printf(",\"ts_version\":%lld", (long long)version[i]);
		printf("}\n");
	}
	return rc;
}

static int dump_chunks(struct tile *t, struct arena *a)
{
	const struct tile_index *ix = &t->ix;

	printf("%llu rows, %u pages, %u groups, %u series; page index %llu, index %llu, footer %llu "
	       "bytes\n",
	       (unsigned long long)ix->info.rows, ix->info.page_count, ix->group_count,
	       ix->info.series_count, (unsigned long long)ix->public_len,
	       (unsigned long long)t->index_len,
	       (unsigned long long)(ix->info.file_bytes - t->footer_off));
	for (uint32_t g = 0; g < ix->group_count; g++) {
		for (uint32_t c = 0; c < ix->column_count; c++) {
			const struct tile_chunk *ch = &ix->chunks[(size_t)c * ix->group_count + g];
			struct pq_column col;
			if (tile_index_describe(ix, &ix->columns[c], a, &col) < 0)
				return -ENOMEM;
			printf("group %u %.*s encoding %d dictionary %u offset %llu bytes %llu\n", g,
			       STR_FMT(col.name), (int)ch->encoding, ch->dict_count,
			       (unsigned long long)ch->off, (unsigned long long)ch->len);
		}
	}
	return 0;
}

static int dump(const char *path, bool chunks, struct err *e)
{
	struct arena a;
	struct tile *t;
	int rc = tile_open(io_posix(), AT_FDCWD, path, &t, e);

	if (rc < 0)
		return rc;
	arena_init(&a, NULL);
	rc = tile_verify(t, e);
	if (rc >= 0 && chunks)
		rc = dump_chunks(t, &a);
	for (uint32_t p = 0; p < tile_info(t)->page_count && rc >= 0 && !chunks; p++) {
		arena_reset(&a);
		rc = dump_page(t, p, &a, e);
	}
	arena_release(&a);
	tile_put(t);
	return rc;
}

int main(int argc, char **argv)
{
	bool chunks = argc > 1 && !strcmp(argv[1], "-p");
	struct err e = {0};

	for (int i = 1 + chunks; i < argc; i++) {
		int rc = dump(argv[i], chunks, &e);
		if (rc < 0) {
			fprintf(stderr, "tile_dump: %s\n", err_text(&e, rc));
			return 1;
		}
	}
	return 0;
}
