/*
 * The log on a disk whose syncs fail: each one in turn, once, a few times, or until the disk is healed; with
 * a disk that is full meanwhile, or not. Promised is: what wal_sync() said is safe survives a power cut
 * (and what Linux makes of a failed fsync), what wal_append() took survives kill -9, nothing comes back
 * that was refused; while nothing is taken the status says why; and when the disk works again so does the log.
 */
#include <inttypes.h>

#include "tests/unit/power_io.h"
#include "tests/unit/wal_fixture.h"

#define STEPS 60

struct life {
	struct power_io p;
	int subfd;
	struct wal *w;
	struct seen seen;
	uint64_t boot;
	uint64_t acked;    /* last LSN that was taken */
	uint64_t promised; /* last LSN that was said to be safe */
	uint64_t trimmed;
	uint64_t skipped_to; /* the first LSN behind numbers that were skipped */
	const char *what;
	int refusals;
	char scenario[160];
};

#define CHECK(l, cond, fmt, ...)                                                                                        \
	ck_assert_msg(cond, "%s; " fmt "; replay with TIDE_SEED=%llu", (l)->scenario, __VA_ARGS__,                     \
		      (unsigned long long)unit_seed())

static void life_open(struct life *l)
{
	struct wal_options opt = {.segment_bytes = 1500, .boot = l->boot};
	struct err why = {0};

	l->seen = (struct seen){0};
	int rc = wal_open(&l->p.io, dfd, "wal", &opt, check_record, &l->seen, &l->w, &why);
	CHECK(l, rc == 0, "open: %d %s", rc, why.text);
}

static void append_some(struct life *l, int n)
{
	uint64_t before = wal_last_lsn(l->w);
	int rc = append(l->w, n);
	struct wal_status st = status(l->w);

	if (rc == 0) {
		l->acked = wal_last_lsn(l->w);
		CHECK(l, l->acked == before + (uint64_t)n, "%" PRIu64, l->acked);
		return;
	}
	l->refusals++;
	CHECK(l, l->p.failed, "refused without a reason: %d %s", rc, e.text);
	CHECK(l, rc == -EROFS || rc == -ENOSPC || rc == -EIO, "append: %d %s", rc, e.text);
	/* Full is said by the error alone: nothing is wrong with the log. */
	CHECK(l, rc == -ENOSPC || (st.read_only && st.reason[0]), "append: %d %s; status: %s", rc, e.text, st.reason);
	CHECK(l, wal_last_lsn(l->w) == before, "%" PRIu64, before);
}

static void sync_all(struct life *l)
{
	uint64_t last = wal_last_lsn(l->w);
	int rc = wal_sync(l->w, last, &e);
	struct wal_status st = status(l->w);

	if (rc == 0) {
		l->promised = last;
		CHECK(l, st.durable_lsn >= last, "durable %" PRIu64 " of %" PRIu64, st.durable_lsn, last);
		return;
	}
	CHECK(l, l->p.failed, "sync: %d %s", rc, e.text);
	CHECK(l, rc == -EIO && st.read_only && strstr(st.reason, "sync"), "sync: %d %s; status: %s", rc, e.text, st.reason);
	CHECK(l, st.durable_lsn <= l->acked && st.durable_lsn < last, "durable %" PRIu64, st.durable_lsn);
}

static void one_step(struct life *l, int i)
{
	append_some(l, 1 + i % 3);
	if (i % 4 == 3)
		sync_all(l);
	if (i % 13 == 12) {
		uint64_t upto = l->promised > 12 ? l->promised - 12 : 0;
		int rc = wal_trim(l->w, upto, &e);
		l->trimmed = MAX(l->trimmed, upto); /* a part of it, where it failed */
		CHECK(l, rc == 0 || l->p.failed, "trim: %s", e.text);
	}
}

/* Opened again: at least up to `least`, at most what was taken; and it goes on. */
static void life_check(struct life *l, uint64_t least, const char *how)
{
	life_open(l);
	CHECK(l, !status(l->w).read_only, "%s: %s", how, status(l->w).reason);
	uint64_t next = l->seen.next ? l->seen.next : l->trimmed + 1;
	CHECK(l, !l->seen.next || l->seen.first <= l->trimmed + 1, "%s: begins at %" PRIu64 ", trimmed up to %" PRIu64, how,
	      l->seen.first, l->trimmed);
	CHECK(l, next > least, "%s: ends at %" PRIu64 ", %" PRIu64 " was safe", how, next - 1, least);
	CHECK(l, next <= l->acked + 1, "%s: %" PRIu64 " came back, %" PRIu64 " was taken", how, next - 1, l->acked);
	l->acked = wal_last_lsn(l->w);
	append_some(l, 2);
	sync_all(l);
	CHECK(l, l->promised == l->acked, "%s: does not go on", how);
	wal_close(l->w);
}

