/*
 * wal: nothing acknowledged is lost, nothing else ever comes back. The model is simple: record n
 * has a payload that follows from n alone, so whatever a replay yields can be judged by itself.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "tests/unit/wal_fixture.h"

/* ---- plain life
 * -------------------------------------------------------------------------------------- */

START_TEST(append_and_reopen)
{
	struct seen s = {0};
	struct wal *w = open_at(io_posix(), dfd, &no_thread, &s);
	ck_assert_uint_eq(s.next, 0);
	ck_assert_uint_eq(wal_last_lsn(w), 0);
	append_ok(w, 3);
	append_ok(w, 1);
	ck_assert_uint_eq(status(w).durable_lsn, 0);
	OK(wal_sync(w, 2, &e));
	ck_assert_uint_eq(status(w).durable_lsn, 4);
	OK(wal_sync(w, UINT64_MAX, &e));
	wal_close(w);
	expect(dfd, &no_thread, 1, 5);
	expect(dfd, &no_thread, 1, 6);
}
END_TEST

START_TEST(limits)
{
	struct wal *w = open_at(io_posix(), dfd, &no_thread, NULL);
	char *big = calloc(1, WAL_BATCH_BYTES_MAX);
	struct wal_record r[2] = {{.type = 3, .payload = {big, WAL_BATCH_BYTES_MAX}},
				  {.type = 3, .payload = {big, 1}}};
	ck_assert_int_eq(wal_append(w, r, 2, &e), -EMSGSIZE);
	ck_assert_int_eq(wal_append(w, r, 0, &e), -EINVAL);
	ck_assert_uint_eq(wal_last_lsn(w), 0);
	OK(wal_append(w, r, 1, &e));
	ck_assert_uint_eq(wal_last_lsn(w), 1);
	free(big);
	wal_close(w);
	struct wal *again;
	OK(wal_open(io_posix(), dfd, "wal", &no_thread, NULL, NULL, &again, &e));
	ck_assert_uint_eq(wal_last_lsn(again), 1);
	wal_close(again);
}
END_TEST

START_TEST(segments_and_trim)
{
	struct wal_options opt = {.segment_bytes = 4096};
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	for (int i = 0; i < 300; i++)
		append_ok(w, 1 + i % 3);
	uint64_t last = wal_last_lsn(w);
	uint32_t all = status(w).segments;
	ck_assert_uint_gt(all, 5);
	/* What does not exist yet cannot be stored elsewhere: a caller that says so is wrong about all of it. */
	ck_assert_int_eq(wal_trim(w, last + 1, &e), -EINVAL);
	ck_assert_int_eq(wal_trim(w, UINT64_MAX - 1, &e), -EINVAL);
	ck_assert_uint_eq(status(w).segments, all);
	ck_assert(wal_would_drop(w, last / 2));
	OK(wal_trim(w, last / 2, &e));
	ck_assert_uint_lt(status(w).segments, all);
	ck_assert(!wal_would_drop(w, last / 2));
	wal_close(w);

	struct seen s = {0};
	w = open_at(io_posix(), dfd, &opt, &s);
	ck_assert_uint_gt(s.first, 1);
	ck_assert_uint_le(s.first, last / 2 + 1);
	ck_assert_uint_eq(s.next, last + 1);
	do { /* all: where the last is not small, a new one carries the next LSN on */
		append_ok(w, 1);
		OK(wal_trim(w, wal_last_lsn(w), &e));
		ck_assert_uint_eq(status(w).segments, 1);
	} while (status(w).bytes > 80);
	last = wal_last_lsn(w);
	wal_close(w);
	expect(dfd, &opt, last + 1, last + 1);
	expect(dfd, &opt, last + 1, last + 2);
}
END_TEST

/* A disk that is full at open: rows are served, and appends go on by themselves when there is room.
 */
