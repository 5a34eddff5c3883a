/*
 * attr: who asks, who owns, and who may.
 *
 * The mount does not rely on the kernel's permission checks: SQL names tables without walking a
 * path, so the daemon must know the rules anyway, and one place for them is better than two. What
 * somebody set with chmod or chown is kept by the engine; what nobody set is inherited: a file
 * belongs to whom its directory belongs to, with the mode of its row.
 *
 * What the bits of a table mean for SQL:
 *	read   search (x) on the database, read and search on the table, read on its `ingest`
 *	insert search on the database and the table's directory, write on its `ingest`: as for lines
 *	delete search on the database, write and search on the table's directory, and the right to read
 *	create, drop  write on the database's directory, as for mkdir and rmdir (and on the table's to drop it)
 * so `chmod 0220 ingest` makes a table that sensors write and cannot read. Rows lie in `magnetic/` and in
 * `rejected` too: where nobody gave these a mode, they are closed to group and others as `ingest` is.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/scratch.h"

/* ---- callers ---------------------------------------------------------------------------------- */

#define GROUPS_UNREAD (-1)

/* Supplementary groups from /proc/PID/status; what cannot be read counts as none. */
static void read_groups(struct caller *c)
{
	char path[64], text[16384];
	ssize_t n = -1;
	int fd;

	c->group_n = 0;
	if (c->pid <= 0)
		return;
	snprintf(path, sizeof path, "/proc/%d/status", (int)c->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';

	char *line = strstr(text, "\nGroups:");
	char *end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return; /* cut off: believe nothing of it */
	*end = '\0';
	line += strlen("\nGroups:");
	c->groups = malloc((size_t)(end - line) / 2 * sizeof *c->groups + sizeof *c->groups);
	if (!c->groups)
		return;
	for (;;) {
		char *after;
		unsigned long gid = strtoul(line, &after, 10);
		if (after == line)
			return;
		c->groups[c->group_n++] = (gid_t)gid;
		line = after;
	}
}

void caller_init(struct caller *c, fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	*c = (struct caller){
		.uid = ctx->uid,
		.gid = ctx->gid,
		.pid = ctx->pid,
		.sid = SID_UNKNOWN,
		.group_n = GROUPS_UNREAD,
	};
}

void caller_capture(struct caller *c, fuse_req_t req)
{
	caller_init(c, req);
	if (c->uid != 0)
		read_groups(c);
	else
		c->group_n = 0;
	if (c->pid > 0)
		c->sid = getsid(c->pid); /* -1 is SID_UNKNOWN */
}

int caller_copy(struct caller *to, const struct caller *from)
{
	gid_t *groups = NULL;

	if (from->group_n > 0) {
		groups = malloc((size_t)from->group_n * sizeof *groups);
		if (!groups)
			return -ENOMEM;
		memcpy(groups, from->groups, (size_t)from->group_n * sizeof *groups);
	}
	*to = *from;
	to->groups = groups;
	return 0;
}

void caller_release(struct caller *c)
{
	free(c->groups);
	c->groups = NULL;
	c->group_n = 0;
}

bool caller_same(const struct caller *a, const struct caller *b)
{
	int n = MAX(a->group_n, 0);

	return a->uid == b->uid && a->gid == b->gid && n == MAX(b->group_n, 0) &&
	       (n == 0 || memcmp(a->groups, b->groups, (size_t)n * sizeof *a->groups) == 0);
}

bool caller_in_group(struct caller *c, gid_t gid)
{
	if (c->gid == gid)
		return true;
	if (c->group_n == GROUPS_UNREAD)
		read_groups(c);
	for (int i = 0; i < c->group_n; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

bool caller_is_leaving(pid_t pid)
{
	static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGKILL};
	unsigned long long pending = 0, blocked = 0, set = 0;
	char path[64], line[256];
	FILE *f;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return true; /* it is gone */
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "SigPnd: %llx", &set) == 1 || sscanf(line, "ShdPnd: %llx", &set) == 1)
			pending |= set;
		else if (sscanf(line, "SigBlk: %llx", &set) == 1)
			blocked = set;
	}
	fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (pending & ~blocked & 1ULL << (ends[i] - 1))
			return true;
	return false;
}

/* ---- owners ------------------------------------------------------------------------------------- */

static void lay_over(const struct node_attr *own, struct node_attr *a)
{
	if (own->mode != UINT32_MAX)
		a->mode = own->mode & 0777;
	if (own->uid != UINT32_MAX)
		a->uid = own->uid;
	if (own->gid != UINT32_MAX)
		a->gid = own->gid;
}

