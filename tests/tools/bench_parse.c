/*
 * bench_parse: how fast a text format becomes rows, without the engine behind it (fake_db.h).
 *
 *	bench_parse lp|flat|records [ROWS] [HOSTS]
 *
 * TSBS-like rows, ten dimensions and ten BIGINT values; prints rows/s, bytes a row. Text is made before the
 * clock starts, and written in pieces of 128 KiB, as cat does.
 */
#include <stdio.h>

#include "engine/ingest.h"
#include "tests/unit/fake_db.h"

static const char *const dims[10] = {"hostname", "region",  "datacenter", "rack",	    "os",
				     "arch",	 "team",    "service",	  "service_version", "service_environment"};
static const char *const fields[10] = {"usage_user", "usage_system",  "usage_idle",  "usage_nice",  "usage_iowait",
				       "usage_irq",  "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void add_row(struct buf *b, const char *format, uint32_t host, long long t, uint32_t *rng)
{
	bool is_lp = strcmp(format, "lp") == 0, is_flat = strcmp(format, "flat") == 0;

	buf_adds(b, is_lp ? "cpu" : is_flat ? "{\"measure_name\":\"cpu\"" : "{\"MeasureName\":\"cpu\",\"Dimensions\":[");
	for (uint32_t i = 0; i < 10; i++) {
		const char *f = is_lp ? ",%s=%s_%u" : is_flat ? ",\"%s\":\"%s_%u\"" : ",{\"Name\":\"%s\",\"Value\":\"%s_%u\"}";
		if (!is_lp && !is_flat && i == 0)
			f++;
		buf_addf(b, f, dims[i], dims[i], i == 0 ? host : host % (3 * i));
	}
	buf_adds(b, is_lp ? " " : is_flat ? "" : "],\"MeasureValueType\":\"MULTI\",\"MeasureValues\":[");
	for (uint32_t i = 0; i < 10; i++) {
		const char *f = is_lp	  ? ",%s=%ui"
				: is_flat ? ",\"%s\":%u"
					  : ",{\"Name\":\"%s\",\"Value\":\"%u\",\"Type\":\"BIGINT\"}";
		if (!is_flat && i == 0)
			f++;
		buf_addf(b, f, fields[i], next_random(rng) % 100);
	}
	if (is_lp)
		buf_addf(b, " %lld\n", t);
	else if (is_flat)
		buf_addf(b, ",\"time\":%lld}\n", t);
	else
		buf_addf(b, "],\"Time\":\"%lld\",\"TimeUnit\":\"NANOSECONDS\"}\n", t);
}

int main(int argc, char **argv)
{
	const char *format = argc > 1 ? argv[1] : "lp";
	uint32_t rows = argc > 2 ? (uint32_t)atoi(argv[2]) : 500000, hosts = argc > 3 ? (uint32_t)atoi(argv[3]) : 100;
	struct ingest_source src = {.file = "db/t/ingest"};
	struct ingest *in;
	struct table *t;
	struct buf text;
	struct db db;
	uint32_t rng = 1;

#ifndef BENCH_ONLY_LP
	if (strcmp(format, "lp") != 0)
		src.format = INGEST_JSONL;
#endif
	buf_init(&text, (size_t)8 << 30);
	for (uint32_t i = 0; i < rows; i++)
		add_row(&text, format, i % hosts, 1700000000000000000LL + (long long)(i / hosts) * 10000000000LL, &rng);
	fake_db_init(&db);
	if (text.rc < 0 || db_table_create(&db, STR_LIT("t"), &t, NULL) < 0 || ingest_open(&db, t, &src, &in, NULL) < 0)
		return 1;
	table_put(t);
	int64_t begin = clock_mono_ns();
	for (size_t at = 0; at < text.len; at += 128 << 10) {
		size_t n = MIN(text.len - at, (size_t)128 << 10);
		struct err e;
		if (ingest_write(in, text.data + at, n, &e) != (int64_t)n) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
	}
	double s = (double)(clock_mono_ns() - begin) / 1e9;
	printf("%s: %.2f M rows/s, %.0f MB/s, %llu bytes a row\n", format, rows / s / 1e6, (double)text.len / s / 1e6,
	       (unsigned long long)(text.len / rows));
	int bad = t->rows != rows;
	ingest_close(in);
	fake_db_release(&db);
	buf_release(&text);
	return bad;
}
