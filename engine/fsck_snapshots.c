/*
 * fsck of snapshots: snapshot.json is whole and known, every tile that it names is there, verifies, and has the
 * rows and bytes it says; and nothing else lies there.
 *
 * Repair removes what a mount would sweep: directories whose snapshot was not finished, or half dropped.
 * Of a damaged snapshot nothing is touched. The database does without it, and what is whole of it can
 * still be read and restored.
 */
#include "engine/dir.h"
#include "engine/fsck_impl.h"
#include "engine/snapshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 1400
#define ADVICE     "nothing of a snapshot is changed: restore what is whole of it, make a new one, then rmdir this"

struct looking {
	struct fsck_db *d;
	const char *name;
	int dirfd;
	struct snap_doc doc;
	struct str *known; /* paths below the snapshot, sorted */
	uint32_t known_n;
	struct err *e;
};

/* path: below the snapshot; "" itself. */
static void found(struct looking *l, const char *path, enum fsck_severity s, const char *advice, const char *what)
{
	char full[PATH_BYTES];
	size_t n = strlen(path);

	/* Sentences begin with the file as it was opened. */
	if (n && strncmp(what, path, n) == 0 && strncmp(what + n, ": ", 2) == 0)
		what += n + 2;
	snprintf(full, sizeof full, DIR_SNAPSHOTS "/%s%s%s", l->name, *path ? "/" : "", path);
	fsck_found(l->d->f, (struct fsck_where){l->d, NULL, full, -1}, s, false, 0, advice, "%s", what);
}

/* ---- what was read already --------------------------------------------------------------------------- */

static uint64_t *inode_slot(const struct fsck_inodes *set, uint64_t ino)
{
	size_t i = hash_u64(ino) & (set->cap - 1);

	while (set->v[i] && set->v[i] != ino)
		i = (i + 1) & (set->cap - 1);
	return &set->v[i];
}

/* Without memory it is read once more, that is all. */
void fsck_note_whole(struct fsck_db *d, const struct stat *st)
{
	struct fsck_inodes *set = &d->whole, grown;

	if (st->st_nlink < 2)
		return;
	if (set->n * 2 >= set->cap) {
		grown = (struct fsck_inodes){.cap = set->cap ? set->cap * 2 : 1024, .n = set->n};
		grown.v = calloc(grown.cap, sizeof *grown.v);
		if (!grown.v)
			return;
		for (size_t i = 0; i < set->cap; i++)
			if (set->v[i])
				*inode_slot(&grown, set->v[i]) = set->v[i];
		free(set->v);
		*set = grown;
	}
	uint64_t *slot = inode_slot(set, st->st_ino);
	set->n += !*slot;
	*slot = st->st_ino;
}

bool fsck_is_whole(const struct fsck_db *d, const struct stat *st)
{
	return st->st_nlink > 1 && d->whole.cap && *inode_slot(&d->whole, st->st_ino);
}

/* ---- what it names ------------------------------------------------------------------------------- */

