/*
 * When does expiry believe the clock? Wall time, time since boot and the boot's id are all made up
 * here; the database is a real one that is closed and opened again.
 */
#include "engine/internal.h"
#include "engine/scan.h"
#include "tests/unit/unit.h"

#define NOW   INT64_C(1753000000000000000) /* 2025-07-20 */
#define HOUR  (3600 * NS_PER_S)
#define DAY   NS_PER_DAY

struct world {
	char dir[64];
	int dirfd;
	struct engine *en;
	struct db *db;
	struct table *t;
	int64_t wall, boot_ns;
	uint64_t boot;
};

static void pin(const struct world *w)
{
	clock_pin(w->wall);
	clock_pin_boot(w->boot_ns);
}

static void up(struct world *w)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1, .boot = w->boot};
	struct err e = {0};

	pin(w);
	int rc = engine_open(w->dir, &opt, &w->en, &e);
	ck_assert_msg(rc >= 0, "%s", err_text(&e, rc));
	w->db = engine_db(w->en, STR_LIT("d"));
	if (!w->db)
		ck_assert_int_ge(engine_db_create(w->en, STR_LIT("d"), &w->db, &e), 0);
	w->t = db_table(w->db, STR_LIT("t"));
	if (!w->t) {
		ck_assert_int_ge(db_table_create(w->db, STR_LIT("t"), &w->t, &e), 0);
		ck_assert_int_ge(table_set(w->t, SET_RETENTION_MEMORY, STR_LIT("1d"), &e), 0);
		ck_assert_int_ge(table_set(w->t, SET_RETENTION_MAGNETIC, STR_LIT("29d"), &e), 0);
	}
}

static void down(struct world *w)
{
	pin(w);
	table_put(w->t);
	db_put(w->db);
	engine_close(w->en);
	w->en = NULL;
}

/* An hour after boot, in an empty directory. */
static void begin(struct world *w)
{
	*w = (struct world){.wall = NOW, .boot_ns = HOUR, .boot = 7};
	w->dirfd = unit_dir(w->dir);
	up(w);
}

static void end(struct world *w)
{
	if (w->en)
		down(w);
	clock_pin(0);
	clock_pin_boot(0);
	unit_dir_remove(w->dirfd, w->dir);
}

static void pass(struct world *w, int64_t ns)
{
	w->wall += ns;
	w->boot_ns += ns;
	pin(w);
}

/* Off for a while, on again: another boot, whose clock says what it says. */
static void reboot(struct world *w, int64_t wall)
{
	down(w);
	w->boot++;
	w->boot_ns = HOUR;
	w->wall = wall;
	up(w);
}

static void put(struct world *w, int64_t time)
{
	struct series_set *set = table_series(w->t);
	struct batch b;
	struct err e = {0};
	int64_t col = series_add_column(set, STR_LIT("v"), COLKIND_MEASURE, COL_BIGINT, &e);
	ck_assert_int_ge(col, 0);
	int64_t id = series_intern(set, STR_LIT("m"), MEASURE_MULTI, NULL, 0, &e);
	ck_assert_int_ge(id, 0);
	batch_init(&b);
	ck_assert_int_ge(batch_reserve(&b), 0);
	int c = batch_col(&b, (uint32_t)col, COL_BIGINT);
	ck_assert_int_ge(c, 0);
	b.series[0] = (uint32_t)id;
	b.time_ns[0] = time;
	b.cols[c].col.i64[0] = 1;
	b.cols[c].col.valid[0] = 1;
	b.cols[c].has_values = true;
	b.n = 1;
	ck_assert_int_ge(db_append(w->db, &(struct table_batch){.table = w->t, .batch = &b}, 1, &e), 0);
	batch_release(&b);
}

static uint64_t rows(struct world *w)
{
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .times_wanted = true};
	struct scan *s;
	struct scan_batch b;
	struct err e = {0};
	uint64_t n = 0;

	ck_assert_int_ge(scan_open(w->t, &spec, NULL, &s, &e), 0);
	while (scan_next(s, &b, &e) > 0)
		n += b.n;
	scan_close(s);
	return n;
}

/* A round of maintenance; is expiry paused, and does status say so and how to go on? */
static bool paused(struct world *w)
{
	struct err e = {0};
	struct db_status st;

	pin(w);
	ck_assert_int_ge(engine_maintain(w->en, &e), 0);
	db_status(w->db, &st);
	if (st.clock_note[0]) {
		ck_assert_ptr_nonnull(strstr(st.clock_note, "expiry is paused"));
		ck_assert_ptr_nonnull(strstr(st.clock_note, "retention"));
	}
	ck_assert_int_eq(st.clock_note[0] != 0, db_clock_doubtful(w->db));
	return st.clock_note[0] != 0;
}

