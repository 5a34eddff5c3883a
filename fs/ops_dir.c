/*
 * ops_dir: names. What a directory holds: the rows of its level, and what comes by itself
 * (databases, tables, tiles, statements, scratch and incoming files), one small function each below.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/makers.h"
#include "fs/ops.h"
#include "fs/q_dir.h"
#include "fs/scratch.h"
#include "fs/snapshots.h"
#include "fs/tiles_file.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

/* ---- finding ---------------------------------------------------------------------------------------- */

static struct node *dir_node(struct fs *fs, struct node *parent, enum level level, const struct vfile *row,
			     struct db *db, struct table *t, const char *name)
{
	struct node_spec spec = {
		.kind = NODE_DIR,
		.level = level,
		.row = row,
		.db = db,
		.table = t,
		.name = name,
	};
	return node_intern(fs, parent, &spec);
}

static struct node *row_node(struct fs *fs, struct node *dir, const struct vfile *row)
{
	struct node_spec spec = {
		.kind = NODE_FILE,
		.level = dir->level,
		.row = row,
		.db = dir->db,
		.table = dir->table,
		.name = row->name,
	};

	if (S_ISDIR(row->mode))
		return dir_node(fs, dir, row->child, row, dir->db, dir->table, row->name);
	return node_claim(fs, dir, &spec); /* a nodeid that nobody uses: see nodes.h */
}

static struct node *db_node(struct fs *fs, struct node *root, struct db *db)
{
	return dir_node(fs, root, LEVEL_DB, NULL, db, NULL, db_name(db));
}

static struct node *table_node(struct fs *fs, struct node *dir, struct table *t)
{
	return dir_node(fs, dir, LEVEL_TABLE, NULL, dir->db, t, table_name(t));
}

/* A temporary file. */
static int scratch_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	struct scratch *s = scratch_find(fs, dir, name);

	if (!s)
		return -ENOENT;
	*ret = scratch_node(fs, dir, s);
	scratch_put(s);
	return *ret ? 0 : -ENOMEM;
}

/* One reference. req: who asks, for statements. */
static int find(struct fs *fs, struct node *dir, const char *name, fuse_req_t req, struct node **ret)
{
	const struct vfile *row = files_find(dir->level, name);
	struct node *n = NULL;

	if (row) {
		n = row_node(fs, dir, row);
		if (!n)
			return -ENOMEM;
		*ret = n;
		return 0;
	}
	switch (dir->level) {
	case LEVEL_ROOT: {
		struct db *db = engine_db(fs->engine, str_from(name));
		if (!db)
			return -ENOENT;
		n = db_node(fs, dir, db);
		db_put(db);
		break;
	}
	case LEVEL_DB: {
		struct table *t = db_table(dir->db, str_from(name));
		if (!t)
			return scratch_lookup(fs, dir, name, ret);
		n = table_node(fs, dir, t);
		table_put(t);
		break;
	}
	case LEVEL_MAGNETIC:
	case LEVEL_DATE:
	case LEVEL_PART: {
		int rc = tiles_lookup(fs, dir, name, ret);
		return rc == -ENOENT ? incoming_lookup(fs, dir, name, ret) : rc;
	}
	case LEVEL_Q:
		return q_lookup(fs, dir, name, req, ret);
	case LEVEL_RETENTION:
	case LEVEL_SETTINGS:
		return scratch_lookup(fs, dir, name, ret);
	case LEVEL_SNAPSHOTS:
	case LEVEL_SNAPSHOT:
	case LEVEL_SNAPSHOT_DIR:
		return snapshot_lookup(fs, dir, name, ret);
	default:
		return -ENOENT;
	}
	if (!n)
		return -ENOMEM;
	*ret = n;
	return 0;
}

