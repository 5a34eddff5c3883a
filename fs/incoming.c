#include "fs/incoming_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/tiles_file.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#endif

/* ---- life ------------------------------------------------------------------------------------------------ */

int incomings_create(struct incomings **ret)
{
	struct incomings *is = calloc(1, sizeof *is);

	if (!is)
		return -ENOMEM;
	pthread_mutex_init(&is->mu, NULL);
	is->last_id = UINT64_C(3) << 61; /* away from tile ids and those of scratch files */
	*ret = is;
	return 0;
}

static void incoming_free(struct incoming *in)
{
	if (!in)
		return;
	pthread_mutex_lock(&in->mu); /* for nobody: as the rule is */
	incoming_drop_content(in);
	pthread_mutex_unlock(&in->mu);
	table_put(in->table);
	pthread_mutex_destroy(&in->mu);
	free(in);
}

/* Caller holds owner->mu; returns what to free after it. */
static struct incoming *drop_ref(struct incoming *in)
{
	return --in->refs == 0 ? in : NULL;
}

struct incoming *incoming_get(struct incoming *in)
{
	pthread_mutex_lock(&in->owner->mu);
	in->refs++;
	pthread_mutex_unlock(&in->owner->mu);
	return in;
}

void incoming_put(struct incoming *in)
{
	struct incoming *dead;

	if (!in)
		return;
	struct incomings *is = in->owner;
	pthread_mutex_lock(&is->mu);
	dead = drop_ref(in);
	pthread_mutex_unlock(&is->mu);
	incoming_free(dead);
}

static void link_locked(struct incomings *is, struct incoming *in)
{
	in->refs++;
	in->is_linked = true;
	in->next = is->list;
	is->list = in;
	is->dirs += in->is_dir;
}

/* The list's reference becomes the caller's. */
static void unlink_locked(struct incomings *is, struct incoming *in)
{
	struct incoming **p = &is->list;

	while (*p != in)
		p = &(*p)->next;
	*p = in->next;
	in->is_linked = false;
	is->dirs -= in->is_dir;
}

/* What is out of the list; the reference goes, too. */
static void let_go(struct incoming *in)
{
	if (!in)
		return;
	/* The kernel may know the node for long: the room on the disk is given back now. */
	pthread_mutex_lock(&in->mu);
	incoming_drop_content(in);
	pthread_mutex_unlock(&in->mu);
	incoming_put(in);
}

void incoming_forget(struct incoming *in)
{
	struct incomings *is = in->owner;

	pthread_mutex_lock(&is->mu);
	bool is_used = in->writers; /* somebody opened it again meanwhile */
	if (!is_used && in->is_linked)
		unlink_locked(is, in);
	else if (!is_used)
		in->refs++;
	pthread_mutex_unlock(&is->mu);
	if (!is_used)
		let_go(in);
}

void incomings_destroy(struct incomings *is)
{
	if (!is)
		return;
	while (is->list) {
		struct incoming *in = is->list;
		unlink_locked(is, in);
		incoming_put(in);
	}
	pthread_mutex_destroy(&is->mu);
	free(is);
}

int incoming_make(struct fs *fs, struct table *t, const char *path, mode_t mode, const struct caller *c,
		  struct incoming **ret, struct err *e)
{
	struct incomings *is = fs->incomings;
	struct incoming *in;
	bool is_full;
	int rc;

	if (strlen(path) >= INCOMING_PATH_MAX)
		return -ENAMETOOLONG;
	in = calloc(1, sizeof *in);
	if (!in)
		return -ENOMEM;
	pthread_mutex_lock(&is->mu);
	is_full = is->files >= INCOMING_FILES_MAX;
	is->files += !is_full;
	in->id = ++is->last_id;
	pthread_mutex_unlock(&is->mu);
	if (is_full) {
		free(in);
		return err_set(e, -EDQUOT, "%d unfinished files below magnetic/ directories of this mount already",
			       INCOMING_FILES_MAX);
	}
	in->owner = is;
	in->refs = 1;
	in->table = table_get(t);
	memcpy(in->path, path, strlen(path) + 1);
	in->mode = mode & 0777;
	in->uid = c->uid;
	in->gid = c->gid;
	in->mtime_ns = clock_now_ns();
	in->idle_since_ns = clock_mono_ns();
	pthread_mutex_init(&in->mu, NULL);
	rc = table_restore_begin(t, &in->restore, &in->fd, e);
	if (rc < 0) {
		in->restore = NULL;
		pthread_mutex_lock(&is->mu);
		is->files--;
		pthread_mutex_unlock(&is->mu);
		incoming_put(in);
		return rc;
	}
	*ret = in;
	return 0;
}