/* What is stored for a path, over what it inherits. */
static void overlay(struct fs *fs, struct db *db, const char *path, struct node_attr *a)
{
	struct node_attr own;

	if (engine_attr(fs->engine, db, path, &own))
		lay_over(&own, a);
}

#define ATTR_PATH_MAX (NAME_LEN_MAX + 64)

/* The path its attributes are stored under; false: it has none of its own. */
static bool attr_path(const struct node *n, char *to)
{
	if (n->kind != NODE_DIR && n->kind != NODE_FILE)
		return false;
	switch (n->level) {
	case LEVEL_DATE:
	case LEVEL_PART:
		return false;
	default:
		break;
	}
	if (!n->row) { /* the root, a database, a table */
		snprintf(to, ATTR_PATH_MAX, "%s", n->table ? table_name(n->table) : "");
		return true;
	}
	bool below_row = n->parent->row != NULL; /* retention/memory */
	/* Adding rows is one right, whatever the format: ingest.jsonl has owner and mode of `ingest`. */
	const char *name = n->row->ops == &ingest_ops ? "ingest" : n->name;
	snprintf(to, ATTR_PATH_MAX, "%s%s%s%s%s", n->table ? table_name(n->table) : "",
		 n->table ? "/" : "", below_row ? n->parent->name : "", below_row ? "/" : "", name);
	return true;
}

/* Who may not read rows by SQL may not read them in files either. Never widens. */
static void close_as(const struct node_attr *ingest, struct node_attr *a)
{
	for (int shift = 0; shift <= 3; shift += 3)
		if (!(ingest->mode >> shift & R_OK))
			a->mode &= ~((unsigned)(R_OK | X_OK) << shift);
}

static bool holds_rows(const struct vfile *row)
{
	return row->level == LEVEL_TABLE && (row->child == LEVEL_MAGNETIC || row->ops == &rejected_ops);
}

/* The directory of a table in a snapshot, in a database that is d's. */
static struct node_attr snapshot_table_owner(struct node *n, const struct node_attr *d, struct str table)
{
	struct node_attr a = {0755, d->uid, d->gid}, own;

	if (snapshot_attr(n->snapshot, n->db, table, "", &own))
		lay_over(&own, &a);
	return a;
}

/*
 * A snapshot shows the permissions that database and tables have, so that nobody reads there what is
 * closed to them here. snapshot.json names the columns of all tables: for everybody only if those are.
 */
static void snapshot_owner(struct fs *fs, struct node *n, struct node_attr *ret)
{
	struct node *up = n;
	const char *slash = strchr(n->name, '/');
	struct node_attr d, a, own;
	struct str table;

	while (up->level != LEVEL_DB)
		up = up->parent;
	node_owner(fs, up, &d);
	*ret = d;
	if (n->level == LEVEL_SNAPSHOT)
		return;
	if (n->kind == NODE_SNAPSHOT_FILE && !slash) {
		ret->mode = 0444;
		for (uint32_t i = 0; snapshot_table(n->snapshot, i, &table); i++)
			if ((snapshot_table_owner(n, &d, table).mode & 05) != 05)
				ret->mode = 0400;
		return;
	}
	table = (struct str){n->name, slash ? (size_t)(slash - n->name) : strlen(n->name)};
	a = snapshot_table_owner(n, &d, table);
	if (slash) {
		a.mode = 0755;
		if (snapshot_attr(n->snapshot, n->db, table, "ingest", &own) && own.mode != UINT32_MAX)
			close_as(&own, &a);
		if (snapshot_attr(n->snapshot, n->db, table, "magnetic", &own))
			lay_over(&own, &a);
	}
	if (n->kind == NODE_SNAPSHOT_FILE)
		a.mode = 0444;
	*ret = a;
}

void node_owner(struct fs *fs, struct node *n, struct node_attr *ret)
{
	struct node_attr a;
	char path[ATTR_PATH_MAX];

	if (n->snapshot) {
		snapshot_owner(fs, n, ret);
		return;
	}
	if (n->kind == NODE_SCRATCH) {
		scratch_owner(n->scratch, ret);
		return;
	}
	if (n->kind == NODE_INCOMING) {
		incoming_owner(n->incoming, ret);
		return;
	}
	if (n->kind == NODE_STATEMENT) {
		*ret = (struct node_attr){0444, n->who.uid, n->who.gid};
		return;
	}
	if (n->parent)
		node_owner(fs, n->parent, &a);
	else
		a = (struct node_attr){0755, fs->uid, fs->gid};
	if (n->kind == NODE_TILE)
		a.mode = 0444;
	else if (n->level != LEVEL_DATE && n->level != LEVEL_PART) /* these have magnetic's mode */
		a.mode = n->row ? n->row->mode & 0777 : 0755;
	if (n->row && n->table && n->kind != NODE_TILE && holds_rows(n->row)) {
		struct node_attr own;
		snprintf(path, sizeof path, "%s/ingest", table_name(n->table));
		if (engine_attr(fs->engine, n->db, path, &own) && own.mode != UINT32_MAX)
			close_as(&own, &a);
	}
	if (attr_path(n, path))
		overlay(fs, n->db, path, &a);
	*ret = a;
}

