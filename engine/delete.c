/*
 * delete: rows out of existence, exactly those of one moment.
 *
 *	begin    maint_mu: nothing seals, migrates or merges from here to the end.
 *	         append_mu, for a moment: a mark goes into the log, its number is the deletion's seq; the
 *	         active block is frozen. So no block and no file holds rows from both sides of the mark.
 *	add      ranges are collected
 *	commit   the log is synced up to the mark (a number that a power cut took back would be given to
 *	         other rows), the tombstone is stored in the catalogue, readers see it
 *
 * A crash before the catalogue's commit leaves nothing but the mark, which means nothing by itself.
 * What a tombstone hides goes for good when the files it concerns are next written anew (compact.c).
 */
#include <stdlib.h>

#include "engine/internal.h"

struct deletion {
	struct table *table; /* a reference; maint_mu is held */
	uint64_t seq;
	struct tomb_range *ranges;
	uint32_t n, cap;
};

/* ---- loading ------------------------------------------------------------------------------------- */

struct loading {
	struct table *t;
	struct err *e;
};

static int load_one(void *ctx, uint64_t id, uint64_t seq, struct str ranges)
{
	struct loading *l = ctx;
	struct tomb *tomb;
	struct tomb_set *next;
	int rc = tomb_decode(id, seq, ranges, &tomb);

	if (rc == -EBADMSG)
		return err_set(l->e, rc, "the catalogue's deletion %llu is malformed", (unsigned long long)id);
	if (rc >= 0)
		rc = tomb_set_make(l->t->tombs, tomb, NULL, 0, &next);
	if (rc < 0)
		return err_set(l->e, rc, "out of memory");
	tomb_set_put(l->t->tombs);
	l->t->tombs = next;
	return 0;
}

int table_load_tombs(struct table *t, struct err *e)
{
	struct loading l = {t, e};
	return catalog_tombs(t->db->cat, t->meta.id, load_one, &l, e);
}

struct tomb_set *table_pin_tombs(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	struct tomb_set *s = tomb_set_get(t->tombs);
	pthread_mutex_unlock(&t->mu);
	return s;
}

/* ---- one statement ---------------------------------------------------------------------------------- */

int table_mark_locked(struct table *t, enum wal_mark what, uint64_t *ret_seq, struct err *e)
{
	char byte = (char)what;
	struct wal_record mark = {.table_id = t->meta.id, .type = WAL_MARK, .payload = {&byte, 1}};
	int rc = table_dropped(t) ? err_set(e, -ESTALE, "table '%s' was dropped", table_name(t)) : 0;

	if (rc >= 0)
		rc = wal_append(t->db->wal, &mark, 1, e);
	if (rc < 0)
		return rc;
	t->applied_lsn = mark.lsn;
	memtable_freeze(&t->mem, &t->mu);
	*ret_seq = mark.lsn;
	return 0;
}

static int mark_deletion(struct table *t, uint64_t *ret_seq, struct err *e)
{
	pthread_mutex_lock(&t->append_mu);
	int rc = table_mark_locked(t, WAL_MARK_DELETE, ret_seq, e);
	pthread_mutex_unlock(&t->append_mu);
	return rc;
}

/*
 * Nothing came of the mark. Who makes a run anew from the log (fsck) would else have to think that rows
 * were deleted there. Where this fails, that is what it thinks.
 */
static void void_mark(struct table *t, uint64_t seq)
{
	struct wal_record rec = {.table_id = t->meta.id, .type = WAL_MARK};
	struct buf b;

	buf_init(&b, 32);
	buf_put_u8(&b, WAL_MARK_VOID);
	buf_put_varint(&b, seq);
	rec.payload = buf_str(&b);
	pthread_mutex_lock(&t->append_mu);
	if (b.rc >= 0 && !table_dropped(t) && wal_append(t->db->wal, &rec, 1, NULL) >= 0)
		t->applied_lsn = rec.lsn;
	pthread_mutex_unlock(&t->append_mu);
	buf_release(&b);
}

