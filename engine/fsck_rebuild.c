/*
 * fsck: a run written anew from the log.
 *
 * The log is trimmed by whole segments, so it often still has what a run holds. Its records of the
 * run's range go into a memtable and from there into a run of the same range, as sealing did it. That
 * counts only if as many rows over the same times come out as the catalogue says the run had. What was
 * moved out of the old run is moved out of the new one, too.
 */
#include "engine/fsck_impl.h"
#include "engine/scan.h"
#include "engine/wal_segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rebuild {
	struct fsck_db *d;
	struct db db; /* as much of one as a table needs */
	struct table *table;
	const struct catalog_file *old;
	uint64_t first_lsn; /* of the log; 0: none seen */
	uint64_t *deletions; /* marks in the log that the file's rows may depend on */
	uint32_t deletion_n;
	bool is_beyond_log; /* rows came in that the log does not have */
	struct moved *moved;
	uint32_t moved_n;
};

/* What happened between the file's records, besides rows. */
static int note_mark(struct rebuild *b, const struct wal_record *rec)
{
	struct cur c = cur_over(rec->payload.ptr, rec->payload.len);
	uint8_t what = cur_u8(&c);

	if (what == WAL_MARK_VOID) {
		uint64_t seq = cur_varint(&c);
		for (uint32_t i = 0; i < b->deletion_n; i++)
			if (b->deletions[i] == seq)
				b->deletions[i] = b->deletions[--b->deletion_n];
		return 0;
	}
	if (rec->lsn < b->old->seq_lo || rec->lsn > MAX(b->old->seq_hi, b->old->erased_seq))
		return 0;
	if (what != WAL_MARK_DELETE) {
		b->is_beyond_log |= rec->lsn <= b->old->seq_hi;
		return 0;
	}
	uint64_t *v = realloc(b->deletions, (b->deletion_n + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	b->deletions = v;
	v[b->deletion_n++] = rec->lsn;
	return 0;
}

/* Are all deletions that the file had applied still known? */
static bool knows_deletions(const struct rebuild *b)
{
	const struct tomb_set *s = b->table->tombs;

	for (uint32_t i = 0; i < b->deletion_n; i++) {
		uint32_t at = b->deletions[i] ? tomb_set_from(s, b->deletions[i] - 1) : 0;
		if (!s || at == s->n || s->v[at]->seq != b->deletions[i])
			return false;
	}
	return true;
}

static int replay(void *ctx, const struct wal_record *rec, struct err *e)
{
	struct rebuild *b = ctx;

	if (rec->type == WAL_MARK && rec->table_id == b->table->meta.id) {
		int rc = note_mark(b, rec);
		if (rc < 0)
			return rc;
	}

	if (!b->first_lsn)
		b->first_lsn = rec->lsn;
	if (rec->table_id != b->table->meta.id ||
	    (rec->type == WAL_ROWS && (rec->lsn < b->old->seq_lo || rec->lsn > b->old->seq_hi)))
		return 0;
	return table_replay(b->table, rec, e);
}

static int read_log(struct rebuild *b)
{
	struct wal_recovery r = {0};
	struct err why = {0};
	int fd = openat(b->d->dirfd, DIR_WAL, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	b->table->applied_lsn = b->old->seq_lo - 1; /* what table_replay() would pass over */
	int rc = wal_recover(b->d->f->io, fd, true, wal_boot_of_machine(), replay, b, &r, &why);
	while (rc >= 0 && r.head) {
		struct wal_segment *next = r.head->next;
		wal_segment_free(b->d->f->io, r.head);
		r.head = next;
	}
	close(fd);
	if (rc >= 0 && (!b->first_lsn || b->first_lsn > b->old->seq_lo || r.next_lsn <= b->old->seq_hi))
		rc = -ENODATA;
	return rc >= 0 && (b->is_beyond_log || !knows_deletions(b)) ? -ENODATA : rc;
}

/* The deletions that the file had applied: later ones are applied when it is read. */
static int applied_tombs(const struct rebuild *b, struct tomb_set **ret)
{
	const struct tomb_set *all = b->table->tombs;
	uint64_t *later = malloc(((all ? all->n : 0) + 1) * sizeof *later);
	uint32_t n = 0;

	if (!later)
		return -ENOMEM;
	for (uint32_t i = 0; all && i < all->n; i++)
		if (all->v[i]->seq > b->old->erased_seq)
			later[n++] = all->v[i]->id;
	int rc = tomb_set_make(all, NULL, later, n, ret);
	free(later);
	return rc;
}

/* The memtable's rows as a scan. */
static int open_scan(struct rebuild *b, const uint32_t *fields, uint32_t field_n, struct scan **ret)
{
	struct table *t = b->table;
	struct block_view *views = NULL;
	struct tomb_set *tombs;
	struct err why = {0};
	uint32_t n = 0;

	int rc = applied_tombs(b, &tombs);
	if (rc < 0)
		return rc;
	memtable_freeze(&t->mem, &t->mu);
	pthread_mutex_lock(&t->mu);
	rc = memtable_view(&t->mem, &views, &n);
	pthread_mutex_unlock(&t->mu);
	if (rc < 0 || !n) {
		free(views);
		tomb_set_put(tombs);
		return rc < 0 ? rc : -ENODATA;
	}
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = fields, .col_count = field_n,
				 .times_wanted = true, .versions_wanted = true};
	rc = scan_open_sources(t, &spec, NULL, 0, views, n, tombs, NULL, ret, &why); /* takes the views */
	free(views);
	tomb_set_put(tombs);
	return rc;
}

static int note_moved(void *ctx, int32_t date, int64_t upto_ns)
{
	struct rebuild *b = ctx;
	struct moved *v = realloc(b->moved, (b->moved_n + 1) * sizeof *v);

	if (!v)
		return -ENOMEM;
	b->moved = v;
	v[b->moved_n++] = (struct moved){date, upto_ns};
	return 0;
}

/* Old out, new in: one transaction. */
static int commit(struct rebuild *b, struct catalog_file *fresh)
{
	struct catalog *cat = b->d->cat;
	struct err why = {0};
	int rc = catalog_moved(cat, b->old->id, note_moved, b, &why);

	if (rc >= 0)
		rc = catalog_begin(cat, &why);
	if (rc < 0)
		return rc;
	rc = catalog_file_remove(cat, b->old->id, &why);
	if (rc >= 0)
		rc = catalog_file_add(cat, fresh, &why);
	for (uint32_t i = 0; i < b->moved_n && rc >= 0; i++)
		rc = catalog_moved_set(cat, fresh->id, b->moved[i].date, b->moved[i].upto_ns, &why);
	if (rc >= 0)
		return catalog_commit(cat, &why);
	catalog_abort(cat);
	return rc;
}

static int write_run(struct rebuild *b, struct scan *scan, const uint32_t *fields, uint32_t field_n,
		     struct fsck_file *ff)
{
	struct rewrite r = {.table = b->table, .kind = CATALOG_RUN, .dir = DIR_RUNS};
	struct tile *tile = NULL;
	struct err why = {0};
	char path[FSCK_PATH];

	r.meta.seq_lo = b->old->seq_lo;
	r.meta.seq_hi = b->old->seq_hi;
	r.meta.erased_seq = b->old->erased_seq;
	r.meta.generation = b->table->generation++;
	int rc = rewrite_file(&r, scan, fields, field_n, &tile, &why);
	if (rc < 0 || !tile)
		return rc < 0 ? rc : -ENODATA;
	bool is_same = r.meta.rows == b->old->rows && r.meta.t_min_ns == b->old->t_min_ns &&
		       r.meta.t_max_ns == b->old->t_max_ns;
	rc = is_same ? commit(b, &r.meta) : -ENODATA;
	if (rc < 0) {
		snprintf(path, sizeof path, "%s/%s", b->table->dir, r.meta.path);
		b->d->f->io->unlinkat(b->d->f->io, b->d->dirfd, path, 0);
		tile_put(tile);
		return rc;
	}
	ff->meta = r.meta;
	ff->tile = tile;
	return 0;
}

/* Without writing: would all rows come out? */
static int count_rows(struct rebuild *b, struct scan *scan)
{
	struct scan_batch batch;
	struct err why = {0};
	uint64_t rows = 0;
	int rc;

	while ((rc = scan_next(scan, &batch, &why)) > 0)
		rows += batch.n;
	return rc < 0 ? rc : rows == b->old->rows ? 0 : -ENODATA;
}

int fsck_rebuild_run(struct fsck_db *d, struct fsck_table *t, struct fsck_file *ff)
{
	struct catalog_file old = ff->meta;
	struct rebuild b = {.d = d, .old = &old};
	struct scan *scan = NULL;
	struct err why = {0};
	uint32_t *fields = NULL, field_n = 0;

	if (old.kind != CATALOG_RUN || !old.seq_lo || old.seq_lo > old.seq_hi)
		return -ENODATA;
	atomic_init(&b.db.refs, 1);
	b.db.en = &d->f->en;
	b.db.dirfd = d->dirfd;
	b.db.cat = d->cat;
	int rc = table_open(&b.db, &t->meta, &b.table, &why);
	if (rc < 0)
		return rc;
	rc = read_log(&b);
	if (rc >= 0)
		rc = table_field_ids(b.table, &fields, &field_n);
	if (rc >= 0)
		rc = open_scan(&b, fields, field_n, &scan);
	if (rc >= 0)
		rc = fsck_repairs(d->f) ? write_run(&b, scan, fields, field_n, ff) : count_rows(&b, scan);
	scan_close(scan);
	free(fields);
	free(b.moved);
	free(b.deletions);
	table_close(b.table);
	return rc;
}
