/*
 * files: which runs and tiles a table has.
 *
 * The set is an immutable array behind a reference count; a change makes a new array and swaps the
 * pointer under the table's mu, after the catalogue has committed it. A query holds the old set, and
 * with it open descriptors, so a file that is unlinked meanwhile stays readable to it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/internal.h"

/* Dates that have times: those of int64 nanoseconds. */
#define DATE_MAX ((int32_t)(INT64_MAX / NS_PER_DAY))
#define DATE_MIN (-DATE_MAX)

struct file *file_create(const struct catalog_file *meta, struct tile *tile)
{
	struct file *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	atomic_init(&f->refs, 1);
	f->meta = *meta;
	f->tile = tile;
	pthread_mutex_init(&f->open_mu, NULL);
	return f;
}

struct file *file_copy(struct file *f)
{
	pthread_mutex_lock(&f->open_mu);
	struct file *c = file_create(&f->meta, f->tile ? tile_get(f->tile) : NULL);
	if (c && f->days) {
		c->days = f->days;
		atomic_fetch_add(&c->days->refs, 1);
	}
	pthread_mutex_unlock(&f->open_mu);
	if (!c || !f->moved_count)
		return c;
	c->moved = malloc(f->moved_count * sizeof *c->moved);
	if (!c->moved) {
		file_put(c);
		return NULL;
	}
	memcpy(c->moved, f->moved, f->moved_count * sizeof *c->moved);
	c->moved_count = f->moved_count;
	return c;
}

