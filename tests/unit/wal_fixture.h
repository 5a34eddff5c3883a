/*
 * wal_fixture: what the log's tests share: records that follow from their number, and the files of a
 * log as bytes.
 */
#ifndef TIDE_WAL_FIXTURE_H
#define TIDE_WAL_FIXTURE_H

#include <check.h>
#include <dirent.h>

#include "engine/wal.h"
#include "tests/unit/unit.h"

static __attribute__((unused)) char dir[64];
static __attribute__((unused)) int dfd;
static __attribute__((unused)) struct err e;
static __attribute__((unused)) struct io *faulty;

static __attribute__((unused)) void setup(void)
{
	dfd = unit_dir(dir);
	faulty = io_fault_create();
}

static __attribute__((unused)) void teardown(void)
{
	io_fault_destroy(faulty);
	unit_dir_remove(dfd, dir);
}

/* ---- records that follow from their number
 * ------------------------------------------------------- */

static __attribute__((unused)) char text[1 << 16];

static __attribute__((unused)) struct wal_record record(uint64_t n)
{
	uint64_t rng = n;
	size_t len = unit_random(&rng) % (n % 16 == 0 ? 3000 : 40);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)unit_random(&rng);
	return (struct wal_record){
		.table_id = (uint32_t)(unit_random(&rng) >> (n % 33 + 31)),
		.type = (uint8_t)(1 + n % 3),
		.payload = {text, len},
	};
}

struct seen {
	uint64_t first, next; /* LSNs replayed: [first, next) */
	uint64_t jump;        /* from here on numbers were skipped */
};

static __attribute__((unused)) int check_record(void *ctx, const struct wal_record *r, struct err *err)
{
	struct seen *s = ctx;
	struct wal_record want = record(r->lsn);

	if (!s->next)
		s->first = s->next = r->lsn;
	if (r->lsn != s->next && r->lsn == s->jump)
		s->next = r->lsn;
	if (r->lsn != s->next)
		return err_set(err, -EDOM, "replayed %llu, not %llu", (unsigned long long)r->lsn,
			       (unsigned long long)s->next);
	if (r->table_id != want.table_id || r->type != want.type ||
	    !str_eq(r->payload, want.payload))
		return err_set(err, -EDOM, "record %llu is not what was written",
			       (unsigned long long)r->lsn);
	s->next++;
	return 0;
}

static __attribute__((unused)) const struct wal_options no_thread = {.segment_bytes = 1 << 20};

static __attribute__((unused)) struct wal *open_at(const struct io *io, int fd, const struct wal_options *opt,
			   struct seen *s)
{
	struct seen local = {0};
	struct wal *w = NULL;

	if (!s)
		s = &local;
	int rc = wal_open(io, fd, "wal", opt, check_record, s, &w, &e);
	ck_assert_msg(rc == 0, "%d %s", rc, e.text);
	return w;
}

static __attribute__((unused)) int append(struct wal *w, int n)
{
	struct wal_record recs[16];
	static char copies[16][4096];
	uint64_t first = wal_last_lsn(w) + 1;

	for (int i = 0; i < n; i++) {
		recs[i] = record(first + (uint64_t)i);
		memcpy(copies[i], text, recs[i].payload.len);
		recs[i].payload.ptr = copies[i];
	}
	int rc = wal_append(w, recs, n, &e);
	for (int i = 0; rc == 0 && i < n; i++)
		ck_assert_uint_eq(recs[i].lsn, first + (uint64_t)i);
	return rc;
}

#define OK(call)                                               \
	do {                                                   \
		int rc_ = (call);                              \
		ck_assert_msg(rc_ == 0, "%d %s", rc_, e.text); \
	} while (0)

static __attribute__((unused)) void append_ok(struct wal *w, int n)
{
	OK(append(w, n));
}

static __attribute__((unused)) struct wal_status status(struct wal *w)
{
	struct wal_status s;
	wal_status(w, &s);
	return s;
}

static __attribute__((unused)) uint64_t bytes_on_disk(int fd)
{
	int sub = openat(fd, "wal", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(sub);
	struct dirent *de;
	struct stat st;
	uint64_t sum = 0;

	while ((de = readdir(d)))
		if (de->d_name[0] != '.' && fstatat(sub, de->d_name, &st, 0) == 0)
			sum += (uint64_t)st.st_size;
	closedir(d);
	return sum;
}

/* Open, see [first, next), and that it takes a record and gives it back. */
static __attribute__((unused)) void expect(int fd, const struct wal_options *opt, uint64_t first, uint64_t next)
{
	for (int i = 0; i < 2; i++) {
		struct seen s = {0};
		struct wal *w = open_at(io_posix(), fd, opt, &s);
		ck_assert_msg(!status(w).read_only, "%s", status(w).reason);
		ck_assert_uint_eq(status(w).bytes, bytes_on_disk(fd)); /* no torn tail is left */
		if (next > first || i) {
			ck_assert_uint_eq(s.first, first);
			ck_assert_uint_eq(s.next, next + (uint64_t)i);
		} else {
			ck_assert_uint_eq(s.next, 0);
		}
		if (i == 0)
			append_ok(w, 1);
		wal_close(w);
	}
}

/* ---- files of a log as bytes
 * ------------------------------------------------------------------------ */

struct image {
	int n;
	struct image_file {
		char name[64];
		size_t len;
		char *data;
	} files[64];
};

static __attribute__((unused)) int image_order(const void *a, const void *b)
{
	return strcmp(strrchr(((const struct image_file *)a)->name, '-'),
		      strrchr(((const struct image_file *)b)->name, '-'));
}

static __attribute__((unused)) void take_image(struct image *im, int fd)
{
	int sub = openat(fd, "wal", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(sub);
	struct dirent *de;

	im->n = 0;
	while ((de = readdir(d))) {
		struct stat st;
		if (de->d_name[0] == '.')
			continue;
		struct image_file *f = &im->files[im->n++];
		ck_assert_int_lt(im->n, 64);
		snprintf(f->name, sizeof f->name, "%.60s", de->d_name);
		int file = openat(sub, f->name, O_RDONLY);
		fstat(file, &st);
		f->len = (size_t)st.st_size;
		f->data = malloc(f->len + 1);
		ck_assert_int_eq(read(file, f->data, f->len), (ssize_t)f->len);
		close(file);
	}
	closedir(d);
	qsort(im->files, (size_t)im->n, sizeof im->files[0], image_order);
}

/* Into an empty log directory; skip: a file left out, or -1. */
static __attribute__((unused)) void put_image(const struct image *im, int fd, int skip)
{
	mkdirat(fd, "wal", 0700);
	int sub = openat(fd, "wal", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(sub);
	struct dirent *de;

	while ((de = readdir(d)))
		if (de->d_name[0] != '.')
			unlinkat(sub, de->d_name, 0);
	for (int i = 0; i < im->n; i++) {
		if (i == skip)
			continue;
		int file = openat(sub, im->files[i].name, O_WRONLY | O_CREAT, 0600);
		ck_assert_int_eq(write(file, im->files[i].data, im->files[i].len),
				 (ssize_t)im->files[i].len);
		close(file);
	}
	closedir(d);
}

static __attribute__((unused)) void free_image(struct image *im)
{
	for (int i = 0; i < im->n; i++)
		free(im->files[i].data);
}

/* Offset behind the k-th batch (0: the header). */
static __attribute__((unused)) size_t batch_end(const struct image_file *f, int k)
{
	size_t at = 80;
	while (k-- > 0) {
		uint32_t n;
		memcpy(&n, f->data + at + 8, 4);
		at += n;
	}
	return at;
}

#endif
