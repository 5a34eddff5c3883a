/*
 * bench_wal: bytes a row and rates of the log's encoding, decoding, appending and replay.
 * Usage: bench_wal DIR (an empty directory on the disk to measure)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/batch.h"
#include "engine/wal.h"

#define FIELDS 10

static uint64_t rng = 1;

static uint64_t next_random(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* Rows as the cpu-only load of TSBS makes them. */
static void fill(struct batch *b, uint32_t rows, uint32_t hosts, bool decimals)
{
	batch_clear(b);
	for (; b->n < rows; b->n++) {
		if (batch_reserve(b) < 0)
			abort();
		b->series[b->n] = b->n % hosts;
		b->time_ns[b->n] = (INT64_C(1451606400) + b->n / hosts * 10) * NS_PER_S;
		for (uint32_t c = 0; c < FIELDS; c++) {
			int at = batch_col(b, c + (decimals ? 100 : 0),
					   decimals ? COL_DOUBLE : COL_BIGINT);
			if (at < 0)
				abort();
			struct batch_col *bc = &b->cols[at];
			if (decimals)
				bc->col.f64[b->n] = (double)(next_random() % 10001) / 100;
			else
				bc->col.i64[b->n] = (int64_t)(next_random() % 101);
			bc->col.valid[b->n] = 1;
			bc->has_values = true;
		}
	}
}

static void codec(const char *name, uint32_t rows, uint32_t hosts, bool decimals)
{
	struct batch b, back;
	struct buf out;
	int rounds = (int)(4000000 / rows);

	batch_init(&b);
	batch_init(&back);
	buf_init(&out, 64 << 20);
	fill(&b, rows, hosts, decimals);
	int64_t t0 = clock_mono_ns();
	for (int i = 0; i < rounds; i++) {
		buf_clear(&out);
		if (batch_encode(&b, 0, rows, &out) < 0)
			abort();
	}
	int64_t t1 = clock_mono_ns();
	for (int i = 0; i < rounds; i++)
		if (batch_decode(&back, buf_str(&out), NULL) < 0)
			abort();
	int64_t t2 = clock_mono_ns();
	double values = (double)rounds * rows * FIELDS / 1e6;
	printf("%-22s %5u rows: %5.1f B/row, encode %4.0f M values/s, decode %4.0f M values/s\n",
	       name, rows, (double)out.len / rows, values / ((double)(t1 - t0) / 1e9),
	       values / ((double)(t2 - t1) / 1e9));
	batch_release(&b);
	batch_release(&back);
	buf_release(&out);
}

static int decode_record(void *ctx, const struct wal_record *r, struct err *e)
{
	return batch_decode(ctx, r->payload, e);
}

static struct wal *open_log(int dir, struct batch *to)
{
	struct wal_options opt = {.sync_interval_ns = NS_PER_S};
	struct wal *w;
	struct err e = {0};

	if (wal_open(io_posix(), dir, "wal", &opt, decode_record, to, &w, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	return w;
}

/* Encode and append, as ingest does; then open again, which decodes. */
static void log_rows(int dir, uint32_t rows, uint32_t hosts, uint64_t total)
{
	struct batch b, back;
	struct buf out;
	struct err e = {0};

	batch_init(&b);
	batch_init(&back);
	buf_init(&out, 64 << 20);
	fill(&b, rows, hosts, false);
	struct wal *w = open_log(dir, &back);
	int64_t t0 = clock_mono_ns(), appending = 0;
	for (uint64_t done = 0; done < total; done += rows) {
		buf_clear(&out);
		if (batch_encode(&b, 0, rows, &out) < 0)
			abort();
		struct wal_record r = {.table_id = 1, .type = WAL_ROWS, .payload = buf_str(&out)};
		int64_t a0 = clock_mono_ns();
		if (wal_append(w, &r, 1, &e) < 0) {
			fprintf(stderr, "%s\n", e.text);
			exit(1);
		}
		appending += clock_mono_ns() - a0;
	}
	int64_t t1 = clock_mono_ns();
	if (wal_sync(w, UINT64_MAX, &e) < 0)
		abort();
	int64_t t2 = clock_mono_ns();
	struct wal_status st;
	wal_status(w, &st);
	wal_close(w);
	int64_t t3 = clock_mono_ns();
	w = open_log(dir, &back);
	int64_t t4 = clock_mono_ns();
	printf("log, %5u rows a batch: %5.1f B/row, encode + append %5.2f M rows/s (append alone "
	       "%.1f us a "
	       "batch, %.0f MB/s), last sync %.0f ms, replay + decode %5.2f M rows/s\n",
	       rows, (double)st.bytes / (double)total, (double)total * 1e3 / (double)(t1 - t0),
	       (double)appending / 1e3 / ((double)total / rows),
	       (double)st.bytes * 1e3 / (double)appending, (double)(t2 - t1) / 1e6,
	       (double)total * 1e3 / (double)(t4 - t3));
	if (wal_trim(w, wal_last_lsn(w), &e) < 0)
		abort();
	wal_close(w);
	batch_release(&b);
	batch_release(&back);
	buf_release(&out);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_wal DIR\n");
		return 2;
	}
	codec("integers, 4000 hosts", 16000, 4000, false);
	codec("integers, 100 hosts", 1000, 100, false);
	codec("integers, 10 hosts", 10, 10, false);
	codec("integers, 1 host", 1, 1, false);
	codec("decimals, 4000 hosts", 16000, 4000, true);
	codec("decimals, 100 hosts", 1000, 100, true);

	static const struct {
		uint32_t rows, hosts;
		uint64_t total;
	} runs[] = {
		{16000, 4000, 16000000}, {1000, 100, 8000000}, {10, 10, 2000000}, {1, 1, 300000}};
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		char name[32];
		snprintf(name, sizeof name, "%zu", i);
		int dir = mkdirat(AT_FDCWD, argv[1], 0700) < 0 && errno != EEXIST
				  ? -1
				  : open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || mkdirat(dir, name, 0700) < 0) {
			perror(argv[1]);
			return 1;
		}
		int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		log_rows(sub, runs[i].rows, runs[i].hosts, runs[i].total);
		close(sub);
		close(dir);
	}
	return 0;
}