/* ---- names ----------------------------------------------------------------------------------------------- */

bool incoming_dir(const struct node *dir)
{
	return dir->kind == NODE_DIR &&
	       (dir->level == LEVEL_MAGNETIC || dir->level == LEVEL_DATE || dir->level == LEVEL_PART);
}

bool incoming_is_final(const char *name)
{
	size_t n = strlen(name);
	return n > 8 && strcmp(name + n - 8, ".parquet") == 0;
}

/* "ts_date=2014-02-14/x.parquet" */
static int path_below(const struct node *dir, const char *name, char to[INCOMING_PATH_MAX])
{
	bool is_top = dir->level == LEVEL_MAGNETIC;
	int n = snprintf(to, INCOMING_PATH_MAX, "%s%s%s", is_top ? "" : dir->name, is_top ? "" : "/", name);

	return n < INCOMING_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static struct incoming *find_locked(struct incomings *is, const struct table *t, const char *path)
{
	for (struct incoming *in = is->list; in; in = in->next)
		if (in->table == t && strcmp(in->path, path) == 0)
			return in;
	return NULL;
}

/* One reference, or NULL. */
static struct incoming *find(struct fs *fs, const struct node *dir, const char *name)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;

	if (path_below(dir, name, path) < 0)
		return NULL;
	pthread_mutex_lock(&is->mu);
	in = find_locked(is, dir->table, path);
	if (in) {
		in->refs++;
		/* A restored one goes when its time has come, however often it is looked at. */
		if (!in->is_restored)
			in->idle_since_ns = clock_mono_ns();
	}
	pthread_mutex_unlock(&is->mu);
	return in;
}

static struct node *node_of(struct fs *fs, struct node *dir, struct incoming *in)
{
	struct node_spec spec = {
		.kind = NODE_INCOMING,
		.level = dir->level,
		.db = dir->db,
		.table = dir->table,
		.name = "(incoming)", /* the name may change while the node lives */
		.id = in->id,
		.incoming = in,
	};
	char path[INCOMING_PATH_MAX];

	if (!in->is_dir)
		return node_intern(fs, dir, &spec);
	pthread_mutex_lock(&in->owner->mu);
	memcpy(path, in->path, sizeof path);
	pthread_mutex_unlock(&in->owner->mu);
	return tiles_dir_node(fs, dir, path);
}

int incoming_lookup(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	struct incoming *in = find(fs, dir, name);

	if (!in)
		return -ENOENT;
	struct node *n = node_of(fs, dir, in);
	incoming_put(in);
	if (!n)
		return -ENOMEM;
	*ret = n;
	return 0;
}

/* Is `path` a child of the directory whose path (with a slash behind it) is prefix? */
static bool is_child(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);
	return strncmp(path, prefix, n) == 0 && !strchr(path + n, '/');
}

static int prefix_of(const struct node *dir, char to[INCOMING_PATH_MAX])
{
	return path_below(dir, "", to);
}

int incoming_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name, struct node *n), void *ctx)
{
	struct incomings *is = fs->incomings;
	char prefix[INCOMING_PATH_MAX];
	struct incoming **v;
	uint32_t n = 0, cap;
	int rc = prefix_of(dir, prefix);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&is->mu);
	cap = is->files + is->dirs;
	v = malloc((cap + 1) * sizeof(void *));
	for (struct incoming *in = is->list; v && in && n < cap; in = in->next) {
		if (in->table != dir->table || in->is_restored || !is_child(in->path, prefix))
			continue;
		in->refs++;
		v[n++] = in;
	}
	pthread_mutex_unlock(&is->mu);
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct node *child = rc >= 0 ? node_of(fs, dir, v[i]) : NULL;
		char name[INCOMING_PATH_MAX];
		pthread_mutex_lock(&is->mu);
		snprintf(name, sizeof name, "%s", incoming_base(v[i]->path));
		pthread_mutex_unlock(&is->mu);
		if (rc >= 0)
			rc = child ? add(ctx, name, child) : -ENOMEM;
		if (child)
			node_put(fs, child);
		incoming_put(v[i]);
	}
	free(v);
	return rc < 0 ? rc : 0;
}

