/*
 * nodes: identity, reference counts, lookup counts.
 *
 * One mutex for the table: it is held for a few pointer moves, never across a call that may wait.
 * References from a child keep the parent, so a path can always be walked upwards.
 */
#include "fs/nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include "fs/files.h"
#include "fs/incoming.h"
#include "fs/results.h"
#include "fs/scratch.h"
#include "fs/snapshots.h"

#define BUCKETS   4096
#define CLAIM_NS  NS_PER_S        /* what was looked up and not opened then is free again */
#define SYNCED_NS (10 * NS_PER_S) /* so long a directory's files count as written by who waits for the disk */

struct nodes {
	pthread_mutex_t mu;
	struct node *root;
	struct node *all; /* guarded by mu */
	struct node *buckets[BUCKETS];
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	return hash_u64(h ^ hash_u64(v));
}

/* FNV-1a: inode numbers stay the same across versions, which hash_bytes() does not promise. */
static uint64_t mix_text(uint64_t h, const char *z)
{
	for (; *z; z++)
		h = (h ^ (unsigned char)*z) * UINT64_C(1099511628211);
	return h;
}

/*
 * st_ino: from the birth times of database and table and the name below, so that it survives
 * remounts and differs once something was dropped and made again. Tiles and scratch files go by
 * their id, which is never used twice.
 */
static uint64_t inode_number(const struct node *parent, const struct node_spec *s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	if (s->db)
		h = mix(h, (uint64_t)db_created_ns(s->db));
	if (s->table)
		h = mix(h, (uint64_t)table_created_ns(s->table));
	h = mix(h, s->id ? s->id : parent ? parent->ino : 1);
	if (!s->id)
		h = mix_text(h, s->name);
	h = hash_u64(h) >> 1; /* positive also where somebody prints it signed */
	/* cp(1) reads directories by inode number: tables are to be made before their rows come. */
	if (s->kind == NODE_SNAPSHOT_FILE && strcmp(s->name, SNAPSHOT_JSON) == 0)
		h >>= 20;
	return h > 1 ? h : h + 2;
}

static uint64_t identity(const struct node *parent, const struct node_spec *s)
{
	uint64_t h = mix(hash_bytes(s->name, strlen(s->name), 0), (uint64_t)(uintptr_t)parent);
	return mix(mix(h, s->id), (uint64_t)s->kind);
}

static bool same_identity(const struct node *n, const struct node *parent, const struct node_spec *s)
{
	return n->parent == parent && n->kind == s->kind && n->id == s->id && n->db == s->db &&
	       n->table == s->table && strcmp(n->name, s->name) == 0;
}

static struct node *node_alloc(struct node *parent, const struct node_spec *s)
{
	size_t len = strlen(s->name);
	struct node *n = calloc(1, sizeof *n + len + 1);

	if (!n)
		return NULL;
	memcpy(n->name, s->name, len + 1);
	n->kind = s->kind;
	n->level = s->level;
	n->row = s->row;
	n->parent = parent;
	n->db = s->db ? db_get(s->db) : NULL;
	n->table = s->table ? table_get(s->table) : NULL;
	n->scratch = s->scratch ? scratch_get(s->scratch) : NULL;
	n->snapshot = s->snapshot ? snapshot_get(s->snapshot) : NULL;
	n->incoming = s->incoming ? incoming_get(s->incoming) : NULL;
	n->id = s->id;
	n->ino = inode_number(parent, s);
	n->refs = 1;
	pthread_mutex_init(&n->mu, NULL);
	return n;
}

static void node_free(struct fs *fs, struct node *n)
{
	text_put(n->shown);
	if (n->result)
		result_put(n->result);
	if (n->scratch)
		scratch_put(n->scratch);
	incoming_put(n->incoming);
	caller_release(&n->who);
	snapshot_put(n->snapshot);
	table_put(n->table);
	db_put(n->db);
	pthread_mutex_destroy(&n->mu);
	free(n);
}

/* Caller holds mu. */
static void all_add(struct nodes *ns, struct node *n)
{
	n->all_next = ns->all;
	if (ns->all)
		ns->all->all_prev = n;
	ns->all = n;
}

static void all_del(struct nodes *ns, struct node *n)
{
	if (n->all_prev)
		n->all_prev->all_next = n->all_next;
	else
		ns->all = n->all_next;
	if (n->all_next)
		n->all_next->all_prev = n->all_prev;
}

static void hash_add(struct nodes *ns, struct node *n, uint64_t hash)
{
	n->interned = true;
	n->hash = hash;
	n->hash_next = ns->buckets[hash % BUCKETS];
	ns->buckets[hash % BUCKETS] = n;
}

static void hash_del(struct nodes *ns, struct node *n)
{
	struct node **p;

	if (!n->interned)
		return;
	for (p = &ns->buckets[n->hash % BUCKETS]; *p != n;)
		p = &(*p)->hash_next;
	*p = n->hash_next;
	n->interned = false;
}

