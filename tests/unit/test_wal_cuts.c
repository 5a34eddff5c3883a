/*
 * The log cut at every byte, and with every byte changed: through wal_open(), which is what a mount
 * sees of it. A model of the whole log (where each batch lies, what is in it) says exactly which records
 * must be replayed, and whether the log may go on.
 *
 * TIDE_DAMAGE=full does all of it; otherwise a sample. Damage is a view over the same bytes (view_io.h):
 * nothing is copied, so that a million openings take minutes.
 */
#include <inttypes.h>
#include <malloc.h>

#include "tests/unit/unit.h"
#include "tests/unit/view_io.h"
#include "tests/unit/wal_fixture.h"

#define BOOT 7

struct mbatch {
	int file;
	int64_t off, end;
	uint64_t first, next, synced; /* LSNs; first == next: a mark */
};

struct model {
	struct image im;
	struct mbatch *batches;
	int n;
	struct wal_record *recs; /* recs[lsn - 1] */
	uint64_t next;
	struct view_io vio;
	int subfd;
	/* What the last opening replayed. */
	uint64_t replayed;
	bool is_wrong;
};

static bool is_full(void)
{
	const char *v = getenv("TIDE_DAMAGE");
	return v && strcmp(v, "full") == 0;
}

static uint64_t u64_at(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t u32_at(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* ---- the model ----------------------------------------------------------------------------------------- */

static uint64_t varint_at(const uint8_t **p)
{
	uint64_t v = 0;
	for (int shift = 0;; shift += 7) {
		v |= (uint64_t)(**p & 127) << shift;
		if (!(*(*p)++ & 128))
			return v;
	}
}

/* docs/format-wal.md, read once more, from undamaged bytes. */
static void parse(struct model *m)
{
	int cap = 0;

	m->next = 1;
	for (int f = 0; f < m->im.n; f++) {
		const char *p = m->im.files[f].data;
		for (int64_t at = 80; at < (int64_t)m->im.files[f].len;) {
			if (m->n == cap) {
				cap = cap ? cap * 2 : 1024;
				m->batches = realloc(m->batches, (size_t)cap * sizeof *m->batches);
			}
			struct mbatch *b = &m->batches[m->n++];
			*b = (struct mbatch){.file = f, .off = at, .end = at + u32_at(p + at + 8)};
			b->first = u64_at(p + at + 16);
			b->next = b->first + u32_at(p + at + 32);
			b->synced = u64_at(p + at + 24);
			ck_assert_uint_eq(b->first, m->next);
			m->recs = realloc(m->recs, (size_t)b->next * sizeof *m->recs);
			const uint8_t *q = (const uint8_t *)p + at + 40;
			for (; m->next < b->next; m->next++) {
				struct wal_record *r = &m->recs[m->next - 1];
				*r = (struct wal_record){.type = *q++};
				r->table_id = (uint32_t)varint_at(&q);
				r->payload.len = varint_at(&q);
				r->payload.ptr = (const char *)q;
				q += r->payload.len;
			}
			at = b->end;
		}
	}
}

static int check_replayed(void *ctx, const struct wal_record *r, struct err *err)
{
	struct model *m = ctx;

	(void)err;
	/* Past the model's end: what a test appended. */
	if (r->lsn < m->next) {
		const struct wal_record *want = &m->recs[r->lsn - 1];
		m->is_wrong |= r->table_id != want->table_id || r->type != want->type ||
			       !str_eq(r->payload, want->payload);
	}
	m->is_wrong |= r->lsn != m->replayed + 1;
	m->replayed = r->lsn;
	return 0;
}

static struct wal *model_open(struct model *m, const struct wal_options *opt)
{
	struct wal *w = NULL;

	m->replayed = 0;
	m->is_wrong = false;
	int rc = wal_open(&m->vio.io, dfd, "wal", opt, check_replayed, m, &w, &e);
	ck_assert_msg(rc == 0, "%d %s", rc, e.text);
	return w;
}

/* A log of about `bytes`, as kill -9 leaves it, or (sync_every) with marks in it. */
static void model_init(struct model *m, int64_t bytes, uint64_t segment_bytes, int sync_every)
{
	struct wal_options opt = {.segment_bytes = segment_bytes, .boot = BOOT};
	struct wal *w = open_at(io_posix(), dfd, &opt, NULL);
	int k = 0;

	*m = (struct model){0};
	for (; (int64_t)status(w).bytes < bytes; k++) {
		append_ok(w, 1 + k % 4);
		if (sync_every && k % sync_every == 0)
			OK(wal_sync(w, UINT64_MAX, &e));
	}
	take_image(&m->im, dfd);
	wal_close(w);
	struct image none = {0};
	put_image(&none, dfd, -1);
	parse(m);
	m->subfd = openat(dfd, "wal", O_RDONLY | O_DIRECTORY);
	view_io_init(&m->vio, m->subfd);
	for (int f = 0; f < m->im.n; f++)
		view_io_add(&m->vio, m->im.files[f].name, m->im.files[f].data, (int64_t)m->im.files[f].len);
	/* A window of a mebibyte per opening is not given back to the system each time. */
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
}

static void model_release(struct model *m)
{
	view_io_release(&m->vio);
	close(m->subfd);
	free(m->batches);
	free(m->recs);
	free_image(&m->im);
}

static void show_all(struct model *m)
{
	view_io_drop_made(&m->vio);
	for (int f = 0; f < m->im.n; f++)
		view_io_set(&m->vio, f, (int64_t)m->im.files[f].len, -1, 0);
}

/* Of all batches, the first that does not lie whole before (file, len). */
static int batch_at(const struct model *m, int file, int64_t len)
{
	int lo = 0, hi = m->n;

	while (lo < hi) {
		int mid = (lo + hi) / 2;
		const struct mbatch *b = &m->batches[mid];
		if (b->file < file || (b->file == file && b->end <= len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint64_t next_before(const struct model *m, int batch)
{
	return batch ? m->batches[batch - 1].next : 1;
}

/* It was replayed up to `next` and goes on from there; what it takes is there when it is opened again. */
static void goes_on(struct model *m, const struct wal_options *opt, uint64_t next, bool reopen, const char *what,
		    int64_t at)
{
	struct wal *w = model_open(m, opt);

	ck_assert_msg(!m->is_wrong && m->replayed + 1 == next, "%s at %lld: replayed up to %" PRIu64 ", should be %" PRIu64,
		      what, (long long)at, m->replayed, next - 1);
	ck_assert_msg(!status(w).read_only, "%s at %lld: %s", what, (long long)at, status(w).reason);
	ck_assert_uint_eq(wal_last_lsn(w) + 1, next);
	append_ok(w, 1);
	append_ok(w, 2);
	wal_close(w);
	if (!reopen)
		return;
	uint64_t end = m->next;
	m->next = next; /* what follows is new */
	w = model_open(m, opt);
	ck_assert_msg(!m->is_wrong && m->replayed == next + 2 && !status(w).read_only,
		      "%s at %lld: opened again, %" PRIu64 " and not %" PRIu64 " are there; %s", what, (long long)at, m->replayed,
		      next + 2, status(w).reason);
	m->next = end;
	wal_close(w);
}

/* It was replayed up to `next`, takes nothing, says where it is damaged, and touched no file. */
static void stops(struct model *m, const struct wal_options *opt, uint64_t next, int file, const char *what, int64_t at)
{
	struct wal *w = model_open(m, opt);

	ck_assert_msg(!m->is_wrong && m->replayed + 1 == next, "%s at %lld: replayed up to %" PRIu64 ", should be %" PRIu64,
		      what, (long long)at, m->replayed, next - 1);
	ck_assert_msg(status(w).read_only, "%s at %lld: goes on over a hole", what, (long long)at);
	ck_assert_int_eq(append(w, 1), -EROFS);
	ck_assert_msg(strstr(e.text, m->im.files[file].name) && strstr(e.text, " at byte "), "%s at %lld: %s", what,
		      (long long)at, e.text);
	wal_close(w);
	ck_assert_msg(!view_io_changed(&m->vio), "%s at %lld: a file was touched", what, (long long)at);
}

static void say(const char *what, uint64_t n, int64_t since)
{
	printf("%s: %" PRIu64 " in %.1f s\n", what, n, (double)(clock_mono_ns() - since) / 1e9);
	fflush(stdout);
}

/* ---- cuts ---------------------------------------------------------------------------------------------- */

#define LOG_BYTES (1 << 20)

/* Is this cut in the sample? All near the borders of batches, and some of the others. */
static bool is_sampled(const struct mbatch *b, int64_t at, uint64_t *dice)
{
	return is_full() || unit_random(dice) % (at - b->off < 3 || b->end - at < 3 ? 12 : 1024) == 0;
}

/*
 * The last of a log of a mebibyte is lost from byte `at` on. _i: one segment, opened in the same boot; the
 * same after a reboot; eight segments, of which those behind the cut are gone, too.
 */
START_TEST(cut_at_every_byte)
{
	struct model m;
	uint64_t dice = unit_seed(), n = 0;
	struct wal_options opt = {.segment_bytes = _i == 2 ? LOG_BYTES / 8 : 4 << 20, .boot = _i == 1 ? BOOT + 1 : BOOT};
	int64_t t0 = clock_mono_ns();

	model_init(&m, LOG_BYTES, opt.segment_bytes, 0);
	ck_assert(_i == 2 ? m.im.n >= 8 : m.im.n == 1);
	show_all(&m);
	for (int f = m.im.n; f-- > 0;) {
		int64_t len = (int64_t)m.im.files[f].len;
		int k = batch_at(&m, f, len) - 1;
		for (int64_t at = len; at >= 0; at--) {
			/* An empty file that a crash left, and none at all. */
			if (at == 0 && f == 0)
				break;
			while (k >= 0 && m.batches[k].file == f && m.batches[k].off >= at)
				k--;
			if (at != len && at > 80 && !is_sampled(&m.batches[MAX(k, 0)], at, &dice))
				continue;
			view_io_drop_made(&m.vio);
			view_io_set(&m.vio, f, at, -1, 0);
			if (f + 1 < m.im.n) /* it may have been made again under its old name */
				view_io_set(&m.vio, f + 1, -1, -1, 0);
			goes_on(&m, &opt, next_before(&m, batch_at(&m, f, at)), n % 64 == 0, "cut", (long long)at);
			n++;
		}
		view_io_drop_made(&m.vio);
		view_io_set(&m.vio, f, -1, -1, 0);
	}
	say(_i == 0 ? "cuts of 1 MiB" : _i == 1 ? "cuts of 1 MiB after a reboot" : "cuts of 1 MiB in 8 segments", n, t0);
	model_release(&m);
}
END_TEST

/* The end of a segment in the middle is lost: what follows proves it. */
START_TEST(cut_in_the_middle)
{
	struct model m;
	uint64_t n = 0;
	struct wal_options opt = {.segment_bytes = 8 << 10, .boot = BOOT};
	int64_t t0 = clock_mono_ns(), step = is_full() ? 1 : 7;

	model_init(&m, 64 << 10, opt.segment_bytes, 0);
	ck_assert_int_gt(m.im.n, 6);
	for (int f = 0; f + 1 < m.im.n; f++) {
		for (int64_t at = 0; at < (int64_t)m.im.files[f].len; at += step, n++) {
			show_all(&m);
			view_io_set(&m.vio, f, at, -1, 0);
			uint64_t next = next_before(&m, batch_at(&m, f, at));
			/* Where it ends with a batch, there is no damage but a gap. */
			struct wal *w = model_open(&m, &opt);
			ck_assert_msg(!m.is_wrong && m.replayed + 1 == next && status(w).read_only, "file %d cut at %lld: %s", f,
				      (long long)at, status(w).reason);
			ck_assert_int_eq(append(w, 1), -EROFS);
			ck_assert_msg(strstr(e.text, ".wal'"), "%s", e.text);
			wal_close(w);
			ck_assert(!view_io_changed(&m.vio));
		}
	}
	say("cuts in the middle of 64 KiB", n, t0);
	model_release(&m);
}
END_TEST

/* ---- flips --------------------------------------------------------------------------------------------- */

#define FLIP_BYTES (64 << 10)

/* What a power cut explains: nothing valid behind batch k says that record x was on stable storage. */
static bool is_explained(const struct model *m, int k, int file, uint64_t x)
{
	uint64_t most = 0;

	while (++k < m->n)
		most = MAX(most, m->batches[k].synced);
	while (++file < m->im.n)
		most = MAX(most, u64_at(m->im.files[file].data + 64));
	return most < x;
}

static void flip_one(struct model *m, const struct wal_options *opt, int f, int64_t at, uint8_t bits, bool reopen)
{
	bool header = at < 80;
	int k = batch_at(m, f, at); /* the batch that is hit, or the first behind the header */
	const struct mbatch *hit = header ? NULL : &m->batches[k];
	uint64_t next = next_before(m, k);

	show_all(m);
	view_io_set(&m->vio, f, (int64_t)m->im.files[f].len, at, bits);
	if (hit && hit->first == hit->next) {
		goes_on(m, opt, m->next, reopen, "flip in a mark", at);
		return;
	}
	/* A damaged header of a segment without batches: nothing of it is missed. */
	bool follows = f + 1 < m->im.n || (header ? k < m->n && m->batches[k].file == f : k + 1 < m->n);
	/* Behind a header that is lost nobody knows which boot it was: it counts as this one. */
	bool power_cut = opt->boot != BOOT && !header && is_explained(m, k, f, next);
	if (follows && !power_cut)
		stops(m, opt, next, f, "flip", at);
	else
		goes_on(m, opt, next, reopen, "flip", at);
}

/* _i: one segment; eight; eight with marks of syncs; these after a reboot; one after a reboot. */
START_TEST(flip_every_byte)
{
	static const char *const names[] = {"flips of 64 KiB", "flips of 64 KiB in 8 segments", "flips among marks",
					    "flips among marks after a reboot", "flips after a reboot"};
	struct model m;
	uint64_t dice = unit_seed() + (uint64_t)_i, n = 0;
	struct wal_options opt = {.segment_bytes = _i == 0 || _i == 4 ? 4 << 20 : FLIP_BYTES / 8,
				  .boot = _i >= 3 ? BOOT + 1 : BOOT};
	int64_t t0 = clock_mono_ns();

	model_init(&m, FLIP_BYTES, opt.segment_bytes, _i == 2 || _i == 3 ? 9 : 0);
	for (int f = 0; f < m.im.n; f++) {
		for (int64_t at = 0; at < (int64_t)m.im.files[f].len; at++) {
			if (!is_full() && _i > 0 && at > 80 && unit_random(&dice) % 8)
				continue;
			/* All bits, each alone, and some patterns; or one of these. */
			for (int bit = 0; bit < (is_full() ? 12 : 1); bit++, n++) {
				uint8_t bits = is_full() && bit < 8 ? (uint8_t)(1 << bit)
								    : (uint8_t)(1 + unit_random(&dice) % 255);
				flip_one(&m, &opt, f, at, bits, n % 64 == 0);
			}
		}
	}
	say(names[_i], n, t0);
	model_release(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal_cuts");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 7200);
	tcase_add_loop_test(tc, cut_at_every_byte, 0, 3);
	tcase_add_test(tc, cut_in_the_middle);
	tcase_add_loop_test(tc, flip_every_byte, 0, 5);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