/* ---- making and removing --------------------------------------------------------------------------------- */

/* Directories above it stay as long as it does. Caller holds mu. */
static void touch_parents_locked(struct incomings *is, const struct table *t, const char *path, int64_t now)
{
	char up[INCOMING_PATH_MAX], *slash;

	memcpy(up, path, strlen(path) + 1);
	while ((slash = strrchr(up, '/'))) {
		*slash = '\0';
		struct incoming *d = find_locked(is, t, up);
		if (d)
			d->idle_since_ns = now;
	}
}

int incoming_create(struct fs *fs, struct node *dir, const char *name, mode_t mode, const struct caller *c,
		    struct node **ret, struct err *e)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;
	int rc = path_below(dir, name, path);

	if (rc >= 0)
		rc = incoming_make(fs, dir->table, path, mode, c, &in, e);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&is->mu);
	if (find_locked(is, dir->table, path)) {
		rc = -EEXIST;
	} else {
		link_locked(is, in);
		touch_parents_locked(is, dir->table, path, in->idle_since_ns);
	}
	pthread_mutex_unlock(&is->mu);
	struct node *n = rc >= 0 ? node_of(fs, dir, in) : NULL;
	if (rc >= 0 && !n) {
		incoming_forget(in);
		rc = -ENOMEM;
	}
	incoming_put(in);
	if (rc >= 0)
		*ret = n;
	return rc;
}

static bool matches(const char *name, const char *pattern)
{
	for (; *pattern; name++, pattern++)
		if (*pattern == '#' ? *name < '0' || *name > '9' : *name != *pattern)
			return false;
	return !*name;
}

/* "ts_date=2023-02-29" is none. */
static bool is_date_name(const char *name)
{
	int year, month, day;

	return matches(name, "ts_date=####-##-##") &&
	       sscanf(name, "ts_date=%4d-%2d-%2d", &year, &month, &day) == 3 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= civil_days_in_month(year, month);
}

int incoming_mkdir(struct fs *fs, struct node *dir, const char *name, struct node **ret, struct err *e)
{
	struct incomings *is = fs->incomings;
	bool is_date = dir->level == LEVEL_MAGNETIC;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;
	struct node *n;
	int rc = path_below(dir, name, path);

	if (rc < 0)
		return rc;
	if (is_date ? !is_date_name(name)
		    : dir->level != LEVEL_DATE || !matches(name, "ts_part=##"))
		return err_set(e, -EPERM,
			       "only ts_date=YYYY-MM-DD can be made below magnetic/, and ts_part=NN below that; "
			       "tiles are restored wherever they are put");
	in = calloc(1, sizeof *in);
	if (!in)
		return -ENOMEM;
	in->owner = is;
	in->is_dir = true;
	in->refs = 1;
	in->table = table_get(dir->table);
	in->idle_since_ns = clock_mono_ns();
	memcpy(in->path, path, strlen(path) + 1);
	pthread_mutex_init(&in->mu, NULL);
	pthread_mutex_lock(&is->mu);
	in->id = ++is->last_id;
	if (find_locked(is, dir->table, path))
		rc = -EEXIST;
	else if (is->dirs >= INCOMING_DIRS_MAX)
		rc = err_set(e, -EDQUOT, "%d directories below magnetic/ have no tiles already", INCOMING_DIRS_MAX);
	else
		link_locked(is, in);
	pthread_mutex_unlock(&is->mu);
	n = rc >= 0 ? tiles_dir_node(fs, dir, path) : NULL;
	if (rc >= 0 && !n) {
		incoming_forget(in);
		rc = -ENOMEM;
	}
	incoming_put(in);
	if (rc >= 0)
		*ret = n;
	return rc;
}

