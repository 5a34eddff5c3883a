/*
 * wallclock: may expiry believe the wall clock?
 *
 * Rows are deleted by their age, and a clock that is wrong by a year deletes a year. So the last
 * moment at which the clock was believed is kept, in the catalogue too: wall time, time since the
 * machine's boot, and which boot that was. Each round of maintenance compares the present with it:
 *
 *	same boot      both clocks must have run alike, give or take an hour. Set forward or back by
 *		       more: expiry pauses.
 *	another boot   nobody knows how long the machine was off. Behind the stored time by more than
 *		       an hour: expiry pauses. Ahead is what being off looks like; it pauses only past
 *		       seven days, and only while rows would go now that were not due at the stored time.
 *
 * The moment moves on with each round that believes the clock, and stays where it is while expiry is
 * paused; so a clock that is put right by itself (a machine without a battery, once the network is
 * there) ends the pause, and a restart does not. Otherwise a person does: db_confirm_clock().
 *
 * Machines without a battery start with yesterday's time and step forward once they know better. So
 * in the first SETTLE_NS after a boot the moment of the boot before stays the one to compare with:
 * the step is judged as if the machine had started with it.
 *
 * That a clock was set forward is stored as well: started again with the same wrong time, the machine
 * would merely seem to have been off.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/internal.h"

#define JUMP_NS   (3600 * NS_PER_S)
#define OFF_NS    (7 * NS_PER_DAY) /* how long a machine is off without being asked */
#define SETTLE_NS (900 * NS_PER_S)
#define STORE_NS  (60 * NS_PER_S)

struct verdict {
	enum clock_doubt doubt;
	int64_t off_ns; /* how far the clock is from where it should be; > 0: ahead */
};

static struct clock_moment moment_now(const struct db *db)
{
	return (struct clock_moment){.wall_ns = MAX(clock_now_ns(), 1), .boot_ns = clock_boot_ns(), .boot = db->en->boot};
}

/* Would a row go with an edge of `now` that stays with one of `then`? By files and blocks: yes too often. */
static bool table_would_lose(struct table *t, int64_t then_ns, int64_t now_ns)
{
	bool is = false;

	pthread_mutex_lock(&t->mu);
	int64_t keep = MAX(settings_expiry_edge(&t->settings, then_ns), t->meta.expired_before_ns);
	int64_t lose = settings_expiry_edge(&t->settings, now_ns);
	for (const struct block *b = t->mem.first; b && !is; b = b->next)
		is = b->n && b->t_min < lose && b->t_max >= keep;
	for (uint32_t i = 0; i < t->files->n && !is; i++)
		is = t->files->v[i]->meta.t_min_ns < lose && t->files->v[i]->meta.t_max_ns >= keep;
	pthread_mutex_unlock(&t->mu);
	return is;
}

static bool would_lose(struct db *db, int64_t then_ns, int64_t now_ns)
{
	struct table **tables;
	uint32_t n;
	bool is = false;

	if (db_tables(db, &tables, &n) < 0)
		return true; /* not known: so not trusted */
	for (uint32_t i = 0; i < n; i++) {
		is = is || table_would_lose(tables[i], then_ns, now_ns);
		table_put(tables[i]);
	}
	free(tables);
	return is;
}

static struct verdict judge(struct db *db, const struct wallclock *c, const struct clock_moment *now)
{
	int64_t off = now->wall_ns - c->believed.wall_ns; /* of times since 1970: fits */

	if (!c->has_believed)
		return (struct verdict){CLOCK_BELIEVED, 0};
	if (c->is_this_boot) {
		if (__builtin_sub_overflow(off, now->boot_ns - c->believed.boot_ns, &off))
			off = INT64_MAX; /* nonsense was stored */
		return (struct verdict){off > JUMP_NS || off < -JUMP_NS ? CLOCK_JUMPED : CLOCK_BELIEVED, off};
	}
	if (off < -JUMP_NS)
		return (struct verdict){CLOCK_BEHIND, off};
	if (off > (c->was_set_forward ? JUMP_NS : OFF_NS) && would_lose(db, c->believed.wall_ns, now->wall_ns))
		return (struct verdict){CLOCK_AHEAD, off};
	return (struct verdict){CLOCK_BELIEVED, off};
}

/* In one transaction: numbers of two moments make none. */
static int store(struct db *db, const struct wallclock *c, struct err *e)
{
	int rc = catalog_begin(db->cat, e);

	if (rc < 0)
		return rc;
	rc = catalog_set_int(db->cat, "clock_wall_ns", c->believed.wall_ns, e);
	if (rc >= 0)
		rc = catalog_set_int(db->cat, "clock_boot_ns", c->believed.boot_ns, e);
	if (rc >= 0)
		rc = catalog_set_int(db->cat, "clock_boot_id", (int64_t)c->believed.boot, e);
	if (rc >= 0)
		rc = catalog_set_int(db->cat, "clock_set_forward", c->was_set_forward, e);
	if (rc >= 0)
		return catalog_commit(db->cat, e);
	catalog_abort(db->cat);
	return rc;
}

int wallclock_load(struct db *db, struct err *e)
{
	struct wallclock *c = &db->clock;
	int64_t wall = 0, boot_ns = 0, id = 0, forward = 0;
	int rc = catalog_get_int(db->cat, "clock_wall_ns", 0, &wall, e);

	if (rc >= 0)
		rc = catalog_get_int(db->cat, "clock_boot_ns", 0, &boot_ns, e);
	if (rc >= 0)
		rc = catalog_get_int(db->cat, "clock_boot_id", 0, &id, e);
	if (rc >= 0)
		rc = catalog_get_int(db->cat, "clock_set_forward", 0, &forward, e);
	if (rc < 0 || !wall)
		return rc;
	c->believed = (struct clock_moment){.wall_ns = MAX(wall, 1), .boot_ns = MAX(boot_ns, 0), .boot = (uint64_t)id};
	c->has_believed = true;
	c->was_set_forward = forward != 0;
	c->is_this_boot = c->believed.boot && c->believed.boot == db->en->boot;
	return 0;
}

