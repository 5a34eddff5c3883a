/*
 * The log on damaged files: cut and flipped at every byte, stale batches, power cuts. Recovery keeps
 * the longest valid prefix where nothing valid follows, and refuses to write where something does.
 */
#include "tests/unit/wal_fixture.h"

/* How many batches of a file lie whole before `len`. */
static uint64_t records_before(const struct image *im, int file, size_t len)
{
	const struct image_file *f = &im->files[file];
	uint64_t next = 0;

	for (size_t at = 80; at + 40 <= len;) {
		uint32_t n, count;
		uint64_t lsn;
		memcpy(&n, f->data + at + 8, 4);
		memcpy(&lsn, f->data + at + 16, 8);
		memcpy(&count, f->data + at + 32, 4);
		if (at + n > len)
			break;
		next = lsn + count;
		at += n;
	}
	return next;
}

/* A small log as kill -9 leaves it: no closing mark, nothing synced. */
static struct wal *small_log(struct image *im, uint64_t segment_bytes, int batches, uint64_t boot)
{
	struct wal_options opt = {.segment_bytes = segment_bytes, .boot = boot};
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	for (int i = 0; i < batches; i++)
		append_ok(w, 1 + i % 3);
	take_image(im, dfd);
	return w;
}

/* Cut the last segment at every byte: exactly the whole batches before stay, and it goes on. */
START_TEST(cut_everywhere)
{
	struct image im;
	uint64_t segment = _i ? 400 : 1 << 20;
	struct wal_options opt = {.segment_bytes = segment};
	wal_close(small_log(&im, segment, 12, 0));
	struct image_file *f = &im.files[im.n - 1];
	uint64_t before = im.n > 1 ? records_before(&im, im.n - 2, im.files[im.n - 2].len) : 1;
	ck_assert(_i == 0 || im.n > 3);

	for (size_t full = f->len; f->len-- > 0;) {
		uint64_t next = records_before(&im, im.n - 1, f->len);
		put_image(&im, dfd, -1);
		expect(dfd, &opt, 1, next ? next : before);
		ck_assert_uint_lt(f->len, full);
		if (f->len == 0)
			break;
	}
	free_image(&im);
}
END_TEST

/* Cut any other segment anywhere: what follows proves a loss, so it refuses, with the prefix
 * served. */
START_TEST(cut_in_the_middle)
{
	struct image im, after;
	struct wal_options opt = {.segment_bytes = 400};
	wal_close(small_log(&im, 400, 12, 0));
	for (int k = 0; k + 1 < im.n; k++) {
		struct image_file *f = &im.files[k];
		uint64_t before = k ? records_before(&im, k - 1, im.files[k - 1].len) : 1;
		size_t full = f->len;
		for (size_t len = 0; len <= full; len++) { /* len == full: the file is missing */
			struct seen s = {0};
			f->len = len == full ? 0 : len;
			put_image(&im, dfd, len == full ? k : -1);
			if (len == full && k == 0)
				continue; /* a log without its front is a trimmed one */
			struct wal *w = open_at(io_posix(), dfd, &opt, &s);
			uint64_t next = records_before(&im, k, f->len);
			ck_assert(status(w).read_only);
			ck_assert_uint_eq(wal_last_lsn(w) + 1, next ? next : before);
			ck_assert_uint_eq(s.next ? s.next : 1, next ? next : before);
			ck_assert_int_eq(append(w, 1), -EROFS);
			ck_assert_ptr_nonnull(strstr(e.text, ".wal'"));
			wal_close(w);
			take_image(&after, dfd);
			ck_assert_int_eq(after.n,
					 len == full ? im.n - 1 : im.n); /* nothing was touched */
			if (len < full)
				ck_assert_uint_eq(after.files[k].len, len);
			free_image(&after);
		}
		f->len = full;
	}
	free_image(&im);
}
END_TEST

/* Flip a bit in every byte of every file: a prefix, and where it is not to be the whole end,
 * refused. */
