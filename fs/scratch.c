#include "fs/scratch.h"

#include <stdlib.h>

#include "fs/snapshots.h"

struct scratch {
	struct scratches *owner;
	struct scratch *next;      /* guarded by owner->mu, as all below */
	int refs;                  /* nodes and callers; one for the list while linked */
	bool linked;
	struct db *db;             /* where: constant, as table */
	struct table *table;       /* NULL: beside the tables */
	enum level level;
	uint64_t id;
	char *name;
	uint32_t mode, uid, gid;
	struct buf data;
	bool is_changed;           /* since it was stored as a snapshot.json */
	int opens;
	int64_t idle_since_ns;     /* monotonic; of the last close, or of its making */
	int64_t mtime_ns;
};

struct scratches {
	pthread_mutex_t mu;
	struct scratch *list;
	uint64_t last_id;
};

int scratches_create(struct scratches **ret)
{
	struct scratches *ss = calloc(1, sizeof *ss);

	if (!ss)
		return -ENOMEM;
	pthread_mutex_init(&ss->mu, NULL);
	ss->last_id = UINT64_C(1) << 62; /* away from tile ids */
	*ret = ss;
	return 0;
}

/* Caller holds mu; returns what to free after it. */
static struct scratch *drop_ref(struct scratch *s)
{
	return --s->refs == 0 ? s : NULL;
}

static void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	table_put(s->table);
	db_put(s->db);
	buf_release(&s->data);
	free(s->name);
	free(s);
}

static struct scratch *unlink_locked(struct scratches *ss, struct scratch *s)
{
	struct scratch **p = &ss->list;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	s->linked = false;
	return drop_ref(s);
}

void scratches_destroy(struct scratches *ss)
{
	if (!ss)
		return;
	while (ss->list)
		scratch_free(unlink_locked(ss, ss->list));
	pthread_mutex_destroy(&ss->mu);
	free(ss);
}

void scratches_expire(struct scratches *ss, int64_t mono_ns)
{
	struct scratch *dead;

	do {
		dead = NULL;
		pthread_mutex_lock(&ss->mu);
		for (struct scratch *s = ss->list; s; s = s->next) {
			if (s->opens || mono_ns - s->idle_since_ns < SCRATCH_TTL_NS)
				continue;
			s->refs++; /* so that unlinking leaves it to us */
			(void)unlink_locked(ss, s);
			dead = s;
			break;
		}
		pthread_mutex_unlock(&ss->mu);
		scratch_put(dead);
	} while (dead);
}

bool scratch_dir(const struct node *dir, const char *name)
{
	return dir->kind == NODE_DIR && (dir->level == LEVEL_RETENTION || dir->level == LEVEL_SETTINGS ||
					 snapshot_json_dir(dir, name));
}

/* Those beside tables are a snapshot.json. */
static int64_t bytes_max(const struct scratch *s)
{
	return s->table ? SCRATCH_BYTES_MAX : SCRATCH_JSON_BYTES_MAX;
}

struct scratch *scratch_get(struct scratch *s)
{
	pthread_mutex_lock(&s->owner->mu);
	s->refs++;
	pthread_mutex_unlock(&s->owner->mu);
	return s;
}

void scratch_put(struct scratch *s)
{
	struct scratches *ss;
	struct scratch *dead;

	if (!s)
		return;
	ss = s->owner;
	pthread_mutex_lock(&ss->mu);
	dead = drop_ref(s);
	pthread_mutex_unlock(&ss->mu);
	scratch_free(dead);
}