/* wake_mu is held. */
static void believe(struct wallclock *c, const struct clock_moment *now)
{
	c->believed = *now;
	c->has_believed = true;
	c->is_this_boot = true;
	c->was_set_forward = false;
}

/* wake_mu is held. Should it be stored now? */
static bool store_is_due(const struct wallclock *c, int64_t mono_ns)
{
	return !c->stored_mono_ns || c->is_unstored || mono_ns - c->stored_mono_ns >= STORE_NS;
}

/* A failure is no news: the next minute tries again, and all else that fails to be stored says so. */
static void store_if_due(struct db *db, bool at_once)
{
	struct wallclock *c = &db->clock, copy;
	int64_t mono = clock_mono_ns();

	if (db->en->opt.read_only || !db->cat)
		return;
	pthread_mutex_lock(&db->wake_mu);
	bool is_due = c->has_believed && (at_once || store_is_due(c, mono));
	copy = *c;
	if (is_due) {
		c->stored_mono_ns = mono;
		c->is_unstored = false;
	}
	pthread_mutex_unlock(&db->wake_mu);
	if (is_due)
		(void)!store(db, &copy, NULL);
}

void db_note_clock(struct db *db)
{
	struct wallclock *c = &db->clock, copy;
	struct clock_moment now = moment_now(db);

	pthread_mutex_lock(&db->wake_mu);
	copy = *c;
	pthread_mutex_unlock(&db->wake_mu);
	struct verdict v = judge(db, &copy, &now); /* looks at tables: no lock of ours */
	pthread_mutex_lock(&db->wake_mu);
	if (c->confirmations == copy.confirmations) {
		bool is_forward = v.doubt == CLOCK_JUMPED && v.off_ns > 0;
		c->doubt = v.doubt;
		c->off_ns = v.off_ns;
		c->seen_ns = now.wall_ns;
		if (v.doubt == CLOCK_BELIEVED && (!c->has_believed || c->is_this_boot || now.boot_ns >= SETTLE_NS))
			believe(c, &now);
		if (v.doubt != CLOCK_BELIEVED && is_forward && !c->was_set_forward)
			c->was_set_forward = c->is_unstored = true;
	}
	pthread_mutex_unlock(&db->wake_mu);
	store_if_due(db, false);
}

bool db_clock_doubtful(struct db *db)
{
	pthread_mutex_lock(&db->wake_mu);
	bool is = db->clock.doubt != CLOCK_BELIEVED;
	pthread_mutex_unlock(&db->wake_mu);
	return is;
}

void db_confirm_clock(struct db *db)
{
	struct clock_moment now = moment_now(db);

	pthread_mutex_lock(&db->wake_mu);
	bool was_doubtful = db->clock.doubt != CLOCK_BELIEVED;
	if (was_doubtful) {
		db->clock.doubt = CLOCK_BELIEVED;
		db->clock.confirmations++;
		believe(&db->clock, &now);
	}
	pthread_mutex_unlock(&db->wake_mu);
	if (was_doubtful)
		store_if_due(db, true);
}

void db_close_clock(struct db *db)
{
	db_note_clock(db);
	store_if_due(db, true);
}

/* "10d", "90m": two figures or more, cut. */
static void print_span(char to[32], int64_t ns)
{
	int64_t s = (ns < 0 ? -(ns + 1) : ns) / NS_PER_S;

	if (s >= 2 * 86400)
		snprintf(to, 32, "%lldd", (long long)(s / 86400));
	else if (s >= 2 * 3600)
		snprintf(to, 32, "%lldh", (long long)(s / 3600));
	else
		snprintf(to, 32, "%lldm", (long long)(s / 60));
}

void db_clock_note(struct db *db, char *to, size_t cap)
{
	static const char how[] = "if the time is right now, write a table's retention/memory or retention/magnetic "
				  "again to confirm it";
	char span[32], then[TIMESTAMP_TEXT_LEN + 1], now[TIMESTAMP_TEXT_LEN + 1];
	struct wallclock c;

	pthread_mutex_lock(&db->wake_mu);
	c = db->clock;
	pthread_mutex_unlock(&db->wake_mu);
	*to = '\0';
	print_span(span, c.off_ns);
	timestamp_format(then, c.believed.wall_ns);
	timestamp_format(now, c.seen_ns);
	then[19] = now[19] = '\0'; /* to the second */
	switch (c.doubt) {
	case CLOCK_BELIEVED:
		break;
	case CLOCK_JUMPED:
		snprintf(to, cap, "expiry is paused: the clock was set %s %s while the machine ran, and says %s; %s",
			 c.off_ns > 0 ? "forward by" : "back by", span, now, how);
		break;
	case CLOCK_BEHIND:
		snprintf(to, cap, "expiry is paused: the clock says %s, and it was %s already before the machine started (%s "
			 "later); set the clock, or %s", now, then, span, how);
		break;
	case CLOCK_AHEAD:
		snprintf(to, cap, "expiry is paused: the clock says %s, %s after this database was last in use (%s), and "
			 "rows would be deleted that were not due then; %s", now, span, then, how);
		break;
	}
}