int nodes_create(struct fs *fs, struct nodes **ret)
{
	struct node_spec spec = {.kind = NODE_DIR, .level = LEVEL_ROOT, .name = ""};
	struct nodes *ns = calloc(1, sizeof *ns);

	if (!ns)
		return -ENOMEM;
	pthread_mutex_init(&ns->mu, NULL);
	ns->root = node_alloc(NULL, &spec);
	if (!ns->root) {
		free(ns);
		return -ENOMEM;
	}
	ns->root->ino = FUSE_ROOT_ID;
	all_add(ns, ns->root);
	fs->nodes = ns;
	*ret = ns;
	return 0;
}

void nodes_destroy(struct fs *fs)
{
	struct nodes *ns = fs->nodes;

	if (!ns)
		return;
	fs->nodes = NULL;
	while (ns->all) {
		struct node *n = ns->all;
		all_del(ns, n);
		node_free(fs, n);
	}
	pthread_mutex_destroy(&ns->mu);
	free(ns);
}

struct node *nodes_root(struct nodes *ns)
{
	return ns->root;
}

struct node *nodes_from_ino(struct fs *fs, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs->nodes->root : (struct node *)(uintptr_t)ino;
}

fuse_ino_t node_to_ino(const struct node *n)
{
	return n->parent ? (fuse_ino_t)(uintptr_t)n : FUSE_ROOT_ID;
}

struct node *node_create(struct fs *fs, struct node *parent, const struct node_spec *spec)
{
	struct nodes *ns = fs->nodes;
	struct node *n = node_alloc(parent, spec);

	if (!n)
		return NULL;
	pthread_mutex_lock(&ns->mu);
	parent->refs++;
	all_add(ns, n);
	pthread_mutex_unlock(&ns->mu);
	return n;
}

/* Caller holds mu. */
static struct node *find_interned(struct nodes *ns, const struct node *parent, const struct node_spec *spec, uint64_t hash)
{
	struct node *n = ns->buckets[hash % BUCKETS];

	while (n && (n->hash != hash || !same_identity(n, parent, spec)))
		n = n->hash_next;
	return n;
}

/* Nobody has it open: what belonged to who had is gone. */
static void make_new(struct node *n)
{
	pthread_mutex_lock(&n->mu);
	struct text *shown = n->shown;
	struct result *result = n->result;
	n->shown = NULL;
	n->shown_taken = false;
	n->result = NULL;
	n->result_base = 0;
	pthread_mutex_unlock(&n->mu);
	text_put(shown);
	if (result)
		result_put(result);
}

struct node *node_claim(struct fs *fs, struct node *parent, const struct node_spec *spec)
{
	struct nodes *ns = fs->nodes;
	uint64_t hash = identity(parent, spec);
	int64_t now = clock_mono_ns();

	pthread_mutex_lock(&ns->mu);
	struct node *n = find_interned(ns, parent, spec, hash);
	if (n && !n->handles && (!n->claimed_ns || now - n->claimed_ns > CLAIM_NS)) {
		n->claimed_ns = now;
		n->refs++;
		pthread_mutex_unlock(&ns->mu);
		make_new(n);
		return n;
	}
	pthread_mutex_unlock(&ns->mu);

	struct node *made = node_alloc(parent, spec);
	if (!made)
		return NULL;
	pthread_mutex_lock(&ns->mu);
	n = find_interned(ns, parent, spec, hash);
	if (n)
		hash_del(ns, n); /* it goes with its last user */
	made->claimed_ns = now;
	parent->refs++;
	all_add(ns, made);
	hash_add(ns, made, hash);
	pthread_mutex_unlock(&ns->mu);
	return made;
}

struct node *node_opened(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	n->refs++;
	n->handles++;
	pthread_mutex_unlock(&fs->nodes->mu);
	return n;
}

void node_closed(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	if (--n->handles == 0)
		n->claimed_ns = 0;
	pthread_mutex_unlock(&fs->nodes->mu);
	node_put(fs, n);
}

void node_note_sync(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	n->parent->synced_ns = clock_mono_ns(); /* there it outlives this node */
	pthread_mutex_unlock(&fs->nodes->mu);
}

bool node_is_synced(struct fs *fs, const struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	bool is = n->parent->synced_ns && clock_mono_ns() - n->parent->synced_ns < SYNCED_NS;
	pthread_mutex_unlock(&fs->nodes->mu);
	return is;
}

struct node *node_intern(struct fs *fs, struct node *parent, const struct node_spec *spec)
{
	struct nodes *ns = fs->nodes;
	uint64_t hash = identity(parent, spec);
	struct node *made = NULL, *n;