static struct scratch *find_locked(struct scratches *ss, struct node *dir, const char *name)
{
	for (struct scratch *s = ss->list; s; s = s->next)
		if (s->db == dir->db && s->table == dir->table && s->level == dir->level && strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

struct scratch *scratch_find(struct fs *fs, struct node *dir, const char *name)
{
	struct scratches *ss = fs->scratches;
	struct scratch *s;

	pthread_mutex_lock(&ss->mu);
	s = find_locked(ss, dir, name);
	if (s)
		s->refs++;
	pthread_mutex_unlock(&ss->mu);
	return s;
}

/*
 * May the owner of s have one more? What has come in as a snapshot.json is only kept to be read back: it
 * gives way, the oldest first. *ret_dead: what to free after mu.
 */
static bool make_room_locked(struct scratches *ss, const struct scratch *s, struct scratch **ret_dead)
{
	struct scratch *oldest = NULL;
	int count = 0;

	for (struct scratch *o = ss->list; o; o = o->next) {
		if (o->uid != s->uid || !o->table != !s->table)
			continue;
		count++;
		if (!o->opens && !o->is_changed && (!oldest || o->idle_since_ns < oldest->idle_since_ns))
			oldest = o;
	}
	if (s->table)
		return count < SCRATCH_PER_UID;
	if (count >= SCRATCH_JSON_PER_UID && oldest)
		*ret_dead = unlink_locked(ss, oldest);
	return count < SCRATCH_JSON_PER_UID || oldest;
}

int scratch_create(struct fs *fs, struct node *dir, const char *name, mode_t mode,
		   const struct caller *c, struct scratch **ret, struct err *e)
{
	struct scratches *ss = fs->scratches;
	struct scratch *s = calloc(1, sizeof *s);
	struct scratch *dead = NULL;
	char *copy = strdup(name);
	int rc = 0;

	if (!s || !copy) {
		free(s);
		free(copy);
		return -ENOMEM;
	}
	s->owner = ss;
	s->refs = 2; /* the list's and the caller's */
	s->db = db_get(dir->db);
	s->table = dir->table ? table_get(dir->table) : NULL;
	s->level = dir->level;
	s->name = copy;
	s->mode = mode & 0777;
	s->uid = c->uid;
	s->gid = c->gid;
	s->idle_since_ns = clock_mono_ns();
	s->mtime_ns = clock_now_ns();
	buf_init(&s->data, (size_t)bytes_max(s));

	pthread_mutex_lock(&ss->mu);
	if (find_locked(ss, dir, name))
		rc = -EEXIST;
	else if (!make_room_locked(ss, s, &dead))
		rc = err_set(e, -EDQUOT, "a user may have %d temporary files here",
			     s->table ? SCRATCH_PER_UID : SCRATCH_JSON_PER_UID);
	if (rc == 0) {
		s->id = ++ss->last_id;
		s->linked = true;
		s->next = ss->list;
		ss->list = s;
	}
	pthread_mutex_unlock(&ss->mu);
	scratch_free(dead);
	if (rc < 0) {
		scratch_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int scratch_unlink(struct fs *fs, struct node *dir, const char *name)
{
	struct scratches *ss = fs->scratches;
	struct scratch *s, *dead = NULL;

	pthread_mutex_lock(&ss->mu);
	s = find_locked(ss, dir, name);
	if (s)
		dead = unlink_locked(ss, s);
	pthread_mutex_unlock(&ss->mu);
	scratch_free(dead);
	return s ? 0 : -ENOENT;
}

void scratch_rename(struct fs *fs, struct scratch *s, struct node *dir, const char *name)
{
	struct scratches *ss = fs->scratches;
	struct scratch *other, *dead = NULL;
	char *copy = strdup(name);

	if (!copy)
		return;
	pthread_mutex_lock(&ss->mu);
	other = find_locked(ss, dir, name);
	if (other && other != s)
		dead = unlink_locked(ss, other);
	free(s->name);
	s->name = copy;
	s->level = dir->level;
	s->is_changed = false; /* as a snapshot.json it was stored by this */
	pthread_mutex_unlock(&ss->mu);
	scratch_free(dead);
}

int scratch_set(struct scratch *s, struct str text)
{
	int rc;

	pthread_mutex_lock(&s->owner->mu);
	buf_clear(&s->data);
	buf_add_str(&s->data, text);
	rc = s->data.rc;
	pthread_mutex_unlock(&s->owner->mu);
	return rc;
}

void scratch_text(struct scratch *s, struct buf *out)
{
	pthread_mutex_lock(&s->owner->mu);
	buf_add_str(out, buf_str(&s->data));
	pthread_mutex_unlock(&s->owner->mu);
}

void scratch_owner(struct scratch *s, struct node_attr *ret)
{
	pthread_mutex_lock(&s->owner->mu);
	*ret = (struct node_attr){s->mode, s->uid, s->gid};
	pthread_mutex_unlock(&s->owner->mu);
}

void scratch_chattr(struct scratch *s, const struct stat *st, int to_set)
{
	pthread_mutex_lock(&s->owner->mu);
	if (to_set & FUSE_SET_ATTR_MODE)
		s->mode = st->st_mode & 0777;
	if (to_set & FUSE_SET_ATTR_UID)
		s->uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		s->gid = st->st_gid;
	pthread_mutex_unlock(&s->owner->mu);
}

int scratch_list(struct fs *fs, struct node *dir, int (*add)(void *ctx, const char *name), void *ctx)
{
	struct scratches *ss = fs->scratches;
	struct buf names;
	int rc = 0;

	buf_init(&names, SCRATCH_PER_UID * (size_t)65536);
	pthread_mutex_lock(&ss->mu);
	for (struct scratch *s = ss->list; s; s = s->next)
		if (s->db == dir->db && s->table == dir->table && s->level == dir->level)
			buf_add(&names, s->name, strlen(s->name) + 1);
	pthread_mutex_unlock(&ss->mu);
	for (size_t at = 0; rc >= 0 && at < names.len; at += strlen(names.data + at) + 1)
		rc = add(ctx, names.data + at);
	buf_release(&names);
	return rc;
}

struct node *scratch_node(struct fs *fs, struct node *dir, struct scratch *s)
{
	struct node_spec spec = {
		.kind = NODE_SCRATCH,
		.level = dir->level,
		.db = dir->db,
		.table = dir->table,
		.name = "(scratch)", /* the name may change while the node lives */
		.id = s->id,
		.scratch = s,
	};
	return node_intern(fs, dir, &spec);
}

/* ---- file operations ------------------------------------------------------------------------------- */

static int scratch_open(struct handle *h, struct err *e)
{
	struct scratch *s = h->node->scratch;

	pthread_mutex_lock(&s->owner->mu);
	s->opens++;
	pthread_mutex_unlock(&s->owner->mu);
	return 0;
}

static void scratch_release(struct handle *h)
{
	struct scratch *s = h->node->scratch;

	pthread_mutex_lock(&s->owner->mu);
	s->opens--;
	s->idle_since_ns = clock_mono_ns();
	pthread_mutex_unlock(&s->owner->mu);
}

static void scratch_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct scratch *s = h->node->scratch;
	struct buf copy;

	buf_init(&copy, (size_t)bytes_max(s));
	scratch_text(s, &copy);
	if (copy.rc < 0)
		reply_err(req, copy.rc);
	else
		reply_bytes(req, copy.data, copy.len, n, off);
	buf_release(&copy);
}

/* Caller holds mu. Grows with zeros, or cuts. */
static int resize_locked(struct scratch *s, int64_t size, struct err *e)
{
	if (size < 0 || size > bytes_max(s))
		return err_set(e, -EFBIG, "a temporary file here has at most %lld bytes", (long long)bytes_max(s));
	if ((size_t)size > s->data.len) {
		size_t more = (size_t)size - s->data.len;
		char *p = buf_reserve(&s->data, more);
		if (!p)
			return -ENOMEM;
		memset(p, 0, more);
	}
	s->data.len = (size_t)size;
	s->mtime_ns = clock_now_ns();
	return 0;
}

static int64_t scratch_write(struct handle *h, const char *p, size_t n, int64_t off, struct err *e)
{
	struct scratch *s = h->node->scratch;
	int rc = 0;

	pthread_mutex_lock(&s->owner->mu);
	if (off < 0 || off > bytes_max(s) || n > (size_t)bytes_max(s))
		rc = resize_locked(s, -1, e);
	else if ((size_t)off + n > s->data.len)
		rc = resize_locked(s, off + (int64_t)n, e);
	if (rc >= 0 && n)
		memcpy(s->data.data + off, p, n);
	s->is_changed |= rc >= 0;
	s->mtime_ns = clock_now_ns();
	pthread_mutex_unlock(&s->owner->mu);
	return rc < 0 ? rc : (int64_t)n;
}

static int scratch_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	int rc;

	pthread_mutex_lock(&n->scratch->owner->mu);
	rc = resize_locked(n->scratch, size, e);
	pthread_mutex_unlock(&n->scratch->owner->mu);
	return rc;
}

static int scratch_attr(struct fs *fs, struct node *n, struct stat *st)
{
	struct scratch *s = n->scratch;

	pthread_mutex_lock(&s->owner->mu);
	st->st_size = (off_t)s->data.len;
	st->st_mtim.tv_sec = s->mtime_ns / NS_PER_S;
	st->st_mtim.tv_nsec = s->mtime_ns % NS_PER_S;
	st->st_nlink = s->linked ? 1 : 0;
	pthread_mutex_unlock(&s->owner->mu);
	return 0;
}

/* close(2) of a snapshot.json that was written: its tables are made, or what is wrong is said. */
static int scratch_flush(struct handle *h, fuse_req_t req, struct err *e)
{
	struct scratch *s = h->node->scratch;
	struct buf copy;
	bool is_due;
	int rc = 0;

	buf_init(&copy, (size_t)bytes_max(s));
	pthread_mutex_lock(&s->owner->mu);
	is_due = s->is_changed && s->level == LEVEL_DB && strcmp(s->name, SNAPSHOT_JSON) == 0;
	if (is_due) {
		buf_add_str(&copy, buf_str(&s->data));
		s->is_changed = false;
	}
	pthread_mutex_unlock(&s->owner->mu);
	if (is_due)
		rc = copy.rc < 0 ? copy.rc
				 : snapshot_json_store(h->fs, h->node->parent, buf_str(&copy), &h->who, e);
	buf_release(&copy);
	if (rc < 0) /* or it would look copied to rsync(1), which goes by size and time */
		(void)!scratch_unlink(h->fs, h->node->parent, SNAPSHOT_JSON);
	return rc;
}

const struct file_ops scratch_ops = {
	.flush = scratch_flush,
	.open = scratch_open,
	.read = scratch_read,
	.write = scratch_write,
	.release = scratch_release,
	.truncate = scratch_truncate,
	.attr = scratch_attr,
};