START_TEST(full_at_open)
{
	struct wal_options opt = {.next_lsn_min = 50, .segment_bytes = 100};
	struct wal *w = open_at(faulty, dfd, &no_thread, NULL);
	append_ok(w, 5);
	wal_close(w);
	struct seen s = {0};
	io_fault_add(
		faulty,
		&(struct io_rule){
			.op = "pwritev", .path = "", .first = 1, .count = -1, .error = ENOSPC});
	w = open_at(faulty, dfd, &opt, &s);
	ck_assert_uint_eq(s.next, 6);
	ck_assert_int_eq(append(w, 1), -ENOSPC);
	OK(wal_trim(w, 2, &e));
	OK(wal_sync(w, 5, &e));
	ck_assert_int_eq(append(w, 1), -ENOSPC);
	io_fault_clear(faulty);
	OK(wal_sync(w, 5, &e));
	append_ok(w, 2);
	wal_close(w);
	s = (struct seen){.jump = 50};
	w = open_at(faulty, dfd, &opt, &s);
	ck_assert_msg(!status(w).read_only, "%s", status(w).reason);
	ck_assert_uint_eq(s.next, 52);
	wal_close(w);
}
END_TEST

/* The catalogue knows of higher LSNs than the log: what was flushed and then torn off. */
START_TEST(lsns_are_skipped)
{
	struct wal_options opt = {.segment_bytes = 4096, .next_lsn_min = 50};
	struct wal *w = open_at(io_posix(), dfd, &no_thread, NULL);
	append_ok(w, 5);
	wal_close(w);
	w = open_at(faulty, dfd, &opt, NULL);
	append_ok(w, 2);
	ck_assert_uint_eq(wal_last_lsn(w), 51);
	if (_i) { /* the segment that says so is replaced */
		io_fault_add(faulty, &(struct io_rule){.op = "fdatasync",
						       .path = ".wal",
						       .first = 1,
						       .count = 1,
						       .error = EIO});
		OK(wal_sync(w, 51, &e));
		io_fault_clear(faulty);
	}
	wal_close(w);
	for (int i = 0; i < 2; i++) {
		struct seen s = {.jump = 50};
		w = open_at(io_posix(), dfd, &opt, &s);
		ck_assert_msg(!status(w).read_only, "%s", status(w).reason);
		ck_assert_uint_eq(s.next, 52);
		wal_close(w);
	}
}
END_TEST

START_TEST(boots_leave_no_empty_segments)
{
	struct wal_options opt = no_thread;
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	append_ok(w, 2);
	wal_close(w);
	for (uint64_t boot = 1; boot < 10; boot++) {
		opt.boot = boot;
		w = open_at(io_posix(), dfd, &opt, NULL);
		ck_assert_uint_eq(status(w).segments, 2);
		wal_close(w);
	}
	expect(dfd, &opt, 1, 3);
}
END_TEST

START_TEST(opened_read_only)
{
	struct wal_options opt = {.read_only = true};
	struct wal *w = NULL;
	struct image before, after;
	ck_assert_int_eq(wal_open(io_posix(), dfd, "wal", &opt, NULL, NULL, &w, &e), -ENOENT);
	w = open_at(io_posix(), dfd, &no_thread, NULL);
	append_ok(w, 4);
	take_image(&before, dfd);
	before.files[0].len -= 3; /* a batch that is being written just now */
	put_image(&before, dfd, -1);
	struct seen s = {0};
	struct wal *ro = open_at(io_posix(), dfd, &opt, &s);
	ck_assert_uint_eq(s.next, 0); /* it was one batch */
	ck_assert_int_eq(append(ro, 1), -EROFS);
	ck_assert_int_eq(wal_trim(ro, 4, &e), -EROFS);
	OK(wal_sync(ro, 4, &e));
	wal_close(ro);
	take_image(&after, dfd);
	ck_assert_int_eq(after.n, before.n);
	ck_assert_mem_eq(after.files[0].data, before.files[0].data, before.files[0].len);
	wal_close(w);
	free_image(&before);
	free_image(&after);
}
END_TEST

static int stop_at_two(void *ctx, const struct wal_record *r, struct err *err)
{
	return r->lsn == 2 ? err_set(err, -ECANCELED, "enough") : 0;
}