	for (;;) {
		pthread_mutex_lock(&ns->mu);
		n = find_interned(ns, parent, spec, hash);
		if (n) {
			n->refs++;
		} else if (made) {
			parent->refs++;
			all_add(ns, made);
			hash_add(ns, made, hash);
			n = made;
			made = NULL;
		}
		pthread_mutex_unlock(&ns->mu);
		if (n || made)
			break;
		/* Made outside the lock: it takes references in the engine. */
		made = node_alloc(parent, spec);
		if (!made)
			return NULL;
	}
	if (made)
		node_free(fs, made); /* somebody else was faster */
	return n;
}

struct node *node_get(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	n->refs++;
	pthread_mutex_unlock(&fs->nodes->mu);
	return n;
}

static void put_refs(struct fs *fs, struct node *n, int refs)
{
	struct nodes *ns = fs->nodes;

	while (n && refs) {
		struct node *parent = NULL;
		bool dead;

		pthread_mutex_lock(&ns->mu);
		n->refs -= refs;
		dead = n->refs == 0 && n->parent;
		if (dead) {
			hash_del(ns, n);
			all_del(ns, n);
			parent = n->parent;
		}
		pthread_mutex_unlock(&ns->mu);
		if (!dead)
			return;
		node_free(fs, n);
		n = parent; /* the child's reference goes too */
		refs = 1;
	}
}

void node_put(struct fs *fs, struct node *n)
{
	put_refs(fs, n, 1);
}

void node_lookup_add(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	if (n->lookups++ == 0)
		n->refs++;
	pthread_mutex_unlock(&fs->nodes->mu);
}

void node_forget(struct fs *fs, struct node *n, uint64_t count)
{
	bool last = false;

	pthread_mutex_lock(&fs->nodes->mu);
	if (n->lookups && n->parent) {
		n->lookups -= MIN(count, n->lookups);
		last = n->lookups == 0;
	}
	pthread_mutex_unlock(&fs->nodes->mu);
	if (last)
		node_put(fs, n);
}

/* ---- statements ----------------------------------------------------------------------------- */

static uint64_t statement_hash(const struct node *parent, const char *name, uid_t uid)
{
	return mix(mix(hash_bytes(name, strlen(name), 1), (uint64_t)(uintptr_t)parent), uid);
}

struct node *node_find_statement(struct fs *fs, struct node *parent, const char *name, uid_t uid)
{
	struct nodes *ns = fs->nodes;
	uint64_t hash = statement_hash(parent, name, uid);
	struct node *n;

	pthread_mutex_lock(&ns->mu);
	for (n = ns->buckets[hash % BUCKETS]; n; n = n->hash_next)
		if (n->hash == hash && n->kind == NODE_STATEMENT && n->parent == parent &&
		    n->who.uid == uid && strcmp(n->name, name) == 0)
			break;
	if (n)
		n->refs++;
	pthread_mutex_unlock(&ns->mu);
	return n;
}

void node_publish_statement(struct fs *fs, struct node *n)
{
	struct nodes *ns = fs->nodes;

	pthread_mutex_lock(&ns->mu);
	if (!n->interned)
		hash_add(ns, n, statement_hash(n->parent, n->name, n->who.uid));
	pthread_mutex_unlock(&ns->mu);
}

void node_unintern(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->nodes->mu);
	hash_del(fs->nodes, n);
	pthread_mutex_unlock(&fs->nodes->mu);
}

/* ---- what a node is -------------------------------------------------------------------------- */

int node_check(const struct node *n)
{
	if (n->table && table_dropped(n->table))
		return -ESTALE;
	if (n->db && db_dropped(n->db))
		return -ESTALE;
	if (n->snapshot && snapshot_dropped(n->snapshot))
		return -ESTALE;
	return 0;
}

bool node_is_dir(const struct node *n)
{
	return n->kind == NODE_DIR;
}

int nodes_tiles(struct fs *fs, struct node ***ret, uint32_t *ret_n)
{
	struct nodes *ns = fs->nodes;
	struct node **v;
	uint32_t n = 0;

	pthread_mutex_lock(&ns->mu);
	for (struct node *p = ns->all; p; p = p->all_next)
		n += p->kind == NODE_TILE;
	v = malloc((n + 1) * sizeof *v);
	if (v) {
		n = 0;
		for (struct node *p = ns->all; p; p = p->all_next)
			if (p->kind == NODE_TILE) {
				p->refs++;
				v[n++] = p;
			}
	}
	pthread_mutex_unlock(&ns->mu);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

void node_path(const struct node *n, char *to, size_t cap)
{
	size_t used = 0;

	if (!n->parent || cap == 0) {
		if (cap)
			snprintf(to, cap, "/");
		return;
	}
	if (n->parent->parent) {
		node_path(n->parent, to, cap);
		used = strlen(to);
	}
	/* Dates, parts, tiles and what is in snapshots keep a path: its last part is the name. */
	const char *slash = n->kind == NODE_STATEMENT ? NULL : strrchr(n->name, '/');
	snprintf(to + used, cap - used, "%s%s", used ? "/" : "", slash ? slash + 1 : n->name);
}