void reply_node(struct fs *fs, fuse_req_t req, struct node *n)
{
	struct fuse_entry_param entry;
	int rc = entry_fill(fs, n, &entry);

	if (rc < 0) {
		reply_err(req, rc);
	} else {
		node_lookup_add(fs, n);
		if (fuse_reply_entry(req, &entry) == -ENOENT)
			node_forget(fs, n, 1); /* interrupted: the kernel has not seen it */
	}
	node_put(fs, n);
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *dir = nodes_from_ino(fs, parent), *n;
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, dir, &c, X_OK);
	caller_release(&c);
	if (rc >= 0 && !node_is_dir(dir))
		rc = -ENOTDIR;
	if (rc >= 0 && makers_hide(fs->makers, fuse_req_ctx(req)->pid, dir, name))
		rc = -ENOENT;
	if (rc >= 0)
		rc = find(fs, dir, name, req, &n);
	if (rc < 0)
		reply_refused(req, "lookup", dir, name, rc, NULL);
	else
		reply_node(fs, req, n);
}

/* ---- making and removing -------------------------------------------------------------------------------- */

/* Whose it is and with what mode: what mkdir(2) said, where it is not what it would inherit. */
static int own(struct fs *fs, struct node *n, const struct caller *c, mode_t mode, struct err *e)
{
	struct node_attr now, want = {mode & 0777, c->uid, c->gid};

	node_owner(fs, n, &now);
	if (now.mode == want.mode && now.uid == want.uid && now.gid == want.gid)
		return 0;
	return engine_attr_set(fs->engine, n->db, n->table ? table_name(n->table) : "", &want, e);
}

/* What its maker has not seen yet (makers.h). */
static int make_again(struct fs *fs, struct node *dir, const char *name, const struct caller *c, mode_t mode,
		      struct node **ret, struct err *e)
{
	const struct vfile *row = files_find(dir->level, name);
	struct table *t = row ? NULL : db_table(dir->db, str_from(name));
	struct node *n;
	int rc = 0;

	if (!row && !t)
		return -ESTALE; /* dropped this moment */
	n = row ? row_node(fs, dir, row) : table_node(fs, dir, t);
	if (n && t) {
		makers_add_magnetic(fs->makers, c->pid, t);
		rc = own(fs, n, c, mode, e);
	}
	table_put(t);
	if (rc < 0)
		node_put(fs, n);
	else if (n)
		*ret = n;
	return n ? rc : -ENOMEM;
}

static int make_dir(struct fs *fs, struct node *dir, const char *name, const struct caller *c,
		    mode_t mode, struct node **ret, struct err *e)
{
	struct node *n = NULL;
	int rc;

	if (makers_take(fs->makers, c->pid, dir, name))
		return make_again(fs, dir, name, c, mode, ret, e);
	if (files_find(dir->level, name))
		return -EEXIST;
	if (incoming_dir(dir)) {
		rc = tiles_lookup(fs, dir, name, &n);
		node_put(fs, n);
		return rc == -ENOENT ? incoming_mkdir(fs, dir, name, ret, e) : rc < 0 ? rc : -EEXIST;
	}
	if (dir->level == LEVEL_ROOT) {
		struct db *db;
		rc = engine_db_create(fs->engine, str_from(name), &db, e);
		if (rc < 0)
			return rc;
		n = db_node(fs, dir, db);
		db_put(db);
	} else if (dir->level == LEVEL_DB) {
		struct table *t;
		rc = db_table_create(dir->db, str_from(name), &t, e);
		if (rc < 0)
			return rc;
		n = table_node(fs, dir, t);
		makers_add_magnetic(fs->makers, c->pid, t);
		table_put(t);
	} else {
		return err_set(e, -EPERM, "directories cannot be made here");
	}
	if (!n)
		return -ENOMEM;
	rc = own(fs, n, c, mode, e);
	if (rc < 0) {
		node_put(fs, n);
		return rc;
	}
	*ret = n;
	return 0;
}