START_TEST(replay_stops)
{
	struct wal *w = open_at(io_posix(), dfd, &no_thread, NULL);
	append_ok(w, 4);
	wal_close(w);
	ck_assert_int_eq(wal_open(io_posix(), dfd, "wal", &no_thread, stop_at_two, NULL, &w, &e),
			 -ECANCELED);
	ck_assert_str_eq(e.text, "enough");
}
END_TEST

START_TEST(background_sync)
{
	struct wal_options opt = {.sync_interval_ns = NS_PER_MS};
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	append_ok(w, 4);
	for (int i = 0; i < 5000 && status(w).durable_lsn < 4; i++)
		usleep(1000);
	ck_assert_uint_eq(status(w).durable_lsn, 4);
	wal_close(w);
}
END_TEST

/* ---- a disk that fails
 * ------------------------------------------------------------------------------------ */

static void rule(const char *op, int first, int count, enum io_fault_kind kind, int error,
		 int64_t arg)
{
	io_fault_add(faulty, &(struct io_rule){.op = op,
					       .path = ".wal",
					       .first = first,
					       .count = count,
					       .kind = kind,
					       .error = error,
					       .arg = arg});
}

START_TEST(disk_full)
{
	struct wal_options opt = {.segment_bytes = 500};
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	for (int i = 0; i < 40; i++) { /* also when a segment is begun */
		append_ok(w, 2);
		uint64_t last = wal_last_lsn(w), bytes = status(w).bytes;
		rule("pwritev", 1, 1, i % 2 ? IO_TEAR : IO_FAIL, ENOSPC, i);
		ck_assert_int_eq(append(w, 3), -ENOSPC);
		io_fault_clear(faulty);
		ck_assert_uint_eq(wal_last_lsn(w), last);
		ck_assert_uint_eq(status(w).bytes, bytes);
		ck_assert(!status(w).read_only);
	}
	wal_close(w);
	expect(dfd, &opt, 1, 81);
}
END_TEST

START_TEST(cannot_cut_off)
{
	struct wal *w = open_at(faulty, dfd, &no_thread, NULL);
	append_ok(w, 1);
	rule("pwritev", 1, 1, IO_TEAR, EIO, 60);
	rule("ftruncate", 1, -1, IO_FAIL, EIO, 0);
	ck_assert_int_eq(append(w, 3), -EIO);
	ck_assert_int_eq(append(w, 1), -EIO);
	ck_assert(status(w).read_only);
	io_fault_clear(faulty);
	append_ok(w, 1);
	ck_assert(!status(w).read_only);
	wal_close(w);
	expect(dfd, &no_thread, 1, 3);
}
END_TEST

/* One failed fsync is made good inside the call; both copies may stay. */
START_TEST(fsync_fails_once)
{
	struct wal_options opt = {.segment_bytes = 4096};
	struct image im;
	uint64_t last = 0;
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	for (int i = 0; i < 30; i++) {
		append_ok(w, 1 + i % 3);
		if (i % 3 == 0)
			OK(wal_sync(w, UINT64_MAX, &e));
		append_ok(w, 2);
		rule("fdatasync", 1, 1, IO_FAIL, EIO, 0);
		if (i % 2) /* the old copy stays */
			rule("unlinkat", 1, -1, IO_FAIL, EIO, 0);
		OK(wal_sync(w, UINT64_MAX, &e));
		io_fault_clear(faulty);
		ck_assert_uint_eq(status(w).durable_lsn, wal_last_lsn(w));
		ck_assert(!status(w).read_only);
	}
	last = wal_last_lsn(w);
	take_image(&im, dfd);
	wal_close(w);
	put_image(&im, dfd, -1);
	expect(dfd, &opt, 1, last + 1);
	free_image(&im);
}
END_TEST