static bool has_children_locked(struct incomings *is, const struct incoming *dir)
{
	size_t n = strlen(dir->path);

	for (struct incoming *in = is->list; in; in = in->next)
		if (in->table == dir->table && !in->is_restored && strncmp(in->path, dir->path, n) == 0 &&
		    in->path[n] == '/')
			return true;
	return false;
}

int incoming_rmdir(struct fs *fs, struct node *dir, const char *name)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;
	int rc = path_below(dir, name, path);

	if (rc < 0)
		return -ENOENT;
	pthread_mutex_lock(&is->mu);
	in = find_locked(is, dir->table, path);
	rc = !in ? -ENOENT : !in->is_dir ? -ENOTDIR : has_children_locked(is, in) ? -ENOTEMPTY : 0;
	if (rc >= 0)
		unlink_locked(is, in);
	pthread_mutex_unlock(&is->mu);
	if (rc >= 0)
		incoming_put(in);
	return rc;
}

/*
 * Of what was restored only the name goes: tar -x and install remove what they find before they write. Its
 * rows are deleted with the tile that they are in.
 */
int incoming_unlink(struct fs *fs, struct node *dir, const char *name)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;
	int rc = path_below(dir, name, path);

	if (rc < 0)
		return -ENOENT;
	pthread_mutex_lock(&is->mu);
	in = find_locked(is, dir->table, path);
	rc = !in ? -ENOENT : in->is_dir ? -EISDIR : 0;
	if (rc >= 0)
		unlink_locked(is, in);
	else
		in = NULL;
	bool is_open = in && in->opens;
	pthread_mutex_unlock(&is->mu);
	if (is_open)
		incoming_put(in); /* who has it open goes on reading it, and it goes with them */
	else
		let_go(in);
	return rc;
}

void incoming_forget_restored(struct fs *fs, const struct node *dir, const char *name)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *in;

	if (path_below(dir, name, path) < 0)
		return;
	size_t n = strcspn(path, "/"); /* of the date */
	do {
		pthread_mutex_lock(&is->mu);
		for (in = is->list; in; in = in->next)
			if (in->table == dir->table && in->is_restored &&
			    (!strchr(in->path, '/') || (strncmp(in->path, path, n) == 0 && in->path[n] == '/')))
				break;
		if (in)
			unlink_locked(is, in);
		bool is_open = in && in->opens;
		pthread_mutex_unlock(&is->mu);
		if (is_open)
			incoming_put(in);
		else
			let_go(in);
	} while (in);
}

bool incoming_made_dir(struct fs *fs, const struct node *dir)
{
	struct incomings *is = fs->incomings;

	pthread_mutex_lock(&is->mu);
	struct incoming *in = find_locked(is, dir->table, dir->name);
	bool was_made = in && in->is_dir;
	pthread_mutex_unlock(&is->mu);
	return was_made;
}

/* ---- renaming -------------------------------------------------------------------------------------------- */

static int move(struct fs *fs, struct incoming *in, struct node *to_dir, const char *to)
{
	struct incomings *is = fs->incomings;
	char path[INCOMING_PATH_MAX];
	struct incoming *other;
	int rc = path_below(to_dir, to, path);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&is->mu);
	other = find_locked(is, to_dir->table, path);
	if (other == in)
		other = NULL;
	if (other && other->is_dir)
		rc = -EISDIR;
	else if (other)
		unlink_locked(is, other);
	if (rc >= 0) {
		memcpy(in->path, path, sizeof path);
		in->idle_since_ns = clock_mono_ns();
	}
	bool is_open = other && other->opens;
	pthread_mutex_unlock(&is->mu);
	if (rc < 0)
		return rc;
	if (is_open)
		incoming_put(other); /* as after unlink(2): who has it open goes on, to no effect */
	else
		let_go(other);
	return 0;
}

/* A whole file gets its final name: that takes it in, and where it is refused it keeps the old one. */
static int commit_as(struct fs *fs, struct incoming *in, struct node *dir, const char *name, const struct caller *c,
		     struct err *e)
{
	int rc = 0;

	if (!incoming_is_final(name) || !atomic_load(&in->size))
		return 0;
	pthread_mutex_lock(&in->mu);
	if (in->is_changed)
		rc = incoming_commit(fs, in, dir, name, c->uid, e);
	pthread_mutex_unlock(&in->mu);
	return rc;
}