void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *dir = nodes_from_ino(fs, parent), *n = NULL;
	struct err e = {0};
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, dir, &c, W_OK | X_OK);
	if (rc >= 0 && dir->level == LEVEL_SNAPSHOTS) {
		caller_release(&c);
		snapshot_mkdir(fs, req, dir, name);
		return;
	}
	if (rc >= 0)
		rc = make_dir(fs, dir, name, &c, mode, &n, &e);
	caller_release(&c);
	if (rc < 0) {
		if (e.code)
			fs_note_refusal(fs, dir, &e, rc);
		reply_refused(req, "mkdir", dir, name, rc, &e);
	} else {
		reply_node(fs, req, n);
	}
}

static int remove_dir(struct fs *fs, struct node *dir, const char *name, struct err *e)
{
	if (files_find(dir->level, name))
		return err_set(e, -EPERM, "a fixed part of the mount");
	switch (dir->level) {
	case LEVEL_ROOT:
		return engine_db_drop(fs->engine, str_from(name), e);
	case LEVEL_DB:
		return db_table_drop(dir->db, str_from(name), true, e);
	case LEVEL_MAGNETIC:
	case LEVEL_DATE: {
		int rc = tiles_rmdir(fs, dir, name);
		if (rc >= 0)
			rc = incoming_rmdir(fs, dir, name);
		if (rc >= 0 || rc == -ENOENT)
			incoming_forget_restored(fs, dir, name);
		return rc == -ENOENT ? 0 : rc; /* its last tile went a moment ago */
	}
	default:
		return -EPERM;
	}
}

static int remove_file(struct fs *fs, struct node *dir, const char *name, struct err *e)
{
	if (files_find(dir->level, name))
		return err_set(e, -EPERM, "a fixed part of the mount; DROP TABLE drops a table");
	if (incoming_dir(dir)) {
		int rc = dir->level == LEVEL_PART ? tiles_unlink(fs, dir, name, e) : -ENOENT;
		if (rc >= 0)
			incoming_forget_restored(fs, dir, name);
		return rc == -ENOENT ? incoming_unlink(fs, dir, name) : rc;
	}
	if (scratch_dir(dir, name))
		return scratch_unlink(fs, dir, name);
	return -EPERM;
}

static void remove_any(fuse_req_t req, fuse_ino_t parent, const char *name, const char *op,
		       int (*fn)(struct fs *fs, struct node *dir, const char *name, struct err *e))
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *dir = nodes_from_ino(fs, parent);
	struct err e = {0};
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, dir, &c, W_OK | X_OK);
	caller_release(&c);
	if (rc >= 0 && dir->level == LEVEL_SNAPSHOTS && fn == remove_dir) {
		snapshot_rmdir(fs, req, dir, name);
		return;
	}
	if (rc >= 0)
		rc = fn(fs, dir, name, &e);
	if (rc == -ENOTEMPTY && e.code)
		fs_note_refusal(fs, dir, &e, rc);
	if (rc < 0)
		reply_refused(req, op, dir, name, rc, &e);
	else
		reply_err(req, 0);
}

void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_any(req, parent, name, "rmdir", remove_dir);
}

void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_any(req, parent, name, "unlink", remove_file);
}

/* ---- renaming: what editors do to a setting ---------------------------------------------------------------- */

/* sed -i, mv: the new text over the setting. Checked and stored like a write. */
static int rename_over(struct fs *fs, struct node *dir, const struct vfile *row, struct scratch *s,
		       struct err *e)
{
	struct buf text;
	struct node *n;
	int rc;

	if (!row->store)
		return -EPERM;
	n = row_node(fs, dir, row);
	if (!n)
		return -ENOMEM;
	buf_init(&text, SCRATCH_BYTES_MAX);
	scratch_text(s, &text);
	rc = text.rc < 0 ? text.rc : row->store(fs, n, buf_str(&text), e);
	if (rc < 0)
		fs_note_refusal(fs, n, e, rc);
	buf_release(&text);
	node_put(fs, n);
	return rc;
}