/* The copies in the old segment went bad, as pages whose writeback failed may. */
START_TEST(fsync_failed_and_old_copy_bad)
{
	struct image im;
	struct wal *w = open_at(faulty, dfd, &no_thread, NULL);
	append_ok(w, 1);
	OK(wal_sync(w, 1, &e));
	for (int i = 0; i < 4; i++)
		append_ok(w, 1);
	rule("fdatasync", 1, 1, IO_FAIL, EIO, 0);
	OK(wal_sync(w, 5, &e));
	take_image(&im, dfd);
	ck_assert_int_eq(im.n, 2);
	struct image_file *f = &im.files[0];
	for (size_t from = batch_end(f, 1); from < f->len; from += 7) {
		for (size_t n = 1; from + n <= f->len; n += 13) {
			char *copy = malloc(f->len);
			memcpy(copy, f->data, f->len);
			memset(f->data + from, 0, n);
			put_image(&im, dfd, -1);
			expect(dfd, &no_thread, 1, 6);
			memcpy(f->data, copy, f->len);
			free(copy);
		}
	}
	/* Or the new one did not get to the disk whole, and the old one had all in the page cache.
	 */
	f = &im.files[1];
	for (size_t full = f->len; f->len > 0; f->len--) {
		put_image(&im, dfd, -1);
		expect(dfd, &no_thread, 1, 6);
		ck_assert_uint_le(f->len, full);
	}
	wal_close(w);
	free_image(&im);
}
END_TEST

START_TEST(fsync_fails_for_long)
{
	struct wal_options opt = {.segment_bytes = 300};
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	append_ok(w, 2);
	OK(wal_sync(w, 2, &e));
	for (int i = 0; i < 5; i++)
		append_ok(w, 3);
	rule("fdatasync", 1, -1, IO_FAIL, EIO, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(wal_sync(w, UINT64_MAX, &e), -EIO);
		ck_assert_int_eq(append(w, 1), -EROFS);
		ck_assert_ptr_nonnull(strstr(e.text, "could not be synced"));
	}
	ck_assert(status(w).read_only);
	ck_assert_uint_eq(status(w).durable_lsn, 2);
	OK(wal_sync(w, 2, &e)); /* these are safe, whatever happens */
	io_fault_clear(faulty);
	OK(wal_sync(w, UINT64_MAX, &e));
	ck_assert(!status(w).read_only);
	append_ok(w, 1);
	wal_close(w);
	expect(dfd, &opt, 1, 19);
}
END_TEST

/* The background thread makes it good without being asked. */
START_TEST(fsync_recovers_by_itself)
{
	struct wal_options opt = {.sync_interval_ns = 2 * NS_PER_MS};
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	rule("fdatasync", 1, 6, IO_FAIL, EIO, 0);
	append_ok(w, 2);
	for (int i = 0; i < 5000 && status(w).durable_lsn < 2; i++)
		usleep(1000);
	ck_assert_uint_eq(status(w).durable_lsn, 2);
	append_ok(w, 1);
	wal_close(w);
	expect(dfd, &opt, 1, 4);
}
END_TEST

/* RAM for what is not synced is bounded: the append that would exceed it syncs first. */
START_TEST(unsynced_is_bounded)
{
	struct wal_options opt = {.unsynced_max = 2000};
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	for (int i = 0; i < 200; i++)
		append_ok(w, 1);
	ck_assert_uint_gt(status(w).durable_lsn, 100);
	rule("fdatasync", 1, -1, IO_FAIL, EIO, 0);
	int rc = 0;
	for (int i = 0; rc == 0 && i < 100; i++)
		rc = append(w, 1);
	ck_assert_int_eq(rc, -EIO);
	ck_assert_int_eq(append(w, 1), -EROFS);
	io_fault_clear(faulty);
	wal_close(w);
}
END_TEST

/* ---- many threads
 * --------------------------------------------------------------------------------------- */

#define APPENDERS 4
#define EACH      400

static struct wal *shared;
static _Atomic int running;
static _Atomic uint64_t acknowledged;