static void life_init(struct life *l, uint64_t seed)
{
	*l = (struct life){.boot = 1};
	mkdirat(dfd, "wal", 0700);
	l->subfd = openat(dfd, "wal", O_RDONLY | O_DIRECTORY);
	power_init(&l->p, l->subfd, seed);
}

static void life_release(struct life *l)
{
	power_release(&l->p);
	close(l->subfd);
}

/*
 * Syncs from number k on fail, n of them (0: until step STEPS - 15, when the disk is healed); full: calls that need room
 * fail as well, three from the first failure on, and room comes back by itself. end: the step at which it ends.
 */
static int one_life(uint64_t seed, int k, int n, bool full, int end, bool cut)
{
	struct life l;

	life_init(&l, seed);
	snprintf(l.scenario, sizeof l.scenario, "sync %d fails %d times%s, %s at step %d, dice %llu", k, n,
		 full ? ", full" : "", cut ? "power cut" : "killed", end, (unsigned long long)seed);
	l.p.fail_from = k;
	l.p.fail_to = n ? k + n : 1 << 30;
	life_open(&l);
	int syncs = 0;
	for (int i = 0; i < end; i++) {
		if (i == STEPS - 15)
			power_heal(&l.p);
		one_step(&l, i);
		if (full && l.p.failed && !l.p.full_to && l.p.fail_to) {
			l.p.full_from = l.p.grows;
			l.p.full_to = l.p.grows + 3;
		}
	}
	if (end == STEPS) { /* healed by now: it must be well again */
		sync_all(&l);
		append_some(&l, 3);
		sync_all(&l);
		CHECK(&l, l.promised == wal_last_lsn(l.w) && l.promised == l.acked && !status(l.w).read_only,
		      "healed, %" PRIu64 " of %" PRIu64 " safe; %s", l.promised, l.acked, status(l.w).reason);
	}
	syncs = l.p.syncs;
	/* Killed: nobody closes the log in order. What it has in memory is the kernel's to lose. */
	struct wal *dead = l.w;
	struct power_io *p = &l.p;
	struct power_file *frozen = malloc(sizeof *frozen * POWER_FILES);
	memcpy(frozen, p->files, sizeof *frozen * POWER_FILES);
	int frozen_n = p->n;
	power_heal(p);
	wal_close(dead); /* only to free it: then everything is as it was */
	for (int i = 0; i < p->n; i++) {
		struct power_file *f = &p->files[i];
		bool is_listed = f->is_listed;
		if (i < frozen_n)
			*f = frozen[i];
		else
			f->exists = f->on_disk = false;
		f->is_listed = is_listed;
		power_list(p, f);
	}
	free(frozen);
	if (cut) {
		power_cut(p);
		l.boot++;
		life_check(&l, l.promised, "after the power cut");
	} else {
		life_check(&l, l.acked, "after the kill");
	}
	life_release(&l);
	return syncs;
}

START_TEST(every_sync_fails)
{
	static const int times[] = {1, 2, 3, 8, 0};
	uint64_t seed = unit_seed(), n = 0;
	int64_t t0 = clock_mono_ns();
	int total = one_life(seed, 1 << 29, 1, false, STEPS, false);
	const char *env = getenv("TIDE_DAMAGE");
	int rounds = env && strcmp(env, "full") == 0 ? 20 : 1;

	ck_assert_int_gt(total, 25);
	for (int round = 0; round < rounds; round++)
		for (int k = 0; k < total; k++)
			for (size_t t = 0; t < ARRAY_LEN(times); t++)
				for (int flags = 0; flags < 4; flags++, n += 2) {
					int end = 1 + (int)(unit_random(&seed) % STEPS);
					one_life(seed, k, times[t], flags & 1, STEPS, flags & 2);
					one_life(seed, k, times[t], flags & 1, end, flags & 2);
				}
	printf("%d syncs, each failing: %" PRIu64 " lives in %.1f s\n", total, n, (double)(clock_mono_ns() - t0) / 1e9);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal_sync");
	TCase *tc = tcase_create("all");

	unit_in_memory();
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 2000);
	tcase_add_test(tc, every_sync_fails);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