int table_delete_begin(struct table *t, struct deletion **ret, struct err *e)
{
	struct deletion *d = calloc(1, sizeof *d);
	int rc = table_check_alive(t, e);

	if (rc >= 0 && t->db->en->opt.read_only)
		rc = err_set(e, -EROFS, "the data directory is open for reading only");
	if (rc >= 0 && !d)
		rc = err_set(e, -ENOMEM, "out of memory");
	if (rc < 0) {
		free(d);
		return rc;
	}
	pthread_mutex_lock(&t->maint_mu);
	rc = mark_deletion(t, &d->seq, e);
	if (rc < 0) {
		pthread_mutex_unlock(&t->maint_mu);
		free(d);
		return rc;
	}
	FAULT("delete.marked");
	d->table = table_get(t);
	*ret = d;
	return 0;
}

uint64_t deletion_seq(const struct deletion *d)
{
	return d->seq;
}

int deletion_add(struct deletion *d, uint32_t series_lo, uint32_t series_hi, int64_t t_lo, int64_t t_hi,
		 struct err *e)
{
	if (series_lo > series_hi || t_lo > t_hi)
		return 0;
	if (d->n == TOMB_RANGES_MAX)
		return err_set(e, -E2BIG,
			       "what this would delete from table '%s' lies in more than %u separate stretches; "
			       "delete a shorter time range at a time",
			       table_name(d->table), TOMB_RANGES_MAX);
	if (d->n == d->cap) {
		uint32_t cap = MAX(d->cap * 2, 16u);
		struct tomb_range *p = realloc(d->ranges, cap * sizeof *p);
		if (!p)
			return err_set(e, -ENOMEM, "out of memory for deleting from table '%s'", table_name(d->table));
		d->ranges = p;
		d->cap = cap;
	}
	d->ranges[d->n++] = (struct tomb_range){series_lo, series_hi, t_lo, t_hi};
	return 0;
}

/* maint_mu was taken by begin, in the same thread. */
static void end(struct deletion *d)
{
	pthread_mutex_unlock(&d->table->maint_mu);
	table_put(d->table);
	free(d->ranges);
	free(d);
}

void deletion_abort(struct deletion *d)
{
	if (!d)
		return;
	void_mark(d->table, d->seq);
	end(d);
}

static int store(struct table *t, struct tomb *tomb, struct err *e)
{
	struct catalog *cat = t->db->cat;
	struct buf bytes;

	buf_init(&bytes, (size_t)512 << 20);
	int rc = tomb_encode(tomb, &bytes);
	if (rc < 0)
		err_set(e, rc, "out of memory for deleting from table '%s'", table_name(t));
	if (rc >= 0)
		rc = wal_sync(t->db->wal, tomb->seq, e);
	FAULT("delete.synced");
	if (rc >= 0)
		rc = catalog_tomb_add(cat, t->meta.id, tomb->seq, buf_str(&bytes), &tomb->id, e);
	buf_release(&bytes);
	return rc;
}

static int commit(struct deletion *d, struct err *e)
{
	struct table *t = d->table;
	struct tomb_set *next, *old;
	struct tomb *tomb;
	int rc = tomb_create(d->seq, d->ranges, d->n, &tomb);

	if (rc == -E2BIG)
		return err_set(e, rc, "what this would delete from table '%s' lies in too many separate stretches; "
				      "delete a shorter time range at a time", table_name(t));
	if (rc >= 0) {
		tomb_get(tomb);
		rc = tomb_set_make(t->tombs, tomb, NULL, 0, &next); /* takes one of the two */
		if (rc < 0)
			tomb_put(tomb);
	}
	if (rc < 0)
		return err_set(e, rc, "out of memory for deleting from table '%s'", table_name(t));
	rc = store(t, tomb, e);
	tomb_put(tomb);
	if (rc < 0) {
		tomb_set_put(next);
		return rc;
	}
	FAULT("delete.stored");
	pthread_mutex_lock(&t->mu);
	old = t->tombs;
	t->tombs = next;
	table_note_change(t);
	pthread_mutex_unlock(&t->mu);
	tomb_set_put(old);
	return 0;
}

int deletion_commit(struct deletion *d, struct err *e)
{
	int rc = d->n ? commit(d, e) : 0;

	if (!d->n)
		void_mark(d->table, d->seq);
	struct db *db = db_get(d->table->db);

	end(d);
	if (rc >= 0)
		db_wake(db);
	db_put(db);
	return rc;
}