static void *appender(void *arg)
{
	char payload[64];
	for (int i = 0; i < EACH; i++) {
		struct wal_record r[2];
		for (int k = 0; k < 2; k++) {
			int n = snprintf(payload, sizeof payload, "%d/%d", (int)(intptr_t)arg, i);
			r[k] = (struct wal_record){.type = 3,
						   .table_id = (uint32_t)(intptr_t)arg,
						   .payload = {payload, (size_t)n}};
		}
		if (wal_append(shared, r, 2, NULL) < 0 || r[1].lsn != r[0].lsn + 1)
			abort();
		atomic_fetch_add(&acknowledged, 2);
		struct wal_status s;
		if (i % 20 == 0) {
			if (wal_sync(shared, r[1].lsn, NULL) < 0)
				abort();
			wal_status(shared, &s);
			if (s.durable_lsn < r[1].lsn)
				abort();
		}
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void *trimmer(void *arg)
{
	while (atomic_load(&running)) {
		if (wal_trim(shared, wal_last_lsn(shared) / 3, NULL) < 0)
			abort();
		usleep(500);
	}
	return NULL;
}

struct tally {
	int next[APPENDERS]; /* 2 x the next i of each; -1: its front was trimmed */
	uint64_t lsn;
};

static int tally_record(void *ctx, const struct wal_record *r, struct err *err)
{
	struct tally *t = ctx;
	char want[64];
	int a = (int)r->table_id;

	if (t->lsn && r->lsn != t->lsn + 1)
		return -EDOM;
	t->lsn = r->lsn;
	if (t->next[a] < 0) {
		snprintf(want, sizeof want, "%.*s", STR_FMT(r->payload));
		t->next[a] = atoi(strchr(want, '/') + 1) * 2 + (r->lsn % 2 == 0);
	}
	snprintf(want, sizeof want, "%d/%d", a, t->next[a]++ / 2);
	return str_is(r->payload, want) ? 0 : -EDOM;
}

START_TEST(threads)
{
	struct wal_options opt = {
		.segment_bytes = 4000, .sync_interval_ns = NS_PER_MS, .unsynced_max = 8000};
	pthread_t th[APPENDERS], tr;
	struct tally t = {.lsn = 0};

	shared = open_at(faulty, dfd, &opt, NULL);
	if (_i) { /* and a disk whose fsync fails now and then */
		for (int k = 1; k < 40; k += 3)
			rule("fdatasync", k, 1, IO_FAIL, EIO, 0);
	}
	rule("fdatasync", 1, -1, IO_DELAY, 0, 1); /* so that callers meet */
	atomic_store(&running, APPENDERS);
	for (intptr_t i = 0; i < APPENDERS; i++)
		ck_assert_int_eq(pthread_create(&th[i], NULL, appender, (void *)i), 0);
	pthread_create(&tr, NULL, trimmer, NULL);
	for (int i = 0; i < APPENDERS; i++)
		pthread_join(th[i], NULL);
	pthread_join(tr, NULL);
	ck_assert_uint_eq(wal_last_lsn(shared), APPENDERS * EACH * 2);
	ck_assert_uint_eq(atomic_load(&acknowledged), APPENDERS * EACH * 2);
	wal_close(shared);
	memset(t.next, 0xFF, sizeof t.next);
	OK(wal_open(io_posix(), dfd, "wal", &no_thread, tally_record, &t, &shared, &e));
	ck_assert_msg(!status(shared).read_only, "%s", status(shared).reason);
	ck_assert_uint_eq(t.lsn, APPENDERS * EACH * 2);
	wal_close(shared);
}
END_TEST

static void *sync_all(void *arg)
{
	return (void *)(intptr_t)wal_sync(shared, UINT64_MAX, NULL);
}

/* What was appended while a sync ran is not covered by it; appends go on meanwhile. */
START_TEST(append_during_sync)
{
	pthread_t th;
	void *rc;
	shared = open_at(faulty, dfd, &no_thread, NULL);
	for (int i = 0; i < 3; i++) {
		append_ok(shared, 1);
		rule("fdatasync", 1, 1, IO_DELAY, 0, 1000);
		ck_assert_int_eq(pthread_create(&th, NULL, sync_all, NULL), 0);
		while (io_fault_hits(faulty) <= 2 * i)
			usleep(1000);
		append_ok(shared, 1);
		uint64_t last = wal_last_lsn(shared);
		ck_assert_uint_lt(status(shared).durable_lsn, last - 1); /* so it did not wait */
		pthread_join(th, &rc);
		ck_assert_ptr_null(rc);
		ck_assert_uint_eq(status(shared).durable_lsn, last - 1);
		rule("fdatasync", 1, 1, IO_DELAY, 0, 0);
		OK(wal_sync(shared, last, &e));
		ck_assert_int_eq(io_fault_hits(faulty), 2 * i + 2);
	}
	wal_close(shared);
}
END_TEST

/* A sync that fails and is made good delays appends; it does not refuse them. */
START_TEST(append_during_rescue)
{
	pthread_t th;
	void *rc;
	shared = open_at(faulty, dfd, &no_thread, NULL);
	append_ok(shared, 1);
	rule("fdatasync", 1, 1, IO_FAIL, EIO, 0);
	rule("fdatasync", 2, 1, IO_DELAY, 0, 1000);
	ck_assert_int_eq(pthread_create(&th, NULL, sync_all, NULL), 0);
	while (io_fault_hits(faulty) < 2)
		usleep(1000);
	append_ok(shared, 1);
	ck_assert_uint_ge(status(shared).durable_lsn, 1);
	pthread_join(th, &rc);
	ck_assert_ptr_null(rc);
	wal_close(shared);
	expect(dfd, &no_thread, 1, 3);
}
END_TEST

/* ---- kill -9 at each named place
 * ------------------------------------------------------------------------- */

START_TEST(killed)
{
	static const char *const places[] = {"wal.append.before", "wal.append.after", "wal.rotate",
					     "wal.sync", "wal.trim"};
	struct wal_options opt = {.segment_bytes = 600};
	for (int n = 1; n < 12; n++) {
		char fault[64];
		int fds[2];
		uint64_t acked[2] = {0, 0}; /* appended, trimmed */
		struct image none = {0};
		put_image(&none, dfd, -1);
		ck_assert_int_eq(pipe(fds), 0);
		snprintf(fault, sizeof fault, "%s:%d", places[_i], n);
		pid_t pid = fork();
		if (pid == 0) {
			setenv("TIDE_FAULT", fault, 1);
			fault_init();
			struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
			for (int i = 0; i < 200; i++) {
				append_ok(w, 1 + i % 3);
				acked[0] = wal_last_lsn(w);
				if (write(fds[1], acked, sizeof acked) < 0)
					_exit(1);
				if (i % 3 == 0)
					OK(wal_sync(w, acked[0], &e));
				acked[1] = acked[0] / 2;
				if (i % 10 == 9)
					OK(wal_trim(w, acked[1], &e));
			}
			_exit(0);
		}
		close(fds[1]);
		uint64_t got[2];
		while (read(fds[0], got, sizeof got) == sizeof got)
			memcpy(acked, got, sizeof got);
		close(fds[0]);
		int st;
		waitpid(pid, &st, 0);
		ck_assert(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
		struct seen s = {0};
		struct wal *w = open_at(io_posix(), dfd, &opt, &s);
		ck_assert_msg(!status(w).read_only, "%s", status(w).reason);
		ck_assert_uint_gt(wal_last_lsn(w) + 1, acked[0]);
		ck_assert_uint_le(wal_last_lsn(w), acked[0] + 3);
		if (s.next)
			ck_assert_uint_le(s.first, acked[0] / 2 + 1);
		append_ok(w, 1);
		wal_close(w);
	}
}
END_TEST

/* ---- anything goes
 * ---------------------------------------------------------------------------------------- */

/* Random life with faults, crashes (the files as they are) and torn tails, against the model. */
START_TEST(random_life)
{
	uint64_t rng = unit_seed() + (uint64_t)_i;
	struct wal_options opt = {
		.segment_bytes = 200 + unit_random(&rng) % 3000, .unsynced_max = 100000, .boot = 1};
	struct wal *w = open_at(faulty, dfd, &opt, NULL);
	uint64_t synced = 0, last = 0, trimmed = 0;

	for (int step = 0; step < 400; step++) {
		uint64_t r = unit_random(&rng);
		int rc;
		switch (r % 16) {
		case 0:
			OK(wal_trim(w, trimmed = MAX(trimmed, r / 16 % (last + 1)), &e));
			break;
		case 1:
		case 2:
			OK(wal_sync(w, UINT64_MAX, &e));
			synced = last;
			break;
		case 3: /* one fsync fails */
			rule("fdatasync", 1 + (int)(r / 16 % 2), 1, IO_FAIL, EIO, 0);
			rc = wal_sync(w, UINT64_MAX, &e);
			io_fault_clear(faulty);
			if (rc == 0)
				synced = last;
			else
				OK(wal_sync(w, UINT64_MAX, &e));
			break;
		case 4: /* a write fails */
			rule("pwritev", 1, 1, IO_TEAR, r & 16 ? ENOSPC : EIO,
			     (int64_t)(r / 32 % 200));
			rc = append(w, 1 + (int)(r / 16 % 4));
			io_fault_clear(faulty);
			ck_assert(rc == -ENOSPC || rc == -EIO || rc == 0);
			last = wal_last_lsn(w);
			break;
		case 5: { /* crash: kill -9, sometimes with a batch half written, sometimes with
			     power */
			struct image im;
			take_image(&im, dfd);
			wal_close(w);
			if (r & 32 && im.n) {
				struct image_file *f = &im.files[im.n - 1];
				size_t n = r / 64 % 200;
				f->data = realloc(f->data, f->len + n + 1);
				memcpy(f->data + f->len, f->data, MIN(n, f->len));
				f->len += MIN(n, f->len);
			}
			if (r & 16)
				opt.boot++;
			put_image(&im, dfd, -1);
			free_image(&im);
			struct seen s = {0};
			w = open_at(faulty, dfd, &opt, &s);
			ck_assert_msg(!status(w).read_only, "step %d: %s", step, status(w).reason);
			ck_assert_uint_eq(wal_last_lsn(w), last);
			if (s.next) {
				ck_assert_uint_eq(s.next, last + 1);
				ck_assert_uint_le(s.first, trimmed + 1);
			} else {
				ck_assert_uint_ge(trimmed, last);
			}
			synced = last;
			break;
		}
		default:
			append_ok(w, 1 + (int)(r / 16 % 4));
			last = wal_last_lsn(w);
		}
		ck_assert_uint_eq(wal_last_lsn(w), last);
		ck_assert_uint_ge(status(w).durable_lsn, synced);
	}
	wal_close(w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal");
	TCase *tc = tcase_create("all");

	unit_seed(); /* once, before check forks */
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, append_and_reopen);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, segments_and_trim);
	tcase_add_test(tc, full_at_open);
	tcase_add_loop_test(tc, lsns_are_skipped, 0, 2);
	tcase_add_test(tc, boots_leave_no_empty_segments);
	tcase_add_test(tc, opened_read_only);
	tcase_add_test(tc, replay_stops);
	tcase_add_test(tc, background_sync);
	tcase_add_test(tc, disk_full);
	tcase_add_test(tc, cannot_cut_off);
	tcase_add_test(tc, fsync_fails_once);
	tcase_add_test(tc, fsync_failed_and_old_copy_bad);
	tcase_add_test(tc, fsync_fails_for_long);
	tcase_add_test(tc, fsync_recovers_by_itself);
	tcase_add_test(tc, unsynced_is_bounded);
	tcase_add_loop_test(tc, threads, 0, 2);
	tcase_add_test(tc, append_during_sync);
	tcase_add_test(tc, append_during_rescue);
	tcase_add_loop_test(tc, killed, 0, 5);
	tcase_add_loop_test(tc, random_life, 0, 20);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