START_TEST(a_clock_that_runs_is_believed)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 20 * DAY);
	for (int i = 0; i < 15; i++) {
		pass(&w, DAY);
		ck_assert(!paused(&w));
	}
	ck_assert_uint_eq(rows(&w), 0); /* expired on its day */
	end(&w);
}
END_TEST

START_TEST(a_jump_while_it_runs)
{
	struct world w;

	for (int64_t sign = -1; sign <= 1; sign += 2) {
		begin(&w);
		put(&w, NOW - 29 * DAY);
		ck_assert(!paused(&w));
		w.wall += sign * 50 * 60 * NS_PER_S;
		ck_assert(!paused(&w)); /* less than an hour */
		w.wall += sign * 3 * DAY;
		ck_assert(paused(&w));
		ck_assert_uint_eq(rows(&w), 1);
		pass(&w, 5 * HOUR);
		ck_assert(paused(&w));
		w.wall -= sign * 3 * DAY;
		ck_assert(!paused(&w)); /* put right */
		end(&w);
	}
}
END_TEST

START_TEST(a_restart_in_the_same_boot_compares_exactly)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 29 * DAY);
	ck_assert(!paused(&w));
	down(&w);
	pass(&w, 20 * HOUR);
	up(&w);
	ck_assert(!paused(&w));
	down(&w);
	w.wall += 2 * DAY; /* while nobody looked */
	up(&w);
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	down(&w);
	up(&w); /* starting again does not make it right */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	end(&w);
}
END_TEST

START_TEST(behind_after_a_boot_until_it_is_set)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 29 * DAY);
	reboot(&w, INT64_C(1000) * DAY); /* no battery: 1972 */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	w.wall = NOW + HOUR;
	ck_assert(!paused(&w)); /* the network told it, nobody needs to */
	ck_assert_uint_eq(rows(&w), 1);
	end(&w);
}
END_TEST

START_TEST(ahead_after_a_boot)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 29 * DAY);
	reboot(&w, NOW + 6 * DAY); /* it was off for less than a week */
	ck_assert(!paused(&w));
	ck_assert_uint_eq(rows(&w), 0);
	put(&w, w.wall - 25 * DAY);
	reboot(&w, w.wall + 4 * DAY);
	ck_assert(!paused(&w));
	reboot(&w, w.wall + 8 * DAY); /* for more, and the row would go */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	reboot(&w, w.wall + HOUR); /* a restart is no confirmation */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	end(&w);
}
END_TEST

START_TEST(ahead_and_nothing_to_lose)
{
	struct world w;

	begin(&w);
	put(&w, NOW);
	reboot(&w, NOW + 20 * DAY);
	ck_assert(!paused(&w));
	put(&w, NOW + 20 * DAY);
	ck_assert(!paused(&w)); /* and from then on this is the time */
	ck_assert_uint_eq(rows(&w), 2);
	reboot(&w, NOW + 400 * DAY);
	ck_assert(paused(&w));
	end(&w);
}
END_TEST

START_TEST(what_was_due_already_is_no_reason_to_ask)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 29 * DAY);
	pass(&w, 2 * DAY);
	down(&w); /* the row is due, and no round of maintenance has looked since */
	w.boot++;
	w.boot_ns = HOUR;
	w.wall += 30 * DAY;
	up(&w);
	ck_assert(!paused(&w));
	ck_assert_uint_eq(rows(&w), 0);
	end(&w);
}
END_TEST

START_TEST(a_person_confirms_and_it_is_kept)
{
	struct world w;
	struct err e = {0};

	begin(&w);
	put(&w, NOW - 29 * DAY);
	reboot(&w, NOW + 300 * DAY);
	ck_assert(paused(&w));
	ck_assert_int_eq(table_set(w.t, SET_RETENTION_MAGNETIC, STR_LIT("soon"), &e), -EINVAL);
	ck_assert(paused(&w)); /* what was refused confirms nothing */
	ck_assert_int_ge(table_set(w.t, SET_DURABILITY, STR_LIT("sync"), &e), 0);
	ck_assert(paused(&w)); /* nor does another setting */
	ck_assert_int_ge(table_set(w.t, SET_RETENTION_MAGNETIC, STR_LIT("290d"), &e), 0);
	/* Killed here: nothing is written on the way out. */
	char copy[64];
	int fd = unit_dir(copy);
	char cmd[256];
	snprintf(cmd, sizeof cmd, "cp -r %s/. %s && rm -f %s/lock", w.dir, copy, copy);
	ck_assert_int_eq(system(cmd), 0);
	struct world dead = w;
	memcpy(w.dir, copy, sizeof copy);
	w.boot++;
	w.boot_ns = HOUR;
	w.wall += HOUR;
	up(&w);
	ck_assert(!paused(&w));
	down(&w);
	w.en = dead.en;
	w.db = dead.db;
	w.t = dead.t;
	down(&w);
	memcpy(w.dir, dead.dir, sizeof w.dir);
	unit_dir_remove(fd, copy);
	end(&w);
}
END_TEST