/* vim: the setting away to a backup. The backup gets a copy; a setting cannot be away. */
static int rename_away(struct fs *fs, struct node *dir, const struct vfile *row, struct node *to_dir,
		       const char *name, struct caller *c, struct err *e)
{
	struct scratch *s = NULL;
	struct buf text;
	struct node *n;
	int rc;

	if (!row->store || !scratch_dir(to_dir, name))
		return -EPERM;
	n = row_node(fs, dir, row);
	if (!n)
		return -ENOMEM;
	buf_init(&text, SCRATCH_BYTES_MAX);
	rc = row->show(fs, n, &text, e);
	node_put(fs, n);
	if (rc >= 0) {
		(void)!scratch_unlink(fs, to_dir, name);
		rc = scratch_create(fs, to_dir, name, 0600, c, &s, e);
	}
	if (rc >= 0) {
		rc = scratch_set(s, buf_str(&text));
		scratch_put(s);
	}
	buf_release(&text);
	return rc;
}

/* rsync: a whole snapshot.json under its name. */
static int rename_to_json(struct fs *fs, struct node *dir, struct scratch *s, struct caller *c, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, SCRATCH_JSON_BYTES_MAX);
	scratch_text(s, &text);
	rc = text.rc < 0 ? text.rc : snapshot_json_store(fs, dir, buf_str(&text), c, e);
	buf_release(&text);
	if (rc >= 0)
		scratch_rename(fs, s, dir, SNAPSHOT_JSON);
	return rc;
}

static int do_rename(struct fs *fs, struct node *from_dir, const char *from, struct node *to_dir,
		     const char *to, unsigned flags, struct caller *c, struct err *e)
{
	const struct vfile *from_row = files_find(from_dir->level, from);
	const struct vfile *to_row = files_find(to_dir->level, to);
	struct scratch *s, *other;
	struct node_attr owner;
	int rc = 0;

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (from_row && to_row)
		return -EPERM;
	if (incoming_dir(from_dir) || incoming_dir(to_dir))
		return incoming_rename(fs, from_dir, from, to_dir, to, flags, c, e);
	if (from_row)
		return rename_away(fs, from_dir, from_row, to_dir, to, c, e);
	if (!scratch_dir(from_dir, from) || !scratch_dir(to_dir, to) || from_dir->db != to_dir->db ||
	    from_dir->table != to_dir->table)
		return err_set(e, -EPERM, "databases, tables and tiles keep their names and places");
	s = scratch_find(fs, from_dir, from);
	if (!s)
		return -ENOENT;
	scratch_owner(s, &owner);
	other = scratch_find(fs, to_dir, to);
	if (c->uid != 0 && c->uid != owner.uid)
		rc = -EACCES;
	else if (flags & RENAME_NOREPLACE && (to_row || other))
		rc = -EEXIST;
	else if (to_row)
		rc = rename_over(fs, to_dir, to_row, s, e);
	else if (strcmp(to, SNAPSHOT_JSON) == 0 && to_dir->level == LEVEL_DB)
		rc = rename_to_json(fs, to_dir, s, c, e);
	else
		scratch_rename(fs, s, to_dir, to);
	if (rc >= 0 && to_row)
		(void)!scratch_unlink(fs, from_dir, from);
	scratch_put(other);
	scratch_put(s);
	return rc;
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *from = nodes_from_ino(fs, parent), *to = nodes_from_ino(fs, newparent);
	struct err e = {0};
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, from, &c, W_OK | X_OK);
	if (rc >= 0)
		rc = node_access(fs, to, &c, W_OK | X_OK);
	if (rc >= 0)
		rc = do_rename(fs, from, name, to, newname, flags, &c, &e);
	caller_release(&c);
	if (rc < 0)
		reply_refused(req, "rename", from, name, rc, &e);
	else
		reply_err(req, 0);
}