START_TEST(flip_everywhere)
{
	struct image im;
	uint64_t rng = unit_seed();
	struct wal_options opt = {.segment_bytes = _i ? 400 : 1 << 20};
	struct wal *w = small_log(&im, opt.segment_bytes, 12, 0);
	uint64_t end = wal_last_lsn(w) + 1;
	wal_close(w);
	for (int k = 0; k < im.n; k++) {
		struct image_file *f = &im.files[k];
		for (size_t at = 0; at < f->len; at++) {
			struct seen s = {0};
			char bit = (char)(1 << unit_random(&rng) % 8);
			f->data[at] ^= bit;
			put_image(&im, dfd, -1);
			f->data[at] ^= bit;
			w = open_at(io_posix(), dfd, &opt,
				    &s); /* check_record refuses what was not written */
			uint64_t next = s.next ? s.next : 1;
			ck_assert_uint_lt(next, end);
			uint64_t before = records_before(&im, k, at);
			if (!before && k > 0)
				before = records_before(&im, k - 1, im.files[k - 1].len);
			bool last_batch = k == im.n - 1 && before + 3 >= end;
			if (!status(w).read_only) {
				ck_assert_msg(last_batch, "file %d byte %zu: cut to %llu of %llu",
					      k, at, (unsigned long long)next,
					      (unsigned long long)end);
				append_ok(w, 1);
			}
			wal_close(w);
		}
	}
	free_image(&im);
}
END_TEST

/* An orderly close says that all was synced: then even the last batch can't be taken for torn. */
START_TEST(closing_mark)
{
	struct image im;
	wal_close(small_log(&im, 1 << 20, 5, 1));
	free_image(&im);
	take_image(&im, dfd);
	size_t last = batch_end(&im.files[0], 5) - 1;
	ck_assert_uint_eq(im.files[0].len, last + 1 + 40);
	im.files[0].data[last] ^= 1;
	for (uint64_t boot = 1; boot < 3; boot++) {
		struct wal_options opt = {.boot = boot};
		put_image(&im, dfd, -1);
		struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
		ck_assert(status(w).read_only);
		wal_close(w);
	}
	free_image(&im);
}
END_TEST

/* A power cut lets later pages through without earlier ones. That is no damage, unless it was
 * synced. */
START_TEST(power_cut)
{
	struct wal_options opt = {.segment_bytes = 400, .boot = 1},
			   later = {.segment_bytes = 400, .boot = 2};
	struct image im;
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	for (int i = 0; i < 12; i++) {
		append_ok(w, 1 + i % 3);
		if (i == 3)
			OK(wal_sync(w, UINT64_MAX, &e));
	}
	uint64_t synced = 1 + 2 + 3 + 1;
	take_image(&im, dfd);
	for (int k = 0; k < im.n; k++) {
		struct image_file *f = &im.files[k];
		for (int b = 0; batch_end(f, b) < f->len; b++) {
			struct seen s = {0};
			uint64_t lsn;
			size_t at = batch_end(f, b), end = batch_end(f, b + 1);
			memcpy(&lsn, f->data + at + 16, 8);
			bool last = k == im.n - 1 && end == f->len;
			char *copy = malloc(f->len);
			memcpy(copy, f->data, f->len);
			memset(f->data + at, 0, end - at); /* a page that never came */
			if (b == 0 && k > 0)
				memset(f->data, 0, 80); /* with the header on it */
			for (int boot = 1; boot <= 2; boot++) {
				put_image(&im, dfd, -1);
				s = (struct seen){0};
				struct wal *x =
					open_at(io_posix(), dfd, boot == 1 ? &opt : &later, &s);
				bool refused = !last && (boot == 1 || lsn <= synced);
				ck_assert_msg(status(x).read_only == refused, "%d %d %d: %s", k, b,
					      boot, status(x).reason);
				ck_assert_uint_eq(s.next ? s.next : 1, lsn);
				wal_close(x);
				if (!refused && boot == 2) { /* and it is whole from then on; LSNs
								may have been skipped */
					s = (struct seen){.jump = 0};
					x = open_at(io_posix(), dfd, &later, &s);
					ck_assert_msg(!status(x).read_only, "%s", status(x).reason);
					append_ok(x, 2);
					s = (struct seen){.jump = wal_last_lsn(x) - 1};
					wal_close(x);
					x = open_at(io_posix(), dfd, &later, &s);
					ck_assert_msg(!status(x).read_only, "%s", status(x).reason);
					ck_assert_uint_eq(s.next, wal_last_lsn(x) + 1);
					wal_close(x);
				}
			}
			memcpy(f->data, copy, f->len);
			free(copy);
		}
	}
	wal_close(w);
	free_image(&im);
}
END_TEST