START_TEST(set_forward_and_started_again)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 29 * DAY);
	ck_assert(!paused(&w));
	w.wall += 3 * DAY;
	ck_assert(paused(&w));
	reboot(&w, w.wall + HOUR); /* less than a week off, it seems; but the clock was seen to be set */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	reboot(&w, NOW + 2 * HOUR / 3);
	ck_assert(!paused(&w)); /* right again */
	reboot(&w, NOW + 3 * DAY);
	ck_assert(!paused(&w)); /* and that is over */
	end(&w);
}
END_TEST

START_TEST(no_battery_and_late_network)
{
	struct world w;

	begin(&w);
	put(&w, NOW - 27 * DAY);
	down(&w);
	w.boot++;
	w.boot_ns = 20 * NS_PER_S;
	w.wall = NOW - 10 * NS_PER_S; /* as it was at shutdown */
	up(&w);
	ck_assert(!paused(&w));
	pass(&w, 60 * NS_PER_S);
	ck_assert(!paused(&w));
	w.wall += 2 * DAY; /* it was off for that long */
	ck_assert(!paused(&w));
	pass(&w, HOUR);
	ck_assert(!paused(&w));
	w.wall += 2 * DAY; /* but now it has settled */
	ck_assert(paused(&w));
	ck_assert_uint_eq(rows(&w), 1);
	end(&w);
}
END_TEST

START_TEST(hostile_numbers)
{
	static const int64_t bad[] = {INT64_MIN, -1, 1, INT64_MAX};
	struct world w;
	struct err e = {0};

	begin(&w);
	put(&w, NOW - 29 * DAY);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
			struct catalog *c;
			char path[128];
			down(&w);
			snprintf(path, sizeof path, "%s/db/d/catalog.sqlite", w.dir);
			ck_assert_int_ge(catalog_open(path, false, &c, &e), 0);
			ck_assert_int_ge(catalog_set_int(c, "clock_wall_ns", bad[i], &e), 0);
			ck_assert_int_ge(catalog_set_int(c, "clock_boot_ns", bad[k], &e), 0);
			catalog_close(c);
			up(&w);
			ck_assert(paused(&w));
			ck_assert_uint_eq(rows(&w), 1);
		}
	end(&w);
}
END_TEST

/*
 * Whatever happens to the clock: the edge of expiry only moves forward, and as long as no step is
 * larger than what is taken for being off, never past what the true time allows by more than that.
 */
START_TEST(random_lives)
{
	struct unit_rng r = unit_rng();
	struct world w;

	r.state += (uint64_t)_i;
	begin(&w);
	put(&w, NOW - 25 * DAY);
	int64_t edge = INT64_MIN;
	for (int i = 0; i < 60; i++) {
		bool was = paused(&w);
		int64_t now_edge = w.t->meta.expired_before_ns;
		unit_assert(&r, now_edge >= edge, "the edge went back");
		edge = now_edge;
		int64_t ns = (int64_t)unit_below(&r, 10) * DAY / 4 + (int64_t)unit_below(&r, 3600) * NS_PER_S;
		switch (unit_below(&r, 5)) {
		case 0:
			pass(&w, ns);
			break;
		case 1:
			/* Set by more than an hour under our eyes: always noticed, unless it was doubted before. */
			w.wall += (unit_below(&r, 2) ? 1 : -1) * (ns + 2 * HOUR);
			unit_assert(&r, was || paused(&w), "a step was not noticed");
			unit_assert(&r, w.t->meta.expired_before_ns == edge || was, "expired after a step");
			break;
		case 2:
			reboot(&w, w.wall + ns);
			break;
		case 3:
			down(&w);
			up(&w);
			unit_assert(&r, paused(&w) == was, "a restart changed the mind");
			break;
		default:
			if (was) {
				struct err e = {0};
				ck_assert_int_ge(table_set(w.t, SET_RETENTION_MEMORY, STR_LIT("1d"), &e), 0);
				unit_assert(&r, !paused(&w), "not believed after it was confirmed");
			}
		}
	}
	end(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wallclock");
	TCase *tc = tcase_create("wallclock");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_clock_that_runs_is_believed);
	tcase_add_test(tc, a_jump_while_it_runs);
	tcase_add_test(tc, a_restart_in_the_same_boot_compares_exactly);
	tcase_add_test(tc, behind_after_a_boot_until_it_is_set);
	tcase_add_test(tc, ahead_after_a_boot);
	tcase_add_test(tc, ahead_and_nothing_to_lose);
	tcase_add_test(tc, what_was_due_already_is_no_reason_to_ask);
	tcase_add_test(tc, a_person_confirms_and_it_is_kept);
	tcase_add_test(tc, set_forward_and_started_again);
	tcase_add_test(tc, no_battery_and_late_network);
	tcase_add_test(tc, hostile_numbers);
	tcase_add_loop_test(tc, random_lives, 0, 10);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
