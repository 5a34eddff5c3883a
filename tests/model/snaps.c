/*
 * Snapshots: one is made, anything happens for a while, then it is brought back into a database of its
 * own, which must be what the twin was when it was made.
 */
#include "tests/model/model.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	bool exists;
	struct twin twins[TABLES];
} snap;

void forget_snapshot(void)
{
	for (uint32_t i = 0; i < TABLES; i++)
		twin_release(&snap.twins[i]);
	snap.exists = false;
}

static void read_json(int dirfd, struct buf *out)
{
	int fd = openat(dirfd, "snapshot.json", O_RDONLY);
	ssize_t n;

	if (fd < 0)
		fail("no snapshot.json: %s", strerror(errno));
	while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
		out->len += (size_t)n;
	close(fd);
}

/* The rows of a tile that are still to be had. */
static void restore_one(struct m_table *mt, const char *path, uint32_t *expired)
{
	struct err e = {0};
	struct restore *r;
	char chunk[65536];
	ssize_t n;
	int64_t off = 0;
	int to, from = open(path, O_RDONLY);

	if (from < 0)
		fail("%s: %s", path, strerror(errno));
	must(table_restore_begin(mt->t, &r, &to, &e), &e, "table_restore_begin");
	for (; (n = read(from, chunk, sizeof chunk)) > 0; off += n)
		if (io_pwrite(io_posix(), to, chunk, (size_t)n, off) < 0)
			fail("%s: cannot copy it", path);
	close(from);
	int rc = table_restore_commit(r, path, &e);
	table_restore_close(r);
	if (rc == -EINVAL && strstr(e.text, "expired"))
		++*expired;
	else
		must(rc, &e, "table_restore_commit");
}

static uint32_t restore_tiles(struct m_table *mt, int dirfd)
{
	char root[64];
	char *const roots[] = {root, NULL};
	uint32_t n = 0, expired = 0;
	FTSENT *f;

	snprintf(root, sizeof root, "/proc/self/fd/%d/%s/", dirfd, mt->name);
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (walk && (f = fts_read(walk)))
		if (f->fts_info == FTS_F && strstr(f->fts_name, ".parquet")) {
			restore_one(mt, f->fts_accpath, &expired);
			n++;
		}
	if (walk)
		fts_close(walk);
	trace("%s: %u tiles, %u of them expired", mt->name, n, expired);
	return n;
}

static void bring_back(struct m_table *mt, struct db *db, const struct twin *then, int dirfd)
{
	struct look l = {.lo = INT64_MIN, .hi = INT64_MAX, .cols = UINT32_MAX};
	char why[512], text[4096];

	memset(mt, 0, sizeof *mt);
	twin_copy(&mt->twin, then);
	snprintf(mt->name, sizeof mt->name, "t%d", (int)(then - snap.twins));
	table_attach(mt, db);
	table_setting(mt->t, SET_LATE_DATA, text);
	if ((strcmp(text, "reject") == 0) != then->late_reject)
		fail("%s: late_data is %s in the snapshot", mt->name, text);
	(void)restore_tiles(mt, dirfd);
	l.maybe_before = w.now - then->memory_ns - then->magnetic_ns;
	if (!look_same(mt, then, &l, why, sizeof why))
		fail("of the snapshot: %s", why);
	table_put(mt->t);
	twin_release(&mt->twin);
}

static void check_snapshot(void)
{
	static struct m_table mt;
	struct snapshot_entry *list;
	struct buf json;
	struct db *db;
	struct err e = {0};
	uint32_t n;
	int dirfd;

	must(db_snapshots(w.db, &list, &n), &e, "db_snapshots");
	if (n != 1 || strcmp(list[0].name, "one") != 0)
		fail("%u snapshots are listed", n);
	free(list);
	must(db_snapshot_dirfd(w.db, STR_LIT("one"), &dirfd, &e), &e, "db_snapshot_dirfd");
	buf_init(&json, (size_t)64 << 20);
	read_json(dirfd, &json);
	must(engine_db_create(w.en, STR_LIT("s"), &db, &e), &e, "engine_db_create");
	must(db_snapshot_apply(db, buf_str(&json), NULL, &e), &e, "db_snapshot_apply");
	for (uint32_t i = 0; i < TABLES; i++)
		bring_back(&mt, db, &snap.twins[i], dirfd);
	close(dirfd);
	buf_release(&json);
	for (uint32_t i = 0; i < TABLES; i++) {
		char name[8];
		snprintf(name, sizeof name, "t%u", i);
		must(db_table_drop(db, str_from(name), false, &e), &e, "db_table_drop");
	}
	db_put(db);
	must(engine_db_drop(w.en, STR_LIT("s"), &e), &e, "engine_db_drop");
	must(db_snapshot_drop(w.db, STR_LIT("one"), &e), &e, "db_snapshot_drop");
	forget_snapshot();
}

/* On a disk that dies: one of its own, which may be left over. */
static void half_a_snapshot(void)
{
	struct err e = {0};

	if (went_well(db_snapshot_create(w.db, STR_LIT("two"), NULL, &e), &e, "db_snapshot_create"))
		(void)went_well(db_snapshot_drop(w.db, STR_LIT("two"), &e), &e, "db_snapshot_drop");
}

/* After that: whole or not there. */
void drop_half_a_snapshot(void)
{
	struct err e = {0};
	int rc = db_snapshot_drop(w.db, STR_LIT("two"), &e);

	if (rc != -ENOENT)
		must(rc, &e, "db_snapshot_drop");
}

/* Rows past a future_limit that was lowered since: their tiles come back only when their time has come. */
static bool has_far_rows(void)
{
	for (uint32_t t = 0; t < TABLES; t++) {
		const struct twin *tw = &w.tables[t].twin;
		for (uint32_t i = 0; i < tw->n; i++)
			if (tw->keys[i].is_alive && tw->keys[i].time >= twin_hi(tw, w.now))
				return true;
	}
	return false;
}

void op_snapshot(void)
{
	struct err e = {0};

	if (w.disk.left >= 0) {
		half_a_snapshot();
		return;
	}
	if (snap.exists) {
		check_snapshot();
		return;
	}
	if (has_far_rows())
		return;
	must(db_snapshot_create(w.db, STR_LIT("one"), NULL, &e), &e, "db_snapshot_create");
	if (db_snapshot_create(w.db, STR_LIT("one"), NULL, NULL) != -EEXIST)
		fail("a snapshot can be made twice");
	for (uint32_t i = 0; i < TABLES; i++)
		twin_copy(&snap.twins[i], &w.tables[i].twin);
	snap.exists = true;
	trace("made");
	if (chance(3))
		check_snapshot();
}