struct file *file_get(struct file *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

void file_put(struct file *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	tile_put(f->tile);
	days_put(f->days);
	pthread_mutex_destroy(&f->open_mu);
	free(f->moved);
	free(f);
}

/*
 * A whole file can still be the wrong one: a copy of another generation, or one that speaks of series
 * and columns which the definitions lack. Scans index by them without looking again.
 */
static int check_tile(const struct file *f, struct table *t, struct tile *tile, const char *path, struct err *e)
{
	const struct tile_info *info = tile_info(tile);
	const struct tile_series *ts = tile_series(tile);
	uint32_t series = series_count(t->series), columns = series_column_count(t->series);

	if (info->generation != f->meta.generation || info->rows != f->meta.rows)
		return err_set(e, -EBADMSG, "%s: is not the file that the catalogue names (generation %llu, %llu rows)",
			       path, (unsigned long long)f->meta.generation, (unsigned long long)f->meta.rows);
	for (uint32_t i = 0; i < info->series_count; i++)
		if (ts[i].series_id >= series)
			return err_set(e, -EBADMSG, "%s: names the undefined series %u", path, ts[i].series_id);
	for (uint32_t i = 0; i < info->field_count; i++) {
		const struct tile_field *tf = &info->fields[i];
		if (tf->col_id >= columns || series_column(t->series, tf->col_id)->type != tf->type)
			return err_set(e, -EBADMSG, "%s: names the undefined column %u", path, tf->col_id);
	}
	return 0;
}

int file_tile(struct file *f, struct table *t, struct tile **ret, struct err *e)
{
	char path[sizeof t->dir + sizeof f->meta.path + 2];
	struct tile *tile;
	int rc = 0;

	pthread_mutex_lock(&f->open_mu);
	if (!f->tile) {
		snprintf(path, sizeof path, "%s/%s", t->dir, f->meta.path);
		rc = tile_open(t->db->en->io, t->db->dirfd, path, &tile, e);
		if (rc >= 0 && memcmp(tile_info(tile)->table_uuid, t->meta.uuid, 16) != 0) {
			tile_put(tile);
			rc = err_set(e, -EBADMSG, "%s: belongs to another table", path);
		} else if (rc >= 0) {
			rc = check_tile(f, t, tile, path, e);
			if (rc < 0)
				tile_put(tile);
		}
		if (rc >= 0)
			f->tile = tile;
	}
	if (rc >= 0)
		*ret = f->tile;
	pthread_mutex_unlock(&f->open_mu);
	return rc;
}

struct file_set *file_set_get(struct file_set *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void file_set_put(struct file_set *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		file_put(s->v[i]);
	free(s);
}

/* Tiles before runs; runs by sequence; tiles by date, part and time, which is how readdir shows them. */
static int by_age(const void *x, const void *y)
{
	const struct catalog_file *a = &(*(struct file *const *)x)->meta;
	const struct catalog_file *b = &(*(struct file *const *)y)->meta;

	if (a->kind != b->kind)
		return a->kind == CATALOG_TILE ? -1 : 1;
	/* Two may begin alike when a seal whose commit was in doubt was made again: the longer is newer. */
	if (a->kind == CATALOG_RUN && a->seq_lo == b->seq_lo)
		return (a->seq_hi > b->seq_hi) - (a->seq_hi < b->seq_hi);
	if (a->kind == CATALOG_RUN)
		return a->seq_lo < b->seq_lo ? -1 : 1;
	if (a->date != b->date)
		return a->date < b->date ? -1 : 1;
	if (a->part != b->part)
		return a->part < b->part ? -1 : 1;
	return strcmp(a->path, b->path);
}

int file_set_make(struct table *t, struct file **add, uint32_t add_n, const uint64_t *drop_ids,
		  uint32_t drop_n, struct file_set **ret, struct err *e)
{
	struct file_set *old = t->files; /* only holders of maint_mu change it */
	struct file_set *s = calloc(1, sizeof *s + (old->n + add_n) * sizeof s->v[0]);

	if (!s)
		return err_set(e, -ENOMEM, "out of memory for the files of table '%s'", table_name(t));
	atomic_init(&s->refs, 1);
	for (uint32_t i = 0; i < old->n; i++) {
		bool is_dropped = false;
		for (uint32_t k = 0; k < drop_n && !is_dropped; k++)
			is_dropped = old->v[i]->meta.id == drop_ids[k];
		if (!is_dropped)
			s->v[s->n++] = file_get(old->v[i]);
	}
	for (uint32_t i = 0; i < add_n; i++)
		s->v[s->n++] = add[i];
	qsort(s->v, s->n, sizeof s->v[0], by_age);
	*ret = s;
	return 0;
}

void file_set_install(struct table *t, struct file_set *s)
{
	pthread_mutex_lock(&t->mu);
	struct file_set *old = t->files;
	t->files = s;
	table_note_change(t);
	pthread_mutex_unlock(&t->mu);
	file_set_put(old);
}

/* ---- what was moved ------------------------------------------------------------------------------------ */

uint32_t file_moved_from(const struct file *f, int32_t date)
{
	uint32_t lo = 0, hi = f->moved_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (f->moved[mid].date < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int64_t file_moved_upto(const struct file *f, int32_t date)
{
	uint32_t at = file_moved_from(f, date);

	return at < f->moved_count && f->moved[at].date == date ? f->moved[at].upto_ns : INT64_MIN;
}

/* ---- loading ------------------------------------------------------------------------------------------ */

struct loading {
	struct file **v;
	uint32_t n, cap;
	uint64_t generation;
	bool is_part_unknown; /* of some tile */
	struct err *e;
};

static int load_one(void *ctx, const struct catalog_file *meta)
{
	struct loading *l = ctx;
	const char *below = meta->kind == CATALOG_RUN ? DIR_RUNS "/" : DIR_TILES "/";

	/* Paths are joined to others and unlinked: what this program did not write is not believed. */
	if (strncmp(meta->path, below, strlen(below)) != 0 || strstr(meta->path, "..") ||
	    (meta->kind == CATALOG_TILE && (meta->date < DATE_MIN || meta->date > DATE_MAX)))
		return err_set(l->e, -EBADMSG, "the catalogue names the malformed file '%s'", meta->path);
	if (l->n == l->cap) {
		uint32_t cap = MAX(l->cap * 2, 16u);
		struct file **v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return err_set(l->e, -ENOMEM, "out of memory");
		l->v = v;
		l->cap = cap;
	}
	struct file *f = file_create(meta, NULL);
	if (!f)
		return err_set(l->e, -ENOMEM, "out of memory");
	l->v[l->n++] = f;
	l->generation = MAX(l->generation, meta->generation);
	l->is_part_unknown |= meta->kind == CATALOG_TILE && !meta->parts;
	return 0;
}

struct loading_moved {
	struct file *f;
	struct err *e;
};

static int load_moved(void *ctx, int32_t date, int64_t upto_ns)
{
	struct loading_moved *lm = ctx;
	struct file *f = lm->f;

	if (date < DATE_MIN || date > DATE_MAX)
		return err_set(lm->e, -EBADMSG, "the catalogue has an impossible date for '%s'", f->meta.path);
	struct moved *m = realloc(f->moved, (f->moved_count + 1) * sizeof *m);

	if (!m)
		return err_set(lm->e, -ENOMEM, "out of memory");
	uint32_t at = f->moved_count++;
	f->moved = m;
	while (at > 0 && m[at - 1].date > date) {
		m[at] = m[at - 1];
		at--;
	}
	m[at] = (struct moved){date, upto_ns};
	return 0;
}

int table_load_files(struct table *t, struct err *e)
{
	struct loading l = {.e = e};
	struct file_set *set;
	int rc = catalog_files(t->db->cat, t->meta.id, load_one, &l, e);

	for (uint32_t i = 0; i < l.n && rc >= 0; i++) {
		struct loading_moved lm = {l.v[i], e};
		if (l.v[i]->meta.kind == CATALOG_RUN)
			rc = catalog_moved(t->db->cat, l.v[i]->meta.id, load_moved, &lm, e);
	}
	t->generation = l.generation + 1;
	if (l.is_part_unknown)
		atomic_store(&t->force_migrate, true);
	if (rc >= 0)
		rc = file_set_make(t, l.v, l.n, NULL, 0, &set, e);
	if (rc >= 0)
		file_set_install(t, set);
	else
		for (uint32_t i = 0; i < l.n; i++)
			file_put(l.v[i]);
	free(l.v);
	return rc;
}

/*
 * A file that the catalogue no longer names. Queries that hold the set it was in may not have opened
 * it yet: it is opened first, so that the descriptor outlives the name. Empty directories go too.
 */
void file_unlink(struct table *t, struct file *f)
{
	const struct io *io = t->db->en->io;
	char path[sizeof t->dir + sizeof f->meta.path + 2];
	struct tile *tile;

	(void)!file_tile(f, t, &tile, NULL);
	snprintf(path, sizeof path, "%s/%s", t->dir, f->meta.path);
	io->unlinkat(io, t->db->dirfd, path, 0);
	if (f->meta.kind != CATALOG_TILE)
		return;
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(path, '/');
		*slash = '\0';
		if (io->unlinkat(io, t->db->dirfd, path, AT_REMOVEDIR) < 0)
			break;
	}
}

/* ---- tiles as files --------------------------------------------------------------------------------------- */

static bool is_tile(const struct file *f)
{
	return f->meta.kind == CATALOG_TILE;
}

struct file_set *table_pin_files(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	struct file_set *s = file_set_get(t->files);
	pthread_mutex_unlock(&t->mu);
	return s;
}

int table_tiles(struct table *t, struct tile_entry **ret, uint32_t *ret_n)
{
	struct file_set *s = table_pin_files(t);
	struct tile_entry *v = calloc(s->n ? s->n : 1, sizeof *v);
	uint32_t n = 0;

	for (uint32_t i = 0; v && i < s->n; i++) {
		const struct catalog_file *m = &s->v[i]->meta;
		if (!is_tile(s->v[i]))
			continue;
		v[n].id = m->id;
		v[n].bytes = m->bytes;
		v[n].mtime_ns = m->created_ns;
		/* Without "magnetic/", which is the reader's own root. */
		snprintf(v[n].path, sizeof v[n].path, "%s", m->path + sizeof DIR_TILES);
		n++;
	}
	file_set_put(s);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

static struct file *find_tile(struct table *t, const char *path)
{
	struct file_set *s = table_pin_files(t);
	struct file *found = NULL;

	for (uint32_t i = 0; i < s->n && !found; i++)
		if (is_tile(s->v[i]) && strcmp(s->v[i]->meta.path + sizeof DIR_TILES, path) == 0)
			found = file_get(s->v[i]);
	file_set_put(s);
	return found;
}

int table_tile_fd(struct table *t, const char *path, int *ret_fd, struct err *e)
{
	struct file *f = find_tile(t, path);
	char full[sizeof t->dir + sizeof f->meta.path + 2];

	if (!f)
		return err_set(e, -ENOENT, "there is no tile '%s'", path);
	snprintf(full, sizeof full, "%s/%s", t->dir, f->meta.path);
	int fd = t->db->en->io->openat(t->db->en->io, t->db->dirfd, full, O_RDONLY, 0);
	file_put(f);
	if (fd < 0)
		return err_set(e, fd, "%s: %s", full, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

int table_tile_remove(struct table *t, const char *path, struct err *e)
{
	struct file_set *next;
	int rc = table_check_alive(t, e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->maint_mu);
	struct file *f = find_tile(t, path);
	if (!f) {
		pthread_mutex_unlock(&t->maint_mu);
		return err_set(e, -ENOENT, "there is no tile '%s'", path);
	}
	rc = file_set_make(t, NULL, 0, &f->meta.id, 1, &next, e);
	if (rc >= 0) {
		rc = catalog_file_remove(t->db->cat, f->meta.id, e);
		if (rc >= 0) {
			file_set_install(t, next);
			file_unlink(t, f);
		} else {
			file_set_put(next);
		}
	}
	pthread_mutex_unlock(&t->maint_mu);
	file_put(f);
	return rc;
}