/* Whole batches of this log at another place, or of another log: never taken. */
START_TEST(stale_batches)
{
	struct image im;
	struct wal_options opt = {.segment_bytes = 400};
	wal_close(small_log(&im, 400, 12, 0));
	ck_assert_int_gt(im.n, 3);
	/* The tail of an older segment behind the end of the last one, and a copy of its own front.
	 */
	struct image_file *f = &im.files[im.n - 1];
	uint64_t end = records_before(&im, im.n - 1, f->len);
	for (int from = 0; from < im.n; from++) {
		size_t n = im.files[from].len - 80, old = f->len;
		f->data = realloc(f->data, old + n);
		memcpy(f->data + old, im.files[from].data + 80, n);
		f->len = old + n;
		put_image(&im, dfd, -1);
		f->len = old;
		expect(dfd, &opt, 1, end);
	}
	free_image(&im);
}
END_TEST

/* The same, with the very LSN that is wanted next: only the salt tells. */
START_TEST(stale_batch_with_the_right_lsn)
{
	struct image im, other;
	wal_close(small_log(&other, 1 << 20, 6, 0));
	struct image none = {0};
	put_image(&none, dfd, -1);
	wal_close(small_log(&im, 1 << 20, 6, 0));
	struct image_file *f = &im.files[0], *o = &other.files[0];
	size_t five = batch_end(f, 5), all = batch_end(f, 6);
	ck_assert_uint_eq(batch_end(o, 6), all);
	memcpy(f->data + five, o->data + five, all - five);
	put_image(&im, dfd, -1);
	expect(dfd, &no_thread, 1, records_before(&im, 0, five));
	free_image(&im);
	free_image(&other);
}
END_TEST

/* The search goes through a window of 1 MiB: a batch that begins at its very end is found too. */
START_TEST(search_across_windows)
{
	struct image im;
	char *big = calloc(1, 2 << 20);
	struct wal *w = open_at(io_posix(), dfd, &(struct wal_options){0}, NULL);
	struct wal_record r = {.type = 3, .table_id = 1, .payload = {big, 1}};
	OK(wal_append(w, &r, 1, &e));
	/* 40 head, 1 type, 1 table, 3 length: the next batch begins _i bytes before the window's
	 * end */
	r.payload.len = (1 << 20) + 1 - 45 - (size_t)_i;
	OK(wal_append(w, &r, 1, &e));
	r.payload.len = 1;
	OK(wal_append(w, &r, 1, &e));
	take_image(&im, dfd);
	wal_close(w);
	im.files[0].data[batch_end(&im.files[0], 1) + 100] ^= 1;
	put_image(&im, dfd, -1);
	OK(wal_open(io_posix(), dfd, "wal", &no_thread, NULL, NULL, &w, &e));
	ck_assert(status(w).read_only);
	ck_assert_uint_eq(wal_last_lsn(w), 1);
	wal_close(w);
	free_image(&im);
	free(big);
}
END_TEST

START_TEST(newer_version)
{
	struct image im;
	wal_close(small_log(&im, 1 << 20, 2, 0));
	im.files[0].data[8] = 2;
	uint32_t crc = crc32c(0, im.files[0].data, 76);
	memcpy(im.files[0].data + 76, &crc, 4);
	put_image(&im, dfd, -1);
	struct wal *w;
	ck_assert_int_eq(wal_open(io_posix(), dfd, "wal", &no_thread, NULL, NULL, &w, &e),
			 -EMEDIUMTYPE);
	free_image(&im);
}
END_TEST

START_TEST(read_error_is_not_damage)
{
	struct image im;
	wal_close(small_log(&im, 1 << 20, 5, 0));
	struct wal *w;
	io_fault_add(faulty,
		     &(struct io_rule){
			     .op = "pread", .path = ".wal", .first = 1, .count = 1, .error = EIO});
	ck_assert_int_eq(wal_open(faulty, dfd, "wal", &no_thread, NULL, NULL, &w, &e), -EIO);
	io_fault_clear(faulty);
	expect(dfd, &no_thread, 1, records_before(&im, 0, im.files[0].len));
	free_image(&im);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal_damage");
	TCase *tc = tcase_create("all");

	unit_seed(); /* once, before check forks */
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, cut_everywhere, 0, 2);
	tcase_add_test(tc, cut_in_the_middle);
	tcase_add_loop_test(tc, flip_everywhere, 0, 2);
	tcase_add_test(tc, closing_mark);
	tcase_add_test(tc, power_cut);
	tcase_add_test(tc, stale_batches);
	tcase_add_test(tc, stale_batch_with_the_right_lsn);
	tcase_add_loop_test(tc, search_across_windows, 0, 6);
	tcase_add_test(tc, newer_version);
	tcase_add_test(tc, read_error_is_not_damage);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