int incoming_rename(struct fs *fs, struct node *from_dir, const char *from, struct node *to_dir, const char *to,
		    unsigned flags, const struct caller *c, struct err *e)
{
	struct incoming *in = incoming_dir(from_dir) ? find(fs, from_dir, from) : NULL;
	struct node *other = NULL;
	int rc = 0;

	if (!in || in->is_dir || !incoming_dir(to_dir) || from_dir->table != to_dir->table)
		rc = err_set(e, -EPERM, "databases, tables and tiles keep their names and places");
	else if (c->uid != 0 && c->uid != in->uid)
		rc = -EACCES;
	if (rc >= 0 && flags & RENAME_NOREPLACE) {
		rc = tiles_lookup(fs, to_dir, to, &other);
		if (rc == -ENOENT)
			rc = incoming_lookup(fs, to_dir, to, &other);
		rc = rc == -ENOENT ? 0 : rc >= 0 ? -EEXIST : rc;
		node_put(fs, other);
	}
	if (rc >= 0)
		rc = commit_as(fs, in, to_dir, to, c, e);
	if (rc >= 0)
		rc = move(fs, in, to_dir, to);
	incoming_put(in);
	incoming_trim(fs->incomings);
	return rc;
}

/* ---- owner, mode, time ----------------------------------------------------------------------------------- */

void incoming_owner(struct incoming *in, struct node_attr *ret)
{
	pthread_mutex_lock(&in->owner->mu);
	*ret = (struct node_attr){in->mode, in->uid, in->gid};
	pthread_mutex_unlock(&in->owner->mu);
}

void incoming_chattr(struct incoming *in, const struct stat *st, int to_set)
{
	pthread_mutex_lock(&in->owner->mu);
	if (to_set & FUSE_SET_ATTR_MODE)
		in->mode = st->st_mode & 0777;
	if (to_set & FUSE_SET_ATTR_UID)
		in->uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		in->gid = st->st_gid;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		in->mtime_ns = clock_now_ns();
	else if (to_set & FUSE_SET_ATTR_MTIME && st->st_mtim.tv_sec > 0 && st->st_mtim.tv_sec < INT64_MAX / NS_PER_S)
		in->mtime_ns = st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
	pthread_mutex_unlock(&in->owner->mu);
}

/* ---- letting go ------------------------------------------------------------------------------------------ */

void incoming_trim(struct incomings *is)
{
	struct incoming *oldest;

	do {
		int64_t kept = 0, newest_ns = INT64_MIN;
		oldest = NULL;
		pthread_mutex_lock(&is->mu);
		for (struct incoming *p = is->list; p; p = p->next) {
			if (!p->is_restored || p->opens)
				continue;
			kept += atomic_load(&p->size);
			newest_ns = MAX(newest_ns, p->idle_since_ns);
			if (!oldest || p->idle_since_ns < oldest->idle_since_ns)
				oldest = p;
		}
		bool is_much = kept > INCOMING_KEPT_BYTES || is->files > INCOMING_FILES_MAX / 2;
		if (oldest && is_much && oldest->idle_since_ns < newest_ns)
			unlink_locked(is, oldest);
		else
			oldest = NULL;
		pthread_mutex_unlock(&is->mu);
		let_go(oldest);
	} while (oldest);
}

static bool is_over_age(struct incomings *is, const struct incoming *in, int64_t mono_ns)
{
	int64_t age = mono_ns - in->idle_since_ns;

	if (table_dropped(in->table))
		return !in->opens;
	if (in->is_dir)
		return age >= INCOMING_TTL_NS && !has_children_locked(is, in);
	return !in->opens && age >= (in->is_restored ? INCOMING_RESTORED_NS : INCOMING_TTL_NS);
}

void incomings_expire(struct incomings *is, int64_t mono_ns)
{
	struct incoming *dead;

	do {
		pthread_mutex_lock(&is->mu);
		for (dead = is->list; dead && !is_over_age(is, dead, mono_ns);)
			dead = dead->next;
		if (dead)
			unlink_locked(is, dead);
		pthread_mutex_unlock(&is->mu);
		let_go(dead);
	} while (dead);
}