static bool allows(const struct node_attr *a, struct caller *c, int mask)
{
	unsigned bits;

	if (c->uid == 0)
		return true;
	if (a->uid == c->uid)
		bits = a->mode >> 6;
	else if (caller_in_group(c, a->gid))
		bits = a->mode >> 3;
	else
		bits = a->mode;
	return (bits & (unsigned)mask & 7u) == (unsigned)mask;
}

int node_access(struct fs *fs, struct node *n, struct caller *c, int mask)
{
	struct node_attr a;
	int rc = node_check(n);

	if (rc < 0)
		return rc;
	if (n->snapshot && mask & W_OK)
		return -EROFS;
	if (c->uid == 0) /* as the kernel has it: root may all but run what nobody may */
		return mask & X_OK && !node_is_dir(n) ? -EACCES : 0;
	node_owner(fs, n, &a);
	if (mask && !allows(&a, c, mask) && !(n->kind == NODE_INCOMING && a.uid == c->uid))
		return -EACCES; /* a copy has the mode of a tile, which is for reading; copying again is fine */
	if ((n->kind == NODE_SCRATCH || n->kind == NODE_INCOMING) && a.uid != c->uid)
		return -EACCES; /* whatever mode an editor gave its temporary file */
	for (struct node *up = n->parent; up; up = up->parent) {
		node_owner(fs, up, &a);
		if (!allows(&a, c, X_OK))
			return -EACCES;
	}
	return 0;
}

/*
 * `cp -p`, `rsync -a` and `tar -x` give what they made the owner and mode of the original. What they made
 * here is a tile to be, or its directory, and these follow from magnetic/.
 */
static bool is_copying(struct fs *fs, struct node *n)
{
	if (n->kind == NODE_TILE)
		return atomic_load(&n->writers) > 0;
	return n->kind == NODE_DIR && (n->level == LEVEL_DATE || n->level == LEVEL_PART) && incoming_made_dir(fs, n);
}

static bool changes_nothing(const struct node_attr *a, const struct stat *st, int to_set)
{
	return (!(to_set & FUSE_SET_ATTR_MODE) || (st->st_mode & 0777) == a->mode) &&
	       (!(to_set & FUSE_SET_ATTR_UID) || st->st_uid == a->uid) &&
	       (!(to_set & FUSE_SET_ATTR_GID) || st->st_gid == a->gid);
}

int node_chattr(struct fs *fs, struct node *n, struct caller *c, const struct stat *st, int to_set,
		struct err *e)
{
	struct node_attr a, stored = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
	char path[ATTR_PATH_MAX];
	int rc = node_access(fs, n, c, 0);

	if (rc < 0)
		return rc;
	if (n->snapshot)
		return err_set(e, -EROFS, "a snapshot has the permissions of its tables");
	if (is_copying(fs, n))
		return node_access(fs, n->kind == NODE_TILE ? n->parent : n, c, W_OK | X_OK);
	node_owner(fs, n, &a);
	if (c->uid != 0 && c->uid != a.uid)
		return err_set(e, -EPERM, "only the owner may change owner and mode");
	if (to_set & FUSE_SET_ATTR_UID && c->uid != 0 && st->st_uid != a.uid)
		return err_set(e, -EPERM, "only root may give things away");
	if (to_set & FUSE_SET_ATTR_GID && c->uid != 0 && st->st_gid != a.gid &&
	    !caller_in_group(c, st->st_gid))
		return err_set(e, -EPERM, "the new group must be one of your own");
	if (n->kind == NODE_SCRATCH) {
		scratch_chattr(n->scratch, st, to_set);
		return 0;
	}
	if (n->kind == NODE_INCOMING) {
		incoming_chattr(n->incoming, st,
				to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID));
		return 0;
	}
	/*
	 * `cp -p x ingest` ends in chmod, chown and utimes through the handle it wrote by. It means
	 * to copy a file, not to close a table to its sensors; chmod(1) has not written there.
	 */
	if (n->kind == NODE_FILE && handles_write(fs, n, c->pid))
		return 0;
	if (!attr_path(n, path))
		return changes_nothing(&a, st, to_set) ? 0 : err_set(e, -EPERM, "owner and mode follow from those of magnetic/");
	(void)engine_attr(fs->engine, n->db, path, &stored);
	if (to_set & FUSE_SET_ATTR_MODE)
		stored.mode = st->st_mode & 0777;
	if (to_set & FUSE_SET_ATTR_UID)
		stored.uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		stored.gid = st->st_gid;
	return engine_attr_set(fs->engine, n->db, path, &stored, e);
}