static int by_text(const void *x, const void *y)
{
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* Is it a path that a snapshot has, and not one that leads elsewhere? */
static bool is_proper(struct str path)
{
	struct str s = path;

	for (;;) {
		const char *slash = s.len ? memchr(s.ptr, '/', s.len) : NULL;
		size_t n = slash ? (size_t)(slash - s.ptr) : s.len;
		if (!n || s.ptr[0] == '.' || memchr(s.ptr, '\0', n))
			return false;
		if (!slash)
			return true;
		s.ptr += n + 1;
		s.len -= n + 1;
	}
}

static int collect(struct looking *l)
{
	uint32_t n = 1;

	for (uint32_t i = 0; i < l->doc.table_n; i++)
		n += l->doc.tables[i].tile_n;
	l->known = arena_array(&l->doc.arena, struct str, n);
	if (!l->known)
		return err_set(l->e, -ENOMEM, "out of memory");
	l->known[l->known_n++] = STR_LIT(FILE_SNAPSHOT);
	for (uint32_t i = 0; i < l->doc.table_n; i++)
		for (uint32_t k = 0; k < l->doc.tables[i].tile_n; k++) {
			const struct snap_table *t = &l->doc.tables[i];
			char *path = arena_printf(&l->doc.arena, "%.*s/" DIR_TILES "/%.*s", STR_FMT(t->name),
						  STR_FMT(t->tiles[k].path));
			if (!path)
				return err_set(l->e, -ENOMEM, "out of memory");
			l->known[l->known_n++] = str_from(path);
		}
	qsort(l->known, l->known_n, sizeof *l->known, by_text);
	return 0;
}

static int check_tile(struct looking *l, const struct snap_table *t, const struct snap_tile *st)
{
	char path[PATH_BYTES - 300], what[200];
	struct err why = {0};
	struct tile *tile = NULL;
	struct stat s;

	snprintf(path, sizeof path, "%.*s/" DIR_TILES "/%.*s", STR_FMT(t->name), STR_FMT(st->path));
	if (!is_proper(st->path) || !is_proper(t->name)) {
		found(l, FILE_SNAPSHOT, FSCK_ERROR, ADVICE, "names a malformed path");
		return 0;
	}
	if (fstatat(l->dirfd, path, &s, AT_SYMLINK_NOFOLLOW) < 0) {
		found(l, path, FSCK_ERROR, ADVICE, "is missing");
		return 0;
	}
	int rc = tile_open(l->d->f->io, l->dirfd, path, &tile, &why);
	if (rc >= 0 && !fsck_is_whole(l->d, &s)) {
		rc = tile_verify(tile, &why);
		if (rc >= 0)
			fsck_note_whole(l->d, &s);
	}
	fsck_checked(l->d->f, (uint64_t)s.st_size);
	if (rc == -ENOMEM) {
		tile_put(tile);
		return err_set(l->e, rc, "%s", err_text(&why, rc));
	}
	if (rc < 0) {
		found(l, path, FSCK_ERROR, rc == -EBADMSG ? ADVICE : "check the disk", err_text(&why, rc));
	} else if (tile_info(tile)->rows != st->rows || tile_info(tile)->file_bytes != st->bytes) {
		snprintf(what, sizeof what,
			 "has %" PRIu64 " rows in %" PRIu64 " bytes, where " FILE_SNAPSHOT " says %" PRIu64 " in %" PRIu64,
			 tile_info(tile)->rows, tile_info(tile)->file_bytes, st->rows, st->bytes);
		found(l, path, FSCK_ERROR, ADVICE, what);
	}
	tile_put(tile);
	return 0;
}

static int check_stranger(void *ctx, const char *path, const struct stat *st)
{
	struct looking *l = ctx;
	struct str name = str_from(path + 2); /* behind "./" */

	if (S_ISDIR(st->st_mode) || bsearch(&name, l->known, l->known_n, sizeof *l->known, by_text))
		return 0;
	found(l, name.ptr, FSCK_ERROR, ADVICE, "is not named by " FILE_SNAPSHOT);
	return 0;
}

static int check_one(struct fsck_db *d, int at, const char *name, struct err *e)
{
	struct looking l = {.d = d, .name = name, .e = e};
	struct err why = {0};
	struct stat st;
	int rc;

	l.dirfd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l.dirfd < 0) {
		found(&l, "", FSCK_ERROR, ADVICE, strerror(errno));
		return 0;
	}
	snap_doc_init(&l.doc);
	rc = snap_doc_load(&l.doc, d->f->io, l.dirfd, ".", &why);
	if (fstatat(l.dirfd, FILE_SNAPSHOT, &st, AT_SYMLINK_NOFOLLOW) == 0)
		fsck_checked(d->f, (uint64_t)st.st_size);
	if (rc == -ENOMEM) {
		err_set(e, rc, "out of memory");
	} else if (rc < 0) {
		found(&l, FILE_SNAPSHOT, FSCK_ERROR, ADVICE, err_text(&why, rc));
		rc = 0;
	} else {
		rc = collect(&l);
		for (uint32_t i = 0; i < l.doc.table_n && rc >= 0; i++)
			for (uint32_t k = 0; k < l.doc.tables[i].tile_n && rc >= 0; k++)
				rc = check_tile(&l, &l.doc.tables[i], &l.doc.tables[i].tiles[k]);
		if (rc >= 0)
			rc = fsck_walk(l.dirfd, ".", check_stranger, &l);
	}
	snap_doc_release(&l.doc);
	close(l.dirfd);
	return rc;
}

/* ---- all of them --------------------------------------------------------------------------------- */

/* Half made, or half gone. */
static void sweep_one(struct fsck_db *d, int at, const char *name)
{
	char path[NAME_LEN_MAX + 16];
	struct stat st;
	int rc = 0;

	snprintf(path, sizeof path, DIR_SNAPSHOTS "/%s", name);
	if (fsck_repairs(d->f)) {
		dir_remove(at, name);
		rc = fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EIO : 0;
	}
	fsck_found(d->f, (struct fsck_where){d, NULL, path, -1}, FSCK_NOTE, true, rc, "remove it, as mounting would",
		   "is what is left of a snapshot that was being made or dropped");
}

int fsck_snapshots(struct fsck_db *d, struct err *e)
{
	DIR *dir = dir_open(d->dirfd, DIR_SNAPSHOTS, true);
	struct dirent *entry;
	int rc = 0;

	if (!dir)
		return 0;
	while (rc >= 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (name[0] == '.')
			sweep_one(d, dirfd(dir), name);
		else if (name_check(str_from(name), NULL) >= 0)
			rc = check_one(d, dirfd(dir), name, e);
	}
	closedir(dir);
	return rc;
}