void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	reply_err(req, -EPERM);
}

void on_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	reply_err(req, -EPERM);
}

void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	reply_err(req, -EPERM);
}

/* ---- listing --------------------------------------------------------------------------------------------- */

/* One directory as it was at opendir(3); offsets are indexes into it, so they stay valid. */
struct entry {
	char *name;
	uint64_t ino;
	mode_t type;
	struct node *node; /* referenced; NULL: the kernel looks it up when it wants more */
	bool told;         /* the reply being made counts as a lookup of it */
};

struct listing {
	struct fs *fs;
	struct entry *v;
	uint32_t n, cap;
};

static int list_add(struct listing *l, const char *name, mode_t type, uint64_t ino, struct node *n)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 32;
		struct entry *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	struct entry *en = &l->v[l->n];
	*en = (struct entry){strdup(name), ino, type, n ? node_get(l->fs, n) : NULL, false};
	if (!en->name)
		return -ENOMEM;
	l->n++;
	return 0;
}

static int list_add_node(void *ctx, const char *name, struct node *n)
{
	return list_add(ctx, name, node_is_dir(n) ? S_IFDIR : S_IFREG, n->ino, n);
}

/* The same, unless there is one of that name: what has tiles by now was made by hand before. */
static int list_add_new(void *ctx, const char *name, struct node *n)
{
	const struct listing *l = ctx;

	for (uint32_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return 0;
	return list_add_node(ctx, name, n);
}

static int list_add_name(void *ctx, const char *name)
{
	return list_add(ctx, name, S_IFREG, hash_bytes(name, strlen(name), 0) | 1, NULL);
}

static void listing_free(struct listing *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->v[i].node)
			node_put(l->fs, l->v[i].node);
		free(l->v[i].name);
	}
	free(l->v);
	free(l);
}

static int list_rows(struct fs *fs, struct node *dir, struct listing *l)
{
	const struct vfile *row;
	int rc = 0;

	for (int i = 0; rc >= 0 && (row = files_row(dir->level, i)); i++) {
		struct node *n;
		if (row->flags & VF_HIDDEN)
			continue;
		n = row_node(fs, dir, row);
		if (!n)
			return -ENOMEM;
		/* Control files are looked up one by one: each of those gets a nodeid, and its text is
		 * rendered, only if somebody wants it. */
		rc = list_add(l, row->name, row->mode & S_IFMT, n->ino, S_ISDIR(row->mode) ? n : NULL);
		node_put(fs, n);
	}
	return rc;
}

static int list_dbs(struct fs *fs, struct node *dir, struct listing *l)
{
	struct db **v;
	uint32_t n;
	int rc = engine_dbs(fs->engine, &v, &n);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		struct node *child = rc >= 0 ? db_node(fs, dir, v[i]) : NULL;
		if (child) {
			rc = list_add_node(l, child->name, child);
			node_put(fs, child);
		}
		db_put(v[i]);
	}
	free(v);
	return rc;
}

static int list_tables(struct fs *fs, struct node *dir, struct listing *l)
{
	struct table **v;
	uint32_t n;
	int rc = db_tables(dir->db, &v, &n);

	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++) {
		struct node *child = rc >= 0 ? table_node(fs, dir, v[i]) : NULL;
		if (child) {
			rc = list_add_node(l, child->name, child);
			node_put(fs, child);
		}
		table_put(v[i]);
	}
	free(v);
	return rc;
}

static int list_children(struct fs *fs, struct node *dir, struct listing *l)
{
	switch (dir->level) {
	case LEVEL_ROOT:
		return list_dbs(fs, dir, l);
	case LEVEL_DB:
		return list_tables(fs, dir, l);
	case LEVEL_MAGNETIC:
	case LEVEL_DATE:
	case LEVEL_PART: {
		int rc = tiles_list(fs, dir, list_add_node, l);
		return rc < 0 ? rc : incoming_list(fs, dir, list_add_new, l);
	}
	case LEVEL_RETENTION:
	case LEVEL_SETTINGS:
		return scratch_list(fs, dir, list_add_name, l);
	case LEVEL_SNAPSHOTS:
	case LEVEL_SNAPSHOT:
	case LEVEL_SNAPSHOT_DIR:
		return snapshot_list(fs, dir, list_add_node, l);
	default:
		return 0; /* q/ holds every statement, and lists none */
	}
}