/* ---- rows through a database's ingest ------------------------------------------------------------------ */

/*
 * Who may write to a database's `ingest` may feed its tables; but a table that was given an owner or
 * a mode of its own, or whose `ingest` was, is its owner's: there these decide.
 */
bool feed_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t)
{
	struct node_attr d = {0755, fs->uid, fs->gid}, tab, in, own;
	char path[ATTR_PATH_MAX];

	snprintf(path, sizeof path, "%s/ingest", table_name(t));
	bool is_own = engine_attr(fs->engine, db, path, &own) || engine_attr(fs->engine, db, table_name(t), &own);
	if (c->uid == 0 || !is_own)
		return true;
	overlay(fs, db, "", &d);
	tab = (struct node_attr){0755, d.uid, d.gid};
	overlay(fs, db, table_name(t), &tab);
	in = (struct node_attr){files_find(LEVEL_TABLE, "ingest")->mode & 0777, tab.uid, tab.gid};
	overlay(fs, db, path, &in);
	return allows(&tab, c, X_OK) && allows(&in, c, W_OK);
}

bool settings_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t)
{
	struct node_attr d = {0755, fs->uid, fs->gid}, tab, dir, file;
	char path[ATTR_PATH_MAX];

	if (c->uid == 0)
		return true;
	overlay(fs, db, "", &d);
	tab = (struct node_attr){0755, d.uid, d.gid};
	overlay(fs, db, table_name(t), &tab);
	if (!allows(&d, c, X_OK) || !allows(&tab, c, X_OK))
		return false;
	for (int s = 0; s < SETTINGS; s++) {
		const char *name = setting_defs[s].name;
		snprintf(path, sizeof path, "%s/%.*s", table_name(t), (int)strcspn(name, "/"), name);
		dir = (struct node_attr){0755, tab.uid, tab.gid};
		overlay(fs, db, path, &dir);
		snprintf(path, sizeof path, "%s/%s", table_name(t), name);
		file = (struct node_attr){0644, dir.uid, dir.gid};
		overlay(fs, db, path, &file);
		if (!allows(&dir, c, X_OK) || !allows(&file, c, W_OK))
			return false;
	}
	return feed_allowed(fs, c, db, t); /* columns come with rows */
}

/* ---- SQL ------------------------------------------------------------------------------------------ */

bool sql_allowed(struct fs *fs, struct caller *c, struct db *db, struct table *t, enum query_right right)
{
	struct node_attr root = {0755, fs->uid, fs->gid}, d, tab, in;
	bool manage = right == RIGHT_MANAGE;
	char path[ATTR_PATH_MAX];

	if (c->uid == 0)
		return true;
	overlay(fs, NULL, "", &root);
	if (!allows(&root, c, X_OK))
		return false;
	if (!db) /* creating a database */
		return !manage || allows(&root, c, W_OK);
	d = (struct node_attr){0755, root.uid, root.gid};
	overlay(fs, db, "", &d);
	if (!t) /* listing its tables; creating or dropping one, or itself */
		return allows(&d, c, manage ? W_OK | X_OK : R_OK | X_OK);
	if (!allows(&d, c, X_OK))
		return false;
	tab = (struct node_attr){0755, d.uid, d.gid};
	overlay(fs, db, table_name(t), &tab);
	if (manage)
		return allows(&d, c, W_OK | X_OK) && allows(&tab, c, W_OK | X_OK);
	if (right == RIGHT_DELETE)
		return allows(&tab, c, W_OK | X_OK);
	in = (struct node_attr){files_find(LEVEL_TABLE, "ingest")->mode & 0777, tab.uid, tab.gid};
	snprintf(path, sizeof path, "%s/ingest", table_name(t));
	overlay(fs, db, path, &in);
	if (right == RIGHT_INSERT)
		return allows(&tab, c, X_OK) && allows(&in, c, W_OK);
	return allows(&tab, c, R_OK | X_OK) && allows(&in, c, R_OK);
}