static void listing_release(struct handle *h)
{
	listing_free(h->priv);
}

static const struct file_ops listing_ops = {.release = listing_release};

static int open_listing(struct fs *fs, fuse_req_t req, struct node *dir, struct handle **ret)
{
	struct listing *l;
	struct handle *h;
	struct caller c;
	int rc;

	caller_init(&c, req);
	rc = node_access(fs, dir, &c, R_OK);
	caller_release(&c);
	if (rc < 0)
		return rc;
	l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->fs = fs;
	rc = list_add(l, ".", S_IFDIR, dir->ino, NULL);
	if (rc >= 0)
		rc = list_add(l, "..", S_IFDIR, dir->parent ? dir->parent->ino : dir->ino, NULL);
	if (rc >= 0)
		rc = list_rows(fs, dir, l);
	if (rc >= 0)
		rc = list_children(fs, dir, l);
	if (rc >= 0)
		rc = handle_create(fs, dir, &listing_ops, &h);
	if (rc < 0) {
		listing_free(l);
		return rc;
	}
	h->priv = l;
	*ret = h;
	return 0;
}

void on_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node *dir = nodes_from_ino(fs, ino);
	struct handle *h;
	int rc = open_listing(fs, req, dir, &h);

	if (rc < 0) {
		reply_refused(req, "opendir", dir, NULL, rc, NULL);
		return;
	}
	fi->fh = (uintptr_t)h;
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_close(h);
}

static void read_listing(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct handle *h = handle_enter(fi);
	struct fs *fs = h->fs;
	struct listing *l = h->priv;
	uint32_t first = off < 0 || (uint64_t)off > l->n ? l->n : (uint32_t)off, i;
	char *to = malloc(size);
	size_t used = 0;

	if (!to) {
		reply_err(req, -ENOMEM);
		handle_close(h);
		return;
	}
	for (i = first; i < l->n; i++) {
		struct entry *en = &l->v[i];
		/* ino 0: the entry has a type and an inode number, and no node yet. */
		struct fuse_entry_param p = {.attr = {.st_ino = en->ino, .st_mode = en->type}};
		size_t need;

		en->told = false;
		if (plus && en->node) {
			if (entry_fill(fs, en->node, &p) < 0)
				continue; /* dropped meanwhile */
			node_lookup_add(fs, en->node);
			en->told = true;
		}
		need = plus ? fuse_add_direntry_plus(req, to + used, size - used, en->name, &p, (off_t)i + 1)
			    : fuse_add_direntry(req, to + used, size - used, en->name, &p.attr, (off_t)i + 1);
		if (need > size - used) {
			if (p.ino)
				node_forget(fs, en->node, 1);
			break;
		}
		used += need;
	}
	if (fuse_reply_buf(req, to, used) == -ENOENT && plus) /* interrupted: the kernel saw none of it */
		for (uint32_t k = first; k < i; k++)
			if (l->v[k].told)
				node_forget(fs, l->v[k].node, 1);
	free(to);
	handle_close(h);
}

void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_listing(req, size, off, fi, false);
}

void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_listing(req, size, off, fi, true);
}

void on_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_close((struct handle *)(uintptr_t)fi->fh);
	reply_err(req, 0);
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_enter(fi);
	struct err e = {0};
	int rc = h->node->db && node_check(h->node) == 0 ? db_sync(h->node->db, &e) : 0;

	reply_err(req, rc < 0 ? rc : 0);
	handle_close(h);
}
